//! Tapes to Arrow columns, a row at a time.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::builder::{BooleanBuilder, PrimitiveBuilder, StringBuilder};
use arrow_array::types::{Date32Type, Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{ArrayRef, ListArray, StructArray};
use arrow_buffer::{NullBufferBuilder, OffsetBuffer, ScalarBuffer};

use super::layout::{Layout, nothing};
use super::refuse::Bad;
use super::scalar;
use super::tape::{Node, Tape};
use super::target::Target;
use crate::error::{Context, Result};

/// What a value that does not fit is about.
#[derive(Debug)]
pub(super) enum Misfit {
    /// The value at this path, shown so, is not of this type.
    Type { path: String, value: String, target: Target },
    /// The object has a member that is not known.
    Unknown { path: String },
    /// The object has two members of one name.
    Twice { path: String },
}

/// The columns of a batch as they grow.
pub(super) struct Columns {
    builders: Vec<Builder>,
    names: Names,
    rows: usize,
}

/// Names of an object's members.
struct Names {
    by_name: HashMap<String, usize>,
    list: Vec<String>,
    /// For each member, the number of the object in which it was last seen.
    seen: Vec<u64>,
    object: u64,
}

impl Names {
    fn new(list: Vec<String>) -> Self {
        let by_name = list.iter().enumerate().map(|(index, name)| (name.clone(), index)).collect();
        Self { by_name, seen: vec![0; list.len()], list, object: 0 }
    }

    /// The member of this name, where members mostly come in order: `guess` is the one after the last.
    fn find(&self, name: &str, guess: usize) -> Option<usize> {
        if self.list.get(guess).is_some_and(|guessed| guessed == name) { Some(guess) } else { self.by_name.get(name).copied() }
    }
}

/// A column as it grows.
enum Builder {
    Nothing { values: StringBuilder, scratch: String },
    Bool { values: BooleanBuilder, pinned: bool },
    Int { values: PrimitiveBuilder<Int64Type>, pinned: bool },
    Float { values: PrimitiveBuilder<Float64Type>, pinned: bool },
    Text { values: StringBuilder, scratch: String },
    Json { values: StringBuilder, scratch: String, pinned: bool },
    Decimal { values: PrimitiveBuilder<Decimal128Type>, precision: u8, scale: i8 },
    Date(PrimitiveBuilder<Date32Type>),
    Timestamp { values: PrimitiveBuilder<TimestampMicrosecondType>, zone: Option<Arc<str>> },
    List { offsets: Vec<i32>, nulls: NullBufferBuilder, items: Box<Builder>, target: Target, length: usize },
    Object { names: Names, nulls: NullBufferBuilder, members: Vec<Builder>, targets: Vec<(String, Target)>, length: usize },
}

impl Columns {
    /// Starts the columns of a batch; those in `as_text` are read as text instead of as their own type.
    pub(super) fn new(layout: &Layout, as_text: &[usize], rows: usize) -> Self {
        let builders = layout.columns.iter().enumerate().map(|(index, column)| {
            let target = if as_text.contains(&index) { &Target::Text } else { &column.target };
            Builder::new(target, column.pinned, rows)
        });
        let names = layout.columns.iter().map(|column| column.name.clone()).collect();
        Self { builders: builders.collect(), names: Names::new(names), rows: 0 }
    }

    /// Adds the row on the tape; answers the column and what does not fit, in which case the row is there with nulls.
    pub(super) fn append(&mut self, tape: &Tape<'_>, layout: &Layout) -> Option<(Option<usize>, Misfit)> {
        let Self { builders, names, rows } = self;
        *rows += 1;
        names.object += 1;
        let mut misfit: Option<(Option<usize>, Misfit)> = None;
        let mut guess = 0;
        for (key, value) in tape.members(0) {
            let Some(index) = names.find(key, guess) else {
                if !layout.chosen && tape.nodes[value] != Node::Null && !layout.unused.contains(key) {
                    misfit.get_or_insert_with(|| (None, Misfit::Unknown { path: key.into() }));
                }
                continue;
            };
            guess = index + 1;
            if names.seen[index] == names.object {
                misfit.get_or_insert_with(|| (None, Misfit::Twice { path: key.into() }));
                continue;
            }
            names.seen[index] = names.object;
            if let Err(wrong) = builders[index].append(tape, value)
                && misfit.is_none()
            {
                misfit = Some((Some(index), wrong));
            }
        }
        for (index, builder) in builders.iter_mut().enumerate() {
            if names.seen[index] != names.object {
                builder.append_null();
            }
        }
        misfit
    }

    /// How many rows there are.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// The columns.
    pub(super) fn finish(self) -> Result<Vec<ArrayRef>> {
        self.builders.into_iter().map(Builder::finish).collect()
    }
}

impl Builder {
    fn new(target: &Target, pinned: bool, rows: usize) -> Self {
        let text = || StringBuilder::with_capacity(rows, rows * 8);
        match target {
            Target::Nothing => Self::Nothing { values: StringBuilder::new(), scratch: String::new() },
            Target::Bool => Self::Bool { values: BooleanBuilder::with_capacity(rows), pinned },
            Target::Int => Self::Int { values: PrimitiveBuilder::with_capacity(rows), pinned },
            Target::Float => Self::Float { values: PrimitiveBuilder::with_capacity(rows), pinned },
            Target::Text | Target::Declared(_) => Self::Text { values: text(), scratch: String::new() },
            Target::Json => Self::Json { values: text(), scratch: String::new(), pinned },
            Target::Decimal(precision, scale) => {
                let values = PrimitiveBuilder::with_capacity(rows).with_data_type(target.data_type());
                Self::Decimal { values, precision: *precision, scale: *scale }
            }
            Target::Date => Self::Date(PrimitiveBuilder::with_capacity(rows)),
            Target::Timestamp(zone) => {
                let values = PrimitiveBuilder::with_capacity(rows).with_data_type(target.data_type());
                Self::Timestamp { values, zone: zone.clone() }
            }
            Target::List(items) => Self::List {
                offsets: vec![0],
                nulls: NullBufferBuilder::new(rows),
                items: Box::new(Self::new(items, pinned, rows)),
                target: (**items).clone(),
                length: 0,
            },
            Target::Object(members) => Self::Object {
                names: Names::new(members.iter().map(|(name, _)| name.clone()).collect()),
                nulls: NullBufferBuilder::new(rows),
                members: members.iter().map(|(_, target)| Self::new(target, pinned, rows)).collect(),
                targets: members.clone(),
                length: 0,
            },
        }
    }

    /// Adds the value at `at`, or null where it does not fit.
    fn append(&mut self, tape: &Tape<'_>, at: usize) -> Result<(), Misfit> {
        let node = &tape.nodes[at];
        if *node == Node::Null {
            self.append_null();
            return Ok(());
        }
        if tape.lists_of_one
            && !matches!(node, Node::List(_))
            && let Self::List { offsets, nulls, items, length, .. } = self
        {
            *length += 1;
            offsets.push(i32::try_from(*length).unwrap_or(i32::MAX));
            nulls.append_non_null();
            return items.append(tape, at);
        }
        match self {
            Self::Bool { values, pinned } => {
                let value = match node {
                    Node::Bool(value) => Some(*value),
                    Node::Loose(text) if !*pinned => scalar::bool(text.as_bytes()),
                    Node::Loose(text) | Node::Text(text) if *pinned => scalar::pinned_bool(text),
                    Node::Number(text) if *pinned => scalar::pinned_bool(text),
                    _ => None,
                };
                values.append_option(value);
                fits(value.is_some(), tape, at, || Target::Bool)
            }
            Self::Int { values, pinned } => {
                let value = match node {
                    Node::Int(value) => Some(*value),
                    Node::Number(text) => scalar::int(text.as_bytes()),
                    Node::Float(value) => (value.fract() == 0.0 && value.abs() < (1u64 << 53) as f64).then_some(*value as i64),
                    Node::Loose(text) if !*pinned => scalar::int(text.as_bytes()),
                    Node::Loose(text) | Node::Text(text) if *pinned => scalar::pinned_int(text),
                    _ => None,
                };
                values.append_option(value);
                fits(value.is_some(), tape, at, || Target::Int)
            }
            Self::Float { values, pinned } => {
                let value = match node {
                    Node::Float(value) => Some(*value),
                    Node::Int(value) => (value.unsigned_abs() <= 1 << 53).then_some(*value as f64),
                    Node::Number(text) if *pinned => scalar::pinned_float(text),
                    Node::Number(text) => scalar::float(text.as_bytes()),
                    Node::Loose(text) if !*pinned => scalar::float(text.as_bytes()),
                    Node::Loose(text) | Node::Text(text) if *pinned => scalar::pinned_float(text),
                    _ => None,
                };
                values.append_option(value);
                fits(value.is_some(), tape, at, || Target::Float)
            }
            Self::Nothing { values, scratch } | Self::Text { values, scratch } => {
                match node {
                    Node::Text(text) | Node::Loose(text) => values.append_value(text),
                    Node::Number(text) => values.append_value(text),
                    _ => {
                        scratch.clear();
                        tape.write_text(at, scratch);
                        values.append_value(&*scratch);
                    }
                }
                Ok(())
            }
            Self::Json { values, scratch, pinned } => {
                if let (Node::Text(text) | Node::Loose(text), true) = (node, *pinned) {
                    // A pinned column takes a text that is JSON as that JSON.
                    let right = serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
                    values.append_option(right.then_some(text));
                    return fits(right, tape, at, || Target::Json);
                }
                scratch.clear();
                tape.write_json(at, scratch);
                values.append_value(&*scratch);
                Ok(())
            }
            Self::Decimal { values, precision, scale } => {
                let mut text = String::new();
                tape.write_text(at, &mut text);
                let value = scalar::decimal(&text, *precision, *scale);
                values.append_option(value);
                fits(value.is_some(), tape, at, || Target::Decimal(*precision, *scale))
            }
            Self::Date(values) => {
                let value = match node {
                    Node::Text(text) | Node::Loose(text) => scalar::date(text),
                    Node::Instant(micros) => i32::try_from(micros.div_euclid(86_400_000_000)).ok(),
                    _ => None,
                };
                values.append_option(value);
                fits(value.is_some(), tape, at, || Target::Date)
            }
            Self::Timestamp { values, zone } => {
                let value = match node {
                    Node::Instant(micros) => Some(*micros),
                    Node::Text(text) | Node::Loose(text) => scalar::timestamp(text, zone.as_deref()),
                    _ => None,
                };
                values.append_option(value);
                fits(value.is_some(), tape, at, || Target::Timestamp(zone.clone()))
            }
            Self::List { offsets, nulls, items, target, length } => {
                let mut misfit = Ok(());
                let right = matches!(node, Node::List(_));
                if right {
                    for (number, item) in tape.items(at).enumerate() {
                        let result = items.append(tape, item).map_err(|wrong| wrong.within(&format!("[{number}]")));
                        *length += 1;
                        misfit = misfit.and(result);
                    }
                } else {
                    misfit = fits(false, tape, at, || Target::List(Box::new(target.clone())));
                }
                offsets.push(i32::try_from(*length).unwrap_or(i32::MAX));
                nulls.append(right);
                misfit
            }
            Self::Object { names, nulls, members, targets, length } => {
                *length += 1;
                let right = matches!(node, Node::Object(_));
                nulls.append(right);
                if !right {
                    members.iter_mut().for_each(Self::append_null);
                    return fits(false, tape, at, || Target::Object(targets.clone()));
                }
                names.object += 1;
                let mut misfit = Ok(());
                let mut guess = 0;
                for (key, value) in tape.members(at) {
                    let path = || format!(".{key}");
                    let result = match names.find(key, guess) {
                        None if tape.nodes[value] == Node::Null => Ok(()),
                        None => Err(Misfit::Unknown { path: path() }),
                        Some(index) if names.seen[index] == names.object => Err(Misfit::Twice { path: path() }),
                        Some(index) => {
                            guess = index + 1;
                            names.seen[index] = names.object;
                            members[index].append(tape, value).map_err(|wrong| wrong.within(&path()))
                        }
                    };
                    misfit = misfit.and(result);
                }
                for (index, member) in members.iter_mut().enumerate() {
                    if names.seen[index] != names.object {
                        member.append_null();
                    }
                }
                misfit
            }
        }
    }

    fn append_null(&mut self) {
        match self {
            Self::Bool { values, .. } => values.append_null(),
            Self::Int { values, .. } => values.append_null(),
            Self::Float { values, .. } => values.append_null(),
            Self::Nothing { values, .. } | Self::Text { values, .. } | Self::Json { values, .. } => values.append_null(),
            Self::Decimal { values, .. } => values.append_null(),
            Self::Date(values) => values.append_null(),
            Self::Timestamp { values, .. } => values.append_null(),
            Self::List { offsets, nulls, length, .. } => {
                offsets.push(i32::try_from(*length).unwrap_or(i32::MAX));
                nulls.append_null();
            }
            Self::Object { nulls, members, length, .. } => {
                *length += 1;
                nulls.append_null();
                members.iter_mut().for_each(Self::append_null);
            }
        }
    }

    fn finish(self) -> Result<ArrayRef> {
        Ok(match self {
            Self::Bool { mut values, .. } => Arc::new(values.finish()),
            Self::Int { mut values, .. } => Arc::new(values.finish()),
            Self::Float { mut values, .. } => Arc::new(values.finish()),
            Self::Nothing { mut values, .. } => nothing(Arc::new(values.finish())),
            Self::Text { mut values, .. } | Self::Json { mut values, .. } => Arc::new(values.finish()),
            Self::Decimal { mut values, .. } => Arc::new(values.finish()),
            Self::Date(mut values) => Arc::new(values.finish()),
            Self::Timestamp { mut values, .. } => Arc::new(values.finish()),
            Self::List { offsets, mut nulls, items, target, .. } => {
                let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
                let list = ListArray::try_new(target.item_field(), offsets, items.finish()?, nulls.finish());
                Arc::new(list.bug(|| "the items of a list do not agree".into())?)
            }
            Self::Object { members, mut nulls, targets, length, .. } => {
                let members = members.into_iter().map(Self::finish).collect::<Result<Vec<_>>>()?;
                let fields = Target::member_fields(&targets);
                let object = StructArray::try_new_with_length(fields, members, nulls.finish(), length);
                Arc::new(object.bug(|| "the members of an object do not agree".into())?)
            }
        })
    }
}

impl Misfit {
    fn within(self, outer: &str) -> Self {
        let join = |path: String| format!("{outer}{path}");
        match self {
            Self::Type { path, value, target } => Self::Type { path: join(path), value, target },
            Self::Unknown { path } => Self::Unknown { path: join(path) },
            Self::Twice { path } => Self::Twice { path: join(path) },
        }
    }

    /// Why the row is refused.
    pub(super) fn bad(self, column: Option<usize>, layout: &Layout) -> Bad {
        let full = |path: String| match column {
            Some(column) => format!("{}{path}", layout.columns[column].name),
            None => path,
        };
        match self {
            Self::Type { path, value, target } => layout.mismatch(column.unwrap_or_default(), &path, &value, &target),
            Self::Unknown { path } => Bad {
                code: "unknown_column",
                message: format!("no row of the first {} has it", layout.infer_rows),
                field: Some(full(path)),
                hint: Some("name it under `schema`, or raise `infer_rows`".into()),
            },
            Self::Twice { path } => {
                Bad { code: "duplicate_key", message: "the record has it twice".into(), field: Some(full(path)), hint: None }
            }
        }
    }
}

fn fits(right: bool, tape: &Tape<'_>, at: usize, target: impl FnOnce() -> Target) -> Result<(), Misfit> {
    if right {
        return Ok(());
    }
    let mut value = String::new();
    tape.write_text(at, &mut value);
    Err(Misfit::Type { path: String::new(), value, target: target() })
}
