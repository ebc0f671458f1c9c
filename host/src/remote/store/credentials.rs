//! What a user or the machine gives to reach a cloud storage, and the client made of it.
//!
//! Names are those of the storages' own tools, older and newer ones; what is not given comes from the environment and from where the
//! provider's machines keep it (`AWS_…`, `GOOGLE_…`, `AZURE_…`, instance roles, workload identities).

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::{BackoffConfig, ClientConfigKey, RetryConfig};

use super::Client;
use super::guarded::{Connector, Guard};
use crate::config::cloud::{Provider, Storage};
use crate::config::variables::is_secret;
use crate::error::{Error, Result, did_you_mean};
use crate::network::prohibited;

/// Time for one request with its body, and to connect.
const REQUEST_TIME: &str = "60 s";
const CONNECT_TIME: &str = "10 s";

/// Time to the first retry of a request; from one to the next it may double.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// Time over which one request is tried again.
const RETRY_TIME: Duration = Duration::from_secs(120);

/// Names that mean one thing, the first of them as `object_store` has it.
type Names = &'static [&'static [&'static str]];

const S3: Names = &[
    &["access_key_id", "aws_access_key_id", "access_key", "key"],
    &["secret_access_key", "aws_secret_access_key", "secret_key", "secret"],
    &["session_token", "aws_session_token", "token"],
    &["region", "aws_region", "region_name", "aws_default_region"],
    &["endpoint", "endpoint_url", "aws_endpoint_url", "aws_endpoint"],
    &["allow_http", "aws_allow_http"],
    &["virtual_hosted_style_request"],
    &["skip_signature", "anonymous"],
    &["role_arn", "aws_role_arn"],
    &["role_session_name", "aws_role_session_name"],
    &["web_identity_token_file", "aws_web_identity_token_file"],
    &["unsigned_payload"],
    &["checksum_algorithm"],
    &["conditional_put"],
    &["request_payer"],
    &["server_side_encryption", "aws_server_side_encryption"],
    &["sse_kms_key_id", "aws_sse_kms_key_id"],
];

const GCS: Names = &[
    &["service_account", "service_account_file", "service_account_path", "credentials_file", "google_service_account"],
    &["service_account_key", "service_account_json", "service_account_info"],
    &["application_credentials", "google_application_credentials"],
    &["base_url", "endpoint", "endpoint_url"],
    &["allow_http"],
    &["skip_signature", "anonymous"],
];

const AZURE: Names = &[
    &["account_name", "azure_storage_account_name", "account"],
    &["account_key", "azure_storage_account_key", "access_key"],
    &["sas_token", "sas_key", "azure_storage_sas_token"],
    &["connection_string", "azure_storage_connection_string"],
    &["client_id", "azure_client_id"],
    &["client_secret", "azure_client_secret"],
    &["tenant_id", "azure_tenant_id", "authority_id"],
    &["bearer_token", "token"],
    &["endpoint", "account_url", "azure_storage_endpoint"],
    &["federated_token_file", "azure_federated_token_file"],
    &["allow_http"],
    &["skip_signature", "anonymous"],
    &["use_azure_cli"],
    &["use_emulator"],
];

/// Names of files with keys.
const KEY_FILES: [&str; 4] = ["service_account", "application_credentials", "web_identity_token_file", "federated_token_file"];

/// Names that every provider takes.
const CLIENT: Names = &[&["timeout"], &["connect_timeout"], &["proxy_url"]];

/// Names that other tools have and that need not or cannot be said here, and what to do.
const ELSEWHERE: [(&str, &str); 4] = [
    ("profile", "profiles of the AWS tools are not read: export them by `aws configure export-credentials --format env`"),
    ("profile_name", "profiles of the AWS tools are not read: export them by `aws configure export-credentials --format env`"),
    ("project", "a bucket belongs to its project, so that none is named: leave it out"),
    ("project_id", "a bucket belongs to its project, so that none is named: leave it out"),
];

/// What was given, by the names of `object_store`.
pub(super) struct Given {
    values: BTreeMap<&'static str, String>,
    /// Whether the user's own address of the storage is without TLS.
    plain: bool,
}

impl Given {
    /// Reads what stands under `credentials`.
    ///
    /// # Errors
    /// Config, where a name is unknown or a value cannot be.
    pub(super) fn new(storage: &Storage, root: &Path) -> Result<Self> {
        let own = match storage.provider {
            Provider::S3 => S3,
            Provider::Gcs => GCS,
            Provider::Azure => AZURE,
        };
        let mut values: BTreeMap<&'static str, String> = BTreeMap::new();
        for (name, secret) in &storage.credentials {
            let key = canonical(own, name)?;
            if values.insert(key, secret.0.clone()).is_some() {
                return Err(
                    Error::config(format!("`credentials` says `{key}` twice, the second time as `{name}`")).hint("keep one of them")
                );
            }
        }
        if let Some(text) = values.remove("connection_string") {
            connection_string(&text, &mut values)?;
        }
        for key in KEY_FILES {
            if let Some(path) = values.get_mut(key) {
                *path = root.join(&*path).to_string_lossy().into_owned();
            }
        }
        let plain = ["endpoint", "base_url"].iter().any(|key| values.get(*key).is_some_and(|url| url.starts_with("http://")));
        Ok(Self { values, plain })
    }

    /// Checks that files with keys are there.
    ///
    /// # Errors
    /// Config.
    pub(super) fn find_files(&self) -> Result<()> {
        match KEY_FILES.iter().find_map(|key| self.values.get(key).filter(|path| !Path::new(path).is_file()).map(|path| (key, path))) {
            Some((key, path)) => Err(Error::config(format!("`credentials.{key}` names `{path}`, which is no file"))),
            None => Ok(()),
        }
    }

    /// Checks that a storage at an address of the pipeline's own is not sent a token of this machine's: whoever writes a pipeline may name any
    /// address. What only signs requests shows nothing of itself.
    ///
    /// # Errors
    /// Config.
    pub(super) fn check_endpoint(&self, provider: Provider) -> Result<()> {
        let own: &[&str] = match provider {
            Provider::S3 => return Ok(()),
            Provider::Gcs => &["service_account", "service_account_key", "application_credentials", "skip_signature"],
            Provider::Azure => &["account_key", "sas_token", "client_secret", "bearer_token", "skip_signature", "use_emulator"],
        };
        if self.has_own_endpoint() && !own.iter().any(|name| self.values.contains_key(name)) && self.signing_keys(provider).is_empty() {
            let names = own.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            return Err(Error::config("`credentials` names the address of the storage, but no key for it").hint(format!(
                "a token of this machine is not sent to an address that a pipeline names: give one of {names}, or name the address in the environment"
            )));
        }
        Ok(())
    }

    /// The client for a storage that the pipeline names the address of, or that what it names may name.
    ///
    /// # Errors
    /// Config, where the address is one that nothing is to be asked of.
    pub(super) fn guarded(&self, provider: Provider) -> Result<Option<Guard>> {
        const NAMING: [&str; 6] =
            ["endpoint", "base_url", "proxy_url", "service_account", "service_account_key", "application_credentials"];
        for key in ["endpoint", "base_url", "proxy_url"] {
            if let Some(prohibited) = self.values.get(key).and_then(|url| prohibited(url)) {
                return Err(Error::config(format!("`credentials.{key}` names {}, at which no storage stands", prohibited.address))
                    .hint("link-local and reserved addresses are not reached: a cloud gives its machines' credentials there"));
            }
        }
        let named = NAMING.iter().any(|key| self.values.contains_key(key));
        Ok(named.then_some(Guard { metadata: provider == Provider::S3 }))
    }

    /// Whether all requests go to a storage without encryption: with keys that are given nobody is asked for others.
    pub(super) fn is_asked_plainly(&self, provider: Provider) -> bool {
        let has_keys = ["access_key_id", "secret_access_key"].iter().all(|key| self.values.contains_key(key));
        self.plain && has_keys && provider == Provider::S3
    }

    fn has_own_endpoint(&self) -> bool {
        ["endpoint", "base_url"].iter().any(|key| self.values.contains_key(key))
    }

    /// Keys of the machine that sign requests and are not sent, with the names that the client has for them.
    fn signing_keys(&self, provider: Provider) -> Vec<(&'static str, String)> {
        let names: &[(&str, &str)] = match provider {
            Provider::Azure => &[
                ("account_name", "AZURE_STORAGE_ACCOUNT_NAME"),
                ("account_key", "AZURE_STORAGE_ACCOUNT_KEY"),
                ("account_key", "AZURE_STORAGE_ACCESS_KEY"),
            ],
            Provider::S3 | Provider::Gcs => &[],
        };
        let found: Vec<_> = names.iter().filter_map(|(key, variable)| Some((*key, std::env::var(variable).ok()?))).collect();
        if found.iter().any(|(key, _)| *key == "account_key") { found } else { Vec::new() }
    }

    /// The values that must not be seen, those of this machine's environment among them.
    pub(super) fn secrets(&self) -> Vec<String> {
        const SHOWN: [&str; 11] = [
            "region",
            "endpoint",
            "base_url",
            "allow_http",
            "account_name",
            "timeout",
            "connect_timeout",
            "service_account",
            "application_credentials",
            "skip_signature",
            "virtual_hosted_style_request",
        ];
        let given = self.values.iter().filter(|(key, _)| !SHOWN.contains(key)).map(|(_, value)| value.clone());
        let ours = |name: &str| ["AWS_", "AZURE_", "GOOGLE_"].iter().any(|start| name.starts_with(start));
        let environment = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        let secret = environment.filter(|(name, _)| ours(name) && (is_secret(name) || name.ends_with("CONNECTION_STRING")));
        given.chain(secret.map(|(_, value)| value)).filter(|value| value.len() > 3).collect()
    }

    /// Makes the client.
    ///
    /// # Errors
    /// Config, where something is missing or cannot be.
    pub(super) fn client(&self, provider: Provider, bucket: &str, max_retries: u32, connector: Connector) -> object_store::Result<Client> {
        let backoff = BackoffConfig { init_backoff: FIRST_WAIT, ..BackoffConfig::default() };
        let retry = RetryConfig { backoff, max_retries: max_retries as usize, retry_timeout: RETRY_TIME };
        let mut defaults = vec![(ClientConfigKey::Timeout, REQUEST_TIME), (ClientConfigKey::ConnectTimeout, CONNECT_TIME)];
        if self.plain {
            defaults.push((ClientConfigKey::AllowHttp, "true"));
        }
        match provider {
            Provider::S3 => {
                let mut builder = AmazonS3Builder::from_env().with_bucket_name(bucket).with_retry(retry);
                for (key, value) in defaults {
                    builder = builder.with_config(AmazonS3ConfigKey::Client(key), value);
                }
                for (key, value) in &self.values {
                    builder = builder.with_config(key.parse()?, value);
                }
                Ok(Client::of(Arc::new(builder.with_http_connector(connector).build()?)))
            }
            Provider::Gcs => {
                let builder =
                    if self.has_own_endpoint() { GoogleCloudStorageBuilder::new() } else { GoogleCloudStorageBuilder::from_env() };
                let mut builder = builder.with_bucket_name(bucket).with_retry(retry);
                for (key, value) in defaults {
                    builder = builder.with_config(GoogleConfigKey::Client(key), value);
                }
                for (key, value) in &self.values {
                    builder = builder.with_config(key.parse()?, value);
                }
                Ok(Client::of(Arc::new(builder.with_http_connector(connector).build()?)))
            }
            Provider::Azure => {
                let own = self.has_own_endpoint();
                let builder = if own { MicrosoftAzureBuilder::new() } else { MicrosoftAzureBuilder::from_env() };
                let mut builder = builder.with_container_name(bucket).with_retry(retry);
                for (key, value) in self.signing_keys(provider).into_iter().filter(|_| own) {
                    builder = builder.with_config(key.parse()?, value);
                }
                for (key, value) in defaults {
                    builder = builder.with_config(AzureConfigKey::Client(key), value);
                }
                for (key, value) in &self.values {
                    builder = builder.with_config(key.parse()?, value);
                }
                Ok(Client::of(Arc::new(builder.with_http_connector(connector).build()?)))
            }
        }
    }
}

/// The name that `object_store` has for one of the user's.
fn canonical(own: Names, name: &str) -> Result<&'static str> {
    let lower = name.to_ascii_lowercase();
    let all = || own.iter().chain(CLIENT);
    if let Some(names) = all().find(|names| names.contains(&lower.as_str())) {
        return Ok(names[0]);
    }
    let unknown = Error::config(format!("`credentials` has the unknown name `{name}`"));
    if let Some((_, hint)) = ELSEWHERE.iter().find(|(other, _)| *other == lower) {
        return Err(unknown.hint(*hint));
    }
    Err(match did_you_mean(&lower, all().flat_map(|names| names.iter().copied())) {
        Some(near) => unknown.hint(format!("did you mean `{near}`?")),
        None => {
            let names: Vec<String> = all().map(|names| format!("`{}`", names[0])).collect();
            unknown.hint(format!("names here are {}", names.join(", ")))
        }
    })
}

/// Takes apart a connection string of Azure: `AccountName=…;AccountKey=…;…`.
fn connection_string(text: &str, values: &mut BTreeMap<&'static str, String>) -> Result<()> {
    let wrong = |what: &str| {
        Error::config(format!("`credentials.connection_string` {what}"))
            .hint("the portal shows it under `Access keys`: `DefaultEndpointsProtocol=https;AccountName=…;AccountKey=…;EndpointSuffix=core.windows.net`")
    };
    let mut parts: BTreeMap<String, &str> = BTreeMap::new();
    for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=').ok_or_else(|| wrong("has a part without `=`"))?;
        parts.insert(name.to_ascii_lowercase(), value);
    }
    if parts.get("usedevelopmentstorage").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        values.insert("use_emulator", "true".into());
        return Ok(());
    }
    for (part, key) in [("accountname", "account_name"), ("accountkey", "account_key"), ("sharedaccesssignature", "sas_token")] {
        if let Some(value) = parts.get(part) {
            values.insert(key, (*value).to_owned());
        }
    }
    match (parts.get("blobendpoint"), parts.get("accountname")) {
        (Some(endpoint), account) => {
            values.insert("endpoint", endpoint.trim_end_matches('/').to_owned());
            if account.is_none() && !values.contains_key("account_name") {
                // The account is the first label of the host.
                let host = endpoint.split("://").last().unwrap_or_default();
                values.insert("account_name", host.split('.').next().unwrap_or_default().to_owned());
            }
        }
        (None, Some(account)) => {
            let protocol = parts.get("defaultendpointsprotocol").unwrap_or(&"https");
            let suffix = parts.get("endpointsuffix").unwrap_or(&"core.windows.net");
            values.insert("endpoint", format!("{protocol}://{account}.blob.{suffix}"));
        }
        (None, None) => return Err(wrong("names no account")),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::Secret;

    fn given(provider: Provider, credentials: &[(&str, &str)]) -> Result<BTreeMap<&'static str, String>> {
        let credentials = credentials.iter().map(|(name, value)| ((*name).to_owned(), Secret((*value).to_owned()))).collect();
        let storage = Storage { provider, bucket: "b".into(), path: None, prefix: None, pattern: None, credentials };
        Given::new(&storage, Path::new("/nowhere")).map(|given| given.values)
    }

    #[test]
    fn a_name_that_nobody_knows_is_answered_with_the_one_that_was_meant() {
        let refused = |provider, name| {
            let error = given(provider, &[(name, "x")]).unwrap_err();
            format!("{error}; {}", error.find_hint().unwrap())
        };
        assert_eq!(
            refused(Provider::S3, "aws_acess_key_id"),
            "`credentials` has the unknown name `aws_acess_key_id`; did you mean `aws_access_key_id`?"
        );
        assert_eq!(
            refused(Provider::Gcs, "project"),
            "`credentials` has the unknown name `project`; a bucket belongs to its project, so that none is named: leave it out"
        );
        assert!(refused(Provider::Azure, "zzzzzz").contains("names here are `account_name`, `account_key`, `sas_token`"));
        let twice = given(Provider::S3, &[("region", "a"), ("region_name", "b")]).unwrap_err();
        assert_eq!(twice.to_string(), "`credentials` says `region` twice, the second time as `region_name`");
    }

    #[test]
    fn every_name_is_one_that_the_client_takes() {
        let parses = |provider, key: &str| match provider {
            Provider::S3 => key.parse::<AmazonS3ConfigKey>().is_ok(),
            Provider::Gcs => key.parse::<GoogleConfigKey>().is_ok(),
            Provider::Azure => key.parse::<AzureConfigKey>().is_ok(),
        };
        for (provider, names) in [(Provider::S3, S3), (Provider::Gcs, GCS), (Provider::Azure, AZURE)] {
            for names in names.iter().chain(CLIENT).filter(|names| names[0] != "connection_string") {
                assert!(parses(provider, names[0]), "{provider:?}: {}", names[0]);
            }
        }
    }

    #[test]
    fn an_address_at_which_a_machines_credentials_stand_is_none_of_a_storage() {
        let guarded = |credentials: &[(&str, &str)]| {
            let credentials = credentials.iter().map(|(name, value)| ((*name).to_owned(), Secret((*value).to_owned()))).collect();
            let storage = Storage { provider: Provider::S3, bucket: "b".into(), path: None, prefix: None, pattern: None, credentials };
            Given::new(&storage, Path::new("/nowhere"))?.guarded(Provider::S3)
        };
        for url in
            ["http://169.254.169.254", "http://2852039166/", "https://[fe80::1]:9000", "http://[::ffff:169.254.169.254]", "http://0.0.0.0"]
        {
            assert!(guarded(&[("endpoint", url)]).unwrap_err().to_string().contains("at which no storage stands"), "{url}");
        }
        assert!(guarded(&[("proxy_url", "http://169.254.169.254:80")]).is_err());
        assert!(guarded(&[("endpoint", "http://10.0.0.1:9000")]).unwrap().is_some());
        assert!(guarded(&[("region", "eu-central-1")]).unwrap().is_none());
    }

    #[test]
    fn a_connection_string_of_azure_is_taken_apart() {
        let text = "DefaultEndpointsProtocol=https;AccountName=acme;AccountKey=a+b/c==;EndpointSuffix=core.chinacloudapi.cn";
        let values = given(Provider::Azure, &[("connection_string", text)]).unwrap();
        assert_eq!(values["account_key"], "a+b/c==");
        assert_eq!(values["endpoint"], "https://acme.blob.core.chinacloudapi.cn");
        let values = given(
            Provider::Azure,
            &[("connection_string", "BlobEndpoint=https://x.blob.core.windows.net/;SharedAccessSignature=sv=1&sig=2")],
        );
        let values = values.unwrap();
        assert_eq!((&*values["account_name"], &*values["sas_token"]), ("x", "sv=1&sig=2"));
        let error = given(Provider::Azure, &[("connection_string", "s3cr3t")]).unwrap_err();
        assert!(!error.one_line().contains("s3cr3t"), "{error}");
    }
}
