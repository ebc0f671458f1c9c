//! Scores the JSONata of the host by the reference implementation's cases: `jsonata_suite FOLDER [--wasm]`.
//!
//! Prints the cases that fail, by group, and last `N passed, M failed`. With `--wasm` they run in the component that ships, sandboxed and
//! metered.

#[path = "../../tests/jsonata/evaluate.rs"]
mod evaluate;
#[path = "../../tests/jsonata/suite.rs"]
mod suite;

use std::path::Path;

use evaluate::{Question, Sandboxed, natively};
use suite::{Case, Outcome};

#[expect(clippy::print_stdout, reason = "an example tells its result")]
fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (folder, wasm) = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [folder] => (folder, false),
        [folder, "--wasm"] | ["--wasm", folder] => (folder, true),
        _ => anyhow::bail!("usage: jsonata_suite FOLDER [--wasm]"),
    };
    let cases = suite::read(Path::new(folder))?;
    let outcomes = if wasm { in_sandbox(&cases)? } else { cases.iter().map(|case| natively(question(case))).collect() };
    let mut group = "";
    let mut failed = 0;
    for (case, outcome) in cases.iter().zip(&outcomes).filter(|(case, outcome)| !case.accepts(outcome)) {
        if group != case.group {
            group = &case.group;
            println!("{group}");
        }
        failed += 1;
        println!("  {}: {}\n    expected {}\n    got      {outcome}", case.id, case.expression.trim(), case.expected);
    }
    println!("{} passed, {failed} failed", cases.len() - failed);
    Ok(())
}

fn in_sandbox(cases: &[Case]) -> anyhow::Result<Vec<Outcome>> {
    let mut sandboxed = Sandboxed::open(None)?;
    let questions: Vec<_> = cases.iter().map(question).collect();
    let mut outcomes = Vec::with_capacity(questions.len());
    for some in questions.chunks(64) {
        outcomes.extend(sandboxed.evaluate(some)?);
    }
    Ok(outcomes)
}

fn question(case: &Case) -> Question<'_> {
    Question {
        expression: &case.expression,
        input: case.input.as_deref(),
        bindings: case.bindings.as_deref(),
        depth: case.depth,
        time_ms: case.time_ms,
    }
}
