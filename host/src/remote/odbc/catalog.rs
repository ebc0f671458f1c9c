//! What a database has, as its driver tells it: the same question for all of them.

use odbc_api::handles::{Statement as _, StatementImpl};
use odbc_api::sys::{HStmt, SQLColumnsW, SQLPrimaryKeysW, SqlReturn, WChar};
use odbc_api::{Cursor, CursorImpl, Error, ResultSetMetadata as _};

use super::{Session, Speech, Told};

/// A column of a table.
#[derive(Clone, Debug)]
pub struct TableColumn {
    schema: Option<String>,
    table: String,
    /// Its name.
    pub name: String,
    /// The number that ODBC has for its type.
    pub kind: i16,
    /// The database's own name for it.
    pub type_name: String,
    /// Letters, bytes or digits that it holds.
    pub size: Option<u32>,
    /// Digits behind the point.
    pub digits: Option<u32>,
    /// Whether it may be null.
    pub nullable: bool,
    /// Whether it has a value where none is given.
    pub has_default: bool,
}

/// A row of texts.
pub type Texts = Vec<Option<String>>;

// The one function of the catalogue that the crate has not.
unsafe extern "system" {
    fn SQLStatisticsW(
        statement: HStmt,
        catalog: *const WChar,
        catalog_length: i16,
        schema: *const WChar,
        schema_length: i16,
        table: *const WChar,
        table_length: i16,
        unique: u16,
        reserved: u16,
    ) -> SqlReturn;
}

impl Session {
    /// Runs a statement; answers its rows as texts.
    ///
    /// # Errors
    /// What the driver says.
    pub fn texts(&self, sql: &str) -> Result<Vec<Texts>, Told> {
        let ask = || match self.handle().execute(sql, (), None)? {
            Some(cursor) => read(cursor),
            None => Ok(Vec::new()),
        };
        ask().map_err(|error| self.told(&error))
    }

    /// The columns of a table in their order; none where there is no such table.
    ///
    /// # Errors
    /// What the driver says; a name that several schemas have, where nobody says which is meant.
    pub fn columns(&self, schema: Option<&str>, table: &str) -> Result<Vec<TableColumn>, Told> {
        let schema = match schema {
            Some(schema) => Some(schema.to_owned()),
            None => self.current_schema()?,
        };
        let rows = self.ask(schema.as_deref(), table, |statement, schema, table| {
            // SAFETY: the names live through the call, with the lengths that are said; nulls stand for whatever there is.
            unsafe { SQLColumnsW(statement, std::ptr::null(), 0, schema.0, schema.1, table.0, table.1, std::ptr::null(), 0) }
        })?;
        let column = |row: Texts| {
            let text = |index: usize| row.get(index).cloned().flatten();
            let number = |index: usize| text(index).and_then(|text| text.trim().parse::<i64>().ok());
            TableColumn {
                schema: text(1).filter(|schema| !schema.is_empty()),
                table: text(2).unwrap_or_default(),
                name: text(3).unwrap_or_default(),
                kind: number(4).and_then(|kind| i16::try_from(kind).ok()).unwrap_or_default(),
                type_name: text(5).unwrap_or_default().to_ascii_lowercase(),
                size: number(6).and_then(|size| u32::try_from(size).ok()),
                digits: number(8).and_then(|digits| u32::try_from(digits).ok()),
                nullable: number(10) != Some(0),
                has_default: text(12).is_some_and(|default| !default.trim().is_empty() && !default.trim().eq_ignore_ascii_case("null")),
            }
        };
        // In a name that is looked for, `_` stands for any letter; SQLite's names are the same in capitals.
        let same = |name: &str| name == table || self.speech == Speech::Other && name.eq_ignore_ascii_case(table);
        let is_it = |column: &TableColumn| same(&column.table) && (schema.is_none() || column.schema.is_none() || column.schema == schema);
        let columns: Vec<TableColumn> = rows.into_iter().map(column).filter(is_it).collect();
        if let Some(other) = columns.iter().find(|column| column.schema != columns[0].schema) {
            let name = |column: &TableColumn| column.schema.clone().unwrap_or_default();
            let message =
                format!("the schemas `{}` and `{}` both have a table `{table}`: name one as `schema_name`", name(&columns[0]), name(other));
            return Err(Told { state: String::new(), number: 0, message });
        }
        Ok(columns)
    }

    /// The columns of the primary key and of each unique index of a table.
    ///
    /// # Errors
    /// What the driver says.
    pub fn unique_keys(&self, schema: Option<&str>, table: &str) -> Result<Vec<Vec<String>>, Told> {
        let schema = match schema {
            Some(schema) => Some(schema.to_owned()),
            None => self.current_schema()?,
        };
        let primary = self.ask(schema.as_deref(), table, |statement, schema, table| {
            // SAFETY: as for the columns.
            unsafe { SQLPrimaryKeysW(statement, std::ptr::null(), 0, schema.0, schema.1, table.0, table.1) }
        })?;
        let mut keys = vec![primary.iter().filter_map(|row| row.get(3).cloned().flatten()).collect::<Vec<_>>()];
        let indexes = self.ask(schema.as_deref(), table, |statement, schema, table| {
            // SAFETY: as for the columns; 0 asks for unique indexes, 1 for no more work than needed.
            unsafe { SQLStatisticsW(statement, std::ptr::null(), 0, schema.0, schema.1, table.0, table.1, 0, 1) }
        })?;
        let mut last = None;
        for row in &indexes {
            let text = |index: usize| row.get(index).cloned().flatten().filter(|text| !text.is_empty());
            // A row about the table has no index; an index with a condition settles nothing.
            let (Some(index), Some(column), None) = (text(5), text(8), text(12)) else { continue };
            match keys.last_mut().filter(|_| last.as_ref() == Some(&index)) {
                Some(key) => key.push(column),
                None => keys.push(vec![column]),
            }
            last = Some(index);
        }
        keys.retain(|key| !key.is_empty());
        Ok(keys)
    }

    /// The schema in which a name without one is looked for.
    fn current_schema(&self) -> Result<Option<String>, Told> {
        let sql = match self.speech {
            Speech::Mssql => "SELECT SCHEMA_NAME()",
            Speech::Oracle => "SELECT SYS_CONTEXT('USERENV', 'CURRENT_SCHEMA') FROM dual",
            Speech::Postgres => "SELECT current_schema()",
            Speech::Other => return Ok(None),
        };
        Ok(self.texts(sql)?.into_iter().next().and_then(|mut row| row.swap_remove(0)))
    }

    /// Asks a function of the catalogue about a table.
    fn ask(
        &self,
        schema: Option<&str>,
        table: &str,
        question: impl FnOnce(HStmt, (*const WChar, i16), (*const WChar, i16)) -> SqlReturn,
    ) -> Result<Vec<Texts>, Told> {
        let schema: Option<Vec<u16>> = schema.map(|schema| schema.encode_utf16().collect());
        let table: Vec<u16> = table.encode_utf16().collect();
        let given = |name: &[u16]| (name.as_ptr(), i16::try_from(name.len()).unwrap_or(i16::MAX));
        let schema = schema.as_deref();
        let ask = || {
            let statement = self.handle().preallocate()?.into_handle();
            match question(statement.as_sys(), schema.map_or((std::ptr::null(), 0), given), given(&table)) {
                SqlReturn::SUCCESS | SqlReturn::SUCCESS_WITH_INFO => {}
                _ => return Err(error_of(&statement)),
            }
            // SAFETY: a function of the catalogue that succeeded leaves its statement with a result.
            read(unsafe { CursorImpl::new(statement) })
        };
        ask().map_err(|error: Error| self.told(&error))
    }
}

/// What a statement says after a call that failed.
fn error_of(statement: &StatementImpl<'_>) -> Error {
    let mut record = odbc_api::handles::Record::with_capacity(512);
    match record.fill_from(statement, 1) {
        true => Error::Diagnostics { record, function: "catalogue" },
        false => Error::NoDiagnostics { function: "catalogue" },
    }
}

/// The rows of a cursor as texts.
fn read(mut cursor: CursorImpl<StatementImpl<'_>>) -> Result<Vec<Texts>, Error> {
    let width = u16::try_from(cursor.num_result_cols()?).unwrap_or(0);
    let (mut rows, mut room) = (Vec::new(), Vec::new());
    while let Some(mut row) = cursor.next_row()? {
        let mut texts = Vec::with_capacity(width.into());
        for number in 1..=width {
            let is_some = row.get_wide_text(number, &mut room)?;
            texts.push(is_some.then(|| String::from_utf16_lossy(&room)));
        }
        rows.push(texts);
    }
    Ok(rows)
}
