//! What one of several transformers did.

use serde::{Deserialize, Serialize};

use super::{CheckpointReport, DeadLetterReport, ErrorReport, OutputReport, Phase, Quality, Rows, RunReport, StageReport, Status};

/// What one of several transformers did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TransformerReport {
    /// Its name.
    pub name: String,
    /// How it ended.
    pub status: Status,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorReport>,
    /// Rows that went in.
    pub processed: u64,
    /// Those of them that it did not refuse; none where it failed as a whole.
    pub succeeded: u64,
    /// Those of them that it refused or crashed on.
    pub failed: u64,
    /// What became of the rows: the balance holds for each transformer.
    pub rows: Rows,
    /// Its phases in order.
    pub phases: Vec<Phase>,
    /// Its stages in order.
    pub stages: Vec<StageReport>,
    /// How good its data is, where rules say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quality: Option<Quality>,
    /// What was written.
    pub output: OutputReport,
    /// The rows that went no further.
    pub dead_letters: DeadLetterReport,
    /// Seconds from start to end.
    pub seconds: f64,
    /// Fuel burned, all stages together.
    pub fuel: u64,
    /// Batches read.
    pub batches: u64,
    /// Those of them that were refused as a whole.
    pub failed_batches: u64,
    /// What its next run starts behind, where it takes newer rows only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mark: Option<String>,
    /// How it can be, and was, gone on with; absent where it keeps no checkpoints.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<CheckpointReport>,
}

impl TransformerReport {
    /// What a transformer's own run came to.
    pub fn of(name: &str, run: RunReport) -> Self {
        let RunReport { status, error, rows, phases, stages, quality, output, dead_letters, seconds, fuel, .. } = run;
        Self {
            name: name.to_owned(),
            status,
            error,
            processed: rows.read,
            succeeded: if status == Status::Failed { 0 } else { rows.read.saturating_sub(rows.rejected) },
            failed: rows.rejected,
            rows,
            phases,
            stages,
            quality,
            output,
            dead_letters,
            seconds,
            fuel,
            batches: run.batches,
            failed_batches: run.failed_batches,
            mark: run.mark,
            checkpoint: run.checkpoint,
        }
    }
}
