//! The list of transfers: a projection of the `transfer` streams (migrations/core/1002_transfer_view.sql).

use async_trait::async_trait;
use delivery::{HandleError, Handler, Subscription};
use event::RecordedEvent;
use event_store::{Store, UnitOfWork};
use jiff::Timestamp;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{Released, Requested, TransferEvent};

pub struct TransferView;

#[async_trait]
impl Handler for TransferView {
    fn name(&self) -> &'static str {
        "transfer.view"
    }

    fn subscription(&self) -> Subscription {
        Subscription { source: "core", categories: &["transfer"] }
    }

    async fn handle(&self, event: &RecordedEvent, unit: &mut UnitOfWork) -> Result<(), HandleError> {
        let id = event.stream.uuid();
        let id = id.ok_or_else(|| HandleError::Failed(format!("{} is no transfer", event.stream)))?;
        let (status, reason) = match event.decode()? {
            TransferEvent::Requested(requested) => {
                return Ok(insert(unit.connection(), id, &requested, event.recorded_at).await?);
            }
            TransferEvent::ApprovalRequested(_) => ("awaiting_approval", None),
            TransferEvent::SubmissionInitiated(_) => ("processing", None),
            TransferEvent::SubmissionTimedOut(_) => ("processing", Some("outcome_unknown".to_owned())),
            TransferEvent::Released(Released { provisional: true, .. }) => {
                ("released", Some("outcome_unknown".to_owned()))
            }
            TransferEvent::OperatorAttentionRequired(event) => ("requires_attention", Some(event.reason)),
            TransferEvent::Succeeded(_) => ("succeeded", None),
            TransferEvent::Failed(event) => ("failed", Some(event.reason.code().to_owned())),
            TransferEvent::Cancelled(_) => ("cancelled", None),
            _ => return Ok(()),
        };
        sqlx::query(
            "update transfer_view set status_reason = $3, changed_at = $4,
                     -- What has ended stays ended, also when a person has to look at it again.
                     status = case when $2 = 'requires_attention' and status in ('succeeded', 'failed', 'cancelled')
                                   then status else $2 end,
                     needs_attention = $2 = 'requires_attention'
                 where id = $1",
        )
        .bind(id)
        .bind(status)
        .bind(reason)
        .bind(jiff_sqlx::Timestamp::from(event.recorded_at))
        .execute(unit.connection())
        .await?;
        Ok(())
    }
}

async fn insert(
    connection: &mut PgConnection,
    id: Uuid,
    requested: &Requested,
    at: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into transfer_view (id, status, from_account, amount, currency, requested_at, changed_at)
         values ($1, 'pending', $2, $3, $4, $5, $5)",
    )
    .bind(id)
    .bind(requested.from_account)
    .bind(requested.amount.minor())
    .bind(requested.amount.currency().code())
    .bind(jiff_sqlx::Timestamp::from(at))
    .execute(connection)
    .await?;
    Ok(())
}

/// What to list. The newest come first.
#[derive(Debug, Clone, Default)]
pub struct ListFilter {
    pub status: Option<String>,
    pub from_account: Option<Uuid>,
    /// The last row of the page before.
    pub after: Option<(Timestamp, Uuid)>,
    pub limit: u32,
}

#[derive(Debug, Clone)]
pub struct TransferRow {
    pub id: Uuid,
    pub status: String,
    pub status_reason: Option<String>,
    pub from_account: Uuid,
    pub amount: i64,
    pub currency: String,
    pub requested_at: Timestamp,
    pub changed_at: Timestamp,
}

type Row = (Uuid, String, Option<String>, Uuid, i64, String, jiff_sqlx::Timestamp, jiff_sqlx::Timestamp);

/// A page of transfers, as far as the projection has come.
pub async fn list(store: &Store, filter: &ListFilter) -> Result<Vec<TransferRow>, event_store::Error> {
    let (after_at, after_id) = filter.after.unzip();
    let rows: Vec<Row> = sqlx::query_as(
        "select id, status, status_reason, from_account, amount, currency, requested_at, changed_at
         from transfer_view
         where ($1::text is null or status = $1 or $1 = 'requires_attention' and needs_attention) and ($2::uuid is null or from_account = $2)
           and ($3::timestamptz is null or (requested_at, id) < ($3, $4))
         order by requested_at desc, id desc limit $5",
    )
    .bind(&filter.status)
    .bind(filter.from_account)
    .bind(after_at.map(jiff_sqlx::Timestamp::from))
    .bind(after_id)
    .bind(i64::from(filter.limit))
    .fetch_all(store.pool())
    .await?;
    let row = |(id, status, status_reason, from_account, amount, currency, requested_at, changed_at): Row| {
        let (requested_at, changed_at) = (requested_at.to_jiff(), changed_at.to_jiff());
        TransferRow { id, status, status_reason, from_account, amount, currency, requested_at, changed_at }
    };
    Ok(rows.into_iter().map(row).collect())
}
