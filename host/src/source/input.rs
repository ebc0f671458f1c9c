//! One file as a stream of bytes: decompressed, in UTF-8, from any offset.

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use encoding_rs::{Decoder, DecoderResult, Encoding, UTF_8, UTF_16BE, UTF_16LE};

use super::place::{Place, ours};
use super::positioned::Positioned;
use crate::error::{Context, Error, Result};
use crate::remote::store::Object;

/// Bytes read at once where the reader needs a buffer of its own.
const BUFFER: usize = 128 << 10;
/// Bytes that a packed workbook or Parquet file may have when unpacked to a temporary file.
const SPOOL_LIMIT: u64 = 16 << 30;

/// A file, or a member of an archive.
#[derive(Clone, Debug)]
pub(super) struct Input {
    /// As the user would name it.
    pub(super) name: Arc<str>,
    /// Where it stands.
    pub(super) place: Place,
    /// What it is packed in, outermost first.
    pub(super) layers: Vec<Layer>,
    /// Bytes on disk, to balance splits.
    pub(super) bytes: u64,
}

/// What a server answers.
pub(super) trait Content: fmt::Debug + Send + Sync {
    /// Opens it at its start.
    fn open(&self) -> Result<Box<dyn Read + Send>>;
}

/// What a file is packed in.
#[derive(Clone, Debug)]
pub(super) enum Layer {
    /// gzip, also of several members.
    Gzip,
    /// Zstandard.
    Zstd,
    /// A member of a ZIP archive.
    Member(Member),
}

/// Where a member stands in its archive.
#[derive(Clone, Debug)]
pub(super) struct Member {
    /// Offset of its data.
    pub(super) start: u64,
    /// Bytes of its data.
    pub(super) packed: u64,
    /// Bytes unpacked.
    pub(super) size: u64,
    /// Check sum of the unpacked bytes.
    pub(super) crc: u32,
    /// Whether it is stored as it is, else deflated.
    pub(super) stored: bool,
}

impl Input {
    /// Opens the stream at an offset of the decoded bytes.
    pub(super) fn open(&self, encoding: Option<&'static Encoding>, offset: u64) -> Result<Stream> {
        let mut reader = match &self.place {
            Place::Answer(content) => content.open()?,
            _ if self.layers.is_empty() => return self.open_plain(encoding, offset),
            _ => self.unpack()?,
        };
        let mut head = Vec::with_capacity(4);
        let mut stream = Stream { reader: Box::new(io::empty()), name: self.name.clone(), offset: 0, packed: true };
        reader.by_ref().take(3).read_to_end(&mut head).map_err(|error| stream.blame(error))?;
        let (encoding, mark) = encoding_of(&head, encoding);
        let rest = io::Cursor::new(head.split_off(mark)).chain(reader);
        stream.reader = transcode(Box::new(rest), encoding);
        stream.skip(offset)?;
        Ok(stream)
    }

    fn open_plain(&self, encoding: Option<&'static Encoding>, offset: u64) -> Result<Stream> {
        let mut file = self.place.open(&self.name)?;
        let mut head = Vec::with_capacity(4);
        file.by_ref().take(3).read_to_end(&mut head).map_err(|error| unread(&self.name, error))?;
        let (encoding, mark) = encoding_of(&head, encoding);
        // What was read of the head is not asked for again.
        let head = io::Cursor::new(head.split_off(mark));
        if encoding == UTF_8 {
            let reader: Box<dyn Read + Send> = match offset {
                0 => Box::new(head.chain(file)),
                _ => Box::new(self.place.open_at(&self.name, mark as u64 + offset)?),
            };
            return Ok(Stream { reader, name: self.name.clone(), offset, packed: false });
        }
        let reader = transcode(Box::new(head.chain(file)), encoding);
        let mut stream = Stream { reader, name: self.name.clone(), offset: 0, packed: false };
        stream.skip(offset)?;
        Ok(stream)
    }

    /// Opens the file so that it can be read in any order; a packed one is unpacked to a nameless temporary file.
    pub(super) fn open_positioned(&self) -> Result<Positioned> {
        let unreadable = || format!("could not read `{}`", self.name);
        if self.layers.is_empty() {
            return match &self.place {
                Place::File(path) => Positioned::new(open_file(path, &self.name)?).outside(unreadable),
                Place::Object(store, object) => Ok(Positioned::of_object(store.clone(), Object::clone(object))),
                Place::Answer(_) => Err(Error::bug(format!("`{}` is read from its start only", self.name))),
            };
        }
        let mut file = tempfile::tempfile().outside(|| format!("could not make a temporary file to unpack `{}`", self.name))?;
        let copied = io::copy(&mut self.open_bytes()?.take(SPOOL_LIMIT), &mut file);
        let copied = copied.map_err(|error| undone(&self.name, error, format!("could not unpack `{}`", self.name)))?;
        if copied == SPOOL_LIMIT {
            return Err(Error::data(format!("`{}` unpacks to more than {} GiB", self.name, SPOOL_LIMIT >> 30))
                .hint("this format cannot be read while it is unpacked: unpack the file first"));
        }
        Positioned::new(file).outside(unreadable)
    }

    /// Opens its bytes, unpacked.
    pub(super) fn open_bytes(&self) -> Result<Box<dyn Read + Send>> {
        if self.layers.is_empty() {
            return Ok(Box::new(self.place.open(&self.name)?));
        }
        self.unpack()
    }

    fn unpack(&self) -> Result<Box<dyn Read + Send>> {
        let start = if let Some(Layer::Member(member)) = self.layers.first() { member.start } else { 0 };
        let file = self.place.open_at(&self.name, start)?;
        let mut reader: Box<dyn Read + Send> = Box::new(BufReader::with_capacity(BUFFER, file));
        for layer in &self.layers {
            reader = match layer {
                Layer::Gzip => Box::new(flate2::read::MultiGzDecoder::new(reader)),
                Layer::Zstd => Box::new(zstd::Decoder::new(reader).outside(|| format!("could not read `{}`", self.name))?),
                Layer::Member(member) => {
                    let packed = reader.take(member.packed);
                    let content: Box<dyn Read + Send> = match member.stored {
                        true => Box::new(packed),
                        false => Box::new(flate2::read::DeflateDecoder::new(packed)),
                    };
                    Box::new(Checked { content, crc: flate2::Crc::new(), left: member.size, expected: member.crc })
                }
            };
        }
        Ok(reader)
    }
}

/// Says that a file that is not packed cannot be read.
pub(super) fn unread(name: &str, error: io::Error) -> Error {
    ours(error).unwrap_or_else(|error| Error::outside(format!("could not read `{name}`")).because(error))
}

/// Says that a packed file cannot be read: what is wrong is its content, unless it did not come.
fn undone(name: &str, error: io::Error, message: String) -> Error {
    match ours(error) {
        Ok(error) => error.while_doing(format!("could not read `{name}`")),
        Err(error) => Error::data(message).because(error),
    }
}

/// Opens a file, with a message that says what is wrong.
pub(super) fn open_file(path: &Path, name: &str) -> Result<File> {
    let file = File::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Error::outside(format!("`{name}` does not exist")),
        io::ErrorKind::PermissionDenied => Error::outside(format!("`{name}` may not be read by this user"))
            .hint("give the user that runs this program permission to read it"),
        _ => Error::outside(format!("could not open `{name}`")).because(error),
    })?;
    Ok(file)
}

/// The decoded bytes of a file.
pub(super) struct Stream {
    reader: Box<dyn Read + Send>,
    name: Arc<str>,
    offset: u64,
    packed: bool,
}

impl Stream {
    /// The file, as the user would name it.
    pub(super) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Appends up to `bytes` bytes; answers whether the file has ended.
    pub(super) fn fill(&mut self, buffer: &mut Vec<u8>, bytes: usize) -> Result<bool> {
        buffer.reserve(bytes);
        let read = self.reader.by_ref().take(bytes as u64).read_to_end(buffer).map_err(|error| self.blame(error))?;
        self.offset += read as u64;
        Ok(read < bytes)
    }

    fn skip(&mut self, bytes: u64) -> Result<()> {
        let skipped = io::copy(&mut self.reader.by_ref().take(bytes), &mut io::sink()).map_err(|error| self.blame(error))?;
        self.offset += skipped;
        if skipped < bytes {
            return Err(Error::data(format!("`{}` has {skipped} bytes, but was read up to byte {bytes} before", self.name))
                .hint("the file has changed since the last run: start again without resuming"));
        }
        Ok(())
    }

    fn blame(&self, error: io::Error) -> Error {
        // What reads from elsewhere says itself what is wrong.
        let error = match error.downcast::<Error>() {
            Ok(error) => return error,
            Err(error) => error,
        };
        let Self { name, offset, packed, .. } = self;
        let error = match ours(error) {
            Ok(error) => return error,
            Err(error) => error,
        };
        if *packed {
            let message = format!("`{name}` is damaged or cut off: it unpacks up to byte {offset} of its content and no further");
            Error::data(message).because(error).hint("fetch or pack the file again")
        } else {
            Error::outside(format!("could not read `{name}` at byte {offset}")).because(error)
        }
    }
}

fn encoding_of(head: &[u8], given: Option<&'static Encoding>) -> (&'static Encoding, usize) {
    match head {
        [0xEF, 0xBB, 0xBF, ..] => (UTF_8, 3),
        [0xFF, 0xFE, ..] => (UTF_16LE, 2),
        [0xFE, 0xFF, ..] => (UTF_16BE, 2),
        _ => (given.unwrap_or(UTF_8), 0),
    }
}

fn transcode(reader: Box<dyn Read + Send>, encoding: &'static Encoding) -> Box<dyn Read + Send> {
    if encoding == UTF_8 {
        return reader;
    }
    let decoder = encoding.new_decoder_without_bom_handling();
    Box::new(Transcode {
        reader,
        decoder,
        raw: vec![0; BUFFER],
        raw_at: 0,
        raw_end: 0,
        text: vec![0; BUFFER],
        text_at: 0,
        text_end: 0,
        ended: false,
        finished: false,
    })
}

/// Turns another encoding into UTF-8. A sequence that means nothing becomes the byte 0xFF, so that its row is refused rather than altered.
struct Transcode {
    reader: Box<dyn Read + Send>,
    decoder: Decoder,
    raw: Vec<u8>,
    raw_at: usize,
    raw_end: usize,
    text: Vec<u8>,
    text_at: usize,
    text_end: usize,
    ended: bool,
    finished: bool,
}

impl Read for Transcode {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.text_at == self.text_end && !self.finished {
            if self.raw_at == self.raw_end && !self.ended {
                self.raw_at = 0;
                self.raw_end = self.reader.read(&mut self.raw)?;
                self.ended = self.raw_end == 0;
            }
            // One byte stays free for the mark of a sequence that means nothing.
            let room = self.text.len() - 1;
            let raw = &self.raw[self.raw_at..self.raw_end];
            let (result, read, written) = self.decoder.decode_to_utf8_without_replacement(raw, &mut self.text[..room], self.ended);
            self.raw_at += read;
            self.text_at = 0;
            self.text_end = written;
            match result {
                DecoderResult::Malformed(..) => {
                    self.text[written] = 0xFF;
                    self.text_end += 1;
                }
                DecoderResult::InputEmpty => self.finished = self.ended,
                DecoderResult::OutputFull => {}
            }
        }
        let length = out.len().min(self.text_end - self.text_at);
        out[..length].copy_from_slice(&self.text[self.text_at..self.text_at + length]);
        self.text_at += length;
        Ok(length)
    }
}

/// Holds a member of an archive to its size and check sum, so that a bomb or a damaged one is noticed.
struct Checked {
    content: Box<dyn Read + Send>,
    crc: flate2::Crc,
    left: u64,
    expected: u32,
}

impl Read for Checked {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.content.read(out)?;
        self.crc.update(&out[..read]);
        let wrong = |what| io::Error::new(io::ErrorKind::InvalidData, what);
        self.left = self.left.checked_sub(read as u64).ok_or_else(|| wrong("it is longer than the archive says"))?;
        if read == 0 && !out.is_empty() {
            if self.left > 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it is shorter than the archive says"));
            }
            if self.crc.sum() != self.expected {
                return Err(wrong("its check sum is not the one in the archive"));
            }
        }
        Ok(read)
    }
}
