//! Evaluates cases of the language natively, and through the real component in the real sandbox.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch, StringArray};
use etl_host::plan::{Grants, Limits};
use etl_host::sandbox::{Instance, JSONATA, Options, Recipe, Rows, Sandbox};
use etl_jsonata_engine::surrogate::shelter;
use etl_jsonata_engine::{Expression, Failure, Run, Value, from_json, to_json};
use tokio::runtime::Runtime;

use super::suite::Outcome;

/// The time of the run: now, since a case may compare it with what else asks the clock.
fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or_default()
}

/// What is evaluated.
#[derive(Clone, Copy)]
pub(crate) struct Question<'a> {
    pub(crate) expression: &'a str,
    /// JSON text; `None` = undefined.
    pub(crate) input: Option<&'a str>,
    /// JSON text of an object.
    pub(crate) bindings: Option<&'a str>,
    pub(crate) depth: Option<u64>,
    pub(crate) time_ms: Option<u64>,
}

/// Evaluates in this process.
pub(crate) fn natively(question: Question<'_>) -> Outcome {
    match try_natively(question) {
        Ok(Some(text)) => read(&text),
        Ok(None) => Outcome::Undefined,
        Err(failure) => Outcome::Error(failure.code, failure.message),
    }
}

fn try_natively(question: Question<'_>) -> Result<Option<String>, Failure> {
    let Question { expression, input, bindings, depth, time_ms } = question;
    let expression = Expression::compile(expression)?;
    let input = input.map(from_json).transpose()?;
    let bindings = match bindings.map(from_json).transpose()? {
        Some(Value::Object(bindings)) => bindings.iter().map(|(name, value)| (name.to_string(), value.clone())).collect(),
        _ => Vec::new(),
    };
    let mut limits = etl_jsonata_engine::Limits { time_ms, ..Default::default() };
    if let Some(depth) = depth {
        limits.depth = depth as usize;
    }
    let run = Run { now_ms: now_ms(), seed: 0 };
    Ok(expression.evaluate(input.as_ref(), &bindings, &run, &limits)?.map(|value| to_json(&value)))
}

fn read(text: &str) -> Outcome {
    match serde_json::from_str(&shelter(text)) {
        Ok(value) => Outcome::Value(value),
        Err(error) => Outcome::Crash(format!("the result is not JSON: {error}")),
    }
}

/// The component, in a sandbox with fuel and limits.
pub(crate) struct Sandboxed {
    recipe: Recipe,
    instance: Option<Instance>,
    /// Drives the time-outs.
    _runtime: Runtime,
}

impl Sandboxed {
    /// Opens the sandbox and loads the component.
    pub(crate) fn open(cache: Option<std::path::PathBuf>) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let sandbox = Sandbox::open(Options { cache, ..Options::default() }, runtime.handle().clone())?;
        let recipe = Recipe {
            component: sandbox.load(JSONATA, "jsonata")?,
            function: "evaluate".into(),
            options: "{}".into(),
            limits: Limits { fuel_per_batch: 20_000_000_000, memory_bytes: 1 << 30, timeout: Duration::from_secs(60), ..Limits::default() },
            // So that a bound of time is one of time, not of fuel.
            access: sandbox.access(&Grants { clock: true, ..Grants::default() })?,
            stage: Arc::from("suite"),
            now_ms: now_ms(),
            seed: 0,
            handle: runtime.handle().clone(),
        };
        Ok(Self { recipe, instance: None, _runtime: runtime })
    }

    /// Evaluates one after the other; an evaluation that brings the instance down costs only itself.
    pub(crate) fn evaluate(&mut self, questions: &[Question<'_>]) -> Result<Vec<Outcome>> {
        match self.batch(questions)? {
            Ok(outcomes) => Ok(outcomes),
            Err(crash) if questions.len() < 2 => Ok(vec![crash]),
            Err(_) => {
                let (first, last) = questions.split_at(questions.len() / 2);
                let mut outcomes = self.evaluate(first)?;
                outcomes.extend(self.evaluate(last)?);
                Ok(outcomes)
            }
        }
    }

    fn batch(&mut self, questions: &[Question<'_>]) -> Result<Result<Vec<Outcome>, Outcome>> {
        let rows = rows(questions)?;
        let instance = match &mut self.instance {
            Some(instance) => instance,
            none => {
                let open = self.recipe.open(rows.schema_ref(), None);
                none.insert(open.map_err(|failures| anyhow::anyhow!("{:?}", failures))?)
            }
        };
        let processed = match instance.process(&rows, None, 0, 0) {
            Ok(processed) => processed,
            Err(failure) => {
                self.instance = None;
                return Ok(Err(Outcome::Crash(format!("{}: {}", failure.code, failure.full_message()))));
            }
        };
        let mut outcomes: Vec<Option<Outcome>> = questions.iter().map(|_| None).collect();
        for rejected in processed.rejected {
            outcomes[rejected.row as usize] = Some(Outcome::Error(rejected.code, rejected.message));
        }
        let mut free = 0;
        for (emitted, _) in processed.emitted {
            let Rows::Batch(batch) = emitted else { anyhow::bail!("a columnar guest emitted lines") };
            let values: &StringArray = batch.column(0).as_any().downcast_ref().context("the value is text")?;
            for row in 0..values.len() {
                while outcomes.get(free).is_some_and(Option::is_some) {
                    free += 1;
                }
                ensure!(free < outcomes.len(), "the guest emitted more rows than it got");
                outcomes[free] = Some(if values.is_null(row) { Outcome::Undefined } else { read(values.value(row)) });
            }
        }
        Ok(Ok(outcomes.into_iter().collect::<Option<_>>().context("the guest emitted fewer rows than it got")?))
    }
}

fn rows(questions: &[Question<'_>]) -> Result<RecordBatch> {
    fn number(value: Option<u64>) -> Option<i64> {
        value.map(|value| i64::try_from(value).unwrap_or(i64::MAX))
    }
    let columns: [(&str, ArrayRef); 5] = [
        ("expression", Arc::new(StringArray::from_iter_values(questions.iter().map(|question| question.expression)))),
        ("input", Arc::new(StringArray::from_iter(questions.iter().map(|question| question.input)))),
        ("bindings", Arc::new(StringArray::from_iter(questions.iter().map(|question| question.bindings)))),
        ("depth", Arc::new(Int64Array::from_iter(questions.iter().map(|question| number(question.depth))))),
        ("time_ms", Arc::new(Int64Array::from_iter(questions.iter().map(|question| number(question.time_ms))))),
    ];
    Ok(RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true)))?)
}
