//! The aggregate: many corrections that are approved together, and done one by one under a person's eyes.
//!
//! ```text
//! Requested ─► Previewed ─► Approved ─► Started ─► CanaryEnded ─► Resumed ─┬─► Ended
//!                                          └── Paused ⇄ Resumed ───────────┘
//! before Started: Rejected, Expired      after it: Aborted, Expired while it waits for a person      then: Ended
//! ```
//!
//! Its items are `correction` streams of their own, so that each is done once, whatever is killed in between.

use std::collections::BTreeSet;

use event::{Actor, Aggregate, Context, Deadline};
use jiff::SignedDuration;
use serde::Serialize;

use crate::{
    BulkAborted, BulkApproved, BulkCanaryEnded, BulkEnded, BulkEvent, BulkExpired, BulkPaused, BulkPreviewed,
    BulkRejected, BulkRequested, BulkResumed, BulkStarted, ReasonCode,
};

/// Faster than that they would not be done anyway.
const PER_SECOND_MAX: u32 = 1_000;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BulkStatus {
    /// What each item would do is being found out.
    Previewing,
    AwaitingApproval,
    Approved,
    /// The first ones are being done.
    Canary,
    /// Somebody has to look at them.
    CanaryEnded,
    Running,
    Paused,
    Completed,
    Rejected {
        reason: String,
    },
    Aborted {
        reason: String,
    },
    Expired,
}

impl BulkStatus {
    pub const NAMES: [&'static str; 11] = [
        "previewing",
        "awaiting_approval",
        "approved",
        "canary",
        "canary_ended",
        "running",
        "paused",
        "completed",
        "rejected",
        "aborted",
        "expired",
    ];

    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Previewing => "previewing",
            Self::AwaitingApproval => "awaiting_approval",
            Self::Approved => "approved",
            Self::Canary => "canary",
            Self::CanaryEnded => "canary_ended",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Completed => "completed",
            Self::Rejected { .. } => "rejected",
            Self::Aborted { .. } => "aborted",
            Self::Expired => "expired",
        }
    }
}

/// What there is to do for it, other than waiting for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BulkWork {
    Preview,
    Execute,
    /// Leaves what was not done.
    Leave,
    Nothing,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Bulk {
    pub requested: BulkRequested,
    pub status: BulkStatus,
    pub preview: Option<BulkPreviewed>,
    pub approved_by: BTreeSet<String>,
    /// Who has let it go on last: on whose behalf its items are done.
    pub run_by: Option<Actor>,
    pub canary_ended: Option<BulkCanaryEnded>,
    pub ended: Option<BulkEnded>,
    deadline: Option<Deadline>,
}

/// How many of a list are done before a person looks, how fast the rest is, and why all of it.
#[derive(Debug, Clone)]
pub struct BulkRequest {
    pub reason_code: ReasonCode,
    pub evidence: String,
    pub canary: u32,
    pub per_second: u32,
    pub person_within: SignedDuration,
}

#[derive(Debug, Clone)]
pub enum BulkCommand {
    /// Of a list of so many items, which is frozen in the same transaction.
    Request {
        request: BulkRequest,
        items: u32,
        list_hash: String,
    },
    Preview(BulkPreviewed),
    /// Of what it would do, by its hash.
    Approve {
        hash: String,
    },
    Reject {
        reason: String,
    },
    /// Has the first ones done.
    Start,
    EndCanary {
        executed: u32,
        failed: u32,
    },
    Resume,
    Pause,
    Abort {
        reason: String,
    },
    End(BulkEnded),
    FireDeadline(Deadline),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BulkRefusal {
    #[error("nobody has asked for it")]
    NotRequested,
    #[error("it was asked for already")]
    AlreadyRequested,
    #[error("somebody else has to approve it")]
    OwnRequest,
    #[error("it would do something else by now: read it, and approve that")]
    OtherPreview,
    #[error("the first items are done and looked at before the rest: start it")]
    CanaryFirst,
    #[error("none of its items can be done: reject it")]
    NothingReady,
    #[error("it is {0}")]
    NotNow(&'static str),
    #[error("its time is over")]
    Overdue,
}

impl Aggregate for Bulk {
    const CATEGORY: &'static str = "bulk";
    type Event = BulkEvent;
    type Command = BulkCommand;
    type Refusal = BulkRefusal;

    fn evolve(state: Option<Self>, event: &BulkEvent) -> Option<Self> {
        if let BulkEvent::BulkRequested(requested) = event {
            return Some(Self {
                requested: requested.clone(),
                status: BulkStatus::Previewing,
                preview: None,
                approved_by: BTreeSet::new(),
                run_by: None,
                canary_ended: None,
                ended: None,
                deadline: Some(requested.deadline),
            });
        }
        state.map(|bulk| bulk.after(event))
    }

    fn decide(
        state: Option<&Self>,
        command: BulkCommand,
        context: &Context,
    ) -> Result<Vec<BulkEvent>, BulkRefusal> {
        match (state, command) {
            (None, BulkCommand::Request { request, items, list_hash }) => {
                Ok(vec![requested(request, items, list_hash, context).into()])
            }
            (None, _) => Err(BulkRefusal::NotRequested),
            (Some(bulk), command) => bulk.proceed(command, context),
        }
    }

    fn deadline(&self) -> Option<Deadline> {
        self.deadline
    }

    fn on_deadline(deadline: Deadline) -> Option<BulkCommand> {
        Some(BulkCommand::FireDeadline(deadline))
    }
}

fn requested(request: BulkRequest, items: u32, list_hash: String, context: &Context) -> BulkRequested {
    let BulkRequest { reason_code, evidence, canary, per_second, person_within } = request;
    BulkRequested {
        items,
        list_hash,
        reason_code,
        evidence,
        // Never none: what many would suffer is seen on a few.
        canary: canary.clamp(1, items.max(1)),
        per_second: per_second.clamp(1, PER_SECOND_MAX),
        by: context.actor.clone(),
        person_within_ms: i64::try_from(person_within.as_millis()).unwrap_or(i64::MAX),
        deadline: Deadline::after(person_within, context),
    }
}

impl Bulk {
    fn after(mut self, event: &BulkEvent) -> Self {
        match event {
            BulkEvent::BulkRequested(_) => {}
            BulkEvent::BulkPreviewed(event) => {
                (self.preview, self.status) = (Some(event.clone()), BulkStatus::AwaitingApproval);
            }
            BulkEvent::BulkApproved(event) => {
                self.approved_by.insert(event.by.0.clone());
                let wanted = self.preview.as_ref().map_or(1, |preview| preview.approvals.max(1));
                if self.approved_by.len() >= usize::from(wanted) {
                    self.status = BulkStatus::Approved;
                }
            }
            BulkEvent::BulkStarted(event) => {
                (self.run_by, self.status) = (Some(event.by.clone()), BulkStatus::Canary);
                self.deadline = None;
            }
            BulkEvent::BulkCanaryEnded(event) => {
                (self.canary_ended, self.status) = (Some(event.clone()), BulkStatus::CanaryEnded);
                self.deadline = Some(event.deadline);
            }
            BulkEvent::BulkPaused(event) => {
                (self.status, self.deadline) = (BulkStatus::Paused, Some(event.deadline));
            }
            BulkEvent::BulkResumed(event) => {
                let has_seen = self.canary_ended.is_some();
                self.status = if has_seen { BulkStatus::Running } else { BulkStatus::Canary };
                (self.run_by, self.deadline) = (Some(event.by.clone()), None);
            }
            BulkEvent::BulkRejected(event) => self.end(BulkStatus::Rejected { reason: event.reason.clone() }),
            BulkEvent::BulkAborted(event) => self.end(BulkStatus::Aborted { reason: event.reason.clone() }),
            BulkEvent::BulkExpired(_) => self.end(BulkStatus::Expired),
            BulkEvent::BulkEnded(event) => {
                self.ended = Some(event.clone());
                if self.over().is_none() {
                    self.end(BulkStatus::Completed);
                }
            }
        }
        self
    }

    fn end(&mut self, status: BulkStatus) {
        (self.status, self.deadline) = (status, None);
    }

    fn proceed(&self, command: BulkCommand, context: &Context) -> Result<Vec<BulkEvent>, BulkRefusal> {
        let by = context.actor.clone();
        match (command, &self.status) {
            (BulkCommand::Request { .. }, _) => Err(BulkRefusal::AlreadyRequested),
            (BulkCommand::Preview(preview), BulkStatus::Previewing) => Ok(vec![preview.into()]),
            (BulkCommand::Approve { hash }, _) => self.approve(hash, by, context),
            (
                BulkCommand::Reject { reason },
                BulkStatus::Previewing | BulkStatus::AwaitingApproval | BulkStatus::Approved,
            ) => Ok(vec![BulkRejected { reason, by }.into()]),
            (BulkCommand::Start, BulkStatus::Approved) => {
                self.has_time(context)?;
                if self.preview.as_ref().is_none_or(|preview| preview.ready == 0) {
                    return Err(BulkRefusal::NothingReady);
                }
                Ok(vec![BulkStarted { by }.into()])
            }
            (BulkCommand::EndCanary { executed, failed }, BulkStatus::Canary) => {
                let deadline = self.next_deadline(context);
                Ok(vec![BulkCanaryEnded { executed, failed, deadline }.into()])
            }
            (BulkCommand::Resume, BulkStatus::AwaitingApproval | BulkStatus::Approved) => {
                Err(BulkRefusal::CanaryFirst)
            }
            (BulkCommand::Resume, BulkStatus::CanaryEnded | BulkStatus::Paused) => {
                self.has_time(context)?;
                Ok(vec![BulkResumed { by }.into()])
            }
            (BulkCommand::Pause, BulkStatus::Canary | BulkStatus::Running) => {
                Ok(vec![BulkPaused { by, deadline: self.next_deadline(context) }.into()])
            }
            (
                BulkCommand::Abort { reason },
                BulkStatus::Canary | BulkStatus::CanaryEnded | BulkStatus::Running | BulkStatus::Paused,
            ) => Ok(vec![BulkAborted { reason, by }.into()]),
            (BulkCommand::End(ended), _) if self.may_end() => Ok(vec![ended.into()]),
            (BulkCommand::FireDeadline(fired), _) => {
                let is_awaited = self.deadline.is_some_and(|deadline| deadline.id == fired.id);
                let expired = is_awaited.then(|| BulkExpired { deadline_id: fired.id }.into());
                Ok(expired.into_iter().collect())
            }
            (_, status) => Err(BulkRefusal::NotNow(status.as_str())),
        }
    }

    fn approve(&self, hash: String, by: Actor, context: &Context) -> Result<Vec<BulkEvent>, BulkRefusal> {
        if by == self.requested.by && !event::mutants::active("own_approval") {
            return Err(BulkRefusal::OwnRequest);
        }
        let has_seen = self.approved_by.contains(&by.0);
        match self.status {
            BulkStatus::AwaitingApproval | BulkStatus::Approved => {}
            _ => return Err(BulkRefusal::NotNow(self.status.as_str())),
        }
        self.has_time(context)?;
        if self.preview.as_ref().is_none_or(|preview| preview.hash != hash) {
            return Err(BulkRefusal::OtherPreview);
        }
        match self.status {
            _ if has_seen => Ok(vec![]),
            BulkStatus::AwaitingApproval => Ok(vec![BulkApproved { hash, by }.into()]),
            _ => Err(BulkRefusal::NotNow(self.status.as_str())),
        }
    }

    /// Also before its deadline has fired.
    fn has_time(&self, context: &Context) -> Result<(), BulkRefusal> {
        let is_overdue = self.deadline.is_some_and(|deadline| context.now > deadline.due_at);
        if is_overdue { Err(BulkRefusal::Overdue) } else { Ok(()) }
    }

    fn next_deadline(&self, context: &Context) -> Deadline {
        Deadline::after(SignedDuration::from_millis(self.requested.person_within_ms), context)
    }

    /// The last item that may be done now.
    pub fn up_to(&self) -> u32 {
        match self.status {
            BulkStatus::Canary => self.preview.as_ref().map_or(0, |preview| preview.canary_to),
            BulkStatus::Running => self.requested.items,
            _ => 0,
        }
    }

    pub fn allows(&self, number: u32) -> bool {
        number <= self.up_to()
    }

    /// Why what is left is left.
    pub fn over(&self) -> Option<String> {
        match &self.status {
            BulkStatus::Rejected { reason } => Some(format!("the bulk correction was rejected: {reason}")),
            BulkStatus::Aborted { reason } => Some(format!("the bulk correction was aborted: {reason}")),
            BulkStatus::Expired => Some("the bulk correction has expired".to_owned()),
            _ => None,
        }
    }

    fn may_end(&self) -> bool {
        self.ended.is_none() && (self.up_to() == self.requested.items || self.over().is_some())
    }

    pub fn work(&self) -> BulkWork {
        match self.status {
            BulkStatus::Previewing => BulkWork::Preview,
            BulkStatus::Canary | BulkStatus::Running => BulkWork::Execute,
            _ if self.over().is_some() && self.ended.is_none() => BulkWork::Leave,
            _ => BulkWork::Nothing,
        }
    }
}

#[cfg(test)]
mod tests;
