//! What must not be seen, with every kind of credentials, though all is told that can be.

use serde_json::json;

use super::api::{Api, Reply};
use super::{pipeline, records};
use crate::support::{answer, program};

#[test]
fn no_credentials_are_in_anything_that_is_told_or_kept_though_all_is_traced() {
    let api = Api::start(|asked| match asked.path.as_str() {
        "/token" if asked.body.contains("s3cret-client") => Reply::json(&json!({ "access_token": "s3cret-fetched", "expires_in": 3600 })),
        "/good" => Reply::json(&json!(records(0..2))),
        // It repeats all that it was told.
        _ => Reply::status("403 Forbidden").body(format!("{} {} {}", asked.query, asked.head, asked.body)),
    });
    let host = api.address.to_string();
    // `ada:s3cret-basic` in base64 too.
    let hidden = ["s3cret-", "YWRhOnMzY3JldC1iYXNpYw"];
    for auth in [
        "auth: {bearer: {token: s3cret-bearer}}".to_owned(),
        "auth: {basic: {username: ada, password: s3cret-basic}}".to_owned(),
        "auth: {api_key: {value: s3cret-key, header_name: X-Key}}".to_owned(),
        format!("auth: {{oauth2_cc: {{token_url: 'http://{host}/token', client_id: me, client_secret: s3cret-client}}}}"),
        "method: POST\nbody: {user: ada, password: s3cret-body}".to_owned(),
        "method: POST\nbody: {token: '${MY_TOKEN}', filter: '${MY_TOKEN}'}".to_owned(),
    ] {
        let mut all = String::new();
        for (path, code) in [("good", 0), ("bad", 2)] {
            let asking = pipeline(&format!("url: 'http://{host}/{path}'\n{auth}\ncheckpoint: {{enabled: true, interval: 1}}\n"));
            let state = asking.path("state");
            for command in
                [&["plan", "."][..], &["plan", ".", "--json"], &["preview", "."], &["run", ".", "--json"], &["history", "--json"]]
            {
                let mut program = program();
                program
                    .current_dir(asking.path(""))
                    .env("ETL_HOST_STATE_DIR", &state)
                    .env("MY_TOKEN", "s3cret-env")
                    .env("ETL_HOST_LOG", "trace");
                if command[0] != "history" {
                    program.args(command).args(["--allow-private-network", &host]);
                } else {
                    program.args(command);
                }
                let told = answer(&mut program);
                assert!(told.code == code || matches!(command[0], "plan" | "history"), "{auth} {command:?} {told:?}");
                all += &format!("{}{}", told.stdout, told.stderr);
            }
            for name in asking.names().into_iter().filter(|name| !name.ends_with(".yaml")) {
                all += &String::from_utf8_lossy(&std::fs::read(asking.path(&name)).unwrap());
            }
        }
        assert!(all.contains("TRACE") && all.contains("403 Forbidden"));
        let line = all.lines().find(|line| hidden.iter().any(|secret| line.contains(secret)));
        assert_eq!(line, None, "{auth}");
    }
}
