//! The transfer aggregate: where a transfer stands, and what may follow.

use event::{Aggregate, Context, Deadline};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::transfer_event::{
    Beneficiary, Captured, ClearingContradicted, ClearingRejected, ClearingSettled, ClearingUndetermined,
    Failed, FailureReason, OperatorAttentionRequired, Released, Requested, ReservationRejected,
    ReservationTimedOut, Reserved, SubmissionInitiated, SubmissionTimedOut, Succeeded, TransferEvent,
};

/// Where a transfer stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// The account has been asked for the money; its answer is on the way.
    Requested,
    /// The rail has it.
    Submitted,
    /// The outcome is unknown; a person, or a late answer, will tell.
    AttentionRequired {
        reason: String,
    },
    Succeeded,
    Failed {
        reason: FailureReason,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    pub request: Requested,
    pub status: Status,
    /// Why a person has to look although the transfer has ended.
    pub contradiction: Option<String>,
    /// The rail's adapter has been asked; from then on a time-out means *unknown*.
    submitted: bool,
    deadline: Option<Deadline>,
}

/// How long a transfer waits before it asks for a person.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub reservation: SignedDuration,
    pub submission: SignedDuration,
}

#[derive(Debug, Clone)]
pub enum TransferCommand {
    /// To another bank; the account holds the money.
    Request(Requested),
    /// To another bank; the account has refused.
    RequestRefused {
        request: Requested,
        reason: FailureReason,
    },
    /// Between two accounts here, which have done it in the same append, or refused.
    Book {
        request: Requested,
        outcome: Result<(), FailureReason>,
    },
    ConfirmReservation {
        reservation_id: Uuid,
        submission_limit: SignedDuration,
    },
    RecordSettled {
        uetr: Uuid,
        settled_at: Timestamp,
    },
    RecordRejected {
        uetr: Uuid,
        reason_code: String,
    },
    RecordUndetermined {
        uetr: Uuid,
        attempts: u32,
    },
    RecordContradicted {
        uetr: Uuid,
        answer: String,
    },
    FireDeadline(Deadline),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransferRefusal {
    #[error("the transfer does not exist")]
    NotRequested,
    #[error("the transfer exists already")]
    AlreadyRequested,
    #[error("the answer is about another payment")]
    OtherPayment,
}

type Decision = Result<Vec<TransferEvent>, TransferRefusal>;

impl Aggregate for Transfer {
    const CATEGORY: &'static str = "transfer";
    type Event = TransferEvent;
    type Command = TransferCommand;
    type Refusal = TransferRefusal;

    fn evolve(state: Option<Self>, event: &TransferEvent) -> Option<Self> {
        if let TransferEvent::Requested(request) = event {
            let (request, deadline) = (request.clone(), request.deadline);
            return Some(Self {
                request,
                status: Status::Requested,
                contradiction: None,
                submitted: false,
                deadline,
            });
        }
        let mut transfer = state?;
        match event {
            TransferEvent::SubmissionInitiated(event) => {
                transfer.status = Status::Submitted;
                transfer.submitted = true;
                transfer.deadline = Some(event.deadline);
            }
            TransferEvent::OperatorAttentionRequired(event) if transfer.has_ended() => {
                transfer.contradiction = Some(event.reason.clone());
            }
            TransferEvent::OperatorAttentionRequired(event) => {
                transfer.status = Status::AttentionRequired { reason: event.reason.clone() };
                transfer.deadline = None;
            }
            TransferEvent::Succeeded(_) => {
                transfer.status = Status::Succeeded;
                transfer.deadline = None;
            }
            TransferEvent::Failed(event) => {
                transfer.status = Status::Failed { reason: event.reason.clone() };
                transfer.deadline = None;
            }
            _ => {}
        }
        Some(transfer)
    }

    fn decide(state: Option<&Self>, command: TransferCommand, context: &Context) -> Decision {
        match (state, command) {
            (None, TransferCommand::Request(request)) => Ok(vec![request.into()]),
            (None, TransferCommand::RequestRefused { request, reason }) => Ok(vec![
                request.into(),
                ReservationRejected { reason: reason.clone() }.into(),
                Failed { reason }.into(),
            ]),
            (None, TransferCommand::Book { request, outcome }) => Ok(vec![
                request.into(),
                outcome.map_or_else(|reason| Failed { reason }.into(), |()| Succeeded {}.into()),
            ]),
            (None, _) => Err(TransferRefusal::NotRequested),
            (Some(transfer), command) => transfer.proceed(command, context),
        }
    }

    fn deadline(&self) -> Option<Deadline> {
        self.deadline
    }

    fn on_deadline(deadline: Deadline) -> Option<TransferCommand> {
        Some(TransferCommand::FireDeadline(deadline))
    }
}

impl Transfer {
    /// The hold on the account carries the transfer's id.
    pub fn reservation_id(&self) -> Uuid {
        self.request.transfer_id
    }

    pub fn is_book(&self) -> bool {
        matches!(self.request.to, Beneficiary::Account { .. })
    }

    pub fn has_ended(&self) -> bool {
        matches!(self.status, Status::Succeeded | Status::Failed { .. })
    }

    fn proceed(&self, command: TransferCommand, context: &Context) -> Decision {
        match command {
            TransferCommand::Request(_)
            | TransferCommand::RequestRefused { .. }
            | TransferCommand::Book { .. } => Err(TransferRefusal::AlreadyRequested),
            TransferCommand::ConfirmReservation { reservation_id, submission_limit } => {
                Ok(self.confirm_reservation(reservation_id, submission_limit, context))
            }
            TransferCommand::RecordSettled { uetr, settled_at } => self.settled(uetr, settled_at),
            TransferCommand::RecordRejected { uetr, reason_code } => self.rejected(uetr, reason_code),
            TransferCommand::RecordUndetermined { uetr, attempts } => self.undetermined(uetr, attempts),
            TransferCommand::RecordContradicted { uetr, answer } => {
                self.is_about(uetr)?;
                Ok(self.contradicted(uetr, answer))
            }
            TransferCommand::FireDeadline(deadline) => Ok(self.fire(deadline)),
        }
    }

    fn confirm_reservation(
        &self,
        reservation_id: Uuid,
        limit: SignedDuration,
        context: &Context,
    ) -> Vec<TransferEvent> {
        let late = matches!(self.status, Status::AttentionRequired { .. }) && !self.submitted;
        if self.status != Status::Requested && !late {
            return vec![];
        }
        vec![
            Reserved { reservation_id }.into(),
            SubmissionInitiated {
                uetr: self.request.uetr,
                end_to_end_id: self.request.end_to_end_id.clone(),
                deadline: Deadline::after(limit, context),
            }
            .into(),
        ]
    }

    fn settled(&self, uetr: Uuid, settled_at: Timestamp) -> Decision {
        self.is_about(uetr)?;
        Ok(match self.status {
            Status::Requested | Status::Submitted | Status::AttentionRequired { .. } => vec![
                ClearingSettled { uetr, settled_at }.into(),
                Captured { reservation_id: self.reservation_id() }.into(),
                Succeeded {}.into(),
            ],
            Status::Succeeded => vec![],
            Status::Failed { .. } => {
                self.contradicted(uetr, "settled after the transfer had failed".to_owned())
            }
        })
    }

    fn rejected(&self, uetr: Uuid, reason_code: String) -> Decision {
        self.is_about(uetr)?;
        Ok(match self.status {
            Status::Requested | Status::Submitted | Status::AttentionRequired { .. } => vec![
                ClearingRejected { uetr, reason_code: reason_code.clone() }.into(),
                Released { reservation_id: self.reservation_id() }.into(),
                Failed { reason: FailureReason::RejectedByClearing { reason_code } }.into(),
            ],
            Status::Failed { .. } => vec![],
            Status::Succeeded => {
                self.contradicted(uetr, format!("rejected ({reason_code}) after it had settled"))
            }
        })
    }

    fn undetermined(&self, uetr: Uuid, attempts: u32) -> Decision {
        self.is_about(uetr)?;
        let recorded = ClearingUndetermined { uetr, attempts }.into();
        Ok(match self.status {
            Status::Requested | Status::Submitted => vec![recorded, attention(NO_OUTCOME)],
            Status::AttentionRequired { .. } => vec![recorded],
            Status::Succeeded | Status::Failed { .. } => vec![],
        })
    }

    /// The money stays where the first answer put it until a person has looked.
    fn contradicted(&self, uetr: Uuid, answer: String) -> Vec<TransferEvent> {
        vec![ClearingContradicted { uetr, answer }.into(), attention(CONTRADICTED)]
    }

    fn fire(&self, deadline: Deadline) -> Vec<TransferEvent> {
        if self.deadline.is_none_or(|awaited| awaited.id != deadline.id) {
            return vec![];
        }
        match self.status {
            Status::Requested => {
                vec![ReservationTimedOut { deadline_id: deadline.id }.into(), attention(NOT_RESERVED)]
            }
            Status::Submitted => {
                vec![SubmissionTimedOut { deadline_id: deadline.id }.into(), attention(NO_ANSWER)]
            }
            Status::AttentionRequired { .. } | Status::Succeeded | Status::Failed { .. } => vec![],
        }
    }

    fn is_about(&self, uetr: Uuid) -> Result<(), TransferRefusal> {
        if uetr == self.request.uetr { Ok(()) } else { Err(TransferRefusal::OtherPayment) }
    }
}

const NOT_RESERVED: &str = "the account has not confirmed the reservation in time";
const NO_ANSWER: &str = "the clearing has not answered in time";
const CONTRADICTED: &str = "the clearing contradicts itself";
const NO_OUTCOME: &str = "the adapter has exhausted its retries";

fn attention(reason: &str) -> TransferEvent {
    OperatorAttentionRequired { reason: reason.to_owned() }.into()
}

#[cfg(test)]
mod tests;
