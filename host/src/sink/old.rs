//! Text output that is there already and that a run adds to.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::Path;

use super::csv::Csv;
use super::text::{Packing, Syntax, TextFormat};
use super::workspace::cannot;
use crate::error::{Error, Result};

/// What must be known of a text file to add rows to it. An empty file counts as none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OldText {
    /// Bytes of its text to keep: all, or for an array or a root element all before the end.
    keep: u64,
    /// Whether a line end is missing at its end.
    open_line: bool,
    /// Whether rows are in it; for an array only.
    pub(super) any: bool,
    /// The columns of its header; empty where it has none.
    header: Vec<String>,
}

impl OldText {
    /// Looks through the file at `path`; `None` where it is missing or empty.
    ///
    /// # Errors
    /// Data, where rows cannot be added to what is there; outside, where it cannot be read.
    pub(super) fn inspect(path: &Path, format: &TextFormat) -> Result<Option<Self>> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(cannot("open", path, error)),
        };
        let mut old = Self { keep: 0, open_line: false, any: false, header: Vec::new() };
        let mut array = ArrayEnds::default();
        let mut document = DocumentEnds::default();
        let mut start = Vec::new();
        let csv = match format.syntax {
            Syntax::Csv(csv) if csv.header => Some(csv),
            _ => None,
        };
        let mut reader = unpack(file, format.packing, path)?;
        let mut buffer = vec![0; 1 << 16];
        loop {
            let length = reader.read(&mut buffer).map_err(|error| unreadable(path, format.packing, error))?;
            let Some(last) = buffer[..length].last() else { break };
            old.open_line = *last != b'\n';
            if csv.is_some() && start.len() < (1 << 20) {
                start.extend_from_slice(&buffer[..length]);
            }
            if matches!(format.syntax, Syntax::Array(_)) {
                array.look(&buffer[..length], old.keep);
            }
            if matches!(format.syntax, Syntax::Xml(_)) {
                document.look(&buffer[..length]);
            }
            old.keep += length as u64;
            if !matches!(format.syntax, Syntax::Array(_) | Syntax::Xml(_))
                && format.packing == Packing::None
                && length > 0
                && (csv.is_none() || start.len() >= 1 << 20)
            {
                // Of a plain file the start and the end are enough.
                return Self::inspect_end(path, old, csv, &start).map(Some);
            }
        }
        if old.keep == 0 {
            return Ok(None);
        }
        if let Syntax::Array(_) = format.syntax {
            (old.keep, old.any) = array.ends().ok_or_else(|| {
                Error::data(format!("`{}` is not a JSON array, so that rows cannot be added to it", path.display()))
                    .hint("write `format: jsonl`, or `write_mode: overwrite`")
            })?;
        }
        if let Syntax::Xml(xml) = &format.syntax {
            let after = document.end_tag(&xml.root).ok_or_else(|| {
                let message = format!("`{}` is not an XML document in UTF-8 whose root is `<{}>`", path.display(), xml.root);
                Error::data(format!("{message}, so that rows cannot be added to it"))
                    .hint("name its root, `xml_options: {root_tag: …}`, or write `write_mode: overwrite`")
            })?;
            old.keep -= after;
        }
        if let Some(csv) = csv {
            old.header = csv.read_header(&start);
        }
        Ok(Some(old))
    }

    fn inspect_end(path: &Path, mut old: Self, csv: Option<Csv>, start: &[u8]) -> Result<Self> {
        use std::io::Seek;
        let mut last = [0];
        let mut read = |file: &mut File| {
            let length = file.seek(io::SeekFrom::End(0))?;
            file.seek(io::SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
            Ok(length)
        };
        old.keep = File::open(path).and_then(|mut file| read(&mut file)).map_err(|error| cannot("read", path, error))?;
        old.open_line = last != *b"\n";
        if let Some(csv) = csv {
            old.header = csv.read_header(start);
        }
        Ok(old)
    }

    /// Checks that the columns of the rows are those of the header.
    ///
    /// # Errors
    /// Data.
    pub(super) fn check_header<'a>(&self, path: &Path, columns: impl Iterator<Item = &'a str>) -> Result<()> {
        let columns: Vec<&str> = columns.collect();
        // Where no row came, nobody may know of what columns rows would have been.
        if self.header.is_empty() || columns.is_empty() || self.header == columns {
            return Ok(());
        }
        if let [header] = &self.header[..]
            && let Some(other) = [",", ";", "\t", "|"].into_iter().find(|other| header.split(other).eq(columns.iter().copied()))
        {
            let message =
                format!("cannot append to `{}`: its fields are divided by {other:?}, and those of the rows are not", path.display());
            return Err(Error::data(message).hint("set `csv_options.delimiter` as the file has it, or write `write_mode: overwrite`"));
        }
        Err(Error::data(format!(
            "cannot append to `{}`: its header is `{}`, but the rows have `{}`",
            path.display(),
            self.header.join(","),
            columns.join(",")
        ))
        .hint("`select` the columns in the order of the file, or write `write_mode: overwrite`"))
    }

    /// Copies what is kept of the file to `out`, so that rows can follow.
    pub(super) fn copy(&self, path: &Path, format: &TextFormat, out: &mut File) -> Result<()> {
        let file = File::open(path).map_err(|error| cannot("open", path, error))?;
        let copied = match (&format.syntax, format.packing) {
            // The array or the root element is opened again, so its compressed text is made anew.
            (Syntax::Array(_) | Syntax::Xml(_), packing @ (Packing::Gzip | Packing::Zstd)) => {
                let mut text = unpack(file, packing, path)?.take(self.keep);
                pack_into(&mut text, packing, out)
            }
            (Syntax::Array(_) | Syntax::Xml(_), Packing::None) => io::copy(&mut file.take(self.keep), out).map(|_| ()),
            (_, packing) => io::copy(&mut &file, out).and_then(|_| {
                let end: &[u8] = if self.open_line { b"\n" } else { b"" };
                out.write_all(&packing.pack(end.to_vec()).map_err(io::Error::other)?)
            }),
        };
        copied.map_err(|error| cannot("copy the old rows of", path, error))
    }
}

fn unpack(file: File, packing: Packing, path: &Path) -> Result<Box<dyn Read>> {
    Ok(match packing {
        Packing::None => Box::new(file),
        Packing::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(BufReader::with_capacity(1 << 16, file))),
        Packing::Zstd => Box::new(zstd::Decoder::new(file).map_err(|error| unreadable(path, packing, error))?),
    })
}

fn unreadable(path: &Path, packing: Packing, error: io::Error) -> Error {
    let kind = match packing {
        Packing::None => return cannot("read", path, error),
        Packing::Gzip => "gzip",
        Packing::Zstd => "Zstandard",
    };
    Error::data(format!("cannot append to `{}`: it is not whole {kind}", path.display()))
        .because(error)
        .hint("repair or remove the file, or write `write_mode: overwrite`")
}

fn pack_into(text: &mut impl Read, packing: Packing, out: &mut File) -> io::Result<()> {
    let out = BufWriter::with_capacity(1 << 16, out);
    match packing {
        Packing::Gzip => {
            let mut writer = flate2::write::GzEncoder::new(out, flate2::Compression::default());
            io::copy(text, &mut writer)?;
            writer.finish()?.flush()
        }
        Packing::Zstd | Packing::None => {
            let mut writer = zstd::Encoder::new(out, zstd::DEFAULT_COMPRESSION_LEVEL)?;
            io::copy(text, &mut writer)?;
            writer.finish()?.flush()
        }
    }
}

/// Finds where an array begins and ends, from its first and its last bytes that are no blanks.
#[derive(Default)]
struct ArrayEnds {
    first: Option<(u64, u8)>,
    /// The last one and the one before it.
    last: [Option<(u64, u8)>; 2],
}

impl ArrayEnds {
    fn look(&mut self, bytes: &[u8], offset: u64) {
        let mut seen = bytes.iter().enumerate().map(|(index, byte)| (offset + index as u64, *byte)).filter(|(place, byte)| {
            // A byte order mark is a blank at the start.
            !(byte.is_ascii_whitespace() || *place < 3 && b"\xef\xbb\xbf".contains(byte))
        });
        if self.first.is_none() {
            let Some(first) = seen.next() else { return };
            self.first = Some(first);
            self.last = [Some(first), None];
        }
        let mut from_end = seen.rev();
        match (from_end.next(), from_end.next()) {
            (Some(last), None) => self.last = [Some(last), self.last[0]],
            (Some(last), before) => self.last = [Some(last), before],
            (None, _) => {}
        }
    }

    /// The bytes up to the end of the last row, and whether there is a row.
    fn ends(&self) -> Option<(u64, bool)> {
        match (self.first?, self.last) {
            ((start, b'['), [Some((_, b']')), Some((before, _))]) => Some((before + 1, before > start)),
            _ => None,
        }
    }
}

/// Finds whether a document has a root element of some name, and where that ends, from its first and its last bytes.
#[derive(Default)]
struct DocumentEnds {
    first: Vec<u8>,
    last: Vec<u8>,
}

impl DocumentEnds {
    /// Bytes that a prolog with the root's tag may have, and an end tag with the blanks around it.
    const BYTES: usize = 4096;

    fn look(&mut self, bytes: &[u8]) {
        let room = Self::BYTES.saturating_sub(self.first.len()).min(bytes.len());
        self.first.extend_from_slice(&bytes[..room]);
        self.last.extend_from_slice(&bytes[bytes.len().saturating_sub(Self::BYTES)..]);
        self.last.drain(..self.last.len().saturating_sub(Self::BYTES));
    }

    /// The bytes from the root's end tag on.
    fn end_tag(&self, root: &str) -> Option<u64> {
        let first = String::from_utf8_lossy(&self.first);
        let mut rest = first.trim_start_matches('\u{feff}').trim_start();
        while let Some(inner) = rest.strip_prefix("<?") {
            let (declaration, after) = inner.split_once("?>")?;
            let encoding =
                declaration.strip_prefix("xml ").and_then(|declaration| declaration.split_once("encoding")).map(|(_, label)| label);
            let is_ours = |label: &str| ["utf-8", "us-ascii"].iter().any(|ours| label.to_ascii_lowercase().contains(ours));
            if !encoding.is_none_or(is_ours) {
                return None;
            }
            rest = after.trim_start();
        }
        let (tag, _) = rest.strip_prefix('<')?.strip_prefix(root)?.split_once('>')?;
        if tag.ends_with('/') || !(tag.is_empty() || tag.starts_with(|letter: char| letter.is_ascii_whitespace())) {
            return None;
        }
        let before = self.last.trim_ascii_end().strip_suffix(b">")?.trim_ascii_end().strip_suffix(root.as_bytes())?.strip_suffix(b"</")?;
        Some((self.last.len() - before.len()) as u64)
    }
}

impl Csv {
    /// The fields of the first line.
    fn read_header(&self, text: &[u8]) -> Vec<String> {
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        let mut reader = csv_core::ReaderBuilder::new()
            .delimiter(self.delimiter)
            .quote(self.quote)
            .escape(self.escape)
            .double_quote(self.escape.is_none())
            .build();
        let (mut fields, mut ends) = (vec![0; text.len()], vec![0; text.len() + 1]);
        let (_, _, _, count) = reader.read_record(text, &mut fields, &mut ends);
        let starts = std::iter::once(&0).chain(&ends);
        starts.zip(&ends[..count]).map(|(start, end)| String::from_utf8_lossy(&fields[*start..*end]).into_owned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::extract::{CsvOptions, Format, JsonOptions};
    use crate::config::load::XmlTags;

    fn inspect(text: &[u8], format: Format) -> Result<Option<OldText>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("old");
        std::fs::write(&path, text).unwrap();
        let format = TextFormat::new(format, &CsvOptions::default(), &JsonOptions::default(), &XmlTags::default(), Packing::None).unwrap();
        OldText::inspect(&path, &format)
    }

    #[test]
    fn an_array_is_kept_up_to_the_end_of_its_last_row() {
        let found = |text: &str| inspect(text.as_bytes(), Format::Json).map(|old| old.map(|old| (old.keep, old.any)));
        assert_eq!(found("").unwrap(), None);
        assert_eq!(found("[]\n").unwrap(), Some((1, false)));
        assert_eq!(found(" [ \n ] ").unwrap(), Some((2, false)));
        assert_eq!(found("[{\"a\":1}\n]\n").unwrap(), Some((8, true)));
        assert_eq!(found("\u{feff}[1, 2 ]").unwrap(), Some((8, true)));
        for wrong in ["{\"a\": []}", "[1", "]", "[", "[1]x"] {
            assert!(found(wrong).is_err(), "{wrong}");
        }
        // Longer than what is read at once, with the end in a piece of its own.
        for length in (1 << 16) - 4..(1 << 16) + 4 {
            let text = format!("[{}]", "1".repeat(length));
            assert_eq!(found(&text).unwrap(), Some((length as u64 + 1, true)));
        }
    }

    #[test]
    fn a_line_that_was_left_open_is_seen_in_short_and_long_files() {
        for (text, open_line) in [("{}\n".to_owned(), false), ("{}".to_owned(), true), ("x\n".repeat(1 << 17), false)] {
            let old = inspect(text.as_bytes(), Format::Jsonl).unwrap().unwrap();
            assert_eq!(old, OldText { keep: text.len() as u64, open_line, any: false, header: Vec::new() });
        }
    }

    #[test]
    fn a_document_is_kept_up_to_the_end_of_its_root() {
        let found = |text: &str| inspect(text.as_bytes(), Format::Xml).map(|old| old.map(|old| old.keep));
        assert_eq!(found("").unwrap(), None);
        assert_eq!(found("<records></records>\n").unwrap(), Some(9));
        assert_eq!(
            found("\u{feff}<?xml version='1.0' encoding='utf-8'?>\n<?x y?><records a=\"1\">\n<r/></records >  \n").unwrap(),
            Some(69)
        );
        for wrong in [
            "<records/>",
            "<record></record>",
            "<records></records><!-- end -->",
            "<recordset></records>",
            "<records>",
            "</records>",
            "<?xml version='1.0' encoding='latin1'?><records></records>",
        ] {
            assert!(found(wrong).is_err(), "{wrong}");
        }
        // Longer than what is read at once, with the end in a piece of its own.
        for length in (1 << 16) - 24..(1 << 16) + 4 {
            let text = format!("<records>{}</records>", "1".repeat(length));
            assert_eq!(found(&text).unwrap(), Some(length as u64 + 9));
        }
    }

    #[test]
    fn a_header_is_read_as_csv() {
        let old = inspect(b"\xef\xbb\xbfid,\"a,b\",\"say \"\"hi\"\"\"\r\n1,2,3\r\n", Format::Csv).unwrap().unwrap();
        assert_eq!(old.header, ["id", "a,b", "say \"hi\""]);
        let error = old.check_header(Path::new("out.csv"), ["id", "x"].into_iter()).unwrap_err();
        assert_eq!(error.to_string(), "cannot append to `out.csv`: its header is `id,a,b,say \"hi\"`, but the rows have `id,x`");
    }
}
