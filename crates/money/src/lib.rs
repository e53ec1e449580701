//! Money: checked integers of minor units, always with their ISO 4217 currency, as strings in JSON.

mod currency;
pub use currency::{Currency, UnknownCurrency};

mod amount;
pub use amount::{Error, Money};
