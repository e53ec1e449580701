//! What can be asked of a submission and told it, with how much patience, and why it is refused.

use std::sync::Arc;

use contract::payment::PaymentSubmitted;
use event::{Context, Deadline};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::rail::{Evidence, Rail, RecallAnswer, Returned};
use crate::submission_event::HoldReason;

/// However often it has doubled.
const PAUSE_MAX: SignedDuration = SignedDuration::from_mins(1);

/// How long to wait for an answer, how often to ask for it, and how often to send again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryPolicy {
    pub attempts_max: u32,
    /// For each attempt.
    pub enquiries_max: u32,
    pub answer_timeout: SignedDuration,
    /// Before the second attempt or enquiry; it doubles with each further one.
    pub retry_pause: SignedDuration,
    /// Between enquiries about a payment that the house has taken and not decided.
    pub pending_pause: SignedDuration,
    pub pending_enquiries_max: u32,
}

impl RetryPolicy {
    pub(crate) fn pause_after(self, tries: u32, context: &Context) -> Deadline {
        let factor = 2_i32.saturating_pow(tries - 1);
        let pause = self.retry_pause.checked_mul(factor).unwrap_or(PAUSE_MAX);
        Deadline::after(pause.min(PAUSE_MAX.max(self.retry_pause)), context)
    }
}

/// Nothing new is sent until then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hold {
    pub reason: HoldReason,
    pub until: Timestamp,
}

impl Hold {
    /// ISO 20022 `ExternalStatusReason1Code`, for a payment that cannot wait so long: past the cut-off time, or the agent is offline.
    pub(super) fn reason_code(self) -> &'static str {
        match self.reason {
            HoldReason::Closed => "TM01",
            HoldReason::NoAnswer => "AB07",
        }
    }
}

/// What the house said about a payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Settled {
        settled_at: Timestamp,
    },
    Rejected {
        reason_code: String,
    },
    /// Taken and not decided.
    Pending {
        status: String,
    },
}

impl Answer {
    /// ISO 20022 transaction status.
    pub(crate) fn status(&self) -> &str {
        match self {
            Self::Settled { .. } => "ACSC",
            Self::Rejected { .. } => "RJCT",
            Self::Pending { status } => status,
        }
    }
}

#[derive(Debug, Clone)]
pub enum SubmissionCommand {
    Request(PaymentSubmitted),
    /// Core wants a settled payment back.
    Recall {
        recall_id: Uuid,
        reason_code: String,
    },
    /// The deadline has fired: start what is due, or give up what was not answered.
    Proceed {
        deadline: Deadline,
        rail: Arc<Rail>,
        hold: Option<Hold>,
    },
    RecordAnswer {
        answer: Answer,
        message: Evidence,
        policy: RetryPolicy,
    },
    /// No answer: the house has never taken the payment.
    RecordEnquiry {
        attempt: u32,
        enquiry: u32,
        answer: Option<Answer>,
        message: Evidence,
        policy: RetryPolicy,
    },
    RecordNotSent {
        attempt: u32,
        reason: String,
        policy: RetryPolicy,
    },
    /// The house has refused the message as such.
    RecordRefused {
        attempt: u32,
        reason: String,
        policy: RetryPolicy,
    },
    RecordReturn {
        returned: Returned,
        message: Evidence,
    },
    RecordRecallTaken {
        recall_id: Uuid,
    },
    /// The house has refused the recall as such.
    RecordRecallRefused {
        recall_id: Uuid,
        attempt: u32,
        reason: String,
    },
    RecordRecallAnswer {
        answer: RecallAnswer,
        message: Evidence,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubmissionRefusal {
    #[error("no such payment was submitted")]
    NotRequested,
    #[error("the payment was submitted with other content")]
    OtherContent,
    #[error("the payment was not recalled under this id")]
    OtherRecall,
}
