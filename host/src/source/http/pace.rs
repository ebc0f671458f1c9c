//! When the next request may be made.

use std::collections::VecDeque;
use std::future::pending;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::sleep;

use crate::config::http::HttpSource;

const MINUTE: Duration = Duration::from_secs(60);

/// Looks out for the end of what a request is made for, so that nothing is waited for in vain.
pub(super) struct Hold {
    stop: watch::Receiver<bool>,
    /// Whether whoever asked for the page is there still, and knows that it is wanted.
    wanted: Option<watch::Receiver<bool>>,
}

impl Hold {
    /// Until the source is stopped.
    pub(super) fn of(stop: &watch::Sender<bool>) -> Self {
        Self { stop: stop.subscribe(), wanted: None }
    }

    /// Until the source is stopped or the other end is gone, which says whether the page is wanted once that is known.
    pub(super) fn until(stop: &watch::Sender<bool>, wanted: watch::Receiver<bool>) -> Self {
        Self { wanted: Some(wanted), ..Self::of(stop) }
    }

    /// Comes back once it is over.
    pub(super) async fn over(&mut self) {
        let Self { stop, wanted } = self;
        let gone = async {
            match wanted {
                Some(wanted) => while wanted.changed().await.is_ok() {},
                None => pending().await,
            }
        };
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => {}
            () = gone => {}
        }
    }

    /// Waits so long; false where it is over before.
    pub(super) async fn wait(&mut self, time: Duration) -> bool {
        tokio::select! {
            biased;
            () = self.over() => false,
            () = sleep(time) => true,
        }
    }

    /// Waits until it is known that the page is wanted; false where it is not.
    pub(super) async fn is_wanted(&mut self) -> bool {
        let Self { stop, wanted } = self;
        let Some(wanted) = wanted else { return true };
        tokio::select! {
            biased;
            known = wanted.wait_for(|wanted| *wanted) => known.is_ok(),
            _ = stop.wait_for(|stop| *stop) => false,
        }
    }
}

/// Spaces requests.
pub(super) struct Pace {
    /// From one request to the next.
    delay: Duration,
    /// From the end of a page to the request for the next.
    page_delay: Duration,
    per_minute: Option<usize>,
    made: Mutex<Made>,
}

#[derive(Default)]
struct Made {
    last: Option<Instant>,
    page: Option<Instant>,
    /// Those of the last minute.
    recent: VecDeque<Instant>,
}

impl Pace {
    /// As a source asks for it.
    pub(super) fn of(source: &HttpSource) -> Self {
        let per_minute = source.max_calls_per_minute.map(|calls| calls.get() as usize);
        Self { delay: source.rate_limit_delay, page_delay: source.pagination.page_delay, per_minute, made: Mutex::default() }
    }

    /// How long it is to the next request, which is noted as made where that is no time.
    fn left(&self, now: Instant) -> Duration {
        let made = &mut *self.made.lock().unwrap_or_else(PoisonError::into_inner);
        while made.recent.front().is_some_and(|first| now.duration_since(*first) >= MINUTE) {
            made.recent.pop_front();
        }
        let since = |at: Option<Instant>, delay: Duration| at.map_or(Duration::ZERO, |at| (at + delay).saturating_duration_since(now));
        let mut left = since(made.last, self.delay).max(since(made.page, self.page_delay));
        if let Some(limit) = self.per_minute.filter(|limit| made.recent.len() >= *limit) {
            left = left.max(since(made.recent.get(made.recent.len() - limit).copied(), MINUTE));
        }
        if left.is_zero() {
            made.last = Some(now);
            if self.per_minute.is_some() {
                made.recent.push_back(now);
            }
        }
        left
    }

    /// Comes back once the next request may be made.
    pub(super) async fn turn(&self) {
        loop {
            let left = self.left(Instant::now());
            if left.is_zero() {
                return;
            }
            sleep(left).await;
        }
    }

    /// Notes that a page is here.
    pub(super) fn page_is_here(&self) {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).page = Some(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;
    use std::task::Poll;

    use serde_json::json;

    use super::*;
    use crate::remote::wait;

    fn pace(source: serde_json::Value) -> Pace {
        Pace::of(&serde_json::from_value(source).unwrap())
    }

    #[test]
    fn requests_keep_their_distance_and_their_number_a_minute() {
        let start = Instant::now();
        let at = |seconds: f64| start + Duration::from_secs_f64(seconds);
        let spaced = pace(json!({ "rate_limit_delay": 2 }));
        let left: Vec<f64> = [0.0, 0.5, 2.0, 3.0].into_iter().map(|time| spaced.left(at(time)).as_secs_f64()).collect();
        assert_eq!(left, [0.0, 1.5, 0.0, 1.0]);
        let limited = pace(json!({ "max_calls_per_minute": 2 }));
        let left: Vec<f64> = [0.0, 10.0, 20.0, 60.0, 61.0].into_iter().map(|time| limited.left(at(time)).as_secs_f64()).collect();
        assert_eq!(left, [0.0, 0.0, 40.0, 0.0, 9.0]);
    }

    #[test]
    fn a_wait_ends_when_the_source_is_stopped_or_nobody_wants_what_comes_of_it() {
        let long = Duration::from_secs(3600);
        let (stop, _) = watch::channel(false);
        let (wanted, other_end) = watch::channel(true);
        drop(wanted);
        assert!(!wait(Hold::until(&stop, other_end).wait(long)));
        assert!(wait(Hold::of(&stop).wait(Duration::ZERO)));
        stop.send_replace(true);
        assert!(!wait(Hold::of(&stop).wait(long)));
    }

    #[test]
    fn a_page_that_was_guessed_is_wanted_once_that_is_said_and_never_where_nobody_is_left_to_say_it() {
        let (stop, _) = watch::channel(false);
        assert!(wait(Hold::of(&stop).is_wanted()));
        for (is_wanted, is_stopped) in [(true, false), (false, false), (false, true)] {
            let (wanted, other_end) = watch::channel(false);
            let mut hold = Hold::until(&stop, other_end);
            let known = wait(async {
                let mut known = pin!(hold.is_wanted());
                assert!(poll_fn(|context| Poll::Ready(known.as_mut().poll(context).is_pending())).await);
                match (is_wanted, is_stopped) {
                    (true, _) => drop(wanted.send_replace(true)),
                    (_, true) => drop(stop.send_replace(true)),
                    _ => drop(wanted),
                }
                known.await
            });
            assert_eq!(known, is_wanted);
        }
    }
}
