//! `etl-host show`.

use std::process::ExitCode;

use clap::Args;

use super::history::{painted, took};
use super::terminal;
use super::{Outcome, StateArgs, setup};
use crate::error::{Context, Error, Result, did_you_mean};
use crate::report::{PhaseStatus, RunReport};
use crate::state::History;

/// Runs whose ids a wrong one is compared with.
const NEAR: u32 = 1000;

/// Arguments of `show`.
#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// The run's id, or a beginning of it that no other run has
    run: String,
    /// Print the record as one JSON object on stdout
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    state: StateArgs,
}

/// Shows one run.
pub(super) fn show(args: &ShowArgs) -> Outcome {
    let home = setup::home(&args.state)?;
    let history = History::look_at(&home)?
        .ok_or_else(|| Error::config(format!("no run was recorded in `{}` yet", home.title())).hint("`etl-host run DIR` makes one"))?;
    let run = find(&history, &args.run)?;
    if args.json {
        terminal::data(&serde_json::to_string(&run).bug(|| "writing a record as JSON".into())?);
    } else {
        terminal::data(&terminal::printable(&text(&run)));
    }
    Ok(ExitCode::SUCCESS)
}

/// The run whose id is, or starts with, what was given.
fn find(history: &History, given: &str) -> Result<RunReport> {
    let mut found = history.find(given, 6)?;
    if found.len() == 1 || found.first().is_some_and(|run| run.run_id == given) {
        return Ok(found.swap_remove(0));
    }
    if found.is_empty() {
        let ids = history.ids(NEAR)?;
        // Ids are compared at the length that was given.
        let starts: Vec<String> = ids.iter().map(|id| id.chars().take(given.chars().count().max(1)).collect()).collect();
        let error = Error::config(format!("no run has the id `{given}`"));
        let near = did_you_mean(given, starts.iter().map(String::as_str));
        return Err(error.hint(match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => "`etl-host history` lists the last ones".into(),
        }));
    }
    let names: Vec<String> = found.iter().take(5).map(|run| format!("`{}` ({}, {})", run.run_id, run.pipeline, run.started)).collect();
    let more = if found.len() > 5 { " and more" } else { "" };
    Err(Error::config(format!("more than one run has an id that starts with `{given}`")).hint(format!("{}{more}", names.join(", "))))
}

fn text(run: &RunReport) -> String {
    let mut lines = vec![format!("run {}  {}", run.run_id, painted(run.status))];
    let mut line = |name: &str, value: String| lines.push(format!("  {name:<10} {value}"));
    line("pipeline", format!("{} in {}", run.pipeline, run.directory.display()));
    let ended = run.ended.as_ref().map(|ended| format!(" to {ended}")).unwrap_or_default();
    let lasted = if run.seconds > 0.0 { format!(" ({})", took(run.seconds)) } else { String::new() };
    line("time", format!("{}{ended}{lasted}", run.started));
    if let Some(error) = &run.error {
        let fault = serde_json::to_value(error.kind).ok().and_then(|kind| kind.as_str().map(ToOwned::to_owned)).unwrap_or_default();
        line("error", format!("{} ({fault})", error.message));
        if let Some(hint) = &error.hint {
            line("hint", hint.clone());
        }
    }
    let parameters: Vec<String> = run.parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
    if !parameters.is_empty() {
        line("parameters", parameters.join(" "));
    }
    line("config", run.configuration.clone());
    for phase in &run.phases {
        let rows = match phase.status {
            PhaseStatus::Success | PhaseStatus::Failed if phase.rows_in + phase.rows_out > 0 => {
                format!("{} -> {} rows", terminal::grouped(phase.rows_in), terminal::grouped(phase.rows_out))
            }
            _ => String::new(),
        };
        line(phase.name.name(), format!("{:<8} {rows:<26} {}", phase.status.name(), phase.detail).trim_end().to_owned());
    }
    for stage in &run.stages {
        let [processed, succeeded, failed] = [stage.processed, stage.succeeded, stage.failed].map(terminal::grouped);
        line("stage", format!("{}: {processed} rows processed, {succeeded} succeeded, {failed} failed; {}", stage.name, stage.digest));
    }
    lines.extend(super::transformers::lines(run));
    // The rest as `run` told it, without what stands above.
    let summary = terminal::summary(run);
    let told = ["extract", "transform", "load", "stage", "transformer"];
    let mut skip = true;
    for text in summary.lines() {
        if let Some(name) = text.strip_prefix("  ").filter(|text| !text.starts_with(' ')).and_then(|text| text.split_whitespace().next()) {
            skip = told.contains(&name) || name == "took" && run.seconds == 0.0;
        }
        if !skip {
            lines.push(text.to_owned());
        }
    }
    lines.join("\n")
}
