//! Which page comes next, and whether one does.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, HashSet};
use std::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::body::Page;
use super::document;
use crate::batch::Position;
use crate::config::http::HttpSource;
use crate::config::pagination::{Increment, Pagination, PaginationStrategy, StopCondition, StopKind};
use crate::error::{Context, Error, Result};

/// What a page is asked for by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Ask {
    /// Nothing but the request itself.
    First,
    /// Its number.
    Page(u64),
    /// The number of records before it.
    Offset(u64),
    /// A cursor.
    Cursor(String),
    /// Its URL, without keys.
    Url(String),
    /// There is none.
    End,
}

/// A page that is to be asked for, and what is known of those before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Turn {
    /// What it is asked for by.
    pub(super) ask: Ask,
    /// Pages before it.
    #[serde(skip)]
    pub(super) pages: u64,
    /// Records in them.
    #[serde(skip)]
    pub(super) rows: u64,
    /// Records of the first page, once it was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    first_page: Option<u64>,
}

impl Turn {
    /// The first page.
    pub(super) fn first(pages: &Pages) -> Self {
        let ask = match pages.strategy {
            Some(PaginationStrategy::Page) => Ask::Page(pages.pagination.page.start),
            Some(PaginationStrategy::Offset) => Ask::Offset(pages.pagination.offset.start),
            _ => Ask::First,
        };
        Self { ask, pages: 0, rows: 0, first_page: None }
    }

    /// The page that a position is in.
    ///
    /// # Errors
    /// Config, where the position is not of this source.
    pub(super) fn read(position: &Position, pages: &Pages) -> Result<Self> {
        let Some(cursor) = &position.cursor else { return Ok(Self::first(pages)) };
        let turn: Self = serde_json::from_str(cursor).map_err(|error| {
            Error::config(format!("`{cursor}` is no place in an HTTP source"))
                .because(error)
                .hint("the checkpoint is of another version: start again with `--restart`")
        })?;
        Ok(Self { pages: position.file as u64, rows: position.earlier, ..turn })
    }

    /// The turn as a position keeps it.
    pub(super) fn spell(&self) -> Result<String> {
        serde_json::to_string(self).bug(|| "spelling a place".into())
    }

    /// No page comes behind this one.
    pub(super) fn end(&self) -> Self {
        Self { ask: Ask::End, ..self.clone() }
    }

    /// Whether no page is to be asked for.
    pub(super) fn is_end(&self) -> bool {
        self.ask == Ask::End
    }
}

/// What was asked for already, as digests.
pub(super) type Seen = HashSet<u64>;

/// How further pages are found.
pub(super) struct Pages {
    pub(super) pagination: Pagination,
    /// Absent where there is one page.
    strategy: Option<PaginationStrategy>,
    stops: Vec<StopCondition>,
    /// Records that a page was asked to have.
    asked: Option<u64>,
    /// From one offset to the next.
    step: u64,
}

impl Pages {
    /// Works out how far it is from page to page.
    ///
    /// # Errors
    /// Config, where the step between offsets is not known.
    pub(super) fn new(source: &HttpSource, params: &BTreeMap<String, Value>) -> Result<Self> {
        let pagination = source.pagination.clone();
        let number = |name: &str| {
            let value = params.get(name).or_else(|| source.params.get(name))?;
            value.as_u64().or_else(|| value.as_str()?.parse().ok())
        };
        let size = pagination.page_size.map(|size| size.get());
        let asked = size.or_else(|| number(&pagination.limit_param));
        let step = match &pagination.offset.increment_by {
            Increment::Records(records) => Some(*records),
            Increment::PageSize => asked,
            Increment::Param(name) if *name == pagination.limit_param => asked,
            Increment::Param(name) => number(name),
        };
        let strategy = pagination.enabled.then_some(pagination.strategy);
        if strategy == Some(PaginationStrategy::Offset) && step.is_none_or(|step| step == 0) {
            return Err(Error::config("how far the next offset is cannot be told: `pagination.offset.increment_by` is no number above 0")
                .hint("write `page_size: 100` or `offset: {increment_by: 100}`"));
        }
        let asked = asked.or(if strategy == Some(PaginationStrategy::Offset) { step } else { None });
        Ok(Self {
            stops: if pagination.enabled { pagination.stops() } else { Vec::new() },
            strategy,
            asked,
            step: step.unwrap_or(0),
            pagination,
        })
    }

    /// Nothing was asked for yet.
    pub(super) fn seen(&self) -> Seen {
        Seen::new()
    }

    /// Whether what a page holds besides its records says which one is next.
    fn names_next(&self) -> bool {
        matches!(self.strategy, Some(PaginationStrategy::Cursor | PaginationStrategy::NextUrl | PaginationStrategy::LinkHeader))
    }

    /// What comes behind a number or an offset.
    fn counted(&self, ask: &Ask) -> Option<Ask> {
        match (self.strategy?, ask) {
            (PaginationStrategy::Page, Ask::Page(number)) => number.checked_add(self.pagination.page.increment).map(Ask::Page),
            (PaginationStrategy::Offset, Ask::Offset(offset)) => offset.checked_add(self.step).map(Ask::Offset),
            _ => None,
        }
    }

    /// What to ask for behind a page before it is known what that one holds; `done` of its records are read, and so many are left to read. None where
    /// the page itself says which is next or whether one is, or where one that is as full as those before it is the last.
    pub(super) fn guess(&self, turn: &Turn, done: u64, left: u64) -> Option<Turn> {
        let ask = self.counted(&turn.ask)?;
        let rows = turn.first_page.or(self.asked)?;
        let behind = Turn { ask, pages: turn.pages + 1, rows: turn.rows + rows, first_page: turn.first_page };
        let ends = |condition: &StopCondition| match condition.kind {
            StopKind::EmptyResponse | StopKind::FewerRecords => false,
            StopKind::MaxPages => behind.pages >= condition.limit(),
            StopKind::MaxRecords => behind.rows >= condition.limit(),
            StopKind::Custom => true,
        };
        (left > rows.saturating_sub(done) && !self.stops.iter().any(ends)).then_some(behind)
    }

    /// What to ask for behind a page that had so many records; none where it was the last.
    ///
    /// # Errors
    /// Outside, where the page names one as the next that was asked for before.
    pub(super) fn after(&self, turn: &Turn, page: &Page, rows: u64, seen: &mut Seen) -> Result<Option<Turn>> {
        let Some(strategy) = self.strategy else { return Ok(None) };
        seen.insert(digest(&turn.ask));
        let next = match strategy {
            PaginationStrategy::Page | PaginationStrategy::Offset => self.counted(&turn.ask),
            PaginationStrategy::Cursor => self.named(page, &self.pagination.cursor.response_path)?.map(Ask::Cursor),
            PaginationStrategy::NextUrl => {
                let named = self.named(page, &self.pagination.next_url.response_path)?;
                named.map(|url| page.next_url(&url)).transpose()?.map(Ask::Url)
            }
            PaginationStrategy::LinkHeader => page.link.as_deref().map(|url| page.next_url(url)).transpose()?.map(Ask::Url),
        };
        let first_page = turn.first_page.unwrap_or(rows);
        let so_far = Turn { ask: Ask::End, pages: turn.pages + 1, rows: turn.rows + rows, first_page: Some(first_page) };
        for condition in &self.stops {
            if self.holds(condition, &so_far, rows, page)? {
                if condition.kind == StopKind::FewerRecords && so_far.pages == 1 && rows > 0 && rows.is_multiple_of(10) && next.is_some() {
                    // It may be all there is. To ask on would be worse: a server that knows no pages gives the same records again and again.
                    let asked = self.asked.unwrap_or(0);
                    tracing::warn!(
                        page = %page.name(),
                        rows,
                        asked,
                        "the first page has fewer records than were asked for, so it counts as the last; where the server gives no more a page than so many, set `page_size` to that"
                    );
                }
                if condition.kind == StopKind::FewerRecords && rows > 0 && self.names_next() && next.is_some() {
                    tracing::warn!(page = %page.name(), rows, "`fewer_records` ends the pages, though the response names a next one");
                }
                return Ok(None);
            }
        }
        let Some(ask) = next else { return Ok(None) };
        if self.names_next() && !seen.insert(digest(&ask)) {
            let what = match &ask {
                Ask::Cursor(cursor) => format!("the cursor `{}`", page.mask(cursor)),
                Ask::Url(url) => format!("`{}`", page.mask(url)),
                _ => "a page".to_owned(),
            };
            return Err(Error::outside(format!("`{}` names {what} as the next one, which was asked for before", page.name()))
                .hint("the server would be asked for the same pages for ever; `stop_conditions` can end them before")
                .given_up());
        }
        Ok(Some(Turn { ask, ..so_far }))
    }

    /// The text or number at a path; none where it is absent, null or empty.
    fn named(&self, page: &Page, path: &str) -> Result<Option<String>> {
        let value = document::find(page.whole()?, path).map_err(|error| page.broken(error))?;
        match value {
            None | Some(Value::Null | Value::Bool(false)) => Ok(None),
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            // As the server spells it: a float would drop digits.
            Some(Value::Number(_)) => document::spelled(page.whole()?, path).map_err(|error| page.broken(error)),
            Some(other) => {
                let kind = if other.is_object() {
                    "an object"
                } else if other.is_array() {
                    "a list"
                } else {
                    "true"
                };
                Err(Error::data(format!("`{}` has {kind} at `{path}`, where the next page should be named", page.name()))
                    .hint("`response_path` of the pagination leads to a text or a number"))
            }
        }
    }

    fn holds(&self, condition: &StopCondition, so_far: &Turn, rows: u64, page: &Page) -> Result<bool> {
        Ok(match condition.kind {
            StopKind::EmptyResponse => rows == 0,
            StopKind::FewerRecords => rows == 0 || rows < self.asked.or(so_far.first_page).unwrap_or(0),
            StopKind::MaxPages => so_far.pages >= condition.limit(),
            StopKind::MaxRecords => so_far.rows >= condition.limit(),
            StopKind::Custom => {
                let path = condition.response_path.as_deref().unwrap_or_default();
                let found = document::find(page.whole()?, path).map_err(|error| page.broken(error))?.unwrap_or(Value::Null);
                same(&found, condition.value.as_ref().unwrap_or(&Value::Null))
            }
        })
    }
}

fn digest(ask: &Ask) -> u64 {
    let mut hasher = DefaultHasher::new();
    match ask {
        Ask::First | Ask::End => 0_u8.hash(&mut hasher),
        Ask::Page(number) | Ask::Offset(number) => number.hash(&mut hasher),
        Ask::Cursor(text) | Ask::Url(text) => text.hash(&mut hasher),
    }
    hasher.finish()
}

/// Whether two values are the same: 1 is 1.0.
fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => left == right || left.as_f64() == right.as_f64(),
        _ => left == right,
    }
}
