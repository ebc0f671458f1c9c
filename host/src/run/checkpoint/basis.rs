//! What a run depends on: where any of it has changed, its checkpoint is not gone on with.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::config::component::hex;
use crate::config::load::{FileSink, WriteMode};
use crate::error::{Context, Result};
use crate::plan::{Plan, StagePlan};
use crate::report::StageReport;
use crate::source::Asset;

/// Bytes of a file that are looked at, at its start and at its end.
const ENDS: u64 = 64 << 10;

/// What a run depends on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::run) struct Basis {
    /// The version of etl-host.
    version: String,
    /// What the user wrote: what it is, and a digest of it.
    written: BTreeMap<String, String>,
    /// The files that are read.
    inputs: Vec<InputFile>,
    /// The file that rows are added to, where it is there.
    old_output: Option<InputFile>,
}

/// A file or an object, as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct InputFile {
    path: PathBuf,
    bytes: u64,
    /// Nanoseconds since 1970.
    modified: u64,
    /// Digest of its start and its end; of an object what the storage calls this content.
    ends: String,
}

impl Basis {
    /// Looks at what a run depends on now.
    ///
    /// # Errors
    /// Outside, where a file cannot be read.
    pub(in crate::run) fn now(plan: &Plan, inputs: &[Asset], stages: &[StageReport]) -> Result<Self> {
        let Plan {
            name: _,
            transformer: _,
            root,
            source,
            reading,
            stages: steps,
            sink,
            dead_letters,
            limit,
            as_text: _,
            converted: _,
            checkpoint: _,
            // How it is run, not what comes of it.
            mode: _,
            chunk_rows: _,
            max_memory_mb: _,
            max_failed_batches: _,
            max_retries: _,
            timeout: _,
            incremental,
            params,
            source_params,
            // Of files whose every part is looked at here.
            digest: _,
            secrets: _,
        } = plan;
        let mut written = BTreeMap::new();
        written.insert("the source and how it is read".to_owned(), digest(&(source, reading, incremental, source_params.keys())));
        written.insert("the sink".to_owned(), digest(sink));
        written.insert("where dead letters go".to_owned(), digest(dead_letters));
        written.insert("the limit of rows".to_owned(), digest(limit));
        for (name, value) in params {
            written.insert(format!("the parameter `{name}`"), digest(value));
        }
        for (number, (step, report)) in steps.iter().zip(stages).enumerate() {
            let place = format!("stage {} (`{}`)", number + 1, step.name);
            written.insert(format!("what {place} does"), digest_of_stage(step));
            written.insert(format!("the component of {place}"), report.digest.clone());
        }
        let one_file = |sink: &&FileSink| sink.partition_by.is_empty() && sink.max_rows_per_file.is_none();
        let grows = sink.files().filter(one_file).filter(|sink| matches!(sink.write_mode, WriteMode::Append));
        let output = grows.map(|sink| root.join(&sink.path)).filter(|output| output.is_file());
        let old_output = output.map(|output| InputFile::look(&output)).transpose()?;
        Ok(Self {
            version: env!("CARGO_PKG_VERSION").into(),
            written,
            inputs: inputs.iter().map(InputFile::of).collect::<Result<_>>()?,
            old_output,
        })
    }

    /// What has changed since, as sentences.
    pub(in crate::run) fn changes(&self, now: &Self) -> Vec<String> {
        let Self { version, written, inputs, old_output } = self;
        let mut changes = Vec::new();
        if *version != now.version {
            changes.push(format!("etl-host is version {} now, it was {version}", now.version));
        }
        for (what, digest) in written {
            match now.written.get(what) {
                None => changes.push(format!("{what} is gone")),
                Some(other) if other != digest => changes.push(format!("{what} has changed")),
                Some(_) => {}
            }
        }
        changes.extend(now.written.keys().filter(|what| !written.contains_key(*what)).map(|what| format!("{what} is new")));
        for before in inputs {
            match now.inputs.iter().find(|file| file.path == before.path) {
                None => changes.push(format!("the input `{}` is gone", before.path.display())),
                Some(after) => changes.extend(before.change(after).map(|change| format!("the input {change}"))),
            }
        }
        let new = now.inputs.iter().filter(|file| !inputs.iter().any(|before| before.path == file.path));
        changes.extend(new.map(|file| format!("the input `{}` is new", file.path.display())));
        match (old_output, &now.old_output) {
            (Some(before), Some(after)) => {
                changes.extend(before.change(after).map(|change| format!("the output to which rows are added, {change}")));
            }
            (Some(file), None) => changes.push(format!("the output to which rows are added, `{}`, is gone", file.path.display())),
            (None, Some(file)) => changes.push(format!("the output to which rows are added, `{}`, is new", file.path.display())),
            (None, None) => {}
        }
        changes
    }
}

impl InputFile {
    fn of(asset: &Asset) -> Result<Self> {
        match asset {
            Asset::File(path) => Self::look(path),
            Asset::Object { url, bytes, etag, modified } => {
                Ok(Self { path: url.into(), bytes: *bytes, modified: *modified, ends: etag.clone() })
            }
        }
    }

    fn look(path: &Path) -> Result<Self> {
        let read = || -> std::io::Result<Self> {
            let mut file = File::open(path)?;
            let metadata = file.metadata()?;
            let mut digest = Sha256::new();
            std::io::copy(&mut file.by_ref().take(ENDS), &mut digest)?;
            if metadata.len() > ENDS {
                file.seek(SeekFrom::Start(metadata.len().saturating_sub(ENDS).max(ENDS)))?;
                std::io::copy(&mut file.take(ENDS), &mut digest)?;
            }
            let modified = metadata.modified()?.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64);
            let path = std::path::absolute(path)?;
            Ok(Self { path, bytes: metadata.len(), modified, ends: hex(&digest.finalize()) })
        };
        read().outside(|| format!("cannot look at `{}`", path.display()))
    }

    /// What is not as it was.
    fn change(&self, now: &Self) -> Option<String> {
        let path = self.path.display();
        if self.bytes != now.bytes {
            Some(format!("`{path}` has {} bytes now, it had {}", now.bytes, self.bytes))
        } else if self.ends != now.ends {
            Some(format!("`{path}` has other content"))
        } else if self.modified != now.modified {
            Some(format!("`{path}` was written to"))
        } else {
            None
        }
    }
}

fn digest(what: &impl Debug) -> String {
    hex(&Sha256::digest(format!("{what:?}")))
}

/// Where a stage stands in the user's text may change, what it does may not.
fn digest_of_stage(stage: &StagePlan) -> String {
    let StagePlan {
        name,
        component,
        function,
        options,
        limits,
        grants,
        on_error,
        on_trap,
        max_error_ratio,
        steps: _,
        validation,
        places: _,
        place: _,
    } = stage;
    digest(&(name, component, function, options, limits, grants, (on_error, on_trap, max_error_ratio, validation)))
}
