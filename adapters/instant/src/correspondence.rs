//! What the courier has to know of an aggregate whose deadlines send messages to the clearing house.

use std::fmt::Debug;
use std::sync::Arc;

use event::{Aggregate, Deadline};
use money::Money;
use uuid::Uuid;

use crate::rail::{Evidence, Heard, Rail, Sent};
use crate::{Hold, RetryPolicy};

pub(crate) trait Correspondence: Aggregate {
    /// What a message is for.
    type Purpose: Debug + Copy + Send + Sync;

    fn uetr(&self) -> Uuid;

    /// What was paid, or is to be.
    fn amount(&self) -> Money;

    /// The deadline has fired, while there is something that holds up new payments, or nothing.
    fn proceed(deadline: Deadline, rail: Arc<Rail>, hold: Option<Hold>) -> Self::Command;

    /// The message that an event is about to send.
    fn message_of(event: Self::Event) -> Option<(Self::Purpose, Sent)>;

    /// What has come of it. None: it says nothing of this.
    fn outcome(purpose: Self::Purpose, outcome: Outcome, policy: RetryPolicy) -> Option<Self::Command>;
}

/// What a message has come to, short of silence.
pub(crate) enum Outcome {
    Answered {
        heard: Heard,
        message: Evidence,
    },
    /// Taken; what follows comes by itself.
    Taken,
    /// The house has provably not taken it.
    NotSent {
        reason: String,
    },
    /// The house has refused the message itself.
    Refused {
        reason: String,
    },
}
