//! Runs that are killed at any moment and gone on with until they are done: the same bytes, dead letters and counts as without a kill.
//!
//! `ETL_CRASH_KILLS=1000` kills so many runs of each kind of pipeline, `ETL_CRASH_SEED` draws other moments.

use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::pipelines::{assert_same, came, kind, ran, report, run};
use crate::support::Answer;

/// Kills of each kind of pipeline where nobody asks for more.
pub(crate) const USUAL: u64 = 5;

/// Numbers that look random and are the same for the same seed.
pub(crate) struct Moments(pub(crate) u64);

impl Moments {
    /// Some share of a duration.
    pub(crate) fn within(&mut self, duration: Duration) -> Duration {
        // Splitmix64.
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        duration.mul_f64(((mixed ^ (mixed >> 31)) >> 11) as f64 / (1u64 << 53) as f64)
    }
}

/// A number that the environment may give.
pub(crate) fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{variable} is no number: {text}")))
}

/// Runs a program for so long; `None` where it was killed.
pub(crate) fn for_so_long(command: &mut Command, duration: Duration) -> Option<Answer> {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let end = Instant::now() + duration;
    // The moment of the kill is what is tried here; nothing waits for it to be any in particular.
    while Instant::now() < end && child.try_wait().unwrap().is_none() {
        thread::sleep(Duration::from_millis(1));
    }
    let killed = child.try_wait().unwrap().is_none();
    if killed {
        child.kill().unwrap();
    }
    let output = child.wait_with_output().unwrap();
    let code = output.status.code().or_else(|| (!killed).then_some(-1))?;
    Some(Answer { code, stdout: String::from_utf8(output.stdout).unwrap(), stderr: String::from_utf8(output.stderr).unwrap() })
}

fn killed_at_any_moment(name: &str) {
    let kind = kind(name);
    let undisturbed = kind.pipeline();
    // The first one compiles the components.
    assert_eq!(ran(&undisturbed, &["--dry-run"]).code, 0);
    let clock = Instant::now();
    let done = ran(&undisturbed, &[]);
    let duration = clock.elapsed();
    assert_eq!(done.code, 0, "{name}: {done:?}");
    let expected = came(&undisturbed, &report(&done));
    assert!(!expected.output.is_empty());

    let wanted = number("ETL_CRASH_KILLS", USUAL);
    let mut moments = Moments(number("ETL_CRASH_SEED", 1) ^ name.len() as u64);
    let (mut kills, mut gone_on) = (0, 0);
    while kills < wanted {
        let pipeline = kind.pipeline();
        let mut arguments: &[&str] = &[];
        let done = loop {
            match for_so_long(&mut run(&pipeline, arguments), moments.within(duration)) {
                Some(done) if done.code == 0 => break done,
                // Killed before there was a checkpoint.
                Some(done) if done.stderr.contains("there is no checkpoint") => arguments = &[],
                Some(done) => panic!("{name}, after {kills} kills: {done:?}"),
                None => {
                    kills += 1;
                    arguments = &["--resume"];
                }
            }
        };
        let report = report(&done);
        gone_on += report["checkpoint"]["resumed"].as_u64().unwrap();
        assert_same(&came(&pipeline, &report), &expected, &format!("{name}, after {kills} kills"));
        let stray: Vec<String> = pipeline.names().into_iter().filter(|name| name.contains(".etl/") || name.contains("/run-")).collect();
        assert!(stray.is_empty(), "{name}: a run that is over left {stray:?}");
    }
    assert!(gone_on > 0, "{name}: no run was gone on with");
    #[expect(clippy::print_stdout, reason = "whoever asks for many kills wants to know how many there were")]
    if wanted > USUAL {
        println!("{name}: {kills} kills, {gone_on} times gone on, no difference");
    }
}

macro_rules! killed {
    ($($test:ident: $name:literal,)*) => {
        $(
            #[test]
            fn $test() {
                killed_at_any_moment($name);
            }
        )*
    };
}

killed! {
    json_lines_survive_kills: "json lines",
    compressed_json_lines_survive_kills: "json lines, compressed",
    a_json_array_survives_kills: "json array",
    xml_survives_kills: "xml",
    an_appended_csv_survives_kills: "csv, appended",
    a_parquet_file_survives_kills: "parquet",
    parquet_in_folders_survives_kills: "parquet in folders",
    an_object_survives_kills: "parquet in a bucket",
    a_packed_object_survives_kills: "json lines in a bucket",
    objects_in_folders_survive_kills: "objects in folders",
    numbered_files_survive_kills: "files of so many rows",
    a_workbook_survives_kills: "workbook",
    jsonata_survives_kills: "jsonata",
    jsonata_over_all_rows_survives_kills: "jsonata over all rows",
    a_window_survives_kills: "window",
    an_aggregate_survives_kills: "aggregate",
    dedupe_and_sort_survive_kills: "dedupe and sort",
}
