//! One connection at work, in the words that both databases understand.

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Column, Decode, Executor, Row as _, Type, TypeInfo, ValueRef};

/// A connection at work.
pub(in crate::state) enum Session<'a> {
    /// Of SQLite.
    Sqlite(&'a mut SqliteConnection),
    /// Of PostgreSQL.
    Postgres(&'a mut PgConnection),
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::state) enum Cell {
    /// A text, or none.
    Text(Option<String>),
    /// A whole number.
    Integer(i64),
    /// A number.
    Real(f64),
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(Some(text.to_owned()))
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(Some(text))
    }
}

impl From<&Option<String>> for Cell {
    fn from(text: &Option<String>) -> Self {
        Self::Text(text.clone())
    }
}

impl From<u64> for Cell {
    fn from(number: u64) -> Self {
        Self::Integer(number as i64)
    }
}

/// What a query answers, column by column.
#[derive(Debug)]
pub(in crate::state) struct Row(Vec<Cell>);

impl Row {
    /// Takes a text out; empty where it is none.
    pub(in crate::state) fn text(&mut self, column: usize) -> String {
        match &mut self.0[column] {
            Cell::Text(text) => text.take().unwrap_or_default(),
            other => panic!("column {column} of a query of ours is a text, not {other:?}"),
        }
    }

    /// A text that may be null.
    pub(in crate::state) fn optional_text(&mut self, column: usize) -> Option<String> {
        match &mut self.0[column] {
            Cell::Text(text) => text.take(),
            other => panic!("column {column} of a query of ours is a text, not {other:?}"),
        }
    }

    /// A whole number.
    pub(in crate::state) fn integer(&self, column: usize) -> i64 {
        match &self.0[column] {
            Cell::Integer(number) => *number,
            other => panic!("column {column} of a query of ours is a whole number, not {other:?}"),
        }
    }

    /// A number.
    pub(in crate::state) fn real(&self, column: usize) -> f64 {
        match &self.0[column] {
            Cell::Real(number) => *number,
            Cell::Integer(number) => *number as f64,
            other @ Cell::Text(_) => panic!("column {column} of a query of ours is a number, not {other:?}"),
        }
    }
}

impl Session<'_> {
    /// Whether this is PostgreSQL.
    pub(in crate::state) fn is_postgres(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }

    /// Runs a statement; answers the rows that it changed.
    pub(in crate::state) async fn execute(&mut self, sql: &str, cells: &[Cell]) -> sqlx::Result<u64> {
        match self {
            Self::Sqlite(connection) => {
                let query = cells.iter().fold(sqlx::query(AssertSqlSafe(sql)), |query, cell| match cell {
                    Cell::Text(text) => query.bind(text.clone()),
                    Cell::Integer(number) => query.bind(*number),
                    Cell::Real(number) => query.bind(*number),
                });
                query.execute(&mut **connection).await.map(|done| done.rows_affected())
            }
            Self::Postgres(connection) => bound(sql, cells).execute(&mut **connection).await.map(|done| done.rows_affected()),
        }
    }

    /// Asks a question.
    pub(in crate::state) async fn rows(&mut self, sql: &str, cells: &[Cell]) -> sqlx::Result<Vec<Row>> {
        match self {
            Self::Sqlite(connection) => {
                let query = cells.iter().fold(sqlx::query(AssertSqlSafe(sql)), |query, cell| match cell {
                    Cell::Text(text) => query.bind(text.clone()),
                    Cell::Integer(number) => query.bind(*number),
                    Cell::Real(number) => query.bind(*number),
                });
                query.fetch_all(&mut **connection).await?.iter().map(of_sqlite).collect()
            }
            Self::Postgres(connection) => bound(sql, cells).fetch_all(&mut **connection).await?.iter().map(of_postgres).collect(),
        }
    }

    /// Runs statements of ours that take no values.
    pub(super) async fn run(&mut self, sql: &'static str) -> sqlx::Result<()> {
        match self {
            Self::Sqlite(connection) => connection.execute(sqlx::raw_sql(sql)).await.map(|_| ()),
            Self::Postgres(connection) => connection.execute(sqlx::raw_sql(sql)).await.map(|_| ()),
        }
    }

    /// Which version of its tables a part has; 0 where it has none.
    pub(super) async fn version(&mut self, part: &str) -> sqlx::Result<usize> {
        if !self.is_postgres() {
            return Ok(self.rows("PRAGMA user_version", &[]).await?[0].integer(0) as usize);
        }
        // The tables of names are read, and not the functions that know them: what another server has made while this one waited for the
        // lock is news to those only once a table was opened.
        let there = "SELECT count(*) FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
            WHERE relname = 'versions' AND nspname = current_schema()";
        if self.rows(there, &[]).await?[0].integer(0) == 0 {
            return Ok(0);
        }
        let rows = self.rows("SELECT version FROM versions WHERE part = $1", &[part.into()]).await?;
        Ok(rows.first().map_or(0, |row| row.integer(0) as usize))
    }

    /// Notes which version the tables of a part have now.
    pub(super) async fn set_version(&mut self, part: &str, version: usize) -> sqlx::Result<()> {
        if !self.is_postgres() {
            // A pragma takes no parameter.
            return self.execute(&format!("PRAGMA user_version = {version}"), &[]).await.map(|_| ());
        }
        self.run("CREATE TABLE IF NOT EXISTS versions (part TEXT PRIMARY KEY, version BIGINT NOT NULL)").await?;
        let change = "INSERT INTO versions (part, version) VALUES ($1, $2) ON CONFLICT (part) DO UPDATE SET version = $2";
        self.execute(change, &[part.into(), Cell::Integer(version as i64)]).await.map(|_| ())
    }

    /// Waits until no other server changes tables; holds to the end of the transaction. A file is locked as a whole.
    pub(in crate::state) async fn lock_for_migration(&mut self, part: &str) -> sqlx::Result<()> {
        if self.is_postgres() {
            self.rows("SELECT pg_advisory_xact_lock(hashtextextended('etl-host tables ' || $1, 0))::text", &[part.into()]).await?;
        }
        Ok(())
    }
}

fn bound<'a>(sql: &'a str, cells: &'a [Cell]) -> sqlx::query::Query<'a, sqlx::Postgres, sqlx::postgres::PgArguments> {
    cells.iter().fold(sqlx::query(AssertSqlSafe(sql)), |query, cell| match cell {
        // It has no text with a NUL in it, which a message about a value may have.
        Cell::Text(text) => query.bind(text.as_ref().map(|text| text.replace('\0', "\u{FFFD}"))),
        Cell::Integer(number) => query.bind(*number),
        Cell::Real(number) => query.bind(*number),
    })
}

fn of_sqlite(row: &SqliteRow) -> sqlx::Result<Row> {
    let cell = |index: usize| {
        let value = row.try_get_raw(index)?;
        let kind = value.type_info().name().to_owned();
        Ok(match kind.as_str() {
            _ if value.is_null() => Cell::Text(None),
            "INTEGER" | "BOOLEAN" => Cell::Integer(row.try_get(index)?),
            "REAL" => Cell::Real(row.try_get(index)?),
            _ => Cell::Text(Some(row.try_get(index)?)),
        })
    };
    (0..row.columns().len()).map(cell).collect::<sqlx::Result<_>>().map(Row)
}

fn of_postgres(row: &PgRow) -> sqlx::Result<Row> {
    fn get<'r, T: Decode<'r, sqlx::Postgres> + Type<sqlx::Postgres>>(row: &'r PgRow, index: usize) -> sqlx::Result<T> {
        row.try_get(index)
    }
    let cell = |index: usize| {
        Ok(match row.column(index).type_info().name() {
            "INT8" => Cell::Integer(get(row, index)?),
            "INT4" => Cell::Integer(get::<i32>(row, index)?.into()),
            "FLOAT8" => Cell::Real(get(row, index)?),
            _ => Cell::Text(get(row, index)?),
        })
    };
    (0..row.columns().len()).map(cell).collect::<sqlx::Result<_>>().map(Row)
}
