//! Attacks on time.

use std::hint::black_box;

use etl_sdk::StageError;
use etl_sdk::bindings::columns::etl::transform::data::Batch;

use crate::attack::Attack;

pub(crate) const ATTACKS: &[Attack] = &[
    Attack::configure("loop_configure", "loops for ever in configure", "configure: out_of_fuel", || spin()),
    Attack::process("loop_process", "loops for ever in process", "process: out_of_fuel", |_, _| spin()),
    Attack::finish("loop_finish", "loops for ever in finish", "finish: out_of_fuel", |_| spin()),
    Attack::snapshot("loop_snapshot", "loops for ever in snapshot", "snapshot: out_of_fuel", || spin()),
    Attack::restore("loop_restore", "loops for ever in restore", "restore: out_of_fuel", |_| spin()),
    Attack::process("loop_memory_copy", "copies 16 MiB for ever, one operator each", "process: out_of_fuel", |_, _| copy()),
    Attack::process("loop_host_calls", "asks the host for the number of rows for ever", "process: out_of_fuel", |input, _| ask(input)),
    Attack::process("loop_read", "reads the whole batch for ever", "process: out_of_fuel or timeout", |input, _| read(input)),
    Attack::process("loop_clock", "waits for a clock that stands still", "process: out_of_fuel", |_, _| wait()),
    Attack::process("loop_random", "draws 60 KiB of random bytes for ever", "process: timeout", |_, _| draw()),
    Attack::process("sleep", "sleeps for an hour", "process: timeout or ok at once", |input, out| {
        std::thread::sleep(std::time::Duration::from_secs(3600));
        crate::attack::pass_on(input, out)
    }),
];

pub(crate) fn spin() -> ! {
    let mut turns = 0u64;
    loop {
        turns = black_box(turns.wrapping_add(1));
    }
}

fn copy() -> Result<(), StageError> {
    let mut bytes = vec![1u8; 16 << 20];
    loop {
        black_box(&mut bytes).copy_within(..8 << 20, 8 << 20);
    }
}

fn ask(input: &Batch) -> Result<(), StageError> {
    loop {
        black_box(input.num_rows());
    }
}

fn read(input: &Batch) -> Result<(), StageError> {
    loop {
        black_box(input.read(None)?);
    }
}

fn wait() -> Result<(), StageError> {
    let start = std::time::Instant::now();
    while start.elapsed().as_secs() < 3600 {}
    Ok(())
}

/// Each turn costs the host much and the guest next to nothing.
#[cfg(target_arch = "wasm32")]
fn draw() -> Result<(), StageError> {
    loop {
        black_box(wasip2::random::insecure::get_insecure_random_bytes(60 << 10));
    }
}

#[cfg(not(target_arch = "wasm32"))]
fn draw() -> Result<(), StageError> {
    Ok(())
}
