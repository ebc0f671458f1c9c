//! A table as a sink: staged within a transaction, shown by its commit.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow_schema::SchemaRef;

use super::encode::{Form, Shared as Encoding, TableEncode};
use super::merge::{merge, rehearse};
use super::publish::publish;
use super::said::Why;
use super::session::{Session, Shared};
use super::target::{Doing, prepare, widen};
use super::tokens::Tokens;
use super::{Backend, Counts, Relation, Shape, Stopped, TableMark, check, connect};
use crate::batch::{Reason, Reject};
use crate::config::database::{DatabaseSink, Dialect, SchemaEvolution, WriteMethod};
use crate::crash;
use crate::error::{Error, Result};
use crate::report::TableReport;
use crate::sink::flushed::What;
use crate::sink::{Committed, Encode, Encoded, Flushed, Load, Payload, RunName, Sink, Staged};

/// A table that rows go to.
pub(in crate::sink) struct TableSink {
    config: DatabaseSink,
    root: PathBuf,
    run_id: String,
    session: Shared,
    tokens: Tokens,
    /// Whether rows are committed checkpoint by checkpoint.
    by_checkpoint: AtomicBool,
    /// Whether a commit leaves a token.
    marked: bool,
    stopped: Stopped,
}

impl TableSink {
    /// Connects.
    pub(in crate::sink) fn open(config: &DatabaseSink, root: &Path, run: &RunName, mark: Option<&TableMark>) -> Result<Self> {
        check(config)?;
        let stopped = Stopped::default();
        let begin = if config.connection_string.dialect == Dialect::Sqlite { "BEGIN IMMEDIATE" } else { "BEGIN" };
        let sink = Self {
            config: config.clone(),
            root: root.to_owned(),
            run_id: mark.map_or_else(|| run.run_id.clone(), |mark| mark.token.clone()),
            session: Shared::new(connect(config, root, Doing::Load, &stopped)?, begin),
            tokens: Tokens::of(config),
            by_checkpoint: AtomicBool::new(false),
            marked: mark.is_some(),
            stopped,
        };
        if sink.marked {
            sink.tokens.create(sink.session.lock().backend.as_mut())?;
        }
        Ok(sink)
    }

    /// What is to be seen now.
    fn shown(&self, session: &mut Session, rows: u64) -> Committed {
        let Counts { inserted, updated, deleted } = session.token.counts;
        let table = TableReport { table: self.config.table_title(), inserted, updated, deleted, left_out: 0 };
        let merged = std::mem::take(&mut session.merged);
        // Done once more where the process died in between: who publishes twice has published.
        let published = publish(session.backend.as_mut(), &self.config);
        Committed { rows, tables: std::iter::once(table).chain(merged).collect(), published, ..Committed::default() }
    }

    /// Writes the token and commits it together with the rows.
    fn commit_with_token(&self, session: &mut Session) -> Result<()> {
        let token = session.token;
        self.tokens.put(session.transaction()?, &self.run_id, token)?;
        crash::at("table.token");
        let committed = session.try_commit();
        crash::at("table.settled");
        let Err(said) = committed else { return Ok(()) };
        if said.why != Why::Lost {
            return Err(Session::uncommitted(said));
        }
        // The answer may be lost and the work done: the token tells, on another connection.
        let mut fresh = connect(&self.config, &self.root, Doing::Load, &Stopped::default()).map_err(|_| Session::uncommitted(said))?;
        let found = self.tokens.find(fresh.as_mut(), &self.run_id)?;
        session.backend = fresh;
        if found == Some(token) {
            return Ok(());
        }
        Err(Error::outside("the connection broke while rows were being committed, and they are not there").lost())
    }
}

impl Sink for TableSink {
    fn max_splits(&self) -> usize {
        1
    }

    fn has_output(&self) -> bool {
        true
    }

    fn begin(&self, split: usize, schema: SchemaRef, from: Option<&Flushed>) -> Result<Box<dyn Load>> {
        let mut session = self.session.lock();
        match from.map(|from| (from.rows, &from.what)) {
            None => (session.token.rows, session.token.counts) = (0, Counts::default()),
            Some((rows, What::Table(counts))) => (session.token.rows, session.token.counts) = (rows, *counts),
            Some(_) => {
                return Err(
                    Error::config("the checkpoint is of an output that is no table").hint("`--restart` starts again from the first row")
                );
            }
        }
        let dialect = self.config.connection_string.dialect;
        // What changes a table's columns ends a transaction of MySQL and of Oracle.
        if !matches!(dialect, Dialect::Mysql | Dialect::Oracle) {
            session.transaction()?;
        }
        let shape = prepare(session.backend.as_mut(), &self.config, &schema, Doing::Load)?;
        let backend = session.transaction()?;
        if from.is_none() && shape.method == WriteMethod::TruncateAndLoad && !backend.columns(&shape.table).unwrap_or_default().is_empty() {
            empty(backend, &shape)?;
        }
        let form = if dialect == Dialect::Postgres { Form::Copy { numbered: shape.is_staged() } } else { Form::Values };
        let encode = Arc::new(TableEncode { fit: shape.fit.clone(), form });
        let (widened, narrow) = Default::default();
        Ok(Box::new(TableLoad { split, schema, session: self.session.clone(), encode, shape, widened, narrow }))
    }

    fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    fn keep(&self, _while_there: &Path) -> Result<()> {
        self.by_checkpoint.store(true, Ordering::Relaxed);
        self.tokens.create(self.session.lock().backend.as_mut())
    }

    fn settle(&self, checkpoint: u64) -> Result<()> {
        let mut session = self.session.lock();
        session.token.checkpoint = checkpoint.cast_signed();
        self.commit_with_token(&mut session)
    }

    fn settled(&self) -> Result<Option<u64>> {
        self.by_checkpoint.store(true, Ordering::Relaxed);
        let mut session = self.session.lock();
        let token = self.tokens.find(session.backend.as_mut(), &self.run_id)?;
        session.token = token.unwrap_or_default();
        Ok(Some(session.token.checkpoint.unsigned_abs()))
    }

    fn commit(&self, staged: Vec<Staged>) -> Result<Committed> {
        let mut session = self.session.lock();
        session.merged = merge(session.transaction()?, &self.config)?;
        session.token.done = true;
        if self.marked || self.by_checkpoint.load(Ordering::Relaxed) {
            self.commit_with_token(&mut session)?;
        } else {
            session.commit()?;
        }
        crash::at("table.committed");
        Ok(self.shown(&mut session, staged.iter().map(|staged| staged.rows).sum()))
    }

    fn committed(&self) -> Result<Option<Committed>> {
        let mut session = self.session.lock();
        let token = self.tokens.find(session.backend.as_mut(), &self.run_id)?;
        let Some(token) = token.filter(|token| token.done) else { return Ok(None) };
        session.token = token;
        Ok(Some(self.shown(&mut session, token.rows)))
    }

    fn abort(&self) -> Result<()> {
        let mut session = self.session.lock();
        // A connection that was left while it waited answers nobody any more.
        let undone = if self.stopped.load(Ordering::Relaxed) { Ok(()) } else { session.rollback() };
        if self.stopped.load(Ordering::Relaxed) || undone.as_ref().is_err_and(|said| said.why == Why::Lost) {
            // The server undoes what was on a connection that is gone.
            session.backend = connect(&self.config, &self.root, Doing::Load, &Stopped::default())?;
        } else {
            undone.map_err(|said| said.error("cannot undo what was not committed"))?;
        }
        // That of a mark is for whoever asks later.
        if self.marked {
            return Ok(());
        }
        // A run that keeps none may have no right to look for one, or would wait once more.
        let mut left =
            || !self.stopped.load(Ordering::Relaxed) && matches!(self.tokens.find(session.backend.as_mut(), &self.run_id), Ok(Some(_)));
        if self.by_checkpoint.load(Ordering::Relaxed) || left() {
            self.tokens.remove(session.backend.as_mut(), &self.run_id)?;
        }
        Ok(())
    }
}

/// Stages the rows of the one split.
struct TableLoad {
    split: usize,
    schema: SchemaRef,
    session: Shared,
    encode: Arc<TableEncode>,
    shape: Shape,
    /// Columns that were widened, and those that cannot be.
    widened: BTreeSet<usize>,
    narrow: BTreeSet<usize>,
}

impl TableLoad {
    /// Widens a column that a value needs wider; answers whether that could be.
    fn widen(&self, session: &mut Session, number: usize) -> Result<bool> {
        let Shape { table, fit, method, .. } = &self.shape;
        let fitting = &fit.columns[number];
        if table.dialect != Dialect::Mysql {
            return widen(session.transaction()?, table, fitting);
        }
        // It commits what is open before it changes a table: nothing may be.
        if session.written {
            tracing::warn!(
                table = table.shown(),
                column = fitting.to.name,
                "a column cannot be widened any more, rows are written already"
            );
            return Ok(false);
        }
        session.rollback().map_err(|said| said.error("cannot undo what is not written yet"))?;
        let widened = widen(session.backend.as_mut(), table, fitting)?;
        if *method == WriteMethod::TruncateAndLoad && session.token.rows == 0 {
            empty(session.transaction()?, &self.shape)?;
        }
        Ok(widened)
    }
}

/// Takes all rows out of a table.
fn empty(backend: &mut dyn Backend, Shape { table, relation, .. }: &Shape) -> Result<()> {
    let empty = if table.dialect == Dialect::Postgres && *relation != Relation::View { "TRUNCATE" } else { "DELETE FROM" };
    backend
        .execute(&format!("{empty} {}", table.sql()))
        .map(drop)
        .map_err(|said| said.error(format!("cannot empty the table `{}`", table.shown())))
}

impl Load for TableLoad {
    fn encoder(&self) -> Arc<dyn Encode> {
        Arc::new(Encoding(self.encode.clone()))
    }

    fn append(&mut self, chunk: Encoded) -> Result<Vec<Reject>> {
        let Payload::Table(chunk) = chunk.payload else { return Err(Error::bug("a table takes rows of its own form only")) };
        if chunk.rows == 0 {
            return Ok(Vec::new());
        }
        if self.shape.columns.is_empty() {
            let message = format!("the rows have no columns, so that there is nothing to write to `{}`", self.shape.table.shown());
            return Err(Error::data(message).hint("`plan` shows what the source and the transforms make of the rows"));
        }
        let shared = self.session.clone();
        let mut session = shared.lock();
        session.transaction()?;
        let (mut chunk, mut rejects) = (*chunk, Vec::new());
        let wants = chunk.wants();
        for number in &wants {
            if !self.widened.contains(number) && !self.narrow.contains(number) {
                let done = self.widen(&mut session, *number)?;
                if done { &mut self.widened } else { &mut self.narrow }.insert(*number);
            }
        }
        if wants.iter().any(|number| self.narrow.contains(number)) {
            (chunk, rejects) = chunk.narrowed(&self.encode, &self.narrow)?;
        }
        session.transaction()?;
        session.written = true;
        let written = session.transaction()?.write(&self.shape, &chunk);
        let written = written.map_err(|said| said.error(format!("cannot write to the table `{}`", self.shape.table.shown())))?;
        session.token.rows += (chunk.rows - written.refused.len()) as u64;
        session.token.counts.add(&written.counts);
        let reject = |(row, said): (usize, super::said::Said)| {
            let Why::Row(code) = said.why else { return None };
            chunk.refuse(row, code, said.message, said.column).map(|reject| Reject { reason: Reason::LoadError, ..reject })
        };
        rejects.extend(written.refused.into_iter().filter_map(reject));
        Ok(rejects)
    }

    fn flush(&mut self) -> Result<Flushed> {
        let session = self.session.lock();
        Flushed::new(session.token.rows, &self.schema, What::Table(session.token.counts))
    }

    fn finish(self: Box<Self>) -> Result<Staged> {
        Ok(Staged { split: self.split, rows: self.session.lock().token.rows, parts: Vec::new() })
    }
}

/// A sink that writes nothing, but finds what would be wrong with the real one.
pub(in crate::sink) struct Rehearsal {
    config: DatabaseSink,
    session: Shared,
}

struct Rehearsed {
    split: usize,
    rows: u64,
    schema: SchemaRef,
    encode: Arc<TableEncode>,
    /// Columns that would be widened, of which was told.
    told: BTreeSet<usize>,
}

impl Rehearsal {
    /// Connects.
    pub(in crate::sink) fn open(config: &DatabaseSink, root: &Path) -> Result<Self> {
        check(config)?;
        Ok(Self { config: config.clone(), session: Shared::new(connect(config, root, Doing::Rehearse, &Stopped::default())?, "BEGIN") })
    }
}

impl Sink for Rehearsal {
    fn max_splits(&self) -> usize {
        1
    }

    fn has_output(&self) -> bool {
        true
    }

    fn begin(&self, split: usize, schema: SchemaRef, _from: Option<&Flushed>) -> Result<Box<dyn Load>> {
        let mut session = self.session.lock();
        let Shape { mut fit, columns, mut left_out, .. } = prepare(session.backend.as_mut(), &self.config, &schema, Doing::Rehearse)?;
        // Those that the load would add refuse no row.
        let added = if fit.policy == SchemaEvolution::Evolve { std::mem::take(&mut fit.lacking) } else { Vec::new() };
        left_out.extend(columns.into_iter().chain(added));
        rehearse(session.backend.as_mut(), &self.config, &left_out)?;
        Ok(Box::new(Rehearsed { split, rows: 0, schema, told: BTreeSet::new(), encode: Arc::new(TableEncode { fit, form: Form::Values }) }))
    }

    fn keep(&self, _while_there: &Path) -> Result<()> {
        Ok(())
    }

    fn commit(&self, staged: Vec<Staged>) -> Result<Committed> {
        Ok(Committed { rows: staged.iter().map(|staged| staged.rows).sum(), ..Committed::default() })
    }

    fn committed(&self) -> Result<Option<Committed>> {
        Ok(None)
    }

    fn abort(&self) -> Result<()> {
        Ok(())
    }
}

impl Load for Rehearsed {
    fn encoder(&self) -> Arc<dyn Encode> {
        Arc::new(Encoding(self.encode.clone()))
    }

    fn append(&mut self, chunk: Encoded) -> Result<Vec<Reject>> {
        self.rows += chunk.rows;
        let Payload::Table(rows) = &chunk.payload else { return Ok(Vec::new()) };
        for number in rows.wants().difference(&self.told) {
            let column = &self.encode.fit.columns[*number].to.name;
            tracing::warn!(column, "a value needs a wider column: the load would change the table");
        }
        self.told.extend(rows.wants());
        Ok(Vec::new())
    }

    fn flush(&mut self) -> Result<Flushed> {
        Flushed::new(self.rows, &self.schema, What::Counted)
    }

    fn finish(self: Box<Self>) -> Result<Staged> {
        Ok(Staged { split: self.split, rows: self.rows, parts: Vec::new() })
    }
}
