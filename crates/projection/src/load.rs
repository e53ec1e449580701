//! Loads the streams, in the order of their names: of each as many events as the handler has handled.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use delivery::HandleError;
use event::{RecordedEvent, Seq, StreamName};
use event_store::{Error, UnitOfWork};
use tokio_util::sync::CancellationToken;

use crate::Purpose;
use crate::projection::into_rebuild;
use crate::read_ahead::{Chunk, ReadAhead, last_name};
use crate::run::Run;

/// How a load came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loaded {
    /// What is built stands where what serves stands, from now on.
    All,
    /// It was cancelled, or has failed at a new event.
    Ended,
    /// The process is being stopped: the next one goes on.
    Stopped,
}

impl Run {
    /// To its end, or to that of the process.
    pub(crate) async fn run(
        &self,
        purpose: Purpose,
        shutdown: &CancellationToken,
    ) -> Result<(), HandleError> {
        if self.load(shutdown).await? != Loaded::All {
            return Ok(());
        }
        match purpose {
            Purpose::Replace => self.replace().await?,
            Purpose::Compare => tokio::select! {
                compared = self.compare() => compared?,
                () = shutdown.cancelled() => return Ok(()),
            },
        }
        tracing::info!(projection = self.name(), purpose = purpose.as_str(), "rebuild has ended");
        Ok(())
    }

    /// Makes the tables, or goes on where an earlier process was.
    async fn load(&self, shutdown: &CancellationToken) -> Result<Loaded, HandleError> {
        self.make_tables().await?;
        let mut unit = self.stand_still().await?;
        self.begin(&mut unit).await?;
        let Some(place) = self.place(&mut unit).await? else { return Ok(Loaded::Ended) };
        unit.commit().await?;
        let categories = self.projection.subscription().categories;
        let mut ahead = ReadAhead::start(self.store.clone(), categories, place);
        let mut begun_at = Instant::now();
        while let Some(chunk) = ahead.next().await? {
            if shutdown.is_cancelled() {
                return Ok(Loaded::Stopped);
            }
            let Some(took) = self.load_chunk(&chunk).await? else { return Ok(Loaded::Ended) };
            self.others.look(&self.store).await?;
            ahead.took(chunk.events.len(), took, self.others.standstill());
            self.others.make_room(begun_at.elapsed(), chunk.events.len()).await;
            begun_at = Instant::now();
        }
        let mut unit = self.stand_still().await?;
        match self.place(&mut unit).await? {
            Some(place) if place.loaded_to == last_name(categories) => Ok(Loaded::All),
            Some(_) => Err(Error::Conflict.into()),
            None => Ok(Loaded::Ended),
        }
    }

    async fn make_tables(&self) -> Result<(), Error> {
        let mut transaction = self.store.pool().begin().await?;
        let made = sqlx::query(
            "update projection_rebuild set has_tables = true, changed_at = now(),
                 events_total = (select coalesce(sum(seq), 0)::bigint from cursor where handler = $1 and source = $3)
             where projection = $1 and id = $2 and state = 'requested'",
        )
        .bind(self.name())
        .bind(self.id)
        .bind(self.projection.subscription().source)
        .execute(&mut *transaction)
        .await?;
        if made.rows_affected() > 0 {
            sqlx::query("select make_rebuild_tables($1)")
                .bind(self.name())
                .execute(&mut *transaction)
                .await?;
        }
        Ok(transaction.commit().await?)
    }

    async fn begin(&self, unit: &mut UnitOfWork) -> Result<(), Error> {
        sqlx::query(
            "update projection_rebuild set state = 'loading', started_at = now(), changed_at = now()
             where projection = $1 and id = $2 and state = 'requested'",
        )
        .bind(self.name())
        .bind(self.id)
        .execute(unit.connection())
        .await?;
        Ok(())
    }

    /// One transaction; for so long has the handler stood still. None: the rebuild has been ended.
    async fn load_chunk(&self, chunk: &Chunk) -> Result<Option<Duration>, HandleError> {
        let mut unit = self.stand_still().await?;
        let start = Instant::now();
        // Nobody waits for the disk: a server that fails loses the last chunks with the note of them.
        sqlx::raw_sql("set local synchronous_commit = off").execute(unit.connection()).await?;
        let Some(place) = self.place(&mut unit).await? else { return Ok(None) };
        // Another process is at it too, or a server that failed has lost the chunks before this one.
        if !chunk.follows(&place) {
            return Err(Error::Conflict.into());
        }
        let part = place.part.as_ref();
        let mut reached_part = Seq::ZERO;
        let mut read = by_stream(&chunk.events);
        let mut events: Vec<(&[RecordedEvent], Vec<RecordedEvent>)> = Vec::new();
        for (stream, handled) in self.handled(&mut unit, chunk).await? {
            let from = part.filter(|(of, _)| *of == stream).map_or(Seq::ZERO, |(_, seq)| *seq);
            let is_part = chunk.reaches.part.as_ref().filter(|(of, _)| *of == stream);
            let to = is_part.map_or(handled, |(_, seq)| handled.min(*seq));
            let known = within(read.remove(stream.as_str()).unwrap_or_default(), from, to);
            if is_part.is_some() {
                reached_part = to;
            }
            let reached = known.last().map_or(from, |event| event.seq);
            // What has come since it was read.
            let missing = match reached < to {
                true => event_store::read_between_in(unit.connection(), &stream, (reached, to)).await?,
                false => Vec::new(),
            };
            events.push((known, missing));
        }
        let events: Vec<&RecordedEvent> =
            events.iter().flat_map(|(known, missing)| known.iter().chain(missing)).collect();
        if !events.is_empty() {
            into_rebuild(&*self.projection, &events, unit.connection()).await?;
        }
        self.note(&mut unit, chunk, reached_part, events.len()).await?;
        unit.commit().await?;
        Ok(Some(start.elapsed()))
    }

    /// How far the handler has come in each stream of the chunk, those that are new since it was read included.
    async fn handled(
        &self,
        unit: &mut UnitOfWork,
        chunk: &Chunk,
    ) -> Result<Vec<(StreamName, Seq)>, HandleError> {
        let part = chunk.reaches.part.as_ref().map(|(stream, _)| stream.as_str());
        let rows: Vec<(String, i64)> = sqlx::query_as(
            "select stream, seq from cursor
             where handler = $1 and source = $2 and (stream > $3 and stream <= $4 or stream = $5) order by stream",
        )
        .bind(self.name())
        .bind(self.projection.subscription().source)
        .bind(&chunk.after)
        .bind(&chunk.reaches.loaded_to)
        .bind(part)
        .fetch_all(unit.connection())
        .await?;
        let named = |(stream, seq): (String, i64)| {
            let stream = stream.parse().map_err(|_| HandleError::Failed(format!("{stream} is no stream")))?;
            Ok((stream, Seq::new(seq)))
        };
        rows.into_iter().map(named).collect()
    }

    /// Of a stream that is loaded in parts, so many events as the handler has handled are, whatever was read.
    async fn note(
        &self,
        unit: &mut UnitOfWork,
        chunk: &Chunk,
        reached_part: Seq,
        events: usize,
    ) -> Result<(), Error> {
        let stream = chunk.reaches.part.as_ref().map(|(stream, _)| stream.as_str());
        sqlx::query(
            "update projection_rebuild set loaded_to = $3, part_stream = $4, part_seq = $5,
                 events_done = events_done + $6, changed_at = now()
             where projection = $1 and id = $2",
        )
        .bind(self.name())
        .bind(self.id)
        .bind(&chunk.reaches.loaded_to)
        .bind(stream)
        .bind(stream.map(|_| reached_part.get()))
        .bind(i64::try_from(events).unwrap_or(i64::MAX))
        .execute(unit.connection())
        .await?;
        Ok(())
    }
}

fn by_stream(events: &[RecordedEvent]) -> HashMap<&str, &[RecordedEvent]> {
    events.chunk_by(|a, b| a.stream == b.stream).map(|some| (some[0].stream.as_str(), some)).collect()
}

/// Those after `from` up to `to`, of the events of a stream that follow each other; none where the first of them is not there.
fn within(events: &[RecordedEvent], from: Seq, to: Seq) -> &[RecordedEvent] {
    let first = events.partition_point(|event| event.seq <= from);
    let end = events.partition_point(|event| event.seq <= to);
    let within = events.get(first..end).unwrap_or_default();
    if within.first().is_some_and(|event| event.seq == from.next()) { within } else { &[] }
}
