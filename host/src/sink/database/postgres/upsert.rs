//! Rows that are changed where their key is there, and inserted where it is not.
//!
//! ON CONFLICT locks a row before it changes it, which makes an update dear. Where most rows of a chunk are known they are updated first, and only
//! what is left goes by ON CONFLICT.

use std::ops::Range;

use super::super::columns::{Table, literal, quote, quoted};
use super::super::said::Said;
use super::super::{Backend, Counts, Relation, Shape};
use super::{Postgres, REPEATED, ROW, STAGE, same};
use crate::config::database::{Dialect, WriteMethod};

const PG: Dialect = Dialect::Postgres;

impl Postgres {
    /// Whether UPDATE does to a row of the table what ON CONFLICT would: it fires other triggers, sees tables that inherit from this one, and skips
    /// the rows that a policy hides.
    pub(super) fn updates_alike(&mut self, table: &Table) -> Result<bool, Said> {
        let plain = self.texts(&format!(
            "SELECT 1 FROM pg_class WHERE oid = to_regclass({}) AND relkind = 'r' AND NOT (relhasrules OR relhassubclass OR relrowsecurity) \
             AND NOT EXISTS (SELECT 1 FROM pg_trigger WHERE tgrelid = pg_class.oid AND NOT tgisinternal)",
            literal(PG, &table.sql())
        ))?;
        Ok(!plain.is_empty())
    }

    /// Whether the next rows are better updated first.
    pub(super) fn updates_first(&self, shape: &Shape) -> bool {
        shape.method == WriteMethod::Upsert
            && !shape.update.is_empty()
            && self.stage.is_some_and(|stage| stage.updates_alike && stage.known)
    }

    /// Takes note of what became of rows.
    pub(super) fn learn(&mut self, merged: &Counts) {
        let Some(stage) = &mut self.stage else { return };
        // A new row is looked for once more where rows are updated first: that pays where they are few.
        stage.known = merged.updated >= 3 * merged.inserted && merged.updated > 0;
    }

    /// Upserts rows of the temporary table, none of which has the key of another as far as their texts go.
    pub(super) fn update_then_insert(&mut self, shape: &Shape, rows: Range<usize>, staged: u64) -> Result<Counts, Said> {
        let (target, same) = (shape.table.sql(), same(&shape.key));
        let from = format!("(SELECT * FROM pg_temp.{STAGE} WHERE {ROW} >= {} AND {ROW} < {}) AS s", rows.start, rows.end);
        let set = shape.update.iter().map(|name| format!("{0} = s.{0}", quote(PG, name))).collect::<Vec<_>>().join(", ");
        // By the index of the key, as ON CONFLICT does: the table may be many times as large as the chunk.
        let updated = self.execute(&format!(
            "SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; UPDATE {target} AS t SET {set} FROM {from} WHERE {same}; \
             RESET enable_hashjoin; RESET enable_mergejoin"
        ))?;
        let mut counts = Counts { updated, ..Counts::default() };
        if updated < staged {
            let unknown = format!("{from} WHERE NOT EXISTS (SELECT 1 FROM {target} AS t WHERE {same})");
            counts.add(&self.insert_or_update(shape, &unknown, "")?);
        }
        if counts.updated + counts.inserted == staged {
            return Ok(counts);
        }
        // Of two rows for one key any may have won. It may be so in each chunk.
        if let Some(stage) = &mut self.stage {
            stage.updates_alike = false;
        }
        Err(Said::new(REPEATED, "rows have the same key"))
    }

    /// Upserts rows of which no two have the same key.
    pub(super) fn insert_or_update(&mut self, shape: &Shape, from: &str, order: &str) -> Result<Counts, Said> {
        let Shape { table, columns, key, update, relation, .. } = shape;
        let (target, all, keys) = (table.sql(), quoted(PG, columns), quoted(PG, key));
        let set = update.iter().map(|name| format!("{0} = EXCLUDED.{0}", quote(PG, name))).collect::<Vec<_>>().join(", ");
        let then = if set.is_empty() { "NOTHING".to_owned() } else { format!("UPDATE SET {set}") };
        let upsert =
            format!("INSERT INTO {target} ({all}) OVERRIDING SYSTEM VALUE SELECT {all} FROM {from}{order} ON CONFLICT ({keys}) DO {then}");
        if *relation == Relation::Partitioned {
            let known =
                self.texts(&format!("SELECT count(*) FROM {from} WHERE EXISTS (SELECT 1 FROM {target} AS t WHERE {})", same(key)))?;
            let known = known.first().and_then(|row| row[0].as_ref()?.parse().ok()).unwrap_or(0);
            let merged = self.execute(&upsert)?;
            let updated = if set.is_empty() { 0 } else { merged.min(known) };
            return Ok(Counts { inserted: merged - updated, updated, ..Counts::default() });
        }
        // A row that was there before has a deleted version, whose deleter this one names.
        let counted = self.texts(&format!(
            "WITH merged AS ({upsert} RETURNING xmax = 0 AS fresh) SELECT count(*) FILTER (WHERE fresh), count(*) FILTER (WHERE NOT fresh) FROM merged"
        ))?;
        let number = |index: usize| counted.first().and_then(|row| row[index].as_ref()?.parse().ok()).unwrap_or(0);
        Ok(Counts { inserted: number(0), updated: number(1), ..Counts::default() })
    }
}
