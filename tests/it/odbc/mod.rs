//! Databases by ODBC, through the drivers that Debian has: those of PostgreSQL and SQLite stand for the two whose servers nobody may give away.

mod away;
mod connect;
mod sink;
mod source;

use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::database_source::{pipeline, sqlite};
pub(crate) use crate::servers::odbc::url;
use crate::servers::odbc::{has_driver, string};
use crate::servers::postgres;
use crate::support::Pipeline;

/// A database with a driver of ODBC.
pub(crate) enum Base {
    Postgres(postgres::Database),
    Sqlite(TempDir),
}

impl Base {
    pub(crate) fn postgres() -> Option<Self> {
        let database = postgres::Database::new()?;
        string(&database.url()).map(|_| Self::Postgres(database))
    }

    pub(crate) fn sqlite() -> Option<Self> {
        let base = Self::Sqlite(TempDir::new().unwrap());
        base.sql("CREATE TABLE nobody (id INTEGER)");
        string(&base.own_url()).map(|_| base)
    }

    pub(crate) fn all() -> Vec<Self> {
        [Self::postgres(), Self::sqlite()].into_iter().flatten().collect()
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Postgres(_) => "PostgreSQL",
            Self::Sqlite(_) => "SQLite",
        }
    }

    fn file(&self) -> Option<PathBuf> {
        match self {
            Self::Postgres(_) => None,
            Self::Sqlite(folder) => Some(folder.path().join("data.db")),
        }
    }

    /// Its URL for the program's own driver.
    fn own_url(&self) -> String {
        match self {
            Self::Postgres(database) => database.url(),
            Self::Sqlite(_) => format!("sqlite:///{}", self.file().unwrap().display()),
        }
    }

    /// The connection string.
    pub(crate) fn string(&self) -> String {
        string(&self.own_url()).expect("the driver is there")
    }

    /// Its URL, in the words of a dialect.
    pub(crate) fn url(&self, scheme: &str) -> String {
        url(scheme, &self.string())
    }

    pub(crate) fn sql(&self, sql: &str) {
        match self {
            Self::Postgres(database) => drop(database.sql(sql)),
            Self::Sqlite(_) => sqlite(&self.file().unwrap(), sql),
        }
    }

    /// A pipeline that asks it for the rows of a query, with more keys.
    pub(crate) fn pipeline(&self, query: &str, more: &Value) -> Pipeline {
        pipeline(&self.url("mssql"), query, more)
    }

    /// The rows of a query, by the program's own driver.
    pub(crate) fn rows(&self, query: &str) -> Vec<Value> {
        let pipeline = pipeline(&self.own_url(), query, &serde_json::json!({}));
        pipeline.run(0);
        crate::database_source::rows(&pipeline)
    }
}

/// Every file below a folder, as one text.
pub(crate) fn everything(folder: &Path) -> String {
    let mut all = String::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        all += &if path.is_dir() { everything(&path) } else { String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned() };
    }
    all
}
