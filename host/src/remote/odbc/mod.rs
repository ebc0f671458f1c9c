//! Databases that are reached by ODBC: Microsoft SQL Server, Oracle, and by `odbc_connect` whatever else has a driver.
//!
//! Everything is UTF-16 on the way, since what a driver makes of bytes depends on the locale.

mod array;
mod catalog;
mod string;
mod told;

use std::fmt;

use odbc_api::handles::AsStatementRef;
use odbc_api::sys::{Desc, SQLColAttributeW, SqlReturn};
use odbc_api::{Connection as Handle, ConnectionOptions, Environment, environment};

pub use self::array::{Refused, Values};
pub use self::catalog::{TableColumn, Texts};
use self::string::Wanted;
pub use self::told::Told;
use crate::config::database::{Connection, Dialect};
use crate::config::odbc::joined;
use crate::error::{Error, Result};

/// What Oracle must be told so that numbers and times have one form, whatever the machine's language.
const ORACLE: &str = "ALTER SESSION SET NLS_NUMERIC_CHARACTERS = '.,' NLS_DATE_FORMAT = 'YYYY-MM-DD\"T\"HH24:MI:SS' \
     NLS_TIMESTAMP_FORMAT = 'YYYY-MM-DD\"T\"HH24:MI:SS.FF6' NLS_TIMESTAMP_TZ_FORMAT = 'YYYY-MM-DD\"T\"HH24:MI:SS.FF6TZH:TZM' \
     TIME_ZONE = '+00:00'";

/// Who answers, which decides between spellings that no standard settles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speech {
    /// Microsoft SQL Server.
    Mssql,
    /// Oracle.
    Oracle,
    /// PostgreSQL.
    Postgres,
    /// Anybody else: standard SQL.
    Other,
}

impl Speech {
    fn of(name: &str) -> Self {
        let name = name.to_ascii_lowercase();
        match () {
            () if name.contains("sql server") => Self::Mssql,
            () if name.contains("oracle") => Self::Oracle,
            () if name.contains("postgres") => Self::Postgres,
            () => Self::Other,
        }
    }
}

/// A connection.
pub struct Session {
    /// There until the end.
    connection: Option<Handle<'static>>,
    secrets: Vec<String>,
    /// Who answers.
    pub speech: Speech,
}

impl Session {
    /// Connects to `reached`, which a person knows as `named`; with `reads_only` whatever is changed is undone at the end.
    ///
    /// # Errors
    /// Config, where the URL cannot be, a driver is missing or we are not let in; outside, where the database does not answer.
    pub fn open(reached: &Connection, named: &Connection, reads_only: bool) -> Result<Self> {
        let manager = environment().map_err(|error| {
            Error::config("the ODBC driver manager does not start")
                .because(anyhow::anyhow!("{error}"))
                .hint("is `unixodbc` installed whole?")
        })?;
        let installed = drivers(manager);
        let wanted = Wanted::of(reached, &installed)?;
        let secrets = wanted.secrets();
        let seconds = u32::try_from(wanted.patience.as_secs()).unwrap_or(u32::MAX);
        let options = ConnectionOptions { login_timeout_sec: Some(seconds), ..ConnectionOptions::default() };
        let connection = manager
            .connect_with_connection_string(&joined(&wanted.attributes), options)
            .map_err(|error| refused(named, Told::of(&error, &secrets), &installed))?;
        let mut session = Self { connection: Some(connection), secrets, speech: Speech::Other };
        let failed = |session: &Self, error: &odbc_api::Error| {
            Error::outside(format!("cannot set up the session with `{named}`")).because(anyhow::anyhow!(session.told(error).message))
        };
        let name = session.handle().database_management_system_name().map_err(|error| failed(&session, &error))?;
        session.speech = Speech::of(&name);
        if session.speech == Speech::Oracle {
            session.execute(ORACLE).map_err(|error| failed(&session, &error))?;
        }
        if reads_only {
            session.handle().set_autocommit(false).map_err(|error| failed(&session, &error))?;
        }
        tracing::debug!(database = %named, system = name, "connected by ODBC");
        Ok(session)
    }

    /// The connection itself.
    pub fn handle(&self) -> &Handle<'static> {
        self.connection.as_ref().expect("it is taken out by `drop` alone")
    }

    /// Runs a statement; answers the rows that it changed, where the driver tells.
    ///
    /// # Errors
    /// What the driver says.
    pub fn execute(&self, sql: &str) -> Result<Option<usize>, odbc_api::Error> {
        let mut statement = self.handle().preallocate()?;
        drop(statement.execute(sql, ())?);
        statement.row_count()
    }

    /// What a driver says, without what must not be seen.
    pub fn told(&self, error: &odbc_api::Error) -> Told {
        Told::of(error, &self.secrets)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        let mut handle = connection.into_handle();
        // The crate's own end of a connection panics where the other end is gone.
        let mut end = || handle.disconnect().into_result_without_logging(&handle).is_ok();
        if !end() {
            handle.rollback().into_result_without_logging(&handle).ok();
            if handle.disconnect().into_result_without_logging(&handle).is_err() {
                std::mem::forget(handle);
            }
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("speech", &self.speech).finish_non_exhaustive()
    }
}

/// The names of the drivers that this machine has.
fn drivers(manager: &Environment) -> Vec<String> {
    manager.drivers().map(|drivers| drivers.into_iter().map(|driver| driver.description).collect()).unwrap_or_default()
}

/// Whose fault it is that there is no connection.
fn refused(named: &Connection, told: Told, installed: &[String]) -> Error {
    let message = format!("cannot connect to `{named}`");
    let has = if installed.is_empty() { "none".into() } else { installed.join(", ") };
    // Not every driver has a SQLSTATE for it.
    let lower = told.message.to_ascii_lowercase();
    let is_login = ["login failed", "authentication failed", "ora-01017"].iter().any(|words| lower.contains(words));
    let error = match told.state.as_str() {
        state if is_login || state == "28000" || state == "28P01" => Error::config(message)
            .hint("are user and password right? signs in them such as `@`, `/`, `:` and `%` are written as `%40` and so on"),
        // No such data source or driver, or the driver's file does not load.
        "IM002" | "IM003" | "IM004" | "IM012" | "01000" => {
            Error::config(message).hint(format!("the ODBC drivers of this machine are: {has}; `odbcinst -q -d` lists them"))
        }
        "3D000" | "42000" | "HY000" if told.number == 4060 => {
            Error::config(message).hint("is the database's name right, behind the last `/` of the URL, and may this user see it?")
        }
        "HYT00" | "HYT01" => Error::outside(message).hint("`?connect_timeout=…` in its URL gives it more seconds"),
        _ => Error::outside(message).hint(match named.dialect {
            Dialect::Oracle => "is the listener running, and are host, port and service right?",
            _ => "is the server running, and are host and port right?",
        }),
    };
    error.because(anyhow::anyhow!(told.message))
}

/// The name that the database has for the type of a column of a result.
pub fn type_name(statement: &mut impl AsStatementRef, column: u16) -> String {
    use odbc_api::handles::Statement as _;
    let mut name = [0u16; 128];
    let mut bytes = 0i16;
    // SAFETY: the statement is alive, the buffer has the length that is said in bytes, and no number is asked for.
    let answered = unsafe {
        SQLColAttributeW(
            statement.as_stmt_ref().as_sys(),
            column,
            Desc::TypeName,
            name.as_mut_ptr().cast(),
            size_of_val(&name) as i16,
            &raw mut bytes,
            std::ptr::null_mut(),
        )
    };
    if answered != SqlReturn::SUCCESS && answered != SqlReturn::SUCCESS_WITH_INFO {
        return String::new();
    }
    let length = name.iter().position(|unit| *unit == 0).unwrap_or(name.len());
    String::from_utf16_lossy(&name[..length])
}
