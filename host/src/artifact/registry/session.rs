//! Talks HTTP to one repository of one registry: credentials, redirects, limits and time-outs.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER};
use http::{Method, StatusCode};
use reqwest::{Response, Url};
use serde::Deserialize;

use super::Registries;
use super::challenge::{Challenge, challenges};
use crate::artifact::credentials::{self, Credentials, Known, Secret, basic};
use crate::config::component::Reference;
use crate::error::{Context, Error, Result};
use crate::network;

/// Redirects that are followed for one answer.
const MAX_REDIRECTS: usize = 5;
/// Times that a request is made where the registry says that it is busy or the connection breaks.
const ATTEMPTS: u32 = 3;
/// First pause between them; it doubles.
const PAUSE: Duration = Duration::from_millis(500);
/// Longest pause, whatever the registry asks for.
const LONGEST_PAUSE: Duration = Duration::from_secs(20);
/// Bytes of an answer that says what is wrong, and of one with a token.
pub(super) const MAX_WORDS: u64 = 64 << 10;
/// All of an answer may take so many times what it may be silent.
const SILENCES: u32 = 10;
/// Slowest upload that is waited for, in bytes a second.
const SLOWEST_UPLOAD: u64 = 64 << 10;

/// What we want to do, which decides what a token must allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    Pull,
    Push,
}

/// A repository, and what we know of how to talk to it.
pub(super) struct Session {
    client: reqwest::Client,
    /// `scheme://host:port` of the registry.
    pub(super) base: Url,
    /// The registry as the user names it.
    pub(super) registry: String,
    repository: String,
    access: Access,
    known: Known,
    plain_http: bool,
    /// Time that the registry may be silent.
    silence: Duration,
    authorization: Option<HeaderValue>,
}

/// A request that can be made again.
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) accept: Option<&'static str>,
    pub(super) body: Option<(&'static str, Bytes)>,
}

impl Request {
    pub(super) fn get(url: Url) -> Self {
        Self { method: Method::GET, url, accept: None, body: None }
    }
}

impl Session {
    pub(super) fn open(reference: &Reference, access: Access, options: &Registries, env: &dyn Fn(&str) -> Option<String>) -> Result<Self> {
        let Registries { plain_http, authority_files, silence, login } = options;
        let host = if reference.registry == "docker.io" { "registry-1.docker.io" } else { &reference.registry };
        let parse = |scheme: &str| {
            Url::parse(&format!("{scheme}://{host}/"))
                .map_err(|error| Error::config(format!("`{}` is no address of a registry", reference.registry)).because(error))
        };
        let mut base = parse("https")?;
        let local = is_loopback(&base);
        if *plain_http || local && authority_files.is_empty() {
            base = parse("http")?;
        }
        let known = credentials::find(&reference.registry, login.as_ref(), env)?;
        // Nothing else in the process decides it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut client = reqwest::Client::builder()
            .user_agent(concat!("etl-host/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(*silence);
        if local {
            client = client.no_proxy();
        }
        if base.scheme() == "https" && !authority_files.is_empty() {
            client = client.tls_certs_merge(network::authorities(authority_files)?);
        }
        let client = client.build().outside(|| "setting up a client for registries".into())?;
        Ok(Self {
            client,
            base,
            registry: reference.registry.clone(),
            repository: reference.repository.clone(),
            access,
            known,
            plain_http: *plain_http,
            silence: *silence,
            authorization: None,
        })
    }

    /// The address of something in the repository, such as `manifests/1.2`.
    pub(super) fn url(&self, path: &str) -> Url {
        self.base.join(&format!("v2/{}/{path}", self.repository)).expect("repository and path were looked at")
    }

    /// Makes a request, with credentials where the registry asks for some, and reads the answer, which may have `limit` bytes at most.
    ///
    /// Redirects of a `GET` are followed. What breaks off or is turned away for now is tried again.
    pub(super) async fn fetch(&mut self, request: Request, limit: u64, what: &str) -> Result<Answer> {
        let mut attempt = 1;
        loop {
            let answer = match self.fetch_once(&request, limit, what).await {
                Ok(answer) if !is_busy(answer.status) => return Ok(answer),
                // A request with a body may have arrived.
                Err(Broken::Passing(error)) if request.body.is_none() => Err(error),
                Err(Broken::Passing(error) | Broken::Lasting(error)) => return Err(error),
                Ok(answer) => Ok(answer),
            };
            if attempt == ATTEMPTS {
                return answer;
            }
            let pause = pause(attempt, answer.as_ref().map(|answer| &answer.headers).ok());
            tracing::debug!(registry = self.registry, attempt, "the registry did not answer as it should, trying again");
            tokio::time::sleep(pause).await;
            attempt += 1;
        }
    }

    async fn fetch_once(&mut self, request: &Request, limit: u64, what: &str) -> Result<Answer, Broken> {
        let mut response = self.follow(request).await?;
        if response.status() == StatusCode::UNAUTHORIZED && same_origin(response.url(), &self.base) {
            let asked = challenges(response.headers());
            if self.authorize(&asked).await? {
                response = self.follow(request).await?;
            }
        }
        self.read(response, limit, what).await
    }

    async fn follow(&self, request: &Request) -> Result<Response, Broken> {
        let mut url = request.url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let response = self.exchange(request, &url).await?;
            let moved = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) && request.method == Method::GET;
            let Some(location) = response.headers().get(LOCATION).filter(|_| moved) else { return Ok(response) };
            url = self.location(&url, location)?;
        }
        Err(Broken::Lasting(Error::outside(format!("registry `{}` redirects more than {MAX_REDIRECTS} times", self.registry))))
    }

    /// One request, one answer. Credentials go to the registry itself and nowhere else.
    async fn exchange(&self, request: &Request, url: &Url) -> Result<Response, Broken> {
        let mut builder = self.client.request(request.method.clone(), url.clone());
        if let Some(accept) = request.accept {
            builder = builder.header(ACCEPT, accept);
        }
        if let Some(authorization) = self.authorization.as_ref().filter(|_| same_origin(url, &self.base)) {
            builder = builder.header(AUTHORIZATION, authorization.clone());
        }
        let mut patience = self.silence;
        if let Some((kind, body)) = &request.body {
            patience += Duration::from_secs(body.len() as u64 / SLOWEST_UPLOAD);
            builder = builder.header(CONTENT_TYPE, *kind).body(body.clone());
        }
        self.wait(url, patience, builder.send()).await
    }

    /// Waits for the registry, but not for ever.
    async fn wait<T>(&self, url: &Url, patience: Duration, work: impl Future<Output = reqwest::Result<T>>) -> Result<T, Broken> {
        match tokio::time::timeout(patience, work).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => Err(self.broken(url, error)),
            Err(_) => Err(Broken::Lasting(self.silent(url))),
        }
    }

    /// Where a redirect or an upload goes on.
    pub(super) fn location(&self, from: &Url, location: &HeaderValue) -> Result<Url> {
        let wrong = || Error::outside(format!("registry `{}` sends us to an address that is none", self.registry));
        let url = from.join(location.to_str().map_err(|error| wrong().because(error))?).map_err(|error| wrong().because(error))?;
        self.check_scheme(&url)?;
        Ok(url)
    }

    /// Holds an address that the registry gives to what we would have asked for ourselves.
    fn check_scheme(&self, url: &Url) -> Result<()> {
        let plain_before = self.base.scheme() == "http";
        match url.scheme() {
            "https" => Ok(()),
            "http" if plain_before && (self.plain_http || is_loopback(url)) => Ok(()),
            scheme => {
                let (registry, host) = (&self.registry, url.host_str().unwrap_or_default());
                let error = Error::outside(format!("registry `{registry}` sends us to `{scheme}://{host}`, which is not encrypted"));
                Err(error.hint("that is the registry's mistake; nothing was sent there"))
            }
        }
    }

    /// Gets what the registry asks for; whether there is now something to send that was not sent before.
    async fn authorize(&mut self, asked: &[Challenge]) -> Result<bool, Broken> {
        let before = self.authorization.take();
        for challenge in asked {
            let value = match (challenge, &self.known.credentials) {
                (Challenge::Basic, Credentials::Login(login)) => format!("Basic {}", basic(login)),
                (Challenge::Basic, _) => continue,
                (Challenge::Bearer { .. }, Credentials::Token(token)) => format!("Bearer {}", token.expose()),
                (Challenge::Bearer { realm, service, scope }, _) => {
                    let token = self.token(realm, service.as_deref(), scope.as_deref()).await?;
                    format!("Bearer {}", token.expose())
                }
            };
            let mut value = HeaderValue::try_from(value)
                .map_err(|_| Error::config(format!("{} holds characters that HTTP cannot carry", self.known.origin)))?;
            value.set_sensitive(true);
            let fresh = before.as_ref() != Some(&value);
            self.authorization = Some(value);
            return Ok(fresh);
        }
        Ok(false)
    }

    /// Gets a token from the realm that the registry names.
    async fn token(&self, realm: &str, service: Option<&str>, scope: Option<&str>) -> Result<Secret, Broken> {
        let mut url = Url::parse(realm)
            .map_err(|error| Error::outside(format!("registry `{}` names no address that gives tokens", self.registry)).because(error))?;
        self.check_scheme(&url)?;
        let actions = if self.access == Access::Push { "pull,push" } else { "pull" };
        let ours = format!("repository:{}:{actions}", self.repository);
        // What the registry asks for, unless it is for another repository.
        let scope = scope.filter(|scope| scope.starts_with(&format!("repository:{}:", self.repository))).unwrap_or(&ours).to_owned();
        let mut fields = vec![("scope", scope.as_str())];
        fields.extend(service.map(|service| ("service", service)));
        let mut request = match &self.known.credentials {
            Credentials::Identity(token) => {
                fields.extend([("grant_type", "refresh_token"), ("client_id", "etl-host"), ("refresh_token", token.expose())]);
                let mut form = Url::parse("form:").expect("it is an address");
                form.query_pairs_mut().extend_pairs(&fields);
                let body = form.query().unwrap_or_default().to_owned();
                self.client.post(url.clone()).header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(body)
            }
            _ => {
                url.query_pairs_mut().extend_pairs(&fields);
                self.client.get(url.clone())
            }
        };
        if let Credentials::Login(login) = &self.known.credentials {
            let mut value = HeaderValue::try_from(format!("Basic {}", basic(login))).bug(|| "writing credentials".into())?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        let response = self.wait(&url, self.silence, request.send()).await?;
        let answer = self.read(response, MAX_WORDS, "a token").await?;
        if !answer.status.is_success() {
            return Err(Broken::Lasting(self.refused(&answer, "asking for a token")));
        }
        #[derive(Deserialize)]
        struct Token {
            token: Option<String>,
            access_token: Option<String>,
        }
        let token = serde_json::from_slice::<Token>(&answer.body).ok().and_then(|token| token.token.or(token.access_token));
        token.map(Secret::new).ok_or_else(|| {
            let host = url.host_str().unwrap_or_default();
            Broken::Lasting(Error::outside(format!("`{host}`, which gives tokens for registry `{}`, answered without one", self.registry)))
        })
    }

    /// Reads an answer; one that says no may have few bytes only.
    async fn read(&self, mut response: Response, limit: u64, what: &str) -> Result<Answer, Broken> {
        let (status, headers, url) = (response.status(), response.headers().clone(), response.url().clone());
        let limit = if status.is_success() { limit } else { MAX_WORDS };
        let deadline = Instant::now() + self.silence * SILENCES;
        let too_much = || {
            let error = Error::outside(format!("registry `{}` sends more than {limit} bytes for {what}", self.registry));
            Broken::Lasting(error.hint("nothing was kept"))
        };
        if status.is_success() && response.content_length().is_some_and(|length| length > limit) {
            return Err(too_much());
        }
        let mut body = Vec::new();
        while let Some(chunk) = self.wait(&url, self.silence, response.chunk()).await? {
            if body.len() as u64 + chunk.len() as u64 > limit {
                // The start of an error is enough.
                if !status.is_success() {
                    break;
                }
                return Err(too_much());
            }
            body.extend_from_slice(&chunk);
            if Instant::now() > deadline {
                let (seconds, got) = ((self.silence * SILENCES).as_secs(), body.len());
                let error = Error::outside(format!("registry `{}` sent {got} bytes of {what} in {seconds} s", self.registry));
                return Err(Broken::Lasting(error.hint("try again when it is faster, or give it more time with `--registry-timeout`")));
            }
        }
        Ok(Answer { status, headers, url, body })
    }

    /// Says that nothing came for too long.
    fn silent(&self, url: &Url) -> Error {
        let seconds = self.silence.as_secs_f64();
        let at = self.elsewhere(url);
        Error::outside(format!("registry `{}` is silent for more than {seconds} s{at}", self.registry))
            .hint("try again, or give it more time with `--registry-timeout`")
    }

    /// Says what broke below HTTP.
    fn broken(&self, url: &Url, error: reqwest::Error) -> Broken {
        if error.is_timeout() {
            return Broken::Lasting(self.silent(url));
        }
        let at = self.elsewhere(url);
        if let Some(why) = network::refused_certificate(&error) {
            return Broken::Lasting(Error::outside(format!("registry `{}` is not trusted{at}: {why}", self.registry)));
        }
        // Addresses of uploads and downloads may hold tokens.
        let error = error.without_url();
        if error.is_connect() {
            let hint = match self.base.scheme() {
                "https" => "is the name right, and is it up? one that does not encrypt needs `--plain-http`",
                _ => "is the name right, and is it up? it was asked without encryption",
            };
            return Broken::Lasting(
                Error::outside(format!("registry `{}` cannot be reached{at}", self.registry)).because(error).hint(hint),
            );
        }
        Broken::Passing(Error::outside(format!("registry `{}` broke off{at}", self.registry)).because(error).hint("try again"))
    }

    /// Where an address is, if it is not the registry's own.
    fn elsewhere(&self, url: &Url) -> String {
        if same_origin(url, &self.base) { String::new() } else { format!(" (at `{}`)", url.host_str().unwrap_or_default()) }
    }

    /// Says that the registry answered no.
    pub(super) fn refused(&self, answer: &Answer, doing: &str) -> Error {
        let Self { registry, repository, known, .. } = self;
        let anonymous = known.credentials == Credentials::Anonymous;
        let login = || {
            let [registry_name, username, password] = [credentials::REGISTRY, credentials::USERNAME, credentials::PASSWORD];
            format!("`docker login {registry}`, or `--username NAME --password-stdin`, or set {registry_name}, {username} and {password}")
        };
        let verb = if self.access == Access::Push { "push to" } else { "pull from" };
        let error = match answer.status {
            StatusCode::UNAUTHORIZED if anonymous => {
                let note = known.note.as_ref().map(|note| format!("; {note}")).unwrap_or_default();
                Error::config(format!("registry `{registry}` wants credentials to {verb} `{repository}`, and there are none{note}"))
                    .hint(login())
            }
            StatusCode::UNAUTHORIZED => {
                Error::config(format!("registry `{registry}` does not take the credentials from {}", known.origin)).hint(login())
            }
            StatusCode::FORBIDDEN if anonymous => {
                Error::config(format!("registry `{registry}` lets nobody {verb} `{repository}` without credentials")).hint(login())
            }
            StatusCode::FORBIDDEN => Error::config(format!(
                "registry `{registry}` does not let us {verb} `{repository}` with the credentials from {}",
                known.origin
            )),
            StatusCode::TOO_MANY_REQUESTS => Error::outside(format!("registry `{registry}` is asked too often")).hint("try again later"),
            status => Error::outside(format!("registry `{registry}` answered {status} to {doing}{}", self.elsewhere(&answer.url))),
        };
        match self.words(&answer.body) {
            words if words.is_empty() => error,
            words => error.because(anyhow::Error::msg(words)),
        }
    }

    /// What an answer says is wrong, short and without secrets.
    fn words(&self, body: &[u8]) -> String {
        #[derive(Deserialize)]
        struct Words {
            errors: Vec<Word>,
        }
        #[derive(Deserialize)]
        struct Word {
            #[serde(default)]
            code: String,
            #[serde(default)]
            message: String,
        }
        let text = match serde_json::from_slice::<Words>(body) {
            Ok(words) => words.errors.into_iter().map(|word| format!("{}: {}", word.code, word.message)).collect::<Vec<_>>().join("; "),
            Err(_) => String::from_utf8_lossy(body).trim().to_owned(),
        };
        let mut secrets = self.known.secrets();
        let sent = self.authorization.as_ref().and_then(|value| Some(value.to_str().ok()?.split_once(' ')?.1.to_owned()));
        secrets.extend(sent);
        let text = secrets.iter().filter(|secret| !secret.is_empty()).fold(text, |text, secret| text.replace(secret.as_str(), "…"));
        text.chars().take(500).collect()
    }
}

/// An answer, read.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// Where it came from, redirects followed.
    pub(super) url: Url,
    pub(super) body: Vec<u8>,
}

/// What went wrong below HTTP, and whether it may go right another time.
enum Broken {
    Passing(Error),
    Lasting(Error),
}

/// Unless it is said otherwise, trying again is in vain.
impl From<Error> for Broken {
    fn from(error: Error) -> Self {
        Self::Lasting(error)
    }
}

fn is_busy(status: StatusCode) -> bool {
    matches!(status.as_u16(), 429 | 502 | 503 | 504)
}

/// How long to wait before a request is made again.
fn pause(attempt: u32, headers: Option<&HeaderMap>) -> Duration {
    let asked = headers.and_then(|headers| headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()).map(Duration::from_secs);
    asked.unwrap_or(PAUSE * 2_u32.pow(attempt - 1)).min(LONGEST_PAUSE)
}

/// Whether two addresses are those of one server.
fn same_origin(one: &Url, other: &Url) -> bool {
    (one.scheme(), one.host_str(), one.port_or_known_default()) == (other.scheme(), other.host_str(), other.port_or_known_default())
}

/// Whether an address is on this machine, where nobody listens in between.
fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}
