//! An HTTP interface as a source: page after page, each read as a file of its format is.
//!
//! While a page is cut into rows and workers parse them, the next one is under way; where its number or offset says what it is asked for by, before it is
//! known whether there is one. JSON, XML and text are held whole, up to a limit; CSV and NDJSON are read as they come. A position names what to ask for next, so that a run that goes on asks for no page twice.

mod ahead;
mod auth;
mod body;
mod chunks;
mod document;
mod failure;
mod fetched;
mod format;
mod pace;
mod pages;
mod request;
mod send;
mod shape;
#[cfg(test)]
pub(super) mod tests;

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use arrow_schema::SchemaRef;
use tracing::debug;

use self::body::Page;
use self::chunks::PageChunks;
use self::format::Format;
use self::pages::{Pages, Turn};
use self::send::Caller;
pub(super) use self::send::{Download, download};
use super::layout::Layout;
use super::target::Members;
use super::{Chunks, ReadOptions, Source, Split, Surroundings, View};
use crate::batch::Position;
use crate::config::extract::{FileSource, Reading};
use crate::config::http::HttpSource;
use crate::error::{Context, Error, Result};

/// Bytes of pages that types are inferred from, which are kept until they are read.
const SAMPLE_BYTES: usize = 16 << 20;

/// An HTTP interface.
pub(super) struct Http {
    shared: Arc<Shared>,
    /// Pages that types were inferred from, which the first read need not ask for again.
    sampled: Mutex<VecDeque<Page>>,
    learned: String,
    limit: Option<u64>,
}

/// What every read needs.
struct Shared {
    caller: Caller,
    pages: Pages,
    format: Format,
    layout: Arc<Layout>,
}

impl Http {
    /// Finds out of what columns the records are, from the first pages; where it is known already, nothing is asked.
    ///
    /// # Errors
    /// Config, where a parameter is missing or the server refuses what was asked for; outside, where it does not answer; data, where it answers
    /// something else than its format.
    pub(super) fn open(source: &HttpSource, reading: &Reading, options: &ReadOptions, surroundings: &Surroundings<'_>) -> Result<Self> {
        let caller = Caller::new(source, surroundings)?;
        let pages = Pages::new(source, surroundings.params)?;
        let format = Format::of(source)?;
        let limit = [options.limit, reading.max_records].into_iter().flatten().min();
        let (seen, sampled) = match &options.learned {
            Some(learned) => {
                (serde_json::from_str::<Members>(learned).bug(|| "reading what an earlier process has learned".into())?, VecDeque::new())
            }
            None => {
                let rows = (reading.infer_rows.get() as u64).min(limit.unwrap_or(u64::MAX));
                caller.watching(surroundings.stop, || sample(&caller, &pages, &format, reading.infer_rows.get(), rows))?
            }
        };
        let learned = serde_json::to_string(&seen).bug(|| "keeping what was learned".into())?;
        let layout = Arc::new(Layout::new(seen, &FileSource::of(caller.title()), reading, options)?);
        debug!(pages = sampled.len(), columns = layout.columns.len(), "source opened");
        let shared = Arc::new(Shared { caller, pages, format, layout });
        Ok(Self { shared, sampled: Mutex::new(sampled), learned, limit })
    }
}

/// Asks for pages until there are so many rows, and finds out what their columns are.
fn sample(caller: &Caller, pages: &Pages, format: &Format, infer_rows: usize, rows: u64) -> Result<(Members, VecDeque<Page>)> {
    let mut sampled = VecDeque::new();
    let mut turn = Turn::first(pages);
    let mut seen = pages.seen();
    let mut bytes = 0;
    loop {
        let page = caller.page(&turn, pages, format)?;
        bytes += page.bytes();
        let streams = page.streams();
        let count = if streams { 0 } else { format.count(&page, turn.pages)? };
        // What is wrong with the way to the next page is told when it is gone.
        let next = pages.after(&turn, &page, count, &mut seen).ok().flatten();
        sampled.push_back(page);
        match next {
            Some(next) if !streams && next.rows < rows && bytes < SAMPLE_BYTES => turn = next,
            _ => break,
        }
    }
    let mut attempt = 1;
    loop {
        match format.infer(&sampled.iter().collect::<Vec<_>>(), infer_rows) {
            // What is read as it comes may break off while it is looked at.
            Err(error) if caller.helps_again(&error, attempt) => {
                tracing::warn!(attempt, error = %error.one_line(), "the page broke off, asking again");
                attempt += 1;
                sampled = VecDeque::from([caller.page(&Turn::first(pages), pages, format)?]);
            }
            seen => return Ok((seen?, sampled)),
        }
    }
}

impl Source for Http {
    fn schema(&self) -> SchemaRef {
        self.shared.layout.schema.clone()
    }

    fn splits(&self, _: NonZeroUsize) -> Result<Vec<Split>> {
        // What comes next is known once a page is there.
        Ok(vec![Split { index: 0, files: vec![self.shared.caller.title()] }])
    }

    fn view(&self, as_text: &[String], converted: &[String]) -> View {
        View(Arc::new(self.shared.layout.asked_for(as_text, converted)))
    }

    fn learned(&self) -> Option<String> {
        Some(self.learned.clone())
    }

    fn read(&self, _: &Split, from: Option<&Position>) -> Result<Chunks> {
        let turn = match from {
            None => Turn::first(&self.shared.pages),
            Some(from) => Turn::read(from, &self.shared.pages)?,
        };
        let position = match from {
            Some(from) => from.clone(),
            None => Position { line: 1, cursor: Some(turn.spell()?), ..Position::default() },
        };
        let sampled = match from {
            None => std::mem::take(&mut *self.sampled.lock().unwrap_or_else(PoisonError::into_inner)),
            Some(_) => VecDeque::new(),
        };
        // A limit counts from the start of the source: a read that goes on takes off what came before.
        let left = self.limit.map_or(u64::MAX, |limit| limit.saturating_sub(position.earlier + position.row));
        Ok(Box::new(PageChunks::new(self.shared.clone(), sampled, turn, position, left)))
    }

    fn stop(&self) {
        self.shared.caller.stop.send_replace(true);
    }
}

/// An error about a page that nothing can be done about by asking again.
fn wrong(message: impl Into<String>) -> Error {
    Error::data(message)
}
