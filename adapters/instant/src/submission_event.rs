//! What can happen to a payment between the adapter and the clearing house.

use contract::payment::PaymentSubmitted;
use event::{Deadline, events};
use jiff::Timestamp;
use money::Money;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::rail::{Evidence, Sent};

/// Core wants it paid. The deadline is the moment of the first attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubmissionRequested {
    pub payment: PaymentSubmitted,
    pub deadline: Deadline,
}

/// The payment is being sent; without an answer by the deadline its outcome is unknown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptStarted {
    pub attempt: u32,
    pub deadline: Deadline,
    /// pacs.008, as it is sent. Absent in what was written before the rail spoke ISO 20022.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Sent>,
}

/// The attempt is due and is not made: the house is closed, or answers nobody just now. It is due again at the deadline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptDeferred {
    pub attempt: u32,
    pub reason: HoldReason,
    pub deadline: Deadline,
}

/// Why nothing new is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldReason {
    /// By the rail's calendar.
    Closed,
    /// The rail's circuit is open.
    NoAnswer,
}

/// No answer in time: the outcome of this attempt is unknown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptTimedOut {
    pub attempt: u32,
}

/// The house has provably not taken the payment: it could not be reached, or said that it is closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptNotSent {
    pub attempt: u32,
    pub reason: String,
}

/// The house is asked what became of the payment; without an answer by the deadline it is asked again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnquiryStarted {
    pub attempt: u32,
    pub enquiry: u32,
    pub deadline: Deadline,
    /// pacs.028, as it is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Sent>,
}

/// What the house knows of the payment: its transaction status, or that there is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnquiryAnswered {
    pub enquiry: u32,
    pub status: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Evidence,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnquiryTimedOut {
    pub enquiry: u32,
}

/// The next enquiry, at the deadline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnquiryScheduled {
    pub attempt: u32,
    pub enquiry: u32,
    pub deadline: Deadline,
}

/// The next attempt, at the deadline, with the same identifiers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryScheduled {
    pub attempt: u32,
    pub deadline: Deadline,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetriesExhausted {
    pub attempts: u32,
}

/// The house has taken it, and has not decided (`ACSP`, `ACWP` and the like).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubmissionPending {
    pub status: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Evidence,
}

/// The creditor was paid (`ACSC`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubmissionAccepted {
    pub settled_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Evidence,
}

/// The house refused (`RJCT`); nobody was paid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubmissionRejected {
    pub reason_code: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Evidence,
}

/// What was known came once more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerDuplicated {
    pub status: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Evidence,
}

/// After the final answer came another one that says something else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerContradicted {
    pub status: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Evidence,
}

/// The money has come back (pacs.004).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReturnReceived {
    pub return_id: String,
    pub amount: Money,
    pub reason_code: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Evidence,
}

/// Core wants it back. The deadline is the moment of the first attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecallRequested {
    pub recall_id: Uuid,
    pub reason_code: String,
    pub deadline: Deadline,
}

/// The recall is being sent (camt.056); unless the house takes it by the deadline, it is sent again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecallStarted {
    pub recall_id: Uuid,
    pub attempt: u32,
    pub deadline: Deadline,
    pub message: Sent,
}

/// The house has it; its answer comes by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecallTaken {
    pub recall_id: Uuid,
}

/// Nobody has confirmed to have it, in time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecallAttemptTimedOut {
    pub recall_id: Uuid,
    pub attempt: u32,
}

/// The next attempt, at the deadline, of the same recall.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecallRetryScheduled {
    pub recall_id: Uuid,
    pub attempt: u32,
    pub deadline: Deadline,
}

/// The house has refused the message itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecallRefused {
    pub recall_id: Uuid,
    pub attempt: u32,
    pub reason: String,
}

/// Nobody has confirmed to have it, and it is not sent again. An answer may still come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecallExhausted {
    pub recall_id: Uuid,
    pub attempts: u32,
}

/// The creditor's bank looks into it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecallPending {
    pub recall_id: Uuid,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Evidence,
}

/// The money will come by a return.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecallAccepted {
    pub recall_id: Uuid,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Evidence,
}

/// The creditor's side does not give it back (camt.029).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecallRejected {
    pub recall_id: Uuid,
    pub reason_code: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Evidence,
}

events! {
    /// The events of a `submission` stream.
    pub enum SubmissionEvent {
        SubmissionRequested = 1,
        AttemptStarted = 1,
        AttemptDeferred = 1,
        AttemptTimedOut = 1,
        AttemptNotSent = 1,
        EnquiryStarted = 1,
        EnquiryAnswered = 1,
        EnquiryTimedOut = 1,
        EnquiryScheduled = 1,
        RetryScheduled = 1,
        RetriesExhausted = 1,
        SubmissionPending = 1,
        SubmissionAccepted = 1,
        SubmissionRejected = 1,
        AnswerDuplicated = 1,
        AnswerContradicted = 1,
        ReturnReceived = 1,
        RecallRequested = 1,
        RecallStarted = 1,
        RecallTaken = 1,
        RecallAttemptTimedOut = 1,
        RecallRetryScheduled = 1,
        RecallRefused = 1,
        RecallExhausted = 1,
        RecallPending = 1,
        RecallAccepted = 1,
        RecallRejected = 1,
    }
}
