//! What columns are: the lattice by which types are inferred, and the type that each column is read as.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arrow_schema::{DataType, Field, Fields, TimeUnit};
use etl_steps::Type;
use serde::{Deserialize, Serialize};

use super::scalar;
use crate::batch::with_json_text;

/// Members of a nested object above which it is a map rather than a record, and is kept as JSON text.
const MAX_MEMBERS: usize = 512;
/// Levels of nesting below which values are kept as JSON text.
const MAX_DEPTH: usize = 16;

/// What is known of a column's values so far.
///
/// null < everything; int < float < text; bool, instant < text; objects and lists join by their members; what fits nowhere is JSON text.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// Only nulls.
    #[default]
    Null,
    /// Truth values.
    Bool,
    /// 64-bit integers; `wide` where one of them is not exact as a float.
    Int { wide: bool },
    /// 64-bit floats.
    Float,
    /// Instants without a zone, from workbooks.
    Instant,
    /// Text.
    Text,
    /// Lists.
    List(Box<Kind>),
    /// Objects.
    Object(Members),
    /// Anything, as JSON text.
    Json,
}

/// The members of objects, in the order in which they were first seen.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(from = "Written", into = "Written")]
pub(super) struct Members {
    list: Vec<(String, Kind)>,
    by_name: HashMap<String, usize>,
    /// Those that were null somewhere, where the format tells null from nothing.
    nulls: BTreeSet<String>,
    /// Whether the format has rows without some of the members.
    optional: bool,
    /// Whether all rows there are were looked at, so that a column without values has none.
    whole: bool,
}

/// Members as they are kept.
#[derive(Serialize, Deserialize)]
struct Written {
    members: Vec<(String, Kind)>,
    nulls: BTreeSet<String>,
    optional: bool,
    whole: bool,
}

impl PartialEq for Members {
    fn eq(&self, other: &Self) -> bool {
        self.list == other.list
    }
}

impl Members {
    /// The member of this name, made if it is new.
    pub(super) fn entry(&mut self, name: &str) -> &mut Kind {
        let index = match self.by_name.get(name) {
            Some(&index) => index,
            None => {
                self.list.push((name.to_owned(), Kind::Null));
                self.by_name.insert(name.to_owned(), self.list.len() - 1);
                self.list.len() - 1
            }
        };
        &mut self.list[index].1
    }

    /// Notes that a member was null.
    pub(super) fn was_null(&mut self, name: &str) {
        if !self.nulls.contains(name) {
            self.nulls.insert(name.to_owned());
        }
    }

    /// Notes that rows may lack members.
    pub(super) fn with_optional(mut self) -> Self {
        self.optional = true;
        self
    }

    /// What tells of a name whether rows that have no value of it lack it, since it never was null.
    pub(super) fn lacking(&self) -> impl Fn(&str) -> bool + use<> {
        let (optional, nulls) = (self.optional, self.nulls.clone());
        move |name| optional && !nulls.contains(name)
    }

    /// Whether there is a member of this name.
    pub(super) fn contains(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    /// Notes whether all rows there are were looked at.
    pub(super) fn seen_whole(mut self, whole: bool) -> Self {
        self.whole = whole;
        self
    }

    /// What each is read as, where they are the columns of a source.
    pub(super) fn targets(self) -> Vec<(String, Target)> {
        let whole = self.whole;
        let target = |(name, kind): (String, Kind)| match kind {
            Kind::Null if whole => (name, Target::Nothing),
            kind => (name, kind.target()),
        };
        self.list.into_iter().map(target).collect()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// Adds those members of `other` that are new.
    pub(super) fn add_new(&mut self, other: Members) {
        self.nulls.extend(other.nulls);
        for (name, kind) in other.list {
            if !self.contains(&name) {
                *self.entry(&name) = kind;
            }
        }
    }
}

impl From<Written> for Members {
    fn from(Written { members: list, nulls, optional, whole }: Written) -> Self {
        let mut members = Self { nulls, optional, whole, ..Self::default() };
        for (name, kind) in list {
            *members.entry(&name) = kind;
        }
        members
    }
}

impl From<Members> for Written {
    fn from(Members { list, nulls, optional, whole, .. }: Members) -> Self {
        Self { members: list, nulls, optional, whole }
    }
}

impl IntoIterator for Members {
    type Item = (String, Kind);
    type IntoIter = std::vec::IntoIter<(String, Kind)>;

    fn into_iter(self) -> Self::IntoIter {
        self.list.into_iter()
    }
}

impl Kind {
    /// The kind of an integer.
    pub(super) fn of_int(value: i64) -> Self {
        Self::Int { wide: value.unsigned_abs() > 1 << 53 }
    }

    /// The kind of a text that has no type of its own, as in CSV.
    pub(super) fn of_loose(text: &[u8]) -> Self {
        if let Some(value) = scalar::int(text) {
            Self::of_int(value)
        } else if text.strip_prefix(b"-").unwrap_or(text).iter().all(u8::is_ascii_digit) {
            // Too large, or with leading zeros: as a number it would not come back as it was.
            Self::Text
        } else if scalar::float(text).is_some() {
            Self::Float
        } else if scalar::bool(text).is_some() {
            Self::Bool
        } else {
            Self::Text
        }
    }

    /// Widens to hold `other` too.
    pub(super) fn join(&mut self, other: Kind) {
        let joined = match (std::mem::take(self), other) {
            (Self::Json, _) | (_, Self::Json) => Self::Json,
            (Self::Null, kind) | (kind, Self::Null) => kind,
            (Self::Int { wide }, Self::Int { wide: other }) => Self::Int { wide: wide | other },
            (Self::Int { wide: false } | Self::Float, Self::Int { wide: false } | Self::Float) => Self::Float,
            (Self::List(mut items), Self::List(other)) => {
                items.join(*other);
                Self::List(items)
            }
            (Self::Object(mut members), Self::Object(other)) => {
                for (name, kind) in other {
                    members.entry(&name).join(kind);
                }
                Self::Object(members)
            }
            (Self::List(_) | Self::Object(_), _) | (_, Self::List(_) | Self::Object(_)) => Self::Json,
            (kind, other) if kind == other => kind,
            _ => Self::Text,
        };
        *self = joined;
    }

    /// The type that a column of this kind is read as.
    pub(super) fn target(self) -> Target {
        self.target_at(0)
    }

    fn target_at(self, depth: usize) -> Target {
        match self {
            Self::Null | Self::Text => Target::Text,
            Self::Bool => Target::Bool,
            Self::Int { .. } => Target::Int,
            Self::Float => Target::Float,
            Self::Instant => Target::Timestamp(None),
            Self::Json => Target::Json,
            Self::List(_) | Self::Object(_) if depth >= MAX_DEPTH => Target::Json,
            Self::List(items) => Target::List(Box::new(items.target_at(depth + 1))),
            Self::Object(members) if members.len() == 0 || members.len() > MAX_MEMBERS => Target::Json,
            Self::Object(members) => Target::Object(members.into_iter().map(|(name, kind)| (name, kind.target_at(depth + 1))).collect()),
        }
    }
}

/// The type that a column is read as.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Target {
    /// Nulls; should a value turn up after all, it is text.
    Nothing,
    /// Truth values.
    Bool,
    /// 64-bit integers.
    Int,
    /// 64-bit floats.
    Float,
    /// Text; a value of another type as it stands.
    Text,
    /// JSON text.
    Json,
    /// Exact decimals: precision, scale.
    Decimal(u8, i8),
    /// Days.
    Date,
    /// Microseconds, with a zone or without.
    Timestamp(Option<Arc<str>>),
    /// Lists.
    List(Box<Target>),
    /// Objects.
    Object(Vec<(String, Target)>),
    /// The type that a file declares.
    Declared(DataType),
}

impl Target {
    /// The Arrow type.
    pub(super) fn data_type(&self) -> DataType {
        match self {
            Self::Nothing => DataType::Null,
            Self::Bool => DataType::Boolean,
            Self::Int => DataType::Int64,
            Self::Float => DataType::Float64,
            Self::Text | Self::Json => DataType::Utf8,
            Self::Decimal(precision, scale) => DataType::Decimal128(*precision, *scale),
            Self::Date => DataType::Date32,
            Self::Timestamp(zone) => DataType::Timestamp(TimeUnit::Microsecond, zone.clone()),
            Self::List(items) => DataType::List(items.item_field()),
            Self::Object(members) => DataType::Struct(Self::member_fields(members)),
            Self::Declared(declared) => declared.clone(),
        }
    }

    /// The field of a column or member.
    pub(super) fn field(&self, name: &str) -> Field {
        let field = Field::new(name, self.data_type(), true);
        if matches!(self, Self::Json) { with_json_text(field) } else { field }
    }

    /// The field of a list's items.
    pub(super) fn item_field(&self) -> Arc<Field> {
        Arc::new(self.field("item"))
    }

    /// The fields of an object's members.
    pub(super) fn member_fields(members: &[(String, Target)]) -> Fields {
        members.iter().map(|(name, target)| target.field(name)).collect()
    }

    /// What a value should have been, for a message.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Nothing => "null".into(),
            Self::Bool => "a bool".into(),
            Self::Int => "an int64".into(),
            Self::Float => "a float64".into(),
            Self::Text => "a text".into(),
            Self::Json => "JSON".into(),
            Self::Decimal(precision, scale) => format!("a decimal({precision},{scale})"),
            Self::Date => "a date".into(),
            Self::Timestamp(None) => "a timestamp".into(),
            Self::Timestamp(Some(zone)) if &**zone == "UTC" => "a datetime".into(),
            Self::Timestamp(Some(zone)) => format!("a timestamp({zone})"),
            Self::List(_) => "a list".into(),
            Self::Object(_) => "an object".into(),
            Self::Declared(declared) => format!("a value of type {declared}"),
        }
    }
}

impl From<&Type> for Target {
    fn from(pinned: &Type) -> Self {
        match pinned {
            Type::String => Self::Text,
            Type::Int => Self::Int,
            Type::Float => Self::Float,
            Type::Bool => Self::Bool,
            Type::Datetime => Self::Timestamp(Some("UTC".into())),
            Type::Date => Self::Date,
            Type::Decimal { precision, scale } => Self::Decimal(*precision, *scale),
            Type::Timestamp { zone } => Self::Timestamp(zone.as_deref().map(Into::into)),
            Type::Json => Self::Json,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(texts: &[&str]) -> Kind {
        let mut kind = Kind::Null;
        for text in texts {
            kind.join(Kind::of_loose(text.as_bytes()));
        }
        kind
    }

    #[test]
    fn a_column_widens_along_one_lattice() {
        assert_eq!(joined(&["1", "2"]), Kind::Int { wide: false });
        assert_eq!(joined(&["1", "2.5"]), Kind::Float);
        assert_eq!(joined(&["9007199254740993", "2.5"]), Kind::Text);
        assert_eq!(joined(&["99999999999999999999"]), Kind::Text);
        assert_eq!(joined(&["true", "FALSE"]), Kind::Bool);
        assert_eq!(joined(&["true", "1"]), Kind::Text);
        assert_eq!(joined(&["00123"]), Kind::Text);
        let mut mixed = Kind::List(Box::new(Kind::Bool));
        mixed.join(Kind::Text);
        assert_eq!(mixed, Kind::Json);
    }
}
