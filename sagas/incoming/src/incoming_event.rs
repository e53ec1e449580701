//! What can happen to a payment from another bank.

use contract::incoming::IncomingReceived;
use event::{Deadline, events};
use jiff::Timestamp;
use ledger::Posting;
use money::Money;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Another bank wants to pay a customer here. No money has moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Received(pub IncomingReceived);

/// Accepted: the account expects the money, and cannot spend it yet. Until the deadline the rail may settle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreditPending {
    pub account_id: Uuid,
    pub deadline: Deadline,
}

/// Nobody here can be credited. The code is ISO 20022's `ExternalStatusReason1Code`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    pub reason_code: String,
}

/// The rail has moved the money to this bank.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettlementConfirmed {
    pub settled_at: Timestamp,
}

/// The customer has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreditPosted {
    pub account_id: Uuid,
}

/// The rail will not move the money.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettlementCancelled {
    pub reason_code: String,
}

/// The account expects it no longer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreditVoided {
    pub account_id: Uuid,
}

/// The adapter has given up asking whether the money has moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettlementUndetermined {}

/// The rail has neither settled nor cancelled in time. What it says later still counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettlementTimedOut {
    pub deadline_id: Uuid,
}

/// The rail has said what cannot be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettlementContradicted {
    pub status: String,
}

/// The money is here, and nobody can be credited: it is kept apart until it goes back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldInSuspense {
    pub amount: Money,
    pub postings: Vec<Posting>,
}

/// It is to go back. The code is ISO 20022's `ExternalReturnReason1Code`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReturnInitiated {
    pub return_id: Uuid,
    pub amount: Money,
    pub reason_code: String,
    pub deadline: Deadline,
}

/// It is back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReturnSettled {
    pub return_id: Uuid,
    pub amount: Money,
    pub postings: Vec<Posting>,
}

/// The rail does not take it back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReturnRejected {
    pub return_id: Uuid,
    pub reason_code: String,
}

/// The adapter has given up asking whether it is back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReturnUndetermined {
    pub return_id: Uuid,
}

/// Nobody has said in time whether it is back. What is said later still counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReturnTimedOut {
    pub return_id: Uuid,
    pub deadline_id: Uuid,
}

/// A person has to look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorAttentionRequired {
    pub reason: String,
}

/// This reason to look is gone; the others remain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttentionWithdrawn {
    pub reason: String,
    pub remaining: Vec<String>,
}

events! {
    /// The events of an `incoming` stream.
    pub enum IncomingEvent {
        Received = 1,
        CreditPending = 1,
        Refused = 1,
        SettlementConfirmed = 1,
        CreditPosted = 1,
        SettlementCancelled = 1,
        CreditVoided = 1,
        SettlementUndetermined = 1,
        SettlementTimedOut = 1,
        SettlementContradicted = 1,
        HeldInSuspense = 1,
        ReturnInitiated = 1,
        ReturnSettled = 1,
        ReturnRejected = 1,
        ReturnUndetermined = 1,
        ReturnTimedOut = 1,
        OperatorAttentionRequired = 1,
        AttentionWithdrawn = 1,
    }
}

/// None for an event that moves no money by itself.
pub fn postings_of(event: &IncomingEvent) -> &[Posting] {
    match event {
        IncomingEvent::HeldInSuspense(event) => &event.postings,
        IncomingEvent::ReturnSettled(event) => &event.postings,
        _ => &[],
    }
}
