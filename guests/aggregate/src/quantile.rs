//! Quantiles: all values are held, and put in order at the end.

use arrow_array::{Array, Float64Array};
use etl_sdk::StageError;

use crate::state::{Reader, Writer, broken};

/// The values of all groups as they came, each with its group.
#[derive(Default)]
pub(crate) struct Log {
    groups: Vec<u32>,
    values: Vec<f64>,
    /// Once no more come: the values by group and in order, and where each group ends.
    ordered: Option<(Vec<f64>, Vec<usize>)>,
}

impl Log {
    pub(crate) fn held(&self) -> usize {
        // Ordering them takes a copy of the values.
        self.groups.capacity() * 4 + self.values.capacity() * 12
    }

    pub(crate) fn update(&mut self, values: &Float64Array, rows: &[u32], groups: &[u32]) {
        for (&row, &group) in rows.iter().zip(groups) {
            if values.is_valid(row as usize) {
                let value = values.value(row as usize);
                self.groups.push(group);
                // A NaN has a sign, which must not put it below all numbers.
                self.values.push(if value.is_nan() { f64::NAN } else { value });
            }
        }
    }

    /// Puts the values in order; no more may come.
    pub(crate) fn order(&mut self, groups: usize) {
        let mut ends = vec![0; groups];
        self.groups.iter().for_each(|group| ends[*group as usize] += 1);
        let mut next = 0;
        for end in &mut ends {
            let count = *end;
            *end = next;
            next += count;
        }
        let mut values = vec![0.0; self.values.len()];
        for (group, value) in self.groups.iter().zip(&self.values) {
            let place = &mut ends[*group as usize];
            values[*place] = *value;
            *place += 1;
        }
        let mut start = 0;
        for &end in &ends {
            values[start..end].sort_unstable_by(f64::total_cmp);
            start = end;
        }
        self.ordered = Some((values, ends));
    }

    /// The quantile of a group, interpolated between the two values beside its place.
    pub(crate) fn quantile(&self, group: usize, q: f64) -> Option<f64> {
        let (values, ends) = self.ordered.as_ref()?;
        let start = group.checked_sub(1).map_or(0, |before| ends[before]);
        let values = &values[start..ends[group]];
        let place = (values.len().checked_sub(1)?) as f64 * q;
        let (low, high) = (values[place.floor() as usize], values[place.ceil() as usize]);
        // Two infinities have no place between them.
        Some(if low == high { low } else { low + (high - low) * place.fract() })
    }

    pub(crate) fn save(&self, writer: &mut Writer) {
        writer.numbers(&self.groups);
        writer.numbers(&self.values);
    }

    pub(crate) fn load(reader: &mut Reader<'_>, groups: usize) -> Result<Self, StageError> {
        let log = Self { groups: reader.numbers()?, values: reader.numbers()?, ordered: None };
        if log.groups.len() != log.values.len() || log.groups.iter().any(|group| *group as usize >= groups) {
            return Err(broken("its values are of groups that are not there"));
        }
        Ok(log)
    }
}
