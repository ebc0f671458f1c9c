//! YAML as a tree that knows where everything stands.
//!
//! Of the two readings that YAML texts have in practice, scalars follow the one of the format's original reader (YAML 1.1) where people rely on it, see
//! [`resolve`](super::scalar::resolve). Only the first document of a text counts.

mod builder;

pub(super) use builder::{parse, parse_all};

/// A value, and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    /// What it is.
    pub(super) value: Value,
    /// The text of a scalar without quotes.
    pub(super) raw: Option<String>,
    /// Of a text that stands in the file line for line, as after `|`: the first of those lines, and the columns before each of them.
    pub(super) block: Option<(usize, usize)>,
    /// Line, from 1.
    pub(super) line: usize,
    /// Column in characters, from 1.
    pub(super) column: usize,
    /// Path of keys as the user wrote them, such as `csv_options.delimiter` or `columns[0]`.
    pub(super) path: String,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// Nothing.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// A text.
    Text(String),
    /// Items in order.
    List(Vec<Node>),
    /// Keys in order, each once.
    Map(Vec<(Key, Node)>),
    /// Stands where something wrong stood and suits every type, so that what is wrong elsewhere is found too.
    Hole,
    /// Stands where not even a hole suited.
    Gone,
}

/// A key of a mapping, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    /// Its name; the canonical one once older spellings are rewritten.
    pub(super) name: String,
    /// Its name as the user wrote it.
    pub(super) written: String,
    /// Line, from 1.
    pub(super) line: usize,
    /// Column in characters, from 1.
    pub(super) column: usize,
}

impl Node {
    /// Makes a node that stands where another one does.
    pub(super) fn beside(other: &Self, value: Value) -> Self {
        Self { value, raw: None, block: None, line: other.line, column: other.column, path: other.path.clone() }
    }

    /// Makes a mapping of one key around a node.
    pub(super) fn around(key: Key, value: Self) -> Self {
        let mut map = Self::beside(&value, Value::Map(Vec::new()));
        map.put(key, value);
        map
    }

    /// The entries of a mapping; none where it is something else.
    pub(super) fn entries(&self) -> &[(Key, Node)] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The items of a list.
    pub(super) fn items(&self) -> Option<&[Node]> {
        if let Value::List(items) = &self.value { Some(items) } else { None }
    }

    /// The value of a key.
    pub(super) fn get(&self, name: &str) -> Option<&Node> {
        self.entries().iter().find(|(key, _)| key.name == name).map(|(_, value)| value)
    }

    /// The value of a key that is not null.
    pub(super) fn given(&self, name: &str) -> Option<&Node> {
        self.get(name).filter(|node| !node.is_null())
    }

    /// Takes a key out of a mapping.
    pub(super) fn take(&mut self, name: &str) -> Option<(Key, Node)> {
        let Value::Map(entries) = &mut self.value else { return None };
        let index = entries.iter().position(|(key, _)| key.name == name)?;
        Some(entries.remove(index))
    }

    /// Takes a key out of a mapping; a null is as if it was absent.
    pub(super) fn take_given(&mut self, name: &str) -> Option<(Key, Node)> {
        self.take(name).filter(|(_, node)| !node.is_null())
    }

    /// Puts a key at the end of a mapping.
    pub(super) fn put(&mut self, key: Key, value: Node) {
        if let Value::Map(entries) = &mut self.value {
            entries.push((key, value));
        }
    }

    /// Whether it is null.
    pub(super) fn is_null(&self) -> bool {
        self.value == Value::Null
    }

    /// Whether it is a mapping.
    pub(super) fn is_map(&self) -> bool {
        matches!(self.value, Value::Map(_))
    }

    /// The text that a scalar stands for where a text is wanted: what the user wrote.
    pub(super) fn text(&self) -> Option<&str> {
        match (&self.value, &self.raw) {
            (Value::Text(text), _) => Some(text),
            (Value::Bool(_) | Value::Int(_) | Value::Float(_), Some(raw)) => Some(raw),
            (Value::Null, Some(raw)) if raw.is_empty() => Some(raw),
            _ => None,
        }
    }

    /// What it is, in words for a message.
    pub(super) fn describe(&self) -> String {
        match (&self.value, &self.raw) {
            (Value::Null, _) => "empty".into(),
            (Value::Text(text), _) => format!("the text `{}`", shorten(text)),
            (Value::List(_), _) => "a list".into(),
            (Value::Map(_), _) => "a mapping".into(),
            (_, Some(raw)) => format!("`{raw}`"),
            (Value::Bool(value), _) => format!("`{value}`"),
            (Value::Int(value), _) => format!("`{value}`"),
            (Value::Float(value), _) => format!("`{value}`"),
            (Value::Hole | Value::Gone, _) => "absent".into(),
        }
    }

    /// The last part of its path, for a message.
    pub(super) fn name(&self) -> &str {
        self.path.rsplit('.').next().unwrap_or(&self.path)
    }

    /// The last part of its path in back-quotes, for a message.
    pub(super) fn quoted(&self) -> String {
        match self.path.is_empty() {
            true => "the file".into(),
            false => format!("`{}`", self.name()),
        }
    }

    /// As JSON; the error is a number that JSON does not have.
    pub(super) fn json(&self) -> Result<serde_json::Value, &Node> {
        Ok(match &self.value {
            Value::Null | Value::Hole | Value::Gone => serde_json::Value::Null,
            Value::Bool(value) => (*value).into(),
            Value::Int(value) => (*value).into(),
            Value::Float(value) => serde_json::Number::from_f64(*value).ok_or(self)?.into(),
            Value::Text(value) => value.as_str().into(),
            Value::List(items) => serde_json::Value::Array(items.iter().map(Self::json).collect::<Result<_, _>>()?),
            Value::Map(entries) => {
                let pairs = entries.iter().map(|(key, value)| Ok((key.name.clone(), value.json()?)));
                serde_json::Value::Object(pairs.collect::<Result<_, _>>()?)
            }
        })
    }
}

/// The start of a text, for a message.
pub(super) fn shorten(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    match line.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None if line.len() < text.trim_end().len() => format!("{line}…"),
        None => line.to_owned(),
    }
}
