//! Native score: `score suite FOLDER` or `score pairs FILE`.
#![allow(clippy::all, missing_docs, dead_code, unreachable_pub, clippy::print_stdout)]
use etl_jsonata_engine::{Expression, Failure, Limits, Run, Value, from_json, surrogate::shelter, to_json};
use serde_json::Value as J;
use std::time::SystemTime;

fn now_ms() -> i64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as i64
}

#[derive(Debug, Clone, PartialEq)]
enum Outcome {
    Value(J),
    Undefined,
    Error(String, String),
}

fn natively(expression: &str, input: Option<&str>, bindings: Option<&str>, depth: Option<u64>, time_ms: Option<u64>) -> Outcome {
    let r = (|| -> Result<Option<String>, Failure> {
        let expression = Expression::compile(expression)?;
        let input = input.map(from_json).transpose()?;
        let bindings: Vec<(String, Value)> = match bindings.map(from_json).transpose()? {
            Some(Value::Object(b)) => b.iter().map(|(n, v)| (n.to_string(), v.clone())).collect(),
            _ => Vec::new(),
        };
        let mut limits = Limits { time_ms, ..Default::default() };
        if let Some(d) = depth {
            limits.depth = d as usize;
        }
        let run = Run { now_ms: now_ms(), seed: 0 };
        Ok(expression.evaluate(input.as_ref(), &bindings, &run, &limits)?.map(|v| to_json(&v)))
    })();
    match r {
        Ok(Some(t)) => Outcome::Value(serde_json::from_str(&shelter(&t)).expect("JSON")),
        Ok(None) => Outcome::Undefined,
        Err(f) => Outcome::Error(f.code, f.message),
    }
}
fn same(one: &J, other: &J) -> bool {
    match (one, other) {
        (J::Number(a), J::Number(b)) => a.as_f64() == b.as_f64(),
        (J::Array(a), J::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (J::Object(a), J::Object(b)) => a.len() == b.len() && a.iter().all(|(k, v)| b.get(k).is_some_and(|f| same(v, f))),
        _ => one == other,
    }
}
fn json(p: &std::path::Path) -> J {
    serde_json::from_str(&shelter(&std::fs::read_to_string(p).unwrap())).unwrap()
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let body = move || match args[1].as_str() {
        "suite" => suite(&args[2]),
        "pairs" => pairs(&args[2]),
        _ => {
            let out = natively(&args[2], args.get(3).map(|s| s.as_str()), None, None, Some(10000));
            println!("{out:?}");
        }
    };
    std::thread::Builder::new().stack_size(64 << 20).spawn(body).unwrap().join().unwrap();
}
fn suite(folder: &str) {
    let folder = std::path::Path::new(folder);
    let mut groups: Vec<_> = std::fs::read_dir(folder.join("groups")).unwrap().map(|e| e.unwrap().path()).collect();
    groups.sort();
    let (mut passed, mut failed) = (0, 0);
    for path in groups {
        let J::Array(cases) = json(&path) else { panic!() };
        for case in cases {
            let input = match (case.get("data"), case.get("dataset")) {
                (Some(d), _) => Some(d.to_string()),
                (None, Some(J::String(n))) => Some(json(&folder.join("datasets").join(format!("{n}.json"))).to_string()),
                _ => None,
            };
            let code = case["code"].as_str().or_else(|| case["error"]["code"].as_str());
            let expected = match (case.get("result"), case.get("undefinedResult"), code) {
                (Some(v), None, None) => Outcome::Value(v.clone()),
                (None, Some(_), None) => Outcome::Undefined,
                (None, None, Some(c)) => Outcome::Error(c.into(), String::new()),
                _ => panic!(),
            };
            let bindings = case.get("bindings").filter(|b| b.is_object()).map(J::to_string);
            let expr = case["expr"].as_str().unwrap();
            let found = natively(expr, input.as_deref(), bindings.as_deref(), case["depth"].as_u64(), case["timelimit"].as_u64());
            let unordered = case["unordered"].as_bool() == Some(true);
            let ok = match (&expected, &found) {
                (Outcome::Value(J::Array(e)), Outcome::Value(J::Array(f))) if unordered => {
                    let mut left: Vec<_> = f.iter().collect();
                    e.len() == f.len()
                        && e.iter().all(|i| {
                            let p = left.iter().position(|o| same(i, o));
                            p.map(|p| left.swap_remove(p)).is_some()
                        })
                }
                (Outcome::Value(e), Outcome::Value(f)) => same(e, f),
                (Outcome::Error(e, _), Outcome::Error(f, _)) => e == f || e == "U1001" && matches!(f.as_str(), "D1011" | "D1012"),
                (e, f) => e == f,
            };
            if ok {
                passed += 1
            } else {
                failed += 1;
                let mut f = format!("{found:?}");
                if f.len() > 300 {
                    f = f.chars().take(300).collect();
                }
                let mut e = format!("{expected:?}");
                if e.len() > 300 {
                    e = e.chars().take(300).collect();
                }
                println!(
                    "{} {}: {}\n   expected {e}\n   got      {f}",
                    path.file_stem().unwrap().to_string_lossy(),
                    case["id"],
                    expr.trim()
                );
            }
        }
    }
    println!("{passed} passed, {failed} failed");
}
fn pairs(file: &str) {
    let mut classes = std::collections::BTreeMap::<String, usize>::new();
    let mut count = 0;
    let text: Box<dyn std::io::BufRead> = Box::new(std::io::BufReader::new(std::fs::File::open(file).unwrap()));
    use std::io::BufRead;
    for line in text.lines() {
        let Ok(line) = line else { break };
        let Ok(pair): Result<J, _> = serde_json::from_str(&shelter(&line)) else { continue };
        count += 1;
        let expr = pair["expression"].as_str().unwrap();
        let ours = natively(expr, Some(&pair["input"].to_string()), None, Some(300), Some(10_000));
        let is_code = |t: &str| t.len() == 5 && t.as_bytes()[0].is_ascii_uppercase() && t[1..].bytes().all(|b| b.is_ascii_digit());
        let (theirs, equal) = match (pair.get("value"), pair.get("code").and_then(J::as_str)) {
            (Some(v), _) => (v.to_string(), matches!(&ours, Outcome::Value(o) if same(v, o))),
            (_, Some(c)) if is_code(c) => (c.to_string(), matches!(&ours, Outcome::Error(o, _) if o == c)),
            (_, Some(c)) => (format!("exception {c}"), matches!(&ours, Outcome::Error(..))),
            (None, None) if pair.get("function").is_some() => ("function".into(), ours == Outcome::Value("".into())),
            (None, None) => ("undefined".into(), ours == Outcome::Undefined),
        };
        if !equal {
            let kind = |t: &str| {
                if t.starts_with("exception") {
                    "exception".to_string()
                } else if is_code(t) || t == "undefined" || t == "function" {
                    t.to_string()
                } else {
                    "value".into()
                }
            };
            let ok = match &ours {
                Outcome::Value(_) => "value".into(),
                Outcome::Undefined => "undefined".into(),
                Outcome::Error(c, _) => c.clone(),
            };
            let class = format!("{} -> {}", kind(&theirs), ok);
            let o = match &ours {
                Outcome::Value(v) => v.to_string(),
                o => format!("{o:?}"),
            };
            println!(
                "{class}\n  {expr}\n  {}\n  theirs: {}\n  ours:   {}",
                pair["input"].to_string().chars().take(1500).collect::<String>(),
                theirs.chars().take(400).collect::<String>(),
                o.chars().take(400).collect::<String>()
            );
            *classes.entry(class).or_default() += 1;
        }
    }
    for (c, n) in &classes {
        println!("{n} {c}");
    }
    println!("{count} pairs, {} differ", classes.values().sum::<usize>());
}
