//! `type: http` of `extract.yaml`, typed.

use std::collections::{BTreeMap, BTreeSet};
use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de};
use serde_json::{Map, Value};

use super::extract::CsvOptions;
use super::pagination::Pagination;
use super::settings::Secret;
use super::variables::is_secret_parameter;

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
    /// Headers. They go to the host of the URL only, whatever it redirects to.
    pub headers: BTreeMap<String, String>,
    /// Query parameters; a list is sent item by item under the same name, null not at all. What a run is given as a parameter is sent too, in place
    /// of one of the same name here, unless it stands as `{name}` in the URL or the body, or as `${name}` anywhere in `extract`.
    pub params: Map<String, Value>,
    /// Body, sent as JSON. A text in it that is `{name}` and nothing else is the parameter's value. Default: none.
    pub body: Option<Value>,
    /// Format of responses. Default: `json`.
    pub response_format: ResponseFormat,
    /// Dot path to the list of records, digits index lists. Default: a list as it is; of an object, the first list among `data`, `results`,
    /// `items`, `records`, `values`; else the object is one record. Where null stands there are no records, nor where a later page has nothing at the
    /// path and tells of no error. Of XML, its last part is the name of the elements that are records; by default they are the children of the root
    /// element. An XML page of another root element than the first, or with an `error` or `fault` in place of records, is an error.
    pub response_path: Option<String>,
    /// MiB that a response may have, unpacked, where it must be held whole: JSON, XML and text. CSV and NDJSON are read as they come, whatever their
    /// size. Default: 64.
    pub max_response_mb: NonZeroU64,
    /// How CSV is written.
    pub csv_options: CsvOptions,
    /// When a request is tried again.
    pub retry: Retry,
    /// How long each part of a request may take.
    pub timeout: Timeout,
    /// Seconds from one request to the next, redirects and requests for tokens among them. Default: 0.
    #[serde(deserialize_with = "seconds")]
    #[schemars(with = "f64")]
    pub rate_limit_delay: Duration,
    /// Requests in any minute at most, those that are tried again, redirects and requests for tokens among them. Default: no limit.
    pub max_calls_per_minute: Option<NonZeroU32>,
    /// How further pages are asked for. Default: there is one page.
    pub pagination: Pagination,
    /// How the caller proves who it is. Default: not.
    pub auth: Option<Auth>,
}

impl HttpSource {
    /// The URL as it is written, parameters still by name; `***` stands for passwords and keys in it.
    pub fn title(&self) -> String {
        shown(&self.address())
    }

    /// The names of parameters that stand as `{name}` in the URL or in the body.
    pub fn places(&self) -> BTreeSet<String> {
        let mut names: BTreeSet<String> = placeholders(&self.address()).into_iter().map(ToOwned::to_owned).collect();
        if let Some(body) = &self.body {
            places_in(body, &mut |name| names.extend([name.to_owned()]));
        }
        names
    }

    /// The URL as it is written, parameters still by name.
    pub fn address(&self) -> String {
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
            max_response_mb: NonZeroU64::new(64).expect("64 is not zero"),
            csv_options: CsvOptions::default(),
            retry: Retry::default(),
            timeout: Timeout::default(),
            rate_limit_delay: Duration::ZERO,
            max_calls_per_minute: None,
            pagination: Pagination::default(),
            auth: None,
        }
    }
}

/// The names that stand as `{name}` in a text.
pub fn placeholders(text: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find('{') {
        rest = &rest[start + 1..];
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
        if end > 0 && rest[end..].starts_with('}') {
            names.push(&rest[..end]);
        }
    }
    names
}

/// Calls `found` with every text in a body that is `{name}` and nothing else.
fn places_in(body: &Value, found: &mut impl FnMut(&str)) {
    match body {
        Value::String(text) => {
            if let [name] = placeholders(text)[..]
                && text.len() == name.len() + 2
            {
                found(name);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| places_in(item, found)),
        Value::Object(members) => members.values().for_each(|value| places_in(value, found)),
        _ => {}
    }
}

/// The user within a URL of HTTP that has no password: some interfaces take a token there.
pub(super) fn lone_user(url: &str) -> Option<&str> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?;
    let (user, _) = rest.split(['/', '?', '#']).next()?.rsplit_once('@')?;
    Some(user.trim_end_matches(':')).filter(|user| !user.is_empty() && !user.contains(':'))
}

/// The name and password within a URL of HTTP where they hold an `@`, `/`, `?` or `#` that should be escaped: what others take for the host is a part of
/// them. An address in a query behind a `=` is none.
pub fn careless_user(url: &str) -> Option<&str> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let user = &rest[..rest.rfind('@').filter(|at| *at > authority.len())?];
    let (path, query) = rest[authority.len()..].split_once(['?', '#']).unwrap_or((&rest[authority.len()..], ""));
    let is_address = query.split('@').next()?.contains('=');
    let port = authority.rsplit(']').next()?.split_once(':').map_or("", |(_, port)| port);
    let is_port = port.starts_with(['{', '$']) || port.bytes().all(|byte| byte.is_ascii_digit());
    let splits = if authority.contains('@') { path.contains('@') || !is_address } else { !is_port };
    splits.then_some(user)
}

/// A URL with `***` for its password and for parameters whose names say that they are secret.
pub fn shown(url: &str) -> String {
    let mut shown = match (careless_user(url).or_else(|| lone_user(url)), super::database::password(url)) {
        (Some(user), _) => url.replacen(&format!("://{user}"), "://***", 1),
        (None, Some(password)) => url.replacen(&format!(":{password}@"), ":***@", 1),
        (None, None) => url.to_owned(),
    };
    if let Some((before, query)) = shown.split_once('?') {
        let parameter = |pair: &str| match pair.split_once('=') {
            Some((name, value)) if !value.is_empty() && is_secret_parameter(name) => format!("{name}=***"),
            _ => pair.to_owned(),
        };
        shown = format!("{before}?{}", query.split('&').map(parameter).collect::<Vec<_>>().join("&"));
    }
    shown
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
    /// Plain text: one record with the column `text`.
    Text,
    /// XML.
    Xml,
    /// Comma-separated values.
    Csv,
    /// One JSON object a line.
    #[serde(alias = "jsonl")]
    Ndjson,
}

/// When a request is tried again. Time-outs and transport errors are, too. `Retry-After` of a response holds, up to 5 minutes.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Retry {
    /// Attempts in all. Default: 3.
    pub max_attempts: NonZeroU32,
    /// The wait before the second attempt is 1 s, and is multiplied by this factor from one to the next, up to a minute; up to half as much is added at
    /// random. Below 1 it shrinks; 0 to 100. Default: 2.
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

/// How long each part of a request may take, in seconds; 0 is no limit.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Timeout {
    /// To connect. Default: 10.
    #[serde(deserialize_with = "limit")]
    #[schemars(with = "f64")]
    pub connect: Duration,
    /// From one piece of the response to the next. Default: 30.
    #[serde(deserialize_with = "limit")]
    #[schemars(with = "f64")]
    pub read: Duration,
    /// To send. The head of the response must be there after all four together. Default: 10.
    #[serde(deserialize_with = "limit")]
    #[schemars(with = "f64")]
    pub write: Duration,
    /// For a connection to be free. Default: 10.
    #[serde(deserialize_with = "limit")]
    #[schemars(with = "f64")]
    pub pool: Duration,
    /// From the head of a response to its end, where it must be held whole: JSON, XML and text. Default: 300.
    #[serde(deserialize_with = "limit")]
    #[schemars(with = "f64")]
    pub total: Duration,
}

impl Default for Timeout {
    fn default() -> Self {
        let ten = Duration::from_secs(10);
        Self { connect: ten, read: Duration::from_secs(30), write: ten, pool: ten, total: Duration::from_secs(300) }
    }
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
pub(super) fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let number = f64::deserialize(deserializer)?;
    Duration::try_from_secs_f64(number).map_err(|_| de::Error::custom(format!("is {number}, but must be a number of seconds, 0 or more")))
}

/// As good as no limit, and still a time from now that clocks can hold.
const FOREVER: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// Reads seconds after which it is enough; 0 is no limit, as it would end every request.
fn limit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    seconds(deserializer).map(|limit| if limit.is_zero() { FOREVER } else { limit.min(FOREVER) })
}
