//! Why an expression did not compile or evaluate.

use std::fmt;

use jsonata_core::parser::ParserError;

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

    /// Takes the code out of a message, where it stands behind other words at times; what has none becomes `other`.
    pub(crate) fn of_message(message: &str, other: &str) -> Self {
        match (0..message.len()).find(|&place| has_code(&message.as_bytes()[place..])) {
            Some(place) => Self::new(&message[place..place + 5], message[place + 6..].trim_start()),
            None => Self::new(other, message),
        }
    }

    /// Reads what the parser says of an expression.
    pub(crate) fn of_parser(error: &ParserError, text: &str) -> Self {
        let failure = match error {
            ParserError::UnclosedComment => Self::new("S0106", "comment has no closing tag"),
            // A regular expression too ends in the crate's words for a string.
            ParserError::UnclosedString if !matches!(unclosed(text), Unclosed::Text) => {
                Self::new("S0302", "no terminating `/` in regular expression")
            }
            ParserError::InvalidNumber(number) => Self::new("S0102", format!("number out of range: {number}")),
            _ => Self::of_message(&error.to_string(), "S0201"),
        };
        match failure.code.as_str() {
            // The reference misses the bracket, not what should stand before it.
            "S0207" => match unclosed(text) {
                Unclosed::Bracket(bracket) => Self::new("S0203", format!("expected what closes `{bracket}` before end of expression")),
                Unclosed::Text | Unclosed::Nothing => failure,
            },
            _ => failure,
        }
    }
}

/// Whether a text begins with an error code and a colon.
fn has_code(text: &[u8]) -> bool {
    matches!(text, [b'A'..=b'Z', digits @ .., ] if digits.len() >= 5 && digits[..4].iter().all(u8::is_ascii_digit) && digits[4] == b':')
}

/// What is open at the end of an expression.
enum Unclosed {
    /// A string or a quoted name.
    Text,
    /// The innermost bracket.
    Bracket(char),
    Nothing,
}

/// Looks for what is open at the end of an expression, comments aside.
fn unclosed(text: &str) -> Unclosed {
    let mut open = Vec::new();
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '(' | '[' | '{' => open.push(character),
            ')' | ']' | '}' => drop(open.pop()),
            '"' | '\'' | '`' => loop {
                match characters.next() {
                    Some('\\') if character != '`' => drop(characters.next()),
                    Some(inner) if inner == character => break,
                    Some(_) => {}
                    None => return Unclosed::Text,
                }
            },
            '/' if characters.peek() == Some(&'*') => {
                let mut last = ' ';
                for inner in characters.by_ref().skip(1) {
                    if (last, inner) == ('*', '/') {
                        break;
                    }
                    last = inner;
                }
            }
            _ => {}
        }
    }
    open.pop().map_or(Unclosed::Nothing, Unclosed::Bracket)
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for Failure {}
