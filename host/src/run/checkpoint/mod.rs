//! Checkpoints: how far a run is, on disk, so that another process can go on with it.
//!
//! A checkpoint is one file: a line that says what it is and holds it to its bytes, then JSON, then what stages remember, as it is.

mod basis;
mod session;
mod store;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub(super) use basis::Basis;
pub use session::{Checkpoints, Start};
pub(super) use session::{Opened, Session};

use super::split::Seconds;
use super::spool::SpoolFlushed;
use crate::batch::Position;
use crate::config::component::hex;
use crate::error::{Context, Error, Result};
use crate::report::{DeadLetterReport, OutputReport, Rows, StageReport, Tally};
use crate::sink::{Flushed, Staged, dead_letters};
use crate::source::Split;

/// What the first line starts with; the number is that of the format.
const MAGIC: &str = "etl-host checkpoint";
const FORMAT: u32 = 1;

/// How far a run is.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Checkpoint {
    /// The run.
    pub(super) run_id: String,
    /// When it started, RFC 3339.
    pub(super) started: String,
    /// What stages draw chance from, where it was given.
    pub(super) seed: Option<u64>,
    /// When this was written, RFC 3339.
    pub(super) written: String,
    /// Its number in the run.
    pub(super) number: u64,
    /// How often the run was gone on with.
    pub(super) resumed: u32,
    /// What the run depends on.
    pub(super) basis: Basis,
    pub(super) phase: Phase,
    /// The parts of the input, in order.
    pub(super) splits: Vec<Split>,
    /// What opening the source found out.
    #[serde(default)]
    pub(super) learned: Option<String>,
    /// What the first of them have staged, which are done.
    pub(super) staged: Vec<Staged>,
    /// How far the next one is; absent where it was not begun.
    pub(super) reached: Option<Reached>,
    pub(super) letters: Vec<dead_letters::Flushed>,
    pub(super) totals: Totals,
}

/// What a run is about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Phase {
    /// Reading, transforming, staging.
    Working,
    /// Showing what is staged.
    Committing,
    /// It is over.
    Done(OutputReport),
}

/// How far a split is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Reached {
    /// Where to read on.
    pub(super) position: Position,
    /// What its load has put on disk, once it was begun.
    pub(super) staged: Option<Flushed>,
    /// Rows that wait for their columns.
    pub(super) spool: Option<SpoolFlushed>,
    /// What each stage remembers; nothing where none does.
    #[serde(skip)]
    pub(super) snapshots: Vec<Vec<u8>>,
}

/// What a run came to so far.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Totals {
    pub(super) rows: Rows,
    pub(super) batches: u64,
    pub(super) stages: Vec<StageReport>,
    /// For each stage what its rules found.
    pub(super) tallies: Vec<Tally>,
    pub(super) seconds: Seconds,
    /// Seconds from start to end, those in between aside in which nobody worked on it.
    pub(super) elapsed: f64,
    pub(super) dead_letters: DeadLetterReport,
    /// Batches that were refused as a whole.
    pub(super) failed_batches: u64,
    /// The largest cursor so far, of a run that takes newer rows only.
    pub(super) mark: Option<String>,
}

impl Checkpoint {
    /// The checkpoint as bytes.
    pub(super) fn encode(mut self) -> Result<Vec<u8>> {
        self.totals.tallies = self.totals.stages.iter().map(|stage| stage.tally.clone()).collect();
        let mut body = serde_json::to_vec(&self).bug(|| "a checkpoint cannot be written as JSON".into())?;
        let mut lengths = vec![body.len()];
        for snapshot in self.reached.iter().flat_map(|reached| &reached.snapshots) {
            lengths.push(snapshot.len());
            body.extend_from_slice(snapshot);
        }
        let lengths: Vec<String> = lengths.iter().map(ToString::to_string).collect();
        let mut bytes = format!("{MAGIC} {FORMAT} parts={} sha256={}\n", lengths.join(","), hex(&Sha256::digest(&body))).into_bytes();
        bytes.append(&mut body);
        Ok(bytes)
    }

    /// Reads a checkpoint.
    ///
    /// # Errors
    /// Outside, where the bytes are not whole; config, where another version wrote them.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self> {
        let torn = || Error::outside("it is torn or damaged");
        let end = memchr::memchr(b'\n', bytes).ok_or_else(torn)?;
        let head = std::str::from_utf8(&bytes[..end]).ok().and_then(|line| line.strip_prefix(MAGIC)).ok_or_else(torn)?;
        let mut words = head.split_whitespace();
        let format: u32 = words.next().and_then(|word| word.parse().ok()).ok_or_else(torn)?;
        if format != FORMAT {
            let message = format!("it was written by another version of etl-host (format {format}, this one reads {FORMAT})");
            return Err(Error::config(message).hint("go on with the version that wrote it, or start again with `--restart`"));
        }
        let parts = words.next().and_then(|word| word.strip_prefix("parts=")).ok_or_else(torn)?;
        let digest = words.next().and_then(|word| word.strip_prefix("sha256=")).ok_or_else(torn)?;
        let body = &bytes[end + 1..];
        if hex(&Sha256::digest(body)) != digest {
            return Err(torn());
        }
        let mut rest = body;
        let mut pieces = Vec::new();
        for length in parts.split(',') {
            let length: usize = length.parse().map_err(|_| torn())?;
            let (piece, after) = rest.split_at_checked(length).ok_or_else(torn)?;
            pieces.push(piece);
            rest = after;
        }
        let unreadable = || "it does not read, though its bytes are those that were written".into();
        let mut checkpoint: Self = serde_json::from_slice(pieces.remove(0)).outside(unreadable)?;
        if let Some(reached) = &mut checkpoint.reached {
            reached.snapshots = pieces.into_iter().map(<[u8]>::to_vec).collect();
        }
        let tallies = std::mem::take(&mut checkpoint.totals.tallies);
        checkpoint.totals.stages.iter_mut().zip(tallies).for_each(|(stage, tally)| stage.tally = tally);
        Ok(checkpoint)
    }

    /// Whether there is nothing left to do.
    pub(super) fn is_done(&self) -> bool {
        matches!(self.phase, Phase::Done(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn checkpoint(number: u64) -> Checkpoint {
        let position = Position { offset: 77, row: 5, sequence: 2, ..Position::default() };
        Checkpoint {
            run_id: "r1".into(),
            started: "2024-06-19T01:58:32.123456789Z".into(),
            seed: Some(7),
            written: "2024-06-19T02:00:00Z".into(),
            number,
            resumed: 1,
            basis: Basis::default(),
            phase: Phase::Working,
            splits: vec![Split { index: 0, files: vec!["a.csv".into()] }],
            learned: None,
            staged: Vec::new(),
            reached: Some(Reached { position, staged: None, spool: None, snapshots: vec![b"one\n".to_vec(), Vec::new(), vec![0, 255]] }),
            letters: vec![dead_letters::Flushed::default()],
            totals: Totals { rows: Rows { read: 5, ..Rows::default() }, ..Totals::default() },
        }
    }

    #[test]
    fn a_checkpoint_reads_as_it_was_written() {
        let written = checkpoint(3);
        let read = Checkpoint::decode(&written.clone().encode().unwrap()).unwrap();
        assert_eq!(format!("{read:?}"), format!("{written:?}"));
    }

    #[test]
    fn a_checkpoint_that_was_cut_or_changed_anywhere_is_refused() {
        let whole = checkpoint(3).encode().unwrap();
        for cut in 0..whole.len() {
            assert_eq!(Checkpoint::decode(&whole[..cut]).unwrap_err().to_string(), "it is torn or damaged", "cut at {cut}");
        }
        for place in (0..whole.len()).step_by(3) {
            let mut changed = whole.clone();
            changed[place] ^= 1;
            assert!(Checkpoint::decode(&changed).is_err(), "changed at {place}");
        }
    }

    #[test]
    fn a_checkpoint_of_another_version_says_so() {
        let text = String::from_utf8_lossy(&checkpoint(3).encode().unwrap()).replacen("checkpoint 1 ", "checkpoint 2 ", 1);
        let error = Checkpoint::decode(text.as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), "it was written by another version of etl-host (format 2, this one reads 1)");
        assert_eq!(error.find_hint(), Some("go on with the version that wrote it, or start again with `--restart`"));
    }
}
