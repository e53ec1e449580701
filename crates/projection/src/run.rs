//! One rebuild that is under way, and the moments at which its projection's handler stands still.

use std::sync::Arc;

use event::{Aggregate, Context, RecordedEvent, Seq, StreamName};
use event_store::{Error, ExecuteError, Store, UnitOfWork};
use jiff::Timestamp;
use uuid::Uuid;

use crate::pace::Others;
use crate::{Projection, Rebuild, RebuildCommand};

/// `projection_rebuild.state` of one that is under way.
pub(crate) const REQUESTED: &str = "requested";
pub(crate) const LOADING: &str = "loading";
/// Who reads the tables for long, as a dump does, is not waited for for long: everybody else waits too.
const LOCK_TIMEOUT: &str = "set local lock_timeout = '300ms'";

pub(crate) struct Run {
    pub(crate) projection: Arc<dyn Projection>,
    pub(crate) store: Store,
    pub(crate) others: Arc<Others>,
    pub(crate) id: Uuid,
    /// The request that all of it follows from.
    pub(crate) requested: RecordedEvent,
}

/// How far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// Every stream up to this name is loaded.
    pub(crate) loaded_to: String,
    /// Of the stream after it, so many events.
    pub(crate) part: Option<(StreamName, Seq)>,
}

#[derive(sqlx::FromRow)]
struct Row {
    state: String,
    loaded_to: String,
    part_stream: Option<String>,
    part_seq: Option<i64>,
}

impl Run {
    pub(crate) async fn find(
        projection: Arc<dyn Projection>,
        store: Store,
        others: Arc<Others>,
        id: Uuid,
    ) -> Result<Option<Self>, Error> {
        let requested = store.read(&Rebuild::stream(id), Seq::ZERO, 1).await?.pop();
        Ok(requested.map(|requested| Self { projection, store, others, id, requested }))
    }

    pub(crate) fn name(&self) -> &'static str {
        self.projection.name()
    }

    /// A transaction in which the handler stands still, until it ends.
    pub(crate) async fn stand_still(&self) -> Result<UnitOfWork, Error> {
        let context = Context::after(&self.requested, self.store.service(), "projections", Timestamp::now());
        let mut unit = self.store.begin(context).await?;
        sqlx::query("select pg_advisory_xact_lock(hashtextextended('projection ' || $1, 0))")
            .bind(self.name())
            .execute(unit.connection())
            .await?;
        sqlx::raw_sql(LOCK_TIMEOUT).execute(unit.connection()).await?;
        Ok(unit)
    }

    /// How far it is; None when it has been ended, or its tables are gone.
    pub(crate) async fn place(&self, unit: &mut UnitOfWork) -> Result<Option<Place>, Error> {
        let row: Option<Row> = sqlx::query_as(
            "select state, loaded_to, part_stream, part_seq from projection_rebuild
             where projection = $1 and id = $2 and has_rebuild_tables(projection)",
        )
        .bind(self.name())
        .bind(self.id)
        .fetch_optional(unit.connection())
        .await?;
        let Some(row) = row.filter(|row| row.state == LOADING) else { return Ok(None) };
        let part = row.part_stream.and_then(|stream| stream.parse().ok()).zip(row.part_seq.map(Seq::new));
        Ok(Some(Place { loaded_to: row.loaded_to, part }))
    }

    /// Appends how it has ended. False: it had ended before.
    pub(crate) async fn end(&self, unit: &mut UnitOfWork, command: RebuildCommand) -> Result<bool, Error> {
        match unit.execute::<Rebuild>(self.id, command).await {
            Ok(_) => Ok(true),
            Err(ExecuteError::Refused(_)) => Ok(false),
            Err(ExecuteError::Store(error)) => Err(error),
        }
    }
}
