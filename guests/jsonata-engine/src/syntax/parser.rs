//! Tokens to a tree, by the binding powers of operators (V. Pratt, "Top down operator precedence", 1973).

use std::rc::Rc;

use super::failure;
use super::lexer::{Lexer, Token};
use super::tree::{Raw, RawKind};
use crate::Failure;
use crate::signature::Signature;

/// Levels of nesting that an expression may have.
const MAX_HEIGHT: u32 = 500;

/// How strongly an operator binds what stands before it; none for what no operator is there.
fn power(token: &Token) -> u32 {
    let Token::Operator(operator) = token else { return 0 };
    match *operator {
        "." => 75,
        "[" | "(" | "@" | "#" => 80,
        "{" => 70,
        "*" | "/" | "%" => 60,
        "+" | "-" | "&" => 50,
        "=" | "<" | ">" | "^" | "!=" | "<=" | ">=" | "~>" | "?:" | "??" | "in" => 40,
        "and" => 30,
        "or" => 25,
        "?" => 20,
        ":=" => 10,
        _ => 0,
    }
}

/// Reads an expression.
pub(super) fn parse(text: &str) -> Result<Raw, Failure> {
    let mut parser = Parser { lexer: Lexer::new(text), token: Token::End, position: 0, depth: 0 };
    parser.advance(false)?;
    let raw = parser.expression(0)?;
    match parser.token {
        Token::End => Ok(raw),
        _ => Err(parser.wrong("S0201", |token| format!("syntax error at `{token}`"))),
    }
}

struct Parser {
    lexer: Lexer,
    /// The token that is next, and where it stands.
    token: Token,
    position: usize,
    depth: u32,
}

impl Parser {
    fn wrong(&self, code: &str, message: impl FnOnce(&str) -> String) -> Failure {
        let token = self.token.text();
        failure(code, message(&token), Some(&token), self.position)
    }

    fn is(&self, operator: &str) -> bool {
        matches!(self.token, Token::Operator(token) if token == operator)
    }

    /// Goes on to the next token.
    fn advance(&mut self, behind_value: bool) -> Result<(), Failure> {
        (self.token, self.position) = self.lexer.next(behind_value)?;
        match self.token {
            Token::Operator("!" | "~") => Err(self.wrong("S0204", |token| format!("unknown operator `{token}`"))),
            _ => Ok(()),
        }
    }

    /// Passes an operator that must come.
    fn expect(&mut self, operator: &str, behind_value: bool) -> Result<(), Failure> {
        if self.is(operator) {
            return self.advance(behind_value);
        }
        Err(match self.token {
            Token::End => failure("S0203", format!("expected `{operator}` before end of expression"), Some("(end)"), self.lexer.len()),
            _ => self.wrong("S0202", |token| format!("expected `{operator}`, got `{token}`")),
        })
    }

    fn node(&self, kind: RawKind, position: usize) -> Result<Raw, Failure> {
        use RawKind as K;
        let option = |part: &Option<Box<Raw>>| part.as_ref().map_or(0, |part| part.height);
        let most = |parts: &[Raw]| parts.iter().map(|part| part.height).max().unwrap_or_default();
        let pairs = |pairs: &[(Raw, Raw)]| pairs.iter().map(|(key, value)| key.height.max(value.height)).max().unwrap_or_default();
        let below = match &kind {
            K::Binary(_, left, right) => left.height.max(right.height),
            K::GroupBy(left, members) => left.height.max(pairs(members)),
            K::OrderBy(left, terms) => left.height.max(terms.iter().map(|(_, term)| term.height).max().unwrap_or_default()),
            K::Negate(inner) | K::Lambda(_, _, inner) => inner.height,
            K::Array(items) | K::Block(items) => most(items),
            K::Object(members) => pairs(members),
            K::Call(procedure, arguments) | K::Partial(procedure, arguments) => procedure.height.max(most(arguments)),
            K::Condition(one, two, three) | K::Transform(one, two, three) => one.height.max(two.height).max(option(three)),
            _ => 0,
        };
        self.check(below + 1, position)?;
        Ok(Raw { kind, position, keep_array: false, height: below + 1 })
    }

    fn check(&self, depth: u32, position: usize) -> Result<(), Failure> {
        if depth <= MAX_HEIGHT {
            return Ok(());
        }
        Err(failure("D1011", format!("the expression nests deeper than {MAX_HEIGHT} levels"), None, position))
    }

    /// Reads an expression whose operators bind more strongly than `right_power`.
    fn expression(&mut self, right_power: u32) -> Result<Raw, Failure> {
        self.depth += 1;
        self.check(self.depth, self.position)?;
        let token = std::mem::replace(&mut self.token, Token::End);
        let position = self.position;
        self.advance_behind_value(&token)?;
        let mut left = self.prefix(token, position)?;
        while right_power < power(&self.token) {
            let Token::Operator(operator) = self.token else { break };
            let position = self.position;
            self.advance(false)?;
            left = self.infix(operator, left, position)?;
        }
        self.depth -= 1;
        Ok(left)
    }

    fn advance_behind_value(&mut self, token: &Token) -> Result<(), Failure> {
        match token {
            // Behind the end there is the end.
            Token::End => {
                self.position = self.lexer.len();
                Ok(())
            }
            _ => self.advance(true),
        }
    }

    /// What begins with a token.
    fn prefix(&mut self, token: Token, position: usize) -> Result<Raw, Failure> {
        let kind = match token {
            Token::Name(name) => RawKind::Name(name),
            Token::Variable(name) => RawKind::Variable(name),
            Token::String(text) => RawKind::String(text),
            Token::Number(number) => RawKind::Number(number),
            Token::Bool(value) => RawKind::Bool(value),
            Token::Null => RawKind::Null,
            Token::Regex(pattern) => RawKind::Regex(pattern),
            Token::End => RawKind::End,
            Token::Operator(operator) => match operator {
                "and" | "or" | "in" => RawKind::Word(operator),
                "*" => RawKind::Wildcard,
                "**" => RawKind::Descendant,
                "%" => RawKind::Parent,
                "-" => RawKind::Negate(Box::new(self.expression(70)?)),
                "(" => self.block()?,
                "[" => self.array()?,
                "{" => RawKind::Object(self.members()?),
                "|" => self.transform()?,
                _ => {
                    return Err(failure(
                        "S0211",
                        format!("the symbol `{operator}` cannot be used as a unary operator"),
                        Some(operator),
                        position,
                    ));
                }
            },
        };
        self.node(kind, position)
    }

    fn block(&mut self) -> Result<RawKind, Failure> {
        let mut parts = Vec::new();
        while !self.is(")") {
            parts.push(self.expression(0)?);
            if !self.is(";") {
                break;
            }
            self.advance(false)?;
        }
        self.expect(")", true)?;
        Ok(RawKind::Block(parts))
    }

    fn array(&mut self) -> Result<RawKind, Failure> {
        let mut items = Vec::new();
        if !self.is("]") {
            loop {
                let mut item = self.expression(0)?;
                if self.is("..") {
                    let position = self.position;
                    self.advance(false)?;
                    let last = self.expression(0)?;
                    item = self.node(RawKind::Binary("..", Box::new(item), Box::new(last)), position)?;
                }
                items.push(item);
                if !self.is(",") {
                    break;
                }
                self.advance(false)?;
            }
        }
        self.expect("]", true)?;
        Ok(RawKind::Array(items))
    }

    fn members(&mut self) -> Result<Vec<(Raw, Raw)>, Failure> {
        let mut pairs = Vec::new();
        if !self.is("}") {
            loop {
                let name = self.expression(0)?;
                self.expect(":", false)?;
                pairs.push((name, self.expression(0)?));
                if !self.is(",") {
                    break;
                }
                self.advance(false)?;
            }
        }
        self.expect("}", true)?;
        Ok(pairs)
    }

    fn transform(&mut self) -> Result<RawKind, Failure> {
        let pattern = self.expression(0)?;
        self.expect("|", false)?;
        let update = self.expression(0)?;
        let mut delete = None;
        if self.is(",") {
            self.advance(false)?;
            delete = Some(Box::new(self.expression(0)?));
        }
        self.expect("|", false)?;
        Ok(RawKind::Transform(Box::new(pattern), Box::new(update), delete))
    }

    /// What an operator makes of what stands before it.
    fn infix(&mut self, operator: &'static str, left: Raw, position: usize) -> Result<Raw, Failure> {
        let kind = match operator {
            "(" => return self.call(left, position),
            "[" => return self.filter(left, position),
            "{" => RawKind::GroupBy(Box::new(left), self.members()?),
            "^" => RawKind::OrderBy(Box::new(left), self.terms()?),
            ":=" => {
                if !matches!(left.kind, RawKind::Variable(_)) {
                    let message = "the left side of `:=` must be a variable name (start with `$`)";
                    return Err(failure("S0212", message, token_of(&left).as_deref(), left.position));
                }
                RawKind::Binary(operator, Box::new(left), Box::new(self.expression(9)?))
            }
            "@" | "#" => {
                let right = self.expression(80)?;
                if !matches!(right.kind, RawKind::Variable(_)) {
                    let message = format!("the right side of `{operator}` must be a variable name (start with `$`)");
                    return Err(failure("S0214", message, Some(operator), right.position));
                }
                RawKind::Binary(operator, Box::new(left), Box::new(right))
            }
            "?" => {
                let then = self.expression(0)?;
                let mut other = None;
                if self.is(":") {
                    self.advance(false)?;
                    other = Some(Box::new(self.expression(0)?));
                }
                RawKind::Condition(Box::new(left), Box::new(then), other)
            }
            "?:" => {
                let other = self.expression(0)?;
                RawKind::Condition(Box::new(left.clone()), Box::new(left), Some(Box::new(other)))
            }
            "??" => {
                let other = self.expression(0)?;
                let exists = self.node(RawKind::Variable("exists".into()), position)?;
                let condition = self.node(RawKind::Call(Box::new(exists), vec![left.clone()]), position)?;
                RawKind::Condition(Box::new(condition), Box::new(left), Some(Box::new(other)))
            }
            _ => {
                let right = self.expression(power(&Token::Operator(operator)))?;
                RawKind::Binary(operator, Box::new(left), Box::new(right))
            }
        };
        self.node(kind, position)
    }

    fn filter(&mut self, mut left: Raw, position: usize) -> Result<Raw, Failure> {
        if self.is("]") {
            let mut step = &mut left;
            while let RawKind::Binary("[", ..) = step.kind {
                let RawKind::Binary(_, inner, _) = &mut step.kind else { unreachable!("it was just seen") };
                step = &mut **inner;
            }
            step.keep_array = true;
            self.advance(false)?;
            return Ok(left);
        }
        let predicate = self.expression(0)?;
        self.expect("]", true)?;
        self.node(RawKind::Binary("[", Box::new(left), Box::new(predicate)), position)
    }

    fn terms(&mut self) -> Result<Vec<(bool, Raw)>, Failure> {
        self.expect("(", false)?;
        let mut terms = Vec::new();
        loop {
            let is_descending = self.is(">");
            if is_descending || self.is("<") {
                self.advance(false)?;
            }
            terms.push((is_descending, self.expression(0)?));
            if !self.is(",") {
                break;
            }
            self.advance(false)?;
        }
        self.expect(")", false)?;
        Ok(terms)
    }

    /// A call, a partial application, or the definition of a function.
    fn call(&mut self, left: Raw, position: usize) -> Result<Raw, Failure> {
        let mut arguments = Vec::new();
        let mut is_partial = false;
        if !self.is(")") {
            loop {
                if self.is("?") {
                    is_partial = true;
                    arguments.push(self.node(RawKind::Placeholder, self.position)?);
                    self.advance(false)?;
                } else {
                    arguments.push(self.expression(0)?);
                }
                if !self.is(",") {
                    break;
                }
                self.advance(false)?;
            }
        }
        self.expect(")", true)?;
        let kind = match &left.kind {
            RawKind::Name(name) if matches!(&**name, "function" | "\u{3bb}") => self.lambda(arguments)?,
            _ if is_partial => RawKind::Partial(Box::new(left), arguments),
            _ => RawKind::Call(Box::new(left), arguments),
        };
        self.node(kind, position)
    }

    fn lambda(&mut self, arguments: Vec<Raw>) -> Result<RawKind, Failure> {
        let mut parameters = Vec::with_capacity(arguments.len());
        for (index, argument) in arguments.into_iter().enumerate() {
            match argument.kind {
                RawKind::Variable(name) => parameters.push(name),
                _ => {
                    let message = format!("parameter {} of function definition must be a variable name (start with `$`)", index + 1);
                    return Err(failure("S0208", message, token_of(&argument).as_deref(), argument.position));
                }
            }
        }
        let mut signature = None;
        if self.is("<") {
            let start = self.position;
            let mut text = String::from("<");
            let mut open = 1;
            while open > 0 && !self.is("{") && !matches!(self.token, Token::End) {
                self.advance(false)?;
                open += i32::from(self.is("<")) - i32::from(self.is(">"));
                text.push_str(&self.token.text());
            }
            self.expect(">", false)?;
            signature = Some(Rc::new(Signature::parse(&text).map_err(|mut failure| {
                failure.position = Some(start);
                failure
            })?));
        }
        self.expect("{", false)?;
        let body = self.expression(0)?;
        self.expect("}", false)?;
        Ok(RawKind::Lambda(parameters, signature, Box::new(body)))
    }
}

/// The token that a piece begins with, where it is a plain one.
fn token_of(raw: &Raw) -> Option<String> {
    Some(match &raw.kind {
        RawKind::Name(text) | RawKind::Variable(text) | RawKind::String(text) => text.to_string(),
        RawKind::Number(number) => number.to_string(),
        RawKind::Binary(operator, ..) | RawKind::Word(operator) => (*operator).to_owned(),
        _ => return None,
    })
}
