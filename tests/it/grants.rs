//! Grants through the front door: what `inspect`, `plan` and `run` say of a component that calls a host by HTTP, and that it does.

mod tls;

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use crate::server::Server;
use crate::support::{Pipeline, answer, build, guests, program, root};

/// The SDK's example, built once a test run.
static ENRICH: LazyLock<PathBuf> = LazyLock::new(|| {
    let target = guests().to_str().unwrap();
    let example = ["--package", "etl-sdk", "--features", "http", "--example", "enrich"];
    build(&root(), &[&["--profile", "guest", "--target-dir", target], &example[..]].concat());
    guests().join("wasm32-wasip2/guest/examples/enrich.wasm")
});

const ORDERS: &str = "id,currency,price\n1,USD,10\n2,XXX,10\n3,JPY,1000\n4,USD,0.5\n";

fn pipeline(server: &Server, grants: &str) -> Pipeline {
    let url = server.url("127.0.0.1");
    let transform = format!(
        "transform:\n  - convert: {{price: float}}\n  - custom_function:\n      component: enrich.wasm\n      kwargs: {{url: \"{url}/rates\"}}\n{}",
        grants.replace("SERVER", &url)
    );
    let pipeline = Pipeline::of(("orders.csv", ORDERS), &transform, "out.jsonl");
    fs::copy(&*ENRICH, pipeline.path("enrich.wasm")).unwrap();
    pipeline
}

const GRANTS: &str =
    "      grants:\n        http: [{host: \"SERVER\", headers: {Authorization: \"Bearer ${RATES_TOKEN}\"}, methods: [GET]}]\n";

#[test]
fn a_granted_component_asks_its_host_with_credentials_that_nobody_prints() {
    let server = Server::start();
    let pipeline = pipeline(&server, GRANTS);
    let mut run = pipeline.command(&["run", "--json", "--workers", "1", "--allow-private-network", "127.0.0.1"]);
    let done = answer(run.env("RATES_TOKEN", "t0ps3cret").env("ETL_HOST_LOG", "trace"));
    assert_eq!(done.code, 0, "{done:?}");
    assert!(!done.stdout.contains("t0ps3cret") && !done.stderr.contains("t0ps3cret"), "a secret was printed");
    let rows = pipeline.read("out.jsonl");
    let prices: Vec<serde_json::Value> = rows.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let prices: Vec<_> = prices.iter().map(|row| (row["id"].as_i64().unwrap(), row["price_eur"].as_f64().unwrap())).collect();
    assert_eq!(prices, [(1, 5.0), (3, 6.0), (4, 0.25)]);
    let [letter] = pipeline.letters().try_into().unwrap();
    assert_eq!(letter["reason"].as_str(), Some("transformation_error"), "{letter}");
    let asked = server.asked();
    assert_eq!(asked.len(), 3, "{asked:?}");
    assert!(asked.iter().all(|asked| asked.contains("authorization: Bearer t0ps3cret\r\n")), "{asked:?}");

    let report: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    let stages = report["stages"].as_array().unwrap();
    let counters = &stages.last().unwrap()["counters"];
    assert_eq!(counters["http.requests"], 3, "{report}");
    assert!(counters["http.received_bytes"].as_u64() > Some(20), "{report}");
}

#[test]
fn without_the_operator_the_run_says_which_address_is_not_public() {
    let server = Server::start();
    let pipeline = pipeline(&server, GRANTS);
    let done = answer(pipeline.command(&["run", "--json", "--workers", "1"]).env("RATES_TOKEN", "t0ps3cret"));
    // Each row asks for itself, so each goes to the dead letters; a person reads why in the log.
    assert!(
        done.stderr.contains("that address is not public, and the operator of etl-host has not opened it (`--allow-private-network`)"),
        "{done:?}"
    );
    assert_eq!(pipeline.letters().len(), if done.code == 0 { 4 } else { 0 }, "{done:?}");
    assert_eq!(server.asked().len(), 0);
}

#[test]
fn a_preview_reaches_what_the_operator_opened() {
    let server = Server::start();
    let pipeline = pipeline(&server, GRANTS);
    let shut = answer(pipeline.command(&["preview"]).env("RATES_TOKEN", "t0ps3cret"));
    assert!(shut.stderr.contains("that address is not public") && server.asked().is_empty(), "{shut:?}");
    let open = answer(pipeline.command(&["preview", "--allow-private-network", "127.0.0.1"]).env("RATES_TOKEN", "t0ps3cret"));
    assert!(open.code == 0 && open.stdout.contains("price_eur"), "{open:?}");
    assert_eq!(server.asked().len(), 3);
}

#[test]
fn a_test_reaches_no_host_and_says_so() {
    let server = Server::start();
    let pipeline =
        pipeline(&server, GRANTS).with("tests/rates.yaml", "input:\n  - {id: 1, currency: USD, price: '10'}\nexpect: {rows: []}\n");
    let tested = answer(pipeline.command(&["test"]).env("RATES_TOKEN", "t0ps3cret"));
    assert_eq!(tested.code, 1, "{tested:?}");
    assert!(tested.stderr.contains("no other machine is reached here, whatever the stage was granted"), "{tested:?}");
    assert_eq!(server.asked().len(), 0);
}

#[test]
fn a_component_that_calls_hosts_is_refused_without_a_grant_and_told_which_to_write() {
    let server = Server::start();
    let pipeline = pipeline(&server, "");
    for command in ["plan", "run"] {
        let done = pipeline.answer(&[command]);
        assert_eq!(done.code, 2, "{done:?}");
        let expected = "\
./transform.yaml:4:7: error: `transform[1].custom_function`: stage `enrich`
  because: component `enrich.wasm` imports `wasi:http/outgoing-handler@0.2.12`, which is not granted
  hint: name the hosts that it may call, `grants: {http: [api.example.com]}` in its `custom_function`; or build it without HTTP, which componentize-js puts in unless told `--disable http`
";
        let last: Vec<&str> = done.stderr.lines().filter(|line| !line.contains("compiled")).collect();
        assert_eq!(last.join("\n") + "\n", expected);
    }
    assert_eq!(server.asked().len(), 0);
}

#[test]
fn inspect_and_plan_show_what_is_asked_for_beside_what_is_granted() {
    let inspected = answer(program().arg("inspect").arg(&*ENRICH));
    let lines: Vec<&str> =
        inspected.stdout.lines().filter(|line| line.contains("needs") || line.contains("http") || line.contains("random")).collect();
    let expected = [
        "  needs      `grants: {http: [HOST]}`: it calls hosts by HTTP, and is refused without",
        "  imports    wasi:http/outgoing-handler@0.2.12: refused without `grants: {http: [HOST]}`",
        "  imports    wasi:http/types@0.2.12: requests and responses",
        "  imports    wasi:random/insecure-seed@0.2.12: drawn from the run's id, the same at every try, unless `grants: {random: true}`",
    ];
    assert_eq!(lines, expected);

    let server = Server::start();
    let pipeline = pipeline(&server, &format!("{GRANTS}        clock: true\n        env: [HOME_REGION]\n"));
    let mut plan = pipeline.command(&["plan"]);
    let planned = answer(plan.env("RATES_TOKEN", "t0ps3cret").env("HOME_REGION", "north-of-here"));
    assert_eq!(planned.code, 0, "{planned:?}");
    let lines: Vec<&str> = planned.stdout.lines().filter(|line| line.contains("grants") || line.contains("reaches")).collect();
    let own = "random (drawn from the run's id, the same at every try)";
    let unused = "clock (granted, but the component does not ask for it)";
    let host = format!("{} (GET; adds authorization)", server.url("127.0.0.1"));
    let expected = [
        "    grants   nothing".to_owned(),
        format!("    grants   clock, env HOME_REGION, http {host}"),
        format!("    reaches  {own}, env (HOME_REGION), http ({host}), {unused}"),
    ];
    assert_eq!(lines, expected);

    let mut plan = pipeline.command(&["plan", "--json"]);
    let planned = answer(plan.env("RATES_TOKEN", "t0ps3cret").env("HOME_REGION", "north-of-here"));
    for secret in ["t0ps3cret", "north-of-here"] {
        assert!(!planned.stdout.contains(secret) && !planned.stderr.contains(secret), "{planned:?}");
    }
}
