//! JSON: documents whose list of records is streamed, and one object a line.

use std::sync::Arc;

use encoding_rs::Encoding;

use super::Chunk;
use super::cut::{Cutter, Found, Lines, ROW_LIMIT, Scan, Sizes, Text, TextCutter, TooLong};
use super::input::{Input, Stream};
use super::layout::{Layout, object};
use super::refuse::Bad;
use super::rows::{Parse, RowChunk, TextRows};
use super::tape::{Tape, parse_json};
use super::target::{Kind, Members};
use crate::batch::Position;
use crate::error::{Error, Result};

/// Members of a document that may hold its records, the first that is a list counts.
const LISTS: [&str; 5] = ["data", "results", "items", "records", "values"];
/// Rows of a later file that are looked at for new columns.
const PEEK: u64 = 100;

/// How the JSON files of a source are written.
#[derive(Clone, Debug)]
pub(super) struct Json {
    /// The encoding, where one is given.
    pub(super) encoding: Option<&'static Encoding>,
    /// Whether there is one object a line.
    pub(super) lines: bool,
    /// Where the records are within a document.
    pub(super) response_path: Option<String>,
}

/// Parses a record.
#[derive(Clone)]
pub(super) struct ParseJson;

impl Parse for ParseJson {
    fn parse<'a>(&self, text: &'a str, tape: &mut Tape<'a>) -> Result<(), Bad> {
        parse_json(text, tape)
    }
}

impl Json {
    /// Finds out what the columns are: from the first rows of the source, and for columns that they lack from the first rows of each later file.
    pub(super) fn infer(&self, inputs: &[Input], infer_rows: usize) -> Result<Members> {
        sample(inputs, infer_rows, ParseJson, |input| {
            let sizes = Sizes { batch_rows: infer_rows, exact: false, chunk_bytes: 256 << 10 };
            Ok(match self.lines {
                true => Sampler::Lines(TextCutter::new(input.open(self.encoding, 0)?, Lines, start(), sizes)),
                false => Sampler::Document(self.document(input, start(), sizes)?),
            })
        })
    }

    /// Cuts a file from a position on.
    pub(super) fn cutter(&self, input: &Input, layout: &Arc<Layout>, from: Position) -> Result<Box<dyn Cutter>> {
        let (layout_, source) = (layout.clone(), input.name.clone());
        let make = move |text: Text| chunk(text, ParseJson, &layout_, &source);
        let sizes = Sizes::of(layout);
        Ok(match self.lines {
            true => Box::new(TextCutter::new(input.open(self.encoding, from.offset)?, Lines, from, sizes).chunks(make)),
            false => Box::new(self.document(input, from, sizes)?.chunks(make)),
        })
    }

    /// Whether a document has a list of records; none where there is nothing at all.
    pub(super) fn has_list(&self, input: &Input) -> Result<Option<bool>> {
        let place = self.find_records(input)?;
        Ok((!place.empty).then_some(place.list))
    }

    fn document(&self, input: &Input, from: Position, sizes: Sizes) -> Result<TextCutter<Elements>> {
        let place = self.find_records(input)?;
        if place.empty {
            return Err(Error::data(format!("`{}` is not a JSON document: it is empty", input.name))
                .hint("no records are `[]`; `format: jsonl` reads one object a line, and none from an empty file"));
        }
        let scan = Elements { place, read: from.row > 0, name: input.name.clone(), depth: 0, at: 0, text: false, behind: None };
        let position = if from.offset < place.offset { Position { offset: place.offset, row: 0, line: place.line, ..from } } else { from };
        Ok(TextCutter::new(input.open(self.encoding, position.offset)?, scan, position, sizes))
    }

    /// Finds the list of records, or the one record.
    fn find_records(&self, input: &Input) -> Result<Place> {
        let mut cursor = Cursor {
            stream: input.open(self.encoding, 0)?,
            buffer: Vec::new(),
            at: 0,
            base: 0,
            line: 1,
            ended: false,
            name: input.name.clone(),
        };
        match &self.response_path {
            Some(path) => {
                let (mut walked, mut depth) = (String::new(), 0);
                for step in path.split('.').filter(|step| !step.is_empty() && *step != "$") {
                    cursor.enter(step, &walked, path)?;
                    if !walked.is_empty() {
                        walked.push('.');
                    }
                    walked.push_str(step);
                    depth += 1;
                }
                Ok(Place { depth, ..cursor.place()? })
            }
            None => {
                let start = cursor.place()?;
                if start.list || start.empty || cursor.peek()? != Some(b'{') {
                    return Ok(start);
                }
                Ok(cursor.first_list()?.unwrap_or(start))
            }
        }
    }
}

fn start() -> Position {
    Position { line: 1, ..Position::default() }
}

/// Makes a chunk of a piece of text.
pub(super) fn chunk<P: Parse>(text: Text, parse: P, layout: &Arc<Layout>, source: &Arc<str>) -> Box<dyn Chunk> {
    let (first, next) = (text.first.clone(), text.next.clone());
    let rows = TextRows::new(text, parse);
    Box::new(RowChunk { count: rows.count(), rows, first, next, layout: layout.clone(), source: source.clone() })
}

/// Gives the text of a sample.
pub(super) enum Sampler<S> {
    /// By lines.
    Lines(TextCutter<Lines>),
    /// By another scan.
    Document(TextCutter<S>),
}

/// Finds out what the columns are from text whose rows become tapes.
pub(super) fn sample<P: Parse, S: Scan>(
    inputs: &[Input],
    infer_rows: usize,
    parse: P,
    open: impl Fn(&Input) -> Result<Sampler<S>>,
) -> Result<Members> {
    use super::rows::Rows;
    let mut seen = Kind::Object(Members::default());
    let mut left = infer_rows as u64;
    for input in inputs {
        let later = left == 0;
        let mut room = if later { PEEK } else { left };
        let mut fresh = Kind::Object(Members::default());
        let mut sampler = open(input)?;
        while room > 0 {
            let text = match &mut sampler {
                Sampler::Lines(cutter) => cutter.text(room)?,
                Sampler::Document(cutter) => cutter.text(room)?,
            };
            let Some(text) = text else { break };
            let rows = TextRows::new(text, parse.clone());
            room -= rows.count() as u64;
            let mut tape = Tape::default();
            for row in 0..rows.count() {
                tape.nodes.clear();
                let into = if later { &mut fresh } else { &mut seen };
                if rows.parse(row, &mut tape).is_ok() && matches!(tape.nodes.first(), Some(super::tape::Node::Object(_))) {
                    tape.infer(0, into);
                }
            }
        }
        if later {
            if let Kind::Object(members) = &mut seen {
                members.add_new(object(fresh));
            }
        } else {
            left = room;
        }
    }
    Ok(object(seen).with_optional().seen_whole(left > 0))
}

/// Where the records of a document are.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// The first byte: behind the `[` of a list, else of the one record.
    offset: u64,
    line: u64,
    /// Whether it is a list.
    list: bool,
    /// Whether there is nothing at all.
    empty: bool,
    /// How many objects and lists are around it, which end behind it.
    depth: usize,
}

/// Finds the elements of a list, or the one record.
struct Elements {
    place: Place,
    /// Whether a row was read already.
    read: bool,
    name: Arc<str>,
    /// State within an element, so that each byte is looked at once.
    depth: usize,
    at: usize,
    text: bool,
    /// Once the records are over, how many values are still to end behind them.
    behind: Option<usize>,
}

impl Elements {
    fn wrong(&self, what: &str) -> Error {
        Error::data(format!("`{}` is not a JSON document: {what}", self.name))
    }

    /// Goes on within a text; answers whether it has to wait for what an escape is of.
    fn text_goes_on(&mut self, bytes: &[u8], at: &mut usize) -> bool {
        match memchr::memchr2(b'"', b'\\', &bytes[*at..]) {
            None => *at = bytes.len(),
            Some(found) if bytes[*at + found] == b'"' => {
                self.text = false;
                *at += found + 1;
            }
            Some(found) if *at + found + 1 >= bytes.len() => {
                *at += found;
                return true;
            }
            Some(found) => *at += found + 2,
        }
        false
    }

    /// Looks through what stands behind the records: a document that breaks off there, or another one, is none that was read.
    fn behind(&mut self, bytes: &[u8], mut open: usize, ended: bool) -> Result<Found> {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            if self.text {
                let waits = self.text_goes_on(bytes, &mut at);
                if waits {
                    break;
                }
                continue;
            }
            match byte {
                byte if byte.is_ascii_whitespace() => {}
                b'{' if open == 0 && (self.place.depth > 0 || !self.place.list) => {
                    return Err(self.wrong("several values follow each other").hint("one object a line is read by `format: jsonl`"));
                }
                _ if open == 0 && self.place.depth == 0 && self.place.list => {
                    return Err(self
                        .wrong("there is more text behind its list")
                        .hint("one file holds one list; `format: jsonl` reads one object a line"));
                }
                _ if open == 0 => return Err(self.wrong("there is more text behind the value")),
                b'"' => self.text = true,
                b'{' | b'[' => open += 1,
                b'}' | b']' => open -= 1,
                _ => {}
            }
            at += 1;
        }
        self.behind = Some(open);
        if !ended {
            return Ok(if at > 0 { Found::Nothing { next: at } } else { Found::More });
        }
        if open > 0 || self.text {
            return Err(self.wrong("it ends behind its records, within an object or a list").hint("the file is cut off: fetch it again"));
        }
        Ok(Found::End)
    }

    /// Looks for the end of the value that starts at `start`.
    fn end(&mut self, bytes: &[u8], start: usize, ended: bool) -> Result<Option<usize>> {
        let mut at = self.at.max(start);
        while let Some(&byte) = bytes.get(at) {
            if self.text {
                let waits = self.text_goes_on(bytes, &mut at);
                if !self.text && self.depth == 0 {
                    return Ok(Some(at));
                }
                if waits {
                    break;
                }
                continue;
            }
            match byte {
                b'"' => self.text = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' if self.depth == 0 => return Ok(Some(at)),
                b'}' | b']' => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        return Ok(Some(at + 1));
                    }
                }
                b',' if self.depth == 0 => return Ok(Some(at)),
                _ if self.depth == 0 && byte.is_ascii_whitespace() => return Ok(Some(at)),
                _ => {}
            }
            at += 1;
        }
        self.at = at;
        if ended {
            if self.depth > 0 || self.text {
                return Err(self.wrong("it ends within a record").hint("the file is cut off: fetch it again"));
            }
            return Ok(Some(bytes.len()));
        }
        Ok(None)
    }
}

impl Scan for Elements {
    const RANGES: bool = true;

    fn find(&mut self, bytes: &[u8], ended: bool) -> Result<Found> {
        let more = |next| if next > 0 && !ended { Found::Nothing { next } } else { Found::More };
        if self.place.empty {
            return Ok(Found::End);
        }
        if let Some(open) = self.behind {
            return self.behind(bytes, open, ended);
        }
        let Some(mut start) = bytes.iter().position(|byte| !byte.is_ascii_whitespace()) else {
            if ended && self.place.list {
                return Err(self.wrong("its list is not closed").hint("the file is cut off: fetch it again"));
            }
            if ended && self.place.depth > 0 {
                return Err(self
                    .wrong("it ends behind its record, within an object or a list")
                    .hint("the file is cut off: fetch it again"));
            }
            return Ok(if ended { Found::End } else { more(bytes.len()) });
        };
        if !self.place.list {
            if self.read {
                self.behind = Some(self.place.depth);
                return Ok(Found::Over);
            }
        } else {
            if bytes[start] == b']' {
                // The list itself is one more that ends.
                self.behind = Some(self.place.depth + 1);
                return Ok(Found::Over);
            }
            if self.read {
                if bytes[start] != b',' {
                    return Err(self.wrong("a `,` or `]` should stand between two records"));
                }
                match bytes[start + 1..].iter().position(|byte| !byte.is_ascii_whitespace()) {
                    Some(found) => start += 1 + found,
                    None if ended => return Err(self.wrong("its list is not closed").hint("the file is cut off: fetch it again")),
                    None => return Ok(Found::More),
                }
            }
            if matches!(bytes[start], b',' | b']' | b'}' | b':') {
                return Err(self.wrong(&format!("a record should stand where `{}` does", char::from(bytes[start]))));
            }
        }
        let Some(end) = self.end(bytes, start, ended)? else { return Ok(Found::More) };
        self.read = true;
        (self.at, self.depth, self.text) = (0, 0, false);
        Ok(Found::Row { start, end, next: end })
    }

    fn too_long(&self) -> TooLong {
        TooLong::Fail("a record")
    }
}

/// Walks down a document without keeping what it passes.
struct Cursor {
    stream: Stream,
    buffer: Vec<u8>,
    at: usize,
    /// Offset of the buffer's first byte.
    base: u64,
    line: u64,
    ended: bool,
    name: Arc<str>,
}

impl Cursor {
    fn wrong(&self, what: &str) -> Error {
        Error::data(format!("`{}` is not a JSON document: {what}, on line {}", self.name, self.line))
    }

    fn byte(&mut self) -> Result<Option<u8>> {
        while self.at >= self.buffer.len() {
            if self.ended {
                return Ok(None);
            }
            self.base += self.buffer.len() as u64;
            self.buffer.clear();
            self.at = 0;
            self.ended = self.stream.fill(&mut self.buffer, 128 << 10)?;
        }
        Ok(Some(self.buffer[self.at]))
    }

    fn step(&mut self) {
        self.line += u64::from(self.buffer[self.at] == b'\n');
        self.at += 1;
    }

    /// The next byte that is no blank.
    fn peek(&mut self) -> Result<Option<u8>> {
        while let Some(byte) = self.byte()? {
            if !byte.is_ascii_whitespace() {
                return Ok(Some(byte));
            }
            self.step();
        }
        Ok(None)
    }

    fn place(&mut self) -> Result<Place> {
        let first = self.peek()?;
        let list = first == Some(b'[');
        let offset = self.base + self.at as u64;
        Ok(Place { offset: offset + u64::from(list), line: self.line, list, empty: first.is_none(), depth: 0 })
    }

    /// Goes to the value of a member or to an item.
    fn enter(&mut self, step: &str, walked: &str, path: &str) -> Result<()> {
        let place = if walked.is_empty() { "the document".to_owned() } else { format!("`{walked}`") };
        let missing = |cursor: &Self, what: String| Error::data(format!("`response_path` is `{path}`, but in `{}` {what}", cursor.name));
        match self.peek()? {
            Some(b'{') => {
                let mut keys = Vec::new();
                self.step();
                while let Some(key) = self.key()? {
                    if key == step {
                        return Ok(());
                    }
                    if keys.len() < 20 {
                        keys.push(format!("`{key}`"));
                    }
                    self.skip()?;
                }
                Err(missing(self, format!("{place} has no `{step}`; it has {}", keys.join(", "))))
            }
            Some(b'[') => {
                let Ok(index) = step.parse::<usize>() else {
                    return Err(missing(self, format!("{place} is a list, of which `{step}` is no index")));
                };
                self.step();
                for number in 0.. {
                    if self.peek()? == Some(b']') {
                        return Err(missing(self, format!("{place} has {number} items, none of index {index}")));
                    }
                    if number == index {
                        return Ok(());
                    }
                    self.skip()?;
                    if self.peek()? == Some(b',') {
                        self.step();
                    }
                }
                Ok(())
            }
            _ => Err(missing(self, format!("{place} is neither an object nor a list"))),
        }
    }

    /// Finds the list that a document without `response_path` means; stands at its `{`.
    fn first_list(&mut self) -> Result<Option<Place>> {
        let mut found: Option<(usize, Place)> = None;
        self.step();
        while let Some(key) = self.key()? {
            let rank = LISTS.iter().position(|list| *list == key);
            let place = self.place()?;
            if let Some(rank) = rank
                && place.list
                && found.is_none_or(|(best, _)| rank < best)
            {
                found = Some((rank, Place { depth: 1, ..place }));
                if rank == 0 {
                    break;
                }
            }
            self.skip()?;
        }
        Ok(found.map(|(_, place)| place))
    }

    /// The next key of an object, up to its value; none where the object ends.
    fn key(&mut self) -> Result<Option<String>> {
        if self.peek()? == Some(b',') {
            self.step();
        }
        match self.peek()? {
            Some(b'}') => Ok(None),
            Some(b'"') => {
                let raw = self.string(true)?;
                if self.peek()? != Some(b':') {
                    return Err(self.wrong("a `:` should follow a key"));
                }
                self.step();
                serde_json::from_slice(&raw).map(Some).map_err(|error| self.wrong("a key cannot be read").because(error))
            }
            Some(_) => Err(self.wrong("a key in quotes should stand here")),
            None => Err(self.wrong("it ends within an object")),
        }
    }

    fn string(&mut self, keep: bool) -> Result<Vec<u8>> {
        let mut raw = Vec::new();
        let mut escaped = false;
        let mut opened = false;
        while let Some(byte) = self.byte()? {
            if keep {
                raw.push(byte);
                if raw.len() > ROW_LIMIT {
                    return Err(self.wrong("a key is longer than 16 MiB"));
                }
            }
            self.step();
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' if opened => return Ok(raw),
                b'"' => opened = true,
                _ => {}
            }
        }
        Err(self.wrong("it ends within a text"))
    }

    /// Passes a value.
    fn skip(&mut self) -> Result<()> {
        let mut depth = 0usize;
        self.peek()?;
        while let Some(byte) = self.byte()? {
            match byte {
                b'"' => {
                    self.string(false)?;
                    if depth == 0 {
                        return Ok(());
                    }
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' if depth == 0 => return Ok(()),
                b'}' | b']' => {
                    depth -= 1;
                    if depth == 0 {
                        self.step();
                        return Ok(());
                    }
                }
                b',' if depth == 0 => return Ok(()),
                _ => {}
            }
            self.step();
        }
        Err(self.wrong("it ends within a value"))
    }
}
