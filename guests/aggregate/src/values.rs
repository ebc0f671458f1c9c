//! Columns of any type as one of five kinds that aggregates work on, and back.

use std::sync::Arc;

use arrow_array::builder::BinaryBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Decimal32Type, Decimal64Type, Decimal128Type, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Decimal128Array, Float64Array, Int64Array, PrimitiveArray, make_array, new_null_array,
};
use arrow_buffer::{BooleanBuffer, NullBuffer};
use arrow_schema::DataType;
use etl_sdk::StageError;

/// What values are held as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Ints, truth values, dates, times and timestamps.
    I64,
    /// Floats.
    F64,
    /// Decimals and large unsigned ints.
    I128,
    /// Texts and bytes.
    Bytes,
    /// Anything else, encoded.
    Encoded,
}

impl Kind {
    /// The kind of a type.
    pub(crate) fn of(data_type: &DataType) -> Self {
        match data_type {
            DataType::Int8
            | DataType::Int16
            | DataType::Int32
            | DataType::Int64
            | DataType::UInt8
            | DataType::UInt16
            | DataType::UInt32
            | DataType::Boolean
            | DataType::Date32
            | DataType::Date64
            | DataType::Time32(_)
            | DataType::Time64(_)
            | DataType::Timestamp(_, _)
            | DataType::Duration(_) => Self::I64,
            DataType::Float16 | DataType::Float32 | DataType::Float64 => Self::F64,
            DataType::UInt64 | DataType::Decimal32(_, _) | DataType::Decimal64(_, _) | DataType::Decimal128(_, _) => Self::I128,
            DataType::Utf8
            | DataType::LargeUtf8
            | DataType::Utf8View
            | DataType::Binary
            | DataType::LargeBinary
            | DataType::BinaryView
            | DataType::Null => Self::Bytes,
            _ => Self::Encoded,
        }
    }
}

/// The type in which values of a type come out: one width of ints, floats, decimals and texts.
pub(crate) fn normal(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::UInt8 | DataType::UInt16 | DataType::UInt32 => DataType::Int64,
        DataType::Float16 | DataType::Float32 => DataType::Float64,
        DataType::UInt64 => DataType::Decimal128(20, 0),
        DataType::Decimal32(precision, scale) | DataType::Decimal64(precision, scale) => DataType::Decimal128(*precision, *scale),
        DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => DataType::Utf8,
        DataType::LargeBinary | DataType::BinaryView => DataType::Binary,
        other => other.clone(),
    }
}

/// Whether a type is a number that can be added.
pub(crate) fn is_number(data_type: &DataType) -> bool {
    data_type.is_integer()
        || matches!(Kind::of(data_type), Kind::F64)
        || matches!(data_type, DataType::Decimal32(_, _) | DataType::Decimal64(_, _) | DataType::Decimal128(_, _))
}

/// Digits behind the point.
pub(crate) fn scale(data_type: &DataType) -> i8 {
    match normal(data_type) {
        DataType::Decimal128(_, scale) => scale,
        _ => 0,
    }
}

/// The column of a batch; one of nulls where the input has no columns.
pub(crate) fn column(columns: &[ArrayRef], place: Option<usize>, data_type: &DataType, rows: usize) -> ArrayRef {
    match place {
        Some(place) => columns[place].clone(),
        None => new_null_array(data_type, rows),
    }
}

/// A column as 64-bit numbers.
pub(crate) fn i64s(array: &ArrayRef) -> Int64Array {
    macro_rules! widen {
        ($type:ty) => {
            array.as_primitive::<$type>().unary::<_, Int64Type>(i64::from)
        };
    }
    match array.data_type() {
        DataType::Int8 => widen!(Int8Type),
        DataType::Int16 => widen!(Int16Type),
        DataType::UInt8 => widen!(UInt8Type),
        DataType::UInt16 => widen!(UInt16Type),
        DataType::UInt32 => widen!(UInt32Type),
        DataType::Int32 | DataType::Date32 | DataType::Time32(_) => {
            reinterpreted(array, DataType::Int32).as_primitive::<Int32Type>().unary::<_, Int64Type>(i64::from)
        }
        DataType::Boolean => {
            let array = array.as_boolean();
            let values = array.values().iter().map(i64::from).collect::<Vec<_>>();
            PrimitiveArray::new(values.into(), array.nulls().cloned())
        }
        DataType::Int64 => array.as_primitive::<Int64Type>().clone(),
        DataType::Null => PrimitiveArray::new_null(array.len()),
        _ => reinterpreted(array, DataType::Int64).as_primitive::<Int64Type>().clone(),
    }
}

/// A column as 128-bit numbers, unscaled.
pub(crate) fn i128s(array: &ArrayRef) -> Decimal128Array {
    match array.data_type() {
        DataType::Decimal128(_, _) => array.as_primitive::<Decimal128Type>().clone(),
        DataType::UInt64 => array.as_primitive::<UInt64Type>().unary::<_, Decimal128Type>(i128::from),
        DataType::Decimal32(_, _) => array.as_primitive::<Decimal32Type>().unary::<_, Decimal128Type>(i128::from),
        DataType::Decimal64(_, _) => array.as_primitive::<Decimal64Type>().unary::<_, Decimal128Type>(i128::from),
        _ => i64s(array).unary::<_, Decimal128Type>(i128::from),
    }
}

/// A column of numbers as floats.
pub(crate) fn f64s(array: &ArrayRef) -> Float64Array {
    match array.data_type() {
        DataType::Float64 => array.as_primitive::<Float64Type>().clone(),
        DataType::Float32 => array.as_primitive::<Float32Type>().unary::<_, Float64Type>(f64::from),
        DataType::Float16 => array.as_primitive::<Float16Type>().unary::<_, Float64Type>(f64::from),
        DataType::Null => PrimitiveArray::new_null(array.len()),
        data_type if Kind::of(data_type) == Kind::I128 => {
            let power = power_of_ten(scale(data_type));
            i128s(array).unary::<_, Float64Type>(|value| value as f64 / power)
        }
        _ => i64s(array).unary::<_, Float64Type>(|value| value as f64),
    }
}

/// 10 to the power of a scale.
pub(crate) fn power_of_ten(scale: i8) -> f64 {
    10f64.powi(i32::from(scale))
}

/// A column of texts or bytes.
pub(crate) fn bytes(array: &ArrayRef) -> BinaryArray {
    fn gather<'a>(values: impl Iterator<Item = Option<&'a [u8]>>) -> BinaryArray {
        let mut builder = BinaryBuilder::new();
        values.for_each(|value| builder.append_option(value));
        builder.finish()
    }
    match array.data_type() {
        DataType::Utf8 => reinterpreted(array, DataType::Binary).as_binary::<i32>().clone(),
        DataType::LargeUtf8 => gather(array.as_string::<i64>().iter().map(|value| value.map(str::as_bytes))),
        DataType::Utf8View => gather(array.as_string_view().iter().map(|value| value.map(str::as_bytes))),
        DataType::LargeBinary => gather(array.as_binary::<i64>().iter()),
        DataType::BinaryView => gather(array.as_binary_view().iter()),
        DataType::Null => BinaryArray::new_null(array.len()),
        _ => array.as_binary::<i32>().clone(),
    }
}

/// Takes the buffers of a column for those of another type of the same layout.
fn reinterpreted(array: &ArrayRef, data_type: DataType) -> ArrayRef {
    let data = array.to_data().into_builder().data_type(data_type);
    // SAFETY: the callers name types of the same layout, and bytes or numbers may hold anything.
    make_array(unsafe { data.build_unchecked() })
}

/// Makes a column of a normal type of kind [`Kind::I64`].
pub(crate) fn from_i64s(values: Vec<i64>, nulls: Option<NullBuffer>, data_type: &DataType) -> Result<ArrayRef, StageError> {
    match data_type {
        DataType::Boolean => {
            let bits = BooleanBuffer::collect_bool(values.len(), |index| values[index] != 0);
            Ok(Arc::new(BooleanArray::new(bits, nulls)))
        }
        DataType::Date32 | DataType::Time32(_) => {
            let values: Vec<i32> = values.into_iter().map(|value| value as i32).collect();
            let array: ArrayRef = Arc::new(PrimitiveArray::<Int32Type>::new(values.into(), nulls));
            Ok(make_array(array.to_data().into_builder().data_type(data_type.clone()).build()?))
        }
        _ => {
            let array: ArrayRef = Arc::new(Int64Array::new(values.into(), nulls));
            Ok(make_array(array.to_data().into_builder().data_type(data_type.clone()).build()?))
        }
    }
}

/// Makes a column of decimals.
pub(crate) fn from_i128s(values: Vec<i128>, nulls: Option<NullBuffer>, data_type: &DataType) -> ArrayRef {
    Arc::new(Decimal128Array::new(values.into(), nulls).with_data_type(data_type.clone()))
}
