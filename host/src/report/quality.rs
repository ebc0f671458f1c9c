//! How good the data is: what rules found, as figures and a verdict.
//!
//! For each step of rules, over all rows that reached it:
//! - **quality score** = 100 × rows that broke no rule / rows, from 0 to 100. A row that only warns broke a rule. 100 where no row came.
//! - **error rate** = rows refused (skipped, quarantined, or lost to a crash) / rows, from 0 to 1. A row that only warns is not refused.
//! - **completeness** of a column = values that are not null / rows, from 0 to 1; a batch without the column has none. 1 where no row came.
//! - **verdict** = `FAIL` where a threshold is passed, else `PASS_WITH_WARNINGS` where any row broke any rule or a column that rules name never
//!   came, else `PASS`.
//!
//! A row in which a check cannot be worked out is treated as one that broke it, but counted apart: it tells of the check, or of a column's
//! type, more often than of the row.
//!
//! The run's score is the lowest of its steps', its verdict the worst. All of it is counted, never sampled, and does not depend on the number
//! of workers: rows are counted by the host as they come, broken rules by the guest in the one try of a batch whose output is used.

use std::collections::BTreeMap;

use arrow_array::{Array, RecordBatch};
use etl_steps::validate::{OnInvalid, Rule, Test, Thresholds};
use serde::{Deserialize, Serialize};

/// What a guest calls the counter of a rule, before its index.
const RULE: &str = "rule.";

/// What a guest calls the counter of rows in which a rule could not be worked out, before its index and, behind a colon, the reason.
const UNDECIDED: &str = "undecided.";

/// What a guest calls the counter of rows that broke a rule.
const BROKEN: &str = "rows_broken";

/// What was counted of one stage of rules.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tally {
    /// Rows that reached it.
    pub rows: u64,
    /// Rows that broke a rule, whatever became of them.
    pub broken: u64,
    /// Rows left out.
    pub skipped: u64,
    /// Rows in the dead letters for a rule.
    pub quarantined: u64,
    /// Rows on which the guest crashed.
    pub crashed: u64,
    /// Rows that broke each rule, by its index.
    rules: BTreeMap<usize, u64>,
    /// Rows in which each rule could not be worked out, by its index and the reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    undecided: BTreeMap<usize, BTreeMap<String, u64>>,
    /// Column, and its values that are not null; in the order in which they were first seen.
    filled: Vec<(String, u64)>,
}

impl Tally {
    /// Counts rows that came, and their values.
    pub fn see(&mut self, rows: &RecordBatch) {
        self.rows += rows.num_rows() as u64;
        for (index, (field, column)) in rows.schema_ref().fields().iter().zip(rows.columns()).enumerate() {
            self.fill(index, field.name(), (rows.num_rows() - column.logical_null_count()) as u64);
        }
    }

    /// Takes over what the guest counted of rules.
    pub fn take_counters(&mut self, counters: &mut BTreeMap<String, u64>) {
        self.broken += counters.remove(BROKEN).unwrap_or_default();
        counters.retain(|name, by| {
            if let Some(index) = name.strip_prefix(RULE).and_then(|index| index.parse().ok()) {
                *self.rules.entry(index).or_default() += *by;
                return false;
            }
            let undecided = name.strip_prefix(UNDECIDED).and_then(|name| name.split_once(':'));
            let Some((Ok(index), why)) = undecided.map(|(index, why)| (index.parse(), why)) else { return true };
            *self.undecided.entry(index).or_default().entry(why.to_owned()).or_default() += *by;
            false
        });
    }

    /// Adds what was counted elsewhere.
    pub fn add(&mut self, other: Self) {
        let Self { rows, broken, skipped, quarantined, crashed, rules, undecided, filled } = other;
        self.rows += rows;
        self.broken += broken;
        self.skipped += skipped;
        self.quarantined += quarantined;
        self.crashed += crashed;
        for (index, by) in rules {
            *self.rules.entry(index).or_default() += by;
        }
        for (index, reasons) in undecided {
            let known = self.undecided.entry(index).or_default();
            reasons.into_iter().for_each(|(why, by)| *known.entry(why).or_default() += by);
        }
        for (index, (name, by)) in filled.into_iter().enumerate() {
            self.fill(index, &name, by);
        }
    }

    /// Adds to a column, which is most often the one at the same place.
    fn fill(&mut self, index: usize, name: &str, by: u64) {
        let place = match self.filled.get(index) {
            Some((known, _)) if known == name => Some(index),
            _ => self.filled.iter().position(|(known, _)| known == name),
        };
        match place {
            Some(place) => self.filled[place].1 += by,
            None => self.filled.push((name.to_owned(), by)),
        }
    }
}

/// How the data of a run came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Verdict {
    /// No row broke a rule.
    Pass,
    /// Rows broke rules, within the thresholds.
    PassWithWarnings,
    /// A threshold was passed: nothing was written.
    Fail,
}

impl Verdict {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::PassWithWarnings => "PASS_WITH_WARNINGS",
            Self::Fail => "FAIL",
        }
    }
}

/// How good the data of a run is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    /// The worst of the steps'.
    pub verdict: Verdict,
    /// The lowest of the steps', 0 to 100.
    pub score: f64,
    /// Each step of rules, in order.
    pub steps: Vec<StepQuality>,
}

/// What one step of rules found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepQuality {
    /// Its name.
    pub name: String,
    /// How it came out.
    pub verdict: Verdict,
    /// Share of rows that broke no rule, 0 to 100.
    pub score: f64,
    /// Share of rows that were refused, 0 to 1.
    pub error_rate: f64,
    /// Rows that reached it.
    pub rows: u64,
    /// Rows that broke no rule.
    pub passed: u64,
    /// Rows that broke a rule and went on.
    pub warned: u64,
    /// Rows left out.
    pub skipped: u64,
    /// Rows in the dead letters for a rule.
    pub quarantined: u64,
    /// Rows on which the guest crashed.
    pub crashed: u64,
    /// Thresholds that were passed.
    pub breaches: Vec<Breach>,
    /// Columns that rules name and that no row had: those rules judged nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub never_came: Vec<String>,
    /// Each rule, in order.
    pub rules: Vec<RuleQuality>,
    /// Each column, in order.
    pub completeness: Vec<ColumnQuality>,
}

/// What one rule found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RuleQuality {
    /// Its name.
    pub rule: String,
    /// The column it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// What becomes of a row that breaks it.
    pub on_error: OnInvalid,
    /// Rows that broke it.
    pub broken: u64,
    /// Rows in which it could not be worked out.
    #[serde(default, skip_serializing_if = "is_none")]
    pub undecided: u64,
    /// Why, in most of those.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// Whether there are no such rows.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "so serde asks")]
fn is_none(rows: &u64) -> bool {
    *rows == 0
}

/// How full a column is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ColumnQuality {
    /// Its name.
    pub column: String,
    /// Values that are not null.
    pub filled: u64,
    /// Their share, 0 to 1.
    pub share: f64,
}

/// A threshold that was passed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Breach {
    /// Which: `error_rate`, `quality` or `completeness.<column>`.
    pub threshold: String,
    /// What it allows.
    pub limit: f64,
    /// What was found.
    pub found: f64,
}

impl Breach {
    /// One sentence: which threshold was passed, and by how much.
    pub fn sentence(&self, step: &StepQuality) -> String {
        let Self { threshold, limit, found } = self;
        let percent = |share: f64| figure(share * 100.0);
        match threshold.strip_prefix("completeness.") {
            Some(column) => format!(
                "{} % of the values of `{column}` are there, `completeness` asks for {} %: {} points too few",
                percent(*found),
                percent(*limit),
                percent(limit - found)
            ),
            None if threshold == "quality" => format!(
                "the quality score is {} ({} of {} rows broke no rule), `quality` asks for {}: {} points too few",
                figure(*found),
                step.passed,
                step.rows,
                figure(*limit),
                figure(limit - found)
            ),
            None => format!(
                "{} % of the rows were refused ({} of {}), `error_rate` allows {} %: {} points too many",
                percent(*found),
                step.skipped + step.quarantined + step.crashed,
                step.rows,
                percent(*limit),
                percent(found - limit)
            ),
        }
    }
}

/// A figure as a person reads it: at most four digits behind the point, and none that is 0.
pub fn figure(number: f64) -> String {
    let text = format!("{number:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

impl Quality {
    /// Puts the steps of a run together; none where it has no rules.
    pub fn of(steps: Vec<StepQuality>) -> Option<Self> {
        let verdict = steps.iter().map(|step| step.verdict).max()?;
        let score = steps.iter().map(|step| step.score).fold(100.0, f64::min);
        Some(Self { verdict, score, steps })
    }
}

impl StepQuality {
    /// Works out what was found; `named` are the columns that rules of the step itself name.
    pub fn of(name: &str, rules: &[Rule], named: &[&str], thresholds: &Thresholds, tally: &Tally) -> Self {
        let Tally { rows, broken, skipped, quarantined, crashed, rules: counts, undecided, filled } = tally;
        let (rows, refused) = (*rows, skipped + quarantined + crashed);
        let share = |part: u64, of_none: f64| if rows == 0 { of_none } else { part as f64 / rows as f64 };
        let broken = broken + crashed;
        let (score, error_rate) = (share(rows.saturating_sub(broken), 1.0) * 100.0, share(refused, 0.0));
        let completeness: Vec<ColumnQuality> = filled
            .iter()
            .map(|(column, filled)| ColumnQuality { column: column.clone(), filled: *filled, share: share(*filled, 1.0) })
            .collect();
        let mut breaches = Vec::new();
        let mut hold = |threshold: String, limit: f64, found: f64, breached: bool| {
            if breached {
                breaches.push(Breach { threshold, limit, found });
            }
        };
        if let Some(limit) = thresholds.error_rate {
            hold("error_rate".into(), limit, error_rate, error_rate > limit);
        }
        if let Some(limit) = thresholds.quality {
            hold("quality".into(), limit, score, score < limit);
        }
        for (column, limit) in &thresholds.completeness {
            let found = completeness.iter().find(|known| known.column == *column).map_or(share(0, 1.0), |known| known.share);
            hold(format!("completeness.{column}"), *limit, found, found < *limit);
        }
        let mut never_came: Vec<String> = Vec::new();
        for column in named.iter().filter(|_| rows > 0) {
            if !filled.iter().any(|(known, _)| known == column) && !never_came.iter().any(|known| known == column) {
                never_came.push((*column).to_owned());
            }
        }
        let verdict = match (breaches.is_empty(), broken == 0 && never_came.is_empty()) {
            (false, _) => Verdict::Fail,
            (true, true) => Verdict::Pass,
            (true, false) => Verdict::PassWithWarnings,
        };
        let rules = rules.iter().enumerate().map(|(index, rule)| {
            let reasons = undecided.get(&index);
            // Of as many rows the first by name, whatever order they came in.
            let why = reasons.and_then(|reasons| reasons.iter().rev().max_by_key(|(_, rows)| **rows));
            RuleQuality {
                rule: rule.name.clone(),
                column: rule.column.clone(),
                on_error: rule.on_error,
                broken: counts.get(&index).copied().unwrap_or_default(),
                undecided: reasons.map_or(0, |reasons| reasons.values().sum()),
                why: why.map(|(why, _)| why.clone()),
            }
        });
        Self {
            name: name.to_owned(),
            verdict,
            score,
            error_rate,
            rows,
            passed: rows.saturating_sub(broken),
            warned: broken.saturating_sub(refused),
            skipped: *skipped,
            quarantined: *quarantined,
            crashed: *crashed,
            breaches,
            never_came,
            rules: rules.collect(),
            completeness,
        }
    }
}

/// Names that a stage of so many rules counts under.
pub fn counters_of(rules: &[Rule]) -> usize {
    // A rule each, broken rows, for each column that is missing its own, and for each check the reasons for which it could not be worked out.
    let columns = rules.iter().filter(|rule| !matches!(rule.test, Test::Schema { .. })).count();
    let checks = rules.iter().filter(|rule| matches!(rule.test, Test::Expression(_))).count();
    rules.len() + columns + 64 * checks + 16
}
