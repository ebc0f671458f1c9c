//! `etl-host inspect`.

use std::process::ExitCode;

use clap::Args;

use super::terminal::{self, size};
use super::{CacheArgs, LibraryArgs, Outcome, setup};
use crate::config::component::Component;
use crate::error::Context;
use crate::sandbox::imports::{Capability, meaning};
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
    if imports.iter().any(|import| Capability::of(import) == Some(Capability::Http)) {
        text.push_str("  needs      `grants: {http: [HOST]}`: it calls hosts by HTTP, and is refused without\n");
    }
    for import in imports {
        text.push_str(&format!("  imports    {import}: {}\n", meaning(import)));
    }
    text
}
