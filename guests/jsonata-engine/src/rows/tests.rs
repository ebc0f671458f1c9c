use std::sync::Arc;

use arrow_array::builder::{Int64Builder, ListBuilder};
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int64Array, NullArray, StringArray,
    StructArray, TimestampMicrosecondArray, UInt8Array,
};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, Field};

use super::*;

fn shown(columns: Vec<(&str, ArrayRef)>) -> Vec<String> {
    let batch = RecordBatch::try_from_iter(columns).expect("columns of one length");
    Rows::new(&batch).all().map(|row| row.to_json_string()).collect()
}

#[test]
fn every_type_that_a_source_gives_becomes_the_value_that_the_json_sink_writes() {
    let mut lists = ListBuilder::new(Int64Builder::new());
    lists.append_value([Some(1), None]);
    lists.append_null();
    let rows = shown(vec![
        ("null", Arc::new(NullArray::new(2))),
        ("bool", Arc::new(BooleanArray::from(vec![Some(true), None]))),
        ("int", Arc::new(Int64Array::from(vec![7, i64::MAX]))),
        ("byte", Arc::new(UInt8Array::from(vec![255, 0]))),
        ("float", Arc::new(Float64Array::from(vec![2.5, f64::NAN]))),
        ("single", Arc::new(Float32Array::from(vec![0.1, 24.0]))),
        ("decimal", Arc::new(Decimal128Array::from(vec![Some(1250), None]).with_precision_and_scale(10, 2).expect("it fits"))),
        ("text", Arc::new(StringArray::from(vec![Some("ä\""), None]))),
        ("bytes", Arc::new(BinaryArray::from_vec(vec![b"ab", b""]))),
        ("day", Arc::new(Date32Array::from(vec![0, 19_893]))),
        ("at", Arc::new(TimestampMicrosecondArray::from(vec![0, 1]).with_timezone("UTC"))),
        ("list", Arc::new(lists.finish())),
    ]);
    let expected = [
        "{\"null\":null,\"bool\":true,\"int\":7,\"byte\":255,\"float\":2.5,\"single\":0.1,\"decimal\":12.5,\"text\":\"ä\\\"\",\
         \"bytes\":\"YWI=\",\"day\":\"1970-01-01\",\"at\":\"1970-01-01T00:00:00Z\",\"list\":[1,null]}",
        "{\"null\":null,\"bool\":null,\"int\":\"9223372036854775807\",\"byte\":0,\"float\":null,\"single\":24,\"decimal\":null,\
         \"text\":null,\"bytes\":\"\",\"day\":\"2024-06-19\",\"at\":\"1970-01-01T00:00:00.000001Z\",\"list\":null}",
    ];
    assert_eq!(rows, expected);
}

#[test]
fn a_null_member_of_a_nested_object_is_absent_and_a_null_column_is_null() {
    let a = (Arc::new(Field::new("a", DataType::Int64, true)), Arc::new(Int64Array::from(vec![Some(1), None, Some(3)])) as ArrayRef);
    let b = (Arc::new(Field::new("b", DataType::Utf8, true)), Arc::new(StringArray::from(vec![Some("x"), Some("y"), None])) as ArrayRef);
    let (fields, members): (Vec<_>, Vec<_>) = [a, b].into_iter().unzip();
    let object = StructArray::new(fields.into(), members, Some(NullBuffer::from(vec![true, true, false])));
    assert_eq!(shown(vec![("o", Arc::new(object))]), ["{\"o\":{\"a\":1,\"b\":\"x\"}}", "{\"o\":{\"b\":\"y\"}}", "{\"o\":null}"]);
}

#[test]
fn a_null_that_stands_for_nothing_is_no_member_of_the_row() {
    let absent = |name: &str| Field::new(name, DataType::Int64, true).with_metadata([("etl:null".into(), "absent".into())].into());
    let fields = vec![absent("a"), Field::new("b", DataType::Int64, true), absent("c"), absent("d")];
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(vec![Some(1), None, None, Some(4)])),
        Arc::new(Int64Array::from(vec![None, Some(2), None, Some(4)])),
        Arc::new(Int64Array::from(vec![Some(3), None, None, Some(4)])),
        Arc::new(Int64Array::from(vec![4, 4, 4, 4])),
    ];
    let batch = RecordBatch::try_new(Arc::new(arrow_schema::Schema::new(fields)), columns).expect("columns of one length");
    let rows: Vec<String> = Rows::new(&batch).all().map(|row| row.to_json_string()).collect();
    assert_eq!(
        rows,
        ["{\"a\":1,\"b\":null,\"c\":3,\"d\":4}", "{\"b\":2,\"d\":4}", "{\"b\":null,\"d\":4}", "{\"a\":4,\"b\":4,\"c\":4,\"d\":4}"]
    );
}
