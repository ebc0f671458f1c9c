//! Microsoft SQL Server, Oracle and whoever else has an ODBC driver: a statement for each row, whose values go over in arrays.

mod said;
mod statements;
mod values;

use std::ops::Range;
use std::path::Path;

use self::said::said;
use self::statements::{Does, Step, savepoint, steps};
use self::values::{Rows, parameters};
use super::columns::{Column, Holds, Table, name_in_catalogue};
use super::encode::Chunk;
use super::narrow::narrow;
use super::said::{Said, Why};
use super::{Backend, Counts, Shape, Written};
use crate::config::database::{Connection, SshTunnel, WriteMethod};
use crate::error::{Error, Result};
use crate::remote::Tunnel;
use crate::remote::database::{Connected, connect};
use crate::remote::odbc::{Session, Speech, TableColumn, Values};
use crate::remote::wait;

/// Rows that go over at once, and the bytes of their buffers.
const MOST_ROWS: usize = 1_000;
const ROOM: usize = 32 << 20;

/// A connection.
pub(super) struct Odbc {
    session: Session,
    tunnel: Option<Tunnel>,
}

impl Odbc {
    pub(super) fn connect(connection: &Connection, tunnel: Option<&SshTunnel>, root: &Path) -> Result<Self> {
        let (connected, tunnel) = wait(connect(connection, tunnel, root))?;
        let Connected::Odbc(session) = connected else { return Err(Error::bug("another database answered")) };
        Ok(Self { session, tunnel })
    }

    fn said(&self, told: crate::remote::odbc::Told) -> Said {
        said(told).through(self.tunnel.as_ref())
    }

    fn run(&self, sql: &str) -> Result<u64, Said> {
        let changed = self.session.execute(sql).map_err(|error| self.said(self.session.told(&error)))?;
        Ok(changed.unwrap_or(0) as u64)
    }

    /// Switches between a transaction that is open and none.
    fn autocommit(&self, on: bool) -> Result<u64, Said> {
        self.session.handle().set_autocommit(on).map(|()| 0).map_err(|error| self.said(self.session.told(&error)))
    }

    /// Writes some rows all or nothing, but for what a savepoint undoes.
    fn write_rows(&self, shape: &Shape, steps: &[Step], rows: &Rows<'_>, range: Range<usize>) -> Result<Counts, Said> {
        let values = parameters(shape, rows, range.clone(), self.session.speech)?;
        if range.len() > 1 && values.iter().map(Values::room).sum::<usize>() > ROOM {
            // All rows are as wide as the longest.
            let middle = range.start + range.len() / 2;
            let mut counts = self.write_rows(shape, steps, rows, range.start..middle)?;
            let second = self.write_rows(shape, steps, rows, middle..range.end);
            // Of which row it tells is told in its own half.
            counts.add(&second.map_err(|said| Said { row: said.row.map(|row| row + middle - range.start), ..said })?);
            return Ok(counts);
        }
        let mut counts = Counts::default();
        for Step { sql, places, does } in steps {
            let own: Vec<Values> = places.iter().map(|place| values[*place].clone()).collect();
            let changed = self.session.execute_array(sql, &own);
            let changed = changed.map_err(|refused| Said { row: refused.row, ..self.said(refused.told) })?;
            let rows = range.len() as u64;
            match does {
                // An update tells how many it left for the insert, where a driver tells anything.
                Does::Insert if shape.method == WriteMethod::Upsert => {
                    counts.inserted += changed.unwrap_or(rows.saturating_sub(counts.updated))
                }
                Does::Insert => counts.inserted += rows,
                Does::Update => counts.updated += changed.unwrap_or(0),
                Does::Delete => counts.deleted += changed.unwrap_or(0),
            }
        }
        if shape.method == WriteMethod::Upsert && shape.update.is_empty() {
            counts.updated = (range.len() as u64).saturating_sub(counts.inserted);
        }
        Ok(counts)
    }
}

impl Backend for Odbc {
    fn columns(&mut self, table: &Table) -> Result<Vec<Column>, Said> {
        let (schema, name) = name_in_catalogue(table);
        let columns = self.session.columns(schema.as_deref(), &name).map_err(|told| self.said(told))?;
        let speech = self.session.speech;
        Ok(columns.into_iter().map(|column| of(column, speech)).collect())
    }

    fn unique_keys(&mut self, table: &Table) -> Result<Vec<Vec<String>>, Said> {
        let (schema, name) = name_in_catalogue(table);
        self.session.unique_keys(schema.as_deref(), &name).map_err(|told| self.said(told))
    }

    fn execute(&mut self, sql: &str) -> Result<u64, Said> {
        // SQL Server marks no savepoint before a transaction has begun by its own word; Oracle has no word for it.
        match (sql, self.session.speech) {
            ("BEGIN", Speech::Mssql) => self.run("BEGIN TRANSACTION"),
            ("COMMIT", Speech::Mssql) => self.run("COMMIT TRANSACTION"),
            ("ROLLBACK", Speech::Mssql) => self.run("IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION"),
            ("BEGIN", _) => self.autocommit(false),
            ("COMMIT", _) => {
                self.session.handle().commit().map_err(|error| self.said(self.session.told(&error)))?;
                self.autocommit(true)
            }
            ("ROLLBACK", _) => {
                self.session.handle().rollback().map_err(|error| self.said(self.session.told(&error)))?;
                self.autocommit(true)
            }
            (sql, _) => self.run(sql),
        }
    }

    fn texts(&mut self, sql: &str) -> Result<Vec<Vec<Option<String>>>, Said> {
        self.session.texts(sql).map_err(|told| self.said(told))
    }

    fn write(&mut self, shape: &Shape, chunk: &Chunk) -> Result<Written, Said> {
        let rows = Rows::of(shape, chunk);
        let steps = steps(shape, self.session.speech);
        let [mark, undo, forget] = savepoint(self.session.speech);
        // Where a key comes twice, the first row is there before the second one looks.
        let in_order = chunk.repeats && steps.len() > 1;
        let most = if in_order { 1 } else { MOST_ROWS };
        let (mut counts, mut refused, mut first) = (Counts::default(), Vec::new(), 0);
        while first < chunk.rows && !steps.is_empty() {
            let piece = most.min(chunk.rows - first);
            let found = narrow(piece, &mut |range: Range<usize>| {
                self.run(mark)?;
                match self.write_rows(shape, &steps, &rows, first + range.start..first + range.end) {
                    Ok(written) => counts.add(&written),
                    Err(said) => {
                        if matches!(said.why, Why::Row(_)) {
                            self.run(undo)?;
                        }
                        return Err(said);
                    }
                }
                if !forget.is_empty() {
                    self.run(forget)?;
                }
                Ok(())
            })?;
            refused.extend(found.into_iter().map(|(row, said)| (first + row, said)));
            first += piece;
        }
        Ok(Written { counts, refused })
    }
}

/// A column of a table as it is known here.
fn of(column: TableColumn, speech: Speech) -> Column {
    let TableColumn { name, type_name, size, digits, nullable, has_default, .. } = column;
    let mssql = speech == Speech::Mssql;
    // SQL Server counts these up by itself.
    let is_version = mssql && (type_name == "timestamp" || type_name == "rowversion");
    let counts_up = mssql && type_name.contains("identity");
    let zoned = type_name.contains("time zone") && !type_name.contains("without") || type_name == "timestamptz";
    let holds = match column.kind {
        -7 => Holds::Bool,
        -6 => Holds::Int(8, !mssql),
        5 => Holds::Int(16, true),
        4 => Holds::Int(32, true),
        -5 => Holds::Int(64, true),
        7 => Holds::Float32,
        6 | 8 => Holds::Float64,
        2 | 3 => Holds::Decimal(digits.filter(|_| speech != Speech::Postgres || size != Some(28))),
        _ if type_name == "json" || type_name == "jsonb" => Holds::Json,
        _ if type_name == "bool" || type_name == "boolean" => Holds::Bool,
        -4..=-2 => Holds::Bytes,
        9 | 91 => Holds::Date,
        10 | 92 | -154 => Holds::Time,
        11 | 93 => Holds::Timestamp(zoned),
        -155 => Holds::Timestamp(true),
        _ if type_name == "uniqueidentifier" || type_name == "uuid" => Holds::Other,
        1 | 12 | -1 | -8 | -9 | -10 => Holds::Text,
        _ => Holds::Other,
    };
    let declared = match (size, digits) {
        (Some(size), Some(digits)) if matches!(holds, Holds::Decimal(_)) => format!("{type_name}({size},{digits})"),
        (Some(size), _) if matches!(holds, Holds::Text | Holds::Bytes) && size > 0 && !type_name.contains('(') => {
            format!("{type_name}({size})")
        }
        _ => type_name,
    };
    let filled = has_default || counts_up || is_version;
    Column { name, declared, holds, drops: None, items: None, domain: false, nullable, filled, generated: is_version, fixed: counts_up }
}
