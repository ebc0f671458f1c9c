//! Attacks by HTTP: each ends as its line says, and nothing gets out that was not granted.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use etl_host::config::grants::{HttpGrant, Method};
use etl_host::config::settings::Secret;
use etl_host::plan::{Grants, Limits};
use etl_host::sandbox::{Network, Options, Sandbox};
use serde_json::json;

use super::{RUNTIME, life, recipe, sandbox};
use crate::server::Server;
use crate::support::evil;

/// A sandbox whose operator opened `127.0.0.1`, and not `localhost`.
static OPEN: LazyLock<Sandbox> = LazyLock::new(|| {
    let network = Network { private_hosts: vec!["127.0.0.1".parse().unwrap()], ..Network::default() };
    Sandbox::open(Options { network, ..Options::default() }, RUNTIME.handle().clone()).unwrap()
});

fn grant(host: &str) -> HttpGrant {
    HttpGrant { host: host.parse().unwrap(), headers: Vec::new(), methods: Vec::new() }
}

/// What an attack comes to, with the server as `SERVER` and another one as `OTHER`.
struct Field {
    server: Server,
    other: Server,
}

impl Field {
    fn new() -> Self {
        Self { server: Server::start(), other: Server::start() }
    }

    /// Grants of the server, with credentials.
    fn grants(&self) -> Grants {
        let headers = vec![("authorization".to_owned(), Secret("Bearer s3cret-of-the-host".into()))];
        Grants { http: vec![HttpGrant { headers, ..grant(&self.server.url("127.0.0.1")) }], ..Grants::default() }
    }

    fn end(&self, function: &str, grants: &Grants, limits: Limits) -> String {
        self.end_at(function, &self.server.url("127.0.0.1"), grants, limits)
    }

    fn end_at(&self, function: &str, url: &str, grants: &Grants, limits: Limits) -> String {
        let component = OPEN.load_file(&evil("evil_http")).unwrap();
        let options = json!({ "url": url, "other": self.other.url("127.0.0.1") }).to_string();
        let mut recipe = recipe(&component, function, &options, &Grants::default());
        recipe.access = OPEN.access(grants).unwrap();
        recipe.limits = limits;
        let end = life(&recipe, false).unwrap_err().1.remove(0);
        let text = format!("{}: {}", end.code, end.full_message());
        text.replace(&self.server.address.port().to_string(), "SERVER").replace(&self.other.address.port().to_string(), "OTHER")
    }
}

fn limits() -> Limits {
    Limits { timeout: Duration::from_secs(20), fuel_per_batch: 20_000_000_000, ..Limits::default() }
}

#[test]
fn only_granted_hosts_ports_schemes_and_methods_are_asked() {
    let field = Field::new();
    let denied = |what: &str, why: &str| format!("saw: HttpRequestDenied; etl-host on `{what}`: {why}");
    let not_among = "that host is not among the stage's `grants.http`";
    assert_eq!(field.end("ask", &Grants::default(), limits()), denied("GET http://127.0.0.1:SERVER", "the stage was granted no host"));
    assert_eq!(field.end("ask", &field.grants(), limits()), "saw: 200 `authorization: Bearer s3cret-of-the-host`");
    assert_eq!(field.end("ask_other", &field.grants(), limits()), denied("GET http://127.0.0.1:OTHER", not_among));
    let https = field.server.url("127.0.0.1").replace("http:", "https:");
    assert_eq!(field.end_at("ask", &https, &field.grants(), limits()), denied("GET https://127.0.0.1:SERVER", not_among));
    let mut post = field.grants();
    post.http[0].methods = vec![Method::Post];
    assert_eq!(field.end("ask", &post, limits()), denied("GET http://127.0.0.1:SERVER", "that method is not granted for that host"));
    assert_eq!(field.server.asked().len(), 1);
    assert_eq!(field.other.asked().len(), 0);
}

#[test]
fn a_granted_name_of_this_machine_is_not_reached_unless_the_operator_opened_it() {
    let field = Field::new();
    let localhost = field.server.url("localhost");
    let grants = Grants { http: vec![grant(&localhost)], ..Grants::default() };
    let end = field.end_at("ask", &localhost, &grants, limits());
    let (start, rest) = end.split_once("`localhost` has the address ").expect(&end);
    assert_eq!(start, "saw: DestinationIpProhibited; etl-host on `GET http://localhost:SERVER`: ");
    assert!(rest == "127.0.0.1, which is not public" || rest == "::1, which is not public", "{rest}");

    // The same as an address, in a sandbox that opened nothing.
    let url = field.server.url("127.0.0.1");
    let component = sandbox().load_file(&evil("evil_http")).unwrap();
    let options = json!({ "url": url }).to_string();
    let end = super::end_granted(&component, "ask", &options, &Grants { http: vec![grant(&url)], ..Grants::default() });
    assert_eq!(
        end.replace(&field.server.address.port().to_string(), "SERVER"),
        "process: saw: DestinationIpProhibited; etl-host on `GET http://127.0.0.1:SERVER`: that address is not public, and the operator of etl-host has not opened it (`--allow-private-network`)"
    );
    assert_eq!(field.server.asked().len(), 0);
}

#[test]
fn a_redirect_is_an_answer_and_where_it_points_is_held_to_the_grants() {
    let field = Field::new();
    let to = "http://169.254.169.254/latest/meta-data/";
    assert_eq!(
        field.end("follow", &field.grants(), limits()),
        format!(
            "saw: 302 location={to} ``, then HttpRequestDenied; etl-host on `GET http://169.254.169.254`: that host is not among the stage's `grants.http`"
        )
    );
    let mut grants = field.grants();
    grants.http.push(grant("http://169.254.169.254"));
    assert_eq!(
        field.end("follow", &grants, limits()),
        format!(
            "saw: 302 location={to} ``, then DestinationIpProhibited; etl-host on `GET http://169.254.169.254`: that address is not public, and the operator of etl-host has not opened it (`--allow-private-network`)"
        )
    );
}

#[test]
fn credentials_go_to_their_host_only_and_the_guest_sees_none() {
    let field = Field::new();
    let mut grants = field.grants();
    assert_eq!(field.end("own_credentials", &grants, limits()), "saw: 200 `authorization: Bearer s3cret-of-the-host`");
    let [asked] = field.server.asked().try_into().unwrap();
    assert_eq!(asked.matches("authorization").count(), 1, "{asked}");
    assert_eq!(asked.matches("host: ").count(), 1, "{asked}");

    grants.http.push(grant(&field.other.url("127.0.0.1")));
    let stolen = field.end("steal", &grants, limits());
    assert_eq!(stolen, "saw: 200 `authorization: Bearer of the guest`");
    assert!(field.other.asked().iter().all(|asked| !asked.contains("s3cret")));

    assert_eq!(field.end("reflect", &grants, limits()), "saw: 200 x-other=fine `reflected`");
    let denied = "etl-host on `TRACE http://127.0.0.1:SERVER`: that method is not granted for that host";
    assert_eq!(field.end("trace", &grants, limits()), format!("saw: HttpRequestDenied, HttpRequestDenied; {denied}"));
}

#[test]
fn a_slow_or_endless_server_costs_a_batch_its_time_and_no_more() {
    let field = Field::new();
    let short = Limits { timeout: Duration::from_millis(700), ..limits() };
    for function in ["read_drip", "read_silent"] {
        let started = Instant::now();
        assert_eq!(field.end(function, &field.grants(), short), "timeout: did not return within 0.7 s", "{function}");
        assert!(started.elapsed() < Duration::from_secs(15), "{function} took {:?}", started.elapsed());
    }
    assert_eq!(field.end("request_for_ever", &field.grants(), short), "timeout: did not return within 0.7 s");
    let fuel = Limits { fuel_per_batch: 5_000_000, fuel_per_row: 0, ..limits() };
    assert_eq!(field.end("request_for_ever", &field.grants(), fuel), "out_of_fuel: used all of its 5.0 M fuel");
}

#[test]
fn what_comes_back_is_bounded() {
    let field = Field::new();
    let ends = |function| {
        let end = field.end(function, &field.grants(), limits());
        // How many bytes came with the last piece is the network's affair.
        end.split("Some(").next().unwrap_or_default().to_owned()
    };
    let endless = ends("read_endless");
    // The piece that passes the limit is not handed on.
    assert!(["31", "32"].iter().any(|mib| endless == format!("saw: 200, {mib} MiB, then HttpResponseBodySize(")), "{endless}");
    assert_eq!(ends("read_headers"), "saw: HttpResponseHeaderSectionSize(");
    assert_eq!(
        field.end("read_huge_header", &field.grants(), limits()),
        "saw: HttpProtocolError; etl-host on `GET http://127.0.0.1:SERVER`: message head is too large"
    );
}

#[test]
fn what_a_guest_holds_of_the_host_is_bounded() {
    let field = Field::new();
    assert_eq!(
        field.end("many_at_once", &field.grants(), limits()),
        "saw: 16 answered, {\"ConnectionLimitReached\": 84}; etl-host on `GET http://127.0.0.1:SERVER`: 16 requests are under way already"
    );
    assert_eq!(field.server.asked().len(), 16);
    assert_eq!(field.end("hoard", &field.grants(), limits()), "crash: crashed: resource table has no free keys");
    assert_eq!(field.end("long_names", &field.grants(), limits()), "crash: crashed: total size of fields exceeds limit");
    let flood = field.end("send_flood", &field.grants(), limits());
    let (taken, rest) = flood.split_once(" MiB taken, ").expect(&flood);
    assert_eq!(taken, "saw: 8");
    assert!(rest.starts_with("HttpRequestBodySize("), "{rest}");
    assert!(rest.ends_with("; etl-host on `POST http://127.0.0.1:SERVER`: a request may have 8 MiB"), "{rest}");
    assert_eq!(field.server.asked().len(), 0);
}

#[test]
fn no_second_request_hides_in_the_first() {
    let field = Field::new();
    let end = field.end("smuggle", &field.grants(), limits());
    assert!(end.starts_with("saw: all refused: true "), "{end}");
    let asked = end.split_once("; [").map(|(_, asked)| asked.split(']').next().unwrap_or_default()).expect(&end);
    assert_eq!(asked, r#""HttpRequestUriInvalid", "HttpRequestUriInvalid", "HttpRequestUriInvalid""#);
    field.end("lie_about_length", &field.grants(), limits());
    for asked in field.server.asked() {
        assert!(!asked.contains("smuggled"), "{asked}");
    }
}

#[test]
fn http_of_one_stage_is_none_of_another_of_the_same_component() {
    let field = Field::new();
    for _ in 0..3 {
        assert_eq!(field.end("ask", &field.grants(), limits()), "saw: 200 `authorization: Bearer s3cret-of-the-host`");
        assert!(field.end("ask", &Grants::default(), limits()).starts_with("saw: HttpRequestDenied;"));
        let bare = Grants { http: vec![grant(&field.server.url("127.0.0.1"))], ..Grants::default() };
        assert_eq!(field.end("ask", &bare, limits()), "saw: 200 `authorization: none`");
    }
}
