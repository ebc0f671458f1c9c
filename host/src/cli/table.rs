//! A table of text that fits a width, with the terminal columns of every character counted.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Terminal columns that a cell has at least, where it is cut.
const NARROW: usize = 12;

/// Terminal columns that a cell has at most.
const WIDE: usize = 40;

/// A column of a table.
#[derive(Clone, Debug, Default)]
pub(super) struct Column {
    /// The lines above the values.
    pub(super) head: Vec<Cell>,
    /// The values.
    pub(super) cells: Vec<Cell>,
    /// Whether values stand at the right.
    pub(super) right: bool,
    /// Whether it is shown before others where there is no room for all.
    pub(super) first: bool,
}

impl Column {
    /// A column of texts without marks under a head of one line.
    pub(super) fn of(head: &str, right: bool, first: bool, cells: impl IntoIterator<Item = String>) -> Self {
        Self { head: vec![Cell::new(head, ' ')], cells: cells.into_iter().map(|text| Cell::new(text, ' ')).collect(), right, first }
    }
}

/// A text, and what stands before it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cell {
    /// The text.
    pub(super) text: String,
    /// One character that says something about it; a blank says nothing.
    pub(super) mark: char,
}

impl Cell {
    /// A text with a mark.
    pub(super) fn new(text: impl Into<String>, mark: char) -> Self {
        Self { text: text.into(), mark }
    }
}

/// A table as lines, and the indexes of the columns that had no room.
pub(super) struct Table {
    /// The lines.
    pub(super) lines: Vec<String>,
    /// The columns that had no room.
    pub(super) hidden: Vec<usize>,
}

/// Whether all columns have room for their values, as far as values are shown at all.
pub(super) fn fits(columns: &[Column], width: usize) -> bool {
    let widest = |column: &Column| column.head.iter().chain(&column.cells).map(|cell| cell.text.width()).max().unwrap_or(0).min(WIDE);
    columns.iter().map(|column| widest(column) + 3).sum::<usize>() <= width + 1
}

/// Lays a table out in `width` terminal columns. The first column is always shown.
pub(super) fn lay_out(columns: &[Column], width: usize) -> Table {
    let natural: Vec<usize> =
        columns.iter().map(|column| column.head.iter().chain(&column.cells).map(|cell| cell.text.width()).max().unwrap_or(0)).collect();
    // Each has its mark, a blank behind it and a line before the next one.
    let total = |widths: &[usize]| widths.iter().map(|width| width + 3).sum::<usize>().saturating_sub(1);
    let capped = |cap: usize| natural.iter().map(|width| (*width).min(cap)).collect::<Vec<_>>();
    let fitting = (NARROW..=WIDE).rev().step_by(4).map(capped).find(|widths| total(widths) <= width);
    let widths = fitting.clone().unwrap_or_else(|| capped(NARROW.max(20)));
    let mut shown: Vec<bool> = vec![true; columns.len()];
    if fitting.is_none() {
        // Those that matter least go first, until the rest fits with a `…` for every gap.
        let mut order: Vec<usize> = (1..columns.len()).collect();
        order.sort_by_key(|&index| (!columns[index].first, index));
        let fits = |shown: &[bool]| {
            let taken: usize = (0..shown.len()).filter(|&index| shown[index]).map(|index| widths[index] + 3).sum();
            let gaps = (0..shown.len()).filter(|&index| !shown[index] && (index == 0 || shown[index - 1])).count();
            taken + 4 * gaps <= width + 1
        };
        while order.len() > 1 && !fits(&shown) {
            shown[order.pop().expect("there are two")] = false;
        }
    }
    let hidden: Vec<usize> = (0..columns.len()).filter(|index| !shown[*index]).collect();
    let heads = columns.iter().map(|column| column.head.len()).max().unwrap_or(0);
    let rows = columns.iter().map(|column| column.cells.len()).max().unwrap_or(0);
    let blank = Cell::new("", ' ');
    let mut lines = Vec::with_capacity(heads + rows + 1);
    let mut line = |of: &dyn Fn(usize) -> (Cell, bool), rule: bool| {
        let mut text = String::new();
        let mut gap = false;
        for (index, width) in widths.iter().enumerate() {
            if !shown[index] {
                if !gap {
                    text.push_str(if rule { "┼───" } else { "│ … " });
                }
                gap = true;
                continue;
            }
            gap = false;
            if index > 0 {
                text.push(if rule { '┼' } else { '│' });
            }
            if rule {
                text.push_str(&"─".repeat(width + 2));
                continue;
            }
            let (cell, right) = of(index);
            let cut = fit(&cell.text, *width);
            let padding = " ".repeat(width.saturating_sub(cut.width()));
            text.push(cell.mark);
            if right {
                text.push_str(&padding);
            }
            text.push_str(&cut);
            if !right {
                text.push_str(&padding);
            }
            text.push(' ');
        }
        lines.push(text.trim_end().to_owned());
    };
    for head in 0..heads {
        line(&|index| (columns[index].head.get(head).unwrap_or(&blank).clone(), columns[index].right), false);
    }
    line(&|_| (blank.clone(), false), true);
    for row in 0..rows {
        line(&|index| (columns[index].cells.get(row).unwrap_or(&blank).clone(), columns[index].right), false);
    }
    Table { lines, hidden }
}

/// A text in at most `width` terminal columns, cut with `…`.
pub(super) fn fit(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut cut = String::new();
    let mut used = 0;
    for character in text.chars() {
        let wide = character.width().unwrap_or(0);
        if used + wide + 1 > width {
            break;
        }
        used += wide;
        cut.push(character);
    }
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(head: &str, cells: &[&str], first: bool) -> Column {
        let cells = cells.iter().map(|text| Cell::new(*text, ' ')).collect();
        Column { head: vec![Cell::new(head, ' ')], cells, right: false, first }
    }

    #[test]
    fn characters_that_take_two_columns_are_counted_so() {
        let table =
            lay_out(&[column("n", &["1", "2"], false), column("name", &["北京", "a"], false), column("x", &["e\u{301}", "🙂"], false)], 80);
        assert_eq!(table.lines, [" n │ name │ x", "───┼──────┼────", " 1 │ 北京 │ e\u{301}", " 2 │ a    │ 🙂"]);
        assert_eq!((fit("北京市", 5), fit("北京市", 4), fit("abc", 3)), ("北京…".into(), "北…".into(), "abc".into()));
    }

    #[test]
    fn columns_without_room_are_left_out_those_that_matter_last() {
        let columns: Vec<Column> = (0..6).map(|index| column(&format!("column {index}"), &["a rather long value"], index == 4)).collect();
        let table = lay_out(&columns, 74);
        assert_eq!(table.hidden, [2, 3, 5]);
        assert_eq!(table.lines[0], " column 0            │ column 1            │ … │ column 4            │ …");
        assert!(table.lines.iter().all(|line| line.width() <= 74), "{:#?}", table.lines);
    }
}
