//! PostgreSQL.

use super::{pipeline, refused};
use crate::servers::postgres::Database;

const ALL: &str = "SELECT * FROM orders ORDER BY 1";

#[test]
fn rows_are_inserted_into_a_table_that_is_made_for_them() {
    let Some(database) = Database::new() else { return };
    let csv = "id,name,price,day,at\n1,\"a\\b\tc\",1.5,2024-06-19,2024-06-19T01:58:32Z\n2,,,,\n3,\"line\nbreak\",-0.25,2024-02-29,2024-06-19T01:58:32.5Z\n";
    let pipeline = pipeline(csv, &database.url(), "primary_key: id\nwrite_method: insert\n").with(
        "transform.yaml",
        "convert: {day: date, at: timestamp(UTC)}\nadd: {tags: '${name}'}\n",
    );
    let report = pipeline.run(0);
    assert_eq!(report["rows"]["loaded"], 3, "{report}");
    assert_eq!(report["output"]["tables"][0]["inserted"], 3, "{report}");
    let types = "SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attnum > 0";
    assert_eq!(database.sql(types), "id bigint, name text, price double precision, day date, at timestamp with time zone, tags text\n");
    assert_eq!(
        database.sql("SET TimeZone = 'UTC'; SELECT id, replace(replace(name, chr(9), '<t>'), chr(10), '<n>'), price, day, at FROM orders ORDER BY id"),
        "1|a\\b<t>c|1.5|2024-06-19|2024-06-19 01:58:32+00\n2||||\n3|line<n>break|-0.25|2024-02-29|2024-06-19 01:58:32.5+00\n"
    );
}

#[test]
fn each_method_does_what_it_says() {
    let Some(database) = Database::new() else { return };
    let csv = "id,n,note\n2,20,b\n3,30,c\n3,31,c2\n4,40,d\n";
    let old = "DROP TABLE IF EXISTS orders; CREATE TABLE orders (id int PRIMARY KEY, n int, note text, kept text DEFAULT 'k'); INSERT INTO orders VALUES (1, 1, 'one', 'x'), (2, 2, 'two', 'y')";
    let cases = [
        ("upsert", "", "1|1|one|x\n2|20|b|y\n3|31|c2|k\n4|40|d|k\n", [2, 1, 0]),
        ("upsert", "update_columns: [n]\n", "1|1|one|x\n2|20|two|y\n3|31|c2|k\n4|40|d|k\n", [2, 1, 0]),
        ("replace", "", "1|1|one|x\n2|20|b|k\n3|31|c2|k\n4|40|d|k\n", [3, 0, 1]),
        ("update", "", "1|1|one|x\n2|20|b|y\n", [0, 1, 0]),
        ("delete", "", "1|1|one|x\n", [0, 0, 1]),
        ("truncate_and_load", "", "2|20|b|k\n3|30|c|k\n4|40|d|k\n", [3, 0, 0]),
        ("append", "", "1|1|one|x\n2|2|two|y\n3|30|c|k\n4|40|d|k\n", [2, 0, 0]),
    ];
    for (method, more, expected, [inserted, updated, deleted]) in cases {
        database.sql(old);
        let pipeline = pipeline(csv, &database.url(), &format!("primary_key: [id]\nwrite_method: {method}\n{more}"));
        let report = pipeline.run(0);
        assert_eq!(database.sql(ALL), expected, "{method}");
        let table = &report["output"]["tables"][0];
        assert_eq!(table, &serde_json::json!({ "table": "orders", "inserted": inserted, "updated": updated, "deleted": deleted }), "{method}");
    }
}

#[test]
fn rows_that_the_database_refuses_are_found_and_the_rest_loads() {
    let Some(database) = Database::new() else { return };
    let bad = |row: usize| row % 100 == 7;
    let rows: String = (1..=5000)
        .map(|row| match (bad(row), row % 700) {
            (true, 7) => format!("{row},,a\n"),
            (true, 107) => format!("{row},-1,a\n"),
            (true, 207) => format!("{row},x1,a\n"),
            (true, 307) => format!("{row},5,much too long\n"),
            (true, 407) => format!("{},5,a\n", row - 1),
            (true, 507) => format!("{row},99999999999,a\n"),
            (true, _) => format!("{row},5,z\n"),
            _ => format!("{row},5,a\n"),
        })
        .collect();
    for method in ["insert", "upsert", "replace"] {
        database.sql(
            "DROP TABLE IF EXISTS orders; DROP TABLE IF EXISTS notes; CREATE TABLE notes (note text PRIMARY KEY); INSERT INTO notes VALUES ('a'); \
             CREATE TABLE orders (id int PRIMARY KEY, n int NOT NULL CHECK (n > 0), note varchar(5) REFERENCES notes)",
        );
        let pipeline = pipeline(&format!("id,n,note\n{rows}"), &database.url(), &format!("primary_key: id\nwrite_method: {method}\n"))
            .with("transform.yaml", "convert: {id: int, n: str}\n");
        let report = pipeline.run(0);
        let repeated = if method == "insert" { 0 } else { 7 };
        assert_eq!(report["rows"]["loaded"], 4950 + repeated, "{method}: {report}");
        assert_eq!(database.sql("SELECT count(*) FROM orders"), "4950\n");
        let found = refused(&pipeline);
        let rows: Vec<u64> = found.iter().map(|(row, ..)| *row).collect();
        let expected: Vec<u64> = (1..=5000).filter(|row| bad(*row) && (row % 700 != 407 || method == "insert")).map(|row| row as u64).collect();
        assert_eq!(rows, expected, "{method}");
        let code = |row: u64| found.iter().find(|(number, ..)| *number == row).map(|(_, code, message)| format!("{code}: {message}"));
        assert_eq!(code(707).unwrap(), "not_null_violation: column `n` is null, but must not be null");
        assert!(code(107).unwrap().starts_with("check_violation: new row for relation "), "{:?}", code(107));
        assert_eq!(code(207).unwrap(), "invalid_text_representation: invalid input syntax for type integer: \"x1\"");
        assert_eq!(code(307).unwrap(), "string_too_long: value too long for type character varying(5)");
        assert_eq!(code(507).unwrap(), "number_out_of_range: value \"99999999999\" is out of range for type integer");
        assert!(code(607).unwrap().starts_with("foreign_key_violation: insert or update on table \"orders\" violates"), "{:?}", code(607));
        if method == "insert" {
            assert!(code(407).unwrap().starts_with("unique_violation: duplicate key value violates"), "{:?}", code(407));
        }
    }
}
