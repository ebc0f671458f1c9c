//! Reads a file and says how fast: `cargo bench --bench read -- FILE`.

use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Instant;

use etl_host::config::extract::{FileSource, Reading};
use etl_host::source::{ReadOptions, open_files};

#[expect(clippy::print_stdout, reason = "its only purpose")]
fn main() -> anyhow::Result<()> {
    let path = std::env::args().skip(1).find(|argument| argument != "--bench").ok_or_else(|| anyhow::anyhow!("name a file"))?;
    let bytes = std::fs::metadata(&path)?.len() as f64 / 1e6;
    let source: FileSource = serde_json::from_value(serde_json::json!({"path": path}))?;
    for _ in 0..5 {
        let start = Instant::now();
        let source = open_files(&source, &Reading::default(), ReadOptions::default(), Path::new("."))?;
        let opened = start.elapsed();
        let (mut rows, mut rejects, mut decoding) = (0, 0, 0.0);
        for split in source.splits(NonZeroUsize::MIN)? {
            for chunk in source.read(&split, None)? {
                let chunk = chunk?;
                let decode = Instant::now();
                for decoded in chunk.decode() {
                    let decoded = decoded?;
                    rows += decoded.batch.rows.num_rows();
                    rejects += decoded.rejects.len();
                }
                decoding += decode.elapsed().as_secs_f64();
            }
        }
        let total = start.elapsed().as_secs_f64();
        let cutting = total - decoding - opened.as_secs_f64();
        println!(
            "{rows} rows, {rejects} rejects: open {opened:.1?}, cut {:.0} MB/s, decode {:.0} MB/s, together {:.0} MB/s",
            bytes / cutting,
            bytes / decoding,
            bytes / total
        );
    }
    Ok(())
}
