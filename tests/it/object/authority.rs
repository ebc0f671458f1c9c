//! Storages that an authority of one's own vouches for.

use super::ROWS;
use crate::servers::s3::{KEY, SECRET, Server};
use crate::support::{Answer, Pipeline, answer};
use crate::tls::certificates;

/// A pipeline within the storage, which the pipeline names or else the environment.
fn run(server: &Server, named: bool, arguments: &[&str]) -> Answer {
    let credentials = if named { server.credentials() } else { "{}".into() };
    let storage =
        |path: &str| format!("type: cloud_storage\nstorage: {{provider: s3, bucket: rows, path: {path}, credentials: {credentials}}}\n");
    let pipeline = Pipeline::new().with("extract.yaml", storage("in.csv")).with("load.yaml", storage("out.csv"));
    let mut command = pipeline.command(arguments);
    if !named {
        command.env("AWS_ACCESS_KEY_ID", KEY).env("AWS_SECRET_ACCESS_KEY", SECRET);
        command.env("AWS_REGION", "us-east-1").env("AWS_ENDPOINT_URL", server.url());
    }
    answer(&mut command)
}

#[test]
fn a_storage_is_trusted_where_the_operator_names_its_authority_and_else_the_message_says_so() {
    let Some(folder) = certificates() else { return };
    let server = Server::start_tls(folder.path());
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    server.make_bucket("rows");
    for named in [true, false] {
        server.put("rows", "in.csv", ROWS);
        for arguments in [vec!["run"], vec!["run", "--ca-file", &file("other.pem")]] {
            let done = run(&server, named, &arguments);
            assert_eq!(done.code, 3, "{done:?}");
            assert!(done.stderr.contains("its certificate is not from an authority that this machine trusts"), "{done:?}");
            assert!(done.stderr.contains("`--ca-file`") && !done.stderr.contains("is the address right"), "{done:?}");
        }
        let done = run(&server, named, &["run", "--ca-file", &file("ca.pem")]);
        assert_eq!(done.code, 0, "{done:?}");
        assert!(server.objects("rows").remove("out.csv").unwrap() == ROWS.as_bytes());
        assert_eq!(run(&server, named, &["run", "--dry-run", "--ca-file", &file("ca.pem")]).code, 0);
        assert_eq!(run(&server, named, &["preview", "--ca-file", &file("ca.pem")]).code, 0);
        let wrong = run(&server, named, &["run", "--ca-file", &file("key.pem")]);
        assert!(wrong.code == 2 && wrong.stderr.contains("holds no certificate"), "{wrong:?}");
    }
}
