//! What the reference gives for numbers; each answer is of npm `jsonata` 2.2.2 on Node.js 20.

use super::{Answer, code};
use crate::library::number::{format_base, parse, parse_integer, power, round, square_root, write, write_exact};

#[test]
fn numbers_are_written_as_javascript_does() {
    let cases: &[(f64, &str, &str)] = &[
        (0.0, "0", "0"),
        (-0.0, "0", "0"),
        (1.0, "1", "1"),
        (-17.0, "-17", "-17"),
        (1000000.0, "1000000", "1000000"),
        (123456789012345683968.0, "123456789012345680000", "123456789012345680000"),
        (1e21, "1e+21", "1e+21"),
        (1.5e300, "1.5e+300", "1.5e+300"),
        (0.1, "0.1", "0.1"),
        (-2.5, "-2.5", "-2.5"),
        (0.000001, "0.000001", "0.000001"),
        (1e-7, "1e-7", "1e-7"),
        (0.30000000000000004, "0.3", "0.30000000000000004"),
        (0.3333333333333333, "0.333333333333333", "0.3333333333333333"),
        (0.6666666666666666, "0.666666666666667", "0.6666666666666666"),
        (33.333333333333336, "33.3333333333333", "33.333333333333336"),
        (9007199254740992.0, "9007199254740992", "9007199254740992"),
        (123456789.12345679, "123456789.123457", "123456789.12345679"),
        (5e-324, "5e-324", "5e-324"),
        (2.2250738585072014e-308, "2.2250738585072e-308", "2.2250738585072014e-308"),
        (1.7976931348623157e308, "1.7976931348623157e+308", "1.7976931348623157e+308"),
        (100000000000000.5, "100000000000001", "100000000000000.5"),
        (12345678901234.25, "12345678901234.3", "12345678901234.25"),
        (999999999999999.9, "1000000000000000", "999999999999999.9"),
        (0.000001234567890123456, "0.00000123456789012346", "0.000001234567890123456"),
        (4.35, "4.35", "4.35"),
        (100000000000000000000.0, "100000000000000000000", "100000000000000000000"),
        (99999999999999.95, "100000000000000", "99999999999999.95"),
    ];
    for (value, rounded, exact) in cases.iter().cloned() {
        assert_eq!((written(value, write), written(value, write_exact)), (rounded.to_owned(), exact.to_owned()), "{value}");
    }
}
#[test]
fn texts_are_numbers_where_the_patterns_of_the_reference_say_so() {
    let same = |one: f64, other: f64| one == other || one.is_nan() && other.is_nan();
    let cases: &[(&str, Answer<f64>)] = &[
        ("12", Ok(12.0)),
        ("-0.5", Ok(-0.5)),
        ("1e3", Ok(1000.0)),
        ("1E+5", Ok(100000.0)),
        ("0123", Ok(123.0)),
        ("-007", Ok(-7.0)),
        ("00", Ok(0.0)),
        ("-0", Ok(-0.0)),
        ("0x1F", Ok(31.0)),
        ("0X1f", Ok(31.0)),
        ("0b101", Ok(5.0)),
        ("0o17", Ok(15.0)),
        ("0x20000000000001", Ok(9007199254740992.0)),
        ("0x20000000000003", Ok(9007199254740996.0)),
        ("0b12", Err("D3030")),
        ("a0o7", Ok(f64::NAN)),
        ("0o7a", Ok(f64::NAN)),
        ("10b1", Ok(f64::NAN)),
        (" 0b1", Ok(1.0)),
        ("0x1F ", Ok(31.0)),
        ("0x1Fg", Ok(f64::NAN)),
        ("0o8", Err("D3030")),
        ("-0x1", Err("D3030")),
        ("", Err("D3030")),
        (" 1", Err("D3030")),
        ("1 ", Err("D3030")),
        ("+1", Err("D3030")),
        (".5", Err("D3030")),
        ("1.", Err("D3030")),
        ("1e", Err("D3030")),
        ("1e400", Err("D3030")),
        ("0x", Err("D3030")),
        ("Infinity", Err("D3030")),
        ("٣", Err("D3030")),
        ("123456789012345678901234567890", Ok(1.2345678901234568e29)),
        ("1e-400", Ok(0.0)),
    ];
    for (text, answer) in cases {
        let found = parse(text).map_err(|failure| failure.code);
        let is_same = match (&found, answer) {
            (Ok(one), Ok(other)) => same(*one, *other),
            (Err(one), Err(other)) => one == other,
            _ => false,
        };
        assert!(is_same, "{text}: {found:?}, not {answer:?}");
    }
}
#[test]
fn halves_are_rounded_to_the_even_digit() {
    let cases: &[(f64, Option<f64>, Answer<f64>)] = &[
        (0.5, None, Ok(0.0)),
        (1.5, None, Ok(2.0)),
        (2.5, None, Ok(2.0)),
        (-0.5, None, Ok(0.0)),
        (-1.5, None, Ok(-2.0)),
        (-2.5, None, Ok(-2.0)),
        (0.49999999999999994, None, Ok(0.0)),
        (4503599627370498.0, None, Ok(4503599627370498.0)),
        (9007199254740992.0, None, Ok(9007199254740992.0)),
        (1.005, Some(2.0), Ok(1.0)),
        (2.675, Some(2.0), Ok(2.68)),
        (1.25, Some(1.0), Ok(1.2)),
        (1.35, Some(1.0), Ok(1.4)),
        (-1.25, Some(1.0), Ok(-1.2)),
        (4.525, Some(2.0), Ok(4.52)),
        (11.0, Some(-1.0), Ok(10.0)),
        (15.0, Some(-1.0), Ok(20.0)),
        (25.0, Some(-1.0), Ok(20.0)),
        (-25.0, Some(-1.0), Ok(-20.0)),
        (4.0, Some(-1.0), Ok(0.0)),
        (50.0, Some(-2.0), Ok(0.0)),
        (150.0, Some(-2.0), Ok(200.0)),
        (1e21, Some(2.0), Ok(1e21)),
        (1e-7, Some(5.0), Ok(0.0)),
        (0.30000000000000004, Some(2.0), Ok(0.3)),
        (0.30000000000000004, Some(16.0), Ok(0.3)),
        (33.333333333333336, Some(3.0), Ok(33.333)),
        (999.995, Some(2.0), Ok(1000.0)),
        (0.015, Some(2.0), Ok(0.02)),
        (1234.5678, Some(1.5), Ok(f64::NAN)),
        (5.0, Some(400.0), Ok(f64::NAN)),
        (5.0, Some(-400.0), Ok(0.0)),
        (1.5e300, Some(2.0), Ok(1.5e300)),
        (0.0, Some(2.0), Ok(0.0)),
        (-0.001, Some(2.0), Ok(0.0)),
        (2.5, Some(0.0), Ok(2.0)),
        (123456789.98765433, Some(4.0), Ok(123456789.9877)),
        (1.4500000000000002, Some(1.0), Ok(1.5)),
        (0.285, Some(2.0), Ok(0.28)),
    ];
    for (value, precision, answer) in cases.iter().cloned() {
        let (found, answer) = (round(value, precision), answer.unwrap());
        assert!(
            found == answer && found.is_sign_negative() == answer.is_sign_negative() || found.is_nan() && answer.is_nan(),
            "{value} {precision:?}: {found}, not {answer}"
        );
    }
}
#[test]
fn integers_are_written_in_any_base() {
    let cases: &[(f64, Option<f64>, Answer)] = &[
        (100.0, None, Ok("100")),
        (100.0, Some(2.0), Ok("1100100")),
        (255.0, Some(16.0), Ok("ff")),
        (-255.0, Some(36.0), Ok("-73")),
        (2.5, Some(2.0), Ok("10")),
        (3.5, Some(2.0), Ok("100")),
        (0.0, Some(2.0), Ok("0")),
        (9007199254740992.0, Some(7.0), Ok("5350140446150306054")),
        (
            1e300,
            Some(36.0),
            Ok(
                "fhgyjdfcg7s00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000",
            ),
        ),
        (123456789012345683968.0, Some(36.0), Ok("q1ysz911igw00")),
        (1e21, None, Ok("1e+21")),
        (1e21, Some(10.0), Ok("1e+21")),
        (10.0, Some(1.0), Err("D3100")),
        (10.0, Some(37.0), Err("D3100")),
        (10.0, Some(2.5), Ok("1010")),
        (10.0, Some(36.4), Ok("a")),
        (-1.7162801268710093e56, Some(16.0), Ok("-6ffe14baab1c08000000000000000000000000000000000")),
    ];
    for (value, radix, answer) in cases.iter().cloned() {
        assert_eq!(format_base(value, radix).as_deref().map_err(code), answer, "{value} {radix:?}");
    }
}
#[test]
fn powers_are_those_of_v8_to_the_last_digit() {
    let cases: &[(f64, f64, Answer<f64>)] = &[
        (2.0, 10.0, Ok(1024.0)),
        (3.0, 0.5, Ok(1.7320508075688772)),
        (2.0, 1.5, Ok(2.82842712474619)),
        (10.0, -5.0, Ok(0.000009999999999999999)),
        (36384.0, 10.0, Ok(4.0654107392880285e45)),
        (0.015, 10.0, Ok(5.766503906249999e-19)),
        (99.0, 99.0, Ok(3.697296376497268e197)),
        (-2.0, 3.0, Ok(-8.0)),
        (-8.0, 0.3333333333333333, Err("D3061")),
        (0.0, -1.0, Err("D3061")),
        (0.0, 0.0, Ok(1.0)),
        (10.0, 400.0, Err("D3061")),
        (1e-200, 2.0, Ok(0.0)),
        (5e-324, 0.5, Ok(2.2227587494850775e-162)),
        (1.0000000001, 10000000000.0, Ok(2.7182820532347876)),
        (2.0, -1074.5, Ok(5e-324)),
        (2.0, -1080.0, Ok(0.0)),
        (0.9999999, 3000000000.0, Ok(5.148123812906097e-131)),
        (-0.9999999, 4294967297.0, Ok(-2.9643608405988506e-187)),
        (3.0, 2.5, Ok(15.588457268119896)),
    ];
    for (base, exponent, answer) in cases.iter().cloned() {
        assert_eq!(power(base, exponent).map_err(|failure| failure.code), answer.map_err(Into::into), "{base} {exponent}");
    }
}
#[test]
fn only_a_negative_number_has_no_square_root() {
    assert_eq!(square_root(2.0).unwrap(), std::f64::consts::SQRT_2);
    assert_eq!(square_root(-1.0).unwrap_err().code, "D3060");
}

#[test]
fn integers_are_read_as_far_as_there_are_digits() {
    for (text, answer) in [("12px", 12.0), (" -5", -5.0), ("+3", 3.0), ("0x1Fg", 31.0), ("1e3", 1.0), ("\u{feff}7", 7.0)] {
        assert_eq!(parse_integer(text), answer, "{text}");
    }
    assert!(["", "-", "x", "0x", "٣"].iter().all(|text| parse_integer(text).is_nan()));
}

fn written(value: f64, write: fn(f64, &mut String)) -> String {
    let mut text = String::new();
    write(value, &mut text);
    text
}
