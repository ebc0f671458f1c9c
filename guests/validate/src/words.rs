//! What is said of a row that breaks a rule.

use etl_steps::validate::{Rule, Test};
use serde_json::Value;

/// Values of an enumeration that a message shows.
const VALUES: usize = 10;

/// Characters of a value that a message shows.
const SHOWN: usize = 60;

/// Says that a value is missing.
pub(crate) fn of_missing(rule: &Rule) -> String {
    format!("`{}` is missing", rule.column.as_deref().unwrap_or_default())
}

/// Says that a key was there before.
pub(crate) fn of_key(rule: &Rule, values: &[String]) -> String {
    let Test::Unique(columns) = &rule.test else { return String::new() };
    let pairs: Vec<String> = columns.iter().zip(values).map(|(column, value)| format!("`{column}` {value}")).collect();
    format!("{} was there before", pairs.join(" with "))
}

/// Says that a check does not hold.
pub(crate) fn of_check(rule: &Rule, why: Option<&str>) -> String {
    let Test::Expression(expression) = &rule.test else { return String::new() };
    match why {
        Some(why) => format!("check `{}` cannot be worked out: {why}", rule.name),
        None => format!("check `{}` does not hold: `{expression}`", rule.name),
    }
}

/// Says what is wrong with a value.
pub(crate) fn of_value(rule: &Rule, value: &str) -> String {
    let column = rule.column.as_deref().unwrap_or_default();
    let must = match &rule.test {
        Test::NotBlank => return format!("`{column}` is blank"),
        Test::Type(kind) => format!("be {}", kind.words()),
        Test::Min(bound) => format!("be {} {}", if bound.exclusive { "above" } else { "at least" }, bound.limit),
        Test::Max(bound) => format!("be {} {}", if bound.exclusive { "below" } else { "at most" }, bound.limit),
        Test::MultipleOf(of) => format!("be a multiple of {of}"),
        Test::MinLength(length) => format!("have a length of at least {length}"),
        Test::MaxLength(length) => format!("have a length of at most {length}"),
        Test::Pattern(pattern) => format!("match `{pattern}`"),
        Test::Format(format) => format!("have the format `{format}`"),
        Test::OneOf(values) => {
            let shown: Vec<String> = values.iter().take(VALUES).map(of_json).collect();
            let more = if values.len() > VALUES { format!(" or {} more", values.len() - VALUES) } else { String::new() };
            format!("be one of {}{more}", shown.join(", "))
        }
        _ => return format!("`{column}` is {value}"),
    };
    format!("`{column}` is {value}, but must {must}")
}

/// A value as it stands: texts in back-quotes.
pub(crate) fn of_json(value: &Value) -> String {
    match value {
        Value::String(text) => format!("`{text}`"),
        other => other.to_string(),
    }
}

/// A value for a message: texts in back-quotes, long ones cut.
pub(crate) fn shown(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let text = match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    };
    match value {
        Value::String(_) => format!("`{text}`"),
        _ => text,
    }
}
