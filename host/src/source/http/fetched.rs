//! An answer whose body is as it was sent.

use std::sync::Arc;

use encoding_rs::Encoding;

use super::body::{Body, Head, Live, Page, to_utf8};
use super::failure;
use super::format::Format;
use super::pages::Ask;
use super::send::Caller;
use crate::error::{Error, Result};

/// An answer. To make a page of it may take a while, which is not for who fetches it.
pub(super) struct Fetched {
    /// What it was asked for by.
    pub(super) ask: Ask,
    /// Whether it is the first page.
    pub(super) is_first: bool,
    pub(super) head: Head,
    /// Its content type.
    pub(super) kind: String,
    pub(super) body: Sent,
}

/// A body as it was sent, unpacked.
pub(super) enum Sent {
    /// All of it.
    Whole(Vec<u8>),
    /// On its way.
    Live(Arc<Live>),
}

impl Fetched {
    /// Bytes that are there, without blanks at the end.
    pub(super) fn bytes(&self) -> usize {
        match &self.body {
            Sent::Whole(body) => body.trim_ascii_end().len(),
            Sent::Live(_) => 0,
        }
    }

    /// The page that was answered.
    ///
    /// # Errors
    /// Data, where it is not of its format.
    pub(super) fn page(self, caller: &Caller, format: &Format) -> Result<Page> {
        let Self { ask, is_first, head, kind, body } = self;
        let encoding = charset(&kind);
        let body = match body {
            Sent::Live(live) => return Ok(Page::new(ask, Body::Live(live), encoding, head, &caller.request)),
            Sent::Whole(body) => to_utf8(body, encoding).map_err(Error::given_up)?,
        };
        let body = format.whole(body).map_err(|other| {
            let said = failure::beginning(&other.body, |text| caller.mask(text));
            failure::not_of_format(&caller.request.shown(&head.asked), format.name(), other.kind, &said, is_first).given_up()
        })?;
        Ok(Page::new(ask, Body::Whole(body), None, head, &caller.request))
    }
}

/// The encoding that a content type names.
fn charset(kind: &str) -> Option<&'static Encoding> {
    let (_, charset) = kind.split_once("charset=")?;
    Encoding::for_label(charset.split(';').next()?.trim().trim_matches('"').as_bytes())
}
