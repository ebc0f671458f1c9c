//! Tables of every database, read back by what the databases make of their rows.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::rc::Rc;

use arrow_schema::DataType;
use chrono::{DateTime, NaiveDateTime, SecondsFormat};
use serde_json::{Value, json};

use super::schema;
use crate::config::load::WriteMode;
use crate::error::Result;
use crate::place::{self, Kind, Place};
use crate::sink::database::TableSink;
use crate::sink::{RunName, Sink};

/// A table of a database, another one for each folder.
#[derive(Clone)]
pub(super) struct Table {
    place: Rc<Place>,
    write_mode: WriteMode,
    /// Whether it is reached by ODBC, in the words of another database: then it is there before.
    by_odbc: bool,
}

impl fmt::Debug for Table {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let way = if self.by_odbc { " by ODBC" } else { "" };
        write!(formatter, "a table of {:?}{way}, {:?}", self.place.kind(), self.write_mode)
    }
}

/// One in each database that the machine has; in CI it has all.
pub(super) fn every_table() -> Vec<Table> {
    let ways: &[bool] = if cfg!(feature = "odbc") { &[false, true] } else { &[false] };
    let table = |by_odbc| move |place| Table { place: Rc::new(place), write_mode: WriteMode::Overwrite, by_odbc };
    ways.iter().flat_map(|by_odbc| place::every().into_iter().map(table(*by_odbc))).collect()
}

/// The name of the table of a folder.
fn name(root: &Path) -> String {
    let folder = root.file_name().unwrap().to_str().unwrap();
    format!("rows_{}", folder.trim_start_matches('.').to_lowercase())
}

impl Table {
    pub(super) fn that(self, write_mode: WriteMode) -> Self {
        Self { write_mode, ..self }
    }

    pub(super) fn open(&self, root: &Path, run: &RunName) -> Result<Box<dyn Sink>> {
        let method = if self.write_mode == WriteMode::Append { "insert" } else { "truncate_and_load" };
        let config = json!({ "table": name(root), "connection_string": self.url(root), "write_method": method });
        Ok(Box::new(TableSink::open(&serde_json::from_value(config).unwrap(), root, run, None)?))
    }

    #[cfg(not(feature = "odbc"))]
    fn url(&self, _: &Path) -> String {
        self.place.url()
    }

    #[cfg(feature = "odbc")]
    fn url(&self, root: &Path) -> String {
        use crate::servers::odbc::{string, url};
        if !self.by_odbc {
            return self.place.url();
        }
        let (text, at) = match self.place.kind() {
            Kind::Postgres => ("text", "timestamptz"),
            Kind::Mariadb => ("varchar(200)", "datetime(6)"),
            Kind::Sqlite => ("varchar(200)", "timestamp"),
        };
        self.place.sql(&format!(
            "CREATE TABLE IF NOT EXISTS {} (id bigint, kind {text}, text {text}, price double precision, paid boolean, day date, at {at})",
            name(root)
        ));
        url("mssql", &string(&self.place.url()).expect("its driver is there"))
    }

    /// The table with its rows, where there are any.
    pub(super) fn found(&self, root: &Path) -> BTreeMap<String, Vec<u8>> {
        let rows = self.lines(root).into_bytes();
        if rows.is_empty() { BTreeMap::new() } else { BTreeMap::from([("rows".into(), rows)]) }
    }

    /// Each row as JSON that the database makes of it.
    fn lines(&self, root: &Path) -> String {
        let table = name(root);
        let (catalogue, named, object) = match self.place.kind() {
            Kind::Postgres => ("information_schema.tables", "table_name", "json_build_object"),
            Kind::Mariadb => ("information_schema.tables", "table_name", "json_object"),
            Kind::Sqlite => ("sqlite_schema", "name", "json_object"),
        };
        if self.place.sql(&format!("SELECT count(*) FROM {catalogue} WHERE {named} = '{table}'")) == "0\n" {
            return String::new();
        }
        let members: Vec<String> = schema().fields().iter().map(|field| format!("'{0}', {0}", field.name())).collect();
        self.place.sql(&format!("SELECT {object}({}) FROM {table} ORDER BY id", members.join(", ")))
    }

    pub(super) fn read_back(&self, root: &Path) -> Vec<Value> {
        let lines = self.lines(root);
        // Its client writes a backslash as two.
        let lines = if self.place.kind() == Kind::Mariadb { lines.replace("\\\\", "\\") } else { lines };
        let row = |line: &str| {
            let mut row: Value = serde_json::from_str(line).unwrap();
            schema().fields().iter().for_each(|field| {
                let value = row[field.name()].take();
                row[field.name()] = typed(value, field.data_type());
            });
            row
        };
        lines.lines().map(row).collect()
    }
}

/// A value as every other reader has it: databases have their own forms for truth, floats and instants.
fn typed(value: Value, kind: &DataType) -> Value {
    match (&value, kind) {
        (Value::Number(number), DataType::Boolean) => Value::from(number.as_i64() == Some(1)),
        (Value::Number(number), DataType::Float64) => Value::from(number.as_f64()),
        (Value::String(text), DataType::Timestamp(..)) => {
            let text = text.replace(' ', "T");
            let instant = DateTime::parse_from_rfc3339(&text).map(|instant| instant.to_utc());
            let instant = instant.unwrap_or_else(|_| NaiveDateTime::parse_from_str(&text, "%Y-%m-%dT%H:%M:%S%.f").unwrap().and_utc());
            Value::from(instant.to_rfc3339_opts(SecondsFormat::AutoSi, true))
        }
        _ => value,
    }
}
