//! Rows in tables of real databases: what every one of them promises.

mod after;
pub(crate) mod again;
mod bent;
mod crash;
mod deadlock;
mod deferred;
mod exact;
mod known;
mod methods;
mod place;
mod refused;
mod strange;
mod tables;
mod through;
mod time;
mod told;

use place::{Kind, Place, every};

use crate::support::Pipeline;

/// A pipeline that loads a CSV file into the table `orders`.
fn pipeline(csv: &str, place: &Place, load: &str) -> Pipeline {
    Pipeline::new()
        .with("in.csv", csv)
        .with("extract.yaml", "path: in.csv\n")
        .with("load.yaml", format!("type: database\ntable: orders\nconnection_string: {}\n{load}", place.url()))
}

/// For each dead letter: the row of the input, the code and the message.
fn letters(pipeline: &Pipeline) -> Vec<(u64, String, String)> {
    let of = |letter: &serde_json::Value| {
        let text = |name: &str| letter[name].as_str().unwrap_or_default().to_owned();
        (letter["metadata"]["row"].as_u64().unwrap(), text("error_type"), text("message"))
    };
    let mut letters: Vec<(u64, String, String)> = pipeline.letters().iter().map(of).collect();
    letters.sort();
    letters
}
