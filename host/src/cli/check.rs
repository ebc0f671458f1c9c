//! `etl-host check`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::{ContractArgs, Failures, Outcome, contract, exit_code, terminal};
use crate::config::Problem;
use crate::error::{Context, Error, Place, Result};
use crate::plan::{Overrides, Plan};
use crate::{sink, source};

/// Arguments of `check`.
#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// Contract directories
    #[arg(required = true)]
    directories: Vec<PathBuf>,
    /// Set a variable that the files use as ${NAME}; wins over the environment
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = super::pair)]
    vars: Vec<(String, String)>,
    /// Print the result as one JSON object on stdout
    #[arg(long)]
    json: bool,
}

/// Finds every mistake in the configuration of each directory.
pub(super) fn check(args: &CheckArgs) -> Outcome {
    let mut faults = Vec::new();
    let mut results = Vec::new();
    for directory in &args.directories {
        let contract = ContractArgs {
            directory: directory.clone(),
            extract: None,
            transform: None,
            load: None,
            vars: args.vars.clone(),
            params: Vec::new(),
            limit: None,
        };
        let (errors, notes) = match contract::typed(&contract) {
            Ok(Ok(contract)) => {
                let not_built: Vec<Error> = contract.pipeline.not_built().iter().cloned().map(Error::from).collect();
                // Parameters belong to a run, what is not built yet is told as a note.
                let errors = if not_built.is_empty() { contradictions(&contract) } else { Vec::new() };
                (errors, not_built)
            }
            Ok(Err(problems)) => {
                // A variable may be set where the pipeline runs, and seldom where it is checked.
                let (unset, wrong): (Vec<Problem>, Vec<Problem>) = problems.into_iter().partition(|problem| problem.unset.is_some());
                let as_errors = |problems: Vec<Problem>| problems.into_iter().map(Error::from).collect();
                (as_errors(wrong), as_errors(unset))
            }
            Err(Failures(errors)) => (errors, Vec::new()),
        };
        if args.json {
            results.push(json!({
                "directory": directory,
                "errors": errors.iter().map(as_json).collect::<Vec<_>>(),
                "notes": notes.iter().map(as_json).collect::<Vec<_>>(),
            }));
        } else {
            for error in &errors {
                terminal::error(error);
            }
            for note in &notes {
                terminal::talk(&terminal::render(note).replacen("error: ", "note: ", 1));
            }
            let count = match errors.len() {
                0 => "no mistake".to_owned(),
                1 => "1 mistake".to_owned(),
                count => format!("{count} mistakes"),
            };
            terminal::talk(&format!("{}: {count}", directory.display()));
        }
        faults.extend(errors.iter().map(Error::fault));
    }
    if args.json {
        terminal::data(&serde_json::to_string(&results).bug(|| "writing the result as JSON".into())?);
    }
    Ok(if faults.is_empty() { ExitCode::SUCCESS } else { exit_code(faults.into_iter()) })
}

/// What only shows once the whole is planned; parameters that are missing are no mistake of the files.
fn contradictions(contract: &contract::Contract) -> Vec<Error> {
    let overrides = Overrides::without_params(&contract.pipeline);
    match Plan::new(&contract.pipeline, &contract.root, &overrides, &|name| std::env::var(name).ok()) {
        Ok(plan) => {
            let ends = [("extract", source::check(&plan.source, &plan.root)), ("load", sink::check(&plan.sink, &plan.root))];
            let wrong = |(section, end): (&str, Result<()>)| Some(in_file(&contract.root, section, end.err()?));
            ends.into_iter().filter_map(wrong).collect()
        }
        Err(errors) => errors,
    }
}

/// An error of a section, with the file that it stands in.
fn in_file(root: &Path, section: &str, error: Error) -> Error {
    let names = [section, "pipeline"].into_iter().flat_map(|name| ["yaml", "yml"].map(|ending| root.join(format!("{name}.{ending}"))));
    match names.into_iter().find(|path| path.exists()) {
        Some(path) if error.place().is_none() => error.at(Place { file: path.display().to_string(), ..Place::default() }),
        _ => error,
    }
}

/// An error as JSON.
pub(super) fn as_json(error: &Error) -> serde_json::Value {
    json!({ "place": error.place(), "message": error.one_line(), "hint": error.find_hint(), "fault": error.fault() })
}
