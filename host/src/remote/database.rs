//! Connections to databases.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use sqlx::mysql::{MySqlConnectOptions, MySqlConnection};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection as _};

use crate::config::database::{Connection, Dialect};
use crate::error::{Error, Result};

/// A connection, in the words of who answers.
#[derive(Debug)]
pub enum Connected {
    /// PostgreSQL.
    Postgres(PgConnection),
    /// MySQL and MariaDB.
    Mysql(MySqlConnection),
    /// SQLite.
    Sqlite(SqliteConnection),
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nothing is changed; a SQLite file must be there.
    Read,
    /// Rows are written.
    Write,
}

/// Time that a database may take to answer at all.
const PATIENCE: Duration = Duration::from_secs(30);

/// Connects; `root` is what the path of a SQLite file starts at.
///
/// # Errors
/// Config, where the URL cannot be or nobody here speaks its dialect; outside, where the database does not answer or refuses us.
pub async fn connect(connection: &Connection, root: &Path) -> Result<Connected> {
    connect_for(Access::Write, connection, root).await
}

/// Connects as [`connect`] does, for what is to be done.
///
/// # Errors
/// As [`connect`].
pub async fn connect_for(access: Access, connection: &Connection, root: &Path) -> Result<Connected> {
    let wrong = |error: sqlx::Error| {
        Error::config(format!("`{connection}` is no address of a database"))
            .because(told(&error))
            .hint("write `scheme://user:password@host:port/name`; in user and password `@`, `/`, `:`, `#`, `?` and `%` are written as `%40` and so on")
    };
    let url = plain(connection)?;
    let connected = async {
        match connection.dialect {
            Dialect::Postgres => {
                let options = PgConnectOptions::from_str(&url).map_err(wrong)?.application_name("etl-host").disable_statement_logging();
                PgConnection::connect_with(&options).await.map(Connected::Postgres).map_err(|error| refused(connection, &error))
            }
            Dialect::Mysql => {
                let options = MySqlConnectOptions::from_str(&url).map_err(wrong)?.disable_statement_logging();
                MySqlConnection::connect_with(&options).await.map(Connected::Mysql).map_err(|error| refused(connection, &error))
            }
            Dialect::Sqlite => {
                let file = sqlite_file(connection, root)?;
                let options = SqliteConnectOptions::new().filename(&file).disable_statement_logging().read_only(access == Access::Read);
                let failed = |error| refused(connection, &error);
                SqliteConnection::connect_with(&options).await.map(Connected::Sqlite).map_err(failed)
            }
            Dialect::Mssql | Dialect::Oracle => Err(Error::config(format!("`{connection}` is not reached without ODBC"))),
        }
    };
    tokio::time::timeout(PATIENCE, connected).await.unwrap_or_else(|_| {
        let message = format!("`{connection}` did not answer within {} s", PATIENCE.as_secs());
        Err(Error::outside(message).hint("is the host right, and does a firewall let us through?"))
    })
}

/// Says why a database does not take us, and what to do about it.
fn refused(connection: &Connection, error: &sqlx::Error) -> Error {
    let failed = Error::outside(format!("cannot connect to `{connection}`")).because(told(error));
    let hint = match error {
        sqlx::Error::Database(error) => match (connection.dialect, error.code().as_deref()) {
            (Dialect::Postgres, Some("28P01" | "28000")) | (Dialect::Mysql, Some("28000")) => {
                "are user and password right? in a URL `@`, `/`, `:`, `#`, `?` and `%` within them are written as `%40` and so on"
            }
            (Dialect::Postgres, Some("3D000")) | (Dialect::Mysql, Some("42000")) => {
                "is the name of the database right, behind the last `/` of the URL, and may this user see it?"
            }
            (Dialect::Sqlite, Some("14")) => {
                "is the file there? `sqlite:///data.db` is relative to the pipeline's folder, `sqlite:////data.db` is not"
            }
            (Dialect::Sqlite, Some("26")) => "the file is no SQLite database",
            (Dialect::Postgres, Some("53300")) | (Dialect::Mysql, Some("08004")) => "the server has no free connection: try later",
            _ => return failed,
        },
        sqlx::Error::Tls(_) => {
            "the server offers no TLS, or none that we trust: `?sslmode=` says what is asked for, `&sslrootcert=` whom to trust"
        }
        sqlx::Error::Io(_) => "is the server running, and are host and port right?",
        _ => return failed,
    };
    failed.hint(hint)
}

/// The file of a SQLite database.
///
/// # Errors
/// Config, where the URL names none.
pub fn sqlite_file(connection: &Connection, root: &Path) -> Result<PathBuf> {
    let file = connection.sqlite_file().ok_or_else(|| {
        Error::config(format!("`{connection}` names no file")).hint("write `sqlite:///data.db` or `sqlite:////var/lib/data.db`")
    })?;
    Ok(root.join(file))
}

/// The URL in the words of our drivers: `postgresql+psycopg2://` is `postgresql://`, and options of Python's drivers are ours.
fn plain(connection: &Connection) -> Result<String> {
    let Some((scheme, rest)) = connection.url.split_once("://") else { return Ok(connection.url.clone()) };
    let scheme = scheme.split('+').next().unwrap_or(scheme).to_ascii_lowercase();
    let (address, query) = rest.split_once('?').unwrap_or((rest, ""));
    let mut options = Vec::new();
    for (name, value) in query.split('&').filter(|option| !option.is_empty()).map(|option| option.split_once('=').unwrap_or((option, ""))) {
        let plain = match (connection.dialect, name.to_ascii_lowercase().replace('_', "-").as_str()) {
            // Texts are always UTF-8 on the way; how long to wait is ours to say.
            (Dialect::Mysql, "charset" | "collation" | "use-unicode" | "autocommit") | (_, "connect-timeout" | "application-name") => {
                continue;
            }
            (Dialect::Mysql, "ssl") => match value.to_ascii_lowercase().as_str() {
                "true" | "1" => "ssl-mode=REQUIRED".into(),
                _ => "ssl-mode=DISABLED".into(),
            },
            (Dialect::Mysql, "ssl-disabled") if value.eq_ignore_ascii_case("true") => "ssl-mode=DISABLED".into(),
            (Dialect::Mysql, "ssl-disabled") => continue,
            (Dialect::Mysql, "unix-socket") => format!("socket={value}"),
            (Dialect::Mysql, "ssl-mode" | "sslmode") => format!("ssl-mode={}", value.to_ascii_uppercase().replace('-', "_")),
            (Dialect::Mysql, known @ ("ssl-ca" | "ssl-cert" | "ssl-key" | "socket" | "timezone" | "time-zone")) => {
                format!("{known}={value}")
            }
            (
                Dialect::Postgres,
                "sslmode" | "ssl-mode" | "sslrootcert" | "ssl-root-cert" | "ssl-ca" | "sslcert" | "ssl-cert" | "sslkey" | "ssl-key"
                | "host" | "hostaddr" | "port" | "dbname" | "user" | "password" | "options",
            ) => format!("{name}={value}"),
            (Dialect::Sqlite, _) => continue,
            _ => {
                let known = match connection.dialect {
                    Dialect::Mysql => "`ssl`, `ssl-mode`, `ssl-ca`, `ssl-cert`, `ssl-key`, `charset`, `socket`, `timezone`",
                    _ => {
                        "`sslmode`, `sslrootcert`, `sslcert`, `sslkey`, `host`, `port`, `dbname`, `user`, `password`, `options`, `connect_timeout`"
                    }
                };
                return Err(
                    Error::config(format!("`{connection}` has the option `{name}`, which is not known")).hint(format!("known are {known}"))
                );
            }
        };
        options.push(plain);
    }
    let mark = if options.is_empty() { "" } else { "?" };
    Ok(format!("{scheme}://{address}{mark}{}", options.join("&")))
}

/// What the database itself said, without what the driver wraps around it.
pub fn told(error: &sqlx::Error) -> anyhow::Error {
    match error {
        sqlx::Error::Database(error) => anyhow::anyhow!("{}", error.message()),
        other => anyhow::anyhow!("{other}"),
    }
}
