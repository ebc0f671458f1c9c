//! Regular expressions of rules, compiled with a bound on what they cost.

use regex::{Regex, RegexBuilder};
use regex_syntax::ast;

/// Bytes that a pattern may have.
const MAX_PATTERN_BYTES: usize = 64 << 10;

/// Bytes that a compiled pattern may take.
const MAX_COMPILED_BYTES: usize = 2 << 20;

/// Groups within groups.
const MAX_NESTING: u32 = 100;

/// What is wrong with a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternError {
    /// What is wrong, in lower case.
    pub message: String,
    /// The character it is about, from 1; absent where it is about the whole.
    pub position: Option<usize>,
}

/// Compiles a pattern. Matching takes time linear in the text, whatever the pattern: there is no look-around and no back-reference.
///
/// # Errors
/// What is wrong with it, or that it is too large.
pub fn compile(pattern: &str) -> Result<Regex, PatternError> {
    let whole = |message: String| PatternError { message, position: None };
    if pattern.len() > MAX_PATTERN_BYTES {
        return Err(whole(format!("it has {} bytes, but a pattern has at most {MAX_PATTERN_BYTES}", pattern.len())));
    }
    let mut parser = ast::parse::ParserBuilder::new().nest_limit(MAX_NESTING).build();
    if let Err(error) = parser.parse(pattern) {
        let position = error.span().start.offset;
        return Err(PatternError { message: error.kind().to_string(), position: Some(pattern[..position].chars().count() + 1) });
    }
    RegexBuilder::new(pattern).size_limit(MAX_COMPILED_BYTES).dfa_size_limit(MAX_COMPILED_BYTES).nest_limit(MAX_NESTING).build().map_err(
        |error| match error {
            regex::Error::CompiledTooBig(limit) => whole(format!("compiled it takes more than {limit} bytes, which is the limit")),
            other => whole(other.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()),
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_pattern_is_told_with_its_place() {
        let wrong = |pattern: &str| compile(pattern).map(|_| ()).expect_err("it is wrong");
        assert_eq!(wrong("ä(b"), PatternError { message: "unclosed group".into(), position: Some(2) });
        assert_eq!(
            wrong("a(?=b)"),
            PatternError { message: "look-around, including look-ahead and look-behind, is not supported".into(), position: Some(2) }
        );
        assert_eq!(wrong(r"(a)\1").message, "backreferences are not supported");
        assert_eq!(wrong(r"\p{Nonsense}"), PatternError { message: "Unicode property not found".into(), position: None });
    }

    #[test]
    fn a_pattern_that_would_cost_too_much_is_refused() {
        let wrong = |pattern: &str| compile(pattern).map(|_| ()).expect_err("it is too large").message;
        assert_eq!(wrong(&"a".repeat(1 << 20)), "it has 1048576 bytes, but a pattern has at most 65536");
        assert_eq!(wrong("(((a{100}){100}){100}){100}"), "compiled it takes more than 2097152 bytes, which is the limit");
        assert!(wrong(&format!("{}a{}", "(".repeat(200), ")".repeat(200))).contains("nest"), "{}", wrong(&"(".repeat(200)));
    }

    #[test]
    fn a_pattern_that_makes_other_engines_hang_takes_linear_time() {
        let pattern = compile("^(a+)+$").expect("it is sound");
        assert!(!pattern.is_match(&format!("{}b", "a".repeat(100_000))));
    }
}
