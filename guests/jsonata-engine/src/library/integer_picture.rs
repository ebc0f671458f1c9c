//! `$formatInteger` and `$parseInteger`.
use crate::Failure;

/// `$formatInteger`
pub(crate) fn format(value: f64, picture: &str) -> Result<String, Failure> { todo!() }
/// `$parseInteger`; may be NaN.
pub(crate) fn parse(text: &str, picture: &str) -> Result<f64, Failure> { todo!() }
