//! The one connection of a load, and whether a transaction is open on it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Backend;
use super::said::{Said, Why};
use super::tokens::Token;
use crate::error::{Error, Result};
use crate::report::TableReport;

/// A connection that the sink and its load share.
#[derive(Clone)]
pub(super) struct Shared(Arc<Mutex<Session>>);

impl Shared {
    pub(super) fn new(backend: Box<dyn Backend>, begin: &'static str) -> Self {
        Self(Arc::new(Mutex::new(Session { backend, begin, open: false, written: false, token: Token::default(), merged: Vec::new() })))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Session> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The state of a connection.
pub(super) struct Session {
    pub(super) backend: Box<dyn Backend>,
    /// How a transaction is begun there.
    begin: &'static str,
    open: bool,
    /// Whether rows were written in the open transaction.
    pub(super) written: bool,
    /// How far the run is.
    pub(super) token: Token,
    /// What became of canonical tables.
    pub(super) merged: Vec<TableReport>,
}

impl Session {
    /// Begins a transaction, unless one is open.
    pub(super) fn transaction(&mut self) -> Result<&mut dyn Backend> {
        if !self.open {
            self.backend.execute(self.begin).map_err(|said| said.error("cannot begin a transaction"))?;
            (self.open, self.written) = (true, false);
        }
        Ok(self.backend.as_mut())
    }

    /// Commits what is open.
    ///
    /// # Errors
    /// Data, where a constraint that was deferred up to now is broken; outside. Where the answer is lost, nobody here knows what became of it.
    pub(super) fn commit(&mut self) -> Result<()> {
        self.try_commit().map_err(Self::uncommitted)
    }

    /// As [`commit`](Self::commit), with what the database said.
    pub(super) fn try_commit(&mut self) -> Result<(), Said> {
        if !std::mem::take(&mut self.open) {
            return Ok(());
        }
        let Err(said) = self.backend.execute("COMMIT") else { return Ok(()) };
        if said.why != Why::Lost {
            // PostgreSQL has ended the transaction; SQLite keeps it open, to be mended.
            let _ = self.backend.execute("ROLLBACK");
        }
        Err(said)
    }

    /// Why rows are not committed.
    pub(super) fn uncommitted(said: Said) -> Error {
        match said.why {
            Why::Row(_) => Error::data("the database refused the rows as a whole when they were to be committed, so that none is there")
                .because(anyhow::anyhow!("{}", said.message))
                .hint("a deferred constraint is broken: make it `NOT DEFERRABLE`, so that single rows are found and refused, or mend the data"),
            Why::Lost => Error::outside("the connection broke while the rows were being committed: whether they are there is not known")
                .because(anyhow::anyhow!("{}", said.message))
                .hint("look into the table before you run it again; with checkpoints the run would know")
                .given_up(),
            _ => said.error("cannot commit the rows"),
        }
    }

    /// Undoes what is open.
    pub(super) fn rollback(&mut self) -> Result<(), Said> {
        if std::mem::take(&mut self.open) { self.backend.execute("ROLLBACK").map(drop) } else { Ok(()) }
    }
}
