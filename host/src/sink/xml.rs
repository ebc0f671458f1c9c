//! Rows as XML: one element a row, in a root element.
//!
//! | value | XML |
//! |---|---|
//! | column `a`, member `a` of an object | element `<a>` |
//! | column or member `@a` | attribute `a` of the element that it is in |
//! | column or member `#text` | text of the element that it is in |
//! | null | nothing; as an item of a list an empty element |
//! | list | an element an item; of lists in lists the inner items are elements `<item>` |
//! | number, day, truth value | as in CSV |
//!
//! That is what the XML source makes columns of. What XML has no way to write costs its row: a character that no document may hold, a key of an
//! object that no element can have as a name.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{DataType, Field, Schema};

use super::text::Unwritable;
use crate::config::load::XmlTags;
use crate::error::{Context, Error, Result};
use crate::json::{Cell, Style};

/// Name of the elements that stand for the items of a list in a list.
const ITEM: &str = "item";

/// The elements around rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Xml {
    /// The element around all rows.
    pub(super) root: String,
    record: String,
}

impl Xml {
    /// Reads the options.
    ///
    /// # Errors
    /// Config, where a tag cannot be the name of an element.
    pub(super) fn new(tags: &XmlTags) -> Result<Self> {
        let XmlTags { root_tag, record_tag } = tags;
        for (key, tag) in [("root_tag", root_tag), ("record_tag", record_tag)] {
            if let Some(wrong) = unfit_name(tag) {
                return Err(Error::config(format!("`xml_options.{key}` is `{tag}`, but {wrong}"))
                    .hint("write for example `xml_options: {root_tag: orders, record_tag: order}`"));
            }
        }
        Ok(Self { root: root_tag.clone(), record: record_tag.clone() })
    }

    /// What a file starts with.
    pub(super) fn opening(&self) -> Vec<u8> {
        format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{}>\n", self.root).into_bytes()
    }

    /// What a file ends with.
    pub(super) fn closing(&self) -> Vec<u8> {
        format!("</{}>\n", self.root).into_bytes()
    }
}

/// Checks that columns, and what is nested in them, can be elements and attributes.
///
/// # Errors
/// Config.
pub(super) fn check(schema: &Schema) -> Result<()> {
    schema.fields().iter().try_for_each(|field| check_field(field, field.name()))
}

fn check_field(field: &Field, path: &str) -> Result<()> {
    if let Some(wrong) = unfit(field.name(), field.data_type()) {
        return Err(Error::config(format!("column `{path}` cannot be written as XML: {wrong}"))
            .hint("`rename` the column in `transform.yaml`, `drop` it, or write another `format`"));
    }
    match item_type(field.data_type()) {
        DataType::Struct(fields) => fields.iter().try_for_each(|field| check_field(field, &format!("{path}.{}", field.name()))),
        _ => Ok(()),
    }
}

/// The type of the items of a list, or of the lists in it; any other type is its own.
fn item_type(data_type: &DataType) -> &DataType {
    use DataType as T;
    match data_type {
        T::List(item) | T::LargeList(item) | T::ListView(item) | T::LargeListView(item) | T::FixedSizeList(item, _) => {
            item_type(item.data_type())
        }
        T::Dictionary(_, values) => item_type(values),
        other => other,
    }
}

/// Why values of a type cannot stand under a name.
fn unfit(name: &str, data_type: &DataType) -> Option<String> {
    let nested = data_type.is_nested() && !matches!(data_type, DataType::Dictionary(..));
    match name.strip_prefix('@') {
        Some(_) if nested => Some(format!("`{name}` is an attribute, which holds no lists or objects")),
        Some("xmlns") => Some("`xmlns` is no attribute but declares a name space".into()),
        Some(attribute) => unfit_name(attribute),
        None if name == "#text" && nested => Some("`#text` is the text of an element, which holds no lists or objects".into()),
        None if name == "#text" => None,
        None => unfit_name(name),
    }
}

/// Why a text cannot be the name of an element: the names of XML 1.0, without prefixes, since nothing here declares name spaces.
fn unfit_name(name: &str) -> Option<String> {
    let starts = |letter: char| {
        matches!(letter,
            'A'..='Z' | 'a'..='z' | '_' | '\u{c0}'..='\u{d6}' | '\u{d8}'..='\u{f6}' | '\u{f8}'..='\u{2ff}' | '\u{370}'..='\u{37d}'
            | '\u{37f}'..='\u{1fff}' | '\u{200c}'..='\u{200d}' | '\u{2070}'..='\u{218f}' | '\u{2c00}'..='\u{2fef}' | '\u{3001}'..='\u{d7ff}'
            | '\u{f900}'..='\u{fdcf}' | '\u{fdf0}'..='\u{fffd}' | '\u{10000}'..='\u{effff}')
    };
    let goes_on = |letter: char| {
        starts(letter) || matches!(letter, '-' | '.' | '0'..='9' | '\u{b7}' | '\u{300}'..='\u{36f}' | '\u{203f}'..='\u{2040}')
    };
    let mut letters = name.chars();
    if letters.next().is_some_and(starts) && letters.all(goes_on) {
        return None;
    }
    Some(match name.split_once(':') {
        Some((prefix, _)) if unfit_name(prefix).is_none() => {
            format!("`{name}` has a prefix, and nothing says of which name space `{prefix}` is")
        }
        _ => format!("`{name}` is no name of XML, which starts with a letter or `_` and goes on with letters, digits, `_`, `-` and `.`"),
    })
}

/// The rows of one batch, ready to be written.
pub(super) struct XmlRows<'a> {
    record: &'a str,
    members: Members,
}

/// Why a value cannot be written: the code, what is wrong with it, and its column.
type Wrong = (&'static str, String);

impl<'a> XmlRows<'a> {
    /// Makes the rows of a batch ready.
    pub(super) fn new(rows: &RecordBatch, xml: &'a Xml) -> Result<Self> {
        let fields = rows.schema_ref().fields().iter().zip(rows.columns());
        Ok(Self { record: &xml.record, members: Members::new(fields.map(|(field, column)| (field.as_ref(), column)))? })
    }

    /// Writes a row, or nothing where it cannot be written.
    pub(super) fn write(&self, index: usize, out: &mut Vec<u8>) -> Result<(), Unwritable> {
        let start = out.len();
        self.members.write(self.record, index, out).map_err(|(field, (code, message))| {
            out.truncate(start);
            Unwritable { index, code, message: format!("column `{field}` cannot be written as XML: {message}"), field: Some(field) }
        })
    }
}

/// What an element holds.
struct Members {
    attributes: Vec<(String, Cell)>,
    text: Option<Cell>,
    elements: Vec<(String, Column)>,
    /// What has no place in an element, so that it must be null.
    misplaced: Vec<(String, Cell, String)>,
}

impl Members {
    fn new<'a>(fields: impl Iterator<Item = (&'a Field, &'a ArrayRef)>) -> Result<Self> {
        let mut members = Self { attributes: Vec::new(), text: None, elements: Vec::new(), misplaced: Vec::new() };
        for (field, column) in fields {
            let name = field.name();
            if let Some(wrong) = unfit(name, field.data_type()) {
                members.misplaced.push((name.clone(), Cell::new(column, Style::default()), wrong));
            } else if let Some(attribute) = name.strip_prefix('@') {
                members.attributes.push((attribute.to_owned(), Cell::new(column, Style::default())));
            } else if name == "#text" {
                members.text = Some(Cell::new(column, Style::default()));
            } else {
                members.elements.push((name.clone(), Column::new(column)?));
            }
        }
        Ok(members)
    }

    /// Writes an element; answers the member that cannot be written.
    fn write(&self, tag: &str, index: usize, out: &mut Vec<u8>) -> Result<(), (String, Wrong)> {
        let Self { attributes, text, elements, misplaced } = self;
        if let Some((name, _, wrong)) = misplaced.iter().find(|(_, cell, _)| !cell.is_null(index)) {
            return Err((name.clone(), ("xml_name", wrong.clone())));
        }
        out.push(b'<');
        out.extend_from_slice(tag.as_bytes());
        for (name, cell) in attributes.iter().filter(|(_, cell)| !cell.is_null(index)) {
            out.push(b' ');
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"=\"");
            write_text::<true>(cell, index, out).map_err(|wrong| (format!("@{name}"), wrong))?;
            out.push(b'"');
        }
        out.push(b'>');
        if let Some(cell) = text.as_ref().filter(|cell| !cell.is_null(index)) {
            write_text::<false>(cell, index, out).map_err(|wrong| ("#text".to_owned(), wrong))?;
        }
        for (name, column) in elements.iter().filter(|(_, column)| !column.is_null(index)) {
            column.write(name, index, out).map_err(|wrong| (name.clone(), wrong))?;
        }
        close(tag, out);
        Ok(())
    }
}

fn close(tag: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"</");
    out.extend_from_slice(tag.as_bytes());
    out.push(b'>');
}

/// A column whose values are elements.
enum Column {
    Plain(Cell),
    List(OffsetBuffer<i32>, Option<NullBuffer>, Box<Column>),
    Object(Option<NullBuffer>, Members),
    Map(OffsetBuffer<i32>, Option<NullBuffer>, Cell, Box<Column>),
}

impl Column {
    fn new(column: &ArrayRef) -> Result<Self> {
        use DataType as T;
        let nulls = column.nulls().cloned();
        Ok(match column.data_type() {
            T::List(_) => {
                let list = column.as_list::<i32>();
                Self::List(list.offsets().clone(), nulls, Box::new(Self::new(list.values())?))
            }
            T::LargeList(item) | T::FixedSizeList(item, _) | T::ListView(item) | T::LargeListView(item) => {
                Self::new(&arrow_cast::cast(column, &T::List(item.clone())).bug(|| "a list cannot be made plain".into())?)?
            }
            T::Struct(fields) => {
                let columns = column.as_struct().columns();
                Self::Object(nulls, Members::new(fields.iter().map(AsRef::as_ref).zip(columns))?)
            }
            T::Map(..) => {
                let map = column.as_map();
                let keys = Cell::new(map.keys(), Style::default());
                Self::Map(map.offsets().clone(), nulls, keys, Box::new(Self::new(map.values())?))
            }
            T::Dictionary(_, values) if values.is_nested() => {
                Self::new(&arrow_cast::cast(column, values).bug(|| "a dictionary cannot be unpacked".into())?)?
            }
            _ => Self::Plain(Cell::new(column, Style::default())),
        })
    }

    fn is_null(&self, index: usize) -> bool {
        match self {
            Self::Plain(cell) => cell.is_null(index),
            Self::List(_, nulls, _) | Self::Object(nulls, _) | Self::Map(_, nulls, ..) => {
                nulls.as_ref().is_some_and(|nulls| nulls.is_null(index))
            }
        }
    }

    /// Writes a value that is not null.
    fn write(&self, tag: &str, index: usize, out: &mut Vec<u8>) -> Result<(), Wrong> {
        let opened = |out: &mut Vec<u8>| {
            out.push(b'<');
            out.extend_from_slice(tag.as_bytes());
            out.push(b'>');
        };
        match self {
            Self::Plain(cell) => {
                opened(out);
                write_text::<false>(cell, index, out)?;
                close(tag, out);
            }
            Self::List(offsets, _, items) => {
                for item in offsets[index] as usize..offsets[index + 1] as usize {
                    match items.as_ref() {
                        _ if items.is_null(item) => {
                            opened(out);
                            close(tag, out);
                        }
                        Self::List(..) => {
                            opened(out);
                            items.write(ITEM, item, out)?;
                            close(tag, out);
                        }
                        items => items.write(tag, item, out)?,
                    }
                }
            }
            Self::Object(_, members) => {
                members.write(tag, index, out).map_err(|(member, (code, wrong))| (code, format!("in its member `{member}`, {wrong}")))?;
            }
            Self::Map(offsets, _, keys, values) => {
                opened(out);
                for entry in offsets[index] as usize..offsets[index + 1] as usize {
                    let mut key = Vec::new();
                    keys.write_text(entry, &mut key);
                    let key = String::from_utf8_lossy(&key);
                    if let Some(wrong) = unfit_name(&key) {
                        return Err(("xml_name", wrong));
                    }
                    if !values.is_null(entry) {
                        values.write(&key, entry, out)?;
                    }
                }
                close(tag, out);
            }
        }
        Ok(())
    }
}

/// Writes a value as text of an element, or of an attribute.
fn write_text<const ATTRIBUTE: bool>(cell: &Cell, index: usize, out: &mut Vec<u8>) -> Result<(), Wrong> {
    let start = out.len();
    cell.write_text(index, out);
    // 0xEF starts the two characters at the end of the first plane that no document may hold.
    let plain = |byte: &u8| *byte >= b' ' && !matches!(byte, b'<' | b'>' | b'&' | b'"' | 0xef);
    let is_blank = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_whitespace);
    let written = &out[start..];
    if written.iter().all(plain) && !is_blank(written.first()) && !is_blank(written.last()) {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&out.split_off(start)).into_owned();
    let last = text.chars().next_back().map_or(0, |letter| text.len() - letter.len_utf8());
    for (place, letter) in text.char_indices() {
        let is_end = place == 0 || place == last;
        match letter {
            '<' => out.extend_from_slice(b"&lt;"),
            '>' => out.extend_from_slice(b"&gt;"),
            '&' => out.extend_from_slice(b"&amp;"),
            '"' if ATTRIBUTE => out.extend_from_slice(b"&quot;"),
            // Readers make a line feed of it.
            '\r' => out.extend_from_slice(b"&#13;"),
            // Readers make a blank of them in attributes, and drop them around text.
            '\t' if ATTRIBUTE || is_end => out.extend_from_slice(b"&#9;"),
            '\n' if ATTRIBUTE || is_end => out.extend_from_slice(b"&#10;"),
            ' ' if is_end => out.extend_from_slice(b"&#32;"),
            '\t' | '\n' => out.push(letter as u8),
            '\0'..'\u{20}' | '\u{fffe}' | '\u{ffff}' => {
                return Err(("xml_character", format!("it has the character U+{:04X}, which no XML document may hold", letter as u32)));
            }
            letter => out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::StringArray;
    use arrow_array::builder::{Int64Builder, MapBuilder, StringBuilder};
    use arrow_array::cast::AsArray;
    use serde_json::json;

    use super::*;

    fn rows(lines: &[serde_json::Value]) -> RecordBatch {
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let (schema, _) = arrow_json::reader::infer_json_schema_from_seekable(std::io::Cursor::new(&text), None).unwrap();
        let reader = arrow_json::ReaderBuilder::new(Arc::new(schema)).build(std::io::Cursor::new(&text)).unwrap();
        reader.map(std::result::Result::unwrap).next().unwrap()
    }

    fn written(rows: &RecordBatch) -> Vec<String> {
        let xml = Xml::new(&XmlTags::default()).unwrap();
        let ready = XmlRows::new(rows, &xml).unwrap();
        let row = |index| {
            let mut out = Vec::new();
            match ready.write(index, &mut out) {
                Ok(()) => String::from_utf8(out).unwrap(),
                Err(wrong) => {
                    assert_eq!(out, b"", "a row that cannot be written leaves nothing");
                    format!("{} {}", wrong.code, wrong.message)
                }
            }
        };
        (0..rows.num_rows()).map(row).collect()
    }

    #[test]
    fn objects_are_nested_lists_are_repeated_and_nulls_are_left_out() {
        let rows = rows(&[
            json!({"id": 1, "a": {"b": "x", "c": [1, 2]}, "l": ["p", null], "o": [{"k": 1}, {"k": 2}], "m": [[1, 2], [3]]}),
            json!({"id": 2, "a": null, "l": [], "o": [{}], "m": null}),
        ]);
        assert_eq!(
            written(&rows),
            [
                "<record><id>1</id><a><b>x</b><c>1</c><c>2</c></a><l>p</l><l></l><o><k>1</k></o><o><k>2</k></o>\
                 <m><item>1</item><item>2</item></m><m><item>3</item></m></record>",
                "<record><id>2</id><o></o></record>",
            ]
        );
    }

    #[test]
    fn attributes_and_text_are_what_the_xml_source_calls_so() {
        let rows = rows(&[json!({"@id": 7, "#text": "t", "e": {"@k": "a\"<\n", "#text": " x "}})]);
        assert_eq!(written(&rows), ["<record id=\"7\">t<e k=\"a&quot;&lt;&#10;\">&#32;x&#32;</e></record>"]);
    }

    #[test]
    fn text_is_escaped_and_a_character_that_xml_lacks_costs_its_row() {
        let texts = ["<a>&\"]]>", "a\r\n\tb", " ", "é\u{fffd}", "bell\u{7}", "\u{ffff}", ""];
        let rows = RecordBatch::try_from_iter([("t", Arc::new(StringArray::from_iter_values(texts)) as ArrayRef)]).unwrap();
        assert_eq!(
            written(&rows),
            [
                "<record><t>&lt;a&gt;&amp;\"]]&gt;</t></record>",
                "<record><t>a&#13;\n\tb</t></record>",
                "<record><t>&#32;</t></record>",
                "<record><t>é\u{fffd}</t></record>",
                "xml_character column `t` cannot be written as XML: it has the character U+0007, which no XML document may hold",
                "xml_character column `t` cannot be written as XML: it has the character U+FFFF, which no XML document may hold",
                "<record><t></t></record>",
            ]
        );
    }

    #[test]
    fn a_key_that_is_no_name_costs_its_row() {
        let mut maps = MapBuilder::new(None, StringBuilder::new(), Int64Builder::new());
        for key in ["ok", "not ok"] {
            maps.keys().append_value(key);
            maps.values().append_value(7);
            maps.append(true).unwrap();
        }
        let rows = RecordBatch::try_from_iter([("m", Arc::new(maps.finish()) as ArrayRef)]).unwrap();
        assert_eq!(
            written(&rows),
            [
                "<record><m><ok>7</ok></m></record>",
                "xml_name column `m` cannot be written as XML: `not ok` is no name of XML, which starts with a letter or `_` and goes on with letters, \
                 digits, `_`, `-` and `.`",
            ]
        );
    }

    #[test]
    fn a_column_that_comes_later_and_is_no_name_costs_the_rows_that_have_it() {
        let rows = rows(&[json!({"id": 1, "unit price": 2}), json!({"id": 2})]);
        let found = written(&rows);
        assert!(found[0].starts_with("xml_name column `unit price` cannot be written as XML: `unit price` is no name of XML"), "{found:?}");
        assert_eq!(found[1], "<record><id>2</id></record>");
    }

    #[test]
    fn columns_that_cannot_be_elements_are_refused_before_any_row() {
        let checked = |value: serde_json::Value| check(rows(&[value]).schema_ref()).map_err(|error| error.to_string());
        assert_eq!(checked(json!({"a-1": 1, "_b.c": 2, "é": 3, "@x": 4, "#text": 5})), Ok(()));
        let is_no_name = "is no name of XML, which starts with a letter or `_` and goes on with letters, digits, `_`, `-` and `.`";
        assert_eq!(checked(json!({"1a": 1})), Err(format!("column `1a` cannot be written as XML: `1a` {is_no_name}")));
        assert_eq!(checked(json!({"a": [[{"b c": 1}]]})), Err(format!("column `a.b c` cannot be written as XML: `b c` {is_no_name}")));
        assert_eq!(
            checked(json!({"dc:title": 1})).unwrap_err(),
            "column `dc:title` cannot be written as XML: `dc:title` has a prefix, and nothing says of which name space `dc` is"
        );
        assert_eq!(
            checked(json!({"@a": [1]})).unwrap_err(),
            "column `@a` cannot be written as XML: `@a` is an attribute, which holds no lists or objects"
        );
        assert_eq!(
            checked(json!({"@xmlns": 1})).unwrap_err(),
            "column `@xmlns` cannot be written as XML: `xmlns` is no attribute but declares a name space"
        );
    }

    #[test]
    fn a_slice_of_lists_is_written_like_the_rows_it_has() {
        let rows = rows(&[json!({"l": [1]}), json!({"l": [2, 3]}), json!({"l": null})]);
        assert_eq!(rows.column(0).as_list::<i32>().len(), 3);
        assert_eq!(written(&rows.slice(1, 2)), ["<record><l>2</l><l>3</l></record>", "<record></record>"]);
    }
}
