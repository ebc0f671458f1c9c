//! Contracts by name, in the tables that `pycharter db init` (0.0.35) makes.

use serde_json::Value;

use crate::servers::postgres::{Database, PASSWORD};
use crate::support::Pipeline;

/// The tables with the columns that a contract is made of, as the models of pycharter have them; in PostgreSQL within the schema `pycharter`.
const TABLES: &str = "
CREATE TABLE schemas (id UUID PRIMARY KEY, title VARCHAR(255) NOT NULL, data_contract_id UUID NOT NULL, version VARCHAR(50) NOT NULL,
    schema_data JSON NOT NULL, created_at TIMESTAMP, updated_at TIMESTAMP, UNIQUE (title, version));
CREATE TABLE coercion_rules (id UUID PRIMARY KEY, title VARCHAR(255) NOT NULL, data_contract_id UUID NOT NULL, description VARCHAR(500),
    version VARCHAR(50) NOT NULL, rules JSON NOT NULL, schema_id UUID, created_at TIMESTAMP, updated_at TIMESTAMP);
CREATE TABLE validation_rules (id UUID PRIMARY KEY, title VARCHAR(255) NOT NULL, data_contract_id UUID NOT NULL, description VARCHAR(500),
    version VARCHAR(50) NOT NULL, rules JSON NOT NULL, schema_id UUID, created_at TIMESTAMP, updated_at TIMESTAMP);
CREATE TABLE data_contracts (id UUID PRIMARY KEY, name VARCHAR(255) NOT NULL, version VARCHAR(50) NOT NULL, status VARCHAR(50),
    description TEXT, schema_id UUID, coercion_rules_id UUID, validation_rules_id UUID, metadata_record_id UUID,
    created_at TIMESTAMP, updated_at TIMESTAMP, created_by VARCHAR(255), updated_by VARCHAR(255), UNIQUE (name, version));
";

/// Two versions of a contract, the second stricter, and one that has no schema yet.
fn rows() -> String {
    let id = |kind: u8, number: u8| format!("'00000000-0000-4000-8000-0000000{kind:02}0{number:02}'");
    let version = |number: u8, version: &str, minimum: u8| {
        let [contract, schema, coercion, rules] = [1, 2, 3, 4].map(|kind| id(kind, number));
        format!(
            "INSERT INTO schemas (id, title, data_contract_id, version, schema_data) VALUES ({schema}, 'orders', {contract}, '{version}', \
             '{{\"type\":\"object\",\"version\":\"{version}\",\"properties\":{{\"amount\":{{\"type\":\"number\",\"minimum\":{minimum}}}}}}}');\n\
             INSERT INTO coercion_rules (id, title, data_contract_id, version, rules) VALUES ({coercion}, 'orders_coercion_rules', {contract}, \
             '{version}', '{{\"amount\":\"coerce_to_float\"}}');\n\
             INSERT INTO validation_rules (id, title, data_contract_id, version, rules) VALUES ({rules}, 'orders_validation_rules', {contract}, \
             '{version}', '{{\"kind\":{{\"only_allow\":{{\"allowed_values\":[\"a\",\"b\"]}}}}}}');\n\
             INSERT INTO data_contracts (id, name, version, schema_id, coercion_rules_id, validation_rules_id) VALUES ({contract}, 'orders', \
             '{version}', {schema}, {coercion}, {rules});\n"
        )
    };
    format!(
        "{}{}INSERT INTO data_contracts (id, name, version) VALUES ({}, 'empty', '1.0.0');\n",
        version(1, "1.9.0", 0),
        version(2, "1.10.0", 3),
        id(1, 9)
    )
}

fn pipeline(validation: &str, settings: &str) -> Pipeline {
    Pipeline::of(("in.csv", "amount,kind\n5,a\n2,b\n-1,a\n7,x\n"), "", "out.jsonl")
        .with("load.yaml", format!("path: out.jsonl\nvalidation: {{{validation}, on_error: skip}}\n"))
        .with("settings.yaml", settings)
}

fn fill_sqlite(pipeline: &Pipeline, name: &str) {
    let store = rusqlite::Connection::open(pipeline.path(name)).unwrap();
    store.execute_batch(&format!("{TABLES}{}", rows())).unwrap();
}

fn amounts(pipeline: &Pipeline) -> Vec<i64> {
    pipeline.read("out.jsonl").lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["amount"].as_i64().unwrap()).collect()
}

const SQLITE: &str = "metadata_store: {type: sqlite, connection_string: 'sqlite:///contracts.db'}\n";

#[test]
fn a_contract_of_the_store_is_held_in_the_version_that_is_named_or_the_latest() {
    let latest = vec![5];
    let older = vec![5, 2];
    let database = Database::new();
    if let Some(database) = &database {
        database.sql(&format!("CREATE SCHEMA pycharter; SET search_path TO pycharter; {TABLES}{}", rows()));
    }
    let postgres =
        database.as_ref().map(|database| format!("metadata_store: {{type: postgres, connection_string: '{}'}}\n", database.url()));
    for store in [Some(SQLITE.to_owned()), Some("metadata_store: {type: sqlite, connection_string: contracts.db}\n".into()), postgres]
        .into_iter()
        .flatten()
    {
        for (validation, settings, expected) in [
            ("contract: {type: database, name: orders, version: 1.9.0}", "", &older),
            ("contract: {name: orders}", "", &latest),
            ("use_contract: true", "contract: orders\n", &latest),
            ("contract: {name: orders, version: 1.9.0}, use_contract: true", "contract: other\n", &older),
        ] {
            let pipeline = pipeline(validation, &format!("{store}{settings}"));
            fill_sqlite(&pipeline, "contracts.db");
            pipeline.run(0);
            assert_eq!(&amounts(&pipeline), expected, "{validation} {store}");
            let planned = pipeline.answer(&["plan", "--json"]);
            assert!(!format!("{planned:?}").contains(PASSWORD), "{planned:?}");
        }
    }
}

#[test]
fn a_contract_that_changed_in_the_store_is_another_plan() {
    let pipeline = pipeline("contract: {name: orders}", &format!("{SQLITE}contract: orders\n"));
    fill_sqlite(&pipeline, "contracts.db");
    let digest = || pipeline.run(0)["configuration"].clone();
    let before = digest();
    assert!(before.is_string());
    let store = rusqlite::Connection::open(pipeline.path("contracts.db")).unwrap();
    store.execute("UPDATE schemas SET schema_data = replace(schema_data, ':3}', ':4}')", []).unwrap();
    assert_ne!(digest(), before);
}

#[test]
fn a_contract_that_is_not_there_is_answered_with_those_that_are() {
    let answer = |validation: &str, settings: &str| {
        let pipeline = pipeline(validation, settings);
        fill_sqlite(&pipeline, "contracts.db");
        let answer = pipeline.answer(&["check"]);
        assert_eq!(answer.code, 2, "{answer:?}");
        answer.stderr
    };
    for (contract, said) in [
        (
            "contract: {name: ordrs}",
            "the metadata store `sqlite:///contracts.db` has no contract `ordrs`\n  hint: did you mean `orders`? it has `empty`, `orders`",
        ),
        (
            "contract: {name: orders, version: 2.0}",
            "the contract `orders` has no version `2.0` in the metadata store `sqlite:///contracts.db`\n  hint: its versions are `1.10.0`, `1.9.0`",
        ),
        ("contract: {name: empty}", "contract empty@1.0.0 has no schema in the metadata store"),
        ("use_contract: true", "`use_contract` is true, but the settings name no contract"),
        ("contract: {name: orders, path: x}", "`contract` has a `path` and a `name`"),
    ] {
        let found = answer(contract, SQLITE);
        assert!(found.contains(said), "{found}");
        assert!(found.contains("load.yaml:2:"), "{found}");
    }
    let none = answer("contract: {name: orders}", "name: x\n");
    assert!(none.contains("the contract `orders` is named, but the settings say of no metadata store that has it"), "{none}");
    let other = answer("contract: {name: orders}", "metadata_store: {type: mongodb, connection_string: 'mongodb://u:s3cret@h/d'}\n");
    assert!(other.contains("`metadata_store.type` is `mongodb`, which cannot be read; stores are `postgres` and `sqlite`"), "{other}");
    assert!(!other.contains("s3cret"), "{other}");
    let bare = answer("contract: {name: orders}", "metadata_store: {type: sqlite, connection_string: in.csv}\n");
    assert!(bare.contains("`sqlite:///in.csv` is no SQLite database"), "{bare}");
    let empty = pipeline("contract: {name: orders}", SQLITE);
    rusqlite::Connection::open(empty.path("contracts.db")).unwrap().execute_batch("CREATE TABLE t (a)").unwrap();
    let empty = empty.answer(&["run"]);
    assert!(empty.stderr.contains("`sqlite:///contracts.db` is no metadata store: it has no table `data_contracts`"), "{empty:?}");
    assert!(empty.stderr.contains("`pycharter db init` makes its tables"), "{empty:?}");
}

#[test]
fn a_store_that_does_not_answer_is_a_note_of_check_and_an_error_of_a_run() {
    let settings = "metadata_store: {type: postgres, connection_string: 'postgresql://etl:s3cret-word@127.0.0.1:1/contracts'}\n";
    let pipeline = pipeline("contract: {name: orders}", settings);
    let checked = pipeline.answer(&["check"]);
    assert_eq!(checked.code, 0, "{checked:?}");
    assert!(
        checked.stderr.contains("note: `validation.contract`: reading contract `orders` of `postgresql://etl:***@127.0.0.1:1/contracts`"),
        "{checked:?}"
    );
    let wrong = pipeline.with("extract.yaml", "path: in.csv\nbatch_sice: 1\n");
    let checked = wrong.answer(&["check"]);
    assert!(checked.code == 2 && checked.stderr.contains("batch_sice"), "{checked:?}");
    let run = wrong.with("extract.yaml", "path: in.csv\n").answer(&["run"]);
    assert_eq!(run.code, 3, "{run:?}");
    assert!(!format!("{checked:?}{run:?}").contains("s3cret-word"), "{run:?}");
}
