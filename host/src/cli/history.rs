//! `etl-host history`.

use std::process::ExitCode;

use clap::Args;
use clap::builder::PossibleValuesParser;

use super::table::{Column, lay_out};
use super::terminal::{self, Colour};
use super::{Outcome, StateArgs, setup};
use crate::error::{Context, Error, Result, did_you_mean};
use crate::report::{RunReport, Status};
use crate::state::{Filter, History};

/// Characters of an id that are shown; a beginning that is unique is enough for `show`.
const ID: usize = 8;

/// Arguments of `history`.
#[derive(Debug, Args)]
pub(super) struct HistoryArgs {
    /// Runs to list at most, the last ones
    #[arg(long, value_name = "RUNS", default_value = "20", value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// List runs of this pipeline only
    #[arg(long, value_name = "NAME")]
    pipeline: Option<String>,
    /// List runs of this status only
    #[arg(long, value_parser = PossibleValuesParser::new(Status::ALL.map(Status::name)))]
    status: Option<String>,
    /// Print one JSON object a line, a run each, on stdout
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    state: StateArgs,
}

/// Lists the last runs.
pub(super) fn history(args: &HistoryArgs) -> Outcome {
    let HistoryArgs { limit, pipeline, status, json, state } = args;
    let status = status.as_deref().and_then(|name| Status::ALL.into_iter().find(|status| status.name() == name));
    let history = History::look_at(&setup::home(state)?)?;
    let filter = Filter { pipeline: pipeline.clone(), status, limit: Some(*limit) };
    let runs = history.as_ref().map_or(Ok(Vec::new()), |history| history.runs(&filter))?;
    if runs.is_empty() {
        check_pipeline(history.as_ref(), pipeline.as_deref())?;
    }
    if *json {
        for run in &runs {
            terminal::data(&serde_json::to_string(run).bug(|| "writing a record as JSON".into())?);
        }
    } else if runs.is_empty() {
        terminal::talk("there is no such run yet; `etl-host run DIR` makes one");
    } else {
        lay_out(&columns(&runs), terminal::columns()).lines.iter().for_each(|line| terminal::data(&terminal::printable(line)));
    }
    Ok(ExitCode::SUCCESS)
}

/// Refuses a pipeline that never ran where others did.
pub(super) fn check_pipeline(history: Option<&History>, pipeline: Option<&str>) -> Result<()> {
    let (Some(history), Some(pipeline)) = (history, pipeline) else { return Ok(()) };
    let known = history.pipelines()?;
    if known.is_empty() || known.iter().any(|name| name == pipeline) {
        return Ok(());
    }
    let error = Error::config(format!("no pipeline `{pipeline}` has run"));
    Err(match did_you_mean(pipeline, known.iter().map(String::as_str)) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => error.hint(format!("those that have are {}", known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "))),
    })
}

fn columns(runs: &[RunReport]) -> Vec<Column> {
    let column =
        |head: &str, right: bool, first: bool, cell: &dyn Fn(&RunReport) -> String| Column::of(head, right, first, runs.iter().map(cell));
    vec![
        column("run", false, true, &|run| short(&run.run_id)),
        column("pipeline", false, true, &|run| run.pipeline.clone()),
        column("status", false, true, &|run| run.status.name().to_owned()),
        column("started (UTC)", false, true, &|run| started(&run.started)),
        column("took", true, false, &|run| if run.ended.is_some() && run.seconds > 0.0 { took(run.seconds) } else { String::new() }),
        column("loaded", true, true, &|run| terminal::grouped(run.rows.loaded)),
        column("rejected", true, false, &|run| terminal::grouped(run.rows.rejected)),
    ]
}

/// The beginning of an id.
pub(super) fn short(id: &str) -> String {
    id.chars().take(ID).collect()
}

/// `2026-01-31T23:59:59.123Z` as `2026-01-31 23:59`.
pub(super) fn started(instant: &str) -> String {
    instant.chars().take(16).collect::<String>().replace('T', " ")
}

/// A duration as a person says it.
pub(super) fn took(seconds: f64) -> String {
    match seconds {
        ..60.0 => format!("{seconds:.1} s"),
        60.0..3600.0 => format!("{:.0}:{:02.0} min", (seconds / 60.0).floor(), (seconds % 60.0).floor()),
        _ => format!("{:.0}:{:02.0} h", (seconds / 3600.0).floor(), (seconds % 3600.0 / 60.0).floor()),
    }
}

/// A status in its colour.
pub(super) fn painted(status: Status) -> String {
    let colour = match status {
        Status::Success => Colour::Green,
        Status::Failed => Colour::Red,
        Status::PartialSuccess | Status::Running | Status::Interrupted => Colour::Yellow,
    };
    terminal::paint(colour, status.name())
}
