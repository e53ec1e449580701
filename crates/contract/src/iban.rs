//! International bank account numbers (ISO 13616), with their check digits.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The demo bank's country and bank code.
const OWN_COUNTRY: &str = "DK";
const OWN_BANK: &str = "8888";

/// A number whose check digits are right, without spaces.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(inline)]
pub struct Iban(#[schemars(regex(pattern = r"^[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}$"))] String);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an IBAN: {0}")]
pub struct NotAnIban(&'static str);

impl Iban {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the account is held at this bank.
    pub fn is_of_this_bank(&self) -> bool {
        self.0.starts_with(OWN_COUNTRY) && self.0[4..].starts_with(OWN_BANK)
    }

    /// The number of an account of this bank, which follows from its id.
    pub fn of_account(id: Uuid) -> Self {
        let number = id.as_u128() % 10_000_000_000;
        let account = format!("{OWN_BANK}{number:010}");
        let check = 98 - remainder(&format!("{account}{OWN_COUNTRY}00")).unwrap_or_default();
        Self(format!("{OWN_COUNTRY}{check:02}{account}"))
    }
}

/// The number, its letters replaced by two digits each, modulo 97.
fn remainder(text: &str) -> Option<u32> {
    text.chars().try_fold(0, |sum, character| {
        let digit = character.to_digit(36)?;
        Some((sum * if digit < 10 { 10 } else { 100 } + digit) % 97)
    })
}

impl FromStr for Iban {
    type Err = NotAnIban;

    fn from_str(text: &str) -> Result<Self, NotAnIban> {
        let iban: String = text.chars().filter(|character| *character != ' ').collect();
        if !(15..=34).contains(&iban.len()) {
            return Err(NotAnIban("it has 15 to 34 characters"));
        }
        if !iban.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit()) {
            return Err(NotAnIban("it holds upper-case letters and digits"));
        }
        let (country, rest) = iban.split_at(2);
        if !country.bytes().all(|byte| byte.is_ascii_uppercase()) {
            return Err(NotAnIban("it starts with a country code"));
        }
        let (check, account) = rest.split_at(2);
        if remainder(&format!("{account}{country}{check}")) != Some(1) {
            return Err(NotAnIban("its check digits do not fit"));
        }
        Ok(Self(iban))
    }
}

impl TryFrom<String> for Iban {
    type Error = NotAnIban;

    fn try_from(text: String) -> Result<Self, NotAnIban> {
        text.parse()
    }
}

impl From<Iban> for String {
    fn from(iban: Iban) -> Self {
        iban.0
    }
}

impl fmt::Display for Iban {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_examples_are_accepted_and_a_changed_digit_is_not() {
        for iban in ["DK5000400440116243", "GB29 NWBK 6016 1331 9268 19", "DE89370400440532013000"] {
            assert!(iban.parse::<Iban>().is_ok(), "{iban}");
        }
        for iban in
            ["DK5000400440116244", "dk5000400440116243", "DK50", "5000400440116243DK", "DK50ü00440116243"]
        {
            assert!(iban.parse::<Iban>().is_err(), "{iban}");
        }
    }

    #[test]
    fn an_account_of_ours_has_a_valid_number() {
        for _ in 0..200 {
            let iban = Iban::of_account(Uuid::now_v7());
            assert_eq!(iban.as_str().parse(), Ok(iban.clone()));
            assert!(iban.is_of_this_bank());
        }
    }
}
