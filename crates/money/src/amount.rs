//! An amount of one currency.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Currency;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("`{0}` is not a whole number of minor units")]
    NotMinorUnits(String),
    #[error("the amount exceeds what an account can hold")]
    Overflow,
    #[error("cannot add {0} and {1}")]
    CurrencyMismatch(Currency, Currency),
}

/// A number of minor units (øre, cents) of a currency, positive or negative. JSON:
/// `{"amount":"12345","currency":"DKK"}`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Wire", into = "Wire")]
#[schemars(with = "Wire")]
pub struct Money {
    minor: i64,
    currency: Currency,
}

/// A number of minor units (øre, cents) of a currency.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Money")]
struct Wire {
    #[schemars(regex(pattern = r"^-?(0|[1-9][0-9]*)$"))]
    amount: String,
    currency: Currency,
}

impl Money {
    pub const fn new(minor: i64, currency: Currency) -> Self {
        Self { minor, currency }
    }

    pub const fn zero(currency: Currency) -> Self {
        Self::new(0, currency)
    }

    /// Reads minor units as they stand in JSON: an optional `-` and digits without leading zeros.
    pub fn parse(amount: &str, currency: Currency) -> Result<Self, Error> {
        let digits = amount.strip_prefix('-').unwrap_or(amount);
        let has_leading_zero = digits.len() > 1 && digits.starts_with('0');
        if digits.is_empty() || has_leading_zero || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Error::NotMinorUnits(amount.chars().take(32).collect()));
        }
        amount.parse().map(|minor| Self { minor, currency }).map_err(|_| Error::Overflow)
    }

    pub fn minor(self) -> i64 {
        self.minor
    }

    pub fn currency(self) -> Currency {
        self.currency
    }

    pub fn is_positive(self) -> bool {
        self.minor > 0
    }

    pub fn is_negative(self) -> bool {
        self.minor < 0
    }

    pub fn plus(self, other: Self) -> Result<Self, Error> {
        if self.currency != other.currency {
            return Err(Error::CurrencyMismatch(self.currency, other.currency));
        }
        self.minor.checked_add(other.minor).map(|minor| Self { minor, ..self }).ok_or(Error::Overflow)
    }

    pub fn minus(self, other: Self) -> Result<Self, Error> {
        self.plus(other.negated()?)
    }

    pub fn negated(self) -> Result<Self, Error> {
        self.minor.checked_neg().map(|minor| Self { minor, ..self }).ok_or(Error::Overflow)
    }
}

impl TryFrom<Wire> for Money {
    type Error = Error;

    fn try_from(wire: Wire) -> Result<Self, Error> {
        Self::parse(&wire.amount, wire.currency)
    }
}

impl From<Money> for Wire {
    fn from(money: Money) -> Self {
        Self { amount: money.minor.to_string(), currency: money.currency }
    }
}

/// For people: `123.45 DKK`.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exponent = usize::from(self.currency.exponent());
        let sign = if self.minor < 0 { "-" } else { "" };
        let digits = format!("{:0width$}", self.minor.unsigned_abs(), width = exponent + 1);
        let (major, minor) = digits.split_at(digits.len() - exponent);
        let point = if exponent == 0 { "" } else { "." };
        write!(f, "{sign}{major}{point}{minor} {}", self.currency)
    }
}

impl fmt::Debug for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn people_see_the_major_unit() {
        let show = |minor, code: &str| Money::new(minor, code.parse().unwrap()).to_string();
        assert_eq!(show(12_345, "DKK"), "123.45 DKK");
        assert_eq!(show(-5, "EUR"), "-0.05 EUR");
        assert_eq!(show(7, "JPY"), "7 JPY");
        assert_eq!(show(i64::MIN, "KWD"), "-9223372036854775.808 KWD");
    }

    #[test]
    fn json_that_is_not_minor_units_is_refused() {
        for amount in ["", "-", "01", "1.5", "1e3", " 1", "+1", "0x1", "１", "9223372036854775808"] {
            let json = serde_json::json!({"amount": amount, "currency": "DKK"});
            assert!(serde_json::from_value::<Money>(json).is_err(), "{amount:?} was accepted");
        }
        assert!(serde_json::from_str::<Money>(r#"{"amount":12,"currency":"DKK"}"#).is_err());
    }

    proptest! {
        #[test]
        fn json_round_trips(minor: i64) {
            let money = Money::new(minor, Currency::DKK);
            let json = serde_json::to_string(&money).unwrap();
            prop_assert_eq!(serde_json::from_str::<Money>(&json).unwrap(), money);
        }

        #[test]
        fn sums_are_exact_or_refused(a: i64, b: i64) {
            let sum = Money::new(a, Currency::DKK).plus(Money::new(b, Currency::DKK));
            let exact = i128::from(a) + i128::from(b);
            prop_assert_eq!(sum.ok().map(|sum| i128::from(sum.minor())), i64::try_from(exact).ok().map(i128::from));
        }
    }
}
