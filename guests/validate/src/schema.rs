//! JSON Schema: what is not lowered to rules by column, and the formats of texts.

use arrow_array::RecordBatch;
use jsonschema::{PatternOptions, Validator};
use serde_json::{Value, json};

use crate::json;
use crate::value::Wrong;

/// What a row breaks.
pub(crate) struct Broken {
    /// The column.
    pub(crate) column: Option<String>,
    /// One sentence.
    pub(crate) message: String,
}

/// Compiles a schema. Nothing is fetched, and patterns take linear time.
pub(crate) fn compile(schema: &Value) -> Result<Validator, Wrong> {
    let options =
        jsonschema::options().offline().should_validate_formats(true).with_pattern_options(PatternOptions::regex().size_limit(2 << 20));
    options.build(schema).map_err(|error| (format!("the JSON Schema does not compile: {error} (at `{}`)", error.instance_path()), None))
}

/// Compiles a format.
pub(crate) fn format(format: &str) -> Result<Validator, Wrong> {
    compile(&json!({ "format": format }))
}

/// Whether a row breaks the schema.
pub(crate) fn is_broken(schema: &Validator, rows: &RecordBatch, row: usize) -> bool {
    !schema.is_valid(&json::row(rows, row))
}

/// The first thing in a row that breaks the schema.
pub(crate) fn explain(schema: &Validator, rows: &RecordBatch, row: usize) -> Option<Broken> {
    let value = json::row(rows, row);
    let error = schema.iter_errors(&value).next()?;
    let path = error.instance_path().to_string();
    let column = path.strip_prefix('/').and_then(|path| path.split('/').next()).map(|part| part.replace("~1", "/").replace("~0", "~"));
    let at = if path.is_empty() { String::new() } else { format!(" (at `{path}`)") };
    Some(Broken { column: column.filter(|column| !column.is_empty()), message: format!("{error}{at}") })
}
