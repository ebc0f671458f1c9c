//! A stage of rules, and what the host itself sees of its rows.

use super::{Output, Stage, Usage};
use crate::batch::Batch;
use crate::error::Result;
use crate::report::Tally;

/// A stage of rules.
///
/// The guest counts which rules rows break. What needs no guest is counted here, once a row whatever its retries: how many rows came,
/// how many of each column's values are not null, how many rows were refused.
pub struct Judge {
    stage: Box<dyn Stage>,
    tally: Tally,
}

impl Judge {
    /// Wraps the stage that holds rows to the rules.
    pub fn of(stage: Box<dyn Stage>) -> Self {
        Self { stage, tally: Tally::default() }
    }
}

impl Stage for Judge {
    fn name(&self) -> &str {
        self.stage.name()
    }

    fn process(&mut self, batch: Batch) -> Result<Output> {
        self.tally.see(&batch.rows);
        let output = self.stage.process(batch)?;
        self.tally.skipped += output.skipped;
        self.tally.crashed += output.crashed;
        self.tally.quarantined += output.rejects.len() as u64 - output.crashed;
        Ok(output)
    }

    fn finish(&mut self) -> Result<Output> {
        self.stage.finish()
    }

    fn snapshot(&mut self) -> Result<Vec<u8>> {
        self.stage.snapshot()
    }

    fn restore(&mut self, state: &[u8]) -> Result<()> {
        self.stage.restore(state)
    }

    fn usage(&mut self) -> Usage {
        let mut usage = self.stage.usage();
        let mut tally = std::mem::take(&mut self.tally);
        tally.take_counters(&mut usage.counters);
        Usage { tally, ..usage }
    }
}
