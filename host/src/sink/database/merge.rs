//! Brings staged rows into canonical tables, by SQL that is made here.

use super::Backend;
use super::columns::{Column, Holds, Table, quote, quoted};
use super::said::Said;
use crate::config::database::{DatabaseSink, Dialect};
use crate::config::merge::{Merge, MergeRule};
use crate::error::{Error, PhaseName, Result, did_you_mean};
use crate::report::TableReport;

/// Merges all that `merge` names, in order, within the transaction; answers what became of each canonical table.
///
/// # Errors
/// Config, where tables or columns are not there; data, where the database refuses a row, since staged rows have no letters.
pub(super) fn merge(backend: &mut dyn Backend, sink: &DatabaseSink) -> Result<Vec<TableReport>> {
    sink.merge.iter().map(|merge| one(backend, sink, merge).map_err(|error| error.in_phase(PhaseName::Merge))).collect()
}

/// Looks for the tables and columns that `merge` names, for a run that writes nothing; `staged` names the columns that the load's table would have.
///
/// # Errors
/// Config, where one is not there.
pub(super) fn rehearse(backend: &mut dyn Backend, sink: &DatabaseSink, staged: &[String]) -> Result<()> {
    sink.merge
        .iter()
        .try_for_each(|merge| Tables::find(backend, sink, merge, Some(staged)).map(drop).map_err(|error| error.in_phase(PhaseName::Merge)))
}

/// What one merge is about.
struct Tables {
    into: Table,
    from: Table,
    canonical: Vec<Column>,
    /// The columns of the canonical table that are written, each with the SQL of its value.
    values: Vec<(String, String)>,
}

impl Tables {
    /// Looks for them; `staged` names the columns of the load's table where it is still to be made.
    fn find(backend: &mut dyn Backend, sink: &DatabaseSink, merge: &Merge, staged: Option<&[String]>) -> Result<Self> {
        let dialect = sink.connection_string.dialect;
        let table = |name: &str| Table::new(dialect, sink.schema_name.as_deref().filter(|_| !name.contains('.')), name);
        let (into, from) = (table(&merge.into), table(merge.from.as_deref().unwrap_or(&sink.table)));
        let mut look = |table: &Table| match backend.columns(table) {
            Ok(columns) if columns.is_empty() => {
                Err(Error::config(format!("`merge` names the table `{}`, which is not there", table.shown()))
                    .hint("create it, or correct the name"))
            }
            columns => columns.map_err(|said| said.error(format!("cannot look at the table `{}`", table.shown()))),
        };
        let canonical = look(&into)?;
        let staged = match staged.filter(|_| from == table(&sink.table)) {
            Some(staged) => staged.to_vec(),
            None => look(&from)?.into_iter().filter(|column| !column.generated).map(|column| column.name).collect(),
        };
        let values = values(merge, &into, &canonical, &staged)?;
        Ok(Self { into, from, canonical, values })
    }
}

/// The statements of one merge.
#[derive(Debug, PartialEq)]
struct Statements {
    /// Counts the rows of which nobody can tell whether they are there.
    keyless: String,
    update: Option<String>,
    insert: String,
}

fn one(backend: &mut dyn Backend, sink: &DatabaseSink, merge: &Merge) -> Result<TableReport> {
    let Tables { into, from, canonical, values } = Tables::find(backend, sink, merge, None)?;
    let unordered = canonical.iter().filter(|column| matches!(column.holds, Holds::Json | Holds::Array | Holds::Other));
    let unordered: Vec<&str> = unordered.map(|column| column.name.as_str()).collect();
    let Statements { keyless, update, insert } = statements(merge, &into, &from, &values, &unordered);
    let failed = |said: Said| said.error(format!("cannot merge `{}` into `{}`", from.shown(), into.shown()));
    let counted = backend.texts(&keyless).map_err(failed)?;
    let left_out = counted.first().and_then(|row| row[0].as_ref()?.trim().parse().ok()).unwrap_or(0);
    if left_out > 0 {
        tracing::warn!(table = into.shown(), rows = left_out, "staged rows were left out of the merge, since a part of their key is null");
    }
    let mut run = |sql: &str| backend.execute(sql).map_err(failed);
    let updated = update.as_deref().map_or(Ok(0), &mut run)?;
    Ok(TableReport { table: into.shown(), inserted: run(&insert)?, updated, deleted: 0, left_out })
}

/// The columns of the canonical table that are written, each with the SQL of its value.
fn values(merge: &Merge, into: &Table, canonical: &[Column], staged: &[String]) -> Result<Vec<(String, String)>> {
    let dialect = into.dialect;
    let takes = |name: &String| canonical.iter().any(|column| column.name == *name && !column.generated);
    let missing = |name: &String| {
        let names: Vec<&str> = canonical.iter().map(|column| column.name.as_str()).collect();
        let error = Error::config(format!("`merge` names the column `{name}` of `{}`, which has {}", into.shown(), names.join(", ")));
        match did_you_mean(name, names.iter().copied()) {
            Some(meant) => error.hint(format!("did you mean `{meant}`?")),
            None => error,
        }
    };
    let mut values: Vec<(String, String)> = Vec::new();
    for name in merge.key.iter().chain(merge.columns.keys()) {
        if !takes(name) {
            return Err(missing(name));
        }
        let given = merge.columns.get(name).cloned();
        if given.is_none() && !staged.contains(name) {
            return Err(Error::config(format!("`merge` finds no value for the key `{name}` of `{}`", into.shown()))
                .hint(format!("say under `columns` how it is made: `{name}: a_staged_column`")));
        }
        if !values.iter().any(|(known, _)| known == name) {
            values.push((name.clone(), given.unwrap_or_else(|| quote(dialect, name))));
        }
    }
    if merge.columns.is_empty() {
        let both =
            canonical.iter().filter(|column| staged.contains(&column.name) && !merge.key.contains(&column.name) && !column.generated);
        values.extend(both.map(|column| (column.name.clone(), quote(dialect, &column.name))));
    }
    Ok(values)
}

/// A canonical row is changed where a key is there, then rows are added whose key is not.
fn statements(merge: &Merge, into: &Table, from: &Table, values: &[(String, String)], unordered: &[&str]) -> Statements {
    let dialect = into.dialect;
    let name = |name: &String| quote(dialect, name);
    let (target, keys) = (into.sql(), quoted(dialect, &merge.key));
    let made = values.iter().map(|(column, sql)| format!("({sql}) AS {}", name(column))).collect::<Vec<_>>().join(", ");
    let within = merge.condition.as_ref().map(|condition| format!(" WHERE ({condition})")).unwrap_or_default();
    let columns: Vec<String> = values.iter().map(|(column, _)| column.clone()).collect();
    let all = quoted(dialect, &columns);
    // Whatever the order in which the database finds them, the same row is taken.
    let latest = merge.latest_by.as_ref().map(|sql| format!(", ({sql}) AS etl_host_latest")).unwrap_or_default();
    let order =
        merge.latest_by.iter().map(|_| "etl_host_latest IS NULL, etl_host_latest DESC".to_owned()).chain(columns.iter().map(|column| {
            // PostgreSQL knows no order of documents and points.
            let text = if dialect == Dialect::Postgres && unordered.contains(&column.as_str()) { "::text" } else { "" };
            format!("{0} IS NULL, {0}{text} DESC", name(column))
        }));
    let order = order.collect::<Vec<_>>().join(", ");
    let known = merge.key.iter().map(|key| format!("{} IS NOT NULL", name(key))).collect::<Vec<_>>().join(" AND ");
    let from = from.sql();
    let text = if dialect == Dialect::Mysql { "CHAR" } else { "TEXT" };
    let keyless = format!("SELECT CAST(count(*) AS {text}) FROM (SELECT {made} FROM {from}{within}) AS made WHERE NOT ({known})");
    let rows = format!(
        "(SELECT {all} FROM (SELECT made.*, row_number() OVER (PARTITION BY {keys} ORDER BY {order}) AS etl_host_rank \
         FROM (SELECT {made}{latest} FROM {from}{within}) AS made) AS ranked WHERE etl_host_rank = 1 AND {known})"
    );
    let same = merge.key.iter().map(|key| format!("t.{0} = s.{0}", name(key))).collect::<Vec<_>>().join(" AND ");
    let others: Vec<&String> = columns.iter().filter(|column| !merge.key.contains(column)).collect();
    let update = (merge.rule != MergeRule::Keep && !others.is_empty()).then(|| {
        let value = |column: &String| {
            let column = name(column);
            match merge.rule {
                MergeRule::Update | MergeRule::Keep => format!("s.{column}"),
                MergeRule::UpdateKnown => format!("COALESCE(s.{column}, t.{column})"),
                MergeRule::Fill => format!("COALESCE(t.{column}, s.{column})"),
            }
        };
        match dialect {
            Dialect::Mysql => {
                let set = others.iter().map(|column| format!("t.{} = {}", name(column), value(column))).collect::<Vec<_>>().join(", ");
                format!("UPDATE {target} AS t JOIN {rows} AS s ON {same} SET {set}")
            }
            _ => {
                let set = others.iter().map(|column| format!("{} = {}", name(column), value(column))).collect::<Vec<_>>().join(", ");
                format!("UPDATE {target} AS t SET {set} FROM {rows} AS s WHERE {same}")
            }
        }
    });
    let insert =
        format!("INSERT INTO {target} ({all}) SELECT {all} FROM {rows} AS s WHERE NOT EXISTS (SELECT 1 FROM {target} AS t WHERE {same})");
    Statements { keyless, update, insert }
}
