//! A query as a source, against real servers and real files.

mod errors;
pub(crate) mod interrupted;
mod newer;
mod parameters;
mod streaming;
mod types;

use std::path::Path;

use serde_json::{Value, json};
use sqlx::Connection as _;
use tempfile::TempDir;

use crate::servers::{mariadb, postgres};
use crate::support::{Answer, Pipeline};

/// A database of any kind.
pub(crate) enum Base {
    Postgres(postgres::Database),
    Mariadb(mariadb::Database),
    Sqlite(TempDir),
}

impl Base {
    /// One of each kind that there is here.
    pub(crate) fn all() -> Vec<Self> {
        let servers = [postgres::Database::new().map(Self::Postgres), mariadb::Database::new().map(Self::Mariadb)];
        servers.into_iter().flatten().chain([Self::sqlite()]).collect()
    }

    pub(crate) fn sqlite() -> Self {
        let base = Self::Sqlite(TempDir::new().unwrap());
        base.sql("CREATE TABLE nobody (id INTEGER)");
        base
    }

    pub(crate) fn url(&self) -> String {
        match self {
            Self::Postgres(database) => database.url(),
            Self::Mariadb(database) => database.url(),
            Self::Sqlite(folder) => format!("sqlite:///{}", folder.path().join("data.db").display()),
        }
    }

    pub(crate) fn sql(&self, sql: &str) {
        match self {
            Self::Postgres(database) => drop(database.sql(sql)),
            Self::Mariadb(database) => drop(database.sql(sql)),
            Self::Sqlite(folder) => sqlite(&folder.path().join("data.db"), sql),
        }
    }

    /// A name of it for messages.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Postgres(_) => "PostgreSQL",
            Self::Mariadb(_) => "MariaDB",
            Self::Sqlite(_) => "SQLite",
        }
    }

    /// A pipeline that asks it for the rows of a query, with more keys.
    pub(crate) fn pipeline(&self, query: &str, more: &Value) -> Pipeline {
        pipeline(&self.url(), query, more)
    }

    /// The rows of a query.
    pub(crate) fn rows(&self, query: &str, more: &Value) -> Vec<Value> {
        let pipeline = self.pipeline(query, more);
        pipeline.run(0);
        rows(&pipeline)
    }

    /// A table `t` of whole numbers from 1 on.
    pub(crate) fn fill(&self, rows: u64) {
        let numbers = match self {
            Self::Postgres(_) => format!("SELECT n, 'row ' || n FROM generate_series(1, {rows}) AS s(n)"),
            Self::Mariadb(_) => format!("SELECT seq, concat('row ', seq) FROM seq_1_to_{rows}"),
            Self::Sqlite(_) => format!(
                "SELECT n, 'row ' || n FROM (WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s LIMIT {rows}) SELECT n FROM s)"
            ),
        };
        self.sql("CREATE TABLE t (id bigint PRIMARY KEY, text varchar(100))");
        self.sql(&format!("INSERT INTO t {numbers}"));
    }
}

/// Runs SQL on a SQLite file.
pub(crate) fn sqlite(file: &Path, sql: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(file).create_if_missing(true);
        let mut connection = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    });
}

/// A pipeline that asks a database for the rows of a query, with more keys.
pub(crate) fn pipeline(url: &str, query: &str, more: &Value) -> Pipeline {
    let mut extract = json!({"type": "database", "connection_string": url, "query": query});
    extract.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    Pipeline::new().with("extract.yaml", extract.to_string()).with("load.yaml", "type: file\npath: out.jsonl\n")
}

/// The rows that a pipeline wrote.
pub(crate) fn rows(pipeline: &Pipeline) -> Vec<Value> {
    pipeline.read("out.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub(crate) fn run(pipeline: &Pipeline, arguments: &[&str]) -> Answer {
    pipeline.answer(&[&["run", "--quiet"], arguments].concat())
}
