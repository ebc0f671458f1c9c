//! The parser of expressions.

use serde_json::Value;

use super::{ANY, Expr, ExprError, Field, Function, Part, STRFTIME_DIRECTIVES, Segment};

/// Parses the text of an `add` value.
///
/// # Errors
/// A call of an unknown function, a wrong number of arguments, a `${`, quote or parenthesis that is not closed.
pub fn parse(text: &str) -> Result<Expr, ExprError> {
    let parser = Parser { text };
    let start = text.len() - text.trim_start().len();
    let end = text.trim_end().len();
    match parser.call(start, end)? {
        Some(call) => Ok(call),
        None => parser.template(0, text.len()),
    }
}

/// Parses ranges (byte offsets) of one text, so that every error knows its column.
struct Parser<'a> {
    text: &'a str,
}

impl Parser<'_> {
    fn error(&self, offset: usize, message: impl Into<String>) -> ExprError {
        ExprError { column: self.text[..offset].chars().count() + 1, message: message.into(), hint: None }
    }

    /// Answers the call that spans the range, if one does.
    fn call(&self, start: usize, end: usize) -> Result<Option<Expr>, ExprError> {
        let range = self.text.get(start..end).unwrap_or_default();
        let word = range.len() - range.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_').len();
        let name = &range[..word];
        if name.is_empty() || name.starts_with(|c: char| c.is_numeric()) || !range[word..].starts_with('(') {
            return Ok(None);
        }
        let function = Function::find(name);
        let open = start + word;
        let (arguments, close) = match self.split(open, end) {
            Ok(found) => found,
            Err(_) if function.is_none() => return Ok(None),
            Err(error) => return Err(error),
        };
        let rest = self.text[close + 1..end].trim_start();
        let Some(function) = function else {
            if rest.is_empty() {
                return Err(self.unknown(start, name, range));
            }
            return Ok(None);
        };
        if rest.starts_with(['+', '-', '*', '/', '%']) {
            let mut error = self.error(end - rest.len(), format!("`{}` after a call: `add` does no arithmetic", &rest[..1]));
            error.hint = Some("use a `jsonata` step for arithmetic, or `concat(…)` to join texts".into());
            return Err(error);
        }
        if !rest.is_empty() {
            return Ok(None);
        }
        let (least, most) = function.arity();
        if arguments.len() < least || arguments.len() > most {
            let wanted = match (least, most) {
                (0, 0) => "no arguments".into(),
                (1, 1) => "1 argument".into(),
                (_, ANY) => format!("at least {least} argument{}", if least == 1 { "" } else { "s" }),
                _ if least == most => format!("{least} arguments"),
                _ => format!("{least} to {most} arguments"),
            };
            return Err(self.error(open, format!("`{}` takes {wanted}, not {}", function.name(), arguments.len())));
        }
        let mut parsed = Vec::with_capacity(arguments.len());
        for (from, to) in &arguments {
            parsed.push(self.argument(*from, *to)?);
        }
        self.check(function, &mut parsed, &arguments)?;
        Ok(Some(Expr::Call(function, parsed)))
    }

    /// Holds the arguments that must be known beforehand to what they may be.
    fn check(&self, function: Function, arguments: &mut [Expr], places: &[(usize, usize)]) -> Result<(), ExprError> {
        match (function, arguments) {
            (Function::Env, [name, ..]) => match name {
                Expr::Word(word) => *name = Expr::Literal(Value::String(std::mem::take(word))),
                Expr::Literal(Value::String(_)) => {}
                _ => return Err(self.error(places[0].0, "`env` takes the name of a variable, such as `env(REGION)`")),
            },
            (Function::Now, [Expr::Literal(Value::String(format))]) => {
                let mut characters = format.chars();
                while let Some(character) = characters.next() {
                    if character != '%' {
                        continue;
                    }
                    let directive = characters.next();
                    if directive.is_none_or(|directive| !STRFTIME_DIRECTIVES.contains(directive)) {
                        let directive = directive.map(String::from).unwrap_or_default();
                        let mut error = self.error(places[0].0, format!("`%{directive}` is not a directive of `now`"));
                        error.hint = Some(format!(
                            "directives are {}",
                            STRFTIME_DIRECTIVES.chars().map(|c| format!("%{c}")).collect::<Vec<_>>().join(" ")
                        ));
                        return Err(error);
                    }
                }
            }
            (Function::Now, [Expr::Word(word)]) if word == "row" => {}
            (Function::Now, [_]) => {
                let mut error = self.error(places[0].0, "`now` takes a format in quotes, or `row`");
                error.hint = Some("write for example `now(\"%Y-%m-%d\")`".into());
                return Err(error);
            }
            _ => {}
        }
        Ok(())
    }

    fn unknown(&self, offset: usize, name: &str, text: &str) -> ExprError {
        let mut error = self.error(offset, format!("there is no function `{name}`"));
        let names: Vec<&str> = Function::ALL.iter().map(|function| function.name()).collect();
        let lower = name.to_lowercase();
        let nearest = names.iter().map(|known| (distance(&lower, known), known)).min_by_key(|(distance, _)| *distance);
        let meant = match nearest {
            Some((distance, known)) if distance <= 1 + known.len() / 4 => format!("did you mean `{known}`? "),
            _ => String::new(),
        };
        let quote = if text.contains('"') { '\'' } else { '"' };
        error.hint =
            Some(format!("{meant}functions are {}; to have this as a text, write `concat({quote}{text}{quote})`", names.join(" ")));
        error
    }

    /// Splits what stands in the parentheses that open at `open` at its top-level commas; answers the arguments, trimmed, and where `)` stands.
    fn split(&self, open: usize, end: usize) -> Result<(Vec<(usize, usize)>, usize), ExprError> {
        let bytes = self.text.as_bytes();
        let mut arguments = Vec::new();
        let (mut at, mut from, mut depth) = (open + 1, open + 1, 0usize);
        while at < end {
            match bytes[at] {
                quote @ (b'"' | b'\'') => at = self.quoted(at, end, quote)?,
                b'$' if bytes[at + 1..end].starts_with(b"{") => at = self.braced(at, end)?,
                b'(' => depth += 1,
                b')' if depth == 0 => {
                    let last = self.trim(from, at);
                    if last.0 < last.1 || !arguments.is_empty() {
                        arguments.push(last);
                    }
                    if let Some((empty, _)) = arguments.iter().find(|(from, to)| from == to) {
                        return Err(self.error(*empty, "an argument is missing here"));
                    }
                    return Ok((arguments, at));
                }
                b')' => depth -= 1,
                b',' if depth == 0 => {
                    arguments.push(self.trim(from, at));
                    from = at + 1;
                }
                _ => {}
            }
            at += 1;
        }
        Err(self.error(open, "this `(` is not closed"))
    }

    fn trim(&self, from: usize, to: usize) -> (usize, usize) {
        let range = &self.text[from..to];
        let start = from + (range.len() - range.trim_start().len());
        (start, start + range.trim().len())
    }

    /// Answers where the quote that opens at `at` closes.
    fn quoted(&self, at: usize, end: usize, quote: u8) -> Result<usize, ExprError> {
        let bytes = self.text.as_bytes();
        let mut next = at + 1;
        while next < end {
            match bytes[next] {
                b'\\' => next += 1,
                byte if byte == quote => return Ok(next),
                _ => {}
            }
            next += 1;
        }
        Err(self.error(at, "this quote is not closed"))
    }

    /// Answers where the `}` of the `${` at `at` stands.
    fn braced(&self, at: usize, end: usize) -> Result<usize, ExprError> {
        self.text[at..end].find('}').map(|length| at + length).ok_or_else(|| {
            let mut error = self.error(at, "this `${` is not closed");
            error.hint = Some("close it with `}`, or write `$${` for a literal `${`".into());
            error
        })
    }

    fn argument(&self, start: usize, end: usize) -> Result<Expr, ExprError> {
        let text = &self.text[start..end];
        if let Some(quote @ (b'"' | b'\'')) = text.bytes().next() {
            let close = self.quoted(start, end, quote)?;
            if close + 1 != end {
                return Err(self.error(close + 1, "a comma is missing after the closing quote"));
            }
            let inner = unescape(&self.text[start + 1..close]);
            if !inner.contains("${") {
                return Ok(Expr::Literal(Value::String(inner)));
            }
            let parsed = Parser { text: &inner }.template(0, inner.len());
            return parsed.map_err(|error| ExprError { column: self.text[..start + 1].chars().count() + error.column, ..error });
        }
        if let Some(number) = number(text) {
            return Ok(Expr::Literal(number));
        }
        match text.to_ascii_lowercase().as_str() {
            "true" => return Ok(Expr::Literal(Value::Bool(true))),
            "false" => return Ok(Expr::Literal(Value::Bool(false))),
            "null" | "none" => return Ok(Expr::Literal(Value::Null)),
            _ => {}
        }
        if let Some(call) = self.call(start, end)? {
            return Ok(call);
        }
        match self.template(start, end)? {
            Expr::Literal(Value::String(text)) => Ok(Expr::Word(text)),
            other => Ok(other),
        }
    }

    /// Reads a range as a text with fields in it.
    fn template(&self, start: usize, end: usize) -> Result<Expr, ExprError> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut at = start;
        while let Some(found) = self.text[at..end].find("${") {
            let dollar = at + found;
            if dollar > at && self.text.as_bytes()[dollar - 1] == b'$' {
                plain.push_str(&self.text[at..dollar - 1]);
                plain.push_str("${");
                at = dollar + 2;
                continue;
            }
            plain.push_str(&self.text[at..dollar]);
            let close = self.braced(dollar, end)?;
            let field = self.field(dollar + 2, close)?;
            if !plain.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut plain)));
            }
            parts.push(Part::Field(field));
            at = close + 1;
        }
        plain.push_str(&self.text[at..end]);
        if parts.is_empty() {
            return Ok(Expr::Literal(Value::String(plain)));
        }
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        match <[Part; 1]>::try_from(parts) {
            Ok([Part::Field(field)]) => Ok(Expr::Field(field)),
            Ok(one) => Ok(Expr::Template(one.into())),
            Err(parts) => Ok(Expr::Template(parts)),
        }
    }

    fn field(&self, start: usize, end: usize) -> Result<Field, ExprError> {
        let inner = &self.text[start..end];
        let (name, default) = match inner.split_once(":-") {
            Some((name, default)) => (name.trim(), Some(default.to_owned())),
            None => (inner.trim(), None),
        };
        if name.is_empty() {
            return Err(self.error(start, "`${}` names no field"));
        }
        if let Some(found) = name.find(":?") {
            let mut error = self.error(start + found, "`:?` works for variables, not for fields");
            error.hint = Some("in `add`, `${name}` is a field; `${name:-default}` gives a default".into());
            return Err(error);
        }
        let path = path(name).unwrap_or_else(|| vec![Segment::Name(name.to_owned())]);
        Ok(Field { name: name.to_owned(), path, default })
    }
}

/// Reads `a.b[0].c`; `None` where it is no path.
pub(super) fn path(name: &str) -> Option<Vec<Segment>> {
    let mut segments = Vec::new();
    for piece in name.split('.') {
        let (member, mut indexes) = piece.split_at(piece.find('[').unwrap_or(piece.len()));
        if member.is_empty() {
            return None;
        }
        segments.push(Segment::Name(member.to_owned()));
        while !indexes.is_empty() {
            let (index, rest) = indexes.strip_prefix('[')?.split_once(']')?;
            segments.push(Segment::Index(index.parse().ok()?));
            indexes = rest;
        }
    }
    Some(segments)
}

fn number(text: &str) -> Option<Value> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    if let Ok(integer) = text.parse::<i64>() {
        return Some(integer.into());
    }
    let float: f64 = text.parse().ok()?;
    serde_json::Number::from_f64(float).map(Value::Number)
}

/// Resolves `\n`, `\t`, `\\` and escaped quotes; any other backslash stays, as in a Windows path.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let resolved = match (character, characters.peek()) {
            ('\\', Some('n')) => Some('\n'),
            ('\\', Some('t')) => Some('\t'),
            ('\\', Some(&escaped @ ('\\' | '"' | '\''))) => Some(escaped),
            _ => None,
        };
        if resolved.is_some() {
            characters.next();
        }
        out.push(resolved.unwrap_or(character));
    }
    out
}

/// Counts the edits from one word to the other.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, l) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, r) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(l != *r);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}
