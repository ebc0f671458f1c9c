//! Steps that see rows of many batches: each a stage of the `aggregate` guest.

use etl_steps::aggregate::{Keep, Measure, Metric, Nulls, Order, SortColumn};
use serde_json::Value;

use super::{ComponentName, Grants, Limits, StagePlan};
use crate::config::aggregates::Gather;
use crate::config::transform::{OnError, OnTrap};
use crate::error::Place;

/// Makes the stage of a step.
pub(super) fn stage(mut gather: Gather, limits: Limits, max_error_ratio: f64, place: Place) -> StagePlan {
    let described = describe(&gather);
    let memory = limits.memory_bytes as u64;
    let (name, function) = match &mut gather {
        Gather::Aggregate(aggregate) => {
            aggregate.memory_bytes = memory;
            ("aggregate", "aggregate")
        }
        Gather::Window(window) => {
            window.memory_bytes = memory;
            ("window", "window")
        }
        Gather::Sort(sort) => {
            sort.memory_bytes = memory;
            ("sort", "sort")
        }
        Gather::Dedupe(dedupe) => {
            dedupe.memory_bytes = memory;
            // Rows go on as they come only where the first one is kept.
            ("dedupe", if dedupe.keep == Keep::First && dedupe.order_by.is_empty() { "dedupe" } else { "dedupe_held" })
        }
    };
    let options = match &gather {
        Gather::Aggregate(options) => serde_json::to_value(options),
        Gather::Window(options) => serde_json::to_value(options),
        Gather::Sort(options) => serde_json::to_value(options),
        Gather::Dedupe(options) => serde_json::to_value(options),
    };
    StagePlan {
        name: name.into(),
        component: ComponentName::Aggregate,
        function: Some(function.into()),
        options: options.unwrap_or(Value::Null),
        limits,
        grants: Grants::default(),
        on_error: OnError::DeadLetter,
        on_trap: OnTrap::Bisect,
        max_error_ratio,
        validation: None,
        steps: vec![described],
        places: vec![place.clone()],
        place,
    }
}

/// A step in a few words.
fn describe(gather: &Gather) -> String {
    match gather {
        Gather::Aggregate(step) => format!("aggregate{} to {}", by(" by ", &step.group_by), metrics(&step.metrics)),
        Gather::Window(step) => {
            let lateness = match step.lateness.nanoseconds {
                0 => String::new(),
                _ => format!(" + {} for late rows", step.lateness),
            };
            format!("window {} of {}{lateness}{} to {}", step.size, step.time, by(" by ", &step.group_by), metrics(&step.metrics))
        }
        Gather::Sort(step) => format!("sort by {}", order(&step.by)),
        Gather::Dedupe(step) => {
            let key = if step.key.is_empty() { "all columns".to_owned() } else { step.key.join(", ") };
            let keep = if step.keep == Keep::First { "first" } else { "last" };
            let ordered = if step.order_by.is_empty() { String::new() } else { format!(" by {}", order(&step.order_by)) };
            format!("dedupe on {key}, the {keep}{ordered} stays")
        }
    }
}

fn by(what: &str, names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!("{what}{}", names.join(", ")) }
}

fn metrics(metrics: &[Metric]) -> String {
    let one = |metric: &Metric| {
        let name = metric.measure.name();
        let measure = match &metric.measure {
            Measure::Rows => "count".to_owned(),
            Measure::Count(column)
            | Measure::CountDistinct(column)
            | Measure::Sum(column)
            | Measure::Avg(column)
            | Measure::Min(column)
            | Measure::Max(column) => format!("{name}({column})"),
            Measure::First { column, skip_nulls } | Measure::Last { column, skip_nulls } => {
                format!("{name}({column}{})", if *skip_nulls { " not null" } else { "" })
            }
            Measure::Quantile { column, q } => format!("{name}({column}, {q})"),
            Measure::Vwap { price, size } => format!("{name}({price}, {size})"),
        };
        format!("{} = {measure}", metric.name)
    };
    metrics.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn order(columns: &[SortColumn]) -> String {
    let one = |by: &SortColumn| {
        let direction = if by.order == Order::Desc { " desc" } else { "" };
        let nulls = if by.nulls == Nulls::First { " nulls first" } else { "" };
        format!("{}{direction}{nulls}", by.column)
    };
    columns.iter().map(one).collect::<Vec<_>>().join(", ")
}
