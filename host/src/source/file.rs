//! Files as a source, on this machine's disk or in a cloud storage.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::Arc;

use arrow_schema::SchemaRef;
use encoding_rs::Encoding;
use tracing::debug;

use super::csv::{Csv, Dialect, Head};
use super::cut::Cutter;
use super::excel::Excel;
use super::input::Input;
use super::json::Json;
use super::layout::Layout;
use super::parquet::Footer;
use super::paths::Found;
use super::target::Members;
use super::xml::Xml;
use super::{Asset, Chunk, Chunks, ReadOptions, Source, Split, View, parquet, paths};
use crate::batch::Position;
use crate::config::extract::{FileSource, Format, Reading};
use crate::encoding;
use crate::error::{Error, Result};

/// The files that a path names, wherever they are.
pub(super) struct Files {
    shared: Arc<Shared>,
    by_name: HashMap<String, usize>,
    limit: Option<u64>,
}

struct Shared {
    inputs: Vec<Input>,
    reader: Reader,
    layout: Arc<Layout>,
}

/// How files of a format are read, and what each file says of itself.
enum Reader {
    Nothing,
    Csv { csv: Arc<Csv>, heads: Vec<Arc<Head>> },
    Json(Json),
    Parquet(Vec<Arc<Footer>>),
    Excel(Excel),
    Xml(Xml),
}

impl Files {
    /// Finds out of what columns the files are.
    ///
    /// # Errors
    /// Outside, where a file is missing or cannot be read; config, where options do not fit it; data, where it is damaged.
    pub(super) fn open(source: &FileSource, reading: &Reading, options: &ReadOptions, found: Found) -> Result<Self> {
        let (inputs, format) = paths::resolve(source, found)?;
        let infer_rows = reading.infer_rows.get();
        let layout = |seen: Members| Layout::new(seen, source, reading, options);
        let (reader, layout) = match format {
            None => (Reader::Nothing, layout(Members::default())?),
            Some(format @ (Format::Csv | Format::Tsv)) => {
                let csv = Arc::new(Csv {
                    dialect: Dialect::new(&source.csv_options, if format == Format::Tsv { '\t' } else { ',' })?,
                    encoding: encoding("csv_options.encoding", source.csv_options.encoding.as_deref())?,
                    has_header: source.csv_options.has_header,
                    skip_rows: source.csv_options.skip_rows,
                });
                let heads = inputs.iter().map(|input| csv.head(input).map(Arc::new)).collect::<Result<Vec<_>>>()?;
                let files: Vec<(&Input, &Head)> = inputs.iter().zip(heads.iter().map(|head| &**head)).collect();
                let seen = csv.infer(&files, infer_rows)?;
                (Reader::Csv { csv, heads }, layout(seen)?)
            }
            Some(format @ (Format::Json | Format::Jsonl)) => {
                let encoding = encoding("json_options.encoding", source.json_options.encoding.as_deref())?;
                let json = Json { encoding, lines: format == Format::Jsonl, response_path: source.response_path.clone() };
                if json.lines && json.response_path.is_some() {
                    return Err(Error::config("`response_path` leads into a JSON document, but the format is one object a line")
                        .hint("leave out `response_path`, or set `format: json`"));
                }
                let seen = json.infer(&inputs, infer_rows)?;
                (Reader::Json(json), layout(seen)?)
            }
            Some(Format::Parquet) => {
                let footers = inputs.iter().map(|input| parquet::footer(input).map(Arc::new)).collect::<Result<Vec<_>>>()?;
                let layout = Layout::of_targets(parquet::declared(&footers), source, reading, options)?;
                parquet::check(&inputs, &footers, &layout)?;
                (Reader::Parquet(footers), layout)
            }
            Some(Format::Excel) => {
                let excel = Excel { options: source.excel_options.clone() };
                let seen = excel.infer(&inputs, infer_rows)?;
                (Reader::Excel(excel), layout(seen)?)
            }
            Some(Format::Xml) => {
                let xml = Xml { record_tag: source.xml_options.record_tag.clone() };
                let seen = xml.infer(&inputs, infer_rows)?;
                (Reader::Xml(xml), layout(seen)?)
            }
        };
        debug!(files = inputs.len(), columns = layout.columns.len(), "source opened");
        let by_name = inputs.iter().enumerate().map(|(index, input)| (input.name.to_string(), index)).collect();
        let limit = match (options.limit, reading.max_records) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        Ok(Self { shared: Arc::new(Shared { inputs, reader, layout: Arc::new(layout) }), by_name, limit })
    }
}

impl Source for Files {
    fn schema(&self) -> SchemaRef {
        self.shared.layout.schema.clone()
    }

    fn splits(&self, target: NonZeroUsize) -> Result<Vec<Split>> {
        let inputs = &self.shared.inputs;
        let count = if self.limit.is_some() { 1 } else { target.get() }.min(inputs.len());
        let total: u64 = inputs.iter().map(|input| input.bytes.max(1)).sum();
        let mut splits: Vec<Split> = Vec::with_capacity(count);
        let mut before = 0u64;
        for (number, input) in inputs.iter().enumerate() {
            // A file belongs to the part that its first byte lies in, but no part may stay empty.
            let wanted = (u128::from(before) * count as u128 / u128::from(total.max(1))) as usize;
            let files_left = inputs.len() - number;
            let open = splits.len();
            if open == 0 || wanted >= open && open < count || files_left <= count - open {
                splits.push(Split { index: open, files: Vec::new() });
            }
            if let Some(split) = splits.last_mut() {
                split.files.push(input.name.to_string());
            }
            before += input.bytes.max(1);
        }
        Ok(splits)
    }

    fn inputs(&self) -> Vec<Asset> {
        let mut assets: Vec<Asset> = self.shared.inputs.iter().filter_map(|input| input.place.asset()).collect();
        // Members of one archive come one after the other.
        assets.dedup();
        assets
    }

    fn view(&self, as_text: &[String], converted: &[String]) -> View {
        View(Arc::new(self.shared.layout.asked_for(as_text, converted)))
    }

    fn read(&self, split: &Split, from: Option<&Position>) -> Result<Chunks> {
        let files = split.files.iter().map(|name| {
            self.by_name.get(name).copied().ok_or_else(|| {
                Error::outside(format!("`{name}` is no longer among the files of the source"))
                    .hint("files were removed since the run began")
            })
        });
        let files = files.collect::<Result<Vec<usize>>>()?;
        let position = from.cloned().unwrap_or_else(|| start(0, 0, 0));
        // A limit counts from the start of the source: a read that goes on takes off what came before.
        let left = match (self.limit, from) {
            (Some(limit), Some(from)) => limit.saturating_sub(from.earlier + from.row),
            (Some(limit), None) => limit,
            (None, _) => u64::MAX,
        };
        Ok(Box::new(SplitChunks { shared: self.shared.clone(), files, position, left, cutter: None, failed: false }))
    }
}

fn start(file: usize, sequence: u64, earlier: u64) -> Position {
    Position { file, sequence, earlier, line: 1, ..Position::default() }
}

impl Shared {
    fn cutter(&self, file: usize, from: Position) -> Result<Box<dyn Cutter>> {
        let input = &self.inputs[file];
        match &self.reader {
            Reader::Nothing => Err(Error::bug("a source without a format has no files")),
            Reader::Csv { csv, heads } => csv.cutter(input, &heads[file], &self.layout, from),
            Reader::Json(json) => json.cutter(input, &self.layout, from),
            Reader::Parquet(footers) => parquet::cutter(input, &footers[file], &self.layout, from),
            Reader::Excel(excel) => excel.cutter(input, &self.layout, from),
            Reader::Xml(xml) => xml.cutter(input, &self.layout, from),
        }
    }
}

/// The chunks of a split, file by file.
struct SplitChunks {
    shared: Arc<Shared>,
    files: Vec<usize>,
    position: Position,
    /// Rows that may still be read.
    left: u64,
    cutter: Option<Box<dyn Cutter>>,
    failed: bool,
}

impl Iterator for SplitChunks {
    type Item = Result<Box<dyn Chunk>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let chunk = self.chunk();
        self.failed = chunk.is_err();
        chunk.transpose()
    }
}

impl SplitChunks {
    fn chunk(&mut self) -> Result<Option<Box<dyn Chunk>>> {
        while self.left > 0 {
            let Some(&file) = self.files.get(self.position.file) else { break };
            let cutter = match &mut self.cutter {
                Some(cutter) => cutter,
                None => self.cutter.insert(self.shared.cutter(file, self.position.clone())?),
            };
            match cutter.cut(self.left)? {
                Some(chunk) => {
                    let next = chunk.next();
                    self.left -= next.row - self.position.row;
                    self.position = next;
                    return Ok(Some(chunk));
                }
                None => {
                    self.cutter = None;
                    let Position { file, sequence, earlier, row, .. } = self.position;
                    self.position = start(file + 1, sequence, earlier + row);
                }
            }
        }
        Ok(None)
    }
}

/// Checks what is said of how files are written.
///
/// # Errors
/// Config.
pub(super) fn check(source: &FileSource) -> Result<()> {
    Dialect::new(&source.csv_options, ',')?;
    encoding("csv_options.encoding", source.csv_options.encoding.as_deref())?;
    encoding("json_options.encoding", source.json_options.encoding.as_deref())?;
    Ok(())
}

/// The encoding of a label.
pub(super) fn encoding(key: &str, label: Option<&str>) -> Result<Option<&'static Encoding>> {
    label
        .map(|label| {
            let found = encoding::find(label).map(|found| found.encoding);
            found.ok_or_else(|| Error::config(format!("`{key}` is `{label}`, which is no encoding")).hint(encoding::KNOWN))
        })
        .transpose()
}
