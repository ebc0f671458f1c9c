//! Cases of `tests/config`: `<kind>-<what>.yaml` beside what comes of it, `.txt` where it is right and `.err` where it is not.
//!
//! With `UPDATE_GOLDEN=1` they are written anew.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Files, Kind, Pipeline, Problem, Text, parse};

const EXTRACT: &str = "type: file\npath: in.csv\n";
const LOAD: &str = "type: file\npath: out.jsonl\n";

fn text(name: &str, text: &str) -> Option<Text> {
    Some(Text { name: name.to_owned(), text: text.to_owned() })
}

fn variable(name: &str) -> Option<String> {
    let value = match name {
        "DATABASE_URL" => "postgresql://ada:lovelace@db.example.com/orders",
        "INPUT" => "orders",
        "ROWS" => "250",
        "EMPTY" => "",
        "API_KEY" | "API_TOKEN" | "SSH_USER" | "AZURE_STORAGE_CONNECTION_STRING" => "s3cr3t-value",
        _ => return None,
    };
    Some(value.to_owned())
}

/// A file of the given kind beside plain ones.
fn pipeline_with(kind: Kind, file: Text) -> Files {
    let plain = Files {
        name: "case".into(),
        directory: "case".into(),
        extract: text("extract.yaml", EXTRACT),
        load: text("load.yaml", LOAD),
        ..Files::default()
    };
    match kind {
        Kind::Extract => Files { extract: Some(file), ..plain },
        Kind::Transform => Files { transform: Some(file), ..plain },
        Kind::Load => Files { load: Some(file), ..plain },
        Kind::Settings => Files { settings: Some(file), ..plain },
        Kind::Pipeline => Files { extract: None, load: None, pipeline: Some(file), ..plain },
    }
}

fn kind_of(name: &str) -> Kind {
    let kind = Kind::ALL.into_iter().find(|kind| name.starts_with(kind.name()));
    kind.unwrap_or_else(|| panic!("`{name}` must start with the kind of file that it is"))
}

fn steps(pipeline: &Pipeline) -> String {
    let transform = &pipeline.transform;
    if !pipeline.transformers.is_empty() {
        let chains = pipeline.chains();
        let places = pipeline.transformers.iter().map(|transformer| &transformer.place);
        let one = |(chain, place): (&Pipeline, _)| {
            format!("{place}: {}\n{}\n{:#?}", chain.transformer.as_deref().unwrap_or_default(), steps(chain), chain.load)
        };
        return chains.iter().zip(places).map(one).collect::<Vec<_>>().join("\n\n");
    }
    let mut lines: Vec<String> = transform.steps.iter().map(|step| format!("{} {}: {:?}", step.place, step.place.key, step.step)).collect();
    lines.push(format!("{:?} {:?}", transform.limits, transform.grants));
    if transform.params_become_columns {
        lines.push("parameters become columns".into());
    }
    lines.join("\n")
}

fn show(kind: Kind, pipeline: &Pipeline) -> String {
    let typed = match kind {
        Kind::Extract => format!("{:#?}", pipeline.extract),
        Kind::Transform => steps(pipeline),
        Kind::Load => format!("{:#?}", pipeline.load),
        Kind::Settings => format!("{} {:#?}", pipeline.name, pipeline.settings),
        Kind::Pipeline => {
            let Pipeline { name, version, description, extract, load, settings, .. } = pipeline;
            format!("{name} {version:?} {description:?}\n{extract:#?}\n{}\n{load:#?}\n{settings:#?}", steps(pipeline))
        }
    };
    let later: String = pipeline.not_built().iter().map(|problem| format!("\n{problem}")).collect();
    format!("{typed}{later}\n")
}

fn render(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("{problem}\n")).collect()
}

fn yaml_files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.expect("the directory can be read").path())
        .filter(|path| path.extension().is_some_and(|e| e == "yaml"))
        .collect();
    files.sort();
    files
}

#[test]
fn every_case_comes_out_as_written() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/config");
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let cases = yaml_files(&directory);
    assert!(cases.len() >= 40, "only {} cases", cases.len());
    let mut wrong = Vec::new();
    for case in cases {
        let name = case.file_name().expect("it is a file").to_string_lossy().into_owned();
        let file = Text { name: name.clone(), text: fs::read_to_string(&case).expect("it is text") };
        let (found, extension, other) = match parse(&pipeline_with(kind_of(&name), file), &variable) {
            Ok(pipeline) => (show(kind_of(&name), &pipeline), "txt", "err"),
            Err(problems) => (render(&problems), "err", "txt"),
        };
        let expected = case.with_extension(extension);
        if update {
            let _ = fs::remove_file(case.with_extension(other));
            fs::write(&expected, &found).expect("the case can be written");
        } else if case.with_extension(other).exists() || fs::read_to_string(&expected).ok().as_deref() != Some(found.as_str()) {
            wrong.push(format!("--- {} is not\n{found}", expected.display()));
        }
    }
    assert!(wrong.is_empty(), "{}\nset UPDATE_GOLDEN=1 to write them anew, and read the difference", wrong.join("\n"));
}

#[test]
fn a_file_that_is_cut_off_anywhere_is_at_worst_wrong() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/config");
    for case in yaml_files(&directory) {
        let name = case.file_name().expect("it is a file").to_string_lossy().into_owned();
        let text = fs::read_to_string(&case).expect("it is text");
        for (end, _) in text.char_indices().step_by(5) {
            let file = Text { name: name.clone(), text: text[..end].to_owned() };
            if let Err(problems) = parse(&pipeline_with(kind_of(&name), file), &variable) {
                assert!(!problems.is_empty(), "{name} cut off after {end} bytes is wrong without a word");
            }
        }
    }
}

#[test]
fn every_template_that_people_copy_from_is_right() {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/compat");
    let directory = std::env::var_os("ETL_COMPAT_DIR").map_or(beside, PathBuf::from);
    let folders: Vec<PathBuf> =
        ["templates-0.0.25", "templates-0.0.35"].into_iter().map(|name| directory.join(name)).filter(|path| path.is_dir()).collect();
    if folders.is_empty() {
        #[expect(clippy::print_stdout, reason = "a test that does nothing says so")]
        {
            println!("skipped: no templates in {}", directory.display());
        }
        return;
    }
    let lookup = |name: &str| variable(name).or_else(|| Some(format!("value-of-{name}")));
    let mut wrong = String::new();
    for path in folders.iter().flat_map(|folder| yaml_files(folder)) {
        let name = path.file_name().expect("it is a file").to_string_lossy().into_owned();
        let file = Text { name: path.display().to_string(), text: fs::read_to_string(&path).expect("it is text") };
        if let Err(problems) = parse(&pipeline_with(kind_of(&name), file), &lookup) {
            wrong.push_str(&render(&problems));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn an_empty_directory_says_what_was_looked_for() {
    let files = Files { name: "orders".into(), directory: "contracts/orders".into(), ..Files::default() };
    let problems = parse(&files, &variable).expect_err("nothing is there");
    let expected = "\
contracts/orders: `extract.yaml` is missing
  hint: looked for extract.yaml, extract.yml, pipeline.yaml and pipeline.yml in contracts/orders
contracts/orders: `load.yaml` is missing
  hint: looked for load.yaml, load.yml, pipeline.yaml and pipeline.yml in contracts/orders
";
    assert_eq!(render(&problems), expected);
}

#[test]
fn problems_of_all_files_come_at_once_sorted_by_file_and_line() {
    let files = Files {
        extract: text("extract.yaml", "type: file\npath: in.csv\nbatch_size: many\nformat: cvs\n"),
        transform: text("transform.yaml", "transform:\n  renam: {a: b}\n  convert: {x: itn}\n"),
        load: text("load.yaml", "type: file\n"),
        settings: text("settings.yaml", "dlq: {backend: flie}\n"),
        ..Files::default()
    };
    let problems = parse(&files, &variable).expect_err("much is wrong");
    let places: Vec<String> = problems.iter().map(|problem| format!("{} {}", problem.place, problem.place.key)).collect();
    let expected = [
        "extract.yaml:3:13 batch_size",
        "extract.yaml:4:9 format",
        "load.yaml:1:1 ",
        "settings.yaml:1:16 dlq.backend",
        "transform.yaml:2:3 transform.renam",
        "transform.yaml:3:16 transform.convert.x",
    ];
    assert_eq!(places, expected);
}

#[test]
fn a_file_of_its_own_comes_before_the_section_of_pipeline_yaml() {
    let files = Files {
        pipeline: text("pipeline.yaml", "name: orders\nextract: {path: in.csv}\nload: {path: out.csv}\n"),
        load: text("other.yaml", "path: other.csv\n"),
        ..Files::default()
    };
    let pipeline = parse(&files, &variable).expect("all is right");
    let super::load::Sink::File(sink) = &pipeline.load.sink else { panic!("it is a file") };
    assert_eq!((pipeline.name.as_str(), sink.path.as_str()), ("orders", "other.csv"));
}

#[test]
fn a_secret_is_masked_wherever_a_text_has_it() {
    let extract = "url: https://example.com\nheaders: {Authorization: 'Bearer ${API_TOKEN}'}\nparams: {password: hunter22}\n";
    let files = Files { extract: text("extract.yaml", extract), load: text("load.yaml", LOAD), ..Files::default() };
    let pipeline = parse(&files, &variable).expect("all is right");
    assert_eq!(pipeline.secrets.mask("s3cr3t-value and hunter22, but not Bearer"), "*** and ***, but not Bearer");
    assert_eq!(format!("{:?}", pipeline.secrets), "Secrets(2)");
}

#[test]
fn a_secret_in_a_wrong_place_is_not_in_the_message() {
    let files = Files {
        extract: text("extract.yaml", "path: in.csv\nbatch_size: ${API_KEY}\n"),
        load: text("load.yaml", LOAD),
        ..Files::default()
    };
    let problems = parse(&files, &variable).expect_err("a key is no number");
    assert_eq!(render(&problems), "extract.yaml:2:13: `batch_size` is the text `***`, but must be a whole number above 0\n");
}

#[test]
fn aliases_that_multiply_are_refused() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..9 {
        let items = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{items}]\n"));
    }
    let files = Files { extract: text("extract.yaml", &bomb), load: text("load.yaml", LOAD), ..Files::default() };
    let problems = parse(&files, &variable).expect_err("it has a billion values");
    assert_eq!(problems[0].message, "the file has more than 100000 values once its aliases are written out");
}

#[test]
fn a_file_that_is_too_deep_or_too_long_is_refused() {
    let messages = [format!("a: {}", "[".repeat(100)), format!("a: {}", "x".repeat(1 << 20))].map(|long| {
        let files = Files { extract: text("extract.yaml", &long), load: text("load.yaml", LOAD), ..Files::default() };
        parse(&files, &variable).expect_err("it is refused")[0].message.clone()
    });
    let expected = ["values are nested more than 64 levels deep", "the file has 1048579 bytes, but must have at most 1048576"];
    assert_eq!(messages, expected);
}

#[test]
fn the_json_schemas_know_the_keys_that_users_write() {
    let extract = super::json_schema(Kind::Extract);
    let file = &extract["anyOf"][0]["properties"];
    assert_eq!(
        file["path"]["description"],
        "File to read, relative to the contract directory; `*`, `?`, `[…]` and `**` match several. Or a URL: `https://…` is fetched, and `s3://bucket/…`,\n`gs://…`, `az://…` and `abfss://…` are objects, as `type: cloud_storage` has them."
    );
    assert_eq!(file["file_path"]["deprecated"], true);
    assert_eq!(file["batch_size"]["type"], serde_json::json!(["integer", "string"]));
    assert_eq!(file["csv_options"]["properties"]["quotechar"]["description"], "Older spelling of `quote_char`.");
    let transform = super::json_schema(Kind::Transform);
    let described = transform["anyOf"][1]["properties"].as_object().expect("it is a mapping");
    for name in super::lower::OPERATIONS {
        assert!(described.contains_key(name), "`{name}` is not described");
    }
    for kind in Kind::ALL {
        assert_eq!(super::json_schema(kind)["title"], format!("{}.yaml", kind.name()));
    }
}
