//! Tests of columns that other programs have written otherwise than we would.

use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, BinaryArray, Date32Array, Decimal128Array, DictionaryArray, Float64Array, Int64Array, ListArray, NullArray, RecordBatch,
    StringArray, StructArray, TimestampMicrosecondArray, TimestampMillisecondArray,
};
use arrow_schema::{DataType, Field};
use serde_json::json;

use crate::error::{Error, Fault};
use crate::source::ReadOptions;
use crate::source::testing::{Read, try_read};

/// Reads one file for each of some columns, all named `v`, with types that the user pins.
fn read_as(files: &[ArrayRef], pins: serde_json::Value) -> Result<Read, Error> {
    let file = |column: &ArrayRef| {
        let rows = RecordBatch::try_from_iter_with_nullable([("v", column.clone(), true)]).unwrap();
        let mut writer = ::parquet::arrow::ArrowWriter::try_new(Vec::new(), rows.schema(), None).unwrap();
        writer.write(&rows).unwrap();
        writer.into_inner().unwrap()
    };
    let files: Vec<(String, Vec<u8>)> =
        files.iter().enumerate().map(|(number, column)| (format!("{number}.parquet"), file(column))).collect();
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    try_read(&files, json!({"path": "*.parquet"}), json!({"schema": pins}), ReadOptions::default())
}

/// The type, the values and the refused rows' messages.
fn came(files: &[ArrayRef], pins: serde_json::Value) -> (String, Vec<String>, Vec<String>) {
    let read = read_as(files, pins).unwrap();
    let value = |row: String| row.split_once(' ').unwrap().1.to_owned();
    let said = |reject: String| reject.split_once("`v`: ").unwrap().1.to_owned();
    (read.schema, read.rows.into_iter().map(value).collect(), read.rejects.into_iter().map(said).collect())
}

fn array(values: impl arrow_array::Array + 'static) -> ArrayRef {
    Arc::new(values)
}

fn decimals(values: &[i128], precision: u8, scale: i8) -> ArrayRef {
    array(Decimal128Array::from(values.to_vec()).with_precision_and_scale(precision, scale).unwrap())
}

fn object(members: Vec<(&str, ArrayRef)>) -> ArrayRef {
    let members = members.into_iter().map(|(name, column)| (Arc::new(Field::new(name, column.data_type().clone(), true)), column));
    array(StructArray::from(members.collect::<Vec<_>>()))
}

#[test]
fn a_column_of_nothing_is_null_and_takes_the_type_that_other_files_give_it() {
    let (_, rows, rejects) = came(&[array(NullArray::new(2))], json!({}));
    assert_eq!((rows, rejects), (vec!["{}".into(), "{}".into()], vec![]));
    let (schema, rows, rejects) = came(&[array(NullArray::new(1)), array(Int64Array::from(vec![7]))], json!({}));
    assert_eq!((schema.as_str(), rows, rejects), ("v Int64", vec!["{}".into(), r#"{"v":7}"#.into()], vec![]));
    for pin in ["string", "int", "json", "date"] {
        let (_, rows, rejects) = came(&[array(NullArray::new(1))], json!({"v": pin}));
        assert_eq!((rows, rejects), (vec!["{}".into()], vec![]));
    }
}

#[test]
fn numbers_of_files_whose_types_differ_keep_every_digit_or_are_refused() {
    let money = decimals(&[1_234_567_890_123_456_789], 20, 2);
    let (schema, rows, _) = came(&[money.clone(), decimals(&[1_125], 22, 3)], json!({}));
    assert_eq!(schema, "v Decimal128(22, 3)");
    assert_eq!(rows, [r#"{"v":12345678901234567.890}"#, r#"{"v":1.125}"#]);
    let (schema, rows, _) = came(&[decimals(&[150], 10, 2), array(Int64Array::from(vec![i64::MAX]))], json!({}));
    assert_eq!((schema.as_str(), rows[1].as_str()), ("v Decimal128(21, 2)", r#"{"v":9223372036854775807.00}"#));
    let ints = array(Int64Array::from(vec![9_007_199_254_740_993, 2]));
    let (schema, rows, rejects) = came(&[ints, array(Float64Array::from(vec![0.5]))], json!({}));
    assert_eq!((schema.as_str(), rows), ("v Float64", vec![r#"{"v":2.0}"#.into(), r#"{"v":0.5}"#.into()]));
    let said = "`9007199254740993` is not a value of type Float64, the type that its column has over all files; pin `schema: {v: string}`";
    assert!(rejects.len() == 1 && rejects[0].starts_with(said), "{rejects:?}");
    let (_, _, rejects) = came(&[money, array(Float64Array::from(vec![0.5]))], json!({}));
    assert_eq!(rejects.len(), 1);
}

#[test]
fn times_objects_and_lists_of_files_whose_types_differ_are_brought_together() {
    let micros = array(TimestampMicrosecondArray::from(vec![1]));
    let (schema, rows, _) = came(&[array(TimestampMillisecondArray::from(vec![1])), micros.clone()], json!({}));
    assert_eq!((schema.as_str(), rows[0].as_str()), ("v Timestamp(µs)", r#"{"v":"1970-01-01T00:00:00.001"}"#));
    let (schema, rows, _) = came(&[array(Date32Array::from(vec![1])), micros], json!({}));
    assert_eq!((schema.as_str(), rows[0].as_str()), ("v Timestamp(µs)", r#"{"v":"1970-01-02T00:00:00"}"#));

    let ints = || array(Int64Array::from(vec![1]));
    let one = object(vec![("a", ints())]);
    let two = object(vec![("a", array(Float64Array::from(vec![0.5]))), ("b", array(StringArray::from(vec!["x"])))]);
    let (_, rows, rejects) = came(&[one.clone(), two], json!({}));
    assert_eq!((rows, rejects), (vec![r#"{"v":{"a":1.0}}"#.into(), r#"{"v":{"a":0.5,"b":"x"}}"#.into()], vec![]));
    let (_, rows, _) = came(&[one, ints()], json!({}));
    assert_eq!(rows, [r#"{"v":"{\"a\":1}"}"#, r#"{"v":"1"}"#]);

    let list = |items: DataType| {
        let ints = ListArray::from_iter_primitive::<arrow_array::types::Int64Type, _, _>([Some([Some(1), None])]);
        arrow_cast::cast(&ints, &DataType::List(Arc::new(Field::new("item", items, true)))).unwrap()
    };
    let (schema, rows, _) = came(&[list(DataType::Int64), list(DataType::Float64)], json!({}));
    assert_eq!((schema.as_str(), rows[0].as_str()), ("v List(Float64)", r#"{"v":[1.0,null]}"#));
}

#[test]
fn a_pinned_type_takes_a_value_as_it_is_or_refuses_its_row() {
    let floats = |value: f64| array(Float64Array::from(vec![value]));
    let texts = |value: &str| array(StringArray::from(vec![value]));
    let cases = [
        (floats(1.9), "int", Err("`1.9` is not an int64")),
        (floats(2.0), "int", Ok("2")),
        (floats(1.25), "decimal(5,1)", Err("`1.25` is not a decimal(5,1)")),
        (floats(1.5), "decimal(5,1)", Ok("1.5")),
        (array(TimestampMicrosecondArray::from(vec![5])), "date", Err("`1970-01-01T00:00:00.000005` is not a date")),
        (array(TimestampMicrosecondArray::from(vec![0])), "date", Ok("\"1970-01-01\"")),
        (array(TimestampMicrosecondArray::from(vec![0])), "datetime", Ok("\"1970-01-01T00:00:00Z\"")),
        (array(Int64Array::from(vec![9_007_199_254_740_993])), "float", Err("`9007199254740993` is not a float64")),
        (array(Int64Array::from(vec![2])), "bool", Err("`2` is not a bool")),
        (array(Int64Array::from(vec![1])), "bool", Ok("true")),
        (texts("t"), "bool", Err("`t` is not a bool")),
        (texts("2024/01/02"), "date", Ok("\"2024-01-02\"")),
        (texts("+05"), "int", Ok("5")),
        (texts("{"), "json", Err("`{` is not JSON")),
        (array(DictionaryArray::<Int32Type>::from_iter(["7"])), "int", Ok("7")),
        (object(vec![("a", texts("x"))]), "json", Ok(r#""{\"a\":\"x\"}""#)),
        (object(vec![("a", texts("x"))]), "string", Ok(r#""{\"a\":\"x\"}""#)),
        (array(BinaryArray::from(vec![b"x".as_slice()])), "string", Ok("\"x\"")),
    ];
    for (column, pin, expected) in cases {
        let (_, rows, rejects) = came(&[column], json!({"v": pin}));
        match expected {
            Ok(value) => assert_eq!((rows, rejects), (vec![format!("{{\"v\":{value}}}")], vec![]), "{pin}"),
            Err(said) => assert_eq!((rows, rejects), (vec![], vec![format!("{said}, the type that `schema` gives it")]), "{pin}"),
        }
    }
}

#[test]
fn a_number_pinned_as_a_time_is_refused_before_anything_is_read() {
    for pin in ["datetime", "date", "timestamp"] {
        let error = read_as(&[array(Int64Array::from(vec![1_700_000_000]))], json!({"v": pin})).unwrap_err();
        assert_eq!(error.fault(), Fault::Config);
        assert!(error.to_string().ends_with("but in `0.parquet` it is Int64, and numbers do not say their unit"), "{error}");
    }
}
