//! What a case expects as YAML, and its place in the text of a file.

use serde_json::Value as Json;

use super::cases::{Counts, Expect, ExpectedLetter};
use super::scalar::resolve;
use super::yaml::{Node, Value};

/// Characters of a line at most, where a row fits on one.
const WIDTH: usize = 120;

/// Where the expectation of a case stands, or is to stand.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cut {
    /// Between these bytes, behind a key that stands so deep.
    Value {
        /// The first byte behind `expect:`, and what follows it on that line where that is to stay.
        from: usize,
        /// The first byte that stays.
        to: usize,
        /// Column of the key, from 0.
        indent: usize,
        /// Whether the key's own line stays as it is.
        own_lines: bool,
    },
    /// There is none yet: it goes before this byte.
    Append {
        /// The byte.
        at: usize,
        /// Column of the keys beside it, from 0.
        indent: usize,
    },
    /// The case is written in braces, between which lines do not count.
    Braces,
}

impl Cut {
    /// Finds it for a case that stands in `text`.
    pub(super) fn of(text: &str, case: &Node) -> Self {
        let lines = Lines::of(text);
        let Some((first, _)) = case.entries().first() else { return Self::Braces };
        let indent = first.column - 1;
        let Some((key, value)) = case.entries().iter().find(|(key, _)| key.name == "expect") else {
            return match lines.holds(first.line, indent, &first.written) {
                true => Self::Append { at: lines.end(first.line, |depth| depth >= indent), indent },
                false => Self::Braces,
            };
        };
        if !lines.holds(key.line, key.column - 1, &key.written) {
            return Self::Braces;
        }
        let start = lines.byte(key.line, key.column - 1);
        let from = start + text[start..].find(':').map_or(0, |colon| colon + 1);
        let rest = text[from..].lines().next().unwrap_or_default();
        let own_lines = rest.trim_start().is_empty() || rest.trim_start().starts_with('#');
        let empty = matches!(&value.value, Value::Null) && value.raw.as_deref().is_none_or(str::is_empty);
        let end = lines.end(key.line, |depth| depth > indent);
        let (from, to) = match own_lines {
            true => (from + rest.len(), if empty { from + rest.len() } else { end }),
            false => (from, end),
        };
        Self::Value { from, to, indent, own_lines }
    }

    /// The text with the expectation in this place; the error says why that cannot be.
    pub(super) fn put(&self, text: &str, expect: &Expect) -> Result<String, String> {
        let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
        let yaml = |indent| write(expect, indent).replace('\n', newline);
        Ok(match self {
            Self::Value { from, to, indent, .. } => {
                let line_end = if text[..*to].ends_with('\n') { newline } else { "" };
                format!("{}{newline}{}{line_end}{}", &text[..*from], yaml(indent + 2).trim_end(), &text[*to..])
            }
            Self::Append { at, indent } => {
                let before = &text[..*at];
                let gap = if before.is_empty() || before.ends_with('\n') { "" } else { newline };
                format!("{before}{gap}{:indent$}expect:{newline}{}{}", "", yaml(indent + 2), &text[*at..])
            }
            Self::Braces => return Err("the case stands in braces, into which nothing can be written".into()),
        })
    }
}

/// The lines of a text.
struct Lines<'a> {
    text: &'a str,
    /// First byte of each line.
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn of(text: &'a str) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { text, starts }
    }

    /// A line, from 1, without its end.
    fn line(&self, number: usize) -> &'a str {
        let start = self.starts.get(number - 1).copied().unwrap_or(self.text.len());
        let line = self.text[start..].lines().next().unwrap_or_default();
        if number == 1 { line.strip_prefix('\u{feff}').unwrap_or(line) } else { line }
    }

    /// The byte at which a column, from 0, of a line starts.
    fn byte(&self, number: usize, column: usize) -> usize {
        let line = self.line(number);
        let start = line.as_ptr() as usize - self.text.as_ptr() as usize;
        start + line.char_indices().nth(column).map_or(line.len(), |(at, _)| at)
    }

    /// Whether a key is the first thing on its line, `-` aside.
    fn holds(&self, number: usize, column: usize, key: &str) -> bool {
        let line = self.line(number);
        let before: String = line.chars().take(column).collect();
        let plain = before.chars().all(|c| matches!(c, ' ' | '-'));
        plain && line.chars().skip(column).collect::<String>().trim_start_matches(['"', '\'']).starts_with(key)
    }

    /// The byte behind the last line that belongs to what starts on a line; `deep` says of how deep a line stands whether it does.
    fn end(&self, number: usize, deep: impl Fn(usize) -> bool) -> usize {
        let mut last = number;
        for number in number + 1..=self.starts.len() {
            let line = self.line(number);
            if line.trim().is_empty() {
                continue;
            }
            let marker = line == "---" || line == "..." || line.starts_with("--- ") || line.starts_with("... ");
            if marker || !deep(line.len() - line.trim_start_matches(' ').len()) {
                break;
            }
            last = number;
        }
        // A comment at the end, no deeper than the keys, speaks of what follows.
        self.starts.get(last).copied().unwrap_or(self.text.len())
    }
}

/// Writes an expectation, `indent` blanks deep, each line with its end.
pub(super) fn write(expect: &Expect, indent: usize) -> String {
    let Expect { rows, dead_letters, counts, error, unordered, tolerance } = expect;
    let mut text = String::new();
    let mut line = |deeper: usize, content: &str| {
        text.push_str(&" ".repeat(indent + deeper));
        text.push_str(content);
        text.push('\n');
    };
    if *unordered {
        line(0, "unordered: true");
    }
    if let Some(tolerance) = tolerance {
        line(0, &format!("tolerance: {}", Json::from(*tolerance)));
    }
    if let Some(error) = error {
        line(0, &format!("error: {}", scalar(error)));
    }
    let mut list = |name: &str, items: &[serde_json::Map<String, Json>]| {
        if items.is_empty() {
            return line(0, &format!("{name}: []"));
        }
        line(0, &format!("{name}:"));
        for item in items {
            let flow = flow_map(item);
            if indent + 4 + flow.chars().count() <= WIDTH || item.is_empty() {
                line(2, &format!("- {flow}"));
                continue;
            }
            for (index, (key, value)) in item.iter().enumerate() {
                let dash = if index == 0 { "- " } else { "  " };
                line(2, &format!("{dash}{}: {}", scalar(key), flow_value(value)));
            }
        }
    };
    if error.is_none() || !rows.is_empty() {
        list("rows", rows);
    }
    if !dead_letters.is_empty() {
        list("dead_letters", &dead_letters.iter().map(letter).collect::<Vec<_>>());
    }
    if *counts != Counts::default() {
        let Counts { rows, filtered, dead_letters, skipped, expanded, crashed } = counts;
        let counts = [
            ("rows", rows),
            ("filtered", filtered),
            ("dead_letters", dead_letters),
            ("skipped", skipped),
            ("expanded", expanded),
            ("crashed", crashed),
        ];
        let counts: Vec<String> = counts.iter().filter_map(|(name, count)| Some(format!("{name}: {}", (**count)?))).collect();
        line(0, &format!("counts: {{{}}}", counts.join(", ")));
    }
    text
}

/// A dead letter as a mapping of what is given.
pub(super) fn letter(letter: &ExpectedLetter) -> serde_json::Map<String, Json> {
    let ExpectedLetter { row, stage, code, column, reason, message } = letter;
    let texts = [("stage", stage), ("code", code), ("column", column), ("reason", reason), ("message", message)];
    let row = row.map(|row| ("row".to_owned(), Json::from(row)));
    let texts = texts.into_iter().filter_map(|(name, text)| Some((name.to_owned(), Json::from(text.as_deref()?))));
    row.into_iter().chain(texts).collect()
}

fn flow_map(map: &serde_json::Map<String, Json>) -> String {
    let pairs: Vec<String> = map.iter().map(|(key, value)| format!("{}: {}", scalar(key), flow_value(value))).collect();
    format!("{{{}}}", pairs.join(", "))
}

fn flow_value(value: &Json) -> String {
    match value {
        Json::String(text) => scalar(text),
        Json::Array(items) => format!("[{}]", items.iter().map(flow_value).collect::<Vec<_>>().join(", ")),
        Json::Object(map) => flow_map(map),
        other => other.to_string(),
    }
}

/// A text as YAML: as it stands where it reads back the same, else in double quotes.
pub(super) fn scalar(text: &str) -> String {
    let plain = text.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | ' ' | '@' | '+'))
        && !text.ends_with(' ')
        && matches!(resolve(text), Value::Text(_));
    // Dates read back as texts, and people write them so.
    let day = text.len() >= 10 && text.chars().all(|c| c.is_ascii_digit() || matches!(c, '-' | 'T' | 'Z' | '.')) && text.contains('-');
    if plain || (day && text.starts_with(|c: char| c.is_ascii_digit()) && matches!(resolve(text), Value::Text(_))) {
        return text.to_owned();
    }
    let mut quoted = String::with_capacity(text.len() + 2);
    for c in Json::from(text).to_string().chars() {
        // YAML takes fewer characters as they are than JSON does.
        match c {
            '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {
                quoted.push_str(&format!("\\u{:04x}", c as u32))
            }
            c => quoted.push(c),
        }
    }
    quoted
}
