//! Compares the JSONata of the host with the reference implementation on pairs that a script makes up.
//!
//! `jsonata_differential [--long | --recorded FILE] [--wide] [--seed N] [--show]`: `--long` is 100,000 pairs, evaluated by node at the same
//! time; it wants `npm install jsonata@2.2` in the current folder. Without it, 2,000. `--wide` makes up the rarer forms of the language, and
//! arguments of functions at their edges. Prints the classes of differences, and last their number.

#[path = "../../tests/jsonata/evaluate.rs"]
#[expect(dead_code, reason = "the sandbox is for other users of this file")]
mod evaluate;
#[path = "../../tests/jsonata/pairs.rs"]
mod pairs;
#[path = "../../tests/jsonata/suite.rs"]
#[expect(dead_code, reason = "the suite is for other users of this file")]
mod suite;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

/// Pairs that one node answers.
const PART: usize = 1_000;

#[expect(clippy::print_stdout, reason = "an example tells its result")]
fn main() -> Result<()> {
    let (mut count, mut seed, mut show, mut recorded, mut is_wide) = (2_000, 1_u32, false, None, false);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--long" => count = 100_000,
            "--show" => show = true,
            "--wide" => is_wide = true,
            "--seed" => seed = args.next().context("`--seed` wants a number")?.parse()?,
            "--recorded" => recorded = Some(args.next().context("`--recorded` wants a file")?),
            _ => bail!("usage: jsonata_differential [--long | --recorded FILE] [--wide] [--seed N] [--show]"),
        }
    }
    let tell = |pair: &pairs::Pair, class: &str, ours: &suite::Outcome| {
        if show {
            println!("{class}\n  {}\n  {}\n  ours: {ours}", pair.expression, pair.input);
        }
    };
    let (mut compared, mut classes) = (0, BTreeMap::new());
    if let Some(file) = recorded {
        let file = std::fs::File::open(&file).with_context(|| format!("reading `{file}`"))?;
        (compared, classes) = pairs::compare(BufReader::new(file).lines().map(|line| Ok(line?)), tell)?;
    } else {
        // By parts, since the reference itself can eat all of node's memory on a pair.
        for from in (0..count).step_by(PART) {
            let (some, found) = live(PART.min(count - from), seed, from, is_wide, tell)?;
            compared += some;
            for (class, number) in found {
                *classes.entry(class).or_default() += number;
            }
        }
        ensure!(compared > 0, "node failed; `npm install jsonata@2.2` in this folder is what it wants");
        if compared < count {
            println!("the reference gave no answer to {} pairs: it died, or lost a regular expression", count - compared);
        }
    }
    print!("{}", pairs::table(&classes));
    println!("{compared} pairs, {} differ", classes.values().sum::<usize>());
    Ok(())
}

/// Compares pairs with a node that evaluates them now; where it dies the rest of its part is left out.
fn live(
    count: usize,
    seed: u32,
    from: usize,
    is_wide: bool,
    tell: impl FnMut(&pairs::Pair, &str, &suite::Outcome),
) -> Result<(usize, BTreeMap<String, usize>)> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/jsonata/reference.mjs");
    let mut node = Command::new("node")
        .args([script.to_owned(), count.to_string(), seed.to_string(), from.to_string()])
        .args(is_wide.then_some("wide"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context("starting `node`, which evaluates with the reference implementation")?;
    let mut lines = Vec::new();
    for line in BufReader::new(node.stdout.take().context("node has an output")?).lines() {
        lines.push(line?);
    }
    if !node.wait()?.success() {
        // The last line may be cut off.
        lines.pop();
    }
    pairs::compare(lines.into_iter().map(Ok), tell)
}
