//! Attacks on what is kept between calls.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use etl_sdk::StageError;
use etl_sdk::bindings::columns::etl::transform::data::{Batch, Output};

use crate::attack::{Attack, pass_on};

pub(crate) const ATTACKS: &[Attack] = &[
    Attack::calls("keep_state", "counts calls in a static, and fails where another instance was there before", "process: ok", count),
    Attack::snapshot("snapshot_1_gb", "answers a snapshot of 1 GB", "snapshot: memory_limit", || Ok(vec![1; 1_000_000_000])),
    Attack::snapshot("snapshot_60_mb", "answers a snapshot of 60 MB", "snapshot: memory_limit or output_limit", || Ok(vec![1; 60_000_000])),
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

fn count(own: u64, input: &Batch, out: &Output) -> Result<(), StageError> {
    let all = CALLS.fetch_add(1, Relaxed) + 1;
    match all == own {
        true => pass_on(input, out),
        false => Err(StageError::internal("seen_before", format!("there were {} calls of other instances in this memory", all - own))),
    }
}
