//! The rules of a step, compiled for a schema, and what they say of a batch.

use std::collections::BTreeMap;

use arrow_array::{Array, RecordBatch};
use arrow_buffer::{BooleanBuffer, BooleanBufferBuilder};
use arrow_schema::Schema;
use etl_sdk::{Refusal, StageError};
use etl_steps::validate::{OnInvalid, Options, Rule, Test};

use crate::expression::Expression;
use crate::json;
use crate::keys::{self, Keys, Part};
use crate::schema::Schema as JsonSchema;
use crate::value::{self, Compiled};
use crate::words;

/// Rules, compiled.
pub(crate) struct Rules {
    rules: Vec<Rule>,
    tests: Vec<Held>,
    /// Keys of the unique rules, by the rule's index, in their order.
    keys: Vec<(usize, Keys)>,
    key_bytes: u64,
    /// Columns that rules speak of and that are not there.
    missing: Vec<String>,
}

/// A rule, held against the columns that are read.
enum Held {
    /// It says nothing about these columns.
    Nothing,
    /// The value at this place is not null.
    Filled(usize),
    /// The column is not there: no row satisfies it.
    Missing,
    Value(usize, Compiled),
    /// Columns that there may not be.
    Strangers(Vec<usize>),
    /// The values at these places, taken together.
    Unique(Vec<usize>),
    /// The row as these columns have it.
    Schema(Vec<usize>, Box<JsonSchema>),
    Expression(Vec<usize>, Box<Expression>),
}

/// What rules say of a batch.
pub(crate) struct Judged {
    /// Rows that each rule found broken, by rule.
    pub(crate) broken: Vec<BooleanBuffer>,
    /// Rows that broke any rule.
    pub(crate) any: BooleanBuffer,
    /// Rows that go on.
    pub(crate) kept: BooleanBuffer,
    /// Rows to refuse; those that are neither kept nor here are left out.
    pub(crate) quarantined: BooleanBuffer,
    /// The first row that ends the run.
    pub(crate) failed: Option<usize>,
}

impl Rules {
    /// Compiles rules for a schema. Answers the columns that are read, by index.
    pub(crate) fn compile(options: Options, input: &Schema) -> Result<(Self, Vec<usize>), Vec<StageError>> {
        let Options { rules, key_bytes } = options;
        let mut compiling = Compiling { input, read: Vec::new(), missing: Vec::new() };
        let mut problems = Vec::new();
        let mut tests = Vec::with_capacity(rules.len());
        for (index, rule) in rules.iter().enumerate() {
            match compiling.held(rule) {
                Ok(held) => tests.push(held),
                Err((message, help)) => {
                    let error = StageError::options("rule", format!("rule `{}`: {message}", rule.name)).field(format!("rules[{index}]"));
                    problems.push(match help {
                        Some(help) => error.help(help),
                        None => error,
                    });
                }
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let unique = tests.iter().enumerate().filter(|(_, held)| matches!(held, Held::Unique(_)));
        let keys = unique.map(|(index, _)| (index, Keys::new(etl_sdk::seed()))).collect();
        let Compiling { read, missing, .. } = compiling;
        Ok((Self { rules, tests, keys, key_bytes, missing }, read))
    }

    /// Columns that rules speak of and that are not there.
    pub(crate) fn missing(&self) -> &[String] {
        &self.missing
    }

    /// Judges a batch, and remembers its keys. `first` tells its first row from all others of the run.
    pub(crate) fn judge(&mut self, rows: &RecordBatch, first: u64) -> Result<Judged, StageError> {
        let count = rows.num_rows();
        let mut broken = Vec::with_capacity(self.tests.len());
        for held in &mut self.tests {
            broken.push(match held {
                Held::Nothing | Held::Unique(_) => BooleanBuffer::new_unset(count),
                Held::Missing => BooleanBuffer::new_set(count),
                Held::Filled(place) => match rows.column(*place).logical_nulls() {
                    Some(nulls) => !nulls.inner(),
                    None => BooleanBuffer::new_unset(count),
                },
                Held::Value(place, test) => test.bad(rows.column(*place)),
                Held::Strangers(places) => places.iter().fold(BooleanBuffer::new_unset(count), |found, place| {
                    let column = rows.column(*place);
                    &found | &crate::view::all(column, true)
                }),
                Held::Schema(places, schema) => schema.broken(&rows.project(places)?),
                Held::Expression(places, expression) => expression.broken(&rows.project(places)?, first),
            });
        }
        if !self.keys.is_empty() {
            self.judge_keys(rows, &mut broken)?;
        }
        Ok(self.sum_up(broken, count))
    }

    /// Judges keys row by row: a row that is refused, for whatever reason, claims no key.
    fn judge_keys(&mut self, rows: &RecordBatch, broken: &mut [BooleanBuffer]) -> Result<(), StageError> {
        let refused = self.with(broken, |on_error| on_error != OnInvalid::Warn, rows.num_rows());
        let unique: Vec<(usize, Vec<Part<'_>>, OnInvalid)> = self
            .tests
            .iter()
            .enumerate()
            .filter_map(|(index, held)| match held {
                Held::Unique(places) => {
                    let parts = places.iter().map(|place| Part::of(rows.column(*place))).collect();
                    Some((index, parts, self.rules[index].on_error))
                }
                _ => None,
            })
            .collect();
        let mut found: Vec<BooleanBufferBuilder> = unique
            .iter()
            .map(|_| {
                let mut found = BooleanBufferBuilder::new(rows.num_rows());
                found.append_n(rows.num_rows(), false);
                found
            })
            .collect();
        let mut buffers: Vec<(Vec<u8>, u64, bool, bool)> = unique.iter().map(|_| (Vec::new(), 0, false, false)).collect();
        for row in (0..rows.num_rows()).filter(|row| !refused.value(*row)) {
            let mut claims = true;
            for (position, ((_, parts, on_error), (_, keys))) in unique.iter().zip(&self.keys).enumerate() {
                let (key, hash, whole, known) = &mut buffers[position];
                key.clear();
                *whole = parts.iter().all(|part| part.write(key, row));
                *hash = keys.hash(key);
                *known = *whole && keys.has(key, *hash);
                if *known {
                    found[position].set_bit(row, true);
                    claims &= *on_error == OnInvalid::Warn;
                }
            }
            if !claims {
                continue;
            }
            for ((_, keys), (key, hash, whole, known)) in self.keys.iter_mut().zip(&buffers) {
                if *whole && !*known {
                    keys.add(key, *hash);
                }
            }
        }
        for ((index, ..), mut found) in unique.iter().zip(found) {
            broken[*index] = found.finish();
        }
        let bytes: usize = self.keys.iter().map(|(_, keys)| keys.bytes()).sum();
        if bytes as u64 > self.key_bytes {
            let (index, keys) = self.keys.iter().max_by_key(|(index, keys)| (keys.bytes(), *index)).expect("there are keys");
            return Err(keys::full(&self.rules[*index].name, keys.len(), self.key_bytes));
        }
        Ok(())
    }

    /// Rows that broke a rule of some severity.
    fn with(&self, broken: &[BooleanBuffer], severity: impl Fn(OnInvalid) -> bool, count: usize) -> BooleanBuffer {
        let chosen = self.rules.iter().zip(broken).filter(|(rule, _)| severity(rule.on_error));
        chosen.fold(BooleanBuffer::new_unset(count), |all, (_, broken)| &all | broken)
    }

    fn sum_up(&self, broken: Vec<BooleanBuffer>, count: usize) -> Judged {
        let any = self.with(&broken, |_| true, count);
        let refused = self.with(&broken, |on_error| on_error != OnInvalid::Warn, count);
        // A letter keeps more than a count does: it goes before leaving out.
        let quarantined = self.with(&broken, |on_error| on_error == OnInvalid::Quarantine, count);
        let failed = self.with(&broken, |on_error| on_error == OnInvalid::Fail, count).set_indices().next();
        Judged { broken, any, kept: !&refused, quarantined, failed }
    }

    /// Of the last batch, the rows in which a rule could not be worked out, by the reason.
    pub(crate) fn undecided(&mut self, index: usize) -> BTreeMap<String, u64> {
        match &mut self.tests[index] {
            Held::Expression(_, expression) => expression.reasons(),
            _ => BTreeMap::new(),
        }
    }

    /// Says why a row is refused: the first rule of a severity that it broke, and the names of the others.
    pub(crate) fn refusal(&self, rows: &RecordBatch, judged: &Judged, row: usize, severity: OnInvalid) -> Refusal {
        let breaks: Vec<usize> = (0..self.rules.len()).filter(|index| judged.broken[*index].value(row)).collect();
        let first = breaks.iter().copied().find(|index| self.rules[*index].on_error == severity);
        let first = first.expect("only a row that broke such a rule is asked for");
        let rule = &self.rules[first];
        let (mut message, mut column) = (String::new(), rule.column.clone());
        match &self.tests[first] {
            Held::Schema(places, schema) => {
                if let Some(broken) = rows.project(places).ok().and_then(|rows| schema.explain(&rows, row)) {
                    (message, column) = (broken.message, broken.column);
                }
            }
            Held::Value(place, _) => message = words::of_value(rule, &json::shown(rows.column(*place), row)),
            Held::Unique(places) => {
                let values: Vec<String> = places.iter().map(|place| json::shown(rows.column(*place), row)).collect();
                message = words::of_key(rule, &values);
            }
            Held::Strangers(places) => {
                let stranger = places.iter().find(|place| rows.column(**place).is_valid(row));
                let name = stranger.map(|place| rows.schema_ref().field(*place).name().clone()).unwrap_or_default();
                message = format!("column `{name}` is not among those that there may be");
                column = Some(name);
            }
            Held::Expression(_, expression) => message = words::of_check(rule, expression.why(row).as_deref()),
            Held::Filled(_) | Held::Missing | Held::Nothing => message = words::of_missing(rule),
        }
        if let Some(own) = &rule.message {
            message.clone_from(own);
        }
        let others: Vec<String> =
            breaks.iter().filter(|index| **index != first).map(|index| format!("`{}`", self.rules[*index].name)).collect();
        if !others.is_empty() {
            message.push_str(&format!("; it also breaks {}", others.join(", ")));
        }
        let refusal = Refusal::new(rule.test.code(), message);
        match column {
            Some(column) => refusal.field(column),
            None => refusal,
        }
    }

    /// The name of a rule.
    pub(crate) fn name(&self, row: usize, judged: &Judged, severity: OnInvalid) -> &str {
        let found = self.rules.iter().zip(&judged.broken).find(|(rule, broken)| rule.on_error == severity && broken.value(row));
        found.map_or("", |(rule, _)| &rule.name)
    }

    /// Writes all keys.
    pub(crate) fn save(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.keys.iter().map(|(_, keys)| keys.bytes()).sum::<usize>() + 16);
        self.keys.iter().for_each(|(_, keys)| keys.save(&mut out));
        out
    }

    /// Reads what [`save`](Self::save) wrote.
    pub(crate) fn load(&mut self, mut state: &[u8]) -> Option<()> {
        for (_, keys) in &mut self.keys {
            state = keys.load(state)?;
        }
        state.is_empty().then_some(())
    }
}

struct Compiling<'a> {
    input: &'a Schema,
    /// Columns that are read, by index in the input.
    read: Vec<usize>,
    missing: Vec<String>,
}

impl Compiling<'_> {
    /// The place of a column among those that are read.
    fn place(&mut self, name: &str) -> Option<usize> {
        let index = self.input.index_of(name).ok()?;
        Some(self.read_at(index))
    }

    fn read_at(&mut self, index: usize) -> usize {
        self.read.iter().position(|read| *read == index).unwrap_or_else(|| {
            self.read.push(index);
            self.read.len() - 1
        })
    }

    fn note_missing(&mut self, name: &str) {
        if !self.missing.iter().any(|missing| missing == name) {
            self.missing.push(name.to_owned());
        }
    }

    fn held(&mut self, rule: &Rule) -> Result<Held, value::Wrong> {
        match &rule.test {
            Test::Unique(columns) => {
                let places: Option<Vec<usize>> = columns.iter().map(|name| self.place(name)).collect();
                columns.iter().filter(|name| self.input.index_of(name).is_err()).for_each(|name| self.note_missing(name));
                Ok(places.map_or(Held::Nothing, Held::Unique))
            }
            Test::OnlyColumns(known) => {
                let strangers = self.input.fields().iter().enumerate().filter(|(_, field)| !known.contains(field.name()));
                let strangers: Vec<usize> = strangers.map(|(index, _)| index).collect();
                Ok(Held::Strangers(strangers.into_iter().map(|index| self.read_at(index)).collect()))
            }
            Test::Expression(text) => {
                let (expression, columns) = Expression::compile(text, self.input)?;
                Ok(Held::Expression(columns.into_iter().map(|index| self.read_at(index)).collect(), Box::new(expression)))
            }
            Test::Schema { schema, columns } => {
                let schema = JsonSchema::compile(schema)?;
                let wanted = |name: &String| columns.as_ref().is_none_or(|columns| columns.contains(name)) && schema.may_read(name);
                let fields = self.input.fields().iter().enumerate().filter(|(_, field)| wanted(field.name()));
                let indexes: Vec<usize> = fields.map(|(index, _)| index).collect();
                Ok(Held::Schema(indexes.into_iter().map(|index| self.read_at(index)).collect(), Box::new(schema)))
            }
            test => {
                let name = rule.column.as_deref().unwrap_or_default();
                let Ok(index) = self.input.index_of(name) else {
                    return Ok(match test {
                        Test::Required => Held::Missing,
                        _ => {
                            self.note_missing(name);
                            Held::Nothing
                        }
                    });
                };
                if *test == Test::Required {
                    return Ok(Held::Filled(self.read_at(index)));
                }
                let compiled = value::compile(test, self.input.field(index).data_type(), etl_sdk::now_ms());
                match compiled.map_err(|(message, help)| (format!("column `{name}`: {message}"), help))? {
                    // A column that cannot break the rule need not come over.
                    value::Compiled::Nothing => Ok(Held::Nothing),
                    test => Ok(Held::Value(self.read_at(index), test)),
                }
            }
        }
    }
}
