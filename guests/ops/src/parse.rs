//! Texts to numbers and truth values.

/// Strips blanks at both ends, the ones beyond ASCII too.
#[inline]
pub(crate) fn trim(text: &str) -> &str {
    let bytes = text.as_bytes();
    let plain = |byte: Option<&u8>| byte.is_none_or(|byte| (b'!'..0x80).contains(byte));
    if plain(bytes.first()) && plain(bytes.last()) { text } else { text.trim() }
}

/// Reads an integer: exact, truncated toward zero where there is a fraction; `None` where it is no number or does not fit.
#[inline]
pub(crate) fn int(text: &str) -> Option<i64> {
    let text = trim(text);
    let bytes = text.as_bytes();
    let (negative, digits) = match bytes {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || digits.len() > 18 {
        return slow_int(text);
    }
    let mut value = 0i64;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return slow_int(text);
        }
        value = value * 10 + i64::from(digit);
    }
    Some(if negative { -value } else { value })
}

#[cold]
fn slow_int(text: &str) -> Option<i64> {
    let (value, _) = Decimal::parse(text)?.at_scale(0)?;
    i64::try_from(value).ok()
}

const POWERS: [f64; 23] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22];

/// Reads a float, correctly rounded; `nan`, `inf` and `infinity` are floats in any case.
#[inline]
pub(crate) fn float(text: &str) -> Option<f64> {
    let text = trim(text);
    let bytes = text.as_bytes();
    let (negative, rest) = match bytes {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    // At most 15 digits and so few after the point: mantissa and power are exact, so one division rounds correctly (Clinger 1990).
    if rest.is_empty() || rest.len() > 16 {
        return slow_float(text);
    }
    let (mut mantissa, mut fraction, mut point) = (0u64, 0usize, false);
    for byte in rest {
        let digit = byte.wrapping_sub(b'0');
        if digit <= 9 {
            mantissa = mantissa * 10 + u64::from(digit);
            fraction += usize::from(point);
        } else if *byte == b'.' && !point {
            point = true;
        } else {
            return slow_float(text);
        }
    }
    if rest.len() == usize::from(point) || mantissa >= 1 << 53 {
        return slow_float(text);
    }
    let value = mantissa as f64 / POWERS[fraction];
    Some(if negative { -value } else { value })
}

#[cold]
fn slow_float(text: &str) -> Option<f64> {
    if text.as_bytes().contains(&b'_') {
        return join_digits(text)?.parse().ok();
    }
    text.parse().ok()
}

/// Takes out underscores that stand between digits; `None` where one stands elsewhere.
fn join_digits(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let digit = |index: Option<usize>| index.and_then(|index| bytes.get(index)).is_some_and(u8::is_ascii_digit);
    for (index, _) in bytes.iter().enumerate().filter(|(_, byte)| **byte == b'_') {
        if !digit(index.checked_sub(1)) || !digit(Some(index + 1)) {
            return None;
        }
    }
    Some(text.replace('_', ""))
}

/// Reads a truth value: true 1 yes on, false 0 no off and the empty text, in any case.
#[inline]
pub(crate) fn bool(text: &str) -> Option<bool> {
    let text = trim(text);
    let is = |word: &str| text.eq_ignore_ascii_case(word);
    match text.len() {
        0 => Some(false),
        1 if text == "1" => Some(true),
        1 if text == "0" => Some(false),
        2 if is("no") => Some(false),
        2 if is("on") => Some(true),
        3 if is("yes") => Some(true),
        3 if is("off") => Some(false),
        4 if is("true") => Some(true),
        5 if is("false") => Some(false),
        _ => None,
    }
}

/// A decimal number as written: ± mantissa × 10^exponent, and whether digits beyond the mantissa's 38 were cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decimal {
    negative: bool,
    mantissa: u128,
    exponent: i32,
    cut: bool,
}

impl Decimal {
    /// Reads digits with an optional sign, point, exponent and underscores between digits.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = trim(text);
        let joined;
        let text = if text.contains('_') {
            joined = join_digits(text)?;
            &joined
        } else {
            text
        };
        let (negative, rest) = match text.as_bytes() {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            rest => (false, rest),
        };
        let split = rest.iter().position(|byte| matches!(byte, b'e' | b'E'));
        let (digits, exponent) = match split {
            Some(at) => (&rest[..at], std::str::from_utf8(&rest[at + 1..]).ok()?.parse::<i32>().ok()?.clamp(-10_000, 10_000)),
            None => (rest, 0),
        };
        let mut parsed = Self { negative, mantissa: 0, exponent, cut: false };
        let (mut point, mut any) = (false, false);
        for byte in digits {
            match byte {
                b'0'..=b'9' => {
                    any = true;
                    if parsed.mantissa < 10u128.pow(37) {
                        parsed.mantissa = parsed.mantissa * 10 + u128::from(byte - b'0');
                        parsed.exponent = parsed.exponent.saturating_sub(i32::from(point));
                    } else {
                        parsed.cut |= *byte != b'0';
                        parsed.exponent = parsed.exponent.saturating_add(i32::from(!point));
                    }
                }
                b'.' if !point => point = true,
                _ => return None,
            }
        }
        any.then_some(parsed)
    }

    /// Answers the value × 10^scale truncated toward zero, and whether anything was cut; `None` where it does not fit 128 bits.
    pub(crate) fn at_scale(self, scale: i8) -> Option<(i128, bool)> {
        let shift = self.exponent.saturating_add(i32::from(scale));
        let (magnitude, cut) = if self.mantissa == 0 {
            (0, self.cut)
        } else if shift >= 0 {
            (self.mantissa.checked_mul(10u128.checked_pow(shift as u32)?)?, self.cut)
        } else {
            match 10u128.checked_pow(shift.unsigned_abs()) {
                Some(divisor) => (self.mantissa / divisor, self.cut || !self.mantissa.is_multiple_of(divisor)),
                None => (0, true),
            }
        };
        let value = i128::try_from(magnitude).ok()?;
        Some((if self.negative { -value } else { value }, cut))
    }

    /// As [`Self::at_scale`], but exact, and with at most `precision` digits.
    pub(crate) fn exact(self, precision: u8, scale: i8) -> Option<i128> {
        let (value, cut) = self.at_scale(scale)?;
        (!cut && fits(value, precision)).then_some(value)
    }

    /// As [`Self::exact`], but rounded half away from zero.
    pub(crate) fn rounded(self, precision: u8, scale: i8) -> Option<i128> {
        let (value, _) = self.at_scale(scale.checked_add(1)?)?;
        let value = value / 10 + (value % 10) / 5;
        fits(value, precision).then_some(value)
    }

    /// Whether it is below zero (or minus zero).
    pub(crate) fn is_negative(self) -> bool {
        self.negative
    }
}

/// Says whether a value has at most `precision` digits.
pub(crate) fn fits(value: i128, precision: u8) -> bool {
    value.unsigned_abs() < 10u128.pow(u32::from(precision))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_exact_and_truncate_toward_zero() {
        let cases: [(&str, Option<i64>); 34] = [
            ("0", Some(0)),
            ("-0", Some(0)),
            ("+7", Some(7)),
            ("  42\t", Some(42)),
            ("\u{a0}42", Some(42)),
            ("007", Some(7)),
            ("9007199254740993", Some(9_007_199_254_740_993)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("-9223372036854775809", None),
            ("1e3", Some(1000)),
            ("1E+3", Some(1000)),
            ("1.9", Some(1)),
            ("-1.9", Some(-1)),
            ("0.9", Some(0)),
            ("9007199254740993.7", Some(9_007_199_254_740_993)),
            ("1_000", Some(1000)),
            ("1_000_000", Some(1_000_000)),
            ("_1", None),
            ("1_", None),
            ("1__0", None),
            ("1_e3", None),
            ("15e-1", Some(1)),
            ("1e-400", Some(0)),
            ("1e400", None),
            ("0e400", Some(0)),
            (".5", Some(0)),
            ("5.", Some(5)),
            ("", None),
            ("-", None),
            (".", None),
            ("nan", None),
            ("12a", None),
        ];
        for (text, value) in cases {
            assert_eq!(int(text), value, "{text:?}");
        }
        for text in ["1,000", "0x10", "1 000", "--1", "1.2.3", "e5", "1e", "inf", "١"] {
            assert_eq!(int(text), None, "{text:?}");
        }
    }

    #[test]
    fn floats_round_as_the_standard_library_does() {
        for text in [
            "0",
            "-0",
            "1",
            "1.",
            ".5",
            "-.5",
            "19.99",
            "0.1",
            "123456789.123456",
            "999999999999999",
            "9007199254740993",
            "1e3",
            "1E-7",
            "4.9e-324",
            "1.7976931348623157e308",
            "1e400",
            "0.000000000000001",
            "2.2250738585072014e-308",
            "inf",
            "-Infinity",
            "0.30000000000000004",
        ] {
            assert_eq!(float(text).map(f64::to_bits), text.parse().ok().map(f64::to_bits), "{text}");
        }
        assert!(float("NaN").is_some_and(f64::is_nan));
        assert_eq!(float(" 1_000.5 "), Some(1000.5));
        for text in ["", ".", "-", "+", "1,5", "1..2", "_1", "1_.5", "abc", "1e", "0x1p3", "$5"] {
            assert_eq!(float(text), None, "{text:?}");
        }
    }

    #[test]
    fn truth_values_come_in_words() {
        for text in ["true", "TRUE", "1", "yes", "On", " Yes "] {
            assert_eq!(bool(text), Some(true), "{text:?}");
        }
        for text in ["false", "False", "0", "no", "OFF", "", "  "] {
            assert_eq!(bool(text), Some(false), "{text:?}");
        }
        for text in ["y", "n", "2", "t", "maybe", "tru", "nay", "wahr"] {
            assert_eq!(bool(text), None, "{text:?}");
        }
    }

    #[test]
    fn decimals_are_exact_or_nothing() {
        let exact = |text: &str| Decimal::parse(text).and_then(|decimal| decimal.exact(6, 2));
        let cases = [
            ("19.99", Some(1999)),
            ("-19.9", Some(-1990)),
            ("19.990", Some(1999)),
            ("19.999", None),
            ("9999.99", Some(999_999)),
            ("10000", None),
            ("1e2", Some(10_000)),
            ("1.5e-1", Some(15)),
            ("1e-3", None),
            ("0e99", Some(0)),
            ("00000000000000000000000000000000000000000001.5", Some(150)),
            ("1.00000000000000000000000000000000000000000000001", None),
            ("x", None),
            ("1e999999999999", None),
        ];
        for (text, value) in cases {
            assert_eq!(exact(text), value, "{text}");
        }
        let rounded = |text: &str| Decimal::parse(text).and_then(|decimal| decimal.rounded(6, 2));
        assert_eq!([rounded("0.125"), rounded("-0.125"), rounded("0.1249"), rounded("9999.995")], [Some(13), Some(-13), Some(12), None]);
        let wide = "12345678901234567890123456789012345678";
        assert_eq!(Decimal::parse(wide).and_then(|decimal| decimal.exact(38, 0)), wide.parse().ok());
    }
}
