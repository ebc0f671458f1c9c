//! The statements that write rows, each run once a row.

use super::super::Shape;
use super::super::columns::quote;
use crate::config::database::WriteMethod;
use crate::remote::odbc::Speech;

/// A statement.
#[derive(Debug, PartialEq)]
pub(super) struct Step {
    pub(super) sql: String,
    /// Which of a row's values it takes, in order.
    pub(super) places: Vec<usize>,
    pub(super) does: Does,
}

/// What becomes of the rows that a statement changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Does {
    Insert,
    Update,
    Delete,
}

/// The statements of a method, in their order.
///
/// `upsert` is an update and an insert of what is not there, and no `MERGE`: that tells the rows it changed and those it added in one number.
pub(super) fn steps(shape: &Shape, speech: Speech) -> Vec<Step> {
    let Shape { table, columns, key, update, method, .. } = shape;
    let name = |name: &String| quote(table.dialect, name);
    let target = table.sql();
    let place = |wanted: &String| columns.iter().position(|column| column == wanted).unwrap_or_default();
    let places = |names: &[String]| names.iter().map(place).collect::<Vec<_>>();
    let all: Vec<usize> = (0..columns.len()).collect();
    let marks = vec!["?"; columns.len()].join(", ");
    let same = key.iter().map(|key| format!("{} = ?", name(key))).collect::<Vec<_>>().join(" AND ");
    let into = format!("INSERT INTO {target} ({})", shape.columns_sql());
    let insert = || Step { sql: format!("{into} VALUES ({marks})"), places: all.clone(), does: Does::Insert };
    let delete = || Step { sql: format!("DELETE FROM {target} WHERE {same}"), places: places(key), does: Does::Delete };
    let change = || {
        let set = update.iter().map(|column| format!("{} = ?", name(column))).collect::<Vec<_>>().join(", ");
        let sql = format!("UPDATE {target} SET {set} WHERE {same}");
        (!update.is_empty()).then(|| Step { sql, places: [places(update), places(key)].concat(), does: Does::Update })
    };
    match method {
        WriteMethod::Insert | WriteMethod::TruncateAndLoad => vec![insert()],
        WriteMethod::Delete => vec![delete()],
        WriteMethod::Replace => vec![delete(), insert()],
        WriteMethod::Update => change().into_iter().collect(),
        WriteMethod::Upsert => {
            let (from, hint) = match speech {
                Speech::Oracle => (" FROM dual", ""),
                // Nobody adds the key between the look and the insert.
                Speech::Mssql => ("", " WITH (UPDLOCK, HOLDLOCK)"),
                Speech::Postgres | Speech::Other => ("", ""),
            };
            let sql = format!("{into} SELECT {marks}{from} WHERE NOT EXISTS (SELECT 1 FROM {target}{hint} WHERE {same})");
            let add = Step { sql, places: [all.clone(), places(key)].concat(), does: Does::Insert };
            change().into_iter().chain([add]).collect()
        }
    }
}

/// How a place in a transaction is marked, gone back to, and forgotten.
pub(super) fn savepoint(speech: Speech) -> [&'static str; 3] {
    match speech {
        Speech::Mssql => ["SAVE TRANSACTION etl_host", "ROLLBACK TRANSACTION etl_host", ""],
        // One of the same name takes its place.
        Speech::Oracle => ["SAVEPOINT etl_host", "ROLLBACK TO SAVEPOINT etl_host", ""],
        Speech::Postgres | Speech::Other => ["SAVEPOINT etl_host", "ROLLBACK TO SAVEPOINT etl_host", "RELEASE SAVEPOINT etl_host"],
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::columns::Table;
    use super::super::super::fit::Fit;
    use super::*;
    use crate::config::database::{Dialect, SchemaEvolution};

    fn shape(dialect: Dialect, method: WriteMethod, update: &[&str]) -> Shape {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        Shape {
            table: Table::new(dialect, Some("sales"), "orders"),
            columns: owned(&["id", "day", "No]te"]),
            left_out: Vec::new(),
            key: owned(&["day", "id"]),
            update: owned(update),
            method,
            others_unique: false,
            settled: false,
            relation: crate::sink::database::Relation::Table,
            fit: Fit { dialect, columns: Vec::new(), lacking: Vec::new(), policy: SchemaEvolution::Evolve },
        }
    }

    fn told(dialect: Dialect, speech: Speech, method: WriteMethod, update: &[&str]) -> Vec<(String, Vec<usize>)> {
        steps(&shape(dialect, method, update), speech).into_iter().map(|step| (step.sql, step.places)).collect()
    }

    #[test]
    fn statements_are_in_the_words_of_who_answers() {
        assert_eq!(
            told(Dialect::Mssql, Speech::Mssql, WriteMethod::Upsert, &["No]te"]),
            [
                ("UPDATE \"sales\".\"orders\" SET \"No]te\" = ? WHERE \"day\" = ? AND \"id\" = ?".into(), vec![2, 1, 0]),
                (
                    "INSERT INTO \"sales\".\"orders\" (\"id\", \"day\", \"No]te\") SELECT ?, ?, ? WHERE NOT EXISTS (SELECT 1 FROM \
                     \"sales\".\"orders\" WITH (UPDLOCK, HOLDLOCK) WHERE \"day\" = ? AND \"id\" = ?)"
                        .into(),
                    vec![0, 1, 2, 1, 0]
                ),
            ]
        );
        // What stands in small letters stands in capitals there.
        assert_eq!(
            told(Dialect::Oracle, Speech::Oracle, WriteMethod::Upsert, &[]),
            [(
                "INSERT INTO \"SALES\".\"ORDERS\" (\"ID\", \"DAY\", \"No]te\") SELECT ?, ?, ? FROM dual WHERE NOT EXISTS (SELECT 1 FROM \
                 \"SALES\".\"ORDERS\" WHERE \"DAY\" = ? AND \"ID\" = ?)"
                    .into(),
                vec![0, 1, 2, 1, 0]
            )]
        );
        assert_eq!(told(Dialect::Mssql, Speech::Mssql, WriteMethod::Replace, &[]).len(), 2);
        assert_eq!(told(Dialect::Mssql, Speech::Mssql, WriteMethod::Update, &[]), []);
    }
}
