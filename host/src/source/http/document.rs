//! Finds one value within a JSON document, without keeping the rest.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

/// The value at a dot path, digits index lists; none where there is no such place.
///
/// # Errors
/// Where it is no JSON document.
pub(super) fn find(document: &[u8], path: &str) -> Result<Option<Value>, serde_json::Error> {
    let steps = steps(path);
    if document.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    let mut deserializer = serde_json::Deserializer::from_slice(document);
    let found = Walk::<Value>(&steps, PhantomData).deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(found)
}

/// The value at a dot path as it is spelled.
///
/// # Errors
/// Where it is no JSON document.
pub(super) fn spelled(document: &[u8], path: &str) -> Result<Option<String>, serde_json::Error> {
    let found = Walk::<Box<RawValue>>(&steps(path), PhantomData).deserialize(&mut serde_json::Deserializer::from_slice(document))?;
    Ok(found.map(|raw| raw.get().to_owned()))
}

/// What stands at a path.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum At {
    /// There is no such place.
    Nothing,
    /// Null.
    Null,
    /// Anything else.
    Something,
}

/// Tells what stands at a path, without keeping it.
///
/// # Errors
/// Where it is no JSON document.
pub(super) fn at(document: &[u8], path: &str) -> Result<At, serde_json::Error> {
    let steps = steps(path);
    let mut deserializer = serde_json::Deserializer::from_slice(document);
    let found = Walk::<Presence>(&steps, PhantomData).deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(match found {
        None => At::Nothing,
        Some(Presence(false)) => At::Null,
        Some(Presence(true)) => At::Something,
    })
}

/// Whether it is anything but an empty object.
pub(super) fn has_members(document: &[u8]) -> bool {
    serde_json::from_slice::<BTreeMap<String, IgnoredAny>>(document).map_or(true, |members| !members.is_empty())
}

/// The names of the members of an object.
pub(super) fn members(document: &[u8]) -> BTreeSet<String> {
    serde_json::from_slice::<BTreeMap<String, IgnoredAny>>(document).unwrap_or_default().into_keys().collect()
}

/// Whether it is an object that says that something went wrong.
pub(super) fn tells_of_an_error(document: &[u8]) -> bool {
    let Ok(members) = serde_json::from_slice::<BTreeMap<String, Value>>(document) else { return false };
    members.iter().any(|(name, value)| match name.to_ascii_lowercase().as_str() {
        "ok" | "success" => *value == Value::Bool(false),
        "error" | "errors" | "fault" | "exception" => match value {
            Value::Bool(is_one) => *is_one,
            Value::Number(number) => number.as_f64() != Some(0.0),
            value => is_set(value),
        },
        "status" | "code" | "statuscode" | "status_code" => match value {
            Value::String(text) => matches!(text.to_ascii_lowercase().as_str(), "error" | "fail" | "failed" | "failure"),
            // Of 404 some say that there are no records.
            value => value.as_u64().is_some_and(|code| (400..600).contains(&code) && code != 404),
        },
        name => name.starts_with("error") && is_set(value),
    })
}

/// Whether an object that has nothing at a path may be a page without records: it tells of no error, and has a part of the path, or nothing to say
/// besides what pages with records have; of what those have nothing may be known.
pub(super) fn may_be_empty(document: &[u8], path: &str, known: Option<&BTreeSet<String>>) -> bool {
    if document.trim_ascii_start().starts_with(b"[") {
        return serde_json::from_slice::<Vec<IgnoredAny>>(document).is_ok_and(|items| items.is_empty());
    }
    let Ok(members) = serde_json::from_slice::<BTreeMap<String, Value>>(document) else { return false };
    if tells_of_an_error(document) {
        return false;
    }
    let steps = steps(path);
    let part = (1..steps.len()).rev().find_map(|length| find(document, &steps[..length].join(".")).ok()?);
    match part {
        Some(Value::Object(_) | Value::Array(_)) => true,
        None | Some(Value::Null) => members.iter().all(|(name, value)| {
            let is_said = || matches!(name.to_ascii_lowercase().as_str(), "message" | "msg" | "detail" | "details" | "reason" | "title");
            !is_set(value) || known.map_or_else(|| !is_said(), |known| known.contains(name))
        }),
        Some(_) => false,
    }
}

/// Whether it is a text, a list or an object that is not empty.
fn is_set(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
    }
}

fn steps(path: &str) -> Vec<&str> {
    path.split('.').filter(|step| !step.is_empty() && *step != "$").collect()
}

/// Whether a value is there that is not null.
struct Presence(bool);

impl<'de> Deserialize<'de> for Presence {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(Option::<IgnoredAny>::deserialize(deserializer)?.is_some()))
    }
}

/// The steps that are left.
struct Walk<'a, T>(&'a [&'a str], PhantomData<T>);

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for Walk<'_, T> {
    type Value = Option<T>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<T>, D::Error> {
        match self.0 {
            [] => T::deserialize(deserializer).map(Some),
            _ => deserializer.deserialize_any(self),
        }
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Walk<'_, T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON document")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Option<T>, A::Error> {
        let Some((step, rest)) = self.0.split_first() else { return Err(A::Error::custom("no step is left")) };
        let mut found = None;
        while let Some(is_it) = map.next_key_seed(Key(step))? {
            if is_it {
                found = map.next_value_seed(Walk::<T>(rest, PhantomData))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Option<T>, A::Error> {
        let Some((step, rest)) = self.0.split_first() else { return Err(A::Error::custom("no step is left")) };
        let wanted: Option<usize> = step.parse().ok();
        let mut found = None;
        for index in 0.. {
            let more = if wanted == Some(index) {
                let item = list.next_element_seed(Walk::<T>(rest, PhantomData))?;
                let more = item.is_some();
                found = item.flatten();
                more
            } else {
                list.next_element::<IgnoredAny>()?.is_some()
            };
            if !more {
                break;
            }
        }
        Ok(found)
    }

    fn visit_unit<E>(self) -> Result<Option<T>, E> {
        Ok(None)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Option<T>, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Option<T>, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Option<T>, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Option<T>, E> {
        Ok(None)
    }

    fn visit_str<E>(self, _: &str) -> Result<Option<T>, E> {
        Ok(None)
    }
}

/// Whether a key is this one.
struct Key<'a>(&'a str);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<bool, E> {
        Ok(key == self.0)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::find;

    #[test]
    fn a_value_is_found_wherever_it_stands_and_is_none_where_it_does_not() {
        let text = json!({"data": [{"id": 1}, {"id": "b"}], "meta": {"next": "abc", "more": false, "left": null}, "n": 7}).to_string();
        let at = |path: &str| find(text.as_bytes(), path).unwrap();
        assert_eq!(at("meta.next"), Some(json!("abc")));
        assert_eq!(at("$.meta.more"), Some(json!(false)));
        assert_eq!(at("meta.left"), Some(json!(null)));
        assert_eq!(at("data.1.id"), Some(json!("b")));
        assert_eq!(at("data.0"), Some(json!({"id": 1})));
        for path in ["meta.nothing", "data.2.id", "data.id", "n.a", "meta.next.a", "meta.left.a"] {
            assert_eq!(at(path), None, "{path}");
        }
        assert_eq!(find(b" ", "a").unwrap(), None);
        assert!(find(b"{\"a\": 1", "a").is_err());
        assert!(find(b"{\"a\": 1} x", "a").is_err());
    }
}
