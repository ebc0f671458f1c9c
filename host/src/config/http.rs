//! `type: http` of `extract.yaml`, typed.

use std::collections::BTreeMap;
use std::fmt;
use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};
use serde_json::{Map, Value};

use super::settings::Secret;

/// Asks an HTTP interface.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HttpSource {
    /// Whole URL; `{name}` stands for a parameter. In place of `base_url` and `endpoint`.
    pub url: Option<String>,
    /// First part of the URL, joined with `endpoint` by one `/`.
    pub base_url: Option<String>,
    /// Second part of the URL; `{name}` stands for a parameter.
    pub endpoint: Option<String>,
    /// Method. Default: GET.
    pub method: Method,
    /// Headers.
    pub headers: BTreeMap<String, String>,
    /// Query parameters.
    pub params: Map<String, Value>,
    /// Body, sent as JSON. Default: none.
    pub body: Option<Value>,
    /// Format of responses. Default: `json`.
    pub response_format: ResponseFormat,
    /// Dot path to the list of records, digits index lists. Default: a list as it is; of an object, the first list among `data`, `results`,
    /// `items`, `records`, `values`; else the object is one record.
    pub response_path: Option<String>,
    /// When a request is tried again.
    pub retry: Retry,
    /// How long each part of a request may take.
    pub timeout: Timeout,
    /// Seconds from one request to the next. Default: 0.
    #[serde(deserialize_with = "seconds")]
    #[schemars(with = "f64")]
    pub rate_limit_delay: Duration,
    /// Requests a minute at most. Default: no limit.
    pub max_calls_per_minute: Option<NonZeroU32>,
    /// How further pages are asked for. Default: there is one page.
    pub pagination: Pagination,
    /// How the caller proves who it is. Default: not.
    pub auth: Option<Auth>,
}

impl HttpSource {
    /// The URL as it is written, parameters still by name.
    pub fn title(&self) -> String {
        match (&self.url, &self.base_url, &self.endpoint) {
            (Some(url), ..) => url.clone(),
            (None, Some(base), Some(endpoint)) => format!("{}/{}", base.trim_end_matches('/'), endpoint.trim_start_matches('/')),
            (None, Some(base), None) => base.clone(),
            (None, None, endpoint) => endpoint.clone().unwrap_or_default(),
        }
    }
}

impl Default for HttpSource {
    fn default() -> Self {
        Self {
            url: None,
            base_url: None,
            endpoint: None,
            method: Method::default(),
            headers: BTreeMap::new(),
            params: Map::new(),
            body: None,
            response_format: ResponseFormat::default(),
            response_path: None,
            retry: Retry::default(),
            timeout: Timeout::default(),
            rate_limit_delay: Duration::ZERO,
            max_calls_per_minute: None,
            pagination: Pagination::default(),
            auth: None,
        }
    }
}

/// A method.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// GET.
    #[default]
    Get,
    /// POST.
    Post,
    /// PUT.
    Put,
    /// PATCH.
    Patch,
    /// DELETE.
    Delete,
}

/// Format of responses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResponseFormat {
    /// JSON.
    #[default]
    Json,
    /// Plain text, one record.
    Text,
    /// XML.
    Xml,
    /// Comma-separated values.
    Csv,
    /// One JSON object a line.
    #[serde(alias = "jsonl")]
    Ndjson,
}

/// When a request is tried again. Time-outs and transport errors are, too.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Retry {
    /// Attempts in all. Default: 3.
    pub max_attempts: NonZeroU32,
    /// The wait grows by this factor from one attempt to the next. Default: 2.
    pub backoff_factor: f64,
    /// Status codes that are tried again. Default: 429, 500, 502, 503, 504.
    pub retry_on_status: Vec<u16>,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            max_attempts: NonZeroU32::new(3).expect("3 is not zero"),
            backoff_factor: 2.0,
            retry_on_status: vec![429, 500, 502, 503, 504],
        }
    }
}

/// How long each part of a request may take, in seconds.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Timeout {
    /// To connect. Default: 10.
    #[serde(deserialize_with = "seconds")]
    #[schemars(with = "f64")]
    pub connect: Duration,
    /// From one piece of the response to the next. Default: 30.
    #[serde(deserialize_with = "seconds")]
    #[schemars(with = "f64")]
    pub read: Duration,
    /// To send. Default: 10.
    #[serde(deserialize_with = "seconds")]
    #[schemars(with = "f64")]
    pub write: Duration,
    /// For a connection to be free. Default: 10.
    #[serde(deserialize_with = "seconds")]
    #[schemars(with = "f64")]
    pub pool: Duration,
}

impl Default for Timeout {
    fn default() -> Self {
        let ten = Duration::from_secs(10);
        Self { connect: ten, read: Duration::from_secs(30), write: ten, pool: ten }
    }
}

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
    /// With `strategy: cursor`.
    pub cursor: Cursor,
    /// With `strategy: next_url`.
    pub next_url: NextUrl,
    /// Parameter that says how many records a page has. Default: `limit`.
    pub limit_param: String,
    /// Records a page, sent as `limit_param`. Default: not sent.
    pub page_size: Option<NonZeroU64>,
    /// When there are no more pages; the first that holds. Default: `fewer_records`.
    pub stop_conditions: Vec<StopCondition>,
    /// Seconds from one page to the next. Default: 0.1.
    #[serde(deserialize_with = "seconds")]
    #[schemars(with = "f64")]
    pub page_delay: Duration,
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
            stop_conditions: vec![StopCondition { kind: StopKind::FewerRecords, value: None, response_path: None }],
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
    /// By the response's `Link` header.
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
    /// From one to the next: a number, or a parameter's name. Default: `limit`.
    pub increment_by: Increment,
}

impl Default for Offsets {
    fn default() -> Self {
        Self { param_name: "offset".into(), start: 0, increment_by: Increment::Param("limit".into()) }
    }
}

/// How far it is from one offset to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Increment {
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

/// What is looked at to know that there are no more pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StopKind {
    /// A page has no records.
    EmptyResponse,
    /// A page has fewer records than were asked for.
    FewerRecords,
    /// So many pages were read.
    MaxPages,
    /// So many records were read.
    MaxRecords,
    /// The response has this value at this path.
    Custom,
}

/// How the caller proves who it is. Exactly one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Auth {
    /// A token in the `Authorization` header.
    pub bearer: Option<Bearer>,
    /// A name and a password.
    pub basic: Option<Basic>,
    /// A key in a header or in the query.
    pub api_key: Option<ApiKey>,
    /// OAuth 2 client credentials.
    pub oauth2_cc: Option<ClientCredentials>,
}

/// A token in the `Authorization` header.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bearer {
    /// The token.
    pub token: Secret,
}

/// A name and a password.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Basic {
    /// The name.
    pub username: String,
    /// The password.
    pub password: Secret,
}

/// A key in a header or in the query.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiKey {
    /// The key.
    pub value: Secret,
    /// Header that it goes into.
    pub header_name: Option<String>,
    /// Query parameter that it goes into.
    pub query_param_name: Option<String>,
}

/// OAuth 2 client credentials.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientCredentials {
    /// Where tokens are given.
    pub token_url: String,
    /// The client.
    pub client_id: String,
    /// The client's secret.
    pub client_secret: Secret,
    /// What the token is for. Default: not sent.
    pub scope: Option<String>,
}

/// Reads seconds, fractions too.
fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let number = f64::deserialize(deserializer)?;
    Duration::try_from_secs_f64(number).map_err(|_| de::Error::custom(format!("is {number}, but must be a number of seconds, 0 or more")))
}
