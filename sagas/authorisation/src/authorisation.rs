//! The aggregate: the state of a payment by card.

use std::collections::{BTreeMap, BTreeSet};

use contract::card::{CardEvent, CardPayment};
use event::{Aggregate, Context, Deadline};
use jiff::SignedDuration;
use ledger::Balances;
use money::Money;
use serde::Serialize;
use uuid::Uuid;

use crate::authorisation_event::{AuthorisationEvent, Opened};

mod decide;
mod evolve;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Nothing was approved or declined: a reversal has come first, or money that nobody here can take.
    Opened,
    Approved,
    Declined {
        response_code: String,
    },
    /// Our approval came too late to stand.
    Withdrawn,
    Reversed,
    Expired,
    Captured,
    /// Collected where no approval stood.
    ForcePosted,
    /// A refund of something else.
    Refunded,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Authorisation {
    pub payment: CardPayment,
    pub status: Status,
    /// None: nothing was ever done to an account.
    pub account_id: Option<Uuid>,
    pub approved: Money,
    pub held: Money,
    pub captured: Money,
    pub refunded: Money,
    /// Why a person has to look: each reason once, the latest last.
    pub attention: Vec<String>,
    /// By the request, or the advice that stands for none.
    approvals: BTreeMap<Uuid, Approval>,
    /// By request, whether or not it was approved, or came.
    reversed: BTreeMap<Uuid, Money>,
    /// What was held until it expired, and is not collected.
    lapsed: Money,
    /// Nothing more will be collected.
    is_final: bool,
    /// Requests that have our word.
    answered: BTreeSet<Uuid>,
    /// All else that was heard.
    taken: BTreeSet<Uuid>,
    deadline: Option<Deadline>,
}

/// What is approved of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
struct Approval {
    amount: Money,
    /// Not the network's.
    is_ours: bool,
}

/// The card's account at the moment of a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    pub account_id: Uuid,
    pub balances: Balances,
    pub is_blocked: bool,
}

#[derive(Debug, Clone)]
pub enum AuthorisationCommand {
    /// What the network says, and how things stand with the card. No standing: there is no such card.
    Take {
        said: Box<CardEvent>,
        standing: Option<Standing>,
        hold_for: SignedDuration,
    },
    FireDeadline(Deadline),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthorisationRefusal {
    #[error("the network has not spoken of this payment")]
    NotOpened,
    #[error("the amount cannot be reckoned with")]
    OutOfRange,
}

impl From<money::Error> for AuthorisationRefusal {
    fn from(_: money::Error) -> Self {
        Self::OutOfRange
    }
}

pub(crate) type Decision = Result<Vec<AuthorisationEvent>, AuthorisationRefusal>;

impl Aggregate for Authorisation {
    const CATEGORY: &'static str = "authorisation";
    type Event = AuthorisationEvent;
    type Command = AuthorisationCommand;
    type Refusal = AuthorisationRefusal;

    fn evolve(state: Option<Self>, event: &AuthorisationEvent) -> Option<Self> {
        if let AuthorisationEvent::Opened(opened) = event {
            return Some(Self::opened(opened));
        }
        let mut authorisation = state?;
        authorisation.follow(event);
        Some(authorisation)
    }

    fn decide(state: Option<&Self>, command: AuthorisationCommand, context: &Context) -> Decision {
        match (state, command) {
            (None, AuthorisationCommand::Take { said, standing, hold_for }) => {
                let opened = decide::opened(&said)?;
                let first = Self::opened(&opened).take(*said, standing, hold_for, context)?;
                Ok([vec![opened.into()], first].concat())
            }
            (None, AuthorisationCommand::FireDeadline(_)) => Err(AuthorisationRefusal::NotOpened),
            (Some(authorisation), AuthorisationCommand::Take { said, standing, hold_for }) => {
                authorisation.take(*said, standing, hold_for, context)
            }
            (Some(authorisation), AuthorisationCommand::FireDeadline(deadline)) => {
                Ok(authorisation.expire(deadline))
            }
        }
    }

    fn deadline(&self) -> Option<Deadline> {
        self.deadline
    }
}

impl Authorisation {
    fn opened(opened: &Opened) -> Self {
        let zero = Money::zero(opened.currency);
        Self {
            payment: opened.payment.clone(),
            status: Status::Opened,
            account_id: None,
            approved: zero,
            held: zero,
            captured: zero,
            refunded: zero,
            attention: Vec::new(),
            approvals: BTreeMap::new(),
            reversed: BTreeMap::new(),
            lapsed: zero,
            is_final: false,
            answered: BTreeSet::new(),
            taken: BTreeSet::new(),
            deadline: None,
        }
    }
}

/// Not below zero.
fn difference(one: Money, other: Money) -> Money {
    let zero = Money::zero(one.currency());
    one.minus(other).ok().filter(|left| left.is_positive()).unwrap_or(zero)
}

#[cfg(test)]
mod tests;
