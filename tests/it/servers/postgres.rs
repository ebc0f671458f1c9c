//! PostgreSQL.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::Signal;
use tempfile::TempDir;

use super::{Daemon, find, free_port, give, humble, kept, must, skipped, until};

/// The user's password, which must never be seen.
pub(crate) const PASSWORD: &str = "pg-s3cret-word";

/// A server.
pub(crate) struct Server {
    /// Absent while it is stopped.
    daemon: Option<Daemon>,
    port: u16,
    folder: TempDir,
    programs: PathBuf,
}

/// A database of the server that all tests share.
pub(crate) struct Database {
    name: String,
    server: &'static Server,
}

/// Where Debian keeps the programs of a server, newest first.
fn folders() -> Vec<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = versions.map(|version| version.path().join("bin")).collect();
    folders.sort();
    folders.reverse();
    folders
}

impl Server {
    /// Starts one; `None` where the machine has none.
    pub(crate) fn start() -> Option<Self> {
        let Some(initdb) = find("initdb", &folders()) else {
            skipped("PostgreSQL server", "`apt-get install postgresql` brings one");
            return None;
        };
        let folder = kept("postgres");
        let password = folder.path().join("password");
        fs::write(&password, PASSWORD).unwrap();
        let mut initdb_command = humble(&initdb, folder.path());
        initdb_command.current_dir("/").args([
            "--auth=scram-sha-256",
            "--username=etl",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--no-sync",
        ]);
        must(initdb_command.arg("--pwfile").arg(&password).arg("-D").arg(folder.path().join("data")));
        let mut server = Self { daemon: None, port: free_port(), programs: initdb.parent().unwrap().to_owned(), folder };
        server.resume();
        Some(server)
    }

    /// Starts it again, on the same port.
    pub(crate) fn resume(&mut self) {
        let mut command = humble(&self.programs.join("postgres"), self.folder.path());
        command.current_dir("/").arg("-D").arg(self.folder.path().join("data")).arg("-k").arg(self.folder.path());
        command.args(["-p", &self.port.to_string(), "-c", "listen_addresses=127.0.0.1", "-c", "max_connections=200"]);
        // It is only ever stopped, the machine never is: what the kernel has is kept.
        command.args(["-c", "fsync=off", "-c", "full_page_writes=off"]);
        let log = fs::File::create(self.folder.path().join("log")).unwrap();
        command.stderr(log).stdout(Stdio::null());
        self.daemon = Some(Daemon::start(command, self.port));
        // The port answers before the server has looked at what it had.
        let ready = self.programs.join("pg_isready");
        until(|| Command::new(&ready).args(["-q", "-d", &self.url("postgres")]).status().is_ok_and(|status| status.success()));
    }

    /// Stops it as it is: connections break.
    pub(crate) fn stop(&mut self) {
        self.daemon.take().unwrap().end(Signal::QUIT);
    }

    /// Has it serve by TLS too, with a certificate.
    pub(crate) fn serve_tls(&self, certificate: &Path, key: &Path) {
        for (setting, file) in [("ssl_cert_file", certificate), ("ssl_key_file", key)] {
            let given = give(file, self.folder.path(), setting);
            self.sql("postgres", &format!("ALTER SYSTEM SET {setting} = '{}'", given.display()));
        }
        self.sql("postgres", "ALTER SYSTEM SET ssl = on");
        self.sql("postgres", "SELECT pg_reload_conf()");
        until(|| self.sql("postgres", "SHOW ssl") == "on\n");
    }

    /// The URL of a database.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgresql://etl:{PASSWORD}@127.0.0.1:{}/{database}", self.port)
    }

    /// Runs SQL by the server's own client; answers rows as `a|b`, a line each.
    pub(crate) fn sql(&self, database: &str, sql: &str) -> String {
        let psql = self.programs.join("psql");
        must(Command::new(psql).args(["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-c", sql]).arg(self.url(database)))
    }
}

impl Database {
    /// A new one; `None` where the machine has no server.
    pub(crate) fn new() -> Option<Self> {
        static SERVER: LazyLock<Option<Server>> = LazyLock::new(Server::start);
        static NAMES: AtomicU32 = AtomicU32::new(0);
        let server = SERVER.as_ref()?;
        let name = format!("test_{}", NAMES.fetch_add(1, Ordering::Relaxed));
        server.sql("postgres", &format!("CREATE DATABASE {name}"));
        Some(Self { name, server })
    }

    /// Its URL.
    pub(crate) fn url(&self) -> String {
        self.server.url(&self.name)
    }

    /// Runs SQL by the server's own client; answers rows as `a|b`, a line each.
    pub(crate) fn sql(&self, sql: &str) -> String {
        self.server.sql(&self.name, sql)
    }
}

#[test]
fn a_server_comes_up_stops_and_comes_back_with_what_it_had() {
    let Some(mut server) = Server::start() else { return };
    assert_eq!(server.sql("postgres", "CREATE TABLE kept AS SELECT 7 AS number; SELECT number FROM kept"), "7\n");
    server.stop();
    server.resume();
    assert_eq!(server.sql("postgres", "SELECT number FROM kept"), "7\n");
}
