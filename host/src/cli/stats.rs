//! `etl-host stats`.

use std::process::ExitCode;

use clap::Args;

use super::history::{check_pipeline, started, took};
use super::table::{Column, lay_out};
use super::terminal;
use super::{Outcome, StateArgs, setup};
use crate::error::Context;
use crate::state::{History, PipelineStats};

/// Arguments of `stats`.
#[derive(Debug, Args)]
pub(super) struct StatsArgs {
    /// Show this pipeline only
    #[arg(long, value_name = "NAME")]
    pipeline: Option<String>,
    /// Print one JSON object a line, a pipeline each, on stdout
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    state: StateArgs,
}

/// Shows what the runs of each pipeline come to.
pub(super) fn stats(args: &StatsArgs) -> Outcome {
    let StatsArgs { pipeline, json, state } = args;
    let history = History::look_at(&setup::home(state)?)?;
    let stats = history.as_ref().map_or(Ok(Vec::new()), |history| history.stats(pipeline.as_deref()))?;
    if stats.is_empty() {
        check_pipeline(history.as_ref(), pipeline.as_deref())?;
    }
    if *json {
        for stats in &stats {
            terminal::data(&serde_json::to_string(stats).bug(|| "writing statistics as JSON".into())?);
        }
    } else if stats.is_empty() {
        terminal::talk("no run was recorded yet; `etl-host run DIR` makes one");
    } else {
        lay_out(&columns(&stats), terminal::columns()).lines.iter().for_each(|line| terminal::data(&terminal::printable(line)));
    }
    Ok(ExitCode::SUCCESS)
}

fn columns(stats: &[PipelineStats]) -> Vec<Column> {
    let column = |head: &str, right: bool, first: bool, cell: &dyn Fn(&PipelineStats) -> String| {
        Column::of(head, right, first, stats.iter().map(cell))
    };
    let seconds = |seconds: Option<f64>| seconds.map(took).unwrap_or_default();
    vec![
        column("pipeline", false, true, &|stats| stats.pipeline.clone()),
        column("runs", true, true, &|stats| terminal::grouped(stats.executions)),
        column("success", true, true, &|stats| stats.success_rate.map(|rate| format!("{:.1} %", rate * 100.0)).unwrap_or_default()),
        column("mean", true, true, &|stats| seconds(stats.mean_seconds)),
        column("p95", true, true, &|stats| seconds(stats.p95_seconds)),
        column("read", true, false, &|stats| terminal::grouped(stats.rows_read)),
        column("loaded", true, true, &|stats| terminal::grouped(stats.rows_loaded)),
        column("rejected", true, false, &|stats| terminal::grouped(stats.rows_rejected)),
        column("last (UTC)", false, false, &|stats| format!("{} {}", started(&stats.last_started), stats.last_status)),
    ]
}
