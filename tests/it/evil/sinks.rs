//! What a guest may emit, every sink writes or refuses; none falls over.

use etl_host::error::Fault;

use super::{ends, run_here};
use crate::support::{Pipeline, evil};

#[test]
fn what_an_attack_emits_is_written_or_refused_by_every_sink() {
    let component = evil("etl_evil");
    let mut outcomes = String::new();
    let passing = ends::COLUMNS.iter().filter(|(name, end)| !name.contains(' ') && end.starts_with("ok") && name.starts_with("ipc_"));
    for (function, _) in passing.chain(&[("derive_no_columns", "")]) {
        let mut told = Vec::new();
        for ending in ["jsonl", "json", "csv", "parquet", "xlsx"] {
            let transform = format!("- custom_function: {{component: {}, function: {function}}}\n", component.display());
            let pipeline = Pipeline::of(("in.csv", "id,name\n1,a\n2,b\n3,c\n"), &transform, &format!("out.{ending}"));
            let outcome = match run_here(&pipeline) {
                Ok(report) => format!("{ending} {} + {}", report.rows.loaded, report.rows.rejected),
                Err(error) => {
                    assert_ne!(error.fault(), Fault::Bug, "{function} to {ending}: {}", error.one_line());
                    format!("{ending}: {}", error.one_line())
                }
            };
            told.push(outcome);
        }
        outcomes.push_str(&format!("{function}: {}\n", told.join(", ")));
    }
    insta::assert_snapshot!(outcomes, @r"
    ipc_right: jsonl 3 + 0, json 3 + 0, csv 3 + 0, parquet 3 + 0, xlsx 3 + 0
    ipc_buffer_unaligned: jsonl 2 + 0, json 2 + 0, csv 2 + 0, parquet 2 + 0, xlsx 2 + 0
    ipc_more_columns: jsonl 3 + 0, json 3 + 0, csv 3 + 0, parquet 3 + 0, xlsx 3 + 0
    ipc_empty_name: jsonl 3 + 0, json 3 + 0, csv 3 + 0, parquet 3 + 0, xlsx 3 + 0
    ipc_control_name: jsonl 3 + 0, json 3 + 0, csv 3 + 0, parquet 3 + 0, xlsx 3 + 0
    ipc_zone: jsonl 3 + 0, json 3 + 0, csv 3 + 0, parquet 3 + 0, xlsx 3 + 0
    ipc_odd_types: jsonl 3 + 0, json 3 + 0, csv 3 + 0, parquet 3 + 0, xlsx 3 + 0
    ipc_far_dates: jsonl 2 + 0, json 2 + 0, csv 2 + 0, parquet 2 + 0, xlsx 2 + 0
    derive_no_columns: jsonl 3 + 0, json 3 + 0, csv 3 + 0, parquet 3 + 0, xlsx 3 + 0
    ");
}
