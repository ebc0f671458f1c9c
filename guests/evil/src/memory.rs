//! Attacks on memory.

use std::hint::black_box;

use etl_sdk::StageError;

use crate::attack::Attack;

pub(crate) const ATTACKS: &[Attack] = &[
    Attack::process("allocate_for_ever", "allocates a MiB after the other", "process: memory_limit", |_, _| allocate()),
    Attack::configure("allocate_in_configure", "allocates a MiB after the other in configure", "configure: memory_limit", || {
        allocate()?;
        Err(Vec::new())
    }),
    Attack::process("allocate_at_once", "allocates 1 GiB at once", "process: memory_limit", |_, _| {
        black_box(Vec::<u8>::with_capacity(1 << 30));
        Ok(())
    }),
    Attack::process("allocate_too_large", "allocates 2 GiB at once, which its own allocator refuses", "process: crash", |_, _| {
        black_box(Vec::<u8>::with_capacity(i32::MAX as usize));
        Ok(())
    }),
    Attack::process("grow_memory", "executes memory.grow by itself", "process: memory_limit", |_, _| grow()),
    Attack::process("recurse", "calls itself for ever with a small frame", "process: stack_overflow or memory_out_of_bounds", |_, _| {
        black_box(deep(1));
        Ok(())
    }),
    Attack::process("recurse_on_shadow_stack", "calls itself for ever with 4 KiB of locals", "process: memory_out_of_bounds", |_, _| {
        black_box(wide(1));
        Ok(())
    }),
];

fn allocate() -> Result<(), StageError> {
    let mut held = Vec::new();
    loop {
        // Untouched, so that memory runs out before fuel does.
        held.push(black_box(Vec::<u8>::with_capacity(1 << 20)));
    }
}

#[cfg(target_arch = "wasm32")]
fn grow() -> Result<(), StageError> {
    while core::arch::wasm32::memory_grow::<0>(16) != usize::MAX {}
    Ok(())
}

#[cfg(not(target_arch = "wasm32"))]
fn grow() -> Result<(), StageError> {
    Ok(())
}

#[expect(unconditional_recursion, reason = "that is the attack")]
#[inline(never)]
fn deep(depth: u64) -> u64 {
    black_box(deep(black_box(depth + 1))) + depth
}

#[expect(unconditional_recursion, reason = "that is the attack")]
#[inline(never)]
fn wide(depth: u64) -> u64 {
    let mut locals = [depth; 512];
    black_box(&mut locals);
    wide(locals[7] + 1) + locals[9]
}
