//! Which files a path names, and what format they have.

use std::fs;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use glob::{MatchOptions, Pattern};
use tracing::warn;
use zip::CompressionMethod;
use zip::result::ZipError;

use super::input::{Input, Layer, Member};
use super::place::{Place, Seekable, ours};
use super::{Asset, Surroundings, http};
use crate::config::extract::{FileSource, Format};
use crate::error::{Context, Error, Result};

const FORMATS: &str = "csv, tsv, json, jsonl (ndjson), parquet, xlsx (xlsm, xlsb, xls, ods), xml";

/// What a path was found to name.
pub(super) struct Found {
    /// The path, as the user would name it.
    pub(super) path: String,
    /// What it names: `file` or `object`.
    pub(super) noun: &'static str,
    /// Each with its name, in reading order.
    pub(super) places: Vec<(String, Place)>,
}

/// The files of a source in reading order, all of one format. The format is absent where there is no file and none is given.
pub(super) fn resolve(source: &FileSource, found: Found) -> Result<(Vec<Input>, Option<Format>)> {
    let Found { path, noun, places } = found;
    let mut inputs: Vec<(Input, Option<Format>)> = Vec::new();
    for (name, place) in places {
        expand(name, place, source.format.is_some(), &mut inputs)?;
    }
    let mut format = source.format;
    for (input, named) in &inputs {
        match (format, named) {
            (None, Some(named)) => format = Some(*named),
            (None, None) => {
                return Err(Error::config(format!("the name of `{}` does not tell its format", input.name))
                    .hint(format!("name it with `format`; extensions known are {FORMATS}, each also with `.gz`, `.zst` or in a `.zip`")));
            }
            (Some(one), Some(other)) if source.format.is_none() && one != *other => {
                let first = &inputs[0].0.name;
                return Err(Error::config(format!("`{path}` matches {noun}s of several formats: `{first}`, `{}`", input.name))
                    .hint("narrow `path` to one extension, or name the `format` that all have"));
            }
            _ => {}
        }
    }
    if inputs.is_empty() && source.fail_on_empty {
        return Err(Error::outside(format!("`{path}` matches no {noun}")).hint("`fail_on_empty: false` takes that as an empty source"));
    }
    if inputs.is_empty() {
        tracing::warn!(path, "no {noun} matches, so that there is nothing to read; `fail_on_empty: true` makes that an error");
    }
    let lines = source.json_options.lines;
    let format = match format.or_else(|| format_of(&path)) {
        Some(Format::Json) if lines == Some(true) => Some(Format::Jsonl),
        Some(Format::Jsonl) if lines == Some(false) => Some(Format::Json),
        format => format,
    };
    Ok((inputs.into_iter().map(|(input, _)| input).collect(), format))
}

/// The files on this machine's disk that the source's path names.
pub(super) fn find(source: &FileSource, root: &Path) -> Result<Found> {
    let places = paths(source, root)?.into_iter().map(|path| (display(&path, root), Place::File(path))).collect();
    Ok(Found { path: source.path.clone(), noun: "file", places })
}

/// The file that is behind the source's URL, fetched.
pub(super) fn fetch(source: &FileSource, surroundings: &Surroundings<'_>) -> Result<Found> {
    let download = http::download(&source.path, surroundings)?;
    let Asset::Object { url, .. } = download.asset.clone() else { return Err(Error::bug("what was fetched is no file of this machine")) };
    // What stands behind the `?` says nothing of the format.
    let name = url.split(['?', '#']).next().unwrap_or(&url).to_owned();
    Ok(Found { path: url, noun: "file", places: vec![(name, Place::Web(Arc::new(download)))] })
}

fn paths(source: &FileSource, root: &Path) -> Result<Vec<PathBuf>> {
    if source.path.is_empty() {
        return Err(Error::config("`path` is empty").hint("where it is made of a variable, that is set to an empty text"));
    }
    let given = Path::new(&source.path);
    let path = root.join(given);
    if !source.path.contains(['*', '?', '[']) || path.is_file() {
        return exists(&path, &source.path).map(|()| vec![path]);
    }
    let pattern = match given.is_absolute() {
        true => source.path.clone(),
        false => format!("{}/{}", Pattern::escape(&root.to_string_lossy()), source.path),
    };
    let options = MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };
    let found = glob::glob_with(&pattern, options).map_err(|error| {
        let message = format!("`{}` is not a pattern of paths: {}", source.path, error.msg);
        Error::config(message).hint("`*` and `?` match within a name, `[…]` one of a set, `**` whole folders: `data/**/*.csv`")
    })?;
    let mut paths = Vec::new();
    for path in found {
        let path = path.map_err(|error| {
            let folder = display(error.path(), root);
            Error::outside(format!("could not look into `{folder}` for `{}`", source.path)).because(std::io::Error::from(error))
        })?;
        if path.is_file() {
            paths.push(path);
        }
    }
    if source.sort_files {
        paths.sort();
    }
    Ok(paths)
}

fn exists(path: &Path, given: &str) -> Result<()> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => {
            let files = given.trim_end_matches('/');
            Err(Error::outside(format!("`{given}` is a folder, not a file"))
                .hint(format!("`{files}/*.csv` reads the files in it, `{files}/**/*.csv` those below too")))
        }
        Ok(metadata) if !metadata.is_file() => {
            Err(Error::outside(format!("`{given}` is neither a file nor a folder, but a pipe or a device"))
                .hint("an input is read more than once, and read on from its middle: write it into a file first"))
        }
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Err(Error::outside(format!("`{given}` may not be read by this user"))
                .hint("give the user that runs this program permission to read it"))
        }
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            let error = Error::outside(format!("`{given}` does not exist; it was looked for as `{}`", path.display()));
            Err(match near(path) {
                Some(near) => error.hint(near),
                None => error,
            })
        }
        Err(error) => Err(Error::outside(format!("could not look at `{given}`")).because(error)),
    }
}

/// What stands near a path that does not exist.
fn near(path: &Path) -> Option<String> {
    let folder = path.parent()?;
    let Ok(entries) = fs::read_dir(folder) else {
        return Some(format!("the folder `{}` does not exist", folder.display()));
    };
    let wanted = path.file_name()?.to_string_lossy().into_owned();
    let mut names: Vec<(f64, String)> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .map(|name| (strsim::jaro_winkler(&name.to_lowercase(), &wanted.to_lowercase()), name))
        .filter(|(likeness, _)| *likeness > 0.75)
        .collect();
    names.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    let names: Vec<String> = names.into_iter().take(3).map(|(_, name)| format!("`{name}`")).collect();
    if names.is_empty() { None } else { Some(format!("there is {}", names.join(", "))) }
}

/// The path as the user would name it.
fn display(path: &Path, root: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).display().to_string()
}

fn expand(name: String, place: Place, format_given: bool, inputs: &mut Vec<(Input, Option<Format>)>) -> Result<()> {
    if !has_extension(&name, "zip") {
        let (layers, format) = layers_of(&name);
        let bytes = place.bytes();
        inputs.push((Input { name: name.into(), place, layers, bytes }, format));
        return Ok(());
    }
    let mut members = members(place.open(&name)?, &name)?;
    members.sort_by(|a, b| a.0.cmp(&b.0));
    let known = members.iter().any(|(member, _)| layers_of(member).1.is_some());
    for (member, packed) in members {
        let (inner, format) = layers_of(&member);
        if format.is_none() && !format_given && known {
            warn!(archive = %name, member = %member, "a member of the archive is of no format that can be read, it is left out");
            continue;
        }
        let bytes = packed.packed;
        let layers = std::iter::once(Layer::Member(packed)).chain(inner).collect();
        inputs.push((Input { name: Arc::from(format!("{name}/{member}")), place: place.clone(), layers, bytes }, format));
    }
    Ok(())
}

fn members(file: Box<dyn Seekable>, name: &str) -> Result<Vec<(String, Member)>> {
    let damaged = || format!("`{name}` is not a whole ZIP archive");
    let mut archive = zip::ZipArchive::new(BufReader::new(file)).map_err(|error| match error {
        ZipError::Io(error) => match ours(error) {
            Ok(error) => error,
            Err(error) => Error::data(damaged()).because(error),
        },
        other => Error::data(damaged()).because(other),
    })?;
    let mut members = Vec::new();
    for index in 0..archive.len() {
        let entry = archive.by_index_raw(index).data(damaged)?;
        let member = entry.name().to_owned();
        let hidden = member.split('/').any(|part| part.starts_with('.') || part == "__MACOSX");
        if entry.is_dir() || hidden {
            continue;
        }
        if entry.encrypted() {
            return Err(Error::data(format!("`{name}/{member}` is encrypted")).hint("unpack the archive first"));
        }
        let stored = match entry.compression() {
            CompressionMethod::Stored => true,
            CompressionMethod::Deflated => false,
            other => {
                return Err(Error::data(format!("`{name}/{member}` is packed by {other}; deflate and stored can be read"))
                    .hint("unpack the archive first, or pack it by deflate"));
            }
        };
        let place = Member { start: entry.data_start(), packed: entry.compressed_size(), size: entry.size(), crc: entry.crc32(), stored };
        members.push((member, place));
    }
    Ok(members)
}

fn layers_of(name: &str) -> (Vec<Layer>, Option<Format>) {
    let mut layers = Vec::new();
    let mut inner = name;
    loop {
        if has_extension(inner, "gz") {
            layers.push(Layer::Gzip);
            inner = &inner[..inner.len() - 3];
        } else if has_extension(inner, "zst") {
            layers.push(Layer::Zstd);
            inner = &inner[..inner.len() - 4];
        } else {
            return (layers, format_of(inner));
        }
    }
}

fn has_extension(name: &str, extension: &str) -> bool {
    Path::new(name).extension().is_some_and(|found| found.eq_ignore_ascii_case(extension))
}

/// The format that a name tells; `.gz`, `.zst` and `.zip` aside.
fn format_of(name: &str) -> Option<Format> {
    let path = Path::new(name);
    let extension = path.extension()?.to_str()?.to_ascii_lowercase();
    Some(match extension.as_str() {
        "csv" => Format::Csv,
        "tsv" | "tab" => Format::Tsv,
        "json" | "geojson" => Format::Json,
        "jsonl" | "ndjson" => Format::Jsonl,
        "parquet" | "pq" => Format::Parquet,
        "xlsx" | "xlsm" | "xlsb" | "xls" | "ods" => Format::Excel,
        "xml" => Format::Xml,
        "gz" | "zst" | "zip" => return format_of(path.file_stem()?.to_str()?),
        _ => return None,
    })
}
