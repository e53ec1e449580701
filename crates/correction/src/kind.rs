//! What can be corrected, each kind with what it needs.

use event::{Aggregate, Seq, StreamName};
use ledger::{Account, InternalAccount};
use money::Money;
use serde::{Deserialize, Serialize};
use transfer::{Resolution, Transfer};
use uuid::Uuid;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Kind {
    /// What became of a payment that nobody can tell the outcome of, as the rail's evidence says.
    ResolveTransfer { transfer_id: Uuid, outcome: Resolution },
    /// Takes a settled book transfer back.
    ReverseTransfer { transfer_id: Uuid },
    /// Moves money between an account and one of the ledger's own: into the account where the amount is positive.
    AdjustAccount { account_id: Uuid, amount: Money, against: InternalAccount },
    /// Has a handler leave out an event that it cannot handle: its stream goes on behind it.
    SkipParked { handler: String, stream: StreamName, seq: Seq },
}

impl Kind {
    pub const NAMES: [&'static str; 4] =
        ["resolve_transfer", "reverse_transfer", "adjust_account", "skip_parked"];

    pub fn name(&self) -> &'static str {
        match self {
            Self::ResolveTransfer { .. } => "resolve_transfer",
            Self::ReverseTransfer { .. } => "reverse_transfer",
            Self::AdjustAccount { .. } => "adjust_account",
            Self::SkipParked { .. } => "skip_parked",
        }
    }

    /// What it is about.
    pub fn subject(&self) -> StreamName {
        match self {
            Self::ResolveTransfer { transfer_id, .. } | Self::ReverseTransfer { transfer_id } => {
                Transfer::stream(*transfer_id)
            }
            Self::AdjustAccount { account_id, .. } => Account::stream(*account_id),
            Self::SkipParked { stream, .. } => stream.clone(),
        }
    }

    /// What it is told with. A transfer's story is its request's.
    pub(crate) fn correlation_id(&self, correction_id: Uuid) -> Uuid {
        match self {
            Self::ResolveTransfer { transfer_id, .. } | Self::ReverseTransfer { transfer_id } => *transfer_id,
            Self::AdjustAccount { .. } | Self::SkipParked { .. } => correction_id,
        }
    }
}

/// Why something is corrected. ISO 20022's codes of cancellations, and two more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ReasonCode {
    /// It was done twice.
    Dupl,
    /// A technical fault.
    Tech,
    Frad,
    /// The customer has asked for it.
    Cust,
    /// What the rail's records say.
    Rail,
    /// An earlier correction was wrong.
    Corr,
}

impl ReasonCode {
    pub const ALL: [Self; 6] = [Self::Dupl, Self::Tech, Self::Frad, Self::Cust, Self::Rail, Self::Corr];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dupl => "DUPL",
            Self::Tech => "TECH",
            Self::Frad => "FRAD",
            Self::Cust => "CUST",
            Self::Rail => "RAIL",
            Self::Corr => "CORR",
        }
    }
}
