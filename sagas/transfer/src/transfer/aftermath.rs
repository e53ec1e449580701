//! What comes after a payment has settled: it is recalled, and it comes back.
//!
//! ```text
//!            ┌─► RecallInitiated ─┬─► RecallRejected
//! Succeeded ─┤                    ├─► RecallTimedOut | RecallUndelivered, OperatorAttentionRequired: an answer still counts
//!            │                    └─► RecallAccepted ┐
//!            └─────────────────────────────────────► ReturnReceived ─┬─► ReturnCredited ────┬─► Returned
//!                                                                    └─► ReceivableCleared ─┘
//! ```

use event::{Context, Deadline};
use jiff::SignedDuration;
use money::Money;
use serde::Serialize;
use uuid::Uuid;

use super::{Decision, OWED, Status, Transfer, TransferRefusal, attention};
use crate::transfer_event::{
    AttentionWithdrawn, RecallAccepted, RecallInitiated, RecallRejected, RecallTimedOut, RecallUndelivered,
    ReceivableCleared, ReturnCredited, ReturnReceived, Returned, TransferEvent,
};

pub(super) const RECALL_UNANSWERED: &str = "the recall has not been answered in time";
pub(super) const RECALL_UNDELIVERED: &str = "the recall has not reached the rail";

/// What an answer to a recall makes superfluous.
const RECALL_REASONS: [&str; 2] = [RECALL_UNANSWERED, RECALL_UNDELIVERED];

/// A request to the creditor's side to give a settled payment back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Recall {
    pub recall_id: Uuid,
    pub reason_code: String,
    pub status: RecallStatus,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RecallStatus {
    Requested,
    /// A person, or a late answer, will tell.
    Unanswered,
    /// Nobody has confirmed to have it.
    Undelivered,
    Accepted,
    Rejected {
        reason_code: String,
    },
}

impl Recall {
    /// An answer to it counts.
    fn is_open(&self) -> bool {
        matches!(self.status, RecallStatus::Requested | RecallStatus::Unanswered | RecallStatus::Undelivered)
    }
}

/// What has come back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReturnedPayment {
    pub return_id: String,
    pub amount: Money,
    pub reason_code: String,
}

impl Transfer {
    pub(super) fn evolve_after(&mut self, event: &TransferEvent) {
        match event {
            TransferEvent::RecallInitiated(event) => {
                let (recall_id, reason_code) = (event.recall_id, event.reason_code.clone());
                self.recall = Some(Recall { recall_id, reason_code, status: RecallStatus::Requested });
                self.deadline = Some(event.deadline);
            }
            TransferEvent::RecallTimedOut(_) => self.recall_ends(RecallStatus::Unanswered),
            TransferEvent::RecallUndelivered(_) => self.recall_ends(RecallStatus::Undelivered),
            TransferEvent::RecallAccepted(_) => self.recall_ends(RecallStatus::Accepted),
            TransferEvent::RecallRejected(event) => {
                self.recall_ends(RecallStatus::Rejected { reason_code: event.reason_code.clone() });
            }
            TransferEvent::AttentionWithdrawn(event) => {
                self.attention.retain(|reason| *reason != event.reason);
            }
            TransferEvent::ReturnReceived(event) => {
                let (return_id, amount) = (event.return_id.clone(), event.amount);
                let reason_code = event.reason_code.clone();
                self.returned = Some(ReturnedPayment { return_id, amount, reason_code });
            }
            TransferEvent::Returned(_) => self.wait(Status::Returned, None),
            _ => {}
        }
    }

    fn recall_ends(&mut self, status: RecallStatus) {
        self.deadline = None;
        if let Some(recall) = &mut self.recall {
            recall.status = status;
        }
    }

    pub(super) fn recall(
        &self,
        reason_code: String,
        answer_within: SignedDuration,
        context: &Context,
    ) -> Decision {
        if self.status != Status::Succeeded || !self.submitted || self.is_disputed {
            return Err(TransferRefusal::NothingToRecall);
        }
        if self.recall.as_ref().is_some_and(|recall| recall.status == RecallStatus::Requested) {
            return Err(TransferRefusal::AlreadyRecalled);
        }
        let (recall_id, deadline) = (context.new_id(), Deadline::after(answer_within, context));
        let initiated = RecallInitiated { recall_id, reason_code, deadline }.into();
        // To ask once more is what a person was asked for.
        Ok([self.attention_withdrawn(&RECALL_REASONS), vec![initiated]].concat())
    }

    pub(super) fn recall_rejected(&self, uetr: Uuid, recall_id: Uuid, reason_code: String) -> Decision {
        self.is_about(uetr)?;
        let recall = self.recall.as_ref().filter(|recall| recall.recall_id == recall_id);
        let answer = format!("recall {recall_id} rejected: {reason_code}");
        Ok(match recall {
            Some(recall) if recall.is_open() && self.status == Status::Succeeded => {
                let rejected = RecallRejected { recall_id, reason_code }.into();
                [vec![rejected], self.attention_withdrawn(&RECALL_REASONS)].concat()
            }
            Some(recall) if matches!(recall.status, RecallStatus::Rejected { .. }) => vec![],
            _ => self.contradicted(uetr, answer),
        })
    }

    pub(super) fn recall_timed_out(&self, deadline_id: Uuid) -> Vec<TransferEvent> {
        let open = self.recall.as_ref().filter(|recall| recall.status == RecallStatus::Requested);
        open.map_or_else(Vec::new, |recall| {
            let recall_id = recall.recall_id;
            vec![RecallTimedOut { recall_id, deadline_id }.into(), attention(RECALL_UNANSWERED)]
        })
    }

    pub(super) fn recall_undelivered(&self, uetr: Uuid, recall_id: Uuid) -> Decision {
        self.is_about(uetr)?;
        let recall = self.recall.as_ref().filter(|recall| recall.recall_id == recall_id);
        let is_waited_for = recall.is_some_and(|recall| recall.status == RecallStatus::Requested);
        Ok(if is_waited_for {
            vec![RecallUndelivered { recall_id }.into(), attention(RECALL_UNDELIVERED)]
        } else {
            vec![]
        })
    }

    /// The money goes to whom it was taken from: the account, or what the customer owes.
    pub(super) fn money_returned(&self, uetr: Uuid, returned: ReturnedPayment) -> Decision {
        self.is_about(uetr)?;
        let ReturnedPayment { return_id, amount, reason_code } = returned;
        let is_known = self.returned.as_ref().is_some_and(|known| known.return_id == return_id);
        if is_known {
            return Ok(vec![]);
        }
        let paid = self.request.amount;
        let is_possible =
            amount.currency() == paid.currency() && amount.is_positive() && amount.minor() <= paid.minor();
        if self.status != Status::Succeeded || !self.submitted || !is_possible {
            return Ok(self.contradicted(uetr, format!("returned {amount}: {reason_code}")));
        }
        let mut events = Vec::new();
        if let Some(recall) = self.recall.as_ref().filter(|recall| recall.is_open()) {
            events.push(RecallAccepted { recall_id: recall.recall_id }.into());
        }
        events.push(ReturnReceived { uetr, return_id: return_id.clone(), amount, reason_code }.into());
        let mut settled = RECALL_REASONS.to_vec();
        if self.is_receivable {
            events.push(ReceivableCleared { reservation_id: self.reservation_id(), amount }.into());
            settled.extend((amount == paid).then_some(OWED));
        } else {
            events.push(ReturnCredited { return_id, amount }.into());
        }
        events.extend(self.attention_withdrawn(&settled));
        events.push(Returned {}.into());
        Ok(events)
    }

    /// What the person was asked for has come by itself.
    fn attention_withdrawn(&self, reasons: &[&str]) -> Vec<TransferEvent> {
        let mut remaining = self.attention.clone();
        let withdrawn = self.attention.iter().filter(|reason| reasons.contains(&reason.as_str()));
        let event = |reason: &String| {
            remaining.retain(|other| other != reason);
            AttentionWithdrawn { reason: reason.clone(), remaining: remaining.clone() }.into()
        };
        withdrawn.map(event).collect()
    }
}
