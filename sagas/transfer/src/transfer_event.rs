//! What can happen to a transfer.

use contract::Iban;
use contract::payment::Party;
use event::{Deadline, Personal, events};
use jiff::{SignedDuration, Timestamp};
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
    ApprovalDenied,
    ApprovalTimedOut,
    /// The rail refused; its ISO 20022 reason code says why.
    RejectedByClearing {
        reason_code: String,
    },
}

impl FailureReason {
    pub fn code(&self) -> &'static str {
        match self {
            Self::InsufficientFunds => "insufficient_funds",
            Self::ApprovalDenied => "approval_denied",
            Self::ApprovalTimedOut => "approval_timed_out",
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

/// The amount is one that somebody has to approve.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalRequested {
    pub deadline: Deadline,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approved {}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalDenied {
    pub reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalTimedOut {
    pub deadline_id: Uuid,
}

/// Handed to the rail's adapter; from here on a time-out means *unknown*.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubmissionInitiated {
    pub uetr: Uuid,
    pub end_to_end_id: String,
    pub deadline: Deadline,
    /// Absent in what was written before there was one: such a transfer asks for a person at its deadline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_timeout: Option<TimeoutPolicy>,
}

/// What follows when the rail does not answer in time. Fixed with the submission: a setting that changes later changes
/// nothing that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeoutPolicy {
    pub hold: HoldPolicy,
    /// From the time-out on; after that a person has to look.
    pub resolve_within: SignedDuration,
    /// How long the rail may take over what it says it has taken, from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending_within: Option<SignedDuration>,
}

/// What a time-out does to the hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldPolicy {
    /// It stays until the outcome is known.
    HoldUntilResolved,
    /// The payer has the money back at once, as the rules of instant schemes demand, although the rail may have paid.
    ReleaseAtDeadline,
}

/// The policy's limit has passed without an answer: the outcome is unknown, and is waited for until the deadline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubmissionTimedOut {
    pub deadline_id: Uuid,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Deadline>,
}

/// Nobody could tell the outcome in time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResolutionTimedOut {
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

/// The rail has taken it and has not decided. With a deadline it is waited for until then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClearingPending {
    pub uetr: Uuid,
    pub status: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Deadline>,
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

/// A person has to find out and decide. The hold stays as it is.
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
    /// At the rail's deadline, with the outcome unknown.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub provisional: bool,
}

/// The rail has paid what was given back to the payer before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LateSettlementDetected {
    pub reservation_id: Uuid,
}

/// A person has found out what nobody could tell, and another one has approved it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutcomeResolved {
    pub correction_id: Uuid,
    pub outcome: Resolution,
}

/// What became of a payment, as the evidence says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Resolution {
    /// The rail has paid.
    Settled { settled_at: Timestamp },
    /// It has not, and will not; its ISO 20022 reason code says why.
    Rejected { reason_code: String },
}

/// A settled book transfer was taken back by a correction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reversed {
    pub correction_id: Uuid,
}

/// The account has paid after all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LateCaptured {
    pub reservation_id: Uuid,
}

/// The account could not pay any more: the amount stands in suspense, and the customer owes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceivableBooked {
    pub reservation_id: Uuid,
}

/// The customer has called it off before it was submitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancelled {}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Succeeded {}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    pub reason: FailureReason,
}

/// The creditor's side is asked to give a settled payment back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecallInitiated {
    pub recall_id: Uuid,
    /// ISO 20022 `ExternalCancellationReason1Code`.
    pub reason_code: String,
    pub deadline: Deadline,
}

/// The money has come back because of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecallAccepted {
    pub recall_id: Uuid,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecallRejected {
    pub recall_id: Uuid,
    pub reason_code: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecallTimedOut {
    pub recall_id: Uuid,
    pub deadline_id: Uuid,
}

/// The rail could not be asked: nobody has confirmed to have the recall.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecallUndelivered {
    pub recall_id: Uuid,
}

/// The payment, or a part of it, has come back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReturnReceived {
    pub uetr: Uuid,
    pub return_id: String,
    pub amount: Money,
    pub reason_code: String,
}

/// The account has it back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReturnCredited {
    pub return_id: String,
    pub amount: Money,
}

/// The customer owed it, and owes so much less.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceivableCleared {
    pub reservation_id: Uuid,
    pub amount: Money,
}

/// What a person was asked for, for this reason, has come by itself. For the others somebody still has to look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttentionWithdrawn {
    pub reason: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remaining: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Returned {}

events! {
    /// The events of a `transfer` stream.
    pub enum TransferEvent {
        Requested = 1,
        Reserved = 1,
        ReservationRejected = 1,
        ReservationTimedOut = 1,
        ApprovalRequested = 1,
        Approved = 1,
        ApprovalDenied = 1,
        ApprovalTimedOut = 1,
        SubmissionInitiated = 1,
        SubmissionTimedOut = 1,
        ResolutionTimedOut = 1,
        ClearingSettled = 1,
        ClearingRejected = 1,
        ClearingPending = 1,
        ClearingUndetermined = 1,
        ClearingContradicted = 1,
        OperatorAttentionRequired = 1,
        Captured = 1,
        Released = 1,
        LateSettlementDetected = 1,
        LateCaptured = 1,
        ReceivableBooked = 1,
        Succeeded = 1,
        Failed = 1,
        Cancelled = 1,
        RecallInitiated = 1,
        RecallAccepted = 1,
        RecallRejected = 1,
        RecallTimedOut = 1,
        RecallUndelivered = 1,
        ReturnReceived = 1,
        ReturnCredited = 1,
        ReceivableCleared = 1,
        AttentionWithdrawn = 1,
        Returned = 1,
        OutcomeResolved = 1,
        Reversed = 1,
    }
}
