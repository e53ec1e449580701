//! The list of card payments: a projection of the `authorisation` streams (migrations/core/1007_authorisation_view.sql).

use async_trait::async_trait;
use delivery::{HandleError, Handler, Subscription};
use event::RecordedEvent;
use event_store::{Store, UnitOfWork};
use jiff::Timestamp;
use uuid::Uuid;

use crate::{Authorisation, Status};

pub struct AuthorisationView;

#[async_trait]
impl Handler for AuthorisationView {
    fn name(&self) -> &'static str {
        "authorisation.view"
    }

    fn subscription(&self) -> Subscription {
        Subscription { source: "core", categories: &["authorisation"] }
    }

    /// A row is the state as it stands, which may be ahead of the event: each that follows writes it once more.
    async fn handle(&self, event: &RecordedEvent, unit: &mut UnitOfWork) -> Result<(), HandleError> {
        let id = event.stream.uuid();
        let id = id.ok_or_else(|| HandleError::Failed(format!("{} is no card payment", event.stream)))?;
        let state = unit.state::<Authorisation>(id).await?;
        let state = state.ok_or_else(|| HandleError::Failed(format!("{} has not begun", event.stream)))?;
        sqlx::query(
            "insert into authorisation_view (id, card_id, account_id, status, attention, approved, held, captured,
                 refunded, currency, opened_at, changed_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11)
             on conflict (id) do update set account_id = $3, status = $4, attention = $5, approved = $6, held = $7,
                 captured = $8, refunded = $9, changed_at = $11",
        )
        .bind(id)
        .bind(state.payment.card_id)
        .bind(state.account_id)
        .bind(state.status.name())
        .bind(state.attention.last())
        .bind(state.approved.minor())
        .bind(state.held.minor())
        .bind(state.captured.minor())
        .bind(state.refunded.minor())
        .bind(state.held.currency().code())
        .bind(jiff_sqlx::Timestamp::from(event.recorded_at))
        .persistent(false)
        .execute(unit.connection())
        .await?;
        Ok(())
    }
}

impl Status {
    pub const NAMES: [&'static str; 9] = [
        "opened",
        "approved",
        "declined",
        "withdrawn",
        "reversed",
        "expired",
        "captured",
        "force_posted",
        "refunded",
    ];

    pub fn name(&self) -> &'static str {
        let n = match self {
            Self::Opened => 0,
            Self::Approved => 1,
            Self::Declined { .. } => 2,
            Self::Withdrawn => 3,
            Self::Reversed => 4,
            Self::Expired => 5,
            Self::Captured => 6,
            Self::ForcePosted => 7,
            Self::Refunded => 8,
        };
        Self::NAMES[n]
    }
}

/// What to list. The newest come first.
#[derive(Debug, Clone, Default)]
pub struct ListFilter {
    /// `requires_attention` finds those of every status that a person has to look at.
    pub status: Option<String>,
    pub card_id: Option<Uuid>,
    pub account_id: Option<Uuid>,
    /// The last row of the page before.
    pub after: Option<(Timestamp, Uuid)>,
    pub limit: u32,
}

#[derive(Debug, Clone, sqlx::FromRow)]
pub struct AuthorisationRow {
    pub id: Uuid,
    pub card_id: Uuid,
    pub account_id: Option<Uuid>,
    pub status: String,
    pub attention: Option<String>,
    pub approved: i64,
    pub held: i64,
    pub captured: i64,
    pub refunded: i64,
    pub currency: String,
    #[sqlx(try_from = "jiff_sqlx::Timestamp")]
    pub opened_at: Timestamp,
    #[sqlx(try_from = "jiff_sqlx::Timestamp")]
    pub changed_at: Timestamp,
}

/// A page of card payments, as far as the projection has come.
pub async fn list(store: &Store, filter: &ListFilter) -> Result<Vec<AuthorisationRow>, event_store::Error> {
    let (after_at, after_id) = filter.after.unzip();
    let rows = sqlx::query_as(
        "select id, card_id, account_id, status, attention, approved, held, captured, refunded, currency, opened_at, changed_at
         from authorisation_view
         where ($1::text is null or status = $1 or $1 = 'requires_attention' and attention is not null)
           and ($2::uuid is null or card_id = $2)
           and ($3::uuid is null or account_id = $3)
           and ($4::timestamptz is null or (opened_at, id) < ($4, $5))
         order by opened_at desc, id desc limit $6",
    )
    .bind(&filter.status)
    .bind(filter.card_id)
    .bind(filter.account_id)
    .bind(after_at.map(jiff_sqlx::Timestamp::from))
    .bind(after_id)
    .bind(i64::from(filter.limit))
    .fetch_all(store.pool())
    .await?;
    Ok(rows)
}
