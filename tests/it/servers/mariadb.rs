//! MariaDB, which speaks as MySQL does.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::Signal;
use tempfile::TempDir;

use super::{Daemon, find, free_port, give, humble, kept, must, skipped};

/// The user's password, which must never be seen.
pub(crate) const PASSWORD: &str = "my-s3cret-word";

/// A server.
pub(crate) struct Server {
    /// Absent while it is stopped.
    daemon: Option<Daemon>,
    port: u16,
    folder: TempDir,
    program: PathBuf,
}

/// A database of the server that all tests share.
pub(crate) struct Database {
    name: String,
    server: &'static Server,
}

impl Server {
    /// Starts one; `None` where the machine has none.
    pub(crate) fn start() -> Option<Self> {
        let folders = [PathBuf::from("/usr/sbin")];
        let (Some(program), Some(install)) = (find("mariadbd", &folders), find("mariadb-install-db", &folders)) else {
            skipped("MariaDB server", "`apt-get install mariadb-server` brings one");
            return None;
        };
        let folder = kept("mariadb");
        let mut command = humble(&install, folder.path());
        command.current_dir("/").args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"]);
        must(command.arg(format!("--datadir={}", folder.path().join("data").display())));
        let mut server = Self { daemon: None, port: free_port(), program, folder };
        server.resume();
        server.as_root(&format!("CREATE USER etl@'%' IDENTIFIED BY '{PASSWORD}'; GRANT ALL ON *.* TO etl@'%'"));
        Some(server)
    }

    /// Starts it again, on the same port.
    pub(crate) fn resume(&mut self) {
        let mut command = humble(&self.program, self.folder.path());
        let path = |name: &str| self.folder.path().join(name).display().to_string();
        command.current_dir("/").args(["--no-defaults", "--bind-address=127.0.0.1", "--character-set-server=utf8mb4"]);
        command.arg(format!("--datadir={}", path("data"))).arg(format!("--socket={}", path("socket"))).arg(format!("--port={}", self.port));
        command.arg(format!("--pid-file={}", path("pid")));
        if self.folder.path().join("tls.pem").exists() {
            command.arg(format!("--ssl-cert={}", path("tls.pem"))).arg(format!("--ssl-key={}", path("tls.key")));
        }
        // It is only ever stopped, the machine never is: what the kernel has is kept.
        command.args(["--innodb-flush-log-at-trx-commit=2", "--innodb-flush-method=nosync", "--innodb-doublewrite=0", "--skip-log-bin"]);
        let log = fs::File::create(self.folder.path().join("log")).unwrap();
        command.stderr(log).stdout(Stdio::null());
        self.daemon = Some(Daemon::start(command, self.port));
    }

    /// Has it serve by TLS too, with a certificate; it starts again for that.
    pub(crate) fn serve_tls(&mut self, certificate: &Path, key: &Path) {
        give(certificate, self.folder.path(), "tls.pem");
        give(key, self.folder.path(), "tls.key");
        self.stop();
        self.resume();
    }

    /// Stops it as it is: connections break.
    pub(crate) fn stop(&mut self) {
        self.daemon.take().unwrap().end(Signal::KILL);
    }

    fn as_root(&self, sql: &str) {
        let socket = format!("--socket={}", self.folder.path().join("socket").display());
        must(Command::new("mariadb").args(["--no-defaults", &socket, "--user=root", "--execute", sql]));
    }

    /// The URL of a database.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("mysql://etl:{PASSWORD}@127.0.0.1:{}/{database}", self.port)
    }

    /// Runs SQL by the server's own client; answers rows with tabs in between, a line each.
    pub(crate) fn sql(&self, database: &str, sql: &str) -> String {
        let (port, password) = (format!("--port={}", self.port), format!("--password={PASSWORD}"));
        let options = ["--no-defaults", "--protocol=tcp", "--host=127.0.0.1", &port, "--user=etl", &password];
        must(Command::new("mariadb").args(options).args(["--batch", "--skip-column-names", "--default-character-set=utf8mb4"]).args([
            "--execute",
            sql,
            database,
        ]))
    }
}

impl Database {
    /// A new one; `None` where the machine has no server.
    pub(crate) fn new() -> Option<Self> {
        static SERVER: LazyLock<Option<Server>> = LazyLock::new(Server::start);
        static NAMES: AtomicU32 = AtomicU32::new(0);
        let server = SERVER.as_ref()?;
        let name = format!("test_{}", NAMES.fetch_add(1, Ordering::Relaxed));
        server.as_root(&format!("CREATE DATABASE {name}"));
        Some(Self { name, server })
    }

    /// Its URL.
    pub(crate) fn url(&self) -> String {
        self.server.url(&self.name)
    }

    /// Runs SQL by the server's own client; answers rows with tabs in between, a line each.
    pub(crate) fn sql(&self, sql: &str) -> String {
        self.server.sql(&self.name, sql)
    }
}

#[test]
fn a_server_comes_up_stops_and_comes_back_with_what_it_had() {
    let Some(mut server) = Server::start() else { return };
    server.as_root("CREATE DATABASE d; CREATE TABLE d.kept AS SELECT 7 AS number");
    server.stop();
    server.resume();
    assert_eq!(server.sql("d", "SELECT number FROM kept"), "7\n");
}
