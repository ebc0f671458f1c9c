//! Arrow IPC as the contract carries it: single messages, the schema once, no dictionaries, no compression.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_data::UnsafeFlag;
use arrow_ipc::convert::MessageBuffer;
use arrow_ipc::reader::RecordBatchDecoder;
use arrow_ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteOptions, StreamWriter, write_message};
use arrow_schema::{DataType, Field, Schema, SchemaRef};

use crate::StageError;

/// Continuation marker and length, before the flatbuffer of every message.
const PREFIX: usize = 8;

/// Reads a schema message.
pub(crate) fn decode_schema(message: &[u8]) -> Result<SchemaRef, StageError> {
    let flatbuffer = message.get(PREFIX..).unwrap_or_default();
    let schema =
        arrow_ipc::convert::try_schema_from_flatbuffer_bytes(flatbuffer).map_err(|error| from_host("a schema", &error.to_string()))?;
    Ok(Arc::new(schema))
}

/// Writes a schema message.
pub(crate) fn encode_schema(schema: &Schema) -> Result<Vec<u8>, StageError> {
    refuse_dictionaries(schema)?;
    let options = IpcWriteOptions::default();
    let mut tracker = DictionaryTracker::new(true);
    let encoded = IpcDataGenerator::default().schema_to_bytes_with_dictionary_tracker(schema, &mut tracker, &options);
    let mut message = Vec::with_capacity(encoded.ipc_message.len() + 64);
    write_message(&mut message, encoded, &options)?;
    Ok(message)
}

/// Reads a record batch message of the given schema; the columns point into `message`.
pub(crate) fn decode_batch(message: Vec<u8>, schema: SchemaRef) -> Result<RecordBatch, StageError> {
    let wrong = |what: &str| from_host("a batch", what);
    let message = Buffer::from_vec(message);
    let length: [u8; 4] = message.get(4..PREFIX).and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| wrong("no length"))?;
    let length = u32::from_le_bytes(length) as usize;
    if message.len() < PREFIX + length {
        return Err(wrong("cut off"));
    }
    let header = MessageBuffer::try_new(message.slice_with_length(PREFIX, length))?;
    let body = message.slice(PREFIX + length);
    let batch = header.as_ref().header_as_record_batch().ok_or_else(|| wrong("another kind of message"))?;

    let mut skip_validation = UnsafeFlag::new();
    // SAFETY: the message is what the host encoded from arrays of its own, which hold Arrow's invariants. The host is the one that
    // confines us, so there is nothing to gain from checking it; were it wrong, only this sandbox's memory could suffer.
    unsafe { skip_validation.set(true) };
    let version = header.as_ref().version();
    let dictionaries = HashMap::new();
    let decoder = RecordBatchDecoder::try_new(&body, batch, schema, &dictionaries, &version)?;
    Ok(decoder.with_skip_validation(skip_validation).read_record_batch()?)
}

fn from_host(what: &str, why: &str) -> StageError {
    StageError::internal("host_message", format!("{what} from the host does not read: {why}"))
}

/// Writes record batch messages into one buffer that is used again and again.
pub(crate) struct Encoder(StreamWriter<Vec<u8>>);

impl Encoder {
    /// Opens an encoder for batches of any schema.
    pub(crate) fn new() -> Self {
        // The schema given here only goes into the stream's first message, which `encode` throws away.
        let writer = StreamWriter::try_new(Vec::new(), &Schema::empty())
            .expect("a vector takes all bytes, and no column is of a kind that IPC lacks");
        Self(writer)
    }

    /// Writes a batch as one message without schema.
    pub(crate) fn encode(&mut self, batch: &RecordBatch) -> Result<&[u8], StageError> {
        refuse_dictionaries(batch.schema_ref())?;
        self.0.get_mut().clear();
        self.0.write(batch)?;
        Ok(self.0.get_ref())
    }
}

/// Refuses columns that the contract does not carry.
fn refuse_dictionaries(schema: &Schema) -> Result<(), StageError> {
    schema.fields().iter().try_for_each(|field| match has_dictionary(field) {
        true => Err(StageError::internal(
            "dictionary_column",
            format!("column `{}` has a dictionary, which the contract does not carry", field.name()),
        )
        .field(field.name())
        .help("emit the plain type of its values")),
        false => Ok(()),
    })
}

fn has_dictionary(field: &Field) -> bool {
    match field.data_type() {
        DataType::Dictionary(..) => true,
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::FixedSizeList(item, _)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::Map(item, _) => has_dictionary(item),
        DataType::Struct(fields) => fields.iter().any(|field| has_dictionary(field)),
        DataType::Union(fields, _) => fields.iter().any(|(_, field)| has_dictionary(field)),
        DataType::RunEndEncoded(_, values) => has_dictionary(values),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::builder::{ListBuilder, StringBuilder};
    use arrow_array::{ArrayRef, Decimal128Array, DictionaryArray, Int64Array, RecordBatchOptions, StringArray, types::Int32Type};

    use super::*;

    fn there_and_back(encoder: &mut Encoder, batch: &RecordBatch) -> RecordBatch {
        let schema = decode_schema(&encode_schema(batch.schema_ref()).expect("the schema encodes")).expect("the schema decodes");
        let message = encoder.encode(batch).expect("the batch encodes").to_vec();
        decode_batch(message, schema).expect("the batch decodes")
    }

    #[test]
    fn batches_of_different_schemas_travel_through_one_encoder() {
        let mut lists = ListBuilder::new(StringBuilder::new());
        lists.append_value([Some("a"), None]);
        lists.append_null();
        lists.append_value([] as [Option<&str>; 0]);
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None, Some(3)]));
        let texts: ArrayRef = Arc::new(StringArray::from(vec![None, Some("ä"), Some("")]));
        let decimals: ArrayRef =
            Arc::new(Decimal128Array::from(vec![Some(1), Some(-5), None]).with_precision_and_scale(10, 2).expect("fits"));
        let wide = RecordBatch::try_from_iter([("n", numbers.clone()), ("t", texts), ("l", Arc::new(lists.finish())), ("d", decimals)])
            .expect("same length");
        let narrow = RecordBatch::try_from_iter([("n", numbers)]).expect("one column").slice(1, 2);
        let none = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &RecordBatchOptions::new().with_row_count(Some(7)))
            .expect("no column");

        let mut encoder = Encoder::new();
        assert_eq!(there_and_back(&mut encoder, &wide), wide);
        assert_eq!(there_and_back(&mut encoder, &narrow), narrow);
        assert_eq!(there_and_back(&mut encoder, &wide.slice(1, 1)), wide.slice(1, 1));
        assert_eq!(there_and_back(&mut encoder, &none).num_rows(), 7);
    }

    #[test]
    fn a_dictionary_is_refused_by_name() {
        let tags: DictionaryArray<Int32Type> = ["a", "b", "a"].into_iter().collect();
        let batch = RecordBatch::try_from_iter([("tag", Arc::new(tags) as ArrayRef)]).expect("one column");
        let refused = StageError::internal("dictionary_column", "column `tag` has a dictionary, which the contract does not carry")
            .field("tag")
            .help("emit the plain type of its values");
        assert_eq!(Encoder::new().encode(&batch), Err(refused));
    }

    #[test]
    fn a_message_that_is_cut_off_is_the_hosts_fault() {
        let error = decode_batch(vec![255, 255, 255, 255, 9, 0, 0, 0], Arc::new(Schema::empty())).expect_err("it is cut off");
        assert_eq!(error, StageError::internal("host_message", "a batch from the host does not read: cut off"));
    }
}
