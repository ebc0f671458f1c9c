//! Real servers on loopback, each started for these tests and gone with them.
//!
//! A server is started once for the whole test program where tests can share it, each with a database or a bucket of its own; a test that
//! stops a server or makes it misbehave starts one for itself.

pub(crate) mod azure;
pub(crate) mod mariadb;
#[cfg(feature = "odbc")]
pub(crate) mod odbc;
pub(crate) mod postgres;
pub(crate) mod relay;
pub(crate) mod s3;
pub(crate) mod ssh_password;
pub(crate) mod sshd;

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, geteuid, kill_process, set_parent_process_death_signal};
use tempfile::TempDir;

/// Time that a server may take to come up on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// User and group `nobody`: servers refuse to run as root.
const NOBODY: u32 = 65_534;

/// A process that serves, which ends with this one at the latest.
pub(crate) struct Daemon {
    child: Child,
}

impl Daemon {
    /// Starts a program and waits until its port answers.
    pub(crate) fn start(mut command: Command, port: u16) -> Self {
        // SAFETY: the call between fork and exec takes a number and allocates nothing.
        unsafe {
            command.pre_exec(|| Ok(set_parent_process_death_signal(Some(Signal::KILL))?));
        }
        command.stdin(Stdio::null());
        // The kernel takes the end of the thread that started a process for the end of its parent: this one has no end.
        let (send, receive) = channel();
        thread::spawn(move || {
            send.send(command.spawn()).ok();
            loop {
                thread::park();
            }
        });
        let mut daemon = Self { child: receive.recv().unwrap().unwrap() };
        until(|| {
            assert!(daemon.child.try_wait().unwrap().is_none(), "the server ended before it answered");
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        daemon
    }

    /// The process.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Sends a signal, and waits for its end.
    pub(crate) fn end(mut self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).ok();
        self.child.wait().unwrap();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A temporary folder that goes with this program, though nobody drops it: neither statics are dropped, nor what a killed program has.
pub(crate) fn kept(prefix: &str) -> TempDir {
    let folder = TempDir::with_prefix(prefix).unwrap();
    // The pipe ends when we do.
    let mut watch = Command::new("sh");
    watch.args(["-c", "trap '' INT TERM HUP; cat; sleep 2; rm -rf \"$0\""]).arg(folder.path()).process_group(0);
    // Neither it nor its pipe is ever dropped.
    std::mem::forget(watch.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    folder
}

/// Waits until a server is ready.
pub(crate) fn until(mut ready: impl FnMut() -> bool) {
    let started = Instant::now();
    while !ready() {
        assert!(started.elapsed() < PATIENCE, "the server does not come up");
        thread::sleep(Duration::from_millis(20));
    }
}

/// A port of loopback that nobody has now.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The program in one of these folders, or on the path.
pub(crate) fn find(program: &str, folders: &[PathBuf]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    folders.iter().cloned().chain(std::env::split_paths(&path)).map(|folder| folder.join(program)).find(|path| path.is_file())
}

/// Says that a test cannot run here, and what it would take. CI takes it for a failure.
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
pub(crate) fn skipped(what: &str, how: &str) {
    assert!(std::env::var_os("CI").is_none(), "CI has no {what}: {how}");
    eprintln!("skipped: there is no {what}; {how}");
}

/// A command that does not run as root, nor does what it makes in `folder` belong to it.
pub(crate) fn humble(program: &Path, folder: &Path) -> Command {
    let mut command = Command::new(program);
    if geteuid().is_root() {
        chown(folder, Some(NOBODY), Some(NOBODY)).unwrap();
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

/// Gives a server a file of its own, which nobody else may read.
pub(crate) fn give(file: &Path, folder: &Path, name: &str) -> PathBuf {
    let given = folder.join(name);
    fs::copy(file, &given).unwrap();
    fs::set_permissions(&given, fs::Permissions::from_mode(0o600)).unwrap();
    if geteuid().is_root() {
        chown(&given, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    given
}

/// Runs a command that must succeed; answers its stdout.
pub(crate) fn must(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
