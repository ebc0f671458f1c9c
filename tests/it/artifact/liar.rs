//! A registry that misbehaves as a test tells it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What it was asked.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) method: String,
    /// Path and query.
    pub(super) path: String,
    pub(super) headers: BTreeMap<String, String>,
}

impl Asked {
    pub(super) fn authorization(&self) -> Option<&str> {
        self.headers.get("authorization").map(String::as_str)
    }
}

/// What it answers.
#[derive(Clone)]
pub(super) enum Reply {
    /// Status, headers, body; the length is that of the body.
    Whole(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// Bytes on the wire as they are, then the end.
    Raw(Vec<u8>),
    /// An answer in chunks without an end.
    Endless,
    /// Some bytes of an answer now and then.
    Drip,
    /// Nothing.
    Silence,
}

impl Reply {
    /// 200 with a body.
    pub(super) fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self::Whole(200, Vec::new(), body.into())
    }

    /// A status without a body.
    pub(super) fn status(status: u16) -> Self {
        Self::Whole(status, Vec::new(), Vec::new())
    }
}

/// A listener on loopback that answers until the test ends.
pub(super) struct Liar {
    pub(super) address: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Liar {
    /// Starts one that answers as `reply` says.
    pub(super) fn start(reply: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (seen, reply) = (asked.clone(), Arc::new(reply));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (seen, reply) = (seen.clone(), reply.clone());
                std::thread::spawn(move || serve(stream, &seen, reply.as_ref()));
            }
        });
        Self { address, asked }
    }

    /// All that it was asked so far.
    pub(super) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

fn serve(stream: TcpStream, seen: &Mutex<Vec<Asked>>, reply: &dyn Fn(&Asked) -> Reply) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut line = String::new();
    if reader.read_line(&mut line).unwrap_or(0) == 0 {
        return;
    }
    let mut words = line.split_whitespace();
    let (method, path) = (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        match line.trim_end().split_once(':') {
            Some((name, value)) => drop(headers.insert(name.to_lowercase(), value.trim().to_owned())),
            None => break,
        }
    }
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    reader.take(length).read_to_end(&mut Vec::new()).ok();
    let asked = Asked { method, path, headers };
    let reply = reply(&asked);
    seen.lock().unwrap().push(asked);
    // A client that has heard enough hangs up.
    answer(stream, reply).ok();
}

fn answer(mut stream: TcpStream, reply: Reply) -> std::io::Result<()> {
    match reply {
        Reply::Whole(status, headers, body) => {
            let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
            write!(stream, "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n", body.len())?;
            stream.write_all(&body)
        }
        Reply::Raw(bytes) => stream.write_all(&bytes),
        Reply::Endless => {
            write!(stream, "HTTP/1.1 200 X\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n")?;
            let chunk = [&b"10000\r\n"[..], &[b' '; 0x10000], b"\r\n"].concat();
            loop {
                stream.write_all(&chunk)?;
            }
        }
        Reply::Drip => {
            write!(stream, "HTTP/1.1 200 X\r\nconnection: close\r\ncontent-length: 1000000\r\n\r\n")?;
            loop {
                stream.write_all(b" ")?;
                stream.flush()?;
                std::thread::sleep(std::time::Duration::from_millis(300));
            }
        }
        // Until the client goes.
        Reply::Silence => stream.read_to_end(&mut Vec::new()).map(drop),
    }
}
