//! Whether a handler has come as far as somebody's own write: read-your-writes for what is projected.

use std::time::{Duration, Instant};

use event_store::{Store, StreamSeq};

use crate::Handler;

const PAUSE_MIN: Duration = Duration::from_millis(2);
const PAUSE_MAX: Duration = Duration::from_millis(50);

/// Waits until the handler has handled these events, as far as they are of its categories. False: not within the limit.
pub async fn wait_until_handled(
    store: &Store,
    handler: &dyn Handler,
    events: &[StreamSeq],
    limit: Duration,
) -> Result<bool, sqlx::Error> {
    let categories = handler.subscription().categories;
    let of_it = events.iter().filter(|at| categories.contains(&at.stream.category()));
    let (streams, seqs): (Vec<&str>, Vec<i64>) = of_it.map(|at| (at.stream.as_str(), at.seq.get())).unzip();
    let (deadline, mut pause) = (Instant::now() + limit, PAUSE_MIN);
    while !streams.is_empty() {
        let has_handled = sqlx::query_scalar(
            "select not exists (select from unnest($3::text[], $4::bigint[]) as asked (stream, seq)
                 where coalesce((select cursor.seq from cursor where handler = $1 and source = $2
                                 and cursor.stream = asked.stream), 0) < asked.seq)",
        )
        .bind(handler.name())
        .bind(handler.subscription().source)
        .bind(&streams)
        .bind(&seqs)
        .fetch_one(store.pool());
        if has_handled.await? {
            break;
        }
        if Instant::now() + pause > deadline {
            return Ok(false);
        }
        tokio::time::sleep(pause).await;
        pause = PAUSE_MAX.min(pause * 2);
    }
    Ok(true)
}
