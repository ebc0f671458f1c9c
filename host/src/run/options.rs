//! How a plan is run.

use std::collections::BTreeMap;
use std::num::{NonZeroU64, NonZeroUsize};
use std::sync::atomic::AtomicBool;

use chrono::{DateTime, Utc};

use super::{Checkpoints, Followed};
use crate::artifact::Library;
use crate::config::load::Sink as SinkConfig;
use crate::error::Result;
use crate::plan::{DeadLetters, Plan, TablePlace};
use crate::remote::check_allowed;
use crate::sandbox::Network;
use crate::sink::Mark;
use crate::source::{self, ReadOptions, Since, Source, Surroundings};
use crate::state::Home;

/// How a plan is run.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// The run's id; the same id, input and parameters give the same bytes.
    pub run_id: String,
    /// When it starts: what `now()` shows.
    pub started: DateTime<Utc>,
    /// Whether nothing is written.
    pub dry_run: bool,
    /// Threads that work on rows.
    pub workers: NonZeroUsize,
    /// Parts into which the input is cut; each is staged on its own and one commit shows all.
    pub splits: NonZeroUsize,
    /// Rows of a batch where no stage can tell how many there are.
    pub batch_rows: NonZeroUsize,
    /// Where components come from that the contract directory does not hold.
    pub library: Library,
    /// What stages draw chance from; absent = a number drawn from the run's id.
    pub seed: Option<u64>,
    /// What earlier runs have reached, where the plan takes newer rows only; absent = nothing yet.
    pub reached: Option<String>,
    /// As `reached`, by transformer, where there are several.
    pub reached_by: BTreeMap<String, String>,
    /// Memory that the process may take, in MiB; absent = what the plan says.
    pub max_memory_mb: Option<NonZeroU64>,
    /// How it keeps checkpoints, where it does; a dry run keeps none.
    pub checkpoints: Option<Checkpoints>,
    /// Where the host keeps what is to outlive the process, such as tables of dead letters without a database of their own.
    pub state: Option<Home>,
    /// What the commit leaves beside the output, all or nothing, so that it can be told after a crash whether it was done.
    pub mark: Option<Mark>,
    /// Whether its commit leaves a mark that is named after the run, where it keeps no checkpoints.
    pub leaves_mark: bool,
    /// The mark that it moves with its commit, where [`follow`](super::follow()) starts it.
    pub followed: Option<Followed>,
    /// Those of several transformers, by name.
    pub followed_by: BTreeMap<String, Followed>,
    /// What the operator allows on the network: sources obey it as guests do.
    pub network: Network,
}

impl RunOptions {
    /// Refuses a plan that writes to a database of a host which the operator does not allow; what it reads is looked at as it is opened.
    pub(super) fn check_allowed(&self, plan: &Plan) -> Result<()> {
        if let SinkConfig::Database(sink) = &plan.sink {
            check_allowed(&sink.connection_string, sink.ssh_tunnel.as_ref(), &plan.root, &self.network)?;
        }
        let own = plan.stages.iter().filter_map(|stage| stage.validation.as_ref()?.dead_letters.as_ref());
        for letters in std::iter::once(&plan.dead_letters).chain(own) {
            if let DeadLetters::Table { place: TablePlace::Postgres { connection, tunnel, .. }, .. } = letters {
                check_allowed(connection, tunnel.as_deref(), &plan.root, &self.network)?;
            }
        }
        Ok(())
    }

    /// Opens the source of a plan, which gets the mark of earlier runs where it asks for it; `stop`, once set, ends that.
    pub(super) fn open_source(&self, plan: &Plan, read: ReadOptions, stop: &AtomicBool) -> Result<Box<dyn Source>> {
        let reached = self.reached.as_deref();
        let since = plan.incremental.as_ref().map(|incremental| Since { incremental, reached });
        let params = &source::with_mark(&plan.source_params, plan.incremental.as_ref(), reached)?;
        let surroundings = Surroundings {
            root: &plan.root,
            params,
            secrets: &plan.secrets,
            network: &self.network,
            since,
            max_retries: plan.max_retries,
            stop,
        };
        source::open(&plan.source, &plan.reading, read, &surroundings)
    }
}

impl Default for RunOptions {
    fn default() -> Self {
        let one = NonZeroUsize::MIN;
        Self {
            run_id: uuid::Uuid::new_v4().to_string(),
            started: Utc::now(),
            dry_run: false,
            workers: std::thread::available_parallelism().unwrap_or(one),
            splits: one,
            batch_rows: NonZeroUsize::new(8192).expect("8192 is not zero"),
            library: Library::default(),
            seed: None,
            reached: None,
            reached_by: BTreeMap::new(),
            max_memory_mb: None,
            checkpoints: None,
            state: None,
            mark: None,
            leaves_mark: false,
            followed: None,
            followed_by: BTreeMap::new(),
            network: Network::default(),
        }
    }
}
