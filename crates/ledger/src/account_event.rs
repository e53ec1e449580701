//! What can happen to an account.

use contract::Iban;
use event::{Personal, events};
use money::Money;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Posting;

/// The balances after an event. What may be spent is `posted` − `reserved`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Balances {
    pub posted: Money,
    pub reserved: Money,
}

impl Balances {
    pub fn available(&self) -> Result<Money, money::Error> {
        self.posted.minus(self.reserved)
    }
}

/// Why an account did not do what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RejectionReason {
    InsufficientFunds,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    pub account_id: Uuid,
    /// Whose it is, where they are registered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<Uuid>,
    pub owner_name: Personal<String>,
    pub iban: Personal<Iban>,
    pub balances: Balances,
}

/// As it was before there were customers.
#[derive(Deserialize)]
struct OpenedV1 {
    account_id: Uuid,
    owner_name: Personal<String>,
    iban: Personal<Iban>,
    balances: Balances,
}

impl From<OpenedV1> for Opened {
    fn from(OpenedV1 { account_id, owner_name, iban, balances }: OpenedV1) -> Self {
        Self { account_id, customer_id: None, owner_name, iban, balances }
    }
}

/// An event that moves money on one account: the amount, its postings, and the balances after it.
macro_rules! money_event {
    ($(#[$doc:meta])* $name:ident, $id:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        pub struct $name {
            pub $id: Uuid,
            pub amount: Money,
            pub postings: Vec<Posting>,
            pub balances: Balances,
        }
    };
}
money_event!(
    /// Money entered from the funding account.
    Deposited, deposit_id
);
money_event!(
    /// Money is held for a transfer.
    FundsReserved, reservation_id
);
money_event!(
    /// The hold ended; the money can be spent again.
    FundsReleased, reservation_id
);
money_event!(
    /// The hold ended; the money has left.
    FundsCaptured, reservation_id
);
money_event!(
    /// Money has left whose hold had been given back before: the rail paid late.
    LateCaptured, reservation_id
);
money_event!(
    /// The rail paid late, and the account did not cover it any more: the customer owes it, the balances are unchanged.
    ReceivableBooked, reservation_id
);
money_event!(
    /// A payment to another bank has come back.
    ReturnCredited, transfer_id
);
money_event!(
    /// A payment that the customer owed has come back: so much is owed no more, the balances are unchanged.
    ReceivableCleared, reservation_id
);
money_event!(
    /// Money came in by a book transfer.
    Credited, transfer_id
);
money_event!(
    /// Money went out by a book transfer.
    Debited, transfer_id
);

money_event!(
    /// Money from another bank, which was expected, is here.
    CreditPosted, payment_id
);

money_event!(
    /// A merchant has given back what was paid by card.
    RefundCredited, refund_id
);

/// A correction has moved money between the account and one of the ledger's own: into the account where the amount is positive, out of it
/// where it is negative.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adjusted {
    pub correction_id: Uuid,
    pub amount: Money,
    pub postings: Vec<Posting>,
    pub balances: Balances,
}

/// A hold that can change is now `held`, and gone at zero. What a card network has decided without us is forced: it may make
/// negative what can be spent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReservationAdjusted {
    pub reservation_id: Uuid,
    pub held: Money,
    pub is_forced: bool,
    pub postings: Vec<Posting>,
    pub balances: Balances,
}

/// A card network has collected `amount`, and `held` is still held for more. What was not held before may make negative what
/// can be spent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapturePosted {
    pub capture_id: Uuid,
    pub reservation_id: Uuid,
    pub amount: Money,
    pub held: Money,
    pub postings: Vec<Posting>,
    pub balances: Balances,
}

/// Another bank is paying; the money can be spent when the rail has settled it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreditPending {
    pub payment_id: Uuid,
    pub amount: Money,
    pub balances: Balances,
}

/// What was expected does not come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreditVoided {
    pub payment_id: Uuid,
    pub amount: Money,
    pub balances: Balances,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReservationRejected {
    pub reservation_id: Uuid,
    pub amount: Money,
    pub reason: RejectionReason,
    pub balances: Balances,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DebitRejected {
    pub transfer_id: Uuid,
    pub amount: Money,
    pub reason: RejectionReason,
    pub balances: Balances,
}

events! {
    /// The events of an `account` stream.
    pub enum AccountEvent {
        Opened = 2 from { 1: OpenedV1 },
        Deposited = 1,
        FundsReserved = 1,
        ReservationRejected = 1,
        FundsReleased = 1,
        FundsCaptured = 1,
        LateCaptured = 1,
        ReceivableBooked = 1,
        ReturnCredited = 1,
        ReceivableCleared = 1,
        Credited = 1,
        Debited = 1,
        DebitRejected = 1,
        CreditPending = 1,
        CreditPosted = 1,
        CreditVoided = 1,
        ReservationAdjusted = 1,
        CapturePosted = 1,
        RefundCredited = 1,
        Adjusted = 1,
    }
}

impl AccountEvent {
    pub fn balances(&self) -> Balances {
        match self {
            Self::Opened(event) => event.balances,
            Self::Deposited(event) => event.balances,
            Self::FundsReserved(event) => event.balances,
            Self::ReservationRejected(event) => event.balances,
            Self::FundsReleased(event) => event.balances,
            Self::FundsCaptured(event) => event.balances,
            Self::LateCaptured(event) => event.balances,
            Self::ReceivableBooked(event) => event.balances,
            Self::ReturnCredited(event) => event.balances,
            Self::ReceivableCleared(event) => event.balances,
            Self::Credited(event) => event.balances,
            Self::Debited(event) => event.balances,
            Self::DebitRejected(event) => event.balances,
            Self::CreditPending(event) => event.balances,
            Self::CreditPosted(event) => event.balances,
            Self::CreditVoided(event) => event.balances,
            Self::ReservationAdjusted(event) => event.balances,
            Self::CapturePosted(event) => event.balances,
            Self::RefundCredited(event) => event.balances,
            Self::Adjusted(event) => event.balances,
        }
    }

    /// None for an event that moves no money.
    pub fn postings(&self) -> &[Posting] {
        match self {
            Self::Opened(_)
            | Self::ReservationRejected(_)
            | Self::DebitRejected(_)
            | Self::CreditPending(_)
            | Self::CreditVoided(_) => &[],
            Self::Deposited(event) => &event.postings,
            Self::FundsReserved(event) => &event.postings,
            Self::FundsReleased(event) => &event.postings,
            Self::FundsCaptured(event) => &event.postings,
            Self::LateCaptured(event) => &event.postings,
            Self::ReceivableBooked(event) => &event.postings,
            Self::ReturnCredited(event) => &event.postings,
            Self::ReceivableCleared(event) => &event.postings,
            Self::Credited(event) => &event.postings,
            Self::Debited(event) => &event.postings,
            Self::CreditPosted(event) => &event.postings,
            Self::ReservationAdjusted(event) => &event.postings,
            Self::CapturePosted(event) => &event.postings,
            Self::RefundCredited(event) => &event.postings,
            Self::Adjusted(event) => &event.postings,
        }
    }
}
