//! Python functions.

use std::sync::LazyLock;

use insta::assert_snapshot;
use serde_json::json;

use super::{Module, has_python, letters, rows, told};
use crate::support::Pipeline;

const SOURCE: &str = r#"
import base64, collections, dataclasses, datetime, decimal, logging, os, random, time


def batch(records, factor=2):
    """Multiplies a."""
    for record in records:
        if record["a"] == 17:
            raise ValueError(f"will not have {record['a']}")
        record["b"] = record["a"] * int(factor)
    return records


def total(records):
    return [{"total": sum(check(record["a"]) for record in records), "count": len(records)}]


def check(a):
    if a == 17:
        raise ValueError("no 17")
    return a


def record(record, **kwargs):
    from string import capwords  # imported late, and there all the same
    a = record["a"]
    if a == 2:
        return None
    if a == 3:
        return [dict(record, part=part) for part in (1, 2)]
    if a == 4:
        return record["missing"]
    if a == 5:
        return {"a": a, "nested": {"list": [1, object()]}}
    if a == 6:
        return "text"
    return dict(record, word=capwords("ab cd"), kwargs=sorted(kwargs))


class Stateful:
    def __init__(self):
        self.factor = 10

    def run(self, records, **kwargs):
        return [{"a": record["a"] * self.factor} for record in records]


async def later(records):
    import asyncio
    one, two = await asyncio.gather(asyncio.sleep(3600, 1), asyncio.sleep(7200, 2))
    return [dict(record, sum=one + two) for record in records]


@dataclasses.dataclass
class Point:
    x: int
    y: float


def values(record):
    return {
        "decimal": decimal.Decimal("1.10"), "datetime": datetime.datetime(2024, 2, 29, 12, 0, tzinfo=datetime.timezone.utc),
        "date": datetime.date(2024, 2, 29), "delta": datetime.timedelta(seconds=90), "nan": float("nan"), "big": 2**70,
        "exact": 9007199254740993, "bytes": b"\x00\xff", "set": {3, 1, 2}, "point": Point(1, float("inf")), "tuple": (1, 2),
        "parsed": datetime.datetime.strptime("2024-03-01", "%Y-%m-%d"),
    }


def hostile(record):
    a = record["a"]
    if a == 3:
        while True:
            pass
    if a == 5:
        return {"a": "x" * 2_000_000_000}
    if a == 6:
        def deep(n):
            return deep(n + 1)
        deep(0)
    if a == 7:
        raise SystemExit(3)
    return record


def reach(record):
    def attempt(code):
        try:
            return repr(eval(code))
        except Exception as error:
            return type(error).__name__
    names = [
        "__import__('socket').create_connection(('127.0.0.1', 80), 1)", "open('/etc/passwd')", "open('/0/etl_host_app.py')", "os.listdir('/')",
        "dict(os.environ).get('HOME')", "__import__('subprocess').run(['ls'])", "time.time() == time.time()",
        "abs(time.time() - datetime.datetime.now().timestamp()) < 1",
    ]
    return {"reach": [attempt(name) for name in names], "random": random.random(), "urandom": base64.b16encode(os.urandom(4)).decode()}


def logs(record):
    logging.getLogger("mine").warning("row %s", record["a"])
    return record


def needs(record, *, rate, region="eu"):
    return dict(record, rate=rate, region=region)
"#;

static PYTHON: LazyLock<Module> = LazyLock::new(|| Module::build("transforms.py", SOURCE, "batch"));

#[test]
fn a_function_that_raises_on_row_17_of_a_batch_loses_row_17() {
    if !has_python() {
        return;
    }
    let pipeline = PYTHON.pipeline("batch", "", 3000);
    let report = pipeline.run(0);
    assert_eq!(report["rows"]["loaded"], json!(2999), "{report}");
    assert_snapshot!(letters(&pipeline).join("\n"), @"17 value_error: ValueError: will not have 17 (transforms.py:9, in batch)");
    let rows = rows(&pipeline);
    assert_eq!((rows.len(), &rows[16]), (2999, &json!({"a": 18, "b": 36})));
    // An aggregate is made of all other rows at once, not of the parts in which the guilty one was looked for.
    let pipeline = PYTHON.pipeline("total", "", 30);
    pipeline.run(0);
    assert_snapshot!(letters(&pipeline).join("\n"), @"17 value_error: ValueError: no 17 (transforms.py:20, in check)");
    assert_eq!(super::rows(&pipeline), [json!({"total": 30 * 31 / 2 - 17, "count": 29})]);
}

#[test]
fn record_by_record_none_drops_a_list_expands_and_what_raises_is_refused() {
    if !has_python() {
        return;
    }
    let pipeline = PYTHON.pipeline("record", "  mode: record\n  kwargs: {x: 1}\n", 7);
    let report = pipeline.run(0);
    assert_eq!(report["rows"]["filtered"], json!(0), "{report}");
    assert_snapshot!(pipeline.read("out.jsonl"), @r#"
    {"a":1,"word":"Ab Cd","kwargs":["x"],"part":null}
    {"a":3,"word":null,"kwargs":null,"part":1}
    {"a":3,"word":null,"kwargs":null,"part":2}
    {"a":7,"word":"Ab Cd","kwargs":["x"],"part":null}
    "#);
    assert_snapshot!(letters(&pipeline).join("\n"), @r"
    4 key_error: KeyError: 'missing' (transforms.py:32, in record)
    5 not_serialisable: key `nested.list[1]`: a value of type `object` has no JSON form
    6 not_a_row: returned a `str` where a row, a dict, or a list of rows must be
    ");
}

#[test]
fn classes_with_run_and_coroutines_are_functions_too() {
    if !has_python() {
        return;
    }
    for (function, row) in [("Stateful", json!({"a": 10})), ("later", json!({"a": 1, "sum": 3}))] {
        let pipeline = PYTHON.pipeline(function, "", 3);
        pipeline.run(0);
        assert_eq!(rows(&pipeline)[0], row);
    }
}

#[test]
fn values_that_json_has_not_become_text_null_or_lists() {
    if !has_python() {
        return;
    }
    let pipeline = PYTHON.pipeline("values", "  mode: record\n", 1);
    pipeline.run(0);
    assert_snapshot!(pipeline.read("out.jsonl"), @r#"{"decimal":"1.10","datetime":"2024-02-29T12:00:00+00:00","date":"2024-02-29","delta":90.0,"nan":null,"big":"1180591620717411303424","exact":9007199254740993,"bytes":"AP8=","set":[1,2,3],"point":{"x":1,"y":null},"tuple":[1,2],"parsed":"2024-03-01T00:00:00"}"#);
}

#[test]
fn kwargs_stand_under_the_runs_parameters_and_what_a_function_does_not_take_is_an_error() {
    if !has_python() {
        return;
    }
    let extract = "type: file\npath: in.csv\ninput_params: [rate, only_for_the_source]\n";
    let pipeline = PYTHON.pipeline("needs", "  mode: record\n  kwargs: {rate: 1, region: us}\n", 1).with("extract.yaml", extract);
    let answer = pipeline.answer(&["run", "--quiet", "--param", "rate=7", "--param", "only_for_the_source=x"]);
    assert_eq!(answer.code, 0, "{answer:?}");
    assert_eq!(rows(&pipeline), [json!({"a": 1, "rate": "7", "region": "us"})]);
    let pipeline = PYTHON.pipeline("needs", "  mode: record\n  kwargs: {rates: 1, regoin: us}\n", 1);
    assert_snapshot!(told(&pipeline.answer(&["run"])), @r"
    2
    ./transform.yaml:2:3: error: `custom_function`: stage `needs`, `rates`: needs() got an unexpected keyword argument 'rates'
      because: and `regoin`: needs() got an unexpected keyword argument 'regoin'; and `rate`: needs() is missing a required keyword argument 'rate'
      hint: it takes `rate`, `region`
    ");
}

#[test]
fn a_wrong_name_is_answered_with_the_right_ones() {
    if !has_python() {
        return;
    }
    let pipeline = PYTHON.pipeline("recrod", "  mode: record\n", 1);
    assert_snapshot!(told(&pipeline.answer(&["run"])), @r"
    2
    ./transform.yaml:2:3: error: `custom_function`: the component has no function `recrod`; it has `batch`, `total`, `check`, `record`, `Stateful`, `later`, `values`, `hostile`, `reach`, `logs`, `needs`
      hint: did you mean `record`?
    ");
}

#[test]
fn a_loop_without_end_and_a_memory_bomb_cost_their_rows() {
    if !has_python() {
        return;
    }
    let limits = "  mode: record\n  limits: {fuel_per_batch: 300000000, memory_mb: 128}\n";
    let pipeline = PYTHON.pipeline("hostile", limits, 8);
    pipeline.run(4);
    let letters = letters(&pipeline);
    assert_eq!(rows(&pipeline).len(), 4, "{letters:?}");
    let shown: Vec<&str> = letters.iter().map(|letter| letter.split([';', '(']).next().unwrap().trim_end()).collect();
    // What the interpreter itself holds differs a little from build to build.
    let shown = shown.join("\n").replacen("asked for 192", "asked for …", 1);
    let (before, after) = shown.split_once('…').unwrap();
    let shown = format!("{before}…{}", &after[after.find(" MiB").unwrap()..]);
    assert_snapshot!(shown, @r"
    3 out_of_fuel: used all of its 300.0 M fuel
    5 memory_limit: asked for … MiB of memory, the limit is 128.0 MiB
    6 recursion_error: RecursionError: maximum recursion depth exceeded
    7 system_exit: SystemExit: 3
    ");
}

#[test]
fn policies_hold_for_what_raises_and_what_crashes() {
    if !has_python() {
        return;
    }
    let run = |function: &str, more: &str, code: i32| {
        let pipeline = PYTHON.pipeline(function, more, 20);
        let report = pipeline.run(code);
        (report["rows"].clone(), letters(&pipeline).len())
    };
    let (rows, letters) = run("batch", "  on_error: skip\n", 0);
    assert_eq!((&rows["loaded"], letters), (&json!(19), 0), "{rows}");
    assert_eq!(run("batch", "  on_error: fail\n", 1).1, 0);
    assert_eq!(run("record", "  mode: record\n  on_error: fail\n", 1).1, 0);
    let crash = "  mode: record\n  limits: {fuel_per_batch: 300000000, memory_mb: 128}\n";
    assert_eq!(run("hostile", &format!("{crash}  on_trap: fail_batch\n"), 4).1, 20);
    assert_eq!(run("hostile", &format!("{crash}  on_trap: restart\n"), 1).1, 0);
    let (rows, _) = run("hostile", &format!("{crash}  on_trap: bypass\n"), 0);
    assert_eq!(rows["loaded"], json!(20), "{rows}");
}

#[test]
fn python_reaches_nothing_and_its_clock_and_dice_are_the_runs() {
    if !has_python() {
        return;
    }
    let pipeline = PYTHON.pipeline("reach", "  mode: record\n", 2);
    pipeline.run(0);
    let made = rows(&pipeline);
    assert_eq!(
        made[0]["reach"],
        json!(["gaierror", "FileNotFoundError", "FileNotFoundError", "FileNotFoundError", "None", "OSError", "True", "True"])
    );
    assert_ne!(made[0]["random"], made[1]["random"]);
    // Another run, other dice.
    pipeline.run(0);
    assert_ne!((&rows(&pipeline)[0]["random"], &rows(&pipeline)[0]["urandom"]), (&made[0]["random"], &made[0]["urandom"]));
    let pipeline = PYTHON.pipeline("logs", "  mode: record\n", 1);
    let answer = crate::support::answer(pipeline.command(&["run", "--quiet"]).env("ETL_HOST_LOG", "guest=warn"));
    assert!(answer.stderr.contains("row 1"), "{answer:?}");
}

#[test]
fn what_has_changed_since_the_build_is_told_and_only_that_is_built_again() {
    if !has_python() {
        return;
    }
    let pipeline = Pipeline::of(("in.csv", "a\n1\n"), "custom_function: {callable: pkg.mod.up}\n", "out.jsonl")
        .with("pkg/__init__.py", "")
        .with("pkg/rates.json", "{\"EUR\": 2}")
        .with("pkg/helper.py", "import json, pathlib\nRATES = json.loads((pathlib.Path(__file__).parent / 'rates.json').read_text())\n")
        .with(
            "pkg/mod.py",
            "from .helper import RATES\ndef up(records):\n    return [dict(r, b=r['a'] * RATES['EUR']) for r in records]\n",
        );
    assert_snapshot!(told(&pipeline.answer(&["run"])), @r"
    2
    ./transform.yaml:1:18: error: `custom_function`: stage `up`
      because: the module `pkg.mod` is not built into a component
      hint: run `etl-host build .`
    ");
    let built = |pipeline: &Pipeline| -> serde_json::Value {
        let answer = pipeline.answer(&["build", "--json"]);
        assert_eq!(answer.code, 0, "{answer:?}");
        serde_json::from_str::<serde_json::Value>(&answer.stdout).unwrap()["components"][0].clone()
    };
    let first = built(&pipeline);
    assert_eq!(first["sources"], json!(["pkg/__init__.py", "pkg/helper.py", "pkg/mod.py", "pkg/rates.json"]));
    assert_eq!(first["up_to_date"], json!(false));
    assert!(!pipeline.names().iter().any(|name| name.contains("__pycache__")), "{:?}", pipeline.names());
    pipeline.run(0);
    assert_eq!(rows(&pipeline), [json!({"a": 1, "b": 2})]);
    assert_eq!(built(&pipeline)["up_to_date"], json!(true));
    let pipeline = pipeline.with("pkg/rates.json", "{\"EUR\": 3}");
    assert_snapshot!(told(&pipeline.answer(&["run"])), @r"
    2
    ./transform.yaml:1:18: error: `custom_function`: stage `up`
      because: `pkg/rates.json` has changed since `pkg.mod` was built from it
      hint: run `etl-host build .`
    ");
    assert_eq!(built(&pipeline)["up_to_date"], json!(false));
    pipeline.run(0);
    assert_eq!(rows(&pipeline), [json!({"a": 1, "b": 3})]);
}

#[test]
fn what_does_not_build_is_told_with_its_place() {
    if !has_python() {
        return;
    }
    let told_of = |source: &str, function: &str| {
        let transform = format!("custom_function: {{module: mod, function: {function}}}\n");
        let pipeline = Pipeline::of(("in.csv", "a\n1\n"), &transform, "out.jsonl").with("mod.py", source);
        told(&pipeline.answer(&["build"]))
    };
    assert_snapshot!(told_of("def up(records):\n    return (\n", "up"), @r"
    2
    building mod …
    ./mod.py:2: error: the Python module `mod` does not import: SyntaxError: '(' was never closed
    ");
    assert_snapshot!(told_of("\nimport not_there\n", "up"), @r"
    2
    building mod …
    ./mod.py:2: error: the Python module `mod` does not import: ModuleNotFoundError: No module named 'not_there'
      hint: a package in pure Python must be beside componentize-py (`pip install`), or in a folder named with `--path`; one with native code, such as numpy, cannot be in a component
    ");
}

#[test]
fn a_module_that_is_no_name_or_not_there_is_a_mistake_that_check_finds() {
    let pipeline = |named: &str| Pipeline::of(("in.csv", "a\n1\n"), &format!("custom_function: {{{named}}}\n"), "out.jsonl");
    let check = |named: &str| told(&pipeline(named).answer(&["check"]));
    assert_snapshot!(check("module: ../../../etc/passwd, function: f"), @r"
    2
    ./transform.yaml:1:27: error: `custom_function.module`: `../../../etc/passwd` is no module's name
      hint: write `package.module`, or the path of a `.js` file
    .: 1 mistake
    ");
    assert_snapshot!(check("module: ..x, function: f"), @r"
    2
    ./transform.yaml:1:27: error: `custom_function.module`: `..x` is no module's name
      hint: write `package.module`, or the path of a `.js` file
    .: 1 mistake
    ");
    assert_snapshot!(check("module: ../x.js, function: f"), @r"
    2
    ./transform.yaml:1:27: error: `custom_function.module`: `../x.js` is outside the contract directory
      hint: name a file below it, by its path from there
    .: 1 mistake
    ");
    assert_snapshot!(check("callable: os.system"), @r"
    2
    ./transform.yaml:1:18: error: `custom_function`: the module `os` is not there; looked for `./os.py`, `./os/__init__.py`, `./os.js`, `./os.mjs`
      hint: put it into the contract directory, or name its folder with `--path`
    .: 1 mistake
    ");
    let there = pipeline("module: mod, function: up").with("mod.py", "");
    assert_eq!(there.answer(&["check"]).code, 0);
    // A machine that has the component needs no source.
    std::fs::remove_file(there.path("mod.py")).unwrap();
    let lock = "version: 1\ncomponents:\n- name: mod\n  kind: module\n  component: components/mod.wasm\n  digest: \
                sha256:0000000000000000000000000000000000000000000000000000000000000000\n  built_from: []\n";
    let there = there.with("etl-host.lock", lock).with("components/mod.wasm", "");
    let checked = there.answer(&["check"]);
    assert_eq!(checked.code, 0, "{checked:?}");
}

#[test]
fn a_module_behind_a_link_is_built_and_built_again_when_what_it_stands_for_changes() {
    if !has_python() {
        return;
    }
    let pipeline = Pipeline::of(("in.csv", "a\n1\n"), "custom_function: {module: job.mod, function: up}\n", "out.jsonl")
        .with("shared/real.py", "def up(records):\n    import near\n    return [{'b': near.B} for record in records]\n")
        .with("shared/near.py", "B = 2\n")
        .with("job/__init__.py", "");
    std::os::unix::fs::symlink("../shared/real.py", pipeline.path("job/mod.py")).unwrap();
    std::os::unix::fs::symlink("shared/near.py", pipeline.path("near.py")).unwrap();
    for (b, up_to_date) in [(2, false), (2, true), (3, false)] {
        let pipeline = &pipeline;
        std::fs::write(pipeline.path("shared/near.py"), format!("B = {b}\n")).unwrap();
        let built = pipeline.answer(&["build", "--json"]);
        assert_eq!(built.code, 0, "{built:?}");
        let built: serde_json::Value = serde_json::from_str(&built.stdout).unwrap();
        assert_eq!(built["components"][0]["up_to_date"], json!(up_to_date), "{b}");
        pipeline.run(0);
        assert_eq!(rows(pipeline), [json!({"b": b})]);
    }
}

#[test]
fn a_missing_tool_or_module_is_named_with_what_to_do() {
    let pipeline = Pipeline::of(("in.csv", "a\n1\n"), "custom_function: {module: mod, function: up}\n", "out.jsonl");
    let build = |pipeline: &Pipeline| {
        let mut command = pipeline.command(&["build"]);
        command.env_remove("ETL_COMPONENTIZE_PY").env_remove("ETL_COMPONENTIZE_JS").env("PATH", "/nowhere");
        told(&crate::support::answer(&mut command))
    };
    assert_snapshot!(build(&pipeline), @r"
    2
    ./transform.yaml:1:18: error: `custom_function`: the module `mod` is not there; looked for `./mod.py`, `./mod/__init__.py`, `./mod.js`, `./mod.mjs`
      hint: put it into the contract directory, or name its folder with `--path`
    ");
    let pipeline = pipeline.with("mod.py", "");
    assert_snapshot!(build(&pipeline), @r"
    3
    building mod …
    ./transform.yaml:1:18: error: `custom_function`: `componentize-py` is not installed
      hint: `pip install componentize-py`, or let ETL_COMPONENTIZE_PY name the program
    ");
    std::fs::rename(pipeline.path("mod.py"), pipeline.path("mod.js")).unwrap();
    assert_snapshot!(build(&pipeline), @r"
    3
    building mod …
    ./transform.yaml:1:18: error: `custom_function`: `componentize-js` is not installed
      hint: `npm install @bytecodealliance/componentize-js` (with node, https://nodejs.org), or let ETL_COMPONENTIZE_JS name the program
    ");
}
