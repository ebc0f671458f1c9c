//! A statement that is run once for each row of an array of values, which goes over at once.

use std::mem::ManuallyDrop;
use std::num::NonZeroUsize;

use odbc_api::buffers::BufferDesc;
use odbc_api::handles::{AsStatementRef as _, Statement as _, StatementImpl};
use odbc_api::sys::{Date, HStmt, SQLGetStmtAttrW, SQLSetStmtAttrW, SqlReturn, StatementAttribute, Timestamp};
use odbc_api::{BindParamDesc, Bit, DataType, Error};

use super::{Session, Told};

/// Letters or bytes above which a value is of a long type.
const WIDE_TEXT: usize = 4_000;
const WIDE_BYTES: usize = 8_000;

/// What a driver writes to the state of a row that failed, and of one that was not looked at.
const FAILED: u16 = 5;
const UNUSED: u16 = 7;

/// Values of a parameter, one a row.
#[derive(Clone, Debug)]
pub enum Values {
    /// True or false.
    Bit(Vec<Option<bool>>),
    /// Integers.
    I64(Vec<Option<i64>>),
    /// Integers, where the database has none of 64 bits.
    I32(Vec<Option<i32>>),
    /// Floats.
    F64(Vec<Option<f64>>),
    /// Days.
    Date(Vec<Option<Date>>),
    /// Times without a zone, to the microsecond.
    Timestamp(Vec<Option<Timestamp>>),
    /// Texts as UTF-16; exact numbers where their digits behind the point are given.
    Text(Vec<Option<Vec<u16>>>, Option<i16>),
    /// Bytes.
    Bytes(Vec<Option<Vec<u8>>>),
}

impl Values {
    fn rows(&self) -> usize {
        match self {
            Self::Bit(values) => values.len(),
            Self::I64(values) => values.len(),
            Self::I32(values) => values.len(),
            Self::F64(values) => values.len(),
            Self::Date(values) => values.len(),
            Self::Timestamp(values) => values.len(),
            Self::Text(values, _) => values.len(),
            Self::Bytes(values) => values.len(),
        }
    }

    fn longest(&self) -> usize {
        let longest = match self {
            Self::Text(values, _) => values.iter().flatten().map(Vec::len).max(),
            Self::Bytes(values) => values.iter().flatten().map(Vec::len).max(),
            _ => None,
        };
        // Few lengths make few plans on the server.
        longest.unwrap_or(0).max(32).next_power_of_two()
    }

    /// Bytes that a buffer for them takes: all rows are as wide as the longest.
    pub fn room(&self) -> usize {
        let width = match self {
            Self::Text(..) => 2 * self.longest(),
            Self::Bytes(_) => self.longest(),
            _ => 16,
        };
        width * self.rows()
    }

    fn description(&self) -> BindParamDesc {
        let longest = self.longest();
        let length = NonZeroUsize::new(longest);
        let of = |buffer_desc, data_type| BindParamDesc { buffer_desc, data_type };
        match self {
            Self::Bit(_) => BindParamDesc::bit(true),
            Self::I64(_) => BindParamDesc::i64(true),
            Self::I32(_) => BindParamDesc::i32(true),
            Self::F64(_) => BindParamDesc::f64(true),
            Self::Date(_) => BindParamDesc::date(true),
            Self::Timestamp(_) => BindParamDesc::timestamp(true, 6),
            Self::Text(_, Some(scale)) => {
                of(BufferDesc::WText { max_str_len: longest }, DataType::Decimal { precision: 38, scale: *scale })
            }
            Self::Text(_, None) if longest <= WIDE_TEXT => of(BufferDesc::WText { max_str_len: longest }, DataType::WVarchar { length }),
            Self::Text(_, None) => of(BufferDesc::WText { max_str_len: longest }, DataType::WLongVarchar { length }),
            // Not `binary`, which is filled up with zeros.
            Self::Bytes(_) if longest <= WIDE_BYTES => of(BufferDesc::Binary { max_bytes: longest }, DataType::Varbinary { length }),
            Self::Bytes(_) => of(BufferDesc::Binary { max_bytes: longest }, DataType::LongVarbinary { length }),
        }
    }
}

/// What went wrong with an array.
#[derive(Clone, Debug)]
pub struct Refused {
    /// What the driver says.
    pub told: Told,
    /// The row, where it is certain which it is.
    pub row: Option<usize>,
}

impl Session {
    /// Runs a statement for each row of its parameters; answers the rows that it changed, where the driver tells.
    ///
    /// # Errors
    /// What the driver says; rows may have been changed nevertheless, up to there or beyond.
    pub fn execute_array(&self, sql: &str, parameters: &[Values]) -> Result<Option<u64>, Refused> {
        let rows = parameters.first().map_or(0, Values::rows);
        let refused = |error: &Error| Refused { told: self.told(error), row: None };
        let mut prepared = self.handle().prepare(sql).map_err(|error| refused(&error))?;
        let handle = prepared.as_stmt_ref().as_sys();
        let mut outcome = Outcome::new(rows);
        // Of many rows it must be known which were taken.
        let tells = outcome.bind(handle);
        let whole = rows <= 1 || tells && takes_arrays(handle, rows);
        let done = if whole {
            let descriptions = parameters.iter().map(Values::description);
            let run = || -> Result<Option<u64>, Error> {
                let mut inserter = prepared.column_inserter(rows, descriptions)?;
                inserter.set_num_rows(rows);
                for (index, values) in parameters.iter().enumerate() {
                    fill(inserter.column_mut(index), values);
                }
                drop(inserter.execute()?);
                changed(handle)
            };
            run().map_err(|error| refused(&error))
        } else {
            one_by_one(self, sql, parameters, rows)
        };
        outcome.unbind(handle);
        outcome.judged(done)
    }
}

/// For a driver that takes one row only.
fn one_by_one(session: &Session, sql: &str, parameters: &[Values], rows: usize) -> Result<Option<u64>, Refused> {
    let mut all = Some(0);
    for row in 0..rows {
        let own: Vec<Values> = parameters.iter().map(|values| values.at(row)).collect();
        let changed = session.execute_array(sql, &own).map_err(|refused| Refused { row: Some(row), ..refused })?;
        all = all.zip(changed).map(|(all, changed)| all + changed);
    }
    Ok(all)
}

impl Values {
    /// Those of one row.
    fn at(&self, row: usize) -> Self {
        match self {
            Self::Bit(values) => Self::Bit(vec![values[row]]),
            Self::I64(values) => Self::I64(vec![values[row]]),
            Self::I32(values) => Self::I32(vec![values[row]]),
            Self::F64(values) => Self::F64(vec![values[row]]),
            Self::Date(values) => Self::Date(vec![values[row]]),
            Self::Timestamp(values) => Self::Timestamp(vec![values[row]]),
            Self::Text(values, scale) => Self::Text(vec![values[row].clone()], *scale),
            Self::Bytes(values) => Self::Bytes(vec![values[row].clone()]),
        }
    }
}

/// Puts values into a buffer that is wide enough for them.
fn fill(buffer: odbc_api::buffers::BoxColumBufferRefMut<'_>, values: &Values) {
    const OURS: &str = "the buffer was made for these values";
    macro_rules! plain {
        ($kind:ty, $values:expr, $of:expr) => {{
            let mut cells = buffer.as_nullable_slice::<$kind>().expect(OURS);
            for (row, value) in $values.iter().enumerate() {
                cells.set_cell(row, value.map($of));
            }
        }};
    }
    match values {
        Values::Bit(values) => plain!(Bit, values, Bit::from_bool),
        Values::I64(values) => plain!(i64, values, |value| value),
        Values::I32(values) => plain!(i32, values, |value| value),
        Values::F64(values) => plain!(f64, values, |value| value),
        Values::Date(values) => plain!(Date, values, |value| value),
        Values::Timestamp(values) => plain!(Timestamp, values, |value| value),
        Values::Text(values, _) => {
            let mut cells = buffer.as_wide_text().expect(OURS);
            values.iter().enumerate().for_each(|(row, value)| cells.set_cell(row, value.as_deref()));
        }
        Values::Bytes(values) => {
            let mut cells = buffer.as_binary().expect(OURS);
            values.iter().enumerate().for_each(|(row, value)| cells.set_cell(row, value.as_deref()));
        }
    }
}

/// Adds up the rows that a statement changed, result after result: a row that failed may tell only then.
fn changed(statement: HStmt) -> Result<Option<u64>, Error> {
    // SAFETY: the statement is alive, and its owner frees it.
    let mut statement = ManuallyDrop::new(unsafe { StatementImpl::new(statement) });
    let mut all = Some(0u64);
    loop {
        let count = statement.row_count().into_result_without_logging(&*statement)?;
        all = all.zip(u64::try_from(count).ok()).map(|(all, count)| all + count);
        // SAFETY: the parameters are still there, and nothing else is bound.
        let more = unsafe { statement.more_results() };
        if !more.on_success(|| true).on_no_data(|| false).into_result_without_logging(&*statement)? {
            return Ok(all);
        }
    }
}

/// Whether a driver takes so many rows at once.
fn takes_arrays(statement: HStmt, rows: usize) -> bool {
    let mut accepted = 0usize;
    // SAFETY: a number is set by its value, and asked for into one that lives on.
    let answers = unsafe {
        [
            SQLSetStmtAttrW(statement, StatementAttribute::ParamsetSize, rows as *mut _, 0),
            SQLGetStmtAttrW(statement, StatementAttribute::ParamsetSize, (&raw mut accepted).cast(), 0, std::ptr::null_mut()),
        ]
    };
    answers.into_iter().all(is_done) && accepted == rows
}

fn is_done(answer: SqlReturn) -> bool {
    answer == SqlReturn::SUCCESS || answer == SqlReturn::SUCCESS_WITH_INFO
}

/// What a driver tells row by row: it may take some rows, refuse others, and call that a success.
struct Outcome {
    states: Vec<u16>,
    processed: Box<usize>,
}

impl Outcome {
    fn new(rows: usize) -> Self {
        Self { states: vec![0; rows.max(1)], processed: Box::new(0) }
    }

    /// Whether the driver tells.
    fn bind(&mut self, statement: HStmt) -> bool {
        let (states, processed): (*mut u16, *mut usize) = (self.states.as_mut_ptr(), &raw mut *self.processed);
        // SAFETY: both live until `unbind`, which is called before they go.
        let answers = unsafe {
            [
                SQLSetStmtAttrW(statement, StatementAttribute::ParamStatusPtr, states.cast(), 0),
                SQLSetStmtAttrW(statement, StatementAttribute::ParamsProcessedPtr, processed.cast(), 0),
            ]
        };
        answers.into_iter().all(is_done)
    }

    fn unbind(&self, statement: HStmt) {
        // SAFETY: nothing is written to any more; what a driver did not take it need not forget.
        unsafe {
            let _ = SQLSetStmtAttrW(statement, StatementAttribute::ParamStatusPtr, std::ptr::null_mut(), 0);
            let _ = SQLSetStmtAttrW(statement, StatementAttribute::ParamsProcessedPtr, std::ptr::null_mut(), 0);
        }
    }

    /// The row that failed, where it is the only one and all before it are done.
    fn failed(&self) -> Option<usize> {
        let first = self.states.iter().position(|state| *state == FAILED)?;
        let others = &self.states[first + 1..];
        (!self.states[..first].contains(&UNUSED) && !others.contains(&FAILED)).then_some(first)
    }

    fn judged(&self, done: Result<Option<u64>, Refused>) -> Result<Option<u64>, Refused> {
        let rows = self.states.len();
        match done {
            Err(refused) => Err(Refused { row: refused.row.or_else(|| self.failed()), ..refused }),
            Ok(_) if self.states.contains(&FAILED) || *self.processed != 0 && *self.processed < rows => {
                let message = format!("the driver took {} of {rows} rows, and calls that a success", *self.processed);
                Err(Refused { told: Told { state: "23000".into(), number: 0, message }, row: None })
            }
            Ok(changed) => Ok(changed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(states: &[u16], processed: usize) -> Outcome {
        Outcome { states: states.to_vec(), processed: Box::new(processed) }
    }

    #[test]
    fn a_success_of_some_rows_only_is_none() {
        assert!(outcome(&[0, 0, 0], 3).judged(Ok(Some(3))).is_ok());
        assert!(outcome(&[0, 0, 0], 0).judged(Ok(Some(3))).is_ok());
        assert!(outcome(&[0, FAILED, 0], 3).judged(Ok(Some(2))).is_err());
        assert!(outcome(&[0, 0, 0], 2).judged(Ok(Some(2))).is_err());
    }

    #[test]
    fn a_row_is_named_only_where_it_is_certain() {
        assert_eq!(outcome(&[0, 0, FAILED, UNUSED], 3).failed(), Some(2));
        assert_eq!(outcome(&[0, FAILED, 0], 3).failed(), Some(1));
        assert_eq!(outcome(&[FAILED, FAILED, FAILED], 3).failed(), None);
        assert_eq!(outcome(&[UNUSED, FAILED], 2).failed(), None);
        assert_eq!(outcome(&[0, 0], 2).failed(), None);
    }
}
