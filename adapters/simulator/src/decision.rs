//! What the house decides about a payment, and how the answer travels: pure functions of payment and fault.

use std::time::Duration;

use iso20022::{Profile, Reason, StatusReport, TransactionStatus};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::fault::Effect;
use crate::payment::Payment;

/// A creditor account with this ending is closed, so that a rejection can be shown without a fault.
pub(crate) const CLOSED_ACCOUNT_SUFFIX: &str = "0000";

/// A code of ISO 20022's external code sets: four capital letters or digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct ReasonCode([u8; 4]);

impl ReasonCode {
    pub(crate) const CLOSED_ACCOUNT: Self = Self(*b"AC04");
    pub(crate) const BLOCKED_ACCOUNT: Self = Self(*b"AC06");
    /// Of a recall: the customer does not give it back.
    pub(crate) const CUSTOMER_DECISION: Self = Self(*b"CUST");
    /// Of a recall: it has come back already.
    pub(crate) const ALREADY_RETURNED: Self = Self(*b"ARDT");
    /// The creditor's bank has not answered in time.
    pub(crate) const TIMEOUT: Self = Self(*b"AB05");
    pub(crate) const WRONG_AMOUNT: Self = Self(*b"AM09");
    /// For a reason that is none of the house's own.
    pub(crate) const NARRATIVE: Self = Self(*b"NARR");
    /// Of a return: it follows a recall.
    pub(crate) const FOLLOWING_CANCELLATION: Self = Self(*b"FOCR");

    pub(crate) fn reason(self) -> Reason {
        Reason::Code(self.into())
    }
}

impl TryFrom<String> for ReasonCode {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let code = text.as_bytes().try_into().map(Self).map_err(|_| "is not four characters long")?;
        if code.0.iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit()) {
            Ok(code)
        } else {
            Err("is not made of capital letters and digits")
        }
    }
}

impl From<ReasonCode> for String {
    fn from(code: ReasonCode) -> Self {
        code.0.iter().copied().map(char::from).collect()
    }
}

/// ISO 20022 `ExternalPaymentTransactionStatus1Code`, as far as decisions go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Status {
    /// Accepted, settlement completed on the debtor's account.
    #[serde(rename = "ACSC")]
    Settled,
    #[serde(rename = "RJCT")]
    Rejected,
}

/// Final for its UETR.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Decision {
    pub(crate) reason_code: Option<ReasonCode>,
    pub(crate) decided_at: Timestamp,
    /// Until then the house says that it is pending.
    pub(crate) told_at: Timestamp,
}

impl Decision {
    pub(crate) fn status(&self) -> Status {
        if self.reason_code.is_some() { Status::Rejected } else { Status::Settled }
    }

    /// What a sender hears at this moment.
    pub(crate) fn report(&self, payment: &Payment, now: Timestamp) -> StatusReport {
        let original = payment.original();
        let (status, reason, settled_at) = match (self.status(), self.reason_code) {
            _ if now < self.told_at => (TransactionStatus::IN_PROCESS, None, None),
            (_, Some(code)) => (TransactionStatus::Rejected, Some(code.reason()), None),
            _ => (TransactionStatus::Settled, None, Some(self.decided_at)),
        };
        StatusReport { original, status, reason, settled_at, amount: Some(payment.amount) }
    }
}

pub(crate) fn decide(
    payment: &Payment,
    profile: &Profile,
    fault: Option<Effect>,
    decided_at: Timestamp,
) -> Decision {
    let refused = profile.refuses(payment.amount).and_then(|code| ReasonCode::try_from(code.to_owned()).ok());
    let reason_code = match fault {
        Some(Effect::Reject { reason_code }) => Some(reason_code),
        _ if payment.is_to_a_closed_account() => Some(ReasonCode::CLOSED_ACCOUNT),
        _ => refused,
    };
    let told_at = match fault {
        Some(Effect::Pending { delay }) => decided_at + delay,
        _ => decided_at,
    };
    Decision { reason_code, decided_at, told_at }
}

/// How a decision that stands in the journal gets to the sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    Prompt,
    Lost,
    /// Cut off in the middle.
    Malformed,
    /// About another amount.
    Mistaken,
    Late {
        delay: Duration,
    },
    /// "Pending" at once, and the decision afterwards.
    InTwo {
        delay: Duration,
    },
    Duplicated,
}

impl Delivery {
    pub(crate) fn under(fault: Option<Effect>) -> Self {
        match fault {
            Some(Effect::LoseAnswer | Effect::LoseRequest) => Self::Lost,
            Some(Effect::Malformed) => Self::Malformed,
            Some(Effect::WrongAmount) => Self::Mistaken,
            Some(Effect::AnswerLate { delay }) => Self::Late { delay },
            Some(Effect::Pending { delay }) => Self::InTwo { delay },
            Some(Effect::Duplicate) => Self::Duplicated,
            _ => Self::Prompt,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use iso20022::{Profile, TransactionStatus};
    use jiff::Timestamp;
    use money::Money;

    use super::{Decision, ReasonCode, Status, decide};
    use crate::fault::Effect;
    use crate::payment::Payment;
    use crate::payment::tests::{payment, transfer};

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn decided(payment: &Payment, fault: Option<Effect>) -> Decision {
        decide(payment, &Profile::named("nct-inst").unwrap(), fault, NOW)
    }

    #[test]
    fn payments_settle_at_the_time_of_the_decision() {
        let payment = payment(transfer());
        let report = decided(&payment, None).report(&payment, NOW);
        assert_eq!((report.status, report.settled_at), (TransactionStatus::Settled, Some(NOW)));
    }

    #[test]
    fn accounts_with_the_documented_ending_are_closed_and_a_fault_wins_over_it() {
        let mut closed = payment(transfer());
        closed.creditor_account = "DK9520000123450000".to_owned();
        let decision = decided(&closed, None);
        assert_eq!(
            (decision.status(), decision.reason_code),
            (Status::Rejected, Some(ReasonCode::CLOSED_ACCOUNT))
        );
        let fault = Effect::Reject { reason_code: ReasonCode::BLOCKED_ACCOUNT };
        assert_eq!(decided(&closed, Some(fault)).reason_code, Some(ReasonCode::BLOCKED_ACCOUNT));
    }

    #[test]
    fn what_the_rail_cannot_carry_is_rejected() {
        let mut other = payment(transfer());
        other.amount = Money::new(1, "USD".parse().unwrap());
        let code = decided(&other, None).reason_code.map(String::from);
        assert_eq!(code.as_deref(), Some("AM03"));
    }

    #[test]
    fn faults_of_the_answer_leave_the_decision_alone() {
        let payment = payment(transfer());
        let undisturbed = decided(&payment, None);
        let late = Effect::AnswerLate { delay: Duration::default() };
        for fault in [Effect::LoseAnswer, Effect::Duplicate, Effect::Malformed, late] {
            assert_eq!(decided(&payment, Some(fault)), undisturbed);
        }
    }

    #[test]
    fn a_pending_payment_is_told_later() {
        let (payment, delay) = (payment(transfer()), Duration::from_secs(5));
        let decision = decided(&payment, Some(Effect::Pending { delay }));
        let at = |seconds| decision.report(&payment, NOW + Duration::from_secs(seconds)).status;
        assert_eq!(
            [at(0), at(4), at(5)],
            [TransactionStatus::IN_PROCESS, TransactionStatus::IN_PROCESS, TransactionStatus::Settled,]
        );
    }
}
