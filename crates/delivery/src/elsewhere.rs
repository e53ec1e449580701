//! Read models that are kept elsewhere than in the service's database: in memory, in a document store, in a search engine.
//!
//! ```text
//! Handler    one transaction of the service's database: effect + cursor           effects happen once
//! Elsewhere  the other store has the effect and how far it has come, together     what it takes twice comes to the same
//! ```

use std::sync::Arc;

use async_trait::async_trait;
use event::{RecordedEvent, Seq, StreamName};

use crate::{HandleError, Handler, Subscription};

/// A read model in a store of its own, which therefore keeps the cursors too. `examples/document_store.rs` is one.
#[async_trait]
pub trait Elsewhere: Send + Sync + 'static {
    /// Once deployed, for ever.
    fn name(&self) -> &'static str;

    fn subscription(&self) -> Subscription;

    /// How far it has come in each of these streams: what [`Self::take`] was last given of it, zero before.
    async fn places(&self, streams: &[&StreamName]) -> Result<Vec<Seq>, HandleError>;

    /// Takes events, never none, each stream's in order and without a hole after its place, and with them the places. A store that can do both at
    /// once does, and leaves out what is not after the place that it has: a consumer that has lost its partition may still be at it. One that
    /// cannot writes the places last, and makes the same of what it is given again after a crash in between.
    /// Says [`HandleError::Unavailable`] while the store is away, which is waited for; any other error parks the event, unless it all goes with the process: then it is waited for, too.
    async fn take(&self, events: &[&RecordedEvent]) -> Result<(), HandleError>;

    /// Whether all of it goes with the process, and begins with the history again. Several processes may then have one each.
    fn is_volatile(&self) -> bool {
        false
    }

    /// It has all that was there when it began, and is given what happens from now on.
    fn has_caught_up(&self) {}
}

/// Who gets the events.
#[derive(Clone)]
pub(crate) enum Subscriber {
    Handler(Arc<dyn Handler>),
    Elsewhere(Arc<dyn Elsewhere>),
}

impl Subscriber {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Handler(handler) => handler.name(),
            Self::Elsewhere(elsewhere) => elsewhere.name(),
        }
    }

    pub(crate) fn subscription(&self) -> Subscription {
        match self {
            Self::Handler(handler) => handler.subscription(),
            Self::Elsewhere(elsewhere) => elsewhere.subscription(),
        }
    }

    pub(crate) fn concurrency(&self) -> usize {
        match self {
            Self::Handler(handler) => handler.concurrency().max(1),
            Self::Elsewhere(_) => 1,
        }
    }

    pub(crate) fn is_volatile(&self) -> bool {
        matches!(self, Self::Elsewhere(elsewhere) if elsewhere.is_volatile())
    }

    pub(crate) fn has_caught_up(&self) {
        if let Self::Elsewhere(elsewhere) = self {
            elsewhere.has_caught_up();
        }
    }
}
