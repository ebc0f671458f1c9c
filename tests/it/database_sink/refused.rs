//! Rows that a database refuses.

use super::{Kind, every, letters, pipeline};

fn is_bad(row: usize) -> bool {
    row % 100 == 7
}

/// Rows of which each hundredth breaks something else.
fn rows() -> String {
    let row = |row: usize| match (is_bad(row), row % 700) {
        (true, 7) => format!("{row},,a\n"),
        (true, 107) => format!("{row},-1,a\n"),
        (true, 207) => format!("{row},x1,a\n"),
        (true, 307) => format!("{row},5,much too long\n"),
        (true, 407) => format!("{},5,a\n", row - 1),
        (true, 507) => format!("{row},99999999999,a\n"),
        (true, _) => format!("{row},5,z\n"),
        _ => format!("{row},5,a\n"),
    };
    format!("id,n,note\n{}", (1..=5000).map(row).collect::<String>())
}

#[test]
fn rows_that_the_database_refuses_are_found_and_the_rest_loads() {
    for place in every() {
        for method in ["insert", "upsert", "replace"] {
            place.sql(
                "DROP TABLE IF EXISTS orders; DROP TABLE IF EXISTS notes; CREATE TABLE notes (note varchar(20) PRIMARY KEY); \
                 INSERT INTO notes VALUES ('a'); CREATE TABLE orders (id int PRIMARY KEY, n int NOT NULL CHECK (n > 0 AND n < 5000000000), \
                 note varchar(5) CHECK (length(note) < 6), FOREIGN KEY (note) REFERENCES notes (note))",
            );
            let pipeline = pipeline(&rows(), &place, &format!("primary_key: id\nwrite_method: {method}\n"))
                .with("transform.yaml", "convert: {id: int, n: str}\n");
            let report = pipeline.run(0);
            let what = format!("{:?} {method}", place.kind());
            let repeated = if method == "insert" { 0 } else { 7 };
            assert_eq!(report["rows"]["loaded"], 4950 + repeated, "{what}: {report}");
            assert_eq!(place.sql("SELECT count(*) FROM orders"), "4950\n");
            let found = letters(&pipeline);
            let rows: Vec<u64> = found.iter().map(|(row, ..)| *row).collect();
            let repeats = |row: usize| row % 700 == 407;
            let expected: Vec<u64> =
                (1..=5000).filter(|row| is_bad(*row) && (!repeats(*row) || method == "insert")).map(|row| row as u64).collect();
            assert_eq!(rows, expected, "{what}");
            let of = |row: u64| {
                found.iter().find(|(number, ..)| *number == row).map(|(_, code, message)| (code.as_str(), message.as_str())).unwrap()
            };
            assert_eq!(of(707), ("not_null_violation", "column `n` is null, but must not be null"));
            assert_eq!(of(107).0, "check_violation", "{what}: {:?}", of(107));
            assert_eq!(of(607).0, "foreign_key_violation", "{what}: {:?}", of(607));
            let expected = match place.kind() {
                Kind::Postgres => ["invalid_text_representation", "string_too_long", "number_out_of_range"],
                Kind::Mariadb => ["value_does_not_fit", "string_too_long", "value_does_not_fit"],
                // Its texts and numbers have no limits but those of a check.
                Kind::Sqlite => ["value_does_not_fit", "check_violation", "check_violation"],
            };
            assert_eq!([of(207).0, of(307).0, of(507).0], expected, "{what}: {:?}", [of(207), of(307), of(507)]);
            if method == "insert" {
                assert_eq!(of(407).0, "unique_violation", "{what}: {:?}", of(407));
            }
        }
    }
}

#[test]
fn values_are_kept_exactly_or_refused() {
    let csv = "id,price,count,truth,day,at\n\
               1,1.25,7,true,2024-06-19,2024-06-19T01:58:32Z\n\
               2,1.255,7,true,2024-06-19,2024-06-19T01:58:32Z\n\
               3,1.5,7.5,true,2024-06-19,2024-06-19T01:58:32Z\n\
               4,1.5,7,maybe,2024-06-19,2024-06-19T01:58:32Z\n\
               5,1.5,7,false,2024-02-30,2024-06-19T01:58:32Z\n\
               6,1.5,7,false,2024-02-28,yesterday\n\
               7,-0.10,-7,0,2024-02-28,2024-06-19T01:58:32.25Z\n";
    for place in every() {
        let decimal = if place.kind() == Kind::Postgres { "timestamptz" } else { "timestamp" };
        let at = if place.kind() == Kind::Mariadb { "datetime(6)" } else { decimal };
        place.sql(&format!("CREATE TABLE orders (id int PRIMARY KEY, price decimal(8,2), count int, truth boolean, day date, at {at})"));
        let pipeline = pipeline(csv, &place, "write_method: insert\n")
            .with("transform.yaml", "convert: {price: str, count: str, truth: str, day: str, at: str}\n");
        pipeline.run(0);
        let rows: Vec<u64> = letters(&pipeline).into_iter().map(|(row, ..)| row).collect();
        assert_eq!(rows, [2, 3, 4, 5, 6], "{:?}: {:?}", place.kind(), letters(&pipeline));
        let found = place.sql("SELECT id, price, count, CASE WHEN truth THEN 'yes' ELSE 'no' END, day FROM orders ORDER BY id");
        assert_eq!(found.replace("-0.1|", "-0.10|"), "1|1.25|7|yes|2024-06-19\n7|-0.10|-7|no|2024-02-28\n", "{:?}", place.kind());
    }
}

#[test]
fn a_row_that_a_trigger_or_a_partition_refuses_costs_that_row() {
    for place in every().into_iter().filter(|place| place.kind() != Kind::Sqlite) {
        for method in ["insert", "upsert"] {
            let (refuses, raised) = match place.kind() {
                Kind::Postgres => (
                    "CREATE TABLE orders (id int PRIMARY KEY, n int) PARTITION BY RANGE (id); \
                     CREATE TABLE low PARTITION OF orders FOR VALUES FROM (0) TO (100); \
                     CREATE OR REPLACE FUNCTION look() RETURNS trigger AS $$ BEGIN IF NEW.n > 9 THEN \
                     RAISE EXCEPTION 'n is too big' USING ERRCODE = 'UE001'; END IF; RETURN NEW; END $$ LANGUAGE plpgsql; \
                     CREATE TRIGGER look BEFORE INSERT OR UPDATE ON low FOR EACH ROW EXECUTE FUNCTION look()",
                    "check_violation",
                ),
                _ => (
                    "CREATE TABLE orders (id int PRIMARY KEY, n int) PARTITION BY RANGE (id) (PARTITION low VALUES LESS THAN (100));\n\
                     DELIMITER $\nCREATE TRIGGER look BEFORE INSERT ON orders FOR EACH ROW BEGIN IF NEW.n > 9 THEN \
                     SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 30001, MESSAGE_TEXT = 'n is too big'; END IF; END $",
                    "no_partition",
                ),
            };
            place.sql("DROP TABLE IF EXISTS orders");
            place.sql(refuses);
            place.sql("INSERT INTO orders VALUES (7, 7)");
            let pipeline = pipeline("id,n\n1,1\n2,10\n200,1\n3,3\n7,8\n", &place, &format!("primary_key: id\nwrite_method: {method}\n"));
            let report = pipeline.run(0);
            let what = format!("{:?} {method}", place.kind());
            let (rows, updated) = if method == "upsert" { ("1|1\n3|3\n7|8\n", 1) } else { ("1|1\n3|3\n7|7\n", 0) };
            assert_eq!(place.sql("SELECT id, n FROM orders ORDER BY id"), rows, "{what}");
            let table = &report["output"]["tables"][0];
            assert_eq!((&table["inserted"], &table["updated"]), (&2.into(), &updated.into()), "{what}: {table}");
            let letters = letters(&pipeline);
            assert_eq!((letters[0].0, letters[0].1.as_str()), (2, "raised_by_trigger"), "{what}: {letters:?}");
            assert!(letters[0].2.contains("n is too big"), "{what}: {letters:?}");
            assert_eq!((letters[1].0, letters[1].1.as_str()), (3, raised), "{what}: {letters:?}");
        }
    }
}
