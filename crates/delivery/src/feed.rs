//! The embedded source: the relay offers each event to each handler's feed, in this process.
//!
//! ```text
//!        offer: queued               queue full                    offer: settled by the durable mark
//! ┌─────┐ ────────────────────────────────────────────────► ┌────────┐
//! │ fed │                                                   │ behind │
//! └─────┘ ◄──────────────────────────────────────────────── └────────┘
//!        feeding resumes first, then what was dropped is reached in the history, then the mark is taken back
//! ```
//!
//! The feed is bounded. A handler that cannot keep up is marked behind in its database and no longer fed, so
//! that the relay goes on; it catches up by reading the history and joins again. A new handler starts behind.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex as StdMutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use event::{RecordedEvent, Seq, StreamName};
use futures::future::try_join_all;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Mutex, Notify, mpsc};

use crate::backoff::pause;
use crate::identity::fed_by;
use crate::{Engine, Stopped, registry};

/// Events that may wait for one worker of a handler. The largest transaction that core makes, a list of ten thousand corrections, does not
/// put it behind.
const QUEUE_EVENTS_MAX: usize = 16_384;
/// Events whose effects share a transaction.
const BATCH_EVENTS_MAX: usize = 256;
/// After a transaction a worker rests for as long as that took, up to this, unless more is waiting than one transaction takes: the
/// busier the machine, the longer both, and the more events share the next one. An event that comes alone after a while waits for nothing.
const REST_MAX: Duration = Duration::from_millis(20);

/// Streams whose last dropped event is remembered while a handler is behind.
const DROPPED_STREAMS_MAX: usize = 100_000;

/// Called when a handler is done with an event, whatever that meant; dropped uncalled, the event is not confirmed.
pub type Settle = Box<dyn FnOnce() + Send>;

/// One handler's end of the embedded transport.
pub struct Feed {
    engine: Engine,
    queues: Vec<mpsc::Sender<Offered>>,
    state: StdMutex<State>,
    /// Held while the durable mark and the state change together.
    marking: Mutex<()>,
    fell_behind: Notify,
}

#[derive(Default)]
struct State {
    behind: bool,
    /// What was not queued, by stream. The history has it, but perhaps not yet: the slot sends a commit before others see it.
    dropped: HashMap<StreamName, Seq>,
    /// More was dropped than is remembered here.
    dropped_more: bool,
}

struct Offered {
    event: Arc<RecordedEvent>,
    settle: Settle,
}

/// The half that works; run it beside the relay.
pub struct Worker {
    feed: Arc<Feed>,
    queues: Vec<mpsc::Receiver<Offered>>,
}

impl Feed {
    /// Registers the handler; one that is new or was left behind starts with the history.
    pub async fn open(engine: Engine) -> Result<(Arc<Self>, Worker), event_store::Error> {
        let fed_by = fed_by("embedded", engine.handler.subscription());
        // What goes with its process always begins with the history, and nobody else has to know.
        let behind = engine.handler.is_volatile()
            || registry::register(engine.store.pool(), engine.identity(), &fed_by).await?;
        let workers = engine.handler.concurrency();
        let (queues, receivers) = (0..workers).map(|_| mpsc::channel(QUEUE_EVENTS_MAX)).unzip();
        let feed = Arc::new(Self {
            engine,
            queues,
            state: StdMutex::new(State { behind, ..State::default() }),
            marking: Mutex::new(()),
            fell_behind: Notify::new(),
        });
        Ok((Arc::clone(&feed), Worker { feed, queues: receivers }))
    }

    pub fn handler_name(&self) -> &'static str {
        self.engine.handler.name()
    }

    pub fn wants(&self, source: &str, category: &str) -> bool {
        let subscription = self.engine.handler.subscription();
        subscription.source == source && subscription.categories.contains(&category)
    }

    /// Queues the event, or, when the queue is full, marks the handler behind. Never waits for the handler.
    pub async fn offer(&self, event: &Arc<RecordedEvent>, settle: Settle) -> Result<(), Stopped> {
        if self.state().drops(event) {
            settle();
            return Ok(());
        }
        let queue = &self.queues[self.queue_of(event)];
        let Err(refused) = queue.try_send(Offered { event: Arc::clone(event), settle }) else {
            return Ok(());
        };
        match refused {
            TrySendError::Full(offered) => {
                self.fall_behind(event).await?;
                (offered.settle)();
                Ok(())
            }
            TrySendError::Closed(_) => Err(Stopped),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All events of a stream go through one queue, so that they stay in order.
    fn queue_of(&self, event: &RecordedEvent) -> usize {
        let mut hasher = DefaultHasher::new();
        event.stream.as_str().hash(&mut hasher);
        usize::try_from(hasher.finish() % self.queues.len() as u64).unwrap_or_default()
    }

    async fn fall_behind(&self, event: &RecordedEvent) -> Result<(), Stopped> {
        let _marking = self.marking.lock().await;
        self.mark(Some("its queue was full")).await?;
        {
            let mut state = self.state();
            state.behind = true;
            state.drops(event);
        }
        if self.engine.handler.is_volatile() {
            self.engine.unhandled.has_begun();
        }
        self.fell_behind.notify_one();
        tracing::warn!(handler = self.handler_name(), "handler is behind, it reads the history");
        Ok(())
    }

    async fn mark(&self, behind: Option<&str>) -> Result<(), Stopped> {
        let mut hiccups = 0;
        if self.engine.handler.is_volatile() {
            return Ok(());
        }
        while let Err(error) =
            registry::mark_behind(self.engine.store.pool(), self.engine.identity(), behind).await
        {
            hiccups += 1;
            tracing::warn!(handler = self.handler_name(), %error, "marking waits for the database");
            self.engine.wait(pause(hiccups)).await?;
        }
        Ok(())
    }

    /// Catches up whenever the handler is behind, and joins again.
    async fn keep_up(&self) -> Result<(), Stopped> {
        if !self.state().behind {
            self.engine.has_caught_up();
        }
        loop {
            while self.state().behind {
                self.engine.catch_up().await?;
                // From here on new events are queued again; what was not queued is reached one by one.
                let Some(dropped) = self.state().join() else { continue };
                for (stream, seq) in dropped {
                    self.engine.reach(&stream, seq).await?;
                }
                let _marking = self.marking.lock().await;
                if !self.state().behind {
                    self.mark(None).await?;
                    self.engine.has_caught_up();
                    tracing::info!(handler = self.handler_name(), "handler has caught up");
                }
            }
            tokio::select! {
                () = self.fell_behind.notified() => {}
                () = self.engine.shutdown.cancelled() => return Err(Stopped),
            }
        }
    }

    async fn work(&self, mut queue: mpsc::Receiver<Offered>) -> Result<(), Stopped> {
        let mut batch = Vec::with_capacity(BATCH_EVENTS_MAX);
        loop {
            tokio::select! {
                received = queue.recv_many(&mut batch, BATCH_EVENTS_MAX) => if received == 0 { return Err(Stopped) },
                () = self.engine.shutdown.cancelled() => return Err(Stopped),
            }
            let events: Vec<_> = batch.iter().map(|offered| Arc::clone(&offered.event)).collect();
            let start = Instant::now();
            self.engine.deliver(&events).await?;
            let took = start.elapsed();
            let is_full = batch.len() == BATCH_EVENTS_MAX;
            for offered in batch.drain(..) {
                (offered.settle)();
            }
            if !is_full {
                self.engine.wait(took.min(REST_MAX)).await?;
            }
        }
    }
}

impl State {
    /// Whether the event is left to the history, which is noted.
    fn drops(&mut self, event: &RecordedEvent) -> bool {
        if self.behind {
            if self.dropped.len() >= DROPPED_STREAMS_MAX {
                self.dropped.clear();
                self.dropped_more = true;
            }
            self.dropped.insert(event.stream.clone(), event.seq);
        }
        self.behind
    }

    /// Feeds again, and returns what has to be reached; `None` when too much was dropped during the last round.
    fn join(&mut self) -> Option<HashMap<StreamName, Seq>> {
        if std::mem::take(&mut self.dropped_more) {
            return None;
        }
        self.behind = false;
        Some(std::mem::take(&mut self.dropped))
    }
}

impl Worker {
    /// Works until shutdown.
    pub async fn run(self) {
        let feed = &*self.feed;
        let workers = try_join_all(self.queues.into_iter().map(|queue| feed.work(queue)));
        let engine = &feed.engine;
        let _ = tokio::join!(workers, feed.keep_up(), engine.retry_parked(), engine.keep_gauges());
    }
}
