//! Compares the JSONata of the host with the reference implementation on pairs that a script makes up.
//!
//! `jsonata_differential [--long | --recorded FILE] [--seed N] [--show]`: `--long` is 100,000 pairs, evaluated by node at the same time; it wants
//! `npm install jsonata@2.2` in the current folder. Without it, 2,000. Prints the classes of differences, and last their number.

#[path = "../../tests/jsonata/evaluate.rs"]
#[expect(dead_code, reason = "the sandbox is for other users of this file")]
mod evaluate;
#[path = "../../tests/jsonata/pairs.rs"]
mod pairs;
#[path = "../../tests/jsonata/suite.rs"]
#[expect(dead_code, reason = "the suite is for other users of this file")]
mod suite;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

#[expect(clippy::print_stdout, reason = "an example tells its result")]
fn main() -> Result<()> {
    let (mut count, mut seed, mut show, mut recorded) = (2_000, 1, false, None);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--long" => count = 100_000,
            "--show" => show = true,
            "--seed" => seed = args.next().context("`--seed` wants a number")?.parse()?,
            "--recorded" => recorded = Some(args.next().context("`--recorded` wants a file")?),
            _ => bail!("usage: jsonata_differential [--long | --recorded FILE] [--seed N] [--show]"),
        }
    }
    let tell = |pair: &pairs::Pair, class: &str, ours: &suite::Outcome| {
        if show {
            println!("{class}\n  {}\n  {}\n  ours: {ours}", pair.expression, pair.input);
        }
    };
    let (count, classes) = match recorded {
        Some(file) => {
            let file = std::fs::File::open(&file).with_context(|| format!("reading `{file}`"))?;
            pairs::compare(BufReader::new(file).lines().map(|line| Ok(line?)), tell)?
        }
        None => {
            let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/jsonata/reference.mjs");
            let mut node = Command::new("node")
                .args([script, &count.to_string(), &seed.to_string()])
                .stdout(Stdio::piped())
                .spawn()
                .context("starting `node`, which evaluates with the reference implementation")?;
            let lines = BufReader::new(node.stdout.take().context("node has an output")?).lines();
            let compared = pairs::compare(lines.map(|line| Ok(line?)), tell)?;
            ensure!(node.wait()?.success(), "node failed; `npm install jsonata@2.2` in this folder is what it wants");
            compared
        }
    };
    print!("{}", pairs::table(&classes));
    println!("{count} pairs, {} differ", classes.values().sum::<usize>());
    Ok(())
}
