//! The statement that is sent: the user's query, its parameters bound, and around it what orders its rows and leaves out those that are done.

use serde_json::Value;

use super::key::{Condition, Key};
use super::kind::Kind;
use crate::config::database::Dialect;
use crate::config::query::{Piece, Query};
use crate::error::{Error, Result};

pub(super) use super::fill::Fill;

/// A column of a query, as the database describes it.
#[derive(Clone, Debug)]
pub(super) struct Described {
    pub(super) name: String,
    /// What it holds; absent where only its values tell.
    pub(super) kind: Option<Kind>,
    /// What the database is to make of it, since its own values are read by nobody.
    pub(super) cast: Option<String>,
    /// Whether it is an exact number, with digits before and after the point.
    pub(super) is_numeric: bool,
    /// Whether the database compares texts of it by their bytes, where it is told to.
    pub(super) is_text: bool,
    /// Whether it is no text and has an order of its own, so that where it is read as text its values stand in another: 10 before 9.
    pub(super) has_own_order: bool,
    /// Its type in the database's own words, where those matter later.
    pub(super) declared: Option<String>,
}

/// A value of a parameter.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Bind {
    Null,
    Bool(bool),
    Int(i64),
    UInt(u64),
    Float(f64),
    Text(String),
}

impl From<&Value> for Bind {
    fn from(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
                (Some(value), ..) => Self::Int(value),
                (_, Some(value), _) => Self::UInt(value),
                (.., Some(value)) => Self::Float(value),
                _ => Self::Text(number.to_string()),
            },
            Value::String(text) => Self::Text(text.clone()),
            other => Self::Text(other.to_string()),
        }
    }
}

impl Bind {
    /// The value as text, which PostgreSQL reads as whatever type is wanted.
    pub(super) fn text(&self) -> Option<String> {
        match self {
            Self::Null => None,
            Self::Bool(value) => Some(value.to_string()),
            Self::Int(value) => Some(value.to_string()),
            Self::UInt(value) => Some(value.to_string()),
            Self::Float(value) => Some(format!("{value:?}")),
            Self::Text(text) => Some(text.clone()),
        }
    }

    /// The type that PostgreSQL would give it, where nothing else says one.
    fn type_name(&self) -> &'static str {
        match self {
            Self::Bool(_) => "boolean",
            Self::Int(_) => "bigint",
            Self::UInt(_) => "numeric",
            Self::Float(_) => "double precision",
            Self::Null | Self::Text(_) => "text",
        }
    }
}

/// A query with the values of its parameters.
#[derive(Clone, Debug)]
pub(super) struct Sql {
    dialect: Dialect,
    parts: Vec<Part>,
    binds: Vec<Bound>,
}

#[derive(Clone, Debug)]
enum Part {
    Text(String),
    /// Index of a value.
    Bind(usize),
}

#[derive(Clone, Debug)]
struct Bound {
    name: String,
    value: Bind,
    /// The type that PostgreSQL makes of its text.
    cast: Option<String>,
}

impl Sql {
    /// Gives a query's parameters their values; a list stands for its items.
    ///
    /// # Errors
    /// Config, where one has no value, or its list is empty.
    pub(super) fn new(query: &Query, dialect: Dialect, value: &dyn Fn(&str) -> Option<Value>) -> Result<Self> {
        let mut sql = Self { dialect, parts: Vec::new(), binds: Vec::new() };
        for piece in &query.pieces {
            match piece {
                Piece::Sql(text) => sql.parts.push(Part::Text(text.clone())),
                Piece::Parameter(name) => {
                    let value = value(name).ok_or_else(|| Error::config(format!("the parameter `:{name}` of the query has no value")))?;
                    sql.parameter(name, &value)?;
                }
            }
        }
        Ok(sql)
    }

    fn parameter(&mut self, name: &str, value: &Value) -> Result<()> {
        let Value::Array(items) = value else {
            let bind = self.bind(name, Bind::from(value));
            self.parts.push(Part::Bind(bind));
            return Ok(());
        };
        if items.is_empty() {
            return Err(Error::config(format!("the parameter `:{name}` of the query is an empty list"))
                .hint("SQL has no empty list: leave the run out, or give it a value that no row has"));
        }
        if self.is_array_wanted() {
            let bind = self.bind(name, Bind::Text(array_text(items)));
            self.parts.push(Part::Bind(bind));
            return Ok(());
        }
        let has_brackets = matches!(self.parts.last(), Some(Part::Text(before)) if before.trim_end().ends_with('('));
        let (open, close) = if has_brackets { ("", "") } else { ("(", ")") };
        self.parts.push(Part::Text(open.into()));
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.parts.push(Part::Text(", ".into()));
            }
            let bind = self.bind(&format!("{name}[{index}]"), Bind::from(item));
            self.parts.push(Part::Bind(bind));
        }
        self.parts.push(Part::Text(close.into()));
        Ok(())
    }

    /// Whether what comes next stands within `ANY(…)` of PostgreSQL.
    fn is_array_wanted(&self) -> bool {
        let Some(Part::Text(before)) = self.parts.last().filter(|_| self.dialect == Dialect::Postgres) else { return false };
        let Some(before) = before.trim_end().strip_suffix('(') else { return false };
        let word = before.trim_end().rsplit(|letter: char| !letter.is_ascii_alphanumeric()).next().unwrap_or_default();
        ["any", "all", "some"].iter().any(|name| word.eq_ignore_ascii_case(name))
    }

    fn bind(&mut self, name: &str, value: Bind) -> usize {
        match self.binds.iter().position(|bound| bound.name == name) {
            Some(index) => index,
            None => {
                self.binds.push(Bound { name: name.to_owned(), value, cast: None });
                self.binds.len() - 1
            }
        }
    }

    pub(super) fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Whether its first word is `WITH`.
    pub(super) fn starts_with_with(&self) -> bool {
        let Some(Part::Text(first)) = self.parts.first() else { return false };
        first.split_whitespace().next().is_some_and(|word| word.eq_ignore_ascii_case("with"))
    }

    /// Changes the value of a parameter; whether there is one of this name.
    pub(super) fn set(&mut self, name: &str, value: Bind) -> bool {
        let bound = self.binds.iter_mut().find(|bound| bound.name == name);
        bound.map(|bound| bound.value = value).is_some()
    }

    /// Gives the parameter of this number, from 1, the type of its value; false where it has one.
    pub(super) fn tell(&mut self, number: Option<usize>) -> bool {
        let bound = number.and_then(|number| self.binds.get_mut(number.checked_sub(1)?)).filter(|bound| bound.cast.is_none());
        bound.map(|bound| bound.cast = Some(bound.value.type_name().to_owned())).is_some()
    }

    /// Gives all parameters the types that the database found for them.
    pub(super) fn cast(&mut self, types: &[String]) {
        for (bound, name) in self.binds.iter_mut().zip(types) {
            bound.cast.get_or_insert_with(|| name.clone());
        }
    }

    /// The query in the words of the database.
    pub(super) fn text(&self) -> String {
        let shown = self.parts.iter().map(|part| match part {
            Part::Text(text) => text.clone(),
            Part::Bind(index) => placeholder(self.dialect, *index, self.binds[*index].cast.as_deref()),
        });
        shown.collect()
    }

    /// The values in the order in which the query takes them.
    fn values(&self) -> Vec<Bind> {
        if self.dialect == Dialect::Postgres {
            return self.binds.iter().map(|bound| bound.value.clone()).collect();
        }
        let used = self.parts.iter().filter_map(|part| if let Part::Bind(index) = part { Some(*index) } else { None });
        used.map(|index| self.binds[index].value.clone()).collect()
    }

    /// A statement of one row, all null, whose columns have the types of the query's; none where the query has no parameters.
    pub(super) fn probe(&self, columns: usize) -> Option<(String, Vec<Bind>)> {
        let (query, values) = (self.text(), self.values());
        let names = (1..=columns).map(|number| format!("c{number}")).collect::<Vec<_>>().join(", ");
        let sql =
            format!("WITH etl_rows({names}) AS (\n{query}\n) SELECT etl_rows.* FROM (SELECT 1) AS etl_one LEFT JOIN etl_rows ON FALSE");
        (!values.is_empty()).then_some((sql, values))
    }

    /// The whole statement and its values: the query, and around it what is needed.
    pub(super) fn statement(&self, columns: &[Described], key: Option<&Key>, conditions: &[Condition]) -> (String, Vec<Bind>) {
        let (query, mut values) = (self.text(), self.values());
        if key.is_none() && conditions.is_empty() && columns.iter().all(|column| column.cast.is_none()) {
            return (query, values);
        }
        let names = (1..=columns.len()).map(|number| format!("c{number}")).collect::<Vec<_>>();
        let taken = names.iter().zip(columns).map(|(name, column)| match &column.cast {
            Some(cast) => format!("CAST({name} AS {cast})"),
            None => name.clone(),
        });
        let taken = taken.collect::<Vec<_>>().join(", ");
        let mut sql = format!("WITH etl_rows({}) AS (\n{query}\n) SELECT {taken} FROM etl_rows", names.join(", "));
        for (index, condition) in conditions.iter().enumerate() {
            let (text, value) = condition.sql(self.dialect, values.len());
            sql.push_str(if index == 0 { " WHERE " } else { " AND " });
            sql.push_str(&text);
            values.extend(value);
        }
        if let Some(key) = key {
            sql.push_str(&format!(" ORDER BY {}", key.column.order_by(self.dialect)));
        }
        (sql, values)
    }
}

/// A list as the text of an array of PostgreSQL.
fn array_text(items: &[Value]) -> String {
    let quoted = items.iter().map(|item| match Bind::from(item).text() {
        None => "NULL".into(),
        Some(text) => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
    });
    format!("{{{}}}", quoted.collect::<Vec<_>>().join(","))
}

/// How a value is asked for; PostgreSQL gets all of them as text, and reads them as what the query wants.
pub(super) fn placeholder(dialect: Dialect, index: usize, cast: Option<&str>) -> String {
    match (dialect, cast) {
        (Dialect::Postgres, None) => format!("${}", index + 1),
        (Dialect::Postgres, Some(name)) => format!("CAST(${}::text AS {name})", index + 1),
        _ => "?".into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sql(text: &str, dialect: Dialect) -> Result<Sql> {
        let values = json!({"a": 1, "ids": [1, 2], "none": [], "name": "x' OR 1=1"});
        Sql::new(&Query::parse(text, dialect).unwrap(), dialect, &|name| values.get(name).cloned())
    }

    #[test]
    fn parameters_are_bound_and_lists_expanded_as_each_database_has_it() {
        let told = |text: &str, dialect| {
            let sql = sql(text, dialect).unwrap();
            (sql.text(), sql.values().len())
        };
        assert_eq!(told("a = :a OR b = :a AND c = :name", Dialect::Postgres), ("a = $1 OR b = $1 AND c = $2".into(), 2));
        assert_eq!(told("a = :a OR b = :a AND c = :name", Dialect::Mysql), ("a = ? OR b = ? AND c = ?".into(), 3));
        assert_eq!(told("a IN :ids AND b IN ( :ids)", Dialect::Sqlite), ("a IN (?, ?) AND b IN ( ?, ?)".into(), 4));
        assert_eq!(told("a = ANY (:ids) AND b IN (:ids)", Dialect::Postgres), ("a = ANY ($1) AND b IN ($2, $3)".into(), 3));
        assert_eq!(array_text(&[json!(1), json!(null), json!("a\"\\,}")]), "{\"1\",NULL,\"a\\\"\\\\,}\"}");
        assert!(sql("a IN :none", Dialect::Postgres).unwrap_err().to_string().contains("is an empty list"));
        assert!(sql("a = :other", Dialect::Postgres).unwrap_err().to_string().contains("`:other` of the query has no value"));
    }

    #[test]
    fn parameters_of_postgresql_are_texts_that_it_reads_as_what_it_found() {
        let mut sql = sql("a = :a AND c = :name", Dialect::Postgres).unwrap();
        assert!(sql.tell(Some(1)) && !sql.tell(Some(1)) && !sql.tell(Some(3)) && !sql.tell(None));
        sql.cast(&["integer".into(), "timestamp with time zone".into()]);
        assert_eq!(sql.text(), "a = CAST($1::text AS bigint) AND c = CAST($2::text AS timestamp with time zone)");
        assert_eq!(sql.values()[0].text().as_deref(), Some("1"));
    }
}
