//! The messages of a payment from another bank.

use std::sync::Arc;

use event::Deadline;
use money::Money;
use uuid::Uuid;

use super::{Inbound, InboundCommand};
use crate::Hold;
use crate::correspondence::{Correspondence, Outcome};
use crate::inbound_event::{Errand, InboundEvent};
use crate::rail::{Evidence, Heard, Rail, Said, Sent};
use crate::{Answer, RetryPolicy};

/// ISO 20022 `ExternalPaymentTransactionStatus1Code`: accepted by the creditor's bank.
const ACCEPTED: &str = "ACCP";

#[derive(Debug, Clone, Copy)]
pub(crate) struct Purpose {
    errand: Errand,
    attempt: u32,
}

impl Correspondence for Inbound {
    type Purpose = Purpose;

    fn uetr(&self) -> Uuid {
        self.payment.uetr
    }

    fn amount(&self) -> Money {
        self.payment.amount
    }

    /// The house has begun: whatever holds up payments of ours, it gets its answer.
    fn proceed(deadline: Deadline, rail: Arc<Rail>, _: Option<Hold>) -> InboundCommand {
        InboundCommand::Proceed { deadline, rail }
    }

    fn message_of(event: InboundEvent) -> Option<(Purpose, Sent)> {
        let InboundEvent::MessageStarted(started) = event else { return None };
        Some((Purpose { errand: started.errand, attempt: started.attempt }, started.message))
    }

    fn outcome(purpose: Purpose, outcome: Outcome, policy: RetryPolicy) -> Option<InboundCommand> {
        let Purpose { errand, attempt } = purpose;
        Some(match outcome {
            Outcome::Answered { heard, message } => return status_of(heard, message, policy),
            Outcome::Taken => InboundCommand::RecordTaken { errand, attempt, policy },
            Outcome::NotSent { reason } => InboundCommand::RecordNotSent { errand, attempt, reason, policy },
            Outcome::Refused { reason } => {
                InboundCommand::RecordMessageRefused { errand, attempt, reason, policy }
            }
        })
    }
}

/// None: it says nothing of where the money is.
pub(crate) fn status_of(heard: Heard, message: Evidence, policy: RetryPolicy) -> Option<InboundCommand> {
    let answer = match heard.said {
        Said::Status(answer) => Some(answer),
        Said::NotFound => None,
        // Of a way back it is the other side's yes.
        Said::Accepted { at } if heard.is_of_return => Some(Answer::Settled { settled_at: at }),
        // Our own word come back, or another's: no money has moved by it.
        Said::Accepted { .. } => Some(Answer::Pending { status: ACCEPTED.to_owned() }),
        Said::Offered(_) | Said::Returned(_) | Said::Recalled(_) => return None,
    };
    let is_of_return = heard.is_of_return;
    Some(InboundCommand::RecordStatus { answer, is_of_return, message, policy })
}
