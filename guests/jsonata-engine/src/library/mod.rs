//! The functions of the language on plain texts and numbers, with the results, codes and quirks of the reference.
//!
//! Texts are UTF-8 in which a lone surrogate stands as a character of its own (see [`crate::surrogate`]). What the reference does by UTF-16
//! units is done so here; places are told in units.

mod cache;
pub(crate) mod calendar;
pub(crate) mod date_picture;
mod date_reader;
mod date_shape;
mod decimal;
pub(crate) mod encoding;
pub(crate) mod integer_picture;
pub(crate) mod number;
pub(crate) mod number_picture;
mod numeral;
pub(crate) mod pattern;
mod pattern_source;
mod possible;
mod power;
#[cfg(test)]
mod tests;
pub(crate) mod text;
