//! Every command block of README does what it says.

use std::fs;

use tempfile::TempDir;

use crate::custom::{clean, has_javascript, has_python};
use crate::support::{answer, program, root};

/// The lines of all `sh` blocks.
fn commands() -> Vec<String> {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let mut commands = Vec::new();
    let mut within = false;
    for line in readme.lines() {
        match line {
            "```sh" => within = true,
            "```" => within = false,
            line if within && !line.trim().is_empty() => commands.push(line.to_owned()),
            _ => {}
        }
    }
    commands
}

#[test]
fn every_command_of_the_readme_works_in_its_order() {
    let folder = TempDir::new().unwrap();
    let copied = std::process::Command::new("cp").arg("-r").arg(root().join("examples")).arg(folder.path()).status().unwrap();
    assert!(copied.success());
    let mut ran = 0;
    for line in commands() {
        // The tests are running already, and the program is built.
        let words: Vec<&str> = match line.strip_prefix("cargo run --release -- ").or_else(|| line.strip_prefix("etl-host ")) {
            Some(rest) => rest.split_whitespace().collect(),
            None if line == "cargo test --workspace" => continue,
            // `.ci/run` installs them; where they are missing the lines that need them are skipped.
            None if line.starts_with("pip install ") || line.starts_with("npm install ") => continue,
            None => {
                let done = std::process::Command::new("sh").current_dir(folder.path()).arg("-c").arg(&line).output().unwrap();
                assert!(done.status.success() && !done.stdout.is_empty(), "{line}: {done:?}");
                ran += 1;
                continue;
            }
        };
        if line.contains("euro-py") && !has_python() || line.contains("euro-js") && !has_javascript() {
            continue;
        }
        let done = answer(clean(&mut program(), folder.path()).args(words));
        assert_eq!(done.code, 0, "{line}: {done:?}");
        ran += 1;
    }
    assert!(ran >= 6, "only {ran} commands were found in README");
}
