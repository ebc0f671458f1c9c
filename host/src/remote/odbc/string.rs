//! From a database's URL to a connection string of ODBC.

use std::time::Duration;

use crate::config::database::{Connection, Dialect, percent_decoded};
use crate::config::odbc::{Attribute, attributes, decoded, is_hidden, option};
use crate::error::{Error, Result};

/// How long a database may take to answer where the URL does not say.
const PATIENCE: Duration = Duration::from_secs(30);

/// Drivers of Microsoft SQL Server, the best first.
const MSSQL: [&str; 3] = ["ODBC Driver 18 for SQL Server", "ODBC Driver 17 for SQL Server", "FreeTDS"];

/// What a URL asks for.
#[derive(Debug, PartialEq)]
pub(super) struct Wanted {
    pub(super) attributes: Vec<Attribute>,
    pub(super) patience: Duration,
}

impl Wanted {
    /// Reads a URL; `installed` are the names of the drivers that this machine has.
    ///
    /// # Errors
    /// Config, where no driver is known for it or its options are no such.
    pub(super) fn of(connection: &Connection, installed: &[String]) -> Result<Self> {
        let (address, query) = connection.url.split_once('?').unwrap_or((&connection.url, ""));
        let mut wanted = Self { attributes: Vec::new(), patience: PATIENCE };
        let mut options = Vec::new();
        for option in query.split('&').filter(|option| !option.is_empty()) {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            let value = decoded(value);
            match name {
                "odbc_connect" => {}
                "connect_timeout" => {
                    let seconds: u64 = value.parse().map_err(|_| {
                        Error::config(format!("`connect_timeout` of `{connection}` is `{value}`, but must be a whole number of seconds"))
                    })?;
                    wanted.patience = if seconds == 0 { PATIENCE } else { Duration::from_secs(seconds) };
                }
                _ => options.push((name.to_owned(), value)),
            }
        }
        if let Some(raw) = option(&connection.url) {
            if let Some((name, _)) = options.first() {
                let message = format!("`{connection}` has `{name}` beside `odbc_connect`, which is the whole connection string");
                return Err(Error::config(message).hint(format!("write `{name}` within it")));
            }
            wanted.attributes = attributes(&decoded(raw));
            return Ok(wanted);
        }
        wanted.attributes = match connection.dialect {
            Dialect::Oracle => oracle(connection, address, options, installed)?,
            _ => mssql(connection, address, options, installed)?,
        };
        Ok(wanted)
    }

    /// Values that must not be seen, and what a driver may write in their place.
    pub(super) fn secrets(&self) -> Vec<String> {
        let hidden = self.attributes.iter().filter(|(name, value)| is_hidden(name) && !value.is_empty());
        hidden.flat_map(|(_, value)| [value.replace('}', "}}"), value.clone()]).collect()
    }
}

/// What stands before the `?` of a URL.
#[derive(Default)]
struct Parts {
    user: String,
    password: String,
    host: String,
    port: String,
    name: String,
}

fn parts(address: &str) -> Parts {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let (authority, name) = rest.split_once('/').unwrap_or((rest, ""));
    let (user, place) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (user, password) = user.split_once(':').unwrap_or((user, ""));
    let (host, port) = match place.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, port)) => (host, port.strip_prefix(':').unwrap_or_default()),
        None => place.split_once(':').unwrap_or((place, "")),
    };
    let [user, password, host, port, name] = [user, password, host, port, name].map(percent_decoded);
    Parts { user, password, host, port, name }
}

/// Takes the driver out of the options, or finds one.
fn driver(connection: &Connection, options: &mut Vec<Attribute>, usual: Option<&str>, hint: &str, installed: &[String]) -> Result<String> {
    if let Some(at) = options.iter().position(|(name, _)| name.eq_ignore_ascii_case("driver")) {
        return Ok(options.remove(at).1);
    }
    usual.map(ToOwned::to_owned).ok_or_else(|| {
        let has = if installed.is_empty() { "none at all".into() } else { installed.join(", ") };
        Error::config(format!("there is no ODBC driver for `{connection}` on this machine, which has {has}")).hint(hint)
    })
}

fn mssql(connection: &Connection, address: &str, mut options: Vec<Attribute>, installed: &[String]) -> Result<Vec<Attribute>> {
    let hint = "install `tdsodbc` (FreeTDS) or Microsoft's `msodbcsql18`, or name another one: `?driver=…`";
    let usual = MSSQL.into_iter().find(|name| installed.iter().any(|installed| installed == name));
    let driver = driver(connection, &mut options, usual, hint, installed)?;
    let Parts { user, password, host, port, name } = parts(address);
    let host = if host.is_empty() { "localhost".into() } else { host };
    let mut all: Vec<Attribute> = Vec::new();
    let mut set = |name: &str, value: String| all.push((name.into(), value));
    // A name, or the file of the driver itself.
    let free = driver.to_ascii_lowercase().contains("freetds") || driver.contains("tdsodbc");
    set("Driver", driver);
    if free {
        set("Server", host);
        set("Port", if port.is_empty() { "1433".into() } else { port });
        set("TDS_Version", "7.4".into());
        set("ClientCharset", "UTF-8".into());
    } else {
        set("Server", if port.is_empty() { host } else { format!("{host},{port}") });
    }
    if !name.is_empty() {
        set("Database", name);
    }
    if user.is_empty() && !free {
        set("Trusted_Connection", "yes".into());
    } else if !user.is_empty() {
        set("UID", user);
        set("PWD", password);
    }
    Ok(with(all, options))
}

fn oracle(connection: &Connection, address: &str, mut options: Vec<Attribute>, installed: &[String]) -> Result<Vec<Attribute>> {
    let hint = "install Oracle's Instant Client with its ODBC driver and register it in odbcinst.ini, or name another one: `?driver=…`";
    let usual = installed.iter().find(|name| name.to_ascii_lowercase().contains("oracle")).map(String::as_str);
    let driver = driver(connection, &mut options, usual, hint, installed)?;
    let Parts { user, password, host, port, mut name } = parts(address);
    if let Some(at) = options.iter().position(|(option, _)| option == "service_name") {
        name = options.remove(at).1;
    }
    let host = if host.is_empty() { "localhost".into() } else { host };
    // Without port and service it is a name of `tnsnames.ora`.
    let place = match (port.is_empty(), name.is_empty()) {
        (true, true) => host,
        (true, false) => format!("//{host}:1521/{name}"),
        (false, true) => format!("//{host}:{port}"),
        (false, false) => format!("//{host}:{port}/{name}"),
    };
    let all = [("Driver", driver), ("DBQ", place), ("UID", user), ("PWD", password)];
    Ok(with(all.map(|(name, value)| (name.into(), value)).into(), options))
}

/// What the user says comes in place of what is usual.
fn with(mut all: Vec<Attribute>, options: Vec<Attribute>) -> Vec<Attribute> {
    for (name, value) in options {
        match all.iter_mut().find(|(known, _)| known.eq_ignore_ascii_case(&name)) {
            Some((_, known)) => *known = value,
            None => all.push((name, value)),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::odbc::joined;

    fn string(url: &str, installed: &[&str]) -> Result<String> {
        let installed: Vec<String> = installed.iter().map(|name| (*name).to_owned()).collect();
        Wanted::of(&Connection::try_from(url.to_owned()).unwrap(), &installed).map(|wanted| joined(&wanted.attributes))
    }

    #[test]
    fn urls_become_connection_strings_whatever_is_in_a_password() {
        let both = ["FreeTDS", "ODBC Driver 18 for SQL Server"];
        for (url, installed, expected) in [
            (
                "mssql+pyodbc://sa:p%40s%3Bs%7D@db:1444/sales?driver=ODBC+Driver+17+for+SQL+Server&TrustServerCertificate=yes",
                &both[..],
                "Driver={ODBC Driver 17 for SQL Server};Server=db,1444;Database=sales;UID=sa;PWD={p@s;s}}};TrustServerCertificate=yes;",
            ),
            ("mssql://sa:secret@db/sales", &both, "Driver={ODBC Driver 18 for SQL Server};Server=db;Database=sales;UID=sa;PWD=secret;"),
            (
                "sqlserver://sa:a+b@db/sales?tds_version=7.3",
                &both[..1],
                "Driver=FreeTDS;Server=db;Port=1433;TDS_Version=7.3;ClientCharset=UTF-8;Database=sales;UID=sa;PWD={a+b};",
            ),
            ("mssql:///?odbc_connect=DSN%3Dsales%3BPWD%3D%7Ba%3Bb%7D", &[], "DSN=sales;PWD={a;b};"),
            (
                "oracle+cx_oracle://scott:tiger@db:1522/?service_name=ORCL",
                &["Oracle 23 ODBC driver"],
                "Driver={Oracle 23 ODBC driver};DBQ=//db:1522/ORCL;UID=scott;PWD=tiger;",
            ),
            ("oracle://scott:tiger@PROD", &["Oracle"], "Driver=Oracle;DBQ=PROD;UID=scott;PWD=tiger;"),
        ] {
            assert_eq!(string(url, installed).unwrap(), expected, "{url}");
        }
    }

    #[test]
    fn a_driver_that_is_missing_and_options_that_go_nowhere_are_told() {
        let error = string("mssql://sa:s3cret@db/sales", &["SQLite3"]).unwrap_err();
        assert_eq!(error.to_string(), "there is no ODBC driver for `mssql://sa:***@db/sales` on this machine, which has SQLite3");
        let error = string("mssql:///?odbc_connect=DSN%3Dx&Database=y", &[]).unwrap_err();
        assert!(error.to_string().contains("has `Database` beside `odbc_connect`"), "{error}");
        assert!(string("oracle://db?connect_timeout=soon", &[]).unwrap_err().to_string().contains("whole number of seconds"));
    }
}
