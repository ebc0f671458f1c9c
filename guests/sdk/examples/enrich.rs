//! Looks up what a currency is worth, by HTTP, once for each currency, and adds what a row's price is in euro.
//!
//! ```yaml
//! custom_function:
//!   component: enrich.wasm
//!   kwargs: {url: "https://api.example.com/rates"}
//!   grants:
//!     http: [{host: api.example.com, headers: {Authorization: "Bearer ${RATES_TOKEN}"}, methods: [GET]}]
//! ```

use std::collections::HashMap;

use etl_sdk::serde_json::{Value, json};
use etl_sdk::{Outcome, Record, Refusal, Row, StageError, http};
use serde::Deserialize;

/// What the user sets.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Where rates are asked for: `<url>/<currency>` answers `{"rate": 0.92}`.
    url: String,
}

/// The transform.
pub struct Enrich {
    url: String,
    /// What was asked for already.
    rates: HashMap<String, f64>,
}

impl Enrich {
    fn rate(&mut self, currency: &str) -> Result<f64, http::Error> {
        if let Some(rate) = self.rates.get(currency) {
            return Ok(*rate);
        }
        let answer: Value = http::get(&format!("{}/{currency}", self.url))?.success()?.json()?;
        let rate = answer["rate"].as_f64().ok_or_else(|| http::Error::new(http::Kind::Body, "the answer has no `rate`"))?;
        self.rates.insert(currency.to_owned(), rate);
        Ok(rate)
    }
}

impl Record for Enrich {
    const NAME: &'static str = "enrich";
    const SUMMARY: &'static str = "adds the price in euro, by rates that it asks for";
    type Options = Options;

    fn configure(options: Options) -> Result<Self, Vec<StageError>> {
        Ok(Self { url: options.url, rates: HashMap::new() })
    }

    fn record(&mut self, mut row: Row) -> Result<Outcome, Refusal> {
        let text = |name: &str| row.get(name).and_then(Value::as_str).map(str::to_owned);
        let currency = text("currency").ok_or_else(|| Refusal::new("no_currency", "there is no text `currency`"))?;
        let price = row.get("price").and_then(Value::as_f64).ok_or_else(|| Refusal::new("no_price", "there is no number `price`"))?;
        let rate = self.rate(&currency)?;
        row.insert("price_eur".into(), json!((price * rate * 100.0).round() / 100.0));
        Ok(row.into())
    }
}

etl_sdk::export_records!(Enrich);
