//! The list of corrections.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use correction::{CorrectionRow, CorrectionView, ListFilter, Status};
use event::StreamName;
use jiff::Timestamp;
use money::Money;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::document::statuses;
use crate::consistency::Seen;
use crate::page::{asked, check_status, invalid, money, next};
use crate::service::Service;
use crate::{Problem, schema};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// Only those of this status.
    #[param(schema_with = statuses)]
    status: Option<String>,
    /// The stream that they are about, such as `transfer-{id}`: what it was corrected by.
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
#[schema(as = CorrectionList)]
pub(super) struct List {
    corrections: Vec<Listed>,
    /// Pass it as `cursor` to get the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ListedCorrection)]
struct Listed {
    correction_id: Uuid,
    kind: String,
    /// The stream that it is about.
    subject: String,
    #[schema(schema_with = statuses)]
    status: String,
    /// Why it was rejected, is stale, or has failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    status_reason: Option<String>,
    reason_code: String,
    /// What is at stake.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Money>)]
    amount: Option<Money>,
    requested_by: String,
    /// The earlier correction that was wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    corrects: Option<Uuid>,
    /// Of which bulk correction it is a part.
    #[serde(skip_serializing_if = "Option::is_none")]
    bulk_id: Option<Uuid>,
    requested_at: Timestamp,
    changed_at: Timestamp,
}

/// Corrections, the newest first.
///
/// The parts of bulk corrections only where a subject is asked for.
#[utoipa::path(
    get, path = "/v1/corrections", tag = "corrections", operation_id = "listCorrections",
    params(ListQuery),
    responses((status = 200, description = "Found", body = List))
)]
pub(super) async fn list(
    State(service): State<Service>,
    seen: Seen,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<List>, Problem> {
    let Query(query) = query.map_err(|error| invalid(error.body_text()))?;
    check_status(query.status.as_deref(), &Status::NAMES)?;
    let page = asked(query.limit, query.cursor.as_deref(), query.changed_before)?;
    let subject = query.subject.map(|subject| subject.parse::<StreamName>()).transpose();
    let subject = subject.map_err(|error| invalid(error.to_string()))?.map(|subject| subject.to_string());
    seen.by(&service.store, &CorrectionView::default()).await?;
    let rows = correction::list(&service.store, &ListFilter { status: query.status, subject, page }).await?;
    let next_cursor = next(page, rows.len(), rows.last().map(|row| (row.requested_at, row.id)));
    let corrections = rows.into_iter().map(listed).collect::<Result<_, _>>()?;
    Ok(Json(List { corrections, next_cursor }))
}

fn listed(row: CorrectionRow) -> Result<Listed, Problem> {
    let amount = row.amount.zip(row.currency.as_deref());
    Ok(Listed {
        correction_id: row.id,
        kind: row.kind,
        subject: row.subject,
        status: row.status,
        status_reason: row.reason,
        reason_code: row.reason_code,
        amount: amount.map(|(minor, currency)| money(minor, currency)).transpose()?,
        requested_by: row.requested_by,
        corrects: row.corrects,
        bulk_id: row.bulk_id,
        requested_at: row.requested_at,
        changed_at: row.changed_at,
    })
}
