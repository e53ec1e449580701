//! The list of incoming payments: a projection of the `incoming` streams (migrations/core/1005_incoming_view.sql).

use delivery::Subscription;
use event_store::Store;
use jiff::Timestamp;
use projection::{RowPerStream, StreamRow};
use serde::Serialize;
use uuid::Uuid;

use crate::{IncomingEvent, Received};

pub type IncomingView = RowPerStream<IncomingRow>;

#[derive(Debug, Clone, Serialize, sqlx::FromRow)]
pub struct IncomingRow {
    pub id: Uuid,
    pub status: String,
    /// The latest reason why a person has to look.
    pub attention: Option<String>,
    pub account_id: Option<Uuid>,
    pub amount: i64,
    pub currency: String,
    #[sqlx(try_from = "jiff_sqlx::Timestamp")]
    pub received_at: Timestamp,
    #[sqlx(try_from = "jiff_sqlx::Timestamp")]
    pub changed_at: Timestamp,
}

impl StreamRow for IncomingRow {
    const PROJECTION: &'static str = "incoming.view";
    const SUBSCRIPTION: Subscription = Subscription { source: "core", categories: &["incoming"] };
    const TABLE: &'static str = "incoming_view";
    type Event = IncomingEvent;
    type Row<'a> = &'a Self;

    fn evolve(row: Option<Self>, id: Uuid, event: IncomingEvent, at: Timestamp) -> Option<Self> {
        if let IncomingEvent::Received(Received(payment)) = event {
            return Some(Self {
                id,
                status: "pending".to_owned(),
                attention: None,
                account_id: None,
                amount: payment.amount.minor(),
                currency: payment.amount.currency().code().to_owned(),
                received_at: at,
                changed_at: at,
            });
        }
        let row = row?;
        let status = match event {
            IncomingEvent::CreditPending(event) => {
                return Some(Self { account_id: Some(event.account_id), changed_at: at, ..row });
            }
            IncomingEvent::OperatorAttentionRequired(event) => {
                return Some(Self { attention: Some(event.reason), changed_at: at, ..row });
            }
            IncomingEvent::AttentionWithdrawn(event) => {
                return Some(Self { attention: event.remaining.last().cloned(), changed_at: at, ..row });
            }
            IncomingEvent::Refused(_) => "refused",
            IncomingEvent::CreditPosted(_) => "credited",
            IncomingEvent::SettlementCancelled(_) => "cancelled",
            IncomingEvent::ReturnInitiated(_) => "returning",
            IncomingEvent::ReturnSettled(_) => "returned",
            _ => return Some(row),
        };
        Some(Self { status: status.to_owned(), changed_at: at, ..row })
    }

    fn row(&self, _: Uuid) -> &Self {
        self
    }
}

/// What to list. The newest come first.
#[derive(Debug, Clone, Default)]
pub struct ListFilter {
    /// `requires_attention` finds those of every status that a person has to look at.
    pub status: Option<String>,
    pub account_id: Option<Uuid>,
    /// The last row of the page before.
    pub after: Option<(Timestamp, Uuid)>,
    pub limit: u32,
}

/// A page of incoming payments, as far as the projection has come.
pub async fn list(store: &Store, filter: &ListFilter) -> Result<Vec<IncomingRow>, event_store::Error> {
    let (after_at, after_id) = filter.after.unzip();
    let rows = sqlx::query_as(
        "select id, status, attention, account_id, amount, currency, received_at, changed_at
         from incoming_view
         where ($1::text is null or status = $1 or $1 = 'requires_attention' and attention is not null)
           and ($2::uuid is null or account_id = $2)
           and ($3::timestamptz is null or (received_at, id) < ($3, $4))
         order by received_at desc, id desc limit $5",
    )
    .bind(&filter.status)
    .bind(filter.account_id)
    .bind(after_at.map(jiff_sqlx::Timestamp::from))
    .bind(after_id)
    .bind(i64::from(filter.limit))
    .fetch_all(store.pool())
    .await?;
    Ok(rows)
}
