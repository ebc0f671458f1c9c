//! Parameters: of the run, of the URL, of the body; and the mark of a run that takes newer rows only.

use serde_json::{Value, json};

use super::api::{Api, Reply};
use super::{came, ids, pipeline, records, run};

#[test]
fn parameters_fill_the_url_and_the_rest_goes_into_the_query() {
    let api = Api::start(|_| Reply::json(&json!(records(0..1))));
    let filled = pipeline(&format!(
        "base_url: {}/\napi_endpoint: /users/{{user}}/orders\nparams: {{kind: [a, b], user: nobody, none: null, on: true, n: 1.5}}\ninput_params: {{user_id: {{required: true}}, day: {{}}, status: {{default: open}}}}\nparam_mapping: {{user_id: user}}\nheaders: {{X-Day: '${{day:-}}'}}\n",
        api.url("")
    ));
    assert_eq!(ids(&api, &filled, &["--param", "user_id=ä/b", "--param", "day=2024-01-01"]), [0]);
    let asked = api.asked().remove(0);
    assert_eq!(asked.path, "/users/%C3%A4%2Fb/orders");
    assert_eq!(asked.query, "kind=a&kind=b&on=true&n=1.5&status=open");
    assert_eq!(asked.header("x-day"), Some("2024-01-01"));
    let answer = run(&api, &filled, &["--param", "user_id=.."]);
    assert_eq!(answer.code, 2);
    insta::assert_snapshot!(answer.stderr, @r"
    error: `{user}` in the URL would be `..`, which makes another path of it
      hint: give the parameter `user` a value
    ");
}

#[test]
fn a_body_is_json_with_parameters_in_it() {
    let api = Api::start(|_| Reply::json(&json!({ "data": { "rows": records(0..2) } })));
    let posted = pipeline(&format!(
        "url: {}\nmethod: POST\nresponse_path: data.rows\ninput_params: {{since: {{type: int, default: 5}}}}\nbody: {{query: '{{ rows {{ id }} }}', variables: {{since: '{{since}}', other: '{{other}}'}}}}\n",
        api.url("/graphql")
    ));
    assert_eq!(ids(&api, &posted, &[]), [0, 1]);
    let asked = api.asked().remove(0);
    assert_eq!((asked.method.as_str(), asked.query.as_str(), asked.header("content-type")), ("POST", "", Some("application/json")));
    let body: Value = serde_json::from_str(&asked.body).unwrap();
    assert_eq!(body, json!({ "query": "{ rows { id } }", "variables": { "since": 5, "other": "{other}" } }));
}

#[test]
fn the_server_is_told_from_where_newer_rows_are_wanted() {
    let api = Api::start(|asked| {
        let since = asked.param("since").unwrap_or("").to_owned();
        let rows = [(1, "2024-01-01T10%3A00%3A00Z"), (2, "2024-01-02T10%3A00%3A00Z"), (3, "2024-01-03T10%3A00%3A00Z")];
        let newer = rows.into_iter().filter(|(_, at)| *at >= since.as_str());
        Reply::json(&newer.map(|(id, at)| json!({ "id": id, "at": at.replace("%3A", ":") })).collect())
    });
    let followed = pipeline(&format!(
        "url: {}\nincremental: {{cursor_field: at, initial_value: '2024-01-02T00:00:00Z', lag: 1h, param: since}}\n",
        api.url("/rows")
    ));
    let arguments = ["--state-dir", "state"];
    assert_eq!(ids(&api, &followed, &arguments), [2, 3]);
    assert_eq!(ids(&api, &followed, &arguments), [3]);
    assert_eq!(api.queries(), ["since=2024-01-02T00%3A00%3A00Z", "since=2024-01-03T09%3A00%3A00Z"]);
    let fresh = pipeline(&format!("url: {}\nincremental: {{cursor_field: at, param: since}}\n", api.url("/rows")));
    assert_eq!(run(&api, &fresh, &arguments).code, 0);
    assert_eq!(came(&fresh), [1, 2, 3]);
    assert_eq!(api.queries(), [""]);
}
