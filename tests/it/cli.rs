//! What the program says, whole: exit code, stdout and stderr.

use std::path::Path;

use crate::support::{Answer, Pipeline, answer, any_patch, program, root};

/// The answer as one text, without what differs from run to run.
pub(crate) fn shown(answer: &Answer) -> String {
    let mut text = format!("exit code {}\n", answer.code);
    for (name, stream) in [("stdout", &answer.stdout), ("stderr", &answer.stderr)] {
        if !stream.is_empty() {
            text.push_str(&format!("--- {name}\n{}\n", mask(stream.trim_end())));
        }
    }
    text
}

/// Masks digests and temporary folders.
fn mask(text: &str) -> String {
    let mut masked = Vec::new();
    for line in text.lines() {
        let mut line = line.replace(root().to_str().unwrap(), "ROOT").replace(std::env::temp_dir().to_str().unwrap(), "TEMP");
        if let Some(at) = line.find("sha256:") {
            line.truncate(at + 7);
            line.push_str("DIGEST");
        }
        if line.trim_start().starts_with("size") {
            line = line.split("size").next().unwrap().to_owned() + "size SIZE";
        }
        masked.push(line);
    }
    masked.join("\n")
}

fn etl_host(folder: &Path, arguments: &[&str]) -> String {
    shown(&answer(program().current_dir(folder).args(arguments)))
}

const LOAD: &str = "type: file\npath: out.jsonl\n";

#[test]
fn check_tells_all_mistakes_with_their_places() {
    let pipeline = Pipeline::new()
        .with("extract.yaml", "type: file\npath: orders.csv\nformat: cvs\nbatch_size: many\n")
        .with("transform.yaml", "rename: {a: b}\nconvert: {price: flaot}\nfiltre: {field: price, operator: gt, value: 1}\n")
        .with("load.yaml", "type: file\npath: ${OUTPUT}\nwrite_mode: appendd\n");
    insta::assert_snapshot!(shown(&pipeline.answer(&["check"])), @r"
    exit code 2
    --- stderr
    ./extract.yaml:3:9: error: `format`: `format` is the text `cvs`, but must be one of `csv`, `tsv`, `json`, `jsonl`, `ndjson`, `parquet`, `excel`, `xlsx`, `xml`
      hint: did you mean `csv`?
    ./extract.yaml:4:13: error: `batch_size`: `batch_size` is the text `many`, but must be a whole number above 0
    ./load.yaml:3:13: error: `write_mode`: `write_mode` is the text `appendd`, but must be one of `overwrite`, `append`
      hint: did you mean `append`?
    ./transform.yaml:2:18: error: `convert.price`: `flaot` is not a type; types are str, string, int, integer, float, double, number, numeric, bool, boolean, datetime, date, decimal(p,s), timestamp, timestamp(tz), json
      hint: did you mean `float`?
    ./transform.yaml:3:1: error: `filtre`: unknown operation `filtre`
      hint: did you mean `filter`?
    ./load.yaml:2:7: note: `path`: `${OUTPUT}` is not set
      hint: set OUTPUT in the environment, give `--var OUTPUT=…`, or write a default: `${OUTPUT:-…}`
    .: 5 mistakes
    ");
}

#[test]
fn check_says_that_all_is_well() {
    insta::assert_snapshot!(etl_host(&root(), &["check", "examples/quickstart"]), @r"
    exit code 0
    --- stderr
    examples/quickstart: no mistake
    ");
}

#[test]
fn check_tells_of_several_directories_as_json() {
    let pipeline = Pipeline::new()
        .with("good/extract.yaml", "path: a.csv\n")
        .with("good/load.yaml", LOAD)
        .with("bad/extract.yaml", "path: a.csv\nskip: 1\n")
        .with("bad/load.yaml", LOAD);
    insta::assert_snapshot!(etl_host(&pipeline.path(""), &["check", "good", "bad", "--json"]), @r#"
    exit code 2
    --- stdout
    [{"directory":"good","errors":[],"notes":[]},{"directory":"bad","errors":[{"place":{"file":"bad/extract.yaml","line":2,"column":1,"key":"skip"},"message":"unknown key `skip`","hint":"keys here are `path`, `format`, `csv_options`, `json_options`, `excel_options`, `xml_options`, `columns`, `sort_files`, `fail_on_empty`, `response_path`, `type`, `batch_size`, `max_records`, `on_parse_error`, `schema`, `infer_rows`, `input_params`, `param_mapping`, `processing_mode`, `chunk_size`, `max_memory_mb`, `checkpoint`, `incremental`, `validation`","fault":"config"}],"notes":[]}]
    "#);
}

#[test]
fn plan_shows_what_will_run() {
    insta::assert_snapshot!(etl_host(&root(), &["plan", "examples/quickstart"]), @r"
    exit code 0
    --- stdout
    quickstart
      source     file data/orders.csv
      batches    1000 rows where a stage sees a batch's rows together
      schema     Order ID: Utf8, Customer: Utf8, E-Mail: Utf8, Country: Utf8, Item: Utf8, Quantity: Utf8, Unit Price: Utf8, Ordered: Utf8, Gift: Utf8, Status: Utf8, Notes: Utf8
      stage      ops: rename 10, convert 5, defaults 3, add 3, select 12
        from     the built-in `ops`
        digest   sha256:DIGEST
        limits   50.0 M fuel a batch + 100.0 k a row, 64 MiB, 30 s a batch, 64 MiB or 16 times the input of output a batch
        grants   nothing
        on error dead_letter, on a crash bisect
        schema   order_id: Int64, ordered_on: Date32, customer: Utf8, contact: Utf8, country: Utf8, country_key: Utf8, item: Utf8, quantity: Int64, unit_price: Decimal128(12, 2), is_gift: Boolean, status: Utf8, source: Utf8
      sink       file output/orders.jsonl, overwrite
      rejects    examples/quickstart/dlq/quickstart.jsonl
    ");
}

#[test]
fn inspect_shows_what_a_component_is_and_reaches() {
    insta::assert_snapshot!(any_patch(&etl_host(&root(), &["inspect", env!("ETL_OPS_WASM")])), @r"
    exit code 0
    --- stdout
    etl-ops 0.1.0
      digest     sha256:DIGEST
      size SIZE
      world      etl:transform/transform@1.0.0
      function   ops (stateless): the simple operations of transform.yaml, in their order
      function   flatten (stateless): objects and lists as columns
      imports    etl:transform/data@1.0.0: rows, log, counters
      imports    etl:transform/host@1.0.0: rows, log, counters
      imports    etl:transform/types@1.0.0: rows, log, counters
      imports    wasi:cli/environment@0.2.x: empty, unless `grants: {env: [NAME]}`
      imports    wasi:cli/exit@0.2.x: ends the call as a crash
      imports    wasi:cli/stderr@0.2.x: the last 8 KiB are shown with an error
      imports    wasi:cli/stdin@0.2.x: closed
      imports    wasi:cli/stdout@0.2.x: the last 8 KiB are shown with an error
      imports    wasi:cli/terminal-input@0.2.x: no terminal
      imports    wasi:cli/terminal-output@0.2.x: no terminal
      imports    wasi:cli/terminal-stderr@0.2.x: no terminal
      imports    wasi:cli/terminal-stdin@0.2.x: no terminal
      imports    wasi:cli/terminal-stdout@0.2.x: no terminal
      imports    wasi:io/error@0.2.x: streams of the above
      imports    wasi:io/poll@0.2.x: streams of the above
      imports    wasi:io/streams@0.2.x: streams of the above
      imports    wasi:random/insecure-seed@0.2.x: drawn from the run's id, the same at every try, unless `grants: {random: true}`
    ");
}

#[test]
fn inspect_of_a_file_that_is_no_component() {
    insta::assert_snapshot!(etl_host(&root(), &["inspect", "README.md"]), @r"
    exit code 2
    --- stderr
    error: `README.md` is not WebAssembly
      hint: build it with `cargo build --release --target wasm32-wasip2`, which gives a component
    ");
}

#[test]
fn help_names_every_command_and_exit_code() {
    insta::assert_snapshot!(etl_host(&root(), &["--help"]), @r"
    exit code 0
    --- stdout
    Runs extract, transform, load pipelines; every transform is a sandboxed WebAssembly component.

    Exit codes: 0 done · 1 rows or a transform failed the run · 2 the command line or a configuration
    file is wrong · 3 something outside failed (file missing, disk full) · 4 done, but a transform
    crashed on rows, which are in the dead letters · 5 stopped by a signal; with checkpoints it can be
    gone on with · 70 a fault of etl-host itself.

    Usage: etl-host <COMMAND>

    Commands:
      run       Run the pipeline of a contract directory
      run-many  Run the pipeline of a contract directory once for each of many parameters
      list      List the pipelines below a folder, and how each ran last
      history   List the last runs
      show      Show the record of one run
      stats     Show what the runs of each pipeline come to: how many succeeded, how long they took, how
                many rows
      dlq       Look after the rows that went no further
      check     Find every mistake in the configuration of contract directories, without touching data
      test      Run the cases of a contract directory: rows in, rows expected; without source, sink and
                network
      preview   Show the first rows after each step, and what each step changed; writes nothing
      plan      Show what would run: source, stages, sink, limits, schemas
      build     Make components of what a contract directory holds as source: Python and JavaScript
                modules, a Rust crate
      new       Start a project of your own
      inspect   Show what a component is, offers and would reach
      lock      Pin the components of a pipeline to the bytes that they have now, in its lock file
      add       Put components into the store of this machine and print their digests
      pull      Pull a component from a registry into the store and print its digest
      push      Push a component to a registry and print the reference that names it for ever
      schema    Print the JSON Schema of a configuration file, for editors
      help      Print this message or the help of the given subcommand(s)

    Options:
      -h, --help
              Print help (see a summary with '-h')

      -V, --version
              Print version
    ");
}

#[test]
fn an_unknown_flag_is_answered_with_those_that_are_near() {
    insta::assert_snapshot!(etl_host(&root(), &["run", "examples/quickstart", "--dryrun"]), @r"
    exit code 2
    --- stderr
    error: unexpected argument '--dryrun' found

      tip: a similar argument exists: '--dry-run'

    Usage: etl-host run --dry-run <DIRECTORY>

    For more information, try '--help'.
    ");
}

#[test]
fn an_unknown_command_is_answered_with_those_that_are_near() {
    insta::assert_snapshot!(etl_host(&root(), &["chekc", "examples/quickstart"]), @r"
    exit code 2
    --- stderr
    error: unrecognized subcommand 'chekc'

      tip: some similar subcommands exist: 'schema', 'check'

    Usage: etl-host <COMMAND>

    For more information, try '--help'.
    ");
}

#[test]
fn a_parameter_that_does_not_exist_is_answered_with_those_that_do() {
    let pipeline = Pipeline::new()
        .with("orders.csv", "id\n1\n")
        .with("extract.yaml", "path: orders.csv\ninput_params: {region: {required: true}, since: {default: '2024-01-01'}}\n")
        .with("load.yaml", LOAD);
    insta::assert_snapshot!(shown(&pipeline.answer(&["run", "--param", "regoin=north"])), @r"
    exit code 2
    --- stderr
    error: the pipeline takes no parameter `regoin`
      hint: did you mean `region`?
    error: parameter `region` is missing
      hint: pass `--param region=…`
    ");
}

#[test]
fn a_contract_directory_that_is_not_there() {
    let pipeline = Pipeline::new();
    insta::assert_snapshot!(etl_host(&pipeline.path(""), &["run", "orders"]), @r"
    exit code 3
    --- stderr
    error: opening the contract directory `orders`
      because: No such file or directory (os error 2)
    ");
}

#[test]
fn a_contract_directory_without_files() {
    let pipeline = Pipeline::new();
    insta::assert_snapshot!(shown(&pipeline.answer(&["run"])), @r"
    exit code 2
    --- stderr
    .: error: `extract.yaml` is missing
      hint: looked for extract.yaml, extract.yml, pipeline.yaml and pipeline.yml in .
    .: error: `load.yaml` is missing
      hint: looked for load.yaml, load.yml, pipeline.yaml and pipeline.yml in .
    ");
}

#[test]
fn an_input_that_is_not_there() {
    let pipeline = Pipeline::new().with("extract.yaml", "path: in/orders.csv\n").with("load.yaml", LOAD);
    insta::assert_snapshot!(shown(&pipeline.answer(&["run"])), @r"
    exit code 3
    --- stderr
    error: `in/orders.csv` does not exist; it was looked for as `in/orders.csv`
      hint: the folder `in` does not exist
    ");
}

#[test]
fn an_input_that_is_a_folder() {
    let pipeline = Pipeline::new().with("orders.csv/x", "").with("extract.yaml", "path: orders.csv\n").with("load.yaml", LOAD);
    insta::assert_snapshot!(shown(&pipeline.answer(&["run"])), @r"
    exit code 3
    --- stderr
    error: `orders.csv` is a folder, not a file
      hint: `orders.csv/*.csv` reads the files in it, `orders.csv/**/*.csv` those below too
    ");
}

#[test]
fn an_input_that_is_not_what_its_name_says() {
    let pipeline =
        Pipeline::new().with("orders.parquet", "id,price\n1,2\n").with("extract.yaml", "path: orders.parquet\n").with("load.yaml", LOAD);
    insta::assert_snapshot!(shown(&pipeline.answer(&["run"])), @r"
    exit code 1
    --- stderr
    error: `orders.parquet` is not a whole Parquet file
      because: Parquet error: Invalid Parquet file. Corrupt footer
      hint: the file may be cut off: fetch it again
    ");
}

#[test]
fn a_component_that_is_not_there_and_a_function_that_it_does_not_have() {
    let pipeline = Pipeline::new().with("orders.csv", "id\n1\n").with("extract.yaml", "path: orders.csv\n").with("load.yaml", LOAD);
    let gone = pipeline.with("transform.yaml", "- custom_function: {component: gone.wasm}\n");
    insta::assert_snapshot!(shown(&gone.answer(&["run"])), @r"
    exit code 3
    --- stderr
    ./transform.yaml:1:20: error: `[0].custom_function`: stage `gone`
      because: opening component `gone.wasm`
      because: No such file or directory (os error 2)
    ");
    let wrong = gone.with("transform.yaml", format!("- custom_function: {{component: {}, function: runn}}\n", env!("ETL_OPS_WASM")));
    insta::assert_snapshot!(shown(&wrong.answer(&["run"])), @r"
    exit code 2
    --- stderr
    ./transform.yaml:1:20: error: `[0].custom_function`: the component has no function `runn`; it has `ops`, `flatten`
    ");
}

#[test]
fn check_takes_a_variable_that_is_not_set_here_for_a_note_and_run_for_an_error() {
    let pipeline =
        Pipeline::new().with("extract.yaml", "path: ${ETL_HOST_TEST_NOT_SET}/in.csv\n").with("load.yaml", "type: file\npath: out.jsonl\n");
    let checked = pipeline.answer(&["check"]);
    assert_eq!(checked.code, 0, "{checked:?}");
    assert!(checked.stderr.starts_with("./extract.yaml:1:7: note: `path`: `${ETL_HOST_TEST_NOT_SET}` is not set"), "{checked:?}");
    assert_eq!(pipeline.answer(&["run"]).code, 2);
}
