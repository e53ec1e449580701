//! `/v1/webhook-endpoints`: where somebody wants to be told what happens.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use event::Personal;
use event_store::{ExecuteError, UnitOfWork};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;
use webhook::{
    Endpoint, EndpointCommand, EndpointRefusal, EndpointRow, EndpointView, Pending, Status, pending,
};

use crate::body::Body;
use crate::consistency::Seen;
use crate::idempotency::{Answer, IdempotencyKey, Operation, Undecided, once};
use crate::page::{asked, invalid, next};
use crate::service::{Id, Service};
use crate::version::Versioned;
use crate::{Code, Problem};

const REASON_CHARS_MAX: usize = 500;

pub(crate) fn router() -> OpenApiRouter<Service> {
    OpenApiRouter::new()
        .routes(routes!(register, list))
        .routes(routes!(read))
        .routes(routes!(secret))
        .routes(routes!(rotate_secret))
        .routes(routes!(pause))
        .routes(routes!(resume))
        .routes(routes!(replay))
        .routes(routes!(remove))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RegisterEndpoint {
    /// A public https address.
    #[schema(max_length = 2000)]
    url: String,
    /// External streams, such as `transfer.v1`: what `GET /v1/external/asyncapi.json` describes.
    #[schema(min_items = 1)]
    contracts: Vec<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = WebhookEndpoint)]
struct EndpointDocument {
    endpoint_id: Uuid,
    url: String,
    contracts: Vec<String>,
    /// `active`, `paused` or `removed`.
    status: &'static str,
    /// Why it is paused.
    #[serde(skip_serializing_if = "Option::is_none")]
    status_reason: Option<String>,
    /// The secret before this one still signs, too, until then.
    #[serde(skip_serializing_if = "Option::is_none")]
    previous_secret_until: Option<Timestamp>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ReadWebhookEndpoint)]
struct ReadEndpoint {
    #[serde(flatten)]
    endpoint: EndpointDocument,
    /// Streams and events that it has not been told of yet.
    pending_streams: i64,
    pending_events: i64,
    /// Since when it takes nothing of one of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    failing_since: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<String>,
}

/// Registers an endpoint.
///
/// It is told what happens from now on: one POST for each event (Standard Webhooks 1.0.0), in the order of its stream, at least once, until it answers 2xx.
#[utoipa::path(
    post, path = "/v1/webhook-endpoints", tag = "webhooks", operation_id = "registerWebhookEndpoint",
    request_body = RegisterEndpoint,
    responses((status = 201, description = "Created", body = EndpointDocument))
)]
async fn register(
    State(service): State<Service>,
    key: IdempotencyKey,
    Body { fields, content }: Body<RegisterEndpoint>,
) -> Result<Response, Problem> {
    let webhooks = service.webhooks.as_ref().ok_or_else(off)?;
    let RegisterEndpoint { url, mut contracts } = fields;
    webhook::check(&url, webhooks.reach)
        .map_err(|error| Problem::new(Code::InvalidField, error.to_string()).at("/url"))?;
    contracts.sort_unstable();
    contracts.dedup();
    if contracts.is_empty() || !contracts.iter().all(|asked| webhooks.contracts.contains(&asked.as_str())) {
        let detail = format!("they are some of {}", webhooks.contracts.join(", "));
        return Err(Problem::new(Code::InvalidField, detail).at("/contracts"));
    }
    let operation = Operation::new("POST /v1/webhook-endpoints", key, content, Vec::new())?;
    once(&service, operation, move |unit| {
        let (url, contracts) = (url.clone(), contracts.clone());
        Box::pin(async move {
            // The endpoint's id is the request's: the same key can only ever register this one.
            let endpoint_id = unit.context().correlation_id;
            unit.expect_new::<Endpoint>(endpoint_id);
            let register = EndpointCommand::Register { endpoint_id, url, contracts };
            tell(unit, endpoint_id, register, StatusCode::CREATED).await
        })
    })
    .await
}

/// An endpoint, and what it has not been told yet.
#[utoipa::path(
    get, path = "/v1/webhook-endpoints/{id}", tag = "webhooks", operation_id = "readWebhookEndpoint",
    responses((status = 200, description = "Found", body = ReadEndpoint))
)]
async fn read(
    State(service): State<Service>,
    id: Result<Id, PathRejection>,
) -> Result<Versioned<ReadEndpoint>, Problem> {
    let Id(id) = id.map_err(|_| unknown())?;
    let (endpoint, seq) = service.store.load::<Endpoint>(id).await?;
    let endpoint = document(endpoint.ok_or_else(unknown)?);
    let Pending { streams, events, failing_since, last_error } = pending(&service.store, id).await?;
    let failing_since = failing_since.0;
    Ok(Versioned(
        seq,
        ReadEndpoint {
            endpoint,
            pending_streams: streams,
            pending_events: events,
            failing_since,
            last_error,
        },
    ))
}

#[derive(Serialize, ToSchema)]
#[schema(as = WebhookSecret)]
struct Secret {
    /// For the libraries of Standard Webhooks: `whsec_…`.
    #[schema(value_type = String)]
    secret: Personal<String>,
}

/// The secret by which an endpoint knows that it is us.
#[utoipa::path(
    get, path = "/v1/webhook-endpoints/{id}/secret", tag = "webhooks", operation_id = "webhookSecret",
    responses((status = 200, description = "Found", body = Secret))
)]
async fn secret(
    State(service): State<Service>,
    id: Result<Id, PathRejection>,
) -> Result<Versioned<Secret>, Problem> {
    let Id(id) = id.map_err(|_| unknown())?;
    let webhooks = service.webhooks.as_ref().ok_or_else(off)?;
    let (endpoint, seq) = service.store.load::<Endpoint>(id).await?;
    let endpoint = endpoint.filter(|endpoint| endpoint.status != Status::Removed).ok_or_else(unknown)?;
    Ok(Versioned(seq, Secret { secret: webhooks.key.secret(id, endpoint.generation) }))
}

/// Gives an endpoint another secret.
///
/// For a day both sign; until then there is no third.
#[utoipa::path(
    post, path = "/v1/webhook-endpoints/{id}/rotate-secret", tag = "webhooks", operation_id = "rotateWebhookSecret",
    responses((status = 200, description = "Done", body = EndpointDocument))
)]
async fn rotate_secret(
    State(service): State<Service>,
    id: Result<Id, PathRejection>,
    key: IdempotencyKey,
) -> Result<Response, Problem> {
    let name = "POST /v1/webhook-endpoints/{id}/rotate-secret";
    command(&service, name, id, key, Value::Null, EndpointCommand::RotateSecret).await
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PauseEndpoint {
    #[schema(min_length = 1, max_length = 500)]
    reason: String,
}

/// Pauses an endpoint.
///
/// It is told nothing, and what happens meanwhile when it is resumed.
#[utoipa::path(
    post, path = "/v1/webhook-endpoints/{id}/pause", tag = "webhooks", operation_id = "pauseWebhookEndpoint",
    request_body = PauseEndpoint,
    responses((status = 200, description = "Done", body = EndpointDocument))
)]
async fn pause(
    State(service): State<Service>,
    id: Result<Id, PathRejection>,
    key: IdempotencyKey,
    Body { fields, content }: Body<PauseEndpoint>,
) -> Result<Response, Problem> {
    let reason = fields.reason.trim().to_owned();
    if reason.is_empty() || reason.chars().count() > REASON_CHARS_MAX {
        return Err(Problem::new(Code::InvalidField, "it has 1 to 500 characters").at("/reason"));
    }
    let pause = EndpointCommand::Pause { reason };
    command(&service, "POST /v1/webhook-endpoints/{id}/pause", id, key, content, pause).await
}

/// Goes on where a paused endpoint was.
#[utoipa::path(
    post, path = "/v1/webhook-endpoints/{id}/resume", tag = "webhooks", operation_id = "resumeWebhookEndpoint",
    responses((status = 200, description = "Done", body = EndpointDocument))
)]
async fn resume(
    State(service): State<Service>,
    id: Result<Id, PathRejection>,
    key: IdempotencyKey,
) -> Result<Response, Problem> {
    let name = "POST /v1/webhook-endpoints/{id}/resume";
    command(&service, name, id, key, Value::Null, EndpointCommand::Resume).await
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ReplayEndpoint {
    /// What has happened then and later.
    since: Timestamp,
}

/// Tells an endpoint once more what has happened since a time.
#[utoipa::path(
    post, path = "/v1/webhook-endpoints/{id}/replay", tag = "webhooks", operation_id = "replayWebhookEndpoint",
    request_body = ReplayEndpoint,
    responses((status = 200, description = "Done", body = EndpointDocument))
)]
async fn replay(
    State(service): State<Service>,
    id: Result<Id, PathRejection>,
    key: IdempotencyKey,
    Body { fields: ReplayEndpoint { since }, content }: Body<ReplayEndpoint>,
) -> Result<Response, Problem> {
    let replay = EndpointCommand::Replay { since: crate::page::time(since) };
    command(&service, "POST /v1/webhook-endpoints/{id}/replay", id, key, content, replay).await
}

/// Removes an endpoint, for good.
#[utoipa::path(
    post, path = "/v1/webhook-endpoints/{id}/remove", tag = "webhooks", operation_id = "removeWebhookEndpoint",
    responses((status = 200, description = "Done", body = EndpointDocument))
)]
async fn remove(
    State(service): State<Service>,
    id: Result<Id, PathRejection>,
    key: IdempotencyKey,
) -> Result<Response, Problem> {
    let name = "POST /v1/webhook-endpoints/{id}/remove";
    command(&service, name, id, key, Value::Null, EndpointCommand::Remove).await
}

async fn command(
    service: &Service,
    name: &'static str,
    id: Result<Id, PathRejection>,
    key: IdempotencyKey,
    content: Value,
    command: EndpointCommand,
) -> Result<Response, Problem> {
    let Id(id) = id.map_err(|_| unknown())?;
    let content = json!({ "endpoint_id": id, "body": content });
    let operation = Operation::on::<Endpoint>(name, key, id, content);
    once(service, operation, move |unit| Box::pin(tell(unit, id, command.clone(), StatusCode::OK))).await
}

async fn tell(
    unit: &mut UnitOfWork,
    id: Uuid,
    command: EndpointCommand,
    status: StatusCode,
) -> Result<Answer, Undecided> {
    match unit.execute::<Endpoint>(id, command).await {
        Ok(_) => {}
        Err(ExecuteError::Store(error)) => return Err(error.into()),
        Err(ExecuteError::Refused(EndpointRefusal::AlreadyRegistered)) => {
            return Err(event_store::Error::Conflict.into());
        }
        Err(ExecuteError::Refused(EndpointRefusal::NotRegistered)) => {
            return Ok(Answer::refusal(&unknown())?);
        }
        Err(ExecuteError::Refused(refusal @ EndpointRefusal::RotatedLately)) => {
            return Ok(Answer::refusal(&Problem::new(Code::SecretRotatedLately, refusal.to_string()))?);
        }
        Err(ExecuteError::Refused(refusal @ EndpointRefusal::NotInThePast)) => {
            let problem = Problem::new(Code::InvalidField, refusal.to_string()).at("/since");
            return Ok(Answer::refusal(&problem)?);
        }
    }
    let endpoint = unit.state::<Endpoint>(id).await?.ok_or(event_store::Error::Conflict)?;
    Ok(Answer::new(status, &document(endpoint))?)
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// The `next_cursor` of the page before.
    #[param(pattern = "^[0-9]{1,17}_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
    cursor: Option<String>,
    /// 50 without it.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = WebhookEndpointList)]
struct List {
    webhook_endpoints: Vec<Listed>,
    /// Pass it as `cursor` to get the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ListedWebhookEndpoint)]
struct Listed {
    endpoint_id: Uuid,
    url: String,
    contracts: Vec<String>,
    status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_reason: Option<String>,
    registered_at: Timestamp,
    changed_at: Timestamp,
}

/// Endpoints, the newest first, those too that were removed.
#[utoipa::path(
    get, path = "/v1/webhook-endpoints", tag = "webhooks", operation_id = "listWebhookEndpoints",
    params(ListQuery),
    responses((status = 200, description = "Found", body = List))
)]
async fn list(
    State(service): State<Service>,
    seen: Seen,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<List>, Problem> {
    let Query(query) = query.map_err(|error| invalid(error.body_text()))?;
    let page = asked(query.limit, query.cursor.as_deref(), None)?;
    seen.by(&service.store, &EndpointView::default()).await?;
    let rows = webhook::list(&service.store, page).await?;
    let next_cursor = next(page, rows.len(), rows.last().map(|row| (row.registered_at, row.id)));
    let listed = |row: EndpointRow| Listed {
        endpoint_id: row.id,
        url: row.url,
        contracts: row.contracts,
        status: row.status,
        status_reason: row.reason,
        registered_at: row.registered_at,
        changed_at: row.changed_at,
    };
    Ok(Json(List { webhook_endpoints: rows.into_iter().map(listed).collect(), next_cursor }))
}

fn document(endpoint: Endpoint) -> EndpointDocument {
    EndpointDocument {
        endpoint_id: endpoint.id,
        url: endpoint.url,
        contracts: endpoint.contracts,
        status: endpoint.status.as_str(),
        status_reason: endpoint.reason,
        previous_secret_until: endpoint.previous_until,
    }
}

fn off() -> Problem {
    Problem::new(Code::WebhooksOff, "whoever runs this deployment can set webhooks.signing_key")
}

fn unknown() -> Problem {
    let detail = "an endpoint has the id that POST /v1/webhook-endpoints has answered with";
    Problem::new(Code::WebhookEndpointUnknown, detail)
}
