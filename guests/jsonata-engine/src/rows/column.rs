//! One column, ready to give any of its values.

use std::rc::Rc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Date64Type, Decimal32Type, Decimal64Type, Decimal128Type, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, Time32MillisecondType, Time32SecondType, Time64MicrosecondType, Time64NanosecondType, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, BooleanArray, GenericStringArray, OffsetSizeTrait, StringViewArray};
use arrow_buffer::{NullBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field, TimeUnit};

use super::spell::{self, Zone};
use crate::Value;
use crate::marks::{JSON_TEXT, is_marked};
use crate::value::{Members, Object, Shape, number_text};

/// One column, ready to give any of its values; it shares the column's buffers.
pub(super) struct Column {
    nulls: Option<NullBuffer>,
    values: Values,
}

enum Values {
    /// Nulls, or a type that no source gives.
    Null,
    Bool(BooleanArray),
    Int(ScalarBuffer<i64>),
    UInt(ScalarBuffer<u64>),
    Float(ScalarBuffer<f64>),
    Decimal(Vec<i128>, i8),
    Text(GenericStringArray<i32>),
    /// Texts of JSON values.
    Json(GenericStringArray<i32>),
    LargeText(GenericStringArray<i64>),
    TextView(StringViewArray),
    Bytes(ArrayRef),
    Date(Vec<i64>),
    Time(Vec<i64>, TimeUnit),
    Timestamp(ScalarBuffer<i64>, TimeUnit, Zone),
    /// Where the items of each list begin and end.
    List(Vec<(usize, usize)>, Box<Column>),
    Object(Vec<Column>, Rc<Shape>),
    Map(Vec<(usize, usize)>, Box<Column>, Box<Column>),
}

impl Column {
    pub(super) fn new(field: &Field, array: &ArrayRef) -> Self {
        let values = match array.data_type() {
            DataType::Utf8 if is_marked(field, JSON_TEXT) => Values::Json(array.as_string().clone()),
            _ => Values::new(array),
        };
        Self { nulls: array.logical_nulls().filter(|nulls| nulls.null_count() > 0), values }
    }

    /// Whether any value is null.
    pub(super) fn has_nulls(&self) -> bool {
        matches!(self.values, Values::Null) || self.nulls.is_some()
    }

    #[inline]
    pub(super) fn is_null(&self, index: usize) -> bool {
        matches!(self.values, Values::Null) || self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(index))
    }

    /// One value.
    #[inline]
    pub(super) fn value(&self, index: usize) -> Value {
        if self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(index)) {
            return Value::Null;
        }
        match &self.values {
            Values::Null => Value::Null,
            Values::Bool(values) => Value::Bool(values.value(index)),
            Values::Int(values) => spell::integer(values[index]),
            Values::UInt(values) => spell::unsigned(values[index]),
            Values::Float(values) => match values[index] {
                value if value.is_finite() => Value::Number(value),
                _ => Value::Null,
            },
            Values::Decimal(values, scale) => spell::decimal(values[index], *scale),
            Values::Text(texts) => Value::string(texts.value(index)),
            // Whoever wrote the mark may be wrong: then it is the text.
            Values::Json(texts) => Value::from_json_str(texts.value(index)).unwrap_or_else(|_| Value::string(texts.value(index))),
            Values::LargeText(texts) => Value::string(texts.value(index)),
            Values::TextView(texts) => Value::string(texts.value(index)),
            Values::Bytes(array) => Value::string(spell::base64(bytes_at(array, index))),
            Values::Date(days) => Value::string(spell::date(days[index])),
            Values::Time(values, unit) => Value::string(spell::time(values[index], *unit)),
            Values::Timestamp(values, unit, zone) => Value::string(spell::timestamp(values[index], *unit, *zone)),
            Values::List(bounds, items) => {
                let (start, end) = bounds[index];
                Value::array((start..end).map(|item| items.value(item)).collect())
            }
            Values::Object(members, template) => object(members, template, index),
            Values::Map(bounds, keys, values) => {
                let (start, end) = bounds[index];
                let mut map = Members::with_capacity(end - start);
                for entry in start..end {
                    map.insert(keys.key(entry), values.value(entry));
                }
                map.into_value()
            }
        }
    }

    /// A value as the key of an object.
    fn key(&self, index: usize) -> Rc<str> {
        match self.value(index) {
            Value::String(text) => text,
            Value::Number(number) => number_text(number).into(),
            Value::Bool(true) => "true".into(),
            Value::Bool(false) => "false".into(),
            _ => "".into(),
        }
    }
}

/// An object without the members that are null.
fn object(members: &[Column], shape: &Rc<Shape>, index: usize) -> Value {
    let absent = members.iter().filter(|member| member.is_null(index)).count();
    if absent == 0 {
        let values = members.iter().map(|member| member.value(index)).collect();
        return Value::Object(Rc::new(Object::new(shape.clone(), values)));
    }
    let there = shape.names().iter().zip(members).filter(|(_, member)| !member.is_null(index));
    let (names, values) = there.map(|(name, member)| (name.clone(), member.value(index))).unzip();
    Value::Object(Rc::new(Object::new(Shape::new(names), values)))
}

fn bounds<O: OffsetSizeTrait>(offsets: &[O]) -> Vec<(usize, usize)> {
    offsets.windows(2).map(|pair| (pair[0].as_usize(), pair[1].as_usize())).collect()
}

impl Values {
    fn new(array: &ArrayRef) -> Self {
        use DataType as T;
        macro_rules! widened {
            ($kind:ty) => {
                array.as_primitive::<$kind>().values().iter().map(|&value| value.into()).collect()
            };
        }
        match array.data_type() {
            T::Boolean => Self::Bool(array.as_boolean().clone()),
            T::Int8 => Self::Int(widened!(Int8Type)),
            T::Int16 => Self::Int(widened!(Int16Type)),
            T::Int32 => Self::Int(widened!(Int32Type)),
            T::Int64 => Self::Int(array.as_primitive::<Int64Type>().values().clone()),
            T::UInt8 => Self::Int(widened!(UInt8Type)),
            T::UInt16 => Self::Int(widened!(UInt16Type)),
            T::UInt32 => Self::Int(widened!(UInt32Type)),
            T::UInt64 => Self::UInt(array.as_primitive::<UInt64Type>().values().clone()),
            T::Float16 => Self::Float(widened!(Float16Type)),
            // The shortest text of the narrow number, as it is written, not the digits that widening brings to light.
            T::Float32 => {
                let widen = |value: &f32| value.to_string().parse().unwrap_or(f64::from(*value));
                Self::Float(array.as_primitive::<Float32Type>().values().iter().map(widen).collect())
            }
            T::Float64 => Self::Float(array.as_primitive::<Float64Type>().values().clone()),
            T::Decimal32(_, scale) => Self::Decimal(widened!(Decimal32Type), *scale),
            T::Decimal64(_, scale) => Self::Decimal(widened!(Decimal64Type), *scale),
            T::Decimal128(_, scale) => Self::Decimal(widened!(Decimal128Type), *scale),
            T::Utf8 => Self::Text(array.as_string().clone()),
            T::LargeUtf8 => Self::LargeText(array.as_string().clone()),
            T::Utf8View => Self::TextView(array.as_string_view().clone()),
            T::Binary | T::LargeBinary | T::BinaryView | T::FixedSizeBinary(_) => Self::Bytes(array.clone()),
            T::Date32 => Self::Date(widened!(Date32Type)),
            T::Date64 => Self::Date(array.as_primitive::<Date64Type>().values().iter().map(|ms| ms.div_euclid(86_400_000)).collect()),
            T::Time32(TimeUnit::Second) => Self::Time(widened!(Time32SecondType), TimeUnit::Second),
            T::Time32(unit) => Self::Time(widened!(Time32MillisecondType), *unit),
            T::Time64(TimeUnit::Microsecond) => Self::Time(widened!(Time64MicrosecondType), TimeUnit::Microsecond),
            T::Time64(unit) => Self::Time(widened!(Time64NanosecondType), *unit),
            T::Timestamp(unit, zone) => {
                let values = ScalarBuffer::new(array.to_data().buffers()[0].clone(), array.offset(), array.len());
                Self::Timestamp(values, *unit, Zone::new(zone.as_deref()))
            }
            T::List(item) => {
                let list = array.as_list::<i32>();
                Self::List(bounds(list.offsets()), Box::new(Column::new(item, list.values())))
            }
            T::LargeList(item) => {
                let list = array.as_list::<i64>();
                Self::List(bounds(list.offsets()), Box::new(Column::new(item, list.values())))
            }
            T::FixedSizeList(item, size) => {
                let (list, size) = (array.as_fixed_size_list(), *size as usize);
                let bounds = (0..list.len()).map(|index| (index * size, (index + 1) * size)).collect();
                Self::List(bounds, Box::new(Column::new(item, list.values())))
            }
            T::Struct(fields) => {
                let names = fields.iter().map(|field| field.name().as_str().into()).collect();
                let members = fields.iter().zip(array.as_struct().columns());
                Self::Object(members.map(|(field, array)| Column::new(field, array)).collect(), Shape::new(names))
            }
            T::Map(..) => {
                let map = array.as_map();
                let (keys, values) = map.entries_fields();
                let (keys, values) = (Column::new(keys, map.keys()), Column::new(values, map.values()));
                Self::Map(bounds(map.offsets()), Box::new(keys), Box::new(values))
            }
            // `unreadable` refuses these before a row is read.
            _ => Self::Null,
        }
    }
}

/// The first type within a type that cannot be made into values.
pub fn unreadable(data_type: &DataType) -> Option<&DataType> {
    use DataType as T;
    match data_type {
        T::List(item) | T::LargeList(item) | T::FixedSizeList(item, _) => unreadable(item.data_type()),
        T::Struct(fields) => fields.iter().find_map(|field| unreadable(field.data_type())),
        T::Map(entries, _) => unreadable(entries.data_type()),
        T::Decimal256(..)
        | T::Duration(_)
        | T::Interval(_)
        | T::Union(..)
        | T::Dictionary(..)
        | T::RunEndEncoded(..)
        | T::ListView(_)
        | T::LargeListView(_) => Some(data_type),
        _ => None,
    }
}

fn bytes_at(array: &ArrayRef, index: usize) -> &[u8] {
    match array.data_type() {
        DataType::Binary => array.as_binary::<i32>().value(index),
        DataType::LargeBinary => array.as_binary::<i64>().value(index),
        DataType::BinaryView => array.as_binary_view().value(index),
        _ => array.as_fixed_size_binary().value(index),
    }
}
