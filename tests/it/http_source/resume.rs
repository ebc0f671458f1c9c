//! A run that is killed goes on where it was: no page that is done is asked for again.

use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::api::{Api, Asked, Reply, Then};
use super::{page, pipeline, run};
use crate::support::Pipeline;

const SIZE: usize = 50;
const PAGES: usize = 12;

/// An interface that pages every way.
fn answer(asked: &Asked) -> Reply {
    let start = match (asked.path.as_str(), asked.number("page"), asked.number("offset"), asked.param("cursor")) {
        (_, Some(number), ..) => (number - 1) * SIZE,
        (_, _, Some(offset), _) => offset,
        (_, _, _, Some(cursor)) => cursor.trim_start_matches("c").parse().unwrap(),
        (path, ..) => path.trim_start_matches("/from").parse().unwrap_or(0),
    };
    let mut rows = page(PAGES * SIZE, start, SIZE);
    if start >= 2 * SIZE && !rows.is_empty() {
        // A type that the first page does not show, and a row that is refused.
        rows[7]["id"] = json!("bad");
    }
    let more = start + SIZE < PAGES * SIZE;
    let (cursor, url) = (format!("c{}", start + SIZE), format!("/from{}", start + SIZE));
    let reply = Reply::json(&json!({ "data": rows, "next_cursor": more.then_some(&cursor), "next_url": more.then_some(&url) }));
    if more { reply.with("link", &format!("<{url}>; rel=\"next\"")) } else { reply }
}

fn paged(api: &Api, strategy: &str) -> Pipeline {
    let size = if strategy == "offset" { ", page_size: 50" } else { "" };
    pipeline(&format!(
        "url: {}\nschema: {{id: int}}\nbatch_size: 20\ninfer_rows: 50\nauth: {{api_key: {{value: k3y-of-mine, query_param_name: key}}}}\npagination: {{enabled: true, page_delay: 0, strategy: {strategy}{size}}}\ncheckpoint: {{enabled: true, interval: 1}}\n",
        api.url("/")
    ))
    .with("transform.yaml", "- add: {label: 'row ${id}'}\n- jsonata: {expression: '$', mode: batch}\n")
}

/// What came of a run: the output, and the dead letters without what differs from run to run.
fn result(pipeline: &Pipeline, api: &Api) -> (String, Vec<String>) {
    let letters = pipeline.letters().into_iter().map(|letter| {
        let Value::Object(metadata) = &letter["metadata"] else { panic!("{letter}") };
        api.anonymous(&format!("{} {} {} {}", letter["message"], metadata["source"], metadata["row"], metadata["batch"]))
    });
    (pipeline.read("out.jsonl"), letters.collect())
}

#[test]
fn a_killed_run_goes_on_without_asking_for_what_is_done() {
    for strategy in ["page", "offset", "cursor", "next_url", "link_header"] {
        let api = Api::start(answer);
        let whole = paged(&api, strategy);
        assert_eq!(run(&api, &whole, &["--state-dir", "state"]).code, 0);
        let expected = result(&whole, &api);
        let all = api.asked().len();
        assert_eq!(expected.0.lines().count(), PAGES * SIZE - 10, "{strategy}");
        assert_eq!(expected.1.len(), 10, "{strategy}");
        for number in [2, 5, 11] {
            let killed = paged(&api, strategy);
            let host = api.address.to_string();
            let mut command =
                killed.command(&["run", "--quiet", "--workers", "1", "--state-dir", "state", "--allow-private-network", &host]);
            let status = command.env("ETL_HOST_CRASH_AT", format!("checkpoint.renamed:{number}")).output().unwrap().status;
            assert_eq!(status.code(), None, "{strategy}: it was not killed");
            api.left_alone();
            let before: Vec<String> = api.asked().into_iter().map(|asked| format!("{}?{}", asked.path, asked.query)).collect();
            let resumed = run(&api, &killed, &["--state-dir", "state", "--resume"]);
            assert_eq!(resumed.code, 0, "{strategy}: {resumed:?}");
            let after: Vec<String> = api.asked().into_iter().map(|asked| format!("{}?{}", asked.path, asked.query)).collect();
            assert_eq!(result(&killed, &api), expected, "{strategy}, killed at {number}");
            // The first checkpoint is that of the start; what is asked for again are pages that were read ahead of the last one.
            let done = number - 1;
            assert_eq!(after.len(), all - done, "{strategy}, killed at {number}: {after:?} after {before:?}");
            assert!(after.iter().all(|asked| !before[..done].contains(asked)), "{strategy}: {after:?} after {before:?}");
            assert!(after.iter().all(|asked| asked.contains("key=k3y-of-mine")), "{strategy}: {after:?}");
        }
    }
}

#[test]
fn a_run_that_waits_for_a_busy_server_stops_at_once_and_goes_on_later() {
    // Patience is asked for as long as a run may give it.
    let api = Api::start(|asked| match asked.number {
        3 => Reply::status("429 Too Many Requests").with("Retry-After", "300"),
        _ => answer(asked),
    });
    let waiting = paged(&api, "cursor");
    let host = api.address.to_string();
    let mut command = waiting.command(&["run", "--quiet", "--state-dir", "state", "--allow-private-network", &host]);
    let mut child = command.env("ETL_HOST_LOG", "error").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while api.count() < 4 {
        std::thread::yield_now();
    }
    let start = Instant::now();
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(5));
    assert!(start.elapsed() < Duration::from_secs(60));
    let resumed = run(&api, &waiting, &["--state-dir", "state", "--resume"]);
    assert_eq!(resumed.code, 0, "{resumed:?}");
    assert_eq!(api.count(), PAGES + 1);
    assert_eq!(waiting.read("out.jsonl").lines().count(), PAGES * SIZE - 10);
}

#[test]
fn a_run_that_waits_for_the_first_page_stops_at_once() {
    for (extract, reply) in [
        ("type: http\nurl: URL\n", "silence"),
        ("type: http\nurl: URL\nresponse_format: ndjson\n", "half"),
        ("type: http\nurl: URL\n", "busy"),
        ("path: URL\nformat: csv\n", "half"),
        ("path: URL\nformat: csv\n", "busy"),
    ] {
        let api = Api::start(move |_| match reply {
            "silence" => Reply::raw("", Then::Silence),
            "half" => Reply::raw("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n", Then::Silence),
            _ => Reply::status("503 Service Unavailable").with("Retry-After", "300"),
        });
        let waiting = pipeline("").with("extract.yaml", extract.replace("URL", &api.url("/rows")));
        let mut command = waiting.command(&["run", "--allow-private-network", &api.address.to_string()]);
        let child = command.env("ETL_HOST_LOG", "error").stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        while api.count() < 1 {
            std::thread::yield_now();
        }
        let start = Instant::now();
        kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        let ended = child.wait_with_output().unwrap();
        let told = String::from_utf8(ended.stderr).unwrap();
        assert!(
            ended.status.code() == Some(5) && told.contains("stopped before the end, nothing was written"),
            "{extract} {reply}: {told}"
        );
        assert!(start.elapsed() < Duration::from_secs(20), "{extract} {reply}");
    }
}
