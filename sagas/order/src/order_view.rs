//! The list of orders: a projection of the `order` streams (migrations/core/1008_order_view.sql).

use delivery::Subscription;
use event_store::Store;
use jiff::Timestamp;
use projection::{RowPerStream, StreamRow};
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
#[derive(Debug, Clone, Default)]
pub struct ListFilter {
    pub status: Option<String>,
    pub credit_id: Option<Uuid>,
    /// That pays.
    pub account_id: Option<Uuid>,
    /// The last row of the page before.
    pub after: Option<(Timestamp, Uuid)>,
    pub limit: u32,
}

/// A page of orders, as far as the projection has come.
pub async fn list(store: &Store, filter: &ListFilter) -> Result<Vec<OrderRow>, event_store::Error> {
    let (after_at, after_id) = filter.after.unzip();
    let rows = sqlx::query_as(
        "select id, credit_id, from_account, to_account, status, amount, currency, placed_at, changed_at
         from order_view
         where ($1::text is null or status = $1)
           and ($2::uuid is null or credit_id = $2)
           and ($3::uuid is null or from_account = $3)
           and ($4::timestamptz is null or (placed_at, id) < ($4, $5))
         order by placed_at desc, id desc limit $6",
    )
    .bind(&filter.status)
    .bind(filter.credit_id)
    .bind(filter.account_id)
    .bind(after_at.map(jiff_sqlx::Timestamp::from))
    .bind(after_id)
    .bind(i64::from(filter.limit))
    .fetch_all(store.pool())
    .await?;
    Ok(rows)
}
