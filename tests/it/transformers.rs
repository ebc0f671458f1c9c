//! Several transformers over one extract, each with a load of its own.

mod alone;
mod checkpoints;
mod commands;
mod config;
mod letters;
mod sources;

use serde_json::Value;

use crate::support::Pipeline;

/// Rows of CSV: `id,country,price`; every hundredth price is no number.
pub(crate) fn orders(rows: usize) -> String {
    let mut text = String::from("id,country,price\n");
    for id in 0..rows {
        let price = if id % 100 == 99 { "free".to_owned() } else { format!("{}.5", id % 40) };
        text.push_str(&format!("{id:06},{},{price}\n", ["DE", "FR", "IT"][id % 3]));
    }
    text
}

/// Two transformers that want different things of the same columns.
pub(crate) const TWO: &str = "\
transformers:
  daily:
    transform:
      - convert: {price: float}
      - add: {label: 'order ${id}'}
    load: {path: out/daily.csv}
  german:
    convert: {id: str, price: str}
    filter: {field: country, operator: eq, value: DE}
    load: {path: out/german.jsonl}
";

/// A directory with several transformers over `orders.csv`.
pub(crate) fn pipeline(transform: &str) -> Pipeline {
    Pipeline::new()
        .with("orders.csv", orders(1000))
        .with("extract.yaml", "type: file\npath: orders.csv\nbatch_size: 50\n")
        .with("transform.yaml", transform)
        .with("load.yaml", "type: file\n")
}

/// What the report says of a transformer.
pub(crate) fn part<'a>(report: &'a Value, name: &str) -> &'a Value {
    let parts = report["transformers"].as_array().unwrap();
    parts.iter().find(|part| part["name"] == name).unwrap_or_else(|| panic!("`{name}` is not in {report}"))
}
