//! Keys are used and never seen.

use std::fs;

use serde_json::json;

use super::{bucket, copy};
use crate::http_source::api::{Api, Reply};
use crate::servers::azure::{Container, KEY};
use crate::servers::s3::{Bucket, SECRET, Server};
use crate::support::Pipeline;

const TOKEN: &str = "s3ss10n-t0k3n-s3cr3t";

/// A checkpoint after each row.
const OFTEN: &str = "checkpoint: {enabled: true, interval: 1}\nbatch_size: 1\n";

/// Everything that a pipeline has said and left behind.
fn traces(pipeline: &Pipeline, said: &[String]) -> String {
    let mut all = said.join("\n");
    for name in pipeline.names().iter().filter(|name| !matches!(name.as_str(), "extract.yaml" | "load.yaml")) {
        all.push_str(&String::from_utf8_lossy(&fs::read(pipeline.path(name)).unwrap()));
    }
    all
}

fn said(pipeline: &Pipeline, arguments: &[&str]) -> String {
    let mut command = pipeline.command(arguments);
    let command = command.env("ETL_HOST_STATE_DIR", pipeline.path("state")).env("ETL_HOST_LOG", "trace");
    let done = crate::support::answer(command);
    format!("{}{}", done.stdout, done.stderr)
}

/// Does everything that can be done with a pipeline, and finds none of these texts in what it says and leaves behind; answers what it said.
fn look_through(pipeline: &Pipeline, secrets: &[&str]) -> String {
    let commands: [&[&str]; 6] = [&["plan"], &["check"], &["run", "--json"], &["run", "--resume"], &["preview"], &["run", "--dry-run"]];
    let mut all: Vec<String> = commands.iter().map(|arguments| said(pipeline, arguments)).collect();
    let mut killed = pipeline.command(&["run", "--restart"]);
    killed.env("ETL_HOST_STATE_DIR", pipeline.path("state")).env("ETL_HOST_CRASH_AT", "checkpoint.renamed:2");
    all.push(String::from_utf8(killed.output().unwrap().stderr).unwrap());
    for arguments in [&["dlq", "list"][..], &["history"], &["history", "--json"]] {
        all.push(said(pipeline, arguments));
    }
    let traces = traces(pipeline, &all);
    assert!(traces.len() > 1000, "there must be something to look through");
    for secret in secrets {
        assert!(!traces.contains(secret), "{}", traces.lines().find(|line| line.contains(secret)).unwrap());
    }
    all.join("\n")
}

#[test]
fn keys_are_seen_in_no_message_log_plan_history_letter_or_checkpoint() {
    let bucket: Bucket = bucket();
    let transform = "convert: {price: float, id: int, place: int}\n";
    let right = copy(&bucket, "in/rows.csv", "out/").with("transform.yaml", transform);
    let extract = right.read("extract.yaml");
    let right = right
        .with("extract.yaml", format!("{extract}{OFTEN}"))
        .with("load.yaml", format!("type: cloud_storage\n{}format: csv\n", bucket.storage("out/")));
    let wrong = |from: &str, to: &str| {
        let text = |name: &str| right.read(name).replace(from, to);
        Pipeline::new().with("extract.yaml", text("extract.yaml")).with("load.yaml", text("load.yaml")).with("transform.yaml", transform)
    };
    let token = wrong("region:", &format!("session_token: {TOKEN}, region:"));
    let no_bucket = wrong(&bucket.name, "no-such-bucket");
    let no_server = wrong("http://127.0.0.1", "http://127.0.0.1:1/?");
    let typo = wrong("secret_access_key", "secret_acces_key");
    for pipeline in [&right, &token, &no_bucket, &no_server, &typo] {
        look_through(pipeline, &[SECRET, TOKEN]);
    }
    assert!(!bucket.objects().iter().any(|(name, bytes)| name.contains(SECRET) || String::from_utf8_lossy(bytes).contains(SECRET)));
}

/// A pipeline from a storage back to it; no place is a number, so that there are dead letters.
fn within(storage: &dyn Fn(&str) -> String) -> Pipeline {
    Pipeline::new()
        .with("extract.yaml", format!("type: cloud_storage\n{}{OFTEN}", storage("in/rows.csv")))
        .with("transform.yaml", "convert: {price: float, id: int, place: int}\n")
        .with("load.yaml", format!("type: cloud_storage\n{}format: csv\n", storage("out/")))
        .with("settings.yaml", "max_retries: 1\n")
}

/// Puts rows there.
fn fill(storage: &dyn Fn(&str) -> String) {
    let pipeline = Pipeline::new().with("rows.csv", super::ROWS).with("extract.yaml", "path: rows.csv\n");
    pipeline.with("load.yaml", format!("type: cloud_storage\n{}", storage("in/rows.csv"))).run(0);
}

#[test]
fn keys_of_azure_are_never_seen_whether_they_are_right_or_wrong() {
    let Some(container) = Container::new() else { return };
    fill(&|path| container.storage(path));
    let (name, endpoint) = (&container.name, container.endpoint());
    let given = |credentials: &str| {
        let credentials = credentials.to_owned();
        within(&move |path| format!("storage: {{provider: azure, container: {name}, path: '{path}', credentials: {{{credentials}}}}}\n"))
    };
    let sas = container.sas();
    let signature = sas.rsplit("sig=").next().unwrap();
    let plain = &*signature.replace("%2B", "+").replace("%2F", "/").replace("%3D", "=");
    let with_key = |key: &str| format!("account_name: devstoreaccount1, account_key: '{key}', endpoint: '{endpoint}'");
    let with_sas = |sas: &str| format!("account_name: devstoreaccount1, sas_token: '{sas}', endpoint: '{endpoint}'");
    let connection = format!("connection_string: '{}'", container.connection());
    for right in [with_key(KEY), with_sas(&sas), connection.clone()] {
        let said = look_through(&given(&right), &[KEY, signature, plain]);
        assert!(said.contains("convert_int") && !said.contains("AuthenticationFailed"), "the pipeline must have run: {said}");
    }
    const WRONG: &str = "d3Jvbmcta2V5LW9mLXRoZS1hY2NvdW50LXdyb25nLWtleQ==";
    let wrong_sas = sas.replace(signature, "d3Jvbmc%3Dsignature");
    for wrong in [
        with_key(WRONG),
        with_key(KEY).replace("account_key:", "account_kay:"),
        with_key(KEY).replace("devstoreaccount1", "nobody"),
        with_sas(&wrong_sas),
        with_sas(&sas).replace("127.0.0.1", "127.0.0.1:1/?"),
        connection.replace(KEY, WRONG),
        connection.replace("AccountName=", "AccountNam="),
    ] {
        look_through(&given(&wrong), &[KEY, signature, plain, WRONG, "d3Jvbmc%3Dsignature", "d3Jvbmc=signature"]);
    }
}

#[test]
fn a_private_key_of_google_is_never_seen_whether_it_is_right_or_wrong() {
    const PRIVATE: &str = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSj";
    let server = Server::start_open();
    server.make_bucket("google");
    server.put("google", "in/rows.csv", super::ROWS);
    let given = |oauth: bool, url: &str, broken: &str| {
        let key = json!({
            "gcs_base_url": url, "disable_oauth": !oauth, "client_email": "etl@acme.iam.gserviceaccount.com", "private_key_id": "1",
            "private_key": format!("-----BEGIN PRIVATE KEY-----\n{PRIVATE}\n-----END PRIVATE KEY-----\n"),
        });
        let key = key.to_string().replace("\"client_email\"", broken);
        let storage = move |path: &str| {
            let credentials = json!({"service_account_key": key, "allow_http": true});
            format!("storage: {{provider: gcs, bucket: google, path: '{path}', credentials: {credentials}}}\n")
        };
        let pipeline = within(&storage);
        assert!(pipeline.read("extract.yaml").contains(PRIVATE));
        pipeline
    };
    let right = look_through(&given(false, &server.url(), "\"client_email\""), &[PRIVATE]);
    assert!(right.contains("convert_int"), "the pipeline must have run: {right}");
    for wrong in [
        given(true, &server.url(), "\"client_email\""),
        given(false, "http://127.0.0.1:1/?", "\"client_email\""),
        given(false, &server.url(), "\"client_mail\""),
        given(false, &server.url(), "client_email"),
    ] {
        look_through(&wrong, &[PRIVATE]);
    }
}

#[test]
fn a_token_of_the_machine_is_not_sent_to_an_address_that_a_pipeline_names() {
    let api = Api::start(|asked| Reply::status("403 Forbidden").body(format!("{} {}", asked.query, asked.head)));
    let tokens =
        [("AZURE_STORAGE_TOKEN", "HOSTTOKEN1"), ("AZURE_STORAGE_SAS_KEY", "sig=HOSTTOKEN2"), ("GOOGLE_SERVICE_ACCOUNT_KEY", "HOSTTOKEN3")];
    let run = |provider: &str, more: &str, variables: &[(&str, &str)]| {
        let storage = format!("{{provider: {provider}, bucket: rows, path: x.csv, credentials: {{endpoint: '{}'{more}}}}}", api.url(""));
        let pipeline = Pipeline::new()
            .with("extract.yaml", format!("type: cloud_storage\nstorage: {storage}\n"))
            .with("load.yaml", "path: out.jsonl\n");
        let answer = crate::support::answer(pipeline.command(&["run"]).envs(tokens).envs(variables.iter().copied()));
        assert!(!format!("{answer:?}").contains("HOSTTOKEN"), "{answer:?}");
        answer
    };
    for (provider, more) in [("azure", ", account_name: acc"), ("gcs", "")] {
        let answer = run(provider, more, &[]);
        assert!(answer.code == 2 && answer.stderr.contains("names the address of the storage, but no key for it"), "{answer:?}");
        assert_eq!(api.count(), 0);
    }
    // A key that signs is not sent, and what came with it in the environment is not either.
    run("azure", ", account_name: acc", &[("AZURE_STORAGE_ACCOUNT_KEY", crate::servers::azure::KEY)]);
    let asked = api.asked();
    assert!(!asked.is_empty() && !format!("{asked:?}").contains("HOSTTOKEN"), "{asked:?}");
}

#[test]
fn a_storage_that_a_pipeline_names_leads_nowhere_else() {
    let elsewhere = Api::start(|_| Reply::status("200 OK").body("id\n1\n"));
    let there = elsewhere.url("");
    let api = Api::start(move |_| Reply::status("302 Found").with("location", &there));
    let read = |endpoint: &str| {
        let credentials =
            format!("{{endpoint: '{endpoint}', access_key_id: a, secret_access_key: b, region: us-east-1, allow_http: true}}");
        let storage = format!("{{provider: s3, bucket: rows, path: x.csv, credentials: {credentials}}}");
        let pipeline = Pipeline::new()
            .with("extract.yaml", format!("type: cloud_storage\nstorage: {storage}\n"))
            .with("load.yaml", "path: out.jsonl\n");
        pipeline.answer(&["run"])
    };
    let answer = read(&api.url(""));
    assert_eq!((answer.code, api.count() > 0, elsewhere.count()), (3, true, 0), "{answer:?}");
    let answer = read("http://169.254.169.254");
    assert_eq!(answer.code, 2, "{answer:?}");
    insta::assert_snapshot!(answer.stderr, @r"
    error: `credentials.endpoint` names 169.254.169.254, at which no storage stands
      hint: link-local and reserved addresses are not reached: a cloud gives its machines' credentials there
    ");
}
