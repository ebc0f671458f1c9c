//! `etl-host preview`.

use std::num::NonZeroUsize;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr;

use super::change::{Change, Changes, Shown, Step};
use super::table::{Cell, Column, fit, lay_out};
use super::terminal::{self, Colour, grouped, paint, printable};
use super::{CacheArgs, ContractArgs, Failures, LibraryArgs, NetworkArgs, Outcome, StateArgs, contract, setup, transformers};
use crate::batch::Reject;
use crate::error::{Context, Error, did_you_mean};
use crate::plan::{Overrides, Plan, Planned, find};
use crate::report::Rows;
use crate::run::{Letter, Preview, RunOptions, preview as preview_plan, reached};

/// Refused rows of a step that are shown.
const REJECTS: usize = 10;

/// Terminal columns that a table is never made narrower than.
const NARROWEST: usize = 40;

/// Arguments of `preview`.
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
pub(super) struct PreviewArgs {
    #[command(flatten)]
    contract: ContractArgs,
    /// Rows that are shown after each step, and read unless --limit says more
    #[arg(long, value_name = "N", default_value = "10")]
    rows: NonZeroUsize,
    /// Show only this one of several transformers
    #[arg(long, value_name = "NAME")]
    transformer: Option<String>,
    /// Show only this stage, by the name that `etl-host plan` shows
    #[arg(long, value_name = "NAME")]
    stage: Option<String>,
    /// Columns of the screen [default: those of the terminal, else 120]
    #[arg(long, value_name = "COLUMNS")]
    width: Option<usize>,
    /// Print the result as one JSON object on stdout
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    cache: CacheArgs,
    #[command(flatten)]
    library: LibraryArgs,
    #[command(flatten)]
    network: NetworkArgs,
    #[command(flatten)]
    state: StateArgs,
    /// Take all rows, though extract.yaml says `incremental` and earlier runs have loaded some
    #[arg(long)]
    full_refresh: bool,
}

const HELP: &str = "\
The rows go through the same stages, sandbox, limits and policies as in a run; nothing is written, dead letters are
shown. Every step of transform.yaml is shown on its own, also those that a run works on as one stage; a step that
changed nothing in these rows is one line.

A row keeps the number that it has in the source. Before a value, `*` says that the step changed it; before the name
of a column, `+` that it is new, `>` that it was renamed; before its type, `~` that the type changed. Null is `∅`, an
empty text is `\"\"`.

Examples:
  etl-host preview orders                        the first 10 rows
  etl-host preview orders --rows 3 --stage ops   3 rows, one stage
  etl-host preview orders --limit 10000          read 10,000 rows, show the first 10 that come out of each step
  etl-host preview orders --json | jq .steps     for a script";

/// Shows the first rows after each step.
pub(super) fn preview(args: &PreviewArgs) -> Outcome {
    let contract = contract::read_without_sink(&args.contract)?;
    let limit = args.contract.limit.unwrap_or(args.rows.get() as u64);
    let overrides = Overrides { params: args.contract.params.iter().cloned().collect(), limit: Some(limit) };
    let chains = contract.pipeline.without_sink().chains();
    let planned = chains.iter().map(|chain| Planned::new(chain, &contract.root, &overrides, &|name| std::env::var(name).ok()));
    let planned = planned.collect::<Result<Vec<_>, _>>()?;
    let plans: Vec<&Plan> = match &args.transformer {
        None => planned.iter().map(Planned::common).collect(),
        Some(name) => vec![find(planned.iter().map(Planned::common), name)?],
    };
    if let (Some(name), [plan]) = (&args.stage, plans.as_slice()) {
        known_stage(plan, name)?;
    }
    let runtime = setup::runtime()?;
    let sandbox = setup::sandbox_reaching(&args.cache, args.network.network(&args.library), &runtime)?;
    let (mut texts, mut errors) = (Vec::new(), Vec::new());
    for plan in &plans {
        let options = RunOptions {
            library: setup::library(&args.library, None),
            network: args.network.network(&args.library),
            reached: match plan.incremental {
                Some(_) if !args.full_refresh => reached(plan, &setup::home(&args.state)?)?,
                _ => None,
            },
            ..RunOptions::default()
        };
        let (shown, error) = one(args, plan, preview_plan(plan, &options, &sandbox, args.rows.get())?);
        texts.push(shown);
        errors.extend(error.map(|error| super::check::of_transformer(plan, error)));
    }
    match (texts.as_slice(), plans.first().and_then(|plan| plan.lane())) {
        ([(_, json)], None) if args.json => terminal::data(&serde_json::to_string(json).bug(|| "writing the result as JSON".into())?),
        (all, _) if args.json => {
            let all = json!({ "transformers": all.iter().map(|(_, json)| json).collect::<Vec<_>>() });
            terminal::data(&serde_json::to_string(&all).bug(|| "writing the result as JSON".into())?);
        }
        (all, _) => all.iter().for_each(|(text, _)| terminal::data(text)),
    }
    if errors.is_empty() { Ok(ExitCode::SUCCESS) } else { Err(Failures(errors)) }
}

/// What is shown of one plan, as text or as JSON, and why it goes no further.
fn one(args: &PreviewArgs, plan: &Plan, preview: Preview) -> ((String, Value), Option<Error>) {
    let Preview { looks, rows, error } = preview;
    let steps: Vec<Step> = looks.into_iter().map(Step::new).collect();
    let chosen: Vec<(Option<&Step>, &Step)> = steps
        .iter()
        .enumerate()
        .filter(|(_, step)| args.stage.is_none() || step.look.stage == args.stage)
        .map(|(index, step)| (index.checked_sub(1).map(|before| &steps[before]), step))
        .collect();
    if args.json {
        let steps: Vec<Value> = chosen.iter().map(|(before, step)| as_json(*before, step)).collect();
        let mut json = json!({ "pipeline": plan.name, "rows": rows, "steps": steps, "error": error.as_ref().map(super::check::as_json) });
        if let Some(name) = plan.lane() {
            json["transformer"] = name.into();
        }
        return ((String::new(), json), error);
    }
    {
        let width = args.width.unwrap_or_else(terminal::columns).max(NARROWEST);
        let mut text = plan.lane().map_or_else(String::new, |name| format!("{}\n\n", paint(Colour::Bold, &transformers::head(name))));
        for (before, step) in &chosen {
            text.push_str(&as_text(*before, step, width));
            text.push('\n');
        }
        text.push_str(&match error {
            None => summary(&rows, plan, &chosen),
            Some(_) => format!("{}: it goes no further; nothing was written\n", printable(&plan.name)),
        });
        ((text, Value::Null), error)
    }
}

fn known_stage(plan: &Plan, name: &str) -> Result<(), Error> {
    let names: Vec<&str> = plan.stages.iter().map(|stage| stage.name.as_str()).collect();
    if names.contains(&name) {
        return Ok(());
    }
    let near = did_you_mean(name, names.iter().copied()).map(|near| format!("did you mean `{near}`? ")).unwrap_or_default();
    let all = match names.as_slice() {
        [] => "it has none".to_owned(),
        names => format!("its stages are {}", names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")),
    };
    Err(Error::config(format!("the pipeline has no stage `{name}`")).hint(format!("{near}{all}")))
}

/// One step: what it is, what it changed, the rows.
fn as_text(before: Option<&Step>, step: &Step, width: usize) -> String {
    let look = &step.look;
    let changes = Changes::between(before, step);
    let mut text = format!("{}\n", title(step, &changes, width));
    for (word, what) in changes.sentences(step) {
        text.push_str(&printable(&wrap(&format!("  {word:<10}"), &what, width)));
    }
    let shown = before.is_none() || changes.any(look);
    if shown && !step.columns.is_empty() && !step.rows.is_empty() {
        let table = lay_out(&columns(step, &changes), width.saturating_sub(2));
        for line in &table.lines {
            text.push_str(&format!("  {line}\n"));
        }
        if !table.hidden.is_empty() {
            // The first column of the table is the row's number.
            let names: Vec<&str> = table.hidden.iter().map(|&index| step.columns[index - 1].name.as_str()).collect();
            let count = format!("{} more column{}: ", names.len(), if names.len() == 1 { "" } else { "s" });
            text.push_str(&printable(&wrap(&format!("  … {count}"), &names.join(", "), width)));
        }
        let more = look.rows.saturating_sub(step.rows.len() as u64);
        if more > 0 {
            text.push_str(&format!("  … {} more row{}\n", grouped(more), if more == 1 { "" } else { "s" }));
        }
    }
    for reject in look.rejects.iter().take(REJECTS) {
        text.push_str(&printable(&refused(reject)));
    }
    let more = look.rejects.len().saturating_sub(REJECTS);
    if more > 0 {
        text.push_str(&format!("  … {} more rows refused\n", grouped(more as u64)));
    }
    for rule in look.quality.iter().flat_map(|quality| &quality.rules) {
        if let Some(why) = &rule.why {
            let rows = format!("{} row{}", grouped(rule.undecided), if rule.undecided == 1 { "" } else { "s" });
            text.push_str(&printable(&wrap("  ", &format!("`{}` could not be worked out in {rows}: {why}", rule.rule), width)));
        }
    }
    text
}

/// `ops 2/5  convert 5 · 10 rows`.
fn title(step: &Step, changes: &Changes, width: usize) -> String {
    let look = &step.look;
    let mut title = match &look.stage {
        None => "source".to_owned(),
        Some(stage) if look.step.1 > 1 => format!("{stage} {}/{}", look.step.0, look.step.1),
        Some(stage) => stage.clone(),
    };
    title = printable(&title);
    let mut counts = vec![format!("{} row{}", grouped(look.rows), if look.rows == 1 { "" } else { "s" })];
    for (count, word) in [
        (look.filtered, "left out"),
        (look.rejects.len() as u64, "refused"),
        (look.skipped, "skipped"),
        (look.expanded, "more than went in"),
    ] {
        if count > 0 {
            counts.push(format!("{} {word}", grouped(count)));
        }
    }
    if look.stage.is_some() && !changes.any(look) {
        counts.push("nothing changed".into());
    }
    let counts = counts.join(", ");
    let room = width.saturating_sub(title.width() + counts.width() + 5).max(NARROWEST / 2);
    format!("{}  {} · {counts}", paint(Colour::Bold, &title), fit(&printable(&look.what), room))
}

/// A refused row and why.
fn refused(reject: &Reject) -> String {
    let Letter { row, code, column, message, .. } = Letter::of(reject);
    let row = if row > 0 { format!("row {row}") } else { "a row".into() };
    let column =
        column.filter(|column| !message.contains(&format!("`{column}`"))).map(|column| format!(", column `{column}`")).unwrap_or_default();
    format!("  {row} refused: {code}{column}: {message}\n")
}

/// A text behind a word, on as many lines as it takes; it is broken at `, `.
fn wrap(word: &str, text: &str, width: usize) -> String {
    let indent = word.width();
    let mut lines = String::from(word);
    let mut used = indent;
    for (index, part) in text.split(", ").enumerate() {
        let wide = part.width() + 2;
        if index > 0 {
            lines.push(',');
            if used + wide > width {
                lines.push_str(&format!("\n{:indent$}", ""));
                used = indent;
            } else {
                lines.push(' ');
            }
        }
        lines.push_str(part);
        used += wide;
    }
    lines.push('\n');
    lines
}

/// The columns of a step's table, the number of the row first.
fn columns(step: &Step, changes: &Changes) -> Vec<Column> {
    let number = |row: &Shown| if row.number > 0 { row.number.to_string() } else { "·".into() };
    let mut columns = vec![Column {
        head: vec![Cell::new("row", ' '), Cell::new("", ' ')],
        cells: step.rows.iter().map(|row| Cell::new(number(row), ' ')).collect(),
        right: true,
        first: true,
    }];
    for (index, column) in step.columns.iter().enumerate() {
        let change = &changes.columns[index];
        let name = match change {
            Change::Added => '+',
            Change::Renamed(_) => '>',
            Change::Kept => ' ',
        };
        let retyped = if changes.retyped[index].is_some() { '~' } else { ' ' };
        let values = step.rows.iter().enumerate().map(|(row, shown)| {
            let mark = if changes.values.contains(&(row, index)) { '*' } else { ' ' };
            Cell::new(shown.cells[index].shown(), mark)
        });
        let cells: Vec<Cell> = values.collect();
        let first = name != ' ' || retyped != ' ' || cells.iter().any(|cell| cell.mark != ' ');
        columns.push(Column {
            head: vec![Cell::new(printable(&column.name).replace(['\n', '\t'], " "), name), Cell::new(column.kind.as_str(), retyped)],
            cells,
            right: column.number,
            first,
        });
    }
    columns
}

/// What became of the rows, and what the marks mean.
fn summary(rows: &Rows, plan: &Plan, chosen: &[(Option<&Step>, &Step)]) -> String {
    let Rows { read, loaded, filtered, rejected, skipped, expanded, withheld: _, crashed: _ } = *rows;
    let mut balance = format!("{} read", grouped(read));
    if expanded > 0 {
        balance.push_str(&format!(" + {} more than went in", grouped(expanded)));
    }
    balance.push_str(&format!(" = {} to load + {} left out + {} refused", grouped(loaded), grouped(filtered), grouped(rejected)));
    if skipped > 0 {
        balance.push_str(&format!(" + {} skipped", grouped(skipped)));
    }
    let mut text = format!("{}: {balance}; nothing was written\n", printable(&plan.name));
    let emptied = chosen.iter().any(|(before, step)| step.look.rows == 0 && before.is_some_and(|before| before.look.rows > 0));
    if emptied {
        text.push_str("no row is left after a step: --limit reads more of the source\n");
    }
    text
}

fn as_json(before: Option<&Step>, step: &Step) -> Value {
    let look = &step.look;
    let changes = Changes::between(before, step);
    let columns: Vec<Value> = step
        .columns
        .iter()
        .enumerate()
        .map(|(index, column)| {
            let change = match &changes.columns[index] {
                Change::Added if before.is_some() => json!("added"),
                Change::Renamed(_) => json!("renamed"),
                _ => Value::Null,
            };
            let from = match &changes.columns[index] {
                Change::Renamed(from) => json!(from),
                _ => Value::Null,
            };
            json!({ "name": column.name, "type": column.kind, "change": change, "renamed_from": from, "type_before": changes.retyped[index] })
        })
        .collect();
    let rows: Vec<Value> = step
        .rows
        .iter()
        .enumerate()
        .map(|(row, shown)| {
            let changed: Vec<&str> = (0..step.columns.len())
                .filter(|&column| changes.values.contains(&(row, column)))
                .map(|column| step.columns[column].name.as_str())
                .collect();
            json!({ "row": (shown.number > 0).then_some(shown.number), "values": shown.json, "changed": changed })
        })
        .collect();
    let mut json = json!({
        "stage": look.stage,
        "step": look.step.0,
        "steps": look.step.1,
        "what": look.what,
        "columns": columns,
        "removed": changes.removed,
        "rows_out": look.rows,
        "rows": rows,
        "left_out": look.filtered,
        "left_out_rows": changes.left_out,
        "refused": look.rejects.iter().map(Letter::of).collect::<Vec<_>>(),
        "skipped": look.skipped,
        "expanded": look.expanded,
    });
    if let Some(quality) = &look.quality {
        json["quality"] = json!(quality);
    }
    json
}
