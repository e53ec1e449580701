//! Reads for who goes through history once more: streams in the order of their names, and parts of them.

use event::{RecordedEvent, Seq, StreamName};
use futures::TryStreamExt;
use sqlx::PgConnection;

use crate::read::Row;
use crate::{Error, Store, copied};

impl Store {
    /// The events after a place, stream by stream in the order of their names, of streams before `end`, at most `limit`.
    pub async fn read_range(
        &self,
        (stream, seq): (&str, Seq),
        end: &str,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, Error> {
        let stream = literal(stream);
        let copy = format!(
            "copy (select {} from event where (stream, seq) > ({stream}, {}) and stream < {} order by stream, seq limit {limit})
                 to stdout (format binary)",
            copied::COLUMNS,
            seq.get(),
            literal(end),
        );
        let mut connection = self.pool().acquire().await?;
        let copied = copy_out(&mut connection, &copy, limit).await;
        if copied.is_err() {
            // sqlx does not read on to the end of a copy that has failed: what is asked next would get its answer.
            connection.close_on_drop();
        }
        copied
    }
}

async fn copy_out(
    connection: &mut PgConnection,
    copy: &str,
    limit: usize,
) -> Result<Vec<RecordedEvent>, Error> {
    let mut messages = connection.copy_out_raw(copy).await?;
    let mut events = Vec::with_capacity(limit);
    while let Some(message) = messages.try_next().await? {
        events.extend(copied::event(&message)?);
    }
    Ok(events)
}

/// A copy takes no parameters.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Of each of these streams the events before a seq, in order.
pub async fn read_before_in(
    connection: &mut PgConnection,
    places: &[(&StreamName, Seq)],
) -> Result<Vec<RecordedEvent>, Error> {
    let (streams, seqs): (Vec<&str>, Vec<i64>) =
        places.iter().map(|(stream, seq)| (stream.as_str(), seq.get())).unzip();
    // Stream by stream: a join of a table that has not been analyzed reads all of it.
    let rows: Vec<Row> = sqlx::query_as(
        "select earlier.* from unnest($1::text[], $2::bigint[]) as asked (stream, seq),
             lateral (select * from event where event.stream = asked.stream and event.seq < asked.seq order by seq) as earlier",
    )
    .bind(streams)
    .bind(seqs)
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(Row::into_event).collect()
}

/// The events of a stream after the first seq up to the second, in order.
pub async fn read_between_in(
    connection: &mut PgConnection,
    stream: &StreamName,
    (after, to): (Seq, Seq),
) -> Result<Vec<RecordedEvent>, Error> {
    let rows: Vec<Row> =
        sqlx::query_as("select * from event where stream = $1 and seq > $2 and seq <= $3 order by seq")
            .bind(stream.as_str())
            .bind(after.get())
            .bind(to.get())
            .fetch_all(connection)
            .await?;
    rows.into_iter().map(Row::into_event).collect()
}
