//! HTTP interfaces as a source: against a server on loopback that answers well or ill.

mod ahead;
pub(crate) mod api;
mod auth;
mod failures;
mod files;
mod formats;
mod keys;
mod pages;
mod params;
mod resume;
mod secrets;

use serde_json::{Value, json};

use self::api::Api;
use crate::support::{Answer, Pipeline};

/// A pipeline that writes what a server gives; `extract` is the rest of `extract.yaml`.
fn pipeline(extract: &str) -> Pipeline {
    Pipeline::new().with("extract.yaml", format!("type: http\n{extract}")).with("load.yaml", "type: file\npath: out.jsonl\n")
}

/// Runs it, the server opened by the operator; answers what was said, too.
fn run(api: &Api, pipeline: &Pipeline, arguments: &[&str]) -> Answer {
    let host = api.address.to_string();
    let mut all = vec!["run", "--quiet", "--allow-private-network", &host];
    all.extend(arguments);
    pipeline.answer(&all)
}

/// Runs it to a good end and answers the ids that came.
fn ids(api: &Api, pipeline: &Pipeline, arguments: &[&str]) -> Vec<u64> {
    let answer = run(api, pipeline, arguments);
    assert_eq!((answer.code, answer.stderr.as_str()), (0, ""));
    came(pipeline)
}

fn came(pipeline: &Pipeline) -> Vec<u64> {
    pipeline.read("out.jsonl").lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].as_u64().unwrap()).collect()
}

/// Records by their numbers.
fn records(numbers: impl IntoIterator<Item = usize>) -> Vec<Value> {
    numbers.into_iter().map(|id| json!({ "id": id, "name": format!("n{id}"), "price": id as f64 / 4.0 })).collect()
}

/// Of so many records those of a page.
fn page(all: usize, start: usize, size: usize) -> Vec<Value> {
    records(start.min(all)..(start + size).min(all))
}
