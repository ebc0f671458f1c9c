//! Finds the rows that a database refuses among many that are sent at once.

use std::ops::Range;

use super::said::{Said, Why};

/// The fewest rows that are sent at once after a refusal.
const FEW: usize = 32;

/// Rows that were refused, by their index, and what was said of each.
pub(super) type RefusedRows = Vec<(usize, Said)>;

/// Sends rows by ranges; where a range is refused, what it was for one row is found: by the row that the answer names, else by halves.
/// `attempt` sends a range all or nothing. Rows are sent in their order, each once with success or refused.
pub(super) fn narrow(rows: usize, attempt: &mut dyn FnMut(Range<usize>) -> Result<(), Said>) -> Result<RefusedRows, Said> {
    let mut refused = Vec::new();
    let mut todo: Vec<Range<usize>> = std::iter::once(0..rows).collect();
    let mut piece = rows;
    while let Some(range) = todo.pop() {
        if range.is_empty() {
            continue;
        }
        let end = range.end.min(range.start.saturating_add(piece));
        if end < range.end {
            todo.push(end..range.end);
        }
        let range = range.start..end;
        let said = match attempt(range.clone()) {
            Ok(()) => {
                piece = piece.saturating_mul(2);
                continue;
            }
            Err(said) if matches!(said.why, Why::Row(_)) => said,
            Err(said) => return Err(said),
        };
        match said.row.map(|row| range.start + row).filter(|row| range.contains(row)) {
            _ if range.len() == 1 => refused.push((range.start, said)),
            Some(bad) => {
                todo.push(bad + 1..range.end);
                todo.push(range.start..bad);
                refused.push((bad, said));
                // The next one is probably as far away as this one was.
                piece = FEW.max(2 * (bad - range.start));
            }
            None => {
                let middle = range.start + range.len() / 2;
                todo.push(middle..range.end);
                todo.push(range.start..middle);
            }
        }
    }
    refused.sort_by_key(|(row, _)| *row);
    Ok(refused)
}

/// Sends refused rows once more that named a row which may have come behind them, until none is taken any more.
pub(super) fn once_more(
    mut refused: Vec<(usize, Said)>,
    attempt: &mut dyn FnMut(Range<usize>) -> Result<(), Said>,
) -> Result<Vec<(usize, Said)>, Said> {
    loop {
        let (before, mut left) = (refused.len(), Vec::new());
        for (row, said) in refused {
            match if said.why == ORPHAN { attempt(row..row + 1) } else { Err(said) } {
                Ok(()) => {}
                Err(said) if matches!(said.why, Why::Row(_)) => left.push((row, said)),
                Err(said) => return Err(said),
            }
        }
        if left.len() == before {
            return Ok(left);
        }
        refused = left;
    }
}

/// What a row is told whose parent is not there.
const ORPHAN: Why = Why::Row("foreign_key_violation");

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends 1000 rows of which some are bad; answers what was refused and what was sent.
    fn send(bad: &[usize], tells: bool) -> (Vec<usize>, Vec<usize>, usize) {
        let (mut sent, mut attempts) = (Vec::new(), 0);
        let refused = narrow(1000, &mut |range| {
            attempts += 1;
            match bad.iter().find(|row| range.contains(row)) {
                None => {
                    sent.extend(range);
                    Ok(())
                }
                Some(row) => Err(Said { row: tells.then_some(row - range.start), ..Said::new(Why::Row("bad"), "no") }),
            }
        });
        (refused.unwrap().into_iter().map(|(row, _)| row).collect(), sent, attempts)
    }

    #[test]
    fn exactly_the_bad_rows_are_refused_and_the_others_sent_once_in_order() {
        for bad in [vec![], vec![0], vec![999], vec![0, 1, 2, 3], vec![5, 500, 501, 999], (0..1000).collect()] {
            for tells in [true, false] {
                let (refused, sent, _) = send(&bad, tells);
                assert_eq!(refused, bad);
                assert_eq!(sent, (0..1000).filter(|row| !bad.contains(row)).collect::<Vec<_>>(), "{bad:?} {tells}");
            }
        }
    }

    #[test]
    fn a_row_that_is_told_takes_few_attempts() {
        let bad: Vec<usize> = (0..1000).step_by(100).collect();
        assert!(send(&bad, true).2 <= 40, "{}", send(&bad, true).2);
    }

    #[test]
    fn what_is_not_about_a_row_ends_it() {
        let lost = narrow(10, &mut |_| Err(Said::new(Why::Lost, "gone")));
        assert_eq!(lost.unwrap_err().why, Why::Lost);
    }
}
