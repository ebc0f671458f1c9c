//! Drivers of ODBC that this machine has.

use std::process::Command;

use super::skipped;

/// Whether this machine has a driver.
pub(crate) fn has_driver(name: &str, package: &str) -> bool {
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

/// The connection string of a database with a URL of its own kind, for the driver of that; `None` where the machine has it not.
pub(crate) fn string(url: &str) -> Option<String> {
    if let Some(file) = url.strip_prefix("sqlite:///") {
        return has_driver("SQLite3", "libsqliteodbc").then(|| format!("Driver=SQLite3;Database={file};Timeout=10000"));
    }
    let (place, name) = url.rsplit_once('/')?;
    let port = place.rsplit_once(':')?.1;
    let (driver, package, password) = match url.starts_with("mysql") {
        true => ("MariaDB Unicode", "odbc-mariadb", super::mariadb::PASSWORD),
        false => ("PostgreSQL Unicode", "odbc-postgresql", super::postgres::PASSWORD),
    };
    // MariaDB quotes names in its own way where it is not asked for the one of the standard.
    let more = if url.starts_with("mysql") { ";InitStmt={SET SESSION sql_mode = 'ANSI_QUOTES,STRICT_ALL_TABLES'}" } else { "" };
    let string = format!("Driver={{{driver}}};Server=127.0.0.1;Port={port};Database={name};UID=etl;PWD={{{password}}}{more}");
    has_driver(driver, package).then_some(string)
}
