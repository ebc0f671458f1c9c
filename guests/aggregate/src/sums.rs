//! Sums: exact of ints and decimals, compensated of floats.

use arrow_array::{Array, Decimal128Array, Float64Array};
use etl_sdk::StageError;

use crate::state::{Reader, Writer, broken};

/// Exact sums, and how many values each has.
#[derive(Default)]
pub(crate) struct Exact {
    pub(crate) sums: Vec<i128>,
    pub(crate) counts: Vec<u64>,
}

impl Exact {
    pub(crate) fn grow(&mut self, groups: usize) {
        self.sums.resize(groups, 0);
        self.counts.resize(groups, 0);
    }

    pub(crate) fn held(&self) -> usize {
        self.sums.capacity() * 16 + self.counts.capacity() * 8
    }

    /// Adds; an error is the group whose sum 128 bits do not hold.
    pub(crate) fn update(&mut self, values: &Decimal128Array, rows: &[u32], groups: &[u32]) -> Result<(), usize> {
        let nulls = values.nulls().filter(|nulls| nulls.null_count() > 0);
        let values = values.values();
        for (&row, &group) in rows.iter().zip(groups) {
            let (row, group) = (row as usize, group as usize);
            if nulls.is_some_and(|nulls| nulls.is_null(row)) {
                continue;
            }
            self.sums[group] = self.sums[group].checked_add(values[row]).ok_or(group)?;
            self.counts[group] += 1;
        }
        Ok(())
    }

    /// As [`update`](Self::update), for values of 64 bits: so many as overflow 128 bits do not exist.
    pub(crate) fn update_i64(&mut self, values: &arrow_array::Int64Array, rows: &[u32], groups: &[u32]) {
        let nulls = values.nulls().filter(|nulls| nulls.null_count() > 0);
        let values = values.values();
        for (&row, &group) in rows.iter().zip(groups) {
            let (row, group) = (row as usize, group as usize);
            if nulls.is_some_and(|nulls| nulls.is_null(row)) {
                continue;
            }
            self.sums[group] += i128::from(values[row]);
            self.counts[group] += 1;
        }
    }

    /// The same sums with more digits behind the point; none where 128 bits do not hold one.
    pub(crate) fn times(mut self, factor: i128) -> Option<Self> {
        for sum in &mut self.sums {
            *sum = sum.checked_mul(factor)?;
        }
        Some(self)
    }

    /// The same sums as floats, each with what it lost by that.
    pub(crate) fn into_float(self, power: f64) -> Compensated {
        let sums: Vec<f64> = self.sums.iter().map(|sum| *sum as f64 / power).collect();
        let lost = |(sum, float): (&i128, &f64)| if power == 1.0 { (sum - *float as i128) as f64 } else { 0.0 };
        let lost = self.sums.iter().zip(&sums).map(lost).collect();
        Compensated { sums, lost, counts: self.counts }
    }

    pub(crate) fn save(&self, writer: &mut Writer) {
        writer.numbers(&self.sums);
        writer.numbers(&self.counts);
    }

    pub(crate) fn load(reader: &mut Reader<'_>, groups: usize) -> Result<Self, StageError> {
        let exact = Self { sums: reader.numbers()?, counts: reader.numbers()? };
        fits(&[exact.sums.len(), exact.counts.len()], groups)?;
        Ok(exact)
    }
}

/// Sums of floats in row order, each with what its additions lost (Neumaier), and how many values each has.
#[derive(Default)]
pub(crate) struct Compensated {
    sums: Vec<f64>,
    lost: Vec<f64>,
    pub(crate) counts: Vec<u64>,
}

impl Compensated {
    pub(crate) fn grow(&mut self, groups: usize) {
        self.sums.resize(groups, 0.0);
        self.lost.resize(groups, 0.0);
        self.counts.resize(groups, 0);
    }

    pub(crate) fn held(&self) -> usize {
        (self.sums.capacity() + self.lost.capacity() + self.counts.capacity()) * 8
    }

    #[inline]
    pub(crate) fn add(&mut self, group: usize, value: f64) {
        let sum = self.sums[group];
        let total = sum + value;
        self.lost[group] += if sum.abs() >= value.abs() { (sum - total) + value } else { (value - total) + sum };
        self.sums[group] = total;
        self.counts[group] += 1;
    }

    pub(crate) fn update(&mut self, values: &Float64Array, rows: &[u32], groups: &[u32]) {
        let nulls = values.nulls().filter(|nulls| nulls.null_count() > 0);
        let values = values.values();
        for (&row, &group) in rows.iter().zip(groups) {
            let row = row as usize;
            if nulls.is_none_or(|nulls| nulls.is_valid(row)) {
                self.add(group as usize, values[row]);
            }
        }
    }

    /// Whether no value was added.
    pub(crate) fn is_empty(&self) -> bool {
        self.counts.iter().all(|count| *count == 0)
    }

    /// The sum; infinite and undefined ones have lost nothing that could be told.
    pub(crate) fn sum(&self, group: usize) -> f64 {
        let sum = self.sums[group];
        if sum.is_finite() { sum + self.lost[group] } else { sum }
    }

    pub(crate) fn save(&self, writer: &mut Writer) {
        writer.numbers(&self.sums);
        writer.numbers(&self.lost);
        writer.numbers(&self.counts);
    }

    pub(crate) fn load(reader: &mut Reader<'_>, groups: usize) -> Result<Self, StageError> {
        let sums = Self { sums: reader.numbers()?, lost: reader.numbers()?, counts: reader.numbers()? };
        fits(&[sums.sums.len(), sums.lost.len(), sums.counts.len()], groups)?;
        Ok(sums)
    }
}

/// Refuses lists that are not as long as there are groups.
pub(crate) fn fits(lengths: &[usize], groups: usize) -> Result<(), StageError> {
    if lengths.iter().all(|length| *length == groups) { Ok(()) } else { Err(broken("its numbers are not as many as its groups")) }
}
