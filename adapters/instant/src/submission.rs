//! The adapter's own transfer: what was sent, how often, and what came back.

use contract::payment::PaymentSubmitted;
use event::{Aggregate, Context, Deadline};
use iso20022::{Original, OriginalKind};
use jiff::{SignedDuration, Timestamp};

use crate::rail::{Evidence, Rail, Returned, transaction_id};
use crate::submission_event::{
    AnswerContradicted, AnswerDuplicated, AttemptDeferred, AttemptNotSent, AttemptStarted, AttemptTimedOut,
    EnquiryAnswered, EnquiryScheduled, EnquiryStarted, EnquiryTimedOut, HoldReason, RetriesExhausted,
    RetryScheduled, ReturnReceived, SubmissionAccepted, SubmissionEvent, SubmissionPending,
    SubmissionRejected, SubmissionRequested,
};

mod command;
pub use command::{Answer, Hold, RetryPolicy, SubmissionCommand, SubmissionRefusal};

mod correspondence;
pub(crate) use correspondence::as_answer;

mod recall;
use recall::Recall;

/// ISO 20022 `ExternalStatusReason1Code`: invalid file format.
const INVALID_MESSAGE: &str = "FF01";

/// What an enquiry is answered with when the house knows nothing of the payment.
const NOT_FOUND: &str = "not_found";
/// A return, where others have a status.
const RETURN: &str = "return";

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
    /// The attempt was not answered, or not finally; the house is to be asked at the deadline.
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
    Exhausted {
        attempt: u32,
    },
    Accepted,
    Rejected {
        reason_code: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    pub payment: PaymentSubmitted,
    requested_at: Timestamp,
    status: Status,
    /// An earlier attempt is of unknown outcome: nothing but the rail's own answer is a definite no any more.
    may_be_taken: bool,
    /// The house has said that it has taken it.
    is_pending: bool,
    /// Of the latest pacs.008 that may have arrived, and of the one before.
    message_id: Option<String>,
    previous_message_id: Option<String>,
    return_id: Option<String>,
    recall: Option<Recall>,
}

type Decision = Result<Vec<SubmissionEvent>, SubmissionRefusal>;

impl Aggregate for Submission {
    const CATEGORY: &'static str = "submission";
    type Event = SubmissionEvent;
    type Command = SubmissionCommand;
    type Refusal = SubmissionRefusal;

    fn evolve(state: Option<Self>, event: &SubmissionEvent) -> Option<Self> {
        if let SubmissionEvent::SubmissionRequested(requested) = event {
            return Some(Self::requested(requested));
        }
        let mut submission = state?;
        match event {
            SubmissionEvent::AttemptStarted(event) => {
                submission.status = Status::Sent { attempt: event.attempt, deadline: event.deadline };
                let sent = event.message.as_ref().map(|message| message.id.clone());
                submission.previous_message_id = std::mem::replace(&mut submission.message_id, sent);
            }
            SubmissionEvent::AttemptNotSent(_) => {
                submission.message_id = submission.previous_message_id.take();
            }
            SubmissionEvent::AttemptDeferred(event) => {
                // The rail's limits count from when the first one is sent.
                if event.attempt == 1 {
                    submission.requested_at = event.deadline.due_at;
                }
                submission.status = Status::Waiting { attempt: event.attempt, deadline: event.deadline };
            }
            SubmissionEvent::RetryScheduled(event) => {
                submission.status = Status::Waiting { attempt: event.attempt, deadline: event.deadline };
            }
            SubmissionEvent::EnquiryStarted(EnquiryStarted { attempt, enquiry, deadline, .. }) => {
                let (attempt, enquiry, deadline) = (*attempt, *enquiry, *deadline);
                submission.status = Status::Enquiring { attempt, enquiry, deadline };
            }
            SubmissionEvent::EnquiryScheduled(EnquiryScheduled { attempt, enquiry, deadline }) => {
                let (attempt, enquiry, deadline) = (*attempt, *enquiry, *deadline);
                submission.status = Status::EnquiryDue { attempt, enquiry, deadline };
            }
            SubmissionEvent::AttemptTimedOut(_) => submission.may_be_taken = true,
            SubmissionEvent::SubmissionPending(_) => {
                (submission.may_be_taken, submission.is_pending) = (true, true);
            }
            SubmissionEvent::RetriesExhausted(event) => {
                submission.status = Status::Exhausted { attempt: event.attempts };
            }
            SubmissionEvent::SubmissionAccepted(_) => submission.status = Status::Accepted,
            SubmissionEvent::SubmissionRejected(event) => {
                submission.status = Status::Rejected { reason_code: event.reason_code.clone() };
            }
            SubmissionEvent::ReturnReceived(received) => {
                submission.return_id = Some(received.return_id.clone());
                submission.recall = Recall::evolve(submission.recall, event);
            }
            event => submission.recall = Recall::evolve(submission.recall, event),
        }
        Some(submission)
    }

    fn decide(state: Option<&Self>, command: SubmissionCommand, context: &Context) -> Decision {
        match (state, command) {
            (None, SubmissionCommand::Request(payment)) => {
                let deadline = Deadline::after(SignedDuration::ZERO, context);
                Ok(vec![SubmissionRequested { payment, deadline }.into()])
            }
            (None, _) => Err(SubmissionRefusal::NotRequested),
            (Some(submission), command) => submission.follow(command, context),
        }
    }

    fn deadline(&self) -> Option<Deadline> {
        match self.status {
            Status::Waiting { deadline, .. }
            | Status::Sent { deadline, .. }
            | Status::EnquiryDue { deadline, .. }
            | Status::Enquiring { deadline, .. } => Some(deadline),
            Status::Exhausted { .. } | Status::Accepted | Status::Rejected { .. } => {
                self.recall.as_ref().and_then(Recall::deadline)
            }
        }
    }
}

impl Submission {
    fn requested(requested: &SubmissionRequested) -> Self {
        Self {
            payment: requested.payment.clone(),
            requested_at: requested.deadline.due_at,
            status: Status::Waiting { attempt: 1, deadline: requested.deadline },
            may_be_taken: false,
            is_pending: false,
            message_id: None,
            previous_message_id: None,
            return_id: None,
            recall: None,
        }
    }

    fn follow(&self, command: SubmissionCommand, context: &Context) -> Decision {
        Ok(match command {
            SubmissionCommand::Request(payment) if self.payment == payment => vec![],
            SubmissionCommand::Request(_) => return Err(SubmissionRefusal::OtherContent),
            SubmissionCommand::Recall { recall_id, reason_code } => {
                self.recall_requested(recall_id, reason_code, context)
            }
            SubmissionCommand::Proceed { deadline, rail, hold } => {
                self.proceed(deadline, &rail, hold, context)
            }
            SubmissionCommand::RecordAnswer { answer, message, policy } => {
                self.answered(answer, message, policy, context)
            }
            SubmissionCommand::RecordEnquiry { attempt, enquiry, answer, message, policy } => {
                self.enquired((attempt, enquiry), answer, message, policy, context)
            }
            SubmissionCommand::RecordNotSent { attempt, reason, policy } => {
                self.not_sent(attempt, reason, policy, context)
            }
            SubmissionCommand::RecordRefused { attempt, reason, policy } => {
                self.refused(attempt, reason, policy, context)
            }
            SubmissionCommand::RecordReturn { returned, message } => {
                self.returned(returned, message, context)
            }
            SubmissionCommand::RecordRecallTaken { recall_id } => self.recall_taken(recall_id),
            SubmissionCommand::RecordRecallRefused { recall_id, attempt, reason } => {
                self.recall_refused(recall_id, attempt, reason)
            }
            SubmissionCommand::RecordRecallAnswer { answer, message } => {
                return self.recall_answered(answer, message);
            }
        })
    }

    /// How later messages refer to what was sent.
    fn original(&self) -> Original {
        let transaction_id = transaction_id(&self.payment);
        Original {
            kind: OriginalKind::CreditTransfer,
            message_id: self.message_id.clone().unwrap_or_else(|| transaction_id.clone()),
            end_to_end_id: self.payment.end_to_end_id.clone(),
            transaction_id,
            uetr: self.payment.uetr,
        }
    }

    fn proceed(
        &self,
        fired: Deadline,
        rail: &Rail,
        hold: Option<Hold>,
        context: &Context,
    ) -> Vec<SubmissionEvent> {
        let policy = rail.policy;
        match self.status {
            Status::Waiting { attempt, deadline } if deadline.id == fired.id => match hold {
                Some(hold) => vec![self.deferred(attempt, hold, policy, context)],
                None => self.attempt(attempt, rail, context),
            },
            Status::Sent { attempt, deadline } if deadline.id == fired.id => {
                vec![AttemptTimedOut { attempt }.into(), self.enquiry(attempt, 1, rail, hold, context)]
            }
            Status::EnquiryDue { attempt, enquiry, deadline } if deadline.id == fired.id => {
                vec![self.enquiry(attempt, enquiry, rail, hold, context)]
            }
            Status::Enquiring { attempt, enquiry, deadline } if deadline.id == fired.id => {
                let timed_out = EnquiryTimedOut { enquiry }.into();
                vec![timed_out, self.next_enquiry_after(attempt, enquiry, policy, context)]
            }
            _ => self.recall_proceeds(fired, rail, context),
        }
    }

    /// What could not be answered in time any more is rejected, where it was never tried: core would else learn nothing until then.
    /// Of what was tried before only the house can say that it has never taken it.
    fn deferred(&self, attempt: u32, hold: Hold, policy: RetryPolicy, context: &Context) -> SubmissionEvent {
        let answered = hold.until.saturating_add(policy.answer_timeout).unwrap_or(hold.until);
        if answered >= self.payment.answer_by {
            return match attempt {
                1 => self.rejected_here(attempt, hold.reason_code()),
                _ => RetriesExhausted { attempts: attempt - 1 }.into(),
            };
        }
        let deadline = Deadline::after(context.now.duration_until(hold.until), context);
        AttemptDeferred { attempt, reason: hold.reason, deadline }.into()
    }

    /// As the house would, unless an earlier attempt may have been of another mind.
    fn rejected_here(&self, attempt: u32, reason_code: &str) -> SubmissionEvent {
        if self.may_be_taken {
            return RetriesExhausted { attempts: attempt }.into();
        }
        SubmissionRejected { reason_code: reason_code.to_owned(), message: None }.into()
    }

    /// What the rail cannot carry is rejected here.
    fn attempt(&self, attempt: u32, rail: &Rail, context: &Context) -> Vec<SubmissionEvent> {
        if let Some(reason_code) = rail.profile.refuses(self.payment.amount) {
            return vec![self.rejected_here(attempt, reason_code)];
        }
        let deadline = Deadline::after(rail.policy.answer_timeout, context);
        let message = Some(rail.credit_transfer(&self.payment, self.requested_at, context));
        vec![AttemptStarted { attempt, deadline, message }.into()]
    }

    /// A house that is closed is not asked, and the try is kept. One that answers nobody is: that is how it is known to be back.
    fn enquiry(
        &self,
        attempt: u32,
        enquiry: u32,
        rail: &Rail,
        hold: Option<Hold>,
        context: &Context,
    ) -> SubmissionEvent {
        if let Some(Hold { reason: HoldReason::Closed, until }) = hold {
            let deadline = Deadline::after(context.now.duration_until(until), context);
            return EnquiryScheduled { attempt, enquiry, deadline }.into();
        }
        let deadline = Deadline::after(rail.policy.answer_timeout, context);
        let message = Some(rail.status_request(self.original(), context));
        EnquiryStarted { attempt, enquiry, deadline, message }.into()
    }

    /// A payment that the house has never taken is sent once more, under the same identifiers: should the first one still
    /// be on its way, the house takes one of the two.
    fn enquired(
        &self,
        asked: (u32, u32),
        answer: Option<Answer>,
        message: Evidence,
        policy: RetryPolicy,
        context: &Context,
    ) -> Vec<SubmissionEvent> {
        let status = answer.as_ref().map_or(NOT_FOUND, Answer::status).to_owned();
        let answered = EnquiryAnswered { enquiry: asked.1, status, message }.into();
        let is_awaited =
            matches!(self.status, Status::Enquiring { attempt, enquiry, .. } if (attempt, enquiry) == asked);
        match answer {
            None if is_awaited => vec![answered, next_after(asked.0, policy, context)],
            None => vec![answered],
            Some(Answer::Pending { .. }) if self.is_pending && is_awaited => {
                vec![answered, self.next_enquiry_after(asked.0, asked.1, policy, context)]
            }
            Some(answer) => [vec![answered], self.answered(answer, None, policy, context)].concat(),
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
            events.push(SubmissionRejected { reason_code: INVALID_MESSAGE.to_owned(), message: None }.into());
        }
        events
    }

    fn answered(
        &self,
        answer: Answer,
        message: Evidence,
        policy: RetryPolicy,
        context: &Context,
    ) -> Vec<SubmissionEvent> {
        let status = answer.status().to_owned();
        match (&self.status, answer) {
            // One that was overtaken by the decision says nothing new.
            (Status::Accepted | Status::Rejected { .. }, Answer::Pending { .. })
            | (Status::Accepted, Answer::Settled { .. }) => vec![AnswerDuplicated { status, message }.into()],
            (Status::Rejected { reason_code: known }, Answer::Rejected { reason_code })
                if *known == reason_code =>
            {
                vec![AnswerDuplicated { status, message }.into()]
            }
            (Status::Accepted | Status::Rejected { .. }, _) => {
                vec![AnswerContradicted { status, message }.into()]
            }
            (_, Answer::Settled { settled_at }) => vec![SubmissionAccepted { settled_at, message }.into()],
            (_, Answer::Rejected { reason_code }) => vec![SubmissionRejected { reason_code, message }.into()],
            (_, Answer::Pending { .. }) if self.is_pending => {
                vec![AnswerDuplicated { status, message }.into()]
            }
            (_, Answer::Pending { .. }) => {
                let (attempt, deadline) =
                    (self.last_attempt(), Deadline::after(policy.pending_pause, context));
                let scheduled = EnquiryScheduled { attempt, enquiry: 1, deadline };
                vec![SubmissionPending { status, message }.into(), scheduled.into()]
            }
        }
    }

    /// Only what was settled can come back: a return tells of the settlement too, should it be the first to do so.
    fn returned(&self, returned: Returned, message: Evidence, context: &Context) -> Vec<SubmissionEvent> {
        let Returned { return_id, amount, reason_code } = returned;
        let (status, paid) = (RETURN.to_owned(), self.payment.amount);
        let is_possible = amount.currency() == paid.currency() && amount.minor() <= paid.minor();
        let received = ReturnReceived { return_id, amount, reason_code, message };
        let may_be_settled = match self.status {
            Status::Waiting { .. } => self.may_be_taken,
            Status::Rejected { .. } => false,
            _ => true,
        };
        match &self.return_id {
            Some(known) if *known == received.return_id => {
                vec![AnswerDuplicated { status, message: received.message }.into()]
            }
            None if is_possible && self.status == Status::Accepted => vec![received.into()],
            None if is_possible && may_be_settled => {
                let settled = SubmissionAccepted { settled_at: context.now, message: None };
                vec![settled.into(), received.into()]
            }
            _ => vec![AnswerContradicted { status, message: received.message }.into()],
        }
    }

    fn next_enquiry_after(
        &self,
        attempt: u32,
        enquiry: u32,
        policy: RetryPolicy,
        context: &Context,
    ) -> SubmissionEvent {
        let enquiries_max = if self.is_pending { policy.pending_enquiries_max } else { policy.enquiries_max };
        if enquiry >= enquiries_max {
            return RetriesExhausted { attempts: attempt }.into();
        }
        let deadline = if self.is_pending {
            Deadline::after(policy.pending_pause, context)
        } else {
            policy.pause_after(enquiry, context)
        };
        EnquiryScheduled { attempt, enquiry: enquiry + 1, deadline }.into()
    }

    fn last_attempt(&self) -> u32 {
        match self.status {
            Status::Waiting { attempt, .. }
            | Status::Sent { attempt, .. }
            | Status::EnquiryDue { attempt, .. }
            | Status::Enquiring { attempt, .. }
            | Status::Exhausted { attempt } => attempt,
            Status::Accepted | Status::Rejected { .. } => 1,
        }
    }
}

fn next_after(attempt: u32, policy: RetryPolicy, context: &Context) -> SubmissionEvent {
    if attempt >= policy.attempts_max {
        return RetriesExhausted { attempts: attempt }.into();
    }
    RetryScheduled { attempt: attempt + 1, deadline: policy.pause_after(attempt, context) }.into()
}

#[cfg(test)]
mod tests;
