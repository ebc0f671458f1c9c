//! Brings up to date what depends on the rows, once they are committed.

use std::time::Instant;

use super::Backend;
use super::columns::Table;
use crate::config::database::{DatabaseSink, Dialect};
use crate::error::{Error, Result};
use crate::report::PublishReport;

/// Runs or refreshes all that `publish` names, in order, each on its own: one that fails keeps none of the others from it.
pub(super) fn publish(backend: &mut dyn Backend, sink: &DatabaseSink) -> Vec<PublishReport> {
    let one = |what: &String| {
        let clock = Instant::now();
        let done = backend.execute(&statement(sink, what));
        PublishReport { what: what.clone(), seconds: clock.elapsed().as_secs_f64(), error: done.err().map(|said| said.message) }
    };
    sink.publish.iter().map(one).collect()
}

/// Checks what needs no connection.
///
/// # Errors
/// Config, where a view is named and the database has none that could be refreshed.
pub(super) fn check(sink: &DatabaseSink) -> Result<()> {
    let dialect = sink.connection_string.dialect;
    match sink.publish.iter().find(|what| is_name(what) && dialect != Dialect::Postgres) {
        Some(name) => Err(Error::config(format!("`publish` names the view `{name}`, but only PostgreSQL has views that are refreshed"))
            .hint("write the SQL that brings it up to date")),
        None => Ok(()),
    }
}

/// Whether it is a name and no SQL.
fn is_name(what: &str) -> bool {
    !what.trim().contains(char::is_whitespace) && !what.contains('(')
}

fn statement(sink: &DatabaseSink, what: &str) -> String {
    if !is_name(what) {
        return what.to_owned();
    }
    let dialect = sink.connection_string.dialect;
    let view = Table::new(dialect, sink.schema_name.as_deref().filter(|_| !what.contains('.')), what.trim());
    format!("REFRESH MATERIALIZED VIEW {}", view.sql())
}
