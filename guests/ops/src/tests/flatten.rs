//! Objects and lists as columns.

use etl_sdk::testing;

use super::*;
use crate::Flatten;

/// What comes out of a batch: a line of JSON a row. The first is the schema where it is known before the rows.
fn flatten(options: &Value, input: &RecordBatch) -> Vec<String> {
    let (mut flatten, plan) = testing::configure::<Flatten>(options, &input.schema()).unwrap_or_else(|errors| panic!("{errors:?}"));
    let made = testing::process(&mut flatten, &plan, input).unwrap_or_else(|error| panic!("{error:?}"));
    let [(rows, _)] = made.batches.as_slice() else { panic!("{made:?}") };
    if let Some(schema) = plan.output() {
        assert_eq!(schema, &rows.schema());
    }
    let objects: ArrayRef = Arc::new(StructArray::from(rows.clone()));
    let line = |row| {
        let mut out = Vec::new();
        values::write(&mut out, &objects, row);
        String::from_utf8(out).expect("UTF-8")
    };
    (0..rows.num_rows()).map(line).collect()
}

/// As [`flatten`], of one column in the words of the oldest dialect.
fn column(name: &str, options: &Value, input: &RecordBatch) -> Vec<String> {
    flatten(&json!({"each": [{"name": name, "renamed": null, "options": options}]}), input)
}

#[test]
fn members_become_columns() {
    let pairs: ArrayRef = Arc::new(FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>([Some([Some(1.0), Some(2.0)]), None], 2));
    let input = batch(vec![
        ("id", ints([Some(1), Some(2)])),
        ("o", nested(&[json!({"p": {"q": 1, "r": "x"}, "s": null}), Value::Null])),
        ("v", pairs),
    ]);
    let cases = [
        (
            json!({}),
            [r#"{"id":1,"o_p_q":1,"o_p_r":"x","o_s":null,"v":[1.0,2.0]}"#, r#"{"id":2,"o_p_q":null,"o_p_r":null,"o_s":null,"v":null}"#],
        ),
        (
            json!({"strategy": "simple", "separator": "."}),
            [r#"{"id":1,"o.p":{"q":1,"r":"x"},"o.s":null,"v":[1.0,2.0]}"#, r#"{"id":2,"o.p":null,"o.s":null,"v":null}"#],
        ),
        (
            json!({"max_depth": 1, "prefix": "x_"}),
            [r#"{"id":1,"x_p":{"q":1,"r":"x"},"x_s":null,"v":[1.0,2.0]}"#, r#"{"id":2,"x_p":null,"x_s":null,"v":null}"#],
        ),
        (json!({"fields": ["id"]}), [r#"{"id":1,"o":{"p":{"q":1,"r":"x"},"s":null},"v":[1.0,2.0]}"#, r#"{"id":2,"o":null,"v":null}"#]),
        (
            json!({"strategy": "array_flatten", "fields": ["v"]}),
            [r#"{"id":1,"o":{"p":{"q":1,"r":"x"},"s":null},"v_0":1.0,"v_1":2.0}"#, r#"{"id":2,"o":null,"v_0":null,"v_1":null}"#],
        ),
    ];
    for (options, expected) in cases {
        assert_eq!(flatten(&json!({"alike": options}), &input), expected, "{options}");
    }
    let clash = batch(vec![("o", nested(&[json!({"a": 1})])), ("o_a", ints([None]))]);
    let error = testing::configure::<Flatten>(&json!({"alike": {}}), &clash.schema()).err().expect("two names");
    assert_eq!(error[0].message, "two columns would be named `o_a`");
}

#[test]
fn lists_become_as_many_columns_as_the_longest_one_has_items() {
    let input = batch(vec![
        ("id", ints([Some(1), Some(2), Some(3)])),
        ("l", lists([Some(vec![Some(7), None, Some(8)]), None, Some(vec![])])),
        ("o", nested(&[json!([{"a": 1, "b": {"c": 2}}]), json!([{"a": 3}, {"b": {"c": 4}}]), Value::Null])),
    ]);
    let all = json!({"alike": {"strategy": "array_flatten"}});
    assert_eq!(
        flatten(&all, &input.slice(0, 1)),
        [r#"{"id":1,"l_0":7,"l_1":null,"l_2":8,"o_0_a":1,"o_0_b_c":2}"#],
        "the second object is another batch's"
    );
    assert_eq!(flatten(&all, &input.slice(2, 1)), [r#"{"id":3}"#]);
    let (_, plan) = testing::configure::<Flatten>(&all, &input.schema()).expect("configures");
    assert_eq!(plan.output(), None, "nobody knows before the rows");
}

#[test]
fn the_oldest_dialect_flattens_as_it_did() {
    let order = json!({"n": {"s": "x", "z": 1}, "l": [{"k": 1}, 5], "t": [1, 2], "id": 7});
    let objects = batch(vec![("o", nested(&[order, Value::Null]))]);
    // What stands on the right is what pycharter 0.0.20 gives for the first row.
    let cases = [
        (json!({}), r#"{"o_n":{"s":"x","z":1},"o_l":["{\"k\":1}","5"],"o_t":[1,2],"o_id":7}"#),
        (json!({"recursive": true, "prefix": "p_"}), r#"{"p_s":"x","p_z":1,"p_l":["{\"k\":1}","5"],"p_t":[1,2],"p_id":7}"#),
        (
            json!({"key_mapping": {"id": "key", "t": "ts", "n": "no"}}),
            r#"{"o_n":{"s":"x","z":1},"o_l":["{\"k\":1}","5"],"ts":[1,2],"key":7}"#,
        ),
        (
            json!({"strategy": "recursive", "array_fields": ["t"], "separator": "."}),
            r#"{"o.n.s":"x","o.n.z":1,"o.l":["{\"k\":1}","5"],"o.t.0":1,"o.t.1":2,"o.id":7}"#,
        ),
        (json!({"strategy": "recursive", "max_depth": 1}), r#"{"o_n":{"s":"x","z":1},"o_l":["{\"k\":1}","5"],"o_t":[1,2],"o_id":7}"#),
        (json!({"flatten_arrays": true}), r#"{"o_n":{"s":"x","z":1},"o_l_0":"{\"k\":1}","o_l_1":"5","o_t_0":1,"o_t_1":2,"o_id":7}"#),
        (json!({"enabled": false}), r#"{"o":{"n":{"s":"x","z":1},"l":["{\"k\":1}","5"],"t":[1,2],"id":7}}"#),
    ];
    for (options, expected) in cases {
        assert_eq!(column("o", &options, &objects)[0], expected, "{options}");
    }
    let items =
        batch(vec![("o", nested(&[json!([{"id": 1, "m": {"u": 2}}, {"id": 3, "m": {"u": 4}}]), json!([{"id": 5, "m": {"u": null}}])]))]);
    let cases = [
        (
            json!({}),
            [r#"{"o_0_id":1,"o_0_m":{"u":2},"o_1_id":3,"o_1_m":{"u":4}}"#, r#"{"o_0_id":5,"o_0_m":{"u":null},"o_1_id":null,"o_1_m":null}"#],
        ),
        (
            json!({"key_mapping": {"id": "key"}, "recursive": true}),
            [r#"{"o_0_key":1,"o_0_m_u":2,"o_1_key":3,"o_1_m_u":4}"#, r#"{"o_0_key":5,"o_0_m_u":null,"o_1_key":null,"o_1_m_u":null}"#],
        ),
        (
            json!({"item_flatten": {"strategy": "recursive", "separator": "."}}),
            [r#"{"o_0.id":1,"o_0.m.u":2,"o_1.id":3,"o_1.m.u":4}"#, r#"{"o_0.id":5,"o_0.m.u":null,"o_1.id":null,"o_1.m.u":null}"#],
        ),
        (json!({"aggregate": true, "recursive": true}), [r#"{"o_id":3,"o_m_u":4}"#, r#"{"o_id":5,"o_m_u":null}"#]),
        (json!({"aggregate": true, "item_flatten": {"prefix": "p_"}}), [r#"{"p_id":3,"p_m":{"u":4}}"#, r#"{"p_id":5,"p_m":{"u":null}}"#]),
        (json!({"strategy": "recursive"}), [r#"{"o":[{"id":1,"m":{"u":2}},{"id":3,"m":{"u":4}}]}"#, r#"{"o":[{"id":5,"m":{"u":null}}]}"#]),
    ];
    for (options, expected) in cases {
        assert_eq!(column("o", &options, &items), expected, "{options}");
    }
    let plain = batch(vec![("l", lists([Some(vec![Some(7), Some(8)]), Some(vec![Some(9)])]))]);
    assert_eq!(column("l", &json!({"aggregate": true}), &plain), [r#"{"l":8}"#, r#"{"l":9}"#]);
    assert_eq!(column("l", &json!({}), &plain), [r#"{"l_0":7,"l_1":8}"#, r#"{"l_0":9,"l_1":null}"#]);
}

#[test]
fn a_column_that_is_not_flattened_takes_its_new_name_and_the_last_of_two_names_wins() {
    let input = batch(vec![("a", ints([Some(1)])), ("o", nested(&[json!({"x": 2})])), ("o_x", texts([Some("own")]))]);
    let each = |name: &str, renamed: Option<&str>| json!({"name": name, "renamed": renamed, "options": {}});
    let options = json!({"each": [each("a", Some("b")), each("o", Some("p")), each("gone", None)]});
    assert_eq!(flatten(&options, &input), [r#"{"b":1,"o_x":"own"}"#]);
}

#[test]
fn a_list_of_more_items_than_there_may_be_columns_fails_its_row() {
    let long: Vec<Option<i32>> = vec![Some(1); 4097];
    let input = batch(vec![("l", lists([Some(long)]))]);
    let (mut flatten, plan) =
        testing::configure::<Flatten>(&json!({"alike": {"strategy": "array_flatten"}}), &input.schema()).expect("configures");
    let error = testing::process(&mut flatten, &plan, &input).expect_err("too long");
    assert_eq!(error.message, "flattening `l` makes more than the 4096 columns that rows may have");
}
