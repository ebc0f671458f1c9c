//! The search for the rows of a batch that a guest fails on, and what becomes of them.

use arrow_buffer::BooleanBufferBuilder;

use super::{ComponentStage, add, filter};
use crate::batch::{Batch, Reason, Reject};
use crate::config::transform::OnError;
use crate::error::{Error, Result};
use crate::json;
use crate::sandbox::{Failure, Scope};
use crate::stage::Output;

/// Crashed rows that a batch may have whatever the ratio says.
const CRASHES_ALLOWED: usize = 10;

/// The search for the guilty rows of one batch.
pub(super) struct Search<'a> {
    batch: &'a Batch,
    failed: usize,
    allowed: usize,
}

impl<'a> Search<'a> {
    /// Starts one, in which so large a share of the rows may be found guilty.
    pub(super) fn new(batch: &'a Batch, max_error_ratio: f64) -> Self {
        let allowed = CRASHES_ALLOWED.max((max_error_ratio * batch.rows.num_rows() as f64) as usize);
        Self { batch, failed: 0, allowed }
    }
}

impl ComponentStage {
    /// Halves a part that failed until the guilty rows stand alone; the rest goes on at once, since its rows do not see each other.
    pub(super) fn narrow(&mut self, search: &mut Search<'_>, failure: Failure, output: &mut Output) -> Result<()> {
        // Parts still to look at, the first one last. A guest that fails on one row after the other makes many: they cannot lie on the stack.
        let mut parts = vec![(0, search.batch.rows.num_rows(), Some(failure))];
        while let Some((start, end, failure)) = parts.pop() {
            let failure = match failure {
                Some(failure) => failure,
                None if start == end => continue,
                None => {
                    let part = search.batch.slice(start, end - start);
                    match self.attempt(&part.rows, part.sequence, start)? {
                        Ok(processed) => {
                            add(output, self.output(&part, processed)?);
                            continue;
                        }
                        Err(failure) => failure,
                    }
                }
            };
            match failure.row.map(|row| start + row as usize).filter(|row| *row < end).or((end - start == 1).then_some(start)) {
                Some(row) => {
                    self.convict(search, row, &failure, output)?;
                    parts.extend([(row + 1, end, None), (start, row, None)]);
                }
                None => {
                    let middle = start + (end - start) / 2;
                    parts.extend([(middle, end, None), (start, middle, None)]);
                }
            }
        }
        Ok(())
    }

    /// Finds the guilty rows, then passes the batch without them in one piece, since its rows see each other.
    pub(super) fn without_guilty(&mut self, search: &mut Search<'_>, failure: Failure, output: &mut Output) -> Result<()> {
        let batch = search.batch;
        let rows = batch.rows.num_rows();
        let mut guilty = BooleanBufferBuilder::new(rows);
        guilty.append_n(rows, false);
        let mut parts = vec![(0, rows, failure.clone())];
        while let Some((start, end, failure)) = parts.pop() {
            if let Some(row) = failure.row.map(|row| start + row as usize).filter(|row| *row < end).or((end - start == 1).then_some(start))
            {
                self.convict(search, row, &failure, output)?;
                guilty.set_bit(row, true);
                for (start, end) in [(start, row), (row + 1, end)] {
                    self.suspect(batch, start, end, &mut parts)?;
                }
            } else {
                let middle = start + (end - start) / 2;
                self.suspect(batch, start, middle, &mut parts)?;
                self.suspect(batch, middle, end, &mut parts)?;
            }
        }
        let innocent = !&guilty.finish();
        if innocent.count_set_bits() == 0 {
            return Ok(());
        }
        let rest = filter(batch, &innocent)?;
        match self.attempt(&rest.rows, rest.sequence, 0)? {
            Ok(processed) => {
                self.remember(&rest)?;
                add(output, self.output(&rest, processed)?);
            }
            // Each part passes alone and the whole does not: no row is guilty, the batch is.
            Err(failure) => self.refuse_all(&rest, &failure, output),
        }
        Ok(())
    }

    /// Tries a part for its failure only.
    fn suspect(&mut self, batch: &Batch, start: usize, end: usize, parts: &mut Vec<(usize, usize, Failure)>) -> Result<()> {
        if start == end {
            return Ok(());
        }
        let part = batch.slice(start, end - start);
        match self.attempt(&part.rows, part.sequence, start)? {
            Err(failure) => parts.push((start, end, failure)),
            Ok(_) if self.scope == Scope::Stream => self.rewind(&part.rows.schema())?,
            Ok(_) => {}
        }
        Ok(())
    }

    /// Refuses one row for the failure that it alone causes.
    fn convict(&mut self, search: &mut Search<'_>, row: usize, failure: &Failure, output: &mut Output) -> Result<()> {
        search.failed += 1;
        if search.failed > search.allowed {
            let total = search.batch.rows.num_rows();
            return Err(Error::guest(format!(
                "stage `{}` failed on more than {} of the {total} rows of a batch ({})",
                self.recipe.stage,
                search.allowed,
                self.range(search.batch)
            ))
            .because(failure.clone().into_error("the last of them"))
            .hint("mend the transform, or raise `max_error_ratio` of the stage"));
        }
        self.refuse(search.batch, row, failure, output);
        Ok(())
    }

    pub(super) fn refuse_all(&mut self, batch: &Batch, failure: &Failure, output: &mut Output) {
        output.failed_batches += 1;
        for row in 0..batch.rows.num_rows() {
            self.refuse(batch, row, failure, output);
        }
    }

    fn refuse(&mut self, batch: &Batch, row: usize, failure: &Failure, output: &mut Output) {
        if failure.is_fatal() {
            output.crashed += 1;
        } else if self.policy.on_error == OnError::Skip {
            output.skipped += 1;
            return;
        }
        let mut message = failure.full_message();
        if let Some(innermost) = failure.trace.first() {
            message.push_str(&format!(" (in `{innermost}`)"));
        }
        output.rejects.push(self.reject(batch, row, failure.reason(), failure.code.clone(), message, failure.field.clone()));
    }

    pub(super) fn reject(&self, batch: &Batch, row: usize, reason: Reason, code: String, message: String, field: Option<String>) -> Reject {
        Reject {
            reason,
            code,
            message,
            field,
            record: json::record_json(&batch.rows, row),
            stage: self.recipe.stage.to_string(),
            source: batch.origin.source.clone(),
            row: batch.origin.rows.get(row),
            line: 0,
            batch: batch.sequence,
        }
    }
}
