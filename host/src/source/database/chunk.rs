//! Rows of a query that are not looked into yet.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array, TimestampMicrosecondArray};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_ord::cmp::distinct;
use arrow_schema::DataType;
use serde_json::{Map, Value};

use super::array::array;
use super::kind::{Cell, Kind, Misfit};
use super::raw::Raw;
use super::read_cell;
use crate::batch::Position;
use crate::config::database::Dialect;
use crate::error::{Context, Result};
use crate::source::cut::ROW_LIMIT;
use crate::source::layout::{Layout, Part, numbers, without};
use crate::source::refuse::{At, Bad, RECORD_LIMIT};
use crate::source::target::Target;
use crate::source::{Chunk, Decoded, View, scalar};

/// What the rows of a query are read into.
#[derive(Clone, Debug)]
pub(super) struct Reader {
    pub(super) dialect: Dialect,
    /// What the columns of the query hold.
    pub(super) kinds: Vec<Kind>,
    pub(super) layout: Layout,
    /// For each column of the layout that of the query.
    pub(super) columns: Vec<usize>,
    pub(super) title: Arc<str>,
}

/// Some rows.
pub(super) struct Rows {
    pub(super) raw: Arc<Raw>,
    pub(super) first: Position,
    pub(super) next: Position,
    pub(super) reader: Arc<Reader>,
}

impl Chunk for Rows {
    fn next(&self) -> Position {
        self.next.clone()
    }

    fn seen_as(&self, view: &View) -> Box<dyn Chunk> {
        let reader = Reader { layout: view.0.as_ref().clone(), ..self.reader.as_ref().clone() };
        Box::new(Self { raw: self.raw.clone(), first: self.first.clone(), next: self.next.clone(), reader: Arc::new(reader) })
    }

    fn decode(self: Box<Self>) -> Box<dyn Iterator<Item = Result<Decoded>> + Send> {
        let (mut number, mut from) = (0, 0);
        Box::new(std::iter::from_fn(move || {
            let to = *self.raw.batches.get(number)?;
            let batch = self.batch(number, from, to);
            (number, from) = (number + 1, to);
            Some(batch)
        }))
    }
}

impl Rows {
    fn batch(&self, number: usize, from: usize, to: usize) -> Result<Decoded> {
        let Reader { layout, columns, title, .. } = &*self.reader;
        let rows = to - from;
        let mut bad: BTreeMap<u32, Bad> = BTreeMap::new();
        for row in self.raw.too_long.iter().map(|row| *row as usize).filter(|row| (from..to).contains(row)) {
            bad.insert((row - from) as u32, Bad::row("row_too_long", format!("has more than {} MiB", ROW_LIMIT >> 20)));
        }
        let mut arrays = Vec::with_capacity(columns.len());
        for (position, &column) in columns.iter().enumerate() {
            let (array, misfits) = self.column(position, column, from, to)?;
            for (row, value) in misfits {
                bad.entry(row).or_insert_with(|| self.reader.misfit(position, column, &value));
            }
            arrays.push(array);
        }
        let sequence = self.first.sequence + number as u64;
        let mut refusals = layout.refusals(title, sequence);
        let gone: Vec<u32> = bad.keys().copied().collect();
        if !gone.is_empty() {
            arrays = without(arrays, rows, &gone)?;
        }
        let first = self.first.row + from as u64 + 1;
        for (row, bad) in bad {
            let record = || self.record(from + row as usize);
            refusals.add(bad, At { row: first + u64::from(row), line: 0 }, record)?;
        }
        let kept: Vec<u64> = (0..rows as u32).filter(|row| gone.binary_search(row).is_err()).map(u64::from).collect();
        let count = kept.len();
        layout.decoded(arrays, count, numbers(first, kept.into_iter(), rows), refusals, Part { source: title, sequence })
    }

    fn cells(&self, column: usize, from: usize, to: usize) -> impl Iterator<Item = Option<Result<Cell<'_>, Misfit>>> {
        let Reader { dialect, kinds, .. } = &*self.reader;
        (from..to).map(move |row| self.raw.cell(row, column).map(|bytes| read_cell(*dialect, &kinds[column], bytes)))
    }

    /// A column, and its values that do not fit.
    fn column(&self, position: usize, column: usize, from: usize, to: usize) -> Result<(ArrayRef, Vec<(u32, String)>)> {
        let kind = &self.reader.kinds[column];
        let target = &self.reader.layout.columns[position];
        let mut misfits = Vec::new();
        let mut row = 0;
        let mut fitting = self.cells(column, from, to).map(|cell| {
            row += 1;
            match cell? {
                Ok(cell) => Some(cell),
                Err(misfit) => {
                    misfits.push((row - 1, misfit.value));
                    None
                }
            }
        });
        let mut made = array(kind, to - from, &mut fitting);
        if !misfits.is_empty() && target.converted {
            // A later `convert` reads the texts.
            let texts = self.cells(column, from, to).map(|cell| {
                Some(Cell::Text(match cell? {
                    Ok(cell) => cell.text().into(),
                    Err(misfit) => misfit.value.into(),
                }))
            });
            return Ok((array(&Kind::Text, to - from, &mut { texts }), Vec::new()));
        }
        if made.data_type() != &target.target.data_type() {
            let pinned = pinned(&made, &target.target)?;
            let lost = (0..made.len()).filter(|row| pinned.is_null(*row) && made.is_valid(*row));
            misfits.extend(lost.map(|row| (row as u32, arrow_cast::display::array_value_to_string(&made, row).unwrap_or_default())));
            made = pinned;
        }
        Ok((made, misfits))
    }

    /// A row as JSON, for a reject.
    fn record(&self, row: usize) -> Value {
        let mut record = Map::new();
        for (column, &index) in self.reader.layout.columns.iter().zip(&self.reader.columns) {
            let value = match self.cells(index, row, row + 1).next().flatten() {
                None => Value::Null,
                Some(Ok(Cell::Bool(value))) => value.into(),
                Some(Ok(Cell::Int(value))) => value.into(),
                Some(Ok(Cell::UInt(value))) => value.into(),
                Some(Ok(Cell::Float(value))) if value.is_finite() => value.into(),
                Some(Ok(cell)) => shortened(cell.text()).into(),
                Some(Err(misfit)) => shortened(misfit.value).into(),
            };
            record.insert(column.name.clone(), value);
        }
        Value::Object(record)
    }
}

fn shortened(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(RECORD_LIMIT));
    text
}

impl Reader {
    fn misfit(&self, position: usize, column: usize, value: &str) -> Bad {
        let target = &self.layout.columns[position];
        let shown: String = value.chars().take(80).collect();
        let (message, hint) = if target.pinned {
            (format!("`{shown}` is not {}, the type that `schema` gives it", target.target.describe()), None)
        } else {
            let hint = format!("pin `schema: {{{}: string}}` to read the column as text", target.name);
            (format!("`{shown}` is not {}, the type of its column", self.kinds[column].describe()), Some(hint))
        };
        Bad { code: "type_mismatch", message, field: Some(target.name.clone()), hint }
    }
}

/// A column as the type that `schema` gives it; what would lose something is null.
fn pinned(made: &ArrayRef, target: &Target) -> Result<ArrayRef> {
    if made.data_type() == &DataType::Utf8 {
        let texts = || made.as_string::<i32>().iter();
        match target {
            Target::Bool => return Ok(std::sync::Arc::new(texts().map(|text| scalar::pinned_bool(text?)).collect::<BooleanArray>())),
            Target::Int => return Ok(std::sync::Arc::new(texts().map(|text| scalar::pinned_int(text?)).collect::<Int64Array>())),
            Target::Float => return Ok(std::sync::Arc::new(texts().map(|text| scalar::pinned_float(text?)).collect::<Float64Array>())),
            Target::Date => return Ok(std::sync::Arc::new(texts().map(|text| scalar::date(text?)).collect::<Date32Array>())),
            Target::Timestamp(zone) => {
                let read = texts().map(|text| scalar::timestamp(text?, zone.as_deref()));
                return Ok(std::sync::Arc::new(read.collect::<TimestampMicrosecondArray>().with_timezone_opt(zone.clone())));
            }
            Target::Decimal(precision, scale) => {
                let read = texts().map(|text| scalar::decimal(text?, *precision, *scale)).collect::<Decimal128Array>();
                return Ok(std::sync::Arc::new(read.with_precision_and_scale(*precision, *scale).bug(|| "a pinned decimal".into())?));
            }
            _ => {}
        }
    }
    let wanted = target.data_type();
    let options = CastOptions::default();
    let cannot = || format!("a column is {} and cannot become {wanted}, the type that `schema` gives it", made.data_type());
    let cast = cast_with_options(made, &wanted, &options).fault(crate::error::Fault::Config, cannot)?;
    if wanted == DataType::Utf8 {
        return Ok(cast);
    }
    let back = cast_with_options(&cast, made.data_type(), &options).fault(crate::error::Fault::Config, cannot)?;
    let changed = distinct(&back, made).bug(|| "comparing a column with what it was".into())?;
    arrow_select::nullif::nullif(&cast, &changed).bug(|| "leaving out what was changed".into())
}
