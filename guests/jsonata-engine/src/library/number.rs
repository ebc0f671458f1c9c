//! Numbers as JavaScript writes, reads and rounds them.

use super::decimal::Decimal;
use super::power::raise;
use crate::Failure;

/// Integers below are exact, and are written without an exponent.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Writes a number as `$string` and `&` do: 15 significant digits at most.
pub(crate) fn write(value: f64, into: &mut String) {
    write_by(value, into, Decimal::rounded);
}

/// Writes a number as JavaScript's `String(value)` does.
pub(crate) fn write_exact(value: f64, into: &mut String) {
    write_by(value, into, Decimal::shortest);
}

fn write_by(value: f64, into: &mut String, decimal: impl Fn(f64) -> Decimal) {
    if value.abs() < EXACT && value.trunc() == value {
        into.push_str(itoa::Buffer::new().format(value as i64));
        return;
    }
    if value.is_nan() {
        into.push_str("NaN");
        return;
    }
    if value < 0.0 {
        into.push('-');
    }
    match (value.is_finite(), value.trunc() == value) {
        (false, _) => into.push_str("Infinity"),
        (true, true) => Decimal::shortest(value.abs()).write(into),
        (true, false) => decimal(value.abs()).write(into),
    }
}

/// `$number` of a text; NaN for some of what has a prefix such as `0x` in the wrong place.
pub(crate) fn parse(text: &str) -> Result<f64, Failure> {
    let bytes = text.as_bytes();
    if is_decimal(bytes)
        && let Ok(number) = text.parse::<f64>()
        && number.is_finite()
    {
        return Ok(number);
    }
    // The reference's pattern is anchored for hexadecimal digits in front and for binary ones behind only.
    let hexadecimal = matches!(bytes, [b'0', b'x' | b'X', digit, ..] if digit.is_ascii_hexdigit());
    let octal = bytes.windows(3).any(|part| matches!(part, [b'0', b'o' | b'O', b'0'..=b'7']));
    let before_bits = text.trim_end_matches(['0', '1']);
    let binary = [bytes.len() > before_bits.len(), before_bits.ends_with("0b") || before_bits.ends_with("0B")] == [true; 2];
    if hexadecimal || octal || binary {
        return Ok(with_prefix(text.trim_matches(is_space)));
    }
    Err(Failure::new("D3030", format!("unable to cast value to a number: {}", shown(text))))
}

/// Whether a text is digits, with a fraction and an exponent perhaps.
fn is_decimal(text: &[u8]) -> bool {
    fn digits(text: &[u8]) -> Option<&[u8]> {
        let count = text.iter().take_while(|digit| digit.is_ascii_digit()).count();
        (count > 0).then(|| &text[count..])
    }
    let Some(mut rest) = digits(text.strip_prefix(b"-").unwrap_or(text)) else { return false };
    if let [b'.', fraction @ ..] = rest {
        let Some(after) = digits(fraction) else { return false };
        rest = after;
    }
    if let [b'e' | b'E', exponent @ ..] = rest {
        let exponent = match exponent {
            [b'+' | b'-', digits @ ..] => digits,
            _ => exponent,
        };
        let Some(after) = digits(exponent) else { return false };
        rest = after;
    }
    rest.is_empty()
}

/// A text with `0x`, `0o` or `0b` as JavaScript's `Number(text)` has it; all else that gets here is none.
fn with_prefix(text: &str) -> f64 {
    let (radix, digits) = match text.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &text[2..]),
        [b'0', b'o' | b'O', ..] => (8, &text[2..]),
        [b'0', b'b' | b'B', ..] => (2, &text[2..]),
        _ => return f64::NAN,
    };
    match digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        true => f64::NAN,
        false => of_bits(digits, radix),
    }
}

/// The number of digits of a radix that is a power of two, rounded once.
fn of_bits(digits: &str, radix: u32) -> f64 {
    let width = radix.ilog2();
    let (mut kept, mut dropped, mut is_more) = (0_u64, 0_i32, false);
    for digit in digits.chars().filter_map(|digit| digit.to_digit(radix)) {
        match kept >> 58 {
            0 => kept = kept << width | u64::from(digit),
            _ => {
                dropped = dropped.saturating_add(width as i32);
                is_more |= digit != 0;
            }
        }
    }
    // What was dropped decides between two numbers only where the rest is halfway, so one bit tells it.
    (kept | u64::from(is_more)) as f64 * 2_f64.powi(dropped)
}

/// A text for an error message, cut where it is long.
pub(crate) fn shown(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((place, _)) => format!("\"{}…\"", &text[..place]),
        None => format!("\"{text}\""),
    }
}

/// `$round`: to so many decimal places, or whole tens where negative; halves to the even digit.
pub(crate) fn round(value: f64, precision: Option<f64>) -> f64 {
    let precision = precision.filter(|precision| *precision != 0.0 && !precision.is_nan());
    let rounded = match precision {
        Some(precision) => {
            if !value.is_finite() || precision.trunc() != precision {
                // With a fraction in its exponent, the reference's text is no number.
                return f64::NAN;
            }
            // Most numbers have few digits, which tell where to round.
            match Decimal::shortest(value.abs()).at_places(precision) {
                Some(rounded) => rounded.value().copysign(value),
                None => move_point(round_half_even(move_point(value, precision)), -precision),
            }
        }
        None => round_half_even(value),
    };
    // There is no -0 in JSON.
    rounded + 0.0
}

/// Rounds as JavaScript's `Math.round` does, and then halves to the even number.
fn round_half_even(value: f64) -> f64 {
    let floor = value.floor();
    let rounded = if value - floor >= 0.5 { floor + 1.0 } else { floor };
    if (rounded - value).abs() == 0.5 && (rounded % 2.0).abs() == 1.0 { rounded - 1.0 } else { rounded }
}

/// Moves the decimal point of a number as it is written, which makes no error as multiplying would.
fn move_point(value: f64, places: f64) -> f64 {
    if !value.is_finite() {
        return f64::NAN;
    }
    if value == 0.0 {
        return value;
    }
    let mut decimal = Decimal::shortest(value.abs());
    decimal.point += places.clamp(-100_000.0, 100_000.0) as i32;
    decimal.value().copysign(value)
}

/// `$formatBase`: of the integer nearest to a number.
pub(crate) fn format_base(value: f64, radix: Option<f64>) -> Result<String, Failure> {
    let value = round(value, None);
    let radix = radix.map_or(10.0, |radix| round(radix, None));
    if !(2.0..=36.0).contains(&radix) {
        return Err(Failure::new("D3100", format!("the radix of $formatBase must be between 2 and 36, but is {radix}")));
    }
    if radix == 10.0 || !value.is_finite() {
        let mut text = String::new();
        write_exact(value, &mut text);
        return Ok(text);
    }
    let mut digits = Vec::new();
    let mut rest = value.abs();
    // As V8 does: what is beyond the exact integers is written as zeros.
    while rest / radix >= EXACT {
        rest /= radix;
        digits.push('0');
    }
    loop {
        let digit = rest % radix;
        digits.push(char::from_digit(digit as u32, 36).expect("the radix is at most 36"));
        rest = (rest - digit) / radix;
        if rest <= 0.0 {
            break;
        }
    }
    if value < 0.0 {
        digits.push('-');
    }
    Ok(digits.into_iter().rev().collect())
}

/// `$power`.
pub(crate) fn power(base: f64, exponent: f64) -> Result<f64, Failure> {
    let power = raise(base, exponent);
    match power.is_finite() {
        true => Ok(power),
        false => Err(Failure::new("D3061", format!("{base} to the power of {exponent} cannot be represented as a JSON number"))),
    }
}

/// `$sqrt`.
pub(crate) fn square_root(value: f64) -> Result<f64, Failure> {
    match value < 0.0 {
        true => Err(Failure::new("D3060", format!("the square root of a negative number was asked for: {value}"))),
        false => Ok(value.sqrt()),
    }
}

/// JavaScript's `parseInt`: as many digits as there are behind white space and a sign, hexadecimal with `0x`; NaN where there are none.
pub(crate) fn parse_integer(text: &str) -> f64 {
    let text = text.trim_start_matches(is_space);
    let (sign, rest) = match text.as_bytes() {
        [b'-', ..] => (-1.0, &text[1..]),
        [b'+', ..] => (1.0, &text[1..]),
        _ => (1.0, text),
    };
    if let [b'0', b'x' | b'X', ..] = rest.as_bytes() {
        let count = rest[2..].bytes().take_while(u8::is_ascii_hexdigit).count();
        return if count == 0 { f64::NAN } else { sign * of_bits(&rest[2..2 + count], 16) };
    }
    parse_digits(sign, rest)
}

/// The same of decimal digits alone.
pub(crate) fn parse_decimal(text: &str) -> f64 {
    let text = text.trim_start_matches(is_space);
    match text.as_bytes() {
        [b'-', ..] => parse_digits(-1.0, &text[1..]),
        [b'+', ..] => parse_digits(1.0, &text[1..]),
        _ => parse_digits(1.0, text),
    }
}

fn parse_digits(sign: f64, text: &str) -> f64 {
    let count = text.bytes().take_while(u8::is_ascii_digit).count();
    if count == 0 { f64::NAN } else { sign * text[..count].parse::<f64>().unwrap_or(f64::NAN) }
}

/// What JavaScript takes for white space.
pub(crate) fn is_space(character: char) -> bool {
    matches!(character, '\t'..='\r' | ' ' | '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{2028}' | '\u{2029}' | '\u{202f}' | '\u{205f}' | '\u{3000}' | '\u{feff}')
}

/// A place in a list as JavaScript's `slice` takes it: without fraction, from the end where negative, within the list.
pub(crate) fn index(place: f64, length: usize) -> usize {
    let place = if place.is_nan() { 0.0 } else { place.trunc() };
    let place = if place < 0.0 { place + length as f64 } else { place };
    place.clamp(0.0, length as f64) as usize
}
