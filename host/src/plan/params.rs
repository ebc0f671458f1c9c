//! The run's parameters, held to what the pipeline says it takes.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, NaiveDateTime};
use etl_steps::Type;
use serde_json::{Number, Value};

use super::Overrides;
use crate::config::extract::InputParam;
use crate::config::pipeline::Pipeline;
use crate::error::{Error, Result};

impl Overrides {
    /// Stands in for the parameters that only a run has, where something is to be planned and no row is read.
    #[must_use]
    pub fn without_params(pipeline: &Pipeline) -> Self {
        let required = pipeline.extract.input_params.0.iter().filter(|(_, param)| param.required && param.default.is_none());
        let stand_in = |param: &InputParam| match &param.kind {
            None | Some(Type::String) => "",
            Some(Type::Int | Type::Float | Type::Decimal { .. } | Type::Json) => "0",
            Some(Type::Bool) => "false",
            Some(Type::Date | Type::Datetime | Type::Timestamp { .. }) => "1970-01-01",
        };
        Self { params: required.map(|(name, param)| (name.clone(), stand_in(param).to_owned())).collect(), ..Self::default() }
    }
}

/// Types the parameters that a run is given, and adds what it is not.
pub(super) fn parameters(pipeline: &Pipeline, given: &BTreeMap<String, String>) -> Result<BTreeMap<String, Value>, Vec<Error>> {
    let known = &pipeline.extract.input_params.0;
    let mut errors = Vec::new();
    for name in given.keys().filter(|name| !known.iter().any(|(known, _)| known == *name)) {
        let error = Error::config(format!("the pipeline takes no parameter `{name}`"));
        errors.push(match crate::error::did_you_mean(name, known.iter().map(|(name, _)| name.as_str())) {
            Some(near) => error.hint(format!("did you mean `{near}`?")),
            None if known.is_empty() => error.hint("it takes none; parameters stand in `input_params` of extract.yaml"),
            None => error.hint(format!("it takes {}", known.iter().map(|(name, _)| format!("`{name}`")).collect::<Vec<_>>().join(", "))),
        });
    }
    let mut params = BTreeMap::new();
    for (name, param) in known {
        let found = match (given.get(name), &param.default) {
            (Some(text), _) => typed(text, param.kind.as_ref()).map_err(|wanted| {
                Error::config(format!("parameter `{name}` is `{text}`, but must be {wanted}")).hint(format!("pass `--param {name}=…`"))
            }),
            (None, Some(default)) => typed_default(default, param.kind.as_ref()).map_err(|wanted| {
                Error::config(format!("the default of parameter `{name}` is `{default}`, but must be {wanted}"))
                    .hint("mend it in `input_params` of extract.yaml")
            }),
            (None, None) if param.required => {
                let what = param.description.as_ref().map(|text| format!(": {text}")).unwrap_or_default();
                Err(Error::config(format!("parameter `{name}` is missing{what}")).hint(format!("pass `--param {name}=…`")))
            }
            (None, None) => continue,
        };
        match found {
            Ok(value) => drop(params.insert(name.clone(), value)),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(params) } else { Err(errors) }
}

/// A default is JSON already: a text is read as `--param` would be, the rest must be what it says.
fn typed_default(default: &Value, kind: Option<&Type>) -> Result<Value, String> {
    match (default, kind) {
        (_, None) | (Value::Null, _) | (_, Some(Type::Json)) => Ok(default.clone()),
        (Value::String(text), kind) => typed(text, kind),
        (Value::Number(_) | Value::Bool(_), Some(Type::String)) => Ok(Value::from(default.to_string())),
        (Value::Number(_) | Value::Bool(_), kind) => typed(&default.to_string(), kind),
        (_, Some(kind)) => Err(wanted(kind)),
    }
}

/// Reads a text as a type; what JSON has no type for stays text, once it is right.
fn typed(text: &str, kind: Option<&Type>) -> Result<Value, String> {
    let Some(kind) = kind else { return Ok(Value::from(text)) };
    let trimmed = text.trim();
    let value = match kind {
        Type::String => Some(Value::from(text)),
        Type::Int => whole(trimmed).map(Value::from),
        Type::Float => trimmed.replace('_', "").parse::<f64>().ok().and_then(Number::from_f64).map(Value::Number),
        Type::Bool => match trimmed.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Some(Value::Bool(true)),
            "false" | "0" | "no" | "off" => Some(Value::Bool(false)),
            _ => None,
        },
        Type::Date => is_date(trimmed).then(|| Value::from(trimmed)),
        Type::Datetime | Type::Timestamp { .. } => (is_date(trimmed) || is_instant(trimmed)).then(|| Value::from(trimmed)),
        Type::Decimal { precision, scale } => is_decimal(trimmed, *precision, *scale).then(|| Value::from(trimmed)),
        Type::Json => serde_json::from_str(trimmed).ok(),
    };
    value.ok_or_else(|| wanted(kind))
}

/// What a type asks for, in words.
fn wanted(kind: &Type) -> String {
    let what = match kind {
        Type::String => "a text",
        Type::Int => "a whole number of 64 bits",
        Type::Float => "a number",
        Type::Bool => "true or false",
        Type::Date => "a day such as 2024-12-31",
        Type::Datetime | Type::Timestamp { .. } => "a time such as 2024-12-31T23:59:59Z",
        Type::Decimal { .. } => "a decimal number that fits",
        Type::Json => "JSON",
    };
    format!("{what} (type `{}`)", String::from(kind.clone()))
}

/// `12`, `1_000`, or what is whole in another spelling: `1e3`.
fn whole(text: &str) -> Option<i64> {
    let text = text.replace('_', "");
    text.parse().ok().or_else(|| {
        let number: f64 = text.parse().ok()?;
        // Beyond this a float holds no longer every whole number.
        (number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0).then_some(number as i64)
    })
}

fn is_date(text: &str) -> bool {
    ["%Y-%m-%d", "%Y/%m/%d", "%m/%d/%Y"].iter().any(|format| NaiveDate::parse_from_str(text, format).is_ok())
}

fn is_instant(text: &str) -> bool {
    let with_t = text.replacen(' ', "T", 1);
    let local = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M"].iter().any(|format| NaiveDateTime::parse_from_str(&with_t, format).is_ok());
    local || DateTime::parse_from_rfc3339(&with_t).is_ok()
}

fn is_decimal(text: &str, precision: u8, scale: i8) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let whole_digits = whole.trim_start_matches('0').len();
    let scale = usize::try_from(scale).unwrap_or(0);
    !(whole.is_empty() && part.is_empty())
        && all_digits(whole)
        && all_digits(part)
        && part.trim_end_matches('0').len() <= scale
        && whole_digits + scale <= usize::from(precision)
}

#[cfg(test)]
mod tests {
    use etl_steps::Type;
    use serde_json::json;

    use super::{typed, typed_default};

    fn kind(text: &str) -> Type {
        Type::try_from(text.to_owned()).unwrap()
    }

    #[test]
    fn texts_become_what_their_type_says() {
        for (text, name, value) in [
            ("12", "int", json!(12)),
            ("9007199254740993", "int", json!(9_007_199_254_740_993_i64)),
            (" 1_000 ", "int", json!(1000)),
            ("1e3", "int", json!(1000)),
            ("1.5", "float", json!(1.5)),
            ("Yes", "bool", json!(true)),
            ("0", "bool", json!(false)),
            ("007", "str", json!("007")),
            ("2024-02-29", "date", json!("2024-02-29")),
            ("2024-02-29 10:00:00", "datetime", json!("2024-02-29 10:00:00")),
            ("2024-02-29T10:00:00+02:00", "timestamp(UTC)", json!("2024-02-29T10:00:00+02:00")),
            ("-12.50", "decimal(4,2)", json!("-12.50")),
            ("{\"a\": [1]}", "json", json!({"a": [1]})),
        ] {
            assert_eq!(typed(text, Some(&kind(name))), Ok(value), "{text} as {name}");
        }
        assert_eq!(typed("12", None), Ok(json!("12")));
        assert_eq!(typed_default(&json!(7), Some(&kind("int"))), Ok(json!(7)));
        assert_eq!(typed_default(&json!("7"), Some(&kind("int"))), Ok(json!(7)));
        assert_eq!(typed_default(&json!(7), Some(&kind("str"))), Ok(json!("7")));
        assert_eq!(typed_default(&json!(null), Some(&kind("int"))), Ok(json!(null)));
    }

    #[test]
    fn texts_that_are_not_of_their_type_are_refused() {
        for (text, name) in [
            ("abc", "int"),
            ("1.5", "int"),
            ("", "int"),
            ("1e30", "int"),
            ("NaN", "float"),
            ("maybe", "bool"),
            ("2023-02-29", "date"),
            ("10:00", "datetime"),
            ("123.45", "decimal(4,2)"),
            ("1.234", "decimal(4,2)"),
            (".", "decimal(4,2)"),
            ("{", "json"),
        ] {
            assert!(typed(text, Some(&kind(name))).is_err(), "{text} as {name}");
        }
        assert!(typed_default(&json!([1]), Some(&kind("int"))).is_err());
    }
}
