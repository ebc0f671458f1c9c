//! `grants`, typed: what a stage may reach beyond its rows.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::de::typed;
use super::problem::{Findings, list, suggest};
use super::settings::Secret;
use super::yaml::{Key, Node, Value};

/// What a stage may reach beyond its rows. Nothing is granted unless it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Grants {
    /// Whether it sees the real time; else its clocks stand still at the run's start. Default: false.
    pub clock: bool,
    /// Whether it draws real random numbers; else they come from the run's id, the same for the same batch. Default: false.
    pub random: bool,
    /// Environment variables of the host that it sees. Default: none.
    pub env: Vec<String>,
    /// Hosts that it may call by HTTP: `api.example.com`, `*.example.com`, `api.example.com:8443`, `http://localhost:8080`; https unless `http://`
    /// stands in front. Or a mapping with `host`, `headers` that the host adds and the stage never sees, and `methods`. Default: none.
    #[schemars(schema_with = "http_schema")]
    pub http: Vec<HttpGrant>,
}

impl Grants {
    /// Whether nothing is granted.
    pub fn is_empty(&self) -> bool {
        let Self { clock, random, env, http } = self;
        !clock && !random && env.is_empty() && http.is_empty()
    }
}

/// A host that a stage may call by HTTP.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpGrant {
    /// The host: `api.example.com`, `*.example.com` for every name below it, with `:8443` for another port, with `http://` in front for no encryption.
    pub host: HostPattern,
    /// Headers that etl-host adds to each request in place of the stage's own of that name. The stage never sees them. `${NAME}` is a variable.
    #[serde(default, deserialize_with = "headers", serialize_with = "names")]
    #[schemars(with = "std::collections::BTreeMap<String, String>")]
    pub headers: Vec<(String, Secret)>,
    /// Methods that it may use. Default: all of GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS.
    #[serde(default)]
    pub methods: Vec<Method>,
}

impl fmt::Display for HttpGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, headers, methods } = self;
        write!(f, "{host}")?;
        let mut notes = Vec::new();
        if !methods.is_empty() {
            notes.push(methods.iter().map(|method| method.name()).collect::<Vec<_>>().join(" "));
        }
        if !headers.is_empty() {
            notes.push(format!("adds {}", headers.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(" ")));
        }
        if notes.is_empty() { Ok(()) } else { write!(f, " ({})", notes.join("; ")) }
    }
}

/// A method of HTTP. CONNECT and TRACE cannot be granted: one opens a tunnel, the other sends the added headers back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "their names say it")]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
    Options,
}

impl Method {
    /// Every method.
    pub const ALL: [Self; 7] = [Self::Get, Self::Head, Self::Post, Self::Put, Self::Patch, Self::Delete, Self::Options];

    /// Its name, as it is sent.
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
        }
    }
}

/// One host, or all below a name, with scheme and port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostPattern {
    /// Whether it is called without encryption.
    pub plain: bool,
    /// Whether it stands for every name below `host`, and not for `host` itself.
    pub below: bool,
    /// The name in lower case, or an address; of IPv6 without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl HostPattern {
    /// Reads a host as it stands in a request, with the port that its scheme has where it names none.
    ///
    /// Nothing is tolerated that two parsers could read in two ways: no user, no path, no trailing dot, no address but in its usual form.
    pub fn of_request(plain: bool, authority: &str) -> Option<Self> {
        let pattern = parse_host(plain, authority).ok()?;
        (!pattern.below).then_some(pattern)
    }

    /// Whether a request to `other` is covered.
    pub fn covers(&self, other: &Self) -> bool {
        let host = match self.below {
            true => other.host.strip_suffix(&self.host).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.')),
            false => self.host == other.host,
        };
        host && self.plain == other.plain && self.port == other.port
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { plain, below, host, port } = self;
        let (scheme, usual) = if *plain { ("http://", 80) } else { ("", 443) };
        let below = if *below { "*." } else { "" };
        match host.contains(':') {
            true => write!(f, "{scheme}[{host}]")?,
            false => write!(f, "{scheme}{below}{host}")?,
        }
        if *port == usual { Ok(()) } else { write!(f, ":{port}") }
    }
}

impl std::str::FromStr for HostPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (plain, rest) = match text.split_once("://") {
            Some(("http", rest)) => (true, rest),
            Some(("https", rest)) => (false, rest),
            Some((scheme, _)) => return Err(format!("has the scheme `{scheme}`, but must have `https`, `http` or none")),
            None => (false, text),
        };
        if let Some(path) = rest.find(['/', '?', '#']) {
            return Err(format!("has a path behind the host, but must be a host only, such as `{}`", &rest[..path]));
        }
        parse_host(plain, rest)
    }
}

impl<'de> Deserialize<'de> for HostPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl Serialize for HostPattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for HostPattern {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "HostPattern".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
    }
}

/// An item of `http` may be the host alone.
fn http_schema(generator: &mut SchemaGenerator) -> Schema {
    let whole = generator.subschema_for::<HttpGrant>();
    json_schema!({ "type": "array", "items": { "anyOf": [{ "type": "string" }, whole] } })
}

fn parse_host(plain: bool, text: &str) -> Result<HostPattern, String> {
    if text.contains('@') {
        return Err("has a user in front of the host; put credentials into `headers`".into());
    }
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            rest.split_once(']').map(|(host, port)| (host, port.strip_prefix(':').or(if port.is_empty() { None } else { Some("?") })))
        }
        None => text.split_once(':').map(|(host, port)| (host, Some(port))).or(Some((text, None))),
    }
    .ok_or("has a `[` that is not closed")?;
    let port = match port {
        None if plain => 80,
        None => 443,
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
            port.parse().ok().filter(|port| *port > 0).ok_or_else(|| format!("has the port `{port}`, but must have one from 1 to 65535"))?
        }
        Some(_) => return Err("must be a host, and with a port `host:port`; an IPv6 address stands in brackets".into()),
    };
    if text.starts_with('[') {
        let address: Ipv6Addr = host.parse().map_err(|_| format!("has `{host}` in brackets, which is no IPv6 address"))?;
        return Ok(HostPattern { plain, below: false, host: address.to_string(), port });
    }
    let (below, name) = host.strip_prefix("*.").map_or((false, host), |name| (true, name));
    check_name(name)?;
    let labels = name.split('.').count();
    if below && (labels < 2 || is_address(name)) {
        return Err(format!("must have two names or more behind `*.`, such as `*.example.com`, but has `{name}`"));
    }
    Ok(HostPattern { plain, below, host: name.to_ascii_lowercase(), port })
}

/// Whether the last part of a name is a number, which resolvers take for an IPv4 address in one of its many spellings.
fn is_address(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or_default();
    last.bytes().all(|byte| byte.is_ascii_digit()) || last.starts_with("0x") || last.starts_with("0X")
}

fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("must be a host, such as `api.example.com`".into());
    }
    if name.contains('*') {
        return Err("has a `*` that is not the whole first name; `*.example.com` stands for every name below `example.com`".into());
    }
    if !name.is_ascii() {
        return Err("has letters beyond ASCII; write the name as DNS has it, which starts with `xn--`".into());
    }
    if is_address(name) {
        let usual = name.parse::<Ipv4Addr>().is_ok();
        return if usual { Ok(()) } else { Err(format!("is no host: `{name}` is no IPv4 address in its usual form")) };
    }
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if name.len() > 253 || !name.split('.').all(label) {
        return Err("must be a host, such as `api.example.com`".into());
    }
    Ok(())
}

/// Headers that a grant cannot add, since they say where a request goes and where it ends.
const RESERVED: [&str; 13] = [
    "host",
    "connection",
    "content-length",
    "expect",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

fn headers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<(String, Secret)>, D::Error> {
    let headers = std::collections::BTreeMap::<String, Secret>::deserialize(deserializer)?;
    Ok(headers.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect())
}

fn names<S: Serializer>(headers: &[(String, Secret)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(headers.iter().map(|(name, _)| name))
}

/// Types `grants`; an item of `http` that is a text is a host.
pub(super) fn grants(mut node: Node, findings: &mut Findings) -> Grants {
    if let Value::Map(entries) = &mut node.value
        && let Some((_, http)) = entries.iter_mut().find(|(key, _)| key.name == "http")
        && let Value::List(items) = &mut http.value
    {
        for item in items {
            if item.text().is_some() {
                let text = std::mem::replace(item, Node::beside(item, Value::Null));
                let key = Key { name: "host".into(), written: "host".into(), line: text.line, column: text.column };
                *item = Node::around(key, text);
            }
        }
    }
    check_env(&node, findings);
    check_http(&node, findings);
    typed::<Grants>(node, findings).unwrap_or_default()
}

/// Grants of the simple operations, which use none but `env`.
pub(super) fn simple_grants(node: Node, findings: &mut Findings) -> Grants {
    for (key, value) in node.entries().iter().filter(|(key, _)| matches!(key.name.as_str(), "clock" | "random" | "http")) {
        findings.wrong_key(key, value, format!("the simple operations have no use for `{}`", key.written)).hint =
            Some("grant it to the `custom_function` that needs it; here `env` is what `env(NAME)` may read".into());
    }
    grants(node, findings)
}

fn check_env(node: &Node, findings: &mut Findings) {
    for item in items(node, "env") {
        let Some(name) = item.text() else { continue };
        if name.is_empty() || name.contains(['=', '\0']) || name.contains(char::is_whitespace) {
            findings.wrong(item, format!("`env` has {}, but must have names of environment variables", item.describe()));
        }
    }
}

/// Finds what is wrong with hosts beyond their own spelling.
fn check_http(node: &Node, findings: &mut Findings) {
    let mut seen: Vec<HostPattern> = Vec::new();
    for item in items(node, "http") {
        let headers = item.given("headers");
        for (key, value) in headers.map_or(&[][..], Node::entries) {
            check_header(key, value, findings);
        }
        let Some(at) = item.get("host") else { continue };
        let Some(Ok(host)) = at.text().map(str::parse::<HostPattern>) else { continue };
        if let Some(headers) = headers.filter(|headers| host.below && !headers.entries().is_empty()) {
            findings.wrong(headers, format!("`{host}` stands for many hosts, to which no headers are added")).hint =
                Some("name the one host that the credentials are for".into());
        }
        if seen.contains(&host) {
            findings.wrong(at, format!("`{host}` is granted twice")).hint = Some("put its methods and headers into one".into());
        }
        seen.push(host);
    }
}

fn check_header(key: &Key, value: &Node, findings: &mut Findings) {
    let name = key.name.to_ascii_lowercase();
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(token) {
        findings.wrong_key(key, value, format!("`{}` is no name of a header", key.written)).hint =
            suggest(&key.written, &["Authorization", "X-Api-Key"], "such as");
    } else if RESERVED.contains(&name.as_str()) {
        findings.wrong_key(key, value, format!("the header `{}` cannot be added", key.written)).hint =
            Some(format!("etl-host sets what a request needs; it adds none of {}", list(RESERVED)));
    }
    let text = value.text().unwrap_or_default();
    if !text.bytes().all(|byte| byte == b'\t' || (b' '..=b'~').contains(&byte)) {
        findings.wrong(value, format!("the value of the header `{}` must be of printable ASCII letters", key.written));
    }
}

fn items<'n>(node: &'n Node, name: &str) -> &'n [Node] {
    match node.get(name).map(|list| &list.value) {
        Some(Value::List(items)) => items,
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::HostPattern;

    fn parse(text: &str) -> Result<String, String> {
        text.parse::<HostPattern>().map(|pattern| pattern.to_string())
    }

    #[test]
    fn a_host_is_read_in_one_way_only() {
        for (written, read) in [
            ("api.example.com", "api.example.com"),
            ("API.Example.com:443", "api.example.com"),
            ("https://api.example.com:8443", "api.example.com:8443"),
            ("http://localhost:80", "http://localhost"),
            ("http://[::1]:8080", "http://[::1]:8080"),
            ("[2001:DB8:0::1]", "[2001:db8::1]"),
            ("*.example.com", "*.example.com"),
            ("203.0.113.7:8443", "203.0.113.7:8443"),
        ] {
            assert_eq!(parse(written), Ok(read.to_owned()), "{written}");
        }
        for wrong in [
            "",
            "*",
            "*.com",
            "*.10.0.0.1",
            "a.*.com",
            "api*.example.com",
            "ftp://example.com",
            "example.com/path",
            "example.com.",
            "user@example.com",
            "user:secret@example.com",
            "127.1",
            "0x7f.0.0.1",
            "2130706433",
            "0177.0.0.1",
            "[::1",
            "[::1]x",
            "::1",
            "example.com:0",
            "example.com:65536",
            "example.com:+80",
            "bücher.example",
            "ex ample.com",
            "example..com",
            "-a.example.com",
            "[fe80::1%25eth0]",
        ] {
            assert!(parse(wrong).is_err(), "{wrong} is read as {:?}", parse(wrong));
        }
    }

    #[test]
    fn a_pattern_covers_its_host_port_and_scheme_and_no_other() {
        let covers = |pattern: &str, plain, authority| {
            let request = HostPattern::of_request(plain, authority).expect("it is a host");
            pattern.parse::<HostPattern>().expect("it is a pattern").covers(&request)
        };
        assert!(covers("api.example.com", false, "API.example.com"));
        assert!(covers("api.example.com", false, "api.example.com:443"));
        assert!(!covers("api.example.com", false, "api.example.com:8443"));
        assert!(!covers("api.example.com", true, "api.example.com:443"));
        assert!(!covers("api.example.com", false, "evil-api.example.com"));
        assert!(!covers("api.example.com", false, "api.example.com.evil.org"));
        assert!(covers("*.example.com", false, "a.b.example.com"));
        assert!(!covers("*.example.com", false, "example.com"));
        assert!(!covers("*.example.com", false, "badexample.com"));
        for odd in ["api.example.com.", "x@api.example.com", "*.example.com", "127.1", "", "api.example.com:"] {
            assert_eq!(HostPattern::of_request(false, odd), None, "{odd}");
        }
    }
}
