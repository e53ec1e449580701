//! The network's protocol: JSON objects, modelled on ISO 8583's message types and data elements, over HTTP.
//!
//! | `mti` | what it says | answer |
//! | --- | --- | --- |
//! | `0100` (again: `0101`) | may this be spent? With `increment`: this too? | `0110` |
//! | `0120` (`0121`) | the network has decided in our place: `amount` is approved, `0` is declined, of what `original_message_id` has asked, if it was asked | `0130` |
//! | `0220` (`0221`) | the merchant has collected `amount`; with `processing_code` `20`: given it back | `0230` |
//! | `0400`, `0420` (`0401`, `0421`) | `amount` of what `original_message_id` was approved for will not be collected | `0410`, `0430` |
//!
//! ```json
//! {"mti": "0100", "message_id": "M1", "transaction_id": "N7F3", "card_id": "0198c1f2-…", "processing_code": "00",
//!  "amount": "12500", "currency": "DKK", "merchant": {"name": "Bakery Lund", "category_code": "5462"}, "partial_approval": true}
//! {"mti": "0110", "message_id": "M1", "transaction_id": "N7F3", "response_code": "00", "amount": "12500", "currency": "DKK"}
//! ```
//!
//! `transaction_id` is the payment's, from its authorisation to its last capture; `message_id` the message's, and the same when it is said again, also where
//! an 0420 follows an 0400 that was not answered (each 1 to 36 characters). `amount` is a whole number of the currency's minor unit, of twelve digits at most, in the currency of the card's account. `final` (of an
//! 0220, true unless it says otherwise): nothing more will be collected. Members that are not listed are ignored.
//!
//! `response_code` is ISO 8583's, of data element 39: `00` approved, or taken; `10` approved for `amount`, which is less; `05`, `12`, `13`, `14`, `51`,
//! `57`, `62` declined; `91` nobody has decided in time; `94` this `message_id` belongs to another message, or the payment is approved already.
//! `card_id` is the card's id here: a card's number has no place in these messages. What is one by its check digit, written without separators, is not kept,
//! but where it stands for an identifier.

use contract::card::{
    AuthorisationRequested, CaptureReceived, CardEvent, CardPayment, IncrementRequested, Merchant,
    RefundReceived, ReversalReceived, StandInAdvised,
};
use jiff::Timestamp;
use money::{Currency, Money};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// Many times what a message has.
const MESSAGE_BYTES_MAX: usize = 16 * 1_024;
const ID_CHARS_MAX: usize = 36;
const NAME_CHARS_MAX: usize = 140;

/// But for the shortest, which an amount may have too.
const CARD_NUMBER_DIGITS: std::ops::RangeInclusive<usize> = 13..=19;
/// ISO 8583, data element 4: twelve digits.
const AMOUNT_MAX: i64 = 999_999_999_999;

const PURCHASE: &str = "00";
const REFUND: &str = "20";

/// What the network sends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    pub mti: String,
    pub message_id: String,
    pub transaction_id: String,
    /// Of an 0400 or 0420, and of an 0120 about something that was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original_message_id: Option<String>,
    pub card_id: Uuid,
    #[serde(default = "purchase")]
    pub processing_code: String,
    pub amount: String,
    pub currency: Currency,
    pub merchant: MessageMerchant,
    #[serde(default)]
    pub partial_approval: bool,
    #[serde(default)]
    pub increment: bool,
    #[serde(default = "yes", rename = "final")]
    pub is_final: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageMerchant {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category_code: Option<String>,
}

fn purchase() -> String {
    PURCHASE.to_owned()
}

fn yes() -> bool {
    true
}

/// What it is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Response {
    pub mti: String,
    pub message_id: String,
    pub transaction_id: String,
    pub response_code: String,
    /// What is approved, where something was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<Currency>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAMessage {
    /// What stood there may be a card's number: only the place is told.
    #[error("this is no message: {what} in line {line}, column {column}")]
    Json { what: &'static str, line: usize, column: usize },
    #[error("{0} has to have 1 to {1} characters, none of them a control character")]
    Text(&'static str, usize),
    #[error("amount is no positive whole number of minor units, of twelve digits at most")]
    Amount,
    #[error("mti is none that is taken here: 0100, 0120, 0220, 0400, 0420, and each repeated (0101 …)")]
    Type,
    #[error("processing_code is none that is taken here: 00 a purchase, and by an 0220 20 a refund")]
    ProcessingCode,
    #[error("it has more than {MESSAGE_BYTES_MAX} bytes")]
    TooLarge,
    #[error("original_message_id is missing: which request is reversed?")]
    Original,
}

impl Message {
    pub fn parse(bytes: &[u8]) -> Result<Self, NotAMessage> {
        if bytes.len() > MESSAGE_BYTES_MAX {
            return Err(NotAMessage::TooLarge);
        }
        event::json::check(bytes).map_err(|error| not_json(&error))?;
        let message: Self = serde_json::from_slice(bytes).map_err(|error| not_json(&error))?;
        let texts = [
            ("message_id", Some(&message.message_id), ID_CHARS_MAX),
            ("transaction_id", Some(&message.transaction_id), ID_CHARS_MAX),
            ("original_message_id", message.original_message_id.as_ref(), ID_CHARS_MAX),
            ("merchant.name", Some(&message.merchant.name), NAME_CHARS_MAX),
            ("merchant.category_code", message.merchant.category_code.as_ref(), 4),
        ];
        for (field, text, chars_max) in texts {
            let fits = |text: &String| {
                (1..=chars_max).contains(&text.chars().count()) && !text.chars().any(char::is_control)
            };
            if !text.is_none_or(fits) {
                return Err(NotAMessage::Text(field, chars_max));
            }
        }
        Ok(message)
    }

    /// What it is to core. A request is to be answered by `answer_by`.
    pub fn said(&self, answer_by: Timestamp) -> Result<CardEvent, NotAMessage> {
        let payment = CardPayment {
            authorisation_id: exchange_id(&self.transaction_id),
            network_id: self.transaction_id.clone(),
            card_id: self.card_id,
            merchant: Merchant {
                name: without_card_numbers(&self.merchant.name, &[]),
                category_code: self.merchant.category_code.clone(),
            },
        };
        let message_id = message_id(&self.transaction_id, &self.message_id);
        let original = || {
            self.original_message_id.as_ref().map(|original| self::message_id(&self.transaction_id, original))
        };
        let amount = self.money()?;
        let kind = (self.mti.get(..3).unwrap_or_default(), self.processing_code.as_str());
        Ok(match kind {
            ("010", PURCHASE) if self.increment => {
                IncrementRequested { payment, message_id, amount, answer_by }.into()
            }
            ("010", PURCHASE) => {
                let is_partial_allowed = self.partial_approval;
                AuthorisationRequested { payment, message_id, amount, is_partial_allowed, answer_by }.into()
            }
            ("012", PURCHASE) => {
                let original_message_id = original();
                StandInAdvised { payment, message_id, original_message_id, approved: amount }.into()
            }
            ("022", PURCHASE) => {
                CaptureReceived { payment, message_id, amount, is_final: self.is_final }.into()
            }
            ("022", REFUND) => RefundReceived { payment, message_id, amount }.into(),
            ("040" | "042", PURCHASE) => {
                let original_message_id = original().ok_or(NotAMessage::Original)?;
                ReversalReceived { payment, message_id, original_message_id, amount }.into()
            }
            _ => return Err(NotAMessage::ProcessingCode),
        })
    }

    /// Whether the network waits for what core decides.
    pub(crate) fn is_question(&self) -> bool {
        self.mti.starts_with("010")
    }

    /// As it is kept.
    pub(crate) fn kept(&self, text: &str) -> String {
        let original = self.original_message_id.as_deref().unwrap_or_default();
        without_card_numbers(text, &[&self.message_id, &self.transaction_id, original])
    }

    fn money(&self) -> Result<Money, NotAMessage> {
        if !matches!(
            &*self.mti,
            "0100" | "0101" | "0120" | "0121" | "0220" | "0221" | "0400" | "0401" | "0420" | "0421"
        ) {
            return Err(NotAMessage::Type);
        }
        // Nothing is what is asked of an account that is only verified, and what is approved of what is declined.
        let may_be_nothing = self.is_question() || self.mti.starts_with("012");
        let amount = Money::parse(&self.amount, self.currency).ok();
        let amount = amount.filter(|amount| {
            (amount.is_positive() || may_be_nothing && self.amount == "0") && amount.minor() <= AMOUNT_MAX
        });
        amount.ok_or(NotAMessage::Amount)
    }

    /// Its answer, with a code alone.
    pub fn response(&self, response_code: &str) -> Response {
        let digits = self.mti.as_bytes();
        // 0100 and 0101 are answered by 0110.
        let function = digits.get(2).map_or('0', |digit| char::from(digit + 1));
        Response {
            mti: format!("{}{function}0", self.mti.get(..2).unwrap_or("01")),
            message_id: self.message_id.clone(),
            transaction_id: self.transaction_id.clone(),
            response_code: response_code.to_owned(),
            amount: None,
            currency: None,
        }
    }
}

fn not_json(error: &serde_json::Error) -> NotAMessage {
    let what = match error.classify() {
        serde_json::error::Category::Data => {
            "a member that is missing, of the wrong kind, or cannot be kept,"
        }
        serde_json::error::Category::Eof => "the end too early",
        serde_json::error::Category::Syntax | serde_json::error::Category::Io => "a fault of JSON",
    };
    NotAMessage::Json { what, line: error.line(), column: error.column() }
}

/// As it is kept: what is a card's number by its length and its check digit is not, unless it is an identifier.
pub(crate) fn without_card_numbers(text: &str, identifiers: &[&str]) -> String {
    let (mut kept, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(start) = rest.find(char::is_alphanumeric) {
        let (between, from) = rest.split_at(start);
        let (word, after) = from.split_at(from.find(|c: char| !c.is_alphanumeric()).unwrap_or(from.len()));
        kept.push_str(between);
        let is_kept = identifiers.contains(&word) || !is_card_number(word);
        kept.push_str(if is_kept { word } else { "…" });
        rest = after;
    }
    kept + rest
}

/// ISO/IEC 7812: its last digit follows from the others (Luhn).
fn is_card_number(word: &str) -> bool {
    let digits: Option<Vec<u32>> = word.chars().rev().map(|c| c.to_digit(10)).collect();
    digits.is_some_and(|digits| {
        let doubled = |(n, digit): (usize, &u32)| match (n % 2, digit * 2) {
            (0, _) => *digit,
            (_, twice) => twice / 10 + twice % 10,
        };
        CARD_NUMBER_DIGITS.contains(&digits.len())
            && digits.iter().enumerate().map(doubled).sum::<u32>() % 10 == 0
    })
}

/// The payment's id here, and in core.
pub fn exchange_id(transaction_id: &str) -> Uuid {
    hashed(&[transaction_id])
}

/// The message's.
pub fn message_id(transaction_id: &str, message_id: &str) -> Uuid {
    hashed(&[transaction_id, message_id])
}

fn hashed(texts: &[&str]) -> Uuid {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update(text.len().to_be_bytes());
        hash.update(text);
    }
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.finalize()[..16]);
    Uuid::new_v8(bytes)
}

#[cfg(test)]
mod tests;
