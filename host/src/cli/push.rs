//! `etl-host push`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::{LibraryArgs, LoginArgs, Outcome, setup, terminal};
use crate::config::component::Reference;
use crate::error::Context;

/// Arguments of `push`.
#[derive(Debug, Args)]
pub(super) struct PushArgs {
    /// The component, a .wasm file
    file: PathBuf,
    /// Where it goes, as oci://registry/name:tag
    #[arg(value_name = "REFERENCE")]
    reference: Reference,
    /// Print the result as one JSON object on stdout
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    login: LoginArgs,
    #[command(flatten)]
    library: LibraryArgs,
}

/// Pushes a component to a registry and prints the reference that names it for ever.
pub(super) fn push(args: &PushArgs) -> Outcome {
    let library = setup::library(&args.library, setup::login(&args.login)?);
    let pushed = library.push(&args.file, &args.reference)?;
    if args.json {
        let result = json!({ "reference": pushed.reference, "digest": pushed.digest, "sent": pushed.sent });
        terminal::data(&serde_json::to_string(&result).bug(|| "writing the result as JSON".into())?);
    } else {
        let sent = if pushed.sent { "pushed" } else { "the registry had it already:" };
        terminal::talk(&format!("{sent} component {}", pushed.digest));
        terminal::data(&pushed.reference.to_string());
    }
    Ok(ExitCode::SUCCESS)
}
