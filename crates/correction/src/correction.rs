//! The aggregate: one correction, from who asked for it to how it ended. Who may decide about it is its own rule, not the API's.

use std::collections::BTreeSet;

use event::{Actor, Aggregate, Context, Deadline};
use jiff::SignedDuration;
use serde::Serialize;
use uuid::Uuid;

use crate::{
    At, Bulk, CorrectionApproved, CorrectionEvent, CorrectionExecuted, CorrectionExpired, CorrectionFailed,
    CorrectionPreviewed, CorrectionRejected, CorrectionRequested, CorrectionStale, Kind, Part, Preview,
    ReasonCode,
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
    /// A part of a bulk correction that could not be done. The others go on.
    Failed {
        reason: String,
    },
}

impl Status {
    pub const NAMES: [&'static str; 7] =
        ["awaiting_approval", "approved", "stale", "rejected", "expired", "executed", "failed"];

    pub fn as_str(&self) -> &'static str {
        match self {
            Self::AwaitingApproval => "awaiting_approval",
            Self::Approved => "approved",
            Self::Stale { .. } => "stale",
            Self::Rejected { .. } => "rejected",
            Self::Expired => "expired",
            Self::Executed => "executed",
            Self::Failed { .. } => "failed",
        }
    }

    /// Why it is so.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Stale { reason } | Self::Rejected { reason } | Self::Failed { reason } => Some(reason),
            Self::AwaitingApproval | Self::Approved | Self::Expired | Self::Executed => None,
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
    /// One of many that are approved together. What it would do is found out later.
    RequestPart {
        request: Request,
        part: Part,
        deadline: Deadline,
    },
    Preview(Preview),
    /// Of a part, once: what its bulk correction is approved by.
    PreviewPart(Preview),
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
    /// The same for a part of a bulk correction that is under way: what was approved of it, wherever its accounts stand by then.
    ExecutePart {
        bulk: Box<Bulk>,
        preview_hash: String,
        events: Vec<At>,
    },
    /// Of a part: it cannot be done.
    FailPart {
        reason: String,
    },
    /// Of a part that is left when its bulk correction is over.
    LeavePart {
        bulk: Box<Bulk>,
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
    #[error("it is part of a bulk correction, which is approved, executed and rejected as a whole")]
    OfBulk,
    #[error("its bulk correction is {0}")]
    BulkNotNow(&'static str),
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
            CorrectionEvent::CorrectionFailed(event) => {
                correction.status = Status::Failed { reason: event.reason.clone() };
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
                let requested = requested(request, None, None, context);
                let by = context.actor.clone();
                Ok(vec![requested.into(), CorrectionPreviewed { preview, by }.into()])
            }
            (None, CorrectionCommand::RequestPart { request, part, deadline }) => {
                Ok(vec![requested(request, Some(part), Some(deadline), context).into()])
            }
            (None, _) => Err(CorrectionRefusal::NotRequested),
            (Some(correction), command) => correction.proceed(command, context),
        }
    }

    fn deadline(&self) -> Option<Deadline> {
        // A part waits for its bulk correction.
        (self.is_open() && self.requested.part.is_none()).then_some(self.requested.deadline)
    }

    fn on_deadline(deadline: Deadline) -> Option<CorrectionCommand> {
        Some(CorrectionCommand::FireDeadline(deadline))
    }
}

fn requested(
    request: Request,
    part: Option<Part>,
    deadline: Option<Deadline>,
    context: &Context,
) -> CorrectionRequested {
    CorrectionRequested {
        kind: request.kind,
        reason_code: request.reason_code,
        evidence: request.evidence,
        corrects: request.corrects,
        part,
        by: context.actor.clone(),
        // Never none: nothing is corrected by one person alone.
        approvals: request.approvals.max(1),
        deadline: deadline.unwrap_or_else(|| Deadline::after(request.execute_within, context)),
    }
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
            CorrectionCommand::Request { .. } | CorrectionCommand::RequestPart { .. } => {
                Err(CorrectionRefusal::AlreadyRequested)
            }
            CorrectionCommand::Preview(preview) => {
                self.is_alone()?;
                self.has_time(context)?;
                let is_same = self.preview.as_ref().is_some_and(|known| known.hash == preview.hash);
                if is_same && !matches!(self.status, Status::Stale { .. }) {
                    // What was approved of it still counts.
                    return Ok(vec![]);
                }
                Ok(vec![CorrectionPreviewed { preview, by }.into()])
            }
            CorrectionCommand::Approve { preview_hash } => self.approve(preview_hash, by, context),
            CorrectionCommand::Reject { reason } => {
                self.is_alone()?;
                self.while_open(|| CorrectionRejected { reason, by })
            }
            CorrectionCommand::Execute { preview_hash, events } => {
                self.may_be_executed(context)?;
                self.is_of(&preview_hash)?;
                Ok(vec![CorrectionExecuted { preview_hash, events, by }.into()])
            }
            CorrectionCommand::ExecutePart { bulk, preview_hash, events } => {
                self.part_may_be_executed(&bulk)?;
                self.is_of(&preview_hash)?;
                Ok(vec![CorrectionExecuted { preview_hash, events, by }.into()])
            }
            CorrectionCommand::PreviewPart(_)
            | CorrectionCommand::FailPart { .. }
            | CorrectionCommand::LeavePart { .. }
                if self.requested.part.is_none() =>
            {
                Err(self.not_now())
            }
            // Another one was not approved.
            CorrectionCommand::PreviewPart(_) if self.preview.is_some() => {
                Err(CorrectionRefusal::OtherPreview)
            }
            CorrectionCommand::PreviewPart(preview) => {
                self.while_open(|| CorrectionPreviewed { preview, by })
            }
            CorrectionCommand::FailPart { reason } => self.while_open(|| CorrectionFailed { reason, by }),
            CorrectionCommand::LeavePart { bulk } => match bulk.over() {
                Some(reason) => self.while_open(|| CorrectionRejected { reason, by }),
                None => Err(CorrectionRefusal::BulkNotNow(bulk.status.as_str())),
            },
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
        self.is_alone()?;
        if by == self.requested.by && !event::mutants::active("own_approval") {
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

    fn while_open<E: Into<CorrectionEvent>>(
        &self,
        event: impl FnOnce() -> E,
    ) -> Result<Vec<CorrectionEvent>, CorrectionRefusal> {
        if self.is_open() { Ok(vec![event().into()]) } else { Err(self.not_now()) }
    }

    /// Whether it can be carried out now.
    pub fn may_be_executed(&self, context: &Context) -> Result<(), CorrectionRefusal> {
        self.is_alone()?;
        self.has_time(context)?;
        if self.status == Status::Approved { Ok(()) } else { Err(self.not_now()) }
    }

    /// Whether its turn has come: what is approved is the bulk correction.
    pub(crate) fn part_may_be_executed(&self, bulk: &Bulk) -> Result<(), CorrectionRefusal> {
        match &self.requested.part {
            Some(_) if !self.is_open() => Err(self.not_now()),
            Some(part) if bulk.allows(part.number) => Ok(()),
            Some(_) => Err(CorrectionRefusal::BulkNotNow(bulk.status.as_str())),
            None => Err(self.not_now()),
        }
    }

    fn is_alone(&self) -> Result<(), CorrectionRefusal> {
        if self.requested.part.is_none() { Ok(()) } else { Err(CorrectionRefusal::OfBulk) }
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
pub(crate) mod tests;
