//! The list of orders: a projection of the `order` streams (migrations/core/1008_order_view.sql).

use async_trait::async_trait;
use delivery::{HandleError, Handler, Subscription};
use event::RecordedEvent;
use event_store::{Store, UnitOfWork};
use jiff::Timestamp;
use uuid::Uuid;

use crate::OrderEvent;

pub struct OrderView;

#[async_trait]
impl Handler for OrderView {
    fn name(&self) -> &'static str {
        "order.view"
    }

    fn subscription(&self) -> Subscription {
        Subscription { source: "core", categories: &["order"] }
    }

    async fn handle(&self, event: &RecordedEvent, unit: &mut UnitOfWork) -> Result<(), HandleError> {
        let id = event.stream.uuid();
        let id = id.ok_or_else(|| HandleError::Failed(format!("{} is no order", event.stream)))?;
        let at = jiff_sqlx::Timestamp::from(event.recorded_at);
        let status = match event.decode()? {
            OrderEvent::Placed(placed) => {
                sqlx::query(
                    "insert into order_view (id, credit_id, from_account, to_account, amount, currency, placed_at, changed_at)
                     values ($1, $2, $3, $4, $5, $6, $7, $7)",
                )
                .bind(id)
                .bind(placed.credit_id)
                .bind(placed.from_account)
                .bind(placed.to_account)
                .bind(placed.amount.minor())
                .bind(placed.amount.currency().code())
                .bind(at)
                .execute(unit.connection())
                .await?;
                return Ok(());
            }
            OrderEvent::CreditRefused(_) => "rejected",
            OrderEvent::Confirmed(_) => "confirmed",
            OrderEvent::Cancelled(_) => "cancelled",
            _ => return Ok(()),
        };
        sqlx::query("update order_view set status = $2, changed_at = $3 where id = $1")
            .bind(id)
            .bind(status)
            .bind(at)
            .persistent(false)
            .execute(unit.connection())
            .await?;
        Ok(())
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

#[derive(Debug, Clone, sqlx::FromRow)]
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
