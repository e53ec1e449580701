//! All events of one thing, as they were recorded.

use axum::Json;
use event::{Aggregate, RecordedEvent, Seq};
use event_store::Store;
use serde::Serialize;
use uuid::Uuid;

use crate::Problem;

const EVENTS_MAX: u32 = 1_000;

#[derive(Serialize)]
pub(crate) struct Story {
    events: Vec<RecordedEvent>,
}

/// `unknown` when there are none.
pub(crate) async fn story<A: Aggregate>(
    store: &Store,
    id: Uuid,
    unknown: fn() -> Problem,
) -> Result<Json<Story>, Problem> {
    let events = store.read(&A::stream(id), Seq::ZERO, EVENTS_MAX).await?;
    if events.is_empty() {
        return Err(unknown());
    }
    Ok(Json(Story { events }))
}
