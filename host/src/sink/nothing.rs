//! The sink of a dry run: rows are counted, and nothing is written.

use std::path::Path;
use std::sync::Arc;

use arrow_schema::SchemaRef;

use super::flushed::What;
use super::{Committed, Encode, Encoded, Encoder, Flushed, Load, Payload, Sink, Staged};
use crate::batch::{Batch, Reject};
use crate::error::Result;

/// Counts rows.
pub(super) struct Nothing;

struct Counting {
    split: usize,
    rows: u64,
    schema: SchemaRef,
}

struct Counter(u64);

impl Sink for Nothing {
    fn has_output(&self) -> bool {
        true
    }

    fn names_columns(&self) -> bool {
        false
    }

    fn begin(&self, split: usize, schema: SchemaRef, from: Option<&Flushed>) -> Result<Box<dyn Load>> {
        Ok(Box::new(Counting { split, rows: from.map_or(0, |from| from.rows), schema }))
    }

    fn keep(&self, _while_there: &Path) -> Result<()> {
        Ok(())
    }

    fn committed(&self) -> Result<Option<Committed>> {
        Ok(None)
    }

    fn commit(&self, staged: Vec<Staged>) -> Result<Committed> {
        Ok(Committed { rows: staged.iter().map(|staged| staged.rows).sum(), ..Committed::default() })
    }

    fn abort(&self) -> Result<()> {
        Ok(())
    }
}

impl Load for Counting {
    fn encoder(&self) -> Arc<dyn Encode> {
        Arc::new(Nothing)
    }

    fn append(&mut self, chunk: Encoded) -> Result<Vec<Reject>> {
        self.rows += chunk.rows;
        Ok(Vec::new())
    }

    fn flush(&mut self) -> Result<Flushed> {
        Flushed::new(self.rows, &self.schema, What::Counted)
    }

    fn finish(self: Box<Self>) -> Result<Staged> {
        Ok(Staged { split: self.split, rows: self.rows, parts: Vec::new() })
    }
}

impl Encode for Nothing {
    fn start(&self) -> Result<Box<dyn Encoder>> {
        Ok(Box::new(Counter(0)))
    }
}

impl Encoder for Counter {
    fn write(&mut self, batch: &Batch) -> Result<Vec<Reject>> {
        self.0 += batch.rows.num_rows() as u64;
        Ok(Vec::new())
    }

    fn finish(self: Box<Self>) -> Result<Encoded> {
        Ok(Encoded { rows: self.0, payload: Payload::Bytes(Vec::new()) })
    }
}
