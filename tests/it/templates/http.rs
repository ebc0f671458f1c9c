//! `extract_http_*`, `extract_with_validation`, `transform_simple`, `pipeline_http_to_db`.

use serde_json::json;

use super::{came, releases, rewritten, run};
use crate::http_source::api::{Api, Asked, Reply};
use crate::servers::postgres::Database;
use crate::support::Pipeline;

const THEIRS: &str = "https://api.example.com";

/// Pages by number, of the size that is asked for, of so many records.
fn page<T>(asked: &Asked, all: usize, record: impl Fn(usize) -> T) -> Vec<T> {
    let size = asked.number("limit").unwrap();
    let start = (asked.number("page").unwrap() - 1) * size;
    (start.min(all)..(start + size).min(all)).map(record).collect()
}

#[test]
fn templates_that_ask_an_interface_run() {
    for release in releases() {
        let api = Api::start(|asked| {
            assert_eq!((asked.method.as_str(), asked.header("accept")), ("GET", Some("application/json")));
            assert_eq!(asked.param("api_key"), Some("k3y-of-mine"));
            match asked.path.as_str() {
                "/v1/users" if asked.param("page").is_some() => {
                    Reply::json(&json!({ "data": { "items": page(asked, 250, |id| json!({ "id": id })) } }))
                }
                "/v1/users" => {
                    assert_eq!(asked.header("user-agent"), Some("PyCharter-ETL/1.0"));
                    Reply::json(&json!([{ "id": 1 }, { "id": 2 }]))
                }
                "/v1/users/a%20b/orders" => Reply::json(&json!({ "data": { "orders": [{ "id": 7 }] } })),
                other => panic!("{other} was asked for"),
            }
        });
        let pipeline = |name| rewritten(release.extract(name), "extract.yaml", &[(THEIRS, &api.url(""))]);
        let ids = |pipeline: &Pipeline| -> Vec<u64> { came(pipeline).iter().map(|row| row["id"].as_u64().unwrap()).collect() };
        let key = [("API_KEY", "k3y-of-mine")];
        let simple = pipeline("extract_http_simple.yaml");
        run(&simple, &key, &[], 0);
        assert_eq!(ids(&simple), [1, 2]);
        let paginated = pipeline("extract_http_paginated.yaml");
        run(&paginated, &key, &[], 0);
        assert_eq!(ids(&paginated), (0..250).collect::<Vec<_>>());
        let in_path = pipeline("extract_http_path_params.yaml");
        run(&in_path, &key, &["--param", "user_id=a b"], 0);
        assert_eq!(ids(&in_path), [7]);
        assert_eq!(
            api.queries(),
            [
                "api_key=k3y-of-mine",
                "api_key=k3y-of-mine&limit=100&page=1",
                "api_key=k3y-of-mine&limit=100&page=2",
                "api_key=k3y-of-mine&limit=100&page=3",
                "api_key=k3y-of-mine&limit=100"
            ]
        );
    }
}

#[test]
fn a_template_that_checks_what_an_interface_gives_runs() {
    for release in releases().into_iter().filter(|release| release.has("extract_with_validation.yaml")) {
        let api = Api::start(|asked| {
            assert_eq!(asked.header("authorization"), Some("Bearer t0ps3cret"));
            Reply::json(&json!({ "data": { "orders": [{ "id": 1, "status": "pending" }, { "id": 2, "status": "lost" }] } }))
        });
        let schema = "type: object\nproperties:\n  id: {type: integer}\n  status: {type: string, enum: [pending, shipped]}\n";
        let pipeline = rewritten(release.extract("extract_with_validation.yaml"), "extract.yaml", &[(THEIRS, &api.url(""))])
            .with("source_schema.yaml", schema)
            .with("settings.yaml", release.text("settings.yaml"));
        run(&pipeline, &[("API_TOKEN", "t0ps3cret")], &[], 0);
        assert_eq!(came(&pipeline), [json!({ "id": 1, "status": "pending" })]);
        assert_eq!(pipeline.letters().len(), 1);
    }
}

#[test]
fn the_template_of_simple_operations_runs() {
    for release in releases() {
        let rows = "id,userId,first_name,last_name,email,oldFieldName,price,quantity,is_active,createdAt,_internal_id,_metadata\n\
                    1,7,Ada,Lovelace,a@x.example,old,1.5,2,true,2024-05-01T10:00:00Z,x,y\n";
        let pipeline = Pipeline::of(("rows.csv", rows), &release.text("transform_simple.yaml"), "out.jsonl");
        run(&pipeline, &[], &[], 0);
        let [row] = &came(&pipeline)[..] else { panic!("one row") };
        assert_eq!((&row["user_id"], &row["full_name"], &row["status"]), (&json!(7), &json!("Ada Lovelace"), &json!("pending")));
        assert!(row["processed_at"].is_string() && row.get("_internal_id").is_none(), "{row}");
    }
}

#[test]
fn the_template_from_an_interface_to_a_database_runs() {
    let Some(database) = Database::new() else { return };
    for release in releases() {
        let api = Api::start(|asked| {
            let user = |id: usize| json!({ "userId": id.to_string(), "firstName": "Ada", "lastName": format!("L{id}"), "email": "a@x.example", "createdAt": "2024-05-01T10:00:00Z" });
            Reply::json(&json!({ "data": { "users": page(asked, 130, user) } }))
        });
        database.sql(
            "DROP TABLE IF EXISTS users; CREATE TABLE users (user_id int PRIMARY KEY, first_name text, last_name text, full_name text, email text, \
             status text, created_at timestamptz, loaded_at timestamptz); INSERT INTO users VALUES (5, 'old'), (999, 'kept')",
        );
        let pipeline = Pipeline::new().with("pipeline.yaml", release.text("pipeline_http_to_db.yaml"));
        let pipeline = rewritten(pipeline, "pipeline.yaml", &[(THEIRS, &api.url(""))]);
        let report = run(&pipeline, &[("API_KEY", "k3y"), ("DATABASE_URL", &database.url())], &[], 0);
        assert_eq!(report["rows"]["loaded"], 130, "{report}");
        let seen = "SELECT count(*), count(loaded_at), min(created_at AT TIME ZONE 'UTC'), min(status) FROM users WHERE user_id < 130";
        assert_eq!(database.sql(seen), "130|130|2024-05-01 10:00:00|active\n");
        assert_eq!(database.sql("SELECT full_name, first_name FROM users WHERE user_id IN (5, 999) ORDER BY 1"), "Ada L5|Ada\n|kept\n");
        assert_eq!(api.count(), 2);
    }
}
