//! Rows that wait on disk until all columns are known; of a run that keeps checkpoints, in a file that outlives the process.
//!
//! Where no stage can tell what comes out, batches may differ: a column may come late, integers may turn out to be floats. A sink that
//! must name its columns first gets the rows once all of them have been seen, so that none is refused for what the first ones lacked.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::SchemaRef;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::batch::{Batch, Origin, RowNumbers};
use crate::error::{Context, Error, Result};
use crate::join::join;

/// Rows in a file without a name, which is gone with the process, or in one that a checkpoint speaks of.
pub(super) struct Spool {
    file: BufWriter<File>,
    place: Place,
    bytes: u64,
    /// For each chunk the number of its batches.
    chunks: Vec<usize>,
    /// Names of sources, each once.
    sources: Vec<Arc<str>>,
    schema: Option<SchemaRef>,
}

/// How far a spool was written: plain data, for a checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SpoolFlushed {
    bytes: u64,
    chunks: Vec<usize>,
    sources: Vec<String>,
    /// An Arrow IPC stream without rows, as base64.
    schema: Option<String>,
}

/// The rows of a spool, chunk by chunk.
pub(super) struct Spooled {
    file: BufReader<File>,
    place: Place,
    chunks: std::vec::IntoIter<usize>,
    sources: Vec<Arc<str>>,
}

/// Where a spool is: a file that a checkpoint speaks of, or one without a name.
#[derive(Clone, Debug)]
struct Place(Option<PathBuf>);

impl Place {
    fn failed(&self, error: impl Into<anyhow::Error>) -> Error {
        let (folder, hint) = match &self.0 {
            Some(path) => {
                (path.parent().unwrap_or(path).to_owned(), "free some space, or keep checkpoints elsewhere with `--checkpoint-dir`")
            }
            None => (std::env::temp_dir(), "set TMPDIR to a folder with room for the output"),
        };
        Error::outside(format!("rows that wait for their columns cannot be kept in `{}`", folder.display())).because(error).hint(hint)
    }
}

impl Spool {
    /// Opens an empty one; at a path, or without a name.
    pub(super) fn open(path: Option<&Path>) -> Result<Self> {
        let place = Place(path.map(Path::to_owned));
        let file = match path {
            None => tempfile::tempfile(),
            Some(path) => File::options().create(true).truncate(true).read(true).write(true).open(path),
        };
        let file = file.map_err(|error| place.failed(error))?;
        Ok(Self { file: BufWriter::with_capacity(1 << 18, file), place, bytes: 0, chunks: Vec::new(), sources: Vec::new(), schema: None })
    }

    /// Goes on with one; what was written to it later is forgotten.
    ///
    /// # Errors
    /// Outside, where the file is gone or shorter.
    pub(super) fn resume(path: &Path, from: &SpoolFlushed) -> Result<Self> {
        let SpoolFlushed { bytes, chunks, sources, schema } = from;
        let lost = || {
            Error::outside(format!("`{}`, which the checkpoint speaks of, is not there any more, or not whole", path.display()))
                .hint("`--restart` starts again from the first row")
        };
        let mut file = File::options().read(true).write(true).open(path).map_err(|_| lost())?;
        let place = Place(Some(path.to_owned()));
        let failed = |error: std::io::Error| place.failed(error);
        if file.metadata().map_err(failed)?.len() < *bytes {
            return Err(lost());
        }
        file.set_len(*bytes).and_then(|()| file.seek(SeekFrom::End(0))).map_err(failed)?;
        let schema = schema.as_ref().map(|text| {
            let bytes = STANDARD.decode(text).map_err(|_| lost())?;
            Ok::<_, Error>(StreamReader::try_new(&bytes[..], None).map_err(|_| lost())?.schema())
        });
        Ok(Self {
            file: BufWriter::with_capacity(1 << 18, file),
            place,
            bytes: *bytes,
            chunks: chunks.clone(),
            sources: sources.iter().map(|source| Arc::from(source.as_str())).collect(),
            schema: schema.transpose()?,
        })
    }

    /// Puts the rows so far on disk and says how to go on from there.
    pub(super) fn flush(&mut self) -> Result<SpoolFlushed> {
        let written = self.file.flush().and_then(|()| self.file.get_ref().sync_data()).and_then(|()| self.file.stream_position());
        self.bytes = written.map_err(|error| self.place.failed(error))?;
        let schema = self.schema.as_ref().map(|schema| {
            let mut bytes = Vec::new();
            let written = StreamWriter::try_new(&mut bytes, schema).and_then(|mut writer| writer.finish());
            written.bug(|| "a schema cannot be written".into())?;
            Ok::<_, Error>(STANDARD.encode(bytes))
        });
        Ok(SpoolFlushed {
            bytes: self.bytes,
            chunks: self.chunks.clone(),
            sources: self.sources.iter().map(ToString::to_string).collect(),
            schema: schema.transpose()?,
        })
    }

    /// Adds the batches of one chunk.
    pub(super) fn push(&mut self, batches: &[Batch]) -> Result<()> {
        for batch in batches {
            let schema = batch.rows.schema();
            self.schema = Some(self.schema.take().map_or_else(|| schema.clone(), |all| join(&all, &schema)));
            self.head(batch).map_err(|error| self.place.failed(error))?;
            let mut writer = StreamWriter::try_new(&mut self.file, &schema).bug(|| "rows cannot be spooled".into())?;
            let written = writer.write(&batch.rows).and_then(|()| writer.finish());
            written.map_err(|error| self.place.failed(error))?;
        }
        self.chunks.push(batches.len());
        Ok(())
    }

    fn head(&mut self, batch: &Batch) -> std::io::Result<()> {
        let Batch { rows: _, origin: Origin { source, rows }, sequence } = batch;
        let place = self.sources.iter().position(|known| known == source).unwrap_or_else(|| {
            self.sources.push(source.clone());
            self.sources.len() - 1
        });
        let (first, numbers): (u64, &[u64]) = match rows {
            RowNumbers::From(first) => (*first, &[]),
            RowNumbers::Each(numbers) => (u64::MAX, numbers),
        };
        for number in [place as u64, *sequence, first, numbers.len() as u64].iter().chain(numbers) {
            self.file.write_all(&number.to_le_bytes())?;
        }
        Ok(())
    }

    /// The columns that hold all rows, and the rows; no columns where there are no rows.
    pub(super) fn finish(self) -> Result<(Option<SchemaRef>, Spooled)> {
        let Self { file, place, bytes: _, chunks, sources, schema } = self;
        let mut file = file.into_inner().map_err(|error| place.failed(error.into_error()))?;
        file.rewind().map_err(|error| place.failed(error))?;
        Ok((schema, Spooled { file: BufReader::with_capacity(1 << 18, file), place, chunks: chunks.into_iter(), sources }))
    }
}

impl Spooled {
    fn number(&mut self) -> Result<u64> {
        let mut bytes = [0; 8];
        self.file.read_exact(&mut bytes).map_err(|error| self.place.failed(error))?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn batch(&mut self) -> Result<Batch> {
        let [place, sequence, first, count] = [self.number()?, self.number()?, self.number()?, self.number()?];
        let numbers = (0..count).map(|_| self.number()).collect::<Result<Arc<[u64]>>>()?;
        let rows = if first == u64::MAX { RowNumbers::Each(numbers) } else { RowNumbers::From(first) };
        let origin = Origin { source: self.sources[place as usize].clone(), rows };
        let mut reader = StreamReader::try_new(&mut self.file, None).bug(|| "spooled rows do not read".into())?;
        let rows = reader.next().transpose().bug(|| "spooled rows do not read".into())?;
        let rows = rows.ok_or_else(|| Error::bug("spooled rows are missing"))?;
        // What ends the stream stands before the next batch.
        if reader.next().is_some() {
            return Err(Error::bug("spooled rows have two batches in one place"));
        }
        Ok(Batch { rows, origin, sequence })
    }
}

impl Iterator for Spooled {
    type Item = Result<Vec<Batch>>;

    fn next(&mut self) -> Option<Self::Item> {
        let batches = self.chunks.next()?;
        Some((0..batches).map(|_| self.batch()).collect())
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch};

    use super::*;

    #[test]
    fn spooled_rows_come_back_as_they_were_in_chunks() {
        let batch = |name: &str, column: ArrayRef, rows: RowNumbers, sequence| Batch {
            rows: RecordBatch::try_from_iter([(name, column)]).unwrap(),
            origin: Origin { source: name.into(), rows },
            sequence,
        };
        let a = batch("a", Arc::new(Int64Array::from(vec![Some(1), None])), RowNumbers::From(7), 3);
        let b = batch("b", Arc::new(Float64Array::from(vec![1.5])), RowNumbers::Each([9].into()), 4);
        let mut spool = Spool::open(None).unwrap();
        spool.push(&[a.clone(), b.clone()]).unwrap();
        spool.push(&[]).unwrap();
        spool.push(std::slice::from_ref(&b)).unwrap();
        let (schema, spooled) = spool.finish().unwrap();
        assert_eq!(schema.unwrap().fields().len(), 2);
        let shown = |batch: &Batch| format!("{:?} {:?}", batch.rows, (&batch.origin.source, &batch.origin.rows, batch.sequence));
        let back: Vec<Vec<String>> = spooled.map(|chunk| chunk.unwrap().iter().map(shown).collect()).collect();
        assert_eq!(back, [vec![shown(&a), shown(&b)], vec![], vec![shown(&b)]]);
    }
}
