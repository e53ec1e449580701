//! State folded from one stream, and the pure rules that turn a command into events.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Context, DomainEvent, Snapshots, StreamName};

/// A wait's limit. It is stored in the event that starts the wait, and when it fires, that is an event too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deadline {
    pub id: Uuid,
    pub due_at: Timestamp,
}

impl Deadline {
    /// A deadline that falls due after `wait`. Times have microseconds, as Postgres keeps them.
    pub fn after(wait: SignedDuration, context: &Context) -> Self {
        let due_at = context.now.saturating_add(wait).unwrap_or(Timestamp::MAX);
        let due_at = Timestamp::from_microsecond(due_at.as_microsecond()).unwrap_or(due_at);
        Self { id: context.new_id(), due_at }
    }
}

/// What keeps one stream's rules.
pub trait Aggregate: Sized + Clone + Send + Sync + 'static {
    const CATEGORY: &'static str;
    /// For an aggregate whose streams grow long.
    const SNAPSHOTS: Option<Snapshots<Self>> = None;
    type Event: DomainEvent;
    type Command: Clone + Send + Sync + 'static;
    /// Why a command is not allowed. A refusal that the domain should remember is an event instead.
    type Refusal: std::fmt::Debug + Send + 'static;

    /// Folds one event; it cannot fail, as the event has happened.
    fn evolve(state: Option<Self>, event: &Self::Event) -> Option<Self>;

    /// Turns a command into the events that follow from it. No events: it has been done already.
    fn decide(
        state: Option<&Self>,
        command: Self::Command,
        context: &Context,
    ) -> Result<Vec<Self::Event>, Self::Refusal>;

    /// What this state waits for, if it waits: exactly one live deadline.
    fn deadline(&self) -> Option<Deadline> {
        None
    }

    /// The command that a fired deadline is.
    fn on_deadline(_deadline: Deadline) -> Option<Self::Command> {
        None
    }

    fn stream(id: Uuid) -> StreamName {
        StreamName::of(Self::CATEGORY, id)
    }

    fn fold<'a>(state: Option<Self>, events: impl IntoIterator<Item = &'a Self::Event>) -> Option<Self> {
        events.into_iter().fold(state, Self::evolve)
    }
}
