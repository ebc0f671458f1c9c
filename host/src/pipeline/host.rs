//! What pipelines run in.

use std::path::PathBuf;

use crate::artifact::Library;
use crate::config::database::Connection;
use crate::error::{Context, Result};
use crate::sandbox::{Network, Options, Sandbox};
use crate::state::{History, Home};

/// How a host is set up.
#[derive(Clone, Debug, Default)]
pub struct HostOptions {
    /// Folder for compiled components; absent = they are compiled each time.
    pub cache_dir: Option<PathBuf>,
    /// Folder for the history of runs and for dead letters without a database of their own; absent = no run is recorded.
    pub state_dir: Option<PathBuf>,
    /// Where components come from that a contract directory does not hold.
    pub library: Library,
    /// A PostgreSQL that servers share, which has records, dead letters and marks in place of the folder.
    pub state_url: Option<Connection>,
    /// Private addresses that sources may reach, and transforms, where they were granted them.
    pub network: Network,
}

/// What pipelines run in: the sandbox of their transforms, and the history of their runs. One serves any number of them, from any thread.
pub struct Host {
    runtime: Option<tokio::runtime::Runtime>,
    pub(super) sandbox: Sandbox,
    pub(super) library: Library,
    pub(super) history: Option<History>,
    pub(super) state: Option<Home>,
    pub(super) network: Network,
}

impl Host {
    /// Sets a host up.
    ///
    /// # Errors
    /// Outside, where the state folder cannot be written; a program that would rather run unrecorded leaves it out.
    pub fn new(options: HostOptions) -> Result<Self> {
        let HostOptions { cache_dir, state_dir, state_url, library, network } = options;
        // Its one thread lets time-outs act; rows are worked on elsewhere.
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).thread_name("etl-tokio").enable_all().build().outside(|| "starting the runtime".into())?;
        let options = Options { cache: cache_dir, compiler: None, metered: true, network: network.clone() };
        let sandbox = Sandbox::open(options, runtime.handle().clone())?;
        let state = state_dir.map(|folder| Home { folder, shared: state_url });
        let history = state.as_ref().map(History::open).transpose()?;
        Ok(Self { runtime: Some(runtime), sandbox, library, history, state, network })
    }

    /// The history of runs, where one is kept.
    pub fn history(&self) -> Option<&History> {
        self.history.as_ref()
    }

    /// The sandbox.
    pub fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // Waiting for its thread is forbidden inside of another runtime.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
