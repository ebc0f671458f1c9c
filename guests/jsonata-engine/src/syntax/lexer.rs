//! Text to tokens.

use std::rc::Rc;

use super::{Text, failure};
use crate::Failure;
use crate::library::pattern::Pattern;
use crate::surrogate::escaped;

/// What a token is.
#[derive(Clone, Debug)]
pub(super) enum Token {
    /// An operator, or a word that is one at times.
    Operator(&'static str),
    Name(Text),
    Variable(Text),
    String(Text),
    Number(f64),
    Bool(bool),
    Null,
    Regex(Rc<Pattern>),
    End,
}

impl Token {
    /// Its text, as messages and signatures have it.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Operator(text) => (*text).to_owned(),
            Self::Name(text) | Self::Variable(text) | Self::String(text) => text.to_string(),
            Self::Number(number) => number.to_string(),
            Self::Bool(value) => value.to_string(),
            Self::Null => "null".into(),
            Self::Regex(_) => "/…/".into(),
            Self::End => "(end)".into(),
        }
    }
}

/// All operators; the longer ones first.
const OPERATORS: [&str; 34] = [
    "..", ":=", "!=", ">=", "<=", "**", "~>", "?:", "??", ".", "[", "]", "{", "}", "(", ")", ",", "@", "#", ";", ":", "?", "+", "-", "*",
    "/", "%", "|", "=", "<", ">", "^", "&", "!",
];

fn is_space(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\n' | '\r' | '\u{b}')
}

/// Whether a character ends a name.
fn is_operator(character: char) -> bool {
    matches!(
        character,
        '.' | '['
            | ']'
            | '{'
            | '}'
            | '('
            | ')'
            | ','
            | '@'
            | '#'
            | ';'
            | ':'
            | '?'
            | '+'
            | '-'
            | '*'
            | '/'
            | '%'
            | '|'
            | '='
            | '<'
            | '>'
            | '^'
            | '&'
            | '!'
            | '~'
    )
}

/// The tokens of an expression.
pub(super) struct Lexer {
    text: Vec<char>,
    place: usize,
}

impl Lexer {
    pub(super) fn new(text: &str) -> Self {
        Self { text: text.chars().collect(), place: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.text.len()
    }

    fn peek(&self, ahead: usize) -> Option<char> {
        self.text.get(self.place + ahead).copied()
    }

    fn slice(&self, from: usize, to: usize) -> String {
        self.text[from.min(to)..to].iter().collect()
    }

    /// The next token and where it begins; behind a value `/` is an operator, elsewhere it begins a regular expression.
    pub(super) fn next(&mut self, behind_value: bool) -> Result<(Token, usize), Failure> {
        loop {
            while self.peek(0).is_some_and(is_space) {
                self.place += 1;
            }
            if (self.peek(0), self.peek(1)) != (Some('/'), Some('*')) {
                break;
            }
            self.skip_comment()?;
        }
        let start = self.place;
        let Some(first) = self.peek(0) else { return Ok((Token::End, self.text.len())) };
        let token = match first {
            '/' if !behind_value => {
                self.place += 1;
                self.regex()?
            }
            '~' if self.peek(1) != Some('>') => {
                self.place += 1;
                Token::Operator("~")
            }
            first if is_operator(first) => {
                let second = self.peek(1);
                let operator = OPERATORS.iter().find(|operator| {
                    let mut characters = operator.chars();
                    characters.next() == Some(first) && characters.next().is_none_or(|character| second == Some(character))
                });
                let operator = operator.expect("every character that is an operator is in the list");
                self.place += operator.len();
                Token::Operator(operator)
            }
            '"' | '\'' => self.string(first)?,
            '0'..='9' => self.number()?,
            '`' => self.quoted()?,
            _ => self.name(),
        };
        Ok((token, start))
    }

    fn skip_comment(&mut self) -> Result<(), Failure> {
        let start = self.place;
        self.place += 2;
        while (self.peek(0), self.peek(1)) != (Some('*'), Some('/')) {
            self.place += 1;
            if self.place >= self.text.len() {
                return Err(failure("S0106", "comment has no closing tag", None, start));
            }
        }
        self.place += 2;
        Ok(())
    }

    /// A regular expression, whose end no bracket holds and no backslash hides.
    fn regex(&mut self) -> Result<Token, Failure> {
        let start = self.place;
        let mut open = 0_i64;
        while let Some(character) = self.peek(0) {
            let escapes = self.text[..self.place].iter().rev().take_while(|before| **before == '\\').count();
            let is_escaped = self.place > 0 && self.text[self.place - 1] == '\\';
            match character {
                '/' if open == 0 && escapes.is_multiple_of(2) => {
                    let source = self.slice(start, self.place);
                    if source.is_empty() {
                        return Err(failure("S0301", "empty regular expressions are not allowed", None, self.place));
                    }
                    self.place += 1;
                    let flags = self.place;
                    while matches!(self.peek(0), Some('i' | 'm')) {
                        self.place += 1;
                    }
                    let flags = self.slice(flags, self.place);
                    return Pattern::new(&source, &flags).map(Token::Regex).map_err(|mut failure| {
                        failure.position = Some(start - 1);
                        failure
                    });
                }
                '(' | '[' | '{' if !is_escaped => open += 1,
                ')' | ']' | '}' if !is_escaped => open -= 1,
                _ => {}
            }
            self.place += 1;
        }
        Err(failure("S0302", "no terminating `/` in regular expression", None, self.place))
    }

    fn string(&mut self, quote: char) -> Result<Token, Failure> {
        self.place += 1;
        let mut text = String::new();
        while let Some(character) = self.peek(0) {
            match character {
                '\\' => {
                    self.place += 1;
                    let escape = self.peek(0);
                    text.push(match escape {
                        Some('"' | '\\' | '/') => escape.unwrap_or_default(),
                        Some('b') => '\u{8}',
                        Some('f') => '\u{c}',
                        Some('n') => '\n',
                        Some('r') => '\r',
                        Some('t') => '\t',
                        Some('u') => self.unicode()?,
                        other => {
                            let token = other.map(String::from).unwrap_or_default();
                            let message = format!("unsupported escape sequence: `\\{token}`");
                            return Err(failure("S0103", message, Some(&token), self.place));
                        }
                    });
                }
                character if character == quote => {
                    self.place += 1;
                    return Ok(Token::String(text.into()));
                }
                character => text.push(character),
            }
            self.place += 1;
        }
        Err(failure("S0101", "string literal must be terminated by a matching quote", None, self.place))
    }

    /// The character of `\u` and its digits; stands at the last of them then.
    fn unicode(&mut self) -> Result<char, Failure> {
        let from = self.place + 1;
        let digits = self.slice(from, (from + 4).min(self.text.len()));
        // The reference takes fewer digits at the end of the text, where the string does not end anyway.
        if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(failure("S0104", "`\\u` must be followed by 4 hex digits", None, self.place));
        }
        let rest = self.slice(from, (from + 10).min(self.text.len()));
        match escaped(&rest) {
            Some((character, taken)) => {
                self.place += taken;
                Ok(character)
            }
            None => {
                self.place += 4;
                Ok(char::REPLACEMENT_CHARACTER)
            }
        }
    }

    fn number(&mut self) -> Result<Token, Failure> {
        let start = self.place;
        let digits = |lexer: &Self, mut place: usize| {
            while lexer.text.get(place).is_some_and(char::is_ascii_digit) {
                place += 1;
            }
            place
        };
        let mut end = if self.text[start] == '0' { start + 1 } else { digits(self, start) };
        if self.text.get(end) == Some(&'.') {
            let fraction = digits(self, end + 1);
            if fraction > end + 1 {
                end = fraction;
            }
        }
        if matches!(self.text.get(end), Some('e' | 'E')) {
            let sign = usize::from(matches!(self.text.get(end + 1), Some('+' | '-')));
            let exponent = digits(self, end + 1 + sign);
            if exponent > end + 1 + sign {
                end = exponent;
            }
        }
        let text = self.slice(start, end);
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() => {
                self.place = end;
                Ok(Token::Number(number))
            }
            _ => Err(failure("S0102", format!("number out of range: {text}"), Some(&text), start)),
        }
    }

    fn quoted(&mut self) -> Result<Token, Failure> {
        let start = self.place + 1;
        match self.text[start..].iter().position(|character| *character == '`') {
            Some(length) => {
                self.place = start + length + 1;
                Ok(Token::Name(self.slice(start, start + length).into()))
            }
            None => Err(failure("S0105", "quoted property name must be terminated with a back-quote", None, self.text.len())),
        }
    }

    fn name(&mut self) -> Token {
        let start = self.place;
        while self.peek(0).is_some_and(|character| !is_space(character) && !is_operator(character)) {
            self.place += 1;
        }
        if self.text[start] == '$' {
            return Token::Variable(self.slice(start + 1, self.place).into());
        }
        let name = self.slice(start, self.place);
        match name.as_str() {
            "or" => Token::Operator("or"),
            "in" => Token::Operator("in"),
            "and" => Token::Operator("and"),
            "true" => Token::Bool(true),
            "false" => Token::Bool(false),
            "null" => Token::Null,
            _ => Token::Name(name.into()),
        }
    }
}
