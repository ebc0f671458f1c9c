//! How rows are written.

use super::{Kind, every, pipeline};

const ALL: &str = "SELECT id, n, note, kept FROM orders ORDER BY 1";

const OLD: &str = "DROP TABLE IF EXISTS orders; CREATE TABLE orders (id int PRIMARY KEY, n int, note varchar(20), kept varchar(20) DEFAULT 'k'); \
     INSERT INTO orders VALUES (1, 1, 'one', 'x'), (2, 2, 'two', 'y')";

#[test]
fn each_method_does_what_it_says_and_of_a_key_that_comes_twice_the_last_row_wins() {
    let csv = "id,n,note\n2,20,b\n3,30,c\n3,31,c2\n4,40,d\n";
    let cases = [
        ("upsert", "", "1|1|one|x\n2|20|b|y\n3|31|c2|k\n4|40|d|k\n", [2, 1, 0]),
        ("upsert", "update_columns: [n]\n", "1|1|one|x\n2|20|two|y\n3|31|c|k\n4|40|d|k\n", [2, 1, 0]),
        ("upsert", "update_columns: []\n", "1|1|one|x\n2|2|two|y\n3|30|c|k\n4|40|d|k\n", [2, 0, 0]),
        ("replace", "", "1|1|one|x\n2|20|b|k\n3|31|c2|k\n4|40|d|k\n", [3, 0, 1]),
        ("update", "", "1|1|one|x\n2|20|b|y\n", [0, 1, 0]),
        ("update", "update_columns: [note]\n", "1|1|one|x\n2|2|b|y\n", [0, 1, 0]),
        ("delete", "", "1|1|one|x\n", [0, 0, 1]),
        ("truncate_and_load", "", "2|20|b|k\n3|30|c|k\n4|40|d|k\n", [3, 0, 0]),
        ("append", "", "1|1|one|x\n2|2|two|y\n3|30|c|k\n4|40|d|k\n", [2, 0, 0]),
        ("insert", "", "1|1|one|x\n2|2|two|y\n3|30|c|k\n4|40|d|k\n", [2, 0, 0]),
    ];
    for place in every() {
        for (method, more, expected, [inserted, _, deleted]) in cases {
            place.sql(OLD);
            let pipeline = pipeline(csv, &place, &format!("primary_key: [id]\nwrite_method: {method}\n{more}"));
            let report = pipeline.run(0);
            let what = format!("{:?} {method} {more}", place.kind());
            assert_eq!(place.sql(ALL), expected, "{what}");
            let table = &report["output"]["tables"][0];
            // One row at a time a key that comes twice is deleted once more.
            if method != "replace" || place.kind() == Kind::Postgres {
                assert_eq!((&table["inserted"], &table["deleted"]), (&inserted.into(), &deleted.into()), "{what}: {table}");
            }
        }
    }
}

#[test]
fn rows_are_the_same_by_a_key_of_two_columns_or_by_unique_columns() {
    let csv = "shop,id,n\na,1,10\na,2,20\nb,1,30\n";
    for place in every() {
        for load in ["primary_key: [shop, id]\n", "write_method: upsert\nunique_constraints: [id, shop]\n"] {
            place.sql("DROP TABLE IF EXISTS orders; CREATE TABLE orders (id int, shop varchar(9), n int, UNIQUE (shop, id)); INSERT INTO orders VALUES (1, 'a', 1), (1, 'c', 1)");
            pipeline(csv, &place, load).run(0);
            assert_eq!(place.sql("SELECT shop, id, n FROM orders ORDER BY 1, 2"), "a|1|10\na|2|20\nb|1|30\nc|1|1\n", "{:?}", place.kind());
        }
    }
}

#[test]
fn an_upsert_without_a_unique_index_is_refused_with_the_statement_that_makes_one() {
    for place in every() {
        place.sql("CREATE TABLE orders (id int, n int)");
        let pipeline = pipeline("id,n\n1,2\n", &place, "primary_key: id\n");
        for arguments in [&["run"][..], &["run", "--dry-run"]] {
            let answer = pipeline.answer(arguments);
            assert_eq!(answer.code, 2, "{answer:?}");
            assert!(answer.stderr.contains("`upsert` into `orders` needs a unique index on its key (id), and there is none"), "{answer:?}");
            let statement = match place.kind() {
                Kind::Postgres => "run `ALTER TABLE \"orders\" ADD UNIQUE (\"id\")`",
                Kind::Mariadb => "run `ALTER TABLE `orders` ADD UNIQUE (`id`)`",
                Kind::Sqlite => "run `CREATE UNIQUE INDEX \"orders_key\" ON \"orders\" (\"id\")`",
            };
            assert!(answer.stderr.contains(statement), "{answer:?}");
        }
    }
}

#[test]
fn a_row_that_meets_another_in_a_second_unique_index_is_refused_and_changes_none() {
    for place in every() {
        place.sql(
            "CREATE TABLE orders (id int PRIMARY KEY, code varchar(9) UNIQUE, n int); INSERT INTO orders VALUES (1, 'a', 1), (2, 'b', 2)",
        );
        let pipeline = pipeline("id,code,n\n1,a,10\n3,b,30\n4,d,40\n", &place, "primary_key: id\n");
        let report = pipeline.run(0);
        assert_eq!(report["rows"]["loaded"], 2, "{report}");
        assert_eq!(super::letters(&pipeline)[0].1, "unique_violation");
        assert_eq!(place.sql("SELECT id, code, n FROM orders ORDER BY 1"), "1|a|10\n2|b|2\n4|d|40\n", "{:?}", place.kind());
    }
}

#[test]
fn a_dry_run_looks_at_the_table_and_writes_nothing() {
    for place in every() {
        let missing = pipeline("id,n\n1,2\n", &place, "primary_key: id\n").answer(&["run", "--dry-run", "--json"]);
        assert_eq!(missing.code, 0, "{missing:?}");
        place.sql(OLD);
        let before = place.sql(ALL);
        let there = pipeline("id,n,new\n1,2,x\n", &place, "primary_key: id\n").answer(&["run", "--dry-run", "--json"]);
        assert!(there.code == 0 && there.stdout.contains("\"loaded\":1,"), "{there:?}");
        assert_eq!(place.sql("SELECT * FROM orders ORDER BY 1"), before);
        let never =
            pipeline("id,n\n1,2\n", &place, "write_method: update\nprimary_key: id\nschema_name: nowhere\n").answer(&["run", "--dry-run"]);
        assert_ne!(never.code, 0, "{never:?}");
    }
}

#[test]
fn rows_reach_a_table_by_a_view_that_shows_it() {
    for place in every().into_iter().filter(|place| place.kind() == Kind::Postgres) {
        for (method, expected) in [("insert", "1|1\n2|2\n9|9\n"), ("truncate_and_load", "1|1\n2|2\n")] {
            place.sql(
                "DROP TABLE IF EXISTS kept CASCADE; CREATE TABLE kept (id int PRIMARY KEY, n int, note text DEFAULT 'k'); INSERT INTO kept VALUES (9, 9); \
                 CREATE VIEW orders AS SELECT id, n FROM kept",
            );
            let pipeline = pipeline("id,n\n1,1\n2,2\n1,3\n", &place, &format!("primary_key: id\nwrite_method: {method}\n"));
            let report = pipeline.run(0);
            assert_eq!(place.sql("SELECT id, n FROM kept ORDER BY id"), expected, "{method}");
            assert_eq!(report["output"]["tables"][0]["inserted"], 2, "{method}: {report}");
            let letters = super::letters(&pipeline);
            assert_eq!((letters.len(), letters[0].0, letters[0].1.as_str()), (1, 3, "unique_violation"), "{method}: {letters:?}");
        }
    }
}
