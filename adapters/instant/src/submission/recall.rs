//! A recall of a settled payment: sent until the house has it, answered by a refusal or by the money.
//!
//! ```text
//! RecallRequested ─► RecallStarted ─┬─► RecallTaken ─┬─► RecallRejected
//!       ▲                           │                ├─► RecallAccepted, RecallPending: the money, or a refusal, comes later
//!       │      RecallRetryScheduled ◄┤ timed out      └─► ReturnReceived
//!       └────────────────────────────┴─ tries used up, or refused: RecallExhausted, core is told
//! ```

use event::{Context, Deadline};
use jiff::SignedDuration;
use uuid::Uuid;

use super::{AnswerContradicted, AnswerDuplicated, Decision, Submission, SubmissionEvent, SubmissionRefusal};
use crate::rail::{Evidence, Rail, RecallAnswer, RecallOutcome};
use crate::submission_event::{
    RecallAccepted, RecallAttemptTimedOut, RecallExhausted, RecallPending, RecallRefused, RecallRejected,
    RecallRequested, RecallRetryScheduled, RecallStarted, RecallTaken,
};

/// What a duplicate is told as, where others have a status.
const RECALL: &str = "recall";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Recall {
    id: Uuid,
    reason_code: String,
    step: Step,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// To be sent at the deadline.
    Due {
        attempt: u32,
        deadline: Deadline,
    },
    /// Sent; unless it is taken by the deadline, it is sent again.
    Sent {
        attempt: u32,
        deadline: Deadline,
    },
    /// With the creditor's bank, or out of our hands.
    Open,
    Rejected,
}

impl Recall {
    pub(super) fn evolve(state: Option<Self>, event: &SubmissionEvent) -> Option<Self> {
        if let SubmissionEvent::RecallRequested(event) = event {
            let step = Step::Due { attempt: 1, deadline: event.deadline };
            return Some(Self { id: event.recall_id, reason_code: event.reason_code.clone(), step });
        }
        let mut recall = state?;
        match event {
            SubmissionEvent::RecallStarted(event) => {
                recall.step = Step::Sent { attempt: event.attempt, deadline: event.deadline };
            }
            SubmissionEvent::RecallRetryScheduled(event) => {
                recall.step = Step::Due { attempt: event.attempt, deadline: event.deadline };
            }
            // What has come back is not asked for any more.
            SubmissionEvent::ReturnReceived(_)
            | SubmissionEvent::RecallTaken(_)
            | SubmissionEvent::RecallExhausted(_)
            | SubmissionEvent::RecallPending(_)
            | SubmissionEvent::RecallAccepted(_) => recall.step = Step::Open,
            SubmissionEvent::RecallRejected(_) => recall.step = Step::Rejected,
            _ => {}
        }
        Some(recall)
    }

    pub(super) fn deadline(&self) -> Option<Deadline> {
        match self.step {
            Step::Due { deadline, .. } | Step::Sent { deadline, .. } => Some(deadline),
            Step::Open | Step::Rejected => None,
        }
    }
}

impl Submission {
    pub(super) fn recall_requested(
        &self,
        recall_id: Uuid,
        reason_code: String,
        context: &Context,
    ) -> Vec<SubmissionEvent> {
        if self.recall.as_ref().is_some_and(|recall| recall.id == recall_id) {
            return vec![];
        }
        let deadline = Deadline::after(SignedDuration::ZERO, context);
        vec![RecallRequested { recall_id, reason_code, deadline }.into()]
    }

    pub(super) fn recall_proceeds(
        &self,
        fired: Deadline,
        rail: &Rail,
        context: &Context,
    ) -> Vec<SubmissionEvent> {
        let Some(Recall { id: recall_id, reason_code, step }) = &self.recall else { return vec![] };
        let recall_id = *recall_id;
        match *step {
            Step::Due { attempt, deadline } if deadline.id == fired.id => {
                let deadline = Deadline::after(rail.policy.answer_timeout, context);
                let original = self.original();
                let message =
                    rail.cancellation_request(&self.payment, original, recall_id, reason_code, context);
                vec![RecallStarted { recall_id, attempt, deadline, message }.into()]
            }
            Step::Sent { attempt, deadline } if deadline.id == fired.id => {
                let not_taken = RecallAttemptTimedOut { recall_id, attempt }.into();
                // There is more time for it than for a payment.
                let next = if attempt >= rail.policy.pending_enquiries_max {
                    RecallExhausted { recall_id, attempts: attempt }.into()
                } else {
                    let deadline = rail.policy.pause_after(attempt, context);
                    RecallRetryScheduled { recall_id, attempt: attempt + 1, deadline }.into()
                };
                vec![not_taken, next]
            }
            _ => vec![],
        }
    }

    pub(super) fn recall_taken(&self, recall_id: Uuid) -> Vec<SubmissionEvent> {
        match &self.recall {
            Some(Recall { id, step: Step::Sent { .. } | Step::Due { .. }, .. }) if *id == recall_id => {
                vec![RecallTaken { recall_id }.into()]
            }
            _ => vec![],
        }
    }

    pub(super) fn recall_refused(
        &self,
        recall_id: Uuid,
        failed: u32,
        reason: String,
    ) -> Vec<SubmissionEvent> {
        match &self.recall {
            Some(Recall { id, step: Step::Sent { attempt, .. }, .. })
                if *id == recall_id && *attempt == failed =>
            {
                vec![
                    RecallRefused { recall_id, attempt: failed, reason }.into(),
                    RecallExhausted { recall_id, attempts: failed }.into(),
                ]
            }
            _ => vec![],
        }
    }

    pub(super) fn recall_answered(&self, answer: RecallAnswer, message: Evidence) -> Decision {
        let RecallAnswer { recall_id, outcome } = answer;
        let recall = self.recall.as_ref().filter(|recall| recall.id == recall_id);
        let recall = recall.ok_or(SubmissionRefusal::OtherRecall)?;
        let status = RECALL.to_owned();
        if recall.step == Step::Rejected && outcome == RecallOutcome::Accepted {
            return Ok(vec![AnswerContradicted { status, message }.into()]);
        }
        if recall.step == Step::Rejected || self.return_id.is_some() {
            return Ok(vec![AnswerDuplicated { status, message }.into()]);
        }
        Ok(vec![match outcome {
            RecallOutcome::Accepted => RecallAccepted { recall_id, message }.into(),
            RecallOutcome::Pending => RecallPending { recall_id, message }.into(),
            RecallOutcome::Rejected { reason_code } => {
                RecallRejected { recall_id, reason_code, message }.into()
            }
        }])
    }
}
