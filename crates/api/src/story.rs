//! All events of one thing, as they were recorded.

use axum::Json;
use event::{Aggregate, RecordedEvent, Seq};
use event_store::Store;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{Problem, schema};

const EVENTS_MAX: u32 = 1_000;

/// In the order in which they happened.
#[derive(Serialize, ToSchema)]
#[schema(as = Events)]
pub(crate) struct Story {
    #[schema(value_type = Vec<schema::Event>)]
    pub(crate) events: Vec<RecordedEvent>,
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
