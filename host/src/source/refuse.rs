//! Rows that do not parse: what becomes of them.

use std::sync::Arc;

use serde_json::Value;

use crate::batch::{Reason, Reject};
use crate::config::extract::OnParseError;
use crate::error::{Error, Place, Result};

/// Bytes of a bad row that are kept.
pub(super) const RECORD_LIMIT: usize = 64 << 10;

/// Why a row does not parse.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Bad {
    /// A short stable name.
    pub(super) code: &'static str,
    /// What is wrong: with `field` a sentence, else what is said of the row, such as `has 9 fields`.
    pub(super) message: String,
    /// The column it is about.
    pub(super) field: Option<String>,
    /// What would let the row pass.
    pub(super) hint: Option<String>,
}

impl Bad {
    /// Makes one that is about the whole row.
    pub(super) fn row(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), field: None, hint: None }
    }

    /// Adds what would let the row pass.
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Where a row stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct At {
    /// Its number in the file, from 1.
    pub(super) row: u64,
    /// Its first line, from 1; 0 where the format has none.
    pub(super) line: u64,
}

/// The rows of one batch that did not parse.
pub(super) struct Refusals {
    policy: OnParseError,
    source: Arc<str>,
    batch: u64,
    /// Those that go to the dead letters.
    pub(super) rejects: Vec<Reject>,
    /// Those that were left out.
    pub(super) skipped: u64,
}

impl Refusals {
    /// Starts a batch.
    pub(super) fn new(policy: OnParseError, source: &Arc<str>, batch: u64) -> Self {
        Self { policy, source: source.clone(), batch, rejects: Vec::new(), skipped: 0 }
    }

    /// Refuses a row.
    ///
    /// # Errors
    /// Data, where the policy says so.
    pub(super) fn add(&mut self, bad: Bad, at: At, record: impl FnOnce() -> Value) -> Result<()> {
        let Bad { code, message, field, hint } = bad;
        let place = match (at.row, at.line) {
            (row, 0) => format!("row {row}"),
            // Several rows stand on one line, as in a JSON document.
            (row, line) if row > line => format!("row {row} (line {line})"),
            (_, line) => format!("line {line}"),
        };
        let message = match &field {
            Some(field) => format!("{place}, column `{field}`: {message}"),
            None => format!("{place} {message}"),
        };
        match self.policy {
            OnParseError::Skip => self.skipped += 1,
            OnParseError::Fail => {
                let line = usize::try_from(at.line).unwrap_or(usize::MAX);
                let error = Error::data(format!("`{}` has a row that does not parse: {message}", self.source)).at(Place {
                    file: self.source.to_string(),
                    line,
                    ..Place::default()
                });
                return Err(match hint {
                    Some(hint) => error.hint(hint),
                    None => error.hint("`on_parse_error: dlq` sends such rows to the dead letters"),
                });
            }
            OnParseError::Dlq => self.rejects.push(Reject {
                reason: Reason::ParseError,
                code: code.into(),
                message: match hint {
                    Some(hint) => format!("{message}; {hint}"),
                    None => message,
                },
                field,
                record: record(),
                stage: "extract".into(),
                source: self.source.clone(),
                row: at.row,
                line: at.line,
                batch: self.batch,
            }),
        }
        Ok(())
    }
}

/// Turns the bytes of a bad row into a text that can be kept.
pub(super) fn record(bytes: &[u8]) -> Value {
    let kept = &bytes[..bytes.len().min(RECORD_LIMIT)];
    Value::String(String::from_utf8_lossy(kept).trim_end_matches(['\r', '\n']).to_owned())
}
