//! Rows as a workbook, row by row in constant memory.
//!
//! Numbers, truth values and dates are cells of their kind. What a cell cannot hold exactly is text: integers and decimals of more
//! than 15 digits, days before March 1900, NaN and infinity. Times are kept to the millisecond.

use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, SchemaRef, TimeUnit};
use chrono::{DateTime, Utc};
use rust_xlsxwriter::{DocProperties, ExcelDateTime, Format, Workbook, Worksheet, XlsxError};

use super::workspace::cannot;
use crate::error::{Context, Error, Result};
use crate::json::{Cell, Style};

/// Characters of a cell at most.
pub(super) const CELL_CHARACTERS: usize = 32_767;

/// Rows of a sheet at most, the header aside.
const SHEET_ROWS: u32 = 1_048_575;

/// The serial number of 1970-01-01, and that of 1900-03-01, before which Excel counts a day that was none.
const SERIAL_1970: f64 = 25_569.0;
const SERIAL_MARCH_1900: f64 = 61.0;

/// A workbook that is being written.
pub(super) struct ExcelFile {
    workbook: Workbook,
    path: PathBuf,
    /// The next row.
    row: u32,
    date: Format,
    second: Format,
    millisecond: Format,
}

impl ExcelFile {
    /// Starts a workbook with one sheet and its header.
    pub(super) fn create(path: &Path, sheet: &str, schema: &SchemaRef, created: DateTime<Utc>) -> Result<Self> {
        let mut workbook = Workbook::new();
        // The same run makes the same bytes, whenever.
        if let Ok(created) = ExcelDateTime::from_timestamp(created.timestamp()) {
            workbook.set_properties(&DocProperties::new().set_creation_datetime(&created));
        }
        if let Some(folder) = path.parent() {
            workbook.set_tempdir(folder).map_err(|error| failed("create", path, error))?;
        }
        let worksheet = workbook.add_worksheet_with_constant_memory().map_err(|error| failed("create", path, error))?;
        worksheet.set_name(sheet).map_err(|error| {
            Error::config(format!("`excel_options.sheet` is `{sheet}`, which is no name for a sheet"))
                .because(error)
                .hint("a sheet's name has 1 to 31 characters and none of [ ] : * ? / \\")
        })?;
        for (column, field) in schema.fields().iter().enumerate() {
            let column = u16::try_from(column).ok().filter(|column| *column < 16_384);
            let column = column
                .ok_or_else(|| Error::data("a sheet has at most 16384 columns").hint("`select` fewer columns, or write `parquet`"))?;
            worksheet.write_string(0, column, field.name()).map_err(|error| failed("write", path, error))?;
        }
        let format = |text| Format::new().set_num_format(text);
        Ok(Self {
            workbook,
            path: path.to_owned(),
            row: 1,
            date: format("yyyy-mm-dd"),
            second: format("yyyy-mm-dd hh:mm:ss"),
            millisecond: format("yyyy-mm-dd hh:mm:ss.000"),
        })
    }

    /// Adds rows.
    pub(super) fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        let Self { workbook, path, row, date, second, millisecond } = self;
        let wrong = |error| failed("write", path, error);
        let worksheet = workbook.worksheet_from_index(0).map_err(wrong)?;
        let columns: Vec<Column> = rows.columns().iter().map(Column::new).collect();
        let mut text = Vec::new();
        for index in 0..rows.num_rows() {
            if *row > SHEET_ROWS {
                return Err(Error::data(format!("an Excel sheet has at most {SHEET_ROWS} rows and a header"))
                    .hint("set `max_rows_per_file`, or write `parquet` or `csv`"));
            }
            for (column, number) in columns.iter().zip(0_u16..) {
                if !column.nothing && !column.cell.is_null(index) {
                    column.write(worksheet, index, *row, number, [date, second, millisecond], &mut text).map_err(wrong)?;
                }
            }
            *row += 1;
        }
        Ok(())
    }

    /// Writes the workbook to its file.
    pub(super) fn finish(mut self) -> Result<()> {
        self.workbook.save(&self.path).map_err(|error| failed("write", &self.path, error))
    }
}

/// A column and what its cells are.
struct Column {
    cell: Cell,
    values: Values,
    nothing: bool,
}

enum Values {
    /// Whether they are floats.
    Number(bool),
    Bool(ArrayRef),
    Date(ArrayRef),
    /// Microseconds, shown in UTC.
    Timestamp(ArrayRef),
    Text,
}

impl Column {
    fn new(array: &ArrayRef) -> Self {
        let cast = |to: &DataType| arrow_cast::cast(array, to).ok();
        let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
        let values = match array.data_type() {
            DataType::Boolean => Values::Bool(array.clone()),
            DataType::Date32 | DataType::Date64 => cast(&DataType::Date32).map_or(Values::Text, Values::Date),
            // Instants are shown in UTC whatever their zone: a cell has none.
            DataType::Timestamp(unit, Some(_)) => cast(&DataType::Timestamp(*unit, Some("UTC".into())))
                .and_then(|utc| arrow_cast::cast(&utc, &micros).ok())
                .map_or(Values::Text, Values::Timestamp),
            DataType::Timestamp(..) => cast(&micros).map_or(Values::Text, Values::Timestamp),
            number if number.is_numeric() => Values::Number(number.is_floating()),
            _ => Values::Text,
        };
        Self { cell: Cell::new(array, Style::default()), values, nothing: array.data_type().is_null() }
    }

    fn write(
        &self,
        sheet: &mut Worksheet,
        index: usize,
        row: u32,
        column: u16,
        [date, second, millisecond]: [&Format; 3],
        text: &mut Vec<u8>,
    ) -> Result<(), XlsxError> {
        text.clear();
        self.cell.write_text(index, text);
        match &self.values {
            Values::Bool(array) => {
                sheet.write_boolean(row, column, array.as_boolean().value(index))?;
                return Ok(());
            }
            Values::Number(float) => {
                let value: Option<f64> = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
                let digits = text.iter().filter(|byte| byte.is_ascii_digit()).count();
                // A float's own text always reads back the same; other numbers do while they have no more digits than a float holds.
                if let Some(value) = value.filter(|value| value.is_finite() && (*float || digits <= 15)) {
                    sheet.write_number(row, column, value)?;
                    return Ok(());
                }
            }
            Values::Date(array) => {
                let serial = f64::from(array.as_primitive::<arrow_array::types::Date32Type>().value(index)) + SERIAL_1970;
                if serial >= SERIAL_MARCH_1900 {
                    sheet.write_number_with_format(row, column, serial, date)?;
                    return Ok(());
                }
            }
            Values::Timestamp(array) => {
                let micros = array.as_primitive::<arrow_array::types::TimestampMicrosecondType>();
                if micros.is_valid(index) {
                    let millis = micros.value(index).div_euclid(1000);
                    let serial = millis as f64 / 86_400_000.0 + SERIAL_1970;
                    if serial >= SERIAL_MARCH_1900 {
                        let format = if millis % 1000 == 0 { second } else { millisecond };
                        sheet.write_number_with_format(row, column, serial, format)?;
                        return Ok(());
                    }
                }
            }
            Values::Text => {}
        }
        sheet.write_string(row, column, String::from_utf8_lossy(text))?;
        Ok(())
    }
}

/// Finds the first text of a row that is too long for a cell: the column's name and the text's characters.
pub(super) fn too_long(rows: &RecordBatch) -> Vec<(usize, String, usize)> {
    let mut found: Vec<(usize, String, usize)> = Vec::new();
    let mut text = Vec::new();
    for (field, column) in rows.schema_ref().fields().iter().zip(rows.columns()) {
        let cell = Cell::new(column, Style::default());
        let short = cell.text_bytes().is_some_and(|bytes| bytes.len() <= CELL_CHARACTERS);
        if short || !(cell.is_text() || cell.is_nested() || column.data_type().is_binary()) {
            continue;
        }
        for index in 0..rows.num_rows() {
            text.clear();
            cell.write_text(index, &mut text);
            // Excel counts UTF-16 units; no text has more of them than bytes.
            if text.len() > CELL_CHARACTERS {
                let characters = String::from_utf8_lossy(&text).encode_utf16().count();
                if characters > CELL_CHARACTERS && !found.iter().any(|(row, ..)| *row == index) {
                    found.push((index, field.name().clone(), characters));
                }
            }
        }
    }
    found.sort();
    found
}

fn failed(doing: &str, path: &Path, error: XlsxError) -> Error {
    match error {
        XlsxError::IoError(error) => cannot(doing, path, error),
        error => Err::<(), _>(error).outside(|| format!("cannot {doing} the workbook `{}`", path.display())).expect_err("it is an error"),
    }
}
