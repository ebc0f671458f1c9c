//! The hidden folder beside a target in which a run stages its output.
//!
//! For the target `orders.jsonl` it is `.orders.jsonl.etl` in the same folder, so that a rename is all a commit needs:
//!
//! ```text
//! lock            held (flock) by the run that writes the target; says which run
//! <run>/00000/…   what split 0 has staged
//! <run>/kept      only of a run that can be resumed: the file that says so while it is there
//! <run>/committed only of such a run, once its commit is done: the journal of it
//! journal         only during a commit of several files or of such a run: what to undo or to go on with
//! old/            only during such a commit: the files that it replaces
//! ```
//!
//! A killed run leaves this folder and nothing else. The next run that opens the target gets the lock, undoes a commit that was
//! interrupted, and clears what other runs have left there, those aside that can be resumed. Where it is the interrupted run itself
//! that was resumed, its commit is not undone but completed.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::error::{Error, Result};

/// Names in a run's folder.
const KEPT: &str = "kept";
pub(super) const COMMITTED: &str = "committed";

/// The hidden folder beside a target in which a run stages its output.
#[derive(Debug)]
pub(super) struct Workspace {
    pub(super) dir: PathBuf,
    pub(super) run: PathBuf,
    /// Held by the first opener of a run until it is done; others of the same run work under its protection.
    lock: Mutex<Option<File>>,
    /// Folders that were made on the way to the target, outermost first.
    pub(super) made: Vec<PathBuf>,
    /// Whether what is staged stays when the process ends before the run does.
    kept: AtomicBool,
}

/// Makes an error of the world outside, with what to do next where the system's code says it.
pub(super) fn cannot(doing: &str, path: &Path, error: io::Error) -> Error {
    let hint = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Some("the disk is full: free some space, or write elsewhere"),
        io::ErrorKind::PermissionDenied => Some("check the owner and the permissions of the folder"),
        io::ErrorKind::ReadOnlyFilesystem => Some("the file system is mounted read-only: write elsewhere"),
        // Where a folder was to be made, what exists already is a file.
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => Some("a part of the path is a file, not a folder"),
        _ => None,
    };
    let failed = Error::outside(format!("cannot {doing} `{}`", path.display())).because(error);
    match hint {
        Some(hint) => failed.hint(hint),
        None => failed,
    }
}

/// Makes a folder's entries survive a power cut.
pub(super) fn sync_dir(dir: &Path) -> Result<()> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(|error| cannot("sync the folder", dir, error))
}

/// Makes a folder and those above it; answers the ones that were not there, outermost first.
pub(super) fn make_dirs(dir: &Path) -> Result<Vec<PathBuf>> {
    let missing = |dir: &&Path| !dir.as_os_str().is_empty() && !dir.exists();
    let mut made: Vec<PathBuf> = dir.ancestors().take_while(missing).map(Path::to_owned).collect();
    made.reverse();
    fs::create_dir_all(dir).map_err(|error| cannot("create the folder", dir, error))?;
    Ok(made)
}

/// Removes a file or folder; that it is not there is as good.
pub(super) fn remove_if_there(path: &Path) -> Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(cannot("remove", path, error)),
        _ => Ok(()),
    }
}

impl Workspace {
    /// Opens the workspace of the target `name` in `folder` for a run.
    ///
    /// # Errors
    /// Outside, where the folder cannot be written, or where another run is writing the target.
    pub(super) fn open(folder: &Path, name: &str, run_id: &str) -> Result<Self> {
        let (workspace, first) = Self::hold(folder, name, &folder.join(name), run_id)?;
        if first {
            workspace.clear_dead_runs()?;
        }
        Ok(workspace)
    }

    /// As [`Workspace::open`], but clears nothing yet; answers whether it is the first opener of its run, who is to. `target` is shown to
    /// others who want it.
    pub(super) fn hold(folder: &Path, name: &str, target: &Path, run_id: &str) -> Result<(Self, bool)> {
        let safe = |letter: char| if letter.is_ascii_alphanumeric() || letter == '-' { letter } else { '_' };
        let dir = folder.join(format!(".{name}.etl"));
        let made = make_dirs(folder)?;
        let run = dir.join(format!("run-{}", run_id.chars().map(safe).collect::<String>()));
        let kept = AtomicBool::new(run.join(KEPT).exists());
        let workspace = Self { lock: Mutex::new(None), run, made, dir, kept };
        let lock = workspace.take_lock(target, run_id)?;
        let first = lock.is_some();
        *workspace.lock.lock().unwrap_or_else(PoisonError::into_inner) = lock;
        Ok((workspace, first))
    }

    /// Whether the target `name` in `folder` has a workspace.
    pub(super) fn exists(folder: &Path, name: &str) -> bool {
        folder.join(format!(".{name}.etl")).exists()
    }

    /// The files of a name that splits of this run have staged, in order.
    pub(super) fn in_splits(&self, name: &str) -> Result<Vec<PathBuf>> {
        let entries = match fs::read_dir(&self.run) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(|error| cannot("list", &self.run, error))?,
        };
        let mut found: Vec<PathBuf> = entries.flatten().map(|entry| entry.path().join(name)).filter(|path| path.is_file()).collect();
        found.sort();
        Ok(found)
    }

    fn take_lock(&self, target: &Path, run_id: &str) -> Result<Option<File>> {
        let path = self.dir.join("lock");
        // Whoever ends removes the lock file, so it may vanish between any two of these calls; then we start again.
        for _ in 0..100 {
            fs::create_dir_all(&self.dir).map_err(|error| cannot("create the folder", &self.dir, error))?;
            let mut file = match File::options().read(true).write(true).create(true).truncate(false).open(&path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(cannot("create the file", &path, error)),
            };
            match file.try_lock() {
                Ok(()) if !is_same(&file, &path) => {}
                Ok(()) => {
                    let written = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(run_id.as_bytes()));
                    written.map_err(|error| cannot("write", &path, error))?;
                    return Ok(Some(file));
                }
                Err(TryLockError::WouldBlock) => {
                    let mut holder = String::new();
                    let _ = (&file).take(1024).read_to_string(&mut holder);
                    if holder == run_id {
                        return Ok(None);
                    }
                    // The holder is only just writing its name, or gone already.
                    if holder.is_empty() || !is_same(&file, &path) {
                        std::thread::sleep(std::time::Duration::from_millis(1));
                        continue;
                    }
                    return Err(Error::outside(format!("another run (`{holder}`) is writing `{}`", target.display()))
                        .hint("wait until it has ended, or write to another path"));
                }
                Err(TryLockError::Error(error)) => return Err(cannot("lock", &path, error)),
            }
        }
        Err(Error::outside(format!("another run is writing `{}`", target.display()))
            .hint("wait until it has ended, or write to another path"))
    }

    /// Clears what other runs have left. What this very run has staged before it was interrupted stays, and what can be resumed.
    pub(super) fn clear_dead_runs(&self) -> Result<()> {
        if self.journal().exists() {
            let steps = self.read_journal(&self.journal())?;
            if self.is_kept() && steps.iter().any(|step| step.staged.as_ref().is_some_and(|staged| staged.starts_with(&self.run))) {
                self.complete(&steps)?;
            } else {
                tracing::warn!(workspace = %self.dir.display(), "an earlier run was interrupted while it committed, its output is undone");
                self.undo(&steps)?;
            }
        }
        self.dead_runs()?.iter().try_for_each(|path| remove_if_there(path))
    }

    /// What other runs have left that cannot be resumed.
    pub(super) fn dead_runs(&self) -> Result<Vec<PathBuf>> {
        let mut dead = Vec::new();
        for entry in fs::read_dir(&self.dir).map_err(|error| cannot("list", &self.dir, error))? {
            let path = entry.map_err(|error| cannot("list", &self.dir, error))?.path();
            if path != self.run && path.file_name().is_some_and(|name| name != "lock") && !is_kept(&path) {
                dead.push(path);
            }
        }
        Ok(dead)
    }

    /// A folder for what outlives the run, made where it is not there.
    pub(super) fn beside(&self, name: &str) -> Result<PathBuf> {
        let path = self.dir.join(name);
        fs::create_dir_all(&path).map_err(|error| cannot("make", &path, error))?;
        Ok(path)
    }

    /// Keeps what is staged when the process ends before the run does, until `while_there` is gone.
    pub(super) fn keep(&self, while_there: &Path) -> Result<()> {
        let path = self.file(KEPT)?;
        let while_there = std::path::absolute(while_there).map_err(|error| cannot("find", while_there, error))?;
        let written = File::create(&path).and_then(|mut file| {
            file.write_all(while_there.as_os_str().as_bytes())?;
            file.sync_all()
        });
        written.map_err(|error| cannot("write", &path, error))?;
        for folder in [&self.run, &self.dir] {
            sync_dir(folder)?;
        }
        sync_dir(self.folder())?;
        self.kept.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Whether what is staged stays when the process ends before the run does.
    pub(super) fn is_kept(&self) -> bool {
        self.kept.load(Ordering::Relaxed)
    }

    /// The files that a commit of this run has shown, where it was done and the run can be resumed.
    pub(super) fn committed(&self) -> Result<Option<Vec<PathBuf>>> {
        let path = self.run.join(COMMITTED);
        if !path.exists() {
            return Ok(None);
        }
        let steps = self.read_journal(&path)?;
        Ok(Some(steps.into_iter().filter(|step| step.staged.is_some()).map(|step| step.target).collect()))
    }

    /// Removes workspaces in `folder` whose name starts with `prefix` and whose run is dead.
    pub(super) fn sweep(folder: &Path, prefix: &str) -> Result<()> {
        let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let Some(name) = name.to_str().and_then(|name| name.strip_prefix('.')?.strip_suffix(".etl")) else { continue };
            if !name.starts_with(prefix) {
                continue;
            }
            // Nobody's run id, so a lock that is held stays held.
            if let Ok(dead) = Self::open(folder, name, "sweep") {
                dead.remove()?;
            }
        }
        Ok(())
    }

    /// Where a split stages its files; empty, whatever an earlier attempt has left.
    pub(super) fn fresh_split(&self, split: usize) -> Result<PathBuf> {
        let dir = self.split(split);
        remove_if_there(&dir)?;
        fs::create_dir_all(&dir).map_err(|error| cannot("create the folder", &dir, error))?;
        Ok(dir)
    }

    /// Where a split has staged its files before its run was interrupted.
    pub(super) fn split(&self, split: usize) -> PathBuf {
        self.run.join(format!("{split:05}"))
    }

    /// Where a file that belongs to no split may stand.
    pub(super) fn file(&self, name: &str) -> Result<PathBuf> {
        fs::create_dir_all(&self.run).map_err(|error| cannot("create the folder", &self.run, error))?;
        Ok(self.run.join(name))
    }

    pub(super) fn folder(&self) -> &Path {
        self.dir.parent().expect("a workspace stands in a folder")
    }

    /// Removes all that this run has staged and gives the target free; then also the folders made for it, where they are empty.
    ///
    /// An opener that works under another's lock leaves that one's files. A second call does nothing.
    pub(super) fn remove(&self) -> Result<()> {
        // The lock is held to the end of this block, and its file goes last: whoever gets it finds the folder clear.
        if let Some(lock) = self.lock.lock().unwrap_or_else(PoisonError::into_inner).take() {
            if self.journal().exists() {
                self.undo(&self.read_journal(&self.journal())?)?;
            }
            remove_if_there(&self.run)?;
            remove_if_there(&self.dir.join("old"))?;
            remove_if_there(&self.dir.join("journal.new"))?;
            remove_if_there(&self.dir.join("lock"))?;
            // Not empty where the next run is in it already.
            let _ = fs::remove_dir(&self.dir);
            give_free(&lock);
        }
        for folder in self.made.iter().rev() {
            if fs::remove_dir(folder).is_err() {
                break;
            }
        }
        Ok(())
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        if self.is_kept() {
            if let Some(lock) = self.lock.get_mut().unwrap_or_else(PoisonError::into_inner) {
                give_free(lock);
            }
            return;
        }
        if let Err(error) = self.remove() {
            tracing::warn!(%error, workspace = %self.dir.display(), "temporary files could not be removed");
        }
    }
}

/// Gives a lock free at once: a process that is just being started has the file too until it runs its program, and would hold it as long.
fn give_free(lock: &File) {
    // What cannot be unlocked is when it is closed.
    let _ = lock.unlock();
}

/// Whether the folder is that of a run that can be resumed.
fn is_kept(run: &Path) -> bool {
    let Ok(while_there) = fs::read(run.join(KEPT)) else { return false };
    Path::new(std::ffi::OsStr::from_bytes(&while_there)).exists()
}

/// Whether two paths lead to one file.
pub(super) fn same_file(one: &Path, other: &Path) -> bool {
    File::open(one).is_ok_and(|file| is_same(&file, other))
}

fn is_same(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), fs::metadata(path)) {
        (Ok(ours), Ok(there)) => (ours.dev(), ours.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::commit::{Move, place};
    use super::*;

    fn staged(workspace: &Workspace, split: usize, text: &str) -> PathBuf {
        let path = workspace.fresh_split(split).unwrap().join("part");
        fs::write(&path, text).unwrap();
        path
    }

    fn listing(folder: &Path) -> Vec<(String, String)> {
        let mut names: Vec<(String, String)> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap())
            .map(|entry| (entry.file_name().into_string().unwrap(), fs::read_to_string(entry.path()).unwrap_or_else(|_| "folder".into())))
            .collect();
        names.sort();
        names
    }

    fn pair(name: &str, text: &str) -> (String, String) {
        (name.into(), text.into())
    }

    #[test]
    fn a_commit_that_fails_half_way_is_undone() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("a"), "old a").unwrap();
        fs::write(at("gone"), "old gone").unwrap();
        fs::create_dir_all(at("blocked/by")).unwrap();
        let workspace = Workspace::open(folder.path(), "a", "run").unwrap();
        let moves = [
            Move { staged: staged(&workspace, 0, "new a"), target: at("a") },
            Move { staged: staged(&workspace, 1, "new b"), target: at("k=v/b") },
            Move { staged: staged(&workspace, 2, "new c"), target: at("blocked") },
        ];
        let error = workspace.publish(&moves, &[at("gone")]).unwrap_err();
        assert_eq!(error.fault(), crate::error::Fault::Outside);
        drop(workspace);
        assert_eq!(listing(folder.path()), [pair("a", "old a"), pair("blocked", "folder"), pair("gone", "old gone")]);
    }

    #[test]
    fn the_next_run_undoes_a_commit_that_was_killed_after_any_step() {
        for killed_after in 0..=4 {
            let folder = tempfile::tempdir().unwrap();
            let at = |name: &str| folder.path().join(name);
            fs::write(at("a"), "old a").unwrap();
            fs::write(at("gone"), "old gone").unwrap();
            let workspace = Workspace::open(folder.path(), "a", "killed").unwrap();
            let moves = [
                Move { staged: staged(&workspace, 0, "new a"), target: at("a") },
                Move { staged: staged(&workspace, 1, "new b"), target: at("b") },
                Move { staged: staged(&workspace, 2, "new c"), target: at("k=v/c") },
            ];
            let steps = workspace.prepare(&moves, &[at("gone")]).unwrap();
            steps.iter().take(killed_after).for_each(|step| place(step).unwrap());
            // A killed process loses its lock and runs no destructor.
            let workspace = std::mem::ManuallyDrop::new(workspace);
            drop(workspace.lock.lock().unwrap().take());

            drop(Workspace::open(folder.path(), "a", "next").unwrap());
            assert_eq!(listing(folder.path()), [pair("a", "old a"), pair("gone", "old gone")], "killed after {killed_after}");
        }
    }

    #[test]
    fn a_full_disk_is_named_with_the_file_and_what_to_do() {
        let error = File::options().write(true).open("/dev/full").unwrap().write_all(b"x").unwrap_err();
        let error = cannot("write", Path::new("out.jsonl"), error);
        assert_eq!(error.chain(), ["cannot write `out.jsonl`", "No space left on device (os error 28)"]);
        assert_eq!(error.find_hint(), Some("the disk is full: free some space, or write elsewhere"));
    }

    #[test]
    fn a_second_run_is_told_who_writes_the_target_and_takes_nothing_from_it() {
        let folder = tempfile::tempdir().unwrap();
        let first = Workspace::open(folder.path(), "a", "first").unwrap();
        let path = staged(&first, 0, "kept");
        let error = Workspace::open(folder.path(), "a", "second").unwrap_err();
        let target = folder.path().join("a");
        assert_eq!(error.chain(), [format!("another run (`first`) is writing `{}`", target.display())]);
        drop(Workspace::open(folder.path(), "a", "first").unwrap());
        assert_eq!(fs::read_to_string(path).unwrap(), "kept");
    }

    #[test]
    fn only_dead_workspaces_are_swept() {
        let folder = tempfile::tempdir().unwrap();
        let dead = Workspace::open(folder.path(), "letters.dead", "dead").unwrap();
        staged(&dead, 0, "left");
        drop(std::mem::ManuallyDrop::new(dead).lock.lock().unwrap().take());
        let live = Workspace::open(folder.path(), "letters.live", "live").unwrap();
        Workspace::sweep(folder.path(), "letters.").unwrap();
        assert_eq!(listing(folder.path()), [pair(".letters.live.etl", "folder")]);
        drop(live);
        assert_eq!(listing(folder.path()), []);
    }
}
