//! Tables, names and values that are not what one expects.

use super::{Kind, every, letters, pipeline};
use crate::support::Answer;

/// Holds an answer to a mistake in the configuration that is told in these words.
fn is_config(answer: &Answer, told: &str, what: &str) {
    assert!(answer.code == 2 && answer.stderr.contains(told), "{what}: {answer:?}");
}

#[test]
fn names_that_mean_something_to_sql_are_only_names() {
    let name = |kind: Kind, name: &str| if kind == Kind::Mariadb { format!("`{name}`") } else { format!("\"{name}\"") };
    for place in every() {
        let quoted = |text: &str| name(place.kind(), text);
        for method in ["insert", "upsert", "replace", "update", "truncate_and_load"] {
            let (table, id, order) = (quoted("select"), quoted("Group By"), quoted("order"));
            let odd = quoted("x'; DROP TABLE t; --");
            place.sql(&format!(
                "DROP TABLE IF EXISTS {table}; CREATE TABLE {table} ({id} int PRIMARY KEY, {order} int, {odd} varchar(20)); \
                 INSERT INTO {table} VALUES (7, 1, 'old')"
            ));
            let old = if matches!(method, "insert" | "truncate_and_load") { 8 } else { 7 };
            let csv = format!("Group By,order,\"x'; DROP TABLE t; --\"\n{old},2,new\n");
            let load = format!("primary_key: [Group By]\nwrite_method: {method}\n");
            let pipeline = pipeline(&csv, &place, &load);
            let load = pipeline.read("load.yaml").replace("table: orders", "table: select");
            pipeline.with("load.yaml", load).run(0);
            let found = place.sql(&format!("SELECT {id}, {order}, {odd} FROM {table} WHERE {id} = {old}"));
            assert_eq!(found, format!("{old}|2|new\n"), "{:?} {method}", place.kind());
        }
    }
}

#[test]
fn a_key_that_the_table_lacks_deletes_and_changes_nothing() {
    for place in every() {
        place.sql("CREATE TABLE orders (id int, n int); INSERT INTO orders VALUES (1, 1), (1, 2)");
        for (method, policy) in [("delete", "discard_value"), ("delete", "evolve"), ("update", "discard_row"), ("replace", "discard_value")]
        {
            let load = format!("primary_key: [id, shop]\nwrite_method: {method}\nschema_evolution: {policy}\n");
            let answer = pipeline("id,shop,n\n1,a,9\n", &place, &load).answer(&["run"]);
            is_config(&answer, "the key has the column `shop`, but `orders` has id, n", &format!("{:?} {method} {policy}", place.kind()));
            assert_eq!(place.sql("SELECT id, n FROM orders ORDER BY n"), "1|1\n1|2\n", "{:?} {method} {policy}", place.kind());
        }
    }
}

#[test]
fn two_columns_that_go_to_one_are_an_error_and_so_are_columns_of_which_none_goes_anywhere() {
    for place in every() {
        place.sql("CREATE TABLE orders (id int, note varchar(9))");
        let answer = pipeline("ID,id,note\n1,2,a\n", &place, "write_method: insert\n").answer(&["run"]);
        is_config(&answer, "the columns `ID` and `id` of the rows both go to column `id` of `orders`", &format!("{:?}", place.kind()));
        for policy in ["discard_row", "discard_value"] {
            let load = format!("write_method: insert\nschema_evolution: {policy}\n");
            let answer = pipeline("a,b\n1,2\n", &place, &load).answer(&["run"]);
            is_config(&answer, "`orders` has no column that the rows have, but id, note", &format!("{:?} {policy}", place.kind()));
        }
        assert_eq!(place.sql("SELECT count(*) FROM orders"), "0\n");
    }
}

#[test]
fn a_view_that_takes_no_rows_is_a_mistake_in_the_configuration() {
    for place in every().into_iter().filter(|place| place.kind() != Kind::Mariadb) {
        place.sql("CREATE TABLE t (id int PRIMARY KEY, n int); CREATE VIEW orders AS SELECT DISTINCT id, n FROM t");
        let answer = pipeline("id,n\n1,2\n", &place, "write_method: insert\n").answer(&["run"]);
        is_config(&answer, "cannot write to the table `orders`", &format!("{:?}", place.kind()));
        assert!(answer.stderr.contains("view"), "{answer:?}");
    }
}

#[test]
fn a_column_that_cannot_be_widened_takes_what_fits() {
    for place in every().into_iter().filter(|place| place.kind() != Kind::Sqlite) {
        let table = "CREATE TABLE orders (id int, n int, twice int GENERATED ALWAYS AS (n * 2) STORED)";
        place.sql(if place.kind() == Kind::Postgres { table } else { "CREATE TABLE orders (id int, n smallint)" });
        let pipeline = pipeline("id,n\n1,5\n2,5000000000\n5000000000,7\n", &place, "write_method: insert\n");
        pipeline.run(0);
        let found = if place.kind() == Kind::Postgres { "1|5\n5000000000|7\n" } else { "1|5\n2|5000000000\n5000000000|7\n" };
        assert_eq!(place.sql("SELECT id, n FROM orders ORDER BY id"), found, "{:?}", place.kind());
        assert_eq!(letters(&pipeline).len(), usize::from(place.kind() == Kind::Postgres));
    }
}

#[test]
fn a_column_that_the_database_fills_is_given_or_left_to_it() {
    for place in every() {
        let counts = match place.kind() {
            Kind::Postgres => "id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
            Kind::Mariadb => "id int AUTO_INCREMENT PRIMARY KEY",
            Kind::Sqlite => "id INTEGER PRIMARY KEY AUTOINCREMENT",
        };
        let table =
            format!("DROP TABLE IF EXISTS orders; CREATE TABLE orders ({counts}, n int, twice int GENERATED ALWAYS AS (n * 2) STORED)");
        for (csv, load, expected) in [
            ("n\n5\n6\n", "write_method: insert\n", "1|5|10\n2|6|12\n"),
            ("id,n\n40,5\n41,6\n", "write_method: insert\n", "40|5|10\n41|6|12\n"),
            ("id,n\n40,5\n41,6\n40,7\n", "primary_key: id\n", "40|7|14\n41|6|12\n"),
            ("id,n\n40,5\n41,6\n", "primary_key: id\nwrite_method: replace\n", "40|5|10\n41|6|12\n"),
        ] {
            place.sql(&table);
            pipeline(csv, &place, load).run(0);
            assert_eq!(place.sql("SELECT id, n, twice FROM orders ORDER BY id"), expected, "{:?} {load}", place.kind());
        }
        let answer = pipeline("n,twice\n5,10\n", &place, "write_method: insert\n").answer(&["run"]);
        is_config(&answer, "column `twice` of `orders` is worked out by the database", &format!("{:?}", place.kind()));
    }
}

#[test]
fn values_that_a_database_has_no_place_for_are_refused_row_by_row() {
    let rows = [
        (1, r#"{"id": 1, "price": "12.5", "ratio": "1.5", "day": "2024-02-29", "note": "fine", "tags": ["a"]}"#),
        (2, r#"{"id": 2, "price": "Infinity", "ratio": "1", "day": "2024-01-01", "note": "x", "tags": []}"#),
        (3, r#"{"id": 3, "price": "1234567.5", "ratio": "1", "day": "2024-01-01", "note": "x", "tags": []}"#),
        (4, r#"{"id": 4, "price": "1", "ratio": "1e999", "day": "2024-01-01", "note": "x", "tags": []}"#),
        (5, r#"{"id": 5, "price": "1", "ratio": "1", "day": "4714-01-01 BC", "note": "x", "tags": []}"#),
        (6, r#"{"id": 6, "price": "1", "ratio": "1", "day": "-0044-03-15", "note": "x", "tags": []}"#),
        (7, r#"{"id": 7, "price": "1", "ratio": "1", "day": "2024-01-01", "note": "a\u0000b", "tags": []}"#),
        (8, r#"{"id": 8, "price": "1", "ratio": "1", "day": "2024-01-01", "note": "x", "tags": ["a\u0000b"]}"#),
        (9, r#"{"id": 99999999999, "price": "1", "ratio": "1", "day": "2024-01-01", "note": "x", "tags": []}"#),
    ];
    let lines: String = rows.iter().map(|(_, row)| format!("{row}\n")).collect();
    for place in every().into_iter().filter(|place| place.kind() == Kind::Postgres) {
        for method in ["insert", "upsert"] {
            place.sql(
                "DROP TABLE IF EXISTS orders; CREATE TABLE orders (id int PRIMARY KEY, price numeric(8,2), ratio double precision, day date, note text, tags text[])",
            );
            let pipeline = pipeline("", &place, &format!("primary_key: id\nwrite_method: {method}\nschema_evolution: freeze\n"))
                .with("in.jsonl", &lines)
                .with("extract.yaml", "path: in.jsonl\nschema: {day: str, price: str, ratio: str}\n");
            pipeline.run(0);
            assert_eq!(place.sql("SELECT id, price, ratio, day, note, tags FROM orders"), "1|12.50|1.5|2024-02-29|fine|{a}\n", "{method}");
            let refused: Vec<u64> = letters(&pipeline).into_iter().map(|(row, ..)| row).collect();
            assert_eq!(refused, [2, 3, 4, 5, 6, 7, 8, 9], "{method}: {:?}", letters(&pipeline));
        }
    }
}

#[test]
fn as_many_columns_as_a_database_has_are_written_and_one_more_is_told() {
    let names: Vec<String> = (0..1600).map(|column| format!("c{column}")).collect();
    let csv = format!("{}\n{}\n", names.join(","), vec!["true"; 1600].join(","));
    let columns = names.iter().map(|name| format!("{name} boolean")).collect::<Vec<_>>().join(", ");
    for place in every().into_iter().filter(|place| place.kind() != Kind::Mariadb) {
        place.sql(&format!("CREATE TABLE orders ({columns})"));
        pipeline(&csv, &place, "write_method: insert\n").run(0);
        assert_eq!(place.sql("SELECT count(*) FROM orders WHERE c0 AND c1599"), "1\n");
        if place.kind() == Kind::Postgres {
            let more = csv.replacen("c0,", "more,c0,", 1).replacen("true,", "true,true,", 1);
            let answer = pipeline(&more, &place, "write_method: insert\n").answer(&["run"]);
            is_config(&answer, "tables can have at most 1600 columns", "a column more");
        }
    }
}

#[test]
fn rows_without_any_column_are_not_lost_silently() {
    for place in every() {
        place.sql("CREATE TABLE orders (id int)");
        let pipeline = pipeline("", &place, "write_method: insert\n").with("in.jsonl", "{}\n{}\n").with("extract.yaml", "path: in.jsonl\n");
        let answer = pipeline.answer(&["run"]);
        assert!(answer.code == 1 && answer.stderr.contains("the rows have no columns"), "{answer:?}");
    }
}
