//! Keeps a pipeline from eating itself: its output is not its input, and neither output nor dead letters are its own files.

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::artifact::LOCK_FILE;
use crate::config::extract::Source as SourceConfig;
use crate::config::load::Sink as SinkConfig;
use crate::error::{Error, Result};
use crate::plan::{ComponentName, DeadLetters, Plan};
use crate::sink;
use crate::source::{Asset, Source};

/// Names of the files of a contract directory, without their endings.
const CONTRACT: [&str; 8] = ["extract", "transform", "load", "settings", "pipeline", "schema", "coercion_rules", "validation_rules"];

/// Refuses a pipeline that reads what it writes: the input would be gone, or the next run would read this one's output.
pub(super) fn refuse_output(plan: &Plan, source: &dyn Source) -> Result<()> {
    let is_own = sink::owner(&plan.sink, &plan.root)?;
    let read = source.inputs().into_iter().find_map(|input| match (&plan.source, &plan.sink, input) {
        (SourceConfig::CloudStorage(from), SinkConfig::CloudStorage(to), Asset::Object { url, .. })
            if from.storage.is_same_bucket(&to.storage) =>
        {
            let key = url.split_once("://").map_or(&*url, |(_, rest)| rest).split_once('/').map_or("", |(_, key)| key);
            is_own(Path::new(key)).then(|| (url.clone(), "object"))
        }
        (_, SinkConfig::File(_), Asset::File(path)) => {
            let is_own = plan.root.join(&path).canonicalize().is_ok_and(|path| is_own(&path));
            let shown = || path.strip_prefix(&plan.root).unwrap_or(&path).display().to_string();
            is_own.then(|| (shown(), "file"))
        }
        _ => None,
    });
    let Some((name, kind)) = read else { return Ok(()) };
    // Of parts there are others.
    let article =
        if plan.sink.files().is_some_and(|to| !to.partition_by.is_empty() || to.max_rows_per_file.is_some()) { "a" } else { "the" };
    Err(Error::config(format!("the pipeline would read `{name}`, which is {article} {kind} that it writes"))
        .hint("write to another folder, or narrow the pattern of `extract.yaml`"))
}

/// Refuses to commit, checkpoint after checkpoint, to the SQLite file that is still read: unless it keeps a write-ahead log, it would let neither go on.
pub(super) fn refuse_one_file(plan: &Plan) -> Result<()> {
    let SourceConfig::Database(source) = &plan.source else { return Ok(()) };
    let file = |file: &str| plan.root.join(file).canonicalize().ok();
    let (Some(read), Some(written)) = (source.connection_string.sqlite_file().and_then(file), plan.sqlite_target()) else { return Ok(()) };
    if written.canonicalize().ok().as_ref() != Some(&read) || keeps_log(&read) {
        return Ok(());
    }
    let name = read.strip_prefix(&plan.root).unwrap_or(&read).display();
    Err(Error::config(format!("`{name}` is read and loaded at once, and with checkpoints each would wait for the other"))
        .hint("run `PRAGMA journal_mode = wal` on it once, or run without checkpoints"))
}

/// Whether a SQLite file says at its head that it keeps a write-ahead log.
fn keeps_log(file: &Path) -> bool {
    let mut head = [0; 20];
    std::fs::File::open(file).and_then(|mut file| file.read_exact(&mut head)).is_ok() && head[18] == 2
}

/// Refuses output and dead letters that would take the place of what the pipeline is made of.
pub(super) fn refuse_files(plan: &Plan) -> Result<()> {
    let output = match &plan.sink {
        SinkConfig::File(file) => Some((plan.root.join(&file.path), "output")),
        SinkConfig::CloudStorage(_) | SinkConfig::Database(_) => None,
    };
    let own_letters = plan.stages.iter().filter_map(|stage| stage.validation.as_ref()?.dead_letters.as_ref());
    let letters = std::iter::once(&plan.dead_letters).chain(own_letters).filter_map(|letters| match letters {
        DeadLetters::File(path) => Some((path.clone(), "dead letters")),
        DeadLetters::Table { .. } | DeadLetters::Memory | DeadLetters::Off => None,
    });
    let parts = files(plan);
    let letters: Vec<(PathBuf, &str)> = letters.collect();
    for (path, _) in &letters {
        if let Some(file) = path.ancestors().skip(1).find(|folder| folder.is_file()) {
            let shown = file.strip_prefix(&plan.root).unwrap_or(file).display();
            return Err(Error::config(format!("the dead letters would go to a folder `{shown}`, but that is a file"))
                .hint("a file of them ends in `.jsonl`: `dlq: {path: letters.jsonl}`"));
        }
    }
    for (path, what) in output.into_iter().chain(letters) {
        let Ok(there) = path.canonicalize() else { continue };
        if let Some(part) = parts.iter().find(|part| part.canonicalize().is_ok_and(|part| part == there)) {
            let name = part.strip_prefix(&plan.root).unwrap_or(part).display();
            return Err(Error::config(format!("the {what} would take the place of `{name}`, which the pipeline is made of"))
                .hint("give them a `path` of their own"));
        }
    }
    Ok(())
}

/// Files that the pipeline is made of, as far as they are there.
fn files(plan: &Plan) -> Vec<PathBuf> {
    let contract = CONTRACT.iter().flat_map(|name| ["yaml", "yml", "json"].map(|ending| plan.root.join(format!("{name}.{ending}"))));
    let lock = plan.root.join(LOCK_FILE);
    let components = plan.stages.iter().filter_map(|stage| match &stage.component {
        ComponentName::File(path) => Some(plan.root.join(path)),
        _ => None,
    });
    let named = plan.stages.iter().map(|stage| PathBuf::from(&stage.place.file));
    contract.chain([lock]).chain(components).chain(named).filter(|path| path.is_file()).collect()
}
