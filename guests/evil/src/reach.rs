//! Attempts to reach outside. Where one succeeds the attack fails with `reached`; where all fail it passes the rows on.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::time::{Duration, Instant, SystemTime};

use etl_sdk::StageError;
use etl_sdk::bindings::columns::etl::transform::data::{Batch, Output};
use etl_sdk::bindings::columns::etl::transform::host;

use crate::attack::{Attack, pass_on};

pub(crate) const ATTACKS: &[Attack] = &[
    Attack::process("open_files", "opens, lists, writes and removes files and folders", "process: ok, nothing reached", files),
    Attack::process("open_sockets", "connects, listens, sends and looks names up", "process: ok, nothing reached", sockets),
    Attack::process("read_environment", "reads variables, arguments and the current folder", "process: ok, nothing reached", environment),
    Attack::process("read_stdin", "reads stdin", "process: ok, nothing reached", stdin),
    Attack::process("spawn", "starts a program and a thread", "process: ok, nothing reached", spawn),
    Attack::process("read_clock", "compares the clock with the run's start", "process: ok, the clock stands still", clock),
    Attack::process(
        "read_random",
        "draws random numbers and counts them as random.<number>",
        "process: ok, the same for the same batch",
        random,
    ),
];

fn outcome(reached: Vec<String>, input: &Batch, out: &Output) -> Result<(), StageError> {
    match reached.is_empty() {
        true => pass_on(input, out),
        false => Err(StageError::internal("reached", format!("reached {}", reached.join(", ")))),
    }
}

/// Notes what succeeded.
fn attempt<T, E>(reached: &mut Vec<String>, what: &str, result: Result<T, E>) {
    if result.is_ok() {
        reached.push(what.to_owned());
    }
}

fn files(input: &Batch, out: &Output) -> Result<(), StageError> {
    let mut reached = Vec::new();
    for path in ["/etc/passwd", "/proc/self/environ", "../../etc/passwd", "/", ".", "data/orders.csv", "extract.yaml", "/dev/zero"] {
        attempt(&mut reached, path, std::fs::read(path));
        attempt(&mut reached, path, std::fs::read_dir(path));
        attempt(&mut reached, path, std::fs::metadata(path));
    }
    for path in ["/tmp/evil", "evil", "./output/evil"] {
        attempt(&mut reached, path, std::fs::write(path, "evil"));
        attempt(&mut reached, path, std::fs::create_dir(path));
        attempt(&mut reached, path, std::fs::remove_file(path));
    }
    outcome(reached, input, out)
}

fn sockets(input: &Batch, out: &Output) -> Result<(), StageError> {
    use std::net::{TcpListener, TcpStream, ToSocketAddrs as _, UdpSocket};
    let mut reached = Vec::new();
    for address in ["127.0.0.1:80", "169.254.169.254:80", "[::1]:22", "10.0.0.1:443"] {
        attempt(&mut reached, address, TcpStream::connect(address));
    }
    attempt(&mut reached, "a listener", TcpListener::bind("127.0.0.1:0"));
    attempt(&mut reached, "a datagram", UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.send_to(b"evil", "127.0.0.1:53")));
    attempt(&mut reached, "a name", "localhost:80".to_socket_addrs());
    outcome(reached, input, out)
}

fn environment(input: &Batch, out: &Output) -> Result<(), StageError> {
    let mut reached: Vec<String> = std::env::vars().map(|(name, _)| format!("variable {name}")).collect();
    reached.extend(std::env::args().map(|argument| format!("argument {argument}")));
    attempt(&mut reached, "the host's folder", std::env::current_dir().and_then(std::fs::read_dir));
    outcome(reached, input, out)
}

fn stdin(input: &Batch, out: &Output) -> Result<(), StageError> {
    let mut line = String::new();
    let read = std::io::stdin().read_line(&mut line).unwrap_or_default();
    outcome(if read > 0 { vec![format!("{read} bytes of stdin")] } else { Vec::new() }, input, out)
}

fn spawn(input: &Batch, out: &Output) -> Result<(), StageError> {
    let mut reached = Vec::new();
    attempt(&mut reached, "a program", std::process::Command::new("/bin/sh").arg("-c").arg("true").spawn());
    attempt(&mut reached, "a thread", std::thread::Builder::new().spawn(|| {}));
    outcome(reached, input, out)
}

fn clock(input: &Batch, out: &Output) -> Result<(), StageError> {
    let mut reached = Vec::new();
    let start = Duration::from_millis(host::now_ms().unsigned_abs());
    let (wall, monotonic) = (SystemTime::now(), Instant::now());
    std::hint::black_box((0..100_000u64).map(std::hint::black_box).sum::<u64>());
    if wall.duration_since(SystemTime::UNIX_EPOCH).ok() != Some(start) {
        reached.push(format!("a wall clock other than the run's start: {wall:?}"));
    }
    if SystemTime::now() != wall {
        reached.push("a wall clock that goes".to_owned());
    }
    if Instant::now() != monotonic {
        reached.push("a monotonic clock that goes".to_owned());
    }
    outcome(reached, input, out)
}

fn random(input: &Batch, out: &Output) -> Result<(), StageError> {
    let number = RandomState::new().build_hasher().finish();
    host::count(&format!("random.{number}"), 1);
    host::count(&format!("seed.{}", host::seed()), 1);
    pass_on(input, out)
}
