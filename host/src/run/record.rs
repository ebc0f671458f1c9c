//! The record of a run: begun before it, filled by it, ended after it whatever came.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use chrono::{DateTime, SecondsFormat, Utc};

use super::checkpoint::{Opened, Phase as At, Session};
use super::split::Seconds;
use super::{Around, RunOptions, process, run_session};
use crate::batch::Reason;
use crate::config::load::Sink;
use crate::error::{Error, Fault, Result};
use crate::plan::Plan;
use crate::report::{
    DeadLetterReport, ErrorReport, OutputReport, Phase, PhaseName, PhaseStatus, Progress, Quality, Rows, RunReport, StageReport, Status,
    Verdict,
};
use crate::sandbox::Sandbox;
use crate::state::{History, Recording};

/// Runs a plan as [`super::run`] does, and keeps its record: one that says `running` from the start, and at the end how it ended.
///
/// Where the record cannot be written there is a warning, and the run goes on: data comes first. A dry run is not recorded.
///
/// # Errors
/// As [`super::run`].
pub fn run_recorded(
    plan: &Plan,
    options: &RunOptions,
    sandbox: &Sandbox,
    history: Option<&History>,
    stop: &AtomicBool,
    on_progress: &mut dyn FnMut(&Progress),
) -> Result<RunReport> {
    let clock = Instant::now();
    let mut last = Progress::default();
    let opened = Session::open(options, plan);
    // A run that goes on has the id that it began with.
    let options = &match &opened {
        Ok(Some(opened)) => opened.session.options(options),
        _ => options.clone(),
    };
    let complete = matches!(&opened, Ok(Some(Opened { from: Some(from), .. })) if matches!(from.phase, At::Done(_)));
    let recorder = Recorder::begin(plan, options, history, complete);
    let outcome = opened.and_then(|opened| {
        run_session(plan, options, opened, sandbox, &Around::alone(stop, plan), &mut |progress| {
            last.clone_from(progress);
            on_progress(progress);
        })
    });
    match &outcome {
        Ok(report) => recorder.end(plan, report),
        Err(error) => recorder.end(plan, &failed(plan, options, error, &last, clock, stop)),
    }
    outcome
}

/// Keeps the record of one run, where it is to be kept.
pub(super) struct Recorder<'a>(Option<Recording<'a>>);

impl<'a> Recorder<'a> {
    /// Notes that a run has begun; one that was `complete` before is noted only where nobody has seen it end well.
    pub(super) fn begin(plan: &Plan, options: &RunOptions, history: Option<&'a History>, complete: bool) -> Self {
        let history = history.filter(|history| !(options.dry_run || complete && has_ended_well(history, &options.run_id)));
        Self(history.and_then(|history| {
            let mut report = begun(plan, options);
            report.phases = waiting(plan);
            report.phases[0].status = PhaseStatus::Running;
            history.begin(&masked(plan, &report)).inspect_err(|error| unrecorded(error, "this run is not recorded, and goes on")).ok()
        }))
    }

    /// Notes what came of it.
    pub(super) fn end(self, plan: &Plan, report: &RunReport) {
        if let Some(recording) = self.0
            && let Err(error) = recording.end(&masked(plan, report))
        {
            unrecorded(&error, "how this run ended could not be recorded");
        }
    }
}

/// Whether the record of a run says that it has, so that nothing is left to be said of it.
fn has_ended_well(history: &History, run_id: &str) -> bool {
    let found = history.find(run_id, 1).unwrap_or_default();
    found.iter().any(|report| report.run_id == run_id && matches!(report.status, Status::Success | Status::PartialSuccess))
}

/// A record without any secret: paths, messages and samples of rows may hold one.
fn masked(plan: &Plan, report: &RunReport) -> RunReport {
    let masked = serde_json::to_value(report).and_then(|report| serde_json::from_value(plan.masked(&report)));
    masked.expect("a record is read as it is written, and masks are texts in place of texts")
}

/// Says that the history lacks something.
fn unrecorded(error: &Error, what: &str) {
    let hint = error.find_hint().unwrap_or("choose another folder by `--state-dir`");
    tracing::warn!(error = %error.one_line(), hint, "{what}");
}

/// An instant as records show it.
pub(super) fn shown(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// What is known of a run before it reads a row.
pub(super) fn begun(plan: &Plan, options: &RunOptions) -> RunReport {
    RunReport {
        run_id: options.run_id.clone(),
        pipeline: plan.name.clone(),
        directory: plan.root.canonicalize().unwrap_or_else(|_| plan.root.clone()),
        status: Status::Running,
        dry_run: options.dry_run,
        started: shown(options.started),
        parameters: plan.shown_params(),
        configuration: plan.digest.clone(),
        ..RunReport::default()
    }
}

/// What a run that failed before it had anything to tell says, for a program that reads results.
pub fn failure(plan: &Plan, options: &RunOptions, error: &Error, stop: &AtomicBool) -> RunReport {
    masked(plan, &failed(plan, options, error, &Progress::default(), Instant::now(), stop))
}

/// Whether a run ended since it was told to, and not since anything failed.
pub fn was_stopped(error: &Error, stop: &AtomicBool) -> bool {
    stop.load(Ordering::Relaxed) && error.is_given_up()
}

/// What is known of a run that failed; `last` is how far it was when it was last looked at.
pub(super) fn failed(plan: &Plan, options: &RunOptions, error: &Error, last: &Progress, clock: Instant, stop: &AtomicBool) -> RunReport {
    let report = ErrorReport::from(error);
    let mut phases = waiting(plan);
    // Without a phase it failed before the first row.
    let broken = error.phase().unwrap_or(PhaseName::Extract);
    for phase in phases.iter_mut().filter(|phase| phase.status == PhaseStatus::Pending) {
        phase.status = match phase.name.cmp(&broken) {
            std::cmp::Ordering::Less => PhaseStatus::Success,
            std::cmp::Ordering::Equal => PhaseStatus::Failed,
            std::cmp::Ordering::Greater => PhaseStatus::Skipped,
        };
        phase.error = (phase.name == broken).then(|| report.message.clone());
    }
    let usage = process::usage();
    RunReport {
        status: if was_stopped(error, stop) { Status::Interrupted } else { Status::Failed },
        error: Some(report),
        ended: Some(shown(Utc::now())),
        // Nothing that was on its way to the output is there.
        rows: Rows { withheld: last.rows.loaded, loaded: 0, ..last.rows },
        phases,
        fuel: last.fuel.iter().map(|(_, fuel)| fuel).sum(),
        seconds: clock.elapsed().as_secs_f64(),
        cpu_seconds: usage.cpu_seconds,
        peak_memory_mb: usage.peak_memory_mb,
        workers: options.workers.get(),
        ..begun(plan, options)
    }
}

/// What to do about data that is not good enough.
pub fn hint(quality: &Quality) -> &'static str {
    match quality.steps.iter().any(|step| step.quarantined + step.crashed > 0) {
        true => "the dead letters hold the rows that were refused; mend the data, or change `thresholds`",
        false => "mend the data, or change `thresholds`",
    }
}

/// Why a run failed whose data is not good enough.
pub(super) fn breached(quality: &Quality) -> Option<ErrorReport> {
    let steps = quality.steps.iter();
    let breaches: Vec<String> =
        steps.flat_map(|step| step.breaches.iter().map(|breach| format!("stage `{}`: {}", step.name, breach.sentence(step)))).collect();
    let hint = hint(quality);
    let phase = Some(PhaseName::Validate);
    (!breaches.is_empty()).then(|| ErrorReport { kind: Fault::Data, phase, message: breaches.join("; "), hint: Some(hint.into()) })
}

/// Whether rows of a run were refused and none came through, so that its output would replace what is there by nothing.
pub(super) fn none_came(rows: &Rows, stages: &[StageReport], plan: &Plan) -> bool {
    // What comes behind a stage that no row has reached is made of nothing: a sum of no rows.
    let is_starved = stages.iter().any(|stage| stage.processed == 0);
    plan.sink.replaces() && rows.rejected + rows.skipped > 0 && (rows.loaded + rows.withheld == 0 || is_starved)
}

/// Why a run failed of which no row came through, and that has left the old output in its place.
pub(super) fn nothing_left(
    rows: &Rows,
    stages: &[StageReport],
    plan: &Plan,
    options: &RunOptions,
    output: &OutputReport,
) -> Option<ErrorReport> {
    let committed = options.dry_run || !output.files.is_empty() || !output.tables.is_empty();
    let refused = rows.rejected + rows.skipped;
    let what = match rows.read {
        read if refused >= read => format!("every row was refused, all {read} of them"),
        read => format!("no row came through: {refused} of {read} were refused and {} filtered", rows.filtered),
    };
    let hint = match rows.rejected {
        0 => "the validation skips them: mend the data, or the rule",
        _ => "the first dead letters say why: mend the data, or the step that refuses it",
    };
    (none_came(rows, stages, plan) && !committed).then(|| ErrorReport {
        kind: Fault::Data,
        phase: None,
        message: format!("{what}, so nothing was written and the output stays as it was"),
        hint: Some(hint.into()),
    })
}

/// Why a run failed of which nothing could be published.
pub(super) fn unpublished(output: &OutputReport) -> Option<ErrorReport> {
    let failed: Vec<String> =
        output.published.iter().filter_map(|done| Some(format!("`{}`: {}", done.what, done.error.as_ref()?))).collect();
    (!failed.is_empty() && failed.len() == output.published.len()).then(|| ErrorReport {
        kind: Fault::Outside,
        phase: Some(PhaseName::Publish),
        message: format!("the rows are loaded, but nothing could be published: {}", failed.join("; ")),
        hint: Some("run what `publish` names by hand once the trouble is mended: the rows need not be loaded again".into()),
    })
}

/// The phases of a run that has not begun.
fn waiting(plan: &Plan) -> Vec<Phase> {
    let transform = plan.stages.iter().flat_map(|stage| stage.steps.iter().map(String::as_str));
    let rules = plan.stages.iter().filter(|stage| stage.validation.is_some()).flat_map(|stage| stage.steps.iter().map(String::as_str));
    let table = if let Sink::Database(table) = &plan.sink { Some(table) } else { None };
    let merges: Vec<&str> = table.iter().flat_map(|table| &table.merge).map(|merge| merge.into.as_str()).collect();
    let publishes: Vec<&str> = table.iter().flat_map(|table| &table.publish).map(String::as_str).collect();
    let phase = |name| {
        let (does, detail) = match name {
            PhaseName::Extract => (true, plan.source.title()),
            PhaseName::Transform => (true, transform.clone().collect::<Vec<_>>().join(", ")),
            PhaseName::Validate => (rules.clone().next().is_some(), rules.clone().collect::<Vec<_>>().join(", ")),
            // One chain of stages has nothing to be put together, and files nothing to be brought up to date.
            PhaseName::Merge => (!merges.is_empty(), merges.join(", ")),
            PhaseName::Publish => (!publishes.is_empty(), publishes.join("; ")),
            PhaseName::Load => (true, plan.sink.title()),
        };
        Phase::new(name, if does { PhaseStatus::Pending } else { PhaseStatus::Skipped }, detail)
    };
    PhaseName::ALL.map(phase).into()
}

/// The phases of a run that came to its end.
pub(super) fn phases(
    plan: &Plan,
    rows: &Rows,
    seconds: Seconds,
    letters: &DeadLetterReport,
    quality: Option<&Quality>,
    output: &OutputReport,
) -> Vec<Phase> {
    let count = |reasons: &[Reason]| reasons.iter().filter_map(|reason| letters.by_reason.get(reason)).sum::<u64>();
    let unparsed = count(&[Reason::ParseError, Reason::ExtractionError]);
    let unloaded = count(&[Reason::LoadError, Reason::SchemaMismatch]);
    let parsed = rows.read - unparsed;
    let verdict = quality.map(|quality| quality.verdict);
    let mut phases = waiting(plan);
    for phase in phases.iter_mut().filter(|phase| phase.status == PhaseStatus::Pending) {
        phase.status = match phase.name {
            PhaseName::Validate if verdict == Some(Verdict::Fail) => PhaseStatus::Failed,
            PhaseName::Load | PhaseName::Merge | PhaseName::Publish if verdict == Some(Verdict::Fail) => PhaseStatus::Skipped,
            PhaseName::Merge | PhaseName::Publish if output.tables.is_empty() => PhaseStatus::Skipped,
            PhaseName::Publish if output.published.iter().any(|done| done.error.is_some()) => PhaseStatus::Failed,
            _ => PhaseStatus::Success,
        };
        (phase.rows_in, phase.rows_out, phase.seconds) = match phase.name {
            PhaseName::Extract => (rows.read, parsed, seconds.extract),
            // The rules that rows are held to on the way stand in between, so that its seconds hold theirs.
            PhaseName::Transform => (parsed, rows.loaded + unloaded, seconds.transform),
            PhaseName::Validate => {
                let steps = quality.map(|quality| quality.steps.as_slice()).unwrap_or_default();
                let [first, last] = [steps.first(), steps.last()];
                (first.map_or(0, |step| step.rows), last.map_or(0, |step| step.passed + step.warned), 0.0)
            }
            PhaseName::Load => (rows.loaded + unloaded, rows.loaded, seconds.load),
            // The first table is that of the load; the others took its rows.
            PhaseName::Merge => (rows.loaded, output.tables.iter().skip(1).map(|table| table.inserted + table.updated).sum(), 0.0),
            PhaseName::Publish => (0, 0, output.published.iter().map(|done| done.seconds).sum()),
        };
    }
    let breached = quality.and_then(breached).map(|error| error.message);
    let unpublished = output.published.iter().find_map(|done| Some(format!("{}: {}", done.what, done.error.as_ref()?)));
    let why = |phase: &Phase| if phase.name == PhaseName::Publish { unpublished.clone() } else { breached.clone() };
    phases.into_iter().map(|phase| Phase { error: why(&phase).filter(|_| phase.status == PhaseStatus::Failed), ..phase }).collect()
}
