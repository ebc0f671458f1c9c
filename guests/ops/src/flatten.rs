//! The function `flatten`: objects and lists become columns.
//!
//! How many items a list has is known only once it is there: where lists become columns, each batch has as many as its longest list needs.

use std::collections::HashMap;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, new_empty_array};
use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef};
use etl_steps::flatten::{Flatten, FlattenColumn, FlattenOptions, FlattenStrategy, Flattening};

use crate::column::pick;
use crate::eval::{cast, item, member};
use crate::{Problem, json};

/// Columns that rows may have.
const MAX_COLUMNS: usize = 4096;

/// Levels of [`FlattenOptions`], where they do not say how many.
const LEVELS: u32 = 10;

/// A configured `flatten`.
#[derive(Clone, Debug)]
pub(crate) struct Flattener {
    options: Flattening,
    input: SchemaRef,
    /// The input columns that are taken apart.
    reads: Vec<usize>,
    missing: Vec<String>,
}

/// The columns that come out.
#[derive(Clone, Debug)]
pub(crate) struct Flat {
    /// Name and where the values are.
    pub(crate) columns: Vec<(String, Source)>,
    /// Whether lists became columns, as many as the longest one needs.
    pub(crate) by_item: bool,
}

/// Where the values of a column are.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// In the input column of this index.
    Input(usize),
    /// Here, for every row.
    Made(ArrayRef),
}

impl Flattener {
    /// Configures it for rows of the schema `input`; answers the schema that comes out as well, where it does not depend on the rows.
    ///
    /// # Errors
    /// Where two columns would have one name.
    pub(crate) fn configure(options: Flattening, input: SchemaRef) -> Result<(Self, Option<SchemaRef>), Problem> {
        let there = |name: &str| input.column_with_name(name).is_some();
        let mut missing: Vec<String> = match &options {
            Flattening::Alike(alike) => alike.fields.clone(),
            Flattening::Each(columns) => columns.iter().map(|column| column.name.clone()).collect(),
        };
        missing.retain(|name| !there(name));
        let is_meant = |field: &FieldRef| match &options {
            Flattening::Alike(alike) => alike.fields.is_empty() || alike.fields.contains(field.name()),
            Flattening::Each(columns) => columns.iter().any(|column| column.name == *field.name() && column.options.enabled),
        };
        let reads = input.fields().iter().enumerate().filter(|(_, field)| is_meant(field) && is_nested(field.data_type()));
        let reads: Vec<usize> = reads.map(|(index, _)| index).collect();
        let flattener = Self { options, reads, missing, input };
        let nothing: Vec<ArrayRef> =
            flattener.reads.iter().map(|index| new_empty_array(flattener.input.field(*index).data_type())).collect();
        let flat = flattener.flatten(&nothing)?;
        let schema = (!flat.by_item).then(|| flattener.schema(&flat));
        Ok((flattener, schema))
    }

    /// The input columns that [`flatten`](Self::flatten) wants, in that order.
    pub(crate) fn reads(&self) -> &[usize] {
        &self.reads
    }

    /// Columns that the options name and the input has not.
    pub(crate) fn missing(&self) -> &[String] {
        &self.missing
    }

    /// Flattens the rows of a batch, of which `arrays` has the columns that are read.
    ///
    /// # Errors
    /// Where there are too many columns, or two of one name.
    pub(crate) fn flatten(&self, arrays: &[ArrayRef]) -> Result<Flat, Problem> {
        let mut walk = Walk { flat: Flat { columns: Vec::new(), by_item: false }, places: HashMap::new(), column: String::new() };
        for (index, field) in self.input.fields().iter().enumerate() {
            walk.column.clone_from(field.name());
            let array = self.reads.iter().position(|read| *read == index).map(|place| &arrays[place]);
            match (&self.options, array) {
                (Flattening::Alike(alike), Some(array)) => walk.alike(alike, array, index)?,
                (Flattening::Alike(_), None) => walk.keep(field.name(), index, true)?,
                (Flattening::Each(columns), array) => {
                    let column = columns.iter().find(|column| column.name == *field.name());
                    match (column, array) {
                        (Some(FlattenColumn { name, options, .. }), Some(array)) => match array.data_type() {
                            DataType::Struct(_) => walk.object(name, array, options, 0, LEVELS)?,
                            _ => walk.list(name, array, options)?,
                        },
                        (column, _) => {
                            let renamed = column.and_then(|column| column.renamed.as_ref());
                            walk.keep(renamed.unwrap_or(field.name()), index, false)?;
                        }
                    }
                }
            }
        }
        Ok(walk.flat)
    }

    /// The schema of what came out.
    pub(crate) fn schema(&self, flat: &Flat) -> SchemaRef {
        let fields = flat.columns.iter().map(|(name, source)| match source {
            Source::Input(index) => self.input.field(*index).clone().with_name(name),
            Source::Made(array) => Field::new(name, array.data_type().clone(), true),
        });
        Schema::new_with_metadata(fields.collect::<Vec<_>>(), self.input.metadata().clone()).into()
    }
}

/// Whether a column may be taken apart.
fn is_nested(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Struct(_)) || is_list(data_type)
}

fn is_list(data_type: &DataType) -> bool {
    matches!(data_type, DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(_, _))
}

struct Walk {
    flat: Flat,
    /// Name to index.
    places: HashMap<String, usize>,
    /// The input column that is being taken apart.
    column: String,
}

impl Walk {
    fn place(&mut self, name: &str) -> Result<Option<usize>, Problem> {
        if let Some(place) = self.places.get(name) {
            return Ok(Some(*place));
        }
        if self.flat.columns.len() == MAX_COLUMNS {
            return Err(self.too_many());
        }
        self.places.insert(name.to_owned(), self.flat.columns.len());
        Ok(None)
    }

    fn too_many(&self) -> Problem {
        Problem {
            field: Some(self.column.clone()),
            code: "too_many_columns",
            message: format!("flattening `{}` makes more than the {MAX_COLUMNS} columns that rows may have", self.column),
            help: Some("use `unnest` for lists that are this long".into()),
        }
    }

    fn twice(&self, name: &str) -> Problem {
        Problem {
            field: Some(self.column.clone()),
            code: "duplicate_column",
            message: format!("two columns would be named `{name}`"),
            help: Some("use another `separator` or `prefix`, or rename a column first".into()),
        }
    }

    /// Takes an input column over.
    fn keep(&mut self, name: &str, index: usize, alone: bool) -> Result<(), Problem> {
        match self.place(name)? {
            None => self.flat.columns.push((name.to_owned(), Source::Input(index))),
            Some(_) if alone => return Err(self.twice(name)),
            // As in the oldest dialect, the last one wins.
            Some(place) => self.flat.columns[place].1 = Source::Input(index),
        }
        Ok(())
    }

    /// Adds a column; of two of one name the last that has a value gives it.
    fn put(&mut self, name: &str, array: &ArrayRef) -> Result<(), Problem> {
        let array = if array.data_type() == &DataType::Null { cast(array, &DataType::Utf8) } else { array.clone() };
        let Some(place) = self.place(name)? else {
            self.flat.columns.push((name.to_owned(), Source::Made(array)));
            return Ok(());
        };
        let made = match &self.flat.columns[place].1 {
            Source::Input(_) => array,
            Source::Made(before) => {
                let to = json::unify(before.data_type(), array.data_type());
                let (last, before) = (cast(&array, &to), cast(before, &to));
                let nulls = last.logical_nulls();
                let rows = (0..last.len()).map(|row| Some((usize::from(nulls.as_ref().is_some_and(|nulls| nulls.is_null(row))), row)));
                pick(&[&last, &before], rows)
            }
        };
        self.flat.columns[place].1 = Source::Made(made);
        Ok(())
    }

    /// Calls `work` with every item of lists, until the longest list ends; `shared` says that all items make the same columns.
    fn items(
        &mut self,
        lists: &ArrayRef,
        shared: bool,
        mut work: impl FnMut(&mut Self, usize, &ArrayRef) -> Result<(), Problem>,
    ) -> Result<(), Problem> {
        let longest = |lengths: &mut dyn Iterator<Item = usize>| lengths.max().unwrap_or(0);
        let valid = |row: &usize| lists.is_valid(*row);
        let count = if let Some(lists) = lists.as_list_opt::<i32>() {
            self.flat.by_item = true;
            longest(&mut (0..lists.len()).filter(valid).map(|row| lists.value_length(row) as usize))
        } else if let Some(lists) = lists.as_list_opt::<i64>() {
            self.flat.by_item = true;
            longest(&mut (0..lists.len()).filter(valid).map(|row| lists.value_length(row) as usize))
        } else {
            lists.as_fixed_size_list().value_length() as usize
        };
        // What would end there is not begun.
        if !shared && count > MAX_COLUMNS {
            return Err(self.too_many());
        }
        (0..count).try_for_each(|index| work(self, index, &item(lists, index)))
    }

    /// One way for all columns: all levels down to a depth, or to the end.
    fn alike(&mut self, options: &Flatten, array: &ArrayRef, index: usize) -> Result<(), Problem> {
        let Flatten { strategy, separator, max_depth, prefix, fields: _ } = options;
        let depth = if *strategy == FlattenStrategy::Simple { 1 } else { max_depth.unwrap_or(u32::MAX) };
        let name = self.column.clone();
        let lists = *strategy == FlattenStrategy::ArrayFlatten;
        if !opens(array, lists) || depth == 0 {
            return self.keep(&name, index, true);
        }
        let base = if prefix.is_empty() { format!("{name}{separator}") } else { prefix.clone() };
        self.open(&base, array, separator, lists, depth)
    }

    fn open(&mut self, base: &str, array: &ArrayRef, separator: &str, lists: bool, depth: u32) -> Result<(), Problem> {
        let one = |walk: &mut Self, key: &str, array: &ArrayRef| {
            let name = format!("{base}{key}");
            if depth > 1 && opens(array, lists) {
                return walk.open(&format!("{name}{separator}"), array, separator, lists, depth - 1);
            }
            if walk.places.contains_key(&name) { Err(walk.twice(&name)) } else { walk.put(&name, array) }
        };
        match array.data_type() {
            DataType::Struct(fields) => {
                fields.iter().enumerate().try_for_each(|(index, field)| one(self, field.name(), &member(array, index)))
            }
            _ => self.items(array, false, |walk, index, item| one(walk, &index.to_string(), item)),
        }
    }

    /// The oldest dialect's way with an object, which `levels` holds to where the options do not say how deep.
    fn object(&mut self, name: &str, array: &ArrayRef, options: &FlattenOptions, depth: u32, levels: u32) -> Result<(), Problem> {
        let FlattenOptions { strategy, separator, prefix, recursive, flatten_arrays, key_mapping, array_fields, .. } = options;
        let levels = options.max_depth.unwrap_or(levels);
        let DataType::Struct(fields) = array.data_type() else { return self.put(name, array) };
        if depth >= levels {
            return self.put(name, array);
        }
        let all = *strategy == FlattenStrategy::Recursive;
        for (index, field) in fields.iter().enumerate() {
            let (key, value) = (field.name(), member(array, index));
            let inner = format!("{name}{separator}{key}");
            let is_object = matches!(value.data_type(), DataType::Struct(_));
            if is_object && (all || *recursive) {
                self.object(&inner, &value, options, depth + 1, levels)?;
            } else if is_list(value.data_type()) && (*flatten_arrays || all && array_fields.contains(key)) {
                self.items(&value, false, |walk, index, item| {
                    walk.object(&format!("{inner}{separator}{index}"), item, options, depth + 1, levels)
                })?;
            } else if all {
                self.put(&inner, &value)?;
            } else {
                let mapped = key_mapping.get(key).filter(|_| !is_object);
                let named = match mapped {
                    // An item of a list keeps its number.
                    Some(mapped) if !is_list(value.data_type()) && name.contains(separator.as_str()) => {
                        format!("{name}{separator}{mapped}")
                    }
                    Some(mapped) => mapped.clone(),
                    None if !prefix.is_empty() => format!("{prefix}{key}"),
                    None => inner,
                };
                self.put(&named, &value)?;
            }
        }
        Ok(())
    }

    /// The oldest dialect's way with a list in a column.
    fn list(&mut self, name: &str, array: &ArrayRef, options: &FlattenOptions) -> Result<(), Problem> {
        let FlattenOptions { strategy, separator, max_depth, item_flatten, aggregate, .. } = options;
        let levels = max_depth.unwrap_or(LEVELS);
        if *strategy == FlattenStrategy::Recursive || levels == 0 {
            return self.put(name, array);
        }
        let of_items = item_flatten.as_deref().unwrap_or(options);
        self.items(array, *aggregate, |walk, index, item| {
            if *aggregate {
                walk.object(name, item, of_items, 1, levels)
            } else {
                walk.object(&format!("{name}{separator}{index}"), item, of_items, 1, levels)
            }
        })
    }
}

/// Whether the general way takes a column apart; an object without members stays.
fn opens(array: &ArrayRef, lists: bool) -> bool {
    match array.data_type() {
        DataType::Struct(fields) => !fields.is_empty(),
        other => lists && is_list(other),
    }
}
