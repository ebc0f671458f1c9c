//! Templates that people copy their pipelines from, run as they stand against servers on loopback.
//!
//! What a template leaves to variables, parameters and the environment is given so. Where it names a machine in its text, as
//! `https://api.example.com`, that name is rewritten and nothing else.

mod databases;
mod functions;
mod http;
mod storages;

use std::path::PathBuf;

use serde_json::Value;

use crate::support::{Answer, Pipeline, answer, root};

/// The templates of one release.
struct Release(PathBuf);

/// All releases; none where the machine has no templates.
fn releases() -> Vec<Release> {
    let beside = root().join("../shared/compat");
    let folder = std::env::var_os("ETL_COMPAT_DIR").map_or(beside, PathBuf::from);
    let found: Vec<PathBuf> =
        ["templates-0.0.25", "templates-0.0.35"].into_iter().map(|name| folder.join(name)).filter(|path| path.is_dir()).collect();
    #[expect(clippy::print_stdout, reason = "a test that does nothing says so")]
    if found.is_empty() {
        println!("skipped: no templates in {} (set ETL_COMPAT_DIR)", folder.display());
    }
    found.into_iter().map(Release).collect()
}

impl Release {
    /// The text of a template.
    fn text(&self, name: &str) -> String {
        let path = self.0.join(name);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Whether the release has it.
    fn has(&self, name: &str) -> bool {
        self.0.join(name).is_file()
    }

    /// A template that extracts, with a load that shows what came.
    fn extract(&self, name: &str) -> Pipeline {
        Pipeline::new().with("extract.yaml", self.text(name)).with("load.yaml", "path: out.jsonl\n")
    }

    /// A template that loads, with rows that it gets.
    fn load(&self, name: &str, rows: &str) -> Pipeline {
        Pipeline::new().with("rows.csv", rows).with("extract.yaml", "path: rows.csv\n").with("load.yaml", self.text(name))
    }
}

/// Puts a machine of ours in the place of one that a file names.
fn rewritten(pipeline: Pipeline, file: &str, names: &[(&str, &str)]) -> Pipeline {
    let text = names.iter().fold(pipeline.read(file), |text, (theirs, ours)| {
        assert!(text.contains(theirs), "{file} does not name {theirs}");
        text.replace(theirs, ours)
    });
    pipeline.with(file, text)
}

/// Runs it with variables to an end of a code; answers the report.
fn run(pipeline: &Pipeline, variables: &[(&str, &str)], arguments: &[&str], code: i32) -> Value {
    let mut command = pipeline.command(&[&["run", "--json", "--allow-private-network", "127.0.0.1"], arguments].concat());
    let done: Answer = answer(command.envs(variables.iter().copied()));
    assert_eq!(done.code, code, "{done:?}");
    serde_json::from_str(&done.stdout).unwrap()
}

/// What was written to `out.jsonl`.
fn came(pipeline: &Pipeline) -> Vec<Value> {
    pipeline.read("out.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
