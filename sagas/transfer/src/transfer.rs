//! The transfer aggregate: where a transfer stands, and what may follow.

use event::{Aggregate, Context, Deadline};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use uuid::Uuid;

use crate::transfer_event::{
    ApprovalDenied, ApprovalRequested, ApprovalTimedOut, Approved, Beneficiary, Cancelled, Captured,
    ClearingContradicted, ClearingPending, ClearingRejected, ClearingSettled, ClearingUndetermined, Failed,
    FailureReason, HoldPolicy, LateCaptured, LateSettlementDetected, OperatorAttentionRequired,
    ReceivableBooked, Released, Requested, ReservationRejected, ReservationTimedOut, Reserved,
    ResolutionTimedOut, SubmissionInitiated, SubmissionTimedOut, Succeeded, TimeoutPolicy, TransferEvent,
};

mod command;
pub use command::{Limits, SubmissionPolicy, TransferCommand, TransferRefusal};

mod correction;
use correction::is_by;

mod aftermath;
pub use aftermath::{Recall, RecallStatus, ReturnedPayment};

/// Where a transfer stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The account has been asked for the money; its answer is on the way.
    Requested,
    /// The money is held; somebody has to approve.
    AwaitingApproval,
    /// The rail has it.
    Submitted,
    /// The rail has not answered in time, and is being asked.
    OutcomeUnknown,
    /// A person, or a late answer, will tell.
    AttentionRequired {
        reason: String,
    },
    Succeeded,
    Failed {
        reason: FailureReason,
    },
    Cancelled,
    /// It had succeeded, and the money has come back.
    Returned,
}

/// What became of the money on the payer's account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Hold {
    Held,
    /// Given back at the rail's deadline, although the rail may have paid.
    GivenBack,
    /// Given back although the rail has paid, as it turned out: the account has to pay, or owes.
    Owed,
    Ended,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Transfer {
    pub request: Requested,
    pub status: Status,
    /// Why a person has to look although the transfer has ended: each reason once, the latest last.
    pub attention: Vec<String>,
    pub recall: Option<Recall>,
    pub returned: Option<ReturnedPayment>,
    hold: Hold,
    /// The rail has paid what the account did not cover: the customer owes it.
    is_receivable: bool,
    /// The rail's adapter has been asked; from then on a time-out means *unknown*.
    submitted: bool,
    on_timeout: Option<TimeoutPolicy>,
    /// What the rail has said of it, short of a decision.
    pending: Option<String>,
    /// The adapter has given up asking.
    undetermined: bool,
    /// The rail has said what became of it, and sends it no more.
    is_decided: bool,
    /// What the rail has said that cannot be, each once.
    contradictions: Vec<String>,
    /// Nothing goes on by itself from there, until a person has found out.
    is_disputed: bool,
    deadline: Option<Deadline>,
}

type Decision = Result<Vec<TransferEvent>, TransferRefusal>;

impl Aggregate for Transfer {
    const CATEGORY: &'static str = "transfer";
    type Event = TransferEvent;
    type Command = TransferCommand;
    type Refusal = TransferRefusal;

    fn evolve(state: Option<Self>, event: &TransferEvent) -> Option<Self> {
        if let TransferEvent::Requested(request) = event {
            return Some(Self::requested(request.clone()));
        }
        let mut transfer = state?;
        match event {
            TransferEvent::ApprovalRequested(event) => {
                transfer.wait(Status::AwaitingApproval, Some(event.deadline));
            }
            TransferEvent::SubmissionInitiated(event) => {
                transfer.wait(Status::Submitted, Some(event.deadline));
                (transfer.submitted, transfer.on_timeout) = (true, event.on_timeout);
            }
            TransferEvent::ClearingPending(event) => {
                transfer.pending = Some(event.status.clone());
                transfer.deadline = event.deadline.or(transfer.deadline);
            }
            TransferEvent::ClearingUndetermined(_) => transfer.undetermined = true,
            TransferEvent::ClearingContradicted(event) => {
                transfer.contradictions.push(event.answer.clone());
                transfer.is_disputed = true;
            }
            TransferEvent::SubmissionTimedOut(event) => transfer.wait(Status::OutcomeUnknown, event.deadline),
            TransferEvent::OperatorAttentionRequired(event) if transfer.has_ended() => {
                transfer.attention.retain(|reason| *reason != event.reason);
                transfer.attention.push(event.reason.clone());
            }
            TransferEvent::OperatorAttentionRequired(event) => {
                transfer.wait(Status::AttentionRequired { reason: event.reason.clone() }, None);
            }
            TransferEvent::Released(event) if event.provisional => transfer.hold = Hold::GivenBack,
            TransferEvent::LateSettlementDetected(_) => transfer.hold = Hold::Owed,
            TransferEvent::ReceivableBooked(_) => {
                (transfer.hold, transfer.is_receivable) = (Hold::Ended, true);
            }
            TransferEvent::Captured(_) | TransferEvent::Released(_) | TransferEvent::LateCaptured(_) => {
                transfer.hold = Hold::Ended;
            }
            TransferEvent::Succeeded(_) => transfer.wait(Status::Succeeded, None),
            TransferEvent::Failed(event) => {
                transfer.wait(Status::Failed { reason: event.reason.clone() }, None);
            }
            TransferEvent::Cancelled(_) => transfer.wait(Status::Cancelled, None),
            TransferEvent::OutcomeResolved(_) => {
                // Said once more, it is news.
                transfer.contradictions.clear();
                transfer.is_disputed = false;
            }
            TransferEvent::ClearingSettled(_) | TransferEvent::ClearingRejected(_) => {
                transfer.is_decided = true;
            }
            TransferEvent::Reversed(_) => transfer.wait(Status::Returned, None),
            event => transfer.evolve_after(event),
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
        matches!(
            self.status,
            Status::Succeeded | Status::Failed { .. } | Status::Cancelled | Status::Returned
        )
    }

    /// Where it stands, in the words that are published.
    pub fn status_name(&self) -> &'static str {
        match &self.status {
            Status::Requested => "pending",
            Status::AwaitingApproval => "awaiting_approval",
            Status::OutcomeUnknown if self.is_given_back() => "released",
            Status::Submitted | Status::OutcomeUnknown => "processing",
            Status::AttentionRequired { .. } => "requires_attention",
            Status::Succeeded => "succeeded",
            Status::Failed { .. } => "failed",
            Status::Cancelled => "cancelled",
            Status::Returned => "returned",
        }
    }

    /// Why a person has to look, each reason once.
    pub fn reasons(&self) -> Vec<String> {
        let mut reasons = match &self.status {
            Status::AttentionRequired { reason } => vec![reason.clone()],
            _ => self.attention.clone(),
        };
        // It does not go by itself.
        if self.is_disputed && !reasons.iter().any(|reason| reason == CONTRADICTED) {
            reasons.push(CONTRADICTED.to_owned());
        }
        reasons
    }

    /// Whether the payer has the money back although the rail may have paid.
    pub fn is_given_back(&self) -> bool {
        self.hold == Hold::GivenBack
    }

    fn requested(request: Requested) -> Self {
        let deadline = request.deadline;
        Self {
            request,
            status: Status::Requested,
            attention: Vec::new(),
            recall: None,
            returned: None,
            hold: Hold::Held,
            is_receivable: false,
            submitted: false,
            on_timeout: None,
            pending: None,
            undetermined: false,
            is_decided: false,
            contradictions: Vec::new(),
            is_disputed: false,
            deadline,
        }
    }

    fn wait(&mut self, status: Status, deadline: Option<Deadline>) {
        (self.status, self.deadline) = (status, deadline);
    }

    fn proceed(&self, command: TransferCommand, context: &Context) -> Decision {
        match command {
            TransferCommand::Request(_)
            | TransferCommand::RequestRefused { .. }
            | TransferCommand::Book { .. } => Err(TransferRefusal::AlreadyRequested),
            TransferCommand::ConfirmReservation { reservation_id, approve_within, submission } => {
                Ok(self.confirm_reservation(reservation_id, approve_within, submission, context))
            }
            TransferCommand::Approve { submission } => {
                self.awaits_approval()?;
                Ok(vec![Approved {}.into(), self.submission(submission, context)])
            }
            TransferCommand::Deny { reason } => {
                self.awaits_approval()?;
                Ok(self.given_up(ApprovalDenied { reason }.into(), FailureReason::ApprovalDenied))
            }
            TransferCommand::Cancel => self.cancel(),
            TransferCommand::RecordSettled { uetr, settled_at } => self.settled(uetr, settled_at),
            TransferCommand::RecordRejected { uetr, reason_code } => self.rejected(uetr, reason_code),
            TransferCommand::RecordPending { uetr, status } => self.rail_pending(uetr, status, context),
            TransferCommand::RecordUndetermined { uetr, attempts } => self.undetermined(uetr, attempts),
            TransferCommand::RecordContradicted { uetr, answer } => {
                self.is_about(uetr)?;
                Ok(self.contradicted(uetr, answer))
            }
            TransferCommand::RecordLateCapture { covered } => Ok(self.late_capture(covered)),
            TransferCommand::Recall { reason_code, answer_within } => {
                self.recall(reason_code, answer_within, context)
            }
            TransferCommand::RecordRecallRejected { uetr, recall_id, reason_code } => {
                self.recall_rejected(uetr, recall_id, reason_code)
            }
            TransferCommand::RecordRecallUndelivered { uetr, recall_id } => {
                self.recall_undelivered(uetr, recall_id)
            }
            TransferCommand::RecordReturned { uetr, returned } => self.money_returned(uetr, returned),
            TransferCommand::Resolve { correction_id, outcome } => {
                is_by(correction_id, context)?;
                self.resolve(correction_id, outcome)
            }
            TransferCommand::Reverse { correction_id } => {
                is_by(correction_id, context)?;
                self.reverse(correction_id)
            }
            TransferCommand::FireDeadline(deadline) => Ok(self.fire(deadline, context)),
        }
    }

    /// Also after a person was asked for, since the answer was merely late.
    fn confirm_reservation(
        &self,
        reservation_id: Uuid,
        approve_within: Option<SignedDuration>,
        submission: SubmissionPolicy,
        context: &Context,
    ) -> Vec<TransferEvent> {
        if !self.may_be_submitted() {
            return vec![];
        }
        let next = match approve_within {
            Some(limit) => ApprovalRequested { deadline: Deadline::after(limit, context) }.into(),
            None => self.submission(submission, context),
        };
        vec![Reserved { reservation_id }.into(), next]
    }

    fn submission(&self, policy: SubmissionPolicy, context: &Context) -> TransferEvent {
        SubmissionInitiated {
            uetr: self.request.uetr,
            end_to_end_id: self.request.end_to_end_id.clone(),
            deadline: Deadline::after(policy.answer_within, context),
            on_timeout: Some(policy.on_timeout),
        }
        .into()
    }

    /// What was never submitted, so that the hold may go.
    fn given_up(&self, why: TransferEvent, reason: FailureReason) -> Vec<TransferEvent> {
        vec![why, self.release(), Failed { reason }.into()]
    }

    fn cancel(&self) -> Decision {
        match self.status {
            Status::Cancelled => Ok(vec![]),
            Status::AwaitingApproval => Ok(vec![self.release(), Cancelled {}.into()]),
            _ if self.may_be_submitted() => Ok(vec![self.release(), Cancelled {}.into()]),
            _ => Err(TransferRefusal::TooLateToCancel),
        }
    }

    fn settled(&self, uetr: Uuid, settled_at: Timestamp) -> Decision {
        self.is_about(uetr)?;
        let settled = ClearingSettled { uetr, settled_at }.into();
        let reservation_id = self.reservation_id();
        Ok(match (&self.status, self.hold) {
            // It was taken back by a correction.
            (Status::Returned, _) if self.returned.is_none() => self.contradicted(uetr, "settled".to_owned()),
            (Status::Succeeded | Status::Returned, _) | (_, Hold::Owed) => vec![],
            _ if !self.is_under_way() => self.contradicted(uetr, "settled".to_owned()),
            (_, Hold::GivenBack) => vec![settled, LateSettlementDetected { reservation_id }.into()],
            (_, Hold::Held | Hold::Ended) => {
                vec![settled, Captured { reservation_id }.into(), Succeeded {}.into()]
            }
        })
    }

    fn rejected(&self, uetr: Uuid, reason_code: String) -> Decision {
        self.is_about(uetr)?;
        let reason = FailureReason::RejectedByClearing { reason_code: reason_code.clone() };
        let rejected = ClearingRejected { uetr, reason_code: reason_code.clone() }.into();
        Ok(match (&self.status, self.hold) {
            (Status::Failed { .. }, _) => vec![],
            (_, Hold::GivenBack) => vec![rejected, Failed { reason }.into()],
            (_, Hold::Held) if self.is_under_way() => self.given_up(rejected, reason),
            _ => self.contradicted(uetr, format!("rejected: {reason_code}")),
        })
    }

    /// A rail that is at it has more time, unless its own rules say when the payer has the money back.
    fn rail_pending(&self, uetr: Uuid, status: String, context: &Context) -> Decision {
        self.is_about(uetr)?;
        let within = self.on_timeout.and_then(|policy| policy.pending_within);
        let is_extended = match self.status {
            Status::Submitted => !self.releases_at_deadline(),
            Status::OutcomeUnknown => true,
            _ => false,
        };
        let deadline = within.filter(|_| is_extended).map(|within| Deadline::after(within, context));
        Ok(match self.status {
            _ if !self.submitted => self.contradicted(uetr, status),
            _ if self.has_ended() || self.hold == Hold::Owed || self.pending.as_ref() == Some(&status) => {
                vec![]
            }
            _ => vec![ClearingPending { uetr, status, deadline }.into()],
        })
    }

    fn undetermined(&self, uetr: Uuid, attempts: u32) -> Decision {
        self.is_about(uetr)?;
        let recorded = ClearingUndetermined { uetr, attempts }.into();
        Ok(match self.status {
            _ if !self.submitted => self.contradicted(uetr, "undetermined".to_owned()),
            _ if self.has_ended() || self.hold == Hold::Owed || self.undetermined => vec![],
            Status::AttentionRequired { .. } => vec![recorded],
            // The rail's deadline rule is still to come.
            Status::Submitted if self.releases_at_deadline() => vec![recorded],
            _ => vec![recorded, attention(NO_OUTCOME)],
        })
    }

    /// The money stays where the first answer put it until a person has looked.
    fn contradicted(&self, uetr: Uuid, answer: String) -> Vec<TransferEvent> {
        if self.contradictions.contains(&answer) {
            return vec![];
        }
        vec![ClearingContradicted { uetr, answer }.into(), attention(CONTRADICTED)]
    }

    fn late_capture(&self, covered: bool) -> Vec<TransferEvent> {
        let reservation_id = self.reservation_id();
        match (self.hold, covered) {
            (Hold::Owed, true) => vec![LateCaptured { reservation_id }.into(), Succeeded {}.into()],
            (Hold::Owed, false) => {
                vec![ReceivableBooked { reservation_id }.into(), Succeeded {}.into(), attention(OWED)]
            }
            _ => vec![],
        }
    }

    fn fire(&self, deadline: Deadline, context: &Context) -> Vec<TransferEvent> {
        let deadline_id = deadline.id;
        if self.deadline.is_none_or(|awaited| awaited.id != deadline_id) {
            return vec![];
        }
        match self.status {
            Status::Requested => vec![ReservationTimedOut { deadline_id }.into(), attention(NOT_RESERVED)],
            Status::AwaitingApproval => {
                self.given_up(ApprovalTimedOut { deadline_id }.into(), FailureReason::ApprovalTimedOut)
            }
            Status::Submitted => self.submission_timed_out(deadline_id, context),
            Status::OutcomeUnknown => vec![ResolutionTimedOut { deadline_id }.into(), attention(NO_ANSWER)],
            Status::Succeeded => self.recall_timed_out(deadline_id),
            Status::AttentionRequired { .. }
            | Status::Failed { .. }
            | Status::Cancelled
            | Status::Returned => vec![],
        }
    }

    fn submission_timed_out(&self, deadline_id: Uuid, context: &Context) -> Vec<TransferEvent> {
        let Some(policy) = self.on_timeout else {
            return vec![SubmissionTimedOut { deadline_id, deadline: None }.into(), attention(NO_ANSWER)];
        };
        let deadline = (!self.undetermined).then(|| Deadline::after(policy.resolve_within, context));
        let mut events = vec![SubmissionTimedOut { deadline_id, deadline }.into()];
        if self.releases_at_deadline() {
            events.push(Released { reservation_id: self.reservation_id(), provisional: true }.into());
        }
        if self.undetermined {
            events.push(attention(NO_OUTCOME));
        }
        events
    }

    fn releases_at_deadline(&self) -> bool {
        self.on_timeout.is_some_and(|policy| policy.hold == HoldPolicy::ReleaseAtDeadline)
    }

    fn release(&self) -> TransferEvent {
        Released { reservation_id: self.reservation_id(), provisional: false }.into()
    }

    fn may_be_submitted(&self) -> bool {
        let is_before = matches!(self.status, Status::Requested | Status::AttentionRequired { .. });
        is_before && !self.submitted && !self.is_disputed
    }

    /// With the rail, and without an end.
    fn is_under_way(&self) -> bool {
        self.submitted && !self.has_ended()
    }

    fn awaits_approval(&self) -> Result<(), TransferRefusal> {
        let awaits = self.status == Status::AwaitingApproval;
        if awaits { Ok(()) } else { Err(TransferRefusal::NoApprovalAwaited) }
    }

    fn is_about(&self, uetr: Uuid) -> Result<(), TransferRefusal> {
        if uetr == self.request.uetr { Ok(()) } else { Err(TransferRefusal::OtherPayment) }
    }
}

const NOT_RESERVED: &str = "the account has not confirmed the reservation in time";
const NO_ANSWER: &str = "the clearing has not answered in time";
const OWED: &str = "the rail has paid after the hold was given back, and the account did not cover it";
const CONTRADICTED: &str = "the clearing contradicts itself";
const NO_OUTCOME: &str = "the adapter has exhausted its retries";

fn attention(reason: &str) -> TransferEvent {
    OperatorAttentionRequired { reason: reason.to_owned() }.into()
}

#[cfg(test)]
mod tests;
