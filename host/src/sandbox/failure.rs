//! How a call into a guest can fail, and how that reads.

use std::time::Duration;

use wasmtime::{Trap, WasmBacktrace};

use super::bindings::types::{ErrorKind, StageError};
use super::limits::{Exceeded, bytes};
use super::state::clip;
use crate::batch::Reason;
use crate::error::Error;

/// Bytes of an error's text that are kept.
const MAX_TEXT: usize = 8 << 10;

/// Bytes of the last words that stand in a message.
const MAX_LAST_SENTENCE: usize = 1 << 10;

/// Why a call into a guest failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What kind of failure it is.
    pub kind: FailureKind,
    /// A short stable name such as `out_of_fuel` or the guest's own code.
    pub code: String,
    /// One sentence, lower case, no full stop.
    pub message: String,
    /// The column or option it is about.
    pub field: Option<String>,
    /// The row of the batch it is about, from 0.
    pub row: Option<u32>,
    /// What to do about it.
    pub help: Option<String>,
    /// The end of what the guest wrote to stderr.
    pub last_words: String,
    /// Functions of the guest, innermost first.
    pub trace: Vec<String>,
}

/// Kinds of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// The options are wrong.
    Options,
    /// The guest says that rows are wrong.
    Data,
    /// The guest says that trying again may help, after so long.
    Transient(Option<Duration>),
    /// The guest does not take this input.
    Unsupported,
    /// The guest says that it is broken.
    Internal,
    /// It crashed.
    Trap,
    /// It ran into a limit: fuel, memory, tables, time, output.
    Limit,
    /// It broke the contract.
    Contract,
    /// We are broken.
    Host,
}

impl Failure {
    pub(super) fn new(kind: FailureKind, code: &str, message: impl Into<String>) -> Self {
        Self {
            kind,
            code: code.into(),
            message: message.into(),
            field: None,
            row: None,
            help: None,
            last_words: String::new(),
            trace: Vec::new(),
        }
    }

    /// A guest that does what the contract forbids.
    pub fn broken_contract(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Contract, "broken_contract", message)
    }

    /// Whether the instance is gone: after a trap none of its calls can be made any more.
    pub fn is_fatal(&self) -> bool {
        matches!(self.kind, FailureKind::Trap | FailureKind::Limit | FailureKind::Contract | FailureKind::Host)
    }

    /// The reason for a dead letter.
    pub fn reason(&self) -> Reason {
        match self.kind {
            FailureKind::Limit => Reason::LimitExceeded,
            _ => Reason::TransformationError,
        }
    }

    /// Adds what went wrong with HTTP requests before, of which the guest knows only the kind.
    pub(super) fn after(mut self, requests: Vec<String>) -> Self {
        for request in requests {
            self.message.push_str("; etl-host on ");
            self.message.push_str(&request);
        }
        self
    }

    /// The sentence with the guest's last words behind it.
    pub fn full_message(&self) -> String {
        let mut text = self.message.clone();
        if !self.last_words.is_empty() {
            let told = told(&self.last_words);
            if !told.is_empty() {
                text.push_str("; it said: ");
                text.push_str(&told);
            }
        }
        text
    }

    /// The failure as an error of the run.
    pub fn into_error(self, what: impl std::fmt::Display) -> Error {
        let mut text = format!("{what}: {}", self.full_message());
        if is_of_a_language(&self.code) {
            text.push_str(&format!(" ({})", self.code));
        }
        let mut error = match self.kind {
            FailureKind::Options => Error::config(text),
            FailureKind::Data | FailureKind::Unsupported => Error::data(text),
            FailureKind::Transient(_) => Error::outside(text),
            FailureKind::Internal | FailureKind::Trap | FailureKind::Limit | FailureKind::Contract => Error::guest(text),
            FailureKind::Host => Error::bug(text),
        };
        if !self.trace.is_empty() {
            error = error.because(anyhow::anyhow!("in {}", self.trace.join(" < ")));
        }
        match self.help {
            Some(help) => error.hint(help),
            None => error,
        }
    }

    /// Reads what a guest returned.
    pub(super) fn from_stage_error(error: StageError) -> Self {
        let StageError { kind, code, message, field, row, help } = error;
        let kind = match kind {
            ErrorKind::Options => FailureKind::Options,
            ErrorKind::Data => FailureKind::Data,
            ErrorKind::Transient(ms) => FailureKind::Transient(ms.map(|ms| Duration::from_millis(ms.into()))),
            ErrorKind::Unsupported => FailureKind::Unsupported,
            ErrorKind::Internal => FailureKind::Internal,
        };
        let mut failure = Self::new(kind, &clip(code, 255), clip(message, MAX_TEXT));
        failure.field = field.map(|field| clip(field, 255));
        failure.row = row;
        failure.help = help.map(|help| clip(help, MAX_TEXT));
        failure
    }

    /// Reads what wasmtime says of a call that did not return.
    pub(super) fn from_trap(error: &wasmtime::Error, fuel_limit: u64, last_words: String) -> Self {
        let mut failure =
            match (error.downcast_ref::<Exceeded>(), error.downcast_ref::<Trap>(), error.downcast_ref::<wasmtime_wasi::I32Exit>()) {
                (Some(exceeded), _, _) => Self::from_exceeded(exceeded),
                (_, Some(Trap::OutOfFuel), _) => {
                    Self::new(FailureKind::Limit, "out_of_fuel", format!("used all of its {} fuel", amount(fuel_limit)))
                        .help("does it loop for ever on some row? else raise `limits: {fuel_per_row: …}` of the stage")
                }
                (_, Some(Trap::StackOverflow), _) => Self::new(FailureKind::Trap, "stack_overflow", "overflowed its stack of 3 MiB"),
                (_, Some(Trap::UnreachableCodeReached), _) => {
                    Self::new(FailureKind::Trap, "crash", "crashed (a panic, an abort or `unreachable`)")
                }
                (_, Some(Trap::MemoryOutOfBounds), _) => Self::new(FailureKind::Trap, "memory_out_of_bounds", "reached outside its memory"),
                (_, Some(Trap::IntegerDivisionByZero), _) => Self::new(FailureKind::Trap, "division_by_zero", "divided by zero"),
                (_, Some(trap), _) => Self::new(FailureKind::Trap, "crash", format!("crashed: {trap}")),
                (_, _, Some(exit)) => Self::new(
                    FailureKind::Trap,
                    "exit",
                    format!("exited in mid-call with {}", if exit.0 == 0 { "success" } else { "failure" }),
                ),
                _ => {
                    let text = error.root_cause().to_string();
                    if text.contains("fuel allocated for hostcalls") || text.contains("hostcall") {
                        Self::new(
                            FailureKind::Limit,
                            "output_limit",
                            format!("handed over more than {} in one call", bytes(super::limits::EMIT_BYTES)),
                        )
                    } else {
                        Self::new(FailureKind::Trap, "crash", format!("crashed: {text}"))
                    }
                }
            };
        if let Some(trace) = error.downcast_ref::<WasmBacktrace>() {
            failure.trace = trace
                .frames()
                .iter()
                .filter_map(|frame| frame.func_name().map(demangle))
                .filter(|name| !is_plumbing(name))
                .take(8)
                .collect();
        }
        if failure.code == "out_of_fuel" && failure.trace.iter().any(|frame| frame.starts_with("regress::")) {
            failure.message.push_str(" on a regular expression");
            failure = failure.help(
                "on such a text the expression tries very many ways: take nested repetitions such as `(a+)+` out of it, \
                 or raise `limits: {fuel_per_row: …}` of the stage",
            );
        }
        failure.last_words = last_words;
        failure
    }

    pub(super) fn from_exceeded(exceeded: &Exceeded) -> Self {
        let text = exceeded.to_string();
        match exceeded {
            Exceeded::Memory { .. } => Self::new(FailureKind::Limit, "memory_limit", text)
                .help("raise `limits: {memory_mb: …}` of the stage, or hold less at a time"),
            Exceeded::Table { .. } => Self::new(FailureKind::Limit, "table_limit", text),
            Exceeded::Output { .. } => Self::new(FailureKind::Limit, "output_limit", text)
                .help("raise `limits: {output_mb: …}` of the stage, or emit less for a batch"),
            Exceeded::Time(_) => Self::new(FailureKind::Limit, "timeout", text).help("raise `limits: {timeout_ms: …}` of the stage"),
            Exceeded::Contract(_) => Self::new(FailureKind::Contract, "broken_contract", text),
        }
    }

    pub(super) fn timeout(limit: Duration, last_words: String) -> Self {
        let mut failure = Self::from_exceeded(&Exceeded::Time(limit));
        failure.last_words = last_words;
        failure
    }

    fn help(mut self, help: &str) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// Whether a code is none of ours but a language's own such as JSONata's `T0412`, by which its users find what it means.
fn is_of_a_language(code: &str) -> bool {
    matches!(code.as_bytes(), [letter, digits @ ..] if letter.is_ascii_uppercase() && digits.len() == 4 && digits.iter().all(u8::is_ascii_digit))
}

/// A number as a person says it: `869 M`.
pub fn amount(number: u64) -> String {
    match number {
        0..10_000 => number.to_string(),
        10_000..1_000_000 => format!("{:.1} k", number as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} M", number as f64 / 1e6),
        _ => format!("{:.1} G", number as f64 / 1e9),
    }
}

/// The words that tell what happened: the last panic with its message, or the last line; not the advice that Rust's runtime adds.
fn told(last_words: &str) -> String {
    let lines: Vec<&str> = last_words.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("note:")).collect();
    let start = lines.iter().rposition(|line| line.contains("panicked at")).unwrap_or(lines.len().saturating_sub(1));
    let told = lines[start..].join(" ");
    // What comes before is the name of a thread.
    let place = told.find("panicked at").unwrap_or(0);
    clip(told[place..].to_owned(), MAX_LAST_SENTENCE)
}

/// Reads a symbol's name, without its hash.
fn demangle(name: &str) -> String {
    clip(format!("{:#}", rustc_demangle::demangle(name)), 255)
}

/// Whether a frame belongs to the machinery of panics or memory, which tells a user nothing.
fn is_plumbing(name: &str) -> bool {
    let parts = [
        "rust_begin_unwind",
        "__rust",
        "core::panicking",
        "std::panicking",
        "std::sys::",
        "alloc::",
        "std::process::",
        "dlmalloc",
        "malloc",
        "calloc",
        "sbrk",
        "abort",
        "__wasm_call",
    ];
    parts.iter().any(|part| name.contains(part))
}
