//! Reads by stream from a seq.

use std::collections::HashMap;

use event::{Aggregate, Metadata, Position, RecordedEvent, Seq, StreamName};
use futures::TryStreamExt;
use serde_json::value::RawValue;
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use crate::memory::Loaded;
use crate::snapshot::is_overdue;
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

pub(crate) fn stored_name(name: &str) -> Result<StreamName, Error> {
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

/// What a fold needs of an event; or, under no type, a kept state and its version.
#[derive(sqlx::FromRow)]
pub(crate) struct Stored {
    seq: i64,
    r#type: String,
    version: i16,
    data: Json<Box<RawValue>>,
}

impl Stored {
    fn is_snapshot(&self) -> bool {
        self.r#type.is_empty()
    }
}

/// An aggregate that is being folded.
pub(crate) struct Folding<'a, A> {
    stream: &'a StreamName,
    pub(crate) state: Option<A>,
    pub(crate) seq: Seq,
    folded: i64,
}

impl<'a, A: Aggregate> Folding<'a, A> {
    pub(crate) fn new(stream: &'a StreamName) -> Self {
        Self { stream, state: None, seq: Seq::ZERO, folded: 0 }
    }

    /// Whether what follows can be folded: not onto a kept state that is no use here.
    pub(crate) fn begins_with(&self, first: &Stored) -> bool {
        !first.is_snapshot() && first.seq == Seq::FIRST.get() || Self::kept(first).is_some()
    }

    fn kept(stored: &Stored) -> Option<A> {
        let snapshots = A::SNAPSHOTS.filter(|_| stored.is_snapshot())?;
        (snapshots.version == stored.version).then(|| (snapshots.read)(stored.data.get()).ok())?
    }

    pub(crate) fn fold(&mut self, stored: &Stored) -> Result<(), Error> {
        self.seq = Seq::new(stored.seq);
        if stored.is_snapshot() {
            self.state = Self::kept(stored);
            return Ok(());
        }
        let event =
            <A::Event as event::DomainEvent>::decode(&stored.r#type, stored.version, stored.data.get())
                .map_err(|error| error.at(self.stream, self.seq))?;
        self.state = A::evolve(self.state.take(), &event);
        self.folded += 1;
        Ok(())
    }
}

impl Store {
    /// Folds a stream, from its kept state if there is one.
    pub(crate) async fn load_in<A: Aggregate>(
        &self,
        connection: &mut PgConnection,
        stream: &StreamName,
    ) -> Result<(Option<A>, Seq), Error> {
        let Some(snapshots) = A::SNAPSHOTS else {
            return load_whole(connection, stream).await.map(Folding::end);
        };
        let mut rows = sqlx::query_as::<_, Stored>(
            "with kept as (select seq, version, state from snapshot where stream = $1 and version = $2)
             select seq, '' as type, version, state as data from kept
             union all
             select seq, type, version, data from event
             where stream = $1 and seq > coalesce((select seq from kept), 0)
             order by seq",
        )
        .bind(stream.as_str())
        .bind(snapshots.version)
        .fetch(&mut *connection);
        let mut folding = Folding::<A>::new(stream);
        let mut is_usable = true;
        while let Some(stored) = rows.try_next().await? {
            is_usable = is_usable && (folding.seq > Seq::ZERO || folding.begins_with(&stored));
            if is_usable {
                folding.fold(&stored)?;
            }
        }
        drop(rows);
        if !is_usable {
            tracing::warn!(%stream, "snapshot cannot be read, the stream is folded");
            folding = load_whole(connection, stream).await?;
        }
        if is_overdue(folding.folded) {
            let loaded = Loaded::of(folding.state.clone(), folding.seq);
            self.keep_snapshots(loaded.snapshot(stream).into_iter().collect());
        }
        Ok(folding.end())
    }
}

impl<A> Folding<'_, A> {
    fn end(self) -> (Option<A>, Seq) {
        (self.state, self.seq)
    }
}

async fn load_whole<'a, A: Aggregate>(
    connection: &mut PgConnection,
    stream: &'a StreamName,
) -> Result<Folding<'a, A>, Error> {
    let mut rows = sqlx::query_as::<_, Stored>(
        "select seq, type, version, data from event where stream = $1 order by seq",
    )
    .bind(stream.as_str())
    .fetch(connection);
    let mut folding = Folding::new(stream);
    while let Some(stored) = rows.try_next().await? {
        folding.fold(&stored)?;
    }
    Ok(folding)
}

/// Of one stream that is read ahead. One that has more is folded as it is read.
const EVENTS_AHEAD_MAX: usize = 200;

/// The events of several streams, in one round trip: those after the kept state, which comes before them. A stream without events is
/// there as well; one with many is not.
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
             lateral (
                 (select seq, '' as type, version, state as data from snapshot where snapshot.stream = asked.stream)
                 union all
                 (select seq, type, version, data from event
                  where event.stream = asked.stream
                    and seq > coalesce((select seq from snapshot where snapshot.stream = asked.stream), 0)
                  order by seq limit $2)
             ) as stored",
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

/// The seq of each stream's last event, in the order asked for; zero when there is none.
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

/// The seq of each external stream's last event, and that of the event which that was derived from; zero when there is none.
pub(crate) async fn external_ends_in(
    connection: &mut PgConnection,
    streams: impl IntoIterator<Item = StreamName>,
) -> Result<Vec<(StreamSeq, Seq)>, Error> {
    let streams: Vec<StreamName> = streams.into_iter().collect();
    let ends: Vec<(i64, i64)> = sqlx::query_as(
        "select coalesce(last.seq, 0), coalesce(last.source, 0)
         from unnest($1::text[]) with ordinality as asked (stream, n)
         left join lateral (select seq, (metadata->'source'->>'seq')::bigint as source from event
                            where event.stream = asked.stream order by seq desc limit 1) as last on true
         order by n",
    )
    .bind(streams.iter().map(StreamName::as_str).collect::<Vec<_>>())
    .fetch_all(connection)
    .await?;
    let end = |(stream, (seq, source))| (StreamSeq { stream, seq: Seq::new(seq) }, Seq::new(source));
    Ok(streams.into_iter().zip(ends).map(end).collect())
}
