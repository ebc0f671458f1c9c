//! What may stand behind the `?` of a database's URL, and what becomes of it.
//!
//! Certificates and keys are files relative to the contract directory; a certificate authority that is named is always asked.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::mysql::{MySqlConnectOptions, MySqlSslMode};
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use crate::config::database::{Connection, Dialect};
use crate::error::{Error, Result, did_you_mean};

/// How long a database may take to answer where the URL does not say.
const PATIENCE: Duration = Duration::from_secs(30);

/// What PostgreSQL's URL may say; the spelling of `psql` comes first.
const POSTGRES: [&str; 21] = [
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "connect_timeout",
    "application_name",
    "options",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "client_encoding",
    "ssl-mode",
    "ssl-root-cert",
    "ssl-ca",
    "ssl-cert",
    "ssl-key",
    "statement-cache-capacity",
    "options[…]",
];

/// What MySQL's URL may say; the spelling of `mysql` comes first.
const MYSQL: [&str; 17] = [
    "ssl-mode",
    "ssl-ca",
    "ssl-cert",
    "ssl-key",
    "connect_timeout",
    "charset",
    "collation",
    "socket",
    "timezone",
    "sslmode",
    "ssl_mode",
    "ssl_ca",
    "ssl_cert",
    "ssl_key",
    "unix_socket",
    "time-zone",
    "statement-cache-capacity",
];

/// A URL, taken apart at what needs more than the driver does with it.
struct Parts {
    /// The URL with what the driver reads as we do.
    url: String,
    mode: Option<String>,
    authority: Option<PathBuf>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    socket: Option<PathBuf>,
    patience: Duration,
}

/// How to connect to PostgreSQL, and how long that may take.
pub(super) fn postgres(connection: &Connection, root: &Path) -> Result<(PgConnectOptions, Duration)> {
    let Parts { url, mode, authority, certificate, key, socket: _, patience } = parts(connection, root)?;
    let mut options = PgConnectOptions::from_str(&url).map_err(|error| wrong(connection, &error))?;
    if options.get_application_name().is_none() {
        options = options.application_name("etl-host");
    }
    options = options.disable_statement_logging();
    let modes = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];
    let mode = match (mode.as_deref(), &authority) {
        // As `psql` does where it is `require`; where nothing is said, nobody names an authority to have it ignored.
        (None | Some("require"), Some(_)) => Some("verify-ca"),
        (mode, _) => mode,
    };
    if let Some(mode) = mode {
        options = options.ssl_mode(PgSslMode::from_str(mode).map_err(|_| unknown(connection, "sslmode", mode, &modes))?);
    }
    if let Some(authority) = authority {
        options = options.ssl_root_cert(authority);
    }
    if let Some(certificate) = certificate {
        options = options.ssl_client_cert(certificate);
    }
    if let Some(key) = key {
        options = options.ssl_client_key(key);
    }
    Ok((options, patience))
}

/// How to connect to MySQL, and how long that may take.
pub(super) fn mysql(connection: &Connection, root: &Path) -> Result<(MySqlConnectOptions, Duration)> {
    let Parts { url, mode, authority, certificate, key, socket, patience } = parts(connection, root)?;
    let mut options = MySqlConnectOptions::from_str(&url).map_err(|error| wrong(connection, &error))?.disable_statement_logging();
    // The server's own mode holds: a `||` of a query means what it means there.
    options = options.pipes_as_concat(false).no_engine_substitution(false);
    let modes = ["DISABLED", "PREFERRED", "REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY"];
    let mode = mode.map(|mode| mode.to_ascii_lowercase().replace('-', "_"));
    let mode = match (mode.as_deref(), &authority) {
        (None, Some(_)) => Some("verify_ca"),
        (mode, _) => mode,
    };
    if let Some(mode) = mode {
        options = options.ssl_mode(MySqlSslMode::from_str(mode).map_err(|_| unknown(connection, "ssl-mode", mode, &modes))?);
    }
    if let Some(authority) = authority {
        options = options.ssl_ca(authority);
    }
    if let Some(certificate) = certificate {
        options = options.ssl_client_cert(certificate);
    }
    if let Some(key) = key {
        options = options.ssl_client_key(key);
    }
    if let Some(socket) = socket {
        options = options.socket(socket);
    }
    Ok((options, patience))
}

fn wrong(connection: &Connection, error: &sqlx::Error) -> Error {
    Error::config(format!("`{connection}` is no address of a database")).because(anyhow::anyhow!("{error}"))
}

fn unknown(connection: &Connection, option: &str, mode: &str, modes: &[&str]) -> Error {
    let message = format!("`{option}` of `{connection}` is `{mode}`, which is not known");
    Error::config(message).hint(format!("it is one of {}", modes.join(", ")))
}

/// Refuses a URL in whose password a sign ends it too early: what comes behind would be taken for a machine, a database or an option.
fn check_password(connection: &Connection, rest: &str, query: &str) -> Result<()> {
    let authority = rest.split(['/', '#']).next().unwrap_or_default();
    let behind = &rest[authority.len()..];
    let is_port = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let has_password = authority.split_once(':').is_some_and(|(_, text)| !is_port(text));
    if behind.contains('@') || has_password && !authority.contains('@') && query.contains('@') {
        return Err(torn(connection));
    }
    Ok(())
}

fn torn(connection: &Connection) -> Error {
    Error::config(format!("the password in `{connection}` holds a sign that ends it too early"))
        .hint("encode `@ / ? #` of the password as %40 %2F %3F %23")
}

/// What stands behind the scheme, and as options what stood there before an empty host, as `ada@/sales?host=/tmp` has it: that is no URL.
fn without_empty_host(rest: &str) -> (String, Vec<String>) {
    let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let Some((who, place)) = authority.rsplit_once('@') else { return (rest.to_owned(), Vec::new()) };
    let (user, password) = who.split_once(':').unwrap_or((who, ""));
    let port = place.strip_prefix(':').unwrap_or_default();
    if !place.is_empty() && port.is_empty() {
        return (rest.to_owned(), Vec::new());
    }
    let encoded = |text: &str| text.replace('&', "%26").replace('+', "%2B");
    let options = [("user", encoded(user)), ("password", encoded(password)), ("port", port.to_owned())];
    let options = options.into_iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| format!("{name}={value}"));
    (path.to_owned(), options.collect())
}

fn parts(connection: &Connection, root: &Path) -> Result<Parts> {
    let (address, query) = connection.url.split_once('?').unwrap_or((&connection.url, ""));
    let (scheme, rest) = address.split_once("://").unwrap_or(("", address));
    // `postgresql+psycopg2://` names a driver of Python.
    let scheme = scheme.split('+').next().unwrap_or(scheme).to_ascii_lowercase();
    let known: &[&str] = if connection.dialect == Dialect::Mysql { &MYSQL } else { &POSTGRES };
    let none = || Parts { url: String::new(), mode: None, authority: None, certificate: None, key: None, socket: None, patience: PATIENCE };
    check_password(connection, rest, query)?;
    let mut parts = none();
    let (rest, mut kept) = match connection.dialect {
        Dialect::Postgres => without_empty_host(rest),
        _ => (rest.to_owned(), Vec::new()),
    };
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, raw) = pair.split_once('=').unwrap_or((pair, ""));
        let value = decoded(raw);
        let file = || Some(root.join(&value));
        match name {
            // It may be the rest of a password with a `?`.
            _ if name.contains(['@', '/']) || query.contains('@') && !known.contains(&name) => return Err(torn(connection)),
            _ if !(known.contains(&name) || connection.dialect == Dialect::Postgres && name.starts_with("options[")) => {
                let hint = match did_you_mean(name, known.iter().copied()) {
                    Some(name) => format!("did you mean `{name}`?"),
                    None => format!("options are {}", known.join(", ")),
                };
                return Err(Error::config(format!("`{connection}` has the option `{name}`, which is not known")).hint(hint));
            }
            "sslmode" | "ssl-mode" | "ssl_mode" => parts.mode = Some(value),
            "sslrootcert" | "ssl-root-cert" | "ssl-ca" | "ssl_ca" => parts.authority = file(),
            "sslcert" | "ssl-cert" | "ssl_cert" => parts.certificate = file(),
            "sslkey" | "ssl-key" | "ssl_key" => parts.key = file(),
            "socket" | "unix_socket" => parts.socket = file(),
            "connect_timeout" => {
                let seconds: u64 = value.parse().map_err(|_| {
                    Error::config(format!("`connect_timeout` of `{connection}` is `{value}`, but must be a whole number of seconds"))
                })?;
                // As `psql` has it, 0 is for ever; nobody means that.
                parts.patience = if seconds == 0 { PATIENCE } else { Duration::from_secs(seconds) };
            }
            "client_encoding" if matches!(value.to_ascii_lowercase().as_str(), "utf8" | "utf-8" | "unicode" | "auto") => {}
            "client_encoding" => {
                return Err(Error::config(format!("`client_encoding` of `{connection}` is `{value}`, but we speak UTF-8 only")));
            }
            _ => kept.push(pair.to_owned()),
        }
    }
    for file in [&parts.authority, &parts.certificate, &parts.key].into_iter().flatten() {
        std::fs::metadata(file).map_err(|error| {
            Error::config(format!("`{connection}` names `{}`, which cannot be read", file.display())).because(anyhow::anyhow!("{error}"))
        })?;
    }
    parts.url = format!("{scheme}://{rest}{}{}", if kept.is_empty() { "" } else { "?" }, kept.join("&"));
    Ok(parts)
}

/// A value of a query: `%20` and `+` are blanks.
fn decoded(raw: &str) -> String {
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let code = after.get(..2).filter(|_| first == b'%').and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match (first, code) {
            (_, Some(code)) => {
                bytes.push(code);
                rest = &after[2..];
                continue;
            }
            (b'+', None) => bytes.push(b' '),
            _ => bytes.push(first),
        }
        rest = after;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(url: &str) -> Connection {
        Connection::try_from(url.to_owned()).unwrap()
    }

    #[test]
    fn an_authority_that_is_named_is_asked() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("the ca.pem"), "").unwrap();
        let mode = |url: &str| {
            let (options, patience) = postgres(&connection(url), folder.path()).unwrap();
            (format!("{:?}", options.get_ssl_mode()), patience.as_secs())
        };
        assert_eq!(mode("postgresql://h/d?sslrootcert=the%20ca.pem"), ("VerifyCa".into(), 30));
        assert_eq!(mode("postgresql+psycopg2://h/d?sslmode=require&sslrootcert=the+ca.pem&connect_timeout=5"), ("VerifyCa".into(), 5));
        assert_eq!(mode("postgresql://h/d?sslmode=verify-full&sslrootcert=the%20ca.pem"), ("VerifyFull".into(), 30));
        assert_eq!(mode("postgresql://h/d"), ("Prefer".into(), 30));
    }

    #[test]
    fn what_is_not_known_is_told_without_its_value() {
        for (url, told, hint) in [
            ("postgresql://u:s3cret@h/d?sslmod=s3cret", "has the option `sslmod`, which is not known", "did you mean `sslmode`?"),
            ("mysql://u:s3cret@h/d?ssl-mode=on", "`ssl-mode` of `mysql://u:***@h/d?ssl-mode=on` is `on`", "DISABLED"),
            ("postgresql://h/d?sslrootcert=none.pem&password=s3cret", "none.pem`, which cannot be read", ""),
        ] {
            let connection = connection(url);
            let root = Path::new("/nowhere");
            let error = match connection.dialect {
                Dialect::Mysql => mysql(&connection, root).unwrap_err(),
                _ => postgres(&connection, root).unwrap_err(),
            };
            assert!(error.one_line().contains(told) && error.find_hint().unwrap_or_default().contains(hint), "{error:?}");
            assert!(!error.one_line().replace("sslmod=s3cret", "").contains("s3cret"), "{error:?}");
        }
    }

    #[test]
    fn of_a_password_with_signs_that_should_be_encoded_nothing_is_told_but_how_to_encode_them() {
        for password in ["p@ss/w0rd77", "pq@x?w0rd77", "pq?w0rd77", "pq?w0rd77=1", "12?w0rd77", "pq?sslmode=w0rd77", "pq#w0rd77"] {
            for scheme in ["postgresql", "mysql"] {
                let connection = connection(&format!("{scheme}://etl:{password}@127.0.0.1:1/d"));
                let error = match connection.dialect {
                    Dialect::Mysql => mysql(&connection, Path::new("/")).unwrap_err(),
                    _ => postgres(&connection, Path::new("/")).unwrap_err(),
                };
                let told = format!("{} {error:?}", error.one_line());
                assert!(!told.contains("w0rd77") && !told.contains("ss/") && told.contains("etl:***@127.0.0.1:1/d"), "{told}");
                assert_eq!(error.find_hint(), Some("encode `@ / ? #` of the password as %40 %2F %3F %23"), "{told}");
            }
        }
        // A `@` that stands where it may.
        for url in ["postgresql://etl:p%40ss@h:5432/d?application_name=a@b", "postgresql://h:5432/d?user=etl@h", "mysql://e@f:p@h/d"] {
            let connection = connection(url);
            let read = if connection.dialect == Dialect::Mysql {
                mysql(&connection, Path::new("/")).err()
            } else {
                postgres(&connection, Path::new("/")).err()
            };
            assert!(read.is_none(), "{read:?}");
        }
    }

    #[test]
    fn a_folder_with_a_socket_is_reached_by_a_user_before_an_empty_host() {
        for url in [
            "postgresql://ada@/d?host=/tmp/sockets&port=55432",
            "postgresql://ada:s%26+x@:55432/d?host=/tmp/sockets",
            "postgresql:///d?host=/tmp/sockets&user=ada&port=55432",
        ] {
            let (options, _) = postgres(&connection(url), Path::new("/")).unwrap();
            assert_eq!((options.get_username(), options.get_database(), options.get_port()), ("ada", Some("d"), 55432), "{url}");
            assert_eq!(options.get_socket().map(|path| path.to_string_lossy().into_owned()).as_deref(), Some("/tmp/sockets"), "{url}");
            let password = options.to_url_lossy().password().map(ToOwned::to_owned);
            assert!(password.is_none_or(|password| password == "s%26%2Bx"), "{url}");
        }
    }
}
