//! The world as a guest sees it: no folder, no socket; and unless granted no environment, a clock that stands still, dice that are loaded.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::{HostMonotonicClock, HostWallClock, WasiCtx, WasiCtxBuilder};

use super::access::Access;

/// Bytes of a guest's last words that are kept.
const LAST_WORDS_BYTES: usize = 8 << 10;

/// Builds the context: what a guest may reach, which is nothing unless it was granted.
pub(super) fn context(access: &Access, now_ms: i64, dice: &Dice, last_words: &LastWords) -> WasiCtx {
    let mut builder = WasiCtxBuilder::new();
    builder
        .stdout(last_words.clone())
        .stderr(last_words.clone())
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false)
        .socket_addr_check(|_, _| Box::pin(async { false }))
        .max_random_size(64 << 10)
        .envs(&access.env);
    // Without these lines a guest has the host's own clocks and dice.
    if !access.clock {
        builder.wall_clock(FrozenClock(Duration::from_millis(now_ms.max(0) as u64))).monotonic_clock(FrozenClock(Duration::ZERO));
    }
    if !access.random {
        let seed = u128::from(dice.0.load(Relaxed));
        builder.secure_random(dice.clone()).insecure_random(dice.clone()).insecure_random_seed(seed);
    }
    builder.build()
}

/// A clock that shows the run's start, so that a batch gives the same rows when it is tried again.
struct FrozenClock(Duration);

impl HostWallClock for FrozenClock {
    fn resolution(&self) -> Duration {
        Duration::from_millis(1)
    }

    fn now(&self) -> Duration {
        self.0
    }
}

impl HostMonotonicClock for FrozenClock {
    fn resolution(&self) -> u64 {
        1
    }

    fn now(&self) -> u64 {
        self.0.as_nanos() as u64
    }
}

/// SplitMix64 (Steele, Lea and Flood, 2014) from a seed that the host sets for each batch: the same when it is tried again, no secret.
#[derive(Clone, Default)]
pub(super) struct Dice(Arc<AtomicU64>);

impl Dice {
    /// Loads the dice.
    pub(super) fn seed(&self, seed: u64) {
        self.0.store(seed, Relaxed);
    }
}

impl rand_core::TryRng for Dice {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        Ok((self.try_next_u64()? >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
        let mut z = self.0.fetch_add(STEP, Relaxed).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        Ok(z ^ (z >> 31))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        for chunk in bytes.chunks_mut(8) {
            let word = self.try_next_u64()?.to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
        Ok(())
    }
}

/// The end of what a guest wrote to stdout and stderr; older bytes are forgotten.
#[derive(Clone, Default)]
pub(super) struct LastWords(Arc<Mutex<VecDeque<u8>>>);

impl LastWords {
    /// Takes what was written, as text.
    pub(super) fn take(&self) -> String {
        let bytes: Vec<u8> = self.lock().drain(..).collect();
        String::from_utf8_lossy(&bytes).trim_end().to_owned()
    }

    fn write(&self, mut bytes: &[u8]) {
        let mut kept = self.lock();
        if bytes.len() >= LAST_WORDS_BYTES {
            kept.clear();
            bytes = &bytes[bytes.len() - LAST_WORDS_BYTES..];
        }
        let surplus = (kept.len() + bytes.len()).saturating_sub(LAST_WORDS_BYTES);
        kept.drain(..surplus);
        kept.extend(bytes);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<u8>> {
        self.0.lock().expect("no code that holds this lock panics")
    }
}

impl IsTerminal for LastWords {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for LastWords {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn wasmtime_wasi::p2::OutputStream> {
        Box::new(self.clone())
    }
}

impl wasmtime_wasi::p2::OutputStream for LastWords {
    fn write(&mut self, bytes: bytes::Bytes) -> wasmtime_wasi::p2::StreamResult<()> {
        LastWords::write(self, &bytes);
        Ok(())
    }

    fn flush(&mut self) -> wasmtime_wasi::p2::StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> wasmtime_wasi::p2::StreamResult<usize> {
        Ok(64 << 10)
    }
}

#[wasmtime_wasi::async_trait]
impl wasmtime_wasi::p2::Pollable for LastWords {
    async fn ready(&mut self) {}
}

impl AsyncWrite for LastWords {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        LastWords::write(&self, bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::LastWords;

    #[test]
    fn only_the_last_words_are_kept() {
        let words = LastWords::default();
        words.write(&vec![b'a'; 100_000]);
        words.write(b"the end\n");
        let kept = words.take();
        assert_eq!(kept.len(), 8191);
        assert!(kept.ends_with("aathe end"));
        assert_eq!(words.take(), "");
    }
}
