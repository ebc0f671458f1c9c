//! Parquet in a bucket: only what is needed comes over.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;

use crate::servers::s3::Server;
use crate::support::Pipeline;

/// A server with one Parquet object of three row groups, of which the column `text` takes nearly all; answers its size too.
fn server() -> (Server, u64) {
    let numbers = |factor: u64| (0..60_000).map(move |row: u64| (row * factor % 60_007) as i64);
    let text =
        |row: u64| (0..8).map(|part| format!("{:016x}", row.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(part * 7))).collect::<String>();
    let columns: [(&str, ArrayRef); 3] = [
        ("id", Arc::new(numbers(1).collect::<Int64Array>())),
        ("text", Arc::new((0..60_000).map(|row| Some(text(row))).collect::<StringArray>())),
        ("n", Arc::new(numbers(7).collect::<Int64Array>())),
    ];
    let rows = RecordBatch::try_from_iter(columns).unwrap();
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(20_000)).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), rows.schema(), Some(properties)).unwrap();
    writer.write(&rows).unwrap();
    let bytes = writer.into_inner().unwrap();
    let server = Server::start();
    server.make_bucket("rows");
    server.put("rows", "rows.parquet", &bytes);
    (server, bytes.len() as u64)
}

fn reading(server: &Server, rest: &str) -> Pipeline {
    let storage = format!("storage: {{provider: s3, bucket: rows, path: rows.parquet, credentials: {}}}\n", server.credentials());
    Pipeline::new().with("extract.yaml", format!("type: cloud_storage\n{storage}{rest}")).with("load.yaml", "path: out.jsonl\n")
}

/// Requests for bytes, and how many bytes they asked for.
fn asked(server: &Server) -> (usize, u64) {
    let gets: Vec<String> =
        server.front.take_seen().into_iter().filter(|seen| seen.starts_with("GET ") && seen.contains("bytes=")).collect();
    let length = |seen: &String| {
        let (start, end) = seen.rsplit_once("bytes=").unwrap().1.split_once('-').unwrap();
        end.parse::<u64>().unwrap() + 1 - start.parse::<u64>().unwrap()
    };
    (gets.len(), gets.iter().map(length).sum())
}

#[test]
fn columns_that_are_not_wanted_are_not_fetched_and_what_is_comes_in_few_requests() {
    let (server, size) = server();
    let all = reading(&server, "");
    assert_eq!(all.run(0)["rows"]["read"], 60_000);
    let (requests, bytes) = asked(&server);
    assert!(bytes >= size && bytes < size + (1 << 20), "{bytes} bytes of {size}");
    assert!(requests <= 8, "{requests} requests");
    let few = reading(&server, "columns: [n, id]\n");
    assert_eq!(few.run(0)["rows"]["read"], 60_000);
    let (_, bytes) = asked(&server);
    assert!(bytes < size / 4, "{bytes} bytes of {size}");
}

#[test]
fn a_connection_that_breaks_in_a_row_group_is_asked_again() {
    let (server, _) = server();
    let expected = reading(&server, "");
    expected.run(0);
    for behind in [0, 1000, 300_000] {
        server.front.cut_behind.store(behind, Ordering::SeqCst);
        server.front.cut.store(2, Ordering::SeqCst);
        let pipeline = reading(&server, "");
        pipeline.run(0);
        assert!(pipeline.read("out.jsonl") == expected.read("out.jsonl"), "{behind}");
        assert_eq!(server.front.cut.load(Ordering::SeqCst), 0);
    }
}
