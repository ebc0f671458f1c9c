//! Compiled components on disk, by digest: a pipeline whose components are cached compiles nothing.

use std::hash::{Hash, Hasher};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component as Code;

use super::engine::FUEL_SCHEDULE;
use crate::config::component::hex;
use crate::error::{Context, Error, Result};

/// Largest component that is taken.
pub const MAX_COMPONENT_BYTES: usize = 64 << 20;

/// Time that compiling one may take by the clock, which on a busy machine runs ahead of the work.
const COMPILE_TIME: Duration = Duration::from_secs(600);

/// Processor time that compiling one may take, all threads together. An interpreter of 20 MB takes 12 s.
const COMPILE_CPU_SECONDS: u64 = 120;

/// Bytes that compiling one may hold.
const COMPILE_BYTES: u64 = 4 << 30;

/// Bytes of what a failed compiler says that are shown.
const COMPILER_WORDS: u64 = 8 << 10;

/// Where compiled components are kept, and who compiles.
pub(super) struct Cache {
    /// A folder that only we can write; `None` where there is none, and everything is compiled anew.
    folder: Option<PathBuf>,
    /// The program whose hidden command compiles in a process of its own; `None` = in this process.
    compiler: Option<PathBuf>,
}

impl Cache {
    /// Opens the cache; a folder that others can write is not trusted.
    pub(super) fn open(folder: Option<PathBuf>, compiler: Option<PathBuf>) -> Self {
        let folder = folder.and_then(|folder| match private_folder(&folder) {
            Ok(()) => Some(folder),
            Err(error) => {
                tracing::warn!(folder = %folder.display(), %error, "components are compiled for each run, the cache cannot be used");
                None
            }
        });
        Self { folder, compiler }
    }

    /// Loads compiled code, compiling it where it is not there.
    pub(super) fn load(&self, engine: &Engine, wasm: &[u8], digest: &str, name: &str) -> Result<Code> {
        check_component(wasm, name)?;
        let Some(folder) = &self.folder else { return compile_here(engine, wasm, name) };
        let file = folder.join(format!("{}.cwasm", key(engine, digest)));
        if file.exists() {
            // SAFETY: the folder is ours and only we can write it; the key holds the engine's settings and version.
            match unsafe { Code::deserialize_file(engine, &file) } {
                Ok(code) => return Ok(code),
                Err(error) => tracing::warn!(file = %file.display(), %error, "compiling again, the cached component cannot be read"),
            }
        }
        let started = Instant::now();
        let Some(compiler) = &self.compiler else {
            let code = compile_here(engine, wasm, name)?;
            let store = || -> Result<()> { write_whole(folder, &file, &code.serialize().bug(|| "serialising a component".into())?) };
            if let Err(error) = store() {
                tracing::warn!(%error, "the compiled component could not be kept");
            }
            return Ok(code);
        };
        let compiled = compile_in_child(compiler, folder, wasm, name)?;
        compiled
            .persist(&file)
            .map_err(|error| error.error)
            .outside(|| format!("keeping a compiled component in `{}`", folder.display()))?;
        tracing::info!(
            component = name,
            digest = &digest[..12],
            seconds = started.elapsed().as_secs_f64(),
            "compiled, kept for the next run"
        );
        // SAFETY: as above; our own child wrote it just now.
        unsafe { Code::deserialize_file(engine, &file) }.bug(|| format!("loading the compiled component `{name}`"))
    }
}

/// Refuses what is no component before a compiler sees it. `name` is what the user calls it.
///
/// # Errors
/// Config, where it is something else or too large.
pub fn check_component(wasm: &[u8], name: &str) -> Result<()> {
    if wasm.len() > MAX_COMPONENT_BYTES {
        return Err(Error::config(format!("component `{name}` is {} bytes, the limit is {MAX_COMPONENT_BYTES}", wasm.len())));
    }
    if wasmparser::Parser::is_component(wasm) {
        return Ok(());
    }
    let error = if wasmparser::Parser::is_core_wasm(wasm) {
        Error::config(format!("`{name}` is a core WebAssembly module, not a component"))
    } else if wasm.starts_with(b"\x7fELF") && Engine::detect_precompiled(wasm).is_some() {
        Error::config(format!("`{name}` is precompiled machine code, which is never loaded from outside"))
    } else {
        Error::config(format!("`{name}` is not WebAssembly"))
    };
    Err(error.hint("build it with `cargo build --release --target wasm32-wasip2`, which gives a component"))
}

/// The name under which compiled code is kept: it holds all that must agree.
fn key(engine: &Engine, digest: &str) -> String {
    struct Digester(Sha256);
    impl Hasher for Digester {
        fn finish(&self) -> u64 {
            0
        }
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }
    }
    let mut hasher = Digester(Sha256::new());
    digest.hash(&mut hasher);
    FUEL_SCHEDULE.hash(&mut hasher);
    env!("CARGO_PKG_VERSION").hash(&mut hasher);
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hex(&hasher.0.finalize())
}

/// Makes a folder that only we can write, or holds an existing one to that.
fn private_folder(folder: &Path) -> Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .outside(|| format!("making the folder `{}`", folder.display()))?;
    let metadata = std::fs::metadata(folder).outside(|| format!("looking at the folder `{}`", folder.display()))?;
    if metadata.uid() != rustix::process::geteuid().as_raw() || metadata.mode() & 0o022 != 0 {
        return Err(Error::config(format!("`{}` belongs to somebody else or others can write it", folder.display())));
    }
    Ok(())
}

fn compile_here(engine: &Engine, wasm: &[u8], name: &str) -> Result<Code> {
    Code::from_binary(engine, wasm).map_err(|error| does_not_compile(name).because(error))
}

fn does_not_compile(name: &str) -> Error {
    Error::config(format!("component `{name}` does not compile"))
}

/// Compiles in a process of its own, with limits: a hostile module costs that process.
fn compile_in_child(compiler: &Path, folder: &Path, wasm: &[u8], name: &str) -> Result<tempfile::NamedTempFile> {
    let output = tempfile::NamedTempFile::new_in(folder).outside(|| format!("writing in `{}`", folder.display()))?;
    let mut child = Command::new(compiler)
        .arg("compile-component")
        .arg(output.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .outside(|| format!("starting `{}` to compile a component", compiler.display()))?;
    let mut stdin = child.stdin.take().expect("its input is a pipe");
    let wasm = wasm.to_owned();
    // A child that dies early closes the pipe; its own words say why.
    let feeder = std::thread::spawn(move || drop(stdin.write_all(&wasm)));
    let stderr = child.stderr.take().expect("its words come through a pipe");
    let listener = std::thread::spawn(move || listen(stderr));
    let deadline = Instant::now() + COMPILE_TIME;
    let status = loop {
        if let Some(status) = child.try_wait().outside(|| "waiting for the compiler".into())? {
            break Some(status);
        }
        if Instant::now() > deadline {
            child.kill().and_then(|()| child.wait()).outside(|| "stopping the compiler".into())?;
            break None;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    feeder.join().expect("writing to a pipe does not panic");
    let words = listener.join().expect("reading from a pipe does not panic");
    match status {
        Some(status) if status.success() => Ok(output),
        Some(status) => {
            let words = words.trim();
            let cause =
                if words.is_empty() { format!("the compiler ended with {status}: out of memory or time") } else { words.to_owned() };
            Err(does_not_compile(name).because(anyhow::Error::msg(cause)))
        }
        None => Err(Error::config(format!("component `{name}` takes longer than {} s to compile", COMPILE_TIME.as_secs()))
            .hint("it is very large or made to be slow; a transform compiles in seconds")),
    }
}

/// Reads all that a compiler says, so that it never waits for us, and keeps the beginning.
fn listen(mut words: impl Read) -> String {
    let mut kept = Vec::new();
    words.by_ref().take(COMPILER_WORDS).read_to_end(&mut kept).ok();
    std::io::copy(&mut words, &mut std::io::sink()).ok();
    String::from_utf8_lossy(&kept).into_owned()
}

/// Compiles what comes on stdin into a file: the other end of the hidden command `compile-component`.
///
/// # Errors
/// Config, where it does not compile.
pub fn compile_component(output: &Path) -> Result<()> {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let cap = |limit: u64| Rlimit { current: Some(limit), maximum: Some(limit) };
    setrlimit(Resource::Data, cap(COMPILE_BYTES)).outside(|| "limiting memory".into())?;
    setrlimit(Resource::Cpu, cap(COMPILE_CPU_SECONDS)).outside(|| "limiting time".into())?;
    let mut wasm = Vec::new();
    std::io::stdin().lock().take(MAX_COMPONENT_BYTES as u64 + 1).read_to_end(&mut wasm).outside(|| "reading stdin".into())?;
    check_component(&wasm, "stdin")?;
    let engine = super::engine::open(true)?;
    let code = engine.precompile_component(&wasm).map_err(|error| does_not_compile("stdin").because(error))?;
    std::fs::write(output, code).outside(|| format!("writing `{}`", output.display()))
}

fn write_whole(folder: &Path, file: &Path, bytes: &[u8]) -> Result<()> {
    let mut temporary = tempfile::NamedTempFile::new_in(folder).outside(|| format!("writing in `{}`", folder.display()))?;
    temporary.write_all(bytes).outside(|| format!("writing in `{}`", folder.display()))?;
    temporary.persist(file).map_err(|error| error.error).outside(|| format!("writing `{}`", file.display()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::compile_in_child;

    #[test]
    fn a_compiler_that_talks_much_is_heard_out_and_quoted_in_brief() {
        let folder = tempfile::tempdir().expect("a folder");
        let compiler = folder.path().join("talker");
        // More than a pipe holds: a child whose words nobody reads would wait for ever.
        std::fs::write(&compiler, "#!/bin/sh\ncat >/dev/null\nyes no | head -c 1000000 >&2\nexit 1\n").expect("a script");
        std::fs::set_permissions(&compiler, std::fs::Permissions::from_mode(0o700)).expect("it is ours");
        let error = compile_in_child(&compiler, folder.path(), b"", "it").expect_err("it fails");
        assert_eq!(error.chain()[0], "component `it` does not compile");
        assert_eq!(error.chain()[1].len(), 8192);
    }
}
