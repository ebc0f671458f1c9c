//! Nested values to JSON text, and JSON values of the options to columns.

use std::sync::Arc;

use arrow_array::builder::BooleanBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, ListArray, NullArray, PrimitiveArray, StringArray, StructArray};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{DataType, Field, Fields, TimeUnit};
use serde_json::Value;

use crate::column::{Writer, describe, is_text, writable};
use crate::format::{self, Zone};
use crate::instant;
use crate::parse;

/// Writes one value as JSON; a float that JSON has no word for is null, binary is hexadecimal text.
pub(crate) fn write(out: &mut Vec<u8>, array: &ArrayRef, row: usize) {
    if array.is_null(row) {
        out.extend_from_slice(b"null");
        return;
    }
    match array.data_type() {
        DataType::Null => out.extend_from_slice(b"null"),
        DataType::Struct(fields) => {
            let members = array.as_struct();
            out.push(b'{');
            for (index, (field, member)) in fields.iter().zip(members.columns()).enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                format::json_text(out, field.name());
                out.push(b':');
                write(out, member, row);
            }
            out.push(b'}');
        }
        DataType::List(_) => items(out, &array.as_list::<i32>().value(row)),
        DataType::LargeList(_) => items(out, &array.as_list::<i64>().value(row)),
        DataType::FixedSizeList(_, _) => items(out, &array.as_fixed_size_list().value(row)),
        DataType::Map(_, _) => {
            let entries = array.as_map().value(row);
            let (keys, values) = (entries.column(0), entries.column(1));
            out.push(b'{');
            for index in 0..entries.len() {
                if index > 0 {
                    out.push(b',');
                }
                let mut key = Vec::new();
                text(&mut key, keys, index);
                format::json_text(out, &String::from_utf8_lossy(&key));
                out.push(b':');
                write(out, values, index);
            }
            out.push(b'}');
        }
        DataType::Float16 | DataType::Float32 | DataType::Float64 => {
            let start = out.len();
            text(out, array, row);
            if !out[out.len() - 1].is_ascii_digit() {
                out.truncate(start);
                out.extend_from_slice(b"null");
            }
        }
        DataType::Boolean => text(out, array, row),
        data_type
            if data_type.is_integer()
                || matches!(data_type, DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..)) =>
        {
            text(out, array, row);
        }
        DataType::Binary => hex(out, array.as_binary::<i32>().value(row)),
        DataType::LargeBinary => hex(out, array.as_binary::<i64>().value(row)),
        DataType::BinaryView => hex(out, array.as_binary_view().value(row)),
        DataType::FixedSizeBinary(_) => hex(out, array.as_fixed_size_binary().value(row)),
        data_type
            if is_text(data_type)
                || matches!(
                    data_type,
                    DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 | DataType::Time32(_) | DataType::Time64(_)
                ) =>
        {
            let mut written = Vec::new();
            text(&mut written, array, row);
            format::json_text(out, &String::from_utf8_lossy(&written));
        }
        // Intervals, durations, wide decimals and the like: the type is all that we know to say.
        other => format::json_text(out, &other.to_string()),
    }
}

fn items(out: &mut Vec<u8>, items: &ArrayRef) {
    out.push(b'[');
    for index in 0..items.len() {
        if index > 0 {
            out.push(b',');
        }
        write(out, items, index);
    }
    out.push(b']');
}

fn text(out: &mut Vec<u8>, array: &ArrayRef, row: usize) {
    let one = writable(&array.slice(row, 1));
    Writer::new(&one).write(0, out);
}

fn hex(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    for byte in bytes {
        out.extend([byte >> 4, byte & 15].map(|half| b"0123456789abcdef"[half as usize]));
    }
    out.push(b'"');
}

/// Strips the blanks between the words of a JSON text, which leaves numbers and texts as they are written; `None` where it is no JSON.
pub(crate) fn compact(text: &str) -> Option<Vec<u8>> {
    serde_json::from_str::<serde::de::IgnoredAny>(text).ok()?;
    let mut out = Vec::with_capacity(text.len());
    let (mut quoted, mut escaped) = (false, false);
    for byte in text.bytes() {
        if quoted {
            quoted = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
        } else if byte.is_ascii_whitespace() {
            continue;
        } else {
            quoted = byte == b'"';
        }
        out.push(byte);
    }
    Some(out)
}

/// Writes a value of the options as the text that a column of texts would hold.
pub(crate) fn plain_text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Number(number) if number.is_f64() => {
            let mut out = Vec::new();
            format::float(&mut out, number.as_f64().unwrap_or(f64::NAN));
            Some(String::from_utf8_lossy(&out).into_owned())
        }
        other => Some(other.to_string()),
    }
}

/// Answers the type that holds a value of the options.
pub(crate) fn infer(value: &Value) -> DataType {
    match value {
        Value::Null => DataType::Null,
        Value::Bool(_) => DataType::Boolean,
        Value::Number(number) if number.is_i64() => DataType::Int64,
        Value::Number(number) if number.is_u64() => DataType::Decimal128(20, 0),
        Value::Number(_) => DataType::Float64,
        Value::String(_) => DataType::Utf8,
        Value::Array(items) => {
            let item = items.iter().map(infer).reduce(|left, right| unify(&left, &right)).unwrap_or(DataType::Null);
            let item = if item == DataType::Null { DataType::Utf8 } else { item };
            DataType::List(Arc::new(Field::new_list_field(item, true)))
        }
        Value::Object(members) => {
            let fields = members.iter().map(|(name, value)| {
                let member = infer(value);
                Field::new(name, if member == DataType::Null { DataType::Utf8 } else { member }, true)
            });
            DataType::Struct(fields.collect())
        }
    }
}

/// Answers the type that holds values of both types: null < bool; int < float < text; what fits nowhere becomes (JSON) text.
pub(crate) fn unify(left: &DataType, right: &DataType) -> DataType {
    match (left, right) {
        (left, right) if left == right => left.clone(),
        (DataType::Null, other) | (other, DataType::Null) => other.clone(),
        (DataType::Int64, DataType::Float64) | (DataType::Float64, DataType::Int64) => DataType::Float64,
        _ => DataType::Utf8,
    }
}

/// Builds a column of a type from values of the options; `None` is null.
///
/// # Errors
/// A sentence: which value does not fit which type.
pub(crate) fn build(values: &[Option<&Value>], data_type: &DataType) -> Result<ArrayRef, String> {
    let values: Vec<Option<&Value>> = values.iter().map(|value| value.filter(|value| !value.is_null())).collect();
    let wrong = |value: &Value| format!("`{}` is no {}", plain_text(value).unwrap_or_default(), describe(data_type));
    macro_rules! primitive {
        ($type:ty, $read:expr) => {{
            let mut built = Vec::with_capacity(values.len());
            for value in &values {
                built.push(value.map(|value| $read(value).ok_or_else(|| wrong(value))).transpose()?);
            }
            PrimitiveArray::<$type>::from_iter(built)
        }};
    }
    let as_text = |value: &Value| match value {
        Value::String(_) | Value::Number(_) => plain_text(value),
        _ => None,
    };
    Ok(match data_type {
        DataType::Null => Arc::new(NullArray::new(values.len())),
        DataType::Boolean => {
            let mut built = BooleanBuilder::new();
            for value in &values {
                let read = |value: &Value| value.as_bool().or_else(|| value.as_str().filter(|text| !text.is_empty()).and_then(parse::bool));
                built.append_option(value.map(|value| read(value).ok_or_else(|| wrong(value))).transpose()?);
            }
            Arc::new(built.finish())
        }
        DataType::Int64 => Arc::new(primitive!(Int64Type, |value: &Value| {
            let exact = parse::Decimal::parse(&as_text(value)?)?.exact(38, 0)?;
            i64::try_from(exact).ok()
        })),
        DataType::Float64 => Arc::new(primitive!(Float64Type, |value: &Value| parse::float(&as_text(value)?))),
        DataType::Utf8 => Arc::new(StringArray::from_iter(values.iter().map(|value| value.and_then(plain_text)))),
        DataType::Date32 => Arc::new(primitive!(Date32Type, |value: &Value| instant::date(value.as_str()?))),
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            let seconds = Zone::of(zone.as_ref()).unwrap_or(Zone::Utc).seconds();
            let naive = zone.is_none();
            let built = primitive!(TimestampMicrosecondType, |value: &Value| {
                let written = instant::datetime(value.as_str()?)?;
                (!naive || written.offset.is_none()).then(|| written.instant(seconds))
            });
            Arc::new(built.with_timezone_opt(zone.clone()))
        }
        DataType::Decimal128(precision, scale) => {
            let built = primitive!(Decimal128Type, |value: &Value| parse::Decimal::parse(&as_text(value)?)?.exact(*precision, *scale));
            Arc::new(built.with_precision_and_scale(*precision, *scale).map_err(|error| error.to_string())?)
        }
        DataType::Struct(fields) => build_objects(&values, fields, wrong)?,
        DataType::List(item) => {
            let mut lengths = Vec::with_capacity(values.len());
            let mut items = Vec::new();
            for value in &values {
                let list = value.map(|value| value.as_array().ok_or_else(|| wrong(value))).transpose()?;
                lengths.push(list.map_or(0, Vec::len));
                items.extend(list.into_iter().flatten().map(Some));
            }
            let nulls: NullBuffer = values.iter().map(Option::is_some).collect();
            let built =
                ListArray::try_new(item.clone(), OffsetBuffer::from_lengths(lengths), build(&items, item.data_type())?, Some(nulls));
            Arc::new(built.map_err(|error| error.to_string())?)
        }
        other => return Err(format!("a value cannot be written for a column of type {}", describe(other))),
    })
}

fn build_objects(values: &[Option<&Value>], fields: &Fields, wrong: impl Fn(&Value) -> String) -> Result<ArrayRef, String> {
    for value in values.iter().flatten() {
        let members = value.as_object().ok_or_else(|| wrong(value))?;
        if let Some(name) = members.keys().find(|name| fields.find(name).is_none()) {
            return Err(format!("the column's objects have no `{name}`"));
        }
    }
    if fields.is_empty() {
        return Ok(Arc::new(StructArray::new_empty_fields(values.len(), None)));
    }
    let mut columns = Vec::with_capacity(fields.len());
    for field in fields {
        let members: Vec<Option<&Value>> = values.iter().map(|value| value.and_then(|value| value.get(field.name()))).collect();
        columns.push(build(&members, field.data_type())?);
    }
    let nulls: NullBuffer = values.iter().map(Option::is_some).collect();
    let built = StructArray::try_new(fields.clone(), columns, Some(nulls));
    Ok(Arc::new(built.map_err(|error| error.to_string())?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_of_the_options_come_back_as_they_were() {
        let value = json!({"name": "Ä\"", "n": 1, "x": 1.5, "yes": true, "none": null, "list": [1, 2.5], "mixed": [1, "a"], "objects": [{"a": 1}, {"a": null}], "empty": []});
        let built = build(&[Some(&value), None], &infer(&value)).expect("builds");
        let mut out = Vec::new();
        write(&mut out, &built, 0);
        write(&mut out, &built, 1);
        let expected = r#"{"name":"Ä\"","n":1,"x":1.5,"yes":true,"none":null,"list":[1.0,2.5],"mixed":["1","a"],"objects":["{\"a\":1}","{\"a\":null}"],"empty":[]}null"#;
        assert_eq!(String::from_utf8_lossy(&out), expected);
    }

    #[test]
    fn a_value_that_does_not_fit_says_so() {
        let cases = [
            (json!("x"), DataType::Int64, "`x` is no int"),
            (json!(1.5), DataType::Int64, "`1.5` is no int"),
            (json!(5), DataType::Boolean, "`5` is no bool"),
            (json!("2024-13-01"), DataType::Date32, "`2024-13-01` is no date"),
            (json!([]), DataType::Float64, "`[]` is no float"),
            (json!("x"), DataType::Binary, "a value cannot be written for a column of type binary"),
            (json!("1.234"), DataType::Decimal128(5, 2), "`1.234` is no decimal(5,2)"),
            (json!({"b": 1}), infer(&json!({"a": 1})), "the column's objects have no `b`"),
        ];
        for (value, data_type, message) in cases {
            assert_eq!(build(&[Some(&value)], &data_type).map(|_| ()), Err(message.to_owned()));
        }
    }

    #[test]
    fn json_texts_lose_their_blanks_and_nothing_else() {
        let text = " { \"a b\\\" \" : [ 1.0 , 12345678901234567890123 , \"\\\\\" ] }\n";
        assert_eq!(
            compact(text).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
            Some(r#"{"a b\" ":[1.0,12345678901234567890123,"\\"]}"#.into())
        );
        assert_eq!([compact("{a: 1}"), compact(""), compact("[1,]")], [None, None, None]);
    }
}
