//! What can happen to a payment between the adapter and the clearing house.

use contract::payment::PaymentSubmitted;
use event::{Deadline, events};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

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
}

/// What the house knows of the payment: its transaction status, or that there is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnquiryAnswered {
    pub enquiry: u32,
    pub status: String,
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

/// The creditor was paid (`ACSC`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubmissionAccepted {
    pub settled_at: Timestamp,
}

/// The house refused (`RJCT`); nobody was paid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubmissionRejected {
    pub reason_code: String,
}

/// The final answer came once more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerDuplicated {
    pub status: String,
}

/// After the final answer came another one that says something else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerContradicted {
    pub status: String,
}

events! {
    /// The events of a `submission` stream.
    pub enum SubmissionEvent {
        SubmissionRequested = 1,
        AttemptStarted = 1,
        AttemptTimedOut = 1,
        AttemptNotSent = 1,
        EnquiryStarted = 1,
        EnquiryAnswered = 1,
        EnquiryTimedOut = 1,
        EnquiryScheduled = 1,
        RetryScheduled = 1,
        RetriesExhausted = 1,
        SubmissionAccepted = 1,
        SubmissionRejected = 1,
        AnswerDuplicated = 1,
        AnswerContradicted = 1,
    }
}
