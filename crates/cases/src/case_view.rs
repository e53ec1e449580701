//! The list of cases: a projection of the `case` streams (migrations/core/1006_case_view.sql).

use async_trait::async_trait;
use delivery::{HandleError, Handler, Subscription};
use event::RecordedEvent;
use event_store::{Store, UnitOfWork};
use jiff::Timestamp;
use uuid::Uuid;

use crate::{CaseEvent, CaseRaised};

pub struct CaseView;

#[async_trait]
impl Handler for CaseView {
    fn name(&self) -> &'static str {
        "case.view"
    }

    fn subscription(&self) -> Subscription {
        Subscription { source: "core", categories: &["case"] }
    }

    async fn handle(&self, event: &RecordedEvent, unit: &mut UnitOfWork) -> Result<(), HandleError> {
        let id = event.stream.uuid();
        let id = id.ok_or_else(|| HandleError::Failed(format!("{} is no case", event.stream)))?;
        let at = jiff_sqlx::Timestamp::from(event.recorded_at);
        let is_open = match event.decode()? {
            CaseEvent::CaseRaised(CaseRaised { subject, reason }) => {
                sqlx::query(
                    "insert into case_view (id, subject, reason, amount, currency, raised_at, changed_at)
                     values ($1, $2, $3, $4, $5, $6, $6)",
                )
                .bind(id)
                .bind(subject.stream.to_string())
                .bind(reason)
                .bind(subject.amount.minor())
                .bind(subject.amount.currency().code())
                .bind(at)
                .execute(unit.connection())
                .await?;
                return Ok(());
            }
            CaseEvent::CaseRaisedAgain(_) => true,
            CaseEvent::CaseWithdrawn(_) => false,
        };
        sqlx::query("update case_view set is_open = $2, changed_at = $3 where id = $1")
            .bind(id)
            .bind(is_open)
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
    pub is_open: Option<bool>,
    /// The stream that it is about, such as `transfer-…`.
    pub subject: Option<String>,
    /// The last row of the page before.
    pub after: Option<(Timestamp, Uuid)>,
    pub limit: u32,
}

#[derive(Debug, Clone)]
pub struct CaseRow {
    pub id: Uuid,
    pub subject: String,
    pub reason: String,
    pub amount: i64,
    pub currency: String,
    pub is_open: bool,
    pub raised_at: Timestamp,
    pub changed_at: Timestamp,
}

type Row = (Uuid, String, String, i64, String, bool, jiff_sqlx::Timestamp, jiff_sqlx::Timestamp);

/// A page of cases, as far as the projection has come.
pub async fn list(store: &Store, filter: &ListFilter) -> Result<Vec<CaseRow>, event_store::Error> {
    let (after_at, after_id) = filter.after.unzip();
    let rows: Vec<Row> = sqlx::query_as(
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
    let row = |(id, subject, reason, amount, currency, is_open, raised_at, changed_at): Row| {
        let (raised_at, changed_at) = (raised_at.to_jiff(), changed_at.to_jiff());
        CaseRow { id, subject, reason, amount, currency, is_open, raised_at, changed_at }
    };
    Ok(rows.into_iter().map(row).collect())
}
