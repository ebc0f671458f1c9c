//! A source of which only rows are taken that are newer than what earlier runs have loaded.

mod texts;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BooleanArray, Scalar, StringArray};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_ord::cmp::gt;
use arrow_ord::ord::make_comparator;
use arrow_schema::{DataType, SchemaRef, SortOptions};
use arrow_select::filter::filter_record_batch;
use serde_json::Value;

use self::texts::Texts;
use super::{Chunk, Chunks, Decoded, Source, Split, View};
use crate::batch::{Batch, Position, Reason, Reject};
use crate::config::extract::{Incremental, Lag};
use crate::error::{Context, Error, Result};
use crate::{json, moment};

/// A source without the rows that earlier runs have loaded.
pub struct Newer {
    source: Arc<dyn Source>,
    follow: Arc<Follow>,
}

/// Looks at the cursor of each row.
struct Follow {
    column: String,
    kind: DataType,
    /// Rows at or before it are left out; one value of the column's type.
    after: Option<Scalar<ArrayRef>>,
    /// The largest cursor that was seen or that was there at the start.
    mark: Mutex<Option<ArrayRef>>,
    /// Follows in place of both where cursors are texts.
    texts: Option<Texts>,
}

impl Newer {
    /// Takes of a source the rows whose cursor is above `mark`, where an earlier run left one, else above the initial value.
    ///
    /// # Errors
    /// Config, where the source has no such column, or mark, value or lag do not fit its type.
    pub fn new(source: Arc<dyn Source>, incremental: &Incremental, mark: Option<&str>) -> Result<Self> {
        let Incremental { cursor_field, initial_value, lag, param: _ } = incremental;
        let schema = source.schema();
        let Ok(field) = schema.field_with_name(cursor_field) else {
            let names = schema.fields().iter().map(|field| field.name().as_str());
            let error = Error::config(format!("`incremental.cursor_field` is `{cursor_field}`, but the source has no such column"));
            return Err(match crate::error::did_you_mean(cursor_field, names.clone()) {
                Some(near) => error.hint(format!("did you mean `{near}`?")),
                None => error.hint(format!("it has {}", names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "))),
            });
        };
        let kind = match (field.data_type(), mark) {
            // Without a value today, the mark tells what they are on other days.
            (DataType::Null, Some(mark)) if mark.parse::<i64>().is_ok() => DataType::Int64,
            (DataType::Null, Some(mark)) if mark.parse::<f64>().is_ok() => DataType::Float64,
            (DataType::Null, _) => DataType::Utf8,
            (DataType::LargeUtf8, _) => DataType::Utf8,
            (known, _) => known.clone(),
        };
        if !follows(&kind) {
            let message = format!("`incremental.cursor_field` `{cursor_field}` is {kind}, which has no order that rows could follow");
            return Err(Error::config(message).hint("it must be a number, a day, a time or a text"));
        }
        let read = |text: &str, what: &str| {
            value(text, &kind).map_err(|error| {
                error
                    .while_doing(format!("{what} `{text}` is no value of the column `{cursor_field}`, which is {kind}"))
                    .hint("pin the column's type under `schema`, or start anew with `--full-refresh`")
            })
        };
        let start = match mark {
            // Rows of the time before the mark may come late.
            Some(text) => Some((before(text, lag.as_ref(), &kind)?, "the mark")),
            None => initial_value.clone().map(|text| (text, "`incremental.initial_value`")),
        };
        let texts = (kind == DataType::Utf8).then(|| Texts::new(start.as_ref().map(|(text, _)| text.as_str()), mark));
        let after = start.map(|(text, what)| read(&text, what)).transpose()?.map(Scalar::new);
        let mark = mark.map(|text| read(text, "the mark")).transpose()?;
        let follow = Follow { column: cursor_field.clone(), kind, after, mark: Mutex::new(mark), texts };
        Ok(Self { source, follow: Arc::new(follow) })
    }

    /// What kind of values the cursor has: those of one kind can be compared, whatever their types.
    pub fn family(&self) -> &'static str {
        match &self.follow.kind {
            DataType::Utf8 | DataType::LargeUtf8 => "text",
            DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) => "a time",
            _ => "a number",
        }
    }

    /// What the next run starts behind, once this one has loaded everything: the largest cursor so far; none where no row had one.
    pub fn mark(&self) -> Option<String> {
        if let Some(texts) = &self.follow.texts {
            return texts.mark();
        }
        let mark = self.follow.mark.lock().unwrap_or_else(PoisonError::into_inner);
        mark.as_ref().map(|mark| spell(mark).expect("it was made of a text"))
    }

    /// Raises the mark to what an interrupted run had reached.
    ///
    /// # Errors
    /// Config, where it is no value of the column.
    pub fn reached(&self, mark: &str) -> Result<()> {
        match &self.follow.texts {
            Some(texts) => texts.raise(mark),
            None => self.follow.raise(&value(mark, &self.follow.kind)?)?,
        }
        Ok(())
    }
}

/// The parameters of a source, with the mark where it asks for it: `reached` less the lag, else the initial value.
///
/// # Errors
/// Config, where the lag does not fit the mark.
pub fn with_mark(
    params: &BTreeMap<String, Value>,
    incremental: Option<&Incremental>,
    reached: Option<&str>,
) -> Result<BTreeMap<String, Value>> {
    let mut params = params.clone();
    if let Some(Incremental { initial_value, lag, param: Some(param), .. }) = incremental {
        // Of what type the column is nobody knows yet: the mark shows whether it is a number.
        let kind = |mark: &str| if mark.parse::<f64>().is_ok() { DataType::Float64 } else { DataType::Utf8 };
        let value = reached.map(|mark| before(mark, lag.as_ref(), &kind(mark))).transpose()?.or_else(|| initial_value.clone());
        if let Some(value) = value {
            params.insert(param.clone(), Value::String(value));
        }
    }
    Ok(params)
}

/// Whether values of a type can be put in order and read back from text.
fn follows(kind: &DataType) -> bool {
    kind.is_integer()
        || kind.is_floating()
        || matches!(
            kind,
            DataType::Decimal128(..) | DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) | DataType::Utf8 | DataType::LargeUtf8
        )
}

/// A text as one value of a type.
fn value(text: &str, kind: &DataType) -> Result<ArrayRef> {
    let array: ArrayRef = Arc::new(StringArray::from(vec![text]));
    let value = cast_with_options(&array, kind, &CastOptions { safe: false, ..CastOptions::default() });
    value.fault(crate::error::Fault::Config, || "it cannot be read".into())
}

/// One value as a text that [`value`] reads.
fn spell(value: &ArrayRef) -> Result<String> {
    let text = cast_with_options(value, &DataType::Utf8, &CastOptions { safe: false, ..CastOptions::default() });
    Ok(text.bug(|| "a cursor as text".into())?.as_string::<i32>().value(0).to_owned())
}

/// What rows must be above, as text; none where all are new.
///
/// # Errors
/// Config, where the lag does not fit the cursor, whose type this is.
pub(super) fn start(incremental: &Incremental, reached: Option<&str>, kind: &DataType) -> Result<Option<String>> {
    match reached {
        Some(mark) => before(mark, incremental.lag.as_ref(), kind).map(Some),
        None => Ok(incremental.initial_value.clone()),
    }
}

/// The mark less the lag, as text.
fn before(mark: &str, lag: Option<&Lag>, kind: &DataType) -> Result<String> {
    let wrong = |needs: &str| {
        let message = format!("`incremental.lag` does not fit the cursor, which is {kind}: it must be {needs}");
        Err(Error::config(message).hint("pin the column's type under `schema`"))
    };
    let is_time = matches!(kind, DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 | DataType::Utf8 | DataType::LargeUtf8);
    match lag {
        None => Ok(mark.to_owned()),
        Some(Lag::Number(lag)) if !is_time => {
            let whole = mark.parse::<i64>().ok().filter(|_| lag.fract() == 0.0);
            match (whole, mark.parse::<f64>()) {
                (Some(mark), _) => Ok(mark.saturating_sub(*lag as i64).to_string()),
                (None, Ok(mark)) => Ok((mark - lag).to_string()),
                (None, Err(_)) => wrong("a number"),
            }
        }
        Some(Lag::Time(lag)) if is_time => match moment::earlier(mark, lag.nanoseconds) {
            Some(text) => Ok(text),
            None => wrong("absent where the cursor is a text that is no time such as 2024-12-31T23:59:59Z"),
        },
        Some(Lag::Number(_)) => wrong("a length of time such as `1h`"),
        Some(Lag::Time(_)) => wrong("a number"),
    }
}

impl Source for Arc<Newer> {
    fn inputs(&self) -> Vec<super::Asset> {
        self.source.inputs()
    }

    fn schema(&self) -> SchemaRef {
        self.source.schema()
    }

    fn learned(&self) -> Option<String> {
        self.source.learned()
    }

    fn view(&self, as_text: &[String], converted: &[String]) -> View {
        self.source.view(as_text, converted)
    }

    fn splits(&self, target: std::num::NonZeroUsize) -> Result<Vec<Split>> {
        self.source.splits(target)
    }

    fn stop(&self) {
        self.source.stop();
    }

    fn read(&self, split: &Split, from: Option<&Position>) -> Result<Chunks> {
        let follow = self.follow.clone();
        let chunks = self.source.read(split, from)?;
        Ok(Box::new(chunks.map(move |chunk| Ok(Box::new(NewerChunk { chunk: chunk?, follow: follow.clone() }) as Box<dyn Chunk>))))
    }
}

/// A chunk of which only newer rows are taken.
struct NewerChunk {
    chunk: Box<dyn Chunk>,
    follow: Arc<Follow>,
}

impl Chunk for NewerChunk {
    fn next(&self) -> Position {
        self.chunk.next()
    }

    fn seen_as(&self, view: &View) -> Box<dyn Chunk> {
        Box::new(Self { chunk: self.chunk.seen_as(view), follow: self.follow.clone() })
    }

    fn decode(self: Box<Self>) -> Box<dyn Iterator<Item = Result<Decoded>> + Send> {
        let Self { chunk, follow } = *self;
        Box::new(chunk.decode().map(move |decoded| follow.newer(decoded?)))
    }
}

impl Follow {
    /// The rows of a batch that are newer; a row without a cursor can be neither newer nor older and is refused.
    fn newer(&self, decoded: Decoded) -> Result<Decoded> {
        let Decoded { batch, mut rejects, skipped, filtered } = decoded;
        let Some(column) = batch.rows.column_by_name(&self.column).filter(|_| batch.rows.num_rows() > 0) else {
            return Ok(Decoded { batch, rejects, skipped, filtered });
        };
        // A batch may have the column as text; what is no value of its type then has no cursor.
        let cursors = cast_with_options(column, &self.kind, &CastOptions::default()).bug(|| "a cursor of its own type".into())?;
        let newer = match (&self.texts, &self.after) {
            (Some(texts), _) => texts.newer(cursors.as_string()),
            (None, Some(after)) => gt(&cursors, after).bug(|| "comparing cursors".into())?,
            (None, None) => BooleanArray::from_iter((0..cursors.len()).map(|row| cursors.is_valid(row).then_some(true))),
        };
        if self.texts.is_none() {
            self.raise(&cursors)?;
        }
        for row in (0..newer.len()).filter(|row| newer.is_null(*row)) {
            let what = match (column.is_null(row), cursors.is_null(row)) {
                (true, _) => "is null",
                (false, true) => "does not read as one",
                (false, false) => "is no time, as the mark is",
            };
            rejects.push(Reject {
                reason: Reason::ExtractionError,
                code: "no_cursor".into(),
                message: format!("`{}` {what}, so whether the row is new cannot be told", self.column),
                field: Some(self.column.clone()),
                record: json::record_json(&batch.rows, row),
                stage: "extract".into(),
                source: batch.origin.source.clone(),
                row: batch.origin.rows.get(row),
                line: 0,
                batch: batch.sequence,
            });
        }
        let kept: Vec<usize> = (0..newer.len()).filter(|row| newer.is_valid(*row) && newer.value(*row)).collect();
        if kept.len() == batch.rows.num_rows() {
            return Ok(Decoded { batch, rejects, skipped, filtered });
        }
        let rows = filter_record_batch(&batch.rows, &newer).bug(|| "taking the newer rows".into())?;
        let filtered = filtered + (batch.rows.num_rows() - kept.len() - newer.null_count()) as u64;
        let mut origin = batch.origin.clone();
        origin.rows = origin.rows.take(kept);
        rejects.sort_by_key(|reject| reject.row);
        Ok(Decoded { batch: Batch { rows, origin, sequence: batch.sequence }, rejects, skipped, filtered })
    }

    /// Raises the mark to the largest of some cursors.
    fn raise(&self, cursors: &ArrayRef) -> Result<()> {
        let compare = make_comparator(cursors, cursors, SortOptions::default()).bug(|| "comparing cursors".into())?;
        // A NaN stands above every number and would end all progress.
        let usable = |row: &usize| cursors.is_valid(*row) && !is_nan(cursors, *row);
        let Some(largest) = (0..cursors.len()).filter(usable).max_by(|left, right| compare(*left, *right)) else { return Ok(()) };
        let largest = cursors.slice(largest, 1);
        let mut mark = self.mark.lock().unwrap_or_else(PoisonError::into_inner);
        let above = match &*mark {
            Some(mark) => make_comparator(&largest, mark, SortOptions::default()).bug(|| "comparing cursors".into())?(0, 0).is_gt(),
            None => true,
        };
        if above {
            // A copy, so that it does not hold the batch.
            *mark = Some(value(&spell(&largest)?, &self.kind)?);
        }
        Ok(())
    }
}

fn is_nan(array: &ArrayRef, row: usize) -> bool {
    let double = || array.as_primitive_opt::<arrow_array::types::Float64Type>().is_some_and(|array| array.value(row).is_nan());
    let single = || array.as_primitive_opt::<arrow_array::types::Float32Type>().is_some_and(|array| array.value(row).is_nan());
    double() || single()
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::super::{ReadOptions, open_files};
    use super::*;
    use crate::config::extract::{FileSource, Reading};

    fn incremental(initial_value: Option<&str>, lag: Option<Lag>) -> Incremental {
        Incremental { cursor_field: "at".into(), initial_value: initial_value.map(ToOwned::to_owned), lag, param: None }
    }

    /// The rows of `at` that come, how many were left out and refused, and the mark afterwards.
    fn read(values: &[&str], incremental: &Incremental, mark: Option<&str>) -> Result<(Vec<String>, u64, usize, Option<String>)> {
        let folder = tempfile::tempdir().unwrap();
        let lines: String = values.iter().map(|value| format!("{{\"at\":{value}}}\n")).collect();
        std::fs::write(folder.path().join("a.jsonl"), lines).unwrap();
        let options = ReadOptions { batch_rows: NonZeroUsize::new(2).unwrap(), ..ReadOptions::default() };
        let source =
            Newer::new(Arc::from(open_files(&FileSource::of("a.jsonl"), &Reading::default(), options, folder.path())?), incremental, mark)?;
        let (mut came, mut filtered, mut rejects) = (Vec::new(), 0, 0);
        let source = Arc::new(source);
        for chunk in source.read(&source.splits(NonZeroUsize::MIN)?[0], None)? {
            for decoded in chunk?.decode() {
                let decoded = decoded?;
                let column = decoded.batch.rows.column(0).clone();
                assert_eq!(
                    decoded.batch.rows.num_rows(),
                    (0..).take_while(|row| decoded.batch.origin.rows.get(*row) > 0).take(column.len()).count()
                );
                came.extend((0..column.len()).map(|row| spell(&column.slice(row, 1)).unwrap()));
                filtered += decoded.filtered;
                rejects += decoded.rejects.len();
            }
        }
        Ok((came, filtered, rejects, source.mark()))
    }

    #[test]
    fn rows_above_the_mark_come_and_the_largest_is_the_next_mark() {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let none = incremental(None, None);
        assert_eq!(read(&["3", "1", "null", "2"], &none, None).unwrap(), (texts(&["3", "1", "2"]), 0, 1, Some("3".into())));
        assert_eq!(read(&["3", "1", "4", "2"], &none, Some("2")).unwrap(), (texts(&["3", "4"]), 2, 0, Some("4".into())));
        assert_eq!(read(&["1"], &none, Some("7")).unwrap(), (vec![], 1, 0, Some("7".into())));
        assert_eq!(read(&["1", "2"], &incremental(Some("1"), None), None).unwrap(), (texts(&["2"]), 1, 0, Some("2".into())));
        assert_eq!(read(&["1", "5", "9"], &incremental(None, Some(Lag::Number(4.0))), Some("8")).unwrap().0, texts(&["5", "9"]));
        assert_eq!(read(&["null"], &none, None).unwrap().3, None);
    }

    #[test]
    fn times_as_texts_are_followed_with_a_lag() {
        let values = ["\"2024-01-01T10:00:00Z\"", "\"2024-01-01T11:30:00Z\"", "\"2024-01-01T12:00:00Z\""];
        let lagging = incremental(None, Some(Lag::Time("1h".parse().unwrap())));
        let (came, filtered, _, mark) = read(&values, &lagging, Some("2024-01-01T12:00:00Z")).unwrap();
        assert_eq!((came.len(), filtered, mark.as_deref()), (2, 1, Some("2024-01-01T12:00:00Z")), "{came:?}");
    }

    #[test]
    fn texts_that_are_times_are_followed_by_when_they_are_and_others_as_they_are_spelled() {
        let quoted = |texts: &[&str]| texts.iter().map(|text| format!("\"{text}\"")).collect::<Vec<_>>();
        let follow = |texts: &[&str], incremental: &Incremental, mark: &str| {
            let values = quoted(texts);
            read(&values.iter().map(String::as_str).collect::<Vec<_>>(), incremental, Some(mark).filter(|mark| !mark.is_empty())).unwrap()
        };
        let none = incremental(None, None);
        // A fraction more, an offset, an earlier time whose bytes are larger.
        let texts = ["2024-03-01T10:00:00.512Z", "2024-03-01T10:00:00Z", "2024-03-01T12:00:00.6+02:00", "2024-03-01T11:30:00+02:00"];
        let (came, filtered, refused, mark) = follow(&texts, &none, "2024-03-01T10:00:00.5Z");
        assert_eq!((came, filtered, refused, mark.as_deref()), (vec![texts[0].into(), texts[2].into()], 2, 0, Some(texts[2])));
        let (came, .., mark) = follow(&["2024-03-01T09:00:00Z"], &none, "2024-03-01T10:30:00+02:00");
        assert_eq!((came.len(), mark.as_deref()), (1, Some("2024-03-01T09:00:00Z")));
        let lagging = incremental(None, Some(Lag::Time("1h".parse().unwrap())));
        assert_eq!(
            follow(&["2024-03-01T08:00:00Z", "2024-03-01T07:30:00Z"], &lagging, "2024-03-01T10:30:00+02:00").0,
            ["2024-03-01T08:00:00Z"]
        );
        let day = incremental(Some("2024-03-01"), None);
        assert_eq!(
            follow(&["2024-03-02", "2024-03-01T00:00:00Z", "2024-03-01T00:00:01Z"], &day, "").0,
            ["2024-03-02", "2024-03-01T00:00:01Z"]
        );
        // What is no time cannot be told to be new, and moves no mark that is one, in whatever order they come.
        let (came, filtered, refused, mark) = follow(&["n/a", "2024-03-02"], &none, "2024-03-01");
        assert_eq!((came, filtered, refused, mark.as_deref()), (vec!["2024-03-02".into()], 0, 1, Some("2024-03-02")));
        assert_eq!(follow(&["n/a", "2024-03-02"], &none, "").3.as_deref(), Some("2024-03-02"));
        assert_eq!(follow(&["a003", "a001", "2024-03-01"], &none, "a002"), (vec!["a003".into()], 2, 0, Some("a003".into())));
    }

    #[test]
    fn what_does_not_fit_is_refused_before_a_row_is_read() {
        let message = |incremental: &Incremental, mark: Option<&str>| read(&["1", "2"], incremental, mark).unwrap_err().one_line();
        assert!(
            message(&Incremental { cursor_field: "ad".into(), initial_value: None, lag: None, param: None }, None)
                .contains("has no such column")
        );
        assert!(
            message(&incremental(Some("soon"), None), None).contains("`incremental.initial_value` `soon` is no value of the column `at`")
        );
        assert!(message(&incremental(None, Some(Lag::Time("1h".parse().unwrap()))), Some("1")).contains("it must be a number"));
    }
}
