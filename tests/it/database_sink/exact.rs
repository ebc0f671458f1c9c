//! What arrives is what was sent, or the row is refused; and a table stays as it is where it can.

use serde_json::json;

use super::{Kind, every, letters, pipeline};
use crate::support::Pipeline;

#[test]
fn texts_become_moments_without_losing_a_part_or_are_refused() {
    let csv = "id,ts,d,tm\n1,2024-01-01T10:00:00+05:00,2024-01-01,10:11:12\n2,2024-01-01,2024-01-01 12:34:56,10:11\n\
               3,2024-01-01,2024-01-01,2024-01-01 10:11:12\n4,2024-01-01T00:00:00.1234567Z,2024-01-01,10:11\n5,2024-01-01,2024-01-01,23:59:59.9999999\n\
               6,2024-01-01,today 12:00,10:11\n7,2024-01-01,2024-01-01,10:00+05\n8,2024-01-01T23:30:00-05:00,2024-01-01T23:30:00-05:00,10:11\n9,,,\n";
    for place in every() {
        let at = if place.kind() == Kind::Mariadb { "datetime(6)" } else { "timestamp" };
        for method in ["insert", "upsert"] {
            place.sql(&format!("DROP TABLE IF EXISTS orders; CREATE TABLE orders (id int PRIMARY KEY, ts {at}, d date, tm time)"));
            let pipeline = pipeline(csv, &place, &format!("primary_key: id\nwrite_method: {method}\n"))
                .with("extract.yaml", "path: in.csv\nschema: {ts: str, d: str, tm: str}\n");
            pipeline.run(0);
            let found = place.sql("SELECT id, ts, d, tm FROM orders ORDER BY id").replace(".000000", "");
            assert_eq!(found, "1|2024-01-01 05:00:00|2024-01-01|10:11:12\n9|||\n", "{:?} {method}", place.kind());
            let refused: Vec<u64> = letters(&pipeline).into_iter().map(|(row, ..)| row).collect();
            assert_eq!(refused, [2, 3, 4, 5, 6, 7, 8], "{:?} {method}", place.kind());
        }
    }
}

#[test]
fn days_of_every_age_and_bytes_in_arrays_go_from_postgresql_to_postgresql() {
    for place in every().into_iter().filter(|place| place.kind() == Kind::Postgres) {
        place.sql(
            "CREATE TABLE old AS SELECT 1 AS id, '0044-03-15 BC'::date AS d, '10000-01-01'::date AS e, '4713-01-01 00:00:00+00 BC'::timestamptz AS t, \
             '0001-02-03 04:05:06.5 BC'::timestamp AS u, ARRAY['\\x00ff'::bytea, NULL] AS b; CREATE TABLE orders (LIKE old)",
        );
        let extract = format!("type: database\nquery: SELECT * FROM old\nconnection_string: {}\n", place.url());
        pipeline("", &place, "write_method: insert\n").with("extract.yaml", extract).run(0);
        assert_eq!(place.sql("SELECT count(*) FROM orders NATURAL JOIN old"), "1\n", "{}", place.sql("TABLE orders"));
    }
}

#[test]
fn columns_stay_as_narrow_as_they_are_where_all_values_fit() {
    for place in every() {
        place.sql("CREATE TABLE orders (id integer, s smallint, r real)");
        let types = match place.kind() {
            Kind::Postgres => {
                "SELECT format_type(atttypid, -1) FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attnum > 0 ORDER BY attnum"
            }
            Kind::Mariadb => "SELECT column_type FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = 'orders'",
            Kind::Sqlite => "SELECT type FROM pragma_table_info('orders')",
        };
        let before = place.sql(types);
        let answer = pipeline("id,s,r\n1,2,1.5\n", &place, "write_method: insert\n").answer(&["run"]);
        assert!(answer.code == 0 && !answer.stderr.contains("wider"), "{answer:?}");
        assert_eq!(place.sql(types), before, "{:?}", place.kind());
        // It is widened once a value needs it, and that is told.
        if place.kind() != Kind::Sqlite {
            let rows: String = (0..150_000).map(|row| format!("{row},{},0.5\n", if row == 149_999 { 40_000 } else { 1 })).collect();
            let answer = pipeline(&format!("id,s,r\n{rows}"), &place, "write_method: insert\n").answer(&["run"]);
            assert!(answer.code == 0 && answer.stderr.contains("wide"), "{answer:?}");
            let wide = if place.kind() == Kind::Postgres { "150001|40000\n" } else { "150000|2\n" };
            // MariaDB would commit what is written before it changed the table.
            assert_eq!(place.sql("SELECT count(*), max(s) FROM orders"), wide, "{:?}", place.kind());
        }
    }
}

#[test]
fn the_latest_row_is_not_the_one_whose_time_is_not_known() {
    for place in every() {
        place.sql("CREATE TABLE customers (id int PRIMARY KEY, name varchar(20))");
        let load = "write_method: insert\nmerge: [{into: customers, key: [id], columns: {name: name}, latest_by: seen}]\n";
        pipeline("id,name,seen\n1,old,2024-01-01\n1,new,2024-05-01\n1,noseen,\n2,,2024-05-01\n2,Ada,2024-05-01\n", &place, load).run(0);
        assert_eq!(place.sql("SELECT id, name FROM customers ORDER BY id"), "1|new\n2|Ada\n", "{:?}", place.kind());
    }
}

#[test]
fn documents_are_merged_though_they_have_no_order() {
    for place in every().into_iter().filter(|place| place.kind() == Kind::Postgres) {
        place.sql("CREATE TABLE customers (id int PRIMARY KEY, doc json, place point)");
        let load = "write_method: insert\nmerge: [{into: customers, key: [id], columns: {doc: 'doc::json', place: 'place::point'}}]\n";
        pipeline("id,doc,place\n1,\"{\"\"a\"\": 1}\",\"(1,2)\"\n1,\"{\"\"a\"\": 2}\",\"(1,2)\"\n", &place, load).run(0);
        assert_eq!(place.sql("SELECT id, doc, place FROM customers"), "1|{\"a\": 2}|(1,2)\n");
    }
}

#[test]
fn numbers_that_sqlite_would_make_floats_of_keep_their_digits_or_are_refused() {
    for place in every().into_iter().filter(|place| place.kind() == Kind::Sqlite) {
        place.sql("CREATE TABLE orders (id int, price decimal(20,2), n numeric, r real)");
        let csv = "id,price,n,r\n1,1234567890123456789.01,1,1\n2,1,12345678901234567890123,1\n3,1,1,9007199254740993\n4,123456789012.25,9223372036854775807,0.1\n5,0.10,1e3,-2\n";
        let pipeline =
            pipeline(csv, &place, "write_method: insert\n").with("extract.yaml", "path: in.csv\nschema: {price: str, n: str, r: str}\n");
        pipeline.run(0);
        assert_eq!(place.sql("SELECT * FROM orders ORDER BY id"), "4|123456789012.25|9223372036854775807|0.1\n5|0.1|1000|-2\n");
        assert_eq!(letters(&pipeline).iter().map(|(row, ..)| *row).collect::<Vec<_>>(), [1, 2, 3]);
        let decimal = super::pipeline("id,price\n1,123456789012345678.01\n2,2.50\n", &place, "write_method: insert\n")
            .with("extract.yaml", "path: in.csv\nschema: {price: str}\n")
            .with("transform.yaml", "convert: {price: 'decimal(20,2)'}\n");
        decimal.run(0);
        assert_eq!(letters(&decimal).len(), 1);
    }
}

#[test]
fn of_keys_that_only_the_database_takes_for_equal_the_last_row_wins() {
    for place in every().into_iter().filter(|place| place.kind() == Kind::Postgres) {
        for method in ["update", "upsert", "replace"] {
            place
                .sql("DROP TABLE IF EXISTS orders; CREATE TABLE orders (k char(3) PRIMARY KEY, v int); INSERT INTO orders VALUES ('a', 0)");
            let csv = "k,v\na,1\n\"a \",2\n";
            pipeline(csv, &place, &format!("primary_key: k\nwrite_method: {method}\n")).run(0);
            assert_eq!(place.sql("SELECT k, v FROM orders"), "a  |2\n", "{method}");
        }
    }
}

#[test]
fn letters_name_the_table_that_people_know() {
    for place in every().into_iter().filter(|place| place.kind() == Kind::Postgres) {
        for method in ["upsert", "replace", "update"] {
            place.sql("DROP TABLE IF EXISTS orders; CREATE TABLE orders (id int PRIMARY KEY, n int CHECK (n > 0) NOT NULL)");
            let pipeline = pipeline("id,n\n1,-1\n", &place, &format!("primary_key: id\nwrite_method: {method}\n"));
            pipeline.run(0);
            assert_eq!(letters(&pipeline)[0].2, "new row for relation \"orders\" violates check constraint \"orders_n_check\"", "{method}");
        }
    }
}

#[test]
fn an_identity_beside_the_key_is_given_once_and_kept() {
    for place in every().into_iter().filter(|place| place.kind() == Kind::Postgres) {
        place.sql("CREATE TABLE orders (id int PRIMARY KEY, number int GENERATED ALWAYS AS IDENTITY, n int); INSERT INTO orders VALUES (1, DEFAULT, 5)");
        pipeline("id,number,n\n1,70,6\n2,71,7\n", &place, "primary_key: id\n").run(0);
        assert_eq!(place.sql("SELECT id, number, n FROM orders ORDER BY id"), "1|1|6\n2|71|7\n");
    }
}

#[test]
fn fractions_of_a_second_and_blanks_that_a_column_has_no_room_for_are_refused() {
    let csv = "id,ts,tm,p,v,c,n\n1,2024-01-01T10:00:00.000,10:00:00.0,1.230,abc,abc,7\n2,2024-01-01T10:00:00.7,10:00:00,1,a,a,1\n\
               3,2024-01-01,10:00:00.7,1,a,a,1\n4,2024-01-01,10:00:00,1.239,a,a,1\n5,2024-01-01,10:00:00,1,\"abc   \",a,1\n\
               6,2024-01-01,10:00:00,1,\"a  \",a,40000\n";
    for place in every().into_iter().filter(|place| place.kind() != Kind::Sqlite) {
        let types = match place.kind() {
            // Of a domain that is made of another, too.
            Kind::Postgres => {
                place
                    .sql("CREATE DOMAIN cents AS numeric(10,2); CREATE DOMAIN price AS cents; CREATE DOMAIN few AS int2 CHECK (VALUE > 0)");
                ["timestamp(0)", "time(0)", "price", "few"]
            }
            _ => ["datetime", "time", "decimal(10,2)", "smallint"],
        };
        let [ts, tm, p, n] = types;
        for (method, schema) in [("insert", "ts: str, "), ("upsert", "ts: timestamp, ")] {
            place.sql(&format!(
                "DROP TABLE IF EXISTS orders; CREATE TABLE orders (id int PRIMARY KEY, ts {ts}, tm {tm}, p {p}, v varchar(3), c char(5), n {n})"
            ));
            let evolve = if place.kind() == Kind::Postgres { "evolve" } else { "discard_row" };
            let load = format!("primary_key: id\nwrite_method: {method}\nschema_evolution: {evolve}\n");
            let pipeline = pipeline(csv, &place, &load)
                .with("extract.yaml", format!("path: in.csv\nschema: {{{schema}tm: str, p: str, v: str, c: str, n: int}}\n"));
            pipeline.run(0);
            let what = format!("{:?} {method}", place.kind());
            assert_eq!(place.sql("SELECT id, ts, tm, p, v, n FROM orders"), "1|2024-01-01 10:00:00|10:00:00|1.23|abc|7\n", "{what}");
            let letters = letters(&pipeline);
            let told: Vec<(u64, &str)> = letters.iter().map(|(row, code, _)| (*row, code.as_str())).collect();
            assert_eq!(told, [2, 3, 4, 5, 6].map(|row| (row, "value_does_not_fit")), "{what}: {letters:?}");
        }
    }
}

#[test]
fn what_types_of_postgresql_would_cut_or_round_is_refused_also_in_arrays() {
    for place in every().into_iter().filter(|place| place.kind() == Kind::Postgres) {
        let table = "id int PRIMARY KEY, prices numeric(10,2)[], days date[], times timestamp(0)[], words varchar(2)[], sign \"char\", called name, \
                     cost money, span interval(0), share float4, height float8";
        place.sql(&format!("CREATE TABLE orders ({table})"));
        let fits = json!({
            "prices": ["1.23", "0.5"], "days": ["2024-01-01"], "times": ["2024-01-01T10:00:00Z"], "words": ["ab", null], "sign": "Y",
            "called": "x".repeat(63), "cost": "10.50", "span": "1 day 02:00:01", "share": 16_777_216, "height": "0.1",
        });
        let cases = [
            ("prices", json!(["1.00", "1.239"])),
            ("days", json!(["2024-01-01T10:00:00"])),
            ("times", json!(["2024-01-01T10:00:00Z", "2024-01-01T10:00:00.6Z"])),
            ("words", json!(["ab   "])),
            ("sign", json!("Yes")),
            ("called", json!("x".repeat(64))),
            ("cost", json!("10.005")),
            ("span", json!("1.7 seconds")),
            ("share", json!(16_777_217)),
            ("height", json!("9007199254740993")),
        ];
        let row = |id: usize, change: Option<&(&str, serde_json::Value)>| {
            let mut row = fits.clone();
            row["id"] = id.into();
            if let Some((column, value)) = change {
                row[*column] = value.clone();
            }
            format!("{row}\n")
        };
        let lines: String = row(0, None) + &cases.iter().enumerate().map(|(index, case)| row(index + 1, Some(case))).collect::<String>();
        let pipeline = pipeline("", &place, "write_method: insert\n").with("in.jsonl", lines).with("extract.yaml", "path: in.jsonl\n");
        pipeline.run(0);
        let letters = pipeline.letters();
        let told: Vec<&str> = letters.iter().map(|letter| letter["metadata"]["field"].as_str().unwrap_or_default()).collect();
        assert_eq!(told, cases.iter().map(|(column, _)| *column).collect::<Vec<_>>(), "{letters:?}");
        assert_eq!(place.sql("SELECT id, prices, days, cost, span FROM orders"), "0|{1.23,0.50}|{2024-01-01}|$10.50|1 day 02:00:01\n");
    }
}

#[test]
fn numbers_that_json_has_not_are_refused_in_lists_and_counted_in_csv() {
    for place in every().into_iter().filter(|place| place.kind() == Kind::Postgres) {
        let extract = format!(
            "type: database\nconnection_string: {}\nquery: \"SELECT n AS id, ARRAY[1.5, CASE n WHEN 2 THEN float8 'NaN' ELSE n END] AS l FROM generate_series(1, 3) AS s(n)\"\n",
            place.url()
        );
        let table = pipeline("", &place, "write_method: insert\n").with("extract.yaml", &*extract);
        table.run(0);
        assert_eq!(place.sql("SELECT id, l FROM orders ORDER BY id"), "1|[1.5, 1.0]\n3|[1.5, 3.0]\n");
        assert_eq!(table.letters().len(), 1);

        let file = Pipeline::new().with("extract.yaml", &*extract).with("load.yaml", "path: out.csv\n");
        let answer = file.answer(&["run", "--json"]);
        let report: serde_json::Value = serde_json::from_str(&answer.stdout).unwrap();
        assert_eq!(report["output"]["nulled"], 1, "{answer:?}");
        assert!(answer.stderr.contains("numbers that are NaN or infinite were written as null"), "{answer:?}");
    }
}

#[test]
fn replacing_keeps_one_row_of_keys_that_are_equal_to_the_database_without_an_index() {
    for place in every().into_iter().filter(|place| place.kind() == Kind::Postgres) {
        place.sql("CREATE TABLE orders (k numeric, v int); INSERT INTO orders VALUES (1, 0)");
        let twice = pipeline("k,v\n1.0,1\n1.00,2\n1,3\n", &place, "primary_key: k\nwrite_method: replace\n")
            .with("extract.yaml", "path: in.csv\nschema: {k: str}\n");
        twice.run(0);
        assert_eq!(place.sql("SELECT v FROM orders"), "3\n");
    }
}
