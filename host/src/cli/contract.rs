//! Reads a contract directory from disk and hands its texts to the configuration.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use super::{ContractArgs, Failures};
use crate::config::{Files, Pipeline, Problem, RULES, Text, parse, takes, wanted};
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
        Ok(contract) => return Ok(contract),
        Err(problems) => problems,
    };
    let mut chosen: Vec<(&Problem, usize)> = problems.iter().map(|problem| (problem, 0)).collect();
    while problems.iter().all(|problem| problem.unset.is_some() && within(&problem.place.file)) {
        let mut vars = args.vars.clone();
        vars.extend(chosen.iter().filter_map(|(problem, choice)| Some((problem.unset.clone()?, STAND_INS[*choice].to_owned()))));
        let wrong = match typed(&ContractArgs { vars, ..args.clone() })? {
            Ok(contract) => return Ok(contract),
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

/// As `read`, with the mistakes of the files apart from what kept them from being read.
pub(super) fn typed(args: &ContractArgs) -> Result<Result<Contract, Vec<Problem>>, Failures> {
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
        rules: RULES.iter().filter_map(|name| find_rules(&root, name).transpose()).collect::<Result<_>>()?,
        pipeline: None,
        others: BTreeMap::new(),
    };
    match single {
        Some(path) => {
            (files.extract, files.transform, files.load) = (None, None, None);
            files.pipeline = Some(read_text(&path, &path.display().to_string())?);
        }
        None if files.extract.is_none() || files.load.is_none() => files.pipeline = find_text(&root, "pipeline")?,
        None => {}
    }
    // A parameter is a variable too; what is given comes before the environment, and that before a default.
    let given = args.params.iter().chain(&args.vars).map(|(name, value)| (name.as_str(), value.as_str()));
    let given: HashMap<&str, &str> = given.collect();
    let params = takes(&files);
    let lookup = |name: &str| {
        let given = given.get(name).map(|value| (*value).to_owned());
        given.or_else(|| std::env::var(name).ok()).or_else(|| params.get(name).cloned().flatten())
    };
    // What the files name may name files in turn.
    for _ in 0..4 {
        let wanted = wanted(&files, &lookup);
        if wanted.is_empty() {
            break;
        }
        for path in wanted {
            let full = root.join(&path);
            let text = if full.is_file() { Some(read_text(&full, &full.display().to_string())?) } else { None };
            files.others.insert(path, text);
        }
    }
    let mut parsed = parse(&files, &lookup).map(|pipeline| Contract { pipeline, root });
    for problem in parsed.as_mut().err().into_iter().flatten() {
        if let Some(name) = problem.unset.as_ref().filter(|name| params.contains_key(*name)) {
            problem.message = format!("parameter `{name}` is missing, which this uses as `${{{name}}}`");
            problem.hint = Some(format!("pass `--param {name}=…`, or give it a `default` in `input_params`"));
        }
    }
    Ok(parsed)
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

/// As [`find_text`]; a schema may be JSON.
fn find_rules(root: &Path, name: &str) -> Result<Option<Text>> {
    let json = root.join(format!("{name}.json"));
    match find_text(root, name)? {
        None if name == "schema" && json.exists() => read_text(&json, &json.display().to_string()).map(Some),
        found => Ok(found),
    }
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

/// Reads a configuration file; `shown` is what messages call it.
pub(super) fn read_text(path: &Path, shown: &str) -> Result<Text> {
    read_text_of(path, shown, MAX_BYTES)
}

/// As [`read_text`], of at most so many bytes.
pub(super) fn read_text_of(path: &Path, shown: &str, max_bytes: u64) -> Result<Text> {
    let reading = || format!("reading `{shown}`");
    let metadata = std::fs::metadata(path).outside(reading)?;
    if metadata.len() > max_bytes {
        return Err(Error::config(format!("`{shown}` has {} bytes, a configuration file has at most {max_bytes}", metadata.len())));
    }
    let bytes = std::fs::read(path).outside(reading)?;
    let text = String::from_utf8(bytes)
        .map_err(|error| Error::config(format!("`{shown}` is not UTF-8, from byte {} on", error.utf8_error().valid_up_to())))?;
    Ok(Text { name: shown.to_owned(), text })
}
