//! The columnar style: the trait, and what it reads from and writes to.

pub(crate) mod export;
mod input;
mod output;
mod plan;

use arrow_schema::SchemaRef;
use serde::de::DeserializeOwned;

use crate::{StageError, State};

pub use input::{Input, Rows};
pub use output::{ColumnOp, Emit, Output};
pub use plan::Plan;

/// A transform over the columns of a batch.
///
/// One value of the type is one configured transform: it sees one batch after the other. What it may remember from batch to batch is said by
/// [`STATE`](Self::STATE); the host relies on it.
pub trait Columns: Sized + 'static {
    /// The function's name, by which a user chooses it among several of a component.
    const NAME: &'static str;

    /// One line for `inspect`.
    const SUMMARY: &'static str = "";

    /// JSON Schema of the options; empty = not told.
    const OPTIONS_SCHEMA: &'static str = "";

    /// What it remembers from batch to batch. Default: nothing, and each row stands alone.
    const STATE: State = State::Stateless;

    /// What the user may set; [`NoOptions`](crate::NoOptions) where that is nothing. Put `#[serde(deny_unknown_fields)]` on it, so that a typo is an error.
    type Options: DeserializeOwned;

    /// Sets it up for rows of the schema `input`.
    ///
    /// # Errors
    /// Every problem it finds, not only the first.
    fn configure(options: Self::Options, input: &SchemaRef) -> Result<(Self, Plan), Vec<StageError>>;

    /// Works on one batch: every row of it ends as emitted, left out or rejected.
    ///
    /// # Errors
    /// What is wrong with the whole batch; a row that is wrong is rejected instead.
    fn process(&mut self, input: &Input<'_>, output: &mut Output<'_>) -> Result<(), StageError>;

    /// Emits what was held back: no more rows come.
    ///
    /// # Errors
    /// As in [`process`](Self::process).
    fn finish(&mut self, output: &mut Output<'_>) -> Result<(), StageError> {
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

    /// Goes on from a snapshot; called on a transform that was configured just now with the same options. Its schema is the one of the
    /// snapshot; or, where rows came with other columns, one with all of those, of the same or wider types, and maybe more behind them.
    ///
    /// # Errors
    /// Where the snapshot does not read.
    fn restore(&mut self, state: &[u8]) -> Result<(), StageError> {
        refuse_state(Self::NAME, state)
    }
}

/// Accepts an empty snapshot and no other: what a transform does that remembers nothing.
pub(crate) fn refuse_state(name: &str, state: &[u8]) -> Result<(), StageError> {
    match state.len() {
        0 => Ok(()),
        bytes => Err(StageError::internal("no_state", format!("`{name}` remembers nothing, but was given a snapshot of {bytes} bytes"))),
    }
}

/// Makes a component of one or several types that implement [`Columns`]: each is a function of it, named by its `NAME`.
///
/// The component's own name and version are those of the crate.
#[macro_export]
macro_rules! export_columns {
    ($($function:ty),+ $(,)?) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            struct Component;

            impl $crate::private::ColumnsComponent for Component {
                const FUNCTIONS: &'static [$crate::private::ColumnsEntry] = &[$($crate::private::ColumnsEntry::of::<$function>()),+];
            }

            impl $crate::bindings::columns::exports::etl::transform::stage::Guest for Component {
                type Instance = $crate::private::ColumnsInstance<Component>;

                fn describe() -> $crate::Descriptor {
                    $crate::private::describe_columns::<Component>(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
                }
            }

            $crate::bindings::columns::export_transform!(Component with_types_in $crate::bindings::columns);
        };
    };
}
