//! Attacks on what is kept between calls.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use etl_sdk::StageError;
use etl_sdk::bindings::columns::etl::transform::data::{Batch, Output};

use crate::attack::{Attack, pass_on};

pub(crate) const ATTACKS: &[Attack] = &[
    Attack::calls("keep_state", "counts calls in a static, and fails where another instance was there before", "process: ok", count),
    Attack::snapshot("snapshot_1_gb", "answers a snapshot of 1 GB", "snapshot: memory_limit", || Ok(unwritten(1_000_000_000))),
    Attack::snapshot("snapshot_60_mb", "answers a snapshot of 60 MB, within the limits", "snapshot: ok", || Ok(unwritten(60_000_000))),
    Attack::snapshot("snapshot_fails", "cannot tell its state", "snapshot: broken", || {
        Err(StageError::internal("broken", "it does not know"))
    }),
    Attack::restore("restore_fails", "does not take its own snapshot back", "restore: broken", |_| {
        Err(StageError::internal("broken", "it does not know its own state"))
    }),
    Attack::finish("finish_fails", "fails in finish", "finish: broken", |_| Err(StageError::internal("broken", "it cannot end"))),
];

/// Calls on all instances in this memory.
static CALLS: AtomicU64 = AtomicU64::new(0);

/// Bytes that nobody has written, so that memory runs out before fuel does.
#[expect(clippy::uninit_vec, reason = "that is the point")]
fn unwritten(length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length);
    // SAFETY: any byte is a byte; wasm's memory has no bytes that are not initialised.
    unsafe { bytes.set_len(length) };
    bytes
}

fn count(own: u64, input: &Batch, out: &Output) -> Result<(), StageError> {
    let all = CALLS.fetch_add(1, Relaxed) + 1;
    match all == own {
        true => pass_on(input, out),
        false => Err(StageError::internal("seen_before", format!("there were {} calls of other instances in this memory", all - own))),
    }
}
