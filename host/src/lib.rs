//! etl-host runs extract, transform, load pipelines; every transform is a sandboxed WebAssembly component.
//!
//! The paragraphs of modules below are layers: a module may use those above it, never those below or beside it
//! (a test holds every `use` to that).

pub mod error;

mod crash;

pub mod batch;

pub mod json;
pub mod report;

mod encoding;
mod exact;
mod join;
mod moment;

pub mod config;

pub mod plan;

pub mod network;

pub mod sandbox;

pub mod remote;

pub mod state;

pub mod artifact;
pub mod sink;
pub mod source;
pub mod stage;

pub mod run;

pub mod pipeline;

pub mod cli;

// Databases that the lists of promises of sources and of sinks are held against.
#[cfg(test)]
#[path = "../../tests/it/database_sink/place.rs"]
mod place;
#[cfg(test)]
#[path = "../../tests/it/servers/mod.rs"]
#[expect(dead_code, reason = "tests through the front door need more of them")]
mod servers;
