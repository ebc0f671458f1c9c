//! Names to addresses, with those left out that nobody here may be connected to.
//!
//! The connection goes to what comes out of here: nobody asks DNS a second time, so that it cannot answer otherwise then.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::address::{Reach, reach};

/// Addresses of a name that are tried.
const MAX_ADDRESSES: usize = 8;

/// Asks DNS.
pub(super) type Lookup = Arc<dyn Fn(String) -> Answer + Send + Sync>;

/// What DNS will answer.
pub(super) type Answer = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// Asks the system, as every program does: `/etc/hosts`, then its name servers.
pub(super) fn system() -> Lookup {
    Arc::new(|name| Box::pin(async move { Ok(tokio::net::lookup_host((name.as_str(), 0)).await?.map(|address| address.ip()).collect()) }))
}

/// Finds addresses that may be connected to.
pub(super) struct Resolver {
    pub(super) lookup: Lookup,
    /// Whether the operator opened the hosts that are asked for here.
    pub(super) private: bool,
}

/// No address of a name may be reached.
#[derive(Debug)]
pub(crate) struct Prohibited {
    pub(super) host: String,
    pub(crate) address: IpAddr,
}

/// A name has no address.
#[derive(Debug)]
pub(crate) struct Unknown {
    pub(super) host: String,
    pub(super) error: io::Error,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let host = name.as_str().to_owned();
        let (answer, private) = ((self.lookup)(host.clone()), self.private);
        Box::pin(async move {
            let found = match answer.await {
                Ok(found) => found,
                Err(error) => return Err(Unknown { host, error }.into()),
            };
            let open = |address: &IpAddr| match reach(*address) {
                Reach::Public => true,
                Reach::Private => private,
                Reach::Special => false,
            };
            let (open, shut): (Vec<IpAddr>, Vec<IpAddr>) = found.into_iter().partition(open);
            match (open.is_empty(), shut.first()) {
                (true, Some(&address)) => Err(Prohibited { host, address }.into()),
                (true, None) => Err(Unknown { host, error: io::ErrorKind::NotFound.into() }.into()),
                // The port is that of the request.
                (false, _) => Ok(Box::new(open.into_iter().take(MAX_ADDRESSES).map(|address| SocketAddr::new(address, 0))) as Addrs),
            }
        })
    }
}

impl fmt::Display for Prohibited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` has the address {}, which is not public", self.host, self.address)
    }
}

impl std::error::Error for Prohibited {}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` has no address: {}", self.host, self.error)
    }
}

impl std::error::Error for Unknown {}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(private: bool, answer: &'static [&'static str]) -> Result<Vec<String>, String> {
        let lookup: Lookup =
            Arc::new(move |_| Box::pin(async move { Ok(answer.iter().map(|text| text.parse().expect("an address")).collect()) }));
        let name = "host.example.com".parse().expect("a name");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let found = runtime.block_on(Resolver { lookup, private }.resolve(name));
        found.map(|found| found.map(|address| address.ip().to_string()).collect()).map_err(|error| error.to_string())
    }

    #[test]
    fn only_public_addresses_come_out_unless_the_operator_says_so() {
        assert_eq!(resolved(false, &["8.8.8.8", "127.0.0.1", "::ffff:10.0.0.1", "2a00::1"]), Ok(vec!["8.8.8.8".into(), "2a00::1".into()]));
        assert_eq!(resolved(false, &["10.0.0.1", "::1"]), Err("`host.example.com` has the address 10.0.0.1, which is not public".into()));
        assert_eq!(resolved(true, &["10.0.0.1", "169.254.169.254"]), Ok(vec!["10.0.0.1".into()]));
        assert_eq!(
            resolved(true, &["169.254.169.254"]),
            Err("`host.example.com` has the address 169.254.169.254, which is not public".into())
        );
        assert_eq!(resolved(false, &[]), Err("`host.example.com` has no address: entity not found".into()));
    }
}
