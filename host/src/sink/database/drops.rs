//! What a column of a limited width drops of a value without a word, in place of refusing it.

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef};
use arrow_buffer::BooleanBuffer;
use arrow_schema::{DataType, TimeUnit};

use super::fit::{is_text, some, texts_that};

/// What it drops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Drops {
    /// Digits of a second's fraction behind so many.
    Digits(u32),
    /// Blanks behind so many letters.
    Blanks(usize),
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

    /// Of a type of MySQL, by its name, the digits of its fraction and its letters.
    pub(super) fn of_mysql(name: &str, digits: Option<u32>, letters: Option<usize>) -> Option<Self> {
        match name {
            "time" | "datetime" | "timestamp" => digits.filter(|digits| *digits < 6).map(Self::Digits),
            "varchar" => letters.map(Self::Blanks),
            _ => None,
        }
    }

    /// The values of which it would drop something.
    pub(super) fn of(self, column: &ArrayRef) -> Option<BooleanBuffer> {
        if let (Drops::Digits(digits), DataType::Time64(TimeUnit::Microsecond) | DataType::Timestamp(TimeUnit::Microsecond, _)) =
            (self, column.data_type())
        {
            let step = 10i64.pow(6 - digits.min(6));
            let micros = arrow_cast::cast(column, &DataType::Int64).ok()?;
            let micros = micros.as_primitive::<Int64Type>();
            return some((0..micros.len()).map(|index| micros.is_valid(index) && micros.value(index) % step != 0).collect());
        }
        if !is_text(column.data_type()) && !matches!(self, Self::Bytes(_)) {
            return None;
        }
        texts_that(column, |text| match self {
            Drops::Digits(digits) => fraction_digits(text) > digits as usize,
            Drops::Bytes(bytes) => text.len() > bytes,
            // A text with more than blanks behind them is refused by the server.
            Drops::Blanks(letters) => {
                text.len() > letters
                    && text.last() == Some(&b' ')
                    && std::str::from_utf8(text).is_ok_and(|text| {
                        text.char_indices().nth(letters).is_some_and(|(end, _)| text[end..].bytes().all(|byte| byte == b' '))
                    })
            }
        })
    }
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
        let words: ArrayRef = Arc::new(StringArray::from(vec!["abc", "abc ", "äöü", "äöü  ", "abcd ", "a  ", "     "]));
        assert_eq!(found(words, Drops::Blanks(3)), [1, 3, 6]);
    }
}
