//! What is done to rows on the way: the trait, and `open`.

use arrow_schema::SchemaRef;

mod component;
mod judge;

pub use component::{ComponentStage, Policy, ReadLines};
pub use judge::Judge;

use crate::batch::{Batch, Reject};
use crate::error::Result;
use crate::report::Tally;

/// A configured transform; the same life as the contract's `instance`.
///
/// Calls block the thread that makes them; they are made on worker threads only, never on tokio's.
pub trait Stage: Send {
    /// The name under which the user knows it, such as `ops` or `custom_function`.
    fn name(&self) -> &str;

    /// Works on one batch. The rows come with the numbers of the input rows that they were made from.
    ///
    /// # Errors
    /// Guest or data, where the policy says that the run ends; rows that the policy gives up come back as rejects.
    fn process(&mut self, batch: Batch) -> Result<Output>;

    /// Says that no more rows come.
    fn finish(&mut self) -> Result<Output> {
        Ok(Output::default())
    }

    /// Everything it remembers, for a checkpoint.
    fn snapshot(&mut self) -> Result<Vec<u8>> {
        Ok(Vec::new())
    }

    /// Goes on from a snapshot.
    fn restore(&mut self, state: &[u8]) -> Result<()>;

    /// What it has used and counted since it was last asked.
    fn usage(&mut self) -> Usage {
        Usage::default()
    }
}

/// What became of the rows of one batch.
#[derive(Debug, Default)]
pub struct Output {
    /// The rows that go on; several batches where the stage emitted several.
    pub batches: Vec<Batch>,
    /// The rows that do not.
    pub rejects: Vec<Reject>,
    /// Rows left out on purpose.
    pub filtered: u64,
    /// Rows that came out more than went in.
    pub expanded: u64,
    /// Rows whose stage crashed on them or ran into a limit, counted in `rejects` too.
    pub crashed: u64,
    /// Rows that the policy `skip` lost on purpose.
    pub skipped: u64,
    /// Batches that were refused as a whole.
    pub failed_batches: u64,
}

/// What a stage has used.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Usage {
    /// Fuel burned.
    pub fuel: u64,
    /// The largest share of a batch's fuel budget that a batch used, 0 to 1.
    pub fuel_share: f64,
    /// The most memory that an instance held, in bytes.
    pub memory_bytes: usize,
    /// Instances opened.
    pub instances: u64,
    /// The guest's own counters, such as `missing_column.price`.
    pub counters: std::collections::BTreeMap<String, u64>,
    /// What its rules found, where it has some.
    pub tally: Tally,
}

/// What a stage says about itself once it knows its input.
#[derive(Clone, Debug)]
pub struct Configured {
    /// The schema that comes out, where it is known.
    pub output: Option<SchemaRef>,
    /// The columns it reads, by index; `None` = all.
    pub columns: Option<Vec<usize>>,
}
