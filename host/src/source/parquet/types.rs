//! One type for a column over files whose types differ.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Fields, TimeUnit};

/// Digits that decimals of 128 and 256 bits hold.
const DIGITS: [u8; 2] = [38, 76];

/// The type that is read for a declared one: dictionaries, views and large texts come as plain text or bytes.
pub(super) fn plain(declared: &DataType) -> DataType {
    match declared {
        DataType::Dictionary(_, values) => plain(values),
        DataType::RunEndEncoded(_, values) => plain(values.data_type()),
        DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::LargeBinary | DataType::BinaryView => DataType::Binary,
        other => other.clone(),
    }
}

/// The narrowest type that values of both have as they are; text where there is none.
///
/// A type without values gives way. Integers become int64, integers and floats float64, decimals the one with room for the digits of both, times
/// the finer unit. Objects and lists are brought together member by member; a member that one of them lacks is null.
pub(super) fn common(one: &DataType, other: &DataType) -> DataType {
    use DataType as T;
    if one == other {
        return one.clone();
    }
    match (one, other) {
        (T::Null, known) | (known, T::Null) => known.clone(),
        (T::Struct(one), T::Struct(other)) => T::Struct(members(one, other)),
        (T::Timestamp(one, zone), T::Timestamp(other, other_zone)) if zone.is_some() == other_zone.is_some() => {
            let zone = if zone == other_zone { zone.clone() } else { Some("UTC".into()) };
            T::Timestamp(finer(*one, *other), zone)
        }
        (T::Timestamp(unit, None), T::Date32 | T::Date64) | (T::Date32 | T::Date64, T::Timestamp(unit, None)) => T::Timestamp(*unit, None),
        (T::Date32 | T::Date64, T::Date32 | T::Date64) => T::Date32,
        (T::Time32(one) | T::Time64(one), T::Time32(other) | T::Time64(other)) => {
            let unit = finer(*one, *other);
            if matches!(unit, TimeUnit::Second | TimeUnit::Millisecond) { T::Time32(unit) } else { T::Time64(unit) }
        }
        (one, other) if one.is_integer() && other.is_integer() => T::Int64,
        (one, other) if one.is_floating() && other.is_numeric() || one.is_numeric() && other.is_floating() => T::Float64,
        (one, other) => match (item(one), item(other), digits(one), digits(other)) {
            (Some(one), Some(other), ..) => {
                let item = common(&plain(one.data_type()), &plain(other.data_type()));
                T::List(Arc::new(Field::new("item", item, true)))
            }
            (_, _, Some(one), Some(other)) => decimal(one, other),
            _ => T::Utf8,
        },
    }
}

fn members(one: &Fields, other: &Fields) -> Fields {
    let mut all: Vec<(&String, DataType)> = one.iter().map(|field| (field.name(), plain(field.data_type()))).collect();
    for field in other {
        let declared = plain(field.data_type());
        match all.iter_mut().find(|(name, _)| *name == field.name()) {
            Some((_, known)) => *known = common(known, &declared),
            None => all.push((field.name(), declared)),
        }
    }
    all.into_iter().map(|(name, declared)| Field::new(name, declared, true)).collect()
}

fn item(declared: &DataType) -> Option<&Arc<Field>> {
    match declared {
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _) => Some(item),
        _ => None,
    }
}

/// Digits before and behind the point.
fn digits(declared: &DataType) -> Option<(u8, u8)> {
    match declared {
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => {
            let behind = u8::try_from(*scale).unwrap_or(0);
            Some((precision.saturating_add_signed(scale.saturating_neg()), behind))
        }
        DataType::Int8 | DataType::UInt8 => Some((3, 0)),
        DataType::Int16 | DataType::UInt16 => Some((5, 0)),
        DataType::Int32 | DataType::UInt32 => Some((10, 0)),
        DataType::Int64 => Some((19, 0)),
        DataType::UInt64 => Some((20, 0)),
        _ => None,
    }
}

/// A decimal for the digits of both; where there is no room for all, those behind the point are kept, and a number too large is refused.
fn decimal(one: (u8, u8), other: (u8, u8)) -> DataType {
    let (before, behind) = (one.0.max(other.0), one.1.max(other.1));
    let precision = before.saturating_add(behind).clamp(1, DIGITS[1]);
    let scale = i8::try_from(behind.min(DIGITS[1])).unwrap_or(i8::MAX);
    if precision <= DIGITS[0] { DataType::Decimal128(precision, scale) } else { DataType::Decimal256(precision, scale) }
}

fn finer(one: TimeUnit, other: TimeUnit) -> TimeUnit {
    let rank = |unit: &TimeUnit| match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 1,
        TimeUnit::Microsecond => 2,
        TimeUnit::Nanosecond => 3,
    };
    if rank(&one) >= rank(&other) { one } else { other }
}
