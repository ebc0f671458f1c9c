//! Configures the chain: steps to instructions, and which of them are needed.

use std::sync::Arc;

use arrow_schema::{DataType, Schema, SchemaRef};
use etl_steps::expr::{self, Expr};
use etl_steps::{Filter, OnConvertError, Operator, Options, Step, Type};
use serde_json::Value;

use crate::column::{describe, normal, utc};
use crate::convert;
use crate::filter::{self, Test};
use crate::json;
use crate::node::{self, Compiler, Moment, Node, Typed, Wrong};
use crate::scope::{Named, Register, Scope};
use crate::{Plan, Problem};

/// Something to do with the rows of a batch.
#[derive(Clone, Debug)]
pub(crate) enum Instruction {
    /// Computes a register; the name is that of its column at that step.
    Assign { to: Register, name: String, node: Node },
    /// Computes a register, and may refuse rows.
    Convert(Conversion),
    /// Filters rows.
    Filter { from: Register, test: Test },
    /// Filters all rows out.
    Nothing,
    /// Makes one row an item; the registers that are needed later are stretched with it.
    Unnest { from: Register, to: Register, live: Vec<Register> },
}

/// A `convert` of one column.
#[derive(Clone, Debug)]
pub(crate) struct Conversion {
    pub(crate) from: Register,
    pub(crate) to: Register,
    /// The column's name at that step.
    pub(crate) name: String,
    pub(crate) target: Type,
    /// The type of the values that convert.
    pub(crate) data_type: DataType,
    pub(crate) on_error: OnConvertError,
    /// Whether a value may fail to convert.
    pub(crate) may_fail: bool,
}

/// A configured chain of simple operations.
#[derive(Clone, Debug)]
pub struct Chain {
    /// The input columns that are read, with their types.
    pub(crate) inputs: Vec<(Register, DataType)>,
    pub(crate) input_names: Vec<String>,
    pub(crate) width: usize,
    pub(crate) instructions: Vec<Instruction>,
    pub(crate) output: Vec<Register>,
    pub(crate) schema: SchemaRef,
    pub(crate) missing: Vec<String>,
    pub(crate) expands: bool,
}

impl Chain {
    /// Configures the steps for rows of the schema `input`.
    ///
    /// # Errors
    /// Every problem of the options, not only the first.
    pub fn configure(options: &Options, input: &Schema) -> Result<(Self, Plan), Vec<Problem>> {
        let mut builder = Builder {
            scope: Scope::new(input),
            // An empty source has no columns, and is no mistake.
            knows_columns: !input.fields().is_empty(),
            late: options.late,
            env: &options.env,
            uuids: 0,
            instructions: Vec::new(),
            problems: Vec::new(),
        };
        for (index, step) in options.steps.iter().enumerate() {
            builder.step(&format!("steps[{index}]"), step);
        }
        if !builder.problems.is_empty() {
            return Err(builder.problems);
        }
        let Builder { scope, instructions, .. } = builder;
        let output: Vec<Register> = scope.columns.iter().map(|column| column.register).collect();
        let expands = instructions.iter().any(|instruction| matches!(instruction, Instruction::Unnest { .. }));
        let (instructions, needed) = prune(instructions, &output, scope.width());
        // An input column that comes out as it went in is read only where rows are made anew.
        let read = |register: &Register| needed[*register] && (expands || is_read(&instructions, *register));
        let columns: Vec<usize> = (0..input.fields().len()).filter(read).collect();
        let schema = Arc::new(Schema::new_with_metadata(scope.fields(), input.metadata().clone()));
        let filters = instructions.iter().any(|instruction| matches!(instruction, Instruction::Filter { .. } | Instruction::Nothing));
        let chain = Self {
            inputs: columns.iter().map(|column| (*column, input.field(*column).data_type().clone())).collect(),
            input_names: input.fields().iter().map(|field| field.name().clone()).collect(),
            width: scope.width(),
            instructions,
            output,
            schema: schema.clone(),
            missing: scope.missing().to_vec(),
            expands,
        };
        Ok((chain, Plan { output: schema, columns, filters, expands }))
    }
}

/// Leaves out what nobody reads; answers what is left, and which registers are needed at some point.
fn prune(instructions: Vec<Instruction>, output: &[Register], width: usize) -> (Vec<Instruction>, Vec<bool>) {
    let mut needed = vec![false; width];
    output.iter().for_each(|register| needed[*register] = true);
    let mut kept = Vec::with_capacity(instructions.len());
    for mut instruction in instructions.into_iter().rev() {
        match &mut instruction {
            Instruction::Assign { to, .. } if !needed[*to] => continue,
            Instruction::Assign { node, .. } => node.reads(&mut |register| needed[register] = true),
            Instruction::Convert(conversion) => {
                let refuses = conversion.may_fail && conversion.on_error == OnConvertError::Reject;
                if !needed[conversion.to] && !refuses {
                    continue;
                }
                needed[conversion.from] = true;
            }
            Instruction::Filter { from, .. } => needed[*from] = true,
            Instruction::Nothing => {}
            Instruction::Unnest { from, to, live } => {
                // What is made later is not there yet, and the items are made here.
                *live = (0..width).filter(|register| needed[*register] && register != to).collect();
                needed[*from] = true;
            }
        }
        kept.push(instruction);
    }
    kept.reverse();
    // Registers that are made only behind an `unnest` cannot be stretched by it.
    let mut made: Vec<bool> = vec![true; width];
    for instruction in &kept {
        match instruction {
            Instruction::Assign { to, .. } | Instruction::Unnest { to, .. } => made[*to] = false,
            Instruction::Convert(conversion) => made[conversion.to] = false,
            _ => {}
        }
    }
    for instruction in &mut kept {
        match instruction {
            Instruction::Assign { to, .. } => made[*to] = true,
            Instruction::Convert(conversion) => made[conversion.to] = true,
            Instruction::Unnest { to, live, .. } => {
                live.retain(|register| made[*register]);
                made[*to] = true;
            }
            _ => {}
        }
    }
    (kept, needed)
}

/// Whether an instruction reads a register.
fn is_read(instructions: &[Instruction], register: Register) -> bool {
    instructions.iter().any(|instruction| match instruction {
        Instruction::Assign { node, .. } => {
            let mut found = false;
            node.reads(&mut |read| found |= read == register);
            found
        }
        Instruction::Convert(Conversion { from, .. }) | Instruction::Filter { from, .. } | Instruction::Unnest { from, .. } => {
            *from == register
        }
        Instruction::Nothing => false,
    })
}

struct Builder<'a> {
    scope: Scope,
    /// Whether the source has columns, so that one which is not among them is a mistake.
    knows_columns: bool,
    late: bool,
    env: &'a [(String, String)],
    uuids: u64,
    instructions: Vec<Instruction>,
    problems: Vec<Problem>,
}

impl Builder<'_> {
    fn problem(&mut self, field: String, code: &'static str, (message, help): Wrong) {
        self.problems.push(Problem { field: Some(field), code, message, help });
    }

    fn step(&mut self, at: &str, step: &Step) {
        match step {
            Step::Rename(pairs) => self.rename(at, pairs),
            Step::Convert { fields, on_error } => {
                for (name, target) in fields {
                    self.convert(at, name, target, *on_error);
                }
            }
            Step::Defaults(fields) => {
                for (name, value) in fields {
                    let done = self.default(name, value);
                    self.settle(format!("{at}.defaults.{name}"), "default_type", name, done);
                }
            }
            Step::Add(fields) => {
                for (name, value) in fields {
                    let done = self.add(value);
                    self.settle(format!("{at}.add.{name}"), "expression", name, done.map(Some));
                }
            }
            Step::Set(fields) => {
                for (name, value) in fields {
                    let done = Typed::constant(value);
                    self.settle(format!("{at}.set.{name}"), "value", name, done.map(Some));
                }
            }
            Step::Select(names) => self.select(at, names),
            Step::Drop(names) => self.scope.columns.retain(|column| !names.contains(&column.name)),
            Step::Filter(filter) => self.filter(at, filter),
            Step::Map { field, mapping, default } => {
                let Some(register) = self.scope.find_or_miss(field) else { return };
                let done = node::lookup(self.column(register), mapping, default.as_ref());
                self.settle(format!("{at}.map"), "map_type", field, done.map(Some));
            }
            Step::Unnest(name) => self.unnest(at, name),
            Step::FillNull(fields) => {
                for (name, value) in fields {
                    let done = match value.as_str().and_then(Moment::parse) {
                        Some(moment) => self.fill_moment(name, moment),
                        None => self.default(name, value),
                    };
                    self.settle(format!("{at}.fill_null.{name}"), "default_type", name, done);
                }
            }
        }
    }

    fn column(&self, register: Register) -> Typed {
        Typed { node: Node::Column(register), data_type: self.scope.data_type(register).clone() }
    }

    /// Puts what was compiled under its name; `None` = the column stays as it is.
    fn settle(&mut self, at: String, code: &'static str, name: &str, done: Result<Option<Typed>, Wrong>) {
        match done {
            Ok(None) => {}
            Ok(Some(Typed { node: Node::Column(register), .. })) => self.scope.set(name, register),
            Ok(Some(Typed { node, data_type })) => {
                let data_type = if data_type == DataType::Null { DataType::Utf8 } else { data_type };
                let to = self.scope.add(data_type);
                self.instructions.push(Instruction::Assign { to, name: name.to_owned(), node });
                self.scope.set(name, to);
            }
            Err(wrong) => {
                self.problem(at, code, wrong);
                // The steps behind it should not complain that the column is missing.
                if self.scope.find(name).is_none() {
                    let to = self.scope.add(DataType::Null);
                    self.scope.set(name, to);
                }
            }
        }
    }

    fn rename(&mut self, at: &str, pairs: &[(String, String)]) {
        let mut names: Vec<String> = self.scope.columns.iter().map(|column| column.name.clone()).collect();
        for (old, new) in pairs {
            match self.scope.position(old) {
                Some(position) => names[position].clone_from(new),
                None => self.scope.miss(old),
            }
        }
        let mut clash = false;
        for (index, name) in names.iter().enumerate().filter(|(index, name)| names[..*index].contains(name)) {
            clash = true;
            let first = names.iter().position(|other| other == name).unwrap_or(index);
            let [left, right] = [first, index].map(|index| self.scope.columns[index].name.clone());
            let changed = if name == &right { &left } else { &right };
            let at = format!("{at}.rename.{changed}");
            self.problem(
                at,
                "duplicate_column",
                (format!("`{left}` and `{right}` would both be named `{name}`"), Some("drop or rename one of them first".into())),
            );
        }
        if !clash {
            self.scope.columns.iter_mut().zip(names).for_each(|(column, name)| column.name = name);
        }
    }

    fn convert(&mut self, at: &str, name: &str, target: &Type, on_error: OnConvertError) {
        let Some(from) = self.scope.find_or_miss(name) else { return };
        let from_type = self.scope.data_type(from).clone();
        let data_type = match convert::output(&from_type, target) {
            Ok(data_type) => data_type,
            Err((message, hint)) => return self.problem(format!("{at}.convert.{name}"), "convert_type", (message, Some(hint.into()))),
        };
        // Who asks for texts gets texts, though as values they would be others.
        let as_texts = *target == Type::String && self.scope.is_json_text(from);
        if convert::is_done(&from_type, target, &data_type) && !as_texts {
            return;
        }
        let may_fail = convert::may_fail(&from_type, target);
        // `keep` makes text only where there may be something to keep.
        let keeps = on_error == OnConvertError::Keep && may_fail;
        let on_error = if on_error == OnConvertError::Keep && !keeps { OnConvertError::Null } else { on_error };
        let to = self.scope.add_like(from, if keeps { DataType::Utf8 } else { data_type.clone() });
        self.instructions.push(Instruction::Convert(Conversion {
            from,
            to,
            name: name.to_owned(),
            target: target.clone(),
            data_type,
            on_error,
            may_fail,
        }));
        self.scope.set(name, to);
    }

    /// Compiles a default: in the column's type where it fits, else both widen to text.
    fn default(&mut self, name: &str, value: &Value) -> Result<Option<Typed>, Wrong> {
        let Some(register) = self.scope.find(name) else { return Typed::constant(value).map(Some) };
        if value.is_null() || !self.scope.is_nullable(register) {
            return Ok(None);
        }
        let column = self.column(register).normal();
        let to = column.data_type.clone();
        if to == DataType::Null {
            return Typed::constant(value).map(Some);
        }
        match json::build(&[Some(value)], &to) {
            Ok(array) => Ok(Some(node::coalesce(vec![column, Typed { node: Node::Constant(array), data_type: to }]))),
            Err(_) if matches!(to, DataType::Int64 | DataType::Float64) && (value.is_number() || value.is_string()) => {
                Ok(Some(node::coalesce(vec![column, Typed::constant(value)?])))
            }
            Err(message) => Err((
                message,
                Some(format!("column `{name}` is {}: give a value of that type, or convert the column first", describe(&to))),
            )),
        }
    }

    fn fill_moment(&mut self, name: &str, moment: Moment) -> Result<Option<Typed>, Wrong> {
        let moment = |data_type: DataType| Typed { node: Node::Moment(moment, data_type.clone()), data_type };
        let Some(register) = self.scope.find(name) else { return Ok(Some(moment(utc()))) };
        let column = self.column(register).normal();
        match column.data_type.clone() {
            DataType::Null => Ok(Some(moment(utc()))),
            to @ (DataType::Timestamp(_, _) | DataType::Date32 | DataType::Utf8) => Ok(Some(node::coalesce(vec![column, moment(to)]))),
            other => Err((format!("a date does not fit a column of type {}", describe(&other)), None)),
        }
    }

    fn add(&mut self, value: &Value) -> Result<Typed, Wrong> {
        let Value::String(text) = value else { return Typed::constant(value) };
        let expr = expr::parse(text).map_err(|error| (format!("column {} of `{text}`: {}", error.column, error.message), error.hint))?;
        if let Expr::Literal(value) = &expr {
            return Typed::constant(value);
        }
        Compiler { scope: &mut self.scope, env: self.env, uuids: &mut self.uuids }.compile(&expr)
    }

    fn select(&mut self, at: &str, names: &[String]) {
        let mut columns: Vec<Named> = Vec::with_capacity(names.len());
        for (index, name) in names.iter().enumerate() {
            if columns.iter().any(|column| &column.name == name) {
                self.problem(format!("{at}.select[{index}]"), "duplicate_column", (format!("`{name}` is selected twice"), None));
                continue;
            }
            let found = self.scope.find_or_miss(name);
            if found.is_none() && self.knows_columns {
                self.unknown(format!("{at}.select[{index}]"), name);
            }
            let register = found.unwrap_or_else(|| {
                let to = self.scope.add(DataType::Utf8);
                let node = Node::Constant(arrow_array::new_null_array(&DataType::Utf8, 1));
                self.instructions.push(Instruction::Assign { to, name: name.clone(), node });
                to
            });
            columns.push(Named { name: name.clone(), register });
        }
        self.scope.columns = columns;
    }

    /// Says that a column is not there, and which are.
    fn unknown(&mut self, at: String, name: &str) {
        let there: Vec<String> = self.scope.columns.iter().map(|column| format!("`{}`", column.name)).collect();
        let near = crate::text::near(name, self.scope.columns.iter().map(|column| column.name.as_str()));
        let near = near.map(|near| format!("did you mean `{near}`? ")).unwrap_or_default();
        let help = format!("{near}columns here are {}", there.join(", "));
        self.problem(at, "unknown_column", (format!("there is no column `{name}`"), Some(help)));
    }

    fn filter(&mut self, at: &str, filter: &Filter) {
        let Filter { field, operator, value } = filter;
        let Some(from) = self.scope.find_or_miss(field) else {
            if self.knows_columns {
                self.unknown(format!("{at}.filter.field"), field);
            }
            if *operator != Operator::IsNull {
                self.instructions.push(Instruction::Nothing);
            }
            return;
        };
        match filter::compile(*operator, value, self.scope.data_type(from)) {
            Ok(test) => self.instructions.push(Instruction::Filter { from, test }),
            Err(wrong) => self.problem(format!("{at}.filter.value"), "filter_value", wrong),
        }
    }

    fn unnest(&mut self, at: &str, name: &str) {
        let Some(from) = self.scope.find_or_miss(name) else {
            // Of rows without the list there is nothing to unnest; a name that no row can have is a slip.
            if self.knows_columns && !self.late {
                self.unknown(format!("{at}.unnest"), name);
            }
            return;
        };
        match self.scope.data_type(from).clone() {
            DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
                let to = self.scope.add(item.data_type().clone());
                self.instructions.push(Instruction::Unnest { from, to, live: Vec::new() });
                self.scope.set(name, to);
            }
            DataType::Null => {}
            other => {
                let help = if normal(&other) == DataType::Utf8 {
                    "the column is text: let the reader parse it, or split it in a `jsonata` step"
                } else {
                    "only lists have items"
                };
                self.problem(format!("{at}.unnest"), "not_a_list", (format!("column `{name}` is {}", describe(&other)), Some(help.into())));
            }
        }
    }
}
