//! A relay before a server, which can go away in the midst of what passes, and come back.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// A relay to a port of this machine.
pub(crate) struct Relay {
    pub(crate) port: u16,
    line: Arc<Line>,
}

struct Line {
    target: u16,
    /// Bytes that pass to the server, and back, before it goes away.
    left: [AtomicU64; 2],
    away: watch::Sender<bool>,
}

static RUNTIME: LazyLock<tokio::runtime::Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap());

impl Relay {
    /// Starts one that goes away once so many bytes have passed to the server, or back.
    pub(crate) fn start(target: u16, [there, back]: [u64; 2]) -> Self {
        let line = Arc::new(Line { target, left: [AtomicU64::new(there), AtomicU64::new(back)], away: watch::Sender::new(false) });
        let listener = RUNTIME.block_on(TcpListener::bind(("127.0.0.1", 0))).unwrap();
        let port = listener.local_addr().unwrap().port();
        RUNTIME.spawn(line.clone().serve(listener));
        Self { port, line }
    }

    /// Waits until it is away: its port refuses, and what was open is broken.
    pub(crate) fn until_away(&self) {
        RUNTIME.block_on(async {
            self.line.away.subscribe().wait_for(|away| *away).await.unwrap();
        });
    }

    /// Comes back, on the same port, to stay.
    pub(crate) fn come_back(&self) {
        self.line.left.iter().for_each(|left| left.store(u64::MAX, Ordering::SeqCst));
        self.line.away.send_replace(false);
        let listener = RUNTIME.block_on(TcpListener::bind(("127.0.0.1", self.port))).unwrap();
        RUNTIME.spawn(self.line.clone().serve(listener));
    }
}

impl Line {
    async fn serve(self: Arc<Self>, listener: TcpListener) {
        let mut away = self.away.subscribe();
        loop {
            tokio::select! {
                _ = away.wait_for(|away| *away) => return,
                socket = listener.accept() => drop(tokio::spawn(self.clone().pass(socket.unwrap().0))),
            }
        }
    }

    async fn pass(self: Arc<Self>, mut client: TcpStream) {
        let Ok(mut server) = TcpStream::connect(("127.0.0.1", self.target)).await else { return };
        let mut away = self.away.subscribe();
        let ((mut from_client, mut to_client), (mut from_server, mut to_server)) = (client.split(), server.split());
        let there = async {
            let mut buffer = vec![0; 16 << 10];
            while let Ok(length @ 1..) = from_client.read(&mut buffer).await {
                if !self.takes(0, length) || to_server.write_all(&buffer[..length]).await.is_err() {
                    return;
                }
            }
        };
        let back = async {
            let mut buffer = vec![0; 16 << 10];
            while let Ok(length @ 1..) = from_server.read(&mut buffer).await {
                if !self.takes(1, length) || to_client.write_all(&buffer[..length]).await.is_err() {
                    return;
                }
            }
        };
        tokio::select! {
            _ = away.wait_for(|away| *away) => {}
            () = there => {}
            () = back => {}
        }
    }

    /// Counts bytes off; where none are left, it is away.
    fn takes(&self, way: usize, length: usize) -> bool {
        let left = self.left[way].load(Ordering::SeqCst);
        let rest = left.checked_sub(length as u64);
        if left < u64::MAX {
            self.left[way].store(rest.unwrap_or(0), Ordering::SeqCst);
        }
        if rest.is_none() {
            self.away.send_replace(true);
        }
        rest.is_some()
    }
}
