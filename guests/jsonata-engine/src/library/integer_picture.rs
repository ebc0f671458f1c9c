//! `$formatInteger` and `$parseInteger`: integers by the pictures of XPath's `format-integer`.

use super::cache::Cache;
use super::number::{parse_integer, write_exact};
use super::numeral::{from_letters, from_roman, from_words, letters, roman, words};
use crate::Failure;
use crate::surrogate::{halved, joined};

/// Digits that a picture may ask for at least.
const DIGITS: f64 = 10_000_000.0;

/// Where each family of decimal digits begins.
const ZEROS: [u32; 37] = [
    0x30, 0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xde6, 0xe50, 0xed0, 0xf20, 0x1040, 0x1090,
    0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90, 0x1b50, 0x1bb0, 0x1c40, 0x1c50, 0xa620, 0xa8d0, 0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0,
    0xff10,
];

thread_local! {
    static PICTURES: Cache<IntegerPicture> = const { Cache::new() };
}

/// Upper or lower case, or capital letters at the beginnings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Case {
    Upper,
    Lower,
    Title,
}

/// A picture, read.
#[derive(Clone, Debug)]
pub(crate) struct IntegerPicture {
    pub(crate) style: Style,
    pub(crate) is_ordinal: bool,
}

/// What an integer is written with.
#[derive(Clone, Debug)]
pub(crate) enum Style {
    Letters(Case),
    Roman(Case),
    Words(Case),
    Digits(Digits),
    /// A numbering that the reference has not; its picture.
    Sequence(String),
}

/// How digits are written.
#[derive(Clone, Debug)]
pub(crate) struct Digits {
    /// The family's zero.
    zero: u32,
    /// Digits at least; the width of a date's part may be any number.
    pub(crate) least: f64,
    /// Digits that the picture leaves open.
    pub(crate) optional: usize,
    grouping: Grouping,
}

/// Where separators stand, counted in digits from the right.
#[derive(Clone, Debug)]
enum Grouping {
    Every(usize, char),
    /// The leftmost first.
    At(Vec<(usize, char)>),
}

/// `$formatInteger`: the integer below, by a picture.
pub(crate) fn format(value: f64, picture: &str) -> Result<String, Failure> {
    let picture = PICTURES.with(|pictures| pictures.get(picture, || IntegerPicture::read(picture)))?;
    let mut text = String::new();
    picture.write(value.floor(), &mut text)?;
    Ok(text)
}

/// `$parseInteger`: NaN where the text is no such integer, as the reference has it.
pub(crate) fn parse(text: &str, picture: &str) -> Result<f64, Failure> {
    let picture = PICTURES.with(|pictures| pictures.get(picture, || IntegerPicture::read(picture)))?;
    picture.parse(text)
}

impl IntegerPicture {
    /// Reads a picture: how to write, then `;o` for an ordinal.
    pub(crate) fn read(picture: &str) -> Result<Self, Failure> {
        let (style, modifier) = picture.rsplit_once(';').unwrap_or((picture, ""));
        let is_ordinal = modifier.starts_with('o');
        let style = match style {
            "A" => Style::Letters(Case::Upper),
            "a" => Style::Letters(Case::Lower),
            "I" => Style::Roman(Case::Upper),
            "i" => Style::Roman(Case::Lower),
            "W" => Style::Words(Case::Upper),
            "Ww" => Style::Words(Case::Title),
            "w" => Style::Words(Case::Lower),
            _ => Digits::read(style)?.map_or_else(|| Style::Sequence(style.into()), Style::Digits),
        };
        Ok(Self { style, is_ordinal })
    }

    /// Writes an integer.
    pub(crate) fn write(&self, value: f64, into: &mut String) -> Result<(), Failure> {
        if value < 0.0 {
            into.push('-');
        }
        let value = value.abs();
        match &self.style {
            Style::Letters(case) => letters(value, *case, into),
            Style::Roman(case) => roman(value, *case, into)?,
            Style::Words(case) => words(value, *case, self.is_ordinal, into)?,
            Style::Digits(digits) => digits.write(value, self.is_ordinal, into)?,
            Style::Sequence(picture) => return Err(unknown(picture)),
        }
        Ok(())
    }

    /// Reads an integer that is written so.
    pub(crate) fn parse(&self, text: &str) -> Result<f64, Failure> {
        match &self.style {
            Style::Letters(case) => Ok(from_letters(text, *case)),
            Style::Roman(case) => Ok(from_roman(text, *case)),
            Style::Words(_) => Ok(from_words(text)),
            Style::Digits(digits) => digits.parse(text, self.is_ordinal),
            Style::Sequence(picture) => Err(unknown(picture)),
        }
    }

    /// How digits are written, where they are.
    pub(crate) fn digits(&self) -> Option<&Digits> {
        match &self.style {
            Style::Digits(digits) => Some(digits),
            _ => None,
        }
    }

    pub(crate) fn digits_mut(&mut self) -> Option<&mut Digits> {
        match &mut self.style {
            Style::Digits(digits) => Some(digits),
            _ => None,
        }
    }
}

pub(crate) fn unknown(picture: &str) -> Failure {
    Failure::new(
        "D3130",
        format!("integers by the picture `{picture}` are not supported: give digits, `A`, `a`, `I`, `i`, `W`, `w` or `Ww`"),
    )
}

impl Digits {
    /// Reads a picture of digits; `None` = it has none.
    fn read(picture: &str) -> Result<Option<Self>, Failure> {
        let mut zero = None;
        let (mut least, mut optional) = (0, 0);
        let mut separators = Vec::new();
        for character in picture.chars().rev() {
            let code = u32::from(character);
            match ZEROS.iter().find(|&&zero| (zero..zero + 10).contains(&code)) {
                Some(&family) if zero.is_some_and(|zero| zero != family) => {
                    return Err(Failure::new("D3131", format!("the picture `{picture}` has digits of more than one family")));
                }
                Some(&family) => {
                    zero = Some(family);
                    least += 1;
                }
                None if character == '#' => optional += 1,
                None => separators.push((least + optional, character)),
            }
        }
        Ok(zero.map(|zero| Self { zero, least: f64::from(least as u32), optional, grouping: Grouping::of(separators) }))
    }

    /// The separator where it stands regularly.
    pub(crate) fn regular(&self) -> Option<char> {
        match self.grouping {
            Grouping::Every(_, separator) => Some(separator),
            Grouping::At(_) => None,
        }
    }

    fn write(&self, value: f64, is_ordinal: bool, into: &mut String) -> Result<(), Failure> {
        let begin = into.len();
        if let (0x30, Grouping::At(separators), false) = (self.zero, &self.grouping, is_ordinal)
            && separators.is_empty()
            && value < 1e9
            && value.trunc() == value
        {
            let mut digits = itoa::Buffer::new();
            let digits = digits.format(value as u32);
            if self.least <= 9.0 {
                into.push_str(&"000000000"[..(self.least.max(0.0) as usize).saturating_sub(digits.len())]);
                into.push_str(digits);
                return Ok(());
            }
        }
        write_exact(value, into);
        let missing = self.least - (into.len() - begin) as f64;
        if missing > DIGITS {
            return Err(Failure::new("D2015", format!("an integer of {} digits would be longer than {DIGITS}", self.least)));
        }
        if missing > 0.0 {
            into.insert_str(begin, &"0".repeat(missing as usize));
        }
        if self.zero != 0x30 {
            let shifted: String = into[begin..].chars().filter_map(|digit| char::from_u32(u32::from(digit) + self.zero - 0x30)).collect();
            into.truncate(begin);
            into.push_str(&shifted);
        }
        match &self.grouping {
            Grouping::Every(every, separator) => group(*every, *separator, begin, into),
            Grouping::At(separators) if separators.is_empty() => {}
            Grouping::At(separators) => separate(separators, begin, into),
        }
        if is_ordinal {
            let mut last = into[begin..].chars().rev();
            let suffix = match (last.next(), last.next()) {
                (_, Some('1')) => "th",
                (Some('1'), _) => "st",
                (Some('2'), _) => "nd",
                (Some('3'), _) => "rd",
                _ => "th",
            };
            into.push_str(suffix);
        }
        Ok(())
    }

    fn parse(&self, text: &str, is_ordinal: bool) -> Result<f64, Failure> {
        let text = halved(text);
        let mut text: Vec<char> = text.chars().collect();
        if is_ordinal {
            text.truncate(text.len().saturating_sub(2));
        }
        match &self.grouping {
            // The reference takes out a comma, whatever the separator is.
            Grouping::Every(..) => text.retain(|&character| character != ','),
            Grouping::At(separators) => text.retain(|character| !separators.iter().any(|(_, separator)| separator == character)),
        }
        if self.zero == 0x30 {
            return Ok(parse_integer(&text.into_iter().collect::<String>()));
        }
        let latin: Option<String> = text
            .iter()
            .map(|&unit| (u32::from(unit) % 0x10_0000 + 0x30).checked_sub(self.zero).map(|code| char::from_u32(code).unwrap_or(' ')))
            .collect();
        // There JavaScript itself fails, for want of a character with a number below zero.
        let latin = latin.ok_or_else(|| Failure::new("D3137", "the text has characters below the digits of the picture"))?;
        Ok(parse_integer(&latin))
    }
}

impl Grouping {
    /// Separators by digits to their right, the rightmost first.
    fn of(mut separators: Vec<(usize, char)>) -> Self {
        if let Some(&(_, separator)) = separators.first()
            && separators.iter().all(|(_, other)| *other == separator)
            && let Some(every) = regular(&separators.iter().map(|(position, _)| *position).collect::<Vec<_>>())
        {
            return Self::Every(every, separator);
        }
        separators.reverse();
        Self::At(separators)
    }
}

/// The interval of positions that are all multiples of one, without a gap.
pub(crate) fn regular(positions: &[usize]) -> Option<usize> {
    fn common_divisor(a: usize, b: usize) -> usize {
        if b == 0 { a } else { common_divisor(b, a % b) }
    }
    let every = positions.iter().copied().reduce(common_divisor)?;
    (every > 0 && (1..=positions.len()).all(|index| positions.contains(&(index * every)))).then_some(every)
}

/// Puts a separator before every so many digits from the right.
fn group(every: usize, separator: char, begin: usize, into: &mut String) {
    let digits: Vec<char> = into[begin..].chars().collect();
    if digits.len() <= every {
        return;
    }
    into.truncate(begin);
    for (index, digit) in digits.iter().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(every) {
            into.push(separator);
        }
        into.push(*digit);
    }
}

/// Puts separators at their places; where there are too few digits, only the last of them stay, as the reference cuts them.
fn separate(separators: &[(usize, char)], begin: usize, into: &mut String) {
    let mut units: Vec<char> = into[begin..].chars().collect();
    for &(position, separator) in separators {
        let separator = separator.to_string();
        let separator = halved(&separator);
        let place = match units.len().checked_sub(position) {
            Some(place) => place,
            None => {
                let kept = (position - units.len()).min(units.len());
                units.drain(..units.len() - kept);
                0
            }
        };
        units.splice(place..place, separator.chars());
    }
    into.truncate(begin);
    into.push_str(&joined(units.into_iter().collect()));
}
