//! Reads a contract directory from disk and hands its texts to the configuration.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::{ContractArgs, Failures, terminal};
use crate::config::{Pipeline, Problem, parse, takes};
use crate::error::{Error, Result};
use crate::pipeline::directory::{self, Explicit, Found};
use crate::plan::{Overrides, Planned};

/// A contract directory that was read.
pub(super) struct Contract {
    pub(super) pipeline: Pipeline,
    pub(super) root: PathBuf,
    /// Why contracts of a metadata store were not looked at.
    pub(super) left_out: Vec<Error>,
}

/// Reads and types the files of a contract directory.
pub(super) fn read(args: &ContractArgs) -> Result<Contract, Failures> {
    whole(typed(args)?.map_err(|problems| problems.into_iter().map(Error::from).collect::<Vec<_>>())?)
}

/// Refuses a contract of which a part could not be read.
fn whole(contract: Contract) -> Result<Contract, Failures> {
    if contract.left_out.is_empty() { Ok(contract) } else { Err(contract.left_out.into()) }
}

/// What stands in for a variable of source or sink that is not set, where neither is used: the first that fits its key.
const STAND_INS: [&str; 5] = ["unset", "https://unset.invalid", "postgresql://unset.invalid/unset", "1", "true"];

/// As `read`, where neither source nor sink is used: a variable that is not set does not matter.
pub(super) fn read_without_ends(args: &ContractArgs) -> Result<Contract, Failures> {
    stand_in(args, &|_| true)
}

/// As `read`, for rows that go nowhere: a variable of the file of the sink that is not set does not matter.
pub(super) fn read_without_sink(args: &ContractArgs) -> Result<Contract, Failures> {
    let load = |file: &str| Path::new(file).file_stem().is_some_and(|stem| stem == "load");
    stand_in(args, &|file| load(file) || args.load.as_ref().is_some_and(|path| Path::new(file) == path))
}

fn stand_in(args: &ContractArgs, within: &dyn Fn(&str) -> bool) -> Result<Contract, Failures> {
    let problems = match typed(args)? {
        Ok(contract) => return whole(contract),
        Err(problems) => problems,
    };
    let mut chosen: Vec<(&Problem, usize)> = problems.iter().map(|problem| (problem, 0)).collect();
    while problems.iter().all(|problem| problem.unset.is_some() && within(&problem.place.file)) {
        let mut vars = args.vars.clone();
        vars.extend(chosen.iter().filter_map(|(problem, choice)| Some((problem.unset.clone()?, STAND_INS[*choice].to_owned()))));
        let wrong = match typed(&ContractArgs { vars, ..args.clone() })? {
            // A store behind a variable that is not set answers nobody: that the variable is not set is what to say.
            Ok(contract) if contract.left_out.is_empty() => return Ok(contract),
            Ok(_) => break,
            Err(wrong) => wrong,
        };
        let mut changed = false;
        for (problem, choice) in &mut chosen {
            if *choice + 1 < STAND_INS.len() && wrong.iter().any(|other| other.place == problem.place) {
                *choice += 1;
                changed = true;
            }
        }
        if !changed {
            break;
        }
    }
    Err(problems.into_iter().map(Error::from).collect::<Vec<_>>().into())
}

/// As `read`, with the mistakes of the files apart from what kept them from being read; contracts whose store did not answer are left out.
pub(super) fn typed(args: &ContractArgs) -> Result<Result<Contract, Vec<Problem>>, Failures> {
    let ContractArgs { directory, extract, transform, load, .. } = args;
    if let Some((name, _)) =
        args.params.iter().enumerate().find_map(|(index, param)| args.params[..index].iter().find(|(name, _)| *name == param.0))
    {
        let error = Error::config(format!("`--param {name}=…` is given twice"));
        return Err(vec![error.hint("keep one of them; `run-many` runs a pipeline for each of many values")].into());
    }
    let explicit = Explicit { extract: extract.clone(), transform: transform.clone(), load: load.clone() };
    let Found { root, mut files } = directory::find(directory, &explicit)?;
    // A parameter is a variable too; what is given comes before the environment, and that before a default.
    let given = args.params.iter().chain(&args.vars).map(|(name, value)| (name.as_str(), value.as_str()));
    let given: HashMap<&str, &str> = given.collect();
    let params = takes(&files);
    let lookup = |name: &str| {
        let given = given.get(name).map(|value| (*value).to_owned());
        given.or_else(|| std::env::var(name).ok()).or_else(|| params.get(name).cloned().flatten())
    };
    let left_out = directory::complete(&mut files, &root, &lookup)?;
    let mut parsed = parse(&files, &lookup).map(|pipeline| Contract { pipeline, root, left_out });
    if let Ok(contract) = &parsed {
        terminal::hide(&contract.pipeline.secrets);
    }
    for problem in parsed.as_mut().err().into_iter().flatten() {
        if let Some(name) = problem.unset.as_ref().filter(|name| params.contains_key(*name)) {
            problem.message = format!("parameter `{name}` is missing, which this uses as `${{{name}}}`");
            problem.hint = Some(format!("pass `--param {name}=…`, or give it a `default` in `input_params`"));
        }
    }
    Ok(parsed)
}

/// Reads a contract directory and works out what will run.
pub(super) fn planned(args: &ContractArgs) -> Result<Planned, Failures> {
    let Contract { pipeline, root, left_out: _ } = read(args)?;
    let overrides = Overrides { params: args.params.iter().cloned().collect(), limit: args.limit };
    Ok(Planned::new(&pipeline, &root, &overrides, &|name| std::env::var(name).ok())?)
}

/// As `planned`, where no rows are read: parameters may be missing.
pub(super) fn planned_without_params(args: &ContractArgs) -> Result<Planned, Failures> {
    let Contract { pipeline, root, left_out: _ } = read(args)?;
    let overrides = Overrides::without_params(&pipeline);
    Ok(Planned::new(&pipeline, &root, &overrides, &|name| std::env::var(name).ok())?)
}
