//! Texts: parts, case, padding, encodings.
use std::borrow::Cow;
use crate::Failure;

/// `$length`: characters of a text.
pub(crate) fn length(text: &str) -> usize { todo!() }
/// `$substring`
pub(crate) fn substring(text: &str, start: f64, length: Option<f64>) -> &str { todo!() }
/// `$substringBefore`
pub(crate) fn substring_before<'a>(text: &'a str, mark: &str) -> Cow<'a, str> { todo!() }
/// `$substringAfter`
pub(crate) fn substring_after<'a>(text: &'a str, mark: &str) -> Cow<'a, str> { todo!() }
/// `$uppercase`
pub(crate) fn uppercase(text: &str) -> String { todo!() }
/// `$lowercase`
pub(crate) fn lowercase(text: &str) -> String { todo!() }
/// `$trim`
pub(crate) fn trim(text: &str) -> Cow<'_, str> { todo!() }
/// `$pad`
pub(crate) fn pad<'a>(text: &'a str, width: f64, fill: Option<&str>) -> Result<Cow<'a, str>, Failure> { todo!() }
/// `$base64encode`
pub(crate) fn base64_encode(text: &str) -> String { todo!() }
/// `$base64decode`
pub(crate) fn base64_decode(text: &str) -> String { todo!() }
/// `$encodeUrl`
pub(crate) fn encode_url(text: &str) -> Result<String, Failure> { todo!() }
/// `$encodeUrlComponent`
pub(crate) fn encode_url_component(text: &str) -> Result<String, Failure> { todo!() }
/// `$decodeUrl`
pub(crate) fn decode_url(text: &str) -> Result<String, Failure> { todo!() }
/// `$decodeUrlComponent`
pub(crate) fn decode_url_component(text: &str) -> Result<String, Failure> { todo!() }
/// `$contains` of a text
pub(crate) fn contains(text: &str, token: &str) -> bool { todo!() }
/// `$split` by a text
pub(crate) fn split<'a>(text: &'a str, separator: &str, limit: Option<f64>) -> Result<Vec<Cow<'a, str>>, Failure> { todo!() }
/// `$replace` of a text by a text
pub(crate) fn replace<'a>(text: &'a str, pattern: &str, replacement: &str, limit: Option<f64>) -> Result<Cow<'a, str>, Failure> { todo!() }
/// `$join`, and `&` for two texts with `""` between: halves of a surrogate pair that meet become one character.
pub(crate) fn join<'a>(texts: impl IntoIterator<Item = &'a str>, separator: &str) -> String { todo!() }
