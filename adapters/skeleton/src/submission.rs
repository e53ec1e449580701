//! The adapter's own transfer: what was sent, how often, and what came back.

use contract::payment::PaymentSubmitted;
use event::{Aggregate, Context, Deadline, Personal, events};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::line::order;

/// Core wants it paid. The deadline is the moment of the first attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubmissionRequested {
    pub payment: PaymentSubmitted,
    pub deadline: Deadline,
}

/// It is being sent; without an answer by the deadline the outcome of this attempt is unknown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptStarted {
    pub attempt: u32,
    pub deadline: Deadline,
    /// As it is sent.
    pub message: Personal<String>,
}

/// The rail has provably not taken it. It is sent again at the deadline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptNotSent {
    pub attempt: u32,
    pub reason: String,
    pub deadline: Deadline,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptTimedOut {
    pub attempt: u32,
}

/// Nobody has said that the creditor was paid, or was not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetriesExhausted {
    pub attempts: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubmissionAccepted {
    pub settled_at: Timestamp,
    /// As it came.
    pub message: Personal<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubmissionRejected {
    pub reason_code: String,
    /// As it came.
    pub message: Personal<String>,
}

/// After the end the rail has said something else. A person has to look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerContradicted {
    /// ISO 20022's transaction status: `ACSC` or `RJCT`.
    pub status: String,
    /// As it came.
    pub message: Personal<String>,
}

/// Core wants it back, and this rail has no recalls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecallRefused {
    pub recall_id: Uuid,
}

events! {
    /// The events of a `submission` stream.
    pub enum SubmissionEvent {
        SubmissionRequested = 1,
        AttemptStarted = 1,
        AttemptNotSent = 1,
        AttemptTimedOut = 1,
        RetriesExhausted = 1,
        SubmissionAccepted = 1,
        SubmissionRejected = 1,
        AnswerContradicted = 1,
        RecallRefused = 1,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    pub attempts_max: u32,
    pub answer_timeout: SignedDuration,
    pub retry_pause: SignedDuration,
}

#[derive(Debug, Clone)]
pub enum SubmissionCommand {
    Request(PaymentSubmitted),
    Recall {
        recall_id: Uuid,
    },
    /// The deadline has fired: send, or give up what was not answered.
    Proceed {
        deadline: Deadline,
        policy: RetryPolicy,
    },
    RecordSettled {
        at: Timestamp,
        message: Personal<String>,
    },
    RecordRejected {
        reason_code: String,
        message: Personal<String>,
    },
    RecordNotSent {
        attempt: u32,
        reason: String,
        policy: RetryPolicy,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubmissionRefusal {
    NotRequested,
    OtherContent,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Status {
    /// An attempt is due at the deadline.
    Waiting {
        attempt: u32,
        deadline: Deadline,
    },
    /// Unknown until an answer or the deadline.
    Sent {
        attempt: u32,
        deadline: Deadline,
    },
    /// An answer may still come.
    Exhausted,
    Settled,
    Rejected,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    pub payment: PaymentSubmitted,
    status: Status,
    recall_id: Option<Uuid>,
}

impl Aggregate for Submission {
    const CATEGORY: &'static str = "submission";
    type Event = SubmissionEvent;
    type Command = SubmissionCommand;
    type Refusal = SubmissionRefusal;

    fn evolve(state: Option<Self>, event: &SubmissionEvent) -> Option<Self> {
        if let SubmissionEvent::SubmissionRequested(requested) = event {
            let status = Status::Waiting { attempt: 1, deadline: requested.deadline };
            return Some(Self { payment: requested.payment.clone(), status, recall_id: None });
        }
        let mut submission = state?;
        submission.status = match event {
            SubmissionEvent::AttemptStarted(event) => {
                Status::Sent { attempt: event.attempt, deadline: event.deadline }
            }
            SubmissionEvent::AttemptNotSent(event) => {
                Status::Waiting { attempt: event.attempt + 1, deadline: event.deadline }
            }
            SubmissionEvent::RetriesExhausted(_) => Status::Exhausted,
            SubmissionEvent::SubmissionAccepted(_) => Status::Settled,
            SubmissionEvent::SubmissionRejected(_) => Status::Rejected,
            SubmissionEvent::RecallRefused(refused) => {
                submission.recall_id = Some(refused.recall_id);
                submission.status
            }
            SubmissionEvent::SubmissionRequested(_)
            | SubmissionEvent::AttemptTimedOut(_)
            | SubmissionEvent::AnswerContradicted(_) => submission.status,
        };
        Some(submission)
    }

    fn decide(
        state: Option<&Self>,
        command: SubmissionCommand,
        context: &Context,
    ) -> Result<Vec<SubmissionEvent>, SubmissionRefusal> {
        match (state, command) {
            (None, SubmissionCommand::Request(payment)) => {
                let deadline = Deadline::after(SignedDuration::ZERO, context);
                Ok(vec![SubmissionRequested { payment, deadline }.into()])
            }
            (None, _) => Err(SubmissionRefusal::NotRequested),
            (Some(submission), SubmissionCommand::Request(payment)) => {
                if submission.payment == payment {
                    Ok(vec![])
                } else {
                    Err(SubmissionRefusal::OtherContent)
                }
            }
            (Some(submission), command) => Ok(submission.follow(command, context)),
        }
    }

    fn deadline(&self) -> Option<Deadline> {
        match self.status {
            Status::Waiting { deadline, .. } | Status::Sent { deadline, .. } => Some(deadline),
            Status::Exhausted | Status::Settled | Status::Rejected => None,
        }
    }
}

impl Submission {
    /// The same message each time.
    fn attempt(&self, attempt: u32, policy: RetryPolicy, context: &Context) -> SubmissionEvent {
        let deadline = Deadline::after(policy.answer_timeout, context);
        AttemptStarted { attempt, deadline, message: order(&self.payment).into() }.into()
    }

    fn follow(&self, command: SubmissionCommand, context: &Context) -> Vec<SubmissionEvent> {
        match (&self.status, command) {
            (
                Status::Waiting { attempt, deadline },
                SubmissionCommand::Proceed { deadline: fired, policy },
            ) if deadline.id == fired.id => {
                vec![self.attempt(*attempt, policy, context)]
            }
            (Status::Sent { attempt, deadline }, SubmissionCommand::Proceed { deadline: fired, policy })
                if deadline.id == fired.id =>
            {
                let timed_out = AttemptTimedOut { attempt: *attempt }.into();
                if *attempt >= policy.attempts_max {
                    return vec![timed_out, RetriesExhausted { attempts: *attempt }.into()];
                }
                vec![timed_out, self.attempt(attempt + 1, policy, context)]
            }
            (
                Status::Sent { attempt, .. },
                SubmissionCommand::RecordNotSent { attempt: of, reason, policy },
            ) if *attempt == of => {
                let deadline = Deadline::after(policy.retry_pause, context);
                let not_sent = AttemptNotSent { attempt: of, reason, deadline }.into();
                if of < policy.attempts_max {
                    return vec![not_sent];
                }
                vec![not_sent, RetriesExhausted { attempts: of }.into()]
            }
            (Status::Settled, SubmissionCommand::RecordRejected { message, .. }) => {
                contradicted("RJCT", message)
            }
            (Status::Rejected, SubmissionCommand::RecordSettled { message, .. }) => {
                contradicted("ACSC", message)
            }
            (Status::Settled, SubmissionCommand::RecordSettled { .. })
            | (Status::Rejected, SubmissionCommand::RecordRejected { .. }) => vec![],
            // An answer that comes late counts too.
            (_, SubmissionCommand::RecordSettled { at, message }) => {
                vec![SubmissionAccepted { settled_at: at, message }.into()]
            }
            (_, SubmissionCommand::RecordRejected { reason_code, message }) => {
                vec![SubmissionRejected { reason_code, message }.into()]
            }
            (_, SubmissionCommand::Recall { recall_id }) if self.recall_id != Some(recall_id) => {
                vec![RecallRefused { recall_id }.into()]
            }
            _ => vec![],
        }
    }
}

fn contradicted(status: &str, message: Personal<String>) -> Vec<SubmissionEvent> {
    vec![AnswerContradicted { status: status.to_owned(), message }.into()]
}

#[cfg(test)]
mod tests;
