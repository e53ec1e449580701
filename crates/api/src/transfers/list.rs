//! The list of transfers.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use jiff::Timestamp;
use money::Money;
use serde::{Deserialize, Serialize};
use transfer::ListFilter;
use utoipa::openapi::Object;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::access::Asker;
use crate::consistency::Seen;
use crate::ownership::accounts_in_sight;
use crate::page::{asked, check_status, invalid, money, next};
use crate::service::Service;
use crate::{Problem, schema};

const STATUSES: [&str; 9] = [
    "pending",
    "awaiting_approval",
    "processing",
    "released",
    "requires_attention",
    "succeeded",
    "failed",
    "cancelled",
    "returned",
];

fn statuses() -> Object {
    schema::words(&STATUSES)
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// Only those of this status.
    #[param(schema_with = statuses)]
    status: Option<String>,
    account: Option<Uuid>,
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
#[schema(as = TransferList)]
pub(super) struct List {
    transfers: Vec<ListedTransfer>,
    /// Pass it as `cursor` to get the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct ListedTransfer {
    transfer_id: Uuid,
    status: String,
    status_reason: Option<String>,
    from_account: Uuid,
    #[schema(value_type = schema::Money)]
    amount: Money,
    requested_at: Timestamp,
    changed_at: Timestamp,
}

/// Transfers, the newest first.
#[utoipa::path(
    get, path = "/v1/transfers", tag = "transfers", operation_id = "listTransfers",
    params(ListQuery),
    responses((status = 200, description = "Found", body = List))
)]
pub(super) async fn list(
    State(service): State<Service>,
    Asker(asker): Asker,
    seen: Seen,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<List>, Problem> {
    let Query(query) = query.map_err(|error| invalid(error.body_text()))?;
    check_status(query.status.as_deref(), &STATUSES)?;
    let page = asked(query.limit, query.cursor.as_deref(), query.changed_before)?;
    let view = transfer::TransferView::default();
    seen.of(&asker, &view, &service.store).await?.by(&service.store, &view).await?;
    let accounts = accounts_in_sight(&service.store, &asker, query.account).await?;
    let filter = ListFilter { status: query.status, accounts, page };
    let rows = transfer::list(&service.store, &filter).await?;
    let next_cursor = next(page, rows.len(), rows.last().map(|row| (row.requested_at, row.id)));
    let listed = |row: transfer::TransferRow| -> Result<ListedTransfer, Problem> {
        Ok(ListedTransfer {
            transfer_id: row.id,
            status: row.status,
            status_reason: row.status_reason,
            from_account: row.from_account,
            amount: money(row.amount, &row.currency)?,
            requested_at: row.requested_at,
            changed_at: row.changed_at,
        })
    };
    Ok(Json(List { transfers: rows.into_iter().map(listed).collect::<Result<_, _>>()?, next_cursor }))
}
