//! Operators of one and two values.

use std::cmp::Ordering;
use std::rc::Rc;

use super::{Environment, Evaluator, Node, Outcome};
use crate::library::text::check_size;
use crate::syntax::Operator;
use crate::value::{Array, Flags, compare_texts, is_deep_equal, is_same, number_text, write_text};
use crate::{Failure, Value};

/// Items that `..` may make.
const MAX_RANGE: f64 = 1e7;

/// Whether a number is one; infinity is an error.
#[inline]
pub(crate) fn is_number(number: f64) -> Result<bool, Failure> {
    match number.is_infinite() {
        true => Err(Failure::new("D1001", format!("number out of range: {}", number_text(number)))),
        false => Ok(!number.is_nan()),
    }
}

/// Whether all values are numbers.
pub(crate) fn are_numbers(values: &[Value]) -> Result<bool, Failure> {
    let mut all = true;
    for value in values {
        all &= match value {
            Value::Number(number) => is_number(*number)?,
            _ => false,
        };
    }
    Ok(all)
}

/// `$boolean`; nothing of nothing.
#[inline]
pub(crate) fn truth(value: &Value) -> Result<Option<bool>, Failure> {
    Ok(Some(match value {
        Value::Undefined => return Ok(None),
        Value::Bool(value) => *value,
        Value::Null | Value::Function(_) => false,
        Value::Number(number) => is_number(*number)? && *number != 0.0,
        Value::String(text) => !text.is_empty(),
        Value::Object(object) => !object.is_empty(),
        Value::Array(items) => {
            let mut any = false;
            for item in items.iter() {
                any |= truth(item)? == Some(true);
            }
            any
        }
    }))
}

impl Evaluator {
    #[inline(never)]
    pub(super) fn binary(
        &mut self,
        operator: Operator,
        sides: &(Node, Node),
        position: usize,
        input: &Value,
        env: &Environment,
    ) -> Outcome {
        let place = |mut failure: Failure| {
            failure.position = Some(position);
            failure.token = Some(operator.text().to_owned());
            failure
        };
        self.turns += 2;
        let left = self.evaluate(&sides.0, input, env)?;
        if let Operator::And | Operator::Or = operator {
            let is_true = truth(&left).map_err(place)? == Some(true);
            if is_true == (operator == Operator::Or) {
                return Ok(Value::Bool(is_true));
            }
            let right = self.evaluate(&sides.1, input, env)?;
            return Ok(Value::Bool(truth(&right).map_err(place)? == Some(true)));
        }
        let right = self.evaluate(&sides.1, input, env)?;
        let value = match (operator, &left, &right) {
            (Operator::Equal, one, other) => Ok(Value::Bool(is_equal(one, other))),
            (Operator::NotEqual, Value::Undefined, _) | (Operator::NotEqual, _, Value::Undefined) => Ok(Value::Bool(false)),
            (Operator::NotEqual, one, other) => Ok(Value::Bool(!is_equal(one, other))),
            (Operator::Less | Operator::LessOrEqual | Operator::Greater | Operator::GreaterOrEqual, one, other) => {
                compare(operator, one, other)
            }
            (Operator::In, one, other) => Ok(Value::Bool(is_in(one, other))),
            (Operator::Range, one, other) => self.range(one, other),
            (operator, one, other) => calculate(operator, one, other),
        };
        value.map_err(|failure| Box::new(place(failure)))
    }

    /// `a & b & …`: texts one behind the other.
    #[inline(never)]
    pub(super) fn concatenate(&mut self, parts: &[(Node, usize)], input: &Value, env: &Environment) -> Outcome {
        // As deep as one operator within the other.
        let depth = parts.len() - 2;
        self.turns += 3 * depth as u64 + 2;
        self.depth += depth;
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        let mut first = None;
        for (index, (part, position)) in parts.iter().enumerate() {
            let value = self.evaluate(part, input, env)?;
            if index == 0 {
                first = Some(value);
                continue;
            }
            for value in first.take().iter().chain([&value]) {
                write_text(value, &mut text).map_err(|failure| Failure {
                    position: Some(*position),
                    token: Some("&".into()),
                    ..failure
                })?;
            }
            check_size(&text)?;
            if index > 1 {
                self.depth -= 1;
            }
        }
        let value = match crate::surrogate::has_lone(&text) {
            true => Value::string(crate::surrogate::joined(text.clone())),
            false => Value::string(text.as_str()),
        };
        self.text = text;
        Ok(value)
    }

    pub(super) fn negate(&mut self, inner: &Node, position: usize, input: &Value, env: &Environment) -> Outcome {
        self.turns += 1;
        match self.evaluate(inner, input, env)? {
            Value::Undefined => Ok(Value::Undefined),
            Value::Number(number) if is_number(number)? => Ok(Value::Number(-number)),
            value => {
                let message = format!("{} cannot be negated", crate::describe(&value));
                Err(Failure { position: Some(position), token: Some("-".into()), ..Failure::new("D1002", message) }.into())
            }
        }
    }

    fn range(&self, left: &Value, right: &Value) -> Result<Value, Failure> {
        let whole = |value: &Value, code: &str, side: &str| match value {
            Value::Undefined => Ok(None),
            Value::Number(number) if number.is_finite() && number.fract() == 0.0 => Ok(Some(*number)),
            value => Err(Failure::new(code, format!("the {side} side of `..` must be an integer, not {}", crate::describe(value)))),
        };
        let first = whole(left, "T2003", "left")?;
        let last = whole(right, "T2004", "right")?;
        let (Some(first), Some(last)) = (first, last) else { return Ok(Value::Undefined) };
        if first > last {
            return Ok(Value::Undefined);
        }
        let size = last - first + 1.0;
        if size > MAX_RANGE {
            return Err(Failure::new("D2014", format!("`..` may make 10,000,000 items, not {}", number_text(size))));
        }
        if size > self.max_sequence as f64 {
            return Err(Failure::new("D2015", format!("a sequence of more than {} items", self.max_sequence)));
        }
        let items = (0..size as usize).map(|index| Value::Number(first + index as f64)).collect();
        Ok(Value::Array(Rc::new(Array::new(items, Flags::SEQUENCE))))
    }
}

fn is_equal(one: &Value, other: &Value) -> bool {
    !one.is_undefined() && !other.is_undefined() && is_deep_equal(one, other)
}

#[inline]
fn calculate(operator: Operator, left: &Value, right: &Value) -> Result<Value, Failure> {
    let number = |value: &Value, code: &str, side: &str| match value {
        Value::Undefined => Ok(None),
        Value::Number(number) if is_number(*number)? => Ok(Some(*number)),
        value => {
            let what = crate::describe(value);
            Err(Failure::new(code, format!("the {side} side of `{}` must be a number, not {what}", operator.text())))
        }
    };
    let left = number(left, "T2001", "left")?;
    let right = number(right, "T2002", "right")?;
    let (Some(left), Some(right)) = (left, right) else { return Ok(Value::Undefined) };
    Ok(Value::Number(match operator {
        Operator::Add => left + right,
        Operator::Subtract => left - right,
        Operator::Multiply => left * right,
        Operator::Divide => left / right,
        _ => left % right,
    }))
}

fn compare(operator: Operator, left: &Value, right: &Value) -> Result<Value, Failure> {
    let order = match (left, right) {
        (Value::Number(left), Value::Number(right)) => left.partial_cmp(right),
        (Value::String(left), Value::String(right)) => Some(compare_texts(left, right)),
        (Value::Number(_) | Value::String(_) | Value::Undefined, Value::Number(_) | Value::String(_) | Value::Undefined) => {
            if left.is_undefined() || right.is_undefined() {
                return Ok(Value::Undefined);
            }
            let message = format!("a number and a text cannot be compared by `{}`", operator.text());
            return Err(Failure::new("T2009", message));
        }
        (left, right) => {
            let wrong = if matches!(left, Value::Number(_) | Value::String(_)) { right } else { left };
            let message = format!("`{}` compares numbers or texts, not {}", operator.text(), crate::describe(wrong));
            return Err(Failure::new("T2010", message));
        }
    };
    Ok(Value::Bool(match operator {
        Operator::Less => order == Some(Ordering::Less),
        Operator::LessOrEqual => matches!(order, Some(Ordering::Less | Ordering::Equal)),
        Operator::Greater => order == Some(Ordering::Greater),
        _ => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
    }))
}

fn is_in(left: &Value, right: &Value) -> bool {
    match right {
        Value::Undefined => false,
        _ if left.is_undefined() => false,
        Value::Array(items) => items.iter().any(|item| is_same(item, left)),
        right => is_same(right, left),
    }
}
