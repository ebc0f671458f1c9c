//! Rows as delimited text.

use arrow_array::RecordBatch;

use crate::config::extract::CsvOptions;
use crate::error::{Error, Result};
use crate::json::{Cell, Style};

/// How delimited text is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Csv {
    pub(super) delimiter: u8,
    pub(super) quote: u8,
    /// Stands before a quote within quotes; `None` = it is doubled.
    pub(super) escape: Option<u8>,
    pub(super) header: bool,
}

impl Csv {
    pub(super) fn new(options: &CsvOptions, delimiter: u8) -> Result<Self> {
        let ascii = |name: &str, letter: char| match u8::try_from(letter) {
            Ok(byte) if byte.is_ascii() && byte != b'\n' && byte != b'\r' => Ok(byte),
            _ => Err(Error::config(format!(
                "`csv_options.{name}` is `{}`, but must be one ASCII character, not a line end",
                letter.escape_debug()
            ))),
        };
        let delimiter = options.delimiter.map_or(Ok(delimiter), |letter| ascii("delimiter", letter))?;
        let quote = ascii("quote_char", options.quote_char)?;
        let escape = options.escape_char.map(|letter| ascii("escape_char", letter)).transpose()?;
        if delimiter == quote || escape == Some(delimiter) {
            return Err(Error::config(format!(
                "`csv_options` uses `{}` both between fields and around or within them",
                char::from(delimiter)
            )));
        }
        // An escape that is the quote itself is doubling under another name.
        Ok(Self { delimiter, quote, escape: escape.filter(|escape| *escape != quote), header: options.include_header })
    }

    pub(super) fn is_special(&self, byte: u8) -> bool {
        byte == self.delimiter || byte == self.quote || byte == b'\n' || byte == b'\r' || Some(byte) == self.escape
    }

    /// Whether numbers, dates and truth values never need quotes.
    pub(super) fn spares_numbers(&self) -> bool {
        !(0..=u8::MAX).any(|byte| self.is_special(byte) && (byte.is_ascii_alphanumeric() || b"+-.:".contains(&byte)))
    }

    /// Quotes what stands from `start` on where that is needed; an empty text is quoted too, which tells it from null.
    pub(super) fn quote_from(&self, start: usize, out: &mut Vec<u8>) {
        if start < out.len() && !out[start..].iter().any(|byte| self.is_special(*byte)) {
            return;
        }
        let text = out.split_off(start);
        out.reserve(text.len() + 2);
        out.push(self.quote);
        for byte in text {
            if byte == self.quote || Some(byte) == self.escape {
                out.push(self.escape.unwrap_or(self.quote));
            }
            out.push(byte);
        }
        out.push(self.quote);
    }

    pub(super) fn write_header<'a>(&self, names: impl Iterator<Item = &'a str>, out: &mut Vec<u8>) {
        for (index, name) in names.enumerate() {
            if index > 0 {
                out.push(self.delimiter);
            }
            let start = out.len();
            out.extend_from_slice(name.as_bytes());
            self.quote_from(start, out);
        }
        out.push(b'\n');
    }

    pub(super) fn write_row(&self, columns: &[CsvColumn], index: usize, out: &mut Vec<u8>) {
        for (number, column) in columns.iter().enumerate() {
            if number > 0 {
                out.push(self.delimiter);
            }
            if column.cell.is_null(index) {
                continue;
            }
            let start = out.len();
            column.cell.write_text(index, out);
            match column.quoting {
                Quoting::Never => {}
                Quoting::Empty if out.len() > start => {}
                Quoting::Empty | Quoting::Look => self.quote_from(start, out),
            }
        }
        // A lone null would be an empty line, which readers leave out.
        if let [only] = columns
            && (only.cell.is_null(index) || only.nothing)
        {
            out.extend_from_slice(&[self.quote, self.quote]);
        }
    }
}

/// A column and how its fields are quoted.
pub(super) struct CsvColumn {
    cell: Cell,
    quoting: Quoting,
    /// All of it is null, by its type.
    nothing: bool,
}

enum Quoting {
    /// No field needs quotes.
    Never,
    /// Only an empty text does.
    Empty,
    /// Each field must be looked at.
    Look,
}

impl CsvColumn {
    pub(super) fn all(rows: &RecordBatch, csv: &Csv) -> Vec<Self> {
        let spares_numbers = csv.spares_numbers();
        let column = |column: &arrow_array::ArrayRef| {
            let cell = Cell::new(column, Style::default());
            let nothing = column.data_type().is_null();
            let quoting = match cell.text_bytes() {
                _ if nothing => Quoting::Never,
                Some(bytes) if !bytes.chunks(256).any(|chunk| chunk.iter().fold(false, |any, byte| any | csv.is_special(*byte))) => {
                    Quoting::Empty
                }
                None if spares_numbers && !cell.is_text() && !cell.is_nested() && !column.data_type().is_binary() => Quoting::Never,
                _ => Quoting::Look,
            };
            Self { cell, quoting, nothing }
        };
        rows.columns().iter().map(column).collect()
    }
}
