//! HTTP for guests that were granted it: the only way out of the sandbox, and the only place in it that speaks HTTP.
//!
//! A request goes through in this order: its host, port, scheme and method are held to the stage's grants; its name is looked up once and addresses that
//! are not public are left out; the connection goes to what is left; headers of the grant are put in over the guest's own. The host follows no redirect,
//! knows no proxy, keeps no cookie and sends nothing twice. What is cut off: see the constants below.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use reqwest::Client;

mod body;
mod failure;
mod guest;

pub(super) use guest::{Guest, context, link};

use crate::config::grants::{HostPattern, HttpGrant, Method};
use crate::error::{Context, Result};
use crate::network::{Clients, Network, Shut};

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

/// What one stage may ask for, and the clients that ask.
pub(super) struct Egress {
    grants: Vec<Granted>,
    clients: Clients,
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
        let clients = Clients::new(network, grants.iter().any(|grant| !grant.host.plain), |builder| {
            builder
                .connect_timeout(CONNECT_TIME)
                .pool_idle_timeout(SILENT_TIME)
                .pool_max_idle_per_host(MAX_CONCURRENT)
                .http2_max_header_list_size(MAX_HEADER_BYTES as u32)
        })?;
        Ok(Self { grants: grants.iter().map(granted).collect::<Result<_>>()?, clients })
    }

    /// Holds a request to the grants; the error says what is wrong with it.
    fn permit(&self, method: &http::Method, host: &HostPattern) -> Result<Permitted<'_>, Denied> {
        if self.clients.closed() {
            return Err(Denied::Closed);
        }
        let exact = self.grants.iter().find(|grant| !grant.host.below && grant.host.covers(host));
        let Some(grant) = exact.or_else(|| self.grants.iter().find(|grant| grant.host.covers(host))) else {
            return Err(Denied::Host);
        };
        if !grant.methods.contains(method) {
            return Err(Denied::Method);
        }
        let client = self.clients.of(host).map_err(|shut| match shut {
            Shut::Closed => Denied::Closed,
            Shut::Host => Denied::Operator,
            Shut::Address(_) => Denied::Address,
        })?;
        Ok(Permitted { client, headers: &grant.headers })
    }
}

/// Why a request is not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Denied {
    Closed,
    Host,
    Operator,
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
