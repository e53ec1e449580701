//! The aggregate: one correction, from who asked for it to how it ended. Who may decide about it is its own rule, not the API's.

use std::collections::BTreeSet;

use event::{Actor, Aggregate, Context, Deadline};
use jiff::SignedDuration;
use serde::Serialize;
use uuid::Uuid;

use crate::{
    At, CorrectionApproved, CorrectionEvent, CorrectionExecuted, CorrectionExpired, CorrectionPreviewed,
    CorrectionRejected, CorrectionRequested, CorrectionStale, Kind, Preview, ReasonCode,
};

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Others have to look at its preview.
    AwaitingApproval,
    Approved,
    /// It would not do any more what its preview shows; it can be previewed once more.
    Stale {
        reason: String,
    },
    Rejected {
        reason: String,
    },
    Expired,
    Executed,
}

impl Status {
    pub const NAMES: [&'static str; 6] =
        ["awaiting_approval", "approved", "stale", "rejected", "expired", "executed"];

    pub fn as_str(&self) -> &'static str {
        match self {
            Self::AwaitingApproval => "awaiting_approval",
            Self::Approved => "approved",
            Self::Stale { .. } => "stale",
            Self::Rejected { .. } => "rejected",
            Self::Expired => "expired",
            Self::Executed => "executed",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Correction {
    pub requested: CorrectionRequested,
    pub status: Status,
    pub preview: Option<Preview>,
    /// Who has approved the preview that there is.
    pub approved_by: BTreeSet<String>,
    pub executed_by: Option<Actor>,
    /// What it has come to.
    pub events: Vec<At>,
}

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Request {
    pub kind: Kind,
    pub reason_code: ReasonCode,
    pub evidence: String,
    pub corrects: Option<Uuid>,
    pub approvals: u8,
    pub execute_within: SignedDuration,
}

#[derive(Debug, Clone)]
pub enum CorrectionCommand {
    Request {
        request: Request,
        preview: Preview,
    },
    Preview(Preview),
    /// Of the preview with this hash.
    Approve {
        preview_hash: String,
    },
    Reject {
        reason: String,
    },
    /// What was done in this transaction.
    Execute {
        preview_hash: String,
        events: Vec<At>,
    },
    /// What would be done is not what the preview shows.
    FindStale {
        reason: String,
    },
    FireDeadline(Deadline),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CorrectionRefusal {
    #[error("nobody has asked for it")]
    NotRequested,
    #[error("it was asked for already")]
    AlreadyRequested,
    #[error("somebody else has to approve it")]
    OwnRequest,
    #[error("it is {0}")]
    NotNow(&'static str),
    #[error("its preview is another one by now: read it, and approve that")]
    OtherPreview,
    #[error("its time to be executed is over")]
    Overdue,
}

impl Aggregate for Correction {
    const CATEGORY: &'static str = "correction";
    type Event = CorrectionEvent;
    type Command = CorrectionCommand;
    type Refusal = CorrectionRefusal;

    fn evolve(state: Option<Self>, event: &CorrectionEvent) -> Option<Self> {
        if let CorrectionEvent::CorrectionRequested(requested) = event {
            return Some(Self {
                requested: requested.clone(),
                status: Status::AwaitingApproval,
                preview: None,
                approved_by: BTreeSet::new(),
                executed_by: None,
                events: Vec::new(),
            });
        }
        let mut correction = state?;
        match event {
            CorrectionEvent::CorrectionRequested(_) => {}
            CorrectionEvent::CorrectionPreviewed(event) => {
                correction.preview = Some(event.preview.clone());
                correction.approved_by.clear();
                correction.status = Status::AwaitingApproval;
            }
            CorrectionEvent::CorrectionApproved(event) => {
                correction.approved_by.insert(event.by.0.clone());
                if correction.approved_by.len() >= usize::from(correction.requested.approvals) {
                    correction.status = Status::Approved;
                }
            }
            CorrectionEvent::CorrectionRejected(event) => {
                correction.status = Status::Rejected { reason: event.reason.clone() };
            }
            CorrectionEvent::CorrectionExpired(_) => correction.status = Status::Expired,
            CorrectionEvent::CorrectionStale(event) => {
                correction.status = Status::Stale { reason: event.reason.clone() };
            }
            CorrectionEvent::CorrectionExecuted(event) => {
                correction.status = Status::Executed;
                (correction.events, correction.executed_by) = (event.events.clone(), Some(event.by.clone()));
            }
        }
        Some(correction)
    }

    fn decide(
        state: Option<&Self>,
        command: CorrectionCommand,
        context: &Context,
    ) -> Result<Vec<CorrectionEvent>, CorrectionRefusal> {
        match (state, command) {
            (None, CorrectionCommand::Request { request, preview }) => {
                Ok(requested(request, preview, context))
            }
            (None, _) => Err(CorrectionRefusal::NotRequested),
            (Some(correction), command) => correction.proceed(command, context),
        }
    }

    fn deadline(&self) -> Option<Deadline> {
        self.is_open().then_some(self.requested.deadline)
    }

    fn on_deadline(deadline: Deadline) -> Option<CorrectionCommand> {
        Some(CorrectionCommand::FireDeadline(deadline))
    }
}

fn requested(request: Request, preview: Preview, context: &Context) -> Vec<CorrectionEvent> {
    let by = context.actor.clone();
    let requested = CorrectionRequested {
        kind: request.kind,
        reason_code: request.reason_code,
        evidence: request.evidence,
        corrects: request.corrects,
        by: by.clone(),
        // Never none: nothing is corrected by one person alone.
        approvals: request.approvals.max(1),
        deadline: Deadline::after(request.execute_within, context),
    };
    vec![requested.into(), CorrectionPreviewed { preview, by }.into()]
}

impl Correction {
    pub fn is_open(&self) -> bool {
        matches!(self.status, Status::AwaitingApproval | Status::Approved | Status::Stale { .. })
    }

    fn proceed(
        &self,
        command: CorrectionCommand,
        context: &Context,
    ) -> Result<Vec<CorrectionEvent>, CorrectionRefusal> {
        let by = context.actor.clone();
        match command {
            CorrectionCommand::Request { .. } => Err(CorrectionRefusal::AlreadyRequested),
            CorrectionCommand::Preview(preview) => {
                self.has_time(context)?;
                let is_same = self.preview.as_ref().is_some_and(|known| known.hash == preview.hash);
                if is_same && !matches!(self.status, Status::Stale { .. }) {
                    // What was approved of it still counts.
                    return Ok(vec![]);
                }
                Ok(vec![CorrectionPreviewed { preview, by }.into()])
            }
            CorrectionCommand::Approve { preview_hash } => self.approve(preview_hash, by, context),
            CorrectionCommand::Reject { reason } if self.is_open() => {
                Ok(vec![CorrectionRejected { reason, by }.into()])
            }
            CorrectionCommand::Reject { .. } => Err(self.not_now()),
            CorrectionCommand::Execute { preview_hash, events } => {
                self.may_be_executed(context)?;
                self.is_of(&preview_hash)?;
                Ok(vec![CorrectionExecuted { preview_hash, events, by }.into()])
            }
            CorrectionCommand::FindStale { reason } if self.status == Status::Approved => {
                Ok(vec![CorrectionStale { reason, by }.into()])
            }
            CorrectionCommand::FindStale { .. } => Err(self.not_now()),
            CorrectionCommand::FireDeadline(fired) => {
                let is_awaited = self.deadline().is_some_and(|deadline| deadline.id == fired.id);
                let expired = is_awaited.then(|| CorrectionExpired { deadline_id: fired.id }.into());
                Ok(expired.into_iter().collect())
            }
        }
    }

    fn approve(
        &self,
        preview_hash: String,
        by: Actor,
        context: &Context,
    ) -> Result<Vec<CorrectionEvent>, CorrectionRefusal> {
        if by == self.requested.by {
            return Err(CorrectionRefusal::OwnRequest);
        }
        self.has_time(context)?;
        self.is_of(&preview_hash)?;
        match self.status {
            Status::AwaitingApproval | Status::Approved if self.approved_by.contains(&by.0) => Ok(vec![]),
            Status::AwaitingApproval => Ok(vec![CorrectionApproved { preview_hash, by }.into()]),
            _ => Err(self.not_now()),
        }
    }

    /// Whether it can be carried out now.
    pub fn may_be_executed(&self, context: &Context) -> Result<(), CorrectionRefusal> {
        self.has_time(context)?;
        if self.status == Status::Approved { Ok(()) } else { Err(self.not_now()) }
    }

    /// Also before its deadline has fired.
    fn has_time(&self, context: &Context) -> Result<(), CorrectionRefusal> {
        match self.is_open() {
            false => Err(self.not_now()),
            true if context.now > self.requested.deadline.due_at => Err(CorrectionRefusal::Overdue),
            true => Ok(()),
        }
    }

    fn is_of(&self, preview_hash: &str) -> Result<(), CorrectionRefusal> {
        let is_same = self.preview.as_ref().is_some_and(|preview| preview.hash == preview_hash);
        if is_same { Ok(()) } else { Err(CorrectionRefusal::OtherPreview) }
    }

    fn not_now(&self) -> CorrectionRefusal {
        CorrectionRefusal::NotNow(self.status.as_str())
    }
}

#[cfg(test)]
mod tests;
