//! The list of cases: a projection of the `case` streams (migrations/core/1006_case_view.sql).

use delivery::Subscription;
use event_store::Store;
use jiff::Timestamp;
use projection::{Newest, Page, RowPerStream, StreamRow};
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
#[derive(Debug, Clone)]
pub struct ListFilter {
    pub is_open: Option<bool>,
    /// The stream that it is about, such as `transfer-…`.
    pub subject: Option<String>,
    pub page: Page,
}

/// A page of cases, as far as the projection has come.
pub async fn list(store: &Store, filter: &ListFilter) -> Result<Vec<CaseRow>, event_store::Error> {
    Newest::of("case_view", "raised_at", filter.page)
        .that(filter.is_open.map(|is_open| if is_open { "is_open" } else { "not is_open" }))
        .text("subject", filter.subject.as_deref())
        .rows(store)
        .await
}
