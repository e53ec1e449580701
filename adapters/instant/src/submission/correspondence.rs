//! The messages of a payment to another bank.

use std::sync::Arc;

use event::Deadline;
use money::Money;
use uuid::Uuid;

use super::{Answer, Hold, RetryPolicy, Submission, SubmissionCommand};
use crate::SubmissionEvent;
use crate::correspondence::{Correspondence, Outcome};
use crate::rail::{Evidence, Rail, Said, Sent};

#[derive(Debug, Clone, Copy)]
pub(crate) enum Purpose {
    Pay { attempt: u32 },
    Enquire { attempt: u32, enquiry: u32 },
    Recall { recall_id: Uuid, attempt: u32 },
}

impl Correspondence for Submission {
    type Purpose = Purpose;

    fn uetr(&self) -> Uuid {
        self.payment.uetr
    }

    fn amount(&self) -> Money {
        self.payment.amount
    }

    fn proceed(deadline: Deadline, rail: Arc<Rail>, hold: Option<Hold>) -> SubmissionCommand {
        SubmissionCommand::Proceed { deadline, rail, hold }
    }

    fn message_of(event: SubmissionEvent) -> Option<(Purpose, Sent)> {
        let (purpose, message) = match event {
            SubmissionEvent::AttemptStarted(started) => {
                (Purpose::Pay { attempt: started.attempt }, started.message)
            }
            SubmissionEvent::EnquiryStarted(started) => {
                (Purpose::Enquire { attempt: started.attempt, enquiry: started.enquiry }, started.message)
            }
            SubmissionEvent::RecallStarted(started) => {
                let purpose = Purpose::Recall { recall_id: started.recall_id, attempt: started.attempt };
                (purpose, Some(started.message))
            }
            _ => return None,
        };
        Some((purpose, message?))
    }

    fn outcome(purpose: Purpose, outcome: Outcome, policy: RetryPolicy) -> Option<SubmissionCommand> {
        Some(match (purpose, outcome) {
            // What is said of a way back is not said of the payment.
            (_, Outcome::Answered { heard, .. }) if heard.is_of_return => return None,
            (purpose, Outcome::Answered { heard, message }) => {
                return answered(purpose, heard.said, message, policy);
            }
            (Purpose::Pay { attempt }, Outcome::NotSent { reason }) => {
                SubmissionCommand::RecordNotSent { attempt, reason, policy }
            }
            (Purpose::Pay { attempt }, Outcome::Refused { reason }) => {
                SubmissionCommand::RecordRefused { attempt, reason, policy }
            }
            (Purpose::Recall { recall_id, .. }, Outcome::Taken) => {
                SubmissionCommand::RecordRecallTaken { recall_id }
            }
            (Purpose::Recall { recall_id, attempt }, Outcome::Refused { reason }) => {
                SubmissionCommand::RecordRecallRefused { recall_id, attempt, reason }
            }
            _ => return None,
        })
    }
}

/// To the debtor's bank a creditor's bank that will credit has as good as credited.
pub(crate) fn as_answer(said: Said) -> Said {
    match said {
        Said::Accepted { at } => Said::Status(Answer::Settled { settled_at: at }),
        said => said,
    }
}

fn answered(
    purpose: Purpose,
    said: Said,
    message: Evidence,
    policy: RetryPolicy,
) -> Option<SubmissionCommand> {
    match (purpose, as_answer(said)) {
        (Purpose::Pay { .. }, Said::Status(answer)) => {
            Some(SubmissionCommand::RecordAnswer { answer, message, policy })
        }
        (Purpose::Enquire { attempt, enquiry }, Said::Status(answer)) => {
            let answer = Some(answer);
            Some(SubmissionCommand::RecordEnquiry { attempt, enquiry, answer, message, policy })
        }
        (Purpose::Enquire { attempt, enquiry }, Said::NotFound) => {
            Some(SubmissionCommand::RecordEnquiry { attempt, enquiry, answer: None, message, policy })
        }
        _ => None,
    }
}
