//! `etl-host dlq list`.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::process::ExitCode;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::super::history::short;
use super::super::table::{Cell, Column, fits, lay_out};
use super::super::{Outcome, terminal};
use super::{QueueArgs, SelectionArgs, name};
use crate::error::Context;
use crate::report::{DeadLetter, LetterStatus};

/// Arguments of `dlq list`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ListArgs {
    #[command(flatten)]
    queue: QueueArgs,
    #[command(flatten)]
    selection: SelectionArgs,
    /// List letters of this status; may be given more than once [default: pending and retrying]
    #[arg(long = "status", value_name = "STATUS", value_parser = statuses())]
    statuses: Vec<LetterStatus>,
    /// Letters to list at most, the last ones
    #[arg(long, value_name = "LETTERS", default_value = "20", value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Print one JSON object a line, a letter each, on stdout
    #[arg(long)]
    json: bool,
}

/// Reads the name of a status.
fn statuses() -> impl TypedValueParser<Value = LetterStatus> {
    let status = |name: String| LetterStatus::ALL.into_iter().find(|status| status.name() == name);
    PossibleValuesParser::new(LetterStatus::ALL.map(LetterStatus::name)).map(move |name| status(name).unwrap_or_default())
}

/// Lists letters.
pub(super) fn list(args: &ListArgs) -> Outcome {
    let statuses = if args.statuses.is_empty() { vec![LetterStatus::Pending, LetterStatus::Retrying] } else { args.statuses.clone() };
    let selection = args.selection.selection(&statuses);
    let (mut last, mut all) = (VecDeque::new(), 0_u64);
    for letters in args.queue.open()? {
        letters.each(&selection, &mut |letter| {
            all += 1;
            last.push_back(letter);
            if last.len() > args.limit as usize {
                last.pop_front();
            }
            Ok(ControlFlow::Continue(()))
        })?;
    }
    let last: Vec<DeadLetter> = last.into();
    if args.json {
        for letter in &last {
            terminal::data(&serde_json::to_string(letter).bug(|| "writing a letter as JSON".into())?);
        }
        return Ok(ExitCode::SUCCESS);
    }
    if last.is_empty() {
        terminal::talk("there is no such dead letter");
        return Ok(ExitCode::SUCCESS);
    }
    let (mut columns, width) = (columns(&last), terminal::columns());
    // The message says most: it keeps its room, and the last columns go.
    while columns.len() > 3 && !fits(&columns, width) {
        columns.pop();
    }
    lay_out(&columns, width).lines.iter().for_each(|line| terminal::data(&terminal::printable(line)));
    if all > last.len() as u64 {
        terminal::talk(&format!("the last {} of {}; `--limit` shows more", last.len(), terminal::grouped(all)));
    }
    Ok(ExitCode::SUCCESS)
}

fn columns(letters: &[DeadLetter]) -> Vec<Column> {
    let column = |head: &str, first: bool, cell: &dyn Fn(&DeadLetter) -> String| Column {
        head: vec![Cell::new(head, ' ')],
        // A cell is one line.
        cells: letters.iter().map(|letter| Cell::new(cell(letter).replace(['\n', '\t'], " "), ' ')).collect(),
        right: false,
        first,
    };
    let mut columns = vec![
        column("letter", true, &|letter| short(&letter.id)),
        column("stage", true, &|letter| letter.stage.clone()),
        column("message", true, &|letter| letter.message.clone()),
        column("where", false, &place),
        column("error", false, &|letter| letter.error_type.clone()),
        column("reason", false, &|letter| name(letter.reason)),
        column("tried", false, &|letter| letter.retry_count.to_string()),
    ];
    let several = |of: &dyn Fn(&DeadLetter) -> String| letters.iter().any(|letter| of(letter) != of(&letters[0]));
    if letters.iter().any(|letter| letter.metadata.transformer.is_some()) {
        columns.insert(1, column("transformer", true, &|letter| letter.metadata.transformer.clone().unwrap_or_default()));
    }
    if several(&|letter| letter.pipeline.clone()) {
        columns.insert(1, column("pipeline", true, &|letter| letter.pipeline.clone()));
    }
    if several(&|letter| letter.status.name().to_owned()) {
        columns.insert(1, column("status", true, &|letter| letter.status.name().to_owned()));
    }
    columns
}

/// Where the row of a letter came from.
pub(super) fn place(letter: &DeadLetter) -> String {
    let metadata = &letter.metadata;
    match (metadata.line, metadata.row) {
        (Some(line), _) => format!("{}:{line}", metadata.source),
        (None, Some(row)) => format!("{} row {row}", metadata.source),
        (None, None) => metadata.source.clone(),
    }
}
