//! What a person is told, and what nobody is told: passwords.

use std::fs;

use serde_json::{Value, json};

use super::{Base, pipeline, run};
use crate::servers::{mariadb, postgres};
use crate::support::{Pipeline, answer};

#[test]
fn what_is_no_query_is_refused_and_changes_nothing() {
    for base in Base::all() {
        base.fill(3);
        let mut attempts = vec![
            ("DELETE FROM t", "it has no columns"),
            ("DROP TABLE t", "it has no columns"),
            ("INSERT INTO t VALUES (9, 'x')", "it has no columns"),
        ];
        if base.name() != "MariaDB" {
            attempts.push(("DELETE FROM t RETURNING id", "would change"));
        }
        if base.name() == "PostgreSQL" {
            attempts.push(("WITH gone AS (DELETE FROM t RETURNING id) SELECT * FROM gone", "would change"));
            attempts.push(("SELECT set_config('x.y', 'z', false), nextval('s')", "would change"));
            base.sql("CREATE SEQUENCE s");
        }
        for (query, wrong) in attempts {
            let answer = run(&base.pipeline(query, &json!({})), &[]);
            assert_eq!(answer.code, 2, "{} {query} {answer:?}", base.name());
            assert!(answer.stderr.contains(wrong), "{} {query} {answer:?}", base.name());
            assert!(answer.stderr.contains("a source only reads"), "{} {query} {answer:?}", base.name());
        }
        assert_eq!(base.rows("SELECT * FROM t", &json!({})).len(), 3, "{}", base.name());
    }
}

#[test]
fn a_query_that_the_database_does_not_understand_is_told_with_its_place() {
    for base in Base::all() {
        base.fill(1);
        for (query, wrong) in [
            ("SELECT *\nFORM t", "the query does not run on"),
            ("SELECT * FROM nowhere", "the query names what"),
            ("SELECT nowhere FROM t", "the query names what"),
        ] {
            let answer = run(&base.pipeline(query, &json!({})), &[]);
            assert_eq!(answer.code, 2, "{} {query} {answer:?}", base.name());
            assert!(answer.stderr.contains(wrong) && answer.stderr.contains("extract.yaml:1:"), "{} {query} {answer:?}", base.name());
            let planned = base.pipeline(query, &json!({})).answer(&["plan"]);
            assert_eq!(planned.code, 2, "{planned:?}");
        }
        let answer = run(&base.pipeline("SELECT * FROM t", &json!({"schema": {"txet": "string"}})), &[]);
        assert!(answer.code == 2 && answer.stderr.contains("did you mean `text`?"), "{} {answer:?}", base.name());
        let answer = run(&base.pipeline("SELECT * FROM t", &json!({"cursor_field": "tetx"})), &[]);
        assert!(answer.code == 2 && answer.stderr.contains("did you mean `text`?"), "{} {answer:?}", base.name());
    }
    if let Some(database) = postgres::Database::new() {
        let base = Base::Postgres(database);
        base.fill(1);
        let answer = run(&base.pipeline("SELECT *\nFROM t\nWHERE id = = :id", &json!({"params": {"id": 1}})), &[]);
        assert!(answer.stderr.contains("on line 3 of it, near `=`"), "{answer:?}");
    }
}

/// Everything that a run leaves: what it says, its history and its checkpoints.
fn all_that_was_said(pipeline: &Pipeline, arguments: &[&str]) -> (i32, String) {
    let state = tempfile::TempDir::new().unwrap();
    let mut command = pipeline.command(&[&["run"], arguments].concat());
    command
        .env("ETL_HOST_STATE_DIR", state.path())
        .env("ETL_HOST_CHECKPOINT_DIR", state.path().join("checkpoints"))
        .env("ETL_HOST_LOG", "trace");
    let ran = answer(&mut command);
    let mut said = format!("{}{}", ran.stdout, ran.stderr);
    for arguments in [&["plan"][..], &["check"], &["preview"], &["run", "--json", "--dry-run"]] {
        let shown = answer(pipeline.command(arguments).env("ETL_HOST_STATE_DIR", state.path()));
        said.push_str(&format!("{}{}", shown.stdout, shown.stderr));
    }
    let mut folders = vec![state.path().to_owned(), pipeline.path("")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if !["extract.yaml", "load.yaml"].iter().any(|name| path.ends_with(name)) {
                said.push_str(&String::from_utf8_lossy(&fs::read(path).unwrap()));
            }
        }
    }
    (ran.code, said)
}

#[test]
fn a_password_is_seen_nowhere() {
    let bases = [
        (postgres::Database::new().map(Base::Postgres), postgres::PASSWORD),
        (mariadb::Database::new().map(Base::Mariadb), mariadb::PASSWORD),
    ];
    for (base, password) in bases.into_iter().filter_map(|(base, password)| Some((base?, password))) {
        base.fill(5);
        let failing = |url: String| pipeline(&url, "SELECT * FROM t", &json!({"cursor_field": "id"}));
        let table = json!({"cursor_field": "id", "checkpoint": {"enabled": true, "interval": 1}});
        for (pipeline, code) in [
            (base.pipeline("SELECT * FROM t", &table), 0),
            (base.pipeline("SELECT * FROM nowhere", &table), 2),
            (base.pipeline("SELECT 1 / (id - 5) AS x, CAST(text AS date) AS d, id FROM t", &table), i32::MIN),
            (failing(base.url().replace(&format!("{password}@"), &format!("{password}x@"))), i32::MIN),
            (failing(base.url().replace(&format!("{password}@"), &format!("{password}/x@"))), i32::MIN),
            (failing(base.url().replace("etl:", "nobody:")), i32::MIN),
            (failing(base.url().replace("/test_", "/nowhere_")), i32::MIN),
            (failing(base.url().replace("127.0.0.1", "127.0.0.2:1")), i32::MIN),
            (failing(format!("{}?sslmode=verify-full", base.url())), i32::MIN),
            (failing(format!("{}?oddity=1", base.url())), i32::MIN),
        ] {
            let (found, said) = all_that_was_said(&pipeline, &[]);
            assert!(code == i32::MIN || found == code, "{} {found}: {said}", base.name());
            assert!(!said.contains(password), "{}: {said}", base.name());
            assert!(!said.is_empty());
        }
    }
}

#[test]
fn a_database_that_does_not_take_us_is_told_with_what_to_do() {
    let told = |url: &str| {
        let answer = run(&pipeline(url, "SELECT 1 AS one", &json!({})), &[]);
        assert!(answer.code == 2 || answer.code == 3, "{answer:?}");
        answer.stderr
    };
    if let Some(database) = postgres::Database::new() {
        let url = database.url();
        assert!(told(&url.replace(postgres::PASSWORD, "wrong")).contains("are user and password right?"));
        assert!(told(&url.replace("/test_", "/nowhere_")).contains("is the database's name right"));
        assert!(told(&format!("{url}?sslmode=require")).contains("`sslmode`"));
        database.sql("CREATE TABLE secret (id int); CREATE ROLE guest LOGIN PASSWORD 'guest'");
        let guest = url.replace(&format!("etl:{}", postgres::PASSWORD), "guest:guest");
        let answer = run(&pipeline(&guest, "SELECT * FROM secret", &json!({})), &[]);
        assert!(answer.code == 2 && answer.stderr.contains("can grant `SELECT`"), "{answer:?}");
        database.sql("DROP ROLE guest");
        // Spellings of other programs, and a password that has to be quoted.
        database.sql("CREATE ROLE odd LOGIN PASSWORD 'p@:/ ä%'; GRANT pg_read_all_data TO odd");
        let odd = url
            .replace(&format!("etl:{}", postgres::PASSWORD), "odd:p%40%3A%2F%20%C3%A4%25")
            .replace("postgresql://", "postgres+psycopg2://");
        let found = run(&pipeline(&format!("{odd}?sslmode=disable&connect_timeout=10"), "SELECT 1 AS one", &json!({})), &[]);
        assert_eq!(found.code, 0, "{found:?}");
        let nested = json!({"type": "database", "query": "SELECT 1 AS one", "database": {"url": odd, "type": "postgresql"}});
        let nested = Pipeline::new().with("extract.yaml", nested.to_string()).with("load.yaml", "path: out.jsonl\n");
        nested.run(0);
        database.sql("DROP ROLE odd");
    }
    if let Some(database) = mariadb::Database::new() {
        let url = database.url();
        assert!(told(&url.replace(mariadb::PASSWORD, "wrong")).contains("are user and password right?"));
        let spelled = url.replace("mysql://", "mysql+pymysql://") + "?charset=utf8mb4";
        assert_eq!(run(&pipeline(&spelled, "SELECT 1 AS one", &json!({})), &[]).code, 0);
    }
    assert!(told("postgresql://etl:x@127.0.0.1:1/d").contains("is the server running"));
    assert!(told("sqlite:///nowhere.db").contains("is the file there?"));
    let no_database =
        pipeline("sqlite:///data.db", "SELECT 1 AS one", &json!({})).with("data.db", "this is a text, and a long one at that ".repeat(50));
    let answer = run(&no_database, &[]);
    assert!(answer.code != 0 && answer.stderr.contains("file is not a database"), "{answer:?}");
}

#[test]
fn a_file_is_found_where_its_url_says() {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("a b.db");
    super::sqlite(&file, "CREATE TABLE t (id INTEGER); INSERT INTO t VALUES (1)");
    let relative = pipeline("sqlite:///a b.db", "SELECT * FROM t", &json!({})).with("a b.db", fs::read(&file).unwrap());
    let absolute = pipeline(&format!("sqlite:///{}", file.display()), "SELECT * FROM t", &json!({}));
    for pipeline in [relative, absolute] {
        pipeline.run(0);
        assert_eq!(super::rows(&pipeline), [json!({"id": 1})] as [Value; 1]);
    }
}
