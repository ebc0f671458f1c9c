//! Databases by TLS: what their URLs ask of it holds.

use std::fs;
use std::path::Path;
use std::process::Command;

use etl_host::config::database::Connection;
use etl_host::error::Fault;
use etl_host::remote::database::{Connected, connect};
use etl_host::remote::wait;
use tempfile::TempDir;

use crate::servers::{find, mariadb, must, postgres, skipped};

/// An authority, one that nobody trusts, and a certificate of the first for `localhost`, as `ca.pem`, `other.pem`, `cert.pem` and `key.pem`.
pub(crate) fn certificates() -> Option<TempDir> {
    if find("openssl", &[]).is_none() {
        skipped("openssl", "`apt-get install openssl` brings it");
        return None;
    }
    let folder = TempDir::new().unwrap();
    let openssl = |arguments: &str| must(Command::new("openssl").current_dir(folder.path()).args(arguments.split(' ')));
    let new = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    for name in ["ca", "other"] {
        openssl(&format!("req -x509 {new} -days 30 -subj /CN={name} -keyout {name}.key -out {name}.pem"));
    }
    openssl(&format!("req {new} -subj /CN=localhost -keyout key.pem -out cert.csr"));
    fs::write(folder.path().join("names"), "subjectAltName=DNS:localhost").unwrap();
    openssl("x509 -req -in cert.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile names -out cert.pem");
    Some(folder)
}

/// How the server names the connection, or whose fault it is that there is none, and why.
fn ask(url: &str, folder: &Path) -> Result<String, (Fault, String)> {
    let (connected, _) = wait(connect(&Connection::try_from(url.to_owned()).unwrap(), None, folder))
        .map_err(|error| (error.fault(), format!("{} ({})", error.one_line(), error.find_hint().unwrap_or_default())))?;
    let version = "SELECT coalesce(version, 'plain') FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    Ok(match connected {
        Connected::Postgres(mut connection) => wait(sqlx::query_scalar::<_, String>(version).fetch_one(&mut connection)).unwrap(),
        Connected::Mysql(mut connection) => {
            let row = wait(sqlx::query_as::<_, (String, String)>("SHOW STATUS LIKE 'Ssl_version'").fetch_one(&mut connection)).unwrap();
            if row.1.is_empty() { "plain".into() } else { row.1 }
        }
        Connected::Sqlite(_) => unreachable!("nobody asks SQLite"),
        #[cfg(feature = "odbc")]
        Connected::Odbc(_) => unreachable!("it speaks neither"),
    })
}

#[test]
fn postgresql_is_asked_for_what_its_url_says() {
    let (Some(folder), Some(server)) = (certificates(), postgres::Server::start()) else { return };
    let url = server.url("postgres").replace("127.0.0.1", "localhost");
    let ask = |options: &str| ask(&format!("{url}?{options}"), folder.path());
    // It has no certificate yet.
    assert_eq!(ask("sslmode=prefer"), Ok("plain".into()));
    let (fault, told) = ask("sslmode=require").unwrap_err();
    assert!(fault == Fault::Outside && told.contains("server does not support TLS") && told.contains("`sslmode`"), "{told}");
    server.serve_tls(&folder.path().join("cert.pem"), &folder.path().join("key.pem"));
    let tls = Ok("TLSv1.3".to_owned());
    assert_eq!(ask("sslmode=disable"), Ok("plain".into()));
    for options in [
        "sslmode=prefer",
        "sslmode=require",
        "sslrootcert=ca.pem",
        "sslmode=verify-ca&sslrootcert=ca.pem",
        "sslmode=verify-full&sslrootcert=ca.pem",
    ] {
        assert_eq!(ask(options), tls, "{options}");
    }
    for options in ["sslmode=verify-ca", "sslmode=verify-full&sslrootcert=other.pem", "sslmode=require&sslrootcert=other.pem"] {
        let (fault, told) = ask(options).unwrap_err();
        assert!(fault == Fault::Outside && told.contains("UnknownIssuer"), "{options}: {told}");
    }
    let number = |mode: &str| self::ask(&format!("{}?sslmode={mode}&sslrootcert=ca.pem", server.url("postgres")), folder.path());
    assert_eq!(number("verify-ca"), tls);
    assert!(number("verify-full").unwrap_err().1.contains("not valid for name"), "{:?}", number("verify-full"));
    assert!(!format!("{:?}", number("verify-full")).contains(postgres::PASSWORD));
}

#[test]
fn mariadb_is_asked_for_what_its_url_says() {
    let (Some(folder), Some(mut server)) = (certificates(), mariadb::Server::start()) else { return };
    let url = server.url("mysql").replace("127.0.0.1", "localhost");
    let ask = |options: &str| ask(&format!("{url}?{options}"), folder.path());
    assert_eq!(ask("ssl-mode=PREFERRED"), Ok("plain".into()));
    let (fault, told) = ask("ssl-mode=REQUIRED").unwrap_err();
    assert!(fault == Fault::Outside && told.contains("server does not support TLS"), "{told}");
    server.serve_tls(&folder.path().join("cert.pem"), &folder.path().join("key.pem"));
    let tls = Ok("TLSv1.3".to_owned());
    for options in ["ssl-mode=REQUIRED", "ssl-ca=ca.pem", "ssl_ca=ca.pem", "ssl-mode=VERIFY_IDENTITY&ssl-ca=ca.pem"] {
        assert_eq!(ask(options), tls, "{options}");
    }
    assert_eq!(ask("ssl-mode=DISABLED"), Ok("plain".into()));
    for options in ["ssl-mode=VERIFY_CA", "ssl-ca=other.pem", "ssl-mode=verify-identity&ssl-ca=other.pem"] {
        let (fault, told) = ask(options).unwrap_err();
        assert!(fault == Fault::Outside && told.contains("UnknownIssuer"), "{options}: {told}");
    }
}
