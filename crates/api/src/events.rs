//! `/v1/events`, `/v1/streams`, and a transfer's timeline: what has happened, as it was recorded, and because of what.

use std::collections::{BTreeSet, HashMap};

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use event::{Aggregate, CausationKind, RecordedEvent, Seq, StreamName};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use transfer::Transfer;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::page::{invalid, limit};
use crate::service::{Id, Service};
use crate::story::{EVENTS_MAX, Story};
use crate::transfers::unknown;
use crate::{Code, Problem};

pub(crate) fn router() -> OpenApiRouter<Service> {
    OpenApiRouter::new().routes(routes!(correlated)).routes(routes!(of_stream)).routes(routes!(timeline))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct CorrelatedQuery {
    /// The request that they follow from: an event's `correlation_id`.
    correlation_id: Uuid,
}

/// All events of core that follow from one request, across streams, each after its cause.
///
/// The first thousand. What its adapters have done stands in their own databases, under the same `correlation_id`.
#[utoipa::path(
    get, path = "/v1/events", tag = "events", operation_id = "correlatedEvents",
    params(CorrelatedQuery),
    responses((status = 200, description = "Found", body = Story))
)]
async fn correlated(
    State(service): State<Service>,
    query: Result<Query<CorrelatedQuery>, QueryRejection>,
) -> Result<Json<Story>, Problem> {
    let Query(query) = query.map_err(|error| invalid(error.body_text()))?;
    let events = service.store.correlated(&[query.correlation_id], EVENTS_MAX + 1).await?;
    Ok(Json(Story::of(events, EVENTS_MAX)))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct StreamQuery {
    /// The seq of the last event that you have.
    #[param(minimum = 0)]
    after: Option<i64>,
    /// 50 without it.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
}

/// Events of any stream of core, in order.
#[utoipa::path(
    get, path = "/v1/streams/{stream}/events", tag = "events", operation_id = "streamEvents",
    params(StreamQuery),
    responses((status = 200, description = "Found", body = Story))
)]
async fn of_stream(
    State(service): State<Service>,
    name: Result<Path<String>, PathRejection>,
    query: Result<Query<StreamQuery>, QueryRejection>,
) -> Result<Json<Story>, Problem> {
    let Query(query) = query.map_err(|error| invalid(error.body_text()))?;
    let unknown = || {
        Problem::new(Code::StreamUnknown, "a stream is named `category-id`, such as `transfer-0198c1f2-…`")
    };
    let Path(name) = name.map_err(|_| unknown())?;
    let stream: StreamName = name.parse().map_err(|_| unknown())?;
    let after = query.after.unwrap_or_default();
    if after < 0 {
        return Err(invalid("after is the seq of the last event that you have, or 0".to_owned()));
    }
    let events = service.store.read(&stream, Seq::new(after), limit(query.limit)?).await?;
    // Nothing more, or nothing at all.
    if events.is_empty() && service.store.last(&stream).await?.is_none() {
        return Err(unknown());
    }
    Ok(Json(Story::of(events, EVENTS_MAX)))
}

#[derive(Serialize, ToSchema)]
struct Timeline {
    transfer_id: Uuid,
    /// The first thousand.
    steps: Vec<Step>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = TimelineStep)]
struct Step {
    recorded_at: Timestamp,
    /// Milliseconds since the first step.
    after_ms: i64,
    stream: String,
    seq: i64,
    r#type: String,
    event_id: Uuid,
    actor: String,
    /// What it follows from. Where that is an event of core, it is a step of its own.
    caused_by: Cause,
    /// How many causes above it are events of core that are steps too.
    depth: u32,
}

#[derive(Serialize, ToSchema)]
#[schema(as = TimelineCause)]
struct Cause {
    /// `request`, `event`, `deadline` or `correction`.
    #[schema(value_type = String)]
    kind: CausationKind,
    id: Uuid,
}

/// What has happened for a transfer, on every stream of core, step by step, each with its cause.
///
/// The causes make a tree: `depth` is how far down a step is. What follows from a request, a deadline, or what another service has done begins anew.
#[utoipa::path(
    get, path = "/v1/transfers/{id}/timeline", tag = "transfers", operation_id = "transferTimeline",
    responses((status = 200, description = "Found", body = Timeline))
)]
async fn timeline(
    State(service): State<Service>,
    id: Result<Id, PathRejection>,
) -> Result<Json<Timeline>, Problem> {
    let Id(transfer_id) = id.map_err(|_| unknown())?;
    let own = service.store.read(&Transfer::stream(transfer_id), Seq::ZERO, EVENTS_MAX).await?;
    // Who approves, cancels or recalls asks anew.
    let requests: BTreeSet<Uuid> = own.iter().map(|event| event.correlation_id).collect();
    if requests.is_empty() {
        return Err(unknown());
    }
    let requests: Vec<Uuid> = requests.into_iter().collect();
    let events = service.store.correlated(&requests, EVENTS_MAX).await?;
    Ok(Json(Timeline { transfer_id, steps: steps(&events) }))
}

fn steps(events: &[RecordedEvent]) -> Vec<Step> {
    let causes: HashMap<Uuid, Uuid> = events.iter().map(|event| (event.id, event.causation_id)).collect();
    let start = events.first().map(|event| event.recorded_at);
    let step = |event: &RecordedEvent| {
        let above = std::iter::successors(causes.get(&event.causation_id), |cause| causes.get(cause));
        // No event follows from itself; should one say so, there is an end all the same.
        let depth = u32::try_from(above.take(events.len()).count()).unwrap_or(u32::MAX);
        let after = start.map(|start| event.recorded_at.duration_since(start).as_millis());
        Step {
            recorded_at: event.recorded_at,
            after_ms: after.and_then(|after| i64::try_from(after).ok()).unwrap_or_default(),
            stream: event.stream.to_string(),
            seq: event.seq.get(),
            r#type: event.event_type.clone(),
            event_id: event.id,
            actor: event.metadata.actor.0.clone(),
            caused_by: Cause { kind: event.metadata.causation_kind, id: event.causation_id },
            depth,
        }
    };
    events.iter().map(step).collect()
}
