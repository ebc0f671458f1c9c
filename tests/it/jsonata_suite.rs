//! The JSONata language: by the reference's own cases, by recorded pairs, and under attack; natively and through the component that ships.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

use self::evaluate::{Question, Sandboxed, natively};
use self::suite::Outcome;

#[path = "../jsonata/evaluate.rs"]
mod evaluate;
#[path = "../jsonata/pairs.rs"]
mod pairs;
#[path = "../jsonata/suite.rs"]
mod suite;

/// Cases that are known to fail, natively and in the sandbox: none.
const FAILING: &[&str] = &[];

/// Loads the component once for all tests: compiling it takes longest.
fn sandboxed() -> &'static Mutex<Sandboxed> {
    static SANDBOXED: OnceLock<Mutex<Sandboxed>> = OnceLock::new();
    SANDBOXED.get_or_init(|| Mutex::new(Sandboxed::open(None).expect("the component loads")))
}

fn in_sandbox(questions: &[Question<'_>]) -> Vec<Outcome> {
    let mut sandboxed = sandboxed().lock().unwrap_or_else(|broken| broken.into_inner());
    questions.chunks(128).flat_map(|some| sandboxed.evaluate(some).expect("the sandbox runs")).collect()
}

fn folder() -> Option<PathBuf> {
    let named = std::env::var_os("ETL_JSONATA_SUITE").map(PathBuf::from);
    let folder = named.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/jsonata-suite"));
    folder.join("groups").is_dir().then_some(folder)
}

#[test]
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn the_reference_cases_score_as_they_did_natively_and_in_the_sandbox() {
    let Some(folder) = folder() else {
        eprintln!("skipped: there is no folder of reference cases (name it in `ETL_JSONATA_SUITE`)");
        return;
    };
    let cases = suite::read(&folder).expect("the folder is read");
    assert!(cases.len() > 1000, "{} cases", cases.len());
    let questions: Vec<_> = cases.iter().map(question).collect();
    let native: Vec<_> = questions.iter().map(|&question| natively(question)).collect();
    for (place, outcomes) in [("natively", native), ("in the sandbox", in_sandbox(&questions))] {
        let failing: Vec<_> = cases.iter().zip(&outcomes).filter(|(case, outcome)| !case.accepts(outcome)).collect();
        let told: Vec<_> = failing
            .iter()
            .map(|(case, outcome)| format!("{} ({}): `{}` is {outcome}, not {}", case.id, case.group, case.expression, case.expected))
            .collect();
        let names: Vec<_> = failing.iter().map(|(case, _)| case.id.as_str()).collect();
        assert_eq!(names, FAILING, "{place}: {told:#?}");
    }
}

fn question(case: &suite::Case) -> Question<'_> {
    let suite::Case { expression, input, bindings, depth, time_ms, .. } = case;
    Question { expression, input: input.as_deref(), bindings: bindings.as_deref(), depth: *depth, time_ms: *time_ms }
}

#[test]
fn recorded_pairs_differ_from_the_reference_only_in_the_known_classes() {
    let lines = include_str!("../jsonata/pairs.jsonl").lines().map(|line| Ok(line.to_owned()));
    let mut told = Vec::new();
    let tell = |pair: &pairs::Pair, class: &str, ours: &Outcome| told.push(format!("{class}: {} is {ours}", pair.expression));
    let (count, classes) = pairs::compare(lines, tell).expect("the pairs are read");
    assert_eq!(count, 3000);
    let known = include_str!("../jsonata/differences.txt");
    let known: String = known.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect();
    assert_eq!(pairs::table(&classes), known, "{told:#?}");
}

#[test]
fn the_sandbox_makes_of_recorded_pairs_what_native_code_does() {
    let lines = include_str!("../jsonata/pairs.jsonl").lines();
    let pairs: Vec<_> = lines.map(|line| pairs::Pair::read(line).expect("the pair is read")).collect();
    let questions: Vec<_> = pairs.iter().map(pairs::Pair::question).collect();
    for (question, outcome) in questions.iter().zip(in_sandbox(&questions)) {
        assert_eq!(outcome, natively(*question), "`{}`", question.expression);
    }
}

/// Expressions that go for the stack, the memory or the time, and how each ends: a value or a code.
fn attacks() -> Vec<(String, &'static str)> {
    let nested = |open: &str, middle: &str, close: &str, times: usize| open.repeat(times) + middle + &close.repeat(times);
    vec![
        (nested("(", "1", ")", 10_000), "U1002"),
        (nested("[", "1", "]", 10_000), "U1002"),
        (nested("-", "1", "", 10_000), "U1002"),
        (nested("1+", "1", "", 10_000), "U1002"),
        (nested("a.", "a", "", 10_000), "U1002"),
        (nested("a[", "a", "]", 10_000), "U1002"),
        (nested("{\"a\":", "1", "}", 10_000), "U1002"),
        (nested("function($x){", "1", "}", 10_000), "U1002"),
        (nested("1?", "1", ":1", 10_000), "U1002"),
        (nested("a~>", "a", "", 10_000), "U1002"),
        (nested("$f(", "", "", 10_000), "U1002"),
        ("($f := function($n) { $n = 0 ? 0 : $f($n - 1) }; $f(100000))".into(), "0"),
        ("($f := function($n) { $n = 0 ? 0 : 1 + $f($n - 1) }; $f(100))".into(), "100"),
        ("($f := function($n) { $n = 0 ? 0 : 1 + $f($n - 1) }; $f(1000000))".into(), "D1011"),
        ("($f := function() { $f() }; $f())".into(), "D1012"),
        ("($f := function() { 1 + $f() }; $f())".into(), "D1011"),
        ("($f := function() { $map([1], function($x) { 1 + $f() }) }; $f())".into(), "D1011"),
        ("($f := function() { [1].{\"a\": $f()} }; $f())".into(), "D1011"),
        ("($f := function() { $sort([2, 1], function($a, $b) { $f() }) }; $f())".into(), "D1011"),
        ("($f := function() { $eval(\"$f()\") }; $f())".into(), "D1011"),
        ("($f := function() { [1][$f()] }; $f())".into(), "D1011"),
        ("($f := function() { $sift({\"a\": 1}, function($x) { $f() }) }; $f())".into(), "D1011"),
        ("($f := function() { $replace(\"a\", /a/, function($x) { $f() }) }; $f())".into(), "D1011"),
        ("($f := function() { {} ~> |$|{\"a\": $f()}| }; $f())".into(), "D1011"),
        ("($f := function() { $reduce([1, 2], function($a, $b) { $f() & \"x\" }) }; $f())".into(), "D1011"),
        ("($e := \"$eval($e)\"; $eval($e))".into(), "D1011"),
        ("[1..10000000] ~> $count()".into(), "10000000"),
        ("[1..10000001]".into(), "D2014"),
        ("$append([1..9000000], [1..9000000])".into(), "D2015"),
        ("$map([1..1000], function($x) { $map([1..1000], function($y) { $map([1..1000], function($z) { $z }) }) })".into(), "D1012"),
        ("$match(\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!\", /^(a+)+$/)".into(), "undefined"),
        ("$pad(\"x\", 1000000000)".into(), "D2015"),
        ("$power(10, 400)".into(), "D3061"),
        ("1e400".into(), "S0102"),
        ("$sqrt(-1)".into(), "D3060"),
        ("$number(\"1e400\")".into(), "D3030"),
        ("1 / 0 + 1".into(), "D1001"),
        ("$formatInteger(1e300, \"I\")".into(), "D2015"),
        ("$fromMillis(1e300, \"[Y]\", \"+1245\")".into(), "D3110"),
        ("$fromMillis(-1e300)".into(), "D3110"),
        ("1e300 ~> $fromMillis".into(), "D3110"),
        ("$formatInteger(-2001, \"Ww\")".into(), "\"-Two Thousand and One\""),
        ("$parseInteger(\"123\", \"\u{660}\")".into(), "123"),
    ]
}

#[test]
fn an_attack_on_stack_memory_or_time_ends_as_an_error_with_a_code() {
    let attacks = attacks();
    let questions: Vec<_> = attacks
        .iter()
        .map(|(expression, expected)| {
            let time_ms = if *expected == "D1012" { 1_000 } else { 60_000 };
            Question { expression, input: Some("{}"), bindings: None, depth: None, time_ms: Some(time_ms) }
        })
        .collect();
    let native: Vec<_> = questions.iter().map(|&question| natively(question)).collect();
    for (place, outcomes) in [("natively", native), ("in the sandbox", in_sandbox(&questions))] {
        for ((expression, expected), outcome) in attacks.iter().zip(outcomes) {
            let found = match outcome {
                Outcome::Value(value) => value.to_string(),
                Outcome::Undefined => "undefined".into(),
                Outcome::Error(code, _) => code,
                Outcome::Crash(message) => message,
            };
            let shown: String = expression.chars().take(80).collect();
            assert_eq!(found, *expected, "{place}: `{shown}`");
        }
    }
}
