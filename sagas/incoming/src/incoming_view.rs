//! The list of incoming payments: a projection of the `incoming` streams (migrations/core/1005_incoming_view.sql).

use delivery::Subscription;
use event_store::Store;
use jiff::Timestamp;
use projection::{Newest, Page, RowPerStream, StreamRow};
use serde::Serialize;
use uuid::Uuid;

use crate::{IncomingEvent, Received};

const ATTENTION: &str = "requires_attention";

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
#[derive(Debug, Clone)]
pub struct ListFilter {
    /// `requires_attention` finds those of every status that a person has to look at.
    pub status: Option<String>,
    pub accounts: Option<Vec<Uuid>>,
    pub page: Page,
}

/// A page of incoming payments, as far as the projection has come.
pub async fn list(store: &Store, filter: &ListFilter) -> Result<Vec<IncomingRow>, event_store::Error> {
    let status = filter.status.as_deref();
    Newest::of("incoming_view", "received_at", filter.page)
        .text("status", status.filter(|status| *status != ATTENTION))
        .that(status.filter(|status| *status == ATTENTION).map(|_| "attention is not null"))
        .among("account_id", filter.accounts.as_deref())
        .rows(store)
        .await
}
