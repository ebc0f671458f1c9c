//! What values become, and which are refused.

use serde_json::{Value, json};

use super::{Base, rows};
use crate::servers::{mariadb, postgres};

/// The types of the columns as `plan` shows them.
fn schema(base: &Base, query: &str, more: &Value) -> String {
    let answer = base.pipeline(query, more).answer(&["plan"]);
    assert_eq!(answer.code, 0, "{answer:?}");
    let line = answer.stdout.lines().find_map(|line| line.trim().strip_prefix("schema ")).unwrap_or_else(|| panic!("{answer:?}"));
    line.trim().to_owned()
}

#[test]
fn all_types_of_postgresql_come_as_what_they_are() {
    let Some(database) = postgres::Database::new() else { return };
    let base = Base::Postgres(database);
    base.sql(
        "CREATE TYPE mood AS ENUM ('sad', 'glad'); CREATE DOMAIN positive AS int CHECK (value > 0);
         CREATE TYPE pair AS (a int, b text);
         CREATE TABLE t (b bool, i2 int2, i4 int4, i8 int8, f4 float4, f8 float8, n numeric, n2 numeric(20,4), s text, c char(3), v varchar(9),
            y bytea, d date, tm time, ts timestamp, tz timestamptz, iv interval, u uuid, j json, jb jsonb, ai int[], at text[], an numeric(5,2)[],
            e mood, ip inet, dom positive, r int4range, p pair, m money, bits bit(3), x xml);
         INSERT INTO t VALUES (true, -32768, -2147483648, -9223372036854775808, 1.5, 0.1, 12345678901234567890.123456789,
            -1234567890123456.7891, 'ä \"x\"', 'ab', 'v', '\\x00ff', '0001-01-01', '23:59:59.999999', '2024-02-29 12:00:00.000001',
            '2024-02-29 12:00:00.5+02', '1 year 2 days 03:04:05', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{\"a\": [1, null]}', '{\"b\":1.50}',
            '{1,null,3}', '{a,\"b,c\"}', '{1.50,2}', 'glad', '10.0.0.1/8', 7, '[1,5)', '(1,z)', 12.5, B'101', '<a/>');
         INSERT INTO t (b) VALUES (NULL);",
    );
    let expected = json!({
        "b": true, "i2": -32768, "i4": -2147483648, "i8": i64::MIN, "f4": 1.5, "f8": 0.1, "n": "12345678901234567890.123456789",
        "n2": -1_234_567_890_123_456.8, "s": "ä \"x\"", "c": "ab ", "v": "v", "y": "AP8=", "d": "0001-01-01", "tm": "23:59:59.999999",
        "ts": "2024-02-29T12:00:00.000001", "tz": "2024-02-29T10:00:00.500Z", "iv": "1 year 2 days 03:04:05",
        "u": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "j": "{\"a\": [1, null]}", "jb": "{\"b\": 1.50}", "ai": [1, null, 3], "at": ["a", "b,c"],
        "an": [1.5, 2.0], "e": "glad", "ip": "10.0.0.1/8", "dom": 7, "r": "[1,5)", "p": "(1,z)", "m": "$12.50", "bits": "101", "x": "<a/>"
    });
    let pipeline = base.pipeline("SELECT * FROM t ORDER BY b", &json!({}));
    pipeline.run(0);
    assert!(pipeline.read("out.jsonl").contains("-1234567890123456.7891"), "a decimal is exact");
    let found = rows(&pipeline);
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&found[0][name], value, "{name}");
        assert_eq!(found[1][name], Value::Null, "{name}");
    }
    insta::assert_snapshot!(
        schema(&base, "SELECT * FROM t", &json!({})),
        @r#"b: Boolean, i2: Int16, i4: Int32, i8: Int64, f4: Float32, f8: Float64, n: Utf8, n2: Decimal128(20, 4), s: Utf8, c: Utf8, v: Utf8, y: Binary, d: Date32, tm: Time64(µs), ts: Timestamp(µs), tz: Timestamp(µs, "UTC"), iv: Utf8, u: Utf8, j: Utf8, jb: Utf8, ai: List(Int32), at: List(Utf8), an: List(Decimal128(5, 2)), e: Utf8, ip: Utf8, dom: Int32, r: Utf8, p: Utf8, m: Utf8, bits: Utf8, x: Utf8"#
    );
    let pinned = json!({"schema": {"n": "decimal(38,9)", "tz": "string", "i4": "string", "s": "string"}});
    assert_eq!(schema(&base, "SELECT n, tz, i4, s FROM t", &pinned), "n: Decimal128(38, 9), tz: Utf8, i4: Utf8, s: Utf8");
    let found = base.rows("SELECT n, tz, i4, s FROM t ORDER BY b LIMIT 1", &pinned);
    assert_eq!(found[0]["tz"], "2024-02-29 10:00:00.5+00");
}

#[test]
fn values_of_postgresql_that_no_type_holds_are_refused_one_by_one() {
    let Some(database) = postgres::Database::new() else { return };
    let base = Base::Postgres(database);
    base.sql(
        "CREATE TABLE t (id int, d date, tz timestamptz, n numeric(5,2), a int[]);
         INSERT INTO t VALUES (1, 'infinity', NULL, NULL, NULL), (2, NULL, '-infinity', NULL, NULL), (3, NULL, NULL, 'NaN', NULL),
            (4, NULL, NULL, NULL, '{{1},{2}}'), (5, '2024-01-01', now(), 1.5, '{}')",
    );
    let pipeline = base.pipeline("SELECT * FROM t ORDER BY id", &json!({}));
    let report = pipeline.run(0);
    assert_eq!((&report["rows"]["read"], &report["rows"]["loaded"]), (&json!(5), &json!(1)), "{report}");
    let messages: Vec<String> = pipeline.letters().iter().map(|letter| letter["message"].as_str().unwrap().to_owned()).collect();
    assert_eq!(messages.len(), 4);
    assert!(messages[0].starts_with("row 1, column `d`: `infinity` is not a day"), "{messages:?}");
    assert!(messages[1].starts_with("row 2, column `tz`: `-infinity` is not a time"), "{messages:?}");
    assert!(messages[2].starts_with("row 3, column `n`: `NaN` is not a decimal(5,2)"), "{messages:?}");
    assert!(messages[3].starts_with("row 4, column `a`: `an array of 2 dimensions` is not a list"), "{messages:?}");
    let pinned =
        base.rows("SELECT * FROM t ORDER BY id", &json!({"schema": {"d": "string", "tz": "string", "n": "string", "a": "string"}}));
    assert_eq!((pinned.len(), &pinned[0]["d"], &pinned[3]["a"]), (5, &json!("infinity"), &json!("{{1},{2}}")));
}

#[test]
fn all_types_of_mariadb_come_as_what_they_are() {
    let Some(database) = mariadb::Database::new() else { return };
    let base = Base::Mariadb(database);
    base.sql(
        "SET sql_mode = '';
         CREATE TABLE t (b tinyint(1), i1 tinyint, u1 tinyint unsigned, i2 smallint, u2 smallint unsigned, i3 mediumint, u3 mediumint unsigned,
            i4 int, u4 int unsigned, i8 bigint, u8 bigint unsigned, f float, g double, n decimal(20,4), c char(3), v varchar(20),
            vb varchar(20) COLLATE utf8mb4_bin, tx text, bn varbinary(4), bl blob, d date, dt datetime(6), ts timestamp(3) NULL, tm time(6), y year,
            e enum('a','b'), s set('x','y'), j json, bits bit(10), l varchar(5) CHARACTER SET latin1);
         INSERT INTO t VALUES (1, -128, 255, -32768, 65535, -8388608, 16777215, -2147483648, 4294967295, -9223372036854775808,
            18446744073709551615, 1.5, 0.1, -1234567890123456.7891, 'ab', 'ä 😀', 'bin', 'text', x'00ff', x'', '2024-02-29',
            '2024-02-29 12:00:00.000001', '2024-02-29 12:00:00.5', '23:59:59.999999', 2024, 'b', 'x,y', '{\"a\": 1}', b'1000000001', 'é');
         INSERT INTO t (b) VALUES (NULL);",
    );
    let expected = json!({
        "b": true, "i1": -128, "u1": 255, "i2": -32768, "u2": 65535, "i3": -8388608, "u3": 16777215, "i4": -2147483648, "u4": 4294967295u32,
        "i8": i64::MIN, "u8": u64::MAX, "f": 1.5, "g": 0.1, "n": -1_234_567_890_123_456.8, "c": "ab", "v": "ä 😀", "vb": "bin", "tx": "text",
        "bn": "AP8=", "bl": "", "d": "2024-02-29", "dt": "2024-02-29T12:00:00.000001", "tm": "23:59:59.999999",
        "y": 2024, "e": "b", "s": "x,y", "j": "{\"a\": 1}", "bits": 513, "l": "é"
    });
    let pipeline = base.pipeline("SELECT * FROM t ORDER BY b DESC", &json!({}));
    pipeline.run(0);
    assert!(pipeline.read("out.jsonl").contains("-1234567890123456.7891"), "a decimal is exact");
    let found = rows(&pipeline);
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&found[0][name], value, "{name}");
        assert_eq!(found[1][name], Value::Null, "{name}");
    }
    insta::assert_snapshot!(
        schema(&base, "SELECT *, sum(n) over () AS total FROM t", &json!({})),
        @r#"b: Boolean, i1: Int8, u1: UInt8, i2: Int16, u2: UInt16, i3: Int32, u3: UInt32, i4: Int32, u4: UInt32, i8: Int64, u8: UInt64, f: Float32, g: Float64, n: Decimal128(20, 4), c: Utf8, v: Utf8, vb: Utf8, tx: Utf8, bn: Binary, bl: Binary, d: Date32, dt: Timestamp(µs), ts: Timestamp(µs, "UTC"), tm: Time64(µs), y: UInt16, e: Utf8, s: Utf8, j: Utf8, bits: UInt64, l: Utf8, total: Utf8"#
    );
}

#[test]
fn values_of_mariadb_that_no_type_holds_are_refused_one_by_one() {
    let Some(database) = mariadb::Database::new() else { return };
    let base = Base::Mariadb(database);
    base.sql(
        "SET sql_mode = ''; CREATE TABLE t (id int, d date, tm time, b tinyint(1));
         INSERT INTO t VALUES (1, '0000-00-00', NULL, NULL), (2, NULL, '-30:00:00', NULL), (3, NULL, NULL, 5), (4, '2024-01-01', '01:00:00', 0)",
    );
    let pipeline = base.pipeline("SELECT * FROM t ORDER BY id", &json!({}));
    let report = pipeline.run(0);
    assert_eq!((&report["rows"]["read"], &report["rows"]["loaded"]), (&json!(4), &json!(1)), "{report}");
    let letters = pipeline.letters();
    let messages: Vec<&str> = letters.iter().map(|letter| letter["message"].as_str().unwrap()).collect();
    assert!(messages[0].starts_with("row 1, column `d`: `0000-00-00` is not a day"), "{messages:?}");
    assert!(messages[1].starts_with("row 2, column `tm`: `-30:00:00.000000` is not a time of day"), "{messages:?}");
    assert!(messages[2].starts_with("row 3, column `b`: `5` is not true or false"), "{messages:?}");
    let pinned = base.rows("SELECT * FROM t ORDER BY id", &json!({"schema": {"d": "string", "tm": "string", "b": "string"}}));
    assert_eq!((&pinned[0]["d"], &pinned[1]["tm"], &pinned[2]["b"]), (&json!("0000-00-00"), &json!("-30:00:00"), &json!("5")));
}

#[test]
fn values_of_sqlite_are_what_they_are_and_held_to_what_their_column_says() {
    let base = Base::sqlite();
    base.sql(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, price DECIMAL(10,2), ok BOOLEAN, at DATETIME, d DATE, b BLOB, r REAL, any);
         INSERT INTO t VALUES (1, 'ä', 12.5, 1, '2024-01-01 10:00:00.5', '2024-02-29', x'00ff', 2, 5), (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
            (3, 'x', 'n/a', 0, NULL, NULL, NULL, NULL, 7), (4, x'ff', NULL, NULL, NULL, NULL, NULL, NULL, 2.5), (9, 5, 3, 'true', NULL, NULL, '', 9.5, 1)",
    );
    assert_eq!(
        schema(&base, "SELECT t.*, count(*) OVER () AS n FROM t", &json!({})),
        "id: Int64, name: Utf8, price: Decimal128(10, 2), ok: Boolean, at: Timestamp(µs), d: Date32, b: Binary, r: Float64, any: Float64, n: Int64"
    );
    let pipeline = base.pipeline("SELECT t.*, 'x' || id AS e FROM t ORDER BY id", &json!({}));
    let report = pipeline.run(0);
    assert_eq!((&report["rows"]["read"], &report["rows"]["loaded"]), (&json!(5), &json!(3)), "{report}");
    let found = rows(&pipeline);
    assert_eq!(
        found[0],
        json!({"id": 1, "name": "ä", "price": 12.5, "ok": true, "at": "2024-01-01T10:00:00.500", "d": "2024-02-29", "b": "AP8=", "r": 2.0, "any": 5.0, "e": "x1"})
    );
    assert_eq!((&found[2]["name"], &found[2]["price"], &found[2]["ok"]), (&json!("5"), &json!(3.0), &json!(true)));
    let letters = pipeline.letters();
    let messages: Vec<&str> = letters.iter().map(|letter| letter["message"].as_str().unwrap()).collect();
    assert!(
        messages[0].starts_with("row 3, column `price`: `n/a` is not a decimal(10,2), the type of its column; pin `schema:"),
        "{messages:?}"
    );
    assert!(messages[1].starts_with("row 4, column `name`: `x'ff'` is not a text"), "{messages:?}");
    assert_eq!(letters[0]["record"]["price"], "n/a");
    // A step that converts the column gets the text.
    let convert = base.pipeline("SELECT id, price FROM t WHERE id < 4 ORDER BY id", &json!({}));
    let convert = convert.with("transform.yaml", "convert: {price: float}\non_convert_error: 'null'\n");
    let report = convert.run(0);
    assert_eq!(report["rows"]["loaded"], 3, "{report}");
}

#[test]
fn a_pin_that_would_lose_something_refuses_the_row() {
    for base in Base::all() {
        base.sql("CREATE TABLE t (id int, n decimal(10,3), f double precision, s varchar(20))");
        base.sql("INSERT INTO t VALUES (1, 1.5, 2.0, '10'), (2, 1.255, 2.0, '10'), (3, 1.5, 2.5, '10'), (4, 1.5, 2.0, 'ten')");
        let pinned = json!({"schema": {"n": "decimal(10,2)", "f": "int", "s": "int"}});
        let pipeline = base.pipeline("SELECT * FROM t ORDER BY id", &pinned);
        pipeline.run(0);
        assert_eq!(rows(&pipeline), [json!({"id": 1, "n": 1.5, "f": 2, "s": 10})], "{}", base.name());
        let fields: Vec<Value> = pipeline.letters().iter().map(|letter| letter["metadata"]["field"].clone()).collect();
        assert_eq!(fields, ["n", "f", "s"], "{}", base.name());
    }
}

#[test]
fn columns_of_one_name_are_told_apart_and_none_at_all_is_no_source() {
    for base in Base::all() {
        base.fill(3);
        let found = base.rows("SELECT a.id, b.id, a.text AS id_2 FROM t a JOIN t b ON a.id = b.id WHERE a.id = 2", &json!({}));
        assert_eq!(found, [json!({"id": 2, "id_3": 2, "id_2": "row 2"})], "{}", base.name());
        // Ordered by a key it is the same.
        let found = base.rows("SELECT b.text, a.id, b.id FROM t a JOIN t b ON a.id = b.id", &json!({"cursor_field": "id"}));
        assert_eq!(found[2], json!({"text": "row 3", "id": 3, "id_2": 3}), "{}", base.name());
        assert_eq!(base.rows("SELECT * FROM t WHERE id > 9", &json!({})), [] as [Value; 0]);
    }
}
