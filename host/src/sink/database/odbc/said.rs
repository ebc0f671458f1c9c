//! What the answer of a driver means.

use super::super::said::{Said, Why, by_sqlstate};
use crate::remote::odbc::Told;

/// Reads an answer: by the numbers of SQL Server and Oracle, whose SQLSTATEs are few, else by SQLSTATE.
pub(super) fn said(told: Told) -> Said {
    let Told { state, number, message } = told;
    let lower = message.to_ascii_lowercase();
    // A number counts only for those who are known to have it.
    let mssql = match number {
        2627 | 2601 => Some(Why::Row("unique_violation")),
        515 => Some(Why::Row("not_null_violation")),
        547 if lower.contains("check") => Some(Why::Row("check_violation")),
        547 => Some(Why::Row("foreign_key_violation")),
        8152 | 2628 => Some(Why::Row("string_too_long")),
        220 | 8115 => Some(Why::Row("number_out_of_range")),
        241 | 242 | 295 | 296 => Some(Why::Row("invalid_datetime")),
        245 | 8114 | 8169 => Some(Why::Row("invalid_text_representation")),
        1205 | 1222 => Some(Why::Busy),
        229 | 230 | 262 => Some(Why::Denied),
        _ => None,
    };
    let oracle = match number {
        1 => Some(Why::Row("unique_violation")),
        1400 | 1407 => Some(Why::Row("not_null_violation")),
        2291 | 2292 => Some(Why::Row("foreign_key_violation")),
        2290 => Some(Why::Row("check_violation")),
        12899 | 1461 => Some(Why::Row("string_too_long")),
        1438 | 1426 => Some(Why::Row("number_out_of_range")),
        1722 => Some(Why::Row("invalid_text_representation")),
        1830..=1899 => Some(Why::Row("invalid_datetime")),
        20000..=20999 => Some(Why::Row("raised_by_trigger")),
        54 | 60 => Some(Why::Busy),
        1031 => Some(Why::Denied),
        28 | 1012 | 3113 | 3114 | 3135 => Some(Why::Lost),
        _ => None,
    };
    let why = match state.as_str() {
        state if state.starts_with("08") => Why::Lost,
        "HYT00" | "HYT01" => Why::Busy,
        _ if lower.contains("ora-") => oracle.unwrap_or_else(|| by_sqlstate(&state)),
        "23000" | "22001" | "22003" | "22007" | "22008" | "22018" | "42000" | "40001" => mssql.unwrap_or_else(|| by_sqlstate(&state)),
        // SQLite's driver has one SQLSTATE for everything.
        "HY000" if lower.contains("constraint") => constraint(&lower),
        "HY000" if lower.contains("locked") => Why::Busy,
        _ => by_sqlstate(&state),
    };
    Said::new(why, message)
}

fn constraint(lower: &str) -> Why {
    let known = [
        ("unique", "unique_violation"),
        ("not null", "not_null_violation"),
        ("foreign key", "foreign_key_violation"),
        ("check", "check_violation"),
    ];
    Why::Row(known.into_iter().find(|(word, _)| lower.contains(word)).map_or("integrity_violation", |(_, name)| name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_told_from_a_connection_whoever_answers() {
        let why = |state: &str, number, message: &str| said(Told { state: state.into(), number, message: message.into() }).why;
        assert_eq!(why("23000", 2627, "Violation of PRIMARY KEY constraint"), Why::Row("unique_violation"));
        assert_eq!(why("23000", 547, "The INSERT statement conflicted with the CHECK constraint"), Why::Row("check_violation"));
        assert_eq!(why("22001", 2628, "String or binary data would be truncated"), Why::Row("string_too_long"));
        assert_eq!(why("42000", 229, "The INSERT permission was denied"), Why::Denied);
        assert_eq!(why("42000", 102, "Incorrect syntax"), Why::Asked);
        assert_eq!(why("23000", 1, "ORA-00001: unique constraint (S.PK) violated"), Why::Row("unique_violation"));
        assert_eq!(why("HY000", 12899, "ORA-12899: value too large for column"), Why::Row("string_too_long"));
        assert_eq!(why("08S01", 0, "Communication link failure"), Why::Lost);
        assert_eq!(why("HY000", 3113, "ORA-03113: end-of-file on communication channel"), Why::Lost);
        assert_eq!(why("23505", 1, "duplicate key value"), Why::Row("unique_violation"));
        assert_eq!(why("HY000", 19, "UNIQUE constraint failed: t.id (19)"), Why::Row("unique_violation"));
    }
}
