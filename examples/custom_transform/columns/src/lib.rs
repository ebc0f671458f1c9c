//! Converts amounts to one currency, in the columnar style: reads the currency and the amounts of a batch, adds a column for each amount.

use std::collections::BTreeMap;
use std::sync::Arc;

use etl_sdk::arrow_array::cast::AsArray;
use etl_sdk::arrow_array::types::{Float64Type, Int64Type};
use etl_sdk::arrow_array::{Array, ArrayRef, Float64Array, RecordBatch, StringArray};
use etl_sdk::arrow_schema::{DataType, Field, Schema, SchemaRef};
use etl_sdk::{ColumnOp, Columns, Input, Output, Plan, Refusal, StageError, count};
use serde::Deserialize;

/// What the user sets under `kwargs`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Columns of amounts, integers or floats.
    amounts: Vec<String>,
    /// Column that holds the currency of a row's amounts.
    currency: String,
    /// The currency to convert to; new columns are named `<amount>_<to>`.
    to: String,
    /// What one unit of each currency is worth in `to`.
    rates: BTreeMap<String, f64>,
    /// Digits after the point.
    #[serde(default = "two")]
    decimals: u8,
}

fn two() -> u8 {
    2
}

/// The transform, configured.
pub struct ConvertCurrency {
    rates: BTreeMap<String, f64>,
    scale: f64,
    computed: SchemaRef,
    columns: Vec<ColumnOp>,
}

impl Columns for ConvertCurrency {
    const NAME: &'static str = "convert_currency";
    const SUMMARY: &'static str = "adds amounts in one currency";
    type Options = Options;

    fn configure(options: Options, input: &SchemaRef) -> Result<(Self, Plan), Vec<StageError>> {
        let Options { amounts, currency, to, mut rates, decimals } = options;
        let mut problems = Vec::new();
        let mut find = |key: String, name: &str, fits: fn(&DataType) -> bool, what: &str| match input.column_with_name(name) {
            Some((index, field)) if fits(field.data_type()) => Some(index),
            Some((_, field)) => {
                let message = format!("column `{name}` is {}, not {what}", field.data_type());
                problems.push(StageError::options("wrong_type", message).field(key).help("convert it before this step"));
                None
            }
            None => {
                let names: Vec<_> = input.fields().iter().map(|field| format!("`{}`", field.name())).collect();
                let help = format!("columns here are {}", names.join(", "));
                problems.push(StageError::options("no_column", format!("there is no column `{name}`")).field(key).help(help));
                None
            }
        };
        let is_number = |data_type: &DataType| matches!(data_type, DataType::Int64 | DataType::Float64);
        let mut reads = vec![find("currency".into(), &currency, |data_type| *data_type == DataType::Utf8, "text")];
        reads.extend(amounts.iter().enumerate().map(|(number, name)| find(format!("amounts[{number}]"), name, is_number, "a number")));
        for (name, rate) in &rates {
            if !(rate.is_finite() && *rate > 0.0) {
                problems.push(
                    StageError::options("rate", format!("the rate of `{name}` is {rate}, but must be above 0"))
                        .field(format!("rates.{name}")),
                );
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }

        rates.insert(to.clone(), 1.0);
        let new: Vec<_> = amounts.iter().map(|name| Field::new(format!("{name}_{}", to.to_lowercase()), DataType::Float64, true)).collect();
        let (output, columns) = ColumnOp::extend(input, &new);
        let transform = Self { rates, scale: 10f64.powi(decimals.into()), computed: Arc::new(Schema::new(new)), columns };
        Ok((transform, Plan::map(output).reading(reads.into_iter().flatten().collect::<Vec<_>>())))
    }

    fn process(&mut self, input: &Input<'_>, output: &mut Output<'_>) -> Result<(), StageError> {
        let batch = input.read()?;
        let rates = self.rates_of(batch.column(0).as_string(), output)?;
        let amounts = batch.columns()[1..].iter().map(|amounts| self.convert(amounts, &rates)).collect();
        output.derive(input, None, &self.columns, Some(&RecordBatch::try_new(self.computed.clone(), amounts)?))
    }
}

impl ConvertCurrency {
    /// Looks up the rate of each row; a row of an unknown currency is refused.
    fn rates_of(&self, currencies: &StringArray, output: &mut Output<'_>) -> Result<Vec<f64>, StageError> {
        let mut rates = Vec::with_capacity(currencies.len());
        for (row, currency) in currencies.iter().enumerate() {
            let rate = currency.and_then(|currency| self.rates.get(currency));
            if rate.is_none() {
                let message = match currency {
                    Some(currency) => format!("no rate for `{currency}`"),
                    None => "no currency".to_owned(),
                };
                count("no_rate", 1);
                output.reject(row, Refusal::new("no_rate", message))?;
            }
            rates.push(rate.copied().unwrap_or(f64::NAN));
        }
        Ok(rates)
    }

    /// Multiplies and rounds; null stays null.
    fn convert(&self, amounts: &ArrayRef, rates: &[f64]) -> ArrayRef {
        let convert = |amount: f64, rate: f64| (amount * rate * self.scale).round() / self.scale;
        let values: Vec<f64> = match amounts.data_type() {
            DataType::Int64 => amounts
                .as_primitive::<Int64Type>()
                .values()
                .iter()
                .zip(rates)
                .map(|(&amount, &rate)| convert(amount as f64, rate))
                .collect(),
            _ => amounts.as_primitive::<Float64Type>().values().iter().zip(rates).map(|(&amount, &rate)| convert(amount, rate)).collect(),
        };
        Arc::new(Float64Array::new(values.into(), amounts.nulls().cloned()))
    }
}

etl_sdk::export_columns!(ConvertCurrency);

#[cfg(test)]
mod tests {
    use etl_sdk::arrow_array::Int64Array;
    use etl_sdk::serde_json::json;
    use etl_sdk::testing;

    use super::*;

    fn orders() -> RecordBatch {
        let currency: ArrayRef = Arc::new(StringArray::from(vec![Some("USD"), Some("EUR"), Some("XXX"), None]));
        let price: ArrayRef = Arc::new(Float64Array::from(vec![Some(10.0), None, Some(1.0), Some(1.0)]));
        let shipping: ArrayRef = Arc::new(Int64Array::from(vec![3, 4, 5, 6]));
        RecordBatch::try_from_iter([("currency", currency), ("price", price), ("shipping", shipping)]).expect("columns of one length")
    }

    #[test]
    fn amounts_are_converted_and_unknown_currencies_refused() {
        let orders = orders();
        let options = json!({"amounts": ["price", "shipping"], "currency": "currency", "to": "EUR", "rates": {"USD": 0.918}});
        let (mut transform, plan) = testing::configure::<ConvertCurrency>(&options, &orders.schema()).expect("the options are right");
        let made = testing::process(&mut transform, &plan, &orders).expect("the batch is right");
        let (rows, origins) = &made.batches[0];
        assert_eq!(origins.as_deref(), Some(&[0, 1][..]));
        assert_eq!(rows.column_by_name("price_eur"), Some(&(Arc::new(Float64Array::from(vec![Some(9.18), None])) as ArrayRef)));
        assert_eq!(rows.column_by_name("shipping_eur"), Some(&(Arc::new(Float64Array::from(vec![2.75, 4.0])) as ArrayRef)));
        let refusals: Vec<_> = made.rejections.iter().map(|rejection| (rejection.row, rejection.message.as_str())).collect();
        assert_eq!(refusals, [(2, "no rate for `XXX`"), (3, "no currency")]);
    }

    #[test]
    fn all_problems_of_the_options_are_told_at_once() {
        let options = json!({"amounts": ["prize", "currency"], "currency": "currency", "to": "EUR", "rates": {"USD": -1}});
        let Err(problems) = testing::configure::<ConvertCurrency>(&options, &orders().schema()) else { panic!("the options are wrong") };
        let told: Vec<_> =
            problems.iter().map(|problem| (problem.field.as_deref().unwrap_or_default(), problem.message.as_str())).collect();
        assert_eq!(
            told,
            [
                ("amounts[0]", "there is no column `prize`"),
                ("amounts[1]", "column `currency` is Utf8, not a number"),
                ("rates.USD", "the rate of `USD` is -1, but must be above 0"),
            ]
        );
    }
}
