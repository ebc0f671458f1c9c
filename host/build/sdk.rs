//! Writes the SDK out as a crate of its own, which `etl-host new transform --lang rust` puts into a project: it is on no registry.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// Embeds the SDK as `SDK`, a list of paths and texts, and the workspace's lock as `CARGO_LOCK`.
pub(crate) fn embed(root: &Path) {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo names a folder for us"));
    let workspace = read(&root.join("Cargo.toml"));
    let manifest = standalone(&read(&root.join("guests/sdk/Cargo.toml")), &workspace);
    let mut files = vec![("Cargo.toml".to_owned(), manifest), ("wit/transform.wit".to_owned(), read(&root.join("wit/transform.wit")))];
    let source = root.join("guests/sdk/src");
    walk(&source, &mut |path| {
        let name = path.strip_prefix(&source).expect("it was found below").to_str().expect("our own names are UTF-8");
        files.push((format!("src/{name}"), read(path).replace("\"../../wit\"", "\"wit\"")));
    });
    files.sort();
    let mut code = String::from("/// The SDK as a crate of its own.\npub(super) const SDK: &[(&str, &str)] = &[\n");
    for (name, text) in files {
        writeln!(code, "    ({name:?}, {text:?}),").expect("writing to a string does not fail");
    }
    let lock = read(&root.join("Cargo.lock"));
    write!(code, "];\n\n/// What the workspace is locked to.\npub(super) const CARGO_LOCK: &str = {lock:?};\n")
        .expect("writing to a string does not fail");
    fs::write(out.join("sdk.rs"), code).expect("our own folder can be written");
}

/// A manifest without what it has from the workspace, which is written out instead.
fn standalone(manifest: &str, workspace: &str) -> String {
    let mut text = String::new();
    let mut section = "";
    for line in manifest.lines() {
        if line.starts_with('[') {
            section = line;
        }
        // The examples stay here, and lints are the workspace's.
        if matches!(section, "[lints]" | "[[example]]") {
            continue;
        }
        let dependency = || section.ends_with("dependencies]");
        let written = match line.split_once('=').map(|(name, value)| (name.trim(), value.trim())) {
            Some((name, "true")) if name.ends_with(".workspace") => {
                let name = name.trim_end_matches(".workspace");
                let table = if dependency() { "[workspace.dependencies]" } else { "[workspace.package]" };
                format!("{name} = {}", value(workspace, table, name))
            }
            Some((name, more)) if more.contains("workspace = true") => {
                format!("{name} = {}", with_features(&value(workspace, "[workspace.dependencies]", name), list(more)))
            }
            _ => line.to_owned(),
        };
        text.push_str(&written);
        text.push('\n');
    }
    text.push_str("\n[lints.rust]\nmissing_docs = \"warn\"\nunreachable_pub = \"warn\"\n");
    text
}

/// The value of a key in a table of the workspace's manifest.
fn value(workspace: &str, table: &str, name: &str) -> String {
    let body = workspace.split_once(table).unwrap_or_else(|| panic!("the workspace has no {table}")).1;
    let body = body.split("\n[").next().expect("a split has a first part");
    body.lines()
        .filter_map(|line| line.split_once('='))
        .find(|(key, _)| key.trim() == name)
        .unwrap_or_else(|| panic!("{table} has no {name}"))
        .1
        .trim()
        .to_owned()
}

/// A dependency with more features.
fn with_features(dependency: &str, features: &str) -> String {
    let own = list(dependency);
    let features = if own.is_empty() { features.to_owned() } else { format!("{own}, {features}") };
    let version = dependency.split('"').find(|part| part.starts_with(|c: char| c.is_ascii_digit())).expect("a dependency has a version");
    let default = if dependency.contains("default-features = false") { ", default-features = false" } else { "" };
    format!("{{ version = \"{version}\"{default}, features = [{features}] }}")
}

/// What stands between `features = [` and `]`.
fn list(dependency: &str) -> &str {
    dependency.split_once("features = [").map_or("", |(_, rest)| rest.split(']').next().unwrap_or(""))
}

fn walk(folder: &Path, file: &mut dyn FnMut(&Path)) {
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{} does not open: {error}", folder.display())) {
        let path = entry.expect("a folder that opened can be read").path();
        if path.is_dir() { walk(&path, file) } else { file(&path) }
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{} does not read: {error}", path.display()))
}
