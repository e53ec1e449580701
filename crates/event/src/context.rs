//! What a decision may know besides the state and the command.

use jiff::Timestamp;
use uuid::Uuid;

use crate::{Actor, Causation, CausationKind, Deadline, Ids, Metadata, RecordedEvent};

/// Time, ids, actor, correlation and causation of one decision.
#[derive(Debug)]
pub struct Context {
    pub now: Timestamp,
    pub actor: Actor,
    pub correlation_id: Uuid,
    pub causation: Causation,
    pub traceparent: Option<String>,
    ids: Ids,
}

impl Context {
    /// For a request from outside; the request's record carries `request_id`.
    pub fn for_request(request_id: Uuid, actor: Actor, now: Timestamp) -> Self {
        Self {
            now,
            actor,
            correlation_id: request_id,
            causation: Causation { kind: CausationKind::Request, id: request_id },
            traceparent: None,
            ids: Ids::fresh(),
        }
    }

    /// For what follows from an event. Handled again, it decides events of the same ids. Its waits begin now, however long
    /// the event has been under way; never before it.
    pub fn after(event: &RecordedEvent, service: &str, handler: &str, now: Timestamp) -> Self {
        Self {
            now: now.max(event.recorded_at),
            actor: Actor::service(service, handler),
            correlation_id: event.correlation_id,
            causation: Causation { kind: CausationKind::Event, id: event.id },
            traceparent: event.metadata.traceparent.clone(),
            ids: Ids::derived(event.id, handler),
        }
    }

    /// For a deadline that fires. Its ids follow from the deadline's: fired twice, it decides the same events.
    pub fn at_deadline(deadline: &Deadline, correlation_id: Uuid, service: &str, now: Timestamp) -> Self {
        Self {
            now,
            actor: Actor(format!("scheduler:{service}")),
            correlation_id,
            causation: Causation { kind: CausationKind::Deadline, id: deadline.id },
            traceparent: None,
            ids: Ids::derived(deadline.id, "deadline"),
        }
    }

    /// For something that came in from outside in the course of `cause`, such as a rail's answer.
    pub fn because_of(cause: Causation, correlation_id: Uuid, actor: Actor, now: Timestamp) -> Self {
        Self { now, actor, correlation_id, causation: cause, traceparent: None, ids: Ids::fresh() }
    }

    /// For work that decides nothing itself.
    pub fn at_rest(service: &str) -> Self {
        let cause = Causation { kind: CausationKind::Event, id: Uuid::nil() };
        Self::because_of(cause, Uuid::nil(), Actor::service(service, "group"), Timestamp::UNIX_EPOCH)
    }

    /// The next id of this decision.
    pub fn new_id(&self) -> Uuid {
        self.ids.next()
    }

    /// Makes a decision that is retried get the same ids.
    pub fn rewind(&self) {
        self.ids.rewind();
    }

    pub fn metadata(&self) -> Metadata {
        Metadata {
            actor: self.actor.clone(),
            causation_kind: self.causation.kind,
            traceparent: self.traceparent.clone(),
            source: None,
        }
    }
}
