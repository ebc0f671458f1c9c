//! Arrow IPC messages, right and wrong.

use arrow_ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteOptions, write_message};
use arrow_ipc::{
    BodyCompressionBuilder, BodyCompressionMethod, Buffer, CompressionType, DictionaryBatchBuilder, FieldNode, MessageBuilder,
    MessageHeader, MetadataVersion, RecordBatchBuilder,
};
use arrow_schema::{DataType, Field, Schema};
use flatbuffers::FlatBufferBuilder;

/// A record batch message whose parts need not fit together.
pub(crate) struct Message {
    rows: i64,
    nodes: Vec<FieldNode>,
    buffers: Vec<Buffer>,
    variadic: Vec<i64>,
    body: Vec<u8>,
    body_length: Option<i64>,
    compression: Option<CompressionType>,
    dictionary: bool,
}

impl Message {
    pub(crate) fn of_rows(rows: i64) -> Self {
        let (nodes, buffers, variadic, body) = Default::default();
        Self { rows, nodes, buffers, variadic, body, body_length: None, compression: None, dictionary: false }
    }

    /// Adds a column's number of values and nulls.
    pub(crate) fn node(mut self, length: i64, nulls: i64) -> Self {
        self.nodes.push(FieldNode::new(length, nulls));
        self
    }

    /// Adds a buffer with its bytes.
    pub(crate) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.buffers.push(Buffer::new(self.body.len() as i64, bytes.len() as i64));
        self.body.extend_from_slice(bytes);
        self.body.resize(self.body.len().next_multiple_of(64), 0);
        self
    }

    /// Adds a buffer that stands where it is said to, whatever there is.
    pub(crate) fn claim(mut self, offset: i64, length: i64) -> Self {
        self.buffers.push(Buffer::new(offset, length));
        self
    }

    pub(crate) fn variadic(mut self, count: i64) -> Self {
        self.variadic.push(count);
        self
    }

    pub(crate) fn body_length(mut self, length: i64) -> Self {
        self.body_length = Some(length);
        self
    }

    pub(crate) fn compressed(mut self, codec: CompressionType) -> Self {
        self.compression = Some(codec);
        self
    }

    pub(crate) fn in_dictionary(mut self) -> Self {
        self.dictionary = true;
        self
    }

    pub(crate) fn encode(self) -> Vec<u8> {
        let Self { rows, nodes, buffers, variadic, body, body_length, compression, dictionary } = self;
        let mut builder = FlatBufferBuilder::new();
        let compression = compression.map(|codec| {
            let mut compression = BodyCompressionBuilder::new(&mut builder);
            compression.add_method(BodyCompressionMethod::BUFFER);
            compression.add_codec(codec);
            compression.finish()
        });
        let nodes = builder.create_vector(&nodes);
        let buffers = builder.create_vector(&buffers);
        let variadic = (!variadic.is_empty()).then(|| builder.create_vector(&variadic));
        let mut batch = RecordBatchBuilder::new(&mut builder);
        batch.add_length(rows);
        batch.add_nodes(nodes);
        batch.add_buffers(buffers);
        if let Some(compression) = compression {
            batch.add_compression(compression);
        }
        if let Some(variadic) = variadic {
            batch.add_variadicBufferCounts(variadic);
        }
        let batch = batch.finish();
        let (header, kind) = if dictionary {
            let mut dictionary = DictionaryBatchBuilder::new(&mut builder);
            dictionary.add_id(0);
            dictionary.add_data(batch);
            (dictionary.finish().as_union_value(), MessageHeader::DictionaryBatch)
        } else {
            (batch.as_union_value(), MessageHeader::RecordBatch)
        };
        let mut message = MessageBuilder::new(&mut builder);
        message.add_version(MetadataVersion::V5);
        message.add_header_type(kind);
        message.add_bodyLength(body_length.unwrap_or(body.len() as i64));
        message.add_header(header);
        let message = message.finish();
        builder.finish(message, None);

        let metadata = builder.finished_data();
        let length = (metadata.len() + 8).next_multiple_of(64) - 8;
        let mut encoded = vec![0xFF; 4];
        encoded.extend((length as u32).to_le_bytes());
        encoded.extend(metadata);
        encoded.resize(8 + length, 0);
        encoded.extend(body);
        encoded
    }
}

/// A right message of one column of 64-bit integers without nulls.
pub(crate) fn numbers(rows: usize) -> Vec<u8> {
    Message::of_rows(rows as i64).node(rows as i64, 0).bytes(&vec![0xFF; rows.div_ceil(8)]).bytes(&vec![1; rows * 8]).encode()
}

/// Encodes a schema, whatever it holds.
pub(crate) fn schema(fields: Vec<Field>) -> Vec<u8> {
    let options = IpcWriteOptions::default();
    let encoded = IpcDataGenerator::default().schema_to_bytes_with_dictionary_tracker(
        &Schema::new(fields),
        &mut DictionaryTracker::new(false),
        &options,
    );
    let mut message = Vec::new();
    write_message(&mut message, encoded, &options).expect("a vector takes all bytes");
    message
}

/// A schema of one nullable column.
pub(crate) fn schema_of(data_type: DataType) -> Vec<u8> {
    schema(vec![Field::new("c", data_type, true)])
}

/// A schema of many integers.
pub(crate) fn wide_schema(columns: usize, name: &str) -> Vec<u8> {
    schema(
        (0..columns)
            .map(|number| Field::new(if columns == 1 { name.to_owned() } else { format!("{name}{number}") }, DataType::Int64, true))
            .collect(),
    )
}

/// A schema of one column of nothing.
pub(crate) fn null_schema() -> Vec<u8> {
    schema_of(DataType::Null)
}

/// Lists in lists.
pub(crate) fn nested(levels: usize) -> Vec<u8> {
    let mut data_type = DataType::Int64;
    for _ in 0..levels {
        data_type = DataType::List(Field::new("item", data_type, true).into());
    }
    schema_of(data_type)
}

/// The number of flat columns in a message that the host sent, told from its nodes.
pub(crate) fn count_columns(message: &[u8]) -> u32 {
    let batch = arrow_ipc::root_as_message(&message[8..])
        .ok()
        .and_then(|message| message.header_as_record_batch().map(|batch| batch.nodes().map_or(0, |nodes| nodes.len())));
    batch.unwrap_or_default() as u32
}
