//! Expressions that are broken in every way: whatever they are, the engine answers, in time, and within the stack of the sandbox.
//!
//! The recorded pairs are what is broken. `MUTATIONS` says how many to try, `SEED` where to begin, `TELL` a file for the one that is tried.

use std::fs;
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use etl_jsonata_engine::{Expression, Limits, Run, from_json, to_json};

/// The stack of a guest.
const STACK: usize = if cfg!(debug_assertions) { 24 << 20 } else { 3 << 20 };

/// What one expression may take, with room for a slow machine; its own limit is less.
const PATIENCE: Duration = Duration::from_secs(60);

/// Text that opens, closes, joins or ends things.
const PIECES: [&str; 60] = [
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "..",
    ".",
    ",",
    ";",
    ":",
    ":=",
    "?",
    "?:",
    "??",
    "~>",
    "&",
    "+",
    "-",
    "*",
    "**",
    "/",
    "%",
    "<",
    ">",
    "=",
    "!=",
    "^(",
    "@$x",
    "#$i",
    "|",
    "\"",
    "'",
    "`",
    "\\",
    "$",
    "$$",
    "$x",
    "λ($x){",
    "function($f){$f($f)}",
    "/a*/",
    "/(a+)+$/i",
    "[]",
    "[0]",
    "[-1]",
    "{}",
    "null",
    "true",
    "1e308",
    "-0",
    "0.1",
    " and ",
    " or ",
    " in ",
    "😀",
    "\u{10d83d}",
    "/*",
    "*/",
    "$eval(",
    "(?)",
];

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ mixed >> 31) % limit.max(1) as u64) as usize
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Breaks an expression in up to three places.
fn broken(dice: &mut Dice, expressions: &[String]) -> String {
    let mut text: Vec<char> = expressions[dice.below(expressions.len())].chars().collect();
    for _ in 0..=dice.below(3) {
        let one = dice.below(text.len() + 1);
        let other = (one + dice.below(12)).min(text.len());
        match dice.below(6) {
            0 => drop(text.drain(one..other)),
            1 => drop(text.splice(one..one, PIECES[dice.below(PIECES.len())].chars())),
            2 => {
                let copy = text[one..other].to_vec();
                let place = dice.below(text.len() + 1);
                drop(text.splice(place..place, copy));
            }
            3 => drop(text.splice(one..other, PIECES[dice.below(PIECES.len())].chars())),
            4 => {
                let donor: Vec<char> = expressions[dice.below(expressions.len())].chars().collect();
                let begin = dice.below(donor.len());
                let end = (begin + dice.below(40)).min(donor.len());
                drop(text.splice(one..one, donor[begin..end].iter().copied()));
            }
            _ => text.truncate(one),
        }
    }
    text.into_iter().collect()
}

/// Evaluates each of the expressions on its input, on a thread with the guest's stack; says which one it is at.
fn evaluate(questions: Vec<(String, String)>) {
    let (tell, told) = mpsc::channel();
    let all = questions.clone();
    // An overflow of the stack leaves nothing to catch, so it is found in this file.
    let file = std::env::var_os("TELL");
    let worker = thread::Builder::new().stack_size(STACK).spawn(move || {
        for (index, (expression, input)) in all.iter().enumerate() {
            tell.send(index).expect("somebody listens");
            if let Some(file) = &file {
                fs::write(file, format!("{expression}\n{input}")).expect("the file can be written");
            }
            let Ok(expression) = Expression::compile(expression) else { continue };
            let input = from_json(input).expect("the input is JSON");
            let limits = Limits { time_ms: Some(300), sequence: 100_000, depth: 300 };
            if let Ok(Some(value)) = expression.evaluate(Some(&input), &[], &Run { now_ms: 1, seed: 1 }, &limits) {
                drop(to_json(&value));
            }
        }
    });
    let worker = worker.expect("a thread starts");
    let mut last = 0;
    loop {
        match told.recv_timeout(PATIENCE) {
            Ok(index) => last = index,
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("no end: {:?}", questions[last]),
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
        }
    }
    assert!(worker.join().is_ok(), "panic: {:?}", questions[last]);
}

#[test]
fn no_broken_expression_breaks_the_engine() {
    let pairs = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/jsonata/pairs.jsonl")).expect("there are pairs");
    let pairs: Vec<serde_json::Value> = pairs.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let expressions: Vec<String> = pairs.iter().filter_map(|pair| pair["expression"].as_str()).map(str::to_owned).collect();
    let inputs: Vec<String> = pairs.iter().map(|pair| pair["input"].to_string()).collect();
    let mut dice = Dice(number("SEED", 1));
    let questions =
        (0..number("MUTATIONS", 3000)).map(|_| (broken(&mut dice, &expressions), inputs[dice.below(inputs.len())].clone())).collect();
    evaluate(questions);
}

#[test]
fn no_depth_breaks_the_engine() {
    let deep = |open: &str, inner: &str, close: &str| {
        [10, 100, 1000, 100_000]
            .map(|depth| (format!("{}{inner}{}", open.repeat(depth), close.repeat(depth)), String::from("{\"a\": [[1]]}")))
    };
    let questions = [
        deep("(", "1", ")"),
        deep("[", "1", "]"),
        deep("{\"a\":", "1", "}"),
        deep("a[", "1", "]"),
        deep("a.(", "1", ")"),
        deep("-", "1", ""),
        deep("1+", "1", ""),
        deep("1&", "1", ""),
        deep("a.", "b", ""),
        deep("a^(", "b", ")"),
        deep("a{b:", "c", "}"),
        deep("$f(", "1", ")"),
        deep("function($x){", "1", "}"),
        deep("1?", "1", ":1"),
        deep("1?1:", "1", ""),
        deep("a:=", "1", ""),
        deep("$a:=", "1", ""),
        deep("1~>", "$x", ""),
        deep("1 or ", "1", ""),
        deep("1=", "1", ""),
        deep("a ?: ", "1", ""),
        deep("a ?? ", "1", ""),
        deep("a", "[0]", "[0]"),
        deep("|a|", "{}", "|"),
        deep("|", "a", "|{}|"),
        deep("/", "(", ""),
        deep("", "/", "()/"),
        deep("function($x)<", "a", "<a>>{1}"),
        deep("function($x)<a<", "n", ">>{1}"),
        deep("%.", "a", ""),
        deep("a@$x.", "b", ""),
        deep("a#$i.", "b", ""),
        deep("$eval(\"", "1", "\")"),
        deep("", "($f := function($x) { [$f($x)] }; $f(1))", ""),
        deep("", "($f := function($x) { $f($x) }; $f(1))", ""),
        deep("", "($f := function($x) { $x.$f($x) }; $f(1))", ""),
        deep("", "($f := function($x) { $map([1], $f) }; $f(1))", ""),
        deep("", "($f := function($x) { $eval(\"$f(1)\") }; $f(1))", ""),
        deep("", "($f := function($x) { $x ~> |$|{\"a\": $f($)}| }; $f({}))", ""),
        deep("", "($f := function($x) { $sort([1, 2], function($a, $b) { $f(1) }) }; $f(1))", ""),
        deep("", "($f := function($x) { a[$f(1)] }; $f(1))", ""),
        deep("", "($f := function($x) { a^($f(1)) }; $f(1))", ""),
        deep("", "($f := function($x) { {\"a\": $f(1)} }; $f(1))", ""),
        deep("", "($f := function($x) { a{\"a\": $f(1)} }; $f(1))", ""),
        deep("", "($f := function($x) { $replace(\"a\", /a/, $f) }; $f(1))", ""),
        deep("", "($f := function($x) { $reduce([1, 2], $f) }; $f(1))", ""),
        deep("", "($g := function($n, $x) { $n = 0 ? $x : $g($n - 1, [$x]) }; $g(100000, 1))", ""),
        deep("", "($g := function($n, $x) { $n = 0 ? $x : $g($n - 1, {\"a\": $x}) }; $string($g(100000, 1)))", ""),
        deep("", "($g := function($n, $x) { $n = 0 ? $x : $g($n - 1, [[$x]]) }; $x := $g(100000, 1); $x = $x)", ""),
        deep("", "($g := function($n, $x) { $n = 0 ? $x : $g($n - 1, function() { $x() }) }; $g(100000, 1))", ""),
        deep("", "$reduce([1..100000], function($i, $j) { [[$i]] })", ""),
        deep("", "$count(($reduce([1..100000], function($i, $j) { {\"a\": $i} })).**)", ""),
        deep("", "$reduce([1..100000], function($f, $j) { $f ~> $string })", ""),
        deep("", "$pad(\"\", 1e9)", ""),
        deep("", "$reduce([1..50], function($i, $j) { $i & $i }, \"ab\")", ""),
        deep(
            "",
            "$formatInteger(1e300, \"I\") & $formatInteger(1e300, \"w\") & $formatBase(1e300, 2) & $formatNumber(1e300, \"#,##0.00\")",
            "",
        ),
    ];
    evaluate(questions.into_iter().flatten().collect());
}

#[test]
fn no_depth_of_the_input_breaks_the_engine() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let questions = [
        "$",
        "**",
        "$string($)",
        "$count(**)",
        "$ = $",
        "$[0][0]",
        "$spread($)",
        "$distinct($)",
        "$append($, $)",
        "$ ~> |**|{}|",
        "$clone($)",
        "$.$.$",
    ];
    evaluate(questions.iter().map(|expression| ((*expression).to_owned(), nested(120))).collect());
    for depth in [1000, 100_000] {
        drop(from_json(&nested(depth)));
    }
}
