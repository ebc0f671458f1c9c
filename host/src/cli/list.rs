//! `etl-host list`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::history::{short, started};
use super::table::{Column, lay_out};
use super::{Outcome, StateArgs, setup, terminal};
use crate::error::Result;
use crate::pipeline::{Discovered, Discovery, discover};
use crate::report::RunReport;
use crate::state::History;

/// Arguments of `list`.
#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Folder below which pipelines are looked for, two levels down; `templates`, `old` and hidden folders are left out
    root: PathBuf,
    /// Print one JSON object a line, a pipeline each, on stdout
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    state: StateArgs,
}

/// Lists pipelines.
pub(super) fn list(args: &ListArgs) -> Outcome {
    let pipelines = discover(&args.root, &Discovery::default())?;
    let history = History::look_at(&setup::home(&args.state)?)?;
    let last = |pipeline: &Discovered| -> Result<Option<RunReport>> {
        let Some(history) = &history else { return Ok(None) };
        history.last_of(&pipeline.directory.canonicalize().unwrap_or_else(|_| pipeline.directory.clone()))
    };
    let runs = pipelines.iter().map(last).collect::<Result<Vec<_>>>()?;
    if args.json {
        for (pipeline, run) in pipelines.iter().zip(&runs) {
            let last =
                run.as_ref().map(|run| json!({ "run_id": run.run_id, "status": run.status, "started": run.started, "rows": run.rows }));
            terminal::data(&json!({ "name": pipeline.name, "directory": pipeline.directory, "last": last }).to_string());
        }
    } else if pipelines.is_empty() {
        terminal::talk(&format!("there is no pipeline below `{}`", args.root.display()));
    } else {
        let lines = lay_out(&columns(&pipelines, &runs), terminal::columns()).lines;
        lines.iter().for_each(|line| terminal::data(line));
    }
    Ok(ExitCode::SUCCESS)
}

fn columns(pipelines: &[Discovered], runs: &[Option<RunReport>]) -> Vec<Column> {
    let column = |head: &str, right: bool, cells: Vec<String>| Column::of(head, right, true, cells);
    let of = |cell: &dyn Fn(&RunReport) -> String| runs.iter().map(|run| run.as_ref().map_or_else(String::new, cell)).collect();
    vec![
        column("pipeline", false, pipelines.iter().map(|pipeline| terminal::printable(&pipeline.name)).collect()),
        column(
            "directory",
            false,
            pipelines.iter().map(|pipeline| terminal::printable(&pipeline.directory.display().to_string())).collect(),
        ),
        column("last run", false, of(&|run| short(&run.run_id))),
        column("status", false, of(&|run| run.status.name().to_owned())),
        column("started (UTC)", false, of(&|run| started(&run.started))),
        column("loaded", true, of(&|run| terminal::grouped(run.rows.loaded))),
    ]
}
