//! A SQLite file that the processes of this machine share.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Executor};

use crate::error::{Context, Error, Result};
use crate::remote::wait;

/// How long a process waits for another that is writing.
const BUSY: Duration = Duration::from_secs(15);

/// A SQLite file that several processes may use at once: one writes at a time, others wait for it, and readers wait for nobody.
#[derive(Debug)]
pub(super) struct File {
    path: PathBuf,
    connection: SqliteConnection,
}

/// Whether the file may be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    Write,
    /// On a disk that cannot be written, where nobody else writes either.
    Frozen,
}

impl File {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let path = absolute(path)?;
        create(&path)?;
        Self::connect(path, Access::Write)
    }

    pub(super) fn look_at(path: &Path) -> Result<Option<Self>> {
        let path = absolute(path)?;
        if !path.try_exists().map_err(|error| failed(&path, "cannot be opened", error))? {
            return Ok(None);
        }
        // A reader keeps books of its own beside the file, so that it writes too.
        let opened = Self::connect(path.clone(), Access::Write).or_else(|error| Self::connect(path, Access::Frozen).map_err(|_| error));
        opened.map(Some)
    }

    fn connect(path: PathBuf, access: Access) -> Result<Self> {
        let options = SqliteConnectOptions::new().filename(&path).busy_timeout(BUSY).disable_statement_logging();
        let options = match access {
            // A commit is on disk when it is done, whatever becomes of the machine.
            Access::Write => options.journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Full),
            Access::Frozen => options.read_only(true).immutable(true),
        };
        let started = Instant::now();
        loop {
            let opened = wait(async {
                let mut connection = options.connect().await?;
                // Opening reads nothing; a file that is no database shows now.
                connection.execute("SELECT 1 FROM sqlite_schema").await?;
                Ok(connection)
            });
            match opened {
                Ok(connection) => return Ok(Self { path, connection }),
                // Where several set a new file up at once, SQLite answers some of them without waiting.
                Err(error) if is_busy(&error) && started.elapsed() < BUSY => std::thread::sleep(Duration::from_millis(5)),
                Err(error) => return Err(failed(&path, "cannot be opened", error)),
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.connection
    }
}

fn absolute(path: &Path) -> Result<PathBuf> {
    // A relative name that starts with `file:` would be an address to SQLite.
    std::path::absolute(path).outside(|| format!("finding `{}`", path.display()))
}

/// Makes an empty file that only this user may read; SQLite gives its own files the same permissions.
fn create(path: &Path) -> Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.exists()) {
        create_folder(folder)?;
    }
    match fs::File::options().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(failed(path, "cannot be created", error)),
        _ => Ok(()),
    }
}

/// Makes a folder that only this user may enter.
pub(crate) fn create_folder(folder: &Path) -> Result<()> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|error| with_hint(Error::outside(format!("cannot create the folder `{}`", folder.display())), &error).because(error))
}

fn is_busy(error: &sqlx::Error) -> bool {
    // SQLITE_BUSY, and those of its extended codes that mean it.
    let code = error.as_database_error().and_then(|error| error.code()).and_then(|code| code.parse::<i32>().ok());
    code.is_some_and(|code| matches!(code & 0xFF, 5 | 6))
}

pub(super) fn failed(path: &Path, what: &str, error: impl Into<anyhow::Error>) -> Error {
    let error: anyhow::Error = error.into();
    let failed = Error::outside(format!("`{}` {what}", path.display()));
    let code = error.downcast_ref::<sqlx::Error>().and_then(|error| error.as_database_error()?.code()?.parse::<i32>().ok());
    let hint = match (code.map(|code| code & 0xFF), error.downcast_ref::<io::Error>()) {
        (Some(5 | 6), _) => Some("another process has been writing to it for long; try again"),
        (Some(8), _) => Some("the file or its folder may only be read: choose another folder by `--state-dir`"),
        (Some(13), _) => Some("the disk is full: free some space, or choose another folder by `--state-dir`"),
        (Some(14), _) => Some("check the owner and the permissions of its folder, or choose another by `--state-dir`"),
        (Some(11 | 26), _) => Some("it is damaged or no SQLite database: move it away, a new one is made"),
        (None, Some(error)) => return with_hint(failed, error).because(anyhow::anyhow!("{error}")),
        _ => None,
    };
    let failed = match hint {
        Some(hint) => failed.hint(hint),
        None => failed,
    };
    // Its own message says everything once.
    let told = error.downcast_ref::<sqlx::Error>().and_then(|error| Some(error.as_database_error()?.message().to_owned()));
    match told {
        Some(message) => failed.because(anyhow::anyhow!(message)),
        None => failed.because(error),
    }
}

fn with_hint(failed: Error, error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            failed.hint("the disk is full: free some space, or choose another folder by `--state-dir`")
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            failed.hint("the folder may not be written: choose another by `--state-dir`")
        }
        _ => failed,
    }
}
