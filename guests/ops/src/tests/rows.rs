//! Steps that choose, look up and reshape.

use super::*;

#[test]
fn filters_keep_the_rows_that_compare() {
    let input = batch(vec![
        ("id", ints([Some(0), Some(1), Some(2), Some(3)])),
        ("n", ints([Some(-1), Some(5), Some(10), None])),
        ("f", floats([Some(-1.5), Some(5.0), Some(f64::NAN), None])),
        ("t", texts([Some("apple"), Some("10"), Some(""), None])),
        ("b", bools([Some(true), Some(false), Some(true), None])),
        ("s", Arc::new(TimestampMicrosecondArray::from(vec![Some(0), Some(1), Some(86_400_000_000), None]).with_timezone("UTC"))),
        ("d", Arc::new(Date32Array::from(vec![Some(0), Some(1), Some(2), None]))),
        ("m", Arc::new(Decimal128Array::from(vec![Some(-150), Some(500), Some(501), None]).with_precision_and_scale(10, 2).expect("fits"))),
        ("i", Arc::new(Int32Array::from(vec![Some(1), Some(2), Some(3), None]))),
        ("l", lists([Some(vec![Some(1), None]), Some(vec![]), Some(vec![Some(2)]), None])),
    ]);
    let cases: Vec<(&str, &str, Value, &[i64])> = vec![
        ("n", "eq", json!(5), &[1]),
        ("n", "ne", json!(5), &[0, 2]),
        ("n", "gt", json!(4.5), &[1, 2]),
        ("n", "gte", json!(5), &[1, 2]),
        ("n", "lt", json!(-0.5), &[0]),
        ("n", "lte", json!("5"), &[0, 1]),
        ("n", "gt", json!(-1.5), &[0, 1, 2]),
        ("n", "lt", json!(-1.5), &[]),
        ("n", "lt", json!(1e30), &[0, 1, 2]),
        ("n", "gt", json!(-1e300), &[0, 1, 2]),
        ("n", "eq", json!(1e300), &[]),
        ("n", "in", json!([5, "10", null, 5.5]), &[1, 2]),
        ("n", "not_in", json!([5]), &[0, 2]),
        ("n", "in", json!(5), &[1]),
        ("n", "not_in", json!([]), &[0, 1, 2]),
        ("n", "contains", json!(1), &[0, 2]),
        ("n", "is_null", Value::Null, &[3]),
        ("n", "is_not_null", Value::Null, &[0, 1, 2]),
        ("f", "eq", json!(5), &[1]),
        ("f", "ne", json!(5), &[0, 2]),
        ("f", "lt", json!(0), &[0]),
        ("f", "gte", json!(-1.5), &[0, 1]),
        ("t", "eq", json!("apple"), &[0]),
        ("t", "eq", json!(10), &[1]),
        ("t", "gt", json!("1"), &[0, 1]),
        ("t", "ne", json!(""), &[0, 1]),
        ("t", "in", json!(["", "apple", 7]), &[0, 2]),
        ("t", "not_in", json!(["apple"]), &[1, 2]),
        ("t", "contains", json!("p"), &[0]),
        ("t", "not_contains", json!("p"), &[1, 2]),
        ("t", "contains", json!(""), &[0, 1, 2]),
        ("b", "eq", json!(true), &[0, 2]),
        ("b", "eq", json!("no"), &[1]),
        ("b", "in", json!([true, false]), &[0, 1, 2]),
        ("s", "gt", json!("1970-01-01"), &[1, 2]),
        ("s", "eq", json!("1970-01-02T02:00:00+02:00"), &[2]),
        ("d", "lte", json!("1970-01-02"), &[0, 1]),
        ("d", "in", json!(["1970-01-01"]), &[0]),
        ("m", "eq", json!(5), &[1]),
        ("m", "gt", json!(5), &[2]),
        ("m", "gt", json!("5.005"), &[2]),
        ("m", "lt", json!(-1.499), &[0]),
        ("m", "lte", json!(-1.501), &[]),
        ("i", "gte", json!(2), &[1, 2]),
        ("l", "contains", json!(2), &[2]),
        ("l", "not_contains", json!(2), &[0, 1]),
        ("l", "is_null", Value::Null, &[3]),
    ];
    for (field, operator, value, expected) in cases {
        let steps = json!([{"filter": {"field": field, "operator": operator, "value": value}}, {"select": ["id"]}]);
        let lines: Vec<String> = expected.iter().map(|id| format!("{{\"id\":{id}}}")).collect();
        assert_eq!(run(steps, &input), lines, "{field} {operator} {value}");
    }
    let wrong = |field: &str, operator: &str, value: Value| {
        problems(json!([{"filter": {"field": field, "operator": operator, "value": value}}]), &input).remove(0)
    };
    assert_eq!(
        wrong("n", "eq", json!(null)),
        "steps[0].filter.value filter_value: null compares with nothing | use the operator `is_null`"
    );
    assert_eq!(wrong("n", "eq", json!([1])), "steps[0].filter.value filter_value: a list is compared with `in` or `not_in` only");
    assert_eq!(wrong("n", "gt", json!("x")), "steps[0].filter.value filter_value: the column is int and `x` is not");
    assert_eq!(
        wrong("s", "gt", json!("x")),
        "steps[0].filter.value filter_value: the column is datetime and `x` is not | write it as `2024-01-15T10:30:00Z` or `2024-01-15`"
    );
    assert_eq!(
        wrong("l", "eq", json!(1)),
        "steps[0].filter.value filter_value: a column of type list is not compared | only `is_null` and `is_not_null` work on it"
    );
}

#[test]
fn map_looks_values_up() {
    let input = batch(vec![("c", texts([Some("a"), Some("b"), Some("z"), None])), ("n", ints([Some(1), Some(2), Some(3), None]))]);
    let map = |field: &str, mapping: Value, default: Option<Value>| {
        let mut map = json!({"field": field, "mapping": mapping});
        // One that is null is one.
        default.into_iter().for_each(|default| map["default"] = default);
        json!([{"map": map}, {"select": [field]}])
    };
    assert_eq!(
        run(map("c", json!([["b", "Bee"], ["a", "Ay"]]), Some(Value::Null)), &input),
        [r#"{"c":"Ay"}"#, r#"{"c":"Bee"}"#, r#"{"c":null}"#, r#"{"c":null}"#]
    );
    assert_eq!(
        run(map("c", json!([["b", "Bee"], ["a", "Ay"]]), None), &input),
        [r#"{"c":"Ay"}"#, r#"{"c":"Bee"}"#, r#"{"c":"z"}"#, r#"{"c":null}"#]
    );
    assert_eq!(
        run(map("c", json!([["a", 1], ["b", 2]]), Some(json!(0))), &input),
        [r#"{"c":1}"#, r#"{"c":2}"#, r#"{"c":0}"#, r#"{"c":null}"#]
    );
    assert_eq!(
        run(map("n", json!([["1", "one"], ["2", true]]), None), &input),
        [r#"{"n":"one"}"#, r#"{"n":"true"}"#, r#"{"n":"3"}"#, r#"{"n":null}"#]
    );
    assert_eq!(run(map("n", json!([["1", 0.5]]), None), &input), [r#"{"n":0.5}"#, r#"{"n":2.0}"#, r#"{"n":3.0}"#, r#"{"n":null}"#]);
}

#[test]
fn unnest_makes_a_row_of_each_item() {
    let input = batch(vec![
        ("id", ints([Some(1), Some(2), Some(3), Some(4)])),
        ("l", lists([Some(vec![Some(7), None, Some(8)]), None, Some(vec![]), Some(vec![Some(9)])])),
        ("t", texts([Some("1"), Some("2"), Some("3"), Some("x")])),
    ]);
    let all = [
        r#"{"id":1,"l":7,"t":"1"}"#,
        r#"{"id":1,"l":null,"t":"1"}"#,
        r#"{"id":1,"l":8,"t":"1"}"#,
        r#"{"id":2,"l":null,"t":"2"}"#,
        r#"{"id":3,"l":null,"t":"3"}"#,
        r#"{"id":4,"l":9,"t":"x"}"#,
    ];
    assert_eq!(run(json!([{"unnest": "l"}]), &input), all);
    let steps = json!([
        {"filter": {"field": "id", "operator": "ne", "value": 3}},
        {"add": [["before", "${id}!"]]},
        {"unnest": "l"},
        {"convert": {"fields": [["t", "int"]], "on_error": "reject"}},
        {"filter": {"field": "l", "operator": "is_not_null"}},
        {"add": [["after", "${before}${l}"]]},
        {"select": ["after", "t"]},
    ]);
    assert_eq!(
        run(steps, &input),
        [r#"{"after":"1!7","t":1}"#, r#"{"after":"1!8","t":1}"#, "!3 convert_int cannot convert `x` in column `t` to int"]
    );
    // A reject behind it takes the input row with it, once.
    let items = batch(vec![("l", nested(&[json!(["1", "a", "b"]), json!(["2"])]))]);
    assert_eq!(
        run(json!([{"unnest": "l"}, {"convert": {"fields": [["l", "int"]], "on_error": "reject"}}]), &items),
        [r#"{"l":2}"#, "!0 convert_int cannot convert `a` in column `l` to int"]
    );
    let twice = batch(vec![("l", nested(&[json!([[1, 2], [3]])]))]);
    assert_eq!(run(json!([{"unnest": "l"}, {"unnest": "l"}]), &twice), [r#"{"l":1}"#, r#"{"l":2}"#, r#"{"l":3}"#]);
}
