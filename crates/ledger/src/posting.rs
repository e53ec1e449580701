//! Postings: what an event does to the ledger's accounts. They sum to zero per currency.

use std::collections::HashMap;
use std::fmt;

use money::{Currency, Money};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// An account of the ledger. A customer's account is two of them, so that a reservation is a posting like any
/// other and all that is in flight can be read off the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum LedgerAccount {
    /// What the customer may spend.
    Available(Uuid),
    /// What is held for transfers that have not ended.
    Reserved(Uuid),
    /// Between the two events of a book transfer.
    InTransit,
    /// What the rails have paid out for us.
    Settlement,
    /// What was paid out and is not covered by a customer's money: someone has to get it back.
    Suspense,
    /// Where demo money comes from.
    Funding,
}

/// Those of the ledger that are nobody's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InternalAccount {
    InTransit,
    Settlement,
    Suspense,
    Funding,
}

impl From<InternalAccount> for LedgerAccount {
    fn from(account: InternalAccount) -> Self {
        match account {
            InternalAccount::InTransit => Self::InTransit,
            InternalAccount::Settlement => Self::Settlement,
            InternalAccount::Suspense => Self::Suspense,
            InternalAccount::Funding => Self::Funding,
        }
    }
}

/// One leg: positive is into the account, negative out of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Posting {
    pub account: LedgerAccount,
    pub amount: Money,
}

impl Posting {
    /// The two legs of an amount that goes from one account to another.
    pub fn pair(amount: Money, from: LedgerAccount, to: LedgerAccount) -> Result<Vec<Self>, money::Error> {
        Ok(vec![Self { account: from, amount: amount.negated()? }, Self { account: to, amount }])
    }
}

/// Whether postings sum to zero in each currency.
pub fn postings_balance(postings: &[Posting]) -> bool {
    let mut sums: HashMap<Currency, i128> = HashMap::new();
    for posting in postings {
        *sums.entry(posting.amount.currency()).or_default() += i128::from(posting.amount.minor());
    }
    sums.values().all(|sum| *sum == 0)
}

impl fmt::Display for LedgerAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Available(id) => write!(f, "available:{id}"),
            Self::Reserved(id) => write!(f, "reserved:{id}"),
            Self::InTransit => f.write_str("in-transit"),
            Self::Settlement => f.write_str("settlement"),
            Self::Suspense => f.write_str("suspense"),
            Self::Funding => f.write_str("funding"),
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not an account of the ledger")]
pub struct UnknownLedgerAccount(String);

impl TryFrom<String> for LedgerAccount {
    type Error = UnknownLedgerAccount;

    fn try_from(text: String) -> Result<Self, UnknownLedgerAccount> {
        let id = |text: &str| text.parse::<Uuid>().ok();
        let account = match text.as_str() {
            "in-transit" => Some(Self::InTransit),
            "settlement" => Some(Self::Settlement),
            "suspense" => Some(Self::Suspense),
            "funding" => Some(Self::Funding),
            other => match other.split_once(':') {
                Some(("available", text)) => id(text).map(Self::Available),
                Some(("reserved", text)) => id(text).map(Self::Reserved),
                _ => None,
            },
        };
        account.ok_or(UnknownLedgerAccount(text))
    }
}

impl From<LedgerAccount> for String {
    fn from(account: LedgerAccount) -> Self {
        account.to_string()
    }
}
