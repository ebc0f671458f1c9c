//! Memory for many small values that come and go: a free list for each size.
//!
//! An expression makes some hundred small pieces of memory a row and gives them back at once. The allocator of the standard library
//! joins and splits its free pieces each time; this one keeps them by size, so that both ways are a few instructions. What it has
//! taken for small pieces it does not give back, which the life of an instance does not notice.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::ptr;

/// Sizes go up by so many bytes; also the alignment of every piece.
const STEP: usize = 16;
/// Pieces of more steps than this are the standard allocator's.
const CLASSES: usize = 64;
/// Bytes that are taken from the standard allocator at once.
const CHUNK: usize = 64 << 10;

/// The allocator.
pub(crate) struct Sizes(UnsafeCell<State>);

struct State {
    /// For each number of steps the first free piece, which holds the address of the next.
    free: [*mut u8; CLASSES + 1],
    /// What is left of the chunk.
    next: *mut u8,
    left: usize,
}

// SAFETY: a guest has one thread.
unsafe impl Sync for Sizes {}

impl Sizes {
    pub(crate) const fn new() -> Self {
        Self(UnsafeCell::new(State { free: [ptr::null_mut(); CLASSES + 1], next: ptr::null_mut(), left: 0 }))
    }
}

/// The number of steps of a small piece; `None` where it is not ours.
#[inline(always)]
fn class(layout: &Layout) -> Option<usize> {
    (layout.size() <= STEP * CLASSES && layout.align() <= STEP).then(|| layout.size().div_ceil(STEP))
}

impl State {
    #[cold]
    unsafe fn carve(&mut self, class: usize) -> *mut u8 {
        let bytes = class * STEP;
        if self.left < bytes {
            // SAFETY: the layout has a size.
            let chunk = unsafe { System.alloc(Layout::from_size_align_unchecked(CHUNK, STEP)) };
            if chunk.is_null() {
                return chunk;
            }
            (self.next, self.left) = (chunk, CHUNK);
        }
        let piece = self.next;
        // SAFETY: `left` bytes follow, and the piece has fewer.
        self.next = unsafe { piece.add(bytes) };
        self.left -= bytes;
        piece
    }
}

// SAFETY: pieces are of their class's size and aligned to a step; a piece is either with its owner or in the list of its class.
unsafe impl GlobalAlloc for Sizes {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some(class) = class(&layout) else {
            // SAFETY: as the caller promises.
            return unsafe { System.alloc(layout) };
        };
        // SAFETY: one thread, and nothing in here allocates through this allocator.
        let state = unsafe { &mut *self.0.get() };
        let piece = state.free[class];
        if piece.is_null() {
            // SAFETY: the class is in range.
            return unsafe { state.carve(class) };
        }
        // SAFETY: a free piece holds the address of the next.
        state.free[class] = unsafe { piece.cast::<*mut u8>().read() };
        piece
    }

    #[inline]
    unsafe fn dealloc(&self, piece: *mut u8, layout: Layout) {
        let Some(class) = class(&layout) else {
            // SAFETY: it came from there.
            return unsafe { System.dealloc(piece, layout) };
        };
        // SAFETY: as in `alloc`; the piece has room for an address.
        unsafe {
            let state = &mut *self.0.get();
            piece.cast::<*mut u8>().write(state.free[class]);
            state.free[class] = piece;
        }
    }

    #[inline]
    unsafe fn realloc(&self, piece: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller promises a size that makes a layout.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        match (class(&layout), class(&wanted)) {
            (Some(before), Some(after)) if before == after => piece,
            // SAFETY: it came from there and stays there.
            (None, None) => unsafe { System.realloc(piece, layout, size) },
            // SAFETY: the new piece is fresh, and both have the bytes that are copied.
            _ => unsafe {
                let fresh = self.alloc(wanted);
                if !fresh.is_null() {
                    ptr::copy_nonoverlapping(piece, fresh, layout.size().min(size));
                    self.dealloc(piece, layout);
                }
                fresh
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_keep_their_bytes_and_come_back() {
        let sizes = Sizes::new();
        let layout = |size| Layout::from_size_align(size, 8).expect("it is small");
        // SAFETY: every piece is given back once, with the layout that it has.
        unsafe {
            let mut pieces = Vec::new();
            for round in 1..2000_usize {
                let size = round * 7 % 1500 + 1;
                let piece = sizes.alloc(layout(size));
                assert!(piece.addr().is_multiple_of(8));
                ptr::write_bytes(piece, round as u8, size);
                pieces.push((piece, size, round as u8));
            }
            for (piece, size, byte) in &mut pieces {
                assert!((0..*size).all(|index| *piece.add(index) == *byte));
                let grown = *size * 2;
                *piece = sizes.realloc(*piece, layout(*size), grown);
                assert!((0..*size).all(|index| *piece.add(index) == *byte));
                ptr::write_bytes(*piece, *byte, grown);
                *size = grown;
            }
            let again = pieces.iter().find(|(_, size, _)| *size == 64).map(|(piece, ..)| *piece);
            for (piece, size, byte) in pieces {
                assert!((0..size).all(|index| *piece.add(index) == byte));
                sizes.dealloc(piece, layout(size));
            }
            assert!(again.is_none() || !sizes.alloc(layout(64)).is_null());
        }
    }
}
