//! How a caller proves who it is: keys that are there, and tokens that are fetched.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};
use serde::Deserialize;

use crate::config::http::{Auth, ClientCredentials};
use crate::config::variables::Secrets;
use crate::error::{Error, Result};

/// How long before its end a token is no longer used.
const EARLY: Duration = Duration::from_secs(30);

/// Proves who the caller is.
pub(super) enum Proof {
    /// Not at all, or by a parameter, which the request has.
    None,
    /// By a header.
    Header(HeaderName, HeaderValue),
    /// By a token that is fetched.
    Token {
        /// What it is fetched with.
        credentials: ClientCredentials,
        /// The one in use.
        token: Mutex<Option<Token>>,
        /// All that there were, which must not be printed.
        told: Mutex<Secrets>,
    },
}

/// A token, and until when it is used.
#[derive(Clone)]
pub(super) struct Token {
    header: HeaderValue,
    until: Option<Instant>,
}

impl Proof {
    /// As a source asks for it.
    ///
    /// # Errors
    /// Config, where a key has characters that no header can have.
    pub(super) fn of(auth: Option<&Auth>) -> Result<Self> {
        let Some(Auth { bearer, basic, api_key, oauth2_cc }) = auth else { return Ok(Self::None) };
        if let Some(bearer) = bearer {
            return Ok(Self::Header(AUTHORIZATION, secret(format!("Bearer {}", bearer.token.0), "`auth.bearer.token`")?));
        }
        if let Some(basic) = basic {
            return Ok(Self::Header(AUTHORIZATION, basic_header(&basic.username, &basic.password.0)?));
        }
        if let Some(key) = api_key
            && let Some(name) = &key.header_name
        {
            let header = HeaderName::from_bytes(name.as_bytes()).map_err(|error| {
                Error::config(format!("`auth.api_key.header_name` is `{name}`, which is no name of a header")).because(error)
            })?;
            return Ok(Self::Header(header, secret(key.value.0.clone(), "`auth.api_key.value`")?));
        }
        Ok(match oauth2_cc {
            Some(credentials) => Self::Token { credentials: credentials.clone(), token: Mutex::new(None), told: Mutex::default() },
            None => Self::None,
        })
    }

    /// The header to send; none where there is none, or where a token must be fetched first.
    pub(super) fn header(&self) -> Option<(HeaderName, HeaderValue)> {
        match self {
            Self::None => None,
            Self::Header(name, value) => Some((name.clone(), value.clone())),
            Self::Token { token, .. } => {
                let token = token.lock().unwrap_or_else(PoisonError::into_inner);
                let fresh = token.as_ref().filter(|token| token.until.is_none_or(|until| Instant::now() < until));
                fresh.map(|token| (AUTHORIZATION, token.header.clone()))
            }
        }
    }

    /// The credentials that a token is to be fetched with, where one is needed.
    pub(super) fn wanting(&self) -> Option<&ClientCredentials> {
        match self {
            Self::Token { credentials, .. } if self.header().is_none() => Some(credentials),
            _ => None,
        }
    }

    /// Keeps a token; answers its header.
    pub(super) fn keep(&self, fetched: Token) -> (HeaderName, HeaderValue) {
        let header = (AUTHORIZATION, fetched.header.clone());
        if let Self::Token { token, told, .. } = self {
            let value = fetched.header.to_str().unwrap_or_default();
            told.lock().unwrap_or_else(PoisonError::into_inner).add(value.trim_start_matches("Bearer "));
            *token.lock().unwrap_or_else(PoisonError::into_inner) = Some(fetched);
        }
        header
    }

    /// A text without the tokens that were fetched.
    pub(super) fn mask(&self, text: &str) -> String {
        match self {
            Self::Token { told, .. } => told.lock().unwrap_or_else(PoisonError::into_inner).mask(text),
            _ => text.to_owned(),
        }
    }

    /// Forgets the token that was refused; false where there is none to fetch anew.
    pub(super) fn forget(&self) -> bool {
        let Self::Token { token, .. } = self else { return false };
        token.lock().unwrap_or_else(PoisonError::into_inner).take().is_some()
    }
}

/// What a server of tokens answers.
#[derive(Deserialize)]
struct Answer {
    access_token: String,
    #[serde(default)]
    expires_in: Option<serde_json::Value>,
}

impl Token {
    /// Reads the answer of a server of tokens.
    ///
    /// # Errors
    /// Outside, where it holds none; the message has nothing of the answer, which may be a secret.
    pub(super) fn read(answer: &[u8], url: &str) -> Result<Self> {
        let read: Answer = serde_json::from_slice(answer)
            .map_err(|_| Error::outside(format!("`{url}` answered without an `access_token`")).hint("is `token_url` right?"))?;
        let seconds = read.expires_in.and_then(|value| value.as_f64().or_else(|| value.as_str()?.parse().ok()));
        let lasts = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        // Of a token that lasts a short time half is used.
        let until = lasts.and_then(|lasts| Instant::now().checked_add(lasts.saturating_sub(EARLY).max(lasts / 2)));
        Ok(Self { header: secret(format!("Bearer {}", read.access_token), "the access token")?, until })
    }
}

/// A name and a password as a header.
pub(super) fn basic_header(username: &str, password: &str) -> Result<HeaderValue> {
    secret(format!("Basic {}", BASE64_STANDARD.encode(format!("{username}:{password}"))), "`auth.basic`")
}

/// A header that no log shows, however much it is asked for.
fn secret(text: String, what: &str) -> Result<HeaderValue> {
    let mut value = HeaderValue::from_str(&text).map_err(|_| Error::config(format!("{what} has a character that no header can have")))?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_used_until_just_before_its_end() {
        let until = |answer: &str| Token::read(answer.as_bytes(), "https://id.example.com/token").unwrap().until;
        let left = |answer: &str| until(answer).unwrap().duration_since(Instant::now()).as_secs_f64();
        assert!((3569.0..=3570.0).contains(&left(r#"{"access_token": "abc", "expires_in": 3600}"#)));
        assert!((3569.0..=3570.0).contains(&left(r#"{"access_token": "abc", "expires_in": "3600"}"#)));
        assert!((9.0..=10.0).contains(&left(r#"{"access_token": "abc", "expires_in": 20}"#)));
        assert_eq!(until(r#"{"access_token": "abc"}"#), None);
        let error = Token::read(br#"{"token": "s3cret"}"#, "https://id.example.com/token").err().unwrap();
        assert_eq!(error.one_line(), "`https://id.example.com/token` answered without an `access_token`");
    }
}
