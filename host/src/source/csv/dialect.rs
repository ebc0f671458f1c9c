//! How a CSV file is written, and where its rows end.
//!
//! A quote opens a field only as the field's first byte; elsewhere it stands for itself. A quote that opens a field must close it: the closing one is followed by
//! a delimiter, the end of the line or the end of the file, and comes within 1 MiB. If not, it was a stray quote: its row ends with the line that it is on, is refused,
//! and the next line is read as if nothing had been. So a stray quote costs one row and not the rest of the file.

use super::super::cut::{Found, Scan, TooLong};
use crate::config::extract::CsvOptions;
use crate::error::{Error, Result};

/// Bytes within which a quoted field must end.
const QUOTED_LIMIT: usize = 1 << 20;

/// The characters that have a meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Dialect {
    /// Between fields.
    pub(super) delimiter: u8,
    /// Around fields.
    pub(super) quote: u8,
    /// Before a quote that stands for itself.
    pub(super) escape: Option<u8>,
}

/// Where a quoted field ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quoted {
    /// The closing quote stands here.
    Closed(usize),
    /// The opening quote is a stray one.
    Stray,
    /// More bytes are needed to tell.
    More,
}

impl Dialect {
    /// The dialect that options describe.
    ///
    /// # Errors
    /// Config, where a character will not do.
    pub(in super::super) fn new(options: &CsvOptions, default_delimiter: char) -> Result<Self> {
        let one = |key: &str, character: char| {
            let usable = character.is_ascii() && !matches!(character, '\n' | '\r' | '\0');
            let hint = "one ASCII character that is no line break, such as `;` or `|`";
            usable
                .then_some(character as u8)
                .ok_or_else(|| Error::config(format!("`csv_options.{key}` is {character:?}, which cannot be used")).hint(hint))
        };
        let delimiter = one("delimiter", options.delimiter.unwrap_or(default_delimiter))?;
        let quote = one("quote_char", options.quote_char)?;
        let escape = options.escape_char.map(|escape| one("escape_char", escape)).transpose()?.filter(|escape| *escape != quote);
        if delimiter == quote || Some(delimiter) == escape {
            return Err(Error::config(format!("`csv_options` gives `{}` two meanings", char::from(delimiter)))
                .hint("`delimiter`, `quote_char` and `escape_char` must differ"));
        }
        Ok(Self { delimiter, quote, escape })
    }

    /// Finds the end of the quoted field whose opening quote stands at `open`.
    pub(super) fn quoted_end(&self, bytes: &[u8], open: usize, ended: bool) -> Quoted {
        let limit = bytes.len().min(open + 1 + QUOTED_LIMIT);
        let within = &bytes[..limit];
        let more = if !ended && limit == bytes.len() { Quoted::More } else { Quoted::Stray };
        let mut at = open + 1;
        loop {
            let found = match self.escape {
                None => memchr::memchr(self.quote, &within[at..]),
                Some(escape) => memchr::memchr2(self.quote, escape, &within[at..]),
            };
            let Some(found) = found.map(|found| at + found) else { return more };
            if bytes[found] != self.quote {
                at = found + 2;
                if at > limit {
                    return more;
                }
                continue;
            }
            match bytes.get(found + 1) {
                Some(&next) if next == self.quote => {
                    at = found + 2;
                    if at > limit {
                        return more;
                    }
                }
                Some(&next) if next == self.delimiter || next == b'\n' => return Quoted::Closed(found),
                Some(b'\r') => match bytes.get(found + 2) {
                    Some(b'\n') => return Quoted::Closed(found),
                    None if ended => return Quoted::Closed(found),
                    None => return Quoted::More,
                    Some(_) => return Quoted::Stray,
                },
                Some(_) => return Quoted::Stray,
                None if ended => return Quoted::Closed(found),
                None => return Quoted::More,
            }
        }
    }

    /// Whether a quote at `at` opens a field of the row that starts at `start`.
    pub(super) fn opens(&self, bytes: &[u8], start: usize, at: usize) -> bool {
        at == start || bytes[at - 1] == self.delimiter
    }

    /// Appends what a quoted field says; the field stands with its quotes.
    pub(super) fn unquote(&self, field: &[u8], text: &mut Vec<u8>) {
        let mut rest = &field[1..field.len() - 1];
        loop {
            let found = match self.escape {
                None => memchr::memchr(self.quote, rest),
                Some(escape) => memchr::memchr2(self.quote, escape, rest),
            };
            let Some(found) = found else { break };
            // An escape stands for itself unless it is before a quote or another escape.
            let meant = rest.get(found + 1).is_some_and(|&next| next == self.quote || Some(next) == self.escape);
            text.extend_from_slice(&rest[..found]);
            match meant {
                true => {
                    text.push(rest[found + 1]);
                    rest = &rest[found + 2..];
                }
                false => {
                    text.push(rest[found]);
                    rest = &rest[found + 1..];
                }
            }
        }
        text.extend_from_slice(rest);
    }

    /// Finds where the row that starts at `start` ends: the end without its line break, and the start of the next.
    ///
    /// `None` where more bytes are needed.
    pub(super) fn row_end(&self, bytes: &[u8], start: usize, ended: bool) -> Option<(usize, usize)> {
        let mut at = start;
        loop {
            let Some(found) = memchr::memchr2(self.quote, b'\n', &bytes[at..]).map(|found| at + found) else {
                return ended.then_some((bytes.len(), bytes.len()));
            };
            if bytes[found] == b'\n' {
                return Some((found, found + 1));
            }
            at = found + 1;
            if self.opens(bytes, start, found) {
                match self.quoted_end(bytes, found, ended) {
                    Quoted::Closed(close) => at = close + 1,
                    Quoted::More => return None,
                    Quoted::Stray => {
                        return match memchr::memchr(b'\n', &bytes[found..]) {
                            Some(end) => Some((found + end, found + end + 1)),
                            None => ended.then_some((bytes.len(), bytes.len())),
                        };
                    }
                }
            }
        }
    }

    /// Cuts one row, without its line break, into fields.
    pub(super) fn fields(&self, row: &[u8]) -> Vec<String> {
        let row = row.strip_suffix(b"\r").unwrap_or(row);
        let mut fields = Vec::new();
        let mut start = 0;
        loop {
            let mut text = Vec::new();
            let mut end = None;
            if row.get(start) == Some(&self.quote)
                && let Quoted::Closed(close) = self.quoted_end(row, start, true)
            {
                self.unquote(&row[start..=close], &mut text);
                end = Some(close + 1);
            }
            let end = end.unwrap_or_else(|| {
                let end = memchr::memchr(self.delimiter, &row[start..]).map_or(row.len(), |found| start + found);
                text.extend_from_slice(&row[start..end]);
                end
            });
            fields.push(String::from_utf8_lossy(&text).into_owned());
            if end >= row.len() {
                return fields;
            }
            start = end + 1;
        }
    }
}

/// Finds the rows of a CSV file.
pub(super) struct CsvScan(pub(super) Dialect);

impl Scan for CsvScan {
    const RANGES: bool = false;

    #[inline]
    fn find(&mut self, bytes: &[u8], ended: bool) -> Result<Found> {
        match bytes {
            [] => return Ok(if ended { Found::End } else { Found::More }),
            [b'\n', ..] => return Ok(Found::Nothing { next: 1 }),
            [b'\r', b'\n', ..] => return Ok(Found::Nothing { next: 2 }),
            [b'\r'] => return Ok(if ended { Found::Nothing { next: 1 } } else { Found::More }),
            _ => {}
        }
        Ok(match self.0.row_end(bytes, 0, ended) {
            Some((end, next)) => Found::Row { start: 0, end, next },
            None => Found::More,
        })
    }

    fn too_long(&self) -> TooLong {
        TooLong::SkipLine
    }
}
