//! What a column of a limited width drops of a value without a word, in place of refusing it.

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef};
use arrow_buffer::BooleanBuffer;
use arrow_schema::{DataType, TimeUnit};

use super::columns::Holds;
use super::fit::{is_text, significant, some, texts_that};

/// What it drops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Drops {
    /// Digits of a second's fraction behind so many.
    Digits(u32),
    /// Blanks behind so many letters.
    Blanks(usize),
    /// Numbers that are none of these labels of MySQL: they would be taken for the place of one.
    Places(Vec<String>),
    /// Years of which MySQL makes others: 5 would be 2005.
    Years,
    /// What SQLite has not of a text that looks like a number: blanks, signs, zeros, digits.
    Looks,
    /// Bytes behind so many.
    Bytes(usize),
}

impl Drops {
    /// Of a type of PostgreSQL, by its name in the catalogue and its type modifier.
    pub(super) fn of_postgres(name: &str, modifier: i32) -> Option<Self> {
        match name {
            "time" | "timetz" | "timestamp" | "timestamptz" => u32::try_from(modifier).ok().filter(|digits| *digits < 6).map(Self::Digits),
            // Its modifier says beside the digits which fields it has.
            "interval" if modifier >= 0 => Some(modifier as u32 & 0xffff).filter(|digits| *digits < 6).map(Self::Digits),
            // Types that the database's own catalogue is made of.
            "char" => Some(Self::Bytes(1)),
            "name" => Some(Self::Bytes(63)),
            "varchar" => modifier.checked_sub(4).and_then(|letters| usize::try_from(letters).ok()).map(Self::Blanks),
            _ => None,
        }
    }

    /// Of a type of MySQL, by its name, its whole declaration, the digits of its fraction and its letters.
    pub(super) fn of_mysql(name: &str, declared: &str, digits: Option<u32>, letters: Option<usize>) -> Option<Self> {
        match name {
            "enum" | "set" => Some(Self::Places(labels(declared))),
            "year" => Some(Self::Years),
            "time" | "datetime" | "timestamp" => digits.filter(|digits| *digits < 6).map(Self::Digits),
            "varchar" => letters.map(Self::Blanks),
            _ => None,
        }
    }

    /// Of a type of SQLite, by what its column was declared with and what that holds: a column of an unknown type prefers numbers.
    pub(super) fn of_sqlite(declared: &str, holds: Holds) -> Option<Self> {
        (holds == Holds::Other && !declared.is_empty()).then_some(Self::Looks)
    }

    /// The values of which it would drop something.
    pub(super) fn of(&self, column: &ArrayRef) -> Option<BooleanBuffer> {
        if let (Drops::Digits(digits), DataType::Time64(TimeUnit::Microsecond) | DataType::Timestamp(TimeUnit::Microsecond, _)) =
            (self, column.data_type())
        {
            let step = 10i64.pow(6 - (*digits).min(6));
            let micros = arrow_cast::cast(column, &DataType::Int64).ok()?;
            let micros = micros.as_primitive::<Int64Type>();
            return some((0..micros.len()).map(|index| micros.is_valid(index) && micros.value(index) % step != 0).collect());
        }
        let (kind, is_text) = (column.data_type(), is_text(column.data_type()));
        let may_drop = match self {
            Drops::Digits(_) | Drops::Blanks(_) => is_text,
            // Of other numbers SQLite has all digits.
            Drops::Looks => is_text || kind.is_decimal() || kind == &DataType::UInt64,
            Drops::Bytes(_) | Drops::Places(_) | Drops::Years => true,
        };
        if !may_drop {
            return None;
        }
        texts_that(column, |text| match self {
            Drops::Digits(digits) => fraction_digits(text) > *digits as usize,
            Drops::Bytes(bytes) => text.len() > *bytes,
            Drops::Places(labels) => {
                let text = std::str::from_utf8(text).unwrap_or_default();
                text.trim().parse::<i128>().is_ok() && !labels.iter().any(|label| label == text)
            }
            Drops::Years => !matches!(std::str::from_utf8(text).unwrap_or_default().parse(), Ok(0 | 1901..=2155)),
            Drops::Looks if is_text => !looks_kept(text),
            Drops::Looks => !digits_kept(text),
            // A text with more than blanks behind them is refused by the server.
            Drops::Blanks(letters) => {
                text.len() > *letters
                    && text.last() == Some(&b' ')
                    && std::str::from_utf8(text).is_ok_and(|text| {
                        text.char_indices().nth(*letters).is_some_and(|(end, _)| text[end..].bytes().all(|byte| byte == b' '))
                    })
            }
        })
    }
}

/// The labels of `enum('a','it''s')`.
fn labels(declared: &str) -> Vec<String> {
    let (mut labels, mut label) = (Vec::new(), None::<String>);
    let mut letters = declared.chars().peekable();
    while let Some(letter) = letters.next() {
        match label.as_mut() {
            None => label = (letter == '\'').then(String::new),
            // A quote within is doubled.
            Some(_) if letter == '\'' && letters.next_if_eq(&letter).is_none() => labels.extend(label.take()),
            Some(label) => label.push(letter),
        }
    }
    labels
}

/// Whether SQLite keeps a text as it is where it prefers numbers: it is none, or one just as it would be written.
fn looks_kept(text: &[u8]) -> bool {
    // Its blanks have one more than those of ASCII.
    let Ok(text) = std::str::from_utf8(text) else { return true };
    let number = text.trim_matches([' ', '\t', '\n', '\x0b', '\x0c', '\r']);
    let Some((digits, _)) = significant(number.as_bytes()) else { return true };
    match number.parse::<i64>() {
        Ok(number) => number.to_string() == text,
        // It writes 15 digits.
        Err(_) => digits.len() <= 15 && number.parse().is_ok_and(|number: f64| number.to_string() == text && text.contains('.')),
    }
}

/// Whether SQLite keeps all digits of a number.
fn digits_kept(text: &[u8]) -> bool {
    let Some(number) = std::str::from_utf8(text).ok().map(str::trim) else { return true };
    let Some(exact) = significant(number.as_bytes()) else { return true };
    number.parse::<i64>().is_ok() || number.parse().is_ok_and(|number: f64| significant(number.to_string().as_bytes()) == Some(exact))
}

/// Digits of a second's fraction that a time needs.
fn fraction_digits(time: &[u8]) -> usize {
    let Some(at) = memchr::memchr(b'.', time) else { return 0 };
    let digits = time[at + 1..].iter().take_while(|byte| byte.is_ascii_digit());
    digits.enumerate().filter(|(_, digit)| **digit != b'0').map(|(index, _)| index + 1).last().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{StringArray, TimestampMicrosecondArray};

    use super::*;

    #[test]
    fn parts_that_a_column_would_drop_without_a_word_are_found() {
        let found = |column: ArrayRef, drops: Drops| drops.of(&column).map_or_else(Vec::new, |unfit| unfit.set_indices().collect());
        let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![Some(0), None, Some(700_000), Some(-1), Some(-2_000_000)]));
        assert_eq!(found(times.clone(), Drops::Digits(0)), [2, 3]);
        assert_eq!(found(times, Drops::Digits(1)), [3]);
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["infinity", "10:00:00.700+00", "10:00:00.75-01", "10:00:00.0"]));
        assert_eq!(found(texts.clone(), Drops::Digits(0)), [1, 2]);
        assert_eq!(found(texts, Drops::Digits(1)), [2]);
        let paid: ArrayRef = Arc::new(StringArray::from(vec!["10", "1", " 2", "ä", "it's", "-1", "X"]));
        let declared = "enum('x','it''s','ä','10',''',''b')";
        assert_eq!(labels(declared), ["x", "it's", "ä", "10", "','b"]);
        assert_eq!(found(paid, Drops::of_mysql("enum", declared, None, None).unwrap()), [1, 2, 5]);
        let codes: ArrayRef = Arc::new(StringArray::from(vec![
            "1",
            "01",
            "1e5",
            " 1",
            "1.5",
            "1.50",
            "-0",
            "-7",
            "+7",
            "abc",
            "",
            "0.1234567890123456",
            "12345678901234567890",
            "1.0",
            ".5",
        ]));
        assert_eq!(found(codes, Drops::of_sqlite("STRING", Holds::Other).unwrap()), [1, 2, 3, 5, 6, 8, 11, 12, 13, 14]);
        let words: ArrayRef = Arc::new(StringArray::from(vec!["abc", "abc ", "äöü", "äöü  ", "abcd ", "a  ", "     "]));
        assert_eq!(found(words, Drops::Blanks(3)), [1, 3, 6]);
    }
}
