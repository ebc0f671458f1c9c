//! One column as it grows and widens.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Float64Array, Int64Array, ListArray, NullArray, StringArray, StructArray};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, NullBufferBuilder, OffsetBuffer, ScalarBuffer};
use arrow_schema::{ArrowError, Field};

use crate::Value;
use crate::marks::{JSON_TEXT, marked};
use crate::surrogate::settled;
use crate::value::{number, quoted, write_json};

/// Members of a nested object above which it is a map rather than a record, and is kept as JSON text.
const MAX_MEMBERS: usize = 512;
/// Levels of nesting below which values are kept as JSON text.
const MAX_DEPTH: usize = 16;
/// Integers whose doubles are that large have no exact 64-bit form.
const MAX_INT: f64 = 9_223_372_036_854_775_808.0;

/// One column as it grows.
#[derive(Debug)]
pub(super) enum Builder {
    /// Only nulls so far.
    Null(usize),
    Bool(Vec<bool>, NullBufferBuilder),
    Int(Vec<i64>, NullBufferBuilder),
    Float(Vec<f64>, NullBufferBuilder),
    /// Text; a value of another type as it would be written.
    Text(Texts),
    /// JSON text.
    Json(Texts),
    List(Vec<i32>, NullBufferBuilder, Box<Builder>),
    Object(Members, NullBufferBuilder),
}

/// Texts one after the other.
#[derive(Debug)]
pub(super) struct Texts {
    bytes: Vec<u8>,
    offsets: Vec<i32>,
    nulls: NullBufferBuilder,
    /// Of a column that is text since some values are: those that are none, whose text is their JSON.
    bare: Vec<usize>,
}

/// The members of an object, or the columns of a batch.
#[derive(Debug, Default)]
pub(super) struct Members {
    names: Vec<String>,
    by_name: HashMap<String, usize>,
    builders: Vec<Builder>,
    /// For each member the objects in which it is there and null; in all others where it is null it is absent.
    nulls: Vec<Vec<usize>>,
}

impl Members {
    /// The place of a member, made where there is none: `guess` is the one after the last, `length` the objects so far.
    pub(super) fn place(&mut self, name: &str, guess: usize, length: usize) -> usize {
        if self.names.get(guess).is_some_and(|guessed| guessed == name) {
            return guess;
        }
        if let Some(&place) = self.by_name.get(name) {
            return place;
        }
        let place = self.names.len();
        self.names.push(name.to_owned());
        self.by_name.insert(name.to_owned(), place);
        self.builders.push(Builder::Null(length));
        self.nulls.push(Vec::new());
        place
    }

    /// Adds an object behind `length` others.
    pub(super) fn append<'a>(&mut self, members: impl Iterator<Item = (&'a str, &'a Value)>, length: usize) {
        let mut guess = 0;
        let mut there = 0;
        for (name, value) in members {
            let place = self.place(&settled(name), guess, length);
            guess = place + 1;
            // Names that differ in lone surrogates are one.
            if self.builders[place].len() > length {
                continue;
            }
            // A number that is not finite is written as null.
            if matches!(value, Value::Null) || matches!(value, Value::Number(number) if !number.is_finite()) {
                self.nulls[place].push(length);
            }
            self.builders[place].append(value);
            there += 1;
        }
        if there < self.builders.len() {
            self.builders.iter_mut().filter(|builder| builder.len() == length).for_each(Builder::append_null);
        }
    }

    fn append_null(&mut self) {
        self.builders.iter_mut().for_each(Builder::append_null);
    }

    /// Each member: its name, its values, and whether a null among these only says that there is none.
    pub(super) fn into_parts(self) -> impl ExactSizeIterator<Item = (String, Builder, bool)> {
        let Self { names, by_name: _, builders, nulls } = self;
        names.into_iter().zip(builders).zip(nulls).map(|((name, builder), nulls)| (name, builder, nulls.is_empty()))
    }

    /// How many members there are.
    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    /// Fields that each has in a schema, its own one included.
    pub(super) fn fields(&self) -> impl Iterator<Item = usize> {
        self.builders.iter().map(Builder::fields)
    }

    fn write_json(&self, index: usize, out: &mut Vec<u8>) {
        out.push(b'{');
        let start = out.len();
        for ((name, builder), nulls) in self.names.iter().zip(&self.builders).zip(&self.nulls) {
            if builder.is_null(index) && nulls.binary_search(&index).is_err() {
                continue;
            }
            if out.len() > start {
                out.push(b',');
            }
            quoted(name, out);
            out.push(b':');
            builder.write_json(index, out);
        }
        out.push(b'}');
    }
}

impl Texts {
    fn new() -> Self {
        Self { bytes: Vec::new(), offsets: vec![0], nulls: NullBufferBuilder::new(0), bare: Vec::new() }
    }

    #[inline]
    fn end(&mut self) {
        self.offsets.push(i32::try_from(self.bytes.len()).expect("a batch that can be emitted has far less than 2 GiB of text"));
        self.nulls.append_non_null();
    }

    #[inline]
    fn push(&mut self, text: &[u8]) {
        self.bytes.extend_from_slice(text);
        self.end();
    }

    #[inline]
    fn push_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.bytes);
        self.end();
    }

    fn push_null(&mut self) {
        self.offsets.push(*self.offsets.last().expect("it starts with one"));
        self.nulls.append_null();
    }

    fn get(&self, index: usize) -> &[u8] {
        &self.bytes[self.offsets[index] as usize..self.offsets[index + 1] as usize]
    }

    fn finish(mut self) -> ArrayRef {
        let offsets = OffsetBuffer::new(ScalarBuffer::from(self.offsets));
        let nulls = self.nulls.finish();
        // SAFETY: only whole texts were written, each of them UTF-8, and offsets stand at their ends.
        Arc::new(unsafe { StringArray::new_unchecked(offsets, Buffer::from_vec(self.bytes), nulls) })
    }
}

/// Writes a value as JSON for the outside.
fn write_settled(value: &Value, out: &mut Vec<u8>) {
    let start = out.len();
    write_json(value, out);
    // All characters that are not of the outside begin with this byte.
    if out[start..].contains(&0xf4) {
        let text = String::from_utf8(out.split_off(start)).expect("only texts were written");
        out.extend_from_slice(settled(&text).as_bytes());
    }
}

/// Whether a number is an integer of 64 bits.
#[inline]
fn as_int(number: f64) -> Option<i64> {
    let int = number as i64;
    (int as f64 == number && number < MAX_INT).then_some(int)
}

impl Builder {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Null(length) => *length,
            Self::Bool(values, _) => values.len(),
            Self::Int(values, _) => values.len(),
            Self::Float(values, _) => values.len(),
            Self::Text(texts) | Self::Json(texts) => texts.offsets.len() - 1,
            Self::List(offsets, _, _) => offsets.len() - 1,
            Self::Object(_, nulls) => nulls.len(),
        }
    }

    fn is_null(&self, index: usize) -> bool {
        match self {
            Self::Null(_) => true,
            Self::Bool(_, nulls) | Self::Int(_, nulls) | Self::Float(_, nulls) | Self::List(_, nulls, _) | Self::Object(_, nulls) => {
                !nulls.is_valid(index)
            }
            Self::Text(texts) | Self::Json(texts) => !texts.nulls.is_valid(index),
        }
    }

    /// Adds a value, widening the column where it does not fit.
    pub(super) fn append(&mut self, value: &Value) {
        match (&mut *self, value) {
            (Self::Text(texts), Value::String(text)) => texts.push(settled(text).as_bytes()),
            (Self::Int(values, nulls), Value::Number(number)) if let Some(int) = as_int(*number) => {
                values.push(int);
                nulls.append_non_null();
            }
            (Self::Float(values, nulls), Value::Number(value)) if value.is_finite() => {
                values.push(*value);
                nulls.append_non_null();
            }
            (Self::Bool(values, nulls), Value::Bool(value)) => {
                values.push(*value);
                nulls.append_non_null();
            }
            (Self::List(offsets, nulls, items), Value::Array(list)) => {
                list.iter().for_each(|item| items.append(item));
                offsets.push(i32::try_from(items.len()).expect("a batch that can be emitted has far fewer than 2^31 items"));
                nulls.append_non_null();
            }
            (Self::Object(members, nulls), Value::Object(object)) => {
                members.append(object.iter().map(|(name, value)| (&**name, value)), nulls.len());
                nulls.append_non_null();
            }
            (_, Value::Number(value)) if !value.is_finite() => self.append_null(),
            (Self::Json(texts), Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_)) => {
                texts.push_with(|out| write_settled(value, out));
            }
            (Self::Text(texts), Value::Bool(_) | Value::Number(_)) => {
                texts.bare.push(texts.offsets.len() - 1);
                texts.push_with(|out| write_json(value, out));
            }
            (_, Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_)) => {
                self.widen(value);
                self.append(value);
            }
            // Functions and regular expressions have no JSON either.
            _ => self.append_null(),
        }
    }

    pub(super) fn append_null(&mut self) {
        match self {
            Self::Null(length) => *length += 1,
            Self::Bool(values, nulls) => {
                values.push(false);
                nulls.append_null();
            }
            Self::Int(values, nulls) => {
                values.push(0);
                nulls.append_null();
            }
            Self::Float(values, nulls) => {
                values.push(0.0);
                nulls.append_null();
            }
            Self::Text(texts) | Self::Json(texts) => texts.push_null(),
            Self::List(offsets, nulls, _) => {
                offsets.push(*offsets.last().expect("it starts with one"));
                nulls.append_null();
            }
            Self::Object(members, nulls) => {
                members.append_null();
                nulls.append_null();
            }
        }
    }

    /// Becomes the narrowest type that holds what is there and `value`.
    fn widen(&mut self, value: &Value) {
        let before = std::mem::replace(self, Self::Null(0));
        *self = match (before, value) {
            (Self::Null(length), value) => Self::starting(length, value),
            (Self::Int(values, nulls), Value::Number(_)) => Self::Float(values.into_iter().map(|int| int as f64).collect(), nulls),
            (before @ (Self::Bool(..) | Self::Int(..) | Self::Float(..)), Value::Bool(_) | Value::Number(_) | Value::String(_)) => {
                let bare = (0..before.len()).filter(|index| !before.is_null(*index)).collect();
                Self::Text(Texts { bare, ..before.texts(|index, out| before.write_json(index, out)) })
            }
            (before, _) => Self::Json(before.texts(|index, out| before.write_json(index, out))),
        };
    }

    /// A column that begins with nulls and goes on with a value.
    fn starting(length: usize, value: &Value) -> Self {
        let mut nulls = NullBufferBuilder::new(length);
        nulls.append_n_nulls(length);
        match value {
            Value::Bool(_) => Self::Bool(vec![false; length], nulls),
            Value::Number(value) if as_int(*value).is_some() => Self::Int(vec![0; length], nulls),
            Value::Number(_) => Self::Float(vec![0.0; length], nulls),
            Value::Array(_) => Self::List(vec![0; length + 1], nulls, Box::new(Self::Null(0))),
            Value::Object(_) => Self::Object(Members::default(), nulls),
            _ => Self::Text(Texts { offsets: vec![0; length + 1], nulls, ..Texts::new() }),
        }
    }

    /// All values as texts.
    fn texts(&self, write: impl Fn(usize, &mut Vec<u8>)) -> Texts {
        let mut texts = Texts::new();
        for index in 0..self.len() {
            if self.is_null(index) {
                texts.push_null();
            } else {
                texts.push_with(|out| write(index, out));
            }
        }
        texts
    }

    fn write_json(&self, index: usize, out: &mut Vec<u8>) {
        if self.is_null(index) {
            return out.extend_from_slice(b"null");
        }
        match self {
            Self::Null(_) => out.extend_from_slice(b"null"),
            Self::Bool(values, _) => out.extend_from_slice(if values[index] { b"true" } else { b"false" }),
            Self::Int(values, _) => number(values[index] as f64, out),
            Self::Float(values, _) => number(values[index], out),
            Self::Text(texts) if texts.bare.binary_search(&index).is_err() => {
                quoted(std::str::from_utf8(texts.get(index)).unwrap_or_default(), out);
            }
            Self::Text(texts) | Self::Json(texts) => out.extend_from_slice(texts.get(index)),
            Self::List(offsets, _, items) => {
                let range = offsets[index] as usize..offsets[index + 1] as usize;
                out.push(b'[');
                for item in range.clone() {
                    if item > range.start {
                        out.push(b',');
                    }
                    items.write_json(item, out);
                }
                out.push(b']');
            }
            Self::Object(members, _) => members.write_json(index, out),
        }
    }

    /// Fields that the column has in a schema, its own one included.
    pub(super) fn fields(&self) -> usize {
        match self {
            Self::List(_, _, items) => 1 + items.fields(),
            Self::Object(members, _) if members.names.is_empty() || members.names.len() > MAX_MEMBERS => 1,
            Self::Object(members, _) => 1 + members.builders.iter().map(Self::fields).sum::<usize>(),
            _ => 1,
        }
    }

    /// Whether the host takes a nested value of this kind only as text.
    fn is_too_much(&self, depth: usize) -> bool {
        match self {
            Self::List(..) => depth >= MAX_DEPTH,
            Self::Object(members, _) => depth >= MAX_DEPTH || members.names.is_empty() || members.names.len() > MAX_MEMBERS,
            _ => false,
        }
    }

    /// The column and its field; as JSON text where asked for, or where it is nested too deep or too wide.
    pub(super) fn finish(self, name: &str, depth: usize, as_text: bool) -> Result<(Field, ArrayRef), ArrowError> {
        let builder = match as_text || self.is_too_much(depth) {
            true => Self::Json(self.texts(|index, out| self.write_json(index, out))),
            false => self,
        };
        let is_json = matches!(builder, Self::Json(_));
        let array = builder.into_array(depth)?;
        let field = Field::new(name, array.data_type().clone(), true);
        Ok((if is_json { marked(field, JSON_TEXT) } else { field }, array))
    }

    fn into_array(self, depth: usize) -> Result<ArrayRef, ArrowError> {
        Ok(match self {
            Self::Null(length) => Arc::new(NullArray::new(length)),
            Self::Bool(values, mut nulls) => Arc::new(BooleanArray::new(BooleanBuffer::from(values), nulls.finish())),
            Self::Int(values, mut nulls) => Arc::new(Int64Array::new(values.into(), nulls.finish())),
            Self::Float(values, mut nulls) => Arc::new(Float64Array::new(values.into(), nulls.finish())),
            Self::Text(texts) | Self::Json(texts) => texts.finish(),
            Self::List(offsets, mut nulls, items) => {
                let (field, items) = items.finish("item", depth + 1, false)?;
                Arc::new(ListArray::try_new(Arc::new(field), OffsetBuffer::new(ScalarBuffer::from(offsets)), items, nulls.finish())?)
            }
            Self::Object(members, mut nulls) => {
                let (length, nulls): (usize, Option<NullBuffer>) = (nulls.len(), nulls.finish());
                // Of a member that is null nobody asks whether it is there.
                let members = members.into_parts().map(|(name, builder, _)| builder.finish(&name, depth + 1, false));
                let (fields, columns): (Vec<Field>, Vec<ArrayRef>) = members.collect::<Result<Vec<_>, _>>()?.into_iter().unzip();
                Arc::new(StructArray::try_new_with_length(fields.into(), columns, nulls, length)?)
            }
        })
    }
}
