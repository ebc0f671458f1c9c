//! XML as output: read again by our own source and by Python, and what it cannot hold.

use std::process::Command;

use serde_json::{Value, json};

use crate::servers::skipped;
use crate::support::Pipeline;

/// Rows whose types and texts are still the same when only their text is there.
const ROWS: &str = r##"{"@sku":"a-1","id":1,"text":" a <b> & \"c\" ]]>\r\n\té ","price":1.5,"paid":true,"day":"2024-06-19","tags":["x","y"],"from":{"city":"Ulm","zip":"00089","geo":{"@k":"v","#text":"here"}},"lines":[{"n":1,"q":2},{"n":2,"q":null}]}
{"@sku":"b","id":2,"text":"😀","price":2.25,"paid":false,"day":"2024-06-20","tags":["z","z"],"from":{"city":"Bonn","zip":"53111","geo":{"@k":"w","#text":"there"}},"lines":[{"n":3,"q":4},{"n":4,"q":5}]}
"##;

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| without_nulls(serde_json::from_str(line).unwrap())).collect()
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(members) => Value::Object(
            members.into_iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| (name, without_nulls(value))).collect(),
        ),
        Value::Array(items) => Value::Array(items.into_iter().map(without_nulls).collect()),
        other => other,
    }
}

#[test]
fn rows_written_as_xml_read_back_as_they_were() {
    for load in
        ["path: out.xml\n", "path: out.xml.gz\nxml_options: {root_tag: shop, record_tag: order}\n", "path: out.xml\nmax_rows_per_file: 1\n"]
    {
        let writes = Pipeline::new().with("in.jsonl", ROWS).with("extract.yaml", "path: in.jsonl\n").with("load.yaml", load);
        writes.run(0);
        let names: Vec<String> = writes.names().into_iter().filter(|name| name.starts_with("out")).collect();
        let reads = Pipeline::new().with("extract.yaml", "path: 'out*'\n").with("load.yaml", "path: back.jsonl\n");
        for name in &names {
            std::fs::copy(writes.path(name), reads.path(name)).unwrap();
        }
        reads.run(0);
        assert_eq!(lines(&reads.read("back.jsonl")), lines(ROWS), "{load}");
    }
}

#[test]
fn rows_added_to_a_document_stand_within_its_root() {
    let old = "<?xml version='1.0' encoding='UTF-8'?>\n<!-- by hand -->\n<records><record><id>0</id></record></records>\n";
    let pipeline = Pipeline::new()
        .with("in.csv", "id\n1\n")
        .with("extract.yaml", "path: in.csv\n")
        .with("load.yaml", "path: out.xml\nwrite_mode: append\n")
        .with("out.xml", old.replace("<!-- by hand -->\n", ""));
    pipeline.run(0);
    pipeline.run(0);
    let expected = "<?xml version='1.0' encoding='UTF-8'?>\n<records><record><id>0</id></record><record><id>1</id></record>\n<record><id>1</id></record>\n</records>\n";
    assert_eq!(pipeline.read("out.xml"), expected);
    let other = pipeline.with("out.xml", "<orders></orders>").answer(&["run"]);
    assert_eq!(other.code, 1, "{other:?}");
    assert!(other.stderr.contains("whose root is `<records>`, so that rows cannot be added to it"), "{other:?}");
}

#[test]
fn what_xml_cannot_hold_is_a_dead_letter_or_a_mistake_in_the_columns() {
    let pipeline = Pipeline::of(("in.jsonl", "{\"a\":\"bell \\u0007\"}\n{\"a\":\"fine\"}\n"), "", "out.xml");
    pipeline.run(0);
    assert_eq!(
        pipeline.read("out.xml"),
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<records>\n<record><a>fine</a></record>\n</records>\n"
    );
    let letters = pipeline.letters();
    assert_eq!((letters.len(), &letters[0]["reason"], &letters[0]["record"]), (1, &json!("load_error"), &json!({"a": "bell \u{7}"})));
    let said = letters[0]["message"].as_str().unwrap();
    assert!(said.contains("column `a` cannot be written as XML: it has the character U+0007"), "{said}");

    let named = Pipeline::of(("in.csv", "unit price\n1\n"), "", "out.xml").answer(&["run"]);
    assert_eq!(named.code, 2, "{named:?}");
    assert!(named.stderr.contains("column `unit price` cannot be written as XML: `unit price` is no name of XML"), "{named:?}");
    assert!(named.stderr.contains("hint: `rename` the column in `transform.yaml`"), "{named:?}");
    // A column that makes folders is no element.
    let folders = Pipeline::of(("in.csv", "unit price,id\n1,2\n"), "", "out\nformat: xml\npartition_by: [unit price]");
    folders.run(0);
    assert!(
        folders.names().iter().any(|name| name.starts_with("out/unit price=1/part_") && name.ends_with(".xml")),
        "{:?}",
        folders.names()
    );
}

#[test]
fn an_output_without_rows_is_a_document() {
    let pipeline = Pipeline::of(("in.csv", "id\n1\n"), "filter: {field: id, operator: eq, value: 2}\n", "out.xml");
    pipeline.run(0);
    assert_eq!(pipeline.read("out.xml"), "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<records>\n</records>\n");
}

#[test]
fn python_reads_every_text_as_it_was() {
    let script = "import sys, json, xml.etree.ElementTree as E\nroot = E.parse(sys.argv[1]).getroot()\nassert root.tag == 'records', root.tag\n\
                  print(json.dumps([[r.attrib.get('sku'), r.findtext('text'), r.findtext('from/geo'), [t.text for t in r.findall('tags')]] for r in root]))\n";
    let pipeline = Pipeline::of(("in.jsonl", ROWS), "", "out.xml");
    pipeline.run(0);
    let python = std::env::var("ETL_PYTHON").unwrap_or_else(|_| "python3".into());
    let Ok(read) = Command::new(&python).args(["-c", script]).arg(pipeline.path("out.xml")).output() else {
        return skipped("Python", "apt-get install python3");
    };
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    let read: Value = serde_json::from_slice(&read.stdout).unwrap();
    let expected: Vec<Value> =
        lines(ROWS).iter().map(|row| json!([row["@sku"], row["text"], row["from"]["geo"]["#text"], row["tags"]])).collect();
    assert_eq!(read, Value::from(expected));
}
