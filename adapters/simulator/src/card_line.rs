//! Lines of the journal about payments by card: what the network has decided or collected, and what the bank has taken.

use jiff::Timestamp;
use money::{Currency, Money};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::Url;
use uuid::Uuid;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CardEvent {
    Approved,
    Declined,
    Incremented,
    IncrementDeclined,
    StandInApproved,
    StandInDeclined,
    Reversed,
    Captured,
    Refunded,
}

impl CardEvent {
    /// The bank has to be told until it has taken it.
    pub(crate) fn is_advice(self) -> bool {
        !matches!(self, Self::Approved | Self::Declined | Self::Incremented | Self::IncrementDeclined)
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CardLine {
    pub(crate) n: u64,
    pub(crate) card_event: CardEvent,
    pub(crate) transaction_id: String,
    pub(crate) message_id: String,
    /// The request that it is about, where one was made.
    original_message_id: Option<String>,
    pub(crate) card_id: Uuid,
    amount: String,
    currency: Currency,
    /// The bank's.
    response_code: Option<String>,
    is_final: bool,
    merchant: String,
    pub(crate) deliver_to: Url,
    decided_at: Timestamp,
}

/// The bank has taken an advice.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CardTakenLine {
    pub(crate) n: u64,
    pub(crate) transaction_id: String,
    pub(crate) card_taken: String,
    decided_at: Timestamp,
}

/// What the lines of one payment have in common.
#[derive(Debug, Clone)]
pub(crate) struct Sale {
    pub(crate) transaction_id: String,
    pub(crate) card_id: Uuid,
    pub(crate) merchant: String,
    pub(crate) deliver_to: Url,
}

impl CardLine {
    pub(crate) fn new(sale: &Sale, card_event: CardEvent, amount: Money) -> Self {
        Self {
            n: 0,
            card_event,
            transaction_id: sale.transaction_id.clone(),
            message_id: new_message_id(),
            original_message_id: None,
            card_id: sale.card_id,
            amount: amount.minor().to_string(),
            currency: amount.currency(),
            response_code: None,
            is_final: true,
            merchant: sale.merchant.clone(),
            deliver_to: sale.deliver_to.clone(),
            decided_at: Timestamp::now(),
        }
    }

    /// What the bank has answered to the message of this id.
    pub(crate) fn answering(self, message_id: String, response_code: String) -> Self {
        Self { message_id, response_code: Some(response_code), ..self }
    }

    pub(crate) fn about(self, request: &str) -> Self {
        Self { original_message_id: Some(request.to_owned()), ..self }
    }

    pub(crate) fn followed_by_more(self) -> Self {
        Self { is_final: false, ..self }
    }

    /// The message that tells the bank; said before: it is a repeat.
    pub(crate) fn message(&self, is_repeated: bool) -> Value {
        let (mti, code) = match self.card_event {
            CardEvent::StandInApproved | CardEvent::StandInDeclined => ("012", "00"),
            CardEvent::Reversed => ("042", "00"),
            CardEvent::Refunded => ("022", "20"),
            _ => ("022", "00"),
        };
        let amount = if self.card_event == CardEvent::StandInDeclined { "0" } else { &self.amount };
        json!({
            "mti": format!("{mti}{}", u8::from(is_repeated)),
            "message_id": self.message_id,
            "transaction_id": self.transaction_id,
            "original_message_id": self.original_message_id,
            "card_id": self.card_id,
            "processing_code": code,
            "amount": amount,
            "currency": self.currency,
            "merchant": { "name": self.merchant },
            "final": self.is_final,
        })
    }
}

pub(crate) fn new_message_id() -> String {
    format!("M{}", Uuid::now_v7().simple())
}

impl CardTakenLine {
    pub(crate) fn of(line: &CardLine) -> Self {
        let (transaction_id, card_taken) = (line.transaction_id.clone(), line.message_id.clone());
        Self { n: 0, transaction_id, card_taken, decided_at: Timestamp::now() }
    }
}
