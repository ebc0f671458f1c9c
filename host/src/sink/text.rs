//! Rows as JSON lines, a JSON array, CSV, TSV or XML, plain or compressed.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Schema, SchemaRef};

use super::conform::{Conform, refuse};
use super::csv::{Csv, CsvColumn};
use super::xml::{self, Xml, XmlRows};
use super::{Encode, Encoded, Encoder, Payload};
use crate::batch::{Batch, Reason, Reject, is_json_text};
use crate::config::extract::{CsvOptions, Format, JsonOptions};
use crate::config::load::XmlTags;
use crate::encoding::{self, Charset};
use crate::error::{Context, Error, Result};
use crate::json::{self, JsonRows, Style, indent};

/// How text files are written; all of it is decided when the sink is opened.
#[derive(Debug)]
pub(super) struct TextFormat {
    pub(super) syntax: Syntax,
    pub(super) packing: Packing,
    style: Style,
    /// `None` = UTF-8.
    encoding: Option<Charset>,
    /// Whether the file starts with a byte order mark.
    mark: bool,
    /// Numbers that were written as null.
    nulled: AtomicU64,
    /// Columns of JSON, each with whether it was text in some batch, and whether it was not in some.
    kinds: Mutex<Kinds>,
}

/// What columns were in the batches so far.
#[derive(Debug, Default)]
struct Kinds {
    last: Option<SchemaRef>,
    columns: BTreeMap<String, (bool, bool)>,
}

/// The syntax of a text file.
#[derive(Clone, Debug)]
pub(super) enum Syntax {
    /// One object a line.
    Lines,
    /// One array; the blanks by which nested values are indented, 0 = one record a line.
    Array(usize),
    /// Delimited.
    Csv(Csv),
    /// Elements in a root element.
    Xml(Xml),
}

/// Why a row cannot be written.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unwritable {
    /// The row, within its batch.
    pub(super) index: usize,
    pub(super) code: &'static str,
    pub(super) message: String,
    pub(super) field: Option<String>,
}

impl Unwritable {
    fn unencodable(index: usize, letter: &str) -> Self {
        let message = format!("the encoding of the output lacks the character `{letter}`");
        Self { index, code: "unencodable", message, field: None }
    }

    /// Makes the reject of a row that stood at `place` in its batch.
    pub(super) fn reject(self, batch: &Batch, place: usize) -> Reject {
        let Self { index: _, code, message, field } = self;
        refuse(batch, place, Reason::LoadError, code, message, field)
    }
}

/// How text is compressed: piece by piece, each a gzip member or a Zstandard frame of its own, which readers take as one text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    /// Not.
    None,
    /// gzip.
    Gzip,
    /// Zstandard.
    Zstd,
}

impl Packing {
    /// Compresses a piece; nothing stays nothing.
    pub(super) fn pack(self, piece: Vec<u8>) -> Result<Vec<u8>> {
        if piece.is_empty() { Ok(piece) } else { self.pack_all(piece) }
    }

    /// Compresses a piece, also where it is empty: a compressed file of no bytes would be no file of its kind.
    pub(super) fn pack_all(self, piece: Vec<u8>) -> Result<Vec<u8>> {
        let packed = match self {
            Self::None => Ok(piece),
            Self::Gzip => {
                let room = Vec::with_capacity(piece.len() / 4);
                let mut writer = flate2::write::GzEncoder::new(room, flate2::Compression::default());
                writer.write_all(&piece).and_then(|()| writer.finish())
            }
            Self::Zstd => zstd::bulk::compress(&piece, zstd::DEFAULT_COMPRESSION_LEVEL),
        };
        packed.bug(|| "a piece in memory cannot be compressed".into())
    }
}

impl TextFormat {
    /// Reads the options of a format.
    ///
    /// # Errors
    /// Config, where options cannot be or contradict each other.
    pub(super) fn new(format: Format, csv: &CsvOptions, json: &JsonOptions, xml: &XmlTags, packing: Packing) -> Result<Self> {
        let is_csv = matches!(format, Format::Csv | Format::Tsv);
        let label = if is_csv { &csv.encoding } else { &json.encoding };
        let key = if is_csv { "csv_options.encoding" } else { "json_options.encoding" };
        let label = label.as_deref().filter(|_| format != Format::Xml);
        let (encoding, mark) = label.map_or(Ok((None, false)), |label| encoding(label, key))?;
        let syntax = match (format, json.lines) {
            (Format::Csv, _) => Syntax::Csv(Csv::new(csv, b',')?),
            (Format::Tsv, _) => Syntax::Csv(Csv::new(csv, b'\t')?),
            (Format::Xml, _) => Syntax::Xml(Xml::new(xml)?),
            (_, Some(true)) | (Format::Jsonl, None) => Syntax::Lines,
            _ => Syntax::Array(json.indent.unwrap_or(0).into()),
        };
        if matches!(syntax, Syntax::Lines) && json.indent.is_some_and(|indent| indent > 0) {
            return Err(Error::config("`json_options.indent` is for `json`, but each record of this output is one line")
                .hint("leave out `indent`, or write `format: json`"));
        }
        Ok(Self {
            syntax,
            packing,
            style: Style { ascii: json.ensure_ascii && !is_csv, ..Style::default() },
            encoding,
            mark,
            nulled: AtomicU64::new(0),
            kinds: Mutex::default(),
        })
    }

    /// What a file starts with.
    pub(super) fn opening(&self, schema: &SchemaRef) -> Result<Vec<u8>> {
        let mut opening = Vec::new();
        match &self.syntax {
            Syntax::Lines => {}
            Syntax::Array(_) => opening.push(b'['),
            Syntax::Csv(csv) if csv.header && !schema.fields().is_empty() => {
                csv.write_header(schema.fields().iter().map(|field| field.name().as_str()), &mut opening);
                if let Some(encoding) = self.encoding {
                    let text = std::str::from_utf8(&opening).bug(|| "a header is not UTF-8".into())?;
                    opening = encoding.encode(text).map_err(|letter| {
                        let header = text.trim_end();
                        Error::data(format!("the header `{header}` has the character `{letter}`, which the encoding of the output lacks"))
                            .hint("rename the columns, or write another `encoding`")
                    })?;
                }
            }
            Syntax::Csv(_) => {}
            Syntax::Xml(xml) => opening = xml.opening(),
        }
        if self.mark {
            opening.splice(0..0, *b"\xef\xbb\xbf");
        }
        Ok(opening)
    }

    /// What stands between the rows already written (`true` = there are some) and the next ones.
    pub(super) fn joint(&self, after_rows: bool) -> &'static [u8] {
        match self.syntax {
            Syntax::Array(_) if after_rows => b",\n",
            Syntax::Array(_) => b"\n",
            _ => b"",
        }
    }

    /// What a file ends with.
    pub(super) fn closing(&self, after_rows: bool) -> Vec<u8> {
        match &self.syntax {
            Syntax::Array(_) if after_rows => b"\n]\n".to_vec(),
            Syntax::Array(_) => b"]\n".to_vec(),
            Syntax::Xml(xml) => xml.closing(),
            Syntax::Lines | Syntax::Csv(_) => Vec::new(),
        }
    }

    /// Checks that columns can be written.
    ///
    /// # Errors
    /// Config.
    pub(super) fn check(&self, schema: &Schema) -> Result<()> {
        if matches!(self.syntax, Syntax::Xml(_)) { xml::check(schema) } else { Ok(()) }
    }

    /// Columns that were text in one batch and something else in another, so that numbers of some rows are texts.
    pub(super) fn mixed(&self) -> Vec<String> {
        let kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        kinds.columns.iter().filter(|(_, (text, other))| *text && *other).map(|(name, _)| name.clone()).collect()
    }

    /// Notes what the columns of a batch are.
    fn look(&self, schema: &SchemaRef) {
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        if kinds.last.as_ref().is_some_and(|last| Arc::ptr_eq(last, schema)) {
            return;
        }
        kinds.last = Some(schema.clone());
        for field in schema.fields().iter().filter(|field| field.data_type() != &DataType::Null && !is_json_text(field)) {
            let (text, other) = kinds.columns.entry(field.name().clone()).or_default();
            *(if field.data_type() == &DataType::Utf8 { text } else { other }) = true;
        }
    }

    /// Numbers that were written as null, since JSON has none that is not finite.
    pub(super) fn nulled(&self) -> u64 {
        self.nulled.load(Ordering::Relaxed)
    }

    /// Tells whether there are values that the files cannot hold.
    pub(super) fn is_partial(&self) -> bool {
        self.encoding.is_some() || matches!(self.syntax, Syntax::Xml(_))
    }

    /// Writes rows; answers those that cannot be.
    pub(super) fn write(&self, rows: &RecordBatch, after_rows: bool, out: &mut Vec<u8>) -> Result<Vec<Unwritable>> {
        match self.syntax {
            Syntax::Lines | Syntax::Array(_) => {
                self.nulled.fetch_add(json::not_finite(rows), Ordering::Relaxed);
                self.look(rows.schema_ref());
            }
            // Lists and objects stand in a field as JSON.
            Syntax::Csv(_) => {
                let nested = rows.columns().iter().filter(|column| column.data_type().is_nested());
                self.nulled.fetch_add(nested.map(|column| json::not_finite_in(column)).sum(), Ordering::Relaxed);
            }
            Syntax::Xml(_) => {}
        }
        let mut between = after_rows;
        let mut refused = Vec::new();
        let mut each = |write: &mut dyn FnMut(usize, &mut Vec<u8>)| {
            for index in 0..rows.num_rows() {
                let start = out.len();
                if between && matches!(self.syntax, Syntax::Array(_)) {
                    out.extend_from_slice(b",\n");
                }
                write(index, out);
                if !matches!(self.syntax, Syntax::Array(_)) {
                    out.push(b'\n');
                }
                if let Some(encoding) = self.encoding
                    && let Err(letter) = reencode(encoding, start, out)
                {
                    refused.push(Unwritable::unencodable(index, &letter));
                    continue;
                }
                between = true;
            }
        };
        match &self.syntax {
            Syntax::Lines | Syntax::Array(0) => {
                let json = JsonRows::new(rows, self.style);
                each(&mut |index, out| json.write(index, out));
            }
            Syntax::Array(step) => {
                let json = JsonRows::new(rows, self.style);
                let mut row = Vec::new();
                each(&mut |index, out| {
                    row.clear();
                    json.write(index, &mut row);
                    out.resize(out.len() + step, b' ');
                    indent(&row, *step, 1, out);
                });
            }
            Syntax::Csv(csv) => {
                let columns = CsvColumn::all(rows, csv);
                each(&mut |index, out| csv.write_row(&columns, index, out));
            }
            Syntax::Xml(xml) => {
                let ready = XmlRows::new(rows, xml)?;
                for index in 0..rows.num_rows() {
                    match ready.write(index, out) {
                        Ok(()) => out.push(b'\n'),
                        Err(unwritable) => refused.push(unwritable),
                    }
                }
            }
        }
        Ok(refused)
    }
}

/// Finds an encoding; and whether UTF-8 starts with a byte order mark.
fn encoding(label: &str, key: &str) -> Result<(Option<Charset>, bool)> {
    match encoding::find(label) {
        None => Err(Error::config(format!("`{key}` is `{label}`, which is no encoding")).hint(encoding::KNOWN)),
        Some(found) if found.encoding == encoding_rs::UTF_8 => Ok((None, encoding::marks(label))),
        Some(found) if found.encoding.output_encoding() != found.encoding => {
            Err(Error::config(format!("`{key}` is `{label}`, which can be read but not written")).hint("write `utf-8`"))
        }
        Some(found) => Ok((Some(found), false)),
    }
}

/// Puts the text from `start` on into another encoding; or takes it away and answers the first character that the encoding lacks.
fn reencode(charset: Charset, start: usize, out: &mut Vec<u8>) -> Result<(), String> {
    let text = std::str::from_utf8(&out[start..]).expect("rows are written as UTF-8");
    if text.is_ascii() && charset.encoding.is_ascii_compatible() {
        return Ok(());
    }
    let encoded = charset.encode(text);
    out.truncate(start);
    out.extend_from_slice(&encoded?);
    Ok(())
}

/// Encodes the chunks of one text file.
pub(super) struct TextEncode {
    pub(super) format: Arc<TextFormat>,
    /// For CSV: the columns of the file.
    pub(super) conform: Option<Conform>,
}

impl Encode for TextEncode {
    fn start(&self) -> Result<Box<dyn Encoder>> {
        Ok(Box::new(TextEncoder { format: self.format.clone(), conform: self.conform.clone(), text: Vec::new(), rows: 0 }))
    }
}

struct TextEncoder {
    format: Arc<TextFormat>,
    conform: Option<Conform>,
    text: Vec<u8>,
    rows: u64,
}

impl Encoder for TextEncoder {
    fn write(&mut self, batch: &Batch) -> Result<Vec<Reject>> {
        let Some(conform) = &self.conform else {
            let refused = self.format.write(&batch.rows, self.rows > 0, &mut self.text)?;
            self.rows += (batch.rows.num_rows() - refused.len()) as u64;
            return Ok(refused.into_iter().map(|row| (row.index, row)).map(|(place, row)| row.reject(batch, place)).collect());
        };
        let mut fitted = conform.fit(batch)?;
        let refused = self.format.write(&fitted.rows, self.rows > 0, &mut self.text)?;
        self.rows += (fitted.rows.num_rows() - refused.len()) as u64;
        let mut rejects = std::mem::take(&mut fitted.rejects);
        if !refused.is_empty() {
            let places = fitted.places();
            rejects.extend(refused.into_iter().map(|row| (places[row.index], row)).map(|(place, row)| row.reject(batch, place)));
        }
        Ok(rejects)
    }

    fn finish(self: Box<Self>) -> Result<Encoded> {
        Ok(Encoded { rows: self.rows, payload: Payload::Bytes(self.format.packing.pack(self.text)?) })
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::{ArrayRef, Float64Array, Int64Array, NullArray, StringArray};

    use super::*;
    use crate::batch::{Origin, RowNumbers};

    fn rows(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true))).unwrap()
    }

    fn csv(options: CsvOptions, rows: &RecordBatch) -> String {
        let format = TextFormat::new(Format::Csv, &options, &JsonOptions::default(), &XmlTags::default(), Packing::None).unwrap();
        let mut out = format.opening(rows.schema_ref()).unwrap();
        assert_eq!(format.write(rows, false, &mut out).unwrap(), []);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn fields_are_quoted_where_needed_and_an_empty_text_is_not_null() {
        let texts = StringArray::from(vec![Some("plain"), Some(""), None, Some("a,b"), Some("say \"hi\""), Some("two\nlines")]);
        let numbers = Float64Array::from(vec![Some(24.0), Some(-0.5), None, Some(f64::NAN), Some(f64::INFINITY), Some(1e300)]);
        let rows = rows(vec![("te,xt", Arc::new(texts)), ("number", Arc::new(numbers))]);
        let expected = "\"te,xt\",number\nplain,24.0\n\"\",-0.5\n,\n\"a,b\",NaN\n\"say \"\"hi\"\"\",inf\n\"two\nlines\",1e+300\n";
        assert_eq!(csv(CsvOptions::default(), &rows), expected);
    }

    #[test]
    fn the_delimiter_the_quote_and_the_escape_are_those_asked_for() {
        let texts = StringArray::from(vec!["a;b", "it's", "back\\slash", "a,b"]);
        let options =
            CsvOptions { delimiter: Some(';'), quote_char: '\'', escape_char: Some('\\'), include_header: false, ..CsvOptions::default() };
        let rows = rows(vec![("x", Arc::new(texts))]);
        assert_eq!(csv(options, &rows), "'a;b'\n'it\\'s'\n'back\\\\slash'\na,b\n");
    }

    #[test]
    fn a_number_is_quoted_where_the_delimiter_can_be_part_of_it() {
        let options = CsvOptions { delimiter: Some('.'), ..CsvOptions::default() };
        let rows = rows(vec![("x", Arc::new(Float64Array::from(vec![1.5]))), ("y", Arc::new(Int64Array::from(vec![2])))]);
        assert_eq!(csv(options, &rows), "x.y\n\"1.5\".2\n");
    }

    #[test]
    fn a_lone_null_is_not_an_empty_line() {
        assert_eq!(csv(CsvOptions::default(), &rows(vec![("x", Arc::new(StringArray::from(vec![None, Some("a")])))])), "x\n\"\"\na\n");
        assert_eq!(csv(CsvOptions::default(), &rows(vec![("x", Arc::new(NullArray::new(1)))])), "x\n\"\"\n");
    }

    #[test]
    fn options_that_cannot_be_are_named() {
        let message = |options: CsvOptions, json: JsonOptions, format| {
            TextFormat::new(format, &options, &json, &XmlTags::default(), Packing::None).map(|_| ()).unwrap_err().to_string()
        };
        let with = |delimiter| CsvOptions { delimiter: Some(delimiter), ..CsvOptions::default() };
        let json = JsonOptions::default();
        assert_eq!(
            message(with('→'), json.clone(), Format::Csv),
            "`csv_options.delimiter` is `→`, but must be one ASCII character, not a line end"
        );
        assert_eq!(message(with('"'), json, Format::Csv), "`csv_options` uses `\"` both between fields and around or within them");
        let utf16 = JsonOptions { encoding: Some("utf-16le".into()), ..JsonOptions::default() };
        assert_eq!(
            message(CsvOptions::default(), utf16, Format::Json),
            "`json_options.encoding` is `utf-16le`, which can be read but not written"
        );
        let indent = JsonOptions { indent: Some(2), ..JsonOptions::default() };
        assert_eq!(
            message(CsvOptions::default(), indent, Format::Jsonl),
            "`json_options.indent` is for `json`, but each record of this output is one line"
        );
    }

    #[test]
    fn a_character_that_the_encoding_lacks_costs_its_row_only() {
        let options = CsvOptions { encoding: Some("latin-1".into()), ..CsvOptions::default() };
        let format = Arc::new(TextFormat::new(Format::Csv, &options, &JsonOptions::default(), &XmlTags::default(), Packing::None).unwrap());
        let rows = rows(vec![("x", Arc::new(StringArray::from(vec!["é", "日", "z"])))]);
        let encode = TextEncode { format, conform: Some(Conform::by_name(rows.schema())) };
        let mut encoder = encode.start().unwrap();
        let batch = Batch { rows, origin: Origin { source: "in".into(), rows: RowNumbers::From(1) }, sequence: 0 };
        let rejects = encoder.write(&batch).unwrap();
        assert_eq!(rejects.len(), 1);
        assert_eq!((rejects[0].row, rejects[0].message.as_str()), (2, "the encoding of the output lacks the character `日`"));
        let encoded = encoder.finish().unwrap();
        assert!(matches!(encoded, Encoded { rows: 2, payload: Payload::Bytes(bytes) } if bytes == b"\xe9\nz\n"));
    }
}
