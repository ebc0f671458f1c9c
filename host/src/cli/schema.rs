//! `etl-host schema`.

use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::{Outcome, terminal};
use crate::config::{Kind, json_schema};
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
        File::Extract => Kind::Extract,
        File::Transform => Kind::Transform,
        File::Load => Kind::Load,
        File::Settings => Kind::Settings,
        File::Pipeline => Kind::Pipeline,
    };
    terminal::data(&serde_json::to_string_pretty(&json_schema(kind)).bug(|| "writing a schema as JSON".into())?);
    Ok(ExitCode::SUCCESS)
}
