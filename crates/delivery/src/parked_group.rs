//! What is parked, by what it fails for: seen, tried again by a person, left out by a correction.

use event::{Seq, StreamName};
use event_store::{Error, Store};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::cursor;
use crate::cursor::Step;
use crate::identity::Identity;

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
    let groups = sqlx::query_as(
        "select handler, source, cause, count(*) filter (where retry_at is null) as streams,
                count(*) filter (where retry_at is not null) as retried,
                sum(waiting_seq - seq + 1)::bigint as events,
                min(first_failed_at) as first_failed_at, max(last_failed_at) as last_failed_at,
                (array_agg(reason order by first_failed_at, stream))[1] as sample
         from parked group by handler, source, cause order by count(*) desc, handler, source, cause limit $1",
    );
    Ok(groups.bind(GROUPS_MAX).fetch_all(connection).await?)
}

/// The group that is called so. None: nothing is parked for its cause any more.
pub async fn parked_group(connection: &mut PgConnection, id: &str) -> Result<Option<ParkedGroup>, Error> {
    Ok(parked_groups(connection).await?.into_iter().find(|group| group.id() == id))
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

/// How many wait for a person: of a group, or of one stream of it. It stays so many until the transaction ends.
pub async fn waiting_parked_in(
    connection: &mut PgConnection,
    group: &ParkedGroup,
    stream: Option<&StreamName>,
) -> Result<u64, Error> {
    let waiting: i64 = sqlx::query_scalar(
        "with waiting as (
             select from parked
             where handler = $1 and source = $2 and cause = $3 and ($4::text is null or stream = $4) and retry_at is null
             order by stream for update
         )
         select count(*) from waiting",
    )
    .bind(&group.handler)
    .bind(&group.source)
    .bind(&group.cause)
    .bind(stream.map(StreamName::as_str))
    .fetch_one(connection)
    .await?;
    Ok(waiting.unsigned_abs())
}

/// Has those tried again that wait for a person: all of a group, or one stream of it; so many in a second, those first that have failed first.
/// Returns how many. What fails again waits for a person again, where it has come to.
pub async fn retry_parked_in(
    connection: &mut PgConnection,
    group: &ParkedGroup,
    stream: Option<&StreamName>,
    per_second: u32,
) -> Result<u64, Error> {
    let retried = sqlx::query(
        "with numbered as (
             select stream, row_number() over (order by first_failed_at, stream) - 1 as n from parked
             where handler = $1 and source = $2 and cause = $3 and ($4::text is null or stream = $4) and retry_at is null
         )
         update parked set retry_at = clock_timestamp() + make_interval(secs => numbered.n / $5::float8)
         from numbered where handler = $1 and source = $2 and parked.stream = numbered.stream",
    )
    .bind(&group.handler)
    .bind(&group.source)
    .bind(&group.cause)
    .bind(stream.map(StreamName::as_str))
    .bind(f64::from(per_second.max(1)))
    .execute(connection)
    .await?;
    Ok(retried.rows_affected())
}

/// Leaves a parked event out: its stream goes on behind it. False when none with this number waits for a person there.
pub async fn skip_parked_in(
    connection: &mut PgConnection,
    handler: &str,
    stream: &StreamName,
    seq: Seq,
) -> Result<bool, Error> {
    let source: Option<String> = sqlx::query_scalar(
        "update parked set retry_at = clock_timestamp(), attempts = 0
         where handler = $1 and stream = $2 and seq = $3 and retry_at is null returning source",
    )
    .bind(handler)
    .bind(stream.as_str())
    .bind(seq.get())
    .fetch_optional(&mut *connection)
    .await?;
    let Some(source) = source else { return Ok(false) };
    let step = Step { stream, from: seq.previous(), to: seq };
    let identity = Identity { handler, source: &source };
    Ok(cursor::advance(connection, identity, &[step], false).await?.all)
}
