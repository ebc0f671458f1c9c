//! Upserts of rows most of which are known, over several chunks: PostgreSQL changes those by other statements than the first.

use super::place::Place;
use super::{Kind, every, letters, pipeline};

/// What makes a row so long that 3,000 of them are read in several chunks.
fn long() -> String {
    "x".repeat(1200)
}

#[test]
fn many_known_rows_are_changed_new_ones_inserted_and_bad_ones_found() {
    let is_new = |row: u64| row % 20 == 7;
    let is_bad = |row: u64| row % 250 == 33 || row % 500 == 27;
    let clashes = |row: u64| row == 1717;
    let rows = 0..3000;
    let csv = rows.clone().fold("id,n,code,note\n".to_owned(), |csv, row| {
        let n = if is_bad(row) { -1 } else { 1 };
        // The code of another row, which keeps it.
        let code = if clashes(row) { 5 } else { row };
        csv + &format!("{row},{n},{code},{}\n", long())
    });
    for place in every() {
        place.sql("CREATE TABLE orders (id int PRIMARY KEY, n int CHECK (n >= 0), code int UNIQUE, kept int DEFAULT 9, note text)");
        let known: Vec<String> = rows.clone().filter(|row| !is_new(*row)).map(|row| format!("({row}, 0, {row}, 4, '')")).collect();
        place.sql(&format!("INSERT INTO orders VALUES {}", known.join(", ")));
        let pipeline = pipeline(&csv, &place, "primary_key: id\nwrite_method: upsert\n");
        let report = pipeline.run(0);
        let expected = rows.clone().fold(String::new(), |lines, row| {
            let refused = is_bad(row) || clashes(row);
            match (refused, is_new(row)) {
                (true, true) => lines,
                (true, false) => lines + &format!("{row}|0|{row}|4\n"),
                (false, true) => lines + &format!("{row}|1|{row}|9\n"),
                (false, false) => lines + &format!("{row}|1|{row}|4\n"),
            }
        });
        let what = format!("{:?}", place.kind());
        let found = place.sql("SELECT id, n, code, kept FROM orders ORDER BY id");
        let differ = found.lines().zip(expected.lines()).find(|(found, expected)| found != expected);
        assert_eq!((differ, found.lines().count()), (None, expected.lines().count()), "{what}");
        let refused: Vec<u64> = rows.clone().filter(|row| is_bad(*row) || clashes(*row)).map(|row| row + 1).collect();
        assert_eq!(letters(&pipeline).iter().map(|(row, ..)| *row).collect::<Vec<_>>(), refused, "{what}");
        let table = &report["output"]["tables"][0];
        let new = rows.clone().filter(|row| is_new(*row) && !is_bad(*row) && !clashes(*row)).count();
        let counts = (new, rows.clone().count() - refused.len() - new);
        assert_eq!((&table["inserted"], &table["updated"]), (&counts.0.into(), &counts.1.into()), "{what}: {table}");
    }
}

/// Upserts known rows into a table of PostgreSQL, in batches.
fn into(place: &Place, csv: &str) -> serde_json::Value {
    pipeline(csv, place, "primary_key: k\nwrite_method: upsert\n").with("extract.yaml", "path: in.csv\nschema: {k: str}\n").run(0)
}

fn known(key: impl Fn(u64) -> String) -> String {
    (0..3000).fold("k,v,note\n".to_owned(), |csv, row| csv + &format!("{},{row},{}\n", key(row), long()))
}

#[test]
fn keys_that_are_equal_to_the_database_only_settle_on_the_last_row_in_any_chunk() {
    for place in every().into_iter().filter(|place| place.kind() == Kind::Postgres) {
        place.sql("CREATE TABLE orders (k char(5) PRIMARY KEY, v int, note text); INSERT INTO orders SELECT n, -1 FROM generate_series(0, 2999) AS n");
        // Row 2150 has a blank more than row 2149, with which it shares its key.
        into(&place, &known(|row| if row == 2150 { "\"2149 \"".to_owned() } else { row.to_string() }));
        assert_eq!(place.sql("SELECT k, v FROM orders WHERE v <> k::int ORDER BY k"), "2149 |2150\n2150 |-1\n");
    }
}

#[test]
fn triggers_of_an_insert_see_every_row_and_tables_that_inherit_stay_as_they_are() {
    for place in every().into_iter().filter(|place| place.kind() == Kind::Postgres) {
        place.sql(
            "CREATE TABLE orders (k text PRIMARY KEY, v int, note text); INSERT INTO orders SELECT n, -1 FROM generate_series(0, 2999) AS n; \
             CREATE FUNCTION twice() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.v = 2 * NEW.v; RETURN NEW; END'; \
             CREATE TRIGGER twice BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION twice()",
        );
        into(&place, &known(|row| row.to_string()));
        assert_eq!(place.sql("SELECT count(*) FROM orders WHERE v = 2 * k::int"), "3000\n");

        place
            .sql("DROP TRIGGER twice ON orders; CREATE TABLE older () INHERITS (orders); INSERT INTO older VALUES ('2999', -5), ('7', -5)");
        into(&place, &known(|row| row.to_string()));
        assert_eq!(place.sql("SELECT k, v FROM older ORDER BY k"), "2999|-5\n7|-5\n");
        assert_eq!(place.sql("SELECT count(*) FROM ONLY orders WHERE v = k::int"), "3000\n");
    }
}
