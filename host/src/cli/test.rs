//! `etl-host test`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::terminal::{self, Colour, paint, printable};
use super::{CacheArgs, ContractArgs, Failures, LibraryArgs, Outcome, contract, setup};
use crate::artifact::Library;
use crate::config::cases::{Case, Cases, Expect, parse_cases};
use crate::error::{Context, Error, Fault, Result, did_you_mean};
use crate::run::{CaseReport, Difference, Letter, run_case};
use crate::sandbox::Network;

/// Differences of one case that are shown; `--json` has all.
const SHOWN: usize = 10;

/// Characters of a value that are shown.
const WIDTH: usize = 100;

/// Arguments of `test`.
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
pub(super) struct TestArgs {
    /// Contract directory; its cases are in tests/*.yaml
    directory: PathBuf,
    /// Run only the cases whose name, or whose file's name, has this text in it
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Write what came into the `expect` part of every case that failed, and leave the rest of its file as it is
    #[arg(long)]
    update: bool,
    /// Set a variable that the files use as ${NAME}; one that is not set does not matter where it is only about source or sink
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = super::pair)]
    vars: Vec<(String, String)>,
    /// Print the result as one JSON object on stdout
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    cache: CacheArgs,
    #[command(flatten)]
    library: LibraryArgs,
}

const HELP: &str = "\
A case is rows, and what is to come of them. Its rows go through the same stages, sandbox, limits and policies as
in a run; nothing is read from the source, nothing is written, no network is reached: a component that a registry
has must be in the store (`etl-host pull`). What comes out and is not expected fails the case. A file holds one case, several under `cases:`, or several YAML documents:

  # tests/prices.yaml
  cases:
    - name: prices become numbers       # default: the file's name
      input:                            # rows, or {file: rows.csv} beside this file
        - {id: 1, price: \"1.5\"}
        - {id: 2, price: abc}
      expect:
        rows:
          - {id: 1, price: 1.5}
        dead_letters:                   # what is given is compared
          - {row: 2, code: convert_float, column: price}

    - name: only the second stage, on a fixed day
      # transformer: daily              # which of several `transformers` it is for
      stage: convert_currency           # a name that `etl-host plan` shows; default: the whole chain
      params: {day: 2026-01-01}         # the run's parameters
      env: {REGION: north}              # what a granted variable holds
      clock: 2026-01-01T00:00:00Z       # what now() shows; default: 2000-01-01
      seed: 1                           # what uuid() and chance are drawn from; default: 0
      batch_size: 2                     # how rows are cut; default: that of extract.yaml
      schema: {price: decimal(12,2)}    # types that are not to be inferred
      input: {file: rows.jsonl}
      expect:
        unordered: true                 # rows may come in any order
        tolerance: 0.01                 # numbers may differ by that much
        rows: []
        counts: {filtered: 1}           # also rows, dead_letters, skipped, expanded, crashed
        # error: no rate                # a part of the message, where the run is to fail

Exit codes: 0 all cases passed · 1 a case failed · 2 a case file or the pipeline's configuration is wrong.

Examples:
  etl-host test orders                      all cases of orders/tests/
  etl-host test orders --filter currency    those with `currency` in their name
  etl-host test orders --update             write what comes now, then read `git diff`";

/// What became of a case.
enum Status {
    Passed,
    Failed(CaseReport),
    Updated,
    Broken(Vec<Error>),
}

/// A file of cases, and what became of those that ran.
struct Tested {
    path: PathBuf,
    cases: Cases,
    ran: Vec<(usize, Status)>,
}

/// Runs the cases of a contract directory.
pub(super) fn test(args: &TestArgs) -> Outcome {
    let contract = ContractArgs {
        directory: args.directory.clone(),
        extract: None,
        transform: None,
        load: None,
        vars: args.vars.clone(),
        params: Vec::new(),
        limit: None,
    };
    let contract = contract::read_without_ends(&contract)?;
    let files = case_files(&contract.root.join("tests"))?;
    let mut tested = parsed(files)?;
    let chosen = |cases: &Cases, case: &Case| match &args.filter {
        Some(text) => case.name.contains(text.as_str()) || cases.file.name.contains(text.as_str()),
        None => true,
    };
    let all = || tested.iter().flat_map(|file| file.cases.cases.iter().map(|case| (&file.cases, case)));
    if let (Some(text), false) = (&args.filter, all().any(|(cases, case)| chosen(cases, case))) {
        let names: Vec<&str> = all().map(|(_, case)| case.name.as_str()).collect();
        let list = || names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let near = did_you_mean(text, names.iter().copied()).map(|name| format!("did you mean `{name}`?"));
        let error = Error::config(format!("no case has `{text}` in its name"));
        return Err(error.hint(near.unwrap_or_else(|| format!("the cases are {}", list()))).into());
    }
    let runtime = setup::runtime()?;
    let sandbox = setup::sandbox_reaching(&args.cache, Network { closed: true, ..Network::default() }, &runtime)?;
    let library = Library { offline: true, ..setup::library(&args.library, None) };
    for file in &mut tested {
        let folder = file.path.parent().unwrap_or(Path::new("."));
        for (index, case) in file.cases.cases.iter().enumerate().filter(|(_, case)| chosen(&file.cases, case)) {
            let status = match run_case(&contract.pipeline, &contract.root, case, folder, &library, &sandbox) {
                Ok(report) if report.differences.is_empty() => Status::Passed,
                Ok(report) => Status::Failed(report),
                Err(errors) => Status::Broken(errors),
            };
            file.ran.push((index, status));
        }
    }
    let mut unwritten = Vec::new();
    if args.update {
        unwritten = update(&mut tested);
    }
    if args.json {
        terminal::data(&serde_json::to_string(&as_json(&tested)).bug(|| "writing the result as JSON".into())?);
    } else {
        terminal::data(&as_text(&tested));
    }
    let mut faults = Vec::new();
    for error in unwritten.iter().chain(tested.iter().flat_map(|file| &file.ran).flat_map(|(_, status)| match status {
        Status::Broken(errors) => errors.as_slice(),
        _ => &[],
    })) {
        terminal::error(error);
        faults.push(error.fault());
    }
    if !faults.is_empty() {
        return Ok(super::exit_code(faults.into_iter()));
    }
    let failed = tested.iter().flat_map(|file| &file.ran).any(|(_, status)| matches!(status, Status::Failed(_)));
    Ok(ExitCode::from(u8::from(failed)))
}

/// The files of cases in a folder, in the order of their names.
fn case_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let none = || {
        Error::config(format!("there are no cases: `{}` has no file `*.yaml`", folder.display()))
            .hint("`etl-host test --help` shows what a case looks like; with `input:` only, `--update` writes what is to be expected")
    };
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(none()),
        Err(error) => return Err(error).outside(|| format!("reading the folder `{}`", folder.display())),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.outside(|| format!("reading the folder `{}`", folder.display()))?.path();
        let yaml = path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if yaml && !hidden && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    if files.is_empty() { Err(none()) } else { Ok(files) }
}

/// Reads all files, or says everything that is wrong with any of them.
fn parsed(files: Vec<PathBuf>) -> Result<Vec<Tested>, Failures> {
    let mut tested = Vec::new();
    let mut errors = Vec::new();
    for path in files {
        let text = match crate::pipeline::directory::read_text(&path, &path.display().to_string()) {
            Ok(text) => text,
            Err(error) => {
                errors.push(error);
                continue;
            }
        };
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        match parse_cases(&text, &stem) {
            Ok(cases) => tested.push(Tested { path, cases, ran: Vec::new() }),
            Err(problems) => errors.extend(problems.into_iter().map(Error::from)),
        }
    }
    if errors.is_empty() { Ok(tested) } else { Err(Failures(errors)) }
}

/// Writes what came into the files; answers what could not be written. Where the host itself failed, nothing is.
fn update(tested: &mut [Tested]) -> Vec<Error> {
    let failures = tested.iter().flat_map(|file| &file.ran).filter_map(|(_, status)| match status {
        Status::Failed(report) => report.came.error.as_ref().map(Error::fault),
        Status::Broken(errors) => errors.iter().map(Error::fault).find(|fault| *fault == Fault::Bug),
        _ => None,
    });
    if failures.into_iter().any(|fault| fault == Fault::Bug) {
        return Vec::new();
    }
    let mut unwritten = Vec::new();
    for file in tested {
        let Tested { path, cases, ran } = file;
        let mut fresh: Vec<(usize, Expect)> = ran
            .iter()
            .filter_map(|(index, status)| match status {
                Status::Failed(report) => Some((*index, report.came.as_expectation(cases.cases[*index].expect.as_ref())?)),
                _ => None,
            })
            .collect();
        // One that cannot be written keeps no other from it.
        fresh.retain(|one| match cases.with_expectations(std::slice::from_ref(one)) {
            Ok(_) => true,
            Err(problem) => {
                unwritten.push(problem.into());
                false
            }
        });
        if fresh.is_empty() {
            continue;
        }
        let written = cases.with_expectations(&fresh).map_err(Error::from).and_then(|text| replace(path, &text));
        match written {
            Ok(()) => {
                for (index, status) in ran.iter_mut() {
                    if fresh.iter().any(|(of, _)| of == index) {
                        *status = Status::Updated;
                    }
                }
            }
            Err(error) => unwritten.push(error),
        }
    }
    unwritten
}

/// Replaces a file whole or not at all.
fn replace(path: &Path, text: &str) -> Result<()> {
    use std::io::Write;
    let writing = || format!("writing `{}`", path.display());
    // A link stays one.
    let path = path.canonicalize().outside(writing)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".etl-test").tempfile_in(folder).outside(writing)?;
    file.write_all(text.as_bytes()).outside(writing)?;
    let permissions = std::fs::metadata(&path).outside(writing)?.permissions();
    file.as_file().set_permissions(permissions).outside(writing)?;
    file.as_file().sync_all().outside(writing)?;
    file.persist(&path).outside(writing)?;
    Ok(())
}

fn as_text(tested: &[Tested]) -> String {
    let mut text = String::new();
    let mut line = |line: String| {
        text.push_str(&line);
        text.push('\n');
    };
    let [mut passed, mut failed, mut updated, mut broken] = [0; 4];
    for Tested { cases, ran, .. } in tested.iter().filter(|file| !file.ran.is_empty()) {
        line(printable(&cases.file.name));
        for (index, status) in ran {
            let case = &cases.cases[*index];
            let (count, word, colour) = match status {
                Status::Passed => (&mut passed, "ok     ", Colour::Green),
                Status::Failed(_) => (&mut failed, "FAILED ", Colour::Red),
                Status::Updated => (&mut updated, "updated", Colour::Yellow),
                Status::Broken(_) => (&mut broken, "BROKEN ", Colour::Red),
            };
            *count += 1;
            line(format!("  {} {}", paint(colour, word), printable(&case.name)));
            if let Status::Failed(report) = status {
                explain(report, &mut |text| line(format!("    {}", printable(&text))));
            }
        }
    }
    let mut sums = vec![format!("{passed} passed")];
    sums.extend(
        [(failed, "failed"), (updated, "updated"), (broken, "broken")]
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, word)| format!("{count} {word}")),
    );
    line(sums.join(", "));
    text
}

/// Says how a case failed.
fn explain(report: &CaseReport, line: &mut dyn FnMut(String)) {
    if let Some(error) = &report.came.error {
        let expected = report.differences.iter().find_map(|difference| match difference {
            Difference::Error { expected, .. } => expected.clone(),
            _ => None,
        });
        if let Some(expected) = expected {
            line(format!("the run failed, but not with `{expected}`"));
        }
        terminal::render(error).lines().for_each(|text| line(text.to_owned()));
        return;
    }
    for difference in report.differences.iter().take(SHOWN) {
        describe(difference).lines().for_each(|text| line(text.to_owned()));
    }
    let more = report.differences.len().saturating_sub(SHOWN);
    if more > 0 {
        line(format!("and {more} more difference{}", if more == 1 { "" } else { "s" }));
    }
}

fn describe(difference: &Difference) -> String {
    let pair = |expected: &Value, came: &Value| {
        let (expected, came) = beside(&expected.to_string(), &came.to_string());
        format!("\n  expected  {expected}\n  came      {came}")
    };
    let row_text = |row: &serde_json::Map<String, Value>| shorten(&Value::Object(row.clone()).to_string(), 0);
    match difference {
        Difference::NothingExpected => "the case has no `expect`; `--update` writes what came".into(),
        Difference::Value { row, column, expected, came } => format!("row {row}, column `{column}`{}", pair(expected, came)),
        Difference::UnexpectedColumn { column, came } => {
            format!("column `{column}` was not expected\n  came      {} in the first row", shorten(&came.to_string(), 0))
        }
        Difference::MissingColumn { column, expected } => {
            format!("column `{column}` did not come\n  expected  {} in the first row", shorten(&expected.to_string(), 0))
        }
        Difference::UnexpectedRow { row, came } => format!("row {row} was not expected\n  came      {}", row_text(came)),
        Difference::MissingRow { row, expected } => format!("row {row} did not come\n  expected  {}", row_text(expected)),
        Difference::UnexpectedLetter { came } => {
            let Letter { row, stage, code, column, message } = came;
            let column = column.as_ref().map(|column| format!(", column `{column}`")).unwrap_or_default();
            let row = if *row > 0 { format!("row {row}") } else { "a row".into() };
            format!("a dead letter was not expected: {row}, `{code}`{column}, by `{stage}`\n  {}", shorten(message, 0))
        }
        Difference::MissingLetter { expected } => format!("a dead letter did not come\n  expected  {}", row_text(expected)),
        Difference::Letter { row, field, expected, came } => format!("dead letter of row {row}: {field}{}", pair(expected, came)),
        Difference::Count { name, expected, came } => format!("count `{name}`\n  expected  {expected}\n  came      {came}"),
        Difference::Error { expected, .. } => {
            format!("the run did not fail\n  expected  a message with `{}`", expected.as_deref().unwrap_or_default())
        }
    }
}

/// Two texts, each cut to the part in which they begin to differ.
fn beside(one: &str, other: &str) -> (String, String) {
    let same = one.chars().zip(other.chars()).take_while(|(one, other)| one == other).count();
    let from = if one.chars().count().max(other.chars().count()) > WIDTH { same.saturating_sub(WIDTH / 4) } else { 0 };
    (shorten(one, from), shorten(other, from))
}

/// A text from a character on, with `…` for what is left out.
fn shorten(text: &str, from: usize) -> String {
    let before = if from > 0 { "…" } else { "" };
    let mut shown: String = text.chars().skip(from).take(WIDTH).collect();
    if text.chars().count() > from + WIDTH {
        shown.push('…');
    }
    format!("{before}{shown}")
}

fn as_json(tested: &[Tested]) -> Value {
    let mut counts = [0; 4];
    let mut files = Vec::new();
    for Tested { cases, ran, .. } in tested {
        let mut results = Vec::new();
        for (index, status) in ran {
            let case = &cases.cases[*index];
            let (at, word, differences, errors) = match status {
                Status::Passed => (0, "passed", json!([]), json!([])),
                Status::Failed(report) => {
                    let errors: Vec<Value> = report.came.error.iter().map(super::check::as_json).collect();
                    (1, "failed", json!(report.differences), json!(errors))
                }
                Status::Updated => (2, "updated", json!([]), json!([])),
                Status::Broken(errors) => (3, "broken", json!([]), errors.iter().map(super::check::as_json).collect()),
            };
            counts[at] += 1;
            results.push(json!({
                "name": case.name, "line": case.place.line, "status": word, "differences": differences, "errors": errors,
            }));
        }
        if !results.is_empty() {
            files.push(json!({ "file": cases.file.name, "cases": results }));
        }
    }
    let [passed, failed, updated, broken] = counts;
    json!({ "passed": passed, "failed": failed, "updated": updated, "broken": broken, "files": files })
}
