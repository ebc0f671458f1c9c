//! `etl-host check`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::{ContractArgs, Failures, Outcome, contract, exit_code, terminal};
use crate::artifact::build;
use crate::config::{Pipeline, Problem};
use crate::error::{Context, Error, Place, Result};
use crate::plan::{Overrides, Plan, Planned};
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
            Ok(Ok(mut contract)) => {
                // The rules of a store that is out of reach from here are told as a note, the rest is looked at.
                let left_out = std::mem::take(&mut contract.left_out);
                if !left_out.is_empty() {
                    let Pipeline { load, transformers, .. } = &mut contract.pipeline;
                    let loads = std::iter::once(load).chain(transformers.iter_mut().map(|transformer| &mut transformer.load));
                    loads.filter_map(|load| load.validation.as_mut()).for_each(|validation| validation.unread = None);
                }
                let mut errors = contradictions(&contract);
                errors.extend(build::check(&contract.root, &contract.pipeline));
                (errors, left_out)
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
    match Planned::new(&contract.pipeline, &contract.root, &overrides, &|name| std::env::var(name).ok()) {
        Ok(planned) => {
            let plan = planned.common();
            let sinks = planned.plans().iter().map(|plan| {
                let checked = sink::check(&plan.sink, &plan.root);
                checked.map_err(|error| in_file(&contract.root, "load", of_transformer(plan, error)))
            });
            let source = source::check(&plan.source, &plan.root).map_err(|error| in_file(&contract.root, "extract", error));
            std::iter::once(source).chain(sinks).filter_map(Result::err).collect()
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

/// Says which of several transformers an error is about.
pub(super) fn of_transformer(plan: &Plan, error: Error) -> Error {
    match plan.lane() {
        None => error,
        Some(name) => error.while_doing(format!("transformer `{name}`")),
    }
}

/// An error as JSON.
pub(super) fn as_json(error: &Error) -> serde_json::Value {
    json!({ "place": error.place(), "message": error.one_line(), "hint": error.find_hint(), "fault": error.fault() })
}
