//! What a hostile reader of the contract format found, each held by a test.

mod own;
