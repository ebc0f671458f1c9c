//! What pages look like, so that an error that a server tells of with a 200 is no page without records.

use std::collections::BTreeSet;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use quick_xml::Reader;
use quick_xml::events::Event;

use super::body::Page;
use super::{document, failure, wrong};
use crate::error::{Error, Result};

/// Names of elements that tell of an error.
const ERRORS: [&str; 5] = ["error", "errors", "errorresponse", "exception", "fault"];

/// What the pages of a source have had so far.
#[derive(Default)]
pub(super) struct Shape {
    /// Whether one had a list of records.
    lists: AtomicBool,
    /// The names beside the records of the first document that had some.
    members: OnceLock<BTreeSet<String>>,
    /// The root element of the first document.
    root: OnceLock<String>,
    /// Whether it was told that a page counts as empty.
    told: AtomicBool,
}

impl Shape {
    /// Whether a JSON document has no records, where a list is looked for; `list` tells whether it has one.
    ///
    /// # Errors
    /// Outside, where others have a list and it has something else.
    pub(super) fn lacks_list(&self, page: &Page, list: Option<bool>, first: bool) -> Result<bool> {
        if list == Some(true) {
            self.lists.store(true, Ordering::Relaxed);
            return Ok(false);
        }
        // Where the other pages have a list, what has none is no record.
        match self.lists.load(Ordering::Relaxed) && !first {
            true if document::has_members(page.whole()?) => Err(no_list(page, first)),
            nothing => Ok(nothing),
        }
    }

    /// Whether a JSON document has no records at a path.
    ///
    /// # Errors
    /// Outside, where it tells of an error in their place.
    pub(super) fn lacks_path(&self, page: &Page, path: &str, first: bool) -> Result<bool> {
        let whole = page.whole()?;
        match document::at(whole, path).map_err(|error| page.broken(error))? {
            document::At::Something => {
                self.members.get_or_init(|| document::members(whole));
                Ok(false)
            }
            document::At::Null if document::tells_of_an_error(whole) => Err(no_list(page, first)),
            document::At::Null => Ok(true),
            // Of the first page this is a mistake in the path; of a later one it is how some servers say that there is no more.
            document::At::Nothing if first => Ok(false),
            document::At::Nothing if !document::may_be_empty(whole, path, self.members.get()) => Err(no_list(page, first)),
            document::At::Nothing => {
                if document::has_members(whole) && !self.told.swap(true, Ordering::Relaxed) {
                    tracing::warn!(page = %page.name(), path, "a page has nothing at `response_path`, so it counts as empty");
                }
                Ok(true)
            }
        }
    }

    /// Refuses an XML document that is none of the source's.
    ///
    /// # Errors
    /// Data, where the first page has no such records; outside, where a later one has another root element, or any tells of an error.
    pub(super) fn expect_tree(&self, page: &Page, path: Option<&str>, first: bool) -> Result<()> {
        let steps: Vec<&str> = path.unwrap_or_default().split('.').filter(|step| !step.is_empty() && *step != "$").collect();
        let Some(tree) = Tree::of(page.whole()?, &steps) else { return Ok(()) };
        let is_other = !first && self.root.get().is_some_and(|root| *root != tree.root);
        if is_other || tree.tells_of_an_error {
            return Err(no_list(page, first));
        }
        if first && steps.len() > 1 && !tree.has_step {
            let root = &tree.root;
            return Err(wrong(format!(
                "`response_path` is `{}`, but `{}` has no such element; its root is `{root}`",
                steps.join("."),
                page.name()
            )));
        }
        self.root.get_or_init(|| tree.root);
        Ok(())
    }
}

/// What is there in place of records.
fn no_list(page: &Page, first: bool) -> Error {
    let said = page.whole().map(|whole| failure::beginning(whole, |text| page.mask(text))).unwrap_or_default();
    if first {
        return Error::outside(format!("`{}` tells of an error in place of records: {said}", page.name()))
            .hint("where these are the records, `response_path` leads to them")
            .given_up();
    }
    Error::outside(format!("`{}` has no list of records, as the pages before it have: {said}", page.name()))
        .hint("the server may tell of an error so; with checkpoints, `--resume` asks for this page again")
        .given_up()
}

/// What is known of an XML document, looked through as far as its first record.
struct Tree {
    root: String,
    /// Whether an element is of the path.
    has_step: bool,
    tells_of_an_error: bool,
}

impl Tree {
    /// Looks through a document; none where it has no element. What is wrong with it the reader of its records tells.
    fn of(document: &[u8], steps: &[&str]) -> Option<Self> {
        let mut reader = Reader::from_reader(document);
        let mut tree: Option<Self> = None;
        while let Ok(event) = reader.read_event() {
            let (Event::Start(ref element) | Event::Empty(ref element)) = event else {
                if matches!(event, Event::Eof) {
                    break;
                }
                continue;
            };
            let name = element.name().into_inner().to_owned();
            let local = name.rsplit(':').next().unwrap_or_default().to_ascii_lowercase();
            let is_root = tree.is_none();
            let tree = tree.get_or_insert(Self { root: name.clone(), has_step: false, tells_of_an_error: false });
            let is_step = steps.contains(&name.as_str());
            tree.has_step |= is_step;
            // Unless it is what was asked for.
            tree.tells_of_an_error |= ERRORS.contains(&local.as_str()) && !is_step && (is_root || !steps.is_empty());
            let is_record = if steps.is_empty() { !is_root } else { steps.last() == Some(&name.as_str()) };
            if is_record {
                // With records, an element in front of them is a part of what is told.
                tree.tells_of_an_error &= steps.is_empty();
                break;
            }
        }
        tree
    }
}
