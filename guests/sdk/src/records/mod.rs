//! The record style: the trait, and what it reads from and writes to.

pub(crate) mod export;
mod input;
pub(crate) mod output;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::columns::refuse_state;
use crate::{Cardinality, Refusal, StageError, State};

pub use input::RecordInput;
pub use output::RecordOutput;

/// A row: column names to values, in the order of the columns.
pub type Row = Map<String, Value>;

/// A transform over one row after the other.
///
/// Implement [`record`](Self::record), or [`records`](Self::records) where the rows of a batch must be seen together (and then say so in
/// [`STATE`](Self::STATE)).
pub trait Record: Sized + 'static {
    /// The function's name, by which a user chooses it among several of a component.
    const NAME: &'static str;

    /// One line for `inspect`.
    const SUMMARY: &'static str = "";

    /// JSON Schema of the options; empty = not told.
    const OPTIONS_SCHEMA: &'static str = "";

    /// What it remembers from batch to batch. Default: nothing, and each row stands alone.
    const STATE: State = State::Stateless;

    /// How rows out relate to rows in; the host holds it to that. Default: any number of rows out for a row in.
    const CARDINALITY: Cardinality = Cardinality::Expand;

    /// What the user may set; [`NoOptions`](crate::NoOptions) where that is nothing. Put `#[serde(deny_unknown_fields)]` on it, so that a typo is an error.
    type Options: DeserializeOwned;

    /// Sets it up.
    ///
    /// # Errors
    /// Every problem it finds, not only the first.
    fn configure(options: Self::Options) -> Result<Self, Vec<StageError>>;

    /// Works on one row.
    ///
    /// # Errors
    /// Why this row is refused: it goes to the dead letters, the others go on.
    fn record(&mut self, row: Row) -> Result<Outcome, Refusal> {
        let _ = row;
        Err(Refusal::new("not_implemented", format!("`{}` implements neither `record` nor `records`", Self::NAME)))
    }

    /// Works on one batch; as it stands, it calls [`record`](Self::record) for each row.
    ///
    /// # Errors
    /// What is wrong with the whole batch.
    fn records(&mut self, input: RecordInput<'_>, output: &mut RecordOutput<'_>) -> Result<(), StageError> {
        for (number, row) in input {
            match self.record(row) {
                Ok(Outcome::Row(row)) => output.emit(Some(number), &row)?,
                Ok(Outcome::Drop) => {}
                Ok(Outcome::Rows(rows)) => rows.iter().try_for_each(|row| output.emit(Some(number), row))?,
                Err(refusal) => output.reject(number, refusal)?,
            }
        }
        Ok(())
    }

    /// Emits what was held back: no more rows come.
    ///
    /// # Errors
    /// As in [`records`](Self::records).
    fn finish(&mut self, output: &mut RecordOutput<'_>) -> Result<(), StageError> {
        let _ = output;
        Ok(())
    }

    /// Answers everything it remembers, for a checkpoint; empty where it remembers nothing.
    ///
    /// # Errors
    /// Where that cannot be told now.
    fn snapshot(&self) -> Result<Vec<u8>, StageError> {
        Ok(Vec::new())
    }

    /// Goes on from a snapshot; called on a transform that was configured just now, with the same options.
    ///
    /// # Errors
    /// Where the snapshot does not read.
    fn restore(&mut self, state: &[u8]) -> Result<(), StageError> {
        refuse_state(Self::NAME, state)
    }
}

/// What becomes of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// One row.
    Row(Row),
    /// None: it is left out on purpose.
    Drop,
    /// Several rows.
    Rows(Vec<Row>),
}

impl From<Row> for Outcome {
    fn from(row: Row) -> Self {
        Self::Row(row)
    }
}

impl From<Option<Row>> for Outcome {
    fn from(row: Option<Row>) -> Self {
        row.map_or(Self::Drop, Self::Row)
    }
}

impl From<Vec<Row>> for Outcome {
    fn from(rows: Vec<Row>) -> Self {
        Self::Rows(rows)
    }
}

/// Makes a component of one or several types that implement [`Record`]: each is a function of it, named by its `NAME`.
///
/// The component's own name and version are those of the crate.
#[macro_export]
macro_rules! export_records {
    ($($function:ty),+ $(,)?) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            struct Component;

            impl $crate::private::RecordsComponent for Component {
                const FUNCTIONS: &'static [$crate::private::RecordsEntry] = &[$($crate::private::RecordsEntry::of::<$function>()),+];
            }

            impl $crate::bindings::records::exports::etl::transform::record_stage::Guest for Component {
                type Instance = $crate::private::RecordsInstance<Component>;

                fn describe() -> $crate::Descriptor {
                    $crate::private::describe_records::<Component>(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
                }
            }

            $crate::bindings::records::export_transform_records!(Component with_types_in $crate::bindings::records);
        };
    };
}
