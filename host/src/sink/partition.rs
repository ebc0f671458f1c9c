//! Hive folders: which rows belong to which `k=v/`.

use std::collections::HashMap;
use std::fmt::Write as _;

use arrow_array::{RecordBatch, UInt32Array};
use arrow_schema::{DataType, Schema};

use crate::error::{Context, Error, Result};
use crate::json::{Cell, Style};

/// The folder of rows whose value is null.
const NULL: &str = "__HIVE_DEFAULT_PARTITION__";

/// The longest name of a folder, in bytes, that file systems take.
const NAME_BYTES: usize = 255;

/// The columns that make folders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Partition(pub(super) Vec<String>);

/// The rows of a batch by folder.
pub(super) struct Partitioned {
    /// For each folder, in the order in which they turn up, its rows with all columns.
    pub(super) groups: Vec<RecordBatch>,
    /// Rows whose folder would have too long a name: the index and the column.
    pub(super) too_long: Vec<(usize, String)>,
}

impl Partition {
    /// Checks that the columns are there, that they can be names, and that others are left.
    ///
    /// # Errors
    /// Config.
    pub(super) fn check(&self, schema: &Schema) -> Result<()> {
        for name in &self.0 {
            let Ok(field) = schema.field_with_name(name) else {
                let names: Vec<String> = schema.fields().iter().map(|field| format!("`{}`", field.name())).collect();
                return Err(Error::config(format!("`partition_by` names `{name}`, which is no column of the output"))
                    .hint(format!("the output has {}", names.join(", "))));
            };
            if field.data_type().is_nested() && !matches!(field.data_type(), DataType::Dictionary(..)) {
                return Err(Error::config(format!("`partition_by` names `{name}`, whose values are lists or objects"))
                    .hint("partition by a column of texts, numbers, dates or truth values"));
            }
        }
        if schema.fields().len() <= self.0.len() {
            return Err(Error::config("`partition_by` names every column of the output, which leaves none to write"));
        }
        Ok(())
    }

    /// Sorts rows by folder.
    pub(super) fn split(&self, rows: &RecordBatch) -> Result<Partitioned> {
        let cells = self.cells(rows);
        let mut folders: HashMap<Vec<u8>, usize> = HashMap::new();
        let mut groups: Vec<Vec<u32>> = Vec::new();
        let mut too_long = Vec::new();
        let mut key = Vec::new();
        'rows: for index in 0..rows.num_rows() {
            key.clear();
            for (name, cell) in self.0.iter().zip(&cells) {
                let start = key.len();
                if let Some(cell) = cell.as_ref().filter(|cell| !cell.is_null(index)) {
                    cell.write_text(index, &mut key);
                    // A byte that is escaped takes three; the name is looked at exactly only where it might be too long.
                    if (key.len() - start + name.len()) * 3 >= NAME_BYTES && self.segment(name, &key[start..]).len() > NAME_BYTES {
                        too_long.push((index, name.clone()));
                        continue 'rows;
                    }
                    key.push(1);
                }
                key.push(0);
            }
            let next = groups.len();
            let group = *folders.entry(key.clone()).or_insert(next);
            if group == next {
                groups.push(Vec::new());
            }
            groups[group].push(u32::try_from(index).bug(|| "a batch has more than 2^32 rows".into())?);
        }
        if too_long.is_empty() && groups.len() == 1 {
            return Ok(Partitioned { groups: vec![rows.clone()], too_long });
        }
        let take = |indexes: Vec<u32>| arrow_select::take::take_record_batch(rows, &UInt32Array::from(indexes));
        let groups: Result<_, _> = groups.into_iter().map(take).collect();
        Ok(Partitioned { groups: groups.bug(|| "rows of a partition cannot be picked".into())?, too_long })
    }

    /// The folder of a row, as `country=DE/year=2024`.
    pub(super) fn folder(&self, rows: &RecordBatch, index: usize) -> String {
        let cells = self.cells(&rows.slice(index, 1));
        let segment = |(name, cell): (&String, &Option<Cell>)| match cell.as_ref().filter(|cell| !cell.is_null(0)) {
            None => format!("{}={NULL}", escape(name.as_bytes())),
            Some(cell) => {
                let mut value = Vec::new();
                cell.write_text(0, &mut value);
                self.segment(name, &value)
            }
        };
        self.0.iter().zip(&cells).map(segment).collect::<Vec<_>>().join("/")
    }

    /// The rows without the columns that are folders.
    pub(super) fn strip(&self, rows: &RecordBatch) -> Result<RecordBatch> {
        rows.project(&self.others(rows.schema_ref())).bug(|| "columns cannot be picked".into())
    }

    /// The schema without the columns that are folders.
    pub(super) fn strip_schema(&self, schema: &Schema) -> Result<Schema> {
        schema.project(&self.others(schema)).bug(|| "columns cannot be picked".into())
    }

    fn others(&self, schema: &Schema) -> Vec<usize> {
        (0..schema.fields().len()).filter(|index| !self.0.contains(schema.field(*index).name())).collect()
    }

    fn segment(&self, name: &str, value: &[u8]) -> String {
        format!("{}={}", escape(name.as_bytes()), escape(value))
    }

    fn cells(&self, rows: &RecordBatch) -> Vec<Option<Cell>> {
        let cell = |name: &String| {
            let column = rows.column_by_name(name).filter(|column| column.data_type() != &DataType::Null)?;
            Some(Cell::new(column, Style::default()))
        };
        self.0.iter().map(cell).collect()
    }
}

/// Escapes what Hive escapes in the names of folders, as `%2F`.
fn escape(text: &[u8]) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in String::from_utf8_lossy(text).chars() {
        if letter.is_ascii_control() || "\"#%'*/:=?\\{}[]^".contains(letter) {
            write!(out, "%{:02X}", letter as u32).expect("a String takes all text");
        } else {
            out.push(letter);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Date32Array, Int64Array, StringArray};

    use super::*;

    fn rows() -> RecordBatch {
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("id", Arc::new(Int64Array::from(vec![1, 2, 3, 4]))),
            ("a/b", Arc::new(StringArray::from(vec![Some("x:y"), None, Some("x:y"), Some("")]))),
            ("day", Arc::new(Date32Array::from(vec![19_893, 19_893, 19_893, 19_893]))),
        ];
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true))).unwrap()
    }

    #[test]
    fn rows_go_to_the_folder_of_their_values_in_order() {
        let partition = Partition(vec!["day".into(), "a/b".into()]);
        partition.check(&rows().schema()).unwrap();
        let groups = partition.split(&rows()).unwrap().groups;
        let folders: Vec<String> = groups.iter().map(|group| partition.folder(group, 0)).collect();
        assert_eq!(folders, ["day=2024-06-19/a%2Fb=x%3Ay", "day=2024-06-19/a%2Fb=__HIVE_DEFAULT_PARTITION__", "day=2024-06-19/a%2Fb="]);
        let ids = RecordBatch::try_from_iter_with_nullable([("id", Arc::new(Int64Array::from(vec![1, 3])) as ArrayRef, true)]).unwrap();
        assert_eq!(partition.strip(&groups[0]).unwrap(), ids);
    }

    #[test]
    fn a_value_too_long_for_a_folder_costs_its_row_only() {
        let texts = StringArray::from(vec!["ok".to_owned(), "x".repeat(300)]);
        let rows = RecordBatch::try_from_iter([("k", Arc::new(texts) as ArrayRef)]).unwrap();
        let Partitioned { groups, too_long } = Partition(vec!["k".into()]).split(&rows).unwrap();
        assert_eq!((groups.len(), groups[0].num_rows(), too_long), (1, 1, vec![(1, "k".to_owned())]));
    }

    #[test]
    fn a_column_that_is_not_there_is_answered_with_those_that_are() {
        let error = Partition(vec!["dya".into()]).check(&rows().schema()).unwrap_err();
        assert_eq!(error.to_string(), "`partition_by` names `dya`, which is no column of the output");
        assert_eq!(error.find_hint(), Some("the output has `id`, `a/b`, `day`"));
    }
}
