//! `$formatNumber`.
use crate::Failure;

/// `$formatNumber`; `options` are the third argument's entries (a value that is no text as `$string` has it).
pub(crate) fn format(value: f64, picture: &str, options: &[(&str, &str)]) -> Result<String, Failure> { todo!() }
