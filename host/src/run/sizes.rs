//! How much of a split has been read, by bytes.

use std::path::Path;

use crate::batch::Position;
use crate::source::Split;

/// The sizes of a split's files.
pub(super) struct Sizes {
    /// Absent where a position does not count the bytes on disk.
    files: Option<Vec<u64>>,
}

impl Sizes {
    /// Looks the files up.
    pub(super) fn of(root: &Path, split: &Split) -> Self {
        let size = |file: &String| {
            let path = root.join(file);
            // In what is packed, positions count what comes out.
            let packed =
                path.extension().is_some_and(|end| ["gz", "zst", "zip", "parquet", "xlsx", "xls"].iter().any(|packed| end == *packed));
            std::fs::metadata(path).ok().filter(|_| !packed).map(|metadata| metadata.len())
        };
        Self { files: split.files.iter().map(size).collect() }
    }

    /// The share that lies before a position, 0 to 1.
    pub(super) fn share(&self, position: &Position) -> Option<f64> {
        let files = self.files.as_ref()?;
        let total: u64 = files.iter().sum();
        let read = files.iter().take(position.file).sum::<u64>() + position.offset;
        // A format that is read by row says nothing of bytes.
        (total > 0 && (position.offset > 0 || position.row == 0)).then(|| (read as f64 / total as f64).min(1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_counts_the_bytes_of_files_before_and_is_unknown_where_they_do_not_tell() {
        let folder = tempfile::tempdir().unwrap();
        for (name, size) in [("a.csv", 30), ("b.csv", 10), ("c.csv.gz", 10)] {
            std::fs::write(folder.path().join(name), vec![b'x'; size]).unwrap();
        }
        let sizes = |files: &[&str]| Sizes::of(folder.path(), &Split { index: 0, files: files.iter().map(ToString::to_string).collect() });
        let at = |file, offset, row| Position { file, offset, row, ..Position::default() };
        let plain = sizes(&["a.csv", "b.csv"]);
        assert_eq!([plain.share(&at(0, 10, 1)), plain.share(&at(1, 5, 7)), plain.share(&at(1, 0, 7))], [Some(0.25), Some(0.875), None]);
        assert_eq!(sizes(&["a.csv", "c.csv.gz"]).share(&at(0, 10, 1)), None);
        assert_eq!(sizes(&["gone.csv"]).share(&at(0, 10, 1)), None);
    }
}
