//! The other ends of a run that are not on this machine's disk: how they are reached, by sources, sinks and the host's own tables alike.

mod address;
mod allowed;
pub mod contract;
pub mod database;
mod delay;
#[cfg(feature = "odbc")]
pub mod odbc;
mod options;
pub mod store;
pub mod tunnel;
mod wait;

pub use address::Address;
pub use allowed::check_allowed;
pub use tunnel::Tunnel;
pub use wait::{settle, spawn, wait, wait_unless};
