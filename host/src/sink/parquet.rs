//! Rows as Parquet: chunks become row groups, on any thread.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::basic::{Compression as Codec, ZstdLevel};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, PageIndexPolicy, ParquetMetaData, ParquetMetaDataOptions, ParquetMetaDataReader};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::statistics::Statistics;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnPath;

use super::conform::Conform;
use super::workspace::cannot;
use super::{Encode, Encoded, Encoder, Payload};
use crate::batch::{Batch, Origin, Reject, RowNumbers};
use crate::config::load::Compression;
use crate::error::{Context, Error, Result};

/// Rows of a row group at most.
const GROUP_ROWS: usize = 1 << 20;

/// Values of a column that are looked at to decide whether it gets a dictionary.
const SAMPLE: usize = 4096;

/// The encoded columns of one row group.
pub(super) type RowGroup = Vec<ArrowColumnChunk>;

/// How Parquet files of one schema are written.
#[derive(Clone)]
pub(super) struct ParquetFormat {
    schema: SchemaRef,
    properties: WriterProperties,
    /// What opens the columns of a row group, by which of them have a dictionary.
    factories: Arc<Mutex<HashMap<Vec<bool>, Arc<ArrowRowGroupWriterFactory>>>>,
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
        let format = Self { schema, properties, factories: Arc::default() };
        format.factory(vec![true; format.schema.fields().len()])?;
        Ok(format)
    }

    /// What opens the columns of a row group, of which some have a dictionary.
    fn factory(&self, dictionaries: Vec<bool>) -> Result<Arc<ArrowRowGroupWriterFactory>> {
        let mut factories = self.factories.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(factory) = factories.get(&dictionaries) {
            return Ok(factory.clone());
        }
        let mut properties = self.properties.clone().into_builder();
        for (field, _) in self.schema.fields().iter().zip(&dictionaries).filter(|(_, wanted)| !**wanted) {
            properties = properties.set_column_dictionary_enabled(ColumnPath::new(vec![field.name().clone()]), false);
        }
        let (_, factory) = ArrowWriter::try_new(io::sink(), self.schema.clone(), Some(properties.build()))
            .and_then(ArrowWriter::into_serialized_writer)
            .data(|| "these columns cannot be written as Parquet".into())?;
        Ok(factories.entry(dictionaries).or_insert(Arc::new(factory)).clone())
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
                        metadata: with_old_statistics(column)?,
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

/// The metadata of a column with its least and greatest value for old readers too, which are written, but are not read.
fn with_old_statistics(column: &ColumnChunkMetaData) -> Result<ColumnChunkMetaData, ParquetError> {
    let signed = column.column_descr().sort_order().is_signed();
    let statistics = column.statistics().cloned().map(|statistics| match statistics {
        Statistics::Boolean(values) => Statistics::Boolean(values.with_backwards_compatible_min_max(signed)),
        Statistics::Int32(values) => Statistics::Int32(values.with_backwards_compatible_min_max(signed)),
        Statistics::Int64(values) => Statistics::Int64(values.with_backwards_compatible_min_max(signed)),
        Statistics::Int96(values) => Statistics::Int96(values.with_backwards_compatible_min_max(signed)),
        Statistics::Float(values) => Statistics::Float(values.with_backwards_compatible_min_max(signed)),
        Statistics::Double(values) => Statistics::Double(values.with_backwards_compatible_min_max(signed)),
        Statistics::ByteArray(values) => Statistics::ByteArray(values.with_backwards_compatible_min_max(signed)),
        Statistics::FixedLenByteArray(values) => Statistics::FixedLenByteArray(values.with_backwards_compatible_min_max(signed)),
    });
    match statistics {
        Some(statistics) => column.clone().into_builder().set_statistics(statistics).build(),
        None => Ok(column.clone()),
    }
}

/// Reads the Arrow schema of a file.
pub(super) fn read_schema(path: &Path) -> Result<SchemaRef> {
    let file = File::open(path).map_err(|error| cannot("open", path, error))?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| failed("read", path, error))?;
    Ok(builder.schema().clone())
}

fn read_metadata(file: &File, path: &Path) -> Result<ParquetMetaData> {
    let reader = ParquetMetaDataReader::new()
        .with_page_index_policy(PageIndexPolicy::Optional)
        // Row groups are copied with all that their footer said of them.
        .with_metadata_options(Some(ParquetMetaDataOptions::new().with_encoding_stats_as_mask(false)));
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
                None => {
                    let factory = self.format.factory(part.columns().iter().map(repeats).collect())?;
                    factory.create_column_writers(0).bug(|| "Parquet columns cannot be opened".into())?
                }
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

/// Tells whether the values of a column repeat so that a dictionary is worth its making.
///
/// A dictionary of values that do not repeat is given up by the encoder after a while, at up to half of the time that writing takes.
fn repeats(column: &ArrayRef) -> bool {
    let sample = column.slice(0, column.len().min(SAMPLE));
    let valid = |index: &usize| sample.is_valid(*index);
    let all = (0..sample.len()).filter(valid);
    let data = sample.to_data();
    let distinct: HashSet<&[u8]> = match sample.data_type() {
        DataType::Utf8 => all.map(|index| sample.as_string::<i32>().value(index).as_bytes()).collect(),
        DataType::Binary => all.map(|index| sample.as_binary::<i32>().value(index)).collect(),
        fixed => {
            let Some(width) = fixed.primitive_width() else { return true };
            let bytes = &data.buffers()[0][data.offset() * width..];
            all.map(|index| &bytes[index * width..(index + 1) * width]).collect()
        }
    };
    let valid = sample.len() - sample.null_count();
    valid < 256 || distinct.len() * 5 < valid * 3
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

#[cfg(test)]
mod tests {
    use arrow_array::{Int64Array, StringArray};
    use parquet::basic::Encoding;

    use super::*;

    #[test]
    fn only_a_column_whose_values_repeat_gets_a_dictionary() {
        let texts = |make: &dyn Fn(i64) -> String| Arc::new((0..5000).map(|n| Some(make(n))).collect::<StringArray>()) as ArrayRef;
        let columns = [
            ("id", Arc::new(Int64Array::from_iter_values(0..5000)) as ArrayRef),
            ("kind", texts(&|n| format!("kind {}", n % 9))),
            ("name", texts(&|n| format!("name {n}"))),
        ];
        let rows = RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).unwrap();
        let format = ParquetFormat::new(rows.schema(), None).unwrap();
        let mut writer = format.start(Vec::new(), Path::new("x")).unwrap();
        format.encode(&[rows]).unwrap().into_iter().try_for_each(|group| append(&mut writer, group, Path::new("x"))).unwrap();
        let columns = writer.flushed_row_groups()[0].columns();
        let dictionaries: Vec<bool> =
            columns.iter().map(|column| column.encodings().any(|found| found == Encoding::RLE_DICTIONARY)).collect();
        assert_eq!(dictionaries, [false, true, false]);
    }
}
