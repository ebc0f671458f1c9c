//! Commits: what is staged comes in sight, all or nothing, with a journal of what is done.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::workspace::{COMMITTED, Workspace, cannot, make_dirs, remove_if_there, same_file, sync_dir};
use crate::crash;
use crate::error::{Context, Result};

/// A file on its way from where it is staged to where it is to be seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Move {
    pub(super) staged: PathBuf,
    pub(super) target: PathBuf,
}

/// One step of a commit, as the journal has it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Step {
    /// What takes the target's place; `None` where it goes.
    pub(super) staged: Option<PathBuf>,
    pub(super) target: PathBuf,
    /// Whether something was there before.
    replaces: bool,
    /// Where that is kept until the commit is done.
    old: PathBuf,
}

impl Workspace {
    /// Shows staged files at their targets and removes others, all or nothing.
    ///
    /// One file is one rename. Several are renamed one after the other under a journal; where one fails, those before it are undone.
    ///
    /// # Errors
    /// Outside; then everything is as it was.
    pub(super) fn publish(&self, moves: &[Move], removals: &[PathBuf]) -> Result<()> {
        for Move { staged, target } in moves {
            if let Ok(metadata) = fs::metadata(target)
                && metadata.is_file()
            {
                fs::set_permissions(staged, metadata.permissions()).map_err(|error| cannot("set the permissions of", staged, error))?;
            }
        }
        if let ([only], [], false) = (moves, removals, self.is_kept()) {
            if let Some(folder) = only.target.parent() {
                make_dirs(folder)?;
            }
            fs::rename(&only.staged, &only.target).map_err(|error| cannot("put the output in place at", &only.target, error))?;
            return self.sync_parents(moves, removals);
        }
        let steps = self.prepare(moves, removals)?;
        crash::at("commit.noted");
        let done = steps.iter().try_for_each(place).and_then(|()| self.sync_parents(moves, removals));
        if let Err(error) = done {
            return Err(match self.undo(&steps) {
                Ok(()) => error,
                Err(undo) => undo.while_doing(format!("a commit failed ({}) and could not be undone", error.one_line())),
            });
        }
        crash::at("commit.placed");
        // The commit is done when the journal is gone.
        self.end_commit()?;
        crash::at("commit.ended");
        let removed_from: BTreeSet<&Path> = removals.iter().filter_map(|path| path.parent()).collect();
        for folder in removed_from {
            let _ = fs::remove_dir(folder);
        }
        Ok(())
    }

    /// Writes the journal of a commit.
    pub(super) fn prepare(&self, moves: &[Move], removals: &[PathBuf]) -> Result<Vec<Step>> {
        let aside = self.dir.join("old");
        remove_if_there(&aside)?;
        fs::create_dir_all(&aside).map_err(|error| cannot("create the folder", &aside, error))?;
        let replaced: BTreeSet<&Path> = moves.iter().map(|step| step.target.as_path()).collect();
        let moved = moves.iter().map(|step| (Some(step.staged.clone()), &step.target));
        let removed = removals.iter().filter(|path| !replaced.contains(path.as_path())).map(|path| (None, path));
        let step = |(index, (staged, target)): (usize, (Option<PathBuf>, &PathBuf))| Step {
            staged,
            target: target.clone(),
            replaces: fs::symlink_metadata(target).is_ok(),
            old: aside.join(index.to_string()),
        };
        let steps: Vec<Step> = moved.chain(removed).enumerate().map(step).collect();
        let text = serde_json::to_vec(&steps).bug(|| "a journal cannot be written as JSON".into())?;
        let (journal, fresh) = (self.journal(), self.dir.join("journal.new"));
        File::create(&fresh)
            .and_then(|mut file| file.write_all(&text).and_then(|()| file.sync_all()))
            .and_then(|()| fs::rename(&fresh, &journal))
            .map_err(|error| cannot("write", &journal, error))?;
        sync_dir(&self.dir)?;
        Ok(steps)
    }

    /// Ends a commit: of a run that can be resumed it stays known that it was done.
    pub(super) fn end_commit(&self) -> Result<()> {
        let journal = self.journal();
        if self.is_kept() {
            let done = self.file(COMMITTED)?;
            fs::rename(&journal, &done).map_err(|error| cannot("write", &done, error))?;
            sync_dir(&self.run)?;
        } else {
            remove_if_there(&journal)?;
        }
        sync_dir(&self.dir)
    }

    /// Notes of a run that can be resumed that its commit was done elsewhere, and what it shows.
    pub(super) fn note_committed(&self, targets: &[PathBuf]) -> Result<()> {
        let step = |target: &PathBuf| Step { staged: Some(target.clone()), target: target.clone(), replaces: false, old: PathBuf::new() };
        let steps: Vec<Step> = targets.iter().map(step).collect();
        let text = serde_json::to_vec(&steps).bug(|| "a journal cannot be written as JSON".into())?;
        let (fresh, done) = (self.file("committed.new")?, self.file(COMMITTED)?);
        File::create(&fresh)
            .and_then(|mut file| file.write_all(&text).and_then(|()| file.sync_all()))
            .and_then(|()| fs::rename(&fresh, &done))
            .map_err(|error| cannot("write", &done, error))?;
        sync_dir(&self.run)
    }

    /// Goes on with a commit of this run that was interrupted.
    pub(super) fn complete(&self, steps: &[Step]) -> Result<()> {
        for step in steps {
            match &step.staged {
                // What is not staged any more is in place.
                Some(staged) if !staged.exists() => {}
                None if !step.target.exists() => {}
                _ => place(step)?,
            }
        }
        let (moved, removed): (Vec<&Step>, Vec<&Step>) = steps.iter().partition(|step| step.staged.is_some());
        let moves: Vec<Move> = moved.into_iter().map(|step| Move { staged: step.old.clone(), target: step.target.clone() }).collect();
        let removals: Vec<PathBuf> = removed.into_iter().map(|step| step.target.clone()).collect();
        self.sync_parents(&moves, &removals)?;
        self.end_commit()
    }

    /// Undoes the steps of a commit, however many of them were done, and however often they were undone already. What it had staged is
    /// staged again.
    pub(super) fn undo(&self, steps: &[Step]) -> Result<()> {
        for Step { staged, target, replaces, old } in steps {
            let mut placed = false;
            if let Some(staged) = staged {
                if !staged.exists() && target.exists() && staged.parent().is_some_and(Path::exists) {
                    // Not every file system has links; there the target is out of sight for a moment.
                    let linked = fs::hard_link(target, staged).or_else(|_| fs::rename(target, staged));
                    linked.map_err(|error| cannot("put back what was staged for", target, error))?;
                }
                placed = same_file(staged, target) || !staged.exists();
            }
            if fs::symlink_metadata(old).is_ok() {
                fs::rename(old, target).map_err(|error| cannot("put the old output back to", target, error))?;
            } else if !replaces && placed {
                remove_if_there(target)?;
                // A folder made for it goes too, unless it holds anything.
                let _ = target.parent().map(fs::remove_dir);
            }
        }
        let parents: BTreeSet<&Path> = steps.iter().filter_map(|step| step.target.parent()).filter(|folder| folder.exists()).collect();
        parents.into_iter().try_for_each(sync_dir)?;
        remove_if_there(&self.journal())
    }

    pub(super) fn journal(&self) -> PathBuf {
        self.dir.join("journal")
    }

    pub(super) fn read_journal(&self, path: &Path) -> Result<Vec<Step>> {
        let text = fs::read(path).map_err(|error| cannot("read", path, error))?;
        serde_json::from_slice(&text).outside(|| format!("the journal `{}` of an interrupted commit cannot be read", path.display()))
    }

    /// Makes the entries of all folders that a commit touched survive a power cut.
    pub(super) fn sync_parents(&self, moves: &[Move], removals: &[PathBuf]) -> Result<()> {
        let mut folders: BTreeSet<&Path> = self.made.iter().filter_map(|folder| folder.parent()).collect();
        for target in moves.iter().map(|step| &step.target).chain(removals) {
            folders.extend(target.ancestors().skip(1).take_while(|folder| folder.starts_with(self.folder())));
        }
        let named = |folder| if folder == Path::new("") { Path::new(".") } else { folder };
        folders.into_iter().map(named).filter(|folder| folder.exists()).try_for_each(sync_dir)
    }
}

/// Puts what a step replaces aside, and what it brings in place.
pub(super) fn place(Step { staged, target, replaces, old }: &Step) -> Result<()> {
    if *replaces {
        if target.is_dir() {
            return Err(cannot("put the output in place at", target, io::ErrorKind::IsADirectory.into()));
        }
        // A link keeps the old file in sight until the new one takes its place; not every file system has them.
        let linked = if staged.is_some() { fs::hard_link(target, old) } else { Err(io::ErrorKind::Unsupported.into()) };
        linked.or_else(|_| fs::rename(target, old)).map_err(|error| cannot("put the old output aside from", target, error))?;
    }
    crash::at("commit.aside");
    let Some(staged) = staged else { return Ok(()) };
    if let Some(folder) = target.parent() {
        make_dirs(folder)?;
    }
    fs::rename(staged, target).map_err(|error| cannot("put the output in place at", target, error))?;
    crash::at("commit.moved");
    Ok(())
}
