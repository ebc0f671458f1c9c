//! What a record transform writes to.

use super::Row;
use crate::{Refusal, Rejection, StageError};

/// Bytes of text that are handed to the host at once.
const TEXT: usize = 1 << 20;

/// Rejections that are handed to the host at once.
const REJECTIONS: usize = 1024;

/// Takes the rows that a record transform makes.
pub struct RecordOutput<'a> {
    emit: &'a mut dyn EmitRecords,
    text: Vec<u8>,
    origins: Vec<u32>,
    /// Whether the rows held back have origins: all of them have or none.
    with_origins: bool,
    rejections: Vec<Rejection>,
}

/// Where a [`RecordOutput`] goes.
pub(crate) trait EmitRecords {
    fn emit(&mut self, rows: &[u8], origins: Option<&[u32]>) -> Result<(), StageError>;
    fn reject(&mut self, rejections: &[Rejection]) -> Result<(), StageError>;
}

impl<'a> RecordOutput<'a> {
    pub(crate) fn new(emit: &'a mut dyn EmitRecords) -> Self {
        Self { emit, text: Vec::new(), origins: Vec::new(), with_origins: true, rejections: Vec::new() }
    }

    /// Emits a row; `origin` is the number of the input row it was made from, `None` where it stands for several.
    ///
    /// # Errors
    /// Where the host does not take it.
    pub fn emit(&mut self, origin: Option<u32>, row: &Row) -> Result<(), StageError> {
        if origin.is_some() != self.with_origins {
            self.flush_rows()?;
            self.with_origins = origin.is_some();
        }
        serde_json::to_writer(&mut self.text, row).expect("a map with texts as keys becomes JSON, and a vector takes all bytes");
        self.text.push(b'\n');
        self.origins.extend(origin);
        if self.text.len() < TEXT { Ok(()) } else { self.flush_rows() }
    }

    /// Refuses an input row: it goes to the dead letters with this reason.
    ///
    /// # Errors
    /// Where the host does not take it.
    pub fn reject(&mut self, row: u32, refusal: Refusal) -> Result<(), StageError> {
        self.rejections.push(refusal.of_row(row));
        if self.rejections.len() < REJECTIONS { Ok(()) } else { self.flush_rejections() }
    }

    /// Hands over what is held back.
    pub(crate) fn flush(&mut self) -> Result<(), StageError> {
        self.flush_rows()?;
        self.flush_rejections()
    }

    fn flush_rows(&mut self) -> Result<(), StageError> {
        if self.text.is_empty() {
            return Ok(());
        }
        let result = self.emit.emit(&self.text, self.with_origins.then_some(&self.origins[..]));
        self.text.clear();
        self.origins.clear();
        result
    }

    fn flush_rejections(&mut self) -> Result<(), StageError> {
        if self.rejections.is_empty() {
            return Ok(());
        }
        let result = self.emit.reject(&self.rejections);
        self.rejections.clear();
        result
    }
}
