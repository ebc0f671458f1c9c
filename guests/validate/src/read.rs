//! Texts read as what a rule speaks of.

use etl_steps::moment;

/// Whether a text is a whole number.
pub(crate) fn is_integer(text: &str) -> bool {
    let text = text.trim();
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (whole, zeros) = digits.split_once('.').unwrap_or((digits, "0"));
    !whole.is_empty() && whole.bytes().all(|byte| byte.is_ascii_digit()) && !zeros.is_empty() && zeros.bytes().all(|byte| byte == b'0')
}

/// The finite number that a text is.
pub(crate) fn number(text: &str) -> Option<f64> {
    let text = text.trim();
    // `parse` takes `inf` and `nan` in many spellings, too.
    let shaped = text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+' | b'e' | b'E'));
    if shaped { text.parse().ok().filter(|number: &f64| number.is_finite()) } else { None }
}

/// Whether a text is a truth value.
pub(crate) fn is_boolean(text: &str) -> bool {
    let text = text.trim();
    ["true", "false", "1", "0", "yes", "no", "on", "off"].iter().any(|word| text.eq_ignore_ascii_case(word))
}

/// Whether a text is a day, in the ways that `convert` reads: `2024-01-15`, `2024/01/15`, `01/15/2024`.
pub(crate) fn is_date(text: &str) -> bool {
    let text = text.trim();
    let reordered = match text.as_bytes() {
        [_, _, _, _, b'/', _, _, b'/', ..] => Some(text.replace('/', "-")),
        [_, _, b'/', _, _, b'/', ..] if text.is_ascii() => Some(format!("{}-{}-{}", &text[6..], &text[..2], &text[3..5])),
        _ => None,
    };
    moment::day(reordered.as_deref().unwrap_or(text)).is_some()
}

/// A number as written, exact: digits and the power of ten that they are taken by.
pub(crate) fn exact(text: &str) -> Option<(i128, i32)> {
    let text = text.trim();
    let (digits, exponent) = match text.split_once(['e', 'E']) {
        Some((digits, exponent)) => (digits, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let joined = format!("{whole}{fraction}");
    Some((joined.parse().ok()?, exponent - i32::try_from(fraction.len()).ok()?))
}

/// An exact number as a multiple of 10^-scale, rounded down, and whether that lost something.
pub(crate) fn at_scale((digits, exponent): (i128, i32), scale: i8) -> (i128, bool) {
    let shift = exponent.saturating_add(i32::from(scale));
    let power = 10i128.checked_pow(shift.unsigned_abs());
    match (shift >= 0, power) {
        (true, Some(power)) => (digits.saturating_mul(power), false),
        (true, None) if digits == 0 => (0, false),
        (true, None) => (if digits < 0 { i128::MIN } else { i128::MAX }, false),
        (false, Some(power)) => (digits.div_euclid(power), digits.rem_euclid(power) != 0),
        (false, None) => (if digits < 0 { -1 } else { 0 }, digits != 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_what_they_are_at_a_scale() {
        let at = |text: &str, scale| at_scale(exact(text).expect("it is a number"), scale);
        assert_eq!(at("0.1", 2), (10, false));
        assert_eq!(at("0.125", 2), (12, true));
        assert_eq!(at("-0.125", 2), (-13, true));
        assert_eq!(at("1e3", 0), (1000, false));
        assert_eq!(at("9007199254740993", 0), (9_007_199_254_740_993, false));
    }

    #[test]
    fn texts_read_as_what_they_are() {
        assert_eq!(["1", "-0012", "+3.00", " 7 "].map(is_integer), [true; 4]);
        assert_eq!(["", "1.5", "1e3", "x", "-", "1."].map(is_integer), [false; 6]);
        assert_eq!(number(" -1.5e3 "), Some(-1500.0));
        assert_eq!(["", "nan", "inf", "1e999", "1,5", "0x10"].map(number), [None; 6]);
        assert_eq!(["2024-01-15", "2024/01/15", "01/15/2024"].map(is_date), [true; 3]);
        assert_eq!(["15/01/2024", "2024-1-5", "ä1/15/2024", "2024-02-30"].map(is_date), [false; 4]);
    }
}
