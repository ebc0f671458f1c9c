//! `$fromMillis`, `$toMillis` (and `$now` with a picture).
use crate::Failure;

/// `$fromMillis`
pub(crate) fn from_millis(millis: f64, picture: Option<&str>, zone: Option<&str>) -> Result<String, Failure> { todo!() }
/// `$toMillis`: `None` = undefined; may be NaN. `now` is the run's clock, for what the picture leaves out.
pub(crate) fn to_millis(text: &str, picture: Option<&str>, now: f64) -> Result<Option<f64>, Failure> { todo!() }
