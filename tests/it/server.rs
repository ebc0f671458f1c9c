//! A small HTTP server on loopback, which answers well or ill by the path that it is asked for, and keeps what it was asked.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The server; it goes with the process.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let heard = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let heard = heard.clone();
                std::thread::spawn(move || serve(&stream, &heard));
            }
        });
        Self { address, asked }
    }

    /// Its URL by a name of this machine.
    pub(crate) fn url(&self, host: &str) -> String {
        format!("http://{host}:{}", self.address.port())
    }

    /// The requests since it was last asked, each with its head and its body.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

/// Answers the requests of one connection until it closes or an answer has no end.
fn serve(stream: &TcpStream, asked: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(stream);
    while let Some((head, body)) = read(&mut reader) {
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        asked.lock().unwrap().push(format!("{head}{body}"));
        if answer(stream, &path, &head, &body).is_none() {
            return;
        }
    }
}

fn read(reader: &mut impl BufRead) -> Option<(String, String)> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((head, String::from_utf8_lossy(&body).into_owned()))
}

/// `None` once the connection is of no more use.
fn answer(mut stream: &TcpStream, path: &str, head: &str, body: &str) -> Option<()> {
    let whole = |headers: &str, body: &str| format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n{headers}\r\n{body}", body.len());
    let authorization = head.lines().find_map(|line| line.strip_prefix("authorization: ")).unwrap_or("none");
    let text = match path {
        "/drip" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n").ok()?;
            loop {
                std::thread::sleep(Duration::from_millis(20));
                stream.write_all(b"x").ok()?;
            }
        }
        "/endless" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").ok()?;
            loop {
                stream.write_all(&[b'x'; 65536]).ok()?;
            }
        }
        "/silent" => {
            // Until the other side gives up.
            stream.read_exact(&mut [0]).ok()?;
            return None;
        }
        "/headers" => whole(&(0..90).map(|n| format!("x-{n}: {}\r\n", "y".repeat(1000))).collect::<String>(), "many"),
        "/header" => whole(&format!("x-long: {}\r\n", "y".repeat(1 << 20)), "long"),
        "/reflect" => whole(&format!("x-echo: {authorization}\r\nx-other: fine\r\n"), "reflected"),
        "/redirect" => "HTTP/1.1 302 Found\r\ncontent-length: 0\r\nlocation: http://169.254.169.254/latest/meta-data/\r\n\r\n".to_owned(),
        "/echo" => whole("", body),
        "/ok" => whole("", "ok"),
        "/rates/USD" => whole("", "{\"rate\": 0.5}"),
        "/rates/JPY" => whole("", "{\"rate\": 0.006}"),
        path if path.starts_with("/rates/") => "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_owned(),
        _ => whole("", &format!("authorization: {authorization}")),
    };
    stream.write_all(text.as_bytes()).ok()
}
