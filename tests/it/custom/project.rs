//! Projects that `new transform` starts: their own tests, build, run.

use std::process::Command;

use tempfile::TempDir;

use super::{clean, has_javascript, has_python};
use crate::support::{answer, program};

/// Starts a project, runs its unit test, builds it and runs it.
fn walk(language: &str, unit_test: &[&str]) {
    let folder = TempDir::new().unwrap();
    let made = answer(program().current_dir(folder.path()).args(["new", "transform", "to-euro", "--lang", language]));
    assert_eq!(made.code, 0, "{made:?}");
    let again = answer(program().current_dir(folder.path()).args(["new", "transform", "to-euro", "--lang", language]));
    assert_eq!((again.code, again.stderr.lines().next()), (2, Some("error: `to-euro` is there already")));
    let project = folder.path().join("to-euro");
    let mut command = Command::new(unit_test[0]);
    let tested = clean(&mut command, &project).args(&unit_test[1..]).output().unwrap();
    assert!(tested.status.success(), "{}\n{}", String::from_utf8_lossy(&tested.stdout), String::from_utf8_lossy(&tested.stderr));
    for arguments in [["build", "."], ["run", "."]] {
        let done = answer(clean(&mut program(), &project).args(arguments));
        assert_eq!(done.code, 0, "{arguments:?}: {done:?}");
    }
    let read = |name: &str| std::fs::read_to_string(project.join(name)).unwrap();
    assert_eq!(
        read("output/orders.jsonl"),
        "{\"id\":1,\"amount\":10.0,\"currency\":\"EUR\",\"amount_eur\":10.0}\n\
         {\"id\":2,\"amount\":20.5,\"currency\":\"USD\",\"amount_eur\":18.86}\n\
         {\"id\":3,\"amount\":7.25,\"currency\":\"GBP\",\"amount_eur\":8.48}\n"
    );
    assert!(read("dlq/to-euro.jsonl").contains("no rate for XXX"));
}

#[test]
fn a_python_project_is_tested_built_and_run() {
    if has_python() {
        walk("python", &["python3", "-m", "unittest"]);
    }
}

#[test]
fn a_javascript_project_is_tested_built_and_run() {
    if has_javascript() {
        walk("js", &["node", "--test"]);
    }
}

#[test]
fn a_rust_project_is_tested_built_and_run() {
    walk("rust", &["cargo", "test", "--quiet"]);
}
