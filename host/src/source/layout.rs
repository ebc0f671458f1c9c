//! What a source reads its rows into: the columns, in order, and the sizes to keep to.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, new_null_array};
use arrow_schema::{DataType, Schema, SchemaRef};
use etl_steps::Type;
use tracing::warn;

use super::refuse::{Bad, Refusals};
use super::target::{Kind, Members, Target};
use super::{Decoded, ReadOptions};
use crate::batch::{Batch, Origin, RowNumbers, with_absent};
use crate::config::extract::{FileSource, OnParseError, Reading};
use crate::error::{Context, Error, Result};

/// One column of the output.
#[derive(Clone, Debug)]
pub(super) struct Column {
    /// Its name.
    pub(super) name: String,
    /// What it is read as.
    pub(super) target: Target,
    /// What it would be read as if no step asked for text.
    found: Target,
    /// Whether the user pinned the type, so that more ways of writing a value are fine.
    pub(super) pinned: bool,
    /// Whether it may become text where a value does not fit.
    pub(super) converted: bool,
    /// Whether a null stands for a name that the row does not have.
    pub(super) absent: bool,
}

impl Column {
    /// One that no step asks anything of.
    pub(super) fn of(name: String, target: Target, pinned: bool) -> Self {
        Self { name, found: target.clone(), target, pinned, converted: false, absent: false }
    }
}

/// What rows are read into.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    /// The schema of every batch, columns that fell back to text aside.
    pub(super) schema: SchemaRef,
    /// The columns, in the schema's order.
    pub(super) columns: Vec<Column>,
    /// Names that the source has and nobody needs.
    pub(super) unused: HashSet<String>,
    /// Whether names that are not known are left out, since the user named those to read.
    pub(super) chosen: bool,
    /// Rows of a batch.
    pub(super) batch_rows: usize,
    /// Whether batches have just so many rows.
    pub(super) exact: bool,
    /// Bytes of a chunk.
    pub(super) chunk_bytes: usize,
    /// What becomes of a bad row.
    pub(super) on_parse_error: OnParseError,
    /// Rows that types were inferred from.
    pub(super) infer_rows: usize,
}

impl Layout {
    /// Works out the columns from what was seen, what the user pinned and what is needed.
    ///
    /// # Errors
    /// Config, where `columns` names a column that no file has.
    pub(super) fn new(seen: Members, source: &FileSource, reading: &Reading, options: &ReadOptions) -> Result<Self> {
        let lacking = seen.lacking();
        let mut layout = Self::of_targets(seen.targets(), source, reading, options)?;
        layout.columns.iter_mut().for_each(|column| column.absent = lacking(&column.name));
        layout.schema = schema_of(&layout.columns);
        Ok(layout)
    }

    /// As [`Layout::new`], from types that the files declare.
    pub(super) fn of_targets(
        mut seen: Vec<(String, Target)>,
        source: &FileSource,
        reading: &Reading,
        options: &ReadOptions,
    ) -> Result<Self> {
        let anything = !seen.is_empty();
        for (name, pinned) in &reading.schema {
            if !seen.iter().any(|(column, _)| column == name) {
                if anything {
                    warn!(column = %name, "`schema` pins a column that the sample does not have");
                }
                seen.push((name.clone(), Target::from(pinned)));
            }
        }
        if let Some(wanted) = &source.columns {
            seen = select(seen, wanted, anything)?;
        }
        let mut unused = HashSet::new();
        let mut columns = Vec::with_capacity(seen.len());
        for (name, target) in seen {
            if options.columns.as_ref().is_some_and(|needed| !needed.contains(&name)) {
                unused.insert(name);
                continue;
            }
            let pin: Option<&Type> = reading.schema.get(&name);
            let found = pin.map_or(target, Target::from);
            columns.push(Column::of(name, found, pin.is_some()));
        }
        ask_for(&mut columns, &options.as_text, &options.converted);
        Ok(Self {
            schema: schema_of(&columns),
            columns,
            unused,
            chosen: source.columns.is_some(),
            batch_rows: options.batch_rows.get(),
            exact: options.exact,
            chunk_bytes: options.chunk_bytes.clamp(1, 1 << 30),
            on_parse_error: reading.on_parse_error,
            infer_rows: reading.infer_rows.get(),
        })
    }

    /// The same columns, for steps that ask for others of them as text.
    pub(super) fn asked_for(&self, as_text: &[String], converted: &[String]) -> Self {
        let mut columns = self.columns.clone();
        ask_for(&mut columns, as_text, converted);
        Self { schema: schema_of(&columns), columns, ..self.clone() }
    }

    /// Starts to collect the rows of a batch that do not parse.
    pub(super) fn refusals(&self, source: &Arc<str>, batch: u64) -> Refusals {
        Refusals::new(self.on_parse_error, source, batch)
    }

    /// Says that a value does not fit its column.
    pub(super) fn mismatch(&self, column: usize, path: &str, value: &str, target: &Target) -> Bad {
        let Column { name, pinned, .. } = &self.columns[column];
        let value = shorten(value);
        let expected = target.describe();
        let (message, hint) = if *pinned {
            (format!("`{value}` is not {expected}, the type that `schema` gives it"), None)
        } else if let Target::Declared(_) = &self.columns[column].target {
            let message = format!("`{value}` is not {expected}, the type that its column has over all files");
            (message, Some(format!("pin `schema: {{{name}: string}}` to read the column as text")))
        } else {
            let message = format!("`{value}` is not {expected}, the type inferred from the first {} rows", self.infer_rows);
            (message, Some(format!("pin `schema: {{{name}: string}}` to read the column as text")))
        };
        let field = if path.is_empty() { name.clone() } else { format!("{name}{path}") };
        Bad { code: "type_mismatch", message, field: Some(field), hint }
    }

    /// Puts a batch together.
    pub(super) fn decoded(
        &self,
        columns: Vec<ArrayRef>,
        rows: usize,
        numbers: RowNumbers,
        refusals: Refusals,
        part: Part<'_>,
    ) -> Result<Decoded> {
        let fits = columns.iter().zip(self.schema.fields()).all(|(array, field)| array.data_type() == field.data_type());
        let schema = if fits {
            self.schema.clone()
        } else {
            let fields = columns.iter().zip(self.schema.fields());
            Arc::new(Schema::new(
                fields.map(|(array, field)| field.as_ref().clone().with_data_type(array.data_type().clone())).collect::<Vec<_>>(),
            ))
        };
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let rows = RecordBatch::try_new_with_options(schema, columns, &options).bug(|| "columns of a batch do not agree".into())?;
        let origin = Origin { source: part.source.clone(), rows: numbers };
        Ok(Decoded {
            batch: Batch { rows, origin, sequence: part.sequence },
            rejects: refusals.rejects,
            skipped: refusals.skipped,
            filtered: 0,
        })
    }
}

/// Which batch it is.
#[derive(Clone, Copy)]
pub(super) struct Part<'a> {
    /// The file.
    pub(super) source: &'a Arc<str>,
    /// Number of the batch in its split.
    pub(super) sequence: u64,
}

/// Leaves out rows; `bad` says which, in ascending order.
pub(super) fn without(columns: Vec<ArrayRef>, rows: usize, bad: &[u32]) -> Result<Vec<ArrayRef>> {
    let mut keep = vec![true; rows];
    for &row in bad {
        keep[row as usize] = false;
    }
    let keep = BooleanArray::from(keep);
    columns.iter().map(|column| arrow_select::filter::filter(column, &keep).bug(|| "a column could not be filtered".into())).collect()
}

/// The numbers of the rows that stayed: `kept` are their indexes from the first row of the batch.
pub(super) fn numbers(first: u64, kept: impl ExactSizeIterator<Item = u64>, read: usize) -> RowNumbers {
    if kept.len() == read { RowNumbers::From(first) } else { RowNumbers::Each(kept.map(|index| first + index).collect()) }
}

/// What a sample made of the columns, without names twice.
pub(super) fn unique_names(names: Vec<String>, file: &str) -> Vec<String> {
    let mut taken: HashMap<String, usize> = HashMap::with_capacity(names.len());
    let given: HashSet<String> = names.iter().cloned().collect();
    names
        .into_iter()
        .enumerate()
        .map(|(index, name)| {
            let name = if name.is_empty() { format!("column_{}", index + 1) } else { name };
            let count = taken.entry(name.clone()).and_modify(|count| *count += 1).or_insert(1);
            if *count == 1 {
                return name;
            }
            let mut number = *count;
            let mut unique = format!("{name}_{number}");
            while given.contains(&unique) || taken.contains_key(&unique) {
                number += 1;
                unique = format!("{name}_{number}");
            }
            taken.insert(unique.clone(), 1);
            warn!(file, column = %name, renamed = %unique, "two columns of a header have one name");
            unique
        })
        .collect()
}

/// Notes of columns whether later steps want them as text, or give them a type of their own.
fn ask_for(columns: &mut [Column], as_text: &[String], converted: &[String]) {
    for column in columns {
        let is_text = !column.pinned && as_text.contains(&column.name);
        column.target = if is_text { Target::Text } else { column.found.clone() };
        column.converted = !column.pinned && converted.contains(&column.name);
    }
}

pub(super) fn schema_of(columns: &[Column]) -> SchemaRef {
    let field = |column: &Column| {
        let field = Arc::new(column.target.field(&column.name));
        if column.absent { with_absent(&field) } else { field }
    };
    Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()))
}

/// A column of a source without values: nulls without a type, or texts, where there are values after all.
pub(super) fn nothing(texts: ArrayRef) -> ArrayRef {
    if texts.null_count() == texts.len() { new_null_array(&DataType::Null, texts.len()) } else { texts }
}

/// The part of the kinds that a layout needs to be told of columns in `seen`.
pub(super) fn object(kind: Kind) -> Members {
    match kind {
        Kind::Object(members) => members,
        _ => Members::default(),
    }
}

fn select(seen: Vec<(String, Target)>, wanted: &[String], anything: bool) -> Result<Vec<(String, Target)>> {
    let mut by_name: HashMap<String, Target> = seen.iter().cloned().collect();
    wanted
        .iter()
        .map(|name| match by_name.remove(name) {
            Some(target) => Ok((name.clone(), target)),
            None if !anything => Ok((name.clone(), Target::Text)),
            None => {
                let names: Vec<String> = seen.iter().map(|(name, _)| format!("`{name}`")).collect();
                let near = seen.iter().map(|(column, _)| (strsim::jaro_winkler(column, name), column)).max_by(|a, b| a.0.total_cmp(&b.0));
                let error = Error::config(format!("`columns` names `{name}`, which the files do not have; they have {}", names.join(", ")));
                Err(match near {
                    Some((likeness, column)) if likeness > 0.8 => error.hint(format!("did you mean `{column}`?")),
                    _ => error,
                })
            }
        })
        .collect()
}

fn shorten(value: &str) -> String {
    const LIMIT: usize = 80;
    match value.char_indices().nth(LIMIT) {
        Some((end, _)) => format!("{}…", &value[..end]),
        None => value.to_owned(),
    }
}
