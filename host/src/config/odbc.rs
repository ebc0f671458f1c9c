//! The connection strings of ODBC: `Driver={…};Server=…;PWD={…}`.

use super::database::percent_decoded;
use super::variables::is_secret;

/// An attribute and its value.
pub type Attribute = (String, String);

/// The ODBC connection string within a URL, as it stands there: `mssql:///?odbc_connect=…`.
pub fn option(url: &str) -> Option<&str> {
    let (_, options) = url.split_once("://")?.1.split_once('?')?;
    options.split('&').find_map(|option| option.strip_prefix("odbc_connect=")).filter(|raw| !raw.is_empty())
}

/// Whether a URL has an option of one of these names, or one whose name is no plain word and may thus hold another.
pub fn names_option(url: &str, names: &[&str]) -> bool {
    let is_word = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let options = url.split_once('?').map_or("", |(_, options)| options).split('&');
    options
        .map(|option| option.split('=').next().unwrap_or_default())
        .any(|name| !is_word(name) || names.iter().any(|known| known.eq_ignore_ascii_case(name)))
}

/// A value of a URL's options: `%20` and `+` are blanks.
pub fn decoded(raw: &str) -> String {
    percent_decoded(&raw.replace('+', " "))
}

/// The attributes of a connection string, in order; what has no `=` has no value.
pub fn attributes(text: &str) -> Vec<Attribute> {
    let mut found = Vec::new();
    let mut rest = text;
    while !rest.trim_start_matches([' ', ';']).is_empty() {
        rest = rest.trim_start_matches([' ', ';']);
        let end = rest.find(['=', ';']).unwrap_or(rest.len());
        let name = rest[..end].trim().to_owned();
        rest = &rest[end..];
        let Some(after) = rest.strip_prefix('=') else {
            found.push((name, String::new()));
            continue;
        };
        let (value, after) = value(after);
        found.push((name, value));
        rest = after;
    }
    found
}

/// A value at the start of a text, and what stands behind it. In braces everything counts as it is, `}}` is one `}`.
fn value(text: &str) -> (String, &str) {
    let Some(braced) = text.trim_start().strip_prefix('{') else {
        let end = text.find(';').unwrap_or(text.len());
        return (text[..end].trim().to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut rest = braced;
    loop {
        let Some((before, after)) = rest.split_once('}') else { return (value + rest, "") };
        value.push_str(before);
        match after.strip_prefix('}') {
            Some(after) => {
                value.push('}');
                rest = after;
            }
            None => return (value, after.find(';').map_or("", |end| &after[end..])),
        }
    }
}

/// A connection string of attributes; a value cannot end what it stands in.
pub fn joined<'a>(attributes: impl IntoIterator<Item = &'a Attribute>) -> String {
    attributes.into_iter().map(|(name, value)| format!("{name}={};", escaped(value))).collect()
}

fn escaped(value: &str) -> String {
    let is_plain = |letter: char| letter.is_alphanumeric() || "_-.,:/\\*".contains(letter);
    if value.chars().all(is_plain) { value.to_owned() } else { format!("{{{}}}", value.replace('}', "}}")) }
}

/// Whether the value of an attribute must never be seen.
pub fn is_hidden(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    // `AccessToken`, `ClientSecret`: they have no `_` between their words.
    is_secret(name) || ["pwd", "password", "passphrase", "secret", "token"].iter().any(|word| lower.contains(word))
}

/// A connection string as it stands in a URL, for a person: readable, `***` in place of what must not be seen.
pub(super) fn masked(raw: &str) -> String {
    let mut attributes = attributes(&decoded(raw));
    attributes.iter_mut().filter(|(name, _)| is_hidden(name)).for_each(|(_, value)| *value = "***".into());
    joined(&attributes)
}

/// What must not be seen of the connection string in a URL, in every form in which it may show.
pub(super) fn secrets(url: &str) -> Vec<String> {
    let Some(raw) = option(url) else { return Vec::new() };
    let hidden = attributes(&decoded(raw)).into_iter().filter(|(name, value)| is_hidden(name) && !value.is_empty());
    let mut secrets: Vec<String> = hidden.flat_map(|(_, value)| [escaped(&value), value.replace('}', "}}"), value]).collect();
    // The encoded string holds the password in whatever way its author encoded it.
    if !secrets.is_empty() {
        secrets.push(raw.to_owned());
    }
    secrets.dedup();
    secrets
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        attributes(text)
    }

    #[test]
    fn strings_are_taken_apart_and_joined_whatever_is_in_their_values() {
        let read = pairs("Driver={ODBC Driver 18 for SQL Server}; Server = tcp:db,1433 ;PWD={a;b}}c=d};Encrypt=yes;Flag");
        let read: Vec<(&str, &str)> = read.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(
            read,
            [("Driver", "ODBC Driver 18 for SQL Server"), ("Server", "tcp:db,1433"), ("PWD", "a;b}c=d"), ("Encrypt", "yes"), ("Flag", "")]
        );
        for value in ["", "plain", "a;b", "}", "{x}", "}};DROP=1", " blank ", "a=b", "p@ss+word"] {
            let given = [("UID".to_owned(), "etl".to_owned()), ("PWD".to_owned(), value.to_owned()), ("X".to_owned(), "1".to_owned())];
            assert_eq!(pairs(&joined(&given)), given, "{}", joined(&given));
        }
        assert_eq!(pairs("PWD={never ends"), [("PWD".to_owned(), "never ends".to_owned())]);
    }

    #[test]
    fn a_string_is_shown_without_its_secrets() {
        let url = "mssql:///?odbc_connect=Driver%3D%7BFreeTDS%7D%3BServer%3Ddb%3BUID%3Dsa%3BPWD%3D%7Bs3%3Bcret%7D&x=1";
        assert_eq!(masked(option(url).unwrap()), "Driver=FreeTDS;Server=db;UID=sa;PWD=***;");
        let secrets = secrets(url);
        assert!(secrets.contains(&"s3;cret".to_owned()) && secrets.contains(&"{s3;cret}".to_owned()), "{secrets:?}");
        assert_eq!(super::secrets("mssql:///?odbc_connect=DSN%3Dsales"), [""; 0]);
    }
}
