//! Rows as Parquet: chunks become row groups, on any thread.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::basic::{Compression as Codec, ZstdLevel};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::ParquetError;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;

use super::conform::Conform;
use super::workspace::cannot;
use super::{Encode, Encoded, Encoder, Payload};
use crate::batch::{Batch, Origin, Reject, RowNumbers};
use crate::config::load::Compression;
use crate::error::{Context, Error, Result};

/// Rows of a row group at most.
const GROUP_ROWS: usize = 1 << 20;

/// The encoded columns of one row group.
pub(super) type RowGroup = Vec<ArrowColumnChunk>;

/// How Parquet files of one schema are written.
#[derive(Clone)]
pub(super) struct ParquetFormat {
    schema: SchemaRef,
    properties: WriterProperties,
    columns: Arc<ArrowRowGroupWriterFactory>,
}

impl ParquetFormat {
    /// Settles how files of a schema are written.
    ///
    /// # Errors
    /// Data, where a column is of a type that Parquet does not have.
    pub(super) fn new(schema: SchemaRef, compression: Option<Compression>) -> Result<Self> {
        let codec = match compression {
            None | Some(Compression::Zstd) => Codec::ZSTD(ZstdLevel::try_new(1).expect("1 is a level of zstd")),
            Some(Compression::None) => Codec::UNCOMPRESSED,
            Some(Compression::Gzip) => Codec::GZIP(parquet::basic::GzipLevel::default()),
            Some(Compression::Snappy) => Codec::SNAPPY,
            Some(Compression::Lz4) => Codec::LZ4_RAW,
        };
        let properties = WriterProperties::builder()
            .set_compression(codec)
            .set_created_by(concat!("etl-host ", env!("CARGO_PKG_VERSION")).into())
            // Row groups are small (one chunk), so that statistics by page would tell readers little.
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .build();
        let (_, columns) = ArrowWriter::try_new(io::sink(), schema.clone(), Some(properties.clone()))
            .and_then(ArrowWriter::into_serialized_writer)
            .data(|| "these columns cannot be written as Parquet".into())?;
        Ok(Self { schema, properties, columns: Arc::new(columns) })
    }

    /// Starts a file.
    pub(super) fn start<W: Write + Send>(&self, out: W, path: &Path) -> Result<SerializedFileWriter<W>> {
        ArrowWriter::try_new(out, self.schema.clone(), Some(self.properties.clone()))
            .and_then(ArrowWriter::into_serialized_writer)
            .map(|(writer, _)| writer)
            .map_err(|error| failed("start", path, error))
    }

    /// Encodes rows as one or more row groups.
    pub(super) fn encode(&self, batches: &[RecordBatch]) -> Result<Vec<RowGroup>> {
        let mut groups = Groups::new(self.clone());
        batches.iter().try_for_each(|rows| groups.add(rows))?;
        groups.finish()
    }

    /// Puts the row groups of a whole file behind those of another.
    ///
    /// Row groups are copied as they are where both files have the same Parquet schema, else the rows are read and written anew.
    pub(super) fn append_file<W: Write + Send>(&self, writer: &mut SerializedFileWriter<W>, path: &Path) -> Result<()> {
        let file = File::open(path).map_err(|error| cannot("open", path, error))?;
        let metadata = read_metadata(&file, path)?;
        if metadata.file_metadata().schema_descr().root_schema() != writer.schema_descr().root_schema() {
            return self.append_anew(writer, file, path);
        }
        for (number, group) in metadata.row_groups().iter().enumerate() {
            let copied = writer.next_row_group().and_then(|mut out| {
                for (index, column) in group.columns().iter().enumerate() {
                    let close = ColumnCloseResult {
                        bytes_written: column.compressed_size() as u64,
                        rows_written: group.num_rows() as u64,
                        metadata: column.clone(),
                        bloom_filter: None,
                        column_index: metadata.column_index().map(|indexes| indexes[number][index].clone()),
                        offset_index: metadata.offset_index().map(|indexes| indexes[number][index].clone()),
                    };
                    out.append_column(&file, close)?;
                }
                out.close()
            });
            copied.map_err(|error| failed("copy", path, error))?;
        }
        Ok(())
    }

    fn append_anew<W: Write + Send>(&self, writer: &mut SerializedFileWriter<W>, file: File, path: &Path) -> Result<()> {
        let conform = Conform::by_type(self.schema.clone());
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).and_then(|builder| builder.with_batch_size(8192).build());
        let mut groups = Groups::new(self.clone());
        let origin = Origin { source: path.display().to_string().into(), rows: RowNumbers::From(1) };
        for rows in reader.map_err(|error| failed("read", path, error))? {
            let rows = rows.data(|| format!("cannot read `{}`", path.display()))?;
            let fitted = conform.fit(&Batch { rows, origin: origin.clone(), sequence: 0 })?;
            if let Some(reject) = fitted.rejects.first() {
                return Err(Error::data(format!("cannot append to `{}`: {}", path.display(), reject.message)));
            }
            groups.add(&fitted.rows)?;
            for group in groups.done.drain(..) {
                append(writer, group, path)?;
            }
        }
        groups.finish()?.into_iter().try_for_each(|group| append(writer, group, path))
    }
}

/// Reads the Arrow schema of a file.
pub(super) fn read_schema(path: &Path) -> Result<SchemaRef> {
    let file = File::open(path).map_err(|error| cannot("open", path, error))?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| failed("read", path, error))?;
    Ok(builder.schema().clone())
}

fn read_metadata(file: &File, path: &Path) -> Result<ParquetMetaData> {
    let reader = ParquetMetaDataReader::new().with_page_index_policy(PageIndexPolicy::Optional);
    reader.parse_and_finish(file).map_err(|error| failed("read", path, error))
}

/// Puts a row group at the end of a file.
pub(super) fn append<W: Write + Send>(writer: &mut SerializedFileWriter<W>, group: RowGroup, path: &Path) -> Result<()> {
    if writer.flushed_row_groups().len() >= i16::MAX as usize {
        return Err(Error::outside(format!("`{}` would have more row groups than Parquet allows ({})", path.display(), i16::MAX))
            .hint("set `max_rows_per_file`"));
    }
    let appended = writer.next_row_group().and_then(|mut out| {
        group.into_iter().try_for_each(|column| column.append_to_row_group(&mut out))?;
        out.close()
    });
    appended.map(|_| ()).map_err(|error| failed("write", path, error))
}

/// Ends a file; answers what it was written to.
pub(super) fn close<W: Write + Send>(writer: SerializedFileWriter<W>, path: &Path) -> Result<W> {
    writer.into_inner().map_err(|error| failed("finish", path, error))
}

/// Whose fault a failure is: the disk's where there is one below, else the file's.
fn failed(doing: &str, path: &Path, error: ParquetError) -> Error {
    match error {
        ParquetError::External(inner) => match inner.downcast::<io::Error>() {
            Ok(error) => cannot(doing, path, *error),
            Err(inner) => Error::data(format!("cannot {doing} `{}`", path.display())).because(ParquetError::External(inner)),
        },
        error => Error::data(format!("cannot {doing} `{}`", path.display())).because(error),
    }
}

/// Row groups on their way: the one that is filled, and those that are full.
struct Groups {
    format: ParquetFormat,
    open: Option<Vec<ArrowColumnWriter>>,
    /// Rows in the open one.
    rows: usize,
    done: Vec<RowGroup>,
}

impl Groups {
    fn new(format: ParquetFormat) -> Self {
        Self { format, open: None, rows: 0, done: Vec::new() }
    }

    fn add(&mut self, rows: &RecordBatch) -> Result<()> {
        let mut rest = rows.clone();
        while rest.num_rows() > 0 {
            let room = GROUP_ROWS - self.rows;
            let part = rest.slice(0, room.min(rest.num_rows()));
            rest = rest.slice(part.num_rows(), rest.num_rows() - part.num_rows());
            let mut columns = match self.open.take() {
                Some(columns) => columns,
                None => self.format.columns.create_column_writers(0).bug(|| "Parquet columns cannot be opened".into())?,
            };
            let mut writers = columns.iter_mut();
            for (field, column) in self.format.schema.fields().iter().zip(part.columns()) {
                for leaf in compute_leaves(field, column).data(|| format!("column `{}` cannot be written as Parquet", field.name()))? {
                    let writer = writers.next().expect("there is a writer for each leaf of the schema");
                    writer.write(&leaf).data(|| format!("column `{}` cannot be written as Parquet", field.name()))?;
                }
            }
            self.rows += part.num_rows();
            self.open = Some(columns);
            if self.rows >= GROUP_ROWS {
                self.close_group()?;
            }
        }
        Ok(())
    }

    fn close_group(&mut self) -> Result<()> {
        if let Some(columns) = self.open.take() {
            let group: Result<RowGroup, ParquetError> = columns.into_iter().map(ArrowColumnWriter::close).collect();
            self.done.push(group.bug(|| "a Parquet row group cannot be ended".into())?);
            self.rows = 0;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<RowGroup>> {
        self.close_group()?;
        Ok(self.done)
    }
}

/// Encodes the chunks of one Parquet file.
pub(super) struct ParquetEncode {
    pub(super) format: ParquetFormat,
    pub(super) conform: Conform,
}

impl Encode for ParquetEncode {
    fn start(&self) -> Result<Box<dyn Encoder>> {
        Ok(Box::new(ParquetEncoder { conform: self.conform.clone(), groups: Groups::new(self.format.clone()), rows: 0 }))
    }
}

struct ParquetEncoder {
    conform: Conform,
    groups: Groups,
    rows: u64,
}

impl Encoder for ParquetEncoder {
    fn write(&mut self, batch: &Batch) -> Result<Vec<Reject>> {
        let fitted = self.conform.fit(batch)?;
        self.groups.add(&fitted.rows)?;
        self.rows += fitted.rows.num_rows() as u64;
        Ok(fitted.rejects)
    }

    fn finish(self: Box<Self>) -> Result<Encoded> {
        Ok(Encoded { rows: self.rows, payload: Payload::RowGroups(self.groups.finish()?) })
    }
}
