//! Servers that misbehave: what is tried again, what is told, and that nothing is lost or doubled.

use std::io::Write;
use std::time::{Duration, Instant};

use serde_json::json;

use super::api::{Api, Reply, Then};
use super::{came, ids, page, pipeline, records, run};
use crate::servers::relay::Relay;
use crate::support::Pipeline;

/// stderr of a run that fails with a code.
fn said(api: &Api, extract: &str, code: i32) -> String {
    let failing = pipeline(extract);
    let answer = run(api, &failing, &[]);
    assert_eq!(answer.code, code, "{answer:?}");
    assert!(!failing.names().contains(&"out.jsonl".to_owned()), "something was written");
    api.anonymous(&answer.stderr)
}

#[test]
fn a_server_that_asks_to_wait_is_asked_again_then() {
    let api = Api::start(|asked| match asked.number {
        0 => Reply::status("429 Too Many Requests").with("Retry-After", "1"),
        1 => Reply::status("500 Internal Server Error").with("Retry-After", "Wed, 21 Oct 2015 07:28:00 GMT"),
        _ => Reply::json(&json!(records(0..3))),
    });
    let start = Instant::now();
    let answer = run(&api, &pipeline(&format!("url: {}\n", api.url("/"))), &[]);
    assert_eq!(answer.code, 0, "{answer:?}");
    assert!(start.elapsed() >= Duration::from_secs(1));
    assert_eq!(api.asked().len(), 3);
    insta::assert_snapshot!(api.anonymous(&answer.stderr), @r"
    WARN etl_host::source::http::send: the server did not give the page, asking again attempt=1 wait_ms=1000 error=GET `http://HOST/` was answered with 429 Too Many Requests
    WARN etl_host::source::http::send: the server did not give the page, asking again attempt=2 wait_ms=0 error=GET `http://HOST/` was answered with 500 Internal Server Error
    ");
}

#[test]
fn every_request_waits_for_its_turn() {
    let api = Api::start(|asked| match asked.path.as_str() {
        "/token" => Reply::json(&json!({ "access_token": "t0ken" })),
        "/old" => Reply::status("302 Found").with("location", "/new"),
        _ => Reply::json(&json!(records(0..1))),
    });
    let paced = pipeline(&format!(
        "url: {}\nauth: {{oauth2_cc: {{token_url: '{}', client_id: me, client_secret: s3cret!}}}}\nrate_limit_delay: 0.4\n",
        api.url("/old"),
        api.url("/token")
    ));
    let start = Instant::now();
    assert_eq!(ids(&api, &paced, &[]), [0]);
    assert!(start.elapsed() >= Duration::from_millis(800), "{:?}", start.elapsed());
    assert_eq!(api.count(), 3);
}

#[test]
fn a_server_that_never_recovers_is_asked_as_often_as_the_retry_says() {
    let api = Api::start(|_| Reply::status("503 Service Unavailable").with("Retry-After", "0").body("down for\nmaintenance"));
    let extract = format!("url: {}\nretry: {{max_attempts: 2}}\n", api.url("/rows?day=1"));
    insta::assert_snapshot!(said(&api, &extract, 3), @r"
     WARN etl_host::source::http::send: the server did not give the page, asking again attempt=1 wait_ms=0 error=GET `http://HOST/rows?day=1` was answered with 503 Service Unavailable; it says `down for maintenance`
    error: GET `http://HOST/rows?day=1` was answered with 503 Service Unavailable; it says `down for maintenance` (2 attempts)
    ");
    assert_eq!(api.asked().len(), 2);
    let api = Api::start(|_| Reply::status("503 Service Unavailable").with("Retry-After", "86400"));
    insta::assert_snapshot!(said(&api, &format!("url: {}\n", api.url("/")), 3), @r"
    error: `http://HOST/` asks to be left alone for 86400 s, more than 300 s
      because: GET `http://HOST/` was answered with 503 Service Unavailable
      hint: run it again later; with checkpoints, `--resume` goes on
    ");
    assert_eq!(api.asked().len(), 1);
}

#[test]
fn a_refusal_is_told_at_once_with_what_the_server_says() {
    let mut all = String::new();
    for status in ["401 Unauthorized", "404 Not Found", "418 I'm a teapot"] {
        let api = Api::start(move |asked| {
            let key = asked.header("authorization").unwrap();
            Reply::status(status).body(json!({ "error": format!("not with {key}") }).to_string())
        });
        let extract = format!("url: {}\nheaders: {{Authorization: Bearer t0ps3cret}}\n", api.url("/rows"));
        all.push_str(&said(&api, &extract, 2));
        assert_eq!(api.asked().len(), 1);
    }
    insta::assert_snapshot!(all, @r#"
    error: GET `http://HOST/rows` was answered with 401 Unauthorized; it says `{"error":"not with ***"}`
      hint: the credentials are missing, wrong or expired: look at `auth` and `headers`
    error: GET `http://HOST/rows` was answered with 404 Not Found; it says `{"error":"not with ***"}`
      hint: is the URL right?
    error: GET `http://HOST/rows` was answered with 418 I'm a teapot; it says `{"error":"not with ***"}`
    "#);
}

#[test]
fn a_body_that_breaks_off_is_asked_for_again() {
    let whole = json!(records(0..50)).to_string();
    let short = whole[..700].to_owned();
    let half = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{short}", whole.len());
    let cut = half.clone();
    let api = Api::start(move |asked| match asked.number {
        0 => Reply::raw(cut.clone(), Then::End),
        _ => Reply::of("application/json", whole.clone()),
    });
    assert_eq!(run(&api, &pipeline(&format!("url: {}\n", api.url("/"))), &[]).code, 0);
    assert_eq!(api.asked().len(), 2);
    let api = Api::start(move |_| Reply::raw(half.clone(), Then::End));
    insta::assert_snapshot!(said(&api, &format!("url: {}\nretry: {{max_attempts: 1}}\n", api.url("/")), 3), @r"error: the answer of `http://HOST/` broke off after 700 bytes: end of file before message length reached");
    // A length that lies the other way leaves half a document.
    let api = Api::start(move |_| Reply::raw(format!("HTTP/1.1 200 OK\r\ncontent-length: 400\r\n\r\n{short}"), Then::End));
    insta::assert_snapshot!(said(&api, &format!("url: {}\n", api.url("/")), 1), @r"
    error: `http://HOST/` is not a JSON document: it ends within a record
      hint: the file is cut off: fetch it again
    ");
}

#[test]
fn lines_that_break_off_go_on_behind_what_was_read() {
    let lines: String = records(0..60_000).iter().map(|record| format!("{record}\n")).collect();
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", lines.len());
    let api = Api::start(move |asked| {
        // Within the rows that types are inferred from, then within a record of the second half.
        let cut = [1000, lines.len() * 3 / 4].get(asked.number).copied().unwrap_or(lines.len());
        Reply::raw(format!("{head}{}", &lines[..cut]), Then::End)
    });
    let streamed = pipeline(&format!("url: {}\nresponse_format: ndjson\ninfer_rows: 100\n", api.url("/rows")));
    let answer = run(&api, &streamed, &[]);
    assert_eq!(answer.code, 0, "{answer:?}");
    assert_eq!(came(&streamed), (0..60_000).collect::<Vec<_>>());
    assert_eq!(api.asked().len(), 3);
}

#[test]
fn a_server_that_drips_or_is_silent_is_given_up() {
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n[";
    let quick = "retry: {max_attempts: 1}\ntimeout: {read: 0.3, total: 0.5}\n";
    let api = Api::start(move |_| Reply::raw(head, Then::Drip));
    insta::assert_snapshot!(said(&api, &format!("url: {}\n{quick}", api.url("/")), 3), @r"
    error: the answer of `http://HOST/` was not complete after 0.5 s
      hint: raise `timeout.total`, or ask for smaller pages
    ");
    let api = Api::start(move |_| Reply::raw(head, Then::Silence));
    insta::assert_snapshot!(said(&api, &format!("url: {}\n{quick}", api.url("/")), 3), @r"
    error: the answer of `http://HOST/` broke off after 1 bytes: nothing came for too long
      hint: raise `timeout.read`, or ask for smaller pages
    ");
    let api = Api::start(move |_| Reply::raw("", Then::Silence));
    insta::assert_snapshot!(said(&api, &format!("url: {}\n{quick}", api.url("/")), 3), @r"error: `http://HOST/` does not answer: there was no answer in time");
}

#[test]
fn a_page_for_people_is_no_json() {
    let page = "<!DOCTYPE html>\n<html><title>Log in</title></html>";
    for kind in ["text/html; charset=utf-8", "application/json"] {
        let api = Api::start(move |_| Reply::of(kind, page));
        insta::allow_duplicates! {
            insta::assert_snapshot!(said(&api, &format!("url: {}\n", api.url("/rows")), 1), @r"
            error: `http://HOST/rows` answered with HTML where JSON was expected: `<!DOCTYPE html> <html><title>Log in</title></html>`
              hint: a server answers so on a page for people, or where it wants a log-in: are the URL and the credentials right?
            ");
        }
    }
    let api = Api::start(|_| Reply::of("application/json", "\"busy\""));
    insta::assert_snapshot!(said(&api, &format!("url: {}\n", api.url("/rows")), 1), @r#"
    error: `http://HOST/rows` answered with something else where JSON was expected: `"busy"`
      hint: a server answers so on a page for people, or where it wants a log-in: are the URL and the credentials right?
    "#);
}

#[test]
fn a_row_that_is_not_utf_8_or_does_not_fit_costs_that_row() {
    let api = Api::start(|_| Reply::of("application/json", b"[{\"id\":1},{\"id\":2,\"n\":\"\xFF\"},{\"id\":\"x\"},{\"id\":4}]".as_slice()));
    let bad = pipeline(&format!("url: {}\nparams: {{token: s3cret}}\nschema: {{id: int}}\n", api.url("/rows")));
    let answer = run(&api, &bad, &[]);
    assert_eq!(answer.code, 0, "{answer:?}");
    assert_eq!(came(&bad), [1, 4]);
    let letters: Vec<String> =
        bad.letters().iter().map(|letter| format!("{} {}", letter["metadata"]["source"], letter["message"])).collect();
    insta::assert_snapshot!(api.anonymous(&letters.join("\n")), @r#"
    "http://HOST/rows?token=***" "row 2 (line 1) is not UTF-8: byte 14 of it is 0xFF; name the file's encoding under `json_options`, or in the XML declaration"
    "http://HOST/rows?token=***" "row 3 (line 1), column `id`: `x` is not an int64, the type that `schema` gives it"
    "#);
}

#[test]
fn a_page_of_100_mb_is_held_only_where_that_is_allowed_and_lines_never_are() {
    let text = "x".repeat(1 << 20);
    let list: Vec<String> = (0..100).map(|id| format!("{{\"id\":{id},\"text\":\"{text}\"}}")).collect();
    let (json, lines) = (format!("[{}]", list.join(",")), list.join("\n"));
    let api = Api::start(move |asked| match asked.path.as_str() {
        "/lines" => Reply::of("application/x-ndjson", lines.clone()),
        _ => Reply::of("application/json", json.clone()),
    });
    insta::assert_snapshot!(said(&api, &format!("url: {}\n", api.url("/json")), 1), @r"
    error: the answer of `http://HOST/json` has more than 64 MiB, unpacked, and must be held whole
      hint: ask for smaller pages, let the server answer in NDJSON or CSV, which are read as they come, or raise `max_response_mb`
    ");
    assert_eq!(api.asked().len(), 1);
    let select = |extract: &str| pipeline(extract).with("transform.yaml", "select: [id]\n");
    assert_eq!(ids(&api, &select(&format!("url: {}\nmax_response_mb: 128\n", api.url("/json"))), &[]), (0..100).collect::<Vec<_>>());
    let streamed = select(&format!("url: {}\nresponse_format: ndjson\n", api.url("/lines")));
    let answer = run(&api, &streamed, &["--json", "--workers", "1"]);
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    let report: serde_json::Value = serde_json::from_str(&answer.stdout).unwrap();
    assert_eq!(came(&streamed), (0..100).collect::<Vec<_>>());
    assert!(report["peak_memory_mb"].as_f64().unwrap() < 250.0, "{report}");
}

/// Bytes as they stand, in one block of Brotli.
fn brotli(bytes: &[u8]) -> Vec<u8> {
    // A window of 64 KiB; not the last block, its length in 16 bits, not compressed. Then an empty block, the last.
    let head = ((bytes.len() - 1) as u32) << 4 | 1 << 20;
    [&head.to_le_bytes()[..3], bytes, &[3]].concat()
}

#[test]
fn what_is_packed_is_unpacked_and_a_bomb_is_refused() {
    let list = json!(records(0..100)).to_string();
    let gzip = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let bomb = gzip(&vec![b' '; 200 << 20]);
    assert!(bomb.len() < 2 << 20);
    let (packed, zstd) = (gzip(list.as_bytes()), zstd::encode_all(list.as_bytes(), 1).unwrap());
    let brotli = brotli(list.as_bytes());
    // A file may be several put behind each other.
    let members = [gzip(b"{\"id\":1}\n{\"id\""), gzip(b":2}\n")].concat();
    let api = Api::start(move |asked| match asked.path.as_str() {
        "/gzip" => Reply::of("application/json", packed.clone()).with("content-encoding", "gzip"),
        "/members" => Reply::of("application/x-ndjson", members.clone()).with("content-encoding", "gzip"),
        "/torn" => Reply::of("application/x-ndjson", members[..members.len() - 9].to_vec()).with("content-encoding", "gzip"),
        "/br" => Reply::of("application/json", brotli.clone()).with("content-encoding", "br"),
        "/zstd" => Reply::of("application/json", zstd.clone()).with("content-encoding", "zstd"),
        _ => Reply::of("application/json", bomb.clone()).with("content-encoding", "gzip"),
    });
    for path in ["/gzip", "/br", "/zstd"] {
        assert_eq!(ids(&api, &pipeline(&format!("url: {}\n", api.url(path))), &[]), (0..100).collect::<Vec<_>>());
    }
    let lines = |path: &str| pipeline(&format!("url: {}\nresponse_format: ndjson\nretry: {{max_attempts: 1}}\n", api.url(path)));
    assert_eq!(ids(&api, &lines("/members"), &[]), [1, 2]);
    let torn = run(&api, &lines("/torn"), &[]);
    assert!(torn.code == 3 && torn.stderr.contains("is packed with gzip, and damaged"), "{torn:?}");
    let file = Pipeline::new()
        .with("extract.yaml", format!("path: {}\nformat: jsonl\n", api.url("/members")))
        .with("load.yaml", "path: out.jsonl\n");
    assert_eq!(ids(&api, &file, &[]), [1, 2]);
    for accepted in api.asked().iter().map(|asked| asked.header("accept-encoding").unwrap()) {
        assert!(["gzip", "br", "zstd"].iter().all(|packing| accepted.contains(packing)), "{accepted}");
    }
    insta::assert_snapshot!(said(&api, &format!("url: {}\n", api.url("/bomb")), 1), @r"
    error: the answer of `http://HOST/bomb` has more than 64 MiB, unpacked, and must be held whole
      hint: ask for smaller pages, let the server answer in NDJSON or CSV, which are read as they come, or raise `max_response_mb`
    ");
}

#[test]
fn what_a_server_repeats_of_headers_is_masked_before_it_is_cut() {
    let token = "SuperSecretToken1234567890abcdefghij";
    let api = Api::start(|asked| {
        let head = |name: &str| asked.header(name).unwrap().to_owned();
        let (authorization, foo, quoted) = (head("authorization"), head("x-foo"), json!(head("x-quoted")));
        Reply::status("400 Bad Request").body(format!("{foo} {quoted} {}{authorization}", "x".repeat(150)))
    });
    let extract =
        format!("url: {}\nheaders: {{Authorization: Bearer {token}, X-Foo: sekret-foo, X-Quoted: 'a\"b\\c-word'}}\n", api.url("/"));
    let told = said(&api, &extract, 2);
    assert!(["Super", "sekret", "c-word"].iter().all(|secret| !told.contains(secret)), "{told}");
}

#[test]
fn a_document_that_breaks_off_or_goes_on_behind_its_list_is_an_error() {
    for (body, told) in [
        ("{\"data\":[{\"id\":1}]}{\"data\":[{\"id\":2}]}", "several values follow each other"),
        ("{\"data\":[{\"id\":1}],\"next\":", "it ends behind its records"),
        ("{\"data\":[{\"id\":1}], \"a\": \"]}", "it ends behind its records"),
        ("{\"data\":[{\"id\":1}]} <html>oops", "there is more text behind the value"),
    ] {
        for path in ["", "response_path: data\n"] {
            let api = Api::start(move |_| Reply::of("application/json", body));
            let failed = run(&api, &pipeline(&format!("url: {}\n{path}", api.url("/"))), &[]);
            assert!(failed.code == 1 && (failed.stderr.contains(told) || !path.is_empty()), "{body}: {failed:?}");
            let file = Pipeline::of(("in.json", body), "rename: {}\n", "out.jsonl").with("extract.yaml", format!("path: in.json\n{path}"));
            let failed = file.answer(&["run"]);
            assert!(failed.code == 1 && failed.stderr.contains(told), "{body}: {failed:?}");
        }
    }
    // What follows in order is passed over, however much it is.
    let rest = format!("{{\"id\":2}}], \"note\": \"{}\\\"]\", \"more\": [[{{}}]]}} \n", "n".repeat(20 << 20));
    let file = Pipeline::of(("in.json", &format!("{{\"data\":[{{\"id\":1}},{rest}")), "rename: {}\n", "out.jsonl");
    assert_eq!(file.run(0)["rows"]["loaded"], 2);
}

#[test]
fn a_later_page_without_a_list_is_an_error_and_no_record() {
    for (path, last, code) in [
        ("", "{\"error\":\"rate limited\"}", 3),
        ("", "{\"message\":\"busy\"}", 3),
        ("response_path: data\n", "{\"error\":\"rate limited\"}", 3),
        ("", "{}", 0),
        ("", "", 0),
        ("response_path: data\n", "{\"total\":10}", 0),
        ("response_path: data\n", "{\"kind\":\"orders\"}", 0),
        ("response_path: data\n", "{\"message\":\"busy\"}", 3),
        ("response_path: data\n", "{\"kind\":\"orders\",\"info\":\"busy\"}", 3),
        ("response_path: data\n", "{\"data\":null,\"errors\":[{}]}", 3),
        ("response_path: x.rows\n", "{\"status\":\"error\",\"message\":\"rate limit exceeded\"}", 3),
        ("response_path: x.rows\n", "{\"code\":429,\"x\":null}", 3),
        ("response_path: x.rows\n", "{\"code\":404,\"x\":null}", 0),
        ("response_path: x.rows\n", "{\"x\":\"busy\"}", 3),
        ("response_path: x.rows\n", "{\"x\":{}}", 0),
        ("response_path: x.rows\n", "{\"x\":null}", 0),
        ("response_path: x.rows\n", "[]", 0),
    ] {
        let api = Api::start(move |asked| match asked.number("page").unwrap() {
            1 if path.contains('x') => Reply::json(&json!({ "x": { "rows": page(10, 0, 10) }, "code": 200 })),
            1 => Reply::json(&json!({ "data": page(10, 0, 10), "kind": "orders" })),
            _ => Reply::of("application/json", last),
        });
        let extract = format!("url: {}\n{path}params: {{limit: 10}}\npagination: {{enabled: true, page_delay: 0}}\n", api.url("/"));
        let paged = pipeline(&extract);
        let answer = run(&api, &paged, &[]);
        assert_eq!(answer.code, code, "{last}: {answer:?}");
        assert!(answer.stderr.matches("WARN").count() <= 1, "{answer:?}");
        match code {
            0 => assert_eq!(came(&paged), (0..10).collect::<Vec<_>>()),
            _ => assert!(answer.stderr.contains("has no list of records, as the pages before it have: `{"), "{answer:?}"),
        }
    }
}

#[test]
fn an_error_in_place_of_csv_or_xml_ends_no_pages_and_replaces_no_output() {
    let (csv, csv_bare) = ("response_format: csv\n", "response_format: csv\ncsv_options: {has_header: false}\n");
    let (xml, deep) = ("response_format: xml\n", "response_format: xml\nresponse_path: r.o\n");
    let (json_type, html) = ("application/json", "<html><body>busy</body></html>");
    for (extract, first, kind, other, codes) in [
        (csv, "id\n0\n", json_type, "{\"error\":\"Too many requests\"}", [1, 3]),
        (csv, "id\n0\n", "application/problem+json", "\"busy\"", [1, 3]),
        (csv, "id\n0\n", "text/csv", "\n{ \"error\":\"Too many requests\"}\n", [1, 3]),
        (csv, "id\n0\n", "text/csv", html, [1, 3]),
        (csv_bare, "0\n", "text/csv", "[\"busy\"]", [1, 3]),
        (csv, "id\n0\n", "text/plain", "Too many requests", [0, 3]),
        (csv, "id\n0\n", "text/csv", "name,id\n", [0, 0]),
        (csv, "id\n0\n", "text/csv", "", [0, 0]),
        ("response_format: ndjson\n", "{\"id\":0}\n", "text/plain", html, [1, 3]),
        (deep, "<r><o><id>0</id></o></r>", "text/xml", "<error><message>throttled</message></error>", [3, 3]),
        (deep, "<r><o><id>0</id></o></r>", "text/xml", "<e><message>throttled</message></e>", [1, 3]),
        (deep, "<r><o><id>0</id></o></r>", "text/xml", "<r><s:Fault>throttled</s:Fault></r>", [3, 3]),
        (deep, "<r><o><id>0</id></o></r>", "text/xml", "throttled", [1, 3]),
        (deep, "<r><o><id>0</id><error>1</error></o></r>", "text/xml", "<r><page>2</page></r>", [0, 0]),
        (xml, "<r><o><id>0</id></o></r>", "text/xml", "<error><message>throttled</message></error>", [3, 3]),
    ] {
        for (number, code) in codes.into_iter().enumerate() {
            let api = Api::start(move |asked| match asked.number("page").is_some_and(|page| page > number) {
                true => Reply::of(kind, other),
                false => Reply::of("text/plain", first),
            });
            let pagination = "pagination: {enabled: true, page_delay: 0, stop_conditions: [{type: empty_response}]}\n";
            let read = pipeline(&format!("url: {}\n{extract}{pagination}", api.url("/"))).with("out.jsonl", "before\n");
            let answer = run(&api, &read, &[]);
            assert_eq!(answer.code, code, "{other} on page {}: {answer:?}", number + 1);
            let left = read.read("out.jsonl");
            assert!(code == 0 || left == "before\n" && answer.stderr.lines().count() <= 3, "{other}: {left} {answer:?}");
            assert!(code > 0 || number == 0 || left.contains("\"id\":0"), "{other}: {left}");
        }
    }
}

/// An interface that gives one record a page, and takes its time.
fn slow() -> Api {
    Api::start(|asked| {
        std::thread::sleep(Duration::from_millis(200));
        Reply::json(&json!(page(100, asked.number("page").unwrap() - 1, 1)))
    })
}

#[test]
fn pages_that_types_are_inferred_from_count_as_time_of_the_run() {
    let api = slow();
    let extract = format!("url: {}\npagination: {{enabled: true, page_delay: 0, page_size: 1}}\n", api.url("/"));
    let timed = pipeline(&extract).with("settings.yaml", "timeout_seconds: 1\n");
    let start = Instant::now();
    let answer = run(&api, &timed, &[]);
    assert_eq!(answer.code, 3, "{answer:?}");
    assert!(answer.stderr.contains("the run was not done after 1 s (`timeout_seconds`)"), "{answer:?}");
    // All pages take 20 s.
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

#[test]
fn while_types_are_inferred_it_is_told_that_the_run_is_at_work() {
    let api = Api::start(|asked| {
        std::thread::sleep(Duration::from_millis(200));
        Reply::json(&json!(page(5, asked.number("page").unwrap() - 1, 1)))
    });
    let told = pipeline(&format!("url: {}\npagination: {{enabled: true, page_delay: 0, page_size: 1}}\n", api.url("/")));
    let host = api.address.to_string();
    let answer = told.answer(&["run", "--json", "--progress", "json", "--progress-interval", "0.1", "--allow-private-network", &host]);
    assert_eq!(answer.code, 0, "{answer:?}");
    let events: Vec<serde_json::Value> = answer.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let waiting: Vec<_> = events.iter().filter(|event| event["stage"] == "extract" && event["records"] == 0).collect();
    assert!(waiting.len() >= 3, "{answer:?}");
    let report: serde_json::Value = serde_json::from_str(&answer.stdout).unwrap();
    assert!(report["seconds"].as_f64().unwrap() >= 1.0, "{report}");
}

#[test]
fn a_server_that_is_away_for_seconds_is_waited_for() {
    let api = Api::start(|asked| Reply::json(&json!(page(1000, 50 * (asked.number("page").unwrap() - 1), 50))));
    let relay = Relay::start(api.address.port(), [u64::MAX, 12_000]);
    let host = format!("127.0.0.1:{}", relay.port);
    let far = pipeline(&format!("url: http://{host}/\ninfer_rows: 50\npagination: {{enabled: true, page_delay: 0, page_size: 50}}\n"));
    let run = |far: &Pipeline| far.answer(&["run", "--quiet", "--allow-private-network", &host]);
    let answer = std::thread::scope(|scope| {
        let running = scope.spawn(|| run(&far));
        relay.until_away();
        // Longer than the three attempts of one request.
        std::thread::sleep(Duration::from_secs(5));
        relay.come_back();
        running.join().unwrap()
    });
    assert_eq!(answer.code, 0, "{answer:?}");
    assert!(answer.stderr.contains("trying again"), "{answer:?}");
    assert_eq!(came(&far), (0..1000).collect::<Vec<_>>());
}
