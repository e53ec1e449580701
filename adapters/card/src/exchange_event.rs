//! What is said between the network and us about one payment by card. `message` is what came, as it came, but for cards' numbers.

use contract::card::{
    AuthorisationRequested, CaptureReceived, IncrementRequested, RefundReceived, ReversalReceived,
    StandInAdvised,
};
use event::{Deadline, Personal, events};
use money::Money;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorisationAsked {
    pub request: AuthorisationRequested,
    pub message: Personal<String>,
    pub deadline: Deadline,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncrementAsked {
    pub request: IncrementRequested,
    pub message: Personal<String>,
    pub deadline: Deadline,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandInHeard {
    pub advice: StandInAdvised,
    pub message: Personal<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReversalHeard {
    pub reversal: ReversalReceived,
    pub message: Personal<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaptureHeard {
    pub capture: CaptureReceived,
    pub message: Personal<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundHeard {
    pub refund: RefundReceived,
    pub message: Personal<String>,
}

/// What the network is told, once core has said it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestAnswered {
    pub message_id: Uuid,
    pub response_code: String,
    /// None: declined.
    pub approved: Option<Money>,
}

/// Core has not said it in time: the network is told that nobody decides here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestTimedOut {
    pub message_id: Uuid,
    pub deadline_id: Uuid,
}

/// Core has said it too late.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerdictOvertaken {
    pub message_id: Uuid,
    pub response_code: String,
}

/// The same again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageRepeated {
    pub message_id: Uuid,
    pub mti: String,
}

/// It does not fit what was said before, and is not taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageContradicted {
    pub response_code: String,
    pub message: Personal<String>,
}

events! {
    /// The events of an `exchange` stream.
    pub enum ExchangeEvent {
        AuthorisationAsked = 1,
        IncrementAsked = 1,
        StandInHeard = 1,
        ReversalHeard = 1,
        CaptureHeard = 1,
        RefundHeard = 1,
        RequestAnswered = 1,
        RequestTimedOut = 1,
        VerdictOvertaken = 1,
        MessageRepeated = 1,
        MessageContradicted = 1,
    }
}
