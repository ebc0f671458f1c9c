//! What an attack is, and all of them.

use etl_sdk::bindings::columns::etl::transform::data::{Batch, ColumnOp, Output};
use etl_sdk::bindings::columns::exports::etl::transform::stage::Plan;
use etl_sdk::{Cardinality, StageError, State};

/// One attack.
pub(crate) struct Attack {
    pub(crate) name: &'static str,
    /// What it does.
    pub(crate) what: &'static str,
    /// The end that the host must give it: phase, and code of the failure or `ok`.
    pub(crate) end: &'static str,
    pub(crate) state: State,
    pub(crate) cardinality: Cardinality,
    pub(crate) run: Run,
}

/// Where an attack strikes.
pub(crate) enum Run {
    Configure(fn() -> Result<Plan, Vec<StageError>>),
    Process(fn(&Batch, &Output) -> Result<(), StageError>),
    /// In `process`, with the number of the call on this instance, from 1.
    Calls(fn(u64, &Batch, &Output) -> Result<(), StageError>),
    Finish(fn(&Output) -> Result<(), StageError>),
    Snapshot(fn() -> Result<Vec<u8>, StageError>),
    Restore(fn(&[u8]) -> Result<(), StageError>),
    /// In `process`, on the row that the options name.
    Row,
    /// As `Row`, with a running number that must go on from the last snapshot.
    Numbered,
}

/// All attacks.
pub(crate) const ATTACKS: &[&[Attack]] = &[
    crate::spin::ATTACKS,
    crate::memory::ATTACKS,
    crate::crash::ATTACKS,
    crate::flood::ATTACKS,
    crate::hostile::ATTACKS,
    crate::contract::ATTACKS,
    crate::reach::ATTACKS,
    crate::state::ATTACKS,
    crate::row::ATTACKS,
];

impl Attack {
    const fn new(name: &'static str, what: &'static str, end: &'static str, run: Run) -> Self {
        Self { name, what, end, state: State::Stateless, cardinality: Cardinality::Expand, run }
    }

    pub(crate) const fn configure(
        name: &'static str,
        what: &'static str,
        end: &'static str,
        run: fn() -> Result<Plan, Vec<StageError>>,
    ) -> Self {
        Self::new(name, what, end, Run::Configure(run))
    }

    pub(crate) const fn process(
        name: &'static str,
        what: &'static str,
        end: &'static str,
        run: fn(&Batch, &Output) -> Result<(), StageError>,
    ) -> Self {
        Self::new(name, what, end, Run::Process(run))
    }

    pub(crate) const fn calls(
        name: &'static str,
        what: &'static str,
        end: &'static str,
        run: fn(u64, &Batch, &Output) -> Result<(), StageError>,
    ) -> Self {
        Self::new(name, what, end, Run::Calls(run)).stream()
    }

    pub(crate) const fn finish(
        name: &'static str,
        what: &'static str,
        end: &'static str,
        run: fn(&Output) -> Result<(), StageError>,
    ) -> Self {
        Self::new(name, what, end, Run::Finish(run))
    }

    pub(crate) const fn snapshot(
        name: &'static str,
        what: &'static str,
        end: &'static str,
        run: fn() -> Result<Vec<u8>, StageError>,
    ) -> Self {
        Self::new(name, what, end, Run::Snapshot(run)).stream()
    }

    pub(crate) const fn restore(
        name: &'static str,
        what: &'static str,
        end: &'static str,
        run: fn(&[u8]) -> Result<(), StageError>,
    ) -> Self {
        Self::new(name, what, end, Run::Restore(run)).stream()
    }

    pub(crate) const fn row(name: &'static str, what: &'static str, end: &'static str) -> Self {
        Self::new(name, what, end, Run::Row).promising(Cardinality::Map)
    }

    pub(crate) const fn numbered(name: &'static str, what: &'static str, end: &'static str) -> Self {
        Self::new(name, what, end, Run::Numbered).promising(Cardinality::Map).stream()
    }

    /// Says that it remembers, so that the host asks for snapshots.
    const fn stream(mut self) -> Self {
        self.state = State::Stream;
        self
    }

    /// Promises a cardinality, to break it.
    pub(crate) const fn promising(mut self, cardinality: Cardinality) -> Self {
        self.cardinality = cardinality;
        self
    }
}

/// Passes all rows on as they came.
///
/// The host is asked for the first 1,000 columns only where an attack says how many there are; here the batch itself tells by what it reads.
pub(crate) fn pass_on(input: &Batch, out: &Output) -> Result<(), StageError> {
    out.emit_derived(input, None, &all_columns(input)?, None)
}

/// Keeps each column of a batch.
pub(crate) fn all_columns(input: &Batch) -> Result<Vec<ColumnOp>, StageError> {
    Ok((0..crate::wire::count_columns(&input.read(None)?)).map(ColumnOp::Keep).collect())
}
