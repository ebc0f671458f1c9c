//! What the reference gives for encoded texts; each answer is of npm `jsonata` 2.2.2.

use super::{Answer, code};
use crate::library::encoding::{base64_decode, base64_encode, decode_url, decode_url_component, encode_url, encode_url_component};

#[test]
fn base_64_is_of_the_low_bytes_of_units() {
    let cases: &[(&str, Answer)] = &[
        ("", Ok("")),
        ("a", Ok("YQ==")),
        ("ab", Ok("YWI=")),
        ("abc", Ok("YWJj")),
        ("é", Ok("6Q==")),
        ("日本", Ok("5Sw=")),
        ("😀", Ok("PQA=")),
        ("\u{10d83d}", Ok("PQ==")),
    ];
    for (text, answer) in cases.iter().cloned() {
        assert_eq!(Ok(&*base64_encode(text)), answer, "{text}");
    }
}
#[test]
fn base_64_is_read_up_to_the_first_equals_sign() {
    let cases: &[(&str, Answer)] = &[
        ("", Ok("")),
        ("aGVsbG8=", Ok("hello")),
        ("aGVsbG8", Ok("hello")),
        ("a", Ok("")),
        ("YQ==YQ==", Ok("a")),
        ("Y Q", Ok("a")),
        ("-_-_", Ok("ûÿ¿")),
        ("8J+YgA==", Ok("ð\u{9f}\u{98}\u{80}")),
        ("日YWJj", Ok("abc")),
        ("YWJj😀YWJj", Ok("abc")),
        ("ŁŁŁŁ", Ok("\0\0\0")),
    ];
    for (text, answer) in cases.iter().cloned() {
        assert_eq!(Ok(&*base64_decode(text)), answer, "{text}");
    }
}
#[test]
fn what_a_url_cannot_hold_is_encoded() {
    let cases: &[(&str, Answer, Answer)] = &[
        ("https://x.y/?q=a b&c=é#f", Ok("https://x.y/?q=a%20b&c=%C3%A9#f"), Ok("https%3A%2F%2Fx.y%2F%3Fq%3Da%20b%26c%3D%C3%A9%23f")),
        ("-_.!~*'()", Ok("-_.!~*'()"), Ok("-_.!~*'()")),
        ("%", Ok("%25"), Ok("%25")),
        ("😀", Ok("%F0%9F%98%80"), Ok("%F0%9F%98%80")),
        ("\u{10d83d}", Err("D3140"), Err("D3140")),
        ("", Ok(""), Ok("")),
    ];
    for (text, whole, component) in cases.iter().cloned() {
        assert_eq!(
            (encode_url(text).as_deref().map_err(code), encode_url_component(text).as_deref().map_err(code)),
            (whole, component),
            "{text}"
        );
    }
}
#[test]
fn what_is_encoded_is_read_as_utf_8() {
    let cases: &[(&str, Answer, Answer)] = &[
        ("%41", Ok("A"), Ok("A")),
        ("%2F%3f%23", Ok("%2F%3f%23"), Ok("/?#")),
        ("%E2%82%AC", Ok("€"), Ok("€")),
        ("%e2%82", Err("D3140"), Err("D3140")),
        ("%", Err("D3140"), Err("D3140")),
        ("%4", Err("D3140"), Err("D3140")),
        ("%zz", Err("D3140"), Err("D3140")),
        ("%C0%80", Err("D3140"), Err("D3140")),
        ("%ed%a0%80", Err("D3140"), Err("D3140")),
        ("%f0%9f%98%80", Ok("😀"), Ok("😀")),
        ("%f4%90%80%80", Err("D3140"), Err("D3140")),
        ("%80", Err("D3140"), Err("D3140")),
        ("a%c3%a9b", Ok("aéb"), Ok("aéb")),
        ("%c3x", Err("D3140"), Err("D3140")),
        ("é%25", Ok("é%"), Ok("é%")),
    ];
    for (text, whole, component) in cases.iter().cloned() {
        assert_eq!(
            (decode_url(text).as_deref().map_err(code), decode_url_component(text).as_deref().map_err(code)),
            (whole, component),
            "{text}"
        );
    }
}
