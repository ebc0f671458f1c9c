//! Commits to a cloud storage: what is staged on this machine comes in sight as objects, all or nothing.
//!
//! A storage has no rename, but what is uploaded in parts is not seen before it is completed. So a commit
//!
//! 1. uploads everything in parts, and notes each upload beside what is staged, so that a later run gives up those of a dead one;
//! 2. writes `.<name>.etl/commit` beside the objects: what is to be completed and what is to go. From here on the commit is done, whoever
//!    does it: the next run that opens the target completes what this one could not, on this machine or on another;
//! 3. completes the uploads, removes what goes, and removes the note.
//!
//! One object needs no note: to complete its upload is the commit.
//!
//! A kill between the start of an upload and its note leaves an upload without parts, which takes no space. It is not looked for: a storage
//! lists uploads by name, and does not say whose they are, so that another machine's, which is at the same object, would be given up too.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::commit::Move;
use super::output::{Layout, Output};
use super::workspace::{Workspace, cannot};
use crate::config::cloud::Storage;
use crate::crash;
use crate::error::{Context, Error, Result};
use crate::remote::store::{Completed, Object, Part, Store, Upload};

/// Bytes of an object that is written at once.
const SMALL: u64 = 5 << 20;
/// Bytes of the note of a commit at most.
const NOTE_BYTES: u64 = 64 << 20;
/// The file with the uploads that a run has started, a line each.
const UPLOADS: &str = "uploads";

/// The folder with a list of those that could not be given up.
const LEFT: &str = "left";

/// A bucket that a run writes to.
pub(super) struct Bucket {
    store: Store,
    /// Where the note of a commit stands.
    note: String,
    run_id: String,
}

/// A commit, as its note has it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Note {
    run_id: String,
    steps: Vec<Step>,
    removals: Vec<String>,
}

/// An upload that is to be completed.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    upload: Upload,
    parts: Vec<Part>,
    bytes: u64,
    /// What is there before.
    replaces: Option<Object>,
}

impl Bucket {
    /// Makes ready to write, and holds the target against other runs on this machine: what dead runs have left is cleared or completed.
    ///
    /// # Errors
    /// Outside, where the storage does not answer or another run is writing the target.
    pub(super) fn open(store: Store, storage: &Storage, output: &Output, root: &Path, run_id: &str) -> Result<(Self, Workspace)> {
        let bucket = Self { note: note_key(output), store, run_id: run_id.to_owned() };
        let target = bucket.url(&output.folder.join(output.name()));
        let (workspace, first) = Workspace::hold(root, &staging_name(storage, &target), Path::new(&target), run_id)?;
        if first {
            bucket.settle(Some(&workspace))?;
            let left = bucket.give_up_dead(&workspace)?;
            workspace.clear_dead_runs()?;
            bucket.leave(&workspace, &left)?;
        }
        Ok((bucket, workspace))
    }

    /// As one who only wants to know whether a commit was done.
    pub(super) fn look(store: Store, output: &Output) -> Self {
        Self { note: note_key(output), store, run_id: String::new() }
    }

    /// The name of an object for a person.
    pub(super) fn url(&self, target: &Path) -> String {
        self.store.url(&target.to_string_lossy())
    }

    /// Whether an object is there.
    pub(super) fn is_there(&self, target: &Path) -> Result<bool> {
        Ok(self.store.find(&target.to_string_lossy())?.is_some())
    }

    /// Objects of ours that are there.
    pub(super) fn existing(&self, output: &Output) -> Result<Vec<PathBuf>> {
        if matches!(output.layout, Layout::One) {
            return Ok(Vec::new());
        }
        let folder = output.folder.to_string_lossy();
        let listed = self.store.list(&folder)?;
        let ours = |object: &Object| {
            let below = object.key.strip_prefix(&*folder).unwrap_or(&object.key).trim_start_matches('/');
            output.is_ours(below)
        };
        Ok(listed.into_iter().filter(ours).map(|object| object.key.into()).collect())
    }

    /// Bytes that objects have together.
    pub(super) fn bytes(&self, targets: &[PathBuf], output: &Output) -> Result<u64> {
        if let [only] = targets {
            return Ok(self.store.find(&only.to_string_lossy())?.map_or(0, |object| object.bytes));
        }
        let listed = self.store.list(&output.folder.to_string_lossy())?;
        Ok(listed.iter().filter(|object| targets.iter().any(|target| *target == *object.key)).map(|object| object.bytes).sum())
    }

    /// Shows staged files as objects and removes others, all or nothing.
    ///
    /// # Errors
    /// Outside; what is to be seen then is all as it was, or comes to be in the next run.
    pub(super) fn publish(&self, workspace: &Workspace, moves: &[Move], removals: &[PathBuf]) -> Result<()> {
        // Those of an earlier try of this run.
        let left = self.give_up(&workspace.file(UPLOADS)?)?;
        self.leave(workspace, &left)?;
        let keys: Vec<String> = moves.iter().map(|step| step.target.to_string_lossy().into_owned()).collect();
        let alone = removals.is_empty() && !workspace.is_kept();
        if let ([only], true) = (moves, alone)
            && fs::metadata(&only.staged).is_ok_and(|staged| staged.len() <= SMALL)
        {
            let bytes = fs::read(&only.staged).map_err(|error| cannot("read", &only.staged, error))?;
            return self.store.write(&keys[0], bytes);
        }
        let uploads = self.store.begin_uploads(&keys)?;
        let uploaded = note_uploads(&workspace.file(UPLOADS)?, &uploads).and_then(|()| {
            crash::at("upload.begun");
            let files: Vec<(&Upload, &Path)> = uploads.iter().zip(moves).map(|(upload, step)| (upload, &*step.staged)).collect();
            self.store.upload(&files)
        });
        let parts = uploaded.or_else(|error| self.given_up(workspace, &uploads, error))?;
        crash::at("upload.done");
        if let ([upload], [parts], true) = (&uploads[..], &parts[..], alone) {
            return match self.store.complete(upload, parts)? {
                Completed::Done => Ok(()),
                Completed::Gone(error) | Completed::Refused(error) => self.given_up(workspace, &uploads, error),
            };
        }
        let steps = self.steps(uploads, parts, moves)?;
        let removals = removals.iter().map(|key| key.to_string_lossy().into_owned()).filter(|key| !keys.contains(key)).collect();
        let note = Note { run_id: self.run_id.clone(), steps, removals };
        self.take_turn(&note).or_else(|error| self.given_up(workspace, note.steps.iter().map(|step| &step.upload), error))?;
        crash::at("commit.noted");
        self.complete(&note, Some(workspace)).map_err(|error| {
            error.while_doing(format!(
                "the commit to `{}` was begun and is not complete: the next run that writes there completes it",
                self.note_url()
            ))
        })
    }

    fn steps(&self, uploads: Vec<Upload>, parts: Vec<Vec<Part>>, moves: &[Move]) -> Result<Vec<Step>> {
        let keys: Vec<String> = uploads.iter().map(|upload| upload.key.clone()).collect();
        let mut replaced = self.store.find_all(&keys)?.into_iter();
        let mut steps = Vec::with_capacity(uploads.len());
        for ((upload, parts), Move { staged, .. }) in uploads.into_iter().zip(parts).zip(moves) {
            let bytes = fs::metadata(staged).map_err(|error| cannot("read", staged, error))?.len();
            steps.push(Step { upload, parts, bytes, replaces: replaced.next().flatten() });
        }
        Ok(steps)
    }

    /// Writes the note of a commit. Where that of another run stands, that commit comes first.
    fn take_turn(&self, note: &Note) -> Result<()> {
        let text = serde_json::to_vec(note).bug(|| "the note of a commit is not JSON".into())?;
        for _ in 0..100 {
            if self.store.create(&self.note, text.clone())? {
                return Ok(());
            }
            self.settle(None)?;
        }
        Err(Error::outside(format!("other runs are writing beside `{}`", self.note_url())).hint("wait until they have ended"))
    }

    /// Completes a commit that was begun by whomever.
    pub(super) fn settle(&self, workspace: Option<&Workspace>) -> Result<()> {
        let Some(text) = self.store.read_whole(&self.note, NOTE_BYTES)? else { return Ok(()) };
        let unreadable = || format!("the note `{}` of a commit that was interrupted cannot be read", self.note_url());
        let note: Note = serde_json::from_slice(&text).outside(unreadable)?;
        tracing::warn!(
            run = note.run_id,
            note = self.note_url(),
            "an earlier run was interrupted while it committed, its commit is completed"
        );
        self.complete(&note, workspace.filter(|_| note.run_id == self.run_id))
    }

    /// Does what the note of a commit says, however much of it is done already.
    fn complete(&self, note: &Note, own: Option<&Workspace>) -> Result<()> {
        let uploads: Vec<(&Upload, &[Part])> = note.steps.iter().map(|step| (&step.upload, &*step.parts)).collect();
        let mut gone = Vec::new();
        for (step, completed) in note.steps.iter().zip(self.store.complete_all(&uploads)?) {
            match completed {
                Completed::Done => {}
                Completed::Gone(error) => gone.push((step, error, false)),
                Completed::Refused(error) => gone.push((step, error, true)),
            }
        }
        for (step, error, refused) in gone {
            self.find_completed(step, refused, error)?;
        }
        crash::at("commit.placed");
        // Whoever has completed it before us has removed the note too, and what is there now may be of a later commit.
        if self.store.find(&self.note)?.is_some() {
            self.store.remove_all(&note.removals)?;
        }
        if let Some(workspace) = own.filter(|workspace| workspace.is_kept()) {
            let targets: Vec<PathBuf> = note.steps.iter().map(|step| PathBuf::from(&step.upload.key)).collect();
            workspace.note_committed(&targets)?;
        }
        self.store.remove(&self.note)?;
        crash::at("commit.ended");
        Ok(())
    }

    /// Makes sure that an upload which the storage does not know is completed: by a run that was killed, or by another that is at the same.
    fn find_completed(&self, step: &Step, refused: bool, error: Error) -> Result<()> {
        for patience_ms in [100, 200, 400, 800, 1600, 0] {
            let there = self.store.find(&step.upload.key)?;
            let is_new =
                |object: &Object| object.bytes == step.bytes && (!refused || step.replaces.as_ref().is_none_or(|old| differs(old, object)));
            if there.as_ref().is_some_and(is_new) || self.store.find(&self.note)?.is_none() {
                return Ok(());
            }
            // The storage may still be at it, for one who is gone.
            thread::sleep(Duration::from_millis(patience_ms));
        }
        Err(error)
    }

    /// Gives up the uploads of dead runs that cannot be resumed; answers those that are left.
    fn give_up_dead(&self, workspace: &Workspace) -> Result<Vec<Upload>> {
        let mut left = Vec::new();
        for run in workspace.dead_runs()? {
            left.extend(self.give_up(&run.join(UPLOADS))?);
        }
        Ok(left)
    }

    /// Gives up the uploads that a file lists; answers those that are left.
    fn give_up(&self, list: &Path) -> Result<Vec<Upload>> {
        let Ok(text) = fs::read_to_string(list) else { return Ok(Vec::new()) };
        // A last line may be torn.
        let uploads: Vec<Upload> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let left = self.give_up_all(&uploads);
        fs::remove_file(list).map_err(|error| cannot("remove", list, error))?;
        Ok(left)
    }

    /// Gives up uploads; answers those that are left, since the storage does not answer or may not be asked.
    fn give_up_all<'a>(&self, uploads: impl IntoIterator<Item = &'a Upload>) -> Vec<Upload> {
        let (mut left, mut why) = (Vec::new(), String::new());
        for upload in uploads {
            // One that does not answer is not asked for each.
            if why.is_empty() {
                why = self.store.abort(upload).err().map(|error| error.one_line()).unwrap_or_default();
            }
            if !why.is_empty() {
                left.push(upload.clone());
            }
        }
        if !left.is_empty() {
            tracing::warn!(error = why, uploads = left.len(), "uploads that nobody needs are in the bucket, the next run gives them up");
        }
        left
    }

    /// Gives up the uploads of a commit that failed.
    fn given_up<'a, T>(&self, workspace: &Workspace, uploads: impl IntoIterator<Item = &'a Upload>, error: Error) -> Result<T> {
        let left = self.give_up_all(uploads);
        // What failed first is what is told.
        let _ = self.leave(workspace, &left);
        Err(error)
    }

    /// Notes uploads for the next run, which finds them as those of a dead one.
    fn leave(&self, workspace: &Workspace, uploads: &[Upload]) -> Result<()> {
        if uploads.is_empty() {
            return Ok(());
        }
        note_uploads(&workspace.beside(LEFT)?.join(UPLOADS), uploads)
    }

    fn note_url(&self) -> String {
        self.store.url(&self.note)
    }
}

fn differs(old: &Object, now: &Object) -> bool {
    old.etag != now.etag || old.modified != now.modified
}

fn note_key(output: &Output) -> String {
    output.folder.join(format!(".{}.etl", output.name())).join("commit").to_string_lossy().into_owned()
}

/// The name of the folder on this machine in which the output of a target is staged.
fn staging_name(storage: &Storage, target: &str) -> String {
    // Of two storages with buckets of one name.
    let digest = Sha256::digest(format!("{target} {:?}", storage.service()));
    let digest: String = digest[..4].iter().map(|byte| format!("{byte:02x}")).collect();
    let plain = |letter: char| if letter.is_ascii_alphanumeric() || ".-_=".contains(letter) { letter } else { '_' };
    let name: String = target.split("://").last().unwrap_or(target).chars().map(plain).take(100).collect();
    format!("{name}-{digest}")
}

/// Adds uploads to a list.
fn note_uploads(list: &Path, uploads: &[Upload]) -> Result<()> {
    let mut text = Vec::new();
    for upload in uploads {
        serde_json::to_writer(&mut text, upload).bug(|| "an upload is not JSON".into())?;
        text.push(b'\n');
    }
    let opened = File::options().create(true).append(true).open(list);
    let written = opened.and_then(|mut file| file.write_all(&text).and_then(|()| file.sync_all()));
    written.map_err(|error| cannot("write", list, error))
}
