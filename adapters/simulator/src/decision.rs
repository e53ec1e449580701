//! What the house decides about a payment, and how the answer travels: pure functions of payment and fault.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::fault::Effect;
use crate::payment::Payment;

/// A creditor account with this ending is closed, so that a rejection can be shown without a fault.
const CLOSED_ACCOUNT_SUFFIX: &str = "0000";

/// ISO 20022 `ExternalPaymentTransactionStatus1Code`, as far as this house goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Status {
    /// Accepted, settlement completed on the debtor's account.
    #[serde(rename = "ACSC")]
    Settled,
    #[serde(rename = "RJCT")]
    Rejected,
}

/// ISO 20022 `ExternalStatusReason1Code`: four capital letters or digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct ReasonCode([u8; 4]);

impl ReasonCode {
    pub(crate) const CLOSED_ACCOUNT: Self = Self(*b"AC04");
    pub(crate) const BLOCKED_ACCOUNT: Self = Self(*b"AC06");
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

/// Final for its UETR. Its JSON is the answer on the wire and in a callback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Decision {
    pub(crate) uetr: Uuid,
    pub(crate) status: Status,
    pub(crate) reason_code: Option<ReasonCode>,
    pub(crate) settled_at: Option<Timestamp>,
}

impl Decision {
    pub(crate) fn new(uetr: Uuid, reason_code: Option<ReasonCode>, decided_at: Timestamp) -> Self {
        match reason_code {
            Some(_) => Self { uetr, status: Status::Rejected, reason_code, settled_at: None },
            None => Self { uetr, status: Status::Settled, reason_code, settled_at: Some(decided_at) },
        }
    }
}

pub(crate) fn decide(payment: &Payment, fault: Option<Effect>, decided_at: Timestamp) -> Decision {
    let reason_code = match fault {
        Some(Effect::Reject { reason_code }) => Some(reason_code),
        _ if payment.creditor_iban.ends_with(CLOSED_ACCOUNT_SUFFIX) => Some(ReasonCode::CLOSED_ACCOUNT),
        _ => None,
    };
    Decision::new(payment.uetr, reason_code, decided_at)
}

/// How a decision that stands in the journal gets to the sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    Prompt,
    Lost,
    Late { delay: Duration },
    Duplicated,
}

impl Delivery {
    pub(crate) fn under(fault: Option<Effect>) -> Self {
        match fault {
            None | Some(Effect::Reject { .. } | Effect::Down | Effect::LoseEnquiry) => Self::Prompt,
            Some(Effect::LoseAnswer | Effect::LoseRequest) => Self::Lost,
            Some(Effect::AnswerLate { delay }) => Self::Late { delay },
            Some(Effect::Duplicate) => Self::Duplicated,
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::{Decision, ReasonCode, Status, decide};
    use crate::fault::Effect;
    use crate::payment::tests::{read, sample};

    #[test]
    fn payments_settle_at_the_time_of_the_decision() {
        let now = Timestamp::UNIX_EPOCH;
        let decision = decide(&read(&sample()).unwrap(), None, now);
        assert_eq!((decision.status, decision.settled_at), (Status::Settled, Some(now)));
    }

    #[test]
    fn accounts_with_the_documented_ending_are_closed() {
        let mut body = sample();
        body["creditor"]["iban"] = json!("DK9520000123450000");
        let decision = decide(&read(&body).unwrap(), None, Timestamp::UNIX_EPOCH);
        assert_eq!(decision.reason_code, Some(ReasonCode::CLOSED_ACCOUNT));
        assert_eq!((decision.status, decision.settled_at), (Status::Rejected, None));
    }

    #[test]
    fn a_reject_fault_wins_over_the_ending_of_the_account() {
        let mut body = sample();
        body["creditor"]["iban"] = json!("DK9520000123450000");
        let fault = Effect::Reject { reason_code: ReasonCode::BLOCKED_ACCOUNT };
        let decision = decide(&read(&body).unwrap(), Some(fault), Timestamp::UNIX_EPOCH);
        assert_eq!(decision.reason_code, Some(ReasonCode::BLOCKED_ACCOUNT));
    }

    #[test]
    fn faults_of_the_answer_leave_the_decision_alone() {
        let payment = read(&sample()).unwrap();
        let now = Timestamp::UNIX_EPOCH;
        let undisturbed = decide(&payment, None, now);
        for fault in [Effect::LoseAnswer, Effect::Duplicate, Effect::AnswerLate { delay: <_>::default() }] {
            assert_eq!(decide(&payment, Some(fault), now), undisturbed);
        }
    }

    #[test]
    fn the_answer_has_the_documented_shape() {
        let uetr = sample()["uetr"].as_str().unwrap().parse().unwrap();
        let settled = Decision::new(uetr, None, Timestamp::UNIX_EPOCH);
        let expected = json!({
            "uetr": uetr, "status": "ACSC", "reason_code": null, "settled_at": "1970-01-01T00:00:00Z"
        });
        assert_eq!(serde_json::to_value(settled).unwrap(), expected);
    }
}
