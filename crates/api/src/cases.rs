//! `/v1/cases`: what needs a person.

use std::time::Duration;

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use cases::{Case, CaseCommand, CaseGroup, CaseRefusal, ListFilter, OpenCases, Status};
use correction::{Correction, Status as CorrectionStatus};
use event::StreamName;
use event_store::{ExecuteError, UnitOfWork};
use jiff::Timestamp;
use money::Money;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::openapi::Object;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::body::{Body, text};
use crate::consistency::Seen;
use crate::idempotency::{Answer, IdempotencyKey, Operation, Undecided, once};
use crate::page::{asked, check_status, invalid, money, next};
use crate::service::{Id, Service};
use crate::story::{Story, story};
use crate::version::Versioned;
use crate::{Code, Problem, schema};

const CATCHES_UP_WITHIN: Duration = Duration::from_secs(2);
const TEXT_CHARS_MAX: usize = 1_000;
const NAME_CHARS_MAX: usize = 100;

pub(crate) fn router() -> OpenApiRouter<Service> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(groups))
        .routes(routes!(read))
        .routes(routes!(events))
        .routes(routes!(assign))
        .routes(routes!(note))
        .routes(routes!(resolve))
        .routes(routes!(reopen))
}

fn statuses() -> Object {
    schema::words(&Status::NAMES)
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// Only those of this status.
    #[param(schema_with = statuses)]
    status: Option<String>,
    /// The stream that they are about, such as `transfer-{id}`.
    #[param(pattern = "^[a-z][a-z0-9.]{0,50}-[A-Za-z0-9_.:@-]{1,100}$")]
    subject: Option<String>,
    /// Only those that this one looks after.
    #[param(pattern = r"^[^\x00-\x1f]{1,100}$")]
    assigned_to: Option<String>,
    /// Only those that have stood here as they do since before then.
    changed_before: Option<Timestamp>,
    /// The `next_cursor` of the page before.
    #[param(pattern = "^[0-9]{1,17}_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
    cursor: Option<String>,
    /// 50 without it.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = CaseList)]
struct List {
    cases: Vec<Listed>,
    /// Pass it as `cursor` to get the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ListedCase)]
struct Listed {
    case_id: Uuid,
    #[schema(schema_with = statuses)]
    status: String,
    /// Who looks after it.
    #[serde(skip_serializing_if = "Option::is_none")]
    assigned_to: Option<String>,
    /// The stream that it is about: `transfer-{id}` or `incoming-{id}`.
    subject: String,
    reason: String,
    #[schema(value_type = schema::Money)]
    amount: Money,
    raised_at: Timestamp,
    changed_at: Timestamp,
}

/// What needs a person, the newest first.
#[utoipa::path(
    get, path = "/v1/cases", tag = "cases", operation_id = "listCases",
    params(ListQuery),
    responses((status = 200, description = "Found", body = List))
)]
async fn list(
    State(service): State<Service>,
    seen: Seen,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<List>, Problem> {
    let Query(query) = query.map_err(|error| invalid(error.body_text()))?;
    check_status(query.status.as_deref(), &Status::NAMES)?;
    let page = asked(query.limit, query.cursor.as_deref(), query.changed_before)?;
    let subject = query.subject.map(|subject| subject.parse::<StreamName>()).transpose();
    let subject = subject.map_err(|error| invalid(error.to_string()))?.map(|subject| subject.to_string());
    seen.by(&service.store, &cases::CaseView::default()).await?;
    let is_name = |name: &String| {
        (1..=NAME_CHARS_MAX).contains(&name.chars().count()) && !name.contains(|letter: char| letter < ' ')
    };
    if !query.assigned_to.as_ref().is_none_or(is_name) {
        return Err(invalid(format!(
            "assigned_to has 1 to {NAME_CHARS_MAX} characters, none of them a control"
        )));
    }
    let (status, assigned_to) = (query.status, query.assigned_to);
    let filter = ListFilter { status, subject, assigned_to, page };
    let rows = cases::list(&service.store, &filter).await?;
    let next_cursor = next(page, rows.len(), rows.last().map(|row| (row.raised_at, row.id)));
    let listed = |row: cases::CaseRow| -> Result<Listed, Problem> {
        Ok(Listed {
            case_id: row.id,
            status: row.status,
            assigned_to: row.assigned_to,
            subject: row.subject,
            reason: row.reason,
            amount: money(row.amount, &row.currency)?,
            raised_at: row.raised_at,
            changed_at: row.changed_at,
        })
    };
    Ok(Json(List { cases: rows.into_iter().map(listed).collect::<Result<_, _>>()?, next_cursor }))
}

#[derive(Serialize, ToSchema)]
#[schema(as = CaseGroups)]
struct Groups {
    /// The largest first.
    groups: Vec<Grouped>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = CaseGroup)]
struct Grouped {
    /// What they are about: `transfer`, `incoming` or `authorisation`.
    category: String,
    /// Their reason, with … for what differs from case to case: amounts, identifiers, times.
    cause: String,
    count: u64,
    /// What is at stake, in each currency.
    #[schema(value_type = Vec<schema::Money>)]
    amounts: Vec<Money>,
    oldest_raised_at: Timestamp,
    newest_raised_at: Timestamp,
    /// The oldest of them.
    #[schema(max_items = 5)]
    examples: Vec<Uuid>,
}

/// What needs a person now, by what has caused it.
///
/// It is kept in memory: for some seconds after a start it may not be there yet.
#[utoipa::path(
    get, path = "/v1/cases/groups", tag = "cases", operation_id = "readCaseGroups",
    responses((status = 200, description = "Found", body = Groups))
)]
async fn groups(State(service): State<Service>) -> Result<Json<Groups>, Problem> {
    if service.open_cases.stuck_streams() > 0 {
        let detail = "it could not read some cases, and the log says why: start a program of this version, or a later one";
        return Err(Problem::new(Code::ProjectionParked, detail));
    }
    let groups = service.open_cases.look(CATCHES_UP_WITHIN, OpenCases::groups).await;
    let behind = || Problem::new(Code::ProjectionBehind, "it has not read all that has happened yet");
    let grouped = |group: CaseGroup| Grouped {
        category: group.category,
        cause: group.cause,
        count: group.count,
        amounts: group.amounts,
        oldest_raised_at: group.oldest_raised_at,
        newest_raised_at: group.newest_raised_at,
        examples: group.examples,
    };
    let unreckonable =
        |error: money::Error| Problem::new(Code::Internal, format!("what is at stake: {error}"));
    let groups = groups.ok_or_else(behind)?.map_err(unreckonable)?;
    Ok(Json(Groups { groups: groups.into_iter().map(grouped).collect() }))
}

/// A case, as its events say.
#[derive(Serialize, ToSchema)]
#[schema(as = Case)]
struct CaseDocument {
    case_id: Uuid,
    #[schema(schema_with = statuses)]
    status: &'static str,
    /// Who looks after it.
    #[serde(skip_serializing_if = "Option::is_none")]
    assigned_to: Option<String>,
    /// The stream that it is about.
    subject: String,
    reason: String,
    #[schema(value_type = schema::Money)]
    amount: Money,
    /// How a person has ended it.
    #[serde(skip_serializing_if = "Option::is_none")]
    resolution: Option<String>,
    /// The correction that has mended it.
    #[serde(skip_serializing_if = "Option::is_none")]
    correction_id: Option<Uuid>,
}

impl CaseDocument {
    fn of(case_id: Uuid, case: Case) -> Self {
        let status = case.status.as_str();
        let (resolution, correction_id) = match case.status {
            Status::Resolved { resolution, correction_id } => (Some(resolution), correction_id),
            Status::Open | Status::Withdrawn => (None, None),
        };
        Self {
            case_id,
            status,
            assigned_to: case.assigned_to,
            subject: case.subject.stream.to_string(),
            reason: case.reason,
            amount: case.subject.amount,
            resolution,
            correction_id,
        }
    }
}

/// A case, and where it stands.
#[utoipa::path(
    get, path = "/v1/cases/{id}", tag = "cases", operation_id = "readCase",
    responses((status = 200, description = "Found", body = CaseDocument))
)]
async fn read(
    State(service): State<Service>,
    id: Result<Id, PathRejection>,
) -> Result<Versioned<CaseDocument>, Problem> {
    let Id(id) = id.map_err(|_| unknown())?;
    let (case, seq) = service.store.load::<Case>(id).await?;
    Ok(Versioned(seq, CaseDocument::of(id, case.ok_or_else(unknown)?)))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AssignCase {
    /// Absent: nobody any more.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 100)]
    to: Option<String>,
}

/// Says who looks after a case.
#[utoipa::path(
    post, path = "/v1/cases/{id}/assign", tag = "cases", operation_id = "assignCase",
    request_body = AssignCase,
    responses((status = 200, description = "Done", body = CaseDocument))
)]
async fn assign(
    State(service): State<Service>,
    id: Result<Id, PathRejection>,
    key: IdempotencyKey,
    Body { fields, content }: Body<AssignCase>,
) -> Result<Response, Problem> {
    let to = fields.to.map(|to| text(&to, NAME_CHARS_MAX, "/to")).transpose()?;
    act(&service, "POST /v1/cases/{id}/assign", id, key, content, CaseCommand::Assign { to }).await
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NoteCase {
    #[schema(min_length = 1, max_length = 1000)]
    note: String,
}

/// Writes down what was found out.
#[utoipa::path(
    post, path = "/v1/cases/{id}/note", tag = "cases", operation_id = "noteCase",
    request_body = NoteCase,
    responses((status = 200, description = "Done", body = CaseDocument))
)]
async fn note(
    State(service): State<Service>,
    id: Result<Id, PathRejection>,
    key: IdempotencyKey,
    Body { fields, content }: Body<NoteCase>,
) -> Result<Response, Problem> {
    let note = text(&fields.note, TEXT_CHARS_MAX, "/note")?;
    act(&service, "POST /v1/cases/{id}/note", id, key, content, CaseCommand::Note { note }).await
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ResolveCase {
    /// What was done, or why nothing has to be.
    #[schema(min_length = 1, max_length = 1000)]
    resolution: String,
    /// The correction that has mended it; it has been executed.
    #[serde(default)]
    correction_id: Option<Uuid>,
}

/// Ends a case: by a correction, or with a reason.
#[utoipa::path(
    post, path = "/v1/cases/{id}/resolve", tag = "cases", operation_id = "resolveCase",
    request_body = ResolveCase,
    responses((status = 200, description = "Done", body = CaseDocument))
)]
async fn resolve(
    State(service): State<Service>,
    id: Result<Id, PathRejection>,
    key: IdempotencyKey,
    Body { fields, content }: Body<ResolveCase>,
) -> Result<Response, Problem> {
    let resolution = text(&fields.resolution, TEXT_CHARS_MAX, "/resolution")?;
    let resolve = CaseCommand::Resolve { resolution, correction_id: fields.correction_id };
    act(&service, "POST /v1/cases/{id}/resolve", id, key, content, resolve).await
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ReopenCase {
    #[schema(min_length = 1, max_length = 1000)]
    reason: String,
}

/// Opens a case again that was not resolved after all.
#[utoipa::path(
    post, path = "/v1/cases/{id}/reopen", tag = "cases", operation_id = "reopenCase",
    request_body = ReopenCase,
    responses((status = 200, description = "Done", body = CaseDocument))
)]
async fn reopen(
    State(service): State<Service>,
    id: Result<Id, PathRejection>,
    key: IdempotencyKey,
    Body { fields, content }: Body<ReopenCase>,
) -> Result<Response, Problem> {
    let reason = text(&fields.reason, TEXT_CHARS_MAX, "/reason")?;
    act(&service, "POST /v1/cases/{id}/reopen", id, key, content, CaseCommand::Reopen { reason }).await
}

/// Puts a command to a case that exists, once per key.
async fn act(
    service: &Service,
    name: &'static str,
    id: Result<Id, PathRejection>,
    key: IdempotencyKey,
    content: Value,
    command: CaseCommand,
) -> Result<Response, Problem> {
    let Id(id) = id.map_err(|_| unknown())?;
    let content = json!({ "case_id": id, "content": content });
    let operation = Operation::on::<Case>(name, key, id, content);
    once(service, operation, move |unit| Box::pin(act_in(unit, id, command.clone()))).await
}

async fn act_in(unit: &mut UnitOfWork, id: Uuid, command: CaseCommand) -> Result<Answer, Undecided> {
    if let CaseCommand::Resolve { correction_id: Some(correction), .. } = &command {
        let correction = unit.state::<Correction>(*correction).await?;
        if correction.is_none_or(|correction| correction.status != CorrectionStatus::Executed) {
            let detail = "no correction with this id has been executed";
            let problem = Problem::new(Code::InvalidField, detail).at("/correction_id");
            return Ok(Answer::refusal(&problem)?);
        }
    }
    match unit.execute::<Case>(id, command).await {
        Ok(_) => {
            let case = unit.state::<Case>(id).await?.ok_or(event_store::Error::Conflict)?;
            Ok(Answer::new(StatusCode::OK, &CaseDocument::of(id, case))?)
        }
        Err(ExecuteError::Refused(CaseRefusal::NotRaised)) => Ok(Answer::refusal(&unknown())?),
        Err(ExecuteError::Refused(refusal @ CaseRefusal::NotNow(_))) => {
            Ok(Answer::refusal(&Problem::new(Code::CaseNotNow, refusal.to_string()))?)
        }
        Err(ExecuteError::Store(error)) => Err(error.into()),
    }
}

/// Every event of a case.
#[utoipa::path(
    get, path = "/v1/cases/{id}/events", tag = "cases", operation_id = "caseEvents",
    responses((status = 200, description = "Found", body = Story))
)]
async fn events(
    State(service): State<Service>,
    id: Result<Id, PathRejection>,
) -> Result<Json<Story>, Problem> {
    let Id(id) = id.map_err(|_| unknown())?;
    story::<Case>(&service.store, id, unknown).await
}

fn unknown() -> Problem {
    Problem::new(Code::CaseUnknown, "GET /v1/cases lists those that there are")
}
