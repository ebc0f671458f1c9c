//! What an expression compiles to once the columns are known.

use arrow_array::ArrayRef;
use arrow_schema::DataType;
use etl_steps::Type;
use etl_steps::expr::{Expr, Field, Function, Part, Segment};
use serde_json::Value;

use crate::column::{describe, is_nested, is_text, normal};
use crate::convert;
use crate::json;
use crate::scope::{Register, Scope};

/// A computation of one column.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    /// A register as it is.
    Column(Register),
    /// The same value in every row; the array has one.
    Constant(ArrayRef),
    /// The run's start as text, in ISO 8601 or as the format says.
    Now(Option<String>),
    /// The day of the run's start as text.
    Today,
    /// A date of the run's start, as instant, day or text.
    Moment(Moment, DataType),
    /// An identifier a row; the number tells several columns of them apart.
    Uuid(u64),
    /// Texts and values one after the other.
    Template(Vec<Piece>),
    /// The same value as a wider type.
    Cast(Box<Self>, DataType),
    /// The first that is not null; all of one type.
    Coalesce(Vec<Self>),
    /// A function of one argument.
    Call(Function, Box<Self>),
    /// The difference of two floats.
    Sub(Box<Self>, Box<Self>),
    /// A member of an object.
    Member(Box<Self>, usize),
    /// An item of a list.
    Item(Box<Self>, usize),
    /// A look-up by text.
    Lookup(Box<Lookup>),
}

/// A part of a template.
#[derive(Clone, Debug)]
pub(crate) enum Piece {
    /// A text as it stands.
    Text(String),
    /// The text of a value, and what stands in for null.
    Value(Node, String),
}

/// A look-up by text.
#[derive(Clone, Debug)]
pub(crate) struct Lookup {
    /// The text to look up; null stays null.
    pub(crate) key: Node,
    /// Texts, sorted, with the index of their value.
    pub(crate) keys: Vec<(String, usize)>,
    /// The values; the last is the default where there is one.
    pub(crate) values: ArrayRef,
    /// What is not found: its own value, or else the last of the values.
    pub(crate) own: Option<Node>,
}

/// A date of the run's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// The start itself.
    Now,
    /// Monday 00:00 of its week, UTC.
    WeekStart,
    /// Sunday 23:59:59.999999 of its week, UTC.
    WeekEnd,
}

impl Moment {
    /// Reads `@now` and the like.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text {
            "@now" | "@utcnow" => Some(Self::Now),
            "@week_start" => Some(Self::WeekStart),
            "@week_end" => Some(Self::WeekEnd),
            _ => None,
        }
    }
}

/// What is wrong, and what to do about it.
pub(crate) type Wrong = (String, Option<String>);

impl Node {
    /// Calls `f` with every register that it reads.
    pub(crate) fn reads(&self, f: &mut impl FnMut(Register)) {
        match self {
            Self::Column(register) => f(*register),
            Self::Constant(_) | Self::Now(_) | Self::Today | Self::Moment(_, _) | Self::Uuid(_) => {}
            Self::Template(pieces) => {
                for piece in pieces {
                    if let Piece::Value(node, _) = piece {
                        node.reads(f);
                    }
                }
            }
            Self::Coalesce(nodes) => nodes.iter().for_each(|node| node.reads(f)),
            Self::Cast(node, _) | Self::Call(_, node) | Self::Member(node, _) | Self::Item(node, _) => node.reads(f),
            Self::Sub(left, right) => {
                left.reads(f);
                right.reads(f);
            }
            Self::Lookup(lookup) => {
                lookup.key.reads(f);
                if let Some(own) = &lookup.own {
                    own.reads(f);
                }
            }
        }
    }

    /// The same value as the type `to`.
    pub(crate) fn cast(self, from: &DataType, to: &DataType) -> Self {
        if from == to { self } else { Self::Cast(Box::new(self), to.clone()) }
    }
}

/// A node and the type of its values.
pub(crate) struct Typed {
    /// The computation.
    pub(crate) node: Node,
    /// The type that it gives.
    pub(crate) data_type: DataType,
}

impl Typed {
    fn new(node: Node, data_type: DataType) -> Self {
        Self { node, data_type }
    }

    /// Makes a constant from a value of the options.
    pub(crate) fn constant(value: &Value) -> Result<Self, Wrong> {
        let data_type = json::infer(value);
        let array = json::build(&[Some(value)], &data_type).map_err(|message| (message, None))?;
        Ok(Self::new(Node::Constant(array), data_type))
    }

    fn null() -> Self {
        Self::new(Node::Constant(arrow_array::new_null_array(&DataType::Null, 1)), DataType::Null)
    }

    /// The value in the type that the operations work on.
    pub(crate) fn normal(self) -> Self {
        let to = normal(&self.data_type);
        self.cast(&to)
    }

    /// The value as a wider type.
    pub(crate) fn cast(self, to: &DataType) -> Self {
        Self::new(self.node.cast(&self.data_type, to), to.clone())
    }

    fn text(self) -> Self {
        self.cast(&DataType::Utf8)
    }
}

/// Answers the first value that is not null; the types widen to one that holds all.
pub(crate) fn coalesce(values: Vec<Typed>) -> Typed {
    let values: Vec<Typed> = values.into_iter().map(Typed::normal).collect();
    let to = values.iter().map(|value| value.data_type.clone()).reduce(|left, right| json::unify(&left, &right)).unwrap_or(DataType::Null);
    Typed::new(Node::Coalesce(values.into_iter().map(|value| value.cast(&to).node).collect()), to)
}

/// Compiles expressions against the columns of one place in the chain.
pub(crate) struct Compiler<'a> {
    /// The columns.
    pub(crate) scope: &'a mut Scope,
    /// Granted variables.
    pub(crate) env: &'a [(String, String)],
    /// Identifier columns so far.
    pub(crate) uuids: &'a mut u64,
}

impl Compiler<'_> {
    /// Compiles an expression.
    pub(crate) fn compile(&mut self, expr: &Expr) -> Result<Typed, Wrong> {
        match expr {
            Expr::Literal(value) => Typed::constant(value),
            Expr::Field(field) => self.field(field),
            Expr::Template(parts) => {
                let mut pieces = Vec::with_capacity(parts.len());
                for part in parts {
                    pieces.push(match part {
                        Part::Text(text) => Piece::Text(text.clone()),
                        Part::Field(field) => {
                            let value = self.reference(field)?;
                            Piece::Value(self.writable(value)?.node, field.default.clone().unwrap_or_default())
                        }
                    });
                }
                Ok(Typed::new(Node::Template(pieces), DataType::Utf8))
            }
            Expr::Word(word) => match self.scope.find(word) {
                Some(register) => Ok(Typed::new(Node::Column(register), self.scope.data_type(register).clone())),
                None => Typed::constant(&Value::String(word.clone())),
            },
            Expr::Call(function, arguments) => self.call(*function, arguments),
        }
    }

    /// A field with its default: a default that reads as the field's type keeps the type, any other makes it text.
    fn field(&mut self, field: &Field) -> Result<Typed, Wrong> {
        let value = self.reference(field)?;
        let Some(default) = &field.default else { return Ok(value) };
        let default = Value::String(default.clone());
        let to = normal(&value.data_type);
        if let (false, Ok(typed)) = (to == DataType::Null, json::build(&[Some(&default)], &to)) {
            return Ok(coalesce(vec![value, Typed::new(Node::Constant(typed), to)]));
        }
        Ok(coalesce(vec![value, Typed::constant(&default)?]))
    }

    /// A field without its default; null where it is missing.
    fn reference(&mut self, field: &Field) -> Result<Typed, Wrong> {
        if let Some(register) = self.scope.find(&field.name) {
            return Ok(Typed::new(Node::Column(register), self.scope.data_type(register).clone()));
        }
        let found = self.walk(&field.path);
        if found.is_none() && field.default.is_none() {
            self.scope.miss(&field.name);
        }
        Ok(found.unwrap_or_else(Typed::null))
    }

    fn walk(&self, path: &[Segment]) -> Option<Typed> {
        let (Segment::Name(first), rest) = path.split_first()? else { return None };
        let register = self.scope.find(first)?;
        let mut value = Typed::new(Node::Column(register), self.scope.data_type(register).clone());
        for segment in rest {
            value = match (segment, &value.data_type) {
                (Segment::Name(name), DataType::Struct(fields)) => {
                    let (index, member) = fields.find(name)?;
                    let data_type = member.data_type().clone();
                    Typed::new(Node::Member(Box::new(value.node), index), data_type)
                }
                (Segment::Index(index), DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _)) => {
                    let data_type = item.data_type().clone();
                    Typed::new(Node::Item(Box::new(value.node), *index), data_type)
                }
                _ => return None,
            };
        }
        Some(value)
    }

    /// Refuses types that have no text.
    fn writable(&self, value: Typed) -> Result<Typed, Wrong> {
        match convert::output(&value.data_type, &Type::String) {
            Ok(_) => Ok(value),
            Err(_) => Err((format!("a value of type {} has no text", describe(&value.data_type)), None)),
        }
    }

    fn call(&mut self, function: Function, arguments: &[Expr]) -> Result<Typed, Wrong> {
        let text = |node| Ok(Typed::new(node, DataType::Utf8));
        match function {
            Function::Now => match arguments {
                [] => text(Node::Now(None)),
                [Expr::Literal(Value::String(format))] => text(Node::Now(Some(format.clone()))),
                _ => Err((
                    "`now(row)` needs a clock, which transforms do not get: the same input must give the same rows".into(),
                    Some("write `now()` for the run's start".into()),
                )),
            },
            Function::Uuid => {
                *self.uuids += 1;
                text(Node::Uuid(*self.uuids))
            }
            Function::Env => {
                let [Expr::Literal(Value::String(name)), rest @ ..] = arguments else { unreachable!("the parser holds `env` to a name") };
                if let Some((_, value)) = self.env.iter().find(|(known, _)| known == name) {
                    return Typed::constant(&Value::String(value.clone()));
                }
                match rest {
                    [default, ..] => self.compile(default),
                    [] => Err((
                        format!("variable `{name}` is not granted, or not set"),
                        Some(format!("grant it and set it, or give a default: `env({name}, \"…\")`")),
                    )),
                }
            }
            Function::Concat => {
                let mut pieces = Vec::with_capacity(arguments.len());
                for argument in arguments {
                    let value = self.compile(argument)?;
                    pieces.push(Piece::Value(self.writable(value)?.node, String::new()));
                }
                text(Node::Template(pieces))
            }
            Function::Coalesce | Function::Default => {
                let mut values = Vec::with_capacity(arguments.len());
                for (index, argument) in arguments.iter().enumerate() {
                    let value = match argument {
                        // A text that is always there would hide all that comes behind it: only the last word may be one.
                        Expr::Word(word) if index + 1 < arguments.len() && self.scope.find(word).is_none() => {
                            self.scope.miss(word);
                            Typed::null()
                        }
                        // What falls back is not worth a warning when it is missing.
                        Expr::Field(field)
                            if self.scope.find(&field.name).is_none() && self.walk(&field.path).is_none() && field.default.is_none() =>
                        {
                            Typed::null()
                        }
                        other => self.compile(other)?,
                    };
                    values.push(self.writable(value)?);
                }
                Ok(coalesce(values))
            }
            Function::Date if arguments.is_empty() => text(Node::Today),
            Function::Datetime if arguments.is_empty() => text(Node::Now(None)),
            Function::Sub => {
                let [left, right] = arguments else { unreachable!("the parser counts arguments") };
                let (left, right) = (self.number(function, left)?, self.number(function, right)?);
                Ok(Typed::new(Node::Sub(Box::new(left), Box::new(right)), DataType::Float64))
            }
            _ => {
                let [argument] = arguments else { unreachable!("the parser counts arguments") };
                self.call_one(function, argument)
            }
        }
    }

    fn argument(&mut self, function: Function, argument: &Expr) -> Result<Typed, Wrong> {
        if let Expr::Word(word) = argument
            && self.scope.find(word).is_none()
        {
            let hint = format!("for a text write `{}(\"{word}\")`; columns are {}", function.name(), self.scope.names());
            return Err((format!("there is no column `{word}`"), Some(hint)));
        }
        Ok(self.compile(argument)?.normal())
    }

    /// An argument as a float.
    fn number(&mut self, function: Function, argument: &Expr) -> Result<Node, Wrong> {
        let value = self.argument(function, argument)?;
        if value.data_type == DataType::Float64 {
            return Ok(value.node);
        }
        convert::output(&value.data_type, &Type::Float).map_err(|_| refusal(function, &value.data_type))?;
        Ok(Node::Call(Function::Float, Box::new(value.node)))
    }

    fn call_one(&mut self, function: Function, argument: &Expr) -> Result<Typed, Wrong> {
        let value = self.argument(function, argument)?;
        let refused = refusal(function, &value.data_type);
        let possible = |target: &Type| convert::output(&value.data_type, target).is_ok();
        let (value, data_type) = match function {
            Function::Lower | Function::Upper | Function::Trim | Function::Str => (self.writable(value)?.text(), DataType::Utf8),
            Function::Len => (if is_nested(&value.data_type) { value } else { self.writable(value)?.text() }, DataType::Int64),
            Function::Date | Function::Datetime => match value.data_type {
                DataType::Timestamp(_, _) | DataType::Date32 => (value, DataType::Utf8),
                _ => (self.writable(value)?.text(), DataType::Utf8),
            },
            Function::Int if possible(&Type::Int) => (value, DataType::Int64),
            Function::Float if possible(&Type::Float) => (value, DataType::Float64),
            Function::Bool if possible(&Type::Bool) => (value, DataType::Boolean),
            Function::EpochMsToIso if possible(&Type::Float) => (value, DataType::Utf8),
            _ => return Err(refused),
        };
        Ok(Typed::new(Node::Call(function, Box::new(value.node)), data_type))
    }
}

fn refusal(function: Function, data_type: &DataType) -> Wrong {
    (format!("`{}` does not take a value of type {}", function.name(), describe(data_type)), None)
}

/// Compiles a look-up of a column's values.
pub(crate) fn lookup(column: Typed, mapping: &[(String, Value)], default: Option<&Value>) -> Result<Typed, Wrong> {
    let column = column.normal();
    if is_nested(&column.data_type) || convert::output(&column.data_type, &Type::String).is_err() {
        return Err((format!("`map` does not take a column of type {}", describe(&column.data_type)), None));
    }
    let values: Vec<&Value> = mapping.iter().map(|(_, value)| value).chain(default).collect();
    let mut to = values.iter().map(|value| json::infer(value)).reduce(|left, right| json::unify(&left, &right)).unwrap_or(DataType::Null);
    if default.is_none() {
        to = json::unify(&to, &column.data_type);
    }
    if to == DataType::Null {
        to = DataType::Utf8;
    }
    let values: Vec<Option<&Value>> = values.into_iter().map(Some).collect();
    let values = json::build(&values, &to).map_err(|message| (message, None))?;
    let mut keys: Vec<(String, usize)> = mapping.iter().enumerate().map(|(index, (key, _))| (key.clone(), index)).collect();
    keys.sort();
    let own = default.is_none().then(|| column.node.clone().cast(&column.data_type, &to));
    let key = if is_text(&column.data_type) { column.node } else { column.node.cast(&column.data_type, &DataType::Utf8) };
    Ok(Typed::new(Node::Lookup(Box::new(Lookup { key, keys, values, own })), to))
}
