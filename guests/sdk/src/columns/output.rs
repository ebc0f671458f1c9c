//! What a columnar transform writes to.

use arrow_array::RecordBatch;
use arrow_buffer::{BooleanBuffer, BooleanBufferBuilder};
use arrow_schema::SchemaRef;

use super::Input;
use crate::{Refusal, Rejection, StageError};

pub use crate::bindings::columns::etl::transform::data::ColumnOp;

/// Rejections that are handed to the host at once, so that a batch of bad rows does not fill the memory.
const REJECTIONS: usize = 1024;

/// Takes what a columnar transform makes.
pub struct Output<'a> {
    emit: &'a mut dyn Emit,
    /// Rejections that the host has not got yet.
    rejections: Vec<Rejection>,
    /// Rows rejected so far.
    rejected: Vec<usize>,
}

impl<'a> Output<'a> {
    /// Opens an output; [`flush`](Self::flush) ends it.
    pub fn new(emit: &'a mut dyn Emit) -> Self {
        Self { emit, rejections: Vec::new(), rejected: Vec::new() }
    }

    /// Names the schema of what follows, where the plan could not tell it or where it changes.
    ///
    /// # Errors
    /// Where the host does not take the schema.
    pub fn schema(&mut self, schema: &SchemaRef) -> Result<(), StageError> {
        self.emit.schema(schema)
    }

    /// Emits rows that were made from scratch, with all columns of the output schema.
    ///
    /// `origins` says for each row which input row it came from; without it the host can name only the batch in an error further down.
    ///
    /// # Errors
    /// Where the rows break the plan or a limit.
    pub fn emit(&mut self, rows: &RecordBatch, origins: Option<&[u32]>) -> Result<(), StageError> {
        self.emit.emit(rows, origins)
    }

    /// Emits the rows of the input batch with other columns; columns that are kept or renamed move no byte.
    ///
    /// - `keep`: which rows; `None` = all. Rows that were rejected before are left out in any case, so reject first.
    /// - `columns`: the output's columns in order; names are unique.
    /// - `computed`: a value for every row of the input, also those not kept, for `ColumnOp::Computed` by index.
    ///
    /// # Errors
    /// Where the rows break the plan or a limit.
    pub fn derive(
        &mut self,
        input: &Input<'_>,
        keep: Option<&BooleanBuffer>,
        columns: &[ColumnOp],
        computed: Option<&RecordBatch>,
    ) -> Result<(), StageError> {
        let rows = input.num_rows();
        let fits = |what: &str, found: usize| match found == rows {
            true => Ok(()),
            false => Err(StageError::internal("length", format!("{what} for {found} rows, but the batch has {rows}"))),
        };
        keep.map_or(Ok(()), |keep| fits("`keep` is", keep.len()))?;
        computed.map_or(Ok(()), |computed| fits("`computed` is", computed.num_rows()))?;
        if self.rejected.is_empty() {
            return self.emit.derive(keep, columns, computed);
        }
        let mut bits = BooleanBufferBuilder::new(rows);
        match keep {
            Some(keep) => bits.append_buffer(keep),
            None => bits.append_n(rows, true),
        }
        self.rejected.iter().filter(|&&row| row < rows).for_each(|&row| bits.set_bit(row, false));
        self.emit.derive(Some(&bits.finish()), columns, computed)
    }

    /// Refuses a row of the input batch: it goes to the dead letters with this reason.
    ///
    /// # Errors
    /// Where the host does not take it.
    pub fn reject(&mut self, row: usize, refusal: Refusal) -> Result<(), StageError> {
        let number = u32::try_from(row).map_err(|_| StageError::internal("row", format!("row {row} is beyond any batch")))?;
        self.rejections.push(refusal.of_row(number));
        self.rejected.push(row);
        if self.rejections.len() < REJECTIONS { Ok(()) } else { self.flush() }
    }

    /// Hands over what is held back; done by whoever called the transform, after it.
    ///
    /// # Errors
    /// As [`reject`](Self::reject).
    pub fn flush(&mut self) -> Result<(), StageError> {
        if self.rejections.is_empty() {
            return Ok(());
        }
        let result = self.emit.reject(&self.rejections);
        self.rejections.clear();
        result
    }
}

/// Where an [`Output`] goes: the host, or memory in a native build. The methods are those of the contract's `output`.
pub trait Emit {
    /// Names the schema of what follows.
    ///
    /// # Errors
    /// Where it is not taken.
    fn schema(&mut self, schema: &SchemaRef) -> Result<(), StageError>;

    /// Takes rows made from scratch.
    ///
    /// # Errors
    /// Where they are not taken.
    fn emit(&mut self, rows: &RecordBatch, origins: Option<&[u32]>) -> Result<(), StageError>;

    /// Takes rows of the input with other columns.
    ///
    /// # Errors
    /// Where they are not taken.
    fn derive(&mut self, keep: Option<&BooleanBuffer>, columns: &[ColumnOp], computed: Option<&RecordBatch>) -> Result<(), StageError>;

    /// Takes refusals of rows of the input.
    ///
    /// # Errors
    /// Where they are not taken.
    fn reject(&mut self, rejections: &[Rejection]) -> Result<(), StageError>;
}
