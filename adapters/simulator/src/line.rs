//! A line of the journal: one decision of the house, or what became of it.

use jiff::Timestamp;
use money::{Currency, Money};
use serde::{Deserialize, Serialize};
use url::Url;
use uuid::Uuid;

use crate::book::Return;
use crate::card_line::{CardLine, CardTakenLine};
use crate::decision::{Decision, ReasonCode, Status};
use crate::offer::{Holder, Offer, Outcome};
use crate::offers::TakenBack;
use crate::payment::{ContentHash, Payment};

/// One decision. The kinds differ in their members.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Line {
    Payment(PaymentLine),
    Return(ReturnLine),
    Recall(RecallLine),
    Receipt(ReceiptLine),
    Moved(MovedLine),
    Offer(OfferLine),
    Outcome(OutcomeLine),
    TakenBack(TakenBackLine),
    Card(CardLine),
    CardTaken(CardTakenLine),
}

/// A payment was settled or rejected. What has a default is missing in lines from before the house spoke ISO 20022.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PaymentLine {
    /// 1, 2, 3 … without holes.
    n: u64,
    pub(crate) uetr: Uuid,
    end_to_end_id: String,
    #[serde(default)]
    transaction_id: String,
    #[serde(default)]
    message_id: String,
    #[serde(default)]
    sender: String,
    status: Status,
    reason_code: Option<ReasonCode>,
    amount: String,
    currency: Currency,
    creditor_iban: String,
    #[serde(default)]
    reply_to: Option<Url>,
    decided_at: Timestamp,
    #[serde(default)]
    told_at: Option<Timestamp>,
    content_hash: ContentHash,
}

/// A settled payment, or a part of it, goes back.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReturnLine {
    n: u64,
    pub(crate) uetr: Uuid,
    pub(crate) return_id: String,
    amount: String,
    currency: Currency,
    pub(crate) return_reason: ReasonCode,
    /// The recall that it follows.
    pub(crate) case_id: Option<String>,
    pub(crate) decided_at: Timestamp,
}

/// The creditor's bank does not give a payment back.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RecallLine {
    n: u64,
    pub(crate) uetr: Uuid,
    pub(crate) case_id: String,
    pub(crate) recall_refused: ReasonCode,
    pub(crate) decided_at: Timestamp,
}

/// The sender of the payment has taken a return, or the refusal of a recall.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReceiptLine {
    n: u64,
    pub(crate) uetr: Uuid,
    /// A `return_id` or a `case_id`.
    pub(crate) taken: String,
    pub(crate) decided_at: Timestamp,
}

/// Messages about the payment go to another address.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MovedLine {
    n: u64,
    pub(crate) uetr: Uuid,
    pub(crate) reply_to: Url,
    pub(crate) decided_at: Timestamp,
}

/// Another bank's customer pays one of this bank's.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OfferLine {
    n: u64,
    pub(crate) uetr: Uuid,
    /// The creditor's bank.
    offered_to: String,
    deliver_to: Url,
    message_id: String,
    end_to_end_id: String,
    transaction_id: String,
    amount: String,
    currency: Currency,
    debtor: Holder,
    creditor: Holder,
    remittance: Option<String>,
    decided_at: Timestamp,
}

/// What has become of an offer.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OutcomeLine {
    n: u64,
    pub(crate) uetr: Uuid,
    outcome: Status,
    outcome_reason: Option<ReasonCode>,
    decided_at: Timestamp,
}

/// The creditor's bank has given it back.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TakenBackLine {
    n: u64,
    pub(crate) uetr: Uuid,
    taken_back: String,
    amount: String,
    currency: Currency,
    decided_at: Timestamp,
}

/// The number is the writer's to give: its order is the file's order.
const UNNUMBERED: u64 = 0;

impl Line {
    pub(crate) fn payment(payment: &Payment, decision: &Decision) -> Self {
        Self::Payment(PaymentLine {
            n: UNNUMBERED,
            uetr: payment.uetr,
            end_to_end_id: payment.end_to_end_id.clone(),
            transaction_id: payment.transaction_id.clone(),
            message_id: payment.message_id.clone(),
            sender: payment.sender.clone(),
            status: decision.status(),
            reason_code: decision.reason_code,
            amount: payment.amount.minor().to_string(),
            currency: payment.amount.currency(),
            creditor_iban: payment.creditor_account.clone(),
            reply_to: payment.reply_to.clone(),
            decided_at: decision.decided_at,
            told_at: Some(decision.told_at),
            content_hash: payment.content_hash,
        })
    }

    pub(crate) fn returned(uetr: Uuid, returned: &Return) -> Self {
        Self::Return(ReturnLine {
            n: UNNUMBERED,
            uetr,
            return_id: returned.return_id.clone(),
            amount: returned.amount.minor().to_string(),
            currency: returned.amount.currency(),
            return_reason: returned.reason,
            case_id: returned.case_id.clone(),
            decided_at: returned.decided_at,
        })
    }

    pub(crate) fn recall_refused(
        uetr: Uuid,
        case_id: String,
        reason: ReasonCode,
        decided_at: Timestamp,
    ) -> Self {
        Self::Recall(RecallLine { n: UNNUMBERED, uetr, case_id, recall_refused: reason, decided_at })
    }

    pub(crate) fn receipt(uetr: Uuid, taken: String, decided_at: Timestamp) -> Self {
        Self::Receipt(ReceiptLine { n: UNNUMBERED, uetr, taken, decided_at })
    }

    pub(crate) fn moved(uetr: Uuid, reply_to: Url, decided_at: Timestamp) -> Self {
        Self::Moved(MovedLine { n: UNNUMBERED, uetr, reply_to, decided_at })
    }

    pub(crate) fn offer(offer: &Offer) -> Self {
        Self::Offer(OfferLine {
            n: UNNUMBERED,
            uetr: offer.uetr,
            offered_to: offer.to.clone(),
            deliver_to: offer.deliver_to.clone(),
            message_id: offer.message_id.clone(),
            end_to_end_id: offer.end_to_end_id.clone(),
            transaction_id: offer.transaction_id.clone(),
            amount: offer.amount.minor().to_string(),
            currency: offer.amount.currency(),
            debtor: offer.debtor.clone(),
            creditor: offer.creditor.clone(),
            remittance: offer.remittance.clone(),
            decided_at: offer.offered_at,
        })
    }

    pub(crate) fn outcome(uetr: Uuid, outcome: Outcome) -> Self {
        let status = if outcome.reason_code.is_some() { Status::Rejected } else { Status::Settled };
        let (outcome_reason, decided_at) = (outcome.reason_code, outcome.decided_at);
        Self::Outcome(OutcomeLine { n: UNNUMBERED, uetr, outcome: status, outcome_reason, decided_at })
    }

    pub(crate) fn taken_back(uetr: Uuid, back: &TakenBack, decided_at: Timestamp) -> Self {
        let (taken_back, currency) = (back.return_id.clone(), back.amount.currency());
        let amount = back.amount.minor().to_string();
        Self::TakenBack(TakenBackLine { n: UNNUMBERED, uetr, taken_back, amount, currency, decided_at })
    }

    pub(crate) fn number(&self) -> u64 {
        match self {
            Self::Payment(line) => line.n,
            Self::Return(line) => line.n,
            Self::Recall(line) => line.n,
            Self::Receipt(line) => line.n,
            Self::Moved(line) => line.n,
            Self::Offer(line) => line.n,
            Self::Outcome(line) => line.n,
            Self::TakenBack(line) => line.n,
            Self::Card(line) => line.n,
            Self::CardTaken(line) => line.n,
        }
    }

    pub(crate) fn set_number(&mut self, n: u64) {
        match self {
            Self::Payment(line) => line.n = n,
            Self::Return(line) => line.n = n,
            Self::Recall(line) => line.n = n,
            Self::Receipt(line) => line.n = n,
            Self::Moved(line) => line.n = n,
            Self::Offer(line) => line.n = n,
            Self::Outcome(line) => line.n = n,
            Self::TakenBack(line) => line.n = n,
            Self::Card(line) => line.n = n,
            Self::CardTaken(line) => line.n = n,
        }
    }
}

impl PaymentLine {
    pub(crate) fn restored(&self) -> Result<(Payment, Decision), &'static str> {
        if (self.status == Status::Rejected) != self.reason_code.is_some() {
            return Err("its status and its reason code contradict each other");
        }
        let payment = Payment {
            sender: self.sender.clone(),
            message_id: self.message_id.clone(),
            end_to_end_id: self.end_to_end_id.clone(),
            transaction_id: self.transaction_id.clone(),
            uetr: self.uetr,
            amount: money(&self.amount, self.currency)?,
            creditor_account: self.creditor_iban.clone(),
            reply_to: self.reply_to.clone(),
            content_hash: self.content_hash,
        };
        let (reason_code, decided_at) = (self.reason_code, self.decided_at);
        let told_at = self.told_at.unwrap_or(decided_at);
        Ok((payment, Decision { reason_code, decided_at, told_at }))
    }
}

impl OfferLine {
    pub(crate) fn restored(&self) -> Result<Offer, &'static str> {
        Ok(Offer {
            uetr: self.uetr,
            message_id: self.message_id.clone(),
            end_to_end_id: self.end_to_end_id.clone(),
            transaction_id: self.transaction_id.clone(),
            to: self.offered_to.clone(),
            deliver_to: self.deliver_to.clone(),
            amount: money(&self.amount, self.currency)?,
            debtor: self.debtor.clone(),
            creditor: self.creditor.clone(),
            remittance: self.remittance.clone(),
            offered_at: self.decided_at,
        })
    }
}

impl OutcomeLine {
    pub(crate) fn outcome(&self) -> Outcome {
        Outcome { reason_code: self.outcome_reason, decided_at: self.decided_at }
    }
}

impl TakenBackLine {
    pub(crate) fn restored(&self) -> Result<TakenBack, &'static str> {
        Ok(TakenBack { return_id: self.taken_back.clone(), amount: money(&self.amount, self.currency)? })
    }
}

impl ReturnLine {
    pub(crate) fn amount(&self) -> Result<Money, &'static str> {
        money(&self.amount, self.currency)
    }
}

fn money(minor: &str, currency: Currency) -> Result<Money, &'static str> {
    let amount = Money::parse(minor, currency).ok().filter(|amount| amount.is_positive());
    amount.ok_or("its amount is no positive number of minor units")
}
