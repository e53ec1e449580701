//! What is parked, by what it fails for: seen, tried again by a person, left out by a correction.

use event::{Seq, StreamName};
use event_store::{Error, Store};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::cursor;
use crate::cursor::Step;
use crate::identity::Identity;

/// What waits for a person: it is not tried again by itself, or not soon, because somebody has asked for too slow a pace.
macro_rules! waits {
    () => {
        "(retry_at is null or retry_at > clock_timestamp() + interval '1 minute')"
    };
}
/// More causes than anybody reads.
const GROUPS_MAX: i64 = 500;
/// Of its hash, in hexadecimal digits.
const ID_BYTES: usize = 8;

/// What fails in one handler for one cause.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct ParkedGroup {
    pub handler: String,
    pub source: String,
    pub cause: String,
    /// That wait for a person.
    pub streams: i64,
    /// That are tried again by themselves, or were just asked to.
    pub retried: i64,
    /// Those that have failed, and those that wait behind them.
    pub events: i64,
    #[sqlx(try_from = "jiff_sqlx::Timestamp")]
    pub first_failed_at: Timestamp,
    #[sqlx(try_from = "jiff_sqlx::Timestamp")]
    pub last_failed_at: Timestamp,
    /// The reason of the one that has failed first, word for word.
    pub sample: String,
}

impl ParkedGroup {
    /// By which it is asked for: what it is called follows from what it is.
    pub fn id(&self) -> String {
        let hash = Sha256::digest(format!("{}\n{}\n{}", self.handler, self.source, self.cause));
        hash[..ID_BYTES].iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// A stream that waits at an event.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct ParkedStream {
    pub stream: String,
    pub seq: i64,
    pub event_id: Uuid,
    pub reason: String,
    pub attempts: i32,
    /// It, and those behind it.
    pub events: i64,
    /// None: when a person says so.
    #[sqlx(try_from = "Option<jiff_sqlx::Timestamp>")]
    pub retry_at: RetryAt,
    #[sqlx(try_from = "jiff_sqlx::Timestamp")]
    pub first_failed_at: Timestamp,
    #[sqlx(try_from = "jiff_sqlx::Timestamp")]
    pub last_failed_at: Timestamp,
}

/// When a parked event is tried again, if it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryAt(pub Option<Timestamp>);

impl From<Option<jiff_sqlx::Timestamp>> for RetryAt {
    fn from(at: Option<jiff_sqlx::Timestamp>) -> Self {
        Self(at.map(jiff_sqlx::Timestamp::to_jiff))
    }
}

/// Where the most streams wait comes first.
pub async fn parked_groups(connection: &mut PgConnection) -> Result<Vec<ParkedGroup>, Error> {
    groups_in(connection, GROUPS_MAX).await
}

/// The group that is called so. None: nothing is parked for its cause any more.
pub async fn parked_group(connection: &mut PgConnection, id: &str) -> Result<Option<ParkedGroup>, Error> {
    Ok(groups_in(connection, i64::MAX).await?.into_iter().find(|group| group.id() == id))
}

async fn groups_in(connection: &mut PgConnection, limit: i64) -> Result<Vec<ParkedGroup>, Error> {
    let groups = sqlx::query_as(concat!(
        "select handler, source, cause, count(*) filter (where ",
        waits!(),
        ") as streams, count(*) filter (where not ",
        waits!(),
        ") as retried, sum(waiting_seq - seq + 1)::bigint as events,
                min(first_failed_at) as first_failed_at, max(last_failed_at) as last_failed_at,
                (array_agg(reason order by first_failed_at, stream))[1] as sample
         from parked group by handler, source, cause order by count(*) desc, handler, source, cause limit $1",
    ));
    Ok(groups.bind(limit).fetch_all(connection).await?)
}

/// A page of its streams, from behind `after` on.
pub async fn parked_streams(
    store: &Store,
    group: &ParkedGroup,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<ParkedStream>, Error> {
    let streams = sqlx::query_as(
        "select stream, seq, event_id, reason, attempts, waiting_seq - seq + 1 as events, retry_at, first_failed_at,
                last_failed_at
         from parked where handler = $1 and source = $2 and cause = $3 and ($4::text is null or stream > $4)
         order by stream limit $5",
    )
    .bind(&group.handler)
    .bind(&group.source)
    .bind(&group.cause)
    .bind(after)
    .bind(i64::from(limit));
    Ok(streams.fetch_all(store.pool()).await?)
}

/// Which streams of a group wait for a person, those first that have failed first; or whether this one does. They stay as they are until the
/// transaction ends.
pub async fn waiting_parked_in(
    connection: &mut PgConnection,
    group: &ParkedGroup,
    stream: Option<&StreamName>,
) -> Result<Vec<String>, Error> {
    // Locked in the order in which the engine locks them.
    let waiting = sqlx::query_as(concat!(
        "select first_failed_at, stream from parked
         where handler = $1 and source = $2 and cause = $3 and ($4::text is null or stream = $4) and ",
        waits!(),
        " order by stream for update",
    ))
    .bind(&group.handler)
    .bind(&group.source)
    .bind(&group.cause)
    .bind(stream.map(StreamName::as_str));
    let mut waiting: Vec<(jiff_sqlx::Timestamp, String)> = waiting.fetch_all(connection).await?;
    waiting.sort_unstable_by_key(|(at, _)| at.to_jiff());
    Ok(waiting.into_iter().map(|(_, stream)| stream).collect())
}

/// Has these streams tried again, so many in a second. What fails again waits for a person again, where it has come to.
pub async fn retry_parked_in(
    connection: &mut PgConnection,
    group: &ParkedGroup,
    streams: &[String],
    per_second: u32,
) -> Result<(), Error> {
    sqlx::query(
        "update parked set retry_at = clock_timestamp() + make_interval(secs => (asked.n - 1) / $4::float8)
         from unnest($3::text[]) with ordinality as asked (stream, n)
         where handler = $1 and source = $2 and parked.stream = asked.stream",
    )
    .bind(&group.handler)
    .bind(&group.source)
    .bind(streams)
    .bind(f64::from(per_second.max(1)))
    .execute(connection)
    .await?;
    Ok(())
}

/// An event that waits for a person to decide about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, sqlx::FromRow)]
pub struct ParkedEvent {
    pub event_id: Uuid,
    pub reason: String,
}

/// The one with this number. None: it does not wait for a person there.
pub async fn parked_event_in(
    connection: &mut PgConnection,
    handler: &str,
    stream: &StreamName,
    seq: Seq,
) -> Result<Option<ParkedEvent>, Error> {
    let event = sqlx::query_as(concat!(
        "select event_id, reason from parked where handler = $1 and stream = $2 and seq = $3 and ",
        waits!(),
        " for update",
    ));
    Ok(event.bind(handler).bind(stream.as_str()).bind(seq.get()).fetch_optional(connection).await?)
}

/// Leaves such an event out: its stream goes on behind it. A conflict where the handler has come elsewhere meanwhile: then nothing is to be
/// committed.
pub async fn skip_parked_in(
    connection: &mut PgConnection,
    handler: &str,
    stream: &StreamName,
    seq: Seq,
) -> Result<(), Error> {
    let source: String = sqlx::query_scalar(
        "update parked set retry_at = clock_timestamp(), attempts = 0
         where handler = $1 and stream = $2 and seq = $3 returning source",
    )
    .bind(handler)
    .bind(stream.as_str())
    .bind(seq.get())
    .fetch_optional(&mut *connection)
    .await?
    .ok_or(Error::Conflict)?;
    let step = Step { stream, from: seq.previous(), to: seq };
    let identity = Identity { handler, source: &source };
    let moved = cursor::advance(connection, identity, &[step], false).await?;
    if moved.all { Ok(()) } else { Err(Error::Conflict) }
}
