//! Reads by stream from a seq.

use std::collections::HashMap;

use event::{Aggregate, Metadata, Position, RecordedEvent, Seq, StreamName};
use futures::TryStreamExt;
use serde_json::value::RawValue;
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use crate::{Error, Store, StreamSeq};

#[derive(sqlx::FromRow)]
pub(crate) struct Row {
    position: i64,
    stream: String,
    seq: i64,
    id: Uuid,
    r#type: String,
    version: i16,
    data: Json<Box<RawValue>>,
    correlation_id: Uuid,
    causation_id: Uuid,
    metadata: Json<Metadata>,
    recorded_at: jiff_sqlx::Timestamp,
}

impl Row {
    pub(crate) fn into_event(self) -> Result<RecordedEvent, Error> {
        Ok(RecordedEvent {
            position: Position(self.position),
            stream: stored_name(&self.stream)?,
            seq: Seq::new(self.seq),
            id: self.id,
            event_type: self.r#type,
            version: self.version,
            data: self.data.0,
            correlation_id: self.correlation_id,
            causation_id: self.causation_id,
            metadata: self.metadata.0,
            recorded_at: self.recorded_at.to_jiff(),
        })
    }
}

fn stored_name(name: &str) -> Result<StreamName, Error> {
    name.parse().map_err(|error| Error::Database(sqlx::Error::Decode(Box::new(error))))
}

impl Store {
    /// The events of a stream after `after`, in order, at most `limit`.
    pub async fn read(
        &self,
        stream: &StreamName,
        after: Seq,
        limit: u32,
    ) -> Result<Vec<RecordedEvent>, Error> {
        let rows: Vec<Row> =
            sqlx::query_as("select * from event where stream = $1 and seq > $2 order by seq limit $3")
                .bind(stream.as_str())
                .bind(after.get())
                .bind(i64::from(limit))
                .fetch_all(self.pool())
                .await?;
        rows.into_iter().map(Row::into_event).collect()
    }

    /// The last event of a stream.
    pub async fn last(&self, stream: &StreamName) -> Result<Option<RecordedEvent>, Error> {
        sqlx::query_as::<_, Row>("select * from event where stream = $1 order by seq desc limit 1")
            .bind(stream.as_str())
            .fetch_optional(self.pool())
            .await?
            .map(Row::into_event)
            .transpose()
    }

    /// The streams of a category after `after` by name, each with its last seq, at most `limit`. Each stream costs
    /// two index probes, however long it is.
    pub async fn streams(
        &self,
        category: &str,
        after: Option<&StreamName>,
        limit: u32,
    ) -> Result<Vec<StreamSeq>, Error> {
        // `.` follows `-` in the "C" collation, so this is the whole category and nothing else.
        let (first, end) = (format!("{category}-"), format!("{category}."));
        let rows: Vec<(String, i64)> = sqlx::query_as(
            "with recursive found as (
                 (select stream from event where stream > $1 and stream < $2 order by stream limit 1)
                 union all
                 select (select stream from event where stream > found.stream and stream < $2 order by stream limit 1)
                 from found where found.stream is not null
             )
             select stream, (select max(seq) from event where event.stream = found.stream)
             from found where stream is not null limit $3",
        )
        .bind(after.map_or(first.as_str(), StreamName::as_str))
        .bind(end)
        .bind(i64::from(limit))
        .fetch_all(self.pool())
        .await?;
        rows.into_iter()
            .map(|(stream, seq)| Ok(StreamSeq { stream: stored_name(&stream)?, seq: Seq::new(seq) }))
            .collect()
    }
}

/// What a fold needs of an event.
#[derive(sqlx::FromRow)]
pub(crate) struct Stored {
    seq: i64,
    r#type: String,
    version: i16,
    data: Json<Box<RawValue>>,
}

/// An aggregate that is being folded.
pub(crate) struct Folding<'a, A> {
    stream: &'a StreamName,
    pub(crate) state: Option<A>,
    pub(crate) seq: Seq,
}

impl<'a, A: Aggregate> Folding<'a, A> {
    pub(crate) fn new(stream: &'a StreamName) -> Self {
        Self { stream, state: None, seq: Seq::ZERO }
    }

    pub(crate) fn fold(&mut self, stored: &Stored) -> Result<(), Error> {
        self.seq = Seq::new(stored.seq);
        let event =
            <A::Event as event::DomainEvent>::decode(&stored.r#type, stored.version, stored.data.get())
                .map_err(|error| error.at(self.stream, self.seq))?;
        self.state = A::evolve(self.state.take(), &event);
        Ok(())
    }
}

/// Folds a whole stream.
pub(crate) async fn load_in<A: Aggregate>(
    connection: &mut PgConnection,
    stream: &StreamName,
) -> Result<(Option<A>, Seq), Error> {
    let mut rows = sqlx::query_as::<_, Stored>(
        "select seq, type, version, data from event where stream = $1 order by seq",
    )
    .bind(stream.as_str())
    .fetch(connection);
    let mut folding = Folding::new(stream);
    while let Some(stored) = rows.try_next().await? {
        folding.fold(&stored)?;
    }
    Ok((folding.state, folding.seq))
}

/// Of one stream that is read ahead. One that has more is folded as it is read.
const EVENTS_AHEAD_MAX: usize = 200;

/// The events of several streams, in one round trip. A stream without events is there as well; one with many is not.
pub(crate) async fn read_streams_in(
    connection: &mut PgConnection,
    streams: Vec<StreamName>,
) -> Result<HashMap<StreamName, Vec<Stored>>, Error> {
    #[derive(sqlx::FromRow)]
    struct Numbered {
        n: i64,
        #[sqlx(flatten)]
        stored: Stored,
    }
    // Stream by stream: a join of a table that has not been analyzed reads all of it.
    let rows: Vec<Numbered> = sqlx::query_as(
        "select n, stored.* from unnest($1::text[]) with ordinality as asked (stream, n),
             lateral (select seq, type, version, data from event where event.stream = asked.stream order by seq limit $2) as stored",
    )
    .bind(streams.iter().map(StreamName::as_str).collect::<Vec<_>>())
    .bind(i64::try_from(EVENTS_AHEAD_MAX).unwrap_or(i64::MAX))
    .fetch_all(connection)
    .await?;
    let mut read: Vec<Vec<Stored>> = streams.iter().map(|_| Vec::new()).collect();
    for Numbered { n, stored } in rows {
        if let Some(events) = usize::try_from(n - 1).ok().and_then(|n| read.get_mut(n)) {
            events.push(stored);
        }
    }
    Ok(streams.into_iter().zip(read).filter(|(_, events)| events.len() < EVENTS_AHEAD_MAX).collect())
}

/// The same as [`last_seq_in`] for several streams.
pub(crate) async fn last_seqs_in(
    connection: &mut PgConnection,
    streams: impl IntoIterator<Item = StreamName>,
) -> Result<Vec<StreamSeq>, Error> {
    let streams: Vec<StreamName> = streams.into_iter().collect();
    let seqs: Vec<i64> = sqlx::query_scalar(
        "select coalesce((select max(seq) from event where event.stream = asked.stream), 0)
         from unnest($1::text[]) with ordinality as asked (stream, n) order by n",
    )
    .bind(streams.iter().map(StreamName::as_str).collect::<Vec<_>>())
    .fetch_all(connection)
    .await?;
    Ok(streams.into_iter().zip(seqs).map(|(stream, seq)| StreamSeq { stream, seq: Seq::new(seq) }).collect())
}

/// The seq of a stream's last event; zero when there is none.
pub(crate) async fn last_seq_in(connection: &mut PgConnection, stream: &StreamName) -> Result<Seq, Error> {
    let seq: Option<i64> = sqlx::query_scalar("select max(seq) from event where stream = $1")
        .bind(stream.as_str())
        .fetch_one(connection)
        .await?;
    Ok(Seq::new(seq.unwrap_or_default()))
}
