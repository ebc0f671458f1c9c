//! `path: https://…`: a file is fetched as the operator lets servers be asked, and read as any other.

use super::api::{Api, Reply, Then};
use crate::support::{Answer, Pipeline};

const ROWS: &str = "id,place\n1,north\n2,south\n";

fn reading(url: &str, rest: &str) -> Pipeline {
    Pipeline::new().with("extract.yaml", format!("path: {url}\n{rest}")).with("load.yaml", "path: out.jsonl\n")
}

fn run(pipeline: &Pipeline, arguments: &[&str]) -> Answer {
    pipeline.answer(&[&["run", "--allow-private-network", "127.0.0.1"], arguments].concat())
}

#[test]
fn a_file_behind_a_url_is_read_in_its_format_and_packing() {
    let packed = |text: &str| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut encoder, text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let api = Api::start(move |asked| match asked.path.as_str() {
        "/old.csv" => Reply::status("302 Found").with("location", "/rows.csv"),
        "/rows.csv" => Reply::of("text/csv", ROWS),
        "/rows.csv.gz" => Reply::of("application/gzip", packed(ROWS)),
        _ => Reply::status("404 Not Found"),
    });
    for path in ["/rows.csv?version=3", "/rows.csv.gz", "/old.csv"] {
        let pipeline = reading(&api.url(path), "");
        let done = run(&pipeline, &[]);
        assert_eq!(done.code, 0, "{path}: {done:?}");
        assert_eq!(pipeline.read("out.jsonl"), "{\"id\":1,\"place\":\"north\"}\n{\"id\":2,\"place\":\"south\"}\n");
    }
    let done = run(&reading(&api.url("/none.csv?token=s3cr3t"), ""), &[]);
    assert_ne!(done.code, 0);
    assert!(done.stderr.contains("404") && !done.stderr.contains("s3cr3t"), "{done:?}");
    let planned = run_plan(&reading(&api.url("/rows.csv?token=s3cr3t"), ""));
    assert!(!format!("{planned:?}").contains("s3cr3t"), "{planned:?}");
}

fn run_plan(pipeline: &Pipeline) -> Answer {
    pipeline.answer(&["plan", "--allow-private-network", "127.0.0.1"])
}

#[test]
fn a_server_that_is_not_the_internet_needs_the_operator_and_one_that_breaks_off_is_asked_again() {
    let api = Api::start(|asked| match asked.number {
        0 => Reply::raw("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nid,place\n1,no", Then::End),
        _ => Reply::of("text/csv", ROWS),
    });
    let pipeline = reading(&api.url("/rows.csv"), "");
    let done = pipeline.answer(&["run"]);
    assert_eq!(done.code, 2, "{done:?}");
    assert!(done.stderr.contains("--allow-private-network"), "{done:?}");
    assert_eq!(api.asked().len(), 0);
    let done = run(&pipeline, &["--json"]);
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(api.asked().len(), 2);
    let done = Pipeline::of(("a.csv", ROWS), "rename: {}\n", &api.url("/rows.csv")).answer(&["run"]);
    assert_eq!(done.code, 2, "{done:?}");
    assert!(done.stderr.contains("`path` is a URL of `http`, to which nothing can be written"), "{done:?}");
}
