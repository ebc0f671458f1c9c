//! The library's front door: a pipeline from a directory or from values, run, or used in parts.
//!
//! ```
//! use etl_host::pipeline::{Host, HostOptions, Pipeline};
//! use serde_json::json;
//!
//! let folder = tempfile::tempdir()?;
//! std::fs::write(folder.path().join("orders.csv"), "id,price\n1,9.5\n2,free\n")?;
//! let pipeline = Pipeline::at(folder.path())
//!     .extract(json!({ "path": "orders.csv" }))
//!     .transform(json!({ "convert": { "price": "float" } }))
//!     .load(json!({ "type": "file", "path": "out.jsonl" }))
//!     .build()?;
//! let host = Host::new(HostOptions::default())?;
//! let report = pipeline.run(&host)?;
//! assert_eq!((report.rows.loaded, report.rows.rejected), (1, 1));
//! assert_eq!(std::fs::read_to_string(folder.path().join("out.jsonl"))?, "{\"id\":1,\"price\":9.5}\n");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod directory;
mod discover;
mod host;
mod stream;

pub use discover::{Discovered, Discovery, discover};
pub use host::{Host, HostOptions};
pub use stream::ExtractStream;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use arrow_array::RecordBatch;
use serde_json::Value;

use self::directory::{Explicit, Found};
use crate::batch::{Batch, Origin, Reject, RowNumbers};
use crate::config::{Text, parse, takes};
use crate::error::{Error, Result};
use crate::json;
use crate::network::Network;
use crate::plan::{Overrides, Plan, Planned};
use crate::report::{Progress, RunReport};
use crate::run::{Applied, RunOptions, apply, follow, run_planned};
use crate::source::{ReadOptions, given};

/// A pipeline that is ready to run.
#[derive(Clone, Debug)]
pub struct Pipeline {
    planned: Planned,
}

/// Everything that is wrong with a pipeline.
#[derive(Debug)]
pub struct Mistakes(pub Vec<Error>);

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |error: &Error| match error.place() {
            Some(place) => format!("{place}: {}", error.one_line()),
            None => error.one_line(),
        };
        f.write_str(&self.0.iter().map(line).collect::<Vec<_>>().join("\n"))
    }
}

impl std::error::Error for Mistakes {}

impl From<Error> for Mistakes {
    fn from(error: Error) -> Self {
        Self(vec![error])
    }
}

/// A pipeline in the making: sections that are given come before the files of the directory.
#[derive(Clone, Debug)]
pub struct Builder {
    directory: PathBuf,
    name: Option<String>,
    sections: BTreeMap<&'static str, Value>,
    vars: BTreeMap<String, String>,
    overrides: Overrides,
}

/// What came of rows that were given.
#[derive(Clone, Debug, PartialEq)]
pub struct AppliedRows {
    /// The rows that came out, in order.
    pub rows: Vec<Value>,
    /// Those that were refused, and why.
    pub rejects: Vec<Reject>,
}

impl Pipeline {
    /// Starts a pipeline in a directory: what its files say, as far as no section is given; relative paths are relative to it.
    ///
    /// A directory with `extract.yaml` and `load.yaml` needs nothing else:
    ///
    /// ```no_run
    /// use etl_host::pipeline::Pipeline;
    ///
    /// let pipeline = Pipeline::at("pipelines/orders").param("day", "2026-01-31").build()?;
    /// # Ok::<(), etl_host::pipeline::Mistakes>(())
    /// ```
    pub fn at(directory: impl Into<PathBuf>) -> Builder {
        Builder {
            directory: directory.into(),
            name: None,
            sections: BTreeMap::new(),
            vars: BTreeMap::new(),
            overrides: Overrides::default(),
        }
    }

    /// What will run: one plan, or one for each transformer where there are several.
    pub fn planned(&self) -> &Planned {
        &self.planned
    }

    /// One of its transformers, as a pipeline of its own: to apply it to rows, or to run it alone.
    ///
    /// # Errors
    /// Config, where it has none of that name.
    pub fn transformer(&self, name: &str) -> Result<Self> {
        Ok(Self { planned: Planned::One(Box::new(self.planned.transformer(Some(name))?.clone())) })
    }

    /// The one plan; where there are several it has to be said which.
    fn plan(&self) -> Result<&Plan> {
        self.planned.transformer(None).map_err(|error| error.hint("choose one: `pipeline.transformer(NAME)`"))
    }

    /// Runs it to its end, with a record in the host's history where one is kept. Blocks the calling thread.
    ///
    /// # Errors
    /// Nothing of the output is visible after an error.
    pub fn run(&self, host: &Host) -> Result<RunReport> {
        self.run_with(host, RunOptions::default(), &AtomicBool::new(false), &mut |_| {})
    }

    /// As [`Pipeline::run`], with options, a flag that ends it at the next batch, and progress; components and state are the host's.
    ///
    /// # Errors
    /// As [`Pipeline::run`].
    pub fn run_with(
        &self,
        host: &Host,
        options: RunOptions,
        stop: &AtomicBool,
        on_progress: &mut dyn FnMut(&Progress),
    ) -> Result<RunReport> {
        let options = with_host(host, options);
        follow(
            &self.planned,
            &options,
            || Ok(host.state.clone()),
            false,
            |options| run_planned(&self.planned, options, &host.sandbox, host.history.as_ref(), stop, on_progress),
        )
    }

    /// Reads the source and nothing else, batch by batch of `batch_size` rows. Of networks it reaches public addresses only.
    ///
    /// ```
    /// use etl_host::pipeline::Pipeline;
    /// use serde_json::json;
    ///
    /// let folder = tempfile::tempdir()?;
    /// std::fs::write(folder.path().join("orders.csv"), "id,price\n1,9.5\n2,4\n3,1\n")?;
    /// let pipeline = Pipeline::at(folder.path())
    ///     .extract(json!({ "path": "orders.csv", "batch_size": 2 }))
    ///     .load(json!({ "type": "file", "path": "out.jsonl" }))
    ///     .build()?;
    /// let mut rows = Vec::new();
    /// for read in pipeline.extract_stream()? {
    ///     rows.push(read?.batch.rows.num_rows());
    /// }
    /// assert_eq!(rows, [2, 1]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Outside, where the source cannot be opened; config, where options do not fit it.
    pub fn extract_stream(&self) -> Result<ExtractStream> {
        ExtractStream::open(&self.planned, &Network::default())
    }

    /// As [`Pipeline::extract_stream`], reaching on networks what the host allows.
    ///
    /// # Errors
    /// As [`Pipeline::extract_stream`].
    pub fn extract_stream_on(&self, host: &Host) -> Result<ExtractStream> {
        ExtractStream::open(&self.planned, &host.network)
    }

    /// Passes rows through the transforms and nothing else; all batches have the schema of the first.
    ///
    /// # Errors
    /// As [`Pipeline::run`]: where a policy says that the run fails.
    pub fn apply(&self, host: &Host, batches: Vec<RecordBatch>) -> Result<Applied> {
        let plan = self.plan()?;
        let Some(schema) = batches.first().map(RecordBatch::schema) else {
            return Ok(Applied { batches: Vec::new(), rejects: Vec::new(), rows: Default::default(), stages: Vec::new() });
        };
        if let Some(other) = batches.iter().position(|batch| batch.schema() != schema) {
            return Err(Error::data(format!("batch {other} has other columns than the first one")).hint("make them one schema first"));
        }
        let mut row = 1;
        let batches = batches.into_iter().enumerate().map(|(index, rows)| {
            let origin = Origin { source: "rows".into(), rows: RowNumbers::From(row) };
            row += rows.num_rows() as u64;
            Batch { rows, origin, sequence: index as u64 }
        });
        apply(plan, &with_host(host, RunOptions::default()), &host.sandbox, schema, batches)
    }

    /// As [`Pipeline::apply`], with rows as JSON objects, whose types are inferred as those of a JSON lines file are.
    ///
    /// ```
    /// use etl_host::pipeline::{Host, HostOptions, Pipeline};
    /// use serde_json::json;
    ///
    /// let pipeline = Pipeline::at(std::env::temp_dir())
    ///     .extract(json!({ "path": "orders.csv" }))
    ///     .transform(json!({ "add": { "label": "order ${id}" }, "filter": { "field": "price", "operator": "gt", "value": 1 } }))
    ///     .load(json!({ "type": "file", "path": "out.jsonl" }))
    ///     .build()?;
    /// let host = Host::new(HostOptions::default())?;
    /// let applied = pipeline.apply_rows(&host, &[json!({ "id": 1, "price": 9.5 }), json!({ "id": 2, "price": 0.5 })])?;
    /// assert_eq!(applied.rows, [json!({ "id": 1, "price": 9.5, "label": "order 1" })]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Pipeline::apply`].
    pub fn apply_rows(&self, host: &Host, rows: &[Value]) -> Result<AppliedRows> {
        let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
        let plan = self.plan()?;
        let reading = &plan.reading;
        let options = ReadOptions { batch_rows: reading.batch_size, exact: true, ..ReadOptions::default() };
        let read = given(&lines, "rows", reading, &options)?;
        let mut rejects: Vec<Reject> = Vec::new();
        let batches: Vec<Batch> = read
            .batches
            .into_iter()
            .map(|decoded| {
                rejects.extend(decoded.rejects);
                decoded.batch
            })
            .collect();
        let applied = apply(plan, &with_host(host, RunOptions::default()), &host.sandbox, read.schema, batches)?;
        rejects.extend(applied.rejects);
        let out = applied.batches.iter().flat_map(|batch| (0..batch.rows.num_rows()).map(|row| json::row_json(&batch.rows, row)));
        Ok(AppliedRows { rows: out.collect(), rejects })
    }
}

fn with_host(host: &Host, options: RunOptions) -> RunOptions {
    RunOptions { library: host.library.clone(), state: host.state.clone(), network: host.network.clone(), ..options }
}

impl Builder {
    /// Names it; else it has the name of its directory.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// What `extract.yaml` would hold.
    #[must_use]
    pub fn extract(self, section: Value) -> Self {
        self.section("extract", section)
    }

    /// What `transform.yaml` would hold.
    #[must_use]
    pub fn transform(self, section: Value) -> Self {
        self.section("transform", section)
    }

    /// What `load.yaml` would hold.
    #[must_use]
    pub fn load(self, section: Value) -> Self {
        self.section("load", section)
    }

    /// What `settings.yaml` would hold.
    #[must_use]
    pub fn settings(self, section: Value) -> Self {
        self.section("settings", section)
    }

    /// Sets a variable that sections and files use as `${NAME}`; wins over the environment.
    #[must_use]
    pub fn var(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.vars.insert(name.into(), value.into());
        self
    }

    /// Sets a parameter that the pipeline takes.
    #[must_use]
    pub fn param(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.overrides.params.insert(name.into(), value.into());
        self
    }

    /// Reads at most so many rows.
    #[must_use]
    pub fn limit(mut self, rows: u64) -> Self {
        self.overrides.limit = Some(rows);
        self
    }

    /// Reads the directory's files and works out what will run.
    ///
    /// # Errors
    /// Everything that is wrong, with places in the files; of a section that was given the file is its name.
    pub fn build(self) -> Result<Pipeline, Mistakes> {
        let Self { directory, name, mut sections, vars, overrides } = self;
        let Found { root, mut files } = directory::find(&directory, &Explicit::default())?;
        let mut given = |name: &str, found: &mut Option<Text>| {
            if let Some(section) = sections.remove(name) {
                // JSON is YAML.
                *found = Some(Text { name: name.to_owned(), text: section.to_string() });
            }
        };
        given("extract", &mut files.extract);
        given("transform", &mut files.transform);
        given("load", &mut files.load);
        given("settings", &mut files.settings);
        if let Some(name) = name {
            files.name = name;
        }
        // A parameter is a variable too; what is given comes before the environment, and that before a default.
        let params = takes(&files);
        let lookup = |name: &str| {
            let given = vars.get(name).or_else(|| overrides.params.get(name)).cloned();
            given.or_else(|| std::env::var(name).ok()).or_else(|| params.get(name).cloned().flatten())
        };
        let left_out = directory::complete(&mut files, &root, &lookup)?;
        if !left_out.is_empty() {
            return Err(Mistakes(left_out));
        }
        let pipeline = parse(&files, &lookup).map_err(|problems| Mistakes(problems.into_iter().map(Error::from).collect()))?;
        let planned = Planned::new(&pipeline, &root, &overrides, &|name| std::env::var(name).ok()).map_err(Mistakes)?;
        Ok(Pipeline { planned })
    }

    fn section(mut self, name: &'static str, section: Value) -> Self {
        self.sections.insert(name, section);
        self
    }
}
