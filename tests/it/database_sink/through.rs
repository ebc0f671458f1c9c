//! Loads that go through another machine.

use russh::MethodKind;

use super::{Kind, Place, every, pipeline};
use crate::servers::{ssh_password, sshd};
use crate::support::Pipeline;

/// A load into a database that only the machine in between reaches.
fn through(place: &Place, tunnel: &str) -> Pipeline {
    let pipeline = pipeline("id,n\n1,10\n2,20\n2,21\n", place, &format!("primary_key: id\nssh_tunnel: {tunnel}\n"));
    let load = pipeline.read("load.yaml").replacen("127.0.0.1", "db.invalid", 1);
    pipeline.with("load.yaml", load)
}

#[test]
fn rows_go_through_a_tunnel_that_a_key_or_a_password_opens() {
    let Some(sshd) = sshd::Server::start() else { return };
    let passwords = [MethodKind::Password, MethodKind::KeyboardInteractive].map(ssh_password::Server::start);
    let mut tunnels = vec![sshd.tunnel("known", "known_hosts", ", remote_host: 127.0.0.1")];
    tunnels.extend(passwords.iter().map(|server| server.tunnel(ssh_password::PASSWORD)));
    for place in every().into_iter().filter(|place| place.kind() != Kind::Sqlite) {
        for tunnel in &tunnels {
            place.sql("DROP TABLE IF EXISTS orders");
            let report = through(&place, tunnel).run(0);
            assert_eq!(report["rows"]["loaded"], 3, "{:?} {tunnel}: {report}", place.kind());
            assert_eq!(place.sql("SELECT id, n FROM orders ORDER BY id"), "1|10\n2|21\n", "{:?} {tunnel}", place.kind());
            assert!(!report.to_string().contains(ssh_password::PASSWORD));
        }
    }
}

#[test]
fn a_password_that_is_wrong_is_refused_and_not_shown() {
    for method in [MethodKind::Password, MethodKind::KeyboardInteractive] {
        let server = ssh_password::Server::start(method);
        for place in every().into_iter().filter(|place| place.kind() != Kind::Sqlite) {
            let answer = through(&place, &server.tunnel("wr0ng-words")).answer(&["run", "--json"]);
            assert_eq!(answer.code, 2, "{answer:?}");
            assert!(answer.stderr.contains("refused the password"), "{answer:?}");
            assert!(!format!("{answer:?}").contains("wr0ng-words"), "{answer:?}");
        }
    }
}
