//! The relays of this process, for an operator.

use std::sync::Arc;

use api::{Code, Problem};
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use jiff::Timestamp;
use relay::{Changed, Overview, Phase};
use serde::Serialize;
use sha2::{Digest, Sha256};

const BEARER: &str = "Bearer ";

type Relays = Arc<[relay::Config]>;

/// What the database knows, and what this process does.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    overview: Overview,
    phase: Phase,
    since: Timestamp,
    /// What ended the session before, or halted the relay.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// What keeps the slot from moving on.
    #[serde(skip_serializing_if = "Option::is_none")]
    held_by: Option<&'static str>,
    /// Until the server gives up the slot, at the rate at which the log grows.
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds_to_invalidation: Option<u64>,
}

#[derive(Serialize)]
struct Done {
    slot: String,
    is_paused: bool,
    changed: bool,
}

#[derive(Serialize)]
struct Requested {
    slot: String,
    requested: &'static str,
}

pub(super) fn router(relays: Vec<relay::Config>, token: &str) -> Router {
    let token: Option<[u8; 32]> = (!token.is_empty()).then(|| Sha256::digest(token).into());
    let guarded = Router::new()
        .route("/relays/{service}/pause", post(pause))
        .route("/relays/{service}/resume", post(resume))
        .route("/relays/{service}/refill", post(refill))
        .route_layer(middleware::from_fn(move |request, next| authorized(token, request, next)));
    Router::new()
        .route("/relays", get(list))
        .route("/relays/{service}", get(show))
        .merge(guarded)
        .with_state(Relays::from(relays))
}

/// Digests are compared, so that the time it takes says nothing about the token.
async fn authorized(token: Option<[u8; 32]>, request: Request, next: Next) -> Result<Response, Problem> {
    let token = token.ok_or_else(|| {
        Problem::new(Code::AdministrationClosed, "set ops.token, or use `lunaria relay` on the command line")
    })?;
    let sent = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    match sent.and_then(|value| value.strip_prefix(BEARER)) {
        Some(sent) if <[u8; 32]>::from(Sha256::digest(sent)) == token => Ok(next.run(request).await),
        _ => {
            Err(Problem::new(Code::Unauthorized, "send `Authorization: Bearer` with the value of ops.token"))
        }
    }
}

async fn list(State(relays): State<Relays>) -> Json<Vec<String>> {
    Json(relays.iter().map(|relay| relay.service.clone()).collect())
}

async fn show(State(relays): State<Relays>, Path(service): Path<String>) -> Result<Json<Shown>, Problem> {
    let relay = find(&relays, &service)?;
    let overview = relay::overview(relay).await.map_err(refused)?;
    let report = relay.status.report();
    let backlog = report.backlog.as_ref();
    Ok(Json(Shown {
        overview,
        phase: report.phase,
        since: report.since,
        held_by: backlog.and_then(|backlog| backlog.held_by).map(relay::HeldBy::as_str),
        seconds_to_invalidation: backlog
            .and_then(|backlog| backlog.until_invalidation)
            .map(|limit| limit.as_secs()),
        error: report.error,
    }))
}

async fn pause(State(relays): State<Relays>, Path(service): Path<String>) -> Result<Json<Done>, Problem> {
    let relay = find(&relays, &service)?;
    let changed = relay::pause(relay).await.map_err(refused)?;
    tracing::warn!(slot = %relay.slot, "an operator pauses the relay");
    Ok(done(relay, true, changed))
}

async fn resume(State(relays): State<Relays>, Path(service): Path<String>) -> Result<Json<Done>, Problem> {
    let relay = find(&relays, &service)?;
    let changed = relay::resume(relay).await.map_err(refused)?;
    tracing::warn!(slot = %relay.slot, "an operator resumes the relay");
    Ok(done(relay, false, changed))
}

/// What the topics lack is sent out of the event table by this process; `GET` says how it goes.
async fn refill(
    State(relays): State<Relays>,
    Path(service): Path<String>,
) -> Result<(StatusCode, Json<Requested>), Problem> {
    let relay = find(&relays, &service)?;
    relay::request_refill(relay).await.map_err(refused)?;
    tracing::warn!(slot = %relay.slot, "an operator asks for a refill");
    Ok((StatusCode::ACCEPTED, Json(Requested { slot: relay.slot.to_string(), requested: "refill" })))
}

fn find<'a>(relays: &'a Relays, service: &str) -> Result<&'a relay::Config, Problem> {
    relays.iter().find(|relay| relay.service == service).ok_or_else(|| {
        Problem::new(Code::RelayUnknown, format!("GET /relays lists those that it has; {service} is not one"))
    })
}

fn done(relay: &relay::Config, is_paused: bool, changed: Changed) -> Json<Done> {
    Json(Done { slot: relay.slot.to_string(), is_paused, changed: changed == Changed::Now })
}

fn refused(error: relay::Error) -> Problem {
    match error {
        relay::Error::Unavailable(why) => Problem::new(Code::RelayRefuses, why),
        error if error.is_transient() => Problem::new(Code::Unavailable, error.to_string()),
        error => Problem::new(Code::RelayRefuses, error.to_string()),
    }
}
