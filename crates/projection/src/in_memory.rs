//! A small read model that is asked often, and kept in memory: by each process that asks it, from its own reading of the history on.

use std::collections::{BTreeMap, HashMap};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use async_trait::async_trait;
use delivery::{Elsewhere, HandleError, Subscription};
use event::{RecordedEvent, Seq, StreamName};
use metrics::{Gauge, gauge};
use tokio::sync::watch;

/// What events come to. It takes as much memory as it holds, and some hundred bytes for each stream.
pub trait MemoryView: Default + Send + Sync + 'static {
    const NAME: &'static str;
    const SUBSCRIPTION: Subscription;

    /// The next event of its stream.
    fn take(&mut self, event: &RecordedEvent) -> Result<(), HandleError>;
}

/// Keeps a [`MemoryView`]; asked while it is being given events.
pub struct InMemory<V> {
    held: RwLock<Held<V>>,
    has_caught_up: watch::Sender<bool>,
    stuck: Gauge,
}

#[derive(Default)]
struct Held<V> {
    view: V,
    places: HashMap<StreamName, Seq>,
    /// Streams at an event that it could not take, and why: they stay as they were before it.
    stuck: BTreeMap<StreamName, String>,
}

impl<V: MemoryView> Default for InMemory<V> {
    fn default() -> Self {
        let stuck = gauge!("lunaria_view_stuck_streams", "view" => V::NAME);
        Self { held: RwLock::default(), has_caught_up: watch::Sender::new(false), stuck }
    }
}

impl<V: MemoryView> InMemory<V> {
    /// Looks at the view, as soon as it has all that was there when its process began. None: not within the limit.
    pub async fn look<T>(&self, limit: Duration, look: impl FnOnce(&V) -> T) -> Option<T> {
        let mut has_caught_up = self.has_caught_up.subscribe();
        let waited = tokio::time::timeout(limit, has_caught_up.wait_for(|has| *has)).await;
        waited.is_ok().then(|| look(&self.held().view))
    }

    /// How many streams it does not show as they are, since it could not take an event of theirs.
    pub fn stuck_streams(&self) -> usize {
        self.held().stuck.len()
    }

    fn held(&self) -> RwLockReadGuard<'_, Held<V>> {
        self.held.read().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl<V: MemoryView> Elsewhere for InMemory<V> {
    fn name(&self) -> &'static str {
        V::NAME
    }

    fn subscription(&self) -> Subscription {
        V::SUBSCRIPTION
    }

    async fn places(&self, streams: &[&StreamName]) -> Result<Vec<Seq>, HandleError> {
        let held = self.held();
        Ok(streams.iter().map(|stream| held.places.get(*stream).copied().unwrap_or_default()).collect())
    }

    /// Never fails: nobody can mend what a process holds, and the next one begins anew.
    async fn take(&self, events: &[&RecordedEvent]) -> Result<(), HandleError> {
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        let Held { view, places, stuck } = &mut *held;
        for event in events {
            let place = places.get(&event.stream).copied().unwrap_or_default();
            if event.seq <= place {
                continue;
            }
            if !stuck.contains_key(&event.stream)
                && let Err(error) = view.take(event)
            {
                tracing::error!(view = V::NAME, stream = %event.stream, seq = %event.seq, %error, "the view is stuck at this event");
                stuck.insert(event.stream.clone(), error.to_string());
            }
            places.insert(event.stream.clone(), event.seq);
        }
        self.stuck.set(stuck.len() as f64);
        Ok(())
    }

    fn is_volatile(&self) -> bool {
        true
    }

    fn has_caught_up(&self) {
        self.has_caught_up.send_replace(true);
    }
}
