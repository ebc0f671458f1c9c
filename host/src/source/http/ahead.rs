//! Pages that are under way while others are cut.

use std::sync::Arc;

use tokio::sync::oneshot::error::TryRecvError;
use tokio::sync::{oneshot, watch};
use tokio::task::yield_now;

use super::Shared;
use super::fetched::Fetched;
use super::pages::Turn;
use super::send::Hold;
use crate::error::{Context, Result};
use crate::remote;

/// How often the runtime looks round until a request is on its way.
const HEAD_START: usize = 8;

/// A page that is asked for by a task of its own; gone with this, it is asked for no more.
pub(super) struct Ahead {
    pub(super) turn: Turn,
    answer: oneshot::Receiver<Result<Fetched>>,
    wanted: watch::Sender<bool>,
    behind: oneshot::Sender<Order>,
}

/// What is told of a page to who asks for it.
struct Order {
    turn: Turn,
    /// Bytes that the page before it has at least, else it is not asked for.
    at_least: usize,
    answer: oneshot::Sender<Result<Fetched>>,
    wanted: watch::Receiver<bool>,
    behind: oneshot::Receiver<Order>,
}

impl Ahead {
    /// Asks for a page.
    pub(super) fn ask(shared: &Arc<Shared>, turn: Turn) -> Self {
        let (ahead, order) = Self::order(turn, 0);
        ahead.confirm();
        remote::spawn(fetch(shared.clone(), order));
        ahead
    }

    fn order(turn: Turn, at_least: usize) -> (Self, Order) {
        let ((sends, answer), (wanted, knows), (behind, follows)) = (oneshot::channel(), watch::channel(false), oneshot::channel());
        let order = Order { turn: turn.clone(), at_least, answer: sends, wanted: knows, behind: follows };
        (Self { turn, answer, wanted, behind }, order)
    }

    /// The page is wanted, whatever comes of it.
    pub(super) fn confirm(&self) {
        self.wanted.send_replace(true);
    }

    /// Waits for the page. Another one is asked for once it is here, before anybody has looked into it: where it has so many bytes.
    ///
    /// # Errors
    /// Those that asking for it has.
    pub(super) fn page(self, guess: Option<(Turn, usize)>) -> Result<(Fetched, Option<Self>)> {
        let Self { answer, wanted: _wanted, behind, turn: _ } = self;
        let guess = guess.map(|(turn, at_least)| {
            let (ahead, order) = Self::order(turn, at_least);
            // Nobody listens where the page could not be had.
            behind.send(order).ok();
            (ahead, at_least)
        });
        let fetched = remote::wait(answer).bug(|| "asking for a page".into())??;
        let asked = guess.filter(|(_, at_least)| fetched.bytes() >= *at_least).map(|(ahead, _)| ahead);
        Ok((fetched, asked))
    }
}

/// Asks for a page, and goes on with the one behind it for as long as one is ordered: a page's end and the request for the next are no switch of threads
/// apart.
async fn fetch(shared: Arc<Shared>, mut order: Order) {
    loop {
        let Order { turn, answer, wanted, mut behind, .. } = order;
        let mut hold = Hold::until(&shared.caller.stop, wanted);
        let fetched = shared.caller.fetch(&turn, &shared.pages, &shared.format, &mut hold).await;
        let bytes = fetched.as_ref().ok().map(Fetched::bytes);
        let fits = |next: &Order| bytes.is_some_and(|bytes| bytes >= next.at_least);
        // Nobody listens where the run has ended.
        let next = match behind.try_recv() {
            Ok(next) if fits(&next) => {
                // Who waits for the page may be woken on this core, and cut it first.
                remote::spawn(async move {
                    for _ in 0..HEAD_START {
                        yield_now().await;
                    }
                    answer.send(fetched).ok();
                });
                Some(next)
            }
            Err(TryRecvError::Empty) => {
                answer.send(fetched).ok();
                behind.await.ok().filter(fits)
            }
            _ => {
                answer.send(fetched).ok();
                None
            }
        };
        let Some(next) = next else { return };
        order = next;
    }
}
