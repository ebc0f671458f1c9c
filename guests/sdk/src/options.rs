//! The options as JSON text, and errors that name the key.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::StageError;

/// Options of a transform that has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoOptions {}

/// Reads options.
pub(crate) fn parse<T: DeserializeOwned>(text: &str) -> Result<T, StageError> {
    let text = if text.trim().is_empty() { "{}" } else { text };
    serde_json::from_str(text).map_err(|error| explain(text, &error))
}

/// Says which key is wrong and what would be right.
fn explain(text: &str, error: &serde_json::Error) -> StageError {
    let whole = error.to_string();
    let message = whole.rsplit_once(" at line ").map_or(whole.as_str(), |(message, _position)| message);
    let steps = path_at(text, byte_offset(text, error.line(), error.column()));

    let with_path = |error: StageError, steps: &[Step]| match render(steps) {
        path if path.is_empty() => error,
        path => error.field(path),
    };
    if let Some(rest) = message.strip_prefix("unknown field `")
        && let Some((name, expected)) = rest.split_once("`, ")
    {
        let known = expected.trim_start_matches("expected one of ").trim_start_matches("expected ");
        let help =
            if known == "there are no fields" { "there are no options here".to_owned() } else { format!("options here are {known}") };
        return with_path(StageError::options("unknown_option", format!("unknown option `{name}`")).help(help), &steps);
    }
    if let Some(name) = message.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`')) {
        // Noticed after the end of the object that lacks it.
        let mut steps = steps;
        steps.push(Step::Key(name.to_owned()));
        return with_path(StageError::options("missing_option", format!("option `{name}` is missing")), &steps);
    }
    with_path(StageError::options("wrong_option", message), &steps)
}

/// A part of the path to a value.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// Within an object, before the first key.
    Object,
    /// Within an object, at this key or just after its value.
    Key(String),
    /// Within a list, at this item or just after it.
    Item(usize),
}

fn render(steps: &[Step]) -> String {
    let mut path = String::new();
    for step in steps {
        match step {
            Step::Object => {}
            Step::Key(key) => {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(key);
            }
            Step::Item(index) => path.push_str(&format!("[{index}]")),
        }
    }
    path
}

/// Turns line and column of `serde_json` into an offset.
fn byte_offset(text: &str, line: usize, column: usize) -> usize {
    let start: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    (start + column).min(text.len())
}

/// Where in the document the first `offset` bytes of `text` end.
fn path_at(text: &str, offset: usize) -> Vec<Step> {
    let bytes = &text.as_bytes()[..offset];
    let mut steps = Vec::new();
    let mut expects_key = false;
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'{' => {
                steps.push(Step::Object);
                expects_key = true;
            }
            b'[' => {
                steps.push(Step::Item(0));
                expects_key = false;
            }
            b'}' | b']' => {
                steps.pop();
                expects_key = false;
            }
            b',' => match steps.last_mut() {
                Some(Step::Item(index)) => *index += 1,
                _ => expects_key = true,
            },
            b'"' => {
                let start = at;
                at += 1;
                while at < bytes.len() && bytes[at] != b'"' {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
                if expects_key && let Ok(key) = serde_json::from_slice(&bytes[start..(at + 1).min(bytes.len())]) {
                    steps.pop();
                    steps.push(Step::Key(key));
                    expects_key = false;
                }
            }
            _ => {}
        }
        at += 1;
    }
    steps
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read by serde")]
    struct Options {
        steps: Vec<Step>,
        #[serde(default)]
        rates: BTreeMap<String, f64>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read by serde")]
    struct Step {
        column: String,
        #[serde(default)]
        width: u8,
    }

    fn error(text: &str) -> StageError {
        parse::<Options>(text).expect_err("the options are wrong")
    }

    #[test]
    fn an_unknown_key_is_named_with_the_ones_that_exist() {
        assert_eq!(
            error("{\"steps\": [{\"column\": \"a\"},\n {\"column\": \"b\", \"wdith\": 3}]}"),
            StageError::options("unknown_option", "unknown option `wdith`")
                .field("steps[1].wdith")
                .help("options here are `column` or `width`")
        );
        assert_eq!(
            parse::<NoOptions>("{\"a\": 1}").expect_err("there are none"),
            StageError::options("unknown_option", "unknown option `a`").field("a").help("there are no options here")
        );
    }

    #[test]
    fn a_missing_key_is_named_with_its_path() {
        assert_eq!(error("{}"), StageError::options("missing_option", "option `steps` is missing").field("steps"));
        assert_eq!(
            error(r#"{"rates": {"a": 1}, "steps": [{"width": 1}]}"#),
            StageError::options("missing_option", "option `column` is missing").field("steps[0].column")
        );
    }

    #[test]
    fn a_value_of_the_wrong_type_is_found_by_path() {
        assert_eq!(
            error(r#"{"rates": {"a \"b\"": 1, "c": "x"}, "steps": []}"#),
            StageError::options("wrong_option", "invalid type: string \"x\", expected f64").field("rates.c")
        );
        assert_eq!(
            error(r#"{"steps": [{"column": "a", "width": 300}]}"#),
            StageError::options("wrong_option", "invalid value: integer `300`, expected u8").field("steps[0].width")
        );
        assert_eq!(error("[1]").field, Some("[0]".to_owned()));
    }

    #[test]
    fn no_text_means_no_options() {
        assert_eq!(parse::<NoOptions>(""), Ok(NoOptions {}));
    }
}
