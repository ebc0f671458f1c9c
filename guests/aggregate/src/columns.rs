//! Columns by name, and what is said of one that is not there or not fit.

use arrow_schema::{DataType, Schema};
use etl_sdk::StageError;

/// Columns that are named in a message.
const NAMED: usize = 20;

/// Looks up columns of the input and collects the ones that are to be read, and what is wrong.
pub(crate) struct Lookup<'a> {
    input: &'a Schema,
    /// Columns to read, by index.
    pub(crate) read: Vec<usize>,
    /// What is wrong.
    pub(crate) problems: Vec<StageError>,
    /// Whether columns that are not there may come with later rows.
    late: bool,
    /// What is said of the first of those if it never comes.
    pub(crate) missing: Option<StageError>,
}

/// A column that was found.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    /// Its place among those that are read; absent where the input does not have it yet, and so no values.
    pub(crate) place: Option<usize>,
    /// Its name.
    pub(crate) name: String,
    /// Its type.
    pub(crate) data_type: DataType,
}

impl<'a> Lookup<'a> {
    /// `late` says that columns may come with later rows.
    pub(crate) fn new(input: &'a Schema, late: bool) -> Self {
        Self { input, read: Vec::new(), problems: Vec::new(), late, missing: None }
    }

    /// Finds a column; `option` is where its name stands.
    pub(crate) fn column(&mut self, name: &str, option: &str) -> Option<Found> {
        if let Ok(index) = self.input.index_of(name) {
            let place = self.read.iter().position(|read| *read == index).unwrap_or_else(|| {
                self.read.push(index);
                self.read.len() - 1
            });
            return Some(Found { place: Some(place), name: name.to_owned(), data_type: self.input.field(index).data_type().clone() });
        }
        if self.input.fields().is_empty() {
            // An empty source has no columns.
            return Some(Found { place: None, name: name.to_owned(), data_type: DataType::Null });
        }
        let names: Vec<&str> = self.input.fields().iter().map(|field| field.name().as_str()).collect();
        let near = names
            .iter()
            .map(|other| (distance(name, other), other))
            .min()
            .filter(|(distance, _)| *distance * 3 <= name.chars().count().max(3));
        let meant = near.map_or_else(String::new, |(_, other)| format!("did you mean `{other}`? "));
        let help = format!("{meant}columns here are {}", list(&names));
        let problem = StageError::options("no_column", format!("there is no column `{name}`")).field(option).help(help);
        if self.late {
            self.missing.get_or_insert(problem);
            return Some(Found { place: None, name: name.to_owned(), data_type: DataType::Null });
        }
        self.problem(problem);
        None
    }

    /// Finds a column whose type suits; `what` says what is wanted, such as "a number".
    pub(crate) fn column_of(&mut self, name: &str, option: &str, what: &str, suits: fn(&DataType) -> bool) -> Option<Found> {
        let found = self.column(name, option)?;
        if suits(&found.data_type) || found.data_type == DataType::Null {
            return Some(found);
        }
        let fitting: Vec<&str> =
            self.input.fields().iter().filter(|field| suits(field.data_type())).map(|field| field.name().as_str()).collect();
        let others = if fitting.is_empty() { String::new() } else { format!("; columns that fit are {}", list(&fitting)) };
        let kind = if what.contains("time") { "datetime" } else { "float" };
        let help = format!("convert it before: `convert: {{{name}: {kind}}}`{others}");
        let message = format!("it takes {what}, but column `{name}` is {}", describe(&found.data_type));
        self.problem(StageError::options("column_type", message).field(option).help(help));
        None
    }

    pub(crate) fn problem(&mut self, problem: StageError) {
        self.problems.push(problem);
    }
}

/// Names in back-quotes; the first few where they are many.
fn list(names: &[&str]) -> String {
    let named = names.iter().take(NAMED).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    if names.len() > NAMED { format!("{named} and {} more", names.len() - NAMED) } else { named }
}

/// Names a type as a user would.
pub(crate) fn describe(data_type: &DataType) -> String {
    match data_type {
        DataType::Null => "null".into(),
        DataType::Boolean => "bool".into(),
        data_type if data_type.is_integer() => "int".into(),
        DataType::Float16 | DataType::Float32 | DataType::Float64 => "float".into(),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "text".into(),
        DataType::Timestamp(_, None) => "timestamp".into(),
        DataType::Timestamp(_, Some(_)) => "datetime".into(),
        DataType::Date32 | DataType::Date64 => "date".into(),
        DataType::Struct(_) | DataType::Map(_, _) => "object".into(),
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(_, _) => "list".into(),
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => format!("decimal({precision},{scale})"),
        other => other.to_string(),
    }
}

/// Edits between two names, case aside; two neighbours that changed places are one.
fn distance(one: &str, other: &str) -> usize {
    let one: Vec<char> = one.to_lowercase().chars().collect();
    let other: Vec<char> = other.to_lowercase().chars().collect();
    let width = other.len() + 1;
    let mut table: Vec<usize> = (0..(one.len() + 1) * width).map(|cell| if cell < width { cell } else { cell / width }).collect();
    for row in 1..=one.len() {
        for column in 1..width {
            let at = |row: usize, column: usize| table[row * width + column];
            let changed = usize::from(one[row - 1] != other[column - 1]);
            let mut least = (at(row - 1, column) + 1).min(at(row, column - 1) + 1).min(at(row - 1, column - 1) + changed);
            if row > 1 && column > 1 && one[row - 1] == other[column - 2] && one[row - 2] == other[column - 1] {
                least = least.min(at(row - 2, column - 2) + 1);
            }
            table[row * width + column] = least;
        }
    }
    table[one.len() * width + other.len()]
}
