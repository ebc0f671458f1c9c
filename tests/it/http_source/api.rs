//! An HTTP server on loopback that answers as a test says, and keeps what it was asked.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// The server; it goes with the process.
pub(crate) struct Api {
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    connections: Arc<AtomicUsize>,
    /// Connections that are not closed yet.
    open: Arc<AtomicUsize>,
}

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// How many came before it.
    pub(crate) number: usize,
    pub(crate) method: String,
    pub(crate) path: String,
    /// As it came.
    pub(crate) query: String,
    /// The head without its first line.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Asked {
    /// A query parameter, unescaped only so far as tests need it.
    pub(crate) fn param(&self, name: &str) -> Option<&str> {
        self.query.split('&').filter_map(|pair| pair.split_once('=')).find(|(found, _)| *found == name).map(|(_, value)| value)
    }

    /// A query parameter that is a number.
    pub(crate) fn number(&self, name: &str) -> Option<usize> {
        self.param(name)?.parse().ok()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }
}

/// An answer.
pub(crate) struct Reply {
    status: &'static str,
    headers: String,
    body: Vec<u8>,
    /// What is sent in place of a whole answer, and what comes then.
    raw: Option<(Vec<u8>, Then)>,
}

/// What comes behind an answer that is none.
#[derive(Clone, Copy)]
pub(crate) enum Then {
    /// The connection is closed.
    End,
    /// Nothing, for as long as the other end waits.
    Silence,
    /// A byte now and then, for as long as the other end takes them.
    Drip,
}

impl Reply {
    pub(crate) fn json(body: &serde_json::Value) -> Self {
        Self::of("application/json", body.to_string())
    }

    pub(crate) fn of(kind: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { status: "200 OK", headers: format!("content-type: {kind}\r\n"), body: body.into(), raw: None }
    }

    pub(crate) fn status(status: &'static str) -> Self {
        Self { status, headers: String::new(), body: Vec::new(), raw: None }
    }

    /// Bytes as they are, and something else than the rest.
    pub(crate) fn raw(bytes: impl Into<Vec<u8>>, then: Then) -> Self {
        Self { raw: Some((bytes.into(), then)), ..Self::status("") }
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push_str(&format!("{name}: {value}\r\n"));
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }
}

impl Api {
    /// Starts one.
    pub(crate) fn start(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        Self::serving(true, answer)
    }

    /// Starts one that looks at a connection only once the one before it is closed.
    pub(crate) fn one_by_one(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        Self::serving(false, answer)
    }

    fn serving(at_once: bool, answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let connections = Arc::new(AtomicUsize::new(0));
        let open = Arc::new(AtomicUsize::new(0));
        let (heard, answer, opened, still_open) = (asked.clone(), Arc::new(answer), connections.clone(), open.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                opened.fetch_add(1, Ordering::SeqCst);
                let (heard, answer) = (heard.clone(), answer.clone());
                let still_open = still_open.clone();
                still_open.fetch_add(1, Ordering::SeqCst);
                let serving = std::thread::spawn(move || {
                    serve(&stream, &heard, &*answer);
                    still_open.fetch_sub(1, Ordering::SeqCst);
                });
                if !at_once {
                    serving.join().ok();
                }
            }
        });
        Self { address, asked, connections, open }
    }

    /// Its URL with a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The requests since it was last asked.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }

    /// How many requests there were since it was last asked.
    pub(crate) fn count(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    /// How many connections there were.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Waits until whoever asked has gone, with all of it heard: requests of a process that was killed may still be under way.
    pub(crate) fn left_alone(&self) {
        while self.open.load(Ordering::SeqCst) > 0 {
            std::thread::yield_now();
        }
    }

    /// The queries of the requests since it was last asked.
    pub(crate) fn queries(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.query).collect()
    }

    /// A text without what differs from server to server.
    pub(crate) fn anonymous(&self, text: &str) -> String {
        text.replace(&self.address.to_string(), "HOST")
    }
}

fn serve(stream: &TcpStream, heard: &Mutex<Vec<Asked>>, answer: &(impl Fn(&Asked) -> Reply + ?Sized)) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut out = stream;
    loop {
        let mut first = String::new();
        if reader.read_line(&mut first).ok()? == 0 {
            return None;
        }
        let mut head = String::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            if line.trim().is_empty() {
                break;
            }
            head.push_str(&line);
        }
        let mut words = first.split(' ');
        let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let mut asked = Asked { number: 0, method, path: path.into(), query: query.into(), head, body: String::new() };
        let mut body = vec![0; asked.header("content-length").map_or(0, |length| length.parse().unwrap())];
        reader.read_exact(&mut body).ok()?;
        asked.body = String::from_utf8_lossy(&body).into_owned();
        {
            let mut heard = heard.lock().unwrap();
            asked.number = heard.len();
            heard.push(asked.clone());
        }
        let Reply { status, headers, body, raw } = answer(&asked);
        if let Some((raw, then)) = raw {
            out.write_all(&raw).ok()?;
            match then {
                Then::End => out.shutdown(std::net::Shutdown::Both).ok()?,
                // Until the other side gives up.
                Then::Silence => drop(reader.read_line(&mut String::new())),
                Then::Drip => {
                    while out.write_all(b" ").is_ok() {
                        std::thread::sleep(std::time::Duration::from_millis(20));
                    }
                }
            }
            return None;
        }
        let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{headers}\r\n", body.len());
        out.write_all(&[head.as_bytes(), &body].concat()).ok()?;
    }
}
