//! The format of pages: read as files of it are.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

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
use super::{document, failure};
use crate::batch::Position;
use crate::config::extract::{CsvOptions, FileSource, Reading};
use crate::config::http::{HttpSource, ResponseFormat};
use crate::error::{Error, Result};

/// The format of pages.
pub(super) struct Format {
    kind: ResponseFormat,
    response_path: Option<String>,
    csv: Csv,
    /// What rows are read into where they are counted only.
    nothing: Arc<Layout>,
    /// Whether a page had a list of records.
    lists: AtomicBool,
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
            lists: AtomicBool::new(false),
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

    /// Whether a page for people may be what was asked for.
    pub(super) fn takes_html(&self) -> bool {
        matches!(self.kind, ResponseFormat::Text | ResponseFormat::Xml)
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
            return Ok(false);
        }
        let whole = page.whole()?;
        if whole.iter().all(u8::is_ascii_whitespace) {
            return Ok(true);
        }
        if self.kind != ResponseFormat::Json {
            return Ok(false);
        }
        let Some(path) = &self.response_path else {
            if self.json(page).has_list(&page.input)? == Some(true) {
                self.lists.store(true, Ordering::Relaxed);
                return Ok(false);
            }
            // Where the other pages have a list, what has none is no record.
            return match self.lists.load(Ordering::Relaxed) && !first {
                true if document::has_members(whole) => Err(no_list(page, whole)),
                nothing => Ok(nothing),
            };
        };
        Ok(match document::at(whole, path).map_err(|error| page.broken(error))? {
            document::At::Null => true,
            document::At::Something => false,
            // Of the first page this is a mistake in the path; of a later one it is how some servers say that there is no more.
            document::At::Nothing => {
                if !first && document::tells_of_an_error(whole) {
                    return Err(no_list(page, whole));
                }
                if !first {
                    tracing::warn!(page = %page.name(), path, "a page has nothing at `response_path`, so it counts as empty");
                }
                !first
            }
        })
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

/// A page is something else than those before it.
fn no_list(page: &Page, body: &[u8]) -> Error {
    let said = failure::beginning(body, |text| page.mask(text));
    Error::outside(format!("`{}` has no list of records, as the pages before it have: {said}", page.name()))
        .hint("the server may tell of an error so; with checkpoints, `--resume` asks for this page again")
        .given_up()
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
