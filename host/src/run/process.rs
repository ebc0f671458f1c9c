//! What this process uses, as the kernel says; and how it waits.

use std::time::{Duration, Instant};

/// CPU time and memory of the process.
pub(super) struct Usage {
    pub(super) cpu_seconds: f64,
    pub(super) peak_memory_mb: f64,
}

/// What the process has used so far.
pub(super) fn usage() -> Usage {
    let clock = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Usage { cpu_seconds: clock.tv_sec as f64 + clock.tv_nsec as f64 / 1e9, peak_memory_mb: status_mb("VmHWM:") }
}

/// Memory that the process holds now, in MiB.
pub(super) fn memory_mb() -> f64 {
    status_mb("VmRSS:")
}

/// Gives memory back to the kernel that was freed and that the allocator keeps.
pub(super) fn give_back_memory() {
    // SAFETY: may be called from any thread at any time.
    unsafe { libmimalloc_sys::mi_collect(true) };
}

/// A line of `/proc/self/status`; 0 where the kernel has none.
fn status_mb(key: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
    line.split_whitespace().next().and_then(|kib| kib.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}

/// Time between two questions of [`pause`].
const LOOK: Duration = Duration::from_millis(50);

/// Waits, unless `stopped` says that there is nothing to wait for any more; answers whether it waited to the end.
pub(super) fn pause(length: Duration, stopped: &dyn Fn() -> bool) -> bool {
    let end = Instant::now() + length;
    while !stopped() {
        match end.saturating_duration_since(Instant::now()) {
            Duration::ZERO => return true,
            left => std::thread::sleep(left.min(LOOK)),
        }
    }
    false
}
