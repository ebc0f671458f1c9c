//! Functions of the user's own: Python and JavaScript modules and Rust crates, from source to a run.

mod javascript;
mod project;
mod python;

use std::path::Path;
use std::process::Command;

use crate::support::{Answer, Pipeline};

/// Whether a tool is there; says how to get it where it is not.
#[expect(clippy::print_stdout, reason = "a test that is skipped says so")]
fn has(tool: &str, variable: &str, install: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let there = std::env::var_os(variable).is_some_and(|path| Path::new(&path).is_file())
        || std::env::split_paths(&path).any(|folder| folder.join(tool).is_file());
    if !there {
        println!("skipped: {tool} is not installed ({install})");
    }
    there
}

pub(crate) fn has_python() -> bool {
    has("componentize-py", "ETL_COMPONENTIZE_PY", "pip install componentize-py")
}

pub(crate) fn has_javascript() -> bool {
    has("componentize-js", "ETL_COMPONENTIZE_JS", "npm install @bytecodealliance/componentize-js")
}

/// A module that is built once and used by many pipelines: its source, its component and its lock.
struct Module {
    built: Pipeline,
    source: &'static str,
    name: &'static str,
}

impl Module {
    /// Builds it.
    fn build(source: &'static str, text: &str, function: &str) -> Self {
        let name = source.split('.').next().unwrap();
        let transform = format!("custom_function: {{module: {name}, function: {function}}}\n");
        let built = Pipeline::of(("in.csv", "a\n1\n"), &transform, "out.jsonl").with(source, text);
        let answer = built.answer(&["build"]);
        assert_eq!(answer.code, 0, "{answer:?}");
        Self { built, source, name }
    }

    /// A pipeline that uses one of its functions on numbers from 1 to `rows` in a column `a`.
    fn pipeline(&self, function: &str, more: &str, rows: usize) -> Pipeline {
        let input: String = std::iter::once("a\n".to_owned()).chain((1..=rows).map(|row| format!("{row}\n"))).collect();
        let transform = format!("custom_function:\n  module: {}\n  function: {function}\n{more}", self.name);
        let component = format!("components/{}.wasm", self.name);
        Pipeline::of(("in.csv", &input), &transform, "out.jsonl")
            .with(self.source, self.built.read(self.source))
            .with(&component, std::fs::read(self.built.path(&component)).unwrap())
            .with("etl-host.lock", self.built.read("etl-host.lock"))
    }
}

/// The rows that came out.
fn rows(pipeline: &Pipeline) -> Vec<serde_json::Value> {
    pipeline.read("out.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// For each dead letter its row, code and message.
fn letters(pipeline: &Pipeline) -> Vec<String> {
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    pipeline
        .letters()
        .iter()
        .map(|letter| format!("{} {}: {}", letter["metadata"]["row"], text(&letter["error_type"]), text(&letter["message"])))
        .collect()
}

/// What was said, with the exit code before it.
fn told(answer: &Answer) -> String {
    format!("{}\n{}", answer.code, answer.stderr)
}

/// Runs in a folder, with a target folder that all cargo builds of made projects share and nothing that cargo set for the tests.
pub(crate) fn clean<'a>(command: &'a mut Command, folder: &Path) -> &'a mut Command {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_") && !matches!(&*text, "CARGO_HOME" | "CARGO_BUILD_JOBS")
            || text.starts_with("RUST") && text != "RUSTUP_HOME"
        {
            command.env_remove(&name);
        }
    }
    command.current_dir(folder).env("CARGO_TARGET_DIR", crate::support::guests().join("new"))
}
