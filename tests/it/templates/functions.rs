//! `transform_custom_function`, with the function that stands in its comment.

use serde_json::json;

use super::{came, releases};
use crate::custom::has_python;
use crate::support::Pipeline;

/// The module in a template's comment.
fn module(template: &str) -> String {
    let (_, example) = template.split_once("# # mypackage/transforms.py\n").expect("the template shows a function");
    example.lines().map(|line| format!("{}\n", line.strip_prefix("# ").unwrap_or(line.trim_start_matches('#')))).collect()
}

#[test]
fn the_function_that_a_template_shows_is_built_and_called() {
    if !has_python() {
        return;
    }
    let Some(release) = releases().pop() else { return };
    let template = release.text("transform_custom_function.yaml");
    let rows = r#"{"id":1,"userId":"u1","first":"Ada","last":"Lovelace"}
{"id":0,"userId":"u2","first":"No","last":"Key"}
{"id":3,"userId":"u3","first":"Alan","last":"","region":"GB"}
"#;
    let pipeline = Pipeline::of(("rows.jsonl", rows), &template, "out.jsonl").with("mypackage/transforms.py", module(&template));
    let built = pipeline.answer(&["build"]);
    assert_eq!(built.code, 0, "{built:?}");
    pipeline.run(0);
    assert_eq!(
        came(&pipeline),
        [
            json!({"id": 1, "user_id": "u1", "first": "Ada", "last": "Lovelace", "region": "US", "full_name": "Ada Lovelace"}),
            json!({"id": 3, "user_id": "u3", "first": "Alan", "last": "", "region": "GB", "full_name": "Alan"}),
        ]
    );
}
