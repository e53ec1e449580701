//! `/v1/corrections`: what is wrong is mended by compensating events: previewed, approved by somebody else, executed as previewed.

mod document;
mod list;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::PathRejection;
use axum::http::StatusCode;
use axum::response::Response;
use correction::{
    CarryOutError, Correction, CorrectionCommand, CorrectionRefusal, ExecuteError, Kind, Preview, ReasonCode,
    Request, Status, corrected_by, execute as execute_in, preview as preview_in,
};
use event::{Actor, Context};
use event_store::UnitOfWork;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;
use utoipa::openapi::Object;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

pub(crate) use self::document::Wanted;
use self::document::{CorrectionDocument, PreviewDocument};
use crate::access::Asker;
use crate::body::{Body, text};
use crate::idempotency::{Answer, IdempotencyKey, Operation, Undecided, once};
use crate::service::{Corrections, Id, Service};
use crate::story::{Story, story};
use crate::version::Versioned;
use crate::{Code, Problem, schema};

pub(crate) const EVIDENCE_CHARS_MAX: usize = 1_000;
const REASON_CHARS_MAX: usize = 500;

pub(crate) fn router() -> OpenApiRouter<Service> {
    OpenApiRouter::new()
        .routes(routes!(request, list::list))
        .routes(routes!(preview))
        .routes(routes!(read))
        .routes(routes!(events))
        .routes(routes!(preview_again))
        .routes(routes!(approve))
        .routes(routes!(reject))
        .routes(routes!(execute))
}

pub(crate) fn reason_codes() -> Object {
    schema::words(&ReasonCode::ALL.map(ReasonCode::as_str))
}

/// What it would do. Nothing is recorded.
#[utoipa::path(
    post, path = "/v1/corrections/preview", tag = "corrections", operation_id = "previewCorrection",
    request_body = Wanted,
    responses((status = 200, description = "What it would do", body = PreviewDocument))
)]
async fn preview(
    State(service): State<Service>,
    Asker(asker): Asker,
    Body { fields, .. }: Body<Wanted>,
) -> Result<Json<PreviewDocument>, Problem> {
    let kind = fields.checked("")?;
    let _permit = service.corrections.permit().await?;
    let context = Context::for_request(Uuid::now_v7(), Actor(asker.actor().to_owned()), Timestamp::now());
    let id = context.correlation_id;
    let unit = service.store.begin(context).await?;
    let preview = preview_in(unit, id, &kind, &service.corrections.handlers).await;
    let preview = preview.map_err(|error| match error {
        CarryOutError::Refused(reason) => Problem::new(Code::CorrectionRefused, reason),
        CarryOutError::Store(error) => error.into(),
    })?;
    within_limit(&service.corrections, &preview)?;
    Ok(Json(preview.into()))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RequestCorrection {
    correction: Wanted,
    #[schema(schema_with = reason_codes)]
    reason_code: ReasonCode,
    /// Where it can be read up: a ticket, the rail's message, a statement.
    #[schema(min_length = 1, max_length = 1000)]
    evidence: String,
    /// The id of an earlier correction that was wrong.
    #[serde(default)]
    corrects: Option<Uuid>,
}

/// Asks for a correction, which somebody else has to approve. The answer shows what it would do.
#[utoipa::path(
    post, path = "/v1/corrections", tag = "corrections", operation_id = "requestCorrection",
    request_body = RequestCorrection,
    responses((status = 201, description = "Created", body = CorrectionDocument))
)]
async fn request(
    State(service): State<Service>,
    key: IdempotencyKey,
    Body { fields, content }: Body<RequestCorrection>,
) -> Result<Response, Problem> {
    let kind = fields.correction.checked("/correction")?;
    let evidence = text(&fields.evidence, EVIDENCE_CHARS_MAX, "/evidence")?;
    let operation = Operation::new("POST /v1/corrections", key, content, Vec::new())?.alone();
    let (corrections, store) = (service.corrections.clone(), service.store.clone());
    let asked = Arc::new((kind, evidence, fields.reason_code, fields.corrects, corrections, store));
    once(&service, operation, move |unit| {
        let asked = Arc::clone(&asked);
        Box::pin(async move {
            let (kind, evidence, reason_code, corrects, corrections, store) = &*asked;
            if let Some(earlier) = corrects {
                let earlier = unit.state::<Correction>(*earlier).await?;
                if earlier.is_none_or(|earlier| earlier.status != Status::Executed) {
                    let detail = "no correction with this id has been executed";
                    return Ok(Answer::refusal(&Problem::new(Code::InvalidField, detail).at("/corrects"))?);
                }
            }
            let id = unit.context().correlation_id;
            let preview = match shown(unit, store, id, kind, corrections).await? {
                Ok(preview) => preview,
                Err(refusal) => return Ok(Answer::refusal(&refusal)?),
            };
            let approvals = match corrections.policy.approvals_for(preview.amount) {
                Ok(approvals) => approvals,
                Err(over) => {
                    return Ok(Answer::refusal(&Problem::new(Code::CorrectionOverLimit, over.to_string()))?);
                }
            };
            let request = Request {
                kind: kind.clone(),
                reason_code: *reason_code,
                evidence: evidence.clone(),
                corrects: *corrects,
                approvals,
                execute_within: corrections.policy.execute_within,
            };
            unit.expect_new::<Correction>(id);
            decide(unit, id, CorrectionCommand::Request { request, preview }, StatusCode::CREATED).await
        })
    })
    .await
}

/// What it would do, tried out beside `unit`, or why it cannot be done.
async fn shown(
    unit: &UnitOfWork,
    store: &event_store::Store,
    id: Uuid,
    kind: &Kind,
    corrections: &Corrections,
) -> Result<Result<Preview, Problem>, Undecided> {
    let _permit = corrections.permit().await?;
    let (actor, now) = (unit.context().actor.clone(), unit.context().now);
    let beside = store.begin(Context::for_request(id, actor, now)).await?;
    match preview_in(beside, id, kind, &corrections.handlers).await {
        Ok(preview) => Ok(Ok(preview)),
        Err(CarryOutError::Refused(reason)) => Ok(Err(Problem::new(Code::CorrectionRefused, reason))),
        Err(CarryOutError::Store(error)) => Err(error.into()),
    }
}

fn within_limit(corrections: &Corrections, preview: &Preview) -> Result<(), Problem> {
    let over = corrections.policy.approvals_for(preview.amount).err();
    over.map_or(Ok(()), |over| Err(Problem::new(Code::CorrectionOverLimit, over.to_string())))
}

/// Shows once more what a correction would do, when that has changed. What was approved before does not count.
#[utoipa::path(
    post, path = "/v1/corrections/{id}/preview", tag = "corrections", operation_id = "previewCorrectionAgain",
    responses((status = 200, description = "Done", body = CorrectionDocument))
)]
async fn preview_again(
    State(service): State<Service>,
    id: Result<Id, PathRejection>,
    key: IdempotencyKey,
) -> Result<Response, Problem> {
    let Id(id) = id.map_err(|_| unknown())?;
    let content = json!({ "correction_id": id });
    let operation =
        Operation::on::<Correction>("POST /v1/corrections/{id}/preview", key, id, content).alone();
    let asked = Arc::new((service.corrections.clone(), service.store.clone()));
    once(&service, operation, move |unit| {
        let asked = Arc::clone(&asked);
        Box::pin(async move {
            let Some(correction) = unit.state::<Correction>(id).await? else {
                return Ok(Answer::refusal(&unknown())?);
            };
            match shown(unit, &asked.1, id, &correction.requested.kind, &asked.0).await? {
                Ok(preview) => decide(unit, id, CorrectionCommand::Preview(preview), StatusCode::OK).await,
                Err(refusal) => Ok(Answer::refusal(&refusal)?),
            }
        })
    })
    .await
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ApproveCorrection {
    /// Of the preview that was looked at.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    preview_hash: String,
}

/// Approves what a correction's preview shows.
///
/// Whoever has asked for it cannot.
#[utoipa::path(
    post, path = "/v1/corrections/{id}/approve", tag = "corrections", operation_id = "approveCorrection",
    request_body = ApproveCorrection,
    responses((status = 200, description = "Done", body = CorrectionDocument))
)]
async fn approve(
    State(service): State<Service>,
    id: Result<Id, PathRejection>,
    key: IdempotencyKey,
    Body { fields, content }: Body<ApproveCorrection>,
) -> Result<Response, Problem> {
    let Id(id) = id.map_err(|_| unknown())?;
    let approve = CorrectionCommand::Approve { preview_hash: preview_hash(fields.preview_hash)? };
    let content = json!({ "correction_id": id, "content": content });
    let operation = Operation::on::<Correction>("POST /v1/corrections/{id}/approve", key, id, content);
    command(&service, operation, id, approve).await
}

/// Of the body's field of this name.
pub(crate) fn preview_hash(given: String) -> Result<String, Problem> {
    let is_hash = given.len() == 64 && given.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_hash || given.bytes().any(|byte| byte.is_ascii_uppercase()) {
        let rule = "it is the `hash` of the preview, 64 small hexadecimal digits";
        return Err(Problem::new(Code::InvalidField, rule).at("/preview_hash"));
    }
    Ok(given)
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RejectCorrection {
    #[schema(min_length = 1, max_length = 500)]
    reason: String,
}

/// Ends a correction without doing it: an approver who says no, or whoever has asked for it and does not want it any more.
#[utoipa::path(
    post, path = "/v1/corrections/{id}/reject", tag = "corrections", operation_id = "rejectCorrection",
    request_body = RejectCorrection,
    responses((status = 200, description = "Done", body = CorrectionDocument))
)]
async fn reject(
    State(service): State<Service>,
    id: Result<Id, PathRejection>,
    key: IdempotencyKey,
    Body { fields, content }: Body<RejectCorrection>,
) -> Result<Response, Problem> {
    let Id(id) = id.map_err(|_| unknown())?;
    let reason = text(&fields.reason, REASON_CHARS_MAX, "/reason")?;
    let content = json!({ "correction_id": id, "content": content });
    let operation = Operation::on::<Correction>("POST /v1/corrections/{id}/reject", key, id, content);
    command(&service, operation, id, CorrectionCommand::Reject { reason }).await
}

/// Does what was approved, if it still is what the preview shows.
///
/// Otherwise nothing is done: `preview-stale`, and the correction can be previewed once more.
#[utoipa::path(
    post, path = "/v1/corrections/{id}/execute", tag = "corrections", operation_id = "executeCorrection",
    responses((status = 200, description = "Done", body = CorrectionDocument))
)]
async fn execute(
    State(service): State<Service>,
    id: Result<Id, PathRejection>,
    key: IdempotencyKey,
) -> Result<Response, Problem> {
    let Id(id) = id.map_err(|_| unknown())?;
    let content = json!({ "correction_id": id });
    let operation =
        Operation::on::<Correction>("POST /v1/corrections/{id}/execute", key, id, content).alone();
    once(&service, operation, move |unit| {
        Box::pin(async move {
            match execute_in(unit, id).await {
                Ok(()) => answer(unit, id, StatusCode::OK).await,
                Err(ExecuteError::Refused(refusal)) => Ok(Answer::refusal(&refused(&refusal))?),
                // That it is stale is recorded.
                Err(ExecuteError::Stale(reason)) => {
                    Ok(Answer::recorded_refusal(&Problem::new(Code::PreviewStale, reason))?)
                }
                Err(ExecuteError::Store(error)) => Err(error.into()),
            }
        })
    })
    .await
}

async fn command(
    service: &Service,
    operation: Operation,
    id: Uuid,
    command: CorrectionCommand,
) -> Result<Response, Problem> {
    once(service, operation, move |unit| {
        let command = command.clone();
        Box::pin(decide(unit, id, command, StatusCode::OK))
    })
    .await
}

async fn decide(
    unit: &mut UnitOfWork,
    id: Uuid,
    command: CorrectionCommand,
    status: StatusCode,
) -> Result<Answer, Undecided> {
    match unit.execute::<Correction>(id, command).await {
        Ok(_) => answer(unit, id, status).await,
        Err(event_store::ExecuteError::Refused(refusal)) => Ok(Answer::refusal(&refused(&refusal))?),
        Err(event_store::ExecuteError::Store(error)) => Err(error.into()),
    }
}

async fn answer(unit: &mut UnitOfWork, id: Uuid, status: StatusCode) -> Result<Answer, Undecided> {
    let correction = unit.state::<Correction>(id).await?.ok_or(event_store::Error::Conflict)?;
    Ok(Answer::new(status, &CorrectionDocument::of(id, correction, Vec::new()))?)
}

/// A correction, and where it stands.
#[utoipa::path(
    get, path = "/v1/corrections/{id}", tag = "corrections", operation_id = "readCorrection",
    responses((status = 200, description = "Found", body = CorrectionDocument))
)]
async fn read(
    State(service): State<Service>,
    id: Result<Id, PathRejection>,
) -> Result<Versioned<CorrectionDocument>, Problem> {
    let Id(id) = id.map_err(|_| unknown())?;
    let (correction, seq) = service.store.load::<Correction>(id).await?;
    let correction = correction.ok_or_else(unknown)?;
    let later = corrected_by(&service.store, id).await?;
    Ok(Versioned(seq, CorrectionDocument::of(id, correction, later)))
}

/// Every event of a correction: who has asked for it, what they were shown, who has approved that.
#[utoipa::path(
    get, path = "/v1/corrections/{id}/events", tag = "corrections", operation_id = "correctionEvents",
    responses((status = 200, description = "Found", body = Story))
)]
async fn events(
    State(service): State<Service>,
    id: Result<Id, PathRejection>,
) -> Result<Json<Story>, Problem> {
    let Id(id) = id.map_err(|_| unknown())?;
    story::<Correction>(&service.store, id, unknown).await
}

fn refused(refusal: &CorrectionRefusal) -> Problem {
    let code = match refusal {
        CorrectionRefusal::NotRequested => return unknown(),
        CorrectionRefusal::OwnRequest => Code::OwnRequest,
        CorrectionRefusal::OtherPreview => Code::PreviewStale,
        CorrectionRefusal::NotNow(_)
        | CorrectionRefusal::Overdue
        | CorrectionRefusal::OfBulk
        | CorrectionRefusal::BulkNotNow(_) => Code::CorrectionNotNow,
        CorrectionRefusal::AlreadyRequested => Code::Internal,
    };
    Problem::new(code, refusal.to_string())
}

fn unknown() -> Problem {
    Problem::new(Code::CorrectionUnknown, "GET /v1/corrections lists those that there are")
}
