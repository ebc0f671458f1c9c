//! What the reference gives for pictures of numbers; each answer is of npm `jsonata` 2.2.2.

use super::{Answer, code};
use crate::library::{integer_picture, number_picture};

#[test]
fn numbers_are_written_by_pictures() {
    let cases: &[(f64, &str, Answer)] = &[
        (0.0, "#,##0.00", Ok("0.00")),
        (-1234.5678, "#,##0.00", Ok("-1,234.57")),
        (0.015, "#,##0.00", Ok("0.02")),
        (1234567.891, "#,##0.00", Ok("1,234,567.89")),
        (0.0, "0", Ok("0")),
        (-1234.5678, "0", Ok("-1235")),
        (0.015, "0", Ok("0")),
        (1234567.891, "0", Ok("1234568")),
        (0.0, "#.##", Ok(".0")),
        (-1234.5678, "#.##", Ok("-1234.57")),
        (0.015, "#.##", Ok(".02")),
        (1234567.891, "#.##", Ok("1234567.89")),
        (0.0, "000", Ok("000")),
        (-1234.5678, "000", Ok("-1235")),
        (0.015, "000", Ok("000")),
        (1234567.891, "000", Ok("1234568")),
        (0.0, "#0.0#e0", Ok("0.0e0")),
        (-1234.5678, "#0.0#e0", Ok("-1.23e3")),
        (0.015, "#0.0#e0", Ok("1.5e-2")),
        (1234567.891, "#0.0#e0", Ok("1.23e6")),
        (0.0, "0.00%", Ok("0.00%")),
        (-1234.5678, "0.00%", Ok("-123456.78%")),
        (0.015, "0.00%", Ok("1.50%")),
        (1234567.891, "0.00%", Ok("123456789.10%")),
        (0.0, "0‰", Ok("0‰")),
        (-1234.5678, "0‰", Ok("-1234568‰")),
        (0.015, "0‰", Ok("15‰")),
        (1234567.891, "0‰", Ok("1234567891‰")),
        (0.0, "#,##,###", Ok(",0,")),
        (-1234.5678, "#,##,###", Ok("-12,35,")),
        (0.015, "#,##,###", Ok(",0,")),
        (1234567.891, "#,##,###", Ok("12,34,568")),
        (0.0, "#0.###;(0.00)", Ok("0")),
        (-1234.5678, "#0.###;(0.00)", Ok("(1234.57)")),
        (0.015, "#0.###;(0.00)", Ok("0.015")),
        (1234567.891, "#0.###;(0.00)", Ok("1234567.891")),
        (0.0, "#,#,0", Ok("0")),
        (-1234.5678, "#,#,0", Ok("-1,2,3,5")),
        (0.015, "#,#,0", Ok("0")),
        (1234567.891, "#,#,0", Ok("1,2,3,4,5,6,8")),
        (0.0, "0.0,0", Ok("0.0,0")),
        (-1234.5678, "0.0,0", Ok("-1234.5,7")),
        (0.015, "0.0,0", Ok("0.0,2")),
        (1234567.891, "0.0,0", Ok("1234567.8,9")),
        (0.0, "####e00", Ok("0.e00")),
        (-1234.5678, "####e00", Ok("-0.e04")),
        (0.015, "####e00", Ok("0.e-01")),
        (1234567.891, "####e00", Ok("0.e07")),
        (0.0, ".00", Ok(".00")),
        (-1234.5678, ".00", Ok("-1234.57")),
        (0.015, ".00", Ok(".02")),
        (1234567.891, ".00", Ok("1234567.89")),
        (0.0, "$#0.00 EUR", Ok("$0.00 EUR")),
        (-1234.5678, "$#0.00 EUR", Ok("-$1234.57 EUR")),
        (0.015, "$#0.00 EUR", Ok("$0.02 EUR")),
        (1234567.891, "$#0.00 EUR", Ok("$1234567.89 EUR")),
        (0.0, "#,###,#0", Ok(",,0")),
        (-1234.5678, "#,###,#0", Ok("-123,5,")),
        (0.015, "#,###,#0", Ok(",,0")),
        (1234567.891, "#,###,#0", Ok("12,345,68")),
        (0.0, "", Err("D3085")),
        (-1234.5678, "", Err("D3085")),
        (0.015, "", Err("D3085")),
        (1234567.891, "", Err("D3085")),
        (1.0, "#.#.#", Err("D3081")),
        (1.0, "0%%", Err("D3082")),
        (1.0, "0‰‰", Err("D3083")),
        (1.0, "0%‰", Err("D3084")),
        (1.0, "x", Err("D3086")),
        (1.0, "0x0", Err("D3086")),
        (1.0, "0,.0", Err("D3087")),
        (1.0, "0,", Err("D3088")),
        (1.0, "0,,0", Err("D3089")),
        (1.0, "0#", Err("D3090")),
        (1.0, "0.#0", Err("D3091")),
        (1.0, "0e0%", Err("D3092")),
        (1.0, "0e", Err("D3093")),
        (1.0, "0;0;0", Err("D3080")),
        (323049535043537.6, "0.00", Ok("323049535043537.63")),
        (1e21, "#,##0", Ok("1e,+21")),
        (0.30000000000000004, "0.0#", Ok("0.3")),
        (12345.6789, "00.000e0", Ok("12.346e3")),
        (0.0, "0.0e0", Ok("0.0e0")),
        (-0.05, "0.0", Ok("-0.0")),
        (1e-7, "0.00", Ok("0.00")),
    ];
    for (value, picture, answer) in cases.iter().cloned() {
        assert_eq!(number_picture::format(value, picture, &[]).as_deref().map_err(code), answer, "{value} {picture}");
    }
}
#[test]
fn the_signs_of_a_picture_are_options() {
    type Case = (f64, &'static str, &'static [(&'static str, &'static str)], Answer);
    let cases: &[Case] = &[
        (1234.5, "#.##0,00", &[("decimal-separator", ","), ("grouping-separator", ".")], Ok("1.234,50")),
        (1234.5, "#,##٠.٠٠", &[("zero-digit", "٠")], Ok("١,٢٣٤.٥٠")),
        (1234.5, "#,##0.00", &[("zero-digit", "٠")], Err("D3086")),
        (-1.0, "0", &[("minus-sign", "m")], Ok("m1")),
        (0.5, "0pc", &[("percent", "pc")], Ok("50pc")),
        (12345.0, "0.0E0", &[("exponent-separator", "E")], Ok("1.2E4")),
        (5.0, "0|(0)", &[("pattern-separator", "|")], Ok("5")),
        (5.0, "@@0", &[("digit", "@")], Ok("5")),
        (1.0, "#0.00 EUR", &[("decimal-separator", "|"), ("zero-digit", "|")], Ok("||0.00 EUR")),
    ];
    for (value, picture, options, answer) in cases.iter().cloned() {
        assert_eq!(number_picture::format(value, picture, options).as_deref().map_err(code), answer, "{value} {picture}");
    }
}
#[test]
fn integers_are_written_by_pictures() {
    let cases: &[(f64, &str, Answer)] = &[
        (0.0, "0", Ok("0")),
        (21.0, "0", Ok("21")),
        (-1234567.0, "0", Ok("-1234567")),
        (0.0, "000", Ok("000")),
        (21.0, "000", Ok("021")),
        (-1234567.0, "000", Ok("-1234567")),
        (0.0, "#,##0", Ok("0")),
        (21.0, "#,##0", Ok("21")),
        (-1234567.0, "#,##0", Ok("-1,234,567")),
        (0.0, "I", Ok("")),
        (21.0, "I", Ok("XXI")),
        (
            -1234567.0,
            "I",
            Ok(
                "-MMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMDLXVII",
            ),
        ),
        (0.0, "w", Ok("zero")),
        (21.0, "w", Ok("twenty-one")),
        (-1234567.0, "w", Ok("-one million, two hundred and thirty-four thousand, five hundred and sixty-seven")),
        (0.0, "Ww", Ok("Zero")),
        (21.0, "Ww", Ok("Twenty-One")),
        (-1234567.0, "Ww", Ok("-One Million, Two Hundred and Thirty-Four Thousand, Five Hundred and Sixty-Seven")),
        (0.0, "A", Ok("")),
        (21.0, "A", Ok("U")),
        (-1234567.0, "A", Ok("-BRFGI")),
        (0.0, "a", Ok("")),
        (21.0, "a", Ok("u")),
        (-1234567.0, "a", Ok("-brfgi")),
        (0.0, "0;o", Ok("0th")),
        (21.0, "0;o", Ok("21st")),
        (-1234567.0, "0;o", Ok("-1234567th")),
        (0.0, "w;o", Ok("zeroth")),
        (21.0, "w;o", Ok("twenty-first")),
        (-1234567.0, "w;o", Ok("-one million, two hundred and thirty-four thousand, five hundred and sixty-seventh")),
        (1999.0, "i", Ok("mcmxcix")),
        (4000.0, "I", Ok("MMMM")),
        (702.0, "a", Ok("zz")),
        (703.0, "A", Ok("AAA")),
        (112.0, "0;o", Ok("112th")),
        (1000000000000.0, "w", Ok("one trillion")),
        (1000000000000000.0, "Ww;o", Ok("One Thousand Trillionth")),
        (1e21, "0", Ok("1e+21")),
        (12.9, "0", Ok("12")),
        (-12.1, "0", Ok("-13")),
        (1234567.0, "#,##,#0", Ok("1,23,45,67")),
        (1234567.0, "###:###", Err("D3130")),
        (12.0, "#,##,0", Ok(",,2")),
        (1.0, "#,##,0", Ok(",,1")),
        (12345.0, "٠٠,٠٠٠", Ok("١٢,٣٤٥")),
        (12345.0, "#😀00", Ok("1😀23😀45")),
        (12345.0, "#😀0-0", Ok("123😀4-5")),
        (5.0, "0٠", Err("D3131")),
        (5.0, "z", Err("D3130")),
        (5.0, "", Err("D3130")),
        (5.0, "1;x;o", Ok("5;xth")),
        (5.0, "N", Err("D3130")),
        (123.0, "0,", Ok("123,")),
        (123.0, ",0", Ok("1,2,3")),
    ];
    for (value, picture, answer) in cases.iter().cloned() {
        assert_eq!(integer_picture::format(value, picture).as_deref().map_err(code), answer, "{value} {picture}");
    }
}
#[test]
fn integers_are_read_by_pictures() {
    let cases: &[(&str, &str, Answer<f64>)] = &[
        ("123", "0", Ok(123.0)),
        ("1,234", "#,##0", Ok(1234.0)),
        ("1.234", "#.##0", Ok(1.0)),
        ("1-2", "0-0,0", Ok(12.0)),
        ("21st", "0;o", Ok(21.0)),
        ("12abc", "0", Ok(12.0)),
        ("", "0", Ok(f64::NAN)),
        (" 7", "0", Ok(7.0)),
        ("0x1F", "0", Ok(31.0)),
        ("MCMXCIX", "I", Ok(1999.0)),
        ("mcmxcix", "i", Ok(1999.0)),
        ("ı", "i", Ok(1.0)),
        ("VX", "I", Ok(5.0)),
        ("Z", "i", Ok(f64::NAN)),
        ("c", "a", Ok(3.0)),
        ("ABC", "A", Ok(731.0)),
        ("", "a", Ok(0.0)),
        ("twelve", "w", Ok(12.0)),
        ("TWELVE", "W", Ok(12.0)),
        ("one hundred and twenty-three thousand, four hundred and fifty-six", "w", Ok(123456.0)),
        ("two thousand and one", "w", Ok(2001.0)),
        ("third", "w;o", Ok(3.0)),
        ("hundreieth", "w", Ok(0.0)),
        ("one  two", "w", Ok(f64::NAN)),
        ("and", "w", Ok(f64::NAN)),
        ("one\\two", "w", Ok(3.0)),
        ("١٢", "٠", Ok(12.0)),
        ("5", "z", Err("D3130")),
        ("5", "0٠", Err("D3131")),
        ("99999999999999999999999", "A", Ok(-9.807200059501615e31)),
    ];
    for (text, picture, answer) in cases {
        match (integer_picture::parse(text, picture), answer) {
            (Ok(found), Ok(answer)) => {
                assert!(found == *answer || found.is_nan() && answer.is_nan(), "{text} {picture}: {found}, not {answer}")
            }
            (found, answer) => assert_eq!(found.map_err(|failure| failure.code), answer.map_err(Into::into), "{text} {picture}"),
        }
    }
    // An exception of JavaScript.
    assert_eq!(integer_picture::parse("12", "٠").unwrap_err().code, "D3137");
}
#[test]
fn what_would_be_endless_in_the_reference_is_refused() {
    let endless = number_picture::format(1.0, "0", &[("zero-digit", "")]);
    assert_eq!(endless.unwrap_err().code, "D3080");
    assert_eq!(integer_picture::format(1e9, "I").unwrap_err().code, "D2015");
    assert_eq!(integer_picture::format(f64::NAN, "w").unwrap_err().code, "D3130");
}
