//! Pictures of dates and times, as XPath's `format-dateTime` has them, and `$fromMillis`, which writes by them.

use super::cache::Cache;
use super::calendar::{DAY, Moment, Span, midnight};
pub(crate) use super::date_reader::to_millis;
use super::integer_picture::{Case, IntegerPicture, format as format_integer};
use super::number::{is_space, parse_integer};
use super::power::raise;
use crate::Failure;
use crate::surrogate::{halved, joined};

/// What is written without a picture.
const ISO: &str = "[Y0001]-[M01]-[D01]T[H01]:[m01]:[s01].[f001][Z01:01t]";

pub(crate) const MONTHS: [&str; 12] =
    ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];

pub(crate) const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// Components that are integers, the fraction of a second among them.
const INTEGERS: &str = "YMDdFWwXxHhmsf";

thread_local! {
    static PICTURES: Cache<Vec<Part>> = const { Cache::new() };
}

/// A part of a picture.
#[derive(Debug)]
pub(crate) enum Part {
    Literal(String),
    Marker(Marker),
}

/// What stands in brackets.
#[derive(Debug)]
pub(crate) struct Marker {
    /// The letter of the component.
    pub(crate) component: char,
    /// How a name is written; `None` = as a number.
    pub(crate) names: Option<Case>,
    /// Whether a width is given at all.
    has_width: bool,
    /// Units of a name at most.
    pub(crate) longest: Option<f64>,
    /// How a number is written; of a number of digits, and of zones.
    pub(crate) integer: Option<IntegerPicture>,
    /// Digits when read, where another number follows at once.
    pub(crate) read_width: Option<f64>,
    /// The last digits of the year that are written; `None` = all.
    year_digits: Option<f64>,
    /// Whether no offset is written as `Z`.
    is_zulu: bool,
}

/// `$fromMillis`: a moment by a picture, or in ISO 8601; the zone is an offset such as `+0530`.
pub(crate) fn from_millis(millis: f64, picture: Option<&str>, zone: Option<&str>) -> Result<String, Failure> {
    if let (None, None) = (picture, zone) {
        let moment = Moment::of(millis);
        if (0.0..10_000.0).contains(&moment.year) {
            return Ok(iso(&moment));
        }
    }
    let picture = picture.unwrap_or(ISO);
    let parts = PICTURES.with(|pictures| pictures.get(picture, || read(picture)))?;
    let zone = Zone::read(zone);
    let moment = Moment::of(millis + zone.millis());
    let mut text = String::with_capacity(picture.len());
    for part in parts.iter() {
        match part {
            Part::Literal(literal) => text.push_str(literal),
            Part::Marker(marker) => marker.write(&moment, &zone, &mut text)?,
        }
    }
    Ok(joined(text))
}

/// A moment of a year with four digits in ISO 8601, UTC.
fn iso(moment: &Moment) -> String {
    let Moment { millis: _, year, month, day, hour, minute, second, millisecond } = *moment;
    let mut text = *b"0000-00-00T00:00:00.000Z";
    let mut put = |end: usize, mut value: u32| {
        for place in (0..=end).rev() {
            if value == 0 {
                break;
            }
            text[place] = b'0' + (value % 10) as u8;
            value /= 10;
        }
    };
    for (end, value) in [(3, year), (6, month + 1.0), (9, day), (12, hour), (15, minute), (18, second), (22, millisecond)] {
        put(end, value as u32);
    }
    String::from_utf8(text.into()).expect("digits are ASCII")
}

/// An offset to UTC; the minutes have the sign of the whole, and the hours are rounded down, as the reference has it.
struct Zone {
    hours: f64,
    minutes: f64,
}

impl Zone {
    fn read(zone: Option<&str>) -> Self {
        let offset = zone.map_or(0.0, parse_integer);
        Self { hours: (offset / 100.0).floor(), minutes: offset % 100.0 }
    }

    fn millis(&self) -> f64 {
        (60.0 * self.hours + self.minutes) * 60_000.0
    }

    /// As a number of four digits.
    fn number(&self) -> f64 {
        self.hours * 100.0 + self.minutes
    }
}

/// Reads a picture.
pub(crate) fn read(picture: &str) -> Result<Vec<Part>, Failure> {
    let whole = halved(picture);
    let mut parts = Vec::new();
    let mut rest = &*whole;
    while let Some(place) = rest.find('[') {
        literal(&rest[..place], &mut parts);
        rest = &rest[place..];
        if let Some(after) = rest.strip_prefix("[[") {
            parts.push(Part::Literal("[".into()));
            rest = after;
            continue;
        }
        let Some(end) = rest.find(']') else {
            return Err(Failure::new("D3135", format!("the picture `{picture}` has a `[` without a `]`")));
        };
        let marker = Marker::read(&rest[1..end])?;
        if let (Some(Part::Marker(previous)), true) = (parts.last_mut(), marker.is_integer())
            && let Some(integer) = &previous.integer
        {
            // Two numbers with nothing between: the first one ends by its width.
            previous.read_width = integer.digits().map(|digits| digits.least);
        }
        parts.push(Part::Marker(marker));
        rest = &rest[end + 1..];
    }
    literal(rest, &mut parts);
    Ok(parts)
}

fn literal(text: &str, parts: &mut Vec<Part>) {
    if !text.is_empty() {
        parts.push(Part::Literal(text.replace("]]", "]")));
    }
}

impl Marker {
    /// Reads what stands between brackets: a component, how to present it, and perhaps a width behind a comma.
    fn read(text: &str) -> Result<Self, Failure> {
        let text: String = text.chars().filter(|&character| !is_space(character)).collect();
        let component = text.chars().next();
        let rest = &text[component.map_or(0, char::len_utf8)..];
        let (presentation, width) = match text.rfind(',') {
            // The component itself may be a comma.
            Some(0) => (",", Some(rest)),
            Some(comma) => (&text[text.len() - rest.len()..comma], Some(&text[comma + 1..])),
            None => (rest, None),
        };
        let (shortest, longest) = width.map_or((None, None), |width| match width.split_once('-') {
            Some((shortest, longest)) => (bound(shortest), bound(longest)),
            None => (bound(width), None),
        });
        let unknown = || {
            let component = component.map_or_else(String::new, String::from);
            Failure::new("D3132", format!("unknown component `{component}` in a picture of a date: give one of `YMDdFWwXxHhPmsfZzCE`"))
        };
        let (presentation, modifier) = match presentation {
            "" => (component.and_then(default_presentation).ok_or_else(unknown)?, None),
            _ => match presentation.char_indices().last() {
                Some((place, modifier @ ('a' | 't' | 'c' | 'o'))) if place > 0 => (&presentation[..place], Some(modifier)),
                _ => (presentation, None),
            },
        };
        let component = component.ok_or_else(unknown)?;
        let mut marker = Self {
            component,
            names: None,
            has_width: width.is_some(),
            longest,
            integer: None,
            read_width: None,
            year_digits: None,
            is_zulu: modifier == Some('t'),
        };
        if presentation.starts_with('n') {
            marker.names = Some(Case::Lower);
        } else if let Some(rest) = presentation.strip_prefix('N') {
            marker.names = Some(if rest.starts_with('n') { Case::Title } else { Case::Upper });
        } else if INTEGERS.contains(component) {
            let mut integer = match modifier {
                Some(modifier) => IntegerPicture::read(&format!("{presentation};{modifier}"))?,
                None => IntegerPicture::read(presentation)?,
            };
            if let (Some(digits), Some(shortest)) = (integer.digits_mut(), shortest)
                && digits.least < shortest
            {
                digits.least = shortest;
            }
            if component == 'Y' {
                marker.year_digits = match (longest, integer.digits_mut()) {
                    (Some(longest), digits) => {
                        if let Some(digits) = digits {
                            digits.least = longest;
                        }
                        Some(longest)
                    }
                    (None, Some(digits)) => Some(digits.least + digits.optional as f64).filter(|&digits| digits >= 2.0),
                    (None, None) => None,
                };
            }
            marker.integer = Some(integer);
        }
        if matches!(component, 'Z' | 'z') {
            marker.integer = Some(IntegerPicture::read(presentation)?);
        }
        Ok(marker)
    }

    /// Whether it is an integer that is written as one, a zone aside.
    fn is_integer(&self) -> bool {
        self.names.is_none() && INTEGERS.contains(self.component)
    }

    fn write(&self, moment: &Moment, zone: &Zone, into: &mut String) -> Result<(), Failure> {
        match self.component {
            'f' => self.write_integer(moment.millisecond, into),
            'Z' | 'z' => self.write_zone(zone, into),
            'P' => {
                let name = if moment.hour >= 12.0 { "pm" } else { "am" };
                write_name(name, if self.names == Some(Case::Upper) { Case::Upper } else { Case::Lower }, into);
                Ok(())
            }
            'C' | 'E' => {
                into.push_str("ISO");
                Ok(())
            }
            component if INTEGERS.contains(component) => {
                let value = fragment(moment, component);
                let value = match (component, self.year_digits) {
                    ('Y', Some(digits)) => value % raise(10.0, digits),
                    _ => value,
                };
                match self.names {
                    Some(case) => self.write_name(value, case, into),
                    None => self.write_integer(value, into),
                }
            }
            _ => {
                // Another letter with a presentation is nothing that the reference knows, and it says so in the text.
                into.push_str("undefined");
                Ok(())
            }
        }
    }

    fn write_name(&self, value: f64, case: Case, into: &mut String) -> Result<(), Failure> {
        let names: &[&str] = match self.component {
            'M' | 'x' => &MONTHS,
            'F' => &DAYS,
            component => return Err(no_names(component)),
        };
        if value.is_nan() && (case != Case::Title || self.has_width) {
            return Err(Failure::new("D3110", "a moment that is no date has no names"));
        }
        let name = names.get((value - 1.0) as usize).filter(|_| !value.is_nan()).copied().unwrap_or("undefined");
        let shown = match self.longest {
            Some(longest) if name.len() as f64 > longest => &name[..longest.max(0.0) as usize],
            _ => name,
        };
        write_name(shown, case, into);
        Ok(())
    }

    fn write_integer(&self, value: f64, into: &mut String) -> Result<(), Failure> {
        match &self.integer {
            Some(integer) => integer.write(value, into),
            None => Err(no_names(self.component)),
        }
    }

    fn write_zone(&self, zone: &Zone, into: &mut String) -> Result<(), Failure> {
        let integer = self.integer.as_ref().expect("a zone is written by a picture of an integer");
        let digits = integer.digits();
        let offset = zone.number();
        let begin = into.len();
        if self.component == 'z' {
            into.push_str("GMT");
        }
        if offset >= 0.0 {
            into.push('+');
        }
        match digits {
            Some(digits) if digits.regular().is_some() => integer.write(offset, into)?,
            Some(digits) if digits.least == 1.0 || digits.least == 2.0 => {
                integer.write(zone.hours, into)?;
                if zone.minutes != 0.0 {
                    into.push(':');
                    into.push_str(&format_integer(zone.minutes, "00")?);
                }
            }
            Some(digits) if digits.least == 3.0 || digits.least == 4.0 => integer.write(offset, into)?,
            _ => {
                let given = digits.map_or_else(|| "none".into(), |digits| digits.least.to_string());
                return Err(Failure::new("D3134", format!("the picture of a time zone must have 1 to 4 digits, but has {given}")));
            }
        }
        if offset == 0.0 && self.is_zulu {
            into.truncate(begin);
            into.push('Z');
        }
        Ok(())
    }
}

/// The bound of a width; `*` is none, and what is no number is NaN.
fn bound(text: &str) -> Option<f64> {
    (text != "*").then(|| parse_integer(text))
}

fn default_presentation(component: char) -> Option<&'static str> {
    Some(match component {
        'Y' | 'M' | 'D' | 'd' | 'W' | 'w' | 'X' | 'x' | 'H' | 'h' | 'f' => "1",
        'F' | 'P' | 'C' | 'E' => "n",
        'm' | 's' => "01",
        'Z' | 'z' => "01:01",
        _ => return None,
    })
}

pub(crate) fn no_names(component: char) -> Failure {
    Failure::new("D3133", format!("the component `{component}` of a date has no names: give `N` with `M`, `x`, `F` or `P` only"))
}

/// Writes a name that has a capital letter first.
fn write_name(name: &str, case: Case, into: &mut String) {
    let begin = into.len();
    into.push_str(name);
    match case {
        Case::Upper => into[begin..].make_ascii_uppercase(),
        Case::Lower => into[begin..].make_ascii_lowercase(),
        Case::Title => {}
    }
}

/// A component of a moment as a number.
pub(crate) fn fragment(moment: &Moment, component: char) -> f64 {
    let Moment { millis, year, month, day, hour, minute, second, millisecond } = *moment;
    match component {
        'Y' => year,
        'M' => month + 1.0,
        'D' => day,
        'd' => (midnight(year, month, day) - midnight(year, 0.0, 1.0)) / DAY + 1.0,
        'F' => moment.weekday(),
        'W' => {
            let year = Span { year, month: 0.0 };
            year.week(midnight(year.year, month, day), 52.0, year.next_year(), year.previous_year())
        }
        'w' => {
            let month = Span { year, month };
            month.week(midnight(year, month.month, day), 4.0, month.next_month(), month.previous_month())
        }
        'X' => {
            let span = Span { year, month: 0.0 };
            match millis {
                now if now < span.first_week() => year - 1.0,
                now if now >= span.next_year().first_week() => year + 1.0,
                _ => year,
            }
        }
        'x' => {
            let span = Span { year, month };
            match millis {
                now if now < span.first_week() => span.previous_month().month + 1.0,
                now if now >= span.next_month().first_week() => span.next_month().month + 1.0,
                _ => month + 1.0,
            }
        }
        'H' => hour,
        'h' => match hour % 12.0 {
            0.0 => 12.0,
            hour => hour,
        },
        'm' => minute,
        's' => second,
        'f' => millisecond,
        _ => f64::NAN,
    }
}
