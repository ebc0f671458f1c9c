//! What every command needs: logging, the runtime that drives time-outs, the sandbox.

use std::path::PathBuf;

use tracing_subscriber::EnvFilter;

use super::CacheArgs;
use crate::error::{Context, Result};
use crate::sandbox::{Options, Sandbox};

/// Starts logging to stderr: warnings and worse, or what `ETL_HOST_LOG` says (such as `debug` or `guest=info`).
pub(super) fn logging() {
    let filter = EnvFilter::try_from_env("ETL_HOST_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(super::terminal::writer)
        .with_ansi(super::terminal::colours(true))
        .with_target(true)
        .without_time()
        .init();
}

/// Asks the kernel for small pages: with huge ones, which the allocator asks for, a run held 126 MiB instead of 73 and was no faster.
pub(super) fn small_pages() {
    // SAFETY: the call takes numbers only and changes nothing but how memory is backed.
    unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0) };
}

/// Starts the runtime; its one thread drives time-outs and signals, rows are worked on elsewhere.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("etl-tokio")
        .enable_all()
        .build()
        .outside(|| "starting the runtime".into())
}

/// Opens the sandbox with the cache of compiled components.
pub(super) fn sandbox(cache: &CacheArgs, runtime: &tokio::runtime::Runtime) -> Result<Sandbox> {
    let options = Options { cache: cache.cache_dir.clone().or_else(default_cache), compiler: std::env::current_exe().ok(), metered: true };
    Sandbox::open(options, runtime.handle().clone())
}

/// `$XDG_CACHE_HOME/etl-host`, else `~/.cache/etl-host`.
fn default_cache() -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache"))).map(|folder| folder.join("etl-host"))
}
