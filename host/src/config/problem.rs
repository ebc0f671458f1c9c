//! A mistake in a configuration file, and a bag to collect them in.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

use serde::Serialize;

use super::database::Connection;
use super::files::Text;
use super::yaml::{Key, Node};
use crate::error::{Error, Place, did_you_mean};

/// A mistake in a configuration file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Where it stands.
    pub place: Place,
    /// What is wrong: lower case, no full stop, literals in back-quotes.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// The variable, where it is only that one is not set here, which a check away from the server cannot know better.
    #[serde(skip)]
    pub unset: Option<String>,
}

impl Problem {
    /// Makes a problem at a place.
    pub fn new(place: Place, message: impl Into<String>) -> Self {
        Self { place, message: message.into(), hint: None, unset: None }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        let Problem { place, message, hint, unset: _ } = problem;
        let error = Error::config(message).at(place);
        match hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

/// Collects what is found out about one file while it is typed.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// The file as the user would name it.
    pub(super) file: String,
    /// What is wrong.
    pub(super) problems: Vec<Problem>,
    /// What is right and cannot run yet.
    pub(super) not_built: Vec<Problem>,
    /// The files that this one may name.
    pub(super) shelf: Shelf,
}

impl Findings {
    /// Starts with a file.
    pub(super) fn of(file: impl Into<String>) -> Self {
        Self { file: file.into(), ..Self::default() }
    }

    /// Where a node stands.
    pub(super) fn place(&self, node: &Node) -> Place {
        Place { file: self.file.clone(), line: node.line, column: node.column, key: node.path.clone() }
    }

    /// Where a key stands.
    pub(super) fn key_place(&self, key: &Key, value: &Node) -> Place {
        Place { file: self.file.clone(), line: key.line, column: key.column, key: value.path.clone() }
    }

    /// Notes what is wrong with a node; the answer takes a hint.
    pub(super) fn wrong(&mut self, node: &Node, message: impl Into<String>) -> &mut Problem {
        let place = self.place(node);
        self.wrong_at(place, message)
    }

    /// Notes what is wrong with a key; the answer takes a hint.
    pub(super) fn wrong_key(&mut self, key: &Key, value: &Node, message: impl Into<String>) -> &mut Problem {
        let place = self.key_place(key, value);
        self.wrong_at(place, message)
    }

    /// Notes what is wrong at a place; the answer takes a hint.
    pub(super) fn wrong_at(&mut self, place: Place, message: impl Into<String>) -> &mut Problem {
        self.problems.push(Problem::new(place, message));
        self.problems.last_mut().expect("it was just pushed")
    }

    /// Notes that something right cannot run yet; `what` is a key, with its value where that decides.
    pub(super) fn not_built(&mut self, node: &Node, what: &str) {
        let place = self.place(node);
        self.not_built.push(Problem::new(place, format!("`{what}` is not built yet")));
    }
}

/// Files that configuration files name, as far as somebody read them; and those that somebody should.
#[derive(Clone, Debug, Default)]
pub(super) struct Shelf {
    /// Path as written, and what is there; `None` = nothing.
    pub(super) texts: Rc<BTreeMap<String, Option<Text>>>,
    /// What was asked for and nobody looked at yet.
    pub(super) wanted: Rc<RefCell<Vec<Wanted>>>,
    /// What the settings say of contracts; absent where they cannot be read.
    pub(super) contracts: Option<Rc<Contracts>>,
}

/// What the settings say of contracts.
#[derive(Debug)]
pub(super) struct Contracts {
    /// The metadata store.
    pub(super) store: Option<Connection>,
    /// The one that `use_contract` means.
    pub(super) named: Option<String>,
    /// Those that were read, by [`StoredContract::title`].
    pub(super) read: BTreeMap<String, Text>,
}

/// Something that configuration files name and that somebody must fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// A file, by its path as written, relative to the contract directory.
    File(String),
    /// A contract of a metadata store.
    Contract(StoredContract),
}

/// A contract of a metadata store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredContract {
    /// Its name.
    pub name: String,
    /// Its version; absent = the latest.
    pub version: Option<String>,
    /// The store.
    pub store: Connection,
    /// Where it is named.
    pub place: Place,
}

impl StoredContract {
    /// Name and version as written.
    pub fn title(&self) -> String {
        match &self.version {
            Some(version) => format!("{}@{version}", self.name),
            None => self.name.clone(),
        }
    }
}

/// For a person; without passwords.
impl fmt::Display for StoredContract {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "contract `{}` of `{}`", self.title(), self.store)
    }
}

impl Shelf {
    /// What is at a path: absent = nobody looked, `None` within = there is nothing.
    pub(super) fn find(&self, path: &str) -> Option<Option<Text>> {
        let found = self.texts.get(path).cloned();
        if found.is_none() {
            self.want(Wanted::File(path.to_owned()));
        }
        found
    }

    /// A contract of the metadata store; absent = nobody looked.
    pub(super) fn stored(&self, asked: &StoredContract) -> Option<Text> {
        let found = self.contracts.as_ref().and_then(|contracts| contracts.read.get(&asked.title()).cloned());
        if found.is_none() {
            self.want(Wanted::Contract(asked.clone()));
        }
        found
    }

    fn want(&self, wanted: Wanted) {
        if !self.wanted.borrow().contains(&wanted) {
            self.wanted.borrow_mut().push(wanted);
        }
    }
}

/// Writes names as a list in back-quotes.
pub(super) fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// What to do about a name that is not among `names`: the closest, and all of them where they are few.
pub(super) fn suggest(name: &str, names: &[&str], what: &str) -> Option<String> {
    if name == "transformers" {
        return Some("`transformers` stands at the top of transform.yaml, or of pipeline.yaml".into());
    }
    let meant = did_you_mean(name, names.iter().copied()).map(|name| format!("did you mean `{name}`?"));
    let all = (!names.is_empty() && (names.len() <= 8 || meant.is_none())).then(|| format!("{what} {}", list(names.iter().copied())));
    match (meant, all) {
        (Some(meant), Some(all)) => Some(format!("{meant} {all}")),
        (meant, all) => meant.or(all),
    }
}
