//! What a guest did with a batch, held to its promises.

use std::collections::BTreeMap;

use arrow_array::{BooleanArray, RecordBatch};
use arrow_buffer::{BooleanBuffer, BooleanBufferBuilder};

use super::bindings::types::Cardinality;
use super::failure::{Failure, FailureKind};
use super::output::{Emitted, Output, Rejected};

/// What became of one batch.
#[derive(Debug, Default)]
pub struct Processed {
    /// Rows that came out, each with the input row it came from where that is known.
    pub emitted: Vec<(Rows, Option<Vec<u32>>)>,
    /// Rows that were refused.
    pub rejected: Vec<RejectedRow>,
    /// Rows left out.
    pub filtered: u64,
    /// Rows more than went in.
    pub expanded: u64,
    /// Whether rows that are left out may come out later, for themselves or within others.
    pub later: bool,
    /// What the guest counted over this batch: counted once, whatever tries it took.
    pub counters: BTreeMap<String, u64>,
}

/// Rows in either world's form.
#[derive(Debug)]
pub enum Rows {
    /// Columns.
    Batch(RecordBatch),
    /// JSON lines.
    Lines(Vec<u8>),
}

/// A refused row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedRow {
    /// The row of the batch, from 0.
    pub row: u32,
    /// The guest's code.
    pub code: String,
    /// The guest's sentence.
    pub message: String,
    /// The column.
    pub field: Option<String>,
}

/// Holds what a guest did with a batch to its cardinality, and counts.
pub(super) fn settle(output: Output, input_rows: usize, cardinality: Cardinality) -> Result<Processed, Failure> {
    let broken = |what: String| Failure::new(FailureKind::Contract, "broken_contract", what);
    let emitted_again = |row: usize| broken(format!("emitted row {row} a second time, or although it rejected it"));
    let mut done = BooleanBufferBuilder::new(input_rows);
    done.append_n(input_rows, false);
    let mut rejected: Vec<RejectedRow> = Vec::with_capacity(output.rejected.len());
    for Rejected { row, code, message, field } in output.rejected {
        if done.get_bit(row as usize) {
            return Err(broken(format!("rejected row {row} twice")));
        }
        done.set_bit(row as usize, true);
        rejected.push(RejectedRow { row, code, message, field });
    }
    let once = matches!(cardinality, Cardinality::Map | Cardinality::Filter);
    let refused = (!rejected.is_empty()).then(|| done.finish_cloned());
    let mut emitted = Vec::with_capacity(output.emitted.len());
    let mut out_rows = 0;
    let mut last = 0;
    // Whether each row's fate is known; a plain `emit` without origins leaves it open.
    let mut traced = true;
    for part in output.emitted {
        let (rows, origins) = match part {
            Emitted::Derived { rows, keep } => {
                if once && emitted.is_empty() && refused.is_none() && keep.is_none() {
                    // The usual case by far: one derived batch, all rows.
                    out_rows += rows.num_rows();
                    done.truncate(0);
                    done.append_n(input_rows, true);
                    emitted.push((Rows::Batch(rows), None));
                    continue;
                }
                let keep = keep.unwrap_or_else(|| BooleanBuffer::new_set(input_rows));
                if let Some(row) = refused.as_ref().and_then(|refused| (&keep & refused).set_indices().next()) {
                    return Err(broken(format!("kept row {row}, which it rejected")));
                }
                if once {
                    // Whole words at a time: row by row it costs as much as the rest of a filter.
                    let before = done.finish_cloned();
                    if let Some(row) = (&keep & &before).set_indices().next() {
                        return Err(emitted_again(row));
                    }
                    done.truncate(0);
                    done.append_buffer(&(&keep | &before));
                }
                let mut origins = Vec::with_capacity(keep.count_set_bits());
                origins.extend(keep.set_indices_u32());
                let rows = if origins.len() == input_rows {
                    rows
                } else {
                    arrow_select::filter::filter_record_batch(&rows, &BooleanArray::new(keep, None))
                        .map_err(|error| Failure::new(FailureKind::Host, "bug", error.to_string()))?
                };
                out_rows += rows.num_rows();
                emitted.push((Rows::Batch(rows), Some(origins)));
                continue;
            }
            Emitted::Rows { rows, origins } => (Rows::Batch(rows), origins),
            Emitted::Lines { lines, origins } => (Rows::Lines(lines), origins),
        };
        let count = rows.count();
        out_rows += count;
        match &origins {
            Some(origins) if once => {
                for &row in origins {
                    if done.get_bit(row as usize) {
                        return Err(emitted_again(row as usize));
                    }
                    if row < last {
                        return Err(broken(format!("emitted row {row} behind row {last}, which is not their order")));
                    }
                    last = row;
                    done.set_bit(row as usize, true);
                }
            }
            Some(_) => {}
            None => traced = false,
        }
        emitted.push((rows, origins));
    }
    let done_rows = out_rows + rejected.len();
    match cardinality {
        Cardinality::Map if done_rows != input_rows => Err(broken(format!(
            "emitted {out_rows} and rejected {} of {input_rows} rows although it says that it emits one for each row",
            rejected.len()
        ))),
        Cardinality::Filter if done_rows > input_rows => Err(broken(format!(
            "emitted {out_rows} and rejected {} of {input_rows} rows although it says that it only leaves rows out",
            rejected.len()
        ))),
        _ => {
            if !traced && once && emitted.len() == 1 && done_rows == input_rows {
                // In order, the rejected ones aside: so the contract says.
                let origins = (!rejected.is_empty()).then(|| (!&done.finish()).set_indices().map(|row| row as u32).collect());
                emitted[0].1 = origins;
            }
            let (filtered, expanded) = (input_rows.saturating_sub(done_rows) as u64, done_rows.saturating_sub(input_rows) as u64);
            let later = cardinality == Cardinality::Aggregate;
            Ok(Processed { emitted, rejected, filtered, expanded, later, counters: BTreeMap::new() })
        }
    }
}

impl Rows {
    /// Number of rows.
    pub fn count(&self) -> usize {
        match self {
            Self::Batch(rows) => rows.num_rows(),
            Self::Lines(lines) => lines.iter().filter(|&&byte| byte == b'\n').count(),
        }
    }
}

impl Emitted {
    pub(super) fn rows(&self) -> usize {
        match self {
            Self::Rows { rows, .. } => rows.num_rows(),
            Self::Lines { lines, .. } => lines.len(),
            Self::Derived { rows, keep } => keep.as_ref().map_or(rows.num_rows(), BooleanBuffer::count_set_bits),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, UInt32Array};

    use super::*;

    fn batch(rows: u32) -> RecordBatch {
        RecordBatch::try_from_iter([("n", Arc::new(UInt32Array::from_iter_values(0..rows)) as ArrayRef)]).expect("one column")
    }

    /// What becomes of a batch of 70 rows: those that came out with their origins, those left out.
    fn settled(cardinality: Cardinality, kept: &[&dyn Fn(usize) -> bool], rejected: &[u32]) -> Result<(Vec<u32>, Vec<u32>, u64), String> {
        let emitted = kept.iter().map(|keep| Emitted::Derived { rows: batch(70), keep: Some(BooleanBuffer::collect_bool(70, keep)) });
        let rejected = rejected.iter().map(|&row| Rejected { row, code: "code".into(), message: "message".into(), field: None });
        let output = Output { emitted: emitted.collect(), rejected: rejected.collect(), input_rows: 70, ..Output::default() };
        let processed = settle(output, 70, cardinality).map_err(|failure| failure.message)?;
        let (mut rows, mut origins) = (Vec::new(), Vec::new());
        for (part, from) in processed.emitted {
            let Rows::Batch(part) = part else { panic!("no lines went in") };
            let column = part.column(0).as_any().downcast_ref::<UInt32Array>().expect("it went in as such");
            rows.extend(column.values().iter().copied());
            origins.extend(from.expect("derived rows are traced"));
        }
        Ok((rows, origins, processed.filtered))
    }

    #[test]
    fn kept_rows_come_out_with_their_origins_and_no_row_comes_out_twice() {
        let odd: Vec<u32> = (1..70).step_by(2).collect();
        assert_eq!(settled(Cardinality::Filter, &[&|row| row % 2 == 1], &[]), Ok((odd.clone(), odd, 35)));
        let halves: Vec<u32> = (1..70).collect();
        assert_eq!(settled(Cardinality::Map, &[&|row| (1..30).contains(&row), &|row| row >= 30], &[0]), Ok((halves.clone(), halves, 0)));
        assert_eq!(settled(Cardinality::Filter, &[&|row| row > 60], &[3, 65]), Err("kept row 65, which it rejected".into()));
        assert_eq!(
            settled(Cardinality::Filter, &[&|row| row < 40, &|row| row > 38], &[]),
            Err("emitted row 39 a second time, or although it rejected it".into())
        );
        assert_eq!(
            settled(Cardinality::Map, &[&|row| row > 1], &[]),
            Err("emitted 68 and rejected 0 of 70 rows although it says that it emits one for each row".into())
        );
    }
}
