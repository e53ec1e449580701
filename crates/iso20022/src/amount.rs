//! Amounts as decimals of the major unit, exactly.

use money::{Currency, Money};

use crate::{Element, Error};

/// `ActiveCurrencyAndAmount`: at most 18 digits.
const MINOR_MAX: i64 = 999_999_999_999_999_999;

/// Whether the schema has room for it.
pub(crate) fn fits(amount: Money) -> bool {
    amount.is_positive() && amount.minor() <= MINOR_MAX
}

pub(crate) fn write(name: &'static str, amount: Money) -> Element {
    let shown = amount.to_string();
    let decimal = shown.split(' ').next().unwrap_or_default().to_owned();
    Element::leaf(name, decimal).attribute("Ccy", amount.currency().code())
}

pub(crate) fn read(parent: &Element, path: &str) -> Result<Money, Error> {
    let invalid = |reason| Error::Invalid { path: path.to_owned(), reason };
    let element = parent.at(path)?.ok_or_else(|| Error::Missing(path.to_owned()))?;
    let code = element.attribute_value("Ccy").ok_or_else(|| invalid("it has no currency"))?;
    let currency: Currency = code.parse().map_err(|_| invalid("its currency is unknown"))?;
    let text = parent.read(path, 24)?;
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !is_digits(whole) || !is_digits(fraction) || whole.len() > 18 {
        return Err(invalid("it is no amount"));
    }
    let exponent = usize::from(currency.exponent());
    // Digits that the currency does not have would be money that nobody has.
    let (kept, excess) = fraction.split_at(fraction.len().min(exponent));
    if excess.bytes().any(|byte| byte != b'0') {
        return Err(invalid("it has more decimals than its currency"));
    }
    let digits = format!("{whole}{kept:0<exponent$}");
    let minor: i64 = digits.parse().map_err(|_| invalid("it is too large"))?;
    let amount = Money::new(minor, currency);
    if fits(amount) { Ok(amount) } else { Err(invalid("it is not positive, or too large")) }
}
