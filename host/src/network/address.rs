//! Which addresses guests and sources may be connected to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::config::grants::HostPattern;

/// A host at which the operator lets guests and sources reach addresses that are not public: a name or an address, with a port or for all of them.
///
/// A name opens addresses of the machine itself and of private networks, never link-local ones, where clouds keep their credentials; those take the address itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrivateHost {
    host: String,
    port: Option<u16>,
}

impl std::str::FromStr for PrivateHost {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let host = HostPattern::of_request(true, text)
            .ok_or_else(|| format!("`{text}` is no host; write `localhost`, `10.1.2.3` or `intranet:8080`"))?;
        Ok(Self { host: host.host, port: has_port(text).then_some(host.port) })
    }
}

/// A host that sources and guests may reach where the operator names those that they may: a name, `*.` and a name for all below it, or an
/// address; with a port or for all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedHost {
    pattern: HostPattern,
    any_port: bool,
}

impl std::str::FromStr for AllowedHost {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: String| format!("`{text}` {why}; write `api.example.com`, `*.example.com` or `api.example.com:8443`");
        if text.contains("://") {
            return Err(wrong("has a scheme".into()));
        }
        let pattern: HostPattern = text.parse().map_err(wrong)?;
        Ok(Self { pattern, any_port: !has_port(text) })
    }
}

impl AllowedHost {
    /// Whether a host is one.
    pub(super) fn covers(&self, host: &HostPattern) -> bool {
        let port = if self.any_port { host.port } else { self.pattern.port };
        HostPattern { plain: host.plain, port, ..self.pattern.clone() }.covers(host)
    }
}

fn has_port(host: &str) -> bool {
    host.rsplit(']').next().is_some_and(|rest| rest.contains(':'))
}

impl PrivateHost {
    /// Whether it opens a host.
    pub(super) fn opens(&self, host: &HostPattern) -> bool {
        self.host == host.host && self.port.is_none_or(|port| port == host.port)
    }
}

/// What an address is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// A host of the internet.
    Public,
    /// This machine, or a network that somebody runs for himself.
    Private,
    /// Neither: link-local, multicast, reserved, or one that hides another address in it.
    Special,
}

/// Tells what an address is good for, by the registries of special addresses of IANA (RFC 6890 and its followers).
pub(super) fn reach(address: IpAddr) -> Reach {
    match address {
        IpAddr::V4(address) => reach_v4(address),
        IpAddr::V6(address) => reach_v6(address),
    }
}

fn reach_v4(address: Ipv4Addr) -> Reach {
    match address.octets() {
        [10 | 127, ..] | [100, 64..=127, ..] | [172, 16..=31, ..] | [192, 168, ..] => Reach::Private,
        // This network, link-local, protocol assignments, documentation, 6to4 relays, benchmarks, multicast, reserved, broadcast.
        [0, ..]
        | [169, 254, ..]
        | [192, 0, 0 | 2, _]
        | [192, 88, 99, _]
        | [198, 18..=19, ..]
        | [198, 51, 100, _]
        | [203, 0, 113, _]
        | [224..=255, ..] => Reach::Special,
        _ => Reach::Public,
    }
}

fn reach_v6(address: Ipv6Addr) -> Reach {
    if address == Ipv6Addr::LOCALHOST {
        return Reach::Private;
    }
    match address.segments() {
        [0xfc00..=0xfdff, ..] => Reach::Private,
        // Protocol assignments with Teredo in them, documentation, 6to4: parts of the global range that are no hosts or hide an IPv4 address.
        [0x2001, 0..=0x01ff, ..] | [0x2001, 0x0db8, ..] | [0x2002, ..] | [0x3fff, 0..=0x0fff, ..] => Reach::Special,
        [0x2000..=0x3fff, ..] => Reach::Public,
        // All else, among it IPv4 in IPv6 (`::ffff:0:0/96`, `::/96`), NAT64 (`64:ff9b::/32`), link-local, multicast and what nobody has been given yet.
        _ => Reach::Special,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_special_range_is_known() {
        let of = |text: &str| reach(text.parse().unwrap_or_else(|_| panic!("{text}")));
        for text in ["1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.0", "172.15.0.1", "172.32.0.1", "192.0.1.1", "223.255.255.255"] {
            assert_eq!(of(text), Reach::Public, "{text}");
        }
        for text in ["2606:4700::1111", "2a00::1", "2001:200::1", "2620:fe::fe", "3ffe::1"] {
            assert_eq!(of(text), Reach::Public, "{text}");
        }
        let private =
            ["10.0.0.1", "127.0.0.1", "127.255.255.254", "100.64.0.1", "100.127.255.255", "172.16.0.1", "172.31.255.255", "192.168.1.1"];
        for text in private.into_iter().chain(["::1", "fc00::1", "fdff::1"]) {
            assert_eq!(of(text), Reach::Private, "{text}");
        }
        let special = ["0.0.0.0", "0.1.2.3", "169.254.169.254", "192.0.0.1", "192.0.2.1", "192.88.99.1", "198.18.0.1", "198.19.255.255"];
        let special = special.into_iter().chain(["198.51.100.1", "203.0.113.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255"]);
        let hidden =
            ["::ffff:127.0.0.1", "::ffff:8.8.8.8", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::7f00:1", "2002:7f00:1::", "2001::1"];
        let hidden = hidden.into_iter().chain([
            "::",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
            "2001:db8::1",
            "2001:2::1",
            "3fff::1",
            "100::1",
            "5f00::1",
        ]);
        for text in special.chain(hidden) {
            assert_eq!(of(text), Reach::Special, "{text}");
        }
    }

    #[test]
    fn an_operator_names_the_hosts_that_may_be_reached() {
        let covers = |allowed: &str, plain: bool, host: &str| {
            let host = HostPattern::of_request(plain, host).expect("it is a host");
            allowed.parse::<AllowedHost>().expect("it is a host").covers(&host)
        };
        assert!(covers("api.example.com", false, "api.example.com") && covers("API.example.com", true, "api.example.com:8080"));
        assert!(!covers("api.example.com", false, "example.com") && !covers("example.com", false, "api.example.com"));
        assert!(covers("*.example.com", false, "a.b.example.com") && !covers("*.example.com", false, "notexample.com"));
        assert!(covers("api.example.com:8443", false, "api.example.com:8443") && !covers("api.example.com:8443", false, "api.example.com"));
        assert!(covers("[2a00::1]", false, "[2a00::1]:5") && covers("1.1.1.1", true, "1.1.1.1"));
        for wrong in ["https://api.example.com", "api.example.com/v1", "", "*"] {
            assert!(wrong.parse::<AllowedHost>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_operator_opens_a_host_with_or_without_its_port() {
        let opens = |open: &str, host: &str| {
            let host = HostPattern::of_request(true, host).expect("it is a host");
            open.parse::<PrivateHost>().expect("it is a host").opens(&host)
        };
        assert!(opens("localhost", "localhost:8080"));
        assert!(opens("LOCALHOST:8080", "localhost:8080"));
        assert!(!opens("localhost:8081", "localhost:8080"));
        assert!(!opens("localhost:80", "localhost:8080"));
        assert!(opens("[::1]", "[::1]:5"));
        assert!(!opens("[::1]:6", "[::1]:5"));
        assert!(!opens("localhost", "127.0.0.1"));
        assert!("*.example.com".parse::<PrivateHost>().is_err());
        assert!("http://localhost".parse::<PrivateHost>().is_err());
    }
}
