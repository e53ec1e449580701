//! The adapter's own transfer: what was sent, how often, and what came back.

use contract::payment::PaymentSubmitted;
use event::{Aggregate, Context, Deadline};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::submission_event::{
    AnswerContradicted, AnswerDuplicated, AttemptNotSent, AttemptStarted, AttemptTimedOut, EnquiryAnswered,
    EnquiryScheduled, EnquiryStarted, EnquiryTimedOut, RetriesExhausted, RetryScheduled, SubmissionAccepted,
    SubmissionEvent, SubmissionRejected, SubmissionRequested,
};

/// ISO 20022 `ExternalStatusReason1Code`: invalid file format.
const INVALID_MESSAGE: &str = "FF01";

/// However often it has doubled.
const PAUSE_MAX: SignedDuration = SignedDuration::from_mins(1);

/// What an enquiry is answered with when the house knows nothing of the payment.
const NOT_FOUND: &str = "not_found";

/// How long to wait for an answer, how often to ask for it, and how often to send again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryPolicy {
    pub attempts_max: u32,
    /// For each attempt.
    pub enquiries_max: u32,
    pub answer_timeout: SignedDuration,
    /// Before the second attempt or enquiry; it doubles with each further one.
    pub retry_pause: SignedDuration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Status {
    /// An attempt is due at the deadline.
    Waiting {
        attempt: u32,
        deadline: Deadline,
    },
    /// Sent, or about to be; unknown until an answer or the deadline.
    Sent {
        attempt: u32,
        deadline: Deadline,
    },
    /// The attempt was not answered; the house is to be asked at the deadline.
    EnquiryDue {
        attempt: u32,
        enquiry: u32,
        deadline: Deadline,
    },
    Enquiring {
        attempt: u32,
        enquiry: u32,
        deadline: Deadline,
    },
    /// The tries are used up; an answer may still come.
    Exhausted,
    Accepted,
    Rejected {
        reason_code: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    pub payment: PaymentSubmitted,
    status: Status,
    /// An earlier attempt is of unknown outcome: nothing but the rail's own answer is a definite no any more.
    may_be_taken: bool,
}

/// What the house said about a payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Settled { settled_at: Timestamp },
    Rejected { reason_code: String },
}

impl Answer {
    /// ISO 20022 transaction status.
    fn status(&self) -> &'static str {
        match self {
            Self::Settled { .. } => "ACSC",
            Self::Rejected { .. } => "RJCT",
        }
    }
}

#[derive(Debug, Clone)]
pub enum SubmissionCommand {
    Request(PaymentSubmitted),
    /// The deadline has fired: start what is due, or give up what was not answered.
    Proceed {
        deadline: Deadline,
        policy: RetryPolicy,
    },
    RecordAnswer(Answer),
    /// None: the house has never taken the payment.
    RecordEnquiry {
        attempt: u32,
        enquiry: u32,
        answer: Option<Answer>,
        policy: RetryPolicy,
    },
    RecordNotSent {
        attempt: u32,
        reason: String,
        policy: RetryPolicy,
    },
    /// The house has refused the message as such.
    RecordRefused {
        attempt: u32,
        reason: String,
        policy: RetryPolicy,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubmissionRefusal {
    #[error("no such payment was submitted")]
    NotRequested,
    #[error("the payment was submitted with other content")]
    OtherContent,
}

impl Aggregate for Submission {
    const CATEGORY: &'static str = "submission";
    type Event = SubmissionEvent;
    type Command = SubmissionCommand;
    type Refusal = SubmissionRefusal;

    fn evolve(state: Option<Self>, event: &SubmissionEvent) -> Option<Self> {
        if let SubmissionEvent::SubmissionRequested(requested) = event {
            let status = Status::Waiting { attempt: 1, deadline: requested.deadline };
            return Some(Self { payment: requested.payment.clone(), status, may_be_taken: false });
        }
        let mut submission = state?;
        match event {
            SubmissionEvent::AttemptStarted(event) => {
                submission.status = Status::Sent { attempt: event.attempt, deadline: event.deadline };
            }
            SubmissionEvent::RetryScheduled(event) => {
                submission.status = Status::Waiting { attempt: event.attempt, deadline: event.deadline };
            }
            SubmissionEvent::EnquiryStarted(EnquiryStarted { attempt, enquiry, deadline }) => {
                let (attempt, enquiry, deadline) = (*attempt, *enquiry, *deadline);
                submission.status = Status::Enquiring { attempt, enquiry, deadline };
            }
            SubmissionEvent::EnquiryScheduled(EnquiryScheduled { attempt, enquiry, deadline }) => {
                let (attempt, enquiry, deadline) = (*attempt, *enquiry, *deadline);
                submission.status = Status::EnquiryDue { attempt, enquiry, deadline };
            }
            SubmissionEvent::AttemptTimedOut(_) => submission.may_be_taken = true,
            SubmissionEvent::RetriesExhausted(_) => submission.status = Status::Exhausted,
            SubmissionEvent::SubmissionAccepted(_) => submission.status = Status::Accepted,
            SubmissionEvent::SubmissionRejected(event) => {
                submission.status = Status::Rejected { reason_code: event.reason_code.clone() };
            }
            _ => {}
        }
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
            (Some(submission), SubmissionCommand::Proceed { deadline, policy }) => {
                Ok(submission.proceed(deadline, policy, context))
            }
            (Some(submission), SubmissionCommand::RecordAnswer(answer)) => Ok(submission.answered(answer)),
            (Some(submission), SubmissionCommand::RecordEnquiry { attempt, enquiry, answer, policy }) => {
                Ok(submission.enquired((attempt, enquiry), answer, policy, context))
            }
            (Some(submission), SubmissionCommand::RecordNotSent { attempt, reason, policy }) => {
                Ok(submission.not_sent(attempt, reason, policy, context))
            }
            (Some(submission), SubmissionCommand::RecordRefused { attempt, reason, policy }) => {
                Ok(submission.refused(attempt, reason, policy, context))
            }
        }
    }

    fn deadline(&self) -> Option<Deadline> {
        match self.status {
            Status::Waiting { deadline, .. }
            | Status::Sent { deadline, .. }
            | Status::EnquiryDue { deadline, .. }
            | Status::Enquiring { deadline, .. } => Some(deadline),
            Status::Exhausted | Status::Accepted | Status::Rejected { .. } => None,
        }
    }
}

impl Submission {
    fn proceed(&self, fired: Deadline, policy: RetryPolicy, context: &Context) -> Vec<SubmissionEvent> {
        match self.status {
            Status::Waiting { attempt, deadline } if deadline.id == fired.id => {
                let deadline = Deadline::after(policy.answer_timeout, context);
                vec![AttemptStarted { attempt, deadline }.into()]
            }
            Status::Sent { attempt, deadline } if deadline.id == fired.id => {
                vec![AttemptTimedOut { attempt }.into(), enquiry_of(attempt, 1, policy, context)]
            }
            Status::EnquiryDue { attempt, enquiry, deadline } if deadline.id == fired.id => {
                vec![enquiry_of(attempt, enquiry, policy, context)]
            }
            Status::Enquiring { attempt, enquiry, deadline } if deadline.id == fired.id => {
                let timed_out = EnquiryTimedOut { enquiry }.into();
                vec![timed_out, next_enquiry_after(attempt, enquiry, policy, context)]
            }
            _ => vec![],
        }
    }

    /// A payment that the house has never taken is sent once more, under the same identifiers: should the first one still
    /// be on its way, the house takes one of the two.
    fn enquired(
        &self,
        asked: (u32, u32),
        answer: Option<Answer>,
        policy: RetryPolicy,
        context: &Context,
    ) -> Vec<SubmissionEvent> {
        let status = answer.as_ref().map_or(NOT_FOUND, Answer::status).to_owned();
        let answered = EnquiryAnswered { enquiry: asked.1, status }.into();
        match (&self.status, answer) {
            (Status::Enquiring { attempt, enquiry, .. }, None) if (*attempt, *enquiry) == asked => {
                vec![answered, next_after(*attempt, policy, context)]
            }
            (_, None) => vec![],
            (_, Some(answer)) => [vec![answered], self.answered(answer)].concat(),
        }
    }

    fn not_sent(
        &self,
        failed: u32,
        reason: String,
        policy: RetryPolicy,
        context: &Context,
    ) -> Vec<SubmissionEvent> {
        match self.status {
            Status::Sent { attempt, .. } if attempt == failed => {
                vec![AttemptNotSent { attempt, reason }.into(), next_after(attempt, policy, context)]
            }
            _ => vec![],
        }
    }

    fn refused(
        &self,
        failed: u32,
        reason: String,
        policy: RetryPolicy,
        context: &Context,
    ) -> Vec<SubmissionEvent> {
        let mut events = self.not_sent(failed, reason, policy, context);
        if !events.is_empty() && !self.may_be_taken {
            events.pop();
            events.push(SubmissionRejected { reason_code: INVALID_MESSAGE.to_owned() }.into());
        }
        events
    }

    fn answered(&self, answer: Answer) -> Vec<SubmissionEvent> {
        let status = answer.status().to_owned();
        match (&self.status, answer) {
            (Status::Accepted, Answer::Settled { .. }) => vec![AnswerDuplicated { status }.into()],
            (Status::Rejected { reason_code: known }, Answer::Rejected { reason_code })
                if *known == reason_code =>
            {
                vec![AnswerDuplicated { status }.into()]
            }
            (Status::Accepted | Status::Rejected { .. }, _) => vec![AnswerContradicted { status }.into()],
            (_, Answer::Settled { settled_at }) => vec![SubmissionAccepted { settled_at }.into()],
            (_, Answer::Rejected { reason_code }) => vec![SubmissionRejected { reason_code }.into()],
        }
    }
}

fn next_after(attempt: u32, policy: RetryPolicy, context: &Context) -> SubmissionEvent {
    if attempt >= policy.attempts_max {
        return RetriesExhausted { attempts: attempt }.into();
    }
    RetryScheduled { attempt: attempt + 1, deadline: policy.pause_after(attempt, context) }.into()
}

fn next_enquiry_after(attempt: u32, enquiry: u32, policy: RetryPolicy, context: &Context) -> SubmissionEvent {
    if enquiry >= policy.enquiries_max {
        return RetriesExhausted { attempts: attempt }.into();
    }
    let deadline = policy.pause_after(enquiry, context);
    EnquiryScheduled { attempt, enquiry: enquiry + 1, deadline }.into()
}

fn enquiry_of(attempt: u32, enquiry: u32, policy: RetryPolicy, context: &Context) -> SubmissionEvent {
    EnquiryStarted { attempt, enquiry, deadline: Deadline::after(policy.answer_timeout, context) }.into()
}

impl RetryPolicy {
    fn pause_after(self, tries: u32, context: &Context) -> Deadline {
        let factor = 2_i32.saturating_pow(tries - 1);
        let pause = self.retry_pause.checked_mul(factor).unwrap_or(PAUSE_MAX);
        Deadline::after(pause.min(PAUSE_MAX.max(self.retry_pause)), context)
    }
}

#[cfg(test)]
mod tests;
