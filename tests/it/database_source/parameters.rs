//! Parameters of a query: bound, never pasted.

use serde_json::{Value, json};

use super::{Base, rows};

#[test]
fn parameters_are_bound_in_every_place_and_type() {
    for base in Base::all() {
        base.fill(20);
        let ids = |query: &str, params: Value| -> Vec<i64> {
            let found = base.rows(query, &json!({"query_params": params}));
            found.iter().map(|row| row["id"].as_i64().unwrap()).collect()
        };
        assert_eq!(ids("SELECT * FROM t WHERE id = :id", json!({"id": 7})), [7], "{}", base.name());
        assert_eq!(ids("SELECT * FROM t WHERE id = :id OR id = :id + 1 ORDER BY id", json!({"id": 7})), [7, 8], "{}", base.name());
        assert_eq!(ids("SELECT * FROM t WHERE text = :text", json!({"text": "row 3"})), [3], "{}", base.name());
        assert_eq!(ids("SELECT * FROM t WHERE id IN :ids ORDER BY id", json!({"ids": [1, 5, 99]})), [1, 5], "{}", base.name());
        assert_eq!(
            ids("SELECT * FROM t WHERE text NOT IN (:t) AND id < 4 ORDER BY id", json!({"t": ["row 1"]})),
            [2, 3],
            "{}",
            base.name()
        );
        assert_eq!(ids("SELECT * FROM t ORDER BY id LIMIT :n", json!({"n": 2})), [1, 2], "{}", base.name());
        assert_eq!(ids("SELECT * FROM t WHERE :none IS NULL AND id = 1", json!({"none": null})), [1], "{}", base.name());
        // What looks like one and is none.
        let query = "SELECT id, ':id' AS a, 'x' /* :id */ AS b FROM t WHERE id = :id -- :id";
        assert_eq!(base.rows(query, &json!({"params": {"id": 4}})), [json!({"id": 4, "a": ":id", "b": "x"})], "{}", base.name());
    }
}

#[test]
fn a_value_is_never_read_as_sql() {
    for base in Base::all() {
        base.fill(5);
        for attack in
            ["' OR '1'='1", "x'; DROP TABLE t; --", "\\' OR 1=1 -- ", "row 1' UNION SELECT 9, 'x", ":id", "?", "$1", "\u{2019} OR 1=1"]
        {
            let found = base.rows("SELECT * FROM t WHERE text = :text", &json!({"params": {"text": attack}}));
            assert_eq!(found, [] as [Value; 0], "{} {attack}", base.name());
        }
        let echoed =
            base.rows("SELECT :text AS said", &json!({"params": {"text": "it's; -- \\ \"x\" \u{1F600}"}, "schema": {"said": "string"}}));
        assert_eq!(echoed, [json!({"said": "it's; -- \\ \"x\" \u{1F600}"})], "{}", base.name());
        assert_eq!(base.rows("SELECT * FROM t", &json!({})).len(), 5);
    }
}

#[test]
fn parameters_of_the_run_reach_the_query_under_the_name_that_it_knows() {
    for base in Base::all() {
        base.fill(9);
        let more = json!({
            "input_params": {"first": {"type": "int", "required": true}, "last": {"type": "int", "default": 4}, "text": {}},
            "param_mapping": {"first": "lowest"}, "params": {"last": 100}
        });
        let query = "SELECT * FROM t WHERE id BETWEEN :lowest AND :last AND (:text IS NULL OR text = :text) ORDER BY id";
        let pipeline = base.pipeline(query, &more);
        for (arguments, count) in [(&["first=3"][..], 2), (&["first=3", "last=9"], 7), (&["first=3", "last=9", "text=row 5"], 1)] {
            let flags: Vec<&str> = arguments.iter().flat_map(|argument| ["--param", argument]).collect();
            let answer = pipeline.answer(&[&["run", "--quiet"], &flags[..]].concat());
            assert_eq!(answer.code, 0, "{} {answer:?}", base.name());
            assert_eq!(rows(&pipeline).len(), count, "{} {arguments:?}", base.name());
        }
    }
}

#[test]
fn a_parameter_without_a_value_and_a_value_without_a_parameter_are_found_without_a_database() {
    let more = json!({"params": {"idd": 1, "other": 2}, "input_params": ["day"]});
    let pipeline = super::pipeline("postgresql://ada:pw@nowhere.invalid/d", "SELECT :id, :dya, ':x' FROM t", &more);
    let answer = pipeline.answer(&["check"]);
    assert_eq!(answer.code, 2, "{answer:?}");
    let said = format!("{}{}", answer.stdout, answer.stderr);
    for line in [
        "`query` has the parameter `:id`, which has no value",
        "did you mean `:idd`?",
        "`query` has the parameter `:dya`, which has no value",
        "did you mean `:day`?",
        "`query` has no parameter `:idd`",
        "did you mean `id`?",
        "`query` has no parameter `:other`",
        "extract.yaml:1:",
    ] {
        assert!(said.contains(line), "{line}\n{said}");
    }
    for (query, wrong) in [
        ("SELECT 1; DELETE FROM t", "`query` has more than one statement"),
        ("SELECT 'x", "`query` has a `'` without its end"),
        ("SELECT $1", "`query` has a placeholder `$1`, but parameters are written `:name`"),
        ("  -- nothing", "`query` is empty"),
    ] {
        let answer = super::pipeline("postgresql://nowhere.invalid/d", query, &json!({})).answer(&["check"]);
        assert!(answer.code == 2 && format!("{}{}", answer.stdout, answer.stderr).contains(wrong), "{answer:?}");
    }
}

#[test]
fn a_value_that_cannot_be_what_the_query_wants_is_told() {
    let base = Base::all().remove(0);
    if base.name() != "PostgreSQL" {
        return;
    }
    base.fill(1);
    let answer = super::run(&base.pipeline("SELECT * FROM t WHERE id = :id", &json!({"params": {"id": "seven"}})), &[]);
    assert_eq!(answer.code, 2, "{answer:?}");
    assert!(answer.stderr.contains("invalid input syntax for type bigint: \"seven\""), "{answer:?}");
    let answer = super::run(&base.pipeline("SELECT * FROM t WHERE id IN :ids", &json!({"params": {"ids": []}})), &[]);
    assert!(answer.code == 2 && answer.stderr.contains("`:ids` of the query is an empty list"), "{answer:?}");
    // Types that the server finds: days, times, JSON, arrays.
    let query = "SELECT CAST(:day AS date) AS d, :at::timestamptz AS at, :doc::jsonb ->> 'a' AS a WHERE 3 = ANY(:ids)";
    let params = json!({"params": {"day": "2024-02-29", "at": "2024-01-01T00:00:00Z", "doc": {"a": 1}, "ids": [1, 3]}});
    assert_eq!(base.rows(query, &params), [json!({"d": "2024-02-29", "at": "2024-01-01T00:00:00Z", "a": "1"})]);
}

#[test]
fn what_mariadb_works_out_of_parameters_has_the_type_that_it_has_with_their_values() {
    for base in Base::all().into_iter().filter(|base| base.name() == "MariaDB") {
        base.sql("CREATE TABLE o (id int PRIMARY KEY, q bigint, name varchar(9)); INSERT INTO o VALUES (1, 7, 'a'), (2, NULL, 'b')");
        for (expression, parameter, [first, second]) in [
            ("id + :p", json!(3), [json!(4), json!(5)]),
            ("coalesce(:p, id)", json!(null), [json!("1"), json!("2")]),
            ("coalesce(q, :p)", json!(0.5), [json!(7.0), json!(0.5)]),
            ("coalesce(q, :p)", json!("x"), [json!("7"), json!("x")]),
            ("greatest(id, :p)", json!(3), [json!(3), json!(3)]),
            ("least(:p, q)", json!(3), [json!(3), json!(null)]),
            ("mod(:p, id + 1)", json!(3), [json!(1), json!(0)]),
            ("abs(:p)", json!(-6), [json!(6), json!(6)]),
            ("ceil(:p)", json!(0.5), [json!(1.0), json!(1.0)]),
            ("nullif(:p, q)", json!(7), [json!(null), json!(7)]),
            ("-(:p)", json!(3), [json!(-3), json!(-3)]),
            (":p", json!(true), [json!(1), json!(1)]),
            (":p", json!(null), [json!(null), json!(null)]),
            (":p", json!("x"), [json!("x"), json!("x")]),
            (":p", json!(u64::MAX), [json!("18446744073709551615"), json!("18446744073709551615")]),
            ("concat(:p, name)", json!("x"), [json!("xa"), json!("xb")]),
            ("if(id = 1, :p, name)", json!(3), [json!("3"), json!("b")]),
            ("q > :p", json!(3), [json!(1), json!(null)]),
            ("(SELECT max(:p) FROM o)", json!(3), [json!(3), json!(3)]),
            ("(SELECT count(*) + :p FROM o)", json!(3), [json!(5), json!(5)]),
        ] {
            for key in [json!({"params": {"p": parameter}}), json!({"params": {"p": parameter}, "cursor_field": "id"})] {
                let found = base.rows(&format!("SELECT id, {expression} AS x FROM o"), &key);
                assert_eq!(found, [json!({"id": 1, "x": first}), json!({"id": 2, "x": second})], "{expression} {key}");
            }
        }
    }
}

#[test]
fn a_column_of_mariadb_that_is_sent_as_another_type_than_it_was_described_ends_the_run() {
    for base in Base::all().into_iter().filter(|base| base.name() == "MariaDB") {
        base.fill(30);
        let run = |query: &str, cursor: &str, first: &str| {
            let more = json!({"incremental": {"cursor_field": cursor, "initial_value": first}});
            let (pipeline, state) = (base.pipeline(query, &more), tempfile::TempDir::new().unwrap());
            let ran = crate::support::answer(pipeline.command(&["run", "--quiet"]).env("ETL_HOST_STATE_DIR", state.path()));
            (ran, pipeline)
        };
        let (ran, pipeline) = run("SELECT id, :watermark AS w FROM t WHERE id = :watermark + 1", "id", "20");
        assert_eq!(ran.code, 0, "{ran:?}");
        assert_eq!(rows(&pipeline), [json!({"id": 21, "w": 20})]);
        // Of which type the watermark is shows only once the columns are known.
        let (ran, _) = run("SELECT id, text, :watermark AS w FROM t", "text", "5");
        assert!(ran.code == 2 && ran.stderr.contains("column 3 was described as Int64, but is sent as VARCHAR"), "{ran:?}");
        assert!(ran.stderr.contains("`CAST(… AS CHAR) AS name`"), "{ran:?}");
        let (ran, pipeline) = run("SELECT id, text, CAST(:watermark AS CHAR) AS w FROM t ORDER BY id LIMIT 1", "text", "5");
        assert_eq!(ran.code, 0, "{ran:?}");
        assert_eq!(rows(&pipeline), [json!({"id": 1, "text": "row 1", "w": "5"})]);
    }
}

#[test]
fn the_session_of_a_source_has_the_mode_of_its_server() {
    for base in Base::all().into_iter().filter(|base| base.name() == "MariaDB") {
        let found = base.rows("SELECT 1 || 0 AS x, CONCAT(@@sql_mode) AS own, CONCAT(@@global.sql_mode) AS server", &json!({}));
        assert_eq!((&found[0]["x"], &found[0]["own"]), (&json!(1), &found[0]["server"]));
    }
}
