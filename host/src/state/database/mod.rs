//! The database behind what the host keeps: a SQLite file that the processes of this machine share, or a PostgreSQL that servers share.
//!
//! Statements are written once, in the SQL that both speak; parameters are `$1`, `$2` and so on.

mod postgres;
mod session;
mod sqlite;

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::Connection as _;

use postgres::Link;
pub use postgres::Shared;
pub(super) use session::{Cell, Row, Session};
use sqlite::File;
pub(crate) use sqlite::create_folder;

use crate::error::{Error, Fault, Result};
use crate::remote::wait;

/// Seconds that are waited before something is tried again that a server did not answer.
const PAUSES: [u64; 5] = [1, 2, 4, 8, 16];

/// How often that is done for what can do without, such as a record of a run.
const FEW: usize = 3;

/// A database that several processes may use at once: what is written is written all or nothing.
#[derive(Debug)]
pub struct Database {
    /// What a person calls it, without secrets.
    title: String,
    link: Mutex<Backend>,
}

#[derive(Debug)]
enum Backend {
    Sqlite(File),
    Postgres(Box<Link>),
}

/// The tables of one part of the host: what each version changed, in order, which never changes itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Versions {
    /// The part, which has versions of its own where a database is shared.
    pub(super) part: &'static str,
    /// For SQLite.
    pub(super) sqlite: &'static [&'static str],
    /// For PostgreSQL.
    pub(super) postgres: &'static [&'static str],
}

impl Database {
    /// Opens a file, and makes it and its folder where they are not there; only this user may read them.
    ///
    /// # Errors
    /// Outside, where that cannot be.
    pub fn open(path: &Path) -> Result<Self> {
        File::open(path).map(Self::of_file)
    }

    /// Opens a file to look at it; `None` where there is none.
    ///
    /// # Errors
    /// Outside, where it cannot be read.
    pub fn look_at(path: &Path) -> Result<Option<Self>> {
        Ok(File::look_at(path)?.map(Self::of_file))
    }

    fn of_file(file: File) -> Self {
        Self { title: file.path().display().to_string(), link: Mutex::new(Backend::Sqlite(file)) }
    }

    /// Connects to a database of several servers.
    ///
    /// # Errors
    /// Config, where it lets us not in; outside, where it does not answer.
    pub fn shared(shared: &Shared) -> Result<Self> {
        let link = Link::open(shared)?;
        Ok(Self { title: shared.to_string(), link: Mutex::new(Backend::Postgres(Box::new(link))) })
    }

    /// What a person calls it, without secrets.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// Makes the schema that tables are in, where it is not there; SQLite has none.
    pub(super) fn make_schema(&self) -> Result<()> {
        match &mut *self.link() {
            Backend::Sqlite(_) => Ok(()),
            Backend::Postgres(link) => link.make_schema(),
        }
    }

    /// Whether a table is there.
    pub(super) fn has_table(&self, table: &str) -> Result<bool> {
        Ok(!self.columns(table)?.is_empty())
    }

    /// Names of a table's columns; none where it is not there.
    pub(super) fn columns(&self, table: &str) -> Result<Vec<String>> {
        let query = match &*self.link() {
            Backend::Sqlite(_) => "SELECT name FROM pragma_table_info($1)",
            Backend::Postgres(_) => {
                "SELECT attname::text FROM pg_attribute WHERE attrelid = to_regclass(quote_ident($1)) AND attnum > 0 AND NOT attisdropped"
            }
        };
        let rows = self.read(async |session| session.rows(query, &[table.into()]).await)?;
        Ok(rows.into_iter().map(|mut row| row.text(0)).collect())
    }

    /// Brings the tables up to what this version knows.
    pub(super) fn migrate(&self, versions: &Versions) -> Result<()> {
        let known = match &*self.link() {
            Backend::Sqlite(_) => versions.sqlite.len(),
            Backend::Postgres(_) => versions.postgres.len(),
        };
        let newer = |found: usize| {
            let message =
                format!("`{}` was written by a newer etl-host (version {found} of its tables, this one knows {known})", self.title);
            Error::outside(message).hint("use the newer etl-host, or another place by `--state-dir` or `--state-url`")
        };
        match self.read(async |session| session.version(versions.part).await)? {
            found if found > known => return Err(newer(found)),
            found if found == known => return Ok(()),
            _ => {}
        }
        self.make_schema()?;
        let found = self.write(async |session| {
            session.lock_for_migration(versions.part).await?;
            // Another process may have done it since.
            let found = session.version(versions.part).await?;
            let steps = if session.is_postgres() { versions.postgres } else { versions.sqlite };
            for (index, step) in steps.iter().enumerate().skip(found) {
                session.run(step).await?;
                session.set_version(versions.part, index + 1).await?;
            }
            Ok(found)
        })?;
        if found > known { Err(newer(found)) } else { Ok(()) }
    }

    /// Reads.
    pub(super) fn read<T>(&self, mut work: impl AsyncFnMut(&mut Session<'_>) -> sqlx::Result<T>) -> Result<T> {
        self.work("cannot be read", FEW, async |link| match link {
            Backend::Sqlite(file) => work(&mut Session::Sqlite(file.connection())).await,
            Backend::Postgres(link) => work(&mut Session::Postgres(link.connection())).await,
        })
    }

    /// Writes, all or nothing; done twice it must be as done once, since where a server goes away nobody knows whether it was done.
    pub(super) fn write<T>(&self, work: impl AsyncFnMut(&mut Session<'_>) -> sqlx::Result<T>) -> Result<T> {
        self.write_trying(FEW, work)
    }

    /// Writes as [`Self::write`] does what a run cannot do without: a server that starts again has the time for it.
    pub(super) fn write_patiently<T>(&self, work: impl AsyncFnMut(&mut Session<'_>) -> sqlx::Result<T>) -> Result<T> {
        self.write_trying(PAUSES.len(), work)
    }

    /// Writes what must not be tried again.
    pub(super) fn write_once<T>(&self, work: impl AsyncFnMut(&mut Session<'_>) -> sqlx::Result<T>) -> Result<T> {
        self.write_trying(0, work)
    }

    fn write_trying<T>(&self, retries: usize, mut work: impl AsyncFnMut(&mut Session<'_>) -> sqlx::Result<T>) -> Result<T> {
        self.work("cannot be written", retries, async |link| match link {
            Backend::Sqlite(file) => {
                // It waits for its turn here; a transaction that began by reading would fail where it comes to write.
                let mut transaction = file.connection().begin_with("BEGIN IMMEDIATE").await?;
                let answer = work(&mut Session::Sqlite(&mut transaction)).await?;
                transaction.commit().await?;
                Ok(answer)
            }
            Backend::Postgres(link) => {
                let mut transaction = link.connection().begin().await?;
                let answer = work(&mut Session::Postgres(&mut transaction)).await?;
                transaction.commit().await?;
                Ok(answer)
            }
        })
    }

    /// Works on a connection that holds; where a server goes away, as often again as is allowed.
    fn work<T>(&self, what: &str, retries: usize, mut work: impl AsyncFnMut(&mut Backend) -> sqlx::Result<T>) -> Result<T> {
        let mut link = self.link();
        let mut pauses = PAUSES.into_iter().take(retries);
        loop {
            let done = match &mut *link {
                Backend::Sqlite(_) => Ok(()),
                Backend::Postgres(link) => link.hold_together(),
            };
            let error = match done {
                Ok(()) => match wait(work(&mut link)) {
                    Ok(answer) => return Ok(answer),
                    Err(error) => match &mut *link {
                        Backend::Sqlite(file) => return Err(sqlite::failed(file.path(), what, error)),
                        Backend::Postgres(link) => {
                            let gone = link.is_broken_by(&error);
                            let failed = link.failed(what, error);
                            if !gone {
                                return Err(failed);
                            }
                            failed
                        }
                    },
                },
                // Who lets us not in does not change its mind.
                Err(error) if error.fault() == Fault::Config => return Err(error),
                Err(error) => error,
            };
            let Some(pause) = pauses.next() else { return Err(error) };
            tracing::debug!(error = %error.one_line(), wait_s = pause, "the shared database did not answer, trying again");
            wait(async { tokio::time::sleep(Duration::from_secs(pause)).await });
        }
    }

    /// Takes a name for as long as this connection lives, or until it is released; false where somebody else, or we, have it.
    /// A file has no such names: who shares one holds files.
    pub(super) fn try_hold(&self, name: &str) -> Result<bool> {
        match &mut *self.link() {
            Backend::Sqlite(_) => Ok(true),
            Backend::Postgres(link) => link.try_hold(name),
        }
    }

    /// Lets go of a name.
    pub(super) fn release(&self, name: &str) {
        if let Backend::Postgres(link) = &mut *self.link() {
            link.release(name);
        }
    }

    fn link(&self) -> MutexGuard<'_, Backend> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
