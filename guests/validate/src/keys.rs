//! Keys that were there before: every one is kept whole, so that the answer is exact.

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, StringArray};
use arrow_buffer::NullBuffer;
use etl_sdk::StageError;
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::hash::BuildHasher;

use crate::json;
use crate::view::{self, Family};

/// Bytes of a piece of memory that keys are put into, one after the other. No piece moves when more keys come.
const SEGMENT: usize = 1 << 20;

/// Keys that the first table has room for.
const FIRST: usize = 1 << 10;

/// Keys of one rule.
pub(crate) struct Keys {
    segments: Vec<Vec<u8>>,
    /// Where each key starts: the segment above, the place in it in the lowest bits.
    table: HashTable<u32>,
    hash: Hash,
}

impl Keys {
    pub(crate) fn new(seed: u64) -> Self {
        Self { segments: Vec::new(), table: HashTable::new(), hash: Hash { seed, long: FixedState::with_seed(seed) } }
    }

    /// What a key is looked up by.
    pub(crate) fn hash(&self, key: &[u8]) -> u64 {
        self.hash.of(key)
    }

    /// Whether a key was there before.
    pub(crate) fn has(&self, key: &[u8], hash: u64) -> bool {
        self.table.find(hash, |place| key_at(&self.segments, *place) == key).is_some()
    }

    /// Adds a key that was not there before.
    pub(crate) fn add(&mut self, key: &[u8], hash: u64) {
        if self.table.len() == self.table.capacity() {
            self.grow();
        }
        let place = self.put(key);
        let Self { segments, table, hash: state } = self;
        table.insert_unique(hash, place, |place| state.of(key_at(segments, *place)));
    }

    /// Makes room in the table. The keys are read in the order in which they stand: in that of the table nearly each would be far from the last.
    fn grow(&mut self) {
        let Self { segments, table, hash: state } = self;
        let mut wider = HashTable::with_capacity((table.capacity() * 2).max(FIRST));
        for (number, segment) in segments.iter().enumerate() {
            let mut place = 0;
            while let Some((length, start)) = read_length(&segment[place..]) {
                let key = &segment[place + start..place + start + length];
                wider.insert_unique(state.of(key), (number << 20 | place) as u32, |_| unreachable!("there is room for twice as many"));
                place += start + length;
            }
        }
        *table = wider;
    }

    fn put(&mut self, key: &[u8]) -> u32 {
        let needed = key.len() + 10;
        if self.segments.last().is_none_or(|last| last.len() + needed > SEGMENT) {
            self.segments.push(Vec::with_capacity(SEGMENT.max(needed)));
        }
        let number = self.segments.len() - 1;
        let segment = &mut self.segments[number];
        let place = segment.len();
        length(segment, key.len());
        put_short(segment, key);
        (number << 20 | place) as u32
    }

    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// Bytes that it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.segments.iter().map(Vec::capacity).sum::<usize>() + self.table.capacity() * 6
    }

    /// Writes all keys, in the order in which they came.
    pub(crate) fn save(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&(self.len() as u64).to_le_bytes());
        self.segments.iter().for_each(|segment| out.extend_from_slice(segment));
    }

    /// Reads what [`save`](Self::save) wrote; the answer is what comes behind.
    pub(crate) fn load<'a>(&mut self, state: &'a [u8]) -> Option<&'a [u8]> {
        let (count, mut rest) = state.split_first_chunk()?;
        for _ in 0..u64::from_le_bytes(*count) {
            let (length, start) = read_length(rest)?;
            let key = rest.get(start..start.checked_add(length)?)?;
            self.add(key, self.hash(key));
            rest = &rest[start + length..];
        }
        Some(rest)
    }
}

/// What keys are looked up by, another in each run.
struct Hash {
    seed: u64,
    long: FixedState,
}

impl Hash {
    #[inline]
    fn of(&self, key: &[u8]) -> u64 {
        // Most keys are a number or two. The half of a product in which they have met is what a sandbox has to put together from four.
        let mix = |hash: u64, word: u64| {
            let product = (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            product ^ product >> 32
        };
        let seed = mix(self.seed, key.len() as u64);
        let hash = match (key.first_chunk::<8>(), key.last_chunk::<8>()) {
            (Some(first), Some(last)) if key.len() <= 16 => {
                // Turned, since the two words have bytes in common, whose differences would meet.
                mix(mix(seed, u64::from_le_bytes(*first)), u64::from_le_bytes(*last).rotate_left(23))
            }
            (Some(_), _) => return self.long.hash_one(key),
            (None, _) => match (key.first_chunk::<4>(), key.last_chunk::<4>()) {
                (Some(first), Some(last)) => mix(seed, u64::from(u32::from_le_bytes(*first)) << 32 | u64::from(u32::from_le_bytes(*last))),
                _ => mix(seed, key.iter().fold(0, |word, byte| word << 8 | u64::from(*byte))),
            },
        };
        mix(hash, 0)
    }
}

/// Appends bytes; a few by the word, since in a sandbox a copy of any length is a call of its host.
#[inline]
fn put_short(out: &mut Vec<u8>, bytes: &[u8]) {
    let end = out.len() + bytes.len();
    match (bytes.first_chunk::<8>(), bytes.last_chunk::<8>(), bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        (Some(first), Some(last), ..) if bytes.len() <= 16 => {
            out.extend_from_slice(first);
            out.truncate(end - 8);
            out.extend_from_slice(last);
        }
        (None, _, Some(first), Some(last)) => {
            out.extend_from_slice(first);
            out.truncate(end - 4);
            out.extend_from_slice(last);
        }
        (None, _, None, _) => bytes.iter().for_each(|byte| out.push(*byte)),
        _ => out.extend_from_slice(bytes),
    }
}

fn key_at(segments: &[Vec<u8>], place: u32) -> &[u8] {
    let rest = &segments[(place >> 20) as usize][(place & 0xf_ffff) as usize..];
    let (length, start) = read_length(rest).expect("`put` wrote it");
    &rest[start..start + length]
}

fn length(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn read_length(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0;
    for (index, byte) in bytes.iter().enumerate().take(9) {
        value |= usize::from(byte & 0x7f).checked_shl(7 * index as u32)?;
        if byte & 0x80 == 0 {
            return Some((value, index + 1));
        }
    }
    None
}

/// A column that keys are made of, looked at once a batch.
pub(crate) enum Part<'a> {
    Ints(&'a [i64], Option<NullBuffer>),
    Texts(&'a StringArray),
    Other(&'a ArrayRef),
}

impl<'a> Part<'a> {
    pub(crate) fn of(column: &'a ArrayRef) -> Self {
        match (column.as_primitive_opt::<Int64Type>(), column.as_string_opt::<i32>()) {
            (Some(numbers), _) => Self::Ints(numbers.values(), numbers.nulls().cloned()),
            (_, Some(texts)) => Self::Texts(texts),
            _ => Self::Other(column),
        }
    }

    /// Writes the value of a row into a key; the answer is whether it is there. Equal numbers are equal keys, whatever their type.
    pub(crate) fn write(&self, key: &mut Vec<u8>, row: usize) -> bool {
        match self {
            Self::Ints(_, Some(nulls)) if nulls.is_null(row) => return false,
            Self::Ints(values, _) => int(key, values[row]),
            Self::Texts(texts) if texts.is_null(row) => return false,
            Self::Texts(texts) => text(key, texts.value(row)),
            Self::Other(column) => return write(key, column, row),
        }
        true
    }
}

/// Writes a value of a column that is neither of the usual two.
fn write(key: &mut Vec<u8>, column: &ArrayRef, row: usize) -> bool {
    if column.is_null(row) {
        return false;
    }
    match Family::of(column.data_type()) {
        Family::Null => return false,
        Family::Text => text(key, &json::text(column, row)),
        Family::Int => int(key, view::ints(&column.slice(row, 1))[0]),
        Family::Float => {
            let value = view::floats(&column.slice(row, 1))[0];
            match value.fract() == 0.0 && value.abs() < 9e15 {
                true => int(key, value as i64),
                false => {
                    key.push(b'f');
                    key.extend_from_slice(&value.to_bits().to_le_bytes());
                }
            }
        }
        Family::Date | Family::Instant => {
            key.push(b'd');
            signed(key, view::micros(&column.slice(row, 1))[0]);
        }
        _ => {
            let value = json::text(column, row);
            key.push(b'j');
            length(key, value.len());
            key.extend_from_slice(value.as_bytes());
        }
    }
    true
}

fn int(key: &mut Vec<u8>, value: i64) {
    key.push(b'i');
    signed(key, value);
}

fn signed(key: &mut Vec<u8>, value: i64) {
    let folded = (value << 1 ^ value >> 63) as u64;
    let bytes = 8 - folded.leading_zeros() as usize / 8;
    key.push(bytes as u8);
    let end = key.len() + bytes;
    // All eight, of which the last ones go: a copy of a length that is known is one store.
    key.extend_from_slice(&folded.to_le_bytes());
    key.truncate(end);
}

fn text(key: &mut Vec<u8>, text: &str) {
    match uuid(text) {
        Some(number) => {
            key.push(b'u');
            key.extend_from_slice(&number);
        }
        None => {
            key.push(b't');
            length(key, text.len());
            put_short(key, text.as_bytes());
        }
    }
}

/// The number that a text in the usual form of a UUID, in lower case, stands for: half the bytes, and no other text has the same.
fn uuid(text: &str) -> Option<[u8; 16]> {
    let bytes: &[u8; 36] = text.as_bytes().try_into().ok()?;
    let mut number = [0; 16];
    let mut digits = 0;
    for (index, &byte) in bytes.iter().enumerate() {
        if matches!(index, 8 | 13 | 18 | 23) {
            if byte != b'-' {
                return None;
            }
            continue;
        }
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            _ => return None,
        };
        number[digits / 2] = number[digits / 2] << 4 | digit;
        digits += 1;
    }
    Some(number)
}

/// Says that the keys take more memory than they may.
pub(crate) fn full(name: &str, keys: usize, limit: u64) -> StageError {
    StageError::unsupported(
        "too_many_keys",
        format!("the keys of `{name}` are more than {} MiB after {keys} different ones, which is what a unique rule may take", limit >> 20),
    )
    .help("give the step more with `limits: {memory_mb: …}`, of which a third is for keys up to 60 MiB, or hold shorter keys against the rule")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{Float64Array, Int64Array};

    use super::*;

    fn key(column: impl Array + 'static) -> Vec<u8> {
        let column: ArrayRef = Arc::new(column);
        let mut key = Vec::new();
        assert!(Part::of(&column).write(&mut key, 0));
        key
    }

    #[test]
    fn keys_are_found_again_after_they_were_saved() {
        let mut keys = Keys::new(1);
        let long = vec![b'x'; 3 << 20];
        let all: Vec<Vec<u8>> = (0..20_000u32).map(|number| number.to_string().into_bytes()).chain([long, Vec::new()]).collect();
        for key in &all {
            let hash = keys.hash(key);
            assert!(!keys.has(key, hash));
            keys.add(key, hash);
        }
        let mut saved = Vec::new();
        keys.save(&mut saved);
        let mut again = Keys::new(2);
        assert_eq!(again.load(&saved), Some(&[][..]));
        assert!(all.iter().all(|key| keys.has(key, keys.hash(key)) && again.has(key, again.hash(key))));
        assert!(!again.has(b"100000", again.hash(b"100000")));
        let mut twice = Vec::new();
        again.save(&mut twice);
        assert_eq!(saved, twice);
        assert!((0..saved.len()).step_by(1_000_003).all(|end| Keys::new(1).load(&saved[..end]).is_none()));
    }

    #[test]
    fn bytes_of_every_length_are_copied_and_told_apart() {
        let hash = Hash { seed: 7, long: FixedState::with_seed(7) };
        let mut hashes = std::collections::HashSet::new();
        for length in 0..40u8 {
            let bytes: Vec<u8> = (1..=length).collect();
            let mut out = b"before".to_vec();
            put_short(&mut out, &bytes);
            assert_eq!(out, [b"before", &bytes[..]].concat());
            assert!(hashes.insert(hash.of(&bytes)), "{length}");
            for place in 0..bytes.len() {
                let mut other = bytes.clone();
                other[place] ^= 0x80;
                assert!(hashes.insert(hash.of(&other)), "{length} {place}");
            }
        }
        // The lowest bits say where a key is looked for first: numbers in a row are spread over all places.
        let mut places = vec![0; 1024];
        let mut key = Vec::new();
        for number in 0..102_400 {
            key.clear();
            int(&mut key, number);
            places[hash.of(&key) as usize % 1024] += 1;
        }
        assert!(places.iter().all(|count| (40..180).contains(count)), "{places:?}");
    }

    #[test]
    fn equal_values_are_equal_keys_and_others_are_not() {
        assert_eq!(key(Int64Array::from(vec![7])), key(Float64Array::from(vec![7.0])));
        assert_ne!(key(Int64Array::from(vec![7])), key(StringArray::from(vec!["7"])));
        assert_ne!(key(Int64Array::from(vec![7])), key(Int64Array::from(vec![-7])));
        assert_eq!(key(Int64Array::from(vec![i64::MIN])).len(), 10);
        let lower = "67e55044-10b1-426f-9247-bb680e5fe0c8";
        assert_eq!(key(StringArray::from(vec![lower])).len(), 17);
        assert_ne!(key(StringArray::from(vec![lower])), key(StringArray::from(vec![lower.to_uppercase()])));
    }

    #[test]
    fn keys_of_two_columns_do_not_run_together() {
        let columns: [[&str; 2]; 2] = [["ab", "c"], ["a", "bc"]];
        let keys = columns.map(|columns| {
            let mut key = Vec::new();
            for text in columns {
                let column: ArrayRef = Arc::new(StringArray::from(vec![text]));
                Part::of(&column).write(&mut key, 0);
            }
            key
        });
        assert_ne!(keys[0], keys[1]);
    }
}
