//! Runs a case of `etl-host test`: its rows through the stages of the pipeline, without source, sink and network.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::Path;

use super::RunOptions;
use super::apply::apply;
use super::difference::{Difference, differences};
use crate::artifact::Library;
use crate::batch::{Batch, Reject};
use crate::config::cases::{Case, Expect, ExpectedLetter, Input};
use crate::config::extract::{FileSource, Reading};
use crate::config::pipeline::Pipeline;
use crate::error::{Error, Result, did_you_mean};
use crate::json;
use crate::plan::{Overrides, Plan, no_transformer};
use crate::report::Rows;
use crate::sandbox::Sandbox;
use crate::source::{Decoded, Given, ReadOptions, given, open_files};

/// What came of a case.
#[derive(Debug)]
pub struct CaseReport {
    /// What came out.
    pub came: Came,
    /// What is not as expected; empty where the case passed.
    pub differences: Vec<Difference>,
}

/// What came out.
#[derive(Debug, Default)]
pub struct Came {
    /// The rows.
    pub rows: Vec<serde_json::Map<String, serde_json::Value>>,
    /// The rows that went no further, by their number.
    pub letters: Vec<Reject>,
    /// The counts.
    pub counts: Rows,
    /// Why the run failed, where it did; then nothing else is known.
    pub error: Option<Error>,
}

/// Runs a case; `root` is the contract directory, `folder` the one that the case's files are relative to.
///
/// # Errors
/// Config: the case names a stage, a parameter or a file that is not there. That the run itself fails is in the report.
pub fn run_case(
    pipeline: &Pipeline,
    root: &Path,
    case: &Case,
    folder: &Path,
    library: &Library,
    sandbox: &Sandbox,
) -> Result<CaseReport, Vec<Error>> {
    let overrides = Overrides { params: case.params.clone(), limit: None };
    let pipeline = pipeline.without_source().without_sink();
    let at_case = |error: Error| if error.place().is_some() { error } else { error.at(case.place.clone()) };
    let pipeline = choose_transformer(pipeline, case).map_err(|error| vec![error])?;
    let mut plan = Plan::new(&pipeline, root, &overrides, &|name| case.env.get(name).cloned())
        .map_err(|errors| errors.into_iter().map(at_case).collect::<Vec<_>>())?;
    for stage in &mut plan.stages {
        // The clock and the seed of the case hold for every stage; the sandbox reaches no other machine.
        (stage.grants.clock, stage.grants.random) = (false, false);
    }
    let first = choose_stage(&mut plan, case)?;
    let (schema, decoded) = match read(&plan, case, folder, first) {
        Ok(given) => (given.schema, given.batches),
        Err(error) => return Err(vec![at_case(error)]),
    };
    let options = RunOptions {
        run_id: "test".into(),
        started: case.clock,
        seed: Some(case.seed),
        workers: NonZeroUsize::MIN,
        library: library.clone(),
        ..RunOptions::default()
    };
    let mut unread = Vec::new();
    let mut counts = Rows::default();
    let batches: Vec<Batch> = decoded
        .into_iter()
        .map(|Decoded { batch, rejects, skipped, filtered }| {
            counts.read += rejects.len() as u64 + skipped + filtered;
            counts.rejected += rejects.len() as u64;
            counts.skipped += skipped;
            counts.filtered += filtered;
            unread.extend(rejects);
            batch
        })
        .collect();
    let came = match apply(&plan, &options, sandbox, schema, batches) {
        Ok(applied) => {
            counts.add(&applied.rows);
            let mut letters = unread;
            letters.extend(applied.rejects);
            letters.sort_by_key(|letter| letter.row);
            Came { rows: rows(&applied.batches), letters, counts, error: None }
        }
        Err(error) => Came { error: Some(error), ..Came::default() },
    };
    let differences = differences(case.expect.as_ref(), &came);
    Ok(CaseReport { came, differences })
}

/// The pipeline of the transformer that the case names.
fn choose_transformer(pipeline: Pipeline, case: &Case) -> Result<Pipeline> {
    match (&case.transformer, pipeline.transformers.is_empty()) {
        (None, true) => Ok(pipeline),
        (None, false) => Err(Error::config("the pipeline has several transformers, and the case does not say which one it is for")
            .at(case.place.clone())
            .hint(format!("add `transformer: NAME`; they are {}", pipeline.transformer_names()))),
        (Some((name, place)), _) => {
            let chain = pipeline.chains().into_iter().find(|chain| chain.transformer.as_ref() == Some(name));
            chain.ok_or_else(|| no_transformer(name, &pipeline.transformer_names()).at(place.clone()))
        }
    }
}

/// Leaves only the stage that the case names; answers whether the first stage of the pipeline is among those left.
fn choose_stage(plan: &mut Plan, case: &Case) -> Result<bool, Vec<Error>> {
    let Some((name, place)) = &case.stage else { return Ok(true) };
    match plan.stages.iter().position(|stage| stage.name == *name) {
        Some(index) => {
            plan.stages = vec![plan.stages.swap_remove(index)];
            Ok(index == 0)
        }
        None => {
            let names: Vec<&str> = plan.stages.iter().map(|stage| stage.name.as_str()).collect();
            let near = did_you_mean(name, names.iter().copied()).map(|near| format!("did you mean `{near}`? ")).unwrap_or_default();
            let all = match names.as_slice() {
                [] => "it has none".to_owned(),
                names => format!("its stages are {}", names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")),
            };
            Err(vec![Error::config(format!("the pipeline has no stage `{name}`")).at(place.clone()).hint(format!("{near}{all}"))])
        }
    }
}

/// Reads the rows, as the source would hand them to the first stage; another stage gets them as they are.
fn read(plan: &Plan, case: &Case, folder: &Path, first: bool) -> Result<Given> {
    let mut reading = if first { plan.reading.clone() } else { Reading::default() };
    reading.max_records = None;
    if let Some(rows) = case.batch_size {
        reading.batch_size = rows;
    }
    let options = ReadOptions {
        batch_rows: reading.batch_size,
        exact: true,
        converted: if first { plan.converted.clone() } else { Vec::new() },
        as_text: if first { plan.as_text.clone() } else { Vec::new() },
        ..ReadOptions::default()
    };
    match &case.input {
        Input::Rows(lines) => {
            // What the source pins is not missing where the case does not have it.
            let columns: BTreeSet<String> = lines
                .lines()
                .filter_map(|line| serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(line).ok())
                .flat_map(|row| row.into_iter().map(|(name, _)| name))
                .collect();
            reading.schema.retain(|name, _| columns.contains(name));
            reading.schema.extend(case.schema.clone());
            given(lines, "input", &reading, &options)
        }
        Input::File { path, place } => {
            reading.schema.extend(case.schema.clone());
            let at_file = |error: Error| Error::config(format!("reading the rows of `{path}`")).because(error).at(place.clone());
            let source = open_files(&FileSource::of(path), &reading, options, folder).map_err(at_file)?;
            let mut batches = Vec::new();
            for split in source.splits(NonZeroUsize::MIN)? {
                for chunk in source.read(&split, None).map_err(at_file)? {
                    for decoded in chunk.map_err(at_file)?.decode() {
                        batches.push(decoded.map_err(at_file)?);
                    }
                }
            }
            Ok(Given { schema: source.schema(), batches })
        }
    }
}

fn rows(batches: &[Batch]) -> Vec<serde_json::Map<String, serde_json::Value>> {
    let all = batches.iter().flat_map(|batch| (0..batch.rows.num_rows()).map(|row| json::row_json(&batch.rows, row)));
    all.filter_map(|row| match row {
        serde_json::Value::Object(row) => Some(row),
        _ => None,
    })
    .collect()
}

impl Came {
    /// What a case would expect for this to be right, in the way in which it expects it now; none where the run failed.
    pub fn as_expectation(&self, now: Option<&Expect>) -> Option<Expect> {
        if self.error.is_some() {
            return None;
        }
        let letter = |reject: &Reject| ExpectedLetter {
            row: (reject.row > 0).then_some(reject.row),
            code: Some(reject.code.clone()),
            column: reject.field.clone(),
            ..ExpectedLetter::default()
        };
        let mut expect =
            Expect { rows: self.rows.clone(), dead_letters: self.letters.iter().map(letter).collect(), ..now.cloned().unwrap_or_default() };
        expect.error = None;
        for (name, came) in super::difference::counted(&self.counts) {
            if let Some(count) = super::difference::count_of(&mut expect.counts, name) {
                *count = came;
            }
        }
        Some(expect)
    }
}
