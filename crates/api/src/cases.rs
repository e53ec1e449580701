//! `/v1/cases`: what needs a person.

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::routing::get;
use axum::{Json, Router};
use cases::{Case, ListFilter};
use jiff::Timestamp;
use money::Money;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::page::{Page, check_status, invalid, money};
use crate::service::{Id, Service};
use crate::story::{Story, story};
use crate::{Code, Problem};

const OPEN: &str = "open";
const WITHDRAWN: &str = "withdrawn";

pub(crate) fn router() -> Router<Service> {
    Router::new().route("/v1/cases", get(list)).route("/v1/cases/{id}/events", get(events))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    status: Option<String>,
    subject: Option<String>,
    cursor: Option<String>,
    limit: Option<u32>,
}

#[derive(Serialize)]
struct List {
    cases: Vec<Listed>,
    /// Pass it as `cursor` to get the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

#[derive(Serialize)]
struct Listed {
    case_id: Uuid,
    status: &'static str,
    /// The stream that it is about: `transfer-{id}` or `incoming-{id}`.
    subject: String,
    reason: String,
    amount: Money,
    raised_at: Timestamp,
    changed_at: Timestamp,
}

async fn list(
    State(service): State<Service>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<List>, Problem> {
    let Query(query) = query.map_err(|error| invalid(error.body_text()))?;
    check_status(query.status.as_deref(), &[OPEN, WITHDRAWN])?;
    let page = Page::asked(query.limit, query.cursor.as_deref())?;
    let is_open = query.status.map(|status| status == OPEN);
    let filter = ListFilter { is_open, subject: query.subject, after: page.after, limit: page.limit };
    let rows = cases::list(&service.store, &filter).await?;
    let next_cursor = page.next(rows.len(), rows.last().map(|row| (row.raised_at, row.id)));
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
