//! What an expression reads and gives: cheap to clone, numbers as doubles.

mod array;
mod compare;
mod key;
mod object;
mod read;
mod write;

use std::fmt;
use std::rc::Rc;

pub use array::Array;
pub(crate) use array::Flags;
pub(crate) use compare::{compare_texts, is_deep_equal, is_same};
pub(crate) use key::Key;
pub use object::Object;
pub(crate) use object::{Members, Shape, is_index, member};
pub use write::{number, write_json};
pub(crate) use write::{number_text, string_of, text as quoted, write_text};

use crate::Failure;
use crate::evaluate::Function;

/// Containers within containers at most: what walks a value may recurse.
pub(crate) const MAX_DEPTH: u32 = 1000;

/// A value of the language.
#[derive(Clone, Default)]
pub enum Value {
    /// Nothing: what a name that is not there gives.
    #[default]
    Undefined,
    /// JSON's null.
    Null,
    /// A truth value.
    Bool(bool),
    /// A number.
    Number(f64),
    /// A text; a lone surrogate in it is a stand-in, see [`crate::surrogate`].
    String(Rc<str>),
    /// A list.
    Array(Rc<Array>),
    /// An object.
    Object(Rc<Object>),
    /// A function.
    Function(Callable),
}

/// A function as a value.
#[derive(Clone)]
pub struct Callable {
    pub(crate) function: Rc<Function>,
    /// Whether it was an argument: it is called without a context then.
    pub(crate) is_argument: bool,
}

impl Value {
    /// Makes a text.
    pub fn string(text: impl Into<Rc<str>>) -> Self {
        Self::String(text.into())
    }

    /// Makes a list.
    pub fn array(items: Vec<Self>) -> Self {
        Self::Array(Rc::new(Array::plain(items)))
    }

    /// Reads JSON text.
    ///
    /// # Errors
    /// Where it is not JSON.
    pub fn from_json_str(text: &str) -> Result<Self, Failure> {
        read::read(text)
    }

    /// Writes JSON text; what JSON has no word for is null, a function an empty text.
    pub fn to_json_string(&self) -> String {
        let mut out = Vec::new();
        write::plain(self, &mut out);
        String::from_utf8(out).expect("only texts were written")
    }

    /// The text, where it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// Whether it is nothing.
    pub fn is_undefined(&self) -> bool {
        matches!(self, Self::Undefined)
    }

    /// Whether it is a function.
    pub fn is_function(&self) -> bool {
        matches!(self, Self::Function(_))
    }

    pub(crate) fn sequence(items: Vec<Self>) -> Self {
        Self::Array(Rc::new(Array::new(items, Flags::SEQUENCE)))
    }

    pub(crate) fn function(function: Function) -> Self {
        Self::Function(Callable { function: Rc::new(function), is_argument: false })
    }

    /// How deep containers nest in it.
    #[inline]
    pub(crate) fn depth(&self) -> u32 {
        match self {
            Self::Array(array) => array.depth(),
            Self::Object(object) => object.depth(),
            _ => 0,
        }
    }

    /// Whether JavaScript takes it for true, which is not what the language does.
    pub(crate) fn is_truthy(&self) -> bool {
        match self {
            Self::Undefined | Self::Null => false,
            Self::Bool(value) => *value,
            Self::Number(number) => *number != 0.0 && !number.is_nan(),
            Self::String(text) => !text.is_empty(),
            Self::Array(_) | Self::Object(_) | Self::Function(_) => true,
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::string(text)
    }
}

impl From<serde_json::Value> for Value {
    fn from(value: serde_json::Value) -> Self {
        match value {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(value) => Self::Bool(value),
            serde_json::Value::Number(number) => Self::Number(number.as_f64().unwrap_or(f64::NAN)),
            serde_json::Value::String(text) => Self::string(text),
            serde_json::Value::Array(items) => Self::array(items.into_iter().map(Self::from).collect()),
            serde_json::Value::Object(members) => {
                let mut object = Members::new();
                members.into_iter().for_each(|(name, value)| object.insert(Rc::from(name), Self::from(value)));
                object.into_value()
            }
        }
    }
}

/// As JSON.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_json_string())
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Undefined => f.write_str("undefined"),
            value => write!(f, "{value}"),
        }
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Undefined, Self::Undefined) => true,
            _ => is_deep_equal(self, other),
        }
    }
}
