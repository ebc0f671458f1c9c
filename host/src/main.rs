//! The `etl-host` program.

use std::process::ExitCode;

/// The system's allocator gives memory back late and shares badly between threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    etl_host::cli::main()
}
