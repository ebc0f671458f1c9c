//! Takes rows from a connection and hands them on in chunks, on a thread of their own: no more than one chunk waits.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::mpsc::SyncSender;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::stream::BoxStream;
use tokio::sync::oneshot;

use super::key::Follower;
use super::raw::Raw;
use crate::batch::Position;
use crate::error::Result;
use crate::source::cut::Sizes;

/// A chunk of rows and where to read on.
pub(super) type Filled = (Raw, Position, Position);

/// Takes rows and hands them on.
pub(super) struct Fill {
    pub(super) sizes: Sizes,
    /// Cells of a row.
    pub(super) width: usize,
    /// Behind the rows that were handed on.
    pub(super) position: Position,
    /// Rows that may still be taken.
    pub(super) left: u64,
    pub(super) follower: Option<Follower>,
    /// Index of the key.
    pub(super) key: Option<usize>,
    /// How long the next row may take, where the database does not see to that.
    pub(super) row_timeout: Option<Duration>,
    /// Where chunks go; none is the end.
    pub(super) chunks: SyncSender<Result<Option<Filled>>>,
    /// Whether the first chunk is enough.
    pub(super) is_sample: bool,
    /// Ends where nobody wants rows any more.
    pub(super) gone: oneshot::Receiver<()>,
}

impl Fill {
    /// Takes all rows of a stream, unless nobody wants them; `push` adds the cells of one.
    pub(super) async fn rows<Row>(
        &mut self,
        mut stream: BoxStream<'_, sqlx::Result<Row>>,
        mut push: impl FnMut(&Row, &mut Raw) -> sqlx::Result<()>,
    ) -> sqlx::Result<()> {
        let mut raw = Raw::new(self.width);
        while self.left > 0 {
            let Some(row) = self.next(&mut stream).await? else { break };
            push(&row, &mut raw)?;
            drop(row);
            if !self.end_row(&mut raw) {
                return Ok(());
            }
        }
        self.end(raw);
        Ok(())
    }

    /// Ends a row, all of whose cells are there; false where no more are wanted.
    pub(super) fn end_row(&mut self, raw: &mut Raw) -> bool {
        raw.end_row(self.sizes.batch_rows, self.key);
        if self.follower.as_mut().is_some_and(|follower| !follower.take(raw)) {
            raw.drop_row();
            return true;
        }
        self.left -= 1;
        if raw.size() < self.sizes.chunk_bytes || self.sizes.exact && !raw.is_whole() {
            return true;
        }
        let full = std::mem::replace(raw, Raw::new(self.width));
        self.send(full) && !self.is_sample
    }

    /// Hands on what is left.
    pub(super) fn end(&mut self, raw: Raw) {
        if raw.rows() > 0 {
            self.send(raw);
        }
    }

    /// The next row; none at the end, or where nobody wants any.
    async fn next<Row>(&mut self, stream: &mut BoxStream<'_, sqlx::Result<Row>>) -> sqlx::Result<Option<Row>> {
        let gone = &mut self.gone;
        let next = poll_fn(|context: &mut Context<'_>| match stream.as_mut().poll_next(context) {
            Poll::Ready(row) => Poll::Ready(row.transpose()),
            Poll::Pending => Pin::new(&mut *gone).poll(context).map(|_| Ok(None)),
        });
        match self.row_timeout {
            None => next.await,
            Some(timeout) => tokio::time::timeout(timeout, next).await.unwrap_or(Err(sqlx::Error::PoolTimedOut)),
        }
    }

    /// Hands a chunk on; false where nobody wants it.
    fn send(&mut self, mut raw: Raw) -> bool {
        raw.end();
        let first = self.position.clone();
        let mut next = first.clone();
        next.row += raw.rows() as u64;
        next.sequence += raw.batches.len() as u64;
        next.cursor = match self.follower.as_mut().map(|follower| follower.place(&raw)).transpose() {
            // What has no key cannot be found again.
            Ok(place) => Some(place.unwrap_or_else(|| Position::NOWHERE.into())),
            Err(error) => return self.chunks.send(Err(error)).is_ok(),
        };
        self.position = next.clone();
        self.chunks.send(Ok(Some((raw, first, next)))).is_ok()
    }
}
