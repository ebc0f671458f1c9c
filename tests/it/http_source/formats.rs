//! Formats of responses, and where the records are within them.

use serde_json::json;

use super::api::{Api, Reply};
use super::{ids, pipeline, run};

/// The output of a run over one answer.
fn output(kind: &str, body: impl Into<Vec<u8>>, extract: &str) -> String {
    let (kind, body) = (kind.to_owned(), body.into());
    let api = Api::start(move |_| Reply::of(&kind, body.clone()));
    let read = pipeline(&format!("url: {}\n{extract}", api.url("/")));
    let answer = run(&api, &read, &[]);
    assert_eq!((answer.code, answer.stderr.as_str()), (0, ""));
    read.read("out.jsonl")
}

#[test]
fn every_format_is_read() {
    let all = [
        output("application/json", "[{\"a\": 1}, {\"a\": 2}]", ""),
        output("application/json", "{\"meta\": [1], \"items\": [{\"a\": 1}, {\"a\": 2}], \"results\": 3}", ""),
        output("application/json", "{\"a\": 1, \"b\": {\"c\": null}}", ""),
        output("application/json", "{\"x\": [{\"y\": [{\"a\": 1}]}]}", "response_path: x.0.y\n"),
        output("application/json; charset=iso-8859-1", b"[{\"a\": \"\xE4\"}]".as_slice(), ""),
        output("application/x-ndjson", "{\"a\": 1}\n\n{\"a\": 2}", "response_format: ndjson\n"),
        output("text/csv; charset=windows-1252", b"a;b\r\n1;\x80\r\n".as_slice(), "response_format: csv\ncsv_options: {delimiter: ';'}\n"),
        output("text/xml", "<r><page/><row><a>1</a></row><row><a>2</a></row></r>", "response_format: xml\nresponse_path: r.row\n"),
        output("text/plain", "one \"line\"\nand another\t\u{1}", "response_format: text\n"),
    ];
    insta::assert_snapshot!(all.join("\n"), @r#"
    {"a":1}
    {"a":2}

    {"a":1}
    {"a":2}

    {"a":1,"b":{"c":null}}

    {"a":1}

    {"a":"ä"}

    {"a":1}
    {"a":2}

    {"a":1,"b":"€"}

    {"a":1}
    {"a":2}

    {"text":"one \"line\"\nand another\t\u0001"}
    "#);
}

#[test]
fn an_answer_without_records_is_an_empty_page() {
    for (status, body, extract) in [
        ("204 No Content", "", ""),
        ("200 OK", "[]", ""),
        ("200 OK", " null ", ""),
        ("200 OK", "{\"data\": null}", "response_path: data\n"),
        ("200 OK", "{\"data\": []}", "response_path: data\n"),
        ("200 OK", "", "response_format: csv\n"),
        ("200 OK", "", "response_format: text\n"),
    ] {
        let api = Api::start(move |_| Reply::status(status).body(body));
        assert_eq!(ids(&api, &pipeline(&format!("url: {}\n{extract}", api.url("/"))), &[]), Vec::<u64>::new(), "{body}");
    }
    let api = Api::start(|_| Reply::json(&json!({ "data": { "users": [], "total": 0 } })));
    let answer = run(&api, &pipeline(&format!("url: {}\nresponse_path: data.items\n", api.url("/"))), &[]);
    assert_eq!(answer.code, 1);
    insta::assert_snapshot!(api.anonymous(&answer.stderr), @r"error: `response_path` is `data.items`, but in `http://HOST/` `data` has no `items`; it has `users`, `total`");
}
