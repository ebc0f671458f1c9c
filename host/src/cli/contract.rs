//! Reads a contract directory from disk and hands its texts to the configuration.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::{ContractArgs, Failures};
use crate::config::{Files, Pipeline, Problem, RULES, Text, parse};
use crate::error::{Context, Error, Result};
use crate::plan::{Overrides, Plan};

/// Bytes of a configuration file.
const MAX_BYTES: u64 = 1 << 20;

/// A contract directory that was read.
pub(super) struct Contract {
    pub(super) pipeline: Pipeline,
    pub(super) root: PathBuf,
}

/// Reads and types the files of a contract directory.
pub(super) fn read(args: &ContractArgs) -> Result<Contract, Failures> {
    Ok(typed(args)?.map_err(|problems| problems.into_iter().map(Error::from).collect::<Vec<_>>())?)
}

/// As `read`, where variables need not be set: what is built does not depend on them.
pub(super) fn read_without_variables(args: &ContractArgs) -> Result<Contract, Failures> {
    match typed(args)? {
        Ok(contract) => Ok(contract),
        Err(problems) if problems.iter().all(|problem| problem.unset) => match typed_or(args, Some(""))? {
            Ok(contract) => Ok(contract),
            Err(_) => Err(problems.into_iter().map(Error::from).collect::<Vec<_>>().into()),
        },
        Err(problems) => Err(problems.into_iter().map(Error::from).collect::<Vec<_>>().into()),
    }
}

/// As `read`, with the mistakes of the files apart from what kept them from being read.
pub(super) fn typed(args: &ContractArgs) -> Result<Result<Contract, Vec<Problem>>, Failures> {
    typed_or(args, None)
}

/// As `typed`, with the value of variables that are not set.
fn typed_or(args: &ContractArgs, unset: Option<&str>) -> Result<Result<Contract, Vec<Problem>>, Failures> {
    let given = &args.directory;
    let metadata = std::fs::metadata(given).outside(|| format!("opening the contract directory `{}`", given.display()))?;
    let (root, single) = if metadata.is_dir() { (given.clone(), None) } else { (parent(given), Some(given.clone())) };
    let text = |explicit: &Option<PathBuf>, name: &str| match explicit {
        Some(path) => read_text(path, &path.display().to_string()).map(Some),
        None => find_text(&root, name),
    };
    let mut files = Files {
        name: directory_name(&root),
        directory: root.display().to_string(),
        extract: text(&args.extract, "extract")?,
        transform: text(&args.transform, "transform")?,
        load: text(&args.load, "load")?,
        settings: find_text(&root, "settings")?,
        rules: RULES.iter().filter_map(|name| find_text(&root, name).transpose()).collect::<Result<_>>()?,
        pipeline: None,
    };
    match single {
        Some(path) => {
            (files.extract, files.transform, files.load) = (None, None, None);
            files.pipeline = Some(read_text(&path, &path.display().to_string())?);
        }
        None if files.extract.is_none() || files.load.is_none() => files.pipeline = find_text(&root, "pipeline")?,
        None => {}
    }
    let vars: HashMap<&str, &str> = args.vars.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let lookup = |name: &str| {
        vars.get(name).map(|value| (*value).to_owned()).or_else(|| std::env::var(name).ok()).or_else(|| unset.map(str::to_owned))
    };
    Ok(parse(&files, &lookup).map(|pipeline| Contract { pipeline, root }))
}

/// Reads a contract directory and works out what will run.
pub(super) fn planned(args: &ContractArgs) -> Result<Plan, Failures> {
    let Contract { pipeline, root } = read(args)?;
    let overrides = Overrides { params: args.params.iter().cloned().collect(), limit: args.limit };
    Ok(Plan::new(&pipeline, &root, &overrides, &|name| std::env::var(name).ok())?)
}

/// As `planned`, where no rows are read: parameters may be missing.
pub(super) fn planned_without_params(args: &ContractArgs) -> Result<Plan, Failures> {
    let Contract { pipeline, root } = read(args)?;
    let overrides = Overrides::without_params(&pipeline);
    Ok(Plan::new(&pipeline, &root, &overrides, &|name| std::env::var(name).ok())?)
}

fn parent(file: &Path) -> PathBuf {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// The directory's own name, which is the pipeline's where it has no other.
fn directory_name(root: &Path) -> String {
    let absolute = std::path::absolute(root).unwrap_or_else(|_| root.to_owned());
    absolute.file_name().map_or_else(|| "pipeline".into(), |name| name.to_string_lossy().into_owned())
}

/// Reads `name.yaml` or `name.yml`, whichever is there.
fn find_text(root: &Path, name: &str) -> Result<Option<Text>> {
    let mut found: Vec<PathBuf> =
        ["yaml", "yml"].iter().map(|extension| root.join(format!("{name}.{extension}"))).filter(|path| path.exists()).collect();
    match found.len() {
        0 => Ok(None),
        1 => {
            let path = found.remove(0);
            let shown = path.display().to_string();
            read_text(&path, &shown).map(Some)
        }
        _ => Err(Error::config(format!("`{}` and `{}` are both there", found[0].display(), found[1].display())).hint("remove one of them")),
    }
}

fn read_text(path: &Path, shown: &str) -> Result<Text> {
    let reading = || format!("reading `{shown}`");
    let metadata = std::fs::metadata(path).outside(reading)?;
    if metadata.len() > MAX_BYTES {
        return Err(Error::config(format!("`{shown}` has {} bytes, a configuration file has at most {MAX_BYTES}", metadata.len())));
    }
    let bytes = std::fs::read(path).outside(reading)?;
    let text = String::from_utf8(bytes)
        .map_err(|error| Error::config(format!("`{shown}` is not UTF-8, from byte {} on", error.utf8_error().valid_up_to())))?;
    Ok(Text { name: shown.to_owned(), text })
}
