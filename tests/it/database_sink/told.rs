//! What is told of a load that is not as it was meant, or of one that was done.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use etl_host::config::database::Connection;
use etl_host::remote::database::{Connected, connect};
use etl_host::remote::wait;
use serde_json::json;
use sqlx::Executor as _;

use super::{Kind, every, letters, pipeline};

/// Refused before anything is read, in these words.
fn refused(load: &str, place: &super::Place, told: &str) {
    let answer = pipeline("id,n\n1,2\n", place, load).answer(&["run"]);
    assert!(answer.code == 2 && answer.stderr.contains(told), "{:?} {load}: {answer:?}", place.kind());
}

#[test]
fn options_that_would_do_nothing_are_mistakes() {
    for place in every() {
        refused("unique_constraints: [id]\n", &place, "`unique_constraints` is given, but neither `primary_key` nor `write_method`");
        for method in ["insert", "replace", "delete", "truncate_and_load"] {
            let load = format!("primary_key: id\nwrite_method: {method}\nupdate_columns: [n]\n");
            refused(&load, &place, &format!("`write_method: {method}` changes no columns"));
        }
    }
    let sqlite = every().into_iter().find(|place| place.kind() == Kind::Sqlite).unwrap();
    let pipeline = pipeline("id\n1\n", &sqlite, "write_method: insert\n");
    let load = pipeline.read("load.yaml").replace("data.db", "data.db?mode=ro");
    let answer = pipeline.with("load.yaml", load).answer(&["run"]);
    assert!(answer.code == 2 && answer.stderr.contains("the option `mode` of"), "{answer:?}");
}

#[test]
fn a_table_whose_name_differs_by_case_only_is_meant() {
    for place in every().into_iter().filter(|place| place.kind() != Kind::Sqlite) {
        place.sql("CREATE TABLE orders_t (id int)");
        let load = pipeline("id\n1\n", &place, "write_method: insert\n").read("load.yaml");
        let with = |table: &str| pipeline("id\n1\n", &place, "").with("load.yaml", load.replace("table: orders", table));
        let answer = with("table: Orders_T").answer(&["run"]);
        assert!(answer.code == 2 && answer.stderr.contains("there is no table `Orders_T`, but one `orders_t`"), "{answer:?}");
        if place.kind() == Kind::Postgres {
            let answer = with("table: public.orders_t\nschema_name: public").answer(&["run"]);
            assert!(answer.code == 2 && answer.stderr.contains("`schema_name` is `public`, and `table` says so once more"), "{answer:?}");
        }
    }
}

#[test]
fn runs_that_make_the_same_table_at_once_all_load() {
    for place in every() {
        let pipelines: Vec<_> = (0..4).map(|id| pipeline(&format!("id,n\n{id},1\n"), &place, "write_method: insert\n")).collect();
        thread::scope(|scope| {
            for pipeline in &pipelines {
                scope.spawn(|| pipeline.run(0));
            }
        });
        assert_eq!(place.sql("SELECT count(*) FROM orders"), "4\n", "{:?}", place.kind());
    }
}

#[test]
fn a_run_that_could_not_publish_says_that_the_rows_are_loaded() {
    for place in every() {
        for (publish, told) in [
            (json!(["SELEC nothing"]), "failed: the rows are loaded, but what depends on them is not up to date"),
            (
                json!(["SELEC nothing", "DELETE FROM orders WHERE id = 9"]),
                "partial success: the rows are loaded, but not all that depends on them is up to date",
            ),
        ] {
            let answer = pipeline("id\n1\n", &place, &format!("write_method: insert\npublish: {publish}\n")).answer(&["run"]);
            assert!(answer.stderr.contains(told) && !answer.stderr.contains("nothing was written"), "{answer:?}");
        }
    }
}

#[test]
fn a_row_may_stand_before_its_parent_also_where_another_is_refused() {
    for place in every() {
        for method in ["insert", "truncate_and_load"] {
            place.sql(
                "DROP TABLE IF EXISTS orders; CREATE TABLE orders (id int PRIMARY KEY, p int, FOREIGN KEY (p) REFERENCES orders (id))",
            );
            let pipeline = pipeline("id,p\n4,2\n2,1\n1,\n3,9\n", &place, &format!("write_method: {method}\n"));
            let report = pipeline.run(0);
            assert_eq!(place.sql("SELECT id FROM orders ORDER BY id"), "1\n2\n4\n", "{:?} {method}", place.kind());
            assert_eq!(letters(&pipeline).iter().map(|(row, ..)| *row).collect::<Vec<_>>(), [4], "{:?}", place.kind());
            assert_eq!(report["output"]["tables"][0]["inserted"], 3, "{report}");
        }
    }
}

#[test]
fn what_is_counted_is_what_was_done() {
    for place in every() {
        let counts = |load: &str| {
            let report = pipeline("id,n\n1,5\n2,6\n3,7\n", &place, &format!("primary_key: id\n{load}")).run(0);
            let table = &report["output"]["tables"][0];
            [&table["inserted"], &table["updated"], &table["deleted"]].map(|count| count.as_u64().unwrap())
        };
        let tail = if place.kind() == Kind::Sqlite { " WITHOUT ROWID" } else { "" };
        place.sql(&format!("CREATE TABLE orders (id int PRIMARY KEY, n int){tail}; INSERT INTO orders VALUES (1, 1), (2, 1)"));
        assert_eq!(counts("write_method: update\n"), [0, 2, 0], "{:?}", place.kind());
        assert_eq!(counts("write_method: replace\n"), [3, 0, 2], "{:?}", place.kind());
        assert_eq!(counts("write_method: delete\n"), [0, 0, 3], "{:?}", place.kind());
        if place.kind() == Kind::Postgres {
            place.sql(
                "CREATE FUNCTION skip_two() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN IF NEW.id = 2 THEN RETURN NULL; END IF; RETURN NEW; END'; \
                 CREATE TRIGGER skip_two BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION skip_two()",
            );
            assert_eq!(counts("write_method: insert\n"), [2, 0, 0]);
        }
    }
}

#[test]
fn tokens_of_others_do_not_concern_a_run_that_keeps_none() {
    for place in every().into_iter().filter(|place| place.kind() == Kind::Postgres) {
        // Nobody may write to it, and nobody has to.
        place.sql(
            "CREATE TABLE etl_host_tokens (run_id text); CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''not yours''; END'; \
             CREATE TRIGGER no BEFORE DELETE ON etl_host_tokens EXECUTE FUNCTION no(); CREATE TABLE orders (id int NOT NULL, must int NOT NULL)",
        );
        let answer = pipeline("id\n1\n", &place, "write_method: insert\n").answer(&["run"]);
        assert!(answer.code == 2 && !answer.stderr.contains("etl_host_tokens"), "{answer:?}");
    }
}

#[test]
fn a_type_that_cannot_be_read_is_told_with_what_to_write() {
    for place in every().into_iter().filter(|place| place.kind() == Kind::Postgres) {
        let extract = format!("type: database\nquery: SELECT '{{[1,3)}}'::int4multirange AS mr\nconnection_string: {}\n", place.url());
        let answer = pipeline("", &place, "write_method: insert\n").with("extract.yaml", extract).answer(&["run"]);
        assert!(answer.code == 2 && answer.stderr.contains("`column::text AS column`"), "{answer:?}");
    }
}

/// Holds the table for as long as what it answers is kept.
fn hold(place: &super::Place) -> Box<dyn std::any::Any> {
    let url = Connection::try_from(place.url()).unwrap();
    let (mut connected, _) = wait(connect(&url, None, Path::new("/"))).unwrap();
    let done = match &mut connected {
        Connected::Postgres(postgres) => wait(postgres.execute("BEGIN; LOCK TABLE orders")).map(drop),
        Connected::Mysql(mysql) => wait(mysql.execute(sqlx::raw_sql("LOCK TABLES orders WRITE"))).map(drop),
        Connected::Sqlite(sqlite) => wait(sqlite.execute("BEGIN EXCLUSIVE")).map(drop),
        #[cfg(feature = "odbc")]
        Connected::Odbc(_) => unreachable!("no server here is reached by ODBC"),
    };
    done.unwrap();
    Box::new(connected)
}

#[test]
fn a_run_that_a_lock_lets_wait_ends_at_its_time() {
    for place in every() {
        for method in ["insert", "truncate_and_load", "upsert"] {
            place.sql("DROP TABLE IF EXISTS orders; CREATE TABLE orders (id int PRIMARY KEY)");
            let held = hold(&place);
            let waiting = pipeline("id\n1\n", &place, &format!("primary_key: id\nwrite_method: {method}\n"))
                .with("settings.yaml", "timeout_seconds: 1\n");
            let began = Instant::now();
            let answer = waiting.answer(&["run"]);
            assert!(
                answer.code == 3 && answer.stderr.contains("the run was not done after 1 s"),
                "{:?} {method}: {answer:?}",
                place.kind()
            );
            // A lock is waited for one minute.
            assert!(began.elapsed() < Duration::from_secs(40), "{:?} {method}", place.kind());
            drop(held);
            assert_eq!(place.sql("SELECT count(*) FROM orders"), "0\n");
        }
    }
}
