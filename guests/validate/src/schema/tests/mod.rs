//! JSON Schema against the official suite, and against the crate `jsonschema` on random schemas.

mod random;

use serde_json::{Value, json};

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
