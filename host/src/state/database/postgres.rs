//! A PostgreSQL that several servers share.

use std::fmt;
use std::path::PathBuf;

use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use crate::config::database::{Connection, Dialect, SshTunnel};
use crate::error::{Error, Result};
use crate::remote::database::{Connected, connect};
use crate::remote::{Tunnel, wait};

/// Where servers keep what they share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shared {
    /// The database.
    pub connection: Connection,
    /// The way to it.
    pub tunnel: Option<SshTunnel>,
    /// What relative paths of certificates and keys start at.
    pub root: PathBuf,
    /// The schema that the tables are in; absent = the one that the database takes.
    pub schema: Option<String>,
}

/// The database without its password, and the schema.
impl fmt::Display for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.schema {
            Some(schema) => write!(f, "{}, schema `{schema}`", self.connection),
            None => self.connection.fmt(f),
        }
    }
}

/// A connection, which is made again where it breaks.
#[derive(Debug)]
pub(super) struct Link {
    shared: Shared,
    connection: PgConnection,
    tunnel: Option<Tunnel>,
    /// Whether the last thing that happened on it was that it broke.
    broken: bool,
    /// Names that we have.
    held: Vec<String>,
}

impl Link {
    pub(super) fn open(shared: &Shared) -> Result<Self> {
        let (connection, tunnel) = wait(open(shared))?;
        Ok(Self { shared: shared.clone(), connection, tunnel, broken: false, held: Vec::new() })
    }

    pub(super) fn connection(&mut self) -> &mut PgConnection {
        &mut self.connection
    }

    /// Connects again where the connection broke, and takes the names again that we had.
    pub(super) fn hold_together(&mut self) -> Result<()> {
        if !self.broken && wait(self.connection.ping()).is_ok() {
            return Ok(());
        }
        (self.connection, self.tunnel) = wait(open(&self.shared))?;
        self.broken = false;
        for name in self.held.clone() {
            if !self.lock(&name)? {
                // Another server took it while we were away; what we write from now on is checked where it matters.
                tracing::warn!(database = %self.shared, name, "the connection broke, and another server has taken over");
            }
        }
        Ok(())
    }

    /// Whether an error means that the connection is gone, and not that the database refuses something.
    pub(super) fn is_broken_by(&mut self, error: &sqlx::Error) -> bool {
        let gone = match error {
            sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => true,
            // Connection exceptions; shut down, crashed, starting.
            sqlx::Error::Database(error) => {
                error.code().is_some_and(|code| code.starts_with("08") || ["57P01", "57P02", "57P03"].contains(&&*code))
            }
            _ => false,
        };
        self.broken |= gone;
        gone
    }

    pub(super) fn failed(&self, what: &str, error: sqlx::Error) -> Error {
        let failed = Error::outside(format!("`{}` {what}", self.shared));
        if let Some(fault) = self.tunnel.as_ref().and_then(Tunnel::fault) {
            return failed.because(anyhow::anyhow!(fault));
        }
        let Some(told) = error.as_database_error() else { return failed.because(anyhow::anyhow!("{error}")) };
        let failed = match told.code().as_deref() {
            Some("42501") => failed.hint("the user needs the right to make tables there: `GRANT CREATE, USAGE ON SCHEMA … TO …`"),
            Some("25006") => failed.hint("this server may only be read: name the one that is written to"),
            Some("53100") => failed.hint("the database's disk is full"),
            _ => failed,
        };
        failed.because(anyhow::anyhow!("{}", told.message()))
    }

    /// Makes the schema, where there is none of that name.
    pub(super) fn make_schema(&mut self) -> Result<()> {
        let Some(schema) = self.shared.schema.clone() else { return Ok(()) };
        self.hold_together()?;
        let made = wait(async {
            let there = "SELECT count(*) FROM pg_namespace WHERE nspname = $1";
            if sqlx::query_scalar::<_, i64>(there).bind(&schema).fetch_one(&mut self.connection).await? > 0 {
                return Ok(());
            }
            // Two that make it at once: one of them finds it made.
            let mut transaction = self.connection.begin().await?;
            sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('etl-host schema ' || $1, 0))::text")
                .bind(&schema)
                .fetch_one(&mut *transaction)
                .await?;
            // Looked up in the table again: `IF NOT EXISTS` may not know what was made while we waited.
            if sqlx::query_scalar::<_, i64>(there).bind(&schema).fetch_one(&mut *transaction).await? == 0 {
                let make = format!("CREATE SCHEMA {}", quoted(&schema));
                sqlx::query(sqlx::AssertSqlSafe(make)).execute(&mut *transaction).await?;
            }
            transaction.commit().await
        });
        made.map_err(|error| {
            let hint = format!("have its owner make it: `CREATE SCHEMA {} AUTHORIZATION …`", quoted(&schema));
            self.failed(&format!("has no schema `{schema}`, and it cannot be made"), error).hint(hint)
        })
    }

    /// Takes a name; false where it is taken.
    pub(super) fn try_hold(&mut self, name: &str) -> Result<bool> {
        if self.held.iter().any(|held| held == name) {
            return Ok(false);
        }
        self.hold_together()?;
        let got = self.lock(name)?;
        if got {
            self.held.push(name.to_owned());
        }
        Ok(got)
    }

    fn lock(&mut self, name: &str) -> Result<bool> {
        let key = self.key(name);
        let lock = sqlx::query_scalar::<_, bool>("SELECT pg_try_advisory_lock($1)").bind(key).fetch_one(&mut self.connection);
        wait(lock).map_err(|error| self.failed("cannot be locked", error))
    }

    /// Lets go of a name. Where the connection is gone so is the lock.
    pub(super) fn release(&mut self, name: &str) {
        self.held.retain(|held| held != name);
        let key = self.key(name);
        let _ = wait(sqlx::query("SELECT pg_advisory_unlock($1)").bind(key).execute(&mut self.connection));
    }

    /// Locks of PostgreSQL are numbers, for the whole database.
    fn key(&self, name: &str) -> i64 {
        let schema = self.shared.schema.as_deref().unwrap_or_default();
        let digest = Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("etl-host {schema} {name}").as_bytes());
        i64::from_be_bytes(digest.as_bytes()[..8].try_into().expect("a digest has 16 bytes"))
    }
}

async fn open(shared: &Shared) -> Result<(PgConnection, Option<Tunnel>)> {
    let Shared { connection, tunnel, root, schema } = shared;
    if connection.dialect != Dialect::Postgres {
        return Err(
            Error::config(format!("`{connection}` cannot be shared by servers")).hint("write `postgresql://user:password@host/name`")
        );
    }
    let (connected, tunnel) = connect(connection, tunnel.as_ref(), root).await?;
    let Connected::Postgres(mut postgres) = connected else { unreachable!("a URL of PostgreSQL connects to PostgreSQL") };
    if let Some(schema) = schema {
        let set = format!("SET search_path TO {}", quoted(schema));
        let failed = |error: sqlx::Error| Error::outside(format!("`{connection}` does not answer")).because(anyhow::anyhow!("{error}"));
        sqlx::query(sqlx::AssertSqlSafe(set)).execute(&mut postgres).await.map_err(failed)?;
    }
    Ok((postgres, tunnel))
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
