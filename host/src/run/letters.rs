//! Where the refused rows of a run go: to the pipeline's dead letters, or to those of the validation that refused them.

use crate::batch::Reject;
use crate::error::{Error, Result};
use crate::plan::{DeadLetters as Place, Plan};
use crate::report::{DeadLetterReport, StageLetters};
use crate::sink::RunName;
use crate::sink::dead_letters::{self, DeadLetters};

/// Dead letters of one run.
pub(super) struct Letters {
    /// The pipeline's first; no two go to one place.
    queues: Vec<DeadLetters>,
    /// Stages whose rows go elsewhere than to the first.
    routes: Vec<(String, usize)>,
}

impl Letters {
    /// Makes the writers; touches no file.
    pub(super) fn new(plan: &Plan, dry_run: bool, run: &RunName) -> Self {
        let mut places = vec![&plan.dead_letters];
        let mut routes = Vec::new();
        for stage in &plan.stages {
            let Some(own) = stage.validation.as_ref().and_then(|validation| validation.dead_letters.as_ref()) else { continue };
            let index = places.iter().position(|place| *place == own).unwrap_or_else(|| {
                places.push(own);
                places.len() - 1
            });
            routes.push((stage.name.clone(), index));
        }
        let queue = |place: &Place| {
            let place = match place {
                Place::File(path) if !dry_run => dead_letters::Place::File(path.clone()),
                Place::Memory if !dry_run => dead_letters::Place::Memory,
                _ => dead_letters::Place::Nowhere,
            };
            DeadLetters::new(place, run)
        };
        Self { queues: places.into_iter().map(queue).collect(), routes }
    }

    pub(super) fn begin(&self, split: usize) -> Result<()> {
        self.queues.iter().try_for_each(|queue| queue.begin(split))
    }

    /// Takes letters of a split, in order.
    pub(super) fn write(&self, split: usize, rejects: &[Reject]) -> Result<()> {
        if self.routes.is_empty() {
            return self.queues[0].write(split, rejects);
        }
        for (index, queue) in self.queues.iter().enumerate() {
            let own: Vec<Reject> = rejects.iter().filter(|reject| self.queue_of(&reject.stage) == index).cloned().collect();
            queue.write(split, &own)?;
        }
        Ok(())
    }

    fn queue_of(&self, stage: &str) -> usize {
        self.routes.iter().find(|(name, _)| name == stage).map_or(0, |(_, index)| *index)
    }

    /// Appends all letters to their files. Where one fails, [`abort`](Self::abort) takes back the others.
    pub(super) fn commit(&self) -> Result<()> {
        self.queues.iter().try_for_each(DeadLetters::commit)
    }

    /// Drops all letters; the first error is told after all were tried.
    pub(super) fn abort(&self) -> Result<()> {
        let errors: Vec<Error> = self.queues.iter().filter_map(|queue| queue.abort().err()).collect();
        errors.into_iter().next().map_or(Ok(()), Err)
    }

    /// What the first few letters say.
    pub(super) fn first(&self) -> Vec<String> {
        self.queues.iter().flat_map(DeadLetters::first).collect()
    }

    /// Writes down where the letters are.
    pub(super) fn tell(&self, report: &mut DeadLetterReport) {
        report.path = self.queues[0].path().map(ToOwned::to_owned);
        for (stage, index) in self.routes.iter().filter(|(_, index)| *index > 0) {
            let count = report.by_stage.get(stage).copied().unwrap_or_default();
            if count > 0 {
                let path = self.queues[*index].path().map(ToOwned::to_owned);
                report.apart.push(StageLetters { stage: stage.clone(), count, path });
            }
        }
    }
}

/// Refuses dead letters that would be mixed up with what is read, or lost under what is written.
pub(super) fn check(plan: &Plan) -> Result<()> {
    let own = plan.stages.iter().filter_map(|stage| stage.validation.as_ref()?.dead_letters.as_ref());
    for place in std::iter::once(&plan.dead_letters).chain(own) {
        let Place::File(letters) = place else { continue };
        let same = |path: &str| {
            let path = plan.root.join(path);
            path == *letters || path.canonicalize().ok().zip(letters.canonicalize().ok()).is_some_and(|(path, letters)| path == letters)
        };
        for (path, what) in [(&plan.sink.path, "output"), (&plan.source.path, "input")] {
            if same(path) {
                return Err(Error::config(format!("the dead letters would go to `{path}`, which is the {what}"))
                    .hint("give them a `path` of their own under `dlq`"));
            }
        }
    }
    Ok(())
}
