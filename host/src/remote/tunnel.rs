//! SSH tunnels to databases.

use std::path::Path;

use crate::config::database::{Connection, SshTunnel};
use crate::error::{Error, Result};

/// A tunnel, which ends when this is dropped.
#[derive(Debug)]
pub struct Tunnel {}

impl Tunnel {
    /// Why it no longer holds, where it broke.
    pub fn fault(&self) -> Option<String> {
        None
    }
}

/// The connection through a tunnel: its host and port are then those of the tunnel's end on this machine. One that is not enabled is none.
///
/// # Errors
/// Config or outside.
pub async fn through(connection: &Connection, tunnel: Option<&SshTunnel>, root: &Path) -> Result<(Connection, Option<Tunnel>)> {
    let _ = root;
    match tunnel.filter(|tunnel| tunnel.enabled) {
        None => Ok((connection.clone(), None)),
        Some(_) => Err(Error::config("`ssh_tunnel` comes in a moment")),
    }
}
