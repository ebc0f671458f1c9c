//! `pagination` of `type: http`, typed.

use std::fmt;
use std::num::NonZeroU64;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};
use serde_json::Value;

use super::http::seconds;

/// How further pages are asked for.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Pagination {
    /// Whether they are. Default: false.
    pub enabled: bool,
    /// How. Default: `page`.
    pub strategy: PaginationStrategy,
    /// With `strategy: page`.
    pub page: PageNumbers,
    /// With `strategy: offset`.
    pub offset: Offsets,
    /// With `strategy: cursor`; a cursor that is absent, null or empty ends the pages.
    pub cursor: Cursor,
    /// With `strategy: next_url`; a URL that is absent, null or empty ends the pages. It must be on the same host.
    pub next_url: NextUrl,
    /// Parameter that says how many records a page has. Default: `limit`.
    pub limit_param: String,
    /// Records a page, sent as `limit_param`. Default: not sent.
    pub page_size: Option<NonZeroU64>,
    /// When there are no more pages; the first that holds. Default: `fewer_records` with `page` and `offset`; the others end where the response names
    /// no next page. There is no limit of pages.
    pub stop_conditions: Option<Vec<StopCondition>>,
    /// Seconds from one page to the next. Default: 0.1. With 0 and pages by number or offset, one page behind the last may be asked for, whose answer is
    /// not looked at.
    #[serde(deserialize_with = "seconds")]
    #[schemars(with = "f64")]
    pub page_delay: Duration,
}

impl Pagination {
    /// When there are no more pages.
    pub fn stops(&self) -> Vec<StopCondition> {
        let fewer = || vec![StopCondition { kind: StopKind::FewerRecords, value: None, response_path: None }];
        match (&self.stop_conditions, self.strategy) {
            (Some(conditions), _) => conditions.clone(),
            (None, PaginationStrategy::Page | PaginationStrategy::Offset) => fewer(),
            (None, _) => Vec::new(),
        }
    }
}

impl Default for Pagination {
    fn default() -> Self {
        Self {
            enabled: false,
            strategy: PaginationStrategy::default(),
            page: PageNumbers::default(),
            offset: Offsets::default(),
            cursor: Cursor::default(),
            next_url: NextUrl::default(),
            limit_param: "limit".into(),
            page_size: None,
            stop_conditions: None,
            page_delay: Duration::from_millis(100),
        }
    }
}

/// How the next page is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PaginationStrategy {
    /// By its number.
    #[default]
    Page,
    /// By the number of records before it.
    Offset,
    /// By a cursor that the response holds.
    Cursor,
    /// By a URL that the response holds.
    NextUrl,
    /// By the response's `Link` header, `rel="next"` (RFC 8288).
    #[serde(alias = "link")]
    LinkHeader,
}

/// Pages by number.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PageNumbers {
    /// Parameter with the number. Default: `page`.
    pub param_name: String,
    /// The first. Default: 1.
    pub start: u64,
    /// From one to the next. Default: 1.
    pub increment: u64,
}

impl Default for PageNumbers {
    fn default() -> Self {
        Self { param_name: "page".into(), start: 1, increment: 1 }
    }
}

/// Pages by offset.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Offsets {
    /// Parameter with the offset. Default: `offset`.
    pub param_name: String,
    /// The first. Default: 0.
    pub start: u64,
    /// From one to the next: a number, or a parameter's name. Default: the records of a page, as `page_size` or `limit_param` says.
    pub increment_by: Increment,
}

impl Default for Offsets {
    fn default() -> Self {
        Self { param_name: "offset".into(), start: 0, increment_by: Increment::PageSize }
    }
}

/// How far it is from one offset to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Increment {
    /// As many records as a page is asked for.
    PageSize,
    /// As many as this parameter says.
    Param(String),
    /// So many.
    Records(u64),
}

impl JsonSchema for Increment {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Increment".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["integer", "string"], "minimum": 0 })
    }
}

impl<'de> Deserialize<'de> for Increment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl de::Visitor<'_> for Either {
            type Value = Increment;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number or the name of a parameter")
            }

            fn visit_u64<E>(self, number: u64) -> Result<Increment, E> {
                Ok(Increment::Records(number))
            }

            fn visit_str<E>(self, name: &str) -> Result<Increment, E> {
                Ok(Increment::Param(name.to_owned()))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// Pages by cursor.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Cursor {
    /// Parameter with the cursor. Default: `cursor`.
    pub param_name: String,
    /// Dot path to the next cursor in the response. Default: `next_cursor`.
    pub response_path: String,
}

impl Default for Cursor {
    fn default() -> Self {
        Self { param_name: "cursor".into(), response_path: "next_cursor".into() }
    }
}

/// Pages by URL.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NextUrl {
    /// Dot path to the next URL in the response. Default: `next_url`.
    pub response_path: String,
}

impl Default for NextUrl {
    fn default() -> Self {
        Self { response_path: "next_url".into() }
    }
}

/// When there are no more pages.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StopCondition {
    /// What is looked at.
    #[serde(rename = "type")]
    pub kind: StopKind,
    /// The limit of `max_pages` and `max_records`; what `custom` compares with.
    pub value: Option<Value>,
    /// Dot path to what `custom` compares.
    pub response_path: Option<String>,
}

impl StopCondition {
    /// The limit of `max_pages` and `max_records`.
    pub fn limit(&self) -> u64 {
        self.value.as_ref().and_then(Value::as_u64).unwrap_or(u64::MAX)
    }
}

/// What is looked at to know that there are no more pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StopKind {
    /// A page has no records.
    EmptyResponse,
    /// A page has fewer records than were asked for (`page_size`, or the parameter `limit_param`); where none were, than the first page had.
    FewerRecords,
    /// So many pages were read.
    MaxPages,
    /// So many records were read; the page with the last of them is taken whole (`max_records` beside `type` counts to the row).
    MaxRecords,
    /// The response has this value at this path; what is absent is null.
    Custom,
}
