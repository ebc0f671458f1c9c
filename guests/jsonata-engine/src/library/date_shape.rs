//! The shapes of most pictures of dates, which texts are held against without a regular expression.

use super::date_picture::{Marker, Part};
use super::integer_picture::Style;

/// A part of a picture of ASCII.
#[derive(Debug)]
pub(crate) enum Shape {
    /// In either case.
    Literal(String),
    /// So many digits, or as many as there are; an ordinal's suffix behind them.
    Digits { count: Option<usize>, is_ordinal: bool },
    /// A name.
    Letters,
    /// An offset to UTC, perhaps with `GMT` in front and `:` between hours and minutes.
    Zone { has_name: bool, has_colon: bool },
}

impl Shape {
    /// The shape of a part; `None` where it takes a regular expression.
    pub(crate) fn of(part: &Part) -> Option<Self> {
        let marker = match part {
            Part::Literal(literal) => return literal.is_ascii().then(|| Self::Literal(literal.clone())),
            Part::Marker(marker) => marker,
        };
        let Marker { component, integer, read_width, .. } = marker;
        match (component, integer) {
            ('Z' | 'z', integer) => {
                let has_colon = match integer.as_ref().and_then(|integer| integer.digits()?.regular()) {
                    None => false,
                    Some(':') => true,
                    Some(_) => return None,
                };
                Some(Self::Zone { has_name: *component == 'z', has_colon })
            }
            ('f', _) => Some(Self::Digits { count: None, is_ordinal: false }),
            (_, Some(integer)) => {
                let Style::Digits(_) = integer.style else { return None };
                let count = match read_width {
                    Some(width) if *width < 0.0 => return None,
                    Some(width) if *width > 0.0 => Some(*width as usize),
                    _ => None,
                };
                Some(Self::Digits { count, is_ordinal: integer.is_ordinal })
            }
            ('M' | 'x' | 'F' | 'P', None) => Some(Self::Letters),
            _ => None,
        }
    }
}

/// Holds a text against shapes from a place on; notes where each of them ends. As much as can be goes to the first ones.
pub(crate) fn fits(shapes: &[Shape], text: &[u8], place: usize, ends: &mut [usize]) -> bool {
    let (Some((shape, shapes)), Some((end, ends))) = (shapes.split_first(), ends.split_first_mut()) else {
        return place == text.len();
    };
    let mut goes_on = |place: usize| {
        *end = place;
        fits(shapes, text, place, ends)
    };
    let run = |from: usize, is: fn(&u8) -> bool| text.get(from..).map_or(0, |text| text.iter().take_while(|byte| is(byte)).count());
    let literal = |from: usize, literal: &[u8]| text.get(from..from + literal.len()).is_some_and(|text| text.eq_ignore_ascii_case(literal));
    match shape {
        Shape::Literal(expected) => literal(place, expected.as_bytes()) && goes_on(place + expected.len()),
        Shape::Digits { count, is_ordinal } => {
            let most = run(place, u8::is_ascii_digit);
            let (least, most) = match *count {
                Some(count) if count > most => return false,
                Some(count) => (count, count),
                None => (1, most),
            };
            (least..=most).rev().any(|count| {
                let end = place + count;
                match is_ordinal {
                    false => goes_on(end),
                    true => [b"th", b"st", b"nd", b"rd"].iter().any(|suffix| literal(end, *suffix)) && goes_on(end + 2),
                }
            })
        }
        Shape::Letters => (1..=run(place, u8::is_ascii_alphabetic)).rev().any(|count| goes_on(place + count)),
        Shape::Zone { has_name, has_colon } => {
            let place = if *has_name { place + 3 } else { place };
            if *has_name && !literal(place - 3, b"GMT") || !matches!(text.get(place), Some(b'-' | b'+')) {
                return false;
            }
            let hours = place + 1;
            (1..=run(hours, u8::is_ascii_digit)).rev().any(|count| {
                let end = hours + count;
                match has_colon {
                    false => goes_on(end),
                    true => {
                        text.get(end) == Some(&b':') && (1..=run(end + 1, u8::is_ascii_digit)).rev().any(|count| goes_on(end + 1 + count))
                    }
                }
            })
        }
    }
}
