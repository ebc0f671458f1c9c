//! SSH tunnels to databases: a port on this machine that leads, through another one, to a database that only that one reaches.

mod host_keys;
mod login;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use russh::client::{self, DisconnectReason, Handle};
use russh::keys::PublicKeyOrCertificate;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};

use self::host_keys::HostKeys;
use super::address::Address;
use super::wait::runtime;
use crate::config::database::{Connection, SshTunnel};
use crate::error::{Context, Error, Result};

/// How long the machine in between may take to answer, and to let us in.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often a silent connection is tried; three tries without an answer end it.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// Bytes that are under way in each direction of a connection.
const BUFFER_BYTES: usize = 256 << 10;

/// A tunnel, which ends when this is dropped.
#[derive(Debug)]
pub struct Tunnel {
    port: u16,
    shared: Arc<Shared>,
    door: watch::Sender<bool>,
    _end: oneshot::Sender<()>,
}

/// What is known of a tunnel by all that work on it.
#[derive(Debug, Default)]
struct Shared {
    /// Why it no longer holds.
    fault: Mutex<Option<String>>,
}

impl Shared {
    /// Notes what broke it; what was noted first stays.
    fn note(&self, fault: String) {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(fault);
    }

    fn fault(&self) -> Option<String> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Whoever speaks with the server: knows whether it is the right one.
struct Client {
    host_keys: HostKeys,
    refused: Arc<Mutex<Option<Error>>>,
    shared: Arc<Shared>,
    title: String,
}

impl client::Handler for Client {
    type Error = russh::Error;

    async fn check_server_key(&mut self, key: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        let PublicKeyOrCertificate::PublicKey { key, .. } = key else { return Ok(false) };
        match self.host_keys.check(key) {
            Ok(()) => Ok(true),
            Err(error) => {
                *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                Ok(false)
            }
        }
    }

    async fn disconnected(&mut self, reason: DisconnectReason<russh::Error>) -> Result<(), russh::Error> {
        let why = match reason {
            DisconnectReason::ReceivedDisconnect(told) => told.message,
            DisconnectReason::Error(error) => error.to_string(),
        };
        self.shared.note(format!("the SSH tunnel through {} broke: {why}", self.title));
        Ok(())
    }
}

impl Tunnel {
    /// Opens one to a database as the machine in between sees it. Key files are looked for below `root`.
    ///
    /// # Errors
    /// Config, where the machine does not let us in or is not known; outside, where it does not answer.
    pub async fn open(tunnel: &SshTunnel, database: Address, root: &Path) -> Result<Self> {
        let (tunnel, root) = (tunnel.clone(), root.to_owned());
        // It lives on threads of its own, whichever the caller waits on.
        runtime().spawn(async move { open(&tunnel, database, &root).await }).await.bug(|| "opening a tunnel panicked".into())?
    }

    /// The port on this machine.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Why it no longer holds, where it broke.
    pub fn fault(&self) -> Option<String> {
        self.shared.fault()
    }

    /// Lets nobody else in: connections that go through it stay.
    pub fn close_door(&self) {
        self.door.send_replace(true);
    }
}

/// The connection through a tunnel: its host and port are then those of the tunnel's end on this machine. One that is not enabled is none.
///
/// # Errors
/// Those of [`Tunnel::open`], and config, where the connection has no port to lead to.
pub async fn through(connection: &Connection, tunnel: Option<&SshTunnel>, root: &Path) -> Result<(Connection, Option<Tunnel>)> {
    let Some(tunnel) = tunnel.filter(|tunnel| tunnel.enabled) else { return Ok((connection.clone(), None)) };
    let database = Address::of(connection).ok_or_else(|| {
        Error::config(format!("`{connection}` has no machine that `ssh_tunnel` could lead to")).hint("leave `ssh_tunnel` out")
    })?;
    let opened = Tunnel::open(tunnel, database, root).await?;
    let here = Address { host: "127.0.0.1".into(), port: opened.port() };
    Ok((here.in_place_of(connection), Some(opened)))
}

async fn open(tunnel: &SshTunnel, database: Address, root: &Path) -> Result<Tunnel> {
    let title = format!("`{}@{}:{}`", tunnel.username, tunnel.host, tunnel.port);
    let remote_host = tunnel.remote_host.clone().unwrap_or(database.host);
    let remote = Address { host: remote_host, port: tunnel.remote_port.unwrap_or(database.port) };
    let shared = Arc::new(Shared::default());
    let (session, listener) = tokio::time::timeout(PATIENCE, async {
        let session = log_in(tunnel, root, &title, &shared).await?;
        Ok::<_, Error>((session, listen(tunnel.local_port).await?))
    })
    .await
    .map_err(|_| Error::outside(format!("the SSH server {title} did not let us in within {} s", PATIENCE.as_secs())))??;
    let port = listener.local_addr().outside(|| "the port of a tunnel".into())?.port();
    tracing::debug!(server = %title, port, "SSH tunnel is open");
    let (end, ended) = oneshot::channel();
    let (door, closed) = watch::channel(false);
    tokio::spawn(serve(Arc::new(session), listener, remote, shared.clone(), title, closed, ended));
    Ok(Tunnel { port, shared, door, _end: end })
}

async fn log_in(tunnel: &SshTunnel, root: &Path, title: &str, shared: &Arc<Shared>) -> Result<Handle<Client>> {
    let host_keys = HostKeys::of(tunnel, root)?;
    let refused = Arc::default();
    let mut config = client::Config { keepalive_interval: Some(KEEPALIVE), keepalive_max: 3, nodelay: true, ..client::Config::default() };
    config.preferred.key = host_keys.algorithms().into();
    let unreachable = || format!("cannot reach the SSH server {title}");
    let stream = TcpStream::connect((tunnel.host.as_str(), tunnel.port)).await.outside(unreachable)?;
    // Small packets of a database must not wait for each other.
    stream.set_nodelay(true).outside(unreachable)?;
    let client = Client { host_keys, refused: Arc::clone(&refused), shared: Arc::clone(shared), title: title.to_owned() };
    let connected = client::connect_stream(Arc::new(config), stream, client).await;
    if let Some(error) = refused.lock().unwrap_or_else(PoisonError::into_inner).take() {
        return Err(error);
    }
    let mut session = connected.map_err(|error| {
        let hint = "does an SSH server answer there? `port` of `ssh_tunnel` is its port, not the database's";
        Error::outside(format!("cannot speak with the SSH server {title}")).because(error).hint(hint)
    })?;
    login::log_in(&mut session, tunnel, root, title).await?;
    Ok(session)
}

/// Listens for those of this machine that want to go through: at the port, or where it is taken, at another.
async fn listen(port: u16) -> Result<TcpListener> {
    let doing = || "cannot listen on a port of this machine for a tunnel".to_owned();
    if port == 0 {
        return TcpListener::bind(("127.0.0.1", 0)).await.outside(doing);
    }
    match TcpListener::bind(("127.0.0.1", port)).await {
        Ok(listener) => Ok(listener),
        Err(error) => {
            tracing::info!(port, %error, "the local port of the SSH tunnel cannot be had, another one is taken");
            TcpListener::bind(("127.0.0.1", 0)).await.outside(doing)
        }
    }
}

/// Leads connections through until the tunnel is dropped.
async fn serve(
    session: Arc<Handle<Client>>,
    listener: TcpListener,
    database: Address,
    shared: Arc<Shared>,
    title: String,
    mut closed: watch::Receiver<bool>,
    mut ended: oneshot::Receiver<()>,
) {
    let mut listener = Some(listener);
    loop {
        let accept = async {
            match &listener {
                Some(listener) => listener.accept().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // What comes is that the sender is gone.
            _ = &mut ended => break,
            Ok(()) = closed.changed() => listener = None,
            accepted = accept => {
                let Ok((socket, _)) = accepted else { continue };
                let (session, database, shared, title) = (Arc::clone(&session), database.clone(), Arc::clone(&shared), title.clone());
                tokio::spawn(async move {
                    if let Err(error) = lead(&session, socket, &database).await {
                        shared.note(format!("the SSH server {title} cannot reach `{}:{}`: {error}", database.host, database.port));
                    }
                });
            }
        }
    }
    let _ = session.disconnect(russh::Disconnect::ByApplication, "", "en").await;
}

/// Leads one connection through, until either side ends it.
async fn lead(session: &Handle<Client>, mut socket: TcpStream, database: &Address) -> Result<(), String> {
    let from = socket.peer_addr().map(|address| u32::from(address.port())).unwrap_or_default();
    let _ = socket.set_nodelay(true);
    let opened = session.channel_open_direct_tcpip(database.host.as_str(), database.port.into(), "127.0.0.1", from).await;
    let mut channel = match opened {
        Ok(channel) => channel.into_stream(),
        Err(russh::Error::ChannelOpenFailure(russh::ChannelOpenFailure::AdministrativelyProhibited)) => {
            return Err("it does not allow that (`AllowTcpForwarding`, `PermitOpen`)".into());
        }
        Err(russh::Error::ChannelOpenFailure(russh::ChannelOpenFailure::ConnectFailed)) => {
            return Err("nothing answers there".into());
        }
        Err(error) => return Err(error.to_string()),
    };
    // How a connection ends is told by those at its ends.
    let _ = tokio::io::copy_bidirectional_with_sizes(&mut socket, &mut channel, BUFFER_BYTES, BUFFER_BYTES).await;
    Ok(())
}

/// A file that a user names: `~/` is the user's folder, other relative paths start at `root`.
fn file(path: &str, root: &Path) -> PathBuf {
    match (path.strip_prefix("~/"), std::env::home_dir()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => root.join(path),
    }
}
