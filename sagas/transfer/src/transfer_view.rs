//! The list of transfers: a projection of the `transfer` streams (migrations/core/1002_transfer_view.sql).

use delivery::Subscription;
use event_store::Store;
use jiff::Timestamp;
use projection::{Newest, Page, RowPerStream, StreamRow};
use serde::Serialize;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::TransferEvent;
use crate::status_stream::status_after;

const ATTENTION: &str = "requires_attention";

/// What has ended stays ended, also when a person has to look at it again.
const ENDED: [&str; 4] = ["succeeded", "failed", "cancelled", "returned"];

pub type TransferView = RowPerStream<TransferRow>;

#[derive(Debug, Clone, Serialize, sqlx::FromRow)]
pub struct TransferRow {
    pub id: Uuid,
    pub status: String,
    pub status_reason: Option<String>,
    pub from_account: Uuid,
    pub amount: i64,
    pub currency: String,
    pub needs_attention: bool,
    #[sqlx(try_from = "jiff_sqlx::Timestamp")]
    pub requested_at: Timestamp,
    #[sqlx(try_from = "jiff_sqlx::Timestamp")]
    pub changed_at: Timestamp,
}

impl StreamRow for TransferRow {
    const PROJECTION: &'static str = "transfer.view";
    const SUBSCRIPTION: Subscription = Subscription { source: "core", categories: &["transfer"] };
    const TABLE: &'static str = "transfer_view";
    type Event = TransferEvent;
    type Row<'a> = &'a Self;

    fn evolve(row: Option<Self>, id: Uuid, event: TransferEvent, at: Timestamp) -> Option<Self> {
        match (row, event) {
            (None, TransferEvent::Requested(requested)) => Some(Self {
                id,
                status: "pending".to_owned(),
                status_reason: None,
                from_account: requested.from_account,
                amount: requested.amount.minor(),
                currency: requested.amount.currency().code().to_owned(),
                needs_attention: false,
                requested_at: at,
                changed_at: at,
            }),
            (row, event) => row.map(|row| row.after(event, at)),
        }
    }

    fn row(&self, _: Uuid) -> &Self {
        self
    }
}

impl TransferRow {
    fn after(self, event: TransferEvent, at: Timestamp) -> Self {
        let status = status_after(&event);
        let (status, reason) = match event {
            TransferEvent::OperatorAttentionRequired(event) => {
                let has_ended = ENDED.contains(&self.status.as_str());
                let status = if has_ended { self.status } else { ATTENTION.to_owned() };
                let status_reason = Some(event.reason);
                return Self { status, status_reason, needs_attention: true, changed_at: at, ..self };
            }
            TransferEvent::AttentionWithdrawn(event) => {
                let needs_attention = !event.remaining.is_empty();
                let status_reason = event.remaining.last().cloned();
                return Self { status_reason, needs_attention, changed_at: at, ..self };
            }
            // Whoever has to look still has to.
            TransferEvent::Returned(_) => {
                return Self { status: "returned".to_owned(), changed_at: at, ..self };
            }
            _ => match status {
                Some(status) => status,
                None => return self,
            },
        };
        Self {
            status: status.to_owned(),
            status_reason: reason,
            needs_attention: false,
            changed_at: at,
            ..self
        }
    }
}

/// What an account has paid within a time, the oldest first, as far as the projection has come.
pub async fn succeeded_of(
    connection: &mut PgConnection,
    from_account: Uuid,
    (from, until): (Timestamp, Timestamp),
    limit: usize,
) -> Result<Vec<Uuid>, event_store::Error> {
    let found = sqlx::query_scalar(
        "select id from transfer_view
         where from_account = $1 and status = 'succeeded' and requested_at >= $2 and requested_at < $3
         order by requested_at, id limit $4",
    )
    .bind(from_account)
    .bind(jiff_sqlx::Timestamp::from(from))
    .bind(jiff_sqlx::Timestamp::from(until))
    .bind(i64::try_from(limit).unwrap_or(i64::MAX));
    Ok(found.fetch_all(connection).await?)
}

/// What to list. The newest come first.
#[derive(Debug, Clone)]
pub struct ListFilter {
    /// `requires_attention` finds those of every status that a person has to look at.
    pub status: Option<String>,
    /// Those that one of these pays.
    pub accounts: Option<Vec<Uuid>>,
    pub page: Page,
}

/// A page of transfers, as far as the projection has come.
pub async fn list(store: &Store, filter: &ListFilter) -> Result<Vec<TransferRow>, event_store::Error> {
    let status = filter.status.as_deref();
    Newest::of("transfer_view", "requested_at", filter.page)
        .text("status", status.filter(|status| *status != ATTENTION))
        .that(
            status
                .filter(|status| *status == ATTENTION)
                .map(|_| "status = 'requires_attention' or needs_attention"),
        )
        .among("from_account", filter.accounts.as_deref())
        .rows(store)
        .await
}
