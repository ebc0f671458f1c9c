//! How objects and lists become columns: the options of the function `flatten`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The options of the `flatten` function of the `ops` guest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Flattening {
    /// All columns, or those named, in one way.
    Alike(Flatten),
    /// Each column in a way of its own.
    Each(Vec<FlattenColumn>),
}

/// How objects become columns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct Flatten {
    /// `simple`: one level; `recursive`: all levels; `array_flatten`: all levels, list items too, by index.
    pub strategy: FlattenStrategy,
    /// Between the parts of a name. Default `_`.
    pub separator: String,
    /// Levels at most; absent = no limit but the schema's depth.
    pub max_depth: Option<u32>,
    /// Put before each new name.
    pub prefix: String,
    /// Columns to flatten; empty = all that hold objects.
    pub fields: Vec<String>,
}

impl Default for Flatten {
    fn default() -> Self {
        Self { strategy: FlattenStrategy::default(), separator: "_".into(), max_depth: None, prefix: String::new(), fields: Vec::new() }
    }
}

/// How deep `flatten` goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub enum FlattenStrategy {
    /// One level.
    Simple,
    /// All levels of objects.
    #[default]
    Recursive,
    /// All levels of objects and lists; an item's name is its index.
    ArrayFlatten,
}

/// One column of [`Flattening::Each`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlattenColumn {
    /// The column.
    pub name: String,
    /// Its new name where it holds neither objects nor lists; absent = it keeps its own.
    pub renamed: Option<String>,
    /// How it is flattened.
    pub options: FlattenOptions,
}

/// How one column is flattened, in the words of the oldest dialect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FlattenOptions {
    /// Whether it is.
    pub enabled: bool,
    /// `recursive`: all levels of objects, a list in the column stays; else one level, and a list in the column becomes its items.
    pub strategy: FlattenStrategy,
    /// Between the parts of a name.
    pub separator: String,
    /// Levels at most; absent = 10, or for items as many as the list has.
    pub max_depth: Option<u32>,
    /// In place of the column's name; not with `recursive`.
    pub prefix: String,
    /// Whether objects in objects are flattened, where the strategy does not say so.
    pub recursive: bool,
    /// Whether lists in objects become their items.
    pub flatten_arrays: bool,
    /// Key of the object, name of its column; not with `recursive`.
    pub key_mapping: BTreeMap<String, String>,
    /// With `recursive`, the keys whose lists become their items.
    pub array_fields: Vec<String>,
    /// How objects in a list are flattened; absent = as the list.
    pub item_flatten: Option<Box<Self>>,
    /// Whether all items of a list share their names: the last that has a value gives it.
    pub aggregate: bool,
}

impl Default for FlattenOptions {
    fn default() -> Self {
        Self {
            enabled: true,
            strategy: FlattenStrategy::Simple,
            separator: "_".into(),
            max_depth: None,
            prefix: String::new(),
            recursive: false,
            flatten_arrays: false,
            key_mapping: BTreeMap::new(),
            array_fields: Vec::new(),
            item_flatten: None,
            aggregate: false,
        }
    }
}
