//! A pipeline in a folder of its own, and the program run on it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use tempfile::TempDir;

use crate::servers::kept;

/// Components compiled in one test serve all: compiling is the slow part.
static CACHE: LazyLock<TempDir> = LazyLock::new(|| kept("cache"));

/// Records of runs go here, in place of the user's own; a test that looks at them gives a folder of its own.
static STATE: LazyLock<TempDir> = LazyLock::new(|| kept("state"));

/// The folder with the workspace.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The program, with a cache of its own and nothing of the user's environment that it would read.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_etl-host"));
    command
        .env("ETL_HOST_CACHE", CACHE.path())
        .env("ETL_HOST_STATE_DIR", STATE.path())
        .env_remove("ETL_HOST_LOG")
        .env_remove("COLUMNS")
        .env_remove("ETL_HOST_CHECKPOINT_DIR")
        .env("NO_COLOR", "1")
        .stdin(Stdio::null());
    command
}

/// What a program answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs to the end.
pub(crate) fn answer(command: &mut Command) -> Answer {
    let output = command.output().unwrap();
    Answer {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A contract directory in a temporary folder.
pub(crate) struct Pipeline {
    folder: TempDir,
}

impl Pipeline {
    /// An empty one.
    pub(crate) fn new() -> Self {
        Self { folder: TempDir::with_prefix("pipeline").unwrap() }
    }

    /// One that reads `input`, a file name with its content, and writes `output`, with a transform.
    pub(crate) fn of(input: (&str, &str), transform: &str, output: &str) -> Self {
        Self::new()
            .with(input.0, input.1)
            .with("extract.yaml", format!("type: file\npath: {}\n", input.0))
            .with("transform.yaml", transform)
            .with("load.yaml", format!("type: file\npath: {output}\n"))
    }

    /// Adds a file.
    pub(crate) fn with(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self
    }

    /// A file's path.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A file's text.
    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Runs a command of the program in the folder, on it.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program();
        command.current_dir(self.folder.path()).arg(arguments[0]).arg(".").args(&arguments[1..]);
        command
    }

    /// As `command`, to the end.
    pub(crate) fn answer(&self, arguments: &[&str]) -> Answer {
        answer(&mut self.command(arguments))
    }

    /// Runs it and answers the result as JSON; fails the test unless it ends with `code`.
    pub(crate) fn run(&self, code: i32) -> serde_json::Value {
        let answer = self.answer(&["run", "--json"]);
        assert_eq!(answer.code, code, "{answer:?}");
        serde_json::from_str(&answer.stdout).unwrap_or(serde_json::Value::Null)
    }

    /// Names of everything in the folder, hidden files too, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        walk(self.folder.path(), self.folder.path(), &mut names);
        names.sort();
        names
    }

    /// Dead letters of the run, as JSON.
    pub(crate) fn letters(&self) -> Vec<serde_json::Value> {
        let folder = self.path("dlq");
        let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
        let mut letters = Vec::new();
        for entry in entries {
            let text = fs::read_to_string(entry.unwrap().path()).unwrap();
            letters.extend(text.lines().map(|line| serde_json::from_str(line).unwrap()));
        }
        letters
    }
}

fn walk(root: &Path, folder: &Path, names: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(root, &path, names);
        } else {
            names.push(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
        }
    }
}

/// The folder that guests are built into.
pub(crate) fn guests() -> &'static Path {
    Path::new(env!("ETL_OPS_WASM")).ancestors().nth(3).unwrap()
}

/// Builds components in a folder.
pub(crate) fn build(folder: &Path, arguments: &[&str]) {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(folder).args(["build", "--quiet", "--locked", "--target", "wasm32-wasip2"]).args(arguments);
    // What cargo set for the tests must not leak into the guests.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_") && !matches!(&*text, "CARGO_HOME" | "CARGO_BUILD_JOBS")
            || text == "RUSTFLAGS"
            || text == "RUSTC_WORKSPACE_WRAPPER"
        {
            cargo.env_remove(&name);
        }
    }
    let status = cargo.env("CARGO_ENCODED_RUSTFLAGS", "-C\u{1f}target-feature=+simd128").status().unwrap();
    assert!(status.success(), "building {} failed", folder.display());
}

/// A component of `guests/evil`, all of which are built once a test run.
pub(crate) fn evil(component: &str) -> PathBuf {
    static BUILT: LazyLock<PathBuf> = LazyLock::new(|| {
        let target = guests().to_str().unwrap();
        build(&root(), &["--profile", "guest", "--package", "etl-evil", "--lib", "--examples", "--target-dir", target]);
        guests().join("wasm32-wasip2/guest")
    });
    match component {
        "etl_evil" => BUILT.join("etl_evil.wasm"),
        example => BUILT.join("examples").join(format!("{example}.wasm")),
    }
}

/// A text with the patch of WASI 0.2 left out, which depends on what a guest was built with.
pub(crate) fn any_patch(text: &str) -> String {
    let mut parts = text.split("@0.2.");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + "@0.2.x" + part.trim_start_matches(|c: char| c.is_ascii_digit()))
}
