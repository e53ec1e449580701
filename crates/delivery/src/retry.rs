//! The aggregate: that somebody had parked work tried again. What comes of it is seen where it is parked, or is not any more.

use event::{Actor, Aggregate, Context, events};
use serde::{Deserialize, Serialize};

use crate::ParkedGroup;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryRequested {
    pub handler: String,
    pub source: String,
    pub cause: String,
    /// None: all that waited for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
    /// How many there were, as whoever asked has seen.
    pub streams: u64,
    pub per_second: u32,
    pub reason: String,
    pub by: Actor,
}

events! {
    /// The events of a `retry` stream.
    pub enum RetryEvent { RetryRequested = 1 }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Retry {
    pub requested: RetryRequested,
}

#[derive(Debug, Clone)]
pub struct RetryCommand {
    pub group: ParkedGroup,
    pub stream: Option<String>,
    /// How many there are.
    pub found: u64,
    /// How many there were when somebody looked.
    pub confirmed: u64,
    pub per_second: u32,
    pub reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RetryRefusal {
    #[error("it was asked for already")]
    AlreadyRequested,
    #[error("{0} wait for a person: read them, and confirm that")]
    OtherCount(u64),
}

impl Aggregate for Retry {
    const CATEGORY: &'static str = "retry";
    type Event = RetryEvent;
    type Command = RetryCommand;
    type Refusal = RetryRefusal;

    fn evolve(_: Option<Self>, event: &RetryEvent) -> Option<Self> {
        let RetryEvent::RetryRequested(requested) = event;
        Some(Self { requested: requested.clone() })
    }

    fn decide(
        state: Option<&Self>,
        command: RetryCommand,
        context: &Context,
    ) -> Result<Vec<RetryEvent>, RetryRefusal> {
        let RetryCommand { group, stream, found, confirmed, per_second, reason } = command;
        if state.is_some() {
            return Err(RetryRefusal::AlreadyRequested);
        }
        if found != confirmed || found == 0 {
            return Err(RetryRefusal::OtherCount(found));
        }
        let ParkedGroup { handler, source, cause, .. } = group;
        let (streams, by) = (found, context.actor.clone());
        Ok(vec![RetryRequested { handler, source, cause, stream, streams, per_second, reason, by }.into()])
    }
}

#[cfg(test)]
mod tests {
    use event::given::given;
    use jiff::Timestamp;

    use super::*;

    fn command(found: u64, confirmed: u64) -> RetryCommand {
        let group = ParkedGroup {
            handler: "ledger.view".to_owned(),
            source: "core".to_owned(),
            cause: "told to fail at …".to_owned(),
            streams: 50,
            retried: 0,
            events: 1_000,
            first_failed_at: Timestamp::UNIX_EPOCH,
            last_failed_at: Timestamp::UNIX_EPOCH,
            sample: "told to fail at note-1@3".to_owned(),
        };
        let stream = (found == 1).then(|| "note-1".to_owned());
        RetryCommand { group, stream, found, confirmed, per_second: 100, reason: "mended".to_owned() }
    }

    fn requested(streams: u64) -> RetryEvent {
        let requested = RetryRequested {
            handler: "ledger.view".to_owned(),
            source: "core".to_owned(),
            cause: "told to fail at …".to_owned(),
            stream: (streams == 1).then(|| "note-1".to_owned()),
            streams,
            per_second: 100,
            reason: "mended".to_owned(),
            by: Actor("customer:test".to_owned()),
        };
        requested.into()
    }

    #[test]
    fn what_is_confirmed_is_what_there_is() {
        given::<Retry>([]).when(command(50, 50)).then([requested(50)]);
        given::<Retry>([]).when(command(51, 50)).then_refused(&RetryRefusal::OtherCount(51));
        given::<Retry>([]).when(command(0, 0)).then_refused(&RetryRefusal::OtherCount(0));
        given::<Retry>([requested(50)]).when(command(50, 50)).then_refused(&RetryRefusal::AlreadyRequested);
    }

    #[test]
    fn events_keep_their_shape() {
        event::samples::check("samples/retry", &[requested(1)]);
    }
}
