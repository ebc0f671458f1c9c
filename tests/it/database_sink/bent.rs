//! What MySQL and SQLite would silently make another value or another row of.

use super::place::Place;
use super::{Kind, every, letters, pipeline};
use crate::servers::mariadb;
use crate::support::Pipeline;

fn of(kind: Kind) -> Vec<Place> {
    every().into_iter().filter(|place| place.kind() == kind).collect()
}

/// What a run of these rows into `orders` came to: rows added, changed and deleted.
fn counts(csv: &str, place: &Place, load: &str) -> [u64; 3] {
    let table = &pipeline(csv, place, load).run(0)["output"]["tables"][0];
    ["inserted", "updated", "deleted"].map(|count| table[count].as_u64().unwrap())
}

#[test]
fn a_number_is_never_the_place_of_a_label_nor_another_year_bit_or_float() {
    let csv = "id,e,w,s,b,y,f\n1,1,10,a,1,2024,16777216\n2,0,20,b,0,1901,1\n3,1,2,a,1,2024,1\n4,1,10,3,1,2024,1\n5,1,10,a,300,2024,1\n\
               6,1,10,a,1,5,1\n7,1,10,a,1,70,1\n8,1,10,a,1,2024,16777217\n9,7,10,a,1,2024,1\n10,,,,,,\n";
    for place in of(Kind::Mariadb) {
        for (method, schema) in [("insert", ""), ("upsert", "schema: {e: str, w: str, s: str, b: str, y: str, f: str}\n"), ("replace", "")]
        {
            place.sql(
                "DROP TABLE IF EXISTS orders; CREATE TABLE orders (id int PRIMARY KEY, e ENUM('0','1'), w ENUM('10','20'), s SET('a','b'), \
                 b BIT(8), y YEAR, f FLOAT)",
            );
            let pipeline = pipeline(csv, &place, &format!("primary_key: id\nwrite_method: {method}\n"))
                .with("extract.yaml", format!("path: in.csv\n{schema}"));
            pipeline.run(0);
            let found = place.sql("SELECT id, e, w, s, b + 0, y, CAST(f AS signed) FROM orders ORDER BY id");
            assert_eq!(found, "1|1|10|a|1|2024|16777216\n2|0|20|b|0|1901|1\n10||||||\n", "{method}");
            let letters = letters(&pipeline);
            let refused: Vec<u64> = letters.iter().map(|(row, ..)| *row).collect();
            assert_eq!(refused, [3, 4, 5, 6, 7, 8, 9], "{method}: {letters:?}");
        }
        place.sql("DROP TABLE orders; CREATE TABLE orders (e ENUM('x','y','10') PRIMARY KEY, n int)");
        let labels = pipeline("e,n\n10,1\nX,2\n1,3\nz,4\n", &place, "primary_key: e\nwrite_method: upsert\n");
        let labels = labels.with("extract.yaml", "path: in.csv\nschema: {e: str}\n");
        labels.run(0);
        assert_eq!(place.sql("SELECT e, n FROM orders ORDER BY n"), "10|1\nx|2\n");
        assert!(
            super::letters(&labels)[0].2.contains("`1` (Utf8) does not fit column `e` (enum('x','y','10'))"),
            "{:?}",
            super::letters(&labels)
        );
    }
}

#[test]
fn an_index_of_first_letters_settles_no_key() {
    for place in of(Kind::Mariadb) {
        let csv = "email,v\nanna.a@x.de,1\nanna.b@x.de,2\nbob,3\n";
        place.sql("CREATE TABLE orders (email varchar(50), v int, PRIMARY KEY (email(5)))");
        let answer = pipeline(csv, &place, "primary_key: email\n").answer(&["run"]);
        assert!(answer.code == 2 && answer.stderr.contains("`upsert` into `orders` needs a unique index on its key (email)"), "{answer:?}");
        // Beside that of the key it is one more that may refuse a row, and takes none for another.
        place.sql("ALTER TABLE orders ADD UNIQUE (email)");
        let pipeline = pipeline(csv, &place, "primary_key: email\n");
        pipeline.run(0);
        assert_eq!(place.sql("SELECT email, v FROM orders ORDER BY v"), "anna.a@x.de|1\nbob|3\n");
        assert_eq!(letters(&pipeline).iter().map(|(row, code, _)| (*row, code.as_str())).collect::<Vec<_>>(), [(2, "unique_violation")]);
    }
}

#[test]
fn a_text_of_which_sqlite_would_make_another_number_is_refused() {
    for place in of(Kind::Sqlite) {
        place.sql("CREATE TABLE orders (id integer primary key, zip STRING, price MONEY)");
        let csv = "id,zip,price\n1,01234,1\n2,1e5,1\n3,1234,1\n4,abc,1\n5,1.50,1\n6,1.5,1.25\n7,\" 7\",1\n8,,\n9,12345678901234567890,1\n10,1,12345678901234567.89\n";
        let pipeline =
            pipeline(csv, &place, "write_method: insert\n").with("extract.yaml", "path: in.csv\nschema: {zip: str, price: str}\n");
        pipeline.run(0);
        assert_eq!(place.sql("SELECT * FROM orders ORDER BY id"), "3|1234|1\n4|abc|1\n6|1.5|1.25\n8||\n");
        let letters = letters(&pipeline);
        assert_eq!(letters.iter().map(|(row, ..)| *row).collect::<Vec<_>>(), [1, 2, 5, 7, 9, 10]);
        let told = "`01234` (Utf8) does not fit column `zip` (STRING), of which SQLite makes a number: `TEXT` keeps it as it is";
        assert_eq!((letters[0].1.as_str(), letters[0].2.as_str()), ("value_does_not_fit", told));
        // Keys stay apart; a number is a number; a strict table keeps what it is given.
        for (table, expected) in [
            ("(sku STRING PRIMARY KEY, n int)", "1|2\n100|4\n"),
            ("(sku ANY PRIMARY KEY, n int) STRICT", "01|1\n1|2\n1e2|3\n100|4\n"),
            ("(sku PRIMARY KEY, n int)", "01|1\n1|2\n1e2|3\n100|4\n"),
        ] {
            place.sql(&format!("DROP TABLE orders; CREATE TABLE orders {table}"));
            super::pipeline("sku,n\n01,1\n1,2\n1e2,3\n100,4\n", &place, "primary_key: sku\n")
                .with("extract.yaml", "path: in.csv\nschema: {sku: str}\n")
                .run(0);
            assert_eq!(place.sql("SELECT sku, n FROM orders ORDER BY n"), expected, "{table}");
        }
        place.sql("DROP TABLE orders; CREATE TABLE orders (id int, n STRING)");
        super::pipeline("id,n\n1,1.50\n2,7\n", &place, "write_method: insert\n").run(0);
        assert_eq!(place.sql("SELECT n FROM orders ORDER BY id"), "1.5\n7\n");
    }
}

#[test]
fn keys_that_differ_in_blanks_or_case_are_two_in_a_table_that_is_made_here() {
    let csv = "name,v\na,1\n\"a \",2\nb,3\n\"b\t\",4\nB,5\n";
    for place in every() {
        assert_eq!(counts(csv, &place, "primary_key: name\n"), [5, 0, 0], "{:?}", place.kind());
        assert_eq!(place.sql("SELECT v FROM orders ORDER BY v"), "1\n2\n3\n4\n5\n", "{:?}", place.kind());
        assert_eq!(counts(csv, &place, "primary_key: name\n"), [0, 5, 0], "{:?}", place.kind());
    }
}

#[test]
fn rows_are_counted_as_the_server_tells_keys_apart() {
    let csv = "name,v\na,1\nA,2\nb,3\n\"b \",4\nc,5\n";
    for place in of(Kind::Mariadb) {
        let table = "DROP TABLE IF EXISTS orders; CREATE TABLE orders (name varchar(9) COLLATE utf8mb4_general_ci";
        let load = |method: &str| format!("primary_key: name\nwrite_method: {method}\n");
        let found = || place.sql("SELECT name, v FROM orders ORDER BY v");
        place.sql(&format!("{table} PRIMARY KEY, v int); INSERT INTO orders VALUES ('C', 0)"));
        assert_eq!(counts(csv, &place, &load("upsert")), [2, 1, 0]);
        assert_eq!(found(), "a|2\nb|4\nC|5\n");
        assert_eq!(counts(csv, &place, &load("replace")), [5, 0, 5]);
        assert_eq!(found(), "A|2\nb |4\nc|5\n");
        // Without an index nobody but the query knows that they are the same.
        place.sql(&format!("{table}, v int); INSERT INTO orders VALUES ('C', 0)"));
        assert_eq!(counts(csv, &place, &load("replace")), [5, 0, 3]);
        assert_eq!(found(), "A|2\nb |4\nc|5\n");
    }
}

#[test]
fn no_more_is_sent_at_once_than_the_server_takes() {
    let Some(server) = mariadb::Server::start() else { return };
    server.sql("mysql", "CREATE DATABASE d; SET GLOBAL max_allowed_packet = 1048576");
    let rows: String = (0..600).map(|id| format!("{id},{}\n", "x".repeat(if id == 7 { 2 << 20 } else { 11_000 }))).collect();
    for method in ["insert", "upsert", "replace", "update"] {
        server.sql("d", "DROP TABLE IF EXISTS orders; CREATE TABLE orders (id int PRIMARY KEY, note longtext)");
        if method == "update" {
            server.sql("d", "INSERT INTO orders SELECT seq, 'x' FROM seq_0_to_599");
        }
        let load =
            format!("type: database\ntable: orders\nconnection_string: {}\nprimary_key: id\nwrite_method: {method}\n", server.url("d"));
        let pipeline =
            Pipeline::new().with("in.csv", format!("id,note\n{rows}")).with("extract.yaml", "path: in.csv\n").with("load.yaml", load);
        pipeline.run(0);
        assert_eq!(server.sql("d", "SELECT count(*), sum(length(note)) FROM orders WHERE length(note) > 1"), "599\t6589000\n", "{method}");
        let letters = letters(&pipeline);
        assert!(letters.len() == 1 && (letters[0].0, letters[0].1.as_str()) == (8, "row_too_long"), "{method}: {letters:?}");
        assert_eq!(letters[0].2, "the row has 2097176 bytes, but `max_allowed_packet` of the server is 1048576", "{method}");
    }
}
