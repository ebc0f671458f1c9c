//! Ways to crash.

use std::hint::black_box;

use etl_sdk::StageError;
use etl_sdk::bindings::columns::etl::transform::data::{Batch, Output};

use crate::attack::Attack;

pub(crate) const ATTACKS: &[Attack] = &[
    Attack::configure("panic_configure", "panics in configure", "configure: crash", || panic!("in configure")),
    Attack::process("panic_process", "panics in process", "process: crash", |_, _| panic!("in process")),
    Attack::finish("panic_finish", "panics in finish", "finish: crash", |_| panic!("in finish")),
    Attack::snapshot("panic_snapshot", "panics in snapshot", "snapshot: crash", || panic!("in snapshot")),
    Attack::restore("panic_restore", "panics in restore", "restore: crash", |_| panic!("in restore")),
    Attack::process("panic_with_long_message", "panics with a message of a MiB", "process: crash, the last words cut", |_, _| {
        panic!("{}", "x".repeat(1 << 20))
    }),
    Attack::process("abort", "aborts", "process: crash", |_, _| std::process::abort()),
    Attack::process("unreachable", "executes the operator unreachable", "process: crash", |_, _| trap()),
    Attack::process("divide_by_zero", "divides by zero with the operator itself", "process: division_by_zero", |_, _| divide()),
    Attack::process("out_of_bounds", "reads behind the end of its memory", "process: memory_out_of_bounds", |_, _| outside()),
    Attack::process("null_pointer", "writes through a null pointer, which wasm allows", "process: ok or a crash of its own", null),
    Attack::process("call_wrong_type", "calls a function through a pointer of another type", "process: crash", |_, _| call()),
    Attack::process("exit_0", "exits with code 0", "process: exit", |_, _| std::process::exit(0)),
    Attack::process("exit_7", "exits with code 7, of which WASI 0.2 says only that it is not 0", "process: exit", |_, _| {
        std::process::exit(7)
    }),
];

#[cfg(target_arch = "wasm32")]
fn trap() -> ! {
    core::arch::wasm32::unreachable()
}

#[cfg(not(target_arch = "wasm32"))]
fn trap() -> ! {
    std::process::abort()
}

fn divide() -> Result<(), StageError> {
    let (one, zero) = (black_box(1i32), black_box(0i32));
    // SAFETY: none. Rust checks a division before it divides; told that there is nothing to check, it leaves that to the operator.
    unsafe { std::hint::assert_unchecked(zero != 0) };
    black_box(one / zero);
    Ok(())
}

fn outside() -> Result<(), StageError> {
    let address = black_box(usize::MAX - 64) as *const u64;
    // SAFETY: none; the sandbox must hold.
    black_box(unsafe { address.read_volatile() });
    Ok(())
}

fn null(input: &Batch, out: &Output) -> Result<(), StageError> {
    let address = black_box(0usize) as *mut u64;
    // SAFETY: none; the sandbox must hold. Address 0 is memory like any other in wasm.
    unsafe { address.write_volatile(u64::MAX) };
    crate::attack::pass_on(input, out)
}

fn call() -> Result<(), StageError> {
    let function: fn() -> Result<(), StageError> = outside;
    // SAFETY: none; the sandbox must hold.
    let wrong: extern "C" fn(f64, f64, f64, f64, f64) -> f64 = unsafe { std::mem::transmute(black_box(function)) };
    black_box(wrong(1.0, 2.0, 3.0, 4.0, 5.0));
    Ok(())
}
