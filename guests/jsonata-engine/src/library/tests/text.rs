//! What the reference gives for texts; each answer is of npm `jsonata` 2.2.2.

use super::{Answer, code};
use crate::library::text::{
    self, contains, length, lowercase, pad, replace, split, substring, substring_after, substring_before, trim, uppercase,
};

/// What a text is split into.
type Parts = Answer<&'static [&'static str]>;

#[test]
fn parts_of_a_text_are_counted_in_characters_from_either_end() {
    let cases: &[(&str, f64, Option<f64>, Answer)] = &[
        ("hello", 1.0, None, Ok("ello")),
        ("hello", -2.0, None, Ok("lo")),
        ("hello", -9.0, None, Ok("hello")),
        ("hello", 1.0, Some(3.0), Ok("ell")),
        ("hello", -3.0, Some(2.0), Ok("ll")),
        ("hello", 2.0, Some(0.0), Ok("")),
        ("hello", 2.0, Some(-1.0), Ok("")),
        ("a😀é", 1.0, Some(1.0), Ok("😀")),
        ("a😀é", -1.0, None, Ok("é")),
        ("hello", 1.5, Some(1.0), Ok("e")),
        ("hello", -1.5, None, Ok("o")),
        ("hello", 9.0, None, Ok("")),
        ("", 0.0, Some(3.0), Ok("")),
        ("hello", 0.0, Some(1.7), Ok("h")),
        ("\u{10d83d}x", 1.0, None, Ok("x")),
    ];
    for (text, start, length, answer) in cases.iter().cloned() {
        assert_eq!(Ok(substring(text, start, length)), answer, "{text} {start} {length:?}");
    }
}
#[test]
fn what_is_before_or_behind_a_mark_is_found_also_within_a_pair_of_surrogates() {
    let cases: &[(&str, &str, Answer, Answer)] = &[
        ("a-b-c", "-", Ok("a"), Ok("b-c")),
        ("abc", "x", Ok("abc"), Ok("abc")),
        ("abc", "", Ok(""), Ok("abc")),
        ("abc", "abc", Ok(""), Ok("")),
        ("x😀y", "\u{10de00}", Ok("x\u{10d83d}"), Ok("y")),
        ("x😀y", "\u{10d83d}", Ok("x"), Ok("\u{10de00}y")),
        ("x😀y", "😀", Ok("x"), Ok("y")),
    ];
    for (text, mark, before, after) in cases.iter().cloned() {
        assert_eq!((Ok(&*substring_before(text, mark)), Ok(&*substring_after(text, mark))), (before, after), "{text} {mark}");
    }
}
#[test]
fn white_space_becomes_single_spaces_and_goes_from_the_ends() {
    let cases: &[(&str, Answer)] = &[
        ("  a  b ", Ok("a b")),
        ("a\t\n\r b", Ok("a b")),
        ("a b", Ok("a b")),
        ("", Ok("")),
        (" \n ", Ok("")),
        ("\u{a0}a\u{a0} ", Ok("\u{a0}a\u{a0}")),
        ("a\tb", Ok("a b")),
    ];
    for (text, answer) in cases.iter().cloned() {
        assert_eq!(Ok(&*trim(text)), answer, "{text:?}");
    }
}
#[test]
fn a_text_is_padded_to_characters_on_either_side() {
    let cases: &[(&str, f64, Option<&str>, Answer)] = &[
        ("foo", 5.0, None, Ok("foo  ")),
        ("foo", -5.0, None, Ok("  foo")),
        ("foo", 5.0, Some("#"), Ok("foo##")),
        ("foo", -5.0, Some("ab"), Ok("abfoo")),
        ("foo", 8.0, Some("ab"), Ok("fooababa")),
        ("foo", 2.0, None, Ok("foo")),
        ("foo", 5.0, Some(""), Ok("foo  ")),
        ("😀", 3.0, Some("😀"), Ok("😀😀😀")),
        ("foo", 4.9, Some("-"), Ok("foo-")),
        ("x\u{10d83d}", 3.0, Some("\u{10de00}"), Ok("x😀")),
        ("foo", 0.0, None, Ok("foo")),
    ];
    for (text, width, fill, answer) in cases.iter().cloned() {
        assert_eq!(pad(text, width, fill).as_deref().map_err(code), answer, "{text} {width} {fill:?}");
    }
}
#[test]
fn case_follows_unicode() {
    let cases: &[(&str, Answer, Answer)] = &[
        ("Straße", Ok("STRASSE"), Ok("straße")),
        ("ΑΣ ΣΑΣ", Ok("ΑΣ ΣΑΣ"), Ok("ας σας")),
        ("İı", Ok("İI"), Ok("i̇ı")),
        ("ﬁ", Ok("FI"), Ok("ﬁ")),
        ("abcXYZ1", Ok("ABCXYZ1"), Ok("abcxyz1")),
        ("\u{10d83d}x", Ok("\u{10d83d}X"), Ok("\u{10d83d}x")),
    ];
    for (text, upper, lower) in cases.iter().cloned() {
        assert_eq!((Ok(&*uppercase(text)), Ok(&*lowercase(text))), (upper, lower), "{text}");
    }
}
#[test]
fn a_text_is_split_at_a_text_or_into_units() {
    let cases: &[(&str, &str, Option<f64>, Parts)] = &[
        ("a,b,c", ",", None, Ok(&["a", "b", "c"])),
        ("a,b,c", ",", Some(2.0), Ok(&["a", "b"])),
        ("a,b,c", ",", Some(0.0), Ok(&[])),
        ("a,b,c", ",", Some(1.9), Ok(&["a"])),
        ("a,b,c", ",", Some(0.5), Ok(&[])),
        ("a,b", ",", Some(-1.0), Err("D3020")),
        ("abc", "", None, Ok(&["a", "b", "c"])),
        ("a😀", "", None, Ok(&["a", "\u{10d83d}", "\u{10de00}"])),
        ("", ",", None, Ok(&[""])),
        ("", "", None, Ok(&[])),
        ("a,b", ",", Some(4294967297.0), Ok(&["a"])),
        ("x😀y", "\u{10de00}", None, Ok(&["x\u{10d83d}", "y"])),
    ];
    for (text, separator, limit, answer) in cases.iter().cloned() {
        assert_eq!(
            split(text, separator, limit).map_err(|failure| failure.code),
            answer.map(|parts| parts.iter().map(|part| (*part).into()).collect()).map_err(Into::into),
            "{text} {separator} {limit:?}"
        );
    }
}
#[test]
fn a_text_is_replaced_by_a_text_that_is_taken_as_it_is() {
    let cases: &[(&str, &str, &str, Option<f64>, Answer)] = &[
        ("aXbXc", "X", "-", None, Ok("a-b-c")),
        ("aXbXc", "X", "$0", Some(1.0), Ok("a$0bXc")),
        ("abc", "x", "-", None, Ok("abc")),
        ("abc", "", "-", None, Err("D3010")),
        ("abc", "b", "-", Some(-1.0), Err("D3011")),
        ("abc", "b", "-", Some(0.0), Ok("abc")),
        ("aaa", "a", "b", Some(1.5), Ok("bba")),
        ("x😀", "\u{10de00}", "\u{10de01}", None, Ok("x😁")),
        ("abc", "", "-", Some(-1.0), Err("D3010")),
    ];
    for (text, pattern, replacement, limit, answer) in cases.iter().cloned() {
        assert_eq!(replace(text, pattern, replacement, limit).as_deref().map_err(code), answer, "{text} {pattern} {limit:?}");
    }
}
#[test]
fn texts_hold_texts_and_halves_of_their_characters() {
    assert!(contains("abc", "bc") && contains("abc", "") && !contains("abc", "x"));
    assert!(contains("😀", "\u{10de00}") && !contains("a", "\u{10de00}"));
    assert_eq!(length("a😀\u{10d83d}"), 3);
    assert_eq!(text::join(["a\u{10d83d}", "\u{10de00}b"], "").unwrap(), "a😀b");
    assert_eq!(text::join(["a", "b"], ", ").unwrap(), "a, b");
}

#[test]
fn a_width_that_no_machine_holds_is_refused() {
    assert_eq!(pad("x", 1e300, None).unwrap_err().code, "D2015");
}

#[test]
fn no_text_grows_without_end() {
    let long = "a".repeat(20_000);
    assert_eq!(replace(&long, "a", &long, None).unwrap_err().code, "D2015");
    assert_eq!(text::join(std::iter::repeat_n(&*long, 5000), "").unwrap_err().code, "D2015");
}
