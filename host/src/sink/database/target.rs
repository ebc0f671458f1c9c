//! The table that rows go to: found, made or widened, and held to what the method needs.

use arrow_schema::{Schema, SchemaRef};

use super::columns::{Column, Holds, Table, literal, quote, quoted};
use super::fit::{Fit, Fitting, never_fits};
use super::said::{Said, Why};
use super::{Backend, Relation, Shape};
use crate::config::database::{CreateTable, DatabaseSink, Dialect, SchemaEvolution, WriteMethod};
use crate::error::{Error, Result, did_you_mean};

/// Whether anything may be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doing {
    Load,
    /// Only looked at: a dry run.
    Rehearse,
}

/// Finds, makes or widens the table for rows of a schema; answers what is written and how rows fit.
///
/// # Errors
/// Config, where the method and the table do not go together; data, where rows cannot fit; outside.
pub(super) fn prepare(backend: &mut dyn Backend, sink: &DatabaseSink, schema: &SchemaRef, doing: Doing) -> Result<Shape> {
    let dialect = sink.connection_string.dialect;
    let table = Table::new(dialect, sink.schema_name.as_deref(), &sink.table);
    let key = sink.key().to_vec();
    check_names(&table, schema)?;
    if !schema.fields().is_empty() {
        check_columns("primary_key", &key, schema)?;
        check_columns("update_columns", sink.update_columns.as_deref().unwrap_or_default(), schema)?;
    }
    let mut columns = look(backend, &table)?;
    if columns.is_empty() {
        columns = create(backend, sink, &table, schema, doing)?;
    } else {
        check_meeting(sink, &table, &columns, schema)?;
        if evolve(backend, sink, &table, &columns, schema, doing)? {
            columns = look(backend, &table)?;
        }
    }
    let policy = sink.schema_evolution;
    let (mut fittings, mut lacking) = (Vec::new(), Vec::new());
    for field in schema.fields() {
        match find(&columns, field.name(), dialect) {
            Some(to) if to.generated => {
                return Err(Error::config(format!(
                    "column `{}` of `{}` is worked out by the database, but the rows have one",
                    to.name,
                    table.shown()
                ))
                .hint("leave it out with `drop` or `select` in transform.yaml"));
            }
            Some(to) => {
                // MySQL forgets of a column that is changed what is not said once more.
                let keeps = dialect != Dialect::Mysql || !to.filled;
                let wider = to.widened(dialect, field.data_type()).filter(|_| policy == SchemaEvolution::Evolve && keeps);
                fittings.push(Fitting { from: field.name().clone(), to: to.clone(), key: key.contains(field.name()), wider });
            }
            None if policy == SchemaEvolution::DiscardValue => {}
            None => lacking.push(field.name().clone()),
        }
    }
    if sink.method() == WriteMethod::Delete {
        fittings.retain(|fitting| fitting.key);
    }
    let named = |names: &[String]| -> Vec<String> {
        let to = names.iter().filter_map(|name| fittings.iter().find(|fitting| fitting.from == *name));
        to.map(|fitting| fitting.to.name.clone()).collect()
    };
    let update = match &sink.update_columns {
        Some(names) => named(names),
        None => fittings.iter().filter(|fitting| !fitting.key && !fitting.to.fixed).map(|fitting| fitting.to.name.clone()).collect(),
    };
    let written: Vec<String> = fittings.iter().map(|fitting| fitting.to.name.clone()).collect();
    let shape = Shape {
        key: named(&key),
        update,
        left_out: columns.iter().filter(|column| !written.contains(&column.name)).map(|column| column.name.clone()).collect(),
        columns: written,
        method: sink.method(),
        others_unique: false,
        settled: false,
        relation: if columns.is_empty() { Relation::Table } else { relation(backend, &table)? },
        table,
        fit: Fit { dialect, columns: fittings, lacking, policy },
    };
    if columns.is_empty() || schema.fields().is_empty() {
        return Ok(shape);
    }
    check_filled(&shape, &columns)?;
    check_key(backend, sink, shape, doing)
}

/// Checks that rows and a table that is there have to do with each other: the key is there, and no column takes two values.
fn check_meeting(sink: &DatabaseSink, table: &Table, columns: &[Column], schema: &Schema) -> Result<()> {
    let have = || columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>();
    // Without a part of its key, rows would be taken for the same that are not.
    let tells_apart = !matches!(sink.method(), WriteMethod::Insert | WriteMethod::TruncateAndLoad);
    if let Some(name) = sink.key().iter().find(|name| tells_apart && find(columns, name, table.dialect).is_none()) {
        let error = Error::config(format!("the key has the column `{name}`, but `{}` has {}", table.shown(), have().join(", ")));
        return Err(match did_you_mean(name, have()) {
            Some(meant) => error.hint(format!("did you mean `{meant}`? `rename` in transform.yaml gives the rows that column")),
            None => error.hint("correct the key, or add the column to the table"),
        });
    }
    let mut taken: Vec<(&str, &str)> = Vec::new();
    for field in schema.fields() {
        let Some(column) = find(columns, field.name(), table.dialect) else { continue };
        if let Some((_, other)) = taken.iter().find(|(name, _)| *name == column.name) {
            return Err(Error::config(format!(
                "the columns `{other}` and `{}` of the rows both go to column `{}` of `{}`",
                field.name(),
                column.name,
                table.shown()
            ))
            .hint("leave one of them out with `drop` in transform.yaml, or rename it"));
        }
        taken.push((&column.name, field.name()));
    }
    if taken.is_empty() && !schema.fields().is_empty() && sink.schema_evolution != SchemaEvolution::Evolve {
        return Err(Error::config(format!("`{}` has no column that the rows have, but {}", table.shown(), have().join(", ")))
            .hint("rename the columns in transform.yaml, or correct `table`"));
    }
    Ok(())
}

/// Checks that every column has a value that needs one.
fn check_filled(shape: &Shape, columns: &[Column]) -> Result<()> {
    let needs = |column: &&Column| !(column.nullable || column.filled || column.generated) && shape.left_out.contains(&column.name);
    match columns.iter().find(needs) {
        Some(column) if !matches!(shape.method, WriteMethod::Update | WriteMethod::Delete) => Err(Error::config(format!(
            "column `{}` of `{}` must not be null and has no default, but the rows have no such column",
            column.name,
            shape.table.shown()
        ))
        .hint("add it in transform.yaml, or give it a default in the database")),
        _ => Ok(()),
    }
}

fn look(backend: &mut dyn Backend, table: &Table) -> Result<Vec<Column>> {
    backend.columns(table).map_err(|said| said.error(format!("cannot look at the table `{}`", table.shown())))
}

fn relation(backend: &mut dyn Backend, table: &Table) -> Result<Relation> {
    backend.relation(table).map_err(|said| said.error(format!("cannot look at the table `{}`", table.shown())))
}

/// Finds a column by its name: as it is, else without regard to case, as SQL without quotes does.
fn find<'a>(columns: &'a [Column], name: &str, dialect: Dialect) -> Option<&'a Column> {
    let exact = columns.iter().find(|column| column.name == name);
    let mut alike = columns.iter().filter(|column| column.name.eq_ignore_ascii_case(name));
    let alike = alike.next().filter(|_| dialect != Dialect::Postgres || alike.next().is_none());
    exact.or(alike)
}

/// Holds names to what the database keeps of them: PostgreSQL cuts them off without a word.
fn check_names(table: &Table, schema: &Schema) -> Result<()> {
    let most = match table.dialect {
        Dialect::Postgres => 63,
        Dialect::Mysql => 64,
        Dialect::Mssql | Dialect::Oracle => 128,
        Dialect::Sqlite => usize::MAX,
    };
    let names = [&table.name].into_iter().chain(schema.fields().iter().map(|field| field.name()));
    for name in names {
        if name.len() > most || name.is_empty() || name.contains('\0') {
            return Err(Error::config(format!(
                "`{name}` cannot be the name of a table or column there: it has {} bytes, 1 to {most} are kept",
                name.len()
            ))
            .hint("rename the column in transform.yaml"));
        }
    }
    Ok(())
}

/// Checks that rows have the columns that a key of `load.yaml` names.
fn check_columns(option: &str, names: &[String], schema: &Schema) -> Result<()> {
    for name in names {
        if schema.field_with_name(name).is_err() {
            let have: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
            let error =
                Error::config(format!("`{option}` names the column `{name}`, which the rows have not; they have {}", have.join(", ")));
            return Err(match did_you_mean(name, have.iter().copied()) {
                Some(meant) => error.hint(format!("did you mean `{meant}`?")),
                None => error,
            });
        }
    }
    Ok(())
}

fn create(backend: &mut dyn Backend, sink: &DatabaseSink, table: &Table, schema: &SchemaRef, doing: Doing) -> Result<Vec<Column>> {
    let dialect = table.dialect;
    if sink.create_table == CreateTable::Never {
        return Err(Error::config(format!("there is no table `{}` in `{}`", table.shown(), sink.connection_string))
            .hint("create it, correct `table` or `schema_name`, or write `create_table: if_missing`"));
    }
    if matches!(sink.method(), WriteMethod::Update | WriteMethod::Delete) {
        return Err(Error::config(format!("there is no table `{}` whose rows could be changed or deleted", table.shown()))
            .hint("correct `table` or `schema_name`"));
    }
    if schema.fields().is_empty() {
        return Ok(Vec::new());
    }
    let keys = [&sink.primary_key.0, &sink.unique_constraints.0];
    let is_key = |name: &String| keys.iter().any(|key| key.contains(name));
    let declared = |field: &arrow_schema::FieldRef| Holds::declare(dialect, field.data_type(), is_key(field.name()));
    let mut lines: Vec<String> = Vec::new();
    for field in schema.fields() {
        let not_null = if sink.primary_key.0.contains(field.name()) { " NOT NULL" } else { "" };
        lines.push(format!("{} {}{not_null}", quote(dialect, field.name()), declared(field)));
    }
    for (key, what) in keys.into_iter().zip(["PRIMARY KEY", "UNIQUE"]).filter(|(key, _)| !key.is_empty()) {
        check_columns(if what == "UNIQUE" { "unique_constraints" } else { "primary_key" }, key, schema)?;
        lines.push(format!("{what} ({})", quoted(dialect, key)));
    }
    let tail = if dialect == Dialect::Mysql { collation(backend, table)? } else { String::new() };
    if doing == Doing::Load {
        check_alike(backend, table)?;
        let failed = |said: Said| said.error(format!("cannot create the table `{}`", table.shown()));
        let undoes = matches!(dialect, Dialect::Postgres | Dialect::Sqlite);
        if undoes {
            backend.execute("SAVEPOINT etl_host_create").map_err(failed)?;
        }
        let done = backend.execute(&format!("CREATE TABLE {} ({}){tail}", table.sql(), lines.join(", ")));
        if undoes {
            let then = if done.is_ok() { "RELEASE SAVEPOINT etl_host_create" } else { "ROLLBACK TO SAVEPOINT etl_host_create" };
            if let Err(next) = backend.execute(then) {
                return Err(failed(done.err().unwrap_or(next)));
            }
        }
        let columns = look(backend, table)?;
        return match done {
            Ok(_) => {
                tracing::info!(table = table.shown(), "the table was not there and was created");
                Ok(columns)
            }
            // Another run has made it in this moment.
            Err(_) if !columns.is_empty() => Ok(columns),
            Err(said) => Err(failed(said)),
        };
    }
    let column = |field: &arrow_schema::FieldRef| Column {
        name: field.name().clone(),
        declared: declared(field),
        holds: Holds::Other,
        drops: None,
        items: None,
        domain: false,
        nullable: !sink.primary_key.0.contains(field.name()),
        filled: false,
        generated: false,
        fixed: false,
    };
    Ok(schema.fields().iter().map(column).collect())
}

/// By what a new table of MySQL compares its texts: keys that differ stay different, also by letters' case or blanks behind them.
fn collation(backend: &mut dyn Backend, table: &Table) -> Result<String> {
    // What MariaDB and what MySQL call it; older ones compare all letters, but not the blanks.
    let sql = "SELECT CAST(collation_name AS CHAR) FROM information_schema.collations \
               WHERE collation_name IN ('utf8mb4_nopad_bin', 'utf8mb4_0900_bin', 'utf8mb4_bin') \
               ORDER BY collation_name = 'utf8mb4_bin', collation_name = 'utf8mb4_0900_bin' LIMIT 1";
    let found = backend.texts(sql).map_err(|said| said.error(format!("cannot create the table `{}`", table.shown())))?;
    let name = found.into_iter().next().and_then(|mut row| row.remove(0)).unwrap_or_else(|| "utf8mb4_bin".into());
    Ok(format!(" CHARACTER SET utf8mb4 COLLATE {name}"))
}

/// Refuses to make a table beside one whose name differs by the case of letters: it was meant.
fn check_alike(backend: &mut dyn Backend, table: &Table) -> Result<()> {
    let (name, dialect) = (literal(table.dialect, &table.name), table.dialect);
    let schema = |now: &str| table.schema.as_ref().map_or_else(|| now.to_owned(), |schema| literal(dialect, schema));
    let sql = match dialect {
        Dialect::Postgres => format!(
            "SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE n.nspname = {} AND lower(c.relname) = lower({name}) AND c.relkind IN ('r', 'p', 'v', 'f')",
            schema("current_schema()")
        ),
        Dialect::Mysql => format!(
            "SELECT CAST(table_name AS CHAR) FROM information_schema.tables WHERE table_schema = {} AND lower(table_name) = lower({name})",
            schema("DATABASE()")
        ),
        // Its names have no case.
        _ => return Ok(()),
    };
    let found = backend.texts(&sql).map_err(|said| said.error(format!("cannot look for the table `{}`", table.shown())))?;
    // One of just this name was made by another run since.
    match found.first().and_then(|row| row[0].as_ref()).filter(|alike| **alike != table.name) {
        Some(alike) => Err(Error::config(format!("there is no table `{}`, but one `{alike}`", table.shown()))
            .hint(format!("did you mean `table: {alike}`? names of tables are taken as they are written"))),
        None => Ok(()),
    }
}

/// Adds columns and widens types where the policy says so; answers whether anything was changed.
fn evolve(
    backend: &mut dyn Backend,
    sink: &DatabaseSink,
    table: &Table,
    columns: &[Column],
    schema: &SchemaRef,
    doing: Doing,
) -> Result<bool> {
    let dialect = table.dialect;
    let policy = sink.schema_evolution;
    let mut changes = Vec::new();
    for field in schema.fields() {
        let (name, kind) = (field.name(), field.data_type());
        if sink.method() == WriteMethod::Delete && !sink.key().contains(name) {
            continue;
        }
        match find(columns, name, dialect) {
            None if policy == SchemaEvolution::Freeze => {
                return Err(Error::data(format!(
                    "the rows have a column `{name}`, but `{}` has not, and `schema_evolution` is `freeze`",
                    table.shown()
                ))
                .hint("leave it out with `select` in transform.yaml, add it to the table, or write `schema_evolution: evolve`"));
            }
            None if policy == SchemaEvolution::Evolve => {
                let declared = Holds::declare(dialect, kind, sink.key().contains(name));
                let add = if dialect.is_odbc() { "ADD" } else { "ADD COLUMN" };
                changes.push((format!("{add} {} {declared}", quote(dialect, name)), format!("{name} {declared}")));
            }
            None => {}
            Some(column) => {
                // It is widened once a value needs it.
                let widens = policy == SchemaEvolution::Evolve && column.widened(dialect, kind).is_some();
                if !widens && never_fits(kind, column.holds, dialect) && matches!(policy, SchemaEvolution::Evolve | SchemaEvolution::Freeze)
                {
                    return Err(Error::data(format!(
                        "column `{name}` of the rows is {kind}, which column `{}` of `{}` ({}) never holds",
                        column.name,
                        table.shown(),
                        column.declared
                    ))
                    .hint("convert it in transform.yaml, or change the table"));
                }
            }
        }
    }
    if doing == Doing::Load {
        for (sql, shown) in &changes {
            let sql = format!("ALTER TABLE {} {sql}", table.sql());
            backend.execute(&sql).map_err(|said| said.error(format!("cannot change the table `{}`: {shown}", table.shown())))?;
            tracing::info!(table = table.shown(), change = shown, "the table was changed to hold the rows");
        }
    }
    Ok(!changes.is_empty() && doing == Doing::Load)
}

/// Widens a column that a value needs wider, where the table lets it; one that a view or another column is made from stays as it is.
pub(super) fn widen(backend: &mut dyn Backend, table: &Table, fitting: &Fitting) -> Result<bool> {
    let (Column { name, declared, nullable, .. }, Some((_, wider))) = (&fitting.to, fitting.wider) else { return Ok(false) };
    let quoted = quote(table.dialect, name);
    let sql = match table.dialect {
        Dialect::Mysql => format!("MODIFY COLUMN {quoted} {wider}{}", if *nullable { "" } else { " NOT NULL" }),
        _ => format!("ALTER COLUMN {quoted} TYPE {wider}"),
    };
    let shown = format!("{name} {declared} to {wider}");
    let failed = |said: Said| said.error(format!("cannot change the table `{}`: {shown}", table.shown()));
    // MySQL has no transaction open, and would end one.
    let undoes = matches!(table.dialect, Dialect::Postgres | Dialect::Sqlite);
    if undoes {
        backend.execute("SAVEPOINT etl_host_widen").map_err(failed)?;
    }
    let widened = match backend.execute(&format!("ALTER TABLE {} {sql}", table.sql())) {
        Ok(_) => true,
        Err(Said { why: Why::Asked | Why::Denied, message, .. }) => {
            tracing::warn!(table = table.shown(), change = shown, error = message, "a column stays as narrow as it is");
            false
        }
        Err(said) => return Err(failed(said)),
    };
    if widened {
        // The table is rewritten, and locked for as long: people want to know.
        tracing::warn!(table = table.shown(), change = shown, "a value needs a wider column, so that the table is changed");
        backend.changed();
    }
    if undoes {
        backend
            .execute(if widened { "RELEASE SAVEPOINT etl_host_widen" } else { "ROLLBACK TO SAVEPOINT etl_host_widen" })
            .map_err(failed)?;
    }
    Ok(widened)
}

/// Checks that an index settles which rows are the same, where the method asks the database for that.
fn check_key(backend: &mut dyn Backend, sink: &DatabaseSink, mut shape: Shape, doing: Doing) -> Result<Shape> {
    let asks = shape.method == WriteMethod::Replace && shape.table.dialect == Dialect::Mysql;
    if shape.method != WriteMethod::Upsert && !asks || shape.columns.is_empty() {
        return Ok(shape);
    }
    let table = &shape.table;
    let unique = backend.unique_keys(table).map_err(|said| said.error(format!("cannot look at the indexes of `{}`", table.shown())))?;
    if unique.is_empty() && doing == Doing::Rehearse && look(backend, table)?.is_empty() {
        // It is not there yet, and is made with its key.
        return Ok(shape);
    }
    let same =
        |key: &[String]| key.len() == shape.key.len() && key.iter().all(|name| shape.key.iter().any(|own| own.eq_ignore_ascii_case(name)));
    shape.others_unique = unique.iter().any(|key| !same(key));
    shape.settled = unique.iter().any(|key| same(key));
    if shape.settled || asks {
        return Ok(shape);
    }
    let names = quoted(table.dialect, &shape.key);
    let statement = match table.dialect {
        Dialect::Sqlite => {
            format!("CREATE UNIQUE INDEX {} ON {} ({names})", quote(table.dialect, &format!("{}_key", table.name)), table.sql())
        }
        _ => format!("ALTER TABLE {} ADD UNIQUE ({names})", table.sql()),
    };
    Err(Error::config(format!(
        "`upsert` into `{}` needs a unique index on its key ({}), and there is none",
        table.shown(),
        sink.key().join(", ")
    ))
    .hint(format!("run `{statement}`, or name the key that the table has")))
}

/// A text for SQL, for those who only have the table.
pub(super) fn text(table: &Table, text: &str) -> String {
    literal(table.dialect, text)
}
