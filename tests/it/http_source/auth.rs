//! Credentials: they reach the host that they are for, and no other, and are printed nowhere.

use serde_json::json;

use super::api::{Api, Reply};
use super::{came, ids, pipeline, records, run};
use crate::support::Pipeline;

#[test]
fn each_kind_of_credentials_goes_where_it_belongs() {
    let api = Api::start(|_| Reply::json(&json!(records(0..1))));
    let url = api.url("/");
    for (auth, header, sent, query) in [
        ("bearer: {token: t0k3n}", "authorization", Some("Bearer t0k3n"), ""),
        ("basic: {username: ada, password: l0velace}", "authorization", Some("Basic YWRhOmwwdmVsYWNl"), ""),
        ("api_key: {value: k3yk3y, header_name: X-Key}", "x-key", Some("k3yk3y"), ""),
        ("api_key: {value: k3y+&, query_param_name: key}", "x-key", None, "key=k3y%2B%26"),
    ] {
        assert_eq!(ids(&api, &pipeline(&format!("url: {url}\nauth: {{{auth}}}\n")), &[]), [0]);
        let asked = api.asked().remove(0);
        assert_eq!((asked.header(header), asked.query.as_str()), (sent, query), "{auth}");
    }
}

#[test]
fn a_token_is_fetched_once_and_anew_where_it_is_refused_or_over() {
    // Tokens are numbered; the first is refused from the second page on, the second one lasts no time at all.
    let api = Api::start(|asked| {
        if asked.path == "/token" {
            assert_eq!(asked.body, "grant_type=client_credentials&scope=read+all&client_id=me&client_secret=s3cret%21");
            let lasts = if asked.number == 0 { 3600 } else { 0 };
            return Reply::json(&json!({ "access_token": format!("token-{}", asked.number), "expires_in": lasts }));
        }
        let page = asked.number("page").unwrap();
        match (asked.header("authorization").unwrap(), page) {
            ("Bearer token-0", 2) => Reply::status("401 Unauthorized"),
            _ => Reply::json(&json!(records(page * 2..page * 2 + if page < 4 { 2 } else { 1 }))),
        }
    });
    let tokens = pipeline(&format!(
        "url: {}\nauth: {{oauth2_cc: {{token_url: '{}', client_id: me, client_secret: s3cret!, scope: read all}}}}\npagination: {{enabled: true, page_delay: 0}}\n",
        api.url("/rows"),
        api.url("/token")
    ));
    assert_eq!(ids(&api, &tokens, &[]), (2..9).collect::<Vec<_>>());
    let asked: Vec<String> = api.asked().iter().map(|asked| asked.param("page").unwrap_or("token").to_owned()).collect();
    assert_eq!(asked, ["token", "1", "2", "token", "2", "token", "3", "token", "4"]);
}

#[test]
fn a_token_that_is_always_refused_is_fetched_anew_once() {
    let api = Api::start(|asked| match asked.path.as_str() {
        "/token" if asked.header("authorization").is_none() => Reply::status("401 Unauthorized"),
        "/token" => Reply::json(&json!({ "access_token": "t0ps3cret" })),
        _ => Reply::status("401 Unauthorized"),
    });
    let tokens = pipeline(&format!(
        "url: {}\nauth: {{oauth2_cc: {{token_url: '{}', client_id: me, client_secret: s3cret!}}}}\n",
        api.url("/rows"),
        api.url("/token")
    ));
    let answer = run(&api, &tokens, &[]);
    assert_eq!(answer.code, 2);
    insta::assert_snapshot!(api.anonymous(&answer.stderr), @r"
    error: GET `http://HOST/rows` was answered with 401 Unauthorized
      hint: the credentials are missing, wrong or expired: look at `auth` and `headers`
    ");
    let asked = api.asked();
    assert_eq!(asked.iter().filter(|asked| asked.path == "/rows").count(), 2);
    // Of servers that want the credentials in the header.
    assert_eq!(asked[1].header("authorization"), Some("Basic bWU6czNjcmV0IQ=="));
}

#[test]
fn nothing_that_is_meant_for_one_host_follows_a_redirect_to_another() {
    let other = Api::start(|_| Reply::json(&json!(records(0..2))));
    let there = other.url("/moved");
    let api = Api::start(move |asked| match asked.path.as_str() {
        "/near" => Reply::status("307 Temporary Redirect").with("location", "/here?x=1"),
        "/here" => Reply::json(&json!(records(0..2))),
        _ => Reply::status("302 Found").with("location", &there),
    });
    let secret = "headers: {X-Mine: s3cret1, Cookie: id=s3cret2}\nauth: {bearer: {token: s3cret3}}\nparams: {api_key: s3cret4}\n";
    let arguments = ["--allow-private-network".to_owned(), other.address.to_string()];
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    assert_eq!(ids(&api, &pipeline(&format!("url: {}\n{secret}", api.url("/far"))), &arguments), [0, 1]);
    let asked = other.asked().remove(0);
    assert!(!format!("{asked:?}").contains("s3cret"), "{asked:?}");
    assert_eq!(asked.header("accept"), Some("application/json"));
    api.asked();
    assert_eq!(ids(&api, &pipeline(&format!("url: {}\n{secret}", api.url("/near"))), &[]), [0, 1]);
    let asked = api.asked().remove(1);
    assert_eq!(
        (asked.query.as_str(), asked.header("x-mine"), asked.header("authorization")),
        ("x=1", Some("s3cret1"), Some("Bearer s3cret3"))
    );
    // A body is not handed on.
    let posted = pipeline(&format!("url: {}\nmethod: PUT\nbody: {{password: s3cret5}}\n", api.url("/far")));
    let answer = run(&api, &posted, &arguments);
    assert_eq!(answer.code, 3);
    insta::assert_snapshot!(other.anonymous(&answer.stderr).replace(&api.address.to_string(), "FIRST"), @r"error: `http://FIRST/far` redirects PUT to `http://HOST`, another host, which must not get the body");
    assert_eq!(other.asked().len(), 0);
    // Where the operator has not opened the other host, it is not asked at all.
    let answer = run(&api, &pipeline(&format!("url: {}\n", api.url("/far"))), &[]);
    assert_eq!(answer.code, 2);
    insta::assert_snapshot!(other.anonymous(&answer.stderr), @r"
    error: `http://HOST/moved` is not asked: 127.0.0.1 is not a public address
      hint: pipelines reach public addresses only; the operator of etl-host opens this host by `--allow-private-network HOST`
    ");
    // Nor where he names the hosts that are, and it is none of them.
    let answer = run(&api, &pipeline(&format!("url: {}\n", api.url("/far"))), &["--allow-host", "*.example.com"]);
    assert_eq!(answer.code, 2);
    insta::assert_snapshot!(other.anonymous(&answer.stderr), @r"
    error: `http://HOST/moved` is not asked: the operator of etl-host allows other hosts only
      hint: it is allowed by `--allow-host HOST`
    ");
    assert_eq!(other.asked().len(), 0);
}

#[test]
fn a_next_page_on_another_host_is_not_asked_for() {
    let other = Api::start(|_| Reply::json(&json!({ "data": records(0..2) })));
    let there = other.url("/next");
    let api = Api::start(move |_| Reply::json(&json!({ "data": records(0..2), "next_url": there })));
    let paged = pipeline(&format!("url: {}\npagination: {{enabled: true, strategy: next_url}}\n", api.url("/")));
    let answer = run(&api, &paged, &["--allow-private-network", "127.0.0.1"]);
    assert_eq!(answer.code, 3);
    insta::assert_snapshot!(other.anonymous(&answer.stderr).replace(&api.address.to_string(), "FIRST"), @r"
    error: `http://FIRST/` names a page on `http://HOST` as the next one, but the credentials are for `http://FIRST`
      hint: pages are read from the host that the source names only
    ");
    assert_eq!(other.asked().len(), 0);
}

#[test]
fn an_address_that_is_not_public_is_asked_only_where_the_operator_opens_it() {
    let api = Api::start(|_| Reply::json(&json!(records(0..2))));
    let shut = pipeline(&format!("url: {}\n", api.url("/rows")));
    for command in ["run", "plan", "preview"] {
        let answer = shut.answer(&[command]);
        assert_eq!(answer.code, 2, "{command}: {answer:?}");
        insta::allow_duplicates! {
            insta::assert_snapshot!(api.anonymous(&answer.stderr), @r"
            error: `http://HOST/rows` is not asked: 127.0.0.1 is not a public address
              hint: pipelines reach public addresses only; the operator of etl-host opens this host by `--allow-private-network HOST`
            ");
        }
    }
    let named = pipeline(&format!("url: http://localhost:{}/rows\n", api.address.port()));
    let answer = named.answer(&["run"]);
    assert_eq!(answer.code, 2, "{answer:?}");
    assert!(answer.stderr.contains("which is not public"), "{answer:?}");
    assert_eq!(api.asked().len(), 0);
    for command in ["plan", "preview"] {
        assert_eq!(shut.answer(&[command, "--allow-private-network", "127.0.0.1"]).code, 0);
    }
}

#[test]
fn no_secret_is_in_anything_that_is_printed_or_kept() {
    let api = Api::start(|asked| match (asked.number("page").unwrap(), asked.path.as_str()) {
        (1, _) => Reply::json(&json!([{ "id": 1 }, { "id": "bad" }, { "id": 2 }])),
        (_, "/good") => Reply::json(&json!([])),
        _ => Reply::status("403 Forbidden").body(format!("{} {}", asked.query, asked.head)),
    });
    let host = api.address.to_string();
    let mut all = String::new();
    for path in ["bad", "good"] {
        let secret: Pipeline = pipeline(&format!(
            "url: 'http://ada:s3cret0@{host}/{path}?apikey=s3cret1'\nheaders: {{X-Token: s3cret2}}\nparams: {{q: '${{MY_TOKEN}}', access_token: s3cret4}}\nauth: {{api_key: {{value: 's3cret5&', query_param_name: k}}}}\nschema: {{id: int}}\npagination: {{enabled: true, page_delay: 0}}\ncheckpoint: {{enabled: true, interval: 1}}\n"
        ));
        for command in
            [vec!["plan"], vec!["plan", "--json"], vec!["preview"], vec!["run"], vec!["run", "--json", "--restart"], vec!["history"]]
        {
            let mut arguments = command.clone();
            if command[0] != "history" {
                arguments.extend(["--allow-private-network", &host]);
            }
            if command[0] != "plan" && command[0] != "preview" {
                arguments.extend(["--state-dir", "state"]);
            }
            let mut program = secret.command(&arguments);
            if command[0] == "history" {
                program = crate::support::program();
                program.args(["history", "--json", "--state-dir"]).arg(secret.path("state"));
            }
            let answer = crate::support::answer(program.env("MY_TOKEN", "s3cret3").env("ETL_HOST_LOG", "debug"));
            let fails = path == "bad" && matches!(command[0], "run" | "preview");
            assert_eq!(answer.code, if fails { 2 } else { 0 }, "{answer:?}");
            all.push_str(&answer.stdout);
            all.push_str(&answer.stderr);
        }
        for name in secret.names().into_iter().filter(|name| !name.ends_with(".yaml")) {
            all.push_str(&String::from_utf8_lossy(&std::fs::read(secret.path(&name)).unwrap()));
        }
    }
    assert!(all.contains("403 Forbidden") && all.contains("is not an int64"));
    for line in all.lines() {
        assert!(!line.contains("s3cret") && !line.contains("YWRhOnMzY3JldDA="), "{line}");
    }
}

#[test]
fn a_password_in_the_url_goes_with_every_page_and_redirect_and_into_no_checkpoint() {
    for absolute in [false, true] {
        let api = Api::start(move |asked| {
            let origin = if absolute { format!("http://{}", asked.header("host").unwrap()) } else { String::new() };
            match (asked.path.as_str(), asked.header("authorization")) {
                // Base64 of `ada:l0ve/lace`.
                (path, Some("Basic YWRhOmwwdmUvbGFjZQ==")) => match path.trim_start_matches("/x").parse().unwrap() {
                    3 => Reply::status("302 Found").with("location", &format!("{origin}/x4")),
                    start => Reply::json(
                        &json!({ "data": records(start..start + 1), "next_url": (start < 4).then(|| format!("{origin}/x{}", start + 1)) }),
                    ),
                },
                _ => Reply::status("401 Unauthorized"),
            }
        });
        let host = api.address.to_string();
        let paged = pipeline(&format!(
            "url: 'http://ada:${{PW}}@{host}/x1'\npagination: {{enabled: true, strategy: next_url, page_delay: 0}}\ncheckpoint: {{enabled: true, interval: 1}}\n"
        ));
        let mut killed = paged.command(&["run", "--quiet", "--state-dir", "state", "--allow-private-network", &host]);
        let killed = killed.env("PW", "l0ve%2Flace").env("ETL_HOST_CRASH_AT", "checkpoint.renamed:3").output().unwrap();
        assert_eq!(killed.status.code(), None, "it was not killed: {killed:?}");
        for name in paged.names().iter().filter(|name| !name.ends_with(".yaml")) {
            let kept = String::from_utf8_lossy(&std::fs::read(paged.path(name)).unwrap()).into_owned();
            assert!(!kept.contains("l0ve") && !kept.contains("YWRhOmww"), "{name}: {kept}");
        }
        let mut resumed = paged.command(&["run", "--quiet", "--state-dir", "state", "--allow-private-network", &host, "--resume"]);
        let resumed = crate::support::answer(resumed.env("PW", "l0ve%2Flace"));
        assert_eq!((resumed.code, came(&paged)), (0, vec![1, 2, 4]), "{resumed:?}");
    }
}

#[test]
fn a_password_that_should_be_escaped_is_told_so_and_shown_nowhere() {
    for password in ["p@ss/w0rd77", "l0ng/w0rd77#x", "w0rd77?a@b"] {
        for (extract, rest) in [("type: http\nurl: ", "d?to=a@b.c"), ("path: ", "d.csv")] {
            let careless = pipeline("").with("extract.yaml", format!("{extract}'http://etl:${{PW}}@127.0.0.1:1/{rest}'\n"));
            for command in [vec!["plan"], vec!["run"], vec!["history", "--json"]] {
                let mut program = careless.command(&command);
                if command[0] == "history" {
                    program = crate::support::program();
                    program.args(&command);
                }
                let answer = crate::support::answer(program.env("PW", password).env("ETL_HOST_STATE_DIR", careless.path("state")));
                let all = format!("{answer:?}");
                assert!(!["w0rd77", "p@ss", "l0ng"].iter().any(|piece| all.contains(piece)), "{all}");
                assert!(command[0] != "run" || answer.code == 2 && all.contains("write `@` in them as `%40`"), "{all}");
            }
        }
    }
    // What only looks like it: an address in the query, and one in the path of a host without a user.
    let api = Api::start(|_| Reply::json(&json!(records(0..1))));
    for url in [api.url("/rows?to=a@b.c").replace("://", "://t0ken@"), api.url("/@me")] {
        assert_eq!(ids(&api, &pipeline(&format!("url: '{url}'\n")), &[]), [0]);
    }
}

#[test]
fn keys_in_the_query_of_a_url_and_a_user_alone_are_not_shown() {
    let api = Api::start(|_| Reply::status("404 Not Found"));
    let query =
        "X-Amz-Credential=S3CRET1&X-Amz-Signature=S3CRET2&sig=S3CRET3&key=S3CRET4&code=S3CRET5&subscription-key=S3CRET6&auth=S3CRET7&day=1";
    let user = api.url("/f.csv?day=1").replace("://", "://S3CRET8@");
    for url in [format!("{}?{query}", api.url("/f.csv")), user] {
        for extract in [format!("path: {url}\n"), format!("type: http\nurl: {url}\nresponse_format: csv\n")] {
            let pipeline = pipeline("").with("extract.yaml", extract);
            for command in ["plan", "run"] {
                let mut command = pipeline.command(&[command, "--allow-private-network", "127.0.0.1"]);
                let answer = crate::support::answer(command.env("ETL_HOST_STATE_DIR", pipeline.path("state")));
                assert!(!format!("{answer:?}").contains("S3CRET") && format!("{answer:?}").contains("day=1"), "{answer:?}");
            }
            for name in pipeline.names().iter().filter(|name| name.starts_with("state/")) {
                let kept = std::fs::read(pipeline.path(name)).unwrap();
                assert!(!String::from_utf8_lossy(&kept).contains("S3CRET"), "{name}");
            }
        }
    }
}
