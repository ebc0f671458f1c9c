//! A row of nested values, flat: what JSON, XML and worksheets are parsed into before they become columns.

use std::borrow::Cow;
use std::fmt::Write;

use super::refuse::Bad;
use super::scalar;
use super::target::{Kind, Members};

/// Levels of nesting that a row may have.
pub(super) const DEPTH_LIMIT: usize = 64;

/// One value or key. An object is its node, then key and value in turn; a list its node, then the items.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node<'a> {
    /// Nothing.
    Null,
    /// A truth value.
    Bool(bool),
    /// A number as it is written.
    Number(&'a str),
    /// An integer.
    Int(i64),
    /// A float.
    Float(f64),
    /// An instant, microseconds since 1970.
    Instant(i64),
    /// A text.
    Text(Cow<'a, str>),
    /// A text whose type is yet to be told, as in CSV.
    Loose(Cow<'a, str>),
    /// The key of the value that follows.
    Key(Cow<'a, str>),
    /// An object, up to this index.
    Object(usize),
    /// A list, up to this index.
    List(usize),
}

/// The nodes of one row.
#[derive(Debug, Default)]
pub(super) struct Tape<'a> {
    /// The nodes.
    pub(super) nodes: Vec<Node<'a>>,
    /// Whether a value may be a list of one, as in XML, where a single element does not tell.
    pub(super) lists_of_one: bool,
}

impl<'a> Tape<'a> {
    /// The index behind the value at `at`.
    pub(super) fn end(&self, at: usize) -> usize {
        match self.nodes[at] {
            Node::Object(end) | Node::List(end) => end,
            _ => at + 1,
        }
    }

    /// Starts an object or list; it is to be closed.
    pub(super) fn open(&mut self, node: Node<'a>) -> usize {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    /// Closes what [`Tape::open`] started.
    pub(super) fn close(&mut self, at: usize) {
        let end = self.nodes.len();
        if let Node::Object(slot) | Node::List(slot) = &mut self.nodes[at] {
            *slot = end;
        }
    }

    /// The members of the object at `at`: each key, and the index of its value.
    pub(super) fn members(&self, at: usize) -> impl Iterator<Item = (&str, usize)> {
        let end = self.end(at);
        let mut next = at + 1;
        std::iter::from_fn(move || {
            if next >= end {
                return None;
            }
            let Node::Key(key) = &self.nodes[next] else { return None };
            let value = next + 1;
            next = self.end(value);
            Some((key.as_ref(), value))
        })
    }

    /// The items of the list at `at`.
    pub(super) fn items(&self, at: usize) -> impl Iterator<Item = usize> {
        let end = self.end(at);
        let mut next = at + 1;
        std::iter::from_fn(move || {
            let item = next;
            (item < end).then(|| {
                next = self.end(item);
                item
            })
        })
    }

    /// Widens a kind to hold the value at `at`.
    pub(super) fn infer(&self, at: usize, kind: &mut Kind) {
        if self.lists_of_one && self.nodes[at] != Node::Null {
            match (&self.nodes[at], &mut *kind) {
                (Node::List(_), Kind::List(_) | Kind::Null | Kind::Json) => {}
                (Node::List(_), kind) => *kind = Kind::List(Box::new(std::mem::take(kind))),
                (_, Kind::List(items)) => return self.infer(at, items),
                _ => {}
            }
        }
        match &self.nodes[at] {
            Node::Null | Node::Key(_) => {}
            Node::Bool(_) => kind.join(Kind::Bool),
            Node::Int(value) => kind.join(Kind::of_int(*value)),
            Node::Float(_) => kind.join(Kind::Float),
            Node::Instant(_) => kind.join(Kind::Instant),
            Node::Text(_) => kind.join(Kind::Text),
            Node::Number(text) => kind.join(Kind::of_loose(text.as_bytes())),
            Node::Loose(text) => kind.join(Kind::of_loose(text.as_bytes())),
            Node::List(_) => {
                if !matches!(kind, Kind::List(_)) {
                    kind.join(Kind::List(Box::default()));
                }
                if let Kind::List(items) = kind {
                    self.items(at).for_each(|item| self.infer(item, items));
                }
            }
            Node::Object(_) => {
                if !matches!(kind, Kind::Object(_)) {
                    kind.join(Kind::Object(Members::default()));
                }
                if let Kind::Object(members) = kind {
                    for (key, value) in self.members(at) {
                        if self.nodes[value] == Node::Null {
                            members.was_null(key);
                        }
                        self.infer(value, members.entry(key));
                    }
                }
            }
        }
    }

    /// Writes the value at `at` as JSON.
    pub(super) fn write_json(&self, at: usize, out: &mut String) {
        let quote = |text: &str, out: &mut String| match serde_json::to_string(text) {
            Ok(text) => out.push_str(&text),
            Err(error) => unreachable!("a text is always JSON: {error}"),
        };
        match &self.nodes[at] {
            Node::Null => out.push_str("null"),
            Node::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Node::Number(text) => out.push_str(text),
            Node::Loose(text)
                if !matches!(Kind::of_loose(text.as_bytes()), Kind::Text | Kind::Bool)
                    && scalar::float(text.as_bytes()).is_some_and(f64::is_finite) =>
            {
                out.push_str(text)
            }
            Node::Text(text) | Node::Loose(text) | Node::Key(text) => quote(text, out),
            Node::Int(_) | Node::Float(_) => self.write_text(at, out),
            Node::Instant(_) => {
                let mut text = String::new();
                self.write_text(at, &mut text);
                quote(&text, out);
            }
            Node::List(_) => {
                out.push('[');
                for (number, item) in self.items(at).enumerate() {
                    if number > 0 {
                        out.push(',');
                    }
                    self.write_json(item, out);
                }
                out.push(']');
            }
            Node::Object(_) => {
                out.push('{');
                for (number, (key, value)) in self.members(at).enumerate() {
                    if number > 0 {
                        out.push(',');
                    }
                    quote(key, out);
                    out.push(':');
                    self.write_json(value, out);
                }
                out.push('}');
            }
        }
    }

    /// Writes the value at `at` as text: a text as it is, everything else as JSON.
    pub(super) fn write_text(&self, at: usize, out: &mut String) {
        match &self.nodes[at] {
            Node::Text(text) | Node::Loose(text) => out.push_str(text),
            Node::Int(value) => {
                let _ = write!(out, "{value}");
            }
            Node::Float(value) if value.is_finite() => match serde_json::to_string(value) {
                Ok(text) => out.push_str(text.strip_suffix(".0").unwrap_or(&text)),
                Err(error) => unreachable!("a finite float is always JSON: {error}"),
            },
            Node::Float(value) => {
                let _ = write!(out, "{value}");
            }
            Node::Instant(micros) => match chrono::DateTime::from_timestamp_micros(*micros) {
                Some(instant) => {
                    let _ = write!(out, "{}", instant.naive_utc().format("%Y-%m-%dT%H:%M:%S%.f"));
                }
                None => {
                    let _ = write!(out, "{micros}");
                }
            },
            _ => self.write_json(at, out),
        }
    }
}

/// Puts one JSON value on an empty tape.
///
/// `NaN`, `Infinity` and `-Infinity` are read too, since Python writes them.
pub(super) fn parse_json<'a>(text: &'a str, tape: &mut Tape<'a>) -> Result<(), Bad> {
    let mut parser = Parser { text, bytes: text.as_bytes(), at: 0, tape };
    parser.value(0)?;
    parser.blanks();
    if parser.at < text.len() { Err(parser.wrong("there is more text behind the value")) } else { Ok(()) }
}

struct Parser<'a, 'b> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    tape: &'b mut Tape<'a>,
}

impl<'a> Parser<'a, '_> {
    fn blanks(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.bytes.get(self.at) {
            self.at += 1;
        }
    }

    #[cold]
    fn wrong(&self, what: &str) -> Bad {
        let column = self.text.get(..self.at).map_or(self.at, |before| before.chars().count()) + 1;
        Bad::row("invalid_json", format!("is not JSON: {what}, at character {column} of the record"))
    }

    fn value(&mut self, depth: usize) -> Result<(), Bad> {
        self.blanks();
        match self.bytes.get(self.at) {
            Some(b'"') => {
                let text = self.string()?;
                self.tape.nodes.push(Node::Text(text));
            }
            Some(b'{') => self.object(depth)?,
            Some(b'[') => self.list(depth)?,
            Some(b'-' | b'0'..=b'9') if !self.bytes[self.at..].starts_with(b"-I") => self.number()?,
            Some(_) => self.word()?,
            None => return Err(self.wrong("it ends where a value should stand")),
        }
        Ok(())
    }

    fn word(&mut self) -> Result<(), Bad> {
        let words = [
            ("null", Node::Null),
            ("true", Node::Bool(true)),
            ("false", Node::Bool(false)),
            ("NaN", Node::Float(f64::NAN)),
            ("Infinity", Node::Float(f64::INFINITY)),
            ("-Infinity", Node::Float(f64::NEG_INFINITY)),
        ];
        for (word, node) in words {
            if self.bytes[self.at..].starts_with(word.as_bytes()) {
                self.at += word.len();
                self.tape.nodes.push(node);
                return Ok(());
            }
        }
        Err(self.wrong("no value starts like this"))
    }

    fn number(&mut self) -> Result<(), Bad> {
        let start = self.at;
        let digits = |parser: &mut Self| {
            let start = parser.at;
            while parser.bytes.get(parser.at).is_some_and(u8::is_ascii_digit) {
                parser.at += 1;
            }
            parser.at - start
        };
        if self.bytes[self.at] == b'-' {
            self.at += 1;
        }
        let zero = self.bytes.get(self.at) == Some(&b'0');
        let whole = digits(self);
        if whole == 0 || zero && whole > 1 {
            return Err(self.wrong("a number starts with one digit that is not 0, or is 0"));
        }
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            if digits(self) == 0 {
                return Err(self.wrong("a digit must follow the point"));
            }
        }
        if let Some(b'e' | b'E') = self.bytes.get(self.at) {
            self.at += 1;
            if let Some(b'+' | b'-') = self.bytes.get(self.at) {
                self.at += 1;
            }
            if digits(self) == 0 {
                return Err(self.wrong("a digit must follow the `e`"));
            }
        }
        self.tape.nodes.push(Node::Number(&self.text[start..self.at]));
        Ok(())
    }

    fn object(&mut self, depth: usize) -> Result<(), Bad> {
        let object = self.enter(Node::Object(0), depth)?;
        if self.closes(b'}') {
            self.tape.close(object);
            return Ok(());
        }
        loop {
            self.blanks();
            if self.bytes.get(self.at) != Some(&b'"') {
                return Err(self.wrong("a key in quotes should stand here"));
            }
            let key = self.string()?;
            self.tape.nodes.push(Node::Key(key));
            self.blanks();
            if self.bytes.get(self.at) != Some(&b':') {
                return Err(self.wrong("a `:` should stand here"));
            }
            self.at += 1;
            self.value(depth + 1)?;
            if !self.separates(b'}')? {
                self.tape.close(object);
                return Ok(());
            }
        }
    }

    fn list(&mut self, depth: usize) -> Result<(), Bad> {
        let list = self.enter(Node::List(0), depth)?;
        if self.closes(b']') {
            self.tape.close(list);
            return Ok(());
        }
        loop {
            self.value(depth + 1)?;
            if !self.separates(b']')? {
                self.tape.close(list);
                return Ok(());
            }
        }
    }

    fn enter(&mut self, node: Node<'a>, depth: usize) -> Result<usize, Bad> {
        if depth >= DEPTH_LIMIT {
            return Err(Bad::row("too_deep", format!("is nested more than {DEPTH_LIMIT} levels deep")));
        }
        self.at += 1;
        Ok(self.tape.open(node))
    }

    fn closes(&mut self, close: u8) -> bool {
        self.blanks();
        let closes = self.bytes.get(self.at) == Some(&close);
        self.at += usize::from(closes);
        closes
    }

    fn separates(&mut self, close: u8) -> Result<bool, Bad> {
        self.blanks();
        match self.bytes.get(self.at) {
            Some(b',') => {
                self.at += 1;
                Ok(true)
            }
            Some(&byte) if byte == close => {
                self.at += 1;
                Ok(false)
            }
            _ => Err(self.wrong(&format!("a `,` or `{}` should stand here", char::from(close)))),
        }
    }

    fn string(&mut self) -> Result<Cow<'a, str>, Bad> {
        self.at += 1;
        let start = self.at;
        loop {
            match self.bytes.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Cow::Borrowed(&self.text[start..self.at - 1]));
                }
                Some(b'\\') => return self.escaped(start).map(Cow::Owned),
                Some(0..=0x1F) => return Err(self.wrong("a control character in a text must be escaped")),
                Some(_) => self.at += 1,
                None => return Err(self.wrong("a text is not closed")),
            }
        }
    }

    fn escaped(&mut self, start: usize) -> Result<String, Bad> {
        let mut text = self.text[start..self.at].to_owned();
        let mut plain = self.at;
        loop {
            match self.bytes.get(self.at) {
                Some(b'"') => {
                    text.push_str(&self.text[plain..self.at]);
                    self.at += 1;
                    return Ok(text);
                }
                Some(b'\\') => {
                    text.push_str(&self.text[plain..self.at]);
                    self.at += 1;
                    let character = match self.bytes.get(self.at) {
                        Some(b'n') => '\n',
                        Some(b't') => '\t',
                        Some(b'r') => '\r',
                        Some(b'b') => '\u{8}',
                        Some(b'f') => '\u{C}',
                        Some(&byte @ (b'"' | b'\\' | b'/')) => char::from(byte),
                        Some(b'u') => self.unicode()?,
                        _ => return Err(self.wrong("no escape is written like this")),
                    };
                    self.at += 1;
                    text.push(character);
                    plain = self.at;
                }
                Some(0..=0x1F) => return Err(self.wrong("a control character in a text must be escaped")),
                Some(_) => self.at += 1,
                None => return Err(self.wrong("a text is not closed")),
            }
        }
    }

    /// Reads `uXXXX`, of which a pair stands for one character beyond the first 65,536; stops at the last digit.
    fn unicode(&mut self) -> Result<char, Bad> {
        let high = self.four_digits()?;
        if !(0xD800..0xDC00).contains(&high) {
            return char::from_u32(high).ok_or_else(|| self.wrong("half of a surrogate pair stands alone"));
        }
        if !self.bytes[self.at + 1..].starts_with(b"\\u") {
            return Err(self.wrong("half of a surrogate pair stands alone"));
        }
        self.at += 2;
        let low = self.four_digits()?;
        if !(0xDC00..0xE000).contains(&low) {
            return Err(self.wrong("half of a surrogate pair stands alone"));
        }
        char::from_u32(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00)).ok_or_else(|| self.wrong("a surrogate pair means nothing"))
    }

    fn four_digits(&mut self) -> Result<u32, Bad> {
        let digits = self.text.get(self.at + 1..self.at + 5).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let value = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let value = value.ok_or_else(|| self.wrong("four hexadecimal digits must follow `\\u`"))?;
        self.at += 4;
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<String, String> {
        let mut tape = Tape::default();
        parse_json(text, &mut tape).map_err(|bad| format!("{}: {}", bad.code, bad.message))?;
        let mut out = String::new();
        tape.write_json(0, &mut out);
        Ok(out)
    }

    #[test]
    fn a_value_comes_back_as_it_was_written() {
        let text = r#"{"a":[1,-0.50,1e3,{}],"ü":"x\"\\\n😀","b":[null,true,false]}"#;
        assert_eq!(parse(text), Ok(text.into()));
        assert_eq!(parse(r#" "\u00fc\ud83d\ude00\/" "#), Ok("\"ü😀/\"".into()));
    }

    #[test]
    fn what_is_not_json_is_refused_with_its_place() {
        let cases = [
            (r#"{"a":1,}"#, "invalid_json: is not JSON: a key in quotes should stand here, at character 8 of the record"),
            (
                r#"{"ü":01}"#,
                "invalid_json: is not JSON: a number starts with one digit that is not 0, or is 0, at character 8 of the record",
            ),
            (r#""\ud83d""#, "invalid_json: is not JSON: half of a surrogate pair stands alone, at character 7 of the record"),
            ("{} {}", "invalid_json: is not JSON: there is more text behind the value, at character 4 of the record"),
            ("\"a", "invalid_json: is not JSON: a text is not closed, at character 3 of the record"),
        ];
        for (text, message) in cases {
            assert_eq!(parse(text), Err(message.into()), "{text}");
        }
        let deep = format!("{}{}", "[".repeat(65), "]".repeat(65));
        assert_eq!(parse(&deep), Err("too_deep: is nested more than 64 levels deep".into()));
    }
}
