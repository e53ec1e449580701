//! A credit line: how much a customer may have on order that is not paid yet.

use std::collections::BTreeMap;

use event::{Aggregate, Context, Snapshots, events};
use money::{Currency, Money};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreditOpened {
    pub credit_id: Uuid,
    pub limit: Money,
}

/// What is reserved already stays, also where it is more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitChanged {
    pub limit: Money,
}

/// An event about one order, with what all of them reserve from then on.
macro_rules! order_event {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        pub struct $name {
            pub order_id: Uuid,
            pub amount: Money,
            pub reserved: Money,
        }
    };
}
order_event!(CreditReserved);
order_event!(
    /// It would be more than the limit.
    CreditRejected
);
order_event!(
    /// The order is paid.
    CreditConfirmed
);
order_event!(
    /// The order is cancelled.
    CreditReleased
);

events! {
    /// The events of a `credit` stream.
    pub enum CreditEvent {
        CreditOpened = 1,
        LimitChanged = 1,
        CreditReserved = 1,
        CreditRejected = 1,
        CreditConfirmed = 1,
        CreditReleased = 1,
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credit {
    pub id: Uuid,
    pub limit: Money,
    pub reserved: Money,
    /// By order.
    reservations: BTreeMap<Uuid, Money>,
}

#[derive(Debug, Clone)]
pub enum CreditCommand {
    Open { credit_id: Uuid, limit: Money },
    ChangeLimit { limit: Money },
    Reserve { order_id: Uuid, amount: Money },
    Confirm { order_id: Uuid },
    Release { order_id: Uuid },
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CreditRefusal {
    #[error("no such credit line was opened")]
    NotOpened,
    #[error("the credit line was opened already")]
    AlreadyOpened,
    #[error("the limit cannot be negative")]
    NegativeLimit,
    #[error("the amount has to be positive")]
    AmountNotPositive,
    #[error("the credit line is in {0}")]
    OtherCurrency(Currency),
    #[error("the amount is too large")]
    TooLarge,
    #[error("nothing is reserved for this order, or something else")]
    NotReserved,
}

type Decision = Result<Vec<CreditEvent>, CreditRefusal>;

impl Aggregate for Credit {
    const CATEGORY: &'static str = "credit";
    const SNAPSHOTS: Option<Snapshots<Self>> = Some(Snapshots::of_version(1));
    type Event = CreditEvent;
    type Command = CreditCommand;
    type Refusal = CreditRefusal;

    fn evolve(state: Option<Self>, event: &CreditEvent) -> Option<Self> {
        if let CreditEvent::CreditOpened(CreditOpened { credit_id, limit }) = event {
            let (id, limit, reserved) = (*credit_id, *limit, Money::zero(limit.currency()));
            return Some(Self { id, limit, reserved, reservations: BTreeMap::new() });
        }
        let mut credit = state?;
        match event {
            CreditEvent::LimitChanged(event) => credit.limit = event.limit,
            CreditEvent::CreditReserved(event) => {
                credit.reservations.insert(event.order_id, event.amount);
                credit.reserved = event.reserved;
            }
            CreditEvent::CreditConfirmed(CreditConfirmed { order_id, reserved, .. })
            | CreditEvent::CreditReleased(CreditReleased { order_id, reserved, .. }) => {
                credit.reservations.remove(order_id);
                credit.reserved = *reserved;
            }
            CreditEvent::CreditOpened(_) | CreditEvent::CreditRejected(_) => {}
        }
        Some(credit)
    }

    fn decide(state: Option<&Self>, command: CreditCommand, _: &Context) -> Decision {
        match (state, command) {
            (None, CreditCommand::Open { limit, .. }) if limit.is_negative() => {
                Err(CreditRefusal::NegativeLimit)
            }
            (None, CreditCommand::Open { credit_id, limit }) => {
                Ok(vec![CreditOpened { credit_id, limit }.into()])
            }
            (Some(_), CreditCommand::Open { .. }) => Err(CreditRefusal::AlreadyOpened),
            (None, _) => Err(CreditRefusal::NotOpened),
            (Some(credit), CreditCommand::ChangeLimit { limit }) => credit.change_limit(limit),
            (Some(credit), CreditCommand::Reserve { order_id, amount }) => credit.reserve(order_id, amount),
            (Some(credit), CreditCommand::Confirm { order_id }) => {
                let (amount, reserved) = credit.without(order_id)?;
                Ok(vec![CreditConfirmed { order_id, amount, reserved }.into()])
            }
            (Some(credit), CreditCommand::Release { order_id }) => {
                let (amount, reserved) = credit.without(order_id)?;
                Ok(vec![CreditReleased { order_id, amount, reserved }.into()])
            }
        }
    }
}

impl Credit {
    fn change_limit(&self, limit: Money) -> Decision {
        self.is_in(limit)?;
        if limit.is_negative() {
            return Err(CreditRefusal::NegativeLimit);
        }
        Ok(if limit == self.limit { vec![] } else { vec![LimitChanged { limit }.into()] })
    }

    fn reserve(&self, order_id: Uuid, amount: Money) -> Decision {
        self.is_in(amount)?;
        if !amount.is_positive() {
            return Err(CreditRefusal::AmountNotPositive);
        }
        match self.reservations.get(&order_id) {
            Some(reserved) if *reserved == amount => return Ok(vec![]),
            Some(_) => return Err(CreditRefusal::NotReserved),
            None => {}
        }
        let reserved = self.reserved.plus(amount).map_err(|_| CreditRefusal::TooLarge)?;
        if reserved.minor() > self.limit.minor() {
            let reserved = self.reserved;
            return Ok(vec![CreditRejected { order_id, amount, reserved }.into()]);
        }
        Ok(vec![CreditReserved { order_id, amount, reserved }.into()])
    }

    /// What an order reserves, and what the others do.
    fn without(&self, order_id: Uuid) -> Result<(Money, Money), CreditRefusal> {
        let amount = self.reservations.get(&order_id).copied().ok_or(CreditRefusal::NotReserved)?;
        Ok((amount, self.reserved.minus(amount).map_err(|_| CreditRefusal::TooLarge)?))
    }

    fn is_in(&self, amount: Money) -> Result<(), CreditRefusal> {
        let own = self.limit.currency();
        if amount.currency() == own { Ok(()) } else { Err(CreditRefusal::OtherCurrency(own)) }
    }
}

#[cfg(test)]
mod tests;
