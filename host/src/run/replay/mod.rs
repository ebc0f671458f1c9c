//! Sends dead letters through the pipeline again, from the stage that refused them on, into the same sink.
//!
//! Each row is loaded once, whenever the process dies. Before anything is loaded there is a note on disk of what is on its way
//! ([`transit`]); the sink's commit leaves a mark beside the output, all or nothing; and by note and mark whoever comes next can tell
//! whether the rows were loaded, and settles what became of each letter.

mod rows;
mod transit;

pub use transit::Settled;

use std::collections::{BTreeMap, HashSet};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use chrono::Utc;
use etl_steps::validate::Thresholds;
use serde::Serialize;
use uuid::Uuid;

use self::transit::Transit;
use super::stages::Components;
use super::{RunOptions, run};
use crate::config::extract::{FileSource, Format, OnParseError, Reading, Source};
use crate::error::{Error, Result};
use crate::plan::{DeadLetters, Plan, Planned, StagePlan, Validation};
use crate::report::{DeadLetter, LetterStatus, Progress, RunReport};
use crate::sandbox::Sandbox;
use crate::sink::Mark;
use crate::state::letters::{Letters, Selection};

/// Letters that are on their way at once: what is known of each is held in memory.
const AT_ONCE: usize = 50_000;

/// Which letters are sent through again, and how.
#[derive(Clone, Debug, Default)]
pub struct ReplayOptions {
    /// The letters; of these only pending ones of the pipeline are taken.
    pub selection: Selection,
    /// The stage at which they go in: `extract`, a name, or `load`. Default: the one that refused each.
    pub from: Option<String>,
    /// Runs of which nothing is left in the output, since the run that stands with each has replaced it: their letters are not sent, as what
    /// became of their rows there is not known here.
    pub replaced: BTreeMap<String, String>,
    /// As for a run; each part of the replay has an id and a start of its own.
    pub run: RunOptions,
}

/// What a replay came to.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ReplayReport {
    /// What an earlier replay had left unsettled, where its process died.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interrupted: Option<Settled>,
    /// What became of the letters of this one.
    pub settled: Settled,
    /// Letters that were not sent: why, and how many.
    pub left: BTreeMap<String, u64>,
    /// The runs that it took, one for each stage at which letters went in.
    pub runs: Vec<RunReport>,
}

impl ReplayReport {
    /// Adds up what came of another queue.
    pub fn add(&mut self, other: Self) {
        let Self { interrupted, settled, left, runs } = other;
        if let Some(interrupted) = interrupted {
            self.interrupted.get_or_insert_default().add(&interrupted);
        }
        self.settled.add(&settled);
        for (why, count) in left {
            *self.left.entry(why).or_default() += count;
        }
        self.runs.extend(runs);
    }
}

/// Sends dead letters of a plan's pipeline through it again.
///
/// Rows are added to the sink, whatever its `write_mode` says: to replace what is there by what was refused would lose the rest. Rules
/// refuse rows as ever, but thresholds, which judge a whole run, do not hold. A row that is refused again stays in the queue with what is
/// wrong now. Rows do not pass a stage that remembers (`aggregate`, `dedupe`, `sort`, `window`, `unique`): what it knew is gone.
///
/// # Errors
/// As [`run`]; then the letters on their way are pending again.
pub fn replay(
    plan: &Plan,
    letters: &Letters,
    options: &ReplayOptions,
    sandbox: &Sandbox,
    stop: &AtomicBool,
    on_progress: &mut dyn FnMut(&Progress),
) -> Result<ReplayReport> {
    options.run.check_allowed(plan)?;
    let transit = Transit::open(letters, plan)?;
    let mut report = ReplayReport { interrupted: transit.settle(&options.run.network.authority_files)?, ..ReplayReport::default() };
    let components = Components::load(plan, &options.run.library, sandbox)?;
    let mut groups: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    let mut meant = Selection { pipeline: Some(plan.name.clone()), statuses: vec![LetterStatus::Pending], ..options.selection.clone() };
    if let Some(transformer) = &plan.transformer {
        meant.transformer = Some(transformer.clone());
    }
    letters.each(&meant, &mut |letter| {
        if let Some(newer) = options.replaced.get(&letter.metadata.run) {
            let why = format!(
                "the output was replaced since, by run {}: its own letters say what is missing there, and `dlq discard` ends these",
                short(newer)
            );
            *report.left.entry(why).or_default() += 1;
            return Ok(ControlFlow::Continue(()));
        }
        let entry = entry(plan, &letter, options.from.as_deref()).and_then(|entry| match components.remembering(plan, entry) {
            Some(stage) => Err(format!("stage `{stage}` remembers rows of the whole run: run the pipeline again")),
            None => Ok(entry),
        });
        match entry {
            Ok(entry) => groups.entry(entry).or_default().push(letter.id),
            Err(why) => *report.left.entry(why).or_default() += 1,
        }
        Ok(ControlFlow::Continue(()))
    })?;
    for (entry, ids) in groups {
        let pins = rows::pins(plan, &options.run, sandbox, entry);
        for ids in ids.chunks(AT_ONCE) {
            let ids: HashSet<String> = ids.iter().cloned().collect();
            let again = Replayed { plan: part(plan, entry, &pins, &transit), options: &options.run, sandbox, stop };
            let run = again.run(&transit, &Selection { ids: Some(ids), ..meant.clone() }, on_progress);
            // Whatever came of it: what is on its way arrives, or comes back.
            let settled = transit.settle(&options.run.network.authority_files)?.unwrap_or_default();
            report.settled.add(&settled);
            let stage = plan.stages.get(entry).map_or("load", |stage| &stage.name);
            report.runs.push(run.map_err(|error| error.while_doing(format!("sending dead letters through again from `{stage}` on")))?);
        }
    }
    Ok(report)
}

/// Settles what a replay whose process died has left, where there was one.
///
/// # Errors
/// Outside, where it cannot be, or where a replay is going on.
pub fn settle(letters: &Letters, plan: &Plan, authority_files: &[PathBuf]) -> Result<Option<Settled>> {
    if !letters.replay_folder(&plan.named(&plan.name)).exists() {
        return Ok(None);
    }
    Transit::open(letters, plan)?.settle(authority_files)
}

/// The beginning of an id, which is enough to find it.
fn short(run_id: &str) -> &str {
    run_id.get(..8).unwrap_or(run_id)
}

/// The index of the stage at which a letter goes in, behind the last one for the sink; or why it cannot.
fn entry(plan: &Plan, letter: &DeadLetter, from: Option<&str>) -> Result<usize, String> {
    if let (Some(other), None) = (&letter.metadata.transformer, &plan.transformer) {
        return Err(no_transformer(other));
    }
    if !letter.record.is_object() {
        return Err("the record is a text that never became a row: mend the input and run the pipeline again".into());
    }
    match from.unwrap_or(&letter.stage) {
        "extract" => Ok(0),
        "load" => Ok(plan.stages.len()),
        name => plan
            .stages
            .iter()
            .position(|stage| stage.name == name)
            .ok_or_else(|| format!("the pipeline has no stage `{name}` any more: say by `--from STAGE` where the rows go in")),
    }
}

/// Why the letter of a transformer is not sent that the pipeline does not have.
fn no_transformer(name: &str) -> String {
    format!("the pipeline has no transformer `{name}` any more: run the pipeline again")
}

/// Sends dead letters of a pipeline through it again, those of each transformer through that one only.
///
/// # Errors
/// As [`replay`]; config, where the selection or the stage names what is not there.
pub fn replay_planned(
    planned: &Planned,
    letters: &Letters,
    options: &ReplayOptions,
    sandbox: &Sandbox,
    stop: &AtomicBool,
    on_progress: &mut dyn FnMut(&Progress),
) -> Result<ReplayReport> {
    let several = match planned {
        Planned::One(plan) => return replay(plan, letters, options, sandbox, stop, on_progress),
        Planned::Several(several) => several,
    };
    let chosen = options.selection.transformer.as_deref();
    if chosen.is_some() {
        planned.transformer(chosen)?;
    }
    let mut report = ReplayReport::default();
    for plan in several.lanes().iter().filter(|plan| chosen.is_none_or(|chosen| plan.lane() == Some(chosen))) {
        let one = replay(plan, letters, options, sandbox, stop, on_progress);
        report.add(one.map_err(|error| error.while_doing(format!("transformer `{}`", plan.lane().unwrap_or_default())))?);
    }
    let pipeline = Some(several.common().name.clone());
    let meant = Selection { pipeline, statuses: vec![LetterStatus::Pending], ..options.selection.clone() };
    letters.each(&meant, &mut |letter| {
        let transformer = letter.metadata.transformer.as_deref();
        if !several.lanes().iter().any(|plan| plan.lane() == transformer) {
            let why = match transformer {
                Some(name) => no_transformer(name),
                None => "it is of a time before the pipeline had several transformers: run the pipeline again".into(),
            };
            *report.left.entry(why).or_default() += 1;
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(report)
}

/// The part of a plan from a stage on, over the rows in transit.
fn part(plan: &Plan, entry: usize, pins: &BTreeMap<String, etl_steps::Type>, transit: &Transit<'_>) -> Plan {
    let stages = plan.stages[entry..].iter().map(|stage| StagePlan {
        // Of rows that were refused once any share may be wrong.
        max_error_ratio: 1.0,
        validation: stage.validation.as_ref().map(|rules| {
            // Rows of a few letters need not have all columns.
            let Validation { rules, columns: _, thresholds: _, dead_letters: _ } = rules.as_ref().clone();
            // What is refused again stays a letter, though of a first run such rows were only counted.
            Arc::new(Validation { rules, columns: Vec::new(), thresholds: Thresholds::default(), dead_letters: None })
        }),
        ..stage.clone()
    });
    let first = entry == 0;
    Plan {
        source: Source::File(FileSource { format: Some(Format::Jsonl), ..FileSource::of(transit.rows_pattern()) }),
        reading: Reading { schema: pins.clone(), max_records: None, on_parse_error: OnParseError::Dlq, ..plan.reading.clone() },
        stages: stages.collect(),
        dead_letters: DeadLetters::File(transit.outcome()),
        limit: None,
        incremental: None,
        max_failed_batches: 1.0,
        as_text: if first { plan.as_text.clone() } else { Vec::new() },
        converted: if first { plan.converted.clone() } else { Vec::new() },
        sink: plan.sink.clone().adding(),
        ..plan.clone()
    }
}

/// One part of a replay.
struct Replayed<'a> {
    plan: Plan,
    options: &'a RunOptions,
    sandbox: &'a Sandbox,
    stop: &'a AtomicBool,
}

impl Replayed<'_> {
    fn run(&self, transit: &Transit<'_>, meant: &Selection, on_progress: &mut dyn FnMut(&Progress)) -> Result<RunReport> {
        let run_id = Uuid::new_v4().to_string();
        let mark = Mark::new(&self.plan.sink, &self.plan.root, &run_id)?;
        let options = RunOptions { started: Utc::now(), dry_run: false, mark: Some(mark.clone()), run_id, ..self.options.clone() };
        if transit.depart(meant, mark)? == 0 {
            return Err(Error::outside("the letters are not pending any more: somebody else has changed them")
                .hint("look at `etl-host dlq list`, and try again"));
        }
        run(&self.plan, &options, self.sandbox, self.stop, on_progress)
    }
}
