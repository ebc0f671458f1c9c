//! Encodes rows for a table, on any thread.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeSet, HashSet};
use std::hash::Hasher;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;

use super::columns::Holds;
use super::fit::{Fit, Fitted, is_bytes};
use crate::batch::{Batch, Reject};
use crate::error::Result;
use crate::json::{Cell, Style};
use crate::moment::with_era;
use crate::sink::{Encode, Encoded, Encoder, Payload};

/// Rows that fit a table, in order.
#[derive(Debug, Default)]
pub struct Chunk {
    /// The rows.
    pub(super) fitted: Vec<Fitted>,
    /// How many there are.
    pub(super) rows: usize,
    /// As PostgreSQL's COPY takes them, a line each.
    pub(super) text: Vec<u8>,
    /// Where each line ends.
    pub(super) ends: Vec<usize>,
    /// Whether a key may be there twice.
    pub(super) repeats: bool,
}

impl Chunk {
    /// The lines of some rows.
    pub(super) fn lines(&self, rows: Range<usize>) -> &[u8] {
        let start = rows.start.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[start..rows.end.checked_sub(1).map_or(0, |last| self.ends[last])]
    }

    /// The columns that must be widened before all rows fit.
    pub(super) fn wants(&self) -> BTreeSet<usize> {
        self.fitted.iter().flat_map(|fitted| fitted.wants.iter().copied()).collect()
    }

    /// The same rows, without those that do not fit columns which stay as narrow as they are.
    pub(super) fn narrowed(&self, encode: &Arc<TableEncode>, narrow: &BTreeSet<usize>) -> Result<(Self, Vec<Reject>)> {
        let mut encoder = TableEncoder { encode: encode.clone(), chunk: Self::default(), keys: HashSet::new() };
        let mut rejects = Vec::new();
        for fitted in &self.fitted {
            let (fitted, more) = encode.fit.narrowed(fitted, narrow)?;
            encoder.add(fitted);
            rejects.extend(more);
        }
        Ok((encoder.chunk, rejects))
    }

    /// Refuses a row.
    pub(super) fn refuse(&self, row: usize, code: &str, message: String, field: Option<String>) -> Option<Reject> {
        self.place(row).map(|(fitted, row)| fitted.refuse(row, code, message, field))
    }

    /// Where a row stands.
    pub(super) fn place(&self, mut row: usize) -> Option<(&Fitted, usize)> {
        for fitted in &self.fitted {
            if row < fitted.rows() {
                return Some((fitted, row));
            }
            row -= fitted.rows();
        }
        None
    }
}

/// Makes encoders.
#[derive(Debug)]
pub(super) struct TableEncode {
    pub(super) fit: Fit,
    pub(super) form: Form,
}

/// In what form a database takes rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// As values.
    Values,
    /// As lines for COPY.
    Copy {
        /// Whether each line ends with the row's number in its chunk.
        numbered: bool,
    },
}

struct TableEncoder {
    encode: Arc<TableEncode>,
    chunk: Chunk,
    keys: HashSet<u64>,
}

/// A share of [`TableEncode`].
pub(super) struct Shared(pub(super) Arc<TableEncode>);

impl Encode for Shared {
    fn start(&self) -> Result<Box<dyn Encoder>> {
        Ok(Box::new(TableEncoder { encode: self.0.clone(), chunk: Chunk::default(), keys: HashSet::new() }))
    }
}

impl Encoder for TableEncoder {
    fn write(&mut self, batch: &Batch) -> Result<Vec<Reject>> {
        let (fitted, rejects) = self.encode.fit.fit(batch)?;
        self.add(fitted);
        Ok(rejects)
    }

    fn finish(self: Box<Self>) -> Result<Encoded> {
        Ok(Encoded { rows: self.chunk.rows as u64, payload: Payload::Table(Box::new(self.chunk)) })
    }
}

impl TableEncoder {
    fn add(&mut self, fitted: Fitted) {
        if let Form::Copy { numbered } = self.encode.form {
            self.copy(&fitted, numbered);
        }
        self.look_for_repeats(&fitted);
        self.chunk.rows += fitted.rows();
        self.chunk.fitted.push(fitted);
    }

    fn copy(&mut self, fitted: &Fitted, numbered: bool) {
        let Self { encode, chunk, .. } = self;
        let columns = &encode.fit.columns;
        let cells: Vec<(CopyForm, Cell)> = columns
            .iter()
            .zip(&fitted.columns)
            .map(|(fitting, column)| (CopyForm::new(column, fitting.to.holds), Cell::new(column, Style::default())))
            .collect();
        let (mut value, mut number) = (Vec::new(), itoa::Buffer::new());
        let out = &mut chunk.text;
        for row in 0..fitted.rows() {
            for (index, (form, cell)) in cells.iter().enumerate() {
                if index > 0 {
                    out.push(b'\t');
                }
                if cell.is_null(row) {
                    out.extend_from_slice(b"\\N");
                    continue;
                }
                match form {
                    CopyForm::Plain => cell.write_text(row, out),
                    CopyForm::Moment => moment(cell, row, out),
                    CopyForm::Number(truth) => out.push(if truth.as_boolean().value(row) { b'1' } else { b'0' }),
                    CopyForm::Text => {
                        value.clear();
                        cell.write_text(row, &mut value);
                        escape(&value, out);
                    }
                    CopyForm::Json => {
                        value.clear();
                        cell.write_json(row, &mut value);
                        escape(&value, out);
                    }
                    CopyForm::Bytes(bytes) => {
                        out.extend_from_slice(b"\\\\x");
                        digits(bytes_at(bytes, row), out);
                    }
                    CopyForm::Array(list) => {
                        value.clear();
                        array_literal(list, row, &mut value);
                        escape(&value, out);
                    }
                }
            }
            if numbered {
                if !cells.is_empty() {
                    out.push(b'\t');
                }
                out.extend_from_slice(number.format(chunk.ends.len()).as_bytes());
            }
            out.push(b'\n');
            chunk.ends.push(out.len());
        }
    }

    /// Notes whether a key may be there twice.
    fn look_for_repeats(&mut self, fitted: &Fitted) {
        let Self { encode, chunk, keys } = self;
        let of_key = encode.fit.columns.iter().zip(&fitted.columns).filter(|(fitting, _)| fitting.key);
        let key: Vec<Cell> = of_key.map(|(_, column)| Cell::new(column, Style::default())).collect();
        let mut value = Vec::new();
        for row in 0..fitted.rows() {
            if key.is_empty() || chunk.repeats {
                return;
            }
            let mut hasher = DefaultHasher::new();
            for cell in &key {
                value.clear();
                cell.write_text(row, &mut value);
                hasher.write(&value);
                hasher.write_u8(0xff);
            }
            chunk.repeats = !keys.insert(hasher.finish());
        }
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";

/// How the values of a column are written for COPY.
enum CopyForm {
    /// Text in which nothing has a meaning of its own.
    Plain,
    /// Truth as a number.
    Number(ArrayRef),
    /// A day or an instant, whose year may be before our era.
    Moment,
    Text,
    Json,
    Bytes(ArrayRef),
    Array(ArrayRef),
}

impl CopyForm {
    fn new(column: &ArrayRef, holds: Holds) -> Self {
        use DataType as T;
        match (column.data_type(), holds) {
            (T::Boolean, Holds::Int(..) | Holds::Float32 | Holds::Float64 | Holds::Decimal(_)) => Self::Number(column.clone()),
            (T::Utf8 | T::LargeUtf8 | T::Utf8View, _) => Self::Text,
            (T::Binary | T::LargeBinary | T::BinaryView | T::FixedSizeBinary(_), Holds::Bytes) => Self::Bytes(column.clone()),
            (T::List(_) | T::LargeList(_), Holds::Array) => Self::Array(column.clone()),
            (T::Boolean | T::Null, _) => Self::Plain,
            (kind, Holds::Json) if kind.is_numeric() => Self::Plain,
            // A day or an instant is a text of JSON.
            (_, Holds::Json) => Self::Json,
            (T::Date32 | T::Date64 | T::Timestamp(..), holds) if holds != Holds::Text => Self::Moment,
            (kind, _) if kind.is_numeric() || kind.is_temporal() => Self::Plain,
            _ => Self::Text,
        }
    }
}

/// Writes a day or an instant as PostgreSQL reads it.
fn moment(cell: &Cell, row: usize, out: &mut Vec<u8>) {
    let start = out.len();
    cell.write_text(row, out);
    with_era(out, start);
}

fn digits(bytes: &[u8], out: &mut Vec<u8>) {
    for byte in bytes {
        out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
    }
}

/// Writes a text so that COPY reads it back as it is.
fn escape(text: &[u8], out: &mut Vec<u8>) {
    if memchr::memchr3(b'\\', b'\n', b'\t', text).is_none() && memchr::memchr(b'\r', text).is_none() {
        return out.extend_from_slice(text);
    }
    for byte in text {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            byte => out.push(*byte),
        }
    }
}

/// The bytes of a value.
pub(super) fn bytes_at(column: &ArrayRef, row: usize) -> &[u8] {
    match column.data_type() {
        DataType::Binary => column.as_binary::<i32>().value(row),
        DataType::LargeBinary => column.as_binary::<i64>().value(row),
        DataType::BinaryView => column.as_binary_view().value(row),
        _ => column.as_fixed_size_binary().value(row),
    }
}

/// Writes a list as PostgreSQL writes an array: `{1,2,NULL,"a b"}`.
fn array_literal(list: &ArrayRef, row: usize, out: &mut Vec<u8>) {
    let items = match list.data_type() {
        DataType::LargeList(_) => list.as_list::<i64>().value(row),
        _ => list.as_list::<i32>().value(row),
    };
    let nested = matches!(items.data_type(), DataType::List(_) | DataType::LargeList(_));
    let quoted = !items.data_type().is_numeric() && items.data_type() != &DataType::Boolean;
    let cell = Cell::new(&items, Style::default());
    let form = CopyForm::new(&items, if is_bytes(items.data_type()) { Holds::Bytes } else { Holds::Other });
    out.push(b'{');
    for index in 0..items.len() {
        if index > 0 {
            out.push(b',');
        }
        if cell.is_null(index) {
            out.extend_from_slice(b"NULL");
        } else if nested {
            array_literal(&items, index, out);
        } else if quoted {
            let mut text = Vec::new();
            match &form {
                CopyForm::Bytes(bytes) => {
                    text.extend_from_slice(b"\\x");
                    digits(bytes_at(bytes, index), &mut text);
                }
                CopyForm::Moment => moment(&cell, index, &mut text),
                _ => cell.write_text(index, &mut text),
            }
            out.push(b'"');
            for byte in text {
                if matches!(byte, b'"' | b'\\') {
                    out.push(b'\\');
                }
                out.push(byte);
            }
            out.push(b'"');
        } else {
            cell.write_text(index, out);
        }
    }
    out.push(b'}');
}
