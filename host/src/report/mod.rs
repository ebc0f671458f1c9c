//! What a run did: what everyone speaks of.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::batch::Reason;
use crate::error::{Error, Fault};

pub use crate::error::PhaseName;

mod letter;
mod quality;
mod transformer;

pub use letter::{DeadLetter, LetterMetadata, LetterStatus};
pub use quality::{Breach, ColumnQuality, Quality, RuleQuality, StepQuality, Tally, Verdict, counters_of, figure};
pub use transformer::TransformerReport;

/// What a run did: what `run --json` prints, and the record that the history keeps.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunReport {
    /// The run's id.
    pub run_id: String,
    /// The pipeline's name.
    pub pipeline: String,
    /// Its contract directory.
    pub directory: PathBuf,
    /// How it ended.
    pub status: Status,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorReport>,
    /// Whether nothing was to be written.
    pub dry_run: bool,
    /// When it started, RFC 3339.
    pub started: String,
    /// When it ended, RFC 3339; absent while it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<String>,
    /// The parameters that it was given, and the defaults of others; secrets are `***`.
    pub parameters: BTreeMap<String, Value>,
    /// SHA-256 of the configuration files, as they were written.
    pub configuration: String,
    /// What became of the rows.
    pub rows: Rows,
    /// The phases in order.
    pub phases: Vec<Phase>,
    /// The stages in order; where there are several transformers, each tells its own.
    pub stages: Vec<StageReport>,
    /// What each of several transformers did; none where the pipeline has one transform.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub transformers: Vec<TransformerReport>,
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
    /// Fuel burned, all stages together.
    pub fuel: u64,
    /// The most memory that the process held, in MiB.
    pub peak_memory_mb: f64,
    /// Threads that worked on rows.
    pub workers: usize,
    /// Batches read.
    pub batches: u64,
    /// Those of them that were refused as a whole.
    pub failed_batches: u64,
    /// What the next run starts behind, where it takes newer rows only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<String>,
    /// How it can be, and was, gone on with; absent where it keeps no checkpoints.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<CheckpointReport>,
}

/// How a run can be, and was, gone on with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckpointReport {
    /// Name of its checkpoint.
    pub id: String,
    /// The folder in which that stands.
    pub folder: PathBuf,
    /// How often the run was gone on with.
    pub resumed: u32,
    /// Checkpoints written by this process.
    pub written: u64,
    /// Whether all was done before, so that nothing was done now.
    pub already_complete: bool,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It has not.
    #[default]
    Running,
    /// Every row was loaded, left out or refused by a rule of the pipeline.
    Success,
    /// The output is there, but transforms crashed on rows, which are in the dead letters.
    PartialSuccess,
    /// Nothing was written.
    Failed,
    /// It was told to stop: nothing is to be seen yet, and it can go on from its checkpoint.
    Interrupted,
}

impl Status {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Running, Self::Success, Self::PartialSuccess, Self::Failed, Self::Interrupted];

    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Success => "success",
            Self::PartialSuccess => "partial_success",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
        }
    }
}

/// Why a run failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorReport {
    /// Whose fault it is.
    pub kind: Fault,
    /// The phase in which it happened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<PhaseName>,
    /// All levels of it, in one line.
    pub message: String,
    /// What to do next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl From<&Error> for ErrorReport {
    fn from(error: &Error) -> Self {
        let place = error.place().map(|place| format!("{place}: ")).unwrap_or_default();
        Self {
            kind: error.fault(),
            phase: error.phase(),
            message: format!("{place}{}", error.one_line()),
            hint: error.find_hint().map(ToOwned::to_owned),
        }
    }
}

/// What became of the rows: `read + expanded = loaded + withheld + filtered + rejected + skipped`. Of several transformers together `read` is
/// the rows of the input, and the others are sums: there the balance holds for each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Phase {
    /// Which.
    pub name: PhaseName,
    /// How it ended.
    pub status: PhaseStatus,
    /// What it worked on, for a person.
    pub detail: String,
    /// Rows that went in.
    pub rows_in: u64,
    /// Rows that came out.
    pub rows_out: u64,
    /// CPU-bound seconds of all workers, where measured.
    pub seconds: f64,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Phase {
    /// One that has done nothing.
    pub fn new(name: PhaseName, status: PhaseStatus, detail: impl Into<String>) -> Self {
        Self { name, status, detail: detail.into(), rows_in: 0, rows_out: 0, seconds: 0.0, error: None }
    }
}

/// How a phase ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PhaseStatus {
    /// Its turn has not come.
    Pending,
    /// It has not ended.
    Running,
    /// It did what was asked of it, up to where the run failed if it did.
    Success,
    /// It ended the run.
    Failed,
    /// The pipeline has nothing for it to do, or the run ended before.
    Skipped,
}

impl PhaseStatus {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Success => "success",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// What a stage did and used.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StageReport {
    /// Its name.
    pub name: String,
    /// Rows that went in.
    pub processed: u64,
    /// Those of them that it did not refuse: they went on, were left out on purpose or were gathered.
    pub succeeded: u64,
    /// Those of them that it refused or crashed on.
    pub failed: u64,
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
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct OutputReport {
    /// Files, in order.
    pub files: Vec<PathBuf>,
    /// Their bytes.
    pub bytes: u64,
    /// Numbers that are NaN or infinite and were written as null, since JSON has none such.
    #[serde(skip_serializing_if = "is_zero")]
    pub nulled: u64,
    /// Tables, with what became of their rows.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<TableReport>,
    /// What was brought up to date afterwards.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub published: Vec<PublishReport>,
}

/// What became of the rows of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TableReport {
    /// The table.
    pub table: String,
    /// Rows that are new.
    pub inserted: u64,
    /// Rows that were there and were changed.
    pub updated: u64,
    /// Rows that are gone.
    pub deleted: u64,
    /// Staged rows that a merge left out, since a part of their key is null.
    #[serde(skip_serializing_if = "is_zero")]
    pub left_out: u64,
}

/// What came of something that was to be brought up to date.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PublishReport {
    /// The SQL or the view, as it was written.
    pub what: String,
    /// Seconds that it took.
    pub seconds: f64,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// The rows that went no further.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
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
    /// The file that the others are in; absent where there are none or nothing was to be written.
    pub path: Option<PathBuf>,
    /// The table that they are in, where the file is a database.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// The first few, as sentences.
    pub samples: Vec<String>,
}

/// Dead letters that a validation keeps in a place of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    /// What is going on: `extract` before the first rows, `transform` while they flow, `load` while they are shown.
    pub stage: PhaseName,
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
    /// Share of the input that was read, 0 to 1, by bytes; absent where a format does not tell.
    pub share: Option<f64>,
    /// How the rows are pulled: `full`, `streaming` or `hybrid`.
    pub mode: &'static str,
}

/// How far a run is, in the nine fields of the format and `mode`: what `run --progress json` prints.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ProgressEvent {
    /// What is going on.
    pub stage: PhaseName,
    /// Batches so far.
    pub batch: u64,
    /// Batches in all; absent before the end, since a stream does not tell.
    pub batches: Option<u64>,
    /// Rows read so far.
    pub records: u64,
    /// Rows in all; absent before the end.
    pub total: Option<u64>,
    /// Seconds since the start.
    pub elapsed_s: f64,
    /// Seconds to go, if the rest of the input takes as long as what was read; absent where a format does not tell.
    pub remaining_s: Option<f64>,
    /// Memory of the process now, in MiB.
    pub memory_mb: f64,
    /// Rows that were refused so far.
    pub errors: u64,
    /// How the rows are pulled: `full`, `streaming` or `hybrid`.
    pub mode: &'static str,
}

impl Progress {
    /// As the format has it.
    pub fn event(&self) -> ProgressEvent {
        let round = |number: f64| (number * 1000.0).round() / 1000.0;
        ProgressEvent {
            stage: self.stage,
            batch: self.batches,
            batches: None,
            records: self.rows.read,
            total: None,
            elapsed_s: round(self.seconds),
            remaining_s: self.share.filter(|share| *share > 0.0).map(|share| round(self.seconds * (1.0 - share) / share)),
            memory_mb: round(self.memory_mb),
            errors: self.rows.rejected,
            mode: self.mode,
        }
    }
}
