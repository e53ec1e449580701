//! What a correction would do, as it is shown, approved and compared.

use delivery::ParkedEvent;
use event::{Aggregate, NewEvent, Seq, StreamName};
use ledger::{Account, Balances};
use money::Money;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::Kind;

/// A place in a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct At {
    pub stream: StreamName,
    pub seq: Seq,
}

/// An event that would be appended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Previewed {
    pub stream: StreamName,
    pub seq: Seq,
    #[serde(rename = "type")]
    pub event_type: String,
    pub version: i16,
    pub data: Value,
}

/// What others would be told. Its seq is not known: what they are told of earlier events may still be on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    pub stream: StreamName,
    #[serde(rename = "type")]
    pub event_type: String,
    pub version: i16,
    pub data: Value,
}

/// What an account has before, and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountChange {
    pub account_id: Uuid,
    pub before: Balances,
    pub after: Balances,
}

/// Where the saga stands before, and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SagaChange {
    pub stream: StreamName,
    pub before: String,
    pub after: String,
}

/// Whether a rule holds after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    pub invariant: String,
    pub holds: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preview {
    /// Of what is corrected, the seqs and the events, but those of cases.
    pub hash: String,
    /// Of what is corrected and of the events alone, wherever their accounts stand by then: what a bulk correction is approved by.
    pub effect: String,
    /// What is at stake, if it is money.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Money>,
    /// On what it was computed: the last event of each stream that it would append to, but cases.
    pub computed_on: Vec<At>,
    pub events: Vec<Previewed>,
    pub accounts: Vec<AccountChange>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saga: Option<SagaChange>,
    /// What other services, and subscribers, would be told.
    pub messages: Vec<Told>,
    pub invariants: Vec<Verdict>,
    /// What a handler would leave out, and what it fails at there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<ParkedEvent>,
}

impl Previewed {
    pub(crate) fn of(event: &NewEvent) -> Self {
        Self {
            stream: event.stream.clone(),
            seq: event.seq,
            event_type: event.event_type.to_string(),
            version: event.version,
            data: serde_json::from_str(event.data.get()).unwrap_or_default(),
        }
    }
}

impl From<Previewed> for At {
    fn from(event: Previewed) -> Self {
        Self { stream: event.stream, seq: event.seq }
    }
}

impl From<Previewed> for Told {
    fn from(event: Previewed) -> Self {
        let Previewed { stream, event_type, version, data, .. } = event;
        Self { stream, event_type, version, data }
    }
}

/// What an approval is bound to.
pub(crate) fn hash_of(
    kind: &Kind,
    computed_on: &[At],
    events: &[Previewed],
    skipped: Option<&ParkedEvent>,
) -> Result<String, serde_json::Error> {
    Ok(hex_digest(&serde_json::to_vec(&(kind, computed_on, events, skipped))?))
}

/// The same whatever else has happened to the accounts.
pub(crate) fn effect_of(
    kind: &Kind,
    events: &[Previewed],
    skipped: Option<&ParkedEvent>,
) -> Result<String, serde_json::Error> {
    let effects: Vec<_> = events
        .iter()
        .map(|event| {
            let mut data = event.data.clone();
            if let Some(fields) =
                data.as_object_mut().filter(|_| event.stream.category() == Account::CATEGORY)
            {
                fields.remove("balances");
            }
            (&event.stream, &event.event_type, event.version, data)
        })
        .collect();
    Ok(hex_digest(&serde_json::to_vec(&(kind, effects, skipped))?))
}

pub(crate) fn hex_digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
