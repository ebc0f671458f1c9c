//! Aggregates, de-duplication, sorting and windows as data: what the host checks and the `aggregate` guest runs.

use serde::{Deserialize, Serialize};

use crate::duration::Duration;

/// The options of `aggregate`: rows of the same `group_by` become one row with what `metrics` measure of them.
///
/// A null is a group of its own, as in SQL; so is NaN, and `-0.0` is `0.0`. Groups come out in the order in which their first rows came.
/// Without `group_by` all rows are one group, which comes out even where there are none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Aggregate {
    /// Columns whose values make a group.
    pub group_by: Vec<String>,
    /// What is measured, in the order of the output's columns.
    pub metrics: Vec<Metric>,
    /// Bytes that the stage may hold.
    pub memory_bytes: u64,
    /// Whether columns may come with later rows: one that is not there is null until it comes, and an error once no more rows come.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub late: bool,
}

/// One measured column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metric {
    /// Name of the column that comes out.
    pub name: String,
    /// What it measures.
    pub measure: Measure,
}

/// What is measured of the rows of a group. All but [`Measure::Rows`] pass over nulls, as in SQL; of no values all but counts are null.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Measure {
    /// Rows.
    Rows,
    /// Rows with a value in this column.
    Count(String),
    /// Different values.
    CountDistinct(String),
    /// Sum: int of ints and exact, decimal of decimals and exact, float of floats with compensation. One that its type cannot hold fails the run.
    Sum(String),
    /// Mean, a float; of ints and decimals the exact sum by the count.
    Avg(String),
    /// Least value; text by bytes, false before true, NaN above all numbers.
    Min(String),
    /// Greatest value, in the same order.
    Max(String),
    /// Value of the first row: by time in a window, as the rows came in an aggregate.
    First {
        /// The column.
        column: String,
        /// Whether rows without a value are passed over; else a null counts as the value.
        skip_nulls: bool,
    },
    /// Value of the last row.
    Last {
        /// The column.
        column: String,
        /// Whether rows without a value are passed over.
        skip_nulls: bool,
    },
    /// The value below which the share `q` of the values lies, a float, interpolated between neighbours. It holds all values until the end.
    Quantile {
        /// The column.
        column: String,
        /// The share, 0 to 1; 0.5 is the median.
        q: f64,
    },
    /// Σ price · size / Σ size, a float, over rows that have both; null where Σ size is 0.
    Vwap {
        /// Column of prices.
        price: String,
        /// Column of sizes.
        size: String,
    },
}

impl Measure {
    /// Names that a user may write.
    pub const NAMES: [&str; 12] =
        ["count", "count_distinct", "sum", "avg", "mean", "min", "max", "first", "last", "median", "quantile", "vwap"];

    /// The name that a user writes.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Rows | Self::Count(_) => "count",
            Self::CountDistinct(_) => "count_distinct",
            Self::Sum(_) => "sum",
            Self::Avg(_) => "avg",
            Self::Min(_) => "min",
            Self::Max(_) => "max",
            Self::First { .. } => "first",
            Self::Last { .. } => "last",
            Self::Quantile { .. } => "quantile",
            Self::Vwap { .. } => "vwap",
        }
    }
}

/// The options of `window`: rows fall into windows of event time, each of which is aggregated.
///
/// A window is `[start, start + size)`; windows stand side by side from 1970-01-01T00:00 UTC + `offset` on. A window closes, and its rows come
/// out, once a row came whose time is `lateness` or more beyond its end; a row that comes later than that is rejected (`late_row`), as is one
/// without a time (`no_time`). Windows come out in the order of time; within one, groups in the order in which their first rows came.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// Column of the event time, a timestamp or date.
    pub time: String,
    /// How long a window is.
    pub size: Duration,
    /// How long a window waits for rows that come out of order.
    pub lateness: Duration,
    /// How far windows are shifted from midnight UTC.
    pub offset: Duration,
    /// Columns whose values make a group within a window.
    pub group_by: Vec<String>,
    /// What is measured, in the order of the output's columns, which stand behind `window_start`, `window_end` and those of `group_by`.
    pub metrics: Vec<Metric>,
    /// Bytes that the stage may hold.
    pub memory_bytes: u64,
    /// Whether columns may come with later rows: one that is not there is null until it comes, and an error once no more rows come.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub late: bool,
}

/// The column with a window's start.
pub const WINDOW_START: &str = "window_start";
/// The column with a window's end, which is not in it.
pub const WINDOW_END: &str = "window_end";

/// The options of `dedupe`: of rows with the same key one is kept, the others are left out and counted as filtered.
///
/// With `keep: first` and no `order_by` a row goes on as soon as it comes, and only keys are held; else one row a key is held until the end,
/// and they come out in the order in which they came in. A null is a key as any other value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dedupe {
    /// Columns that make the key; none = all.
    pub key: Vec<String>,
    /// Which row is kept.
    pub keep: Keep,
    /// Columns by which the rows of a key are ordered; none = as they came. Rows that are equal in it stay in the order in which they came.
    pub order_by: Vec<SortColumn>,
    /// Bytes that the stage may hold.
    pub memory_bytes: u64,
    /// Whether columns may come with later rows: one that is not there is null until it comes, and an error once no more rows come.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub late: bool,
}

/// Which row of a key is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub enum Keep {
    /// The first.
    #[default]
    First,
    /// The last.
    Last,
}

/// The options of `sort`: all rows are held and come out at the end, in order; rows that are equal stay in the order in which they came.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sort {
    /// Columns, the first one first.
    pub by: Vec<SortColumn>,
    /// Bytes that the stage may hold.
    pub memory_bytes: u64,
    /// Whether columns may come with later rows: one that is not there is null until it comes, and an error once no more rows come.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub late: bool,
}

/// A column by which rows are ordered. Text goes by bytes, false before true, NaN above all numbers, `-0.0` as `0.0`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct SortColumn {
    /// The column.
    pub column: String,
    /// Its direction. Default: `asc`.
    #[serde(default)]
    pub order: Order,
    /// Where nulls go, whatever the direction. Default: `last`.
    #[serde(default)]
    pub nulls: Nulls,
}

impl SortColumn {
    /// Reads the short form: `column`, or `-column` for the other direction.
    pub fn short(text: &str) -> Self {
        match text.strip_prefix('-') {
            Some(column) => Self { column: column.trim_start().to_owned(), order: Order::Desc, nulls: Nulls::default() },
            None => Self { column: text.to_owned(), order: Order::Asc, nulls: Nulls::default() },
        }
    }
}

/// A direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub enum Order {
    /// From least to greatest.
    #[default]
    Asc,
    /// From greatest to least.
    Desc,
}

/// Where nulls go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub enum Nulls {
    /// Before all values.
    First,
    /// Behind all values.
    #[default]
    Last,
}
