//! What can be asked of a transfer, under which limits, and why it is refused.

use event::Deadline;
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::ReturnedPayment;
use crate::transfer_event::{FailureReason, Requested, Resolution, TimeoutPolicy};

/// How long a transfer waits, and what follows.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub reservation: SignedDuration,
    pub submission: SubmissionPolicy,
    /// Until a recall has to be answered.
    pub recall: SignedDuration,
}

/// What a payment is submitted under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubmissionPolicy {
    pub answer_within: SignedDuration,
    pub on_timeout: TimeoutPolicy,
}

#[derive(Debug, Clone)]
pub enum TransferCommand {
    /// To another bank; the account holds the money.
    Request(Requested),
    /// To another bank; the account has refused.
    RequestRefused {
        request: Requested,
        reason: FailureReason,
    },
    /// Between two accounts here, which have done it in the same append, or refused.
    Book {
        request: Requested,
        outcome: Result<(), FailureReason>,
    },
    ConfirmReservation {
        reservation_id: Uuid,
        /// For an amount that somebody has to approve: how long there is for it.
        approve_within: Option<SignedDuration>,
        submission: SubmissionPolicy,
    },
    Approve {
        submission: SubmissionPolicy,
    },
    Deny {
        reason: String,
    },
    Cancel,
    RecordSettled {
        uetr: Uuid,
        settled_at: Timestamp,
    },
    RecordRejected {
        uetr: Uuid,
        reason_code: String,
    },
    RecordPending {
        uetr: Uuid,
        status: String,
    },
    RecordUndetermined {
        uetr: Uuid,
        attempts: u32,
    },
    RecordContradicted {
        uetr: Uuid,
        answer: String,
    },
    /// What the account did about a late settlement.
    RecordLateCapture {
        covered: bool,
    },
    /// Somebody wants a settled payment back.
    Recall {
        /// ISO 20022 `ExternalCancellationReason1Code`.
        reason_code: String,
        answer_within: SignedDuration,
    },
    RecordRecallRejected {
        uetr: Uuid,
        recall_id: Uuid,
        reason_code: String,
    },
    RecordRecallUndelivered {
        uetr: Uuid,
        recall_id: Uuid,
    },
    RecordReturned {
        uetr: Uuid,
        returned: ReturnedPayment,
    },
    /// What a person has found out.
    Resolve {
        correction_id: Uuid,
        outcome: Resolution,
    },
    /// The accounts have done it in the same append.
    Reverse {
        correction_id: Uuid,
    },
    FireDeadline(Deadline),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransferRefusal {
    #[error("the transfer does not exist")]
    NotRequested,
    #[error("the transfer exists already")]
    AlreadyRequested,
    #[error("the answer is about another payment")]
    OtherPayment,
    #[error("the payment has been handed to the rail, or has ended")]
    TooLateToCancel,
    #[error("the transfer does not wait for an approval")]
    NoApprovalAwaited,
    #[error("only a payment to another bank that has settled and not come back can be recalled")]
    NothingToRecall,
    #[error("the payment has been recalled, and the answer is on its way")]
    AlreadyRecalled,
    #[error("nobody waits for its outcome: the rail has not had it, is still to answer, or has")]
    OutcomeNotAwaited,
    #[error(
        "the rail may have it still, or be sent it: that it has not paid can be said when its adapter has given up"
    )]
    RailNotDone,
    #[error("only a correction does that")]
    NotACorrection,
    #[error("only a book transfer that has succeeded, and was not taken back, can be reversed")]
    NothingToReverse,
}
