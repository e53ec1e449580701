//! `/v1/parked`: what handlers of core could not handle, by what it fails for, and how it is tried again. It is left out by a correction.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use delivery::{
    ParkedGroup, ParkedStream, Retry, RetryAt, RetryCommand, RetryRefusal, RetryRequested, parked_group,
    parked_groups, parked_streams, retry_parked_in, waiting_parked_in,
};
use event::StreamName;
use event_store::{ExecuteError, UnitOfWork};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::body::{Body, text};
use crate::idempotency::{Answer, IdempotencyKey, Operation, Undecided, once};
use crate::page::{invalid, limit};
use crate::service::Service;
use crate::{Code, Problem};

const PER_SECOND: u32 = 100;
const PER_SECOND_MAX: u32 = 1_000;
const REASON_CHARS_MAX: usize = 500;

pub(crate) fn router() -> OpenApiRouter<Service> {
    OpenApiRouter::new().routes(routes!(groups)).routes(routes!(streams)).routes(routes!(retry))
}

#[derive(Serialize, ToSchema)]
#[schema(as = ParkedGroupList)]
struct Groups {
    groups: Vec<Group>,
}

/// What fails in one handler for one cause.
#[derive(Serialize, ToSchema)]
#[schema(as = ParkedGroup)]
struct Group {
    group_id: String,
    handler: String,
    /// The service whose events it handles.
    source: String,
    /// The reason, without what differs from one to the other.
    cause: String,
    /// Streams that wait for a person.
    streams: i64,
    /// Streams that are tried again by themselves, or were just asked to.
    retried: i64,
    /// The events that have failed, and those that wait behind them.
    events: i64,
    first_failed_at: Timestamp,
    last_failed_at: Timestamp,
    /// The reason of the one that has failed first, word for word.
    sample: String,
}

impl From<ParkedGroup> for Group {
    fn from(group: ParkedGroup) -> Self {
        Self {
            group_id: group.id(),
            handler: group.handler,
            source: group.source,
            cause: group.cause,
            streams: group.streams,
            retried: group.retried,
            events: group.events,
            first_failed_at: group.first_failed_at,
            last_failed_at: group.last_failed_at,
            sample: group.sample,
        }
    }
}

/// What handlers could not handle, by what it fails for; where the most streams wait comes first.
#[utoipa::path(
    get, path = "/v1/parked", tag = "parked", operation_id = "readParked",
    responses((status = 200, description = "Found", body = Groups))
)]
async fn groups(State(service): State<Service>) -> Result<Json<Groups>, Problem> {
    let mut connection = service.store.pool().acquire().await.map_err(event_store::Error::from)?;
    let groups = parked_groups(&mut connection).await?;
    Ok(Json(Groups { groups: groups.into_iter().map(Into::into).collect() }))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct StreamsQuery {
    /// The `next_cursor` of the page before.
    #[param(pattern = "^[a-z][a-z0-9.]{0,50}-[A-Za-z0-9_.:@-]{1,100}$")]
    cursor: Option<String>,
    /// 50 without it.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ParkedStreamList)]
struct Streams {
    group: Group,
    streams: Vec<Stream>,
    /// Pass it as `cursor` to get the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// A stream that waits at an event.
#[derive(Serialize, ToSchema)]
#[schema(as = ParkedStream)]
struct Stream {
    stream: String,
    /// Of the event that fails.
    seq: i64,
    event_id: Uuid,
    reason: String,
    /// How often it has failed.
    attempts: i32,
    /// It, and those that wait behind it.
    events: i64,
    /// When it is tried again; absent when it waits for a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_at: Option<Timestamp>,
    first_failed_at: Timestamp,
    last_failed_at: Timestamp,
}

impl From<ParkedStream> for Stream {
    fn from(parked: ParkedStream) -> Self {
        let RetryAt(retry_at) = parked.retry_at;
        Self {
            stream: parked.stream,
            seq: parked.seq,
            event_id: parked.event_id,
            reason: parked.reason,
            attempts: parked.attempts,
            events: parked.events,
            retry_at,
            first_failed_at: parked.first_failed_at,
            last_failed_at: parked.last_failed_at,
        }
    }
}

/// The streams that wait for one cause.
#[utoipa::path(
    get, path = "/v1/parked/{group}/streams", tag = "parked", operation_id = "parkedStreams",
    params(StreamsQuery),
    responses((status = 200, description = "Found", body = Streams))
)]
async fn streams(
    State(service): State<Service>,
    group: Result<Path<String>, PathRejection>,
    query: Result<Query<StreamsQuery>, QueryRejection>,
) -> Result<Json<Streams>, Problem> {
    let id = group_id(group)?;
    let Query(query) = query.map_err(|error| invalid(error.body_text()))?;
    let after = query.cursor.map(|cursor| cursor.parse::<StreamName>()).transpose();
    let after = after.map_err(|_| invalid(crate::page::CURSOR.to_owned()))?;
    let limit = limit(query.limit)?;
    let mut connection = service.store.pool().acquire().await.map_err(event_store::Error::from)?;
    let group = parked_group(&mut connection, &id).await?.ok_or_else(unknown)?;
    drop(connection);
    let after = after.as_ref().map(StreamName::as_str);
    let found = parked_streams(&service.store, &group, after, limit).await?;
    let is_full = found.len() >= usize::try_from(limit).unwrap_or(usize::MAX);
    let next_cursor = found.last().filter(|_| is_full).map(|last| last.stream.clone());
    Ok(Json(Streams {
        group: group.into(),
        streams: found.into_iter().map(Into::into).collect(),
        next_cursor,
    }))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RetryParked {
    /// How many streams of the group wait for a person, as it was read; 1 with `stream`.
    #[schema(minimum = 1)]
    streams: u64,
    /// Only this one.
    #[serde(default)]
    #[schema(pattern = "^[a-z][a-z0-9.]{0,50}-[A-Za-z0-9_.:@-]{1,100}$")]
    stream: Option<String>,
    /// No more than so many are tried in a second. 100 without it.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 1_000)]
    per_second: Option<u32>,
    /// Why it will go better now.
    #[schema(min_length = 1, max_length = 500)]
    reason: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ParkedRetry)]
struct RetryDocument {
    retry_id: Uuid,
    handler: String,
    source: String,
    cause: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<String>,
    /// How many are tried again.
    streams: u64,
    per_second: u32,
    reason: String,
    requested_by: String,
}

/// Has what waits for a person tried again: all that fails for one cause, or one stream.
///
/// What fails again waits again, at the event that it has come to; nothing that has passed is handled twice. The count is the one that was read:
/// when it is another by now, nothing is tried.
#[utoipa::path(
    post, path = "/v1/parked/{group}/retry", tag = "parked", operation_id = "retryParked",
    request_body = RetryParked,
    responses((status = 200, description = "Begun: the group shows what is left", body = RetryDocument))
)]
async fn retry(
    State(service): State<Service>,
    group: Result<Path<String>, PathRejection>,
    key: IdempotencyKey,
    Body { fields, content }: Body<RetryParked>,
) -> Result<Response, Problem> {
    let group = group_id(group)?;
    let invalid = |detail: &str, at: &str| Problem::new(Code::InvalidField, detail).at(at);
    let stream = fields.stream.map(|stream| stream.parse::<StreamName>()).transpose();
    let wanted = Wanted {
        stream: stream.map_err(|_| invalid("it is `category-id`", "/stream"))?,
        streams: fields.streams,
        per_second: fields.per_second.unwrap_or(PER_SECOND),
        reason: text(&fields.reason, REASON_CHARS_MAX, "/reason")?,
    };
    if !(1..=PER_SECOND_MAX).contains(&wanted.per_second) {
        return Err(invalid("it is 1 to 1000", "/per_second"));
    }
    if wanted.streams == 0 {
        return Err(invalid("it is 1 or more", "/streams"));
    }
    let content = json!({ "group": group, "content": content });
    let operation = Operation::new("POST /v1/parked/{group}/retry", key, content, Vec::new())?.alone();
    let asked = Arc::new((group, wanted));
    once(&service, operation, move |unit| {
        let asked = Arc::clone(&asked);
        Box::pin(async move { retry_in(unit, &asked.0, &asked.1).await })
    })
    .await
}

/// What no group can be called is none.
fn group_id(given: Result<Path<String>, PathRejection>) -> Result<String, Problem> {
    let Path(id) = given.map_err(|_| unknown())?;
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if id.len() == 16 && id.bytes().all(is_digit) { Ok(id) } else { Err(unknown()) }
}

struct Wanted {
    stream: Option<StreamName>,
    streams: u64,
    per_second: u32,
    reason: String,
}

async fn retry_in(unit: &mut UnitOfWork, group: &str, wanted: &Wanted) -> Result<Answer, Undecided> {
    let Some(group) = parked_group(unit.connection(), group).await? else {
        return Ok(Answer::refusal(&unknown())?);
    };
    let waiting = waiting_parked_in(unit.connection(), &group, wanted.stream.as_ref()).await?;
    let id = unit.context().correlation_id;
    let command = RetryCommand {
        group: group.clone(),
        stream: wanted.stream.as_ref().map(ToString::to_string),
        found: waiting.len().try_into().unwrap_or(u64::MAX),
        confirmed: wanted.streams,
        per_second: wanted.per_second,
        reason: wanted.reason.clone(),
    };
    unit.expect_new::<Retry>(id);
    match unit.execute::<Retry>(id, command).await {
        Ok(_) => {}
        Err(ExecuteError::Refused(refusal)) => return Ok(Answer::refusal(&refused(&refusal))?),
        Err(ExecuteError::Store(error)) => return Err(error.into()),
    }
    retry_parked_in(unit.connection(), &group, &waiting, wanted.per_second).await?;
    let retry = unit.state::<Retry>(id).await?.ok_or(event_store::Error::Conflict)?;
    Ok(Answer::new(StatusCode::OK, &RetryDocument::of(id, retry.requested))?)
}

impl RetryDocument {
    fn of(retry_id: Uuid, requested: RetryRequested) -> Self {
        let RetryRequested { handler, source, cause, stream, streams, per_second, reason, by } = requested;
        let requested_by = by.0;
        Self { retry_id, handler, source, cause, stream, streams, per_second, reason, requested_by }
    }
}

fn refused(refusal: &RetryRefusal) -> Problem {
    let code = match refusal {
        RetryRefusal::OtherCount(_) => Code::CountChanged,
        RetryRefusal::AlreadyRequested => Code::Internal,
    };
    Problem::new(code, refusal.to_string())
}

fn unknown() -> Problem {
    Problem::new(Code::ParkedGroupUnknown, "nothing is parked for this cause: GET /v1/parked shows what is")
}
