//! HTTP, for transforms that were granted hosts: `grants: {http: [api.example.com]}` in the `custom_function`.
//!
//! ```no_run
//! # fn main() -> Result<(), etl_sdk::http::Error> {
//! let rates = etl_sdk::http::get("https://api.example.com/rates?base=EUR")?;
//! let rates: etl_sdk::serde_json::Value = rates.success()?.json()?;
//! # Ok(())
//! # }
//! ```
//!
//! Credentials do not belong here: the grant's `headers` are put in by the host, and a transform never sees them. A redirect is an answer like any other
//! (status 301 to 308, header `location`); what it points to is a request of its own, to a host that must be granted too. A batch may be tried again, so a
//! request may be sent twice: ask for things, or send them under a key that tells the second time from the first.
//!
//! Natively, in a unit test, [`testing::serve`](crate::testing::serve) answers.

use std::fmt;
use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::{ErrorKind, Refusal, StageError};

/// Asks for a URL.
///
/// # Errors
/// Where no answer comes; an answer of any status is one.
pub fn get(url: &str) -> Result<Response, Error> {
    Request::get(url).send()
}

/// Sends a value as JSON.
///
/// # Errors
/// Where no answer comes; an answer of any status is one.
pub fn post_json(url: &str, value: &impl serde::Serialize) -> Result<Response, Error> {
    let body = serde_json::to_vec(value).map_err(|error| Error::new(Kind::Request, format!("the body is no JSON: {error}")))?;
    Request::new("POST", url).header("content-type", "application/json").body(body).send()
}

/// A request in the making.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The method.
    pub method: String,
    /// The URL: `https://` or `http://`, a host that was granted, a path.
    pub url: String,
    /// Headers, in order. What the grant puts in wins over one of the same name here.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// How long the host waits for the first byte, and from one to the next. Default: the host's own limit, within the batch's time.
    pub timeout: Option<Duration>,
}

impl Request {
    /// Starts a request.
    pub fn new(method: &str, url: &str) -> Self {
        Self { method: method.into(), url: url.into(), headers: Vec::new(), body: Vec::new(), timeout: None }
    }

    /// Starts a request that only asks.
    pub fn get(url: &str) -> Self {
        Self::new("GET", url)
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sets how long to wait.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sends it and reads the whole answer.
    ///
    /// # Errors
    /// Where no answer comes; an answer of any status is one.
    pub fn send(&self) -> Result<Response, Error> {
        imp::send(self)
    }
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status, such as 200.
    pub status: u16,
    /// Headers, their names in lower case.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body as it came: what is compressed stays so.
    pub body: Vec<u8>,
}

impl Response {
    /// Itself where the status is 200 to 299.
    ///
    /// # Errors
    /// With the status otherwise.
    pub fn success(self) -> Result<Self, Error> {
        match self.status {
            200..=299 => Ok(self),
            status => Err(Error::new(Kind::Status(status), format!("the server answered with status {status}"))),
        }
    }

    /// The first header of a name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(value).ok()
    }

    /// The body as text.
    ///
    /// # Errors
    /// Where it is not UTF-8.
    pub fn text(&self) -> Result<&str, Error> {
        std::str::from_utf8(&self.body).map_err(|error| Error::new(Kind::Body, format!("the answer is not UTF-8: {error}")))
    }

    /// The body read as JSON.
    ///
    /// # Errors
    /// Where it is none, or of another shape.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body)
            .map_err(|error| Error::new(Kind::Body, format!("the answer is not the JSON that was expected: {error}")))
    }
}

/// Why there is no answer, or not the one that was hoped for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// What kind of failure it is.
    pub kind: Kind,
    /// One sentence, lower case, no full stop.
    pub message: String,
}

/// Kinds of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The host refuses the request: host, method or address is not granted. Trying again is in vain.
    Denied,
    /// A cap of the host's was met: size, number of requests, requests at a time.
    Limit,
    /// The request cannot be made as it is.
    Request,
    /// The server did not answer, or not to the end; trying again may help.
    Network,
    /// The server's certificate or encryption is wrong.
    Tls,
    /// The server answered with another status than hoped for.
    Status(u16),
    /// The answer is not what was expected.
    Body,
}

impl Error {
    /// Makes one.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// Whether trying again may help.
    pub fn is_transient(&self) -> bool {
        matches!(self.kind, Kind::Network | Kind::Status(408 | 425 | 429 | 500 | 502 | 503 | 504))
    }

    fn code(&self) -> &'static str {
        match self.kind {
            Kind::Denied => "http_denied",
            Kind::Limit => "http_limit",
            Kind::Request => "http_request",
            Kind::Network => "http_network",
            Kind::Tls => "http_tls",
            Kind::Status(_) => "http_status",
            Kind::Body => "http_body",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

/// For the whole batch: what may pass is tried again by the host, what is not granted ends the run.
impl From<Error> for StageError {
    fn from(error: Error) -> Self {
        let kind = match error.kind {
            _ if error.is_transient() => ErrorKind::Transient(None),
            Kind::Denied | Kind::Tls => ErrorKind::Options,
            Kind::Limit | Kind::Request => ErrorKind::Internal,
            Kind::Network | Kind::Status(_) | Kind::Body => ErrorKind::Data,
        };
        Self::new(kind, error.code(), error.message)
    }
}

/// For one row, which goes to the dead letters.
impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::new(error.code(), error.message)
    }
}

/// A URL in the three parts that are sent apart: whether it is plain, host with port, path with query.
#[cfg_attr(all(not(target_arch = "wasm32"), not(test)), expect(dead_code, reason = "natively the test's own server takes the URL whole"))]
fn split(url: &str) -> Result<(bool, &str, String), Error> {
    let wrong = || Error::new(Kind::Request, format!("`{url}` is no URL such as `https://api.example.com/path`"));
    let (scheme, rest) = url.split_once("://").ok_or_else(wrong)?;
    let plain = match scheme {
        "http" => true,
        "https" => false,
        _ => return Err(wrong()),
    };
    let rest = rest.split('#').next().unwrap_or_default();
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    if authority.is_empty() {
        return Err(wrong());
    }
    Ok((plain, authority, if path.starts_with('/') { path.to_owned() } else { format!("/{path}") }))
}

#[cfg(target_arch = "wasm32")]
mod imp {
    use wasip2::http::outgoing_handler::handle;
    use wasip2::http::types::{ErrorCode, Fields, IncomingResponse, Method, OutgoingBody, OutgoingRequest, RequestOptions, Scheme};
    use wasip2::io::streams::StreamError;

    use super::{Error, Kind, Request, Response, split};

    /// Bytes that are written or read at a time.
    const CHUNK: usize = 64 << 10;

    pub(super) fn send(request: &Request) -> Result<Response, Error> {
        let wrong = |what: &str| Error::new(Kind::Request, format!("the request cannot be made: {what}"));
        let (plain, authority, path) = split(&request.url)?;
        let fields = Fields::new();
        for (name, value) in &request.headers {
            fields
                .append(name, value.as_bytes())
                .map_err(|error| wrong(&format!("header `{name}`: {}", error.to_string().to_lowercase())))?;
        }
        if !request.body.is_empty() {
            let length = request.body.len().to_string();
            fields.set("content-length", &[length.into_bytes()]).map_err(|_| wrong("header `content-length`"))?;
        }
        let outgoing = OutgoingRequest::new(fields);
        outgoing.set_method(&method(&request.method)).map_err(|()| wrong(&format!("method `{}`", request.method)))?;
        outgoing.set_scheme(Some(&if plain { Scheme::Http } else { Scheme::Https })).map_err(|()| wrong("its scheme"))?;
        outgoing.set_authority(Some(authority)).map_err(|()| wrong(&format!("host `{authority}`")))?;
        outgoing.set_path_with_query(Some(&path)).map_err(|()| wrong("its path"))?;
        let options = request.timeout.map(|timeout| {
            let nanoseconds = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
            let options = RequestOptions::new();
            // A host that knows no time-outs has its own.
            let _ = options.set_connect_timeout(Some(nanoseconds));
            let _ = options.set_first_byte_timeout(Some(nanoseconds));
            let _ = options.set_between_bytes_timeout(Some(nanoseconds));
            options
        });
        let body = outgoing.body().map_err(|()| wrong("its body"))?;
        let answer = handle(outgoing, options).map_err(|code| read(&code))?;
        let written = write(body, &request.body);
        answer.subscribe().block();
        let response = answer.get().and_then(Result::ok).ok_or_else(|| Error::new(Kind::Network, "no answer came"))?;
        // A server may answer before it has read all; only without an answer is it the body that failed.
        match response {
            Ok(response) => receive(&response),
            Err(code) => Err(written.err().filter(|error| error.kind == Kind::Limit).unwrap_or_else(|| read(&code))),
        }
    }

    fn write(body: OutgoingBody, bytes: &[u8]) -> Result<(), Error> {
        let stopped = |_| Error::new(Kind::Network, "the body was not taken to its end");
        let stream = body.write().map_err(|()| Error::new(Kind::Network, "the body cannot be written"))?;
        for chunk in bytes.chunks(4096) {
            stream.blocking_write_and_flush(chunk).map_err(stopped)?;
        }
        drop(stream);
        OutgoingBody::finish(body, None).map_err(|code| read(&code))
    }

    fn receive(response: &IncomingResponse) -> Result<Response, Error> {
        let status = response.status();
        let headers = response.headers().entries();
        let body = response.consume().map_err(|()| Error::new(Kind::Network, "the answer has no body to read"))?;
        let stream = body.stream().map_err(|()| Error::new(Kind::Network, "the answer has no body to read"))?;
        let mut bytes = Vec::new();
        loop {
            match stream.blocking_read(CHUNK as u64) {
                Ok(chunk) => bytes.extend_from_slice(&chunk),
                Err(StreamError::Closed) => break,
                Err(StreamError::LastOperationFailed(error)) => {
                    let code = wasip2::http::types::http_error_code(&error);
                    return Err(code.map_or_else(|| Error::new(Kind::Network, "the answer broke off"), |code| read(&code)));
                }
            }
        }
        Ok(Response { status, headers, body: bytes })
    }

    fn method(name: &str) -> Method {
        match name {
            "GET" => Method::Get,
            "HEAD" => Method::Head,
            "POST" => Method::Post,
            "PUT" => Method::Put,
            "DELETE" => Method::Delete,
            "CONNECT" => Method::Connect,
            "OPTIONS" => Method::Options,
            "TRACE" => Method::Trace,
            "PATCH" => Method::Patch,
            other => Method::Other(other.into()),
        }
    }

    fn read(code: &ErrorCode) -> Error {
        let (kind, message) = match code {
            ErrorCode::HttpRequestDenied => (Kind::Denied, "etl-host does not allow the request: its host or method is not granted"),
            ErrorCode::DestinationIpProhibited => (Kind::Denied, "etl-host does not allow the request: the host's address is not public"),
            ErrorCode::ConnectionLimitReached => (Kind::Limit, "too many requests in this batch, or at a time"),
            ErrorCode::HttpResponseBodySize(_) => (Kind::Limit, "the answer is too large"),
            ErrorCode::HttpResponseHeaderSectionSize(_) => (Kind::Limit, "the answer's headers are too large"),
            ErrorCode::HttpRequestBodySize(_) => (Kind::Limit, "the request's body is too large"),
            ErrorCode::HttpRequestUriInvalid => (Kind::Request, "the URL is not one that can be asked for"),
            ErrorCode::HttpRequestMethodInvalid => (Kind::Request, "the method is none"),
            ErrorCode::TlsCertificateError => (Kind::Tls, "the server's certificate is not trusted"),
            ErrorCode::TlsProtocolError | ErrorCode::TlsAlertReceived(_) => (Kind::Tls, "the encrypted connection failed"),
            ErrorCode::DnsError(_) | ErrorCode::DnsTimeout => (Kind::Network, "the host's name was not found"),
            ErrorCode::ConnectionRefused => (Kind::Network, "the server refused the connection"),
            ErrorCode::ConnectionTimeout => (Kind::Network, "the server could not be reached in time"),
            ErrorCode::HttpResponseTimeout | ErrorCode::ConnectionReadTimeout => (Kind::Network, "the server did not answer in time"),
            _ => return Error::new(Kind::Network, format!("no answer came: {code:?}")),
        };
        Error::new(kind, message)
    }
}

#[cfg(not(target_arch = "wasm32"))]
pub(crate) mod imp {
    use std::cell::RefCell;

    use super::{Error, Kind, Request, Response};

    /// Answers requests in a test.
    pub(crate) type Serve = Box<dyn FnMut(&Request) -> Result<Response, Error>>;

    thread_local! {
        pub(crate) static SERVE: RefCell<Option<Serve>> = const { RefCell::new(None) };
    }

    pub(super) fn send(request: &Request) -> Result<Response, Error> {
        SERVE.with_borrow_mut(|serve| match serve {
            Some(serve) => serve(request),
            None => Err(Error::new(Kind::Denied, "outside the host there is no network; `etl_sdk::testing::serve` answers in a test")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_falls_into_what_is_sent_apart() {
        assert_eq!(split("https://a.example.com"), Ok((false, "a.example.com", "/".into())));
        assert_eq!(split("http://a.example.com:8080/b?c=d#e"), Ok((true, "a.example.com:8080", "/b?c=d".into())));
        assert_eq!(split("https://a.example.com?c=/d"), Ok((false, "a.example.com", "/?c=/d".into())));
        for wrong in ["", "a.example.com", "ftp://a.example.com/", "https://", "https:///path"] {
            assert_eq!(split(wrong).map_err(|error| error.kind), Err(Kind::Request), "{wrong}");
        }
    }

    #[test]
    fn a_test_answers_requests_itself() {
        assert_eq!(get("https://a.example.com").map_err(|error| error.kind), Err(Kind::Denied));
        crate::testing::serve(|request| {
            let status = if request.url.ends_with("/missing") { 404 } else { 200 };
            Ok(Response { status, headers: vec![("content-type".into(), b"application/json".to_vec())], body: b"{\"rate\": 2}".to_vec() })
        });
        let answer = get("https://a.example.com/rate").and_then(Response::success).expect("it is served");
        assert_eq!(answer.header("Content-Type"), Some("application/json"));
        assert_eq!(answer.json::<serde_json::Value>().expect("it is JSON")["rate"], 2);
        let missing = get("https://a.example.com/missing").and_then(Response::success).expect_err("it is missing");
        assert_eq!(missing, Error::new(Kind::Status(404), "the server answered with status 404"));
        assert_eq!(StageError::from(missing).kind, ErrorKind::Data);
        assert_eq!(StageError::from(Error::new(Kind::Network, "x")).kind, ErrorKind::Transient(None));
    }
}
