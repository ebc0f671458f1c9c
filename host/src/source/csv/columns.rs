//! Fields to Arrow columns, a column at a time.

use std::sync::Arc;

use arrow_array::builder::BooleanBufferBuilder;
use arrow_array::types::{ArrowPrimitiveType, Date32Type, Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, BooleanArray, PrimitiveArray, StringArray};
use arrow_buffer::{NullBufferBuilder, OffsetBuffer, ScalarBuffer};

use super::dialect::Dialect;
use super::index::Index;
use crate::error::{Context, Error, Result};
use crate::source::layout::nothing;
use crate::source::scalar;
use crate::source::target::{Kind, Target};

/// Bytes that a short text is copied by, whatever its length: one instruction instead of a call.
const SHORT: usize = 16;

/// The fields of one column.
pub(super) struct Fields<'a> {
    /// The text that they stand in.
    pub(super) bytes: &'a [u8],
    /// Where they stand.
    pub(super) index: &'a Index,
    /// Which column.
    pub(super) column: usize,
    /// How they are written.
    pub(super) dialect: Dialect,
}

/// A column, and the rows whose value does not fit it.
pub(super) struct Parsed {
    /// The values, null where one does not fit.
    pub(super) array: ArrayRef,
    /// The rows, in ascending order.
    pub(super) bad: Vec<u32>,
}

impl Fields<'_> {
    /// Parses the column.
    pub(super) fn parse(&self, target: &Target, pinned: bool) -> Result<Parsed> {
        Ok(match target {
            Target::Int if !pinned => self.primitive::<Int64Type>(scalar::int),
            Target::Float if !pinned => self.primitive::<Float64Type>(scalar::float),
            Target::Bool if !pinned => self.bools(scalar::bool),
            Target::Nothing => Parsed { array: nothing(self.text()?), bad: Vec::new() },
            Target::Text | Target::List(_) | Target::Object(_) | Target::Declared(_) => Parsed { array: self.text()?, bad: Vec::new() },
            Target::Json => {
                let array = self.text()?;
                let bad = self.each(|text| serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok());
                Parsed { array, bad }
            }
            Target::Int => self.pinned::<Int64Type>(scalar::pinned_int),
            Target::Float => self.pinned::<Float64Type>(scalar::pinned_float),
            Target::Bool => self.bools(|text| scalar::pinned_bool(std::str::from_utf8(text).ok()?)).empty_is_null(self),
            Target::Date => self.pinned::<Date32Type>(scalar::date),
            Target::Timestamp(zone) => {
                let Parsed { array, bad } = self.pinned::<TimestampMicrosecondType>(|text| scalar::timestamp(text, zone.as_deref()));
                Parsed { array: retyped(array, target)?, bad }
            }
            Target::Decimal(precision, scale) => {
                let Parsed { array, bad } = self.pinned::<Decimal128Type>(|text| scalar::decimal(text, *precision, *scale));
                Parsed { array: retyped(array, target)?, bad }
            }
        })
    }

    /// Widens a kind to hold the column's values.
    pub(super) fn infer(&self, kind: &mut Kind) {
        let mut scratch = Vec::new();
        for (start, end) in self.index.column(self.column) {
            if *kind == Kind::Text {
                return;
            }
            if start < end {
                let field = self.plain(start, end, &mut scratch);
                kind.join(Kind::of_loose(field));
            }
        }
    }

    /// The text of a field, for a message.
    pub(super) fn show(&self, row: u32) -> String {
        let (start, end) = self.index.field(self.column, row as usize);
        let mut scratch = Vec::new();
        String::from_utf8_lossy(self.plain(start, end, &mut scratch)).into_owned()
    }

    /// A field without its quotes.
    fn plain<'b>(&'b self, start: usize, end: usize, scratch: &'b mut Vec<u8>) -> &'b [u8] {
        let field = &self.bytes[start..end];
        if field.first() != Some(&self.dialect.quote) {
            return field;
        }
        scratch.clear();
        self.dialect.unquote(field, scratch);
        scratch
    }

    #[inline]
    fn primitive<T: ArrowPrimitiveType>(&self, parse: impl Fn(&[u8]) -> Option<T::Native>) -> Parsed {
        let fields = self.index.column(self.column);
        let mut values = Vec::with_capacity(fields.len());
        let mut nulls = NullBufferBuilder::new(fields.len());
        let mut bad = Vec::new();
        for (row, (start, end)) in fields.enumerate() {
            let field = &self.bytes[start..end];
            match parse(field) {
                Some(value) => {
                    values.push(value);
                    nulls.append_non_null();
                }
                None => {
                    let value = self.quoted(field, &parse);
                    if value.is_none() && !field.is_empty() {
                        bad.push(row as u32);
                    }
                    nulls.append(value.is_some());
                    values.push(value.unwrap_or_default());
                }
            }
        }
        let array = PrimitiveArray::<T>::new(ScalarBuffer::from(values), nulls.finish());
        Parsed { array: Arc::new(array), bad }
    }

    fn pinned<T: ArrowPrimitiveType>(&self, parse: impl Fn(&str) -> Option<T::Native>) -> Parsed {
        self.primitive::<T>(|text| if text.is_empty() { None } else { parse(std::str::from_utf8(text).ok()?) }).empty_is_null(self)
    }

    fn bools(&self, parse: impl Fn(&[u8]) -> Option<bool>) -> Parsed {
        let fields = self.index.column(self.column);
        let mut values = BooleanBufferBuilder::new(fields.len());
        let mut nulls = NullBufferBuilder::new(fields.len());
        let mut bad = Vec::new();
        for (row, (start, end)) in fields.enumerate() {
            let field = &self.bytes[start..end];
            let value = parse(field).or_else(|| self.quoted(field, &parse));
            if value.is_none() && !field.is_empty() {
                bad.push(row as u32);
            }
            nulls.append(value.is_some());
            values.append(value.unwrap_or_default());
        }
        Parsed { array: Arc::new(BooleanArray::new(values.finish(), nulls.finish())), bad }
    }

    /// Parses what stands in quotes.
    #[cold]
    fn quoted<T>(&self, field: &[u8], parse: impl Fn(&[u8]) -> Option<T>) -> Option<T> {
        if field.first() != Some(&self.dialect.quote) {
            return None;
        }
        let mut text = Vec::new();
        self.dialect.unquote(field, &mut text);
        parse(&text)
    }

    /// The rows whose text is not right.
    fn each(&self, right: impl Fn(&str) -> bool) -> Vec<u32> {
        let mut scratch = Vec::new();
        let mut bad = Vec::new();
        for (row, (start, end)) in self.index.column(self.column).enumerate() {
            if start < end && !std::str::from_utf8(self.plain(start, end, &mut scratch)).is_ok_and(&right) {
                bad.push(row as u32);
            }
        }
        bad
    }

    fn text(&self) -> Result<ArrayRef> {
        let fields = self.index.column(self.column);
        let total: usize = fields.clone().map(|(start, end)| end - start).sum();
        if i32::try_from(total).is_err() {
            return Err(Error::config("one column of a batch has more than 2 GiB of text").hint("make `batch_size` smaller"));
        }
        let mut values = vec![0u8; total + SHORT];
        let mut offsets = Vec::with_capacity(fields.len() + 1);
        let mut nulls = NullBufferBuilder::new(fields.len());
        let mut scratch = Vec::new();
        let mut at = 0;
        offsets.push(0i32);
        for (start, end) in fields {
            let length = end - start;
            if length == 0 {
                nulls.append_null();
                offsets.push(at as i32);
                continue;
            }
            nulls.append_non_null();
            if self.bytes[start] == self.dialect.quote {
                scratch.clear();
                self.dialect.unquote(&self.bytes[start..end], &mut scratch);
                values[at..at + scratch.len()].copy_from_slice(&scratch);
                at += scratch.len();
            } else if length <= SHORT && start + SHORT <= self.bytes.len() {
                values[at..at + SHORT].copy_from_slice(&self.bytes[start..start + SHORT]);
                at += length;
            } else {
                values[at..at + length].copy_from_slice(&self.bytes[start..end]);
                at += length;
            }
            offsets.push(at as i32);
        }
        values.truncate(at);
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
        let array = StringArray::try_new(offsets, values.into(), nulls.finish()).bug(|| "text that was checked is not UTF-8".into())?;
        Ok(Arc::new(array))
    }
}

impl Parsed {
    /// Takes an empty text in quotes as null: a pinned type cannot hold it.
    fn empty_is_null(mut self, fields: &Fields<'_>) -> Self {
        self.bad.retain(|&row| {
            let (start, end) = fields.index.field(fields.column, row as usize);
            end - start != 2 || fields.bytes[start] != fields.dialect.quote
        });
        self
    }
}

/// The same values under the target's own type: its zone, its precision and scale.
fn retyped(array: ArrayRef, target: &Target) -> Result<ArrayRef> {
    let data = array.into_data().into_builder().data_type(target.data_type()).build();
    Ok(arrow_array::make_array(data.bug(|| "a column does not have the size of its type".into())?))
}
