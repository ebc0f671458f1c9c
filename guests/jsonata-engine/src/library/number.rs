//! Numbers as texts, rounding, powers.
use crate::Failure;

/// Writes a finite number as `$string` and `&` do: at most 15 significant digits, then JavaScript's form (`1e+21`, `1e-7`, `0` for -0).
pub(crate) fn write(value: f64, into: &mut String) { todo!() }
/// Writes a number as JavaScript's `String(value)`, without rounding.
pub(crate) fn write_exact(value: f64, into: &mut String) { todo!() }
/// `$number` of a text; may be NaN.
pub(crate) fn parse(text: &str) -> Result<f64, Failure> { todo!() }
/// `$round`
pub(crate) fn round(value: f64, precision: Option<f64>) -> f64 { todo!() }
/// `$formatBase`
pub(crate) fn format_base(value: f64, radix: Option<f64>) -> Result<String, Failure> { todo!() }
/// `$power`
pub(crate) fn power(base: f64, exponent: f64) -> Result<f64, Failure> { todo!() }
/// `$sqrt`
pub(crate) fn square_root(value: f64) -> Result<f64, Failure> { todo!() }
