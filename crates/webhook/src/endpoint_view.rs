//! The endpoints that there are: a projection of the `webhook` streams (migrations/core/1012_webhook.sql).

use delivery::Subscription;
use event::Aggregate;
use event_store::Store;
use jiff::Timestamp;
use projection::{Newest, Page, RowPerStream, StreamRow};
use serde::Serialize;
use uuid::Uuid;

use crate::{Endpoint, EndpointEvent};

pub type EndpointView = RowPerStream<Shown>;

/// An endpoint, with the times of its first and its last event.
pub struct Shown {
    endpoint: Endpoint,
    registered_at: Timestamp,
    changed_at: Timestamp,
}

#[derive(Debug, Clone, Serialize, sqlx::FromRow)]
pub struct EndpointRow {
    pub id: Uuid,
    pub url: String,
    pub contracts: Vec<String>,
    pub status: String,
    pub reason: Option<String>,
    pub generation: i64,
    #[sqlx(try_from = "Option<jiff_sqlx::Timestamp>")]
    pub previous_until: Until,
    #[sqlx(try_from = "jiff_sqlx::Timestamp")]
    pub registered_at: Timestamp,
    #[sqlx(try_from = "jiff_sqlx::Timestamp")]
    pub changed_at: Timestamp,
}

/// When something ends, if it does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Until(pub Option<Timestamp>);

impl From<Option<jiff_sqlx::Timestamp>> for Until {
    fn from(at: Option<jiff_sqlx::Timestamp>) -> Self {
        Self(at.map(jiff_sqlx::Timestamp::to_jiff))
    }
}

impl StreamRow for Shown {
    const PROJECTION: &'static str = "webhook.view";
    const SUBSCRIPTION: Subscription = Subscription { source: "core", categories: &[Endpoint::CATEGORY] };
    const TABLE: &'static str = "webhook_endpoint";
    type Event = EndpointEvent;
    type Row<'a> = EndpointRow;

    fn evolve(state: Option<Self>, _: Uuid, event: EndpointEvent, at: Timestamp) -> Option<Self> {
        let registered_at = state.as_ref().map_or(at, |shown| shown.registered_at);
        let endpoint = Endpoint::evolve(state.map(|shown| shown.endpoint), &event)?;
        Some(Self { endpoint, registered_at, changed_at: at })
    }

    fn row(&self, id: Uuid) -> EndpointRow {
        let endpoint = &self.endpoint;
        EndpointRow {
            id,
            url: endpoint.url.clone(),
            contracts: endpoint.contracts.clone(),
            status: endpoint.status.as_str().to_owned(),
            reason: endpoint.reason.clone(),
            generation: endpoint.generation.into(),
            previous_until: Until(endpoint.previous_until),
            registered_at: self.registered_at,
            changed_at: self.changed_at,
        }
    }
}

/// A page of endpoints, those too that were removed, as far as the projection has come.
pub async fn list(store: &Store, page: Page) -> Result<Vec<EndpointRow>, event_store::Error> {
    Newest::of("webhook_endpoint", "registered_at", page).rows(store).await
}

/// What an endpoint has not been told yet.
#[derive(Debug, Clone, Default, sqlx::FromRow)]
pub struct Pending {
    pub streams: i64,
    pub events: i64,
    #[sqlx(try_from = "Option<jiff_sqlx::Timestamp>")]
    pub failing_since: Until,
    pub last_error: Option<String>,
}

/// As of now.
pub async fn pending(store: &Store, endpoint: Uuid) -> Result<Pending, event_store::Error> {
    Ok(sqlx::query_as(
        "select count(*) as streams, coalesce(sum(last_seq - next_seq + 1), 0)::bigint as events,
                min(failing_since) as failing_since,
                (select last_error from webhook_queue where endpoint_id = $1 and last_error is not null
                 order by failing_since limit 1) as last_error
         from webhook_queue where endpoint_id = $1",
    )
    .bind(endpoint)
    .fetch_one(store.pool())
    .await?)
}
