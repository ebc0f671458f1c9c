//! Pages: each way to the next one, and each way to the end.

use serde_json::json;

use super::api::{Api, Asked, Reply};
use super::{ids, page, pipeline, records, run};

#[test]
fn pages_by_number_end_with_the_one_that_has_fewer_records() {
    let api = Api::start(|asked| {
        let number = asked.number("page").unwrap();
        Reply::json(&json!(page(25, (number - 1) * 10, asked.number("limit").unwrap())))
    });
    let paged = pipeline(&format!("url: {}\nparams: {{limit: 10}}\npagination: {{enabled: true, page_delay: 0}}\n", api.url("/rows")));
    assert_eq!(ids(&api, &paged, &[]), (0..25).collect::<Vec<_>>());
    assert_eq!(api.queries(), ["limit=10&page=1", "limit=10&page=2", "limit=10&page=3"]);
}

#[test]
fn pages_by_number_of_a_size_that_nobody_named_end_behind_one_smaller_than_the_first() {
    let api = Api::start(|asked| {
        let number = asked.number("p").unwrap();
        Reply::json(&json!({ "items": page(20, number / 5 * 10, 10) }))
    });
    let paged = pipeline(&format!(
        "url: {}?kind=a\npagination: {{enabled: true, page_delay: 0, page: {{param_name: p, start: 0, increment: 5}}}}\n",
        api.url("/rows")
    ));
    assert_eq!(ids(&api, &paged, &[]), (0..20).collect::<Vec<_>>());
    assert_eq!(api.queries(), ["kind=a&p=0", "kind=a&p=5", "kind=a&p=10"]);
}

#[test]
fn pages_by_offset_go_on_by_the_size_of_a_page() {
    let api = Api::start(|asked| Reply::json(&json!({ "data": { "rows": page(23, asked.number("offset").unwrap(), 10) } })));
    let paged = pipeline(&format!(
        "url: {}\nresponse_path: data.rows\npagination: {{enabled: true, strategy: offset, page_size: 10, page_delay: 0}}\n",
        api.url("/rows")
    ));
    assert_eq!(ids(&api, &paged, &[]), (0..23).collect::<Vec<_>>());
    assert_eq!(api.queries(), ["limit=10&offset=0", "limit=10&offset=10", "limit=10&offset=20"]);
}

#[test]
fn pages_by_cursor_end_where_there_is_none_however_many_records_a_page_has() {
    let api = Api::start(|asked| {
        let start = asked.param("after").map_or(0, |cursor| cursor.trim_start_matches("c%2F").parse().unwrap());
        let next = (start < 8).then(|| format!("c/{}", start + 4));
        Reply::json(&json!({ "rows": records(start..start + 4 - start % 3), "meta": { "next": next } }))
    });
    let paged = pipeline(&format!(
        "url: {}\nresponse_path: rows\npagination:\n  enabled: true\n  strategy: cursor\n  cursor: {{param_name: after, response_path: meta.next}}\n  page_delay: 0\n",
        api.url("/rows")
    ));
    assert_eq!(ids(&api, &paged, &[]), [0, 1, 2, 3, 4, 5, 6, 8, 9]);
    assert_eq!(api.queries(), ["", "after=c%2F4", "after=c%2F8"]);
}

#[test]
fn a_cursor_that_is_a_number_is_sent_as_the_server_spells_it() {
    let api = Api::start(|asked| {
        let cursors = ["1700000000.123450", "12345678901234567890123", "1E2", "null"];
        Reply::of("application/json", format!("{{\"data\": [{{\"id\": {0}}}], \"next_cursor\": {1}}}", asked.number, cursors[asked.number]))
    });
    let paged = pipeline(&format!("url: {}\npagination: {{enabled: true, strategy: cursor, page_delay: 0}}\n", api.url("/rows")));
    assert_eq!(ids(&api, &paged, &[]), [0, 1, 2, 3]);
    assert_eq!(api.queries(), ["", "cursor=1700000000.123450", "cursor=12345678901234567890123", "cursor=1E2"]);
}

#[test]
fn pages_by_url_and_by_link_header_keep_the_key_and_the_host() {
    for strategy in ["next_url", "link_header"] {
        let api = Api::start(|asked| {
            let start = asked.number("from").unwrap_or(0);
            let next = format!("/rows?from={}", start + 10);
            let more = start < 20;
            let reply = Reply::json(&json!({ "results": page(30, start, 10), "links": { "next": more.then_some(&next) } }));
            if more { reply.with("Link", &format!("<{next}>; rel=\"next\"")) } else { reply }
        });
        let own = if strategy == "next_url" { "  next_url: {response_path: links.next}\n" } else { "" };
        let paged = pipeline(&format!(
            "url: {}\nauth: {{api_key: {{value: k3y-of-mine, query_param_name: key}}}}\npagination:\n  enabled: true\n  strategy: {strategy}\n{own}  page_delay: 0\n",
            api.url("/rows")
        ));
        assert_eq!(ids(&api, &paged, &[]), (0..30).collect::<Vec<_>>(), "{strategy}");
        assert_eq!(api.queries(), ["key=k3y-of-mine", "from=10&key=k3y-of-mine", "from=20&key=k3y-of-mine"], "{strategy}");
    }
}

#[test]
fn each_stop_condition_ends_the_pages() {
    for (conditions, pages) in [
        ("[{type: max_pages, value: 2}]", 2),
        ("[{type: max_records, value: 21}]", 3),
        ("[{type: custom, response_path: meta.more, value: false}]", 5),
        ("[{type: custom, response_path: meta.nothing}]", 1),
        ("[{type: empty_response}]", 7),
        ("[{type: fewer_records}, {type: max_pages, value: 4}]", 4),
    ] {
        let api = Api::start(|asked| {
            let number = asked.number("page").unwrap();
            let rows = if number > 6 { Vec::new() } else { page(usize::MAX, (number - 1) * 10, 10) };
            Reply::json(&json!({ "data": rows, "meta": { "more": number < 5 } }))
        });
        let paged =
            pipeline(&format!("url: {}\npagination: {{enabled: true, page_delay: 0, stop_conditions: {conditions}}}\n", api.url("/")));
        assert_eq!(ids(&api, &paged, &[]), (0..pages.min(6) * 10).collect::<Vec<_>>(), "{conditions}");
        assert_eq!(api.asked().len(), pages as usize, "{conditions}");
    }
}

#[test]
fn endless_pages_end_with_the_limit_and_no_page_is_asked_for_that_nobody_reads() {
    let endless =
        |asked: &super::api::Asked| Reply::json(&json!({ "data": page(usize::MAX, (asked.number("page").unwrap() - 1) * 10, 10) }));
    let api = Api::start(endless);
    let extract = format!("url: {}\npagination: {{enabled: true, page_delay: 0}}\n", api.url("/"));
    assert_eq!(ids(&api, &pipeline(&extract), &["--limit", "35"]), (0..35).collect::<Vec<_>>());
    assert_eq!(api.asked().len(), 4);
    assert_eq!(ids(&api, &pipeline(&format!("{extract}max_records: 20\n")), &[]), (0..20).collect::<Vec<_>>());
    assert_eq!(api.asked().len(), 2);
    let planned = pipeline(&extract).answer(&["plan", "--allow-private-network", &api.address.to_string()]);
    assert_eq!(planned.code, 0, "{planned:?}");
    assert_eq!(api.queries(), ["page=1"]);
}

#[test]
fn a_cursor_or_url_that_repeats_is_an_error() {
    let mut all = String::new();
    for strategy in ["cursor", "next_url", "link_header"] {
        let api = Api::start(|asked| {
            let next = if asked.param("cursor") == Some("b") || asked.path == "/b" { "/a" } else { "/b" };
            let rows = json!({ "data": [{ "id": asked.number }], "next_cursor": next.trim_start_matches('/'), "next_url": next });
            Reply::json(&rows).with("link", &format!("<{next}>; rel=next"))
        });
        let paged = pipeline(&format!("url: {}\npagination: {{enabled: true, page_delay: 0, strategy: {strategy}}}\n", api.url("/")));
        let answer = run(&api, &paged, &[]);
        assert_eq!(answer.code, 3, "{answer:?}");
        all.push_str(&api.anonymous(&answer.stderr));
        assert_eq!(api.asked().len(), 3, "{strategy}");
    }
    insta::assert_snapshot!(all, @r"
    error: `http://HOST/?cursor=a` names the cursor `b` as the next one, which was asked for before
      hint: the server would be asked for the same pages for ever; `stop_conditions` can end them before
    error: `http://HOST/a` names `http://HOST/b` as the next one, which was asked for before
      hint: the server would be asked for the same pages for ever; `stop_conditions` can end them before
    error: `http://HOST/a` names `http://HOST/b` as the next one, which was asked for before
      hint: the server would be asked for the same pages for ever; `stop_conditions` can end them before
    ");
}

#[test]
fn pages_are_asked_for_over_one_connection_so_that_a_server_may_serve_one_after_the_other() {
    for format in ["json", "ndjson"] {
        let answer = move |asked: &Asked| {
            if asked.path == "/old" {
                return Reply::status("307 Temporary Redirect").with("location", &format!("/rows?{}", asked.query)).body("moved");
            }
            let rows = page(2000, (asked.number("page").unwrap() - 1) * 10, 10);
            match format {
                "json" => Reply::of("application/json", format!("{}{}", json!(rows), " ".repeat(150_000))),
                _ => Reply::of("application/x-ndjson", rows.iter().map(|row| format!("{row}\n")).collect::<String>()),
            }
        };
        for api in [Api::start(answer), Api::one_by_one(answer)] {
            let paged = pipeline(&format!(
                "url: {}\nresponse_format: {format}\ninfer_rows: 1\npagination: {{enabled: true, page_delay: 0, stop_conditions: [{{type: empty_response}}]}}\n\
                 retry: {{max_attempts: 1}}\n",
                api.url("/old")
            ));
            assert_eq!(ids(&api, &paged, &[]), (0..2000).collect::<Vec<_>>(), "{format}");
            assert_eq!((api.count(), api.connections()), (402, 1), "{format}");
        }
    }
}

#[test]
fn a_first_page_that_may_be_all_that_the_server_gives_at_once_is_told_of() {
    let api = Api::start(|asked| Reply::json(&json!(page(350, asked.number("offset").unwrap_or(0), 100))));
    let extract = format!("url: {}\npagination: {{enabled: true, strategy: offset, page_size: 500, page_delay: 0}}\n", api.url("/"));
    let paged = pipeline(&extract);
    let answer = run(&api, &paged, &[]);
    assert!(answer.code == 0 && answer.stderr.contains("set `page_size` to that") && answer.stderr.contains("asked=500"), "{answer:?}");
}
