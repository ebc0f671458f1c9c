//! `etl-host dlq discard`.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::super::{Outcome, terminal};
use super::{QueueArgs, SelectionArgs};
use crate::error::Error;
use crate::report::{DeadLetter, LetterStatus};

/// Arguments of `dlq discard`.
#[derive(Debug, Args)]
pub(in crate::cli) struct DiscardArgs {
    #[command(flatten)]
    queue: QueueArgs,
    #[command(flatten)]
    selection: SelectionArgs,
    /// The letter with this id, or whose id starts so
    #[arg(long, value_name = "LETTER")]
    id: Option<String>,
    /// All pending letters; without it something must say which
    #[arg(long)]
    all: bool,
    /// Print the result as one JSON object on stdout
    #[arg(long)]
    json: bool,
}

/// Marks letters as ignored.
pub(super) fn discard(args: &DiscardArgs) -> Outcome {
    let mut selection = args.selection.selection(&[LetterStatus::Pending]);
    selection.prefix.clone_from(&args.id);
    let SelectionArgs { pipeline, reasons, stages, transformer, since, until } = &args.selection;
    let narrowed = pipeline.is_some()
        || transformer.is_some()
        || !reasons.is_empty()
        || !stages.is_empty()
        || since.is_some()
        || until.is_some()
        || args.id.is_some();
    if !narrowed && !args.all {
        return Err(Error::config("nothing says which dead letters are not needed")
            .hint("narrow them down by `--id`, `--reason`, `--stage`, `--since` or `--until`, or pass `--all`")
            .into());
    }
    let mut discarded = 0_u64;
    for letters in args.queue.open()? {
        let mut ignore = |letter: &mut DeadLetter| {
            letter.status = LetterStatus::Ignored;
            discarded += 1;
            true
        };
        letters.change(&selection, &mut ignore, &[])?;
    }
    if args.json {
        terminal::data(&json!({ "discarded": discarded }).to_string());
    } else {
        let plural = if discarded == 1 { "" } else { "s" };
        terminal::talk(&format!("{} letter{plural} discarded; `dlq list --status ignored` shows what was", terminal::grouped(discarded)));
    }
    Ok(ExitCode::SUCCESS)
}
