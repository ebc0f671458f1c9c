//! What a step changed: columns and values, from the rows before it and after it.

use std::collections::{BTreeMap, BTreeSet};

use arrow_schema::{DataType, Schema, TimeUnit};
use serde_json::Value;

use super::terminal::printable;
use crate::json::{self, Cell as JsonCell, Style};
use crate::run::Look;

/// Row numbers that a sentence lists.
const LISTED: usize = 10;

/// The rows after one step, as text.
pub(super) struct Step {
    /// What was looked at.
    pub(super) look: Look,
    /// The columns.
    pub(super) columns: Vec<Named>,
    /// The rows that are kept.
    pub(super) rows: Vec<Shown>,
}

/// A column.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Named {
    /// Its name.
    pub(super) name: String,
    /// Its type, in the words of `convert`.
    pub(super) kind: String,
    /// Whether its values are numbers.
    pub(super) number: bool,
}

/// A row.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    /// Its number in the source; 0 where unknown.
    pub(super) number: u64,
    /// A value for each column.
    pub(super) cells: Vec<Text>,
    /// All of it.
    pub(super) json: Value,
}

/// A value as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Text {
    /// There is none.
    Null,
    /// The column is not there in this batch.
    Absent,
    /// A value.
    Value(String),
}

impl Text {
    /// Whether it is the same value; where its type is another, a number may be written otherwise.
    fn same(&self, other: &Self, retyped: bool) -> bool {
        let number = |text: &Self| match text {
            Self::Value(text) => text.trim().parse::<f64>().ok(),
            _ => None,
        };
        self == other || retyped && number(self).is_some() && number(self) == number(other)
    }

    /// As it is shown.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Null => "∅".into(),
            Self::Absent => "·".into(),
            Self::Value(text) if text.is_empty() => "\"\"".into(),
            Self::Value(text) => {
                // One that is only blanks, or begins or ends with one, would not be seen.
                let bare = text.trim() == text;
                let text: String = text
                    .chars()
                    .map(|c| if c == '\n' || c == '\t' { c.escape_default().to_string() } else { printable(&c.to_string()) })
                    .collect();
                if bare { text } else { format!("\"{text}\"") }
            }
        }
    }
}

impl Step {
    /// Makes texts of what was looked at.
    pub(super) fn new(look: Look) -> Self {
        let mut columns: Vec<Named> = Vec::new();
        let schemas = look.batches.iter().map(|batch| batch.rows.schema()).chain(look.schema.clone().filter(|_| look.batches.is_empty()));
        for schema in schemas {
            add_columns(&mut columns, &schema);
        }
        let mut rows = Vec::new();
        for batch in &look.batches {
            let schema = batch.rows.schema();
            let cells: Vec<Option<JsonCell>> = columns
                .iter()
                .map(|column| Some(JsonCell::new(batch.rows.column(schema.index_of(&column.name).ok()?), Style::default())))
                .collect();
            for row in 0..batch.rows.num_rows() {
                let text = |cell: &Option<JsonCell>| match cell {
                    None => Text::Absent,
                    Some(cell) if cell.is_null(row) => Text::Null,
                    Some(cell) => {
                        let mut text = Vec::new();
                        cell.write_text(row, &mut text);
                        Text::Value(String::from_utf8_lossy(&text).into_owned())
                    }
                };
                rows.push(Shown {
                    number: batch.origin.rows.get(row),
                    cells: cells.iter().map(text).collect(),
                    json: json::row_json(&batch.rows, row),
                });
            }
        }
        Self { look, columns, rows }
    }

    fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }
}

fn add_columns(columns: &mut Vec<Named>, schema: &Schema) {
    for field in schema.fields() {
        let kind = type_name(field.data_type());
        match columns.iter_mut().find(|column| column.name == *field.name()) {
            // Batches of one step may differ.
            Some(column) if column.kind != kind => column.kind = format!("{} or {kind}", column.kind),
            Some(_) => {}
            None => columns.push(Named { name: field.name().clone(), kind, number: field.data_type().is_numeric() }),
        }
    }
}

/// A type in the words of `convert`.
fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "string".into(),
        DataType::Int64 => "int".into(),
        DataType::Float64 => "float".into(),
        DataType::Boolean => "bool".into(),
        DataType::Date32 => "date".into(),
        DataType::Decimal128(precision, scale) => format!("decimal({precision},{scale})"),
        DataType::Timestamp(TimeUnit::Microsecond, None) => "timestamp".into(),
        DataType::Timestamp(TimeUnit::Microsecond, Some(zone)) if **zone == *"UTC" || **zone == *"+00:00" => "datetime".into(),
        DataType::Timestamp(TimeUnit::Microsecond, Some(zone)) => format!("timestamp({zone})"),
        DataType::Null => "null".into(),
        DataType::List(item) | DataType::LargeList(item) => format!("list of {}", type_name(item.data_type())),
        DataType::Struct(fields) => {
            let fields: Vec<String> = fields.iter().map(|field| format!("{}: {}", field.name(), type_name(field.data_type()))).collect();
            format!("{{{}}}", fields.join(", "))
        }
        other => other.to_string(),
    }
}

/// What became of a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// It was there under this name.
    Kept,
    /// It is new.
    Added,
    /// It was there under another name.
    Renamed(String),
}

/// What a step changed.
pub(super) struct Changes {
    /// For each column after the step.
    pub(super) columns: Vec<Change>,
    /// For each column after the step its type before, where that was another.
    pub(super) retyped: Vec<Option<String>>,
    /// Columns that are gone.
    pub(super) removed: Vec<String>,
    /// Values that are not what they were: row and column of the step.
    pub(super) values: BTreeSet<(usize, usize)>,
    /// Whether columns that stayed stand in another order.
    reordered: bool,
    /// Whether the columns are the same and the rows are not, whatever their numbers.
    other_rows: bool,
    /// Numbers of rows that came, were not refused and did not come out, where all rows are seen.
    pub(super) left_out: Vec<u64>,
}

impl Changes {
    /// Compares a step with the one before it; nothing is known to have changed where there is none.
    pub(super) fn between(before: Option<&Step>, step: &Step) -> Self {
        let nothing = || Self {
            columns: vec![Change::Kept; step.columns.len()],
            retyped: vec![None; step.columns.len()],
            removed: Vec::new(),
            values: BTreeSet::new(),
            reordered: false,
            other_rows: false,
            left_out: Vec::new(),
        };
        let Some(before) = before else { return nothing() };
        // Without a schema and without rows nothing can be said of columns.
        if step.columns.is_empty() && step.look.schema.is_none() {
            return Self { left_out: left_out(before, step), ..nothing() };
        }
        let pairs = pairs(before, step);
        let sources = sources(before, step, &pairs);
        let mut changes = nothing();
        for (index, source) in sources.iter().enumerate() {
            changes.columns[index] = match source {
                None => Change::Added,
                Some(source) if before.columns[*source].name == step.columns[index].name => Change::Kept,
                Some(source) => Change::Renamed(before.columns[*source].name.clone()),
            };
            let Some(source) = *source else { continue };
            if before.columns[source].kind != step.columns[index].kind {
                changes.retyped[index] = Some(before.columns[source].kind.clone());
            }
            let retyped = changes.retyped[index].is_some();
            for (row, &earlier) in &pairs {
                if !before.rows[earlier].cells[source].same(&step.rows[*row].cells[index], retyped) {
                    changes.values.insert((*row, index));
                }
            }
        }
        let kept: Vec<usize> = sources.iter().flatten().copied().collect();
        changes.reordered = !kept.is_sorted();
        changes.removed =
            (0..before.columns.len()).filter(|index| !kept.contains(index)).map(|index| before.columns[index].name.clone()).collect();
        changes.left_out = left_out(before, step);
        // Rows that a stage held back have no numbers to be known by.
        let cells = |step: &Step| step.rows.iter().map(|row| row.cells.clone()).collect::<Vec<_>>();
        changes.other_rows = before.columns == step.columns && cells(before) != cells(step);
        changes
    }

    /// Whether the step did anything to the rows that are shown.
    pub(super) fn any(&self, look: &Look) -> bool {
        let Self { columns, retyped, removed, values, reordered, other_rows, left_out: _ } = self;
        columns.iter().any(|change| *change != Change::Kept)
            || retyped.iter().any(Option::is_some)
            || !removed.is_empty()
            || !values.is_empty()
            || *reordered
            || *other_rows
            || !look.rejects.is_empty()
            || look.filtered + look.expanded + look.skipped > 0
    }

    /// What changed, as a word and what it is about.
    pub(super) fn sentences(&self, step: &Step) -> Vec<(&'static str, String)> {
        let of = |word: &dyn Fn(usize) -> Option<String>| (0..step.columns.len()).filter_map(word).collect::<Vec<_>>().join(", ");
        let name = |index: usize| &step.columns[index].name;
        let renamed = of(&|index| match &self.columns[index] {
            Change::Renamed(from) => Some(format!("{from} → {}", name(index))),
            _ => None,
        });
        let added = of(&|index| (self.columns[index] == Change::Added).then(|| format!("{} {}", name(index), step.columns[index].kind)));
        let retyped = of(&|index| Some(format!("{} {} → {}", name(index), self.retyped[index].as_ref()?, step.columns[index].kind)));
        let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
        for (_, column) in &self.values {
            *counts.entry(*column).or_default() += 1;
        }
        let changed = counts.iter().map(|(column, count)| format!("{count} in {}", name(*column))).collect::<Vec<_>>().join(", ");
        let mut numbers: Vec<String> = self.left_out.iter().take(LISTED).map(u64::to_string).collect();
        if self.left_out.len() > LISTED {
            numbers.push("…".into());
        }
        let rows = if numbers.is_empty() {
            String::new()
        } else {
            format!("row{} {}", if numbers.len() == 1 { "" } else { "s" }, numbers.join(", "))
        };
        let order = if self.reordered { "the columns stand in another order".to_owned() } else { String::new() };
        let counted = step.look.filtered + step.look.expanded + step.look.skipped + step.look.rejects.len() as u64;
        let others = if self.other_rows && self.values.is_empty() && counted == 0 { "they stand in another order" } else { "" };
        let all = [
            ("renamed", renamed),
            ("added", added),
            ("removed", self.removed.join(", ")),
            ("retyped", retyped),
            ("reordered", order),
            ("values", changed),
            ("left out", rows),
            ("rows", others.to_owned()),
        ];
        all.into_iter().filter(|(_, what)| !what.is_empty()).collect()
    }
}

/// For each row of the step that is known to come from one row before it: both indexes.
fn pairs(before: &Step, step: &Step) -> BTreeMap<usize, usize> {
    let mut known: BTreeMap<u64, Option<usize>> = BTreeMap::new();
    for (index, row) in before.rows.iter().enumerate().filter(|(_, row)| row.number > 0) {
        known.entry(row.number).and_modify(|twice| *twice = None).or_insert(Some(index));
    }
    let found = step.rows.iter().enumerate().filter_map(|(index, row)| Some((index, (*known.get(&row.number)?)?)));
    found.collect()
}

/// For each column of the step the one before it that it is, by name, by what the step says, or by its values.
fn sources(before: &Step, step: &Step, pairs: &BTreeMap<usize, usize>) -> Vec<Option<usize>> {
    let renames = &step.look.renames;
    let source_of = |name: &str| match renames.iter().find(|(from, to)| to == name && before.column(from).is_some()) {
        Some((from, _)) => before.column(from),
        None if renames.iter().any(|(from, _)| from == name) => None,
        None => before.column(name),
    };
    let mut sources: Vec<Option<usize>> = step.columns.iter().map(|column| source_of(&column.name)).collect();
    for index in 0..step.columns.len() {
        if sources[index].is_some() || pairs.is_empty() {
            continue;
        }
        let same = |source: &usize| {
            let cells = |row: &usize, earlier: &usize| (&step.rows[*row].cells[index], &before.rows[*earlier].cells[*source]);
            before.columns[*source].kind == step.columns[index].kind
                && pairs.iter().all(|(row, earlier)| cells(row, earlier).0 == cells(row, earlier).1)
                && pairs.keys().any(|row| matches!(step.rows[*row].cells[index], Text::Value(_)))
        };
        let gone = |source: &usize| !sources.contains(&Some(*source)) && step.column(&before.columns[*source].name).is_none();
        let candidates: Vec<usize> = (0..before.columns.len()).filter(|source| gone(source) && same(source)).collect();
        // Two that are alike could be either.
        if let [only] = candidates.as_slice() {
            sources[index] = Some(*only);
        }
    }
    sources
}

/// Numbers of the rows that the step left out, where every row is seen.
fn left_out(before: &Step, step: &Step) -> Vec<u64> {
    let all_seen = |step: &Step| step.look.rows == step.rows.len() as u64 && step.rows.iter().all(|row| row.number > 0);
    if step.look.filtered == 0 || !all_seen(before) || !all_seen(step) {
        return Vec::new();
    }
    let came: BTreeSet<u64> = step.rows.iter().map(|row| row.number).chain(step.look.rejects.iter().map(|reject| reject.row)).collect();
    let numbers: BTreeSet<u64> = before.rows.iter().map(|row| row.number).filter(|number| !came.contains(number)).collect();
    if numbers.len() as u64 == step.look.filtered { numbers.into_iter().collect() } else { Vec::new() }
}
