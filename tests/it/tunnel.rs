//! Databases behind a machine that is reached by SSH.

use std::net::{TcpListener, TcpStream};
use std::path::Path;

use etl_host::config::database::{Connection, SshTunnel};
use etl_host::error::{Error, Fault, Result};
use etl_host::remote::database::{Connected, connect};
use etl_host::remote::{Tunnel, wait};

use crate::servers::{postgres, sshd};

/// A tunnel as a user writes it.
fn tunnel(text: &str) -> SshTunnel {
    serde_yaml::from_str(text).unwrap()
}

/// The first column of the first row.
fn ask(url: &str, ssh: &SshTunnel, question: &str) -> Result<(String, Tunnel, Connected)> {
    let connection = Connection::try_from(url.to_owned()).map_err(Error::config)?;
    let (mut connected, tunnel) = wait(connect(&connection, Some(ssh), Path::new("/")))?;
    let Connected::Postgres(postgres) = &mut connected else { unreachable!("it speaks PostgreSQL") };
    let answer = wait(sqlx::query_scalar::<_, String>(sqlx::AssertSqlSafe(question)).fetch_one(postgres));
    Ok((answer.map_err(|error| Error::outside("the question").because(error))?, tunnel.expect("it is enabled"), connected))
}

#[test]
fn a_database_that_only_another_machine_reaches_is_reached_through_it() {
    let (Some(sshd), Some(database)) = (sshd::Server::start(), postgres::Database::new()) else { return };
    // Only the machine in between knows where it is.
    let url = database.url().replace("127.0.0.1", "db.invalid");
    for (key, more) in [("known", ""), ("rsa", ""), ("locked", &*format!(", key_passphrase: {}", sshd::PASSPHRASE))] {
        let ssh = tunnel(&sshd.tunnel(key, "known_hosts", &format!(", remote_host: 127.0.0.1, local_port: 0{more}")));
        let (answer, opened, _connected) = ask(&url, &ssh, "SELECT current_database()::text").unwrap();
        assert!(database.url().ends_with(&answer), "{answer}");
        assert_eq!(opened.fault(), None);
        // Nobody else on this machine comes in after it.
        crate::servers::until(|| TcpStream::connect(("127.0.0.1", opened.port())).is_err());
    }
    let off = tunnel(&sshd.tunnel("stranger", "no_hosts", "").replace("enabled: true", "enabled: false"));
    let connection = Connection::try_from(database.url()).unwrap();
    assert!(wait(connect(&connection, Some(&off), Path::new("/"))).unwrap().1.is_none());
}

/// What is said of a tunnel that does not open, and what to do.
fn refusal(ssh: &str) -> (Fault, String, String) {
    let error = ask("postgresql://etl@db.invalid/none", &tunnel(ssh), "SELECT 1").expect_err("it is refused");
    (error.fault(), error.one_line(), error.find_hint().unwrap_or_default().to_owned())
}

#[test]
fn whoever_is_not_known_is_sent_nothing_and_whoever_does_not_know_us_is_asked_once() {
    let Some(sshd) = sshd::Server::start() else { return };
    let at = format!("127.0.0.1:{}", sshd.port());
    let path = |name: &str| sshd.file(name).display().to_string();
    let (fault, told, hint) = refusal(&sshd.tunnel("stranger", "known_hosts", ""));
    assert_eq!((fault, told), (Fault::Config, format!("the SSH server `{}@{at}` refused the key `{}`", sshd.user(), path("stranger"))));
    assert!(hint.contains("authorized_keys"), "{hint}");
    let (fault, told, hint) = refusal(&sshd.tunnel("known", "no_hosts", ""));
    assert!(
        fault == Fault::Config && told.starts_with(&format!("the SSH server `{at}` is not known; its key is ssh-ed25519 SHA256:")),
        "{told}"
    );
    assert!(hint.ends_with(&format!("`ssh-keyscan -p {} 127.0.0.1 >> {}`", sshd.port(), path("no_hosts"))), "{hint}");
    let (fault, told, hint) = refusal(&sshd.tunnel("known", "other_hosts", ""));
    let changed = format!("the SSH server `{at}` HAS ANOTHER KEY than `{}` has in line 2", path("other_hosts"));
    assert!(fault == Fault::Config && told.starts_with(&changed), "{told}");
    assert!(hint.contains(&format!("ssh-keygen -f {} -R '[127.0.0.1]:{}'", path("other_hosts"), sshd.port())), "{hint}");
    let (fault, told, _) = refusal(&sshd.tunnel("known", "revoked_hosts", ""));
    assert!(fault == Fault::Config && told.contains("has a key that is revoked"), "{told}");
    let (_, told, hint) = refusal(&sshd.tunnel("locked", "known_hosts", ""));
    assert!(told.ends_with("cannot be used: it is encrypted") && hint.contains("key_passphrase"), "{told} {hint}");
    let (_, told, hint) = refusal(&sshd.tunnel("locked", "known_hosts", ", key_passphrase: wr0ng-words"));
    assert!(!told.contains("wr0ng-words") && hint == "is `key_passphrase` right?", "{told} {hint}");
    let (_, told, _) = refusal(&sshd.tunnel("stranger", "known_hosts", ", password: wr0ng-words"));
    assert!(told.ends_with(&format!("refused the key `{}` and the password", path("stranger"))), "{told}");
    let (_, told, hint) = refusal(&sshd.tunnel("absent", "known_hosts", ""));
    assert!(told.contains("absent` cannot be read: No such file"), "{told} {hint}");
}

#[test]
fn what_cannot_be_reached_is_told_apart_from_what_cannot_be_entered() {
    let Some(sshd) = sshd::Server::start() else { return };
    let nobody = crate::servers::free_port();
    let (fault, told, _) = refusal(&sshd.tunnel("known", "known_hosts", &format!(", remote_host: 127.0.0.1, remote_port: {nobody}")));
    let server = format!("{}@127.0.0.1:{}", sshd.user(), sshd.port());
    let expected = format!(
        "cannot connect to `postgresql://etl@db.invalid/none`: the SSH server `{server}` cannot reach `127.0.0.1:{nobody}`: nothing answers there"
    );
    assert_eq!((fault, told), (Fault::Outside, expected));
    let elsewhere = sshd.tunnel("known", "known_hosts", "").replace(&format!("port: {}", sshd.port()), &format!("port: {nobody}"));
    let (fault, told, _) = refusal(&elsewhere);
    assert!(fault == Fault::Outside && told.contains("cannot reach the SSH server"), "{told}");
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let mute = sshd
        .tunnel("known", "known_hosts", "")
        .replace(&format!("port: {}", sshd.port()), &format!("port: {}", silent.local_addr().unwrap().port()));
    drop(std::thread::spawn(move || silent.accept().map(drop)));
    let (fault, told, hint) = refusal(&mute);
    assert!(fault == Fault::Outside && told.contains("cannot speak with the SSH server") && hint.contains("`port`"), "{told}");
    let error = ask("sqlite:///a.db", &tunnel(&sshd.tunnel("known", "known_hosts", "")), "SELECT 1").err().unwrap();
    assert_eq!(error.one_line(), "`sqlite:///a.db` has no machine that `ssh_tunnel` could lead to");
}

#[test]
fn a_port_that_is_taken_is_left_to_whoever_has_it() {
    let (Some(sshd), Some(database)) = (sshd::Server::start(), postgres::Database::new()) else { return };
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let (_, opened, _connected) =
        ask(&database.url(), &tunnel(&sshd.tunnel("known", "known_hosts", &format!(", local_port: {port}"))), "SELECT 'a'").unwrap();
    assert_ne!(opened.port(), port);
    let free = crate::servers::free_port();
    let (_, opened, _connected) =
        ask(&database.url(), &tunnel(&sshd.tunnel("known", "known_hosts", &format!(", local_port: {free}"))), "SELECT 'a'").unwrap();
    assert_eq!(opened.port(), free);
}

#[test]
fn a_tunnel_that_breaks_says_so_and_another_one_opens() {
    let (Some(sshd), Some(database)) = (sshd::Server::start(), postgres::Database::new()) else { return };
    let ssh = tunnel(&sshd.tunnel("known", "known_hosts", ""));
    let (_, opened, mut connected) = ask(&database.url(), &ssh, "SELECT 'a'").unwrap();
    sshd.cut();
    let Connected::Postgres(postgres) = &mut connected else { unreachable!() };
    wait(sqlx::query_scalar::<_, String>("SELECT 'b'").fetch_one(postgres)).unwrap_err();
    let fault = opened.fault().expect("it broke");
    assert!(fault.starts_with(&format!("the SSH tunnel through `{}@127.0.0.1:{}` broke: ", sshd.user(), sshd.port())), "{fault}");
    assert_eq!(ask(&database.url(), &ssh, "SELECT 'c'").unwrap().0, "c");
}

#[test]
fn a_tunnel_ends_with_whoever_needed_it() {
    let (Some(sshd), Some(database)) = (sshd::Server::start(), postgres::Database::new()) else { return };
    let (_, opened, connected) = ask(&database.url(), &tunnel(&sshd.tunnel("known", "known_hosts", "")), "SELECT 'a'").unwrap();
    assert!(sshd.sessions() > 0);
    drop((opened, connected));
    crate::servers::until(|| sshd.sessions() == 0);
}
