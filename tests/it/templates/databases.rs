//! `extract_database*`, `load_insert`, `load_postgresql`, `load_sqlite`, `load_truncate_and_load`, `load_upsert`, `load_with_*`.

use serde_json::json;
use tempfile::TempDir;

use super::{came, releases, rewritten, run};
use crate::servers::{mariadb, postgres, sshd};
use crate::support::Pipeline;

const USERS: &str = "CREATE TABLE users (id int, name varchar(20), email varchar(40), created_at timestamp, status varchar(10)); \
                     INSERT INTO users VALUES (1, 'Ada', 'a@x.example', '2024-05-01 10:00:00', 'active'), \
                     (2, 'Old', 'o@x.example', '2024-05-02 10:00:00', 'gone'), (3, 'Grace', 'g@x.example', '2024-05-03 10:00:00', 'active')";

/// The ids that came, in their order.
fn ids(pipeline: &Pipeline) -> Vec<u64> {
    came(pipeline).iter().map(|row| row["id"].as_u64().unwrap()).collect()
}

/// Asks SQLite.
fn sqlite(file: &std::path::Path, sql: &str) -> Vec<String> {
    let database = rusqlite::Connection::open(file).unwrap();
    if sql.starts_with("CREATE") {
        database.execute_batch(sql).unwrap();
        return Vec::new();
    }
    let mut statement = database.prepare(sql).unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

#[test]
fn the_template_that_asks_a_database_runs_with_every_kind() {
    let (Some(postgres), Some(mariadb)) = (postgres::Database::new(), mariadb::Database::new()) else { return };
    postgres.sql(USERS);
    mariadb.sql(USERS);
    for release in releases() {
        let pipeline = release.extract("extract_database.yaml");
        sqlite(&pipeline.path("users.db"), USERS);
        for url in [postgres.url(), mariadb.url(), "sqlite:///./users.db".into()] {
            run(&pipeline, &[("DATABASE_URL", &url)], &[], 0);
            // The newest first.
            assert_eq!(ids(&pipeline), [3, 1]);
            assert_eq!(came(&pipeline)[0]["email"], "g@x.example");
        }
        let missing = pipeline.command(&["check"]).env_remove("DATABASE_URL").output().unwrap();
        assert!(String::from_utf8_lossy(&missing.stderr).contains("DATABASE_URL is required"), "{missing:?}");
    }
}

/// A user's folder with the keys of SSH where the templates look for them.
fn home(sshd: &sshd::Server) -> TempDir {
    let home = TempDir::new().unwrap();
    let folder = home.path().join(".ssh");
    std::fs::create_dir(&folder).unwrap();
    std::fs::copy(sshd.file("known"), folder.join("id_rsa")).unwrap();
    std::fs::copy(sshd.file("known_hosts"), folder.join("known_hosts")).unwrap();
    home
}

#[test]
fn templates_that_go_through_a_tunnel_run() {
    let (Some(sshd), Some(database)) = (sshd::Server::start(), postgres::Database::new()) else { return };
    let home = home(&sshd);
    let variables = [("SSH_USER", sshd.user()), ("HOME", home.path().to_str().unwrap())];
    // The database and the machine before it stand in the text; the tunnel's own end is used as it stands there.
    let (address, name) = database.url().rsplit_once('/').map(|(address, name)| (address.to_owned(), name.to_owned())).unwrap();
    let port = address.rsplit(':').next().unwrap();
    let theirs = [
        ("user:pass@localhost:5433/database", format!("etl:{}@localhost:5433/{name}", postgres::PASSWORD)),
        ("bastion.example.com", "127.0.0.1".into()),
        ("  port: 22\n", format!("  port: {}\n", sshd.port())),
        ("db.internal.example.com", "127.0.0.1".into()),
        ("remote_port: 5432\n", format!("remote_port: {port}\n")),
    ];
    let names: Vec<(&str, &str)> = theirs.iter().map(|(theirs, ours)| (*theirs, ours.as_str())).collect();
    database.sql(USERS);
    for release in releases() {
        let extract = rewritten(release.extract("extract_database_ssh.yaml"), "extract.yaml", &names);
        run(&extract, &variables, &[], 0);
        let mut found = ids(&extract);
        found.sort_unstable();
        assert_eq!(found, [1, 3]);
        database.sql("DROP TABLE IF EXISTS my_table; CREATE TABLE my_table (id int PRIMARY KEY, name text)");
        let load = rewritten(release.load("load_with_ssh_tunnel.yaml", "id,name\n1,Ada\n"), "load.yaml", &names);
        run(&load, &variables, &[], 0);
        assert_eq!(database.sql("SELECT id, name FROM my_table"), "1|Ada\n");
    }
}

#[test]
fn templates_that_load_tables_run() {
    let Some(database) = postgres::Database::new() else { return };
    let url = database.url();
    for release in releases() {
        for (name, rows, expected) in [
            ("load_insert.yaml", "2,Ada\n", "1|old\n2|Ada\n9|kept\n"),
            ("load_postgresql.yaml", "1,Ada\n2,Grace\n", "1|Ada\n2|Grace\n9|kept\n"),
            ("load_upsert.yaml", "1,Ada\n2,Grace\n", "1|Ada\n2|Grace\n9|kept\n"),
            ("load_truncate_and_load.yaml", "1,Ada\n", "1|Ada\n"),
            ("load_with_dlq.yaml", "1,Ada\n2,Grace\n3,\n", "1|Ada\n2|Grace\n9|kept\n"),
        ] {
            database.sql(
                "DROP TABLE IF EXISTS my_table; CREATE TABLE my_table (id int PRIMARY KEY, name text NOT NULL); \
                 INSERT INTO my_table VALUES (1, 'old'), (9, 'kept')",
            );
            let pipeline = release.load(name, &format!("id,name\n{rows}"));
            let refused = u64::from(name == "load_with_dlq.yaml");
            let state = pipeline.path("state");
            let report = run(&pipeline, &[("DATABASE_URL", &url), ("ETL_HOST_STATE_DIR", state.to_str().unwrap())], &[], 0);
            assert_eq!(database.sql("SELECT id, name FROM my_table ORDER BY id"), expected, "{name}");
            assert_eq!(report["rows"]["rejected"], refused, "{name}: {report}");
        }
    }
}

#[test]
fn the_template_that_loads_a_table_of_sqlite_runs() {
    for release in releases() {
        let pipeline = release.load("load_sqlite.yaml", "id,name\n1,Ada\n2,Grace\n").with("data/.keep", "");
        let file = pipeline.path("data/my_database.db");
        sqlite(&file, "CREATE TABLE my_table (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO my_table VALUES (1, 'old'), (9, 'kept')");
        run(&pipeline, &[], &[], 0);
        assert_eq!(sqlite(&file, "SELECT id || name FROM my_table ORDER BY id"), ["1Ada", "2Grace", "9kept"]);
    }
}

#[test]
fn the_template_that_checks_rows_before_it_loads_them_runs() {
    let Some(database) = postgres::Database::new() else { return };
    for release in releases().into_iter().filter(|release| release.has("load_with_validation.yaml")) {
        database.sql(
            "DROP TABLE IF EXISTS orders; CREATE TABLE orders (order_id text PRIMARY KEY, customer_id int, status text, total_amount float, \
             created_at timestamptz)",
        );
        // What the template shows at its end as an example.
        let schema = "version: 1.0.0\ntype: object\nproperties:\n  order_id: {type: string, maxLength: 20}\n  customer_id: {type: integer}\n  \
                      status: {type: string, enum: [pending, shipped]}\n  total_amount: {type: number, minimum: 0}\n  created_at: {type: string, format: \
                      date-time}\nrequired: [order_id, customer_id, status]\n";
        let rows = "order_id,customer_id,status,total_amount,created_at\nA1,7,pending,1.5,2024-05-01T10:00:00Z\nA2,7,lost,1.5,2024-05-01T10:00:00Z\n\
                    A3,7,pending,-1,2024-05-01T10:00:00Z\n";
        let pipeline = release
            .load("load_with_validation.yaml", rows)
            .with("contracts/orders/schema.yaml", schema)
            .with("contracts/orders/coercion_rules.yaml", "order_id: string\ncustomer_id: int\ntotal_amount: float\ncreated_at: datetime\n")
            .with(
                "contracts/orders/validation_rules.yaml",
                "order_id: [not_empty, {max_length: 20}]\ntotal_amount: [{min_value: 0}, {max_value: 1000000}]\n",
            );
        let report = run(&pipeline, &[("DATABASE_URL", &database.url())], &[], 0);
        assert_eq!(database.sql("SELECT order_id FROM orders"), "A1\n", "{report}");
        assert_eq!(report["rows"]["rejected"], json!(2), "{report}");
    }
}
