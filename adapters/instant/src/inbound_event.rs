//! What can happen to a payment from another bank between the clearing house and the adapter.

use contract::incoming::IncomingReceived;
use event::{Deadline, events};
use jiff::Timestamp;
use money::Money;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::rail::{Evidence, Sent};

/// The house asks whether a customer here can be credited. The deadline is that of our decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentOffered {
    pub payment: IncomingReceived,
    /// Of the pacs.008.
    pub message_id: String,
    pub deadline: Deadline,
    pub message: Evidence,
}

/// The same once more: the house has not heard from us.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfferRepeated {
    pub message: Evidence,
}

/// Core will credit it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentAccepted {}

/// Core cannot credit it, or has not said in time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentRefused {
    pub reason_code: String,
}

/// Core has not said in time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecisionTimedOut {}

/// Core has decided when it was too late.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecisionOvertaken {
    pub is_accepted: bool,
}

/// What a message is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Errand {
    /// To say whether the customer will be credited (pacs.002).
    Answer,
    /// To ask whether the money has moved (pacs.028).
    Enquiry,
    /// To give it back (pacs.004).
    Return,
}

/// The next message, at the deadline. Tries are counted through answers and enquiries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageScheduled {
    pub errand: Errand,
    pub attempt: u32,
    pub deadline: Deadline,
}

/// The message is being sent; without a word by the deadline nobody knows whether it has arrived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageStarted {
    pub errand: Errand,
    pub attempt: u32,
    pub deadline: Deadline,
    pub message: Sent,
}

/// The house has it; what follows comes by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageTaken {
    pub errand: Errand,
    pub attempt: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageTimedOut {
    pub errand: Errand,
    pub attempt: u32,
}

/// The house has provably not taken it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageNotSent {
    pub errand: Errand,
    pub attempt: u32,
    pub reason: String,
}

/// Nothing is sent any more by itself. An answer may still come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessagesExhausted {
    pub errand: Errand,
    pub attempts: u32,
}

/// The house has not decided (`ACSP` and the like), or knows nothing of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusHeard {
    pub status: String,
    pub message: Evidence,
}

/// The money is here (`ACSC`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettlementConfirmed {
    pub settled_at: Timestamp,
    pub message: Evidence,
}

/// No money will come (`RJCT`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettlementCancelled {
    pub reason_code: String,
    pub message: Evidence,
}

/// The house has taken our no.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusalConfirmed {
    pub reason_code: String,
    pub message: Evidence,
}

/// Accepted, and after all these tries it is not known whether the money has moved. The house is asked on, more slowly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettlementUnknown {}

/// What was known came once more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusDuplicated {
    pub status: String,
    pub message: Evidence,
}

/// After its final word the house has said something else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusContradicted {
    pub status: String,
    pub message: Evidence,
}

/// Core wants it to go back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReturnRequested {
    pub return_id: Uuid,
    pub amount: Money,
    pub reason_code: String,
    /// When; the day of all its messages.
    pub at: Timestamp,
}

/// It is back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReturnSettled {
    pub return_id: Uuid,
    pub message: Evidence,
}

/// The house does not take it back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReturnRejected {
    pub return_id: Uuid,
    pub reason_code: String,
    pub message: Evidence,
}

/// After all these tries it is not known whether it is back. It is sent on, more slowly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReturnUnknown {
    pub return_id: Uuid,
}

events! {
    /// The events of an `inbound` stream.
    pub enum InboundEvent {
        PaymentOffered = 1,
        OfferRepeated = 1,
        PaymentAccepted = 1,
        PaymentRefused = 1,
        DecisionTimedOut = 1,
        DecisionOvertaken = 1,
        MessageScheduled = 1,
        MessageStarted = 1,
        MessageTaken = 1,
        MessageTimedOut = 1,
        MessageNotSent = 1,
        MessagesExhausted = 1,
        StatusHeard = 1,
        SettlementConfirmed = 1,
        SettlementCancelled = 1,
        RefusalConfirmed = 1,
        SettlementUnknown = 1,
        StatusDuplicated = 1,
        StatusContradicted = 1,
        ReturnRequested = 1,
        ReturnSettled = 1,
        ReturnRejected = 1,
        ReturnUnknown = 1,
    }
}
