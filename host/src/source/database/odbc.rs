//! Microsoft SQL Server, Oracle and whoever else has an ODBC driver: what their types are here, and their values.
//!
//! Rows come many at once into buffers of a fixed width. Where a column has no limit of its length they come one by one, and each value
//! piece by piece: nothing is ever cut off without a word.

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use chrono::{NaiveDate, NaiveTime};
use odbc_api::buffers::{BufferDesc, ColumnarDynBuffer, Indicator};
use odbc_api::handles::Statement as _;
use odbc_api::parameter::{Binary, InputParameter, VarCell, VarWCharBox, WideText};
use odbc_api::sys::{Date, SqlDataType, Timestamp};
use odbc_api::{Bit, ColumnDescription, Cursor, DataType, IntoParameter as _, Nullable, ResultSetMetadata, RowSetBuffer as _};
use tokio::sync::oneshot::error::TryRecvError;

use super::failure::Asked;
use super::kind::{Cell, Kind, Misfit};
use super::raw::Raw;
use super::statement::{Bind, Described, Fill, Sql};
use crate::config::component::hex;
use crate::config::database::Dialect;
use crate::error::{Error, Result};
use crate::remote::odbc::{Session, type_name};
use crate::source::cut::ROW_LIMIT;
use crate::source::scalar;

/// Letters or bytes that a column may have at most to be read many rows at once.
const WIDE: usize = 8_000;

/// Bytes of the buffers, and the rows in them at most.
const ROOM: usize = 4 << 20;
const MOST_ROWS: usize = 1_000;

/// Letters that a number, a time or a UUID takes at most.
const SHORT: usize = 64;

/// Units of a value that are asked for at once: first a few, since most values are short.
const FIRST_PIECE: usize = 1 << 10;
const PIECE: usize = 32 << 10;

/// SQL Server's `datetimeoffset` and `time`.
const OFFSET: SqlDataType = SqlDataType(-155);
const TIME: SqlDataType = SqlDataType(-154);

/// What is known of the columns of a query.
#[derive(Clone, Copy)]
pub(super) struct Columns<'a> {
    pub(super) described: &'a [Described],
    /// What they are read as.
    pub(super) kinds: &'a [Kind],
}

/// Finds out what a query's columns are, without running it.
pub(super) fn describe(session: &Session, sql: &Sql, asked: &Asked<'_>) -> Result<Vec<Described>> {
    let text = sql.text();
    let ask = || -> std::result::Result<Vec<Described>, odbc_api::Error> {
        let mut prepared = session.handle().prepare(&text)?;
        let count = u16::try_from(prepared.num_result_cols()?).unwrap_or(0);
        (1..=count).map(|number| described(&mut prepared, number)).collect()
    };
    let columns = ask().map_err(|error| asked.failed_by_odbc(session.told(&error)))?;
    for column in columns.iter().filter(|column| matches!(column.kind, Some(Kind::Timestamp | Kind::Instant))) {
        if column.declared.as_deref().is_some_and(|name| name == "datetime2" || name == "datetimeoffset") {
            tracing::debug!(column = column.name, "times are read to the microsecond; SQL Server may keep one more digit");
        }
    }
    Ok(columns)
}

fn described(statement: &mut impl ResultSetMetadata, number: u16) -> std::result::Result<Described, odbc_api::Error> {
    let mut description = ColumnDescription::default();
    statement.describe_col(number, &mut description)?;
    let unsigned = match description.data_type {
        DataType::TinyInt | DataType::SmallInt | DataType::Integer | DataType::BigInt => statement.column_is_unsigned(number)?,
        _ => false,
    };
    let declared = type_name(statement, number).to_ascii_lowercase();
    let kind = kind_of(description.data_type, unsigned, &declared);
    let is_numeric = matches!(description.data_type, DataType::Numeric { .. } | DataType::Decimal { .. });
    let name = description.name_to_string().unwrap_or_else(|_| format!("column{number}"));
    let has_own_order = is_numeric && kind == Kind::Text;
    Ok(Described { name, kind: Some(kind), cast: None, is_numeric, is_text: false, has_own_order, declared: Some(declared) })
}

/// What a type is here.
fn kind_of(kind: DataType, unsigned: bool, declared: &str) -> Kind {
    let zoned =
        declared.contains("time zone") && !declared.contains("without") || declared == "timestamptz" || declared == "datetimeoffset";
    match (kind, unsigned) {
        (DataType::Bit, _) => Kind::Bool,
        (DataType::TinyInt, true) => Kind::UInt8,
        (DataType::TinyInt, false) => Kind::Int8,
        (DataType::SmallInt, true) => Kind::UInt16,
        (DataType::SmallInt, false) => Kind::Int16,
        (DataType::Integer, true) => Kind::UInt32,
        (DataType::Integer, false) => Kind::Int32,
        (DataType::BigInt, true) => Kind::UInt64,
        (DataType::BigInt, false) => Kind::Int64,
        (DataType::Real, _) => Kind::Float32,
        // Some count the digits of its precision in twos, some in tens.
        (DataType::Float { .. } | DataType::Double, _) => Kind::Float64,
        (DataType::Numeric { precision, scale } | DataType::Decimal { precision, scale }, _) => {
            match (u8::try_from(precision), i8::try_from(scale)) {
                (Ok(precision @ 1..=38), Ok(scale)) if (0..=precision.cast_signed()).contains(&scale) => Kind::Decimal(precision, scale),
                _ => Kind::Text,
            }
        }
        (DataType::Date, _) => Kind::Date,
        (DataType::Time { .. }, _) => Kind::Time,
        (DataType::Timestamp { .. }, _) if zoned => Kind::Instant,
        (DataType::Timestamp { .. }, _) => Kind::Timestamp,
        (DataType::Binary { .. } | DataType::Varbinary { .. } | DataType::LongVarbinary { .. }, _) => Kind::Binary,
        (DataType::Other { data_type: OFFSET, .. }, _) => Kind::Instant,
        (DataType::Other { data_type: TIME, .. }, _) => Kind::Time,
        _ if declared == "uniqueidentifier" || declared == "uuid" => Kind::Uuid,
        _ => Kind::Text,
    }
}

/// In what form a driver is asked for values.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    Bit,
    I32,
    I64,
    F32,
    F64,
    Date,
    Timestamp,
    /// Of so many letters at most, where there is a limit.
    Text(Option<NonZeroUsize>),
    Bytes(Option<NonZeroUsize>),
}

impl Form {
    /// The form of a column that is read as a kind.
    fn of(kind: &Kind, column: DataType) -> Self {
        let short = NonZeroUsize::new(SHORT);
        match kind {
            Kind::Bool => Self::Bit,
            Kind::Int8 | Kind::Int16 | Kind::Int32 | Kind::UInt8 | Kind::UInt16 => Self::I32,
            Kind::Int64 | Kind::UInt32 => Self::I64,
            Kind::Float32 => Self::F32,
            Kind::Float64 => Self::F64,
            Kind::Date => Self::Date,
            Kind::Timestamp => Self::Timestamp,
            Kind::Binary => Self::Bytes(bounded(column)),
            Kind::Text => match column {
                DataType::Char { .. } | DataType::WChar { .. } | DataType::Varchar { .. } | DataType::WVarchar { .. } => {
                    // A letter may take two units.
                    Self::Text(bounded(column).and_then(|length| length.checked_mul(NonZeroUsize::new(2)?)))
                }
                DataType::LongVarchar { .. } | DataType::WLongVarchar { .. } | DataType::Other { .. } | DataType::Unknown => {
                    Self::Text(None)
                }
                DataType::Binary { .. } | DataType::Varbinary { .. } | DataType::LongVarbinary { .. } => Self::Text(None),
                _ => Self::Text(short),
            },
            _ => Self::Text(short),
        }
    }

    fn buffer(self) -> BufferDesc {
        let nullable = true;
        match self {
            Self::Bit => BufferDesc::Bit { nullable },
            Self::I32 => BufferDesc::I32 { nullable },
            Self::I64 => BufferDesc::I64 { nullable },
            Self::F32 => BufferDesc::F32 { nullable },
            Self::F64 => BufferDesc::F64 { nullable },
            Self::Date => BufferDesc::Date { nullable },
            Self::Timestamp => BufferDesc::Timestamp { nullable },
            Self::Text(length) => BufferDesc::WText { max_str_len: length.map_or(SHORT, NonZeroUsize::get) },
            Self::Bytes(length) => BufferDesc::Binary { max_bytes: length.map_or(SHORT, NonZeroUsize::get) },
        }
    }
}

/// The length of a column's values at most, where it is one to make room for.
fn bounded(column: DataType) -> Option<NonZeroUsize> {
    let length = match column {
        DataType::LongVarbinary { .. } => None,
        other => other.column_size(),
    };
    length.filter(|length| length.get() <= WIDE)
}

/// Sends the rows of a query.
pub(super) fn rows(session: &Session, sql: &str, binds: &[Bind], columns: &Columns<'_>, asked: &Asked<'_>, fill: &mut Fill) -> Result<()> {
    let wrong = |error: odbc_api::Error| asked.failed_by_odbc(session.told(&error));
    let end = asked.timeout_seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let mut statement = session.handle().preallocate().map_err(wrong)?;
    if let Some(seconds) = asked.timeout_seconds {
        // A driver that knows no time-out is held to it between its answers.
        if let Err(error) = statement.set_query_timeout_sec(usize::try_from(seconds).unwrap_or(usize::MAX)) {
            tracing::debug!(why = session.told(&error).message, "the driver ends no query by itself");
        }
    }
    let parameters: Vec<Box<dyn InputParameter>> = binds.iter().map(|bind| parameter(bind, asked.dialect)).collect();
    // One that owns its statement is not closed at its end: the crate's way to do that panics where the server is gone.
    let Some(mut cursor) = statement.into_cursor(sql, parameters.as_slice()).map_err(wrong)? else {
        return Err(Error::config(format!("the query answers no rows on `{}`", asked.title)).at(asked.place.clone()));
    };
    let mut forms = Vec::with_capacity(columns.kinds.len());
    for (number, kind) in (1..).zip(columns.kinds) {
        let mut description = ColumnDescription::default();
        cursor.describe_col(number, &mut description).map_err(wrong)?;
        forms.push(Form::of(kind, description.data_type));
    }
    let wanted = |fill: &mut Fill| -> Result<bool> {
        if end.is_some_and(|end| Instant::now() > end) {
            return Err(asked.slow());
        }
        Ok(fill.left > 0 && fill.gone.try_recv() != Err(TryRecvError::Closed))
    };
    let mut raw = Raw::new(forms.len());
    if forms.iter().any(|form| matches!(form, Form::Text(None) | Form::Bytes(None))) {
        let mut room = Room::default();
        while wanted(fill)? && cursor.next_row().map_err(wrong)?.is_some() {
            for (number, form) in (1..).zip(&forms) {
                long_cell(&mut cursor, number, *form, &mut room, &mut raw).map_err(wrong)?;
            }
            if !fill.end_row(&mut raw) {
                return Ok(());
            }
        }
    } else {
        let buffers = forms.iter().map(|form| form.buffer());
        let width: usize = buffers.clone().map(|buffer| buffer.bytes_per_row()).sum();
        let buffer = ColumnarDynBuffer::try_from_descs((ROOM / width.max(1)).clamp(1, MOST_ROWS), buffers).map_err(wrong)?;
        let mut cursor = cursor.bind_buffer(buffer).map_err(wrong)?;
        while wanted(fill)? {
            let Some(buffer) = cursor.fetch().map_err(wrong)? else { break };
            if let Some(cut) = buffer.find_truncation() {
                return Err(too_long(asked, &columns.described[cut.buffer_index].name, cut.indicator));
            }
            for row in 0..buffer.num_rows() {
                for (index, form) in forms.iter().enumerate() {
                    short_cell(buffer, index, row, *form, &mut raw);
                }
                if !fill.end_row(&mut raw) {
                    return Ok(());
                }
                if fill.left == 0 {
                    break;
                }
            }
        }
    }
    fill.end(raw);
    Ok(())
}

fn too_long(asked: &Asked<'_>, column: &str, bytes: Option<usize>) -> Error {
    let length = bytes.map_or_else(|| "more".to_owned(), |bytes| format!("{bytes} bytes"));
    Error::data(format!("a value of column `{column}` of `{}` has {length}, which is longer than its driver said it could be", asked.title))
        .at(asked.place.clone())
        .hint(format!("let the query say how long it may be, such as `CAST({column} AS varchar(8000))`, or give it a type without a limit"))
}

/// A value as a driver takes it.
fn parameter(bind: &Bind, dialect: Dialect) -> Box<dyn InputParameter> {
    let text = |text: &str| Box::new(VarWCharBox::from_str_slice(text)) as Box<dyn InputParameter>;
    match bind {
        Bind::Null => Box::new(VarWCharBox::null()),
        // Oracle's driver has neither truth values nor integers of 64 bits.
        Bind::Bool(value) if dialect == Dialect::Oracle => Box::new(i32::from(*value).into_parameter()),
        Bind::Bool(value) => Box::new(Bit::from_bool(*value)),
        Bind::Int(value) => match i32::try_from(*value) {
            Ok(value) => Box::new(value.into_parameter()),
            Err(_) if dialect == Dialect::Oracle => text(&value.to_string()),
            Err(_) => Box::new(value.into_parameter()),
        },
        Bind::UInt(value) => text(&value.to_string()),
        Bind::Float(value) => Box::new(value.into_parameter()),
        Bind::Text(value) => text(value),
    }
}

/// Adds a value of a buffer.
fn short_cell(buffer: &ColumnarDynBuffer, index: usize, row: usize, form: Form, raw: &mut Raw) {
    let column = buffer.column(index);
    macro_rules! at {
        ($kind:ty) => {
            column.as_nullable_slice::<$kind>().and_then(|values| values.get(row).copied())
        };
    }
    raw.push(|out| match form {
        Form::Bit => at!(Bit).map(|bit| out.push(u8::from(bit.as_bool()))).is_some(),
        Form::I32 => at!(i32).map(|value| out.extend(i64::from(value).to_le_bytes())).is_some(),
        Form::I64 => at!(i64).map(|value| out.extend(value.to_le_bytes())).is_some(),
        Form::F32 => at!(f32).map(|value| out.extend(value.to_le_bytes())).is_some(),
        Form::F64 => at!(f64).map(|value| out.extend(value.to_le_bytes())).is_some(),
        Form::Date => at!(Date).map(|value| add_date(out, value)).is_some(),
        Form::Timestamp => at!(Timestamp).map(|value| add_timestamp(out, value)).is_some(),
        Form::Text(_) => column.as_wide_text().and_then(|texts| texts.get(row)).map(|units| add_text(out, units)).is_some(),
        Form::Bytes(_) => column.as_binary().and_then(|bytes| bytes.get(row)).map(|bytes| out.extend_from_slice(bytes)).is_some(),
    });
}

/// Room for pieces of long values.
#[derive(Default)]
struct Room {
    units: Vec<u16>,
    bytes: Vec<u8>,
}

/// Asks for a value of the row that a cursor stands on, piece by piece, and adds it.
fn long_cell(
    cursor: &mut impl Cursor,
    number: u16,
    form: Form,
    room: &mut Room,
    raw: &mut Raw,
) -> std::result::Result<(), odbc_api::Error> {
    let mut statement = cursor.as_stmt_ref();
    macro_rules! get {
        ($kind:ty) => {{
            let mut value = Nullable::<$kind>::null();
            statement.get_data(number, &mut value).into_result_without_logging(&statement)?;
            value.into_opt()
        }};
    }
    macro_rules! pieces {
        ($all:expr, $variant:ident, $zeros:expr) => {{
            let all = $all;
            all.clear();
            loop {
                let start = all.len();
                let length = if start == 0 { FIRST_PIECE } else { PIECE };
                all.resize(start + length, 0);
                let mut target = VarCell::<&mut [_], $variant>::from_buffer(&mut all[start..], Indicator::NoTotal);
                let got = statement.get_data(number, &mut target).on_success(|| true).on_no_data(|| false);
                let (is_there, is_whole, indicator) =
                    (got.into_result_without_logging(&statement)?, target.is_complete(), target.indicator());
                if !is_there {
                    all.truncate(start);
                    break true;
                }
                let unit = size_of_val(&all[0]);
                match indicator {
                    Indicator::Null => break false,
                    Indicator::Length(bytes) if is_whole => {
                        all.truncate(start + bytes / unit);
                        break true;
                    }
                    _ => all.truncate(start + length - $zeros),
                }
                // The row is refused for its length; what is left of the value stays where it is.
                if all.len() * unit > 2 * ROW_LIMIT {
                    break true;
                }
            }
        }};
    }
    match form {
        Form::Bit => {
            let value = get!(Bit);
            raw.push(|out| value.map(|bit| out.push(u8::from(bit.as_bool()))).is_some());
        }
        Form::I32 => {
            let value = get!(i32);
            raw.push(|out| value.map(|value| out.extend(i64::from(value).to_le_bytes())).is_some());
        }
        Form::I64 => {
            let value = get!(i64);
            raw.push(|out| value.map(|value| out.extend(value.to_le_bytes())).is_some());
        }
        Form::F32 => {
            let value = get!(f32);
            raw.push(|out| value.map(|value| out.extend(value.to_le_bytes())).is_some());
        }
        Form::F64 => {
            let value = get!(f64);
            raw.push(|out| value.map(|value| out.extend(value.to_le_bytes())).is_some());
        }
        Form::Date => {
            let value = get!(Date);
            raw.push(|out| value.map(|value| add_date(out, value)).is_some());
        }
        Form::Timestamp => {
            let value = get!(Timestamp);
            raw.push(|out| value.map(|value| add_timestamp(out, value)).is_some());
        }
        Form::Text(_) => {
            let is_some = pieces!(&mut room.units, WideText, 1);
            raw.push(|out| {
                if is_some {
                    add_text(out, &room.units);
                }
                is_some
            });
        }
        Form::Bytes(_) => {
            let is_some = pieces!(&mut room.bytes, Binary, 0);
            raw.push(|out| {
                if is_some {
                    out.extend_from_slice(&room.bytes);
                }
                is_some
            });
        }
    }
    Ok(())
}

/// Adds UTF-16 as UTF-8; half a letter becomes bytes that are none.
fn add_text(out: &mut Vec<u8>, units: &[u16]) {
    out.reserve(units.len());
    for letter in char::decode_utf16(units.iter().copied()) {
        match letter {
            Ok(letter) if letter.is_ascii() => out.push(letter as u8),
            Ok(letter) => out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes()),
            Err(half) => {
                let unit = half.unpaired_surrogate();
                out.extend_from_slice(&[0xE0 | (unit >> 12) as u8, 0x80 | (unit >> 6 & 0x3F) as u8, 0x80 | (unit & 0x3F) as u8]);
            }
        }
    }
}

/// Adds the days since 1970; what is no day is added as it reads.
fn add_date(out: &mut Vec<u8>, Date { year, month, day }: Date) {
    match NaiveDate::from_ymd_opt(year.into(), month.into(), day.into()) {
        Some(date) => out.extend(days(date).to_le_bytes()),
        None => out.extend(format!("{year:04}-{month:02}-{day:02}").bytes()),
    }
}

fn days(date: NaiveDate) -> i32 {
    i32::try_from(date.signed_duration_since(NaiveDate::default()).num_days()).unwrap_or_default()
}

/// Adds the microseconds since 1970; what is no time is added as it reads.
fn add_timestamp(out: &mut Vec<u8>, value: Timestamp) {
    let Timestamp { year, month, day, hour, minute, second, fraction } = value;
    let date = NaiveDate::from_ymd_opt(year.into(), month.into(), day.into());
    match date.and_then(|date| date.and_hms_nano_opt(hour.into(), minute.into(), second.into(), fraction)) {
        Some(time) => out.extend(time.and_utc().timestamp_micros().to_le_bytes()),
        None => out.extend(format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}").bytes()),
    }
}

/// Reads a value as what its column holds.
pub(super) fn cell<'a>(kind: &Kind, bytes: &'a [u8]) -> std::result::Result<Cell<'a>, Misfit> {
    let text = || simdutf8::basic::from_utf8(bytes).map_err(|_| Misfit::new(format!("0x{}", hex(&bytes[..bytes.len().min(64)]))));
    let odd = || Misfit::new(String::from_utf8_lossy(&bytes[..bytes.len().min(64)]));
    let whole = || bytes.try_into().map(i64::from_le_bytes).map_err(|_| odd());
    let read = |cell: Option<Cell<'a>>| cell.ok_or_else(odd);
    Ok(match kind {
        Kind::Bool => Cell::Bool(bytes.first().is_some_and(|byte| *byte == 1)),
        Kind::Int8 | Kind::Int16 | Kind::Int32 | Kind::Int64 => Cell::Int(whole()?),
        Kind::UInt8 | Kind::UInt16 | Kind::UInt32 => Cell::UInt(whole()?.try_into().map_err(|_| odd())?),
        Kind::UInt64 | Kind::Bits => read(text()?.trim().parse().ok().map(Cell::UInt))?,
        Kind::Float32 => Cell::Float32(f32::from_le_bytes(bytes.try_into().map_err(|_| odd())?)),
        Kind::Float64 => Cell::Float(f64::from_le_bytes(bytes.try_into().map_err(|_| odd())?)),
        Kind::Decimal(precision, scale) => read(scalar::decimal(text()?, *precision, *scale).map(|value| Cell::Decimal(value, *scale)))?,
        Kind::Date => read(bytes.try_into().ok().map(i32::from_le_bytes).map(Cell::Date))?,
        Kind::Timestamp => read(bytes.try_into().ok().map(i64::from_le_bytes).map(Cell::Timestamp))?,
        Kind::Instant => read(scalar::timestamp(text()?, None).map(Cell::Instant))?,
        Kind::Time => read(time(text()?).map(Cell::Time))?,
        // SQL Server shows them in capitals, all others do not.
        Kind::Uuid => Cell::Text(text()?.to_ascii_lowercase().into()),
        Kind::Text => Cell::Text(text()?.into()),
        Kind::Binary => Cell::Bytes(bytes),
        Kind::List(_) => return Err(odd()),
    })
}

/// Microseconds since midnight.
fn time(text: &str) -> Option<i64> {
    let time = NaiveTime::parse_from_str(text.trim(), "%H:%M:%S%.f").ok()?;
    time.signed_duration_since(NaiveTime::MIN).num_microseconds()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_what_they_are_or_told_apart() {
        let added = |add: &dyn Fn(&mut Vec<u8>)| {
            let mut out = Vec::new();
            add(&mut out);
            out
        };
        let day = |year, month, day| added(&|out| add_date(out, Date { year, month, day }));
        assert_eq!(cell(&Kind::Date, &day(2024, 2, 29)), Ok(Cell::Date(19_782)));
        assert_eq!(cell(&Kind::Date, &day(2023, 2, 29)), Err(Misfit::new("2023-02-29")));
        let time = |second, fraction| {
            let time = Timestamp { year: 1969, month: 12, day: 31, hour: 23, minute: 59, second, fraction };
            added(&|out| add_timestamp(out, time))
        };
        assert_eq!(cell(&Kind::Timestamp, &time(59, 999_999_900)), Ok(Cell::Timestamp(-1)));
        assert_eq!(cell(&Kind::Timestamp, &time(75, 0)), Err(Misfit::new("1969-12-31 23:59:75")));
        assert_eq!(cell(&Kind::Instant, b"1970-01-01 02:00:00.0000010 +02:00"), Ok(Cell::Instant(1)));
        assert_eq!(cell(&Kind::Instant, b"1970-01-01T02:00:00.000001+02:00"), Ok(Cell::Instant(1)));
        assert_eq!(cell(&Kind::Time, b"23:59:59.0000010"), Ok(Cell::Time(86_399_000_001)));
        assert_eq!(cell(&Kind::Decimal(10, 2), b"-.05"), Ok(Cell::Decimal(-5, 2)));
        assert_eq!(cell(&Kind::Decimal(10, 2), b"0.125"), Err(Misfit::new("0.125")));
        assert_eq!(cell(&Kind::UInt64, b"18446744073709551615"), Ok(Cell::UInt(u64::MAX)));
    }

    #[test]
    fn half_a_letter_is_never_made_a_whole_one() {
        let text = |units: &[u16]| {
            let mut out = Vec::new();
            add_text(&mut out, units);
            out
        };
        assert_eq!(text(&"aß€😀".encode_utf16().collect::<Vec<_>>()), "aß€😀".as_bytes());
        assert_eq!(cell(&Kind::Text, &text(&[0x61, 0xD83D])), Err(Misfit::new("0x61eda0bd")));
    }

    #[test]
    fn what_has_no_limit_of_its_length_is_read_piece_by_piece() {
        let length = NonZeroUsize::new;
        assert_eq!(Form::of(&Kind::Text, DataType::WVarchar { length: length(50) }), Form::Text(length(100)));
        assert_eq!(Form::of(&Kind::Text, DataType::WVarchar { length: None }), Form::Text(None));
        assert_eq!(Form::of(&Kind::Text, DataType::Varchar { length: length(65_536) }), Form::Text(None));
        assert_eq!(Form::of(&Kind::Text, DataType::WLongVarchar { length: length(100) }), Form::Text(None));
        assert_eq!(Form::of(&Kind::Binary, DataType::Varbinary { length: length(16) }), Form::Bytes(length(16)));
        assert_eq!(Form::of(&Kind::Decimal(10, 2), DataType::Decimal { precision: 10, scale: 2 }), Form::Text(length(SHORT)));
    }
}
