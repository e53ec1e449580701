//! What projections there are, and how far their rebuilds have come.

use event_store::{Error, Store};
use jiff::Timestamp;
use serde_json::Value;
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

/// A projection as it serves.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Overview {
    pub name: String,
    pub tables: Vec<String>,
    pub version: i32,
    /// Why its handler reads the history instead of what happens now, if it does.
    pub behind_reason: Option<String>,
    /// Streams that wait at an event which it could not handle.
    pub parked_streams: i64,
    /// The rebuild that is under way, or was the last.
    pub rebuild_id: Option<Uuid>,
}

/// A rebuild that is under way, or was its projection's last.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Progress {
    pub events_done: i64,
    /// That the handler had handled when this began.
    pub events_total: i64,
    started_at: Option<jiff_sqlx::Timestamp>,
    #[sqlx(try_from = "jiff_sqlx::Timestamp")]
    pub changed_at: Timestamp,
    /// By table, of a comparison.
    pub examples: Option<Json<Value>>,
}

impl Progress {
    /// None before the first event is loaded.
    pub fn started_at(&self) -> Option<Timestamp> {
        self.started_at.map(jiff_sqlx::Timestamp::to_jiff)
    }

    pub fn events_per_second(&self) -> i64 {
        let Some(started_at) = self.started_at() else { return 0 };
        let took = self.changed_at.duration_since(started_at).as_millis();
        let rate = i128::from(self.events_done) * 1_000 / took.max(1);
        i64::try_from(rate).unwrap_or(i64::MAX)
    }

    /// None while it cannot be told.
    pub fn seconds_left(&self) -> Option<i64> {
        (self.events_total - self.events_done).max(0).checked_div(self.events_per_second())
    }
}

/// The rebuild of a projection that has not ended, its clearing up included.
pub async fn under_way_in(connection: &mut PgConnection, projection: &str) -> Result<Option<Uuid>, Error> {
    let id = sqlx::query_scalar(
        "select id from projection_rebuild where projection = $1 and (state in ('requested', 'loading') or has_tables)",
    )
    .bind(projection)
    .fetch_optional(connection)
    .await?;
    Ok(id)
}

/// All projections of the service.
pub async fn list(store: &Store) -> Result<Vec<Overview>, Error> {
    let rows = sqlx::query_as(
        "select name, tables, projection.version, projection_rebuild.id as rebuild_id,
                (select behind_reason from handler where handler.name = projection.name and behind) as behind_reason,
                (select count(*) from parked where handler = projection.name) as parked_streams
         from projection left join projection_rebuild on projection = name order by name",
    )
    .fetch_all(store.pool())
    .await?;
    Ok(rows)
}

/// Whether it is a projection of this service that is called so.
pub async fn is_kept(connection: &mut PgConnection, name: &str) -> Result<bool, Error> {
    let is_kept = sqlx::query_scalar("select exists (select from projection where name = $1)");
    Ok(is_kept.bind(name).fetch_one(connection).await?)
}

/// How far a rebuild has come. None: a later one of the same projection has begun, or it has not been taken in yet.
pub async fn progress(store: &Store, id: Uuid) -> Result<Option<Progress>, Error> {
    let row = sqlx::query_as(
        "select events_done, events_total, started_at, changed_at, examples
         from projection_rebuild where id = $1",
    )
    .bind(id)
    .fetch_optional(store.pool())
    .await?;
    Ok(row)
}
