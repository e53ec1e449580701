//! The list of orders: a projection of the `order` streams (migrations/core/1008_order_view.sql).

use delivery::Subscription;
use event_store::Store;
use jiff::Timestamp;
use projection::{Newest, Page, RowPerStream, StreamRow};
use serde::Serialize;
use uuid::Uuid;

use crate::OrderEvent;

pub type OrderView = RowPerStream<OrderRow>;

#[derive(Debug, Clone, Serialize, sqlx::FromRow)]
pub struct OrderRow {
    pub id: Uuid,
    pub credit_id: Uuid,
    pub from_account: Uuid,
    pub to_account: Uuid,
    pub status: String,
    pub amount: i64,
    pub currency: String,
    #[sqlx(try_from = "jiff_sqlx::Timestamp")]
    pub placed_at: Timestamp,
    #[sqlx(try_from = "jiff_sqlx::Timestamp")]
    pub changed_at: Timestamp,
}

impl StreamRow for OrderRow {
    const PROJECTION: &'static str = "order.view";
    const SUBSCRIPTION: Subscription = Subscription { source: "core", categories: &["order"] };
    const TABLE: &'static str = "order_view";
    type Event = OrderEvent;
    type Row<'a> = &'a Self;

    fn evolve(row: Option<Self>, id: Uuid, event: OrderEvent, at: Timestamp) -> Option<Self> {
        let status = match event {
            OrderEvent::Placed(placed) => {
                return Some(Self {
                    id,
                    credit_id: placed.credit_id,
                    from_account: placed.from_account,
                    to_account: placed.to_account,
                    status: "awaiting_payment".to_owned(),
                    amount: placed.amount.minor(),
                    currency: placed.amount.currency().code().to_owned(),
                    placed_at: at,
                    changed_at: at,
                });
            }
            OrderEvent::CreditRefused(_) => "rejected",
            OrderEvent::Confirmed(_) => "confirmed",
            OrderEvent::Cancelled(_) => "cancelled",
            _ => return row,
        };
        Some(Self { status: status.to_owned(), changed_at: at, ..row? })
    }

    fn row(&self, _: Uuid) -> &Self {
        self
    }
}

/// What to list. The newest come first.
#[derive(Debug, Clone)]
pub struct ListFilter {
    pub status: Option<String>,
    pub credit_id: Option<Uuid>,
    /// That pays.
    pub account_id: Option<Uuid>,
    pub page: Page,
}

/// A page of orders, as far as the projection has come.
pub async fn list(store: &Store, filter: &ListFilter) -> Result<Vec<OrderRow>, event_store::Error> {
    Newest::of("order_view", "placed_at", filter.page)
        .text("status", filter.status.as_deref())
        .id("credit_id", filter.credit_id)
        .id("from_account", filter.account_id)
        .rows(store)
        .await
}
