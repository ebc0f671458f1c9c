//! Builds the Rust crate of a contract directory, and puts its components where the pipeline names them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::Value;

use super::super::path_name;
use super::{Built, Progress, find, source_files, told, tool};
use crate::artifact::{Lock, Pin, PinKind, write_whole};
use crate::config::component::Digest;
use crate::error::{Context, Error, Place, Result};
use crate::sandbox::Sandbox;

const TARGET: &str = "wasm32-wasip2";

const RUSTUP: &str = "install Rust with rustup, https://rustup.rs";

/// Runs cargo, which builds only what has changed, and copies each component whose file name the pipeline uses.
pub(super) fn build(
    root: &Path,
    paths: &[(String, Place)],
    lock: &mut Lock,
    sandbox: &Sandbox,
    progress: &dyn Fn(Progress<'_>),
) -> Result<Vec<Built>> {
    add_target()?;
    let started = Instant::now();
    progress(Progress::Building("Cargo.toml"));
    let mut cargo = Command::new("cargo");
    cargo.current_dir(root).args(["build", "--release", "--target", TARGET, "--message-format=json-render-diagnostics"]);
    let output = cargo.stdin(Stdio::null()).stderr(Stdio::inherit()).output().outside(|| "starting `cargo`".into())?;
    if !output.status.success() {
        return Err(
            Error::config(format!("cargo does not build `{}`", root.join("Cargo.toml").display())).hint("the compiler's words are above")
        );
    }
    let version = tool::run(Command::new("rustc").arg("--version"), "rustc")?.stdout.trim().to_owned();
    let artefacts = artefacts(&String::from_utf8_lossy(&output.stdout));
    let mut built = Vec::new();
    for (artefact, fresh) in artefacts {
        let stem = artefact.file_stem();
        let Some((path, place)) = paths.iter().find(|(path, _)| Path::new(path).file_stem() == stem) else { continue };
        let name = path_name(Path::new(path), Path::new(""));
        let wasm = std::fs::read(&artefact).outside(|| format!("reading `{}`", artefact.display()))?;
        sandbox.load(&wasm, &name).map_err(|error| error.at(place.clone()))?;
        let digest = Digest::of(&wasm);
        let goal = root.join(&name);
        let as_it_was = std::fs::read(&goal).is_ok_and(|bytes| bytes == wasm);
        if !as_it_was {
            let folder = goal.parent().unwrap_or(root);
            std::fs::create_dir_all(folder).outside(|| format!("making the folder `{}`", folder.display()))?;
            write_whole(&goal, &wasm, 0o644)?;
        }
        let pin = Pin {
            name: name.clone(),
            kind: PinKind::Path,
            component: name,
            digest,
            built_from: source_files(root, sources(root, &artefact))?,
            tool: Some(version.clone()),
        };
        lock.upsert(pin.clone());
        built.push(told(&pin, wasm.len(), (!fresh || !as_it_was).then(|| started.elapsed())));
    }
    if built.is_empty() {
        let crate_names = "a component is called as its crate, with `_` for `-`, and its crate has `crate-type = [\"cdylib\"]`";
        return Err(Error::config(format!(
            "cargo built `{}`, and no component that the pipeline names came of it",
            root.join("Cargo.toml").display()
        ))
        .hint(crate_names));
    }
    lock.write(root)?;
    Ok(built)
}

/// The `.wasm` files that cargo tells of, each with whether it was up to date.
fn artefacts(messages: &str) -> Vec<(PathBuf, bool)> {
    let mut found = Vec::new();
    for message in messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        if message["reason"] == "compiler-artifact" {
            let files = message["filenames"].as_array().into_iter().flatten().filter_map(Value::as_str);
            found.extend(files.filter(|file| file.ends_with(".wasm")).map(|file| (PathBuf::from(file), message["fresh"] == true)));
        }
    }
    found
}

/// The files that an artefact was made of: those that rustc notes beside it, and the crate's manifest and lock.
fn sources(root: &Path, artefact: &Path) -> Vec<PathBuf> {
    let noted = std::fs::read_to_string(artefact.with_extension("d")).unwrap_or_default();
    let listed = noted.lines().next().and_then(|line| line.split_once(": ")).map_or("", |(_, files)| files);
    // A blank within a path is `\ `.
    let files = listed.replace("\\ ", "\0").split_whitespace().map(|file| PathBuf::from(file.replace('\0', " "))).collect::<Vec<_>>();
    let root = find::absolute(root);
    let manifests = ["Cargo.toml", "Cargo.lock"].map(|name| root.join(name));
    // A dependency outside the contract directory is cargo's to watch.
    let mut sources: Vec<PathBuf> = files.into_iter().chain(manifests).filter(|file| file.starts_with(&root) && file.is_file()).collect();
    sources.sort();
    sources.dedup();
    sources
}

/// Adds the wasm target where it is missing.
fn add_target() -> Result<()> {
    let libdir = Command::new("rustc").args(["--print", "target-libdir", "--target", TARGET]).stdin(Stdio::null()).output();
    let libdir = libdir.map_err(|error| Error::outside("`rustc` does not start").because(error).hint(RUSTUP))?;
    if libdir.status.success() && Path::new(String::from_utf8_lossy(&libdir.stdout).trim()).is_dir() {
        return Ok(());
    }
    let added = Command::new("rustup").args(["target", "add", TARGET]).stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    match added {
        Ok(output) if output.status.success() => Ok(()),
        _ => Err(Error::outside(format!("the target {TARGET} is not installed, and rustup could not add it"))
            .hint(format!("run `rustup target add {TARGET}`; without rustup, {RUSTUP}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::artefacts;

    #[test]
    fn components_are_found_among_what_cargo_tells() {
        let messages = r#"{"reason":"compiler-artifact","filenames":["/t/libserde.rlib"],"fresh":true}
            {"reason":"compiler-artifact","filenames":["/t/libx.rlib","/t/x.wasm"],"fresh":false}
            {"reason":"build-finished","success":true}"#;
        assert_eq!(artefacts(messages), [("/t/x.wasm".into(), false)]);
    }
}
