//! Columns of a table: what they hold, what new ones are called, and when one may be widened.

use arrow_schema::DataType;

use super::drops::Drops;
use crate::config::database::Dialect;

/// A column of the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: String,
    /// Its type in the database's own words.
    pub(super) declared: String,
    pub(super) holds: Holds,
    /// What of a value it would drop without a word.
    pub(super) drops: Option<Drops>,
    /// As the two, of the items of an array.
    pub(super) items: Option<(Holds, Option<Drops>)>,
    /// Whether it is of a type that somebody made of another, with rules of its own.
    pub(super) domain: bool,
    pub(super) nullable: bool,
    /// Whether it has a value where none is given.
    pub(super) filled: bool,
    /// Whether the database works its values out itself, so that none can be given.
    pub(super) generated: bool,
    /// Whether a value that is there cannot be changed: an identity that is always generated.
    pub(super) fixed: bool,
}

impl Column {
    /// As [`Holds::widened`]; a domain stays what it is.
    pub(super) fn widened(&self, dialect: Dialect, kind: &DataType) -> Option<(Holds, &'static str)> {
        self.holds.widened(dialect, kind).filter(|_| !self.domain)
    }
}

/// What a column holds: it decides how values are made to fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    Bool,
    /// Integers of so many bits, and whether they have a sign.
    Int(u8, bool),
    Float32,
    Float64,
    /// Digits behind the point at most; no limit where absent.
    Decimal(Option<u32>),
    Text,
    Bytes,
    Date,
    Time,
    /// Whether it is an instant, not the reading of some clock.
    Timestamp(bool),
    Json,
    /// A PostgreSQL array.
    Array,
    /// One label of a list of MySQL, or several of them: a number would be taken for the place of one.
    Label,
    /// Anything that the database reads from text: UUIDs, enumerations, addresses.
    Other,
}

impl Holds {
    /// What a type of PostgreSQL holds, by its name in the catalogue and its type modifier.
    pub(super) fn of_postgres(name: &str, modifier: i32) -> Self {
        match name {
            "bool" => Self::Bool,
            "int2" => Self::Int(16, true),
            "int4" => Self::Int(32, true),
            "int8" => Self::Int(64, true),
            "float4" => Self::Float32,
            "float8" => Self::Float64,
            // The scale has eleven bits and a sign since version 15.
            "oid" => Self::Int(32, false),
            // With the two digits of most currencies.
            "money" => Self::Decimal(Some(2)),
            "numeric" => Self::Decimal((modifier >= 4).then(|| {
                let scale = (modifier - 4) & 0x7ff;
                u32::try_from((scale ^ 1024) - 1024).unwrap_or(0)
            })),
            "text" | "varchar" | "bpchar" | "name" | "citext" => Self::Text,
            "bytea" => Self::Bytes,
            "date" => Self::Date,
            "time" => Self::Time,
            "timestamp" => Self::Timestamp(false),
            "timestamptz" => Self::Timestamp(true),
            "json" | "jsonb" => Self::Json,
            name if name.starts_with('_') => Self::Array,
            _ => Self::Other,
        }
    }

    /// What a type of MySQL holds, by its name and its whole declaration.
    pub(super) fn of_mysql(name: &str, declared: &str, scale: Option<u32>) -> Self {
        let signed = !declared.contains("unsigned");
        match name {
            "tinyint" if declared.starts_with("tinyint(1)") => Self::Bool,
            "tinyint" => Self::Int(8, signed),
            "smallint" => Self::Int(16, signed),
            // The server knows the limits of 24 bits.
            "mediumint" | "int" => Self::Int(32, signed),
            "bigint" => Self::Int(64, signed),
            // Not any number of 64 bits: the server and what the column drops see to that.
            "bit" | "year" => Self::Int(64, false),
            "enum" | "set" => Self::Label,
            "float" => Self::Float32,
            "double" => Self::Float64,
            "decimal" => Self::Decimal(Some(scale.unwrap_or(0))),
            "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" => Self::Text,
            "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" => Self::Bytes,
            "date" => Self::Date,
            "time" => Self::Time,
            "datetime" => Self::Timestamp(false),
            "timestamp" => Self::Timestamp(true),
            "json" => Self::Json,
            _ => Self::Other,
        }
    }

    /// What a type of SQLite holds, by the name that the column was declared with.
    pub(super) fn of_sqlite(declared: &str) -> Self {
        let name = declared.to_ascii_uppercase();
        let has = |part: &str| name.contains(part);
        match name.split('(').next().unwrap_or_default().trim() {
            "BOOLEAN" | "BOOL" => Self::Bool,
            "DATE" => Self::Date,
            "TIME" => Self::Time,
            "TIMESTAMP" | "DATETIME" => Self::Timestamp(true),
            "JSON" | "JSONB" => Self::Json,
            // The database's own rules, in their order.
            _ if has("INT") => Self::Int(64, true),
            _ if has("CHAR") || has("CLOB") || has("TEXT") => Self::Text,
            "" => Self::Other,
            _ if has("BLOB") => Self::Bytes,
            _ if has("REAL") || has("FLOA") || has("DOUB") => Self::Float64,
            _ if has("NUMERIC") || has("DECIMAL") => Self::Decimal(scale_of(&name)),
            _ => Self::Other,
        }
    }

    /// The type of a new column for values of an Arrow type; `key` of one that an index is made on.
    pub(super) fn declare(dialect: Dialect, kind: &DataType, key: bool) -> String {
        use DataType as T;
        if dialect.is_odbc() {
            return Self::declare_for_odbc(dialect, kind, key);
        }
        let three = |postgres: &str, mysql: &str, sqlite: &str| match dialect {
            Dialect::Mysql => mysql.to_owned(),
            Dialect::Sqlite => sqlite.to_owned(),
            _ => postgres.to_owned(),
        };
        match kind {
            T::Boolean => three("boolean", "boolean", "BOOLEAN"),
            T::Int8 | T::Int16 | T::UInt8 => three("smallint", "smallint", "INTEGER"),
            T::Int32 | T::UInt16 => three("integer", "int", "INTEGER"),
            T::Int64 | T::UInt32 => three("bigint", "bigint", "INTEGER"),
            T::UInt64 => three("numeric(20)", "bigint unsigned", "TEXT"),
            T::Float16 | T::Float32 => three("real", "float", "REAL"),
            T::Float64 => three("double precision", "double", "REAL"),
            // A number of SQLite is a float where it is no integer: only a text keeps all digits.
            T::Decimal32(precision, scale)
            | T::Decimal64(precision, scale)
            | T::Decimal128(precision, scale)
            | T::Decimal256(precision, scale) => {
                let (precision, scale) = digits(*precision, *scale);
                three(&format!("numeric({precision},{scale})"), &format!("decimal({precision},{scale})"), "TEXT")
            }
            T::Binary | T::LargeBinary | T::BinaryView | T::FixedSizeBinary(_) if key => three("bytea", "varbinary(255)", "BLOB"),
            T::Binary | T::LargeBinary | T::BinaryView | T::FixedSizeBinary(_) => three("bytea", "longblob", "BLOB"),
            T::Date32 | T::Date64 => three("date", "date", "DATE"),
            T::Time32(_) | T::Time64(_) => three("time", "time(6)", "TIME"),
            T::Timestamp(_, None) => three("timestamp", "datetime(6)", "TIMESTAMP"),
            T::Timestamp(_, Some(_)) => three("timestamptz", "datetime(6)", "TIMESTAMP"),
            T::Dictionary(_, values) => Self::declare(dialect, values, key),
            T::RunEndEncoded(_, values) => Self::declare(dialect, values.data_type(), key),
            kind if is_nested(kind) => three("jsonb", "json", "JSON"),
            // An index of MySQL takes texts of a limited length only.
            _ if key => three("text", "varchar(255)", "TEXT"),
            _ => three("text", "longtext", "TEXT"),
        }
    }

    /// As [`declare`](Self::declare), for Microsoft SQL Server and Oracle.
    fn declare_for_odbc(dialect: Dialect, kind: &DataType, key: bool) -> String {
        use DataType as T;
        let two = |mssql: &str, oracle: &str| if dialect == Dialect::Oracle { oracle.to_owned() } else { mssql.to_owned() };
        match kind {
            T::Boolean => two("bit", "number(1)"),
            T::Int8 | T::Int16 | T::UInt8 => two("smallint", "number(5)"),
            T::Int32 | T::UInt16 => two("int", "number(10)"),
            T::Int64 | T::UInt32 => two("bigint", "number(19)"),
            T::UInt64 => two("decimal(20,0)", "number(20)"),
            T::Float16 | T::Float32 => two("real", "binary_float"),
            T::Float64 => two("float(53)", "binary_double"),
            T::Decimal32(precision, scale)
            | T::Decimal64(precision, scale)
            | T::Decimal128(precision, scale)
            | T::Decimal256(precision, scale) => {
                let (precision, scale) = digits(*precision, *scale);
                // Neither of them keeps more digits: the number then fits or its row is refused.
                let precision = precision.min(38);
                two(&format!("decimal({precision},{scale})"), &format!("number({precision},{scale})"))
            }
            T::Binary | T::LargeBinary | T::BinaryView | T::FixedSizeBinary(_) if key => two("varbinary(255)", "raw(255)"),
            T::Binary | T::LargeBinary | T::BinaryView | T::FixedSizeBinary(_) => two("varbinary(max)", "blob"),
            T::Date32 | T::Date64 => two("date", "date"),
            // Oracle has no time of day.
            T::Time32(_) | T::Time64(_) => two("time(6)", "varchar2(20)"),
            T::Timestamp(_, None) => two("datetime2(6)", "timestamp(6)"),
            T::Timestamp(_, Some(_)) => two("datetimeoffset(6)", "timestamp(6) with time zone"),
            T::Dictionary(_, values) => Self::declare(dialect, values, key),
            T::RunEndEncoded(_, values) => Self::declare(dialect, values.data_type(), key),
            // Keys that differ stay different, whatever the database's own order of letters.
            _ if key => two("nvarchar(255) COLLATE Latin1_General_100_BIN2", "nvarchar2(255)"),
            _ => two("nvarchar(max)", "clob"),
        }
    }

    /// What this column would have to hold for every value of an Arrow type, and the type for that, where all that it has now fits that too.
    pub(super) fn widened(self, dialect: Dialect, kind: &DataType) -> Option<(Self, &'static str)> {
        use DataType as T;
        if dialect == Dialect::Sqlite || dialect.is_odbc() {
            // The types of SQLite bind nobody; behind ODBC a value fits its column or its row is refused.
            return None;
        }
        let mysql = dialect == Dialect::Mysql;
        let bits = match kind {
            T::Int8 | T::UInt8 | T::Int16 => 16,
            T::Int32 | T::UInt16 => 32,
            T::Int64 | T::UInt32 => 64,
            _ => 0,
        };
        match self {
            Self::Int(have, _) if bits > have => Some(match (bits, mysql) {
                (16, _) => (Self::Int(16, true), "smallint"),
                (32, true) => (Self::Int(32, true), "int"),
                (32, false) => (Self::Int(32, true), "integer"),
                _ => (Self::Int(64, true), "bigint"),
            }),
            // Every integer of 32 bits is a float of 64 bits; not every one of 64 is.
            Self::Int(8..=32, _) if matches!(kind, T::Float64) => Some((Self::Float64, if mysql { "double" } else { "double precision" })),
            _ => None,
        }
    }
}

/// Whether values of a type are objects or lists.
pub(super) fn is_nested(kind: &DataType) -> bool {
    kind.is_nested() && !matches!(kind, DataType::Dictionary(..) | DataType::RunEndEncoded(..))
}

/// The scale of `DECIMAL(10, 2)`.
fn scale_of(declared: &str) -> Option<u32> {
    let (_, inner) = declared.split_once('(')?;
    let mut numbers = inner.trim_end_matches(')').split(',').map(|number| number.trim().parse().ok());
    numbers.next()??;
    numbers.next().unwrap_or(Some(0))
}

/// A table, by the names that the user gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) dialect: Dialect,
    pub(super) schema: Option<String>,
    pub(super) name: String,
}

impl Table {
    /// The table of a name that may have its schema before a point.
    pub(super) fn new(dialect: Dialect, schema: Option<&str>, name: &str) -> Self {
        let (schema, name) = match (schema, name.split_once('.')) {
            (None, Some((schema, name))) => (Some(schema), name),
            (schema, _) => (schema, name),
        };
        Self { dialect, schema: schema.map(ToOwned::to_owned), name: name.to_owned() }
    }

    /// Another table of the same schema.
    pub(super) fn beside(&self, name: &str) -> Self {
        Self { name: name.to_owned(), ..self.clone() }
    }

    /// For SQL.
    pub(super) fn sql(&self) -> String {
        let parts: Vec<String> = self.schema.iter().chain([&self.name]).map(|name| quote(self.dialect, name)).collect();
        parts.join(".")
    }

    /// For a person.
    pub(super) fn shown(&self) -> String {
        self.schema.iter().chain([&self.name]).cloned().collect::<Vec<_>>().join(".")
    }
}

/// A name for SQL, whatever is in it.
pub(super) fn quote(dialect: Dialect, name: &str) -> String {
    match dialect {
        Dialect::Mysql => format!("`{}`", name.replace('`', "``")),
        Dialect::Oracle => format!("\"{}\"", oracle_name(name).replace('"', "\"\"")),
        _ => format!("\"{}\"", name.replace('"', "\"\"")),
    }
}

/// A name as Oracle keeps it: one that needs no quotes, in capitals, as if it had none.
fn oracle_name(name: &str) -> String {
    let plain = name.starts_with(|letter: char| letter.is_ascii_lowercase())
        && name.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || "_$#".contains(letter));
    if plain { name.to_ascii_uppercase() } else { name.to_owned() }
}

/// Schema and name of a table as the database's catalogue has them.
#[cfg(feature = "odbc")]
pub(super) fn name_in_catalogue(table: &Table) -> (Option<String>, String) {
    let kept = |name: &String| if table.dialect == Dialect::Oracle { oracle_name(name) } else { name.clone() };
    (table.schema.as_ref().map(kept), kept(&table.name))
}

/// Names for SQL, commas in between.
pub(super) fn quoted(dialect: Dialect, names: &[String]) -> String {
    names.iter().map(|name| quote(dialect, name)).collect::<Vec<_>>().join(", ")
}

/// A text for SQL.
pub(super) fn literal(dialect: Dialect, text: &str) -> String {
    let text = text.replace('\'', "''");
    if dialect == Dialect::Mysql { format!("'{}'", text.replace('\\', "\\\\")) } else { format!("'{text}'") }
}

/// Precision and scale as databases have them: neither less than the other, nor a scale below 0.
fn digits(precision: u8, scale: i8) -> (i16, i16) {
    let (precision, scale) = (i16::from(precision).max(i16::from(scale)), i16::from(scale));
    if scale < 0 { (precision - scale, 0) } else { (precision, scale) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_texts_cannot_end_what_they_stand_in() {
        assert_eq!(quote(Dialect::Postgres, "a\"b"), "\"a\"\"b\"");
        assert_eq!(quote(Dialect::Mysql, "a`b"), "`a``b`");
        assert_eq!(literal(Dialect::Postgres, "it's \\"), "'it''s \\'");
        assert_eq!(literal(Dialect::Mysql, "it's \\"), "'it''s \\\\'");
        assert_eq!(Table::new(Dialect::Postgres, None, "sales.orders").sql(), "\"sales\".\"orders\"");
    }

    #[test]
    fn a_column_is_widened_only_where_every_value_still_fits() {
        use DataType as T;
        let widened = |holds: Holds, kind| holds.widened(Dialect::Postgres, &kind).map(|(_, declared)| declared);
        assert_eq!(widened(Holds::Int(32, true), T::Int64), Some("bigint"));
        assert_eq!(widened(Holds::Int(32, true), T::Float64), Some("double precision"));
        assert_eq!(widened(Holds::Int(64, true), T::Float64), None);
        assert_eq!(widened(Holds::Float32, T::Float64), None);
        assert_eq!(widened(Holds::Int(64, true), T::Int32), None);
        assert_eq!(Holds::Int(32, true).widened(Dialect::Sqlite, &T::Int64), None);
    }

    #[test]
    fn types_are_known_by_their_names() {
        assert_eq!(Holds::of_postgres("numeric", ((10 << 16) | 2) + 4), Holds::Decimal(Some(2)));
        assert_eq!(Holds::of_postgres("numeric", -1), Holds::Decimal(None));
        assert_eq!(Holds::of_sqlite("DECIMAL(10, 2)"), Holds::Decimal(Some(2)));
        assert_eq!(Holds::of_sqlite("varchar(20)"), Holds::Text);
        assert_eq!(Holds::of_mysql("tinyint", "tinyint(1)", None), Holds::Bool);
        assert_eq!(Holds::of_mysql("bigint", "bigint(20) unsigned", None), Holds::Int(64, false));
    }
}
