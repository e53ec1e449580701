//! `card.v1`: what a card network's adapter has heard of a card payment: what is asked, and what has happened. Amounts are in the currency
//! of the card's account; the network has converted them.

use event::events;
use jiff::Timestamp;
use money::Money;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub const CATEGORY: &str = "card.v1";

/// Who is paid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Merchant {
    pub name: String,
    /// ISO 18245, such as `5411`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category_code: Option<String>,
}

/// What a message is about: one payment by card, from its authorisation to its last capture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CardPayment {
    pub authorisation_id: Uuid,
    /// The network's own identifier of the payment.
    pub network_id: String,
    pub card_id: Uuid,
    pub merchant: Merchant,
}

/// May this be spent? Without a verdict by `answer_by` the adapter tells the network that nobody answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuthorisationRequested {
    #[serde(flatten)]
    pub payment: CardPayment,
    pub message_id: Uuid,
    pub amount: Money,
    /// Whether less than all of it may be approved.
    pub is_partial_allowed: bool,
    pub answer_by: Timestamp,
}

/// May this be spent too, on top of what was approved?
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IncrementRequested {
    #[serde(flatten)]
    pub payment: CardPayment,
    pub message_id: Uuid,
    pub amount: Money,
    pub answer_by: Timestamp,
}

/// The network was told that nobody answers: a verdict about this request is void.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RequestUnanswered {
    #[serde(flatten)]
    pub payment: CardPayment,
    pub message_id: Uuid,
}

/// The network has decided without us. It is so, whether or not there is money.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StandInAdvised {
    #[serde(flatten)]
    pub payment: CardPayment,
    pub message_id: Uuid,
    /// The request that it stands in for. None: nothing was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original_message_id: Option<Uuid>,
    /// What is approved of that. Nothing: it was declined.
    pub approved: Money,
}

/// So much of what a request was approved for will not be collected. It may come before the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReversalReceived {
    #[serde(flatten)]
    pub payment: CardPayment,
    pub message_id: Uuid,
    pub original_message_id: Uuid,
    pub amount: Money,
}

/// The merchant has collected: this much, whether or not it was approved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CaptureReceived {
    #[serde(flatten)]
    pub payment: CardPayment,
    pub message_id: Uuid,
    pub amount: Money,
    /// Nothing more will be collected.
    pub is_final: bool,
}

/// The merchant has given this much back; not always of something that was collected under this identifier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RefundReceived {
    #[serde(flatten)]
    pub payment: CardPayment,
    pub message_id: Uuid,
    pub amount: Money,
}

events! {
    /// The events of `card.v1`.
    pub enum CardEvent {
        AuthorisationRequested = 1,
        IncrementRequested = 1,
        RequestUnanswered = 1,
        StandInAdvised = 1,
        ReversalReceived = 1,
        CaptureReceived = 1,
        RefundReceived = 1,
    }
}

impl CardEvent {
    pub fn payment(&self) -> &CardPayment {
        match self {
            Self::AuthorisationRequested(event) => &event.payment,
            Self::IncrementRequested(event) => &event.payment,
            Self::RequestUnanswered(event) => &event.payment,
            Self::StandInAdvised(event) => &event.payment,
            Self::ReversalReceived(event) => &event.payment,
            Self::CaptureReceived(event) => &event.payment,
            Self::RefundReceived(event) => &event.payment,
        }
    }

    pub fn message_id(&self) -> Uuid {
        match self {
            Self::AuthorisationRequested(event) => event.message_id,
            Self::IncrementRequested(event) => event.message_id,
            Self::RequestUnanswered(event) => event.message_id,
            Self::StandInAdvised(event) => event.message_id,
            Self::ReversalReceived(event) => event.message_id,
            Self::CaptureReceived(event) => event.message_id,
            Self::RefundReceived(event) => event.message_id,
        }
    }
}
