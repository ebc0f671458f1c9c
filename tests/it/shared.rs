//! Several servers that share a PostgreSQL for what they keep: each has a folder of its own, and the records, marks and letters are one.

use std::path::Path;
use std::process::Stdio;
use std::thread;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::servers::postgres::{Database, PASSWORD, Server};
use crate::support::{Answer, Pipeline, answer, program};

/// The program as a server would run it.
fn ask(url: &str, folder: &Path, arguments: &[&str]) -> Answer {
    let mut command = program();
    command
        .env("ETL_HOST_STATE_DIR", folder)
        .env("ETL_HOST_STATE_URL", url)
        .env("ETL_HOST_LOG", "etl_host=debug,warn")
        .env("COLUMNS", "80");
    let answer = answer(command.args(arguments));
    assert!(!format!("{answer:?}").contains(PASSWORD), "{answer:?}");
    answer
}

fn lines(answer: &Answer) -> Vec<Value> {
    answer.stdout.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{answer:?}"))).collect()
}

fn orders(name: &str) -> Pipeline {
    Pipeline::of(("orders.csv", "id,price\n1,9.5\n2,free\n"), "convert: {price: float}\n", "out.jsonl")
        .with("settings.yaml", format!("name: {name}\ndlq: {{backend: database}}\n"))
}

#[test]
fn eight_servers_that_begin_at_once_make_one_history() {
    let Some(database) = Database::new() else { return };
    let (url, folders) = (database.url(), [(); 8].map(|()| TempDir::new().unwrap()));
    thread::scope(|scope| {
        for (number, folder) in folders.iter().enumerate() {
            let url = &url;
            scope.spawn(move || {
                let pipeline = orders(&format!("orders{}", number % 4));
                let answer = ask(url, folder.path(), &["run", pipeline.path("").to_str().unwrap(), "--quiet"]);
                assert!(answer.code == 0 && !answer.stderr.contains("not recorded"), "{answer:?}");
            });
        }
    });
    let elsewhere = TempDir::new().unwrap();
    let history = ask(&url, elsewhere.path(), &["history", "--json"]);
    assert_eq!(lines(&history).iter().filter(|run| run["status"] == "success").count(), 8, "{history:?}");
    let stats = lines(&ask(&url, elsewhere.path(), &["stats", "--json"]));
    let expected: Vec<(Value, Value, Value)> = (0..4).map(|number| (json!(format!("orders{number}")), json!(2), json!(4))).collect();
    assert_eq!(
        stats.iter().map(|one| (one["pipeline"].clone(), one["executions"].clone(), one["rows_read"].clone())).collect::<Vec<_>>(),
        expected
    );
    let id = lines(&history)[3]["run_id"].as_str().unwrap().to_owned();
    assert_eq!(lines(&ask(&url, elsewhere.path(), &["show", &id[..8], "--json"])), [lines(&history)[3].clone()]);
    assert_eq!(database.sql("SELECT count(*) FROM etl_host.dead_letter_queue; SELECT part, version FROM etl_host.versions"), "8\nruns|1\n");
    // Each has in its journal what it ran.
    for folder in &folders {
        assert_eq!(std::fs::read_to_string(folder.path().join("runs.jsonl")).unwrap().lines().count(), 1);
        assert!(!folder.path().join("state.db").exists());
    }
}

#[test]
fn a_run_that_was_killed_is_dead_to_every_server_and_one_that_lives_is_not() {
    let Some(database) = Database::new() else { return };
    let (url, folder, elsewhere) = (database.url(), TempDir::new().unwrap(), TempDir::new().unwrap());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let pipeline = orders("slow").with("extract.yaml", format!("type: http\nurl: http://{}/\n", listener.local_addr().unwrap()));
    let mut command = pipeline.command(&["run", "--allow-private-network", "127.0.0.1"]);
    command.env("ETL_HOST_STATE_DIR", folder.path()).env("ETL_HOST_STATE_URL", &url).stdout(Stdio::null()).stderr(Stdio::null());
    let mut run = command.spawn().unwrap();
    let asked = listener.accept().unwrap();
    let status = || lines(&ask(&url, elsewhere.path(), &["history", "--json"]))[0]["status"].clone();
    assert_eq!(status(), "running");
    run.kill().unwrap();
    run.wait().unwrap();
    drop(asked);
    // The database learns of it from the kernel.
    crate::servers::until(|| database.sql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == "0\n");
    assert_eq!(status(), "failed");
}

#[test]
fn two_servers_take_new_rows_once() {
    let Some(database) = Database::new() else { return };
    let (url, folders) = (database.url(), [(); 2].map(|()| TempDir::new().unwrap()));
    // The same pipeline in the folders of two machines.
    let machine = |_| {
        Pipeline::new()
            .with("rows.csv", "id,at\n1,2024-01-01\n2,2024-01-02\n")
            .with("extract.yaml", "path: rows.csv\nincremental: {cursor_field: id}\n")
            .with("load.yaml", "type: file\npath: out.jsonl\nwrite_mode: append\n")
            .with("settings.yaml", "name: newer\n")
    };
    let machines = [0, 1].map(machine);
    let run = |machine: usize| {
        let answer = ask(&url, folders[machine].path(), &["run", machines[machine].path("").to_str().unwrap(), "--json"]);
        assert_eq!(answer.code, 0, "{answer:?}");
        lines(&answer)[0]["rows"]["loaded"].as_u64().unwrap()
    };
    assert_eq!([run(0), run(1), run(0)], [2, 0, 0]);
    std::fs::write(machines[1].path("rows.csv"), "id,at\n1,2024-01-01\n2,2024-01-02\n3,2024-01-03\n").unwrap();
    assert_eq!(run(1), 1);
    assert_eq!(database.sql("SELECT mark FROM etl_host.marks"), "3\n");
    // While one is at it another waits for its turn.
    let home = etl_host::state::Home { folder: folders[0].path().to_owned(), shared: Some(url.clone().try_into().unwrap()) };
    let name = database.sql("SELECT name FROM etl_host.marks");
    let held = etl_host::state::Mark::hold(&home, name.trim()).unwrap();
    let answer = ask(&url, folders[1].path(), &["run", machines[1].path("").to_str().unwrap()]);
    assert!(answer.code == 3 && answer.stderr.contains("another run of this pipeline with these parameters is at work"), "{answer:?}");
    drop(held);
    assert_eq!(run(1), 0);
}

#[test]
fn a_database_that_is_away_keeps_no_run_from_its_rows_and_gets_the_record_later() {
    let Some(mut server) = Server::start() else { return };
    let (url, folder) = (server.url("postgres"), TempDir::new().unwrap());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let slow = orders("slow")
        .with("extract.yaml", format!("type: http\nurl: http://{}/\n", listener.local_addr().unwrap()))
        .with("settings.yaml", "name: slow\n");
    thread::scope(|scope| {
        let run = scope.spawn(|| {
            ask(&url, folder.path(), &["run", slow.path("").to_str().unwrap(), "--allow-private-network", "127.0.0.1", "--json"])
        });
        let (mut asked, _) = listener.accept().unwrap();
        std::io::Read::read(&mut asked, &mut [0; 4096]).unwrap();
        server.stop();
        std::io::Write::write_all(&mut asked, b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n[]").unwrap();
        let answer = run.join().unwrap();
        assert!(answer.code == 0 && answer.stderr.contains("waits here until the shared database takes it"), "{answer:?}");
    });
    // While it is away runs go on, unrecorded.
    let other = orders("other").with("settings.yaml", "name: other\n");
    let answer = ask(&url, folder.path(), &["run", other.path("").to_str().unwrap()]);
    assert!(answer.code == 0 && answer.stderr.contains("this run is not recorded, and goes on"), "{answer:?}");
    server.resume();
    let elsewhere = TempDir::new().unwrap();
    let status = |folder: &Path| lines(&ask(&url, folder, &["history", "--json", "--pipeline", "slow"]))[0]["status"].clone();
    // For all that others know it died; here it is known better.
    assert_eq!(status(elsewhere.path()), "failed");
    assert_eq!(status(folder.path()), "success");
    assert_eq!(status(elsewhere.path()), "success");
}

#[test]
fn a_url_that_cannot_be_is_told_without_its_password() {
    let (pipeline, folder) = (orders("orders"), TempDir::new().unwrap());
    for (url, told) in [
        (format!("etl:{PASSWORD}@host/db"), "the URL of the shared state must start with `scheme://`"),
        (format!("mysql://etl:{PASSWORD}@host/db"), "`mysql://etl:***@host/db` cannot be shared by servers"),
        ("sqlite:///a.db".into(), "a SQLite file cannot be shared by servers"),
    ] {
        let answer = ask(&url, folder.path(), &["run", pipeline.path("").to_str().unwrap()]);
        assert!(answer.code == 2 && answer.stderr.contains(told), "{answer:?}");
    }
}
