//! Sets of parameters: one run for each.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{Datelike, Months, NaiveDate};

use super::files::Text;
use super::problem::{Findings, Problem};
use super::variables::is_secret;
use super::yaml::{self, Node, Value};

/// Sets that one call may have.
pub const MAX_SETS: usize = 1_000_000;

/// The parameters of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParamSet {
    /// What a person calls the run: its own name, or its parameters.
    pub name: String,
    /// Parameters by name, as `--param` takes them.
    pub params: BTreeMap<String, String>,
}

impl ParamSet {
    /// A set that is named after its parameters.
    pub fn of(params: BTreeMap<String, String>) -> Self {
        let mut set = Self { name: String::new(), params };
        set.name = set.shown().iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ");
        set
    }

    /// The parameters as they may be shown.
    pub fn shown(&self) -> BTreeMap<String, String> {
        let shown = |(name, value): (&String, &String)| (name.clone(), if is_secret(name) { "***".into() } else { value.clone() });
        self.params.iter().map(shown).collect()
    }

    /// One parameter with one value.
    pub fn one(name: &str, value: &str) -> Self {
        Self::of(BTreeMap::from([(name.to_owned(), value.to_owned())]))
    }
}

/// Reads sets from YAML: a list of mappings, or a mapping of names to mappings.
///
/// # Errors
/// Everything that is wrong with the text.
pub fn yaml_sets(text: &Text) -> Result<Vec<ParamSet>, Vec<Problem>> {
    let mut findings = Findings::of(&text.name);
    let mut sets = Vec::new();
    match yaml::parse(&text.text, &mut findings) {
        None => {}
        Some(Node { value: Value::List(items), .. }) => {
            for item in &items {
                sets.extend(params(item, &mut findings).map(ParamSet::of));
            }
        }
        Some(node) if node.is_map() => {
            for (key, item) in node.entries() {
                sets.extend(params(item, &mut findings).map(|params| ParamSet { name: key.name.clone(), params }));
            }
        }
        Some(node) => {
            let message = format!("the file is {}, but must be a list of mappings or a mapping of names to mappings", node.describe());
            findings.wrong(&node, message);
        }
    }
    if findings.problems.is_empty() { Ok(sets) } else { Err(findings.problems) }
}

/// The parameters of one mapping; a list or mapping among them is passed as JSON, a null as absent.
fn params(node: &Node, findings: &mut Findings) -> Option<BTreeMap<String, String>> {
    if !node.is_map() {
        let message = format!("{} is {}, but must be a mapping of parameters", node.quoted(), node.describe());
        findings.wrong(node, message);
        return None;
    }
    let mut params = BTreeMap::new();
    for (key, value) in node.entries().iter().filter(|(_, value)| !value.is_null()) {
        let text = match (value.text(), value.json()) {
            (Some(text), _) => text.to_owned(),
            (None, Ok(json)) => json.to_string(),
            (None, Err(_)) => {
                findings.wrong(value, format!("{} holds a number that JSON has not", value.quoted()));
                continue;
            }
        };
        params.insert(key.name.clone(), text);
    }
    Some(params)
}

/// Reads sets from CSV: the first line names parameters, an empty field is an absent one.
///
/// # Errors
/// What is wrong with the text, with its line.
pub fn csv_sets(text: &Text) -> Result<Vec<ParamSet>, Vec<Problem>> {
    let mut findings = Findings::of(&text.name);
    let mut records = csv_records(&text.text).into_iter();
    let Some((_, names)) = records.next() else { return Ok(Vec::new()) };
    let place = |line: usize| crate::error::Place { file: text.name.clone(), line, column: 0, key: String::new() };
    let mut seen = BTreeSet::new();
    for name in &names {
        if name.is_empty() || !seen.insert(name) {
            let what = if name.is_empty() { "a column without a name".into() } else { format!("the column `{name}` twice") };
            findings.wrong_at(place(1), format!("the first line has {what}"));
        }
    }
    let mut sets = Vec::new();
    for (line, fields) in records {
        if fields.len() != names.len() {
            let message = format!("the line has {} fields, but the first line names {} parameters", fields.len(), names.len());
            findings.wrong_at(place(line), message);
            continue;
        }
        let params = names.iter().cloned().zip(fields).filter(|(_, value)| !value.is_empty()).collect();
        sets.push(ParamSet::of(params));
    }
    if findings.problems.is_empty() { Ok(sets) } else { Err(findings.problems) }
}

/// The records of a CSV text that are not empty, with the lines on which they start.
fn csv_records(text: &str) -> Vec<(usize, Vec<String>)> {
    let mut reader = csv_core::Reader::new();
    let mut input = text.strip_prefix('\u{feff}').unwrap_or(text).as_bytes();
    let mut records = Vec::new();
    // Quotes are taken away, so neither grows.
    let (mut fields, mut ends) = (vec![0; input.len() + 1], vec![0; input.len() + 2]);
    loop {
        let blank = input.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).filter(|byte| **byte == b'\n').count();
        let line = reader.line() as usize + blank;
        let (result, read, _, count) = reader.read_record(input, &mut fields, &mut ends);
        input = &input[read..];
        if count == 0 && matches!(result, csv_core::ReadRecordResult::End) {
            return records;
        }
        if matches!(result, csv_core::ReadRecordResult::InputEmpty) {
            // The end of the text has to be told apart from the end of what is there; the fields so far stay where they are.
            let (_, _, _, rest) = reader.read_record(&[], &mut fields[ends[..count].last().copied().unwrap_or(0)..], &mut ends[count..]);
            records.extend(record(&fields, &ends[..count + rest]).map(|fields| (line, fields)));
            return records;
        }
        records.extend(record(&fields, &ends[..count]).map(|fields| (line, fields)));
    }
}

fn record(fields: &[u8], ends: &[usize]) -> Option<Vec<String>> {
    let starts = std::iter::once(0).chain(ends.iter().copied());
    let texts = starts.zip(ends).map(|(start, end)| String::from_utf8_lossy(&fields[start..*end]).trim().to_owned());
    let texts: Vec<String> = texts.collect();
    (!texts.is_empty()).then_some(texts)
}

/// The days from the first to the last, both among them, `step` apart: `1d` (default), `2w`, `1m`, `1y`.
///
/// A step of months keeps the day of the month where the month has it, and takes its last day where not.
///
/// # Errors
/// What is wrong with the range, in words.
pub fn days(range: &str, step: &str) -> Result<Vec<String>, String> {
    let (first, last) = range.split_once("..").ok_or_else(|| format!("`{range}` must read FIRST..LAST, such as 2024-01-01..2024-12-31"))?;
    let day = |text: &str| {
        NaiveDate::parse_from_str(text.trim(), "%Y-%m-%d").map_err(|_| format!("`{}` is no day such as 2024-12-31", text.trim()))
    };
    let (first, last) = (day(first)?, day(last)?);
    if last < first {
        return Err(format!("`{range}` ends before it begins"));
    }
    let wrong = || format!("the step `{step}` must be a number and `d`, `w`, `m` or `y`, such as 1d or 2w");
    let unit = step.chars().last().ok_or_else(wrong)?;
    let count: u32 = step[..step.len() - unit.len_utf8()].parse().ok().filter(|count| *count > 0).ok_or_else(wrong)?;
    let nth = |index: u32| match unit {
        'd' => first.checked_add_days(chrono::Days::new(u64::from(index) * u64::from(count))),
        'w' => first.checked_add_days(chrono::Days::new(u64::from(index) * u64::from(count) * 7)),
        'm' => first.checked_add_months(Months::new(index.checked_mul(count)?)),
        'y' => first.checked_add_months(Months::new(index.checked_mul(count)?.checked_mul(12)?)),
        _ => None,
    };
    if !matches!(unit, 'd' | 'w' | 'm' | 'y') {
        return Err(wrong());
    }
    let days: Vec<NaiveDate> = (0..).map_while(nth).take_while(|day| *day <= last).take(MAX_SETS + 1).collect();
    Ok(days.iter().map(|day| format!("{:04}-{:02}-{:02}", day.year(), day.month(), day.day())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Text {
        Text { name: "sets".into(), text: text.into() }
    }

    fn names(sets: Result<Vec<ParamSet>, Vec<Problem>>) -> Vec<String> {
        match sets {
            Ok(sets) => sets.into_iter().map(|set| set.name).collect(),
            Err(problems) => problems.iter().map(|problem| format!("{}: {}", problem.place, problem.message)).collect(),
        }
    }

    #[test]
    fn a_list_or_a_mapping_of_names_gives_sets_and_values_keep_their_spelling() {
        let sets = yaml_sets(&text("- {day: 2024-01-01, code: 007, live: yes, left: null, many: [1, a]}\n- {}\n"));
        assert_eq!(names(sets), ["code=007 day=2024-01-01 live=yes many=[1,\"a\"]", ""]);
        assert_eq!(names(yaml_sets(&text("north: {id: 1}\nsouth: {id: 2}\n"))), ["north", "south"]);
        assert_eq!(names(yaml_sets(&text("- 1\n- {a: .nan}\n"))).len(), 1);
        assert_eq!(names(yaml_sets(&text("just text"))).len(), 1);
    }

    #[test]
    fn a_table_gives_a_set_a_line_and_an_empty_field_is_an_absent_parameter() {
        assert_eq!(
            names(csv_sets(&text("\u{feff}day,note\r\n2024-01-01,\"a, \"\"b\"\"\"\n\n2024-01-02,"))),
            ["day=2024-01-01 note=a, \"b\"", "day=2024-01-02"]
        );
        assert_eq!(names(csv_sets(&text(""))), Vec::<String>::new());
        assert_eq!(names(csv_sets(&text("a,b\n1,2\n\n3\n"))), ["sets:4: the line has 1 fields, but the first line names 2 parameters"]);
        assert_eq!(
            names(csv_sets(&text("a,a,\n1,2,3\n"))),
            ["sets:1: the first line has the column `a` twice", "sets:1: the first line has a column without a name"]
        );
    }

    #[test]
    fn days_are_counted_with_both_ends_and_months_by_their_last_day() {
        assert_eq!(days("2024-02-28..2024-03-01", "1d").unwrap(), ["2024-02-28", "2024-02-29", "2024-03-01"]);
        assert_eq!(days("2024-01-01..2024-01-31", "2w").unwrap(), ["2024-01-01", "2024-01-15", "2024-01-29"]);
        assert_eq!(days("2024-01-31..2024-04-30", "1m").unwrap(), ["2024-01-31", "2024-02-29", "2024-03-31", "2024-04-30"]);
        assert_eq!(days("2024-02-29..2026-03-01", "1y").unwrap(), ["2024-02-29", "2025-02-28", "2026-02-28"]);
        for (range, step) in [("2024-01-01", "1d"), ("2024-01-02..2024-01-01", "1d"), ("2024-13-01..2025-01-01", "1d")] {
            assert!(days(range, step).is_err(), "{range}");
        }
        for step in ["", "d", "0d", "1x", "-1d", "1é"] {
            assert!(days("2024-01-01..2024-01-02", step).is_err(), "{step}");
        }
    }
}
