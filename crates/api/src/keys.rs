//! `/v1/keys`: issue an API key, see which there are, revoke one.

use access::{IssuedKey, KeyCommand, KeyIssued, KeyRefusal, Principal, PrincipalError, Role, key_id_of};
use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use customer::Customer;
use event_store::{ExecuteError, UnitOfWork};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::body::Body;
use crate::idempotency::{Answer, IdempotencyKey, Operation, Undecided, once};
use crate::issued_keys::{is_name_taken, page};
use crate::page::{invalid, loaded_limit};
use crate::service::{Id, Service};
use crate::version::Versioned;
use crate::{Code, Problem, customers};

const REASON_CHARS_MAX: usize = 500;

pub(crate) fn router() -> OpenApiRouter<Service> {
    OpenApiRouter::new().routes(routes!(issue, list)).routes(routes!(read)).routes(routes!(revoke))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct IssueKey {
    /// Whom the events name that follow from what its holder asks: 1 to 64 of a–z, 0–9, `.`, `_` and `-`. Two keys of the same name are one principal's, and have the same roles.
    /// A customer's keys are all the customer's, whatever they are called.
    #[schema(pattern = "^[a-z][a-z0-9._-]{0,63}$")]
    name: String,
    #[schema(value_type = Vec<String>)]
    roles: Vec<Role>,
    /// For the role `customer`: which one.
    customer_id: Option<Uuid>,
    /// The SHA-256 of the secret, in hexadecimal digits: the secret itself stays with its holder.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    secret_sha256: String,
    /// Without it, when it is revoked.
    expires_at: Option<Timestamp>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Key)]
struct KeyDocument {
    key_id: Uuid,
    name: String,
    #[schema(value_type = Vec<String>)]
    roles: Vec<Role>,
    #[serde(skip_serializing_if = "Option::is_none")]
    customer_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
    /// `active`, `expired` or `revoked`.
    status: &'static str,
}

/// Issues an API key.
///
/// Its holder makes a secret of 32 random bytes or more, and gives only its digest away: `openssl rand -base64 33 | tee secret | tr -d '\n' | sha256sum`.
#[utoipa::path(
    post, path = "/v1/keys", tag = "keys", operation_id = "issueKey",
    request_body = IssueKey,
    responses((status = 201, description = "Created", body = KeyDocument))
)]
async fn issue(
    State(service): State<Service>,
    key: IdempotencyKey,
    Body { fields, content }: Body<IssueKey>,
) -> Result<Response, Problem> {
    let key_id = key_id_of(&fields.secret_sha256).ok_or_else(|| {
        Problem::new(Code::InvalidField, KeyRefusal::Digest.to_string()).at("/secret_sha256")
    })?;
    let principal = Principal::of_key(&fields.name, fields.roles.clone(), fields.customer_id);
    if principal.is_ok_and(|principal| service.keys.has_actor(principal.actor())) {
        let detail = "a key of the configuration has this name";
        return Err(Problem::new(Code::InvalidField, detail).at("/name"));
    }
    let issued = KeyIssued {
        key_id,
        name: fields.name,
        roles: fields.roles,
        customer_id: fields.customer_id,
        digest: fields.secret_sha256,
        expires_at: fields.expires_at,
    };
    let operation = Operation::new("POST /v1/keys", key, content, Vec::new())?.alone();
    once(&service, operation, move |unit| Box::pin(issue_in(unit, issued.clone()))).await
}

async fn issue_in(unit: &mut UnitOfWork, issued: KeyIssued) -> Result<Answer, Undecided> {
    if let Some(id) = issued.customer_id
        && unit.state::<Customer>(id).await?.is_none()
    {
        return Ok(Answer::refusal(&customers::unknown().at("/customer_id"))?);
    }
    if issued.customer_id.is_none() {
        let taken = is_name_taken(unit.connection(), &issued.name, &issued.roles).await;
        if taken.map_err(event_store::Error::from)? {
            let problem = Problem::new(Code::InvalidField, "a key of this name was issued with other roles");
            return Ok(Answer::refusal(&problem.at("/name"))?);
        }
    }
    tell(unit, issued.key_id, KeyCommand::Issue(issued), StatusCode::CREATED).await
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RevokeKey {
    #[schema(min_length = 1, max_length = 500)]
    reason: String,
}

/// Revokes a key.
///
/// A second later it opens nothing any more; a live stream that it has opened ends within five minutes.
#[utoipa::path(
    post, path = "/v1/keys/{id}/revoke", tag = "keys", operation_id = "revokeKey",
    request_body = RevokeKey,
    responses((status = 200, description = "Done", body = KeyDocument))
)]
async fn revoke(
    State(service): State<Service>,
    id: Result<Id, PathRejection>,
    key: IdempotencyKey,
    Body { fields, content }: Body<RevokeKey>,
) -> Result<Response, Problem> {
    let Id(id) = id.map_err(|_| unknown())?;
    let reason = fields.reason.trim().to_owned();
    if reason.is_empty() || reason.chars().count() > REASON_CHARS_MAX {
        return Err(Problem::new(Code::InvalidField, "it has 1 to 500 characters").at("/reason"));
    }
    let content = json!({ "key_id": id, "body": content });
    let operation = Operation::on::<IssuedKey>("POST /v1/keys/{id}/revoke", key, id, content);
    once(&service, operation, move |unit| {
        Box::pin(tell(unit, id, KeyCommand::Revoke { reason: reason.clone() }, StatusCode::OK))
    })
    .await
}

async fn tell(
    unit: &mut UnitOfWork,
    id: Uuid,
    command: KeyCommand,
    status: StatusCode,
) -> Result<Answer, Undecided> {
    match unit.execute::<IssuedKey>(id, command).await {
        Ok(_) => {}
        Err(ExecuteError::Store(error)) => return Err(error.into()),
        Err(ExecuteError::Refused(refusal)) => return Ok(Answer::refusal(&refused(&refusal))?),
    }
    let key = unit.state::<IssuedKey>(id).await?.ok_or(event_store::Error::Conflict)?;
    Ok(Answer::new(status, &document(key, unit.context().now))?)
}

fn refused(refusal: &KeyRefusal) -> Problem {
    let pointer = match refusal {
        KeyRefusal::NotIssued => return unknown(),
        KeyRefusal::Principal(PrincipalError::Customer) => "/customer_id",
        KeyRefusal::Principal(PrincipalError::NoRole) => "/roles",
        KeyRefusal::Principal(_) => "/name",
        KeyRefusal::Digest | KeyRefusal::AlreadyIssued => "/secret_sha256",
        KeyRefusal::Expired => "/expires_at",
    };
    Problem::new(Code::InvalidField, refusal.to_string()).at(pointer)
}

/// A key, without what proves it.
#[utoipa::path(
    get, path = "/v1/keys/{id}", tag = "keys", operation_id = "readKey",
    responses((status = 200, description = "Found", body = KeyDocument))
)]
async fn read(
    State(service): State<Service>,
    id: Result<Id, PathRejection>,
) -> Result<Versioned<KeyDocument>, Problem> {
    let Id(id) = id.map_err(|_| unknown())?;
    let (key, seq) = service.store.load::<IssuedKey>(id).await?;
    Ok(Versioned(seq, document(key.ok_or_else(unknown)?, Timestamp::now())))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// The `next_cursor` of the page before.
    cursor: Option<Uuid>,
    /// 20 without it.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = KeyList)]
struct List {
    keys: Vec<KeyDocument>,
    /// Pass it as `cursor` to get the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<Uuid>,
}

/// The keys that were issued here, in the order of their ids. Those of the configuration are not among them.
#[utoipa::path(
    get, path = "/v1/keys", tag = "keys", operation_id = "readKeys",
    params(ListQuery),
    responses((status = 200, description = "Found", body = List))
)]
async fn list(
    State(service): State<Service>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<List>, Problem> {
    let Query(query) = query.map_err(|error| invalid(error.body_text()))?;
    let limit = loaded_limit(query.limit)?;
    let ids = page(&service.store, query.cursor, limit).await?;
    let is_full = ids.len() >= usize::try_from(limit).unwrap_or(usize::MAX);
    let next_cursor = ids.last().copied().filter(|_| is_full);
    let (mut keys, now) = (Vec::with_capacity(ids.len()), Timestamp::now());
    for id in ids {
        if let (Some(key), _) = service.store.load::<IssuedKey>(id).await? {
            keys.push(document(key, now));
        }
    }
    Ok(Json(List { keys, next_cursor }))
}

fn document(key: IssuedKey, now: Timestamp) -> KeyDocument {
    let status = match key {
        IssuedKey { is_revoked: true, .. } => "revoked",
        _ if key.counts_at(now) => "active",
        _ => "expired",
    };
    let KeyIssued { key_id, name, roles, customer_id, expires_at, .. } = key.issued;
    KeyDocument { key_id, name, roles, customer_id, expires_at, status }
}

fn unknown() -> Problem {
    Problem::new(Code::KeyUnknown, "a key has the id that POST /v1/keys has answered with")
}
