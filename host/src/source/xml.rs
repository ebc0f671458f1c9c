//! XML: a stream of record elements.
//!
//! Records are the children of the root element, or the elements named by `record_tag`, wherever they are. An attribute `a` is the column `@a`; a child element is a
//! column, an object where it has attributes or children itself, a list where it occurs several times; an empty element is null. Text beside attributes or children
//! is `#text`. Types are inferred from the text as in CSV. Declarations of name spaces are left out, prefixes stay.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use encoding_rs::Encoding;
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

use super::cut::{Cutter, Found, Scan, Sizes, Text, TextCutter, TooLong};
use super::input::Input;
use super::json::{Sampler, chunk, sample};
use super::layout::Layout;
use super::refuse::Bad;
use super::rows::Parse;
use super::tape::{DEPTH_LIMIT, Node, Tape};
use super::target::Members;
use crate::batch::Position;
use crate::error::{Error, Result};

/// How the XML files of a source are written.
#[derive(Clone, Debug)]
pub(super) struct Xml {
    /// Name of the elements that are records.
    pub(super) record_tag: Option<String>,
}

impl Xml {
    /// Finds out what the columns are.
    pub(super) fn infer(&self, inputs: &[Input], infer_rows: usize) -> Result<Members> {
        sample(inputs, infer_rows, ParseXml, |input| {
            let sizes = Sizes { batch_rows: infer_rows, exact: false, chunk_bytes: 256 << 10 };
            let position = Position { line: 1, ..Position::default() };
            Ok(Sampler::Document(self.cut(input, position, sizes)?))
        })
    }

    /// Cuts a file from a position on.
    pub(super) fn cutter(&self, input: &Input, layout: &Arc<Layout>, from: Position) -> Result<Box<dyn Cutter>> {
        let (layout_, source) = (layout.clone(), input.name.clone());
        let make = move |text: Text| chunk(text, ParseXml, &layout_, &source);
        Ok(Box::new(self.cut(input, from, Sizes::of(layout))?.chunks(make)))
    }

    fn cut(&self, input: &Input, from: Position, sizes: Sizes) -> Result<TextCutter<Elements>> {
        let scan = Elements { record_tag: self.record_tag.clone(), inside: from.row > 0, done: false, name: input.name.clone() };
        Ok(TextCutter::new(input.open(declared_encoding(input)?, from.offset)?, scan, from, sizes))
    }
}

/// The encoding that the first line declares.
fn declared_encoding(input: &Input) -> Result<Option<&'static Encoding>> {
    let mut head = Vec::new();
    input.open(None, 0)?.fill(&mut head, 256)?;
    let head = String::from_utf8_lossy(&head);
    let declaration = head.strip_prefix("<?xml").and_then(|rest| rest.split_once("?>")).map(|(declaration, _)| declaration);
    let Some((_, rest)) = declaration.and_then(|declaration| declaration.split_once("encoding")) else { return Ok(None) };
    let label = rest.trim_start_matches([' ', '=', '\t']).get(1..).and_then(|rest| rest.split(['"', '\'']).next()).unwrap_or_default();
    match Encoding::for_label(label.as_bytes()) {
        // A declaration in plain bytes cannot be UTF-16; where the file is, its byte order mark says so.
        Some(encoding) => Ok(Some(encoding.output_encoding())),
        None => Err(Error::data(format!("`{}` declares the encoding `{label}`, which is not known", input.name))),
    }
}

/// Finds record elements.
struct Elements {
    record_tag: Option<String>,
    /// Whether the root element was opened.
    inside: bool,
    done: bool,
    name: Arc<str>,
}

/// A piece of mark-up.
#[derive(Debug, PartialEq, Eq)]
enum Markup<'a> {
    Open { name: &'a [u8], empty: bool },
    Close,
    Other,
}

impl Elements {
    fn cut_off(&self, what: &str) -> Error {
        Error::data(format!("`{}` is not an XML document: it ends within {what}", self.name)).hint("the file is cut off: fetch it again")
    }
}

/// Reads the mark-up that starts at `at`; answers it and where it ends, or none where more bytes are needed.
fn markup(bytes: &[u8], at: usize) -> Option<(Markup<'_>, usize)> {
    let rest = &bytes[at..];
    let behind = |end: &[u8], from: usize| memchr::memmem::find(rest.get(from..)?, end).map(|found| at + from + found + end.len());
    if rest.starts_with(b"<!--") {
        return Some((Markup::Other, behind(b"-->", 4)?));
    }
    if rest.starts_with(b"<![CDATA[") {
        return Some((Markup::Other, behind(b"]]>", 9)?));
    }
    if rest.starts_with(b"<?") {
        return Some((Markup::Other, behind(b"?>", 2)?));
    }
    if rest.len() < 9 && b"<![CDATA[".starts_with(&rest[..rest.len().min(9)]) {
        return None;
    }
    let mut quote = None;
    let mut brackets = 0usize;
    for (offset, &byte) in rest.iter().enumerate().skip(1) {
        match (quote, byte) {
            (Some(open), _) if open == byte => quote = None,
            (Some(_), _) => {}
            (None, b'"' | b'\'') => quote = Some(byte),
            (None, b'[') if rest[1] == b'!' => brackets += 1,
            (None, b']') if rest[1] == b'!' => brackets = brackets.saturating_sub(1),
            (None, b'>') if brackets == 0 => {
                let found = match rest[1] {
                    b'!' => Markup::Other,
                    b'/' => Markup::Close,
                    _ => {
                        let name = &rest[1..offset];
                        let end = name.iter().position(|byte| byte.is_ascii_whitespace() || *byte == b'/').unwrap_or(name.len());
                        Markup::Open { name: &name[..end], empty: rest[offset - 1] == b'/' }
                    }
                };
                return Some((found, at + offset + 1));
            }
            _ => {}
        }
    }
    None
}

/// Where the element that starts at `start` ends.
fn element_end(bytes: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    let mut depth = 0usize;
    loop {
        at += memchr::memchr(b'<', &bytes[at..])?;
        let (found, end) = markup(bytes, at)?;
        match found {
            Markup::Open { empty: false, .. } => depth += 1,
            Markup::Close => depth = depth.saturating_sub(1),
            Markup::Open { .. } | Markup::Other => {}
        }
        at = end;
        if depth == 0 && found != Markup::Other {
            return Some(end);
        }
    }
}

impl Scan for Elements {
    const RANGES: bool = true;

    fn find(&mut self, bytes: &[u8], ended: bool) -> Result<Found> {
        if self.done {
            return Ok(Found::End);
        }
        let mut at = 0;
        loop {
            let Some(open) = memchr::memchr(b'<', &bytes[at..]).map(|found| at + found) else {
                if !ended {
                    return Ok(if bytes.is_empty() { Found::More } else { Found::Nothing { next: bytes.len() } });
                }
                let text = bytes[at..].iter().any(|byte| !byte.is_ascii_whitespace());
                return match (self.inside && self.record_tag.is_none(), text) {
                    (true, _) => Err(self.cut_off("its root element")),
                    (false, true) if !self.inside => {
                        Err(Error::data(format!("`{}` is not an XML document: it has text and no element", self.name)))
                    }
                    _ => Ok(Found::End),
                };
            };
            let Some((found, end)) = markup(bytes, open) else {
                return match (ended, open) {
                    (true, _) => Err(self.cut_off("a tag")),
                    (false, 0) => Ok(Found::More),
                    (false, _) => Ok(Found::Nothing { next: open }),
                };
            };
            let record = match (&found, &self.record_tag) {
                (Markup::Open { name, .. }, Some(tag)) => *name == tag.as_bytes(),
                (Markup::Open { .. }, None) => self.inside,
                _ => false,
            };
            if record {
                return match element_end(bytes, open) {
                    Some(end) => {
                        self.inside = true;
                        Ok(Found::Row { start: open, end, next: end })
                    }
                    None if ended => Err(self.cut_off("a record")),
                    None if open == 0 => Ok(Found::More),
                    None => Ok(Found::Nothing { next: open }),
                };
            }
            if self.record_tag.is_none() {
                match found {
                    Markup::Open { empty, .. } => {
                        self.inside = true;
                        self.done = empty;
                    }
                    Markup::Close => self.done = true,
                    Markup::Other => {}
                }
                if self.done {
                    return Ok(Found::End);
                }
            } else if let Markup::Open { .. } = found {
                self.inside = true;
            }
            at = end;
        }
    }

    fn too_long(&self) -> TooLong {
        TooLong::Fail("a record")
    }
}

/// Parses a record element.
#[derive(Clone)]
pub(super) struct ParseXml;

impl Parse for ParseXml {
    fn parse<'a>(&self, text: &'a str, tape: &mut Tape<'a>) -> Result<(), Bad> {
        tape.lists_of_one = true;
        let mut reader = Reader::from_str(text);
        let wrong = |error: &dyn std::fmt::Display| Bad::row("invalid_xml", format!("is not XML: {error}"));
        loop {
            match reader.read_event().map_err(|error| wrong(&error))? {
                Event::Start(start) => {
                    let element = element(&mut reader, &start, 0)?;
                    match element {
                        Element { members, text, .. } if members.is_empty() => {
                            let record = tape.open(Node::Object(0));
                            if !text.is_empty() {
                                tape.nodes.push(Node::Key("#text".into()));
                                tape.nodes.push(Node::Loose(text.into()));
                            }
                            tape.close(record);
                        }
                        element => element.put(tape),
                    }
                    return Ok(());
                }
                Event::Empty(start) => {
                    let record = tape.open(Node::Object(0));
                    let mut empty = Element::default();
                    empty.attributes(&start)?;
                    empty.put_members(tape);
                    tape.close(record);
                    return Ok(());
                }
                Event::Eof => return Err(wrong(&"there is no element")),
                _ => {}
            }
        }
    }
}

/// An element's attributes, children and text.
#[derive(Default)]
struct Element<'a> {
    members: Vec<(Cow<'a, str>, Vec<Element<'a>>)>,
    text: String,
    /// The text from the first reference to the last one, whose blanks are meant.
    meant: Option<Range<usize>>,
}

impl<'a> Element<'a> {
    fn add(&mut self, name: Cow<'a, str>, element: Element<'a>) {
        match self.members.iter_mut().find(|(known, _)| *known == name) {
            Some((_, elements)) => elements.push(element),
            None => self.members.push((name, vec![element])),
        }
    }

    /// Adds what a reference stands for.
    fn mean(&mut self, text: &str) {
        let start = self.meant.as_ref().map_or(self.text.len(), |meant| meant.start);
        self.text.push_str(text);
        self.meant = Some(start..self.text.len());
    }

    /// Drops the blanks around the text, those that are meant aside.
    fn trim(&mut self) {
        let blank = |letter: char| letter.is_ascii_whitespace();
        let Range { start, end } = self.meant.clone().unwrap_or(self.text.len()..0);
        let last = self.text.trim_end_matches(blank).len().max(end);
        self.text.truncate(last);
        let first = (self.text.len() - self.text.trim_start_matches(blank).len()).min(start);
        self.text.drain(..first);
    }

    fn attributes(&mut self, start: &BytesStart<'_>) -> Result<(), Bad> {
        for attribute in start.attributes() {
            let attribute = attribute.map_err(|error| Bad::row("invalid_xml", format!("is not XML: {error}")))?;
            let name = attribute.key.0;
            if name == "xmlns" || name.starts_with("xmlns:") || name == "xsi:nil" {
                continue;
            }
            let value = attribute.normalized_value(XmlVersion::Implicit1_0);
            let text = value.map_err(|error| Bad::row("invalid_xml", format!("is not XML: {error}")))?.into_owned();
            self.add(Cow::Owned(format!("@{name}")), Element { text, ..Element::default() });
        }
        Ok(())
    }

    fn put(self, tape: &mut Tape<'a>) {
        if self.members.is_empty() {
            tape.nodes.push(if self.text.is_empty() { Node::Null } else { Node::Loose(self.text.into()) });
            return;
        }
        let object = tape.open(Node::Object(0));
        self.put_members(tape);
        tape.close(object);
    }

    fn put_members(self, tape: &mut Tape<'a>) {
        for (name, mut elements) in self.members {
            tape.nodes.push(Node::Key(name));
            if elements.len() == 1 {
                elements.remove(0).put(tape);
            } else {
                let list = tape.open(Node::List(0));
                elements.into_iter().for_each(|element| element.put(tape));
                tape.close(list);
            }
        }
        if !self.text.is_empty() {
            tape.nodes.push(Node::Key("#text".into()));
            tape.nodes.push(Node::Loose(self.text.into()));
        }
    }
}

/// Reads an element up to its closing tag.
fn element<'a>(reader: &mut Reader<&'a [u8]>, start: &BytesStart<'_>, depth: usize) -> Result<Element<'a>, Bad> {
    if depth >= DEPTH_LIMIT {
        return Err(Bad::row("too_deep", format!("is nested more than {DEPTH_LIMIT} levels deep")));
    }
    let wrong = |error: &dyn std::fmt::Display| Bad::row("invalid_xml", format!("is not XML: {error}"));
    let mut element_ = Element::default();
    element_.attributes(start)?;
    loop {
        match reader.read_event().map_err(|error| wrong(&error))? {
            Event::Start(child) => {
                let inner = element(reader, &child, depth + 1)?;
                element_.add(Cow::Owned(child.name().0.to_owned()), inner);
            }
            Event::Empty(child) => {
                let mut inner = Element::default();
                inner.attributes(&child)?;
                element_.add(Cow::Owned(child.name().0.to_owned()), inner);
            }
            Event::End(_) => {
                element_.trim();
                return Ok(element_);
            }
            Event::Text(text) => element_.text.push_str(&text.xml10_content()),
            Event::CData(text) => element_.text.push_str(&text.xml10_content()),
            Event::GeneralRef(reference) => match reference.resolve_char_ref().map_err(|error| wrong(&error))? {
                Some(character) => element_.mean(character.encode_utf8(&mut [0; 4])),
                None => {
                    let name = reference.xml10_content();
                    let text = quick_xml::escape::resolve_xml_entity(&name)
                        .ok_or_else(|| wrong(&format!("`&{name};` is not known, only the entities of XML itself are")))?;
                    element_.mean(text);
                }
            },
            Event::Eof => return Err(wrong(&"it ends within an element")),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
        }
    }
}
