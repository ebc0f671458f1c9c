//! Components that are refused before a row is seen.

use etl_host::error::Error;

use super::{SANDBOX, sandbox};
use crate::support::{any_patch, evil};

/// Replaces a name by another of the same length.
fn patched(wasm: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut patched = wasm.to_owned();
    let mut found = 0;
    for at in 0..=wasm.len() - from.len() {
        if wasm[at..].starts_with(from.as_bytes()) {
            patched[at..at + to.len()].copy_from_slice(to.as_bytes());
            found += 1;
        }
    }
    assert!(found > 0, "`{from}` is not in the component");
    patched
}

/// An error as a user reads it.
fn render(error: &Error) -> String {
    let hint = error.find_hint().map(|hint| format!(" (hint: {hint})")).unwrap_or_default();
    format!("{:?}: {}{hint}", error.fault(), error.chain().join(" <- "))
}

fn refusal(wasm: &[u8]) -> String {
    match sandbox().load(wasm, "x.wasm") {
        Ok(component) => format!("loaded as {:?}", component.description.name.len()),
        Err(error) => render(&error),
    }
}

#[test]
fn what_is_no_component_of_the_contract_is_refused_with_the_reason() {
    let right = std::fs::read(evil("etl_evil")).unwrap();
    sandbox().load(&right, "right.wasm").unwrap();
    let machine_code = std::fs::read_dir(SANDBOX.1.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|end| end == "cwasm"));
    let machine_code = std::fs::read(machine_code.expect("the cache keeps what it compiled")).unwrap();
    let refusals = [
        ("nothing", refusal(b"")),
        ("a text", refusal(b"#!/bin/sh\necho evil\n")),
        ("a core module", refusal(b"\0asm\x01\0\0\0")),
        ("an empty component", refusal(b"\0asm\x0d\0\x01\0")),
        ("half a component", refusal(&right[..right.len() / 2]).split(" <- section").next().unwrap().to_owned()),
        ("machine code", refusal(&machine_code)),
        ("another version", refusal(&patched(&right, "etl:transform/stage@1.0.0", "etl:transform/stage@2.7.0"))),
        ("another package", refusal(&patched(&right, "etl:transform/stage@1.0.0", "abc:transform/stage@1.0.0"))),
        ("an import of its own", refusal(&patched(&right, "wasi:cli/environment@", "evil:net/environment@"))),
        ("describe loops", refusal(&std::fs::read(evil("evil_describe_loops")).unwrap())),
        ("start loops", refusal(&std::fs::read(evil("evil_start_loops")).unwrap())),
        ("describe floods", refusal(&std::fs::read(evil("evil_describe_floods")).unwrap())),
    ];
    let refusals: String = refusals.iter().map(|(what, refusal)| format!("{what}: {refusal}\n")).collect();
    insta::assert_snapshot!(any_patch(&refusals), @r"
    nothing: Config: `x.wasm` is not WebAssembly (hint: build it with `cargo build --release --target wasm32-wasip2`, which gives a component)
    a text: Config: `x.wasm` is not WebAssembly (hint: build it with `cargo build --release --target wasm32-wasip2`, which gives a component)
    a core module: Config: `x.wasm` is a core WebAssembly module, not a component (hint: build it with `cargo build --release --target wasm32-wasip2`, which gives a component)
    an empty component: Config: component `x.wasm` is no transform: it exports nothing (hint: a transform exports `etl:transform/stage@1.0.0` or `etl:transform/record-stage@1.0.0`)
    half a component: Config: component `x.wasm` does not compile <- failed to parse WebAssembly module <- wasm component contains an invalid module section
    machine code: Config: `x.wasm` is precompiled machine code, which is never loaded from outside (hint: build it with `cargo build --release --target wasm32-wasip2`, which gives a component)
    another version: Config: component `x.wasm` is made for etl:transform@2.7.0, this host speaks 1.0.0 (hint: build it against the host's `wit/`, or run it on a host that speaks its version)
    another package: Config: component `x.wasm` is no transform: it exports `abc:transform/stage@1.0.0` (hint: a transform exports `etl:transform/stage@1.0.0` or `etl:transform/record-stage@1.0.0`)
    an import of its own: Config: component `x.wasm` imports `evil:net/environment@0.2.x`, which this host has not (hint: a transform may import `etl:transform`, the WASI 0.2 basics and, where it is granted, `wasi:http/outgoing-handler`)
    describe loops: Guest: component `x.wasm` failed to describe itself: used all of its 150.0 M fuel <- in etl:transform/stage@1.0.0#describe
    start loops: Guest: component `x.wasm` failed to describe itself: used all of its 150.0 M fuel <- in evil_start_loops::spin < etl:transform/stage@1.0.0#describe
    describe floods: loaded as 255
    ");
}
