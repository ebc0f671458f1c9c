//! Sends requests: with credentials, through redirects, again where that may help.

mod download;

pub(in crate::source) use download::{Download, download};

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use chrono::Utc;
use http::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, LINK, LOCATION, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use reqwest::{StatusCode, Url};
use tokio::sync::watch;
use tokio::time::timeout;

use super::super::Surroundings;
use super::auth::{Proof, Token, basic_header};
use super::body::{Answer, Head, Live, Page, collect};
use super::failure;
use super::fetched::{Fetched, Sent};
use super::format::Format;
pub(super) use super::pace::Hold;
use super::pace::Pace;
use super::pages::{Pages, Turn};
use super::request::{Request, authority};
use crate::config::grants::HostPattern;
use crate::config::http::{ClientCredentials, HttpSource, Retry, Timeout};
use crate::error::{Error, Fault, Result};
use crate::network::{Clients, Shut};
use crate::remote;

/// Redirects that are followed for one request.
const MAX_REDIRECTS: usize = 10;

/// The longest wait between two attempts, and the longest that a server may ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
const LONGEST_ASKED: Duration = Duration::from_secs(300);

/// Bytes of an answer of a server of tokens, and of the beginning of one that is shown.
const SMALL_BYTES: usize = 64 << 10;

/// How often it is looked whether anybody still wants what is waited for.
const LOOK: Duration = Duration::from_millis(50);

/// How long the body of a refusal is waited for.
const REFUSAL_TIME: Duration = Duration::from_secs(5);

/// Asks a server.
pub(super) struct Caller {
    pub(super) request: Arc<Request>,
    clients: Clients,
    proof: Proof,
    pace: Pace,
    retry: Retry,
    timeout: Timeout,
    /// Bytes that a body may have where it is held whole.
    limit: u64,
    title: String,
    /// Whether the run is over.
    pub(super) stop: watch::Sender<bool>,
}

/// Why an attempt came to nothing.
struct Failure {
    error: Error,
    /// Whether another one may help.
    again: bool,
    /// How long the server asked to wait.
    wait: Option<Duration>,
    /// Whether the credentials were refused.
    refused: bool,
    /// Whether nobody answered, so that the server may be away for a while.
    away: bool,
}

/// Nobody wants what was asked for any more.
fn stopped() -> Error {
    Error::outside("the run is over, so nothing more is asked for").given_up()
}

impl Failure {
    /// Nothing that another attempt would change.
    fn last(error: Error) -> Self {
        Self { again: false, wait: None, refused: false, away: false, error }
    }

    /// Something that may go by.
    fn passing(error: Error) -> Self {
        Self { again: error.fault() == Fault::Outside, ..Self::last(error) }
    }

    /// No answer at all.
    fn away(error: Error) -> Self {
        Self { away: true, ..Self::passing(error) }
    }
}

impl Caller {
    /// Makes ready to ask.
    ///
    /// # Errors
    /// Config, where a parameter is missing or does not fit; outside, where there are no certificates to check servers by.
    pub(super) fn new(source: &HttpSource, surroundings: &Surroundings<'_>) -> Result<Self> {
        let request = Request::new(source, surroundings)?;
        let proof = Proof::of(source.auth.as_ref())?;
        let Timeout { connect, read, .. } = source.timeout;
        let clients =
            |tls| Clients::new(surroundings.network, tls, |builder| builder.gzip(false).connect_timeout(connect).read_timeout(read));
        // A host that is asked without encryption needs no certificates, unless it redirects to one that does.
        let clients = clients(true).or_else(|error| if request.is_plain() { clients(false) } else { Err(error) })?;
        Ok(Self {
            request,
            clients,
            proof,
            pace: Pace::of(source),
            retry: source.retry.clone(),
            timeout: source.timeout.clone(),
            limit: source.max_response_mb.get() << 20,
            title: source.title(),
            stop: watch::channel(false).0,
        })
    }

    /// Whether what went wrong behind the head of a page may go by, so that another attempt is worth it.
    pub(super) fn helps_again(&self, error: &Error, attempt: u32) -> bool {
        error.fault() == Fault::Outside && !error.is_given_up() && attempt < self.retry.max_attempts.get()
    }

    /// Does something that asks, and ends it once a flag is set.
    pub(super) fn watching<T>(&self, flag: &AtomicBool, asks: impl FnOnce() -> T) -> T {
        thread::scope(|scope| {
            let (done, ended) = channel::<()>();
            scope.spawn(move || {
                while ended.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                    if flag.load(Ordering::Relaxed) {
                        self.stop.send_replace(true);
                        break;
                    }
                }
            });
            let outcome = asks();
            drop(done);
            outcome
        })
    }

    /// The URL as the user wrote it.
    pub(super) fn title(&self) -> String {
        self.request.mask(&self.title)
    }

    /// Asks for a page, and waits for it.
    ///
    /// # Errors
    /// As [`Self::fetch`] and [`Fetched::page`] have.
    pub(super) fn page(&self, turn: &Turn, pages: &Pages, format: &Format) -> Result<Page> {
        remote::wait(self.fetch(turn, pages, format, &mut Hold::of(&self.stop)))?.page(self, format)
    }

    /// Asks for a page, again where that may help. Of one that may not be wanted nothing is told, and it is asked for once, before that is known.
    ///
    /// # Errors
    /// Outside, where the server does not answer after all; config, where it refuses; data, where the answer is not of its format.
    pub(super) async fn fetch(&self, turn: &Turn, pages: &Pages, format: &Format, hold: &mut Hold) -> Result<Fetched> {
        let url = self.request.url(&turn.ask, pages)?;
        let mut attempt = 1;
        let mut renewed = false;
        loop {
            let answer = tokio::select! {
                biased;
                () = hold.over() => Err(Failure::last(stopped())),
                fetched = self.attempt(turn, &url, format) => fetched,
            };
            let failure = match answer {
                Ok(fetched) => {
                    self.pace.page_is_here();
                    return Ok(fetched);
                }
                Err(failure) => failure,
            };
            if !hold.is_wanted().await {
                return Err(stopped());
            }
            if failure.refused && !renewed && self.proof.forget() {
                renewed = true;
                continue;
            }
            let Failure { error, again, wait, away, .. } = failure;
            if !again {
                return Err(error.given_up());
            }
            if attempt >= self.retry.max_attempts.get() {
                if attempt == 1 {
                    return Err(error.given_up());
                }
                let told = Error::outside(format!("{error} ({attempt} attempts)"));
                // Of a server that is away a run has more patience than a request.
                let told = if away { told } else { told.given_up() };
                return Err(match error.find_hint() {
                    Some(hint) => told.hint(hint),
                    None => told,
                });
            }
            if let Some(asked) = wait.filter(|asked| *asked > LONGEST_ASKED) {
                let message = format!(
                    "`{}` asks to be left alone for {} s, more than {} s",
                    self.shown(&url),
                    asked.as_secs(),
                    LONGEST_ASKED.as_secs()
                );
                return Err(Error::outside(message)
                    .because(error)
                    .hint("run it again later; with checkpoints, `--resume` goes on")
                    .given_up());
            }
            let wait = wait.unwrap_or_else(|| back_off(attempt, self.retry.backoff_factor));
            tracing::warn!(attempt, wait_ms = wait.as_millis() as u64, error = %error.one_line(), "the server did not give the page, asking again");
            attempt += 1;
            if !hold.wait(wait).await {
                return Err(stopped());
            }
        }
    }

    fn shown(&self, url: &Url) -> String {
        self.request.shown(url)
    }

    /// A text without what must not be printed, tokens that were fetched among it.
    pub(super) fn mask(&self, text: &str) -> String {
        self.proof.mask(&self.request.mask(text))
    }

    async fn attempt(&self, turn: &Turn, url: &Url, format: &Format) -> Result<Fetched, Failure> {
        let proof = match self.proof.wanting() {
            // One that is over at once is good for this request.
            Some(credentials) => Some(self.proof.keep(self.token(credentials).await?)),
            None => self.proof.header(),
        };
        let (mut response, answered) = self.send(url, proof).await?;
        let status = response.status();
        let name = self.shown(url);
        if !status.is_success() {
            return Err(self.refused(response, &name).await);
        }
        let head = Head { asked: url.clone(), url: answered, link: next_link(response.headers()) };
        let kind = content_type(response.headers());
        let is_first = turn.pages == 0;
        if let Some(other) = format.refuses(&kind) {
            let body = self.beginning(&mut response).await;
            return Err(Failure::last(failure::not_of_format(&name, format.name(), other, &body, is_first)));
        }
        let time = self.timeout.total;
        let body = if format.streams() {
            Sent::Live(Live::new(response, &name, &self.stop))
        } else {
            let collected = timeout(time, collect(&mut response, self.limit, &name)).await.unwrap_or_else(|_| {
                Err(Error::outside(format!("the answer of `{name}` was not complete after {} s", time.as_secs_f64()))
                    .hint("raise `timeout.total`, or ask for smaller pages"))
            });
            Sent::Whole(collected.map_err(Failure::passing)?)
        };
        Ok(Fetched { ask: turn.ask.clone(), is_first, head, kind, body })
    }

    /// Sends the request, and follows redirects; answers the URL that answered, too.
    async fn send(&self, url: &Url, proof: Option<(HeaderName, HeaderValue)>) -> Result<(Answer, Url), Failure> {
        let (mut url, mut method, mut body) = (url.clone(), self.request.method.clone(), self.request.body.clone());
        let mut home = true;
        for _ in 0..=MAX_REDIRECTS {
            let name = self.shown(&url);
            let mut headers = HeaderMap::new();
            if home {
                headers.clone_from(&self.request.headers);
                if let Some((name, value)) = proof.clone() {
                    headers.insert(name, value);
                }
            } else if let Some(accept) = self.request.headers.get(ACCEPT) {
                headers.insert(ACCEPT, accept.clone());
            }
            let response = self.once(&name, method.clone(), &url, headers, body.clone()).await?;
            let location = response
                .headers()
                .get(LOCATION)
                .filter(|_| response.status().is_redirection() && response.status() != StatusCode::NOT_MODIFIED);
            let Some(location) = location else { return Ok((response, url)) };
            let next = location.to_str().ok().and_then(|location| url.join(location).ok());
            let Some(next) = next.filter(|next| matches!(next.scheme(), "http" | "https")) else {
                return Err(Failure::last(Error::outside(format!("`{name}` redirects to something that is no URL of HTTP"))));
            };
            if url.scheme() == "https" && next.scheme() == "http" {
                let message = format!("`{name}` redirects to `{}`, without encryption, which is not followed", authority(&next));
                return Err(Failure::last(Error::outside(message)));
            }
            let status = response.status();
            if status == StatusCode::SEE_OTHER
                || matches!(status, StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND) && method == Method::POST
            {
                (method, body) = (Method::GET, None);
            }
            // What was meant for one host goes to no other, nor back from there.
            home = home && self.request.is_home(&next);
            if !home && (method != Method::GET || body.is_some()) {
                let message = format!("`{name}` redirects {method} to `{}`, another host, which must not get the body", authority(&next));
                return Err(Failure::last(Error::outside(message)));
            }
            url = next;
        }
        let message = format!("`{}` redirects more than {MAX_REDIRECTS} times", self.shown(&url));
        Err(Failure::last(Error::outside(message)))
    }

    /// Sends one request to one host, where it may be asked and once it is its turn: redirects and requests for tokens are counted, too.
    async fn once(&self, name: &str, method: Method, url: &Url, headers: HeaderMap, body: Option<Bytes>) -> Result<Answer, Failure> {
        let plain = url.scheme() == "http";
        let authority = url.host_str().map(|host| url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")));
        let authority = authority.unwrap_or_default();
        let host = HostPattern::of_request(plain, &authority);
        let host = host.ok_or_else(|| Failure::last(Error::config(format!("`{name}` has no host that can be asked"))))?;
        let client = self.clients.of(&host).map_err(|shut| {
            Failure::last(match shut {
                Shut::Closed => Error::config(format!("`{name}` is not asked: this command reaches no network")),
                Shut::Host => Error::config(format!("`{name}` is not asked: the operator of etl-host allows other hosts only"))
                    .hint(format!("it is allowed by `--allow-host {authority}`")),
                Shut::Address(address) => failure::shut(name, &format!("{address} is not a public address"), &authority),
            })
        })?;
        let mut request = client.request(method, url.clone()).headers(headers);
        if !self.request.headers.contains_key(ACCEPT_ENCODING) {
            request = request.header(ACCEPT_ENCODING, "gzip, br, zstd");
        }
        if let Some(body) = body {
            request = request.body(body);
        }
        self.pace.turn().await;
        remote::settle().await;
        let Timeout { connect, read, write, pool, .. } = self.timeout;
        let head = connect.saturating_add(read).saturating_add(write).saturating_add(pool);
        match timeout(head, request.send()).await {
            Ok(Ok(response)) => Ok(Answer::of(response)),
            Ok(Err(error)) => Err(Failure::away(failure::no_answer(name, &authority, &error))),
            Err(_) => Err(Failure::away(Error::outside(format!("`{name}` does not answer: nothing came within {} s", head.as_secs_f64())))),
        }
    }

    /// What an answer means that is no success.
    async fn refused(&self, mut response: Answer, name: &str) -> Failure {
        let status = response.status();
        let wait = response.headers().get(RETRY_AFTER).and_then(retry_after);
        let body = self.beginning(&mut response).await;
        let error = failure::status(name, self.request.method.as_str(), status, &body);
        let again = self.retry.retry_on_status.contains(&status.as_u16());
        let error = if again && error.fault() != Fault::Outside { error.as_outside() } else { error };
        Failure { error, again, wait, refused: status == StatusCode::UNAUTHORIZED, away: false }
    }

    /// The beginning of a body that is no page, as it may be shown.
    async fn beginning(&self, response: &mut Answer) -> String {
        let mut body = Vec::new();
        let read = async {
            while let Ok(Some(piece)) = response.chunk("the answer").await {
                body.extend_from_slice(&piece[..piece.len().min(SMALL_BYTES)]);
                if body.len() > SMALL_BYTES {
                    break;
                }
            }
        };
        timeout(REFUSAL_TIME, read).await.ok();
        failure::beginning(&body, |text| self.mask(text))
    }

    /// Fetches a token: with the credentials in the body, and where that is refused in the header, as servers differ.
    async fn token(&self, credentials: &ClientCredentials) -> Result<Token, Failure> {
        let ClientCredentials { token_url, client_id, client_secret, scope } = credentials;
        let url = Url::parse(token_url).map_err(|error| Failure::last(Error::config("`token_url` is no URL").because(error)))?;
        let name = self.shown(&url);
        for in_body in [true, false] {
            let mut form = reqwest::Url::parse("http://form").expect("it is a URL");
            form.query_pairs_mut().append_pair("grant_type", "client_credentials");
            form.query_pairs_mut().extend_pairs(scope.iter().map(|scope| ("scope", scope)));
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
            headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
            if in_body {
                form.query_pairs_mut().append_pair("client_id", client_id).append_pair("client_secret", &client_secret.0);
            } else {
                headers.insert(AUTHORIZATION, basic_header(client_id, &client_secret.0).map_err(Failure::last)?);
            }
            let body = Bytes::from(form.query().unwrap_or_default().to_owned());
            let mut response = self.once(&name, Method::POST, &url, headers, Some(body)).await?;
            let status = response.status();
            if status.is_success() {
                let answer = timeout(self.timeout.total, collect(&mut response, SMALL_BYTES as u64, &name)).await;
                let answer = answer.unwrap_or_else(|_| Err(Error::outside(format!("`{name}` did not give a token in time"))));
                return Token::read(&answer.map_err(Failure::passing)?, &name).map_err(Failure::last);
            }
            if in_body && matches!(status, StatusCode::UNAUTHORIZED | StatusCode::BAD_REQUEST) {
                continue;
            }
            let wait = response.headers().get(RETRY_AFTER).and_then(retry_after);
            let again = self.retry.retry_on_status.contains(&status.as_u16());
            // What it says may be the credentials themselves.
            let error = failure::status(&name, "POST", status, "");
            let error = if error.fault() == Fault::Config { error.hint("look at `client_id`, `client_secret` and `scope`") } else { error };
            return Err(Failure { error, again, wait, refused: false, away: false });
        }
        Err(Failure::last(Error::bug("a token is asked for twice at most")))
    }
}

/// Time before the next attempt: 1 s, then by the factor more or less, and up to half as much on top, so that many do not come at once.
fn back_off(attempt: u32, factor: f64) -> Duration {
    let base = factor.powi(attempt.saturating_sub(1).min(1000) as i32).clamp(0.0, LONGEST_WAIT.as_secs_f64());
    let share = (uuid::Uuid::new_v4().as_u128() % 1000) as f64 / 2000.0;
    Duration::from_secs_f64(base * (1.0 + share))
}

/// Reads `Retry-After`: seconds, or a date.
fn retry_after(value: &HeaderValue) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = chrono::DateTime::parse_from_rfc2822(text).ok()?;
    Some((date.with_timezone(&Utc) - Utc::now()).to_std().unwrap_or(Duration::ZERO))
}

fn content_type(headers: &HeaderMap) -> String {
    headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default().to_ascii_lowercase()
}

/// The target of `rel="next"` among the `Link` headers (RFC 8288).
fn next_link(headers: &HeaderMap) -> Option<String> {
    headers.get_all(LINK).iter().filter_map(|value| value.to_str().ok()).find_map(next_in)
}

fn next_in(mut text: &str) -> Option<String> {
    while let Some(start) = text.find('<') {
        let end = start + text[start..].find('>')?;
        let (target, rest) = (&text[start + 1..end], &text[end + 1..]);
        // Parameters up to the comma that stands in no quotes.
        let mut quoted = false;
        let stop = rest.find(|c: char| {
            quoted ^= c == '"';
            c == ',' && !quoted
        });
        let parameters = &rest[..stop.unwrap_or(rest.len())];
        let is_next = parameters.split(';').filter_map(|parameter| parameter.trim().split_once('=')).any(|(name, value)| {
            name.trim().eq_ignore_ascii_case("rel")
                && value.trim().trim_matches('"').split_whitespace().any(|rel| rel.eq_ignore_ascii_case("next"))
        });
        if is_next {
            return Some(target.to_owned());
        }
        text = &rest[stop.unwrap_or(rest.len())..];
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_found_among_links() {
        let github = r#"<https://api.example.com/x?page=1,2>; rel="prev", <https://api.example.com/x?page=3>; rel="next", <https://api.example.com/x?page=9>; rel="last""#;
        assert_eq!(next_in(github).as_deref(), Some("https://api.example.com/x?page=3"));
        assert_eq!(next_in(r#"</x?b=2>; title="a, b"; rel="last next""#).as_deref(), Some("/x?b=2"));
        assert_eq!(next_in("</x>; REL=Next").as_deref(), Some("/x"));
        assert_eq!(next_in(r#"</x>; rel="nextish", </y>; rev="next""#), None);
        assert_eq!(next_in("<"), None);
    }

    #[test]
    fn a_server_asks_to_wait_in_seconds_or_until_a_date() {
        let after = |text: &str| retry_after(&HeaderValue::from_str(text).unwrap());
        assert_eq!(after("120"), Some(Duration::from_secs(120)));
        let date = (Utc::now() + chrono::Duration::seconds(90)).format("%a, %d %b %Y %H:%M:%S GMT").to_string();
        assert!((88..=90).contains(&after(&date).unwrap().as_secs()), "{date}");
        assert_eq!(after("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        assert_eq!(after("soon"), None);
    }

    #[test]
    fn the_time_before_an_attempt_grows_by_the_factor_and_is_never_the_same_for_all() {
        for (attempt, factor, seconds) in [
            (1, 2.0, 1.0),
            (2, 2.0, 2.0),
            (4, 2.0, 8.0),
            (3, 1.0, 1.0),
            (9, 3.0, 60.0),
            (2, 0.5, 0.5),
            (4, 0.5, 0.125),
            (1, 0.0, 1.0),
            (4_000_000_000, 2.0, 60.0),
        ] {
            let waits: Vec<f64> = (0..20).map(|_| back_off(attempt, factor).as_secs_f64()).collect();
            assert!(waits.iter().all(|wait| (seconds..=seconds * 1.5).contains(wait)), "{waits:?}");
            assert!(waits.iter().any(|wait| *wait != waits[0]));
        }
    }
}
