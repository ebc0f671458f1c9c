//! Turns amounts into euros.

use etl_sdk::serde_json::Value;
use etl_sdk::{Outcome, Record, Refusal, Row, StageError};
use serde::Deserialize;
use std::collections::BTreeMap;

/// What stands under `kwargs` in transform.yaml.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// What one unit of a currency is in euros.
    rates: BTreeMap<String, f64>,
}

/// Adds `amount_eur`.
pub struct ToEuro(Options);

impl Record for ToEuro {
    const NAME: &'static str = "to_euro";
    const SUMMARY: &'static str = "adds amount_eur";
    type Options = Options;

    fn configure(options: Options) -> Result<Self, Vec<StageError>> {
        Ok(Self(options))
    }

    /// One row; `Err` refuses it, `Outcome::Drop` leaves it out, `Outcome::Rows` makes several of it.
    fn record(&mut self, mut row: Row) -> Result<Outcome, Refusal> {
        let currency = row.get("currency").and_then(Value::as_str).unwrap_or_default();
        let Some(rate) = self.0.rates.get(currency) else {
            return Err(Refusal::new("no_rate", format!("no rate for {currency}")).field("currency"));
        };
        let amount = row.get("amount").and_then(Value::as_f64).ok_or_else(|| Refusal::new("no_amount", "the amount is no number").field("amount"))?;
        row.insert("amount_eur".into(), ((amount * rate * 100.0).round() / 100.0).into());
        Ok(row.into())
    }
}

etl_sdk::export_records!(ToEuro);

#[cfg(test)]
mod tests {
    use etl_sdk::serde_json::json;
    use etl_sdk::testing;

    use super::*;

    #[test]
    fn amounts_become_euros_and_an_unknown_currency_is_refused() {
        let mut transform: ToEuro = testing::configure_record(&json!({"rates": {"USD": 0.92}})).unwrap();
        let rows = [json!({"amount": 20.5, "currency": "USD"}), json!({"amount": 1, "currency": "XXX"})];
        let made = testing::process_records(&mut transform, &rows).unwrap();
        assert_eq!(made.rows.len(), 1);
        assert_eq!(made.rows[0].1["amount_eur"], json!(18.86));
        assert_eq!(made.rejections[0].message, "no rate for XXX");
    }
}
