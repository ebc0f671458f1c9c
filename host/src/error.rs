//! What can go wrong, and whose fault it is.

use std::fmt;
use std::path::Path;

/// Whose fault an error is; it alone decides retry and exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The command line or a configuration file is wrong.
    Config,
    /// The rows are wrong.
    Data,
    /// A component failed: trap, limit, broken promise.
    Guest,
    /// Something outside failed: file missing, disk full, server down.
    Outside,
    /// We are wrong.
    Bug,
}

/// A phase of a run, in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PhaseName {
    /// Rows are read.
    #[default]
    Extract,
    /// They are changed.
    Transform,
    /// They are held to rules.
    Validate,
    /// What several transformers made is put together.
    Merge,
    /// They are written, and shown.
    Load,
    /// What depends on the written rows is brought up to date.
    Publish,
}

impl PhaseName {
    /// All of them, in order.
    pub const ALL: [Self; 6] = [Self::Extract, Self::Transform, Self::Validate, Self::Merge, Self::Load, Self::Publish];

    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Extract => "extract",
            Self::Transform => "transform",
            Self::Validate => "validate",
            Self::Merge => "merge",
            Self::Load => "load",
            Self::Publish => "publish",
        }
    }
}

/// A place in a text that a user wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Place {
    /// The file as the user would name it.
    pub file: String,
    /// Line, from 1; 0 where only the file is known.
    pub line: usize,
    /// Column in characters, from 1; 0 where only the line is known.
    pub column: usize,
    /// Path of the key, such as `transform.convert.price`; empty where there is none.
    pub key: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        if self.column > 0 {
            write!(f, ":{}", self.column)?;
        }
        Ok(())
    }
}

/// An error: one sentence for this level, and the level below it.
///
/// `Display` prints its own level only; the chain is printed once, at the door.
pub struct Error(Box<Inner>);

struct Inner {
    fault: Fault,
    message: String,
    place: Option<Place>,
    hint: Option<String>,
    phase: Option<PhaseName>,
    given_up: bool,
    lost: bool,
    source: Option<anyhow::Error>,
}

/// The library's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Makes an error of the given fault; the message is lower case, without a full stop, literals in back-quotes.
    pub fn new(fault: Fault, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            fault,
            message: message.into(),
            place: None,
            hint: None,
            phase: None,
            lost: false,
            given_up: false,
            source: None,
        }))
    }

    /// Makes a configuration error.
    pub fn config(message: impl Into<String>) -> Self {
        Self::new(Fault::Config, message)
    }

    /// Makes a data error.
    pub fn data(message: impl Into<String>) -> Self {
        Self::new(Fault::Data, message)
    }

    /// Makes a guest error.
    pub fn guest(message: impl Into<String>) -> Self {
        Self::new(Fault::Guest, message)
    }

    /// Makes an outside error.
    pub fn outside(message: impl Into<String>) -> Self {
        Self::new(Fault::Outside, message)
    }

    /// Makes a bug.
    pub fn bug(message: impl Into<String>) -> Self {
        Self::new(Fault::Bug, message)
    }

    /// Adds where in the user's text it is.
    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.0.place = Some(place);
        self
    }

    /// Adds what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Says in which phase of a run it happened; what was said first stays.
    #[must_use]
    pub fn in_phase(mut self, phase: PhaseName) -> Self {
        if self.phase().is_none() {
            self.0.phase = Some(phase);
        }
        self
    }

    /// Says that the other end of a connection went away or gave up: what was under way there is undone, and may be tried again.
    #[must_use]
    pub fn lost(mut self) -> Self {
        self.0.lost = true;
        self
    }

    /// Whether the other end of a connection went away or gave up.
    pub fn is_lost(&self) -> bool {
        self.0.lost || self.0.source.as_ref().and_then(|source| source.downcast_ref::<Error>()).is_some_and(Error::is_lost)
    }

    /// Adds the level below.
    #[must_use]
    pub fn because(mut self, source: impl Into<anyhow::Error>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The same, with the world outside at fault.
    #[must_use]
    pub fn as_outside(mut self) -> Self {
        self.0.fault = Fault::Outside;
        self
    }

    /// Says that trying again is no use: it was tried often enough where it happened.
    #[must_use]
    pub fn given_up(mut self) -> Self {
        self.0.given_up = true;
        self
    }

    /// Puts a level above that says what we were doing; the fault stays.
    #[must_use]
    pub fn while_doing(self, message: impl Into<String>) -> Self {
        let fault = self.0.fault;
        Self::new(fault, message).because(self)
    }

    /// The same once more, for another who is to be told.
    #[must_use]
    pub fn again(&self) -> Self {
        let below = self.chain().into_iter().skip(1).rev().fold(None, |below: Option<Self>, message| {
            let level = Self::new(self.fault(), message);
            Some(match below {
                Some(below) => level.because(below),
                None => level,
            })
        });
        Self(Box::new(Inner {
            fault: self.fault(),
            message: self.0.message.clone(),
            place: self.0.place.clone(),
            hint: self.find_hint().map(ToOwned::to_owned),
            phase: self.phase(),
            given_up: self.is_given_up(),
            lost: self.is_lost(),
            source: below.map(Into::into),
        }))
    }

    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        self.0.fault
    }

    /// Whether it was tried again as often as it may be.
    pub fn is_given_up(&self) -> bool {
        self.0.given_up || self.0.source.as_ref().and_then(|source| source.downcast_ref::<Error>()).is_some_and(Error::is_given_up)
    }

    /// The phase of a run in which it happened, where somebody said so.
    pub fn phase(&self) -> Option<PhaseName> {
        self.0.phase.or_else(|| self.0.source.as_ref()?.downcast_ref::<Error>()?.phase())
    }

    /// Where in the user's text it is.
    pub fn place(&self) -> Option<&Place> {
        self.0.place.as_ref()
    }

    /// What to do next: this level's, or the nearest below that has one.
    pub fn find_hint(&self) -> Option<&str> {
        self.0.hint.as_deref().or_else(|| self.0.source.as_ref()?.downcast_ref::<Error>()?.find_hint())
    }

    /// All levels' sentences, outermost first.
    pub fn chain(&self) -> Vec<String> {
        let mut levels = vec![self.0.message.clone()];
        if let Some(source) = &self.0.source {
            match source.downcast_ref::<Error>() {
                Some(error) => levels.extend(error.chain()),
                None => levels.extend(source.chain().map(ToString::to_string)),
            }
        }
        levels
    }

    /// The chain as one line, for a dead letter or a log.
    pub fn one_line(&self) -> String {
        self.chain().join(": ")
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.0.fault, self.one_line())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_ref().map(|source| source.as_ref())
    }
}

/// Puts a level of ours above somebody else's error.
pub trait Context<T> {
    /// As [`Error::while_doing`], with the fault given.
    fn fault(self, fault: Fault, message: impl FnOnce() -> String) -> Result<T>;

    /// The world outside failed us.
    fn outside(self, message: impl FnOnce() -> String) -> Result<T>
    where
        Self: Sized,
    {
        self.fault(Fault::Outside, message)
    }

    /// The rows are wrong.
    fn data(self, message: impl FnOnce() -> String) -> Result<T>
    where
        Self: Sized,
    {
        self.fault(Fault::Data, message)
    }

    /// This cannot happen unless we are wrong.
    fn bug(self, message: impl FnOnce() -> String) -> Result<T>
    where
        Self: Sized,
    {
        self.fault(Fault::Bug, message)
    }
}

impl<T, E: Into<anyhow::Error>> Context<T> for std::result::Result<T, E> {
    fn fault(self, fault: Fault, message: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| Error::new(fault, message()).because(error))
    }
}

/// A path as one would write it from here.
pub fn near(path: &Path) -> String {
    let here = std::env::current_dir().ok().filter(|here| here.parent().is_some());
    match here.as_deref().and_then(|here| path.strip_prefix(here).ok()) {
        Some(within) if within.as_os_str().is_empty() => ".".into(),
        Some(within) => within.display().to_string(),
        None => path.display().to_string(),
    }
}

/// The name among `right` that `wrong` was probably meant to be: at most a third of its letters are off.
pub fn did_you_mean<'a>(wrong: &str, right: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wrong = wrong.to_lowercase();
    right
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&wrong, &name.to_lowercase()), name))
        .filter(|(distance, name)| *distance <= wrong.chars().count().max(name.chars().count()) / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}
