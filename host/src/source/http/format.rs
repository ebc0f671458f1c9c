//! The format of pages: read as files of it are.

use std::sync::Arc;

use bytes::Bytes;

use super::super::ReadOptions;
use super::super::csv::{Csv, Dialect, Head};
use super::super::cut::Cutter;
use super::super::input::Input;
use super::super::json::Json;
use super::super::layout::Layout;
use super::super::target::Members;
use super::super::xml::Xml;
use super::body::Page;
use super::failure;
use super::shape::Shape;
use crate::batch::Position;
use crate::config::extract::{CsvOptions, FileSource, Reading};
use crate::config::http::{HttpSource, ResponseFormat};
use crate::error::Result;

/// Bytes of a page that are looked at to tell whether it is one, and how many blanks may stand before it.
const BEGINNING: usize = 512;
const MOST_BLANKS: usize = 64 << 10;

/// The format of pages.
pub(super) struct Format {
    kind: ResponseFormat,
    response_path: Option<String>,
    csv: Csv,
    /// What rows are read into where they are counted only.
    nothing: Arc<Layout>,
    shape: Shape,
}

/// A body that is of another format.
pub(super) struct Other {
    /// What it is, for a message.
    pub(super) kind: &'static str,
    pub(super) body: Bytes,
}

impl Format {
    /// As a source asks for it.
    ///
    /// # Errors
    /// Config, where CSV is written in a way that cannot be.
    pub(super) fn of(source: &HttpSource) -> Result<Self> {
        let CsvOptions { has_header, skip_rows, encoding, .. } = &source.csv_options;
        let encoding = super::super::file::encoding("csv_options.encoding", encoding.as_deref())?;
        let csv = Csv { dialect: Dialect::new(&source.csv_options, ',')?, encoding, has_header: *has_header, skip_rows: *skip_rows };
        let nothing = Layout::new(Members::default(), &FileSource::of(""), &Reading::default(), &ReadOptions::default())?;
        Ok(Self {
            kind: source.response_format,
            response_path: source.response_path.clone(),
            csv,
            nothing: Arc::new(nothing),
            shape: Shape::default(),
        })
    }

    /// As a person calls it.
    pub(super) fn name(&self) -> &'static str {
        match self.kind {
            ResponseFormat::Json => "JSON",
            ResponseFormat::Text => "text",
            ResponseFormat::Xml => "XML",
            ResponseFormat::Csv => "CSV",
            ResponseFormat::Ndjson => "NDJSON",
        }
    }

    /// Whether a body is read as it comes.
    pub(super) fn streams(&self) -> bool {
        matches!(self.kind, ResponseFormat::Csv | ResponseFormat::Ndjson)
    }

    /// What an answer of a content type is, where that cannot be what was asked for.
    pub(super) fn refuses(&self, content_type: &str) -> Option<&'static str> {
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        match self.kind {
            ResponseFormat::Text | ResponseFormat::Xml => None,
            _ if essence == "text/html" => Some("HTML"),
            ResponseFormat::Csv if essence == "application/json" || essence.ends_with("+json") => Some("JSON"),
            _ => None,
        }
    }

    /// A whole body as the readers of its format take it.
    pub(super) fn whole(&self, body: Bytes) -> Result<Bytes, Other> {
        match self.kind {
            ResponseFormat::Text => Ok(text_record(&body)),
            ResponseFormat::Json => match body.iter().find(|byte| !byte.is_ascii_whitespace()) {
                None | Some(b'{' | b'[') => Ok(body),
                Some(_) if body.trim_ascii() == b"null" => Ok(Bytes::new()),
                Some(b'<') => Err(Other { kind: "HTML", body }),
                Some(_) => Err(Other { kind: "something else", body }),
            },
            ResponseFormat::Xml => match body.iter().find(|byte| !byte.is_ascii_whitespace()) {
                None | Some(b'<') => Ok(body),
                Some(b'{' | b'[') => Err(Other { kind: "JSON", body }),
                Some(_) => Err(Other { kind: "something else", body }),
            },
            _ => Ok(body),
        }
    }

    fn json(&self, page: &Page) -> Json {
        Json { encoding: page.encoding, lines: self.kind == ResponseFormat::Ndjson, response_path: self.response_path.clone() }
    }

    fn csv(&self, page: &Page) -> Arc<Csv> {
        Arc::new(Csv { encoding: self.csv.encoding.or(page.encoding), ..self.csv.clone() })
    }

    fn xml(&self) -> Xml {
        let tag = self.response_path.as_ref().and_then(|path| path.rsplit('.').find(|step| !step.is_empty()));
        Xml { record_tag: tag.map(ToOwned::to_owned) }
    }

    /// Whether a page has no records, in a way that a file of the format would not have.
    fn is_empty(&self, page: &Page, first: bool) -> Result<bool> {
        if self.streams() {
            return self.expect_lines(page, first).map(|()| false);
        }
        if page.whole()?.iter().all(u8::is_ascii_whitespace) {
            return Ok(true);
        }
        match (self.kind, self.response_path.as_deref()) {
            (ResponseFormat::Json, Some(path)) => self.shape.lacks_path(page, path, first),
            (ResponseFormat::Json, None) => self.shape.lacks_list(page, self.json(page).has_list(&page.input)?, first),
            (ResponseFormat::Xml, path) => self.shape.expect_tree(page, path, first).map(|()| false),
            _ => Ok(false),
        }
    }

    /// Refuses a document where lines are expected.
    fn expect_lines(&self, page: &Page, first: bool) -> Result<()> {
        let is_csv = self.kind == ResponseFormat::Csv;
        // In front of the header anything may stand.
        if is_csv && self.csv.skip_rows > 0 && !self.csv(page).head(&page.input)?.names.is_empty() {
            return Ok(());
        }
        let encoding = if is_csv { self.csv(page).encoding } else { page.encoding };
        let mut stream = page.input.open(encoding, 0)?;
        let mut body = Vec::new();
        while !stream.fill(&mut body, BEGINNING)? && body.trim_ascii_start().is_empty() && body.len() < MOST_BLANKS {}
        let rest = |from: usize| body.trim_ascii_start()[from..].trim_ascii_start().first().copied();
        let kind = match rest(0) {
            Some(b'<') if rest(1).is_some_and(|next| next.is_ascii_alphabetic() || matches!(next, b'!' | b'?')) => "HTML",
            Some(b'{') if is_csv && matches!(rest(1), None | Some(b'"' | b'}')) => "JSON",
            Some(b'[') if is_csv && matches!(rest(1), None | Some(b'"' | b'{' | b'[' | b']')) => "JSON",
            _ => return Ok(()),
        };
        let said = failure::beginning(&body, |text| page.mask(text));
        Err(failure::not_of_format(page.name(), self.name(), kind, &said, first))
    }

    /// Refuses a page whose header is that of no other.
    fn expect_columns(&self, page: &Page, head: &Head, layout: &Layout) -> Result<()> {
        let is_known = |name: &String| layout.unused.contains(name) || layout.columns.iter().any(|column| column.name == *name);
        if !self.csv.has_header || head.names.is_empty() || layout.columns.is_empty() || head.names.iter().any(is_known) {
            return Ok(());
        }
        let said = failure::beginning(head.names.join(",").as_bytes(), |text| page.mask(text));
        Err(failure::not_of_format(page.name(), self.name(), "other columns", &said, false))
    }

    /// Finds out what the columns are.
    ///
    /// # Errors
    /// Data, where a page is not of the format.
    pub(super) fn infer(&self, pages: &[&Page], infer_rows: usize) -> Result<Members> {
        let mut inputs: Vec<Input> = Vec::new();
        for (index, page) in pages.iter().enumerate() {
            if !self.is_empty(page, index == 0)? {
                inputs.push(page.input.clone());
            }
        }
        let Some(first) = pages.first() else { return Ok(Members::default()) };
        let seen = match self.kind {
            ResponseFormat::Csv => {
                let csv = self.csv(first);
                let heads = inputs.iter().map(|input| csv.head(input)).collect::<Result<Vec<Head>>>()?;
                let files: Vec<(&Input, &Head)> = inputs.iter().zip(&heads).collect();
                csv.infer(&files, infer_rows)
            }
            ResponseFormat::Json | ResponseFormat::Ndjson | ResponseFormat::Text => self.json(first).infer(&inputs, infer_rows),
            ResponseFormat::Xml => self.xml().infer(&inputs, infer_rows),
        };
        // There may be more pages.
        Ok(seen?.seen_whole(false))
    }

    /// Cuts a page from a position on; none where it has no records.
    ///
    /// # Errors
    /// Data, where it is not of the format.
    pub(super) fn cutter(&self, page: &Page, layout: &Arc<Layout>, from: Position) -> Result<Option<Box<dyn Cutter>>> {
        if self.is_empty(page, from.file == 0)? {
            return Ok(None);
        }
        let cutter = match self.kind {
            ResponseFormat::Csv => {
                let csv = self.csv(page);
                let head = Arc::new(csv.head(&page.input)?);
                if from.file > 0 {
                    self.expect_columns(page, &head, layout)?;
                }
                page.settle();
                csv.cutter(&page.input, &head, layout, from)
            }
            ResponseFormat::Json | ResponseFormat::Ndjson | ResponseFormat::Text => {
                page.settle();
                self.json(page).cutter(&page.input, layout, from)
            }
            ResponseFormat::Xml => self.xml().cutter(&page.input, layout, from),
        };
        cutter.map(Some)
    }

    /// Counts the records of a page that is held whole.
    ///
    /// # Errors
    /// Data, where it is not of the format.
    pub(super) fn count(&self, page: &Page, index: u64) -> Result<u64> {
        let from = Position { file: index as usize, line: 1, ..Position::default() };
        let Some(mut cutter) = self.cutter(page, &self.nothing, from)? else { return Ok(0) };
        let mut rows = 0;
        while let Some(chunk) = cutter.cut(u64::MAX)? {
            rows = chunk.next().row;
        }
        Ok(rows)
    }
}

/// A text as a JSON record with the column `text`.
fn text_record(body: &[u8]) -> Bytes {
    if body.is_empty() {
        return Bytes::new();
    }
    let mut record = Vec::with_capacity(body.len() + 16);
    record.extend_from_slice(b"{\"text\":\"");
    for &byte in body {
        match byte {
            b'"' | b'\\' => record.extend_from_slice(&[b'\\', byte]),
            b'\n' => record.extend_from_slice(b"\\n"),
            // Bytes that are no text stay, so that the row is refused.
            0..0x20 => record.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            byte => record.push(byte),
        }
    }
    record.extend_from_slice(b"\"}");
    record.into()
}
