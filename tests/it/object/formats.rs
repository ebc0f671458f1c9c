//! Every format, in and out.

use super::copy;
use crate::servers::s3::Bucket;

const ROWS: &str = "id,name,price\n1,ä,1.5\n2,b,\n3,c,2.25\n";

#[test]
fn every_format_that_is_written_is_read_as_it_was() {
    let bucket = Bucket::new();
    bucket.put("in/rows.csv", ROWS);
    let lines = concat!(
        "{\"id\":1,\"name\":\"ä\",\"price\":1.5}\n",
        "{\"id\":2,\"name\":\"b\",\"price\":null}\n",
        "{\"id\":3,\"name\":\"c\",\"price\":2.25}\n"
    );
    for name in ["a.csv", "a.tsv", "a.json", "a.jsonl", "a.parquet", "a.xlsx", "a.csv.gz", "a.jsonl.zst"] {
        let report = copy(&bucket, "in/rows.csv", &format!("out/{name}")).run(0);
        assert_eq!(report["output"]["files"][0], format!("s3://{}/out/{name}", bucket.name), "{report}");
        let pipeline = copy(&bucket, &format!("out/{name}"), "back.jsonl");
        pipeline.run(0);
        assert_eq!(bucket.text("back.jsonl"), lines, "{name}");
        let stray: Vec<String> = pipeline.names().into_iter().filter(|name| name.contains(".etl")).collect();
        assert!(stray.is_empty(), "{stray:?}");
    }
    assert!(bucket.names().iter().all(|name| !name.contains(".etl")), "{:?}", bucket.names());
}
