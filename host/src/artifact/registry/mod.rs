//! Registries: components pulled and pushed by the OCI distribution protocol.
//!
//! Our own client of the few requests that this takes: everything that a registry sends is capped while it streams,
//! credentials go to the registry alone, and bytes are held to their digests before anybody sees them.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::header::LOCATION;
use http::{Method, StatusCode};
use serde::Deserialize;

mod challenge;
mod session;

use session::{Access, Answer, MAX_WORDS, Request, Session};

use super::credentials::Login;
use super::manifest::{self, Layer, MAX_MANIFEST_BYTES};
use crate::config::component::{Digest, Reference};
use crate::error::{Context, Error, Result};

/// Tags that a message lists.
const SHOWN_TAGS: usize = 10;

/// How registries are talked to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registries {
    /// Whether they are talked to without encryption; those of this machine are unless there are `authority_files`.
    pub plain_http: bool,
    /// Files of certificates (PEM) that registries may be vouched for by, beside those that the system trusts.
    pub authority_files: Vec<PathBuf>,
    /// Time that one may be silent.
    pub silence: Duration,
    /// Who the command line says that we are.
    pub login: Option<Login>,
}

impl Default for Registries {
    fn default() -> Self {
        Self { plain_http: false, authority_files: Vec::new(), silence: Duration::from_secs(30), login: None }
    }
}

/// A component that came from a registry.
#[derive(Clone, Debug)]
pub struct Pulled {
    /// The component's bytes.
    pub wasm: Vec<u8>,
    /// Their digest.
    pub digest: Digest,
    /// The manifest's bytes.
    pub manifest: Vec<u8>,
    /// Where it was, with the manifest's digest.
    pub reference: Reference,
}

/// What a push came to.
#[derive(Clone, Debug)]
pub struct Pushed {
    /// Where it is now, with the manifest's digest.
    pub reference: Reference,
    /// Digest of the component's bytes.
    pub digest: Digest,
    /// Whether the bytes had to be sent.
    pub sent: bool,
}

impl Registries {
    /// Pulls a component and holds it to its digests. Blocks.
    ///
    /// # Errors
    /// Outside, where the registry fails or lies; config, where there is no such component or we may not have it.
    pub fn pull(&self, reference: &Reference) -> Result<Pulled> {
        block_on(async {
            let mut session = Session::open(reference, Access::Pull, self, &env)?;
            let pulled = pull(&mut session, reference).await;
            pulled.map_err(|error| error.while_doing(format!("pulling `{reference}`")))
        })
    }

    /// Pushes a component under a tag. `title` is the file's name, `created` when it was made. Blocks.
    ///
    /// # Errors
    /// As [`Registries::pull`]; config, where it is no transform or the reference has no tag.
    pub fn push(&self, wasm: Vec<u8>, title: &str, created: DateTime<Utc>, reference: &Reference) -> Result<Pushed> {
        if let Some(digest) = &reference.digest {
            return Err(Error::config(format!("`{reference}` names what is there already, by `{digest}`"))
                .hint("push to a tag: `oci://registry/name:tag`"));
        }
        let artefact = manifest::lay_out(&wasm, title, created)?;
        block_on(async {
            let mut session = Session::open(reference, Access::Push, self, &env)?;
            let pushed = push(&mut session, wasm, artefact, reference).await;
            pushed.map_err(|error| error.while_doing(format!("pushing `{reference}`")))
        })
    }
}

fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Waits on a thread of its own runtime: callers are not async, and may run in none.
fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().outside(|| "starting a runtime".into())?;
    runtime.block_on(work)
}

async fn pull(session: &mut Session, reference: &Reference) -> Result<Pulled> {
    let manifest = pull_manifest(session, reference).await?;
    let manifest_digest = Digest::of(&manifest);
    let Layer { digest, bytes } = manifest::layer(&manifest, &reference.to_string())?;
    let request = Request::get(session.url(&format!("blobs/{digest}")));
    let answer = session.fetch(request, bytes, "the component").await?;
    if answer.status == StatusCode::NOT_FOUND {
        return Err(Error::outside(format!("registry `{}` has the manifest and lost the component `{digest}`", session.registry))
            .hint("push it again"));
    }
    if !answer.status.is_success() {
        return Err(session.refused(&answer, "asking for the component"));
    }
    let wasm = answer.body;
    if wasm.len() as u64 != bytes {
        return Err(Error::outside(format!("registry `{}` sent {} bytes of a component that has {bytes}", session.registry, wasm.len()))
            .hint("nothing was kept; try again"));
    }
    check_digest(session, "the component", &wasm, &digest)?;
    Ok(Pulled { wasm, digest, manifest, reference: reference.pinned(manifest_digest) })
}

/// Holds what came to the digest that was asked for.
fn check_digest(session: &Session, what: &str, bytes: &[u8], expected: &Digest) -> Result<()> {
    let found = Digest::of(bytes);
    if found == *expected {
        return Ok(());
    }
    Err(Error::outside(format!("registry `{}` sent something else than {what}: asked for {expected}, got {found}", session.registry))
        .hint("nothing was kept; the registry, or somebody between it and us, changed the bytes"))
}

async fn pull_manifest(session: &mut Session, reference: &Reference) -> Result<Vec<u8>> {
    let name = match (&reference.digest, &reference.tag) {
        (Some(digest), _) => digest.to_string(),
        (None, Some(tag)) => tag.clone(),
        (None, None) => return Err(Error::bug("a reference has neither tag nor digest")),
    };
    let mut request = Request::get(session.url(&format!("manifests/{name}")));
    request.accept = Some(manifest::ACCEPT);
    let answer = session.fetch(request, MAX_MANIFEST_BYTES, "a manifest").await?;
    match answer.status {
        StatusCode::NOT_FOUND => return Err(not_there(session, reference, &name).await),
        status if !status.is_success() => return Err(session.refused(&answer, "asking for the manifest")),
        _ => {}
    }
    if let Some(expected) = reference.digest.clone().or_else(|| announced(&answer)) {
        check_digest(session, "the manifest", &answer.body, &expected)?;
    }
    Ok(answer.body)
}

/// The digest that a registry says an answer has.
fn announced(answer: &Answer) -> Option<Digest> {
    answer.headers.get("docker-content-digest")?.to_str().ok()?.parse().ok()
}

/// Says that there is no such component, and which there are.
async fn not_there(session: &mut Session, reference: &Reference, name: &str) -> Error {
    let Reference { registry, repository, .. } = reference;
    let Some(tags) = tags(session).await else {
        return Error::config(format!("registry `{registry}` has no repository `{repository}`, or does not show it to us"));
    };
    let error = Error::config(format!("registry `{registry}` has no `{name}` in `{repository}`"));
    let shown = tags.iter().take(SHOWN_TAGS).map(|tag| format!("`{tag}`")).collect::<Vec<_>>().join(", ");
    let more = if tags.len() > SHOWN_TAGS { format!(" and {} more", tags.len() - SHOWN_TAGS) } else { String::new() };
    match crate::error::did_you_mean(name, tags.iter().map(String::as_str)) {
        _ if tags.is_empty() => error.hint("the repository has no tags"),
        Some(near) => error.hint(format!("did you mean `{near}`? its tags are {shown}{more}")),
        None => error.hint(format!("its tags are {shown}{more}")),
    }
}

/// The repository's tags, as far as the registry tells at once; `None` where there is no such repository.
async fn tags(session: &mut Session) -> Option<Vec<String>> {
    #[derive(Deserialize)]
    struct Tags {
        tags: Option<Vec<String>>,
    }
    let answer = session.fetch(Request::get(session.url("tags/list?n=100")), MAX_MANIFEST_BYTES, "a list of tags").await.ok()?;
    if !answer.status.is_success() {
        return None;
    }
    let tags = serde_json::from_slice::<Tags>(&answer.body).ok()?.tags.unwrap_or_default();
    Some(tags.into_iter().map(|tag| tag.chars().take(128).collect()).collect())
}

async fn push(session: &mut Session, wasm: Vec<u8>, artefact: manifest::Artefact, reference: &Reference) -> Result<Pushed> {
    let manifest::Artefact { manifest, config } = artefact;
    let digest = Digest::of(&wasm);
    let sent = push_blob(session, wasm.into(), &digest).await?;
    let config_digest = Digest::of(&config);
    push_blob(session, config.into(), &config_digest).await?;
    let expected = Digest::of(&manifest);
    let tag = reference.tag.as_deref().ok_or_else(|| Error::bug("a reference to push to has no tag"))?;
    let url = session.url(&format!("manifests/{tag}"));
    let request = Request { method: Method::PUT, url, accept: None, body: Some((manifest::MANIFEST, manifest.into())) };
    let answer = session.fetch(request, MAX_WORDS, "an answer").await?;
    if !answer.status.is_success() {
        return Err(session.refused(&answer, "the manifest"));
    }
    if let Some(found) = announced(&answer).filter(|found| *found != expected) {
        return Err(Error::outside(format!("registry `{}` took the manifest {expected} for {found}", session.registry)));
    }
    Ok(Pushed { reference: reference.pinned(expected), digest, sent })
}

/// Sends bytes, unless the registry has them; whether they were sent.
async fn push_blob(session: &mut Session, bytes: Bytes, digest: &Digest) -> Result<bool> {
    let url = session.url(&format!("blobs/{digest}"));
    let there = session.fetch(Request { method: Method::HEAD, url, accept: None, body: None }, u64::MAX, "an answer").await?;
    if there.status.is_success() {
        return Ok(false);
    }
    let url = session.url("blobs/uploads/");
    let started = Request { method: Method::POST, url, accept: None, body: Some(("application/octet-stream", Bytes::new())) };
    let answer = session.fetch(started, MAX_WORDS, "an answer").await?;
    if answer.status != StatusCode::ACCEPTED {
        return Err(session.refused(&answer, "the start of an upload"));
    }
    let location = answer
        .headers
        .get(LOCATION)
        .ok_or_else(|| Error::outside(format!("registry `{}` takes an upload and does not say where", session.registry)))?;
    let mut url = session.location(&answer.url, location)?;
    url.query_pairs_mut().append_pair("digest", &digest.to_string());
    let request = Request { method: Method::PUT, url, accept: None, body: Some(("application/octet-stream", bytes)) };
    let answer = session.fetch(request, MAX_WORDS, "an answer").await?;
    match answer.status.is_success() {
        true => Ok(true),
        false => Err(session.refused(&answer, "the upload")),
    }
}
