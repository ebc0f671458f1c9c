//! Types a tree with serde, and finds everything that is wrong with it, not only the first.
//!
//! Typing is tried again after each mistake, with a hole in the mistake's place that suits every type, until nothing is wrong any more.

use std::fmt::{self, Display};

use serde::de::{self, DeserializeOwned, DeserializeSeed, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::problem::{Findings, list, suggest};
use super::scalar::resolve;
use super::yaml::{Key, Node, Value};
use crate::error::did_you_mean;

/// Mistakes of one section at which the search ends.
const MAX_PROBLEMS: usize = 100;

/// Keys that a section takes though its type does not know them, for hints.
#[derive(Clone, Debug, Default)]
pub(super) struct Beside {
    /// Path of the section.
    pub(super) path: String,
    /// Keys that are taken out of the section before it is typed.
    pub(super) keys: Vec<&'static str>,
    /// What other keys belong to.
    pub(super) elsewhere: Vec<(&'static str, &'static [&'static str])>,
}

/// Types a node and notes everything that is wrong with it; the answer is absent if anything is.
pub(super) fn typed<T: DeserializeOwned>(node: Node, findings: &mut Findings) -> Option<T> {
    typed_beside(node, &Beside::default(), findings)
}

/// As [`typed`], for a node that is a part of what the user wrote as one mapping.
pub(super) fn typed_beside<T: DeserializeOwned>(mut node: Node, beside: &Beside, findings: &mut Findings) -> Option<T> {
    let mut sound = !has_hole(&node);
    let mut meant = Vec::new();
    for _ in 0..MAX_PROBLEMS {
        let error = match T::deserialize(Typing(&node)).map_err(|error| error.or_at(&node)) {
            Ok(value) => return sound.then_some(value),
            Err(error) => error,
        };
        sound = false;
        if !mend(&mut node, &error, &mut |node| report(node, &error, beside, &mut meant, findings)) {
            return None;
        }
    }
    None
}

/// The keys that a type knows.
pub(super) fn keys_of<T: DeserializeOwned>() -> &'static [&'static str] {
    let mut keys: &'static [&'static str] = &[];
    let _ = T::deserialize(Asking(&mut keys));
    keys
}

fn has_hole(node: &Node) -> bool {
    match &node.value {
        Value::Hole | Value::Gone => true,
        Value::List(items) => items.iter().any(has_hole),
        Value::Map(entries) => entries.iter().any(|(_, value)| has_hole(value)),
        _ => false,
    }
}

/// What is wrong, and with which node.
#[derive(Debug)]
pub(super) struct Error {
    kind: Kind,
    node: Option<*const Node>,
    key: Option<usize>,
}

#[derive(Debug)]
enum Kind {
    UnknownKey { expected: &'static [&'static str] },
    UnknownVariant { expected: &'static [&'static str] },
    MissingKey(&'static str),
    Type { expected: String },
    Custom(String),
}

impl Error {
    fn of(kind: Kind) -> Self {
        Self { kind, node: None, key: None }
    }

    fn expected(expected: impl Into<String>) -> Self {
        Self::of(Kind::Type { expected: expected.into() })
    }

    /// Says which node it is about, unless that is known more exactly.
    fn or_at(mut self, node: &Node) -> Self {
        self.node.get_or_insert(std::ptr::from_ref(node));
        self
    }

    fn or_at_key(mut self, node: &Node, index: usize) -> Self {
        if self.node.is_none() {
            self.key = Some(index);
        }
        self.or_at(node)
    }
}

impl Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.kind)
    }
}

impl std::error::Error for Error {}

impl de::Error for Error {
    fn custom<T: Display>(message: T) -> Self {
        Self::of(Kind::Custom(message.to_string()))
    }

    fn unknown_field(_: &str, expected: &'static [&'static str]) -> Self {
        Self::of(Kind::UnknownKey { expected })
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self::of(Kind::UnknownVariant { expected })
    }

    fn missing_field(field: &'static str) -> Self {
        Self::of(Kind::MissingKey(field))
    }

    fn invalid_type(_: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::expected(in_words(&expected.to_string()))
    }

    fn invalid_value(_: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::expected(in_words(&expected.to_string()))
    }
}

/// Says what serde expects in the user's words.
fn in_words(expected: &str) -> String {
    match expected {
        "a string" | "string" => "a text".into(),
        "a boolean" => "`true` or `false`".into(),
        "a sequence" => "a list".into(),
        "a map" => "a mapping".into(),
        "u64" | "usize" | "u32" => "a whole number, 0 or more".into(),
        "u16" => "a whole number from 0 to 65535".into(),
        "u8" => "a whole number from 0 to 255".into(),
        "i64" => "a whole number".into(),
        "f64" | "f32" => "a number".into(),
        other if other.starts_with("a nonzero") => "a whole number above 0".into(),
        other if other.starts_with("struct ") => "a mapping".into(),
        other => other.to_owned(),
    }
}

/// Puts a hole in the place of a mistake, so that the next one shows. The answer is whether there is hope.
fn mend(node: &mut Node, error: &Error, report: &mut dyn FnMut(&Node)) -> bool {
    let target = error.node;
    if target == Some(std::ptr::from_ref(node)) {
        match (&error.kind, error.key, &mut node.value) {
            (Kind::UnknownKey { .. }, Some(index), _) => {
                report(node);
                if let Value::Map(entries) = &mut node.value {
                    entries.remove(index);
                }
            }
            (Kind::MissingKey(field), _, Value::Map(entries)) => {
                if entries.iter().any(|(key, value)| key.name == *field && matches!(value.value, Value::Hole | Value::Gone)) {
                    node.value = Value::Hole;
                } else {
                    report(node);
                    let hole = Node::beside(node, Value::Hole);
                    let key = Key { name: (*field).to_owned(), written: (*field).to_owned(), line: node.line, column: node.column };
                    // A null stands for an absent key.
                    node.take(field);
                    node.put(key, hole);
                }
            }
            (_, _, Value::Hole) => node.value = Value::Gone,
            (_, _, Value::Gone) => return false,
            _ => {
                report(node);
                node.value = Value::Hole;
            }
        }
        return true;
    }
    match &mut node.value {
        Value::List(items) => items.iter_mut().any(|item| mend(item, error, report)),
        Value::Map(entries) => entries.iter_mut().any(|(_, value)| mend(value, error, report)),
        _ => false,
    }
}

/// Says a mistake. `meant` are the keys, with the path of their mapping, that a typo was meant to be, and which thus are not missing.
fn report(node: &Node, error: &Error, beside: &Beside, meant: &mut Vec<(String, String)>, findings: &mut Findings) {
    match &error.kind {
        Kind::UnknownKey { expected } => {
            let Some((key, value)) = error.key.and_then(|index| node.entries().get(index)) else { return };
            let mut names: Vec<&str> = expected.to_vec();
            // Only the section itself was taken apart, not the mappings in it.
            if node.path == beside.path {
                names.extend(&beside.keys);
            }
            let elsewhere = beside.elsewhere.iter().filter(|_| node.path == beside.path);
            let hint = match elsewhere.clone().find(|(_, keys)| keys.contains(&key.name.as_str())) {
                Some((owner, _)) => Some(format!("it belongs to {owner}")),
                None => suggest(&key.written, &names, "keys here are"),
            };
            if let Some(name) = did_you_mean(&key.written, names) {
                meant.push((node.path.clone(), name.to_owned()));
            }
            let message = format!("unknown key `{}`", key.written);
            findings.wrong_key(key, value, message).hint = hint;
        }
        Kind::UnknownVariant { expected } => {
            let closest = node.text().and_then(|text| did_you_mean(text, expected.iter().copied()));
            let message = format!("{} is {}, but must be one of {}", node.quoted(), node.describe(), list(expected.iter().copied()));
            findings.wrong(node, message).hint = closest.map(|name| format!("did you mean `{name}`?"));
        }
        Kind::MissingKey(field) if meant.iter().any(|(path, name)| *path == node.path && name == field) => {}
        Kind::MissingKey(field) => {
            let message = match node.path.is_empty() {
                true => format!("the key `{field}` is missing"),
                false => format!("the key `{field}` is missing in `{}`", node.path),
            };
            findings.wrong(node, message);
        }
        Kind::Type { expected } => {
            findings.wrong(node, format!("{} is {}, but must be {expected}", node.quoted(), node.describe()));
        }
        Kind::Custom(message) => {
            let message = match message.starts_with("is ") || message.starts_with("must ") || message.starts_with("has ") {
                true => format!("{} {message}", node.quoted()),
                false => format!("{}: {message}", node.quoted()),
            };
            findings.wrong(node, message);
        }
    }
}

/// Types one node.
#[derive(Clone, Copy)]
struct Typing<'a>(&'a Node);

impl<'a> Typing<'a> {
    /// The number or truth that a text in quotes stands for, since the format's original reader takes these too.
    fn loose(self) -> Value {
        match &self.0.value {
            Value::Text(text) => resolve(text.trim()),
            value => value.clone(),
        }
    }
}

macro_rules! number {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            match self.loose() {
                Value::Int(value) => match u64::try_from(value) {
                    Ok(value) => visitor.visit_u64(value),
                    Err(_) => visitor.visit_i64(value),
                },
                Value::Float(value) => visitor.visit_f64(value),
                Value::Hole => visitor.visit_u64(1),
                _ => Err(de::Error::invalid_type(de::Unexpected::Unit, &visitor)),
            }
        }
    )*};
}

impl<'de> de::Deserializer<'de> for Typing<'de> {
    type Error = Error;

    number! { deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_f32 deserialize_f64 }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.0.value {
            Value::Null | Value::Hole | Value::Gone => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Int(value) => match u64::try_from(*value) {
                Ok(value) => visitor.visit_u64(value),
                Err(_) => visitor.visit_i64(*value),
            },
            Value::Float(value) if value.is_finite() => visitor.visit_f64(*value),
            Value::Float(_) => Err(Error::expected("a number that JSON has")),
            Value::Text(text) => visitor.visit_borrowed_str(text),
            Value::List(items) => visitor.visit_seq(Items(items.iter())),
            Value::Map(_) => self.deserialize_map(visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.loose() {
            Value::Bool(value) => visitor.visit_bool(value),
            Value::Hole => visitor.visit_bool(false),
            _ => Err(de::Error::invalid_type(de::Unexpected::Unit, &visitor)),
        }
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let text = match &self.0.value {
            Value::Hole => "x",
            _ => self.0.text().ok_or_else(|| Error::expected("one ASCII character"))?,
        };
        // Single quotes know no escapes, but everybody means the tab.
        let text = if text == "\\t" { "\t" } else { text };
        let mut chars = text.chars();
        match (chars.next(), chars.next()) {
            (Some(c), None) if c.is_ascii() && !matches!(c, '\n' | '\r') => visitor.visit_char(c),
            _ => Err(Error::expected("one ASCII character")),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match (&self.0.value, self.0.text()) {
            (Value::Hole, _) => visitor.visit_borrowed_str(""),
            (_, Some(text)) => visitor.visit_borrowed_str(text),
            _ => Err(Error::expected("a text")),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0.value {
            Value::Null | Value::Hole | Value::Gone => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.0.value {
            Value::List(items) => visitor.visit_seq(Items(items.iter())),
            Value::Hole => visitor.visit_seq(Items([].iter())),
            _ => Err(Error::expected("a list")),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.0.value {
            Value::Map(entries) => visitor.visit_map(Entries { node: self.0, rest: entries.iter().enumerate(), value: None, known: &[] }),
            Value::Hole | Value::Null => visitor.visit_map(Entries { node: self.0, rest: [].iter().enumerate(), value: None, known: &[] }),
            _ => Err(Error::expected("a mapping")),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(self, _: &'static str, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Error> {
        match &self.0.value {
            Value::Map(entries) => {
                visitor.visit_map(Entries { node: self.0, rest: entries.iter().enumerate(), value: None, known: fields })
            }
            Value::Hole => visitor.visit_map(Holes { node: self.0, rest: fields.iter() }),
            _ => Err(Error::expected("a mapping")),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(self, _: &'static str, variants: &'static [&'static str], visitor: V) -> Result<V::Value, Error> {
        let written = match &self.0.value {
            Value::Hole => variants.first().copied(),
            // The variant `null` is written without quotes.
            Value::Null => self.0.raw.as_deref(),
            _ => self.0.text(),
        };
        let Some(written) = written else {
            return Err(Error::of(Kind::UnknownVariant { expected: variants }));
        };
        let variant = variants.iter().find(|variant| variant.eq_ignore_ascii_case(written)).copied().unwrap_or(written);
        visitor.visit_enum(Variant(variant))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! { i128 u128 bytes byte_buf unit unit_struct tuple tuple_struct }
}

struct Items<'a>(std::slice::Iter<'a, Node>);

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let Some(node) = self.0.find(|node| node.value != Value::Gone) else { return Ok(None) };
        seed.deserialize(Typing(node)).map(Some).map_err(|error| error.or_at(node))
    }
}

/// The entries of a mapping. Of a struct's known keys, those that are null are as if absent.
struct Entries<'a> {
    node: &'a Node,
    rest: std::iter::Enumerate<std::slice::Iter<'a, (Key, Node)>>,
    value: Option<&'a Node>,
    known: &'static [&'static str],
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        for (index, (key, value)) in self.rest.by_ref() {
            let absent = value.value == Value::Gone || (value.is_null() && self.known.contains(&key.name.as_str()));
            if !absent {
                self.value = Some(value);
                return seed
                    .deserialize(key.name.as_str().into_deserializer())
                    .map(Some)
                    .map_err(|error: Error| error.or_at_key(self.node, index));
            }
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let node = self.value.take().expect("serde asks for a value after its key");
        seed.deserialize(Typing(node)).map_err(|error| error.or_at(node))
    }
}

/// A hole for each key of a struct.
struct Holes<'a> {
    node: &'a Node,
    rest: std::slice::Iter<'static, &'static str>,
}

impl<'de> MapAccess<'de> for Holes<'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        self.rest.next().map(|name| seed.deserialize((*name).into_deserializer())).transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        seed.deserialize(Typing(self.node))
    }
}

struct Variant<'a>(&'a str);

impl<'de> EnumAccess<'de> for Variant<'_> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Error> {
        seed.deserialize(self.0.into_deserializer()).map(|value| (value, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, _: T) -> Result<T::Value, Error> {
        Err(Error::expected("a text"))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Error> {
        Err(Error::expected("a text"))
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], _: V) -> Result<V::Value, Error> {
        Err(Error::expected("a text"))
    }
}

/// Takes nothing, but remembers the keys of the struct that asks.
struct Asking<'a>(&'a mut &'static [&'static str]);

impl<'de> de::Deserializer<'de> for Asking<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::expected("a struct"))
    }

    fn deserialize_struct<V: Visitor<'de>>(self, _: &'static str, fields: &'static [&'static str], _: V) -> Result<V::Value, Error> {
        *self.0 = fields;
        Err(Error::expected("a struct"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct newtype_struct seq tuple
        tuple_struct map enum identifier ignored_any
    }
}
