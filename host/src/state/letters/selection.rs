//! Which letters are meant.

use std::collections::HashSet;

use chrono::{DateTime, Utc};

use crate::batch::Reason;
use crate::report::{DeadLetter, LetterStatus};

/// Which letters are meant: those that satisfy everything that is said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Of this pipeline.
    pub pipeline: Option<String>,
    /// For one of these reasons; empty = any.
    pub reasons: Vec<Reason>,
    /// Refused by one of these stages; empty = any.
    pub stages: Vec<String>,
    /// Refused by this one of several transformers.
    pub transformer: Option<String>,
    /// Of one of these statuses; empty = any.
    pub statuses: Vec<LetterStatus>,
    /// From this time on.
    pub since: Option<DateTime<Utc>>,
    /// Before this time.
    pub until: Option<DateTime<Utc>>,
    /// With one of these ids.
    pub ids: Option<HashSet<String>>,
    /// Whose id starts so.
    pub prefix: Option<String>,
}

impl Selection {
    /// Whether a letter is meant.
    pub fn takes(&self, letter: &DeadLetter) -> bool {
        let Self { pipeline, reasons, stages, transformer, statuses, since, until, ids, prefix } = self;
        let any = |empty: bool, found: bool| empty || found;
        // A letter without a time that can be read is never between two.
        let time = || DateTime::parse_from_rfc3339(&letter.timestamp).map(DateTime::<Utc>::from).ok();
        pipeline.as_ref().is_none_or(|pipeline| *pipeline == letter.pipeline)
            && any(reasons.is_empty(), reasons.contains(&letter.reason))
            && any(stages.is_empty(), stages.contains(&letter.stage))
            && (transformer.is_none() || *transformer == letter.metadata.transformer)
            && any(statuses.is_empty(), statuses.contains(&letter.status))
            && ids.as_ref().is_none_or(|ids| ids.contains(&letter.id))
            && prefix.as_ref().is_none_or(|prefix| letter.id.starts_with(prefix.as_str()))
            && since.is_none_or(|since| time().is_some_and(|time| time >= since))
            && until.is_none_or(|until| time().is_some_and(|time| time < until))
    }
}
