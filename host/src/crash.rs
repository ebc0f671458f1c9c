//! Steps at which a test can have the process killed, as a power cut would; a release build has none of it.

/// Dies here where `ETL_HOST_CRASH_AT` is `<step>:<n>` and this is the n-th time that the process comes to the step.
#[inline]
pub(crate) fn at(step: &str) {
    #[cfg(debug_assertions)]
    debug::at(step);
    #[cfg(not(debug_assertions))]
    let _ = step;
}

#[cfg(debug_assertions)]
mod debug {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    struct Point {
        step: String,
        left: AtomicU32,
    }

    pub(super) fn at(step: &str) {
        static POINT: OnceLock<Option<Point>> = OnceLock::new();
        let point = POINT.get_or_init(|| {
            let text = std::env::var("ETL_HOST_CRASH_AT").ok()?;
            let (step, times) = text.split_once(':')?;
            Some(Point { step: step.to_owned(), left: AtomicU32::new(times.parse().ok()?) })
        });
        if let Some(point) = point.as_ref().filter(|point| point.step == step)
            && point.left.fetch_sub(1, Ordering::SeqCst) == 1
        {
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
            loop {
                std::thread::park();
            }
        }
    }
}
