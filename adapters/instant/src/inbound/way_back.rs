//! The way back of a payment that has come and that nobody here can have (pacs.004).

use event::Context;
use jiff::{SignedDuration, Timestamp};
use money::Money;
use uuid::Uuid;

use super::{Decision, Inbound, InboundRefusal, Settlement, due};
use crate::inbound_event::{
    Errand, InboundEvent, ReturnRejected, ReturnRequested, ReturnSettled, StatusContradicted,
    StatusDuplicated, StatusHeard,
};
use crate::rail::Evidence;
use crate::{Answer, RetryPolicy};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WayBack {
    pub(super) return_id: Uuid,
    pub(super) amount: Money,
    pub(super) reason_code: String,
    pub(super) at: Timestamp,
    /// Whether the house has taken it back, once it has said so.
    pub(super) is_back: Option<bool>,
}

impl Inbound {
    pub(super) fn return_ends(&mut self, is_back: bool) {
        self.sending = None;
        self.way_back.iter_mut().for_each(|way_back| way_back.is_back = Some(is_back));
    }

    pub(super) fn return_requested(
        &self,
        return_id: Uuid,
        amount: Money,
        reason_code: String,
        context: &Context,
    ) -> Decision {
        match &self.way_back {
            // Asked once more, it is tried once more.
            Some(way_back) if way_back.return_id == return_id => {
                let is_given_up = way_back.is_back.is_none() && self.sending.is_none();
                let again = is_given_up.then(|| due(Errand::Return, 1, SignedDuration::ZERO, context));
                Ok(again.into_iter().collect())
            }
            Some(_) => Err(InboundRefusal::OtherReturn),
            None if self.settlement != Some(Settlement::Settled) => Err(InboundRefusal::NotSettled),
            None => Ok(vec![
                ReturnRequested { return_id, amount, reason_code, at: context.now }.into(),
                due(Errand::Return, 1, SignedDuration::ZERO, context),
            ]),
        }
    }

    pub(super) fn return_answered(
        &self,
        answer: Option<Answer>,
        status: String,
        message: Evidence,
        policy: RetryPolicy,
        context: &Context,
    ) -> Vec<InboundEvent> {
        let Some(way_back) = &self.way_back else {
            return vec![StatusContradicted { status, message }.into()];
        };
        let return_id = way_back.return_id;
        match (way_back.is_back, answer) {
            // Also after the house did not want it: what is back is back.
            (None | Some(false), Some(Answer::Settled { .. })) => {
                vec![ReturnSettled { return_id, message }.into()]
            }
            (None, Some(Answer::Rejected { reason_code })) => {
                vec![ReturnRejected { return_id, reason_code, message }.into()]
            }
            (None, Some(Answer::Pending { .. }) | None) => {
                let heard = StatusHeard { status, message }.into();
                [vec![heard], self.still_open(policy, context)].concat()
            }
            (Some(true), Some(Answer::Rejected { .. })) => {
                vec![StatusContradicted { status, message }.into()]
            }
            (Some(_), _) => vec![StatusDuplicated { status, message }.into()],
        }
    }
}
