//! Builds the guests that ship inside the binary, so that `cargo build` is all there is to do.

#[path = "build/sdk.rs"]
mod sdk;

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, exit};

/// Guests that ship: the crate, the file it gives, the variable that names the file to the host.
const GUESTS: [(&str, &str, &str); 4] = [
    ("etl-ops", "etl_ops.wasm", "ETL_OPS_WASM"),
    ("etl-jsonata", "etl_jsonata.wasm", "ETL_JSONATA_WASM"),
    ("etl-validate", "etl_validate.wasm", "ETL_VALIDATE_WASM"),
    ("etl-aggregate", "etl_aggregate.wasm", "ETL_AGGREGATE_WASM"),
];
const TARGET: &str = "wasm32-wasip2";

fn main() {
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo names the crate's folder"));
    let root = manifest.parent().expect("the crate is in the workspace");
    for path in [
        "guests/ops",
        "guests/jsonata",
        "guests/jsonata-engine",
        "guests/validate",
        "guests/aggregate",
        "guests/sdk",
        "guests/steps",
        "wit",
        "Cargo.toml",
        "Cargo.lock",
    ] {
        println!("cargo::rerun-if-changed={}", root.join(path).display());
    }
    sdk::embed(root);
    let folder = target_folder().join("guests");
    build(root, &folder);
    for (_, file, variable) in GUESTS {
        println!("cargo::rustc-env={variable}={}", folder.join(TARGET).join("guest").join(file).display());
    }
}

/// The folder that cargo builds into. Guests go to a folder of their own within it: cargo holds a lock on its own while it runs us.
fn target_folder() -> PathBuf {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo names a folder for us"));
    // <target>/<profile>/build/<crate>-<hash>/out
    let folder = out.ancestors().nth(4).expect("cargo's folders are that deep");
    folder.to_owned()
}

fn build(root: &Path, folder: &Path) {
    add_target();
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .current_dir(root)
        .args(["build", "--quiet", "--locked", "--profile", "guest", "--target", TARGET])
        .arg("--target-dir")
        .arg(folder);
    for (guest, _, _) in GUESTS {
        cargo.args(["--package", guest]);
    }
    // What cargo set for the host's build must not leak into the guests'.
    for (name, _) in env::vars_os() {
        let name_text = name.to_string_lossy();
        if name_text.starts_with("CARGO_") && !matches!(&*name_text, "CARGO_HOME" | "CARGO_BUILD_JOBS")
            || name_text == "RUSTFLAGS"
            || name_text == "RUSTC_WORKSPACE_WRAPPER"
        {
            cargo.env_remove(&name);
        }
    }
    cargo.env("CARGO_ENCODED_RUSTFLAGS", "-C\x1ftarget-feature=+simd128");
    match cargo.status() {
        Ok(status) if status.success() => {}
        Ok(status) => fail(&format!("building the guests failed with {status}; the compiler's words are above")),
        Err(error) => fail(&format!("cargo did not start to build the guests: {error}")),
    }
}

/// Adds the wasm target where rustup knows how and it is missing.
fn add_target() {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let installed = Command::new(&rustc)
        .args(["--print", "target-libdir", "--target", TARGET])
        .output()
        .is_ok_and(|output| output.status.success() && Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir());
    if installed {
        return;
    }
    println!("cargo::warning=adding the target {TARGET} for the built-in transforms (rustup target add {TARGET})");
    let added = Command::new("rustup").args(["target", "add", TARGET]).status();
    if !added.is_ok_and(|status| status.success()) {
        fail(&format!("the target {TARGET} is missing and rustup could not add it; run `rustup target add {TARGET}`"));
    }
}

fn fail(message: &str) -> ! {
    println!("cargo::error={message}");
    exit(1)
}
