//! What a database said in place of doing what it was asked.

use crate::error::Error;
use crate::remote::Tunnel;

/// An answer that is not the one that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) why: Why,
    /// Its own words.
    pub(super) message: String,
    /// The row of those that were sent, from 0, where it tells.
    pub(super) row: Option<usize>,
    /// The column, where it tells.
    pub(super) column: Option<String>,
}

/// What it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// A row is not taken; a short stable name for the reason.
    Row(&'static str),
    /// The connection is gone.
    Lost,
    /// Somebody else and we waited for each other, and the database undid what we did.
    Deadlock,
    /// Somebody else holds what is needed.
    Busy,
    /// The statement took too long, or somebody has cancelled it.
    Ended,
    /// The run is to end, and is not to wait.
    Stopped,
    /// We may not.
    Denied,
    /// What is asked cannot be: a name that is not there, SQL that is none, a view where it takes a table.
    Asked,
    /// Anything else.
    Other,
}

impl Said {
    /// Something without a row or a column.
    pub(super) fn new(why: Why, message: impl Into<String>) -> Self {
        Self { why, message: message.into(), row: None, column: None }
    }

    /// Blames the tunnel, where it is that which broke.
    pub(super) fn through(mut self, tunnel: Option<&Tunnel>) -> Self {
        if self.why == Why::Lost
            && let Some(fault) = tunnel.and_then(Tunnel::fault)
        {
            self.message = fault;
        }
        self
    }

    /// As an error of the run; `doing` says what we were about.
    pub(super) fn error(self, doing: impl Into<String>) -> Error {
        let Self { why, message, .. } = self;
        let error = Error::outside(doing).because(anyhow::anyhow!("{message}"));
        match why {
            Why::Row(_) => Error::data(error.to_string()).because(anyhow::anyhow!("{message}")),
            Why::Lost => {
                error.lost().hint("check that the database is up and try again; with checkpoints, `--resume` goes on where it was")
            }
            Why::Deadlock => error
                .lost()
                .hint("another session and this load waited for each other: let them run one after the other, or raise `max_retries`"),
            Why::Busy => error.hint("another session holds the table, or has cancelled this one: try again once it has ended"),
            Why::Ended => {
                error.hint("raise `options[statement_timeout]` of the URL, where it is set; else somebody has cancelled the statement")
            }
            Why::Stopped => error.given_up(),
            Why::Denied => error.hint("grant the user what it needs, or name another user in `connection_string`"),
            Why::Asked => Error::config(error.to_string()).because(anyhow::anyhow!("{message}")),
            Why::Other => error,
        }
    }
}

/// The name of a reason for which a row is not taken, by the SQLSTATE that standard and PostgreSQL have for it.
pub(super) fn by_sqlstate(state: &str) -> Why {
    Why::Row(match state {
        "23505" => "unique_violation",
        "23502" => "not_null_violation",
        "23503" => "foreign_key_violation",
        "23514" => "check_violation",
        "23P01" => "exclusion_violation",
        "22001" => "string_too_long",
        "22003" => "number_out_of_range",
        "22P02" | "22P03" => "invalid_text_representation",
        "22007" | "22008" | "22009" => "invalid_datetime",
        "22021" | "22P05" => "invalid_byte_sequence",
        // `RAISE`, `ASSERT` and `INTO STRICT` of a trigger, and what the standard has for conditions of one's own.
        "P0001" | "P0002" | "P0003" | "P0004" => "raised_by_trigger",
        state if state.starts_with("45") => "raised_by_trigger",
        "44000" => "with_check_option_violation",
        // A page takes no row of that length, or an index no value.
        "54000" => "row_too_long",
        state if state.starts_with("23") => "integrity_violation",
        state if state.starts_with("22") => "data_exception",
        "57P01" | "57P02" | "57P03" => return Why::Lost,
        state if state.starts_with("08") => return Why::Lost,
        "40P01" | "40001" => return Why::Deadlock,
        "55P03" | "57014" => return Why::Busy,
        "42501" => return Why::Denied,
        // Too many columns, a view that takes no rows, and what this table or this version cannot do.
        "54011" | "55000" | "0A000" => return Why::Asked,
        state if state.starts_with("42") => return Why::Asked,
        _ => return Why::Other,
    })
}

/// Whether a SQLSTATE is of a class that the standard leaves to others and that neither PostgreSQL nor MySQL took: whoever wrote a trigger did.
pub(super) fn is_of_users(state: &str) -> bool {
    let taken = ["53", "54", "55", "57", "58", "70", "72", "P0", "XA", "XX"];
    state.starts_with(|first: char| matches!(first, '5'..='9' | 'I'..='Z')) && !taken.iter().any(|class| state.starts_with(class))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_of_users_are_told_from_those_of_the_server() {
        for state in ["UE001", "77777", "I0000", "ZZZZZ", "59000"] {
            assert!(is_of_users(state), "{state}");
        }
        for state in ["53100", "57P01", "XX000", "XA100", "HV000", "F0000", "42P01", "HY000", "00000", ""] {
            assert!(!is_of_users(state), "{state}");
        }
        assert_eq!(by_sqlstate("45000"), Why::Row("raised_by_trigger"));
    }
}
