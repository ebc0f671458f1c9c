//! Options that do nothing, secrets that come out by the way, and what is said of a mistake.

use std::os::unix::fs::symlink;

use crate::support::Pipeline;

fn of(extract: &str, load: &str) -> Pipeline {
    Pipeline::new().with("in.csv", "id,n\n1,a\n").with("extract.yaml", extract).with("load.yaml", load)
}

#[test]
fn an_option_that_does_nothing_is_a_mistake_with_its_place() {
    let load = "path: out.csv\n";
    for (extract, load, said) in [
        ("path: in.csv\nresponse_path: a.b\n", load, "extract.yaml:2:1: error: `response_path`: `response_path` is for `json`, `jsonl`"),
        ("path: in.csv\njson_options: {lines: true}\n", load, "`json_options` is for `json`, `jsonl`, but the format is `csv`"),
        ("path: in.csv\nexcel_options: {sheet: a}\n", load, "`excel_options` is for `excel`"),
        ("path: in.csv\nxml_options: {record_tag: a}\n", load, "`xml_options` is for `xml`"),
        ("path: in.xml\nresponse_path: a\n", load, "`response_path` is for `json`, `jsonl`, but the format is `xml`"),
        ("path: in.csv\ncsv_options: {include_header: false}\n", load, "`csv_options.include_header` is for writing and does nothing here"),
        (
            "path: in.csv\n",
            "path: out.csv\ncsv_options: {has_header: false}\n",
            "`csv_options.has_header` is for reading and does nothing here",
        ),
        (
            "path: in.csv\n",
            "path: out.jsonl\ncsv_options: {delimiter: ;}\n",
            "`csv_options` is for `csv`, `tsv`, but the format is `jsonl`",
        ),
        ("path: in.csv\n", "path: out/\nformat: csv\npartition_by: [id, id]\n", "`partition_by` names `id` twice"),
        ("path: in.csv\ncsv_options: {encoding: mbcs}\n", load, "`csv_options.encoding` is `mbcs`, which is no encoding"),
        ("path: in.csv\ncsv_options: {delimiter: '\"'}\n", load, "two meanings"),
    ] {
        let answer = of(extract, load).answer(&["check"]);
        assert_ne!(answer.code, 0, "{extract}{load}: {answer:?}");
        assert!(answer.stderr.contains(said), "{said}: {}", answer.stderr);
    }
    let fine = of("path: in.csv\nformat: json\nresponse_path: a\n", "path: out.zip\nformat: csv\ncsv_options: {include_header: false}\n");
    assert_eq!(fine.answer(&["check"]).code, 0);
}

#[test]
fn a_secret_in_a_path_is_in_nothing_that_is_printed() {
    let pipeline = of("path: ${API_TOKEN}/in.csv\n", "path: out_${API_TOKEN}.csv\n").with("hunter2secret/in.csv", "id\n1\n");
    for arguments in [&["plan"][..], &["plan", "--json"], &["run"], &["run", "--json"], &["check"], &["preview"]] {
        let output = pipeline.command(arguments).env("API_TOKEN", "hunter2secret").output().unwrap();
        let [stdout, stderr] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        assert!(output.status.success(), "{stderr}");
        assert!(!stdout.contains("hunter2") && !stderr.contains("hunter2"), "{arguments:?}: {stdout}{stderr}");
    }
    let lost = of("path: ${API_TOKEN}/gone.csv\n", "path: out.csv\n");
    let output = lost.command(&["run"]).env("API_TOKEN", "hunter2secret").output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("***/gone.csv") && !stderr.contains("hunter2"), "{stderr}");
}

#[test]
fn what_is_given_twice_or_not_at_all_is_told() {
    let twice = of("path: in.csv\ninput_params: [n]\n", "path: out.csv\n").answer(&["run", "--param", "n=1", "--param", "n=2"]);
    assert!(twice.code == 2 && twice.stderr.contains("`--param n=…` is given twice"), "{twice:?}");
    let empty = of("path: '${FOLDER:-in.csv}'\n", "path: out.csv\n").command(&["run"]).env("FOLDER", "").output().unwrap();
    let stderr = String::from_utf8(empty.stderr).unwrap();
    assert!(stderr.contains("error: `path` is empty\n"), "{stderr}");
    let both = of("path: in.csv\n", "path: out.csv\n").with("pipeline.yaml", "name: other\n").answer(&["check"]);
    assert!(both.stderr.contains("pipeline.yaml"), "{both:?}");
}

#[test]
fn a_header_that_is_divided_by_another_character_is_told_so() {
    let pipeline = of("path: in.csv\n", "path: out.csv\nwrite_mode: append\ncsv_options: {delimiter: ;}\n").with("out.csv", "id,n\n0,z\n");
    let answer = pipeline.answer(&["run"]);
    assert!(answer.code == 1 && answer.stderr.contains("its fields are divided by \",\", and those of the rows are not"), "{answer:?}");
}

#[test]
fn a_link_that_leads_to_nothing_yet_stays_a_link() {
    let pipeline = of("path: in.csv\n", "path: out.csv\n").with("real/keep", "");
    symlink("real/made.csv", pipeline.path("out.csv")).unwrap();
    pipeline.run(0);
    assert!(pipeline.path("out.csv").is_symlink());
    assert_eq!(pipeline.read("real/made.csv"), "id,n\n1,a\n");
}
