//! What the reference gives for regular expressions; each answer is of npm `jsonata` 2.2.2 on Node.js 20.

use std::borrow::Cow;

use super::{Answer, code};
use crate::library::pattern::{Found, Pattern, expand};

/// What a text is split into.
type Parts = Answer<&'static [&'static str]>;

/// What is searched, the expression and its flags, the limit, and the answer.
type Call<T> = (&'static str, &'static str, &'static str, Option<f64>, T);

/// The same with the replacement's text.
type Replacement = (&'static str, &'static str, &'static str, &'static str, Option<f64>, Answer);

/// All matches.
type Matches = Answer<&'static [Shown]>;

#[test]
fn matches_are_replaced_by_texts_with_groups() {
    let cases: &[Replacement] = &[
        ("abcabc", "b", "", "-", None, Ok("a-ca-c")),
        ("abcabc", "b", "", "-", Some(1.0), Ok("a-cabc")),
        ("abc", "x", "", "-", None, Ok("abc")),
        ("abc", "(b)(c)", "", "$2$1", None, Ok("acb")),
        ("abc", "b", "", "[$0]", None, Ok("a[b]c")),
        ("abc", "b", "", "$$", None, Ok("a$c")),
        ("abc", "b", "", "$1", None, Ok("ac")),
        ("abc", "(b)", "", "$12", None, Ok("ab2c")),
        ("abcdefghijk", "(a)(b)(c)(d)(e)(f)(g)(h)(i)(j)(k)", "", "$11$1$12", None, Ok("kaa2")),
        ("abc", "(b)(c)", "", "$-1", None, Ok("a$-1")),
        ("abcdefghijk", "(a)(b)(c)(d)(e)(f)(g)(h)(i)(j)(k)", "", "$ 1", None, Ok("a1")),
        ("abc", "b", "", "$w$", None, Ok("a$w$c")),
        ("abc", "(x)?b", "", "<$1>", None, Ok("a<>c")),
        ("abc", "b*", "", "-", None, Err("D1004")),
        ("abc", "$", "", "!", None, Ok("abc!")),
        ("abc", "^", "", "!", None, Err("D1004")),
        ("", "^", "", "!", None, Ok("!")),
        ("abc", "B", "i", "-", None, Ok("a-c")),
        ("a\nb", "^b", "m", "-", None, Ok("a\n-")),
        ("abc", "b", "", "-", Some(-1.0), Err("D3011")),
        ("abc", "b", "", "-", Some(0.0), Ok("abc")),
        ("😀", ".", "", "-", None, Ok("--")),
        ("😀x", "\\ude00", "", "\u{10de01}", None, Ok("😁x")),
        ("a😀", "[^\\x00-\\x7f]", "", "_", None, Ok("a__")),
        ("é", "\\w", "", "-", None, Ok("é")),
        ("aa", "(a)\\1", "", "$1", None, Ok("a")),
        ("xay", "(?<=x)a", "", "-", None, Ok("x-y")),
        ("aab", "(?=b)", "", "-", None, Err("D1004")),
        ("ß", "SS", "i", "-", None, Ok("ß")),
        ("u{61}", "\\u{61}", "", "-", None, Ok("u{61}")),
        ("a", "\\u0061", "", "-", None, Ok("-")),
    ];
    for (text, source, flags, replacement, limit, answer) in cases.iter().cloned() {
        assert_eq!(
            Pattern::new(source, flags).unwrap().replace(text, replacement, limit).as_deref().map_err(code),
            answer,
            "{text} /{source}/{flags} {replacement} {limit:?}"
        );
    }
}
#[test]
fn texts_are_split_at_matches() {
    let cases: &[Call<Parts>] = &[
        ("a1b22c", "\\d+", "", None, Ok(&["a", "b", "c"])),
        ("a1b22c", "\\d+", "", Some(1.0), Ok(&["a"])),
        ("a1b22c", "\\d+", "", Some(2.0), Ok(&["a", "b"])),
        ("a1b22c", "\\d+", "", Some(1.5), Ok(&["a", "b"])),
        ("a1b22c", "\\d+", "", Some(0.0), Ok(&[])),
        ("abc", "x", "", None, Ok(&["abc"])),
        ("abc", "x", "", Some(0.0), Ok(&[])),
        ("abc", "x*", "", None, Err("D1004")),
        ("abc", "$", "", None, Ok(&["abc", ""])),
        ("", "x", "", None, Ok(&[""])),
        ("a1", "\\d", "", None, Ok(&["a", ""])),
        ("x😀y", "[\\ud83d]", "", None, Ok(&["x", "\u{10de00}y"])),
        ("aXbxc", "x", "i", None, Ok(&["a", "b", "c"])),
        ("a1b", "(\\d)", "", Some(-1.0), Err("D3020")),
    ];
    for (text, source, flags, limit, answer) in cases.iter().cloned() {
        assert_eq!(
            Pattern::new(source, flags).unwrap().split(text, limit).map_err(|failure| failure.code),
            answer.map(|parts| parts.iter().map(|part| (*part).into()).collect()).map_err(Into::into),
            "{text} /{source}/{flags} {limit:?}"
        );
    }
}
/// A match's text, place and groups.
type Shown = (&'static str, usize, &'static [Option<&'static str>]);

fn is(found: &Found<'_>, shown: &Shown) -> bool {
    let (text, start, groups) = *shown;
    let same_groups = found.groups.iter().map(Option::as_deref).eq(groups.iter().copied());
    found.text == text && found.start == start && found.end == start + crate::surrogate::units(text) && same_groups
}

#[test]
fn matches_tell_their_places_in_units() {
    let cases: &[Call<Matches>] = &[
        ("a1b22", "([a-z])(\\d+)", "", None, Ok(&[("a1", 0, &[Some("a"), Some("1")]), ("b22", 2, &[Some("b"), Some("22")])])),
        ("a1b22", "([a-z])(\\d+)", "", Some(1.0), Ok(&[("a1", 0, &[Some("a"), Some("1")])])),
        ("ab", "(a)|(b)", "", None, Ok(&[("a", 0, &[Some("a"), None]), ("b", 1, &[None, Some("b")])])),
        ("x😀é1", "\\d", "", None, Ok(&[("1", 4, &[])])),
        ("abc", "b*", "", None, Err("D1004")),
        ("abc", "b*", "", Some(1.0), Err("D1004")),
        ("abc", "b*", "", Some(0.0), Ok(&[])),
        ("abc", "$", "", None, Ok(&[("", 3, &[])])),
        ("abc", "b", "", Some(-1.0), Err("D3040")),
        ("ABab", "b", "i", None, Ok(&[("B", 1, &[]), ("b", 3, &[])])),
    ];
    for (text, source, flags, limit, answer) in cases.iter().cloned() {
        match (Pattern::new(source, flags).unwrap().matches(text, limit), answer) {
            (Ok(found), Ok(shown)) => {
                assert!(
                    found.len() == shown.len() && found.iter().zip(shown).all(|(found, shown)| is(found, shown)),
                    "{text} /{source}/: {found:?}"
                );
            }
            (found, answer) => {
                assert_eq!(found.map(|_| ()).map_err(|failure| failure.code), answer.map(|_| ()).map_err(Into::into), "{text} /{source}/")
            }
        }
    }
}
#[test]
fn a_pattern_called_as_a_function_goes_on_behind_its_match() {
    let pattern = Pattern::new("é.", "").unwrap();
    let found = pattern.find("aéb😀éc", 0).unwrap();
    assert_eq!((&*found.text, found.start, found.end), ("éb", 1, 3));
    let next = pattern.find_next("aéb😀éc", found.end).unwrap().unwrap();
    assert_eq!((&*next.text, next.start, next.end), ("éc", 5, 7));
    assert_eq!(pattern.find_next("aéb😀éc", next.end), Ok(None));
    assert_eq!(Pattern::new("x*", "").unwrap().find_next("ab", 0).unwrap_err().code, "D1004");
    assert!(Pattern::new("a", "").unwrap().find("a", 2).is_none());
}

#[test]
fn a_function_may_write_the_replacement() {
    let pattern = Pattern::new("(\\d)", "").unwrap();
    let replaced =
        pattern.replace_with("a1b2", Some(1.0), &mut |found| Ok(format!("<{}@{}>", found.groups[0].as_deref().unwrap(), found.start)));
    assert_eq!(replaced.unwrap(), "a<1@1>b2");
    assert!(pattern.contains("x1") && !pattern.contains("x"));
}

#[test]
fn a_matcher_that_is_a_function_expands_its_groups_too() {
    let mut text = String::new();
    expand("$1-$2-$0", "ab", &[Some(Cow::Borrowed("a")), None], &mut text);
    assert_eq!(text, "a--ab");
}

#[test]
fn what_is_no_pattern_is_refused() {
    for source in ["(", "a**", "[b-a]", "(?<n>a)(?<n>b)", "x{2,1}"] {
        assert_eq!(Pattern::new(source, "").unwrap_err().code, "S0302", "{source}");
    }
    let deep = format!("{}a{}", "(".repeat(10_000), ")".repeat(10_000));
    assert!(Pattern::new(&deep, "").is_err());
}
