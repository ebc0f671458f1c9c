//! A file behind a URL, fetched whole before it is read.

use std::collections::BTreeMap;
use std::io::Write;

use http::header::{ETAG, LAST_MODIFIED};
use tempfile::NamedTempFile;

use super::{Caller, Failure, Hold, back_off, stopped};
use crate::config::http::HttpSource;
use crate::error::{Context, Result};
use crate::remote;
use crate::source::http::wrong;
use crate::source::{Asset, Surroundings};

/// Bytes that such a file may have.
const LIMIT: u64 = 16 << 30;

/// A file that was fetched, which goes with the last who holds it.
#[derive(Debug)]
pub(in crate::source) struct Download {
    /// Where it stands.
    pub(in crate::source) file: NamedTempFile,
    /// What it was when it was fetched, with its URL as it may be shown.
    pub(in crate::source) asset: Asset,
    /// Bytes in it.
    pub(in crate::source) bytes: u64,
}

/// Fetches what is behind a URL, as the operator lets hosts be asked.
///
/// # Errors
/// Outside, where the server does not give it after all; config, where it may not be asked or refuses.
pub(in crate::source) fn download(url: &str, surroundings: &Surroundings<'_>) -> Result<Download> {
    let source = HttpSource { url: Some(url.to_owned()), ..HttpSource::default() };
    // Parameters that it is to have stand in it already, as `${name}`.
    let params = BTreeMap::new();
    let caller = Caller::new(&source, &Surroundings { params: &params, ..*surroundings })?;
    let url = caller.request.base().clone();
    let title = caller.shown(&url);
    caller.watching(surroundings.stop, || {
        let mut hold = Hold::of(&caller.stop);
        let mut attempt = 1;
        loop {
            let Failure { error, again, wait, .. } = match caller.fetch_file(&url, &title, &mut hold) {
                Ok(download) => return Ok(download),
                Err(failure) => failure,
            };
            if !again || attempt >= caller.retry.max_attempts.get() {
                return Err(error);
            }
            let wait = wait.unwrap_or_else(|| back_off(attempt, caller.retry.backoff_factor)).min(super::LONGEST_ASKED);
            tracing::warn!(attempt, wait_ms = wait.as_millis() as u64, error = %error.one_line(), "the server did not give the file, asking again");
            attempt += 1;
            if !remote::wait(hold.wait(wait)) {
                return Err(stopped());
            }
        }
    })
}

impl Caller {
    fn fetch_file(&self, url: &reqwest::Url, title: &str, hold: &mut Hold) -> Result<Download, Failure> {
        remote::wait(async {
            tokio::select! {
                biased;
                () = hold.over() => Err(Failure::last(stopped())),
                file = self.file(url, title) => file,
            }
        })
    }

    async fn file(&self, url: &reqwest::Url, title: &str) -> Result<Download, Failure> {
        let (mut response, _) = self.send(url, None).await?;
        if !response.status().is_success() {
            return Err(self.refused(response, title).await);
        }
        let header = |name| response.headers().get(name).and_then(|value: &http::HeaderValue| value.to_str().ok()).unwrap_or_default();
        let version = format!("{} {}", header(ETAG), header(LAST_MODIFIED));
        let writing = || "could not keep a file that was fetched".to_owned();
        let mut file = NamedTempFile::new().outside(writing).map_err(Failure::last)?;
        let mut bytes = 0u64;
        loop {
            match response.chunk(title).await {
                Ok(Some(piece)) => {
                    bytes += piece.len() as u64;
                    if bytes > LIMIT {
                        let message = format!("`{title}` has more than {} GiB", LIMIT >> 30);
                        return Err(Failure::last(wrong(message).hint("fetch it to a disk, and read it from there")));
                    }
                    file.write_all(&piece).outside(writing).map_err(Failure::last)?;
                }
                Ok(None) => break,
                Err(error) => return Err(Failure::passing(error)),
            }
        }
        let asset = Asset::Object { url: title.to_owned(), bytes, etag: version.trim().to_owned(), modified: 0 };
        Ok(Download { file, asset, bytes })
    }
}
