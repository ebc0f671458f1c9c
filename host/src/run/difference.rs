//! How what came differs from what a case expects.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Map, Value};

use super::case::Came;
use crate::batch::Reject;
use crate::config::cases::{Counts, Expect, ExpectedLetter};
use crate::report::Rows;

type Row = Map<String, Value>;

/// One way in which what came is not what was expected.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "difference", rename_all = "snake_case")]
pub enum Difference {
    /// The case expects nothing at all, not even no rows.
    NothingExpected,
    /// A value of a row.
    Value {
        /// Number of the row among those that were expected, from 1.
        row: usize,
        /// The column.
        column: String,
        /// What was expected.
        expected: Value,
        /// What came.
        came: Value,
    },
    /// A column that no expected row has.
    UnexpectedColumn {
        /// The column.
        column: String,
        /// Its value in the first row.
        came: Value,
    },
    /// A column that no row has that came.
    MissingColumn {
        /// The column.
        column: String,
        /// Its value in the first row that was expected.
        expected: Value,
    },
    /// A row that was not expected.
    UnexpectedRow {
        /// Its number among those that came, from 1.
        row: usize,
        /// The row.
        came: Row,
    },
    /// A row that did not come.
    MissingRow {
        /// Its number among those that were expected, from 1.
        row: usize,
        /// The row.
        expected: Row,
    },
    /// A dead letter that was not expected.
    UnexpectedLetter {
        /// What it says.
        came: Letter,
    },
    /// A dead letter that did not come.
    MissingLetter {
        /// What was expected of it.
        expected: Row,
    },
    /// A dead letter that says something else.
    Letter {
        /// Its row in the input.
        row: u64,
        /// What of it differs.
        field: String,
        /// What was expected.
        expected: Value,
        /// What came.
        came: Value,
    },
    /// A count.
    Count {
        /// What is counted.
        name: String,
        /// What was expected.
        expected: u64,
        /// What came.
        came: u64,
    },
    /// The run failed, or failed otherwise, or did not.
    Error {
        /// What the message was to hold.
        expected: Option<String>,
        /// The message.
        came: Option<String>,
    },
}

/// What a dead letter says, for a person.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Letter {
    /// The row's number in the input, from 1; 0 where unknown.
    pub row: u64,
    /// The stage that refused it.
    pub stage: String,
    /// The code.
    pub code: String,
    /// The column.
    pub column: Option<String>,
    /// The message.
    pub message: String,
}

/// Finds every difference.
pub(super) fn differences(expect: Option<&Expect>, came: &Came) -> Vec<Difference> {
    let nothing = Expect::default();
    let expected = expect.unwrap_or(&nothing);
    let mut found = Vec::new();
    let message = came.error.as_ref().map(crate::error::Error::one_line);
    match (&expected.error, &message) {
        (Some(part), Some(message)) if message.contains(part.as_str()) => return found,
        (None, None) => {}
        (part, _) => {
            found.push(Difference::Error { expected: part.clone(), came: message.clone() });
            return found;
        }
    }
    rows(expected, &came.rows, &mut found);
    letters(&expected.dead_letters, &came.letters, &mut found);
    for (name, came) in counted(&came.counts) {
        if let Some(expected) = count_of(&mut expected.counts.clone(), name).map(|count| *count)
            && expected != came
        {
            found.push(Difference::Count { name: name.into(), expected, came });
        }
    }
    if expect.is_none() && !found.is_empty() {
        found.insert(0, Difference::NothingExpected);
    }
    found
}

/// The counts of a run under the names of a case.
pub(super) fn counted(rows: &Rows) -> [(&'static str, u64); 6] {
    // Rows are withheld from a sink only.
    let Rows { read: _, withheld: _, loaded, filtered, rejected, skipped, expanded, crashed } = *rows;
    [
        ("rows", loaded),
        ("filtered", filtered),
        ("dead_letters", rejected),
        ("skipped", skipped),
        ("expanded", expanded),
        ("crashed", crashed),
    ]
}

/// The count of a case by its name, where it is given.
pub(super) fn count_of<'a>(counts: &'a mut Counts, name: &str) -> Option<&'a mut u64> {
    let Counts { rows, filtered, dead_letters, skipped, expanded, crashed } = counts;
    match name {
        "rows" => rows.as_mut(),
        "filtered" => filtered.as_mut(),
        "dead_letters" => dead_letters.as_mut(),
        "skipped" => skipped.as_mut(),
        "expanded" => expanded.as_mut(),
        "crashed" => crashed.as_mut(),
        _ => None,
    }
}

fn rows(expect: &Expect, came: &[Row], found: &mut Vec<Difference>) {
    let expected = &expect.rows;
    let columns = |rows: &[Row]| -> BTreeSet<String> { rows.iter().flat_map(|row| row.keys().cloned()).collect() };
    let (ours, theirs) = (columns(expected), columns(came));
    // Where one side has no row, no column of it is known.
    if let (Some(first_expected), Some(first_came)) = (expected.first(), came.first()) {
        let in_order = |rows: &[Row], only: &BTreeSet<String>, other: &BTreeSet<String>| {
            let mut names: Vec<String> = Vec::new();
            for name in rows.iter().flat_map(|row| row.keys()).filter(|name| only.contains(*name) && !other.contains(*name)) {
                if !names.contains(name) {
                    names.push(name.clone());
                }
            }
            names
        };
        for column in in_order(expected, &ours, &theirs) {
            found.push(Difference::MissingColumn { expected: first_expected.get(&column).cloned().unwrap_or_default(), column });
        }
        for column in in_order(came, &theirs, &ours) {
            found.push(Difference::UnexpectedColumn { came: first_came.get(&column).cloned().unwrap_or_default(), column });
        }
    }
    // Columns that one side lacks are told once, not for every row.
    let shared: Vec<&String> = match expected.is_empty() || came.is_empty() {
        true => Vec::new(),
        false => ours.intersection(&theirs).collect(),
    };
    let value = |row: &Row, column: &str| row.get(column).cloned().unwrap_or(Value::Null);
    let tolerance = expect.tolerance;
    let same = |one: &Row, other: &Row| shared.iter().all(|column| equal(&value(one, column), &value(other, column), tolerance));
    let missing = |row: usize| Difference::MissingRow { row: row + 1, expected: expected[row].clone() };
    let unexpected = |row: usize| Difference::UnexpectedRow { row: row + 1, came: came[row].clone() };
    if expect.unordered {
        let mut left: Vec<usize> = (0..came.len()).collect();
        for (index, row) in expected.iter().enumerate() {
            match left.iter().position(|&other| same(row, &came[other])) {
                Some(at) => drop(left.remove(at)),
                None => found.push(missing(index)),
            }
        }
        found.extend(left.into_iter().map(unexpected));
        return;
    }
    // What is the same at both ends is put aside, so that one row more or less does not make all that follow differ.
    let start = expected.iter().zip(came).take_while(|(one, other)| same(one, other)).count();
    let (ours, theirs) = (&expected[start..], &came[start..]);
    let end = ours.iter().rev().zip(theirs.iter().rev()).take_while(|(one, other)| same(one, other)).count();
    let (ours, theirs) = (ours.len() - end, theirs.len() - end);
    for index in start..start + ours.min(theirs) {
        for column in columns_in_order(&expected[index], &came[index]).filter(|column| shared.contains(column)) {
            let (expected, came) = (value(&expected[index], column), value(&came[index], column));
            if !equal(&expected, &came, tolerance) {
                found.push(Difference::Value { row: index + 1, column: column.clone(), expected, came });
            }
        }
    }
    found.extend((start + ours.min(theirs)..start + ours).map(missing));
    found.extend((start + ours.min(theirs)..start + theirs).map(unexpected));
}

/// The columns of two rows, those of the first one first.
fn columns_in_order<'a>(one: &'a Row, other: &'a Row) -> impl Iterator<Item = &'a String> {
    one.keys().chain(other.keys().filter(|column| !one.contains_key(*column)))
}

/// Whether two values are the same as JSON: numbers by their value, a key that an object lacks is null in it.
fn equal(one: &Value, other: &Value, tolerance: Option<f64>) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => {
            if let (Some(one), Some(other)) = (whole(one), whole(other)) {
                let near = tolerance.is_some_and(|tolerance| one.abs_diff(other) as f64 <= tolerance);
                return one == other || near;
            }
            match (one.as_f64(), other.as_f64()) {
                (Some(one), Some(other)) => one == other || tolerance.is_some_and(|tolerance| (one - other).abs() <= tolerance),
                _ => false,
            }
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| equal(one, other, tolerance))
        }
        (Value::Object(one), Value::Object(other)) => columns_in_order(one, other)
            .all(|key| equal(one.get(key).unwrap_or(&Value::Null), other.get(key).unwrap_or(&Value::Null), tolerance)),
        _ => one == other,
    }
}

fn whole(number: &serde_json::Number) -> Option<i128> {
    number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from))
}

fn letters(expected: &[ExpectedLetter], came: &[Reject], found: &mut Vec<Difference>) {
    let mut left: Vec<&Reject> = came.iter().collect();
    let mut missing: Vec<&ExpectedLetter> = Vec::new();
    for letter in expected {
        match left.iter().position(|reject| differing(letter, reject).is_empty()) {
            Some(at) => drop(left.remove(at)),
            None => missing.push(letter),
        }
    }
    for letter in missing {
        // One of the same row is the one that was meant.
        match left.iter().position(|reject| letter.row == Some(reject.row)) {
            Some(at) => {
                let reject = left.remove(at);
                for (field, expected, came) in differing(letter, reject) {
                    found.push(Difference::Letter { row: reject.row, field: field.into(), expected, came });
                }
            }
            None => found.push(Difference::MissingLetter { expected: letter.fields() }),
        }
    }
    found.extend(left.into_iter().map(|reject| Difference::UnexpectedLetter { came: Letter::of(reject) }));
}

/// What a dead letter has otherwise than expected.
fn differing(expected: &ExpectedLetter, came: &Reject) -> Vec<(&'static str, Value, Value)> {
    let ExpectedLetter { row, stage, code, column, reason, message } = expected;
    let mut found = Vec::new();
    let mut compare = |field, expected: &Option<String>, came: Option<&str>| {
        if expected.is_some() && expected.as_deref() != came {
            found.push((field, Value::from(expected.clone()), Value::from(came)));
        }
    };
    let reason_came = serde_json::to_value(came.reason).ok();
    compare("stage", stage, Some(&came.stage));
    compare("code", code, Some(&came.code));
    compare("column", column, came.field.as_deref());
    compare("reason", reason, reason_came.as_ref().and_then(Value::as_str));
    if let Some(part) = message
        && !came.message.contains(part.as_str())
    {
        found.push(("message", Value::from(part.as_str()), Value::from(came.message.as_str())));
    }
    if let Some(row) = row
        && *row != came.row
    {
        found.push(("row", Value::from(*row), Value::from(came.row)));
    }
    found
}

impl Letter {
    /// What a reject says.
    pub fn of(reject: &Reject) -> Self {
        let Reject { row, stage, code, field, message, .. } = reject;
        Self { row: *row, stage: stage.clone(), code: code.clone(), column: field.clone(), message: message.clone() }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn compared(expect: Value, came: Value) -> Vec<Difference> {
        let rows_of = |rows: &Value| -> Vec<Row> { rows.as_array().unwrap().iter().map(|row| row.as_object().unwrap().clone()).collect() };
        let expect = Expect {
            rows: rows_of(&expect["rows"]),
            unordered: expect["unordered"] == true,
            tolerance: expect["tolerance"].as_f64(),
            ..Expect::default()
        };
        let mut found = Vec::new();
        rows(&expect, &rows_of(&came), &mut found);
        found
    }

    #[test]
    fn numbers_are_equal_by_value_and_near_only_where_that_is_asked() {
        assert_eq!(compared(json!({"rows": [{"a": 1, "b": [1.5]}]}), json!([{"b": [1.5], "a": 1.0}])), []);
        assert_eq!(compared(json!({"rows": [{"a": 1.0}]}), json!([{"a": 1.01}])).len(), 1);
        assert_eq!(compared(json!({"rows": [{"a": 1.0}], "tolerance": 0.02}), json!([{"a": 1.01}])), []);
        let exact = json!({"rows": [{"a": 9_007_199_254_740_993_i64}]});
        assert_eq!(compared(exact, json!([{"a": 9_007_199_254_740_992_i64}])).len(), 1);
        assert_eq!(compared(json!({"rows": [{"a": "1"}]}), json!([{"a": 1}])).len(), 1);
    }

    #[test]
    fn a_key_that_a_row_lacks_is_null_but_a_column_that_no_row_has_is_not_expected() {
        assert_eq!(compared(json!({"rows": [{"a": 1}, {"b": 2}]}), json!([{"a": 1, "b": null}, {"a": null, "b": 2}])), []);
        let found = compared(json!({"rows": [{"a": 1}]}), json!([{"a": 1, "b": null}]));
        assert_eq!(found, [Difference::UnexpectedColumn { column: "b".into(), came: Value::Null }]);
        let found = compared(json!({"rows": [{"a": 1, "b": null}]}), json!([{"a": 1}]));
        assert_eq!(found, [Difference::MissingColumn { column: "b".into(), expected: Value::Null }]);
    }

    #[test]
    fn one_row_more_does_not_make_those_behind_it_differ() {
        let found = compared(json!({"rows": [{"a": 1}, {"a": 2}, {"a": 3}]}), json!([{"a": 1}, {"a": 9}, {"a": 2}, {"a": 3}]));
        assert_eq!(found, [Difference::UnexpectedRow { row: 2, came: json!({"a": 9}).as_object().unwrap().clone() }]);
    }

    #[test]
    fn order_counts_unless_it_does_not() {
        let rows = json!([{"a": 1}, {"a": 1}, {"a": 2}]);
        assert_eq!(compared(json!({"rows": [{"a": 2}, {"a": 1}, {"a": 1}], "unordered": true}), rows.clone()), []);
        assert_eq!(compared(json!({"rows": [{"a": 2}, {"a": 1}, {"a": 1}]}), rows.clone()).len(), 2);
        assert_eq!(compared(json!({"rows": [{"a": 2}, {"a": 2}, {"a": 1}], "unordered": true}), rows).len(), 2);
    }
}
