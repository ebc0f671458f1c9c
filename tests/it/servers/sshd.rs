//! An SSH server that lets connections through.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, geteuid, kill_process};
use tempfile::TempDir;

use super::{Daemon, find, free_port, humble, kept, must, skipped};

/// The passphrase of the key that has one, which must never be seen.
pub(crate) const PASSPHRASE: &str = "ssh-s3cret-words";

/// A server.
pub(crate) struct Server {
    daemon: Daemon,
    port: u16,
    folder: TempDir,
    /// Whoever may log in: the server runs as this user, and can be nobody else. PAM lets in by key who has no password.
    user: String,
}

impl Server {
    /// Starts one; `None` where the machine has none.
    pub(crate) fn start() -> Option<Self> {
        let (Some(program), Some(keygen)) = (find("sshd", &[PathBuf::from("/usr/sbin")]), find("ssh-keygen", &[])) else {
            skipped("SSH server", "`apt-get install openssh-server` brings one");
            return None;
        };
        let folder = kept("sshd");
        let path = |name: &str| folder.path().join(name);
        for (name, kind, passphrase) in [
            ("host", "ed25519", ""),
            ("known", "ed25519", ""),
            ("rsa", "rsa", ""),
            ("locked", "ed25519", PASSPHRASE),
            ("stranger", "ecdsa", ""),
        ] {
            let mut command = humble(&keygen, folder.path());
            must(command.current_dir("/").args(["-q", "-t", kind, "-N", passphrase, "-f"]).arg(path(name)));
        }
        let keys = ["known", "rsa", "locked"].map(|name| fs::read_to_string(path(&format!("{name}.pub"))).unwrap());
        fs::write(path("authorized"), keys.concat()).unwrap();
        let port = free_port();
        let config = [
            format!("Port {port}\nListenAddress 127.0.0.1\nPidFile none\nUsePAM yes\nStrictModes no\nAllowTcpForwarding yes"),
            format!("HostKey {}\nAuthorizedKeysFile {}\n", path("host").display(), path("authorized").display()),
        ];
        fs::write(path("config"), config.join("\n")).unwrap();
        let host = fs::read_to_string(path("host.pub")).unwrap();
        fs::write(path("known_hosts"), format!("[127.0.0.1]:{port} {host}")).unwrap();
        let other = fs::read_to_string(path("stranger.pub")).unwrap();
        fs::write(path("other_hosts"), format!("# another machine\n[127.0.0.1]:{port} {other}")).unwrap();
        fs::write(path("no_hosts"), "").unwrap();
        fs::write(path("revoked_hosts"), format!("[127.0.0.1]:{port} {host}@revoked * {host}")).unwrap();
        let mut command = humble(&program, folder.path());
        command.current_dir("/").args(["-D", "-e", "-f"]).arg(path("config"));
        command.stderr(fs::File::create(path("log")).unwrap()).stdout(Stdio::null());
        let user = if geteuid().is_root() { "nobody".into() } else { must(Command::new("id").arg("-un")).trim().to_owned() };
        Some(Self { daemon: Daemon::start(command, port), port, user, folder })
    }

    /// A file of it: the keys `known`, `rsa` and `locked`, which it knows, `stranger`, which it does not; `known_hosts`, where it is known,
    /// `other_hosts`, where it is by another key, `revoked_hosts`, where that key is revoked, and `no_hosts`, where it is not.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `ssh_tunnel` as YAML of one line, with a key and known hosts of [`Self::file`], and other members.
    pub(crate) fn tunnel(&self, key: &str, hosts: &str, more: &str) -> String {
        let (key, hosts) = (self.file(key), self.file(hosts));
        let Self { port, user, .. } = self;
        format!(
            "{{enabled: true, host: 127.0.0.1, port: {port}, username: {user}, key_file: {}, known_hosts: {}{more}}}",
            key.display(),
            hosts.display()
        )
    }

    /// The port.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Whoever may log in.
    pub(crate) fn user(&self) -> &str {
        &self.user
    }

    /// Processes that serve somebody.
    pub(crate) fn sessions(&self) -> usize {
        children(self.daemon.pid()).len()
    }

    /// Breaks every connection that goes through it; it goes on serving.
    pub(crate) fn cut(&self) {
        assert!(cut_below(self.daemon.pid()) > 0, "nobody is connected");
    }
}

/// Kills what a process has started, and what that has; answers how many.
fn cut_below(process: Pid) -> usize {
    let children = children(process);
    for child in &children {
        cut_below(*child);
        kill_process(*child, Signal::KILL).ok();
    }
    children.len()
}

/// What a process has started.
fn children(process: Pid) -> Vec<Pid> {
    let id = process.as_raw_nonzero();
    let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
    children.split_whitespace().filter_map(|id| Pid::from_raw(id.parse().ok()?)).collect()
}
