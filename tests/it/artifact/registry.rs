//! A real registry: Debian's `docker-registry`, started for one test on a port of its own.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// The name and password that a registry with credentials takes.
pub(super) const USER: (&str, &str) = ("ada", "l0ve-of-secrets");
/// The password's bcrypt, which the registry wants; computed once.
const BCRYPT: &str = "$2b$04$e9sttXlCX4YINJBYQ.cVsuBhEl9PMqz6txzmiO/3zBO6xqGaRHmnG";

/// A registry that ends with the test.
pub(super) struct Registry {
    child: Child,
    /// Host and port.
    pub(super) address: String,
    _folder: TempDir,
}

impl Registry {
    /// Starts one that takes anybody; `None`, and a line that says so, where the program is missing.
    pub(super) fn start() -> Option<Self> {
        Self::start_with("", |_| String::new())
    }

    /// Starts one that takes [`USER`] only.
    pub(super) fn start_with_credentials() -> Option<Self> {
        Self::start_with("", |folder| {
            fs::write(folder.path().join("htpasswd"), format!("{}:{BCRYPT}\n", USER.0)).unwrap();
            format!("auth: {{htpasswd: {{realm: test, path: {}}}}}\n", folder.path().join("htpasswd").display())
        })
    }

    /// Starts one with more under `http` and at the top of its configuration.
    pub(super) fn start_with(http: &str, more: impl FnOnce(&TempDir) -> String) -> Option<Self> {
        let folder = TempDir::with_prefix("registry").unwrap();
        let config = folder.path().join("config.yml");
        let storage = folder.path().join("storage");
        let more = more(&folder);
        fs::write(
            &config,
            format!(
                "version: 0.1\nlog: {{level: info, accesslog: {{disabled: true}}}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\n\
                 http: {{addr: '127.0.0.1:0', secret: test{http}}}\n{more}",
                storage.display()
            ),
        )
        .unwrap();
        let started = Command::new("docker-registry").arg("serve").arg(&config).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        let mut child = match started {
            Ok(child) => child,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                // Not by `eprintln!`, which a test that passes keeps to itself.
                std::io::stderr().write_all(b"skipped: a real registry is missing (apt-get install docker-registry)\n").unwrap();
                return None;
            }
            Err(error) => panic!("docker-registry: {error}"),
        };
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut log = Vec::new();
        let address = loop {
            let Some(Ok(line)) = lines.next() else { panic!("docker-registry ended: {}", log.join("\n")) };
            if let Some((_, rest)) = line.split_once("listening on ") {
                break rest.split(['"', ',']).next().unwrap().trim().to_owned();
            }
            log.push(line);
        };
        // Whatever else it says must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Some(Self { child, address, _folder: folder })
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}
