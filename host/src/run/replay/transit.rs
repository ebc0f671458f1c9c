//! Letters on their way: a hidden folder beside the queue that outlives the process.
//!
//! ```text
//! lock            held by the one process that replays
//! rows.jsonl      the records, a row each
//! ids             the ids of their letters, in the same order
//! intent.json     says that they are on their way, and which mark the load will leave; there before the load, gone once all is settled
//! outcome.jsonl   the rows that were refused again, on disk before the load is committed
//! ```

use std::collections::{HashMap, HashSet};
use std::fs::{self, File, TryLockError};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Context, Error, Result};
use crate::plan::Plan;
use crate::report::{DeadLetter, LetterStatus};
use crate::sink::Mark;
use crate::state::letters::{FileLetters, Hold, Letters, Selection};

/// What became of letters that were on their way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Settled {
    /// Letters whose rows went through.
    pub resolved: u64,
    /// Letters whose rows were refused again; they are pending, with what is wrong now.
    pub refused_again: u64,
    /// Letters added: of a row that became several, more than one was refused, or nobody knows from which row one came.
    pub added: u64,
    /// Letters that are pending again, since nothing was loaded.
    pub returned: u64,
}

impl Settled {
    /// Adds up.
    pub fn add(&mut self, other: &Self) {
        let Self { resolved, refused_again, added, returned } = other;
        self.resolved += resolved;
        self.refused_again += refused_again;
        self.added += added;
        self.returned += returned;
    }
}

/// What is on its way.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Intent {
    pipeline: String,
    mark: Mark,
}

/// Letters of a queue on their way; whoever has this is the only one.
pub(super) struct Transit<'a> {
    letters: &'a Letters,
    plan: &'a Plan,
    folder: PathBuf,
    _lock: File,
    /// Against other machines.
    _hold: Option<Hold>,
}

impl<'a> Transit<'a> {
    /// Opens the folder, as the only process.
    pub(super) fn open(letters: &'a Letters, plan: &'a Plan) -> Result<Self> {
        let pipeline = &plan.named(&plan.name);
        let folder = std::path::absolute(letters.replay_folder(pipeline)).outside(|| "finding the folder of the dead letters".into())?;
        let path = folder.join("lock");
        let taken = || {
            let message = format!("another process is replaying dead letters of `{pipeline}` in {}", letters.name());
            Error::outside(message).hint("wait until it has ended")
        };
        let hold = letters.hold(pipeline)?.ok_or_else(taken)?;
        // Whoever ends removes the folder.
        for _ in 0..100 {
            fs::create_dir_all(&folder).map_err(|error| cannot("create", &folder, error))?;
            let Ok(lock) = File::options().create(true).truncate(false).write(true).open(&path) else { continue };
            match lock.try_lock() {
                Ok(()) if is_same(&lock, &path) => {
                    return Ok(Self { letters, plan, folder, _lock: lock, _hold: hold });
                }
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(taken()),
                Err(TryLockError::Error(error)) => return Err(cannot("lock", &path, error)),
            }
        }
        Err(Error::outside(format!("cannot hold `{}`", path.display())))
    }

    /// The pattern that finds the rows and nothing else.
    pub(super) fn rows_pattern(&self) -> String {
        glob::Pattern::escape(&self.path("rows.jsonl").to_string_lossy())
    }

    /// Where the rows go that are refused again.
    pub(super) fn outcome(&self) -> PathBuf {
        self.path("outcome.jsonl")
    }

    /// Sends letters on their way; answers how many. From here on they arrive or come back, whatever happens.
    pub(super) fn depart(&self, meant: &Selection, mark: Mark) -> Result<u64> {
        let (rows, ids) = (self.path("rows.jsonl"), self.path("ids"));
        let create = |path: &Path| {
            File::create(path).map(|file| BufWriter::with_capacity(1 << 18, file)).map_err(|error| cannot("create", path, error))
        };
        let (mut rows_out, mut ids_out, mut count) = (create(&rows)?, create(&ids)?, 0);
        self.letters.each(meant, &mut |letter| {
            let DeadLetter { id, record, .. } = letter;
            writeln!(rows_out, "{record}").map_err(|error| cannot("write", &rows, error))?;
            writeln!(ids_out, "{id}").map_err(|error| cannot("write", &ids, error))?;
            count += 1;
            Ok(ControlFlow::Continue(()))
        })?;
        for (out, path) in [(rows_out, &rows), (ids_out, &ids)] {
            let synced = out.into_inner().map_err(|error| error.into_error()).and_then(|file| file.sync_all());
            synced.map_err(|error| cannot("write", path, error))?;
        }
        if count == 0 {
            return Ok(0);
        }
        let intent = serde_json::to_vec(&Intent { pipeline: self.plan.name.clone(), mark }).bug(|| "an intent is not JSON".into())?;
        let (fresh, named) = (self.path("intent.new"), self.path("intent.json"));
        let written = File::create(&fresh).and_then(|mut file| file.write_all(&intent).and_then(|()| file.sync_all()));
        written.and_then(|()| fs::rename(&fresh, &named)).and_then(|()| self.sync()).map_err(|error| cannot("write", &named, error))?;
        let mut left = HashSet::new();
        let mut depart = |letter: &mut DeadLetter| {
            letter.status = LetterStatus::Retrying;
            left.insert(letter.id.clone())
        };
        self.letters.change(meant, &mut depart, &[])?;
        if left.len() as u64 == count {
            return Ok(count);
        }
        // Somebody else has changed some of them since they were written down: nothing goes.
        let mut come_back = |letter: &mut DeadLetter| {
            letter.status = LetterStatus::Pending;
            true
        };
        let ours = Selection { statuses: vec![LetterStatus::Retrying], ids: Some(left), ..Selection::default() };
        self.letters.change(&ours, &mut come_back, &[])?;
        fs::remove_file(&named).and_then(|()| self.sync()).map_err(|error| cannot("remove", &named, error))?;
        Ok(0)
    }

    /// Finds out whether what is on its way was loaded, and notes of each letter what became of it. Done twice it is as done once.
    pub(super) fn settle(&self, authority_files: &[PathBuf]) -> Result<Option<Settled>> {
        let intent = self.path("intent.json");
        let text = match fs::read(&intent) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return self.clear().map(|()| None),
            Err(error) => return Err(cannot("read", &intent, error)),
        };
        let Intent { pipeline, mark } = serde_json::from_slice(&text).outside(|| format!("`{}` cannot be read", intent.display()))?;
        let ids = self.path("ids");
        let lines = File::open(&ids).and_then(|file| BufReader::new(file).lines().collect::<std::io::Result<Vec<String>>>());
        let ids = lines.map_err(|error| cannot("read", &ids, error))?;
        let loaded = mark.is_done(&self.plan.sink, &self.plan.root, authority_files)?;
        let (mut again, mut more) = (HashMap::new(), Vec::new());
        if loaded {
            FileLetters::new(self.outcome()).each(&Selection::default(), &mut |letter| {
                let place = letter.metadata.row.and_then(|row| usize::try_from(row).ok()?.checked_sub(1)).filter(|row| *row < ids.len());
                match place {
                    Some(row) if !again.contains_key(&row) => drop(again.insert(row, letter)),
                    _ => more.push(letter),
                }
                Ok(ControlFlow::Continue(()))
            })?;
        }
        let rows: HashMap<&str, usize> = ids.iter().enumerate().map(|(row, id)| (id.as_str(), row)).collect();
        let mut settled = Settled { added: more.len() as u64, ..Settled::default() };
        let mut arrive = |letter: &mut DeadLetter| {
            let Some(row) = rows.get(letter.id.as_str()) else { return false };
            letter.retry_count += 1;
            letter.status = match again.remove(row) {
                None if loaded => {
                    settled.resolved += 1;
                    LetterStatus::Resolved
                }
                None => {
                    settled.returned += 1;
                    LetterStatus::Pending
                }
                Some(refused) => {
                    settled.refused_again += 1;
                    let DeadLetter { record, reason, message, error_type, stage, metadata, .. } = refused;
                    // Where it came from at first says more than its place among these rows.
                    letter.metadata.field = metadata.field;
                    (letter.record, letter.reason, letter.message, letter.error_type, letter.stage) =
                        (record, reason, message, error_type, stage);
                    LetterStatus::Pending
                }
            };
            true
        };
        let meant = Selection {
            pipeline: Some(pipeline),
            transformer: self.plan.transformer.clone(),
            statuses: vec![LetterStatus::Retrying],
            ..Selection::default()
        };
        self.letters.change(&meant, &mut arrive, &more)?;
        mark.remove(&self.plan.sink, &self.plan.root, authority_files)?;
        fs::remove_file(&intent).and_then(|()| self.sync()).map_err(|error| cannot("remove", &intent, error))?;
        self.clear()?;
        Ok(Some(settled))
    }

    /// Removes what nobody needs once nothing is on its way.
    fn clear(&self) -> Result<()> {
        for entry in fs::read_dir(&self.folder).map_err(|error| cannot("list", &self.folder, error))?.flatten() {
            let path = entry.path();
            if path.file_name().is_some_and(|name| name == "lock") {
                continue;
            }
            let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.map_err(|error| cannot("remove", &path, error))?;
        }
        Ok(())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn sync(&self) -> std::io::Result<()> {
        File::open(&self.folder)?.sync_all()
    }
}

impl Drop for Transit<'_> {
    fn drop(&mut self) {
        if !self.path("intent.json").exists() {
            // The lock is held to the end of this: whoever gets it finds that it has no name any more, and makes a new one.
            let _ = fs::remove_file(self.path("lock"));
            let _ = fs::remove_dir(&self.folder);
        }
    }
}

fn is_same(file: &File, path: &Path) -> bool {
    let both = file.metadata().ok().zip(fs::metadata(path).ok());
    both.is_some_and(|(open, named)| (open.dev(), open.ino()) == (named.dev(), named.ino()))
}

fn cannot(doing: &str, path: &Path, error: std::io::Error) -> Error {
    Error::outside(format!("cannot {doing} `{}`", path.display())).because(error)
}
