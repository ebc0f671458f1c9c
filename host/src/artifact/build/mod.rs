//! Makes components of what a contract directory holds as source: modules in Python and JavaScript, a Rust crate.
//!
//! Each module that the pipeline names becomes one component in `components/`, with all functions of the module in both modes. The lock
//! file keeps its digest and those of the files that it was made of: what has not changed is not built again.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Lock, Pin, PinKind, SourceFile, write_whole};
use crate::config::Pipeline;
use crate::config::component::{Component as Named, Digest};
use crate::config::transform::{Step, Target};
use crate::error::{Context, Error, Place, Result};
use crate::sandbox::Sandbox;

mod find;
mod javascript;
mod links;
mod python;
mod rust;
mod tool;

pub use find::MAX_SOURCE_BYTES;

/// Folder of a contract directory for the components that are built in it.
pub const FOLDER: &str = "components";

/// The contract, which the tools want to read.
const WIT: &str = include_str!("../../../../wit/transform.wit");

/// How a contract directory is built.
#[derive(Clone, Debug, Default)]
pub struct BuildOptions {
    /// Folders in which modules and their imports are looked for, behind the contract directory and the working directory.
    pub search: Vec<PathBuf>,
    /// Whether what is up to date is built again.
    pub force: bool,
}

/// A component after a build.
#[derive(Clone, Debug)]
pub struct Built {
    /// What the pipeline calls it.
    pub name: String,
    /// Where it is, relative to the contract directory.
    pub component: String,
    /// Digest of its bytes.
    pub digest: Digest,
    /// Its size in bytes.
    pub bytes: usize,
    /// The files that it was made of, relative to the contract directory.
    pub sources: Vec<PathBuf>,
    /// The tool that made it, with its version.
    pub tool: Option<String>,
    /// How long that took; `None` = it was up to date.
    pub took: Option<Duration>,
}

/// What a build is told of as it goes.
pub enum Progress<'a> {
    /// A component is being made with a tool, which takes some seconds.
    Building(&'a str),
}

/// A module that a pipeline uses.
struct Wanted {
    module: String,
    /// The functions used, each with where it is named.
    functions: Vec<(String, Place)>,
}

/// What a tool made of a module.
struct Made {
    wasm: Vec<u8>,
    /// The files that are in it, as they are found from here.
    sources: Vec<PathBuf>,
    /// The tool with its version.
    tool: String,
}

/// Builds what a pipeline uses as source.
///
/// # Errors
/// Config, for what is missing or does not compile; outside, for tools that are not there. Everything is tried, and every error is told.
pub fn build(
    root: &Path,
    pipeline: &Pipeline,
    options: &BuildOptions,
    sandbox: &Sandbox,
    progress: &dyn Fn(Progress<'_>),
) -> Result<Vec<Built>, Vec<Error>> {
    let (modules, paths) = wanted(pipeline);
    let mut lock = Lock::read(root).map_err(|error| vec![error])?.unwrap_or_default();
    let mut errors = Vec::new();
    let mut built = Vec::new();
    for wanted in &modules {
        match module(root, wanted, options, sandbox, &mut lock, progress) {
            Ok(module) => built.push(module),
            Err(error) => errors.push(error),
        }
    }
    if root.join("Cargo.toml").is_file() {
        match rust::build(root, &paths, &mut lock, sandbox, progress) {
            Ok(components) => built.extend(components),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(built) } else { Err(errors) }
}

/// Looks whether the modules that a pipeline names are there: as source, or as components that were built of them.
///
/// # Errors
/// Config, for each that is not.
pub fn check(root: &Path, pipeline: &Pipeline) -> Vec<Error> {
    let lock = Lock::read(root).ok().flatten().unwrap_or_default();
    let is_built = |module: &str| lock.find(PinKind::Module, module).is_some_and(|pin| root.join(&pin.component).is_file());
    let (modules, _) = wanted(pipeline);
    let missing = modules.iter().filter(|wanted| !is_built(&wanted.module));
    missing.filter_map(|wanted| Some(find::module(root, &wanted.module, &[]).err()?.at(wanted.functions[0].1.clone()))).collect()
}

/// The modules and the component files that a pipeline uses, each once.
fn wanted(pipeline: &Pipeline) -> (Vec<Wanted>, Vec<(String, Place)>) {
    let mut modules: Vec<Wanted> = Vec::new();
    let mut paths: Vec<(String, Place)> = Vec::new();
    for placed in pipeline.steps() {
        let Step::Custom(custom) = &placed.step else { continue };
        match &custom.target {
            Target::Module { module, function } => {
                let used = (function.clone(), placed.place.clone());
                match modules.iter_mut().find(|known| known.module == *module) {
                    Some(known) => known.functions.push(used),
                    None => modules.push(Wanted { module: module.clone(), functions: vec![used] }),
                }
            }
            Target::Component { component: Named::File(path), .. } if !paths.iter().any(|(known, _)| known == path) => {
                paths.push((path.clone(), placed.place.clone()));
            }
            Target::Component { .. } => {}
        }
    }
    (modules, paths)
}

/// Builds one module, unless it is up to date.
fn module(
    root: &Path,
    wanted: &Wanted,
    options: &BuildOptions,
    sandbox: &Sandbox,
    lock: &mut Lock,
    progress: &dyn Fn(Progress<'_>),
) -> Result<Built> {
    let place = &wanted.functions[0].1;
    let found = find::module(root, &wanted.module, &options.search).map_err(|error| error.at(place.clone()))?;
    let glue = match found.language {
        find::Language::Python => python::glue(),
        find::Language::JavaScript => javascript::glue(),
    };
    if !options.force
        && let Some(pin) = lock.find(PinKind::Module, &wanted.module).filter(|pin| is_current(pin, root, &found, &glue))
        && let Ok(wasm) = std::fs::read(root.join(&pin.component))
        && Digest::of(&wasm) == pin.digest
        && offers(sandbox, &wasm, wanted).is_ok()
    {
        return Ok(told(pin, wasm.len(), None));
    }
    let started = std::time::Instant::now();
    progress(Progress::Building(&wanted.module));
    let made = match found.language {
        find::Language::Python => python::compile(root, &found, &wanted.module, &wanted.functions, &options.search),
        find::Language::JavaScript => javascript::compile(root, &found, &wanted.module),
    };
    let Made { wasm, sources, tool } = made.map_err(|error| if error.place().is_some() { error } else { error.at(place.clone()) })?;
    offers(sandbox, &wasm, wanted)?;
    let component = format!("{FOLDER}/{}.wasm", wanted.module.replace(['/', '\\'], "."));
    let folder = root.join(FOLDER);
    std::fs::create_dir_all(&folder).outside(|| format!("making the folder `{}`", folder.display()))?;
    write_whole(&root.join(&component), &wasm, 0o644)?;
    let pin = Pin {
        name: wanted.module.clone(),
        kind: PinKind::Module,
        component,
        digest: Digest::of(&wasm),
        built_from: source_files(root, sources)?,
        tool: Some(format!("{tool}, {glue}")),
    };
    lock.upsert(pin.clone());
    lock.write(root)?;
    Ok(told(&pin, wasm.len(), Some(started.elapsed())))
}

/// Holds a component to the functions that the pipeline names in it; compiles it, so that the first run need not.
fn offers(sandbox: &Sandbox, wasm: &[u8], wanted: &Wanted) -> Result<()> {
    let Wanted { module, functions } = wanted;
    let component = sandbox.load(wasm, module).map_err(|error| error.at(functions[0].1.clone()))?;
    for (function, place) in functions {
        component.function(Some(function)).map_err(|error| error.while_doing(format!("module `{module}`")).at(place.clone()))?;
    }
    Ok(())
}

/// Whether nothing has changed since a component was built: the same module, the same glue, the same sources.
fn is_current(pin: &Pin, root: &Path, found: &find::Found, glue: &str) -> bool {
    pin.tool.as_ref().is_some_and(|tool| tool.ends_with(glue))
        && pin.built_from.iter().any(|source| source.path == find::relative(root, &found.path))
        && pin.built_from.iter().all(|source| find::read(&root.join(&source.path)).is_ok_and(|bytes| Digest::of(&bytes) == source.digest))
}

/// Sources as they stand in the lock file: relative to the contract directory, sorted, with their digests.
fn source_files(root: &Path, sources: Vec<PathBuf>) -> Result<Vec<SourceFile>> {
    let mut files = Vec::with_capacity(sources.len());
    for source in sources {
        files.push(SourceFile { path: find::relative(root, &source), digest: Digest::of(&find::read(&source)?) });
    }
    files.sort_by(|one, two| one.path.cmp(&two.path));
    files.dedup_by(|one, two| one.path == two.path);
    Ok(files)
}

fn told(pin: &Pin, bytes: usize, took: Option<Duration>) -> Built {
    Built {
        name: pin.name.clone(),
        component: pin.component.clone(),
        digest: pin.digest.clone(),
        bytes,
        sources: pin.built_from.iter().map(|source| source.path.clone()).collect(),
        tool: pin.tool.as_ref().map(|tool| tool.split(", glue").next().unwrap_or_default().to_owned()),
        took,
    }
}

/// Names what stands between a language and the contract by the digest of its text.
fn glue_of(texts: &[&str]) -> String {
    format!("glue {}", &Digest::of(texts.concat().as_bytes()).hex()[..12])
}
