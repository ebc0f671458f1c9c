//! `etl-host pull`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::terminal::{self, size};
use super::{LibraryArgs, LoginArgs, Outcome, local_path, setup};
use crate::artifact::write_component;
use crate::config::component::Reference;
use crate::error::Context;

/// Arguments of `pull`.
#[derive(Debug, Args)]
pub(super) struct PullArgs {
    /// The component in the registry, as oci://registry/name:tag or oci://registry/name@sha256:…
    #[arg(value_name = "REFERENCE")]
    reference: Reference,
    /// Write it to this file too
    #[arg(long, short, value_name = "FILE", value_parser = local_path())]
    output: Option<PathBuf>,
    /// Print the result as one JSON object on stdout
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    login: LoginArgs,
    #[command(flatten)]
    library: LibraryArgs,
}

/// Pulls a component from a registry into the store and prints its digest.
pub(super) fn pull(args: &PullArgs) -> Outcome {
    let library = setup::library(&args.library, setup::login(&args.login)?);
    let pulled = library.pull(&args.reference)?;
    if let Some(path) = &args.output {
        write_component(path, &pulled.wasm)?;
    }
    if args.json {
        let result = json!({ "reference": pulled.reference, "digest": pulled.digest, "bytes": pulled.wasm.len(), "file": args.output });
        terminal::data(&serde_json::to_string(&result).bug(|| "writing the result as JSON".into())?);
    } else {
        terminal::talk(&format!("pulled {}, {}", pulled.reference, size(pulled.wasm.len() as u64)));
        terminal::data(&pulled.digest.to_string());
    }
    Ok(ExitCode::SUCCESS)
}
