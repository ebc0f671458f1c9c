//! What is remembered as bytes: little-endian, lengths before lists, a head that says whose it is and a sum at the end.

use std::io::Cursor;

use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::SchemaRef;
use etl_sdk::StageError;

/// The first bytes of a snapshot.
const MAGIC: [u8; 4] = *b"ETLA";

/// Version of the layout; it changes whenever a field does.
const VERSION: u8 = 2;

/// Mixes bytes into 64 bits: fast, the same on every machine, no defence against whoever picks the bytes.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;
    let mut hash = FACTOR ^ bytes.len() as u64;
    let mut chunks = bytes.chunks_exact(8);
    for chunk in &mut chunks {
        let word = u64::from_le_bytes(chunk.try_into().expect("it has eight bytes"));
        hash = (hash.rotate_left(23) ^ word).wrapping_mul(FACTOR);
    }
    let mut last = [0; 8];
    let rest = chunks.remainder();
    last[..rest.len()].copy_from_slice(rest);
    hash = (hash.rotate_left(23) ^ u64::from_le_bytes(last)).wrapping_mul(FACTOR);
    hash ^= hash >> 32;
    hash = hash.wrapping_mul(0xD6E8_FEB8_6659_FD93);
    hash ^ (hash >> 32)
}

/// A number that a snapshot holds.
pub(crate) trait Number: Copy + Default {
    /// Its bytes.
    const BYTES: usize;
    /// Writes it.
    fn put(self, bytes: &mut Vec<u8>);
    /// Reads it from exactly so many bytes.
    fn get(bytes: &[u8]) -> Self;
}

macro_rules! number {
    ($($type:ty)*) => {$(
        impl Number for $type {
            const BYTES: usize = size_of::<$type>();

            fn put(self, bytes: &mut Vec<u8>) {
                bytes.extend_from_slice(&self.to_le_bytes());
            }

            fn get(bytes: &[u8]) -> Self {
                Self::from_le_bytes(bytes.try_into().expect("the caller counted"))
            }
        }
    )*};
}

number! { u8 u32 u64 i64 i128 f64 }

/// Writes a snapshot.
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    /// Starts one of about `bytes`; `owner` is what must be the same where it is read.
    pub(crate) fn new(owner: &str, bytes: usize) -> Self {
        let mut writer = Self(Vec::with_capacity(bytes + 64));
        writer.0.extend_from_slice(&MAGIC);
        writer.0.push(VERSION);
        writer.number(hash(owner.as_bytes()));
        writer
    }

    pub(crate) fn number(&mut self, number: impl Number) {
        number.put(&mut self.0);
    }

    pub(crate) fn numbers<N: Number>(&mut self, numbers: &[N]) {
        self.number(numbers.len() as u64);
        self.0.reserve(numbers.len() * N::BYTES);
        numbers.iter().for_each(|number| number.put(&mut self.0));
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    /// Bytes whose length was written before.
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// The columns that what follows is made of.
    pub(crate) fn schema(&mut self, schema: &SchemaRef) -> Result<(), StageError> {
        let mut stream = StreamWriter::try_new(Vec::new(), schema)?;
        stream.finish()?;
        let bytes = stream.into_inner()?;
        self.number(hash(&bytes));
        self.bytes(&bytes);
        Ok(())
    }

    pub(crate) fn finish(mut self) -> Vec<u8> {
        let sum = hash(&self.0);
        self.number(sum);
        self.0
    }
}

/// Reads a snapshot.
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Starts; what is not whole, of another version or of another owner is refused here.
    pub(crate) fn new(owner: &str, snapshot: &'a [u8]) -> Result<Self, StageError> {
        if snapshot.get(..4) != Some(&MAGIC) {
            return Err(broken("it is not one of this component's"));
        }
        if snapshot[4..].first() != Some(&VERSION) {
            return Err(broken("it was taken by another version of this component"));
        }
        let (body, sum) = snapshot.split_at_checked(snapshot.len().saturating_sub(8)).ok_or_else(|| broken("it is cut off"))?;
        if body.len() < 13 || sum != hash(body).to_le_bytes() {
            return Err(broken("it is damaged"));
        }
        let mut reader = Self(&body[5..]);
        if reader.number::<u64>()? != hash(owner.as_bytes()) {
            return Err(broken("it was taken with other options"));
        }
        Ok(reader)
    }

    fn take(&mut self, bytes: usize) -> Result<&'a [u8], StageError> {
        let (taken, rest) = self.0.split_at_checked(bytes).ok_or_else(|| broken("it is shorter than it says"))?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn number<N: Number>(&mut self) -> Result<N, StageError> {
        self.take(N::BYTES).map(N::get)
    }

    /// A number of things, each of which takes a byte at least.
    pub(crate) fn count(&mut self) -> Result<usize, StageError> {
        let count = self.number::<u64>()?;
        usize::try_from(count).ok().filter(|count| *count <= self.0.len()).ok_or_else(|| broken("it is shorter than it says"))
    }

    pub(crate) fn numbers<N: Number>(&mut self) -> Result<Vec<N>, StageError> {
        let count = self.count()?;
        let bytes = count.checked_mul(N::BYTES).ok_or_else(|| broken("it is shorter than it says"))?;
        Ok(self.take(bytes)?.chunks_exact(N::BYTES).map(N::get).collect())
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], StageError> {
        let count = self.count()?;
        self.take(count)
    }

    pub(crate) fn schema(&mut self) -> Result<SchemaRef, StageError> {
        // Its sum stands beside it: a reader of made up bytes may panic.
        let (sum, bytes) = (self.number::<u64>()?, self.bytes()?);
        if sum != hash(bytes) {
            return Err(broken("its columns are damaged"));
        }
        let stream = StreamReader::try_new(Cursor::new(bytes), None).map_err(|error| broken(&error.to_string()))?;
        Ok(stream.schema())
    }

    pub(crate) fn finish(self) -> Result<(), StageError> {
        if self.0.is_empty() { Ok(()) } else { Err(broken("it is longer than it says")) }
    }
}

/// Says that a snapshot does not read.
pub(crate) fn broken(why: &str) -> StageError {
    StageError::unsupported("snapshot", format!("the snapshot does not read: {why}"))
        .help("start the run anew, without the checkpoint that it comes from")
}
