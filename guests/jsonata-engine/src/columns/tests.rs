use super::*;
use crate::Rows;

fn value(text: &str) -> Value {
    Value::from_json_str(text).expect("it is JSON")
}

/// The columns of rows: each with its type, then the rows as they read back.
fn made(rows: &[&str]) -> (Vec<String>, Vec<String>) {
    let mut columns = Columns::new();
    rows.iter().for_each(|row| columns.append(&value(row)).expect("it is an object"));
    let batch = columns.finish().expect("the columns fit");
    let types = batch.schema().fields().iter().map(|field| format!("{} {}", field.name(), field.data_type())).collect();
    (types, Rows::new(&batch).all().map(|row| row.to_json_string()).collect())
}

/// The type of one column of values, and what they read back as.
fn column(values: &[&str]) -> (String, Vec<String>) {
    let rows: Vec<String> = values.iter().map(|value| format!("{{\"v\":{value}}}")).collect();
    let (types, rows) = made(&rows.iter().map(String::as_str).collect::<Vec<_>>());
    let bare = |row: String| row.strip_prefix("{\"v\":").and_then(|row| row.strip_suffix('}')).expect("one column").to_owned();
    (types[0].strip_prefix("v ").expect("one column").to_owned(), rows.into_iter().map(bare).collect())
}

#[test]
fn columns_widen_along_the_lattice_of_the_json_source() {
    let cases: [(&[&str], &str, &[&str]); 14] = [
        (&["null", "null"], "Null", &["null", "null"]),
        (&["null", "true"], "Boolean", &["null", "true"]),
        (&["1", "null", "-2"], "Int64", &["1", "null", "-2"]),
        (&["1", "2.5"], "Float64", &["1", "2.5"]),
        (&["2.5", "1"], "Float64", &["2.5", "1"]),
        (&["100000000000000000", "1"], "Int64", &["\"100000000000000000\"", "1"]),
        (&["1e300"], "Float64", &["1e+300"]),
        (&["1", "true", "\"x\""], "Utf8", &["\"1\"", "\"true\"", "\"x\""]),
        (&["\"x\"", "2.5", "1e21"], "Utf8", &["\"x\"", "\"2.5\"", "\"1e+21\""]),
        (&["\"x\"", "[1]"], "Utf8", &["\"x\"", "[1]"]),
        (&["{}", "{}"], "Utf8", &["{}", "{}"]),
        (&["1", "\"2\"", "{\"a\":[{}, \"x\"]}"], "Utf8", &["1", "\"2\"", "{\"a\":[{},\"x\"]}"]),
        (&["[1, \"a\", {\"b\":{}}]"], "List(Utf8, metadata: {\"etl:text\": \"json\"})", &["[1,\"a\",{\"b\":{}}]"]),
        (&["[1, null]", "[]", "[2.5]"], "List(Float64)", &["[1,null]", "[]", "[2.5]"]),
    ];
    for (values, data_type, read) in cases {
        assert_eq!(column(values), (data_type.to_owned(), read.iter().map(|&text| text.to_owned()).collect()), "{values:?}");
    }
}

#[test]
fn objects_gather_their_members_and_become_text_beside_what_is_no_object() {
    let (types, rows) = made(&["{\"o\":{\"a\":1}}", "{\"o\":{\"b\":\"x\",\"a\":2.5}}", "{}", "{\"p\":[{\"c\":true},{}]}"]);
    assert_eq!(types, ["o Struct(\"a\": Float64, \"b\": Utf8)", "p List(Struct(\"c\": Boolean))"]);
    assert_eq!(rows, ["{\"o\":{\"a\":1}}", "{\"o\":{\"a\":2.5,\"b\":\"x\"}}", "{}", "{\"p\":[{\"c\":true},{}]}"]);
    // What was absent stays so, and what was null is written.
    assert_eq!(column(&["{\"a\":1,\"n\":null}", "{\"b\":[2]}", "7"]).1, ["{\"a\":1,\"n\":null}", "{\"b\":[2]}", "7"]);
}

#[test]
fn what_a_row_lacks_is_told_from_null_where_no_row_has_a_null_there() {
    assert_eq!(made(&["{\"a\":1,\"b\":null}", "{\"c\":2}", "{\"b\":3}"]).1, ["{\"a\":1,\"b\":null}", "{\"b\":null,\"c\":2}", "{\"b\":3}"]);
    // Batches of rows that lack something have the schema of those that do not.
    let schema = |rows: &[&str]| {
        let mut columns = Columns::new();
        rows.iter().for_each(|row| columns.append(&value(row)).expect("it is an object"));
        columns.finish().expect("the columns fit").schema()
    };
    assert_eq!(schema(&["{\"a\":1,\"b\":2}", "{\"a\":1}"]), schema(&["{\"a\":1,\"b\":2}"]));
}

#[test]
fn no_stand_in_for_half_a_character_gets_into_a_column() {
    // As text, in a list, beside a list, as a name; and names that are one then.
    let row = r#"{"t":"\ud83d","l":["a\ude00\ud83d"],"j":"\ud83d","\ud83d":1,"\ude00":2}"#;
    let (_, rows) = made(&[row, r#"{"j":["\ude00"]}"#]);
    let expected = "{\"t\":\"\u{fffd}\",\"l\":[\"a\u{fffd}\u{fffd}\"],\"j\":\"\u{fffd}\",\"\u{fffd}\":1}";
    assert_eq!(rows, [expected, "{\"j\":[\"\u{fffd}\"]}"]);
    // Halves that an expression put together are the character that they are halves of.
    let mut row = crate::value::Members::with_capacity(1);
    row.insert("t".into(), Value::string("\u{10d83d}\u{10de00}"));
    let mut columns = Columns::new();
    columns.append(&row.into_value()).expect("it is an object");
    let batch = columns.finish().expect("the columns fit");
    assert_eq!(Rows::new(&batch).row(0).to_json_string(), "{\"t\":\"😀\"}");
}

#[test]
fn what_is_too_deep_or_too_wide_for_columns_is_json_text() {
    let deep = format!("{}1{}", "[".repeat(20), "]".repeat(20));
    let (data_type, _) = column(&[&deep]);
    assert_eq!(data_type.matches("List(").count(), 16);
    assert!(data_type.contains("Utf8"), "{data_type}");
    let wide: Vec<String> = (0..600).map(|number| format!("\"k{number}\":{number}")).collect();
    let wide = format!("{{{}}}", wide.join(","));
    assert_eq!(column(&[&wide]), ("Utf8".into(), vec![wide]));
    let mut columns = Columns::new();
    let many: Vec<String> = (0..5000).map(|number| format!("\"k{number}\":{number}")).collect();
    columns.append(&value(&format!("{{{}}}", many.join(",")))).expect("it is an object");
    let error = columns.finish().expect_err("there are too many");
    assert_eq!(error.to_string(), "Schema error: 5000 columns came out, but a batch has at most 4096");
}

#[test]
fn what_is_no_object_is_no_row() {
    let mut columns = Columns::with_names(["b", "a"]);
    assert_eq!(columns.append(&value("[1]")), Err(NoRow::NotAnObject("a list")));
    let long = format!("{{\"{}\":1}}", "x".repeat(256));
    assert_eq!(columns.append(&value(&long)), Err(NoRow::LongName(256)));
    columns.append(&value("{\"a\":1}")).expect("it is an object");
    let batch = columns.finish().expect("the columns fit");
    let names: Vec<_> = batch.schema().fields().iter().map(|field| format!("{} {}", field.name(), field.data_type())).collect();
    assert_eq!((batch.num_rows(), names), (1, vec!["b Null".to_owned(), "a Int64".to_owned()]));
}
