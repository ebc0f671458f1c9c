//! Refused rows of several transformers in one queue.

use serde_json::Value;

use super::{orders, part, pipeline};
use crate::support::{Answer, Pipeline, answer, program};

/// Both refuse rows: one prices that are no numbers, the other countries that are no numbers, and all refuse the row that does not parse.
const BOTH: &str = "\
transformers:
  prices:
    convert: {price: float}
    load: {path: prices.csv}
  countries:
    convert: {country: int}
    load: {path: countries.csv}
";

fn both() -> Pipeline {
    let rows = orders(300).replace("000007,FR,7.5\n", "000007,FR\n").replace(",IT,", ",39,");
    pipeline(BOTH).with("orders.csv", rows)
}

fn dlq(pipeline: &Pipeline, arguments: &[&str]) -> Answer {
    answer(program().current_dir(pipeline.path("")).arg("dlq").args(arguments))
}

fn by_transformer(letters: &[Value], name: &str) -> usize {
    letters.iter().filter(|letter| letter["metadata"]["transformer"] == name).count()
}

#[test]
fn letters_of_all_go_to_one_queue_with_the_name_of_their_transformer() {
    let pipeline = both();
    let report = pipeline.run(0);
    assert_eq!(pipeline.names().iter().filter(|name| name.starts_with("dlq/")).count(), 1, "{:?}", pipeline.names());
    let letters = pipeline.letters();
    // A row that does not parse is refused by each.
    assert_eq!((by_transformer(&letters, "prices"), by_transformer(&letters, "countries")), (4, 200));
    assert_eq!(letters.len(), 204);
    let mut ids: Vec<&Value> = letters.iter().map(|letter| &letter["id"]).collect();
    ids.sort_by_key(|id| id.to_string());
    ids.dedup();
    assert_eq!(ids.len(), 204, "each has an id of its own");
    for name in ["prices", "countries"] {
        assert_eq!(part(&report, name)["rows"]["rejected"].as_u64().unwrap() as usize, by_transformer(&letters, name));
    }
    let listed = dlq(&pipeline, &["list", ".", "--transformer", "prices", "--json"]);
    assert_eq!(listed.stdout.lines().count(), 4, "{listed:?}");
    let pipeline_of: Vec<&Value> = letters.iter().map(|letter| &letter["pipeline"]).collect();
    assert!(pipeline_of.iter().all(|name| *name == pipeline_of[0]));
}

#[test]
fn a_table_of_letters_takes_those_of_all() {
    let pipeline = both().with("settings.yaml", "dlq: {backend: database, connection_string: 'sqlite:///letters.db'}\n");
    pipeline.run(0);
    let connection = rusqlite::Connection::open(pipeline.path("letters.db")).unwrap();
    let count: i64 = connection.query_row("SELECT count(*) FROM dead_letter_queue", (), |row| row.get(0)).unwrap();
    assert_eq!(count, 204);
}

#[test]
fn a_letter_is_replayed_through_its_own_transformer_only() {
    let pipeline = both();
    pipeline.run(0);
    let (prices, countries) = (pipeline.read("prices.csv"), pipeline.read("countries.csv"));
    // The rule for prices is mended.
    let pipeline = pipeline.with("transform.yaml", BOTH.replace("convert: {price: float}", "convert: {price: str}"));
    let replayed = dlq(&pipeline, &["replay", ".", "--json"]);
    assert_eq!(replayed.code, 1, "countries are still no numbers, and a text never became a row: {replayed:?}");
    let after = pipeline.read("prices.csv");
    assert!(after.starts_with(&prices), "rows are added");
    assert_eq!(after.lines().count(), prices.lines().count() + 3);
    assert_eq!(pipeline.read("countries.csv"), countries);
    let letters = pipeline.letters();
    let resolved: Vec<&Value> = letters.iter().filter(|letter| letter["status"] == "resolved").collect();
    assert_eq!(resolved.len(), 3);
    assert!(resolved.iter().all(|letter| letter["metadata"]["transformer"] == "prices"));
    // Once more: nothing is sent twice.
    let again = dlq(&pipeline, &["replay", ".", "--transformer", "prices"]);
    assert_eq!(again.code, 1, "{again:?}");
    assert_eq!(pipeline.read("prices.csv"), after);
    let wrong = dlq(&pipeline, &["replay", ".", "--transformer", "price"]);
    assert_eq!(wrong.code, 2, "{wrong:?}");
    assert!(
        wrong.stderr.contains("the pipeline has no transformer `price`") && wrong.stderr.contains("`prices`, `countries`"),
        "{wrong:?}"
    );
}

#[test]
fn letters_of_a_transformer_that_is_gone_are_told_and_stay() {
    let pipeline = both();
    pipeline.run(0);
    let pipeline =
        pipeline.with("transform.yaml", "transformers:\n  countries:\n    convert: {country: str}\n    load: {path: countries.csv}\n");
    let replayed = dlq(&pipeline, &["replay", "."]);
    assert!(replayed.stderr.contains("4 not sent: the pipeline has no transformer `prices` any more"), "{replayed:?}");
    assert_eq!(by_transformer(&pipeline.letters(), "prices"), 4);
}
