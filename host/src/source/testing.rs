//! What tests of formats share.

use std::num::NonZeroUsize;

use serde_json::Value;

use super::{ReadOptions, open_files};
use crate::config::extract::{FileSource, Reading};
use crate::error::Error;

/// What came of reading some files.
#[derive(Debug, PartialEq)]
pub(super) struct Read {
    /// Columns and their types.
    pub(super) schema: String,
    /// Number and content of each row.
    pub(super) rows: Vec<String>,
    /// Row, line, code and message of each reject.
    pub(super) rejects: Vec<String>,
    /// Rows left out.
    pub(super) skipped: u64,
}

/// Reads files that stand in a folder of their own.
pub(super) fn try_read(files: &[(&str, &[u8])], source: Value, reading: Value, options: ReadOptions) -> Result<Read, Error> {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    let source: FileSource = serde_json::from_value(source).unwrap();
    let reading: Reading = serde_json::from_value(reading).unwrap();
    let source = open_files(&source, &reading, options, folder.path())?;
    let schema = source.schema().fields().iter().map(|field| format!("{} {}", field.name(), field.data_type())).collect::<Vec<_>>();
    let mut read = Read { schema: schema.join(", "), rows: Vec::new(), rejects: Vec::new(), skipped: 0 };
    for split in source.splits(NonZeroUsize::MIN)? {
        for chunk in source.read(&split, None)? {
            for decoded in chunk?.decode() {
                let decoded = decoded?;
                let batch = &decoded.batch;
                for row in 0..batch.rows.num_rows() {
                    let mut writer = arrow_json::LineDelimitedWriter::new(Vec::new());
                    writer.write(&batch.rows.slice(row, 1)).unwrap();
                    let text = String::from_utf8(writer.into_inner()).unwrap();
                    read.rows.push(format!("{} {}", batch.origin.rows.get(row), text.trim_end()));
                }
                let shown =
                    decoded.rejects.iter().map(|reject| format!("{} {} {}: {}", reject.row, reject.line, reject.code, reject.message));
                read.rejects.extend(shown);
                read.skipped += decoded.skipped;
            }
        }
    }
    Ok(read)
}

/// As [`try_read`], of one file that can be read.
pub(super) fn read(name: &str, bytes: impl AsRef<[u8]>, mut source: Value, reading: Value) -> Read {
    source["path"] = name.into();
    try_read(&[(name, bytes.as_ref())], source, reading, ReadOptions::default()).unwrap()
}
