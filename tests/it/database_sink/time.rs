//! How long a statement may take, and how long a lock is waited for: as the URL says, else as long as it takes and a minute.

use super::letters;
use crate::servers::postgres;
use crate::support::Pipeline;

/// A load of one row by a URL with options.
fn load(database: &postgres::Database, options: &str) -> Pipeline {
    Pipeline::new().with("in.csv", "id\n1\n").with("extract.yaml", "path: in.csv\n").with(
        "load.yaml",
        format!("type: database\ntable: orders\nconnection_string: '{}{options}'\nwrite_method: truncate_and_load\n", database.url()),
    )
}

#[test]
fn the_options_of_the_url_hold_and_without_them_no_statement_is_ended() {
    let Some(database) = postgres::Database::new() else { return };
    let time = "DEFAULT current_setting";
    database.sql(&format!("CREATE TABLE orders (id int, statement text {time}('statement_timeout'), lock text {time}('lock_timeout'))"));
    // The database's own is no wish of whoever loads.
    database.sql("DO $$BEGIN EXECUTE format('ALTER DATABASE %I SET statement_timeout = 1000', current_database()); END$$");
    for (options, expected) in [
        ("", "0|1min\n"),
        ("?options[statement_timeout]=5min", "5min|1min\n"),
        ("?options[statement_timeout]=5min&options[lock_timeout]=7s", "5min|7s\n"),
        ("?options=-c%20lock_timeout=0", "0|0\n"),
    ] {
        load(&database, options).run(0);
        assert_eq!(database.sql("SELECT statement, lock FROM orders"), expected, "{options}");
    }
}

#[test]
fn a_statement_that_takes_longer_than_the_url_allows_ends_the_load_and_says_by_what() {
    let Some(database) = postgres::Database::new() else { return };
    database.sql(
        "CREATE TABLE orders (id int); \
         CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN PERFORM pg_sleep(60); RETURN NEW; END$$; \
         CREATE TRIGGER slow BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION slow()",
    );
    let loading = load(&database, "?options[statement_timeout]=200ms");
    let answer = loading.answer(&["run", "--quiet"]);
    assert_eq!((answer.code, letters(&loading).len()), (3, 0), "{answer:?}");
    insta::assert_snapshot!(answer.stderr, @r"
    error: cannot write to the table `orders`
      because: canceling statement due to statement timeout
      hint: raise `options[statement_timeout]` of the URL, where it is set; else somebody has cancelled the statement
    ");
    assert_eq!(database.sql("SELECT count(*) FROM orders"), "0\n");
}
