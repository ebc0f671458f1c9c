//! Databases in `extract.yaml` and `load.yaml`, typed.

use std::fmt;
use std::num::NonZeroU64;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::merge::Merge;
use super::odbc;
use super::settings::Secret;
use crate::error::{Error, Place};

/// Asks a database.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DatabaseSource {
    /// The query, one statement that only reads; `:name` stands for a parameter, which is bound, never pasted; `\:name` is `:name` itself.
    pub query: String,
    /// Values of the query's parameters; a list stands for its values, as in `IN :ids`. Parameters of the run of the same name come first.
    #[serde(default)]
    pub params: Map<String, Value>,
    /// Column of the query by whose value rows are ordered, so that an interrupted run goes on behind the last one: a whole number, a decimal, a day, a time,
    /// a UUID or a text. Rows may share a value. Default: `incremental.cursor_field`.
    pub cursor_field: Option<String>,
    /// Seconds after which the database ends the query, the reading of its rows included; SQLite: until the next row. Default: as long as the run may take.
    pub statement_timeout: Option<NonZeroU64>,
    /// Database, as `scheme://user:password@host:port/name`; schemes are `postgresql`, `mysql`, `mariadb`, `sqlite`, `mssql`, `oracle`.
    #[schemars(with = "String")]
    pub connection_string: Connection,
    /// SSH tunnel to the database. Default: none.
    pub ssh_tunnel: Option<SshTunnel>,
    /// Where the query stands.
    #[serde(skip)]
    pub place: Place,
}

/// Writes to a table.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DatabaseSink {
    /// The table.
    pub table: String,
    /// The table's schema. Default: the database's own.
    pub schema_name: Option<String>,
    /// How rows are written. Default: `upsert` where `primary_key` is given, else `insert`.
    pub write_method: Option<WriteMethod>,
    /// Columns that tell rows apart, one or many.
    #[serde(default)]
    pub primary_key: OneOrMany,
    /// Columns that tell rows apart for `upsert`, in place of `primary_key`.
    #[serde(default)]
    pub unique_constraints: OneOrMany,
    /// Columns that `upsert` and `update` change. Default: all but the key.
    pub update_columns: Option<Vec<String>>,
    /// Database, as `scheme://user:password@host:port/name`; schemes are `postgresql`, `mysql`, `mariadb`, `sqlite`, `mssql`, `oracle`.
    #[schemars(with = "String")]
    pub connection_string: Connection,
    /// SSH tunnel to the database. Default: none.
    pub ssh_tunnel: Option<SshTunnel>,
    /// What happens where the table is not there. Default: `if_missing`.
    #[serde(default)]
    pub create_table: CreateTable,
    /// What happens where rows do not fit the table. Default: `evolve`.
    #[serde(default)]
    pub schema_evolution: SchemaEvolution,
    /// Canonical tables into which staged rows are brought, within the load's transaction. Default: none.
    #[serde(default)]
    pub merge: Vec<Merge>,
    /// SQL to run, or materialized views to refresh, after the load; each has its own result. Default: none.
    #[serde(default)]
    pub publish: Vec<String>,
}

impl DatabaseSink {
    /// How rows are written.
    pub fn method(&self) -> WriteMethod {
        self.write_method.unwrap_or(if !self.primary_key.0.is_empty() { WriteMethod::Upsert } else { WriteMethod::Insert })
    }

    /// The columns that tell rows apart.
    pub fn key(&self) -> &[String] {
        let unique = &self.unique_constraints.0;
        if self.method() == WriteMethod::Upsert && !unique.is_empty() { unique } else { &self.primary_key.0 }
    }

    /// The table with its schema, for a person.
    pub fn table_title(&self) -> String {
        self.schema_name.iter().chain([&self.table]).cloned().collect::<Vec<_>>().join(".")
    }
}

/// How rows are written to a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WriteMethod {
    /// Added; a key that is there is an error.
    #[serde(alias = "append")]
    Insert,
    /// Added, or changed where the key is there.
    Upsert,
    /// Those with the same key are deleted, then added.
    Replace,
    /// Changed where the key is there.
    Update,
    /// Deleted where the key is there.
    Delete,
    /// The table is emptied, then they are added.
    TruncateAndLoad,
}

impl WriteMethod {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Upsert => "upsert",
            Self::Replace => "replace",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::TruncateAndLoad => "truncate_and_load",
        }
    }
}

/// What happens where the table is not there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CreateTable {
    /// It is created.
    #[default]
    IfMissing,
    /// The run fails.
    Never,
}

/// What happens where rows do not fit the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SchemaEvolution {
    /// The table gets new columns and wider types.
    #[default]
    Evolve,
    /// The run fails.
    Freeze,
    /// The row goes to the dead letters.
    DiscardRow,
    /// The value is left out.
    DiscardValue,
}

/// A tunnel through another machine.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SshTunnel {
    /// Whether it is used. Default: false.
    #[serde(default)]
    pub enabled: bool,
    /// The machine. Needed where `enabled` is true.
    #[serde(default)]
    pub host: String,
    /// Its port. Default: 22.
    #[serde(default = "ssh_port")]
    pub port: u16,
    /// User there. Needed where `enabled` is true.
    #[serde(default)]
    pub username: String,
    /// Password there.
    pub password: Option<Secret>,
    /// File with the private key, tried before the password; relative to the contract directory, `~/` is the user's folder.
    /// Default: where there is no password either, `id_ed25519`, `id_ecdsa` or `id_rsa` in `~/.ssh`.
    pub key_file: Option<String>,
    /// Passphrase of an encrypted key.
    pub key_passphrase: Option<Secret>,
    /// File with the keys of known machines, as `ssh` keeps it; one that is not in it is refused.
    /// Default: `~/.ssh/known_hosts`, then `/etc/ssh/ssh_known_hosts`.
    pub known_hosts: Option<String>,
    /// Machine of the database as seen from there. Default: from the connection.
    pub remote_host: Option<String>,
    /// Its port. Default: from the connection.
    pub remote_port: Option<u16>,
    /// Port on this machine; where it is taken, and for 0, another one. Default: 5433.
    #[serde(default = "local_port")]
    pub local_port: u16,
}

fn ssh_port() -> u16 {
    22
}

fn local_port() -> u16 {
    5433
}

/// A database that somebody speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// PostgreSQL.
    Postgres,
    /// MySQL and MariaDB.
    Mysql,
    /// SQLite.
    Sqlite,
    /// Microsoft SQL Server.
    Mssql,
    /// Oracle.
    Oracle,
}

impl Dialect {
    /// Names that a user may write, for messages.
    pub const NAMES: [&str; 8] = ["postgresql", "postgres", "mysql", "mariadb", "sqlite", "mssql", "sqlserver", "oracle"];

    /// Whether it is reached by ODBC.
    pub fn is_odbc(self) -> bool {
        matches!(self, Self::Mssql | Self::Oracle)
    }

    /// Reads a scheme or a type's name, without its `+driver`.
    pub fn parse(name: &str) -> Option<Self> {
        match name.split('+').next()?.to_ascii_lowercase().as_str() {
            "postgresql" | "postgres" => Some(Self::Postgres),
            "mysql" | "mariadb" => Some(Self::Mysql),
            "sqlite" => Some(Self::Sqlite),
            "mssql" | "sqlserver" => Some(Self::Mssql),
            "oracle" => Some(Self::Oracle),
            _ => None,
        }
    }
}

/// A database's URL, which is never printed with its password.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Connection {
    /// What it speaks.
    pub dialect: Dialect,
    /// The whole URL.
    pub url: String,
}

impl TryFrom<String> for Connection {
    type Error = String;

    fn try_from(url: String) -> Result<Self, String> {
        let schemes = Dialect::NAMES.join(", ");
        let Some((scheme, _)) = url.split_once("://") else {
            return Err(format!("must start with `scheme://`; schemes are {schemes}"));
        };
        match Dialect::parse(scheme) {
            Some(dialect) => Ok(Self { dialect, url }),
            None => Err(format!("has the scheme `{scheme}`, which is not known; schemes are {schemes}")),
        }
    }
}

impl Connection {
    /// The file of a SQLite database: `sqlite:///path` is relative, `sqlite:////path` is not.
    pub fn sqlite_file(&self) -> Option<&str> {
        let (_, rest) = self.url.split_once("://").filter(|_| self.dialect == Dialect::Sqlite)?;
        let path = rest.split('?').next()?;
        Some(path.strip_prefix('/').unwrap_or(path)).filter(|path| !path.is_empty())
    }
}

impl Connection {
    /// Checks that this program can reach what it names.
    ///
    /// # Errors
    /// Config, where that takes ODBC and this program is built without it.
    pub fn check_reached(&self) -> Result<(), Error> {
        if cfg!(feature = "odbc") || !self.dialect.is_odbc() {
            return Ok(());
        }
        let message = format!("`{self}`: Microsoft SQL Server and Oracle are reached by ODBC, which this program was built without");
        Err(Error::config(message).hint(
            "build it with ODBC: `apt-get install unixodbc-dev`, the database's ODBC driver (`tdsodbc`, or the vendor's own), then \
             `cargo install --path host --features odbc`",
        ))
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connection({:?}, {self})", self.dialect)
    }
}

/// The URL, `***` in place of its password.
impl fmt::Display for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&without_password(&self.url))
    }
}

/// The URL with `***` in place of its passwords.
fn without_password(url: &str) -> String {
    let (mut masked, tail) = match password(url).and_then(|password| url.split_once(&format!(":{password}@"))) {
        Some((user, tail)) => (format!("{user}:***@"), tail),
        None => (String::new(), url),
    };
    let mut tail = tail.to_owned();
    if let Some(raw) = odbc::option(url) {
        tail = tail.replacen(raw, &odbc::masked(raw), 1);
    }
    for password in password_options(url) {
        // The last `@` may be one of it: then the tail starts within it.
        match password.rsplit_once('@').and_then(|(_, end)| tail.strip_prefix(end)) {
            Some(rest) if !masked.is_empty() => tail = format!("***{rest}"),
            _ => tail = tail.replace(&format!("={password}"), "=***"),
        }
    }
    masked.push_str(&tail);
    masked
}

/// The password within a URL, before its host. In that of a database it ends at the last `@` of all, whatever signs are in it that should
/// stand there encoded: rather too much is hidden than half of it shown.
pub(super) fn password(url: &str) -> Option<&str> {
    let (scheme, rest) = url.split_once("://")?;
    let is_careless = Dialect::parse(scheme).is_some() && odbc::option(url).is_none();
    let authority = if is_careless { rest } else { rest.split(['/', '?', ' ']).next()? };
    let (user, _) = authority.rsplit_once('@')?;
    let (_, password) = user.split_once(':')?;
    (!password.is_empty()).then_some(password)
}

/// A text with `%40` and its like replaced by what they stand for.
pub fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let pair = after.get(..2).filter(|_| *first == b'%').and_then(|pair| std::str::from_utf8(pair).ok());
        match pair.and_then(|pair| u8::from_str_radix(pair, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The passwords among the options of a URL, however they are spelled: `password`, `sslpassword`, `Pwd`.
pub(super) fn password_options(url: &str) -> Vec<&str> {
    let Some((_, query)) = url.split_once("://").and_then(|(_, rest)| rest.split_once('?')) else { return Vec::new() };
    let options = query.split('&').filter_map(|option| option.split_once('='));
    let is_password = |name: &str| {
        let name = name.to_ascii_lowercase();
        ["pass", "pwd", "secret", "token"].iter().any(|word| name.contains(word))
    };
    options.filter(|(name, value)| is_password(name) && !value.is_empty()).map(|(_, value)| value).collect()
}

/// Names: a text is a list of one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OneOrMany(pub Vec<String>);

impl JsonSchema for OneOrMany {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "OneOrMany".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "array"], "items": { "type": "string" } })
    }
}

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;
        impl<'de> Visitor<'de> for Names {
            type Value = OneOrMany;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name or a list of names")
            }

            fn visit_unit<E>(self) -> Result<OneOrMany, E> {
                Ok(OneOrMany::default())
            }

            fn visit_str<E>(self, name: &str) -> Result<OneOrMany, E> {
                Ok(OneOrMany(vec![name.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<OneOrMany, A::Error> {
                let mut names = Vec::new();
                while let Some(name) = seq.next_element()? {
                    names.push(name);
                }
                Ok(OneOrMany(names))
            }
        }
        deserializer.deserialize_any(Names)
    }
}

#[cfg(test)]
mod tests {
    use super::Connection;

    #[test]
    fn no_password_of_a_url_is_shown_however_it_is_spelled() {
        for name in ["password", "PASSWORD", "passwd", "sslpassword", "Pwd"] {
            let connection = Connection::try_from(format!("postgresql://ada:s3cr3t1@h/d?sslmode=require&{name}=s3cr3t2")).unwrap();
            assert_eq!(connection.to_string(), format!("postgresql://ada:***@h/d?sslmode=require&{name}=***"));
        }
        for password in ["p@ss/w0rd77", "pq@x?w0rd77", "pq?w0rd77", "pq#w0rd77", "a:b@c@d", "?/@#"] {
            for scheme in ["postgresql", "mysql", "mssql"] {
                let connection = Connection::try_from(format!("{scheme}://etl:{password}@127.0.0.1:1/d?connect_timeout=1")).unwrap();
                assert_eq!(connection.to_string(), format!("{scheme}://etl:***@127.0.0.1:1/d?connect_timeout=1"), "{password}");
            }
        }
        for (url, shown) in [
            ("mysql://ada:x?pwd=s3cr3t@h/d", "mysql://ada:***@***"),
            ("mysql://ada:s3cr3t1@h/d?password=s3c@r3t2", "mysql://ada:***@***"),
            ("mysql://ada:s3cr3t1@h/d?password=s3c@r3t2&charset=utf8", "mysql://ada:***@***&charset=utf8"),
            ("postgresql://h/d?user=ada&password=s3c@r3t2", "postgresql://h/d?user=ada&password=***"),
            ("postgresql://ada@h/d", "postgresql://ada@h/d"),
        ] {
            assert_eq!(Connection::try_from(url.to_owned()).unwrap().to_string(), shown);
        }
    }
}
