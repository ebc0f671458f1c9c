//! Arguments about checkpoints, and what is said of them.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::{StateArgs, local_path, setup};
use crate::error::{Result, near};
use crate::plan::Plan;
use crate::report::CheckpointReport;
use crate::run::{Checkpoints, Start, checkpoint_name};

/// Whether and how a run keeps checkpoints, and goes on from one.
#[derive(Debug, Args)]
pub(super) struct CheckpointArgs {
    /// Keep checkpoints under this name, whether or not extract.yaml says `checkpoint` [default: from the pipeline, its
    /// folder and its parameters]
    #[arg(long, value_name = "NAME")]
    checkpoint_id: Option<String>,
    /// Keep checkpoints in this folder [default: checkpoints in the state folder]
    #[arg(long, value_name = "FOLDER", env = "ETL_HOST_CHECKPOINT_DIR", value_parser = local_path())]
    checkpoint_dir: Option<PathBuf>,
    /// Go on with the run that was interrupted; `=if-unfinished` starts one where there is none
    #[arg(long, value_name = "WHEN", num_args = 0..=1, require_equals = true, default_missing_value = "always", conflicts_with = "dry_run")]
    resume: Option<ResumeWhen>,
    /// Discard the run that was interrupted, and start from the first row
    #[arg(long, conflicts_with_all = ["resume", "dry_run"])]
    restart: bool,
    /// With `--resume`: go on though the configuration, a component or the input has changed since. With `--restart`: though rows are in the
    /// table already
    #[arg(long)]
    force: bool,
}

/// When a run is gone on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ResumeWhen {
    /// Go on; an error where there is no checkpoint, and nothing to do where the run is complete
    Always,
    /// Go on where a run is unfinished, else start one
    IfUnfinished,
}

impl CheckpointArgs {
    /// How the run of a plan keeps checkpoints; none where nobody asks for them.
    pub(super) fn checkpoints(&self, plan: &Plan, state: &StateArgs) -> Result<Option<Checkpoints>> {
        let Self { checkpoint_id, checkpoint_dir, resume, restart, force } = self;
        let asked = checkpoint_id.is_some() || resume.is_some() || *restart;
        if !asked && !plan.checkpoint.enabled {
            return Ok(None);
        }
        let folder = match checkpoint_dir {
            Some(folder) => folder.clone(),
            None => setup::state_folder(state)?.join("checkpoints"),
        };
        let start = match (resume, restart) {
            (_, true) => Start::Restart,
            (Some(ResumeWhen::Always), _) => Start::Resume,
            (Some(ResumeWhen::IfUnfinished), _) => Start::ResumeUnfinished,
            (None, false) => Start::New,
        };
        let id = checkpoint_id.clone().unwrap_or_else(|| checkpoint_name(plan));
        Ok(Some(Checkpoints { folder, id, interval: plan.checkpoint.interval, start, force: *force }))
    }
}

/// What `plan` says of checkpoints.
pub(super) fn described(plan: &Plan) -> String {
    format!("every {} batches, as `{}`", plan.checkpoint.interval, checkpoint_name(plan))
}

/// As `described`, for a script.
pub(super) fn as_json(plan: &Plan) -> Value {
    json!({ "id": checkpoint_name(plan), "interval": plan.checkpoint.interval })
}

/// Says how to go on with a run.
pub(super) fn how_to_go_on(checkpoint: &CheckpointReport) -> String {
    format!(
        "the checkpoint `{}` in `{}` has it: the same command with `--resume` goes on, with `--restart` starts again",
        checkpoint.id,
        near(&checkpoint.folder)
    )
}
