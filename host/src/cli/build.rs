//! `etl-host build`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::terminal::{self, size};
use super::{CacheArgs, ContractArgs, Outcome, contract, setup};
use crate::artifact::build::{self, BuildOptions, Built, Progress};
use crate::error::Context;

/// Arguments of `build`.
#[derive(Debug, Args)]
pub(super) struct BuildArgs {
    /// Contract directory whose pipeline names modules, or components of the crate in it
    #[arg(default_value = ".")]
    directory: PathBuf,
    /// Look for modules and their imports in this folder too, behind the contract directory and the working directory
    #[arg(long = "path", value_name = "FOLDER")]
    search: Vec<PathBuf>,
    /// Build again what is up to date
    #[arg(long)]
    force: bool,
    /// Print the result as one JSON object on stdout
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    cache: CacheArgs,
}

/// Builds what the pipeline of a contract directory uses as source.
pub(super) fn build(args: &BuildArgs) -> Outcome {
    let contract = ContractArgs {
        directory: args.directory.clone(),
        extract: None,
        transform: None,
        load: None,
        vars: Vec::new(),
        params: Vec::new(),
        limit: None,
    };
    let contract = contract::read_without_ends(&contract)?;
    let runtime = setup::runtime()?;
    let sandbox = setup::sandbox(&args.cache, &runtime)?;
    let options = BuildOptions { search: args.search.clone(), force: args.force };
    let progress = |Progress::Building(name): Progress<'_>| {
        if !args.json {
            terminal::talk(&format!("building {name} …"));
        }
    };
    let built = build::build(&contract.root, &contract.pipeline, &options, &sandbox, &progress)?;
    if args.json {
        let components: Vec<_> = built.iter().map(as_json).collect();
        terminal::data(&serde_json::to_string(&json!({ "components": components })).bug(|| "writing the result as JSON".into())?);
    } else if built.is_empty() {
        terminal::data("nothing to build: the pipeline names no module, and no component of a crate beside it");
    } else {
        built.iter().for_each(|built| terminal::data(&text(built)));
    }
    Ok(ExitCode::SUCCESS)
}

fn text(built: &Built) -> String {
    let Built { name, component, digest, bytes, sources, tool, took } = built;
    let state = match took {
        Some(took) => format!("built in {:.1} s", took.as_secs_f64()),
        None => "up to date".into(),
    };
    let from: Vec<String> = sources.iter().map(|path| path.display().to_string()).collect();
    let from = match from.len() {
        0..=6 => from.join(", "),
        count => format!("{} and {} more", from[..5].join(", "), count - 5),
    };
    let tool = tool.as_deref().unwrap_or_default();
    format!(
        "{name}: {state}\n  component  {component}, {}\n  digest     {digest}\n  from       {from}\n  tool       {tool}",
        size(*bytes as u64)
    )
}

fn as_json(built: &Built) -> serde_json::Value {
    let Built { name, component, digest, bytes, sources, tool, took } = built;
    json!({
        "name": name, "component": component, "digest": digest, "bytes": bytes, "sources": sources, "tool": tool,
        "up_to_date": took.is_none(), "seconds": took.map(|took| took.as_secs_f64()),
    })
}
