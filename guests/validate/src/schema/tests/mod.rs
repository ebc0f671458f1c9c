//! JSON Schema against the official suite, and against the crate `jsonschema` on random schemas.

mod random;

use std::sync::Arc;

use arrow_array::builder::{Int64Builder, ListBuilder};
use arrow_array::{Array, ArrayRef, BooleanArray, Date32Array, Float64Array, Int64Array, NullArray, RecordBatch, StringArray, StructArray};
use arrow_schema::Field;
use serde_json::{Value, json};

use crate::json;

use super::{Broken, Schema, explain};

/// Tests of the suite that we answer otherwise, each with the reason.
const OTHERWISE: &[(&str, &str)] = &[(
    "ZERO WIDTH NON-JOINER not preceded by Virama but matches regexp",
    "joining letters of cursive scripts are not told apart, which takes tables",
)];

fn dialect(draft: &str) -> String {
    match draft {
        "2019-09" | "2020-12" => format!("https://json-schema.org/draft/{draft}/schema"),
        number => format!("http://json-schema.org/draft-0{number}/schema#"),
    }
}

/// A line of the suite.
type Group = (Vec<String>, String, Value, Vec<(String, Value, bool)>);

#[test]
fn the_official_suite_passes_but_for_what_is_named() {
    let (mut held, mut wrong) = (0, Vec::new());
    for line in include_str!("../../../../../tests/json-schema/suite.jsonl").lines() {
        let (drafts, name, schema, tests): Group = serde_json::from_str(line).expect("a line is a group of tests");
        for draft in drafts {
            let mut schema = schema.clone();
            if let Some(schema) = schema.as_object_mut() {
                schema.insert("$schema".into(), dialect(&draft).into());
            }
            let schema = match Schema::compile(&schema) {
                Ok(schema) => schema,
                Err((message, _)) => {
                    wrong.push(format!("{draft} {name}: {message}"));
                    continue;
                }
            };
            for (what, value, is_valid) in &tests {
                let broken = explain::explain(&schema, value);
                assert_eq!(schema.holds(value), broken.is_none(), "judging and explaining differ: {name}: {what}: {broken:?}");
                match broken.is_none() == *is_valid {
                    true => held += 1,
                    false => wrong.push(format!("{draft} {name}: {what}")),
                }
            }
        }
    }
    wrong.retain(|name| !OTHERWISE.iter().any(|(known, _)| name.contains(known)));
    assert_eq!(wrong, [""; 0], "{} of {} differ", wrong.len(), wrong.len() + held);
    assert!(held > 5_000, "only {held} tests were held");
}

#[test]
fn what_breaks_a_schema_is_said_with_its_place() {
    let said = |schema: Value, value: Value| {
        let schema = Schema::compile(&schema).expect("it compiles");
        explain::explain(&schema, &value).map(|Broken { message, .. }| message).unwrap_or_default()
    };
    let items = json!({"properties": {"items": {"type": "array", "minItems": 2, "uniqueItems": true, "items": {"required": ["sku"]}}}});
    assert_eq!(said(items.clone(), json!({"items": [{"sku": 1}, {}]})), "`items[1].sku` is missing");
    assert_eq!(said(items.clone(), json!({"items": [{}]})), "`items` has 1 items, but must have at least 2");
    assert_eq!(said(items.clone(), json!({"items": [{"sku": 1}, {"sku": 1.0}]})), "items 0 and 1 of `items` are the same, but must not be");
    assert_eq!(said(items, json!({"items": "none"})), "`items` is `none`, but must be a list");
    let some = |schema: Value| json!({"properties": {"a": schema}});
    assert_eq!(
        said(some(json!({"anyOf": [{"type": "string"}, {"minimum": 5}]})), json!({"a": 3})),
        "`a` is 3, but must satisfy one of the 2 schemas of `anyOf`"
    );
    assert_eq!(
        said(some(json!({"oneOf": [{"minimum": 1}, {"minimum": 2}]})), json!({"a": 3})),
        "`a` is 3, but must satisfy exactly one of the 2 schemas of `oneOf`, not 2"
    );
    assert_eq!(
        said(some(json!({"type": ["integer", "null"], "multipleOf": 0.1})), json!({"a": "x"})),
        "`a` is `x`, but must be null or a whole number"
    );
    assert_eq!(said(some(json!({"exclusiveMaximum": 3})), json!({"a": 3})), "`a` is 3, but must be below 3");
    assert_eq!(
        said(some(json!({"additionalProperties": false, "properties": {"b": true}})), json!({"a": {"c": 1}})),
        "`a.c` is not among what there may be"
    );
    assert_eq!(said(some(json!({"const": 1})), json!({"a": 1.0})), "");
}

#[test]
fn only_the_columns_that_a_schema_speaks_of_are_read() {
    let reads = |schema: Value, column: &str| Schema::compile(&schema).expect("it compiles").may_read(column);
    let either = json!({"anyOf": [{"required": ["a"]}, {"properties": {"b": {"minimum": 1}}}]});
    assert_eq!(["a", "b", "c"].map(|column| reads(either.clone(), column)), [true, true, false]);
    assert!(reads(json!({"minProperties": 2}), "c"));
    assert!(reads(json!({"not": {"patternProperties": {"^x": true}}}), "c"));
    assert!(reads(json!({"properties": {"a": true}, "additionalProperties": {"type": "string"}}), "c"));
}

/// Rows of every kind of column that is judged as a whole, nulls among them, and of some that are not.
fn every_kind() -> RecordBatch {
    let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None, Some("b@c.example"), Some("")]));
    let ints: ArrayRef = Arc::new(Int64Array::from(vec![None, Some(2), Some(-1), Some(7)]));
    let floats: ArrayRef = Arc::new(Float64Array::from(vec![Some(1.0), Some(2.5), None, Some(-3.0)]));
    let endless: ArrayRef = Arc::new(Float64Array::from(vec![1.0, f64::NAN, 2.5, 0.0]));
    let flags: ArrayRef = Arc::new(BooleanArray::from(vec![Some(true), None, Some(false), Some(true)]));
    let days: ArrayRef = Arc::new(Date32Array::from(vec![Some(19_737), None, Some(1), Some(2)]));
    let mut lists = ListBuilder::new(Int64Builder::new());
    [Some(vec![Some(1), None]), None, Some(vec![]), Some(vec![Some(7), Some(7), Some(2)])]
        .into_iter()
        .for_each(|list| lists.append_option(list));
    let field = |name: &str, column: &ArrayRef| Arc::new(Field::new(name, column.data_type().clone(), true));
    let members = vec![(field("a", &texts), texts.clone()), (field("b", &ints), ints.clone()), (field("ab", &floats), floats)];
    let (fields, columns): (Vec<_>, Vec<_>) = members.into_iter().unzip();
    let object = StructArray::new(fields.into(), columns, Some(vec![true, false, true, true].into()));
    let columns: [(&str, ArrayRef); 8] = [
        ("a", Arc::new(object)),
        ("b", ints),
        ("ab", Arc::new(lists.finish())),
        ("c", texts),
        ("f", endless),
        ("g", flags),
        ("h", days),
        ("n", Arc::new(NullArray::new(4))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true))).expect("four rows each")
}

#[test]
fn whole_columns_are_judged_as_their_values_are() {
    let rows = every_kind();
    let (rows, first) = (rows.slice(1, 3), rows.slice(0, 1));
    let mut held = 0;
    for schema in random::schemas(1_000) {
        let properties: Vec<&str> = ["a", "b", "ab", "c", "f", "g", "h", "n"].to_vec();
        for schema in
            properties.iter().map(|name| json!({"properties": {*name: schema.clone()}, "$defs": schema["$defs"]})).chain([schema.clone()])
        {
            let schema = Schema::compile(&schema).expect("it compiles");
            for rows in [&rows, &first] {
                let broken = schema.broken(rows);
                for row in 0..rows.num_rows() {
                    let value = json::row(rows, row);
                    assert_eq!(broken.value(row), !schema.holds(&value), "{schema:?}\n{value}", schema = schema.reads);
                    held += usize::from(!broken.value(row));
                }
            }
        }
    }
    assert!((10_000..40_000).contains(&held), "{held} of 54,000 hold: the pairs say little");
}
