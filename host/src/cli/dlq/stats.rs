//! `etl-host dlq stats`.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::super::table::{Cell, Column, lay_out};
use super::super::{Outcome, terminal};
use super::{QueueArgs, SelectionArgs, name};
use crate::report::LetterStatus;

/// Arguments of `dlq stats`.
#[derive(Debug, Args)]
pub(in crate::cli) struct StatsArgs {
    #[command(flatten)]
    queue: QueueArgs,
    #[command(flatten)]
    selection: SelectionArgs,
    /// Print one JSON object a line, a group each, on stdout
    #[arg(long)]
    json: bool,
}

/// Letters of one kind.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Group {
    pipeline: String,
    stage: String,
    reason: String,
    error: String,
}

/// Counts letters.
pub(super) fn stats(args: &StatsArgs) -> Outcome {
    let mut groups: BTreeMap<Group, BTreeMap<LetterStatus, u64>> = BTreeMap::new();
    for letters in args.queue.open()? {
        letters.each(&args.selection.selection(&[]), &mut |letter| {
            let group = Group { pipeline: letter.pipeline, stage: letter.stage, reason: name(letter.reason), error: letter.error_type };
            *groups.entry(group).or_default().entry(letter.status).or_default() += 1;
            Ok(ControlFlow::Continue(()))
        })?;
    }
    if args.json {
        for (Group { pipeline, stage, reason, error }, counts) in &groups {
            let counts = LetterStatus::ALL.map(|status| (status.name(), counts.get(&status).copied().unwrap_or(0)));
            let mut line = json!({ "pipeline": pipeline, "stage": stage, "reason": reason, "error_type": error });
            counts.into_iter().for_each(|(name, count)| line[name] = json!(count));
            terminal::data(&line.to_string());
        }
        return Ok(ExitCode::SUCCESS);
    }
    if groups.is_empty() {
        terminal::talk("there are no dead letters");
        return Ok(ExitCode::SUCCESS);
    }
    let text = |head: &str, of: &dyn Fn(&Group) -> &String| Column {
        head: vec![Cell::new(head, ' ')],
        cells: groups.keys().map(|group| Cell::new(of(group).clone(), ' ')).collect(),
        right: false,
        first: true,
    };
    let count = |status: LetterStatus| Column {
        head: vec![Cell::new(status.name(), ' ')],
        cells: groups.values().map(|counts| Cell::new(terminal::grouped(counts.get(&status).copied().unwrap_or(0)), ' ')).collect(),
        right: true,
        first: status == LetterStatus::Pending,
    };
    let mut columns = vec![text("stage", &|group| &group.stage), text("error", &|group| &group.error)];
    columns.extend(LetterStatus::ALL.map(count));
    columns.push(text("reason", &|group| &group.reason));
    if groups.keys().any(|group| Some(&group.pipeline) != groups.keys().next().map(|first| &first.pipeline)) {
        columns.insert(0, text("pipeline", &|group| &group.pipeline));
    }
    lay_out(&columns, terminal::columns()).lines.iter().for_each(|line| terminal::data(&terminal::printable(line)));
    Ok(ExitCode::SUCCESS)
}
