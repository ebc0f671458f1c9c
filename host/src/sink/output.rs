//! What `load.yaml` asks of a file sink, and the names of its files.
//!
//! What a run shows at commit:
//! - one file: it takes the place of the old one in one rename; with `append`, the old rows stand before the new ones;
//! - `max_rows_per_file`: `orders_20240619T015832Z_<id>-00000-00001.jsonl`: when the run started, an id made of the run's, the split and the
//!   number of the file, so that they sort as the rows do and no name is one that somebody else would give. `overwrite` removes all files
//!   of that pattern, so that the output is that of this run; `append` adds files;
//! - `partition_by`: `country=DE/part_20240619T015832Z_<id>-00000-00001.parquet`, in all folders `k=v` below the target the same.
//!
//! Files of other names stay in all cases.

use std::fs;
use std::io;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::RunName;
use super::partition::Partition;
use super::text::{Packing, Syntax, TextFormat};
use super::workspace::cannot;
use crate::config::cloud::{CloudSink, Storage};
use crate::config::component::hex;
use crate::config::extract::Format;
use crate::config::load::{Compression, FileSink, WriteMode};
use crate::error::{Error, Result};

/// What `load.yaml` asks for, all of it decided.
pub(super) struct Output {
    pub(super) kind: Kind,
    pub(super) layout: Layout,
    /// The folder of the file, or of the parts.
    pub(super) folder: PathBuf,
    /// What names of files start with.
    stem: String,
    /// What they end with, with the dot; empty where the user's name has none.
    extension: String,
    pub(super) append: bool,
}

/// A kind of file.
pub(super) enum Kind {
    Text(Arc<TextFormat>),
    Parquet(Option<Compression>),
    Excel { sheet: String },
}

/// Which rows go to which file.
pub(super) enum Layout {
    /// All to one.
    One,
    /// So many to each.
    Numbered { max: NonZeroU64 },
    /// By folder, and so many to each.
    Hive { partition: Partition, max: Option<NonZeroU64> },
}

impl Layout {
    /// Rows of a file at most.
    pub(super) fn max_rows(&self) -> Option<u64> {
        match self {
            Self::One => None,
            Self::Numbered { max } => Some(max.get()),
            Self::Hive { max, .. } => max.map(NonZeroU64::get),
        }
    }
}

impl Output {
    /// The name that the file has, or that the names of the parts are made from.
    pub(super) fn name(&self) -> String {
        format!("{}{}", self.stem, self.extension)
    }

    /// Whether an earlier run has left something there.
    pub(super) fn is_there(&self) -> bool {
        match self.layout {
            Layout::One => self.folder.join(self.name()).exists(),
            // Where it cannot be told, nothing is replaced.
            _ => self.existing().map_or(true, |existing| !existing.is_empty()),
        }
    }

    /// Decides what the options mean; touches no file, but looks whether the path is a folder.
    ///
    /// # Errors
    /// Config, where options cannot be or contradict each other.
    pub(super) fn new(sink: &FileSink, root: &Path) -> Result<Self> {
        if let Some((scheme, _)) = sink.path.split_once("://") {
            return Err(Error::config(format!("`path` is a URL of `{scheme}`, to which nothing can be written"))
                .hint("write to a file, or to an object: `s3://bucket/path`, `gs://…`, `az://…`"));
        }
        Self::at(sink, root.join(&sink.path), true)
    }

    /// As [`Output::new`], of objects in a bucket: a path that ends in `/` takes objects of each run, as many as there are splits.
    ///
    /// # Errors
    /// Config, as before, and where rows would be added to an object.
    pub(super) fn of_objects(sink: &CloudSink) -> Result<Self> {
        Self::in_bucket(&sink.files(), &sink.storage)
    }

    /// As [`Output::of_objects`]; the path is that of the storage.
    pub(super) fn in_bucket(sink: &FileSink, storage: &Storage) -> Result<Self> {
        let FileSink { write_mode, partition_by, max_rows_per_file, .. } = sink;
        let place = storage.place();
        if place.is_empty() {
            return Err(Error::config("`storage.path` is missing, so that there is no name for what is written")
                .hint("write `path: folder/name.parquet`, or `path: folder/` for objects of each run"));
        }
        if storage.pattern.is_some() {
            return Err(
                Error::config("`storage.pattern` says what is read; what is written has the name that `path` says").hint("leave it out")
            );
        }
        let one = !place.ends_with('/') && partition_by.is_empty() && max_rows_per_file.is_none();
        if one && matches!(write_mode, WriteMode::Append) {
            return Err(Error::config(format!("`write_mode` is `append`, but `{storage}` is one object, and storages cannot add to one"))
                .hint("let each run write objects of its own: end `path` in `/`, or use `partition_by` or `max_rows_per_file`"));
        }
        Self::at(&FileSink { path: place.to_owned(), ..sink.clone() }, PathBuf::from(place), false)
    }

    fn at(sink: &FileSink, target: PathBuf, on_disk: bool) -> Result<Self> {
        let FileSink {
            path,
            format,
            write_mode,
            csv_options,
            json_options,
            excel_options,
            xml_options,
            compression,
            partition_by,
            max_rows_per_file,
        } = sink;
        if let Some(twice) = partition_by.iter().enumerate().find(|(index, name)| partition_by[..*index].contains(name)) {
            return Err(Error::config(format!("`partition_by` names `{}` twice", twice.1)).hint("keep one of them"));
        }
        let layout = match (partition_by.is_empty(), *max_rows_per_file) {
            (true, None) => Layout::One,
            (true, Some(max)) => Layout::Numbered { max },
            (false, max) => Layout::Hive { partition: Partition(partition_by.clone()), max },
        };
        let named = Name::of(path);
        let is_folder = path.ends_with('/') || path.is_empty() || on_disk && target.is_dir();
        let layout = match layout {
            Layout::One if is_folder && !on_disk => Layout::Hive { partition: Partition(Vec::new()), max: None },
            layout => layout,
        };
        if matches!(layout, Layout::One) && is_folder {
            return Err(Error::config(format!("`path` is `{path}`, which is a folder, but must name a file"))
                .hint(format!("write for example `path: {}/output.jsonl`", path.trim_end_matches('/'))));
        }
        let format = format.or(named.format).ok_or_else(|| {
            Error::config(format!("`format` is missing, and the name `{path}` does not tell it"))
                .hint("formats are `csv`, `tsv`, `json`, `jsonl`, `xml`, `parquet` and `excel`")
        })?;
        let packing = packing(format, *compression, named.packing)?;
        let append = matches!(write_mode, WriteMode::Append);
        let kind = match format {
            Format::Csv | Format::Tsv | Format::Json | Format::Jsonl | Format::Xml => {
                Kind::Text(Arc::new(TextFormat::new(format, csv_options, json_options, xml_options, packing)?))
            }
            Format::Parquet => Kind::Parquet(*compression),
            Format::Excel if append && matches!(layout, Layout::One) => {
                return Err(Error::config("`write_mode` is `append`, but rows cannot be added to a workbook")
                    .hint("write `csv` or `parquet`, or give each run a file of its own by `max_rows_per_file`"));
            }
            Format::Excel => Kind::Excel { sheet: excel_options.sheet.clone().unwrap_or_else(|| "Sheet1".into()) },
        };
        let of_parts = is_folder || (!matches!(layout, Layout::One) && named.format.is_none() && named.extension.is_empty());
        if of_parts {
            let extension = format!(".{}", extension(&kind, format));
            return Ok(Self { kind, layout, folder: target, stem: "part".into(), extension, append });
        }
        // A rename would put a file in the place of a link: write where the link leads.
        let target = if on_disk { behind_links(target)? } else { target };
        if on_disk && matches!(layout, Layout::One) && fs::metadata(&target).is_ok_and(|metadata| !metadata.is_file()) {
            return Err(Error::config(format!("`path` is `{path}`, which is not a regular file")));
        }
        let folder = target.parent().map(Path::to_owned).unwrap_or_default();
        let name = target.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let Name { stem, extension, .. } = Name::of(&name);
        Ok(Self { kind, layout, folder, stem, extension, append })
    }

    /// Where a file goes: of the `number`-th file of a folder that a split wrote, from 1.
    pub(super) fn target(&self, run: &RunName, split: usize, folder: &str, number: usize) -> PathBuf {
        if matches!(self.layout, Layout::One) {
            return self.folder.join(self.name());
        }
        let time = run.started.format("%Y%m%dT%H%M%SZ");
        let digest = Sha256::digest(&run.run_id);
        let id = hex(&digest[..4]);
        let folder = if matches!(self.layout, Layout::Numbered { .. }) { "" } else { folder };
        self.folder.join(folder).join(format!("{}_{time}_{id}-{split:05}-{number:05}{}", self.stem, self.extension))
    }

    /// Whether a name is that of a part of ours, of whatever run and format.
    fn is_part(&self, name: &str) -> bool {
        let Some(rest) = name.strip_prefix(&self.stem).and_then(|rest| rest.strip_prefix('_')) else { return false };
        let (made, extension) = rest.split_once('.').map_or((rest, ""), |(made, extension)| (made, extension));
        let [run, split, number] = made.split('-').collect::<Vec<_>>()[..] else { return false };
        let shape: Vec<u8> = run.bytes().map(|byte| if byte.is_ascii_digit() { b'0' } else { byte }).collect();
        let is_number = |text: &str| text.len() >= 5 && text.bytes().all(|byte| byte.is_ascii_digit());
        let is_hex = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        shape.len() == 25
            && shape.starts_with(b"00000000T000000Z_")
            && is_hex(&run[17..])
            && is_number(split)
            && is_number(number)
            && extension.is_empty() == self.extension.is_empty()
    }

    /// Whether what stands at a path below the folder is of ours.
    pub(super) fn is_ours(&self, path: &str) -> bool {
        let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
        match &self.layout {
            Layout::One => folders.is_empty() && name == self.name(),
            // Files of one name in two formats may be the output of two pipelines.
            Layout::Numbered { .. } => folders.is_empty() && self.is_part(name) && name.ends_with(&self.extension),
            Layout::Hive { partition, .. } => {
                let own = if partition.0.is_empty() { folders.is_empty() } else { folders.split('/').all(|folder| folder.contains('=')) };
                own && self.is_part(name)
            }
        }
    }

    /// Whether a file or an object, by its whole path, is of ours.
    pub(super) fn owns(&self, path: &Path) -> bool {
        path.strip_prefix(&self.folder).is_ok_and(|below| self.is_ours(&below.to_string_lossy()))
    }

    /// Files of ours that are there.
    pub(super) fn existing(&self) -> Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        match self.layout {
            Layout::One => {}
            Layout::Numbered { .. } => {
                for (path, name, is_folder) in list(&self.folder)? {
                    if !is_folder && self.is_ours(&name) {
                        found.push(path);
                    }
                }
            }
            Layout::Hive { .. } => {
                let mut folders = vec![self.folder.clone()];
                while let Some(folder) = folders.pop() {
                    for (path, name, is_folder) in list(&folder)? {
                        match is_folder {
                            true if name.contains('=') => folders.push(path),
                            false if folder != self.folder && self.is_part(&name) => found.push(path),
                            _ => {}
                        }
                    }
                }
            }
        }
        found.sort();
        Ok(found)
    }
}

/// Where a path leads, whether anything is there or not.
fn behind_links(mut path: PathBuf) -> Result<PathBuf> {
    for _ in 0..40 {
        if !path.is_symlink() {
            return Ok(path);
        }
        let to = fs::read_link(&path).map_err(|error| cannot("read the link", &path, error))?;
        path = path.parent().map(|folder| folder.join(&to)).unwrap_or(to);
    }
    Err(Error::config(format!("`{}` is a link that leads back to itself", path.display())))
}

/// What a folder holds; nothing where there is none.
fn list(folder: &Path) -> Result<Vec<(PathBuf, String, bool)>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(cannot("list", folder, error)),
    };
    let entry = |entry: io::Result<fs::DirEntry>| {
        let entry = entry?;
        Ok((entry.path(), entry.file_name().to_string_lossy().into_owned(), entry.file_type()?.is_dir()))
    };
    entries.map(entry).collect::<io::Result<_>>().map_err(|error| cannot("list", folder, error))
}

/// What the name of a file tells.
struct Name {
    stem: String,
    /// With the dot, that of the compression included.
    extension: String,
    format: Option<Format>,
    packing: Option<Packing>,
}

impl Name {
    fn of(path: &str) -> Self {
        let name = path.rsplit('/').next().unwrap_or_default();
        let (bare, packing) = match name.rsplit_once('.') {
            Some((bare, end)) if end.eq_ignore_ascii_case("gz") => (bare, Some(Packing::Gzip)),
            Some((bare, end)) if end.eq_ignore_ascii_case("zst") => (bare, Some(Packing::Zstd)),
            _ => (name, None),
        };
        let (stem, end) = match bare.rsplit_once('.') {
            Some((stem, end)) if !stem.is_empty() => (stem, end.to_ascii_lowercase()),
            _ => (bare, String::new()),
        };
        let format = match end.as_str() {
            "csv" => Some(Format::Csv),
            "tsv" | "tab" => Some(Format::Tsv),
            "json" => Some(Format::Json),
            "jsonl" | "ndjson" => Some(Format::Jsonl),
            "parquet" | "pq" => Some(Format::Parquet),
            "xlsx" => Some(Format::Excel),
            "xml" => Some(Format::Xml),
            _ => None,
        };
        Self { stem: stem.to_owned(), extension: name[stem.len()..].to_owned(), format, packing }
    }
}

/// How text is compressed, from the option and the name.
fn packing(format: Format, compression: Option<Compression>, named: Option<Packing>) -> Result<Packing> {
    let is_text = matches!(format, Format::Csv | Format::Tsv | Format::Json | Format::Jsonl | Format::Xml);
    match (compression, named) {
        (_, Some(_)) if !is_text => Err(Error::config("`path` ends in `.gz` or `.zst`, but Parquet and Excel files are compressed inside")
            .hint("leave that ending out; for Parquet, `compression` says how")),
        (Some(_), _) if format == Format::Excel => {
            Err(Error::config("`compression` is set, but a workbook is always compressed its own way").hint("leave `compression` out"))
        }
        _ if !is_text => Ok(Packing::None),
        (Some(Compression::Snappy | Compression::Lz4), _) => {
            Err(Error::config("`compression` is for Parquet only, but this output is text").hint("for text it is `none`, `gzip` or `zstd`"))
        }
        (Some(compression), named) => {
            let chosen = match compression {
                Compression::Gzip => Packing::Gzip,
                Compression::Zstd => Packing::Zstd,
                _ => Packing::None,
            };
            match named {
                Some(named) if named != chosen => Err(Error::config("`compression` and the ending of `path` contradict each other")
                    .hint("leave one of them out: `.gz` means `gzip`, `.zst` means `zstd`")),
                _ => Ok(chosen),
            }
        }
        (None, named) => Ok(named.unwrap_or(Packing::None)),
    }
}

/// The ending of files that the user gave no name.
fn extension(kind: &Kind, format: Format) -> String {
    let name = match format {
        Format::Csv => "csv",
        Format::Tsv => "tsv",
        Format::Parquet => "parquet",
        Format::Excel => "xlsx",
        Format::Xml => "xml",
        Format::Json | Format::Jsonl => match kind {
            Kind::Text(text) if matches!(text.syntax, Syntax::Lines) => "jsonl",
            _ => "json",
        },
    };
    let packing = match kind {
        Kind::Text(text) if text.packing == Packing::Gzip => ".gz",
        Kind::Text(text) if text.packing == Packing::Zstd => ".zst",
        _ => "",
    };
    format!("{name}{packing}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(sink: &str) -> String {
        let sink: FileSink = serde_yaml::from_str(sink).unwrap();
        let error = Output::new(&sink, Path::new("contract")).map(|_| ()).unwrap_err();
        assert_eq!(error.fault(), crate::error::Fault::Config);
        format!("{error}; hint: {}", error.find_hint().unwrap())
    }

    #[test]
    fn options_that_cannot_be_are_answered_with_what_would_be_right() {
        let cases = [
            ("{path: out/}", "`path` is `out/`, which is a folder, but must name a file; hint: write for example `path: out/output.jsonl`"),
            (
                "{path: a.dat}",
                "`format` is missing, and the name `a.dat` does not tell it; hint: formats are `csv`, `tsv`, `json`, `jsonl`, `xml`, `parquet` and `excel`",
            ),
            (
                "{path: a.xml, xml_options: {record_tag: 1st}}",
                "`xml_options.record_tag` is `1st`, but `1st` is no name of XML, which starts with a letter or `_` and goes on with letters, digits, `_`, `-` and \
                 `.`; hint: write for example `xml_options: {root_tag: orders, record_tag: order}`",
            ),
            (
                "{path: a.xlsx, write_mode: append}",
                "`write_mode` is `append`, but rows cannot be added to a workbook; hint: write `csv` or `parquet`, or give each run a file of its own by \
                 `max_rows_per_file`",
            ),
            (
                "{path: a.parquet.gz}",
                "`path` ends in `.gz` or `.zst`, but Parquet and Excel files are compressed inside; hint: leave that ending out; for Parquet, \
                 `compression` says how",
            ),
            (
                "{path: a.csv.gz, compression: zstd}",
                "`compression` and the ending of `path` contradict each other; hint: leave one of them out: `.gz` means `gzip`, `.zst` means `zstd`",
            ),
            (
                "{path: a.csv, compression: snappy}",
                "`compression` is for Parquet only, but this output is text; hint: for text it is `none`, `gzip` or `zstd`",
            ),
            (
                "{path: a.xlsx, compression: gzip}",
                "`compression` is set, but a workbook is always compressed its own way; hint: leave `compression` out",
            ),
        ];
        for (sink, message) in cases {
            assert_eq!(refused(sink), message);
        }
    }

    #[test]
    fn names_are_made_from_the_path() {
        let run = RunName::of("r1");
        let cases = [
            ("{path: out/a.b.csv.gz}", "out/a.b.csv.gz"),
            ("{path: out/a.csv.gz, max_rows_per_file: 5}", "out/a_20240619T015832Z_82f3e9c6-00003-00012.csv.gz"),
            (
                "{path: out, format: jsonl, compression: zstd, max_rows_per_file: 5}",
                "out/part_20240619T015832Z_82f3e9c6-00003-00012.jsonl.zst",
            ),
            ("{path: out/a.parquet, partition_by: [k]}", "out/k=v/a_20240619T015832Z_82f3e9c6-00003-00012.parquet"),
            ("{path: out/, format: json, partition_by: [k]}", "out/k=v/part_20240619T015832Z_82f3e9c6-00003-00012.json"),
        ];
        for (sink, path) in cases {
            let output =
                Output::new(&serde_yaml::from_str(sink).unwrap(), Path::new("contract")).map_err(|error| error.one_line()).unwrap();
            assert_eq!(output.target(&run, 3, "k=v", 12), Path::new("contract").join(path));
        }
    }
}
