//! Delivers events to one handler, or to what is kept elsewhere: cursor, duplicates, gaps, retries, parking.

use std::collections::HashMap;
use std::sync::Arc;

use event::{Context, RecordedEvent, Seq, StreamName};
use event_store::{Store, UnitOfWork};
use futures::future::BoxFuture;
use jiff::Timestamp;
use sqlx::PgConnection;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::backoff::{ATTEMPTS_MAX, CONFLICTS_MAX, conflict_pause, pause};
use crate::cursor::{self, Moved, Place, Step};
use crate::elsewhere::Subscriber;
use crate::identity::Identity;
use crate::parked::Blame;
use crate::unhandled::{HandlerMeters, Unhandled};
use crate::{Elsewhere, HandleError, Handler, History, Stopped, parked};

/// A commit is readable within milliseconds. One that is not for so many looks (some seconds) waits for a standby, or was
/// lost by a restore: somebody should know.
const INVISIBLE_TOLD_EVERY: u32 = 500;

/// Delivers to one handler, whose effects go into `store`. Cheap to clone; several deliveries may run at once.
#[derive(Clone)]
pub struct Engine {
    pub(crate) handler: Subscriber,
    pub(crate) store: Store,
    pub(crate) history: Arc<dyn History>,
    pub(crate) shutdown: CancellationToken,
    pub(crate) unhandled: Arc<Unhandled>,
    pub(crate) meters: Arc<HandlerMeters>,
    /// Held by who is writing elsewhere.
    taking: Arc<Mutex<()>>,
}

/// Whether events behind a parked one wait, or are what is being retried.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parked {
    Waits,
    IsRetried,
}

/// How an attempt knows where the cursors stand.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Start {
    /// Just before its events, with nothing parked, and aggregates as they are remembered: as is usual. The compare-and-set and
    /// the append prove it; whatever fails is tried again as below.
    Assumed,
    Read,
}

/// Why an attempt has not settled its events.
enum Failure {
    /// One of the events makes no sense to the handler.
    Event(String),
    /// Events of this stream are missing before one of these.
    Gap(StreamName),
    /// Somebody else was first.
    Conflict,
    /// An event of this stream cannot be read here yet: its commit is still on its way.
    NotVisible(String),
    Transient(String),
}

impl Failure {
    fn reason(&self) -> &str {
        match self {
            Self::Event(reason) | Self::Transient(reason) => reason,
            Self::Gap(_) => "the history does not have the events before it",
            Self::Conflict => "its streams are in dispute without end",
            Self::NotVisible(_) => "it is not in its table",
        }
    }

    fn blame(&self) -> Blame {
        if let Self::Event(_) = self { Blame::Event } else { Blame::Circumstances }
    }
}

/// What has been tried for one batch so far.
#[derive(Default)]
struct Tries {
    invisible: u32,
    conflicts: u32,
    gaps: u32,
    hiccups: u32,
}

impl Engine {
    pub fn new(
        handler: Arc<dyn Handler>,
        store: Store,
        history: Arc<dyn History>,
        shutdown: CancellationToken,
    ) -> Self {
        Self::of(Subscriber::Handler(handler), store, history, shutdown)
    }

    /// For a read model that is kept elsewhere. `store` knows which of its streams wait.
    pub fn elsewhere(
        elsewhere: Arc<dyn Elsewhere>,
        store: Store,
        history: Arc<dyn History>,
        shutdown: CancellationToken,
    ) -> Self {
        Self::of(Subscriber::Elsewhere(elsewhere), store, history, shutdown)
    }

    fn of(handler: Subscriber, store: Store, history: Arc<dyn History>, shutdown: CancellationToken) -> Self {
        let meters = Arc::new(HandlerMeters::new(store.service(), handler.name()));
        let unhandled = Arc::<Unhandled>::default();
        if handler.is_volatile() {
            unhandled.has_begun();
        }
        Self { handler, store, history, shutdown, unhandled, meters, taking: Arc::default() }
    }

    /// It has all that was there when it began.
    pub(crate) fn has_caught_up(&self) {
        self.unhandled.has_caught_up();
        self.handler.has_caught_up();
    }

    pub(crate) fn identity(&self) -> Identity<'_> {
        Identity { handler: self.handler.name(), source: self.handler.subscription().source }
    }

    /// Returns when each event is settled: its effect committed (now or earlier), parked, or waiting behind a parked
    /// one. The events of a stream must be in order.
    pub async fn deliver(&self, events: &[Arc<RecordedEvent>]) -> Result<(), Stopped> {
        let _delivering = self.unhandled.delivering(events);
        self.settle(events, Parked::Waits).await
    }

    pub(crate) fn settle<'a>(
        &'a self,
        events: &'a [Arc<RecordedEvent>],
        parked: Parked,
    ) -> BoxFuture<'a, Result<(), Stopped>> {
        Box::pin(async move {
            let mut tries = Tries::default();
            let may_assume = matches!(self.handler, Subscriber::Handler(_))
                && parked == Parked::Waits
                && !event::mutants::active("cursor_outside_transaction");
            if may_assume && self.attempt(events, parked, Start::Assumed).await.is_ok() {
                return Ok(());
            }
            loop {
                let Err(failure) = self.attempt(events, parked, Start::Read).await else { return Ok(()) };
                if self.may_retry(&failure, &mut tries).await? {
                    continue;
                }
                if let [event] = events {
                    return self.park(event, &failure).await;
                }
                // One by one, so that only the stream of the one that fails has to wait.
                for event in events {
                    self.settle(std::slice::from_ref(event), parked).await?;
                }
                return Ok(());
            }
        })
    }

    /// Waits for what may pass: a commit on its way, a rival, the database; fills a gap. False when it is time to give up.
    async fn may_retry(&self, failure: &Failure, tries: &mut Tries) -> Result<bool, Stopped> {
        let handler = self.handler.name();
        match failure {
            Failure::NotVisible(stream) => {
                tries.invisible += 1;
                if tries.invisible.is_multiple_of(INVISIBLE_TOLD_EVERY) {
                    tracing::warn!(handler, stream, "event is not in its table, delivery waits");
                }
                self.wait(conflict_pause(tries.invisible)).await?;
            }
            Failure::Conflict => {
                tries.conflicts += 1;
                if tries.conflicts > CONFLICTS_MAX {
                    return Ok(false);
                }
                self.wait(conflict_pause(tries.conflicts)).await?;
            }
            Failure::Gap(stream) => {
                tries.gaps += 1;
                if tries.gaps > ATTEMPTS_MAX {
                    return Ok(false);
                }
                if tries.gaps > 1 {
                    self.wait(pause(tries.gaps)).await?;
                }
                self.catch_up_stream(stream).await?;
            }
            Failure::Transient(error) => {
                tries.hiccups += 1;
                tracing::warn!(handler, error, "delivery waits");
                self.wait(pause(tries.hiccups)).await?;
            }
            Failure::Event(_) => return Ok(false),
        }
        Ok(true)
    }

    /// One transaction: the effects of all events, and the cursors.
    async fn attempt(
        &self,
        events: &[Arc<RecordedEvent>],
        parked: Parked,
        start: Start,
    ) -> Result<(), Failure> {
        let Some(first) = events.first() else { return Ok(()) };
        let handler = match &self.handler {
            Subscriber::Handler(handler) => handler,
            Subscriber::Elsewhere(elsewhere) => {
                return self.attempt_elsewhere(&**elsewhere, events, parked).await;
            }
        };
        let mut unit = self.store.begin(self.context_after(first)).await.map_err(store_failure)?;
        let places = match start {
            Start::Assumed => places_before(events),
            Start::Read => {
                let asked = ends(events);
                let places = cursor::places(unit.connection(), self.identity(), &asked).await;
                self.waiting_noted(&mut unit, &asked, places.map_err(database_failure)?, parked).await?
            }
        };
        let Plan { steps, handled } = plan(events, &places)?;
        self.move_cursors(&steps, &mut unit, parked, start).await?;
        handler.handle_all(&handled, &mut unit).await.map_err(handler_failure)?;
        // What the handler has put into the unit may be what fails here, so it is the event's failure.
        unit.commit().await.map_err(|error| handler_failure(error.into()))?;
        self.meters.handled.increment(handled.len() as u64);
        Ok(())
    }

    /// The places and the events go into the other store; of the service's database only that streams wait.
    async fn attempt_elsewhere(
        &self,
        elsewhere: &dyn Elsewhere,
        events: &[Arc<RecordedEvent>],
        parked: Parked,
    ) -> Result<(), Failure> {
        let Some(first) = events.first() else { return Ok(()) };
        // No cursor tells two apart that are at the same stream: what is fed, and what the history is read for.
        let _alone = self.taking.lock().await;
        let asked = ends(events);
        let seqs = self.places_elsewhere(elsewhere, &asked).await.map_err(waited_out)?;
        let mut unit = self.store.begin(self.context_after(first)).await.map_err(store_failure)?;
        let places = cursor::places(unit.connection(), self.identity(), &asked).await;
        let mut places = places.map_err(database_failure)?;
        if elsewhere.is_volatile() {
            // What another process could not take says nothing of this one.
            places.values_mut().for_each(|place| place.parked = false);
        }
        for ((stream, _), seq) in asked.iter().zip(seqs) {
            places.entry(stream.to_string()).or_default().seq = seq;
        }
        let places = self.waiting_noted(&mut unit, &asked, places, parked).await?;
        unit.commit().await.map_err(store_failure)?;
        let Plan { handled, .. } = plan(events, &places)?;
        if !handled.is_empty() {
            let taken = elsewhere.take(&handled).await;
            // What goes with its process has nowhere to park anything.
            taken.map_err(if elsewhere.is_volatile() { waited_out } else { handler_failure })?;
        }
        self.meters.handled.increment(handled.len() as u64);
        Ok(())
    }

    async fn places_elsewhere(
        &self,
        elsewhere: &dyn Elsewhere,
        asked: &[(&StreamName, Seq)],
    ) -> Result<Vec<Seq>, HandleError> {
        let streams: Vec<&StreamName> = asked.iter().map(|(stream, _)| *stream).collect();
        elsewhere.places(&streams).await
    }

    async fn move_cursors(
        &self,
        steps: &[Step<'_>],
        unit: &mut UnitOfWork,
        parked: Parked,
        start: Start,
    ) -> Result<(), Failure> {
        if event::mutants::active("cursor_outside_transaction") {
            let mut connection = self.store.pool().acquire().await.map_err(database_failure)?;
            self.advance(&mut connection, steps).await?;
        } else if !steps.is_empty() {
            // Before the effects: another consumer of these events waits here, and not in the handler's own rows, where
            // the lost race would look like a failure of the event.
            let moved = self.advance(unit.connection(), steps).await?;
            if !moved.all || !moved.visible || moved.waits && parked == Parked::Waits {
                return Err(Failure::Conflict);
            }
            if start == Start::Assumed {
                unit.trust_memory(moved.server);
            }
        }
        Ok(())
    }

    async fn advance(&self, connection: &mut PgConnection, steps: &[Step<'_>]) -> Result<Moved, Failure> {
        let moved = cursor::advance(connection, self.identity(), steps, self.is_own()).await;
        moved.map_err(database_failure)
    }

    /// Whether the events stand in the database that the effects go to.
    fn is_own(&self) -> bool {
        self.handler.subscription().source == self.store.service()
    }

    /// The places to go on from, once it is noted which streams wait.
    async fn waiting_noted(
        &self,
        unit: &mut UnitOfWork,
        asked: &[(&StreamName, Seq)],
        mut places: HashMap<String, Place>,
        parked: Parked,
    ) -> Result<HashMap<String, Place>, Failure> {
        let invisible = places.iter().find(|(_, place)| !place.visible);
        if let (true, Some((stream, _))) = (self.is_own(), invisible) {
            return Err(Failure::NotVisible(stream.clone()));
        }
        if parked == Parked::IsRetried {
            places.values_mut().for_each(|place| place.parked = false);
        }
        let is_parked = |stream: &StreamName| places.get(stream.as_str()).is_some_and(|place| place.parked);
        let mut waiting: Vec<(&str, Seq)> = asked
            .iter()
            .filter(|(stream, _)| is_parked(stream))
            .map(|(stream, seq)| (stream.as_str(), *seq))
            .collect();
        if !waiting.is_empty() {
            waiting.sort_unstable();
            let still = parked::note_waiting(unit.connection(), self.identity(), &waiting)
                .await
                .map_err(database_failure)?;
            if still.len() < waiting.len() {
                // A retry ended the wait just now and has moved the cursor: look again.
                return Err(Failure::Conflict);
            }
        }
        Ok(places)
    }

    /// How far the handler has come in these streams.
    pub(crate) async fn look(
        &self,
        asked: &[(&StreamName, Seq)],
    ) -> Result<HashMap<String, Place>, HandleError> {
        let elsewhere = match &self.handler {
            Subscriber::Handler(_) => None,
            Subscriber::Elsewhere(elsewhere) => Some(self.places_elsewhere(&**elsewhere, asked).await?),
        };
        let mut connection = self.store.pool().acquire().await?;
        let mut places = cursor::places(&mut connection, self.identity(), asked).await?;
        for ((stream, _), seq) in asked.iter().zip(elsewhere.into_iter().flatten()) {
            let place = places.entry(stream.to_string()).or_default();
            (place.seq, place.parked) = (seq, place.parked && !self.handler.is_volatile());
        }
        Ok(places)
    }

    async fn park(&self, event: &RecordedEvent, failure: &Failure) -> Result<(), Stopped> {
        let (mut hiccups, name, reason) = (0, self.handler.name(), failure.reason());
        if self.handler.is_volatile() {
            // With the stream's next event it is there as a gap, and is tried again.
            tracing::error!(handler = name, stream = %event.stream, seq = %event.seq, reason, "event left out");
            return Ok(());
        }
        loop {
            match parked::park(self.store.pool(), self.identity(), event, reason, failure.blame()).await {
                // Somebody else has handled it meanwhile.
                Ok(None) => return Ok(()),
                Ok(Some((attempts, true))) => {
                    tracing::warn!(handler = name, stream = %event.stream, seq = %event.seq, attempts, reason, "event failed, it is tried again");
                    return Ok(());
                }
                Ok(Some((attempts, false))) => {
                    tracing::error!(handler = name, stream = %event.stream, seq = %event.seq, attempts, reason, "event parked");
                    return Ok(());
                }
                Err(error) => {
                    hiccups += 1;
                    tracing::warn!(handler = name, %error, "parking waits for the database");
                    self.wait(pause(hiccups)).await?;
                }
            }
        }
    }

    pub(crate) async fn wait(&self, pause: std::time::Duration) -> Result<(), Stopped> {
        tokio::select! {
            () = tokio::time::sleep(pause) => Ok(()),
            () = self.shutdown.cancelled() => Err(Stopped),
        }
    }

    fn context_after(&self, event: &RecordedEvent) -> Context {
        Context::after(event, self.store.service(), self.handler.name(), Timestamp::now())
    }
}

/// Which cursors move how far, and which events are handled on the way.
struct Plan<'a> {
    steps: Vec<Step<'a>>,
    handled: Vec<&'a RecordedEvent>,
}

/// Each stream's place if nothing was handled twice, parked or lost.
fn places_before(events: &[Arc<RecordedEvent>]) -> HashMap<String, Place> {
    let mut places = HashMap::new();
    for event in events {
        let seq = Seq::new(event.seq.get() - 1);
        places.entry(event.stream.to_string()).or_insert(Place { seq, ..Place::default() });
    }
    places
}

/// The last of the events of each stream.
fn ends(events: &[Arc<RecordedEvent>]) -> Vec<(&StreamName, Seq)> {
    let mut last: HashMap<&StreamName, Seq> = HashMap::new();
    for event in events {
        let last = last.entry(&event.stream).or_default();
        *last = event.seq.max(*last);
    }
    last.into_iter().collect()
}

/// Events at or before a cursor are duplicates, also of an earlier one in the batch; streams that wait do not move.
fn plan<'a>(events: &'a [Arc<RecordedEvent>], places: &HashMap<String, Place>) -> Result<Plan<'a>, Failure> {
    let mut plan = Plan { steps: Vec::new(), handled: Vec::new() };
    let mut by_stream: HashMap<&str, usize> = HashMap::new();
    for event in events {
        let place = places.get(event.stream.as_str()).copied().unwrap_or_default();
        if place.parked {
            continue;
        }
        let known = by_stream.get(event.stream.as_str()).copied();
        let reached = known.map_or(place.seq, |step| plan.steps[step].to);
        if event.seq <= reached {
            continue;
        }
        if event.seq != reached.next() {
            return Err(Failure::Gap(event.stream.clone()));
        }
        plan.handled.push(event);
        match known {
            Some(step) => plan.steps[step].to = event.seq,
            None => {
                by_stream.insert(event.stream.as_str(), plan.steps.len());
                plan.steps.push(Step { stream: &event.stream, from: reached, to: event.seq });
            }
        }
    }
    Ok(plan)
}

fn database_failure(error: sqlx::Error) -> Failure {
    store_failure(error.into())
}

/// An error of the engine's own statements concerns no event: it can only be waited out.
fn store_failure(error: event_store::Error) -> Failure {
    match error {
        event_store::Error::Conflict => Failure::Conflict,
        error => Failure::Transient(error.to_string()),
    }
}

/// It concerns no event.
fn waited_out(error: HandleError) -> Failure {
    match error {
        HandleError::Store(error) => store_failure(error),
        error => Failure::Transient(error.to_string()),
    }
}

fn handler_failure(error: HandleError) -> Failure {
    match error {
        HandleError::Store(event_store::Error::Conflict) => Failure::Conflict,
        HandleError::Store(error) if error.is_transient() => Failure::Transient(error.to_string()),
        HandleError::Unavailable(reason) => Failure::Transient(reason),
        error => Failure::Event(error.to_string()),
    }
}
