//! Tidies people's names and addresses, in the record style: two functions over one row as a JSON object.

use etl_sdk::serde_json::Value;
use etl_sdk::{Outcome, Record, Refusal, Row, StageError};
use serde::Deserialize;

/// What the user sets under `kwargs` for `tidy_names`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NameOptions {
    /// The column with the whole name.
    #[serde(default = "name")]
    column: String,
    /// Rows whose name begins so are left out, such as `TEST`.
    #[serde(default)]
    leave_out: Vec<String>,
}

fn name() -> String {
    "name".into()
}

/// Splits a name into `first_name` and `last_name`; takes `Ada Lovelace` and `Lovelace, Ada`.
pub struct TidyNames(NameOptions);

impl Record for TidyNames {
    const NAME: &'static str = "tidy_names";
    const SUMMARY: &'static str = "splits a name into first_name and last_name";
    type Options = NameOptions;

    fn configure(options: NameOptions) -> Result<Self, Vec<StageError>> {
        Ok(Self(options))
    }

    fn record(&mut self, mut row: Row) -> Result<Outcome, Refusal> {
        let column = &self.0.column;
        let name = text(&row, column).unwrap_or_default();
        if self.0.leave_out.iter().any(|start| name.starts_with(start.as_str())) {
            return Ok(Outcome::Drop);
        }
        let (first, last) = match name.split_once(',') {
            Some((last, first)) => (words(first), words(last)),
            None => match words(name).rsplit_once(' ') {
                Some((first, last)) => (first.to_owned(), last.to_owned()),
                None => (String::new(), words(name)),
            },
        };
        if last.is_empty() {
            return Err(Refusal::new("no_name", "there is no last name").field(column));
        }
        row.shift_remove(column);
        row.insert("first_name".into(), if first.is_empty() { Value::Null } else { first.into() });
        row.insert("last_name".into(), last.into());
        Ok(row.into())
    }
}

/// What the user sets under `kwargs` for `tidy_addresses`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddressOptions {
    /// The column with street and house number.
    street: String,
    /// The column with the postal code.
    postal_code: String,
}

/// Writes streets out, and postal codes in capitals without blanks.
pub struct TidyAddresses(AddressOptions);

/// What people write, and what it stands for.
const SHORT: [(&str, &str); 5] = [("st", "Street"), ("rd", "Road"), ("ave", "Avenue"), ("ln", "Lane"), ("sq", "Square")];

impl Record for TidyAddresses {
    const NAME: &'static str = "tidy_addresses";
    const SUMMARY: &'static str = "writes streets out and postal codes alike";
    type Options = AddressOptions;

    fn configure(options: AddressOptions) -> Result<Self, Vec<StageError>> {
        Ok(Self(options))
    }

    fn record(&mut self, mut row: Row) -> Result<Outcome, Refusal> {
        let AddressOptions { street, postal_code } = &self.0;
        if let Some(code) = text(&row, postal_code) {
            let tidy: String = code.chars().filter(|c| !c.is_whitespace() && *c != '-').flat_map(char::to_uppercase).collect();
            if !tidy.chars().all(|c| c.is_ascii_alphanumeric()) {
                return Err(Refusal::new("postal_code", format!("`{code}` is no postal code")).field(postal_code));
            }
            row.insert(postal_code.clone(), tidy.into());
        }
        if let Some(address) = text(&row, street) {
            let tidy: Vec<String> = address.split_whitespace().map(write_out).collect();
            row.insert(street.clone(), tidy.join(" ").into());
        }
        Ok(row.into())
    }
}

/// Writes a word of an address out: `st.` is `Street`.
fn write_out(word: &str) -> String {
    let bare = word.trim_end_matches(['.', ',']).to_lowercase();
    SHORT.iter().find(|(short, _)| *short == bare).map_or_else(|| word.to_owned(), |(_, long)| (*long).to_owned())
}

/// The text of a column; `None` where there is none.
fn text<'a>(row: &'a Row, column: &str) -> Option<&'a str> {
    row.get(column).and_then(Value::as_str)
}

/// The words of a text with one blank between.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

etl_sdk::export_records!(TidyNames, TidyAddresses);

#[cfg(test)]
mod tests {
    use etl_sdk::serde_json::json;
    use etl_sdk::testing;

    use super::*;

    #[test]
    fn names_are_split_and_test_rows_left_out() {
        let mut transform: TidyNames = testing::configure_record(&json!({"leave_out": ["TEST"]})).expect("the options are right");
        let rows = ["Ada  King Lovelace", "Lovelace, Ada", "Plato", "TEST 1", " "].map(|name| json!({"id": 1, "name": name}));
        let made = testing::process_records(&mut transform, &rows).expect("the batch is right");
        let names: Vec<_> = made.rows.into_iter().map(|(origin, row)| (origin, Value::Object(row))).collect();
        assert_eq!(
            names,
            [
                (Some(0), json!({"id": 1, "first_name": "Ada King", "last_name": "Lovelace"})),
                (Some(1), json!({"id": 1, "first_name": "Ada", "last_name": "Lovelace"})),
                (Some(2), json!({"id": 1, "first_name": null, "last_name": "Plato"})),
            ]
        );
        assert_eq!(made.rejections, [Refusal::new("no_name", "there is no last name").field("name").of_row(4)]);
    }

    #[test]
    fn addresses_are_written_out() {
        let mut transform: TidyAddresses =
            testing::configure_record(&json!({"street": "street", "postal_code": "zip"})).expect("the options are right");
        let rows = [json!({"street": " 12  Main st.", "zip": "sw1a 1aa"}), json!({"street": null}), json!({"zip": "?"})];
        let made = testing::process_records(&mut transform, &rows).expect("the batch is right");
        let tidy: Vec<_> = made.rows.into_iter().map(|(_, row)| Value::Object(row)).collect();
        assert_eq!(tidy, [json!({"street": "12 Main Street", "zip": "SW1A1AA"}), json!({"street": null})]);
        assert_eq!(made.rejections, [Refusal::new("postal_code", "`?` is no postal code").field("zip").of_row(2)]);
    }
}
