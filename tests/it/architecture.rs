//! The layers of `lib.rs` hold: a module uses those above it, never those below or beside it; heavy crates stay in their one place.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Heavy crates, and the only places that may name them.
const HEAVY: [(&str, &[&str]); 14] = [
    ("wasmtime", &["sandbox/"]),
    ("wasmtime_wasi", &["sandbox/"]),
    ("wasmtime_wasi_http", &["sandbox/http/", "sandbox/state.rs"]),
    ("reqwest", &["network/", "sandbox/http/", "artifact/registry/", "source/http", "remote/store/guarded"]),
    ("rustls", &["network/", "sandbox/http/", "artifact/registry/"]),
    ("sqlx", &["remote/", "source/database", "sink/database", "state/"]),
    ("odbc_api", &["remote/odbc/", "source/database/odbc.rs", "sink/database/odbc/"]),
    ("rusqlite", &["sink/database/sqlite.rs"]),
    ("object_store", &["remote/"]),
    ("russh", &["remote/"]),
    ("clap", &["cli/"]),
    ("calamine", &["source/"]),
    ("jsonschema", &["config/"]),
    ("jsonschema_regex", &["config/"]),
];

fn source_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The paragraphs of `pub mod` in `lib.rs`, as the number of each module's layer.
fn layers(lib: &str) -> BTreeMap<String, usize> {
    let mut layers = BTreeMap::new();
    for (layer, paragraph) in lib.split("\n\n").enumerate() {
        for line in paragraph.lines() {
            if let Some(module) = line.trim().strip_prefix("pub mod ").or_else(|| line.trim().strip_prefix("mod ")) {
                layers.insert(module.trim_end_matches(';').to_owned(), layer);
            }
        }
    }
    layers
}

/// What a file breaks, as sentences.
fn breaches(file: &str, text: &str, layers: &BTreeMap<String, usize>) -> Vec<String> {
    let module = file.split(['/', '.']).next().expect("a path has a first part").to_owned();
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        let number = number + 1;
        for rest in code.match_indices("crate::").map(|(at, name)| &code[at + name.len()..]) {
            let names = match rest.strip_prefix('{') {
                Some(list) => list.split(',').map(first_word).collect(),
                None => vec![first_word(rest)],
            };
            for used in names {
                let (Some(own), Some(other)) = (layers.get(&module), layers.get(used)) else { continue };
                if used != module && other >= own {
                    found.push(format!("{file}:{number}: `{module}` uses `{used}`, which is not above it in lib.rs"));
                }
            }
        }
        for (name, places) in HEAVY {
            let named = code.match_indices(name).any(|(at, _)| {
                let before = code[..at].chars().next_back().is_none_or(|c| !c.is_alphanumeric() && c != '_');
                let after = code[at + name.len()..].starts_with("::") || code[at + name.len()..].starts_with(';');
                before && after
            });
            if named && !places.iter().any(|place| file.starts_with(place)) {
                found.push(format!("{file}:{number}: `{name}` belongs to {} only", places.join(", ")));
            }
        }
    }
    found
}

fn first_word(text: &str) -> &str {
    let text = text.trim_start();
    &text[..text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len())]
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The files that ship, each with its text up to its tests.
fn shipped() -> Vec<(String, String)> {
    let root = source_root();
    let mut files = Vec::new();
    rust_files(&root, &mut files);
    let texts: Vec<(PathBuf, String)> = files.into_iter().map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect();
    let tests: Vec<PathBuf> = texts
        .iter()
        .filter(|(path, _)| path.ends_with("mod.rs"))
        .flat_map(|(path, text)| test_modules(text).map(move |name| path.with_file_name(format!("{name}.rs"))))
        .collect();
    // A module of tests may have a folder of its own.
    let is_test = |path: &Path| tests.iter().any(|test| path == test || path.starts_with(test.with_extension("")));
    let kept = texts.into_iter().filter(|(path, _)| !is_test(path));
    kept.map(|(path, text)| {
        let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        (path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned(), text.to_owned())
    })
    .collect()
}

/// Names of the modules that are compiled for tests only and have a file of their own.
fn test_modules(text: &str) -> impl Iterator<Item = &str> {
    text.split("#[cfg(test)]\nmod ").skip(1).filter_map(|rest| rest.split_once(';').map(|(name, _)| name))
}

#[test]
fn every_use_goes_up() {
    let layers = layers(&fs::read_to_string(source_root().join("lib.rs")).unwrap());
    assert!(layers.len() >= 9, "the layers of lib.rs were not found: {layers:?}");
    let files = shipped().into_iter().filter(|(file, _)| file != "lib.rs" && file != "main.rs");
    let found: Vec<String> = files.flat_map(|(file, text)| breaches(&file, &text, &layers)).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn a_use_that_goes_down_or_sideways_and_a_heavy_crate_elsewhere_are_found() {
    let layers = layers("pub mod error;\n\npub mod sink;\npub mod source;\n\npub mod run;\n");
    let text = "use crate::source::Source;\nuse crate::{error::Error, run::run};\nlet engine = wasmtime::Engine::default();\n// crate::run is fine here\n";
    assert_eq!(
        breaches("sink/file.rs", text, &layers),
        [
            "sink/file.rs:1: `sink` uses `source`, which is not above it in lib.rs",
            "sink/file.rs:2: `sink` uses `run`, which is not above it in lib.rs",
            "sink/file.rs:3: `wasmtime` belongs to sandbox/ only",
        ]
    );
}

#[test]
fn only_the_terminal_prints() {
    for (file, text) in shipped() {
        let prints = ["println!", "eprintln!", "print!(", "eprint!(", "io::stdout()", "io::stderr()"];
        let found = prints.iter().find(|print| text.lines().any(|line| !line.trim_start().starts_with("//") && line.contains(**print)));
        assert!(found.is_none() || file == "cli/terminal.rs", "{file} prints with `{}`", found.unwrap());
    }
}
