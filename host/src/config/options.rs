//! Options that the format of a file, or its direction, has no use for: a mistake, since nothing would tell that they do nothing.

use super::problem::{Findings, list};
use super::yaml::Node;

/// Which way rows go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Read,
    Written,
}

/// Options, and the formats that they are for.
const OF_FORMATS: [(&str, &[&str]); 5] = [
    ("csv_options", &["csv", "tsv"]),
    ("json_options", &["json", "jsonl"]),
    ("excel_options", &["excel"]),
    ("xml_options", &["xml"]),
    ("response_path", &["json", "jsonl"]),
];

/// Options that hold one way only, and what does in their place.
const OF_WAYS: [(&str, &str, Way, Option<&str>); 6] = [
    ("csv_options", "has_header", Way::Read, Some("`include_header` says whether a header is written")),
    ("csv_options", "skip_rows", Way::Read, None),
    ("excel_options", "skip_rows", Way::Read, None),
    ("csv_options", "include_header", Way::Written, Some("`has_header` says whether there is a header")),
    ("json_options", "indent", Way::Written, None),
    ("json_options", "ensure_ascii", Way::Written, None),
];

/// Checks the options of a section whose files have one format, as far as it is known here.
pub(super) fn check(node: &Node, path: Option<&str>, way: Way, findings: &mut Findings) {
    for (group, option, only, instead) in OF_WAYS.into_iter().filter(|(_, _, only, _)| *only != way) {
        if let Some((key, value)) = node.given(group).and_then(|group| group.entries().iter().find(|(key, _)| key.name == option)) {
            let does = if only == Way::Read { "is for reading and does nothing here" } else { "is for writing and does nothing here" };
            let hint = instead.map_or_else(|| "leave it out".to_owned(), str::to_owned);
            findings.wrong_key(key, value, format!("`{group}.{option}` {does}")).hint = Some(hint);
        }
    }
    let written = node.given("format").and_then(Node::text).map(str::to_ascii_lowercase);
    let Some(format) = written.as_deref().map(named).unwrap_or_else(|| path.and_then(of_name)) else { return };
    for (option, formats) in OF_FORMATS.into_iter().filter(|(_, formats)| !formats.contains(&format)) {
        let Some((key, value)) = node.entries().iter().find(|(key, value)| key.name == option && !value.is_null()) else { continue };
        if value.is_map() && value.entries().is_empty() {
            continue;
        }
        let message =
            format!("`{option}` is for {}, but the format is `{format}`, with which it does nothing", list(formats.iter().copied()));
        findings.wrong_key(key, value, message).hint = Some("leave it out, or say what the files are by `format`".into());
    }
}

fn named(name: &str) -> Option<&'static str> {
    Some(match name {
        "csv" => "csv",
        "tsv" | "tab" => "tsv",
        "json" => "json",
        "jsonl" | "ndjson" => "jsonl",
        "parquet" | "pq" => "parquet",
        "excel" | "xlsx" | "xlsm" | "xls" | "ods" => "excel",
        "xml" => "xml",
        _ => return None,
    })
}

/// The format that the name of a file tells; none of an archive, which may hold any.
fn of_name(path: &str) -> Option<&'static str> {
    let name = path.rsplit('/').next()?.to_ascii_lowercase();
    let bare = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).unwrap_or(&name);
    named(bare.rsplit_once('.')?.1)
}
