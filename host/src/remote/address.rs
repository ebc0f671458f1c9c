//! Machine and port within a database's URL.

use crate::config::database::{Connection, Dialect};

/// A machine and a port on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Name or number of the machine; IPv6 without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl Address {
    /// Where a connection leads; `None` where that is no machine.
    pub fn of(connection: &Connection) -> Option<Self> {
        let usual = match connection.dialect {
            Dialect::Postgres => 5432,
            Dialect::Mysql => 3306,
            Dialect::Mssql => 1433,
            Dialect::Oracle => 1521,
            Dialect::Sqlite => return None,
        };
        // Where a whole connection string is given, that says where.
        if crate::config::odbc::option(&connection.url).is_some() {
            return None;
        }
        let (_, place, _) = split(&connection.url)?;
        let (host, port) = match place.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, port)) => (host, port.strip_prefix(':')),
            None => place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port))),
        };
        let port = port.filter(|port| !port.is_empty()).map_or(Some(usual), |port| port.parse().ok())?;
        let host = if host.is_empty() { "localhost" } else { host };
        // A folder, with a socket in it.
        (!host.starts_with("%2F")).then(|| Self { host: host.to_owned(), port })
    }

    /// The connection with this address in place of its own.
    pub(super) fn in_place_of(&self, connection: &Connection) -> Connection {
        let url = match split(&connection.url) {
            Some((before, _, after)) => format!("{before}{}:{}{after}", self.host, self.port),
            None => connection.url.clone(),
        };
        Connection { dialect: connection.dialect, url }
    }
}

/// What stands before machine and port in a URL, these, and what stands behind.
fn split(url: &str) -> Option<(&str, &str, &str)> {
    let start = url.find("://")? + 3;
    let end = url[start..].find(['/', '?']).map_or(url.len(), |end| start + end);
    let start = url[start..end].rfind('@').map_or(start, |at| start + at + 1);
    Some((&url[..start], &url[start..end], &url[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machine_and_port_are_read_and_replaced_and_nothing_else() {
        let here = Address { host: "127.0.0.1".into(), port: 5433 };
        for (url, host, port, replaced) in [
            (
                "postgresql://u:p@db.internal/sales?sslmode=require",
                "db.internal",
                5432,
                "postgresql://u:p@127.0.0.1:5433/sales?sslmode=require",
            ),
            ("mysql+pymysql://u:p%40@[::1]:3307/sales", "::1", 3307, "mysql+pymysql://u:p%40@127.0.0.1:5433/sales"),
            ("mssql://db", "db", 1433, "mssql://127.0.0.1:5433"),
            ("postgres:///sales", "localhost", 5432, "postgres://127.0.0.1:5433/sales"),
        ] {
            let connection = Connection::try_from(url.to_owned()).unwrap();
            assert_eq!(Address::of(&connection), Some(Address { host: host.into(), port }), "{url}");
            assert_eq!(here.in_place_of(&connection).url, replaced);
        }
        for url in ["sqlite:///a.db", "postgresql://%2Fvar%2Frun/sales", "postgresql://db:port/sales"] {
            assert_eq!(Address::of(&Connection::try_from(url.to_owned()).unwrap()), None, "{url}");
        }
    }
}
