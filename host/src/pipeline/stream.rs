//! The rows of a source, batch by batch, without anything done to them.

use std::num::NonZeroUsize;

use arrow_schema::SchemaRef;

use crate::error::Result;
use crate::plan::Planned;
use crate::sandbox::Network;
use crate::source::{self, Chunks, Decoded, ReadOptions, Since, Source, Surroundings};

/// The batches of a source, read as they are asked for: one chunk of the input is in memory at a time.
///
/// Each item has the rows that parsed, those that did not and go to the dead letters, and how many a policy `skip` left out. After an error
/// there are no more.
pub struct ExtractStream {
    source: Box<dyn Source>,
    splits: std::vec::IntoIter<source::Split>,
    chunks: Option<Chunks>,
    batches: Option<Box<dyn Iterator<Item = Result<Decoded>> + Send>>,
}

impl ExtractStream {
    pub(super) fn open(planned: &Planned, network: &Network) -> Result<Self> {
        let plan = planned.common();
        // What steps of one of several transformers want is not what the others want.
        let (as_text, converted) = match planned {
            Planned::One(plan) => (plan.as_text.clone(), plan.converted.clone()),
            Planned::Several(_) => (Vec::new(), Vec::new()),
        };
        let since = plan.incremental.as_ref().map(|incremental| Since { incremental, reached: None });
        let params = &source::with_mark(&plan.source_params, plan.incremental.as_ref(), None)?;
        let surroundings = Surroundings {
            root: &plan.root,
            params,
            secrets: &plan.secrets,
            network,
            since,
            max_retries: plan.max_retries,
            stop: &source::NEVER,
        };
        let read = ReadOptions {
            batch_rows: plan.reading.batch_size,
            exact: true,
            limit: plan.limit,
            converted,
            as_text,
            ..ReadOptions::default()
        };
        let source = source::open(&plan.source, &plan.reading, read, &surroundings)?;
        let splits = source.splits(NonZeroUsize::MIN)?.into_iter();
        Ok(Self { source, splits, chunks: None, batches: None })
    }

    /// The schema of the rows.
    pub fn schema(&self) -> SchemaRef {
        self.source.schema()
    }

    /// The next batch, where there is one.
    fn pull(&mut self) -> Result<Option<Decoded>> {
        loop {
            if let Some(batch) = self.batches.as_mut().and_then(Iterator::next) {
                return batch.map(Some);
            }
            self.batches = match self.chunks.as_mut().and_then(Iterator::next) {
                Some(chunk) => Some(chunk?.decode()),
                None => match self.splits.next() {
                    None => return Ok(None),
                    Some(split) => {
                        self.chunks = Some(self.source.read(&split, None)?);
                        None
                    }
                },
            };
        }
    }
}

impl Iterator for ExtractStream {
    type Item = Result<Decoded>;

    fn next(&mut self) -> Option<Self::Item> {
        let pulled = self.pull();
        if pulled.is_err() {
            (self.splits, self.chunks, self.batches) = (Vec::new().into_iter(), None, None);
        }
        pulled.transpose()
    }
}
