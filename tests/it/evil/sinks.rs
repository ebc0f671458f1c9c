//! What a guest may emit, every sink writes or refuses; none falls over. What it may not costs the rows that it emitted it for.

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
    ipc_odd_types: jsonl 3 + 0, json 3 + 0, csv 3 + 0, parquet 3 + 0, xlsx 3 + 0
    ipc_far_dates: jsonl 2 + 0, json 2 + 0, csv 2 + 0, parquet 2 + 0, xlsx 2 + 0
    derive_no_columns: jsonl 3 + 0, json 3 + 0, csv 3 + 0, parquet 3 + 0, xlsx 3 + 0
    ");
}

#[test]
fn lines_that_are_no_rows_cost_the_rows_they_came_from() {
    let component = evil("evil_records");
    let mut outcomes = String::new();
    for (function, _) in ends::RECORDS.iter().filter(|(_, end)| end.starts_with("ok")) {
        let transform = format!("- custom_function: {{component: {}, function: {function}}}\n", component.display());
        let pipeline = Pipeline::of(("in.csv", "id,name\n1,a\n2,b\n3,c\n"), &transform, "out.jsonl");
        let outcome = match run_here(&pipeline) {
            Ok(report) => {
                let out = pipeline.read("out.jsonl");
                let out = if out.len() < 200 { out.replace('\n', " ") } else { format!("{} bytes", out.len()) };
                let sample = report.dead_letters.samples.first().map_or("none", String::as_str);
                let sample = if sample.len() < 200 { sample } else { "a long one" };
                format!("{} + {}, out {out}, letter {sample}", report.rows.loaded, report.rows.rejected)
            }
            Err(error) => {
                assert_ne!(error.fault(), Fault::Bug, "{function}: {}", error.one_line());
                format!("{:?}: {}", error.fault(), error.one_line())
            }
        };
        outcomes.push_str(&format!("{function}: {outcome}\n"));
    }
    insta::assert_snapshot!(outcomes, @r#"
    right: 3 + 0, out {"id":1,"name":"a"} {"id":2,"name":"b"} {"id":3,"name":"c"} , letter none
    not_json: 0 + 3, out , letter in.csv row 1: emitted lines that do not read: line 2 is not JSON: no value starts like this, at character 1 of the record
    not_objects: 0 + 3, out , letter in.csv row 1: emitted lines that do not read: line 1 is not a JSON object
    empty_lines: 0 + 3, out , letter in.csv row 1: emitted lines that do not read: line 1 is not JSON: it ends where a value should stand, at character 1 of the record
    bad_utf8: 0 + 3, out , letter in.csv row 1: emitted lines that do not read: the lines are not UTF-8, from byte 6 on
    lone_surrogate: 0 + 3, out , letter in.csv row 1: emitted lines that do not read: line 1 is not JSON: half of a surrogate pair stands alone, at character 12 of the record
    cut_object: 0 + 3, out , letter in.csv row 1: emitted lines that do not read: line 1 is not JSON: a `,` or `}` should stand here, at character 13 of the record
    two_on_a_line: 0 + 3, out , letter in.csv row 1: emitted lines that do not read: line 1 is not JSON: there is more text behind the value, at character 8 of the record
    duplicate_keys: 0 + 3, out , letter in.csv row 1: emitted lines that do not read: line 1, column `a`: the record has it twice
    deep: 0 + 3, out , letter in.csv row 1: emitted lines that do not read: line 1 is nested more than 64 levels deep
    many_keys: 0 + 3, out , letter in.csv row 1: emitted lines that do not read: they have 10000 columns, the limit is 4096
    new_keys: 0 + 3, out , letter in.csv row 1: emitted lines that do not read: they have 10000 columns, the limit is 4096
    long_key: 0 + 3, out , letter in.csv row 1: emitted lines that do not read: they have a column whose name is 1048576 bytes long, the limit is 255
    huge_numbers: 1 + 0, out 1030 bytes, letter none
    mixed_types: 6 + 0, out {"a":1} {"a":"x"} {"a":[1]} {"a":{"b":1}} {"a":null} {"a":true} , letter none
    "#);
}
