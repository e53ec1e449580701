//! One service's event store.

use std::sync::Arc;
use std::time::Duration;

use event::{Aggregate, Context, DomainEvent, NewEvent, Seq, StreamName};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, PgConnection, PgPool};
use tokio::sync::Notify;
use uuid::Uuid;

use crate::append::{Append, append_in};
use crate::memory::{Loaded, Memory};
use crate::retry::Conflicts;
use crate::snapshot::{self, is_due};
use crate::{Error, ExecuteError, UnitOfWork};

const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);

/// A handle on the event table of one service's database. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    pool: PgPool,
    service: Arc<str>,
    memory: Arc<Memory>,
    deadline_set: Arc<Notify>,
    snapshots: Arc<snapshot::Writer>,
}

/// A place in a stream; together, those of a write are its consistency token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamSeq {
    pub stream: StreamName,
    pub seq: Seq,
}

/// What a command led to.
#[derive(Debug)]
pub struct Executed<A: Aggregate> {
    /// Empty when it had been done already.
    pub events: Vec<A::Event>,
    pub state: Option<A>,
    pub seq: Seq,
}

impl Store {
    pub async fn connect(
        service: &str,
        options: PgConnectOptions,
        connections_max: u32,
    ) -> Result<Self, Error> {
        let options = options
            .application_name(&format!("lunaria-{service}"))
            // Every statement is meant to be index probes. A plan that is cached while a table is small would else scan it until the
            // next analyze.
            .options([("enable_seqscan", "off")]);
        // A pool would try for a long time and not say why.
        PgConnection::connect_with(&options).await?.close().await?;
        let pool = PgPoolOptions::new()
            .max_connections(connections_max)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .test_before_acquire(false)
            .connect_lazy_with(options);
        Ok(Self::new(service, pool))
    }

    pub fn new(service: &str, pool: PgPool) -> Self {
        Self {
            pool,
            service: service.into(),
            memory: Arc::default(),
            deadline_set: Arc::new(Notify::new()),
            snapshots: Arc::default(),
        }
    }

    pub fn service(&self) -> &str {
        &self.service
    }

    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Opens a transaction for what has to happen together.
    pub async fn begin(&self, context: Context) -> Result<UnitOfWork, Error> {
        Ok(UnitOfWork::new(self.clone(), self.pool.begin().await?, context))
    }

    /// The same as `begin`, for a unit that others wait behind: it is not to wait for a lock for long.
    pub(crate) async fn begin_impatient(&self, context: Context) -> Result<UnitOfWork, Error> {
        let begin = "begin; set local lock_timeout = '250ms'";
        Ok(UnitOfWork::new(self.clone(), self.pool.begin_with(begin).await?, context))
    }

    /// Appends events at the places that they state, in one transaction: all of them, or none and a conflict. False when
    /// an earlier try had appended them. `execute` is for aggregates; this is for whoever makes events otherwise.
    pub async fn append(&self, mut events: Vec<NewEvent>) -> Result<bool, Error> {
        events.sort_by(|a, b| (&a.stream, a.seq).cmp(&(&b.stream, b.seq)));
        let append = Append::of(&events)?;
        append.run_in(&mut *self.pool.acquire().await?).await
    }

    /// The current state of an aggregate and the seq of its last event.
    pub async fn load<A: Aggregate>(&self, id: Uuid) -> Result<(Option<A>, Seq), Error> {
        let mut connection = self.pool.acquire().await?;
        self.load_in(&mut connection, &A::stream(id)).await
    }

    /// Load → decide → append for one aggregate; the whole is rerun after a conflict, within a limit.
    pub async fn execute<A: Aggregate>(
        &self,
        id: Uuid,
        command: A::Command,
        context: Context,
    ) -> Result<Executed<A>, ExecuteError<A::Refusal>> {
        let mut conflicts = Conflicts::default();
        loop {
            context.rewind();
            match self.execute_once(id, command.clone(), &context).await {
                Err(ExecuteError::Store(Error::Conflict)) if conflicts.may_retry().await => {}
                outcome => return outcome,
            }
        }
    }

    /// Two round trips where no deadline moves: the read, and the append as a transaction of its own.
    async fn execute_once<A: Aggregate>(
        &self,
        id: Uuid,
        command: A::Command,
        context: &Context,
    ) -> Result<Executed<A>, ExecuteError<A::Refusal>> {
        let (stream, epoch) = (A::stream(id), self.memory.epoch());
        let mut connection = self.pool.acquire().await?;
        let (before, mut seq) = self.load_in::<A>(&mut connection, &stream).await?;
        let first = seq.next();
        let events = A::decide(before.as_ref(), command, context).map_err(ExecuteError::Refused)?;
        let deadline_before = before.as_ref().and_then(A::deadline);
        let state = A::fold(before, &events);
        if events.is_empty() {
            return Ok(Executed { events, state, seq });
        }
        let mut rows = Vec::with_capacity(events.len());
        for event in &events {
            seq = seq.next();
            rows.push(new_event(&stream, seq, event, context)?);
        }
        let deadline = state.as_ref().and_then(A::deadline);
        if deadline == deadline_before {
            append_in(&mut connection, &rows).await?;
        } else {
            let mut unit = UnitOfWork::joining(self.clone(), connection, context).await?;
            unit.move_deadline::<A>(&stream, deadline_before, deadline, context.correlation_id);
            unit.append(rows);
            unit.commit().await?;
        }
        let loaded = Loaded::of(state.clone(), seq);
        if is_due(first, seq) {
            self.keep_snapshots(loaded.snapshot(&stream).into_iter().collect());
        }
        self.memory.keep(epoch, [(stream, loaded)]);
        Ok(Executed { events, state, seq })
    }

    pub(crate) fn snapshots(&self) -> &snapshot::Writer {
        &self.snapshots
    }

    pub(crate) fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Woken when a deadline was set by this process, so that one that is due at once does not wait for a poll.
    pub(crate) fn deadline_set(&self) -> &Notify {
        &self.deadline_set
    }
}

pub(crate) fn new_event(
    stream: &StreamName,
    seq: Seq,
    event: &impl DomainEvent,
    context: &Context,
) -> Result<NewEvent, Error> {
    Ok(NewEvent {
        stream: stream.clone(),
        seq,
        id: context.new_id(),
        event_type: event.event_type().into(),
        version: event.version(),
        data: serde_json::value::to_raw_value(event)?,
        correlation_id: context.correlation_id,
        causation_id: context.causation.id,
        metadata: context.metadata(),
    })
}
