//! What is done with rows once they are there: merged, published.

use serde_json::{Value, json};

use super::{Kind, Place, every, pipeline};

fn merged(place: &Place, rule: &str) -> (String, Value) {
    place.sql(
        "DROP TABLE IF EXISTS orders; DROP TABLE IF EXISTS customers; CREATE TABLE customers (id int PRIMARY KEY, name varchar(20), city varchar(20), kept int); \
         INSERT INTO customers VALUES (1, 'Ada', NULL, 7), (9, 'Old', 'Rome', 8)",
    );
    let csv = "order_id,customer,name,city,day\n10,1,ada,Bern,2024-05-01\n11,1,Ada L,,2024-05-02\n12,2,Grace,York,2024-05-01\n13,,Nobody,Oslo,2024-05-01\n14,3,Skip,Ulm,2024-05-01\n";
    let load = format!(
        "primary_key: order_id\nmerge:\n- into: customers\n  key: [id]\n  columns: {{id: customer, name: upper(name), city: city}}\n  where: name <> 'Skip'\n  latest_by: day\n  rule: {rule}\n"
    );
    let report = pipeline(csv, place, &load).with("transform.yaml", "convert: {day: date}\n").run(0);
    (place.sql("SELECT id, name, city, kept FROM customers ORDER BY id"), report)
}

#[test]
fn staged_rows_are_merged_into_canonical_tables_and_counted() {
    for place in every() {
        let cases = [
            ("update", "1|ADA L||7\n2|GRACE|YORK|\n9|Old|Rome|8\n", 1),
            ("update_known", "1|ADA L||7\n2|GRACE|YORK|\n9|Old|Rome|8\n", 1),
            ("fill", "1|Ada||7\n2|GRACE|YORK|\n9|Old|Rome|8\n", 1),
            ("keep", "1|Ada||7\n2|GRACE|YORK|\n9|Old|Rome|8\n", 0),
        ];
        for (rule, expected, updated) in cases {
            let (found, report) = merged(&place, rule);
            assert_eq!(found, expected.replace("YORK", "York"), "{:?} {rule}", place.kind());
            let customers = json!({ "table": "customers", "inserted": 1, "updated": updated, "deleted": 0, "left_out": 1 });
            assert_eq!(report["output"]["tables"][1], customers, "{:?} {rule}", place.kind());
            let phase = report["phases"].as_array().unwrap().iter().find(|phase| phase["name"] == "merge").unwrap();
            assert_eq!((&phase["status"], &phase["rows_out"]), (&json!("success"), &json!(1 + updated)), "{phase}");
        }
    }
}

#[test]
fn a_merge_that_fails_undoes_the_load() {
    for place in every() {
        place.sql("CREATE TABLE customers (id int PRIMARY KEY, name varchar(20) NOT NULL)");
        let load = "write_method: insert\nmerge: [{into: customers, key: [id]}]\n";
        let answer = pipeline("id,name\n1,Ada\n2,\n", &place, load).answer(&["run"]);
        assert_eq!(answer.code, 1, "{answer:?}");
        assert!(answer.stderr.contains("cannot merge `orders` into `customers`"), "{answer:?}");
        assert_eq!(place.sql("SELECT count(*) FROM customers"), "0\n");
        // Of a merge no letter is written.
        assert!(place.kind() != Kind::Postgres || answer.stderr.contains("Failing row contains (2, null)"), "{answer:?}");
        if place.kind() == Kind::Mariadb {
            // It made the table before the transaction, since there it would have ended it.
            assert_eq!(place.sql("SELECT count(*) FROM orders"), "0\n");
        }
        let answer = pipeline("id,name\n1,Ada\n", &place, "merge: [{into: nowhere, key: [id]}]\nwrite_method: insert\n").answer(&["run"]);
        assert_eq!(answer.code, 2, "{answer:?}");
        assert!(answer.stderr.contains("`merge` names the table `nowhere`, which is not there"), "{answer:?}");
    }
}

#[test]
fn what_is_published_has_its_own_results_and_fails_the_run_only_where_all_of_it_fails() {
    for place in every() {
        let good = "INSERT INTO seen SELECT count(*) FROM orders";
        for (publish, code, status, seen) in [
            (vec![good], 0, "success", "2\n"),
            (vec!["SELEC nothing at all", good], 4, "partial_success", "2\n"),
            (vec!["SELEC nothing at all", "INSERT INTO nowhere VALUES (1)"], 1, "failed", ""),
        ] {
            place.sql("DROP TABLE IF EXISTS orders; DROP TABLE IF EXISTS seen; CREATE TABLE seen (n int)");
            let report = pipeline("id\n1\n2\n", &place, &format!("write_method: insert\npublish: {}\n", json!(publish))).run(code);
            assert_eq!(report["status"], status, "{report}");
            assert_eq!(place.sql("SELECT n FROM seen"), seen);
            // The rows are there whatever came of it.
            assert_eq!(place.sql("SELECT count(*) FROM orders"), "2\n");
            let phase = report["phases"].as_array().unwrap().iter().find(|phase| phase["name"] == "publish").unwrap();
            assert_eq!(phase["status"], if code == 0 { "success" } else { "failed" }, "{phase}");
            let failed = report["output"]["published"].as_array().unwrap().iter().filter(|done| !done["error"].is_null()).count();
            assert_eq!(failed, publish.iter().filter(|sql| **sql != good).count());
        }
    }
}

#[test]
fn a_materialized_view_is_refreshed_by_its_name() {
    for place in every() {
        if place.kind() != Kind::Postgres {
            let answer = pipeline("id\n1\n", &place, "publish: [totals]\n").answer(&["run"]);
            assert_eq!(answer.code, 2, "{answer:?}");
            assert!(answer.stderr.contains("only PostgreSQL has views that are refreshed"), "{answer:?}");
            continue;
        }
        place.sql("CREATE TABLE orders (id int); CREATE MATERIALIZED VIEW totals AS SELECT count(*) AS n FROM orders");
        pipeline("id\n1\n2\n", &place, "publish: [totals]\n").run(0);
        assert_eq!(place.sql("SELECT n FROM totals"), "2\n");
    }
}

#[test]
fn staged_rows_without_a_key_are_counted_and_told() {
    for place in every() {
        place.sql("CREATE TABLE customers (id int PRIMARY KEY, name varchar(20))");
        let load = "write_method: truncate_and_load\nmerge: [{into: customers, key: [id], columns: {id: cid, name: upper(name)}, latest_by: seen}]\n";
        let pipeline = pipeline("cid,name,seen\n1,a,1\n1,b,2\n,c,3\n2,d,4\n", &place, load);
        let report = pipeline.run(0);
        let customers = json!({ "table": "customers", "inserted": 2, "updated": 0, "deleted": 0, "left_out": 1 });
        assert_eq!(report["output"]["tables"][1], customers, "{:?}", place.kind());
        let told = pipeline.answer(&["run"]);
        let text = format!("{}{}", told.stdout, told.stderr);
        assert!(text.contains("customers: 2 updated, 1 left out, since their key is null"), "{text}");
        assert_eq!(text.matches("staged rows were left out of the merge").count(), 1, "{text}");
    }
}

#[test]
fn a_dry_run_looks_for_what_is_merged() {
    for place in every() {
        place.sql("CREATE TABLE customers (id int PRIMARY KEY, name varchar(20)); CREATE TABLE orders (id int)");
        for (merge, told) in [
            ("{into: nowhere, key: [id]}", "`merge` names the table `nowhere`, which is not there"),
            ("{into: customers, key: [ident]}", "`merge` names the column `ident` of `customers`"),
            // The column of the rows would be added to the table.
            ("{into: customers, key: [id]}", ""),
        ] {
            let pipeline = pipeline("id,name\n1,Ada\n", &place, &format!("write_method: insert\nmerge: [{merge}]\n"));
            let answer = pipeline.answer(&["run", "--dry-run"]);
            assert_eq!(answer.code, if told.is_empty() { 0 } else { 2 }, "{:?} {answer:?}", place.kind());
            assert!(answer.stderr.contains(told), "{answer:?}");
        }
        assert_eq!(place.sql("SELECT count(*) FROM orders"), "0\n");
    }
}
