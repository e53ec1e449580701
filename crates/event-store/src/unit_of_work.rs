//! What has to happen together: several aggregates, external events, projections and a cursor, in one transaction.

use std::any::Any;
use std::collections::HashMap;

use event::{Aggregate, Context, Deadline, DomainEvent, NewEvent, RecordedEvent, Seq, Source, StreamName};
use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, Postgres, Transaction};
use uuid::Uuid;

use crate::append::append_in;
use crate::read::{last_seq_in, load_in};
use crate::store::new_event;
use crate::{Error, ExecuteError, Store, StreamSeq};

/// An open transaction. Events are collected and appended by one call when it commits; dropped, it leaves nothing.
pub struct UnitOfWork {
    store: Store,
    transaction: Transaction<'static, Postgres>,
    context: Context,
    loaded: HashMap<StreamName, Loaded>,
    pending: Vec<NewEvent>,
    deadlines: HashMap<StreamName, MovedDeadline>,
}

struct Loaded {
    /// `Option<A>`, or `()` for an external stream.
    state: Box<dyn Any + Send + Sync>,
    seq: Seq,
}

struct MovedDeadline {
    category: &'static str,
    deadline: Option<Deadline>,
    correlation_id: Uuid,
}

impl UnitOfWork {
    pub(crate) fn new(store: Store, transaction: Transaction<'static, Postgres>, context: Context) -> Self {
        Self {
            store,
            transaction,
            context,
            loaded: HashMap::new(),
            pending: Vec::new(),
            deadlines: HashMap::new(),
        }
    }

    /// A unit that goes on with what was read on `connection`.
    pub(crate) async fn joining(
        store: Store,
        connection: PoolConnection<Postgres>,
        context: &Context,
    ) -> Result<Self, Error> {
        let transaction = Transaction::begin(connection, None).await?;
        let context = Context::because_of(
            context.causation,
            context.correlation_id,
            context.actor.clone(),
            context.now,
        );
        Ok(Self::new(store, transaction, context))
    }

    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Goes on on behalf of something else, in the same transaction.
    pub fn set_context(&mut self, context: Context) {
        self.context = context;
    }

    /// The service whose database this is.
    pub fn service(&self) -> &str {
        self.store.service()
    }

    /// For projections: the open transaction.
    pub fn connection(&mut self) -> &mut PgConnection {
        &mut self.transaction
    }

    /// Decides a command and keeps its events for the commit. Sees what this unit has decided before.
    pub async fn execute<A: Aggregate>(
        &mut self,
        id: Uuid,
        command: A::Command,
    ) -> Result<Vec<A::Event>, ExecuteError<A::Refusal>> {
        let stream = A::stream(id);
        let (state, seq) = self.take::<A>(&stream).await?;
        let decided = A::decide(state.as_ref(), command, &self.context);
        let events = match decided {
            Ok(events) => events,
            Err(refusal) => {
                self.put(stream, state, seq);
                return Err(ExecuteError::Refused(refusal));
            }
        };
        let deadline_before = state.as_ref().and_then(A::deadline);
        let mut last = seq;
        for event in &events {
            last = last.next();
            self.pending.push(new_event(&stream, last, event, &self.context)?);
        }
        let state = A::fold(state, &events);
        let deadline = state.as_ref().and_then(A::deadline);
        self.move_deadline::<A>(&stream, deadline_before, deadline, self.context.correlation_id);
        self.put(stream, state, last);
        Ok(events)
    }

    /// The state of an aggregate as this unit sees it.
    pub async fn state<A: Aggregate>(&mut self, id: Uuid) -> Result<Option<A>, Error> {
        let stream = A::stream(id);
        let (state, seq) = self.take::<A>(&stream).await?;
        self.put(stream, state.clone(), seq);
        Ok(state)
    }

    /// Appends an event that follows from `source` to an external stream of this service.
    pub async fn append_external(
        &mut self,
        stream: StreamName,
        event: &impl DomainEvent,
        source: &RecordedEvent,
    ) -> Result<(), Error> {
        let last = match self.loaded.get(&stream) {
            Some(loaded) => loaded.seq,
            None => last_seq_in(&mut self.transaction, &stream).await?,
        };
        let mut row = new_event(&stream, last.next(), event, &self.context)?;
        row.metadata.source = Some(Source {
            service: self.store.service().to_owned(),
            stream: source.stream.clone(),
            seq: source.seq,
            id: source.id,
        });
        self.pending.push(row);
        self.loaded.insert(stream, Loaded { state: Box::new(()), seq: last.next() });
        Ok(())
    }

    /// Appends, moves the deadlines, commits. Returns the last place of each stream that was written.
    pub async fn commit(mut self) -> Result<Vec<StreamSeq>, Error> {
        self.pending.sort_by(|a, b| (&a.stream, a.seq).cmp(&(&b.stream, b.seq)));
        if !self.pending.is_empty() {
            append_in(&mut self.transaction, &self.pending).await?;
        }
        let deadline_set = self.write_deadlines().await?;
        self.transaction.commit().await?;
        if deadline_set {
            self.store.deadline_set().notify_waiters();
        }
        let mut written: Vec<StreamSeq> = Vec::new();
        for event in self.pending {
            match written.last_mut() {
                Some(last) if last.stream == event.stream => last.seq = event.seq,
                _ => written.push(StreamSeq { stream: event.stream, seq: event.seq }),
            }
        }
        Ok(written)
    }

    pub(crate) fn push(&mut self, events: Vec<NewEvent>) {
        self.pending.extend(events);
    }

    pub(crate) fn move_deadline<A: Aggregate>(
        &mut self,
        stream: &StreamName,
        before: Option<Deadline>,
        deadline: Option<Deadline>,
        correlation_id: Uuid,
    ) {
        if before != deadline {
            let moved = MovedDeadline { category: A::CATEGORY, deadline, correlation_id };
            self.deadlines.insert(stream.clone(), moved);
        }
    }

    async fn write_deadlines(&mut self) -> Result<bool, Error> {
        let mut moved: Vec<_> = std::mem::take(&mut self.deadlines).into_iter().collect();
        // In one order everywhere, so that two units never wait for each other's rows.
        moved.sort_by(|(a, _), (b, _)| a.cmp(b));
        let mut any_set = false;
        for (stream, MovedDeadline { category, deadline, correlation_id }) in moved {
            let query = match deadline {
                None => sqlx::query("delete from deadline where stream = $1").bind(stream.as_str()),
                Some(Deadline { id, due_at }) => {
                    any_set = true;
                    sqlx::query(
                        "insert into deadline (stream, category, id, due_at, correlation_id, next_at)
                         values ($1, $2, $3, $4, $5, $4)
                         on conflict (stream) do update set id = excluded.id, due_at = excluded.due_at,
                             correlation_id = excluded.correlation_id, next_at = excluded.next_at, attempts = 0",
                    )
                    .bind(stream.as_str())
                    .bind(category)
                    .bind(id)
                    .bind(jiff_sqlx::Timestamp::from(due_at))
                    .bind(correlation_id)
                }
            };
            query.execute(&mut *self.transaction).await?;
        }
        Ok(any_set)
    }

    async fn take<A: Aggregate>(&mut self, stream: &StreamName) -> Result<(Option<A>, Seq), Error> {
        let Some(loaded) = self.loaded.remove(stream) else {
            return load_in(&mut self.transaction, stream).await;
        };
        let state =
            loaded.state.downcast::<Option<A>>().map_err(|_| Error::WrongAggregate(stream.clone()))?;
        Ok((*state, loaded.seq))
    }

    fn put<A: Aggregate>(&mut self, stream: StreamName, state: Option<A>, seq: Seq) {
        self.loaded.insert(stream, Loaded { state: Box::new(state), seq });
    }
}
