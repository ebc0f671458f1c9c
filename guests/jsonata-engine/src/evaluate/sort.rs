//! Putting items in order.

use std::cmp::Ordering;
use std::rc::Rc;

use super::node::Term;
use super::{Environment, Evaluator, Outcome};
use crate::value::{Array, Flags, compare_texts};
use crate::{Failure, Value};

/// Sorts places by merging, as the reference does, so that a comparison that contradicts itself ends the same way.
/// `is_behind` says whether the first of two belongs behind the second.
pub(crate) fn merge_sort(count: usize, is_behind: &mut dyn FnMut(usize, usize) -> Outcome<bool>) -> Outcome<Vec<usize>> {
    fn sort(places: &mut [usize], merged: &mut Vec<usize>, is_behind: &mut dyn FnMut(usize, usize) -> Outcome<bool>) -> Outcome<()> {
        if places.len() <= 1 {
            return Ok(());
        }
        let middle = places.len() / 2;
        sort(&mut places[..middle], merged, is_behind)?;
        sort(&mut places[middle..], merged, is_behind)?;
        merged.clear();
        let (mut left, mut right) = (0, middle);
        while left < middle && right < places.len() {
            let from = if is_behind(places[left], places[right])? { &mut right } else { &mut left };
            merged.push(places[*from]);
            *from += 1;
        }
        merged.extend_from_slice(&places[left..middle]);
        merged.extend_from_slice(&places[right..]);
        places.copy_from_slice(merged);
        Ok(())
    }
    let mut places: Vec<usize> = (0..count).collect();
    sort(&mut places, &mut Vec::with_capacity(count), is_behind)?;
    Ok(places)
}

impl Evaluator {
    /// `^(…)`: items in the order of terms.
    pub(super) fn order(&mut self, terms: &[Term], position: usize, list: &Rc<Array>, env: &Environment) -> Outcome {
        if list.len() <= 1 {
            return Ok(Value::Array(list.clone()));
        }
        // Each term of an item is worked out once, when it is asked for first.
        let mut known: Vec<Option<Value>> = vec![None; list.len() * terms.len()];
        let places = merge_sort(list.len(), &mut |one, other| {
            for (index, term) in terms.iter().enumerate() {
                for item in [one, other] {
                    if known[item * terms.len() + index].is_none() {
                        known[item * terms.len() + index] = Some(self.term(term, &list[item], list.is(Flags::TUPLES), env)?);
                    }
                }
                let of = |item: usize| known[item * terms.len() + index].as_ref().unwrap_or(&Value::Undefined);
                let order = match (of(one), of(other)) {
                    (Value::Undefined, Value::Undefined) => continue,
                    (Value::Undefined, _) => return Ok(true),
                    (_, Value::Undefined) => return Ok(false),
                    (one, other) => compare(one, other, position)?,
                };
                let order = if term.is_descending { order.map(Ordering::reverse) } else { order };
                match order {
                    Some(Ordering::Equal) => {}
                    order => return Ok(order == Some(Ordering::Greater)),
                }
            }
            Ok(false)
        })?;
        Ok(Value::array(places.into_iter().map(|place| list[place].clone()).collect()))
    }

    fn term(&mut self, term: &Term, item: &Value, is_tuple: bool, env: &Environment) -> Outcome {
        if !is_tuple {
            return self.evaluate(&term.node, item, env);
        }
        let frame = self.tuple_frame(item, env);
        let value = self.evaluate(&term.node, &super::tuple::context(item), &frame)?;
        self.leave(frame);
        Ok(value)
    }
}

/// Compares the terms of two items; NaN is neither less nor equal, which counts as greater.
fn compare(one: &Value, other: &Value, position: usize) -> Outcome<Option<Ordering>> {
    let failure = |code: &str, message: &str| Failure { position: Some(position), token: Some("^".into()), ..Failure::new(code, message) };
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => Ok(Some(one.partial_cmp(other).unwrap_or(Ordering::Greater))),
        (Value::String(one), Value::String(other)) => Ok(Some(compare_texts(one, other))),
        (Value::Number(_) | Value::String(_), Value::Number(_) | Value::String(_)) => {
            Err(failure("T2007", "a number and a text cannot be put in order").into())
        }
        _ => Err(failure("T2008", "items are put in order by numbers or texts only").into()),
    }
}
