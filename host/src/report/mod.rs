//! What a run did: what everyone speaks of.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use crate::batch::Reason;

mod quality;

pub use quality::{Breach, ColumnQuality, Quality, RuleQuality, StepQuality, Tally, Verdict, counters_of, figure};

/// What a run did.
#[derive(Clone, Debug, Serialize)]
pub struct RunReport {
    /// The run's id.
    pub run_id: String,
    /// The pipeline's name.
    pub pipeline: String,
    /// How it ended.
    pub status: Status,
    /// Whether nothing was to be written.
    pub dry_run: bool,
    /// When it started, RFC 3339.
    pub started: String,
    /// What became of the rows.
    pub rows: Rows,
    /// The phases in order.
    pub phases: Vec<Phase>,
    /// The stages in order.
    pub stages: Vec<StageReport>,
    /// How good the data is, where rules say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quality: Option<Quality>,
    /// What was written.
    pub output: OutputReport,
    /// The rows that went no further.
    pub dead_letters: DeadLetterReport,
    /// Seconds from start to end.
    pub seconds: f64,
    /// CPU seconds of the process.
    pub cpu_seconds: f64,
    /// The most memory that the process held, in MiB.
    pub peak_memory_mb: f64,
    /// Threads that worked on rows.
    pub workers: usize,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Every row was loaded, left out or refused by a rule of the pipeline.
    Success,
    /// The output is there, but transforms crashed on rows, which are in the dead letters.
    PartialSuccess,
    /// Nothing was written.
    Failed,
}

/// What became of the rows: `read + expanded = loaded + withheld + filtered + rejected + skipped`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Rows {
    /// Rows in the input, those that did not parse included.
    pub read: u64,
    /// Rows written.
    pub loaded: u64,
    /// Rows left out on purpose.
    pub filtered: u64,
    /// Rows in the dead letters.
    pub rejected: u64,
    /// Rows that a policy `skip` left out.
    pub skipped: u64,
    /// Rows that came out more than went in.
    pub expanded: u64,
    /// Rows that were to be written and were not, since the verdict on the data is FAIL.
    #[serde(skip_serializing_if = "is_zero")]
    pub withheld: u64,
    /// Those of the rejected rows on which a transform crashed or ran into a limit.
    pub crashed: u64,
}

impl Rows {
    /// Whether no row is lost or doubled.
    pub fn balance(&self) -> bool {
        self.read + self.expanded == self.loaded + self.withheld + self.filtered + self.rejected + self.skipped
    }

    /// Adds up.
    pub fn add(&mut self, other: &Self) {
        let Self { read, loaded, filtered, rejected, skipped, expanded, withheld, crashed } = other;
        self.read += read;
        self.loaded += loaded;
        self.filtered += filtered;
        self.rejected += rejected;
        self.skipped += skipped;
        self.expanded += expanded;
        self.withheld += withheld;
        self.crashed += crashed;
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// One phase of a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Phase {
    /// `extract`, `transform` or `load`.
    pub name: &'static str,
    /// What it worked on, for a person.
    pub detail: String,
    /// Rows that went in.
    pub rows_in: u64,
    /// Rows that came out.
    pub rows_out: u64,
    /// CPU-bound seconds of all workers, where measured.
    pub seconds: f64,
}

/// What a stage used.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct StageReport {
    /// Its name.
    pub name: String,
    /// SHA-256 of its component.
    pub digest: String,
    /// Fuel burned, all instances together.
    pub fuel: u64,
    /// The largest share of its fuel budget that a batch used, 0 to 1.
    pub fuel_share: f64,
    /// The most memory that one instance held, in MiB.
    pub memory_mb: f64,
    /// Instances opened.
    pub instances: u64,
    /// Its counters.
    pub counters: BTreeMap<String, u64>,
    /// What its rules found, where it has some; [`Quality`] tells it.
    #[serde(skip)]
    pub tally: Tally,
}

/// Names of counters that a report keeps for a stage.
pub const MAX_COUNTERS: usize = 256;

/// Adds to a counter; names beyond the first `most` are counted together.
pub fn count(counters: &mut BTreeMap<String, u64>, name: String, by: u64, most: usize) {
    let name = if counters.len() < most || counters.contains_key(&name) { name } else { "counters_dropped".into() };
    let counter = counters.entry(name).or_default();
    *counter = counter.saturating_add(by);
}

/// What was written.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct OutputReport {
    /// Files, in order.
    pub files: Vec<PathBuf>,
    /// Their bytes.
    pub bytes: u64,
    /// Numbers that are NaN or infinite and were written as null, since JSON has none such.
    #[serde(skip_serializing_if = "is_zero")]
    pub nulled: u64,
}

/// The rows that went no further.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct DeadLetterReport {
    /// How many, by reason.
    pub by_reason: BTreeMap<Reason, u64>,
    /// How many, by code.
    pub by_code: BTreeMap<String, u64>,
    /// How many, by the step that refused them.
    pub by_stage: BTreeMap<String, u64>,
    /// Those that a validation keeps apart, in place of the file below.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub apart: Vec<StageLetters>,
    /// Where the others are; absent where there are none or nothing was to be written.
    pub path: Option<PathBuf>,
    /// The first few, as sentences.
    pub samples: Vec<String>,
}

/// Dead letters that a validation keeps in a place of its own.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StageLetters {
    /// The stage that refused them.
    pub stage: String,
    /// How many.
    pub count: u64,
    /// Their file; absent where they are only counted.
    pub path: Option<PathBuf>,
}

/// How far a run is.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// Rows so far.
    pub rows: Rows,
    /// Batches read so far.
    pub batches: u64,
    /// Seconds since the start.
    pub seconds: f64,
    /// Memory of the process now, in MiB.
    pub memory_mb: f64,
    /// Fuel by stage so far.
    pub fuel: Vec<(String, u64)>,
}
