//! The list of incoming payments: a projection of the `incoming` streams (migrations/core/1005_incoming_view.sql).

use async_trait::async_trait;
use delivery::{HandleError, Handler, Subscription};
use event::RecordedEvent;
use event_store::{Store, UnitOfWork};
use jiff::Timestamp;
use uuid::Uuid;

use crate::{IncomingEvent, Received};

pub struct IncomingView;

#[async_trait]
impl Handler for IncomingView {
    fn name(&self) -> &'static str {
        "incoming.view"
    }

    fn subscription(&self) -> Subscription {
        Subscription { source: "core", categories: &["incoming"] }
    }

    async fn handle(&self, event: &RecordedEvent, unit: &mut UnitOfWork) -> Result<(), HandleError> {
        let id = event.stream.uuid();
        let id = id.ok_or_else(|| HandleError::Failed(format!("{} is no incoming payment", event.stream)))?;
        let decoded: IncomingEvent = event.decode()?;
        if let IncomingEvent::Received(Received(payment)) = &decoded {
            let at = jiff_sqlx::Timestamp::from(event.recorded_at);
            sqlx::query(
                "insert into incoming_view (id, amount, currency, received_at, changed_at) values ($1, $2, $3, $4, $4)",
            )
            .bind(id)
            .bind(payment.amount.minor())
            .bind(payment.amount.currency().code())
            .bind(at)
            .execute(unit.connection())
            .await?;
            return Ok(());
        }
        let Some(change) = Change::of(&decoded) else { return Ok(()) };
        sqlx::query(
            "update incoming_view set status = coalesce($2, status), account_id = coalesce($3, account_id),
                 attention = case when $4 then $5 else attention end, changed_at = $6
             where id = $1",
        )
        .bind(id)
        .bind(change.status)
        .bind(change.account_id)
        .bind(change.attention.is_some())
        .bind(change.attention.flatten())
        .bind(jiff_sqlx::Timestamp::from(event.recorded_at))
        .persistent(false)
        .execute(unit.connection())
        .await?;
        Ok(())
    }
}

/// What an event makes of a row. None: as it was.
#[derive(Default)]
struct Change {
    status: Option<&'static str>,
    account_id: Option<Uuid>,
    /// The latest reason to look, or that there is none any more.
    attention: Option<Option<String>>,
}

impl Change {
    fn of(event: &IncomingEvent) -> Option<Self> {
        let status = match event {
            IncomingEvent::CreditPending(event) => {
                return Some(Self { account_id: Some(event.account_id), ..Self::default() });
            }
            IncomingEvent::OperatorAttentionRequired(event) => {
                return Some(Self { attention: Some(Some(event.reason.clone())), ..Self::default() });
            }
            IncomingEvent::AttentionWithdrawn(event) => {
                return Some(Self { attention: Some(event.remaining.last().cloned()), ..Self::default() });
            }
            IncomingEvent::Refused(_) => "refused",
            IncomingEvent::CreditPosted(_) => "credited",
            IncomingEvent::SettlementCancelled(_) => "cancelled",
            IncomingEvent::ReturnInitiated(_) => "returning",
            IncomingEvent::ReturnSettled(_) => "returned",
            _ => return None,
        };
        Some(Self { status: Some(status), ..Self::default() })
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

#[derive(Debug, Clone)]
pub struct IncomingRow {
    pub id: Uuid,
    pub status: String,
    pub attention: Option<String>,
    pub account_id: Option<Uuid>,
    pub amount: i64,
    pub currency: String,
    pub received_at: Timestamp,
    pub changed_at: Timestamp,
}

type Row =
    (Uuid, String, Option<String>, Option<Uuid>, i64, String, jiff_sqlx::Timestamp, jiff_sqlx::Timestamp);

/// A page of incoming payments, as far as the projection has come.
pub async fn list(store: &Store, filter: &ListFilter) -> Result<Vec<IncomingRow>, event_store::Error> {
    let (after_at, after_id) = filter.after.unzip();
    let rows: Vec<Row> = sqlx::query_as(
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
    let row = |(id, status, attention, account_id, amount, currency, received_at, changed_at): Row| {
        let (received_at, changed_at) = (received_at.to_jiff(), changed_at.to_jiff());
        IncomingRow { id, status, attention, account_id, amount, currency, received_at, changed_at }
    };
    Ok(rows.into_iter().map(row).collect())
}
