//! What the reference gives for dates; each answer is of npm `jsonata` 2.2.2 on Node.js 20 in UTC.

use super::{Answer, code};
use crate::library::date_picture::{from_millis, to_millis};

/// 2024-02-29T12:34:56.789Z.
const NOW: f64 = 1_709_210_096_789.0;

/// A moment, where there is one.
type Millis = Answer<Option<f64>>;

#[test]
fn moments_are_written_by_pictures() {
    let cases: &[(f64, Option<&str>, Option<&str>, Answer)] = &[
        (1709210096789.0, None, None, Ok("2024-02-29T12:34:56.789Z")),
        (0.0, None, None, Ok("1970-01-01T00:00:00.000Z")),
        (-1.0, None, None, Ok("1969-12-31T23:59:59.999Z")),
        (0.9, None, None, Ok("1970-01-01T00:00:00.000Z")),
        (-62167219200000.0, None, None, Ok("0000-01-01T00:00:00.000Z")),
        (253402300800000.0, None, None, Ok("0000-01-01T00:00:00.000Z")),
        (8640000000000000.0, None, None, Ok("5760-09-13T00:00:00.000Z")),
        (8640000000000001.0, None, None, Ok("0NaN-NaN-NaNTNaN:NaN:NaN.NaNZ")),
        (1709210096789.0, Some("[Y0001]-[M01]-[D01]"), None, Ok("2024-02-29")),
        (1104537600000.0, Some("[Y0001]-[M01]-[D01]"), None, Ok("2005-01-01")),
        (1709210096789.0, Some("[D1o] [MNn] [Y]"), None, Ok("29th February 2024")),
        (1104537600000.0, Some("[D1o] [MNn] [Y]"), None, Ok("1st January 2005")),
        (1709210096789.0, Some("[FNn], [D] [MNn,*-3] [Y] [H01]:[m01]:[s01] [z]"), None, Ok("Thursday, 29 Feb 2024 12:34:56 GMT+00:00")),
        (1104537600000.0, Some("[FNn], [D] [MNn,*-3] [Y] [H01]:[m01]:[s01] [z]"), None, Ok("Saturday, 1 Jan 2005 00:00:00 GMT+00:00")),
        (1709210096789.0, Some("[h]:[m01] [P]"), None, Ok("12:34 pm")),
        (1104537600000.0, Some("[h]:[m01] [P]"), None, Ok("12:00 am")),
        (1709210096789.0, Some("[h] [PN]"), None, Ok("12 PM")),
        (1104537600000.0, Some("[h] [PN]"), None, Ok("12 AM")),
        (1709210096789.0, Some("[X0001]-W[W01]-[F1]"), None, Ok("2024-W09-4")),
        (1104537600000.0, Some("[X0001]-W[W01]-[F1]"), None, Ok("2004-W53-6")),
        (1709210096789.0, Some("[xNn] [w]"), None, Ok("February 5")),
        (1104537600000.0, Some("[xNn] [w]"), None, Ok("December 5")),
        (1709210096789.0, Some("[Yi]/[MI]/[Dw]"), None, Ok("mmxxiv/II/twenty-nine")),
        (1104537600000.0, Some("[Yi]/[MI]/[Dw]"), None, Ok("mmv/I/one")),
        (1709210096789.0, Some("[dwo] day of [YWw]"), None, Ok("sixtieth day of Two Thousand and Twenty-Four")),
        (1104537600000.0, Some("[dwo] day of [YWw]"), None, Ok("first day of Two Thousand and Five")),
        (1709210096789.0, Some("[M,2-2]/[D,2]/[Y,2-2]"), None, Ok("02/29/24")),
        (1104537600000.0, Some("[M,2-2]/[D,2]/[Y,2-2]"), None, Ok("01/01/05")),
        (1709210096789.0, Some("[E] [C]"), None, Ok("ISO ISO")),
        (1104537600000.0, Some("[E] [C]"), None, Ok("ISO ISO")),
        (1709210096789.0, Some("[Z01:01t]"), None, Ok("Z")),
        (1104537600000.0, Some("[Z01:01t]"), None, Ok("Z")),
        (1709210096789.0, Some("[Z]"), None, Ok("+00:00")),
        (1104537600000.0, Some("[Z]"), None, Ok("+00:00")),
        (1709210096789.0, Some("[z0]"), None, Ok("GMT+0")),
        (1104537600000.0, Some("[z0]"), None, Ok("GMT+0")),
        (1709210096789.0, Some("[Z0000]"), None, Ok("+0000")),
        (1104537600000.0, Some("[Z0000]"), None, Ok("+0000")),
        (1709210096789.0, Some("[FN,3-3] [MA] [da]"), None, Ok("THU B bh")),
        (1104537600000.0, Some("[FN,3-3] [MA] [da]"), None, Ok("SAT A a")),
        (1709210096789.0, Some("lit [[x]] [Y]"), None, Ok("lit [x] 2024")),
        (1104537600000.0, Some("lit [[x]] [Y]"), None, Ok("lit [x] 2005")),
        (1709210096789.0, Some("[f] [f001]"), None, Ok("789 789")),
        (1104537600000.0, Some("[f] [f001]"), None, Ok("0 000")),
        (1709210096789.0, Some("[q1]"), None, Ok("undefined")),
        (1104537600000.0, Some("[q1]"), None, Ok("undefined")),
        (1709210096789.0, Some("[ Y 0 ]"), None, Ok("2024")),
        (1104537600000.0, Some("[ Y 0 ]"), None, Ok("2005")),
        (1709210096789.0, Some("[Y"), None, Err("D3135")),
        (1709210096789.0, Some("[q]"), None, Err("D3132")),
        (1709210096789.0, Some("[]"), None, Err("D3132")),
        (1709210096789.0, Some("[YN]"), None, Err("D3133")),
        (1709210096789.0, Some("[Z00000]"), None, Err("D3134")),
        (1709210096789.0, Some("[Y0٠]"), None, Err("D3131")),
        (1709210096789.0, Some("[Ybad]"), None, Err("D3130")),
        (1709210096789.0, Some("[H,x]"), None, Ok("12")),
        (1709210096789.0, Some("[Y,*-0]"), None, Ok("0")),
        (1709210096789.0, Some("[Y,2-]"), None, Ok("NaN")),
        (1709210096789.0, None, Some("+0100"), Ok("2024-02-29T13:34:56.789+01:00")),
        (1709210096789.0, Some("[H01]:[m01] [z] [Z0]"), Some("+0100"), Ok("13:34 GMT+01:00 +1")),
        (1709210096789.0, None, Some("-0530"), Ok("2024-02-29T06:04:56.789-06:30")),
        (1709210096789.0, Some("[H01]:[m01] [z] [Z0]"), Some("-0530"), Ok("06:04 GMT-06:30 -6:-30")),
        (1709210096789.0, None, Some("+1245"), Ok("2024-03-01T01:19:56.789+12:45")),
        (1709210096789.0, Some("[H01]:[m01] [z] [Z0]"), Some("+1245"), Ok("01:19 GMT+12:45 +12:45")),
        (1709210096789.0, None, Some("0"), Ok("2024-02-29T12:34:56.789Z")),
        (1709210096789.0, Some("[H01]:[m01] [z] [Z0]"), Some("0"), Ok("12:34 GMT+00:00 +0")),
        (1709210096789.0, None, Some("12345"), Ok("2024-03-05T16:19:56.789+1:23:45")),
        (1709210096789.0, Some("[H01]:[m01] [z] [Z0]"), Some("12345"), Ok("16:19 GMT+1:23:45 +123:45")),
        (1709210096789.0, None, Some(" +0200"), Ok("2024-02-29T14:34:56.789+02:00")),
        (1709210096789.0, Some("[H01]:[m01] [z] [Z0]"), Some(" +0200"), Ok("14:34 GMT+02:00 +2")),
        (1709210096789.0, None, Some("0x10"), Ok("2024-02-29T12:50:56.789+00:16")),
        (1709210096789.0, Some("[H01]:[m01] [z] [Z0]"), Some("0x10"), Ok("12:50 GMT+00:16 +0:16")),
        (1709210096789.0, None, Some("x"), Ok("0NaN-NaN-NaNTNaN:NaN:NaN.NaN0N:aN")),
        (1709210096789.0, Some("[FNn] [P] [Y]"), Some("x"), Ok("undefined am NaN")),
        (-60000000000000.0, Some("[Y]-[W]-[w]-[d]"), None, Ok("68-36-1-247")),
        (1577836799999.0, Some("[X]-[W]-[x]-[w]"), None, Ok("2020-1-1-1")),
    ];
    for (millis, picture, zone, answer) in cases.iter().cloned() {
        assert_eq!(from_millis(millis, picture, zone).as_deref().map_err(code), answer, "{millis} {picture:?} {zone:?}");
    }
}
fn same(one: Option<f64>, other: Option<f64>) -> bool {
    one == other || one.zip(other).is_some_and(|(one, other)| one.is_nan() && other.is_nan())
}

#[test]
fn dates_of_iso_8601_are_read_as_v8_does() {
    let cases: &[(&str, Option<&str>, Millis)] = &[
        ("2024-02-29T12:34:56.789Z", None, Ok(Some(1709210096789.0))),
        ("2024-02-29", None, Ok(Some(1709164800000.0))),
        ("2024-02", None, Ok(Some(1706745600000.0))),
        ("2024", None, Ok(Some(1704067200000.0))),
        ("2024-02-30", None, Ok(Some(1709251200000.0))),
        ("2023-02-31", None, Ok(Some(1677801600000.0))),
        ("2024-13-01", None, Ok(Some(f64::NAN))),
        ("2024-00", None, Ok(Some(f64::NAN))),
        ("2024-01-32", None, Ok(Some(f64::NAN))),
        ("2024-01-01T10:00:00", None, Ok(Some(1704103200000.0))),
        ("2024T10:00:00", None, Ok(Some(1704103200000.0))),
        ("2024-01-01T24:00:00", None, Ok(Some(1704153600000.0))),
        ("2024-01-01T24:00:01", None, Ok(Some(f64::NAN))),
        ("2024-01-01T10:00:00+02:00", None, Ok(Some(1704096000000.0))),
        ("2024-01-01T10:00:00-0530", None, Ok(Some(1704123000000.0))),
        ("2024-01-01T10:00:00+29:59", None, Ok(Some(f64::NAN))),
        ("2024-01-01T10:00:00.1", None, Ok(Some(1704103200100.0))),
        ("2024-01-01T10:00:00.9999", None, Ok(Some(1704103200999.0))),
        ("2024-01-01T10:00:00.0123456789012", None, Ok(Some(1704103200123.0))),
        ("2024-01-01T10:00", None, Err("D3110")),
        ("2024-01-01Z", None, Ok(Some(1704067200000.0))),
        ("2024.5", None, Ok(Some(1714521600000.0))),
        ("2024-01.5Z", None, Ok(Some(1704412800000.0))),
        ("0010-01.5", None, Ok(Some(1128124800000.0))),
        ("0050-01-01Z", None, Ok(Some(-631152000000.0))),
        ("0050-01-01", None, Ok(Some(-60589296000000.0))),
        ("0000-01-01T00:00:00Z", None, Ok(Some(-62167219200000.0))),
        ("2024-01-01+02:00", None, Ok(Some(f64::NAN))),
        ("2024-07-0530", None, Ok(Some(f64::NAN))),
        ("0010-26", None, Ok(Some(1004054400000.0))),
        ("9999-21T01:10:24", None, Ok(Some(f64::NAN))),
        ("2024-01-01T10:00:00z", None, Err("D3110")),
        ("", None, Err("D3110")),
        ("12th March", None, Err("D3110")),
        ("2024-01-01T10:00:00.", None, Err("D3110")),
        ("2024-02-29\n", None, Err("D3110")),
        ("９９９９", None, Err("D3110")),
    ];
    for (text, picture, answer) in cases.iter().cloned() {
        match (to_millis(text, picture, NOW), answer) {
            (Ok(found), Ok(answer)) => assert!(same(found, answer), "{text} {picture:?}: {found:?}, not {answer:?}"),
            (found, answer) => assert_eq!(found.map_err(|failure| failure.code), answer.map_err(Into::into), "{text} {picture:?}"),
        }
    }
}
#[test]
fn moments_are_read_by_pictures() {
    let cases: &[(&str, Option<&str>, Millis)] = &[
        ("29/02/2024 10:11", Some("[D01]/[M01]/[Y0001] [H01]:[m01]"), Ok(Some(1709201460000.0))),
        ("Thursday, 29th February 2024", Some("[FNn], [D1o] [MNn] [Y]"), Ok(Some(1709164800000.0))),
        ("20240229", Some("[Y0001][M01][D01]"), Ok(Some(1709164800000.0))),
        ("2024 60", Some("[Y] [d]"), Ok(Some(1709164800000.0))),
        ("2024 60 10", Some("[Y] [d] [H]"), Err("D3136")),
        ("10:11 pm", Some("[h]:[m] [P]"), Ok(Some(1709244660000.0))),
        ("12 am", Some("[h] [P]"), Ok(Some(1709164800000.0))),
        ("13 PM", Some("[h] [P]"), Ok(Some(1709254800000.0))),
        ("5", Some("[m]"), Ok(Some(1709208300000.0))),
        ("56", Some("[H]"), Ok(Some(1709366400000.0))),
        ("02/03", Some("[M01]/[D01]"), Ok(Some(1706918400000.0))),
        ("2024", Some("[Y]"), Ok(Some(1704067200000.0))),
        ("24", Some("[Y,2-2]"), Ok(Some(-1451692800000.0))),
        ("2024-05", Some("[Y]-[D]"), Err("D3136")),
        ("10 5", Some("[H] [s]"), Err("D3136")),
        ("2024-W09-4", Some("[X0001]-W[W01]-[F1]"), Err("D3136")),
        ("two thousand and twenty-four", Some("[Yw]"), Ok(Some(1704067200000.0))),
        ("MMXXIV", Some("[YI]"), Ok(Some(1704067200000.0))),
        ("mmxxiv", Some("[YI]"), Ok(Some(f64::NAN))),
        ("2024 Feb", Some("[Y] [MNn,3-3]"), Ok(Some(1706745600000.0))),
        ("2024 feb", Some("[Y] [MNn,3-3]"), Ok(Some(1704067200000.0))),
        ("2024-02-29T12:34:56.789+02:00", Some("[Y]-[M]-[D]T[H]:[m]:[s].[f][Z01:01]"), Ok(Some(1709202896789.0))),
        ("2024-02-29 -0530", Some("[Y]-[M]-[D] [Z0101]"), Ok(Some(1709181000000.0))),
        ("2024-02-29 GMT+05:30", Some("[Y]-[M]-[D] [z]"), Ok(Some(1709145000000.0))),
        ("2024-02-29 +5", Some("[Y]-[M]-[D] [Z0]"), Ok(Some(1709146800000.0))),
        ("x", Some("[Y]"), Ok(None)),
        ("lit", Some("lit"), Ok(None)),
        ("LIT", Some("lit"), Ok(None)),
        ("0", Some("[Y]"), Ok(Some(-2208988800000.0))),
        ("2024", Some("[YN]"), Err("D3133")),
        ("2024", Some("[Y"), Err("D3135")),
        ("2024", Some("[q]"), Err("D3132")),
        ("2024", Some("[Yz]"), Err("D3130")),
        ("2024-99-99", Some("[Y]-[M]-[D]"), Ok(Some(1970179200000.0))),
        ("1.2.2024", Some("[D].[M].[Y]"), Ok(Some(1706745600000.0))),
        ("1x2x2024", Some("[D].[M].[Y]"), Ok(None)),
        ("2024-1-1 .57", Some("[Y]-[M]-[D] .[f]"), Err("D3136")),
        ("3rd of january 2024", Some("[D1o] of [MNn] [Y]"), Err("D3136")),
    ];
    for (text, picture, answer) in cases.iter().cloned() {
        match (to_millis(text, picture, NOW), answer) {
            (Ok(found), Ok(answer)) => assert!(same(found, answer), "{text} {picture:?}: {found:?}, not {answer:?}"),
            (found, answer) => assert_eq!(found.map_err(|failure| failure.code), answer.map_err(Into::into), "{text} {picture:?}"),
        }
    }
}
