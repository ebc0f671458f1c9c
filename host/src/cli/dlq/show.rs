//! `etl-host dlq show`.

use std::ops::ControlFlow;
use std::process::ExitCode;

use clap::Args;

use super::super::{Outcome, terminal};
use super::list::place;
use super::{QueueArgs, name};
use crate::error::{Context, Error};
use crate::report::DeadLetter;
use crate::state::letters::Selection;

/// Arguments of `dlq show`.
#[derive(Debug, Args)]
#[command(allow_missing_positional = true)]
pub(in crate::cli) struct ShowArgs {
    #[command(flatten)]
    queue: QueueArgs,
    /// The letter's id, or a beginning of it that no other letter has
    letter: String,
    /// Print the letter as one JSON object on stdout
    #[arg(long)]
    json: bool,
}

/// Shows one letter.
pub(super) fn show(args: &ShowArgs) -> Outcome {
    let given = &args.letter;
    let mut found: Vec<DeadLetter> = Vec::new();
    let selection = Selection { prefix: Some(given.clone()), ..Selection::default() };
    for letters in args.queue.open()? {
        letters.each(&selection, &mut |letter| {
            found.push(letter);
            Ok(if found.len() > 5 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
    }
    let letter = match &found[..] {
        [letter] => letter,
        [] => return Err(Error::config(format!("no dead letter has the id `{given}`")).hint("`etl-host dlq list` lists them").into()),
        several => {
            let ids: Vec<String> = several.iter().take(5).map(|letter| format!("`{}`", letter.id)).collect();
            let error = Error::config(format!("more than one dead letter has an id that starts with `{given}`"));
            return Err(error.hint(ids.join(", ")).into());
        }
    };
    if args.json {
        terminal::data(&serde_json::to_string(letter).bug(|| "writing a letter as JSON".into())?);
    } else {
        terminal::data(&terminal::printable(&text(letter)));
    }
    Ok(ExitCode::SUCCESS)
}

fn text(letter: &DeadLetter) -> String {
    let DeadLetter { id, pipeline, record, reason, message, error_type, stage, metadata, timestamp, retry_count, status } = letter;
    let mut lines = vec![format!("letter {id}  {}", status.name())];
    let mut line = |name: &str, value: String| lines.push(format!("  {name:<9} {value}"));
    line("message", message.clone());
    line("reason", format!("{} ({error_type})", name(*reason)));
    line("stage", stage.clone());
    if let Some(field) = &metadata.field {
        line("column", field.clone());
    }
    line("where", place(letter));
    line("pipeline", pipeline.clone());
    if let Some(transformer) = &metadata.transformer {
        line("transformer", transformer.clone());
    }
    line("run", format!("{} of {timestamp}, batch {}", metadata.run, metadata.batch));
    if *retry_count > 0 {
        line("tried", format!("{retry_count} more time{}", if *retry_count == 1 { "" } else { "s" }));
    }
    match record.as_object() {
        None => line("record", record.as_str().map_or_else(|| record.to_string(), ToOwned::to_owned)),
        Some(columns) => {
            line("record", String::new());
            let width = columns.keys().map(|name| name.chars().count()).max().unwrap_or(0).min(30);
            lines.extend(columns.iter().map(|(name, value)| format!("    {name:<width$}  {value}")));
        }
    }
    lines.iter().map(|line| line.trim_end()).collect::<Vec<_>>().join("\n")
}
