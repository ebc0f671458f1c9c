//! Constraints that a database looks at when a transaction is committed.

use super::{Kind, Place, every, letters, pipeline};

/// Those that can defer one; MariaDB cannot.
fn deferring() -> impl Iterator<Item = Place> {
    every().into_iter().filter(|place| place.kind() != Kind::Mariadb)
}

const TABLES: &str = "CREATE TABLE parents (id int PRIMARY KEY); INSERT INTO parents VALUES (1); \
     CREATE TABLE orders (id int PRIMARY KEY, parent int REFERENCES parents (id) DEFERRABLE INITIALLY DEFERRED)";

#[test]
fn rows_that_a_deferred_constraint_refuses_fail_the_run_which_leaves_nothing() {
    for place in deferring() {
        place.sql(TABLES);
        for method in ["insert", "upsert"] {
            let pipeline = pipeline("id,parent\n1,1\n2,9\n3,1\n", &place, &format!("primary_key: id\nwrite_method: {method}\n"));
            let answer = pipeline.answer(&["run"]);
            assert_eq!(answer.code, 1, "{answer:?}");
            let told = "the database refused the rows as a whole when they were to be committed, so that none is there";
            assert!(answer.stderr.contains(told) && answer.stderr.contains("NOT DEFERRABLE"), "{answer:?}");
            if place.kind() == Kind::Postgres {
                assert!(answer.stderr.contains("Key (parent)=(9) is not present"), "{answer:?}");
            }
            assert_eq!(place.sql("SELECT count(*) FROM orders"), "0\n");
            assert_eq!(letters(&pipeline), []);
        }
    }
}

#[test]
fn with_checkpoints_the_rows_before_stay_and_once_the_data_is_mended_the_others_follow() {
    for place in deferring() {
        place.sql(TABLES);
        let rows: String = (1..=10_000).map(|row| format!("{row},{}\n", if row == 9000 { 9 } else { 1 })).collect();
        let pipeline = pipeline(&format!("id,parent\n{rows}"), &place, "write_method: insert\n")
            .with("extract.yaml", "path: in.csv\nbatch_size: 1000\ncheckpoint: {enabled: true, interval: 1}\n");
        let answer = pipeline.answer(&["run", "--checkpoint-id", "deferred"]);
        assert!(answer.code == 1 && answer.stderr.contains("refused the rows as a whole"), "{answer:?}");
        assert_eq!(place.sql("SELECT count(*) FROM orders WHERE id >= 9000"), "0\n");
        place.sql("INSERT INTO parents VALUES (9)");
        let answer = pipeline.answer(&["run", "--checkpoint-id", "deferred", "--resume"]);
        assert_eq!(answer.code, 0, "{answer:?}");
        assert_eq!(place.sql("SELECT count(*), count(DISTINCT id) FROM orders"), "10000|10000\n");
    }
}

#[test]
fn a_row_may_come_before_the_one_that_it_names() {
    for place in deferring() {
        place.sql("CREATE TABLE orders (id int PRIMARY KEY, parent int REFERENCES orders (id) DEFERRABLE INITIALLY DEFERRED)");
        pipeline("id,parent\n2,1\n1,\n", &place, "primary_key: id\n").run(0);
        assert_eq!(place.sql("SELECT id, parent FROM orders ORDER BY id"), "1|\n2|1\n");
    }
}
