//! `$toMillis`: texts read as moments, by a picture or in ISO 8601.

use std::fmt::Write;

use super::cache::Cache;
use super::calendar::{Moment, midnight, utc};
use super::date_picture::{DAYS, MONTHS, Marker, Part, fragment, no_names, read};
use super::integer_picture::{Style, unknown};
use super::number::{parse_decimal, shown};
use super::numeral::WORDS;
use super::pattern::Pattern;
use crate::Failure;

thread_local! {
    static READERS: Cache<Reader> = const { Cache::new() };
}

/// `$toMillis`: `None` where the picture does not fit; NaN where the text has the form of a date and is none.
///
/// `now` says what the picture leaves out above what it has.
pub(crate) fn to_millis(text: &str, picture: Option<&str>, now: f64) -> Result<Option<f64>, Failure> {
    match picture {
        None => read_iso(text).map(Some).ok_or_else(|| {
            Failure::new("D3110", format!("expected a date of ISO 8601, such as `2024-02-29T12:34:56.789Z`, but got {}", shown(text)))
        }),
        Some(picture) => READERS.with(|readers| readers.get(picture, || Reader::new(picture)))?.read(text, now),
    }
}

/// A moment in ISO 8601 as the reference's pattern and then V8 take it; `None` where it has not the form.
fn read_iso(text: &str) -> Option<f64> {
    let mut rest = text.as_bytes();
    let year = digits(&mut rest, 4)?;
    let month = part(&mut rest, b"01");
    let day = part(&mut rest, b"0123");
    let time = match rest {
        [
            b'T',
            h @ b'0'..=b'2',
            i @ b'0'..=b'9',
            b':',
            m @ b'0'..=b'5',
            n @ b'0'..=b'9',
            b':',
            s @ b'0'..=b'5',
            t @ b'0'..=b'9',
            after @ ..,
        ] => {
            rest = after;
            Some([[h, i], [m, n], [s, t]].map(|[ten, one]| number(&[*ten, *one])))
        }
        _ => None,
    };
    let fraction = match rest {
        [b'.', after @ ..] => {
            let count = after.iter().take_while(|digit| digit.is_ascii_digit()).count();
            let (fraction, after) = (count > 0).then(|| after.split_at(count))?;
            rest = after;
            Some(fraction)
        }
        _ => None,
    };
    let offset = match rest {
        [] => None,
        b"Z" => Some((0.0, 0.0)),
        [sign @ (b'+' | b'-'), h @ b'0'..=b'2', i @ b'0'..=b'9', minutes @ ..] => {
            let minutes = minutes.strip_prefix(b":").unwrap_or(minutes);
            let [b'0'..=b'5', b'0'..=b'9'] = minutes else { return None };
            let sign = if *sign == b'-' { -1.0 } else { 1.0 };
            Some((sign * number(&[*h, *i]), sign * number(minutes)))
        }
        _ => return None,
    };
    // A day right behind the year is one whose tens are no month's; V8 takes it for a month all the same.
    let is_month = month.or(day).is_none_or(|month| (1.0..=12.0).contains(&month));
    let is_day = is_month && day.is_none_or(|day| (1.0..=31.0).contains(&day));
    match time {
        Some([hour, minute, second]) => {
            let millisecond = fraction.map_or(0.0, milliseconds);
            // The 24th hour is the end of the day alone. Of a fraction V8 looks at the digits, not at what they are worth.
            let is_time = hour < 24.0 || hour == 24.0 && [minute, second, fraction.map_or(0.0, number)] == [0.0; 3];
            let (hours, minutes) = offset.unwrap_or_default();
            if !is_day || !is_time || hours.abs() >= 24.0 {
                return Some(f64::NAN);
            }
            let day = day_millis(year, month.unwrap_or(1.0), day.unwrap_or(1.0));
            Some(day + (hour - hours) * 3_600_000.0 + (minute - minutes) * 60_000.0 + second * 1000.0 + millisecond)
        }
        None if is_day && fraction.is_none() && offset.is_none() => Some(day_millis(year, month.unwrap_or(1.0), day.unwrap_or(1.0))),
        None if rest.len() > 1 => Some(f64::NAN),
        None => Some(loose_date(&[Some(year), month, day, fraction.map(number)])),
    }
}

/// Midnight of a day, without what `Date.UTC` makes of the years 0 to 99.
fn day_millis(year: f64, month: f64, day: f64) -> f64 {
    // Four hundred years are a whole number of weeks, and of days.
    const CYCLE: f64 = 146_097.0 * 86_400_000.0;
    midnight(year + 400.0, month - 1.0, day) - CYCLE
}

/// A date of up to three numbers as V8 reads what is not quite ISO 8601: also with the year last, and with two digits of it.
fn loose_date(numbers: &[Option<f64>]) -> f64 {
    let mut given = numbers.iter().flatten().copied();
    let parts = [(); 3].map(|()| given.next().unwrap_or(1.0));
    let is_day = |number: f64| (1.0..=31.0).contains(&number);
    let [year, month, day] = if is_day(parts[0]) { [parts[2], parts[0], parts[1]] } else { parts };
    if given.next().is_some() || !(1.0..=12.0).contains(&month) || !is_day(day) {
        return f64::NAN;
    }
    let year = match year {
        0.0..=49.0 => year + 2000.0,
        50.0..=99.0 => year + 1900.0,
        _ => year,
    };
    let millis = day_millis(year, month, day);
    if millis.abs() > 8.64e15 { f64::NAN } else { millis }
}

fn digits(rest: &mut &[u8], count: usize) -> Option<f64> {
    let taken = rest.get(..count)?;
    if !taken.iter().all(u8::is_ascii_digit) {
        return None;
    }
    *rest = &rest[count..];
    Some(number(taken))
}

/// Two digits behind a hyphen, where the first one may be; not those of an offset to UTC.
fn part(rest: &mut &[u8], first: &[u8]) -> Option<f64> {
    match *rest {
        [b'-', b'0'..=b'2', b'0'..=b'9', b'0'..=b'5', b'0'..=b'9'] => None,
        [b'-', b'0'..=b'2', b'0'..=b'9', b':', b'0'..=b'5', b'0'..=b'9'] => None,
        [b'-', ten, one @ b'0'..=b'9', after @ ..] if first.contains(ten) => {
            *rest = after;
            Some(number(&[*ten, *one]))
        }
        _ => None,
    }
}

fn number(digits: &[u8]) -> f64 {
    digits.iter().fold(0.0, |number, digit| number * 10.0 + f64::from(digit - b'0'))
}

/// The milliseconds of a fraction of a second as V8 reads it: nine digits, the zeros in front of them not counted.
fn milliseconds(fraction: &[u8]) -> f64 {
    let zeros = fraction.iter().take_while(|&&digit| digit == b'0').count();
    let significant = &fraction[zeros..];
    let read = number(&significant[..significant.len().min(9)]);
    match fraction.len() {
        1 => read * 100.0,
        2 => read * 10.0,
        length => (read / 10_f64.powi(length.min(9) as i32 - 3)).floor(),
    }
}

/// A picture, ready to read by.
#[derive(Debug)]
struct Reader {
    parts: Vec<Part>,
    pattern: Pattern,
}

impl Reader {
    fn new(picture: &str) -> Result<Self, Failure> {
        let parts = read(picture)?;
        let mut source = String::from("^");
        for part in &parts {
            source.push('(');
            match part {
                Part::Literal(literal) => {
                    for character in literal.chars() {
                        if ".*+?^${}()|[]\\".contains(character) {
                            source.push('\\');
                        }
                        source.push(character);
                    }
                }
                Part::Marker(marker) => write_pattern(marker, &mut source)?,
            }
            source.push(')');
        }
        source.push('$');
        Ok(Self { parts, pattern: Pattern::compile(&source, "i")? })
    }

    /// Reads a text: each part that has a component is a value.
    fn read(&self, text: &str, now: f64) -> Result<Option<f64>, Failure> {
        let Some(found) = self.pattern.find(text, 0) else { return Ok(None) };
        let mut components = Components::default();
        let mut any = false;
        for (part, group) in self.parts.iter().zip(&found.groups) {
            if let (Part::Marker(marker), Some(text)) = (part, group) {
                any = true;
                *components.value(marker.component) = parse_component(marker, text)?;
            }
        }
        if any { components.millis(now).map(Some) } else { Ok(None) }
    }
}

/// Writes the regular expression of a component.
fn write_pattern(marker: &Marker, source: &mut String) -> Result<(), Failure> {
    match (marker.component, &marker.integer) {
        ('Z' | 'z', integer) => {
            if marker.component == 'z' {
                source.push_str("GMT");
            }
            source.push_str("[-+][0-9]+");
            if let Some(separator) = integer.as_ref().and_then(|integer| integer.digits()?.regular()) {
                source.push(separator);
                source.push_str("[0-9]+");
            }
        }
        ('f', _) => source.push_str("[0-9]+"),
        (_, Some(integer)) => match &integer.style {
            Style::Letters(_) => source.push_str("[a-z]+"),
            Style::Roman(_) => source.push_str("[mdclxvi]+"),
            Style::Words(_) => write!(source, "(?:{}|and|[\\-, ])+", WORDS.join("|")).expect("writing to a string does not fail"),
            Style::Digits(_) => {
                source.push_str("[0-9]");
                match marker.read_width {
                    Some(width) if width != 0.0 && !width.is_nan() => {
                        write!(source, "{{{width}}}").expect("writing to a string does not fail")
                    }
                    _ => source.push('+'),
                }
                if integer.is_ordinal {
                    source.push_str("(?:th|st|nd|rd)");
                }
            }
            Style::Sequence(picture) => return Err(unknown(picture)),
        },
        ('M' | 'x' | 'F' | 'P', None) => source.push_str("[a-zA-Z]+"),
        (component, None) => return Err(no_names(component)),
    }
    Ok(())
}

/// The value of a component's text; `None` where a name is none.
fn parse_component(marker: &Marker, text: &str) -> Result<Option<f64>, Failure> {
    let name = |names: &[&str]| {
        let longest = marker.longest.filter(|&longest| longest != 0.0 && !longest.is_nan());
        let shown = |name: &str| longest.map_or(name.len(), |longest| name.len().min(longest.max(0.0) as usize));
        // Of two names that are cut to the same, the later one counts.
        names.iter().rposition(|name| name[..shown(name)] == *text).map(|place| place as f64 + 1.0)
    };
    Ok(match (marker.component, &marker.integer) {
        ('Z', integer) => Some(offset(text, integer.as_ref().and_then(|integer| integer.digits()?.regular()))),
        ('z', integer) => Some(offset(&text[3..], integer.as_ref().and_then(|integer| integer.digits()?.regular()))),
        ('f', _) => {
            let digits = &text.as_bytes()[..text.len().min(3)];
            Some(format!("0.{}", String::from_utf8_lossy(digits)).parse::<f64>().unwrap_or(f64::NAN) * 1000.0)
        }
        (_, Some(integer)) => Some(integer.parse(text)?),
        ('F', None) => name(&DAYS),
        ('P', None) => match text {
            "am" | "AM" => Some(0.0),
            "pm" | "PM" => Some(1.0),
            _ => None,
        },
        _ => name(&MONTHS),
    })
}

/// An offset to UTC in minutes; as the reference has it, minutes behind a minus sign count up.
fn offset(text: &str, separator: Option<char>) -> f64 {
    let (hours, minutes) = match separator {
        Some(separator) => {
            let place = text.find(separator);
            let after = place.map_or(0, |place| place + separator.len_utf8());
            (&text[..place.unwrap_or(0)], &text[after..])
        }
        None if text.len() <= 3 => (text, "0"),
        None => text.split_at(3),
    };
    parse_decimal(hours) * 60.0 + parse_decimal(minutes)
}

/// What was read, by component.
#[derive(Default)]
struct Components([Option<f64>; 16]);

const LETTERS: &str = "YXMxWwdDFPHhmsfZ";

impl Components {
    /// Of `Z` and `z` either is the zone.
    fn value(&mut self, component: char) -> &mut Option<f64> {
        let place = LETTERS.find(if component == 'z' { 'Z' } else { component });
        &mut self.0[place.expect("what has no pattern was refused")]
    }

    fn get(&self, component: char) -> Option<f64> {
        LETTERS.find(component).and_then(|place| self.0[place])
    }

    /// Whether there are components of the kinds and none but those; 0 counts as none, as in the reference.
    fn are_of(&self, all: &str, kinds: &str) -> bool {
        let mut given =
            all.chars().filter(|&component| self.get(component).is_some_and(|value| value != 0.0 && !value.is_nan())).peekable();
        given.peek().is_some() && given.all(|component| kinds.contains(component))
    }

    /// The moment: what is left out above the largest component is as now, below it is the least.
    fn millis(mut self, now: f64) -> Result<f64, Failure> {
        let date = |kinds| self.are_of("YXMxWwdD", kinds);
        let by_day_of_year = !date("YMD") && date("Yd");
        let by_week_of_month = date("Xxw");
        let by_week = !by_week_of_month && date("XW");
        let time = |kinds| self.are_of("PHhmsf", kinds);
        let by_half_day = !time("Hmsf") && time("Phmsf");
        let dates = match (by_day_of_year, by_week_of_month, by_week) {
            (true, ..) => "YD",
            (_, true, _) => "XxwF",
            (_, _, true) => "XWF",
            _ => "YMD",
        };
        let times = if by_half_day { "Phmsf" } else { "Hmsf" };
        let gap =
            || Failure::new("D3136", "the picture leaves a gap between the components of the date or time, or has none to make a date of");
        let moment = Moment::of(now);
        let (mut has_begun, mut has_ended) = (false, false);
        for component in dates.chars().chain(times.chars()) {
            match self.get(component) {
                Some(_) if has_ended => return Err(gap()),
                Some(_) => has_begun = true,
                None if has_begun => {
                    *self.value(component) = Some(if matches!(component, 'M' | 'D') { 1.0 } else { 0.0 });
                    has_ended = true;
                }
                None => *self.value(component) = Some(fragment(&moment, component)),
            }
        }
        if by_week_of_month || by_week {
            return Err(gap());
        }
        let value = |component| self.get(component).unwrap_or(f64::NAN);
        let month = self.get('M').filter(|&month| month > 0.0).map_or(0.0, |month| month - 1.0);
        let (month, day) = match by_day_of_year {
            true => {
                let date = Moment::of(midnight(value('Y'), 0.0, 1.0) + (value('d') - 1.0) * 86_400_000.0);
                (date.month, date.day)
            }
            false => (month, value('D')),
        };
        let hour = match by_half_day {
            true => {
                let hour = value('h');
                let from_noon = if self.get('P') == Some(1.0) { 12.0 } else { 0.0 };
                if hour == 12.0 { from_noon } else { hour + from_noon }
            }
            false => value('H'),
        };
        let millis = utc(value('Y'), month, day, [hour, value('m'), value('s'), value('f')]);
        // Nothing, and what is no number, is no zone.
        Ok(millis - self.get('Z').filter(|zone| !zone.is_nan()).unwrap_or(0.0) * 60_000.0)
    }
}
