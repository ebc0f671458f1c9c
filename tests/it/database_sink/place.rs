//! A database of each kind, real and empty.

use std::path::PathBuf;

use rusqlite::fallible_iterator::FallibleIterator;
use rusqlite::types::ValueRef;
use tempfile::TempDir;

use crate::servers::{mariadb, postgres};

/// What speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Postgres,
    Mariadb,
    Sqlite,
}

/// A database.
pub(super) enum Place {
    Postgres(postgres::Database),
    Mariadb(mariadb::Database),
    Sqlite(TempDir),
}

/// One of each kind that the machine has.
pub(super) fn every() -> Vec<Place> {
    let sqlite = Some(Place::Sqlite(TempDir::with_prefix("sqlite").unwrap()));
    let servers = [postgres::Database::new().map(Place::Postgres), mariadb::Database::new().map(Place::Mariadb), sqlite];
    servers.into_iter().flatten().collect()
}

impl Place {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Postgres(_) => Kind::Postgres,
            Self::Mariadb(_) => Kind::Mariadb,
            Self::Sqlite(_) => Kind::Sqlite,
        }
    }

    /// Its URL.
    pub(super) fn url(&self) -> String {
        match self {
            Self::Postgres(database) => database.url(),
            Self::Mariadb(database) => database.url(),
            Self::Sqlite(_) => format!("sqlite:///{}", self.file().display()),
        }
    }

    fn file(&self) -> PathBuf {
        let Self::Sqlite(folder) = self else { panic!("it is no file") };
        folder.path().join("data.db")
    }

    /// Runs SQL; answers rows as `a|b`, a line each, null as nothing.
    pub(super) fn sql(&self, sql: &str) -> String {
        match self {
            Self::Postgres(database) => database.sql(sql),
            Self::Mariadb(database) => {
                let lines = database.sql(sql);
                let value = |value: &str| if value == "NULL" { String::new() } else { value.to_owned() };
                lines.lines().map(|line| line.split('\t').map(value).collect::<Vec<_>>().join("|") + "\n").collect()
            }
            Self::Sqlite(_) => self.sqlite(sql),
        }
    }

    fn sqlite(&self, sql: &str) -> String {
        let connection = rusqlite::Connection::open(self.file()).unwrap();
        let (mut answer, mut batch) = (String::new(), rusqlite::Batch::new(&connection, sql));
        while let Some(mut statement) = batch.next().unwrap() {
            let columns = statement.column_count();
            let mut rows = statement.query(()).unwrap();
            while let Some(row) = rows.next().unwrap() {
                let value = |index| match row.get_ref(index).unwrap() {
                    ValueRef::Null => String::new(),
                    ValueRef::Integer(number) => number.to_string(),
                    ValueRef::Real(number) => number.to_string(),
                    ValueRef::Text(text) | ValueRef::Blob(text) => String::from_utf8_lossy(text).into_owned(),
                };
                answer += &((0..columns).map(value).collect::<Vec<_>>().join("|") + "\n");
            }
        }
        answer
    }
}
