//! Where the refused rows of a run go: to the pipeline's dead letters, or to those of the validation that refused them.

use std::path::Path;
use std::sync::Arc;

use super::RunOptions;
use crate::batch::Reject;
use crate::error::{Error, PhaseName, Result};
use crate::plan::{DeadLetters as Place, Plan, TablePlace};
use crate::report::{DeadLetterReport, StageLetters};
use crate::sink::RunName;
use crate::sink::dead_letters::{self, DeadLetters, Flushed};
use crate::state::letters::{TableAt, TableLetters};
use crate::state::{Home, Shared};

/// Dead letters of one run.
pub(super) struct Letters {
    /// The pipeline's first; no two go to one place.
    queues: Vec<DeadLetters>,
    /// Stages whose rows go elsewhere than to the first.
    routes: Vec<(String, usize)>,
}

impl Letters {
    /// Makes the writers; of files it touches none but those of tables.
    pub(super) fn new(plan: &Plan, options: &RunOptions, run: &RunName) -> Result<Self> {
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
                _ if options.dry_run => dead_letters::Place::Nowhere,
                Place::File(path) => dead_letters::Place::File(path.clone()),
                Place::Table { place, table } => dead_letters::Place::Table(table_of(place, table, plan, options)?),
                Place::Memory => dead_letters::Place::Memory,
                Place::Off => dead_letters::Place::Nowhere,
            };
            Ok(DeadLetters::new(place, run))
        };
        Ok(Self { queues: places.into_iter().map(queue).collect::<Result<_>>()?, routes })
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

    /// Keeps what is staged when the process ends before the run does, for as long as the file `while_there` is there.
    pub(super) fn keep(&self, while_there: &Path) -> Result<()> {
        self.queues.iter().try_for_each(|queue| queue.keep(while_there))
    }

    /// Puts the letters so far on disk and says how to go on from there.
    pub(super) fn flush(&self) -> Result<Vec<Flushed>> {
        self.queues.iter().map(DeadLetters::flush).collect()
    }

    /// Goes on from what a flush put on disk.
    pub(super) fn resume(&self, from: &[Flushed]) -> Result<()> {
        self.queues.iter().zip(from).try_for_each(|(queue, from)| queue.resume(from))
    }

    /// Appends all letters to their files. Where one fails, [`abort`](Self::abort) takes back the others.
    pub(super) fn commit(&self) -> Result<()> {
        self.queues.iter().try_for_each(DeadLetters::commit)
    }

    /// Removes what is kept of letters that were committed.
    pub(super) fn close(&self) -> Result<()> {
        self.each(DeadLetters::close)
    }

    /// Removes what an earlier process of this run has staged, and leaves letters that it appended.
    pub(super) fn clear(&self) -> Result<()> {
        self.each(DeadLetters::clear)
    }

    /// Removes what an earlier process of this run has staged or appended.
    pub(super) fn discard(&self) -> Result<()> {
        self.each(DeadLetters::discard)
    }

    /// Drops all letters.
    pub(super) fn abort(&self) -> Result<()> {
        self.each(DeadLetters::abort)
    }

    /// The first error is told after all were tried.
    fn each(&self, work: impl Fn(&DeadLetters) -> Result<()>) -> Result<()> {
        let errors: Vec<Error> = self.queues.iter().filter_map(|queue| work(queue).err()).collect();
        errors.into_iter().next().map_or(Ok(()), Err)
    }

    /// What the first few letters say.
    pub(super) fn first(&self) -> Vec<String> {
        self.queues.iter().flat_map(DeadLetters::first).collect()
    }

    /// Writes down where the letters are.
    pub(super) fn tell(&self, report: &mut DeadLetterReport) {
        self.queues[0].tell(report);
        report.apart.clear();
        for (stage, index) in self.routes.iter().filter(|(_, index)| *index > 0) {
            let count = report.by_stage.get(stage).copied().unwrap_or_default();
            if count > 0 {
                let path = self.queues[*index].path().map(ToOwned::to_owned);
                report.apart.push(StageLetters { stage: stage.clone(), count, path });
            }
        }
    }
}

/// Opens the table of dead letters, so that what is wrong with it shows before a row is read.
fn table_of(place: &TablePlace, table: &str, plan: &Plan, options: &RunOptions) -> Result<Arc<TableLetters>> {
    let at = table_at(place, options.state.as_ref(), &plan.root)?;
    TableLetters::open(&at, table).map(Arc::new).map_err(|error| error.in_phase(PhaseName::Load))
}

/// The database that a table of dead letters is in; `root` is the contract directory.
///
/// # Errors
/// Config, where the host's own is meant and there is none.
pub fn table_at(place: &TablePlace, home: Option<&Home>, root: &Path) -> Result<TableAt> {
    let home = |what: &str| {
        home.ok_or_else(|| {
            Error::config(format!("the dead letters {what}, but there is no folder for it"))
                .hint("pass `--state-dir FOLDER`, or name a database: `dlq: {backend: database, connection_string: sqlite:///letters.db}`")
        })
    };
    Ok(match place {
        TablePlace::File(path) => TableAt::File(path.clone()),
        TablePlace::State => {
            let home = home("go to the state database")?;
            match home.database() {
                Some(shared) => TableAt::Shared { shared, folder: home.folder.clone() },
                None => TableAt::File(home.file()),
            }
        }
        TablePlace::Postgres { connection, tunnel, schema } => {
            let shared = Shared { connection: connection.clone(), tunnel: tunnel.clone(), root: root.to_owned(), schema: schema.clone() };
            TableAt::Shared { shared, folder: home("are staged in the state folder")?.folder.clone() }
        }
    })
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
        let files = [(plan.sink.files().map(|files| &files.path), "output"), (plan.source.files().map(|files| &files.path), "input")];
        for (path, what) in files {
            if let Some(path) = path.filter(|path| same(path)) {
                return Err(Error::config(format!("the dead letters would go to `{path}`, which is the {what}"))
                    .hint("give them a `path` of their own under `dlq`"));
            }
        }
    }
    Ok(())
}
