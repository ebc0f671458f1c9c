//! `etl-host add`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::{LibraryArgs, Outcome, setup, terminal};

/// Arguments of `add`.
#[derive(Debug, Args)]
pub(super) struct AddArgs {
    /// Components, .wasm files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    library: LibraryArgs,
}

/// Puts components into the store and prints the digest of each.
pub(super) fn add(args: &AddArgs) -> Outcome {
    let library = setup::library(&args.library, None);
    for file in &args.files {
        terminal::data(&library.add(file)?.to_string());
    }
    Ok(ExitCode::SUCCESS)
}
