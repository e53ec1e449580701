//! What can be asked of a payment from another bank and told it, and why it is refused.

use std::sync::Arc;

use event::Deadline;
use jiff::SignedDuration;
use money::Money;
use uuid::Uuid;

use crate::inbound_event::Errand;
use crate::rail::{Evidence, Offer, Rail};
use crate::{Answer, RetryPolicy};

#[derive(Debug, Clone)]
pub enum InboundCommand {
    /// The house asks.
    Offer {
        offer: Box<Offer>,
        message: Evidence,
        decide_within: SignedDuration,
    },
    /// Core will credit it.
    Accept,
    /// Core cannot.
    Refuse {
        reason_code: String,
    },
    /// Core wants it to go back.
    Return {
        return_id: Uuid,
        amount: Money,
        reason_code: String,
    },
    /// The deadline has fired: send what is due, or give up what was not answered.
    Proceed {
        deadline: Deadline,
        rail: Arc<Rail>,
    },
    RecordTaken {
        errand: Errand,
        attempt: u32,
        policy: RetryPolicy,
    },
    RecordNotSent {
        errand: Errand,
        attempt: u32,
        reason: String,
        policy: RetryPolicy,
    },
    /// The house has refused the message as such.
    RecordMessageRefused {
        errand: Errand,
        attempt: u32,
        reason: String,
        policy: RetryPolicy,
    },
    /// No answer: the house knows nothing of the payment.
    RecordStatus {
        answer: Option<Answer>,
        is_of_return: bool,
        message: Evidence,
        policy: RetryPolicy,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InboundRefusal {
    #[error("no such payment was offered")]
    NotOffered,
    #[error("the payment was offered with other content")]
    OtherContent,
    #[error("the payment goes back under another id")]
    OtherReturn,
    #[error("the payment is not settled, so it cannot go back")]
    NotSettled,
}
