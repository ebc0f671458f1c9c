//! Where guests run: the only user of wasmtime.
//!
//! A [`Sandbox`] is one engine for the life of the process. It loads a [`Component`] once; a [`Recipe`] opens an
//! [`Instance`] of it as often as need be, each with its own memory, limits and nothing else.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use sha2::{Digest, Sha256};
use tokio::runtime::Handle;

pub mod imports;

mod access;
mod bindings;
mod builtin;
mod cache;
mod component;
mod engine;
mod failure;
mod http;
mod instance;
mod ipc;
mod limits;
mod output;
mod processed;
mod state;
mod wasi;

pub use crate::network::{AllowedHost, Network, PrivateHost};
pub use access::Access;
pub use bindings::types::Cardinality;
pub use builtin::{AGGREGATE, JSONATA, OPS, VALIDATE};
pub use cache::{MAX_COMPONENT_BYTES, check_component, compile_component};
pub use component::{CONTRACT, Component, Description, Function, Scope, VERSIONS, World};
pub use engine::FUEL_SCHEDULE;
pub use failure::{Failure, FailureKind, amount};
pub use instance::{Instance, Plan, Recipe, Used};
pub use processed::{Processed, RejectedRow, Rows};

use crate::config::component::hex;
use crate::error::{Context, Error, Result};
use crate::plan::Grants;

/// How a sandbox is set up.
#[derive(Clone, Debug)]
pub struct Options {
    /// Folder for compiled components; `None` = they are compiled for each process.
    pub cache: Option<PathBuf>,
    /// The `etl-host` program, which compiles in a process of its own; `None` = in this process.
    pub compiler: Option<PathBuf>,
    /// Whether fuel is counted. Off only to measure what that costs.
    pub metered: bool,
    /// What the operator allows on the network, for guests that were granted it.
    pub network: Network,
}

impl Default for Options {
    fn default() -> Self {
        Self { cache: None, compiler: None, metered: true, network: Network::default() }
    }
}

/// One engine, and the components it has loaded.
pub struct Sandbox {
    engine: wasmtime::Engine,
    linkers: component::Linkers,
    cache: cache::Cache,
    handle: Handle,
    network: Network,
    loaded: Mutex<HashMap<String, Arc<Component>>>,
}

impl Sandbox {
    /// Opens a sandbox; `handle` drives the time-outs of calls, which block the threads that make them.
    ///
    /// # Errors
    /// Bug, where the engine cannot be set up.
    pub fn open(options: Options, handle: Handle) -> Result<Self> {
        let Options { cache, compiler, metered, network } = options;
        let engine = engine::open(metered)?;
        let linkers = component::Linkers::new(&engine)?;
        Ok(Self { engine, linkers, cache: cache::Cache::open(cache, compiler), handle, network, loaded: Mutex::default() })
    }

    /// Loads a component from its bytes; `name` is what the user calls it. The same bytes are loaded once.
    ///
    /// # Errors
    /// Config, where it is no component, does not compile, or is made for another world or version; guest, where it fails to describe itself.
    pub fn load(&self, wasm: &[u8], name: &str) -> Result<Arc<Component>> {
        let digest = hex(&Sha256::digest(wasm));
        let known = self.loaded.lock().expect("no code that holds this lock panics").get(&digest).cloned();
        if let Some(component) = known {
            return Ok(component);
        }
        let code = self.cache.load(&self.engine, wasm, &digest, name)?;
        let component = Component::link(&self.engine, &self.linkers, &code, digest.clone(), wasm.len(), name, &self.handle)?;
        let component = Arc::new(component);
        self.loaded.lock().expect("no code that holds this lock panics").insert(digest, component.clone());
        Ok(component)
    }

    /// Loads a component from a file.
    ///
    /// # Errors
    /// Outside, where the file cannot be read; else as [`Sandbox::load`].
    pub fn load_file(&self, path: &Path) -> Result<Arc<Component>> {
        let metadata = std::fs::metadata(path).outside(|| format!("opening component `{}`", path.display()))?;
        if metadata.len() > cache::MAX_COMPONENT_BYTES as u64 {
            return Err(Error::config(format!(
                "component `{}` is {} bytes, the limit is {}",
                path.display(),
                metadata.len(),
                cache::MAX_COMPONENT_BYTES
            )));
        }
        let wasm = std::fs::read(path).outside(|| format!("reading component `{}`", path.display()))?;
        self.load(&wasm, &path.display().to_string())
    }

    /// Makes ready what a stage was granted, for all of its instances.
    ///
    /// # Errors
    /// Outside, where HTTP is granted and no certificates are found to check servers by.
    pub fn access(&self, grants: &Grants) -> Result<Arc<Access>> {
        Access::new(grants, &self.network)
    }

    /// What drives the calls' time-outs.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }
}
