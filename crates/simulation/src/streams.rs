//! The streams of one kind of aggregate, in memory.

use std::collections::BTreeMap;

use event::{Aggregate, Context};
use uuid::Uuid;

pub(crate) struct Streams<A: Aggregate> {
    pub(crate) events: BTreeMap<Uuid, Vec<A::Event>>,
}

impl<A: Aggregate> Default for Streams<A> {
    fn default() -> Self {
        Self { events: BTreeMap::new() }
    }
}

impl<A: Aggregate> Streams<A> {
    pub(crate) fn state(&self, id: Uuid) -> Option<A> {
        A::fold(None, self.events.get(&id).into_iter().flatten())
    }

    /// Decides and appends. A refusal leaves nothing.
    pub(crate) fn execute(
        &mut self,
        id: Uuid,
        command: A::Command,
        context: &Context,
    ) -> Result<Vec<A::Event>, A::Refusal> {
        let events = A::decide(self.state(id).as_ref(), command, context)?;
        self.append(id, events.clone());
        Ok(events)
    }

    pub(crate) fn append(&mut self, id: Uuid, events: Vec<A::Event>) {
        self.events.entry(id).or_default().extend(events);
    }
}
