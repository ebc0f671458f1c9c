//! JSON text to values.

use std::rc::Rc;

use super::{MAX_DEPTH, Members, Object, Shape, Value};
use crate::Failure;
use crate::surrogate;

/// Reads a value; a lone surrogate becomes its stand-in.
pub(super) fn read(text: &str) -> Result<Value, Failure> {
    let mut reader = Reader { text, place: 0, depth: 0, shapes: Vec::new() };
    let value = reader.value()?;
    reader.skip_space();
    match reader.peek() {
        None => Ok(value),
        Some(_) => Err(reader.wrong("a value is followed by something else")),
    }
}

struct Reader<'a> {
    text: &'a str,
    place: usize,
    depth: u32,
    /// Shapes of the last objects: rows of one kind share theirs.
    shapes: Vec<Rc<Shape>>,
}

/// Shapes that are remembered.
const SHAPES: usize = 8;

impl Reader<'_> {
    fn wrong(&self, what: &str) -> Failure {
        Failure::new("D3120", format!("the input is not JSON: {what} at byte {}", self.place))
    }

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.place).copied()
    }

    #[inline]
    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.place += 1;
        }
    }

    fn expect(&mut self, word: &str, value: Value) -> Result<Value, Failure> {
        if !self.text[self.place..].starts_with(word) {
            return Err(self.wrong("there is an unknown word"));
        }
        self.place += word.len();
        Ok(value)
    }

    fn value(&mut self) -> Result<Value, Failure> {
        self.skip_space();
        match self.peek() {
            Some(b'{') => self.nested(Self::object),
            Some(b'[') => self.nested(Self::array),
            Some(b'"') => Ok(Value::String(self.string()?)),
            Some(b't') => self.expect("true", Value::Bool(true)),
            Some(b'f') => self.expect("false", Value::Bool(false)),
            Some(b'n') => self.expect("null", Value::Null),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(_) => Err(self.wrong("there is an unknown word")),
            None => Err(self.wrong("it ends too early")),
        }
    }

    fn nested(&mut self, read: fn(&mut Self) -> Result<Value, Failure>) -> Result<Value, Failure> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.wrong("there are too many brackets within each other"));
        }
        self.place += 1;
        let value = read(self);
        self.depth -= 1;
        value
    }

    fn array(&mut self) -> Result<Value, Failure> {
        let mut items = Vec::new();
        self.skip_space();
        if self.peek() == Some(b']') {
            self.place += 1;
            return Ok(Value::array(items));
        }
        loop {
            items.push(self.value()?);
            self.skip_space();
            match self.peek() {
                Some(b',') => self.place += 1,
                Some(b']') => {
                    self.place += 1;
                    return Ok(Value::array(items));
                }
                _ => return Err(self.wrong("a list wants `,` or `]`")),
            }
        }
    }

    fn object(&mut self) -> Result<Value, Failure> {
        let mut members = Members::new();
        self.skip_space();
        if self.peek() == Some(b'}') {
            self.place += 1;
            return Ok(self.shaped(members));
        }
        loop {
            self.skip_space();
            if self.peek() != Some(b'"') {
                return Err(self.wrong("an object wants a name"));
            }
            let name = self.string()?;
            self.skip_space();
            if self.peek() != Some(b':') {
                return Err(self.wrong("a name wants `:`"));
            }
            self.place += 1;
            let value = self.value()?;
            members.insert(name, value);
            self.skip_space();
            match self.peek() {
                Some(b',') => self.place += 1,
                Some(b'}') => {
                    self.place += 1;
                    return Ok(self.shaped(members));
                }
                _ => return Err(self.wrong("an object wants `,` or `}`")),
            }
        }
    }

    fn shaped(&mut self, members: Members) -> Value {
        let (names, values) = members.into_parts();
        let shape = match self.shapes.iter().find(|shape| shape.names() == names) {
            Some(shape) => shape.clone(),
            None => {
                let shape = Shape::new(names);
                if self.shapes.len() == SHAPES {
                    self.shapes.remove(0);
                }
                self.shapes.push(shape.clone());
                shape
            }
        };
        Value::Object(Rc::new(Object::new(shape, values)))
    }

    fn number(&mut self) -> Result<Value, Failure> {
        let start = self.place;
        let digits = |reader: &mut Self| {
            let from = reader.place;
            while matches!(reader.peek(), Some(b'0'..=b'9')) {
                reader.place += 1;
            }
            reader.place - from
        };
        if self.peek() == Some(b'-') {
            self.place += 1;
        }
        let leading = self.peek();
        let whole = digits(self);
        let mut well = whole == 1 || whole > 1 && leading != Some(b'0');
        if self.peek() == Some(b'.') {
            self.place += 1;
            well &= digits(self) > 0;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.place += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.place += 1;
            }
            well &= digits(self) > 0;
        }
        match self.text[start..self.place].parse() {
            Ok(number) if well => Ok(Value::Number(number)),
            _ => Err(self.wrong("there is no number as JSON writes it")),
        }
    }

    fn string(&mut self) -> Result<Rc<str>, Failure> {
        self.place += 1;
        let start = self.place;
        let bytes = self.text.as_bytes();
        loop {
            match bytes.get(self.place) {
                Some(b'"') => {
                    let text = &self.text[start..self.place];
                    self.place += 1;
                    return Ok(text.into());
                }
                Some(b'\\') => break,
                Some(0..=0x1f) | None => return Err(self.wrong("a text is cut off")),
                Some(_) => self.place += 1,
            }
        }
        let mut text = self.text[start..self.place].to_owned();
        loop {
            let from = self.place;
            while !matches!(bytes.get(self.place), Some(b'"' | b'\\' | 0..=0x1f) | None) {
                self.place += 1;
            }
            text.push_str(&self.text[from..self.place]);
            match bytes.get(self.place) {
                Some(b'"') => {
                    self.place += 1;
                    return Ok(text.into());
                }
                Some(b'\\') => self.escape(&mut text)?,
                _ => return Err(self.wrong("a text is cut off")),
            }
        }
    }

    fn escape(&mut self, text: &mut String) -> Result<(), Failure> {
        self.place += 2;
        let simple = match self.text.as_bytes().get(self.place - 1) {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                let (character, taken) =
                    surrogate::escaped(&self.text[self.place..]).ok_or_else(|| self.wrong("`\\u` wants four digits"))?;
                text.push(character);
                self.place += taken;
                return Ok(());
            }
            _ => return Err(self.wrong("there is an unknown escape")),
        };
        text.push(simple);
        Ok(())
    }
}
