//! What a correction may do to a transfer.

use event::{Causation, CausationKind, Context};
use uuid::Uuid;

use super::aftermath::{RECALL_UNANSWERED, RECALL_UNDELIVERED};
use super::{CONTRADICTED, Decision, Hold, OWED, Status, Transfer, TransferRefusal};
use crate::transfer_event::{
    AttentionWithdrawn, Captured, Failed, FailureReason, LateSettlementDetected, OutcomeResolved,
    ReceivableCleared, Resolution, ReturnCredited, Returned, Reversed, Succeeded, TransferEvent,
};

/// Whoever decides on behalf of a correction says so.
pub(super) fn is_by(correction_id: Uuid, context: &Context) -> Result<(), TransferRefusal> {
    let correction = Causation { kind: CausationKind::Correction, id: correction_id };
    if context.causation == correction { Ok(()) } else { Err(TransferRefusal::NotACorrection) }
}

impl Transfer {
    /// Where nobody could tell, and where the rail contradicts itself. What the rail has decided, and does not dispute, stands.
    pub(super) fn resolve(&self, correction_id: Uuid, outcome: Resolution) -> Decision {
        let resolved = OutcomeResolved { correction_id, outcome: outcome.clone() }.into();
        let is_waiting = matches!(self.status, Status::OutcomeUnknown | Status::AttentionRequired { .. });
        let then = match outcome {
            _ if self.hold == Hold::Owed => return Err(TransferRefusal::OutcomeNotAwaited),
            Resolution::Settled { .. } if self.submitted && is_waiting => self.has_paid(),
            Resolution::Rejected { reason_code } if self.submitted && is_waiting => {
                // It could be sent once more otherwise, after the payer has the money back.
                if !self.undetermined {
                    return Err(TransferRefusal::RailNotDone);
                }
                self.has_not_paid(reason_code)
            }
            _ if !self.is_disputed => return Err(TransferRefusal::OutcomeNotAwaited),
            outcome => self.settle_dispute(correction_id, outcome)?,
        };
        Ok([vec![resolved], then].concat())
    }

    fn has_paid(&self) -> Vec<TransferEvent> {
        let reservation_id = self.reservation_id();
        match self.hold {
            Hold::GivenBack => vec![LateSettlementDetected { reservation_id }.into()],
            Hold::Held => vec![Captured { reservation_id }.into(), Succeeded {}.into()],
            Hold::Owed | Hold::Ended => vec![Succeeded {}.into()],
        }
    }

    fn has_not_paid(&self, reason_code: String) -> Vec<TransferEvent> {
        let failed = Failed { reason: FailureReason::RejectedByClearing { reason_code } }.into();
        if self.hold == Hold::Held { vec![self.release(), failed] } else { vec![failed] }
    }

    /// The end that it had is confirmed, or it was the wrong one, and the money goes where it belongs.
    fn settle_dispute(&self, correction_id: Uuid, outcome: Resolution) -> Decision {
        let reservation_id = self.reservation_id();
        let amount = self.request.amount;
        let mut mended = vec![CONTRADICTED];
        let then = match (&self.status, outcome) {
            (Status::Succeeded | Status::Returned, Resolution::Settled { .. })
            | (Status::Failed { .. } | Status::Cancelled, Resolution::Rejected { .. }) => vec![],
            // Taken back by a correction, which was right.
            (Status::Returned, Resolution::Rejected { .. }) if self.returned.is_none() => vec![],
            (Status::Failed { .. } | Status::Cancelled, Resolution::Settled { .. }) => {
                vec![LateSettlementDetected { reservation_id }.into()]
            }
            (Status::Succeeded, Resolution::Rejected { .. }) => {
                if !self.is_decided && !self.undetermined {
                    return Err(TransferRefusal::RailNotDone);
                }
                mended.extend([OWED, RECALL_UNANSWERED, RECALL_UNDELIVERED]);
                let back = match self.is_receivable {
                    true => ReceivableCleared { reservation_id, amount }.into(),
                    false => ReturnCredited { return_id: correction_id.to_string(), amount }.into(),
                };
                vec![back, Returned {}.into()]
            }
            // Core never had it submitted, as far as it knows.
            (_, Resolution::Rejected { reason_code }) if !self.has_ended() => {
                return Ok(self.has_not_paid(reason_code));
            }
            (_, Resolution::Settled { .. }) if !self.has_ended() => return Ok(self.has_paid()),
            _ => return Err(TransferRefusal::OutcomeNotAwaited),
        };
        let mut remaining = self.attention.clone();
        mended.retain(|reason| *reason == CONTRADICTED || remaining.iter().any(|known| known == reason));
        let withdrawn = mended.into_iter().map(|reason| {
            remaining.retain(|known| known != reason);
            AttentionWithdrawn { reason: reason.to_owned(), remaining: remaining.clone() }.into()
        });
        Ok(withdrawn.chain(then).collect())
    }

    pub(super) fn reverse(&self, correction_id: Uuid) -> Decision {
        if !self.is_book() || self.status != Status::Succeeded {
            return Err(TransferRefusal::NothingToReverse);
        }
        Ok(vec![Reversed { correction_id }.into()])
    }
}
