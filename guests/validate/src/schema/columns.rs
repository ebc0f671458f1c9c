//! A schema held against whole columns: members of objects and items of lists are columns of their own, so most rows need not become JSON.
//!
//! What a column cannot answer (dates, maps, `uniqueItems`, `contains`, what asks what was looked at …) is judged value by value, for that
//! part only.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch, StructArray};
use arrow_buffer::{BooleanBuffer, NullBuffer};
use arrow_schema::DataType;
use serde_json::{Value, json};

use super::Schema;
use super::judge::{Judge, characters};
use super::node::{Check, Id};
use super::values::compare;
use crate::json;
use crate::view::{self, Family};

/// What a check says of a column's values.
enum Answer {
    /// All hold.
    All,
    /// These hold.
    Rows(BooleanBuffer),
    /// It takes the values.
    Unknown,
}

impl Schema {
    /// The rows that break the schema.
    pub(crate) fn broken(&self, rows: &RecordBatch) -> BooleanBuffer {
        if rows.num_columns() == 0 {
            let holds = self.holds(&json!({}));
            return if holds { BooleanBuffer::new_unset(rows.num_rows()) } else { BooleanBuffer::new_set(rows.num_rows()) };
        }
        let rows: ArrayRef = std::sync::Arc::new(StructArray::from(rows.clone()));
        !&self.node(0, &rows)
    }

    /// The values that satisfy a schema.
    fn node(&self, id: Id, column: &ArrayRef) -> BooleanBuffer {
        let node = &self.nodes[id];
        let mut held = BooleanBuffer::new_set(column.len());
        let follows = node.tracks || !self.dynamic.is_empty() || !self.recursive.is_empty();
        if follows && !node.checks.is_empty() {
            return self.by_value(id, column);
        }
        for check in &node.checks {
            match self.column(check, column) {
                Answer::All => {}
                Answer::Rows(rows) => held = &held & &rows,
                Answer::Unknown => return self.by_value(id, column),
            }
        }
        match column.logical_nulls() {
            Some(nulls) if nulls.null_count() > 0 => match Judge::new(self).holds(id, &Value::Null, None) {
                true => &held | &!nulls.inner(),
                false => &held & nulls.inner(),
            },
            _ => held,
        }
    }

    fn by_value(&self, id: Id, column: &ArrayRef) -> BooleanBuffer {
        BooleanBuffer::collect_bool(column.len(), |row| Judge::new(self).holds(id, &json::value(column, row), None))
    }

    fn column(&self, check: &Check, column: &ArrayRef) -> Answer {
        match check {
            Check::Never => return Answer::Rows(BooleanBuffer::new_unset(column.len())),
            Check::AllOf(ids) => return self.each(ids, column, true, |held, one| held & one),
            Check::AnyOf(ids) => return self.each(ids, column, false, |held, one| held | one),
            Check::Not(id) => return Answer::Rows(!&self.node(*id, column)),
            Check::If { test, then, otherwise } => {
                let test = self.node(*test, column);
                let branch = |id: &Option<Id>| id.map_or_else(|| BooleanBuffer::new_set(column.len()), |id| self.node(id, column));
                return Answer::Rows(&(&test & &branch(then)) | &(&!&test & &branch(otherwise)));
            }
            Check::Reference(id) => return Answer::Rows(self.node(*id, column)),
            Check::ExactlyOneOf(_) | Check::DynamicReference { .. } | Check::RecursiveReference(_) => return Answer::Unknown,
            _ => {}
        }
        match Family::of(column.data_type()) {
            Family::Text => of_texts(check, column),
            Family::Int if column.data_type() != &DataType::UInt64 => of_ints(check, column),
            Family::Float => of_floats(check, column),
            Family::Bool => match check {
                Check::Type(kinds) => all(kinds.has(&Value::Bool(true)), column),
                Check::OneOf(_) => Answer::Unknown,
                _ => Answer::All,
            },
            Family::List => self.of_lists(check, column),
            Family::Object => match column.as_struct_opt() {
                Some(object) => self.of_objects(check, object),
                None => Answer::Unknown,
            },
            _ => Answer::Unknown,
        }
    }

    fn each(&self, ids: &[Id], column: &ArrayRef, start: bool, join: impl Fn(&BooleanBuffer, &BooleanBuffer) -> BooleanBuffer) -> Answer {
        let first = if start { BooleanBuffer::new_set(column.len()) } else { BooleanBuffer::new_unset(column.len()) };
        Answer::Rows(ids.iter().fold(first, |held, id| join(&held, &self.node(*id, column))))
    }

    fn of_objects(&self, check: &Check, object: &StructArray) -> Answer {
        match check {
            Check::Type(kinds) => match kinds.has(&json!({})) {
                true => Answer::All,
                false => Answer::Rows(BooleanBuffer::new_unset(object.len())),
            },
            Check::Required(names) => {
                let there = |name: &String| object.column_by_name(name).map_or_else(|| BooleanBuffer::new_unset(object.len()), there);
                Answer::Rows(names.iter().fold(BooleanBuffer::new_set(object.len()), |held, name| &held & &there(name)))
            }
            Check::Properties { named, patterns, rest } => {
                let mut held = BooleanBuffer::new_set(object.len());
                for (name, column) in object.column_names().into_iter().zip(object.columns()) {
                    let mut ids: Vec<Id> = named.get(name).copied().into_iter().collect();
                    ids.extend(patterns.iter().filter(|(pattern, _)| pattern.is_match(name)).map(|(_, id)| *id));
                    if ids.is_empty() {
                        ids.extend(*rest);
                    }
                    for id in ids.into_iter().filter(|id| !self.nodes[*id].checks.is_empty()) {
                        held = &held & &(&self.node(id, column) | &!&there(column));
                    }
                }
                Answer::Rows(held)
            }
            Check::OneOf(_)
            | Check::MinProperties(_)
            | Check::MaxProperties(_)
            | Check::DependentRequired(_)
            | Check::DependentSchemas(_)
            | Check::PropertyNames(_) => Answer::Unknown,
            _ => Answer::All,
        }
    }

    fn of_lists(&self, check: &Check, column: &ArrayRef) -> Answer {
        let Some(lists) = column.as_list_opt::<i32>() else { return Answer::Unknown };
        let lengths = |holds: &dyn Fn(u64) -> bool| {
            Answer::Rows(BooleanBuffer::collect_bool(lists.len(), |row| holds(lists.value_length(row).unsigned_abs().into())))
        };
        match check {
            Check::Type(kinds) => all(kinds.has(&json!([])), column),
            Check::MinItems(least) => lengths(&|length| length >= *least),
            Check::MaxItems(most) => lengths(&|length| length <= *most),
            Check::Items { prefix, rest: Some(id) } if prefix.is_empty() => {
                let offsets = lists.value_offsets();
                let (first, last) = (offsets[0] as usize, offsets[lists.len()] as usize);
                let held = self.node(*id, &lists.values().slice(first, last - first));
                Answer::Rows(BooleanBuffer::collect_bool(lists.len(), |row| {
                    let (start, end) = (offsets[row] as usize - first, offsets[row + 1] as usize - first);
                    (start..end).all(|item| held.value(item))
                }))
            }
            Check::OneOf(_) | Check::Items { .. } | Check::Contains { .. } | Check::UniqueItems => Answer::Unknown,
            _ => Answer::All,
        }
    }
}

/// The rows in which a member is there. JSON has no number that is not finite: it is absent as null is.
fn there(column: &ArrayRef) -> BooleanBuffer {
    let there = column.logical_nulls().map_or_else(|| BooleanBuffer::new_set(column.len()), NullBuffer::into_inner);
    if Family::of(column.data_type()) != Family::Float {
        return there;
    }
    let values = view::floats(column);
    &there & &BooleanBuffer::collect_bool(column.len(), |row| values[row].is_finite())
}

fn all(holds: bool, column: &ArrayRef) -> Answer {
    if holds { Answer::All } else { Answer::Rows(BooleanBuffer::new_unset(column.len())) }
}

fn of_texts(check: &Check, column: &ArrayRef) -> Answer {
    let texts = |bad: &dyn Fn(&str) -> bool| Answer::Rows(!&view::texts(column, bad));
    match check {
        Check::Type(kinds) => all(kinds.has(&Value::String(String::new())), column),
        Check::OneOf(known) => texts(&|text| !known.iter().any(|known| known.as_str() == Some(text))),
        Check::MinLength(least) => texts(&|text| (text.len() as u64) < *least || characters(text) < *least),
        Check::MaxLength(most) => texts(&|text| text.len() as u64 > *most && characters(text) > *most),
        Check::Pattern(pattern) => texts(&|text| !pattern.regex.is_match(text)),
        Check::Format(format) => texts(&|text| !format.holds(text)),
        _ => Answer::All,
    }
}

fn of_ints(check: &Check, column: &ArrayRef) -> Answer {
    let whole = |limit: &serde_json::Number| limit.as_i64();
    let values = || view::ints(column);
    match check {
        Check::Type(kinds) => all(kinds.has(&json!(1)), column),
        Check::Least(limit, exclusive) if whole(limit).is_some() => {
            let (limit, values) = (whole(limit).unwrap_or_default(), values());
            Answer::Rows(BooleanBuffer::collect_bool(column.len(), |row| values[row] > limit || !exclusive && values[row] == limit))
        }
        Check::Most(limit, exclusive) if whole(limit).is_some() => {
            let (limit, values) = (whole(limit).unwrap_or_default(), values());
            Answer::Rows(BooleanBuffer::collect_bool(column.len(), |row| values[row] < limit || !exclusive && values[row] == limit))
        }
        Check::OneOf(known) => {
            let values = values();
            let is_known = |value: i64| {
                known.iter().any(|known| {
                    known.as_number().is_some_and(|known| compare(known, &value.into()).is_some_and(std::cmp::Ordering::is_eq))
                })
            };
            Answer::Rows(BooleanBuffer::collect_bool(column.len(), |row| is_known(values[row])))
        }
        Check::Least(..) | Check::Most(..) | Check::MultipleOf(_) => Answer::Unknown,
        _ => Answer::All,
    }
}

fn of_floats(check: &Check, column: &ArrayRef) -> Answer {
    let values = view::floats(column);
    // JSON has no such numbers: they are null.
    if values.iter().any(|value| !value.is_finite()) {
        return Answer::Unknown;
    }
    let rows = |holds: &dyn Fn(f64) -> bool| Answer::Rows(BooleanBuffer::collect_bool(column.len(), |row| holds(values[row])));
    match check {
        Check::Type(kinds) if kinds.has(&json!(0.5)) => Answer::All,
        Check::Type(kinds) => rows(&|value| value.fract() == 0.0 && kinds.has(&json!(1))),
        Check::Least(limit, exclusive) => match limit.as_f64() {
            Some(limit) => rows(&|value| value > limit || !exclusive && value == limit),
            None => Answer::Unknown,
        },
        Check::Most(limit, exclusive) => match limit.as_f64() {
            Some(limit) => rows(&|value| value < limit || !exclusive && value == limit),
            None => Answer::Unknown,
        },
        Check::OneOf(_) | Check::MultipleOf(_) => Answer::Unknown,
        _ => Answer::All,
    }
}
