//! Reads for people: as of then, the newest first, all that followed from a request.

use event::{Aggregate, RecordedEvent, Seq, StreamName};
use futures::TryStreamExt;
use jiff::Timestamp;
use uuid::Uuid;

use crate::read::{Folding, Row, Stored, last_seqs_in};
use crate::{Error, Store, StreamSeq};

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
