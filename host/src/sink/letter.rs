//! One dead letter.

use chrono::SecondsFormat;
use uuid::Uuid;

use super::RunName;
use crate::batch::Reject;
use crate::report::{DeadLetter, LetterMetadata, LetterStatus};

/// Makes the letter of a row: the `number`-th of its split.
pub(super) fn letter(run: &RunName, split: usize, number: u64, reject: &Reject) -> DeadLetter {
    let Reject { reason, code, message, field, record, stage, source, row, line, batch } = reject;
    // Where the row has no number, the letter's own tells it from others.
    let own = if *row == 0 { number.to_string() } else { String::new() };
    let name = [&run.run_id, &split.to_string(), source.as_ref(), &batch.to_string(), &row.to_string(), stage, code, &own].join("\0");
    let namespace = Uuid::new_v5(&Uuid::NAMESPACE_OID, b"etl-host dead letter");
    DeadLetter {
        id: Uuid::new_v5(&namespace, name.as_bytes()).to_string(),
        pipeline: run.pipeline.clone(),
        record: record.clone(),
        reason: *reason,
        message: message.clone(),
        error_type: code.clone(),
        stage: stage.clone(),
        metadata: LetterMetadata {
            run: run.run_id.clone(),
            batch: *batch,
            row: Some(*row).filter(|row| *row > 0),
            line: Some(*line).filter(|line| *line > 0),
            source: source.to_string(),
            field: field.clone(),
            transformer: run.transformer.clone(),
        },
        // The run's start: the same rows make the same letters, whenever and on whatever machine their split ran.
        timestamp: run.started.to_rfc3339_opts(SecondsFormat::AutoSi, true),
        retry_count: 0,
        status: LetterStatus::Pending,
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
