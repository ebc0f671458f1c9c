//! Runs several transformers over one extract, each in a lane of its own: a whole run of its plan, on a thread of its own, that shares
//! nothing with the others but the reading. A lane that fails commits nothing, and the others go on.
//!
//! ```text
//! source ── one reading ──┬── stages ── sink      lane `daily`: run `R.daily`, checkpoint `C.daily`, mark `M.daily`
//!                         └── stages ── sink      lane `by_country`: run `R.by_country`, …
//! ```
//!
//! Lanes read together that start at the same place: those of a new run, and of one that is gone on with those whose checkpoints are at one
//! position. Where earlier runs have left them at different marks, each takes its own newer rows, and reads for itself. SQLite lets one write
//! at a time: of lanes that load one file the later ones keep their rows on disk until it is their turn; where they keep checkpoints, which
//! stand in that file, too, they begin once it is.

use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Instant;

use chrono::{DateTime, Utc};

use super::around::{Around, Turns};
use super::checkpoint::{Checkpoint, Opened, Phase, Session};
use super::record::{self, Recorder, failed};
use super::stages::Components;
use super::table::{Seat, Table};
use super::worker::caught;
use super::{Checkpoints, Resolved, RunOptions, Start, process, resolve, run_recorded, run_session, together};
use crate::batch::Position;
use crate::error::{Error, Result};
use crate::plan::{Plan, Planned, Several};
use crate::report::{Progress, RunReport, TransformerReport};
use crate::sandbox::Sandbox;
use crate::source::{self, ReadOptions};
use crate::state::History;

/// Runs what was planned, and keeps its record: as [`run_recorded`], of several transformers all at once.
///
/// # Errors
/// As there. Where some of several transformers fail and others do not, that is in the report; where all fail for one reason, it is the error.
pub fn run_planned(
    planned: &Planned,
    options: &RunOptions,
    sandbox: &Sandbox,
    history: Option<&History>,
    stop: &AtomicBool,
    on_progress: &mut dyn FnMut(&Progress),
) -> Result<RunReport> {
    match planned {
        Planned::One(plan) => run_recorded(plan, options, sandbox, history, stop, on_progress),
        Planned::Several(several) => run_several(several, options, sandbox, history, stop, on_progress),
    }
}

/// What the stages of each plan come to, as [`resolve`] finds out for one; the source is opened once.
pub fn resolve_planned(planned: &Planned, options: &RunOptions, sandbox: &Sandbox) -> Vec<Result<Resolved>> {
    let several = match planned {
        Planned::One(plan) => return vec![resolve(plan, options, sandbox)],
        Planned::Several(several) => several,
    };
    let plan = several.common();
    let read = ReadOptions { batch_rows: plan.reading.batch_size, exact: true, limit: Some(1), ..ReadOptions::default() };
    let source = options.open_source(plan, read, &source::NEVER);
    let one = |plan: &Plan| {
        let view = source.as_ref().map(|source| source.view(&plan.as_text, &plan.converted)).map_err(Error::again)?;
        let components = Components::load(plan, &options.library, sandbox)?;
        let stages = components.configure(plan, options, sandbox, view.schema())?;
        Ok(Resolved { source: view.schema(), stages, located: components.located() })
    };
    several.lanes().iter().map(one).collect()
}

/// A lane that is ready to run.
struct Lane<'a> {
    name: &'a str,
    plan: &'a Plan,
    options: RunOptions,
    opened: Option<Opened>,
}

/// What all lanes of a run have in common.
struct Common {
    run_id: String,
    started: DateTime<Utc>,
    seed: Option<u64>,
}

fn run_several(
    several: &Several,
    options: &RunOptions,
    sandbox: &Sandbox,
    history: Option<&History>,
    stop: &AtomicBool,
    on_progress: &mut dyn FnMut(&Progress),
) -> Result<RunReport> {
    let clock = Instant::now();
    let plan = several.common();
    let opened = open(several, options);
    let options = &match &opened {
        Ok((Common { run_id, started, seed }, _)) => {
            RunOptions { run_id: run_id.clone(), started: *started, seed: *seed, ..options.clone() }
        }
        Err(_) => options.clone(),
    };
    let is_over = |lane: &Lane<'_>| lane.opened.as_ref().is_some_and(|opened| opened.from.as_ref().is_some_and(Checkpoint::is_done));
    let complete = opened.as_ref().is_ok_and(|(_, lanes)| lanes.iter().all(is_over));
    let recorder = Recorder::begin(plan, options, history, complete);
    let (mut parts, mut last) = (Vec::new(), Progress::default());
    let outcome = opened.and_then(|(_, lanes)| {
        let ended = run_lanes(lanes, sandbox, stop, &mut |progress| {
            last.clone_from(progress);
            on_progress(progress);
        });
        let errors: Vec<Option<Error>> = ended.iter().map(|(_, error)| error.as_ref().map(Error::again)).collect();
        parts = ended.into_iter().map(|(part, _)| part).collect();
        match together::same_error(&errors) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    });
    let report = match &outcome {
        Ok(()) => together::report(record::begun(plan, options), parts),
        Err(error) => RunReport { transformers: parts, ..failed(plan, options, error, &last, clock, stop) },
    };
    let usage = process::usage();
    let report = RunReport {
        ended: Some(record::shown(Utc::now())),
        seconds: clock.elapsed().as_secs_f64(),
        cpu_seconds: usage.cpu_seconds,
        peak_memory_mb: usage.peak_memory_mb,
        workers: options.workers.get(),
        ..report
    };
    recorder.end(plan, &report);
    outcome.map(|()| report)
}

/// Opens the checkpoints of all lanes before any is run, and shares workers out among them.
fn open<'a>(several: &'a Several, options: &RunOptions) -> Result<(Common, Vec<Lane<'a>>)> {
    let plans = several.lanes();
    let checkpoints =
        options.checkpoints.as_ref().filter(|_| !options.dry_run).map(|all| started_together(plans, all, options)).transpose()?;
    let workers = options.workers.get().div_ceil(plans.len());
    let mut lanes = Vec::with_capacity(plans.len());
    for plan in plans {
        let name = plan.lane().unwrap_or_default();
        let options = RunOptions {
            run_id: plan.named(&options.run_id),
            workers: workers.try_into().unwrap_or(options.workers),
            // All take the input in one piece.
            splits: std::num::NonZeroUsize::MIN,
            reached: options.reached_by.get(name).cloned(),
            followed: options.followed_by.get(name).cloned(),
            checkpoints: checkpoints.as_ref().map(|checkpoints| checkpoints.of(plan)),
            ..options.clone()
        };
        let opened = Session::open(&options, plan)?;
        lanes.push(Lane { name, plan, options, opened });
    }
    let begun = lanes.iter().find_map(|lane| {
        let from = lane.opened.as_ref().filter(|opened| opened.from.is_some())?;
        let options = from.session.options(&lane.options);
        let run_id = options.run_id.strip_suffix(&format!(".{}", lane.name)).unwrap_or(&options.run_id).to_owned();
        Some(Common { run_id, started: options.started, seed: options.seed })
    });
    let common = begun.unwrap_or_else(|| Common { run_id: options.run_id.clone(), started: options.started, seed: options.seed });
    for Lane { plan, options, opened, .. } in &mut lanes {
        if let Some(opened) = opened.as_mut().filter(|opened| opened.from.is_none()) {
            opened.session.join(plan.named(&common.run_id), common.started, common.seed);
        }
        *options = match opened {
            Some(opened) => opened.session.options(options),
            None => options.clone(),
        };
    }
    Ok((common, lanes))
}

/// How lanes start, so that none starts again that has ended while another goes on.
fn started_together(plans: &[Plan], all: &Checkpoints, options: &RunOptions) -> Result<Checkpoints> {
    let each = || plans.iter().map(|plan| all.of(plan));
    let start = match all.start {
        Start::Resume if each().any(|one| one.is_there()) => Start::ResumeOrStart,
        Start::ResumeUnfinished if each().any(|one| one.is_there()) && !all_are_done(each())? => Start::ResumeOrStart,
        Start::ResumeUnfinished => Start::New,
        Start::New => {
            // A start clears what is complete: whatever is in its way shows before any other is opened.
            for (plan, one) in plans.iter().zip(each()) {
                if one.is_there() && !one.is_done()? {
                    Session::open(&RunOptions { checkpoints: Some(one), ..options.clone() }, plan)?;
                }
            }
            Start::New
        }
        start => start,
    };
    Ok(Checkpoints { start, ..all.clone() })
}

fn all_are_done(mut each: impl Iterator<Item = Checkpoints>) -> Result<bool> {
    each.try_fold(true, |done, one| Ok(done && one.is_done()?))
}

/// What a lane tells while it runs.
enum Told {
    Progress(Progress),
    Ended(Box<TransformerReport>, Option<Error>),
}

/// Runs lanes side by side; answers what each came to, with its error where it failed before there was anything to report.
fn run_lanes(
    lanes: Vec<Lane<'_>>,
    sandbox: &Sandbox,
    stop: &AtomicBool,
    on_progress: &mut dyn FnMut(&Progress),
) -> Vec<(TransformerReport, Option<Error>)> {
    let turns = &Turns::new(lanes.iter().map(|lane| lane.plan.sqlite_target()).collect());
    let mut progress: Vec<(String, Progress)> = lanes.iter().map(|lane| (lane.name.to_owned(), Progress::default())).collect();
    let mut ended: Vec<Option<(TransformerReport, Option<Error>)>> = lanes.iter().map(|_| None).collect();
    let readings = readings(&lanes, &|number| begins_late(&lanes[number], turns, number));
    let mut seats: Vec<Option<Seat>> = lanes.iter().map(|_| None).collect();
    thread::scope(|scope| {
        for Reading { lanes: sharing, start, learned } in readings {
            let table = Table::new(sharing.len());
            for (number, lane) in sharing.iter().enumerate() {
                seats[*lane] = Some(table.seat(number));
            }
            let Lane { plan, options, .. } = &lanes[sharing[0]];
            let (plan, options) = (*plan, options.clone());
            scope.spawn(move || table.serve(plan, &options, learned, start, stop));
        }
        let (tell, told) = channel();
        for (number, (lane, seat)) in lanes.into_iter().zip(seats).enumerate() {
            let tell = tell.clone();
            let turn = turns.of(number);
            let (late, turn) = if begins_late(&lane, turns, number) { (turn, None) } else { (None, turn) };
            scope.spawn(move || {
                if let Some(turn) = late {
                    // Those before it stop where it would.
                    turn.wait(&AtomicBool::new(false), &|| Ok(())).ok();
                }
                let around = Around::beside(stop, lane.plan, seat, turn);
                run_lane(lane, sandbox, around, &|told| send(&tell, number, told));
            });
        }
        drop(tell);
        for (number, told) in told {
            match told {
                Told::Progress(now) => {
                    progress[number].1 = now;
                    on_progress(&together::progress(&progress));
                }
                Told::Ended(report, error) => {
                    turns.end(number);
                    ended[number] = Some((*report, error));
                }
            }
        }
    });
    ended.into_iter().flatten().collect()
}

/// Whether a lane begins only once those have ended that load the same SQLite file: with checkpoints it writes to it from the start on.
fn begins_late(lane: &Lane<'_>, turns: &Turns, number: usize) -> bool {
    lane.opened.is_some() && turns.of(number).is_some()
}

fn send(tell: &Sender<(usize, Told)>, number: usize, told: Told) {
    // Somebody listens until all have ended.
    tell.send((number, told)).ok();
}

/// Runs one lane to its end, whatever comes.
fn run_lane(lane: Lane<'_>, sandbox: &Sandbox, around: Around<'_>, tell: &dyn Fn(Told)) {
    let Lane { name, plan, options, opened } = lane;
    let clock = Instant::now();
    let last = Mutex::new(Progress::default());
    let outcome = caught(|| {
        run_session(plan, &options, opened, sandbox, &around, &mut |progress| {
            if let Ok(mut last) = last.lock() {
                last.clone_from(progress);
            }
            tell(Told::Progress(progress.clone()));
        })
    });
    let (run, error) = match outcome {
        Ok(report) => (report, None),
        Err(error) => {
            let last = last.into_inner().unwrap_or_default();
            (failed(plan, &options, &error, &last, clock, around.stop), Some(error))
        }
    };
    tell(Told::Ended(Box::new(TransformerReport::of(name, run)), error));
}

/// A reading, and the lanes that share it.
struct Reading {
    lanes: Vec<usize>,
    start: Option<Position>,
    learned: Option<String>,
}

/// The readings that two lanes or more share; what reads for itself is in none.
fn readings(lanes: &[Lane<'_>], begins_late: &dyn Fn(usize) -> bool) -> Vec<Reading> {
    let mut readings: Vec<(Option<String>, Reading)> = Vec::new();
    for (number, lane) in lanes.iter().enumerate() {
        let from = lane.opened.as_ref().and_then(|opened| opened.from.as_ref());
        // Whoever has read all of it opens the source only to see that it is what it was.
        if begins_late(number) || from.is_some_and(|from| from.phase != Phase::Working || !from.staged.is_empty()) {
            continue;
        }
        let start = from.and_then(|from| Some(from.reached.as_ref()?.position.clone()));
        let learned = from.and_then(|from| from.learned.clone());
        let mark = lane.options.reached.clone();
        match readings.iter_mut().find(|(other, reading)| *other == mark && reading.start == start) {
            Some((_, reading)) => {
                reading.lanes.push(number);
                reading.learned = reading.learned.take().or(learned);
            }
            None => readings.push((mark, Reading { lanes: vec![number], start, learned })),
        }
    }
    readings.into_iter().map(|(_, reading)| reading).filter(|reading| reading.lanes.len() > 1).collect()
}
