//! Pages that are asked for before it is known whether there are any.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use super::api::{Api, Asked, Reply, Then};
use super::{came, ids, page, pipeline, run};

/// Records of a page: so many that one takes longer to be cut than the next takes to be asked for.
const SIZE: usize = 4000;
/// Records of all: the third page has fewer, but looks full.
const ALL: usize = 3 * SIZE - SIZE / 20;

/// The page that was asked for by its number or its offset, the first being 0.
fn number(asked: &Asked) -> usize {
    asked.number("page").map_or_else(|| asked.number("offset").unwrap() / SIZE, |page| page - 1)
}

fn rows(asked: &Asked) -> Reply {
    Reply::json(&json!({ "data": page(ALL, number(asked) * SIZE, SIZE) }))
}

/// Pages without a delay, `more` beside what says that.
fn paged(api: &Api, more: &str) -> String {
    format!("url: {}\ninfer_rows: 1\npagination: {{enabled: true, page_delay: 0{more}}}\n", api.url("/rows"))
}

#[test]
fn nobody_hears_of_a_page_behind_the_last_whatever_it_answers() {
    for strategy in [", page: {start: 1}", ", strategy: offset, page_size: 4000"] {
        for answer in ["500", "404", "401", "html", "elsewhere", "broken", "silence"] {
            let api = Api::start(move |asked| match (asked.path.as_str(), answer) {
                ("/token", _) => Reply::json(&json!({ "access_token": "t0ken" })),
                _ if number(asked) < 3 => rows(asked),
                (_, "500") => Reply::status("500 Internal Server Error").with("Retry-After", "60"),
                (_, "404") => Reply::status("404 Not Found"),
                (_, "401") => Reply::status("401 Unauthorized"),
                (_, "html") => Reply::of("text/html", "<html>"),
                (_, "elsewhere") => Reply::status("302 Found").with("location", "http://example.com/"),
                (_, "broken") => Reply::raw("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n[", Then::End),
                _ => Reply::raw("", Then::Silence),
            });
            let token = format!("auth: {{oauth2_cc: {{token_url: '{}', client_id: me, client_secret: s3cret!}}}}\n", api.url("/token"));
            let paged = pipeline(&format!("{}{token}", paged(&api, strategy)));
            // It may come that the page is cut first.
            let was_asked_for = (0..20).any(|_| {
                let start = Instant::now();
                assert_eq!(ids(&api, &paged, &[]), (0..ALL as u64).collect::<Vec<_>>(), "{answer}");
                assert!(start.elapsed() < Duration::from_secs(20), "{answer}");
                let (tokens, pages): (Vec<Asked>, Vec<Asked>) = api.asked().into_iter().partition(|asked| asked.path == "/token");
                let numbers: Vec<usize> = pages.iter().map(number).collect();
                assert!(tokens.len() == 1 && [0, 1, 2, 3].starts_with(&numbers) && numbers.len() >= 3, "{answer}: {tokens:?} {numbers:?}");
                numbers.len() == 4
            });
            assert!(was_asked_for, "{answer}");
        }
    }
}

#[test]
fn a_page_that_was_asked_for_ahead_and_is_wanted_is_asked_for_again_as_any_other() {
    let failing = |times: usize| {
        let failed = AtomicUsize::new(0);
        Api::start(move |asked| match number(asked) {
            2 if failed.fetch_add(1, Ordering::SeqCst) < times => Reply::status("500 Internal Server Error").with("Retry-After", "0"),
            _ => rows(asked),
        })
    };
    let api = failing(1);
    let once = pipeline(&paged(&api, ""));
    let answer = run(&api, &once, &[]);
    assert_eq!((answer.code, answer.stderr.matches("asking again").count()), (0, 1), "{answer:?}");
    assert_eq!(came(&once), (0..ALL as u64).collect::<Vec<_>>());
    assert!([[0, 1, 2, 2].as_slice(), &[0, 1, 2, 2, 3]].contains(&api.asked().iter().map(number).collect::<Vec<_>>().as_slice()));
    let api = failing(usize::MAX);
    let answer = run(&api, &pipeline(&format!("{}retry: {{max_attempts: 2}}\n", paged(&api, ""))), &[]);
    assert_eq!(answer.code, 3, "{answer:?}");
    assert_eq!(api.asked().iter().map(number).collect::<Vec<_>>(), [0, 1, 2, 2]);
    insta::assert_snapshot!(api.anonymous(&answer.stderr), @r"
     WARN etl_host::source::http::send: the server did not give the page, asking again attempt=1 wait_ms=0 error=GET `http://HOST/rows?page=3` was answered with 500 Internal Server Error
    error: GET `http://HOST/rows?page=3` was answered with 500 Internal Server Error (2 attempts)
    ");
}

#[test]
fn a_page_behind_the_last_is_not_asked_for_where_the_pace_gives_time_to_know() {
    let api = Api::start(rows);
    let paced = |more: &str| format!("url: {}\ninfer_rows: 1\n{more}\n", api.url("/rows"));
    for more in [
        "pagination: {enabled: true, page_delay: 1}",
        "rate_limit_delay: 1\npagination: {enabled: true, page_delay: 0}",
        "max_calls_per_minute: 3\npagination: {enabled: true, page_delay: 0}",
    ] {
        let start = Instant::now();
        assert_eq!(ids(&api, &pipeline(&paced(more)), &[]), (0..ALL as u64).collect::<Vec<_>>(), "{more}");
        assert!(start.elapsed() < Duration::from_secs(20), "{more}");
        assert_eq!(api.queries(), ["page=1", "page=2", "page=3"], "{more}");
    }
}

#[test]
fn nothing_is_asked_for_behind_a_page_that_is_known_to_be_the_last() {
    let api = Api::start(|asked| Reply::json(&json!({ "data": page(usize::MAX, number(asked) * SIZE, SIZE), "more": number(asked) < 2 })));
    for (more, arguments, rows) in [
        (", stop_conditions: [{type: max_pages, value: 3}]", &[][..], 3 * SIZE),
        (", stop_conditions: [{type: max_records, value: 11000}]", &[], 3 * SIZE),
        (", stop_conditions: [{type: custom, response_path: more, value: false}]", &[], 3 * SIZE),
        ("", &["--limit", "11000"], 11_000),
        (", strategy: offset, page_size: 4000", &["--limit", "12000"], 12_000),
    ] {
        for _ in 0..3 {
            assert_eq!(ids(&api, &pipeline(&paged(&api, more)), arguments), (0..rows as u64).collect::<Vec<_>>(), "{more}");
            assert_eq!(api.asked().iter().map(number).collect::<Vec<_>>(), [0, 1, 2], "{more}");
        }
    }
    // A page that is a good deal smaller than the one before it is most likely the last.
    let api = Api::start(|asked| Reply::json(&json!({ "data": page(3 * SIZE - SIZE / 3, number(asked) * SIZE, SIZE) })));
    for _ in 0..3 {
        assert_eq!(ids(&api, &pipeline(&paged(&api, "")), &[]).len(), 3 * SIZE - SIZE / 3);
        assert_eq!(api.asked().iter().map(number).collect::<Vec<_>>(), [0, 1, 2]);
    }
}

#[test]
fn empty_pages_that_end_nothing_are_asked_for_once_each() {
    let api = Api::start(|asked| {
        let rows = (number(asked) == 0).then(|| page(1, 0, 1));
        Reply::json(&json!({ "data": rows, "note": "n".repeat(1 << 20) }))
    });
    let endless = pipeline(&format!("{}response_path: data\n", paged(&api, ", stop_conditions: [{type: max_pages, value: 6}]")));
    assert_eq!(ids(&api, &endless, &[]), [0]);
    assert_eq!(api.asked().iter().map(number).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5]);
}
