//! What can happen to a transfer.

use contract::Iban;
use contract::payment::Party;
use event::{Deadline, Personal, events};
use jiff::Timestamp;
use money::Money;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Who gets the money.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Beneficiary {
    /// An account here: a book transfer.
    Account { account_id: Uuid },
    /// An account at another bank: through a rail.
    Bank { iban: Personal<Iban>, name: Personal<String> },
}

/// Why a transfer failed, in words that customers may see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum FailureReason {
    InsufficientFunds,
    /// The rail refused; its ISO 20022 reason code says why.
    RejectedByClearing {
        reason_code: String,
    },
}

impl FailureReason {
    pub fn code(&self) -> &'static str {
        match self {
            Self::InsufficientFunds => "insufficient_funds",
            Self::RejectedByClearing { .. } => "rejected_by_clearing",
        }
    }
}

/// Asked for. The identifiers towards a rail are fixed here, before anything is tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requested {
    pub transfer_id: Uuid,
    pub from_account: Uuid,
    pub to: Beneficiary,
    pub amount: Money,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remittance: Option<Personal<String>>,
    pub debtor: Party,
    pub uetr: Uuid,
    pub end_to_end_id: String,
    /// Until when the reservation has to be confirmed; a book transfer waits for nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Deadline>,
}

/// The account holds the money for this transfer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reserved {
    pub reservation_id: Uuid,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReservationRejected {
    pub reason: FailureReason,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReservationTimedOut {
    pub deadline_id: Uuid,
}

/// Handed to the rail's adapter; from here on a time-out means *unknown*.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubmissionInitiated {
    pub uetr: Uuid,
    pub end_to_end_id: String,
    pub deadline: Deadline,
}

/// The policy's limit has passed without an answer: the outcome is unknown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubmissionTimedOut {
    pub deadline_id: Uuid,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClearingSettled {
    pub uetr: Uuid,
    pub settled_at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClearingRejected {
    pub uetr: Uuid,
    pub reason_code: String,
}

/// The adapter has exhausted its retries: the outcome is unknown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClearingUndetermined {
    pub uetr: Uuid,
    pub attempts: u32,
}

/// The rail has said something that contradicts what it had said before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClearingContradicted {
    pub uetr: Uuid,
    pub answer: String,
}

/// A person has to find out and decide. The hold stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorAttentionRequired {
    pub reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Captured {
    pub reservation_id: Uuid,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Released {
    pub reservation_id: Uuid,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Succeeded {}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    pub reason: FailureReason,
}

events! {
    /// The events of a `transfer` stream.
    pub enum TransferEvent {
        Requested = 1,
        Reserved = 1,
        ReservationRejected = 1,
        ReservationTimedOut = 1,
        SubmissionInitiated = 1,
        SubmissionTimedOut = 1,
        ClearingSettled = 1,
        ClearingRejected = 1,
        ClearingUndetermined = 1,
        ClearingContradicted = 1,
        OperatorAttentionRequired = 1,
        Captured = 1,
        Released = 1,
        Succeeded = 1,
        Failed = 1,
    }
}
