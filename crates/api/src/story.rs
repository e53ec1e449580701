//! All events of one thing, as they were recorded.

use axum::Json;
use event::{Aggregate, RecordedEvent, Seq};
use event_store::Store;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{Problem, schema};

pub(crate) const EVENTS_MAX: u32 = 1_000;

/// In the order in which they happened.
#[derive(Serialize, ToSchema)]
#[schema(as = Events)]
pub(crate) struct Story {
    #[schema(value_type = Vec<schema::Event>)]
    events: Vec<RecordedEvent>,
    /// There are more than are shown.
    #[serde(skip_serializing_if = "is_false")]
    #[schema(required = false)]
    is_truncated: bool,
    /// Pass it as `cursor` to get the next page; absent on the last, and where there are no pages.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

impl Story {
    /// Of what was read with room for one more than `max`.
    pub(crate) fn of(mut events: Vec<RecordedEvent>, max: u32) -> Self {
        let max = usize::try_from(max).unwrap_or(usize::MAX);
        let is_truncated = events.len() > max;
        events.truncate(max);
        Self { events, is_truncated, next_cursor: None }
    }

    /// Whether or not there are more of these.
    pub(crate) fn truncated(self, is_truncated: bool) -> Self {
        Self { is_truncated: self.is_truncated || is_truncated, ..self }
    }

    /// One page of many.
    pub(crate) fn page(events: Vec<RecordedEvent>, next_cursor: Option<String>) -> Self {
        Self { events, is_truncated: false, next_cursor }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_false(value: &bool) -> bool {
    !value
}

/// `unknown` when there are none.
pub(crate) async fn story<A: Aggregate>(
    store: &Store,
    id: Uuid,
    unknown: fn() -> Problem,
) -> Result<Json<Story>, Problem> {
    let events = store.read(&A::stream(id), Seq::ZERO, EVENTS_MAX + 1).await?;
    if events.is_empty() {
        return Err(unknown());
    }
    Ok(Json(Story::of(events, EVENTS_MAX)))
}
