//! Records that a shared database did not take when their run ended: they wait in the state folder until it does.

use std::fs;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::database::create_folder;
use crate::error::{Context, Result};
use crate::report::RunReport;

/// Bytes of a record.
const MAX_BYTES: u64 = 64 << 20;

fn folder_of(folder: &Path) -> PathBuf {
    folder.join("unsent")
}

/// Keeps a record, on disk once this returns.
pub(super) fn keep(folder: &Path, report: &RunReport) -> Result<()> {
    let folder = folder_of(folder);
    if !folder.exists() {
        create_folder(&folder)?;
    }
    let record = serde_json::to_vec(report).bug(|| "a record is not JSON".into())?;
    let name = Uuid::new_v5(&Uuid::NAMESPACE_OID, report.run_id.as_bytes());
    let write = || -> std::io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(&folder)?;
        std::io::Write::write_all(&mut file, &record)?;
        file.as_file().sync_all()?;
        file.persist(folder.join(format!("{name}.json")))?;
        Ok(())
    };
    write().outside(|| format!("cannot keep a record in `{}`", folder.display()))
}

/// Sends what waits, and removes what was sent.
pub(super) fn send(folder: &Path, mut send: impl FnMut(&RunReport) -> Result<()>) -> Result<()> {
    let Ok(entries) = fs::read_dir(folder_of(folder)) else { return Ok(()) };
    for path in entries.flatten().map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "json")) {
        let fits = fs::metadata(&path).is_ok_and(|metadata| metadata.len() <= MAX_BYTES);
        // Another process may have sent it since.
        let Ok(text) = fs::read(&path) else { continue };
        match serde_json::from_slice::<RunReport>(&text) {
            Ok(report) if fits => {
                send(&report)?;
                let _ = fs::remove_file(&path);
            }
            _ => tracing::warn!(path = %path.display(), "this is no record of a run, and is left alone"),
        }
    }
    Ok(())
}
