//! One column, ready to write any of its values.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Date64Type, Decimal128Type, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    Time32MillisecondType, Time32SecondType, Time64MicrosecondType, Time64NanosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, BooleanArray, GenericStringArray, OffsetSizeTrait, StringArray, StringViewArray};
use arrow_buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::{DataType, Field, TimeUnit};

use super::Style;
use super::scalar::{self, Zone};
use crate::batch::is_json_text;

/// One column, ready to write any of its values.
///
/// It holds on to the column's buffers and copies none of them, dictionaries and rare types aside.
#[derive(Debug)]
pub struct Cell {
    nulls: Option<NullBuffer>,
    values: Values,
    style: Style,
}

#[derive(Debug)]
enum Values {
    Null,
    Bool(BooleanArray),
    I8(ScalarBuffer<i8>),
    I16(ScalarBuffer<i16>),
    I32(ScalarBuffer<i32>),
    I64(ScalarBuffer<i64>),
    U8(ScalarBuffer<u8>),
    U16(ScalarBuffer<u16>),
    U32(ScalarBuffer<u32>),
    U64(ScalarBuffer<u64>),
    F16(arrow_array::Float16Array),
    F32(ScalarBuffer<f32>),
    F64(ScalarBuffer<f64>),
    Decimal(ScalarBuffer<i128>, i8, bool),
    /// Number texts, for decimals of other widths; whether they are quoted.
    Number(StringArray, bool),
    /// `plain`: no text of the column needs an escape.
    Text(StringArray, bool),
    /// Texts of JSON values.
    Json(StringArray),
    LargeText(GenericStringArray<i64>, bool),
    TextView(StringViewArray),
    Bytes(ArrayRef),
    Date(ScalarBuffer<i32>),
    Date64(ScalarBuffer<i64>),
    Timestamp(ScalarBuffer<i64>, TimeUnit, Zone),
    Time32(ScalarBuffer<i32>, TimeUnit),
    Time64(ScalarBuffer<i64>, TimeUnit),
    List(OffsetBuffer<i32>, Box<Cell>),
    LargeList(OffsetBuffer<i64>, Box<Cell>),
    FixedList(usize, Box<Cell>),
    /// For each field its key as `"key":` and its values.
    Struct(Vec<(Vec<u8>, Cell)>),
    Map(OffsetBuffer<i32>, Box<Cell>, Box<Cell>),
}

impl Cell {
    /// Makes a column ready.
    pub fn new(array: &ArrayRef, style: Style) -> Self {
        let nulls = array.logical_nulls().filter(|nulls| nulls.null_count() > 0);
        Self { nulls, values: Values::new(array, style), style }
    }

    /// As [`Cell::new`]; where the field says that its texts are JSON, they are written as the values that they spell.
    pub fn of(field: &Field, array: &ArrayRef, style: Style) -> Self {
        let mut cell = Self::new(array, style);
        if is_json_text(field) {
            cell.values = Values::Json(array.as_string().clone());
        }
        cell
    }

    /// Tells whether the value is null.
    #[inline]
    pub fn is_null(&self, index: usize) -> bool {
        self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(index))
    }

    /// Tells whether the column holds texts.
    pub fn is_text(&self) -> bool {
        matches!(self.values, Values::Text(..) | Values::LargeText(..) | Values::TextView(_))
    }

    /// Tells whether the column holds lists or objects, whose text is JSON.
    pub fn is_nested(&self) -> bool {
        use Values::{FixedList, LargeList, List, Map, Struct};
        matches!(self.values, List(..) | LargeList(..) | FixedList(..) | Struct(_) | Map(..))
    }

    /// The bytes of all texts of the column one after the other, where they stand so.
    pub fn text_bytes(&self) -> Option<&[u8]> {
        fn bytes<O: OffsetSizeTrait>(texts: &GenericStringArray<O>) -> &[u8] {
            let offsets = texts.value_offsets();
            &texts.value_data()[offsets[0].as_usize()..offsets[texts.len()].as_usize()]
        }
        match &self.values {
            Values::Text(texts, _) => Some(bytes(texts)),
            Values::LargeText(texts, _) => Some(bytes(texts)),
            _ => None,
        }
    }

    /// Writes a value as JSON. Numbers that JSON does not know (NaN, infinity) are `null`.
    #[inline]
    pub fn write_json(&self, index: usize, out: &mut Vec<u8>) {
        self.write::<false>(index, out);
    }

    /// Writes a value as bare text: no quotes, null as nothing, objects and lists as JSON, `NaN`, `inf`, `-inf`.
    #[inline]
    pub fn write_text(&self, index: usize, out: &mut Vec<u8>) {
        if !self.is_null(index) {
            self.write::<true>(index, out);
        }
    }

    fn write<const BARE: bool>(&self, index: usize, out: &mut Vec<u8>) {
        if self.is_null(index) {
            return out.extend_from_slice(b"null");
        }
        match &self.values {
            Values::Null if BARE => {}
            Values::Null => out.extend_from_slice(b"null"),
            Values::Bool(values) if values.value(index) => out.extend_from_slice(b"true"),
            Values::Bool(_) => out.extend_from_slice(b"false"),
            Values::I8(values) => scalar::integer(values[index], out),
            Values::I16(values) => scalar::integer(values[index], out),
            Values::I32(values) => scalar::integer(values[index], out),
            Values::I64(values) => scalar::integer(values[index], out),
            Values::U8(values) => scalar::integer(values[index], out),
            Values::U16(values) => scalar::integer(values[index], out),
            Values::U32(values) => scalar::integer(values[index], out),
            Values::U64(values) => scalar::integer(values[index], out),
            Values::F64(values) => match values[index] {
                value if value.is_finite() => scalar::float(value, out),
                value => not_finite::<BARE>(value, out),
            },
            Values::F32(values) => match values[index] {
                value if value.is_finite() => scalar::float(value, out),
                value => not_finite::<BARE>(value.into(), out),
            },
            Values::F16(values) => match values.value(index).to_f32() {
                value if value.is_finite() => scalar::float(value, out),
                value => not_finite::<BARE>(value.into(), out),
            },
            Values::Decimal(values, scale, quoted) => {
                quote::<BARE>(*quoted, out, |out| scalar::decimal(values[index], *scale, out));
            }
            Values::Number(texts, quoted) => quote::<BARE>(*quoted, out, |out| out.extend_from_slice(texts.value(index).as_bytes())),
            Values::Text(texts, plain) => self.write_string::<BARE>(texts.value(index), *plain, out),
            Values::Json(texts) => {
                // Whoever wrote the mark may be wrong: then it is a text.
                if BARE || !scalar::json(texts.value(index), self.style.ascii, out) {
                    self.write_string::<BARE>(texts.value(index), false, out);
                }
            }
            Values::LargeText(texts, plain) => self.write_string::<BARE>(texts.value(index), *plain, out),
            Values::TextView(texts) => self.write_string::<BARE>(texts.value(index), false, out),
            Values::Bytes(array) => quote::<BARE>(true, out, |out| scalar::base64(bytes_at(array, index), out)),
            Values::Date(days) => quote::<BARE>(true, out, |out| scalar::date(days[index].into(), out)),
            Values::Date64(millis) => quote::<BARE>(true, out, |out| scalar::date(millis[index].div_euclid(86_400_000), out)),
            Values::Timestamp(values, unit, zone) => {
                quote::<BARE>(true, out, |out| scalar::timestamp(values[index], *unit, *zone, out));
            }
            Values::Time32(values, unit) => quote::<BARE>(true, out, |out| scalar::time(values[index].into(), *unit, out)),
            Values::Time64(values, unit) => quote::<BARE>(true, out, |out| scalar::time(values[index], *unit, out)),
            Values::List(offsets, items) => list(items, offsets[index] as usize..offsets[index + 1] as usize, out),
            Values::LargeList(offsets, items) => list(items, offsets[index] as usize..offsets[index + 1] as usize, out),
            Values::FixedList(size, items) => list(items, index * size..(index + 1) * size, out),
            Values::Struct(fields) => {
                out.push(b'{');
                let mut first = true;
                for (key, cell) in fields.iter().filter(|(_, cell)| !(self.style.sparse && cell.is_null(index))) {
                    if !std::mem::take(&mut first) {
                        out.push(b',');
                    }
                    out.extend_from_slice(key);
                    cell.write_json(index, out);
                }
                out.push(b'}');
            }
            Values::Map(offsets, keys, values) => {
                let entries = offsets[index] as usize..offsets[index + 1] as usize;
                out.push(b'{');
                for entry in entries.clone() {
                    if entry > entries.start {
                        out.push(b',');
                    }
                    let mut key = Vec::new();
                    keys.write_text(entry, &mut key);
                    out.extend_from_slice(&super::key(&String::from_utf8_lossy(&key), self.style));
                    values.write_json(entry, out);
                }
                out.push(b'}');
            }
        }
    }

    #[inline]
    fn write_string<const BARE: bool>(&self, text: &str, plain: bool, out: &mut Vec<u8>) {
        if BARE {
            out.extend_from_slice(text.as_bytes());
        } else if plain {
            out.reserve(text.len() + 2);
            out.push(b'"');
            out.extend_from_slice(text.as_bytes());
            out.push(b'"');
        } else {
            out.push(b'"');
            scalar::escape(text, self.style.ascii, out);
            out.push(b'"');
        }
    }
}

impl Values {
    fn new(array: &ArrayRef, style: Style) -> Self {
        use DataType as T;
        fn plain<O: OffsetSizeTrait>(texts: &GenericStringArray<O>, style: Style) -> bool {
            let offsets = texts.value_offsets();
            scalar::all_plain(&texts.value_data()[offsets[0].as_usize()..offsets[texts.len()].as_usize()], style.ascii)
        }
        // A JSON number of more digits than these does not survive a reader that knows floats only.
        let quoted = |precision: u8| style.exact && precision > 15;
        match array.data_type() {
            T::Null => Self::Null,
            T::Boolean => Self::Bool(array.as_boolean().clone()),
            T::Int8 => Self::I8(array.as_primitive::<Int8Type>().values().clone()),
            T::Int16 => Self::I16(array.as_primitive::<Int16Type>().values().clone()),
            T::Int32 => Self::I32(array.as_primitive::<Int32Type>().values().clone()),
            T::Int64 => Self::I64(array.as_primitive::<Int64Type>().values().clone()),
            T::UInt8 => Self::U8(array.as_primitive::<UInt8Type>().values().clone()),
            T::UInt16 => Self::U16(array.as_primitive::<UInt16Type>().values().clone()),
            T::UInt32 => Self::U32(array.as_primitive::<UInt32Type>().values().clone()),
            T::UInt64 => Self::U64(array.as_primitive::<UInt64Type>().values().clone()),
            T::Float16 => Self::F16(array.as_primitive::<Float16Type>().clone()),
            T::Float32 => Self::F32(array.as_primitive::<Float32Type>().values().clone()),
            T::Float64 => Self::F64(array.as_primitive::<Float64Type>().values().clone()),
            T::Decimal128(precision, scale) => {
                Self::Decimal(array.as_primitive::<Decimal128Type>().values().clone(), *scale, quoted(*precision))
            }
            T::Decimal32(precision, _) | T::Decimal64(precision, _) | T::Decimal256(precision, _) => {
                Self::Number(shown(array), quoted(*precision))
            }
            T::Utf8 => Self::Text(array.as_string().clone(), plain(array.as_string::<i32>(), style)),
            T::LargeUtf8 => Self::LargeText(array.as_string().clone(), plain(array.as_string::<i64>(), style)),
            T::Utf8View => Self::TextView(array.as_string_view().clone()),
            T::Binary | T::LargeBinary | T::BinaryView | T::FixedSizeBinary(_) => Self::Bytes(array.clone()),
            T::Date32 => Self::Date(array.as_primitive::<Date32Type>().values().clone()),
            T::Date64 => Self::Date64(array.as_primitive::<Date64Type>().values().clone()),
            T::Timestamp(unit, zone) => {
                let values = ScalarBuffer::new(array.to_data().buffers()[0].clone(), array.offset(), array.len());
                Self::Timestamp(values, *unit, Zone::new(zone.as_deref()))
            }
            T::Time32(TimeUnit::Second) => Self::Time32(array.as_primitive::<Time32SecondType>().values().clone(), TimeUnit::Second),
            T::Time32(unit) => Self::Time32(array.as_primitive::<Time32MillisecondType>().values().clone(), *unit),
            T::Time64(TimeUnit::Microsecond) => {
                Self::Time64(array.as_primitive::<Time64MicrosecondType>().values().clone(), TimeUnit::Microsecond)
            }
            T::Time64(unit) => Self::Time64(array.as_primitive::<Time64NanosecondType>().values().clone(), *unit),
            T::List(item) => {
                let list = array.as_list::<i32>();
                Self::List(list.offsets().clone(), Box::new(Cell::of(item, list.values(), style)))
            }
            T::LargeList(item) => {
                let list = array.as_list::<i64>();
                Self::LargeList(list.offsets().clone(), Box::new(Cell::of(item, list.values(), style)))
            }
            T::FixedSizeList(item, size) => {
                let list = array.as_fixed_size_list();
                Self::FixedList(*size as usize, Box::new(Cell::of(item, list.values(), style)))
            }
            T::Struct(fields) => {
                let columns = array.as_struct().columns();
                let cell =
                    |(field, column): (&arrow_schema::FieldRef, _)| (super::key(field.name(), style), Cell::of(field, column, style));
                Self::Struct(fields.iter().zip(columns).map(cell).collect())
            }
            T::Map(..) => {
                let map = array.as_map();
                let values = Cell::of(map.entries_fields().1, map.values(), style);
                Self::Map(map.offsets().clone(), Box::new(Cell::new(map.keys(), style)), Box::new(values))
            }
            T::Dictionary(_, values) => Self::unpacked(array, values, style),
            T::RunEndEncoded(_, values) => Self::unpacked(array, values.data_type(), style),
            T::ListView(item) => Self::unpacked(array, &T::List(item.clone()), style),
            T::LargeListView(item) => Self::unpacked(array, &T::LargeList(item.clone()), style),
            T::Duration(_) | T::Interval(_) | T::Union(..) => {
                let texts = shown(array);
                let plain = plain(&texts, style);
                Self::Text(texts, plain)
            }
        }
    }

    fn unpacked(array: &ArrayRef, as_type: &DataType, style: Style) -> Self {
        match arrow_cast::cast(array, as_type) {
            Ok(array) => Self::new(&array, style),
            Err(_) => Self::Text(shown(array), false),
        }
    }
}

/// The values of a type that we have no form of our own for, as Arrow shows them.
fn shown(array: &ArrayRef) -> StringArray {
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(array.as_ref(), &options);
    let text = |index| formatter.as_ref().ok()?.value(index).try_to_string().ok();
    (0..array.len()).map(|index| Some(text(index).unwrap_or_default())).collect()
}

fn bytes_at(array: &ArrayRef, index: usize) -> &[u8] {
    match array.data_type() {
        DataType::Binary => array.as_binary::<i32>().value(index),
        DataType::LargeBinary => array.as_binary::<i64>().value(index),
        DataType::BinaryView => array.as_binary_view().value(index),
        _ => array.as_fixed_size_binary().value(index),
    }
}

#[inline]
fn quote<const BARE: bool>(quoted: bool, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    if BARE || !quoted {
        return write(out);
    }
    out.push(b'"');
    write(out);
    out.push(b'"');
}

fn not_finite<const BARE: bool>(value: f64, out: &mut Vec<u8>) {
    let text = match value {
        _ if !BARE => "null",
        f64::INFINITY => "inf",
        f64::NEG_INFINITY => "-inf",
        _ => "NaN",
    };
    out.extend_from_slice(text.as_bytes());
}

fn list(items: &Cell, range: std::ops::Range<usize>, out: &mut Vec<u8>) {
    out.push(b'[');
    for index in range.clone() {
        if index > range.start {
            out.push(b',');
        }
        items.write_json(index, out);
    }
    out.push(b']');
}
