//! What the reference gives for calls of its functions.

mod date;
mod encoding;
mod number;
mod pattern;
mod picture;
mod text;

/// What the reference gives, or the code of its error.
type Answer<T = &'static str> = Result<T, &'static str>;

/// The code of a failure.
fn code(failure: &crate::Failure) -> &str {
    &failure.code
}
