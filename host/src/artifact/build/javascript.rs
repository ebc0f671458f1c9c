//! Makes a component of a JavaScript module, with componentize-js.

use std::path::{Component as Part, Path, PathBuf};
use std::process::Command;

use super::find::{self, Found};
use super::tool::{self, Tool};
use super::{Made, WIT, glue_of};
use crate::error::{Context, Error, Result};

const APP: &str = include_str!("glue/etl_host_app.js");

const TOOL: Tool = Tool {
    name: "componentize-js",
    variable: "ETL_COMPONENTIZE_JS",
    install: "`npm install @bytecodealliance/componentize-js` (with node, https://nodejs.org)",
    beside: &["node_modules/.bin"],
};

/// Files that one module may import.
const MAX_FILES: usize = 1000;

/// Names the glue.
pub(super) fn glue() -> String {
    glue_of(&[APP, WIT])
}

/// Compiles a module with the files that it imports. Its module-level code runs now, and what it leaves in memory is in the component.
pub(super) fn compile(root: &Path, found: &Found, module: &str) -> Result<Made> {
    let program = TOOL.find(root)?;
    let version = TOOL.version(&program)?;
    let stage = tempfile::Builder::new().prefix("etl-host-build-").tempdir().outside(|| "making a temporary folder".into())?;
    let writing = || "writing in a temporary folder".to_owned();
    let mut sources = Vec::new();
    let main = plain(found.path.strip_prefix(&found.folder).unwrap_or(&found.path)).unwrap_or_default();
    let mut left = vec![main.clone()];
    while let Some(file) = left.pop() {
        let path = found.folder.join(&file);
        if sources.contains(&path) {
            continue;
        }
        let bytes = find::read(&path)?;
        let copy = stage.path().join(&file);
        std::fs::create_dir_all(copy.parent().unwrap_or(stage.path())).outside(writing)?;
        std::fs::write(&copy, &bytes).outside(writing)?;
        for named in relative_names(&String::from_utf8_lossy(&bytes)) {
            let beside = file.parent().unwrap_or(Path::new("")).join(&named);
            match plain(&beside) {
                Some(imported) if found.folder.join(&imported).is_file() => left.push(imported),
                Some(_) => {}
                None if found.folder.join(&beside).is_file() => {
                    return Err(Error::config(format!(
                        "`{}` imports `{named}`, which is outside `{}`",
                        path.display(),
                        found.folder.display()
                    ))
                    .hint("move it into the contract directory"));
                }
                None => {}
            }
        }
        sources.push(path);
        if sources.len() > MAX_FILES {
            return Err(Error::config(format!("the JavaScript module `{module}` imports more than {MAX_FILES} files")));
        }
    }
    let app = APP.replace("@MODULE@", &main.to_string_lossy()).replace("@NAME@", module);
    for (name, text) in [("etl_host_app.js", app.as_str()), ("wit/transform.wit", WIT)] {
        let path = stage.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap_or(stage.path())).outside(writing)?;
        std::fs::write(path, text).outside(writing)?;
    }
    let mut command = Command::new(&program);
    command.current_dir(stage.path()).args(["etl_host_app.js", "-w", "wit", "-n", "transform-records", "-o", "component.wasm"]);
    // What no transform is granted is not even imported.
    command.args(["-d", "http", "fetch-event"]);
    let said = tool::run(&mut command, TOOL.name)?;
    let output = stage.path().join("component.wasm");
    if !said.done || !output.is_file() {
        let words = engine_words(&tool::words(&said));
        let error = Error::config(format!("`{}` makes no component of `{module}`", TOOL.name));
        let error = if words.contains("Error loading module") {
            error.hint("files are imported by `./path.js`; a package of npm is bundled into one file first, as `npx esbuild --bundle --format=esm` does")
        } else {
            error
        };
        return Err(error.because(anyhow::Error::msg(words)));
    }
    let wasm = std::fs::read(&output).outside(|| format!("reading what `{}` wrote", TOOL.name))?;
    Ok(Made { wasm, sources, tool: version })
}

/// A path without `.` and `..`; `None` where it leads out of its folder.
fn plain(path: &Path) -> Option<PathBuf> {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Part::Normal(name) => plain.push(name),
            Part::CurDir => {}
            Part::ParentDir if plain.pop() => {}
            _ => return None,
        }
    }
    Some(plain)
}

/// Every quoted text that starts as a relative import does. Some may be no imports; a file that is copied for nothing does no harm.
fn relative_names(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    for quote in ['"', '\''] {
        for (at, _) in text.match_indices(&format!("{quote}.")) {
            let rest = &text[at + 1..];
            let name = &rest[..rest.find([quote, '\n']).unwrap_or(0)];
            if name.starts_with("./") || name.starts_with("../") {
                names.push(name.to_owned());
            }
        }
    }
    names
}

/// What the engine says of the user's module, without what node says of the tool.
fn engine_words(words: &str) -> String {
    let inner = words.split_once("Exception while evaluating top-level script\n").map_or(words, |(_, inner)| inner);
    inner
        .lines()
        .take_while(|line| !line.trim_start().starts_with("at ") && !line.starts_with("Additionally"))
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{engine_words, plain, relative_names};

    #[test]
    fn imports_are_followed_and_stay_in_their_folder() {
        let text = "import { a } from './a.js';\nimport b from \"../b/c.mjs\";\nconst c = '.';\nawait import('./d.js')";
        assert_eq!(relative_names(text), ["../b/c.mjs", "./a.js", "./d.js"]);
        assert_eq!(plain(Path::new("lib/./../x.js")).as_deref(), Some(Path::new("x.js")));
        assert_eq!(plain(Path::new("lib/../../x.js")), None);
    }

    #[test]
    fn the_engines_words_are_shown_and_nodes_are_not() {
        let words = "Error: Failed\nException while evaluating top-level script\nx.js:1:11 ReferenceError: z is not defined\n    at componentize (file)";
        assert_eq!(engine_words(words), "x.js:1:11 ReferenceError: z is not defined");
    }
}
