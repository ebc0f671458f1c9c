//! HTTP for guests that were granted it: the only way out of the sandbox, and the only place in it that speaks HTTP.
//!
//! A request goes through in this order: its host, port, scheme and method are held to the stage's grants; its name is looked up once and addresses that
//! are not public are left out; the connection goes to what is left; headers of the grant are put in over the guest's own. The host follows no redirect,
//! knows no proxy, keeps no cookie and sends nothing twice. What is cut off: see the constants below.

use std::io::Read;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Certificate, Client, redirect};

mod address;
mod body;
mod failure;
mod guest;
mod resolve;

pub use address::PrivateHost;
use address::{Reach, reach};
pub(super) use guest::{Guest, context, link};

use crate::config::grants::{HostPattern, HttpGrant, Method};
use crate::error::{Context, Error, Result};

/// Bytes of a request's body, which is held in full.
const MAX_REQUEST_BYTES: usize = 8 << 20;

/// Bytes of a response's body.
const MAX_RESPONSE_BYTES: u64 = 32 << 20;

/// Bytes of the bodies of all responses of one call into the guest, which is one batch.
const MAX_CALL_BYTES: u64 = 256 << 20;

/// Bytes of a response's headers.
const MAX_HEADER_BYTES: usize = 64 << 10;

/// Requests of one call into the guest.
const MAX_REQUESTS: u64 = 10_000;

/// Requests under way at a time, those whose response is not read to its end among them.
const MAX_CONCURRENT: usize = 16;

/// Time to connect, and at most between two signs of life from a server; the batch's own time-out comes on top.
const CONNECT_TIME: Duration = Duration::from_secs(10);
const SILENT_TIME: Duration = Duration::from_secs(30);

/// Bytes of a file of certificates; that of a whole system has a quarter of a million.
const MAX_AUTHORITY_BYTES: u64 = 4 << 20;

/// What the operator of the host allows on the network. No file of a pipeline can.
#[derive(Clone, Debug, Default)]
pub struct Network {
    /// Hosts at which guests that were granted them reach addresses that are not public.
    pub private_hosts: Vec<PrivateHost>,
    /// Files of certificates (PEM) that servers may be vouched for by, beside those that the system trusts.
    pub authority_files: Vec<PathBuf>,
    /// Whether no guest reaches anything, whatever it was granted.
    pub closed: bool,
}

/// What one stage may ask for, and the clients that ask.
pub(super) struct Egress {
    grants: Vec<Granted>,
    /// For hosts of the internet.
    public: Client,
    /// For hosts that the operator opened; a pool of its own, so that no connection serves both.
    private: Client,
    open: Vec<PrivateHost>,
    closed: bool,
}

struct Granted {
    host: HostPattern,
    headers: HeaderMap,
    methods: Vec<http::Method>,
}

/// A request that may be made.
struct Permitted<'a> {
    client: &'a Client,
    headers: &'a HeaderMap,
}

impl Egress {
    /// Makes ready what a stage was granted.
    ///
    /// # Errors
    /// Outside, where no certificates are found to check servers by.
    pub(super) fn new(grants: &[HttpGrant], network: &Network) -> Result<Self> {
        let tls = !network.closed && grants.iter().any(|grant| !grant.host.plain);
        let authorities = if tls { authorities(&network.authority_files)? } else { Vec::new() };
        let client = |private| {
            client(tls, &authorities, private).outside(|| "making ready for HTTP".into()).map_err(|error| {
                error.hint(
                    "are the system's root certificates installed (package `ca-certificates`)? `SSL_CERT_FILE` names a file of others",
                )
            })
        };
        let grants = grants.iter().map(granted).collect::<Result<_>>()?;
        Ok(Self { grants, public: client(false)?, private: client(true)?, open: network.private_hosts.clone(), closed: network.closed })
    }

    /// Holds a request to the grants; the error says what is wrong with it.
    fn permit(&self, method: &http::Method, host: &HostPattern) -> Result<Permitted<'_>, Denied> {
        if self.closed {
            return Err(Denied::Closed);
        }
        let exact = self.grants.iter().find(|grant| !grant.host.below && grant.host.covers(host));
        let Some(grant) = exact.or_else(|| self.grants.iter().find(|grant| grant.host.covers(host))) else {
            return Err(Denied::Host);
        };
        if !grant.methods.contains(method) {
            return Err(Denied::Method);
        }
        let open = self.open.iter().any(|open| open.opens(host));
        if let Ok(address) = host.host.parse()
            && reach(address) != Reach::Public
            && !open
        {
            // A name is looked at when it is looked up.
            return Err(Denied::Address);
        }
        Ok(Permitted { client: if open { &self.private } else { &self.public }, headers: &grant.headers })
    }
}

/// Why a request is not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Denied {
    Closed,
    Host,
    Method,
    Address,
}

fn granted(grant: &HttpGrant) -> Result<Granted> {
    let HttpGrant { host, headers: added, methods } = grant;
    let mut headers = HeaderMap::new();
    for (name, value) in added {
        let name = HeaderName::from_bytes(name.as_bytes()).bug(|| format!("reading the header `{name}` of a grant"))?;
        let mut value = HeaderValue::from_str(&value.0).bug(|| format!("reading the value of the header `{name}` of a grant"))?;
        // No log shows it, however much it is asked for.
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    let methods = if methods.is_empty() { Method::ALL.as_slice() } else { methods };
    let methods =
        methods.iter().map(|method| http::Method::from_bytes(method.name().as_bytes()).bug(|| "reading a method of a grant".into()));
    Ok(Granted { host: host.clone(), headers, methods: methods.collect::<Result<_>>()? })
}

/// Reads the certificates of files.
fn authorities(files: &[PathBuf]) -> Result<Vec<Certificate>> {
    let mut all = Vec::new();
    for file in files {
        let reading = || format!("reading certificates from `{}`", file.display());
        let mut bytes = Vec::new();
        let opened = std::fs::File::open(file).outside(reading)?;
        opened.take(MAX_AUTHORITY_BYTES).read_to_end(&mut bytes).outside(reading)?;
        let found = Certificate::from_pem_bundle(&bytes).unwrap_or_default();
        if found.is_empty() {
            return Err(Error::config(format!("`{}` holds no certificate", file.display()))
                .hint("it must be a text with `-----BEGIN CERTIFICATE-----` (PEM); `openssl x509 -inform der -in FILE` makes one of a binary file"));
        }
        all.extend(found);
    }
    Ok(all)
}

fn client(tls: bool, authorities: &[Certificate], private: bool) -> reqwest::Result<Client> {
    static PROVIDER: OnceLock<()> = OnceLock::new();
    // Where another part of the program was first, its provider is as good.
    PROVIDER.get_or_init(|| drop(rustls::crypto::ring::default_provider().install_default()));
    let builder = Client::builder()
        .redirect(redirect::Policy::none())
        .no_proxy()
        .referer(false)
        .user_agent(concat!("etl-host/", env!("CARGO_PKG_VERSION")))
        .dns_resolver(Arc::new(resolve::Resolver { lookup: resolve::system(), private }))
        .connect_timeout(CONNECT_TIME)
        .pool_idle_timeout(SILENT_TIME)
        .pool_max_idle_per_host(MAX_CONCURRENT)
        .http2_initial_stream_window_size(256 << 10)
        .http2_initial_connection_window_size(1 << 20)
        .http2_max_header_list_size(MAX_HEADER_BYTES as u32);
    // Without a host to encrypt for there need be no certificates.
    if tls { builder.tls_certs_merge(authorities.iter().cloned()).build() } else { builder.tls_certs_only([]).build() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::Secret;

    fn egress(grants: &[(&str, &[Method])], open: &[&str]) -> Egress {
        let grants: Vec<HttpGrant> = grants
            .iter()
            .map(|(host, methods)| HttpGrant {
                host: host.parse().expect("a host"),
                headers: vec![("x-from".into(), Secret((*host).into()))],
                methods: methods.to_vec(),
            })
            .collect();
        let open = open.iter().map(|host| host.parse().expect("a host")).collect();
        Egress::new(&grants, &Network { private_hosts: open, ..Network::default() }).expect("a client")
    }

    fn permitted(egress: &Egress, method: &str, plain: bool, authority: &str) -> Result<String, Denied> {
        let host = HostPattern::of_request(plain, authority).expect("a host");
        let permitted = egress.permit(&method.parse().expect("a method"), &host)?;
        Ok(permitted.headers["x-from"].to_str().expect("text").to_owned())
    }

    #[test]
    fn a_request_is_held_to_the_closest_grant() {
        let egress = egress(&[("http://*.example.com", &[]), ("http://api.example.com", &[Method::Get])], &[]);
        assert_eq!(permitted(&egress, "GET", true, "api.example.com"), Ok("http://api.example.com".into()));
        assert_eq!(permitted(&egress, "POST", true, "api.example.com"), Err(Denied::Method));
        assert_eq!(permitted(&egress, "POST", true, "other.example.com"), Ok("http://*.example.com".into()));
        assert_eq!(permitted(&egress, "GET", false, "api.example.com"), Err(Denied::Host));
        assert_eq!(permitted(&egress, "GET", true, "example.com"), Err(Denied::Host));
        for method in ["TRACE", "CONNECT", "PROPFIND"] {
            assert_eq!(permitted(&egress, method, true, "other.example.com"), Err(Denied::Method), "{method}");
        }
    }

    #[test]
    fn an_address_that_is_not_public_needs_the_operator() {
        let grants: &[(&str, &[Method])] =
            &[("http://127.0.0.1:80", &[]), ("http://169.254.169.254", &[]), ("http://[::ffff:127.0.0.1]", &[])];
        let shut = egress(grants, &["localhost"]);
        for host in ["127.0.0.1", "169.254.169.254", "[::ffff:127.0.0.1]"] {
            assert_eq!(permitted(&shut, "GET", true, host), Err(Denied::Address), "{host}");
        }
        let open = egress(grants, &["127.0.0.1:80"]);
        assert!(permitted(&open, "GET", true, "127.0.0.1").is_ok());
        assert_eq!(permitted(&open, "GET", true, "169.254.169.254"), Err(Denied::Address));
    }
}
