//! What the metadata of a field says of its values, in the contract's words.

use arrow_schema::Field;

/// Nulls stand for a name that the row does not have.
pub(crate) const ABSENT: (&str, &str) = ("etl:null", "absent");

/// Each text is that of a JSON value.
pub(crate) const JSON_TEXT: (&str, &str) = ("etl:text", "json");

/// The field with a mark beside those that it has.
pub(crate) fn marked(field: Field, mark: (&str, &str)) -> Field {
    let mut metadata = field.metadata().clone();
    metadata.insert(mark.0.into(), mark.1.into());
    field.with_metadata(metadata)
}

/// Whether the field has a mark.
pub(crate) fn is_marked(field: &Field, mark: (&str, &str)) -> bool {
    field.metadata().get(mark.0).is_some_and(|value| value == mark.1)
}
