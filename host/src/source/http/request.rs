//! The request: its URL with parameters put in, headers, body; and what of it must not be printed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue};
use reqwest::Url;
use serde_json::{Map, Value};

use super::super::Surroundings;
use super::auth::basic_header;
use super::pages::{Ask, Pages};
use crate::config::database::percent_decoded;
use crate::config::http::{Auth, Basic, HttpSource, Method, ResponseFormat, careless_user, placeholders};
use crate::config::variables::{Secrets, is_secret_parameter};
use crate::error::{Context, Error, Result};

/// A request, all but the page that it asks for.
pub(super) struct Request {
    pub(super) method: http::Method,
    /// What goes to the host of the source and to no other.
    pub(super) headers: HeaderMap,
    pub(super) body: Option<Bytes>,
    base: Url,
    query: Vec<(String, String)>,
    /// Parameters that no message, position or file may hold.
    hidden: Vec<(String, String)>,
    mask: Secrets,
}

impl Request {
    /// Puts the parameters in.
    ///
    /// # Errors
    /// Config, where one is missing or does not fit.
    pub(super) fn new(source: &HttpSource, surroundings: &Surroundings<'_>) -> Result<Arc<Self>> {
        let mut params = source.params.clone();
        params.extend(surroundings.params.iter().map(|(name, value)| (name.clone(), value.clone())));
        let written = source.url.as_ref().or(source.base_url.as_ref());
        if written.is_some_and(|url| careless_user(url).is_some()) {
            return Err(Error::config(format!(
                "the name or password in `{}` has a sign by which a URL would be another one",
                source.title()
            ))
            .hint("write `@` in them as `%40`, `/` as `%2F`, `?` as `%3F`, `#` as `%23`; and an `@` in the path as `%40`"));
        }
        let address = fill(&source.address(), &params)?;
        let mut base = Url::parse(&address)
            .map_err(|error| Error::config(format!("`{}` is no URL", crate::config::http::shown(&address))).because(error))?;
        if !matches!(base.scheme(), "http" | "https") || base.host_str().is_none() {
            let message = format!("`{}` is no URL of HTTP", crate::config::http::shown(&address));
            return Err(Error::config(message).hint("it starts with `https://` or `http://`"));
        }
        let places = source.places();
        let mut query = Vec::new();
        for (name, value) in params.iter().filter(|(name, _)| !places.contains(*name)) {
            query.extend(texts(name, value)?.into_iter().map(|text| (name.clone(), text)));
        }
        let mut mask = surroundings.secrets.clone();
        let mut hidden: Vec<(String, String)> = query.iter().filter(|(name, value)| hides(name, value, &mask)).cloned().collect();
        if let Some(auth) = source.auth.as_ref().and_then(|auth| auth.api_key.as_ref()) {
            mask.add(&auth.value.0);
            if let Some(name) = &auth.query_param_name {
                query.retain(|(other, _)| other != name);
                query.push((name.clone(), auth.value.0.clone()));
                hidden.push((name.clone(), auth.value.0.clone()));
            }
        }
        let own: Vec<(String, String)> = base.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
        hidden.extend(own.into_iter().filter(|(name, value)| hides(name, value, &mask)));
        for (_, value) in &hidden {
            mask.add(value);
            mask.add(&escape(value));
        }
        let mut headers = headers(source, &mut mask)?;
        let body = match &source.body {
            Some(body) => Some(serde_json::to_vec(&put_in(body, &params, &places)).bug(|| "writing a body as JSON".into())?.into()),
            None => None,
        };
        if let Some((username, password)) = take_user(&mut base) {
            // Without a password the name may be a token.
            let secret = password.as_deref().unwrap_or(&username);
            mask.add(secret);
            mask.add(&percent_decoded(secret));
            let header = basic_header(&percent_decoded(&username), &percent_decoded(password.as_deref().unwrap_or_default()))?;
            mask.add(header.to_str().unwrap_or_default().trim_start_matches("Basic "));
            headers.entry(AUTHORIZATION).or_insert(header);
        }
        if let Some(Auth { bearer, basic, oauth2_cc, .. }) = &source.auth {
            bearer.iter().for_each(|bearer| mask.add(&bearer.token.0));
            oauth2_cc.iter().for_each(|credentials| mask.add(&credentials.client_secret.0));
            if let Some(Basic { username, password }) = basic {
                mask.add(&password.0);
                mask.add(&BASE64_STANDARD.encode(format!("{username}:{}", password.0)));
            }
        }
        Ok(Arc::new(Self { method: method(source.method), headers, body, base, query, hidden, mask }))
    }

    /// The URL of a page.
    ///
    /// # Errors
    /// Config, where a position holds none.
    pub(super) fn url(&self, ask: &Ask, pages: &Pages) -> Result<Url> {
        let pagination = &pages.pagination;
        if let Ask::Url(url) = ask {
            let mut url = Url::parse(url).map_err(|error| Error::config(format!("`{}` is no URL", self.mask(url))).because(error))?;
            take_user(&mut url);
            self.expect_home(&url, "the checkpoint")?;
            let missing: Vec<_> = self.hidden.iter().filter(|(name, _)| !url.query_pairs().any(|(other, _)| other == *name)).collect();
            if !missing.is_empty() {
                url.query_pairs_mut().extend_pairs(missing.into_iter().map(|(name, value)| (name, value)));
            }
            return Ok(url);
        }
        let mut query = self.query.clone();
        let mut set = |name: &str, value: String| {
            query.retain(|(other, _)| other != name);
            query.push((name.to_owned(), value));
        };
        if let Some(size) = pagination.page_size.filter(|_| pagination.enabled) {
            set(&pagination.limit_param, size.to_string());
        }
        match ask {
            Ask::Page(number) => set(&pagination.page.param_name, number.to_string()),
            Ask::Offset(offset) => set(&pagination.offset.param_name, offset.to_string()),
            Ask::Cursor(cursor) => set(&pagination.cursor.param_name, cursor.clone()),
            Ask::First | Ask::Url(_) | Ask::End => {}
        }
        let mut url = self.base.clone();
        if !query.is_empty() {
            // What a parameter says comes before what the URL says.
            let own: Vec<(String, String)> = url
                .query_pairs()
                .filter(|(name, _)| !query.iter().any(|(other, _)| other == name))
                .map(|(name, value)| (name.into_owned(), value.into_owned()))
                .collect();
            url.query_pairs_mut().clear().extend_pairs(own).extend_pairs(query);
        }
        Ok(url)
    }

    /// The URL, without a page.
    pub(super) fn base(&self) -> &Url {
        &self.base
    }

    /// A URL as it may be shown.
    pub(super) fn shown(&self, url: &Url) -> String {
        let mut shown = url.clone();
        if !(shown.username().is_empty() && shown.password().is_none()) && shown.set_password(None).is_ok() {
            shown.set_username("***").ok();
        }
        let secret = |name: &str, value: &str| hides(name, value, &self.mask) || self.hidden.iter().any(|(hidden, _)| hidden == name);
        if url.query_pairs().any(|(name, value)| secret(&name, &value)) {
            let pairs: Vec<(String, String)> = url
                .query_pairs()
                .map(
                    |(name, value)| {
                        if secret(&name, &value) { (name.into_owned(), "***".into()) } else { (name.into_owned(), value.into_owned()) }
                    },
                )
                .collect();
            shown.query_pairs_mut().clear().extend_pairs(pairs);
        }
        self.mask(shown.as_str())
    }

    /// A text without what must not be printed.
    pub(super) fn mask(&self, text: &str) -> String {
        self.mask.mask(text)
    }

    /// The URL of the next page as a position keeps it: whole, and without keys.
    ///
    /// # Errors
    /// Outside, where it leads to another host, which must not get what was meant for this one.
    pub(super) fn next_url(&self, page: &Url, named: &str, name: &str) -> Result<String> {
        let mut url = page.join(named).map_err(|error| {
            Error::data(format!("`{name}` names `{}` as the next page, which is no URL", self.mask(named))).because(error)
        })?;
        // Who asks is in the headers; a position holds no password.
        take_user(&mut url);
        if self.base.scheme() == "https" && url.scheme() == "http" && url.host_str() == self.base.host_str() && url.port().is_none() {
            // Servers behind a proxy do not know that they are spoken to with encryption.
            url.set_scheme("https").ok();
        }
        self.expect_home(&url, &format!("`{name}`"))?;
        let is_hidden = |name: &str, value: &str| self.hidden.iter().any(|(hidden, secret)| hidden == name && secret == value);
        if url.query_pairs().any(|(name, value)| is_hidden(&name, &value)) {
            let kept: Vec<(String, String)> = url
                .query_pairs()
                .filter(|(name, value)| !is_hidden(name, value))
                .map(|(name, value)| (name.into_owned(), value.into_owned()))
                .collect();
            url.set_query(None);
            if !kept.is_empty() {
                url.query_pairs_mut().extend_pairs(kept);
            }
        }
        url.set_fragment(None);
        Ok(url.into())
    }

    /// Whether it goes without encryption.
    pub(super) fn is_plain(&self) -> bool {
        self.base.scheme() == "http"
    }

    /// Whether a URL is of the host that the credentials are for.
    pub(super) fn is_home(&self, url: &Url) -> bool {
        let upgraded = self.base.scheme() == "http" && url.scheme() == "https" && self.base.port().is_none() && url.port().is_none();
        let same = url.scheme() == self.base.scheme() && url.port_or_known_default() == self.base.port_or_known_default();
        url.host_str() == self.base.host_str() && (same || upgraded)
    }

    fn expect_home(&self, url: &Url, who: &str) -> Result<()> {
        if self.is_home(url) {
            return Ok(());
        }
        let (named, own) = (authority(url), authority(&self.base));
        Err(Error::outside(format!("{who} names a page on `{named}` as the next one, but the credentials are for `{own}`"))
            .hint("pages are read from the host that the source names only")
            .given_up())
    }
}

/// Scheme, host and port.
pub(super) fn authority(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}", url.scheme(), url.host_str().unwrap_or_default())
}

/// Takes name and password off a URL, as they are written.
fn take_user(url: &mut Url) -> Option<(String, Option<String>)> {
    let user = (url.username().to_owned(), url.password().map(ToOwned::to_owned));
    // A URL without a host has neither.
    let taken = url.set_username("").and_then(|()| url.set_password(None));
    (taken.is_ok() && (!user.0.is_empty() || user.1.is_some())).then_some(user)
}

/// Whether a parameter must not be printed.
fn hides(name: &str, value: &str, mask: &Secrets) -> bool {
    // A cursor has a name such as `page_token`, and is no secret.
    let is_cursor = ["page", "next", "continuation", "cursor", "sync", "skip"].iter().any(|word| name.to_ascii_lowercase().contains(word));
    is_secret_parameter(name) && !is_cursor || !value.is_empty() && mask.mask(value) == "***"
}

/// Puts parameters in the place of `{name}`; what has a meaning in URLs is escaped.
fn fill(address: &str, params: &Map<String, Value>) -> Result<String> {
    let mut filled = address.to_owned();
    for name in placeholders(address) {
        let missing = || {
            Error::config(format!("`{{{name}}}` in the URL has no value"))
                .hint(format!("pass `--param {name}=…` with `input_params: [{name}]`, or add it to `params`"))
        };
        let text = match params.get(name) {
            None | Some(Value::Null) => return Err(missing()),
            Some(value) => texts(name, value)?.join(","),
        };
        if matches!(text.as_str(), "" | "." | "..") {
            return Err(Error::config(format!("`{{{name}}}` in the URL would be `{text}`, which makes another path of it"))
                .hint(format!("give the parameter `{name}` a value")));
        }
        filled = filled.replace(&format!("{{{name}}}"), &escape(&text));
    }
    Ok(filled)
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b',' => escaped.push(char::from(byte)),
            byte => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

/// The texts that a parameter is sent as.
fn texts(name: &str, value: &Value) -> Result<Vec<String>> {
    let one = |value: &Value| match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(_) | Value::Bool(_) => Ok(value.to_string()),
        _ => Err(Error::config(format!("the parameter `{name}` is an object or a list in a list, which a URL has no place for"))),
    };
    match value {
        Value::Null => Ok(Vec::new()),
        Value::Array(items) => items.iter().map(one).collect(),
        value => one(value).map(|text| vec![text]),
    }
}

/// The body with parameters in place of texts that are `{name}`.
fn put_in(body: &Value, params: &Map<String, Value>, places: &BTreeSet<String>) -> Value {
    match body {
        Value::String(text) => {
            let name = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).filter(|name| places.contains(*name));
            // An absent parameter leaves the text: it may be meant so.
            name.and_then(|name| params.get(name)).cloned().unwrap_or_else(|| body.clone())
        }
        Value::Array(items) => items.iter().map(|item| put_in(item, params, places)).collect(),
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), put_in(value, params, places))).collect(),
        other => other.clone(),
    }
}

/// Headers that hold nothing of the user's own.
const SPOKEN: [&str; 5] = ["accept", "accept-encoding", "accept-language", "content-type", "user-agent"];

fn headers(source: &HttpSource, mask: &mut Secrets) -> Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    let accept = match source.response_format {
        ResponseFormat::Json => "application/json",
        ResponseFormat::Ndjson => "application/x-ndjson, application/jsonl, application/json;q=0.5, */*;q=0.1",
        ResponseFormat::Csv => "text/csv, */*;q=0.1",
        ResponseFormat::Xml => "application/xml, text/xml, */*;q=0.1",
        ResponseFormat::Text => "text/plain, */*;q=0.1",
    };
    headers.insert(ACCEPT, HeaderValue::from_static(accept));
    if source.body.is_some() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    let given: &BTreeMap<String, String> = &source.headers;
    for (name, value) in given {
        // Whatever the name: servers repeat what they were sent. What every client says is no secret, and would hide half of a message.
        if !SPOKEN.iter().any(|spoken| name.eq_ignore_ascii_case(spoken)) {
            mask.add(value);
            mask.add(value.rsplit(' ').next().unwrap_or(value));
        }
        let key = HeaderName::from_bytes(name.as_bytes())
            .map_err(|error| Error::config(format!("`{name}` is no name of a header")).because(error))?;
        let mut value = HeaderValue::from_str(value)
            .map_err(|_| Error::config(format!("the value of the header `{name}` has a character that no header can have")))?;
        // No log shows it, however much it is asked for.
        value.set_sensitive(true);
        headers.insert(key, value);
    }
    Ok(headers)
}

fn method(method: Method) -> http::Method {
    match method {
        Method::Get => http::Method::GET,
        Method::Post => http::Method::POST,
        Method::Put => http::Method::PUT,
        Method::Patch => http::Method::PATCH,
        Method::Delete => http::Method::DELETE,
    }
}
