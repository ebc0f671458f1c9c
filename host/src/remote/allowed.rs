//! Whether the operator lets a database be reached.

use std::path::Path;

use super::address::Address;
use super::options;
use crate::config::database::{Connection, Dialect, SshTunnel};
use crate::config::odbc;
use crate::error::{Error, Result};
use crate::network::Network;

/// Words of ODBC and of its drivers that lead to another host than the URL names.
const ELSEWHERE: [&str; 8] = ["odbc_connect", "server", "servername", "address", "addr", "dsn", "filedsn", "dbq"];

/// Refuses a database, or the machine in front of it, that is none of the hosts which the operator has named. What stands on this machine's disk is no
/// host.
///
/// # Errors
/// Config, where it is not allowed, or the URL cannot be.
pub fn check_allowed(connection: &Connection, tunnel: Option<&SshTunnel>, root: &Path, network: &Network) -> Result<()> {
    if network.allowed_hosts.is_empty() {
        return Ok(());
    }
    let tunnel = tunnel.filter(|tunnel| tunnel.enabled);
    if let Some(tunnel) = tunnel {
        let gate = Address { host: tunnel.host.clone(), port: tunnel.port };
        check(&gate, &format!("the SSH server `{}@{}:{}`", tunnel.username, tunnel.host, tunnel.port), network)?;
    }
    let Some(mut address) = address(connection, root)? else { return Ok(()) };
    if let Some(SshTunnel { remote_host, remote_port, .. }) = tunnel {
        address.host = remote_host.clone().unwrap_or(address.host);
        address.port = remote_port.unwrap_or(address.port);
    }
    check(&address, &format!("`{connection}`"), network)
}

/// Where a connection leads, as its driver reads the URL; `None` where that is no machine.
fn address(connection: &Connection, root: &Path) -> Result<Option<Address>> {
    let (host, port, socket) = match connection.dialect {
        Dialect::Sqlite => return Ok(None),
        Dialect::Postgres => {
            let (options, _) = options::postgres(connection, root)?;
            (options.get_host().to_owned(), options.get_port(), options.get_socket().is_some())
        }
        Dialect::Mysql => {
            let (options, _) = options::mysql(connection, root)?;
            (options.get_host().to_owned(), options.get_port(), options.get_socket().is_some())
        }
        Dialect::Mssql | Dialect::Oracle => {
            let address = Address::of(connection).filter(|_| !odbc::names_option(&connection.url, &ELSEWHERE));
            return address.map(Some).ok_or_else(|| {
                Error::config(format!("`{connection}` does not name its host as a URL does, so `--allow-host` cannot allow it"))
                    .hint("write host and port between `//` and `/`, and leave `odbc_connect`, `dsn` and `server` out")
            });
        }
    };
    Ok((!socket && !host.starts_with('/')).then_some(Address { host, port }))
}

fn check(address: &Address, title: &str, network: &Network) -> Result<()> {
    let host = address.host.trim_matches(['[', ']']);
    let authority = if host.contains(':') { format!("[{host}]:{}", address.port) } else { format!("{host}:{}", address.port) };
    if network.allows(&authority) {
        return Ok(());
    }
    Err(Error::config(format!("{title} is not asked: the operator of etl-host allows other hosts only"))
        .hint(format!("it is allowed by `--allow-host {authority}`")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_reached_where_the_operator_names_its_host_and_that_of_its_tunnel() {
        let network =
            |hosts: &[&str]| Network { allowed_hosts: hosts.iter().map(|host| host.parse().unwrap()).collect(), ..Network::default() };
        let told = |url: &str, tunnel: Option<&str>, hosts: &[&str]| {
            let tunnel: Option<SshTunnel> = tunnel.map(|text| serde_yaml::from_str(text).unwrap());
            let connection = Connection::try_from(url.to_owned()).unwrap();
            let checked = check_allowed(&connection, tunnel.as_ref(), Path::new("/"), &network(hosts));
            checked.err().map_or_else(String::new, |error| format!("{error}; {}", error.find_hint().unwrap_or_default()))
        };
        for (url, hosts) in [
            ("postgresql://a:b@db.example.com/x", &["db.example.com"][..]),
            ("postgresql://a:b@db.example.com/x", &["*.example.com:5432"]),
            ("postgresql://a:b@DB.example.com:5433/x", &["db.example.com:5433"]),
            ("mysql://a:b@10.1.2.3/x", &["10.1.2.3:3306"]),
            ("postgresql://a:b@[::1]/x", &["[::1]"]),
            ("mssql://a:b@db.example.com/x", &["db.example.com:1433"]),
            ("sqlite:///a.db", &["db.example.com"]),
            ("postgresql:///x?host=/tmp&user=a", &["db.example.com"]),
            ("postgresql://anybody/x", &[]),
        ] {
            assert_eq!(told(url, None, hosts), "", "{url}");
        }
        for (url, authority) in [
            ("postgresql://a:s3cret@other.example.com/x", "other.example.com:5432"),
            // The driver goes where these say.
            ("postgresql://a:s3cret@db.example.com/x?host=other.example.com", "other.example.com:5432"),
            ("postgresql://a:s3cret@db.example.com/x?hostaddr=10.0.0.1", "10.0.0.1:5432"),
            ("postgresql://a:s3cret@db.example.com:1/x", "db.example.com:1"),
            ("mysql://a:s3cret@other.example.com/x", "other.example.com:3306"),
            ("oracle://a:s3cret@other.example.com/x", "other.example.com:1521"),
        ] {
            let told = told(url, None, &["db.example.com:5432", "db.example.com:3306"]);
            assert!(told.contains("allows other hosts only") && told.ends_with(&format!("`--allow-host {authority}`")), "{told}");
            assert!(!told.contains("s3cret"), "{told}");
        }
        let hidden = told("mssql://a:b@db.example.com/x?Server=other", None, &["db.example.com"]);
        assert!(hidden.contains("cannot allow it"), "{hidden}");
        let tunnel = "{enabled: true, host: gate.example.com, username: u, remote_host: inner.example.com}";
        let url = "postgresql://a:b@db.example.com/x";
        assert!(told(url, Some(tunnel), &["db.example.com", "inner.example.com"]).ends_with("`--allow-host gate.example.com:22`"));
        assert!(told(url, Some(tunnel), &["gate.example.com", "db.example.com"]).ends_with("`--allow-host inner.example.com:5432`"));
        assert_eq!(told(url, Some(tunnel), &["gate.example.com:22", "inner.example.com"]), "");
        assert_eq!(told(url, Some("{enabled: false}"), &["db.example.com"]), "");
    }
}
