//! Rows in tables of real databases.

mod postgres;

use crate::support::Pipeline;

/// A pipeline that loads a CSV file into a table.
fn pipeline(csv: &str, url: &str, load: &str) -> Pipeline {
    Pipeline::new().with("in.csv", csv).with("extract.yaml", "path: in.csv\n").with(
        "load.yaml",
        format!("type: database\ntable: orders\nconnection_string: {url}\n{load}"),
    )
}

/// For each dead letter: the row of the input, the code and the message.
fn refused(pipeline: &Pipeline) -> Vec<(u64, String, String)> {
    let mut letters: Vec<(u64, String, String)> = pipeline
        .letters()
        .iter()
        .map(|letter| {
            let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
            (letter["metadata"]["row"].as_u64().unwrap(), text(&letter["error_type"]), text(&letter["message"]))
        })
        .collect();
    letters.sort();
    letters
}
