//! Keys are used and never seen.

use std::fs;

use super::{bucket, copy};
use crate::http_source::api::{Api, Reply};
use crate::servers::s3::{Bucket, SECRET};
use crate::support::Pipeline;

const TOKEN: &str = "s3ss10n-t0k3n-s3cr3t";

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

#[test]
fn keys_are_seen_in_no_message_log_plan_history_letter_or_checkpoint() {
    let commands: [&[&str]; 6] = [&["plan"], &["check"], &["run", "--json"], &["run", "--resume"], &["preview"], &["run", "--dry-run"]];
    let bucket: Bucket = bucket();
    let transform = "convert: {price: float, id: int, place: int}\n";
    let right = copy(&bucket, "in/rows.csv", "out/").with("transform.yaml", transform);
    let extract = right.read("extract.yaml");
    let right = right
        .with("extract.yaml", format!("{extract}checkpoint: {{enabled: true, interval: 1}}\nbatch_size: 1\n"))
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
        let mut all: Vec<String> = commands.iter().map(|arguments| said(pipeline, arguments)).collect();
        let mut killed = pipeline.command(&["run", "--restart"]);
        killed.env("ETL_HOST_STATE_DIR", pipeline.path("state")).env("ETL_HOST_CRASH_AT", "checkpoint.renamed:2");
        all.push(String::from_utf8(killed.output().unwrap().stderr).unwrap());
        all.push(said(pipeline, &["dlq", "list"]));
        let traces = traces(pipeline, &all);
        assert!(traces.len() > 1000, "there must be something to look through");
        for secret in [SECRET, TOKEN] {
            assert!(!traces.contains(secret), "{}", traces.split(secret).next().unwrap().lines().last().unwrap());
        }
    }
    assert!(!bucket.objects().iter().any(|(name, bytes)| name.contains(SECRET) || String::from_utf8_lossy(bytes).contains(SECRET)));
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
        let credentials = format!("{{endpoint: '{endpoint}', access_key_id: a, secret_access_key: b, region: us-east-1, allow_http: true}}");
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
    insta::assert_snapshot!(answer.stderr, @"");
}
