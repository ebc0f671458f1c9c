//! What a sandboxed stage costs: `cargo bench --bench stages`; with `--json` for `compare.py`.
//!
//! `--pipeline sandboxed|native|unmetered <contract directory> <cache directory>` runs a whole pipeline once instead, for others to measure.

mod micro;
mod native;
mod pipeline;

/// The program's allocator, so that pipelines run here as they do there.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[expect(clippy::print_stdout, reason = "a benchmark tells its figures")]
fn main() -> anyhow::Result<()> {
    // `cargo bench` adds `--bench`.
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--pipeline", kind, directory, cache] => pipeline::run(kind, directory.as_ref(), cache.as_ref())?,
        ["--json"] => println!("{}", serde_json::to_string(&micro::table()?)?),
        [] => {
            let table = micro::table()?;
            let width = table.iter().map(|(what, _)| what.len()).max().unwrap_or_default();
            table.iter().for_each(|(what, figure)| println!("{what:<width$}  {figure}"));
        }
        _ => anyhow::bail!("usage: stages [--json | --pipeline sandboxed|native|unmetered <contract directory> <cache directory>]"),
    }
    Ok(())
}
