//! Connections to databases.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::mysql::MySqlConnection;
use sqlx::postgres::PgConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection as _, Executor as _};

use super::delay::send_at_once;
use super::options;
use super::tunnel::{Tunnel, through};
use crate::config::database::{Connection, Dialect, SshTunnel};
use crate::error::{Error, Result};

/// Takes back what the driver asks of MySQL for itself: a query means what it means to the server's other clients.
const OWN_MODE: &str =
    "SET SESSION sql_mode = IF(FIND_IN_SET('IGNORE_SPACE', @@global.sql_mode), @@sql_mode, REPLACE(@@sql_mode, 'IGNORE_SPACE', ''))";

/// A connection, in the words of who answers.
#[derive(Debug)]
pub enum Connected {
    /// PostgreSQL.
    Postgres(PgConnection),
    /// MySQL and MariaDB.
    Mysql(MySqlConnection),
    /// SQLite.
    Sqlite(SqliteConnection),
    /// Microsoft SQL Server, Oracle, and whatever else has an ODBC driver.
    #[cfg(feature = "odbc")]
    Odbc(super::odbc::Session),
}

/// Connects; `root` is what the path of a SQLite file, of a certificate and of a key starts at. The tunnel must be kept for as long as
/// the connection.
///
/// # Errors
/// Config, where the URL cannot be, nobody here speaks its dialect, or we are not let in; outside, where the database does not answer.
pub async fn connect(connection: &Connection, tunnel: Option<&SshTunnel>, root: &Path) -> Result<(Connected, Option<Tunnel>)> {
    connect_for(false, connection, tunnel, root).await
}

/// Connects as [`connect`] does to a database of which nothing is to be changed: a SQLite file is opened so that it cannot be.
///
/// # Errors
/// As [`connect`].
pub async fn connect_to_read(connection: &Connection, tunnel: Option<&SshTunnel>, root: &Path) -> Result<(Connected, Option<Tunnel>)> {
    connect_for(true, connection, tunnel, root).await
}

async fn connect_for(
    reads_only: bool,
    connection: &Connection,
    tunnel: Option<&SshTunnel>,
    root: &Path,
) -> Result<(Connected, Option<Tunnel>)> {
    let (reached, tunnel) = through(connection, tunnel, root).await?;
    let connected = open(&reached, connection, root, reads_only).await.map_err(|error| match tunnel.as_ref().and_then(Tunnel::fault) {
        Some(fault) => Error::outside(format!("cannot connect to `{connection}`")).because(anyhow::anyhow!(fault)),
        None => error,
    })?;
    // The port is for this connection, not for whoever else is on this machine.
    if let Some(tunnel) = &tunnel {
        tunnel.close_door();
    }
    Ok((connected, tunnel))
}

/// Connects to `reached`, which a person knows as `named`.
async fn open(reached: &Connection, named: &Connection, root: &Path, reads_only: bool) -> Result<Connected> {
    match reached.dialect {
        Dialect::Postgres => {
            let (options, patience) = options::postgres(reached, root)?;
            let connected = in_time(patience, reached, named, PgConnection::connect_with(&options)).await?;
            send_at_once(options.get_port());
            Ok(Connected::Postgres(connected))
        }
        Dialect::Mysql => {
            let (options, patience) = options::mysql(reached, root)?;
            let connect = async {
                let mut connected = MySqlConnection::connect_with(&options).await?;
                if reads_only {
                    connected.execute(OWN_MODE).await?;
                }
                Ok(connected)
            };
            let connected = in_time(patience, reached, named, connect).await?;
            send_at_once(options.get_port());
            Ok(Connected::Mysql(connected))
        }
        Dialect::Sqlite => {
            let options =
                SqliteConnectOptions::new().filename(sqlite_file(reached, root)?).disable_statement_logging().read_only(reads_only);
            SqliteConnection::connect_with(&options).await.map(Connected::Sqlite).map_err(|error| refused(named, &error, reached != named))
        }
        #[cfg(feature = "odbc")]
        Dialect::Mssql | Dialect::Oracle => super::odbc::Session::open(reached, named, reads_only).map(Connected::Odbc),
        #[cfg(not(feature = "odbc"))]
        Dialect::Mssql | Dialect::Oracle => match named.check_reached() {
            Err(error) => Err(error),
            Ok(()) => Err(Error::bug("ODBC is not built in, but was asked for")),
        },
    }
}

async fn in_time<T>(
    patience: Duration,
    reached: &Connection,
    named: &Connection,
    work: impl Future<Output = sqlx::Result<T>>,
) -> Result<T> {
    match tokio::time::timeout(patience, work).await {
        Ok(connected) => connected.map_err(|error| refused(named, &error, reached != named)),
        Err(_) => Err(Error::outside(format!("`{named}` did not answer within {} s", patience.as_secs()))
            .hint("`?connect_timeout=…` in its URL gives it more seconds")),
    }
}

/// Whose fault it is that there is no connection: what we said of ourselves is wrong, or the database does not answer.
fn refused(named: &Connection, error: &sqlx::Error, tunnelled: bool) -> Error {
    let message = format!("cannot connect to `{named}`");
    let code = error.as_database_error().and_then(|error| error.code()).unwrap_or_default().into_owned();
    // User or password, database; of MySQL by their states.
    let ours = ["28000", "28P01", "3D000", "42000"].contains(&code.as_str()) || matches!(error, sqlx::Error::Configuration(_));
    let failed = if ours { Error::config(message) } else { Error::outside(message) };
    let failed = match error {
        sqlx::Error::Tls(_) if tunnelled => failed
            .hint("behind an SSH tunnel no name can be compared with that in a certificate: write `verify-ca` where it says `verify-full`"),
        sqlx::Error::Tls(_) => failed.hint("`sslmode` in its URL says what is asked: disable, prefer, require, verify-ca or verify-full"),
        sqlx::Error::Io(_) => failed.hint("is the server running, and are host and port right?"),
        _ => match (named.dialect, code.as_str()) {
            (Dialect::Postgres | Dialect::Mysql, "28000" | "28P01") => {
                failed.hint("are user and password right? signs in them such as `@`, `/`, `:` and `%` are written as `%40` and so on")
            }
            (Dialect::Postgres, "3D000") | (Dialect::Mysql, "42000") => {
                failed.hint("is the database's name right, behind the last `/` of the URL, and may this user see it?")
            }
            (Dialect::Sqlite, "14") => {
                failed.hint("is the file there? `sqlite:///data.db` starts at the pipeline's folder, `sqlite:////data.db` does not")
            }
            (Dialect::Sqlite, "26") => failed.hint("the file is no SQLite database"),
            _ => failed,
        },
    };
    failed.because(told(error))
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

/// What the database itself said, without what the driver wraps around it.
pub fn told(error: &sqlx::Error) -> anyhow::Error {
    match error {
        sqlx::Error::Database(error) => anyhow::anyhow!("{}", error.message()),
        other => anyhow::anyhow!("{other}"),
    }
}
