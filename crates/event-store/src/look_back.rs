//! Reads for people: as of then, the newest first, all that followed from a request.

use event::{Aggregate, Position, RecordedEvent, Seq, StreamName};
use futures::TryStreamExt;
use jiff::Timestamp;
use uuid::Uuid;

use crate::read::{Folding, Row, Stored, last_seqs_in};
use crate::{Error, Store, StreamSeq};

/// What kind of events.
#[derive(Debug, Clone, Copy, Default)]
pub struct EventKind<'a> {
    pub category: Option<&'a str>,
    pub event_type: Option<&'a str>,
    pub recorded_before: Option<Timestamp>,
}

/// A place among all events, by request: where a walk goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Walked {
    pub request: Uuid,
    pub position: Position,
}

/// A page of events, and where the next one begins.
#[derive(Debug)]
pub struct EventPage {
    pub events: Vec<RecordedEvent>,
    pub next: Option<Walked>,
}

impl Store {
    /// The state of an aggregate as it was at this seq, and the seq of the last event that went into it.
    pub async fn load_at<A: Aggregate>(&self, id: Uuid, seq: Seq) -> Result<(Option<A>, Seq), Error> {
        let stream = A::stream(id);
        let mut rows = sqlx::query_as::<_, Stored>(
            "select seq, type, version, data from event where stream = $1 and seq <= $2 order by seq",
        )
        .bind(stream.as_str())
        .bind(seq.get())
        .fetch(self.pool());
        let mut folding = Folding::new(&stream);
        while let Some(stored) = rows.try_next().await? {
            folding.fold(&stored)?;
        }
        Ok((folding.state, folding.seq))
    }

    /// The last event of a stream that was recorded before then.
    pub async fn last_before(
        &self,
        stream: &StreamName,
        time: Timestamp,
    ) -> Result<Option<RecordedEvent>, Error> {
        // Within a stream no event is older than its predecessor.
        sqlx::query_as::<_, Row>(
            "select * from event where stream = $1 and recorded_at < $2 order by seq desc limit 1",
        )
        .bind(stream.as_str())
        .bind(jiff_sqlx::Timestamp::from(time))
        .fetch_optional(self.pool())
        .await?
        .map(Row::into_event)
        .transpose()
    }

    /// The seq of each stream's last event, in the order asked for; zero where there is none.
    pub async fn last_seqs(
        &self,
        streams: impl IntoIterator<Item = StreamName>,
    ) -> Result<Vec<StreamSeq>, Error> {
        let mut connection = self.pool().acquire().await?;
        last_seqs_in(&mut connection, streams).await
    }

    /// The events of a stream before `before`, the newest first, at most `limit`.
    pub async fn read_back(
        &self,
        stream: &StreamName,
        before: Seq,
        limit: u32,
    ) -> Result<Vec<RecordedEvent>, Error> {
        let rows: Vec<Row> =
            sqlx::query_as("select * from event where stream = $1 and seq < $2 order by seq desc limit $3")
                .bind(stream.as_str())
                .bind(before.get())
                .bind(i64::from(limit))
                .fetch_all(self.pool())
                .await?;
        rows.into_iter().map(Row::into_event).collect()
    }

    /// The events at these places, in this order.
    pub async fn read_at(&self, places: &[StreamSeq]) -> Result<Vec<RecordedEvent>, Error> {
        let (streams, seqs): (Vec<&str>, Vec<i64>) =
            places.iter().map(|place| (place.stream.as_str(), place.seq.get())).unzip();
        // One by one: a join of a table that has not been analyzed reads all of it.
        let rows: Vec<Row> = sqlx::query_as(
            "select found.* from unnest($1::text[], $2::bigint[]) with ordinality as asked (stream, seq, n),
                 lateral (select * from event where event.stream = asked.stream and event.seq = asked.seq) as found
             order by asked.n",
        )
        .bind(streams)
        .bind(seqs)
        .fetch_all(self.pool())
        .await?;
        rows.into_iter().map(Row::into_event).collect()
    }

    /// Events of a kind, by the ids of their requests, the last first, at most `limit` of the next `looked_at`: a page may be short, or empty, and
    /// more follow. Requests of the API come in the order of time so; what another service began has an id that says no time.
    pub async fn newest(
        &self,
        kind: &EventKind<'_>,
        after: Option<Walked>,
        (limit, looked_at): (u32, u32),
    ) -> Result<EventPage, Error> {
        let begin = Walked { request: Uuid::max(), position: Position(i64::MAX) };
        let Walked { request, position } = after.unwrap_or(begin);
        // `.` follows `-` in the "C" collation, so this is the whole category and nothing else.
        let names = kind.category.map(|category| (format!("{category}-"), format!("{category}.")));
        let (first, end) = names.unwrap_or_else(|| (String::new(), "~".to_owned()));
        let mut transaction = self.pool().begin().await?;
        // The page and its end are of one moment.
        sqlx::raw_sql("set transaction isolation level repeatable read read only")
            .execute(&mut *transaction)
            .await?;
        let rows: Vec<Row> = sqlx::query_as(
            "select * from (select * from event where (correlation_id, position) < ($1, $2)
                            order by correlation_id desc, position desc limit $3) as walked
             where stream > $4 and stream < $5 and ($6::text is null or type = $6) and ($7::timestamptz is null or recorded_at < $7)
             order by correlation_id desc, position desc limit $8",
        )
        .bind(request)
        .bind(position.0)
        .bind(i64::from(looked_at))
        .bind(first)
        .bind(end)
        .bind(kind.event_type)
        .bind(kind.recorded_before.map(jiff_sqlx::Timestamp::from))
        .bind(i64::from(limit))
        .fetch_all(&mut *transaction)
        .await?;
        let events: Vec<RecordedEvent> = rows.into_iter().map(Row::into_event).collect::<Result<_, _>>()?;
        let is_full = events.len() >= usize::try_from(limit).unwrap_or(usize::MAX);
        if let Some(last) = events.last().filter(|_| is_full) {
            let next = Some(Walked { request: last.correlation_id, position: last.position });
            return Ok(EventPage { events, next });
        }
        // As far as was looked.
        let end: Option<(Uuid, i64)> = sqlx::query_as(
            "select correlation_id, position from event where (correlation_id, position) < ($1, $2)
             order by correlation_id desc, position desc offset $3 limit 1",
        )
        .bind(request)
        .bind(position.0)
        .bind(i64::from(looked_at) - 1)
        .fetch_optional(&mut *transaction)
        .await?;
        let next = end.map(|(request, position)| Walked { request, position: Position(position) });
        Ok(EventPage { events, next })
    }

    /// What this has caused directly, an event of this service or a request, in order, at most `limit`. None where it is neither.
    pub async fn caused_by(&self, id: Uuid, limit: u32) -> Result<Option<Vec<RecordedEvent>>, Error> {
        let request: Option<Uuid> = sqlx::query_scalar(
            "select coalesce((select correlation_id from event where id = $1),
                             (select correlation_id from event where correlation_id = $1 limit 1))",
        )
        .bind(id)
        .fetch_one(self.pool())
        .await?;
        let Some(request) = request else { return Ok(None) };
        // An effect has its cause's correlation, and that has an index.
        let rows: Vec<Row> = sqlx::query_as(
            "select * from event where correlation_id = $1 and causation_id = $2 order by position limit $3",
        )
        .bind(request)
        .bind(id)
        .bind(i64::from(limit))
        .fetch_all(self.pool())
        .await?;
        rows.into_iter().map(Row::into_event).collect::<Result<_, _>>().map(Some)
    }

    /// What followed from these requests, each event after its cause, at most `limit`. The events of one append have no order among
    /// themselves.
    pub async fn correlated(
        &self,
        correlation_ids: &[Uuid],
        limit: u32,
    ) -> Result<Vec<RecordedEvent>, Error> {
        // A cause is committed before its effect draws its position.
        let rows: Vec<Row> =
            sqlx::query_as("select * from event where correlation_id = any($1) order by position limit $2")
                .bind(correlation_ids)
                .bind(i64::from(limit))
                .fetch_all(self.pool())
                .await?;
        rows.into_iter().map(Row::into_event).collect()
    }
}
