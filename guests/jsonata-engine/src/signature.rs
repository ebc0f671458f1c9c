//! Signatures of functions: which arguments they take, and what becomes of those that are left out.

use std::collections::HashSet;

use crate::evaluate::Arguments;
use crate::value::Array;
use crate::{Failure, Value};

/// Kinds of values, one bit each; `MISSING` is nothing at all.
mod kind {
    pub(super) const ARRAY: u8 = 1;
    pub(super) const STRING: u8 = 2;
    pub(super) const NUMBER: u8 = 4;
    pub(super) const BOOL: u8 = 8;
    pub(super) const NULL: u8 = 16;
    pub(super) const FUNCTION: u8 = 32;
    pub(super) const OBJECT: u8 = 64;
    pub(super) const MISSING: u8 = 128;
}

fn kind_of(value: &Value) -> u8 {
    match value {
        Value::Undefined => kind::MISSING,
        Value::Null => kind::NULL,
        Value::Bool(_) => kind::BOOL,
        Value::Number(_) => kind::NUMBER,
        Value::String(_) => kind::STRING,
        Value::Array(_) => kind::ARRAY,
        Value::Object(_) => kind::OBJECT,
        Value::Function(_) => kind::FUNCTION,
    }
}

fn kind_of_letter(letter: char) -> u8 {
    match letter {
        'a' => kind::ARRAY,
        's' => kind::STRING,
        'n' => kind::NUMBER,
        'b' => kind::BOOL,
        'l' => kind::NULL,
        'f' => kind::FUNCTION,
        'o' => kind::OBJECT,
        'm' => kind::MISSING,
        _ => 0,
    }
}

/// How often a parameter is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Count {
    One,
    Optional,
    /// Optional, and rather not.
    Lazy,
    Many,
    /// Many, and rather few.
    LazyMany,
}

/// A parameter.
#[derive(Clone, Debug)]
struct Parameter {
    kinds: u8,
    count: Count,
    is_array: bool,
    /// What its items are, where it is a list with a type.
    items: Option<Items>,
    /// Kinds of a context that stands for it.
    context: Option<u8>,
    letter: char,
}

/// The parameters of a function.
#[derive(Clone, Debug)]
pub(crate) struct Signature {
    parameters: Vec<Parameter>,
    /// The kinds of the first parameters, where counting is enough to tell which argument is which.
    quick: Option<Quick>,
}

/// Parameters that arguments are checked against one by one.
#[derive(Clone, Debug)]
struct Quick {
    kinds: [u8; QUICK],
    /// How many arguments must be given, and may.
    least: usize,
    most: usize,
    has_array: bool,
}

/// Parameters of a function that can be checked quickly.
const QUICK: usize = 4;

impl Quick {
    fn new(parameters: &[Parameter]) -> Option<Self> {
        let is_plain = parameters.iter().all(|parameter| matches!(parameter.count, Count::One | Count::Optional));
        if !is_plain || parameters.len() > QUICK {
            return None;
        }
        let mut kinds = [0; QUICK];
        kinds.iter_mut().zip(parameters).for_each(|(kinds, parameter)| *kinds = parameter.kinds);
        let left_out = |parameter: &&Parameter| parameter.count == Count::Optional && parameter.context.is_none();
        let most = parameters.len();
        let least = most - parameters.iter().rev().take_while(left_out).count();
        Some(Self { kinds, least, most, has_array: parameters.iter().any(|parameter| parameter.is_array) })
    }
}

impl Signature {
    /// Reads a signature such as `<s-nn?:s>`.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let letters: Vec<char> = text.chars().collect();
        let mut parameters: Vec<Parameter> = Vec::new();
        let mut place = 1;
        while let Some(&letter) = letters.get(place).filter(|letter| **letter != ':') {
            let kinds = match letter {
                's' | 'n' | 'b' | 'l' | 'o' => Some(kind_of_letter(letter) | kind::MISSING),
                'a' | 'x' => Some(u8::MAX),
                'f' => Some(kind::FUNCTION),
                'j' => Some(u8::MAX & !kind::FUNCTION),
                '(' => {
                    let end = closing(&letters, place, '(', ')');
                    let choice = &letters[place + 1..end.min(letters.len())];
                    if choice.contains(&'<') {
                        return Err(Failure::new("S0402", "choice groups containing parameterized types are not supported"));
                    }
                    place = end;
                    Some(choice.iter().fold(kind::MISSING, |kinds, letter| kinds | kind_of_letter(*letter)))
                }
                _ => None,
            };
            if let Some(kinds) = kinds {
                let is_array = letter == 'a';
                parameters.push(Parameter { kinds, count: Count::One, is_array, items: None, context: None, letter });
            } else if let Some(last) = parameters.last_mut() {
                last.modify(letter, &letters, &mut place)?;
            } else if letter == '<' {
                return Err(untyped());
            }
            place += 1;
        }
        Ok(Self { quick: Quick::new(&parameters), parameters })
    }

    /// Checks arguments and puts them as the function takes them. `context` stands for one that may be left out.
    #[inline]
    pub(crate) fn validate(&self, arguments: &mut Arguments, context: &Value) -> Result<(), Failure> {
        if let Some(quick) = &self.quick
            && self.fits(arguments)
        {
            arguments.fill(quick.most);
            return if quick.has_array { self.wrap(arguments) } else { Ok(()) };
        }
        self.match_all(arguments, context)
    }

    /// Whether arguments and parameters go one by one, and only optional ones at the end are left out.
    #[inline]
    pub(crate) fn fits(&self, arguments: &[Value]) -> bool {
        let Some(quick) = &self.quick else { return false };
        let count = arguments.len();
        count >= quick.least
            && count <= quick.most
            && quick.kinds.iter().zip(arguments).all(|(kinds, argument)| kinds & kind_of(argument) != 0)
    }

    /// Makes lists of what is to be a list.
    #[inline]
    fn wrap(&self, arguments: &mut Arguments) -> Result<(), Failure> {
        for (index, parameter) in self.parameters.iter().enumerate() {
            if parameter.is_array {
                let argument = &mut arguments[index];
                let kind = kind_of(argument);
                if kind != kind::ARRAY || parameter.items.is_some() {
                    parameter.list(argument, kind, index)?;
                }
            }
        }
        Ok(())
    }

    /// As a regular expression over the kinds of the arguments would match them.
    fn match_all(&self, arguments: &mut Arguments, context: &Value) -> Result<(), Failure> {
        let kinds: Vec<u8> = arguments.iter().map(kind_of).collect();
        let mut counts = vec![0; self.parameters.len()];
        if !assign(&self.parameters, &kinds, &mut counts) {
            return Err(self.mismatch(&kinds));
        }
        let given: Vec<Value> = arguments.drain();
        // A parameter that is left out takes an argument all the same, if only for itself: so the reference counts.
        let (mut given_index, mut kind_index) = (0, 0);
        for (parameter, count) in self.parameters.iter().zip(counts) {
            if count == 0 {
                match parameter.context {
                    Some(kinds) if kinds & kind_of(context) == 0 => {
                        let message = format!("context value is not a compatible type with argument {}", given_index + 1);
                        return Err(Failure::new("T0411", message));
                    }
                    Some(_) => arguments.push(context.clone()),
                    None => {
                        arguments.push(given.get(given_index).cloned().unwrap_or_default());
                        given_index += 1;
                    }
                }
                continue;
            }
            for _ in 0..count {
                let mut argument = given.get(given_index).cloned().unwrap_or_default();
                if parameter.is_array {
                    parameter.list(&mut argument, kinds[kind_index], given_index)?;
                }
                arguments.push(argument);
                given_index += 1;
                kind_index += 1;
            }
        }
        Ok(())
    }

    /// Which argument is the first that does not fit.
    fn mismatch(&self, kinds: &[u8]) -> Failure {
        let mut good = 0;
        for end in 1..=self.parameters.len() {
            let mut counts = vec![0; end];
            match assign_prefix(&self.parameters[..end], kinds, &mut counts) {
                true => good = counts.iter().sum(),
                false => break,
            }
        }
        Failure::new("T0410", format!("argument {} does not match the function's signature", good + 1))
    }
}

fn untyped() -> Failure {
    Failure::new("S0401", "type parameters can only be applied to functions and arrays")
}

impl Parameter {
    /// What a letter behind it says of it.
    fn modify(&mut self, letter: char, letters: &[char], place: &mut usize) -> Result<(), Failure> {
        let more = |count| match (count, letter) {
            (Count::One, '+') => Some(Count::Many),
            (Count::One, _) => Some(Count::Optional),
            (Count::Optional, '?' | '-') => Some(Count::Lazy),
            (Count::Many, '?' | '-') => Some(Count::LazyMany),
            _ => None,
        };
        match letter {
            '-' | '?' | '+' => {
                if letter == '-' {
                    self.context = Some(if self.count == Count::One { self.kinds } else { u8::MAX });
                }
                // JavaScript refuses such a regular expression too.
                self.count =
                    more(self.count).ok_or_else(|| Failure::new("S0401", "a parameter has too many of `?`, `+` and `-` behind it"))?;
            }
            '<' if matches!(self.letter, 'a' | 'f') => {
                let end = closing(letters, *place, '<', '>');
                let text: String = letters[*place + 1..end.min(letters.len())].iter().collect();
                self.items = Some(Items { kind: text.chars().next().map_or(0, kind_of_letter), text });
                *place = end;
            }
            '<' => return Err(untyped()),
            _ => {}
        }
        Ok(())
    }

    /// Makes a list of an argument, and checks its items.
    #[inline]
    fn list(&self, argument: &mut Value, kind: u8, index: usize) -> Result<(), Failure> {
        if kind == kind::MISSING {
            return Ok(());
        }
        if let Some(items) = &self.items {
            let fits = match argument {
                Value::Array(list) => match list.first() {
                    None => true,
                    Some(item) => {
                        let kind = kind_of(item);
                        items.kind == kind && list.iter().all(|item| kind_of(item) == kind)
                    }
                },
                _ => items.text.len() == 1 && items.kind == kind,
            };
            if !fits {
                return Err(Failure::new("T0412", format!("argument {} must be an array of {}", index + 1, items.noun())));
            }
        }
        if kind != kind::ARRAY {
            *argument = Value::Array(std::rc::Rc::new(Array::plain(vec![std::mem::take(argument)])));
        }
        Ok(())
    }
}

/// What the items of a list are: the letters in brackets, and the kind that the first one means.
#[derive(Clone, Debug)]
struct Items {
    text: String,
    kind: u8,
}

impl Items {
    fn noun(&self) -> &str {
        match self.text.as_str() {
            "a" => "arrays",
            "b" => "booleans",
            "f" => "functions",
            "n" => "numbers",
            "o" => "objects",
            "s" => "strings",
            other => other,
        }
    }
}

/// The place of the bracket that closes the one at `start`; the end where there is none.
fn closing(letters: &[char], start: usize, open: char, close: char) -> usize {
    let mut depth = 1;
    let mut place = start;
    while place < letters.len() {
        place += 1;
        match letters.get(place) {
            Some(&letter) if letter == close => {
                depth -= 1;
                if depth == 0 {
                    break;
                }
            }
            Some(&letter) if letter == open => depth += 1,
            _ => {}
        }
    }
    place
}

/// Finds how many arguments each parameter takes, all of them in all.
fn assign(parameters: &[Parameter], kinds: &[u8], counts: &mut [usize]) -> bool {
    search(parameters, kinds, counts, true, &mut HashSet::new())
}

/// As [`assign`], but arguments may be left.
fn assign_prefix(parameters: &[Parameter], kinds: &[u8], counts: &mut [usize]) -> bool {
    search(parameters, kinds, counts, false, &mut HashSet::new())
}

/// `dead` are the places, as parameters and arguments that are left, from which nothing matches.
fn search(parameters: &[Parameter], kinds: &[u8], counts: &mut [usize], is_whole: bool, dead: &mut HashSet<(usize, usize)>) -> bool {
    let Some((parameter, rest)) = parameters.split_first() else { return !is_whole || kinds.is_empty() };
    let place = (parameters.len(), kinds.len());
    if dead.contains(&place) {
        return false;
    }
    let fitting = kinds.iter().take_while(|kind| **kind & parameter.kinds != 0).count();
    let (least, most) = match parameter.count {
        Count::One => (1, 1),
        Count::Optional | Count::Lazy => (0, 1),
        Count::Many | Count::LazyMany => (1, fitting),
    };
    let most = most.min(fitting);
    let mut attempt = |count: usize| {
        counts[0] = count;
        search(rest, &kinds[count..], &mut counts[1..], is_whole, dead)
    };
    let found = match parameter.count {
        Count::Lazy | Count::LazyMany => (least..=most).any(&mut attempt),
        _ => (least..=most).rev().any(&mut attempt),
    };
    if !found {
        dead.insert(place);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn validate(signature: &str, arguments: Vec<Value>, context: Value) -> Result<Vec<Value>, String> {
        let mut given = Arguments::default();
        arguments.into_iter().for_each(|argument| given.push(argument));
        let signature = Signature::parse(signature).map_err(|failure| failure.code)?;
        signature.validate(&mut given, &context).map_err(|failure| failure.code)?;
        Ok(given.drain())
    }

    #[test]
    fn arguments_are_matched_as_a_regular_expression_would() {
        let (text, number) = (Value::from("x"), Value::Number(1.0));
        let list = Value::array(vec![number.clone()]);
        assert_eq!(validate("<s-nn?:s>", vec![number.clone()], text.clone()), Ok(vec![text.clone(), number.clone(), Value::Undefined]));
        assert_eq!(validate("<s-:s>", vec![], number.clone()), Err("T0411".into()));
        assert_eq!(validate("<a<n>:n>", vec![number.clone()], Value::Null), Ok(vec![list.clone()]));
        assert_eq!(validate("<a<n>:n>", vec![text.clone()], Value::Null), Err("T0412".into()));
        assert_eq!(validate("<a+>", vec![list.clone(), number.clone()], Value::Null), Ok(vec![list.clone(), list.clone()]));
        assert_eq!(validate("<af>", vec![list, Value::Undefined], Value::Null), Err("T0410".into()));
        assert_eq!(validate("<:n>", vec![number.clone()], Value::Null), Err("T0410".into()));
        assert_eq!(validate("<(ns)-:n>", vec![], text.clone()), Ok(vec![text]));
        assert_eq!(validate("<n<n>:n>", vec![], number), Err("S0401".into()));
    }
}
