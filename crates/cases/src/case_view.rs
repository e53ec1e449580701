//! The list of cases: a projection of the `case` streams (migrations/core/1006_case_view.sql, 1015_case_status.sql).

use delivery::Subscription;
use event::Aggregate;
use event_store::Store;
use jiff::Timestamp;
use projection::{Newest, Page, RowPerStream, StreamRow};
use serde::Serialize;
use uuid::Uuid;

use crate::{Case, CaseEvent, Status};

pub type CaseView = RowPerStream<Shown>;

/// A case, with the times of its first and its last event.
pub struct Shown {
    case: Case,
    raised_at: Timestamp,
    changed_at: Timestamp,
}

#[derive(Debug, Clone, Serialize, sqlx::FromRow)]
pub struct CaseRow {
    pub id: Uuid,
    /// The stream that it is about.
    pub subject: String,
    pub reason: String,
    pub amount: i64,
    pub currency: String,
    pub is_open: bool,
    pub status: String,
    pub assigned_to: Option<String>,
    /// How a person has ended it.
    pub resolution: Option<String>,
    pub correction_id: Option<Uuid>,
    #[sqlx(try_from = "jiff_sqlx::Timestamp")]
    pub raised_at: Timestamp,
    #[sqlx(try_from = "jiff_sqlx::Timestamp")]
    pub changed_at: Timestamp,
}

impl StreamRow for Shown {
    const PROJECTION: &'static str = "case.view";
    const SUBSCRIPTION: Subscription = Subscription { source: "core", categories: &[Case::CATEGORY] };
    const TABLE: &'static str = "case_view";
    type Event = CaseEvent;
    type Row<'a> = CaseRow;

    fn evolve(state: Option<Self>, _: Uuid, event: CaseEvent, at: Timestamp) -> Option<Self> {
        let raised_at = state.as_ref().map_or(at, |shown| shown.raised_at);
        let case = Case::evolve(state.map(|shown| shown.case), &event)?;
        Some(Self { case, raised_at, changed_at: at })
    }

    fn row(&self, id: Uuid) -> CaseRow {
        let Case { subject, reason, status, assigned_to } = &self.case;
        let (resolution, correction_id) = match status {
            Status::Resolved { resolution, correction_id } => (Some(resolution.clone()), *correction_id),
            Status::Open | Status::Withdrawn => (None, None),
        };
        CaseRow {
            id,
            subject: subject.stream.to_string(),
            reason: reason.clone(),
            amount: subject.amount.minor(),
            currency: subject.amount.currency().code().to_owned(),
            is_open: self.case.is_open(),
            status: status.as_str().to_owned(),
            assigned_to: assigned_to.clone(),
            resolution,
            correction_id,
            raised_at: self.raised_at,
            changed_at: self.changed_at,
        }
    }
}

/// What to list. The newest come first.
#[derive(Debug, Clone)]
pub struct ListFilter {
    pub status: Option<String>,
    /// The stream that it is about, such as `transfer-…`.
    pub subject: Option<String>,
    pub assigned_to: Option<String>,
    pub page: Page,
}

/// A page of cases, as far as the projection has come.
pub async fn list(store: &Store, filter: &ListFilter) -> Result<Vec<CaseRow>, event_store::Error> {
    let is_open = filter.status.as_deref() == Some(Status::Open.as_str());
    Newest::of("case_view", "raised_at", filter.page)
        // Those have an index of their own.
        .that(is_open.then_some("is_open"))
        .text("status", filter.status.as_deref())
        .text("subject", filter.subject.as_deref())
        .text("assigned_to", filter.assigned_to.as_deref())
        .rows(store)
        .await
}
