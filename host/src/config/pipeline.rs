//! A whole pipeline, typed.

use super::extract::{Extract, FileSource, Source};
use super::load::{FileSink, Load, Sink};
use super::settings::{DeadLetters, Settings};
use super::transform::{PlacedStep, Transform};
use super::transformers::{self, Transformer};
use super::variables::Secrets;

/// A whole pipeline, as the user wrote it.
#[derive(Clone, Debug, PartialEq)]
pub struct Pipeline {
    /// Its name: from `pipeline.yaml` or `settings.yaml`, else that of its directory.
    pub name: String,
    /// Its version, for people.
    pub version: Option<String>,
    /// What it is for, for people.
    pub description: Option<String>,
    /// Where rows come from.
    pub extract: Extract,
    /// What is done to rows on the way.
    pub transform: Transform,
    /// Where rows go to.
    pub load: Load,
    /// Where there are several transforms over the extract, all of them: each is a [chain](Self::chains) of its own, and what stands above is
    /// none.
    pub transformers: Vec<Transformer>,
    /// Which of several this one is.
    pub transformer: Option<String>,
    /// What holds for the whole pipeline.
    pub settings: Settings,
    /// SHA-256 of the files, as they were written.
    pub digest: String,
    /// Values that must not be printed.
    pub secrets: Secrets,
}

impl Pipeline {
    /// What runs side by side over the extract: each a pipeline with one transform and one load. Mostly this one.
    pub fn chains(&self) -> Vec<Self> {
        let chain = |one: &Transformer| {
            let Transformer { name, place: _, transform, load } = one.clone();
            Self { transform, load, transformer: Some(name), transformers: Vec::new(), ..self.clone() }
        };
        if self.transformers.is_empty() { vec![self.clone()] } else { self.transformers.iter().map(chain).collect() }
    }

    /// The steps of all its transforms.
    pub fn steps(&self) -> impl Iterator<Item = &PlacedStep> {
        self.transform.steps.iter().chain(self.transformers.iter().flat_map(|transformer| &transformer.transform.steps))
    }

    /// The names of its transformers, for a message.
    pub fn transformer_names(&self) -> String {
        transformers::names(&self.transformers)
    }

    /// The pipeline with a source of one file that is never read: for rows that come from elsewhere.
    #[must_use]
    pub fn without_source(&self) -> Self {
        let mut pipeline = self.clone();
        pipeline.extract.source = Source::File(FileSource::of("input"));
        pipeline
    }

    /// The pipeline with a sink of one file that is never written: for rows that go nowhere.
    #[must_use]
    pub fn without_sink(&self) -> Self {
        let mut pipeline = self.clone();
        let sink = Sink::File(FileSink::of("output.jsonl"));
        pipeline.transformers.iter_mut().for_each(|transformer| transformer.load.sink.clone_from(&sink));
        pipeline.load.sink = sink;
        pipeline
    }

    /// Where rows go that are refused: what `load` says, else the settings; `None` = nothing was said.
    pub fn dead_letters(&self) -> Option<&DeadLetters> {
        self.load.dead_letters.as_ref().or(self.settings.dlq.as_ref())
    }
}
