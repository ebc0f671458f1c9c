//! Chains from options to rows, as tables: what stands on the right is all that came out.

use std::sync::Arc;

use arrow_array::types::{Float32Type, Int32Type};
use arrow_array::{
    Array, ArrayRef, BooleanArray, Date32Array, Decimal128Array, FixedSizeListArray, Float32Array, Float64Array, Int8Array, Int32Array,
    Int64Array, LargeStringArray, ListArray, NullArray, RecordBatch, StringArray, StringViewArray, StructArray, Time64MicrosecondArray,
    TimestampMicrosecondArray, TimestampMillisecondArray, TimestampSecondArray, UInt64Array,
};
use arrow_schema::{DataType, Field, Schema};
use etl_steps::Options;
use serde_json::{Value, json};

use crate::column::take;
use crate::{Chain, ColumnOp, Context, Output, Plan, Problem, json as values};

const CONTEXT: Context = Context { now_ms: 1_705_325_407_250, seed: 7, sequence: 3, first_row: 100 };

fn texts<const N: usize>(values: [Option<&str>; N]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

fn ints<const N: usize>(values: [Option<i64>; N]) -> ArrayRef {
    Arc::new(Int64Array::from(values.to_vec()))
}

fn floats<const N: usize>(values: [Option<f64>; N]) -> ArrayRef {
    Arc::new(Float64Array::from(values.to_vec()))
}

fn bools<const N: usize>(values: [Option<bool>; N]) -> ArrayRef {
    Arc::new(BooleanArray::from(values.to_vec()))
}

fn lists<const N: usize>(values: [Option<Vec<Option<i32>>>; N]) -> ArrayRef {
    Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(values))
}

fn nested(values_of: &[Value]) -> ArrayRef {
    let data_type = values_of.iter().find(|value| !value.is_null()).map(values::infer).expect("a value");
    values::build(&values_of.iter().map(Some).collect::<Vec<_>>(), &data_type).expect("builds")
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let fields: Vec<Field> = columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true)).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns.into_iter().map(|(_, array)| array).collect()).expect("a batch")
}

fn configure(steps: &Value, input: &RecordBatch) -> Result<(Chain, Plan), Vec<Problem>> {
    let options: Options = serde_json::from_value(json!({"steps": steps, "env": [["REGION", "eu"]]})).expect("options");
    Chain::configure(&options, &input.schema())
}

/// What came out: a line of JSON a row, `!row code message` a reject, `#name count` a counter.
fn run(steps: Value, input: &RecordBatch) -> Vec<String> {
    let (chain, plan) = configure(&steps, input).unwrap_or_else(|problems| panic!("{problems:?}"));
    let columns = input.project(&plan.columns).expect("columns");
    let (rows, rejects, counters) = match chain.process(&columns, &CONTEXT).expect("processes") {
        Output::Derived(derived) => {
            let keep: Vec<usize> = (0..input.num_rows()).filter(|row| derived.keep.as_ref().is_none_or(|keep| keep.value(*row))).collect();
            let arrays = derived.columns.iter().zip(plan.output.fields()).map(|(op, field)| {
                let (array, name) = match op {
                    ColumnOp::Keep(index) => (input.column(*index as usize), input.schema_ref().field(*index as usize).name()),
                    ColumnOp::Rename(index, name) => (input.column(*index as usize), name),
                    ColumnOp::Computed(index, name) => (derived.computed.column(*index as usize), name),
                };
                assert_eq!(array.len(), input.num_rows());
                assert_eq!((array.data_type(), name), (field.data_type(), field.name()));
                take(array, keep.iter().map(|row| Some(*row)))
            });
            let arrays: Vec<ArrayRef> = arrays.collect();
            let options = arrow_array::RecordBatchOptions::new().with_row_count(Some(keep.len()));
            let rows = RecordBatch::try_new_with_options(plan.output.clone(), arrays, &options).expect("rows");
            (rows, derived.rejects, derived.counters)
        }
        Output::Emitted(emitted) => {
            assert!(plan.expands && emitted.origins.is_sorted() && emitted.origins.len() == emitted.rows.num_rows());
            assert_eq!(emitted.rows.schema(), plan.output);
            (emitted.rows, emitted.rejects, emitted.counters)
        }
    };
    let objects: ArrayRef = Arc::new(StructArray::from(rows.clone()));
    let line = |row| {
        let mut out = Vec::new();
        values::write(&mut out, &objects, row);
        String::from_utf8(out).expect("UTF-8")
    };
    let rejects = rejects.iter().map(|reject| format!("!{} {} {}", reject.row, reject.code, reject.message));
    let counters = counters.iter().map(|(name, count)| format!("#{name} {count}"));
    (0..rows.num_rows()).map(line).chain(rejects).chain(counters).collect()
}

fn types(steps: Value, input: &RecordBatch) -> String {
    let (_, plan) = configure(&steps, input).unwrap_or_else(|problems| panic!("{problems:?}"));
    let fields: Vec<String> =
        plan.output.fields().iter().map(|field| format!("{} {}", field.name(), crate::column::describe(field.data_type()))).collect();
    fields.join(", ")
}

fn problems(steps: Value, input: &RecordBatch) -> Vec<String> {
    let problems = configure(&steps, input).map(|_| ()).expect_err("problems");
    let line = |problem: Problem| {
        let help = problem.help.map(|help| format!(" | {help}")).unwrap_or_default();
        format!("{} {}: {}{help}", problem.field.unwrap_or_default(), problem.code, problem.message)
    };
    problems.into_iter().map(line).collect()
}

fn abc() -> RecordBatch {
    batch(vec![("a", ints([Some(1), Some(2)])), ("b", texts([Some("x"), None])), ("c", floats([Some(0.5), Some(2.0)]))])
}

mod flatten;
mod rows;

#[test]
fn moving_columns_reads_and_computes_nothing() {
    let steps = json!([
        {"rename": [["a", "b"], ["b", "a"], ["gone", "x"]]},
        {"drop": ["c", "gone"]},
        {"select": ["a", "b"]},
        {"convert": {"fields": [["b", "int"], ["a", "string"]], "on_error": "reject"}},
        {"add": [["again", "${b}"]]}
    ]);
    let (chain, plan) = configure(&steps, &abc()).expect("configures");
    assert_eq!((plan.columns.len(), plan.filters, plan.expands), (0, false, false));
    let nothing = abc().project(&[]).expect("no columns");
    let Ok(Output::Derived(derived)) = chain.process(&nothing, &CONTEXT) else { panic!("derived") };
    let columns = vec![ColumnOp::Rename(1, "a".into()), ColumnOp::Rename(0, "b".into()), ColumnOp::Rename(0, "again".into())];
    assert_eq!((derived.columns, derived.computed.num_columns(), derived.keep), (columns, 0, None));
    assert_eq!(derived.counters, vec![("missing_column.gone".to_owned(), 2)]);
    assert_eq!(run(steps, &abc()), [r#"{"a":"x","b":1,"again":1}"#, r#"{"a":null,"b":2,"again":2}"#, "#missing_column.gone 2"]);
}

#[test]
fn what_nobody_needs_is_not_computed() {
    let steps = json!([{"add": [["x", "upper(${b})"], ["y", "${c}-${x}"]]}, {"drop": ["x", "y"]}, {"convert": {"fields": [["c", "int"]], "on_error": "null"}}, {"select": ["a"]}]);
    let (_, plan) = configure(&steps, &abc()).expect("configures");
    assert_eq!(plan.columns, Vec::<usize>::new());
}

#[test]
fn a_filter_is_about_a_column_that_is_there_unless_the_source_is_empty() {
    let steps = json!([{"filter": {"field": "no", "operator": "is_null", "value": null}}]);
    let problems = configure(&steps, &abc()).expect_err("`no` is not there");
    assert_eq!((problems[0].field.as_deref(), problems[0].message.as_str()), (Some("steps[0].filter.field"), "there is no column `no`"));
    assert!(configure(&steps, &RecordBatch::new_empty(Arc::new(Schema::empty()))).is_ok());
}

#[test]
fn a_word_that_names_no_column_hides_nothing_that_falls_back_behind_it() {
    let input = batch(vec![("a", texts([None, Some("x")])), ("b", texts([Some("y"), Some("z")]))]);
    let made = run(json!([{"add": [["v", "coalesce(a, gone, b)"], ["w", "default(gone, unknown)"]]}, {"select": ["v", "w"]}]), &input);
    assert_eq!(made, [r#"{"v":"y","w":"unknown"}"#, r#"{"v":"x","w":"unknown"}"#, "#missing_column.gone 2"]);
}

#[test]
fn select_names_columns_that_are_there_unless_the_source_is_empty() {
    let problems = configure(&json!([{"select": ["c", "no", "a"]}]), &abc()).expect_err("`no` is not there");
    assert_eq!(
        (problems[0].field.as_deref(), problems[0].message.as_str(), problems[0].help.as_deref()),
        (Some("steps[0].select[1]"), "there is no column `no`", Some("columns here are `a`, `b`, `c`"))
    );
    let (_, plan) = configure(&json!([{"select": ["c"]}]), &RecordBatch::new_empty(Arc::new(Schema::empty()))).expect("configures");
    assert_eq!(plan.output.fields().len(), 1);
}

#[test]
fn a_value_that_does_not_convert_costs_its_row_once() {
    let dirty = batch(vec![
        ("id", ints([Some(1), Some(2), Some(3), Some(4), Some(5)])),
        ("price", texts([Some("1_000.5"), Some("abc"), None, Some("9"), Some("")])),
        ("day", texts([Some("1/15/2024"), Some("nope"), Some("2024-01-15"), Some("2024-02-30"), Some("x")])),
    ]);
    let convert = |on_error: &str| json!([{"filter": {"field": "id", "operator": "ne", "value": 5}}, {"convert": {"fields": [["price", "float"], ["day", "date"]], "on_error": on_error}}]);
    assert_eq!(
        run(convert("reject"), &dirty),
        [
            r#"{"id":1,"price":1000.5,"day":"2024-01-15"}"#,
            r#"{"id":3,"price":null,"day":"2024-01-15"}"#,
            "!1 convert_float cannot convert `abc` in column `price` to float",
            "!3 convert_date cannot convert `2024-02-30` in column `day` to date",
        ]
    );
    assert_eq!(
        run(convert("null"), &dirty),
        [
            r#"{"id":1,"price":1000.5,"day":"2024-01-15"}"#,
            r#"{"id":2,"price":null,"day":null}"#,
            r#"{"id":3,"price":null,"day":"2024-01-15"}"#,
            r#"{"id":4,"price":9.0,"day":null}"#,
            "#converted_to_null.price 1",
            "#converted_to_null.day 2",
        ]
    );
    assert_eq!(types(convert("keep"), &dirty), "id int, price text, day text");
    assert_eq!(
        run(convert("keep"), &dirty),
        [
            r#"{"id":1,"price":"1000.5","day":"2024-01-15"}"#,
            r#"{"id":2,"price":"abc","day":"nope"}"#,
            r#"{"id":3,"price":null,"day":"2024-01-15"}"#,
            r#"{"id":4,"price":"9.0","day":"2024-02-30"}"#,
            "#kept_unconverted.price 1",
            "#kept_unconverted.day 2",
        ]
    );
    let long = batch(vec![("a", texts([Some(&"é".repeat(101))]))]);
    let message = format!("!0 convert_int cannot convert `{}…` in column `b` to int", "é".repeat(100));
    assert_eq!(run(json!([{"rename": [["a", "b"]]}, {"convert": {"fields": [["b", "int"]], "on_error": "reject"}}]), &long), [message]);
}

#[test]
fn every_type_converts_to_what_it_can() {
    let day: ArrayRef = Arc::new(Date32Array::from(vec![Some(19_737)]));
    let instant: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![Some(1_705_325_407_250_000)]).with_timezone("UTC"));
    let east: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![Some(1_705_361_400_000)]).with_timezone("+02:00"));
    let clock: ArrayRef = Arc::new(TimestampSecondArray::from(vec![Some(1_705_325_407)]));
    let money: ArrayRef = Arc::new(Decimal128Array::from(vec![Some(-1250)]).with_precision_and_scale(10, 2).expect("fits"));
    let text = |value| texts([Some(value)]);
    let cases: Vec<(ArrayRef, &str, &str)> = vec![
        (text("9007199254740993"), "int", "9007199254740993"),
        (text(" 1e3 "), "integer", "1000"),
        (text("-1.9"), "INT", "-1"),
        (text("0.1"), "float", "0.1"),
        (text("nan"), "numeric", "null"),
        (text("Off"), "bool", "false"),
        (text("2024-01-15 13:30:07.25"), "datetime", "\"2024-01-15T13:30:07.250Z\""),
        (text("2024-01-15T13:30:07+02:00"), "datetime", "\"2024-01-15T11:30:07Z\""),
        (text("2024-01-15T13:30"), "timestamp(+02:00)", "\"2024-01-15T13:30:00+02:00\""),
        (text("2024-01-15T13:30Z"), "timestamp(+02:00)", "\"2024-01-15T15:30:00+02:00\""),
        (text("2024-01-15T13:30"), "timestamp", "\"2024-01-15T13:30:00\""),
        (text("2024/1/5"), "date", "\"2024-01-05\""),
        (text("-0.5"), "decimal(3,2)", "-0.50"),
        (text("[1, {\"a\" : 2}]"), "json", "\"[1,{\\\"a\\\":2}]\""),
        (ints([Some(-3)]), "string", "\"-3\""),
        (ints([Some(-3)]), "float", "-3.0"),
        (ints([Some(-3)]), "bool", "true"),
        (ints([Some(-3)]), "decimal(5,2)", "-3.00"),
        (ints([None]), "string", "null"),
        (floats([Some(-2.9)]), "int", "-2"),
        (floats([Some(2.0)]), "string", "\"2.0\""),
        (floats([Some(0.125)]), "decimal(5,2)", "0.13"),
        (floats([Some(0.0)]), "bool", "false"),
        (bools([Some(true)]), "int", "1"),
        (bools([Some(true)]), "float", "1.0"),
        (bools([Some(true)]), "string", "\"true\""),
        (day.clone(), "string", "\"2024-01-15\""),
        (day.clone(), "datetime", "\"2024-01-15T00:00:00Z\""),
        (day, "timestamp(-05:00)", "\"2024-01-15T00:00:00-05:00\""),
        (instant.clone(), "date", "\"2024-01-15\""),
        (instant.clone(), "timestamp", "\"2024-01-15T13:30:07.250\""),
        (instant.clone(), "timestamp(+02:00)", "\"2024-01-15T15:30:07.250+02:00\""),
        (instant, "json", "\"\\\"2024-01-15T13:30:07.250Z\\\"\""),
        (east.clone(), "date", "\"2024-01-16\""),
        (east.clone(), "datetime", "\"2024-01-15T23:30:00Z\""),
        (east, "timestamp", "\"2024-01-16T01:30:00\""),
        (clock.clone(), "datetime", "\"2024-01-15T13:30:07Z\""),
        (clock, "timestamp(+02:00)", "\"2024-01-15T13:30:07+02:00\""),
        (money.clone(), "int", "-12"),
        (money.clone(), "float", "-12.5"),
        (money.clone(), "decimal(4,1)", "-12.5"),
        (money.clone(), "bool", "true"),
        (money, "string", "\"-12.50\""),
        (Arc::new(Int8Array::from(vec![5])), "int", "5"),
        (Arc::new(UInt64Array::from(vec![u64::MAX])), "string", "\"18446744073709551615\""),
        (Arc::new(Float32Array::from(vec![0.1])), "string", "\"0.1\""),
        (Arc::new(LargeStringArray::from(vec!["7"])), "int", "7"),
        (Arc::new(StringViewArray::from(vec!["7"])), "int", "7"),
        (Arc::new(Time64MicrosecondArray::from(vec![3_600_000_001])), "string", "\"01:00:00.000001\""),
        (Arc::new(NullArray::new(1)), "date", "null"),
        (nested(&[json!({"a": [1, null]})]), "string", "\"{\\\"a\\\":[1,null]}\""),
        (nested(&[json!({"a": "é"})]), "json", "\"{\\\"a\\\":\\\"é\\\"}\""),
    ];
    for (array, target, expected) in cases {
        let from = array.data_type().clone();
        let steps = json!([{"convert": {"fields": [["v", target]], "on_error": "reject"}}]);
        assert_eq!(run(steps, &batch(vec![("v", array)])), [format!("{{\"v\":{expected}}}")], "{from} to {target}");
    }
    let failing: Vec<(ArrayRef, &str, &str)> = vec![
        (text("9223372036854775808"), "int", "9223372036854775808"),
        (floats([Some(f64::NAN)]), "int", "NaN"),
        (floats([Some(1e19)]), "int", "1e+19"),
        (floats([Some(-9.3e18)]), "int", "-9.3e+18"),
        (text("1.234"), "decimal(5,2)", "1.234"),
        (ints([Some(1000)]), "decimal(5,2)", "1000"),
        (text("2024-01-15T13:30Z"), "timestamp", "2024-01-15T13:30Z"),
        (text("2024-01-15T13:30"), "date", "2024-01-15T13:30"),
        (text("maybe"), "bool", "maybe"),
        (text("{a: 1}"), "json", "{a: 1}"),
        (Arc::new(UInt64Array::from(vec![u64::MAX])), "int", "18446744073709551615"),
    ];
    for (array, target, shown) in failing {
        let steps = json!([{"convert": {"fields": [["v", target]], "on_error": "reject"}}]);
        let name = target.split('(').next().unwrap_or(target);
        assert_eq!(
            run(steps, &batch(vec![("v", array)])),
            [format!("!0 convert_{name} cannot convert `{shown}` in column `v` to {target}")]
        );
    }
}

#[test]
fn defaults_fill_nulls_and_absent_columns_in_the_columns_type() {
    let input = batch(vec![
        ("n", ints([Some(1), None])),
        ("f", floats([None, Some(f64::NAN)])),
        ("t", texts([Some(""), None])),
        ("b", bools([None, Some(false)])),
        ("d", Arc::new(Date32Array::from(vec![None, Some(0)]))),
        ("l", lists([None, Some(vec![Some(1)])])),
        ("z", Arc::new(NullArray::new(2))),
    ]);
    let steps = json!([{"defaults": [["n", "0"], ["f", 1], ["t", 5], ["b", true], ["d", "2024-01-15"], ["z", 2.5], ["new", "x"], ["none", null], ["list", [1, 2]]]}]);
    assert_eq!(
        run(steps.clone(), &input),
        [
            r#"{"n":1,"f":1.0,"t":"","b":true,"d":"2024-01-15","l":null,"z":2.5,"new":"x","none":null,"list":[1,2]}"#,
            r#"{"n":0,"f":null,"t":"5","b":false,"d":"1970-01-01","l":[1],"z":2.5,"new":"x","none":null,"list":[1,2]}"#,
        ]
    );
    assert_eq!(types(steps, &input), "n int, f float, t text, b bool, d date, l list, z float, new text, none text, list list");
    assert_eq!(
        run(json!([{"defaults": [["n", 1.5], ["f", "none"]]}, {"select": ["n", "f"]}]), &input),
        [r#"{"n":1.0,"f":"none"}"#, r#"{"n":1.5,"f":"NaN"}"#]
    );
    assert_eq!(
        problems(json!([{"defaults": [["b", 5], ["d", "soon"], ["n", true], ["l", 3]]}]), &input),
        [
            "steps[0].defaults.b default_type: `5` is no bool | column `b` is bool: give a value of that type, or convert the column first",
            "steps[0].defaults.d default_type: `soon` is no date | column `d` is date: give a value of that type, or convert the column first",
            "steps[0].defaults.n default_type: `true` is no int | column `n` is int: give a value of that type, or convert the column first",
            "steps[0].defaults.l default_type: `3` is no list | column `l` is list: give a value of that type, or convert the column first",
        ]
    );
    let full = Schema::new(vec![Field::new("n", DataType::Int64, false)]);
    let options: Options = serde_json::from_value(json!({"steps": [{"defaults": [["n", 0]]}]})).expect("options");
    let (_, plan) = Chain::configure(&options, &full).expect("configures");
    assert_eq!((plan.columns.len(), plan.output.as_ref()), (0, &full));
}

#[test]
fn fill_null_knows_the_dates_of_the_run() {
    let input = batch(vec![
        ("t", texts([None])),
        ("d", Arc::new(Date32Array::from(vec![None]))),
        ("s", Arc::new(TimestampMicrosecondArray::from(vec![None]))),
    ]);
    let steps = json!([{"fill_null": [["t", "@now"], ["d", "@week_start"], ["s", "@week_end"], ["new", "@utcnow"], ["x", 1]]}]);
    let row =
        r#"{"t":"2024-01-15T13:30:07.250Z","d":"2024-01-15","s":"2024-01-21T23:59:59.999999","new":"2024-01-15T13:30:07.250Z","x":1}"#;
    assert_eq!(run(steps, &input), [row]);
}

fn person() -> RecordBatch {
    batch(vec![
        ("name", texts([Some(" Ann "), None])),
        ("n", ints([Some(3), None])),
        ("x", floats([Some(1.0), Some(1e16)])),
        ("ok", bools([Some(true), None])),
        ("at", Arc::new(TimestampMicrosecondArray::from(vec![Some(0), None]).with_timezone("UTC"))),
        ("o", nested(&[json!({"p": {"q": [10, 20]}, "s": "é"}), Value::Null])),
        ("f32", Arc::new(Float32Array::from(vec![Some(0.1), None]))),
        ("a.b", texts([Some("dotted"), None])),
    ])
}

#[test]
fn expressions_compute_what_they_say() {
    let cases: Vec<(Value, &str, &str, &str)> = vec![
        (json!("plain"), "text", "\"plain\"", "\"plain\""),
        (json!(5), "int", "5", "5"),
        (json!(null), "text", "null", "null"),
        (json!([1, "a"]), "list", "[\"1\",\"a\"]", "[\"1\",\"a\"]"),
        (json!({"a": 1}), "object", "{\"a\":1}", "{\"a\":1}"),
        (json!("${n}"), "int", "3", "null"),
        (json!("${n:-7}"), "int", "3", "7"),
        (json!("${n:-none}"), "text", "\"3\"", "\"none\""),
        (json!("${gone:-x}"), "text", "\"x\"", "\"x\""),
        (json!("<${name}|${n}|${x}|${ok}|${at}|${f32}>"), "text", "\"< Ann |3|1.0|true|1970-01-01T00:00:00Z|0.1>\"", "\"<||1e+16|||>\""),
        (json!("${n:-zero} $${n}"), "text", "\"3 ${n}\"", "\"zero ${n}\""),
        (json!("${o.p.q[1]}"), "int", "20", "null"),
        (json!("${o.p.q[9]}"), "int", "null", "null"),
        (json!("${o.s}/${o.p}"), "text", "\"é/{\\\"q\\\":[10,20]}\"", "\"/\""),
        (json!("${a.b}"), "text", "\"dotted\"", "null"),
        (json!("now()"), "text", "\"2024-01-15T13:30:07.250Z\"", "\"2024-01-15T13:30:07.250Z\""),
        (json!("now('%d.%m.%y')"), "text", "\"15.01.24\"", "\"15.01.24\""),
        (json!("date()"), "text", "\"2024-01-15\"", "\"2024-01-15\""),
        (json!("date(${at})"), "text", "\"1970-01-01\"", "null"),
        (json!("date('31-12-2023')"), "text", "\"2023-12-31\"", "\"2023-12-31\""),
        (json!("datetime('2024-01-15 10:00')"), "text", "\"2024-01-15T10:00:00\"", "\"2024-01-15T10:00:00\""),
        (json!("datetime(date(${at}))"), "text", "\"1970-01-01T00:00:00\"", "null"),
        (json!("env(REGION)"), "text", "\"eu\"", "\"eu\""),
        (json!("env(NO, 5)"), "int", "5", "5"),
        (json!("upper(trim(${name}))"), "text", "\"ANN\"", "\"\""),
        (json!("lower('ÄB')"), "text", "\"äb\"", "\"äb\""),
        (json!("upper(name)"), "text", "\" ANN \"", "\"\""),
        (json!("concat(${n}, '-', x, \" \", nothing, 1.5, true, null)"), "text", "\"3-1.0 nothing1.5true\"", "\"-1e+16 nothing1.5true\""),
        (json!("coalesce(${gone}, ${n}, 2.5)"), "float", "3.0", "2.5"),
        (json!("coalesce(${n}, ${name}, unknown)"), "text", "\"3\"", "\"unknown\""),
        (json!("default(${ok}, false)"), "bool", "true", "false"),
        (json!("coalesce(${o}, ${o})"), "object", "{\"p\":{\"q\":[10,20]},\"s\":\"é\"}", "null"),
        (json!("len(${name})"), "int", "5", "0"),
        (json!("len(${o.p.q})"), "int", "2", "0"),
        (json!("len('éé')"), "int", "2", "2"),
        (json!("int('12.7')"), "int", "12", "12"),
        (json!("int(${name})"), "int", "null", "null"),
        (json!("float(${n})"), "float", "3.0", "null"),
        (json!("float('x')"), "float", "null", "null"),
        (json!("str(${n})"), "text", "\"3\"", "\"\""),
        (json!("bool(${n})"), "bool", "true", "false"),
        (json!("bool('maybe')"), "bool", "false", "false"),
        (json!("epoch_ms_to_iso(1705325407250)"), "text", "\"2024-01-15T13:30:07.250000+00:00\"", "\"2024-01-15T13:30:07.250000+00:00\""),
        (json!("epoch_ms_to_iso(${n})"), "text", "\"1970-01-01T00:00:00.003000+00:00\"", "null"),
        (json!("sub(${n}, '0.5')"), "float", "2.5", "null"),
        (json!("sub(${x}, ${n})"), "float", "-2.0", "null"),
    ];
    for (expression, data_type, first, second) in cases {
        let steps = json!([{"add": [["v", expression]]}, {"select": ["v"]}]);
        assert_eq!(types(steps.clone(), &person()), format!("v {data_type}"), "{expression}");
        let mut came = run(steps, &person());
        // What a conversion could not read is counted; of what is the same for all rows once.
        let counted = came.iter().position(|line| line.starts_with('#')).map(|at| came.split_off(at)).unwrap_or_default();
        let unread = match expression.as_str() {
            Some("int(${name})" | "float('x')") => vec!["#converted_to_null.v 1".to_owned()],
            _ => Vec::new(),
        };
        assert_eq!(counted, unread, "{expression}");
        assert_eq!(came, [format!("{{\"v\":{first}}}"), format!("{{\"v\":{second}}}")], "{expression}");
    }
    let missing = run(json!([{"add": [["v", "${gone} ${o.no}"], ["name", "${v}!"]]}, {"select": ["name", "v"]}]), &person());
    assert_eq!(missing, [r#"{"name":" !","v":" "}"#, r#"{"name":" !","v":" "}"#, "#missing_column.gone 2", "#missing_column.o.no 2"]);
}

#[test]
fn identifiers_depend_on_run_batch_row_and_column_only() {
    let two = |context: Context| {
        let (chain, _) =
            configure(&json!([{"add": [["u", "uuid()"], ["w", "uuid()"]]}, {"select": ["u", "w"]}]), &abc()).expect("configures");
        let Ok(Output::Derived(derived)) = chain.process(&abc().project(&[]).expect("none"), &context) else { panic!("derived") };
        let ids = |column: usize| {
            derived
                .computed
                .column(column)
                .as_any()
                .downcast_ref::<StringArray>()
                .expect("text")
                .iter()
                .map(|id| id.unwrap_or_default().to_owned())
                .collect::<Vec<_>>()
        };
        [ids(0), ids(1)].concat()
    };
    let first = two(CONTEXT);
    assert_eq!(first, two(CONTEXT));
    let part = two(Context { first_row: 101, ..CONTEXT });
    assert_eq!(part[0], first[1]);
    let mut all = [first.clone(), two(Context { seed: 8, ..CONTEXT }), two(Context { sequence: 4, ..CONTEXT })].concat();
    assert!(all.iter().all(|id| id.len() == 36 && &id[14..15] == "4" && "89ab".contains(&id[19..20])), "{all:?}");
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 12);
}

#[test]
fn mistakes_are_told_all_at_once() {
    let steps = json!([
        {"rename": [["a", "b"]]},
        {"convert": {"fields": [["a", "date"], ["c", "timestamp(Europe/Berlin)"]], "on_error": "reject"}},
        {"add": [["x", "lowr(${b})"], ["y", "env(HOME)"], ["z", "now(row)"], ["v", "lower(nme)"]]},
        {"filter": {"field": "b", "operator": "gt", "value": 5}},
        {"select": ["x", "x"]},
        {"unnest": "x"},
    ]);
    let functions = "now uuid env lower upper trim concat coalesce default len date datetime int float str bool epoch_ms_to_iso sub";
    let expected = [
        "steps[0].rename.a duplicate_column: `a` and `b` would both be named `b` | drop or rename one of them first".to_owned(),
        "steps[1].convert.a convert_type: a column of type int cannot become date | convert to `string` first if this is really meant".into(),
        "steps[1].convert.c convert_type: `Europe/Berlin` is not a zone that can be used here | write `UTC` or a fixed offset such as `+02:00`; named regions are not built in, because their rules change".into(),
        format!("steps[2].add.x expression: column 1 of `lowr(${{b}})`: there is no function `lowr` | did you mean `lower`? functions are {functions}; to have this as a text, write `concat(\"lowr(${{b}})\")`"),
        "steps[2].add.y expression: variable `HOME` is not granted, or not set | grant it and set it, or give a default: `env(HOME, \"…\")`".into(),
        "steps[2].add.z expression: `now(row)` needs a clock, which transforms do not get: the same input must give the same rows | write `now()` for the run's start".into(),
        "steps[2].add.v expression: there is no column `nme` | for a text write `lower(\"nme\")`; columns are a b c x y z".into(),
        "steps[3].filter.value filter_value: the column is text and `5` is not: as texts, `10` is less than `9` | convert the column to a number first, or put the value in quotes to compare texts".into(),
        "steps[4].select[1] duplicate_column: `x` is selected twice".into(),
    ];
    assert_eq!(problems(steps, &abc()), expected);
    assert_eq!(
        problems(json!([{"unnest": "b"}]), &abc()),
        ["steps[0].unnest not_a_list: column `b` is text | the column is text: let the reader parse it, or split it in a `jsonata` step"]
    );
    assert_eq!(
        problems(json!([{"unnest": "bb"}]), &abc()),
        ["steps[0].unnest unknown_column: there is no column `bb` | did you mean `b`? columns here are `a`, `b`, `c`"]
    );
    // Behind a step that gives its columns with its rows, the list may come later.
    let late: Options = serde_json::from_value(json!({"steps": [{"unnest": "bb"}], "late": true})).expect("options");
    assert!(Chain::configure(&late, abc().schema_ref()).is_ok());
}

#[test]
fn empty_and_sliced_batches_work_like_others() {
    let steps = json!([{"convert": {"fields": [["b", "int"]], "on_error": "null"}}, {"defaults": [["b", 0]]}, {"filter": {"field": "a", "operator": "gt", "value": 0}}, {"add": [["d", "${c}${b}"], ["e", "now()"]]}, {"select": ["b", "d"]}]);
    assert_eq!(run(steps.clone(), &abc().slice(0, 0)), Vec::<String>::new());
    assert_eq!(run(steps, &abc().slice(1, 1)), [r#"{"b":0,"d":"2.00"}"#]);
    let wide = batch(vec![("t", texts([Some("1"), Some("x"), None, Some("3")]))]).slice(1, 3);
    assert_eq!(
        run(json!([{"convert": {"fields": [["t", "int"]], "on_error": "reject"}}]), &wide),
        [r#"{"t":null}"#, r#"{"t":3}"#, "!0 convert_int cannot convert `x` in column `t` to int"]
    );
}

#[test]
fn columns_that_are_not_the_plans_are_refused() {
    let (chain, _) = configure(&json!([{"add": [["d", "${b}!"]]}]), &abc()).expect("configures");
    let problem =
        |columns: &[usize]| chain.process(&abc().project(columns).expect("columns"), &CONTEXT).map(|_| ()).expect_err("refused").message;
    assert_eq!(problem(&[]), "the plan asks for 1 columns, but 0 came");
    assert_eq!(problem(&[0]), "input column 1 is Int64, but was configured as Utf8");
}
