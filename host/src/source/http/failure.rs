//! What went wrong between a server and us, as errors.

use reqwest::StatusCode;

use crate::error::{Error, Fault};
use crate::network::{Prohibited, Unknown, describe};

/// Bytes of an answer's body that an error shows.
const SHOWN_BYTES: usize = 200;

/// Bytes of it that are looked through for what must not be shown. A secret that begins where an error ends is no longer than the rest.
const LOOKED_AT_BYTES: usize = 64 << 10;

/// A request did not get an answer; `opens` is what the operator would allow.
pub(super) fn no_answer(name: &str, opens: &str, error: &reqwest::Error) -> Error {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = std::error::Error::source(error);
    while let Some(level) = cause {
        if let Some(prohibited) = level.downcast_ref::<Prohibited>() {
            return shut(name, &prohibited.to_string(), opens);
        }
        if level.is::<Unknown>() {
            return Error::outside(format!("`{name}` cannot be asked: {level}"));
        }
        cause = level.source();
    }
    if error.is_builder() {
        return Error::config(format!("`{name}` cannot be asked: {}", describe(error)));
    }
    if error.is_connect() && error.is_timeout() {
        return Error::outside(format!("`{name}` does not answer: there was no connection in time"))
            .hint("are host and port right, and does a firewall let us through? `timeout.connect` gives it more seconds");
    }
    let what = if error.is_timeout() { "there was no answer in time".into() } else { describe(error) };
    Error::outside(format!("`{name}` does not answer: {what}"))
}

/// An address may not be reached.
pub(super) fn shut(name: &str, why: &str, opens: &str) -> Error {
    Error::config(format!("`{name}` is not asked: {why}")).hint(format!(
        "pipelines reach public addresses only; the operator of etl-host opens this host by `--allow-private-network {opens}`"
    ))
}

/// A body ended before its end.
pub(super) fn broke_off(name: &str, bytes: u64, error: &reqwest::Error) -> Error {
    if error.is_timeout() {
        return Error::outside(format!("the answer of `{name}` broke off after {bytes} bytes: nothing came for too long"))
            .hint("raise `timeout.read`, or ask for smaller pages");
    }
    Error::outside(format!("the answer of `{name}` broke off after {bytes} bytes: {}", describe(error)))
}

/// An answer whose status says that it is none; `body` is its beginning, without secrets.
pub(super) fn status(name: &str, method: &str, status: StatusCode, body: &str) -> Error {
    let retried = status.is_server_error() || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS);
    let fault = if status.is_client_error() && !retried { Fault::Config } else { Fault::Outside };
    let said = match body {
        "" => String::new(),
        body => format!("; it says {body}"),
    };
    let error = Error::new(fault, format!("{method} `{name}` was answered with {status}{said}"));
    match status {
        StatusCode::UNAUTHORIZED => error.hint("the credentials are missing, wrong or expired: look at `auth` and `headers`"),
        StatusCode::FORBIDDEN => error.hint("these credentials may not read this"),
        StatusCode::NOT_FOUND => error.hint("is the URL right?"),
        StatusCode::METHOD_NOT_ALLOWED => error.hint("`method` may be another one"),
        StatusCode::TOO_MANY_REQUESTS => error.hint("ask less often: `max_calls_per_minute`, `rate_limit_delay`"),
        _ => error,
    }
}

/// An answer that is of another format; `body` is its beginning, without secrets. Behind pages that were of it, the server has an error to tell.
pub(super) fn not_of_format(name: &str, format: &str, kind: &str, body: &str, first: bool) -> Error {
    let said = if body.is_empty() { String::new() } else { format!(": {body}") };
    let message = format!("`{name}` answered with {kind} where {format} was expected{said}");
    match first {
        true => Error::data(message)
            .hint("a server answers so on a page for people, or where it wants a log-in: are the URL and the credentials right?"),
        false => Error::outside(message)
            .hint("the server may tell of an error so; with checkpoints, `--resume` asks for this page again")
            .given_up(),
    }
}

/// The beginning of a body on one line, in back-quotes, as `mask` lets it be seen; empty where there is none.
pub(super) fn beginning(body: &[u8], mask: impl Fn(&str) -> String) -> String {
    // Masked before it is cut: half a secret is none that is known.
    let masked = mask(&String::from_utf8_lossy(&body[..body.len().min(LOOKED_AT_BYTES)]));
    let cut = masked.len() > SHOWN_BYTES;
    let text = &masked[..masked.floor_char_boundary(SHOWN_BYTES)];
    let text = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    match text.trim_end_matches(char::REPLACEMENT_CHARACTER).replace('`', "'").as_str() {
        "" => String::new(),
        text if cut => format!("`{text}…`"),
        text => format!("`{text}`"),
    }
}
