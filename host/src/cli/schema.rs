//! `etl-host schema`.

use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::{Outcome, terminal};
use crate::config::{SchemaKind, json_schema};
use crate::error::Context;

/// Arguments of `schema`.
#[derive(Debug, Args)]
pub(super) struct SchemaArgs {
    /// The file
    #[arg(value_enum, default_value = "pipeline")]
    file: File,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum File {
    Extract,
    Transform,
    Load,
    Settings,
    Pipeline,
}

/// Prints the JSON Schema of a configuration file.
pub(super) fn schema(args: &SchemaArgs) -> Outcome {
    let kind = match args.file {
        File::Extract => SchemaKind::Extract,
        File::Transform => SchemaKind::Transform,
        File::Load => SchemaKind::Load,
        File::Settings => SchemaKind::Settings,
        File::Pipeline => SchemaKind::Pipeline,
    };
    terminal::data(&serde_json::to_string_pretty(&json_schema(kind)).bug(|| "writing a schema as JSON".into())?);
    Ok(ExitCode::SUCCESS)
}
