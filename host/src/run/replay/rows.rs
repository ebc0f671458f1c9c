//! The types of the columns that rows had when they were refused.

use std::collections::BTreeMap;

use arrow_schema::{DataType, SchemaRef};
use etl_steps::Type;

use super::super::{RunOptions, resolve};
use crate::plan::Plan;
use crate::sandbox::Sandbox;

/// The types that columns have which reach a stage, as far as they are known: a letter is JSON, in which a day is a text.
pub(super) fn pins(plan: &Plan, options: &RunOptions, sandbox: &Sandbox, entry: usize) -> BTreeMap<String, Type> {
    let known = match resolve(plan, options, sandbox) {
        Ok(resolved) => match entry.checked_sub(1) {
            None => Some(resolved.source),
            Some(before) => resolved.stages.outputs[before].clone(),
        },
        Err(error) => {
            tracing::warn!(error = %error.one_line(), "the source cannot be looked at, so that types are inferred from the dead letters");
            None
        }
    };
    let mut pins = known.map(|schema| types(&schema)).unwrap_or_default();
    if entry == 0 {
        pins.extend(plan.reading.schema.clone());
        // These are read as they stand.
        plan.as_text.iter().chain(&plan.converted).for_each(|column| drop(pins.remove(column)));
    }
    pins
}

fn types(schema: &SchemaRef) -> BTreeMap<String, Type> {
    let kind = |kind: &DataType| match kind {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Some(Type::String),
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 | DataType::UInt8 | DataType::UInt16 | DataType::UInt32 => {
            Some(Type::Int)
        }
        DataType::Float32 | DataType::Float64 => Some(Type::Float),
        DataType::Boolean => Some(Type::Bool),
        DataType::Date32 | DataType::Date64 => Some(Type::Date),
        DataType::Timestamp(_, zone) => Some(Type::Timestamp { zone: zone.as_ref().map(ToString::to_string) }),
        DataType::Decimal128(precision, scale) => Some(Type::Decimal { precision: *precision, scale: *scale }),
        _ => None,
    };
    schema.fields().iter().filter_map(|field| Some((field.name().clone(), kind(field.data_type())?))).collect()
}
