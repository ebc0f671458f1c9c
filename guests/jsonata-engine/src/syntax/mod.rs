//! Text to tree: tokens, operators by their precedence, then paths and what they bind.

mod lexer;
mod parser;
mod process;
mod tree;

use std::rc::Rc;

pub(crate) use tree::{Group, Kind, Operator, Part, Stage, Step};

use crate::Failure;

/// An expression as a tree.
pub(crate) fn parse(text: &str) -> Result<Part, Failure> {
    let raw = parser::parse(text)?;
    process::process(raw)
}

/// A failure of an expression's text.
fn failure(code: &str, message: impl Into<String>, token: Option<&str>, position: usize) -> Failure {
    Failure { code: code.into(), message: message.into(), token: token.map(str::to_owned), position: Some(position) }
}

/// A name or a text of an expression.
type Text = Rc<str>;
