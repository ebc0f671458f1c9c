//! `extract_cloud_*` and `load_cloud_*`, whose keys and addresses come from the environment.

use serde_json::{Value, json};

use super::{came, releases, run};
use crate::servers::azure::Container;
use crate::servers::s3::{KEY, SECRET, Server};
use crate::support::Pipeline;

const ROWS: &str = "id,name\n1,Ada\n2,Grace\n";
const OBJECT: &str = "[{\"id\": 1, \"name\": \"Ada\"}, {\"id\": 2, \"name\": \"Grace\"}]";

fn rows() -> Value {
    json!([{ "id": 1, "name": "Ada" }, { "id": 2, "name": "Grace" }])
}

/// Runs both templates of a storage against a server that speaks as Amazon's does.
fn there_and_back(which: &str, server: &Server, variables: &[(&str, &str)]) {
    server.make_bucket("my-bucket-name");
    for release in releases() {
        server.put("my-bucket-name", "data/input.json", OBJECT);
        let extract = release.extract(&format!("extract_cloud_{which}.yaml"));
        run(&extract, variables, &[], 0);
        assert_eq!(Value::from(came(&extract)), rows());
        run(&release.load(&format!("load_cloud_{which}.yaml"), ROWS), variables, &[], 0);
        let written = server.objects("my-bucket-name").remove("output/data.json").unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&written).unwrap(), rows());
    }
}

#[test]
fn templates_of_amazon_run() {
    let server = Server::start();
    let url = server.url();
    let variables = [
        ("AWS_ACCESS_KEY_ID", KEY),
        ("AWS_SECRET_ACCESS_KEY", SECRET),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ENDPOINT_URL", &url),
        ("AWS_ALLOW_HTTP", "true"),
    ];
    there_and_back("s3", &server, &variables);
}

#[test]
fn templates_of_google_run() {
    let server = Server::start_open();
    let key = json!({"gcs_base_url": server.url(), "disable_oauth": true, "client_email": "", "private_key": "", "private_key_id": ""});
    there_and_back("gcs", &server, &[("GOOGLE_SERVICE_ACCOUNT_KEY", &key.to_string()), ("GOOGLE_ALLOW_HTTP", "true")]);
}

#[test]
fn templates_of_azure_run() {
    let Some(container) = Container::named("my-container") else { return };
    let connection = container.connection();
    let variables = [("AZURE_STORAGE_CONNECTION_STRING", connection.as_str()), ("AZURE_ALLOW_HTTP", "true")];
    let copy = |from: String, to: String| {
        let pipeline = Pipeline::new().with("rows.csv", ROWS).with("extract.yaml", from).with("load.yaml", to);
        pipeline.run(0);
        pipeline
    };
    let at = |path: &str| format!("type: cloud_storage\n{}", container.storage(path));
    for release in releases() {
        copy("path: rows.csv\n".into(), at("data/input.json"));
        let extract = release.extract("extract_cloud_azure.yaml");
        run(&extract, &variables, &[], 0);
        assert_eq!(Value::from(came(&extract)), rows());
        run(&release.load("load_cloud_azure.yaml", ROWS), &variables, &[], 0);
        assert_eq!(Value::from(came(&copy(at("output/data.json"), "path: out.jsonl\n".into()))), rows());
    }
}
