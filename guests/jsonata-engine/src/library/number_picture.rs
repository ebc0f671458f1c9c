//! `$formatNumber`: decimal numbers by the pictures of XPath's `format-number`.

use super::cache::Cache;
use super::decimal::Decimal;
use super::integer_picture::regular;
use super::number::{index, round, write_exact};
use crate::Failure;
use crate::surrogate::{halved, joined};

thread_local! {
    static PICTURES: Cache<NumberPicture> = const { Cache::new() };
}

/// What the signs of a picture and of a written number are. Texts are of UTF-16 units, a character each.
#[derive(Debug)]
struct Signs {
    decimal: String,
    grouping: String,
    exponent: String,
    minus: String,
    percent: String,
    per_mille: String,
    zero: String,
    digit: String,
    pattern: String,
}

/// A picture, read: for numbers from zero up, and for those below.
#[derive(Debug)]
struct NumberPicture {
    signs: Signs,
    positive: Form,
    negative: Form,
}

/// Half of a picture.
#[derive(Clone, Debug)]
struct Form {
    prefix: String,
    suffix: String,
    /// What the number is multiplied by.
    factor: f64,
    has_decimal: bool,
    /// Digits in front of the exponent.
    scale: usize,
    least_integer: usize,
    least_fraction: usize,
    most_fraction: usize,
    least_exponent: usize,
    integer_groups: Vec<usize>,
    /// The distance of the groups, where it is always the same.
    every: Option<usize>,
    fraction_groups: Vec<usize>,
    /// Whether the signs are the usual ones, without an exponent, and groups at most of the same size.
    is_plain: bool,
}

/// `$formatNumber`: a number by a picture; `options` change the signs.
pub(crate) fn format(value: f64, picture: &str, options: &[(&str, &str)]) -> Result<String, Failure> {
    let read = || NumberPicture::read(picture, options);
    let picture = match options {
        [] => PICTURES.with(|pictures| pictures.get(picture, read))?,
        _ => {
            let key = options.iter().fold(picture.to_owned(), |key, (name, sign)| format!("{key}\0{name}\0{sign}"));
            PICTURES.with(|pictures| pictures.get(&key, read))?
        }
    };
    let form = if value >= 0.0 { &picture.positive } else { &picture.negative };
    match form.write_plain(value) {
        Some(text) => Ok(text),
        None => form.write(value, &picture.signs),
    }
}

impl Signs {
    fn read(options: &[(&str, &str)]) -> Result<Self, Failure> {
        let sign = |name: &str, default: &str| {
            let given = options.iter().rev().find(|(given, _)| *given == name);
            halved(given.map_or(default, |(_, sign)| sign)).into_owned()
        };
        let signs = Self {
            decimal: sign("decimal-separator", "."),
            grouping: sign("grouping-separator", ","),
            exponent: sign("exponent-separator", "e"),
            minus: sign("minus-sign", "-"),
            percent: sign("percent", "%"),
            per_mille: sign("per-mille", "\u{2030}"),
            zero: sign("zero-digit", "0"),
            digit: sign("digit", "#"),
            pattern: sign("pattern-separator", ";"),
        };
        // The reference goes on without end for these.
        for (name, sign) in [("grouping-separator", &signs.grouping), ("zero-digit", &signs.zero), ("decimal-separator", &signs.decimal)] {
            if sign.is_empty() {
                return Err(Failure::new("D3080", format!("the option `{name}` of $formatNumber must not be empty")));
            }
        }
        Ok(signs)
    }

    fn zero_code(&self) -> u32 {
        self.zero.chars().next().map_or(0, u32::from)
    }

    /// Whether it is one of the ten digits.
    fn is_digit(&self, unit: char) -> bool {
        (self.zero_code()..self.zero_code() + 10).contains(&u32::from(unit))
    }

    fn is_optional_digit(&self, unit: char) -> bool {
        is(unit, &self.digit)
    }

    /// Whether it has a meaning in a picture.
    fn is_active(&self, unit: char) -> bool {
        self.is_digit(unit) || [&self.decimal, &self.exponent, &self.grouping, &self.digit, &self.pattern].iter().any(|sign| is(unit, sign))
    }

    /// Digits in a text.
    fn digits(&self, text: &[char]) -> usize {
        text.iter().filter(|&&unit| self.is_digit(unit)).count()
    }

    /// Digits and places for them.
    fn places(&self, text: &[char]) -> usize {
        text.iter().filter(|&&unit| self.is_digit(unit) || self.is_optional_digit(unit)).count()
    }
}

/// Whether a text is that unit alone.
fn is(unit: char, sign: &str) -> bool {
    let mut units = sign.chars();
    units.next() == Some(unit) && units.next().is_none()
}

/// Where a text is in another from a place on, as JavaScript's `indexOf` tells it.
fn find(text: &[char], sign: &str, from: usize) -> Option<usize> {
    let sign: Vec<char> = sign.chars().collect();
    (from..=text.len().checked_sub(sign.len())?).find(|&place| text[place..place + sign.len()] == sign[..])
}

/// Whether a sign is in a text more than once.
fn repeats(text: &[char], sign: &str) -> bool {
    find(text, sign, 0).is_some_and(|first| find(text, sign, first + 1).is_some())
}

impl NumberPicture {
    fn read(picture: &str, options: &[(&str, &str)]) -> Result<Self, Failure> {
        let signs = Signs::read(options)?;
        let units = halved(picture);
        let halves: Vec<Vec<char>> = match signs.pattern.is_empty() {
            true => units.chars().map(|unit| vec![unit]).collect(),
            false => units.split(&signs.pattern).map(|half| half.chars().collect()).collect(),
        };
        if halves.len() > 2 {
            return Err(Failure::new("D3080", format!("the picture `{picture}` has more than one `{}`", signs.pattern)));
        }
        let parts: Vec<Parts<'_>> = halves.iter().map(|half| Parts::split(half, &signs)).collect();
        for part in &parts {
            part.check(&signs, picture)?;
        }
        let mut forms = parts.iter().map(|part| part.form(&signs, options.is_empty()));
        let positive = forms.next().ok_or_else(|| Failure::new("D3085", "the picture is empty"))?;
        let negative = forms.next().unwrap_or_else(|| Form { prefix: format!("{}{}", signs.minus, positive.prefix), ..positive.clone() });
        Ok(Self { positive, negative, signs })
    }
}

/// The parts of half a picture.
struct Parts<'a> {
    whole: &'a [char],
    prefix: &'a [char],
    suffix: &'a [char],
    active: &'a [char],
    mantissa: &'a [char],
    exponent: Option<&'a [char]>,
    integer: &'a [char],
    fraction: &'a [char],
}

impl<'a> Parts<'a> {
    fn split(whole: &'a [char], signs: &Signs) -> Self {
        let is_edge = |&unit: &char| signs.is_active(unit) && !is(unit, &signs.exponent);
        let begin = whole.iter().position(is_edge).unwrap_or(0);
        let end = whole.iter().rposition(is_edge).map_or(whole.len(), |place| place + 1);
        let (prefix, suffix, active) = (&whole[..begin], &whole[end..], &whole[begin..end]);
        // The reference looks for the exponent from the beginning of the picture, and cuts as many units behind the prefix.
        let (mantissa, exponent) = match find(whole, &signs.exponent, begin).filter(|&place| place <= end) {
            Some(place) => (&active[..place.min(active.len())], Some(&active[(place + 1).min(active.len())..])),
            None => (active, None),
        };
        let (integer, fraction) = match find(mantissa, &signs.decimal, 0) {
            Some(place) => (&mantissa[..place], &mantissa[place + 1..]),
            None => (mantissa, suffix),
        };
        Self { whole, prefix, suffix, active, mantissa, exponent, integer, fraction }
    }

    /// Refuses what is no picture; of several reasons the last one counts, as in the reference.
    fn check(&self, signs: &Signs, picture: &str) -> Result<(), Failure> {
        let Signs { decimal, grouping, percent, per_mille, .. } = signs;
        let has = |sign: &str| find(self.whole, sign, 0).is_some();
        let decimal_place = find(self.whole, decimal, 0);
        let beside = |place: Option<usize>| place.and_then(|place| self.whole.get(place)).is_some_and(|&unit| is(unit, grouping));
        let digit_before = |text: &[char]| {
            text.iter().position(|&unit| signs.is_optional_digit(unit)).is_some_and(|place| signs.digits(&text[..place]) > 0)
        };
        let digit_behind = |text: &[char]| {
            text.iter().rposition(|&unit| signs.is_optional_digit(unit)).is_some_and(|place| signs.digits(&text[place..]) > 0)
        };
        let exponent = self.exponent;
        let problems = [
            ("D3081", repeats(self.whole, decimal), format!("has more than one `{decimal}`")),
            ("D3082", repeats(self.whole, percent), format!("has more than one `{percent}`")),
            ("D3083", repeats(self.whole, per_mille), format!("has more than one `{per_mille}`")),
            ("D3084", has(percent) && has(per_mille), format!("has both `{percent}` and `{per_mille}`")),
            ("D3085", signs.places(self.mantissa) == 0, format!("has neither a digit nor a `{}` in its number", signs.digit)),
            ("D3086", !self.active.iter().all(|&unit| signs.is_active(unit)), "has another character within its number".into()),
            (
                "D3087",
                decimal_place.is_some_and(|place| beside(place.checked_sub(1)) || beside(Some(place + 1))),
                format!("has a `{grouping}` beside the `{decimal}`"),
            ),
            (
                "D3088",
                decimal_place.is_none() && self.integer.last().is_some_and(|&unit| is(unit, grouping)),
                format!("has a `{grouping}` at the end of the integer"),
            ),
            ("D3089", has(&format!("{grouping}{grouping}")), format!("has two `{grouping}` in a row")),
            ("D3090", digit_before(self.integer), format!("has a digit before a `{}` in the integer", signs.digit)),
            ("D3091", digit_behind(self.fraction), format!("has a digit behind a `{}` in the fraction", signs.digit)),
            (
                "D3092",
                exponent.is_some_and(|exponent| !exponent.is_empty()) && (has(percent) || has(per_mille)),
                format!("has an exponent and a `{percent}` or `{per_mille}`"),
            ),
            (
                "D3093",
                exponent.is_some_and(|exponent| exponent.is_empty() || signs.digits(exponent) < exponent.len()),
                "has an exponent that is not of digits alone".into(),
            ),
        ];
        match problems.into_iter().rfind(|(_, is_so, _)| *is_so) {
            Some((code, _, why)) => Err(Failure::new(code, joined(format!("the picture `{picture}` {why}")))),
            None => Ok(()),
        }
    }

    fn form(&self, signs: &Signs, has_usual_signs: bool) -> Form {
        let has = |sign: &str| find(self.whole, sign, 0).is_some();
        let groups = |part: &[char], to_left: bool| {
            let mut positions = Vec::new();
            let mut place = find(part, &signs.grouping, 0);
            while let Some(found) = place {
                let found_in_part = found.min(part.len());
                positions.push(signs.places(if to_left { &part[..found_in_part] } else { &part[found_in_part..] }));
                // In the fraction too, the reference goes on in the integer.
                place = find(self.integer, &signs.grouping, found + 1);
            }
            positions
        };
        let integer_groups = groups(self.integer, false);
        let scale = signs.digits(self.integer);
        let mut least_integer = scale;
        let mut least_fraction = signs.digits(self.fraction);
        let mut most_fraction = signs.places(self.fraction);
        let has_exponent = self.exponent.is_some();
        if least_integer == 0 && most_fraction == 0 {
            if has_exponent {
                (least_fraction, most_fraction) = (1, 1);
            } else {
                least_integer = 1;
            }
        }
        if has_exponent && least_integer == 0 && find(self.integer, &signs.digit, 0).is_some() {
            least_integer = 1;
        }
        if least_integer == 0 && least_fraction == 0 {
            least_fraction = 1;
        }
        let every = regular(&integer_groups);
        let fraction_groups = groups(self.fraction, true);
        Form {
            is_plain: has_usual_signs
                && !has_exponent
                && (every.is_some() || integer_groups.is_empty())
                && fraction_groups.is_empty()
                && ![self.prefix, self.suffix].iter().any(|edge| edge.iter().any(|&unit| unit > '\u{ffff}')),
            prefix: self.prefix.iter().collect(),
            suffix: self.suffix.iter().collect(),
            factor: if has(&signs.percent) {
                100.0
            } else if has(&signs.per_mille) {
                1000.0
            } else {
                1.0
            },
            has_decimal: has(&signs.decimal),
            scale,
            least_integer,
            least_fraction,
            most_fraction,
            least_exponent: self.exponent.map_or(0, |exponent| signs.digits(exponent)),
            every,
            integer_groups,
            fraction_groups,
        }
    }
}

impl Form {
    /// Writes a number as most pictures have it, straight from its digits; `None` where it takes more.
    fn write_plain(&self, value: f64) -> Option<String> {
        let adjusted = (value * self.factor).abs();
        if !self.is_plain || adjusted.is_nan() || adjusted >= 1e15 {
            return None;
        }
        let decimal = Decimal::shortest(adjusted).at_places(self.most_fraction as f64)?;
        let point = usize::try_from(decimal.point).unwrap_or(0);
        let digits = decimal.digits();
        let (integer, fraction) = digits.split_at(point.min(digits.len()));
        // Zeros between the integer's digits and the point, or between the point and the fraction's.
        let integer_zeros = if digits.is_empty() { 0 } else { point - integer.len() };
        let fraction_zeros = if fraction.is_empty() { 0 } else { usize::try_from(-decimal.point).unwrap_or(0) };
        let size = integer.len() + integer_zeros;
        let shown = size.max(self.least_integer);
        let mut text = String::with_capacity(self.prefix.len() + shown * 2 + self.most_fraction + 1 + self.suffix.len());
        text.push_str(&self.prefix);
        for place in 0..shown {
            let left = shown - place;
            if place > 0 && self.every.is_some_and(|every| left.is_multiple_of(every)) {
                text.push(',');
            }
            let digit = (size >= left).then(|| integer.get(size - left)).flatten();
            text.push(digit.map_or('0', |&digit| char::from(digit)));
        }
        let written = fraction_zeros + fraction.len();
        if self.has_decimal && written.max(self.least_fraction) > 0 {
            text.push('.');
            text.extend((0..fraction_zeros).map(|_| '0'));
            text.extend(fraction.iter().map(|&digit| char::from(digit)));
            text.extend((written..self.least_fraction).map(|_| '0'));
        }
        text.push_str(&self.suffix);
        Some(text)
    }

    fn write(&self, value: f64, signs: &Signs) -> Result<String, Failure> {
        let adjusted = value * self.factor;
        let (mantissa, exponent) = match self.least_exponent {
            0 => (adjusted, None),
            _ => {
                let (mantissa, exponent) = self.scaled(adjusted);
                (mantissa, Some(exponent))
            }
        };
        let rounded = round(mantissa, Some(self.most_fraction as f64));
        let mut number: Vec<char> = fixed(rounded, self.most_fraction, signs)?.chars().collect();
        match number.iter().position(|&unit| unit == '.') {
            Some(place) => drop(number.splice(place..=place, signs.decimal.chars())),
            None => number.extend(signs.decimal.chars()),
        }
        let is_zero = |unit: &char| is(*unit, &signs.zero);
        let leading = number.iter().take_while(|unit| is_zero(unit)).count();
        number.drain(..leading);
        let trailing = number.iter().rev().take_while(|unit| is_zero(unit)).count();
        number.truncate(number.len() - trailing);
        // Where another sign is the decimal one too, it may have gone with the zeros; the reference then counts from -1.
        let place = decimal_place(&number, signs);
        let missing = |least: usize, given: i64| signs.zero.repeat(usize::try_from(least as i64 - given).unwrap_or(0));
        let fraction = number.len() as i64 - place - 1;
        number.splice(..0, missing(self.least_integer, place).chars());
        number.extend(missing(self.least_fraction, fraction).chars());
        self.group(&mut number, signs);
        if !self.has_decimal || decimal_place(&number, signs) == number.len() as i64 - 1 {
            number.pop();
        }
        let mut text = self.prefix.clone();
        text.extend(number);
        if let Some(exponent) = exponent {
            text.push_str(&signs.exponent);
            if exponent < 0.0 {
                text.push_str(&signs.minus);
            }
            let digits = fixed(exponent, 0, signs)?;
            text.push_str(&signs.zero.repeat(self.least_exponent.saturating_sub(digits.chars().count())));
            text.push_str(&digits);
        }
        text.push_str(&self.suffix);
        Ok(joined(text))
    }

    /// The mantissa with as many digits before the point as the picture has, and the exponent.
    fn scaled(&self, value: f64) -> (f64, f64) {
        let most = 10_f64.powi(self.scale as i32);
        let least = 10_f64.powi(self.scale as i32 - 1);
        let (mut mantissa, mut exponent) = (value, 0.0);
        if mantissa != 0.0 && mantissa.is_finite() {
            while mantissa.abs() < least {
                mantissa *= 10.0;
                exponent -= 1.0;
            }
            while mantissa.abs() > most {
                mantissa /= 10.0;
                exponent += 1.0;
            }
        }
        (mantissa, exponent)
    }

    /// Puts the grouping separators into a number.
    fn group(&self, number: &mut Vec<char>, signs: &Signs) {
        let mut place = decimal_place(number, signs);
        let put = |number: &mut Vec<char>, at: i64| {
            let at = index(at as f64, number.len());
            number.splice(at..at, signs.grouping.chars());
        };
        match self.every.map(|every| every as i64) {
            Some(every) => (1..=(place - 1) / every).for_each(|group| put(number, place - group * every)),
            None => {
                for &position in &self.integer_groups {
                    put(number, place - position as i64);
                    place += 1;
                }
            }
        }
        let place = decimal_place(number, signs) + 1;
        for &position in &self.fraction_groups {
            put(number, position as i64 + place);
        }
    }
}

/// Where the decimal separator is, as JavaScript's `indexOf` tells it.
fn decimal_place(number: &[char], signs: &Signs) -> i64 {
    find(number, &signs.decimal, 0).map_or(-1, |place| place as i64)
}

/// A number's amount with so many decimal places, as JavaScript's `toFixed` writes it, in the picture's digits.
fn fixed(value: f64, places: usize, signs: &Signs) -> Result<String, Failure> {
    if places > 100 {
        return Err(Failure::new("D3086", format!("the picture asks for {places} decimal places, but 100 are the most")));
    }
    let value = value.abs();
    let text = match value < 1e21 {
        true => {
            // Rust gives half to the even digit, JavaScript to the larger number.
            let longer = format!("{value:.*}", places + 25);
            let rest = longer.len() - 25;
            let is_half = longer[rest..].starts_with('5') && longer[rest + 1..].bytes().all(|digit| digit == b'0');
            if is_half { raised(longer[..rest].trim_end_matches('.')) } else { format!("{value:.places$}") }
        }
        false => {
            let mut text = String::new();
            write_exact(value, &mut text);
            text
        }
    };
    if signs.zero == "0" {
        return Ok(text);
    }
    let digit = |digit: char| digit.to_digit(10).and_then(|digit| char::from_u32(signs.zero_code() + digit));
    Ok(text.chars().map(|unit| digit(unit).unwrap_or(unit)).collect())
}

/// A number whose last digit is one more.
fn raised(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for byte in bytes.iter_mut().rev().filter(|byte| **byte != b'.') {
        if *byte < b'9' {
            *byte += 1;
            return String::from_utf8(bytes).expect("digits are ASCII");
        }
        *byte = b'0';
    }
    bytes.insert(0, b'1');
    String::from_utf8(bytes).expect("digits are ASCII")
}
