//! How many rows of a projection have which status, and since when the first of them.

use event_store::{Error, Store};
use jiff::Timestamp;
use sqlx::AssertSqlSafe;

use crate::StreamRow;

#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct StatusCount {
    pub status: String,
    pub count: i64,
    /// Of all that have it, the one that has not changed for the longest time.
    #[sqlx(try_from = "jiff_sqlx::Timestamp")]
    pub unchanged_since: Timestamp,
}

/// By status; those that nothing has are missing. For tables with the columns `status` and `changed_at`.
pub async fn count_by_status<R: StreamRow>(store: &Store) -> Result<Vec<StatusCount>, Error> {
    let count = format!(
        "select status, count(*) as count, min(changed_at) as unchanged_since from {} group by status order by status",
        R::TABLE
    );
    Ok(sqlx::query_as(AssertSqlSafe(count)).fetch_all(store.pool()).await?)
}
