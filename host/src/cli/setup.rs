//! What every command needs: logging, the runtime that drives time-outs, the sandbox.

use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;

use tracing_subscriber::EnvFilter;

use super::{CacheArgs, LibraryArgs, LoginArgs, StateArgs};
use crate::artifact::{Library, Login, Registries, Secret, Store};
use crate::config::database::{Connection, Dialect};
use crate::error::{Context, Error, Result};
use crate::sandbox::{Network, Options, Sandbox};
use crate::state::{History, Home};

/// Bytes of a password or token.
const MAX_PASSWORD_BYTES: u64 = 64 << 10;

/// Reads a number of seconds from the command line.
pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    let number: f64 = text.parse().map_err(|_| "must be a number of seconds".to_owned())?;
    Duration::try_from_secs_f64(number).map_err(|_| "must be a number of seconds, 0 or more".to_owned())
}

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

/// Opens the sandbox with the cache of compiled components; guests reach no address that is not public.
pub(super) fn sandbox(cache: &CacheArgs, runtime: &tokio::runtime::Runtime) -> Result<Sandbox> {
    sandbox_reaching(cache, Network::default(), runtime)
}

/// As [`sandbox`], with what the operator allows on the network.
pub(super) fn sandbox_reaching(cache: &CacheArgs, network: Network, runtime: &tokio::runtime::Runtime) -> Result<Sandbox> {
    let folder = cache.cache_dir.clone().or_else(default_cache);
    let options = Options { cache: folder, compiler: std::env::current_exe().ok(), metered: true, network };
    Sandbox::open(options, runtime.handle().clone())
}

/// Opens the library of components.
pub(super) fn library(args: &LibraryArgs, login: Option<Login>) -> Library {
    let LibraryArgs { store_dir, plain_http, ca_file, registry_timeout } = args;
    let folder = store_dir.clone().or_else(|| Some(user_folder("XDG_DATA_HOME", ".local/share")?.join("store")));
    let silence = Duration::from_secs((*registry_timeout).into());
    let registries = Registries { plain_http: *plain_http, authority_files: ca_file.clone(), silence, login };
    Library { store: Store::new(folder), registries, offline: false }
}

/// Reads the password that stdin gives.
pub(super) fn login(args: &LoginArgs) -> Result<Option<Login>> {
    let Some(username) = &args.username else { return Ok(None) };
    let mut password = String::new();
    std::io::stdin().lock().take(MAX_PASSWORD_BYTES).read_to_string(&mut password).outside(|| "reading the password from stdin".into())?;
    match password.trim_end_matches(['\r', '\n']) {
        "" => Err(Error::config("stdin holds no password").hint("`--password-stdin` reads it: `etl-host push … --password-stdin < FILE`")),
        password => Ok(Some(Login { username: username.clone(), password: Secret::new(password) })),
    }
}

/// The folder for what is kept from call to call: what is said, else `$XDG_STATE_HOME/etl-host`, else `~/.local/state/etl-host`.
pub(super) fn state_folder(args: &StateArgs) -> Result<PathBuf> {
    args.state_dir.clone().or_else(|| user_folder("XDG_STATE_HOME", ".local/state")).ok_or_else(|| {
        Error::config("there is no folder to keep state in, since neither `XDG_STATE_HOME` nor `HOME` is set")
            .hint("pass `--state-dir FOLDER`")
    })
}

/// Where the host keeps what it must know from call to call.
pub(super) fn home(args: &StateArgs) -> Result<Home> {
    let shared = shared(args)?;
    Ok(Home { folder: state_folder(args)?, shared })
}

/// As [`home`], for what can do without; where nobody says where it is there may be none.
pub(super) fn home_if_any(args: &StateArgs) -> Result<Option<Home>> {
    let shared = shared(args)?;
    Ok(state_folder(args).ok().map(|folder| Home { folder, shared }))
}

/// The database that servers share, where one is named.
fn shared(args: &StateArgs) -> Result<Option<Connection>> {
    let shared = args.state_url.as_ref().filter(|url| !url.is_empty()).map(|url| {
        // What is wrong with it is told without it: it holds a password.
        let wrong = |why: String| Error::config(format!("the URL of the shared state {why}"));
        let connection = Connection::try_from(url.clone()).map_err(wrong)?;
        match connection.dialect {
            Dialect::Postgres => Ok(connection),
            Dialect::Sqlite => Err(Error::config("a SQLite file cannot be shared by servers")
                .hint("`--state-dir FOLDER` keeps one in a folder; `--state-url postgresql://user:password@host/name` is for servers")),
            _ => Err(Error::config(format!("`{connection}` cannot be shared by servers"))
                .hint("servers share a PostgreSQL: `postgresql://user:password@host/name`")),
        }
    });
    shared.transpose()
}

/// The history, for a run: where there can be none, a warning says so and the run goes on, since data comes first.
pub(super) fn history(args: &StateArgs) -> Option<History> {
    let opened = home(args).and_then(|home| History::open(&home));
    let warn = |error: &Error| {
        let hint = error.find_hint().unwrap_or("choose another place by `--state-dir` or `--state-url`");
        tracing::warn!(error = %error.one_line(), hint, "this run is not recorded, and goes on");
    };
    opened.inspect_err(warn).ok()
}

/// `$XDG_CACHE_HOME/etl-host`, else `~/.cache/etl-host`.
fn default_cache() -> Option<PathBuf> {
    user_folder("XDG_CACHE_HOME", ".cache")
}

/// Our folder in the one that a variable names, or in one of the user's home.
fn user_folder(variable: &str, at_home: &str) -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute(variable).or_else(|| absolute("HOME").map(|home| home.join(at_home))).map(|folder| folder.join("etl-host"))
}
