//! Dead letters: kept, shown, sent through again and discarded, each row once whatever happens.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::servers::postgres::{Database, PASSWORD, Server};
use crate::support::{Answer, Pipeline};

const ORDERS: &str = "id,price,day\n1,9.5,2024-01-01\n2,free,2024-01-02\n3,4,2024-01-03\n4,gratis,2024-01-04\n5\n";
const STRICT: &str = "convert: {price: float}\n";
const LENIENT: &str = "convert: {price: float}\non_convert_error: 'null'\n";

/// Where letters are kept, as `settings.yaml` says it.
const QUEUES: [&str; 3] =
    ["", "dlq: {backend: database}\n", "dlq: {backend: database, connection_string: 'sqlite:///letters.db', table: 'bad rows'}\n"];

/// As [`QUEUES`], and in PostgreSQL: in the host's own tables, and in a schema and table that the user names.
fn queues() -> Vec<(String, Option<Database>)> {
    let mut queues: Vec<_> = QUEUES.iter().map(|queue| ((*queue).to_owned(), None)).collect();
    if let (Some(own), Some(named)) = (Database::new(), Database::new()) {
        queues.push(("dlq: {backend: database}\n".into(), Some(own)));
        let place = format!("connection_string: '{}', schema_name: bad, table: 'bad rows'", named.url());
        queues.push((format!("dlq: {{backend: database, {place}}}\n"), Some(named)));
    }
    queues
}

/// A pipeline whose host shares its state, where the queue is in the host's own tables.
fn with_state(pipeline: Pipeline, queue: &str, database: Option<&Database>) -> Pipeline {
    match database.filter(|_| !queue.contains("connection_string")) {
        Some(database) => pipeline.with("state_url", database.url()),
        None => pipeline,
    }
}

fn orders(queue: &str) -> Pipeline {
    Pipeline::of(("orders.csv", ORDERS), STRICT, "out.csv").with("settings.yaml", format!("name: orders\n{queue}"))
}

fn ask(pipeline: &Pipeline, arguments: &[&str]) -> Answer {
    let mut command = crate::support::program();
    at_home(&mut command, pipeline).env("COLUMNS", "80");
    let answer = crate::support::answer(command.args(arguments));
    assert!(!format!("{answer:?}").contains(PASSWORD), "{answer:?}");
    answer
}

/// The program in the pipeline's folder, with a state of its own.
fn at_home<'a>(command: &'a mut Command, pipeline: &Pipeline) -> &'a mut Command {
    if let Ok(url) = fs::read_to_string(pipeline.path("state_url")) {
        command.env("ETL_HOST_STATE_URL", url);
    }
    command.current_dir(pipeline.path("")).env("ETL_HOST_STATE_DIR", pipeline.path("state"))
}

/// The letters of a pipeline, all of them.
fn letters(pipeline: &Pipeline) -> Vec<Value> {
    let all = ["pending", "retrying", "resolved", "ignored"].map(|status| ["--status", status]).concat();
    let answer = ask(pipeline, &[&["dlq", "list", ".", "--json", "--limit", "1000000"][..], &all].concat());
    assert_eq!((answer.code, answer.stderr.as_str()), (0, ""), "{answer:?}");
    answer.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn statuses(pipeline: &Pipeline) -> Vec<(String, String, u64)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    letters(pipeline)
        .iter()
        .map(|letter| (text(&letter["error_type"]), text(&letter["status"]), letter["retry_count"].as_u64().unwrap()))
        .collect()
}

fn replay(pipeline: &Pipeline, arguments: &[&str]) -> (i32, Value) {
    let answer = ask(pipeline, &[&["dlq", "replay", ".", "--json"], arguments].concat());
    (answer.code, serde_json::from_str(&answer.stdout).unwrap_or_else(|_| panic!("{answer:?}")))
}

#[test]
fn rows_that_were_refused_are_loaded_once_the_rule_is_mended_whatever_keeps_them() {
    for (queue, database) in &queues() {
        let pipeline = with_state(orders(queue), queue, database.as_ref());
        let first: Value = serde_json::from_str(&ask(&pipeline, &["run", ".", "--json"]).stdout).unwrap();
        assert_eq!(first["dead_letters"]["by_code"], json!({"convert_float": 2, "ragged_row": 1}), "{queue}");
        let seen = letters(&pipeline);
        assert_eq!(seen.iter().map(|letter| letter["metadata"]["line"].clone()).collect::<Vec<_>>(), [json!(null), json!(null), json!(6)]);
        assert_eq!(seen[0]["record"], json!({"id": 2, "price": "free", "day": "2024-01-02"}));
        // As long as the rule is what it was, they stay.
        let (code, report) = replay(&pipeline, &[]);
        assert_eq!((code, &report["settled"]["refused_again"], &report["settled"]["resolved"]), (1, &json!(2), &json!(0)), "{queue}");
        pipeline.read("out.csv");
        fs::write(pipeline.path("transform.yaml"), LENIENT).unwrap();
        let (code, report) = replay(&pipeline, &[]);
        assert_eq!((code, &report["settled"]["resolved"]), (1, &json!(2)), "{report:#}");
        let left = "the record is a text that never became a row: mend the input and run the pipeline again";
        assert_eq!(report["left"], json!({left: 1}));
        assert_eq!(pipeline.read("out.csv"), "id,price,day\n1,9.5,2024-01-01\n3,4.0,2024-01-03\n2,,2024-01-02\n4,,2024-01-04\n");
        let resolved = ("convert_float".to_owned(), "resolved".to_owned(), 2);
        assert_eq!(statuses(&pipeline), [resolved.clone(), resolved, ("ragged_row".into(), "pending".into(), 0)], "{queue}");
        // Nothing is left to do, and nothing is left behind.
        let (_, report) = replay(&pipeline, &[]);
        assert_eq!(report["settled"], json!({"resolved": 0, "refused_again": 0, "added": 0, "returned": 0}));
        assert_eq!(pipeline.read("out.csv").lines().count(), 5);
        let hidden: Vec<String> = pipeline.names().into_iter().filter(|name| name.split('/').any(|part| part.starts_with('.'))).collect();
        assert!(hidden.is_empty(), "{hidden:?}");
        let Some(database) = database else { continue };
        let table = if queue.contains("schema_name") { "bad.\"bad rows\"" } else { "etl_host.dead_letter_queue" };
        let kept = database.sql(&format!("SELECT status, count(*) FROM {table} GROUP BY status ORDER BY status"));
        assert_eq!(kept, "pending|1\nresolved|2\n");
        assert!(!pipeline.path("dlq").exists());
        assert_eq!(pipeline.path("state/state.db").exists(), queue.contains("connection_string"), "{queue}");
    }
}

#[test]
fn rows_go_in_at_the_stage_that_refused_them_with_the_types_that_they_had_there() {
    let pipeline = Pipeline::of(("rows.csv", "id,day\n1,2024-01-31\n2,2024-02-01\n"), "", "out.jsonl").with(
        "transform.yaml",
        "transform:\n- add: {seen: 'once'}\n- jsonata: {mode: record, expression: 'id = 2 and $exists(seen) ? $error(\"no\") : $'}\n- add: {kind: 'x${day}'}\n",
    );
    assert_eq!(ask(&pipeline, &["run", "."]).code, 0);
    let before = letters(&pipeline);
    assert_eq!((&before[0]["stage"], &before[0]["record"]["seen"]), (&json!("jsonata"), &json!("once")), "{before:#?}");
    // The step before it would fail the row now; it does not see it again.
    fs::write(
        pipeline.path("transform.yaml"),
        "transform:\n- add: {seen: 'twice'}\n- jsonata: {mode: record, expression: '$'}\n- add: {kind: 'x${day}'}\n",
    )
    .unwrap();
    assert_eq!(replay(&pipeline, &[]).0, 0);
    let last: Value = serde_json::from_str(pipeline.read("out.jsonl").lines().last().unwrap()).unwrap();
    assert_eq!(last, json!({"id": 2, "day": "2024-02-01", "seen": "once", "kind": "x2024-02-01"}));
}

#[test]
fn rows_do_not_pass_a_stage_that_has_forgotten_the_others() {
    let pipeline = orders("").with("transform.yaml", "transform:\n- convert: {price: float}\n- dedupe: {key: id}\n");
    assert_eq!(ask(&pipeline, &["run", "."]).code, 0);
    let (code, report) = replay(&pipeline, &[]);
    let why = "stage `dedupe` remembers rows of the whole run: run the pipeline again";
    assert_eq!((code, &report["left"][why], &report["runs"]), (1, &json!(2), &json!([])), "{report:#}");
}

#[test]
fn a_run_that_fails_leaves_no_letter_in_a_table() {
    for (queue, database) in &queues()[1..] {
        let pipeline = with_state(orders(queue), queue, database.as_ref())
            .with("load.yaml", "type: file\npath: out.csv\nwrite_mode: append\n")
            .with("out.csv", "other,columns\n1,2\n");
        assert_eq!(ask(&pipeline, &["run", "."]).code, 1);
        assert_eq!(letters(&pipeline), Vec::<Value>::new());
    }
}

#[test]
fn a_table_without_a_folder_for_it_fails_the_run_before_it_reads() {
    let pipeline = orders(QUEUES[1]).with("state", "a file");
    let answer = ask(&pipeline, &["run", ".", "--quiet"]);
    assert_eq!(answer.code, 3, "{answer:?}");
    assert!(!pipeline.path("out.csv").exists());
    let mysql = orders("dlq: {backend: database, connection_string: 'mysql://etl:pg-s3cret-word@db/letters'}\n");
    let refused = ask(&mysql, &["check", "."]).stderr;
    assert!(refused.contains("`mysql://etl:***@db/letters`, but dead letters go to PostgreSQL or SQLite only"), "{refused}");
    let schema = orders("dlq: {backend: database, schema_name: public}\n");
    assert!(ask(&schema, &["check", "."]).stderr.contains("`dlq.schema_name` is `public`, but the dead letters go to SQLite"));
}

#[test]
fn letters_are_told_apart_by_stage_reason_and_time() {
    for (queue, database) in &queues() {
        let pipeline = with_state(orders(queue), queue, database.as_ref());
        ask(&pipeline, &["run", "."]);
        for (arguments, count) in [
            (&["--stage", "ops"][..], 2),
            (&["--reason", "parse_error"], 1),
            (&["--reason", "parse_error", "--stage", "ops"], 0),
            (&["--since", "1h"], 3),
            (&["--until", "1h"], 0),
            (&["--pipeline", "orders"], 3),
            (&["--pipeline", "other"], 0),
        ] {
            let answer = ask(&pipeline, &[&["dlq", "list", ".", "--json"], arguments].concat());
            assert_eq!(answer.stdout.lines().count(), count, "{arguments:?} {answer:?}");
        }
        let id = letters(&pipeline)[1]["id"].as_str().unwrap().to_owned();
        assert!(ask(&pipeline, &["dlq", "show", ".", &id[..9]]).stdout.contains("cannot convert `gratis` in column `price` to float"));
        assert_eq!(ask(&pipeline, &["dlq", "discard", "."]).code, 2);
        assert_eq!(ask(&pipeline, &["dlq", "discard", ".", "--id", &id]).code, 0);
        assert_eq!(statuses(&pipeline).into_iter().map(|(_, status, _)| status).collect::<Vec<_>>(), ["pending", "ignored", "pending"]);
        let stats = ask(&pipeline, &["dlq", "stats", ".", "--json"]).stdout;
        let ops = json!({"pipeline": "orders", "stage": "ops", "reason": "transformation_error", "error_type": "convert_float",
            "pending": 1, "retrying": 0, "resolved": 0, "ignored": 1});
        assert_eq!(serde_json::from_str::<Value>(stats.lines().last().unwrap()).unwrap(), ops);
        for arguments in [["list", "."], ["stats", "."]] {
            let table = ask(&pipeline, &[&["dlq"][..], &arguments].concat()).stdout;
            assert!(table.lines().count() > 2 && table.lines().all(|line| line.chars().count() <= 80), "{table}");
        }
    }
}

/// Rows of which half are refused at first, and few for ever.
fn many(rows: u64, load: &str, shared: Option<&Database>) -> Pipeline {
    let value = |row: u64| {
        if row % 50 == 1 {
            "bad".into()
        } else if row % 2 == 1 {
            format!("v{row}")
        } else {
            row.to_string()
        }
    };
    let rows: String = (0..rows).map(|row| format!("{row},{},{}\n", value(row), row % 3)).collect();
    let pipeline = Pipeline::new()
        .with("rows.csv", format!("id,value,part\n{rows}"))
        .with("extract.yaml", "path: rows.csv\nschema: {value: str}\n")
        .with("transform.yaml", "convert: {value: int}\n")
        .with("load.yaml", load)
        .with("settings.yaml", if shared.is_some() { "name: many\ndlq: {backend: database}\n" } else { "name: many\n" });
    let pipeline = match shared {
        Some(database) => pipeline.with("state_url", database.url()),
        None => pipeline,
    };
    assert_eq!(ask(&pipeline, &["run", ".", "--quiet"]).code, 0);
    let mended = "transform:\n- convert: {value: str}\n- validate: {rules: {value: {pattern: '^v?[0-9]+$'}}}\n";
    pipeline.with("transform.yaml", mended)
}

/// How often each row stands in the output.
fn loaded(pipeline: &Pipeline) -> BTreeMap<u64, u64> {
    let mut ids = BTreeMap::new();
    for name in pipeline.names().into_iter().filter(|name| name.starts_with("out/") && name.ends_with(".jsonl")) {
        for line in pipeline.read(&name).lines() {
            let row: Value = serde_json::from_str(line).unwrap();
            // One that has no rows of its own takes what it has for text.
            let id = row["id"].as_u64().or_else(|| row["id"].as_str()?.parse().ok()).unwrap();
            *ids.entry(id).or_default() += 1;
        }
    }
    ids
}

#[test]
fn a_replay_that_is_killed_again_and_again_loads_every_row_once() {
    const ROWS: u64 = 3000;
    let loads = ["type: file\npath: out/rows.jsonl\n", "type: file\npath: out\nformat: jsonl\npartition_by: [part]\n"];
    let (mut kills, mut settled) = (0, [0, 0]);
    let mut random = 0x2545_F491_4F6C_DD1D_u64;
    // How long one takes where nobody disturbs it; the first one compiles the stages.
    let undisturbed = [many(ROWS, loads[0], None), many(ROWS, loads[0], None)].map(|pipeline| {
        let clock = Instant::now();
        assert_eq!(replay(&pipeline, &[]).0, 1);
        clock.elapsed()
    });
    let whole = undisturbed[1];
    for round in 0..8 {
        // The last two keep their letters in PostgreSQL.
        let shared = if round < 6 { None } else { Database::new() };
        let pipeline = many(ROWS, loads[round % 2], shared.as_ref());
        for attempt in 0.. {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let mut command = crate::support::program();
            at_home(&mut command, &pipeline);
            let mut child = command.args(["dlq", "replay", ".", "--json"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
            let end = Instant::now() + whole.mul_f64((random >> 11) as f64 / (1_u64 << 53) as f64);
            // The sixth is left alone.
            while attempt < 5 && Instant::now() < end && child.try_wait().unwrap().is_none() {
                thread::sleep(Duration::from_micros(200));
            }
            if attempt < 5 {
                child.kill().unwrap();
            }
            let output = child.wait_with_output().unwrap();
            if output.status.code().is_none() {
                kills += 1;
                continue;
            }
            let report: Value = serde_json::from_slice(&output.stdout).unwrap();
            if let Some(interrupted) = report.get("interrupted") {
                settled[usize::from(interrupted["resolved"].as_u64() > Some(0))] += 1;
            }
            break;
        }
        let expected: BTreeMap<u64, u64> = (0..ROWS).filter(|row| row % 50 != 1).map(|row| (row, 1)).collect();
        assert_eq!(loaded(&pipeline), expected, "round {round}");
        let counts = letters(&pipeline).iter().fold(BTreeMap::new(), |mut counts: BTreeMap<String, u64>, letter| {
            *counts.entry(format!("{} {} {}", letter["status"], letter["stage"], letter["metadata"]["source"])).or_default() += 1;
            counts
        });
        let expected = [("\"pending\" \"validate\" \"rows.csv\"", ROWS / 50), ("\"resolved\" \"ops\" \"rows.csv\"", ROWS / 2 - ROWS / 50)];
        assert_eq!(counts, expected.map(|(name, count)| (name.to_owned(), count)).into(), "round {round}");
    }
    assert!(kills >= 8, "only {kills} replays were killed, of which {settled:?} were settled");
}

#[test]
fn letters_that_runs_add_while_others_are_changed_are_not_lost() {
    let pipeline = many(400, "type: file\npath: out/rows.jsonl\n", None);
    let queue = pipeline.path("dlq/many.jsonl");
    let done = AtomicBool::new(false);
    let changes = thread::scope(|scope| {
        let changing = scope.spawn(|| {
            let mut changes = 0;
            while !done.load(Ordering::Relaxed) {
                // Each writes the file anew.
                let status = ask(&pipeline, &["dlq", "discard", ".", "--all"]).code;
                assert_eq!(status, 0);
                changes += 1;
            }
            changes
        });
        let adding: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..4 {
                        let other = orders("").with("load.yaml", "type: file\npath: out.jsonl\n");
                        let settings = format!("name: orders\ndlq: {{path: '{}'}}\n", queue.display());
                        let other = other.with("settings.yaml", settings);
                        assert_eq!(ask(&other, &["run", ".", "--quiet"]).code, 0);
                    }
                })
            })
            .collect();
        adding.into_iter().for_each(|thread| thread.join().unwrap());
        done.store(true, Ordering::Relaxed);
        changing.join().unwrap()
    });
    assert!(changes > 0);
    let kept = letters(&pipeline);
    assert_eq!(kept.len(), 200 + 3 * 4 * 3);
    assert!(Path::new(&queue).exists());
}

#[test]
fn two_servers_do_not_send_the_same_letters_at_once() {
    let Some(database) = Database::new() else { return };
    let pipeline = many(400, "type: file\npath: out/rows.jsonl\n", Some(&database));
    // Another server is at it: it has a folder of its own, so that only the database can tell.
    let mut servers: Vec<Pipeline> = (0..6).map(|_| many(0, "type: file\npath: out/rows.jsonl\n", Some(&database))).collect();
    servers.push(pipeline);
    let answers: Vec<(i32, Value)> = thread::scope(|scope| {
        let started: Vec<_> = servers
            .iter()
            .map(|server| {
                scope.spawn(|| {
                    let answer = ask(server, &["dlq", "replay", ".", "--json"]);
                    assert!(answer.code < 2 || answer.stderr.contains("another process is replaying"), "{answer:?}");
                    (answer.code, serde_json::from_str(&answer.stdout).unwrap_or_default())
                })
            })
            .collect();
        started.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let resolved: u64 = answers.iter().filter_map(|(_, report)| report["settled"]["resolved"].as_u64()).sum();
    assert_eq!(resolved, 192, "{answers:?}");
    let mut all = BTreeMap::new();
    for server in &servers {
        loaded(server).into_iter().for_each(|(id, times)| *all.entry(id).or_insert(0) += times);
    }
    assert_eq!((all.len(), all.values().max()), (392, Some(&1)));
}

#[test]
fn a_validation_has_a_table_of_its_own_which_every_command_finds() {
    let queues = queues();
    for (queue, database) in &queues[1..] {
        let own = queue.trim().trim_start_matches("dlq: ");
        let pipeline = Pipeline::of(("orders.csv", ORDERS), STRICT, "out.csv")
            .with("settings.yaml", "name: orders\n")
            .with("load.yaml", format!("path: out.csv\nvalidation: {{rules: {{price: {{min: 5}}}}, on_error: quarantine, dlq: {own}}}\n"));
        let pipeline = with_state(pipeline, queue, database.as_ref());
        let run = ask(&pipeline, &["run", "."]);
        assert_eq!(run.code, 0, "{queue}: {run:?}");
        // Those of the transform go where those of the pipeline go.
        assert_eq!(pipeline.letters().len(), 3, "{queue}");
        let listed = ask(&pipeline, &["dlq", "list", ".", "--stage", "load_validation", "--json"]);
        let letters: Vec<Value> = listed.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((letters.len(), &letters[0]["record"]["id"]), (1, &json!(3)), "{queue}: {listed:?}");
        let id = letters[0]["id"].as_str().unwrap();
        let shown = ask(&pipeline, &["dlq", "show", ".", id]);
        assert!(shown.code == 0 && shown.stdout.contains("load_validation"), "{queue}: {shown:?}");
        let stats = ask(&pipeline, &["dlq", "stats", ".", "--json"]);
        assert!(stats.stdout.contains("load_validation"), "{queue}: {stats:?}");

        let lenient = format!("path: out.csv\nvalidation: {{rules: {{price: {{min: 4}}}}, on_error: quarantine, dlq: {own}}}\n");
        let pipeline = pipeline.with("load.yaml", lenient);
        let replayed = ask(&pipeline, &["dlq", "replay", ".", "--stage", "load_validation"]);
        assert_eq!(replayed.code, 0, "{queue}: {replayed:?}");
        assert!(pipeline.read("out.csv").contains("3,4.0,"), "{queue}: {}", pipeline.read("out.csv"));
        let discarded = ask(&pipeline, &["dlq", "discard", ".", "--stage", "load_validation"]);
        assert!(discarded.code == 0 || discarded.stderr.contains("none"), "{queue}: {discarded:?}");
    }
}

#[test]
fn letters_are_neither_lost_nor_doubled_where_the_database_goes_away_before_they_are_written() {
    let Some(mut server) = Server::start() else { return };
    server.sql("postgres", "CREATE DATABASE letters");
    let queue = format!("dlq: {{backend: database, connection_string: '{}'}}\n", server.url("letters"));
    let pipeline = orders(&queue);
    assert_eq!(ask(&pipeline, &["run", "."]).code, 0);
    server.stop();
    fs::remove_file(pipeline.path("out.csv")).unwrap();
    let failed = ask(&pipeline, &["run", "."]);
    assert_eq!(failed.code, 3, "{failed:?}");
    assert!(failed.stderr.contains("cannot connect to `postgresql://etl:***@127.0.0.1:"), "{failed:?}");
    // Nothing is loaded without its letters.
    assert!(!pipeline.path("out.csv").exists());
    // It goes away while the rows are read, and comes back while the letters wait.
    server.resume();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/rows", listener.local_addr().unwrap());
    let pages = "pagination: {enabled: true, stop_conditions: [{type: max_pages, value: 2}]}";
    let slow = pipeline
        .with("extract.yaml", format!("type: http\nurl: {url}\ninfer_rows: 1\n{pages}\n"))
        .with("load.yaml", "type: file\npath: out.jsonl\n");
    thread::scope(|scope| {
        let run = scope.spawn(|| ask(&slow, &["run", ".", "--allow-private-network", "127.0.0.1"]));
        // The run asks for the second page once it has opened its table.
        for (page, rows) in [r#"[{"id": 5, "price": "2"}]"#, r#"[{"id": 6, "price": "never"}, {"id": 7, "price": "1"}]"#].iter().enumerate()
        {
            let (mut asked, _) = listener.accept().unwrap();
            let mut question = [0; 4096];
            assert!(asked.read(&mut question).unwrap() > 0);
            if page == 1 {
                server.stop();
            }
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close";
            write!(asked, "{head}\r\nContent-Length: {}\r\n\r\n{rows}", rows.len()).unwrap();
        }
        server.resume();
        let answer = run.join().unwrap();
        assert_eq!(answer.code, 0, "{answer:?}");
    });
    assert_eq!((letters(&slow).len(), slow.read("out.jsonl").lines().count()), (3 + 1, 2));
}

#[test]
fn a_change_keeps_lines_and_members_that_it_does_not_know() {
    let pipeline = orders("");
    assert_eq!(ask(&pipeline, &["run", "."]).code, 0);
    let queue = "dlq/orders.jsonl";
    let first = pipeline.read(queue).lines().next().unwrap().replacen('{', "{\"ticket\":\"OPS-7\",", 1);
    let rest: String = pipeline.read(queue).lines().skip(1).map(|line| format!("{line}\n")).collect();
    fs::write(pipeline.path(queue), format!("{first}\n{{\"torn\n{rest}")).unwrap();
    let discarded = ask(&pipeline, &["dlq", "discard", ".", "--stage", "ops", "--json"]);
    assert_eq!((discarded.code, discarded.stdout.as_str()), (0, "{\"discarded\":2}\n"), "{discarded:?}");
    let text = pipeline.read(queue);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!((lines.len(), lines[1]), (4, "{\"torn"));
    let first: Value = serde_json::from_str(lines[0]).unwrap();
    assert_eq!((&first["ticket"], &first["status"]), (&json!("OPS-7"), &json!("ignored")));
}

#[test]
fn rows_in_the_queues_of_validations_are_listed_and_sent_through_again_with_the_others() {
    let load = |least: u32| {
        format!("path: out.csv\nvalidation: {{rules: {{price: {{min: {least}}}}}, on_error: quarantine, dlq: {{path: bad/load.jsonl}}}}\n")
    };
    let pipeline = orders("").with("load.yaml", load(6));
    assert_eq!(ask(&pipeline, &["run", ".", "--quiet"]).code, 0);
    assert_eq!(pipeline.read("out.csv"), "id,price,day\n1,9.5,2024-01-01\n");
    let pending =
        |stage: &str| letters(&pipeline).iter().filter(|letter| letter["stage"] == stage && letter["status"] == "pending").count();
    assert_eq!((pending("ops"), pending("load_validation")), (2, 1), "both queues are listed");
    fs::write(pipeline.path("load.yaml"), load(4)).unwrap();
    fs::write(pipeline.path("transform.yaml"), LENIENT).unwrap();
    let (code, report) = replay(&pipeline, &[]);
    assert_eq!((code, &report["settled"]["resolved"], &report["settled"]["refused_again"]), (1, &json!(3), &json!(0)), "{report:#}");
    assert_eq!((pending("ops"), pending("load_validation")), (0, 0), "{report:#}");
    assert_eq!(pipeline.read("out.csv"), "id,price,day\n1,9.5,2024-01-01\n2,,2024-01-02\n4,,2024-01-04\n3,4.0,2024-01-03\n");
    // Twice is once.
    let (_, report) = replay(&pipeline, &[]);
    assert_eq!(report["settled"]["resolved"], 0);
    assert_eq!(pipeline.read("out.csv").lines().count(), 5);
}
