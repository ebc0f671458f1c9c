//! Evaluates a compiled expression over the rows of a batch.

use std::borrow::Cow;
use std::cell::Cell;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowPrimitiveType, Date32Type, Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{
    Array, ArrayRef, BooleanArray, Date32Array, Float64Array, Int64Array, PrimitiveArray, StringArray, TimestampMicrosecondArray,
    make_array, new_null_array,
};
use arrow_buffer::{BooleanBuffer, NullBuffer, ScalarBuffer};
use arrow_schema::{DataType, TimeUnit};
use etl_steps::Type;
use etl_steps::expr::Function;

use crate::Context;
use crate::alive::Alive;
use crate::column::{self, Writer, pick, take, texts, to_text, widen, writable};
use crate::convert;
use crate::format::{self, Zone};
use crate::instant;
use crate::node::{Lookup, Moment, Node, Piece};
use crate::parse;
use crate::text::TextBuilder;
use crate::uuid;

/// What an expression is evaluated over.
pub(crate) struct Frame<'a> {
    /// The registers that are filled.
    pub(crate) registers: &'a [Option<ArrayRef>],
    /// Rows in each.
    pub(crate) rows: usize,
    /// The row of the input that each came from; `None` = the same row.
    pub(crate) origins: Option<&'a [u32]>,
    /// The rows that are still there.
    pub(crate) alive: &'a Alive,
    /// The batch.
    pub(crate) context: &'a Context,
    /// What functions could not read.
    pub(crate) unread: &'a Unread,
}

/// Values that functions could not read, of rows that are still there.
#[derive(Default)]
pub(crate) struct Unread {
    /// Those that became null.
    pub(crate) nulled: Cell<u64>,
    /// Those that stayed as they were.
    pub(crate) kept: Cell<u64>,
}

impl Unread {
    fn note(count: &Cell<u64>, more: usize) {
        count.set(count.get() + more as u64);
    }
}

/// A column, or one value that stands for every row.
struct Value {
    array: ArrayRef,
    constant: bool,
}

impl Value {
    fn constant(array: impl Array + 'static) -> Self {
        Self { array: Arc::new(array), constant: true }
    }

    fn text(text: String) -> Self {
        Self::constant(StringArray::from(vec![text]))
    }
}

/// Evaluates a node to a whole column.
pub(crate) fn evaluate(node: &Node, frame: &Frame<'_>) -> ArrayRef {
    let value = eval(node, frame);
    let array = if value.constant { column::repeat(&value.array, frame.rows) } else { value.array };
    if array.data_type() == &DataType::Null { new_null_array(&DataType::Utf8, frame.rows) } else { array }
}

fn eval(node: &Node, frame: &Frame<'_>) -> Value {
    let with = |value: Value, f: &dyn Fn(&ArrayRef) -> ArrayRef| Value { array: f(&value.array), constant: value.constant };
    match node {
        Node::Column(register) => {
            let array = frame.registers[*register].clone().expect("the plan reads every register that a node names");
            Value { array, constant: false }
        }
        Node::Constant(array) => Value { array: array.clone(), constant: true },
        Node::Now(None) => Value::text(moment_text(frame.now())),
        Node::Now(Some(format)) => Value::text(format::strftime(format, frame.now())),
        Node::Today => {
            let mut out = Vec::new();
            format::date(&mut out, format::day_of(frame.now()));
            Value::text(String::from_utf8_lossy(&out).into_owned())
        }
        Node::Moment(moment, data_type) => eval_moment(*moment, data_type, frame.now()),
        Node::Uuid(salt) => Value { array: Arc::new(uuid::column(frame, *salt)), constant: false },
        Node::Template(pieces) => template(pieces, frame),
        Node::Cast(node, to) => with(eval(node, frame), &|array| cast(array, to)),
        Node::Coalesce(nodes) => {
            let mut values = nodes.iter().map(|node| eval(node, frame));
            let mut result = values.next().expect("the parser counts arguments");
            while result.array.logical_null_count() > 0 {
                let Some(next) = values.next() else { break };
                result = fill(result, next, frame.rows);
            }
            result
        }
        Node::Call(function, node) => with(eval(node, frame), &|array| call(*function, array, frame)),
        Node::Sub(left, right) => sub(&eval(left, frame), &eval(right, frame)),
        Node::Member(node, index) => with(eval(node, frame), &|array| member(array, *index)),
        Node::Item(node, index) => with(eval(node, frame), &|array| item(array, *index)),
        Node::Lookup(lookup) => Value { array: look_up(lookup, frame), constant: false },
    }
}

impl Frame<'_> {
    fn now(&self) -> i64 {
        self.context.now_ms.saturating_mul(1000)
    }
}

fn moment_text(micros: i64) -> String {
    let mut out = Vec::new();
    format::timestamp(&mut out, micros, Zone::Utc);
    String::from_utf8_lossy(&out).into_owned()
}

fn eval_moment(moment: Moment, data_type: &DataType, now: i64) -> Value {
    let monday = i64::from(format::day_of(now) - (format::day_of(now) + 3).rem_euclid(7)) * 86_400_000_000;
    let micros = match moment {
        Moment::Now => now,
        Moment::WeekStart => monday,
        Moment::WeekEnd => monday + 7 * 86_400_000_000 - 1,
    };
    match data_type {
        DataType::Date32 => Value::constant(Date32Array::from(vec![format::day_of(micros)])),
        DataType::Timestamp(_, zone) => Value::constant(TimestampMicrosecondArray::from(vec![micros]).with_timezone_opt(zone.clone())),
        _ => Value::text(moment_text(micros)),
    }
}

/// Widens a column to a type that holds all its values.
pub(crate) fn cast(array: &ArrayRef, to: &DataType) -> ArrayRef {
    match (array.data_type(), to) {
        (from, to) if from == to => array.clone(),
        (DataType::Null, to) => new_null_array(to, array.len()),
        (_, DataType::Utf8) => to_text(array),
        (DataType::Int64, DataType::Float64) => Arc::new(column::map::<Int64Type, Float64Type>(array.as_primitive(), |value| value as f64)),
        _ => widen(array),
    }
}

/// Puts values of `other` where `value` is null; both have one type.
fn fill(value: Value, other: Value, rows: usize) -> Value {
    if value.constant {
        return other;
    }
    let nulls = value.array.logical_nulls().expect("there are nulls, or there would be nothing to fill");
    let other_nulls = other.array.logical_nulls();
    if other_nulls.as_ref().is_some_and(|nulls| nulls.null_count() == nulls.len()) {
        return value;
    }
    let at = |row: usize| if other.constant { 0 } else { row };
    // The other has a null somewhere only if it is a column.
    let validity = other_nulls.map(|other| NullBuffer::new(nulls.inner() | other.inner()));
    fn primitive<T: ArrowPrimitiveType>(
        array: &ArrayRef,
        other: &ArrayRef,
        nulls: &NullBuffer,
        validity: Option<NullBuffer>,
        at: impl Fn(usize) -> usize,
    ) -> ArrayRef {
        let other = other.as_primitive::<T>().values();
        let mut values = array.as_primitive::<T>().values().to_vec();
        for row in (!nulls.inner()).set_indices() {
            values[row] = other[at(row)];
        }
        Arc::new(PrimitiveArray::<T>::new(ScalarBuffer::from(values), validity).with_data_type(array.data_type().clone()))
    }
    let (array, other) = (&value.array, &other.array);
    let filled: ArrayRef = match array.data_type() {
        DataType::Int64 => primitive::<Int64Type>(array, other, &nulls, validity, at),
        DataType::Float64 => primitive::<Float64Type>(array, other, &nulls, validity, at),
        DataType::Date32 => primitive::<Date32Type>(array, other, &nulls, validity, at),
        DataType::Timestamp(TimeUnit::Microsecond, _) => primitive::<TimestampMicrosecondType>(array, other, &nulls, validity, at),
        DataType::Decimal128(_, _) => primitive::<Decimal128Type>(array, other, &nulls, validity, at),
        DataType::Boolean => {
            let (array, other) = (array.as_boolean().values(), other.as_boolean().values());
            let bits = BooleanBuffer::collect_bool(rows, |row| if nulls.is_valid(row) { array.value(row) } else { other.value(at(row)) });
            Arc::new(BooleanArray::new(bits, validity))
        }
        DataType::Utf8 => {
            let (array, other) = (array.as_string::<i32>(), other.as_string::<i32>());
            let mut builder = TextBuilder::new(rows, array.value_data().len() + rows);
            for (row, text) in texts(array).enumerate() {
                builder.push(if nulls.is_valid(row) { text } else { other.value(at(row)) });
                builder.end();
            }
            Arc::new(builder.finish(validity))
        }
        _ => {
            let row = |row| Some(if nulls.is_valid(row) { (0, row) } else { (1, at(row)) });
            pick(&[array, other], (0..rows).map(row))
        }
    };
    Value { array: filled, constant: false }
}

fn template(pieces: &[Piece], frame: &Frame<'_>) -> Value {
    enum Ready<'a> {
        Text(Cow<'a, str>),
        Column(ArrayRef, Option<NullBuffer>, &'a str),
    }
    let mut ready = Vec::with_capacity(pieces.len());
    for piece in pieces {
        ready.push(match piece {
            Piece::Text(text) => Ready::Text(text.into()),
            Piece::Value(node, default) => {
                let value = eval(node, frame);
                let nulls = value.array.logical_nulls();
                if value.constant {
                    if nulls.is_some_and(|nulls| nulls.null_count() > 0) {
                        Ready::Text(default.into())
                    } else {
                        Ready::Text(to_text(&value.array).as_string::<i32>().value(0).to_owned().into())
                    }
                } else if value.array.data_type() == &DataType::Null {
                    Ready::Text(default.into())
                } else {
                    Ready::Column(writable(&value.array), nulls.filter(|nulls| nulls.null_count() > 0), default)
                }
            }
        });
    }
    let constant = ready.iter().all(|piece| matches!(piece, Ready::Text(_)));
    let rows = if constant { 1 } else { frame.rows };
    let bytes: usize = ready
        .iter()
        .map(|piece| match piece {
            Ready::Text(text) => text.len() * rows,
            Ready::Column(array, _, _) => array.as_string_opt::<i32>().map_or(12 * rows, |array| array.value_data().len()),
        })
        .sum();
    let writers: Vec<_> = ready
        .iter()
        .map(|piece| match piece {
            Ready::Text(text) => Err(text.as_ref()),
            Ready::Column(array, nulls, default) => Ok((Writer::new(array), nulls.as_ref(), *default)),
        })
        .collect();
    let mut builder = TextBuilder::new(rows, bytes);
    for row in 0..rows {
        for writer in &writers {
            match writer {
                Err(text) => builder.push(text),
                Ok((_, Some(nulls), default)) if nulls.is_null(row) => builder.push(default),
                Ok((writer, _, _)) => writer.write(row, builder.bytes()),
            }
        }
        builder.end();
    }
    Value { array: Arc::new(builder.finish(None)), constant }
}

fn call(function: Function, array: &ArrayRef, frame: &Frame<'_>) -> ArrayRef {
    let all = Alive::all(array.len());
    // Of a value that stands for every row there is one.
    let alive = if array.len() == frame.rows { frame.alive } else { &all };
    let converted = |target: &Type| {
        let to = convert::output(array.data_type(), target).expect("the compiler has asked");
        let converted = convert::convert(array, target, &to, alive);
        if function != Function::Bool {
            Unread::note(&frame.unread.nulled, converted.failures.len());
        }
        converted.array
    };
    let keeps = |(texts, kept): (StringArray, Vec<u32>)| {
        Unread::note(&frame.unread.kept, kept.iter().filter(|row| array.is_valid(**row as usize) && alive.has(**row as usize)).count());
        Arc::new(texts)
    };
    match function {
        Function::Lower => Arc::new(cased(array.as_string(), u8::make_ascii_lowercase, str::to_lowercase)),
        Function::Upper => Arc::new(cased(array.as_string(), u8::make_ascii_uppercase, str::to_uppercase)),
        Function::Trim => Arc::new(map_texts(array.as_string(), |text, out| out.push(parse::trim(text)))),
        Function::Str if array.null_count() == 0 => array.clone(),
        Function::Str => Arc::new(map_texts(array.as_string(), |text, out| out.push(text))),
        Function::Len => Arc::new(length(array)),
        Function::Int => converted(&Type::Int),
        Function::Float => converted(&Type::Float),
        Function::Bool => {
            // Words that mean neither are false here, and so is null: a call answers, `convert` refuses.
            let array = converted(&Type::Bool);
            let array = array.as_boolean();
            let bits = match array.nulls() {
                Some(nulls) => array.values() & nulls.inner(),
                None => array.values().clone(),
            };
            Arc::new(BooleanArray::new(bits, None))
        }
        Function::Date => keeps(date_text(array)),
        Function::Datetime => keeps(datetime_text(array)),
        Function::EpochMsToIso => Arc::new(epoch_text(&converted(&Type::Int))),
        other => unreachable!("`{}` is compiled to a node of its own", other.name()),
    }
}

/// Writes a text for each text; null is the empty text.
fn map_texts(array: &StringArray, mut f: impl FnMut(&str, &mut TextBuilder)) -> StringArray {
    let mut builder = TextBuilder::new(array.len(), array.value_data().len());
    for (row, text) in texts(array).enumerate() {
        f(if array.is_valid(row) { text } else { "" }, &mut builder);
        builder.end();
    }
    builder.finish(None)
}

fn cased(array: &StringArray, ascii: impl Fn(&mut u8), full: impl Fn(&str) -> String) -> StringArray {
    map_texts(array, |text, out| {
        if text.is_ascii() {
            let bytes = out.bytes();
            let start = bytes.len();
            bytes.extend_from_slice(text.as_bytes());
            bytes[start..].iter_mut().for_each(&ascii);
        } else {
            out.push(&full(text));
        }
    })
}

fn length(array: &ArrayRef) -> Int64Array {
    let count = |row: usize| match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().value(row).chars().count(),
        DataType::List(_) => array.as_list::<i32>().value_length(row) as usize,
        DataType::LargeList(_) => array.as_list::<i64>().value_length(row) as usize,
        DataType::FixedSizeList(_, length) => *length as usize,
        DataType::Map(_, _) => array.as_map().value_length(row) as usize,
        DataType::Struct(fields) => fields.len(),
        other => unreachable!("the compiler makes {other} text"),
    };
    (0..array.len()).map(|row| Some(if array.is_valid(row) { count(row) as i64 } else { 0 })).collect()
}

/// The days as texts, and the rows whose text is no day and stays as it is.
fn date_text(array: &ArrayRef) -> (StringArray, Vec<u32>) {
    match array.data_type() {
        DataType::Utf8 => {
            let array = array.as_string::<i32>();
            let mut builder = TextBuilder::new(array.len(), array.value_data().len());
            let mut kept = Vec::new();
            for (row, text) in texts(array).enumerate() {
                match instant::lenient_date(text) {
                    Some(days) => format::date(builder.bytes(), days),
                    None => {
                        kept.push(row as u32);
                        builder.push(text);
                    }
                }
                builder.end();
            }
            (builder.finish(array.nulls().cloned()), kept)
        }
        from => {
            let to = convert::output(from, &Type::Date).expect("days and instants become days");
            let days = convert::convert(array, &Type::Date, &to, &Alive::all(array.len())).array;
            (to_text(&days).as_string().clone(), Vec::new())
        }
    }
}

/// The times as texts, and the rows whose text is no time and stays as it is.
fn datetime_text(array: &ArrayRef) -> (StringArray, Vec<u32>) {
    let all = |texts| (texts, Vec::new());
    match array.data_type() {
        DataType::Utf8 => {
            let array = array.as_string::<i32>();
            let mut builder = TextBuilder::new(array.len(), array.value_data().len());
            let mut kept = Vec::new();
            for (row, text) in texts(array).enumerate() {
                match instant::datetime(text) {
                    Some(instant::Written { clock, offset: None }) => format::timestamp(builder.bytes(), clock, Zone::None),
                    Some(_) => builder.push(text),
                    None => {
                        kept.push(row as u32);
                        builder.push(text);
                    }
                }
                builder.end();
            }
            (builder.finish(array.nulls().cloned()), kept)
        }
        DataType::Date32 => {
            let days = array.as_primitive::<Date32Type>();
            let mut builder = TextBuilder::new(days.len(), days.len() * 19);
            for day in days.values() {
                format::timestamp(builder.bytes(), i64::from(*day) * 86_400_000_000, Zone::None);
                builder.end();
            }
            all(builder.finish(days.nulls().cloned()))
        }
        _ => all(to_text(array).as_string().clone()),
    }
}

/// Writes milliseconds since 1970 as ISO 8601 with `+00:00`, as the format's first implementation did; what is beyond the year 9999 is null.
fn epoch_text(array: &ArrayRef) -> StringArray {
    let array = array.as_primitive::<Int64Type>();
    let mut builder = TextBuilder::new(array.len(), array.len() * 25);
    let mut beyond = Vec::new();
    for (row, ms) in array.values().iter().enumerate() {
        if (-62_135_596_800_000..253_402_300_800_000).contains(ms) {
            let out = builder.bytes();
            format::timestamp(out, ms * 1000, Zone::None);
            if ms % 1000 != 0 {
                out.extend_from_slice(b"000");
            }
            out.extend_from_slice(b"+00:00");
        } else {
            beyond.push(row as u32);
        }
        builder.end();
    }
    builder.finish(column::without(array.nulls(), array.len(), &beyond))
}

fn sub(left: &Value, right: &Value) -> Value {
    let (l, r) = (left.array.as_primitive::<Float64Type>(), right.array.as_primitive::<Float64Type>());
    let constant = left.constant && right.constant;
    let rows = if left.constant { r.len() } else { l.len() };
    let at = |value: &Value, row: usize| if value.constant { 0 } else { row };
    let difference = |row: usize| {
        let (i, j) = (at(left, row), at(right, row));
        (l.is_valid(i) && r.is_valid(j)).then(|| l.value(i) - r.value(j))
    };
    Value { array: Arc::new((0..rows).map(difference).collect::<Float64Array>()), constant }
}

/// Answers a member of objects; null where the object is null.
pub(crate) fn member(array: &ArrayRef, index: usize) -> ArrayRef {
    let objects = array.as_struct();
    let member = objects.column(index);
    if objects.null_count() == 0 || member.data_type() == &DataType::Null {
        return member.clone();
    }
    let data = member.to_data();
    // A member's data may start in the middle of its buffers; the validity is laid out from the same start.
    let nulls = NullBuffer::union(objects.nulls(), data.nulls());
    // SAFETY: only the validity changes, and it has as many bits as the member has values.
    make_array(unsafe { data.into_builder().nulls(nulls).build_unchecked() })
}

/// Answers an item of lists; null where the list is null or shorter.
pub(crate) fn item(array: &ArrayRef, index: usize) -> ArrayRef {
    macro_rules! lists {
        ($lists:expr) => {{
            let lists = $lists;
            let at = |row: usize| {
                let there = lists.is_valid(row) && index < lists.value_length(row) as usize;
                there.then(|| lists.value_offsets()[row] as usize + index)
            };
            take(lists.values(), (0..lists.len()).map(at))
        }};
    }
    match array.data_type() {
        DataType::List(_) => lists!(array.as_list::<i32>()),
        DataType::LargeList(_) => lists!(array.as_list::<i64>()),
        _ => {
            let lists = array.as_fixed_size_list();
            let at = |row: usize| {
                (lists.is_valid(row) && index < lists.value_length() as usize).then(|| lists.value_offset(row) as usize + index)
            };
            take(lists.values(), (0..lists.len()).map(at))
        }
    }
}

fn look_up(lookup: &Lookup, frame: &Frame<'_>) -> ArrayRef {
    let keys = to_text(&evaluate(&lookup.key, frame));
    let keys = keys.as_string::<i32>();
    let own = lookup.own.as_ref().map(|own| evaluate(own, frame));
    let last = lookup.values.len().saturating_sub(1);
    let find = |row: usize| {
        let found = keys
            .is_valid(row)
            .then(|| lookup.keys.binary_search_by(|(key, _)| key.as_str().cmp(keys.value(row))).ok().map(|at| lookup.keys[at].1));
        match found? {
            Some(index) => Some((0, index)),
            None => Some(if own.is_some() { (1, row) } else { (0, last) }),
        }
    };
    match &own {
        Some(own) => pick(&[&lookup.values, own], (0..keys.len()).map(find)),
        None => pick(&[&lookup.values], (0..keys.len()).map(find)),
    }
}
