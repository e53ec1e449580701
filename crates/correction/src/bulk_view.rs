//! The list of bulk corrections, and of what has become of their items (migrations/core/1016_bulk_view.sql).

use delivery::Subscription;
use event::Aggregate;
use event_store::Store;
use jiff::Timestamp;
use projection::{Newest, Page, RowPerStream, StreamRow};
use serde::Serialize;
use uuid::Uuid;

use crate::{Bulk, BulkEvent, BulkWork};

pub type BulkView = RowPerStream<ShownBulk>;

/// A bulk correction, with the times of its first and its last event.
pub struct ShownBulk {
    bulk: Bulk,
    requested_at: Timestamp,
    changed_at: Timestamp,
}

#[derive(Debug, Clone, Serialize, sqlx::FromRow)]
pub struct BulkRow {
    pub id: Uuid,
    pub status: String,
    pub items: i32,
    pub reason_code: String,
    pub evidence: String,
    pub requested_by: String,
    /// Other than waiting for people.
    pub has_work: bool,
    #[sqlx(try_from = "jiff_sqlx::Timestamp")]
    pub requested_at: Timestamp,
    #[sqlx(try_from = "jiff_sqlx::Timestamp")]
    pub changed_at: Timestamp,
}

impl StreamRow for ShownBulk {
    const PROJECTION: &'static str = "bulk.view";
    const SUBSCRIPTION: Subscription = Subscription { source: "core", categories: &[Bulk::CATEGORY] };
    const TABLE: &'static str = "bulk_view";
    type Event = BulkEvent;
    type Row<'a> = BulkRow;

    fn evolve(state: Option<Self>, _: Uuid, event: BulkEvent, at: Timestamp) -> Option<Self> {
        let requested_at = state.as_ref().map_or(at, |shown| shown.requested_at);
        let bulk = Bulk::evolve(state.map(|shown| shown.bulk), &event)?;
        Some(Self { bulk, requested_at, changed_at: at })
    }

    fn row(&self, id: Uuid) -> BulkRow {
        let requested = &self.bulk.requested;
        BulkRow {
            id,
            status: self.bulk.status.as_str().to_owned(),
            items: i32::try_from(requested.items).unwrap_or(i32::MAX),
            reason_code: requested.reason_code.as_str().to_owned(),
            evidence: requested.evidence.clone(),
            requested_by: requested.by.0.clone(),
            has_work: self.bulk.work() != BulkWork::Nothing,
            requested_at: self.requested_at,
            changed_at: self.changed_at,
        }
    }
}

/// What to list. The newest come first.
#[derive(Debug, Clone)]
pub struct BulkFilter {
    pub status: Option<String>,
    pub page: Page,
}

/// A page of bulk corrections, as far as the projection has come.
pub async fn list_bulks(store: &Store, filter: &BulkFilter) -> Result<Vec<BulkRow>, event_store::Error> {
    Newest::of("bulk_view", "requested_at", filter.page)
        .text("status", filter.status.as_deref())
        .rows(store)
        .await
}

/// An item, and what has become of it.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct BulkItem {
    pub number: i32,
    /// Of the correction that it is.
    pub id: Uuid,
    pub kind: String,
    pub subject: String,
    pub status: String,
    pub reason: Option<String>,
    pub amount: Option<i64>,
    pub currency: Option<String>,
}

/// A page of items in the order of the list, from behind `after` on, as far as `correction.view` has come.
pub async fn items(
    store: &Store,
    bulk_id: Uuid,
    status: Option<&str>,
    after: i32,
    limit: u32,
) -> Result<Vec<BulkItem>, event_store::Error> {
    let found = sqlx::query_as(
        "select number, id, kind, subject, status, reason, amount, currency from correction_view
         where bulk_id = $1 and ($2::text is null or status = $2) and number > $3 order by number limit $4",
    );
    let found = found.bind(bulk_id).bind(status).bind(after).bind(i64::from(limit));
    Ok(found.fetch_all(store.pool()).await?)
}

/// How many items have come how far.
#[derive(Debug, Clone, Copy, Default, sqlx::FromRow)]
pub struct ItemCounts {
    pub previewed: i64,
    pub executed: i64,
    pub failed: i64,
    /// That were not done because it was over before.
    pub left: i64,
}

/// As far as `correction.view` has come.
pub async fn item_counts(store: &Store, bulk_id: Uuid) -> Result<ItemCounts, event_store::Error> {
    let found = sqlx::query_as(
        r#"select count(*) filter (where is_previewed) as previewed,
                  count(*) filter (where status = 'executed') as executed,
                  count(*) filter (where status = 'failed') as failed,
                  count(*) filter (where status = 'rejected') as "left"
           from correction_view where bulk_id = $1"#,
    );
    Ok(found.bind(bulk_id).fetch_one(store.pool()).await?)
}
