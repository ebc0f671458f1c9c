//! Measures what writing costs, by format: CPU nanoseconds a row, one thread, rows made in memory.
#![expect(clippy::print_stdout, reason = "a measurement prints its result")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::{ArrayRef, BooleanArray, Date32Array, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use etl_host::batch::{Batch, Origin, RowNumbers};
use etl_host::config::load::Sink as SinkConfig;
use etl_host::sink::{RunName, open};

const ROWS: usize = 1_000_000;
const BATCH: usize = 8192;

/// Rows as orders have them: eleven columns, numbers that do not repeat, a few texts that do.
fn batch(first: usize) -> Batch {
    let mut state = first as u64 + 1;
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize
    };
    let rows = BATCH.min(ROWS - first);
    let mut texts =
        |make: &dyn Fn(usize) -> String| -> ArrayRef { Arc::new((0..rows).map(|_| Some(make(random()))).collect::<StringArray>()) };
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("order_id", Arc::new(Int64Array::from_iter_values((first as i64..).take(rows)))),
        ("customer_id", texts(&|n| format!("C{:07}", n % 100_000))),
        ("customer_name", texts(&|n| format!("Customer Number {}", n % 100_000))),
        ("country", texts(&|n| ["DE", "FR", "US", "JP", "BR"][n % 5].to_owned())),
        ("status", texts(&|n| ["shipped", "pending", "returned"][n % 3].to_owned())),
        ("note", texts(&|n| if n.is_multiple_of(100) { "said \"hello\"".to_owned() } else { format!("note {n}") })),
        ("quantity", Arc::new(Int64Array::from_iter((0..rows).map(|n| (n % 17 != 0).then_some(n as i64 % 50))))),
        ("unit_price", Arc::new(Float64Array::from_iter_values((0..rows).map(|n| ((first + n) * 7919 % 1_000_000) as f64 / 100.0)))),
        ("paid", Arc::new(BooleanArray::from_iter((0..rows).map(|n| Some(n % 3 == 0))))),
        (
            "ordered_at",
            Arc::new(
                TimestampMicrosecondArray::from_iter_values((0..rows).map(|n| 1_700_000_000_000_000 + (first + n) as i64 * 7_000_000))
                    .with_timezone("UTC"),
            ),
        ),
        ("shipped_on", Arc::new(Date32Array::from_iter_values((0..rows).map(|n| 19_000 + (n % 900) as i32)))),
    ];
    let rows = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true)))
        .expect("the columns have one length");
    Batch { rows, origin: Origin { source: "memory".into(), rows: RowNumbers::From(first as u64 + 1) }, sequence: (first / BATCH) as u64 }
}

fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn main() {
    let batches: Vec<Batch> = (0..ROWS).step_by(BATCH).map(batch).collect();
    let folder = tempfile::tempdir().expect("there is a temporary folder");
    let run = RunName {
        run_id: "speed".into(),
        started: chrono::Utc::now(),
        pipeline: "speed".into(),
        transformer: None,
        max_retries: 0,
        authority_files: Vec::new(),
    };
    println!("{:<58} {:>9} {:>9} {:>9} {:>9}", "load", "cpu ns/row", "encode", "wall ns/row", "MB");
    let loads = [
        "{path: a.jsonl}",
        "{path: a.json}",
        "{path: a.csv}",
        "{path: a.parquet}",
        "{path: a.parquet, compression: snappy}",
        "{path: a.parquet, compression: none}",
        "{path: a.jsonl.zst}",
        "{path: a.jsonl.gz}",
        "{path: a.parquet, partition_by: [country]}",
        "{path: a.jsonl, max_rows_per_file: 100000}",
        "{path: a.xlsx}",
    ];
    // Only the loads that have this text in them.
    let wanted = std::env::args().skip(1).find(|argument| argument != "--bench").unwrap_or_default();
    for (load, round) in loads.iter().flat_map(|load| (0..2).map(move |round| (load, round))) {
        if !load.contains(&wanted) || (load.contains("xlsx") && round > 0) {
            continue;
        }
        let config = SinkConfig::File(serde_yaml::from_str(load).expect("the configuration is right"));
        let (start, before) = (Instant::now(), cpu());
        let sink = open(&config, folder.path(), &run, None).expect("the sink opens");
        let mut writer = sink.begin(0, batches[0].rows.schema(), None).expect("a split begins");
        let encode = writer.encoder();
        let mut encoding = Duration::ZERO;
        // As many batches a chunk as its bytes of CSV input would hold.
        for chunk in batches.chunks((sink.chunk_bytes() / 85 / BATCH).max(1)) {
            let before = cpu();
            let mut encoder = encode.start().expect("a chunk starts");
            for batch in chunk {
                assert!(encoder.write(batch).expect("a batch is encoded").is_empty());
            }
            let encoded = encoder.finish().expect("a chunk ends");
            encoding += cpu() - before;
            writer.append(encoded).expect("a chunk is appended");
        }
        let committed = sink.commit(vec![writer.finish().expect("a split ends")]).expect("the run commits");
        let each = |time: Duration| time.as_nanos() as usize / ROWS;
        println!(
            "{load:<58} {:>9} {:>9} {:>9} {:>9}",
            each(cpu() - before),
            each(encoding),
            each(start.elapsed()),
            committed.bytes / 1_000_000
        );
    }
}
