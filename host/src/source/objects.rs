//! Which objects of a cloud storage a source reads.

use std::sync::Arc;

use glob::{MatchOptions, Pattern};

use super::paths::Found;
use super::place::Place;
use crate::config::cloud::Storage;
use crate::error::{Error, Result};
use crate::remote::store::{Object, Store};

/// How names are matched: `*` stays between two slashes.
const MATCH: MatchOptions = MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };

/// Finds the objects, in the order of their names.
pub(super) fn find(storage: &Storage, store: &Store) -> Result<Found> {
    check(storage)?;
    let objects = if is_one(storage) { vec![one(storage.place(), store)?] } else { several(storage, store)? };
    let places = objects.into_iter().map(|object| (store.url(&object.key), Place::Object(store.clone(), Arc::new(object)))).collect();
    Ok(Found { path: storage.to_string(), noun: "object", places })
}

/// Checks what says which objects are read.
pub(super) fn check(storage: &Storage) -> Result<()> {
    if storage.path.is_some() && storage.prefix.is_some() {
        return Err(Error::config("`storage` says both `path` and `prefix`").hint("keep one of them"));
    }
    if storage.path.is_some() && storage.place().contains(['*', '?', '[']) {
        pattern("path", storage.place())?;
    }
    storage.pattern.as_deref().map_or(Ok(()), |text| pattern("pattern", text).map(|_| ()))
}

/// Whether the path is that of one object.
fn is_one(storage: &Storage) -> bool {
    let place = storage.place();
    storage.path.is_some() && storage.pattern.is_none() && !place.is_empty() && !place.ends_with('/') && !place.contains(['*', '?', '['])
}

fn one(key: &str, store: &Store) -> Result<Object> {
    if let Some(object) = store.find(key)? {
        return Ok(object);
    }
    let missing = Error::outside(format!("`{}` does not exist", store.url(key)));
    let folder = key.rsplit_once('/').map_or("", |(folder, _)| folder);
    let below = format!("{key}/");
    let near = store.list(folder)?;
    if near.iter().any(|object| object.key.starts_with(&below)) {
        return Err(missing.hint(format!("there are objects below it: `path: {below}` reads them")));
    }
    let names = near.iter().filter(|object| !object.key.strip_prefix(folder).unwrap_or(&object.key).trim_start_matches('/').contains('/'));
    let mut names: Vec<(f64, &str)> = names
        .map(|object| (strsim::jaro_winkler(&object.key.to_lowercase(), &key.to_lowercase()), object.key.as_str()))
        .filter(|(likeness, _)| *likeness > 0.75)
        .collect();
    names.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(b.1)));
    let names: Vec<String> = names.into_iter().take(3).map(|(_, name)| format!("`{name}`")).collect();
    Err(if names.is_empty() { missing } else { missing.hint(format!("there is {}", names.join(", "))) })
}

fn several(storage: &Storage, store: &Store) -> Result<Vec<Object>> {
    let place = storage.place();
    let globs = storage.path.is_some() && place.contains(['*', '?', '[']);
    // What the storage is asked for ends where the first name begins that is not literal.
    let literal = if globs { &place[..place.find(['*', '?', '[']).unwrap_or(place.len())] } else { place };
    let folder = literal.rsplit_once('/').map_or("", |(folder, _)| folder);
    let path = if globs { Some(pattern("path", place)?) } else { None };
    let own = storage.pattern.as_deref().map(|text| pattern("pattern", text)).transpose()?;
    let mut objects = store.list(folder)?;
    objects.retain(|object| {
        let key = object.key.as_str();
        // Storages keep empty objects for folders, and what starts with a dot is ours or another tool's on its way.
        if !key.starts_with(literal)
            || key.ends_with('/')
            || key.strip_prefix(folder).unwrap_or(key).split('/').any(|part| part.starts_with('.'))
        {
            return false;
        }
        let below = key.strip_prefix(literal).unwrap_or(key).trim_start_matches('/');
        let name = key.rsplit('/').next().unwrap_or(key);
        path.as_ref().is_none_or(|path| path.matches_with(key, MATCH))
            && own.as_ref().is_none_or(|own| own.matches_with(if own.as_str().contains('/') { below } else { name }, MATCH))
    });
    Ok(objects)
}

fn pattern(key: &str, text: &str) -> Result<Pattern> {
    Pattern::new(text).map_err(|error| {
        Error::config(format!("`storage.{key}` is `{text}`, which is no pattern: {}", error.msg))
            .hint("`*` and `?` match within a name, `[…]` one of a set, `**` whole folders: `data/**/*.csv`")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::cloud::Provider;

    fn found(path: Option<&str>, prefix: Option<&str>, own: Option<&str>) -> Result<Vec<String>> {
        let store = Store::in_memory();
        for key in ["in/a.csv", "in/b.json", "in/deep/c.csv", "in/.a.csv.etl/commit", "in/deep/.hidden/d.csv", "input.csv", "other/a.csv"] {
            store.write(key, "x").unwrap();
        }
        let text = |text: Option<&str>| text.map(str::to_owned);
        let storage = Storage {
            provider: Provider::S3,
            bucket: "memory".into(),
            path: text(path),
            prefix: text(prefix),
            pattern: text(own),
            credentials: Default::default(),
        };
        Ok(find(&storage, &store)?.places.into_iter().map(|(name, _)| name.replace("s3://memory/", "")).collect())
    }

    #[test]
    fn a_path_names_one_object_a_folder_or_a_pattern_and_a_prefix_all_that_start_so() {
        assert_eq!(found(Some("in/a.csv"), None, None).unwrap(), ["in/a.csv"]);
        assert_eq!(found(Some("/in/"), None, None).unwrap(), ["in/a.csv", "in/b.json", "in/deep/c.csv"]);
        assert_eq!(found(Some("in/*.csv"), None, None).unwrap(), ["in/a.csv"]);
        assert_eq!(found(Some("in/**/*.csv"), None, None).unwrap(), ["in/a.csv", "in/deep/c.csv"]);
        assert_eq!(found(Some("*/a.csv"), None, None).unwrap(), ["in/a.csv", "other/a.csv"]);
        assert_eq!(found(None, Some("in"), None).unwrap(), ["in/a.csv", "in/b.json", "in/deep/c.csv", "input.csv"]);
        assert_eq!(found(None, Some("in/"), Some("*.csv")).unwrap(), ["in/a.csv", "in/deep/c.csv"]);
        assert_eq!(found(None, Some("in/"), Some("deep/*.csv")).unwrap(), ["in/deep/c.csv"]);
        assert_eq!(found(None, None, Some("input.*")).unwrap(), ["input.csv"]);
        assert_eq!(found(Some("none/"), None, None).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn an_object_that_is_missing_is_answered_with_those_that_are_near() {
        let refused = |path: &str| {
            let error = found(Some(path), None, None).unwrap_err();
            format!("{error}; {}", error.find_hint().unwrap_or_default())
        };
        assert_eq!(refused("in/aa.csv"), "`s3://memory/in/aa.csv` does not exist; there is `in/a.csv`, `in/b.json`");
        assert_eq!(refused("in/deep"), "`s3://memory/in/deep` does not exist; there are objects below it: `path: in/deep/` reads them");
        assert_eq!(refused("zz"), "`s3://memory/zz` does not exist; ");
        assert!(refused("in//a.csv").starts_with("`s3://memory/in//a.csv` is no name of an object"), "{}", refused("in//a.csv"));
    }
}
