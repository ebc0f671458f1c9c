//! The sink of files and objects: stages the output of a run on this machine, and shows it at commit, on its disk or in a bucket.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arrow_schema::{Schema, SchemaRef};

use super::bucket::Bucket;
use super::commit::Move;
use super::conform::{self, Conform};
use super::excel::ExcelFile;
use super::old::OldText;
use super::output::{Kind, Layout, Output};
use super::parquet::{self as parquet_file, ParquetEncode, ParquetFormat};
use super::parts::{Begun, PartsEncode, PartsLoad};
use super::single::{ParquetLoad, TextLoad};
use super::text::{Syntax, TextEncode, TextFormat};
use super::workspace::{Workspace, cannot};
use super::{Committed, FileMark, Flushed, Load, RunName, Sink, Staged, StagedPart};
use crate::config::cloud::{CloudSink, Storage};
use crate::config::load::{Compression, FileSink};
use crate::error::{Error, Result};
use crate::remote::store::Store;

/// So many times as often as elsewhere a request is tried again once there are rows: a whole run's work is at stake. By default these are 12
/// times over most of a minute, so that a storage may start anew meanwhile.
const AT_COMMIT: u32 = 4;

/// The file sink of one run.
struct FileOutput {
    output: Arc<Output>,
    run: RunName,
    workspace: Workspace,
    /// Where the output is shown, unless on this machine's disk.
    bucket: Option<Bucket>,
    /// What the commit leaves beside the output.
    mark: Option<FileMark>,
    /// Text that is there and that rows are added to.
    old_text: Option<OldText>,
    /// The schema of a Parquet file that is there and that rows are added to.
    old_schema: Option<SchemaRef>,
    /// The schema of the last split begun, for a commit of no splits.
    schema: Mutex<SchemaRef>,
}

/// Opens the sink.
pub(super) fn open(sink: &FileSink, root: &Path, run: &RunName, mark: Option<&FileMark>) -> Result<Box<dyn Sink>> {
    let output = Arc::new(Output::new(sink, root)?);
    let name = output.name();
    let workspace = Workspace::open(&output.folder, &name, &run.run_id)?;
    let target = output.folder.join(&name);
    let (mut old_text, mut old_schema) = (None, None);
    if output.append && matches!(output.layout, Layout::One) {
        match &output.kind {
            Kind::Text(format) => old_text = OldText::inspect(&target, format)?,
            Kind::Parquet(_) if fs::metadata(&target).is_ok_and(|metadata| metadata.len() > 0) => {
                old_schema = Some(parquet_file::read_schema(&target)?);
            }
            Kind::Parquet(_) | Kind::Excel { .. } => {}
        }
    }
    let schema = Mutex::new(Arc::new(Schema::empty()));
    Ok(Box::new(FileOutput { output, run: run.clone(), workspace, bucket: None, mark: mark.cloned(), old_text, old_schema, schema }))
}

/// Opens the sink of objects, which are staged in a hidden folder below `root`.
pub(super) fn open_objects(sink: &CloudSink, root: &Path, run: &RunName, mark: Option<&FileMark>) -> Result<Box<dyn Sink>> {
    let output = Arc::new(Output::of_objects(sink)?);
    let store = |max_retries| Store::open(&sink.storage, root, max_retries, &run.authority_files);
    let stores = [store(run.max_retries)?, store(run.max_retries.saturating_mul(AT_COMMIT))?];
    in_bucket(output, stores, &sink.storage, root, run, mark)
}

/// Looks at where objects are to be written, as far as one can who writes nothing.
pub(super) fn look_at_objects(sink: &CloudSink, root: &Path, run: &RunName) -> Result<()> {
    let output = Output::of_objects(sink)?;
    let store = Store::open(&sink.storage, root, run.max_retries, &run.authority_files)?;
    if !store.look(&output.folder.to_string_lossy())? {
        tracing::warn!(
            storage = %sink.storage,
            "the credentials may not list there, so that this dry run cannot tell whether a run may write; one that replaces objects must list"
        );
    }
    Ok(())
}

/// The sink of objects in a bucket, which is reached in two ways: as one opens it, and with the patience of one who commits.
pub(super) fn in_bucket(
    output: Arc<Output>,
    stores: [Store; 2],
    storage: &Storage,
    root: &Path,
    run: &RunName,
    mark: Option<&FileMark>,
) -> Result<Box<dyn Sink>> {
    let (bucket, workspace) = Bucket::open(stores, storage, output.clone(), root, &run.run_id)?;
    let schema = Mutex::new(Arc::new(Schema::empty()));
    let (bucket, mark) = (Some(bucket), mark.cloned());
    Ok(Box::new(FileOutput { output, run: run.clone(), workspace, bucket, mark, old_text: None, old_schema: None, schema }))
}

impl Sink for FileOutput {
    fn chunk_bytes(&self) -> usize {
        // A chunk becomes a row group, and small row groups compress and scan badly.
        if matches!(self.output.kind, Kind::Parquet(_)) { 5 << 19 } else { 1 << 20 }
    }

    fn max_splits(&self) -> usize {
        if matches!((&self.output.kind, &self.output.layout), (Kind::Excel { .. }, Layout::One)) { 1 } else { usize::MAX }
    }

    fn has_output(&self) -> bool {
        let target = self.output.folder.join(self.output.name());
        match &self.bucket {
            None => self.output.is_there(),
            // Where it cannot be told, nothing is replaced.
            Some(bucket) if matches!(self.output.layout, Layout::One) => bucket.is_there(&target).unwrap_or(true),
            Some(bucket) => bucket.existing().map_or(true, |existing| !existing.is_empty()),
        }
    }

    fn names_columns(&self) -> bool {
        // A line of JSON names its own, and so does an element.
        let csv = |format: &TextFormat| matches!(format.syntax, Syntax::Csv(_));
        !matches!((&self.output.kind, &self.output.layout), (Kind::Text(format), Layout::One) if !csv(format))
    }

    fn begin(&self, split: usize, schema: SchemaRef, from: Option<&Flushed>) -> Result<Box<dyn Load>> {
        *self.schema.lock().unwrap_or_else(PoisonError::into_inner) = schema.clone();
        if let Layout::Hive { partition, .. } = &self.output.layout {
            partition.check(&schema)?;
        }
        if let Kind::Text(format) = &self.output.kind {
            match &self.output.layout {
                Layout::Hive { partition, .. } => format.check(&partition.strip_schema(&schema)?)?,
                _ => format.check(&schema)?,
            }
        }
        let target = self.output.target(&self.run, split, "", 1);
        let dir = if from.is_some() { self.workspace.split(split) } else { self.workspace.fresh_split(split)? };
        match (&self.output.kind, &self.output.layout) {
            (Kind::Text(format), Layout::One) => {
                if let Some(old) = &self.old_text {
                    old.check_header(&target, schema.fields().iter().map(|field| field.name().as_str()))?;
                }
                let conform = matches!(format.syntax, Syntax::Csv(_)).then(|| Conform::by_name(schema.clone()));
                let encode = Arc::new(TextEncode { format: format.clone(), conform });
                let opens = split == 0 && self.old_text.is_none();
                let (paths, retries) = ([dir.join("part"), target], self.run.max_retries);
                match from {
                    Some(from) => TextLoad::resume(split, paths, schema, encode, (from, retries), opens),
                    None => {
                        let opening = if opens { Some(format.packing.pack(format.opening(&schema)?)?) } else { None };
                        TextLoad::begin(split, paths, schema, encode, opening.as_deref(), retries)
                    }
                }
            }
            (Kind::Parquet(compression), Layout::One) => {
                let settled = self.parquet_schema(&schema, &target)?;
                let format = ParquetFormat::new(settled.clone(), *compression)?;
                let encode = ParquetEncode { format, conform: Conform::by_type(settled) };
                ParquetLoad::begin(split, [dir, target], schema, encode, from, self.run.max_retries)
            }
            (kind, _) => {
                let conform = match kind {
                    Kind::Text(format) if matches!(format.syntax, Syntax::Csv(_)) => Some(Conform::by_name(schema.clone())),
                    Kind::Text(_) => None,
                    Kind::Parquet(_) => Some(Conform::by_type(conform::settle(&schema))),
                    Kind::Excel { .. } => Some(Conform::by_name(schema.clone())),
                };
                let all = conform.as_ref().map_or(&schema, Conform::target);
                let of_files = match &self.output.layout {
                    Layout::Hive { partition, .. } => Arc::new(partition.strip_schema(all)?),
                    _ => all.clone(),
                };
                let encoder = Arc::new(PartsEncode { output: self.output.clone(), conform });
                let begun = Begun { schema, of_files, keeps: self.workspace.is_kept() };
                Ok(Box::new(PartsLoad::new(self.output.clone(), self.run.clone(), split, dir, begun, encoder, from)?))
            }
        }
    }

    fn commit(&self, staged: Vec<Staged>) -> Result<Committed> {
        // A split that ran twice has staged the same twice, at the same place.
        let staged: BTreeMap<usize, Staged> = staged.into_iter().map(|staged| (staged.split, staged)).collect();
        if staged.keys().next().is_some_and(|first| *first != 0) {
            return Err(Error::bug("the output of split 0, which starts the file, was not staged"));
        }
        let rows = staged.values().map(|staged| staged.rows).sum();
        let mut parts: Vec<StagedPart> = staged.into_values().flat_map(|staged| staged.parts).collect();
        let (moves, removals) = match self.output.layout {
            Layout::One => (vec![self.join(&parts)?], Vec::new()),
            Layout::Numbered { .. } | Layout::Hive { .. } => {
                let existing = self.existing()?;
                // The first split leaves an empty file where it had no rows; it is wanted only where nothing else is.
                if self.output.append && !existing.is_empty() || parts.iter().any(|part| part.rows > 0) {
                    parts.retain(|part| part.rows > 0);
                }
                let moves = parts.into_iter().map(|part| Move { staged: part.staged, target: part.target }).collect();
                // What goes from a bucket is listed once it is this run's turn.
                (moves, if self.output.append || self.bucket.is_some() { Vec::new() } else { existing })
            }
        };
        let mark = self.mark.as_ref().map(|mark| mark.stage(&self.workspace)).transpose()?;
        let replaces = !self.output.append && !matches!(self.output.layout, Layout::One);
        if !moves.is_empty() || replaces || mark.is_some() {
            let all: Vec<Move> = moves.iter().cloned().chain(mark).collect();
            match &self.bucket {
                None => self.workspace.publish(&all, &removals)?,
                Some(bucket) => bucket.publish(&self.workspace, &all, replaces)?,
            }
        }
        // What was uploaded is still staged, what was moved is not.
        let size = |step: &Move| fs::metadata(if self.bucket.is_some() { &step.staged } else { &step.target }).map_or(0, |file| file.len());
        let bytes = moves.iter().map(size).sum();
        let files: Vec<PathBuf> = moves.into_iter().map(|step| self.shown(step.target)).collect();
        // Of a run that can be resumed it stays known until it is over that its output is in place.
        if !self.workspace.is_kept()
            && let Err(error) = self.workspace.remove()
        {
            tracing::warn!(%error, "the output is in place, but temporary files could not be removed");
        }
        let nulled = if let Kind::Text(format) = &self.output.kind { format.nulled() } else { 0 };
        if let Kind::Text(format) = &self.output.kind {
            for column in format.mixed() {
                tracing::warn!(
                    column,
                    "its values are texts in some batches and something else in others; where a batch has both, all of them are texts"
                );
            }
        }
        if nulled > 0 {
            tracing::warn!(values = nulled, "numbers that are NaN or infinite were written as null: JSON has none such");
        }
        Ok(Committed { files, rows, bytes, nulled, ..Committed::default() })
    }

    fn keep(&self, while_there: &Path) -> Result<()> {
        self.workspace.keep(while_there)
    }

    fn committed(&self) -> Result<Option<Committed>> {
        let Some(files) = self.workspace.committed()? else { return Ok(None) };
        let bytes = match &self.bucket {
            None => files.iter().filter_map(|path| fs::metadata(path).ok()).map(|metadata| metadata.len()).sum(),
            Some(bucket) => bucket.bytes(&files)?,
        };
        Ok(Some(Committed { files: files.into_iter().map(|file| self.shown(file)).collect(), bytes, ..Committed::default() }))
    }

    fn abort(&self) -> Result<()> {
        self.workspace.remove()
    }
}

impl FileOutput {
    /// Files or objects of ours that are there.
    fn existing(&self) -> Result<Vec<PathBuf>> {
        match &self.bucket {
            None => self.output.existing(),
            Some(bucket) => Ok(bucket.existing()?.into_iter().map(PathBuf::from).collect()),
        }
    }

    /// What is shown at a target, for a person.
    fn shown(&self, target: PathBuf) -> PathBuf {
        self.bucket.as_ref().map(|bucket| bucket.url(&target).into()).unwrap_or(target)
    }

    /// The schema of a Parquet file: that of the file which is there, or one for these rows.
    fn parquet_schema(&self, schema: &SchemaRef, target: &Path) -> Result<SchemaRef> {
        let Some(old) = &self.old_schema else { return Ok(conform::settle(schema)) };
        for field in schema.fields() {
            let wrong = |what: String| {
                let names: Vec<String> = old.fields().iter().map(|field| format!("`{}` {}", field.name(), field.data_type())).collect();
                Error::data(format!("cannot append to `{}`: {what}", target.display())).hint(format!(
                    "its columns are {}; `select` or `convert` to fit them, or write `write_mode: overwrite`",
                    names.join(", ")
                ))
            };
            match old.field_with_name(field.name()) {
                Err(_) => return Err(wrong(format!("it has no column `{}`", field.name()))),
                Ok(there) if conform::never_fits(field.data_type(), there.data_type()) => {
                    return Err(wrong(format!(
                        "its column `{}` is {}, but the rows have {}",
                        field.name(),
                        there.data_type(),
                        field.data_type()
                    )));
                }
                Ok(_) => {}
            }
        }
        // Columns that the rows lack come out null, so every column must allow that.
        Ok(Arc::new(Schema::new(old.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect::<Vec<_>>())))
    }

    /// Joins the parts of one file, and what was there before where rows are added.
    fn join(&self, parts: &[StagedPart]) -> Result<Move> {
        let target = self.output.target(&self.run, 0, "", 1);
        let staged = match &self.output.kind {
            Kind::Text(format) => self.join_text(format, parts, &target)?,
            Kind::Parquet(compression) => self.join_parquet(*compression, parts, &target)?,
            Kind::Excel { sheet } => match parts {
                [] => {
                    let path = self.workspace.file("empty")?;
                    ExcelFile::create(&path, sheet, &Arc::new(Schema::empty()), self.run.started)?.finish()?;
                    path
                }
                [only] => only.staged.clone(),
                _ => return Err(Error::bug("a workbook was staged in several splits")),
            },
        };
        Ok(Move { staged, target })
    }

    fn join_text(&self, format: &TextFormat, parts: &[StagedPart], target: &Path) -> Result<PathBuf> {
        let joined = match (parts, &self.old_text) {
            ([first, ..], None) => first.staged.clone(),
            _ => self.workspace.file("joined")?,
        };
        let failed = |error| cannot("write", &joined, error);
        // A commit that was interrupted may have written to it.
        let length = parts.first().filter(|first| first.staged == joined).map_or(0, |first| first.bytes);
        let mut file = File::options().create(true).append(true).open(&joined).map_err(failed)?;
        file.set_len(length).map_err(failed)?;
        let mut any = false;
        if let Some(old) = &self.old_text {
            old.copy(target, format, &mut file)?;
            any = old.any;
        } else if parts.is_empty() {
            let schema = self.schema.lock().unwrap_or_else(PoisonError::into_inner).clone();
            file.write_all(&format.packing.pack(format.opening(&schema)?)?).map_err(failed)?;
        }
        let mut written = self.old_text.is_some() || parts.len() != 1;
        for part in parts {
            // Each part begins its rows as if none stood before.
            let is_array = matches!(format.syntax, Syntax::Array(_));
            if any && part.rows > 0 && is_array {
                file.write_all(&format.packing.pack(b",".to_vec())?).map_err(failed)?;
            }
            if part.staged != joined {
                let mut from = File::open(&part.staged).map_err(|error| cannot("open", &part.staged, error))?;
                io::copy(&mut from, &mut file).map_err(failed)?;
            }
            any |= part.rows > 0;
        }
        let is_empty = file.metadata().map_err(failed)?.len() == 0;
        let closing = format.closing(any);
        let closing = if is_empty { format.packing.pack_all(closing)? } else { format.packing.pack(closing)? };
        written |= !closing.is_empty();
        file.write_all(&closing).map_err(failed)?;
        // A lone part was synced when it was finished.
        if written {
            file.sync_all().map_err(|error| cannot("sync", &joined, error))?;
        }
        Ok(joined)
    }

    fn join_parquet(&self, compression: Option<Compression>, parts: &[StagedPart], target: &Path) -> Result<PathBuf> {
        if let ([only], None) = (parts, &self.old_schema) {
            return Ok(only.staged.clone());
        }
        let joined = self.workspace.file("joined")?;
        let schema = match (&self.old_schema, parts.first()) {
            (Some(old), _) => self.parquet_schema(old, target)?,
            (None, Some(first)) => parquet_file::read_schema(&first.staged)?,
            (None, None) => conform::settle(&self.schema.lock().unwrap_or_else(PoisonError::into_inner)),
        };
        let format = ParquetFormat::new(schema, compression)?;
        let file = File::create(&joined).map_err(|error| cannot("create", &joined, error))?;
        let mut writer = format.start(file, &joined)?;
        if self.old_schema.is_some() {
            format.append_file(&mut writer, target)?;
        }
        for part in parts.iter().filter(|part| part.rows > 0) {
            format.append_file(&mut writer, &part.staged)?;
        }
        parquet_file::close(writer, &joined)?.sync_all().map_err(|error| cannot("sync", &joined, error))?;
        Ok(joined)
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};

    use std::collections::BTreeSet;

    use super::*;
    use crate::batch::{Batch, Origin, Reject, RowNumbers};

    fn write(sink: &str, root: &Path, columns: Vec<(&str, ArrayRef)>) -> Result<Vec<Reject>> {
        let sink: FileSink = serde_yaml::from_str(sink).unwrap();
        let run = RunName::of("r1");
        let sink = open(&sink, root, &run, None)?;
        let rows = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true))).unwrap();
        let mut load = sink.begin(0, rows.schema(), None)?;
        let mut encoder = load.encoder().start()?;
        let rejects = encoder.write(&Batch { rows, origin: Origin { source: "in".into(), rows: RowNumbers::From(1) }, sequence: 0 })?;
        load.append(encoder.finish()?)?;
        let staged = load.finish()?;
        sink.commit(vec![staged])?;
        Ok(rejects)
    }

    fn ints(values: Vec<Option<i64>>) -> ArrayRef {
        Arc::new(Int64Array::from(values))
    }

    fn text(root: &Path, name: &str) -> String {
        fs::read_to_string(root.join(name)).unwrap()
    }

    #[test]
    fn rows_of_a_header_that_is_another_are_not_appended() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("a.csv"), "id,name\n1,x\n").unwrap();
        let error = write("{path: a.csv, write_mode: append}", root.path(), vec![("id", ints(vec![Some(1)]))]).unwrap_err();
        let path = root.path().join("a.csv");
        assert_eq!(error.to_string(), format!("cannot append to `{}`: its header is `id,name`, but the rows have `id`", path.display()));
        assert_eq!(text(root.path(), "a.csv"), "id,name\n1,x\n");
    }

    #[test]
    fn an_open_last_line_is_closed_before_rows_are_appended() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("a.jsonl"), "{\"id\":0}").unwrap();
        write("{path: a.jsonl, write_mode: append}", root.path(), vec![("id", ints(vec![Some(1)]))]).unwrap();
        assert_eq!(text(root.path(), "a.jsonl"), "{\"id\":0}\n{\"id\":1}\n");
    }

    #[test]
    fn rows_join_an_array_that_somebody_else_wrote() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("a.json"), "[ {\"id\": 0} ]").unwrap();
        write("{path: a.json, write_mode: append}", root.path(), vec![("id", ints(vec![Some(1)]))]).unwrap();
        assert_eq!(text(root.path(), "a.json"), "[ {\"id\": 0},\n{\"id\":1}\n]\n");
        fs::write(root.path().join("a.json"), "{}").unwrap();
        let error = write("{path: a.json, write_mode: append}", root.path(), vec![("id", ints(vec![Some(1)]))]).unwrap_err();
        assert_eq!(error.fault(), crate::error::Fault::Data);
    }

    #[test]
    fn rows_are_fitted_to_the_columns_of_the_parquet_file_that_they_join() {
        let root = tempfile::tempdir().unwrap();
        let floats: ArrayRef = Arc::new(Float64Array::from(vec![0.5]));
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["x"]));
        write("{path: a.parquet}", root.path(), vec![("n", floats), ("t", texts.clone())]).unwrap();
        let append = "{path: a.parquet, write_mode: append}";
        let rejects = write(append, root.path(), vec![("n", ints(vec![Some(1), Some((1 << 53) + 1), None]))]).unwrap();
        assert_eq!(rejects.iter().map(|reject| reject.row).collect::<Vec<_>>(), [2]);
        let path = root.path().join("a.parquet");
        let reader = ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(File::open(&path).unwrap()).unwrap();
        assert_eq!(reader.metadata().num_row_groups(), 2);
        let rows: Vec<RecordBatch> = reader.build().unwrap().map(|rows| rows.unwrap()).collect();
        let numbers: ArrayRef = Arc::new(Float64Array::from(vec![Some(0.5), Some(1.0), None]));
        let names: ArrayRef = Arc::new(StringArray::from(vec![Some("x"), None, None]));
        let expected = RecordBatch::try_from_iter_with_nullable([("n", numbers, true), ("t", names, true)]).unwrap();
        assert_eq!(rows, [expected]);

        let error = write(append, root.path(), vec![("n", texts.clone())]).unwrap_err();
        let wanted = format!("cannot append to `{}`: its column `n` is Float64, but the rows have Utf8", path.display());
        assert_eq!(error.to_string(), wanted);
        let error = write(append, root.path(), vec![("new", texts)]).unwrap_err();
        assert_eq!(error.to_string(), format!("cannot append to `{}`: it has no column `new`", path.display()));
    }

    #[test]
    fn rows_join_a_parquet_file_of_another_writer_whose_columns_are_required() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a.parquet");
        let rows = RecordBatch::try_from_iter_with_nullable([("n", ints(vec![Some(1)]), false)]).unwrap();
        let mut writer = ::parquet::arrow::ArrowWriter::try_new(File::create(&path).unwrap(), rows.schema(), None).unwrap();
        writer.write(&rows).unwrap();
        writer.close().unwrap();
        write("{path: a.parquet, write_mode: append}", root.path(), vec![("n", ints(vec![None]))]).unwrap();
        let reader = ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(File::open(&path).unwrap()).unwrap();
        let rows: Vec<RecordBatch> = reader.build().unwrap().map(|rows| rows.unwrap()).collect();
        assert_eq!(rows, [RecordBatch::try_from_iter_with_nullable([("n", ints(vec![Some(1), None]), true)]).unwrap()]);
    }

    #[test]
    fn a_link_stays_and_what_it_leads_to_is_written_with_the_old_permissions() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("real")).unwrap();
        fs::write(root.path().join("real/b.csv"), "").unwrap();
        fs::set_permissions(root.path().join("real/b.csv"), fs::Permissions::from_mode(0o640)).unwrap();
        symlink("real/b.csv", root.path().join("a.csv")).unwrap();
        write("{path: a.csv}", root.path(), vec![("id", ints(vec![Some(1)]))]).unwrap();
        assert!(root.path().join("a.csv").is_symlink());
        assert_eq!(text(root.path(), "real/b.csv"), "id\n1\n");
        assert_eq!(fs::metadata(root.path().join("real/b.csv")).unwrap().permissions().mode() & 0o777, 0o640);
    }

    #[test]
    fn files_have_at_most_so_many_rows_and_overwriting_takes_those_of_earlier_runs_away_and_no_others() {
        let root = tempfile::tempdir().unwrap();
        let others = ["a_00001.jsonl", "a_1.jsonl", "a_20240101.jsonl", "a_20240619T015832Z_report.jsonl"];
        others.iter().for_each(|name| fs::write(root.path().join(name), "not ours").unwrap());
        fs::write(root.path().join("a_20200101T000000Z_00000000-00000-00003.jsonl"), "of an earlier run").unwrap();
        let ids = |count| vec![("id", ints((1..=count).map(Some).collect()))];
        let names = || {
            let mut names: Vec<String> =
                fs::read_dir(root.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            names.retain(|name| !others.contains(&&**name));
            names
        };
        let part = |number: usize| format!("a_20240619T015832Z_82f3e9c6-00000-{number:05}.jsonl");
        write("{path: a.jsonl, max_rows_per_file: 2}", root.path(), ids(5)).unwrap();
        assert_eq!(text(root.path(), &part(3)), "{\"id\":5}\n");
        write("{path: a.jsonl, max_rows_per_file: 2}", root.path(), ids(3)).unwrap();
        assert_eq!(names().iter().collect::<BTreeSet<_>>(), [part(1), part(2)].iter().collect());
        assert!(others.iter().all(|name| text(root.path(), name) == "not ours"));
    }

    #[test]
    fn parts_have_the_time_of_the_run_in_their_names_and_folders_that_become_empty_go() {
        let root = tempfile::tempdir().unwrap();
        let rows = |kind| vec![("id", ints(vec![Some(1)])), ("kind", Arc::new(StringArray::from(vec![kind])) as ArrayRef)];
        write("{path: out/, format: csv, partition_by: [kind]}", root.path(), rows("a:b")).unwrap();
        fs::write(root.path().join("out/kind=a%3Ab/notes.txt"), "not ours").unwrap();
        assert_eq!(text(root.path(), "out/kind=a%3Ab/part_20240619T015832Z_82f3e9c6-00000-00001.csv"), "id\n1\n");
        write("{path: out/, format: csv, partition_by: [kind]}", root.path(), rows("c")).unwrap();
        write("{path: out/, format: csv, partition_by: [kind]}", root.path(), rows("d")).unwrap();
        let mut names: Vec<_> = fs::read_dir(root.path().join("out")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["kind=a%3Ab", "kind=d"]);
        assert_eq!(fs::read_dir(root.path().join("out/kind=a%3Ab")).unwrap().count(), 1);
    }
}
