//! The list of cases: a projection of the `case` streams (migrations/core/1006_case_view.sql).

use delivery::Subscription;
use event_store::Store;
use jiff::Timestamp;
use projection::{RowPerStream, StreamRow};
use serde::Serialize;
use uuid::Uuid;

use crate::{CaseEvent, CaseRaised};

pub type CaseView = RowPerStream<CaseRow>;

#[derive(Debug, Clone, Serialize, sqlx::FromRow)]
pub struct CaseRow {
    pub id: Uuid,
    /// The stream that it is about.
    pub subject: String,
    pub reason: String,
    pub amount: i64,
    pub currency: String,
    pub is_open: bool,
    #[sqlx(try_from = "jiff_sqlx::Timestamp")]
    pub raised_at: Timestamp,
    #[sqlx(try_from = "jiff_sqlx::Timestamp")]
    pub changed_at: Timestamp,
}

impl StreamRow for CaseRow {
    const PROJECTION: &'static str = "case.view";
    const SUBSCRIPTION: Subscription = Subscription { source: "core", categories: &["case"] };
    const TABLE: &'static str = "case_view";
    type Event = CaseEvent;
    type Row<'a> = &'a Self;

    fn evolve(row: Option<Self>, id: Uuid, event: CaseEvent, at: Timestamp) -> Option<Self> {
        let is_open = match event {
            CaseEvent::CaseRaised(CaseRaised { subject, reason }) => {
                return Some(Self {
                    id,
                    subject: subject.stream.to_string(),
                    reason,
                    amount: subject.amount.minor(),
                    currency: subject.amount.currency().code().to_owned(),
                    is_open: true,
                    raised_at: at,
                    changed_at: at,
                });
            }
            CaseEvent::CaseRaisedAgain(_) => true,
            CaseEvent::CaseWithdrawn(_) => false,
        };
        Some(Self { is_open, changed_at: at, ..row? })
    }

    fn row(&self, _: Uuid) -> &Self {
        self
    }
}

/// What to list. The newest come first.
#[derive(Debug, Clone, Default)]
pub struct ListFilter {
    pub is_open: Option<bool>,
    /// The stream that it is about, such as `transfer-…`.
    pub subject: Option<String>,
    /// The last row of the page before.
    pub after: Option<(Timestamp, Uuid)>,
    pub limit: u32,
}

/// A page of cases, as far as the projection has come.
pub async fn list(store: &Store, filter: &ListFilter) -> Result<Vec<CaseRow>, event_store::Error> {
    let (after_at, after_id) = filter.after.unzip();
    let rows = sqlx::query_as(
        "select id, subject, reason, amount, currency, is_open, raised_at, changed_at from case_view
         where ($1::boolean is null or is_open = $1) and ($2::text is null or subject = $2)
           and ($3::timestamptz is null or (raised_at, id) < ($3, $4))
         order by raised_at desc, id desc limit $5",
    )
    .bind(filter.is_open)
    .bind(&filter.subject)
    .bind(after_at.map(jiff_sqlx::Timestamp::from))
    .bind(after_id)
    .bind(i64::from(filter.limit))
    .fetch_all(store.pool())
    .await?;
    Ok(rows)
}
