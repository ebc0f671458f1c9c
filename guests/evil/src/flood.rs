//! Attacks by mass: output, log, counters, names, errors.

use std::hint::black_box;

use etl_sdk::bindings::columns::etl::transform::data::{Batch, ColumnOp, Output};
use etl_sdk::bindings::columns::etl::transform::host;
use etl_sdk::bindings::columns::exports::etl::transform::stage::Plan;
use etl_sdk::{Cardinality, Rejection, StageError};

use crate::attack::{Attack, all_columns, pass_on};
use crate::wire;

pub(crate) const ATTACKS: &[Attack] = &[
    Attack::process("stderr_flood", "writes 100 MB to stderr", "process: ok, 8 KiB kept", |input, out| {
        write(&mut std::io::stderr(), 1000);
        pass_on(input, out)
    }),
    Attack::process(
        "stdout_flood",
        "writes 4 MB to stdout, more of which its own buffering has no fuel for",
        "process: ok, 8 KiB kept",
        |input, out| {
            write(&mut std::io::stdout(), 40);
            pass_on(input, out)
        },
    ),
    Attack::process("log_flood", "logs 100,000 lines of 10 KiB", "process: ok, 64 KiB kept", log),
    Attack::process("log_bad_utf8", "logs a line that is not UTF-8", "process: crash", log_bad_utf8),
    Attack::process("count_flood", "counts under 10,000 names", "process: ok, 256 names kept", count),
    Attack::process("count_overflow", "counts to 2^64 twice", "process: ok, the counter stays at 2^64 - 1", count_overflow),
    Attack::process("emit_too_much_at_once", "emits 80 MiB in one call", "process: memory_limit or output_limit", |_, out| {
        emit_numbers(out, 10 << 20, 1)
    }),
    Attack::process("emit_too_much", "emits a MiB after the other", "process: output_limit", |_, out| {
        emit_numbers(out, 1 << 17, usize::MAX)
    }),
    Attack::process("emit_nothing_for_ever", "emits batches without rows for ever", "process: output_limit or out_of_fuel", |_, out| {
        emit_numbers(out, 0, usize::MAX)
    }),
    Attack::process("emit_null_rows", "emits columns of nulls, which have no bytes, for ever", "process: output_limit", emit_nulls),
    Attack::process("derived_flood", "derives 4,000 columns with names of 200 bytes for ever", "process: output_limit", derive),
    Attack::process("schema_flood", "names a schema of 4,000 columns for ever", "process: out_of_fuel, in bounded memory", schemas),
    Attack::process("million_rejects", "rejects row 0 a million times", "process: broken_contract", million_rejects),
    Attack::process(
        "reject_with_long_texts",
        "rejects a row with a MiB of code, message and field",
        "process: ok, the texts cut",
        |input, out| {
            let long = "x".repeat(1 << 20);
            out.reject(&[Rejection { row: 0, code: long.clone(), message: long.clone(), field: Some(long) }])?;
            let mut keep = vec![255; input.num_rows().div_ceil(8) as usize];
            keep[0] = 254;
            out.emit_derived(input, Some(&keep), &all_columns(input)?, None)
        },
    )
    .promising(Cardinality::Filter),
    Attack::process("error_with_long_texts", "fails with a MiB of text", "process: the texts cut to 8 KiB", |_, _| {
        Err(StageError::data("x".repeat(1 << 20), "y".repeat(1 << 20)).field("z".repeat(1 << 20)).help("w".repeat(1 << 20)))
    }),
    Attack::configure("error_flood", "answers 100,000 errors from configure", "configure: 100 errors kept, or output_limit", || {
        Err(vec![StageError::options("no", "no"); 100_000])
    }),
    Attack::configure("error_none", "refuses its options without an error", "configure: broken_contract", || Err(Vec::new())),
    Attack::configure("plan_wide", "plans 10,000 columns", "configure: broken_contract", || plan(wire::wide_schema(10_000, "c"))),
    Attack::configure("plan_long_names", "plans a column with a name of a MiB", "configure: broken_contract", || {
        plan(wire::wide_schema(1, &"n".repeat(1 << 20)))
    }),
    Attack::configure("plan_many_reads", "wants to read column 0 a million times", "configure: broken_contract, or bounded work", || {
        Ok(Plan { output: None, columns: Some(vec![0; 1_000_000]), cardinality: Cardinality::Expand })
    }),
];

fn plan(schema: Vec<u8>) -> Result<Plan, Vec<StageError>> {
    Ok(Plan { output: Some(schema), columns: None, cardinality: Cardinality::Expand })
}

fn write(stream: &mut dyn std::io::Write, times: usize) {
    let line = [b'x'; 100_000];
    for _ in 0..times {
        // Whether it is taken or not is the host's affair.
        let _ = stream.write_all(&line);
    }
    let _ = stream.flush();
}

fn log(input: &Batch, out: &Output) -> Result<(), StageError> {
    let line = "x".repeat(10 << 10);
    (0..100_000).for_each(|_| host::log(host::Level::Error, &line));
    pass_on(input, out)
}

fn log_bad_utf8(input: &Batch, out: &Output) -> Result<(), StageError> {
    let bytes = black_box([0xF0, 0x28, 0x8C, 0x28]);
    // SAFETY: none; the host must check.
    host::log(host::Level::Info, unsafe { std::str::from_utf8_unchecked(&bytes) });
    pass_on(input, out)
}

fn count(input: &Batch, out: &Output) -> Result<(), StageError> {
    (0..10_000).for_each(|number| host::count(&format!("counter {number}"), 1));
    pass_on(input, out)
}

fn count_overflow(input: &Batch, out: &Output) -> Result<(), StageError> {
    (0..2).for_each(|_| host::count("overflow", u64::MAX));
    pass_on(input, out)
}

fn emit_numbers(out: &Output, rows: usize, times: usize) -> Result<(), StageError> {
    out.schema(&wire::wide_schema(1, "n"))?;
    let message = wire::numbers(rows);
    (0..times).try_for_each(|_| out.emit(&message, None))
}

fn emit_nulls(_: &Batch, out: &Output) -> Result<(), StageError> {
    out.schema(&wire::null_schema())?;
    let message = wire::Message::of_rows(1 << 24).node(1 << 24, 1 << 24).encode();
    loop {
        out.emit(&message, None)?;
    }
}

fn derive(input: &Batch, out: &Output) -> Result<(), StageError> {
    let name = "n".repeat(200);
    let columns: Vec<_> = (0..4000).map(|number| ColumnOp::Rename((0, format!("{name}{number}")))).collect();
    loop {
        out.emit_derived(input, None, &columns, None)?;
    }
}

fn schemas(_: &Batch, out: &Output) -> Result<(), StageError> {
    let schema = wire::wide_schema(4000, "c");
    loop {
        out.schema(&schema)?;
    }
}

fn million_rejects(_: &Batch, out: &Output) -> Result<(), StageError> {
    let thousand = vec![Rejection { row: 0, code: "no".into(), message: "no".into(), field: None }; 1000];
    (0..1000).try_for_each(|_| out.reject(&thousand))
}
