//! `aggregate`, `dedupe`, `sort` and `window`: from what users write to what the `aggregate` guest runs.

use std::collections::BTreeMap;

use etl_steps::Duration;
use etl_steps::aggregate::{Aggregate, Dedupe, Keep, Measure, Metric, Sort, SortColumn, WINDOW_END, WINDOW_START, Window};
use schemars::JsonSchema;
use serde::Deserialize;

use super::database::OneOrMany;
use super::de::typed;
use super::lower::Lowering;
use super::problem::{list, suggest};
use super::sections::check_limits;
use super::settings::Limits;
use super::transform::Step;
use super::yaml::{Node, Value, shorten};

/// A step that sees rows of many batches, and what it may use.
#[derive(Clone, Debug, PartialEq)]
pub struct Gathering {
    /// The step.
    pub gather: Gather,
    /// Its own limits.
    pub limits: Limits,
}

/// The steps that see rows of many batches. How many bytes each may hold is decided by the plan.
#[derive(Clone, Debug, PartialEq)]
pub enum Gather {
    /// Group by, and aggregates.
    Aggregate(Aggregate),
    /// De-duplication by key.
    Dedupe(Dedupe),
    /// Sorting.
    Sort(Sort),
    /// Windows of time.
    Window(Window),
}

/// Groups rows and measures each group; groups come out at the end, in the order in which their first rows came.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenAggregate {
    /// Columns whose values make a group, one or many; a null is a group of its own. Default: all rows are one group.
    #[serde(default)]
    group_by: OneOrMany,
    /// Name of a column that comes out to what it measures: `count`, or one of the keys below with the column that is measured.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, WrittenMetric>", required)]
    metrics: Unread,
    /// What it may use. Default: what the settings say, and 512 MiB of memory.
    #[serde(default)]
    limits: Limits,
}

/// Measures windows of event time side by side; a window comes out once it closes.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenWindow {
    /// Column of the event time, a timestamp or date.
    time: String,
    /// How long a window is, such as `30s`, `1m`, `1h30m` or `7d`; units are `w d h m s ms us ns`. Windows start at midnight UTC, those of weeks on a Thursday.
    #[schemars(with = "String")]
    size: Duration,
    /// How long a window waits for rows that come out of order; rows that come later are rejected as `late_row`. Default: `0s`.
    #[serde(default)]
    #[schemars(with = "String")]
    lateness: Duration,
    /// How far windows are shifted from midnight UTC; `4d` makes those of weeks start on a Monday. Default: `0s`.
    #[serde(default)]
    #[schemars(with = "String")]
    offset: Duration,
    /// Columns whose values make a group within a window, one or many. Default: all rows of a window are one group.
    #[serde(default)]
    group_by: OneOrMany,
    /// Adds columns `open`, `high`, `low` and `close`, and with `size` also `volume` and `vwap`.
    ohlc: Option<Ohlc>,
    /// Name of a column that comes out to what it measures, as in `aggregate`; `first` and `last` go by time.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, WrittenMetric>")]
    metrics: Unread,
    /// What it may use. Default: what the settings say, and 512 MiB of memory.
    #[serde(default)]
    limits: Limits,
}

/// Stands for a key that is read from the tree: metrics keep the order in which users write them, a column of an order has a short form.
#[derive(Default, Deserialize)]
struct Unread;

/// The columns of trades.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Ohlc {
    /// Column of prices.
    price: String,
    /// Column of traded sizes.
    size: Option<String>,
}

/// What a metric measures; all pass over nulls, and are null where there are no values.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used: metrics are read from the tree")]
struct WrittenMetric {
    /// Rows with a value in this column; `*` = all rows, as has `count` alone.
    count: Option<String>,
    /// Different values of this column.
    count_distinct: Option<String>,
    /// Sum of this column: exact for int and decimal, compensated for float. One that is too large for its type fails the run.
    sum: Option<String>,
    /// Mean of this column, a float.
    avg: Option<String>,
    /// The same as `avg`.
    mean: Option<String>,
    /// Least value; text by bytes, NaN above all numbers.
    min: Option<String>,
    /// Greatest value.
    max: Option<String>,
    /// Value of the first row, a null too.
    first: Option<String>,
    /// Value of the last row, a null too.
    last: Option<String>,
    /// With `first` and `last`: `keep` takes a null as the value, `skip` looks for the first or last row with a value. Default: `keep`.
    nulls: Option<NullValues>,
    /// Median of this column, a float. All values are held until the end.
    median: Option<String>,
    /// Quantile of this column at `q`, interpolated, a float. All values are held until the end.
    quantile: Option<String>,
    /// With `quantile`: the share of values below it, 0 to 1.
    q: Option<f64>,
    /// Mean of this column of prices weighted by `size`: Σ price · size / Σ size.
    vwap: Option<String>,
    /// With `vwap`: the column of sizes.
    size: Option<String>,
}

/// What `first` and `last` do with nulls.
#[derive(Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum NullValues {
    /// A null is a value.
    Keep,
    /// Rows without a value are passed over.
    Skip,
}

/// Keeps one row of those with the same key.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenDedupe {
    /// Columns that make the key, one or many. Default: all columns.
    #[serde(default)]
    key: OneOrMany,
    /// Which row of a key is kept. Default: `first`.
    #[serde(default)]
    keep: Keep,
    /// Columns by which the rows of a key are ordered before one is kept, as in `sort`. Default: rows stand as they came.
    #[serde(default)]
    #[schemars(with = "Vec<SortColumn>")]
    order_by: Unread,
    /// What it may use. Default: what the settings say, and 512 MiB of memory.
    #[serde(default)]
    limits: Limits,
}

/// Sorts all rows; those that are equal stay in the order in which they came.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenSort {
    /// Columns, the first one first: names, `-name` from greatest to least, or mappings.
    #[serde(default)]
    #[schemars(with = "Vec<SortColumn>", required)]
    by: Unread,
    /// What it may use. Default: what the settings say, and 512 MiB of memory.
    #[serde(default)]
    limits: Limits,
}

impl Lowering<'_> {
    /// `aggregate: {group_by: …, metrics: {…}}`
    pub(super) fn aggregate(&mut self, node: &Node) {
        if !self.has_keys("aggregate", node, "group_by: [symbol], metrics: {rows: count, total: {sum: price}}") {
            return;
        }
        let metrics = self.metrics(node, Vec::new());
        let Some(written) = self.rest::<WrittenAggregate>(node, &["metrics"]) else { return };
        let WrittenAggregate { group_by, metrics: Unread, limits } = written;
        self.check_columns(node, "group_by", &group_by.0);
        if node.given("metrics").is_none() {
            let hint = "write `metrics: {rows: count}`, or `dedupe` for the different rows only";
            self.findings.wrong(node, "the key `metrics` is missing in `aggregate`").hint = Some(hint.into());
        }
        self.check_names(node, &group_by.0, &metrics);
        self.gather(node, limits, Gather::Aggregate(Aggregate { group_by: group_by.0, metrics, memory_bytes: 0, late: false }));
    }

    /// `window: {time: …, size: …, …}`
    pub(super) fn window(&mut self, node: &Node) {
        if !self.has_keys("window", node, "time: ts, size: 1m, metrics: {rows: count}") {
            return;
        }
        let written = self.rest::<WrittenWindow>(node, &["metrics"]);
        let ohlc = written.as_ref().and_then(|written| written.ohlc.as_ref());
        let metrics = self.metrics(node, ohlc.map(ohlc_metrics).unwrap_or_default());
        let Some(written) = written else { return };
        let WrittenWindow { time, size, lateness, offset, group_by, ohlc, metrics: Unread, limits } = written;
        self.check_columns(node, "group_by", &group_by.0);
        if size.nanoseconds == 0 {
            let at = node.given("size").unwrap_or(node);
            self.findings.wrong(at, "`size` is `0s`, but a window has a length").hint = Some("write `size: 1m`".into());
        }
        if ohlc.is_none() && node.given("metrics").is_none() {
            let hint = "write `metrics: {rows: count}`, or `ohlc: {price: price, size: size}`";
            self.findings.wrong(node, "`window` measures nothing").hint = Some(hint.into());
        }
        let taken: Vec<String> = [WINDOW_START, WINDOW_END].map(str::to_owned).into_iter().chain(group_by.0.clone()).collect();
        self.check_names(node, &taken, &metrics);
        let window = Window { time, size, lateness, offset, group_by: group_by.0, metrics, memory_bytes: 0, late: false };
        self.gather(node, limits, Gather::Window(window));
    }

    /// `dedupe: {key: …, keep: …, order_by: …}`, `dedupe: [columns]`, `dedupe: column` or `dedupe: true`.
    pub(super) fn dedupe(&mut self, node: &Node) {
        let short = |key: Vec<String>| Dedupe { key, keep: Keep::First, order_by: Vec::new(), memory_bytes: 0, late: false };
        let (dedupe, limits) = match &node.value {
            Value::Bool(false) => return,
            Value::Bool(true) => (short(Vec::new()), Limits::default()),
            Value::List(_) => {
                let Some(key) = self.columns("dedupe", node) else { return };
                (short(key), Limits::default())
            }
            Value::Map(_) => {
                let order_by = node.given("order_by").map(|by| self.sort_columns("order_by", by)).unwrap_or_default();
                let Some(written) = self.rest::<WrittenDedupe>(node, &["order_by"]) else { return };
                let WrittenDedupe { key, keep, order_by: Unread, limits } = written;
                self.check_columns(node, "key", &key.0);
                (Dedupe { key: key.0, keep, order_by, memory_bytes: 0, late: false }, limits)
            }
            _ => match node.text() {
                Some(column) => (short(vec![column.to_owned()]), Limits::default()),
                None => {
                    self.has_keys("dedupe", node, "key: [id], keep: last");
                    return;
                }
            },
        };
        self.gather(node, limits, Gather::Dedupe(dedupe));
    }

    /// `sort: [column, -column, {column: …, order: …, nulls: …}]`, `sort: column`, or `sort: {by: …, limits: …}`.
    pub(super) fn sort(&mut self, node: &Node) {
        let is_one = node.get("column").is_some();
        let (by, limits) = match &node.value {
            Value::Map(_) if !is_one => {
                let Some(by) = node.given("by") else {
                    let hint = "write `sort: [ts, -price]`, in which `-` is from greatest to least";
                    if self.rest::<WrittenSort>(node, &["by"]).is_some() {
                        self.findings.wrong(node, "the key `by` is missing in `sort`").hint = Some(hint.into());
                    }
                    return;
                };
                let by = self.sort_columns("sort", by);
                let Some(WrittenSort { by: Unread, limits }) = self.rest::<WrittenSort>(node, &["by"]) else { return };
                (by, limits)
            }
            _ => (self.sort_columns("sort", node), Limits::default()),
        };
        self.gather(node, limits, Gather::Sort(Sort { by, memory_bytes: 0, late: false }));
    }

    /// Adds a step, unless something in it was wrong: then the run does not get as far.
    fn gather(&mut self, node: &Node, limits: Limits, gather: Gather) {
        check_limits(node.get("limits"), &limits, self.findings);
        self.push(node, Step::Gather(Box::new(Gathering { gather, limits })));
    }

    /// Whether a node is a mapping, which is noted if not.
    fn has_keys(&mut self, name: &str, node: &Node, example: &str) -> bool {
        if !node.is_map() && node.value != Value::Hole {
            let message = format!("`{name}` is {}, but must be a mapping", node.describe());
            self.findings.wrong(node, message).hint = Some(format!("write `{name}: {{{example}}}`"));
        }
        node.is_map()
    }

    /// Types what stands beside the keys that are read from the tree.
    fn rest<T: serde::de::DeserializeOwned>(&mut self, node: &Node, keys: &[&str]) -> Option<T> {
        let mut rest = node.clone();
        keys.iter().for_each(|key| drop(rest.take(key)));
        typed(rest, self.findings)
    }

    /// Notes a column that stands twice.
    fn check_columns(&mut self, node: &Node, key: &str, columns: &[String]) {
        let at = node.get(key).unwrap_or(node);
        for (index, column) in columns.iter().enumerate() {
            if columns[..index].contains(column) {
                let at = match &at.value {
                    Value::List(items) => items.get(index).unwrap_or(at),
                    _ => at,
                };
                self.findings.wrong(at, format!("`{column}` stands twice in `{key}`")).hint = Some("keep one of them".into());
            }
        }
    }

    /// Notes a metric whose name another column has.
    fn check_names(&mut self, node: &Node, taken: &[String], metrics: &[Metric]) {
        let written = node.given("metrics");
        for (index, metric) in metrics.iter().enumerate() {
            let is_taken = taken.contains(&metric.name) || metrics[..index].iter().any(|other| other.name == metric.name);
            if is_taken {
                let at = written.and_then(|written| written.get(&metric.name)).or(node.given("ohlc")).unwrap_or(node);
                let message = format!("two columns would have the name `{}`", metric.name);
                self.findings.wrong(at, message).hint = Some("give the metric another name".into());
            }
        }
    }

    /// The metrics of a step behind those that it has already.
    fn metrics(&mut self, node: &Node, mut metrics: Vec<Metric>) -> Vec<Metric> {
        let Some(written) = node.given("metrics") else { return metrics };
        if !written.is_map() && written.value != Value::Hole {
            let message = format!("`metrics` is {}, but must be a mapping of names to measures", written.describe());
            self.findings.wrong(written, message).hint = Some("write `metrics: {rows: count, total: {sum: price}}`".into());
        } else if written.entries().is_empty() {
            self.findings.wrong(written, "`metrics` measures nothing").hint = Some("write `metrics: {rows: count}`".into());
        }
        for (key, value) in written.entries() {
            if let Some(measure) = self.measure(&key.name, value) {
                metrics.push(Metric { name: key.name.clone(), measure });
            }
        }
        metrics
    }

    /// One metric: `count`, or a mapping with one measure and what belongs to it.
    fn measure(&mut self, name: &str, node: &Node) -> Option<Measure> {
        if let (Some(text), false) = (node.text(), node.is_map()) {
            return match text {
                "count" => Some(Measure::Rows),
                known if Measure::NAMES.contains(&known) => {
                    let message = format!("`{name}` is `{known}`, but does not say of which column");
                    self.findings.wrong(node, message).hint = Some(format!("write `{name}: {{{known}: column}}`"));
                    None
                }
                other => {
                    let hint = suggest(other, &Measure::NAMES, "measures are");
                    self.findings.wrong(node, format!("unknown measure `{}`", shorten(other))).hint = hint;
                    None
                }
            };
        }
        if !node.is_map() {
            let message = format!("`{name}` is {}, but must be `count` or a mapping such as `{{sum: price}}`", node.describe());
            self.findings.wrong(node, message);
            return None;
        }
        let mut sound = true;
        for (key, value) in node.entries() {
            if !Measure::NAMES.contains(&key.name.as_str()) && !["q", "size", "nulls"].contains(&key.name.as_str()) {
                let hint = suggest(&key.written, &Measure::NAMES, "measures are");
                self.findings.wrong_key(key, value, format!("unknown measure `{}`", key.written)).hint = hint;
                sound = false;
            }
        }
        let named: Vec<_> = node.entries().iter().filter(|(key, _)| Measure::NAMES.contains(&key.name.as_str())).collect();
        let (key, value) = match named.as_slice() {
            [(key, value)] => (key, value),
            [] => {
                if sound {
                    self.findings.wrong(node, format!("`{name}` says nothing to measure")).hint =
                        Some(format!("measures are {}", list(Measure::NAMES)));
                }
                return None;
            }
            several => {
                let names = list(several.iter().map(|(key, _)| key.written.as_str()));
                let message = format!("a metric has one measure, but `{name}` has {names}");
                self.findings.wrong(node, message).hint = Some("give each a name of its own".into());
                return None;
            }
        };
        let Some(column) = value.text().filter(|column| !column.is_empty()).map(str::to_owned) else {
            self.findings.wrong(value, format!("`{}` is {}, but must be the name of a column", key.written, value.describe()));
            return None;
        };
        for (extra, owners) in [("q", ["quantile"].as_slice()), ("size", &["vwap"]), ("nulls", &["first", "last"])] {
            if let (Some(at), false) = (node.get(extra), owners.contains(&key.name.as_str())) {
                self.findings.wrong(at, format!("`{extra}` belongs to {}, not to `{}`", list(owners.iter().copied()), key.written));
                sound = false;
            }
        }
        let skip_nulls = match node.given("nulls") {
            Some(nulls) => typed::<NullValues>(nulls.clone(), self.findings)? == NullValues::Skip,
            None => false,
        };
        let measure = match key.name.as_str() {
            "count" if column == "*" => Measure::Rows,
            "count" => Measure::Count(column),
            "count_distinct" => Measure::CountDistinct(column),
            "sum" => Measure::Sum(column),
            "avg" | "mean" => Measure::Avg(column),
            "min" => Measure::Min(column),
            "max" => Measure::Max(column),
            "first" => Measure::First { column, skip_nulls },
            "last" => Measure::Last { column, skip_nulls },
            "median" => Measure::Quantile { column, q: 0.5 },
            "quantile" => Measure::Quantile { column, q: self.share(node)? },
            _ => match node.given("size").and_then(Node::text) {
                Some(size) => Measure::Vwap { price: column, size: size.to_owned() },
                None => {
                    let message = format!("the key `size` is missing in `{name}`");
                    self.findings.wrong(node, message).hint = Some(format!("write `{name}: {{vwap: {column}, size: column}}`"));
                    return None;
                }
            },
        };
        sound.then_some(measure)
    }

    /// The `q` of a quantile.
    fn share(&mut self, node: &Node) -> Option<f64> {
        let Some(q) = node.given("q") else {
            let message = format!("the key `q` is missing in {}", node.quoted());
            self.findings.wrong(node, message).hint = Some("write `{quantile: column, q: 0.95}`".into());
            return None;
        };
        let share: f64 = typed(q.clone(), self.findings)?;
        if !(0.0..=1.0).contains(&share) {
            self.findings.wrong(q, format!("`q` is {}, but must be between 0 and 1", q.describe()));
            return None;
        }
        Some(share)
    }

    /// The columns of an order, in the short form or the long one.
    fn sort_columns(&mut self, name: &str, node: &Node) -> Vec<SortColumn> {
        let items = match &node.value {
            Value::List(items) => items.as_slice(),
            _ => std::slice::from_ref(node),
        };
        let mut columns: Vec<SortColumn> = Vec::new();
        if items.is_empty() {
            self.findings.wrong(node, format!("`{name}` names no column")).hint = Some(format!("write `{name}: [ts, -price]`"));
        }
        for item in items {
            let column = match item.text().filter(|text| !text.is_empty()) {
                Some(text) => SortColumn::short(text),
                None if item.is_map() => {
                    let Some(column) = typed::<SortColumn>(item.clone(), self.findings) else { continue };
                    column
                }
                None => {
                    let message = format!("a column of `{name}` is {}, but must be a name or a mapping", item.describe());
                    self.findings.wrong(item, message).hint =
                        Some(format!("write `{name}: [ts, {{column: price, order: desc, nulls: first}}]`"));
                    continue;
                }
            };
            if columns.iter().any(|other| other.column == column.column) {
                let message = format!("`{}` stands twice in `{name}`", column.column);
                self.findings.wrong(item, message).hint = Some("keep one of them".into());
            }
            columns.push(column);
        }
        columns
    }
}

/// What `ohlc` measures.
fn ohlc_metrics(ohlc: &Ohlc) -> Vec<Metric> {
    let Ohlc { price, size } = ohlc;
    let metric = |name: &str, measure: Measure| Metric { name: name.to_owned(), measure };
    let mut metrics = vec![
        metric("open", Measure::First { column: price.clone(), skip_nulls: true }),
        metric("high", Measure::Max(price.clone())),
        metric("low", Measure::Min(price.clone())),
        metric("close", Measure::Last { column: price.clone(), skip_nulls: true }),
    ];
    if let Some(size) = size {
        metrics.push(metric("volume", Measure::Sum(size.clone())));
        metrics.push(metric("vwap", Measure::Vwap { price: price.clone(), size: size.clone() }));
    }
    metrics
}
