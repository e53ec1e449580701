//! What a correction may do to a transfer.

use uuid::Uuid;

use super::{CONTRADICTED, Decision, Hold, Status, Transfer, TransferRefusal};
use crate::transfer_event::{
    AttentionWithdrawn, Captured, Failed, FailureReason, LateSettlementDetected, OutcomeResolved, Resolution,
    Reversed, Succeeded, TransferEvent,
};

impl Transfer {
    /// Where nobody could tell, and where the rail contradicts itself. What the rail has decided stands.
    pub(super) fn resolve(&self, correction_id: Uuid, outcome: Resolution) -> Decision {
        let is_open = matches!(self.status, Status::OutcomeUnknown | Status::AttentionRequired { .. });
        let is_confirmed = matches!(
            (&self.status, &outcome),
            (Status::Succeeded, Resolution::Settled { .. })
                | (Status::Failed { .. }, Resolution::Rejected { .. })
        );
        if !self.submitted || !is_open && (!is_confirmed || self.contradictions.is_empty()) {
            return Err(TransferRefusal::OutcomeNotAwaited);
        }
        let resolved = OutcomeResolved { correction_id, outcome: outcome.clone() }.into();
        let then = if is_open { self.resolved(outcome)? } else { self.confirmed() };
        Ok([vec![resolved], then].concat())
    }

    fn resolved(&self, outcome: Resolution) -> Decision {
        let reservation_id = self.reservation_id();
        Ok(match (outcome, self.hold) {
            // The account has yet to say whether it can pay.
            (_, Hold::Owed) => return Err(TransferRefusal::OutcomeNotAwaited),
            (Resolution::Settled { .. }, Hold::GivenBack) => {
                vec![LateSettlementDetected { reservation_id }.into()]
            }
            (Resolution::Settled { .. }, Hold::Held) => {
                vec![Captured { reservation_id }.into(), Succeeded {}.into()]
            }
            (Resolution::Settled { .. }, Hold::Ended) => vec![Succeeded {}.into()],
            (Resolution::Rejected { reason_code }, hold) => {
                let failed = Failed { reason: FailureReason::RejectedByClearing { reason_code } }.into();
                if hold == Hold::Held { vec![self.release(), failed] } else { vec![failed] }
            }
        })
    }

    /// The end that it had is the right one.
    fn confirmed(&self) -> Vec<TransferEvent> {
        let remaining = self.attention.iter().filter(|reason| *reason != CONTRADICTED).cloned().collect();
        vec![AttentionWithdrawn { reason: CONTRADICTED.to_owned(), remaining }.into()]
    }

    pub(super) fn reverse(&self, correction_id: Uuid) -> Decision {
        if !self.is_book() || self.status != Status::Succeeded {
            return Err(TransferRefusal::NothingToReverse);
        }
        Ok(vec![Reversed { correction_id }.into()])
    }
}
