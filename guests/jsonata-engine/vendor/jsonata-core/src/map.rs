//! Maps with a hash that costs little (vendored change): keys are short texts, and nobody is served by one process for many clients.

use std::hash::{BuildHasherDefault, Hasher};

/// An object's members.
pub type IndexMap<K, V> = indexmap::IndexMap<K, V, BuildHasherDefault<Fast>>;
/// Bindings and the like.
pub type HashMap<K, V> = std::collections::HashMap<K, V, BuildHasherDefault<Fast>>;

/// An empty map with room.
pub fn with_capacity<K, V>(capacity: usize) -> IndexMap<K, V> {
    IndexMap::with_capacity_and_hasher(capacity, Default::default())
}

/// Eight bytes at a time: rotate, xor, multiply, as in Firefox and rustc; the end folds the high bits down.
#[derive(Clone, Copy, Default)]
pub struct Fast(u64);

impl Fast {
    #[inline]
    fn add(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
}

impl Hasher for Fast {
    #[inline]
    fn finish(&self) -> u64 {
        let mixed = self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed ^ (mixed >> 32)
    }

    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.split_at(bytes.len() & !7);
        for word in words.chunks_exact(8) {
            self.add(u64::from_le_bytes([word[0], word[1], word[2], word[3], word[4], word[5], word[6], word[7]]));
        }
        if !rest.is_empty() {
            let mut last = [0; 8];
            last[..rest.len()].copy_from_slice(rest);
            self.add(u64::from_le_bytes(last) ^ ((rest.len() as u64) << 56));
        }
    }

    #[inline]
    fn write_u8(&mut self, byte: u8) {
        self.add(u64::from(byte));
    }

    #[inline]
    fn write_u32(&mut self, word: u32) {
        self.add(u64::from(word));
    }

    #[inline]
    fn write_u64(&mut self, word: u64) {
        self.add(word);
    }

    #[inline]
    fn write_usize(&mut self, word: usize) {
        self.add(word as u64);
    }
}
