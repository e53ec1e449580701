//! How long the oldest event has been waiting for a handler: the number to raise an alarm on.
//!
//! ```text
//! oldest = the first of:  what is being delivered │ a parked event │ the handler is behind │ its source is silent
//! ```
//!
//! Measured where it can be known for sure: an event that Kafka has and this process has not taken is behind one that is
//! being delivered, or the source has failed.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use event::RecordedEvent;
use jiff::Timestamp;
use metrics::{Counter, Gauge, counter, gauge};

use crate::{Engine, Stopped};

const LOOK_EVERY: Duration = Duration::from_secs(5);

#[derive(Default)]
pub(crate) struct Unhandled {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    next: u64,
    /// When the oldest event of each batch that is being delivered was recorded.
    batches: BTreeMap<u64, Timestamp>,
    /// Since when it reads the history, where no row says so: it goes with its process.
    behind_since: Option<Timestamp>,
    /// Since when nothing comes from the source, or from a part of it.
    silent_since: Option<Timestamp>,
}

/// A batch that is being delivered, until it is dropped.
pub(crate) struct Delivering<'a> {
    unhandled: &'a Unhandled,
    number: u64,
}

/// One handler's, by its name and its service's.
pub(crate) struct HandlerMeters {
    pub(crate) handled: Counter,
    oldest: Gauge,
    parked: Gauge,
    behind: Gauge,
}

impl Unhandled {
    pub(crate) fn delivering(&self, events: &[impl AsRef<RecordedEvent>]) -> Delivering<'_> {
        let mut state = self.state();
        let number = state.next;
        state.next += 1;
        if let Some(oldest) = events.iter().map(|event| event.as_ref().recorded_at).min() {
            state.batches.insert(number, oldest);
        }
        Delivering { unhandled: self, number }
    }

    /// The source has failed; it counts as silent from the first failure on.
    pub(crate) fn source_is_silent(&self) {
        self.state().silent_since.get_or_insert_with(Timestamp::now);
    }

    pub(crate) fn has_begun(&self) {
        self.state().behind_since.get_or_insert_with(Timestamp::now);
    }

    pub(crate) fn has_caught_up(&self) {
        self.state().behind_since = None;
    }

    fn behind_seconds(&self) -> Option<f64> {
        self.state().behind_since.map(|since| Timestamp::now().duration_since(since).as_secs_f64())
    }

    pub(crate) fn source_speaks(&self) {
        self.state().silent_since = None;
    }

    fn oldest(&self) -> Option<Timestamp> {
        let state = self.state();
        state.batches.values().copied().chain(state.silent_since).min()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Delivering<'_> {
    fn drop(&mut self) {
        self.unhandled.state().batches.remove(&self.number);
    }
}

impl HandlerMeters {
    pub(crate) fn new(service: &str, handler: &str) -> Self {
        let labels = [("service", service.to_owned()), ("handler", handler.to_owned())];
        Self {
            handled: counter!("lunaria_handler_handled_total", &labels),
            oldest: gauge!("lunaria_handler_oldest_unhandled_seconds", &labels),
            parked: gauge!("lunaria_handler_parked_streams", &labels),
            behind: gauge!("lunaria_handler_behind", &labels),
        }
    }
}

impl Engine {
    /// Keeps the gauges until shutdown.
    pub(crate) async fn keep_gauges(&self) -> Result<(), Stopped> {
        loop {
            match self.waiting().await {
                Ok(waiting) => self.show(&waiting),
                // Nothing is handled either while the database is away: the age grows from what is being delivered.
                Err(error) => {
                    tracing::debug!(handler = self.handler.name(), %error, "what waits is not known");
                    self.show(&Waiting::default());
                }
            }
            self.wait(LOOK_EVERY).await?;
        }
    }

    async fn waiting(&self) -> Result<Waiting, sqlx::Error> {
        if self.handler.is_volatile() {
            let behind_seconds = self.unhandled.behind_seconds();
            return Ok(Waiting { behind_seconds, ..Waiting::default() });
        }
        let identity = self.identity();
        let (parked, parked_seconds, behind_seconds): (i64, Option<f64>, Option<f64>) = sqlx::query_as(
            "select (select count(*) from parked where handler = $1 and source = $2),
                    (select extract(epoch from now() - min(first_failed_at))::float8
                     from parked where handler = $1 and source = $2),
                    (select extract(epoch from now() - changed_at)::float8
                     from handler where name = $1 and source = $2 and behind)",
        )
        .bind(identity.handler)
        .bind(identity.source)
        .fetch_one(self.store.pool())
        .await?;
        Ok(Waiting { parked, parked_seconds, behind_seconds })
    }

    fn show(&self, waiting: &Waiting) {
        let delivering = self.unhandled.oldest().map(|oldest| Timestamp::now().duration_since(oldest));
        let seconds =
            [delivering.map(|age| age.as_secs_f64()), waiting.parked_seconds, waiting.behind_seconds];
        self.meters.oldest.set(seconds.into_iter().flatten().fold(0.0, f64::max));
        self.meters.parked.set(waiting.parked as f64);
        self.meters.behind.set(f64::from(u8::from(waiting.behind_seconds.is_some())));
    }
}

/// What the handler's database knows.
#[derive(Debug, Default)]
struct Waiting {
    parked: i64,
    /// Since the first failure of the one that has failed longest.
    parked_seconds: Option<f64>,
    behind_seconds: Option<f64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_of_what_is_still_being_delivered_or_of_the_source_that_is_silent() {
        let unhandled = Unhandled::default();
        let at = |second| Timestamp::from_second(second).unwrap();
        let batch = |second| {
            let mut state = unhandled.state();
            let number = state.next;
            state.next += 1;
            state.batches.insert(number, at(second));
            drop(state);
            Delivering { unhandled: &unhandled, number }
        };
        let (older, newer) = (batch(10), batch(20));
        assert_eq!(unhandled.oldest(), Some(at(10)));
        drop(older);
        assert_eq!(unhandled.oldest(), Some(at(20)));
        drop(newer);
        assert_eq!(unhandled.oldest(), None);
        unhandled.source_is_silent();
        let first = unhandled.oldest();
        unhandled.source_is_silent();
        assert!(first.is_some() && unhandled.oldest() == first);
        unhandled.source_speaks();
        assert_eq!(unhandled.oldest(), None);
    }
}
