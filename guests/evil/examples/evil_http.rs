//! Attacks by HTTP, each a function. Options: `{"url": …}`, a server that was granted, and where need be `"other"`, which was not.
//!
//! Each tells what it saw as an error with the code `saw`, so that a test can hold the host to it.

use std::cell::RefCell;

use etl_sdk::bindings::columns::etl::transform::data;
use etl_sdk::bindings::columns::exports::etl::transform::stage;
use etl_sdk::serde_json::Value;
use etl_sdk::{Cardinality, Descriptor, Function, StageError, State};

/// The component.
pub struct Evil;

/// An attack under way.
pub struct Attack {
    run: Run,
    options: Value,
}

/// Attacks, and tells what it saw.
type Run = fn(&Value) -> String;

/// Name, what it does, how.
const ATTACKS: &[(&str, &str, Run)] = &[
    ("ask", "asks for a URL and tells the answer", |options| wire::ask(&options["url"])),
    ("ask_other", "asks for a URL that was not granted", |options| wire::ask(&options["other"])),
    ("follow", "follows a redirect by itself", wire::follow),
    ("read_drip", "reads an answer that comes a byte at a time", |options| wire::ask_path(options, "/drip")),
    ("read_endless", "reads an answer without end", |options| wire::ask_path(options, "/endless")),
    ("read_silent", "waits for an answer that never begins", |options| wire::ask_path(options, "/silent")),
    ("read_headers", "takes an answer of very many headers", |options| wire::ask_path(options, "/headers")),
    ("read_huge_header", "takes an answer of a very long header", |options| wire::ask_path(options, "/header")),
    ("own_credentials", "sends a header that the host has for this server", |options| wire::own_credentials(&options["url"])),
    ("steal", "sends its request elsewhere, to see what the host put in", |options| wire::own_credentials(&options["other"])),
    ("reflect", "asks for its own headers in the answer's headers", |options| wire::ask_path(options, "/reflect")),
    ("trace", "asks by TRACE, which sends headers back", |options| wire::method(options, "TRACE")),
    ("many_at_once", "makes many requests at a time", wire::many_at_once),
    ("request_for_ever", "makes requests without end", wire::for_ever),
    ("hoard", "makes requests and bodies and sends none of them", wire::hoard),
    ("long_names", "makes requests of endless hosts, methods and headers", wire::long_names),
    ("smuggle", "puts a second request into values of the first", wire::smuggle),
    ("lie_about_length", "sends more than its content-length says", wire::lie_about_length),
    ("send_flood", "sends a body without end", wire::send_flood),
];

impl stage::Guest for Evil {
    type Instance = Attack;

    fn describe() -> Descriptor {
        let function = |(name, what, _): &(&str, &str, Run)| Function {
            name: (*name).into(),
            summary: (*what).into(),
            options_schema: String::new(),
            state: State::Stateless,
        };
        Descriptor { name: "evil-http".into(), version: "1.0.0".into(), functions: ATTACKS.iter().map(function).collect() }
    }
}

impl stage::GuestInstance for Attack {
    fn configure(function: String, options: String, _: Vec<u8>) -> Result<(stage::Instance, stage::Plan), Vec<StageError>> {
        let attack = ATTACKS.iter().find(|(name, _, _)| *name == function);
        let (_, _, run) = attack.ok_or_else(|| vec![StageError::options("unknown_function", format!("no attack `{function}`"))])?;
        let options = etl_sdk::serde_json::from_str(&options).unwrap_or_default();
        let plan = stage::Plan { output: None, columns: None, cardinality: Cardinality::Expand };
        Ok((stage::Instance::new(Attack { run: *run, options }), plan))
    }

    fn process(&self, _: &data::Batch, _: &data::Output) -> Result<(), StageError> {
        Err(StageError::internal("saw", (self.run)(&self.options)))
    }

    fn finish(&self, _: &data::Output) -> Result<(), StageError> {
        Ok(())
    }

    fn snapshot(&self) -> Result<Vec<u8>, StageError> {
        Ok(Vec::new())
    }

    fn restore(function: String, options: String, input: Vec<u8>, _: Vec<u8>) -> Result<(stage::Instance, stage::Plan), Vec<StageError>> {
        Self::configure(function, options, input)
    }
}

thread_local! {
    /// What is never let go of.
    static HELD: RefCell<Vec<Box<dyn std::any::Any>>> = const { RefCell::new(Vec::new()) };
}

fn hold(thing: impl std::any::Any) -> usize {
    HELD.with_borrow_mut(|held| {
        held.push(Box::new(thing));
        held.len()
    })
}

/// The requests, by the raw interface.
#[cfg(target_arch = "wasm32")]
mod wire {
    use etl_sdk::serde_json::Value;
    use wasip2::http::outgoing_handler::handle;
    use wasip2::http::types::{ErrorCode, Fields, FutureIncomingResponse, IncomingResponse, Method, OutgoingBody, OutgoingRequest, Scheme};
    use wasip2::io::streams::StreamError;

    use super::hold;

    fn parts(url: &Value) -> (Scheme, String, String) {
        let url = url.as_str().unwrap_or_default();
        let (scheme, rest) = url.split_once("://").unwrap_or(("https", url));
        let end = rest.find('/').unwrap_or(rest.len());
        (if scheme == "http" { Scheme::Http } else { Scheme::Https }, rest[..end].to_owned(), rest[end..].to_owned())
    }

    fn request(url: &Value, headers: &[(&str, &str)]) -> OutgoingRequest {
        let fields = Fields::new();
        for (name, value) in headers {
            fields.append(name, value.as_bytes()).expect("it is a header");
        }
        let (scheme, authority, path) = parts(url);
        let request = OutgoingRequest::new(fields);
        request.set_scheme(Some(&scheme)).expect("it is a scheme");
        request.set_authority(Some(&authority)).expect("it is an authority");
        request.set_path_with_query(Some(&path)).expect("it is a path");
        request
    }

    fn wait(answer: &FutureIncomingResponse) -> Result<IncomingResponse, String> {
        answer.subscribe().block();
        answer.get().expect("it is ready").expect("it is asked once").map_err(|code| name(&code))
    }

    fn name(code: &ErrorCode) -> String {
        let text = format!("{code:?}");
        text.strip_prefix("ErrorCode::").unwrap_or(&text).to_owned()
    }

    fn send(request: OutgoingRequest) -> Result<IncomingResponse, String> {
        wait(&handle(request, None).map_err(|code| name(&code))?)
    }

    /// Status, length and beginning of the body, and how reading it ended.
    fn read(response: &IncomingResponse) -> String {
        let mut text = response.status().to_string();
        for (name, value) in response.headers().entries() {
            if name.starts_with("x-") || name == "location" {
                text.push_str(&format!(" {name}={}", String::from_utf8_lossy(&value)));
            }
        }
        let body = response.consume().expect("it is asked once");
        let stream = body.stream().expect("it is asked once");
        let (mut bytes, mut start) = (0, Vec::new());
        let end = loop {
            match stream.blocking_read(1 << 20) {
                Ok(chunk) => {
                    bytes += chunk.len();
                    start.extend_from_slice(&chunk[..chunk.len().min(200 - start.len().min(200))]);
                }
                Err(StreamError::Closed) => break String::new(),
                Err(StreamError::LastOperationFailed(error)) => {
                    let code = wasip2::http::types::http_error_code(&error);
                    break format!(", then {}", code.map_or_else(|| "an unknown error".into(), |code| name(&code)));
                }
            }
        };
        match end.is_empty() {
            true => format!("{text} `{}`", String::from_utf8_lossy(&start)),
            // How much comes before the end is a matter of time.
            false => format!("{text}, {} MiB{end}", bytes >> 20),
        }
    }

    pub(super) fn ask(url: &Value) -> String {
        send(request(url, &[])).map_or_else(|error| error, |response| read(&response))
    }

    fn below(options: &Value, path: &str) -> Value {
        Value::from(format!("{}{path}", options["url"].as_str().unwrap_or_default()))
    }

    pub(super) fn ask_path(options: &Value, path: &str) -> String {
        ask(&below(options, path))
    }

    pub(super) fn follow(options: &Value) -> String {
        let first = match send(request(&below(options, "/redirect"), &[])) {
            Ok(response) => response,
            Err(error) => return error,
        };
        let location = first.headers().get("location").into_iter().next().unwrap_or_default();
        let second = ask(&Value::from(String::from_utf8_lossy(&location).into_owned()));
        format!("{}, then {second}", read(&first))
    }

    pub(super) fn own_credentials(url: &Value) -> String {
        let headers = [("authorization", "Bearer of the guest"), ("Authorization", "Bearer of the guest, again"), ("accept", "text/plain")];
        send(request(url, &headers)).map_or_else(|error| error, |response| read(&response))
    }

    pub(super) fn method(options: &Value, method: &str) -> String {
        let request = request(&options["url"], &[]);
        request.set_method(&Method::Other(method.into())).expect("it is a method");
        let other = send(request).map_or_else(|error| error, |response| read(&response));
        let request = self::request(&options["url"], &[]);
        request.set_method(&Method::Trace).expect("it is a method");
        format!("{other}, {}", send(request).map_or_else(|error| error, |response| read(&response)))
    }

    pub(super) fn many_at_once(options: &Value) -> String {
        let url = below(options, "/ok");
        let (mut answered, mut refused) = (0, std::collections::BTreeMap::new());
        let mut open = Vec::new();
        for _ in 0..100 {
            match handle(request(&url, &[]), None).map_err(|code| name(&code)).and_then(|answer| wait(&answer)) {
                Ok(response) => {
                    answered += 1;
                    // Its body is not read, so the connection stays.
                    open.push(response);
                }
                Err(error) => *refused.entry(error).or_insert(0) += 1,
            }
        }
        format!("{answered} answered, {refused:?}")
    }

    pub(super) fn for_ever(options: &Value) -> String {
        let url = below(options, "/ok");
        loop {
            let _ = ask(&url);
        }
    }

    pub(super) fn hoard(options: &Value) -> String {
        loop {
            let request = request(&options["url"], &[("x-fill", &"x".repeat(20_000))]);
            request.set_path_with_query(Some(&format!("/{}", "x".repeat(60_000)))).expect("it is a path");
            let body = request.body().expect("it is asked once");
            let stream = body.write().expect("it is asked once");
            while stream.check_write().is_ok_and(|room| room > 0 && stream.write(&vec![0; room as usize]).is_ok()) {}
            hold((stream, body, request));
        }
    }

    pub(super) fn long_names(options: &Value) -> String {
        let request = request(&options["url"], &[]);
        let long = "x".repeat(1 << 20);
        let authority = request.set_authority(Some(&format!("{long}.example.com"))).is_err();
        let method = request.set_method(&Method::Other(long.clone())).is_err();
        let scheme = request.set_scheme(Some(&Scheme::Other(long.clone()))).is_err();
        let path = request.set_path_with_query(Some(&format!("/{long}"))).is_err();
        format!(
            "authority {authority}, method {method}, scheme {scheme}, path {path}: refused; next a header: {:?}",
            Fields::new().append("x-long", long.as_bytes())
        )
    }

    pub(super) fn smuggle(options: &Value) -> String {
        let fields = Fields::new();
        let second = "x\r\nHost: evil.example.com\r\n\r\nGET /smuggled HTTP/1.1\r\n";
        let mut tried = Vec::new();
        for (header, value) in [
            ("x-a", second),
            ("x-a\r\nx-b", "b"),
            ("host", "evil.example.com"),
            ("transfer-encoding", "chunked"),
            ("connection", "authorization"),
            ("x-nul", "a\0b"),
            ("content-length", "+5"),
            ("upgrade", "h2c"),
        ] {
            tried.push(fields.append(header, value.as_bytes()).is_err());
        }
        let request = OutgoingRequest::new(fields);
        let (scheme, authority, _) = parts(&options["url"]);
        tried.push(request.set_path_with_query(Some(&format!("/ HTTP/1.1\r\n{second}"))).is_err());
        tried.push(request.set_path_with_query(Some("http://evil.example.com/")).is_err());
        tried.push(request.set_authority(Some(&format!("{authority}\r\n{second}"))).is_err());
        tried.push(request.set_method(&Method::Other("GET /smuggled HTTP/1.1\r\n".into())).is_err());
        let all = tried.iter().all(|refused| *refused);
        let mut asked = Vec::new();
        // What parses as an authority and may be read in two ways.
        for authority in [format!("evil.example.com@{authority}"), format!("{authority}@evil.example.com"), format!("{authority}.")] {
            let request = OutgoingRequest::new(Fields::new());
            request.set_scheme(Some(&scheme)).expect("it is a scheme");
            request.set_path_with_query(Some("/ok")).expect("it is a path");
            asked.push(match request.set_authority(Some(&authority)) {
                Ok(()) => send(request).map_or_else(|error| error, |response| read(&response)),
                Err(()) => "refused".into(),
            });
        }
        format!("all refused: {all} {tried:?}; {asked:?}")
    }

    pub(super) fn lie_about_length(options: &Value) -> String {
        let request = request(&below(options, "/echo"), &[("content-length", "5")]);
        request.set_method(&Method::Post).expect("it is a method");
        let body = request.body().expect("it is asked once");
        let answer = match handle(request, None) {
            Ok(answer) => answer,
            Err(code) => return name(&code),
        };
        let stream = body.write().expect("it is asked once");
        let more = stream.blocking_write_and_flush(b"12345GET /smuggled HTTP/1.1\r\n\r\n").is_ok();
        drop(stream);
        let finished = OutgoingBody::finish(body, None).map_err(|code| name(&code));
        format!("{more} {finished:?} {}", wait(&answer).map_or_else(|error| error, |response| read(&response)))
    }

    pub(super) fn send_flood(options: &Value) -> String {
        let request = request(&below(options, "/echo"), &[]);
        request.set_method(&Method::Post).expect("it is a method");
        let body = request.body().expect("it is asked once");
        let answer = match handle(request, None) {
            Ok(answer) => answer,
            Err(code) => return name(&code),
        };
        let stream = body.write().expect("it is asked once");
        let chunk = vec![b'x'; 4096];
        let mut bytes = 0;
        while stream.blocking_write_and_flush(&chunk).is_ok() {
            bytes += chunk.len();
        }
        // A part more is under way.
        format!("{} MiB taken, {}", bytes >> 20, wait(&answer).map_or_else(|error| error, |response| read(&response)))
    }
}

/// Natively there is nobody to attack.
#[cfg(not(target_arch = "wasm32"))]
mod wire {
    use etl_sdk::serde_json::Value;

    macro_rules! nothing {
        ($($name:ident)*) => { $(pub(super) fn $name(_: &Value) -> String { super::hold(()).to_string() })* };
    }

    nothing!(ask follow own_credentials many_at_once for_ever hoard long_names smuggle lie_about_length send_flood);

    pub(super) fn ask_path(_: &Value, _: &str) -> String {
        String::new()
    }

    pub(super) fn method(_: &Value, _: &str) -> String {
        String::new()
    }
}

#[cfg(target_arch = "wasm32")]
etl_sdk::bindings::columns::export_transform!(Evil with_types_in etl_sdk::bindings::columns);
