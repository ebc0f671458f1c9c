//! The tree of a YAML text, from what its parser meets.

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput};

use super::{Key, Node, Value};
use crate::config::problem::{Findings, Problem};
use crate::config::scalar::resolve;
use crate::error::Place;

/// Bytes that a file may have.
const MAX_BYTES: usize = 1 << 20;
/// Levels that a file may have.
const MAX_DEPTH: usize = 64;
/// Nodes that a file may have once its aliases are written out.
const MAX_NODES: usize = 100_000;

/// Reads the first document of a text. An empty one is an empty mapping.
///
/// What is wrong is noted; the answer is absent where nothing can be said about the rest of the file.
pub(in crate::config) fn parse(text: &str, findings: &mut Findings) -> Option<Node> {
    let mut builder = Builder::new(text, findings)?;
    match builder.document() {
        Ok(node) => {
            let mut node = node.unwrap_or(Node { value: Value::Null, raw: None, block: None, line: 1, column: 1, path: String::new() });
            if node.is_null() {
                node.value = Value::Map(Vec::new());
            }
            assign_paths(&mut node, "");
            Some(node)
        }
        Err(problem) => {
            findings.problems.push(*problem);
            None
        }
    }
}

/// Reads all documents of a text; empty ones are left out.
///
/// What is wrong is noted; the answer is absent where nothing can be said about the rest of the file.
pub(in crate::config) fn parse_all(text: &str, findings: &mut Findings) -> Option<Vec<Node>> {
    let mut builder = Builder::new(text, findings)?;
    let mut nodes = Vec::new();
    loop {
        match builder.document() {
            Ok(Some(mut node)) => {
                assign_paths(&mut node, "");
                nodes.push(node);
            }
            Ok(None) => break,
            Err(problem) => {
                findings.problems.push(*problem);
                return None;
            }
        }
    }
    nodes.retain(|node| !node.is_null());
    Some(nodes)
}

type Built<T> = Result<T, Box<Problem>>;

struct Builder<'a> {
    text: &'a str,
    parser: Parser<'a, StrInput<'a>>,
    anchors: Vec<(usize, Option<(Node, usize)>)>,
    nodes: usize,
    findings: &'a mut Findings,
}

impl<'a> Builder<'a> {
    /// Starts with a text, unless it is too long, which is noted.
    fn new(text: &'a str, findings: &'a mut Findings) -> Option<Self> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if text.len() > MAX_BYTES {
            let place = Place { file: findings.file.clone(), ..Place::default() };
            findings.wrong_at(place, format!("the file has {} bytes, but must have at most {MAX_BYTES}", text.len()));
            return None;
        }
        Some(Self { text, parser: Parser::new_from_str(text), anchors: Vec::new(), nodes: 0, findings })
    }

    /// The next document; none where there are no more.
    fn document(&mut self) -> Built<Option<Node>> {
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(None),
                Event::Nothing | Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd => {}
                event => {
                    let node = self.node(event, span, 0)?;
                    // What follows within the document must be sound too.
                    self.next()?;
                    return Ok(Some(node));
                }
            }
        }
    }

    /// Where the lines of a literal text stand.
    fn block(&self, text: &str, span: Span) -> Option<(usize, usize)> {
        let blank = text.lines().take_while(|line| line.is_empty()).count();
        let line = text.lines().nth(blank)?;
        let mut lines = self.text.lines().enumerate().skip(span.start.line().saturating_sub(1));
        let (number, found) = lines.find(|(_, found)| found.ends_with(line) && found[..found.len() - line.len()].trim().is_empty())?;
        Some((number + 1 - blank, found.len() - line.len()))
    }

    fn next(&mut self) -> Built<(Event<'static>, Span)> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => Ok((owned(event), span)),
            Some(Err(error)) => Err(self.syntax(&error)),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn node(&mut self, event: Event<'static>, span: Span, depth: usize) -> Built<Node> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(self.wrong(span, format!("the file has more than {MAX_NODES} values once its aliases are written out")));
        }
        if depth > MAX_DEPTH {
            return Err(self.wrong(span, format!("values are nested more than {MAX_DEPTH} levels deep")));
        }
        let mut block = None;
        let (value, raw, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                if style == ScalarStyle::Literal {
                    block = self.block(&text, span);
                }
                let as_text = tag.as_ref().is_some_and(|tag| tag.suffix == "str");
                match style {
                    ScalarStyle::Plain if !as_text => (resolve(&text), Some(text.into_owned()), anchor),
                    _ => (Value::Text(text.into_owned()), None, anchor),
                }
            }
            Event::SequenceStart(anchor, _) => {
                self.open(anchor);
                let mut items = Vec::new();
                loop {
                    match self.next()? {
                        (Event::SequenceEnd, _) => break,
                        (event, span) => items.push(self.node(event, span, depth + 1)?),
                    }
                }
                (Value::List(items), None, anchor)
            }
            Event::MappingStart(anchor, _) => {
                self.open(anchor);
                (self.mapping(depth)?, None, anchor)
            }
            Event::Alias(anchor) => return self.alias(anchor, span),
            Event::StreamEnd | Event::DocumentEnd => return Err(self.wrong(span, "the file ends in the middle of a value".into())),
            _ => return Err(self.wrong(span, "this is not YAML".into())),
        };
        let node = Node { value, raw, block, line: span.start.line(), column: span.start.col() + 1, path: String::new() };
        if anchor > 0 {
            let size = count(&node);
            self.anchors.retain(|(id, _)| *id != anchor);
            self.anchors.push((anchor, Some((node.clone(), size))));
        }
        Ok(node)
    }

    fn open(&mut self, anchor: usize) {
        if anchor > 0 {
            self.anchors.push((anchor, None));
        }
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Built<Node> {
        match self.anchors.iter().find(|(id, _)| *id == anchor) {
            Some((_, Some((node, size)))) => {
                let node = node.clone();
                self.nodes += size;
                match self.nodes > MAX_NODES {
                    true => Err(self.wrong(span, format!("the file has more than {MAX_NODES} values once its aliases are written out"))),
                    false => Ok(node),
                }
            }
            _ => Err(self.wrong(span, "this alias stands within the value that it repeats".into())),
        }
    }

    fn mapping(&mut self, depth: usize) -> Built<Value> {
        let mut entries: Vec<(Key, Node)> = Vec::new();
        let mut merged: Vec<(Key, Node)> = Vec::new();
        loop {
            let (event, span) = self.next()?;
            let (name, plain) = match event {
                Event::MappingEnd => break,
                Event::Scalar(text, style, anchor, _) => {
                    if anchor > 0 {
                        let node = Node {
                            value: resolve(&text),
                            raw: Some(text.to_string()),
                            block: None,
                            line: span.start.line(),
                            column: span.start.col() + 1,
                            path: String::new(),
                        };
                        self.anchors.push((anchor, Some((node, 1))));
                    }
                    (text.into_owned(), style == ScalarStyle::Plain)
                }
                Event::Alias(anchor) => {
                    let node = self.alias(anchor, span)?;
                    match node.text() {
                        Some(text) => (text.to_owned(), false),
                        None => return Err(self.wrong(span, "a key must be a text".into())),
                    }
                }
                _ => {
                    let problem = self.wrong(span, "a key must be a text, not a list or a mapping".into());
                    return Err(Box::new(problem.hint("put a text that holds `{` or `[` in quotes")));
                }
            };
            let key = Key { written: name.clone(), name, line: span.start.line(), column: span.start.col() + 1 };
            let (event, span) = self.next()?;
            let mut value = self.node(event, span, depth + 1)?;
            if plain && key.name == "<<" {
                self.merge(value, &mut merged);
                continue;
            }
            if value.raw.as_deref() == Some("") {
                // An empty value has no place of its own.
                (value.line, value.column) = (key.line, key.column);
            }
            match entries.iter().find(|(other, _)| other.name == key.name) {
                Some((other, _)) => {
                    let place = Place { file: self.findings.file.clone(), line: key.line, column: key.column, key: key.name.clone() };
                    let message = format!("`{}` stands twice in one mapping, on lines {} and {}", key.name, other.line, key.line);
                    self.findings.wrong_at(place, message).hint = Some("keep one of them".into());
                }
                None => entries.push((key, value)),
            }
        }
        for (key, value) in merged {
            if !entries.iter().any(|(other, _)| other.name == key.name) {
                entries.push((key, value));
            }
        }
        Ok(Value::Map(entries))
    }

    /// Takes the entries of a `<<`: a mapping, or several of which the first ones win.
    fn merge(&mut self, value: Node, merged: &mut Vec<(Key, Node)>) {
        match value.value {
            Value::Map(entries) => {
                for (key, value) in entries {
                    if !merged.iter().any(|(other, _)| other.name == key.name) {
                        merged.push((key, value));
                    }
                }
            }
            Value::List(items) if items.iter().all(Node::is_map) => items.into_iter().for_each(|item| self.merge(item, merged)),
            _ => {
                let place = Place { file: self.findings.file.clone(), line: value.line, column: value.column, key: "<<".into() };
                self.findings.wrong_at(place, "`<<` takes a mapping or a list of mappings");
            }
        }
    }

    fn wrong(&self, span: Span, message: String) -> Box<Problem> {
        let place = Place { file: self.findings.file.clone(), line: span.start.line(), column: span.start.col() + 1, key: String::new() };
        Box::new(Problem::new(place, message))
    }

    fn syntax(&self, error: &ScanError) -> Box<Problem> {
        let marker = error.marker();
        let place = Place { file: self.findings.file.clone(), line: marker.line(), column: marker.col() + 1, key: String::new() };
        let (message, hint) = plain_words(error.info());
        let problem = Problem::new(place, message);
        Box::new(match hint {
            Some(hint) => problem.hint(hint),
            None => problem,
        })
    }
}

/// Says a syntax error in words that do not need the grammar.
fn plain_words(info: &str) -> (String, Option<&'static str>) {
    let (message, hint) = match info {
        info if info.contains("tab") => ("a tab indents this line".to_owned(), "indent with blanks"),
        info if info.contains("mapping values are not allowed") => (
            "a second `:` makes a mapping where none may stand".to_owned(),
            "put a text that holds `: ` in quotes, and check the indentation",
        ),
        info if info.contains("illegal placement of ':'") => {
            ("a `:` stands where none may".to_owned(), "close the `[` or `{` before it, or put a text that holds `:` in quotes")
        }
        info if info.contains("recursion limit") => ("values are nested too deep".to_owned(), "a file needs few levels"),
        info if info.contains("simple key expected")
            || info.contains("simple key expect ':'")
            || info.contains("could not find expected ':'") =>
        {
            (
                "a key without a `:` after it".to_owned(),
                "check this line and the one before: a missing `:`, a wrong indentation or an open quote",
            )
        }
        info if info.contains("unknown anchor") => {
            ("this alias names an anchor that does not exist before it".to_owned(), "put a text that starts with `*` in quotes")
        }
        info if info.contains("did not find expected key") || info.contains("block end") || info.contains("block mapping") => {
            ("the indentation of this line fits nothing above it".to_owned(), "align it with the keys that it belongs to")
        }
        info if info.contains("quoted scalar") || info.contains("unclosed quote") => {
            ("a quote is not closed".to_owned(), "close it, or double it to have it in the text")
        }
        info if info.contains("flow") || info.contains("bracket") || info.contains("',' or") => {
            ("a `[` or `{` is not closed, or a comma is missing".to_owned(), "close it, or put the text in quotes")
        }
        info if info.contains("invalid escape") || info.contains("unknown escape") => {
            ("an escape that double quotes do not know".to_owned(), "write `\\\\` for a backslash, or use single quotes")
        }
        info => return (format!("this is not YAML: {info}"), None),
    };
    (message, Some(hint))
}

fn owned(event: Event<'_>) -> Event<'static> {
    use std::borrow::Cow;
    let own = |tag: Option<Cow<'_, saphyr_parser::Tag>>| tag.map(|tag| Cow::Owned(tag.into_owned()));
    match event {
        Event::Nothing => Event::Nothing,
        Event::StreamStart => Event::StreamStart,
        Event::StreamEnd => Event::StreamEnd,
        Event::DocumentStart(explicit) => Event::DocumentStart(explicit),
        Event::DocumentEnd => Event::DocumentEnd,
        Event::Alias(anchor) => Event::Alias(anchor),
        Event::Scalar(text, style, anchor, tag) => Event::Scalar(Cow::Owned(text.into_owned()), style, anchor, own(tag)),
        Event::SequenceStart(anchor, tag) => Event::SequenceStart(anchor, own(tag)),
        Event::SequenceEnd => Event::SequenceEnd,
        Event::MappingStart(anchor, tag) => Event::MappingStart(anchor, own(tag)),
        Event::MappingEnd => Event::MappingEnd,
    }
}

fn count(node: &Node) -> usize {
    1 + match &node.value {
        Value::List(items) => items.iter().map(count).sum(),
        Value::Map(entries) => entries.iter().map(|(_, value)| count(value)).sum(),
        _ => 0,
    }
}

fn assign_paths(node: &mut Node, path: &str) {
    node.path = path.to_owned();
    match &mut node.value {
        Value::List(items) => items.iter_mut().enumerate().for_each(|(index, item)| assign_paths(item, &format!("{path}[{index}]"))),
        Value::Map(entries) => entries.iter_mut().for_each(|(key, value)| match path {
            "" => assign_paths(value, &key.written),
            path => assign_paths(value, &format!("{path}.{}", key.written)),
        }),
        _ => {}
    }
}
