//! Identifiers that look random and are the same each time the same rows are worked on.

use arrow_array::StringArray;

use crate::eval::Frame;
use crate::text::TextBuilder;

/// Mixes all bits (Steele and others, "Fast splittable pseudorandom number generators", as SplitMix64).
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// Makes a version-4 UUID for each row from seed, batch, row of the input, number among the rows made from it, and `salt`.
pub(crate) fn column(frame: &Frame<'_>, salt: u64) -> StringArray {
    let context = frame.context;
    let halves = [1, 2].map(|half| mix(mix(mix(context.seed ^ half).wrapping_add(salt)).wrapping_add(context.sequence)));
    let mut builder = TextBuilder::new(frame.rows, frame.rows * 36);
    let (mut last, mut among) = (None, 0);
    for row in 0..frame.rows {
        let origin = frame.origins.map_or(row as u32, |origins| origins[row]);
        among = if last == Some(origin) { among + 1 } else { 0 };
        last = Some(origin);
        let place = (among << 32) | u64::from(context.first_row.wrapping_add(origin));
        let [high, low] = halves.map(|half| mix(half.wrapping_add(place)));
        write(builder.bytes(), high, low);
        builder.end();
    }
    builder.finish(None)
}

#[inline]
fn write(out: &mut Vec<u8>, high: u64, low: u64) {
    let high = (high & !0xf000) | 0x4000;
    let low = (low & (u64::MAX >> 2)) | 1 << 63;
    let mut text = [b'-'; 36];
    let mut at = 0;
    for byte in high.to_be_bytes().into_iter().chain(low.to_be_bytes()) {
        if matches!(at, 8 | 13 | 18 | 23) {
            at += 1;
        }
        text[at] = b"0123456789abcdef"[usize::from(byte >> 4)];
        text[at + 1] = b"0123456789abcdef"[usize::from(byte & 15)];
        at += 2;
    }
    out.extend_from_slice(&text);
}
