//! Loads that go through another machine.

use russh::MethodKind;

use super::again::trace;
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

#[test]
fn what_opens_a_tunnel_is_in_nothing_that_is_told_or_kept() {
    let Some(sshd) = sshd::Server::start() else { return };
    let server = ssh_password::Server::start(MethodKind::Password);
    let key = sshd.tunnel("locked", "known_hosts", &format!(", remote_host: 127.0.0.1, key_passphrase: {}", sshd::PASSPHRASE));
    for place in every().into_iter().filter(|place| place.kind() != Kind::Sqlite) {
        for (tunnel, secret) in [(server.tunnel(ssh_password::PASSWORD), ssh_password::PASSWORD), (key.clone(), sshd::PASSPHRASE)] {
            place.sql("DROP TABLE IF EXISTS orders; CREATE TABLE orders (id int PRIMARY KEY, n int NOT NULL)");
            let extract = "path: in.csv\nbatch_size: 1\ncheckpoint: {enabled: true, interval: 1}\n";
            let pipeline = through(&place, &tunnel).with("in.csv", "id,n\n1,10\n2,\n").with("extract.yaml", extract);
            let mut all = String::new();
            for arguments in [
                &["plan", "."][..],
                &["plan", ".", "--json"],
                &["check", "."],
                &["run", ".", "--json"],
                &["history"],
                &["history", "--json"],
            ] {
                let answer = trace(&pipeline, arguments);
                all += &format!("{}{}", answer.stdout, answer.stderr);
            }
            assert_eq!(place.sql("SELECT id FROM orders"), "1\n", "{tunnel}: {all}");
            assert!(all.contains("DEBUG"), "nothing is traced");
            for name in pipeline.names().iter().filter(|name| *name != "load.yaml") {
                all += &String::from_utf8_lossy(&std::fs::read(pipeline.path(name)).unwrap());
            }
            let line = all.lines().find(|line| line.contains(secret));
            assert_eq!(line, None, "{tunnel}");
        }
    }
}
