//! Messages that belong to no payment of ours, or that cannot be read: kept for a person, never dropped.

use event::{Aggregate, Context, Personal, events};
use event_store::{ExecuteError, Store};
use metrics::counter;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::unasked;

/// More of a reason than this is not kept.
const REASON_CHARS_MAX: usize = 500;
/// More of a message than this is not kept.
const KEPT_BYTES_MAX: usize = 64 * 1_024;
const UNMATCHED: &str = "lunaria_unmatched_messages_total";

/// So that the first one is a step, and not the beginning of a series.
pub fn start_counting(service: &'static str) {
    counter!(UNMATCHED, "service" => service).increment(0);
}

/// Keeps a message for a person: once, however often it comes.
pub async fn keep_unmatched(
    store: &Store,
    service: &'static str,
    actor: &str,
    reason: String,
    message: &[u8],
) -> Result<(), event_store::Error> {
    tracing::warn!(reason, bytes = message.len(), "a message from outside matches nothing");
    counter!(UNMATCHED, "service" => service).increment(1);
    let keep = KeepUnmatched { reason, message: message.to_vec() };
    let id = keep.id();
    match store.execute::<Unmatched>(id, keep, unasked(id, actor)).await {
        Ok(_) => Ok(()),
        Err(ExecuteError::Store(error)) => Err(error),
        Err(ExecuteError::Refused(never)) => match never {},
    }
}

/// Nobody knows what it is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageUnmatched {
    pub reason: String,
    /// As it came, 64 KiB of it at most; what is no UTF-8 in it, or a control character, is replaced.
    pub message: Personal<String>,
    /// SHA-256 of the bytes, in hexadecimal digits.
    pub sha256: String,
}

events! {
    /// The events of a `message` stream.
    pub enum UnmatchedEvent { MessageUnmatched = 1 }
}

/// One message, however often it comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmatched;

#[derive(Debug, Clone)]
pub struct KeepUnmatched {
    pub reason: String,
    pub message: Vec<u8>,
}

impl KeepUnmatched {
    /// The same message, the same stream.
    pub fn id(&self) -> Uuid {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&Sha256::digest(&self.message)[..16]);
        Uuid::new_v8(bytes)
    }
}

impl Aggregate for Unmatched {
    const CATEGORY: &'static str = "message";
    type Event = UnmatchedEvent;
    type Command = KeepUnmatched;
    type Refusal = std::convert::Infallible;

    fn evolve(_: Option<Self>, _: &UnmatchedEvent) -> Option<Self> {
        Some(Self)
    }

    fn decide(
        state: Option<&Self>,
        keep: KeepUnmatched,
        _: &Context,
    ) -> Result<Vec<UnmatchedEvent>, std::convert::Infallible> {
        if state.is_some() {
            return Ok(vec![]);
        }
        let sha256 = Sha256::digest(&keep.message).iter().map(|byte| format!("{byte:02x}")).collect();
        let beginning = &keep.message[..keep.message.len().min(KEPT_BYTES_MAX)];
        let is_noise = |character: char| character.is_control() && !character.is_whitespace();
        let message = String::from_utf8_lossy(beginning).replace(is_noise, "\u{fffd}");
        let reason = keep.reason.replace(is_noise, "\u{fffd}").chars().take(REASON_CHARS_MAX).collect();
        Ok(vec![MessageUnmatched { reason, message: message.into(), sha256 }.into()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_keep_their_shape() {
        let (reason, message) = ("no such payment".to_owned(), "<Document/>".to_owned().into());
        let unmatched = MessageUnmatched { reason, message, sha256: "00".repeat(32) };
        event::samples::check("samples/message", &[UnmatchedEvent::from(unmatched)]);
    }
}
