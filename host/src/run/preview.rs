//! The first rows after each step, and what each step made of them; nothing is written.

use std::num::NonZeroUsize;
use std::sync::Arc;

use arrow_schema::SchemaRef;

use super::RunOptions;
use super::apply::Apply;
use super::stages::Components;
use crate::batch::{Batch, Reject};
use crate::error::{Error, Result};
use crate::plan::{ComponentName, Plan, StagePlan};
use crate::report::{Rows, StepQuality};
use crate::sandbox::Sandbox;
use crate::source::{self, Decoded, Newer, ReadOptions, Source};
use crate::stage::{Output, Stage};

/// Bytes of input that are read at once.
const CHUNK_BYTES: usize = 64 << 10;

/// What each step of a plan made of the first rows.
#[derive(Debug)]
pub struct Preview {
    /// The source, then every step in order, up to the one that failed.
    pub looks: Vec<Look>,
    /// What became of the rows; `loaded` are those that would reach the sink.
    pub rows: Rows,
    /// Why it goes no further.
    pub error: Option<Error>,
}

/// The rows after one step.
#[derive(Clone, Debug, Default)]
pub struct Look {
    /// The stage; none for the source.
    pub stage: Option<String>,
    /// Number of the step within its stage from 1, and how many there are.
    pub step: (usize, usize),
    /// What it does, in a few words.
    pub what: String,
    /// Columns that it renames for certain: old name, new name.
    pub renames: Vec<(String, String)>,
    /// The schema that comes out, where it is known.
    pub schema: Option<SchemaRef>,
    /// The first rows that came out.
    pub batches: Vec<Batch>,
    /// Rows that came out in all.
    pub rows: u64,
    /// The rows that went no further here.
    pub rejects: Vec<Reject>,
    /// Rows left out on purpose here.
    pub filtered: u64,
    /// Rows that came out more than went in here.
    pub expanded: u64,
    /// Rows that a policy `skip` left out here.
    pub skipped: u64,
    /// What its rules found, where it has some.
    pub quality: Option<StepQuality>,
}

impl Look {
    /// Adds what came of a batch; of the rows, the first `show` are kept.
    fn take(&mut self, output: &Output, show: usize) {
        let Output { batches, rejects, filtered, expanded, crashed: _, skipped, failed_batches: _ } = output;
        for batch in batches {
            let schema = batch.rows.schema();
            // A change of schema in mid-stream shows in the rows, the first schema is what the step is known by.
            self.schema.get_or_insert(schema);
            let room = show.saturating_sub(usize::try_from(self.rows).unwrap_or(usize::MAX)).min(batch.rows.num_rows());
            if room > 0 {
                self.batches.push(batch.slice(0, room));
            }
            self.rows += batch.rows.num_rows() as u64;
        }
        self.rejects.extend(rejects.iter().cloned());
        self.filtered += filtered;
        self.expanded += expanded;
        self.skipped += skipped;
    }

    /// Takes off what steps before it did, where it was seen together with them.
    fn without(&mut self, before: &Self) {
        let mut earlier: Vec<&Reject> = before.rejects.iter().collect();
        self.rejects.retain(|reject| match earlier.iter().position(|other| other.row == reject.row && other.code == reject.code) {
            Some(at) => {
                earlier.swap_remove(at);
                false
            }
            None => true,
        });
        self.filtered = self.filtered.saturating_sub(before.filtered);
        self.expanded = self.expanded.saturating_sub(before.expanded);
        self.skipped = self.skipped.saturating_sub(before.skipped);
    }
}

/// Reads the first rows of a plan's source, up to its limit, and looks at them after each step; of each step `show` rows are kept.
///
/// The steps of the built-in operations, which a run works on as one stage, are looked at one by one: each by the stage cut off behind it.
///
/// # Errors
/// Where nothing can be shown, not even the source; that a stage fails is in the answer.
pub fn preview(plan: &Plan, options: &RunOptions, sandbox: &Sandbox, show: usize) -> Result<Preview> {
    let (see_batches, missing) = match Components::load(plan, &options.library, sandbox) {
        Ok(components) => (components.see_batches(), None),
        // The source can be shown without.
        Err(error) => (false, Some(error)),
    };
    let source = open_source(plan, options, see_batches)?;
    let newer = plan.incremental.as_ref().map(|incremental| Newer::new(source.clone(), incremental, options.reached.as_deref()));
    let source: Arc<dyn Source> = newer.transpose()?.map_or(source, |newer| Arc::new(Arc::new(newer)));
    let schema = source.schema();
    let (mut plan, mut error) = (plan.clone(), missing);
    let mut apply = open_as_far(&mut plan, options, sandbox, &schema, &mut error)?;
    let mut looking = Looking::new(&plan, options, sandbox, &apply, &schema, show)?;
    let mut counts = Rows::default();
    let done = looking.read(source.as_ref(), plan.limit, &mut apply, &mut counts);
    error = error.or(done.err());
    let mut rows = apply.rows();
    rows.add(&counts);
    let mut looks = looking.looks;
    for index in (1..looks.len()).rev() {
        let (before, rest) = looks.split_at_mut(index);
        if rest[0].step.0 > 1 {
            rest[0].without(&before[index - 1]);
        }
    }
    let reports = apply.usage();
    for found in super::judge(&plan, &reports).into_iter().flat_map(|quality| quality.steps) {
        if let Some(look) = looks.iter_mut().find(|look| look.stage.as_ref() == Some(&found.name)) {
            look.quality = Some(found);
        }
    }
    Ok(Preview { looks, rows, error })
}

fn open_source(plan: &Plan, options: &RunOptions, see_batches: bool) -> Result<Arc<dyn Source>> {
    let read = ReadOptions {
        batch_rows: if see_batches { plan.reading.batch_size } else { options.batch_rows },
        exact: see_batches,
        chunk_bytes: CHUNK_BYTES,
        // Where only newer rows count, they are looked for behind the old ones.
        limit: plan.limit.filter(|_| plan.incremental.is_none()),
        converted: plan.converted.clone(),
        as_text: plan.as_text.clone(),
        ..ReadOptions::default()
    };
    options.open_source(plan, read, &source::NEVER).map(Arc::from)
}

/// Opens as many steps as can be; what stands in the way of the rest is noted.
fn open_as_far(plan: &mut Plan, options: &RunOptions, sandbox: &Sandbox, schema: &SchemaRef, error: &mut Option<Error>) -> Result<Apply> {
    loop {
        let failed = match Apply::open(plan, options, sandbox, schema.clone()) {
            Ok(apply) => return Ok(apply),
            Err(failed) => failed,
        };
        error.get_or_insert(failed);
        let Some(last) = plan.stages.pop() else { return Err(error.take().unwrap_or_else(|| Error::bug("nothing was to be opened"))) };
        if is_fused(&last) {
            plan.stages.push(cut(&last, last.steps.len() - 1));
        }
    }
}

/// Whether a stage is several steps that can be cut off behind each.
fn is_fused(stage: &StagePlan) -> bool {
    stage.component == ComponentName::Ops
        && stage.steps.len() > 1
        && stage.options["steps"].as_array().is_some_and(|steps| steps.len() == stage.steps.len())
}

/// A stage without the steps behind the first `count`.
fn cut(stage: &StagePlan, count: usize) -> StagePlan {
    let mut stage = stage.clone();
    stage.steps.truncate(count);
    stage.places.truncate(count);
    if let Some(steps) = stage.options["steps"].as_array_mut() {
        steps.truncate(count);
    }
    stage
}

/// A stage of several steps: the same stage cut off behind each step but the last.
struct Fused {
    /// Index of the look at its first step.
    first: usize,
    /// How many steps it has.
    steps: usize,
    /// For each step but the last, the plan of the stage that is cut off behind it.
    cuts: Vec<Plan>,
    /// Those stages, opened once the schema of their rows is known.
    stages: Vec<Box<dyn Stage>>,
}

struct Looking<'a> {
    options: &'a RunOptions,
    sandbox: &'a Sandbox,
    looks: Vec<Look>,
    /// For each stage.
    fused: Vec<Fused>,
    show: usize,
}

impl<'a> Looking<'a> {
    /// A look for the source and one for every step, still without rows.
    fn new(plan: &Plan, options: &'a RunOptions, sandbox: &'a Sandbox, apply: &Apply, schema: &SchemaRef, show: usize) -> Result<Self> {
        let source = Look { what: plan.source.title(), step: (1, 1), schema: Some(schema.clone()), ..Look::default() };
        let mut looking = Self { options, sandbox, looks: vec![source], fused: Vec::new(), show };
        let mut input = Some(schema.clone());
        for (index, (stage, output)) in plan.stages.iter().zip(apply.outputs()).enumerate() {
            let whole = !is_fused(stage);
            let count = if whole { 1 } else { stage.steps.len() };
            let cuts = (1..count).map(|step| Plan { stages: vec![cut(stage, step)], ..plan.clone() }).collect();
            looking.fused.push(Fused { first: looking.looks.len(), steps: count, cuts, stages: Vec::new() });
            for step in 1..=count {
                looking.looks.push(Look {
                    stage: Some(stage.name.clone()),
                    step: (step, count),
                    what: if whole { stage.steps.join(", ") } else { stage.steps[step - 1].clone() },
                    renames: renames(&stage.options["steps"][step - 1]),
                    schema: if step == count { output.clone() } else { None },
                    ..Look::default()
                });
            }
            if let Some(input) = &input {
                looking.open(index, input)?;
            }
            input = output.clone();
        }
        Ok(looking)
    }

    /// Opens what is cut off of a stage for rows of a schema.
    fn open(&mut self, stage: usize, schema: &SchemaRef) -> Result<()> {
        let Fused { first, cuts, stages, .. } = &mut self.fused[stage];
        for (step, cut) in cuts.iter().enumerate() {
            let opened =
                Components::load(cut, &self.options.library, self.sandbox)?.configure(cut, self.options, self.sandbox, schema.clone())?;
            for open in &opened.open {
                stages.push(open()?);
            }
            self.looks[*first + step].schema = opened.outputs.into_iter().next().flatten();
        }
        Ok(())
    }
}

/// The pairs of a `rename`.
fn renames(step: &serde_json::Value) -> Vec<(String, String)> {
    step.get("rename").and_then(|pairs| serde_json::from_value(pairs.clone()).ok()).unwrap_or_default()
}

impl Looking<'_> {
    /// Reads what there is to read, up to so many rows, and passes it through the stages.
    fn read(&mut self, source: &dyn Source, limit: Option<u64>, apply: &mut Apply, counts: &mut Rows) -> Result<()> {
        let mut room = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        'rows: for split in source.splits(NonZeroUsize::MIN)? {
            for chunk in source.read(&split, None)? {
                for decoded in chunk?.decode() {
                    let Decoded { batch, rejects, skipped, filtered } = decoded?;
                    counts.read += rejects.len() as u64 + skipped + filtered;
                    counts.rejected += rejects.len() as u64;
                    counts.skipped += skipped;
                    counts.filtered += filtered;
                    let batch = batch.slice(0, room.min(batch.rows.num_rows()));
                    room -= batch.rows.num_rows();
                    let came = Output { batches: vec![batch.clone()], rejects, skipped, filtered, ..Output::default() };
                    self.looks[0].take(&came, self.show);
                    if batch.rows.num_rows() > 0 {
                        apply.push_watched(batch, &mut |stage, input, output| self.look(stage, input, output))?;
                    }
                    if room == 0 {
                        break 'rows;
                    }
                }
            }
        }
        apply.finish_watched(&mut |stage, input, output| self.look(stage, input, output))?;
        Ok(())
    }

    /// Looks at what one stage made of a batch.
    fn look(&mut self, stage: usize, input: Option<&Batch>, output: &Output) -> Result<()> {
        if let Some(input) = input {
            if self.fused[stage].stages.is_empty() {
                self.open(stage, &input.rows.schema())?;
            }
            let Fused { first, stages, .. } = &mut self.fused[stage];
            for (step, stage) in stages.iter_mut().enumerate() {
                let output = stage.process(input.clone())?;
                self.looks[*first + step].take(&output, self.show);
            }
        }
        let Fused { first, steps, .. } = &self.fused[stage];
        self.looks[*first + *steps - 1].take(output, self.show);
        Ok(())
    }
}
