//! The list of corrections: a projection of the `correction` streams (migrations/core/1014_correction_view.sql).

use delivery::Subscription;
use event::Aggregate;
use event_store::Store;
use jiff::Timestamp;
use money::Money;
use projection::{Newest, Page, RowPerStream, StreamRow};
use serde::Serialize;
use uuid::Uuid;

use crate::{Correction, CorrectionEvent};

pub type CorrectionView = RowPerStream<Shown>;

/// A correction, with the times of its first and its last event.
pub struct Shown {
    correction: Correction,
    requested_at: Timestamp,
    changed_at: Timestamp,
}

#[derive(Debug, Clone, Serialize, sqlx::FromRow)]
pub struct CorrectionRow {
    pub id: Uuid,
    pub kind: String,
    /// The stream that it is about.
    pub subject: String,
    pub status: String,
    pub reason_code: String,
    pub is_previewed: bool,
    /// None: it was never previewed, or no money is at stake.
    pub amount: Option<i64>,
    pub currency: Option<String>,
    pub requested_by: String,
    /// An earlier correction that was wrong.
    pub corrects: Option<Uuid>,
    /// Why it has this status.
    pub reason: Option<String>,
    /// Of which bulk correction it is a part, and the how manieth.
    pub bulk_id: Option<Uuid>,
    pub number: Option<i32>,
    #[sqlx(try_from = "jiff_sqlx::Timestamp")]
    pub requested_at: Timestamp,
    #[sqlx(try_from = "jiff_sqlx::Timestamp")]
    pub changed_at: Timestamp,
}

impl StreamRow for Shown {
    const PROJECTION: &'static str = "correction.view";
    const SUBSCRIPTION: Subscription = Subscription { source: "core", categories: &[Correction::CATEGORY] };
    const TABLE: &'static str = "correction_view";
    type Event = CorrectionEvent;
    type Row<'a> = CorrectionRow;

    fn evolve(state: Option<Self>, _: Uuid, event: CorrectionEvent, at: Timestamp) -> Option<Self> {
        let requested_at = state.as_ref().map_or(at, |shown| shown.requested_at);
        let correction = Correction::evolve(state.map(|shown| shown.correction), &event)?;
        Some(Self { correction, requested_at, changed_at: at })
    }

    fn row(&self, id: Uuid) -> CorrectionRow {
        let (requested, preview) = (&self.correction.requested, self.correction.preview.as_ref());
        let amount = preview.and_then(|preview| preview.amount);
        CorrectionRow {
            id,
            kind: requested.kind.name().to_owned(),
            subject: requested.kind.subject().to_string(),
            status: self.correction.status.as_str().to_owned(),
            reason_code: requested.reason_code.as_str().to_owned(),
            is_previewed: preview.is_some(),
            amount: amount.map(Money::minor),
            currency: amount.map(|amount| amount.currency().code().to_owned()),
            requested_by: requested.by.0.clone(),
            corrects: requested.corrects,
            reason: self.correction.status.reason().map(str::to_owned),
            bulk_id: requested.part.as_ref().map(|part| part.bulk_id),
            number: requested.part.as_ref().and_then(|part| i32::try_from(part.number).ok()),
            requested_at: self.requested_at,
            changed_at: self.changed_at,
        }
    }
}

/// The corrections of a correction, as far as the projection has come.
pub async fn corrected_by(store: &Store, id: Uuid) -> Result<Vec<Uuid>, event_store::Error> {
    let found =
        sqlx::query_scalar("select id from correction_view where corrects = $1 order by requested_at, id");
    Ok(found.bind(id).fetch_all(store.pool()).await?)
}

/// What to list. The newest come first.
#[derive(Debug, Clone)]
pub struct ListFilter {
    pub status: Option<String>,
    /// The stream that it is about, such as `transfer-…`: what a thing was corrected by.
    pub subject: Option<String>,
    pub page: Page,
}

/// A page of corrections, as far as the projection has come. Without a subject, those alone that are no part of a bulk correction.
pub async fn list(store: &Store, filter: &ListFilter) -> Result<Vec<CorrectionRow>, event_store::Error> {
    Newest::of("correction_view", "requested_at", filter.page)
        .text("status", filter.status.as_deref())
        .text("subject", filter.subject.as_deref())
        .that(filter.subject.is_none().then_some("bulk_id is null"))
        .rows(store)
        .await
}
