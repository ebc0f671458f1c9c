//! Makes a component of a Python module, with componentize-py.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;
use serde_json::json;

use super::find::{self, Found};
use super::links;
use super::tool::{self, Tool};
use super::{Made, WIT, glue_of};
use crate::error::{Context, Error, Place, Result};

const APP: &str = include_str!("glue/etl_host_app.py");
const ROWS: &str = include_str!("glue/etl_host_rows.py");
const STAGE: &str = include_str!("glue/etl_host_stage.py");

const TOOL: Tool = Tool {
    name: "componentize-py",
    variable: "ETL_COMPONENTIZE_PY",
    install: "`pip install componentize-py`",
    beside: &[".venv/bin", "venv/bin"],
};

/// What the glue notes of the module it imported.
#[derive(Deserialize)]
struct Manifest {
    /// Files of the user's that were read, by the names that they have inside.
    files: Vec<String>,
    error: Option<ImportError>,
}

#[derive(Deserialize)]
struct ImportError {
    message: String,
    file: Option<String>,
    line: usize,
}

/// Names the glue.
pub(super) fn glue() -> String {
    glue_of(&[APP, ROWS, STAGE, WIT])
}

/// Compiles a module with all that it imports. Its module-level code runs now, and what it leaves in memory is in the component.
pub(super) fn compile(root: &Path, found: &Found, module: &str, functions: &[(String, Place)], search: &[PathBuf]) -> Result<Made> {
    let program = TOOL.find(root)?;
    let version = TOOL.version(&program)?;
    let stage = tempfile::Builder::new().prefix("etl-host-build-").tempdir().outside(|| "making a temporary folder".into())?;
    let here = stage.path().join("0");
    let target = json!({ "module": module, "functions": functions.iter().map(|(name, _)| name).collect::<Vec<_>>() }).to_string();
    std::fs::create_dir(&here).outside(|| "writing in a temporary folder".into())?;
    for (name, text) in [
        ("0/etl_host_app.py", APP),
        ("0/etl_host_rows.py", ROWS),
        ("0/etl_host_stage.py", STAGE),
        ("0/etl_host_target.json", &target),
        ("transform.wit", WIT),
    ] {
        std::fs::write(stage.path().join(name), text).outside(|| "writing in a temporary folder".into())?;
    }
    let output = stage.path().join("component.wasm");
    // The folder in which the module was found comes first, so that it is that one which is imported.
    let mut folders = vec![found.folder.clone()];
    folders.extend(find::folders(root, search).into_iter().filter(|folder| *folder != found.folder));
    let mut command = Command::new(&program);
    command.current_dir(stage.path()).args(["-d", "transform.wit", "-w", "transform-records"]);
    command.args(["--export-interface-name", "etl:transform/record-stage@1.0.0=etl_host_stage"]);
    command.args(["componentize", "etl_host_app", "-o"]).arg(&output).arg("-p").arg(&here);
    // What links lead out of a folder to is not seen by Python in its sandbox: copies of it come before the folder.
    let mut seen: Vec<PathBuf> = Vec::new();
    for (number, folder) in folders.iter().enumerate() {
        let copies = stage.path().join(format!("links-{number}"));
        if links::copy(folder, &found.path, &copies)? {
            command.arg("-p").arg(copies);
            seen.push(folder.clone());
        }
        command.arg("-p").arg(find::absolute(folder));
        seen.push(folder.clone());
    }
    let said = tool::run(&mut command, TOOL.name)?;
    let manifest = std::fs::read(here.join("manifest.json")).ok().and_then(|bytes| serde_json::from_slice::<Manifest>(&bytes).ok());
    let Some(Manifest { files, error }) = manifest else {
        return Err(
            Error::config(format!("`{}` makes no component of `{module}`", TOOL.name)).because(anyhow::Error::msg(tool::words(&said)))
        );
    };
    // `/1/pkg/mod.py` is in the first of the folders.
    let outside = |inside: &str| {
        let (number, path) = inside.strip_prefix('/')?.split_once('/')?;
        Some(seen.get(number.parse::<usize>().ok()?.checked_sub(1)?)?.join(path))
    };
    if let Some(ImportError { message, file, line }) = error {
        return Err(does_not_import(module, &message, file.as_deref().and_then(outside), line));
    }
    if !said.done {
        return Err(
            Error::config(format!("`{}` makes no component of `{module}`", TOOL.name)).because(anyhow::Error::msg(tool::words(&said)))
        );
    }
    let sources: Vec<PathBuf> = files.iter().filter_map(|file| outside(file)).filter(|path| path.is_file()).collect();
    if !sources.contains(&found.path) {
        return Err(Error::config(format!("Python has a module `{module}` of its own, which hides `{}`", found.path.display()))
            .hint("give the module another name"));
    }
    let wasm = std::fs::read(&output).outside(|| format!("reading what `{}` wrote", TOOL.name))?;
    Ok(Made { wasm, sources, tool: version })
}

fn does_not_import(module: &str, message: &str, file: Option<PathBuf>, line: usize) -> Error {
    let error = Error::config(format!("the Python module `{module}` does not import: {message}"));
    let error = match file {
        Some(file) => error.at(Place { file: file.display().to_string(), line, column: 0, key: String::new() }),
        None => error,
    };
    if message.starts_with("ModuleNotFoundError") || message.starts_with("ImportError") {
        return error.hint(
            "a package in pure Python must be beside componentize-py (`pip install`), or in a folder named with `--path`; \
             one with native code, such as numpy, cannot be in a component",
        );
    }
    error
}
