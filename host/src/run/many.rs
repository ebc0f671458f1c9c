//! Many runs, one after the other or side by side: the pace, and what became of each. Knows nothing of pipelines.

use std::collections::{HashMap, VecDeque};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

use super::process::pause;

/// One of the runs to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Its number, from 0.
    pub index: usize,
    /// What it writes; two runs never write the same at once.
    pub targets: Vec<PathBuf>,
}

/// How fast runs follow each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Runs at once.
    pub parallel: NonZeroUsize,
    /// Runs of a batch: the next batch starts once all of this one are done. Default: no batches.
    pub batch_size: Option<NonZeroUsize>,
    /// Time between two batches or, without batches, between the end of a run and the start of the next in its place.
    pub delay: Duration,
    /// Time between the starts of two runs at least.
    pub spacing: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { parallel: NonZeroUsize::MIN, batch_size: None, delay: Duration::ZERO, spacing: Duration::ZERO }
    }
}

/// Does each task at the pace given, and hands over what came of it as it ends; `stop`, once set, starts no further one.
///
/// A task that `one` does not answer for since it panicked is not handed over: the panic goes on in the caller.
pub fn run_many<T: Send>(
    tasks: Vec<Task>,
    pace: &Pace,
    stop: &AtomicBool,
    one: &(dyn Fn(&Task) -> T + Sync),
    on_end: &mut dyn FnMut(&Task, T),
) {
    let asked = || stop.load(Ordering::Relaxed);
    let targets = Targets::default();
    let next_start = Mutex::new(Instant::now());
    let size = pace.batch_size.map_or(usize::MAX, NonZeroUsize::get);
    let mut left = VecDeque::from(tasks);
    let mut first = true;
    while !left.is_empty() && !stop.load(Ordering::Relaxed) {
        if !std::mem::take(&mut first) {
            pause(pace.delay, &asked);
        }
        let batch: VecDeque<Task> = left.drain(..left.len().min(size)).collect();
        let workers = pace.parallel.get().min(batch.len());
        let batch = Mutex::new(batch);
        let (sender, ended) = mpsc::channel();
        std::thread::scope(|scope| {
            for _ in 0..workers {
                let (sender, batch, targets, next_start) = (sender.clone(), &batch, &targets, &next_start);
                scope.spawn(move || {
                    let mut again = false;
                    loop {
                        if std::mem::replace(&mut again, true) && pace.batch_size.is_none() {
                            pause(pace.delay, &asked);
                        }
                        if stop.load(Ordering::Relaxed) {
                            return;
                        }
                        let Some(task) = lock(batch).pop_front() else { return };
                        let targets = targets.of(&task);
                        let _alone: Vec<_> = targets.iter().map(|target| lock(target)).collect();
                        wait_for_turn(next_start, pace.spacing, stop);
                        if stop.load(Ordering::Relaxed) {
                            return;
                        }
                        let answer = one(&task);
                        if sender.send((task, answer)).is_err() {
                            return;
                        }
                    }
                });
            }
            drop(sender);
            for (task, answer) in ended {
                on_end(&task, answer);
            }
        });
    }
}

/// A lock for each thing that is written.
#[derive(Default)]
struct Targets(Mutex<HashMap<PathBuf, Arc<Mutex<()>>>>);

impl Targets {
    /// Always in the same order, so that no two runs wait for each other.
    fn of(&self, task: &Task) -> Vec<Arc<Mutex<()>>> {
        let mut targets: Vec<&PathBuf> = task.targets.iter().collect();
        targets.sort();
        targets.dedup();
        let mut known = lock(&self.0);
        targets.into_iter().map(|target| known.entry(target.clone()).or_default().clone()).collect()
    }
}

/// Takes a lock; what it guards is whole even where a thread panicked.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until a run may start, and says when the one after it may.
fn wait_for_turn(next_start: &Mutex<Instant>, spacing: Duration, stop: &AtomicBool) {
    if spacing.is_zero() {
        return;
    }
    let mut next = lock(next_start);
    let turn = (*next).max(Instant::now());
    *next = turn + spacing;
    drop(next);
    pause(turn.saturating_duration_since(Instant::now()), &|| stop.load(Ordering::Relaxed));
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    fn tasks(count: usize) -> Vec<Task> {
        (0..count).map(|index| Task { index, targets: Vec::new() }).collect()
    }

    fn pace(parallel: usize, batch_size: Option<usize>) -> Pace {
        Pace { parallel: NonZeroUsize::new(parallel).unwrap(), batch_size: batch_size.and_then(NonZeroUsize::new), ..Pace::default() }
    }

    /// Runs tasks that wait for each other in groups of `together`; answers the most that ran at once.
    fn most_at_once(tasks: Vec<Task>, pace: &Pace, together: usize) -> usize {
        let (now, most, barrier) = (AtomicUsize::new(0), AtomicUsize::new(0), std::sync::Barrier::new(together));
        let mut ended = Vec::new();
        let one = |task: &Task| {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            barrier.wait();
            now.fetch_sub(1, Ordering::SeqCst);
            task.index
        };
        let count = tasks.len();
        run_many(tasks, pace, &AtomicBool::new(false), &one, &mut |task, index| {
            assert_eq!(task.index, index);
            ended.push(index);
        });
        ended.sort_unstable();
        assert_eq!(ended, (0..count).collect::<Vec<_>>());
        most.into_inner()
    }

    #[test]
    fn as_many_run_at_once_as_are_allowed_and_each_runs_once() {
        assert_eq!(most_at_once(tasks(12), &pace(3, None), 3), 3);
        assert!(most_at_once(tasks(12), &pace(3, Some(4)), 1) <= 3);
        assert_eq!(most_at_once(tasks(5), &pace(1, Some(2)), 1), 1);
    }

    #[test]
    fn a_batch_ends_before_the_next_begins() {
        let (started, seen) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        let one = |task: &Task| {
            started.fetch_add(1, Ordering::SeqCst);
            task.index
        };
        run_many(tasks(6), &pace(2, Some(2)), &AtomicBool::new(false), &one, &mut |_, _| lock(&seen).push(started.load(Ordering::SeqCst)));
        let seen = seen.into_inner().unwrap();
        // While results of the n-th pair come in, no run of a later pair has started.
        assert!(seen.iter().enumerate().all(|(index, started)| *started <= (index / 2 + 1) * 2), "{seen:?}");
    }

    #[test]
    fn two_runs_never_write_the_same_at_once() {
        let one_file: Vec<Task> = (0..8).map(|index| Task { index, targets: vec!["out".into()] }).collect();
        assert_eq!(most_at_once(one_file, &pace(4, None), 1), 1);
    }

    #[test]
    fn no_run_starts_after_a_stop() {
        let stop = AtomicBool::new(false);
        let mut ended = Vec::new();
        let one = |task: &Task| {
            if task.index == 2 {
                stop.store(true, Ordering::Relaxed);
            }
            task.index
        };
        let slow = Pace { delay: Duration::from_secs(3600), ..pace(1, Some(3)) };
        run_many(tasks(9), &slow, &stop, &one, &mut |_, index| ended.push(index));
        assert_eq!(ended, [0, 1, 2]);
    }

    #[test]
    fn starts_are_apart_by_the_rate() {
        let spaced = Pace { spacing: Duration::from_millis(30), ..pace(4, None) };
        let starts = Mutex::new(Vec::new());
        run_many(tasks(4), &spaced, &AtomicBool::new(false), &|_| lock(&starts).push(Instant::now()), &mut |_, ()| {});
        let mut starts = starts.into_inner().unwrap();
        starts.sort_unstable();
        assert!(starts[3] - starts[0] >= Duration::from_millis(90), "{starts:?}");
    }
}
