//! One dead letter.

use chrono::SecondsFormat;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::RunName;
use crate::batch::{Reason, Reject};

/// A letter, in the fields of the format.
#[derive(Serialize)]
pub(super) struct Letter<'a> {
    id: String,
    pipeline: &'a str,
    record: &'a Value,
    reason: Reason,
    message: &'a str,
    error_type: &'a str,
    stage: &'a str,
    metadata: Metadata<'a>,
    timestamp: String,
    retry_count: u32,
    status: &'static str,
}

#[derive(Serialize)]
struct Metadata<'a> {
    run: &'a str,
    batch: u64,
    row: Option<u64>,
    line: Option<u64>,
    source: &'a str,
    field: Option<&'a str>,
}

impl<'a> Letter<'a> {
    /// Makes the letter of a row: the `number`-th of its split.
    pub(super) fn new(run: &'a RunName, split: usize, number: u64, reject: &'a Reject) -> Self {
        let Reject { reason, code, message, field, record, stage, source, row, line, batch } = reject;
        // Where the row has no number, the letter's own tells it from others.
        let own = if *row == 0 { number.to_string() } else { String::new() };
        let name = [&run.run_id, &split.to_string(), source.as_ref(), &batch.to_string(), &row.to_string(), stage, code, &own].join("\0");
        let namespace = Uuid::new_v5(&Uuid::NAMESPACE_OID, b"etl-host dead letter");
        Self {
            id: Uuid::new_v5(&namespace, name.as_bytes()).to_string(),
            pipeline: &run.pipeline,
            record,
            reason: *reason,
            message,
            error_type: code,
            stage,
            metadata: Metadata {
                run: &run.run_id,
                batch: *batch,
                row: Some(*row).filter(|row| *row > 0),
                line: Some(*line).filter(|line| *line > 0),
                source,
                field: field.as_deref(),
            },
            // The run's start: the same rows make the same letters, whenever and on whatever machine their split ran.
            timestamp: run.started.to_rfc3339_opts(SecondsFormat::AutoSi, true),
            retry_count: 0,
            status: "pending",
        }
    }
}

/// Says in a line where a row came from and why it goes no further.
pub(super) fn summary(reject: &Reject) -> String {
    let Reject { message, field, stage, source, row, line, .. } = reject;
    let place = match (line, row) {
        (0, 0) => source.to_string(),
        (0, row) => format!("{source} row {row}"),
        (line, _) => format!("{source}:{line}"),
    };
    let field = field.as_ref().map(|field| format!(" `{field}`:")).unwrap_or_default();
    format!("{place}: {stage}:{field} {message}")
}
