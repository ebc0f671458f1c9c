//! Databases by ODBC, through the drivers that Debian has: those of PostgreSQL and SQLite stand for the two whose servers nobody may give away.

mod connect;
mod sink;
mod source;

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::database_source::{pipeline, sqlite};
use crate::servers::{postgres, skipped};
use crate::support::Pipeline;

/// A database with a driver of ODBC.
pub(crate) enum Base {
    Postgres(postgres::Database),
    Sqlite(TempDir),
}

/// Whether this machine has a driver.
fn has_driver(name: &str, package: &str) -> bool {
    let listed = Command::new("odbcinst").args(["-q", "-d", "-n", name]).output();
    let has = listed.is_ok_and(|listed| listed.status.success());
    if !has {
        skipped(&format!("ODBC driver `{name}`"), &format!("`apt-get install unixodbc odbcinst {package}` brings one"));
    }
    has
}

/// A connection string within a URL.
pub(crate) fn url(scheme: &str, string: &str) -> String {
    let encoded: String = string
        .bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect();
    format!("{scheme}:///?odbc_connect={encoded}")
}

impl Base {
    pub(crate) fn postgres() -> Option<Self> {
        if !has_driver("PostgreSQL Unicode", "odbc-postgresql") {
            return None;
        }
        postgres::Database::new().map(Self::Postgres)
    }

    pub(crate) fn sqlite() -> Option<Self> {
        if !has_driver("SQLite3", "libsqliteodbc") {
            return None;
        }
        let folder = TempDir::new().unwrap();
        sqlite(&folder.path().join("data.db"), "CREATE TABLE nobody (id INTEGER)");
        Some(Self::Sqlite(folder))
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

    /// The connection string.
    pub(crate) fn string(&self) -> String {
        match self {
            Self::Postgres(database) => {
                let url = database.url();
                let (place, name) = url.rsplit_once('/').unwrap();
                let port = place.rsplit_once(':').unwrap().1;
                format!("Driver={{PostgreSQL Unicode}};Server=127.0.0.1;Port={port};Database={name};UID=etl;PWD={{{}}}", postgres::PASSWORD)
            }
            Self::Sqlite(_) => format!("Driver=SQLite3;Database={};Timeout=10000", self.file().unwrap().display()),
        }
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
        let url = match self {
            Self::Postgres(database) => database.url(),
            Self::Sqlite(_) => format!("sqlite:///{}", self.file().unwrap().display()),
        };
        let pipeline = pipeline(&url, query, &serde_json::json!({}));
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
