//! What the operator of the host allows on the network, and the HTTP clients that keep to it: of guests, and of sources.
//!
//! A name is looked up once and addresses that are not public are left out; the connection goes to what is left. A client follows no redirect,
//! knows no proxy and keeps no cookie.

use std::io::Read;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use reqwest::{Certificate, Client, ClientBuilder, redirect};

mod address;
mod failure;
mod resolve;

pub use address::{AllowedHost, PrivateHost};
use address::{Reach, reach};
pub(crate) use failure::{describe, refused_certificate, tls};
pub(crate) use resolve::{Prohibited, Unknown};

use crate::config::grants::HostPattern;
use crate::error::{Context, Error, Result};

/// Bytes of a file of certificates; that of a whole system has a quarter of a million.
const MAX_AUTHORITY_BYTES: u64 = 4 << 20;

/// What the operator of the host allows on the network. No file of a pipeline can.
#[derive(Clone, Debug, Default)]
pub struct Network {
    /// Hosts at which sources, and guests that were granted them, reach addresses that are not public.
    pub private_hosts: Vec<PrivateHost>,
    /// The only hosts that sources that ask by HTTP, guests, and connections to databases reach, beside those that are opened; all where it is empty.
    pub allowed_hosts: Vec<AllowedHost>,
    /// Files of certificates (PEM) that servers may be vouched for by, beside those that the system trusts.
    pub authority_files: Vec<PathBuf>,
    /// Whether nothing is reached, whatever was granted.
    pub closed: bool,
}

impl Network {
    /// Whether a host with its port may be asked where the operator names those that may.
    pub(crate) fn allows(&self, authority: &str) -> bool {
        self.allowed_hosts.is_empty()
            || HostPattern::of_request(false, authority).is_some_and(|host| {
                self.private_hosts.iter().any(|open| open.opens(&host)) || self.allowed_hosts.iter().any(|allowed| allowed.covers(&host))
            })
    }
}

/// The clients that ask.
pub(crate) struct Clients {
    /// For hosts of the internet.
    public: Client,
    /// For hosts that the operator opened; a pool of its own, so that no connection serves both.
    private: Client,
    open: Vec<PrivateHost>,
    allowed: Vec<AllowedHost>,
    closed: bool,
}

/// Why a host is not asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shut {
    /// Nothing is.
    Closed,
    /// The operator allows others only.
    Host,
    /// Its address is not public, and the operator has not opened it.
    Address(IpAddr),
}

impl Clients {
    /// Makes them ready; `tls` says whether any host is asked with encryption, without which there need be no certificates.
    ///
    /// # Errors
    /// Outside, where no certificates are found to check servers by.
    pub(crate) fn new(network: &Network, tls: bool, tune: impl Fn(ClientBuilder) -> ClientBuilder) -> Result<Self> {
        let tls = tls && !network.closed;
        let authorities = if tls { authorities(&network.authority_files)? } else { Vec::new() };
        let client = |private| {
            client(tls, &authorities, private, &tune).outside(|| "making ready for HTTP".into()).map_err(|error| {
                error.hint(
                    "are the system's root certificates installed (package `ca-certificates`)? `SSL_CERT_FILE` names a file of others",
                )
            })
        };
        Ok(Self {
            public: client(false)?,
            private: client(true)?,
            open: network.private_hosts.clone(),
            allowed: network.allowed_hosts.clone(),
            closed: network.closed,
        })
    }

    /// Whether nothing is reached.
    pub(crate) fn closed(&self) -> bool {
        self.closed
    }

    /// The client for a host. A name is looked at once more when it is looked up.
    pub(crate) fn of(&self, host: &HostPattern) -> Result<&Client, Shut> {
        if self.closed {
            return Err(Shut::Closed);
        }
        let open = self.open.iter().any(|open| open.opens(host));
        if !open && !self.allowed.is_empty() && !self.allowed.iter().any(|allowed| allowed.covers(host)) {
            return Err(Shut::Host);
        }
        match host.host.parse() {
            Ok(address) if reach(address) != Reach::Public && !open => Err(Shut::Address(address)),
            _ => Ok(if open { &self.private } else { &self.public }),
        }
    }
}

/// A client that reaches hosts of private networks too, as databases and storages of one's own stand there, but none of other special addresses;
/// `tls` as of [`Clients::new`].
///
/// # Errors
/// Where there are no certificates to check servers by.
pub(crate) fn near_client(
    tls: bool,
    authorities: &[Certificate],
    tune: impl Fn(ClientBuilder) -> ClientBuilder,
) -> reqwest::Result<Client> {
    client(tls, authorities, true, &tune)
}

/// What is wrong with a URL that has an address of the special ones in place of a name.
pub(crate) fn prohibited(url: &str) -> Option<Prohibited> {
    let url = reqwest::Url::parse(url).ok()?;
    let host = url.host_str()?;
    let address = host.trim_matches(['[', ']']).parse().ok()?;
    (reach(address) == Reach::Special).then(|| Prohibited { host: host.to_owned(), address })
}

/// Reads the certificates of files.
pub(crate) fn authorities(files: &[PathBuf]) -> Result<Vec<Certificate>> {
    Ok(files.iter().map(|file| authority(file)).collect::<Result<Vec<_>>>()?.into_iter().flat_map(|(_, found)| found).collect())
}

/// Reads the certificates of files, as texts for a client that has its own form of them.
pub(crate) fn authority_texts(files: &[PathBuf]) -> Result<Vec<Vec<u8>>> {
    files.iter().map(|file| authority(file).map(|(text, _)| text)).collect()
}

/// The certificates of a file, as it has them and taken apart.
fn authority(file: &Path) -> Result<(Vec<u8>, Vec<Certificate>)> {
    let reading = || format!("reading certificates from `{}`", file.display());
    let mut bytes = Vec::new();
    let opened = std::fs::File::open(file).outside(reading)?;
    opened.take(MAX_AUTHORITY_BYTES).read_to_end(&mut bytes).outside(reading)?;
    let found = Certificate::from_pem_bundle(&bytes).unwrap_or_default();
    if found.is_empty() {
        return Err(Error::config(format!("`{}` holds no certificate", file.display())).hint(
            "it must be a text with `-----BEGIN CERTIFICATE-----` (PEM); `openssl x509 -inform der -in FILE` makes one of a binary file",
        ));
    }
    Ok((bytes, found))
}

fn client(
    tls: bool,
    authorities: &[Certificate],
    private: bool,
    tune: &impl Fn(ClientBuilder) -> ClientBuilder,
) -> reqwest::Result<Client> {
    static PROVIDER: OnceLock<()> = OnceLock::new();
    // Where another part of the program was first, its provider is as good.
    PROVIDER.get_or_init(|| drop(rustls::crypto::ring::default_provider().install_default()));
    let builder = Client::builder()
        .redirect(redirect::Policy::none())
        .no_proxy()
        .referer(false)
        .user_agent(concat!("etl-host/", env!("CARGO_PKG_VERSION")))
        .dns_resolver(Arc::new(resolve::Resolver { lookup: resolve::system(), private }))
        .http2_initial_stream_window_size(256 << 10)
        .http2_initial_connection_window_size(1 << 20);
    let builder = tune(builder);
    if tls { builder.tls_certs_merge(authorities.iter().cloned()).build() } else { builder.tls_certs_only([]).build() }
}
