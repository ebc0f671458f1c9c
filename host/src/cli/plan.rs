//! `etl-host plan`.

use std::process::ExitCode;

use arrow_schema::Schema;
use clap::Args;
use etl_steps::validate::Thresholds;
use serde_json::{Value, json};

use super::{CacheArgs, ContractArgs, Failures, LibraryArgs, NetworkArgs, Outcome, check, contract, setup, terminal, transformers};
use crate::artifact::{LOCK_FILE, Origin, Pinned};
use crate::config::load::Sink;
use crate::error::{Context, near};
use crate::plan::{ComponentName, DeadLetters, Grants, Plan, Planned, StagePlan, TablePlace};
use crate::run::{Located, Resolved, RunOptions, resolve_planned};
use crate::sandbox::amount;
use crate::sandbox::imports::Capability;

/// Arguments of `plan`.
#[derive(Debug, Args)]
pub(super) struct PlanArgs {
    #[command(flatten)]
    contract: ContractArgs,
    /// Print the result as one JSON object on stdout
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    library: LibraryArgs,
    #[command(flatten)]
    network: NetworkArgs,
    #[command(flatten)]
    cache: CacheArgs,
}

/// Shows what would run. Schemas need a look at the input; where it is not there, the rest is shown with the reason.
pub(super) fn plan(args: &PlanArgs) -> Outcome {
    let planned = contract::planned(&args.contract)?;
    let runtime = setup::runtime()?;
    let sandbox = setup::sandbox_reaching(&args.cache, args.network.network(&args.library), &runtime)?;
    let options =
        RunOptions { library: setup::library(&args.library, None), network: args.network.network(&args.library), ..RunOptions::default() };
    let resolved = resolve_planned(&planned, &options, &sandbox);
    let each = || planned.plans().iter().zip(resolved.iter().map(|resolved| resolved.as_ref().ok()));
    let json = |(plan, resolved): (&Plan, Option<&Resolved>)| as_json(plan, resolved);
    if args.json {
        let json = match &planned {
            Planned::One(_) => each().map(json).next().unwrap_or_default(),
            Planned::Several(several) => json!({ "name": several.common().name, "transformers": each().map(json).collect::<Vec<_>>() }),
        };
        terminal::data(&serde_json::to_string(&json).bug(|| "writing the plan as JSON".into())?);
    } else {
        let texts: Vec<String> = each().map(|(plan, resolved)| as_text(plan, resolved)).collect();
        terminal::data(&texts.join("\n"));
    }
    // What all share is told once.
    let mut errors: Vec<_> = planned.plans().iter().zip(resolved).filter_map(|(plan, resolved)| Some((plan, resolved.err()?))).collect();
    errors.dedup_by(|(_, one), (_, other)| one.chain() == other.chain());
    match errors.len() {
        0 => Ok(ExitCode::SUCCESS),
        _ => Err(Failures(errors.into_iter().map(|(plan, error)| check::of_transformer(plan, error)).collect())),
    }
}

fn as_text(plan: &Plan, resolved: Option<&Resolved>) -> String {
    let mut text = match plan.lane() {
        None => format!("{}\n", plan.name),
        Some(name) => format!("{}, {}\n", plan.name, transformers::head(name)),
    };
    let mut line = |name: &str, value: String| text.push_str(&format!("  {name:<11}{value}\n"));
    line("source", format!("{} {}", plan.source.kind(), plan.source.title()));
    line("batches", format!("{} rows where a stage sees a batch's rows together", plan.reading.batch_size));
    if let Some(limit) = plan.limit {
        line("limit", format!("{limit} rows"));
    }
    if plan.checkpoint.enabled {
        line("checkpoint", super::checkpoints::described(plan));
    }
    if let Some(resolved) = resolved {
        line("schema", columns(&resolved.source));
    }
    for (index, stage) in plan.stages.iter().enumerate() {
        line("stage", format!("{}: {}", stage.name, stage.steps.join(", ")));
        line("  from", component(stage, resolved.map(|resolved| &resolved.located[index])));
        if let Some(Resolved { located, .. }) = resolved {
            line("  digest", located[index].digest.to_string());
        }
        let limits = &stage.limits;
        line(
            "  limits",
            format!(
                "{} fuel a batch + {} a row, {} MiB, {} s a batch, {} of output a batch",
                amount(limits.fuel_per_batch),
                amount(limits.fuel_per_row),
                limits.memory_bytes >> 20,
                limits.timeout.as_secs_f64(),
                limits.output_bytes.map_or_else(|| "64 MiB or 16 times the input".to_owned(), |bytes| format!("{} MiB", bytes >> 20)),
            ),
        );
        line("  grants", if stage.grants == Grants::default() { "nothing".into() } else { stage.grants.describe().join(", ") });
        line("  on error", format!("{}, on a crash {}", word(&stage.on_error), word(&stage.on_trap)));
        if let Some(validation) = &stage.validation {
            for rule in &validation.rules {
                line("  rule", format!("{}: {} ({})", rule.name, rule.test.words(), word(&rule.on_error)));
            }
            for threshold in thresholds(&validation.thresholds) {
                line("  threshold", threshold);
            }
        }
        if let Some(Resolved { stages, located, .. }) = resolved {
            // What ships with the host asks for no more than its library does, and gets nothing.
            if !matches!(stage.component, ComponentName::Ops | ComponentName::Jsonata | ComponentName::Validate | ComponentName::Aggregate)
            {
                line("  reaches", reaches(&located[index].imports, &stage.grants));
            }
            line(
                "  schema",
                stages.outputs[index].as_ref().map_or_else(|| "known once rows have come out".to_owned(), |schema| columns(schema)),
            );
        }
    }
    let how = match &plan.sink {
        Sink::File(sink) => word(&sink.write_mode),
        Sink::CloudStorage(sink) => word(&sink.write_mode),
        Sink::Database(sink) if sink.key().is_empty() => sink.method().name().to_owned(),
        Sink::Database(sink) => format!("{} by {}", sink.method().name(), sink.key().join(", ")),
    };
    line("sink", format!("{} {}, {how}", plan.sink.kind(), plan.sink.title()));
    if let Sink::Database(sink) = &plan.sink {
        line("  table", format!("create_table: {}, schema_evolution: {}", word(&sink.create_table), word(&sink.schema_evolution)));
        for merge in &sink.merge {
            let from = merge.from.as_deref().unwrap_or(&sink.table);
            line("  merge", format!("{from} into {} by {}, {}", merge.into, merge.key.join(", "), word(&merge.rule)));
        }
        for what in &sink.publish {
            line("  publish", what.clone());
        }
    }
    let letters = |place: &DeadLetters| match place {
        DeadLetters::File(path) => near(path),
        DeadLetters::Table { place, table } => match place {
            TablePlace::State => format!("the state database, table `{table}`"),
            TablePlace::File(path) => format!("{}, table `{table}`", near(path)),
            TablePlace::Postgres { connection, schema: None, .. } => format!("{connection}, table `{table}`"),
            TablePlace::Postgres { connection, schema: Some(schema), .. } => format!("{connection}, schema `{schema}`, table `{table}`"),
        },
        DeadLetters::Memory => "in the report only".into(),
        DeadLetters::Off => "counted, not kept".into(),
    };
    line("rejects", letters(&plan.dead_letters));
    for stage in &plan.stages {
        if let Some(own) = stage.validation.as_ref().and_then(|validation| validation.dead_letters.as_ref()) {
            line("", format!("those of `{}`: {}", stage.name, letters(own)));
        }
    }
    text
}

/// What a stage's component asks for beside what it gets of it, and grants that it does not ask for.
fn reaches(imports: &[String], grants: &Grants) -> String {
    let asked = Capability::all(imports);
    let mut told: Vec<String> = asked.iter().map(|capability| format!("{} ({})", capability.name(), capability.behind(grants))).collect();
    let granted = [(Capability::Clock, grants.clock), (Capability::Random, grants.random), (Capability::Http, !grants.http.is_empty())];
    let unused = granted.iter().filter(|(capability, granted)| *granted && !asked.contains(capability));
    told.extend(unused.map(|(capability, _)| format!("{} (granted, but the component does not ask for it)", capability.name())));
    if told.is_empty() { "nothing".into() } else { told.join(", ") }
}

/// What the data must come to, in words.
fn thresholds(thresholds: &Thresholds) -> Vec<String> {
    let Thresholds { error_rate, quality, completeness } = thresholds;
    let rate = error_rate.map(|rate| format!("error rate at most {rate}"));
    let quality = quality.map(|score| format!("quality at least {score}"));
    let columns = completeness.iter().map(|(column, share)| format!("completeness of {column} at least {share}"));
    rate.into_iter().chain(quality).chain(columns).collect()
}

fn as_json(plan: &Plan, resolved: Option<&Resolved>) -> Value {
    let located = |index: usize| resolved.map(|resolved| &resolved.located[index]);
    let stage = |(index, stage): (usize, &StagePlan)| {
        let stages = resolved.map(|resolved| &resolved.stages);
        json!({
            "name": stage.name,
            "component": stage.component,
            "digest": located(index).map(|located| located.digest.clone()),
            "origin": located(index).map(|located| located.origin.clone()),
            "pinned_by": located(index).map(|located| located.pinned),
            "function": stage.function,
            "steps": stage.steps,
            "options": stage.options,
            "limits": stage.limits,
            "grants": stage.grants,
            "imports": resolved.map(|resolved| &resolved.located[index].imports),
            "schema": stages.and_then(|stages| stages.outputs[index].as_ref().map(|schema| fields(schema))),
        })
    };
    let mut shown = json!({
        "name": plan.name,
        "source": { "type": plan.source.kind(), "path": plan.source.title(), "schema": resolved.map(|resolved| fields(&resolved.source)) },
        "batch_size": plan.reading.batch_size,
        "limit": plan.limit,
        "checkpoint": plan.checkpoint.enabled.then(|| super::checkpoints::as_json(plan)),
        "stages": plan.stages.iter().enumerate().map(stage).collect::<Vec<_>>(),
        "sink": { "type": plan.sink.kind(), "path": plan.sink.title() },
        "dead_letters": plan.dead_letters,
    });
    if let Some(name) = plan.lane() {
        shown["transformer"] = name.into();
    }
    shown
}

/// A component: its name, where it was found, and what holds it to its digest.
fn component(stage: &StagePlan, located: Option<&Located>) -> String {
    let Some(Located { origin, pinned, .. }) = located else { return stage.component.to_string() };
    let found = match (&stage.component, origin) {
        (_, Origin::BuiltIn) => return stage.component.to_string(),
        (ComponentName::File(_), Origin::File(_)) => String::new(),
        (ComponentName::Module(_), Origin::File(path)) => format!("built into {}, ", near(path)),
        (_, Origin::File(path)) => format!("from {}, ", near(path)),
        (_, Origin::Store) => "from the store, ".into(),
        (_, Origin::Registry) => "pulled just now, ".into(),
    };
    let pinned = match pinned {
        Pinned::Program | Pinned::Name => "pinned by its name".into(),
        Pinned::Lock => format!("pinned by {LOCK_FILE}"),
        Pinned::Nothing => "not pinned".to_owned(),
    };
    let name = match &stage.component {
        ComponentName::File(path) => near(path),
        other => other.to_string(),
    };
    format!("{name} ({found}{pinned})")
}

/// A choice in the user's own word.
fn word(choice: &impl std::fmt::Debug) -> String {
    let name = format!("{choice:?}");
    let mut text = String::new();
    for (index, c) in name.char_indices() {
        if c.is_uppercase() && index > 0 {
            text.push('_');
        }
        text.extend(c.to_lowercase());
    }
    text
}

fn columns(schema: &Schema) -> String {
    schema.fields().iter().map(|field| format!("{}: {}", field.name(), field.data_type())).collect::<Vec<_>>().join(", ")
}

fn fields(schema: &Schema) -> Value {
    schema.fields().iter().map(|field| json!({ "name": field.name(), "type": field.data_type().to_string() })).collect()
}
