//! What will run: names resolved, contradictions refused, steps fused into stages. Pure: no file is touched.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use etl_steps::validate::{Rule, Thresholds};
use serde::{Serialize, Serializer};
use serde_json::Value;

mod gather;
mod grants;
mod limits;
mod params;
mod several;
mod stages;
mod validate;

pub use grants::Grants;
pub use limits::Limits;
pub use several::{Planned, Several, find, no_transformer};
pub use stages::BY_RECORD;

use crate::config::component::{Digest, Reference};
use crate::config::database::{Connection, Dialect, SshTunnel};
use crate::config::extract::{Checkpoint, Incremental, ProcessingMode, Reading, Source};
use crate::config::load::Sink;
use crate::config::pipeline::Pipeline;
use crate::config::settings::{DeadLetterBackend, DeadLetters as Settings};
use crate::config::transform::{OnError, OnTrap, Step, Transform};
use crate::config::variables::{Secrets, is_secret};
use crate::error::{Error, Place, Result};

/// What will run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The pipeline's name.
    pub name: String,
    /// Which of several transformers it is.
    pub transformer: Option<String>,
    /// The contract directory, from the root of the file system; paths are relative to it.
    pub root: PathBuf,
    /// Where rows come from.
    pub source: Source,
    /// How they are read.
    pub reading: Reading,
    /// What is done to them, in order.
    pub stages: Vec<StagePlan>,
    /// Where they go to.
    pub sink: Sink,
    /// Where those go that go no further.
    pub dead_letters: DeadLetters,
    /// Rows to read at most.
    pub limit: Option<u64>,
    /// The run's parameters, typed, those with a default included.
    pub params: BTreeMap<String, Value>,
    /// Those that the source gets, by the names under which it does.
    pub source_params: BTreeMap<String, Value>,
    /// SHA-256 of the configuration files, as they were written.
    pub digest: String,
    /// Values that must not be printed.
    pub secrets: Secrets,
    /// Columns of the source that are made text before anything looks at them.
    pub as_text: Vec<String>,
    /// Columns of the source that are converted before anything looks at them.
    pub converted: Vec<String>,
    /// How the stream of rows is pulled.
    pub mode: ProcessingMode,
    /// Rows that a `hybrid` run reads ahead.
    pub chunk_rows: NonZeroU64,
    /// Memory that the process may take, in MiB; absent = no limit.
    pub max_memory_mb: Option<NonZeroU64>,
    /// Which rows earlier runs have loaded already.
    pub incremental: Option<Incremental>,
    /// Share of failed batches, from the third batch on, above which the run stops.
    pub max_failed_batches: f64,
    /// How often reading is tried again where something outside fails.
    pub max_retries: u32,
    /// How long the run may take; absent = as long as it takes.
    pub timeout: Option<Duration>,
    /// Whether and how often the run remembers where it is.
    pub checkpoint: Checkpoint,
}

/// A stage: one guest, configured.
#[derive(Clone, Debug)]
pub struct StagePlan {
    /// The name under which messages speak of it.
    pub name: String,
    /// The component.
    pub component: ComponentName,
    /// The function of it; absent = its only one.
    pub function: Option<String>,
    /// Options as JSON.
    pub options: Value,
    /// What it may use.
    pub limits: Limits,
    /// What it may reach.
    pub grants: Grants,
    /// What happens when it refuses rows.
    pub on_error: OnError,
    /// What happens when it crashes.
    pub on_trap: OnTrap,
    /// Share of a batch's rows on which it may crash before the run fails.
    pub max_error_ratio: f64,
    /// The steps in it, for a person.
    pub steps: Vec<String>,
    /// The rules that it holds rows to, where that is what it does.
    pub validation: Option<Arc<Validation>>,
    /// Where each of the steps stands in the user's text; as many as there are steps.
    pub places: Vec<Place>,
    /// Where it starts in the user's text.
    pub place: Place,
}

/// What a stage holds rows to, as the report tells it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Validation {
    /// The rules in the order in which the guest counts them.
    pub rules: Vec<Rule>,
    /// The columns that rules of the step itself name, and where: those are to be there.
    pub columns: Vec<(String, Place)>,
    /// What the data must come to as a whole.
    pub thresholds: Thresholds,
    /// Where rows go that it refuses; `None` = where those of the pipeline go.
    pub dead_letters: Option<DeadLetters>,
}

/// Names a component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ComponentName {
    /// The simple operations, which ship inside the binary as all that follow down to [`ComponentName::Aggregate`].
    Ops,
    /// JSONata expressions.
    Jsonata,
    /// Rules that rows must satisfy.
    Validate,
    /// Aggregates, de-duplication, sorting, windows.
    Aggregate,
    /// A file.
    File(PathBuf),
    /// A component of the store.
    Digest(Digest),
    /// A component of a registry.
    Oci(Reference),
    /// A component that `build` made of a module in Python or JavaScript, by the module's dotted name; the lock file says which.
    Module(String),
}

impl fmt::Display for ComponentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ops => f.write_str("the built-in `ops`"),
            Self::Jsonata => f.write_str("the built-in `jsonata`"),
            Self::Validate => f.write_str("the built-in `validate`"),
            Self::Aggregate => f.write_str("the built-in `aggregate`"),
            Self::File(path) => path.display().fmt(f),
            Self::Digest(digest) => digest.fmt(f),
            Self::Oci(reference) => reference.fmt(f),
            Self::Module(module) => f.write_str(module),
        }
    }
}

/// Where rows go that go no further.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DeadLetters {
    /// A file of JSON lines, or a folder with one for each pipeline.
    File(PathBuf),
    /// A table.
    Table {
        /// The database that it is in.
        place: TablePlace,
        /// The table.
        table: String,
    },
    /// The report only.
    Memory,
    /// They are counted, not kept.
    Off,
}

/// The database that a table of dead letters is in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TablePlace {
    /// The host's own.
    State,
    /// A SQLite file.
    File(PathBuf),
    /// A PostgreSQL.
    Postgres {
        /// Which; its password is never written down.
        #[serde(serialize_with = "without_password")]
        connection: Connection,
        /// The way to it.
        #[serde(skip)]
        tunnel: Option<Box<SshTunnel>>,
        /// The table's schema; absent = the one that the database takes.
        schema: Option<String>,
    },
}

fn without_password<S: Serializer>(connection: &Connection, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(connection)
}

/// What the command line adds to a pipeline.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// The run's parameters.
    pub params: BTreeMap<String, String>,
    /// Rows to read at most.
    pub limit: Option<u64>,
}

impl Plan {
    /// Works out what will run. `env` answers the variables that a stage was granted.
    ///
    /// # Errors
    /// Config: everything that contradicts itself, unknown and missing parameters.
    pub fn new(pipeline: &Pipeline, root: &Path, overrides: &Overrides, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, Vec<Error>> {
        // Journals and checkpoints name files: whoever goes on with them may stand in another folder.
        let root = &std::path::absolute(root).unwrap_or_else(|_| root.to_owned());
        if !pipeline.transformers.is_empty() {
            let message =
                format!("the pipeline has several transformers, and each has a plan of its own: {}", pipeline.transformer_names());
            return Err(vec![Error::config(message).hint("plan the whole of them, or choose one")]);
        }
        let mut errors: Vec<Error> = Vec::new();
        let params = match params::parameters(pipeline, &overrides.params) {
            Ok(params) => params,
            Err(wrong) => {
                errors.extend(wrong);
                BTreeMap::new()
            }
        };
        let stages = stages::stages(pipeline, root, &params, env, &mut errors);
        if !errors.is_empty() {
            return Err(errors);
        }
        if pipeline.extract.checkpoint.enabled
            && let Err(error) = resumable(&pipeline.extract.source, pipeline.extract.incremental.as_ref())
        {
            return Err(vec![error]);
        }
        if let Source::Database(source) = &pipeline.extract.source {
            source.connection_string.check_reached().map_err(|error| vec![error])?;
        }
        if let Sink::Database(sink) = &pipeline.load.sink {
            sink.connection_string.check_reached().map_err(|error| vec![error])?;
        }
        let reading = pipeline.extract.reading.clone();
        let limit = [overrides.limit, reading.max_records].into_iter().flatten().min();
        let (mut as_text, converted) = retyped(&pipeline.transform);
        match &pipeline.extract.source {
            Source::File(source) => validate::keep_texts(pipeline, source, &mut as_text),
            Source::CloudStorage(source) => validate::keep_texts(pipeline, &source.files(), &mut as_text),
            Source::Http(_) | Source::Database(_) => {}
        }
        let dead_letters = DeadLetters::of(pipeline.dead_letters(), pipeline, root).map_err(|error| vec![error])?;
        let mut secrets = pipeline.secrets.clone();
        params.iter().filter(|(name, _)| is_secret(name)).filter_map(|(_, value)| value.as_str()).for_each(|value| secrets.add(value));
        Ok(Self {
            name: pipeline.name.clone(),
            transformer: pipeline.transformer.clone(),
            root: root.to_owned(),
            source: pipeline.extract.source.clone(),
            reading,
            stages,
            sink: pipeline.load.sink.clone(),
            dead_letters,
            limit,
            source_params: pipeline.extract.source_params(&params),
            params,
            digest: pipeline.digest.clone(),
            secrets,
            as_text,
            converted,
            mode: pipeline.extract.processing_mode,
            chunk_rows: pipeline.extract.chunk_size,
            max_memory_mb: pipeline.extract.max_memory_mb,
            incremental: pipeline.extract.incremental.clone(),
            max_failed_batches: pipeline.settings.max_error_ratio,
            max_retries: pipeline.settings.max_retries,
            timeout: NonZeroU64::new(pipeline.settings.timeout_seconds).map(|seconds| Duration::from_secs(seconds.get())),
            checkpoint: pipeline.extract.checkpoint.clone(),
        })
    }
}

/// Whether reading can go on where it was interrupted.
///
/// # Errors
/// Config, where it cannot: a query answers its rows in any order, and no place in it can be found again.
fn resumable(source: &Source, incremental: Option<&Incremental>) -> Result<()> {
    match source {
        Source::Database(database) if database.cursor_field.is_none() && incremental.is_none() => {
            let message = "a run with checkpoints cannot go on in the middle of a query that has no `cursor_field`";
            let hint = "name a column whose values tell rows apart, such as `cursor_field: id` in extract.yaml, or run without checkpoints";
            Err(Error::config(message).at(database.place.clone()).hint(hint))
        }
        _ => Ok(()),
    }
}

impl Plan {
    /// Whether its source can be read on where an interrupted run has left it.
    ///
    /// # Errors
    /// Config, where it cannot, with the reason.
    pub fn resumable(&self) -> Result<()> {
        resumable(&self.source, self.incremental.as_ref())
    }

    /// Whether rows come in the order of the mark that newer ones are told by.
    pub fn reads_by_mark(&self) -> bool {
        match (&self.source, &self.incremental) {
            (Source::Database(database), Some(incremental)) => {
                database.cursor_field.as_ref().is_none_or(|field| *field == incremental.cursor_field)
            }
            _ => false,
        }
    }

    /// The parameters as they may be shown.
    pub fn shown_params(&self) -> BTreeMap<String, Value> {
        let shown = |(name, value): (&String, &Value)| {
            let value = if is_secret(name) { Value::from("***") } else { self.masked(value) };
            (name.clone(), value)
        };
        self.params.iter().map(shown).collect()
    }

    /// A value with `***` in place of every secret in its texts.
    pub fn masked(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::from(self.secrets.mask(text)),
            Value::Array(items) => items.iter().map(|item| self.masked(item)).collect(),
            Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), self.masked(value))).collect(),
            _ => value.clone(),
        }
    }
}

impl DeadLetters {
    /// Where the dead letters of a pipeline go; `None` settings are the default.
    ///
    /// # Errors
    /// Config, where the table that is asked for cannot be.
    fn of(settings: Option<&Settings>, pipeline: &Pipeline, root: &Path) -> Result<Self> {
        let default = || root.join("dlq").join(format!("{}.jsonl", pipeline.name));
        let Some(settings) = settings else { return Ok(Self::File(default())) };
        Ok(match (settings.enabled, settings.backend) {
            (false, _) => Self::Off,
            (true, DeadLetterBackend::Memory) => Self::Memory,
            (true, DeadLetterBackend::File) => match &settings.path {
                None => Self::File(default()),
                Some(path) if path.ends_with(".jsonl") || path.ends_with(".json") => Self::File(root.join(path)),
                Some(folder) => Self::File(root.join(folder).join(format!("{}.jsonl", pipeline.name))),
            },
            (true, DeadLetterBackend::Database) => {
                let table = settings.table.clone().unwrap_or_else(|| "dead_letter_queue".into());
                Self::Table { place: table_place(settings, pipeline, root)?, table }
            }
        })
    }
}

/// The database that a table of dead letters is in: the one that is named, else the PostgreSQL that is loaded, else the host's own.
fn table_place(settings: &Settings, pipeline: &Pipeline, root: &Path) -> Result<TablePlace> {
    let loaded = match &pipeline.load.sink {
        // A file is written by one at a time, and the load writes to it until its end.
        Sink::Database(sink) if sink.connection_string.dialect == Dialect::Postgres => Some(sink),
        _ => None,
    };
    let connection = settings.connection_string.as_ref().or(loaded.map(|sink| &sink.connection_string));
    let Some(connection) = connection else {
        return match &settings.schema_name {
            Some(schema) => Err(Error::config(format!(
                "`dlq.schema_name` is `{schema}`, but the dead letters go to SQLite, or to where the host keeps its own tables"
            ))
            .hint("leave `schema_name` out, or name a database by `connection_string`")),
            None => Ok(TablePlace::State),
        };
    };
    match connection.dialect {
        Dialect::Postgres => {
            let tunnel = loaded.filter(|sink| sink.connection_string == *connection).and_then(|sink| sink.ssh_tunnel.clone()).map(Box::new);
            Ok(TablePlace::Postgres { connection: connection.clone(), tunnel, schema: settings.schema_name.clone() })
        }
        Dialect::Sqlite => {
            if let Some(schema) = &settings.schema_name {
                let message = format!("`dlq.schema_name` is `{schema}`, but the dead letters go to SQLite, which has no schemas");
                return Err(Error::config(message).hint("leave `schema_name` out"));
            }
            let file = connection.sqlite_file().ok_or_else(|| {
                Error::config("`dlq.connection_string` names no file")
                    .hint("write `sqlite:///letters.db` or `sqlite:////var/lib/letters.db`")
            })?;
            let file = root.join(file);
            if matches!(&pipeline.load.sink, Sink::Database(sink) if sink.connection_string.sqlite_file().is_some_and(|sink| root.join(sink) == file))
            {
                let message = format!("the dead letters go to `{}`, which is loaded: SQLite lets one write at a time", file.display());
                return Err(Error::config(message).hint("name another file under `dlq.connection_string`, or leave it out"));
            }
            Ok(TablePlace::File(file))
        }
        Dialect::Mysql | Dialect::Mssql | Dialect::Oracle => {
            let message = format!("`dlq.connection_string` is `{connection}`, but dead letters go to PostgreSQL or SQLite only");
            Err(Error::config(message).hint("write `postgresql://user:${PASSWORD}@host/name` or `sqlite:///letters.db`"))
        }
    }
}

/// The place of dead letters that a validation asks for; `None` where it is that of the pipeline.
fn own_letters(asked: Option<&Settings>, pipeline: &Pipeline, root: &Path) -> Result<Option<DeadLetters>> {
    // `dlq: {enabled: true}` names no place.
    let names_place = |asked: &&Settings| !asked.enabled || asked.path.is_some() || asked.backend != DeadLetterBackend::File;
    let Some(asked) = asked.filter(names_place) else { return Ok(None) };
    let own = DeadLetters::of(Some(asked), pipeline, root)?;
    Ok((own != DeadLetters::of(pipeline.dead_letters(), pipeline, root)?).then_some(own))
}

/// Columns of the source whose type the first steps set before anything looks at them: those made text, and those made something else.
fn retyped(transform: &Transform) -> (Vec<String>, Vec<String>) {
    // Current name to name in the source; a column that is not in it has its own.
    let mut sources: BTreeMap<String, Option<String>> = BTreeMap::new();
    let (mut text, mut other) = (Vec::new(), Vec::new());
    for placed in &transform.steps {
        match &placed.step {
            Step::Simple(etl_steps::Step::Rename(pairs)) => {
                let old: Vec<Option<String>> =
                    pairs.iter().map(|(from, _)| sources.remove(from).unwrap_or_else(|| Some(from.clone()))).collect();
                for (from, _) in pairs {
                    sources.entry(from.clone()).or_insert(None);
                }
                for ((_, to), source) in pairs.iter().zip(old) {
                    sources.insert(to.clone(), source);
                }
            }
            Step::Simple(etl_steps::Step::Convert { fields, .. }) => {
                for (field, kind) in fields {
                    let Some(source) = sources.get(field).cloned().unwrap_or_else(|| Some(field.clone())) else { continue };
                    let list = if *kind == etl_steps::Type::String { &mut text } else { &mut other };
                    if !list.contains(&source) {
                        list.push(source);
                    }
                }
                // A second `convert` would see the first one's types.
                break;
            }
            // Rules read a text as what it stands for.
            Step::Simple(etl_steps::Step::Drop(_)) | Step::Validate(_) => {}
            _ => break,
        }
    }
    (text, other)
}
