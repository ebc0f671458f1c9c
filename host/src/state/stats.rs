//! What many runs come to.

use serde::Serialize;

/// What the runs of a pipeline that have ended come to.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PipelineStats {
    /// The pipeline.
    pub pipeline: String,
    /// Runs that have ended.
    pub executions: u64,
    /// Those that succeeded.
    pub success: u64,
    /// Those of which a part succeeded.
    pub partial_success: u64,
    /// Those that failed.
    pub failed: u64,
    /// Runs that were stopped with a checkpoint and can go on.
    pub interrupted: u64,
    /// Runs that have not ended.
    pub running: u64,
    /// Share of those that succeeded, 0 to 1; absent where none has ended.
    pub success_rate: Option<f64>,
    /// Mean duration in seconds; absent where none has ended.
    pub mean_seconds: Option<f64>,
    /// The duration in seconds that 95 of 100 runs kept to (nearest rank); absent where none has ended.
    pub p95_seconds: Option<f64>,
    /// Rows read, all runs together.
    pub rows_read: u64,
    /// Rows loaded, all runs together.
    pub rows_loaded: u64,
    /// Rows rejected, all runs together.
    pub rows_rejected: u64,
    /// When the last one started, RFC 3339.
    pub last_started: String,
    /// How the last one ended.
    pub last_status: String,
}

/// What is known of a run.
pub(super) struct Ended {
    pub(super) pipeline: String,
    pub(super) status: String,
    pub(super) started: String,
    pub(super) seconds: f64,
    /// Read, loaded, rejected.
    pub(super) rows: [u64; 3],
}

impl PipelineStats {
    /// Adds up runs that come by pipeline, the earliest first.
    pub(super) fn of(runs: impl Iterator<Item = Ended>) -> Vec<Self> {
        let mut all: Vec<(Self, Vec<f64>)> = Vec::new();
        for Ended { pipeline, status, started, seconds, rows: [read, loaded, rejected] } in runs {
            if all.last().is_none_or(|(stats, _)| stats.pipeline != pipeline) {
                all.push((Self { pipeline, ..Self::default() }, Vec::new()));
            }
            let (stats, durations) = all.last_mut().expect("one was just pushed");
            match status.as_str() {
                "running" => stats.running += 1,
                "interrupted" => stats.interrupted += 1,
                "success" => stats.success += 1,
                "partial_success" => stats.partial_success += 1,
                _ => stats.failed += 1,
            }
            let ended = status != "running" && status != "interrupted";
            if ended {
                stats.executions += 1;
            }
            // Of one that was killed nobody knows how long it took.
            if seconds > 0.0 && ended {
                durations.push(seconds);
            }
            stats.rows_read += read;
            stats.rows_loaded += loaded;
            stats.rows_rejected += rejected;
            (stats.last_started, stats.last_status) = (started, status);
        }
        all.into_iter().map(|(stats, durations)| stats.finish(durations)).collect()
    }

    fn finish(mut self, mut durations: Vec<f64>) -> Self {
        durations.sort_by(f64::total_cmp);
        if self.executions > 0 {
            self.success_rate = Some(self.success as f64 / self.executions as f64);
        }
        if let Some(last) = durations.len().checked_sub(1) {
            let runs = durations.len() as f64;
            self.mean_seconds = Some(durations.iter().sum::<f64>() / runs);
            let rank = (runs * 0.95).ceil() as usize;
            self.p95_seconds = Some(durations[rank.saturating_sub(1).min(last)]);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(pipeline: &str, status: &str, seconds: f64) -> Ended {
        Ended {
            pipeline: pipeline.into(),
            status: status.into(),
            started: format!("2026-01-01T00:00:{seconds:02}Z"),
            seconds,
            rows: [10, 8, 2],
        }
    }

    #[test]
    fn the_ninety_fifth_of_a_hundred_is_its_percentile_and_runs_that_go_on_do_not_count() {
        let mut runs: Vec<Ended> =
            (1..=20).map(|seconds| run("a", if seconds > 15 { "failed" } else { "success" }, f64::from(seconds))).collect();
        runs.push(run("a", "running", 1e6));
        runs.push(run("b", "running", 0.0));
        let stats = PipelineStats::of(runs.into_iter());
        let [a, b] = &stats[..] else { panic!("{stats:?}") };
        assert_eq!((a.executions, a.success, a.failed, a.running), (20, 15, 5, 1));
        assert_eq!((a.success_rate, a.mean_seconds, a.p95_seconds), (Some(0.75), Some(10.5), Some(19.0)));
        assert_eq!((b.executions, b.success_rate, b.p95_seconds), (0, None, None));
    }
}
