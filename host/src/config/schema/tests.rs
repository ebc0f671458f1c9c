//! What editors are told is what the program takes.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{Kind, json_schema};

fn yaml_files(folder: &Path, deep: bool) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() && deep {
            found.extend(yaml_files(&path, deep));
        } else if path.extension().is_some_and(|ending| ending == "yaml") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn kind_of(path: &Path) -> Option<Kind> {
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    Kind::ALL.into_iter().find(|kind| name.starts_with(kind.name()))
}

/// What the schema of its kind says against a text; nothing where it takes it.
fn wrong(kind: Kind, text: &str) -> Vec<String> {
    let schema = jsonschema::draft202012::new(&json_schema(kind)).unwrap();
    // Of a file of several documents the first counts.
    let text = text.split("\n---").next().unwrap_or(text);
    let value: Value = serde_yaml::from_str(text).unwrap();
    schema.iter_errors(&value).map(|error| error.to_string()).collect()
}

#[test]
fn every_schema_is_one() {
    for kind in Kind::ALL {
        if let Err(error) = jsonschema::draft202012::meta::validate(&json_schema(kind)) {
            panic!("{}: {error} at {}", kind.name(), error.instance_path());
        }
    }
}

#[test]
fn every_file_that_is_right_is_right_by_its_schema() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let beside = root.join("../shared/compat");
    let compat = std::env::var_os("ETL_COMPAT_DIR").map_or(beside, PathBuf::from);
    let mut files = yaml_files(&root.join("examples"), true);
    assert!(files.len() >= 20, "only {} files", files.len());
    for folder in ["templates-0.0.25", "templates-0.0.35"].map(|name| compat.join(name)).into_iter().filter(|path| path.is_dir()) {
        files.extend(yaml_files(&folder, false));
    }
    let mut all = Vec::new();
    for (path, kind) in files.iter().filter_map(|path| Some((path, kind_of(path)?))) {
        let wrong = wrong(kind, &fs::read_to_string(path).unwrap());
        if !wrong.is_empty() {
            all.push(format!("{}: {}", path.display(), wrong.join("; ")));
        }
    }
    assert!(all.is_empty(), "{}", all.join("\n"));
}

#[test]
fn what_people_write_in_other_ways_is_right_too() {
    for (kind, text) in [
        (Kind::Load, "path: out.jsonl\nvalidation: {contract: ./contracts/orders, on_error: quarantine, dlq: true}\n"),
        (Kind::Load, "path: out.jsonl\nvalidation: {rules: {id: {max: 2}}}\n"),
        (Kind::Load, "path: out.jsonl\nformat: ${FORMAT}\nmax_rows_per_file: ${ROWS}\n"),
        (Kind::Extract, "path: in.csv\ncsv_options: {delimiter: '\\t'}\n"),
        (Kind::Extract, "path: in.csv\ncsv_options: {delimiter: '${DELIMITER:-;}', quotechar: \"'\"}\n"),
        (Kind::Transform, "validate: {unique: [p], on_error: quarantine}\n"),
        (Kind::Transform, "transform: [{unnest: {field: items}}, {flatten: {fields: [items]}}]\n"),
    ] {
        assert_eq!(wrong(kind, text), Vec::<String>::new(), "{text}");
    }
    for (kind, text) in [(Kind::Extract, "path: in.csv\nbatchsize: 5\n"), (Kind::Load, "path: out.csv\nwrite_mode: upsert\n")] {
        assert_ne!(wrong(kind, text), Vec::<String>::new(), "{text}");
    }
}
