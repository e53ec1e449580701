//! Events that could not be handled, each with its reason. Its stream waits; the others go on.

use event::{RecordedEvent, Seq, StreamName};
use sqlx::{PgConnection, PgPool};

use crate::backoff::{ATTEMPTS_MAX, pause};
use crate::cause::cause_of;
use crate::identity::Identity;

/// A claim on a retry is longer than the retry takes; whoever died with it holds the stream up for so long.
const CLAIM_SECONDS: f64 = 30.0;
const CLAIM_COUNT: i64 = 64;

/// Notes that later events wait behind these streams' parked ones; returns the streams that (still) wait.
///
/// It locks the rows, so that it and [`unpark`] cannot miss each other: either the retry sees the note, or this
/// sees that the stream no longer waits.
pub(crate) async fn note_waiting(
    connection: &mut PgConnection,
    identity: Identity<'_>,
    waiting: &[(&str, Seq)],
) -> Result<Vec<String>, sqlx::Error> {
    let streams: Vec<&str> = waiting.iter().map(|(stream, _)| *stream).collect();
    let seqs: Vec<i64> = waiting.iter().map(|(_, seq)| seq.get()).collect();
    sqlx::query_scalar(
        "update parked set waiting_seq = greatest(waiting_seq, waiting.seq)
         from unnest($3::text[], $4::bigint[]) as waiting (stream, seq)
         where parked.handler = $1 and parked.source = $2 and parked.stream = waiting.stream
         returning parked.stream",
    )
    .bind(identity.handler)
    .bind(identity.source)
    .bind(streams)
    .bind(seqs)
    .fetch_all(connection)
    .await
}

/// What an event fails for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blame {
    /// Itself: after some tries a person has to look.
    Event,
    /// What is around it, and will pass: it is tried again for ever.
    Circumstances,
}

/// Parks an event, or counts one more failure of it. Returns how often it has failed, and whether it is tried again;
/// `None` when the cursor has passed it meanwhile, so that nothing has to wait.
pub(crate) async fn park(
    pool: &PgPool,
    identity: Identity<'_>,
    event: &RecordedEvent,
    reason: &str,
    blame: Blame,
) -> Result<Option<(u32, bool)>, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    // Locked, so that the cursor cannot pass the event while it is being parked.
    let reached: Option<i64> = sqlx::query_scalar(
        "select seq from cursor where handler = $1 and source = $2 and stream = $3 for update",
    )
    .bind(identity.handler)
    .bind(identity.source)
    .bind(event.stream.as_str())
    .fetch_optional(&mut *transaction)
    .await?;
    if reached.unwrap_or_default() >= event.seq.get() {
        return Ok(None);
    }
    let earlier: Option<i32> = sqlx::query_scalar(
        "select attempts from parked where handler = $1 and source = $2 and stream = $3 and seq = $4 for update",
    )
    .bind(identity.handler)
    .bind(identity.source)
    .bind(event.stream.as_str())
    .bind(event.seq.get())
    .fetch_optional(&mut *transaction)
    .await?;
    let attempts = earlier.map_or(0, i32::unsigned_abs) + 1;
    let is_retried = attempts < ATTEMPTS_MAX || blame == Blame::Circumstances;
    let retry_in = is_retried.then(|| pause(attempts).as_secs_f64());
    sqlx::query(
        "insert into parked (handler, source, stream, seq, event_id, reason, attempts, retry_at, waiting_seq, cause)
         values ($1, $2, $3, $4, $5, $6, $7, clock_timestamp() + make_interval(secs => $8), $4, $9)
         on conflict (handler, source, stream) do update set seq = excluded.seq, event_id = excluded.event_id,
             reason = excluded.reason, cause = excluded.cause, attempts = excluded.attempts, retry_at = excluded.retry_at,
             waiting_seq = greatest(parked.waiting_seq, excluded.waiting_seq),
             last_failed_at = clock_timestamp()",
    )
    .bind(identity.handler)
    .bind(identity.source)
    .bind(event.stream.as_str())
    .bind(event.seq.get())
    .bind(event.id)
    .bind(reason)
    .bind(i32::try_from(attempts).unwrap_or(i32::MAX))
    .bind(retry_in)
    .bind(cause_of(reason))
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(Some((attempts, is_retried)))
}

/// Claims the streams whose parked event is to be tried again now.
pub(crate) async fn claim_due(pool: &PgPool, identity: Identity<'_>) -> Result<Vec<StreamName>, sqlx::Error> {
    let streams: Vec<String> = sqlx::query_scalar(
        "update parked set retry_at = clock_timestamp() + make_interval(secs => $3)
         where handler = $1 and source = $2 and stream in (
             select stream from parked where handler = $1 and source = $2 and retry_at <= statement_timestamp()
             order by retry_at limit $4 for update skip locked)
         returning stream",
    )
    .bind(identity.handler)
    .bind(identity.source)
    .bind(CLAIM_SECONDS)
    .bind(CLAIM_COUNT)
    .fetch_all(pool)
    .await?;
    Ok(streams.into_iter().filter_map(|stream| stream.parse().ok()).collect())
}

/// Ends the wait of a stream whose cursor has reached all that waited. False when more has come meanwhile.
pub(crate) async fn unpark(
    pool: &PgPool,
    identity: Identity<'_>,
    stream: &StreamName,
    reached: Seq,
) -> Result<bool, sqlx::Error> {
    let deleted = sqlx::query(
        "delete from parked where handler = $1 and source = $2 and stream = $3 and waiting_seq <= $4",
    )
    .bind(identity.handler)
    .bind(identity.source)
    .bind(stream.as_str())
    .bind(reached.get())
    .execute(pool)
    .await?;
    Ok(deleted.rows_affected() == 1)
}
