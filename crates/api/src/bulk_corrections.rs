//! `/v1/bulk-corrections`: many corrections at once: a frozen list, approved as one, the first few done before the rest, each item once.

mod document;
mod request;

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use correction::{
    Bulk, BulkCommand, BulkFilter, BulkRefusal, BulkStatus, BulkView, CorrectionView, ItemCounts, Status,
    item_counts, items as items_of, list_bulks,
};
use event_store::{ExecuteError, UnitOfWork};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouterExt};
use utoipa_axum::routes;
use uuid::Uuid;

use self::document::{BulkDocument, Item, Items, List};
use crate::body::{Body, text};
use crate::consistency::Seen;
use crate::idempotency::{Answer, IdempotencyKey, Operation, Undecided, once};
use crate::page::{asked, check_status, invalid, limit, next};
use crate::service::{Id, Service};
use crate::story::{Story, story};
use crate::version::Versioned;
use crate::{Code, Problem};

/// A list of ten thousand is a megabyte or two.
const LIST_BYTES_MAX: usize = 4 * 1024 * 1024;
const REASON_CHARS_MAX: usize = 500;

pub(crate) fn router() -> OpenApiRouter<Service> {
    OpenApiRouter::new()
        .routes(routes!(request::request).layer(DefaultBodyLimit::max(LIST_BYTES_MAX)))
        .routes(routes!(list))
        .routes(routes!(read))
        .routes(routes!(items))
        .routes(routes!(events))
        .routes(routes!(approve))
        .routes(routes!(reject))
        .routes(routes!(start))
        .routes(routes!(pause))
        .routes(routes!(resume))
        .routes(routes!(abort))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// Only those of this status.
    #[param(schema_with = document::statuses)]
    status: Option<String>,
    /// Only those that have stood here as they do since before then.
    changed_before: Option<Timestamp>,
    /// The `next_cursor` of the page before.
    #[param(pattern = "^[0-9]{1,17}_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
    cursor: Option<String>,
    /// 50 without it.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
}

/// Bulk corrections, the newest first.
#[utoipa::path(
    get, path = "/v1/bulk-corrections", tag = "corrections", operation_id = "listBulkCorrections",
    params(ListQuery),
    responses((status = 200, description = "Found", body = List))
)]
async fn list(
    State(service): State<Service>,
    seen: Seen,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<List>, Problem> {
    let Query(query) = query.map_err(|error| invalid(error.body_text()))?;
    check_status(query.status.as_deref(), &BulkStatus::NAMES)?;
    let page = asked(query.limit, query.cursor.as_deref(), query.changed_before)?;
    seen.by(&service.store, &BulkView::default()).await?;
    let rows = list_bulks(&service.store, &BulkFilter { status: query.status, page }).await?;
    let next_cursor = next(page, rows.len(), rows.last().map(|row| (row.requested_at, row.id)));
    Ok(Json(List { bulk_corrections: rows.into_iter().map(Into::into).collect(), next_cursor }))
}

/// A bulk correction, and how far it has come.
#[utoipa::path(
    get, path = "/v1/bulk-corrections/{id}", tag = "corrections", operation_id = "readBulkCorrection",
    responses((status = 200, description = "Found", body = BulkDocument))
)]
async fn read(
    State(service): State<Service>,
    id: Result<Id, PathRejection>,
) -> Result<Versioned<BulkDocument>, Problem> {
    let Id(id) = id.map_err(|_| unknown())?;
    let counts = item_counts(&service.store, id).await?;
    let (bulk, seq) = service.store.load::<Bulk>(id).await?;
    let bulk = bulk.ok_or_else(unknown)?;
    // At its end it says so itself, wherever the list of its items is by then.
    let counts = bulk.ended.as_ref().map_or(counts, |ended| ItemCounts {
        executed: ended.executed.into(),
        failed: ended.failed.into(),
        left: ended.left.into(),
        ..counts
    });
    Ok(Versioned(seq, BulkDocument::of(id, &bulk, Some(counts))))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ItemsQuery {
    /// Only those of this status.
    #[param(schema_with = document::item_statuses)]
    status: Option<String>,
    /// The `next_cursor` of the page before.
    #[param(pattern = "^[0-9]{1,9}$")]
    cursor: Option<String>,
    /// 50 without it.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
}

/// The items of a bulk correction in the order of its list, and what has become of each.
#[utoipa::path(
    get, path = "/v1/bulk-corrections/{id}/items", tag = "corrections", operation_id = "listBulkCorrectionItems",
    params(ItemsQuery),
    responses((status = 200, description = "Found", body = Items))
)]
async fn items(
    State(service): State<Service>,
    seen: Seen,
    id: Result<Id, PathRejection>,
    query: Result<Query<ItemsQuery>, QueryRejection>,
) -> Result<Json<Items>, Problem> {
    let Id(id) = id.map_err(|_| unknown())?;
    let Query(query) = query.map_err(|error| invalid(error.body_text()))?;
    check_status(query.status.as_deref(), &Status::NAMES)?;
    let after = query.cursor.as_deref().map(cursor).transpose()?.unwrap_or(0);
    let limit = limit(query.limit)?;
    service.store.load::<Bulk>(id).await?.0.ok_or_else(unknown)?;
    seen.by(&service.store, &CorrectionView::default()).await?;
    let found = items_of(&service.store, id, query.status.as_deref(), after, limit).await?;
    let is_full = found.len() >= usize::try_from(limit).unwrap_or(usize::MAX);
    let next_cursor = found.last().filter(|_| is_full).map(|item| item.number.to_string());
    let items = found.into_iter().map(Item::of).collect::<Result<_, _>>()?;
    Ok(Json(Items { items, next_cursor }))
}

fn cursor(text: &str) -> Result<i32, Problem> {
    let is_number = (1..=9).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| is_number);
    number.ok_or_else(|| invalid(crate::page::CURSOR.to_owned()))
}

/// Every event of a bulk correction. Those of its items are theirs.
#[utoipa::path(
    get, path = "/v1/bulk-corrections/{id}/events", tag = "corrections", operation_id = "bulkCorrectionEvents",
    responses((status = 200, description = "Found", body = Story))
)]
async fn events(
    State(service): State<Service>,
    id: Result<Id, PathRejection>,
) -> Result<Json<Story>, Problem> {
    let Id(id) = id.map_err(|_| unknown())?;
    story::<Bulk>(&service.store, id, unknown).await
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ApproveBulkCorrection {
    /// Of what all items would do.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    preview_hash: String,
}

/// Approves the list, by what all of its items would do.
///
/// Whoever has asked for it cannot.
#[utoipa::path(
    post, path = "/v1/bulk-corrections/{id}/approve", tag = "corrections", operation_id = "approveBulkCorrection",
    request_body = ApproveBulkCorrection,
    responses((status = 200, description = "Done", body = BulkDocument))
)]
async fn approve(
    State(service): State<Service>,
    id: Result<Id, PathRejection>,
    key: IdempotencyKey,
    Body { fields, content }: Body<ApproveBulkCorrection>,
) -> Result<Response, Problem> {
    let Id(id) = id.map_err(|_| unknown())?;
    let hash = crate::corrections::preview_hash(fields.preview_hash)?;
    let content = json!({ "bulk_id": id, "content": content });
    let operation = Operation::on::<Bulk>("POST /v1/bulk-corrections/{id}/approve", key, id, content);
    command(&service, operation, id, BulkCommand::Approve { hash }).await
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct EndBulkCorrection {
    #[schema(min_length = 1, max_length = 500)]
    reason: String,
}

/// Ends a bulk correction before any of it is done.
#[utoipa::path(
    post, path = "/v1/bulk-corrections/{id}/reject", tag = "corrections", operation_id = "rejectBulkCorrection",
    request_body = EndBulkCorrection,
    responses((status = 200, description = "Done", body = BulkDocument))
)]
async fn reject(
    State(service): State<Service>,
    id: Result<Id, PathRejection>,
    key: IdempotencyKey,
    Body { fields, content }: Body<EndBulkCorrection>,
) -> Result<Response, Problem> {
    let Id(id) = id.map_err(|_| unknown())?;
    let reason = text(&fields.reason, REASON_CHARS_MAX, "/reason")?;
    let content = json!({ "bulk_id": id, "content": content });
    let operation = Operation::on::<Bulk>("POST /v1/bulk-corrections/{id}/reject", key, id, content);
    command(&service, operation, id, BulkCommand::Reject { reason }).await
}

/// Ends a bulk correction that is under way. What is done stays; what is left is left.
#[utoipa::path(
    post, path = "/v1/bulk-corrections/{id}/abort", tag = "corrections", operation_id = "abortBulkCorrection",
    request_body = EndBulkCorrection,
    responses((status = 200, description = "Done", body = BulkDocument))
)]
async fn abort(
    State(service): State<Service>,
    id: Result<Id, PathRejection>,
    key: IdempotencyKey,
    Body { fields, content }: Body<EndBulkCorrection>,
) -> Result<Response, Problem> {
    let Id(id) = id.map_err(|_| unknown())?;
    let reason = text(&fields.reason, REASON_CHARS_MAX, "/reason")?;
    let content = json!({ "bulk_id": id, "content": content });
    let operation = Operation::on::<Bulk>("POST /v1/bulk-corrections/{id}/abort", key, id, content);
    command(&service, operation, id, BulkCommand::Abort { reason }).await
}

/// Has the first items done. Then it waits for a person to look at them.
#[utoipa::path(
    post, path = "/v1/bulk-corrections/{id}/start", tag = "corrections", operation_id = "startBulkCorrection",
    responses((status = 200, description = "Begun", body = BulkDocument))
)]
async fn start(
    State(service): State<Service>,
    id: Result<Id, PathRejection>,
    key: IdempotencyKey,
) -> Result<Response, Problem> {
    step(&service, "POST /v1/bulk-corrections/{id}/start", id, key, BulkCommand::Start).await
}

/// Stops after the item that is being done, until somebody has it go on.
#[utoipa::path(
    post, path = "/v1/bulk-corrections/{id}/pause", tag = "corrections", operation_id = "pauseBulkCorrection",
    responses((status = 200, description = "Done", body = BulkDocument))
)]
async fn pause(
    State(service): State<Service>,
    id: Result<Id, PathRejection>,
    key: IdempotencyKey,
) -> Result<Response, Problem> {
    step(&service, "POST /v1/bulk-corrections/{id}/pause", id, key, BulkCommand::Pause).await
}

/// Has it go on: after the first items, or after a pause.
#[utoipa::path(
    post, path = "/v1/bulk-corrections/{id}/resume", tag = "corrections", operation_id = "resumeBulkCorrection",
    responses((status = 200, description = "Done", body = BulkDocument))
)]
async fn resume(
    State(service): State<Service>,
    id: Result<Id, PathRejection>,
    key: IdempotencyKey,
) -> Result<Response, Problem> {
    step(&service, "POST /v1/bulk-corrections/{id}/resume", id, key, BulkCommand::Resume).await
}

async fn step(
    service: &Service,
    name: &'static str,
    id: Result<Id, PathRejection>,
    key: IdempotencyKey,
    next: BulkCommand,
) -> Result<Response, Problem> {
    let Id(id) = id.map_err(|_| unknown())?;
    let operation = Operation::on::<Bulk>(name, key, id, json!({ "bulk_id": id }));
    command(service, operation, id, next).await
}

async fn command(
    service: &Service,
    operation: Operation,
    id: Uuid,
    command: BulkCommand,
) -> Result<Response, Problem> {
    once(service, operation, move |unit| {
        let command = command.clone();
        Box::pin(async move {
            match unit.execute::<Bulk>(id, command).await {
                Ok(_) => answer(unit, id, StatusCode::OK).await,
                Err(ExecuteError::Refused(refusal)) => Ok(Answer::refusal(&refused(&refusal))?),
                Err(ExecuteError::Store(error)) => Err(error.into()),
            }
        })
    })
    .await
}

async fn answer(unit: &mut UnitOfWork, id: Uuid, status: StatusCode) -> Result<Answer, Undecided> {
    let bulk = unit.state::<Bulk>(id).await?.ok_or(event_store::Error::Conflict)?;
    Ok(Answer::new(status, &BulkDocument::of(id, &bulk, None))?)
}

fn refused(refusal: &BulkRefusal) -> Problem {
    let code = match refusal {
        BulkRefusal::NotRequested => return unknown(),
        BulkRefusal::OwnRequest => Code::OwnRequest,
        BulkRefusal::OtherPreview => Code::PreviewStale,
        BulkRefusal::CanaryFirst => Code::CanaryFirst,
        BulkRefusal::NotNow(_) | BulkRefusal::NothingReady | BulkRefusal::Overdue => Code::CorrectionNotNow,
        BulkRefusal::AlreadyRequested => Code::Internal,
    };
    Problem::new(code, refusal.to_string())
}

fn unknown() -> Problem {
    Problem::new(Code::BulkCorrectionUnknown, "GET /v1/bulk-corrections lists those that there are")
}
