//! The guest's side of HTTP: what one instance asks for, within what its stage was granted.

use std::future::Future;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::header::{ACCEPT, CONTENT_LENGTH, EXPECT, HOST, TE, TRAILER};
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until, timeout_at};
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi_http::p2::bindings::http::types;
use wasmtime_wasi_http::p2::types::HostOutgoingRequest;
use wasmtime_wasi_http::{DEFAULT_FORBIDDEN_HEADERS, Error, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpHooks, WasiHttpView};

use super::super::state::State;
use super::body::{Incoming, Traffic, collect};
use super::{Denied, Egress, MAX_CONCURRENT, MAX_HEADER_BYTES, MAX_REQUESTS, SILENT_TIME, failure};
use crate::config::grants::HostPattern;
use crate::network::describe;

/// Bytes of the headers of a request, as the host holds them.
const MAX_FIELD_BYTES: usize = 32 << 10;

/// Bytes of a body's part that the host holds until it is sent.
const CHUNK_BYTES: usize = 16 << 10;

/// Letters of a host with its port, and of a method.
const MAX_AUTHORITY: usize = 300;
const MAX_METHOD: usize = 32;

/// Sentences on failed requests that are told of a call.
const MAX_NOTES: usize = 4;

/// How long a request may outlive the call that made it.
const GRACE: Duration = Duration::from_secs(1);

/// What goes back to the guest, with what keeps the connection going, of which there is nothing here.
type Answered = Result<(http::Response<WasiBody>, Box<dyn Future<Output = Result<(), Error>> + Send>), Error>;

/// HTTP as one instance has it.
pub(in super::super) struct Guest {
    stage: Arc<str>,
    egress: Option<Arc<Egress>>,
    permits: Arc<Semaphore>,
    traffic: Arc<Traffic>,
    notes: Arc<Mutex<Vec<String>>>,
    /// Requests that the call under way may still make.
    requests_left: u64,
    /// When the call under way must be over.
    deadline: Instant,
}

/// What bounds the headers that a guest makes.
pub(in super::super) fn context() -> WasiHttpCtx {
    let mut context = WasiHttpCtx::new();
    context.set_field_size_limit(MAX_FIELD_BYTES);
    context
}

impl Guest {
    pub(in super::super) fn new(stage: Arc<str>, egress: Option<Arc<Egress>>) -> Self {
        Self {
            stage,
            egress,
            permits: Arc::new(Semaphore::new(MAX_CONCURRENT)),
            traffic: Arc::default(),
            notes: Arc::default(),
            requests_left: 0,
            deadline: Instant::now(),
        }
    }

    /// Notes that a call into the guest begins, which may take so long.
    pub(in super::super) fn start_call(&mut self, timeout: Duration) {
        self.deadline = Instant::now() + timeout;
        self.requests_left = MAX_REQUESTS;
        self.traffic.call_bytes.store(0, Relaxed);
        self.notes.lock().expect("no code that holds this lock panics").clear();
    }

    /// What went wrong with requests in the call under way, for the error that it may end in.
    pub(in super::super) fn take_notes(&self) -> Vec<String> {
        std::mem::take(&mut *self.notes.lock().expect("no code that holds this lock panics"))
    }

    /// What went over the wire since it was last asked, as counters.
    pub(in super::super) fn take_counters(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let Traffic { requests, refused, failed, sent_bytes, received_bytes, call_bytes: _ } = &*self.traffic;
        [
            ("http.requests", requests),
            ("http.refused", refused),
            ("http.failed", failed),
            ("http.sent_bytes", sent_bytes),
            ("http.received_bytes", received_bytes),
        ]
        .map(|(name, count)| (name, count.swap(0, Relaxed)))
        .into_iter()
        .filter(|(_, count)| *count > 0)
    }

    /// Holds a request to grants and caps.
    fn prepare(&mut self, request: &http::request::Parts, options: Option<RequestOptions>) -> Result<Exchange, Error> {
        let plain = request.uri.scheme() == Some(&http::uri::Scheme::HTTP);
        let authority = request.uri.authority().map(|authority| authority.as_str()).unwrap_or_default();
        let target = format!("{} {}{}", request.method, if plain { "http://" } else { "https://" }, clip(authority));
        let note = Note { stage: self.stage.clone(), target, notes: self.notes.clone(), traffic: self.traffic.clone() };
        let Some(host) = HostPattern::of_request(plain, authority) else {
            return Err(note.refused(Error::HttpRequestUriInvalid, "that is not a host as etl-host takes it"));
        };
        let Some(egress) = &self.egress else {
            return Err(note.refused(Error::HttpRequestDenied, "the stage was granted no host"));
        };
        let permitted = egress.permit(&request.method, &host).map_err(|denied| match denied {
            Denied::Closed => note.refused(Error::HttpRequestDenied, "no other machine is reached here, whatever the stage was granted: give the rows what it would ask for, or test the stages around it with `stage:`"),
            Denied::Host => note.refused(Error::HttpRequestDenied, "that host is not among the stage's `grants.http`"),
            Denied::Operator => {
                note.refused(Error::HttpRequestDenied, "the operator of etl-host allows other hosts only (`--allow-host`)")
            }
            Denied::Method => note.refused(Error::HttpRequestDenied, "that method is not granted for that host"),
            Denied::Address => note.refused(
                Error::DestinationIpProhibited,
                "that address is not public, and the operator of etl-host has not opened it (`--allow-private-network`)",
            ),
        })?;
        if self.requests_left == 0 {
            return Err(note.refused(Error::ConnectionLimitReached, &format!("a batch may make {MAX_REQUESTS} requests")));
        }
        self.requests_left -= 1;
        let Ok(permit) = self.permits.clone().try_acquire_owned() else {
            return Err(note.refused(Error::ConnectionLimitReached, &format!("{MAX_CONCURRENT} requests are under way already")));
        };
        let path = request.uri.path_and_query().map_or("/", |path| path.as_str());
        let url = format!("{}://{authority}{path}", if plain { "http" } else { "https" });
        let url: reqwest::Url = url.parse().map_err(|_| Error::HttpRequestUriInvalid)?;
        // What is asked for must be what was held to the grants, whatever another parser made of it.
        let same = HostPattern::of_request(url.scheme() == "http", url.authority()).is_some_and(|asked| asked == host);
        if !same {
            return Err(note.refused(Error::HttpRequestUriInvalid, "that is not a host as etl-host takes it"));
        }
        let RequestOptions { connect_timeout, first_byte_timeout, between_bytes_timeout } = options.unwrap_or_default();
        let first = connect_timeout.unwrap_or(super::CONNECT_TIME).saturating_add(first_byte_timeout.unwrap_or(SILENT_TIME));
        Ok(Exchange {
            client: permitted.client.clone(),
            method: request.method.clone(),
            url,
            headers: merge(&request.headers, permitted.headers),
            added: permitted.headers.clone(),
            first: first.min(super::CONNECT_TIME + SILENT_TIME),
            between: between_bytes_timeout.unwrap_or(SILENT_TIME).min(SILENT_TIME),
            // The batch's own time-out comes first and tells what happened; this one ends what would outlive it.
            deadline: self.deadline + GRACE,
            permit,
            note,
        })
    }
}

impl WasiHttpHooks for Guest {
    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        CHUNK_BYTES
    }

    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Answered> + Send> {
        let (parts, body) = request.into_parts();
        match self.prepare(&parts, options) {
            Ok(exchange) => Box::new(exchange.run(body)),
            Err(error) => Box::new(std::future::ready(Err(error))),
        }
    }
}

/// One request, and all that it takes to make it; runs beside the guest.
struct Exchange {
    client: reqwest::Client,
    method: http::Method,
    url: reqwest::Url,
    headers: HeaderMap,
    /// What the host added, to be kept from the guest.
    added: HeaderMap,
    first: Duration,
    between: Duration,
    deadline: Instant,
    permit: OwnedSemaphorePermit,
    note: Note,
}

impl Exchange {
    async fn run(self, body: WasiBody) -> Answered {
        let Self { client, method, url, headers, added, first, between, deadline, permit, note } = self;
        let traffic = note.traffic.clone();
        let late = |_| note.failed(Error::ConnectionWriteTimeout, "the request's body did not come within the batch's time");
        let body = timeout_at(deadline, collect(body)).await.map_err(late)?.map_err(|error| match error {
            Error::HttpRequestBodySize(_) => note.refused(error, &format!("a request may have {} MiB", super::MAX_REQUEST_BYTES >> 20)),
            error => note.failed(error, "the request's body was given up"),
        })?;
        traffic.requests.fetch_add(1, Relaxed);
        traffic.sent_bytes.fetch_add(body.len() as u64, Relaxed);
        let mut request = reqwest::Request::new(method, url);
        *request.headers_mut() = headers;
        if !body.is_empty() {
            *request.body_mut() = Some(body.into());
        }
        let sent = timeout_at((Instant::now() + first).min(deadline), client.execute(request)).await;
        let response = match sent {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(note.failed(failure::read(&error), &describe(&error))),
            Err(_) => return Err(note.failed(Error::HttpResponseTimeout, "the server did not answer in time")),
        };
        let (mut parts, body) = http::Response::<reqwest::Body>::from(response).into_parts();
        let bytes: usize = parts.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
        if bytes > MAX_HEADER_BYTES {
            let error = Error::HttpResponseHeaderSectionSize(u32::try_from(bytes).ok());
            return Err(note.failed(error, &format!("its headers have {bytes} bytes, the limit is {MAX_HEADER_BYTES}")));
        }
        hide(&mut parts.headers, &added);
        // Of the response itself only these go on: the rest is the connection's.
        let mut response = http::Response::new(());
        *response.status_mut() = parts.status;
        *response.headers_mut() = parts.headers;
        let incoming = Incoming {
            rest: Some(body),
            bytes: 0,
            between,
            deadline,
            sleep: Box::pin(sleep_until((Instant::now() + between).min(deadline))),
            note,
            permit: Some(permit),
        };
        Ok((response.map(|()| incoming.boxed_unsync()), Box::new(std::future::ready(Ok(())))))
    }
}

/// Where what goes wrong with a request is told.
pub(super) struct Note {
    stage: Arc<str>,
    /// The request, without its path.
    target: String,
    notes: Arc<Mutex<Vec<String>>>,
    pub(super) traffic: Arc<Traffic>,
}

impl Note {
    fn refused(&self, error: Error, why: &str) -> Error {
        self.traffic.refused.fetch_add(1, Relaxed);
        self.tell(why);
        error
    }

    pub(super) fn failed(&self, error: Error, why: &str) -> Error {
        self.traffic.failed.fetch_add(1, Relaxed);
        self.tell(why);
        error
    }

    fn tell(&self, why: &str) {
        let sentence = format!("`{}`: {why}", self.target);
        let mut notes = self.notes.lock().expect("no code that holds this lock panics");
        if notes.len() < MAX_NOTES && !notes.contains(&sentence) {
            tracing::warn!(stage = &*self.stage, request = self.target, why, "a request was not answered");
            notes.push(sentence);
        }
    }
}

/// The headers that are sent: the guest's own without those that are the host's to set, and over them those of the grant.
fn merge(own: &HeaderMap, added: &HeaderMap) -> HeaderMap {
    let mut headers = own.clone();
    for name in DEFAULT_FORBIDDEN_HEADERS.iter().chain(&[HOST, CONTENT_LENGTH, EXPECT, TE, TRAILER]) {
        headers.remove(name);
    }
    headers.entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
    for (name, value) in added {
        headers.insert(name, value.clone());
    }
    headers
}

/// Takes out of a response every header that repeats what the host added to the request.
fn hide(headers: &mut HeaderMap, added: &HeaderMap) {
    let secrets: Vec<&[u8]> = added.values().map(HeaderValue::as_bytes).filter(|value| value.len() >= 4).collect();
    let tells = |value: &HeaderValue| secrets.iter().any(|secret| value.as_bytes().windows(secret.len()).any(|part| part == *secret));
    let told: Vec<HeaderName> = headers.iter().filter(|(_, value)| tells(value)).map(|(name, _)| name.clone()).collect();
    for name in told {
        headers.remove(name);
    }
}

fn clip(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_AUTHORITY)]
}

/// Links `wasi:http`, with two of its functions held to lengths: what they take is the host's memory, which no meter of the guest's sees.
pub(in super::super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(linker)?;
    linker.allow_shadowing(true);
    let mut instance = linker.instance("wasi:http/types@0.2.12")?;
    instance.func_wrap(
        "[method]outgoing-request.set-authority",
        |mut store: StoreContextMut<'_, State>, (request, authority): (Resource<HostOutgoingRequest>, Option<String>)| {
            if authority.as_ref().is_some_and(|authority| authority.len() > MAX_AUTHORITY) {
                return Ok((Err(()),));
            }
            Ok((types::HostOutgoingRequest::set_authority(&mut store.data_mut().http(), request, authority)?,))
        },
    )?;
    instance.func_wrap(
        "[method]outgoing-request.set-method",
        |mut store: StoreContextMut<'_, State>, (request, method): (Resource<HostOutgoingRequest>, types::Method)| {
            if matches!(&method, types::Method::Other(name) if name.len() > MAX_METHOD) {
                return Ok((Err(()),));
            }
            Ok((types::HostOutgoingRequest::set_method(&mut store.data_mut().http(), request, method)?,))
        },
    )?;
    // wasmtime's own looks for another type than its bodies fail with, and so knows none of their failures.
    instance.func_wrap("http-error-code", |mut store: StoreContextMut<'_, State>, (error,): (Resource<types::IoError>,)| {
        let view = store.data_mut().http();
        Ok((view.table.get(&error)?.downcast_ref::<Error>().and_then(failure::code),))
    })?;
    linker.allow_shadowing(false);
    Ok(())
}
