//! The last words of a transform that panics.

use std::io::Write as _;
use std::sync::Once;

/// Makes panics write `panicked at <file>:<line>: <message>` to stderr, where the host picks it up.
pub(crate) fn install_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        std::panic::set_hook(Box::new(|info| {
            let message = info.payload_as_str().map_or_else(|| "a panic without a text".to_owned(), one_line);
            let line = match info.location() {
                Some(location) => format!("panicked at {}:{}: {message}\n", short(location.file()), location.line()),
                None => format!("panicked: {message}\n"),
            };
            // Whether it can be written or not, the trap follows.
            let _ = std::io::stderr().write_all(line.as_bytes());
        }));
    });
}

/// The message of a failed assertion has several lines; the host shows the last one only.
fn one_line(message: &str) -> String {
    message.lines().map(str::trim).collect::<Vec<_>>().join("; ")
}

/// The part of a source path that means something on other machines: `arrow-array-59.3.2/src/array/mod.rs`.
fn short(file: &str) -> &str {
    if let Some((_, rest)) = file.split_once("/registry/src/") {
        return rest.split_once('/').map_or(rest, |(_index, path)| path);
    }
    match file.strip_prefix("/rustc/") {
        Some(rest) => rest.split_once('/').map_or(rest, |(_commit, path)| path),
        None => file,
    }
}

#[cfg(test)]
mod tests {
    use super::{one_line, short};

    #[test]
    fn a_panic_names_no_folder_of_the_build_machine() {
        assert_eq!(short("src/lib.rs"), "src/lib.rs");
        assert_eq!(short("/home/a/.cargo/registry/src/index.crates.io-0123456789abcdef/serde-1.0.0/src/de.rs"), "serde-1.0.0/src/de.rs");
        assert_eq!(short("/rustc/0123abcd/library/core/src/option.rs"), "library/core/src/option.rs");
    }

    #[test]
    fn a_failed_assertion_is_one_line() {
        assert_eq!(
            one_line("assertion `left == right` failed: too many\n  left: 1\n right: 0"),
            "assertion `left == right` failed: too many; left: 1; right: 0"
        );
    }
}
