//! `etl-host new`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};

use super::{Outcome, local_path, terminal};
use crate::artifact::project::{self, Language};

/// What can be started.
#[derive(Debug, Subcommand)]
pub(super) enum NewCommand {
    /// A transform, with a unit test, sample rows, cases and a pipeline that uses it
    Transform(TransformArgs),
}

/// Arguments of `new transform`.
#[derive(Debug, Args)]
pub(super) struct TransformArgs {
    /// Folder to make; its name is the project's
    #[arg(value_parser = local_path())]
    name: PathBuf,
    /// Language of the transform
    #[arg(long = "lang", value_enum)]
    language: LanguageArg,
}

/// A language, as it is given.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum LanguageArg {
    Rust,
    Python,
    #[value(alias = "javascript")]
    Js,
}

/// Starts a project.
pub(super) fn new(command: &NewCommand) -> Outcome {
    let NewCommand::Transform(TransformArgs { name, language }) = command;
    let (language, first) = match language {
        LanguageArg::Rust => (Language::Rust, None),
        LanguageArg::Python => (Language::Python, Some("pip install componentize-py")),
        LanguageArg::Js => (Language::JavaScript, Some("npm install")),
    };
    let files = project::create(name, language)?;
    let shown = files.iter().filter(|file| !file.starts_with("sdk/")).map(String::as_str).collect::<Vec<_>>().join(", ");
    let folder = name.display();
    let mut text = format!("{folder}: {shown}");
    if language == Language::Rust {
        text.push_str(", sdk/");
    }
    text.push_str("\nnext:\n");
    text.push_str(&format!("  cd {folder}\n"));
    text.extend(first.map(|first| format!("  {first}\n")));
    text.push_str("  etl-host build\n  etl-host test .\n  etl-host run .\n");
    terminal::data(&text);
    Ok(ExitCode::SUCCESS)
}
