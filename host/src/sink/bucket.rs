//! Commits to a cloud storage: what is staged on this machine comes in sight as objects, all or nothing.
//!
//! A storage has no rename, but what is uploaded in parts is not seen before it is completed. So a commit
//!
//! 1. uploads everything in parts, and notes each upload beside what is staged, so that a later run gives up those of a dead one;
//! 2. takes its turn by writing the note `.<name>.etl/commit` beside the objects: what is to be completed. From here on the commit is done,
//!    whoever does it: the next run that opens the target completes what this one could not, on this machine or on another;
//! 3. adds to the note what goes: all of ours that is there now. Listed before the turn was taken, the objects of a run that committed in
//!    between would stay; listed by each who completes the commit, those of a later one would go;
//! 4. completes the uploads, removes what goes, and removes the note.
//!
//! One object that replaces none of another name needs no note: to complete its upload is the commit.
//!
//! A kill between the start of an upload and its note leaves an upload without parts, which takes no space. It is not looked for: a storage
//! lists uploads by name, and does not say whose they are, so that another machine's, which is at the same object, would be given up too.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::commit::Move;
use super::output::{Layout, Output};
use super::workspace::{Workspace, cannot};
use crate::config::cloud::Storage;
use crate::crash;
use crate::error::{Context, Error, Result};
use crate::remote::store::{Completed, Object, Part, Store, Upload};

/// Bytes of an object that is written at once: fewer than those of the parts that are on their way at a time.
const SMALL: u64 = 32 << 20;
/// Bytes of the note of a commit at most.
const NOTE_BYTES: u64 = 64 << 20;
/// The file with the uploads that a run has started, a line each.
const UPLOADS: &str = "uploads";

/// The folder with a list of those that could not be given up.
const LEFT: &str = "left";

/// Time for which the note of another run may stay as it is before that run is taken for dead, and how often it is looked at.
const PATIENCE: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// A bucket that a run writes to.
pub(super) struct Bucket {
    store: Store,
    output: Arc<Output>,
    /// Where the note of a commit stands.
    note: String,
    run_id: String,
}

/// A commit, as its note has it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Note {
    run_id: String,
    steps: Vec<Step>,
    /// What goes; none before it is listed.
    removals: Option<Vec<String>>,
}

impl Note {
    /// Whether both are of one commit.
    fn is(&self, other: &Self) -> bool {
        let uploads = |note: &Self| note.steps.iter().map(|step| step.upload.clone()).collect::<Vec<_>>();
        self.run_id == other.run_id && uploads(self) == uploads(other)
    }

    fn text(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self).bug(|| "the note of a commit is not JSON".into())
    }
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
    pub(super) fn open(
        [store, at_commit]: [Store; 2],
        storage: &Storage,
        output: Arc<Output>,
        root: &Path,
        run_id: &str,
    ) -> Result<(Self, Workspace)> {
        let target = output.folder.join(output.name());
        let mut bucket = Self { note: note_key(&output), store, output, run_id: run_id.to_owned() };
        let target = bucket.url(&target);
        let (workspace, first) = Workspace::hold(root, &staging_name(storage, &target), Path::new(&target), run_id)?;
        if first {
            bucket.settle(Some(&workspace))?;
            let left = bucket.give_up_dead(&workspace)?;
            workspace.clear_dead_runs()?;
            bucket.leave(&workspace, &left)?;
        }
        bucket.store = at_commit;
        Ok((bucket, workspace))
    }

    /// As one who only wants to know whether a commit was done.
    pub(super) fn look(store: Store, output: Output) -> Self {
        Self { note: note_key(&output), store, output: Arc::new(output), run_id: String::new() }
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
    pub(super) fn existing(&self) -> Result<Vec<String>> {
        if matches!(self.output.layout, Layout::One) {
            return Ok(Vec::new());
        }
        let folder = self.output.folder.to_string_lossy();
        let listed = self.store.list(&folder)?;
        let ours = |object: &Object| {
            let below = object.key.strip_prefix(&*folder).unwrap_or(&object.key).trim_start_matches('/');
            self.output.is_ours(below)
        };
        Ok(listed.into_iter().filter(ours).map(|object| object.key).collect())
    }

    /// Bytes that objects have together.
    pub(super) fn bytes(&self, targets: &[PathBuf]) -> Result<u64> {
        if let [only] = targets {
            return Ok(self.store.find(&only.to_string_lossy())?.map_or(0, |object| object.bytes));
        }
        let listed = self.store.list(&self.output.folder.to_string_lossy())?;
        Ok(listed.iter().filter(|object| targets.iter().any(|target| *target == *object.key)).map(|object| object.bytes).sum())
    }

    /// Shows staged files as objects, all or nothing, and where they replace what is there removes all else of ours with that.
    ///
    /// # Errors
    /// Outside; what is to be seen then is all as it was, or comes to be in the next run.
    pub(super) fn publish(&self, workspace: &Workspace, moves: &[Move], replaces: bool) -> Result<()> {
        // Those of an earlier try of this run.
        let left = self.give_up(&workspace.file(UPLOADS)?)?;
        self.leave(workspace, &left)?;
        let keys: Vec<String> = moves.iter().map(|step| step.target.to_string_lossy().into_owned()).collect();
        let alone = !replaces && !workspace.is_kept();
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
        let note = Note { run_id: self.run_id.clone(), steps, removals: (!replaces).then(Vec::new) };
        self.take_turn(&note).or_else(|error| self.given_up(workspace, note.steps.iter().map(|step| &step.upload), error))?;
        crash::at("commit.noted");
        self.complete(note, Some(workspace)).map_err(|error| {
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
        let text = note.text()?;
        for _ in 0..100 {
            if self.store.create(&self.note, text.clone())? || self.wait_for_turn(note)? {
                return Ok(());
            }
        }
        Err(Error::outside(format!("other runs are writing beside `{}`", self.note_url())).hint("wait until they have ended"))
    }

    /// Waits until the note of another run is gone, and completes its commit where it stays; answers whether the note is our own after all.
    fn wait_for_turn(&self, own: &Note) -> Result<bool> {
        let (mut seen, mut since) = (None, Instant::now());
        while let Some((note, object)) = self.note()? {
            // A storage that was asked twice has answered the second time.
            if note.is(own) {
                return Ok(true);
            }
            if seen.as_ref() != Some(&object) {
                (seen, since) = (Some(object), Instant::now());
            }
            if since.elapsed() >= PATIENCE {
                self.settle(None)?;
                break;
            }
            thread::sleep(LOOK_AGAIN);
        }
        Ok(false)
    }

    /// The note that stands.
    fn note(&self) -> Result<Option<(Note, Object)>> {
        let Some((object, text)) = self.store.read_whole(&self.note, NOTE_BYTES)? else { return Ok(None) };
        let unreadable = || format!("the note `{}` of a commit that is not complete cannot be read", self.note_url());
        Ok(Some((serde_json::from_slice(&text).outside(unreadable)?, object)))
    }

    /// Completes a commit that was begun by whomever.
    pub(super) fn settle(&self, workspace: Option<&Workspace>) -> Result<()> {
        let Some((note, _)) = self.note()? else { return Ok(()) };
        let own = note.run_id == self.run_id;
        if own {
            tracing::warn!(note = self.note_url(), "this run was interrupted while it committed, its commit is completed");
        } else {
            // A storage does not say whether who wrote a note is alive.
            tracing::warn!(
                run = note.run_id,
                note = self.note_url(),
                "another run is committing there, or was interrupted while it did: its commit is completed first"
            );
        }
        self.complete(note, workspace.filter(|_| own))
    }

    /// Notes what goes, where that is not done; answers whether the note still stands.
    fn seal(&self, note: &mut Note) -> Result<bool> {
        for _ in 0..100 {
            if note.removals.is_some() {
                return Ok(true);
            }
            let there = self.note()?.filter(|(there, _)| there.is(note));
            if let Some((Note { removals: removals @ Some(_), .. }, _)) = there {
                note.removals = removals;
                return Ok(true);
            }
            let mut goes = self.existing()?;
            goes.retain(|key| note.steps.iter().all(|step| step.upload.key != *key));
            let sealed = Note { removals: Some(goes), ..note.clone() };
            let Some((_, object)) = there else {
                *note = sealed;
                return Ok(false);
            };
            // Another who completes this commit may be faster: what that one has listed holds.
            if self.store.replace(&self.note, &object, sealed.text()?)? {
                *note = sealed;
            }
        }
        Err(Error::outside(format!("`{}` is changed over and over", self.note_url())).hint("run it again"))
    }

    /// Does what the note of a commit says, however much of it is done already.
    fn complete(&self, mut note: Note, own: Option<&Workspace>) -> Result<()> {
        let stands = self.seal(&mut note)?;
        crash::at("commit.sealed");
        let uploads: Vec<(&Upload, &[Part])> = note.steps.iter().map(|step| (&step.upload, &*step.parts)).collect();
        let mut gone = Vec::new();
        for (step, completed) in note.steps.iter().zip(self.store.complete_all(&uploads)?) {
            match completed {
                Completed::Done => {}
                Completed::Gone(error) => gone.push((step, error, false)),
                Completed::Refused(error) => gone.push((step, error, true)),
            }
        }
        let is_ours_to_do = stands || gone.len() < note.steps.len();
        for (step, error, refused) in gone {
            self.find_completed(&note, step, refused, error)?;
        }
        crash::at("commit.placed");
        // Names are never used again, so that what goes may go twice. Whoever has completed all of it before us has removed the note, too,
        // and what was listed after that may be of a later commit.
        if is_ours_to_do {
            self.store.remove_all(note.removals.as_deref().unwrap_or_default())?;
        }
        if let Some(workspace) = own.filter(|workspace| workspace.is_kept()) {
            let targets: Vec<PathBuf> = note.steps.iter().map(|step| PathBuf::from(&step.upload.key)).collect();
            workspace.note_committed(&targets)?;
        }
        if self.stands(&note)? {
            self.store.remove(&self.note)?;
        }
        crash::at("commit.ended");
        Ok(())
    }

    /// Whether the note that stands is this one, and not that of a later commit.
    fn stands(&self, note: &Note) -> Result<bool> {
        Ok(self.note()?.is_some_and(|(there, _)| there.is(note)))
    }

    /// Makes sure that an upload which the storage does not know is completed: by a run that was killed, or by another that is at the same.
    fn find_completed(&self, note: &Note, step: &Step, refused: bool, error: Error) -> Result<()> {
        for patience_ms in [100, 200, 400, 800, 1600, 0] {
            let there = self.store.find(&step.upload.key)?;
            let is_new =
                |object: &Object| object.bytes == step.bytes && (!refused || step.replaces.as_ref().is_none_or(|old| differs(old, object)));
            if there.as_ref().is_some_and(is_new) || !self.stands(note)? {
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
