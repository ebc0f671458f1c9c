//! Keys as existing directories have them, each seen in what the server is asked.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use etl_host::remote::wait;
use serde_json::json;
use tokio::net::TcpSocket;

use super::api::{Api, Asked, Reply};
use super::{came, ids, page, pipeline, records, run};

/// A server with so many records that takes an offset and a limit by any names.
fn by_offset(all: usize, offset: &'static str, size: usize) -> Api {
    Api::start(move |asked| Reply::json(&json!(page(all, asked.number(offset).unwrap(), size))))
}

/// The queries of a run over pages by offset to its good end, which reads records from `first` on.
fn offsets(api: &Api, first: u64, all: u64, pagination: &str, more: &str) -> Vec<String> {
    let paged = pipeline(&format!(
        "url: {}\npagination: {{enabled: true, strategy: offset, page_delay: 0, {pagination}}}\n{more}",
        api.url("/rows")
    ));
    assert_eq!(ids(api, &paged, &[]), (first..all).collect::<Vec<_>>(), "{pagination} {more}");
    api.queries()
}

#[test]
fn an_offset_goes_on_by_what_the_limit_is_called_here() {
    let api = by_offset(80, "skip", 50);
    let asked = ["take=50&skip=0", "take=50&skip=50"];
    assert_eq!(offsets(&api, 0, 80, "offset_param: skip, limit_param: take, page_size: 50", ""), asked);
    assert_eq!(offsets(&api, 0, 80, "offset_param: skip, limit_param: take", "params: {take: 50}\n"), asked);
    assert_eq!(offsets(&api, 0, 80, "offset_param: skip, limit_param: take", "params: {take: '50'}\n"), asked);
    assert_eq!(offsets(&api, 0, 80, "offset_param: skip, limit_param: take", "input_params: {take: {type: int, default: 50}}\n"), asked);
}

#[test]
fn an_offset_starts_and_goes_on_as_its_keys_say() {
    let api = by_offset(80, "from", 30);
    assert_eq!(
        offsets(&api, 20, 80, "page_size: 30, offset: {param_name: from, start: 20}", ""),
        ["limit=30&from=20", "limit=30&from=50", "limit=30&from=80"]
    );
    assert_eq!(offsets(&api, 0, 80, "offset: {param_name: from, increment_by: 30}", ""), ["from=0", "from=30", "from=60"]);
    assert_eq!(
        offsets(&api, 0, 80, "offset: {param_name: from, increment_by: n}", "params: {n: 30}\n"),
        ["n=30&from=0", "n=30&from=30", "n=30&from=60"]
    );
}

#[test]
fn pages_and_cursors_have_the_names_of_the_flat_keys() {
    let api = Api::start(|asked| Reply::json(&json!(page(25, (asked.number("p").unwrap() - 1) * 10, 10))));
    let flat = "page_param: p, limit_param: per, page_size: 10, page_delay: 0";
    let paged = pipeline(&format!("url: {}\npagination: {{enabled: true, strategy: page, {flat}}}\n", api.url("/rows")));
    assert_eq!(ids(&api, &paged, &[]), (0..25).collect::<Vec<_>>());
    assert_eq!(api.queries(), ["per=10&p=1", "per=10&p=2", "per=10&p=3"]);
    let paged = pipeline(&format!("url: {}\npagination: {{enabled: true, strategy: page, {flat}, max_pages: 2}}\n", api.url("/rows")));
    assert_eq!(ids(&api, &paged, &[]), (0..20).collect::<Vec<_>>());
    assert_eq!(api.asked().len(), 2);
    let api = Api::start(|asked| {
        let start = asked.number("c").unwrap_or(0);
        Reply::json(&json!({ "data": page(7, start, 5), "meta": { "next": (start == 0).then_some(5) } }))
    });
    let flat = "cursor_param: c, cursor_path: meta.next, limit_param: per, page_size: 5, page_delay: 0";
    let paged = pipeline(&format!("url: {}\npagination: {{enabled: true, strategy: cursor, {flat}}}\n", api.url("/rows")));
    assert_eq!(ids(&api, &paged, &[]), (0..7).collect::<Vec<_>>());
    assert_eq!(api.queries(), ["per=5", "per=5&c=5"]);
}

#[test]
fn a_link_stands_in_the_response_where_its_path_is_given_and_in_a_header_where_it_is_not() {
    let api = Api::start(|asked| {
        let start = asked.number("from").unwrap_or(0);
        let next = (start == 0).then_some("/rows?from=10");
        let reply = Reply::json(&json!({ "data": page(15, start, 10), "links": { "next": next } }));
        // What the header names is another way.
        if start == 0 { reply.with("Link", "</rows?from=10&by=header>; rel=\"next\"") } else { reply }
    });
    for (keys, second) in [
        ("strategy: link, next_link_path: links.next", "from=10"),
        ("strategy: next_url, next_link_path: links.next", "from=10"),
        ("strategy: link", "from=10&by=header"),
    ] {
        let paged = pipeline(&format!("url: {}\npagination: {{enabled: true, page_delay: 0, {keys}}}\n", api.url("/rows")));
        assert_eq!(ids(&api, &paged, &[]), (0..15).collect::<Vec<_>>(), "{keys}");
        assert_eq!(api.queries(), ["", second], "{keys}");
    }
}

#[test]
fn every_method_sends_its_body_again_with_a_retry() {
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        let api = Api::start(|asked: &Asked| match asked.number {
            0 => Reply::status("503 Service Unavailable").with("Retry-After", "0"),
            _ => Reply::json(&json!(records(0..2))),
        });
        let sent = pipeline(&format!("url: {}\nmethod: {method}\nbody: {{ids: [1, 2]}}\n", api.url("/rows")));
        let answer = run(&api, &sent, &[]);
        assert_eq!((answer.code, came(&sent)), (0, vec![0, 1]), "{method} {answer:?}");
        let asked: Vec<(String, String)> = api.asked().into_iter().map(|asked| (asked.method, asked.body)).collect();
        assert_eq!(asked, vec![(method.to_owned(), r#"{"ids":[1,2]}"#.to_owned()); 2]);
    }
}

#[test]
fn only_the_status_codes_that_are_named_are_tried_again() {
    for (status, times) in [("418 I'm a teapot", 2), ("503 Service Unavailable", 1)] {
        let api = Api::start(move |_| Reply::status(status).with("Retry-After", "0"));
        let asking = pipeline(&format!("url: {}\nretry: {{max_attempts: 2, retry_on_status: [418, 409]}}\n", api.url("/")));
        assert_ne!(run(&api, &asking, &[]).code, 0);
        assert_eq!(api.count(), times, "{status}");
    }
}

#[test]
fn a_factor_below_one_makes_each_wait_shorter_and_a_time_of_0_has_no_end() {
    let api = Api::start(|asked| match asked.number {
        0 => Reply::status("503 Service Unavailable").with("Retry-After", "0"),
        1 | 2 => Reply::status("503 Service Unavailable"),
        _ => Reply::json(&json!(records(0..2))),
    });
    let asking = pipeline(&format!(
        "url: {}\nretry: {{max_attempts: 4, backoff_factor: 0}}\ntimeout: {{connect: 0, read: 0, write: 0, pool: 0, total: 0}}\n",
        api.url("/")
    ));
    let start = Instant::now();
    let answer = run(&api, &asking, &[]);
    assert_eq!((answer.code, came(&asking)), (0, vec![0, 1]), "{answer:?}");
    assert!(answer.stderr.matches("wait_ms=0").count() == 3 && start.elapsed() < Duration::from_secs(30), "{answer:?}");
}

#[test]
fn a_port_that_takes_no_connection_is_given_up_in_time() {
    // A listener whose queue is full: what comes then is dropped, as by a firewall.
    let listener = wait(async {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        socket.listen(0).unwrap()
    });
    let address = listener.local_addr().unwrap();
    let mut queue = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(100)) {
        queue.push(stream);
        assert!(queue.len() < 1000, "the queue never fills");
    }
    let asking = pipeline(&format!(
        "url: http://{address}/\nretry: {{max_attempts: 1}}\ntimeout: {{connect: 0.3, read: 50, write: 50, pool: 50}}\n"
    ));
    let start = Instant::now();
    let answer = asking.answer(&["run", "--quiet", "--allow-private-network", &address.to_string()]);
    assert!(answer.code == 3 && start.elapsed() < Duration::from_secs(20), "{answer:?} {:?}", start.elapsed());
    insta::assert_snapshot!(answer.stderr.replace(&address.to_string(), "HOST"), @r"
    error: `http://HOST/` does not answer: there was no connection in time
      hint: are host and port right, and does a firewall let us through? `timeout.connect` gives it more seconds
    ");
}

#[test]
fn so_many_calls_a_minute_are_made_and_then_no_more() {
    let api = Api::start(|asked| Reply::json(&json!(page(usize::MAX, (asked.number("page").unwrap() - 1) * 2, 2))));
    let paced =
        pipeline(&format!("url: {}\nmax_calls_per_minute: 3\ninfer_rows: 2\npagination: {{enabled: true, page_delay: 0}}\n", api.url("/")))
            .with("settings.yaml", "timeout_seconds: 1\n");
    let answer = run(&api, &paced, &[]);
    assert!(answer.code == 3 && answer.stderr.contains("`timeout_seconds`"), "{answer:?}");
    assert_eq!(api.count(), 3);
}
