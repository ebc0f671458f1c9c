//! What a guest hands out for a batch, checked as it comes.

use std::sync::Arc;

use arrow_array::{Array, RecordBatch, RecordBatchOptions};
use arrow_buffer::{BooleanBuffer, Buffer};
use arrow_schema::{Field, Schema, SchemaRef};

use super::bindings::{data, types};
use super::ipc;
use super::limits::Exceeded;
use super::state::clip;

/// Bytes of an error's text.
const MAX_TEXT: usize = 8 << 10;

/// Rejections kept in full for a batch cannot outnumber its rows; this bounds a call that names rows twice.
const MAX_FIELD: usize = ipc::MAX_NAME;

/// What a guest pushed for one batch.
#[derive(Default)]
#[expect(unreachable_pub, reason = "the generated bindings name it as public")]
pub struct Output {
    /// Schema of what comes, where it is known.
    pub(super) schema: Option<SchemaRef>,
    pub(super) emitted: Vec<Emitted>,
    pub(super) rejected: Vec<Rejected>,
    /// Rows of the input, to hold indexes to.
    pub(super) input_rows: usize,
    pub(super) bytes: usize,
    pub(super) bytes_limit: usize,
}

/// Rows that a guest pushed.
#[derive(Debug)]
pub(super) enum Emitted {
    /// Made from scratch.
    Rows { rows: RecordBatch, origins: Option<Vec<u32>> },
    /// JSON lines.
    Lines { lines: Vec<u8>, origins: Option<Vec<u32>> },
    /// The input's rows with other columns; all rows, and which of them to keep.
    Derived { rows: RecordBatch, keep: Option<BooleanBuffer> },
}

/// A row that a guest refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rejected {
    pub(super) row: u32,
    pub(super) code: String,
    pub(super) message: String,
    pub(super) field: Option<String>,
}

impl Output {
    pub(super) fn charge(&mut self, bytes: usize) -> Result<(), Exceeded> {
        // Every push costs something, so that pushing nothing for ever ends too.
        self.bytes = self.bytes.saturating_add(bytes.max(64));
        if self.bytes > self.bytes_limit {
            return Err(Exceeded::Output { asked: self.bytes, limit: self.bytes_limit });
        }
        Ok(())
    }

    pub(super) fn check_origins(&self, origins: Option<&[u32]>, rows: usize) -> Result<(), Exceeded> {
        let Some(origins) = origins else { return Ok(()) };
        if origins.len() != rows {
            return Err(Exceeded::Contract(format!("emitted {rows} rows with the origins of {}", origins.len())));
        }
        match origins.iter().find(|&&origin| origin as usize >= self.input_rows) {
            Some(origin) => Err(Exceeded::Contract(format!("emitted a row that came from row {origin} of a batch of {}", self.input_rows))),
            None => Ok(()),
        }
    }

    pub(super) fn reject(&mut self, rows: Vec<types::Rejection>) -> Result<(), Exceeded> {
        if self.rejected.len() + rows.len() > self.input_rows {
            return Err(Exceeded::Contract(format!(
                "rejected {} rows of a batch of {}",
                self.rejected.len() + rows.len(),
                self.input_rows
            )));
        }
        for types::Rejection { row, code, message, field } in rows {
            if row as usize >= self.input_rows {
                return Err(Exceeded::Contract(format!("rejected row {row} of a batch of {}", self.input_rows)));
            }
            let field = field.map(|field| clip(field, MAX_FIELD));
            self.rejected.push(Rejected { row, code: clip(code, ipc::MAX_NAME), message: clip(message, MAX_TEXT), field });
        }
        Ok(())
    }
}

/// What a column of a derived batch costs the host.
pub(super) fn op_bytes(op: &data::ColumnOp) -> usize {
    64 + match op {
        data::ColumnOp::Keep(_) => 0,
        data::ColumnOp::Rename((_, name)) | data::ColumnOp::Computed((_, name)) => name.len(),
    }
}

/// Reads a keep mask: one bit a row, lowest bit first.
pub(super) fn keep_mask(bits: Vec<u8>, rows: usize) -> Result<BooleanBuffer, Exceeded> {
    if bits.len() != rows.div_ceil(8) {
        return Err(Exceeded::Contract(format!("sent a keep mask of {} bytes for {rows} rows, {} belong", bits.len(), rows.div_ceil(8))));
    }
    Ok(BooleanBuffer::new(Buffer::from_vec(bits), 0, rows))
}

/// Puts the output of `emit-derived` together; columns of the base are shared, not copied.
pub(super) fn derive(
    base: &RecordBatch,
    ops: &[data::ColumnOp],
    computed: Option<Vec<u8>>,
    output: Option<&SchemaRef>,
) -> Result<RecordBatch, Exceeded> {
    let base_schema = base.schema();
    let base_field = |index: u32| {
        let field = base_schema.fields().get(index as usize);
        field.cloned().ok_or_else(|| Exceeded::Contract(format!("kept column {index} of {}", base.num_columns())))
    };
    let computed = computed.map(|message| read_computed(message, ops, output, base.num_rows())).transpose()?;
    let mut fields = Vec::with_capacity(ops.len());
    let mut arrays = Vec::with_capacity(ops.len());
    for op in ops {
        match op {
            data::ColumnOp::Keep(index) => {
                fields.push(base_field(*index)?);
                arrays.push(base.column(*index as usize).clone());
            }
            data::ColumnOp::Rename((index, name)) => {
                fields.push(Arc::new(base_field(*index)?.as_ref().clone().with_name(name)));
                arrays.push(base.column(*index as usize).clone());
            }
            data::ColumnOp::Computed((index, name)) => {
                let computed =
                    computed.as_ref().ok_or_else(|| Exceeded::Contract(format!("named column `{name}` computed and sent none")))?;
                let array = computed.columns().get(*index as usize);
                let array =
                    array.ok_or_else(|| Exceeded::Contract(format!("named computed column {index} of {}", computed.num_columns())))?;
                fields.push(Arc::new(Field::new(name, array.data_type().clone(), true)));
                arrays.push(array.clone());
            }
        }
    }
    let schema = Schema::new(fields);
    ipc::check_schema(&schema)?;
    let options = RecordBatchOptions::new().with_row_count(Some(base.num_rows()));
    RecordBatch::try_new_with_options(Arc::new(schema), arrays, &options)
        .map_err(|error| Exceeded::Contract(format!("emitted columns that do not fit together: {error}")))
}

/// Decodes computed columns, whose types the output schema gives by name.
pub(super) fn read_computed(
    message: Vec<u8>,
    ops: &[data::ColumnOp],
    output: Option<&SchemaRef>,
    rows: usize,
) -> Result<RecordBatch, Exceeded> {
    let output = output.ok_or_else(|| Exceeded::Contract("emitted computed columns before it named their types".into()))?;
    let mut fields: Vec<Option<Field>> = Vec::new();
    for op in ops {
        let data::ColumnOp::Computed((index, name)) = op else { continue };
        let index = *index as usize;
        if index >= ops.len() {
            return Err(Exceeded::Contract(format!("named computed column {index} of at most {}", ops.len())));
        }
        let field = output
            .field_with_name(name)
            .map_err(|_| Exceeded::Contract(format!("computed column `{name}`, which its output schema does not have")))?;
        fields.resize(fields.len().max(index + 1), None);
        fields[index] = Some(field.clone().with_nullable(true));
    }
    let fields: Option<Vec<Field>> = fields.into_iter().collect();
    let fields = fields
        .filter(|fields| !fields.is_empty())
        .ok_or_else(|| Exceeded::Contract("sent computed columns that it does not name".into()))?;
    // Two names may show one computed column; within the message a column's name does not matter.
    let fields: Vec<Field> = fields.into_iter().enumerate().map(|(index, field)| field.with_name(index.to_string())).collect();
    let batch = ipc::read_batch(message, &Arc::new(Schema::new(fields)))?;
    if batch.num_rows() != rows {
        return Err(Exceeded::Contract(format!("computed {} values for {rows} rows", batch.num_rows())));
    }
    Ok(batch)
}
