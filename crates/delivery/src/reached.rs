//! Whether a handler has come as far as somebody's own write: read-your-writes for what is projected.

use std::time::{Duration, Instant};

use event_store::{Store, StreamSeq};

use crate::Subscription;

/// Between two looks: a fraction of how long has been waited, so that what comes soon is not seen much later than it comes.
const WAITED_PER_PAUSE: u32 = 5;
const PAUSE_MIN: Duration = Duration::from_millis(1);
const PAUSE_MAX: Duration = Duration::from_millis(50);

/// Whether a handler has handled what it was asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reached {
    Yes,
    /// Not within the limit.
    NotYet,
    /// A stream waits at an event that the handler could not handle.
    Parked,
}

/// Waits until the handler has handled these events, as far as they are of its categories.
pub async fn wait_until_handled(
    store: &Store,
    handler: &str,
    subscription: Subscription,
    events: &[StreamSeq],
    limit: Duration,
) -> Result<Reached, sqlx::Error> {
    let of_it = events.iter().filter(|at| subscription.categories.contains(&at.stream.category()));
    let (streams, seqs): (Vec<&str>, Vec<i64>) = of_it.map(|at| (at.stream.as_str(), at.seq.get())).unzip();
    let start = Instant::now();
    while !streams.is_empty() {
        let (has_handled, is_parked) = sqlx::query_as(
            "select not exists (select from unnest($3::text[], $4::bigint[]) as asked (stream, seq)
                 where coalesce((select cursor.seq from cursor where handler = $1 and source = $2
                                 and cursor.stream = asked.stream), 0) < asked.seq),
                 exists (select from parked where handler = $1 and source = $2 and stream = any($3))",
        )
        .bind(handler)
        .bind(subscription.source)
        .bind(&streams)
        .bind(&seqs)
        .fetch_one(store.pool())
        .await?;
        let waited = start.elapsed();
        let pause = (waited / WAITED_PER_PAUSE).clamp(PAUSE_MIN, PAUSE_MAX);
        match (has_handled, is_parked) {
            (true, _) => break,
            (false, true) => return Ok(Reached::Parked),
            (false, false) if waited + pause > limit => return Ok(Reached::NotYet),
            (false, false) => tokio::time::sleep(pause).await,
        }
    }
    Ok(Reached::Yes)
}
