//! The expressions of `add`.
