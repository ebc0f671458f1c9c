//! Why an expression did not compile or evaluate.

use std::fmt;

/// An error of the language, with the reference implementation's code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The reference's code, such as `T2001`.
    pub code: String,
    /// What is wrong, in words.
    pub message: String,
    /// The piece of the expression that the error is about, where known.
    pub token: Option<String>,
    /// Where in the expression, in characters, where known.
    pub position: Option<usize>,
}

impl Failure {
    /// Makes a failure that knows no more than its code.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), token: None, position: None }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for Failure {}
