//! A load and another session that wait for each other.

use std::path::Path;
use std::process::Stdio;
use std::thread;

use etl_host::config::database::Connection;
use etl_host::remote::database::{Connected, connect};
use etl_host::remote::wait;
use sqlx::Executor as _;

use super::{Kind, Place, every, pipeline};
use crate::servers::until;

/// A session of somebody else.
struct Session(Connected);

impl Session {
    fn open(place: &Place) -> Self {
        let url = Connection::try_from(place.url()).unwrap();
        Self(wait(connect(&url, None, Path::new("/"))).unwrap().0)
    }

    fn sql(&mut self, sql: &'static str) {
        match &mut self.0 {
            Connected::Postgres(postgres) => wait(postgres.execute(sqlx::raw_sql(sql))).map(drop).unwrap(),
            Connected::Mysql(mysql) => wait(mysql.execute(sqlx::raw_sql(sql))).map(drop).unwrap(),
            _ => unreachable!("nobody waits for a row there"),
        }
    }
}

#[test]
fn a_load_that_is_undone_since_another_session_waits_for_it_is_tried_again() {
    for place in every().into_iter().filter(|place| place.kind() != Kind::Sqlite) {
        place.sql("CREATE TABLE orders (id int PRIMARY KEY)");
        let [hold_two, hold_three, ask_one, waiting] = if place.kind() == Kind::Postgres {
            place.sql(
                "CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_advisory_xact_lock(NEW.id); RETURN NEW; END'; \
                 CREATE TRIGGER hold BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION hold()",
            );
            [
                "BEGIN; SELECT pg_advisory_xact_lock(2)",
                // It is not this session that looks for the knot.
                "BEGIN; SET LOCAL deadlock_timeout = '1h'; SELECT pg_advisory_xact_lock(3)",
                "SELECT pg_advisory_xact_lock(1)",
                "SELECT count(*) FROM pg_locks WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
            ]
        } else {
            place.sql("CREATE TABLE more (id int PRIMARY KEY)");
            [
                "BEGIN; INSERT INTO orders VALUES (2)",
                // The one that has done less is undone.
                "BEGIN; INSERT INTO more SELECT seq FROM seq_1_to_1000; INSERT INTO orders VALUES (3)",
                "SELECT * FROM orders WHERE id = 1 FOR UPDATE",
                // Whoever looks again within a tenth of a second sees what was there before.
                "SELECT count(*) + sleep(0.2) FROM information_schema.innodb_trx t JOIN information_schema.processlist p ON p.id = t.trx_mysql_thread_id \
                 WHERE t.trx_state = 'LOCK WAIT' AND p.db = database()",
            ]
        };
        let (mut two, mut three) = (Session::open(&place), Session::open(&place));
        two.sql(hold_two);
        three.sql(hold_three);
        let pipeline = pipeline("id\n1\n2\n3\n", &place, "write_method: insert\n");
        let run = pipeline.command(&["run"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        until(|| place.sql(waiting) == "1\n");
        let asks = thread::spawn(move || {
            three.sql(ask_one);
            three.sql("ROLLBACK");
        });
        until(|| place.sql(waiting) == "2\n");
        two.sql("ROLLBACK");
        asks.join().unwrap();
        let done = run.wait_with_output().unwrap();
        let stderr = String::from_utf8(done.stderr).unwrap();
        assert_eq!(done.status.code(), Some(0), "{:?}: {stderr}", place.kind());
        assert!(
            stderr.contains("went away or undid the load, which is tried again") && stderr.to_lowercase().contains("deadlock"),
            "{:?}: {stderr}",
            place.kind()
        );
        assert_eq!(place.sql("SELECT id FROM orders ORDER BY id"), "1\n2\n3\n", "{:?}", place.kind());
    }
}
