//! What a hostile reader of the contract format found, each held by a test.

mod cells;
mod nothing;
mod options;
mod own;
mod steps;
