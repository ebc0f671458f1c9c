//! Chance that repeats: what `$random()` and `$shuffle()` draw from.

use std::cell::Cell;

/// SplitMix64 (Steele, Lea, Flood 2014): one word of state, any seed is good.
#[derive(Debug, Default)]
pub(crate) struct Random(Cell<u64>);

impl Random {
    pub(crate) fn seed(&self, seed: u64) {
        self.0.set(seed);
    }

    fn next(&self) -> u64 {
        let state = self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.0.set(state);
        let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A number from 0 up to, not including, 1.
    pub(crate) fn fraction(&self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}
