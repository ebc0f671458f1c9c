//! Which runs `run-many` is to do: reads the values or sets that the command line names.

use std::path::{Path, PathBuf};

use clap::Args;

use super::Failures;
use crate::config::sets::{MAX_SETS, ParamSet, csv_sets, days, yaml_sets};
use crate::error::{Error, Result};
use crate::pipeline::directory::read_text_of;

/// Bytes of a file of values or sets.
const MAX_BYTES: u64 = 256 << 20;

/// Which runs are to be done.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct SetArgs {
    /// One run for each value of a parameter
    #[arg(long, value_name = "NAME=A,B,C", value_parser = super::pair)]
    values: Option<(String, String)>,
    /// One run for each line of a file, the value of a parameter
    #[arg(long, value_name = "NAME=FILE", value_parser = super::pair)]
    values_from: Option<(String, String)>,
    /// One run for each day from the first to the last, both among them, the value of a parameter
    #[arg(long, value_name = "NAME=FIRST..LAST", value_parser = super::pair)]
    dates: Option<(String, String)>,
    /// One run for each set of parameters in a file: YAML (a list of mappings, or a mapping of names to mappings) or CSV (a line each)
    #[arg(long, value_name = "FILE")]
    sets: Option<PathBuf>,
}

/// Reads the sets; there is at least one, and no two are the same.
pub(super) fn read(args: &SetArgs, step: &str) -> Result<Vec<ParamSet>, Failures> {
    let SetArgs { values, values_from, dates, sets } = args;
    let of = |name: &str, values: Vec<String>| values.iter().map(|value| ParamSet::one(name, value)).collect();
    let sets: Vec<ParamSet> = match (values, values_from, dates, sets) {
        (Some((name, values)), ..) => {
            if values.split(',').any(|value| value.trim().is_empty()) {
                return Err(Error::config(format!("`--values {name}={values}` has an empty value"))
                    .hint("leave out the comma too many; an empty value can stand in `--sets`")
                    .into());
            }
            of(name, values.split(',').map(|value| value.trim().to_owned()).collect())
        }
        (_, Some((name, file)), ..) => {
            let text = read_text_of(Path::new(file), file, MAX_BYTES)?.text;
            of(name, text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect())
        }
        (_, _, Some((name, range)), _) => of(name, days(range, step).map_err(|what| Error::config(format!("--dates {name}: {what}")))?),
        (.., Some(file)) => {
            let text = read_text_of(file, &file.display().to_string(), MAX_BYTES)?;
            let read = if file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv")) { csv_sets } else { yaml_sets };
            read(&text).map_err(|problems| problems.into_iter().map(Error::from).collect::<Vec<_>>())?
        }
        _ => unreachable!("the command line has one of them"),
    };
    if sets.is_empty() {
        return Err(Error::config("there is nothing to run: no value and no set was given").into());
    }
    if sets.len() > MAX_SETS {
        return Err(Error::config(format!("there are more than {MAX_SETS} sets")).hint("split them over several calls").into());
    }
    let mut seen = std::collections::HashMap::new();
    for (index, set) in sets.iter().enumerate() {
        if let Some(first) = seen.insert(&set.params, index) {
            let message = format!("sets {} and {} are the same: {}", first + 1, index + 1, ParamSet::of(set.params.clone()).name);
            return Err(Error::config(message).hint("leave one of them out").into());
        }
    }
    Ok(sets)
}
