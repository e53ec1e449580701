//! `/v1/cases`: what needs a person.

use std::time::Duration;

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Query, State};
use cases::{Case, CaseGroup, ListFilter, OpenCases};
use event::StreamName;
use jiff::Timestamp;
use money::Money;
use serde::{Deserialize, Serialize};
use utoipa::openapi::Object;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::consistency::Seen;
use crate::page::{asked, check_status, invalid, money, next};
use crate::service::{Id, Service};
use crate::story::{Story, story};
use crate::{Code, Problem, schema};

const CATCHES_UP_WITHIN: Duration = Duration::from_secs(2);
const OPEN: &str = "open";
const WITHDRAWN: &str = "withdrawn";

pub(crate) fn router() -> OpenApiRouter<Service> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(groups)).routes(routes!(events))
}

fn statuses() -> Object {
    schema::words(&[OPEN, WITHDRAWN])
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
    status: &'static str,
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
    check_status(query.status.as_deref(), &[OPEN, WITHDRAWN])?;
    let page = asked(query.limit, query.cursor.as_deref(), query.changed_before)?;
    let subject = query.subject.map(|subject| subject.parse::<StreamName>()).transpose();
    let subject = subject.map_err(|error| invalid(error.to_string()))?.map(|subject| subject.to_string());
    seen.by(&service.store, &cases::CaseView::default()).await?;
    let is_open = query.status.map(|status| status == OPEN);
    let filter = ListFilter { is_open, subject, page };
    let rows = cases::list(&service.store, &filter).await?;
    let next_cursor = next(page, rows.len(), rows.last().map(|row| (row.raised_at, row.id)));
    let listed = |row: cases::CaseRow| -> Result<Listed, Problem> {
        Ok(Listed {
            case_id: row.id,
            status: if row.is_open { OPEN } else { WITHDRAWN },
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
