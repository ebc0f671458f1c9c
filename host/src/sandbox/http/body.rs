//! Bodies on their way: held to their size and their time, and counted.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep};
use wasmtime_wasi_http::{Error, WasiBody};

use super::guest::Note;
use super::{MAX_CALL_BYTES, MAX_REQUEST_BYTES, MAX_RESPONSE_BYTES};
use crate::network::describe;

/// What went over the wire for one instance.
#[derive(Default)]
pub(super) struct Traffic {
    pub(super) requests: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) sent_bytes: AtomicU64,
    pub(super) received_bytes: AtomicU64,
    /// Bytes received since the call into the guest began.
    pub(super) call_bytes: AtomicU64,
}

/// Reads a whole request's body. It is sent in one piece, so that its length is what we say, and nothing behind it is a second request.
pub(super) async fn collect(mut body: WasiBody) -> Result<Bytes, Error> {
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        // Trailers are not sent.
        let Ok(bytes) = frame?.into_data() else { continue };
        if whole.len() + bytes.len() > MAX_REQUEST_BYTES {
            return Err(Error::HttpRequestBodySize(Some((whole.len() + bytes.len()) as u64)));
        }
        whole.extend_from_slice(&bytes);
    }
    Ok(whole.freeze())
}

/// A response's body as a guest reads it.
pub(super) struct Incoming {
    /// The rest of it; gone once it has ended or failed, and the connection with it.
    pub(super) rest: Option<reqwest::Body>,
    /// Bytes so far.
    pub(super) bytes: u64,
    /// How long the server may take between two pieces.
    pub(super) between: Duration,
    /// When all must be here.
    pub(super) deadline: Instant,
    pub(super) sleep: Pin<Box<Sleep>>,
    /// Where failures are told, and bytes counted.
    pub(super) note: Note,
    /// Held as long as the connection is.
    pub(super) permit: Option<OwnedSemaphorePermit>,
}

impl Incoming {
    fn end(&mut self) {
        self.rest = None;
        self.permit = None;
    }

    fn fail(&mut self, error: Error, why: &str) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        self.end();
        Poll::Ready(Some(Err(self.note.failed(error, why))))
    }
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        let Some(rest) = &mut this.rest else { return Poll::Ready(None) };
        match Pin::new(rest).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                // Trailers are not passed on: they are the end.
                let Ok(bytes) = frame.into_data() else {
                    this.end();
                    return Poll::Ready(None);
                };
                let count = bytes.len() as u64;
                this.bytes += count;
                let traffic = &this.note.traffic;
                traffic.received_bytes.fetch_add(count, Relaxed);
                let in_call = traffic.call_bytes.fetch_add(count, Relaxed) + count;
                let too_large = Error::HttpResponseBodySize(Some(this.bytes));
                if this.bytes > MAX_RESPONSE_BYTES {
                    return this.fail(too_large, &format!("the answer is larger than {} MiB", MAX_RESPONSE_BYTES >> 20));
                }
                if in_call > MAX_CALL_BYTES {
                    return this.fail(too_large, &format!("the answers of one batch are larger than {} MiB", MAX_CALL_BYTES >> 20));
                }
                this.sleep.as_mut().reset((Instant::now() + this.between).min(this.deadline));
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Poll::Ready(Some(Err(error))) => {
                let why = describe(&error);
                this.fail(super::failure::read(&error), &why)
            }
            Poll::Ready(None) => {
                this.end();
                Poll::Ready(None)
            }
            Poll::Pending => match this.sleep.as_mut().poll(context) {
                Poll::Ready(()) => this.fail(Error::ConnectionReadTimeout, "the rest of the answer did not come in time"),
                Poll::Pending => Poll::Pending,
            },
        }
    }
}
