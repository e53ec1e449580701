//! The order aggregate: where an order stands, and what may follow.

use event::{Aggregate, Context, Deadline};
use jiff::SignedDuration;
use serde::Serialize;

use crate::order_event::{
    CancelReason, Cancelled, Confirmed, CreditRefused, CreditReleased, CreditReserved, OrderEvent,
    PaymentRefused, PaymentScheduled, PaymentTaken, Placed,
};

/// The pause between two tries doubles up to this, so that the story of an order stays short.
const PAUSE_MAX: SignedDuration = SignedDuration::from_hours(1);
const DOUBLINGS_MAX: u32 = 16;
/// A payment that falls due at the end of its time may be taken so much later.
const LATE_BY: SignedDuration = SignedDuration::from_mins(1);
const TOO_LATE: &str = "the time to pay it is over";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The credit line covers it; payment is being tried.
    AwaitingPayment,
    Confirmed,
    /// The credit line does not cover it.
    Rejected,
    Cancelled(CancelReason),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Order {
    pub placed: Placed,
    pub status: Status,
    /// Payment was refused so often.
    pub refusals: u32,
    /// Why, the last time.
    pub refusal: Option<String>,
    deadline: Option<Deadline>,
}

#[derive(Debug, Clone)]
pub enum OrderCommand {
    Place {
        placed: Placed,
        is_covered: bool,
    },
    /// A payment that was due: whether the accounts can make it, or why not.
    Pay {
        deadline: Deadline,
        payable: Result<(), String>,
        retry_pause: SignedDuration,
    },
    Cancel,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrderRefusal {
    #[error("no such order was placed")]
    NotPlaced,
    #[error("the order was placed with other content")]
    OtherContent,
    #[error("the order has ended and cannot be cancelled")]
    HasEnded,
}

type Decision = Result<Vec<OrderEvent>, OrderRefusal>;

impl Aggregate for Order {
    const CATEGORY: &'static str = "order";
    type Event = OrderEvent;
    type Command = OrderCommand;
    type Refusal = OrderRefusal;

    fn evolve(state: Option<Self>, event: &OrderEvent) -> Option<Self> {
        if let OrderEvent::Placed(placed) = event {
            let (placed, status) = (placed.clone(), Status::AwaitingPayment);
            return Some(Self { placed, status, refusals: 0, refusal: None, deadline: None });
        }
        let mut order = state?;
        match event {
            OrderEvent::PaymentScheduled(event) => order.deadline = Some(event.deadline),
            OrderEvent::PaymentRefused(event) => {
                (order.refusals, order.refusal) = (event.attempt, Some(event.reason.clone()));
            }
            OrderEvent::CreditRefused(_) => order.end(Status::Rejected),
            OrderEvent::Confirmed(_) => order.end(Status::Confirmed),
            OrderEvent::Cancelled(event) => order.end(Status::Cancelled(event.reason)),
            OrderEvent::Placed(_)
            | OrderEvent::CreditReserved(_)
            | OrderEvent::PaymentTaken(_)
            | OrderEvent::CreditReleased(_) => {}
        }
        Some(order)
    }

    fn decide(state: Option<&Self>, command: OrderCommand, context: &Context) -> Decision {
        match (state, command) {
            (None, OrderCommand::Place { placed, is_covered: false }) => {
                Ok(vec![placed.into(), CreditRefused {}.into()])
            }
            (None, OrderCommand::Place { placed, .. }) => {
                let at_once = Deadline::after(SignedDuration::ZERO, context);
                let payment = PaymentScheduled { attempt: 1, deadline: at_once };
                Ok(vec![placed.into(), CreditReserved {}.into(), payment.into()])
            }
            (None, _) => Err(OrderRefusal::NotPlaced),
            (Some(order), OrderCommand::Place { placed, .. }) => {
                if placed == order.placed {
                    Ok(vec![])
                } else {
                    Err(OrderRefusal::OtherContent)
                }
            }
            (Some(order), OrderCommand::Pay { deadline, payable, retry_pause }) => {
                Ok(order.pay(deadline, payable, retry_pause, context))
            }
            (Some(order), OrderCommand::Cancel) => match order.status {
                Status::AwaitingPayment => Ok(cancelled(CancelReason::ByCustomer)),
                Status::Cancelled(CancelReason::ByCustomer) => Ok(vec![]),
                _ => Err(OrderRefusal::HasEnded),
            },
        }
    }

    fn deadline(&self) -> Option<Deadline> {
        self.deadline
    }
}

impl Order {
    fn end(&mut self, status: Status) {
        (self.status, self.deadline) = (status, None);
    }

    /// A firing that comes late is nobody's.
    fn pay(
        &self,
        fired: Deadline,
        payable: Result<(), String>,
        retry_pause: SignedDuration,
        context: &Context,
    ) -> Vec<OrderEvent> {
        if self.deadline.is_none_or(|deadline| deadline.id != fired.id) {
            return vec![];
        }
        let (attempt, deadline_id, pay_by) = (self.refusals + 1, fired.id, self.placed.pay_by);
        // Nobody expects to be debited days later, when what fires deadlines was away.
        let is_too_late = context.now.duration_since(pay_by) > LATE_BY;
        let payable = if is_too_late { Err(TOO_LATE.to_owned()) } else { payable };
        let Err(reason) = payable else {
            return vec![PaymentTaken { attempt, deadline_id }.into(), Confirmed {}.into()];
        };
        let refused = PaymentRefused { attempt, deadline_id, reason }.into();
        // By either clock: the database says when a deadline is due, and this one what time it is.
        if context.now >= pay_by || fired.due_at >= pay_by {
            return [vec![refused], cancelled(CancelReason::NotPaidInTime)].concat();
        }
        let left = pay_by.duration_since(context.now);
        let pause =
            retry_pause.saturating_mul(1 << self.refusals.min(DOUBLINGS_MAX)).min(PAUSE_MAX.max(retry_pause));
        let deadline = Deadline::after(pause.min(left), context);
        vec![refused, PaymentScheduled { attempt: attempt + 1, deadline }.into()]
    }
}

fn cancelled(reason: CancelReason) -> Vec<OrderEvent> {
    vec![Cancelled { reason }.into(), CreditReleased {}.into()]
}

impl Status {
    pub const NAMES: [&'static str; 4] = ["awaiting_payment", "confirmed", "rejected", "cancelled"];

    pub fn name(self) -> &'static str {
        match self {
            Self::AwaitingPayment => Self::NAMES[0],
            Self::Confirmed => Self::NAMES[1],
            Self::Rejected => Self::NAMES[2],
            Self::Cancelled(_) => Self::NAMES[3],
        }
    }
}

#[cfg(test)]
mod tests;
