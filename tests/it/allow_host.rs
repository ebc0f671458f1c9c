//! `--allow-host` and databases: a pipeline reaches those that the operator names, and no other.

use crate::servers::postgres;
use crate::support::Pipeline;

/// What a pipeline is told that is let go to `db.example.com` only.
fn told(pipeline: &Pipeline, command: &str) -> String {
    let answer = pipeline.answer(&[command, "--allow-host", "db.example.com"]);
    assert_eq!(answer.code, 2, "{answer:?}");
    answer.stderr
}

#[test]
fn no_database_is_reached_that_the_operator_has_not_named() {
    let file = || Pipeline::new().with("in.csv", "id\n1\n").with("extract.yaml", "path: in.csv\n").with("load.yaml", "path: out.csv\n");
    let other = "postgresql://etl:s3cret-word@other.example.com/shop";
    let source = file().with("extract.yaml", format!("query: SELECT 1 AS a\nconnection_string: {other}\n"));
    let mut all = told(&source, "run") + &told(&source, "preview");
    all += &told(&file().with("load.yaml", format!("table: orders\nconnection_string: {other}\n")), "run");
    all += &told(&file().with("load.yaml", "table: orders\nconnection_string: mysql://etl@10.0.0.1:3307/shop\n"), "run");
    all += &told(&file().with("settings.yaml", format!("dlq: {{backend: database, connection_string: '{other}'}}\n")), "run");
    let tunnel =
        "table: orders\nconnection_string: postgresql://etl@db.example.com/shop\nssh_tunnel: {enabled: true, host: gate, username: etl}\n";
    all += &told(&file().with("load.yaml", tunnel), "run");
    assert!(!all.contains("s3cret-word"), "{all}");
    insta::assert_snapshot!(all, @r"
    error: `postgresql://etl:***@other.example.com/shop` is not asked: the operator of etl-host allows other hosts only
      hint: it is allowed by `--allow-host other.example.com:5432`
    error: `postgresql://etl:***@other.example.com/shop` is not asked: the operator of etl-host allows other hosts only
      hint: it is allowed by `--allow-host other.example.com:5432`
    error: `postgresql://etl:***@other.example.com/shop` is not asked: the operator of etl-host allows other hosts only
      hint: it is allowed by `--allow-host other.example.com:5432`
    error: `mysql://etl@10.0.0.1:3307/shop` is not asked: the operator of etl-host allows other hosts only
      hint: it is allowed by `--allow-host 10.0.0.1:3307`
    error: `postgresql://etl:***@other.example.com/shop` is not asked: the operator of etl-host allows other hosts only
      hint: it is allowed by `--allow-host other.example.com:5432`
    error: the SSH server `etl@gate:22` is not asked: the operator of etl-host allows other hosts only
      hint: it is allowed by `--allow-host gate:22`
    ");
}

#[test]
fn a_database_that_the_operator_has_named_is_reached_and_so_is_one_that_he_has_opened() {
    let Some(database) = postgres::Database::new() else { return };
    database.sql("CREATE TABLE shop AS SELECT 7 AS id");
    let url = database.url();
    let pipeline = Pipeline::new()
        .with("extract.yaml", format!("query: SELECT id FROM shop\nconnection_string: {url}\n"))
        .with("load.yaml", format!("table: orders\nconnection_string: {url}\nwrite_method: truncate_and_load\n"));
    for arguments in [
        &["run", "--quiet", "--allow-host", "127.0.0.1"][..],
        &["run", "--quiet", "--allow-host", "db.example.com", "--allow-private-network", "127.0.0.1"],
    ] {
        let answer = pipeline.answer(arguments);
        assert_eq!(answer.code, 0, "{answer:?}");
        assert_eq!(database.sql("SELECT id FROM orders"), "7\n");
    }
}
