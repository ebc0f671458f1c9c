//! What a YAML scalar without quotes means.

use super::yaml::Value;

/// Says what a scalar without quotes means.
///
/// `true yes on` and `false no off` (lower, Title, UPPER case) are booleans; empty, `~` and `null` are null; `1_000`, `0x1f` and `0b101` are whole
/// numbers; `1.5`, `1e3`, `.inf`, `.nan` are numbers. A number with a leading zero (`007`), one that does not fit 64 bits, one with colons (`12:30`) and
/// a date stay text, since turning them into something else has surprised everyone.
pub(super) fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => return Value::Bool(true),
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => return Value::Bool(false),
        ".nan" | ".NaN" | ".NAN" => return Value::Float(f64::NAN),
        _ => {}
    }
    number(text).unwrap_or_else(|| Value::Text(text.to_owned()))
}

fn number(text: &str) -> Option<Value> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        b'0'..=b'9' | b'.' => (false, text),
        _ => return None,
    };
    if matches!(digits, ".inf" | ".Inf" | ".INF") {
        return Some(Value::Float(if negative { f64::NEG_INFINITY } else { f64::INFINITY }));
    }
    let first = *digits.as_bytes().first()?;
    if first == b'_' || !digits.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'+' | b'-')) {
        return None;
    }
    let plain = digits.replace('_', "");
    let signed = |magnitude: &str, radix| {
        i64::from_str_radix(&format!("{}{magnitude}", if negative { "-" } else { "" }), radix).ok().map(Value::Int)
    };
    if let Some(hex) = plain.strip_prefix("0x") {
        return signed(hex, 16);
    }
    if let Some(binary) = plain.strip_prefix("0b") {
        return signed(binary, 2);
    }
    let leading_zero = plain.len() > 1 && plain.starts_with('0') && plain.as_bytes()[1].is_ascii_digit();
    if leading_zero {
        return None;
    }
    if plain.bytes().all(|byte| byte.is_ascii_digit()) {
        return signed(&plain, 10);
    }
    let float_shape = plain.bytes().any(|byte| byte.is_ascii_digit())
        && plain.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'));
    let value: f64 = float_shape.then(|| plain.parse().ok()).flatten()?;
    Some(Value::Float(if negative { -value } else { value }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_scalar_means_what_the_original_reader_makes_of_it_unless_that_surprises() {
        let whole =
            [("0", 0), ("-7", -7), ("+7", 7), ("1_000", 1000), ("0x1f", 31), ("0b101", 5), ("9007199254740993", 9_007_199_254_740_993)];
        for (text, number) in whole {
            assert_eq!(resolve(text), Value::Int(number), "{text}");
        }
        for (text, number) in [("1.5", 1.5), ("-.5", -0.5), ("1.", 1.0), ("1e3", 1000.0), ("1_0.5", 10.5), ("-.inf", f64::NEG_INFINITY)] {
            assert_eq!(resolve(text), Value::Float(number), "{text}");
        }
        for text in ["yes", "On", "TRUE", "true"] {
            assert_eq!(resolve(text), Value::Bool(true), "{text}");
        }
        for text in ["no", "Off", "FALSE", "false"] {
            assert_eq!(resolve(text), Value::Bool(false), "{text}");
        }
        for text in ["", "~", "null", "NULL"] {
            assert_eq!(resolve(text), Value::Null, "{text}");
        }
        let texts = [
            "007",
            "00",
            "-01",
            "12:30",
            "2024-01-01",
            "1.2.3",
            "1e",
            "e3",
            "0o17",
            "0x",
            "-",
            "+",
            ".",
            "_1",
            "y",
            "tRUE",
            "99999999999999999999",
            "1-2",
        ];
        for text in texts {
            assert_eq!(resolve(text), Value::Text(text.to_owned()), "{text}");
        }
    }
}
