//! How far each pipeline that takes newer rows only has come, for each set of parameters: a small file, or a row that servers share.

use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

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
    postgres: &[
        "CREATE TABLE marks (name TEXT COLLATE \"C\" PRIMARY KEY, mark TEXT NOT NULL, run_id TEXT NOT NULL)",
        "ALTER TABLE marks ALTER mark DROP NOT NULL, ALTER run_id DROP NOT NULL, ADD family TEXT, ADD promised TEXT",
    ],
};

/// The mark of one pipeline with its parameters; held by one run at a time.
#[derive(Debug)]
pub struct Mark {
    place: Place,
    kept: Kept,
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
pub struct Reached {
    /// The largest cursor.
    pub mark: String,
    /// What kind of values the cursor had, so that none is compared with those of another kind; absent where nobody noted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family: Option<String>,
    /// The run.
    pub run_id: String,
}

/// Where a run will have come to once its commit is done, and how to find out whether it was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Promised {
    /// Where to.
    pub reached: Reached,
    /// What the commit leaves; whoever promises knows how to look for it.
    pub proof: Value,
}

/// What is kept of a mark.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reached: Option<Reached>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    promised: Option<Promised>,
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
            let kept = read_row(&database, name)?;
            return Ok(Self { place: Place::Row(database, name.to_owned()), kept });
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
        let kept = read(&path)?;
        Ok(Self { place: Place::File(path, held), kept })
    }

    /// What the last run that loaded everything has reached, for one who only looks.
    ///
    /// # Errors
    /// Outside, where it cannot be read.
    pub fn seen(home: &Home, name: &str) -> Result<Option<Reached>> {
        let kept = if home.shared.is_some() {
            let database = home.open()?;
            database.migrate(&VERSIONS)?;
            read_row(&database, name)?
        } else {
            read(&home.folder.join("marks").join(format!("{name}.json")))?
        };
        Ok(kept.reached)
    }

    /// What the last run that loaded everything has reached; none before the first.
    pub fn reached(&self) -> Option<&Reached> {
        self.kept.reached.as_ref()
    }

    /// What a run has promised that was not seen to end.
    pub fn promised(&self) -> Option<&Promised> {
        self.kept.promised.as_ref()
    }

    /// Notes where the commit that follows comes to, on disk once this returns.
    ///
    /// # Errors
    /// Outside.
    pub fn promise(&mut self, promised: Promised) -> Result<()> {
        let doing = || format!("noting that the run will have reached `{}`", promised.reached.mark);
        let kept = Kept { promised: Some(promised.clone()), ..self.kept.clone() };
        self.keep(kept).map_err(|error| error.while_doing(doing()))
    }

    /// Takes a promise back, since its commit was never done.
    ///
    /// # Errors
    /// Outside.
    pub fn forget_promise(&mut self) -> Result<()> {
        self.keep(Kept { promised: None, ..self.kept.clone() })
    }

    /// Moves it to what a run has reached, on disk once this returns; what was promised is kept by that.
    ///
    /// # Errors
    /// Outside.
    pub fn move_to(&mut self, reached: Reached) -> Result<()> {
        let doing = format!("the rows are loaded, but the mark could not be moved to `{}`", reached.mark);
        self.keep(Kept { reached: Some(reached), promised: None })
            .map_err(|error| error.while_doing(doing).hint("the next run settles it, or takes these rows again where it cannot be known"))
    }

    fn keep(&mut self, kept: Kept) -> Result<()> {
        match &self.place {
            Place::File(path, _) => write(path, &kept)?,
            Place::Row(database, name) => write_row(database, name, &self.kept, &kept)?,
        }
        self.kept = kept;
        Ok(())
    }
}

fn read_row(database: &Database, name: &str) -> Result<Kept> {
    let query = "SELECT mark, run_id, family, promised FROM marks WHERE name = $1";
    let rows = database.read(async |session| session.rows(query, &[name.into()]).await)?;
    let Some(mut row) = rows.into_iter().next() else { return Ok(Kept::default()) };
    let reached = row.optional_text(0).zip(row.optional_text(1)).map(|(mark, run_id)| (mark, run_id, row.optional_text(2)));
    let promised = row.optional_text(3).map(|text| serde_json::from_str(&text)).transpose();
    Ok(Kept {
        reached: reached.map(|(mark, run_id, family)| Reached { mark, run_id, family }),
        promised: promised.outside(|| format!("the mark `{name}` cannot be read"))?,
    })
}

/// Writes a mark that servers share, unless another one has moved it: it may have done so only where our connection broke in between.
fn write_row(database: &Database, name: &str, before: &Kept, kept: &Kept) -> Result<()> {
    let change = "INSERT INTO marks (name, mark, run_id, family, promised) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (name) DO UPDATE SET mark = $2, run_id = $3, family = $4, promised = $5
        WHERE marks.run_id IS NOT DISTINCT FROM $6 OR marks.run_id = $3";
    let reached = kept.reached.as_ref();
    let promised = kept.promised.as_ref().map(serde_json::to_string).transpose().bug(|| "a promise as JSON".into())?;
    let cells = [
        name.into(),
        Cell::Text(reached.map(|reached| reached.mark.clone())),
        Cell::Text(reached.map(|reached| reached.run_id.clone())),
        Cell::Text(reached.and_then(|reached| reached.family.clone())),
        Cell::Text(promised),
        Cell::Text(before.reached.as_ref().map(|before| before.run_id.clone())),
    ];
    let written = database.write_patiently(async |session| session.execute(change, &cells).await)?;
    if written == 0 {
        let message = format!("another server has moved the mark `{name}` since, while the connection was broken");
        return Err(Error::outside(message).hint("rows that both have loaded may be there twice"));
    }
    Ok(())
}

fn write(path: &Path, kept: &Kept) -> Result<()> {
    let doing = || format!("writing the mark `{}`", path.display());
    let text = serde_json::to_string(kept).bug(|| "a mark as JSON".into())?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let write = || -> std::io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        File::open(folder)?.sync_all()
    };
    write().outside(doing)
}

fn read(path: &Path) -> Result<Kept> {
    let doing = || format!("reading the mark `{}`", path.display());
    match fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Kept::default()),
        Err(error) => return Err(error).outside(doing),
        Ok(metadata) if metadata.len() > MAX_BYTES => {
            return Err(Error::outside(format!("the mark `{}` has {} bytes, but may have {MAX_BYTES}", path.display(), metadata.len())));
        }
        Ok(_) => {}
    }
    let text = fs::read(path).outside(doing)?;
    let kept = serde_json::from_slice(&text).outside(|| format!("the mark `{}` cannot be read", path.display()));
    kept.map_err(|error| error.hint("remove the file to take all rows again, or mend it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_held_by_one_and_moves() {
        let folder = tempfile::tempdir().unwrap();
        let mut mark = Mark::hold(&Home::of(folder.path()), "orders").unwrap();
        let reached = |mark: &str, run_id: &str| Reached { mark: mark.into(), family: Some("number".into()), run_id: run_id.into() };
        assert_eq!(mark.reached(), None);
        assert!(Mark::hold(&Home::of(folder.path()), "orders").unwrap_err().one_line().contains("another run of this pipeline"));
        assert!(Mark::hold(&Home::of(folder.path()), "others").is_ok());
        mark.move_to(reached("7", "a")).unwrap();
        let promised = Promised { reached: reached("9", "b"), proof: serde_json::json!({"file": "x"}) };
        mark.promise(promised.clone()).unwrap();
        drop(mark);
        let mut mark = Mark::hold(&Home::of(folder.path()), "orders").unwrap();
        assert_eq!((mark.reached(), mark.promised()), (Some(&reached("7", "a")), Some(&promised)));
        mark.move_to(promised.reached).unwrap();
        drop(mark);
        let mark = Mark::hold(&Home::of(folder.path()), "orders").unwrap();
        assert_eq!((mark.reached(), mark.promised()), (Some(&reached("9", "b")), None));
        drop(mark);
        fs::write(folder.path().join("marks/orders.json"), "{").unwrap();
        assert!(Mark::hold(&Home::of(folder.path()), "orders").unwrap_err().one_line().contains("cannot be read"));
    }
}
