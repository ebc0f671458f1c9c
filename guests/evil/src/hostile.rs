//! Hostile Arrow: messages whose parts do not fit together. Whatever it decodes to must be whole, or be refused.

use std::sync::Arc;

use arrow_ipc::CompressionType;
use arrow_schema::{DataType, Field, Fields, IntervalUnit, TimeUnit, UnionFields, UnionMode};
use etl_sdk::bindings::columns::etl::transform::data::Output;
use etl_sdk::{Cardinality, StageError};

use crate::attack::Attack;
use crate::wire::{Message, nested, null_schema, numbers, schema, schema_of, wide_schema};

const BROKEN: &str = "process: broken_contract";

macro_rules! hostile {
    ($name:literal, $what:literal, $schema:expr, $message:expr) => {
        hostile!($name, $what, BROKEN, $schema, $message)
    };
    ($name:literal, $what:literal, $end:expr, $schema:expr, $message:expr) => {
        Attack::process($name, $what, $end, |_, out| push(out, &$schema, &$message))
    };
}

pub(crate) const ATTACKS: &[Attack] = &[
    hostile!(
        "ipc_right",
        "emits three integers, to show that the rest fails for its own reason",
        "process: ok",
        wide_schema(1, "n"),
        numbers(3)
    ),
    hostile!("ipc_empty", "emits no bytes at all", wide_schema(1, "n"), []),
    hostile!("ipc_garbage", "emits a thousand bytes of garbage", wide_schema(1, "n"), garbage()),
    hostile!("ipc_short_header", "emits 6 bytes of a header", wide_schema(1, "n"), numbers(3)[..6]),
    hostile!("ipc_truncated", "emits half a message", wide_schema(1, "n"), half(numbers(1000))),
    hostile!("ipc_trailing", "emits a message with a second one behind it", wide_schema(1, "n"), [numbers(3), numbers(3)].concat()),
    hostile!("ipc_huge_header", "says that the header is 4 GiB long", wide_schema(1, "n"), [[0xFF; 8].as_slice(), &[0; 64]].concat()),
    hostile!("ipc_schema_as_rows", "emits a schema where rows belong", wide_schema(1, "n"), wide_schema(1, "n")),
    hostile!("ipc_rows_as_schema", "names a batch as schema", numbers(3), numbers(3)),
    hostile!("ipc_no_schema_bytes", "names no bytes as schema", [], numbers(3)),
    hostile!(
        "ipc_negative_rows",
        "emits -1 rows",
        wide_schema(1, "n"),
        Message::of_rows(-1).node(-1, 0).bytes(&[255]).bytes(&[1; 8]).encode()
    ),
    hostile!("ipc_huge_rows", "emits 2^40 rows of nothing", null_schema(), Message::of_rows(1 << 40).node(1 << 40, 1 << 40).encode()),
    hostile!(
        "ipc_huge_column",
        "emits a column of 2^60 integers",
        wide_schema(1, "n"),
        Message::of_rows(3).node(1 << 60, 0).bytes(&[255]).bytes(&[1; 24]).encode()
    ),
    hostile!(
        "ipc_short_column",
        "emits 5 rows with 3 integers",
        wide_schema(1, "n"),
        Message::of_rows(5).node(3, 0).bytes(&[255]).bytes(&[1; 24]).encode()
    ),
    hostile!(
        "ipc_short_buffer",
        "emits 3 integers in 8 bytes",
        wide_schema(1, "n"),
        Message::of_rows(3).node(3, 0).bytes(&[255]).bytes(&[1; 8]).encode()
    ),
    hostile!(
        "ipc_short_bitmap",
        "emits 1000 booleans in a byte",
        schema_of(DataType::Boolean),
        Message::of_rows(1000).node(1000, 0).bytes(&[255]).bytes(&[255]).encode()
    ),
    hostile!(
        "ipc_negative_nulls",
        "emits -5 nulls",
        wide_schema(1, "n"),
        Message::of_rows(3).node(3, -5).bytes(&[255]).bytes(&[1; 24]).encode()
    ),
    hostile!(
        "ipc_many_nulls",
        "emits 3 rows with 1000 nulls",
        wide_schema(1, "n"),
        Message::of_rows(3).node(3, 1000).bytes(&[255]).bytes(&[1; 24]).encode()
    ),
    hostile!(
        "ipc_wrong_nulls",
        "says 1 null where the bitmap has 3",
        "process: broken_contract or ok",
        wide_schema(1, "n"),
        Message::of_rows(3).node(3, 1).bytes(&[0]).bytes(&[1; 24]).encode()
    ),
    hostile!(
        "ipc_buffer_outside",
        "emits a buffer behind the body",
        wide_schema(1, "n"),
        Message::of_rows(3).node(3, 0).bytes(&[255]).claim(1 << 20, 24).encode()
    ),
    hostile!(
        "ipc_buffer_negative",
        "emits a buffer before the body",
        wide_schema(1, "n"),
        Message::of_rows(3).node(3, 0).bytes(&[255]).claim(-64, 24).encode()
    ),
    hostile!(
        "ipc_buffer_overflow",
        "emits a buffer whose end overflows",
        wide_schema(1, "n"),
        Message::of_rows(3).node(3, 0).bytes(&[255]).claim(i64::MAX, i64::MAX).encode()
    ),
    hostile!(
        "ipc_buffer_unaligned",
        "emits integers at an odd offset",
        "process: ok",
        wide_schema(1, "n"),
        Message::of_rows(2).node(2, 0).bytes(&[255; 64]).claim(1, 16).encode()
    ),
    hostile!("ipc_no_buffers", "emits a column without buffers", wide_schema(1, "n"), Message::of_rows(3).node(3, 0).encode()),
    hostile!("ipc_no_nodes", "emits rows without columns", wide_schema(1, "n"), Message::of_rows(3).bytes(&[255]).bytes(&[1; 24]).encode()),
    hostile!(
        "ipc_more_columns",
        "emits two columns for a schema of one",
        "process: broken_contract or ok, the second unseen",
        wide_schema(1, "n"),
        Message::of_rows(3).node(3, 0).node(3, 0).bytes(&[255]).bytes(&[1; 24]).bytes(&[255]).bytes(&[1; 24]).encode()
    ),
    hostile!(
        "ipc_body_lies",
        "says that the body is 2^40 bytes long",
        wide_schema(1, "n"),
        Message::of_rows(3).node(3, 0).bytes(&[255]).bytes(&[1; 24]).body_length(1 << 40).encode()
    ),
    hostile!(
        "ipc_body_negative",
        "says that the body is -1 bytes long",
        wide_schema(1, "n"),
        Message::of_rows(3).node(3, 0).bytes(&[255]).bytes(&[1; 24]).body_length(-1).encode()
    ),
    hostile!(
        "ipc_text_offsets_outside",
        "emits texts that end behind their bytes",
        schema_of(DataType::Utf8),
        text(&[0, 5, 1000], b"hello")
    ),
    hostile!("ipc_text_offsets_back", "emits texts that end before they start", schema_of(DataType::Utf8), text(&[0, 5, 2], b"hello")),
    hostile!(
        "ipc_text_offsets_negative",
        "emits texts that start before their bytes",
        schema_of(DataType::Utf8),
        text(&[-8, 0, 2], b"hello")
    ),
    hostile!("ipc_text_bad_utf8", "emits a text that is not UTF-8", schema_of(DataType::Utf8), text(&[0, 2, 4], &[b'a', b'b', 0xFF, 0xFE])),
    hostile!("ipc_text_split_char", "emits two texts that share a character", schema_of(DataType::Utf8), text(&[0, 1, 2], "ä".as_bytes())),
    hostile!("ipc_list_offsets_outside", "emits lists that end behind their items", nested(1), list(&[0, 1, 50])),
    hostile!("ipc_list_offsets_back", "emits lists that end before they start", nested(1), list(&[0, 2, -1])),
    hostile!("ipc_view_outside", "emits text views into a buffer that is not there", schema_of(DataType::Utf8View), view(0)),
    hostile!("ipc_view_counts", "says that a text view has 2^50 buffers", schema_of(DataType::Utf8View), view(1 << 50)),
    hostile!("ipc_view_counts_negative", "says that a text view has -7 buffers", schema_of(DataType::Utf8View), view(-7)),
    hostile!("ipc_compressed", "emits a body that calls itself LZ4", wide_schema(1, "n"), bomb(CompressionType::LZ4_FRAME)),
    hostile!(
        "ipc_compressed_zstd",
        "emits a body that calls itself Zstandard and 2^40 bytes long",
        wide_schema(1, "n"),
        bomb(CompressionType::ZSTD)
    ),
    hostile!(
        "ipc_dictionary_batch",
        "emits a dictionary where rows belong",
        wide_schema(1, "n"),
        Message::of_rows(3).node(3, 0).bytes(&[255]).bytes(&[1; 24]).in_dictionary().encode()
    ),
    hostile!(
        "ipc_dictionary",
        "names a column with a dictionary, and emits keys out of range",
        schema_of(DataType::Dictionary(Box::new(DataType::Int64), Box::new(DataType::Utf8))),
        numbers(3)
    ),
    hostile!("ipc_union", "names a column of type union", schema_of(DataType::Union(unions(), UnionMode::Dense)), numbers(3)),
    hostile!("ipc_run_ends", "names a run-end encoded column", schema_of(run_ends()), numbers(3)),
    hostile!("ipc_nested_40", "names lists in lists, 40 levels", nested(40), numbers(3)),
    hostile!("ipc_nested_200", "names lists in lists, 200 levels", nested(200), numbers(3)),
    hostile!("ipc_wide", "names 5,000 columns", wide_schema(5000, "c"), numbers(3)),
    hostile!(
        "ipc_duplicate_columns",
        "names two columns alike",
        schema(vec![Field::new("a", DataType::Int64, true), Field::new("a", DataType::Int64, true)]),
        numbers(3)
    ),
    hostile!("ipc_long_name", "names a column with 256 bytes", wide_schema(1, &"n".repeat(256)), numbers(3)),
    hostile!("ipc_empty_name", "names a column with nothing", "process: ok", wide_schema(1, ""), numbers(3)),
    hostile!(
        "ipc_control_name",
        "names a column with line ends and zero bytes",
        "process: ok",
        wide_schema(1, "a\n\0\u{1b}[31m"),
        numbers(3)
    ),
    hostile!("ipc_negative_width", "names a fixed-size binary of -1 bytes", schema_of(DataType::FixedSizeBinary(-1)), numbers(3)),
    hostile!(
        "ipc_negative_list",
        "names a list of -3 items",
        schema_of(DataType::FixedSizeList(Field::new("item", DataType::Int64, true).into(), -3)),
        list(&[0, 1, 2])
    ),
    hostile!(
        "ipc_decimal_precision",
        "names a decimal of 200 digits",
        schema_of(DataType::Decimal128(200, 127)),
        Message::of_rows(1).node(1, 0).bytes(&[255]).bytes(&[9; 16]).encode()
    ),
    hostile!(
        "ipc_bad_map",
        "names a map whose entries are integers",
        schema_of(DataType::Map(Field::new("entries", DataType::Int64, false).into(), false)),
        list(&[0, 1, 2])
    ),
    hostile!(
        "ipc_zone",
        "names a timestamp of a zone that is none",
        "process: ok, and the sink must not panic",
        schema_of(DataType::Timestamp(TimeUnit::Second, Some("Moon/Sea".into()))),
        numbers(3)
    ),
    hostile!(
        "ipc_odd_types",
        "names types that a pipeline has no use for",
        "process: ok, and the sink must not panic",
        schema_of(DataType::Interval(IntervalUnit::YearMonth)),
        half_numbers()
    ),
    hostile!(
        "ipc_far_dates",
        "emits dates and instants at both ends of their range",
        "process: ok, and the sink must not panic",
        far_schema(),
        far()
    ),
    hostile!(
        "ipc_not_null",
        "emits nulls in a column that says it has none",
        "process: broken_contract",
        schema(vec![Field::new("n", DataType::Int64, false)]),
        Message::of_rows(3).node(3, 3).bytes(&[0]).bytes(&[1; 24]).encode()
    ),
    Attack::process("ipc_without_schema", "emits before any schema is named", BROKEN, |_, out| out.emit(&numbers(3), None))
        .promising(Cardinality::Expand),
];

fn push(out: &Output, schema: &[u8], message: &[u8]) -> Result<(), StageError> {
    out.schema(schema)?;
    out.emit(message, None)
}

fn half(mut message: Vec<u8>) -> Vec<u8> {
    message.truncate(message.len() / 2);
    message
}

/// Starts as a message does, and goes on at random.
fn garbage() -> Vec<u8> {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut bytes = vec![0xFF, 0xFF, 0xFF, 0xFF, 0x80, 0, 0, 0];
    bytes.extend((0..1000).map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    }));
    bytes
}

fn text(offsets: &[i32; 3], bytes: &[u8]) -> Vec<u8> {
    let offsets: Vec<u8> = offsets.iter().flat_map(|offset| offset.to_le_bytes()).collect();
    Message::of_rows(2).node(2, 0).bytes(&[255]).bytes(&offsets).bytes(bytes).encode()
}

fn list(offsets: &[i32; 3]) -> Vec<u8> {
    let offsets: Vec<u8> = offsets.iter().flat_map(|offset| offset.to_le_bytes()).collect();
    Message::of_rows(2).node(2, 0).node(2, 0).bytes(&[255]).bytes(&offsets).bytes(&[255]).bytes(&[1; 16]).encode()
}

/// One text of 100 bytes in buffer 9.
fn view(buffers: i64) -> Vec<u8> {
    let words = [100u32, 0x6161_6161, 9, 1 << 30];
    let view: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    Message::of_rows(1).node(1, 0).bytes(&[255]).bytes(&view).variadic(buffers).encode()
}

fn bomb(codec: CompressionType) -> Vec<u8> {
    // Compressed buffers start with the length that they will have.
    let body = [(1i64 << 40).to_le_bytes().as_slice(), &[0x28, 0xB5, 0x2F, 0xFD, 0, 0, 0, 0]].concat();
    Message::of_rows(3).node(3, 0).bytes(&body).bytes(&body).compressed(codec).encode()
}

fn unions() -> UnionFields {
    [(0i8, Arc::new(Field::new("a", DataType::Int64, true)))].into_iter().collect()
}

fn run_ends() -> DataType {
    DataType::RunEndEncoded(Field::new("run_ends", DataType::Int32, false).into(), Field::new("values", DataType::Int64, true).into())
}

fn half_numbers() -> Vec<u8> {
    Message::of_rows(3).node(3, 0).bytes(&[255]).bytes(&[1; 12]).encode()
}

fn far_schema() -> Vec<u8> {
    let inner = Fields::from(vec![Field::new("when", DataType::Timestamp(TimeUnit::Nanosecond, None), true)]);
    schema(vec![
        Field::new("date", DataType::Date32, true),
        Field::new("date64", DataType::Date64, true),
        Field::new("instant", DataType::Timestamp(TimeUnit::Second, Some("UTC".into())), true),
        Field::new("time", DataType::Time64(TimeUnit::Microsecond), true),
        Field::new("decimal", DataType::Decimal128(3, 1), true),
        Field::new("float", DataType::Float64, true),
        Field::new("object", DataType::Struct(inner), true),
    ])
}

fn far() -> Vec<u8> {
    let longs: Vec<u8> = [i64::MIN, i64::MAX].iter().flat_map(|value| value.to_le_bytes()).collect();
    let dates: Vec<u8> = [i32::MIN, i32::MAX].iter().flat_map(|value| value.to_le_bytes()).collect();
    let decimals: Vec<u8> = [i128::MIN, i128::MAX].iter().flat_map(|value| value.to_le_bytes()).collect();
    let floats: Vec<u8> = [f64::NAN, f64::NEG_INFINITY].iter().flat_map(|value| value.to_le_bytes()).collect();
    let mut message = Message::of_rows(2);
    for values in [&dates, &longs, &longs, &longs, &decimals, &floats] {
        message = message.node(2, 0).bytes(&[255]).bytes(values);
    }
    message.node(2, 0).bytes(&[255]).node(2, 0).bytes(&[255]).bytes(&longs).encode()
}
