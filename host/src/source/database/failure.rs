//! What goes wrong with a query, and what to do about it.

use sqlx::error::DatabaseError;
use sqlx::mysql::MySqlDatabaseError;
use sqlx::postgres::{PgDatabaseError, PgErrorPosition};

use crate::config::database::Dialect;
use crate::error::{Error, Fault, Place};
use crate::remote::database::told;

/// What was asked, for messages.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    pub(super) dialect: Dialect,
    /// The database, without its password.
    pub(super) title: &'a str,
    /// Where the query stands.
    pub(super) place: &'a Place,
    /// Whether it has an end that the user set.
    pub(super) timeout_seconds: Option<u64>,
}

/// What kind of failure it is.
enum Cause {
    /// The query says what cannot be.
    Query,
    /// It names what is not there.
    Missing,
    /// The user may not.
    Forbidden,
    /// It changes something.
    Writes,
    /// It took too long.
    Slow,
    /// A value cannot be what the query makes of it.
    Value,
    /// Somebody else holds the file.
    Busy,
    /// A column has a type that the driver does not know.
    Strange,
    /// A column has another type than was described.
    Changed,
    /// The database or the way to it failed.
    Outside,
}

/// A column's type is another one than was described.
#[derive(Debug)]
pub(super) struct Unlike {
    /// Its number, from 1.
    pub(super) column: usize,
    pub(super) taken_for: String,
    pub(super) sent: String,
}

impl std::fmt::Display for Unlike {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { column, taken_for, sent } = self;
        write!(f, "column {column} was described as {taken_for}, but is sent as {sent}")
    }
}

impl std::error::Error for Unlike {}

impl Asked<'_> {
    /// Says why a statement failed; `sql` is its text, empty where it is not the user's.
    pub(super) fn failed(&self, sql: &str, error: &sqlx::Error) -> Error {
        let database = error.as_database_error();
        let cause = match error {
            sqlx::Error::PoolTimedOut => Cause::Slow,
            sqlx::Error::ColumnDecode { source, .. } if source.is::<Unlike>() => Cause::Changed,
            // The driver knows no multiranges.
            sqlx::Error::ColumnDecode { .. } if error.to_string().contains("unknown type code") => Cause::Strange,
            _ => database.map_or(Cause::Outside, |error| self.cause(error)),
        };
        let near = database.and_then(|error| near(sql, error)).unwrap_or_default();
        let source = match error {
            sqlx::Error::PoolTimedOut => None,
            sqlx::Error::ColumnDecode { source, .. } if source.is::<Unlike>() => Some(anyhow::anyhow!("{source}")),
            error => Some(told(error)),
        };
        let own = database.and_then(|error| error.try_downcast_ref::<PgDatabaseError>()).and_then(PgDatabaseError::hint);
        self.explained(&cause, &near, source, own)
    }

    /// Says why a statement failed that was sent by ODBC.
    #[cfg(feature = "odbc")]
    pub(super) fn failed_by_odbc(&self, told: crate::remote::odbc::Told) -> Error {
        let cause = match (told.state.as_str(), told.number) {
            // What SQL Server and Oracle call a permission that is missing.
            ("42501", _) | (_, 229 | 230 | 1031) => Cause::Forbidden,
            ("25006", _) => Cause::Writes,
            ("HYT00" | "HYT01" | "57014" | "S1T00", _) | (_, 1013) => Cause::Slow,
            ("42S02" | "42S22" | "42P01" | "42703" | "42883" | "S0002" | "S0022", _) => Cause::Missing,
            _ if told.message.contains("no such ") => Cause::Missing,
            (state, _) if ["42", "37", "07"].iter().any(|class| state.starts_with(class)) => Cause::Query,
            (state, _) if state.starts_with("22") => Cause::Value,
            _ => Cause::Outside,
        };
        self.explained(&cause, "", Some(anyhow::anyhow!(told.message)), None)
    }

    /// Says that a query was not done in time.
    #[cfg(feature = "odbc")]
    pub(super) fn slow(&self) -> Error {
        self.explained(&Cause::Slow, "", None, None)
    }

    fn explained(&self, cause: &Cause, near: &str, source: Option<anyhow::Error>, own_hint: Option<&str>) -> Error {
        let title = self.title;
        let (fault, message, hint) = match cause {
            Cause::Query => (Fault::Config, format!("the query does not run on `{title}`{near}"), None),
            Cause::Missing => {
                let hint = "is the name right, with its schema, and does it stand in this database?";
                (Fault::Config, format!("the query names what `{title}` does not have{near}"), Some(hint.to_owned()))
            }
            Cause::Forbidden => {
                let hint = "the database's administrator can grant `SELECT` on it";
                (Fault::Config, format!("the user may not run the query on `{title}`"), Some(hint.to_owned()))
            }
            Cause::Writes => {
                let hint = "a source only reads: write a `SELECT`; tables are changed by `load.yaml`";
                (Fault::Config, format!("the query would change `{title}`"), Some(hint.to_owned()))
            }
            Cause::Slow => {
                let limit = self.timeout_seconds.map_or_else(String::new, |seconds| format!(" after {seconds} s (`statement_timeout`)"));
                let of_url = match (self.timeout_seconds, self.dialect) {
                    (None, Dialect::Postgres) => ", which goes before `options[statement_timeout]` of the URL",
                    _ => "",
                };
                let hint = format!("raise `statement_timeout` in extract.yaml{of_url}, or let the query find its rows by an index");
                (Fault::Config, format!("`{title}` ended the query{limit}"), Some(hint))
            }
            Cause::Value => (Fault::Config, format!("the query fails on a value in `{title}`{near}"), None),
            Cause::Busy => {
                let hint = "another program writes to the file: try later, or let it use `PRAGMA journal_mode = WAL`";
                (Fault::Outside, format!("`{title}` is locked"), Some(hint.to_owned()))
            }
            Cause::Strange => {
                let hint = "write it as text in the query: `column::text AS column`; multiranges are such types";
                (Fault::Config, format!("the query has a column of a type that cannot be read from `{title}`"), Some(hint.to_owned()))
            }
            Cause::Changed => {
                let hint =
                    "say in the query what it is: `CAST(… AS CHAR) AS name`; parameters such as `:n` alone have the type of their value";
                (Fault::Config, format!("the query has a column of which `{title}` changes the type once it runs"), Some(hint.to_owned()))
            }
            Cause::Outside => (Fault::Outside, format!("`{title}` could not be read"), None),
        };
        let mut failed = Error::new(fault, message);
        if let Some(source) = source {
            failed = failed.because(source);
        }
        if fault == Fault::Config && self.place.line > 0 {
            failed = failed.at(self.place.clone());
        }
        match hint.or_else(|| own_hint.map(ToOwned::to_owned)) {
            Some(hint) => failed.hint(hint),
            None => failed,
        }
    }

    fn cause(&self, error: &dyn DatabaseError) -> Cause {
        let code = error.code().unwrap_or_default();
        match self.dialect {
            Dialect::Postgres => match &*code {
                "42501" => Cause::Forbidden,
                "25006" => Cause::Writes,
                "57014" => Cause::Slow,
                "42P01" | "42703" | "42883" | "3F000" | "42704" => Cause::Missing,
                code if code.starts_with("42") || code.starts_with("0A") => Cause::Query,
                code if code.starts_with("22") => Cause::Value,
                _ => Cause::Outside,
            },
            Dialect::Mysql => match error.try_downcast_ref::<MySqlDatabaseError>().map_or(0, MySqlDatabaseError::number) {
                1792 => Cause::Writes,
                1969 | 3024 => Cause::Slow,
                1146 | 1054 | 1305 | 1109 | 1051 => Cause::Missing,
                1142 | 1143 | 1044 | 1370 | 1227 => Cause::Forbidden,
                _ if code.starts_with("42") => Cause::Query,
                _ if code.starts_with("22") => Cause::Value,
                _ => Cause::Outside,
            },
            // Extended codes have the plain one in their last byte.
            _ => match code.parse::<u32>().map(|code| code & 0xFF) {
                Ok(1) if error.message().starts_with("no such") => Cause::Missing,
                Ok(1) => Cause::Query,
                Ok(8) => Cause::Writes,
                Ok(5 | 6) => Cause::Busy,
                _ => Cause::Outside,
            },
        }
    }
}

/// Where in the query it is, in the database's own words.
fn near(sql: &str, error: &dyn DatabaseError) -> Option<String> {
    let position = match error.try_downcast_ref::<PgDatabaseError>()?.position()? {
        PgErrorPosition::Original(position) => position,
        PgErrorPosition::Internal { .. } => return None,
    };
    let (start, _) = sql.char_indices().nth(position.checked_sub(1)?)?;
    let line = sql[..start].matches('\n').count() + 1;
    let word: String = sql[start..].chars().take_while(|letter| !letter.is_whitespace()).take(40).collect();
    Some(format!(", on line {line} of it, near `{word}`"))
}
