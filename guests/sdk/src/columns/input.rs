//! What a columnar transform reads from.

use arrow_array::RecordBatch;

use crate::StageError;

/// A batch of input: it stands in the host, and only the columns that are read come over.
pub struct Input<'a> {
    rows: &'a dyn Rows,
}

impl<'a> Input<'a> {
    /// Looks at a batch.
    pub fn new(rows: &'a dyn Rows) -> Self {
        Self { rows }
    }

    /// The number of rows.
    pub fn num_rows(&self) -> usize {
        self.rows.num_rows()
    }

    /// The batch's number in the run, the same when it is tried again.
    pub fn sequence(&self) -> u64 {
        self.rows.sequence()
    }

    /// The number of row 0 within the batch of that sequence: not 0 where the host passes a part of a batch to find a guilty row.
    pub fn first_row(&self) -> u32 {
        self.rows.first_row()
    }

    /// Reads the columns that [`Plan::reading`](super::Plan::reading) named, in its order; without it, all.
    ///
    /// # Errors
    /// As [`read_columns`](Self::read_columns).
    pub fn read(&self) -> Result<RecordBatch, StageError> {
        self.rows.read(None)
    }

    /// Reads columns of the input by index, in the order asked for.
    ///
    /// # Errors
    /// Internal, where there is no column of such an index.
    pub fn read_columns(&self, columns: &[usize]) -> Result<RecordBatch, StageError> {
        self.rows.read(Some(columns))
    }
}

/// Where the rows of an [`Input`] are: the host, or memory in a native build.
pub trait Rows {
    /// The number of rows.
    fn num_rows(&self) -> usize;

    /// The batch's number in the run.
    fn sequence(&self) -> u64 {
        0
    }

    /// The number of row 0 within the batch of that sequence.
    fn first_row(&self) -> u32 {
        0
    }

    /// Reads columns by index, or those of the plan.
    ///
    /// # Errors
    /// Internal, where there is no column of such an index.
    fn read(&self, columns: Option<&[usize]>) -> Result<RecordBatch, StageError>;
}
