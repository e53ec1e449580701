//! `/v1/external`: what a consumer in another service refills a gap from. External streams and nothing else.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::routing::get;
use axum::{Json, Router};
use delivery::{EventPage, StreamPage, StreamPosition};
use event::{Category, Seq, StreamName};
use event_store::Store;
use serde::Deserialize;

use crate::{Code, Problem};

const LIMIT_DEFAULT: u32 = 100;
const LIMIT_MAX: u32 = 1_000;

/// The external streams of the service whose store this is.
pub fn router(store: Store) -> Router {
    Router::new()
        .route("/v1/external/asyncapi.json", get(async || Json(contract::asyncapi())))
        .route("/v1/external/{contract}/{version}/streams", get(streams))
        .route("/v1/external/{contract}/{version}/streams/{id}/events", get(events))
        .with_state(store)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StreamsQuery {
    after: Option<String>,
    limit: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EventsQuery {
    after: Option<i64>,
    limit: Option<u32>,
}

async fn streams(
    State(store): State<Store>,
    Path((contract, version)): Path<(String, String)>,
    query: Result<Query<StreamsQuery>, QueryRejection>,
) -> Result<Json<StreamPage>, Problem> {
    let Query(query) = query.map_err(|error| Problem::new(Code::InvalidQuery, error.body_text()))?;
    let category = external(&contract, &version)?;
    let after = query.after.map(|id| category.stream(id)).transpose();
    let after = after.map_err(|error| Problem::new(Code::InvalidQuery, error.to_string()))?;
    let found = store.streams(category.as_str(), after.as_ref(), limit(query.limit)?).await?;
    let position = |at: event_store::StreamSeq| StreamPosition { stream: at.stream, last_seq: at.seq };
    Ok(Json(StreamPage { streams: found.into_iter().map(position).collect() }))
}

async fn events(
    State(store): State<Store>,
    Path((contract, version, id)): Path<(String, String, String)>,
    query: Result<Query<EventsQuery>, QueryRejection>,
) -> Result<Json<EventPage>, Problem> {
    let Query(query) = query.map_err(|error| Problem::new(Code::InvalidQuery, error.body_text()))?;
    let stream: StreamName = external(&contract, &version)?.stream(id).map_err(|_| unknown())?;
    let after = query.after.unwrap_or_default();
    if after < 0 {
        return Err(Problem::new(
            Code::InvalidQuery,
            "after is the seq of the last event that you have, or 0",
        ));
    }
    let events = store.read(&stream, Seq::new(after), limit(query.limit)?).await?;
    // Nothing more, or nothing at all: a typo must not look as if there were no gap.
    if events.is_empty() && store.last(&stream).await?.is_none() {
        return Err(Problem::new(
            Code::StreamUnknown,
            "the path takes the stream's id, without its category",
        ));
    }
    Ok(Json(EventPage { events }))
}

fn external(contract: &str, version: &str) -> Result<Category, Problem> {
    let category: Category = format!("{contract}.{version}").parse().map_err(|_| unknown())?;
    if category.is_external() { Ok(category) } else { Err(unknown()) }
}

fn limit(asked: Option<u32>) -> Result<u32, Problem> {
    match asked.unwrap_or(LIMIT_DEFAULT) {
        limit @ 1..=LIMIT_MAX => Ok(limit),
        _ => Err(Problem::new(Code::InvalidQuery, format!("limit is 1 to {LIMIT_MAX}"))),
    }
}

fn unknown() -> Problem {
    Problem::new(Code::StreamUnknown, "a contract has a name and a version, such as payment/v1")
}
