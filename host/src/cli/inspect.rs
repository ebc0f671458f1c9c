//! `etl-host inspect`.

use std::process::ExitCode;

use clap::Args;

use super::terminal::{self, size};
use super::{CacheArgs, LibraryArgs, Outcome, setup};
use crate::config::component::Component;
use crate::error::Context;
use crate::sandbox::{CONTRACT, Description};

/// Arguments of `inspect`.
#[derive(Debug, Args)]
pub(super) struct InspectArgs {
    /// The component: a .wasm file, sha256:… of the store, or oci://registry/name:tag
    #[arg(value_name = "COMPONENT")]
    component: Component,
    /// Print the result as one JSON object on stdout
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    library: LibraryArgs,
    #[command(flatten)]
    cache: CacheArgs,
}

/// Shows what a component is, offers and would reach.
pub(super) fn inspect(args: &InspectArgs) -> Outcome {
    let runtime = setup::runtime()?;
    let sandbox = setup::sandbox(&args.cache, &runtime)?;
    let found = setup::library(&args.library, None).find(&args.component)?;
    let component = sandbox.load(&found.wasm, &found.name)?;
    let description = &component.description;
    if args.json {
        terminal::data(&serde_json::to_string(description).bug(|| "writing the result as JSON".into())?);
    } else {
        terminal::data(&text(description));
    }
    Ok(ExitCode::SUCCESS)
}

fn text(description: &Description) -> String {
    let Description { digest, bytes, world, contract, name, version, functions, imports } = description;
    let mut text = format!("{name} {version}\n");
    text.push_str(&format!("  digest     sha256:{digest}\n"));
    text.push_str(&format!("  size       {}\n", size(*bytes as u64)));
    text.push_str(&format!("  world      {CONTRACT}/{}@{contract}\n", world.name()));
    for function in functions {
        let state = serde_json::to_value(function.state).ok().and_then(|state| state.as_str().map(str::to_owned)).unwrap_or_default();
        text.push_str(&format!("  function   {} ({state})", function.name));
        if !function.summary.is_empty() {
            text.push_str(&format!(": {}", function.summary));
        }
        text.push('\n');
    }
    for import in imports {
        text.push_str(&format!("  imports    {import}: {}\n", meaning(import)));
    }
    text
}

/// What an import gives a guest.
fn meaning(import: &str) -> &'static str {
    match import.split('@').next().unwrap_or_default() {
        name if name.starts_with("etl:transform/") => "rows, log, counters",
        "wasi:cli/environment" => "an empty environment",
        "wasi:cli/exit" => "ends the call as a crash",
        "wasi:cli/stdin" => "closed",
        "wasi:cli/stdout" | "wasi:cli/stderr" => "the last 8 KiB are shown with an error",
        name if name.starts_with("wasi:cli/terminal") => "no terminal",
        name if name.starts_with("wasi:clocks/") => "stands still at the run's start",
        name if name.starts_with("wasi:filesystem/") => "no folder",
        name if name.starts_with("wasi:random/") => "drawn from the run's id, the same at every try",
        name if name.starts_with("wasi:sockets/") => "refused",
        name if name.starts_with("wasi:io/") => "streams of the above",
        _ => "unknown",
    }
}
