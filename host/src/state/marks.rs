//! How far each pipeline that takes newer rows only has come, for each set of parameters: a small file, or a row that servers share.

use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::database::{Cell, Database, Versions, create_folder};
use super::home::Home;
use crate::error::{Context, Error, Result};

/// Bytes of a mark's file.
const MAX_BYTES: u64 = 1 << 20;

/// The tables.
const VERSIONS: Versions = Versions {
    part: "marks",
    // A file for each is enough on one machine.
    sqlite: &[],
    postgres: &["CREATE TABLE marks (name TEXT COLLATE \"C\" PRIMARY KEY, mark TEXT NOT NULL, run_id TEXT NOT NULL)"],
};

/// The mark of one pipeline with its parameters; held by one run at a time.
#[derive(Debug)]
pub struct Mark {
    place: Place,
    reached: Option<Reached>,
}

/// Where a mark stands, and the lock on it.
#[derive(Debug)]
enum Place {
    File(PathBuf, #[expect(dead_code, reason = "its lock is what counts")] File),
    /// The connection has the lock.
    Row(Database, String),
}

/// Where a run has come to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Reached {
    mark: String,
    run_id: String,
}

impl Mark {
    /// Takes the mark of a name, for as long as it is not dropped.
    ///
    /// # Errors
    /// Outside, where another run holds it or it cannot be read.
    pub fn hold(home: &Home, name: &str) -> Result<Self> {
        let taken = || {
            let message = "another run of this pipeline with these parameters is at work, and both would take the same new rows";
            Error::outside(message).hint("wait until it ends")
        };
        if home.shared.is_some() {
            let database = home.open()?;
            database.migrate(&VERSIONS)?;
            if !database.try_hold(&format!("mark {name}"))? {
                return Err(taken());
            }
            let reached = read_row(&database, name)?;
            return Ok(Self { place: Place::Row(database, name.to_owned()), reached });
        }
        let folder = home.folder.join("marks");
        if !folder.exists() {
            create_folder(&folder)?;
        }
        let lock = folder.join(format!("{name}.lock"));
        let held = File::options().write(true).create(true).truncate(false).open(&lock);
        let held = held.outside(|| format!("opening `{}`", lock.display()))?;
        match held.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(taken()),
            Err(TryLockError::Error(error)) => return Err(error).outside(|| format!("locking `{}`", lock.display())),
        }
        let path = folder.join(format!("{name}.json"));
        let reached = read(&path)?;
        Ok(Self { place: Place::File(path, held), reached })
    }

    /// What the last run that loaded everything has reached, for one who only looks.
    ///
    /// # Errors
    /// Outside, where it cannot be read.
    pub fn seen(home: &Home, name: &str) -> Result<Option<String>> {
        let reached = if home.shared.is_some() {
            let database = home.open()?;
            database.migrate(&VERSIONS)?;
            read_row(&database, name)?
        } else {
            read(&home.folder.join("marks").join(format!("{name}.json")))?
        };
        Ok(reached.map(|reached| reached.mark))
    }

    /// What the last run that loaded everything has reached; none before the first.
    pub fn reached(&self) -> Option<&str> {
        self.reached.as_ref().map(|reached| reached.mark.as_str())
    }

    /// Moves it to what a run has reached, on disk once this returns.
    ///
    /// # Errors
    /// Outside.
    pub fn move_to(&mut self, mark: &str, run_id: &str) -> Result<()> {
        let reached = Reached { mark: mark.to_owned(), run_id: run_id.to_owned() };
        match &self.place {
            Place::File(path, _) => write(path, &reached)?,
            Place::Row(database, name) => move_row(database, name, self.reached.as_ref(), &reached)?,
        }
        self.reached = Some(reached);
        Ok(())
    }
}

fn read_row(database: &Database, name: &str) -> Result<Option<Reached>> {
    let rows = database.read(async |session| session.rows("SELECT mark, run_id FROM marks WHERE name = $1", &[name.into()]).await)?;
    Ok(rows.into_iter().next().map(|mut row| Reached { mark: row.text(0), run_id: row.text(1) }))
}

/// Moves a mark that servers share, unless another one has moved it: it may have done so only where our connection broke in between.
fn move_row(database: &Database, name: &str, before: Option<&Reached>, reached: &Reached) -> Result<()> {
    let Reached { mark, run_id } = reached;
    let change = "INSERT INTO marks (name, mark, run_id) VALUES ($1, $2, $3)
        ON CONFLICT (name) DO UPDATE SET mark = $2, run_id = $3 WHERE marks.run_id = $4 OR marks.run_id = $3";
    let before = before.map(|before| before.run_id.clone());
    let cells = [name.into(), mark.as_str().into(), run_id.as_str().into(), Cell::Text(before)];
    let moved = database.write_patiently(async |session| session.execute(change, &cells).await);
    let doing = || format!("the rows are loaded, but the mark `{name}` could not be moved to `{mark}`");
    let moved =
        moved.map_err(|error| error.while_doing(doing()).hint("the next run takes these rows again, unless the mark is mended by hand"))?;
    if moved == 0 {
        let message = format!("{}: another server has moved it since, while the connection was broken", doing());
        return Err(Error::outside(message).hint("rows that both have loaded may be there twice"));
    }
    Ok(())
}

fn write(path: &Path, reached: &Reached) -> Result<()> {
    let doing = || format!("the rows are loaded, but the mark `{}` could not be moved to `{}`", path.display(), reached.mark);
    let text = serde_json::to_string(reached).bug(|| "a mark as JSON".into())?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let write = || -> std::io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        File::open(folder)?.sync_all()
    };
    write().outside(doing).map_err(|error| error.hint("the next run takes these rows again, unless the file is mended by hand"))
}

fn read(path: &Path) -> Result<Option<Reached>> {
    let doing = || format!("reading the mark `{}`", path.display());
    match fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).outside(doing),
        Ok(metadata) if metadata.len() > MAX_BYTES => {
            return Err(Error::outside(format!("the mark `{}` has {} bytes, but may have {MAX_BYTES}", path.display(), metadata.len())));
        }
        Ok(_) => {}
    }
    let text = fs::read(path).outside(doing)?;
    let reached = serde_json::from_slice(&text).outside(|| format!("the mark `{}` cannot be read", path.display()));
    reached.map(Some).map_err(|error| error.hint("remove the file to take all rows again, or mend it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_held_by_one_and_moves() {
        let folder = tempfile::tempdir().unwrap();
        let mut mark = Mark::hold(&Home::of(folder.path()), "orders").unwrap();
        assert_eq!(mark.reached(), None);
        assert!(Mark::hold(&Home::of(folder.path()), "orders").unwrap_err().one_line().contains("another run of this pipeline"));
        assert!(Mark::hold(&Home::of(folder.path()), "others").is_ok());
        mark.move_to("7", "a").unwrap();
        mark.move_to("9", "b").unwrap();
        drop(mark);
        assert_eq!(Mark::hold(&Home::of(folder.path()), "orders").unwrap().reached(), Some("9"));
        fs::write(folder.path().join("marks/orders.json"), "{").unwrap();
        assert!(Mark::hold(&Home::of(folder.path()), "orders").unwrap_err().one_line().contains("cannot be read"));
    }
}
