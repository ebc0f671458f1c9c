//! Cloud storages in `extract.yaml` and `load.yaml`, typed.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU64;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value as Json;

use super::database::percent_decoded;
use super::extract::{CsvOptions, ExcelOptions, FileSource, Format, JsonOptions, XmlOptions, yes};
use super::load::{Compression, FileSink, WriteMode, XmlTags};
use super::settings::Secret;
use super::variables::is_secret;

/// Reads objects in a cloud storage.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CloudSource {
    /// Where the objects are.
    pub storage: Storage,
    /// Format of the objects. Default: from the extension, `.gz`, `.zst` and `.zip` aside.
    pub format: Option<Format>,
    /// How CSV and TSV are written.
    #[serde(default)]
    pub csv_options: CsvOptions,
    /// How JSON is written.
    #[serde(default)]
    pub json_options: JsonOptions,
    /// How workbooks are read.
    #[serde(default)]
    pub excel_options: ExcelOptions,
    /// How XML is read.
    #[serde(default)]
    pub xml_options: XmlOptions,
    /// Columns to read, in this order. Default: all.
    pub columns: Option<Vec<String>>,
    /// Whether matching objects are read in the order of their names, else in that of the listing. Default: true.
    #[serde(default = "yes")]
    pub sort_files: bool,
    /// Whether it is an error that no object matches. Default: false.
    #[serde(default)]
    pub fail_on_empty: bool,
    /// Dot path to the list of records within a JSON document, digits index lists.
    pub response_path: Option<String>,
}

impl CloudSource {
    /// How the objects are read, as if they were files.
    pub fn files(&self) -> FileSource {
        let Self {
            storage,
            format,
            csv_options,
            json_options,
            excel_options,
            xml_options,
            columns,
            sort_files,
            fail_on_empty,
            response_path,
        } = self;
        FileSource {
            path: storage.place().to_owned(),
            format: *format,
            csv_options: csv_options.clone(),
            json_options: json_options.clone(),
            excel_options: excel_options.clone(),
            xml_options: xml_options.clone(),
            columns: columns.clone(),
            sort_files: *sort_files,
            fail_on_empty: *fail_on_empty,
            response_path: response_path.clone(),
        }
    }
}

/// Writes objects in a cloud storage.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CloudSink {
    /// Where the objects go.
    pub storage: Storage,
    /// Format. Default: from the extension, `.gz` and `.zst` aside.
    pub format: Option<Format>,
    /// What becomes of output that is there. Default: `overwrite`.
    #[serde(default)]
    pub write_mode: WriteMode,
    /// How CSV and TSV are written.
    #[serde(default)]
    pub csv_options: CsvOptions,
    /// How JSON is written.
    #[serde(default)]
    pub json_options: JsonOptions,
    /// How workbooks are written.
    #[serde(default)]
    pub excel_options: ExcelOptions,
    /// How XML is written.
    #[serde(default)]
    pub xml_options: XmlTags,
    /// Compression. Default: `zstd` inside Parquet; for text, by the extension `.gz` or `.zst`, else none.
    pub compression: Option<Compression>,
    /// Columns whose values make Hive folders `k=v/`. Default: none.
    #[serde(default)]
    pub partition_by: Vec<String>,
    /// Rows of an object at most; further rows go to further objects. Default: no limit.
    pub max_rows_per_file: Option<NonZeroU64>,
}

impl CloudSink {
    /// How the objects are written, as if they were files.
    pub fn files(&self) -> FileSink {
        let Self {
            storage,
            format,
            write_mode,
            csv_options,
            json_options,
            excel_options,
            xml_options,
            compression,
            partition_by,
            max_rows_per_file,
        } = self;
        FileSink {
            path: storage.place().to_owned(),
            format: *format,
            write_mode: *write_mode,
            csv_options: csv_options.clone(),
            json_options: json_options.clone(),
            excel_options: excel_options.clone(),
            xml_options: xml_options.clone(),
            compression: *compression,
            partition_by: partition_by.clone(),
            max_rows_per_file: *max_rows_per_file,
        }
    }
}

/// Objects in a cloud storage.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Storage {
    /// Whose it is.
    pub provider: Provider,
    /// The bucket; Azure calls it container.
    pub bucket: String,
    /// The object; one ending in `/` or with a `*` in it lists.
    pub path: Option<String>,
    /// Objects whose names start so, in place of `path`.
    pub prefix: Option<String>,
    /// Of these, those whose names match.
    pub pattern: Option<String>,
    /// What the provider asks for, `endpoint` and `region` among it. Default: what the machine has.
    #[serde(default)]
    pub credentials: BTreeMap<String, Secret>,
}

impl Storage {
    /// The object or the objects, below the bucket.
    pub fn place(&self) -> &str {
        self.path.as_deref().or(self.prefix.as_deref()).unwrap_or_default().trim_start_matches('/')
    }

    /// What says at whose door the bucket is, beside its name.
    pub fn service(&self) -> Vec<&str> {
        const DOORS: [&str; 9] = [
            "endpoint",
            "endpoint_url",
            "aws_endpoint_url",
            "aws_endpoint",
            "base_url",
            "account_url",
            "account_name",
            "account",
            "connection_string",
        ];
        DOORS.iter().filter_map(|name| self.credentials.get(*name).map(|value| &*value.0)).collect()
    }

    /// Whether another is the same bucket.
    pub fn is_same_bucket(&self, other: &Self) -> bool {
        (self.provider, &self.bucket, self.service()) == (other.provider, &other.bucket, other.service())
    }

    /// What a URL such as `s3://bucket/path` names; `None` where it is no URL of a cloud storage.
    pub(super) fn of_url(url: &str) -> Option<UrlParts<'_>> {
        let (scheme, rest) = url.split_once("://")?;
        let provider = match scheme.to_ascii_lowercase().as_str() {
            "s3" | "s3a" => "s3",
            "gs" | "gcs" => "gcs",
            "az" | "azure" | "abfs" | "abfss" | "wasb" | "wasbs" => "azure",
            _ => return None,
        };
        let (bucket, path) = rest.split_once('/').unwrap_or((rest, ""));
        // Hadoop's spelling has the account: `abfss://container@account.dfs.core.windows.net/path`.
        let (bucket, account) = match bucket.split_once('@') {
            Some((container, host)) if provider == "azure" => (container, host.split('.').next()),
            _ => (bucket, None),
        };
        Some(UrlParts { provider, bucket, path, account })
    }
}

/// What a URL says of a cloud storage.
pub(super) struct UrlParts<'a> {
    pub(super) provider: &'static str,
    pub(super) bucket: &'a str,
    pub(super) path: &'a str,
    pub(super) account: Option<&'a str>,
}

/// The objects as a URL.
impl fmt::Display for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { provider, bucket, path: _, prefix: _, pattern, credentials: _ } = self;
        let scheme = match provider {
            Provider::S3 => "s3",
            Provider::Gcs => "gs",
            Provider::Azure => "az",
        };
        write!(f, "{scheme}://{bucket}/{}", self.place())?;
        pattern.as_deref().map_or(Ok(()), |pattern| write!(f, " ({pattern})"))
    }
}

/// Whose a cloud storage is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Provider {
    /// Amazon S3, and what speaks like it.
    S3,
    /// Google Cloud Storage.
    Gcs,
    /// Azure Blob Storage.
    Azure,
}

/// What must not be printed of credentials that are one text: a connection string of Azure, a key of Google's in JSON.
pub(super) fn secrets(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    if let Ok(Json::Object(key)) = serde_json::from_str(text) {
        let values = key.iter().filter(|(name, _)| is_secret(name)).filter_map(|(_, value)| value.as_str());
        found.extend(values.map(str::to_owned));
    }
    // A message may have a line of a key; the text around it may be no JSON.
    if let Some((_, key)) = text.split_once("PRIVATE KEY-----") {
        let lines = key.split("-----").next().unwrap_or_default().replace("\\n", "\n");
        found.extend(lines.lines().map(str::to_owned));
    }
    for (name, value) in text.split(';').filter_map(|part| part.split_once('=')) {
        match name.trim().to_ascii_lowercase().as_str() {
            "accountkey" => found.push(value.to_owned()),
            "sharedaccesssignature" => {
                found.push(value.to_owned());
                let signature = value.split('&').find_map(|option| option.strip_prefix("sig="));
                found.extend(signature.into_iter().flat_map(|signature| [signature.to_owned(), percent_decoded(signature)]));
            }
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_must_not_be_printed_is_found_within_one_text() {
        let text = "DefaultEndpointsProtocol=https;AccountName=acme;AccountKey=a+b/c==;EndpointSuffix=core.windows.net";
        assert_eq!(secrets(text), ["a+b/c=="]);
        let text = "BlobEndpoint=https://acme.blob.core.windows.net/;SharedAccessSignature=sv=1&sig=x%2Fy%3D";
        assert_eq!(secrets(text), ["sv=1&sig=x%2Fy%3D", "x%2Fy%3D", "x/y="]);
        let key = r#"{"type": "service_account", "private_key": "-----BEGIN PRIVATE KEY-----\nMIIE\nvQIB\n-----END PRIVATE KEY-----\n"}"#;
        assert_eq!(secrets(key)[1..], ["", "MIIE", "vQIB"]);
        assert_eq!(secrets(&key.replace("\"type\"", "type")), ["", "MIIE", "vQIB"]);
        assert_eq!(secrets("s3://bucket/a;b=c.csv"), [""; 0]);
    }
}
