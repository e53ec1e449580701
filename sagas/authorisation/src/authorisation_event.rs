//! What can happen to a payment by card. `held` is always what is held for it from then on.

use contract::card::CardPayment;
use event::{Deadline, events};
use ledger::Posting;
use money::{Currency, Money};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The network has spoken of this payment for the first time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    pub payment: CardPayment,
    pub currency: Currency,
}

/// What was asked for is held, or a part of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approved {
    pub message_id: Uuid,
    pub account_id: Uuid,
    pub amount: Money,
    pub is_partial: bool,
    pub held: Money,
    /// When the hold ends, should nobody have collected by then.
    pub deadline: Deadline,
}

/// So much more is held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incremented {
    pub message_id: Uuid,
    pub account_id: Uuid,
    pub amount: Money,
    pub held: Money,
}

/// The code is ISO 8583's, of data element 39.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Declined {
    pub message_id: Uuid,
    pub response_code: String,
}

/// What was approved before stays so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncrementDeclined {
    pub message_id: Uuid,
    pub response_code: String,
}

/// The network has not heard our approval in time, so it does not stand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerdictWithdrawn {
    pub message_id: Uuid,
    pub account_id: Uuid,
    pub amount: Money,
    pub held: Money,
}

/// The network has decided in our place: so much is approved of the request that it stands in for, whatever we have said to that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandInApplied {
    pub message_id: Uuid,
    pub original_message_id: Option<Uuid>,
    pub account_id: Uuid,
    pub approved: Money,
    pub held: Money,
    pub deadline: Deadline,
}

/// The network has declined in our place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandInDeclined {
    pub message_id: Uuid,
    pub original_message_id: Option<Uuid>,
    pub account_id: Option<Uuid>,
    pub held: Money,
}

/// The network has approved in our place what no account here can hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandInNotHeld {
    pub message_id: Uuid,
    pub approved: Money,
}

/// So much of a request will not be collected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reversed {
    pub message_id: Uuid,
    pub original_message_id: Uuid,
    /// None: nothing was ever held.
    pub account_id: Option<Uuid>,
    pub amount: Money,
    pub held: Money,
}

/// The merchant has collected what was approved, or more, or after the hold had expired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Captured {
    pub message_id: Uuid,
    pub account_id: Uuid,
    pub amount: Money,
    pub is_final: bool,
    pub held: Money,
}

/// The merchant has collected where no approval stands. The network's rules allow it, so the customer owes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForcePosted {
    pub message_id: Uuid,
    pub account_id: Uuid,
    pub amount: Money,
    pub is_final: bool,
    pub held: Money,
}

/// The merchant has given so much back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refunded {
    pub message_id: Uuid,
    pub account_id: Uuid,
    pub amount: Money,
}

/// Nobody has collected in time: the customer can spend it again. It can still be collected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expired {
    pub deadline_id: Uuid,
    pub account_id: Uuid,
    pub amount: Money,
    pub held: Money,
}

/// Money has moved between the network and us that no account here can take: it waits for a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BookedToSuspense {
    pub message_id: Uuid,
    pub amount: Money,
    pub is_refund: bool,
    pub postings: Vec<Posting>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorAttentionRequired {
    pub reason: String,
}

events! {
    /// The events of an `authorisation` stream.
    pub enum AuthorisationEvent {
        Opened = 1,
        Approved = 1,
        Incremented = 1,
        Declined = 1,
        IncrementDeclined = 1,
        VerdictWithdrawn = 1,
        StandInApplied = 1,
        StandInDeclined = 1,
        StandInNotHeld = 1,
        Reversed = 1,
        Captured = 1,
        ForcePosted = 1,
        Refunded = 1,
        Expired = 1,
        BookedToSuspense = 1,
        OperatorAttentionRequired = 1,
    }
}

/// None for an event that moves no money by itself: what it does to an account stands in that one's stream.
pub fn postings_of(event: &AuthorisationEvent) -> &[Posting] {
    match event {
        AuthorisationEvent::BookedToSuspense(event) => &event.postings,
        _ => &[],
    }
}
