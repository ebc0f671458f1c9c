//! Joins [`Columns`] to the contract: what `export_columns!` exports.

use std::cell::{Cell, RefCell};
use std::marker::PhantomData;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_buffer::BooleanBuffer;
use arrow_schema::SchemaRef;

use super::{ColumnOp, Columns, Emit, Input, Output, Plan, Rows};
use crate::bindings::columns::etl::transform::data;
use crate::bindings::columns::exports::etl::transform::stage;
use crate::ipc::{self, Encoder};
use crate::{Descriptor, Function, Rejection, StageError, options, panic};

/// The functions of a component.
pub trait Component: 'static {
    /// In the order in which `export_columns!` names them.
    const FUNCTIONS: &'static [Entry];
}

/// One function of a component.
pub struct Entry {
    name: &'static str,
    describe: fn() -> Function,
    open: Open,
}

/// Configures from options and input schema, or restores from a snapshot.
type Open = fn(&str, &SchemaRef, Option<&[u8]>) -> Result<(Box<dyn Stage>, Plan), Vec<StageError>>;

impl Entry {
    /// Makes the entry of a transform.
    pub const fn of<T: Columns>() -> Self {
        Self { name: T::NAME, describe: describe_one::<T>, open: open::<T> }
    }
}

fn describe_one<T: Columns>() -> Function {
    Function { name: T::NAME.into(), summary: T::SUMMARY.into(), options_schema: T::OPTIONS_SCHEMA.into(), state: T::STATE }
}

fn open<T: Columns>(options: &str, input: &SchemaRef, state: Option<&[u8]>) -> Result<(Box<dyn Stage>, Plan), Vec<StageError>> {
    let (mut transform, plan) = T::configure(options::parse(options)?, input)?;
    state.map_or(Ok(()), |state| transform.restore(state))?;
    Ok((Box::new(transform), plan))
}

/// Describes a component.
pub fn describe<C: Component>(name: &str, version: &str) -> Descriptor {
    panic::install_hook();
    Descriptor { name: name.into(), version: version.into(), functions: C::FUNCTIONS.iter().map(|entry| (entry.describe)()).collect() }
}

/// A [`Columns`] whose type is forgotten.
trait Stage {
    fn process(&mut self, input: &Input<'_>, output: &mut Output<'_>) -> Result<(), StageError>;
    fn finish(&mut self, output: &mut Output<'_>) -> Result<(), StageError>;
    fn snapshot(&self) -> Result<Vec<u8>, StageError>;
}

impl<T: Columns> Stage for T {
    fn process(&mut self, input: &Input<'_>, output: &mut Output<'_>) -> Result<(), StageError> {
        Columns::process(self, input, output)
    }

    fn finish(&mut self, output: &mut Output<'_>) -> Result<(), StageError> {
        Columns::finish(self, output)
    }

    fn snapshot(&self) -> Result<Vec<u8>, StageError> {
        Columns::snapshot(self)
    }
}

/// The contract's `instance`.
pub struct Instance<C> {
    stage: RefCell<Box<dyn Stage>>,
    encoder: RefCell<Encoder>,
    reading: Reading,
    component: PhantomData<C>,
}

/// The schemas of what an instance reads.
struct Reading {
    input: SchemaRef,
    planned: SchemaRef,
}

impl<C: Component> Instance<C> {
    fn open(function: &str, options: &str, input: &[u8], state: Option<&[u8]>) -> Result<(stage::Instance, stage::Plan), Vec<StageError>>
    where
        Self: stage::GuestInstance,
    {
        panic::install_hook();
        let entry = find(C::FUNCTIONS, |entry| entry.name, function)?;
        let input = ipc::decode_schema(input)?;
        let (stage, plan) = (entry.open)(options, &input, state)?;
        let planned = match &plan.columns {
            Some(columns) => Arc::new(input.project(columns).map_err(StageError::from)?),
            None => input.clone(),
        };
        let told = stage::Plan {
            output: plan.output.as_deref().map(ipc::encode_schema).transpose()?,
            columns: plan.columns.as_deref().map(indexes),
            cardinality: plan.cardinality,
        };
        let instance = Self {
            stage: RefCell::new(stage),
            encoder: RefCell::new(Encoder::new()),
            reading: Reading { input, planned },
            component: PhantomData,
        };
        Ok((stage::Instance::new(instance), told))
    }
}

/// Finds a function by name; the only one needs none.
pub(crate) fn find<'a, T>(functions: &'a [T], name_of: fn(&T) -> &'static str, name: &str) -> Result<&'a T, StageError> {
    match functions {
        [only] if name.is_empty() => Ok(only),
        _ => functions.iter().find(|function| name_of(function) == name).ok_or_else(|| {
            let names: Vec<_> = functions.iter().map(|function| format!("`{}`", name_of(function))).collect();
            StageError::options("unknown_function", format!("no function `{name}` in this component"))
                .field("function")
                .help(format!("its functions are {}", names.join(", ")))
        }),
    }
}

impl<C: Component> stage::GuestInstance for Instance<C> {
    fn configure(function: String, options: String, input: Vec<u8>) -> Result<(stage::Instance, stage::Plan), Vec<StageError>> {
        Self::open(&function, &options, &input, None)
    }

    fn process(&self, input: &data::Batch, out: &data::Output) -> Result<(), StageError> {
        let rows = HostRows { batch: input, num_rows: Cell::new(None), reading: &self.reading };
        let mut emit = HostOutput { output: out, base: Some(input), encoder: &mut self.encoder.borrow_mut() };
        let mut output = Output::new(&mut emit);
        self.stage.borrow_mut().process(&Input::new(&rows), &mut output)?;
        output.flush()
    }

    fn finish(&self, out: &data::Output) -> Result<(), StageError> {
        let mut emit = HostOutput { output: out, base: None, encoder: &mut self.encoder.borrow_mut() };
        let mut output = Output::new(&mut emit);
        self.stage.borrow_mut().finish(&mut output)?;
        output.flush()
    }

    fn snapshot(&self) -> Result<Vec<u8>, StageError> {
        self.stage.borrow().snapshot()
    }

    fn restore(
        function: String,
        options: String,
        input: Vec<u8>,
        state: Vec<u8>,
    ) -> Result<(stage::Instance, stage::Plan), Vec<StageError>> {
        Self::open(&function, &options, &input, Some(&state))
    }
}

/// A batch that stands in the host.
struct HostRows<'a> {
    batch: &'a data::Batch,
    num_rows: Cell<Option<usize>>,
    reading: &'a Reading,
}

impl Rows for HostRows<'_> {
    fn num_rows(&self) -> usize {
        let rows = self.num_rows.get().unwrap_or_else(|| self.batch.num_rows() as usize);
        self.num_rows.set(Some(rows));
        rows
    }

    fn sequence(&self) -> u64 {
        self.batch.sequence()
    }

    fn first_row(&self) -> u32 {
        self.batch.first_row()
    }

    fn read(&self, columns: Option<&[usize]>) -> Result<RecordBatch, StageError> {
        let schema = match columns {
            Some(columns) => Arc::new(self.reading.input.project(columns)?),
            None => self.reading.planned.clone(),
        };
        let message = self.batch.read(columns.map(indexes).as_deref())?;
        ipc::decode_batch(message, schema)
    }
}

/// The host's end of an output.
struct HostOutput<'a> {
    output: &'a data::Output,
    base: Option<&'a data::Batch>,
    encoder: &'a mut Encoder,
}

impl Emit for HostOutput<'_> {
    fn schema(&mut self, schema: &SchemaRef) -> Result<(), StageError> {
        self.output.schema(&ipc::encode_schema(schema)?)
    }

    fn emit(&mut self, rows: &RecordBatch, origins: Option<&[u32]>) -> Result<(), StageError> {
        self.output.emit(self.encoder.encode(rows)?, origins)
    }

    fn derive(&mut self, keep: Option<&BooleanBuffer>, columns: &[ColumnOp], computed: Option<&RecordBatch>) -> Result<(), StageError> {
        let base = self.base.ok_or_else(|| StageError::internal("no_batch", "`derive` has no batch to derive from in `finish`"))?;
        let keep = keep.map(BooleanBuffer::sliced);
        let computed = computed.map(|computed| self.encoder.encode(computed)).transpose()?;
        self.output.emit_derived(base, keep.as_deref(), columns, computed)
    }

    fn reject(&mut self, rejections: &[Rejection]) -> Result<(), StageError> {
        self.output.reject(rejections)
    }
}

fn indexes(columns: &[usize]) -> Vec<u32> {
    columns.iter().map(|&column| u32::try_from(column).unwrap_or(u32::MAX)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_function_name_is_answered_with_the_right_ones() {
        let name_of = |name: &&'static str| *name;
        assert_eq!(find(&["one"], name_of, ""), Ok(&"one"));
        assert_eq!(find(&["one", "two"], name_of, "two"), Ok(&"two"));
        let error = StageError::options("unknown_function", "no function `tow` in this component")
            .field("function")
            .help("its functions are `one`, `two`");
        assert_eq!(find(&["one", "two"], name_of, "tow"), Err(error));
    }
}
