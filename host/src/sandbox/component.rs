//! A component: its digest, its world, what it offers and what it would reach.

use std::sync::Arc;

use serde::Serialize;
use wasmtime::Engine;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component as Code, Linker};

use super::access::Access;
use super::bindings::columnar::{Transform, TransformPre};
use super::bindings::records::{TransformRecords, TransformRecordsPre};
use super::bindings::types;
use super::failure::Failure;
use super::imports;
use super::instance::{call, new_store};
use super::state::{HasState, State, clip};
use crate::error::{Context, Error, Result};
use crate::plan::Limits;

/// The contract's package, and the versions of it that this host speaks.
pub const CONTRACT: &str = "etl:transform";
/// Versions of the contract that this host speaks.
pub const VERSIONS: [&str; 1] = ["1.0.0"];

/// A component that is ready to be opened.
pub struct Component {
    engine: Engine,
    pub(super) program: Program,
    /// What it is and offers.
    pub description: Description,
}

/// A component linked to one of the two worlds.
pub(super) enum Program {
    Columns(TransformPre<State>),
    Records(TransformRecordsPre<State>),
}

/// What can be told of a component.
#[derive(Clone, Debug, Serialize)]
pub struct Description {
    /// SHA-256 of its bytes, in hex.
    pub digest: String,
    /// Its size in bytes.
    pub bytes: usize,
    /// The world it is made for.
    pub world: World,
    /// The version of the contract it is made for.
    pub contract: String,
    /// Its own name.
    pub name: String,
    /// Its own version.
    pub version: String,
    /// The functions it offers.
    pub functions: Vec<Function>,
    /// The interfaces it imports, sorted.
    pub imports: Vec<String>,
}

/// The worlds of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum World {
    /// Rows by column.
    Transform,
    /// Rows as JSON lines.
    TransformRecords,
}

/// A function that a component offers.
#[derive(Clone, Debug, Serialize)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// One line.
    pub summary: String,
    /// JSON Schema of its options; empty where it gives none.
    pub options_schema: String,
    /// What it remembers.
    pub state: Scope,
}

/// What a function remembers from one batch to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// Nothing, and rows stand alone.
    Stateless,
    /// Nothing, but the rows of a batch are seen together.
    BatchLocal,
    /// It remembers.
    Stream,
}

/// What is linked to components: one linker for each world.
pub(super) struct Linkers {
    columns: Linker<State>,
    records: Linker<State>,
}

impl Linkers {
    pub(super) fn new(engine: &Engine) -> Result<Self> {
        let mut columns = Linker::new(engine);
        let mut records = Linker::new(engine);
        for linker in [&mut columns, &mut records] {
            wasmtime_wasi::p2::add_to_linker_async(linker).bug(|| "linking WASI".into())?;
            super::http::link(linker).bug(|| "linking HTTP".into())?;
        }
        Transform::add_to_linker::<_, HasState>(&mut columns, |state| state).bug(|| "linking the contract".into())?;
        TransformRecords::add_to_linker::<_, HasState>(&mut records, |state| state).bug(|| "linking the contract".into())?;
        Ok(Self { columns, records })
    }
}

impl Component {
    /// Links compiled code and asks the component what it offers. `name` is what the user calls it.
    pub(super) fn link(
        engine: &Engine,
        linkers: &Linkers,
        code: &Code,
        digest: String,
        bytes: usize,
        name: &str,
        handle: &tokio::runtime::Handle,
    ) -> Result<Self> {
        let (world, contract) = find_world(engine, code, name)?;
        let mut imported: Vec<String> = code.component_type().imports(engine).map(|(import, _)| import.to_owned()).collect();
        imported.sort();
        let ungranted = || {
            imported.iter().filter(|import| !imports::is_known(import)).map(|import| format!("`{import}`")).collect::<Vec<_>>().join(", ")
        };
        let unlinkable = |error: wasmtime::Error| {
            let list = ungranted();
            if list.is_empty() {
                Error::config(format!("component `{name}` does not fit world `{}` of {CONTRACT}@{contract}", world.name())).because(error)
            } else {
                Error::config(format!("component `{name}` imports {list}, which this host has not")).hint(
                    "a transform may import `etl:transform`, the WASI 0.2 basics and, where it is granted, `wasi:http/outgoing-handler`",
                )
            }
        };
        let program = match world {
            World::Transform => Program::Columns(linkers.columns.instantiate_pre(code).and_then(TransformPre::new).map_err(unlinkable)?),
            World::TransformRecords => {
                Program::Records(linkers.records.instantiate_pre(code).and_then(TransformRecordsPre::new).map_err(unlinkable)?)
            }
        };
        let description = Description {
            digest,
            bytes,
            world,
            contract,
            name: String::new(),
            version: String::new(),
            functions: Vec::new(),
            imports: imported,
        };
        let mut component = Self { engine: engine.clone(), program, description };
        component.describe(handle).map_err(|failure| {
            // No user can raise these limits, and no row is to blame.
            Failure { help: None, ..failure }.into_error(format!("component `{name}` failed to describe itself"))
        })?;
        if component.description.functions.is_empty() {
            return Err(Error::guest(format!("component `{name}` offers no function")));
        }
        Ok(component)
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Finds a function by name, or the only one where none is named.
    ///
    /// # Errors
    /// Config, listing the right names.
    pub fn function(&self, name: Option<&str>) -> Result<&Function> {
        let functions = &self.description.functions;
        // A module offers each function once more as `name@record`; it is the mode that chooses between them.
        let names = || functions.iter().map(|function| function.name.as_str()).filter(|name| !name.contains('@'));
        let list = || names().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        match name {
            Some(name) => functions.iter().find(|function| function.name == name).ok_or_else(|| {
                let name = name.split('@').next().unwrap_or(name);
                let error = Error::config(format!("the component has no function `{name}`; it has {}", list()));
                match crate::error::did_you_mean(name, names()) {
                    Some(near) => error.hint(format!("did you mean `{near}`?")),
                    None => error,
                }
            }),
            None if functions.len() == 1 => Ok(&functions[0]),
            None => Err(Error::config(format!("the component has several functions: {}", list())).hint("name one with `function: …`")),
        }
    }

    fn describe(&mut self, handle: &tokio::runtime::Handle) -> Result<(), Failure> {
        let limits = Limits::default();
        let mut store = new_store(self, &Access::default(), &limits, &Arc::from("describe"), 0, 0);
        let fuel = limits.fuel(1000);
        let program = &self.program;
        let descriptor = call(&mut store, handle, &limits, fuel, async |store| match program {
            Program::Columns(program) => {
                let guest = program.instantiate_async(&mut *store).await?;
                guest.etl_transform_stage().call_describe(store).await
            }
            Program::Records(program) => {
                let guest = program.instantiate_async(&mut *store).await?;
                guest.etl_transform_record_stage().call_describe(store).await
            }
        })?;
        self.description.name = clip(descriptor.name, 255);
        self.description.version = clip(descriptor.version, 255);
        self.description.functions = descriptor
            .functions
            .into_iter()
            .take(1000)
            .map(|function| Function {
                name: clip(function.name, 255),
                summary: clip(function.summary, 1024),
                options_schema: clip(function.options_schema, 1 << 20),
                state: match function.state {
                    types::StateScope::Stateless => Scope::Stateless,
                    types::StateScope::BatchLocal => Scope::BatchLocal,
                    types::StateScope::Stream => Scope::Stream,
                },
            })
            .collect();
        Ok(())
    }
}

impl World {
    /// Its name in the contract.
    pub fn name(self) -> &'static str {
        match self {
            Self::Transform => "transform",
            Self::TransformRecords => "transform-records",
        }
    }
}

/// Finds out which world and version a component is made for, by what it exports.
fn find_world(engine: &Engine, code: &Code, name: &str) -> Result<(World, String)> {
    let mut exports = Vec::new();
    for (export, item) in code.component_type().exports(engine) {
        if matches!(item.ty, ComponentItem::ComponentInstance(_))
            && let Some((interface, version)) =
                export.strip_prefix(CONTRACT).and_then(|rest| rest.strip_prefix('/')).and_then(|rest| rest.split_once('@'))
        {
            let world = match interface {
                "stage" => World::Transform,
                "record-stage" => World::TransformRecords,
                _ => continue,
            };
            if VERSIONS.contains(&version) {
                return Ok((world, version.to_owned()));
            }
            return Err(Error::config(format!(
                "component `{name}` is made for {CONTRACT}@{version}, this host speaks {}",
                VERSIONS.join(", ")
            ))
            .hint("build it against the host's `wit/`, or run it on a host that speaks its version"));
        }
        exports.push(format!("`{export}`"));
    }
    exports.truncate(8);
    let has = if exports.is_empty() { "nothing".to_owned() } else { exports.join(", ") };
    Err(Error::config(format!("component `{name}` is no transform: it exports {has}"))
        .hint(format!("a transform exports `{CONTRACT}/stage@{0}` or `{CONTRACT}/record-stage@{0}`", VERSIONS[0])))
}
