//! What the four functions remember, and how it goes on where rows come with other columns.

use std::fmt::Debug;
use std::sync::Arc;

use arrow_schema::{Field, Schema, SchemaRef};
use etl_sdk::{Columns, StageError};

use crate::state::{Reader, Writer};

/// What stands at the head of what is remembered.
pub(crate) struct Head<O> {
    options: O,
    /// What must be the same where a snapshot is read: the function and its options but for the limit of memory.
    owner: String,
    /// The columns that what is remembered is made of.
    reads: SchemaRef,
    /// What is said at the end of a column that never came.
    missing: Option<StageError>,
}

impl<O: Clone> Head<O> {
    pub(crate) fn new(name: &str, options: &O, same: &dyn Debug, input: &Schema, read: &[usize], missing: Option<StageError>) -> Self {
        // Whether a column may be null, and what else is noted of it, makes no difference to what is remembered.
        let plain = |index: &usize| Field::new(input.field(*index).name(), input.field(*index).data_type().clone(), true);
        let reads = Arc::new(Schema::new(read.iter().map(plain).collect::<Vec<_>>()));
        Self { options: options.clone(), owner: format!("{name} {same:?}"), reads, missing }
    }

    /// Refuses to end where a column never came.
    pub(crate) fn complete(&self) -> Result<(), StageError> {
        self.missing.clone().map_or(Ok(()), Err)
    }
}

/// A function that remembers.
pub(crate) trait Remember: Columns<Options: Clone> {
    fn head(&self) -> &Head<Self::Options>;

    /// Bytes that a snapshot takes, about.
    fn size(&self) -> usize;

    fn save(&self, writer: &mut Writer) -> Result<(), StageError>;

    /// Reads what was saved with the same columns.
    fn load(&mut self, reader: &mut Reader<'_>) -> Result<(), StageError>;

    /// Takes over what `old` remembers, whose columns were fewer or narrower.
    ///
    /// # Errors
    /// Unsupported, where it cannot be told from what is remembered what it would be with these columns.
    fn widen(&mut self, old: Self) -> Result<(), StageError>;
}

pub(crate) fn snapshot(function: &impl Remember) -> Result<Vec<u8>, StageError> {
    let head = function.head();
    let mut writer = Writer::new(&head.owner, function.size());
    writer.schema(&head.reads)?;
    function.save(&mut writer)?;
    Ok(writer.finish())
}

pub(crate) fn restore<T: Remember>(function: &mut T, state: &[u8]) -> Result<(), StageError> {
    let mut reader = Reader::new(&function.head().owner, state)?;
    let taken = reader.schema()?;
    if taken.fields() == function.head().reads.fields() {
        function.load(&mut reader)?;
        return reader.finish();
    }
    let (mut old, _) = T::configure(function.head().options.clone(), &taken).map_err(|problems| {
        problems.into_iter().next().unwrap_or_else(|| StageError::internal("configure", "it refused without a reason"))
    })?;
    old.load(&mut reader)?;
    reader.finish()?;
    function.widen(old)
}
