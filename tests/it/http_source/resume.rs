//! A run that is killed goes on where it was: no page that is done is asked for again.

use serde_json::{Value, json};

use super::api::{Api, Asked, Reply};
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
        "url: {}\nschema: {{id: int}}\nbatch_size: 20\nauth: {{api_key: {{value: k3y-of-mine, query_param_name: key}}}}\npagination: {{enabled: true, page_delay: 0, strategy: {strategy}{size}}}\ncheckpoint: {{enabled: true, interval: 1}}\n",
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
