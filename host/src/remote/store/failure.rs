//! What a cloud storage says when it refuses, in our words, and what to do next.

use object_store::Error as StoreError;

use crate::error::Error;
use crate::network::refused_certificate;

/// What storages call it that one whom they know may not do something.
const MAY_NOT: [&str; 4] = ["AccessDenied", "AuthorizationPermissionMismatch", "AuthorizationFailure", "Forbidden"];

/// What the storage said.
struct Said {
    /// Its own word for it, such as `NoSuchBucket`.
    code: Option<String>,
    /// A sentence.
    message: String,
}

/// Makes our error of one of the storage: `doing` is what we were at, `secrets` are texts that must not be seen.
pub(super) fn failure(doing: String, error: &StoreError, secrets: &[String]) -> Error {
    let said = said(error, secrets);
    let failed = Error::outside(doing).because(anyhow::anyhow!("{}", said.message));
    match hint(&said, error) {
        Some(hint) => failed.hint(hint),
        None => failed,
    }
}

/// Makes our error of one that a client could not even be made for.
pub(super) fn unusable(title: &str, error: &StoreError, secrets: &[String]) -> Error {
    Error::config(format!("`{title}` cannot be reached as it is configured"))
        .because(anyhow::anyhow!("{}", said(error, secrets).message))
        .hint("look at `storage.credentials`, and at what the environment says (`AWS_…`, `GOOGLE_…`, `AZURE_…`)")
}

/// Whether it says that there is no such object; that there is no such bucket is something else.
pub(super) fn is_missing(error: &StoreError) -> bool {
    matches!(error, StoreError::NotFound { .. }) && !text(error).contains("NoSuchBucket") && !text(error).contains("ContainerNotFound")
}

/// Whether it says that there is no such upload; of Azure, that its blocks are gone, which become part of the blob.
pub(super) fn is_gone(error: &StoreError) -> bool {
    is_missing(error) || ["NoSuchUpload", "InvalidBlockList", "status code: 404"].iter().any(|sign| text(error).contains(sign))
}

/// Whether it says that this may not be done.
pub(super) fn is_refused(error: &StoreError) -> bool {
    matches!(error, StoreError::PermissionDenied { .. }) || text(error).contains("status code: 403")
}

/// Whether it knows who asks, and says that this one may not: not that the credentials are wrong.
pub(super) fn may_not(error: &StoreError) -> bool {
    is_refused(error) && element(&text(error), "Code").is_none_or(|code| MAY_NOT.contains(&code.as_str()))
}

/// Whether the storage gave a reason, beside the number of its answer.
pub(super) fn says_why(error: &StoreError) -> bool {
    let text = text(error);
    element(&text, "Code").is_some() || !text.contains("Server returned")
}

fn said(error: &StoreError, secrets: &[String]) -> Said {
    let text = text(error);
    let code = element(&text, "Code");
    let message = match (&code, element(&text, "Message")) {
        (Some(code), Some(message)) => format!("{code}: {}", message.lines().next().unwrap_or_default()),
        (Some(code), None) => code.clone(),
        (None, _) => refused_certificate(error).unwrap_or_else(|| innermost(error)),
    };
    Said { code, message: mask(message, secrets) }
}

fn text(error: &StoreError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        source = inner.source();
    }
    text
}

/// The last two levels of an error: what was done to whom, and why not.
fn innermost(error: &StoreError) -> String {
    let mut levels = vec![error.to_string()];
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        levels.push(inner.to_string());
        source = inner.source();
    }
    let mut kept: Vec<String> = Vec::new();
    for level in levels.into_iter().rev() {
        // A level often repeats the one below it.
        if kept.first().is_none_or(|below| !level.contains(below.as_str())) {
            kept.insert(0, level);
        }
        if kept.len() == 2 {
            break;
        }
    }
    kept.join(": ").trim_end_matches([' ', ':']).to_owned()
}

/// The text of an element in the storage's answer.
fn element(text: &str, name: &str) -> Option<String> {
    let start = text.find(&format!("<{name}>"))? + name.len() + 2;
    let end = start + text[start..].find('<')?;
    Some(text[start..end].to_owned())
}

/// Leaves out secrets, and the queries of URLs, in which signatures stand.
fn mask(mut text: String, secrets: &[String]) -> String {
    for secret in secrets {
        text = text.replace(secret.as_str(), "***");
    }
    let mut shown = String::with_capacity(text.len());
    for (number, word) in text.split(' ').enumerate() {
        if number > 0 {
            shown.push(' ');
        }
        match (word.contains("://"), word.split_once('?')) {
            (true, Some((url, _))) => shown.push_str(url),
            _ => shown.push_str(word),
        }
    }
    shown
}

fn hint(said: &Said, error: &StoreError) -> Option<&'static str> {
    let code = said.code.as_deref().unwrap_or_default();
    Some(match code {
        "NoSuchBucket" | "ContainerNotFound" => {
            "is the bucket's name right, and does it stand in this account and region? it is not made here"
        }
        code if MAY_NOT.contains(&code) => {
            "the credentials are known but may not do this: give them leave to list, read and, for a sink, write and delete in this bucket"
        }
        "InvalidAccessKeyId"
        | "NotSignedUp"
        | "SignatureDoesNotMatch"
        | "AuthenticationFailed"
        | "InvalidToken"
        | "InvalidAuthenticationInfo" => {
            "the key or the secret is wrong: look at `storage.credentials`, and at the environment, which is asked where they are absent"
        }
        "ExpiredToken" | "TokenRefreshRequired" => "the session token has run out: get a new one",
        "RequestTimeTooSkewed" => "the clock of this machine is wrong: set it, by NTP for example",
        "PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException" => {
            "the bucket stands in another region: set `region` under `storage.credentials`"
        }
        "SlowDown" | "ServerBusy" | "TooManyRequests" => {
            "the storage is overloaded: run it again later, or less at a time; `max_retries` in settings.yaml has it asked for longer"
        }
        "EntityTooLarge" => "the object is larger than the storage takes: `max_rows_per_file` makes smaller ones",
        "QuotaExceeded" => "the storage is full: free some space, or write elsewhere",
        _ => return general_hint(said, error),
    })
}

fn general_hint(said: &Said, error: &StoreError) -> Option<&'static str> {
    let text = text(error);
    if refused_certificate(error).is_some() {
        // What is to be done stands there already.
        return None;
    }
    if text.contains("Received redirect without LOCATION") {
        return Some("the bucket stands in another region: set `region` under `storage.credentials`");
    }
    if text.contains("169.254.169.254") || text.contains("metadata.google.internal") {
        return Some(
            "no credentials were found, so that those of a cloud machine were asked for: give them under `storage.credentials` or in the environment",
        );
    }
    if text.contains("empty path segment") {
        return Some(
            "an object's name has an empty part, `//`, which cannot be read here: rename it, or name a prefix that does not hold it",
        );
    }
    if text.contains("URL scheme is not allowed") {
        return Some("the endpoint is without TLS: `allow_http: true` under `storage.credentials` says that this is meant");
    }
    match error {
        StoreError::PermissionDenied { .. } => {
            Some("the credentials may not do this: give them leave to list, read and, for a sink, write and delete in this bucket")
        }
        StoreError::Unauthenticated { .. } => Some(
            "the credentials are not accepted: look at `storage.credentials`, and at the environment, which is asked where they are absent",
        ),
        StoreError::NotFound { .. } => None,
        _ if [" 500 ", " 502 ", " 503 ", " 504 ", " 429 "].iter().any(|status| said.message.contains(status)) => {
            Some("the storage is overloaded or down: run it again later; `max_retries` in settings.yaml has it asked for longer")
        }
        _ if said.message.contains("error sending request") || said.message.contains("onnect") => Some(
            "is the address right and the storage up? `endpoint` under `storage.credentials` names another, and `max_retries` in \
                 settings.yaml has it asked for longer",
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generic(text: &str) -> StoreError {
        StoreError::Generic { store: "S3", source: text.to_owned().into() }
    }

    #[test]
    fn what_a_storage_says_is_shown_with_what_to_do_and_without_secrets() {
        let body = "Error performing GET http://h/b?sig=abc in 1ms - Server returned non-2xx status code: 403 Forbidden: <Error>\
                    <Code>InvalidAccessKeyId</Code><Message>The key s3cr3t is unknown</Message></Error>";
        let error = failure("could not list `s3://b/`".into(), &generic(body), &["s3cr3t".into()]);
        assert_eq!(error.chain(), ["could not list `s3://b/`", "InvalidAccessKeyId: The key *** is unknown"]);
        assert!(error.find_hint().unwrap().starts_with("the key or the secret is wrong"));
        let error = failure("could not read `az://c/a`".into(), &generic("GET https://h/c/a?sv=1&sig=abc failed"), &[]);
        assert!(!error.one_line().contains("sig="), "{error:?}");
        for (code, start) in [
            ("NoSuchBucket", "is the bucket's name right"),
            ("RequestTimeTooSkewed", "the clock of this machine"),
            ("PermanentRedirect", "the bucket stands in another region"),
            ("AccessDenied", "the credentials are known but may not"),
        ] {
            let error = failure(String::new(), &generic(&format!("<Code>{code}</Code>")), &[]);
            assert!(error.find_hint().unwrap().starts_with(start), "{code}");
        }
    }
}
