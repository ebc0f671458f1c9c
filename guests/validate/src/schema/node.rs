//! A compiled schema: checks in the order in which they are judged.

use foldhash::fast::FixedState;
use regex::Regex;
use serde_json::{Number, Value};

use crate::format::Format;

/// Place of a schema among all of a document.
pub(super) type Id = usize;

/// Names to schemas.
pub(super) type Named = hashbrown::HashMap<String, Id, FixedState>;

/// One schema.
pub(super) struct Node {
    /// The resource that it is in: the document, or a part with an identifier of its own.
    pub(super) resource: usize,
    pub(super) checks: Vec<Check>,
    /// Whether it asks what other checks looked at.
    pub(super) tracks: bool,
}

/// A pattern as it was written, and compiled.
pub(super) struct Pattern {
    pub(super) written: String,
    pub(super) regex: Regex,
}

/// What a value must satisfy. A check that speaks of another type than the value has says nothing.
pub(super) enum Check {
    /// Nothing satisfies it.
    Never,
    Type(Kinds),
    OneOf(Vec<Value>),
    Least(Number, bool),
    Most(Number, bool),
    MultipleOf(Number),
    MinLength(u64),
    MaxLength(u64),
    Pattern(Pattern),
    Format(Format),
    MinItems(u64),
    MaxItems(u64),
    UniqueItems,
    Items {
        prefix: Vec<Id>,
        rest: Option<Id>,
    },
    Contains {
        item: Id,
        least: u64,
        most: u64,
        marks: bool,
    },
    MinProperties(u64),
    MaxProperties(u64),
    Required(Vec<String>),
    /// Properties that ask for others.
    DependentRequired(Vec<(String, Vec<String>)>),
    DependentSchemas(Vec<(String, Id)>),
    Properties {
        named: Named,
        patterns: Vec<(Regex, Id)>,
        rest: Option<Id>,
    },
    PropertyNames(Id),
    AllOf(Vec<Id>),
    AnyOf(Vec<Id>),
    ExactlyOneOf(Vec<Id>),
    Not(Id),
    If {
        test: Id,
        then: Option<Id>,
        otherwise: Option<Id>,
    },
    Reference(Id),
    DynamicReference {
        id: Id,
        name: String,
    },
    RecursiveReference(Id),
    UnevaluatedItems(Id),
    UnevaluatedProperties(Id),
}

/// Types of JSON, as a set.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Kinds(u8);

/// Names of types with what they are called in a message.
const KINDS: [(&str, &str); 7] = [
    ("null", "null"),
    ("boolean", "true or false"),
    ("object", "an object"),
    ("array", "a list"),
    ("number", "a number"),
    ("string", "a text"),
    ("integer", "a whole number"),
];

const NUMBER: u8 = 1 << 4;
const INTEGER: u8 = 1 << 6;

impl Kinds {
    /// Reads a set; `None` where a name is unknown.
    pub(super) fn of<'a>(names: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let bit = |name: &str| KINDS.iter().position(|(known, _)| *known == name);
        names.into_iter().try_fold(Self(0), |kinds, name| Some(Self(kinds.0 | 1 << bit(name)?)))
    }

    pub(super) fn has(self, value: &Value) -> bool {
        let bits = match value {
            Value::Null => 1,
            Value::Bool(_) => 1 << 1,
            Value::Object(_) => 1 << 2,
            Value::Array(_) => 1 << 3,
            Value::String(_) => 1 << 5,
            // A whole number of a column of floats is one, in draft 4 too.
            Value::Number(number) if number.as_f64().is_some_and(|number| number.fract() == 0.0) => NUMBER | INTEGER,
            Value::Number(_) => NUMBER,
        };
        self.0 & bits != 0
    }

    /// For a message.
    pub(super) fn words(self) -> String {
        let words: Vec<&str> = KINDS.iter().enumerate().filter(|(bit, _)| self.0 & 1 << bit != 0).map(|(_, (_, words))| *words).collect();
        words.join(" or ")
    }
}
