//! What will run: one chain, or several side by side over one extract.

use std::path::{Component, Path, PathBuf};

use super::{Overrides, Plan};
use crate::config::load::Sink;
use crate::config::pipeline::Pipeline;
use crate::error::{Error, Result};

/// What will run.
#[derive(Clone, Debug)]
pub enum Planned {
    /// One transform.
    One(Box<Plan>),
    /// Several over one extract.
    Several(Several),
}

/// Several transformers over one extract: each has a plan of its own, and what is read is the same in all.
#[derive(Clone, Debug)]
pub struct Several {
    /// The plans, two at least or one, in the order in which they are written; each knows its transformer's name.
    lanes: Vec<Plan>,
}

impl Planned {
    /// Works out what will run, as [`Plan::new`] does.
    ///
    /// # Errors
    /// As there; and where two transformers write the same.
    pub fn new(pipeline: &Pipeline, root: &Path, overrides: &Overrides, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, Vec<Error>> {
        let mut errors: Vec<Error> = Vec::new();
        let mut lanes = Vec::new();
        for chain in pipeline.chains() {
            match Plan::new(&chain, root, overrides, env) {
                Ok(plan) => lanes.push(plan),
                // What all share is wrong in each.
                Err(wrong) => {
                    let is_new =
                        |error: &Error| !errors.iter().any(|known| (known.place(), known.chain()) == (error.place(), error.chain()));
                    let fresh: Vec<Error> = wrong.into_iter().filter(is_new).collect();
                    errors.extend(fresh);
                }
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        if pipeline.transformers.is_empty() {
            return Ok(Self::One(Box::new(lanes.swap_remove(0))));
        }
        for (number, lane) in lanes.iter().enumerate() {
            let target = target(lane);
            let Some(other) = lanes[..number].iter().position(|other| self::target(other) == target) else { continue };
            let [one, two] = [other, number].map(|number| &pipeline.transformers[number]);
            let error =
                Error::config(format!("the transformers `{}` and `{}` would both write `{}`", one.name, two.name, lane.sink.title()));
            errors.push(error.at(two.place.clone()).hint("give each a target of its own under its `load`: `path`, or `table`"));
        }
        if errors.is_empty() { Ok(Self::Several(Several { lanes })) } else { Err(errors) }
    }

    /// The plans: one, or one a transformer.
    pub fn plans(&self) -> &[Plan] {
        match self {
            Self::One(plan) => std::slice::from_ref(plan),
            Self::Several(several) => &several.lanes,
        }
    }

    /// What all plans have in common: name, folder, source and how it is read, parameters, limits.
    pub fn common(&self) -> &Plan {
        &self.plans()[0]
    }

    /// The plan of a transformer.
    ///
    /// # Errors
    /// Config, where there is none of that name, or one has to be named and none is.
    pub fn transformer(&self, name: Option<&str>) -> Result<&Plan> {
        let plans = self.plans();
        match (name, self) {
            (None, Self::One(plan)) => Ok(plan),
            (None, Self::Several(_)) => Err(Error::config("the pipeline has several transformers, and it is not said which one is meant")
                .hint(format!("they are {}", names(plans.iter())))),
            (Some(name), _) => find(plans.iter(), name),
        }
    }
}

/// The plan of a transformer among those of a pipeline.
///
/// # Errors
/// Config, where there is none of that name.
pub fn find<'a>(plans: impl Iterator<Item = &'a Plan> + Clone, name: &str) -> Result<&'a Plan> {
    plans.clone().find(|plan| plan.lane() == Some(name)).ok_or_else(|| no_transformer(name, &names(plans)))
}

/// Says that a pipeline has no transformer of a name; `others` is a list of those that it has, empty where it has one transform.
pub fn no_transformer(name: &str, others: &str) -> Error {
    let error = Error::config(format!("the pipeline has no transformer `{name}`"));
    match others {
        "" => error.hint("it has one transform, which has no name"),
        others => error.hint(format!("they are {others}")),
    }
}

fn names<'a>(plans: impl Iterator<Item = &'a Plan>) -> String {
    plans.filter_map(|plan| Some(format!("`{}`", plan.lane()?))).collect::<Vec<_>>().join(", ")
}

impl Several {
    /// The plans, one a transformer.
    pub fn lanes(&self) -> &[Plan] {
        &self.lanes
    }

    /// What all plans have in common.
    pub fn common(&self) -> &Plan {
        &self.lanes[0]
    }
}

impl Plan {
    /// Its transformer's name, where it is one of several.
    pub fn lane(&self) -> Option<&str> {
        self.transformer.as_deref()
    }

    /// A name with the transformer's behind it, where it is one of several: `orders` or `orders.daily`.
    pub fn named(&self, name: &str) -> String {
        match &self.transformer {
            None => name.to_owned(),
            Some(transformer) => format!("{name}.{transformer}"),
        }
    }

    /// The SQLite file that is loaded, which lets one write at a time.
    pub fn sqlite_target(&self) -> Option<PathBuf> {
        let Sink::Database(sink) = &self.sink else { return None };
        Some(plain(&self.root.join(sink.connection_string.sqlite_file()?)))
    }
}

/// What a plan writes, in one way of spelling it.
fn target(plan: &Plan) -> String {
    match &plan.sink {
        Sink::File(sink) => plain(&plan.root.join(&sink.path)).display().to_string(),
        Sink::Database(sink) => match plan.sqlite_target() {
            Some(file) => format!("{} {}", file.display(), sink.table_title().to_lowercase()),
            None => plan.sink.title(),
        },
        Sink::CloudStorage(_) => plan.sink.title(),
    }
}

/// A path without `.` and `..`, as far as that can be told without looking at the disk.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if matches!(plain.components().next_back(), Some(Component::Normal(_))) => drop(plain.pop()),
            part => plain.push(part),
        }
    }
    plain
}
