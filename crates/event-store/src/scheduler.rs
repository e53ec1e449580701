//! Fires the deadlines that aggregates wait for.
//!
//! A due deadline is claimed for a while (skip-locked, so that several schedulers share the work), turned into a
//! command, and gone or replaced in the transaction of the events that follow. One that cannot be fired is tried
//! again when its claim ends, one that is refused after a pause that doubles; neither starves others meanwhile.

use std::collections::HashMap;
use std::time::Duration;

use event::{Aggregate, Context, Deadline, StreamName};
use futures::StreamExt;
use futures::future::BoxFuture;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::retry::Conflicts;
use crate::{Error, ExecuteError, Executed, Store, StreamSeq, UnitOfWork};

/// How late a deadline of another process may be seen; one that this process sets wakes the scheduler.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
const CLAIM_COUNT: i64 = 256;
/// Longer than any firing takes; a scheduler that died in between holds its claims for so long.
const CLAIM_SECONDS: f64 = 10.0;
/// One that was refused is put off for as long as a claim, and twice as long each time, up to this.
const PAUSE_SECONDS_MAX: f64 = 600.0;
/// What fails so often will hardly pass by itself.
const ATTEMPTS_TOLD: i32 = 4;
const FIRING_COUNT: usize = 8;
const STREAMS_AT_ONCE: u32 = 500;

#[derive(Debug, thiserror::Error)]
pub enum FireError {
    #[error("{0} is not a stream that a deadline can be for")]
    NotAStream(StreamName),
    #[error("the deadline was refused: {0}")]
    Refused(String),
    #[error(transparent)]
    Store(#[from] Error),
}

impl FireError {
    /// It will not pass by itself.
    fn is_permanent(&self) -> bool {
        match self {
            Self::NotAStream(_) | Self::Refused(_) => true,
            Self::Store(error) => !error.is_transient() && !matches!(error, Error::Conflict),
        }
    }
}

type Fire = Box<dyn Fn(Store, Due) -> BoxFuture<'static, Result<(), FireError>> + Send + Sync>;

/// A deadline whose time has come, claimed for this scheduler.
#[derive(Debug, Clone)]
pub struct Due {
    pub stream: StreamName,
    pub deadline: Deadline,
    pub correlation_id: Uuid,
    /// This one included.
    pub attempts: i32,
}

/// What the state of a stream waits for.
type Waits = Box<dyn Fn(Store, Uuid) -> BoxFuture<'static, Result<Option<Deadline>, Error>> + Send + Sync>;

/// The deadlines of one kind of aggregate.
struct Kind {
    fire: Fire,
    waits: Waits,
}

/// The scheduler of one service's deadlines.
pub struct Scheduler {
    store: Store,
    kinds: HashMap<&'static str, Kind>,
}

impl Scheduler {
    pub fn new(store: Store) -> Self {
        Self { store, kinds: HashMap::new() }
    }

    /// Fires the deadlines of `A`.
    #[must_use]
    pub fn with<A: Aggregate>(self) -> Self {
        self.with_fire::<A>(|store, due| {
            Box::pin(async move {
                match A::on_deadline(due.deadline) {
                    Some(command) => fire::<A>(&store, &due, command).await.map(drop),
                    None => Ok(forget(&store, &due).await?),
                }
            })
        })
    }

    /// Fires the deadlines of `A` in the caller's own way, around [`fire`].
    #[must_use]
    pub fn with_fire<A: Aggregate>(
        mut self,
        fire: impl Fn(Store, Due) -> BoxFuture<'static, Result<(), FireError>> + Send + Sync + 'static,
    ) -> Self {
        let waits: Waits = Box::new(|store, id| {
            Box::pin(async move { Ok(store.load::<A>(id).await?.0.as_ref().and_then(A::deadline)) })
        });
        self.kinds.insert(A::CATEGORY, Kind { fire: Box::new(fire), waits });
        self
    }

    /// Fires deadlines until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Error> {
        while !shutdown.is_cancelled() {
            let woken = self.store.deadline_set().notified();
            match self.fire_due().await {
                Ok(claimed) if claimed == usize::try_from(CLAIM_COUNT).unwrap_or_default() => continue,
                Ok(_) => {}
                Err(error) if error.is_transient() => {
                    tracing::warn!(%error, "deadlines wait for the database");
                }
                Err(error) => return Err(error),
            }
            tokio::select! {
                () = woken => {}
                () = tokio::time::sleep(POLL_INTERVAL) => {}
                () = shutdown.cancelled() => {}
            }
        }
        Ok(())
    }

    /// Sets the deadlines that the streams wait for and that are not there: after a restore of the events alone. One that is set for a
    /// stream that has just ceased to wait for it fires and is forgotten. Returns how many were set.
    pub async fn restore(&self) -> Result<u64, Error> {
        let mut restored = 0;
        for (category, kind) in &self.kinds {
            let mut after = None;
            loop {
                let streams = self.store.streams(category, after.as_ref(), STREAMS_AT_ONCE).await?;
                let Some(last) = streams.last() else { break };
                after = Some(last.stream.clone());
                let mut waiting = Vec::new();
                for StreamSeq { stream, .. } in streams {
                    let Some(id) = stream.uuid() else { continue };
                    if let Some(deadline) = (kind.waits)(self.store.clone(), id).await? {
                        waiting.push((stream, deadline));
                    }
                }
                restored += self.set_missing(category, &waiting).await?;
            }
        }
        Ok(restored)
    }

    async fn set_missing(&self, category: &str, waiting: &[(StreamName, Deadline)]) -> Result<u64, Error> {
        let of = waiting.iter();
        let streams: Vec<&str> = of.clone().map(|(stream, _)| stream.as_str()).collect();
        let ids: Vec<Uuid> = of.clone().map(|(_, deadline)| deadline.id).collect();
        let due: Vec<jiff_sqlx::Timestamp> =
            of.map(|(_, deadline)| jiff_sqlx::Timestamp::from(deadline.due_at)).collect();
        let set = sqlx::query(
            "insert into deadline (stream, category, id, due_at, correlation_id, next_at)
             select waiting.stream, $2, waiting.id, due_at, last.correlation_id, due_at
             from unnest($1::text[], $3::uuid[], $4::timestamptz[]) as waiting (stream, id, due_at),
                 lateral (select correlation_id from event where event.stream = waiting.stream order by seq desc limit 1) as last
             on conflict (stream) do nothing",
        )
        .bind(streams)
        .bind(category)
        .bind(ids)
        .bind(due)
        .execute(self.store.pool())
        .await?;
        Ok(set.rows_affected())
    }

    async fn fire_due(&self) -> Result<usize, Error> {
        let due = self.claim().await?;
        let claimed = due.len();
        futures::stream::iter(due)
            .for_each_concurrent(FIRING_COUNT, |due| async move {
                let Some(kind) = self.kinds.get(due.stream.category()) else { return };
                let Err(error) = (kind.fire)(self.store.clone(), due.clone()).await else { return };
                let (stream, attempts) = (&due.stream, due.attempts);
                if error.is_permanent()
                    && let Err(error) = self.put_off(&due).await
                {
                    tracing::warn!(%error, %stream, "deadline not put off, it is tried again when its claim ends");
                }
                if attempts < ATTEMPTS_TOLD {
                    tracing::warn!(%error, %stream, attempts, "deadline not fired, it is tried again");
                } else {
                    tracing::error!(%error, %stream, attempts, "deadline not fired again: somebody has to look");
                }
            })
            .await;
        Ok(claimed)
    }

    async fn put_off(&self, due: &Due) -> Result<(), Error> {
        sqlx::query(
            "update deadline
             set next_at = clock_timestamp() + make_interval(secs => least($3 * 2 ^ least(attempts - 1, 20), $4))
             where stream = $1 and id = $2",
        )
        .bind(due.stream.as_str())
        .bind(due.deadline.id)
        .bind(CLAIM_SECONDS)
        .bind(PAUSE_SECONDS_MAX)
        .execute(self.store.pool())
        .await?;
        Ok(())
    }

    async fn claim(&self) -> Result<Vec<Due>, Error> {
        let categories: Vec<&str> = self.kinds.keys().copied().collect();
        // The statement's time: the index cannot be searched for what changes from row to row, as clock_timestamp() may.
        let rows: Vec<(String, Uuid, jiff_sqlx::Timestamp, Uuid, i32)> = sqlx::query_as(
            "update deadline set attempts = attempts + 1, next_at = clock_timestamp() + make_interval(secs => $1)
             where stream = any(array(
                 select stream from deadline where category = any($2) and next_at <= statement_timestamp()
                 order by next_at limit $3 for update skip locked))
             returning stream, id, due_at, correlation_id, attempts",
        )
        .bind(CLAIM_SECONDS)
        .bind(categories)
        .bind(CLAIM_COUNT)
        // Planned each time: a plan of the table's first minutes would scan it for ever.
        .persistent(false)
        .fetch_all(self.store.pool())
        .await?;
        let due = rows.into_iter().filter_map(|(stream, id, due_at, correlation_id, attempts)| {
            let deadline = Deadline { id, due_at: due_at.to_jiff() };
            Some(Due { stream: stream.parse().ok()?, deadline, correlation_id, attempts })
        });
        Ok(due.collect())
    }
}

/// Puts the command that the deadline is to its aggregate. `None` when that no longer waits for this deadline.
pub async fn fire<A: Aggregate>(
    store: &Store,
    due: &Due,
    command: A::Command,
) -> Result<Option<Executed<A>>, FireError> {
    let id = due.stream.uuid().ok_or_else(|| FireError::NotAStream(due.stream.clone()))?;
    let context = Context::at_deadline(&due.deadline, due.correlation_id, store.service(), Timestamp::now());
    let executed = store.execute::<A>(id, command, context).await.map_err(|error| match error {
        ExecuteError::Refused(refusal) => FireError::Refused(format!("{refusal:?}")),
        ExecuteError::Store(error) => FireError::Store(error),
    })?;
    if !executed.events.is_empty() {
        return Ok(Some(executed));
    }
    forget(store, due).await?;
    Ok(None)
}

/// Does what a deadline means for several aggregates in one unit of work, and again after a conflict. `work` returns whether
/// anything still waited for the deadline.
pub async fn fire_in(
    store: &Store,
    due: &Due,
    work: impl for<'a> Fn(&'a mut UnitOfWork) -> BoxFuture<'a, Result<bool, FireError>>,
) -> Result<(), FireError> {
    let mut conflicts = Conflicts::default();
    loop {
        let now = Timestamp::now();
        let context = Context::at_deadline(&due.deadline, due.correlation_id, store.service(), now);
        let mut unit = store.begin(context).await?;
        let done = match work(&mut unit).await {
            Ok(true) => unit.commit().await.map(drop).map_err(FireError::Store),
            Ok(false) => {
                // Its connection is wanted.
                drop(unit);
                return Ok(forget(store, due).await?);
            }
            Err(error) => Err(error),
        };
        match done {
            Err(FireError::Store(Error::Conflict)) if conflicts.may_retry().await => {}
            done => return done,
        }
    }
}

/// The aggregate has moved on, and with it its row, unless a scheduler died in between.
async fn forget(store: &Store, due: &Due) -> Result<(), Error> {
    sqlx::query("delete from deadline where stream = $1 and id = $2")
        .bind(due.stream.as_str())
        .bind(due.deadline.id)
        .execute(store.pool())
        .await?;
    Ok(())
}
