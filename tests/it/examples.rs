//! Each folder of `examples/` runs, and gives what stands in its `expected/`; its own cases pass.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::http_source::api::{Api, Reply};
use crate::servers::s3::Bucket;
use crate::support::{answer, build, guests, program, root};

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap();
        if path.is_dir() {
            if !["target", "output", "dlq", "expected"].iter().any(|skip| name == *skip) {
                copy(&path, &to.join(name));
            }
        } else {
            fs::copy(&path, to.join(name)).unwrap();
        }
    }
}

/// Runs a copy of an example and compares every file of `expected/` with what came out.
fn holds(example: &str, prepare: impl FnOnce(&Path)) {
    holds_with(example, &[], prepare);
}

/// As [`holds`], with further arguments of `run`.
fn holds_with(example: &str, arguments: &[&str], prepare: impl FnOnce(&Path)) {
    let folder = TempDir::new().unwrap();
    let example = root().join("examples").join(example);
    let copied = folder.path().join(example.file_name().unwrap());
    copy(&example, &copied);
    prepare(&copied);
    let ran = answer(program().arg("run").arg(&copied).arg("--quiet").args(arguments));
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let variables = arguments.chunks(2).filter(|pair| pair[0] == "--var").flatten();
    let tested = answer(program().arg("test").arg(&copied).args(variables));
    assert_eq!((tested.code, tested.stderr.as_str()), (0, ""), "{}", tested.stdout);
    let expected = example.join("expected");
    let mut compared = 0;
    for entry in fs::read_dir(&expected).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap();
        let found = if name == "rejects.txt" { rejects(&copied) } else { fs::read_to_string(copied.join("output").join(name)).unwrap() };
        let wanted = fs::read_to_string(&path).unwrap();
        if found != wanted {
            let line = found.lines().zip(wanted.lines()).position(|(found, wanted)| found != wanted).unwrap_or(0);
            panic!(
                "{} differs from line {}:\n  found  {:?}\n  wanted {:?}",
                path.display(),
                line + 1,
                found.lines().nth(line).unwrap_or_default(),
                wanted.lines().nth(line).unwrap_or_default()
            );
        }
        compared += 1;
    }
    assert!(compared > 0, "{} has nothing to compare with", expected.display());
}

/// Dead letters without what differs from run to run.
fn rejects(folder: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(folder.join("dlq")).into_iter().flatten() {
        for line in fs::read_to_string(entry.unwrap().path()).unwrap().lines() {
            let letter: serde_json::Value = serde_json::from_str(line).unwrap();
            let metadata = &letter["metadata"];
            text.push_str(&format!(
                "{} {} {} {}\n",
                metadata["row"],
                letter["error_type"].as_str().unwrap(),
                metadata["line"],
                letter["message"].as_str().unwrap()
            ));
        }
    }
    text
}

#[test]
fn database_sink() {
    let folder = TempDir::new().unwrap();
    let example = root().join("examples/database_sink");
    copy(&example, folder.path());
    // Once more changes nothing.
    for _ in 0..2 {
        let ran = answer(program().arg("run").arg(folder.path()).arg("--quiet"));
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
        let connection = rusqlite::Connection::open(folder.path().join("shop.db")).unwrap();
        let mut found = String::new();
        for (sql, columns) in [("SELECT * FROM orders ORDER BY id", 5), ("SELECT * FROM revenue ORDER BY 1", 2)] {
            let mut statement = connection.prepare(sql).unwrap();
            let mut rows = statement.query(()).unwrap();
            while let Some(row) = rows.next().unwrap() {
                let text = |index| match row.get_ref(index).unwrap() {
                    rusqlite::types::ValueRef::Integer(number) => number.to_string(),
                    rusqlite::types::ValueRef::Real(number) => number.to_string(),
                    other => other.as_str().unwrap().to_owned(),
                };
                found += &((0..columns).map(text).collect::<Vec<_>>().join("|") + "\n");
            }
        }
        assert_eq!(found, fs::read_to_string(example.join("expected/tables.txt")).unwrap());
    }
    let tested = answer(program().arg("test").arg(folder.path()));
    assert_eq!((tested.code, tested.stderr.as_str()), (0, ""), "{}", tested.stdout);
}

#[test]
fn quality() {
    holds("quality", |_| {});
}

#[test]
fn several_outputs() {
    holds("several_outputs", |_| {});
}

#[test]
fn quickstart() {
    holds("quickstart", |_| {});
}

#[test]
fn database_source() {
    holds("database_source", |_| {});
}

#[test]
fn jsonata() {
    holds("jsonata", |_| {});
}

#[test]
fn market() {
    holds("market", |_| {});
}

/// Against a server that gives its pages.
#[test]
fn http_api() {
    let pages = root().join("examples/http_api/pages");
    let api = Api::start(move |asked| {
        assert_eq!((asked.path.as_str(), asked.header("authorization")), ("/v1/shops/north/orders", Some("Bearer s3cret-token")));
        let number = match asked.param("after") {
            None => 1,
            Some(cursor) => cursor.trim_start_matches("after-").parse::<usize>().unwrap() / 3 + 1,
        };
        Reply::of("application/json", fs::read(pages.join(format!("{number}.json"))).unwrap())
    });
    let (url, host, state) = (format!("API_URL={}", api.url("")), api.address.to_string(), TempDir::new().unwrap());
    let state = state.path().to_str().unwrap();
    let variables = ["--var", &url, "--var", "API_TOKEN=s3cret-token"];
    let rest = ["--param", "shop=north", "--allow-private-network", &host, "--state-dir", state];
    holds_with("http_api", &[&variables[..], &rest[..]].concat(), |_| {});
    let queries: Vec<String> = api.asked().into_iter().map(|asked| asked.query).collect();
    let since = "updated_since=2024-01-01T00%3A00%3A00Z&limit=3";
    let expected = [since.to_owned(), format!("{since}&after=after-3"), format!("{since}&after=after-6")];
    assert_eq!(queries, expected);
}

/// Its components are built as a user would build them, in a project of their own; the target folder is that of all such projects.
#[test]
fn custom_transform() {
    holds("custom_transform", |copied| {
        let target = guests().join("new");
        build(&root().join("examples/custom_transform"), &["--release", "--target-dir", target.to_str().unwrap()]);
        let release = "wasm32-wasip2/release";
        fs::create_dir_all(copied.join("target").join(release)).unwrap();
        for component in ["convert_currency.wasm", "tidy_people.wasm"] {
            fs::copy(target.join(release).join(component), copied.join("target").join(release).join(component)).unwrap();
        }
    });
}

/// From a bucket and back, with all that it takes to reach one in the environment.
#[test]
fn s3_to_parquet() {
    let example = root().join("examples/s3_to_parquet");
    let bucket = Bucket::new();
    for entry in fs::read_dir(example.join("data")).unwrap() {
        let path = entry.unwrap().path();
        bucket.put(&format!("orders/{}", path.file_name().unwrap().to_str().unwrap()), fs::read(&path).unwrap());
    }
    let folder = TempDir::new().unwrap();
    let copied = folder.path().join("s3_to_parquet");
    copy(&example, &copied);
    let run = |arguments: &[&str]| {
        let mut command = program();
        command.envs(bucket.environment()).env("BUCKET", &bucket.name).arg("run").arg(&copied).arg("--quiet").args(arguments);
        let ran = answer(&mut command);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    };
    run(&[]);
    fs::write(copied.join("back.yaml"), "path: s3://${BUCKET}/lake/orders/**/*.parquet\n").unwrap();
    fs::write(copied.join("lines.yaml"), "path: output/orders.jsonl\n").unwrap();
    fs::write(copied.join("nothing.yaml"), "sort: [id]\n").unwrap();
    let file = |name: &str| copied.join(name).to_str().unwrap().to_owned();
    run(&["--extract", &file("back.yaml"), "--transform", &file("nothing.yaml"), "--load", &file("lines.yaml")]);
    assert_eq!(
        fs::read_to_string(copied.join("output/orders.jsonl")).unwrap(),
        fs::read_to_string(example.join("expected/orders.jsonl")).unwrap()
    );
    assert_eq!(bucket.names().iter().filter(|name| name.starts_with("lake/orders/country=")).count(), 3);
    assert!(rejects(&copied).contains("cannot convert `three`"));
}
