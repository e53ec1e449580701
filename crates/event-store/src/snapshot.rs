//! Keeps the states of long streams, beside those who append and never before them.

use std::any::Any;
use std::sync::Arc;

use event::{Aggregate, Seq, StreamName};
use serde_json::value::RawValue;
use sqlx::PgPool;
use sqlx::types::Json;
use tokio::sync::Semaphore;

use crate::Store;

/// A state is kept when a stream reaches a multiple of this, so that no more than about so many events are folded.
const EVENTS_BETWEEN: i64 = 64;
const WRITES_AT_ONCE: usize = 2;

pub(crate) struct Snapshot {
    stream: StreamName,
    seq: Seq,
    version: i16,
    state: Box<RawValue>,
}

/// Makes one of an `Option<A>`.
pub(crate) type Take = fn(&(dyn Any + Send + Sync), &StreamName, Seq) -> Option<Snapshot>;

/// None: the aggregate's streams stay short.
pub(crate) fn take_of<A: Aggregate>() -> Option<Take> {
    A::SNAPSHOTS.is_some().then_some(take::<A> as Take)
}

fn take<A: Aggregate>(state: &(dyn Any + Send + Sync), stream: &StreamName, seq: Seq) -> Option<Snapshot> {
    let (snapshots, state) = (A::SNAPSHOTS?, state.downcast_ref::<Option<A>>()?.as_ref()?);
    let state = (snapshots.write)(state).ok()?;
    Some(Snapshot { stream: stream.clone(), seq, version: snapshots.version, state })
}

/// Whether a stream that was appended to from `from` on, up to `to`, has reached a place at which its state is kept.
pub(crate) fn is_due(from: Seq, to: Seq) -> bool {
    (from.get() - 1) / EVENTS_BETWEEN < to.get() / EVENTS_BETWEEN
}

/// Whether so many events were folded that the state ought to have been kept long before.
pub(crate) fn is_overdue(folded: i64) -> bool {
    folded > 2 * EVENTS_BETWEEN
}

pub(crate) struct Writer(Arc<Semaphore>);

impl Default for Writer {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(WRITES_AT_ONCE)))
    }
}

impl Store {
    /// Keeps them, unless so many others are being kept. What is not kept now is kept the next time.
    pub(crate) fn keep_snapshots(&self, taken: Vec<Snapshot>) {
        if taken.is_empty() {
            return;
        }
        let Ok(permit) = Arc::clone(&self.snapshots().0).try_acquire_owned() else { return };
        let pool = self.pool().clone();
        tokio::spawn(async move {
            for snapshot in taken {
                if let Err(error) = write(&pool, snapshot).await {
                    tracing::debug!(%error, "snapshot is not kept");
                }
            }
            drop(permit);
        });
    }
}

async fn write(pool: &PgPool, snapshot: Snapshot) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into snapshot (stream, version, seq, state) values ($1, $2, $3, $4)
         on conflict (stream) do update set version = excluded.version, seq = excluded.seq, state = excluded.state,
             taken_at = now()
         where snapshot.version <> excluded.version or snapshot.seq < excluded.seq",
    )
    .bind(snapshot.stream.as_str())
    .bind(snapshot.version)
    .bind(snapshot.seq.get())
    .bind(Json(snapshot.state))
    .execute(pool)
    .await?;
    Ok(())
}
