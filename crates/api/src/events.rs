//! `/v1/events`, `/v1/streams`, and a transfer's timeline: what has happened, as it was recorded, and because of what.

use std::collections::{BTreeSet, HashMap};

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use event::{Aggregate, Category, CausationKind, Position, RecordedEvent, Seq, StreamName};
use event_store::{EventKind, EventPage, Store, Walked};
use event_words::{EventWords, Filter};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use transfer::Transfer;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::consistency::Seen;
use crate::page::{CURSOR, asked, invalid, limit, next, time, words};
use crate::service::{Id, Service};
use crate::story::{EVENTS_MAX, Story};
use crate::transfers::unknown;
use crate::{Code, Problem};

/// Events that are looked at for a page of those of a kind.
const LOOKED_AT_MAX: u32 = 20_000;

pub(crate) fn router() -> OpenApiRouter<Service> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(of_stream)).routes(routes!(timeline))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// The request that they follow from: an event's `correlation_id`. The first thousand come, each after its cause, and there are no pages.
    correlation_id: Option<Uuid>,
    /// The event or the request that they follow from directly. As above.
    causation_id: Option<Uuid>,
    /// Those of streams of this category, such as `transfer`.
    #[param(pattern = "^[a-z][a-z0-9.]*$")]
    category: Option<String>,
    /// Those of this type, such as `Succeeded`.
    #[param(pattern = "^[A-Za-z][A-Za-z0-9]*$")]
    r#type: Option<String>,
    /// Those that hold all of these words, or words that begin like them: names, references, reasons, account numbers, identifiers of a payment.
    #[param(max_length = 140)]
    q: Option<String>,
    /// Those that were recorded before then.
    recorded_before: Option<Timestamp>,
    /// 50 without it.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    #[param(pattern = "^[0-9]{1,17}_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
    cursor: Option<String>,
}

impl ListQuery {
    /// Names that there can be.
    fn check(&self) -> Result<(), Problem> {
        if let Some(category) = &self.category {
            category.parse::<Category>().map_err(|error| invalid(error.to_string()))?;
        }
        match &self.r#type {
            Some(name) if !is_type(name) => Err(invalid("a type is named such as `Succeeded`".to_owned())),
            _ => Ok(()),
        }
    }

    /// Those that follow from a request or from an event.
    async fn follow(self, store: &Store) -> Result<Story, Problem> {
        let mut events = match (self.correlation_id, self.causation_id) {
            (None, Some(cause)) => store.caused_by(cause, EVENTS_MAX + 1).await?.ok_or_else(unknown_cause)?,
            (request, _) => store.correlated(request.as_slice(), EVENTS_MAX + 1).await?,
        };
        let limit = self.limit.map(|asked| limit(Some(asked))).transpose()?;
        let (words, there_are_more) =
            (words(self.q)?, events.len() > usize::try_from(EVENTS_MAX).unwrap_or(usize::MAX));
        events.retain(|event| {
            self.causation_id.is_none_or(|cause| event.causation_id == cause)
                && self.category.as_deref().is_none_or(|category| event.stream.category() == category)
                && self.r#type.as_deref().is_none_or(|wanted| event.event_type == wanted)
                && self.recorded_before.is_none_or(|before| event.recorded_at < before)
                && words.as_deref().is_none_or(|words| event_words::holds(event.data.get(), words))
        });
        Ok(Story::of(events, limit.unwrap_or(EVENTS_MAX)).truncated(there_are_more))
    }

    /// By the words in them.
    async fn find(self, words: String, seen: Seen, store: &Store) -> Result<Story, Problem> {
        let mut page = asked(self.limit, self.cursor.as_deref(), None)?;
        // As if the page before had ended there.
        let before = self.recorded_before.map(|before| (time(before), Uuid::nil()));
        page.after = page.after.into_iter().chain(before).min();
        seen.by(store, &EventWords).await?;
        let filter = Filter { category: self.category, event_type: self.r#type, words, page };
        let (events, found, last) = event_words::find(store, &filter).await?;
        let next_cursor = next(page, found, last);
        Ok(Story::page(events, next_cursor))
    }

    /// By their kind.
    async fn walk(self, store: &Store) -> Result<Story, Problem> {
        let after =
            self.cursor.as_deref().map(|cursor| walked(cursor).ok_or_else(|| invalid(CURSOR.to_owned())));
        let (after, limit) = (after.transpose()?, limit(self.limit)?);
        let kind = EventKind {
            category: self.category.as_deref(),
            event_type: self.r#type.as_deref(),
            recorded_before: self.recorded_before.map(time),
        };
        let EventPage { events, next } = store.newest(&kind, after, (limit, LOOKED_AT_MAX)).await?;
        let cursor = |Walked { request, position }| format!("{}_{request}", position.0);
        Ok(Story::page(events, next.map(cursor)))
    }
}

fn is_type(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn unknown_cause() -> Problem {
    Problem::new(
        Code::CauseUnknown,
        "no event or request of core has this id: what another service or a deadline has caused has a correlation_id, too",
    )
}

fn walked(cursor: &str) -> Option<Walked> {
    let (position, request) = cursor.split_once('_')?;
    Some(Walked { request: request.parse().ok()?, position: Position(position.parse().ok()?) })
}

/// Events of core: all that follow from one request; those that hold some words, the newest first; or those of a kind, by the ids of their requests, the last first.
///
/// Of a kind, a page may be short, or empty, and more follow: as long as there is a `next_cursor`. What core's adapters have done stands in their own
/// databases, under the same `correlation_id`.
#[utoipa::path(
    get, path = "/v1/events", tag = "events", operation_id = "listEvents",
    params(ListQuery),
    responses((status = 200, description = "Found", body = Story))
)]
async fn list(
    State(service): State<Service>,
    seen: Seen,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<Story>, Problem> {
    let Query(query) = query.map_err(|error| invalid(error.body_text()))?;
    let store = &service.store;
    query.check()?;
    let story = match words(query.q.clone())? {
        _ if query.correlation_id.is_some() || query.causation_id.is_some() => query.follow(store).await?,
        Some(_) if !service.searches_events => {
            return Err(Problem::new(
                Code::SearchOff,
                "core.search_events switches it on; category and type are always there",
            ));
        }
        Some(words) => query.find(words, seen, store).await?,
        None => query.walk(store).await?,
    };
    Ok(Json(story))
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
