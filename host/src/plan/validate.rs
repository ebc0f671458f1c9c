//! Rules to a stage.

use std::path::Path;
use std::sync::Arc;

use etl_steps::validate::{Kind, Options, Rule, Test, Thresholds};

use super::stages::{expression_limits, limits};
use super::{ComponentName, Grants, Limits, StagePlan, Validation, own_letters};
use crate::config::extract::{FileSource, Format};
use crate::config::pipeline::Pipeline;
use crate::config::transform::{OnError, OnTrap, Step};
use crate::config::validate;
use crate::error::Error;
use crate::report::counters_of;

/// Memory of a stage that keeps keys, where the user does not say how much.
const KEY_MEMORY_BYTES: usize = 256 << 20;

/// Bytes of keys at most: a snapshot of them must pass the boundary in one piece.
const MAX_KEY_BYTES: usize = 60 << 20;

/// The stage of a validation; none where it has no rule.
pub(super) fn stage(
    name: &str,
    validation: &validate::Validation,
    pipeline: &Pipeline,
    root: &Path,
    errors: &mut Vec<Error>,
) -> Option<StagePlan> {
    let validate::Validation { rules, columns, on_error: _, thresholds, limits: own, dead_letters, unread, place } = validation;
    if let Some(path) = unread {
        errors.push(Error::config(format!("the rules in {path} were not read")).at(place.clone()));
        return None;
    }
    if rules.is_empty() && *thresholds == Thresholds::default() {
        return None;
    }
    let dead_letters = match own_letters(dead_letters.as_ref(), pipeline, root) {
        Ok(place) => place,
        Err(error) => {
            errors.push(error.at(place.clone()));
            return None;
        }
    };
    let written = own.or(&pipeline.settings.limits);
    let mut stage_limits = limits(&written, Limits::default());
    if rules.iter().any(|rule| matches!(rule.test, Test::Expression(_) | Test::Schema { .. })) {
        stage_limits = expression_limits(own, &pipeline.settings.limits, stage_limits);
    }
    let unique = rules.iter().any(|rule| matches!(rule.test, Test::Unique(_)));
    if unique && written.memory_mb.is_none() {
        stage_limits.memory_bytes = KEY_MEMORY_BYTES;
    }
    let stage_limits = Limits { counters: counters_of(rules), ..stage_limits };
    let options = Options { rules: rules.clone(), key_bytes: (stage_limits.memory_bytes / 3).min(MAX_KEY_BYTES) as u64 };
    Some(StagePlan {
        name: name.into(),
        component: ComponentName::Validate,
        function: Some(if unique { "unique" } else { "rules" }.into()),
        options: serde_json::to_value(options).expect("options are JSON"),
        limits: stage_limits,
        grants: Grants::default(),
        on_error: OnError::DeadLetter,
        on_trap: OnTrap::Bisect,
        max_error_ratio: pipeline.settings.max_error_ratio,
        validation: Some(Arc::new(Validation {
            rules: rules.clone(),
            columns: columns.clone(),
            thresholds: thresholds.clone(),
            dead_letters,
        })),
        steps: vec![describe(rules)],
        places: vec![place.clone()],
        place: place.clone(),
    })
}

/// Rules in a few words.
fn describe(rules: &[Rule]) -> String {
    match rules.len() {
        0 => "validate thresholds".into(),
        1 => "validate 1 rule".into(),
        count => format!("validate {count} rules"),
    }
}

/// Adds the columns that rules on rows as they come in say are texts: where the file has no types, they are not to become numbers first.
pub(super) fn keep_texts(pipeline: &Pipeline, source: &FileSource, as_text: &mut Vec<String>) {
    let first = match pipeline.transform.steps.first().map(|placed| &placed.step) {
        Some(Step::Validate(validation)) => Some(&**validation),
        _ => None,
    };
    if !has_no_types(source) {
        return;
    }
    for rule in pipeline.extract.validation.iter().chain(first).flat_map(|validation| &validation.rules) {
        if let (Test::Type(Kind::String), Some(column)) = (&rule.test, &rule.column)
            && !as_text.contains(column)
        {
            as_text.push(column.clone());
        }
    }
}

/// Whether values of a source are texts until somebody makes something else of them.
fn has_no_types(source: &FileSource) -> bool {
    match source.format {
        Some(format) => matches!(format, Format::Csv | Format::Tsv | Format::Xml),
        None => {
            let path = source.path.to_lowercase();
            let plain = [".gz", ".zst", ".zip"].iter().find_map(|ending| path.strip_suffix(ending)).unwrap_or(&path);
            [".csv", ".tsv", ".xml"].iter().any(|ending| plain.ends_with(ending))
        }
    }
}
