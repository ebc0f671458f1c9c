//! Waits for a future on this thread.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Drives connections and timers; the futures themselves run where they are waited for.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(1).thread_name("etl-io").enable_all().build().expect("a thread can be started at the start of a run")
});

/// What drives connections and timers; what must go on while nobody waits is spawned there.
pub(super) fn runtime() -> &'static Runtime {
    &RUNTIME
}

/// Blocks until the future is ready, inside or outside of any runtime: one would refuse to be waited in where the caller runs in one.
pub fn wait<F: Future>(future: F) -> F::Output {
    let _entered = runtime().enter();
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

/// As [`wait`], unless it is told to stop before the future is ready: then there is none.
pub fn wait_unless<F: Future>(stopped: &AtomicBool, future: F) -> Option<F::Output> {
    let _entered = runtime().enter();
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Some(output);
        }
        if stopped.load(Ordering::Relaxed) {
            return None;
        }
        thread::park_timeout(LOOK);
    }
}

/// How often somebody who waits looks whether to go on.
const LOOK: Duration = Duration::from_millis(100);

/// Starts a future that goes on whether or not somebody waits for it.
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    RUNTIME.spawn(future)
}

/// Lets connections come to rest: one whose answer was read to its end is back in its pool then.
///
/// A client that finds none there opens another, and a server that serves one connection after the other would not look at that one before
/// the first is closed.
pub async fn settle() {
    // Who reads an answer is ahead of the tasks that put the connection back, which are at work by now or come before this one does.
    let behind = spawn(async {
        for _ in 0..2 {
            tokio::task::yield_now().await;
        }
    });
    behind.await.ok();
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc::channel;

    use tokio::sync::oneshot;

    use super::*;

    #[test]
    fn what_is_still_at_work_when_somebody_settles_is_done_then_and_what_it_woke() {
        let (rested, (end, ended)) = (Arc::new(AtomicBool::new(false)), oneshot::channel());
        let put_back = rested.clone();
        spawn(async move { put_back.store(ended.await.is_ok(), Ordering::SeqCst) });
        let ((begun, begins), (go, held)) = (channel(), channel());
        spawn(async move {
            begun.send(()).unwrap();
            held.recv().unwrap();
            end.send(()).unwrap();
        });
        begins.recv().unwrap();
        wait(async { tokio::join!(settle(), async { go.send(()).unwrap() }) });
        assert!(rested.load(Ordering::SeqCst));
    }
}
