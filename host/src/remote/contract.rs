//! Contracts of a metadata store: the tables that `pycharter db init` makes, in PostgreSQL's schema `pycharter` or in a SQLite file.
//!
//! `data_contracts` has a row a version of a contract, and points to its JSON Schema and its rules in `schemas`, `coercion_rules` and
//! `validation_rules`.

use std::cmp::Ordering;
use std::path::Path;

use serde_json::{Map, Value};
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{ColumnIndex, Decode, Row, Type};

use super::database::{Connected, connect_to_read, told};
use super::wait;
use crate::config::{StoredContract, Text};
use crate::error::{Context, Error, Result, did_you_mean};

/// Bytes of a contract at most, as of a configuration file.
const MAX_BYTES: usize = 1 << 20;

/// Names that a message lists at most.
const LISTED: usize = 20;

/// A question, as PostgreSQL and as SQLite want it.
struct Question {
    postgres: &'static str,
    sqlite: &'static str,
}

const VERSIONS: Question = Question {
    postgres: r#"SELECT version FROM "pycharter".data_contracts WHERE name = $1"#,
    sqlite: "SELECT version FROM data_contracts WHERE name = ?1",
};

const NAMES: Question = Question {
    postgres: r#"SELECT DISTINCT name FROM "pycharter".data_contracts ORDER BY name LIMIT 1000"#,
    sqlite: "SELECT DISTINCT name FROM data_contracts ORDER BY name LIMIT 1000",
};

const CONTRACT: Question = Question {
    postgres: r#"SELECT s.schema_data::text, c.rules::text, v.rules::text FROM "pycharter".data_contracts d
        LEFT JOIN "pycharter".schemas s ON s.id = d.schema_id
        LEFT JOIN "pycharter".coercion_rules c ON c.id = d.coercion_rules_id
        LEFT JOIN "pycharter".validation_rules v ON v.id = d.validation_rules_id
        WHERE d.name = $1 AND d.version = $2"#,
    sqlite: "SELECT CAST(s.schema_data AS TEXT), CAST(c.rules AS TEXT), CAST(v.rules AS TEXT) FROM data_contracts d
        LEFT JOIN schemas s ON s.id = d.schema_id
        LEFT JOIN coercion_rules c ON c.id = d.coercion_rules_id
        LEFT JOIN validation_rules v ON v.id = d.validation_rules_id
        WHERE d.name = ?1 AND d.version = ?2",
};

/// Reads a contract as one text with `schema`, `coercion_rules` and `validation_rules`, as a file has it.
///
/// # Errors
/// Config, where the store has no such contract, or is none; outside, where it does not answer.
pub fn read(asked: &StoredContract, root: &Path) -> Result<Text> {
    wait(async {
        let (mut store, _tunnel) = connect_to_read(&asked.store, None, root).await?;
        let versions = column(ask(&mut store, &VERSIONS, &[&asked.name], asked).await?);
        let Some(version) = choose(&versions, asked.version.as_deref()) else {
            return Err(if versions.is_empty() {
                unknown(asked, &column(ask(&mut store, &NAMES, &[], asked).await?))
            } else {
                no_version(asked, versions)
            });
        };
        let rows = ask(&mut store, &CONTRACT, &[&asked.name, version], asked).await?;
        let parts = rows.into_iter().next().unwrap_or_default();
        assemble(asked, version, parts)
    })
}

/// Rows of texts.
type Texts = Vec<Vec<Option<String>>>;

async fn ask(store: &mut Connected, question: &Question, values: &[&str], asked: &StoredContract) -> Result<Texts> {
    let answered = match store {
        Connected::Postgres(connection) => {
            let query = values.iter().fold(sqlx::query(question.postgres), |query, value| query.bind((*value).to_owned()));
            query.fetch_all(connection).await.and_then(|rows| rows.iter().map(texts::<PgRow>).collect())
        }
        Connected::Sqlite(connection) => {
            let query = values.iter().fold(sqlx::query(question.sqlite), |query, value| query.bind((*value).to_owned()));
            query.fetch_all(connection).await.and_then(|rows| rows.iter().map(texts::<SqliteRow>).collect())
        }
        Connected::Mysql(_) => return Err(Error::bug("a metadata store is in PostgreSQL or SQLite")),
        #[cfg(feature = "odbc")]
        Connected::Odbc(_) => return Err(Error::bug("a metadata store is in PostgreSQL or SQLite")),
    };
    answered.map_err(|error| {
        let store = &asked.store;
        let code = error.as_database_error().and_then(|error| error.code()).unwrap_or_default().into_owned();
        let message = error.as_database_error().map_or("", |error| error.message()).to_owned();
        let failed = match code.as_str() {
            "42P01" | "3F000" => Error::config(format!("`{store}` is no metadata store: it has no table `pycharter.data_contracts`")),
            _ if message.starts_with("no such table") => {
                Error::config(format!("`{store}` is no metadata store: it has no table `data_contracts`"))
            }
            "26" => return Error::config(format!("`{store}` is no SQLite database")).because(told(&error)),
            "42703" => Error::config(format!("`{store}` is a metadata store of another version")),
            "42501" => return Error::config(format!("`{store}` does not let us read the contract `{}`", asked.name)).because(told(&error)),
            _ => return Error::outside(format!("the metadata store `{store}` did not answer")).because(told(&error)),
        };
        failed.hint("`pycharter db init` makes its tables; the host reads those of versions 0.0.20 to 0.0.35").because(told(&error))
    })
}

fn texts<R>(row: &R) -> sqlx::Result<Vec<Option<String>>>
where
    R: Row,
    usize: ColumnIndex<R>,
    for<'a> Option<String>: Decode<'a, R::Database> + Type<R::Database>,
{
    (0..row.len()).map(|index| row.try_get::<Option<String>, _>(index)).collect()
}

fn column(rows: Texts) -> Vec<String> {
    rows.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect()
}

/// The version that is asked for, or the latest.
fn choose<'a>(versions: &'a [String], asked: Option<&str>) -> Option<&'a str> {
    match asked {
        Some(asked) => versions.iter().find(|version| *version == asked).map(String::as_str),
        None => versions.iter().max_by(|one, other| by_version(one, other)).map(String::as_str),
    }
}

/// Orders versions by their numbers, one with an addition such as `-rc1` before the same without.
fn by_version(one: &str, other: &str) -> Ordering {
    let parts = |version: &str| {
        let (numbers, addition) = match version.trim_start_matches(['v', 'V']).split_once('-') {
            Some((numbers, addition)) => (numbers.to_owned(), Some(addition.to_owned())),
            None => (version.trim_start_matches(['v', 'V']).to_owned(), None),
        };
        let mut numbers: Vec<u64> = numbers.split(['.', '+']).map_while(|number| number.parse().ok()).collect();
        while numbers.last() == Some(&0) {
            numbers.pop();
        }
        (numbers, addition.is_none(), addition.unwrap_or_default())
    };
    parts(one).cmp(&parts(other)).then_with(|| one.cmp(other))
}

fn unknown(asked: &StoredContract, names: &[String]) -> Error {
    let error = Error::config(format!("the metadata store `{}` has no contract `{}`", asked.store, asked.name));
    if names.is_empty() {
        return error.hint("it has none at all; `pycharter` stores contracts in it");
    }
    let near = did_you_mean(&asked.name, names.iter().map(String::as_str));
    let near = near.map(|near| format!("did you mean `{near}`? ")).unwrap_or_default();
    error.hint(format!("{near}it has {}", list(names)))
}

fn no_version(asked: &StoredContract, mut versions: Vec<String>) -> Error {
    versions.sort_by(|one, other| by_version(other, one));
    let version = asked.version.as_deref().unwrap_or_default();
    Error::config(format!("the contract `{}` has no version `{version}` in the metadata store `{}`", asked.name, asked.store))
        .hint(format!("its versions are {}", list(&versions)))
}

fn list(names: &[String]) -> String {
    let more = if names.len() > LISTED { format!(" and {} more", names.len() - LISTED) } else { String::new() };
    names.iter().take(LISTED).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ") + &more
}

fn assemble(asked: &StoredContract, version: &str, parts: Vec<Option<String>>) -> Result<Text> {
    let name = format!("contract {}@{version}", asked.name);
    let bytes: usize = parts.iter().flatten().map(String::len).sum();
    if bytes > MAX_BYTES {
        return Err(Error::config(format!("{name} has {bytes} bytes, a contract has at most {MAX_BYTES}")));
    }
    let mut whole = Map::new();
    for (key, part) in ["schema", "coercion_rules", "validation_rules"].into_iter().zip(parts) {
        let Some(part) = part else { continue };
        let value: Value = serde_json::from_str(&part).data(|| format!("`{key}` of {name} is not JSON"))?;
        if !value.is_null() {
            whole.insert(key.to_owned(), value);
        }
    }
    if !whole.contains_key("schema") {
        return Err(Error::config(format!("{name} has no schema in the metadata store `{}`", asked.store)));
    }
    let text = serde_json::to_string_pretty(&whole).bug(|| "a contract cannot be written".into())?;
    Ok(Text { name, text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_version_is_the_one_of_the_highest_numbers() {
        let latest =
            |versions: &[&str]| choose(&versions.iter().map(|version| (*version).to_owned()).collect::<Vec<_>>(), None).map(str::to_owned);
        assert_eq!(latest(&["1.9.0", "1.10.0", "1.2"]).as_deref(), Some("1.10.0"));
        assert_eq!(latest(&["2.0.0-rc1", "2.0.0", "1.0"]).as_deref(), Some("2.0.0"));
        assert_eq!(latest(&["2.0.0-rc1", "1.0"]).as_deref(), Some("2.0.0-rc1"));
        assert_eq!(latest(&["v3", "2.5"]).as_deref(), Some("v3"));
        assert_eq!(latest(&[]), None);
    }
}
