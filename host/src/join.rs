//! The columns of rows whose batches differ, where nobody could tell them before the rows were there.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};

/// The columns that hold the rows of both, in the order in which they first came: numbers widen, objects gather their members, and
/// values that nothing else holds together become text.
pub(crate) fn join(all: &SchemaRef, more: &SchemaRef) -> SchemaRef {
    if all == more { all.clone() } else { Arc::new(Schema::new(join_fields(all.fields(), more.fields()))) }
}

fn join_fields(all: &Fields, more: &Fields) -> Fields {
    let mut joined: Vec<Field> = all.iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
    for field in more {
        match joined.iter_mut().find(|there| there.name() == field.name()) {
            Some(there) => {
                let joined = Field::new(field.name(), join_types(there.data_type(), field.data_type()), true);
                // What is noted of a column holds of both where both say so.
                *there = if there.metadata() == field.metadata() { joined.with_metadata(field.metadata().clone()) } else { joined };
            }
            None => joined.push(field.as_ref().clone().with_nullable(true)),
        }
    }
    joined.into()
}

fn join_types(a: &DataType, b: &DataType) -> DataType {
    use DataType as T;
    match (a, b) {
        (a, b) if a == b => a.clone(),
        (T::Null, other) | (other, T::Null) => other.clone(),
        (T::Struct(a), T::Struct(b)) => T::Struct(join_fields(a, b)),
        (T::List(a), T::List(b)) => {
            let item = join_types(a.data_type(), b.data_type());
            T::List(Arc::new(Field::new(a.name(), item, true)))
        }
        (a, b) if a.is_signed_integer() && b.is_signed_integer() => T::Int64,
        (a, b) if a.is_unsigned_integer() && b.is_unsigned_integer() => T::UInt64,
        (T::UInt64, b) | (b, T::UInt64) if b.is_integer() => T::Decimal128(20, 0),
        (T::Decimal128(..), b) | (b, T::Decimal128(..)) if b.is_floating() => T::Float64,
        (a, b) if matches!(a, T::Decimal128(..)) || matches!(b, T::Decimal128(..)) => decimal(a, b).unwrap_or(T::Utf8),
        (a, b) if a.is_integer() && b.is_integer() => T::Int64,
        (a, b) if (a.is_integer() || a.is_floating()) && (b.is_integer() || b.is_floating()) => T::Float64,
        (T::Date32 | T::Date64, T::Timestamp(unit, zone)) | (T::Timestamp(unit, zone), T::Date32 | T::Date64) => {
            T::Timestamp(*unit, zone.clone())
        }
        (T::Timestamp(a, zone), T::Timestamp(b, other)) if zone.is_some() == other.is_some() => T::Timestamp(finer(*a, *b), zone.clone()),
        _ => T::Utf8,
    }
}

/// The decimal with room for the digits of both; none where there are too many, or one is no number.
fn decimal(a: &DataType, b: &DataType) -> Option<DataType> {
    let digits = |data_type: &DataType| match data_type {
        DataType::Decimal128(precision, scale) => Some((i16::from(*precision) - i16::from(*scale), *scale)),
        DataType::UInt64 => Some((20, 0)),
        other => other.is_integer().then_some((19, 0)),
    };
    let ((a_before, a_behind), (b_before, b_behind)) = (digits(a)?, digits(b)?);
    let behind = a_behind.max(b_behind);
    let precision = a_before.max(b_before) + i16::from(behind);
    u8::try_from(precision).ok().filter(|precision| *precision <= 38).map(|precision| DataType::Decimal128(precision, behind))
}

fn finer(a: TimeUnit, b: TimeUnit) -> TimeUnit {
    let rank = |unit| match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 1,
        TimeUnit::Microsecond => 2,
        TimeUnit::Nanosecond => 3,
    };
    if rank(a) >= rank(b) { a } else { b }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(columns: &[(&str, DataType)]) -> SchemaRef {
        Arc::new(Schema::new(columns.iter().map(|(name, kind)| Field::new(*name, kind.clone(), true)).collect::<Vec<_>>()))
    }

    fn list(item: DataType) -> DataType {
        DataType::List(Arc::new(Field::new("item", item, true)))
    }

    #[test]
    fn columns_of_batches_that_differ_hold_the_rows_of_all() {
        use DataType as T;
        let object = |columns: &[(&str, DataType)]| T::Struct(schema(columns).fields().clone());
        let a = schema(&[("n", T::Null), ("i", T::Int64), ("o", object(&[("a", T::Int64)])), ("l", list(T::Null)), ("t", T::Boolean)]);
        let b = schema(&[
            ("late", T::Utf8),
            ("i", T::Float64),
            ("n", T::Date32),
            ("o", object(&[("b", T::Utf8), ("a", T::Float64)])),
            ("l", list(T::Int64)),
            ("t", T::Int64),
        ]);
        let expected = schema(&[
            ("n", T::Date32),
            ("i", T::Float64),
            ("o", object(&[("a", T::Float64), ("b", T::Utf8)])),
            ("l", list(T::Int64)),
            ("t", T::Utf8),
            ("late", T::Utf8),
        ]);
        assert_eq!(join(&a, &b), expected);
        assert_eq!(join(&expected, &a), expected);
        // Batch by batch it comes to the same: a third of the first kind changes nothing.
        let (signed, unsigned) = (schema(&[("n", T::Int64)]), schema(&[("n", T::UInt64)]));
        let both = join(&signed, &unsigned);
        assert_eq!(both, schema(&[("n", T::Decimal128(20, 0))]));
        assert_eq!(join(&both, &signed), both);
        assert_eq!(join(&both, &schema(&[("n", T::Decimal128(5, 2))])), schema(&[("n", T::Decimal128(22, 2))]));
        assert_eq!(join(&both, &schema(&[("n", T::Float64)])), schema(&[("n", T::Float64)]));
    }
}
