//! What a driver says, in a form that may be shown.

use odbc_api::Error;

/// An answer that is not the one that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The SQLSTATE, empty where there is none.
    pub state: String,
    /// The database's own number.
    pub number: i32,
    /// Its words.
    pub message: String,
}

impl Told {
    /// Reads an error; `secrets` are hidden, since drivers repeat connection strings.
    pub(super) fn of(error: &Error, secrets: &[String]) -> Self {
        let record = match error {
            Error::Diagnostics { record, .. }
            | Error::InvalidRowArraySize { record, .. }
            | Error::UnableToRepresentNull(record)
            | Error::OracleOdbcDriverDoesNotSupport64Bit(record)
            | Error::UnsupportedOdbcApiVersion(record) => Some(record),
            _ => None,
        };
        match record {
            Some(record) => {
                let words = String::from_utf16_lossy(&record.message);
                Self { state: record.state.as_str().to_owned(), number: record.native_error, message: shown(&words, secrets) }
            }
            None => Self { state: String::new(), number: 0, message: shown(&error.to_string(), secrets) },
        }
    }
}

/// A message without the names of those who passed it on, and without secrets.
fn shown(words: &str, secrets: &[String]) -> String {
    let mut rest = words.trim();
    while let Some((_, after)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        rest = after.trim_start();
    }
    let rest = if rest.is_empty() { words.trim() } else { rest };
    // Whoever has a password that is part of every word does not want to read words with stars in them.
    let hidden = secrets.iter().filter(|secret| secret.chars().count() >= 4);
    hidden.fold(rest.to_owned(), |text, secret| text.replace(secret.as_str(), "***"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_shown_without_the_way_they_took_and_without_secrets() {
        let words = "[unixODBC][Microsoft][ODBC Driver 18 for SQL Server]Login failed: PWD=s3cret;UID=sa [sic]";
        assert_eq!(shown(words, &["s3cret".into()]), "Login failed: PWD=***;UID=sa [sic]");
        assert_eq!(shown("[unixODBC][DM]", &[]), "[unixODBC][DM]");
    }
}
