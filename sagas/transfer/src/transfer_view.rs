//! The list of transfers: a projection of the `transfer` streams (migrations/core/1002_transfer_view.sql).

use std::collections::BTreeMap;

use async_trait::async_trait;
use delivery::{HandleError, Handler, Subscription};
use event::RecordedEvent;
use event_store::{Store, UnitOfWork};
use jiff::Timestamp;
use money::Money;
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
        self.handle_all(&[event], unit).await
    }

    async fn handle_all(&self, events: &[&RecordedEvent], unit: &mut UnitOfWork) -> Result<(), HandleError> {
        let (mut requested, mut changed) = (Vec::new(), BTreeMap::new());
        for event in events {
            let id = event.stream.uuid();
            let id = id.ok_or_else(|| HandleError::Failed(format!("{} is no transfer", event.stream)))?;
            let decoded = event.decode()?;
            if let TransferEvent::Requested(request) = decoded {
                requested.push((id, request, event.recorded_at));
            } else if let Some(change) = Change::of(&decoded, event.recorded_at) {
                let earlier = changed.remove(&id);
                changed.insert(id, change.after(earlier));
            }
        }
        insert(unit.connection(), &requested, &mut changed).await?;
        update(unit.connection(), &changed).await?;
        Ok(())
    }
}

const ATTENTION: &str = "requires_attention";
/// What has ended stays ended, also when a person has to look at it again.
const ENDED: [&str; 4] = ["succeeded", "failed", "cancelled", "returned"];

/// What events make of a row. None: as it was.
struct Change {
    status: Option<&'static str>,
    reason: Option<Option<String>>,
    needs_attention: Option<bool>,
    at: Timestamp,
}

impl Change {
    fn pending(at: Timestamp) -> Self {
        Self::to("pending", None, at)
    }

    fn to(status: &'static str, reason: Option<String>, at: Timestamp) -> Self {
        Self { status: Some(status), reason: Some(reason), needs_attention: Some(status == ATTENTION), at }
    }

    fn of(event: &TransferEvent, at: Timestamp) -> Option<Self> {
        let unknown = || Some("outcome_unknown".to_owned());
        let (status, reason) = match event {
            TransferEvent::ApprovalRequested(_) => ("awaiting_approval", None),
            TransferEvent::SubmissionInitiated(_) => ("processing", None),
            TransferEvent::SubmissionTimedOut(_) => ("processing", unknown()),
            TransferEvent::Released(Released { provisional: true, .. }) => ("released", unknown()),
            TransferEvent::OperatorAttentionRequired(event) => (ATTENTION, Some(event.reason.clone())),
            TransferEvent::Succeeded(_) => ("succeeded", None),
            TransferEvent::Failed(event) => ("failed", Some(event.reason.code().to_owned())),
            TransferEvent::Cancelled(_) => ("cancelled", None),
            TransferEvent::AttentionWithdrawn(event) => {
                let needs_attention = Some(!event.remaining.is_empty());
                let reason = Some(event.remaining.last().cloned());
                return Some(Self { status: None, reason, needs_attention, at });
            }
            // Whoever has to look still has to.
            TransferEvent::Returned(_) => {
                return Some(Self { status: Some("returned"), reason: None, needs_attention: None, at });
            }
            _ => return None,
        };
        Some(Self::to(status, reason, at))
    }

    fn reason(&self) -> Option<&str> {
        self.reason.as_ref().and_then(Option::as_deref)
    }

    fn after(mut self, earlier: Option<Self>) -> Self {
        let Some(earlier) = earlier else { return self };
        let has_ended = earlier.status.is_some_and(|status| ENDED.contains(&status));
        if self.status.is_none() || self.status == Some(ATTENTION) && has_ended {
            self.status = earlier.status;
        }
        self.reason = self.reason.or(earlier.reason);
        self.needs_attention = self.needs_attention.or(earlier.needs_attention);
        self
    }
}

/// Takes those that have changed at once out of those that are to be updated.
async fn insert(
    connection: &mut PgConnection,
    requested: &[(Uuid, Requested, Timestamp)],
    changed: &mut BTreeMap<Uuid, Change>,
) -> Result<(), sqlx::Error> {
    if requested.is_empty() {
        return Ok(());
    }
    let rows = requested.iter();
    let mut first = |id: &Uuid, at: Timestamp| match changed.remove(id) {
        Some(change) => change.after(Some(Change::pending(at))),
        None => Change::pending(at),
    };
    let changes: Vec<Change> = rows.clone().map(|(id, _, at)| first(id, *at)).collect();
    let changes = changes.iter();
    let amounts = rows.clone().map(|(_, request, _)| request.amount);
    sqlx::query(
        "insert into transfer_view (id, from_account, amount, currency, requested_at, status, status_reason,
             changed_at, needs_attention)
         select * from unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::text[], $5::timestamptz[], $6::text[],
             $7::text[], $8::timestamptz[], $9::boolean[])",
    )
    .bind(rows.clone().map(|(id, ..)| *id).collect::<Vec<_>>())
    .bind(rows.clone().map(|(_, request, _)| request.from_account).collect::<Vec<_>>())
    .bind(amounts.clone().map(Money::minor).collect::<Vec<_>>())
    .bind(amounts.map(|amount| amount.currency().code()).collect::<Vec<_>>())
    .bind(rows.map(|(.., at)| jiff_sqlx::Timestamp::from(*at)).collect::<Vec<_>>())
    .bind(changes.clone().map(|change| change.status).collect::<Vec<_>>())
    .bind(changes.clone().map(Change::reason).collect::<Vec<_>>())
    .bind(changes.clone().map(|change| jiff_sqlx::Timestamp::from(change.at)).collect::<Vec<_>>())
    .bind(changes.map(|change| change.needs_attention).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}

async fn update(connection: &mut PgConnection, changed: &BTreeMap<Uuid, Change>) -> Result<(), sqlx::Error> {
    if changed.is_empty() {
        return Ok(());
    }
    let changes = changed.values();
    sqlx::query(
        "update transfer_view set changed_at = change.at,
                 status_reason = case when change.keeps_reason then transfer_view.status_reason else change.reason end,
                 status = case when change.status = $7 and transfer_view.status = any($8)
                               then transfer_view.status else coalesce(change.status, transfer_view.status) end,
                 needs_attention = coalesce(change.needs_attention, transfer_view.needs_attention)
         from unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[], $5::boolean[], $6::boolean[])
             as change (id, status, reason, at, needs_attention, keeps_reason)
         where transfer_view.id = change.id",
    )
    .bind(changed.keys().copied().collect::<Vec<_>>())
    .bind(changes.clone().map(|change| change.status).collect::<Vec<_>>())
    .bind(changes.clone().map(Change::reason).collect::<Vec<_>>())
    .bind(changes.clone().map(|change| jiff_sqlx::Timestamp::from(change.at)).collect::<Vec<_>>())
    .bind(changes.clone().map(|change| change.needs_attention).collect::<Vec<_>>())
    .bind(changes.map(|change| change.reason.is_none()).collect::<Vec<_>>())
    .bind(ATTENTION)
    .bind(ENDED)
    // Planned each time: a plan of the table's first minutes would scan it for ever.
    .persistent(false)
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
