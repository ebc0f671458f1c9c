//! A query as a source: PostgreSQL, MySQL and MariaDB, SQLite, and by ODBC Microsoft SQL Server and Oracle.
//!
//! The query is prepared when the source is opened, which tells its columns without running it. It runs in one transaction that only reads. With a
//! `cursor_field` its rows are ordered by that column, and another read goes on behind any chunk; without, it is read from its start or not at all.

mod array;
mod chunk;
mod failure;
mod fill;
mod key;
mod kind;
mod mysql;
#[cfg(feature = "odbc")]
mod odbc;
mod postgres;
mod raw;
mod sqlite;
mod statement;
#[cfg(test)]
mod tests;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use arrow_schema::{DataType, SchemaRef};
use etl_steps::Type;
use tokio::sync::oneshot;

use self::chunk::{Reader, Rows};
use self::failure::Asked;
use self::fill::{Fill, Filled};
use self::key::{Condition, Follower, Key, KeyColumn, Place as Cursor};
use self::kind::{Cell, Kind, Misfit};
use self::raw::Raw;
use self::statement::{Bind, Described, Sql};
use super::cut::Sizes;
use super::incremental;
use super::layout::{Layout, unique_names};
use super::target::Target;
use super::{Chunk, Chunks, ReadOptions, Since, Source, Split, Surroundings, View};
use crate::batch::Position;
use crate::config::database::{Connection, DatabaseSource, Dialect, SshTunnel};
use crate::config::extract::{FileSource, Reading};
use crate::config::query::{Query, WATERMARK};
use crate::error::{Context as _, Error, Place, Result, did_you_mean};
use crate::moment;
use crate::remote::database::{Connected, connect_to_read};
use crate::remote::tunnel::Tunnel;
use crate::remote::{check_allowed, wait};

/// Bytes of rows that are looked at where columns do not say what they hold.
const SAMPLE: usize = 16 << 20;

/// Time between two looks at whether rows are still wanted.
const LOOK: Duration = Duration::from_millis(20);

/// A query that is open.
pub(super) struct Database {
    shared: Arc<Shared>,
}

/// What reads of it share.
struct Shared {
    connection: Connection,
    tunnel: Option<SshTunnel>,
    root: PathBuf,
    place: Place,
    timeout_seconds: Option<u64>,
    sql: Sql,
    columns: Vec<Described>,
    key: Option<Key>,
    since: Option<Condition>,
    limit: Option<u64>,
    reader: Arc<Reader>,
    /// Whether nobody wants rows any more.
    stopped: AtomicBool,
}

/// Reads a value in the words of its database.
fn read_cell<'a>(dialect: Dialect, kind: &Kind, bytes: &'a [u8]) -> Result<Cell<'a>, Misfit> {
    match dialect {
        Dialect::Postgres => postgres::cell(kind, bytes),
        Dialect::Mysql => mysql::cell(kind, bytes),
        #[cfg(feature = "odbc")]
        Dialect::Mssql | Dialect::Oracle => odbc::cell(kind, bytes),
        _ => sqlite::cell(kind, bytes),
    }
}

impl Database {
    /// Connects and finds out what columns a query has.
    ///
    /// # Errors
    /// Config, where the query or what belongs to it cannot be; outside, where the database does not answer.
    pub(super) fn open(source: &DatabaseSource, reading: &Reading, options: ReadOptions, surroundings: &Surroundings<'_>) -> Result<Self> {
        let DatabaseSource { query, params, cursor_field: _, statement_timeout, connection_string, ssh_tunnel, place } = source;
        let dialect = connection_string.dialect;
        check_allowed(connection_string, ssh_tunnel.as_ref(), surroundings.root, surroundings.network)?;
        let wrong = |message: String| Error::config(message).at(place.clone());
        let parsed = Query::parse(query, dialect).map_err(|what| wrong(format!("`query` {what}")))?;
        let value = |name: &str| match surroundings.params.get(name).filter(|value| !value.is_null()) {
            Some(value) => Some(value.clone()),
            None if params.contains_key(name) => params.get(name).cloned(),
            None if name == WATERMARK && surroundings.since.is_some() => Some(likely(dialect, &surroundings.since)),
            None => surroundings.params.get(name).cloned(),
        };
        let mut sql = Sql::new(&parsed, dialect, &value).map_err(|error| error.at(place.clone()))?;
        let title: Arc<str> = connection_string.to_string().into();
        let timeout_seconds = statement_timeout.map(std::num::NonZeroU64::get);
        let asked = Asked { dialect, title: &title, place, timeout_seconds };
        let (mut connected, _tunnel) = wait(connect_to_read(connection_string, ssh_tunnel.as_ref(), surroundings.root))?;
        let mut columns = wait(async {
            match &mut connected {
                Connected::Postgres(connection) => postgres::describe(connection, &mut sql, &asked).await,
                Connected::Mysql(connection) => mysql::describe(connection, &sql, &asked).await,
                Connected::Sqlite(connection) => sqlite::describe(connection, &sql, &asked).await,
                #[cfg(feature = "odbc")]
                Connected::Odbc(session) => odbc::describe(session, &sql, &asked),
            }
        })?;
        if columns.is_empty() {
            let error = wrong("`query` answers no rows: it has no columns".into());
            return Err(error.hint("a source only reads: write a `SELECT`; tables are changed by `load.yaml`"));
        }
        let names = unique_names(columns.iter().map(|column| column.name.clone()).collect(), &title);
        columns.iter_mut().zip(names).for_each(|(column, name)| column.name = name);
        for name in reading.schema.keys() {
            index_of(&columns, name, "`schema` pins").map_err(|error| error.at(place.clone()))?;
        }
        if let Connected::Sqlite(connection) = &mut connected {
            wait(infer(connection, &sql, &mut columns, reading.infer_rows.get(), &asked))?;
        }
        pin(dialect, &mut columns, reading);
        let kinds: Vec<Kind> = columns.iter().map(|column| column.kind.clone().unwrap_or(Kind::Text)).collect();
        let targets = columns.iter().zip(&kinds).map(|(column, kind)| (column.name.clone(), Target::Declared(kind.data_type()))).collect();
        // What a column holds is no guess that a later `convert` would want undone.
        let options = ReadOptions { as_text: Vec::new(), ..options };
        let layout = Layout::of_targets(targets, &FileSource::of(""), reading, &options)?;
        let places = layout.columns.iter().map(|column| index_of(&columns, &column.name, "the layout has"));
        let places = places.collect::<Result<Vec<usize>>>()?;
        let key = key(source, &surroundings.since, &columns)?;
        check_order(&surroundings.since, reading, &layout, &columns).map_err(|error| error.at(place.clone()))?;
        let since = since(&surroundings.since, &layout, &columns, &mut sql)?;
        if dialect == Dialect::Mssql && (key.is_some() || since.is_some()) && sql.starts_with_with() {
            let message = "the query starts with `WITH`, which SQL Server does not take within the query that orders its rows";
            return Err(wrong(message.into())
                .hint("make it a view, or write it without `WITH`; without `cursor_field` and `incremental` it runs as it is"));
        }
        let limit = [options.limit, reading.max_records].into_iter().flatten().min();
        let shared = Shared {
            connection: connection_string.clone(),
            tunnel: ssh_tunnel.clone(),
            root: surroundings.root.to_owned(),
            place: place.clone(),
            timeout_seconds,
            sql,
            columns,
            key,
            since,
            limit,
            reader: Arc::new(Reader { dialect, kinds, layout, columns: places, title }),
            stopped: AtomicBool::new(false),
        };
        Ok(Self { shared: Arc::new(shared) })
    }
}

/// What the watermark probably is, whose type is known only once that of its column is: what MySQL makes of a column may depend on it.
fn likely(dialect: Dialect, since: &Option<Since<'_>>) -> serde_json::Value {
    let mark = since.as_ref().and_then(|since| since.reached.or(since.incremental.initial_value.as_deref()));
    match mark.filter(|_| dialect == Dialect::Mysql).map(|mark| (mark.parse::<i64>(), mark)) {
        None => serde_json::Value::Null,
        Some((Ok(number), _)) => number.into(),
        Some((Err(_), text)) => text.into(),
    }
}

/// The index of a column.
fn index_of(columns: &[Described], name: &str, who: &str) -> Result<usize> {
    columns.iter().position(|column| column.name == name).ok_or_else(|| {
        let names = columns.iter().map(|column| column.name.as_str());
        let error = Error::config(format!("{who} `{name}`, but the query has no such column"));
        match did_you_mean(name, names.clone()) {
            Some(near) => error.hint(format!("did you mean `{near}`?")),
            None => error.hint(format!("it has {}", names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "))),
        }
    })
}

/// Lets `schema` say what is read where the database can make it without loss.
fn pin(dialect: Dialect, columns: &mut [Described], reading: &Reading) {
    for column in columns {
        column.has_own_order |= column.kind.as_ref().is_some_and(|kind| kind.data_type().is_numeric() || kind == &Kind::Bool);
        match (reading.schema.get(&column.name), dialect) {
            (Some(Type::Decimal { precision, scale }), _) if column.is_numeric => {
                column.kind = Some(Kind::Decimal(*precision, *scale));
                column.cast = None;
            }
            (Some(Type::String), Dialect::Postgres) if column.kind != Some(Kind::Text) => {
                column.kind = Some(Kind::Text);
                column.cast = Some("text".into());
            }
            (Some(Type::String), Dialect::Mysql) if column.kind != Some(Kind::Text) => {
                column.kind = Some(Kind::Text);
                column.cast = Some("CHAR".into());
            }
            // Any value of it but bytes is one; a driver of ODBC makes a text of whatever it reads.
            (Some(Type::String), Dialect::Sqlite | Dialect::Mssql | Dialect::Oracle) => column.kind = Some(Kind::Text),
            _ => {}
        }
    }
}

/// Looks at the first rows where columns do not say what they hold.
async fn infer(
    connection: &mut sqlx::SqliteConnection,
    sql: &Sql,
    columns: &mut [Described],
    rows: usize,
    asked: &Asked<'_>,
) -> Result<()> {
    if !columns.iter().any(|column| sqlite::is_open(column.kind.as_ref())) {
        return Ok(());
    }
    let (text, binds) = sql.statement(columns, None, &[]);
    let (chunks, sample) = sync_channel(1);
    let (_wanted, gone) = oneshot::channel();
    let mut fill = Fill {
        sizes: Sizes { batch_rows: rows, exact: false, chunk_bytes: SAMPLE },
        width: columns.len(),
        position: Position::default(),
        left: rows as u64,
        follower: None,
        key: None,
        row_timeout: asked.timeout_seconds.map(Duration::from_secs),
        chunks,
        is_sample: true,
        gone,
    };
    sqlite::rows(connection, &text, binds, &mut fill).await.map_err(|error| asked.failed(&text, &error))?;
    let raw = match sample.try_recv() {
        Ok(sample) => sample?.map(|(raw, ..)| raw),
        Err(_) => None,
    };
    let raw = raw.unwrap_or_else(|| Raw::new(columns.len()));
    for (index, column) in columns.iter_mut().enumerate().filter(|(_, column)| sqlite::is_open(column.kind.as_ref())) {
        let values = (0..raw.rows()).filter_map(|row| raw.cell(row, index));
        column.kind = Some(sqlite::inferred(column.kind.as_ref(), values));
    }
    Ok(())
}

/// The column that rows are ordered by.
fn key(source: &DatabaseSource, since: &Option<Since<'_>>, columns: &[Described]) -> Result<Option<Key>> {
    let (name, is_asked) = match (&source.cursor_field, since) {
        (Some(name), _) => (name, true),
        (None, Some(since)) => (&since.incremental.cursor_field, false),
        (None, None) => return Ok(None),
    };
    let index = match index_of(columns, name, "`cursor_field` is") {
        Ok(index) => index,
        // Of `incremental.cursor_field` others tell.
        Err(error) if is_asked => return Err(error.at(source.place.clone())),
        Err(_) => return Ok(None),
    };
    match KeyColumn::of(source.connection_string.dialect, index, &columns[index]) {
        Some(column) => Ok(Some(Key { column })),
        None if is_asked => {
            let kind = columns[index].kind.as_ref().map_or("unknown".into(), |kind| kind.data_type().to_string());
            let message = format!("`cursor_field` is `{name}`, which is {kind}, but rows cannot be found again by that");
            let hint = match source.connection_string.dialect.is_odbc() {
                true => "it must be a whole number, a decimal with precision and scale, a day or a time",
                false => "it must be a whole number, a decimal with precision and scale, a day, a time, a UUID or a text",
            };
            Err(Error::config(message).at(source.place.clone()).hint(hint))
        }
        None => Ok(None),
    }
}

/// Refuses to follow texts of what is none: rows with 10 would be left out behind a 9.
fn check_order(since: &Option<Since<'_>>, reading: &Reading, layout: &Layout, columns: &[Described]) -> Result<()> {
    let Some(Since { incremental, .. }) = since else { return Ok(()) };
    let name = &incremental.cursor_field;
    let is_text = layout.schema.field_with_name(name).is_ok_and(|field| field.data_type() == &DataType::Utf8);
    match columns.iter().find(|column| is_text && column.name == *name && column.has_own_order) {
        None => Ok(()),
        Some(column) => Err(Error::config(format!(
            "`incremental.cursor_field` is `{name}`, which is no text but is read as one, so that its values would be compared letter by letter"
        ))
        .hint(if column.is_numeric {
            format!("pin how many digits it has: `schema: {{{name}: \"decimal(38,9)\"}}`")
        } else if reading.schema.contains_key(name) {
            format!("leave `{name}` out of `schema`, which makes a text of it")
        } else {
            "let the query make a number, a day, a time or a text of it".into()
        })),
    }
}

/// Which rows an earlier run has loaded for certain: where the query does not ask for the watermark itself, it is asked around it.
fn since(since: &Option<Since<'_>>, layout: &Layout, columns: &[Described], sql: &mut Sql) -> Result<Option<Condition>> {
    let Some(Since { incremental, reached }) = since else { return Ok(None) };
    let Ok(field) = layout.schema.field_with_name(&incremental.cursor_field) else { return Ok(None) };
    let Some(start) = incremental::start(incremental, *reached, field.data_type())? else { return Ok(None) };
    let whole = field.data_type().is_integer();
    let value = match (whole, start.parse::<i64>()) {
        (true, Ok(number)) => serde_json::Value::from(number),
        _ => serde_json::Value::from(start),
    };
    if sql.set(WATERMARK, Bind::from(&value)) {
        return Ok(None);
    }
    // Of texts that are times a database compares the bytes, which do not tell which is later.
    if value.as_str().is_some_and(|start| *field.data_type() == DataType::Utf8 && moment::nanoseconds(start).is_some()) {
        return Ok(None);
    }
    let Some(index) = columns.iter().position(|column| column.name == incremental.cursor_field) else { return Ok(None) };
    let is_plain = columns[index].kind.as_ref().is_some_and(|kind| kind.data_type() == *field.data_type());
    let column = KeyColumn::of(sql.dialect(), index, &columns[index])
        .filter(|column| is_plain && whole == value.is_number() && column.is_stored_as_read(sql.dialect()));
    Ok(column.map(|column| Condition { column, from: Some(value), or_null: true }))
}

impl Source for Database {
    fn schema(&self) -> SchemaRef {
        self.shared.reader.layout.schema.clone()
    }

    fn splits(&self, _target: NonZeroUsize) -> Result<Vec<Split>> {
        Ok(vec![Split { index: 0, files: vec![self.shared.reader.title.to_string()] }])
    }

    fn view(&self, _as_text: &[String], converted: &[String]) -> View {
        // What a column holds is no guess that a later `convert` would want undone.
        View(Arc::new(self.shared.reader.layout.asked_for(&[], converted)))
    }

    fn read(&self, _split: &Split, from: Option<&Position>) -> Result<Chunks> {
        let from = from.filter(|from| from.row > 0 || from.cursor.is_some());
        let cursor = from.map(|from| self.shared.cursor(from)).transpose()?;
        Ok(Box::new(self.shared.clone().start(from.cloned().unwrap_or_default(), cursor)?))
    }

    fn stop(&self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
    }
}

impl Shared {
    /// The place at which to go on.
    fn cursor(&self, from: &Position) -> Result<Cursor> {
        let rows = from.row;
        let refused = |message: String, hint: &str| Err(Error::config(message).at(self.place.clone()).hint(hint));
        match (&self.key, from.cursor.as_deref()) {
            (None, _) => {
                let hint = "a `cursor_field` lets reading go on behind the last row: name a column whose values tell rows apart";
                refused(format!("the query cannot be read on behind row {rows}, since it has no `cursor_field`"), hint)
            }
            (Some(_), None | Some(Position::NOWHERE)) => {
                let hint = "take a `cursor_field` of which fewer rows share a value, such as the primary key";
                refused(
                    format!("the query cannot be read on behind row {rows}, in the midst of many with one value of the `cursor_field`"),
                    hint,
                )
            }
            (Some(_), Some(cursor)) => serde_json::from_str(cursor).outside(|| "the position in the query does not read".into()),
        }
    }

    /// Starts to read, on a thread of its own.
    fn start(self: Arc<Self>, position: Position, cursor: Option<Cursor>) -> Result<Incoming> {
        let (send, chunks) = sync_channel(1);
        let (wanted, gone) = oneshot::channel();
        let left = self.limit.map_or(u64::MAX, |limit| limit.saturating_sub(position.row));
        let mut conditions: Vec<Condition> = self.since.iter().cloned().collect();
        conditions.extend(self.key.as_ref().zip(cursor.as_ref()).and_then(|(key, cursor)| key.behind(self.reader.dialect, cursor)));
        let mut fill = Fill {
            sizes: Sizes::of(&self.reader.layout),
            width: self.columns.len(),
            position,
            left,
            follower: self.key.clone().map(|key| Follower::new(key, self.reader.dialect, cursor)),
            key: self.key.as_ref().map(|key| key.column.index),
            row_timeout: (self.reader.dialect == Dialect::Sqlite).then(|| self.timeout_seconds.map(Duration::from_secs)).flatten(),
            chunks: send,
            is_sample: false,
            gone,
        };
        let shared = self.clone();
        let read = move || {
            let done = if fill.left > 0 { wait(shared.read(&conditions, &mut fill)) } else { Ok(()) };
            // Nobody listens any more where rows are no longer wanted.
            fill.chunks.send(done.map(|()| None)).ok();
        };
        thread::Builder::new().name("etl-query".into()).spawn(read).outside(|| "starting a thread".into())?;
        Ok(Incoming { shared: self, chunks, _wanted: wanted, ended: false })
    }

    async fn read(&self, conditions: &[Condition], fill: &mut Fill) -> Result<()> {
        let (sql, binds) = self.sql.statement(&self.columns, self.key.as_ref(), conditions);
        let (mut connected, tunnel) = connect_to_read(&self.connection, self.tunnel.as_ref(), &self.root).await?;
        let title = &*self.reader.title;
        let asked = Asked { dialect: self.reader.dialect, title, place: &self.place, timeout_seconds: self.timeout_seconds };
        let fault = || tunnel.as_ref().and_then(Tunnel::fault);
        let broken = |fault: String| Error::outside(format!("`{title}` could not be read")).because(anyhow::anyhow!(fault));
        let timeout_ms = self.timeout_seconds.map(|seconds| seconds.saturating_mul(1000));
        let read = match &mut connected {
            Connected::Postgres(connection) => postgres::rows(connection, &sql, binds, timeout_ms, fill).await,
            Connected::Mysql(connection) => mysql::rows(connection, &sql, binds, &self.reader.kinds, timeout_ms, fill).await,
            Connected::Sqlite(connection) => sqlite::rows(connection, &sql, binds, fill).await,
            #[cfg(feature = "odbc")]
            Connected::Odbc(session) => {
                let columns = odbc::Columns { described: &self.columns, kinds: &self.reader.kinds };
                return odbc::rows(session, &sql, &binds, &columns, &asked, fill).map_err(|error| fault().map_or(error, broken));
            }
        };
        read.map_err(|error| fault().map_or_else(|| asked.failed(&sql, &error), broken))
    }
}

/// Chunks as they come.
struct Incoming {
    shared: Arc<Shared>,
    chunks: Receiver<Result<Option<Filled>>>,
    /// Dropped where no more are wanted, which ends the connection.
    _wanted: oneshot::Sender<()>,
    ended: bool,
}

impl Iterator for Incoming {
    type Item = Result<Box<dyn Chunk>>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.wait().transpose()?;
        self.ended |= next.is_err();
        let rows = next.map(|(raw, first, next)| Rows { raw: Arc::new(raw), first, next, reader: self.shared.reader.clone() });
        Some(rows.map(|rows| Box::new(rows) as Box<dyn Chunk>))
    }
}

impl Incoming {
    fn wait(&mut self) -> Result<Option<Filled>> {
        while !self.ended {
            match self.chunks.recv_timeout(LOOK) {
                Ok(next) => {
                    let next = next?;
                    self.ended = next.is_none();
                    return Ok(next);
                }
                Err(RecvTimeoutError::Timeout) if self.shared.stopped.load(Ordering::Relaxed) => {
                    return Err(Error::outside("stopped while the database was at work"));
                }
                Err(RecvTimeoutError::Timeout) => {}
                // It says so where it ends.
                Err(RecvTimeoutError::Disconnected) => return Err(Error::bug("the thread that reads the query has panicked")),
            }
        }
        Ok(None)
    }
}
