//! Joins [`Record`] to the contract: what `export_records!` exports.

use std::cell::RefCell;
use std::marker::PhantomData;

use super::output::EmitRecords;
use super::{Record, RecordInput, RecordOutput};
use crate::bindings::records::etl::transform::records_data as data;
use crate::bindings::records::exports::etl::transform::record_stage as stage;
use crate::columns::export::find;
use crate::{Cardinality, Descriptor, Function, Rejection, StageError, options, panic};

/// The functions of a component.
pub trait Component: 'static {
    /// In the order in which `export_records!` names them.
    const FUNCTIONS: &'static [Entry];
}

/// One function of a component.
pub struct Entry {
    name: &'static str,
    cardinality: Cardinality,
    describe: fn() -> Function,
    open: Open,
}

/// Configures from options, or restores from a snapshot.
type Open = fn(&str, Option<&[u8]>) -> Result<Box<dyn Stage>, Vec<StageError>>;

impl Entry {
    /// Makes the entry of a transform.
    pub const fn of<T: Record>() -> Self {
        Self { name: T::NAME, cardinality: T::CARDINALITY, describe: describe_one::<T>, open: open::<T> }
    }
}

fn describe_one<T: Record>() -> Function {
    Function { name: T::NAME.into(), summary: T::SUMMARY.into(), options_schema: T::OPTIONS_SCHEMA.into(), state: T::STATE }
}

fn open<T: Record>(options: &str, state: Option<&[u8]>) -> Result<Box<dyn Stage>, Vec<StageError>> {
    let mut transform = T::configure(options::parse(options)?)?;
    state.map_or(Ok(()), |state| transform.restore(state))?;
    Ok(Box::new(transform))
}

/// Describes a component.
pub fn describe<C: Component>(name: &str, version: &str) -> Descriptor {
    panic::install_hook();
    Descriptor { name: name.into(), version: version.into(), functions: C::FUNCTIONS.iter().map(|entry| (entry.describe)()).collect() }
}

/// A [`Record`] whose type is forgotten.
trait Stage {
    fn records(&mut self, input: RecordInput<'_>, output: &mut RecordOutput<'_>) -> Result<(), StageError>;
    fn finish(&mut self, output: &mut RecordOutput<'_>) -> Result<(), StageError>;
    fn snapshot(&self) -> Result<Vec<u8>, StageError>;
}

impl<T: Record> Stage for T {
    fn records(&mut self, input: RecordInput<'_>, output: &mut RecordOutput<'_>) -> Result<(), StageError> {
        Record::records(self, input, output)
    }

    fn finish(&mut self, output: &mut RecordOutput<'_>) -> Result<(), StageError> {
        Record::finish(self, output)
    }

    fn snapshot(&self) -> Result<Vec<u8>, StageError> {
        Record::snapshot(self)
    }
}

/// The contract's `instance`.
pub struct Instance<C> {
    stage: RefCell<Box<dyn Stage>>,
    component: PhantomData<C>,
}

impl<C: Component> Instance<C> {
    fn open(function: &str, options: &str, state: Option<&[u8]>) -> Result<(stage::Instance, Cardinality), Vec<StageError>>
    where
        Self: stage::GuestInstance,
    {
        panic::install_hook();
        let entry = find(C::FUNCTIONS, |entry| entry.name, function)?;
        let stage = RefCell::new((entry.open)(options, state)?);
        Ok((stage::Instance::new(Self { stage, component: PhantomData }), entry.cardinality))
    }
}

impl<C: Component> stage::GuestInstance for Instance<C> {
    fn configure(function: String, options: String) -> Result<(stage::Instance, Cardinality), Vec<StageError>> {
        Self::open(&function, &options, None)
    }

    fn process(&self, input: &data::Batch, out: &data::Output) -> Result<(), StageError> {
        let lines = input.read()?;
        let rows = RecordInput::new(&lines, input.num_rows(), input.sequence(), input.first_row());
        let mut emit = HostOutput(out);
        let mut output = RecordOutput::new(&mut emit);
        self.stage.borrow_mut().records(rows, &mut output)?;
        output.flush()
    }

    fn finish(&self, out: &data::Output) -> Result<(), StageError> {
        let mut emit = HostOutput(out);
        let mut output = RecordOutput::new(&mut emit);
        self.stage.borrow_mut().finish(&mut output)?;
        output.flush()
    }

    fn snapshot(&self) -> Result<Vec<u8>, StageError> {
        self.stage.borrow().snapshot()
    }

    fn restore(function: String, options: String, state: Vec<u8>) -> Result<(stage::Instance, Cardinality), Vec<StageError>> {
        Self::open(&function, &options, Some(&state))
    }
}

/// The host's end of an output.
struct HostOutput<'a>(&'a data::Output);

impl EmitRecords for HostOutput<'_> {
    fn emit(&mut self, rows: &[u8], origins: Option<&[u32]>) -> Result<(), StageError> {
        self.0.emit(rows, origins)
    }

    fn reject(&mut self, rejections: &[Rejection]) -> Result<(), StageError> {
        self.0.reject(rejections)
    }
}
