//! A page: its body, held whole or still on its way, and what its head said.

use std::fmt;
use std::io::{self, Cursor, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use encoding_rs::{Encoding, UTF_8};
use flate2::write::MultiGzDecoder;
use http::HeaderMap;
use http::header::CONTENT_ENCODING;
use reqwest::{Response, StatusCode, Url};
use tokio::sync::watch;

use super::super::input::{Content, Input};
use super::super::place::Place;
use super::failure;
use super::pace::Hold;
use super::pages::Ask;
use super::request::Request;
use super::{SAMPLE_BYTES, wrong};
use crate::error::{Error, Result};
use crate::remote;

/// A page that was answered.
pub(super) struct Page {
    /// What it was asked for by.
    pub(super) ask: Ask,
    /// Its body as an input of its format.
    pub(super) input: Input,
    /// The encoding that its head names, where its body is not UTF-8 already.
    pub(super) encoding: Option<&'static Encoding>,
    /// Where its `Link` header says that the next page is.
    pub(super) link: Option<String>,
    body: Body,
    /// Where it came from, after redirects.
    url: Url,
    request: Arc<Request>,
}

/// A body.
#[derive(Clone)]
pub(super) enum Body {
    /// All of it, in UTF-8.
    Whole(Bytes),
    /// On its way.
    Live(Arc<Live>),
}

impl Page {
    /// Puts a page together.
    pub(super) fn new(ask: Ask, body: Body, encoding: Option<&'static Encoding>, head: Head, request: &Arc<Request>) -> Self {
        let Head { asked, url, link } = head;
        let content: Arc<dyn Content> = match &body {
            Body::Whole(bytes) => Arc::new(Held(bytes.clone())),
            Body::Live(live) => Arc::new(Handle(live.clone())),
        };
        let input = Input { name: request.shown(&asked).into(), place: Place::Answer(content), layers: Vec::new(), bytes: 0 };
        Self { ask, input, encoding, link, body, url, request: request.clone() }
    }

    /// Its URL, without keys.
    pub(super) fn name(&self) -> &Arc<str> {
        &self.input.name
    }

    /// Whether it is still on its way.
    pub(super) fn streams(&self) -> bool {
        matches!(self.body, Body::Live(_))
    }

    /// Bytes that are held.
    pub(super) fn bytes(&self) -> usize {
        match &self.body {
            Body::Whole(bytes) => bytes.len(),
            Body::Live(_) => 0,
        }
    }

    /// The whole body.
    ///
    /// # Errors
    /// Bug, where it is still on its way.
    pub(super) fn whole(&self) -> Result<&[u8]> {
        match &self.body {
            Body::Whole(bytes) => Ok(bytes),
            Body::Live(_) => Err(Error::bug("a body that is read as it comes was asked for as a whole")),
        }
    }

    /// No more of what was read is kept: the next reader takes all of it.
    pub(super) fn settle(&self) {
        if let Body::Live(live) = &self.body {
            live.state().keeps = false;
        }
    }

    /// A text without what must not be printed.
    pub(super) fn mask(&self, text: &str) -> String {
        self.request.mask(text)
    }

    /// The URL of the next page that this one names, as a position keeps it.
    pub(super) fn next_url(&self, named: &str) -> Result<String> {
        self.request.next_url(&self.url, named, self.name())
    }

    /// The body is no document.
    pub(super) fn broken(&self, error: serde_json::Error) -> Error {
        wrong(format!("`{}` is not a JSON document", self.name())).because(error)
    }
}

/// What the head of an answer said.
pub(super) struct Head {
    /// The URL that was asked for.
    pub(super) asked: Url,
    /// The URL that answered.
    pub(super) url: Url,
    /// The next page.
    pub(super) link: Option<String>,
}

/// A body in memory.
struct Held(Bytes);

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Held({})", self.0.len())
    }
}

impl Content for Held {
    fn open(&self) -> Result<Box<dyn Read + Send>> {
        Ok(Box::new(Cursor::new(self.0.clone())))
    }
}

/// An answer whose body is unpacked as it comes. The client unpacks all but gzip, of which it would leave out all members but the first.
pub(super) struct Answer {
    response: Response,
    gzip: Option<MultiGzDecoder<Vec<u8>>>,
    /// Bytes that came.
    bytes: u64,
}

impl Answer {
    /// Takes a response whose head is read.
    pub(super) fn of(response: Response) -> Self {
        let packing = response.headers().get(CONTENT_ENCODING).and_then(|packing| packing.to_str().ok()).unwrap_or_default();
        let gzip = ["gzip", "x-gzip"].iter().any(|name| packing.eq_ignore_ascii_case(name)).then(|| MultiGzDecoder::new(Vec::new()));
        Self { response, gzip, bytes: 0 }
    }

    /// Its status.
    pub(super) fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// Its head.
    pub(super) fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// The next piece of the body, unpacked; none at its end. `name` is what it is called where it breaks off.
    pub(super) async fn chunk(&mut self, name: &str) -> Result<Option<Bytes>> {
        loop {
            let sent = self.response.chunk().await.map_err(|error| failure::broke_off(name, self.bytes, &error))?;
            self.bytes += sent.as_ref().map_or(0, |piece| piece.len() as u64);
            let Some(decoder) = &mut self.gzip else { return Ok(sent) };
            let broken = |error| Error::outside(format!("the answer of `{name}` is packed with gzip, and damaged")).because(error);
            match &sent {
                Some(piece) => decoder.write_all(piece).map_err(broken)?,
                // A body that is not there, as of a 204, has not even a head.
                None if self.bytes > 0 => decoder.try_finish().map_err(broken)?,
                None => {}
            }
            let unpacked = std::mem::take(decoder.get_mut());
            if !unpacked.is_empty() {
                return Ok(Some(unpacked.into()));
            }
            if sent.is_none() {
                return Ok(None);
            }
        }
    }
}

/// Collects a body, up to a limit, and makes it UTF-8.
pub(super) async fn collect(response: &mut Answer, limit: u64, name: &str) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        match response.chunk(name).await? {
            Some(piece) => {
                if body.len() as u64 + piece.len() as u64 > limit {
                    let message = format!("the answer of `{name}` has more than {} MiB, unpacked, and must be held whole", limit >> 20);
                    return Err(wrong(message)
                        .hint("ask for smaller pages, let the server answer in NDJSON or CSV, which are read as they come, or raise `max_response_mb`"));
                }
                body.extend_from_slice(&piece);
            }
            None => return Ok(body),
        }
    }
}

/// A body in UTF-8, without a byte order mark. A sequence that means nothing becomes the byte 0xFF, so that its row is refused.
pub(super) fn to_utf8(body: Vec<u8>, encoding: Option<&'static Encoding>) -> Result<Bytes> {
    let marked = matches!(body[..], [0xEF, 0xBB, 0xBF, ..] | [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..]);
    if !marked && encoding.is_none_or(|encoding| encoding == UTF_8) {
        return Ok(body.into());
    }
    let held: Arc<dyn Content> = Arc::new(Held(body.into()));
    let input = Input { name: "a body".into(), place: Place::Answer(held), layers: Vec::new(), bytes: 0 };
    let mut text = Vec::new();
    let mut stream = input.open(encoding, 0)?;
    while !stream.fill(&mut text, 1 << 20)? {}
    Ok(text.into())
}

/// A body on its way. What is read before it is settled is kept, so that it can be opened once more.
pub(super) struct Live {
    state: Mutex<State>,
    name: Arc<str>,
}

struct State {
    /// What is there from `start` on.
    kept: Vec<u8>,
    start: u64,
    /// Whether what was read stays.
    keeps: bool,
    response: Option<Answer>,
    hold: Hold,
}

impl Live {
    /// Takes a response whose head is read.
    pub(super) fn new(response: Answer, name: &str, stop: &watch::Sender<bool>) -> Arc<Self> {
        let state = State { kept: Vec::new(), start: 0, keeps: true, response: Some(response), hold: Hold::of(stop) };
        Arc::new(Self { state: Mutex::new(state), name: name.into() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Live({})", self.name)
    }
}

/// The handle by which a body on its way is opened.
#[derive(Debug)]
struct Handle(Arc<Live>);

impl Content for Handle {
    fn open(&self) -> Result<Box<dyn Read + Send>> {
        Ok(Box::new(LiveReader { live: self.0.clone(), at: 0 }))
    }
}

/// Reads a body as it comes.
struct LiveReader {
    live: Arc<Live>,
    at: u64,
}

impl Read for LiveReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let state = &mut *self.live.state();
        if self.at < state.start {
            return Err(io::Error::other(Error::bug("a body that is read as it comes was read twice")));
        }
        let mut from = (self.at - state.start) as usize;
        if !state.keeps && from > 0 && from == state.kept.len() {
            (state.start, from) = (self.at, 0);
            state.kept.clear();
        }
        while from == state.kept.len() {
            // A sample ends here.
            if state.keeps && state.kept.len() >= SAMPLE_BYTES {
                return Ok(0);
            }
            let Some(response) = &mut state.response else { return Ok(0) };
            let piece = remote::wait(async {
                tokio::select! {
                    biased;
                    () = state.hold.over() => Err(Error::outside("the run is over, so the rest of the page is not read").given_up()),
                    piece = response.chunk(&self.live.name) => piece,
                }
            });
            match piece {
                Ok(Some(piece)) => state.kept.extend_from_slice(&piece),
                Ok(None) => state.response = None,
                Err(error) => {
                    state.response = None;
                    return Err(io::Error::other(error));
                }
            }
        }
        let length = out.len().min(state.kept.len() - from);
        out[..length].copy_from_slice(&state.kept[from..from + length]);
        self.at += length as u64;
        Ok(length)
    }
}
