//! What has to happen together: several aggregates, external events, projections, a request and a cursor, in one
//! transaction.

mod part;

use std::any::Any;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use event::{Aggregate, Context, Deadline, DomainEvent, NewEvent, RecordedEvent, Seq, Source, StreamName};
use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, Postgres, Transaction};
use uuid::Uuid;

use self::part::Part;
use crate::append::append_in;
use crate::memory::{Epoch, Loaded, Memory, Server};
use crate::read::{Folding, Stored, external_ends_in, read_streams_in};
use crate::request::{Request, RequestKey, insert_requests};
use crate::snapshot::{Snapshot, is_due};
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
    /// Of external streams whose end was looked up: the seq of the event that the last one was derived from.
    derived_to: HashMap<StreamName, Seq>,
    requests: Vec<(RequestKey, Request)>,
    /// Streams that have been read, and not been asked for yet.
    read: HashMap<StreamName, Vec<Stored>>,
    epoch: Epoch,
    /// Whether it takes states from the store's memory, which may be out of date.
    trusts_memory: bool,
    /// Those that it has taken. The append notices when one that it writes to has moved on; the others are checked.
    assumed: HashMap<StreamName, Seq>,
    /// What to put back when the part that is being decided falls out.
    part: Option<Part>,
    /// Streams that earlier parts have written to, and that nobody has seen yet.
    written: HashSet<StreamName>,
}

#[derive(Clone, Copy)]
struct MovedDeadline {
    category: &'static str,
    deadline: Option<Deadline>,
    correlation_id: Uuid,
}

impl UnitOfWork {
    pub(crate) fn new(store: Store, transaction: Transaction<'static, Postgres>, context: Context) -> Self {
        Self {
            epoch: store.memory().epoch(),
            store,
            transaction,
            context,
            loaded: HashMap::new(),
            read: HashMap::new(),
            pending: Vec::new(),
            deadlines: HashMap::new(),
            derived_to: HashMap::new(),
            requests: Vec::new(),
            trusts_memory: false,
            assumed: HashMap::new(),
            part: None,
            written: HashSet::new(),
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

    /// The same, for a while: returns on whose behalf it was.
    pub fn replace_context(&mut self, context: Context) -> Context {
        std::mem::replace(&mut self.context, context)
    }

    /// What is going to be appended.
    pub fn decided(&self) -> &[NewEvent] {
        &self.pending
    }

    /// Waits no longer for what another transaction holds.
    pub async fn wait_for_locks(&mut self, limit: Duration) -> Result<(), Error> {
        sqlx::query("select set_config('lock_timeout', $1, true)")
            .bind(format!("{}ms", limit.as_millis()))
            .execute(&mut *self.transaction)
            .await?;
        Ok(())
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
        self.keep_for_undo(&stream, || Some(Loaded::of(state.clone(), seq)));
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

    /// Reads streams that are going to be asked for, in one round trip.
    pub(crate) async fn read_ahead(&mut self, streams: HashSet<StreamName>) -> Result<(), Error> {
        let streams: Vec<StreamName> = streams.into_iter().filter(|stream| !self.is_known(stream)).collect();
        if !streams.is_empty() {
            self.read = read_streams_in(&mut self.transaction, streams).await?;
        }
        Ok(())
    }

    /// Looks where external streams end that are going to be appended to, in one round trip.
    pub async fn look_ahead(&mut self, streams: impl IntoIterator<Item = StreamName>) -> Result<(), Error> {
        let streams = streams.into_iter().filter(|stream| !self.is_known(stream));
        let streams: HashSet<StreamName> = streams.collect();
        // One is looked up when it is its turn.
        if streams.len() > 1 { self.look(streams).await } else { Ok(()) }
    }

    async fn look(&mut self, external: impl IntoIterator<Item = StreamName>) -> Result<(), Error> {
        for (StreamSeq { stream, seq }, source) in external_ends_in(&mut self.transaction, external).await? {
            self.derived_to.insert(stream.clone(), source);
            self.loaded.insert(stream, Loaded::end(seq));
        }
        Ok(())
    }

    fn is_known(&self, stream: &StreamName) -> bool {
        self.loaded.contains_key(stream) || self.trusts_memory && self.store.memory().find(stream).is_some()
    }

    /// The state of an aggregate as this unit sees it.
    pub async fn state<A: Aggregate>(&mut self, id: Uuid) -> Result<Option<A>, Error> {
        Ok(self.load::<A>(id).await?.0)
    }

    /// The same, and the seq of its last event; zero: there is none.
    pub async fn load<A: Aggregate>(&mut self, id: Uuid) -> Result<(Option<A>, Seq), Error> {
        let stream = A::stream(id);
        let (state, seq) = self.take::<A>(&stream).await?;
        self.put(stream, state.clone(), seq);
        Ok((state, seq))
    }

    /// Says that nothing stands in an aggregate's stream, so that it need not be read: its id has just been made. Should it be
    /// otherwise, the append is a conflict.
    pub fn expect_new<A: Aggregate>(&mut self, id: Uuid) {
        let nothing = || Loaded::of(None::<A>, Seq::ZERO);
        self.loaded.entry(A::stream(id)).or_insert_with(nothing);
    }

    /// Appends an event that follows from `source` to an external stream of this service; unless that stream has gone further, because what
    /// derives it begins anew. What has come to tell something only by newer rules is not told late: `verify-derived` shows it.
    pub async fn append_external(
        &mut self,
        stream: StreamName,
        event: &impl DomainEvent,
        source: &RecordedEvent,
    ) -> Result<(), Error> {
        let known = self.loaded.get(&stream).map(|loaded| loaded.seq);
        let known = known.or_else(|| Some(self.remembered(&stream)?.seq));
        if known.is_none() {
            self.look([stream.clone()]).await?;
        }
        if self.derived_to.get(&stream).is_some_and(|derived_to| source.seq <= *derived_to) {
            return Ok(());
        }
        let before = self.loaded.get(&stream).map(|loaded| loaded.seq);
        self.keep_for_undo(&stream, || before.map(Loaded::end));
        let last = before.or(known).unwrap_or_default();
        let mut row = new_event(&stream, last.next(), event, &self.context)?;
        row.metadata.source = Some(Source {
            service: self.store.service().to_owned(),
            stream: source.stream.clone(),
            seq: source.seq,
            id: source.id,
        });
        self.pending.push(row);
        self.loaded.insert(stream, Loaded::end(last.next()));
        Ok(())
    }

    /// Appends events that were made otherwise than by an aggregate, at the places that they state: of streams that nothing
    /// else in this unit is about.
    pub fn append(&mut self, events: Vec<NewEvent>) {
        self.pending.extend(events);
    }

    /// Records a request and its answer beside the events that follow from it.
    ///
    /// The commit waits for a rival with the same key that has not committed yet, and is a conflict when the rival was first:
    /// then the rival's answer is to be given. False when this unit has the key already.
    pub fn record_request(&mut self, key: RequestKey, request: Request) -> bool {
        let is_first = self.requests.iter().all(|(earlier, _)| *earlier != key);
        if is_first {
            self.requests.push((key, request));
        }
        is_first
    }

    /// Appends, moves the deadlines, commits. Returns the last place of each stream that was written.
    pub async fn commit(self) -> Result<Vec<StreamSeq>, Error> {
        let (store, assumed): (Store, Vec<StreamName>) =
            (self.store.clone(), self.assumed.keys().cloned().collect());
        let done = self.try_commit().await;
        if matches!(done, Err(Error::Conflict)) {
            assumed.iter().for_each(|stream| store.memory().forget(stream));
        }
        done
    }

    /// At once, where somebody waits for what it holds; dropped, it is rolled back a moment later.
    pub async fn roll_back(self) {
        let _ = self.transaction.rollback().await;
    }

    async fn try_commit(mut self) -> Result<Vec<StreamSeq>, Error> {
        self.pending.sort_by(|a, b| (&a.stream, a.seq).cmp(&(&b.stream, b.seq)));
        let written = last_places(&self.pending);
        let deadline_set = match self.write(&written).await {
            Ok(deadline_set) => deadline_set,
            Err(error) => {
                // At once: whoever tries again finds nothing of this locked.
                let _ = self.transaction.rollback().await;
                return Err(error);
            }
        };
        self.transaction.commit().await?;
        if deadline_set {
            self.store.deadline_set().notify_waiters();
        }
        self.store.keep_snapshots(due(&self.loaded, &self.pending));
        remember(self.store.memory(), self.epoch, self.loaded, &self.pending, &self.deadlines);
        Ok(written)
    }

    /// Whether a deadline was set.
    async fn write(&mut self, written: &[StreamSeq]) -> Result<bool, Error> {
        insert_requests(&mut self.transaction, &self.requests).await?;
        self.check_assumed(written).await?;
        if !self.pending.is_empty() {
            append_in(&mut self.transaction, &self.pending).await?;
        }
        self.write_deadlines().await
    }

    /// Takes states from the store's memory where that has them of this server, which the caller has just asked. They may be out
    /// of date, which the commit finds out: then, and when a decision fails, it is to be taken again in another unit.
    pub fn trust_memory(&mut self, server: Server) {
        self.epoch = self.store.memory().is_of(server);
        self.trusts_memory = true;
    }

    /// A state of an earlier unit that was only read has to be that of now.
    async fn check_assumed(&mut self, written: &[StreamSeq]) -> Result<(), Error> {
        for at in written {
            self.assumed.remove(&at.stream);
        }
        if self.assumed.is_empty() {
            return Ok(());
        }
        let streams: Vec<&str> = self.assumed.keys().map(StreamName::as_str).collect();
        let seqs: Vec<i64> = self.assumed.values().map(|seq| seq.get()).collect();
        // Row by row: a join that was planned while the table was small reads all of it.
        let has_moved: bool = sqlx::query_scalar(
            "select exists (select from unnest($1::text[], $2::bigint[]) as assumed (stream, seq)
                 where (select true from event
                        where event.stream = assumed.stream and event.seq = assumed.seq + 1))",
        )
        .bind(streams)
        .bind(seqs)
        .fetch_one(&mut *self.transaction)
        .await?;
        if has_moved { Err(Error::Conflict) } else { Ok(()) }
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
            let earlier = self.deadlines.insert(stream.clone(), moved);
            if let Some(part) = &mut self.part {
                part.deadlines.entry(stream.clone()).or_insert(earlier);
            }
        }
    }

    async fn write_deadlines(&mut self) -> Result<bool, Error> {
        let moved = &self.deadlines;
        // Of streams that this unit has just written to, so that no other one waits for any of these rows.
        let over: Vec<&str> = moved
            .iter()
            .filter(|(_, moved)| moved.deadline.is_none())
            .map(|(stream, _)| stream.as_str())
            .collect();
        if !over.is_empty() {
            sqlx::query("delete from deadline where stream = any($1)")
                .bind(over)
                .execute(&mut *self.transaction)
                .await?;
        }
        let set: Vec<(&str, MovedDeadline, Deadline)> = moved
            .iter()
            .filter_map(|(stream, moved)| Some((stream.as_str(), *moved, moved.deadline?)))
            .collect();
        if set.is_empty() {
            return Ok(false);
        }
        let due: Vec<jiff_sqlx::Timestamp> =
            set.iter().map(|(_, _, deadline)| jiff_sqlx::Timestamp::from(deadline.due_at)).collect();
        sqlx::query(
            "insert into deadline (stream, category, id, due_at, correlation_id, next_at)
             select stream, category, id, due_at, correlation_id, due_at
             from unnest($1::text[], $2::text[], $3::uuid[], $4::timestamptz[], $5::uuid[])
                 as moved (stream, category, id, due_at, correlation_id)
             on conflict (stream) do update set id = excluded.id, due_at = excluded.due_at,
                 correlation_id = excluded.correlation_id, next_at = excluded.next_at, attempts = 0",
        )
        .bind(set.iter().map(|(stream, ..)| *stream).collect::<Vec<_>>())
        .bind(set.iter().map(|(_, moved, _)| moved.category).collect::<Vec<_>>())
        .bind(set.iter().map(|(.., deadline)| deadline.id).collect::<Vec<_>>())
        .bind(due)
        .bind(set.iter().map(|(_, moved, _)| moved.correlation_id).collect::<Vec<_>>())
        .execute(&mut *self.transaction)
        .await?;
        Ok(true)
    }

    async fn take<A: Aggregate>(&mut self, stream: &StreamName) -> Result<(Option<A>, Seq), Error> {
        if let Some(loaded) = self.loaded.remove(stream) {
            let state = owned(loaded.state).ok_or_else(|| Error::WrongAggregate(stream.clone()))?;
            self.note_uncertain(stream);
            return Ok((state, loaded.seq));
        }
        if let Some(known) = self.remembered(stream)
            && let Some(state) = owned(known.state)
        {
            self.note_uncertain(stream);
            return Ok((state, known.seq));
        }
        if let Some(events) = self.read.remove(stream) {
            let mut folding = Folding::new(stream);
            if events.first().is_none_or(|first| folding.begins_with(first)) {
                events.iter().try_for_each(|event| folding.fold(event))?;
                return Ok((folding.state, folding.seq));
            }
        }
        self.store.load_in(&mut self.transaction, stream).await
    }

    fn remembered(&mut self, stream: &StreamName) -> Option<Loaded> {
        let known = self.trusts_memory.then(|| self.store.memory().find(stream))??;
        self.assumed.insert(stream.clone(), known.seq);
        Some(known)
    }

    fn note_uncertain(&mut self, stream: &StreamName) {
        if let Some(part) = &mut self.part {
            part.is_uncertain |= self.assumed.contains_key(stream) || self.written.contains(stream);
        }
    }

    fn put<A: Aggregate>(&mut self, stream: StreamName, state: Option<A>, seq: Seq) {
        self.loaded.insert(stream, Loaded::of(state, seq));
    }
}

/// Of the streams that have come so far with what was written.
fn due(loaded: &HashMap<StreamName, Loaded>, written: &[NewEvent]) -> Vec<Snapshot> {
    let has_come = |event: &&NewEvent| is_due(event.seq, event.seq);
    let streams = written.iter().filter(has_come).map(|event| &event.stream);
    streams.filter_map(|stream| loaded.get(stream)?.snapshot(stream)).collect()
}

/// Keeps what a commit has left of each stream.
fn remember(
    memory: &Memory,
    epoch: Epoch,
    mut loaded: HashMap<StreamName, Loaded>,
    written: &[NewEvent],
    deadlines: &HashMap<StreamName, MovedDeadline>,
) {
    for event in written {
        let waits = || deadlines.get(&event.stream).is_some_and(|moved| moved.deadline.is_some());
        if !loaded.contains_key(&event.stream) {
            memory.forget(&event.stream);
        } else if event.seq == Seq::FIRST && !waits() {
            // One that has just begun and waits for nothing is one of many, and seldom soon needed again.
            loaded.remove(&event.stream);
        }
    }
    memory.keep(epoch, loaded);
}

fn owned<A: Aggregate>(state: Arc<dyn Any + Send + Sync>) -> Option<Option<A>> {
    let state = state.downcast::<Option<A>>().ok()?;
    Some(Arc::try_unwrap(state).unwrap_or_else(|shared| (*shared).clone()))
}

/// Of events that are sorted by stream and seq.
fn last_places<'a>(events: impl IntoIterator<Item = &'a NewEvent>) -> Vec<StreamSeq> {
    let mut last: Vec<StreamSeq> = Vec::new();
    for event in events {
        match last.last_mut() {
            Some(last) if last.stream == event.stream => last.seq = event.seq,
            _ => last.push(StreamSeq { stream: event.stream.clone(), seq: event.seq }),
        }
    }
    last
}
