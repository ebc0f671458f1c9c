//! Runs a configured chain over a batch.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::{FieldRef, Schema, SchemaRef};
use etl_steps::{OnConvertError, Type};

use crate::alive::Alive;
use crate::chain::{Chain, Conversion, Instruction};
use crate::column::{pick, take, to_text};
use crate::convert::{self, Converted};
use crate::eval::{Frame, Unread, evaluate};
use crate::scope::Register;
use crate::{ColumnOp, Context, Derived, Emitted, Output, Problem, Rejection};

/// The rows on their way through the chain.
struct Run<'a> {
    registers: Vec<Option<ArrayRef>>,
    rows: usize,
    alive: Alive,
    origins: Option<Vec<u32>>,
    rejects: Vec<Rejection>,
    counters: Vec<(String, u64)>,
    context: &'a Context,
}

impl Chain {
    /// Works on one batch, of which `columns` has just the columns that the plan asked for, in that order.
    ///
    /// # Errors
    /// The columns are not those of the plan.
    pub fn process(&self, columns: &RecordBatch, context: &Context) -> Result<Output, Problem> {
        if columns.num_columns() != self.inputs.len() {
            return Err(mismatch(format!("the plan asks for {} columns, but {} came", self.inputs.len(), columns.num_columns())));
        }
        let mut registers = vec![None; self.width];
        for ((register, data_type), column) in self.inputs.iter().zip(columns.columns()) {
            if column.data_type() != data_type {
                return Err(mismatch(format!("input column {register} is {}, but was configured as {data_type}", column.data_type())));
            }
            registers[*register] = Some(column.clone());
        }
        let rows = columns.num_rows();
        let counters = self.missing.iter().map(|name| (format!("missing_column.{name}"), rows as u64)).collect();
        let mut run = Run { registers, rows, alive: Alive::all(rows), origins: None, rejects: Vec::new(), counters, context };
        for instruction in &self.instructions {
            run.step(instruction);
        }
        let output = if self.expands { run.emit(self) } else { run.derive(self) };
        output.map_err(|error| mismatch(error.to_string()))
    }
}

fn mismatch(message: String) -> Problem {
    Problem { field: None, code: "input_mismatch", message, help: None }
}

impl Run<'_> {
    fn step(&mut self, instruction: &Instruction) {
        match instruction {
            Instruction::Assign { to, name, node } => {
                let unread = Unread::default();
                let (registers, origins, alive) = (&self.registers, self.origins.as_deref(), &self.alive);
                let frame = Frame { registers, rows: self.rows, origins, alive, context: self.context, unread: &unread };
                self.registers[*to] = Some(evaluate(node, &frame));
                for (what, count) in [("converted_to_null", unread.nulled.get()), ("kept_unconverted", unread.kept.get())] {
                    if count > 0 {
                        self.counters.push((format!("{what}.{name}"), count));
                    }
                }
            }
            Instruction::Convert(conversion) => self.convert(conversion),
            Instruction::Filter { from, test } => {
                let mask = test.mask(self.register(*from));
                self.alive.retain(|row| mask.value(row));
            }
            Instruction::Nothing => self.alive.retain(|_| false),
            Instruction::Unnest { from, to, live } => self.unnest(*from, *to, live),
        }
    }

    fn register(&self, register: Register) -> &ArrayRef {
        self.registers[register].as_ref().expect("the plan fills a register before it is read")
    }

    fn origin(&self, row: u32) -> u32 {
        self.origins.as_ref().map_or(row, |origins| origins[row as usize])
    }

    fn convert(&mut self, conversion: &Conversion) {
        let Conversion { from, to, name, target, data_type, on_error, .. } = conversion;
        let source = self.register(*from).clone();
        let Converted { mut array, failures } = convert::convert(&source, target, data_type, &self.alive);
        match on_error {
            OnConvertError::Reject => {
                for row in failures {
                    let shown = convert::shown(&source, row as usize);
                    let message = format!("cannot convert `{shown}` in column `{name}` to {target}");
                    self.rejects.push(Rejection { row: self.origin(row), code: code(target), message, field: Some(name.clone()) });
                    self.alive.kill(row as usize);
                }
            }
            OnConvertError::Null if failures.is_empty() => {}
            OnConvertError::Null => self.counters.push((format!("converted_to_null.{name}"), failures.len() as u64)),
            OnConvertError::Keep => {
                array = to_text(&array);
                if !failures.is_empty() {
                    self.counters.push((format!("kept_unconverted.{name}"), failures.len() as u64));
                    let (own, mut failed) = (to_text(&source), failures.into_iter().peekable());
                    let rows = (0..array.len()).map(|row| Some((usize::from(failed.next_if_eq(&(row as u32)).is_some()), row)));
                    array = pick(&[&array, &own], rows);
                }
            }
        }
        self.registers[*to] = Some(array);
    }

    fn unnest(&mut self, from: Register, to: Register, live: &[Register]) {
        let lists = self.register(from).clone();
        let bounds = |row: usize| -> (usize, usize) {
            if lists.is_null(row) {
                (0, 0)
            } else if let Some(lists) = lists.as_list_opt::<i32>() {
                (lists.value_offsets()[row] as usize, lists.value_length(row) as usize)
            } else if let Some(lists) = lists.as_list_opt::<i64>() {
                (lists.value_offsets()[row] as usize, lists.value_length(row) as usize)
            } else {
                let lists = lists.as_fixed_size_list();
                (lists.value_offset(row) as usize, lists.value_length() as usize)
            }
        };
        let (mut rows, mut items) = (Vec::new(), Vec::new());
        for row in self.alive.rows() {
            let (start, length) = bounds(row);
            rows.extend(std::iter::repeat_n(row, length.max(1)));
            items.extend((start..start + length).map(Some));
            if length == 0 {
                items.push(None);
            }
        }
        let values = if let Some(lists) = lists.as_list_opt::<i32>() {
            lists.values()
        } else if let Some(lists) = lists.as_list_opt::<i64>() {
            lists.values()
        } else {
            lists.as_fixed_size_list().values()
        };
        let values = take(values, items.into_iter());
        for register in live {
            self.registers[*register] = Some(take(self.register(*register), rows.iter().map(|row| Some(*row))));
        }
        self.registers[to] = Some(values);
        self.origins = Some(rows.iter().map(|row| self.origin(*row as u32)).collect());
        self.rows = rows.len();
        self.alive = Alive::all(self.rows);
    }

    fn derive(self, chain: &Chain) -> Result<Output, arrow_schema::ArrowError> {
        let mut columns = Vec::with_capacity(chain.output.len());
        let mut computed: Vec<(FieldRef, ArrayRef)> = Vec::new();
        for (index, field) in chain.schema.fields().iter().enumerate() {
            let register = chain.output[index];
            columns.push(match chain.input_names.get(register) {
                Some(name) if name == field.name() => ColumnOp::Keep(register as u32),
                Some(_) => ColumnOp::Rename(register as u32, field.name().clone()),
                None => {
                    computed.push((field.clone(), self.register(register).clone()));
                    ColumnOp::Computed(computed.len() as u32 - 1, field.name().clone())
                }
            });
        }
        let (fields, arrays): (Vec<FieldRef>, Vec<ArrayRef>) = computed.into_iter().unzip();
        let computed = batch(Arc::new(Schema::new(fields)), arrays, self.rows)?;
        Ok(Output::Derived(Derived { keep: self.alive.into_keep(), columns, computed, rejects: self.rejects, counters: self.counters }))
    }

    fn emit(mut self, chain: &Chain) -> Result<Output, arrow_schema::ArrowError> {
        let mut origins = self.origins.take().unwrap_or_else(|| (0..self.rows as u32).collect());
        if !self.rejects.is_empty() {
            // Several of the rows made from one may be refused: it goes once, with all that was made from it.
            self.rejects.sort_by_key(|reject| reject.row);
            self.rejects.dedup_by_key(|reject| reject.row);
            let rejects = &self.rejects;
            self.alive.retain(|row| rejects.binary_search_by_key(&origins[row], |reject| reject.row).is_err());
        }
        let mut arrays: Vec<ArrayRef> = chain.output.iter().map(|register| self.register(*register).clone()).collect();
        if !self.alive.is_whole() {
            let rows: Vec<usize> = self.alive.rows().collect();
            arrays = arrays.iter().map(|array| take(array, rows.iter().map(|row| Some(*row)))).collect();
            origins = rows.iter().map(|row| origins[*row]).collect();
        }
        let rows = batch(chain.schema.clone(), arrays, origins.len())?;
        Ok(Output::Emitted(Emitted { rows, origins, rejects: self.rejects, counters: self.counters }))
    }
}

fn batch(schema: SchemaRef, arrays: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch, arrow_schema::ArrowError> {
    RecordBatch::try_new_with_options(schema, arrays, &RecordBatchOptions::new().with_row_count(Some(rows)))
}

/// Names the rejects of a conversion.
fn code(target: &Type) -> &'static str {
    match target {
        Type::String => "convert_string",
        Type::Int => "convert_int",
        Type::Float => "convert_float",
        Type::Bool => "convert_bool",
        Type::Datetime => "convert_datetime",
        Type::Date => "convert_date",
        Type::Decimal { .. } => "convert_decimal",
        Type::Timestamp { .. } => "convert_timestamp",
        Type::Json => "convert_json",
    }
}
