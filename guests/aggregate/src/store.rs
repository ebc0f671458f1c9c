//! Rows that are held until the end, as the batches that they came in.

use std::io::Cursor;

use arrow_array::{Array, RecordBatch};
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::SchemaRef;
use arrow_select::interleave::interleave_record_batch;
use etl_sdk::{Output, StageError};

use crate::groups::ROWS_OUT;
use crate::state::{Reader, Writer, broken};
use crate::widen::widen_rows;

/// Rows in the order in which they came.
pub(crate) struct Store {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    /// The number of the first row of each batch.
    starts: Vec<usize>,
    rows: usize,
    bytes: usize,
}

impl Store {
    pub(crate) fn new(schema: SchemaRef) -> Self {
        Self { schema, batches: Vec::new(), starts: Vec::new(), rows: 0, bytes: 0 }
    }

    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn held(&self) -> usize {
        self.bytes + self.batches.len() * (256 + 128 * self.schema.fields().len())
    }

    pub(crate) fn push(&mut self, batch: RecordBatch) {
        if batch.num_rows() == 0 {
            return;
        }
        self.starts.push(self.rows);
        self.rows += batch.num_rows();
        self.bytes += batch.columns().iter().map(|column| column.to_data().get_slice_memory_size().unwrap_or_default()).sum::<usize>();
        self.batches.push(batch);
    }

    /// Rows by their numbers, in the order asked for.
    pub(crate) fn take(&self, rows: impl Iterator<Item = usize>) -> Result<RecordBatch, StageError> {
        let places: Vec<(usize, usize)> = rows
            .map(|row| {
                let batch = self.starts.partition_point(|start| *start <= row) - 1;
                (batch, row - self.starts[batch])
            })
            .collect();
        if self.schema.fields().is_empty() {
            return crate::groups::batch(&self.schema, Vec::new(), places.len());
        }
        let batches: Vec<&RecordBatch> = self.batches.iter().collect();
        Ok(interleave_record_batch(&batches, &places)?)
    }

    /// Emits rows by their numbers.
    pub(crate) fn emit(&self, rows: &[u32], output: &mut Output<'_>) -> Result<(), StageError> {
        rows.chunks(ROWS_OUT).try_for_each(|chunk| output.emit(&self.take(chunk.iter().map(|row| *row as usize))?, None))
    }

    /// Gives its rows away, batch by batch, with wider columns.
    pub(crate) fn widened(self, to: &SchemaRef) -> impl Iterator<Item = Result<RecordBatch, StageError>> {
        self.batches.into_iter().map(move |batch| widen_rows(&batch, to))
    }

    /// Keeps only these rows, which ascend.
    pub(crate) fn retain(&mut self, rows: &[u32]) -> Result<(), StageError> {
        let mut kept = Self::new(self.schema.clone());
        for chunk in rows.chunks(ROWS_OUT) {
            kept.push(self.take(chunk.iter().map(|row| *row as usize))?);
        }
        *self = kept;
        Ok(())
    }

    pub(crate) fn save(&self, writer: &mut Writer) -> Result<(), StageError> {
        let mut stream = StreamWriter::try_new(Vec::with_capacity(self.bytes + 4096), &self.schema)?;
        self.batches.iter().try_for_each(|batch| stream.write(batch))?;
        stream.finish()?;
        writer.bytes(&stream.into_inner()?);
        Ok(())
    }

    pub(crate) fn load(&mut self, reader: &mut Reader<'_>) -> Result<(), StageError> {
        let stream = StreamReader::try_new(Cursor::new(reader.bytes()?), None).map_err(|error| broken(&error.to_string()))?;
        let names =
            |schema: &SchemaRef| schema.fields().iter().map(|field| (field.name().clone(), field.data_type().clone())).collect::<Vec<_>>();
        if names(&stream.schema()) != names(&self.schema) {
            return Err(broken("its rows have other columns"));
        }
        for batch in stream {
            let batch = batch.map_err(|error| broken(&error.to_string()))?;
            // What only says of a column's nulls what they stand for may differ.
            self.push(crate::groups::batch(&self.schema, batch.columns().to_vec(), batch.num_rows())?);
        }
        Ok(())
    }
}
