//! Connections to databases.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use sqlx::mysql::{MySqlConnectOptions, MySqlConnection};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection as _};

use super::tunnel::{Tunnel, through};
use crate::config::database::{Connection, Dialect, SshTunnel};
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

/// Connects; `root` is what the path of a SQLite file starts at. The tunnel must be kept for as long as the connection.
///
/// # Errors
/// Config, where the URL cannot be or nobody here speaks its dialect; outside, where the database does not answer or refuses us.
pub async fn connect(connection: &Connection, tunnel: Option<&SshTunnel>, root: &Path) -> Result<(Connected, Option<Tunnel>)> {
    let (reached, tunnel) = through(connection, tunnel, root).await?;
    Ok((open(&reached, root).await?, tunnel))
}

async fn open(connection: &Connection, root: &Path) -> Result<Connected> {
    let wrong = |error: sqlx::Error| Error::config(format!("`{connection}` is no address of a database")).because(told(&error));
    let refused = |error: sqlx::Error| Error::outside(format!("cannot connect to `{connection}`")).because(told(&error));
    let url = plain(&connection.url);
    match connection.dialect {
        Dialect::Postgres => {
            let options = PgConnectOptions::from_str(&url).map_err(wrong)?.application_name("etl-host").disable_statement_logging();
            PgConnection::connect_with(&options).await.map(Connected::Postgres).map_err(refused)
        }
        Dialect::Mysql => {
            let options = MySqlConnectOptions::from_str(&url).map_err(wrong)?.disable_statement_logging();
            MySqlConnection::connect_with(&options).await.map(Connected::Mysql).map_err(refused)
        }
        Dialect::Sqlite => {
            let options = SqliteConnectOptions::new().filename(sqlite_file(connection, root)?).disable_statement_logging();
            SqliteConnection::connect_with(&options).await.map(Connected::Sqlite).map_err(refused)
        }
        Dialect::Mssql | Dialect::Oracle => Err(Error::config(format!("`{connection}` is not reached without ODBC"))),
    }
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

/// The URL without the name of a Python driver: `postgresql+psycopg2://` is `postgresql://`.
fn plain(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) => format!("{}://{rest}", scheme.split('+').next().unwrap_or(scheme).to_ascii_lowercase()),
        None => url.to_owned(),
    }
}

/// What the database itself said, without what the driver wraps around it.
fn told(error: &sqlx::Error) -> anyhow::Error {
    match error {
        sqlx::Error::Database(error) => anyhow::anyhow!("{}", error.message()),
        other => anyhow::anyhow!("{other}"),
    }
}
