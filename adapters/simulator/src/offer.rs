//! A payment of another bank's customer to one of the bank that is tested: what it is, and how far it has come.

use iso20022::{CreditTransfer, Original, OriginalKind, Party, StatusReport, TransactionStatus};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use money::{Currency, Money};
use serde::{Deserialize, Serialize};
use url::Url;
use uuid::Uuid;

use crate::decision::ReasonCode;
use crate::input::Input;
use crate::problem::Problem;

/// A storm.
const COUNT_MAX: u32 = 10_000;
/// A published example of an IBAN, so that nobody's account is meant.
const DEBTOR_ACCOUNT: &str = "DE89370400440532013000";
const DEBTOR: &str = "Muster GmbH";
const CREDITOR: &str = "Account Holder";

/// What somebody has ordered.
#[derive(Debug)]
pub(crate) struct OfferOrder {
    /// The creditor's bank, and where it is reached, unless the house knows.
    pub(crate) to: Option<String>,
    pub(crate) deliver_to: Option<Url>,
    pub(crate) count: u32,
    amount: Money,
    debtor: Holder,
    creditor: Holder,
    remittance: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Holder {
    pub(crate) account: String,
    pub(crate) name: String,
}

impl OfferOrder {
    pub(crate) fn from_input(mut input: Input) -> Result<Self, Problem> {
        let code = input.text("currency", 3..=3)?;
        let currency: Currency =
            code.parse().map_err(|_| input.invalid("currency", "is not an ISO 4217 currency"))?;
        let text = input.text("amount", 1..=18)?;
        let amount = Money::parse(&text, currency).ok().filter(|amount| amount.is_positive());
        let amount = amount.ok_or_else(|| input.invalid("amount", "is no positive number of minor units"))?;
        let creditor = Holder {
            account: input.text("creditor_iban", 1..=34)?,
            name: input.optional_text("creditor_name", 1..=140)?.unwrap_or_else(|| CREDITOR.to_owned()),
        };
        let debtor = Holder {
            account: input.optional_text("debtor_iban", 1..=34)?.unwrap_or_else(|| DEBTOR_ACCOUNT.to_owned()),
            name: input.optional_text("debtor_name", 1..=140)?.unwrap_or_else(|| DEBTOR.to_owned()),
        };
        let remittance = input.optional_text("remittance", 1..=140)?;
        let to = input.optional_text("to", 8..=11)?;
        let deliver_to = match input.optional_text("deliver_to", 1..=2_048)? {
            Some(text) => {
                let url = text.parse::<Url>().ok().filter(|url| url.scheme() == "http");
                Some(url.ok_or_else(|| input.invalid("deliver_to", "is no http URL"))?)
            }
            None => None,
        };
        let count = input.optional_number("count", 1..=COUNT_MAX)?.unwrap_or(1);
        input.finish()?;
        Ok(Self { to, deliver_to, count, amount, debtor, creditor, remittance })
    }

    pub(crate) fn offer(&self, to: &str, deliver_to: &Url, now: Timestamp) -> Offer {
        let id = Uuid::now_v7().simple().to_string();
        Offer {
            uetr: uuid::Builder::from_random_bytes(rand::random()).into_uuid(),
            message_id: format!("M{id}"),
            end_to_end_id: format!("E{id}"),
            transaction_id: format!("T{id}"),
            to: to.to_owned(),
            deliver_to: deliver_to.clone(),
            amount: self.amount,
            debtor: self.debtor.clone(),
            creditor: self.creditor.clone(),
            remittance: self.remittance.clone(),
            offered_at: now,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Offer {
    pub(crate) uetr: Uuid,
    pub(crate) message_id: String,
    pub(crate) end_to_end_id: String,
    pub(crate) transaction_id: String,
    /// The creditor's bank.
    pub(crate) to: String,
    /// Where it was when this was ordered.
    pub(crate) deliver_to: Url,
    pub(crate) amount: Money,
    pub(crate) debtor: Holder,
    pub(crate) creditor: Holder,
    pub(crate) remittance: Option<String>,
    pub(crate) offered_at: Timestamp,
}

impl Offer {
    pub(crate) fn transfer(&self, creditor_bank: &str, debtor_bank: &str) -> CreditTransfer {
        let party = |holder: &Holder, agent: &str| Party {
            name: holder.name.clone(),
            account: holder.account.clone(),
            agent: Some(agent.to_owned()),
        };
        CreditTransfer {
            end_to_end_id: self.end_to_end_id.clone(),
            transaction_id: self.transaction_id.clone(),
            uetr: self.uetr,
            amount: self.amount,
            settlement_date: self.offered_at.to_zoned(TimeZone::UTC).date(),
            accepted_at: self.offered_at,
            debtor: party(&self.debtor, debtor_bank),
            creditor: party(&self.creditor, creditor_bank),
            remittance: self.remittance.clone(),
        }
    }

    pub(crate) fn original(&self) -> Original {
        Original {
            kind: OriginalKind::CreditTransfer,
            message_id: self.message_id.clone(),
            end_to_end_id: self.end_to_end_id.clone(),
            transaction_id: self.transaction_id.clone(),
            uetr: self.uetr,
        }
    }
}

/// Final: the money has moved, or it will not, for this reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) reason_code: Option<ReasonCode>,
    pub(crate) decided_at: Timestamp,
}

impl Outcome {
    /// What the creditor's bank hears. None: nothing is decided.
    pub(crate) fn report(outcome: Option<Self>, original: Original) -> StatusReport {
        let (status, reason, settled_at) = match outcome {
            None => (TransactionStatus::IN_PROCESS, None, None),
            Some(Self { reason_code: Some(code), .. }) => {
                (TransactionStatus::Rejected, Some(code.reason()), None)
            }
            Some(Self { decided_at, .. }) => (TransactionStatus::Settled, None, Some(decided_at)),
        };
        StatusReport { original, status, reason, settled_at, amount: None }
    }
}
