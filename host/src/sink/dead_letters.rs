//! Dead letters: the rows that go no further, one JSON object a line.
//!
//! The letters of a run appear together with its output: they are staged beside the file, and [`DeadLetters::commit`] appends them,
//! which is to be done just before the sink's commit, so that no row is ever in neither. Where the sink's commit fails after that, or
//! the run fails before, [`DeadLetters::abort`] takes them away again; the run's error then says the first few of its reasons
//! ([`DeadLetters::first`]), because a failed run is run again and would double its letters.
//!
//! The letters of a run that can be resumed stay staged, also once they were appended, until [`DeadLetters::close`]: a commit that is
//! done again finds out what is in the file already, and adds what is not.

mod place;
mod staged;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;

pub use place::Place;
pub use staged::Flushed;
use staged::{Appended, FlushedSplit, Split, State};

use super::RunName;
use super::letter::{letter, summary};
use super::letters_file::Appending;
use super::log::cut;
use super::workspace::{Workspace, cannot, sync_dir};
use crate::batch::{Reason, Reject};
use crate::error::{Context, Result};
use crate::report::DeadLetterReport;
use crate::state::letters::lock;

/// Letters that the memory keeps.
const RECENT: usize = 1000;

/// Letters whose reasons a failed run tells.
const FIRST: usize = 5;

/// Takes the dead letters of one run, from any thread.
#[derive(Debug)]
pub struct DeadLetters {
    run: RunName,
    place: Place,
    state: Mutex<State>,
}

impl DeadLetters {
    /// Makes a writer; touches no file.
    pub fn new(place: Place, run: &RunName) -> Self {
        Self { run: run.clone(), place, state: Mutex::default() }
    }

    /// Starts a split, or starts it again: what it wrote before is forgotten.
    ///
    /// # Errors
    /// Outside.
    pub fn begin(&self, split: usize) -> Result<()> {
        let mut state = self.state();
        if state.splits.remove(&split).is_some_and(|split| split.staged.is_some())
            && let Some(workspace) = &state.workspace
        {
            workspace.fresh_split(split)?;
        }
        Ok(())
    }

    /// Keeps what is staged when the process ends before the run does, for as long as the file `while_there` is there.
    ///
    /// # Errors
    /// Outside.
    pub fn keep(&self, while_there: &Path) -> Result<()> {
        let mut state = self.state();
        state.kept = Some(while_there.to_owned());
        state.workspace.as_ref().map_or(Ok(()), |workspace| workspace.keep(while_there))
    }

    /// Puts the letters so far on disk and says how to go on from there.
    ///
    /// # Errors
    /// Outside.
    pub fn flush(&self) -> Result<Flushed> {
        let state = self.state();
        for (staged, file) in state.splits.values().filter_map(|split| split.staged.as_ref()) {
            file.sync_data().map_err(|error| cannot("sync", staged, error))?;
        }
        let splits = state.splits.iter().map(|(split, letters)| {
            let Split { staged: _, bytes, counts, first } = letters;
            (*split, FlushedSplit { bytes: *bytes, counts: counts.clone(), first: first.clone() })
        });
        Ok(Flushed { splits: splits.collect(), recent: state.recent.iter().cloned().collect() })
    }

    /// Goes on from what a flush put on disk; letters that were staged after it are forgotten.
    ///
    /// # Errors
    /// Outside, where they are not there any more.
    pub fn resume(&self, from: &Flushed) -> Result<()> {
        let mut guard = self.state();
        let State { workspace, splits, recent, kept, .. } = &mut *guard;
        recent.extend(from.recent.iter().cloned());
        for (number, FlushedSplit { bytes, counts, first }) in &from.splits {
            let mut split = Split { staged: None, bytes: *bytes, counts: counts.clone(), first: first.clone() };
            if let Some(path) = self.place.path()
                && *bytes > 0
            {
                if workspace.is_none() {
                    *workspace = Some(self.open_workspace(path, kept.as_deref())?);
                }
                let staged = workspace.as_ref().expect("it is open now").split(*number).join("letters");
                let file = cut(&staged, *bytes)?;
                split.staged = Some((staged, file));
            }
            splits.insert(*number, split);
        }
        Ok(())
    }

    /// Takes letters of a split, in order.
    ///
    /// # Errors
    /// Outside, where they cannot be staged.
    pub fn write(&self, split: usize, rejects: &[Reject]) -> Result<()> {
        if rejects.is_empty() {
            return Ok(());
        }
        let mut guard = self.state();
        let State { workspace, splits, recent, kept, .. } = &mut *guard;
        let part = splits.entry(split).or_default();
        let mut lines = Vec::new();
        for reject in rejects {
            let number: u64 = part.counts.values().sum();
            *part.counts.entry(reject.reason).or_default() += 1;
            if part.first.len() < FIRST {
                part.first.push(summary(reject));
            }
            match self.place {
                Place::Nowhere => {}
                Place::Memory => {
                    recent.push_back(serde_json::to_value(letter(&self.run, split, number, reject)).bug(|| "a letter is not JSON".into())?);
                    if recent.len() > RECENT {
                        recent.pop_front();
                    }
                }
                Place::File(_) | Place::Table(_) => {
                    serde_json::to_writer(&mut lines, &letter(&self.run, split, number, reject)).bug(|| "a letter is not JSON".into())?;
                    lines.push(b'\n');
                }
            }
        }
        let Some(path) = self.place.path() else { return Ok(()) };
        if workspace.is_none() {
            *workspace = Some(self.open_workspace(path, kept.as_deref())?);
        }
        if part.staged.is_none() {
            let staged = workspace.as_ref().expect("it is open now").fresh_split(split)?.join("letters");
            let file = File::create(&staged).map_err(|error| cannot("create", &staged, error))?;
            part.staged = Some((staged, file));
        }
        let (staged, file) = part.staged.as_mut().expect("it is open now");
        part.bytes += lines.len() as u64;
        file.write_all(&lines).map_err(|error| cannot("write dead letters to", staged, error))
    }

    /// Appends all letters to their file, in the order of splits: whole lines, on disk when this returns.
    ///
    /// # Errors
    /// Outside; then the file is as it was.
    pub fn commit(&self) -> Result<()> {
        let mut guard = self.state();
        let State { workspace, splits, appended, .. } = &mut *guard;
        if appended.is_some() || splits.values().all(|split| split.staged.is_none()) {
            return Ok(());
        }
        let kept = workspace.as_ref().filter(|workspace| workspace.is_kept());
        match &self.place {
            Place::File(path) => {
                let mut file = self.open_letters(path)?;
                let number = file.metadata().map_err(|error| cannot("read", path, error))?.ino();
                let staged: Vec<PathBuf> = splits.values().filter_map(|split| Some(split.staged.as_ref()?.0.clone())).collect();
                let mut appending = match kept {
                    Some(workspace) => Appending::of_kept(&workspace.file("appended")?, &mut file, path, &staged)?,
                    None => Appending::new(&mut file, path)?,
                };
                let (before, after) = match appending.done {
                    Some(done) => done,
                    None => appending.append(&mut file, path, &staged)?,
                };
                *appended = Some(Appended { file: number, before, after });
                if let Some(folder) = path.parent() {
                    sync_dir(folder)?;
                }
            }
            Place::Table(table) => {
                let staged: Vec<PathBuf> = splits.values().filter_map(|split| Some(split.staged.as_ref()?.0.clone())).collect();
                // A letter has one name, however often the run is gone on with: it is there once.
                table.append(&staged)?;
                *appended = Some(Appended { file: 0, before: 0, after: 0 });
            }
            Place::Memory | Place::Nowhere => return Ok(()),
        }
        if kept.is_some() {
            return Ok(());
        }
        splits.values_mut().for_each(|split| split.staged = None);
        if let Some(workspace) = workspace.take()
            && let Err(error) = workspace.remove()
        {
            tracing::warn!(%error, "dead letters are written, but temporary files could not be removed");
        }
        Ok(())
    }

    /// Removes what is kept of letters that were committed, so that the run could be resumed.
    ///
    /// # Errors
    /// Outside.
    pub fn close(&self) -> Result<()> {
        let mut state = self.state();
        state.splits.values_mut().for_each(|split| split.staged = None);
        state.workspace.take().map_or(Ok(()), |workspace| workspace.remove())
    }

    /// Removes what an earlier process of this run has staged, and leaves letters that it appended.
    ///
    /// # Errors
    /// Outside.
    pub fn clear(&self) -> Result<()> {
        let Some(path) = self.place.path() else { return Ok(()) };
        self.left_workspace(path)?.map_or(Ok(()), |workspace| workspace.remove())
    }

    /// Removes what an earlier process of this run has staged; letters that it appended go too, unless others have written behind them.
    ///
    /// # Errors
    /// Outside.
    pub fn discard(&self) -> Result<()> {
        let Some(path) = self.place.path() else { return Ok(()) };
        let Some(workspace) = self.left_workspace(path)? else { return Ok(()) };
        let staged = workspace.in_splits("letters")?;
        let note = workspace.file("appended")?;
        let mut state = self.state();
        if let Place::Table(_) = self.place {
            state.appended = Some(Appended { file: 0, before: 0, after: 0 });
        } else if note.exists() && !staged.is_empty() {
            let mut file = self.open_letters(path)?;
            let number = file.metadata().map_err(|error| cannot("read", path, error))?.ino();
            let done = Appending::of_kept(&note, &mut file, path, &staged)?.done;
            state.appended = done.map(|(before, after)| Appended { file: number, before, after });
        }
        state.workspace = Some(workspace);
        drop(state);
        self.abort()
    }

    /// The workspace that an earlier process of this run has left.
    fn left_workspace(&self, path: &Path) -> Result<Option<Workspace>> {
        let (folder, name) = self.place_of_workspace(path);
        if Workspace::exists(folder, &name) { Workspace::open(folder, &name, &self.run.run_id).map(Some) } else { Ok(None) }
    }

    /// Drops all letters, those that were appended too, unless others have written behind them.
    ///
    /// # Errors
    /// Outside.
    pub fn abort(&self) -> Result<()> {
        let mut state = self.state();
        state.splits.values_mut().for_each(|split| split.staged = None);
        if let Some(workspace) = state.workspace.take() {
            workspace.remove()?;
        }
        let Some(Appended { file: number, before, after }) = state.appended.take() else { return Ok(()) };
        let path = match &self.place {
            Place::File(path) => path,
            Place::Table(table) => return table.remove_run(&self.run.pipeline, &self.run.run_id),
            Place::Memory | Place::Nowhere => return Ok(()),
        };
        let file = self.open_letters(path)?;
        let metadata = file.metadata().map_err(|error| cannot("read", path, error))?;
        if (metadata.ino(), metadata.len()) != (number, after) {
            tracing::warn!(path = %path.display(), "another run has written dead letters since, those of this failed run stay");
            return Ok(());
        }
        file.set_len(before).and_then(|()| file.sync_all()).map_err(|error| cannot("take dead letters back from", path, error))?;
        if before == 0 {
            fs::remove_file(path).map_err(|error| cannot("remove", path, error))?;
        }
        Ok(())
    }

    /// How many letters there are, by reason.
    pub fn counts(&self) -> BTreeMap<Reason, u64> {
        let mut counts = BTreeMap::new();
        for (reason, count) in self.state().splits.values().flat_map(|split| &split.counts) {
            *counts.entry(*reason).or_default() += count;
        }
        counts
    }

    /// What the first few letters say, for the message of a failed run.
    pub fn first(&self) -> Vec<String> {
        self.state().splits.values().flat_map(|split| split.first.clone()).take(FIRST).collect()
    }

    /// The last letters, where they are kept in memory.
    pub fn recent(&self) -> Vec<Value> {
        self.state().recent.iter().cloned().collect()
    }

    /// The file or the database, where there are any letters and they are kept.
    pub fn path(&self) -> Option<&Path> {
        let any = self.state().splits.values().any(|split| !split.counts.is_empty());
        match &self.place {
            Place::File(path) if any => Some(path),
            Place::Table(table) if any => Some(Path::new(table.title())),
            _ => None,
        }
    }

    /// Tells where the letters are, once they are committed.
    pub fn tell(&self, report: &mut DeadLetterReport) {
        report.path = self.path().map(ToOwned::to_owned);
        if let (Place::Table(table), Some(_)) = (&self.place, &report.path) {
            report.table = Some(table.table().to_owned());
        }
    }

    /// Many runs may write letters to one file, so each has a workspace of its own.
    fn open_workspace(&self, path: &Path, kept: Option<&Path>) -> Result<Workspace> {
        if let Place::Table(table) = &self.place {
            table.make_room()?;
        }
        let (folder, name) = self.place_of_workspace(path);
        let workspace = Workspace::open(folder, &name, &self.run.run_id)?;
        let prefix = name.strip_suffix(&self.run.run_id).unwrap_or(&name);
        Workspace::sweep(folder, prefix)?;
        if let Some(kept) = kept {
            workspace.keep(kept)?;
        }
        Ok(workspace)
    }

    fn place_of_workspace<'a>(&self, path: &'a Path) -> (&'a Path, String) {
        let folder = path.parent().unwrap_or(Path::new(""));
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        (folder, format!("{name}.{}", self.run.run_id))
    }

    /// Opens the file under a lock, so that runs append one after the other.
    fn open_letters(&self, path: &Path) -> Result<File> {
        lock(path).map_err(|error| cannot("open the dead letters at", path, error))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reject(row: u64) -> Reject {
        Reject {
            reason: Reason::TransformationError,
            code: "convert_int".into(),
            message: "`x` is no integer".into(),
            field: Some("n".into()),
            record: serde_json::json!({"n": "x", "row": row}),
            stage: "ops".into(),
            source: "orders.csv".into(),
            row,
            line: row + 1,
            batch: 2,
        }
    }

    fn rows(path: &Path) -> Vec<u64> {
        let row = |line: &str| serde_json::from_str::<Value>(line).unwrap()["metadata"]["row"].as_u64().unwrap();
        fs::read_to_string(path).unwrap().lines().map(row).collect()
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_letter_has_the_fields_of_the_format() {
        let letters = DeadLetters::new(Place::Memory, &RunName::of("r1"));
        letters.write(0, &[reject(7)]).unwrap();
        let expected = serde_json::json!({
            "id": "0825863a-9638-5fd2-9777-0741087aae88",
            "pipeline": "orders",
            "record": {"n": "x", "row": 7},
            "reason": "transformation_error",
            "message": "`x` is no integer",
            "error_type": "convert_int",
            "stage": "ops",
            "metadata": {"run": "r1", "batch": 2, "row": 7, "line": 8, "source": "orders.csv", "field": "n"},
            "timestamp": "2024-06-19T01:58:32Z",
            "retry_count": 0,
            "status": "pending",
        });
        assert_eq!(letters.recent(), [expected]);
    }

    #[test]
    fn letters_appear_at_commit_in_the_order_of_splits_behind_those_of_earlier_runs() {
        let folder = tempfile::tempdir().unwrap();
        let Place::File(path) = Place::file(None, folder.path(), "orders") else { panic!("it is a file") };
        assert_eq!(path, folder.path().join("dlq/orders.jsonl"));
        for (run_id, expected) in [("r1", vec![1, 2, 3]), ("r2", vec![1, 2, 3, 1, 2, 3])] {
            let letters = DeadLetters::new(Place::File(path.clone()), &RunName::of(run_id));
            letters.write(1, &[reject(3)]).unwrap();
            letters.write(0, &[reject(1)]).unwrap();
            letters.write(0, &[reject(2)]).unwrap();
            if run_id == "r1" {
                assert!(!path.exists());
            }
            letters.commit().unwrap();
            assert_eq!(letters.counts(), BTreeMap::from([(Reason::TransformationError, 3)]));
            assert_eq!(rows(&path), expected);
            assert_eq!(names(&folder.path().join("dlq")), ["orders.jsonl"]);
        }
    }

    #[test]
    fn a_split_that_runs_again_has_its_letters_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("letters.jsonl");
        let letters = DeadLetters::new(Place::File(path.clone()), &RunName::of("r1"));
        letters.write(0, &[reject(1)]).unwrap();
        letters.begin(0).unwrap();
        letters.write(0, &[reject(2)]).unwrap();
        letters.commit().unwrap();
        assert_eq!(rows(&path), [2]);
        assert_eq!(letters.first(), ["orders.csv:3: ops: `n`: `x` is no integer"]);
    }

    #[test]
    fn a_failed_run_leaves_no_letter_even_after_they_were_appended() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("letters.jsonl");
        fs::write(&path, "{\"torn").unwrap();
        for commit in [false, true] {
            let letters = DeadLetters::new(Place::File(path.clone()), &RunName::of("r1"));
            letters.write(0, &[reject(1)]).unwrap();
            if commit {
                letters.commit().unwrap();
                assert!(fs::read_to_string(&path).unwrap().starts_with("{\"torn\n{\"id\":"));
            }
            letters.abort().unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), "{\"torn");
            assert_eq!(names(folder.path()), ["letters.jsonl"]);
        }
    }

    #[test]
    fn a_run_without_letters_leaves_no_trace() {
        let folder = tempfile::tempdir().unwrap();
        let letters = DeadLetters::new(Place::file(Some("dlq"), folder.path(), "orders"), &RunName::of("r1"));
        letters.begin(0).unwrap();
        letters.write(0, &[]).unwrap();
        letters.commit().unwrap();
        assert_eq!((names(folder.path()), letters.path()), (Vec::new(), None));
    }

    #[test]
    fn the_memory_keeps_the_last_thousand_and_counts_all() {
        let letters = DeadLetters::new(Place::Memory, &RunName::of("r1"));
        letters.write(0, &(1..=1500).map(reject).collect::<Vec<_>>()).unwrap();
        assert_eq!((letters.recent().len(), letters.recent()[0]["metadata"]["row"].as_u64()), (1000, Some(501)));
        assert_eq!(letters.counts(), BTreeMap::from([(Reason::TransformationError, 1500)]));
    }

    #[test]
    fn a_path_without_an_ending_is_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        for (path, expected) in [("dlq", "dlq/orders.jsonl"), ("dlq/", "dlq/orders.jsonl"), ("bad.jsonl", "bad.jsonl")] {
            let Place::File(path) = Place::file(Some(path), folder.path(), "orders") else { panic!("it is a file") };
            assert_eq!(path, folder.path().join(expected));
        }
    }
}
