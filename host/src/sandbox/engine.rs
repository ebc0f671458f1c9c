//! The engine: one for the life of the process, set up so that a guest can neither harm nor surprise.

use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, OperatorCost, PoolingAllocationConfig, WasmBacktraceDetails};

use crate::error::{Context, Result};

/// Version of the fuel schedule: part of the cache key and of reports. It changes whenever an operator's cost does.
pub const FUEL_SCHEDULE: u32 = 1;

/// Fuel between two yields to the executor, so that a time-out around a call can act: some milliseconds.
pub(super) const YIELD_INTERVAL: u64 = 10_000_000;

/// Stack of a guest, in bytes: a level of a JSONata expression takes up to 5 KiB, and 500 of them are allowed. Pages are taken as they are used.
const STACK_BYTES: usize = 3 << 20;

/// Largest memory that a slot of the pool can hold, whatever a stage's own limit is.
pub(super) const MAX_MEMORY_BYTES: usize = 2 << 30;

/// What an operator costs: one each, bytes and elements of bulk operators one each, as of schedule 1.
///
/// The table is wasmtime's; a test holds it to the digest that schedule 1 had, so that an upgrade cannot move users' limits unseen.
pub(super) fn fuel_costs() -> OperatorCost {
    OperatorCost::new()
}

/// Sets up the engine. `metered` is off only to measure what metering costs.
///
/// # Errors
/// Bug, where wasmtime refuses the settings.
pub(super) fn open(metered: bool) -> Result<Engine> {
    let mut pooled = config(metered);
    pooled.allocation_strategy(InstanceAllocationStrategy::Pooling(pool()));
    // The pool wants address space by the terabyte; under `ulimit -v` or in a small container it is not there.
    Engine::new(&pooled).or_else(|error| {
        tracing::debug!(%error, "no address space for a pool of instances, opening them one by one");
        Engine::new(&config(metered)).bug(|| "setting up the sandbox".into())
    })
}

fn config(metered: bool) -> Config {
    let mut config = Config::new();
    config
        .consume_fuel(metered)
        .operator_cost(fuel_costs())
        .max_wasm_stack(STACK_BYTES)
        .async_stack_size(STACK_BYTES + (1 << 20))
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        // Same input, same bytes.
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        // What transforms do not need.
        .wasm_memory64(false)
        .wasm_multi_memory(false)
        .concurrency_support(false)
        .memory_init_cow(true);
    config
}

fn pool() -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(1000)
        .total_core_instances(4000)
        .total_memories(1000)
        .total_tables(4000)
        .total_stacks(1000)
        .max_core_instances_per_component(64)
        .max_memories_per_component(16)
        .max_tables_per_component(64)
        .max_component_instance_size(4 << 20)
        .max_core_instance_size(4 << 20)
        .table_elements(100_000)
        .max_memory_size(MAX_MEMORY_BYTES)
        .max_unused_warm_slots(64)
        .pagemap_scan(Enabled::Auto);
    if has_pagemap_scan() {
        // With `PAGEMAP_SCAN` only pages that were touched are reset; without it keeping pages is a loss.
        pool.linear_memory_keep_resident(256 << 10).table_keep_resident(16 << 10);
    }
    pool
}

/// Linux 6.7 brought `PAGEMAP_SCAN`.
fn has_pagemap_scan() -> bool {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map_while(|number| number.parse::<u32>().ok());
    (numbers.next(), numbers.next()) >= (Some(6), Some(7))
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::fuel_costs;
    use crate::config::component::hex;

    #[test]
    fn the_fuel_schedule_is_still_that_of_version_1() {
        let table = serde_json::to_vec(&fuel_costs()).expect("a table of numbers is JSON");
        insta::assert_snapshot!(hex(&Sha256::digest(table)), @"98e117d771dcf5efdfe5a0213cd39110fa3ffcd0ba67a4ee159fa2fbd08726af");
    }
}
