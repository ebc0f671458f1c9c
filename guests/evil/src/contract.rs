//! Calls that keep the wire format and break the contract.

use std::hint::black_box;

use etl_sdk::bindings::columns::etl::transform::data::{Batch, ColumnOp, Output};
use etl_sdk::bindings::columns::exports::etl::transform::stage::Plan;
use etl_sdk::{Cardinality, Rejection, StageError};

use crate::attack::{Attack, all_columns, pass_on};
use crate::wire::{numbers, wide_schema};

const BROKEN: &str = "process: broken_contract";

pub(crate) const ATTACKS: &[Attack] = &[
    Attack::process("map_too_many", "promises map and emits twice the rows", BROKEN, |input, out| {
        pass_on(input, out).and_then(|()| pass_on(input, out))
    })
    .promising(Cardinality::Map),
    Attack::process("map_too_few", "promises map and emits nothing", BROKEN, |_, _| Ok(())).promising(Cardinality::Map),
    Attack::process("map_from_scratch", "promises map and emits one row too many, made from scratch", BROKEN, |input, out| {
        out.schema(&wide_schema(1, "n"))?;
        out.emit(&numbers(input.num_rows() as usize + 1), None)
    })
    .promising(Cardinality::Map),
    Attack::process("map_out_of_order", "promises map and emits the rows backwards", BROKEN, backwards).promising(Cardinality::Map),
    Attack::process("filter_too_many", "promises filter and emits twice the rows", BROKEN, |input, out| {
        pass_on(input, out).and_then(|()| pass_on(input, out))
    })
    .promising(Cardinality::Filter),
    Attack::finish("map_at_the_end", "promises map and emits a row in finish", "finish: broken_contract", |out| {
        out.schema(&wide_schema(1, "n"))?;
        out.emit(&numbers(1), None)
    })
    .promising(Cardinality::Map),
    Attack::process("reject_and_keep", "rejects row 0 and keeps it", BROKEN, |input, out| {
        out.reject(&[rejection(0)])?;
        pass_on(input, out)
    }),
    Attack::process("keep_and_reject", "keeps row 0 and rejects it", BROKEN, |input, out| {
        pass_on(input, out)?;
        out.reject(&[rejection(0)])
    }),
    Attack::process("reject_and_emit", "rejects row 0 and emits it from scratch", "process: broken_contract or ok as expand", |_, out| {
        out.reject(&[rejection(0)])?;
        out.schema(&wide_schema(1, "n"))?;
        out.emit(&numbers(1), Some(&[0]))
    })
    .promising(Cardinality::Filter),
    Attack::process("reject_twice", "rejects row 0 twice", BROKEN, |_, out| out.reject(&[rejection(0), rejection(0)])),
    Attack::process("reject_outside", "rejects the row behind the last", BROKEN, |input, out| out.reject(&[rejection(input.num_rows())])),
    Attack::process("reject_max", "rejects row 2^32 - 1", BROKEN, |_, out| out.reject(&[rejection(u32::MAX)])),
    Attack::finish("reject_in_finish", "rejects a row in finish, where there is none", "finish: broken_contract", |out| {
        out.reject(&[rejection(0)])
    }),
    Attack::process("origins_outside", "emits a row of an input row that is not there", BROKEN, |input, out| {
        origins(out, &[input.num_rows()])
    }),
    Attack::process("origins_too_few", "emits a row without its origin", BROKEN, |_, out| origins(out, &[])),
    Attack::process("origins_too_many", "emits a row with the origins of two", BROKEN, |_, out| origins(out, &[0, 0])),
    Attack::process("read_outside", "reads column 1,000,000", BROKEN, |input, _| input.read(Some(&[1_000_000])).map(drop)),
    Attack::process("read_repeated", "reads column 0 a million times in one call", BROKEN, |input, _| {
        input.read(Some(&vec![0; 1_000_000])).map(drop)
    }),
    Attack::process("read_none", "reads no column", "process: ok", |input, out| {
        black_box(input.read(Some(&[]))?);
        pass_on(input, out)
    }),
    Attack::process("derive_keep_outside", "keeps column 1,000,000", BROKEN, |input, out| {
        out.emit_derived(input, None, &[ColumnOp::Keep(1_000_000)], None)
    }),
    Attack::process("derive_rename_outside", "renames column 2^32 - 1", BROKEN, |input, out| {
        out.emit_derived(input, None, &[ColumnOp::Rename((u32::MAX, "x".into()))], None)
    }),
    Attack::process("derive_computed_missing", "names a computed column and sends none", BROKEN, |input, out| {
        out.emit_derived(input, None, &[ColumnOp::Computed((0, "x".into()))], None)
    }),
    Attack::process("derive_computed_outside", "names computed column 2^32 - 1", BROKEN, |input, out| {
        out.schema(&wide_schema(1, "x"))?;
        out.emit_derived(input, None, &[ColumnOp::Computed((u32::MAX, "x".into()))], Some(&numbers(input.num_rows() as usize)))
    }),
    Attack::process("derive_computed_unnamed", "sends a computed column and names none", "process: ok, the column unseen", |input, out| {
        out.schema(&wide_schema(1, "x"))?;
        out.emit_derived(input, None, &all_columns(input)?, Some(&numbers(input.num_rows() as usize)))
    }),
    Attack::process("derive_computed_untyped", "sends a computed column that its output schema does not have", BROKEN, |input, out| {
        out.schema(&wide_schema(1, "x"))?;
        out.emit_derived(input, None, &[ColumnOp::Computed((0, "y".into()))], Some(&numbers(input.num_rows() as usize)))
    }),
    Attack::process("derive_computed_short", "sends a computed column of a row less", BROKEN, |input, out| {
        out.schema(&wide_schema(1, "x"))?;
        out.emit_derived(input, None, &[ColumnOp::Computed((0, "x".into()))], Some(&numbers(input.num_rows().saturating_sub(1) as usize)))
    }),
    Attack::process("derive_duplicate", "keeps column 0 twice", BROKEN, |input, out| {
        out.emit_derived(input, None, &[ColumnOp::Keep(0), ColumnOp::Keep(0)], None)
    }),
    Attack::process("derive_long_name", "renames column 0 to 256 bytes", BROKEN, |input, out| {
        out.emit_derived(input, None, &[ColumnOp::Rename((0, "n".repeat(256)))], None)
    }),
    Attack::process("derive_wide", "derives 5,000 columns", BROKEN, |input, out| {
        let columns: Vec<_> = (0..5000).map(|number| ColumnOp::Rename((0, format!("c{number}")))).collect();
        out.emit_derived(input, None, &columns, None)
    }),
    Attack::process("derive_no_columns", "derives rows without columns", "process: ok", |input, out| {
        out.emit_derived(input, None, &[], None)
    }),
    Attack::process("keep_short", "sends a keep mask of no bytes", BROKEN, |input, out| {
        out.emit_derived(input, Some(&[]), &all_columns(input)?, None)
    }),
    Attack::process("keep_long", "sends a keep mask of a MiB", BROKEN, |input, out| {
        out.emit_derived(input, Some(&vec![255; 1 << 20]), &all_columns(input)?, None)
    }),
    Attack::process("keep_spare_bits", "sets the bits behind the last row", "process: ok, the bits unseen", |input, out| {
        out.emit_derived(input, Some(&vec![255; input.num_rows().div_ceil(8) as usize]), &all_columns(input)?, None)
    }),
    Attack::configure("plan_garbage", "plans a schema of garbage", "configure: broken_contract", || plan(Some(vec![0xAB; 500]), None)),
    Attack::configure("plan_columns_outside", "wants to read column 2^32 - 1", "configure: broken_contract", || {
        plan(None, Some(vec![u32::MAX]))
    }),
    Attack::process("forged_batch", "asks a batch that it was not given", "process: crash", |_, _| forged()),
    Attack::process("dropped_batch", "drops the batch that it was lent, twice", "process: crash", |_, _| dropped()),
    Attack::process("pointer_outside", "passes the host a text outside its memory", "process: crash", |_, _| {
        raw_log(1, usize::MAX - 15, 1 << 20)
    }),
    Attack::process("pointer_huge", "passes the host a text as long as its memory", "process: crash or output_limit", |_, _| {
        raw_log(1, 0, i32::MAX as usize)
    }),
    Attack::process("bad_discriminant", "passes the host level 99", "process: crash", |_, _| raw_log(99, 0, 0)),
];

fn rejection(row: u32) -> Rejection {
    Rejection { row, code: "no".into(), message: "no".into(), field: None }
}

fn plan(output: Option<Vec<u8>>, columns: Option<Vec<u32>>) -> Result<Plan, Vec<StageError>> {
    Ok(Plan { output, columns, cardinality: Cardinality::Expand })
}

fn origins(out: &Output, origins: &[u32]) -> Result<(), StageError> {
    out.schema(&wide_schema(1, "n"))?;
    out.emit(&numbers(1), Some(origins))
}

fn backwards(input: &Batch, out: &Output) -> Result<(), StageError> {
    let rows = input.num_rows();
    out.schema(&wide_schema(1, "n"))?;
    out.emit(&numbers(rows as usize), Some(&(0..rows).rev().collect::<Vec<_>>()))
}

#[cfg(target_arch = "wasm32")]
mod raw {
    #[link(wasm_import_module = "etl:transform/host@1.0.0")]
    unsafe extern "C" {
        #[link_name = "log"]
        pub(super) fn log(level: i32, pointer: usize, length: usize);
    }

    #[link(wasm_import_module = "etl:transform/data@1.0.0")]
    unsafe extern "C" {
        #[link_name = "[method]batch.num-rows"]
        pub(super) fn num_rows(handle: i32) -> i32;
        #[link_name = "[resource-drop]batch"]
        pub(super) fn drop_batch(handle: i32);
    }
}

/// What the bindings would never pass.
#[cfg(not(target_arch = "wasm32"))]
mod raw {
    pub(super) unsafe fn log(_: i32, _: usize, _: usize) {}

    pub(super) unsafe fn num_rows(_: i32) -> i32 {
        0
    }

    pub(super) unsafe fn drop_batch(_: i32) {}
}

fn raw_log(level: i32, pointer: usize, length: usize) -> Result<(), StageError> {
    // SAFETY: none; the host must check.
    unsafe { raw::log(level, black_box(pointer), black_box(length)) };
    Ok(())
}

fn forged() -> Result<(), StageError> {
    // SAFETY: none; the host must check.
    let rows: i32 = (1000..1100).map(|handle| unsafe { raw::num_rows(handle) }).sum();
    black_box(rows);
    Ok(())
}

fn dropped() -> Result<(), StageError> {
    for _ in 0..2 {
        // SAFETY: none; the host must check.
        (1..16).for_each(|handle| unsafe { raw::drop_batch(handle) });
    }
    Ok(())
}
