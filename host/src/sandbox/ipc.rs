//! Arrow in and out of a guest: IPC messages without schema, checked in full on the way back.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow_array::{Array, RecordBatch};
use arrow_buffer::Buffer;
use arrow_ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteContext, IpcWriteOptions, write_message};
use arrow_ipc::{MessageHeader, MetadataVersion, root_as_message};
use arrow_schema::{DataType, Field, Schema, SchemaRef};

use super::limits::Exceeded;
use super::state::clip;
use crate::error::{Context, Result};

/// Rows that a guest may push at once, so that a column of nulls, which has no bytes, cannot pretend to have any number of them.
const MAX_ROWS: usize = 1 << 24;

/// Fields of a schema, nested ones included.
const MAX_FIELDS: usize = 4096;

/// Levels of a schema.
const MAX_DEPTH: usize = 32;

/// Bytes of a column's name.
pub(super) const MAX_NAME: usize = 255;

/// Encodes a schema as an encapsulated message.
pub(super) fn schema_message(schema: &Schema) -> Result<Vec<u8>> {
    let options = IpcWriteOptions::default();
    let mut dictionaries = DictionaryTracker::new(false);
    let encoded = IpcDataGenerator::default().schema_to_bytes_with_dictionary_tracker(schema, &mut dictionaries, &options);
    let mut message = Vec::new();
    write_message(&mut message, encoded, &options).bug(|| "encoding a schema for a guest".into())?;
    Ok(message)
}

/// Encodes rows as an encapsulated message.
pub(super) fn batch_message(rows: &RecordBatch) -> Result<Vec<u8>> {
    let options = IpcWriteOptions::default();
    let (_, encoded) = IpcDataGenerator::default()
        .encode(rows, &mut DictionaryTracker::new(false), &options, &mut IpcWriteContext::default())
        .bug(|| "encoding rows for a guest".into())?;
    let mut message = Vec::with_capacity(encoded.ipc_message.len() + encoded.arrow_data.len() + 64);
    write_message(&mut message, encoded, &options).bug(|| "encoding rows for a guest".into())?;
    Ok(message)
}

/// Bytes that rows hold; memory that their columns share counts for each of them.
pub(super) fn held_bytes(rows: &RecordBatch) -> usize {
    rows.columns().iter().map(|column| column.to_data().get_slice_memory_size().unwrap_or_else(|_| column.get_array_memory_size())).sum()
}

/// Resolves indexes of columns; none may stand twice, or a message could be any number of times as large as its rows.
pub(super) fn column_indexes(columns: &[u32], all: usize) -> Result<Vec<usize>, Exceeded> {
    let mut seen = vec![false; all];
    for &column in columns {
        match seen.get_mut(column as usize) {
            Some(seen) if !*seen => *seen = true,
            Some(_) => return Err(broken(format!("asked for column {column} twice"))),
            None => return Err(broken(format!("asked for column {column} of {all}"))),
        }
    }
    Ok(columns.iter().map(|&column| column as usize).collect())
}

/// Decodes a schema that a guest sent.
pub(super) fn read_schema(message: &[u8]) -> Result<SchemaRef, Exceeded> {
    let (metadata, _) = split(message)?;
    let message =
        root_as_message(metadata).map_err(|error| broken(format!("sent a schema that is not Arrow IPC: {}", one_line(&error))))?;
    let schema = message.header_as_schema().ok_or_else(|| broken("sent a message that is no schema where one belongs"))?;
    let schema = guarded(|| Ok(arrow_ipc::convert::fb_to_schema(schema)))?;
    check_schema(&schema)?;
    Ok(Arc::new(schema))
}

/// Decodes rows that a guest sent: everything is checked, from the frame down to the UTF-8.
pub(super) fn read_batch(message: Vec<u8>, schema: &SchemaRef) -> Result<RecordBatch, Exceeded> {
    let buffer = Buffer::from_vec(message);
    let (metadata, body_start) = split(&buffer)?;
    let message = root_as_message(metadata).map_err(|error| broken(format!("sent rows that are not Arrow IPC: {}", one_line(&error))))?;
    if message.header_type() != MessageHeader::RecordBatch {
        return Err(broken("sent a message without rows where rows belong"));
    }
    let batch = message.header_as_record_batch().ok_or_else(|| broken("sent rows without a header"))?;
    if batch.compression().is_some() {
        return Err(broken("sent compressed rows, which the contract forbids"));
    }
    let body = buffer.slice(body_start);
    if message.bodyLength() < 0 || message.bodyLength() as usize != body.len() {
        return Err(broken(format!("sent rows whose body is {} bytes long and should be {}", body.len(), message.bodyLength())));
    }
    if batch.length() < 0 || batch.length() as usize > MAX_ROWS {
        return Err(broken(format!("sent {} rows at once, the limit is {MAX_ROWS}", batch.length())));
    }
    for node in batch.nodes().into_iter().flatten() {
        if node.length() < 0 || node.null_count() < 0 || node.length() as usize > body.len().saturating_mul(8).max(MAX_ROWS) {
            return Err(broken(format!("sent a column of {} values with {} nulls", node.length(), node.null_count())));
        }
    }
    for part in batch.buffers().into_iter().flatten() {
        let end = usize::try_from(part.offset())
            .ok()
            .zip(usize::try_from(part.length()).ok())
            .and_then(|(offset, length)| offset.checked_add(length));
        if end.is_none_or(|end| end > body.len()) {
            return Err(broken(format!(
                "sent a buffer of {} bytes at {}, outside the {} bytes of its message",
                part.length(),
                part.offset(),
                body.len()
            )));
        }
    }
    if let Some(count) = batch.variadicBufferCounts().into_iter().flatten().find(|count| *count < 0 || *count as usize > body.len()) {
        return Err(broken(format!("sent a column of {count} text buffers")));
    }
    guarded(|| {
        arrow_ipc::reader::read_record_batch(&body, batch, schema.clone(), &HashMap::new(), None, &MetadataVersion::V5)
            .map_err(|error| broken(format!("sent rows that do not hold together: {error}")))
    })
}

/// Holds a schema to the contract's limits.
pub(super) fn check_schema(schema: &Schema) -> Result<(), Exceeded> {
    fn walk<'a>(fields: impl Iterator<Item = &'a Field>, depth: usize, count: &mut usize) -> Result<(), Exceeded> {
        for field in fields {
            *count += 1;
            if *count > MAX_FIELDS {
                return Err(broken(format!("sent a schema of more than {MAX_FIELDS} fields")));
            }
            if depth > MAX_DEPTH {
                return Err(broken(format!("sent a schema of more than {MAX_DEPTH} levels")));
            }
            if field.name().len() > MAX_NAME {
                return Err(broken(format!("sent a column whose name is {} bytes long, the limit is {MAX_NAME}", field.name().len())));
            }
            match field.data_type() {
                DataType::Dictionary(_, _) | DataType::RunEndEncoded(_, _) | DataType::Union(_, _) => {
                    return Err(broken(format!(
                        "sent column `{}` of type {}, which the contract does not have",
                        field.name(),
                        field.data_type()
                    )));
                }
                DataType::Decimal32(precision, scale)
                | DataType::Decimal64(precision, scale)
                | DataType::Decimal128(precision, scale)
                | DataType::Decimal256(precision, scale)
                    if *precision == 0 || *precision > max_digits(field.data_type()) || *scale < 0 || *scale as u8 > *precision =>
                {
                    return Err(broken(format!("sent column `{}` of the impossible type decimal({precision},{scale})", field.name())));
                }
                DataType::FixedSizeBinary(width) if *width < 0 => {
                    return Err(broken(format!("sent column `{}` of values that are {width} bytes wide", field.name())));
                }
                DataType::FixedSizeList(_, width) if *width < 0 => {
                    return Err(broken(format!("sent column `{}` of lists that are {width} items long", field.name())));
                }
                DataType::Timestamp(_, Some(zone)) if zone.parse::<arrow_array::timezone::Tz>().is_err() => {
                    return Err(broken(format!(
                        "sent column `{}` of instants in the unknown zone `{}`",
                        field.name(),
                        clip(zone.to_string(), 64)
                    )));
                }
                DataType::Struct(fields) => walk(fields.iter().map(AsRef::as_ref), depth + 1, count)?,
                DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) | DataType::Map(item, _) => {
                    walk(std::iter::once(item.as_ref()), depth + 1, count)?;
                }
                _ => {}
            }
        }
        Ok(())
    }
    let mut count = 0;
    walk(schema.fields().iter().map(AsRef::as_ref), 1, &mut count)?;
    let mut names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(broken(format!("sent two columns of the name `{}`", pair[0]))),
        None => Ok(()),
    }
}

/// Cuts an encapsulated message into metadata and the offset of its body.
fn split(message: &[u8]) -> Result<(&[u8], usize), Exceeded> {
    let short = || broken(format!("sent a message of {} bytes that ends in mid-header", message.len()));
    if message.get(..4).ok_or_else(short)? != [0xFF; 4] {
        return Err(broken("sent a message that does not start as Arrow IPC does"));
    }
    let length = message.get(4..8).ok_or_else(short)?;
    let length = u32::from_le_bytes([length[0], length[1], length[2], length[3]]) as usize;
    let end = length.checked_add(8).ok_or_else(short)?;
    Ok((message.get(8..end).ok_or_else(short)?, end))
}

/// An error of the decoder, which may be of several lines.
fn one_line(error: &impl std::fmt::Display) -> String {
    error.to_string().lines().next().unwrap_or_default().trim_end_matches('.').to_owned()
}

fn broken(what: impl Into<String>) -> Exceeded {
    Exceeded::Contract(clip(what.into(), 1 << 10))
}

/// Digits that a decimal type can hold.
fn max_digits(data_type: &DataType) -> u8 {
    match data_type {
        DataType::Decimal32(_, _) => 9,
        DataType::Decimal64(_, _) => 18,
        DataType::Decimal128(_, _) => 38,
        _ => 76,
    }
}

/// Runs a decoder that may panic on what a hostile guest made up.
fn guarded<T>(decode: impl FnOnce() -> Result<T, Exceeded>) -> Result<T, Exceeded> {
    catch_unwind(AssertUnwindSafe(decode)).unwrap_or_else(|_| Err(broken("sent Arrow data that cannot be decoded")))
}
