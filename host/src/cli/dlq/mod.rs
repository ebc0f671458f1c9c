//! `etl-host dlq`: the rows that went no further.

mod discard;
mod list;
mod replay;
mod show;
mod stats;
mod time;

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};

use super::{ContractArgs, Failures, Outcome, StateArgs, contract, setup};
use crate::batch::Reason;
use crate::config::database::{Connection, Dialect};
use crate::error::{Error, Result};
use crate::plan::{DeadLetters, Planned, TablePlace};
use crate::report::LetterStatus;
use crate::run::table_at;
use crate::state::letters::{DEFAULT_TABLE, FileLetters, Letters, Selection, TableLetters};

/// Subcommands of `dlq`.
#[derive(Debug, Subcommand)]
pub(super) enum DlqCommand {
    /// List dead letters
    List(list::ListArgs),
    /// Show one dead letter: the row, why it was refused and where it came from
    Show(show::ShowArgs),
    /// Send dead letters through the pipeline again, from the stage that refused them on
    Replay(replay::ReplayArgs),
    /// Say of dead letters that they are not needed
    Discard(discard::DiscardArgs),
    /// Count dead letters by pipeline, stage, reason and status
    Stats(stats::StatsArgs),
}

/// Runs a subcommand.
pub(super) fn dlq(command: &DlqCommand) -> Outcome {
    match command {
        DlqCommand::List(args) => list::list(args),
        DlqCommand::Show(args) => show::show(args),
        DlqCommand::Replay(args) => replay::replay(args),
        DlqCommand::Discard(args) => discard::discard(args),
        DlqCommand::Stats(args) => stats::stats(args),
    }
}

/// What names a queue.
#[derive(Debug, Args)]
struct QueueArgs {
    /// Contract directory whose dead letters are meant
    #[arg(required_unless_present = "dlq")]
    directory: Option<PathBuf>,
    /// Take this queue, without a contract directory: a file (.jsonl), a folder of such, sqlite:///FILE or
    /// postgresql://user:password@host/name
    #[arg(long, value_name = "QUEUE", conflicts_with = "directory")]
    dlq: Option<String>,
    /// The table of a sqlite:/// or postgresql:// queue
    #[arg(long, value_name = "NAME", default_value = DEFAULT_TABLE, requires = "dlq")]
    table: String,
    /// The schema of a postgresql:// queue [default: the one that the database takes]
    #[arg(long, value_name = "NAME", requires = "dlq")]
    schema: Option<String>,
    /// Set a variable that the files use as ${NAME}; wins over the environment
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = super::pair)]
    vars: Vec<(String, String)>,
    #[command(flatten)]
    state: StateArgs,
}

/// Which letters are meant.
#[derive(Debug, Args)]
struct SelectionArgs {
    /// Letters of this pipeline only
    #[arg(long, value_name = "NAME")]
    pipeline: Option<String>,
    /// Letters with this reason only, such as transformation_error; may be given more than once
    #[arg(long = "reason", value_name = "REASON", value_parser = PossibleValuesParser::new(REASONS).map(|name| reason(&name)))]
    reasons: Vec<Reason>,
    /// Letters that this stage refused only: extract, the name of a stage, or load; may be given more than once
    #[arg(long = "stage", value_name = "STAGE")]
    stages: Vec<String>,
    /// Letters of this one of several transformers only
    #[arg(long, value_name = "NAME")]
    transformer: Option<String>,
    /// Letters from this time on: 2026-01-31, 2026-01-31T12:00:00Z, or so long ago: 30m, 12h, 7d
    #[arg(long, value_name = "TIME", value_parser = time::instant)]
    since: Option<DateTime<Utc>>,
    /// Letters before this time, written as for --since
    #[arg(long, value_name = "TIME", value_parser = time::instant)]
    until: Option<DateTime<Utc>>,
}

/// Names of reasons.
const REASONS: [&str; 9] = [
    "extraction_error",
    "transformation_error",
    "validation_error",
    "load_error",
    "connection_error",
    "schema_mismatch",
    "parse_error",
    "limit_exceeded",
    "unknown",
];

fn reason(name: &str) -> Reason {
    serde_json::from_value(name.into()).expect("clap lets only names of reasons pass")
}

/// The name of a reason.
fn name(reason: Reason) -> String {
    serde_json::to_value(reason).ok().and_then(|name| name.as_str().map(ToOwned::to_owned)).unwrap_or_default()
}

impl SelectionArgs {
    fn selection(&self, statuses: &[LetterStatus]) -> Selection {
        Selection {
            pipeline: self.pipeline.clone(),
            reasons: self.reasons.clone(),
            stages: self.stages.clone(),
            transformer: self.transformer.clone(),
            statuses: statuses.to_vec(),
            since: self.since,
            until: self.until,
            ..Selection::default()
        }
    }
}

impl QueueArgs {
    /// The queues that are meant, as far as they are there.
    fn open(&self) -> Result<Vec<Letters>, Failures> {
        let Some(queue) = &self.dlq else {
            let planned = contract::planned_without_params(&self.contract(&[]))?;
            return Ok(of_plans(&planned, &self.state)?);
        };
        if queue.contains("://") {
            let wrong = |message: String| Error::config(format!("`--dlq` {message}"));
            let connection = Connection::try_from(queue.clone()).map_err(wrong)?;
            let home = setup::home(&self.state)?;
            let place = match connection.dialect {
                Dialect::Sqlite => {
                    TablePlace::File(connection.sqlite_file().ok_or_else(|| wrong("names no file: write `sqlite:///FILE`".into()))?.into())
                }
                Dialect::Postgres => TablePlace::Postgres { connection, tunnel: None, schema: self.schema.clone() },
                _ => return Err(wrong("must be a file, a folder, `sqlite:///FILE` or `postgresql://…`".into()).into()),
            };
            let at = table_at(&place, Some(&home), Path::new(""))?;
            return Ok(TableLetters::look_at(&at, &self.table)?.map(|table| Letters::Table(Box::new(table))).into_iter().collect());
        }
        let path = PathBuf::from(queue);
        if !path.is_dir() {
            if !path.exists() {
                return Err(Error::outside(format!("there are no dead letters at `{queue}`")).into());
            }
            return Ok(vec![Letters::File(FileLetters::new(path))]);
        }
        let entries = std::fs::read_dir(&path).map_err(|error| Error::outside(format!("cannot list `{queue}`")).because(error))?;
        let mut files: Vec<PathBuf> =
            entries.flatten().map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "jsonl")).collect();
        files.sort();
        Ok(files.into_iter().map(|path| Letters::File(FileLetters::new(path))).collect())
    }

    /// The contract directory as other commands name it.
    fn contract(&self, params: &[(String, String)]) -> ContractArgs {
        ContractArgs {
            directory: self.directory.clone().unwrap_or_default(),
            extract: None,
            transform: None,
            load: None,
            vars: self.vars.clone(),
            params: params.to_vec(),
            limit: None,
        }
    }
}

/// The queues of all plans, their own and those of their validations, as far as something was ever written to them.
fn of_plans(planned: &Planned, state: &StateArgs) -> Result<Vec<Letters>> {
    let mut places: Vec<&DeadLetters> = Vec::new();
    for plan in planned.plans() {
        let own = plan.stages.iter().filter_map(|stage| stage.validation.as_ref()?.dead_letters.as_ref());
        for place in std::iter::once(&plan.dead_letters).chain(own) {
            if !places.contains(&place) {
                places.push(place);
            }
        }
    }
    let root = &planned.common().root;
    places.retain(|place| !matches!(place, DeadLetters::Memory | DeadLetters::Off));
    if places.is_empty() {
        return Err(Error::config("this pipeline keeps no dead letters")
            .hint("`dlq: {backend: file}` or `{backend: database}` in settings.yaml keeps them"));
    }
    places.into_iter().filter_map(|place| of_place(place, root, state).transpose()).collect()
}

fn of_place(place: &DeadLetters, root: &Path, state: &StateArgs) -> Result<Option<Letters>> {
    match place {
        DeadLetters::File(path) => Ok(Some(Letters::File(FileLetters::new(path.clone())))),
        DeadLetters::Table { place, table } => {
            let at = table_at(place, Some(&setup::home(state)?), root)?;
            Ok(TableLetters::look_at(&at, table)?.map(|table| Letters::Table(Box::new(table))))
        }
        DeadLetters::Memory | DeadLetters::Off => Ok(None),
    }
}
