//! The aggregate: the state of an incoming payment, and what may follow.

use contract::incoming::IncomingReceived;
use event::{Aggregate, Context, Deadline};
use jiff::{SignedDuration, Timestamp};
use ledger::{LedgerAccount, Posting};
use serde::Serialize;
use uuid::Uuid;

use crate::incoming_event::{
    AttentionWithdrawn, CreditPending, CreditPosted, CreditVoided, HeldInSuspense, IncomingEvent,
    OperatorAttentionRequired, Received, Refused, ReturnInitiated, ReturnRejected, ReturnSettled,
    ReturnTimedOut, ReturnUndetermined, SettlementCancelled, SettlementConfirmed, SettlementContradicted,
    SettlementTimedOut, SettlementUndetermined,
};

/// How long the rail may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// To settle what was accepted.
    pub settlement: SignedDuration,
    /// To take a payment back.
    pub payment_return: SignedDuration,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Accepted, and not settled yet.
    Pending,
    Credited,
    Refused {
        reason_code: String,
    },
    Cancelled {
        reason_code: String,
    },
    /// In suspense, on its way back.
    Returning {
        reason_code: String,
    },
    Returned {
        reason_code: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Incoming {
    pub payment: IncomingReceived,
    pub status: Status,
    /// None: nobody can be credited.
    pub account_id: Option<Uuid>,
    /// Why a person has to look: each reason once, the latest last.
    pub attention: Vec<String>,
    return_id: Option<Uuid>,
    /// What the rail has said that cannot be.
    contradictions: Vec<String>,
    deadline: Option<Deadline>,
}

#[derive(Debug, Clone)]
pub enum IncomingCommand {
    /// The account to credit, or the reason code of the refusal.
    Receive {
        payment: Box<IncomingReceived>,
        decision: Result<Uuid, String>,
        settle_within: SignedDuration,
    },
    RecordSettled {
        uetr: Uuid,
        settled_at: Timestamp,
        /// Why the account cannot take it, should it not: the code of the return's reason.
        refusal: Option<String>,
        return_within: SignedDuration,
    },
    RecordCancelled {
        uetr: Uuid,
        reason_code: String,
    },
    RecordUndetermined {
        uetr: Uuid,
    },
    RecordContradicted {
        uetr: Uuid,
        status: String,
    },
    RecordReturnSettled {
        uetr: Uuid,
        return_id: Uuid,
    },
    RecordReturnRejected {
        uetr: Uuid,
        return_id: Uuid,
        reason_code: String,
    },
    RecordReturnUndetermined {
        uetr: Uuid,
        return_id: Uuid,
    },
    FireDeadline(Deadline),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IncomingRefusal {
    #[error("no such payment was received")]
    NotReceived,
    #[error("the payment was received with other content")]
    OtherContent,
    #[error("this is about another payment")]
    OtherPayment,
    #[error("the amount cannot be posted")]
    NotPostable,
}

/// ISO 20022 `ExternalReturnReason1Code`: not specified.
const UNSPECIFIED: &str = "MS03";

const NOT_SETTLED: &str = "the rail has not settled the payment in time";
const UNDETERMINED: &str = "the adapter has given up asking whether the money has moved";
const CONTRADICTED: &str = "the rail contradicts itself";
const RETURN_REJECTED: &str = "the rail does not take the payment back";
const RETURN_UNANSWERED: &str = "the rail has not said in time whether the payment is back";
const RETURN_UNDETERMINED: &str = "the adapter has given up asking whether the payment is back";

/// What a settlement, or its cancellation, makes superfluous.
const SETTLEMENT_REASONS: [&str; 2] = [NOT_SETTLED, UNDETERMINED];
const RETURN_REASONS: [&str; 3] = [RETURN_REJECTED, RETURN_UNANSWERED, RETURN_UNDETERMINED];

type Decision = Result<Vec<IncomingEvent>, IncomingRefusal>;

impl Aggregate for Incoming {
    const CATEGORY: &'static str = "incoming";
    type Event = IncomingEvent;
    type Command = IncomingCommand;
    type Refusal = IncomingRefusal;

    fn evolve(state: Option<Self>, event: &IncomingEvent) -> Option<Self> {
        if let IncomingEvent::Received(Received(payment)) = event {
            return Some(Self::received(payment.clone()));
        }
        let mut incoming = state?;
        match event {
            IncomingEvent::CreditPending(event) => {
                incoming.account_id = Some(event.account_id);
                incoming.deadline = Some(event.deadline);
            }
            IncomingEvent::Refused(event) => {
                incoming.end(Status::Refused { reason_code: event.reason_code.clone() });
            }
            IncomingEvent::CreditPosted(_) => incoming.end(Status::Credited),
            IncomingEvent::SettlementCancelled(event) => {
                incoming.end(Status::Cancelled { reason_code: event.reason_code.clone() });
            }
            IncomingEvent::ReturnInitiated(event) => {
                incoming.status = Status::Returning { reason_code: event.reason_code.clone() };
                (incoming.return_id, incoming.deadline) = (Some(event.return_id), Some(event.deadline));
            }
            IncomingEvent::ReturnSettled(_) => incoming.returned(),
            IncomingEvent::SettlementUndetermined(_)
            | IncomingEvent::SettlementTimedOut(_)
            | IncomingEvent::ReturnRejected(_)
            | IncomingEvent::ReturnUndetermined(_)
            | IncomingEvent::ReturnTimedOut(_) => incoming.deadline = None,
            IncomingEvent::SettlementContradicted(event) => {
                incoming.contradictions.push(event.status.clone());
            }
            IncomingEvent::OperatorAttentionRequired(event) => {
                incoming.attention.retain(|reason| *reason != event.reason);
                incoming.attention.push(event.reason.clone());
            }
            IncomingEvent::AttentionWithdrawn(event) => {
                incoming.attention.retain(|reason| *reason != event.reason);
            }
            IncomingEvent::Received(_)
            | IncomingEvent::SettlementConfirmed(_)
            | IncomingEvent::CreditVoided(_)
            | IncomingEvent::HeldInSuspense(_) => {}
        }
        Some(incoming)
    }

    fn decide(state: Option<&Self>, command: IncomingCommand, context: &Context) -> Decision {
        match (state, command) {
            (None, IncomingCommand::Receive { payment, decision, settle_within }) => {
                let decided = match decision {
                    Ok(account_id) => {
                        CreditPending { account_id, deadline: Deadline::after(settle_within, context) }.into()
                    }
                    Err(reason_code) => Refused { reason_code }.into(),
                };
                Ok(vec![Received(*payment).into(), decided])
            }
            (None, _) => Err(IncomingRefusal::NotReceived),
            (Some(incoming), command) => incoming.proceed(command, context),
        }
    }

    fn deadline(&self) -> Option<Deadline> {
        self.deadline
    }
}

impl Incoming {
    fn received(payment: IncomingReceived) -> Self {
        Self {
            payment,
            status: Status::Pending,
            account_id: None,
            attention: Vec::new(),
            return_id: None,
            contradictions: Vec::new(),
            deadline: None,
        }
    }

    fn returned(&mut self) {
        if let Status::Returning { reason_code } = &self.status {
            self.end(Status::Returned { reason_code: reason_code.clone() });
        }
    }

    fn end(&mut self, status: Status) {
        (self.status, self.deadline) = (status, None);
    }

    fn proceed(&self, command: IncomingCommand, context: &Context) -> Decision {
        match command {
            IncomingCommand::Receive { payment, .. } if *payment == self.payment => Ok(vec![]),
            IncomingCommand::Receive { .. } => Err(IncomingRefusal::OtherContent),
            IncomingCommand::RecordSettled { uetr, settled_at, refusal, return_within } => {
                self.is_about(uetr)?;
                self.settled(settled_at, refusal, return_within, context)
            }
            IncomingCommand::RecordCancelled { uetr, reason_code } => {
                self.is_about(uetr)?;
                Ok(self.cancelled(reason_code))
            }
            IncomingCommand::RecordUndetermined { uetr } => {
                self.is_about(uetr)?;
                Ok(self.undetermined())
            }
            IncomingCommand::RecordContradicted { uetr, status } => {
                self.is_about(uetr)?;
                Ok(self.contradicted(status))
            }
            IncomingCommand::RecordReturnSettled { uetr, return_id } => {
                self.is_about(uetr)?;
                self.return_settled(return_id)
            }
            IncomingCommand::RecordReturnRejected { uetr, return_id, reason_code } => {
                self.is_about(uetr)?;
                let rejected = ReturnRejected { return_id, reason_code };
                Ok(self.return_failed(return_id, rejected.into(), RETURN_REJECTED))
            }
            IncomingCommand::RecordReturnUndetermined { uetr, return_id } => {
                self.is_about(uetr)?;
                let undetermined = ReturnUndetermined { return_id };
                Ok(self.return_failed(return_id, undetermined.into(), RETURN_UNDETERMINED))
            }
            IncomingCommand::FireDeadline(deadline) => Ok(self.fire(deadline)),
        }
    }

    fn settled(
        &self,
        settled_at: Timestamp,
        refusal: Option<String>,
        return_within: SignedDuration,
        context: &Context,
    ) -> Decision {
        let confirmed = SettlementConfirmed { settled_at }.into();
        match (&self.status, self.account_id) {
            (Status::Pending, Some(account_id)) if refusal.is_some() => {
                let voided = CreditVoided { account_id }.into();
                let reason_code = refusal.unwrap_or_default();
                let back = self.sent_back(confirmed, &reason_code, return_within, context)?;
                Ok([vec![voided], back, self.withdrawn(&SETTLEMENT_REASONS)].concat())
            }
            (Status::Pending, Some(account_id)) => {
                let posted = CreditPosted { account_id }.into();
                Ok([vec![confirmed, posted], self.withdrawn(&SETTLEMENT_REASONS)].concat())
            }
            (Status::Refused { reason_code } | Status::Cancelled { reason_code }, _) => {
                self.sent_back(confirmed, reason_code, return_within, context)
            }
            _ => Ok(vec![]),
        }
    }

    /// The money has come, and nobody here can have it.
    fn sent_back(
        &self,
        confirmed: IncomingEvent,
        reason_code: &str,
        return_within: SignedDuration,
        context: &Context,
    ) -> Decision {
        let amount = self.payment.amount;
        let postings = Posting::pair(amount, LedgerAccount::Settlement, LedgerAccount::Suspense)
            .map_err(|_| IncomingRefusal::NotPostable)?;
        let initiated = ReturnInitiated {
            return_id: context.new_id(),
            amount,
            reason_code: return_reason(reason_code).to_owned(),
            deadline: Deadline::after(return_within, context),
        };
        Ok(vec![confirmed, HeldInSuspense { amount, postings }.into(), initiated.into()])
    }

    fn cancelled(&self, reason_code: String) -> Vec<IncomingEvent> {
        match (&self.status, self.account_id) {
            (Status::Pending, Some(account_id)) => {
                let cancelled = SettlementCancelled { reason_code }.into();
                let voided = CreditVoided { account_id }.into();
                [vec![cancelled, voided], self.withdrawn(&SETTLEMENT_REASONS)].concat()
            }
            (Status::Refused { .. } | Status::Cancelled { .. }, _) => vec![],
            _ => self.contradicted(format!("cancelled: {reason_code}")),
        }
    }

    fn undetermined(&self) -> Vec<IncomingEvent> {
        if self.status != Status::Pending || self.attention.iter().any(|reason| reason == UNDETERMINED) {
            return vec![];
        }
        vec![SettlementUndetermined {}.into(), attention(UNDETERMINED)]
    }

    /// The money stays where the first answer put it until a person has looked.
    fn contradicted(&self, status: String) -> Vec<IncomingEvent> {
        if self.contradictions.contains(&status) {
            return vec![];
        }
        vec![SettlementContradicted { status }.into(), attention(CONTRADICTED)]
    }

    fn return_settled(&self, return_id: Uuid) -> Decision {
        if self.return_id != Some(return_id) {
            return Ok(self.contradicted(format!("return {return_id} settled")));
        }
        if self.is_returned() {
            return Ok(vec![]);
        }
        let amount = self.payment.amount;
        let postings = Posting::pair(amount, LedgerAccount::Suspense, LedgerAccount::Settlement)
            .map_err(|_| IncomingRefusal::NotPostable)?;
        let settled = ReturnSettled { return_id, amount, postings }.into();
        Ok([vec![settled], self.withdrawn(&RETURN_REASONS)].concat())
    }

    /// A person has to look; what the rail says later still counts.
    fn return_failed(&self, return_id: Uuid, why: IncomingEvent, reason: &str) -> Vec<IncomingEvent> {
        if self.return_id != Some(return_id) || self.is_returned() {
            return self.contradicted(format!("return {return_id} failed"));
        }
        if self.attention.iter().any(|known| known == reason) {
            return vec![];
        }
        vec![why, attention(reason)]
    }

    fn fire(&self, deadline: Deadline) -> Vec<IncomingEvent> {
        let deadline_id = deadline.id;
        if self.deadline.is_none_or(|awaited| awaited.id != deadline_id) {
            return vec![];
        }
        match (&self.status, self.return_id) {
            (Status::Pending, _) => vec![SettlementTimedOut { deadline_id }.into(), attention(NOT_SETTLED)],
            (Status::Returning { .. }, Some(return_id)) => {
                vec![ReturnTimedOut { return_id, deadline_id }.into(), attention(RETURN_UNANSWERED)]
            }
            _ => vec![],
        }
    }

    fn withdrawn(&self, reasons: &[&str]) -> Vec<IncomingEvent> {
        let mut remaining = self.attention.clone();
        let withdrawn = self.attention.iter().filter(|reason| reasons.contains(&reason.as_str()));
        let event = |reason: &String| {
            remaining.retain(|other| other != reason);
            AttentionWithdrawn { reason: reason.clone(), remaining: remaining.clone() }.into()
        };
        withdrawn.map(event).collect()
    }

    fn is_returned(&self) -> bool {
        matches!(self.status, Status::Returned { .. })
    }

    fn is_about(&self, uetr: Uuid) -> Result<(), IncomingRefusal> {
        if uetr == self.payment.uetr { Ok(()) } else { Err(IncomingRefusal::OtherPayment) }
    }
}

/// What of ISO 20022's codes of a status is one of a return as well; the others say nothing.
fn return_reason(status_reason: &str) -> &str {
    if status_reason.starts_with("AC") || status_reason.starts_with("AM") {
        status_reason
    } else {
        UNSPECIFIED
    }
}

fn attention(reason: &str) -> IncomingEvent {
    OperatorAttentionRequired { reason: reason.to_owned() }.into()
}

#[cfg(test)]
mod tests;
