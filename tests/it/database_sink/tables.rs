//! Tables that are made, and those that are widened.

use super::{Kind, every, pipeline};

#[test]
fn rows_are_inserted_into_a_table_that_is_made_for_them() {
    let csv = "id,name,price,day,at,Odd \"name\n1,\"a\\b\tc\",1.5,2024-06-19,2024-06-19T01:58:32Z,x\n2,,,,,\n3,\"line\nbreak's\",-0.25,2024-02-29,2024-06-19T01:58:32.5Z,\n";
    for place in every() {
        let pipeline = pipeline(&csv.replace("Odd \"name", "\"Odd `\"\"name\""), &place, "primary_key: id\nwrite_method: insert\n").with(
            "transform.yaml",
            "transform:\n- jsonata: {mode: record, expression: '$merge([$, {\"tags\": [name, \"1\"]}])'}\n- convert: {day: date, at: timestamp(UTC), price: 'decimal(8,2)'}\n",
        );
        let report = pipeline.run(0);
        assert_eq!(report["rows"]["loaded"], 3, "{report}");
        assert_eq!(report["output"]["tables"][0]["inserted"], 3, "{report}");
        let (types, text, expected) = match place.kind() {
            Kind::Postgres => (
                "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attnum > 0 ORDER BY attnum",
                "SET TimeZone = 'UTC'; SELECT id, replace(replace(name, chr(9), '<t>'), chr(10), '<n>'), price, day, at FROM orders ORDER BY id",
                "id|bigint\nname|text\nprice|numeric(8,2)\nday|date\nat|timestamp with time zone\nOdd `\"name|text\ntags|jsonb\n",
            ),
            Kind::Mariadb => (
                "SELECT column_name, column_type FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = 'orders' ORDER BY ordinal_position",
                "SELECT id, replace(replace(name, char(9), '<t>'), char(10), '<n>'), price, day, at FROM orders ORDER BY id",
                "id|bigint(20)\nname|longtext\nprice|decimal(8,2)\nday|date\nat|datetime(6)\nOdd `\"name|longtext\ntags|longtext\n",
            ),
            Kind::Sqlite => (
                "SELECT name, type FROM pragma_table_info('orders')",
                "SELECT id, replace(replace(name, char(9), '<t>'), char(10), '<n>'), price, day, at FROM orders ORDER BY id",
                "id|INTEGER\nname|TEXT\nprice|TEXT\nday|DATE\nat|TIMESTAMP\nOdd `\"name|TEXT\ntags|JSON\n",
            ),
        };
        assert_eq!(place.sql(types), expected);
        let found =
            place.sql(text).replace("+00", "").replace(".000000", "").replace(".500000", ".5").replace(".500", ".5").replace('\\', "/");
        assert_eq!(
            found.replace("//", "/"),
            "1|a/b<t>c|1.50|2024-06-19|2024-06-19 01:58:32\n2||||\n3|line<n>break's|-0.25|2024-02-29|2024-06-19 01:58:32.5\n",
            "{:?}",
            place.kind()
        );
    }
}

#[test]
fn a_table_evolves_with_the_rows_or_stays_as_it_is() {
    let table = "DROP TABLE IF EXISTS orders; CREATE TABLE orders (id int PRIMARY KEY, n int); INSERT INTO orders VALUES (1, 1)";
    let csv = "id,n,new\n2,5000000000,x\n3,3,\n";
    for place in every() {
        let widened = "1|1|\n2|5000000000|x\n3|3|\n";
        let run = |evolution: &str, code: i32| {
            place.sql(table);
            let pipeline = pipeline(csv, &place, &format!("primary_key: id\nschema_evolution: {evolution}\n"));
            pipeline.run(code);
            (
                place.sql("SELECT * FROM orders ORDER BY id"),
                super::letters(&pipeline).into_iter().map(|(row, code, _)| (row, code)).collect::<Vec<_>>(),
            )
        };
        let none: Vec<(u64, String)> = Vec::new();
        assert_eq!(run("evolve", 0), (widened.to_owned(), none.clone()), "{:?}", place.kind());
        assert_eq!(run("freeze", 1).0, "1|1\n", "{:?}", place.kind());
        let (rows, refused) = run("discard_row", 0);
        assert_eq!(rows, "1|1\n3|3\n");
        assert_eq!(refused.len(), 1);
        let left = if place.kind() == Kind::Sqlite { "1|1\n2|5000000000\n3|3\n" } else { "1|1\n2|\n3|3\n" };
        assert_eq!(run("discard_value", 0), (left.to_owned(), none), "{:?}", place.kind());
    }
}

#[test]
fn a_missing_table_is_an_error_where_none_is_to_be_made_and_so_is_a_missing_value() {
    for place in every() {
        let answer = pipeline("id\n1\n", &place, "create_table: never\n").answer(&["run"]);
        assert_eq!(answer.code, 2, "{answer:?}");
        assert!(answer.stderr.contains("there is no table `orders`"), "{answer:?}");
        place.sql("CREATE TABLE orders (id int, must int NOT NULL)");
        let answer = pipeline("id\n1\n", &place, "").answer(&["run"]);
        assert_eq!(answer.code, 2, "{answer:?}");
        assert!(answer.stderr.contains("column `must` of `orders` must not be null and has no default"), "{answer:?}");
    }
}
