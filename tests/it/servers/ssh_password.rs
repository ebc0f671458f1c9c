//! An SSH server that lets in by password, in the tests' own process: sshd compares passwords as root only.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use russh::keys::PrivateKey;
use russh::keys::ssh_key::private::Ed25519Keypair;
use russh::server::{Auth, ChannelOpenHandle, Config, Handler, Msg, Response, Session, run_stream};
use russh::{Channel, MethodKind, MethodSet};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};

use super::kept;

/// The password, which must never be seen.
pub(crate) const PASSWORD: &str = "ssh-s3cret-pass";

/// A server that lives as long as this.
pub(crate) struct Server {
    port: u16,
    folder: TempDir,
    _runtime: Runtime,
}

impl Server {
    /// Starts one that takes a password at once, or one that asks a question for it.
    pub(crate) fn start(method: MethodKind) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", 0))).unwrap();
        let port = listener.local_addr().unwrap().port();
        let key = PrivateKey::from(Ed25519Keypair::from_seed(&[7; 32]));
        let folder = kept("ssh");
        fs::write(folder.path().join("known_hosts"), format!("[127.0.0.1]:{port} {}\n", key.public_key().to_openssh().unwrap())).unwrap();
        let config = Config {
            keys: vec![key],
            methods: MethodSet::from(&[method][..]),
            auth_rejection_time: Duration::ZERO,
            nodelay: true,
            ..Config::default()
        };
        let config = Arc::new(config);
        runtime.spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let config = config.clone();
                tokio::spawn(async move {
                    if let Ok(session) = run_stream(config, socket, Guest).await {
                        let _ = session.await;
                    }
                });
            }
        });
        Self { port, folder, _runtime: runtime }
    }

    /// `ssh_tunnel` as YAML of one line, to a database that is on the server's own machine.
    pub(crate) fn tunnel(&self, password: &str) -> String {
        let known: PathBuf = self.folder.path().join("known_hosts");
        format!(
            "{{enabled: true, host: 127.0.0.1, port: {}, username: etl, password: {password}, known_hosts: {}, remote_host: 127.0.0.1}}",
            self.port,
            known.display()
        )
    }
}

/// Whoever is connected.
struct Guest;

impl Handler for Guest {
    type Error = russh::Error;

    async fn auth_password(&mut self, _user: &str, password: &str) -> Result<Auth, Self::Error> {
        Ok(if password == PASSWORD { Auth::Accept } else { Auth::reject() })
    }

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        _user: &str,
        _methods: &str,
        response: Option<Response<'a>>,
    ) -> Result<Auth, Self::Error> {
        Ok(match response.map(|mut answers| answers.next()) {
            None => Auth::Partial { name: "".into(), instructions: "".into(), prompts: vec![("Password: ".into(), false)].into() },
            Some(answer) if answer.as_deref() == Some(PASSWORD.as_bytes()) => Auth::Accept,
            Some(_) => Auth::reject(),
        })
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        channel: Channel<Msg>,
        host: &str,
        port: u32,
        _from: &str,
        _from_port: u32,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        let mut socket = TcpStream::connect((host, u16::try_from(port).unwrap())).await?;
        reply.accept().await;
        tokio::spawn(async move {
            let _ = tokio::io::copy_bidirectional(&mut socket, &mut channel.into_stream()).await;
        });
        Ok(())
    }
}
