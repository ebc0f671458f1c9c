//! Short ways to say what is wrong.

use crate::{ErrorKind, Rejection, StageError};

impl StageError {
    /// Makes an error: a `code` in `lower_snake_case`, and one sentence in lower case, without a full stop, values in back-quotes.
    pub fn new(kind: ErrorKind, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { kind, code: code.into(), message: message.into(), field: None, row: None, help: None }
    }

    /// Says that the options are wrong.
    pub fn options(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Options, code, message)
    }

    /// Says that the rows are wrong.
    pub fn data(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Data, code, message)
    }

    /// Says that the input has a shape that this transform does not take.
    pub fn unsupported(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unsupported, code, message)
    }

    /// Says that the transform itself is broken.
    pub fn internal(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, code, message)
    }

    /// Adds the option or column it is about, such as `steps[2].convert.price`.
    #[must_use]
    pub fn field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// Adds the row of the batch it is about, from 0.
    #[must_use]
    pub fn row(mut self, row: u32) -> Self {
        self.row = Some(row);
        self
    }

    /// Adds what the user can do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl From<StageError> for Vec<StageError> {
    fn from(error: StageError) -> Self {
        vec![error]
    }
}

impl From<arrow_schema::ArrowError> for StageError {
    fn from(error: arrow_schema::ArrowError) -> Self {
        Self::internal("arrow", error.to_string())
    }
}

/// Why a row is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// A short stable name, `lower_snake_case`.
    pub code: String,
    /// One sentence for a person.
    pub message: String,
    /// The column it is about.
    pub field: Option<String>,
}

impl Refusal {
    /// Makes a refusal: a `code` in `lower_snake_case`, and one sentence in lower case, without a full stop, values in back-quotes.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), field: None }
    }

    /// Adds the column it is about.
    #[must_use]
    pub fn field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// Says which row it is that is refused.
    pub fn of_row(self, row: u32) -> Rejection {
        Rejection { row, code: self.code, message: self.message, field: self.field }
    }
}
